"""The laws of reludsl.testing, asked of the cvxpy backend with HiGHS and, as a variant, with SciPy."""

import pytest
import reludsl_cvxpy
from solvers import solver

from reludsl.backend import Capability, Limits, Result, Status, UnsupportedCapability
from reludsl.testing import conformance
from reludsl.testing.cases import knapsack, market_split, opened

test_conformance = conformance(reludsl_cvxpy.backend)
test_conformance_scipy = conformance(reludsl_cvxpy.backend.variant("SCIPY"))


def test_limit_without_incumbent_gives_none_where_cvxpy_gives_zeros() -> None:
    solver("cvxpy")
    with opened(reludsl_cvxpy.backend, market_split(5, 40).exactly) as session:
        result: Result = session.solve(time_limit=0.2)
    assert result.status is Status.LIMIT
    assert result.x is None
    assert result.objective is None


def test_variant_without_known_time_limit_refuses_one() -> None:
    solver("cvxpy")
    import cvxpy

    backend = reludsl_cvxpy.backend.variant("CLARABEL")
    if "CLARABEL" not in cvxpy.installed_solvers():
        pytest.skip("this cvxpy has no Clarabel")
    with opened(backend, knapsack(4), Limits()) as session:
        with pytest.raises(UnsupportedCapability, match="time limit"):
            session.solve(time_limit=1.0)
        relaxed = session.solve(relax=True)
    assert relaxed.status is Status.OPTIMAL
    assert relaxed.bound is None


def test_variants_without_statistics_claim_no_bound() -> None:
    for name in ("SCIPY", "SCIP", "GLPK_MI"):
        assert Capability.BOUND not in reludsl_cvxpy.backend.variant(name).capabilities
