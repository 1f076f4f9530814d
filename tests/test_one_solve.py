"""One-solve certification: the sets of enumeration, in every mode and on every solver; nothing but witnesses and bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ladder import hard_network, ladder
from solvers import SOLVERS, solver
from test_stability import check_witnesses, dense, one_layer, sets

from reludsl.backend import Backend, Capability, Limits, Matrix, Result, Session, Status, UnsupportedCapability
from reludsl.domain import Box
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network
from reludsl.stability import Facts, Mode, stable
from reludsl.testing import EnumerationBackend, oracle


def random_network(seed: int) -> tuple[Network, Box]:
    """2-5 inputs, two layers of 4-8 neurons, some of them stable."""
    rng = np.random.default_rng(seed)
    inputs, width = int(rng.integers(2, 6)), int(rng.integers(4, 9))
    layers: list[Layer] = []
    for n in (inputs, width):
        weight = rng.normal(size=(width, n)) * (rng.random((width, n)) < 0.6)
        bias = 1.5 * rng.normal(size=width)
        layers += [Affine(weight, bias), relu]
    layers.append(Affine(np.ones((1, width)), np.zeros(1)))
    return Network.chain(layers, (inputs,)), Box.full(-1.0, 1.0, (inputs,))


def found(facts: Facts) -> list[list[int]]:
    return [stage.piece.tolist() for stage in facts.stages]


def modes(backend: Backend) -> list[Mode]:
    events = Capability.NODE_EVENTS | Capability.INCUMBENT_EVENTS
    return [Mode.RESTART, Mode.IN_TREE] if backend.capabilities & events else [Mode.RESTART]


@pytest.mark.parametrize("name", SOLVERS)
def test_sets_of_random_networks_are_those_of_enumeration(name: str) -> None:
    backend = solver(name)
    if Capability.BOUND not in backend.capabilities:
        pytest.skip(f"{name} proves no bounds")
    stable_neurons = 0
    for seed in range(32):
        network, box = random_network(seed)
        truth = [piece.tolist() for piece in oracle.stability(network, box)]
        stable_neurons += sum(p >= 0 for piece in truth for p in piece)
        for mode in modes(backend):
            facts = stable(network, box, method="one-solve", mode=mode, backend=backend)
            assert found(facts) == truth, (seed, mode)
            check_witnesses(facts)
    assert stable_neurons >= 100
