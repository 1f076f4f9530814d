"""Replay tells the exact truth: whatever rounding does to a forward pass, a comparison holds or it does not."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from formulas import points_of, question, seeds, true_at, value_at, world
from hypothesis import given, settings

from reludsl.domain import Box
from reludsl.expr import Expr, Input, SlackVariable, box
from reludsl.functions import absolute
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.replay import Evaluator, enclosure, exact_value, holds, local
from reludsl.testing.strategies import rough_network


@settings(max_examples=40)
@given(seeds())
def test_holds_is_exact_evaluation(seed: int) -> None:
    where, a, b, pick = question(seed)
    for point in points_of(where, pick, 5):
        for condition in (a, b, a & ~b):
            assert holds(condition, point) == true_at(condition, point)


@settings(max_examples=40)
@given(seeds())
def test_holds_at_knife_edges_of_rough_networks(seed: int) -> None:
    """y <= c with c the float next to the exact y on either side: no forward pass can tell."""
    rng = np.random.default_rng(seed)
    network = rough_network(seed)
    x = Input(Box(-np.ones(network.input_size), np.ones(network.input_size)))
    y = network(x)[0]
    point = {x.variable: rng.uniform(-1, 1, network.input_size)}
    truth = value_at(y, point)[0]
    assert exact_value(y, point)[0] == truth
    near = float(truth)
    for c in (near, float(np.nextafter(near, -np.inf)), float(np.nextafter(near, np.inf))):
        assert holds(y <= c, point) == (truth <= Fraction(c))
        assert holds(y < c, point) == (truth < Fraction(c))
        assert holds(y >= c, point) == (truth >= Fraction(c))
        assert holds(~((y > c) | (y < c)), point) == (truth == Fraction(c))


def test_holds_decimal_fractions_are_the_floats_that_they_are() -> None:
    x = box(0, 1, (1,))
    at = {x.variable: np.array([0.1])}
    # as floats 0.1 is above a tenth and 0.3 below three: 3 x is truly above 0.3
    assert holds(3.0 * x > 0.3, at)
    assert not holds(3.0 * x <= 0.3, at)
    assert not holds(3.0 * x == 0.3, at)


def test_holds_counts_a_tie_for_closed_comparisons_only() -> None:
    x = box(-1, 1, (2,))
    network = Network.chain([Affine(np.array([[0.1, 0.1], [0.1, 0.1]]), np.zeros(2)), relu], (2,))
    y = network(x)
    at = {x.variable: np.array([0.7, 0.3])}
    assert holds(y[0] <= y[1], at)
    assert holds(y[0] == y[1], at)
    assert not holds(y[0] < y[1], at)
    assert not holds(y[0] != y[1], at)


@pytest.mark.parametrize("outside", [[1.0 + 2**-52, 0.0], [0.0, -1.0 - 2**-52]])
def test_nothing_holds_outside_of_the_domain(outside: list[float]) -> None:
    x = box(-1, 1, (2,))
    assert not holds(x <= 5, {x.variable: np.array(outside)})
    assert holds(x <= 5, {x.variable: np.ones(2)})


@settings(max_examples=40)
@given(seeds())
def test_enclosure_contains_the_exact_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    inner, outer = rough_network(seed), rough_network(seed + 1)
    x = Input(Box(-np.ones(inner.input_size), np.ones(inner.input_size)))
    y = inner(x)
    z = outer(np.full((outer.input_size, 1), 0.1) @ y[0] + 0.7)
    total = 0.3 * z[0] - 1e3 * y[0] + 1e-9 * x[0]
    for _ in range(3):
        point = {x.variable: rng.uniform(-1, 1, inner.input_size)}
        for expr in (y, z, total):
            value, error = enclosure(expr, point)
            for v, e, truth in zip(value.tolist(), error.tolist(), value_at(expr, point)):
                assert abs(Fraction(v) - truth) <= Fraction(e)


@settings(max_examples=30)
@given(seeds())
def test_gradients_are_those_of_finite_differences_and_of_forward_differentiation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    where, a, _, _ = question(seed)
    exprs = [atoms.expr for atoms in a.atoms]
    evaluator = Evaluator(exprs)
    point = {v: v.domain.sample(rng, 1) for v in evaluator.inputs}
    values = evaluator.forward(point)
    around = local(values)
    if any(min(down.min(initial=1.0), up.min(initial=1.0)) < 1e-3 for down, up, _ in around.room):
        return
    h = 2.0**-20
    for expr in exprs:
        slope = around.slope(expr)
        for k in range(expr.size):
            weights = np.zeros((1, expr.size))
            weights[0, k] = 1.0
            gradient = values.gradient([(expr, weights)])
            for v, columns in around.columns.items():
                np.testing.assert_allclose(gradient[v][0], slope[k, columns], atol=1e-9)
                for i in range(v.size):
                    step = np.zeros((1, v.size))
                    step[0, i] = h
                    ends = [evaluator.forward({**point, v: point[v] + s * step}).value(expr)[0, k] for s in (1, -1)]
                    assert gradient[v][0, i] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-6)
    assert where.inputs


@settings(max_examples=20)
@given(seeds())
def test_batches_are_evaluated_point_by_point(seed: int) -> None:
    where, a, _, pick = question(seed)
    evaluator = Evaluator(atoms.expr for atoms in a.atoms)
    points = points_of(where, pick, 4)
    values = evaluator.forward({v: np.stack([p[v] for p in points]) for v in evaluator.inputs})
    slack = np.broadcast_to(values.slack(a), (4,))
    for k, point in enumerate(points):
        assert slack[k] == pytest.approx(float(Expr.of(SlackVariable(a)).value(point)[0]), abs=1e-12)
        for atoms in a.atoms:
            np.testing.assert_allclose(values.value(atoms.expr)[k], atoms.expr.value(point), atol=1e-12)


def test_room_is_the_distance_to_the_next_break() -> None:
    x = box(-1, 1, (1,))
    y = absolute(x - 0.25)
    around = local(Evaluator([y]).forward({x.variable: np.array([[0.5]])}))
    ((down, up, _),) = around.room
    assert (down.tolist(), up.tolist()) == ([0.25], [np.inf])
    assert around.slope(y).tolist() == [[1.0]]


def test_worlds_are_varied() -> None:
    """What the tests above draw from holds nested applications, several inputs and bare activations."""
    found = [question(seed) for seed in range(200)]
    vectors = [v for where, *_ in found for v in where.vectors]
    applications = {t.application for v in vectors for t in v.terms if hasattr(t, "application")}
    assert sum(len(where.inputs) > 1 for where, *_ in found) > 50
    assert sum(any(hasattr(t, "application") for t in a.argument.terms) for a in applications) > 20
    assert sum(not a.argument.is_variable() for a in applications) > 50
    assert sum(not hasattr(a.network.nodes[0].layer, "weight") for a in applications) > 20
    assert callable(world)
