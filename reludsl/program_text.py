"""A program as readable text, and back.

maximize 1 y[0]
columns x
  x[0] in [-1, 2]
rows z
  -1 x[0] + 1 z[0] = 0 defines z[0]
or relu
  defines y[0] { 1 y[0] = 0 } { 1 y[0] - 1 z[0] = 0 within [0, 1] }

A row that holds only where a binary column has a value stands in a block of its own:

if relu
  1 y[0] = 0 if relu.on[0] = 0
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray, IntArray, Sense
from reludsl.blocks import Columns, Disjunctions, IndicatorRows, Objective, RowBlock
from reludsl.errors import InvalidInput


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What the text of a program says: its blocks and its objective."""

    columns: tuple[Columns, ...]
    rows: tuple[RowBlock, ...]
    disjunctions: tuple[Disjunctions, ...]
    objective: Objective | None
    indicators: tuple[IndicatorRows, ...] = ()


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


def render(parts: Parts) -> Iterator[str]:
    """The lines of a program's text: every number in full, so that `Reader` gives the same program back."""
    names = [f"{b.name}[{k}]" for b in parts.columns for k in range(b.size)]
    if parts.objective is not None:
        goal = parts.objective
        tail = f" + {_number(goal.offset)}" if goal.offset else ""
        yield f"{goal.sense.value} {_terms(goal.index, goal.value, names)}{tail}"
    for block in parts.columns:
        yield f"columns {block.name}"
        for k, (low, high) in enumerate(zip(block.lower.tolist(), block.upper.tolist())):
            mark = " integer" if block.integer[k] else ""
            yield f"  {block.name}[{k}] in [{_number(low)}, {_number(high)}]{mark}"
    for rows in parts.rows:
        yield f"rows {rows.name}"
        for k, terms in enumerate(_matrix_terms(rows.matrix, names)):
            mark = f" defines {names[rows.defines[k]]}" if rows.defines[k] >= 0 else ""
            yield f"  {_relation(terms, float(rows.lower[k]), float(rows.upper[k]))}{mark}"
    for group in parts.disjunctions:
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
    for block_if in parts.indicators:
        yield f"if {block_if.name}"
        for k, terms in enumerate(_matrix_terms(block_if.matrix, names)):
            relation = _relation(terms, float(block_if.lower[k]), float(block_if.upper[k]))
            yield f"  {relation} if {names[block_if.column[k]]} = {int(block_if.value[k])}"


_NUMBER = r"[-+]?(?:inf|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_COLUMN = re.compile(rf"(\S+)\[(\d+)\] in \[({_NUMBER}), ({_NUMBER})\]( integer)?")
_TERM = re.compile(rf"([-+]?)\s*({_NUMBER})\s+(\S+\[\d+\])")
_ROW = re.compile(
    rf"(?:({_NUMBER}) <= (.*?) <= ({_NUMBER})|(.*?) = ({_NUMBER}))"
    rf"(?: within \[({_NUMBER}), ({_NUMBER})\])?(?: defines (\S+))?"
)
_INDICATOR = re.compile(r"(.*) if (\S+) = ([01])")
_DISJUNCTION = re.compile(r"(?:defines (\S+) )?((?:\{[^{}]*\}\s*)+)")
_OBJECTIVE = re.compile(rf"(minimize|maximize) (.*?)(?: \+ ({_NUMBER}))?")


@dataclass(frozen=True, slots=True)
class _Row:
    terms: list[tuple[int, float]]
    lower: float
    upper: float
    reach: tuple[float, float]
    defines: int


class Reader:
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

    def read(self, text: str) -> Parts:
        """The parts of a program.

        Raises:
            InvalidInput: with the line and what was expected there.
        """
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
                elif head in ("columns", "rows", "or", "if") and name:
                    sections.append((head, name, []))
                else:
                    raise self.fail(f"expected minimize, maximize, columns, rows, or, if; got {line.strip()!r}")
            elif sections:
                sections[-1][2].append((number, line.strip()))
            else:
                raise self.fail("an indented line before the first block")
        columns = tuple(self.columns(n, lines) for head, n, lines in sections if head == "columns")
        return Parts(
            columns,
            tuple(self.rows(n, lines) for head, n, lines in sections if head == "rows"),
            tuple(self.disjunctions(n, lines) for head, n, lines in sections if head == "or"),
            None if goal is None else self.objective(*goal),
            tuple(self.indicators(n, lines) for head, n, lines in sections if head == "if"),
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

    def indicators(self, name: str, lines: list[tuple[int, str]]) -> IndicatorRows:
        rows, column, value = [], [], []
        for self.line, line in lines:
            match = _INDICATOR.fullmatch(line)
            if match is None:
                raise self.fail(f"expected 'row if column = 0' or '.. = 1', got {line!r}")
            rows.append(self.row(match[1]))
            column.append(self.column(match[2]))
            value.append(match[3] == "1")
        return IndicatorRows(
            name,
            self.matrix(rows),
            np.array([r.lower for r in rows]),
            np.array([r.upper for r in rows]),
            np.array(column, dtype=np.int64),
            np.array(value, dtype=np.bool_),
        )
