"""The answer to "how many linear regions": a number between two that are proved, and how it came about."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from reludsl.regions.definition import Definition


class Counting(enum.Enum):
    """A method of counting. The value is its name on the command line and in JSON."""

    AUTO = "auto"
    """The line or the plane where the network has one or two inputs, else cells; cells too where those leave doubts."""
    CELLS = "cells"
    """A search over the units in the order of the layers, each side of a unit proved to be there or not."""
    ONE_TREE = "one-tree"
    """The published integer program, every pattern found cut off in the same tree."""
    PLANE = "plane"
    """The cell complex of a network of two inputs."""
    LINE = "line"
    """The breakpoints of a network of one input."""
    PROBE = "probe"
    """Random paths through the tree of cells: an estimate, and a lower bound with a confidence."""
    XOR = "xor"
    """The published method of random parity constraints (MIPBound): a lower bound with a confidence."""


@dataclass(frozen=True, slots=True)
class RegionCount:
    """lower <= truth <= upper, with certainty, or with `confidence` where that is given.

    Args:
        count: the number found; of an estimate the nearest whole number.
        ambiguous: cells of which it is open whether they are regions; they lie between lower and upper.
        upper: what is proved; where a search did not end, or ended on a solver's word, an architecture's bound.
        units: number of units that the pattern is over.
        complete: the search ended by itself, not by a limit; a proof only where lower = upper.
        confidence: of `lower`, for methods that draw at random; None for those that prove it.
        standard_error: of `count` where it is an estimate.
        margin: the smallest distance of a region's witness from its nearest break, in rounding errors.
        work: how many of what was done (tests, linear programs, integer programs), for people.
        note: why it is not complete, or what to know about it.
    """

    count: int
    lower: int
    upper: int
    ambiguous: int
    definition: Definition
    units: int
    method: Counting
    seconds: float
    complete: bool = True
    confidence: float | None = None
    standard_error: float | None = None
    margin: float | None = None
    work: dict[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def exact(self) -> bool:
        """lower = upper, proved."""
        return self.lower == self.upper and self.confidence is None
