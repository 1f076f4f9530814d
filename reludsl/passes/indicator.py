"""Indicators: every branch row is required where its binary says so, with no H constant at all.

    y = 0 if delta = 0     y = z if delta = 1     y >= z

What the reach of a row says holds everywhere and is a plain row, such as y >= z. The relaxation of such
a program leaves the switched rows out: it is the weakest of all, but nothing in it is as large as an H. Solvers that
branch on indicators find their own H; backends say so with `Capability.INDICATOR`, the others refuse the program.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from reludsl.backend import FloatArray
from reludsl.passes.big_m import Switches, chosen_and_left, exactly_one, needed_sides, switch_columns
from reludsl.program import Columns, Disjunctions, IndicatorRows, Program, RowBlock, activity, widened


def indicator(program: Program, names: Collection[str] | None = None) -> Program:
    """Lower every disjunction to rows that binaries switch. Prune first.

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
    >>> print("\\n".join(str(indicator(program)).splitlines()[4:]))
    columns relu.on
      relu.on[0] in [0, 1] integer
    rows relu.everywhere
      0 <= -1 z[0] + 1 y[0] <= 1
    if relu.switched
      -inf <= 1 y[0] <= 0 if relu.on[0] = 0
      -inf <= -1 z[0] + 1 y[0] <= 0 if relu.on[0] = 1
    """
    chosen, left = chosen_and_left(program, names)
    columns: list[Columns] = []
    plain: list[RowBlock] = []
    switched: list[IndicatorRows] = []
    width = program.size
    for group in chosen:
        switches = switch_columns(group, width)
        width += switches.columns.size
        columns.append(switches.columns)
        everywhere, conditions = _rows(group, switches, program.lower, program.upper)
        plain.append(everywhere)
        switched.append(conditions)
        if switches.exactly_one.size:
            plain.append(exactly_one(group, switches, width))
    wide = replace(program, disjunctions=left).with_columns(*columns)
    rows = tuple(replace(b, matrix=widened(b.matrix, width)) for b in plain if b.size)
    conditional = tuple(replace(b, matrix=widened(b.matrix, width)) for b in switched if b.size)
    return replace(wide, rows=(*wide.rows, *rows), indicators=(*wide.indicators, *conditional))


def _rows(
    group: Disjunctions, switches: Switches, lower: FloatArray, upper: FloatArray
) -> tuple[RowBlock, IndicatorRows]:
    """What the reach says everywhere, and the sides that it does not say with the binary of their branch."""
    low_if, high_if = np.full(group.lower.size, -np.inf), np.full(group.lower.size, np.inf)
    for side, rows, h in needed_sides(group, lower, upper):
        far = rows[h > 0]
        if side == "lower":
            low_if[far] = group.lower[far]
        else:
            high_if[far] = group.upper[far]
    # an activation's formula has a larger range than the activation: that y is f(z) may rest on its reach alone
    least, most = activity(group.matrix, lower, upper)
    low = np.where(np.isfinite(group.lower) & (group.reach_lower > least), group.reach_lower, -np.inf)
    high = np.where(np.isfinite(group.upper) & (group.reach_upper < most), group.reach_upper, np.inf)
    everywhere = np.flatnonzero(np.isfinite(low) | np.isfinite(high))
    at = np.flatnonzero(np.isfinite(low_if) | np.isfinite(high_if))
    branch = group.branch_of_row[at]
    # 1 - chosen = constant + coefficient * column: the column is 1 in the branch where the coefficient is -1
    value = switches.coefficient[branch] < 0
    nothing = np.full(everywhere.size, -1, dtype=np.int64)
    return (
        RowBlock(f"{group.name}.everywhere", group.matrix[everywhere], low[everywhere], high[everywhere], nothing),
        IndicatorRows(
            f"{group.name}.switched", group.matrix[at], low_if[at], high_if[at], switches.column[branch], value
        ),
    )
