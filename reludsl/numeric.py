"""Outward rounding: float arithmetic that stays true in exact arithmetic.

Float weights are exact rationals, so every claim about a network has a meaning in exact arithmetic. The
bounds of this library are computed in float64 and widened by a proved bound on the rounding error:

    |fl(sum of n products a_k b_k) - sum a_k b_k| <= gamma(n) * sum |a_k b_k|

for any order of summation and with or without fused multiply-add (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., section 3.1 and 4.2). `gamma` carries a factor of two in hand, which covers
the rounding of the error bound itself. Products that underflow are covered by `underflow`.
"""

from __future__ import annotations

import math

import numpy as np

from reludsl.backend import BoolArray, FloatArray

UNIT = 2.0**-53
"""Unit roundoff of float64."""

FLOOR = 2.0**-960
"""Stands for every quantity lost to underflow: 2^-1075 per product, times what a later layer may scale it by."""


def gamma(terms: int) -> float:
    """Relative error bound of a sum of `terms` products: 2 (terms + 2) u.

    >>> gamma(1) < 1e-15
    True
    """
    return 2.0 * (terms + 2) * UNIT


def underflow(terms: int) -> float:
    """Absolute error bound for the underflow of `terms` products."""
    return (terms + 2) * FLOOR


def up(value: FloatArray, error: FloatArray | float = 0.0) -> FloatArray:
    """An upper bound of `value + error` in exact arithmetic: the next float above the rounded sum.

    Where nothing was added the value is returned unchanged: it is exact then.
    """
    total = value + error
    return np.asarray(np.where(np.equal(error, 0.0), total, np.nextafter(total, np.inf)))


def inflated(value: FloatArray) -> FloatArray:
    """An upper bound of a sum or product of nonnegative floats whose rounded value is given.

    A sum of n nonnegative terms is too small by a factor of 1 - gamma(n) at most; 1e-9 covers a million of them.
    """
    return np.asarray(value * (1 + 1e-9))


def sum_up(*terms: float) -> float:
    """An upper bound of the sum of some floats in exact arithmetic."""
    total = math.fsum(terms)
    return total if math.isinf(total) else math.nextafter(total, math.inf)


def sum_down(*terms: float) -> float:
    """A lower bound of the sum of some floats in exact arithmetic."""
    return -sum_up(*(-t for t in terms))


def exact_sum(a: FloatArray, b: FloatArray) -> BoolArray:
    """Where a + b is free of rounding: the float sum gives both terms back (Knuth's two-sum)."""
    with np.errstate(invalid="ignore"):
        # an infinite side is no sum of floats: inf - inf is NaN, and not exact
        total = a + b
        return np.asarray((total - a == b) & (total - b == a))


def plus_up(a: FloatArray, b: FloatArray) -> FloatArray:
    """a + b rounded up; unchanged where the float sum is exact."""
    return np.where(exact_sum(a, b), a + b, np.nextafter(a + b, np.inf))


def plus_down(a: FloatArray, b: FloatArray) -> FloatArray:
    """a + b rounded down; unchanged where the float sum is exact."""
    return np.where(exact_sum(a, b), a + b, np.nextafter(a + b, -np.inf))


def down(value: FloatArray, error: FloatArray | float = 0.0) -> FloatArray:
    """A lower bound of `value - error` in exact arithmetic (see `up`)."""
    total = value - error
    return np.asarray(np.where(np.equal(error, 0.0), total, np.nextafter(total, -np.inf)))
