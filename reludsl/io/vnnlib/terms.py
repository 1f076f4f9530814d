"""Linear terms over the variables of a property, exact: constants are read as float64, and nothing is rounded after.

A coefficient is a float as long as nothing was computed with it, and a fraction from then on; `as_float` rounds it
to the nearest float64, once. So `(* 2.5 X_0)` has the coefficient 2.5, and `(+ 0.1 0.2)` is the float64 nearest to
the sum of the two float64 numbers, in whatever order and nesting a file adds its terms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from reludsl.errors import InvalidInput

Number = float | Fraction

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

_BITS = 20_000
"""More digits than that no product of a few float64 numbers has."""


@dataclass(slots=True)
class Linear:
    """sum of coefficient * column, plus a constant. Terms are used up when they are combined."""

    constant: Number
    terms: dict[int, Number]


def number(token: str) -> float | None:
    """The float64 nearest to a decimal, infinite where float64 does not reach; None for what is no number.

    >>> number("-1.5e-3"), number("X_0"), number("nan"), number("1e999")
    (-0.0015, None, None, inf)
    """
    return None if _NUMBER.fullmatch(token) is None else float(token)


def as_float(value: Number) -> float:
    """The nearest float64.

    Raises:
        InvalidInput: larger than float64 holds.
    """
    try:
        return float(value)
    except OverflowError:
        raise InvalidInput("a coefficient is larger than float64 holds, about 1.8e308; scale the property") from None


def plus(left: Linear, right: Linear) -> Linear:
    """left + right."""
    if len(left.terms) < len(right.terms):
        left, right = right, left
    for column, value in right.terms.items():
        held = left.terms.get(column)
        left.terms[column] = value if held is None else _sum(held, value)
    left.constant = _sum(left.constant, right.constant)
    return left


def times(linear: Linear, factor: Number) -> Linear:
    """linear * factor."""
    if factor != 1:
        linear.constant = _product(linear.constant, factor)
        for column, value in linear.terms.items():
            linear.terms[column] = _product(value, factor)
    return linear


def _sum(a: Number, b: Number) -> Number:
    return b if a == 0 else a if b == 0 else _short(Fraction(a) + Fraction(b))


def _product(a: Number, b: Number) -> Number:
    if b == -1:
        return -a
    return b if a == 1 else -b if a == -1 else _short(Fraction(a) * Fraction(b))


def _short(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > _BITS:
        raise InvalidInput("a number here has thousands of digits, which float64 cannot hold; simplify the term")
    return value
