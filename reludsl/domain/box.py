"""A box: lower <= x <= upper."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray
from reludsl.domain.base import DomainRows, no_rows, vector
from reludsl.errors import InvalidInput, SolverFailed


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
        low, high = vector(lower, "the lower bound"), vector(upper, "the upper bound")
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
    def is_box(self) -> bool:
        return True

    @property
    def magnitude(self) -> FloatArray:
        """max |x| over the box, coordinate by coordinate."""
        return np.maximum(np.abs(self.lower), np.abs(self.upper))

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
        radius = numeric.up(np.maximum(high - centre, centre - low), numeric.UNIT * self.magnitude.ravel())
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
        return no_rows(self.size)
