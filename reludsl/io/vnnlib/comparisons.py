"""All comparisons of a property as rows of one table, and vector conditions made of them.

A comparison is known by its number k: row k of the table, `e_k <= 0` or `e_k < 0`; `~k` is its negation. Columns of
the table are the elements of all tensors, inputs first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.expr import Expr, Variable
from reludsl.io.vnnlib.terms import Linear, as_float
from reludsl.logic import Atoms


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The columns from `start` on: the elements of one variable."""

    variable: Variable
    start: int


@dataclass
class Rows:
    """Comparisons while they are read."""

    columns: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    strict: list[bool] = field(default_factory=list)

    def bound(self, column: int, sign: float, constant: float, strict: bool) -> int:
        """The number of sign * column + constant <= 0."""
        self.columns.append(column)
        self.values.append(sign)
        self.lengths.append(1)
        self.constants.append(constant)
        self.strict.append(strict)
        return len(self.strict) - 1

    def pair(self, less: int, more: int, strict: bool) -> int:
        """The number of less - more <= 0, two different columns."""
        self.columns += (less, more)
        self.values += (1.0, -1.0)
        self.lengths.append(2)
        self.constants.append(0.0)
        self.strict.append(strict)
        return len(self.strict) - 1

    def linear(self, term: Linear, strict: bool) -> int:
        """The number of term <= 0.

        Raises:
            InvalidInput: a coefficient larger than float64 holds.
        """
        rounded = ((column, as_float(value)) for column, value in term.terms.items())
        used = [(column, value) for column, value in rounded if value]
        self.columns += (column for column, _ in used)
        self.values += (value for _, value in used)
        self.lengths.append(len(used))
        self.constants.append(as_float(term.constant))
        self.strict.append(strict)
        return len(self.strict) - 1


class Table:
    """Comparisons as arrays.

    Args:
        ends: where the columns of each tensor end, in order.
        inputs: number of columns that are inputs; they come first.
    """

    def __init__(self, rows: Rows, ends: Sequence[int], inputs: int) -> None:
        self.inputs = inputs
        self.columns: IntArray = np.array(rows.columns, dtype=np.int64)
        self.values: FloatArray = np.array(rows.values, dtype=np.float64)
        self.starts: IntArray = np.concatenate([[0], np.cumsum(np.array(rows.lengths, dtype=np.int64))])
        self.constants: FloatArray = np.array(rows.constants, dtype=np.float64)
        self.strict: BoolArray = np.array(rows.strict, dtype=np.bool_)
        self._block: IntArray = np.searchsorted(np.array(ends, dtype=np.int64), self.columns, side="right")

    @cached_property
    def bounds(self) -> Bounds:
        """Which rows bound a single input."""
        return Bounds(self)

    @cached_property
    def _repeats(self) -> bool:
        """Whether a row has a column twice, as where two inputs turned out to be one."""
        row = np.repeat(np.arange(self.strict.size), np.diff(self.starts))
        width = 1 + int(self.columns.max(initial=0))
        return np.unique(row * width + self.columns).size < row.size

    @cached_property
    def _kind(self) -> IntArray:
        """A number per row that is the same for rows over the same blocks (or, past 60 blocks, nearly so)."""
        lengths = np.diff(self.starts)
        kind = np.zeros(lengths.size, dtype=np.int64)
        filled = np.flatnonzero(lengths)
        if filled.size:
            bits = np.left_shift(np.int64(1), self._block % 60)
            kind[filled] = np.bitwise_or.reduceat(bits, self.starts[filled])
        return kind

    def atoms(self, numbers: Sequence[int], every: bool, blocks: Sequence[Block]) -> Iterator[Atoms]:
        """The comparisons as few vector conditions: one per set of tensors compared, and per strictness.

        Args:
            blocks: the tensors, in the order of the columns.
        """
        signed = np.array(numbers, dtype=np.int64)
        negated = signed < 0
        rows = np.where(negated, ~signed, signed)
        keys = self._kind[rows] * 2 + (self.strict[rows] ^ negated)
        if (keys == keys[0]).all():
            yield Atoms(self._expr(rows, negated, blocks), bool(keys[0] & 1), every)
            return
        for key in np.unique(keys).tolist():
            chosen = keys == key
            yield Atoms(self._expr(rows[chosen], negated[chosen], blocks), bool(key & 1), every)

    def _expr(self, rows: IntArray, negated: BoolArray, tensors: Sequence[Block]) -> Expr:
        """The left sides of some rows."""
        sign = np.where(negated, -1.0, 1.0)
        first, lengths = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        ends = np.cumsum(lengths)
        owner = np.repeat(np.arange(rows.size), lengths)
        entries = np.arange(int(lengths.sum())) - (ends - lengths)[owner] + first[owner]
        blocks, values, columns = self._block[entries], self.values[entries] * sign[owner], self.columns[entries]
        terms: dict[Variable, sparse.csr_array] = {}
        for index in np.unique(blocks).tolist():
            block, own = tensors[index], blocks == index
            counts = np.bincount(owner[own], minlength=rows.size)
            indptr = np.concatenate([[0], np.cumsum(counts)])
            matrix = sparse.csr_array(
                (values[own], columns[own] - block.start, indptr), shape=(rows.size, block.variable.size)
            )
            if self._repeats:
                matrix.sum_duplicates()
            # a hidden tensor may be the output too
            held = terms.get(block.variable)
            terms[block.variable] = matrix if held is None else held + matrix
        return Expr(terms, self.constants[rows] * sign)


