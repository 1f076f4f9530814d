"""Substitute columns that an equation defines and no disjunction mentions.

A stable neuron's y = s z + c and z = W h + b both go: its row is folded into the rows that use it, as W' s W.
The pre-activation of an unstable neuron stays a column, so that its dense row stands in the program once and
the disjunction refers to the column.

The bounds of a defined column follow from the rest of the program (see `Program`), so that they go with it.
The trace remembers every substituted column as an affine function of those that stay. Products of coefficients
are rounded: each row is widened by what that may cost (it is no equation any more then), the trace carries it.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.program import AffineMap, Columns, Disjunctions, Objective, Program, RowBlock


def substitute(program: Program) -> Program:
    """The same program without the columns that an equation defines and no disjunction needs.

    >>> program = Program.parse('''
    ... maximize 1 y[0]
    ... columns x
    ...   x[0] in [0, 1]
    ... columns y
    ...   y[0] in [1, 3]
    ... rows y
    ...   1 y[0] - 2 x[0] = 1 defines y[0]
    ... ''')
    >>> print(substitute(program))
    maximize 2 x[0] + 1
    columns x
      x[0] in [0, 1]
    """
    n = program.size
    gone = _substituted(program)
    if not gone.any():
        return program
    stay = np.flatnonzero(~gone)
    new_index = np.full(n, -1, dtype=np.int64)
    new_index[stay] = np.arange(stay.size)
    values, offsets, error = _definitions(program, gone, new_index, stay.size)
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))[stay]
    rows = []
    for block, solved in zip(program.rows, _solved(program, gone)):
        keep = ~solved
        if not keep.any():
            continue
        matrix = block.matrix[keep]
        shift = matrix @ offsets
        lost = _lost(matrix, gone, values, offsets, error, reach)
        defines = block.defines[keep]
        new = sparse.csr_array(matrix @ values)
        new.eliminate_zeros()
        rows.append(
            RowBlock(
                block.name,
                new,
                numeric.down(block.lower[keep] - shift, lost),
                numeric.up(block.upper[keep] - shift, lost),
                np.where(defines >= 0, new_index[defines], -1),
            )
        )
    groups = tuple(_renumbered(group, new_index, stay.size) for group in program.disjunctions)
    original = program.original
    trace = AffineMap(
        sparse.csr_array(original.matrix @ values),
        original.matrix @ offsets + original.offset,
        numeric.up(original.error, _lost(original.matrix, gone, values, offsets, error, reach, original.offset)),
    )
    return Program(
        tuple(_columns(program, ~gone)),
        tuple(rows),
        groups,
        _objective(program.objective, values, offsets),
        trace,
    )


def _lost(
    matrix: sparse.csr_array,
    gone: BoolArray,
    values: sparse.csr_array,
    offsets: FloatArray,
    error: FloatArray,
    reach: FloatArray,
    constant: FloatArray | float = 0.0,
) -> FloatArray:
    """Bound on what rounding costs each row when the columns `gone` are replaced in it; 0 where it has none."""
    touched = (abs(matrix) @ gone.astype(np.float64) > 0) & ~_copied(matrix, values, offsets, error)
    terms = int(np.diff(matrix.indptr).max(initial=0)) + int(np.diff(values.indptr).max(initial=0))
    size = abs(matrix) @ (abs(values) @ reach + np.abs(offsets)) + np.abs(constant)
    lost = numeric.inflated(abs(matrix) @ error) + numeric.gamma(terms + 4) * size
    return np.where(touched, lost + numeric.underflow(terms) * (1.0 + reach.sum()), 0.0)


def _copied(matrix: sparse.csr_array, values: sparse.csr_array, offsets: FloatArray, error: FloatArray) -> BoolArray:
    """Rows whose coefficients are moved or negated only: definitions with coefficients 1 and -1, and no sums."""
    used = sparse.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    held = sparse.csr_array((np.ones(values.nnz), values.indices, values.indptr), shape=values.shape)
    other = sparse.csr_array((np.abs(values.data) != 1, values.indices, values.indptr), shape=values.shape)
    rounded = (other.sum(axis=1) > 0) | (offsets != 0) | (error != 0)
    summed = used @ held
    overlaps = np.zeros(matrix.shape[0], dtype=np.bool_)
    if summed.nnz:  # no columns may be left at all, and such a matrix has no maximum
        overlaps = sparse.csr_array(summed).max(axis=1).toarray().ravel() > 1
    return np.asarray((used @ rounded.astype(np.float64) == 0) & ~overlaps)


def _substituted(program: Program) -> BoolArray:
    """Columns defined by an equation, outside every disjunction, continuous; never all, or no program is left."""
    gone = np.zeros(program.size, dtype=np.bool_)
    for block in program.rows:
        gone[block.defines[(block.defines >= 0) & (block.lower == block.upper)]] = True
    for group in program.disjunctions:
        gone[group.matrix.indices] = False
    gone &= ~program.integer
    if gone.all():
        gone[:1] = False
    return gone


def _solved(program: Program, gone: BoolArray) -> list[BoolArray]:
    """Per block, the rows that a column is solved from: the first that defines it; others stay as constraints."""
    taken = np.zeros(program.size, dtype=np.bool_)
    answer = []
    for block in program.rows:
        rows = (block.defines >= 0) & gone[block.defines] & ~taken[block.defines]
        taken[block.defines[rows]] = True
        answer.append(rows)
    return answer


def _definitions(
    program: Program, gone: BoolArray, new_index: IntArray, width: int
) -> tuple[sparse.csr_array, FloatArray, FloatArray]:
    """Every old column over the new ones: old = values @ new + offsets, up to a proved rounding error.

    A block defines columns out of columns of earlier blocks. Blocks are taken in the order of the columns that
    they define, so that what a definition uses is known already.
    """
    n = program.size
    stay = np.flatnonzero(~gone)
    values = sparse.csr_array((np.ones(stay.size), (stay, new_index[stay])), shape=(n, width))
    offsets, error = np.zeros(n), np.zeros(n)
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))[stay]
    solving = [(b, rows) for b, rows in zip(program.rows, _solved(program, gone)) if rows.any()]
    for block, rows in sorted(solving, key=lambda pair: int(pair[0].defines[pair[1]].min())):
        chosen = np.flatnonzero(rows)
        if not chosen.size:
            continue
        target = block.defines[chosen]
        matrix = block.matrix[chosen].tocoo()
        own = matrix.col == target[matrix.row]
        pivot = np.zeros(chosen.size)
        pivot[matrix.row[own]] = matrix.data[own]
        scaled = -matrix.data[~own] / pivot[matrix.row[~own]]
        rest = sparse.csr_array((scaled, (matrix.row[~own], matrix.col[~own])), shape=matrix.shape)
        constant = block.lower[chosen] / pivot
        every = np.ones(n, dtype=np.bool_)
        lost = _lost(rest, every, values, offsets, error, reach, constant)
        divided = numeric.gamma(1) * (abs(rest) @ (abs(values) @ reach + np.abs(offsets)))
        lost = lost + np.where(np.abs(pivot) == 1, 0.0, divided)
        plain = (np.abs(pivot) == 1) & ~(abs(rest) @ gone.astype(np.float64) > 0)
        inner = sparse.coo_array(rest @ values)
        # a definition by columns that stay, with pivot 1 or -1, is copied without rounding
        error[target] = np.where(plain, 0.0, lost + numeric.gamma(1) * np.abs(constant))
        offsets[target] = rest @ offsets + constant
        placed = sparse.csr_array((inner.data, (target[inner.row], inner.col)), shape=values.shape)
        values = sparse.csr_array(values + placed)
    return values, offsets, error


def _columns(program: Program, stay: BoolArray) -> list[Columns]:
    columns, start = [], 0
    for block in program.columns:
        keep = stay[start : start + block.size]
        start += block.size
        if keep.any():
            columns.append(Columns(block.name, block.lower[keep], block.upper[keep], block.integer[keep]))
    return columns


def _renumbered(group: Disjunctions, new_index: IntArray, width: int) -> Disjunctions:
    matrix = sparse.csr_array(
        (group.matrix.data, new_index[group.matrix.indices], group.matrix.indptr),
        shape=(group.matrix.shape[0], width),
    )
    defines = np.where(group.defines >= 0, new_index[group.defines], -1)
    return Disjunctions(
        group.name,
        matrix,
        group.lower,
        group.upper,
        group.reach_lower,
        group.reach_upper,
        group.branches,
        group.starts,
        defines,
    )


def _objective(goal: Objective | None, values: sparse.csr_array, offsets: FloatArray) -> Objective | None:
    if goal is None:
        return None
    row = np.zeros(values.shape[0])
    np.add.at(row, goal.index, goal.value)
    new = np.asarray(row @ values)
    index = np.flatnonzero(new)
    return Objective(index, new[index], goal.sense, goal.offset + float(row @ offsets))
