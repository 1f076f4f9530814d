"""The laws of reludsl.testing, asked of the scip backend; below them, what only SCIP does."""

import dataclasses
import gc
import weakref
from typing import Any

import numpy as np
import pytest
import reludsl_scip
from reludsl_scip.model import ScipModel
from solvers import solver

from reludsl.backend import (
    CountingSession,
    FloatArray,
    InvalidInput,
    Limits,
    PointKind,
    Reply,
    Rows,
    Sense,
    Status,
    Suggestion,
)
from reludsl.testing import conformance
from reludsl.testing.cases import (
    Case,
    at_most,
    branching,
    knapsack,
    market_split,
    opened,
    random_case,
    truth,
    with_rows,
)
from reludsl.testing.enumeration import EnumerationSession

test_conformance = conformance(reludsl_scip.backend)

BACKEND = reludsl_scip.backend


@pytest.mark.parametrize("sense", list(Sense))
def test_stop_bound_loose_threshold_ends_early(sense: Sense) -> None:
    solver("scip")
    problem = market_split(3, 15).slack
    problem = Case(problem.matrix, (1.0 if sense is Sense.MINIMIZE else -1.0) * problem.cost, sense, offset=3.0)
    with opened(BACKEND, problem) as session:
        stopped = session.solve(stop_bound=3.0 - problem.sign * 0.5)
        reached = session.solve(stop_objective=3.0 + problem.sign * 300.0)
    assert stopped.status is Status.STOPPED
    assert reached.status is Status.STOPPED
    assert reached.objective is not None
    assert problem.sign * (reached.objective - 3.0) <= 300.0


def test_on_point_sees_incumbents_and_fractional_nodes_of_one_tree() -> None:
    solver("scip")
    seen: list[tuple[PointKind, FloatArray]] = []
    with opened(BACKEND, knapsack(20)) as session:
        result = session.solve(on_point=lambda kind, x, value, bound: seen.append((kind, x)))
    incumbents = [x for kind, x in seen if kind is PointKind.INCUMBENT]
    nodes = [x for kind, x in seen if kind is PointKind.NODE]
    assert result.status is Status.OPTIMAL
    assert result.x is not None
    assert np.array_equal(incumbents[-1], result.x)
    assert len(nodes) > 1
    assert all(abs(x - np.round(x)).max() > 1e-6 for x in nodes)


def test_suggestion_that_is_answered_to_a_node_comes_back_as_an_incumbent() -> None:
    solver("scip")
    split = market_split(4, 30)
    best = np.concatenate([split.planted, np.zeros(split.slack.cost.size - split.planted.size)])
    kinds: list[PointKind] = []

    def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
        kinds.append(kind)
        return Suggestion(best) if kind is PointKind.NODE else None

    with opened(BACKEND, split.slack) as session:
        result = session.solve(on_point=on_point)
    assert result.status is Status.OPTIMAL
    assert result.objective == pytest.approx(0.0)
    assert {PointKind.NODE, PointKind.INCUMBENT} <= set(kinds)


def test_start_of_a_watched_solve_is_shown_and_may_be_cut_off() -> None:
    solver("scip")
    problem = branching()
    best = truth(problem).x
    assert best is not None
    row = at_most(best.tolist(), float(best.sum()) - 1.0)
    shown: list[FloatArray] = []

    def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
        shown.append(x)
        return row if row.violation(x).max() > 1e-6 else None

    with opened(BACKEND, problem) as session:
        result = session.solve(start=best, on_point=on_point)
    assert any(np.allclose(x, best) for x in shown)
    assert result.status is Status.OPTIMAL
    assert result.objective == pytest.approx(truth(with_rows(problem, row)).objective)


def test_watched_solves_free_their_models() -> None:
    solver("scip")
    models: list[weakref.ref[ScipModel]] = []
    plain = ScipModel.__init__

    def noted(self: ScipModel, *args: Any, **named: Any) -> None:
        plain(self, *args, **named)
        models.append(weakref.ref(self))

    with pytest.MonkeyPatch.context() as patch, opened(BACKEND, branching()) as session:
        patch.setattr(ScipModel, "__init__", noted)
        for _ in range(3):
            session.solve(on_point=lambda kind, x, value, bound: None)
    gc.collect()
    assert len(models) == 3
    assert sum(model() is not None for model in models) <= 1, "a worker may hold the last one"


def test_watched_gap_is_an_optimum_within_the_gap() -> None:
    solver("scip")
    problem = knapsack(20)
    with opened(BACKEND, problem) as session:
        result = session.solve(gap=0.2, on_point=lambda kind, x, value, bound: None)
    assert result.status is Status.OPTIMAL
    assert result.trusted


def test_lazy_rows_of_many_random_programs_give_the_answer_of_the_whole_program() -> None:
    solver("scip")
    for seed in range(40):
        draw = np.random.default_rng(seed)
        problem = random_case(seed).towards(list(Sense)[seed % 2])
        cuts = [at_most(draw.integers(-2, 3, 5).tolist(), float(draw.integers(-1, 4))) for _ in range(4)]
        whole = problem
        for cut in cuts:
            whole = with_rows(whole, cut)

        def on_point(kind: PointKind, x: FloatArray, value: float, bound: float, cuts: list[Rows] = cuts) -> Reply:
            return tuple(cut for cut in cuts if cut.violation(x).max() > 1e-6)

        with opened(BACKEND, problem) as session:
            result, right = session.solve(on_point=on_point), truth(whole)
        if not problem.matrix.integer.any():
            continue
        assert result.status is right.status
        assert result.trusted
        if right.objective is not None:
            assert result.objective == pytest.approx(right.objective, abs=1e-5)
            assert result.bound == pytest.approx(right.objective, abs=1e-5)


def test_count_random_mixed_programs_equal_enumeration() -> None:
    solver("scip")
    for seed in range(100, 125):
        matrix = random_case(seed).matrix
        upper = np.where(matrix.integer & (seed % 2 == 0), np.minimum(matrix.upper, matrix.lower + 1), matrix.upper)
        matrix = dataclasses.replace(matrix, upper=upper)
        session = BACKEND.open(matrix, Limits())
        assert isinstance(session, CountingSession)
        count = session.count()
        assert (count.count, count.complete) == (EnumerationSession(matrix).count().count, True)


def test_bounds_beyond_zero_and_one_are_taken_after_a_solve_within() -> None:
    solver("scip")
    with opened(BACKEND, branching(Sense.MINIMIZE)) as session:
        session.solve()
        session.set_bounds(np.array([0]), np.array([2.0]), np.array([3.0]))
        result = session.solve()
    assert result.x is not None
    assert result.x[0] == pytest.approx(2.0)


def test_options_unknown_or_of_the_wrong_type_are_refused_when_the_session_opens() -> None:
    solver("scip")
    for options in ({"no/such/parameter": 1}, {"limits/nodes": "many"}):
        with pytest.raises(InvalidInput, match="SCIP"):
            BACKEND.open(knapsack(4).matrix, Limits(options=options))


def test_node_limit_of_the_options_is_a_limit_with_a_note() -> None:
    solver("scip")
    with opened(BACKEND, market_split(3, 20).slack, Limits(options={"limits/nodes": 2})) as session:
        result = session.solve()
    assert result.status is Status.LIMIT
    assert "nodelimit" in result.note
