"""Noise on the weights of a network: how far its function depends on each layer.

Only fully connected layers and convolutions have weights and biases here; they are numbered from 0 in the order of the
network. The noise of a layer depends on the seed and on its number alone, weights and biases by themselves, so that
noise on some layers is the same whether the others get theirs or not.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput, member
from reludsl.layers import Affine, Conv
from reludsl.network import Network, Node


class Parameters(enum.Enum):
    """What of a layer gets noise."""

    WEIGHTS = "weights"
    BIASES = "biases"
    ALL = "all"


Noise = Callable[[np.random.Generator, FloatArray], FloatArray]


def weighted(network: Network) -> tuple[str, ...]:
    """Names of the layers with weights, fully connected ones and convolutions; the position of each is its number.

    >>> from reludsl.networks import random_network
    >>> weighted(random_network((2, 8, 8), outputs=3))
    ('0_affine', '2_affine', '4_affine')
    """
    return tuple(node.name for node in network.nodes if isinstance(node.layer, Affine | Conv))


def additive(
    network: Network,
    deviation: float,
    seed: int = 0,
    *,
    layers: Collection[int] | None = None,
    parameters: Parameters | str = Parameters.WEIGHTS,
) -> Network:
    """w + e with e ~ N(0, deviation^2), independently for every parameter that is chosen.

    The study of Raghu et al. 2017, section 3 (noise on the weights of one layer against accuracy). Of a sparse
    matrix only the stored entries get noise.

    Args:
        deviation: in the units of the weights.
        seed: not negative.
        layers: numbers of the layers (see `weighted`); -1 is the last; all by default.
        parameters: weights, biases or both.

    Returns:
        A new network; layers that get no noise are those of the old one.

    Raises:
        InvalidInput: a deviation or seed that is negative or no number, a layer that there is not.

    >>> from reludsl.networks import sawtooth
    >>> tent = sawtooth(1, merged=True)
    >>> noisy = additive(tent, 0.1, seed=1, layers=[0])
    >>> noisy.nodes[0].layer.weight.round(3).tolist(), noisy.nodes[2] is tent.nodes[2]
    ([[1.035], [1.082]], True)
    """
    _check_deviation(deviation)
    return _with(network, lambda random, w: w + deviation * random.standard_normal(w.shape), seed, layers, parameters)


def multiplicative(
    network: Network,
    deviation: float,
    seed: int = 0,
    *,
    layers: Collection[int] | None = None,
    parameters: Parameters | str = Parameters.ALL,
) -> Network:
    """w (1 + e) with e ~ N(0, deviation^2), independently for every parameter that is chosen; 0 stays 0.

    Source: Jeong, Barton and Ramirez, ICERM 2020 (sawtooth networks); published there is the variance, deviation^2.

    Args:
        deviation: relative to each parameter.
        seed: not negative.
        layers: numbers of the layers (see `weighted`); -1 is the last; all by default.
        parameters: weights, biases or both.

    Returns:
        A new network; layers that get no noise are those of the old one.

    Raises:
        InvalidInput: a deviation or seed that is negative or no number, a layer that there is not.

    >>> from reludsl.networks import sawtooth
    >>> multiplicative(sawtooth(1), 0.1, seed=1).nodes[0].layer.offset.round(3)
    array([ 0.   , -0.548])
    """
    _check_deviation(deviation)
    return _with(
        network, lambda random, w: w * (1 + deviation * random.standard_normal(w.shape)), seed, layers, parameters
    )


def _with(
    network: Network, noise: Noise, seed: int, layers: Collection[int] | None, parameters: Parameters | str
) -> Network:
    part = member(Parameters, parameters, "choice of parameters")
    if seed < 0:
        raise InvalidInput(f"the seed is {seed}, and no random numbers start from there; give 0 or more")
    numbers = {name: k for k, name in enumerate(weighted(network))}
    chosen = set(numbers.values()) if layers is None else {_number(k, len(numbers)) for k in layers}

    def changed(node: Node) -> Node:
        layer, number = node.layer, numbers.get(node.name)
        if number not in chosen or not isinstance(layer, Affine | Conv):
            return node
        if part is not Parameters.BIASES:
            random = np.random.default_rng([seed, number, 0])
            layer = replace(layer, weight=_on_entries(layer.weight, lambda w: noise(random, w)))
        if part is not Parameters.WEIGHTS:
            layer = replace(layer, offset=noise(np.random.default_rng([seed, number, 1]), layer.offset))
        return Node(node.name, layer, *node.sources)

    return replace(network, nodes=tuple(changed(node) for node in network.nodes))


def _on_entries(
    weight: FloatArray | sparse.csr_array, change: Callable[[FloatArray], FloatArray]
) -> FloatArray | sparse.csr_array:
    if isinstance(weight, sparse.csr_array):
        return sparse.csr_array((change(weight.data), weight.indices, weight.indptr), shape=weight.shape)
    return change(weight)


def _check_deviation(deviation: float) -> None:
    if not 0 <= deviation < np.inf:
        raise InvalidInput(
            f"the standard deviation of the noise is {deviation}, and no noise is spread like that; give 0 or more"
        )


def _number(k: int, count: int) -> int:
    if k not in range(-count, count):
        raise InvalidInput(
            f"layer {k} is to get noise, and the network has {count} layers with weights; give numbers from 0 to "
            f"{count - 1}, or negative ones from the end (see `weighted`)"
        )
    return k % count
