"""Activations by declaration: breakpoints and slopes; everything else is derived.

    relu = PiecewiseLinear("relu", breaks=(0,), slopes=(0, 1))

Forward pass, interval, linear relaxation, disjunction, H constants and stability all follow from the four
fields, for any breaks and slopes. Nothing in this library asks whether an activation is the ReLU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.layers.base import LinearBounds, Shape


@dataclass(frozen=True)
class PiecewiseLinear:
    """y = s_k z + c_k for b_k <= z <= b_{k+1}, continuous, through the anchor.

    Args:
        name: how it is called in tables and files.
        breaks: b_1 < ... < b_K, finite.
        slopes: s_0, ..., s_K, one more than breaks, left to right.
        anchor: one point (z, y) of the graph; the intercepts follow by continuity.

    Raises:
        InvalidInput: breaks that do not increase, a wrong number of slopes, a value that is not finite.

    >>> PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))(np.array([[-3.0, 0.5, 2.0]]))
    array([[-1. ,  0.5,  1. ]])
    """

    name: str
    breaks: tuple[float, ...]
    slopes: tuple[float, ...]
    anchor: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if len(self.slopes) != len(self.breaks) + 1:
            raise InvalidInput(
                f"{self.name} has {len(self.breaks)} breaks and {len(self.slopes)} slopes; "
                f"{len(self.breaks)} breaks need {len(self.breaks) + 1} slopes"
            )
        if not all(math.isfinite(v) for v in (*self.breaks, *self.slopes, *self.anchor)):
            raise InvalidInput(f"{self.name} holds a value that is not finite; give numbers")
        if any(a >= b for a, b in zip(self.breaks, self.breaks[1:])):
            raise InvalidInput(f"the breaks of {self.name} are {self.breaks}; they must increase")
        for field in ("breaks", "slopes", "anchor"):
            object.__setattr__(self, field, tuple(float(v) for v in getattr(self, field)))

    @property
    def kind(self) -> str:
        return self.name

    @property
    def parameters(self) -> int:
        return 0

    @property
    def pieces(self) -> int:
        """Number of linear pieces, K + 1."""
        return len(self.slopes)

    @cached_property
    def _exact_intercepts(self) -> tuple[Fraction, ...]:
        slopes = [Fraction(s) for s in self.slopes]
        breaks = [Fraction(b) for b in self.breaks]
        z, y = (Fraction(v) for v in self.anchor)
        home = sum(b <= z for b in breaks)
        c = {home: y - slopes[home] * z}
        for k in range(home, len(breaks)):
            c[k + 1] = c[k] + (slopes[k] - slopes[k + 1]) * breaks[k]
        for k in range(home, 0, -1):
            c[k - 1] = c[k] + (slopes[k] - slopes[k - 1]) * breaks[k - 1]
        return tuple(c[k] for k in range(self.pieces))

    @cached_property
    def intercepts(self) -> tuple[float, ...]:
        """c_0, ..., c_K as the nearest floats."""
        return tuple(float(c) for c in self._exact_intercepts)

    @cached_property
    def intercept_errors(self) -> tuple[float, ...]:
        """How far each float intercept may be from the exact one; 0 where it is a float."""
        return tuple(
            0.0 if Fraction(c) == exact else math.ulp(c) for c, exact in zip(self.intercepts, self._exact_intercepts)
        )

    @cached_property
    def edges(self) -> tuple[float, ...]:
        """-inf, b_1, ..., b_K, inf."""
        return (-math.inf, *self.breaks, math.inf)

    @cached_property
    def lipschitz(self) -> float:
        """max |s_k|."""
        return max(abs(s) for s in self.slopes)

    @cached_property
    def convex(self) -> bool:
        """The slopes increase: f is the maximum of its lines."""
        return all(a < b for a, b in zip(self.slopes, self.slopes[1:]))

    @cached_property
    def concave(self) -> bool:
        """The slopes decrease: f is the minimum of its lines."""
        return all(a > b for a, b in zip(self.slopes, self.slopes[1:]))

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def piece(self, z: FloatArray) -> IntArray:
        """Index of the piece that holds z; a break belongs to the piece on its left.

        >>> relu.piece(np.array([-1.0, 0.0, 2.0]))
        array([0, 0, 1])
        """
        return np.searchsorted(np.array(self.breaks), z, side="left")

    def slope_at(self, z: FloatArray) -> FloatArray:
        """The derivative at z (from the left at a break)."""
        if len(self.breaks) == 1:
            return np.where(z > self.breaks[0], self.slopes[1], self.slopes[0])
        return np.array(self.slopes)[self.piece(z)]

    def __call__(self, x: FloatArray) -> FloatArray:
        if self.convex or self.concave:
            # a maximum (minimum) of lines: a few passes over memory instead of a gather per element
            choose = np.maximum if self.convex else np.minimum
            return np.asarray(reduce(choose, (self._line(k, x) for k in range(self.pieces))))
        k = self.piece(x)
        return np.asarray(np.array(self.slopes)[k] * x + np.array(self.intercepts)[k])

    def _line(self, k: int, x: FloatArray) -> FloatArray:
        """s_k x + c_k, without the arithmetic that changes nothing; a constant line stays a scalar."""
        if self.slopes[k] == 0 and self.pieces > 1:
            return np.asarray(self.intercepts[k])
        scaled = x if self.slopes[k] == 1 else x * self.slopes[k]
        return np.asarray(scaled + self.intercepts[k] if self.intercepts[k] else scaled)

    def exact(self, x: ExactArray) -> ExactArray:
        flat = [
            Fraction(self.slopes[k]) * z + self._exact_intercepts[k]
            for z, k in ((z, sum(b < z for b in self.breaks)) for z in x.ravel())
        ]
        out = np.empty(len(flat), dtype=object)
        out[:] = flat
        return out.reshape(x.shape)

    def evaluation_error(self, z: FloatArray) -> FloatArray:
        """Bound on the rounding error of f at the exact floats z; 0 where the arithmetic is exact (ReLU, |z|).

        A convex f is computed as the largest of its lines, which is as wrong as the most wrong of them at most.
        """
        if self.convex or self.concave:
            return np.asarray(reduce(np.maximum, (self._line_error(k, z) for k in range(self.pieces))))
        k = self.piece(z)
        errors = np.stack([self._line_error(p, z) for p in range(self.pieces)])
        return np.asarray(np.take_along_axis(errors, k[None], axis=0)[0])

    def _line_error(self, k: int, z: FloatArray) -> FloatArray:
        """Bound on the rounding error of s_k z + c_k; products with 0, 1 and -1 and sums with 0 have none."""
        exact_product = self.slopes[k] in (0.0, 1.0, -1.0)
        error = np.zeros_like(z)
        product = np.abs(self.slopes[k] * z)
        if not exact_product:
            error = error + 2 * numeric.UNIT * product + numeric.underflow(1)
        if self._exact_intercepts[k] != 0 and self.slopes[k] != 0:
            error = error + 2 * numeric.UNIT * (product + abs(self.intercepts[k]))
        return error + 2 * self.intercept_errors[k]

    def forward_error(self, box: Box, error: FloatArray) -> FloatArray:
        reach = box.magnitude + error
        here = np.maximum(self.evaluation_error(reach), self.evaluation_error(-reach))
        farthest = max(abs(c) for c in self.intercepts)
        if farthest or not all(s in (0.0, 1.0, -1.0) for s in self.slopes):
            here = here + 8 * numeric.UNIT * (self.lipschitz * reach + farthest)
        return np.asarray(numeric.inflated(self.lipschitz * error) + here)

    def _vertices(self, box: Box) -> FloatArray:
        """Both ends and every break cut to the interval: (K + 2, n). f is linear between neighbours."""
        inner = [np.clip(b, box.lower, box.upper) for b in self.breaks]
        return np.stack([box.lower, *inner, box.upper])

    def interval(self, box: Box) -> Box:
        points = self._vertices(box)
        values, errors = self(points), self.evaluation_error(points)
        return Box(numeric.down(values, errors).min(axis=0), numeric.up(values, errors).max(axis=0))

    def deviation(self, box: Box, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        """min and max of f(z) - slope z over each interval, rounded outward: the H constants of a line.

        Args:
            slope: shape (n,), any floats.
        """
        points = self._vertices(box)
        value = self(points)
        product = slope * points
        gap = value - product
        inexact = ~np.isin(slope, (0.0, 1.0, -1.0))
        error = self.evaluation_error(points) + 2 * numeric.UNIT * np.abs(gap)
        error = error + np.where(inexact, 2 * numeric.UNIT * np.abs(product) + numeric.underflow(1), 0.0)
        return numeric.down(gap, error).min(axis=0), numeric.up(gap, error).max(axis=0)

    def relax(self, box: Box) -> LinearBounds:
        """The line above f (below f) with the least area between them on each interval.

        The area depends on the line's value at the midpoint alone, and the lowest value a line above f can
        have there is that of the concave envelope; so the best line is the envelope's segment over the
        midpoint. It is found as the highest chord between two vertices at the midpoint (Caratheodory), and
        its offset is then computed anew, rounded outward, from the largest deviation of f.

        For the ReLU on l < 0 < u: above u (z - l) / (u - l), below 0 or z, whichever covers less (CROWN,
        Zhang et al. 2018).
        """
        points = self._vertices(box)
        values = self(points)
        middle = 0.5 * (box.lower + box.upper)
        best = {1: np.full(middle.shape, -np.inf), -1: np.full(middle.shape, np.inf)}
        slope = {1: self.slope_at(middle), -1: self.slope_at(middle)}
        for i in range(len(points)):
            for j in range(i + 1, len(points)):
                width = points[j] - points[i]
                spans = (points[i] < middle) & (middle <= points[j])
                steep = np.divide(values[j] - values[i], width, out=np.zeros_like(width), where=spans)
                height = np.where(points[j] == middle, values[j], values[i] + steep * (middle - points[i]))
                for side in (1, -1):
                    # of the chords that end in a kink at the midpoint, the flattest towards the side supports f
                    flatter = (height == best[side]) & (side * steep < side * slope[side])
                    better = spans & ((side * height > side * best[side]) | flatter)
                    best[side] = np.where(better, height, best[side])
                    slope[side] = np.where(better, steep, slope[side])
        upper_slope, lower_slope = self._snap(slope[1], box), self._snap(slope[-1], box)
        return LinearBounds(
            lower_slope=lower_slope,
            lower_offset=self.deviation(box, lower_slope)[0],
            upper_slope=upper_slope,
            upper_offset=self.deviation(box, upper_slope)[1],
        )

    def _snap(self, slope: FloatArray, box: Box) -> FloatArray:
        """On an interval inside one piece the slope of that piece, free of rounding."""
        first = np.searchsorted(np.array(self.breaks), box.lower, side="right")
        last = self.piece(box.upper)
        alone = first >= last
        return np.where(alone, np.array(self.slopes)[np.minimum(first, last)], slope)

    def held_piece(self, box: Box) -> IntArray:
        """The piece on which a whole interval lies, or -1 where it crosses a break.

        >>> relu.held_piece(Box([-2, 0, -1], [0, 3, 1]))
        array([ 0,  1, -1])
        """
        first = np.searchsorted(np.array(self.breaks), box.lower, side="right")
        last = self.piece(box.upper)
        return np.where(first < last, -1, last)


relu = PiecewiseLinear("relu", (0,), (0, 1))
"""max(0, z)."""
