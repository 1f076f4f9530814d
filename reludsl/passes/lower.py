"""The order of the passes, from a disjunctive program to one that a solver takes."""

from __future__ import annotations

import enum

from reludsl.passes.big_m import big_m
from reludsl.passes.prune import prune
from reludsl.passes.published import published_big_m
from reludsl.passes.sparsify import sparsify
from reludsl.passes.substitute import substitute
from reludsl.program import Program


class Formulation(enum.Enum):
    """How disjunctions become rows and binaries."""

    BIG_M = "big-m"
    """Compact: the pre-activation is a column, the dense row stands once. The default."""
    PUBLISHED = "published"
    """h - hbar with H and Hbar, as in Serra et al. 2018."""


def lower(program: Program, formulation: Formulation = Formulation.BIG_M, budget: float = 1e-7) -> Program:
    """prune, substitute, sparsify, then big-M in the chosen form.

    Args:
        budget: of `sparsify`; 0 keeps every weight that can matter at all.
    """
    thin = sparsify(substitute(prune(program)), budget)
    return big_m(thin) if formulation is Formulation.BIG_M else published_big_m(thin)
