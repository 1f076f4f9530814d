"""Answers: the bound is on the safe side of the exact extreme, the value is reached, on every solver."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ladder import ladder
from solvers import SOLVERS, solver

from reludsl.answer import Answer
from reludsl.backend import Backend, Sense, Status
from reludsl.domain import Box, Domain
from reludsl.errors import InvalidInput
from reludsl.expr import Expr, Input, box
from reludsl.formulate import compile_program
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.passes import EVERYWHERE, Formulation
from reludsl.query import bounds, maximize, minimize, network_bounds
from reludsl.session import Session
from reludsl.solve import Model
from reludsl.testing import EnumerationBackend, oracle
from reludsl.testing.strategies import activations, domains, networks, rough_network

any_networks = networks(max_units=5, max_depth=2, activation=st.one_of(st.just(relu), activations(max_breaks=2)))
every_solver = pytest.mark.parametrize("name", [*SOLVERS, "enumeration"])


def _backend(name: str) -> Backend:
    return EnumerationBackend() if name == "enumeration" else solver(name)


def _check(answer: Answer, x: Input, expr: Expr, sense: Sense, truth: Fraction) -> None:
    """Bound beyond the truth, value short of it, both near; the witness inside, and its value replayed."""
    sign = 1 if sense is Sense.MAXIMIZE else -1
    assert sign * Fraction(answer.bound) >= sign * truth
    assert answer.bound == pytest.approx(float(truth), rel=1e-4, abs=1e-4)
    assert answer.witness is not None
    assert answer.value is not None
    point = answer.witness[x.variable]
    assert x.domain.contains(point[None])[0]
    assert expr.value({x.variable: point})[0] == answer.value
    assert sign * answer.value <= sign * float(truth) + 1e-12
    assert answer.gap <= 1e-3
    assert answer.stats.status is Status.OPTIMAL


@every_solver
@settings(max_examples=12)
@given(network=any_networks, data=st.data())
def test_maximize_and_minimize_random_networks_equal_the_oracle(
    name: str, network: Network, data: st.DataObject
) -> None:
    x = Input(data.draw(domains(network.input_size)))
    stage = data.draw(st.sampled_from(network.stages))
    low, high = oracle.extremes(network, x.domain, stage)
    k = data.draw(st.integers(0, stage.size - 1))
    trace = network.trace(x)
    expr = (trace.output if stage.activation is None else trace.pre[stage.index])[k]
    _check(maximize(expr, backend=_backend(name)), x, expr, Sense.MAXIMIZE, high[k])
    _check(minimize(expr, backend=_backend(name)), x, expr, Sense.MINIMIZE, low[k])


@every_solver
@settings(max_examples=8)
@given(network=any_networks, data=st.data())
def test_bounds_random_networks_equal_the_oracle_on_one_session(
    name: str, network: Network, data: st.DataObject
) -> None:
    x = Input(data.draw(domains(network.input_size)))
    low, high = oracle.extremes(network, x.domain)
    y = network(x)
    found = bounds(y, backend=_backend(name))
    for k, element in enumerate(y):
        _check(found.lowest[k], x, element, Sense.MINIMIZE, low[k])
        _check(found.highest[k], x, element, Sense.MAXIMIZE, high[k])
    assert found.lower.tolist() == [a.bound for a in found.lowest]
    assert found.upper.tolist() == [a.bound for a in found.highest]


@pytest.mark.parametrize("form", EVERYWHERE)
@settings(max_examples=12)
@given(network=any_networks, data=st.data())
def test_model_both_formulations_have_the_oracles_optimum(
    form: Formulation, network: Network, data: st.DataObject
) -> None:
    domain = data.draw(domains(network.input_size))
    y = network(Input(domain))[0]
    low, high = oracle.extremes(network, domain)
    with Model(compile_program([y]), solver("highs"), formulation=form, budget=0.0) as model:
        most, least = model.optimise(y, Sense.MAXIMIZE), model.optimise(y, Sense.MINIMIZE)
    assert most.bound == pytest.approx(float(high[0]), rel=1e-4, abs=1e-4)
    assert least.bound == pytest.approx(float(low[0]), rel=1e-4, abs=1e-4)
    assert Fraction(most.bound) >= high[0]
    assert Fraction(least.bound) <= low[0]


METHODS = ("interval", "crown", "lp", "milp")


@settings(max_examples=15)
@given(network=any_networks, data=st.data())
def test_network_bounds_methods_are_nested_and_hold_the_oracle(network: Network, data: st.DataObject) -> None:
    domain: Domain = data.draw(domains(network.input_size))
    backend = solver("highs")
    found = [network_bounds(network, domain, method=method, backend=backend) for method in METHODS]
    for stage in network.stages:
        low, high = oracle.extremes(network, domain, stage)
        boxes = [b.pre(stage) for b in found]
        for wide, narrow in itertools.pairwise(boxes):
            assert (narrow.lower >= wide.lower - 1e-6).all()
            assert (narrow.upper <= wide.upper + 1e-6).all()
        for k in range(stage.size):
            for around in boxes:
                assert Fraction(float(around.lower[k])) <= low[k]
                assert high[k] <= Fraction(float(around.upper[k]))
            np.testing.assert_allclose(
                [boxes[-1].lower[k], boxes[-1].upper[k]],
                [float(low[k]), float(high[k])],
                rtol=1e-4,
                atol=1e-4,
            )


@settings(max_examples=12)
@given(seed=st.integers(0, 2**32 - 1))
def test_lp_bounds_of_rough_networks_are_true_in_exact_arithmetic(seed: int) -> None:
    """Full-mantissa weights of mixed magnitude: an LP bound holds whatever the solver's duals are worth."""
    network = rough_network(seed)
    domain = Box(-np.ones(network.input_size), np.ones(network.input_size))
    found = network_bounds(network, domain, method="lp", backend=solver("highs"))
    for stage in network.stages:
        low, high = oracle.extremes(network, domain, stage)
        around = found.pre(stage)
        assert all(Fraction(a) <= v for a, v in zip(around.lower.tolist(), low))
        assert all(v <= Fraction(b) for v, b in zip(high, around.upper.tolist()))


