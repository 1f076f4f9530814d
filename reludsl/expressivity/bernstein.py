"""Polynomials in one or two unknowns, and their Bernstein coefficients on simplices, computed exactly.

Floats are integers times powers of 2, so that on integers of any length nothing is lost. In float arithmetic what
cancels is gone: the coefficients of a Chebyshev polynomial of degree 20 are 10^7 times as large as its values.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.exact import ExactArray

Form = Mapping[tuple[int, ...], ExactArray]
"""A homogeneous polynomial in barycentric coordinates, one of each simplex: exponents -> (m,) coefficients."""

BLOCK = 4096
"""Simplices at once: integers of any length take room."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """sum_t c_t x^(e_t): coefficients (t,), exponents (t, D) for D coordinates."""

    coefficients: FloatArray
    exponents: IntArray

    @property
    def degree(self) -> int:
        """At least 2, so that there are second derivatives."""
        return max(2, int(self.exponents.sum(axis=1).max(initial=0)))

    def size(self, magnitude: FloatArray) -> FloatArray:
        """sum_t |c_t| X^(e_t), with X (..., D) the largest |x|."""
        top = int(self.exponents.max(initial=0))
        ones = np.ones((1, *magnitude.shape))
        with np.errstate(over="ignore"):
            table = np.cumprod(np.concatenate([ones, np.repeat(magnitude[None], top, axis=0)]), axis=0)
            columns = [table[self.exponents[:, k], ..., k] for k in range(magnitude.shape[-1])]
            return np.asarray(np.abs(self.coefficients) @ np.prod(columns, axis=0))


class Tables(NamedTuple):
    """What belongs to a degree n and a dimension d.

    Args:
        exponents: (N, d + 1) the a, |a| = n; multinomials: (N,) n! / a!.
        gradients: (M, d, N) and hessians: (K, d, d, N) Bernstein coefficients -> those of the derivatives.
        lower: exponents (M, d + 1) and multinomials (M,) of degree n - 1.
    """

    exponents: IntArray
    multinomials: FloatArray
    gradients: FloatArray
    hessians: FloatArray
    lower: tuple[IntArray, FloatArray]


def _exponents(degree: int, d: int) -> list[tuple[int, ...]]:
    return [a for a in itertools.product(range(degree + 1), repeat=d + 1) if sum(a) == degree]


def _multinomial(a: tuple[int, ...]) -> int:
    return math.factorial(sum(a)) // math.prod(map(math.factorial, a))


@cache
def tables(degree: int, d: int) -> Tables:
    """See `Tables`."""
    own = _exponents(degree, d)
    place = {a: k for k, a in enumerate(own)}
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
    return Tables(np.array(own), np.array([float(_multinomial(a)) for a in own]), gradients, hessians, lower)


def coefficients(terms: Terms, gradient: FloatArray, constant: FloatArray, corners: FloatArray) -> FloatArray:
    """Bernstein coefficients of p(x) - x . gradient - constant on every simplex, each rounded once, to the nearest.

    What is no number, or too large for a float, is NaN.

    Args:
        gradient: (m, D), constant: (m,) of each simplex; corners: (m, d + 1, D).

    Returns:
        (m, N), in the order of `tables`.
    """
    found = np.full((len(corners), len(_exponents(terms.degree, corners.shape[1] - 1))), np.nan)
    finite = np.isfinite(gradient).all(axis=1) & np.isfinite(constant) & np.isfinite(corners).all(axis=(1, 2))
    good = np.flatnonzero(finite)
    for which in np.split(good, range(BLOCK, len(good), BLOCK)):
        found[which] = _coefficients(terms, gradient[which], constant[which], corners[which])
    return found


def _coefficients(terms: Terms, gradient: FloatArray, constant: FloatArray, corners: FloatArray) -> FloatArray:
    n, (m, vertices, dimension) = terms.degree, corners.shape
    linear = np.column_stack([constant, gradient])
    factors, down = _integers(np.concatenate([terms.coefficients, linear.ravel()]))
    x, shift = _integers(corners)
    table: dict[tuple[int, ...], ExactArray | int] = {}
    for e, c in zip(terms.exponents.tolist(), factors):
        table[tuple(e)] = table.get(tuple(e), 0) + c
    affine = factors[len(terms.coefficients) :].reshape(m, dimension + 1)
    for e, column in zip(np.vstack([np.zeros((1, dimension), int), np.eye(dimension, dtype=int)]).tolist(), affine.T):
        table[tuple(e)] = table.get(tuple(e), 0) - column
    form = _substituted(table, n, x, 1 << shift)
    own = _exponents(n, vertices - 1)
    # of two integers, / is rounded to the nearest float
    return np.stack([_quotients(form[a], _multinomial(a) << (down + shift * n)) for a in own], axis=1)


def _substituted(table: Mapping[tuple[int, ...], ExactArray | int], n: int, x: ExactArray, one: int) -> Form:
    """sum_e c_e L^e U^(n - |e|) by Horner's rule, the last coordinate first: L are the coordinates of the points
    sum_i l_i x_i, x (m, d + 1, D), and U is `one` times the sum of the l_i."""
    if not x.shape[2]:
        return {a: c * (one**n * _multinomial(a)) for c in table.values() for a in _exponents(n, x.shape[1] - 1)}
    form: dict[tuple[int, ...], ExactArray] = {}
    for power in range(max((e[-1] for e in table), default=0), -1, -1):
        form = _times(form, x[:, :, -1])
        part = {e[:-1]: c for e, c in table.items() if e[-1] == power}
        for a, c in _substituted(part, n - power, x[:, :, :-1], one).items():
            form[a] = form[a] + c if a in form else c
    return form


def _times(form: Form, x: ExactArray) -> dict[tuple[int, ...], ExactArray]:
    """By sum_i l_i x_i, x (m, d + 1)."""
    found: dict[tuple[int, ...], ExactArray] = {}
    for a, c in form.items():
        for k, column in enumerate(x.T):
            raised = (*a[:k], a[k] + 1, *a[k + 1 :])
            found[raised] = found[raised] + c * column if raised in found else c * column
    return found


def _integers(values: FloatArray) -> tuple[ExactArray, int]:
    """Integers, and the least k >= 0, with values = integers / 2^k."""
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    zeros = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    power = np.where(whole == 0, 0, exponent - 53 + zeros)
    least = min(0, int(power.min(initial=0)))
    return (whole >> np.maximum(zeros, 0)).astype(object) << (power - least).astype(object), -least


def _quotient(numerator: int, denominator: int) -> float:
    try:
        return numerator / denominator
    except OverflowError:
        return math.nan


_quotients = np.frompyfunc(_quotient, 2, 1)
