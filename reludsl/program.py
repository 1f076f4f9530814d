"""The intermediate representation: columns, rows, disjunctions, and one objective, all as arrays.

    minimise / maximise   c x + d
    subject to            row_lower <= A x <= row_upper
                          for every disjunction: at least one branch (a conjunction of rows) holds
                          lower <= x <= upper, some x integer
                          row_lower <= A x <= row_upper where a binary has a value (few solvers take these)

A program holds *blocks*, one per layer, never one object per neuron. It is a value: passes are pure functions
from program to program, `str` prints it, `Program.parse` reads that text back.

Two things are remembered besides the mathematics:

* `defines`: which column a row or a disjunction computes from the others (a layer's output from its input).
  Such a column exists for every value of the others, so that a definition that nothing depends on may go,
  and its bounds follow from the rest, so that they may go with it.
* `trace`: the original columns as an affine function of the present ones. A pass that substitutes a column
  updates it, so that any expression over the original columns can still be asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import networkx as nx
import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, Indicators, IntArray, Matrix
from reludsl.blocks import AffineMap as AffineMap
from reludsl.blocks import Columns as Columns
from reludsl.blocks import Disjunctions as Disjunctions
from reludsl.blocks import IndicatorRows as IndicatorRows
from reludsl.blocks import Objective as Objective
from reludsl.blocks import RowBlock as RowBlock
from reludsl.blocks import activity as activity
from reludsl.blocks import widened as widened
from reludsl.errors import InvalidInput
from reludsl.program_text import Parts, Reader, render

NameKind = Literal["columns", "rows", "disjunctions", "indicators"]


@dataclass(frozen=True, eq=False)
class Program:
    """A disjunctive program (see the module).

    >>> program = Program.parse('''
    ... maximize 1 y[0]
    ... columns x
    ...   x[0] in [-1, 2]
    ... columns y
    ...   y[0] in [0, 2]
    ... or relu
    ...   defines y[0] { 1 y[0] = 0 } { 1 y[0] - 1 x[0] = 0 within [0, 1] }
    ... ''')
    >>> program.size, program.disjunction_count
    (2, 1)
    >>> str(Program.parse(str(program))) == str(program)
    True
    """

    columns: tuple[Columns, ...]
    rows: tuple[RowBlock, ...] = ()
    disjunctions: tuple[Disjunctions, ...] = ()
    objective: Objective | None = None
    trace: AffineMap | None = None
    indicators: tuple[IndicatorRows, ...] = ()

    @property
    def size(self) -> int:
        """Number of columns."""
        return sum(block.size for block in self.columns)

    @property
    def row_count(self) -> int:
        """Number of rows outside disjunctions."""
        return sum(block.size for block in self.rows)

    @property
    def disjunction_count(self) -> int:
        """Number of disjunctions."""
        return sum(block.size for block in self.disjunctions)

    @property
    def integers(self) -> int:
        """Number of integer columns."""
        return sum(int(block.integer.sum()) for block in self.columns)

    @property
    def nonzeros(self) -> int:
        """Number of coefficients in rows and disjunctions, the switches of indicators included."""
        return sum(int(matrix.nnz) for _, _, matrix, _, _ in self._items())

    @property
    def lower(self) -> FloatArray:
        return np.concatenate([np.zeros(0), *(b.lower for b in self.columns)])

    @property
    def upper(self) -> FloatArray:
        return np.concatenate([np.zeros(0), *(b.upper for b in self.columns)])

    @property
    def integer(self) -> BoolArray:
        return np.concatenate([np.zeros(0, dtype=np.bool_), *(b.integer for b in self.columns)])

    @property
    def original(self) -> AffineMap:
        """The original columns as a function of the present ones; the identity when no pass removed any."""
        if self.trace is not None:
            return self.trace
        nothing = np.zeros(self.size)
        return AffineMap(sparse.csr_array(sparse.eye_array(self.size)), nothing, nothing)

    def where(self, name: str) -> slice:
        """Positions of the columns of a block.

        Raises:
            InvalidInput: no block of that name; the message lists those that exist.
        """
        start = 0
        for block in self.columns:
            if block.name == name:
                return slice(start, start + block.size)
            start += block.size
        names = ", ".join(b.name for b in self.columns)
        raise InvalidInput(f"no column block is called {name!r}; there are {names}")

    def matrix(self) -> Matrix:
        """The program as one mixed-integer matrix.

        Raises:
            InvalidInput: disjunctions are left; lower them first (`reludsl.passes.big_m`).
        """
        if self.disjunctions:
            raise InvalidInput(
                f"the program holds {self.disjunction_count} disjunctions, which no solver takes; "
                "lower it first: reludsl.passes.big_m(program)"
            )
        rows = _stacked(self.rows, self.size)
        return Matrix(*rows, self.lower, self.upper, self.integer, self._conditions())

    def _conditions(self) -> Indicators | None:
        if not self.indicators:
            return None
        column = np.concatenate([b.column for b in self.indicators])
        value = np.concatenate([b.value for b in self.indicators])
        return Indicators(*_stacked(self.indicators, self.size), column, value)

    def with_columns(self, *blocks: Columns) -> Program:
        """The same program with more columns behind those that it has; nothing uses them yet."""
        width = self.size + sum(block.size for block in blocks)
        original = self.original
        return Program(
            (*self.columns, *blocks),
            tuple(replace(b, matrix=widened(b.matrix, width)) for b in self.rows),
            tuple(replace(g, matrix=widened(g.matrix, width)) for g in self.disjunctions),
            self.objective,
            self.trace if width == self.size else replace(original, matrix=widened(original.matrix, width)),
            tuple(replace(b, matrix=widened(b.matrix, width)) for b in self.indicators),
        )

    def with_objective(self, objective: Objective | None) -> Program:
        """The same constraints under another objective."""
        return replace(self, objective=objective)

    def graph(self, by_block: bool = True) -> nx.DiGraph[tuple[NameKind, str]]:
        """The constraint graph: columns, rows and disjunctions as nodes.

        A column points to the rows and disjunctions that use it; a row or disjunction points to the column it
        defines. What a column depends on are its ancestors, and, through plain constraints (which point
        nowhere), whatever shares a component with it.

        Args:
            by_block: one node per block, ("columns", name); otherwise one per column, row and disjunction,
                ("columns", "x[3]"), which is for small programs and for pictures.
        """
        graph: nx.DiGraph[tuple[NameKind, str]] = nx.DiGraph()
        labels = _Labels(self, by_block)
        for block in self.columns:
            for k in range(1 if by_block else block.size):
                graph.add_node(("columns", block.name if by_block else f"{block.name}[{k}]"))
        for kind, name, matrix, defines, owner in self._items():
            entries = owner[np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))]
            used = matrix.indices != defines[entries]
            columns, owners = matrix.indices[used], entries[used]
            if by_block:
                # one entry per block is enough for an edge; there may be millions
                _, first = np.unique(labels.block(columns), return_index=True)
                columns, owners = columns[first], owners[first]
            for source, target in zip(labels.columns(columns), labels.items(name, owners)):
                graph.add_edge(("columns", source), (kind, target))
            known = np.flatnonzero(defines >= 0)
            defined = labels.columns(defines[known])
            for source, target in dict.fromkeys(zip(labels.items(name, known), defined)):
                graph.add_edge((kind, source), ("columns", target))
        return graph

    def _items(self) -> Iterator[tuple[NameKind, str, sparse.csr_array, IntArray, IntArray]]:
        """All that relates columns: kind, block, matrix, the columns defined, which item owns each matrix row."""
        for block in self.rows:
            yield "rows", block.name, block.matrix, block.defines, np.arange(block.size)
        for group in self.disjunctions:
            owner = group.disjunction_of_branch[group.branch_of_row]
            yield "disjunctions", group.name, group.matrix, group.defines, owner
        for rows in self.indicators:
            yield "indicators", rows.name, rows.uses, np.full(rows.size, -1, dtype=np.int64), np.arange(rows.size)

    def column_names(self) -> list[str]:
        """`name[k]` of every column, in order."""
        return [f"{b.name}[{k}]" for b in self.columns for k in range(b.size)]

    def __str__(self) -> str:
        """A readable text that `parse` reads back: every number in full, the trace left out."""
        return "\n".join(render(Parts(self.columns, self.rows, self.disjunctions, self.objective, self.indicators)))

    @classmethod
    def parse(cls, text: str) -> Program:
        """Read the text that `str` prints.

        Raises:
            InvalidInput: with the line and what was expected there.
        """
        parts = Reader().read(text)
        return cls(parts.columns, parts.rows, parts.disjunctions, parts.objective, None, parts.indicators)


def _stacked(blocks: Sequence[RowBlock | IndicatorRows], width: int) -> tuple[sparse.csr_array, FloatArray, FloatArray]:
    """The rows of some blocks as one matrix with its sides."""
    matrix = sparse.csr_array((0, width))
    if blocks:
        matrix = sparse.csr_array(sparse.vstack([b.matrix for b in blocks], format="csr"))
    low = np.concatenate([np.zeros(0), *(b.lower for b in blocks)])
    high = np.concatenate([np.zeros(0), *(b.upper for b in blocks)])
    return matrix, low, high


class _Labels:
    """Names of columns and items, or of their blocks, by position."""

    def __init__(self, program: Program, by_block: bool) -> None:
        self.by_block = by_block
        self.blocks = [b.name for b in program.columns]
        self.ends = np.cumsum([b.size for b in program.columns])
        self.singles = [] if by_block else program.column_names()

    def columns(self, positions: IntArray) -> Sequence[str]:
        if not self.by_block:
            return [self.singles[k] for k in positions.tolist()]
        return [self.blocks[k] for k in self.block(positions).tolist()]

    def block(self, positions: IntArray) -> IntArray:
        """Index of the block of each column."""
        return np.searchsorted(self.ends, positions, side="right")

    def items(self, name: str, items: IntArray) -> Sequence[str]:
        return [name if self.by_block else f"{name}[{k}]" for k in items.tolist()]
