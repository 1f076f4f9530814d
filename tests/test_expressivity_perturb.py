"""Noise on weights: which parameters it meets, how large it is, and that layers are independent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from reludsl.errors import InvalidInput
from reludsl.expressivity import Parameters, additive, multiplicative, weighted
from reludsl.layers import Affine, Conv, Reshape, relu
from reludsl.network import Network
from reludsl.networks import random_network, sawtooth

SEEDS = st.integers(0, 2**32)
Change = Callable[..., Network]
CHANGES: list[Change] = [additive, multiplicative]
NET = random_network((3, 5, 4), seed=7, outputs=2)


def flat(network: Network) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    layers = [n.layer for n in network.nodes if isinstance(n.layer, Affine | Conv)]
    return np.concatenate([part.ravel() for layer in layers for part in (np.asarray(layer.weight), layer.offset)])


@pytest.mark.parametrize("change", CHANGES)
@given(seed=SEEDS, first=st.sets(st.integers(0, 2)))
def test_noise_on_some_layers_then_on_the_others_equals_noise_on_all(
    change: Change, seed: int, first: set[int]
) -> None:
    parts = [Parameters.WEIGHTS, Parameters.BIASES]
    one_by_one = NET
    for layers in (first, {0, 1, 2} - first):
        for part in parts:
            one_by_one = change(one_by_one, 0.1, seed, layers=layers, parameters=part)
    at_once = change(NET, 0.1, seed, parameters="all")
    np.testing.assert_array_equal(flat(one_by_one), flat(at_once))
    assert (flat(at_once) != flat(NET)).all()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("part", "weights", "biases"), [("weights", True, False), ("biases", False, True)])
def test_noise_on_one_layer_changes_the_chosen_parameters_alone(
    change: Change, part: str, weights: bool, biases: bool
) -> None:
    noisy = change(NET, 0.1, 3, layers=[-1], parameters=part)
    assert all(mine is old for mine, old in zip(noisy.nodes[:-1], NET.nodes[:-1]))
    mine, old = noisy.nodes[-1].layer, NET.nodes[-1].layer
    assert isinstance(mine, Affine)
    assert isinstance(old, Affine)
    assert (mine.weight != old.weight).all() == weights
    assert (mine.offset != old.offset).all() == biases


@pytest.mark.parametrize("change", CHANGES)
def test_noise_without_deviation_changes_nothing(change: Change) -> None:
    np.testing.assert_array_equal(flat(change(NET, 0.0, 1, parameters="all")), flat(NET))


def test_deviation_when_many_weights_is_the_one_asked_for() -> None:
    net = Network.chain([Affine(np.full((200, 100), 3.0), np.zeros(200)), relu], (100,))
    added = flat(additive(net, 0.5, 4))[:20000] - 3.0
    scaled = flat(multiplicative(net, 0.5, 4))[:20000] / 3.0 - 1.0
    for noise in (added, scaled):
        # the standard error of a standard deviation is s / sqrt(2 m)
        assert abs(noise.std() - 0.5) < 5 * 0.5 / math.sqrt(2 * noise.size)
        assert abs(noise.mean()) < 5 * 0.5 / math.sqrt(noise.size)


def test_multiplicative_when_zero_stays_zero() -> None:
    noisy = multiplicative(sawtooth(3), 0.3, 5)
    assert ((flat(noisy) == 0) == (flat(sawtooth(3)) == 0)).all()


def test_noise_when_sparse_or_convolution_keeps_the_structure() -> None:
    matrix = sparse.csr_array(np.array([[1.0, 0.0], [0.0, -2.0], [3.0, 0.0]]))
    conv = Conv(np.ones((2, 1, 2)), np.zeros(2), (3,))
    net = Network.chain([Affine(matrix, np.zeros(3)), relu, Reshape((1, 3)), conv], (2,))
    assert weighted(net) == ("0_affine", "3_conv")
    noisy = additive(net, 0.1, 0, parameters="all")
    first, last = noisy.nodes[0].layer, noisy.nodes[3].layer
    assert isinstance(first, Affine)
    assert isinstance(last, Conv)
    assert ((first.dense != 0) == (matrix.toarray() != 0)).all()
    assert (first.dense != matrix.toarray()).sum() == 3
    assert (last.weight != conv.weight).all()
    assert last.spatial == conv.spatial


@pytest.mark.parametrize("change", CHANGES)
def test_noise_when_asked_the_impossible_says_what_to_write(change: Change) -> None:
    with pytest.raises(InvalidInput, match="give 0 or more"):
        change(NET, -0.1)
    with pytest.raises(InvalidInput, match="give 0 or more"):
        change(NET, math.nan)
    with pytest.raises(InvalidInput, match="give 0 or more"):
        change(NET, 0.1, -1)
    numbers: tuple[Any, ...] = (3, 0.5)
    for number in numbers:
        with pytest.raises(InvalidInput, match="3 layers with weights"):
            change(NET, 0.1, layers=[number])
    with pytest.raises(InvalidInput, match="weights, biases, all"):
        change(NET, 0.1, parameters="offsets")
