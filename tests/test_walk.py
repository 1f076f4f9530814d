"""Walks over linear regions: inside the domain, ever upwards, past borders where gradients stop."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers import solver

from reludsl.backend import Limits
from reludsl.domain import Box
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network
from reludsl.testing import EnumerationBackend, oracle
from reludsl.testing.strategies import domains, networks
from reludsl.walk import Walker


@settings(max_examples=30)
@given(network=networks(max_units=4, max_depth=2), data=st.data())
def test_walk_stays_in_the_domain_goes_upwards_and_never_beyond_the_maximum(network: Network, data: Any) -> None:
    domain = data.draw(domains(network.input_size))
    stage = network.hidden[-1]
    neuron = data.draw(st.integers(0, stage.size - 1))
    sign = data.draw(st.sampled_from([1.0, -1.0]))
    walker = Walker(network, domain, stage, neuron, sign, EnumerationBackend(), Limits())
    start = domain.sample(np.random.default_rng(data.draw(st.integers(0, 99))), 1)[0]
    values = [walker.value(start[None, :])[0]]
    for point in walker.from_point(start, 6):
        assert domain.contains(point[None, :]).all()
        values.append(walker.value(point[None, :])[0])
    assert all(a < b for a, b in pairwise(values))
    low, high = oracle.extremes(network, domain, stage)
    assert values[-1] <= float(high[neuron] if sign > 0 else -low[neuron]) + 1e-9


def test_walk_goes_along_a_ridge_where_gradient_steps_fall_back() -> None:
    # z = x + y - 10 |x - y| rises along x = y alone; on either side the gradient points across
    first = Affine(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]), np.zeros(4))
    second = Affine(np.array([[1.0, 1.0, -10.0, -10.0]]), np.zeros(1))
    layers: list[Layer] = [first, relu, second, relu]
    network = Network.chain(layers, (2,))
    walker = Walker(network, Box([0.0, 0.0], [1.0, 1.0]), network.hidden[1], 0, 1.0, solver("highs"), Limits())
    *_, end = walker.from_point(np.array([0.3, 0.1]), 5)
    assert end == pytest.approx([1.0, 1.0], abs=1e-6)


def test_walk_asks_for_the_time_that_is_left() -> None:
    network = Network.chain(
        [Affine(np.array([[1.0]]), np.zeros(1)), relu, Affine(np.ones((1, 1)), np.zeros(1)), relu], (1,)
    )
    walker = Walker(network, Box([0.0], [1.0]), network.hidden[1], 0, 1.0, EnumerationBackend(), Limits())
    asked: list[int] = []

    def left() -> float:
        asked.append(1)
        return 5.0

    assert len(list(walker.from_point(np.array([0.25]), 3, left))) == 1
    assert asked
