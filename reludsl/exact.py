"""Exact rational arithmetic on arrays, for near ties and for tests.

A float64 is a rational number m 2^e. Arrays of `fractions.Fraction` (dtype object) therefore hold weights,
inputs and every value of a piecewise-linear network without any error. Slow, so that the library turns to
it only where float bounds leave a sign open.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray

ExactArray = npt.NDArray[Any]
"""An array of dtype object that holds `Fraction` or `int`."""


def exactly(values: FloatArray) -> ExactArray:
    """The same numbers as Fractions.

    >>> exactly(np.array([0.5, 0.1]))[0]
    Fraction(1, 2)
    """
    flat = np.empty(values.size, dtype=object)
    for k, value in enumerate(np.asarray(values, dtype=np.float64).ravel().tolist()):
        flat[k] = Fraction(value)
    return flat.reshape(values.shape)


def rounded_up(value: Fraction) -> float:
    """The smallest float64 that is not below `value`."""
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else float(np.nextafter(nearest, np.inf))
