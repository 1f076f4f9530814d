"""Laws about counting assignments of the integer columns."""

from __future__ import annotations

import dataclasses

import numpy as np

from reludsl.backend import Backend, Capability, Count, CountingSession, InvalidInput, Limits, Session
from reludsl.testing.cases import (
    INF,
    Case,
    at_most,
    case,
    columns,
    hold,
    market_split,
    needs,
    opened,
    random_case,
    same,
    with_rows,
)
from reludsl.testing.clock import Timed, soonest, timed
from reludsl.testing.enumeration import EnumerationSession
from reludsl.testing.laws.indicators import switched

__all__: list[str] = []


def law_counts_equal_enumeration(backend: Backend) -> None:
    """An assignment of the integer columns counts once, whatever the continuous columns can do, or not at all."""
    needs(backend, Capability.COUNT)
    for seed in range(16):
        _counted(backend, random_case(seed))
    thin = case([[1, 1, 1], [1, -1, 0]], [1.5, -1], [1.5, 0.5], [0] * 3, [2, 2, 1], [True, True, False], [1, 1, 1])
    impossible = case([[2, 2]], [3], [3], [0, 0], [2, 2], True, [0, 0])
    fractional = case([[1, 1]], [-INF], [9], [0.5, -1.5], [2.5, 1.5], [True, False], [1, 1])
    free = case([], [], [], [-1, 0, 0.5], [2, 3, 0.5], [True, True, False], [1, 1, 1])
    for problem in (thin, impossible, fractional, free):
        _counted(backend, problem)


def law_counts_know_switched_rows(backend: Backend) -> None:
    """With INDICATOR, rows that a binary switches rule out assignments as others do."""
    needs(backend, Capability.COUNT | Capability.INDICATOR)
    for value in (False, True):
        problem = switched(value)
        integer = np.ones(3, dtype=bool)
        _counted(backend, dataclasses.replace(problem, matrix=dataclasses.replace(problem.matrix, integer=integer)))


def law_counts_follow_the_session(backend: Backend) -> None:
    """Rows and bounds that were changed count; counting changes no answer, and solving no count."""
    needs(backend, Capability.COUNT)
    problem = random_case(3)
    extra = at_most([1.0] * 5, 1.0)
    with opened(backend, problem) as session:
        for _ in range(2):
            same(backend, problem, result=session.solve())
            _agrees(session, problem)
        session.add_rows(extra)
        problem = with_rows(problem, extra)
        _agrees(session, problem)
        low = np.ceil(problem.matrix.lower)
        session.set_bounds(columns(5), low, np.minimum(low + 1.0, problem.matrix.upper))
        upper = np.minimum(low + 1.0, problem.matrix.upper)
        problem = dataclasses.replace(problem, matrix=dataclasses.replace(problem.matrix, lower=low, upper=upper))
        _agrees(session, problem)
        same(backend, problem, result=session.solve())


def law_count_at_a_limit_is_not_complete(backend: Backend) -> None:
    """A count that ran out of time ends soon, once in three attempts at least, says so, and does not exceed what is
    there."""
    needs(backend, Capability.COUNT)
    # Any of the 2**25 assignments can be completed by the slack, and no two are alike.
    split, limit = market_split(4, 25), 0.5

    def attempt() -> Timed[Count]:
        with opened(backend, split.slack) as session:
            return timed(lambda: _counting(session).count(time_limit=limit))

    most = 1.1 * limit + 1.0
    try:
        found = soonest(attempt, most)
    except InvalidInput:
        return
    count = found.result
    hold(found.seconds <= most, f"{found.seconds:.2f} s for a limit of {limit} s")
    hold(0 <= count.count <= 2**25, f"{count.count} of {2**25} assignments")
    hold(count.complete == (count.count == 2**25), "an incomplete count was called complete, or a complete one not")
    hold(count.complete or bool(count.note), "a count that is not complete came without a reason")


def _counting(session: Session) -> CountingSession:
    if not isinstance(session, CountingSession):
        raise AssertionError("COUNT is offered, but the session has no count")
    return session


def _agrees(session: Session, problem: Case) -> None:
    count, right = _counting(session).count(), EnumerationSession(problem.matrix).count()
    hold(count.complete, f"a small count is not complete ({count.note})")
    hold(count.count == right.count, f"{count.count} assignments were counted, but there are {right.count}")


def _counted(backend: Backend, problem: Case) -> None:
    session = backend.open(problem.matrix, Limits())
    try:
        _agrees(session, problem)
    finally:
        session.close()
