"""Proofs in rationals that a system of inequalities has no solution: multipliers found in floats, solved again exactly.

    { x : slopes x + constants > 0, low <= x <= high }  is empty  <=>  lam, mu, nu >= 0 exist, sum lam = 1, with
    sum lam (slopes x + constants) + sum mu (x - low) + sum nu (high - x) = -s <= 0   for all x

(Farkas, or Motzkin 1936, Transposition theorem.) Non-negative least squares find a basic solution in floats: which
multipliers are positive. These are the solution of a small linear system, which is solved in rationals.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy import optimize

from reludsl.backend import BoolArray
from reludsl.exact import ExactArray, exactly


def refuted(
    slopes: ExactArray, constants: ExactArray, counted: BoolArray, low: Sequence[Fraction], high: Sequence[Fraction]
) -> bool:
    """Whether multipliers prove that no x leaves all rows behind that count and meets the others. False says nothing.

    Args:
        slopes: (r, n) and constants: (r,) fractions; counted: (r,) rows that shall be above 0, the others at least 0.
        low, high: (n,)

    >>> rows, one = exactly(np.array([[1.0, 1.0], [-1.0, -1.0]])), [Fraction(1), Fraction(1)]
    >>> refuted(rows, exactly(np.array([0.0, 0.0])), np.array([True, True]), [-one[0], -one[1]], one)
    True
    >>> refuted(rows, exactly(np.array([1.0, 0.0])), np.array([True, True]), [-one[0], -one[1]], one)
    False
    """
    if not counted.any():
        return False
    n = slopes.shape[1]
    eye, zero = exactly(np.eye(n)), exactly(np.zeros(1))[0]
    sides = [np.array([-v for v in low], dtype=object), np.array(list(high), dtype=object)]
    # columns: rows, lower sides, upper sides, and s; rows: coefficients of x, the constant, and the sum of lam
    coefficients = np.concatenate([slopes.T, eye, -eye, exactly(np.zeros((n, 1)))], axis=1)
    constant = np.concatenate([constants, *sides, [zero + 1]])
    share = np.concatenate([exactly(counted.astype(np.float64)), exactly(np.zeros(2 * n + 1))])
    system = np.concatenate([coefficients, constant[None], share[None]])
    target = exactly(np.append(np.zeros(n + 1), 1.0))
    floats = system.astype(np.float64)
    # columns of one scale, so that a tolerance means the same for each
    scale = np.maximum(np.abs(floats).max(axis=0), 1e-300)
    try:
        found, residual = optimize.nnls(floats / scale, target.astype(np.float64))
    except RuntimeError:
        # no basic solution within its steps: nothing is proved
        return False
    if residual > 1e-9:
        return False
    used = np.flatnonzero(found > 0)
    solved = solution(system[:, used], target)
    return solved is not None and all(v >= 0 for v in solved)


def solution(matrix: ExactArray, target: ExactArray) -> ExactArray | None:
    """x with matrix x = target in rationals, where columns are independent; None where there is none, or several.

    >>> solution(exactly(np.array([[2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])), exactly(np.array([1.0, 1.0, 2.0])))
    array([Fraction(1, 2), Fraction(1, 4)], dtype=object)
    """
    rows = [[*row, value] for row, value in zip(matrix.tolist(), target.tolist())]
    columns = matrix.shape[1]
    for column in range(columns):
        pivot = next((k for k in range(column, len(rows)) if rows[k][column] != 0), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        first = rows[column][column]
        rows[column] = [v / first for v in rows[column]]
        for k, row in enumerate(rows):
            if k != column and row[column] != 0:
                factor = row[column]
                rows[k] = [a - factor * b for a, b in zip(row, rows[column])]
    if any(row[columns] != 0 for row in rows[columns:]):
        return None
    out = np.empty(columns, dtype=object)
    out[:] = [row[columns] for row in rows[:columns]]
    return out