class Bounds:
    """Rows that bound one input each: `c x + d <= 0` says x <= -d/c, or x >= -d/c where c < 0."""

    def __init__(self, table: Table) -> None:
        lengths = np.diff(table.starts)
        self.single = lengths == 1
        entry = table.starts[:-1][self.single]
        self.single[self.single] = table.columns[entry] < table.inputs
        entry = table.starts[:-1][self.single]
        self.column = np.zeros(lengths.size, dtype=np.int64)
        self.column[self.single] = table.columns[entry]
        self.upper = np.zeros(lengths.size, dtype=np.bool_)
        self.upper[self.single] = table.values[entry] > 0
        size = table.values[entry]
        # a coefficient of 1 or -1, as nearly all have, makes the bound exact; others are rounded outward
        with np.errstate(over="ignore"):
            limit = -table.constants[self.single] / size
        plain = np.abs(size) == 1.0
        self.plain = np.zeros(lengths.size, dtype=np.bool_)
        self.plain[self.single] = plain
        self.strict = table.strict
        self.least, self.most = np.zeros(lengths.size), np.zeros(lengths.size)
        self.least[self.single] = np.where(plain, limit, np.nextafter(limit, -np.inf))
        self.most[self.single] = np.where(plain, limit, np.nextafter(limit, np.inf))
        self.inputs = table.inputs

    def of(self, numbers: Sequence[int]) -> tuple[FloatArray, FloatArray] | None:
        """The smallest box that holds where all of these comparisons do; None where none bounds an input."""
        signed = np.array(numbers, dtype=np.int64)
        rows = np.where(signed < 0, ~signed, signed)
        held = self.single[rows]
        if not held.any():
            return None
        rows = rows[held]
        upper = self.upper[rows] ^ (signed[held] < 0)
        lower, higher = np.full(self.inputs, -np.inf), np.full(self.inputs, np.inf)
        np.minimum.at(higher, self.column[rows[upper]], self.most[rows[upper]])
        np.maximum.at(lower, self.column[rows[~upper]], self.least[rows[~upper]])
        return lower, higher

    def said(self, number: int) -> bool:
        """Whether a box says all that a comparison does."""
        row = ~number if number < 0 else number
        return bool(self.plain[row]) and bool(self.strict[row]) == (number < 0)
