"""Lines and exponentials through what was measured, and bounds of it in words."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.published.study import Fit, linear_fit


def line_through(x: ArrayLike, y: ArrayLike) -> Fit:
    """Least squares; through fewer than three points, or where x or y is constant, a level line that explains nothing.

    >>> line_through([1.0, 2.0, 3.0], [5.0, 5.0, 5.0])
    Fit(slope=0.0, offset=5.0, r_squared=0.0)
    """
    return linear_fit(x, y) or Fit(0.0, float(np.asarray(y, dtype=np.float64).mean()), 0.0)


def exponential(values: ArrayLike) -> tuple[float, float]:
    """The factor from one value to the next, by a line through their logarithms, and R^2 of that line.

    >>> factor, r_squared = exponential([3.0, 6.0, 12.0, 24.0])
    >>> round(factor, 6), r_squared
    (2.0, 1.0)
    """
    logs = np.log(values)
    found = line_through(np.arange(len(logs)), logs)
    return float(np.exp(found.slope)), found.r_squared


def at_least(value: float, digits: int) -> str:
    """A decimal number that the value is at least: the nearest one may be larger than it.

    >>> at_least(0.9986, 3), at_least(0.9, 2), at_least(-0.487, 2)
    ('0.998', '0.90', '-0.49')
    """
    return _decimal(value, digits, ROUND_FLOOR)


def at_most(value: float, digits: int) -> str:
    """A decimal number that the value is at most.

    >>> at_most(-0.9078, 2), at_most(0.1, 1)
    ('-0.90', '0.1')
    """
    return _decimal(value, digits, ROUND_CEILING)


def _decimal(value: float, digits: int, rounding: str) -> str:
    """Of its first nine digits, as those beyond are rounding errors."""
    return str(Decimal(f"{value:.9f}").quantize(Decimal(1).scaleb(-digits), rounding))
