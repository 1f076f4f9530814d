"""Training many networks of one shape at once, back to the sawtooth that they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reludsl.backend import FloatArray
from reludsl.expressivity.torch_module import torch
from reludsl.layers import Affine
from reludsl.network import Network, Node
from reludsl.networks import Initialisation, random_network

GRID = 4096
"""Intervals of [0, 1] on whose ends the loss is measured."""


@dataclass(frozen=True, slots=True)
class Look:
    """All networks after some iterations.

    Args:
        losses: (networks,) mean squared error on a grid.
    """

    iteration: int
    networks: Sequence[Network]
    losses: FloatArray


def random_start(like: Network, seed: int, wider: int = 1) -> Network:
    """An untrained network of the same layers, hidden ones so many times as wide: W ~ N(0, 2 / k), b ~ N(0, 0.01)."""
    affine = [node for node in like.nodes if isinstance(node.layer, Affine)]
    *hidden, outputs = (like.size(node.name) for node in affine)
    sizes = [like.input_size, *(wider * size for size in hidden), outputs]
    drawn = [
        node.layer
        for node in random_network(sizes, seed, Initialisation.NORMAL, bias_scale=0.1).nodes
        if isinstance(node.layer, Affine)
    ]
    layers = {node.name: layer for node, layer in zip(affine, drawn)}
    return _with(like, layers)


def relearned(
    starts: Sequence[Network], target: Network, iterations: Sequence[int], batch: int, rate: float, seed: int
) -> Iterator[Look]:
    """The starts after so many iterations each, trained by Adam on the squared error at uniform points of [0, 1].

    They are trained apart, each on batches of its own; a tensor holds one layer of all of them.

    Args:
        starts: chains of dense affine layers and ReLUs, of the same shape.
        iterations: increasing; 0 for the starts themselves.
    """
    model = _Together(starts)
    rule = torch().optim.Adam(model.parameters, lr=rate)
    random = np.random.default_rng(seed)
    grid = np.linspace(0.0, 1.0, GRID + 1)[:, None]
    wanted = target(grid)[:, 0]
    for iteration in range(iterations[-1] + 1):
        if iteration in iterations:
            networks = model.networks()
            losses = [float(np.mean((network(grid)[:, 0] - wanted) ** 2)) for network in networks]
            yield Look(iteration, networks, np.array(losses))
        x = random.random((len(starts), batch, 1))
        y = target(x.reshape(-1, 1)).reshape(x.shape)
        gap = model(torch().tensor(x)) - torch().tensor(y)
        rule.zero_grad()
        # the sum over networks: each gets the gradient of its own mean
        (gap**2).mean(dim=(1, 2)).sum().backward()
        rule.step()


def side_by_side(*courses: Iterator[Look]) -> Iterator[Look]:
    """Networks of several shapes, trained for as many iterations, as one list."""
    for looks in zip(*courses, strict=True):
        networks = [network for look in looks for network in look.networks]
        yield Look(looks[0].iteration, networks, np.concatenate([look.losses for look in looks]))


class _Together:
    """Networks of one shape as one model."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self.like = networks[0]
        self.layers: dict[str, tuple[Any, Any]] = {}
        for node in self.like.nodes:
            if isinstance(node.layer, Affine):
                weights, biases = zip(*(_parameters(network, node.name) for network in networks))
                self.layers[node.name] = (
                    torch().tensor(np.stack(weights), requires_grad=True),
                    torch().tensor(np.stack(biases)[:, None], requires_grad=True),
                )

    @property
    def parameters(self) -> list[Any]:
        return [part for pair in self.layers.values() for part in pair]

    def __call__(self, x: Any) -> Any:
        """(networks, points, inputs) -> (networks, points, outputs)."""
        for node in self.like.nodes:
            if node.name in self.layers:
                weight, bias = self.layers[node.name]
                x = torch().baddbmm(bias, x, weight.mT)
            else:
                x = torch().relu(x)
        return x

    def networks(self) -> list[Network]:
        held = {name: [part.detach().numpy().copy() for part in pair] for name, pair in self.layers.items()}
        count = len(next(iter(held.values()))[0])
        return [
            _with(self.like, {name: Affine(weight[k], bias[k, 0]) for name, (weight, bias) in held.items()})
            for k in range(count)
        ]


def _parameters(network: Network, name: str) -> tuple[FloatArray, FloatArray]:
    layer = network.by_name[name].layer
    assert isinstance(layer, Affine)
    return np.asarray(layer.weight), layer.offset


def _with(network: Network, layers: dict[str, Affine]) -> Network:
    nodes = (Node(node.name, layers.get(node.name, node.layer), *node.sources) for node in network.nodes)
    return replace(network, nodes=tuple(nodes))
