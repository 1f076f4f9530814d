"""reludsl: the modelling language for trained piecewise-linear networks.

import reludsl as rd
net = rd.read("model.onnx")
domain = rd.box(0, 1, net.input_shape)
facts = rd.stable(net, domain)                     which neurons never switch
smaller = rd.compress(net, domain)                 the same function, fewer neurons, with a proof
count = rd.regions.count(net, domain)              how many linear regions, proved
answer = rd.maximize(net.trace(domain).pre[1][7])  a proved bound, and a witness that reaches the value
"""

from reludsl import expressivity as expressivity
from reludsl import networks as networks
from reludsl import regions as regions
from reludsl.answer import Answer as Answer
from reludsl.answer import Statistics as Statistics
from reludsl.answer import Verdict as Verdict
from reludsl.answer import Witness as Witness
from reludsl.compare import Comparison as Comparison
from reludsl.compare import compare as compare
from reludsl.compress import compress as compress
from reludsl.domain import Ball as Ball
from reludsl.domain import Box as Box
from reludsl.domain import Domain as Domain
from reludsl.domain import Norm as Norm
from reludsl.domain import Polytope as Polytope
from reludsl.domain import Space as Space
from reludsl.errors import ReludslError as ReludslError
from reludsl.export import export as export
from reludsl.expr import Expr as Expr
from reludsl.expr import ball as ball
from reludsl.expr import box as box
from reludsl.expr import polytope as polytope
from reludsl.functions import absolute as absolute
from reludsl.functions import argmax_is as argmax_is
from reludsl.functions import argmin_is as argmin_is
from reludsl.functions import close as close
from reludsl.io import from_torch as from_torch
from reludsl.io import read as read
from reludsl.io import read_vnnlib as read_vnnlib
from reludsl.io import to_torch as to_torch
from reludsl.io import write as write
from reludsl.io import write_lp as write_lp
from reludsl.io import write_mps as write_mps
from reludsl.io import write_vnnlib as write_vnnlib
from reludsl.layers import Affine as Affine
from reludsl.layers import PiecewiseLinear as PiecewiseLinear
from reludsl.layers import relu as relu
from reludsl.logic import Condition as Condition
from reludsl.logic import all_of as all_of
from reludsl.logic import any_of as any_of
from reludsl.logic import implies as implies
from reludsl.network import Network as Network
from reludsl.plugins import load as load
from reludsl.query import bounds as bounds
from reludsl.query import find as find
from reludsl.query import maximize as maximize
from reludsl.query import minimize as minimize
from reludsl.query import network_bounds as network_bounds
from reludsl.query import prove as prove
from reludsl.question import Find as Find
from reludsl.question import Maximize as Maximize
from reludsl.question import Minimize as Minimize
from reludsl.question import Prove as Prove
from reludsl.rewrite import Compression as Compression
from reludsl.rewrite import FoldPolicy as FoldPolicy
from reludsl.saved import load_bounds as load_bounds
from reludsl.saved import save_bounds as save_bounds
from reludsl.session import Session as Session
from reludsl.stability import Facts as Facts
from reludsl.stability import LocalStability as LocalStability
from reludsl.stability import Method as Method
from reludsl.stability import Mode as Mode
from reludsl.stability import Standing as Standing
from reludsl.stability import local_stability as local_stability
from reludsl.stability import stable as stable

__version__ = "0.1.0"
