"""Laws about the objective: sense, offset, and which objective it is that was answered."""

from __future__ import annotations

import numpy as np

from reludsl.backend import Backend, Limits, Sense, Status
from reludsl.testing.cases import INF, Case, case, columns, hold, opened, same, sound

__all__: list[str] = []

_INTEGRAL = [True, True, False]


def _mixed(offset: float = 0.0) -> Case:
    rows, cost = [[2, 3, 1], [1, -1, 2]], [3, -2, 1]
    return case(rows, [-INF, -2], [7, 4], [0] * 3, [3, 3, 2], _INTEGRAL, cost, offset=offset)


def law_sense_is_kept(backend: Backend) -> None:
    """Minimum and maximum are both right, rows negated or not, as an LP and as a MILP."""
    for way in _mixed().everyway():
        same(backend, way)
        same(backend, way, relax=True)


def law_offset_is_counted(backend: Backend) -> None:
    """The offset is part of the objective and of the bound."""
    for way in _mixed(offset=-100.5).everyway():
        same(backend, way)
        same(backend, way, relax=True)


def law_objective_is_zero_at_first(backend: Backend) -> None:
    """Before `set_cost` the objective is 0: any point is optimal."""
    problem = case([[1, 1]], [1], [3], [0, 0], [2, 2], True, [0, 0])
    session = backend.open(problem.matrix, Limits())
    answer = session.solve()
    session.close()
    sound(backend, problem, answer)
    hold(answer.status is Status.OPTIMAL, f"status {answer.status.name} instead of OPTIMAL")
    hold(answer.objective == 0.0, f"objective {answer.objective} before any was set")


def law_set_cost_replaces_everything(backend: Backend) -> None:
    """Columns that a new objective does not name have cost 0, and a missing offset is 0."""
    problem = _mixed(offset=7.0)
    with opened(backend, problem) as session:
        session.solve()
        session.set_cost(np.array([2]), np.array([-1.0]), Sense.MINIMIZE)
        answer = session.solve()
    same(backend, Case(problem.matrix, np.array([0.0, 0.0, -1.0])), result=answer)


def law_repeated_indices_add_up(backend: Backend) -> None:
    """The objective is a sum over the entries given, so that an index may come twice."""
    problem = _mixed()
    with opened(backend, problem) as session:
        session.set_cost(np.array([0, 1, 0]), np.array([2.0, 1.0, -5.0]), Sense.MAXIMIZE)
        answer = session.solve()
    same(backend, Case(problem.matrix, np.array([-3.0, 1.0, 0.0]), Sense.MAXIMIZE), result=answer)


def law_two_objectives_get_two_answers(backend: Backend) -> None:
    """On one session every objective gets its own answer, whatever was asked before."""
    problem = _mixed()
    asked = ([3, -2, 1], [-1, 1, 0], [0, 0, 5], [3, -2, 1])
    with opened(backend, problem) as session:
        for relax in (True, False):
            for k, cost in enumerate(asked):
                for sense in Sense:
                    way = Case(problem.matrix, np.array(cost, dtype=float), sense, float(k))
                    session.set_cost(columns(3), way.cost, sense, float(k))
                    same(backend, way, relax, session.solve(relax=relax))
