"""Substitute columns that an equation defines and no disjunction mentions.

A stable neuron's y = s z + c and z = W h + b both go: its row is folded into the rows that use it, as W' s W.
The pre-activation of an unstable neuron stays a column, so that its dense row stands in the program once and
the disjunction refers to the column.

The bounds of a defined column follow from the rest of the program (see `Program`), so that they go with it.
The trace remembers every substituted column as an affine function of those that stay.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

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
    values, offsets = _definitions(program, gone, new_index, stay.size)
    rows = []
    for block in program.rows:
        keep = ~((block.defines >= 0) & gone[block.defines])
        if not keep.any():
            continue
        matrix = block.matrix[keep]
        shift = matrix @ offsets
        defines = block.defines[keep]
        new = sparse.csr_array(matrix @ values)
        new.eliminate_zeros()
        rows.append(
            RowBlock(
                block.name, new, block.lower[keep] - shift, block.upper[keep] - shift,
                np.where(defines >= 0, new_index[defines], -1),
            )
        )
    groups = tuple(_renumbered(group, new_index, stay.size) for group in program.disjunctions)
    original = program.original
    trace = AffineMap(sparse.csr_array(original.matrix @ values), original.matrix @ offsets + original.offset)
    return Program(
        tuple(_columns(program, ~gone)), tuple(rows), groups,
        _objective(program.objective, values, offsets), trace,
    )


def _substituted(program: Program) -> BoolArray:
    """Columns defined by an equation, outside every disjunction, continuous."""
    gone = np.zeros(program.size, dtype=np.bool_)
    for block in program.rows:
        gone[block.defines[(block.defines >= 0) & (block.lower == block.upper)]] = True
    for group in program.disjunctions:
        gone[group.matrix.indices] = False
    return gone & ~program.integer


def _definitions(
    program: Program, gone: BoolArray, new_index: IntArray, width: int
) -> tuple[sparse.csr_array, FloatArray]:
    """Every old column over the new ones: old = values @ new + offsets.

    A block defines columns out of columns of earlier blocks. Blocks are taken in the order of the columns that
    they define, so that what a definition uses is known already.
    """
    n = program.size
    stay = np.flatnonzero(~gone)
    values = sparse.csr_array((np.ones(stay.size), (stay, new_index[stay])), shape=(n, width))
    offsets = np.zeros(n)
    ordered = sorted(
        (b for b in program.rows if (b.defines >= 0).any()), key=lambda b: int(b.defines[b.defines >= 0].min())
    )
    for block in ordered:
        chosen = np.flatnonzero((block.defines >= 0) & gone[block.defines])
        if not chosen.size:
            continue
        target = block.defines[chosen]
        matrix = block.matrix[chosen].tocoo()
        own = matrix.col == target[matrix.row]
        pivot = np.zeros(chosen.size)
        pivot[matrix.row[own]] = matrix.data[own]
        scaled = -matrix.data[~own] / pivot[matrix.row[~own]]
        rest = sparse.csr_array((scaled, (matrix.row[~own], matrix.col[~own])), shape=matrix.shape)
        offsets[target] = rest @ offsets + block.lower[chosen] / pivot
        inner = sparse.coo_array(rest @ values)
        placed = sparse.csr_array((inner.data, (target[inner.row], inner.col)), shape=values.shape)
        values = sparse.csr_array(values + placed)
    return values, offsets


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
        group.name, matrix, group.lower, group.upper, group.reach_lower, group.reach_upper,
        group.branches, group.starts, defines,
    )


def _objective(goal: Objective | None, values: sparse.csr_array, offsets: FloatArray) -> Objective | None:
    if goal is None:
        return None
    row = np.zeros(values.shape[0])
    np.add.at(row, goal.index, goal.value)
    new = np.asarray(row @ values)
    index = np.flatnonzero(new)
    return Objective(index, new[index], goal.sense, goal.offset + float(row @ offsets))
