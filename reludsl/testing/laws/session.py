"""Laws about sessions: what changes, what stays, what is left alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from reludsl.backend import Backend, Limits, Matrix, Sense
from reludsl.testing.cases import (
    INF,
    Case,
    at_most,
    case,
    columns,
    hold,
    opened,
    random_case,
    rows,
    same,
    solve,
    with_rows,
)
from reludsl.testing.descriptors import caught

__all__: list[str] = []


def _base() -> Case:
    return case([[2, 3, 1]], [-INF], [9], [0] * 3, [3] * 3, [True, True, False], [3, 4, 1], Sense.MAXIMIZE)


def law_rows_added_later_count(backend: Backend) -> None:
    """A row added after a solve cuts the next answer, as an LP and as a MILP, again and again."""
    for relax in (False, True):
        problem = _base()
        with opened(backend, problem) as session:
            same(backend, problem, relax, session.solve(relax=relax))
            for extra in (at_most([1, 1, 0], 2), rows([[1, 0, -1], [0, 1, 1]], [0.5, 1], [0.5, INF])):
                session.add_rows(extra)
                problem = with_rows(problem, extra)
                same(backend, problem, relax, session.solve(relax=relax))


def law_redundant_rows_change_nothing(backend: Backend) -> None:
    """A row that the box implies leaves the answer as it was."""
    for relax in (False, True):
        problem = _base()
        with opened(backend, problem) as session:
            before = session.solve(relax=relax).objective
            session.add_rows(at_most([1, 1, 1], 100))
            after = session.solve(relax=relax)
        same(backend, problem, relax, after)
        hold(before is not None and after.objective is not None, "an answer without a point")


def law_bounds_change_and_come_back(backend: Backend) -> None:
    """Tightened bounds count at once; restored bounds restore the answer."""
    problem = _base()
    with opened(backend, problem) as session:
        for relax in (False, True):
            for low, high in ((0.0, 1.0), (2.0, 2.0), (0.0, 3.0)):
                session.set_bounds(np.array([1]), np.array([low]), np.array([high]))
                lower, upper = problem.matrix.lower.copy(), problem.matrix.upper.copy()
                lower[1], upper[1] = low, high
                way = dataclasses.replace(problem, matrix=dataclasses.replace(problem.matrix, lower=lower, upper=upper))
                same(backend, way, relax, session.solve(relax=relax))


def law_infeasible_session_recovers(backend: Backend) -> None:
    """Bounds that leave no point, once taken back, leave no trace."""
    problem = _base()
    with opened(backend, problem) as session:
        for relax in (False, True):
            session.set_bounds(columns(3), np.full(3, 3.0), np.full(3, 3.0))
            hold(session.solve(relax=relax).x is None, "a point for contradicting bounds")
            session.set_bounds(columns(3), problem.matrix.lower, problem.matrix.upper)
            same(backend, problem, relax, session.solve(relax=relax))


def law_relaxation_and_integers_take_turns(backend: Backend) -> None:
    """relax, integer, relax, integer on one session: each answer is of its own kind."""
    problem = _base()
    with opened(backend, problem) as session:
        for relax in (True, False, True, False):
            same(backend, problem, relax, session.solve(relax=relax))


def law_sessions_do_not_meet(backend: Backend) -> None:
    """Two sessions open at once answer their own questions."""
    first, second = _base(), _base().towards(Sense.MINIMIZE, 5.0)
    with opened(backend, first) as one, opened(backend, second) as two:
        two.add_rows(rows([[1, 1, 1]], [4.0], [INF]))
        second = with_rows(second, rows([[1, 1, 1]], [4.0], [INF]))
        same(backend, first, result=one.solve())
        same(backend, second, result=two.solve())
        same(backend, first, result=one.solve())


def law_threads_may_differ_between_sessions(backend: Backend) -> None:
    """A session with two threads works after one with one, and the other way round."""
    problem = _base()
    for threads in (1, 2, 1):
        with opened(backend, problem, Limits(threads=threads)) as session:
            same(backend, problem, result=session.solve())


def law_same_question_same_answer(backend: Backend) -> None:
    """With one thread and one seed two fresh sessions give the same point, bit for bit."""
    for seed in (3, 5):
        for relax in (False, True):
            problem = random_case(seed)
            first, second = solve(backend, problem, relax), solve(backend, problem, relax)
            hold(first.status is second.status, "the status changed between two identical sessions")
            if first.x is not None and second.x is not None:
                hold(np.array_equal(first.x, second.x), "the point changed between two identical sessions")


def law_inputs_are_left_alone(backend: Backend) -> None:
    """No array that is handed in is written to, and writing to it later changes nothing."""
    problem = _base()
    m = problem.matrix
    sides = m.row_lower.copy(), m.row_upper.copy()
    mine = Matrix(m.rows.copy(), *sides, m.lower.copy(), m.upper.copy(), m.integer.copy())
    index, cost = columns(3), problem.cost.copy()
    low, high, extra = np.zeros(3), np.full(3, 2.0), at_most([1, 1, 1], 5)
    session = backend.open(mine, Limits())
    session.set_cost(index, cost, problem.sense)
    session.set_bounds(index, low, high)
    session.add_rows(extra)
    session.solve()
    session.solve(relax=True)
    kept = (
        (mine.rows.toarray(), m.rows.toarray()),
        (mine.row_upper, m.row_upper),
        (mine.row_lower, m.row_lower),
        (mine.lower, m.lower),
        (mine.upper, m.upper),
        (index, columns(3)),
        (cost, problem.cost),
        (low, np.zeros(3)),
        (high, np.full(3, 2.0)),
        (extra.matrix.toarray(), np.ones((1, 3))),
        (extra.upper, np.array([5.0])),
    )
    hold(all(np.array_equal(now, before) for now, before in kept), "an array of the caller was changed")
    for array in (mine.upper, mine.row_upper, mine.rows.data, cost, high, extra.upper):
        array[:] = 0.25
    answer = session.solve()
    session.close()
    bounded = dataclasses.replace(problem, matrix=dataclasses.replace(m, upper=np.full(3, 2.0)))
    same(backend, with_rows(bounded, at_most([1, 1, 1], 5)), result=answer)


def law_close_may_come_twice(backend: Backend) -> None:
    """`close` may be called again, and before any solve."""
    session = backend.open(_base().matrix, Limits())
    session.close()
    session.close()


def law_nothing_is_printed(backend: Backend) -> None:
    """File descriptors 1 and 2 stay silent: LP, MILP, infeasible, time limit."""
    problem = _base()
    with caught() as output, opened(backend, problem) as session:
        for relax in (True, False):
            session.solve(relax=relax)
            session.solve(relax=relax, time_limit=5.0)
        session.add_rows(at_most([1, 1, 1], -1))
        for relax in (True, False):
            session.solve(relax=relax)
    hold(not output.text, f"the solver printed {output.text[:200]!r}")


def law_backend_describes_itself(backend: Backend) -> None:
    """Name, capabilities and profile are readable, the version is a word, LP or MILP is offered."""
    hold(isinstance(backend, Backend), "a member of reludsl.backend.Backend is missing")
    hold(bool(backend.name) and bool(backend.version()), "the name or the version is empty")
    hold(bool(backend.capabilities), "no capability at all is claimed")
    hold(all(option and reason for option, reason in backend.profile.items()), "a setting without its reason")
