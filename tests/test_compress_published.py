"""Every trained network of the data folder: no larger than the published algorithm leaves it, proved, equal on images.

The reference is computed here from the certificates alone: a stage keeps its neurons less the stably inactive ones,
less the stably active ones beyond the rank of their rows (Serra et al. 2020, LEO; 2021, LEO++).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime import onnx_outputs

import reludsl as rd
from reludsl.compress import compress
from reludsl.domain import Box
from reludsl.io import read, write_onnx
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.rewrite import rewrite_network
from reludsl.stability import Facts, stable

PIXELS = Box.full(0.0, 1.0, (784,))
SECONDS = 4.0


def by_removal_and_rank(network: Network, facts: Facts) -> int:
    """Neurons that are left without the stably inactive ones and the dependent stably active ones."""
    left, kept = 0, np.ones(network.input_size, dtype=np.bool_)
    for found in facts.stages:
        layer = network.by_name[found.stage.pre].layer
        assert isinstance(layer, Affine)
        rows = layer.dense[found.stably_active][:, kept]
        rank = int(np.linalg.matrix_rank(rows)) if rows.size else 0
        left += found.stage.size - found.stably_inactive.size - (found.stably_active.size - rank)
        kept = ~np.isin(np.arange(found.stage.size), found.stably_inactive)
    return left


@pytest.mark.slow
def test_every_published_network_is_as_small_as_published_proved_and_equal_on_all_images(
    data_files: Any, data_file: Any, tmp_path: Path
) -> None:
    archive = np.load(data_file("mnist.npz"))
    images = np.concatenate([archive["x_train"], archive["x_test"]]).reshape(-1, 784) / np.float32(255)
    assert len(images) == 70_000
    smaller = 0
    for path in data_files("mnist_nets", "*.onnx", 22):
        network = read(path, check=False)
        facts = stable(network, PIXELS, time_limit=SECONDS)
        # the certificates of one run for both, so that a slow machine makes both larger
        result = rewrite_network(network, PIXELS, facts.bounds, proved=facts.bounds)
        assert result.proved, path.name
        reference = by_removal_and_rank(network, facts)
        assert result.network.neurons <= reference, path.name
        assert result.network.parameters <= network.parameters, path.name
        smaller += result.network.neurons < reference
        out = tmp_path / path.name
        write_onnx(result.network, out, dtype=result.dtype.type)
        assert np.abs(onnx_outputs(path, images) - onnx_outputs(out, images)).max() <= 1e-4, path.name
    assert smaller >= 5


SMALL = ["11x11", "15x7", "18x4", "21x1", "4x18", "7x15"]


@pytest.mark.slow
@pytest.mark.parametrize("size", SMALL)
def test_small_published_networks_lose_what_never_switches_on_all_pictures(size: str, data_file: Any) -> None:
    network = read(data_file(f"mnist_nets/mnist_{size}_l1_0_s0.onnx"), check=False)
    result = compress(network, PIXELS, time_limit=SECONDS)
    # one neuron of 4x18 has negative weights and no bias: its maximum is exactly 0
    assert result.network.neurons == network.neurons - (size == "4x18")
    assert (result.network is network) == (size != "4x18")
    assert result.proved


@pytest.mark.slow
@pytest.mark.parametrize("size", SMALL)
def test_integer_programs_agree_on_small_published_networks_near_a_picture(size: str, data_file: Any) -> None:
    network = read(data_file(f"mnist_nets/mnist_{size}_l1_0_s0.onnx"), check=False)
    image = np.load(data_file("mnist.npz"))["x_test"][0].reshape(-1) / 255.0
    x = rd.ball(image, 0.01, clip=(0, 1))
    result = compress(network, x)
    assert result.proved
    assert result.network.neurons < network.neurons
    # merges change 21x1 by 1.3e-6, and the margin for the solver's tolerances takes as much again, several times over
    answer = rd.prove(rd.close(result.network(x), network(x), atol=3e-5), time_limit=120)
    assert answer.verdict is rd.Verdict.PROVED


def with_stable_neurons(seed: int, *sizes: int) -> tuple[Network, Box]:
    """Dyadic weights; of each layer a third inactive, a third active of low rank, a third free."""
    rng = np.random.default_rng(seed)
    around = Box.full(-1.0, 1.0, (sizes[0],))
    layers: list[Any] = []
    for n_in, n_out in pairwise(sizes):
        weight = rng.integers(-8, 9, (n_out, n_in)) / 8
        bias = rng.integers(-4, 5, n_out) / 8
        if n_out != sizes[-1]:
            third = n_out // 3
            weight[third + 2 : 2 * third] = weight[third] + weight[third + 1]
            reach = Affine(weight, np.zeros(n_out)).interval(around)
            bias[:third] = np.floor(-reach.upper[:third])
            bias[third : 2 * third] = np.ceil(-reach.lower[third : 2 * third])
        layers += [Affine(weight, bias), relu]
        around = relu.interval(layers[-2].interval(around))
    return Network.chain(layers[:-1], (sizes[0],)), Box.full(-1.0, 1.0, (sizes[0],))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [(3, 12, 2), (2, 9, 9, 2), (4, 24, 1)])
def test_integer_programs_agree_that_a_smaller_network_is_the_same(seed: int, sizes: tuple[int, ...]) -> None:
    network, domain = with_stable_neurons(seed, *sizes)
    facts = stable(network, domain)
    result = compress(network, domain)
    assert result.proved
    assert result.network.neurons <= by_removal_and_rank(network, facts) < network.neurons
    x = rd.box(domain.lower, domain.upper)
    answer = rd.prove(rd.close(result.network(x), network(x), atol=1e-5), time_limit=120)
    assert answer.verdict is rd.Verdict.PROVED
