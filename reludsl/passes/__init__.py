"""Passes: pure functions from program to program, one reformulation per file.

The contract, tested for all of them: the set of feasible points, projected on the original columns through the
trace, stays the same; `sparsify` and `slim` may let it grow, never shrink.
"""

from reludsl.passes.big_m import big_m as big_m
from reludsl.passes.big_m import chosen_binaries as chosen_binaries
from reludsl.passes.cone import cone as cone
from reludsl.passes.cone import dependencies as dependencies
from reludsl.passes.cone import parts as parts
from reludsl.passes.cuts import OnRound as OnRound
from reludsl.passes.cuts import tighten as tighten
from reludsl.passes.disaggregate import disaggregate as disaggregate
from reludsl.passes.formulation import EVERYWHERE as EVERYWHERE
from reludsl.passes.formulation import Choice as Choice
from reludsl.passes.formulation import Encode as Encode
from reludsl.passes.formulation import Encodings as Encodings
from reludsl.passes.formulation import Form as Form
from reludsl.passes.formulation import Formulation as Formulation
from reludsl.passes.hull import hull as hull
from reludsl.passes.hull_cuts import separate_hull as separate_hull
from reludsl.passes.ideal_cuts import separate_ideal as separate_ideal
from reludsl.passes.indicator import indicator as indicator
from reludsl.passes.lower import Lowered as Lowered
from reludsl.passes.lower import formulated as formulated
from reludsl.passes.lower import lower as lower
from reludsl.passes.lower import thin as thin
from reludsl.passes.neurons import Neurons as Neurons
from reludsl.passes.neurons import neurons as neurons
from reludsl.passes.partition import partition as partition
from reludsl.passes.prune import prune as prune
from reludsl.passes.published import published_big_m as published_big_m
from reludsl.passes.slim import slim as slim
from reludsl.passes.sparsify import sparsify as sparsify
from reludsl.passes.substitute import substitute as substitute
