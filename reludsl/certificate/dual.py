"""A bound from duals that does not trust the solver which found them.

For any y:  c x = (c - A'y) x + y (A x), and both parts are bounded on the box and by the rows' sides:

    max c x <= sum_j max(d_j l_j, d_j u_j) + sum_i max(y_i row_lower_i, y_i row_upper_i),   d = c - A'y.

Good duals make it tight; wrong ones only make it loose. (Neumaier and Shcherbina 2004, Safe bounds in linear
and mixed-integer linear programming.) Rounding is bounded as everywhere in this library.
"""

from __future__ import annotations

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray, Matrix


def dual_bound(matrix: Matrix, cost: FloatArray, duals: FloatArray) -> float:
    """An upper bound of max cost x over the LP relaxation, true in exact arithmetic for any duals.

    Args:
        cost: shape (n,). For a minimum give -cost and -duals, and negate the answer.
        duals: shape (m,); components whose side is infinite count as 0.

    >>> from scipy import sparse
    >>> one = np.ones(1)
    >>> matrix = Matrix(sparse.csr_array(np.array([[1.0, 1.0]])), -np.inf * one, one, np.zeros(2), np.ones(2),
    ...                 np.zeros(2, dtype=bool))
    >>> round(dual_bound(matrix, np.array([1.0, 1.0]), one), 9)
    1.0
    """
    y = np.where(np.isfinite(duals), duals, 0.0)
    side = np.where(y > 0, matrix.row_upper, matrix.row_lower)
    y = np.where(np.isfinite(side), y, 0.0)
    side = np.where(y == 0, 0.0, side)
    reach = np.maximum(np.abs(matrix.lower), np.abs(matrix.upper))
    transposed = matrix.rows.T
    reduced = cost - transposed @ y
    terms = int(np.diff(matrix.rows.tocsc().indptr).max(initial=0))
    lost = numeric.gamma(terms + 1) * (np.abs(cost) + abs(transposed) @ np.abs(y))
    over_box = np.maximum(reduced * matrix.lower, reduced * matrix.upper)
    value = float(over_box.sum() + y @ side)
    size = float(np.abs(reduced) @ reach + np.abs(y) @ np.abs(side))
    error = (
        numeric.gamma(reach.size + y.size + 2) * size
        + float(numeric.inflated(lost @ reach))
        + numeric.underflow(terms + reach.size) * (1.0 + float(reach.sum()))
    )
    return float(numeric.up(np.asarray(value), error))
