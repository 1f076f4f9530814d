"""Networks made of networks."""

from __future__ import annotations

import itertools

import numpy as np

from reludsl.errors import InvalidInput
from reludsl.layers.join import Gather
from reludsl.network import INPUT, Network, Node


def product(*networks: Network) -> Network:
    """(x_1, ..., x_k) -> (f_1(x_1), ..., f_k(x_k)): networks side by side, each with inputs of its own.

    A region of it is a product of regions, one of each network, so that their numbers multiply; by any definition of
    a linear region. From networks of one input it makes those that reach the bounds in more: k folds of p pieces cut a
    cube in p^k (Montufar et al., NeurIPS 2014, section 3; Serra et al., ICML 2018, theorem 6).

    Inputs and outputs are vectors, one after the other; the layers of the k-th network are called `k/name`.

    Raises:
        InvalidInput: no network.

    >>> from reludsl.domain import Box, Space
    >>> from reludsl.networks import maximal_1d, sawtooth
    >>> from reludsl.regions import count_plane
    >>> both = product(sawtooth(3), sawtooth(2))
    >>> both(np.array([0.125, 0.125])), count_plane(both, Box([0, 0], [1, 1])).count  # 2^3 * 2^2
    (array([1. , 0.5]), 32)
    >>> count_plane(product(maximal_1d(1), maximal_1d(2)), Space(2)).count  # 4 * 4^2
    64
    """
    if not networks:
        raise InvalidInput("a product of no networks has no inputs; give at least one network")
    sizes = [network.input_size for network in networks]
    ends = np.cumsum([0, *sizes])
    nodes = []
    for number, (network, (first, last)) in enumerate(zip(networks, itertools.pairwise(ends.tolist()))):
        own = {name: f"{number}/{name}" for name in network.shapes}
        nodes.append(Node(own[INPUT], Gather(np.arange(first, last), sum(sizes), network.input_shape, "slice"), INPUT))
        nodes += [Node(own[node.name], node.layer, *map(own.__getitem__, node.sources)) for node in network.nodes]
    outputs = [f"{number}/{network.output}" for number, network in enumerate(networks)]
    size = sum(network.output_size for network in networks)
    nodes.append(Node("product", Gather(np.arange(size), size, (size,), "concat"), *outputs))
    return Network(tuple(nodes), (sum(sizes),))
