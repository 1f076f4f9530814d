"""The ReLUs of a lowered program over their inputs: what cuts are separated for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.passes.big_m import switch_columns
from reludsl.passes.partition import defining_rows
from reludsl.program import Disjunctions, Program, widened

VIOLATION = 1e-5
"""Rows that are violated by less, relative to the neuron's largest value, are not added."""


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """ReLUs of one layer in a lowered program: y = max(0, weights @ x + bias), `binary` 1 where active.

    Args:
        y, binary: (k,) positions of columns.
        weights: (k, columns); bias: (k,), the most that a row widened by rounding allows.
        lower, upper: (columns,) bounds of all columns.
    """

    y: IntArray
    binary: IntArray
    weights: sparse.csr_array
    bias: FloatArray
    lower: FloatArray
    upper: FloatArray

    @property
    def size(self) -> int:
        return self.y.size

    @property
    def owner(self) -> IntArray:
        """The neuron that each weight belongs to."""
        return np.repeat(np.arange(self.size), np.diff(self.weights.indptr))

    @property
    def products(self) -> tuple[FloatArray, FloatArray]:
        """The least and the greatest value of every product w_i h_i, rounded to nearest."""
        w, column = self.weights.data, self.weights.indices
        ends = w * self.lower[column], w * self.upper[column]
        return np.minimum(*ends), np.maximum(*ends)

    def worst(self, violation: FloatArray, most: int) -> IntArray:
        """The neurons whose rows a point violates most, in order; at most so many, and none that it hardly violates."""
        violated = np.flatnonzero(violation > VIOLATION * np.maximum(1.0, self.upper[self.y]))
        return np.sort(violated[np.argsort(-violation[violated], kind="stable")[:most]])


def neurons(program: Program, lowered: Program, name: str) -> Neurons:
    """The ReLUs among a block of disjunctions that big-M lowered.

    Disjunctions of another kind, and columns that no row defines, are left out.

    Args:
        lowered: what big-M made of the program: it appends columns, so that positions stay.

    Raises:
        InvalidInput: no block of disjunctions has the name.
    """
    groups = {group.name: group for group in program.disjunctions}
    if name not in groups:
        raise InvalidInput(f"no disjunctions are called {name!r}, so there are no neurons; there are {list(groups)}")
    group = groups[name]
    found, z = _relus(group)
    rows = defining_rows(program, (name,))
    row_of = np.full(program.size, -1, dtype=np.int64)
    row_of[rows.column] = np.arange(rows.column.size)
    known = row_of[z] >= 0
    found, row = found[known], row_of[z[known]]
    return Neurons(
        group.defines[found],
        switch_columns(group, lowered.where(f"{name}.on").start).column[group.starts[found]],
        widened(sparse.csr_array(rows.terms[row]), lowered.size),
        rows.upper[row],
        lowered.lower,
        lowered.upper,
    )


def _relus(group: Disjunctions) -> tuple[IntArray, IntArray]:
    """Disjunctions of the form {y = 0} {y - z = 0} with y their own column, and the z of each."""
    two = np.diff(group.starts) == 2
    first = group.starts[:-1][two]
    single = (np.diff(group.branches)[first] == 1) & (np.diff(group.branches)[first + 1] == 1)
    at, first = np.flatnonzero(two)[single], first[single]
    off, on = group.branches[first], group.branches[first + 1]
    zero = (group.lower == 0) & (group.upper == 0)
    terms = np.diff(group.matrix.indptr)
    fits = zero[off] & zero[on] & (terms[off] == 1) & (terms[on] == 2) & (group.defines[at] >= 0)
    at, off, on = at[fits], off[fits], on[fits]
    y = group.defines[at]
    entry = group.matrix.indptr[:-1]
    index, value = group.matrix.indices, group.matrix.data
    left, right = entry[on], entry[on] + 1
    y_left = index[left] == y
    z = np.where(y_left, index[right], index[left])
    own, other = np.where(y_left, value[left], value[right]), np.where(y_left, value[right], value[left])
    relu = (index[entry[off]] == y) & (y_left | (index[right] == y)) & (own == 1) & (other == -1)
    return at[relu], z[relu]


def rounded_sum(terms: FloatArray, row: IntArray, constant: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of rounded products per row, and a bound on what rounding costs; 0 for a constant alone."""
    count = np.bincount(row, minlength=constant.size)
    total = np.bincount(row, terms, constant.size) + constant
    size = np.bincount(row, np.abs(terms), constant.size) + np.abs(constant)
    error = 2.0 * (count + 4) * numeric.UNIT * size + (count + 4) * numeric.FLOOR
    return total, np.where(count > 0, error, 0.0)
