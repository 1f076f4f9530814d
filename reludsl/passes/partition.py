"""The partition form: between big-M and the hull (Tsay, Kronqvist, Thebelt, Misener 2021).

The row z = W h + b that defines a column of a disjunction is split into N partial sums, and put into its branches:

    t_k = W_k h_k, k = 1..N     z = t_1 + ... + t_N + b in every branch

The hull of the disjunction (`reludsl.passes.disaggregate`) is then one over the t_k too. For a ReLU, sigma = 1 when it
is inactive and t_k^1 the copies of its active branch:

    y = sum t_k^1 + (1 - sigma) b >= 0     sum (t_k - t_k^1) + sigma b <= 0
    sigma l_k <= t_k - t_k^1 <= sigma u_k     (1 - sigma) l_k <= t_k^1 <= (1 - sigma) u_k

N = 1 is at least as tight as big-M, N = the number of inputs is the hull over the inputs (`reludsl.passes.hull`).
Nothing here is about ReLU: any disjunction, any number of branches, any number of columns that rows define.

A part is scaled by a power of two where its range is far from 1.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.passes.big_m import chosen_and_left
from reludsl.passes.disaggregate import disaggregate
from reludsl.program import Columns, Disjunctions, Program, RowBlock, widened

MODEST = (0.125, 1024.0)
"""Partial sums of a range between these are not scaled."""

MOST_SCALING = 20
"""A part is scaled by 2^-20 to 2^20: one of width 1e-16 is rounding, and made 1 it would put 1e16 into its row."""


def partition(program: Program, groups: int | None, names: Collection[str] | None = None) -> Program:
    """Lower every disjunction to the hull over partial sums of the rows that define its columns. Prune first.

    Args:
        groups: partial sums per row: its terms in the order of their weights, in so many equal shares; None takes
            every term alone.
        names: of the blocks of disjunctions to lower; all by default.

    Raises:
        InvalidInput: no groups.

    >>> program = Program.parse('''
    ... columns x
    ...   x[0] in [0, 2]
    ...   x[1] in [-1, 0]
    ... columns z
    ...   z[0] in [-1, 2]
    ... columns y
    ...   y[0] in [0, 2]
    ... rows z
    ...   1 z[0] - 1 x[0] - 1 x[1] = 0 defines z[0]
    ... or relu
    ...   defines y[0] { 1 y[0] = 0 } { 1 y[0] - 1 z[0] = 0 within [0, 1] }
    ... ''')
    >>> lowered = partition(program, 2)
    >>> [(block.name, block.size) for block in lowered.columns]
    [('x', 2), ('y', 1), ('relu.on', 1), ('relu.part', 4)]
    >>> lowered.where("relu.part"), lowered.upper.tolist()
    (slice(4, 8, None), [2.0, 0.0, 2.0, 1.0, 2.0, 0.0, 2.0, 0.0])
    """
    if groups is not None and groups < 1:
        raise InvalidInput(
            f"{groups} groups of terms were asked for, and a row has at least one; 1 is as tight as big-M, more are "
            "tighter: write partition:2"
        )
    rows = defining_rows(program, names)
    if not rows.column.size:
        return disaggregate(program, names)
    first = chosen_and_left(program, names)[0][0].name
    split = _Split.of(f"{first}.partial", rows, groups, program)
    loose = np.zeros(program.size + split.columns.size, dtype=np.bool_)
    loose[rows.column] = True
    loose[program.size :] = True
    return disaggregate(_with_rows_inside(program, rows, split, names), names, loose)


@dataclass(frozen=True, slots=True, eq=False)
class Defining:
    """Rows `lower <= z - terms @ x <= upper` that define columns of disjunctions.

    Args:
        block: index of the row's block in the program; row: its place there. (k,)
        column: the z that it defines; terms: (k, columns of the program).
    """

    block: IntArray
    row: IntArray
    column: IntArray
    terms: sparse.csr_array
    lower: FloatArray
    upper: FloatArray


def defining_rows(program: Program, names: Collection[str] | None) -> Defining:
    """The first row with pivot 1 for each column that the chosen disjunctions use and do not define themselves."""
    wanted = np.zeros(program.size, dtype=np.bool_)
    chosen, _ = chosen_and_left(program, names)
    for group in chosen:
        wanted[group.matrix.indices] = True
    for group in program.disjunctions:
        wanted[group.defines[group.defines >= 0]] = False
    blocks, places, matrices = [], [], []
    for k, block in enumerate(program.rows):
        matrix = block.matrix
        row = np.repeat(np.arange(block.size), np.diff(matrix.indptr))
        own = matrix.indices == block.defines[row]
        unit = np.zeros(block.size, dtype=np.bool_)
        unit[row[own & (matrix.data == 1)]] = True
        several = np.diff(matrix.indptr) > 1
        # what only bounds a column, as comparisons bound a slack, does not define it
        both = np.isfinite(block.lower) & np.isfinite(block.upper)
        here = np.flatnonzero((block.defines >= 0) & wanted[block.defines] & unit & several & both)
        here = here[np.unique(block.defines[here], return_index=True)[1]]
        wanted[block.defines[here]] = False
        blocks.append(np.full(here.size, k, dtype=np.int64))
        places.append(here)
        matrices.append(matrix[here])
    none = np.zeros(0, dtype=np.int64)
    block_of, row_of = np.concatenate([none, *blocks]), np.concatenate([none, *places])
    column = np.concatenate([none, *(program.rows[k].defines[r] for k, r in enumerate(places))])
    stacked = sparse.csr_array(sparse.vstack([sparse.csr_array((0, program.size)), *matrices], format="csr"))
    own_terms = sparse.csr_array((np.ones(column.size), (np.arange(column.size), column)), shape=stacked.shape)
    terms = sparse.csr_array(own_terms - stacked)
    terms.eliminate_zeros()
    lower = np.concatenate([np.zeros(0), *(program.rows[k].lower[r] for k, r in enumerate(places))])
    upper = np.concatenate([np.zeros(0), *(program.rows[k].upper[r] for k, r in enumerate(places))])
    return Defining(block_of, row_of, column, terms, lower, upper)


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    """Columns t, the rows that tie them to their terms, and z = sum of t + constant.

    Args:
        owner: (columns,) the defining row that each t is a part of.
        rows: (columns,) terms of each t, slack included.
        scale: (columns,) each t is so many times its part; a power of two.
    """

    columns: Columns
    owner: IntArray
    rows: RowBlock
    constant: FloatArray
    scale: FloatArray

    @classmethod
    def of(cls, name: str, rows: Defining, groups: int | None, program: Program) -> _Split:
        part, parts = _shares(rows.terms, groups)
        first = np.concatenate([[0], np.cumsum(parts)])
        size = int(first[-1])
        sums = sparse.csr_array((rows.terms.data, (part, rows.terms.indices)), shape=(size, program.size))
        owner = np.repeat(np.arange(parts.size), parts)
        scale = _scale(*_range(sums, program.lower, program.upper))
        sums = sparse.csr_array(sparse.diags_array(scale) @ sums)
        least_sum, most_sum = _range(sums, program.lower, program.upper)
        # what the row leaves open goes to its largest part, on the side that is large: t = W_k h + [0, upper - lower],
        # so that no end becomes a coefficient of 1e-13
        largest = np.lexsort((np.maximum(-least_sum, most_sum), owner))[first[1:] - 1]
        above = np.abs(most_sum[largest]) >= np.abs(least_sum[largest])
        constant = np.where(above, rows.lower, rows.upper)
        slack_low, slack_high = np.zeros(size), np.zeros(size)
        slack_low[largest] = scale[largest] * np.minimum(numeric.plus_down(rows.lower, -constant), 0.0)
        slack_high[largest] = scale[largest] * np.maximum(numeric.plus_up(rows.upper, -constant), 0.0)
        columns = Columns(
            name,
            numeric.plus_down(least_sum, slack_low),
            numeric.plus_up(most_sum, slack_high),
            np.zeros(size, dtype=np.bool_),
        )
        unit = sparse.csr_array((np.ones(size), (np.arange(size), program.size + np.arange(size))))
        matrix = sparse.csr_array(unit - widened(sums, program.size + size))
        tie = RowBlock(name, matrix, slack_low, slack_high, np.full(size, -1, dtype=np.int64))
        return cls(columns, owner, tie, constant, scale)


def _shares(terms: sparse.csr_array, groups: int | None) -> tuple[IntArray, IntArray]:
    """The part that each term falls to, numbered through, and the number of parts of each row.

    The terms of a row in the order of their weights are cut as `numpy.array_split` does: the first shares hold one
    term more.
    """
    counts = np.diff(terms.indptr)
    row = np.repeat(np.arange(counts.size), counts)
    order = np.lexsort((terms.data, row))
    rank = np.empty(row.size, dtype=np.int64)
    rank[order] = np.arange(row.size) - terms.indptr[:-1][row[order]]
    parts = counts if groups is None else np.minimum(counts, groups)
    least, more = (values[row] for values in np.divmod(counts, parts))
    longer = (least + 1) * more
    share = np.where(rank < longer, rank // (least + 1), more + (rank - longer) // least)
    return np.concatenate([[0], np.cumsum(parts)])[row] + share, parts


def _scale(least: FloatArray, most: FloatArray) -> FloatArray:
    """Powers of two, so that nothing is rounded, that bring ranges far from 1 to between 1/2 and 1.

    A part made of tiny weights has the range of their products; solvers take rows and columns of 1e-8 for nothing.
    """
    size = np.maximum(np.abs(least), np.abs(most))
    usual = (size == 0) | ((size >= MODEST[0]) & (size <= MODEST[1]))
    exponent = np.clip(np.frexp(np.where(usual, 0.5, size))[1], -MOST_SCALING, MOST_SCALING)
    return np.where(usual, 1.0, np.ldexp(1.0, -exponent))


def _range(matrix: sparse.csr_array, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest value of each row, outward by the rounding of the terms at that end: 0 stays 0.

    `activity` widens both ends by what the larger one may lose. Here an end becomes a coefficient of a binary, and
    -1e-18 in the place of 0 is one that no solver copes with.
    """
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    low, high = lower[matrix.indices], upper[matrix.indices]
    positive = matrix.data > 0
    count = np.diff(matrix.indptr)
    ends: list[tuple[FloatArray, FloatArray]] = []
    for x in (np.where(positive, low, high), np.where(positive, high, low)):
        terms = matrix.data * x
        total = np.asarray(np.bincount(row, terms, matrix.shape[0]), dtype=np.float64)
        size = np.bincount(row, np.abs(terms), matrix.shape[0])
        exact = np.bincount(row, (x != 0) & (np.abs(matrix.data) != 1), matrix.shape[0]) == 0
        exact &= np.bincount(row, x != 0, matrix.shape[0]) <= 1
        error = 2.0 * (count + 2) * numeric.UNIT * size + (count + 2) * numeric.FLOOR
        ends.append((total, np.where(exact, 0.0, error)))
    (least, lost_below), (most, lost_above) = ends
    return numeric.down(least, lost_below), numeric.up(most, lost_above)


