"""The program of one question alone: what the asked columns depend on by more than a given precision.

Where L1 training left most weights of a neuron near zero, a question about it concerns a few of the neurons before it;
of those, in turn, a few before them. Terms of the asked columns that are worth less than the precision, all together,
go into the error of the trace (see `AffineMap`): z = M x + d, up to `error`. What nothing that stays depends on goes
with them. The rows were made thinner in the same sense by `sparsify`; here whole columns go, with the rows and
disjunctions that define them.

A column that goes exists for every value of the others (see `Program`), so that the program stays a relaxation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, IntArray
from reludsl.program import AffineMap, Disjunctions, Program, RowBlock


def slim(program: Program, asked: IntArray, precision: float) -> Program:
    """The same answer about the asked original columns, up to `precision`, from fewer columns.

    Args:
        asked: original columns, see `Program.trace`; expressions over others can no longer be asked about.
        precision: how far each asked column may be from what it was, in its own unit.

    >>> program = Program.parse('''
    ... columns x
    ...   x[0] in [0, 1]
    ...   x[1] in [0, 1]
    ... columns z
    ...   z[0] in [0, 2]
    ...   z[1] in [0, 2]
    ... rows z
    ...   1 z[0] - 2 x[0] = 0 defines z[0]
    ...   1 z[1] - 2 x[1] = 0 defines z[1]
    ... ''')
    >>> print(slim(program, np.array([2]), 0.0))
    columns x
      x[0] in [0, 1]
    columns z
      z[0] in [0, 2]
    rows z
      -2 x[0] + 1 z[0] = 0 defines z[0]
    """
    trace = _thin_trace(program, asked, precision)
    wanted = np.zeros(program.size, dtype=np.bool_)
    wanted[trace.matrix[asked].indices] = True
    stay = _closure(program, wanted)
    lost = abs(trace.matrix) @ (~stay).astype(np.float64) > 0
    kept = sparse.csr_array(sparse.diags_array((~lost).astype(np.float64)) @ trace.matrix)[:, stay]
    small = AffineMap(sparse.csr_array(kept), np.where(lost, np.nan, trace.offset), trace.error)
    return _restricted(program, stay, small)


def _thin_trace(program: Program, asked: IntArray, precision: float) -> AffineMap:
    """The trace with the smallest terms of the asked rows put into offset and error."""
    trace = program.original
    matrix, offset, error = sparse.csr_array(trace.matrix).copy(), trace.offset.copy(), trace.error.copy()
    low, high = program.lower, program.upper
    drop = np.zeros(matrix.nnz, dtype=np.bool_)
    for k in asked.tolist():
        part = slice(matrix.indptr[k], matrix.indptr[k + 1])
        a, column = matrix.data[part], matrix.indices[part]
        # half the width of what a term can be: with its middle in the offset, that is what leaving it out costs
        half = np.abs(a) * (0.5 * (high[column] - low[column]))
        order = np.argsort(half, kind="stable")
        # of the precision, some is left for the rounding below
        gone = order[np.cumsum(half[order]) <= 0.99 * precision]
        if not gone.size:
            continue
        middle = a[gone] * (0.5 * (low[column[gone]] + high[column[gone]]))
        size = np.abs(a[gone]) * np.maximum(np.abs(low[column[gone]]), np.abs(high[column[gone]]))
        offset[k] += middle.sum()
        lost = half[gone].sum() + numeric.gamma(gone.size + 8) * (size.sum() + abs(offset[k]))
        error[k] = numeric.sum_up(error[k], float(lost), numeric.underflow(gone.size))
        drop[np.arange(part.start, part.stop)[gone]] = True
    matrix.data[drop] = 0.0
    matrix.eliminate_zeros()
    return AffineMap(matrix, offset, error)


def _closure(program: Program, wanted: BoolArray) -> BoolArray:
    """The wanted columns, all that they depend on, and the columns of plain constraints with all that those do."""
    items = [(block.matrix, np.arange(block.size), block.defines) for block in program.rows]
    items += [(g.matrix, g.disjunction_of_branch[g.branch_of_row], g.defines) for g in program.disjunctions]
    stay = wanted.copy()
    for block in program.indicators:
        stay[block.uses.indices] = True
    for matrix, owner, defines in items:
        stay[_used(matrix, (defines < 0)[owner])] = True
    while True:
        before = int(stay.sum())
        for matrix, owner, defines in reversed(items):
            needed = (defines >= 0) & stay[defines]
            stay[_used(matrix, needed[owner])] = True
        if int(stay.sum()) == before:
            return stay


def _used(matrix: sparse.csr_array, rows: BoolArray) -> IntArray:
    """The columns that some rows mention."""
    return np.unique(matrix.indices[np.repeat(rows, np.diff(matrix.indptr))])


def _restricted(program: Program, stay: BoolArray, trace: AffineMap) -> Program:
    """The columns that stay, and what defines or constrains them."""
    new = np.where(stay, np.cumsum(stay) - 1, -1)
    ends = np.cumsum([0, *(block.size for block in program.columns)])
    columns = []
    for block, start in zip(program.columns, ends):
        here = stay[start : start + block.size]
        if here.any():
            columns.append(
                replace(block, lower=block.lower[here], upper=block.upper[here], integer=block.integer[here])
            )
    rows = tuple(_rows(block, stay, new) for block in program.rows)
    groups = tuple(_disjunctions(group, stay, new) for group in program.disjunctions)
    indicators = tuple(replace(b, matrix=_over(b.matrix, new), column=new[b.column]) for b in program.indicators)
    return Program(
        tuple(columns),
        tuple(block for block in rows if block.size),
        tuple(group for group in groups if group.size),
        None,
        trace,
        indicators,
    )


def _rows(block: RowBlock, stay: BoolArray, new: IntArray) -> RowBlock:
    here = (block.defines < 0) | stay[block.defines]
    defines = block.defines[here]
    return RowBlock(
        block.name,
        _over(block.matrix[here], new),
        block.lower[here],
        block.upper[here],
        np.where(defines >= 0, new[defines], -1),
    )


def _disjunctions(group: Disjunctions, stay: BoolArray, new: IntArray) -> Disjunctions:
    here = (group.defines < 0) | stay[group.defines]
    left = group.keep_branches(here[group.disjunction_of_branch])
    defines = np.where(left.defines >= 0, new[left.defines], -1)
    return replace(left, matrix=_over(left.matrix, new), defines=defines)


def _over(matrix: sparse.csr_array, new: IntArray) -> sparse.csr_array:
    width = int(new.max(initial=-1)) + 1
    return sparse.csr_array((matrix.data, new[matrix.indices], matrix.indptr), shape=(matrix.shape[0], width))
