"""Passes: pure functions from program to program, one reformulation per file.

The contract, tested for all of them: the set of feasible points, projected on the original columns through the
trace, stays the same; `sparsify` may let it grow, never shrink.
"""

from reludsl.passes.big_m import big_m as big_m
from reludsl.passes.cone import cone as cone
from reludsl.passes.cone import dependencies as dependencies
from reludsl.passes.cone import parts as parts
from reludsl.passes.lower import Formulation as Formulation
from reludsl.passes.lower import lower as lower
from reludsl.passes.prune import prune as prune
from reludsl.passes.published import published_big_m as published_big_m
from reludsl.passes.sparsify import sparsify as sparsify
from reludsl.passes.substitute import substitute as substitute
