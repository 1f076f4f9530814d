"""Lines and exponentials through what was measured."""

from __future__ import annotations

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
