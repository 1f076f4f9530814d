"""Substitute columns that an equation defines and no disjunction mentions.

A stable neuron's y = s z + c and z = W h + b both go: its row is folded into the rows that use it, as W' s W.
The pre-activation of an unstable neuron stays a column, so that its dense row stands in the program once and
the disjunction refers to the column.

The bounds of a defined column follow from the rest of the program (see `Program`), so that they go with it.
The trace remembers every substituted column as an affine function of those that stay. Products of coefficients
are rounded: each row is widened by what that may cost, the trace carries it. A row that rounding has widened by a hair
still counts as an equation, with half its width as the error of what it defines.
"""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.program import AffineMap, Columns, Disjunctions, Objective, Program, RowBlock

Sides = tuple[sparse.csr_array, FloatArray, FloatArray]
"""The matrix, the lower and the upper sides of some rows."""


HAIR = 1e-11
"""Width of a row, as a share of its side, up to which it counts as an equation."""


def substitute(program: Program, among: BoolArray | None = None) -> Program:
    """The same program without the columns that an equation defines and no disjunction needs.

    Args:
        among: True for the columns that may go; all by default.

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
    if among is not None:
        gone &= among
    if not gone.any():
        return program
    stay = np.flatnonzero(~gone)
    new_index = np.full(n, -1, dtype=np.int64)
    new_index[stay] = np.arange(stay.size)
    values, offsets, error = _definitions(program, gone, new_index, stay.size)
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))[stay]

    def replaced(matrix: sparse.csr_array, lower: FloatArray, upper: FloatArray) -> Sides:
        shift = matrix @ offsets
        lost = _lost(matrix, gone, values, offsets, error, reach)
        new = sparse.csr_array(matrix @ values)
        new.eliminate_zeros()
        return new, numeric.down(lower - shift, lost), numeric.up(upper - shift, lost)

    rows = []
    for block, solved in zip(program.rows, _solved(program, gone)):
        keep = ~solved
        if not keep.any():
            continue
        defines = np.where(block.defines[keep] >= 0, new_index[block.defines[keep]], -1)
        rows.append(RowBlock(block.name, *replaced(block.matrix[keep], block.lower[keep], block.upper[keep]), defines))
    conditions = []
    for known in program.indicators:
        matrix, low, high = replaced(known.matrix, known.lower, known.upper)
        conditions.append(replace(known, matrix=matrix, lower=low, upper=high, column=new_index[known.column]))
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
        tuple(conditions),
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
    """Rows whose coefficients are moved or negated only: of each product one factor is 1 or -1, and no sums."""
    used = sparse.csr_array((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    held = sparse.csr_array((np.ones(values.nnz), values.indices, values.indptr), shape=values.shape)
    scales = sparse.csr_array((np.abs(matrix.data) != 1, matrix.indices, matrix.indptr), shape=matrix.shape)
    scaled = sparse.csr_array((np.abs(values.data) != 1, values.indices, values.indptr), shape=values.shape)
    products = scales.astype(np.float64) @ (scaled.sum(axis=1) > 0).astype(np.float64)
    rounded = (products > 0) | (used @ ((offsets != 0) | (error != 0)).astype(np.float64) > 0)
    summed = used @ held
    overlaps = np.zeros(matrix.shape[0], dtype=np.bool_)
    if summed.nnz:  # no columns may be left at all, and such a matrix has no maximum
        overlaps = sparse.csr_array(summed).max(axis=1).toarray().ravel() > 1
    return np.asarray(~rounded & ~overlaps)


def _substituted(program: Program) -> BoolArray:
    """Columns defined by an equation, outside every disjunction, continuous; never all, or no program is left."""
    gone = np.zeros(program.size, dtype=np.bool_)
    for block in program.rows:
        gone[block.defines[(block.defines >= 0) & equations(block)]] = True
    for group in program.disjunctions:
        gone[group.matrix.indices] = False
    gone &= ~program.integer
    if gone.all():
        gone[:1] = False
    return gone


def equations(block: RowBlock) -> BoolArray:
    """Rows that are equations up to rounding."""
    with np.errstate(invalid="ignore"):
        hair = HAIR * (1.0 + np.maximum(np.abs(block.lower), np.abs(block.upper)))
        return np.asarray(block.upper - block.lower <= np.where(np.isfinite(hair), hair, 0.0))


def _solved(program: Program, gone: BoolArray) -> list[BoolArray]:
    """Per block, the rows that a column is solved from: the first that defines it; others stay as constraints."""
    taken = np.zeros(program.size, dtype=np.bool_)
    answer = []
    for block in program.rows:
        rows = (block.defines >= 0) & gone[block.defines] & ~taken[block.defines] & equations(block)
        found = np.flatnonzero(rows)
        first = np.zeros(block.size, dtype=np.bool_)
        first[found[np.unique(block.defines[found], return_index=True)[1]]] = True
        taken[block.defines[first]] = True
        answer.append(first)
    return answer


def _definitions(
    program: Program, gone: BoolArray, new_index: IntArray, width: int
) -> tuple[sparse.csr_array, FloatArray, FloatArray]:
    """Every old column over the new ones: old = values @ new + offsets, up to a proved rounding error.

    A block defines columns out of columns that other blocks define. Blocks are taken in an order in which what a
    definition uses is known already.
    """
    n = program.size
    stay = np.flatnonzero(~gone)
    values = sparse.csr_array((np.ones(stay.size), (stay, new_index[stay])), shape=(n, width))
    offsets, error = np.zeros(n), np.zeros(n)
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))[stay]
    solving = [(b, rows) for b, rows in zip(program.rows, _solved(program, gone)) if rows.any()]
    for block, rows in _in_order(solving, n):
        chosen = np.flatnonzero(rows)
        target = block.defines[chosen]
        matrix = block.matrix[chosen].tocoo()
        own = matrix.col == target[matrix.row]
        pivot = np.zeros(chosen.size)
        pivot[matrix.row[own]] = matrix.data[own]
        scaled = -matrix.data[~own] / pivot[matrix.row[~own]]
        rest = sparse.csr_array((scaled, (matrix.row[~own], matrix.col[~own])), shape=matrix.shape)
        low, high = block.lower[chosen], block.upper[chosen]
        middle = np.where(low == high, low, low + 0.5 * (high - low))
        half = np.where(low == high, 0.0, np.nextafter(np.maximum(high - middle, middle - low), np.inf))
        constant = middle / pivot
        every = np.ones(n, dtype=np.bool_)
        lost = _lost(rest, every, values, offsets, error, reach, constant)
        divided = numeric.gamma(1) * (abs(rest) @ (abs(values) @ reach + np.abs(offsets)))
        lost = lost + np.where(np.abs(pivot) == 1, 0.0, divided)
        plain = (np.abs(pivot) == 1) & ~(abs(rest) @ gone.astype(np.float64) > 0)
        inner = sparse.coo_array(rest @ values)
        # a definition by columns that stay, with pivot 1 or -1, is copied without rounding
        error[target] = np.where(plain, 0.0, lost + numeric.gamma(1) * np.abs(constant))
        error[target] += numeric.inflated(half / np.abs(pivot))
        offsets[target] = rest @ offsets + constant
        placed = sparse.csr_array((inner.data, (target[inner.row], inner.col)), shape=values.shape)
        values = sparse.csr_array(values + placed)
    return values, offsets, error


def _in_order(solving: list[tuple[RowBlock, BoolArray]], width: int) -> list[tuple[RowBlock, BoolArray]]:
    """Every block behind those whose columns it uses; the order of the columns where that leaves a choice."""
    owner = np.full(width, -1, dtype=np.int64)
    for k, (block, rows) in enumerate(solving):
        owner[block.defines[rows]] = k
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(solving)))
    for k, (block, rows) in enumerate(solving):
        used = np.unique(owner[block.matrix[rows].indices])
        graph.add_edges_from((j, k) for j in used.tolist() if j not in (-1, k))
    first = [int(block.defines[rows].min()) for block, rows in solving]
    return [solving[k] for k in nx.lexicographical_topological_sort(graph, key=lambda k: first[k])]


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
