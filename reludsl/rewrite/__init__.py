"""Rewrites: network to network, each with a side condition and a map of the neurons that stay."""

from reludsl.rewrite.absorb import Absorb as Absorb
from reludsl.rewrite.base import FRESH as FRESH
from reludsl.rewrite.base import Kept as Kept
from reludsl.rewrite.base import Knowledge as Knowledge
from reludsl.rewrite.base import NeuronMap as NeuronMap
from reludsl.rewrite.base import Preserves as Preserves
from reludsl.rewrite.base import Rewrite as Rewrite
from reludsl.rewrite.base import Rewritten as Rewritten
from reludsl.rewrite.base import Site as Site
from reludsl.rewrite.collapse import Collapse as Collapse
from reludsl.rewrite.difference import Comparison as Comparison
from reludsl.rewrite.difference import output_difference as output_difference
from reludsl.rewrite.driver import Step as Step
from reludsl.rewrite.fold import Fold as Fold
from reludsl.rewrite.fold import FoldPolicy as FoldPolicy
from reludsl.rewrite.merge import Merge as Merge
from reludsl.rewrite.narrow import without_inputs as without_inputs
from reludsl.rewrite.narrow import without_outputs as without_outputs
from reludsl.rewrite.refactor import Refactor as Refactor
from reludsl.rewrite.remove import Remove as Remove
from reludsl.rewrite.result import Compression as Compression
from reludsl.rewrite.result import rewrite_network as rewrite_network
from reludsl.rewrite.twins import MergeTwins as MergeTwins
