"""Ideal cuts: the hull of a ReLU over its inputs without copies, one row at a time (Anderson et al. 2020).

For y = max(0, w h + b), L <= h <= U, delta = 1 when active, Lh_i = L_i where w_i >= 0, else U_i, Uh_i the other:

    y <= sum_{i in I} w_i (h_i - Lh_i (1 - delta)) + (b + sum_{i not in I} w_i Uh_i) delta      for every set I

With big-M these rows, 2^n of them, are the convex hull. The one that a point violates most takes the smaller of its two
terms for every i: I = {i : w_i h_i - w_i Lh_i (1 - delta) < w_i Uh_i delta}, found in one pass over the weights.

A row is valid by two facts: delta = 0 makes y <= 0 and delta = 1 makes y <= w h + b. Written with A = sum_I w_i Lh_i
and B = b + sum_{not I} w_i Uh_i it is y - sum_I w_i h_i - (A + B) delta <= -A; A is rounded down, B and A + B are
rounded up, and then both cases still hold in exact arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray, Matrix, Rows, Session, Status
from reludsl.errors import InvalidInput
from reludsl.passes.big_m import switch_columns
from reludsl.passes.formulation import Formulation
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


def separate(layer: Neurons, x: FloatArray, most: int) -> Rows:
    """The most violated row of every neuron at a point, of those violated at all the `most` worst.

    >>> one = np.ones(1)
    >>> layer = Neurons(np.array([2]), np.array([3]), sparse.csr_array(np.array([[1.0, -1.0, 0.0, 0.0]])), 0 * one,
    ...                 np.zeros(4), np.ones(4))
    >>> rows = separate(layer, np.array([0.25, 0.5, 0.5, 0.5]), 10)
    >>> (rows.matrix.toarray().round(9) + 0.0).tolist(), (rows.upper.round(9) + 0.0).tolist()
    ([[-1.0, 0.0, 1.0, 0.0]], [0.0])
    """
    w, column = layer.weights.data, layer.weights.indices
    row = np.repeat(np.arange(layer.size), np.diff(layer.weights.indptr))
    least = np.where(w >= 0, w * layer.lower[column], w * layer.upper[column])
    greatest = np.where(w >= 0, w * layer.upper[column], w * layer.lower[column])
    delta = x[layer.binary]
    inside, outside = w * x[column] - least * (1 - delta[row]), greatest * delta[row]
    chosen = inside < outside
    side = np.bincount(row, np.minimum(inside, outside), layer.size) + layer.bias * delta
    violation = x[layer.y] - side
    violated = np.flatnonzero(violation > VIOLATION * np.maximum(1.0, layer.upper[layer.y]))
    worst = np.sort(violated[np.argsort(-violation[violated], kind="stable")[:most]])
    return _rows(layer, worst, row, chosen, least, greatest)


def _rows(
    layer: Neurons,
    which: IntArray,
    row: IntArray,
    chosen: np.ndarray[tuple[int], np.dtype[np.bool_]],
    least: FloatArray,
    greatest: FloatArray,
) -> Rows:
    """The rows of the sets `chosen` for some neurons, rounded outward."""
    place = np.full(layer.size, -1, dtype=np.int64)
    place[which] = np.arange(which.size)
    count, width = which.size, layer.weights.shape[1]
    here = place[row] >= 0
    inside, outside = here & chosen, here & ~chosen
    below = _sum(least[inside], place[row[inside]], np.zeros(count))
    above = _sum(greatest[outside], place[row[outside]], layer.bias[which])
    a, b = numeric.down(*below), numeric.up(*above)
    matrix = sparse.csr_array(
        (
            np.concatenate([np.ones(count), -numeric.plus_up(a, b), -layer.weights.data[inside]]),
            (
                np.concatenate([np.arange(count), np.arange(count), place[row[inside]]]),
                np.concatenate([layer.y[which], layer.binary[which], layer.weights.indices[inside]]),
            ),
        ),
        shape=(count, width),
    )
    return Rows(matrix, np.full(count, -np.inf), -a)


def _sum(terms: FloatArray, row: IntArray, constant: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sums of rounded products per row, and a bound on what rounding costs; 0 for a constant alone."""
    count = np.bincount(row, minlength=constant.size)
    total = np.bincount(row, terms, constant.size) + constant
    size = np.bincount(row, np.abs(terms), constant.size) + np.abs(constant)
    error = 2.0 * (count + 4) * numeric.UNIT * size + (count + 4) * numeric.FLOOR
    return total, np.where(count > 0, error, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Tightened:
    """What rounds of cuts made of a session's program.

    Args:
        matrix: the program with the rows added; bounds: that of every LP solved, in order.
        seconds: spent in all.
    """

    matrix: Matrix
    bounds: tuple[float, ...]
    seconds: float


def tighten(
    session: Session,
    matrix: Matrix,
    layers: Sequence[tuple[Neurons, Formulation]],
    time_limit: float | None = None,
) -> Tightened:
    """Rounds for the objective that is set: solve the relaxation, add the rows that its point violates most.

    The rows are right for every objective, and stay. Ends when no row is violated, after the rounds of the
    formulation, at the time limit, or when an LP is not solved.

    Args:
        matrix: what the session holds, rows of earlier calls included.
        layers: from `reludsl.passes.lower_with_neurons`.
    """
    began = time.perf_counter()
    bounds: list[float] = []
    for turn in range(max((form.rounds for _, form in layers), default=0)):
        left = None if time_limit is None else time_limit - (time.perf_counter() - began)
        if left is not None and left <= 0:
            break
        result = session.solve(relax=True, time_limit=left)
        if result.status is not Status.OPTIMAL or result.x is None:
            break
        if result.objective is not None:
            bounds.append(result.objective)
        found = [separate(layer, result.x, form.per_round) for layer, form in layers if turn < form.rounds]
        rows = Rows(
            sparse.csr_array(sparse.vstack([r.matrix for r in found], format="csr")),
            np.concatenate([r.lower for r in found]),
            np.concatenate([r.upper for r in found]),
        )
        if not rows.lower.size:
            break
        session.add_rows(rows)
        matrix = replace(
            matrix,
            rows=sparse.csr_array(sparse.vstack([matrix.rows, rows.matrix], format="csr")),
            row_lower=np.concatenate([matrix.row_lower, rows.lower]),
            row_upper=np.concatenate([matrix.row_upper, rows.upper]),
        )
    return Tightened(matrix, tuple(bounds), time.perf_counter() - began)
