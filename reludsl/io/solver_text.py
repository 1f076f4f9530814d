"""What the two text formats of solvers share: a program as one matrix, and names that every reader takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, Sense
from reludsl.errors import InvalidInput
from reludsl.program import Program

LONGEST = 200
"""Longer names of blocks are cut; readers allow 255 characters, the number included."""


@dataclass(frozen=True, slots=True, eq=False)
class Flat:
    """A program without blocks: every row and column has a name of its own.

    Rows that require nothing are left out, and entries of one row and column are added up.
    """

    columns: list[str]
    rows: list[str]
    matrix: sparse.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray
    cost: FloatArray
    offset: float
    maximize: bool


def flat(program: Program) -> Flat:
    """The program as one matrix with safe names.

    Raises:
        InvalidInput: disjunctions or indicator rows are left, or there are no columns.
    """
    if program.indicators:
        raise InvalidInput(
            "the program holds rows that a binary switches on, which this format has no common form for; "
            "lower it with big-M rows instead: reludsl.passes.lower(program)"
        )
    if not program.size:
        raise InvalidInput("the program has no columns, and an empty file is no program; give one with columns")
    matrix = program.matrix()
    cost = np.zeros(program.size)
    offset, maximize = 0.0, False
    if program.objective is not None:
        np.add.at(cost, program.objective.index, program.objective.value)
        offset, maximize = float(program.objective.offset), program.objective.sense is Sense.MAXIMIZE
    kept = np.flatnonzero(np.isfinite(matrix.row_lower) | np.isfinite(matrix.row_upper))
    entries = sparse.csr_array(matrix.rows[kept])
    entries.sum_duplicates()
    rows = safe_names([(b.name, b.size) for b in program.rows])
    return Flat(
        safe_names([(b.name, b.size) for b in program.columns]),
        [rows[k] for k in kept.tolist()],
        entries,
        matrix.row_lower[kept],
        matrix.row_upper[kept],
        matrix.lower,
        matrix.upper,
        matrix.integer,
        cost,
        offset,
        maximize,
    )


def safe_names(blocks: Sequence[tuple[str, int]]) -> list[str]:
    """`relu.on` of size 2 gives relu_on_0 and relu_on_1: letters, digits and _, no two alike.

    >>> safe_names([("relu.on", 2), ("relu/on", 1), ("2x", 1)])
    ['relu_on_0', 'relu_on_1', 'relu_on__0', 'n_2x_0']
    """
    taken: set[str] = set()
    names: list[str] = []
    for name, size in blocks:
        base = re.sub(r"[^A-Za-z0-9_]", "_", name)[:LONGEST]
        # a leading digit, or e as in 1e5, reads as a number
        if not re.match(r"[A-DF-Za-df-z]", base):
            base = f"n_{base}"
        while base in taken:
            base += "_"
        taken.add(base)
        names += (f"{base}_{k}" for k in range(size))
    return names
