"""Laws about what can be rechecked: duals, rays, starts, numbers of very different size."""

from __future__ import annotations

import numpy as np

from reludsl.backend import Backend, Capability, FloatArray, Sense, Status, UnsupportedCapability
from reludsl.testing.cases import (
    INF,
    TOLERANCE,
    Case,
    case,
    close,
    hold,
    needs,
    opened,
    random_case,
    same,
    solve,
    sound,
    truth,
)

__all__: list[str] = []


def _dual_bound(problem: Case, duals: FloatArray) -> float:
    """What y proves: `c x = y'(A x) + (c - A'y)'x`, each term at its worst over its side or box."""
    m, sign = problem.matrix, problem.sign
    y = sign * duals
    sides = np.where(y > 0, m.row_lower, m.row_upper)
    # A price on a side that does not exist proves nothing; solvers leave dust of the size of a tolerance.
    kept = np.isfinite(sides) & (y != 0)
    dust = abs(y[~kept]).max(initial=0.0)
    hold(dust <= TOLERANCE, f"a dual of {dust} on a row without that side: wrong sign?")
    reduced = sign * problem.cost - m.rows.T @ np.where(kept, y, 0.0)
    columns = np.where(reduced > 0, m.lower, m.upper)
    return float(sign * (y[kept] @ sides[kept] + reduced @ columns) + problem.offset)


def law_duals_certify_the_optimum(backend: Backend) -> None:
    """The bound recomputed from `row_duals` alone is the optimum: every kind of row, both senses."""
    needs(backend, Capability.DUALS)
    mixed = case(
        [[2, 3, 1], [1, -1, 2], [1, 1, 1], [0, 1, -1], [1, 0, 0]],
        [-INF, -2, 3, -1, -INF],
        [8, 4, 3, INF, INF],
        [0] * 3,
        [3] * 3,
        False,
        [3, -2, 1],
        offset=-4.5,
    )
    cases = [mixed, *(random_case(seed, integral=False) for seed in range(8))]
    for problem in (way for base in cases for way in base.everyway()):
        answer = solve(backend, problem)
        if answer.status is not Status.OPTIMAL:
            continue
        _certify(problem, answer.row_duals, answer.objective)


def law_relaxations_of_integer_programs_have_duals(backend: Backend) -> None:
    """`relax=True` brings duals, also after an integer solve."""
    needs(backend, Capability.DUALS)
    problem = random_case(2)
    with opened(backend, problem) as session:
        session.solve()
        answer = session.solve(relax=True)
    if answer.status is Status.OPTIMAL:
        _certify(problem, answer.row_duals, answer.objective)


def law_ray_proves_infeasibility(backend: Backend) -> None:
    """The Farkas ray y separates: y'Ax on the box misses what y'(sides) allows, for y or -y."""
    needs(backend, Capability.FARKAS)
    rows, low, high = [[1, 1, 0], [1, -1, 1], [0, 1, 1]], [3, -INF, -1], [INF, 0, 1]
    base = case(rows, low, high, [0] * 3, [1, 3, 1], False, [1, 1, 0])
    found = 0
    for problem in base.everyway():
        answer = solve(backend, problem)
        hold(answer.status is Status.INFEASIBLE, f"status {answer.status.name} instead of INFEASIBLE")
        if answer.farkas is not None:
            found += 1
            hold(
                _separates(problem, answer.farkas) or _separates(problem, -answer.farkas),
                f"the ray {answer.farkas} proves nothing",
            )
    hold(found > 0, "FARKAS is offered, but no ray came with an infeasible LP")


def law_start_is_taken(backend: Backend) -> None:
    """A good start, full or partial, leaves the optimum what it is."""
    needs(backend, Capability.START)
    problem = _started()
    best = truth(problem).x
    if best is None:
        raise AssertionError("the oracle has no point for a knapsack")
    partial = np.where([True, False, True, False], best, np.nan)
    with opened(backend, problem) as session:
        for start in (best, partial, np.full(4, np.nan), np.zeros(4)):
            same(backend, problem, result=session.solve(start=start))
        same(backend, problem, result=session.solve())


def law_bad_start_does_no_harm(backend: Backend) -> None:
    """A start outside the rows or the box changes no answer, and is forgotten by the next solve."""
    needs(backend, Capability.START)
    problem = _started()
    outside = np.full(4, 7.0)
    partial = np.array([3.0, np.nan, 3.0, np.nan])
    with opened(backend, problem) as session:
        for start in (np.full(4, 3.0), outside, partial):
            same(backend, problem, result=session.solve(start=start))
        same(backend, problem, result=session.solve())


def law_start_without_capability_is_refused(backend: Backend) -> None:
    """A backend without START raises UnsupportedCapability instead of ignoring the start."""
    if Capability.START in backend.capabilities:
        return
    problem = _started()
    with opened(backend, problem) as session:
        try:
            session.solve(start=np.zeros(4))
        except UnsupportedCapability:
            return
    hold(False, "a start was accepted by a backend that does not offer START")


def law_badly_scaled_rows_are_met(backend: Backend) -> None:
    """Rows of size 1e-4 and 1e5 side by side: the optimum is right within tolerance."""
    problem = case(
        [[1e5, 2e5, 3e5], [1e-4, -2e-4, 1e-4], [1.0, 1.0, -1.0]],
        [-INF, -3e-4, -2],
        [7e5, 4e-4, 2],
        [0] * 3,
        [3] * 3,
        [True, False, False],
        [1, 1, 1],
    )
    for way in problem.everyway():
        same(backend, way)
        same(backend, way, relax=True)


def law_tiny_coefficients_count_or_are_disowned(backend: Backend) -> None:
    """5e-10 times a column at 1e10 is 5: it counts, or the answer says that it is not to be trusted."""
    for integer in (False, True):
        problem = case([[1, -5e-10]], [0], [INF], [0, 1e10], [9, 1e10], [integer, False], [1, 0], Sense.MINIMIZE)
        with opened(backend, problem) as session:
            answer = session.solve()
        if answer.trusted and answer.status is not Status.FAILED:
            sound(backend, problem, answer)
            hold(
                answer.objective is not None and answer.objective >= 5 - 1e-3,
                f"a coefficient was dropped without a word: {answer.objective} instead of 5",
            )


def _started() -> Case:
    return case([[3, 5, 4, 2]], [-INF], [11], [0] * 4, [3] * 4, True, [4, 7, 5, 2], Sense.MAXIMIZE)


def _certify(problem: Case, duals: FloatArray | None, objective: float | None) -> None:
    hold(duals is not None and objective is not None, "an LP ended OPTIMAL without duals")
    if duals is None or objective is None:
        return
    hold(duals.shape == problem.matrix.row_lower.shape, f"duals of shape {duals.shape}")
    proved = _dual_bound(problem, duals)
    hold(close(proved, objective), f"the duals prove {proved}, not {objective}")


def _separates(problem: Case, ray: FloatArray) -> bool:
    """Whether min over the rows' sides of y'Ax exceeds its max over the box."""
    m = problem.matrix
    sides = np.where(ray > 0, m.row_lower, m.row_upper)
    kept = np.isfinite(sides) & (ray != 0)
    if abs(ray[~kept]).max(initial=0.0) > TOLERANCE * abs(ray).max(initial=0.0):
        return False
    y = np.where(kept, ray, 0.0)
    combined = m.rows.T @ y
    largest = float(np.maximum(combined * m.lower, combined * m.upper).sum())
    return bool(y[kept] @ sides[kept] > largest + 1e-9)
