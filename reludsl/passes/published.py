"""Big-M, the published form (Serra, Tjandraatmadja, Ramalingam 2018, section 4): no column for the pre-activation.

    W h + b = g,  g = h' - hbar,  h' <= H z,  hbar <= Hbar (1 - z),  h', hbar >= 0,  z binary

Every branch row over several columns gets a slack column of its own, whose range the binary switches to zero;
then the pre-activation, now in one equation only, is substituted. For a ReLU the slack of y - z = 0 is hbar,
and the dense row reads W h + b = y - hbar.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import IntArray
from reludsl.passes.big_m import big_m, chosen_and_left
from reludsl.passes.prune import reach
from reludsl.passes.substitute import substitute
from reludsl.program import Columns, Disjunctions, Program, RowBlock, widened


def published_big_m(program: Program, names: Collection[str] | None = None) -> Program:
    """Lower every disjunction in the published form. Prune first.

    Args:
        names: of the blocks of disjunctions to lower; all by default.

    >>> program = Program.parse('''
    ... columns x
    ...   x[0] in [-1, 2]
    ... columns z
    ...   z[0] in [-1, 2]
    ... columns y
    ...   y[0] in [0, 2]
    ... rows z
    ...   1 z[0] - 1 x[0] = 0 defines z[0]
    ... or relu
    ...   defines y[0] { 1 y[0] = 0 } { 1 y[0] - 1 z[0] = 0 within [0, 1] }
    ... ''')
    >>> print("\\n".join(str(published_big_m(program)).splitlines()[-5:]))
    rows z
      -1 x[0] + 1 y[0] - 1 relu.slack[0] = 0
    rows relu.switched
      -inf <= 1 y[0] - 2 relu.on[0] <= 0
      -inf <= 1 relu.slack[0] + 1 relu.on[0] <= 1
    """
    chosen, left = chosen_and_left(program, names)
    slacks, equations, groups = [], [], []
    width = program.size
    for group in chosen:
        slack, row_block, switched = _with_slacks(group, width, program)
        slacks.append(slack)
        equations.append(row_block)
        groups.append(switched)
        width += slack.size
    freed = np.concatenate([np.zeros(0, dtype=np.int64), *(b.defines for b in equations)])
    plain = tuple(replace(b, defines=np.where(np.isin(b.defines, freed), -1, b.defines)) for b in program.rows)
    wide = replace(program, rows=plain, disjunctions=left).with_columns(*slacks)
    lowered = big_m(
        replace(
            wide,
            rows=(*wide.rows, *(replace(b, matrix=widened(b.matrix, width)) for b in equations)),
            disjunctions=(*wide.disjunctions, *(replace(g, matrix=widened(g.matrix, width)) for g in groups)),
        ),
        names,
    )
    if names is None:
        return substitute(lowered)
    among = np.zeros(lowered.size, dtype=np.bool_)
    among[freed[freed >= 0]] = True
    return substitute(lowered, among)


def _with_slacks(group: Disjunctions, start: int, program: Program) -> tuple[Columns, RowBlock, Disjunctions]:
    """A slack column per equation over several columns: slack = row - required, switched to zero instead of the row."""
    least, most = reach(group, program.lower, program.upper)
    several = np.flatnonzero((np.diff(group.matrix.indptr) > 1) & (group.lower == group.upper))
    count = several.size
    required = group.lower[several]
    slack = Columns(
        f"{group.name}.slack",
        numeric.plus_down(least[several], -required),
        numeric.plus_up(most[several], -required),
        np.zeros(count, dtype=np.bool_),
    )
    width = start + count
    minus = sparse.csr_array((-np.ones(count), (np.arange(count), start + np.arange(count))), shape=(count, width))
    rows = RowBlock(
        slack.name,
        sparse.csr_array(widened(group.matrix[several], width) + minus),
        required,
        required,
        _solved_for(group, several, program),
    )
    keep = np.ones(group.lower.size)
    keep[several] = 0.0
    unit = sparse.csr_array((np.ones(count), (several, start + np.arange(count))), shape=(keep.size, width))
    matrix = sparse.csr_array(sparse.diags_array(keep) @ widened(group.matrix, width) + unit)
    matrix.eliminate_zeros()
    lower, upper = group.lower.copy(), group.upper.copy()
    lower[several] = upper[several] = 0.0
    low, high = least.copy(), most.copy()
    low[several], high[several] = slack.lower, slack.upper
    return (
        slack,
        rows,
        replace(group, matrix=matrix, lower=lower, upper=upper, reach_lower=low, reach_upper=high),
    )


def _solved_for(group: Disjunctions, rows: IntArray, program: Program) -> IntArray:
    """The pre-activation that a slack equation can be solved for: z = y - hbar, once per disjunction.

    A row over two columns, one of them the disjunction's own, has the other for it, where a plain row defines
    that one: the dense row then takes y - hbar in its place.
    """
    owner = group.disjunction_of_branch[group.branch_of_row[rows]]
    first = np.zeros(rows.size, dtype=np.bool_)
    first[np.unique(owner, return_index=True)[1]] = True
    entries = group.matrix[rows].tocoo()
    other = entries.col != group.defines[owner][entries.row]
    single = np.bincount(entries.row[other], minlength=rows.size) == 1
    column = np.full(rows.size, -1, dtype=np.int64)
    column[entries.row[other]] = entries.col[other]
    defined = np.concatenate([np.zeros(0, dtype=np.int64), *(b.defines for b in program.rows)])
    chosen = first & single & np.isin(column, defined[defined >= 0])
    return np.where(chosen, column, -1)
