"""A program as MPS in free format, for solvers that reludsl does not talk to.

    write_mps(lower(program), "question.mps")

Every number is written in full. A row with two sides becomes one row with an entry in RANGES where that gives back
both sides exactly, and two rows where it would not. The offset of the objective stands in RHS with its sign
changed, as solvers read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray
from reludsl.io.files import write_atomically
from reludsl.io.solver_text import Flat, flat
from reludsl.program import Program

OBJECTIVE = "obj"
"""Name of the objective's row; rows of programs end in a number."""


def write_mps(program: Program, path: str | os.PathLike[str]) -> None:
    """Write a program without disjunctions as free-format MPS, whole or not at all.

    Args:
        program: lowered (`reludsl.passes.lower`). Only the program is written; what a pass remembers of the
            original columns is not.
        path: any name; `.gz` packs it.

    Raises:
        FileProblem: the folder does not exist or takes no file; nothing is written then.
        InvalidInput: the program holds disjunctions or indicator rows, or no columns.
    """
    write_atomically(path, mps_text(program).encode("ascii"))


def mps_text(program: Program) -> str:
    """The text that `write_mps` writes.

    Raises:
        InvalidInput: see `write_mps`.

    >>> print(mps_text(Program.parse('''
    ... maximize 2 x[0] + 1
    ... columns x
    ...   x[0] in [-1, 2] integer
    ... rows r
    ...   0 <= 3 x[0] <= 4
    ... ''')), end="")
    NAME reludsl
    OBJSENSE
        MAX
    ROWS
     N obj
     L r_0
    COLUMNS
        MARKER0 'MARKER' 'INTORG'
        x_0 obj 2.0
        x_0 r_0 3.0
        MARKER1 'MARKER' 'INTEND'
    RHS
        RHS obj -1.0
        RHS r_0 4.0
    RANGES
        RNG r_0 4.0
    BOUNDS
     LO BND x_0 -1.0
     UP BND x_0 2.0
    ENDATA
    """
    return "\n".join(_lines(flat(program))) + "\n"


def _lines(program: Flat) -> Iterator[str]:
    rows = _Rows(program)
    yield "NAME reludsl"
    if program.maximize:
        yield "OBJSENSE"
        yield "    MAX"
    yield "ROWS"
    yield f" N {OBJECTIVE}"
    yield from (f" {kind} {name}" for kind, name in zip(rows.kinds, rows.names))
    yield "COLUMNS"
    yield from _columns(program, rows)
    yield "RHS"
    if program.offset:
        yield f"    RHS {OBJECTIVE} {-program.offset!r}"
    sides = rows.side.tolist()
    yield from (f"    RHS {name} {side!r}" for name, side in zip(rows.names, sides) if side)
    if rows.ranged.any():
        yield "RANGES"
        spans = zip(np.array(rows.names)[rows.ranged].tolist(), rows.span[rows.ranged].tolist())
        yield from (f"    RNG {name} {span!r}" for name, span in spans)
    yield "BOUNDS"
    for name, low, high in zip(program.columns, program.lower.tolist(), program.upper.tolist()):
        yield f" LO BND {name} {low!r}"
        yield f" UP BND {name} {high!r}"
    yield "ENDATA"


class _Rows:
    """Rows in the form of MPS: a kind, a right side, and a span for those with two sides."""

    def __init__(self, program: Flat) -> None:
        low, high = program.row_lower, program.row_upper
        both = np.isfinite(low) & np.isfinite(high) & (low != high)
        with np.errstate(invalid="ignore"):
            span = high - low
            from_above = both & (high - span == low)
            from_below = both & ~from_above & (low + span == high)
        split = both & ~from_above & ~from_below
        at_most = np.isfinite(high) & ~from_below
        self.matrix = sparse.csr_array(sparse.vstack([program.matrix, program.matrix[split]]))
        kinds = np.where(low == high, "E", np.where(at_most, "L", "G"))
        self.kinds: list[str] = [*kinds.tolist(), *["G"] * int(split.sum())]
        self.names = program.rows + [f"{program.rows[k]}_low" for k in np.flatnonzero(split).tolist()]
        self.side: FloatArray = np.concatenate([np.where(at_most, high, low), low[split]])
        more = np.zeros(int(split.sum()))
        self.span: FloatArray = np.concatenate([span, more])
        self.ranged: BoolArray = np.concatenate([from_above | from_below, more > 0])


def _columns(program: Flat, rows: _Rows) -> Iterator[str]:
    """Entries column by column, the cost first, with a marker wherever columns turn integer or continuous again."""
    entries = sparse.csc_array(rows.matrix)
    starts = entries.indptr.tolist()
    names = [rows.names[k] for k in entries.indices.tolist()]
    values = list(map(repr, entries.data.tolist()))
    integer = False
    markers = 0
    for column, (name, cost, whole) in enumerate(zip(program.columns, program.cost.tolist(), program.integer.tolist())):
        if whole != integer:
            yield f"    MARKER{markers} 'MARKER' '{'INTORG' if whole else 'INTEND'}'"
            integer, markers = whole, markers + 1
        first, end = starts[column], starts[column + 1]
        # a column exists only by its entries
        if cost or first == end:
            yield f"    {name} {OBJECTIVE} {cost!r}"
        yield from [f"    {name} {names[k]} {values[k]}" for k in range(first, end)]
    if integer:
        yield f"    MARKER{markers} 'MARKER' 'INTEND'"
