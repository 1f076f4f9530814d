"""A program in the LP format of CPLEX, which people can read and most solvers do.

    write_lp(lower(program), "question.lp")

Every number is written in full. A row with two sides becomes two rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.io.files import write_atomically
from reludsl.io.solver_text import Flat, flat
from reludsl.program import Program

PER_LINE = 4
"""Terms on a line: readers allow 560 characters, and names may be long."""


def write_lp(program: Program, path: str | os.PathLike[str]) -> None:
    """Write a program without disjunctions in LP format, whole or not at all.

    Args:
        program: lowered (`reludsl.passes.lower`). Only the program is written; what a pass remembers of the
            original columns is not.
        path: any name; `.gz` packs it.

    Raises:
        FileProblem: the folder does not exist or takes no file; nothing is written then.
        InvalidInput: the program holds disjunctions or indicator rows, or no columns.
    """
    write_atomically(path, lp_text(program).encode("ascii"))


def lp_text(program: Program) -> str:
    """The text that `write_lp` writes.

    Raises:
        InvalidInput: see `write_lp`.

    >>> print(lp_text(Program.parse('''
    ... maximize 2 x[0] + 1
    ... columns x
    ...   x[0] in [-1, 2] integer
    ... rows r
    ...   0 <= 3 x[0] <= 4
    ... ''')), end="")
    Maximize
     obj: + 2.0 x_0 + 1.0
    Subject To
     r_0: + 3.0 x_0 <= 4.0
     r_0_low: + 3.0 x_0 >= 0.0
    Bounds
     -1.0 <= x_0 <= 2.0
    General
     x_0
    End
    """
    return "\n".join(_lines(flat(program))) + "\n"


def _lines(program: Flat) -> Iterator[str]:
    yield "Maximize" if program.maximize else "Minimize"
    # readers number columns as they meet them: with every one in the objective the order stays
    n = program.cost.size
    every = sparse.csr_array((program.cost, np.arange(n), np.array([0, n])), shape=(1, n))
    (cost,) = _sums(every, program.columns)
    constant = f" {_signed(program.offset)}" if program.offset else ""
    yield f" obj: {cost}{constant}"
    yield "Subject To"
    sums = _sums(program.matrix, program.columns)
    for name, text, low, high in zip(program.rows, sums, program.row_lower.tolist(), program.row_upper.tolist()):
        if low == high:
            yield f" {name}: {text} = {low!r}"
            continue
        if high < np.inf:
            yield f" {name}: {text} <= {high!r}"
        if low > -np.inf:
            yield f" {name}{'_low' if high < np.inf else ''}: {text} >= {low!r}"
    yield "Bounds"
    for name, low, high in zip(program.columns, program.lower.tolist(), program.upper.tolist()):
        yield f" {low!r} <= {name} <= {high!r}"
    if program.integer.any():
        yield "General"
        yield from (f" {program.columns[k]}" for k in np.flatnonzero(program.integer).tolist())
    yield "End"


def _signed(value: float) -> str:
    return f"- {-value!r}" if value < 0 else f"+ {value!r}"


def _sums(matrix: sparse.csr_array, columns: list[str]) -> list[str]:
    """Every row as a sum, broken into lines; a row without entries is zero times a column."""
    data: FloatArray = matrix.data
    names = [columns[k] for k in matrix.indices.tolist()]
    terms = [f"{_signed(value)} {name}" for value, name in zip(data.tolist(), names)]
    starts = matrix.indptr.tolist()
    return [
        "\n  ".join(" ".join(terms[k : min(k + PER_LINE, end)]) for k in range(first, end, PER_LINE))
        or f"+ 0.0 {columns[0]}"
        for first, end in pairwise(starts)
    ]
