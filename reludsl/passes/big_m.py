"""Big-M, the compact form: every branch row is switched by a binary, with its H constant.

With delta = 1 for the chosen branch and H the distance from the row's reach to its requirement:

    row <= upper + H_upper (1 - delta)        row >= lower - H_lower (1 - delta)

H is derived here, from the reach and the bounds; a side whose H is zero or less holds in every branch and
becomes a plain row. Two branches share one binary. For a ReLU with l < 0 < u on its own pre-activation column:

    y >= 0 (a bound)    y <= u delta    y >= z    y <= z - l (1 - delta)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.passes.prune import reach
from reludsl.program import Columns, Disjunctions, Program, RowBlock, widened


def big_m(program: Program, names: Collection[str] | None = None) -> Program:
    """Lower every disjunction to rows and binaries. Prune first: a refuted branch has no place here.

    Args:
        names: of the blocks of disjunctions to lower; all by default.

    >>> program = Program.parse('''
    ... columns z
    ...   z[0] in [-1, 2]
    ... columns y
    ...   y[0] in [0, 2]
    ... or relu
    ...   defines y[0] { 1 y[0] = 0 } { 1 y[0] - 1 z[0] = 0 within [0, 1] }
    ... ''')
    >>> print("\\n".join(str(big_m(program)).splitlines()[4:]))
    columns relu.on
      relu.on[0] in [0, 1] integer
    rows relu.switched
      -inf <= 1 y[0] - 2 relu.on[0] <= 0
      0 <= -1 z[0] + 1 y[0] <= inf
      -inf <= -1 z[0] + 1 y[0] + 1 relu.on[0] <= 1
    """
    low, high = program.lower, program.upper
    chosen, left = chosen_and_left(program, names)
    columns: list[Columns] = []
    pending: list[RowBlock] = []
    width = program.size
    for group in chosen:
        switches = switch_columns(group, width)
        columns.append(switches.columns)
        pending.extend(_rows(group, switches, low, high))
        width += switches.columns.size
    rows = tuple(replace(b, matrix=widened(b.matrix, width)) for b in pending)
    wide = replace(program, disjunctions=left).with_columns(*columns)
    return replace(wide, rows=(*wide.rows, *rows))


def chosen_and_left(
    program: Program, names: Collection[str] | None
) -> tuple[tuple[Disjunctions, ...], tuple[Disjunctions, ...]]:
    """The blocks of disjunctions that a pass shall lower, and the others."""
    chosen = tuple(g for g in program.disjunctions if names is None or g.name in names)
    return chosen, tuple(g for g in program.disjunctions if names is not None and g.name not in names)


@dataclass(frozen=True, slots=True, eq=False)
class Switches:
    """The binaries of a block: for branch k, `1 - chosen_k = constant_k + coefficient_k * column_k`."""

    columns: Columns
    column: IntArray
    coefficient: FloatArray
    constant: FloatArray
    exactly_one: IntArray
    """Disjunctions with a binary per branch, not one for two: their binaries must add up to one."""


def switch_columns(group: Disjunctions, start: int) -> Switches:
    """One binary for two branches (1 chooses the second), else one per branch."""
    sizes = np.diff(group.starts)
    binaries = np.where(sizes == 2, 1, sizes)
    first = start + np.concatenate([[0], np.cumsum(binaries)])[:-1]
    owner = group.disjunction_of_branch
    place = np.arange(owner.size) - group.starts[owner]
    two = sizes[owner] == 2
    count = int(binaries.sum())
    return Switches(
        Columns(f"{group.name}.on", np.zeros(count), np.ones(count), np.ones(count, dtype=np.bool_)),
        np.where(two, first[owner], first[owner] + place),
        np.where(two & (place == 0), 1.0, -1.0),
        np.where(two & (place == 0), 0.0, 1.0),
        np.flatnonzero(sizes != 2),
    )


def chosen_binaries(program: Program, x: FloatArray) -> FloatArray:
    """The binaries that `big_m` appends, as a point of the program has them: 1 where its branch is the one that holds.

    >>> program = Program.parse('''
    ... columns z
    ...   z[0] in [-1, 2]
    ... columns y
    ...   y[0] in [0, 2]
    ... or relu
    ...   defines y[0] { 1 y[0] = 0 } { 1 y[0] - 1 z[0] = 0 within [0, 1] }
    ... ''')
    >>> chosen_binaries(program, np.array([1.5, 1.5])), chosen_binaries(program, np.array([-1.0, 0.0]))
    (array([1.]), array([0.]))
    """
    found = [np.zeros(0)]
    for group in program.disjunctions:
        activity = group.matrix @ x
        missed = np.maximum(np.maximum(group.lower - activity, activity - group.upper), 0.0)
        worst = np.zeros(group.branches.size - 1)
        np.maximum.at(worst, group.branch_of_row, missed)
        owner = group.disjunction_of_branch
        best = np.lexsort((worst, owner))[group.starts[:-1]]
        switches = switch_columns(group, 0)
        values = np.zeros(switches.columns.size)
        # of two branches one binary stands for the second
        on = best[switches.constant[best] == 1.0]
        values[switches.column[on]] = 1.0
        found.append(values)
    return np.concatenate(found)


def _rows(group: Disjunctions, switches: Switches, lower: FloatArray, upper: FloatArray) -> list[RowBlock]:
    width = switches.columns.size + group.matrix.shape[1]
    width = max(width, int(switches.column.max(initial=-1)) + 1)
    branch = group.branch_of_row
    matrices, lows, highs, order = [], [], [], []
    for side, rows, h in needed_sides(group, lower, upper):
        b = branch[rows]
        # row >= lower - h (1 - chosen) and row <= upper + h (1 - chosen)
        sign = 1.0 if side == "lower" else -1.0
        switch = sparse.csr_array(
            (sign * h * switches.coefficient[b], (np.arange(rows.size), switches.column[b])),
            shape=(rows.size, width),
        )
        switch.eliminate_zeros()
        matrices.append(sparse.csr_array(widened(group.matrix[rows], width) + switch))
        if side == "lower":
            lows.append(numeric.plus_down(group.lower[rows], -h * switches.constant[b]))
            highs.append(np.full(rows.size, np.inf))
        else:
            lows.append(np.full(rows.size, -np.inf))
            highs.append(numeric.plus_up(group.upper[rows], h * switches.constant[b]))
        order.append(rows)
    place = np.argsort(np.concatenate(order), kind="stable")
    stacked = sparse.csr_array(sparse.vstack(matrices, format="csr"))[place]
    blocks = [
        RowBlock(
            f"{group.name}.switched",
            stacked,
            np.concatenate(lows)[place],
            np.concatenate(highs)[place],
            np.full(place.size, -1, dtype=np.int64),
        )
    ]
    if switches.exactly_one.size:
        blocks.append(exactly_one(group, switches, width))
    return blocks


def needed_sides(
    group: Disjunctions, lower: FloatArray, upper: FloatArray
) -> Iterator[tuple[str, IntArray, FloatArray]]:
    """("lower" or "upper", rows, H): sides that bounds do not say, and how far a row may be beyond; 0 for never."""
    least, most = reach(group, lower, upper)
    gaps = {"lower": numeric.plus_up(group.lower, -least), "upper": numeric.plus_up(most, -group.upper)}
    for side, gap in gaps.items():
        wanted = np.isfinite(group.lower if side == "lower" else group.upper)
        implied = wanted & (gap <= 0) & implied_by_bounds(group, lower, upper, side)
        rows = np.flatnonzero(wanted & ~implied)
        yield side, rows, np.maximum(gap[rows], 0.0)


def implied_by_bounds(group: Disjunctions, lower: FloatArray, upper: FloatArray, side: str) -> BoolArray:
    """Rows on one column whose side is that column's bound: the bound stays in the program and says it."""
    single = np.diff(group.matrix.indptr) == 1
    answer = np.zeros(single.size, dtype=np.bool_)
    at = group.matrix.indptr[:-1][single]
    column, a = group.matrix.indices[at], group.matrix.data[at]
    if side == "lower":
        answer[single] = np.where(a > 0, a * lower[column], a * upper[column]) >= group.lower[single]
    else:
        answer[single] = np.where(a > 0, a * upper[column], a * lower[column]) <= group.upper[single]
    return answer


def exactly_one(group: Disjunctions, switches: Switches, width: int) -> RowBlock:
    """The binaries of a disjunction add up to one, where there is not one for two branches."""
    owner = group.disjunction_of_branch
    chosen = np.isin(owner, switches.exactly_one)
    row = np.searchsorted(switches.exactly_one, owner[chosen])
    count = switches.exactly_one.size
    matrix = sparse.csr_array((np.ones(row.size), (row, switches.column[chosen])), shape=(count, width))
    one = np.ones(count)
    return RowBlock(f"{group.name}.one", matrix, one, one, np.full(count, -1, dtype=np.int64))
