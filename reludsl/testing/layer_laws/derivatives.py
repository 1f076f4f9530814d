"""Derivatives: pull, push and room are of the piece at a point."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from reludsl.exact import exactly
from reludsl.layers import Activation
from reludsl.testing.cases import NotOffered
from reludsl.testing.layer_laws.comparing import EXACTLY, close, near, text
from reludsl.testing.layer_laws.subject import Subject


def law_pull_is_the_transpose_of_push(s: Subject) -> None:
    """<a, push(x, v)> = <pull(x, a), v>."""
    rng = s.rng
    for x in s.points:
        v = rng.integers(-8, 9, (2, x.size)) / 8
        forward = (s.directions * s.layer.push(x, v)).sum(axis=1)
        back = (s.layer.pull(np.stack([x, x]), s.directions) * v).sum(axis=1)
        close(forward, back, EXACTLY * (1.0 + np.abs(back)), f"<a, push> and <pull, v>, at {text(x)}")


def law_push_is_the_difference_inside_a_piece(s: Subject) -> None:
    """push(x, v) = (f(x + h v) - f(x)) / h for small h, wherever h and -h agree."""
    h = Fraction(1, 2**60)
    rng = s.rng
    for x in s.box.sample(rng, 4):
        v = rng.integers(-8, 9, x.size) / 8
        here, step = s.exact(x), exactly(v) * h
        rise, fall = ((s.layer.exact(exactly(x) + sign * step) - here) / (sign * h) for sign in (1, -1))
        smooth = np.array([a == b for a, b in zip(rise, fall)])
        found, true = s.layer.push(x, v[None, :])[0], rise.astype(np.float64)
        allowed = np.where(smooth, EXACTLY * (1.0 + np.abs(true)), np.inf)
        close(found, true, allowed, f"push at {text(x)} along {text(v)}")


def law_room_keeps_the_piece(s: Subject) -> None:
    """Within `room` f changes by push, exactly as on one piece."""
    layer, rng = s.pieced, s.rng
    for x in s.box.sample(rng, 4):
        v = rng.uniform(-1, 1, x.size)
        if isinstance(layer, Activation):
            fall, rise = layer.room(x)
            step = 0.875 * v * np.minimum(np.where(v < 0, fall, rise), 8.0)
        else:
            rows, slack = layer.room(x)
            if not slack.size:
                raise NotOffered("its room is not known")
            closing = -(rows @ v)
            step = 0.875 * v * min(8.0, np.min(slack[closing > 0] / closing[closing > 0], initial=8.0))
        change = layer.exact(exactly(x) + exactly(step)) - s.exact(x)
        found = layer.push(x, step[None, :])[0]
        near(found, change, EXACTLY * (1.0 + np.abs(found)), f"push within the room of {text(x)}, by {text(step)}")