def _with_rows_inside(program: Program, rows: Defining, split: _Split, names: Collection[str] | None) -> Program:
    """The same program with the defining rows, over partial sums, in the branches of the chosen disjunctions."""
    wide = program.with_columns(split.columns)
    kept = []
    for k, block in enumerate(wide.rows):
        stays = np.ones(block.size, dtype=np.bool_)
        stays[rows.row[rows.block == k]] = False
        if stays.any():
            kept.append(
                RowBlock(block.name, block.matrix[stays], block.lower[stays], block.upper[stays], block.defines[stays])
            )
    count = rows.column.size
    parts = program.size + np.arange(split.owner.size)
    inside = sparse.csr_array(
        (
            np.concatenate([np.ones(count), -1.0 / split.scale]),
            (np.concatenate([np.arange(count), split.owner]), np.concatenate([rows.column, parts])),
        ),
        shape=(count, wide.size),
    )
    chosen, left = chosen_and_left(wide, names)
    groups = tuple(_with_rows(group, rows.column, inside, split.constant) for group in chosen)
    return replace(wide, rows=(*kept, split.rows), disjunctions=(*left, *groups))


def _with_rows(group: Disjunctions, column: IntArray, inside: sparse.csr_array, side: FloatArray) -> Disjunctions:
    """Every branch with the rows that define the columns of its disjunction, behind its own."""
    which = np.full(group.matrix.shape[1], -1, dtype=np.int64)
    which[column] = np.arange(column.size)
    entries = np.repeat(np.arange(group.matrix.shape[0]), np.diff(group.matrix.indptr))
    owner = group.disjunction_of_branch[group.branch_of_row[entries]]
    row = which[group.matrix.indices]
    pairs = np.unique(owner[row >= 0] * column.size + row[row >= 0])
    disjunction, row = pairs // column.size, pairs % column.size
    # one copy of each (disjunction, row) per branch
    counts = np.diff(group.starts)[disjunction]
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    branch = np.repeat(group.starts[disjunction], counts) + np.arange(counts.sum()) - np.repeat(first, counts)
    row = np.repeat(row, counts)
    every = np.concatenate([group.branch_of_row, branch])
    order = np.argsort(every, kind="stable")
    matrix = sparse.csr_array(sparse.vstack([group.matrix, inside[row]], format="csr"))[order]
    nothing = np.full(row.size, np.inf)

    def ordered(old: FloatArray, new: FloatArray) -> FloatArray:
        return np.concatenate([old, new])[order]

    return Disjunctions(
        group.name,
        matrix,
        ordered(group.lower, side[row]),
        ordered(group.upper, side[row]),
        ordered(group.reach_lower, -nothing),
        ordered(group.reach_upper, nothing),
        np.concatenate([[0], np.cumsum(np.bincount(every, minlength=group.branches.size - 1))]),
        group.starts,
        group.defines,
    )
