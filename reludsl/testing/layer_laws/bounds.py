"""Bounds: intervals and relaxations hold every value, in exact arithmetic."""

from __future__ import annotations

import numpy as np

from reludsl.domain import Box
from reludsl.exact import exactly
from reludsl.layers import Activation, LinearBounds
from reludsl.testing.cases import NotOffered, hold
from reludsl.testing.layer_laws.comparing import EXACTLY, between, ends, lines, near, stacked, text
from reludsl.testing.layer_laws.subject import Subject


def law_interval_contains_values(s: Subject) -> None:
    """interval(box) holds f(x) for every x of the box, exactly; of smaller boxes, thin ones and points too."""
    for box in s.boxes:
        found = s.layer.interval(box)
        for x in s.within(box):
            between(found.lower, s.exact(x), found.upper, f"interval{ends(box)}", x)


def law_interval_of_a_batch_is_that_of_each(s: Subject) -> None:
    """A box of arrays (m, n) is m boxes, each on its own."""
    found = s.layer.interval(stacked(s.boxes))
    wanted = (len(s.boxes), s.network.output_size)
    hold(found.lower.shape == wanted, f"{wanted[0]} boxes give bounds of shape {found.lower.shape} instead of {wanted}")
    for box, low, high in zip(s.boxes, found.lower, found.upper):
        for x in s.within(box):
            between(low, s.exact(x), high, f"the batch of intervals, of {ends(box)}", x)


def law_relaxation_encloses_values(s: Subject) -> None:
    """L x + l <= f(x) <= U x + u for every x of the box, exactly; of smaller boxes, thin ones and points too."""
    for box in s.boxes:
        line = s.pieced.relax(box)
        for x in s.within(box):
            below, above = lines(line, exactly(x))
            between(below, s.exact(x), above, f"relax{ends(box)}", x)


def law_relaxation_is_tight_at_a_point(s: Subject) -> None:
    """On a box without extent both lines meet the value."""
    for x in s.points:
        below, above = lines(s.pieced.relax(Box(x, x)), exactly(x))
        for side in (below, above):
            near(side.astype(np.float64), s.exact(x), EXACTLY * (1.0 + np.abs(s.layer(x[None])[0])), f"at {text(x)}")


def law_relaxation_of_a_batch_is_that_of_each(s: Subject) -> None:
    """The lines of an activation on a batch of boxes enclose its values on each."""
    if not isinstance(s.pieced, Activation):
        raise NotOffered("a nonlinear layer is relaxed one box at a time")
    line = s.pieced.relax(stacked(s.boxes))
    for k, box in enumerate(s.boxes):
        one = LinearBounds(
            np.asarray(line.lower_slope)[k],
            line.lower_offset[k],
            np.asarray(line.upper_slope)[k],
            line.upper_offset[k],
        )
        for x in s.within(box):
            below, above = lines(one, exactly(x))
            between(below, s.exact(x), above, f"the batch of lines, of {ends(box)}", x)
