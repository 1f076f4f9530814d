"""The laws of reludsl.testing, asked of the oracle that they consult; below them, brute force asks it too."""

import itertools

import numpy as np
import pytest

from reludsl.backend import InvalidInput, Sense, Status
from reludsl.testing import EnumerationBackend, conformance
from reludsl.testing.cases import Case, knapsack, opened, random_case, solve

test_conformance = conformance(EnumerationBackend())


def _brute(problem: Case) -> float | None:
    """Best objective over all integer points, by trying them."""
    m = problem.matrix
    ranges = [range(int(low), int(high) + 1) for low, high in zip(m.lower, m.upper, strict=True)]
    points = np.array(list(itertools.product(*ranges)), dtype=float)
    activity = (m.rows @ points.T).T
    feasible = ((activity >= m.row_lower) & (activity <= m.row_upper)).all(axis=1)
    if not feasible.any():
        return None
    values = points[feasible] @ problem.cost + problem.offset
    return float(values.max() if problem.sense is Sense.MAXIMIZE else values.min())


@pytest.mark.parametrize("sense", list(Sense))
def test_enumeration_pure_integer_programs_equal_brute_force(sense: Sense) -> None:
    for seed in range(30):
        problem = random_case(seed).towards(sense, 0.5)
        problem.matrix.integer[:] = True
        assert solve(EnumerationBackend(), problem).objective == _brute(problem)


def test_enumeration_too_many_assignments_are_refused_with_their_number() -> None:
    with opened(EnumerationBackend(), knapsack(17)) as session:
        with pytest.raises(InvalidInput, match="131072"):
            session.solve()
        assert session.solve(relax=True).status is Status.OPTIMAL


def test_enumeration_bound_is_one_ulp_outside_the_optimum() -> None:
    for sense in Sense:
        base = knapsack(8)
        result = solve(EnumerationBackend(), base.towards(sense, 0.1))
        assert result.objective is not None
        away = -np.inf if sense is Sense.MINIMIZE else np.inf
        assert result.bound == np.nextafter(result.objective, away)


def test_enumeration_start_is_visited_first() -> None:
    problem = knapsack(11)
    with opened(EnumerationBackend(), problem) as session:
        plain = session.solve()
        helped = session.solve(start=plain.x)
    assert helped.objective == plain.objective
    assert helped.nodes < plain.nodes
