"""All biases times one number: the same network at another scale."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from reludsl.errors import InvalidInput
from reludsl.layers import AffineLayer, Layer, MaxLayer, elementwise
from reludsl.network import Network, Node

CONSTANTS = ("offset", "fill")
"""Fields of affine layers that hold what is added."""


def scale_biases(network: Network, c: float) -> Network:
    """N(x; c b) = c N(x / c; b) for c > 0: the network with every bias times c, which is x -> c N(x / c).

    So its regions are those of the network times c: of all R^n there are as many, of a domain D those in D / c of the
    network. With b = 0 every region is a cone. Scaling by c below 0 turns the signs of the biases, and is another
    network. Up to rounding; exact where c is a power of two and nothing under- or overflows.

    Raises:
        InvalidInput: c is not positive; a layer that is not positively homogeneous without its bias (a hard tanh has
            breaks away from 0), or one of which it is unknown where it holds its bias.

    Source: Hanin and Rolnick 2019, Deep ReLU networks have surprisingly few activation patterns, Lemma 6.

    >>> from reludsl.networks import random_network
    >>> net = random_network((3, 8, 8), seed=0)
    >>> x = np.array([1.0, -2.0, 0.5])
    >>> bool((scale_biases(net, 4.0)(x) == 4.0 * net(x / 4.0)).all())
    True
    """
    if not (math.isfinite(c) and c > 0):
        raise InvalidInput(
            f"biases times {c} do not make the same network at another scale: the law N(x; c b) = c N(x / c; b) holds "
            "for positive c; give a number above 0"
        )
    nodes = tuple(Node(node.name, _scaled(node, network.size(node.name), c), *node.sources) for node in network.nodes)
    return Network(nodes, network.input_shape, network.output, network.input_box)


def _scaled(node: Node, size: int, c: float) -> Layer:
    layer = node.layer
    if isinstance(layer, MaxLayer):
        return layer
    if isinstance(layer, AffineLayer):
        if not np.any(layer.bias):
            return layer
        held: Any = layer
        names = {field.name for field in dataclasses.fields(held)} if dataclasses.is_dataclass(held) else set()
        for name in CONSTANTS:
            if name in names:
                scaled = dataclasses.replace(held, **{name: c * getattr(layer, name)})
                assert isinstance(scaled, AffineLayer)
                if np.array_equal(scaled.bias, c * layer.bias):
                    return scaled
        raise InvalidInput(
            f"layer {node.name!r} is a {type(layer).__name__}, and it is unknown which of its fields holds its bias, "
            "so that it cannot be scaled; write it as an Affine, or as a layer without bias and a Shift"
        )
    if elementwise(layer) and not layer.breaks_at(size).any() and not layer.intercepts_at(size).any():
        return layer
    raise InvalidInput(
        f"layer {node.name!r} ({layer.kind}) is not positively homogeneous, so that scaling the biases does not scale "
        "the network: its breaks would have to move with them; give a network whose activations bend at 0 and are 0 "
        "there, such as ReLUs"
    )
