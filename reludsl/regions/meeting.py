"""Where lines meet: how far that is from a float point, and exactly.

Lines are linear functions of homogeneous coordinates: of two on a line, of three in a plane.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.exact import ExactArray


def solved(a: FloatArray, e: FloatArray, r: FloatArray) -> FloatArray:
    """A bound on |x| for A x = s, |s| <= r and any A within e of a, of one or two rows; inf if one is singular.

    What overflows gives inf or NaN, with which no determinant is above its error.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _solved(a, e, r)


def _solved(a: FloatArray, e: FloatArray, r: FloatArray) -> FloatArray:
    reach = np.abs(a) + e
    if a.shape[1] == 1:
        low = np.abs(a[:, 0]) - e[:, 0]
        moved = np.divide(r, low, out=np.full_like(r, np.inf), where=low > 0)
        return numeric.inflated(moved)
    determinant = np.abs(a[:, 0, 0] * a[:, 1, 1] - a[:, 0, 1] * a[:, 1, 0])
    lost = e[:, 0, 0] * reach[:, 1, 1] + reach[:, 0, 0] * e[:, 1, 1] + e[:, 0, 1] * reach[:, 1, 0]
    lost = lost + reach[:, 0, 1] * e[:, 1, 0]
    lost = lost + numeric.gamma(2) * (reach[:, 0, 0] * reach[:, 1, 1] + reach[:, 0, 1] * reach[:, 1, 0])
    low = determinant - numeric.inflated(lost)
    first = reach[:, 1, 1] * r[:, 0] + reach[:, 0, 1] * r[:, 1]
    second = reach[:, 1, 0] * r[:, 0] + reach[:, 0, 0] * r[:, 1]
    moved = np.stack([first, second], axis=1)
    return numeric.inflated(np.divide(moved, low[:, None], out=np.full_like(moved, np.inf), where=(low > 0)[:, None]))


def meeting(lines: Iterable[ExactArray], near: ExactArray) -> ExactArray | None:
    """The direction in which the first independent lines are 0, on the side of a given one."""
    first = None
    for line in lines:
        if near.size == 2 and any(line):
            found = np.array([-line[1], line[0]], dtype=object)
        elif first is None:
            first = line if any(line) else None
            continue
        else:
            found = _cross(first, line)
        along = found @ near
        if along != 0:
            return found if along > 0 else -found
    return None


def nearest(lines: Iterable[ExactArray]) -> ExactArray | None:
    """The point of a plane that is next to its origin on the first line that is not at infinity."""
    for a, b, c in lines:
        if a or b:
            return np.array([-a * c, -b * c, a * a + b * b], dtype=object)
    return None


def _cross(a: ExactArray, b: ExactArray) -> ExactArray:
    out = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    return np.array(out, dtype=object)
