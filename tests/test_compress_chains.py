"""Compressing twice, local compression, and networks that are no classifiers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reludsl.bounds import crown
from reludsl.compress import compress
from reludsl.data import path
from reludsl.domain import Ball, Box, Norm
from reludsl.exact import exactly
from reludsl.io import read
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.rewrite import FRESH, Compression, FoldPolicy, Knowledge, NeuronMap, output_difference
from reludsl.rewrite.driver import Driver
from reludsl.rewrite.settle import settled
from reludsl.testing import strategies as rs

PIXELS = Box.full(0.0, 1.0, (784,))


def again(first: Compression, domain: Any, **options: Any) -> Compression:
    return compress(first.network, domain, dtype=first.dtype.type, **options)


def unchanged(second: Compression) -> None:
    assert second.log == ()
    assert second.network is second.original
    assert second.proved
    assert second.max_output_error == 0
    same = NeuronMap.identity(second.original)
    assert set(second.map.elements) == set(same.elements)
    for name, index in second.map.elements.items():
        np.testing.assert_array_equal(index, same.elements[name])


@given(rs.graphs(), st.integers(0, 2**31), st.sampled_from(["auto", "always", "never"]))
@settings(deadline=None)
def test_second_compression_of_any_graph_changes_nothing(net: Network, seed: int, fold: str) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.integers(-8, 9, net.input_size) / 8
    box = Box(centre - rng.choice([0.25, 1.0]), centre + 0.5)
    unchanged(again(compress(net, box, fold=fold), box, fold=fold))


def rough(seed: int, *sizes: int) -> Network:
    """Normal weights, half of the neurons stable on [-1, 1]; in each layer rows that nearly depend on others."""
    rng = np.random.default_rng(seed)
    layers: list[Any] = []
    for n_in, n_out in itertools.pairwise(sizes):
        weight = rng.normal(size=(n_out, n_in)) / np.sqrt(n_in)
        weight[n_out // 2 :] = rng.normal(size=(n_out - n_out // 2, 3)) @ weight[:3]
        # what is left over decays without a gap, as it does in trained layers
        weight += rng.normal(size=weight.shape) * np.logspace(-2, -9, n_out)[:, None]
        bias = rng.choice([-6.0, 0.0, 6.0, 6.0], n_out) * np.abs(weight).sum(axis=1) / np.sqrt(n_in)
        layers += [Affine(weight, bias), relu]
    return Network.chain(layers[:-1], (sizes[0],))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sizes", [(8, 30, 4), (6, 20, 20, 3)])
def test_second_compression_of_layers_without_a_gap_changes_nothing(seed: int, sizes: tuple[int, ...]) -> None:
    net, box = rough(seed, *sizes), Box.full(-1.0, 1.0, (sizes[0],))
    first = compress(net, box)
    assert first.proved
    assert first.counts["merged"] > 0
    unchanged(again(first, box))


@pytest.mark.parametrize(
    "name", ["100x100_l1_0.0002", "200x200_l1_0.0002", "ae_50-10-50_l1_2e-05", "ae_100-10-100_l1_0.0002"]
)
def test_second_compression_of_a_trained_network_changes_nothing(name: str, data_file: Any) -> None:
    net = read(data_file(f"mnist_nets/mnist_{name}_s0.onnx"), check=False)
    first = compress(net, PIXELS)
    assert first.log
    unchanged(again(first, PIXELS))


@given(rs.graphs(), st.integers(0, 2**31))
@settings(deadline=None)
def test_maps_and_proofs_of_two_compressions_compose(net: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.integers(-8, 9, net.input_size) / 8
    wide, near = Box(centre - 1.0, centre + 1.0), Box(centre - 0.125, centre + 0.125)
    first = compress(net, wide)
    second = again(first, near)
    both = first.map.then(second.map)
    x = near.sample(rng, 20)
    # a neuron that stayed twice has the pre-activation that it had at first
    before, after = net.trace(x).pre, second.network.trace(x).pre
    for kept, z in zip(both.stages, after):
        old = kept.neurons != FRESH
        np.testing.assert_allclose(z[:, old], before[kept.stage][:, kept.neurons[old]], atol=1e-4)
    for point in x[:4].round(3):
        point = np.clip(point, near.lower, near.upper)
        a = net.exact_values(exactly(point))[net.output]
        b = second.network.exact_values(exactly(point))[second.network.output]
        assert all(abs(p - q) <= e + f for p, q, e, f in zip(a, b, first.error, second.error))


def test_composed_map_names_the_original_neurons() -> None:
    # 0 is off on both boxes, 2 on the near one alone; 1, 3 and 4 switch
    weight = np.array([[1.0], [1.0], [1.0], [-2.0], [3.0]])
    net = Network.chain(
        [Affine(weight, np.array([-9.0, 0.0, -0.5, 0.01, 0.02])), relu, Affine(np.ones((1, 5)), np.zeros(1))], (1,)
    )
    first = compress(net, Box([-1.0], [1.0]))
    assert first.map.stages[0].neurons.tolist() == [1, 2, 3, 4]
    second = again(first, Box([-0.125], [0.125]))
    assert second.map.stages[0].neurons.tolist() == [0, 2, 3]
    assert first.map.then(second.map).stages[0].neurons.tolist() == [1, 3, 4]


def test_settled_run_keeps_its_tolerance_and_merges_no_less_than_one_run() -> None:
    net, box = rough(0, 8, 30, 4), Box.full(-1.0, 1.0, (8,))
    bounds = crown(net, box)
    driver = Driver(
        net, Knowledge.of(net, bounds), bounds, np.full(4, 1e-6), FoldPolicy.AUTO, np.dtype(np.float64), merging=1e-3
    )
    once, to_the_end = driver.run(), settled(driver)
    assert to_the_end.neurons <= once.neurons
    assert driver.allows(to_the_end)
    # its bound is one of the two networks, whatever lay between them
    direct = output_difference(net, to_the_end.network, to_the_end.map, bounds)
    x = box.sample(np.random.default_rng(0), 200)
    assert (np.abs(to_the_end.network(x) - net(x)) <= np.minimum(direct, to_the_end.error) + 1e-12).all()


def test_ball_around_a_picture_leaves_fewer_neurons_and_the_same_function() -> None:
    net = read(path("digits.onnx"))
    with np.load(path("digits.npz")) as held:
        image = held["images"][3].ravel()
    everywhere = compress(net, Box.full(0.0, 1.0, (64,)))
    sizes = []
    for radius in (0.2, 0.05, 0.01):
        near = Ball(image, radius, clip=(0.0, 1.0))
        local = compress(net, near)
        assert local.proved
        sizes.append(local.network.neurons)
        x = near.sample(np.random.default_rng(0), 300)
        np.testing.assert_allclose(local.network(x), net(x), atol=float(local.tolerance.max()))
        unchanged(again(local, near))
    assert everywhere.network.neurons >= sizes[0] > sizes[-1]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("norm", list(Norm))
def test_balls_of_either_norm_are_domains_of_a_compression(norm: Norm) -> None:
    rng = np.random.default_rng(1)
    net = Network.chain(
        [Affine(rng.normal(size=(20, 3)), rng.normal(size=20)), relu, Affine(rng.normal(size=(1, 20)), np.zeros(1))],
        (3,),
    )
    near = Ball(np.array([0.2, -0.3, 0.1]), 0.1, norm=norm)
    local = compress(net, near)
    # one output, nothing to choose from: a regression
    assert local.proved
    assert local.network.neurons <= {Norm.L1: 4, Norm.LINF: 6}[norm]
    x = near.sample(rng, 200)
    np.testing.assert_allclose(local.network(x), net(x), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "radius"), [("50-10-50_l1_2e-05", 0.05), ("100-10-100_l1_2e-05", 0.02), ("100-10-100_l1_0.0002", 0.1)]
)
def test_autoencoder_near_a_picture_is_smaller_than_everywhere(name: str, radius: float, data_file: Any) -> None:
    net = read(data_file(f"mnist_nets/mnist_ae_{name}_s0.onnx"), check=False)
    image = np.load(data_file("mnist.npz"))["x_test"][0].reshape(-1) / 255.0
    near = Ball(image, radius, clip=(0.0, 1.0))
    everywhere, local = compress(net, PIXELS), compress(net, near)
    assert everywhere.proved
    assert local.proved
    assert local.network.neurons < everywhere.network.neurons
    assert local.network.output_size == 784
    x = near.sample(np.random.default_rng(0), 100)
    np.testing.assert_allclose(local.network(x), net(x), atol=1e-5)
    unchanged(again(local, near))
