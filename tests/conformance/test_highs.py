"""The laws of reludsl.testing, asked of the highs backend; below them, what only HiGHS does."""

import numpy as np
import pytest
import reludsl_highs
from reludsl_highs import session as highs_session
from scipy import sparse
from solvers import solver

from reludsl.backend import Capability, InvalidInput, Limits, Matrix, Result, Sense, Status
from reludsl.certificate import dual_bound
from reludsl.testing import conformance
from reludsl.testing.cases import Case, case, knapsack, opened

test_conformance = conformance(reludsl_highs.backend)

BACKEND = reludsl_highs.backend


def _hard(sense: Sense) -> Case:
    base = knapsack(24)
    sign = 1.0 if sense is Sense.MAXIMIZE else -1.0
    return Case(base.matrix, sign * base.cost, sense, offset=2.0)


@pytest.mark.parametrize("sense", list(Sense))
def test_stop_bound_loose_threshold_ends_early(sense: Sense) -> None:
    solver("highs")
    problem = _hard(sense)
    sign = problem.sign
    with opened(BACKEND, problem) as session:
        relaxed = session.solve(relax=True).objective
        assert relaxed is not None
        threshold = relaxed - sign * 1.0
        stopped, whole = session.solve(stop_bound=threshold), session.solve()
    assert stopped.status is Status.STOPPED
    assert stopped.bound is not None
    assert sign * stopped.bound >= sign * threshold
    assert stopped.nodes < whole.nodes


@pytest.mark.parametrize("sense", list(Sense))
def test_stop_objective_easy_threshold_ends_early(sense: Sense) -> None:
    solver("highs")
    problem = _hard(sense)
    with opened(BACKEND, problem) as session:
        whole = session.solve()
        assert whole.objective is not None
        threshold = whole.objective + problem.sign * 50.0
        stopped = session.solve(stop_objective=threshold)
    assert stopped.status is Status.STOPPED
    assert stopped.objective is not None
    assert problem.sign * stopped.objective <= problem.sign * threshold


def test_profile_every_setting_exists_and_has_a_reason() -> None:
    solver("highs")
    import highspy

    fresh = highspy.Highs()
    assert all(fresh.getOptionType(name)[0] == highspy.HighsStatus.kOk for name in BACKEND.profile)
    assert all(reason for reason in BACKEND.profile.values())


def test_options_value_of_wrong_type_is_refused() -> None:
    solver("highs")
    with pytest.raises(InvalidInput, match="refused"):
        BACKEND.open(knapsack(4).matrix, Limits(options={"mip_max_nodes": "many"}))


def test_options_node_limit_is_a_limit_with_a_note() -> None:
    solver("highs")
    with opened(BACKEND, _hard(Sense.MAXIMIZE), Limits(options={"mip_max_nodes": 1})) as session:
        result: Result = session.solve()
    assert result.status is Status.LIMIT
    assert "kSolutionLimit" in result.note


def test_coefficients_dropped_by_an_option_are_disowned() -> None:
    solver("highs")
    problem = case([[1, -5e-10]], [0], [float("inf")], [0, 1e10], [9, 1e10], False, [1, 0])
    with opened(BACKEND, problem, Limits(options={"small_matrix_value": 1e-9})) as session:
        assert not session.solve().trusted
    with opened(BACKEND, problem) as session:
        assert session.solve().objective == pytest.approx(5.0)


def test_capabilities_lazy_rows_and_node_events_are_not_claimed() -> None:
    assert not BACKEND.capabilities & (Capability.LAZY_ROWS | Capability.NODE_EVENTS)


def test_simplex_method_that_stalls_gives_way_to_the_interior_point_method(monkeypatch: pytest.MonkeyPatch) -> None:
    # one iteration is no stall, but ends the simplex method in the same way
    monkeypatch.setattr(highs_session, "_LEASH", 1)
    monkeypatch.setattr(highs_session, "_PATIENCE", 0)
    rng = np.random.default_rng(0)
    rows = sparse.csr_array(rng.random((30, 40)))
    matrix = Matrix(rows, np.full(30, -np.inf), np.full(30, 5.0), np.zeros(40), np.ones(40), np.zeros(40, dtype=bool))
    cost = rng.random(40)
    found = []
    for options in ({}, {"solver": "simplex"}):
        session = BACKEND.open(matrix, Limits(options=options))
        session.set_cost(np.arange(40), cost, Sense.MAXIMIZE)
        found.append(session.solve())
        session.close()
    changed, plain = found
    assert "interior point" in changed.note
    assert "interior point" not in plain.note
    assert changed.status is plain.status is Status.OPTIMAL
    assert changed.objective == pytest.approx(plain.objective, rel=1e-6)
    assert changed.row_duals is not None
    proved = dual_bound(matrix, cost, changed.row_duals)
    assert changed.objective is not None
    assert changed.objective <= proved <= changed.objective + 1e-5
