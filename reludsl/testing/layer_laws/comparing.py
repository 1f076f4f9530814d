"""Values against what is claimed of them, in exact arithmetic where a claim is about that."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.exact import ExactArray, exactly
from reludsl.layers import LinearBounds
from reludsl.testing.cases import LawBroken, hold

EXACTLY = 1e-9
"""Relative: what outward rounding of rows may leave open where a program is solved in exact arithmetic."""


def text(values: FloatArray | ExactArray) -> str:
    """The first numbers of a vector, as floats."""
    shown = [repr(float(v)) for v in values[:4]]
    return f"[{', '.join(shown)}{', ...' if len(values) > 4 else ''}]"


def ends(box: Box) -> str:
    return f"({text(box.lower)}, {text(box.upper)})"


def stacked(boxes: Iterable[Box]) -> Box:
    each = list(boxes)
    return Box(np.stack([b.lower for b in each]), np.stack([b.upper for b in each]))


def close(found: FloatArray, wanted: FloatArray, allowed: FloatArray, what: str) -> None:
    hold(found.shape == wanted.shape, f"{what}: the shape is {found.shape} instead of {wanted.shape}")
    bad = np.flatnonzero(~(np.abs(found - wanted) <= allowed))
    if bad.size:
        k = bad[0]
        raise LawBroken(f"{what}: element {k} is {float(found[k])!r} instead of {float(wanted[k])!r}")


def near(found: FloatArray, true: ExactArray, allowed: FloatArray, what: str) -> None:
    hold(found.shape == true.shape, f"{what}: the shape is {found.shape}, and that of exact() {true.shape}")
    for k, (value, exact, room) in enumerate(zip(exactly(found), true, np.broadcast_to(allowed, found.shape))):
        off = abs(value - exact)
        hold(
            off <= Fraction(float(room)),
            f"{what}: element {k} is {float(value)!r} and {float(exact)!r} in exact arithmetic, {float(off):.3g} apart "
            f"where {float(room):.3g} is allowed",
        )


def between(low: FloatArray | ExactArray, value: ExactArray, high: FloatArray | ExactArray, what: str, x: Any) -> None:
    hold(len(low) == len(value) == len(high), f"{what} bounds {len(low)} elements, and there are {len(value)}")
    for k, (a, v, b) in enumerate(zip(low, value, high)):
        hold(
            Fraction(a) <= v <= Fraction(b),
            f"{what} says [{float(a)!r}, {float(b)!r}] for element {k}, which is {float(v)!r} at {text(x)}",
        )


def times(matrix: sparse.csr_array, x: ExactArray) -> ExactArray:
    """matrix @ x in exact arithmetic."""
    data, out = exactly(matrix.data), np.empty(matrix.shape[0], dtype=object)
    for i, (a, b) in enumerate(zip(matrix.indptr, matrix.indptr[1:])):
        out[i] = sum((w * x[j] for w, j in zip(data[a:b], matrix.indices[a:b])), Fraction(0))
    return out


def lines(line: LinearBounds, x: ExactArray) -> tuple[ExactArray, ExactArray]:
    """Both lines of a relaxation at a point, in exact arithmetic."""
    sides = ((line.lower_slope, line.lower_offset), (line.upper_slope, line.upper_offset))
    below, above = (
        (times(slope, x) if isinstance(slope, sparse.csr_array) else exactly(slope) * x) + exactly(offset)
        for slope, offset in sides
    )
    return below, above
