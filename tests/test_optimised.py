"""Optimised linear bounds: true in exact arithmetic, never wider than what they start from, tighter where it counts."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reludsl.bounds import Bounds, crown, linear_upper, optimised, optimised_upper
from reludsl.domain import Box
from reludsl.exact import ExactArray, exactly
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network
from reludsl.query import network_bounds
from reludsl.testing import oracle
from reludsl.testing.strategies import activations, domains, graphs, networks, random_graph, rough_network


def _random(seed: int, *widths: int, activation: Layer = relu) -> tuple[Network, Box]:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for n, m in pairwise(widths):
        layers += [Affine(rng.normal(size=(m, n)) / np.sqrt(n), 0.3 * rng.normal(size=m)), activation]
    return Network.chain(layers[:-1], (widths[0],)), Box.full(-1.0, 1.0, (widths[0],))


def _width(bounds: Bounds) -> float:
    box = bounds.boxes[bounds.network.output]
    return float((box.upper - box.lower).sum())


def _inside(value: ExactArray, box: Box) -> bool:
    return all(Fraction(a) <= v <= Fraction(b) for a, v, b in zip(box.lower.tolist(), value, box.upper.tolist()))


@settings(max_examples=30)
@given(network=networks(max_units=4, max_depth=2, activation=st.one_of(st.just(relu), activations())), data=st.data())
def test_bounds_hold_the_range_of_the_oracle(network: Network, data: Any) -> None:
    domain = data.draw(domains(network.input_size))
    found = optimised(network, domain, iterations=8)
    for stage in network.stages:
        low, high = oracle.extremes(network, domain, stage)
        box = found.pre(stage)
        for k in range(stage.size):
            assert Fraction(float(box.lower[k])) <= low[k]
            assert high[k] <= Fraction(float(box.upper[k]))


@settings(max_examples=15)
@given(network=graphs(), data=st.data())
def test_bounds_of_graphs_hold_exact_values(network: Network, data: Any) -> None:
    domain = data.draw(domains(network.input_size))
    found = optimised(network, domain, iterations=5)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for x in domain.sample(rng, 4):
        values = network.exact_values(exactly(x))
        for name, value in values.items():
            box = found.boxes[name]
            assert all(
                Fraction(a) <= v <= Fraction(b) for a, v, b in zip(box.lower.tolist(), value, box.upper.tolist())
            )


def test_bounds_of_badly_scaled_networks_hold_exact_values() -> None:
    for seed in range(40):
        network = rough_network(seed)
        domain = Box.full(-1.0, 1.0, (network.input_size,))
        found = optimised(network, domain, iterations=6)
        for x in domain.sample(np.random.default_rng(seed), 3):
            value = network.exact_values(exactly(x))[network.output]
            box = found.boxes[network.output]
            assert all(
                Fraction(a) <= v <= Fraction(b) for a, v, b in zip(box.lower.tolist(), value, box.upper.tolist())
            )


@pytest.mark.parametrize("seed", range(5))
def test_bounds_are_never_wider_than_those_of_crown(seed: int) -> None:
    network = random_graph(seed)
    domain = Box.full(-1.0, 1.0, (network.input_size,))
    plain, tuned = crown(network, domain), optimised(network, domain, iterations=10)
    for name, box in tuned.boxes.items():
        assert (box.lower >= plain.boxes[name].lower).all()
        assert (box.upper <= plain.boxes[name].upper).all()


@pytest.mark.parametrize("activation", [relu, PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))])
def test_bounds_of_deep_networks_are_tighter_than_those_of_crown(activation: Layer) -> None:
    for seed in range(3):
        network, box = _random(seed, 4, 10, 10, 10, 2, activation=activation)
        assert _width(optimised(network, box)) < 0.9 * _width(crown(network, box))


def test_chosen_elements_alone_are_tuned() -> None:
    network, box = _random(0, 4, 10, 10, 2)
    plain = crown(network, box)

    def first(bounds: Bounds, stage: Any) -> Any:
        return (np.arange(stage.size) == 0) & (stage.activation is None)

    tuned = optimised(network, box, chosen=first)
    low, high = plain.boxes[network.output], tuned.boxes[network.output]
    assert high.upper[0] < low.upper[0]
    assert high.upper[1] == low.upper[1]
    for stage in network.hidden:
        assert (tuned.pre(stage).upper == plain.pre(stage).upper).all()


def test_objective_that_is_good_enough_leaves_early_with_a_proof() -> None:
    network, box = _random(1, 4, 10, 10, 2)
    plain = crown(network, box)
    rows = np.eye(2)
    best = optimised_upper(network, box, network.output, rows, plain.boxes, iterations=60)
    enough = plain.boxes[network.output].upper - 0.5 * (plain.boxes[network.output].upper - best)
    steps = []

    def count() -> bool:
        steps.append(1)
        return False

    found = optimised_upper(network, box, network.output, rows, plain.boxes, iterations=60, enough=enough, stop=count)
    assert (found <= enough).all()
    assert len(steps) < 59


def test_stop_keeps_what_was_reached() -> None:
    network, box = _random(1, 4, 10, 10, 2)
    plain = crown(network, box)
    found = optimised_upper(network, box, network.output, np.eye(2), plain.boxes, stop=lambda: True)
    assert found == pytest.approx(linear_upper(network, box, network.output, np.eye(2), plain.boxes), rel=1e-9)


def test_method_by_name_is_between_crown_and_lp() -> None:
    network, box = _random(2, 3, 6, 6, 2)
    crowned, tuned, solved = (_width(network_bounds(network, box, method=m)) for m in ("crown", "optimised", "lp"))
    assert solved <= tuned + 1e-6 < crowned
