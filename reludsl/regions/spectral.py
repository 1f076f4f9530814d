"""The largest singular value of a matrix, from above."""

from __future__ import annotations

import math

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray

ROUNDS = 3
"""Squarings: the bound is the Schatten norm of order 2^(ROUNDS + 1), too large by rank^(1 / 16) at most."""


def spectral_bound(matrix: FloatArray, rounds: int = ROUNDS) -> float:
    """An upper bound of |M|_2, in exact arithmetic: |M|_2^2 = |M M^T|_2, and |M|_2 <= |M|_F in the end.

    What rounding M M^T loses is a matrix of at most gamma(n) |M|_F^2.

    >>> m = np.random.default_rng(0).normal(size=(50, 100))
    >>> bool(1 <= spectral_bound(m) / np.linalg.norm(m, 2) < 1.2)
    True
    """
    whole = float(np.linalg.norm(matrix)) * (1 + 1e-9)
    if rounds == 0 or not 1e-75 < whole < 1e75:
        return whole
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    squared = spectral_bound(short @ short.T, rounds - 1) + numeric.gamma(short.shape[1]) * whole**2
    return math.sqrt(squared) * (1 + 1e-9)
