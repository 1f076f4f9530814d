"""Polynomials in one or two unknowns, and tables that turn their values on a simplex into Bernstein coefficients."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from reludsl.backend import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """sum_t c_t x^(e_t): coefficients (t,), exponents (t, D) for D coordinates."""

    coefficients: FloatArray
    exponents: IntArray

    @property
    def degree(self) -> int:
        """At least 2, so that there are second derivatives."""
        return max(2, int(self.exponents.sum(axis=1).max(initial=0)))

    def __call__(self, x: FloatArray) -> FloatArray:
        """(..., D) -> (...)."""
        return self._powers(x) @ self.coefficients

    def size(self, magnitude: FloatArray) -> FloatArray:
        """sum_t |c_t| X^(e_t), with X (..., D) the largest |x|."""
        return self._powers(magnitude) @ np.abs(self.coefficients)

    def _powers(self, x: FloatArray) -> FloatArray:
        top = int(self.exponents.max(initial=0))
        table = np.cumprod(np.concatenate([np.ones((1, *x.shape)), np.broadcast_to(x, (top, *x.shape))]), axis=0)
        columns = [table[self.exponents[:, k], ..., k] for k in range(x.shape[-1])]
        return np.moveaxis(np.prod(columns, axis=0), 0, -1)


class Tables(NamedTuple):
    """What belongs to a degree n and a dimension d.

    Args:
        lattice: (N, d + 1) barycentric coordinates of the points a / n.
        exponents: (N, d + 1) the a; multinomials: (N,) n! / a!.
        coefficients: (N, N) values on the lattice -> Bernstein coefficients; norm: sum of |.| along its worst row.
        gradients: (M, d, N) and hessians: (K, d, d, N) Bernstein coefficients -> those of the derivatives.
        lower: exponents (M, d + 1) and multinomials (M,) of degree n - 1.
    """

    lattice: FloatArray
    exponents: IntArray
    multinomials: FloatArray
    coefficients: FloatArray
    norm: float
    gradients: FloatArray
    hessians: FloatArray
    lower: tuple[IntArray, FloatArray]


def _exponents(degree: int, d: int) -> list[tuple[int, ...]]:
    return [a for a in itertools.product(range(degree + 1), repeat=d + 1) if sum(a) == degree]


def _multinomial(a: tuple[int, ...]) -> int:
    return math.factorial(sum(a)) // math.prod(map(math.factorial, a))


@cache
def tables(degree: int, d: int) -> Tables:
    """See `Tables`. The inverse is solved in rationals."""
    own = _exponents(degree, d)
    place = {a: k for k, a in enumerate(own)}
    matrix = [
        [
            _multinomial(a) * math.prod((Fraction(p, degree) ** e for p, e in zip(point, a)), start=Fraction(1))
            for a in own
        ]
        for point in own
    ]
    inverse = np.array(_inverse(matrix), dtype=np.float64)
    less, least = _exponents(degree - 1, d), _exponents(degree - 2, d)

    def raised(a: tuple[int, ...], *corners: int) -> int:
        return place[tuple(e + corners.count(k) for k, e in enumerate(a))]

    gradients = np.zeros((len(less), d, len(own)))
    for row, a in enumerate(less):
        for k in range(d):
            gradients[row, k, raised(a, k + 1)] += degree
            gradients[row, k, raised(a, 0)] -= degree
    hessians = np.zeros((len(least), d, d, len(own)))
    for row, a in enumerate(least):
        for j, k in itertools.product(range(d), repeat=2):
            for corners, sign in (((j + 1, k + 1), 1), ((j + 1, 0), -1), ((0, k + 1), -1), ((0, 0), 1)):
                hessians[row, j, k, raised(a, *corners)] += sign * degree * (degree - 1)
    lower = np.array(less), np.array([float(_multinomial(a)) for a in less])
    exponents = np.array(own)
    return Tables(
        exponents / degree,
        exponents,
        np.array([float(_multinomial(a)) for a in own]),
        inverse,
        float(np.abs(inverse).sum(axis=1).max()),
        gradients,
        hessians,
        lower,
    )


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Gauss and Jordan; the matrix is positive on its diagonal, and small."""
    n = len(matrix)
    rows = [[*row, *(Fraction(int(i == k)) for k in range(n))] for i, row in enumerate(matrix)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(n):
            if i != k and rows[i][k]:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[k])]
    return [row[n:] for row in rows]
