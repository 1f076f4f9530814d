"""Verdicts are those of an exact oracle or UNKNOWN, whatever decides; time limits and interrupts end a question."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from formulas import greatest, largest, question, satisfiable, seeds, true_at
from hypothesis import given, settings
from solvers import solver

import reludsl.falsify
import reludsl.solve
import reludsl.splitting
from reludsl.answer import Answer, Verdict
from reludsl.backend import Backend
from reludsl.errors import InvalidInput
from reludsl.expr import Expr, InputVariable, NodeVariable, ball, box
from reludsl.functions import absolute
from reludsl.layers import Affine, relu
from reludsl.logic import ALWAYS, Condition, all_of, any_of, shifted
from reludsl.network import Network
from reludsl.query import find, maximize, prove
from reludsl.testing import EnumerationBackend
from reludsl.testing.clock import soonest, timed

STAGES = {"domains", "search", "bounds", "splitting", "relaxation", "solver"}
ZERO = Fraction(1, 1000)
"""A largest slack nearer to zero than this may stay UNKNOWN."""

NET = Network.chain(
    [Affine(np.array([[1.0, 0.5], [-1.0, 1.0]]), np.array([0.0, 0.25])), relu, Affine(np.eye(2), np.zeros(2))], (2,)
)
X = box(-1, 1, (2,), "x")
W = box(-1, 1, (2,), "w")
Y = NET(X)


def _backend(name: str) -> Backend:
    return EnumerationBackend() if name == "enumeration" else solver(name)


def _check(answer: Answer, sought: Condition, refutes: bool) -> None:
    """The verdict about `sought`, an input of which refutes a claim or shows a condition."""
    shown, denied = (Verdict.REFUTED, Verdict.PROVED) if refutes else (Verdict.PROVED, Verdict.REFUTED)
    exists, most = satisfiable(sought), greatest(sought)
    assert answer.stats.stage in STAGES
    if answer.verdict is shown:
        assert exists
        assert answer.witness is not None
        assert true_at(sought, answer.witness.inputs)
        for variable, x in answer.witness.inputs.items():
            assert variable.domain.contains(np.asarray(x)[None])[0]
        assert {v for a in sought.atoms for v in a.expr.inputs()} <= set(answer.witness.inputs)
    elif answer.verdict is denied:
        assert not exists
    else:
        assert answer.reason
        assert abs(most) <= ZERO, f"undecided, though the largest slack is {float(most)}: {answer}"


WAYS = [
    ("highs", "big-m", True),
    ("highs", "big-m", False),
    ("highs", "hull", False),
    ("highs", "partition:2", False),
    ("highs", "published", False),
    ("highs", "cuts", False),
]


@pytest.mark.parametrize(("backend", "formulation", "search"), WAYS)
@settings(max_examples=8)
@given(seed=seeds())
def test_verdicts_of_random_formulas_are_the_oracles(backend: str, formulation: str, search: bool, seed: int) -> None:
    _, claim, condition, pick = question(seed, units=3)
    margin = (0.0, 0.0, 0.125, 0.5)[pick(0, 3)]
    options: dict[str, Any] = {"backend": _backend(backend), "formulation": formulation, "search": search}
    _check(prove(claim, condition, margin=margin, **options), all_of(condition, shifted(~claim, margin)), True)
    _check(find(claim & condition, margin=margin, **options), shifted(claim & condition, margin), False)


@pytest.mark.parametrize("formulation", ["big-m", "indicator"])
@settings(max_examples=6)
@given(seed=seeds())
def test_verdicts_by_enumeration_are_the_oracles(formulation: str, seed: int) -> None:
    _, claim, condition, pick = question(seed, units=2, depth=1)
    search = bool(pick(0, 1))
    answer = prove(claim, condition, backend=EnumerationBackend(), formulation=formulation, search=search)
    _check(answer, all_of(condition, ~claim), True)


@settings(max_examples=10)
@given(seed=seeds())
def test_solver_without_cheap_ways_gives_the_oracles_verdict(seed: int) -> None:
    """Several networks, so that splitting has no say, and no search: the program alone."""
    _, claim, condition, _ = question(seed, units=3, depth=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reludsl.proof, "application_of", lambda case: None)
        _check(prove(claim, condition, backend=solver("highs"), search=False), all_of(condition, ~claim), True)


@settings(max_examples=12)
@given(seed=seeds())
def test_extremes_under_a_condition_are_the_oracles(seed: int) -> None:
    where, _, must, pick = question(seed, units=3)
    expr = where.element(pick)
    truth = largest(expr, must)
    answer = maximize(expr, must, backend=solver("highs"))
    if truth is None:
        assert answer.witness is None
        return
    assert Fraction(answer.bound) >= truth
    assert answer.bound <= float(truth) + 1e-3
    if answer.witness is not None:
        assert true_at(must, answer.witness.inputs)
        assert answer.value is not None
        assert answer.value <= float(truth) + 1e-12


@settings(max_examples=25)
@given(seed=seeds())
def test_bound_of_a_proof_is_below_every_slack_of_a_claim_about_networks(seed: int) -> None:
    _, claim, must, _ = question(seed, units=3, depth=1)
    if any(not any(isinstance(v, NodeVariable) for v in atoms.expr.terms) for atoms in claim.atoms):
        return
    answer = prove(claim, must, backend=solver("highs"))
    if answer.proved and satisfiable(must):
        # nowhere is the claim's slack smaller than the bound: the negation shifted to it holds nowhere
        assert not satisfiable(all_of(must, shifted(~claim, 1e-6 - answer.bound)))


@pytest.mark.parametrize("backend", ["enumeration", "highs"])
def test_alternatives_about_different_inputs_have_whole_witnesses(backend: str) -> None:
    answer = find((Y[0] >= 1) | (NET(W)[0] >= 1), backend=_backend(backend))
    assert answer.proved
    assert answer.witness is not None
    assert set(answer.witness.inputs) == {X.variable, W.variable}
    refuted = prove((Y[0] <= 1) & (NET(W)[0] <= 1), backend=_backend(backend))
    assert refuted.refuted
    assert refuted.value is not None
    assert refuted.value < 0


@pytest.mark.parametrize(
    "must",
    [
        (W[0] + W[1] <= 0.5) & (W[0] + W[1] >= 0.625),
        (X[0] + X[1] <= 0.5) & (X[0] + X[1] >= 0.625),
        0 * W[0] + 1 <= 0,
        (W[0] > 0.5) & (W[0] <= 0.5),
        W[0] > 1,
    ],
)
@pytest.mark.parametrize("search", [True, False])
def test_contradictory_conditions_prove_everything(must: Condition, search: bool) -> None:
    """Also those about inputs that the claim does not mention."""
    for claim in (Y[0] <= 1, (Y[0] <= 1) | (Y[1] <= -5), X[0] <= 0):
        assert prove(claim, must, backend=solver("highs"), search=search).proved


def test_conditions_on_other_inputs_that_can_be_met_prove_nothing() -> None:
    must = (W[0] + W[1] <= 0.5) & (W[0] - W[1] <= 0.25) & (NET(W)[0] >= 0.125)
    assert prove(Y[0] <= 1, must, backend=solver("highs"), search=False).refuted
    assert prove(Y[0] <= 5, must, backend=solver("highs"), search=False).proved


@pytest.mark.parametrize(
    ("claim", "holds"),
    [
        (X <= 1, True),
        (X < 1, False),
        (X[0] >= -1, True),
        (X[0] > -1, False),
        (~(X > 1), True),
        (Y[0] >= 0, None),
        (Y[0] > 0, False),
        (Y[0] == 0, False),
        (absolute(X[0]) <= 1, None),
        (absolute(X[0]) < 1, False),
    ],
)
def test_knife_edges_are_told_apart_or_left_open(claim: Condition, holds: bool | None) -> None:
    answer = prove(claim, backend=solver("highs"))
    expected = {True: Verdict.PROVED, False: Verdict.REFUTED}
    allowed = {Verdict.PROVED, Verdict.UNKNOWN} if holds is None else {expected[holds]}
    assert answer.verdict in allowed
    if answer.verdict is Verdict.UNKNOWN:
        assert "margin" in answer.reason
        assert prove(claim, margin=1e-3, backend=solver("highs")).proved


def test_degenerate_box_is_one_point() -> None:
    point = box(0.5, 0.5, (2,))
    y = NET(point)
    assert prove(y != np.array([0.75, 0.25]), backend=solver("highs")).refuted
    assert find(y == np.array([0.75, 0.25]), backend=solver("highs")).proved
    assert prove(y[0] <= 0.7501, backend=solver("highs")).proved


def test_narrowed_ball_is_searched_to_its_corners() -> None:
    point = ball([0.1, 0.1], 0.2)
    answer = find((point[0] <= 0.15) & (point[0] + point[1] >= 0.45 - 1e-9), backend=solver("highs"))
    assert answer.proved


def test_stages_name_what_decided() -> None:
    h = solver("highs")
    assert prove(X <= 2, backend=h).stats.stage == "domains"
    assert prove(Y[0] <= 0.5, backend=h).stats.stage == "search"
    bounds = prove(Y[0] <= 10, backend=h)
    assert bounds.stats.stage == "bounds"
    assert bounds.stats.cases == 1
    assert bounds.stats.cases_solved == 0
    both = prove(any_of(Y[0] - Y[1] <= 1.25, NET(W)[0] <= 1.375), backend=h, search=False)
    assert both.stats.stage in {"relaxation", "solver"}
    assert both.stats.binaries_before > 0
    assert both.stats.seconds >= both.stats.build_seconds


def _hard(seed: int = 0) -> Condition:
    """True, and not to be decided within seconds: two deep networks that compute nearly the same."""
    rng = np.random.default_rng(seed)
    sizes = (20, 60, 60, 60, 1)
    nets = []
    weights = [rng.normal(size=(b, a)) / np.sqrt(a) for a, b in pairwise(sizes)]
    for _ in range(2):
        layers: list[Any] = []
        for w in weights:
            layers += [Affine(w + 1e-3 * rng.normal(size=w.shape), 0.1 * np.ones(len(w))), relu]
        nets.append(Network.chain(layers[:-1], (sizes[0],)))
    x = box(-1, 1, (20,))
    return absolute(nets[0](x) - nets[1](x))[0] <= 0.75


@pytest.mark.parametrize("limit", [0.0, 0.5, 3.0])
def test_time_limit_is_kept(limit: float) -> None:
    claim = _hard()
    most = 1.1 * limit + 1.0
    found = soonest(lambda: timed(lambda: prove(claim, backend=solver("highs"), time_limit=limit)), most)
    answer = found.result
    assert found.seconds <= most
    assert answer.verdict is Verdict.UNKNOWN
    assert "time limit" in answer.reason


def _interrupt(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (reludsl.falsify.Search, "run"),
        (reludsl.falsify.Hunt, "climb"),
        (reludsl.proof, "compile_program"),
        (reludsl.proof, "tighten"),
        (reludsl.solve.Model, "optimise"),
    ],
)
def test_interrupt_gives_unknown_with_the_reason(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, _interrupt)
    # true by a hair, so that it takes the solver to see it
    claim = any_of(Y[0] - Y[1] <= 1.376, NET(W)[0] - NET(W)[1] <= 1.376)
    answer = prove(claim, backend=solver("highs"))
    assert answer.verdict is Verdict.UNKNOWN
    assert "interrupted" in answer.reason


def test_interrupted_splitting_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reludsl.proof, "FEW_BINARIES", -1)
    monkeypatch.setattr(reludsl.splitting, "crown_boxes", _interrupt)
    answer = prove(Y[0] - Y[1] <= 1.376, backend=solver("highs"), search=False)
    assert answer.verdict is Verdict.UNKNOWN
    assert "interrupted" in answer.reason


def test_splitting_keeps_boxes_whose_bound_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(goal: Condition, bounds: Any, point: InputVariable) -> Any:
        count = len(bounds.boxes["input"].lower)
        return np.full(count, np.nan), np.zeros((count, point.size))

    monkeypatch.setattr(reludsl.proof, "FEW_BINARIES", -1)
    monkeypatch.setattr(reludsl.splitting, "_slack_above", lost)
    answer = prove(Y[0] - Y[1] <= 1.3, backend=solver("highs"), search=False, time_limit=2.0)
    assert not answer.proved


def test_backend_that_gives_no_bounds_refutes_and_never_proves_by_its_word() -> None:
    backend = solver("cvxpy:SCIPY")
    claim = any_of(Y[0] - Y[1] <= 1.25, NET(W)[0] <= 1.375)
    for c in (claim, shifted(claim, 0.5)):
        answer = prove(c, backend=backend, search=False)
        assert not (answer.proved and answer.stats.stage == "solver")
        if answer.proved:
            assert not satisfiable(~c)
    assert prove(shifted(claim, 0.5), backend=backend, search=False).refuted


def test_question_without_inputs_or_with_a_strange_margin_is_refused() -> None:
    assert prove(ALWAYS, backend=solver("highs")).verdict is Verdict.PROVED
    with pytest.raises(InvalidInput, match="mentions no input"):
        find(ALWAYS, backend=solver("highs"))
    with pytest.raises(InvalidInput, match="mentions no input"):
        find(Expr({}, np.zeros(1)) <= 0, backend=solver("highs"))
    for margin in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidInput, match="margin"):
            prove(X <= 1, margin=margin, backend=solver("highs"))
