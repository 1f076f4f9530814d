"""The intermediate representation: columns, rows, disjunctions, and one objective, all as arrays.

    minimise / maximise   c x + d
    subject to            row_lower <= A x <= row_upper
                          for every disjunction: at least one branch (a conjunction of rows) holds
                          lower <= x <= upper, some x integer

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

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import networkx as nx
import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray, Matrix, Sense
from reludsl.errors import InvalidInput

NameKind = Literal["columns", "rows", "disjunctions"]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A block of columns. Shapes (k,); printed as `name[0]`, `name[1]`, ..."""

    name: str
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray

    @property
    def size(self) -> int:
        return self.lower.size


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """`lower <= matrix @ x <= upper`, with matrix (k, columns of the program).

    Args:
        defines: (k,) the column that each row computes, -1 for a plain constraint. The row is an equation
            then, widened where coefficients were rounded or left out.
    """

    name: str
    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray
    defines: IntArray

    @property
    def size(self) -> int:
        return self.lower.size


@dataclass(frozen=True, slots=True, eq=False)
class Disjunctions:
    """A block of disjunctions: of each one, at least one branch holds; of a branch, all rows.

    Args:
        matrix: (rows, columns of the program), the rows of all branches of all disjunctions in order.
        lower, upper: what a row requires.
        reach_lower, reach_upper: proved range of the row's activity over the whole program; infinite where
            nothing better than the columns' bounds is known. The H constant of a row is the distance from
            its reach to its requirement.
        branches: (b + 1,) rows of branch k are branches[k] : branches[k + 1].
        starts: (d + 1,) branches of disjunction i are starts[i] : starts[i + 1].
        defines: (d,) the column that each disjunction computes, -1 for none.
    """

    name: str
    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray
    reach_lower: FloatArray
    reach_upper: FloatArray
    branches: IntArray
    starts: IntArray
    defines: IntArray

    @property
    def size(self) -> int:
        return self.starts.size - 1

    @property
    def branch_of_row(self) -> IntArray:
        """(rows,) index of the branch that holds each row."""
        return np.repeat(np.arange(self.branches.size - 1), np.diff(self.branches))

    @property
    def disjunction_of_branch(self) -> IntArray:
        """(b,) index of the disjunction that holds each branch."""
        return np.repeat(np.arange(self.size), np.diff(self.starts))

    def keep_branches(self, keep: BoolArray) -> Disjunctions:
        """The same disjunctions with some branches left out; a disjunction without branches disappears."""
        rows = keep[self.branch_of_row]
        counts = np.bincount(self.disjunction_of_branch[keep], minlength=self.size)
        lengths = np.diff(self.branches)[keep]
        return Disjunctions(
            self.name,
            self.matrix[rows],
            self.lower[rows],
            self.upper[rows],
            self.reach_lower[rows],
            self.reach_upper[rows],
            np.concatenate([[0], np.cumsum(lengths)]),
            np.concatenate([[0], np.cumsum(counts[counts > 0])]),
            self.defines[counts > 0],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """`sum value[k] * x[index[k]] + offset`, to be minimised or maximised."""

    index: IntArray
    value: FloatArray
    sense: Sense
    offset: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class AffineMap:
    """`matrix @ x + offset`, true up to `error` for every feasible x: what rounding the coefficients may have cost."""

    matrix: sparse.csr_array
    offset: FloatArray
    error: FloatArray

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.matrix @ x + self.offset)


