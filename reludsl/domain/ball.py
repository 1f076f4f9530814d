"""A ball in the L-infinity or L1 norm, cut to a box where wanted."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, Rows
from reludsl.domain.base import DomainRows, no_rows, vector
from reludsl.domain.box import Box
from reludsl.errors import InvalidInput


class Norm(enum.Enum):
    """The norm of a `Ball`."""

    LINF = "inf"
    L1 = "1"


@dataclass(frozen=True, eq=False)
class Ball:
    """{x : ||x - center|| <= radius} in the L-infinity or L1 norm, cut to `clip` where given.

    Args:
        clip: (low, high), scalars or arrays: the ball is intersected with this box.

    Raises:
        InvalidInput: a negative or infinite radius, NaN, a norm that is no `Norm`, a ball that does not meet the clip.

    >>> Ball([0.5, 0.5], 0.25, Norm.L1).support(np.array([[2.0, 1.0]])).round(9)
    array([2.])
    """

    center: FloatArray
    radius: float
    norm: Norm = Norm.LINF
    clip: tuple[object, object] | None = None
    _inner: Box = field(init=False, repr=False)
    _outer: Box = field(init=False, repr=False)

    def __post_init__(self) -> None:
        centre = vector(self.center, "the centre of the ball").ravel()
        if not np.isfinite(centre).all():
            raise InvalidInput("the centre of the ball is not finite; give a point")
        if not (math.isfinite(self.radius) and self.radius >= 0):
            raise InvalidInput(f"the radius of the ball is {self.radius}; give a finite number >= 0")
        if not isinstance(self.norm, Norm):
            raise InvalidInput(
                f"the norm of the ball is {self.norm!r}, which is none, and proofs would be about another set than you "
                "mean; write Norm.LINF or Norm.L1"
            )
        slop = numeric.UNIT * (np.abs(centre) + self.radius)
        low, high = centre - self.radius, centre + self.radius
        outer_low, outer_high = numeric.down(low, slop), numeric.up(high, slop)
        inner_low, inner_high = numeric.up(low, slop), numeric.down(high, slop)
        crossed = inner_low > inner_high
        inner_low, inner_high = np.where(crossed, centre, inner_low), np.where(crossed, centre, inner_high)
        if self.clip is not None:
            sides = [vector(side, "the clip").ravel() for side in self.clip]
            if any(side.size not in (1, centre.size) for side in sides):
                raise InvalidInput(f"the clip has {sides[0].size} and {sides[1].size} numbers; give 1 or {centre.size}")
            a, b = (np.broadcast_to(side, centre.shape) for side in sides)
            near = (a >= high - 2 * slop) | (b <= low + 2 * slop)
            for k in np.flatnonzero(near).tolist():
                c, r = Fraction(float(centre[k])), Fraction(self.radius)
                if Fraction(float(a[k])) > c + r or Fraction(float(b[k])) < c - r:
                    outer_low[k], outer_high[k] = 1.0, 0.0
            outer_low, outer_high = np.maximum(outer_low, a), np.minimum(outer_high, b)
            inner_low, inner_high = np.clip(inner_low, a, b), np.clip(inner_high, a, b)
            if (outer_low > outer_high).any():
                k = int((outer_low > outer_high).argmax())
                raise InvalidInput(
                    f"the ball around {centre[k]:g} with radius {self.radius:g} does not meet the clip "
                    f"[{a[k]:g}, {b[k]:g}] at input {k}; the domain would be empty: move the centre or widen the clip"
                )
        object.__setattr__(self, "center", centre)
        object.__setattr__(self, "_outer", Box(outer_low, outer_high))
        object.__setattr__(self, "_inner", Box(inner_low, inner_high))
        if self.norm is Norm.L1 and float(np.abs(self._core - centre).sum()) > self.radius * (1 + 1e-12):
            raise InvalidInput("the L1 ball does not meet the clip: move the centre or widen the clip")

    @cached_property
    def _core(self) -> FloatArray:
        """The point of the clip nearest to the centre."""
        return np.clip(self.center, self._outer.lower, self._outer.upper)

    @cached_property
    def _budget(self) -> float:
        """The radius less what rounding the coordinates of a point, and their distances, may come to."""
        rounding = 4 * numeric.UNIT * float((np.abs(self.center) + self.radius).sum())
        return self.radius * (1 - 1e-12) - rounding

    @property
    def size(self) -> int:
        return int(self.center.size)

    @property
    def enclosure(self) -> Box:
        return self._outer

    @property
    def is_box(self) -> bool:
        return self.norm is Norm.LINF

    def support(self, coefficients: FloatArray) -> FloatArray:
        over_box = self._outer.support(coefficients)
        if self.norm is Norm.LINF:
            return over_box
        # ||a||_inf r + a c needs no clip; the box needs no norm: both hold, and so does any convex mixture
        absolute = np.abs(coefficients)
        value = coefficients @ self.center + absolute.max(axis=1, initial=0.0) * self.radius
        error = numeric.gamma(self.size + 2) * (
            absolute @ np.abs(self.center) + absolute.max(axis=1, initial=0.0) * self.radius
        ) + numeric.underflow(self.size)
        best = np.minimum(over_box, numeric.up(value, error))
        # Lagrangian of the norm: t r + sum_i max over the box of (a_i d_i - t |d_i|), best at t = the |a_i| at which
        # the budget r is used up (a fractional knapsack); every t >= 0 gives a bound
        low, high = self._outer.lower - self.center, self._outer.upper - self.center
        reach = np.where(coefficients > 0, np.maximum(high, 0.0), np.maximum(-low, 0.0))
        order = np.argsort(-absolute, axis=1)
        filled = np.cumsum(np.take_along_axis(reach, order, axis=1), axis=1)
        last = np.minimum((filled < self.radius).sum(axis=1), self.size - 1)
        price = np.take_along_axis(np.take_along_axis(absolute, order, axis=1), last[:, None], axis=1)
        return np.minimum(best, self._lagrangian(coefficients, price, low, high))

    def _lagrangian(self, a: FloatArray, price: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
        slack = numeric.UNIT * (np.abs(self.center) + self._outer.magnitude.ravel())
        low, high = numeric.down(low, slack), numeric.up(high, slack)

        def at(d: FloatArray) -> FloatArray:
            return a * d - price * np.abs(d)

        # concave in d with a kink at 0: the maximum over [low, high] is at low, high, or 0 cut to the interval
        best = np.maximum(np.maximum(at(low), at(high)), at(np.clip(0.0, low, high)))
        reach = np.maximum(np.abs(low), np.abs(high))
        value = best.sum(axis=1) + price[:, 0] * self.radius + a @ self.center
        size = (np.abs(a) + price) @ reach + price[:, 0] * self.radius + np.abs(a) @ np.abs(self.center)
        return numeric.up(value, numeric.gamma(self.size + 6) * size + numeric.underflow(self.size))

    def maximiser(self, coefficients: FloatArray) -> FloatArray:
        if self.norm is Norm.LINF:
            return self._inner.maximiser(coefficients)
        target = np.where(coefficients > 0, self._inner.upper, self._inner.lower)
        order = np.argsort(-np.abs(coefficients), axis=1)
        step = np.take_along_axis(np.abs(target - self._core), order, axis=1)
        budget = self._budget - np.abs(self._core - self.center).sum()
        room = np.maximum(budget - (np.cumsum(step, axis=1) - step), 0.0)
        move = np.empty_like(step)
        np.put_along_axis(move, order, np.minimum(step, room), axis=1)
        return self._shrink(self._core + np.sign(target - self._core) * move)

    def _shrink(self, points: FloatArray) -> FloatArray:
        """Pull points towards the core until the norm holds; a no-op on points inside."""
        points = self._inner.project(points)
        if self.norm is Norm.LINF:
            return points
        budget = self._budget
        base = np.abs(self._core - self.center).sum()
        length = np.abs(points - self._core).sum(axis=1)
        scale = np.where(length + base > budget, np.maximum(budget - base, 0.0) / np.maximum(length, 1e-300), 1.0)
        return self._inner.project(self._core + scale[:, None] * (points - self._core))

    def project(self, points: FloatArray) -> FloatArray:
        return self._shrink(points)

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        return self._shrink(self._inner.sample(rng, count))

    def contains(self, points: FloatArray) -> BoolArray:
        inside = self._outer.contains(points)
        if self.norm is Norm.LINF:
            certain = self._inner.contains(points)
            for k in np.flatnonzero(inside & ~certain):
                inside[k] = all(
                    abs(Fraction(p) - Fraction(c)) <= Fraction(self.radius)
                    for p, c in zip(points[k].tolist(), self.center.tolist())
                )
            return inside
        distance = np.abs(points - self.center).sum(axis=1)
        error = numeric.gamma(self.size + 2) * distance
        for k in np.flatnonzero(inside):
            if distance[k] + error[k] > self.radius:
                inside[k] = sum(
                    abs(Fraction(p) - Fraction(c)) for p, c in zip(points[k].tolist(), self.center.tolist())
                ) <= Fraction(self.radius)
        return inside

    def constraints(self) -> DomainRows:
        if self.norm is Norm.LINF:
            return no_rows(self.size)
        # x - p + q = c with p, q >= 0 and sum p + q <= r
        eye = sparse.eye_array(self.size, format="csr")
        matrix = sparse.vstack(
            [
                sparse.hstack([eye, -eye, eye]),
                sparse.hstack([sparse.csr_array((1, self.size)), np.ones((1, 2 * self.size))]),
            ],
            format="csr",
        )
        lower = np.concatenate([self.center, [-np.inf]])
        upper = np.concatenate([self.center, [self.radius]])
        extra = np.zeros(2 * self.size)
        return DomainRows(Rows(sparse.csr_array(matrix), lower, upper), extra, np.full_like(extra, self.radius))
