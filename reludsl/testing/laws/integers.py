"""Laws about integrality, and agreement with the exact oracle on random programs."""

from __future__ import annotations

from reludsl.backend import Backend, Sense
from reludsl.testing.cases import INF, case, hold, random_case, same, solve

__all__: list[str] = []


def law_integer_columns_are_integral(backend: Backend) -> None:
    """Where the relaxation is fractional, the integer answer is not."""
    rows, sides = [[2, 2, 2], [3, 1, 2]], [5, 5]
    problem = case(rows, [-INF, -INF], sides, [0] * 3, [1] * 3, True, [2, 3, 3], Sense.MAXIMIZE)
    for way in (problem, problem.negated()):
        same(backend, way)
    answer = solve(backend, problem)
    hold(answer.objective is not None and answer.objective <= 6 + 1e-6, "the relaxation was answered")


def law_integers_are_not_only_zero_and_one(backend: Backend) -> None:
    """Integer columns range over their whole box, negative values included."""
    problem = case([[3, 7], [-2, 5]], [-31, -22], [40, 28], [-9, -6], [11, 7], True, [5, -4])
    for way in problem.everyway():
        same(backend, way)


def law_fractional_bounds_round_inwards(backend: Backend) -> None:
    """An integer column in [0.5, 2.5] is 1 or 2; in [0.3, 0.7] it has no value."""
    for way in case([[1, 1]], [-INF], [9], [0.5, -1.5], [2.5, 1.5], True, [1, 1]).everyway():
        same(backend, way)
    same(backend, case([[1, 1]], [-INF], [9], [0.3, 0], [0.7, 2], True, [1, 1]))


def law_continuous_and_integer_columns_mix(backend: Backend) -> None:
    """A big-M switch: y <= 4 z, y <= x, z integral, x and y continuous."""
    problem = case(
        [[0, 1, -4], [-1, 1, 0], [1, 0, 3]],
        [-INF, -INF, -INF],
        [0, 0, 6.5],
        [0, 0, 0],
        [4, 4, 1],
        [False, False, True],
        [0.25, 1, -1.5],
    )
    for way in problem.everyway():
        same(backend, way)


def law_random_integer_programs_agree(backend: Backend) -> None:
    """Twenty random mixed-integer programs have the exact answer of the oracle."""
    for seed in range(10):
        for sense in Sense:
            same(backend, random_case(seed).towards(sense, 1.0))


def law_random_linear_programs_agree(backend: Backend) -> None:
    """Twenty random linear programs have the exact answer of the oracle."""
    for seed in range(10):
        for sense in Sense:
            same(backend, random_case(seed, integral=False).towards(sense))
