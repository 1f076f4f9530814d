"""The oracle's search: depth first over the integer columns, in rationals, with every event of the protocol."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from reludsl.backend import Answered, FloatArray, OnPoint, PointKind, Reply, Rows, Status
from reludsl.exact_lp import ExactSolution, Side, exact, solve_exact

if TYPE_CHECKING:
    from reludsl.testing.enumeration import EnumerationSession, Reach

__all__ = ["ExactRow", "Search", "exact_rows", "exactly"]

ExactRow = tuple[list[Fraction], Side, Side]
"""Coefficients, lower side, upper side."""


_INTEGRAL = 1e-6
"""How far a suggested integer may be from one."""


class _Stopped(Exception):
    """`on_point` answered `Stop`."""


class _Overtaken(Exception):
    """Rows cut off the best point, in whose name parts of the tree were left out."""


class Search:
    """One visit of all assignments.

    Args:
        session: holds the program.
        deadline: on the clock of `time.perf_counter`.
        start: assignment that is visited first, NaN where it is silent.
        on_point: where it is given, the relaxation of every node is solved, shown, and prunes.
        sort: `reludsl.backend.answered` for this backend.
    """

    def __init__(
        self,
        session: EnumerationSession,
        deadline: float | None,
        start: FloatArray | None = None,
        on_point: OnPoint | None = None,
        sort: Callable[[Reply], Answered] = lambda reply: Answered(),
    ) -> None:
        self._session, self._deadline, self._on_point, self._sort = session, deadline, on_point, sort
        self._choices = session.choices(start)
        self._rows: list[ExactRow] = []
        self.x: Sequence[Fraction] | None = None
        self.best: Fraction | None = None
        self.nodes = 0

    def run(self) -> Status:
        """Visit all assignments, or as many as the time, the user and `on_point` allow."""
        if self._session.crossed():
            return Status.INFEASIBLE
        try:
            while not self._visited():
                pass
        except KeyboardInterrupt:
            return Status.INTERRUPTED
        except TimeoutError:
            return Status.LIMIT
        except _Stopped:
            return Status.STOPPED
        return Status.INFEASIBLE if self.best is None else Status.OPTIMAL

    def completable(self) -> Iterator[bool]:
        """For every assignment that the rows do not rule out by themselves, whether a feasible point completes it.

        Raises:
            TimeoutError: the time is over.
        """
        if self._session.crossed():
            return
        for fixed in self._assignments({}, self._session.reach()):
            yield self._solved(fixed).x is not None

    def _visited(self) -> bool:
        try:
            for fixed in self._assignments({}, self._session.reach()):
                self._leaf(fixed)
        except _Overtaken:
            return False
        return True

    def _assignments(self, fixed: dict[int, Fraction], reach: Reach) -> Iterator[dict[int, Fraction]]:
        """Assignments that may hold a point, and a better one than the best so far."""
        self.nodes += 1
        if self._deadline is not None and time.perf_counter() > self._deadline:
            raise TimeoutError
        if not self._session.possible(reach) or (self.best is not None and reach.cheapest >= self.best):
            return
        if len(fixed) == len(self._choices):
            yield fixed
            return
        if self._on_point is not None and not self._promising(fixed):
            return
        column, values = self._choices[len(fixed)]
        for value in values:
            yield from self._assignments({**fixed, column: value}, self._session.narrowed(reach, column, value))

    def _promising(self, fixed: dict[int, Fraction]) -> bool:
        """Show the relaxation of a node, again for as long as it is cut off."""
        while True:
            solution = self._solved(fixed)
            if not self._improves(solution):
                return False
            if not self._cut_off(PointKind.NODE, solution):
                return self._improves(solution)

    def _leaf(self, fixed: dict[int, Fraction]) -> None:
        """Take the best point of an assignment, if it is better and nothing cuts it off."""
        while True:
            solution = self._solved(fixed)
            if not self._improves(solution) or not self._cut_off(PointKind.INCUMBENT, solution):
                return

    def _improves(self, solution: ExactSolution) -> bool:
        if solution.x is None or solution.objective is None:
            return False
        return self.best is None or solution.objective < self.best

    def _cut_off(self, kind: PointKind, solution: ExactSolution) -> bool:
        """Show a point and do what is answered; take it if it is an incumbent that no row cuts off."""
        reply = self._reply(kind, solution)
        rows = [row for part in reply.rows for row in exact_rows(part)]
        self._rows += rows
        cut = not _holds(rows, solution.x)
        if kind is PointKind.INCUMBENT and not cut:
            self.x, self.best = solution.x, solution.objective
        if reply.stop:
            raise _Stopped
        if self.x is not None and not _holds(rows, self.x):
            self.x = self.best = None
            raise _Overtaken
        for suggestion in reply.suggestions:
            self._try(suggestion)
        return cut

    def _reply(self, kind: PointKind, solution: ExactSolution) -> Answered:
        if self._on_point is None or solution.x is None or solution.objective is None:
            return Answered()
        x = np.array([float(v) for v in solution.x])
        value = float(self._session.value(solution.objective))
        return self._sort(self._on_point(kind, x, value, self._session.worst()))

    def _try(self, suggestion: FloatArray) -> None:
        """The best point with the integers of a suggestion; one that leaves integers open is dropped."""
        fixed = {}
        for j, values in self._choices:
            wanted = float(suggestion[j])
            if not math.isfinite(wanted) or abs(wanted - round(wanted)) > _INTEGRAL or round(wanted) not in values:
                return
            fixed[j] = Fraction(round(wanted))
        self._leaf(fixed)

    def _solved(self, fixed: dict[int, Fraction]) -> ExactSolution:
        return solve_exact(self._session.program(fixed, self._rows), self._deadline)


def exactly(values: FloatArray) -> list[Fraction]:
    """The rationals that floats are."""
    return [Fraction(float(value)) for value in values]


def exact_rows(rows: Rows) -> list[ExactRow]:
    """Rows as rationals."""
    dense = sparse.csr_array(rows.matrix).toarray()
    sides = zip(dense, rows.lower, rows.upper, strict=True)
    return [(exactly(row), exact(low), exact(high)) for row, low, high in sides]


def _holds(rows: Sequence[ExactRow], x: Sequence[Fraction] | None) -> bool:
    if x is None:
        return False
    for row, low, high in rows:
        activity = sum((a * v for a, v in zip(row, x, strict=True)), Fraction(0))
        if (low is not None and activity < low) or (high is not None and activity > high):
            return False
    return True
