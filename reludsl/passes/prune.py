"""Drop the branches that the bounds refute; one branch left becomes rows.

A branch is refuted when one of its rows cannot meet its requirement anywhere: its reach (cut with the range
over the columns' bounds) misses the requirement. A disjunction of which one branch holds everywhere is that
branch. For a ReLU these are the stably inactive and the stably active neurons: no binary, no disjunction.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reludsl.backend import BoolArray, FloatArray
from reludsl.program import Disjunctions, Program, RowBlock, activity


def prune(program: Program) -> Program:
    """The same feasible set with fewer disjunctions. Bounds are rounded outward, so that nothing feasible goes.

    >>> program = Program.parse('''
    ... columns z
    ...   z[0] in [1, 2]
    ... columns y
    ...   y[0] in [1, 2]
    ... or relu
    ...   defines y[0] { 1 y[0] = 0 within [1, 2] } { 1 y[0] - 1 z[0] = 0 within [0, 0] }
    ... ''')
    >>> print("\\n".join(str(prune(program)).splitlines()[-2:]))
    rows relu
      -1 z[0] + 1 y[0] = 0 defines y[0]
    """
    low, high = program.lower, program.upper
    rows, groups = list(program.rows), []
    for group in program.disjunctions:
        plain, left = _split(group, low, high)
        if plain.size:
            rows.append(plain)
        if left.size:
            groups.append(left)
    return replace(program, rows=tuple(rows), disjunctions=tuple(groups))


def reach(group: Disjunctions, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Proved range of every branch row: its own reach, cut with the range over the columns' bounds."""
    least, most = activity(group.matrix, lower, upper)
    return np.maximum(least, group.reach_lower), np.minimum(most, group.reach_upper)


def _every(rows: BoolArray, group: Disjunctions) -> BoolArray:
    """Per branch: whether all its rows say yes."""
    failures = np.bincount(group.branch_of_row[~rows], minlength=group.branches.size - 1)
    return np.asarray(failures == 0)


def _split(group: Disjunctions, lower: FloatArray, upper: FloatArray) -> tuple[RowBlock, Disjunctions]:
    least, most = reach(group, lower, upper)
    alive = _every((least <= group.upper) & (most >= group.lower), group)
    always = _every((least >= group.lower) & (most <= group.upper), group)
    owner = group.disjunction_of_branch
    # the first branch that holds everywhere stands for its disjunction
    settled = np.full(group.size, -1, dtype=np.int64)
    holds = np.flatnonzero(always)[::-1]
    settled[owner[holds]] = holds
    keep = np.where(settled[owner] >= 0, settled[owner] == np.arange(owner.size), alive)
    counts = np.bincount(owner[keep], minlength=group.size)
    single = counts[owner] == 1
    return _as_rows(group.keep_branches(keep & single)), group.keep_branches(keep & ~single)


def _as_rows(group: Disjunctions) -> RowBlock:
    """Disjunctions of one branch each as plain rows; an equation that holds the defined column defines it."""
    owner = group.disjunction_of_branch[group.branch_of_row]
    target = group.defines[owner]
    row_of_entry = np.repeat(np.arange(owner.size), np.diff(group.matrix.indptr))
    holds = np.zeros(owner.size, dtype=np.bool_)
    holds[row_of_entry[group.matrix.indices == target[row_of_entry]]] = True
    defines = np.where(holds & (group.lower == group.upper), target, -1)
    return RowBlock(group.name, group.matrix, group.lower, group.upper, defines)
