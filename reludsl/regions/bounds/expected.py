"""How many regions a random network is expected to have."""

from __future__ import annotations

import math
from fractions import Fraction

from reludsl.errors import InvalidInput


def hanin_rolnick(inputs: int, neurons: int, transitions: float) -> Fraction:
    """(T N)^n / n! for N >= n, else 2^N: expected activation regions per volume of a large cube, as a Fraction.

    T is no number of the theorem: it comes from bounds on the densities of biases and on the moments of gradients at
    initialisation, both of which depend on the distribution of the weights. So it is an argument. For N < n the
    number of regions itself is at most 2^N.

    Raises:
        InvalidInput: T is not a positive number.

    Source: Hanin and Rolnick 2019, Deep ReLU networks have surprisingly few activation patterns, Theorem 5.

    >>> hanin_rolnick(2, 256, 1.0), hanin_rolnick(3, 2, 1.0)
    (Fraction(32768, 1), Fraction(4, 1))
    """
    if not (math.isfinite(transitions) and transitions > 0):
        raise InvalidInput(
            f"T is {transitions}; it scales the expected number of regions: give a positive number, e.g. 1"
        )
    if neurons < inputs:
        return Fraction(2**neurons)
    return Fraction(Fraction(transitions) * neurons) ** inputs / math.factorial(inputs)
