"""The oracle: every integer assignment is visited, every linear program solved in rational arithmetic.

It shares no code and no rounding with any solver, so that agreement with it means something. Row activities
and the incumbent prune the depth-first search; what is left must be small: at most 2**16 assignments.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy import sparse

from reludsl.backend import (
    Answered,
    Capability,
    Count,
    FloatArray,
    Indicators,
    IntArray,
    InvalidInput,
    Limits,
    Matrix,
    OnPoint,
    Reply,
    Result,
    Rows,
    Sense,
    Session,
    Status,
    answered,
)
from reludsl.exact_lp import ExactLP, Side, exact, solve_exact
from reludsl.testing.search import ExactRow, Search, exact_rows, exactly

__all__ = ["MOST_ASSIGNMENTS", "EnumerationBackend"]

MOST_ASSIGNMENTS = 2**16
"""Above this many integer assignments a solve is refused."""


_CAPABILITIES = (
    Capability.LP
    | Capability.MILP
    | Capability.BOUND
    | Capability.INCREMENTAL
    | Capability.START
    | Capability.DUALS
    | Capability.FARKAS
    | Capability.INCUMBENT_EVENTS
    | Capability.NODE_EVENTS
    | Capability.LAZY_ROWS
    | Capability.INDICATOR
    | Capability.SUGGEST
    | Capability.COUNT
    | Capability.TOLERANCE
)


@dataclass(frozen=True, slots=True)
class EnumerationBackend:
    """`Backend` without a solver. It is registered nowhere: pass the object."""

    name: str = "enumeration"
    capabilities: Capability = _CAPABILITIES
    profile: Mapping[str, str] = field(default_factory=dict)

    def version(self) -> str:
        """There is nothing to install."""
        return "exact"

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        """Load a program; raw options do not exist, and any tolerance is kept.

        Raises:
            InvalidInput: a raw option was given.
        """
        if limits.options:
            raise InvalidInput(
                f"enumeration has no options, so {', '.join(map(repr, limits.options))} would be ignored; "
                "leave them out"
            )
        return EnumerationSession(matrix)


@dataclass(frozen=True, slots=True)
class _Condition:
    """A row that is required where a column has a value."""

    row: list[Fraction]
    lower: Side
    upper: Side
    column: int
    value: int


def _conditions(indicators: Indicators) -> Iterator[_Condition]:
    rows = sparse.csr_array(indicators.rows).toarray()
    sides = zip(indicators.lower, indicators.upper, indicators.column, indicators.value, strict=True)
    for row, (low, high, column, value) in zip(rows, sides, strict=True):
        yield _Condition(exactly(row), exact(low), exact(high), int(column), int(value))


@dataclass(frozen=True, slots=True)
class Reach:
    """Least and largest activity of every row, and the least cost, on what is left of the box."""

    least: tuple[Fraction, ...]
    most: tuple[Fraction, ...]
    cheapest: Fraction


class EnumerationSession:
    """`Session` that keeps the program as rationals."""

    def __init__(self, matrix: Matrix) -> None:
        self._lower, self._upper = exactly(matrix.lower), exactly(matrix.upper)
        self._integer = [bool(flag) for flag in matrix.integer]
        self._n = len(self._lower)
        self._rows: list[list[Fraction]] = []
        self._row_lower: list[Side] = []
        self._row_upper: list[Side] = []
        self._cost = [Fraction(0)] * self._n
        self._offset = Fraction(0)
        self._sign = 1
        self.add_rows(Rows(sparse.csr_array(matrix.rows), matrix.row_lower, matrix.row_upper))
        self._conditions = [] if matrix.indicators is None else list(_conditions(matrix.indicators))

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        """Replace the whole objective; it is kept as a minimisation."""
        self._sign = 1 if sense is Sense.MINIMIZE else -1
        self._cost = [Fraction(0)] * self._n
        for j, coefficient in zip(index, value, strict=True):
            self._cost[j] += self._sign * Fraction(float(coefficient))
        self._offset = Fraction(float(offset))

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Change the bounds of some columns."""
        for j, low, high in zip(index, lower, upper, strict=True):
            self._lower[j], self._upper[j] = Fraction(float(low)), Fraction(float(high))

    def add_rows(self, rows: Rows) -> None:
        """Append rows."""
        for row, low, high in exact_rows(rows):
            self._rows.append(row)
            self._row_lower.append(low)
            self._row_upper.append(high)

    def solve(
        self,
        *,
        relax: bool = False,
        time_limit: float | None = None,
        gap: float = 0.0,
        stop_bound: float | None = None,
        stop_objective: float | None = None,
        start: FloatArray | None = None,
        on_point: OnPoint | None = None,
    ) -> Result:
        """Visit everything, until the time is over or the user interrupts. A start is visited first; `gap` and the
        stop limits change nothing but the note.

        Raises:
            InvalidInput: more than `MOST_ASSIGNMENTS` integer assignments.
        """
        del gap
        began = time.perf_counter()
        deadline = None if time_limit is None else began + time_limit
        replaced = stop_bound is not None or stop_objective is not None
        note = "enumeration visits everything: the stop limits were replaced by that" if replaced else ""
        try:
            if relax or not any(self._integer):
                return self._linear(deadline, began, note)
            self._refuse_large()
            search = Search(self, deadline, start, on_point, self._sort)
            status = search.run()
        except KeyboardInterrupt:
            bound = self._outward(self.box_bound())
            return Result(Status.INTERRUPTED, bound=bound, seconds=time.perf_counter() - began, note=note)
        proved = search.best if status is Status.OPTIMAL else None
        if status in (Status.LIMIT, Status.STOPPED, Status.INTERRUPTED):
            # Nothing better than the box allows: coarse, but proved.
            proved = self.box_bound()
        return Result(
            status,
            None if search.x is None else np.array([float(v) for v in search.x]),
            None if search.best is None else float(self.value(search.best)),
            None if proved is None else self._outward(proved),
            nodes=search.nodes,
            seconds=time.perf_counter() - began,
            note=note,
        )

    def count(self, time_limit: float | None = None) -> Count:
        """Visit everything that the rows do not rule out by themselves.

        Raises:
            InvalidInput: more than `MOST_ASSIGNMENTS` integer assignments.
        """
        began = time.perf_counter()
        self._refuse_large()
        found, note = 0, "the time was over"
        with contextlib.suppress(TimeoutError):
            try:
                for completable in Search(self, None if time_limit is None else began + time_limit).completable():
                    found += completable
                note = ""
            except KeyboardInterrupt:
                note = "the user interrupted the count"
        return Count(found, not note, time.perf_counter() - began, note)

    def close(self) -> None:
        """Nothing to free."""

    def _sort(self, reply: Reply) -> Answered:
        return answered(reply, "enumeration", _CAPABILITIES, self._n)

    def crossed(self) -> bool:
        """Whether a column has no value at all."""
        return any(low > high for low, high in zip(self._lower, self._upper, strict=True))

    def value(self, cost: Fraction) -> Fraction:
        """Back from the minimised cost to the objective as it was set."""
        return self._sign * cost + self._offset

    def box_bound(self) -> Fraction:
        """The smallest cost on the box alone."""
        return self.reach().cheapest

    def worst(self) -> float:
        """The bound that says nothing, in the objective's own sense."""
        return -self._sign * math.inf

    def choices(self, start: FloatArray | None) -> list[tuple[int, list[Fraction]]]:
        """The integer columns with their values, that of the start first."""
        found = []
        for j in (j for j, flag in enumerate(self._integer) if flag):
            values = [Fraction(v) for v in range(math.ceil(self._lower[j]), math.floor(self._upper[j]) + 1)]
            if start is not None and not math.isnan(start[j]):
                hint = Fraction(round(float(start[j])))
                values = [v for v in values if v == hint] + [v for v in values if v != hint]
            found.append((j, values))
        return found

    def program(self, fixed: Mapping[int, Fraction], more: Sequence[ExactRow] = ()) -> ExactLP:
        """The linear program that is left when some columns are fixed, with more rows in it."""
        lower = [fixed.get(j, v) for j, v in enumerate(self._lower)]
        upper = [fixed.get(j, v) for j, v in enumerate(self._upper)]
        required = [c for c in self._conditions if lower[c.column] == upper[c.column] == c.value]
        return ExactLP(
            self._cost,
            [*self._rows, *(c.row for c in required), *(row for row, _, _ in more)],
            [*self._row_lower, *(c.lower for c in required), *(low for _, low, _ in more)],
            [*self._row_upper, *(c.upper for c in required), *(high for _, _, high in more)],
            lower,
            upper,
        )

    def reach(self) -> Reach:
        """What rows and cost can reach on the whole box."""
        boxes = list(zip(self._lower, self._upper, strict=True))
        spans = [[_span(a, *box) for a, box in zip(row, boxes, strict=True)] for row in self._rows]
        costs = [_span(c, *box) for c, box in zip(self._cost, boxes, strict=True)]
        return Reach(
            tuple(sum((low for low, _ in terms), Fraction(0)) for terms in spans),
            tuple(sum((high for _, high in terms), Fraction(0)) for terms in spans),
            sum((low for low, _ in costs), Fraction(0)),
        )

    def narrowed(self, reach: Reach, column: int, value: Fraction) -> Reach:
        """The reach once a column is fixed."""
        box = self._lower[column], self._upper[column]
        least, most = [], []
        for row, low, high in zip(self._rows, reach.least, reach.most, strict=True):
            a = row[column]
            down, up = _span(a, *box) if a else (a, a)
            least.append(low + a * value - down if a else low)
            most.append(high + a * value - up if a else high)
        cost = self._cost[column]
        return Reach(tuple(least), tuple(most), reach.cheapest + cost * value - _span(cost, *box)[0])

    def possible(self, reach: Reach) -> bool:
        """Whether no row is out of reach."""
        return all(
            (high is None or least <= high) and (low is None or most >= low)
            for least, most, low, high in zip(reach.least, reach.most, self._row_lower, self._row_upper, strict=True)
        )

    def _linear(self, deadline: float | None, began: float, note: str) -> Result:
        try:
            solution = solve_exact(self.program({}), deadline)
        except TimeoutError:
            return Result(
                Status.LIMIT,
                bound=self._outward(self.box_bound()),
                seconds=time.perf_counter() - began,
                note=note,
            )
        seconds = time.perf_counter() - began
        if solution.x is None or solution.objective is None or solution.duals is None:
            ray = None if solution.ray is None else np.array([float(v) for v in solution.ray])
            ray = ray if ray is not None and ray.size == len(self._rows) else None
            return Result(Status.INFEASIBLE, farkas=ray, seconds=seconds, note=note)
        return Result(
            Status.OPTIMAL,
            np.array([float(v) for v in solution.x]),
            float(self.value(solution.objective)),
            self._outward(solution.objective),
            self._duals(solution.duals),
            seconds=seconds,
            note=note,
        )

    def _duals(self, duals: Sequence[Fraction]) -> FloatArray | None:
        """None where switched rows are required too: they have no place among the rows of the matrix."""
        if len(duals) > len(self._rows):
            return None
        return np.array([self._sign * float(v) for v in duals])

    def _outward(self, cost: Fraction) -> float:
        """The float next to the exact bound on its safe side."""
        return float(np.nextafter(float(self.value(cost)), self.worst()))

    def _refuse_large(self) -> None:
        count = math.prod(len(values) for _, values in self.choices(None))
        if count > MOST_ASSIGNMENTS:
            raise InvalidInput(
                f"the program has {count} integer assignments, more than the {MOST_ASSIGNMENTS} that "
                "enumeration visits; fix columns with set_bounds, or use a solver: backend='highs'"
            )


def _span(factor: Fraction, low: Fraction, high: Fraction) -> tuple[Fraction, Fraction]:
    """The interval factor * [low, high]."""
    ends = factor * low, factor * high
    return ends if factor >= 0 else (ends[1], ends[0])
