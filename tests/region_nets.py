"""Networks with known regions, and what is known of them by other means."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Domain
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network
from reludsl.networks import Initialisation, random_network
from reludsl.testing import region_oracle


def chain(weights: Sequence[object], biases: Sequence[object], end: bool = True) -> Network:
    """Affine layers with ReLU between; `end`: behind the last as well."""
    layers: list[Layer] = []
    for w, b in zip(weights, biases):
        layers += [Affine(np.array(w, dtype=np.float64), np.array(b, dtype=np.float64)), relu]
    return Network.chain(layers if end else layers[:-1], (np.array(weights[0]).shape[1],))


def drawn(sizes: Sequence[int], seed: int, kind: str = "torch") -> Network:
    """A network whose number of regions is known, by its seed."""
    return random_network(sizes, seed, Initialisation(kind))


def integer(seed: int, sizes: Sequence[int] = (2, 8, 8, 6)) -> Network:
    """Weights and biases in -2, ..., 2: lines that coincide, meet in one point, and units that are 0 on whole cells."""
    rng = np.random.default_rng(seed)
    weights = [rng.integers(-2, 3, (b, a)) for a, b in pairwise(sizes)]
    return chain(weights, [rng.integers(-2, 3, b) for b in sizes[1:]])


FOUR_LINES = chain([[[1, 0], [0, 1], [1, 1], [1, -2]]], [[0, 0, -1, -3]])

TABLE = (
    (
        chain(
            [[[-3, -2], [2, 2], [-3, -2]], [[-1, -3, 2], [0, 2, -2], [2, -3, 0]]],
            [[1, 3, 3], [-1, 0, 0]],
        ),
        13,
        7,
    ),
    (
        chain(
            [[[-3, 2], [-1, 0], [-3, 3], [-1, -1]], [[0, 1, 3, -1], [0, 0, 3, 1], [1, 0, -2, 1], [0, -3, 1, -2]]],
            [[3, 2, 2, 2], [-2, 2, -2, -3]],
        ),
        24,
        8,
    ),
    (
        chain(
            [
                [[1, -1], [-1, -3], [0, -1]],
                [[1, 1, -2], [-2, -3, 0], [-1, -1, 1]],
                [[3, -3, 3], [1, 1, 3], [1, 3, -3]],
            ],
            [[1, 3, 0], [-2, 2, -2], [2, -3, -1]],
        ),
        27,
        18,
    ),
    (
        chain(
            [
                [[0, 2], [3, 0], [1, 0]],
                [[1, -1, -3], [-2, 1, -2], [-3, 3, 0]],
                [[3, 3, -1], [-3, 2, 2], [3, 2, -2]],
            ],
            [[2, -2, 2], [1, 2, 2], [-1, 3, 1]],
        ),
        36,
        9,
    ),
)
"""Integer networks with their numbers of regions in R^2 and in [-1, 1]^2, found in rational arithmetic."""


def widest(layers: int, wide: bool = True) -> Network:
    """Three units a layer and 4^L pieces on R, as many as there can be (Serra et al. 2018, theorem 5).

    Args:
        wide: if not, a scaling that is too narrow, with fewer pieces.
    """
    rows, biases = ([[-6, -12, 9], [6, 12, -9], [6, 12, -9]], [11, -9.5, -10])
    if not wide:
        rows, biases = ([[-4, -8, 6], [4, 8, -6], [4, 8, -6]], [7.75, -6.25, -6.75])
    return chain([[[-1], [1], [1]], *[rows] * (layers - 1)], [[1.5, 0, -0.5], *[biases] * (layers - 1)])


def product() -> Network:
    """Two of the widest layers side by side, six lines on top: 352 regions, as many as there can be (theorem 6)."""
    first = [[-1, 0], [1, 0], [1, 0], [0, -1], [0, 1], [0, 1]]
    weights, biases = [], []
    for k, (a, c) in enumerate([(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2)]):
        weights.append([6 * a, 12 * a, -9 * a, 6 * c, 12 * c, -9 * c])
        biases.append(-9.5 * (a + c) - (a + c) - k * k / 40)
    return chain([first, weights], [[1.5, 0, -0.5] * 2, biases])


def pieces_at(network: Network, x: FloatArray) -> IntArray:
    """The piece of every unit at some inputs, by a forward pass."""
    trace = network.trace(x)
    held = dict(zip((stage.activation for stage in network.hidden), trace.pattern)) | dict(trace.maxima)
    none = np.zeros((len(trace.output), 0), dtype=np.int64)
    return np.concatenate(
        [none, *(held[node.name] for node in network.cone(network.output) if node.name in held)], axis=1
    )


def exact_patterns(network: Network, domain: Domain | None = None) -> set[tuple[int, ...]]:
    """The patterns that have an interior in the domain, by cutting cells in rational arithmetic."""
    return {region.pattern for region in region_oracle.regions(network, domain)}