def _upper(network: Network, domain: Domain, method: str) -> float:
    return float(
        network_bounds(network, domain, method=method, backend=solver("highs")).pre(network.stages[1]).upper[0]
    )


def test_network_bounds_correlated_pair_is_proved_by_lp_and_not_by_interval() -> None:
    """h1 = relu(x1 - x2), h2 = relu(x2 - x1), g = h1 + h2 - 3/2 on [0, 1]^2."""
    first = Affine(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2))
    last = Affine(np.array([[1.0, 1.0]]), np.array([-1.5]))
    network, domain = Network.chain([first, relu, last], (2,)), Box([0, 0], [1, 1])
    assert _upper(network, domain, "interval") == pytest.approx(0.5)
    assert _upper(network, domain, "lp") == pytest.approx(-0.5, abs=1e-6)
    assert oracle.extremes(network, domain)[1][0] == Fraction(-1, 2)


def test_network_bounds_cancelling_pair_is_proved_by_milp_only() -> None:
    network, domain = ladder()
    assert _upper(network, domain, "interval") == pytest.approx(0.75)
    assert 0 < _upper(network, domain, "lp") <= 0.25 + 1e-6
    assert _upper(network, domain, "milp") == pytest.approx(-0.25, abs=1e-5)
    assert oracle.extremes(network, domain, network.stages[1])[1][0] == Fraction(-1, 4)


@every_solver
def test_maximize_two_networks_on_one_and_on_two_inputs(name: str) -> None:
    backend = _backend(name)
    rng = np.random.default_rng(3)
    one, two = (
        Network.chain(
            [
                Affine(rng.integers(-8, 9, (3, 2)) / 8, rng.integers(-4, 5, 3) / 8),
                relu,
                Affine(np.ones((1, 3)), np.zeros(1)),
            ],
            (2,),
        )
        for _ in range(2)
    )
    domain = Box([-1, -1], [1, 1])
    x, w = box(-1, 1, (2,), "x"), box(-1, 1, (2,), "w")
    tops = [float(oracle.extremes(net, domain)[1][0]) for net in (one, two)]
    bottom = float(oracle.extremes(two, domain)[0][0])
    apart = maximize(2 * one(x) - two(w) + 1, backend=backend)
    assert apart.bound == pytest.approx(2 * tops[0] - bottom + 1, abs=1e-4)
    assert apart.value == pytest.approx(apart.bound, abs=1e-4)
    together = maximize(one(x) - two(x), backend=backend)
    assert together.value is not None
    assert together.value <= together.bound <= tops[0] - bottom + 1e-4
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 41)] * 2), axis=-1).reshape(-1, 2)
    assert float((one(grid) - two(grid)).max()) <= together.bound
    assert together.gap <= 1e-4


@every_solver
def test_maximize_composed_networks_equal_the_chain(name: str) -> None:
    rng = np.random.default_rng(5)
    a, b, c = (Affine(rng.integers(-8, 9, (2, 2)) / 8, rng.integers(-8, 9, 2) / 8) for _ in range(3))
    inner, outer = Network.chain([a, relu, b], (2,)), Network.chain([c, relu], (2,))
    whole = Network.chain([a, relu, b, c, relu], (2,))
    x = box(-1, 1, (2,))
    truth = oracle.extremes(whole, x.domain)[1]
    found = bounds(outer(inner(x)), backend=_backend(name))
    np.testing.assert_allclose(found.upper, truth.astype(np.float64), atol=1e-4)


def test_session_many_questions_on_one_model_equal_fresh_ones() -> None:
    network, domain = ladder()
    x = Input(domain)
    trace = network.trace(x)
    exprs = [trace.pre[0][0], trace.pre[0][1] - trace.post[0][0], trace.pre[1], trace.output]
    backend = EnumerationBackend()
    with Session(exprs, backend=backend) as session:
        for expr in exprs:
            for _ in range(2):
                assert session.maximize(expr).bound == pytest.approx(maximize(expr, backend=backend).bound, abs=1e-4)
                assert session.minimize(expr).bound == pytest.approx(minimize(expr, backend=backend).bound, abs=1e-4)


def test_maximize_no_time_leaves_a_bound_and_a_reason() -> None:
    network, domain = ladder()
    answer = maximize(network.trace(Input(domain)).pre[1], backend=EnumerationBackend(), time_limit=0.0)
    assert answer.stats.status is Status.LIMIT
    assert -0.25 <= answer.bound < np.inf
    assert answer.reason


def test_relaxed_answer_says_that_it_is_one() -> None:
    network, domain = ladder()
    expr = network.trace(Input(domain)).pre[1]
    with Session([expr], backend=EnumerationBackend()) as session:
        relaxed, whole = session.maximize(expr, relax=True), session.maximize(expr)
    assert relaxed.bound > whole.bound + 0.1
    assert "relaxation" in relaxed.reason
    assert not whole.reason


def test_question_that_makes_no_sense_is_refused() -> None:
    network, domain = ladder()
    with pytest.raises(InvalidInput, match="2 elements"):
        maximize(network.trace(Input(domain)).pre[0], backend=EnumerationBackend())
    with pytest.raises(InvalidInput, match="coordinates"):
        network_bounds(network, Box([0, 0], [1, 1]))
