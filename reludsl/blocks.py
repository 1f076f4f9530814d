"""The blocks of a program: columns, rows, disjunctions, the objective, each as arrays, one block per layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray, Sense


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A block of columns. Shapes (k,); printed as `name[0]`, `name[1]`, ..."""

    name: str
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray

    @property
    def size(self) -> int:
        return self.lower.size


def _in_order(matrix: sparse.csr_array) -> sparse.csr_array:
    """The same matrix with the columns of every row in order.

    scipy sorts a matrix in place when it needs that (`maximum`, `sum_duplicates`), its data too. Passes renumber
    columns and share the data: where those get out of step, the coefficients of another program change places.
    """
    if matrix.has_sorted_indices:
        return matrix
    ordered = matrix.copy()
    ordered.sort_indices()
    return ordered


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """`lower <= matrix @ x <= upper`, with matrix (k, columns of the program).

    Args:
        defines: (k,) the column that each row computes, -1 for a plain constraint. The row is an equation
            then, widened where coefficients were rounded or left out.
    """

    name: str
    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray
    defines: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _in_order(self.matrix))

    @property
    def size(self) -> int:
        return self.lower.size


@dataclass(frozen=True, slots=True, eq=False)
class Disjunctions:
    """A block of disjunctions: of each one, at least one branch holds; of a branch, all rows.

    Args:
        matrix: (rows, columns of the program), the rows of all branches of all disjunctions in order.
        lower, upper: what a row requires.
        reach_lower, reach_upper: proved range of the row's activity over the whole program; infinite where
            nothing better than the columns' bounds is known. The H constant of a row is the distance from
            its reach to its requirement.
        branches: (b + 1,) rows of branch k are branches[k] : branches[k + 1].
        starts: (d + 1,) branches of disjunction i are starts[i] : starts[i + 1].
        defines: (d,) the column that each disjunction computes, -1 for none.
    """

    name: str
    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray
    reach_lower: FloatArray
    reach_upper: FloatArray
    branches: IntArray
    starts: IntArray
    defines: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _in_order(self.matrix))

    @property
    def size(self) -> int:
        return self.starts.size - 1

    @property
    def branch_of_row(self) -> IntArray:
        """(rows,) index of the branch that holds each row."""
        return np.repeat(np.arange(self.branches.size - 1), np.diff(self.branches))

    @property
    def disjunction_of_branch(self) -> IntArray:
        """(b,) index of the disjunction that holds each branch."""
        return np.repeat(np.arange(self.size), np.diff(self.starts))

    def keep_branches(self, keep: BoolArray) -> Disjunctions:
        """The same disjunctions with some branches left out; a disjunction without branches disappears."""
        rows = keep[self.branch_of_row]
        counts = np.bincount(self.disjunction_of_branch[keep], minlength=self.size)
        lengths = np.diff(self.branches)[keep]
        return Disjunctions(
            self.name,
            self.matrix[rows],
            self.lower[rows],
            self.upper[rows],
            self.reach_lower[rows],
            self.reach_upper[rows],
            np.concatenate([[0], np.cumsum(lengths)]),
            np.concatenate([[0], np.cumsum(counts[counts > 0])]),
            self.defines[counts > 0],
        )


@dataclass(frozen=True, slots=True, eq=False)
class IndicatorRows:
    """`lower <= matrix @ x <= upper`, each row required only where its column has its value.

    Args:
        column: (k,) a binary column of the program for each row.
        value: (k,) False for 0, True for 1.
    """

    name: str
    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray
    column: IntArray
    value: BoolArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _in_order(self.matrix))

    @property
    def size(self) -> int:
        return self.lower.size

    @property
    def uses(self) -> sparse.csr_array:
        """(k, columns of the program), not 0 where a row mentions a column or is switched by it."""
        switch = sparse.csr_array((np.ones(self.size), (np.arange(self.size), self.column)), shape=self.matrix.shape)
        return sparse.csr_array(abs(self.matrix) + switch)


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """`sum value[k] * x[index[k]] + offset`, to be minimised or maximised."""

    index: IntArray
    value: FloatArray
    sense: Sense
    offset: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class AffineMap:
    """`matrix @ x + offset`, true up to `error` for every feasible x: what rounding the coefficients may have cost."""

    matrix: sparse.csr_array
    offset: FloatArray
    error: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", _in_order(self.matrix))

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.matrix @ x + self.offset)


def widened(matrix: sparse.csr_array, width: int) -> sparse.csr_array:
    """The same matrix with empty columns on its right."""
    return sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], width))


def activity(matrix: sparse.csr_array, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest value of each row over the box, rounded outward: sums of c l or c u by the sign of c."""
    positive, negative = matrix.maximum(0), matrix.minimum(0)
    terms = np.diff(matrix.indptr)
    size = abs(matrix) @ np.maximum(np.abs(lower), np.abs(upper))
    error = np.where(terms > 0, 2.0 * (terms + 2) * numeric.UNIT * size + numeric.FLOOR, 0.0)
    least = positive @ lower + negative @ upper
    most = positive @ upper + negative @ lower
    # one term with coefficient 1 or -1 is exact: bounds on a single column must come out as they went in
    single = (terms == 1) & (abs(matrix) @ np.ones(matrix.shape[1]) == 1.0)
    error = np.where(single, 0.0, error)
    return numeric.down(least, error), numeric.up(most, error)
