"""Where the input lives: `Box`, `Ball` and `Polytope`, each bounded, convex, and able to bound a linear function.

A domain answers four questions, on flat vectors and in batches:

* `support(A)`: an upper bound, true in exact arithmetic, of max {A x : x in the domain}, row by row;
* `maximiser(A)`: a point of the domain where A x is large, row by row (no proof, used to find witnesses);
* `project(X)`, `sample(rng, n)`, `contains(X)`: points that really are inside;
* `constraints()`: the same set as rows over x and a few extra columns, for a program.

The box `enclosure` contains the domain. Proofs use supersets, witnesses use `contains`: with float centres
and radii the two differ in the last bit, and each errs on its safe side.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from scipy import optimize, sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, Rows
from reludsl.errors import InvalidInput, SolverFailed


class Norm(enum.Enum):
    """The norm of a `Ball`."""

    LINF = "inf"
    L1 = "1"


@dataclass(frozen=True, slots=True, eq=False)
class DomainRows:
    """A domain as rows over the columns (x, extra); extra columns live in [extra_lower, extra_upper]."""

    rows: Rows
    extra_lower: FloatArray
    extra_upper: FloatArray


@runtime_checkable
class Domain(Protocol):
    """A bounded convex set of inputs (see the module)."""

    @property
    def size(self) -> int:
        """Number of coordinates."""
        ...

    @property
    def enclosure(self) -> Box:
        """A box that contains the domain, flat."""
        ...

    def support(self, coefficients: FloatArray) -> FloatArray:
        """Upper bound of max A x over the domain: (m, n) -> (m,)."""
        ...

    def maximiser(self, coefficients: FloatArray) -> FloatArray:
        """Points of the domain at which A x is large: (m, n) -> (m, n)."""
        ...

    def project(self, points: FloatArray) -> FloatArray:
        """Points of the domain near the given ones: (m, n) -> (m, n)."""
        ...

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Random points of the domain: (count, n)."""
        ...

    def contains(self, points: FloatArray) -> BoolArray:
        """Whether each point lies in the domain, exactly: (m, n) -> (m,)."""
        ...

    def constraints(self) -> DomainRows:
        """What a program needs beyond the bounds of `enclosure`."""
        ...


def _vector(values: object, what: str) -> FloatArray:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{what} is not an array of numbers ({error}); give floats") from None
    if np.isnan(array).any():
        raise InvalidInput(f"{what} holds NaN at flat index {int(np.isnan(array.ravel()).argmax())}; give numbers")
    return array


def _no_rows(size: int) -> DomainRows:
    empty = np.zeros(0)
    return DomainRows(Rows(sparse.csr_array((0, size)), empty, empty), empty, empty)