def activity(matrix: sparse.csr_array, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest value of each row over the box, rounded outward: sums of c l or c u by the sign of c."""
    positive, negative = matrix.maximum(0), matrix.minimum(0)
    terms = np.diff(matrix.indptr)
    size = abs(matrix) @ np.maximum(np.abs(lower), np.abs(upper))
    error = np.where(terms > 0, 2.0 * (terms + 2) * numeric.UNIT * size + numeric.FLOOR, 0.0)
    least = positive @ lower + negative @ upper
    most = positive @ upper + negative @ lower
    # one term with coefficient 1 or -1 is exact: bounds on a single column must come out as they went in
    single = (terms == 1) & (abs(matrix) @ np.ones(matrix.shape[1]) == 1.0)
    error = np.where(single, 0.0, error)
    return numeric.down(least, error), numeric.up(most, error)


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
        """Number of coefficients in rows and disjunctions."""
        rows = sum(int(b.matrix.nnz) for b in self.rows)
        return rows + sum(int(b.matrix.nnz) for b in self.disjunctions)

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
        if self.rows:
            stacked = sparse.vstack([b.matrix for b in self.rows], format="csr")
        else:
            stacked = sparse.csr_array((0, self.size))
        low = np.concatenate([np.zeros(0), *(b.lower for b in self.rows)])
        high = np.concatenate([np.zeros(0), *(b.upper for b in self.rows)])
        return Matrix(sparse.csr_array(stacked), low, high, self.lower, self.upper, self.integer)

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
        for kind, item, owner in self._items():
            entries = owner[np.repeat(np.arange(item.matrix.shape[0]), np.diff(item.matrix.indptr))]
            used = item.matrix.indices != item.defines[entries]
            columns, owners = item.matrix.indices[used], entries[used]
            if by_block:
                # one entry per block is enough for an edge; there may be millions
                _, first = np.unique(labels.block(columns), return_index=True)
                columns, owners = columns[first], owners[first]
            for source, target in zip(labels.columns(columns), labels.items(item.name, owners)):
                graph.add_edge(("columns", source), (kind, target))
            known = np.flatnonzero(item.defines >= 0)
            defined = labels.columns(item.defines[known])
            for source, target in dict.fromkeys(zip(labels.items(item.name, known), defined)):
                graph.add_edge((kind, source), ("columns", target))
        return graph

    def _items(self) -> Iterator[tuple[NameKind, RowBlock | Disjunctions, IntArray]]:
        """Rows and disjunctions alike: kind, block, and which item of the block owns each matrix row."""
        for block in self.rows:
            yield "rows", block, np.arange(block.size)
        for group in self.disjunctions:
            yield "disjunctions", group, group.disjunction_of_branch[group.branch_of_row]

    def column_names(self) -> list[str]:
        """`name[k]` of every column, in order."""
        return [f"{b.name}[{k}]" for b in self.columns for k in range(b.size)]

    def __str__(self) -> str:
        """A readable text that `parse` reads back: every number in full, the trace left out."""
        return "\n".join(_render(self))

    @classmethod
    def parse(cls, text: str) -> Program:
        """Read the text that `str` prints.

        Raises:
            InvalidInput: with the line and what was expected there.
        """
        return _Reader().read(text)


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


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def _terms(index: IntArray, value: FloatArray, names: list[str]) -> str:
    parts: list[str] = []
    for k, v in zip(index.tolist(), value.tolist()):
        sign = ("- " if v < 0 else "+ ") if parts else ("-" if v < 0 else "")
        parts.append(f"{sign}{_number(abs(v))} {names[k]}")
    return " ".join(parts) or "0"


def _relation(terms: str, lower: float, upper: float) -> str:
    if lower == upper:
        return f"{terms} = {_number(lower)}"
    return f"{_number(lower)} <= {terms} <= {_number(upper)}"


def _matrix_terms(matrix: sparse.csr_array, names: list[str]) -> list[str]:
    matrix = sparse.csr_array(matrix.sorted_indices())
    spans = zip(matrix.indptr[:-1].tolist(), matrix.indptr[1:].tolist())
    return [_terms(matrix.indices[a:b], matrix.data[a:b], names) for a, b in spans]


def _render(program: Program) -> Iterator[str]:
    names = program.column_names()
    if program.objective is not None:
        goal = program.objective
        tail = f" + {_number(goal.offset)}" if goal.offset else ""
        yield f"{goal.sense.value} {_terms(goal.index, goal.value, names)}{tail}"
    for block in program.columns:
        yield f"columns {block.name}"
        for k, (low, high) in enumerate(zip(block.lower.tolist(), block.upper.tolist())):
            mark = " integer" if block.integer[k] else ""
            yield f"  {block.name}[{k}] in [{_number(low)}, {_number(high)}]{mark}"
    for rows in program.rows:
        yield f"rows {rows.name}"
        for k, terms in enumerate(_matrix_terms(rows.matrix, names)):
            mark = f" defines {names[rows.defines[k]]}" if rows.defines[k] >= 0 else ""
            yield f"  {_relation(terms, float(rows.lower[k]), float(rows.upper[k]))}{mark}"
    for group in program.disjunctions:
        yield f"or {group.name}"
        texts = []
        for k, terms in enumerate(_matrix_terms(group.matrix, names)):
            reach = (float(group.reach_lower[k]), float(group.reach_upper[k]))
            within = "" if np.isinf(reach).all() else f" within [{_number(reach[0])}, {_number(reach[1])}]"
            texts.append(_relation(terms, float(group.lower[k]), float(group.upper[k])) + within)
        spans = list(zip(group.branches[:-1].tolist(), group.branches[1:].tolist()))
        branches = ["{ " + "; ".join(texts[a:b]) + " }" for a, b in spans]
        for k in range(group.size):
            mark = f"defines {names[group.defines[k]]} " if group.defines[k] >= 0 else ""
            yield "  " + mark + " ".join(branches[group.starts[k] : group.starts[k + 1]])


_NUMBER = r"[-+]?(?:inf|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_COLUMN = re.compile(rf"(\S+)\[(\d+)\] in \[({_NUMBER}), ({_NUMBER})\]( integer)?")
_TERM = re.compile(rf"([-+]?)\s*({_NUMBER})\s+(\S+\[\d+\])")
_ROW = re.compile(
    rf"(?:({_NUMBER}) <= (.*?) <= ({_NUMBER})|(.*?) = ({_NUMBER}))"
    rf"(?: within \[({_NUMBER}), ({_NUMBER})\])?(?: defines (\S+))?"
)
_DISJUNCTION = re.compile(r"(?:defines (\S+) )?((?:\{[^{}]*\}\s*)+)")
_OBJECTIVE = re.compile(rf"(minimize|maximize) (.*?)(?: \+ ({_NUMBER}))?")


@dataclass(frozen=True, slots=True)
class _Row:
    terms: list[tuple[int, float]]
    lower: float
    upper: float
    reach: tuple[float, float]
    defines: int


class _Reader:
    """Reads the text form line by line. Columns come before what uses them, except in the objective."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}
        self.line = 0

    def fail(self, what: str) -> InvalidInput:
        return InvalidInput(f"line {self.line} of the program text: {what}")

    def column(self, name: str) -> int:
        if name not in self.index:
            raise self.fail(f"no column is called {name}; declare it in a columns block above")
        return self.index[name]

    def terms(self, text: str) -> list[tuple[int, float]]:
        if text.strip() == "0":
            return []
        found = list(_TERM.finditer(text))
        if not found or "".join(_TERM.sub("", text).split()):
            raise self.fail(f"expected terms such as '1 x[0] - 2 x[1]', got {text!r}")
        return [(self.column(m[3]), -float(m[2]) if m[1] == "-" else float(m[2])) for m in found]

    def row(self, text: str) -> _Row:
        match = _ROW.fullmatch(text.strip())
        if match is None:
            raise self.fail(f"expected 'l <= terms <= u' or 'terms = v', got {text!r}")
        low, middle, high, left, value, reach_low, reach_high, defined = match.groups()
        body, bounds = (middle, (low, high)) if left is None else (left, (value, value))
        reach = (float(reach_low or "-inf"), float(reach_high or "inf"))
        defines = -1 if defined is None else self.column(defined)
        return _Row(self.terms(body), float(bounds[0]), float(bounds[1]), reach, defines)

    def matrix(self, rows: list[_Row]) -> sparse.csr_array:
        counts = np.cumsum([0, *(len(r.terms) for r in rows)])
        flat = [t for r in rows for t in r.terms]
        index = np.array([k for k, _ in flat], dtype=np.int64)
        data = np.array([v for _, v in flat], dtype=np.float64)
        return sparse.csr_array((data, index, counts), shape=(len(rows), len(self.index)))

    def read(self, text: str) -> Program:
        sections: list[tuple[str, str, list[tuple[int, str]]]] = []
        goal: tuple[int, str] | None = None
        for number, line in enumerate(text.splitlines(), 1):
            self.line = number
            if not line.strip():
                continue
            if not line.startswith(" "):
                head, _, name = line.strip().partition(" ")
                if head in ("minimize", "maximize"):
                    goal = (number, line.strip())
                elif head in ("columns", "rows", "or") and name:
                    sections.append((head, name, []))
                else:
                    raise self.fail(f"expected minimize, maximize, columns, rows or or, got {line.strip()!r}")
            elif sections:
                sections[-1][2].append((number, line.strip()))
            else:
                raise self.fail("an indented line before the first block")
        columns = tuple(self.columns(n, lines) for head, n, lines in sections if head == "columns")
        return Program(
            columns,
            tuple(self.rows(n, lines) for head, n, lines in sections if head == "rows"),
            tuple(self.disjunctions(n, lines) for head, n, lines in sections if head == "or"),
            None if goal is None else self.objective(*goal),
        )

    def objective(self, number: int, line: str) -> Objective:
        self.line = number
        match = _OBJECTIVE.fullmatch(line)
        if match is None:
            raise self.fail(f"expected 'maximize terms + constant', got {line!r}")
        terms = self.terms(match[2])
        return Objective(
            np.array([k for k, _ in terms], dtype=np.int64),
            np.array([v for _, v in terms], dtype=np.float64),
            Sense(match[1]),
            float(match[3] or 0.0),
        )

    def columns(self, name: str, lines: list[tuple[int, str]]) -> Columns:
        bounds: list[tuple[float, float]] = []
        integer: list[bool] = []
        for self.line, line in lines:
            match = _COLUMN.fullmatch(line)
            if match is None or match[1] != name or int(match[2]) != len(bounds):
                raise self.fail(f"expected '{name}[{len(bounds)}] in [lower, upper]', got {line!r}")
            self.index[f"{name}[{len(bounds)}]"] = len(self.index)
            bounds.append((float(match[3]), float(match[4])))
            integer.append(match[5] is not None)
        both = np.array(bounds, dtype=np.float64).reshape(-1, 2)
        return Columns(name, both[:, 0].copy(), both[:, 1].copy(), np.array(integer, dtype=np.bool_))

    def rows(self, name: str, lines: list[tuple[int, str]]) -> RowBlock:
        rows = []
        for self.line, line in lines:
            rows.append(self.row(line))
        return RowBlock(
            name,
            self.matrix(rows),
            np.array([r.lower for r in rows]),
            np.array([r.upper for r in rows]),
            np.array([r.defines for r in rows], dtype=np.int64),
        )

    def disjunctions(self, name: str, lines: list[tuple[int, str]]) -> Disjunctions:
        rows: list[_Row] = []
        branches, starts, defines = [0], [0], []
        for self.line, line in lines:
            match = _DISJUNCTION.fullmatch(line)
            if match is None:
                raise self.fail(f"expected '{{ rows }} {{ rows }}', got {line!r}")
            for body in re.findall(r"\{([^{}]*)\}", match[2]):
                rows += [self.row(part) for part in body.split(";") if part.strip()]
                branches.append(len(rows))
            starts.append(len(branches) - 1)
            defines.append(-1 if match[1] is None else self.column(match[1]))
        return Disjunctions(
            name,
            self.matrix(rows),
            np.array([r.lower for r in rows]),
            np.array([r.upper for r in rows]),
            np.array([r.reach[0] for r in rows]),
            np.array([r.reach[1] for r in rows]),
            np.array(branches, dtype=np.int64),
            np.array(starts, dtype=np.int64),
            np.array(defines, dtype=np.int64),
        )
