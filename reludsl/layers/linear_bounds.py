"""Bounds of a layer that are linear in what it takes: what backward bounds put in its place.

An activation has a line below and above each element, a layer of another kind a matrix below and above.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray

Slope: TypeAlias = "FloatArray | sparse.csr_array"
"""One factor per element, (..., n), or a matrix (n_out, n_in)."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearBounds:
    """`lower_slope z + lower_offset <= f(z) <= upper_slope z + upper_offset` on a box, true in exact arithmetic.

    Args:
        lower_slope, upper_slope: (n,) for an activation, which multiplies element by element; else (n_out, n_in).
        lower_offset, upper_offset: (n_out,).

    A batch of boxes has slopes and offsets (b, n).
    """

    lower_slope: Slope
    lower_offset: FloatArray
    upper_slope: Slope
    upper_offset: FloatArray

    def backward(self, positive: FloatArray, negative: FloatArray) -> FloatArray:
        """Coefficients of z that bound (a+ + a-) f(z) from above: a+ U + a- L, (..., m, n_out) -> (..., m, n_in)."""
        total = _times(positive, self.upper_slope)
        total += _times(negative, self.lower_slope)
        return total

    def reach(self, magnitude: FloatArray) -> tuple[FloatArray, int]:
        """|slope| magnitude for the steeper of both slopes, (..., n_out), and the terms of the longest sum in it."""
        if isinstance(self.upper_slope, sparse.csr_array) and isinstance(self.lower_slope, sparse.csr_array):
            steep = np.maximum(abs(self.upper_slope) @ magnitude, abs(self.lower_slope) @ magnitude)
            counts = [np.bincount(s.indices, minlength=1).max() for s in (self.upper_slope, self.lower_slope)]
            return steep, int(max(counts))
        assert isinstance(self.upper_slope, np.ndarray)
        assert isinstance(self.lower_slope, np.ndarray)
        return np.maximum(np.abs(self.upper_slope), np.abs(self.lower_slope)) * magnitude, 1


class StackedBounds(LinearBounds):
    """Bounds by matrices on each of b boxes, for what splits domains."""

    __slots__ = ("each",)

    each: tuple[LinearBounds, ...]

    @classmethod
    def of(cls, each: Sequence[LinearBounds]) -> StackedBounds:
        """The bounds of every box, in order."""
        first = each[0]
        offsets = (np.stack([line.lower_offset for line in each]), np.stack([line.upper_offset for line in each]))
        stacked = cls(first.lower_slope, offsets[0], first.upper_slope, offsets[1])
        object.__setattr__(stacked, "each", tuple(each))
        return stacked

    def backward(self, positive: FloatArray, negative: FloatArray) -> FloatArray:
        # the coefficients may be the same on every box
        shape = (len(self.each), *positive.shape[-2:])
        pairs = zip(self.each, np.broadcast_to(positive, shape), np.broadcast_to(negative, shape))
        return np.stack([line.backward(above, below) for line, above, below in pairs])

    def reach(self, magnitude: FloatArray) -> tuple[FloatArray, int]:
        found = [line.reach(m) for line, m in zip(self.each, magnitude)]
        return np.stack([steep for steep, _ in found]), max(terms for _, terms in found)


def _times(a: FloatArray, slope: Slope) -> FloatArray:
    if isinstance(slope, sparse.csr_array):
        return np.asarray(a.reshape(-1, a.shape[-1]) @ slope).reshape(*a.shape[:-1], slope.shape[1])
    return np.asarray(a * slope[..., None, :])