@dataclass(frozen=True, eq=False)
class Box:
    """{x : lower <= x <= upper}, finite by construction, so that every H constant exists.

    Raises:
        InvalidInput: NaN, an infinite bound, shapes that differ, lower above upper.

    >>> Box([0, 0], [1, 2]).support(np.array([[1.0, -1.0], [0.0, 1.0]]))
    array([1., 2.])
    """

    lower: FloatArray
    upper: FloatArray

    def __init__(self, lower: object, upper: object) -> None:
        low, high = _vector(lower, "the lower bound"), _vector(upper, "the upper bound")
        if low.shape != high.shape:
            raise InvalidInput(
                f"the lower bound has shape {low.shape} and the upper bound {high.shape}; give two arrays of one shape"
            )
        for name, side in (("lower", low), ("upper", high)):
            if not np.isfinite(side).all():
                k = int((~np.isfinite(side)).ravel().argmax())
                raise InvalidInput(
                    f"the {name} bound of input {k} is {side.ravel()[k]}; H constants would be infinite: "
                    "give finite bounds"
                )
        if (low > high).any():
            k = int((low > high).ravel().argmax())
            raise InvalidInput(
                f"the lower bound {low.ravel()[k]:g} of input {k} is above its upper bound {high.ravel()[k]:g}; "
                "the domain would be empty: swap them"
            )
        low.setflags(write=False)
        high.setflags(write=False)
        object.__setattr__(self, "lower", low)
        object.__setattr__(self, "upper", high)

    @classmethod
    def full(cls, lower: float, upper: float, shape: tuple[int, ...]) -> Box:
        """The cube [lower, upper]^n with n the product of the shape, flat."""
        size = math.prod(shape)
        return cls(np.full(size, lower, dtype=np.float64), np.full(size, upper, dtype=np.float64))

    @property
    def size(self) -> int:
        return self.lower.size

    @property
    def enclosure(self) -> Box:
        return self if self.lower.ndim == 1 else Box(self.lower.ravel(), self.upper.ravel())

    @property
    def magnitude(self) -> FloatArray:
        """max |x| over the box, coordinate by coordinate."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper)).ravel()

    def intersect(self, other: Box) -> Box:
        """The common part. Both sides are proved bounds of one quantity, so that it cannot be empty.

        Raises:
            SolverFailed: the boxes do not meet: one of the two proofs is wrong.
        """
        lower, upper = np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper)
        if (lower > upper).any():
            k = int((lower > upper).ravel().argmax())
            raise SolverFailed(
                f"element {k} is proved to be at least {lower.ravel()[k]:.9g} and at most {upper.ravel()[k]:.9g}; "
                "one of the two proofs is wrong and none can be trusted: try another backend, and report this"
            )
        return Box(lower, upper)

    def support(self, coefficients: FloatArray) -> FloatArray:
        low, high = self.lower.ravel(), self.upper.ravel()
        centre = 0.5 * (low + high)
        # outward: the radius must reach both ends from the rounded centre
        radius = numeric.up(np.maximum(high - centre, centre - low), numeric.UNIT * self.magnitude)
        radius = np.where(low == high, np.abs(low - centre), radius)
        absolute = np.abs(coefficients)
        value = coefficients @ centre + absolute @ radius
        # both sums have at most |c| + r <= 2 max|x| + rounding in magnitude, term by term
        error = numeric.gamma(self.size + 2) * (absolute @ (np.abs(centre) + radius)) + numeric.underflow(self.size)
        return numeric.up(value, error)

    def maximiser(self, coefficients: FloatArray) -> FloatArray:
        return np.where(coefficients > 0, self.upper.ravel(), self.lower.ravel())

    def project(self, points: FloatArray) -> FloatArray:
        return np.clip(points, self.lower.ravel(), self.upper.ravel())

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        low, high = self.lower.ravel(), self.upper.ravel()
        return np.clip(low + rng.random((count, self.size)) * (high - low), low, high)

    def contains(self, points: FloatArray) -> BoolArray:
        inside = (points >= self.lower.ravel()) & (points <= self.upper.ravel())
        return np.asarray(inside.all(axis=1))

    def constraints(self) -> DomainRows:
        return _no_rows(self.size)


@dataclass(frozen=True, eq=False)
class Ball:
    """{x : ||x - center|| <= radius} in the L-infinity or L1 norm, cut to `clip` where given.

    Args:
        clip: (low, high), scalars or arrays: the ball is intersected with this box.

    Raises:
        InvalidInput: a negative or infinite radius, NaN, a ball that does not meet the clip.

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
        centre = _vector(self.center, "the centre of the ball").ravel()
        if not np.isfinite(centre).all():
            raise InvalidInput("the centre of the ball is not finite; give a point")
        if not (math.isfinite(self.radius) and self.radius >= 0):
            raise InvalidInput(f"the radius of the ball is {self.radius}; give a finite number >= 0")
        slop = numeric.UNIT * (np.abs(centre) + self.radius)
        low, high = centre - self.radius, centre + self.radius
        outer_low, outer_high = numeric.down(low, slop), numeric.up(high, slop)
        inner_low, inner_high = numeric.up(low, slop), numeric.down(high, slop)
        crossed = inner_low > inner_high
        inner_low, inner_high = np.where(crossed, centre, inner_low), np.where(crossed, centre, inner_high)
        if self.clip is not None:
            sides = [_vector(side, "the clip").ravel() for side in self.clip]
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
        slack = numeric.UNIT * (np.abs(self.center) + self._outer.magnitude)
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
            return _no_rows(self.size)
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
        matrix, limit = _vector(self.matrix, "the matrix"), _vector(self.limit, "the limit").ravel()
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
            size = (np.abs(coefficients) + price * np.abs(row)) @ self.box.magnitude + price[:, 0] * abs(limit)
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


@dataclass(frozen=True, slots=True, eq=False)
class LinearBounds:
    """`lower_slope * z + lower_offset <= f(z) <= upper_slope * z + upper_offset`, element by element, on an interval.

    All shapes (n,). True in exact arithmetic.
    """

    lower_slope: FloatArray
    lower_offset: FloatArray
    upper_slope: FloatArray
    upper_offset: FloatArray
