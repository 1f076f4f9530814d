"""Laws about why a solve ended, on every shape of row and column."""

from __future__ import annotations

from reludsl.backend import Backend, Sense, Status
from reludsl.testing.cases import INF, case, hold, same, solve

__all__: list[str] = []


def law_optimum_is_found(backend: Backend) -> None:
    """A small knapsack ends OPTIMAL at its optimum, rows negated or not."""
    knapsack = case([[3, 4, 5]], [-INF], [7], [0] * 3, [1] * 3, True, [4, 5, 6], Sense.MAXIMIZE)
    for problem in (knapsack, knapsack.negated()):
        answer = solve(backend, problem)
        hold(answer.status is Status.OPTIMAL, f"status {answer.status.name} instead of OPTIMAL")
        same(backend, problem, result=answer)


def law_contradicting_rows_are_infeasible(backend: Backend) -> None:
    """Rows that no point of the box satisfies end INFEASIBLE, as an LP and as a MILP."""
    for integer in (False, True):
        problem = case([[1, 1], [1, -1]], [1.5, 0], [INF, 0], [0, 0], [1, 0.5], integer, [1, 1])
        for way in problem.everyway():
            same(backend, way)


def law_integer_infeasibility_is_seen(backend: Backend) -> None:
    """2x + 2y = 3 has no integer point, though its relaxation has many."""
    for way in case([[2, 2]], [3], [3], [0, 0], [2, 2], True, [1, 3]).everyway():
        same(backend, way)
        same(backend, way, relax=True)


def law_no_rows_leaves_the_box(backend: Backend) -> None:
    """Without rows the optimum is a corner of the box."""
    for integer in (False, True):
        for way in case([], [], [], [-1, 0.5], [2, 3.5], integer, [1, -2]).everyway():
            same(backend, way)


def law_empty_rows_are_numbers(backend: Backend) -> None:
    """A row without coefficients is `lower <= 0 <= upper`: true and idle, or false and infeasible."""
    for low, high in ((-1.0, 1.0), (0.0, 0.0), (1.0, INF), (-INF, -1.0)):
        for integer in (False, True):
            problem = case([[0, 0], [1, 1]], [low, -INF], [high, 1], [0, 0], [1, 1], integer, [-1, -1])
            same(backend, problem)


def law_fixed_columns_stay(backend: Backend) -> None:
    """A column with equal bounds keeps its value and takes part in the rows."""
    for integer in (False, True):
        problem = case([[1, 1, 1]], [-INF], [4], [2, 0, 0], [2, 3, 3], integer, [1, 1, 2], offset=1.0)
        for way in problem.everyway():
            same(backend, way)


def law_crossed_bounds_are_infeasible(backend: Backend) -> None:
    """A column whose lower bound is above its upper bound leaves no point."""
    for integer in (False, True):
        same(backend, case([[1, 1]], [-INF], [9], [0, 3], [4, 2], integer, [1, 1]))


def law_equations_hold(backend: Backend) -> None:
    """Rows with equal sides are met exactly."""
    for integer in (False, True):
        problem = case([[1, 1, 1], [1, -1, 0]], [4, 1], [4, 1], [0] * 3, [4] * 3, integer, [1, 2, 4])
        for way in problem.everyway():
            same(backend, way)


def law_free_rows_are_idle(backend: Backend) -> None:
    """A row without sides changes nothing."""
    for integer in (False, True):
        problem = case([[1, 1], [5, -3]], [-INF, -INF], [2, INF], [0, 0], [2, 2], integer, [2, 3])
        for way in problem.everyway():
            same(backend, way)


def law_both_sides_of_a_row_bind(backend: Backend) -> None:
    """In `2 <= x + y <= 5` the lower side binds when minimising, the upper one when maximising."""
    for integer in (False, True):
        for way in case([[1, 1]], [2], [5], [0, 0], [4, 4], integer, [1, 2]).everyway():
            same(backend, way)
