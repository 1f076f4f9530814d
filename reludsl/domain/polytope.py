"""A polytope: rows on top of a box."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from scipy import optimize, sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, Rows
from reludsl.domain.base import DomainRows, vector
from reludsl.domain.box import Box
from reludsl.errors import InvalidInput


@dataclass(frozen=True, eq=False)
class Polytope:
    """{x in box : matrix x <= limit}.

    Args:
        matrix: shape (m, n); limit: shape (m,); box: a finite box, which keeps every bound finite.

    Raises:
        InvalidInput: shapes that disagree, NaN, no point inside.

    >>> Polytope([[1.0, 1.0]], [1.0], Box([0, 0], [1, 1])).support(np.array([[1.0, 1.0]])).round(9)
    array([1.])
    """

    matrix: FloatArray
    limit: FloatArray
    box: Box

    def __post_init__(self) -> None:
        matrix, limit = vector(self.matrix, "the matrix"), vector(self.limit, "the limit").ravel()
        if matrix.ndim != 2 or matrix.shape != (limit.size, self.box.size):
            raise InvalidInput(
                f"the polytope has a matrix of shape {matrix.shape}, {limit.size} limits and a box of {self.box.size} "
                f"coordinates; give a matrix of shape ({limit.size}, {self.box.size})"
            )
        if not (np.isfinite(matrix).all() and np.isfinite(limit).all()):
            raise InvalidInput("the rows of the polytope hold an infinite number; leave such a row out")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "limit", limit)
        _ = self._interior

    @cached_property
    def _interior(self) -> FloatArray:
        """A point well inside: maximise the slack of the scaled rows, found by linear programming."""
        norms = np.linalg.norm(self.matrix, axis=1)
        low, high = self.box.lower.ravel(), self.box.upper.ravel()
        n = self.size
        width = np.maximum(high - low, 0.0)
        rows = np.vstack(
            [
                np.hstack([self.matrix, norms[:, None]]),
                np.hstack([np.eye(n), (width > 0)[:, None]]),
                np.hstack([-np.eye(n), (width > 0)[:, None]]),
            ]
        )
        limits = np.concatenate([self.limit, high, -low])
        cost = np.zeros(n + 1)
        cost[-1] = -1.0
        bounds = [*zip(low.tolist(), high.tolist()), (0.0, max(float(width.max(initial=0.0)), 1.0))]
        answer = optimize.linprog(cost, rows, limits, bounds=bounds, method="highs")
        if answer.x is None or not self.contains(self.box.project(answer.x[None, :n]))[0]:
            raise InvalidInput(
                "no point of the box satisfies the rows of the polytope (to rounding); "
                "the domain would be empty or flat: loosen a limit"
            )
        return np.asarray(self.box.project(answer.x[None, :n])[0])

    @property
    def size(self) -> int:
        return self.box.size

    @property
    def enclosure(self) -> Box:
        return self.box.enclosure

    @property
    def is_box(self) -> bool:
        return False

    def support(self, coefficients: FloatArray) -> FloatArray:
        """min over the rows r of: min over y >= 0 of y d_r + max over the box of (a - y c_r) x.

        Every y >= 0 gives a bound, so that the search for the best y needs no care about rounding.
        """
        best = self.box.support(coefficients)
        low, high = self.box.lower.ravel(), self.box.upper.ravel()
        for row, limit in zip(self.matrix, self.limit.tolist()):
            used = row != 0
            if not used.any():
                continue
            # g(y) is convex and piecewise linear with kinks at a_i / c_i; its slope is d - c x(y)
            kinks = coefficients[:, used] / row[used]
            width = np.abs(row[used]) * (high - low)[used]
            start = np.where(row[used] > 0, low[used], high[used]) @ row[used]
            order = np.argsort(-kinks, axis=1)
            filled = start + np.cumsum(width[order], axis=1)
            last = np.minimum((filled < limit).sum(axis=1), used.sum() - 1)
            price = np.maximum(np.take_along_axis(np.take_along_axis(kinks, order, axis=1), last[:, None], axis=1), 0.0)
            shifted = coefficients - price * row
            size = (np.abs(coefficients) + price * np.abs(row)) @ self.box.magnitude.ravel() + price[:, 0] * abs(limit)
            value = self.box.support(shifted) + price[:, 0] * limit
            best = np.minimum(best, numeric.up(value, numeric.gamma(4) * size + numeric.underflow(self.size)))
        return best

    def maximiser(self, coefficients: FloatArray) -> FloatArray:
        return self.project(self.box.maximiser(coefficients))

    def project(self, points: FloatArray) -> FloatArray:
        """Walk from an interior point towards each given one, until a row is met."""
        target = self.box.project(points)
        way = target - self._interior
        step = way @ self.matrix.T
        room = self.limit - self.matrix @ self._interior
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(step > 0, room / step, np.inf).min(axis=1, initial=np.inf)
        found = np.tile(self._interior, (len(target), 1))
        left = np.ones(len(target), dtype=np.bool_)
        # rounding may leave a point on a row just outside of it: pulled in, by more each time
        for pull in (0.0, 1e-12, 1e-9, 1e-6):
            scale = np.clip(np.minimum(reach, 1.0) * (1 - pull), 0.0, 1.0)[:, None]
            tried = np.where(scale == 1.0, target, self.box.project(self._interior + scale * way))
            inside = left & self.contains(tried)
            found[inside] = tried[inside]
            left &= ~inside
            if not left.any():
                break
        return found

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        points = self.box.sample(rng, count)
        ends = self.project(points)
        # a walk that ended on a row is pulled back by a random part, so that the interior is met too
        mix = np.where(self.contains(points), 1.0, rng.random(count))[:, None]
        drawn = self._interior + mix * (ends - self._interior)
        return np.where(self.contains(drawn)[:, None], drawn, self._interior)

    def contains(self, points: FloatArray) -> BoolArray:
        inside = self.box.contains(points)
        activity = points @ self.matrix.T
        error = numeric.gamma(self.size) * (np.abs(points) @ np.abs(self.matrix).T) + numeric.underflow(self.size)
        inside &= (activity - error <= self.limit).all(axis=1)
        for k in np.flatnonzero(inside & ~(activity + error <= self.limit).all(axis=1)):
            x = [Fraction(v) for v in points[k].tolist()]
            inside[k] = all(
                sum((Fraction(a) * v for a, v in zip(row.tolist(), x)), Fraction(0)) <= Fraction(limit)
                for row, limit in zip(self.matrix, self.limit.tolist())
            )
        return inside

    def constraints(self) -> DomainRows:
        empty = np.zeros(0)
        rows = Rows(sparse.csr_array(self.matrix), np.full(self.limit.size, -np.inf), self.limit)
        return DomainRows(rows, empty, empty)
