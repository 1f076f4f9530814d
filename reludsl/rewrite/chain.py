"""The view of a network that rewrites work on: dense layers and activations in turn.

    input -> prefix -> W_0, b_0 -> f_0 -> W_1, b_1 -> f_1 -> ... -> W_L, b_L -> suffix -> output

The prefix holds what stands before the first dense layer (subtract a mean, flatten), the suffix what stands
after the last. Dense layers that follow one another exactly (MatMul, then Add) are fused on the way, where that
needs no rounding; reshapes between dense layers change nothing on flat vectors and are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reludsl.backend import FloatArray
from reludsl.layers import Activation, Affine, Layer, Reshape, Shift
from reludsl.network import INPUT, Network, Node


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """One dense layer: weight (n_out, n_in), bias (n_out,), the names of its node and of the activation after it."""

    weight: FloatArray
    bias: FloatArray
    name: str
    activation: Activation | None = None
    activation_name: str = ""

    @property
    def width(self) -> int:
        return int(self.bias.size)


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """A network as alternating dense layers and activations.

    Args:
        network: where it was read from (input shape, input box).
        prefix, suffix: nodes before the first and after the last dense layer.
        layers: the dense layers; all but the last have an activation.
    """

    network: Network
    prefix: tuple[Node, ...]
    layers: tuple[Dense, ...]
    suffix: tuple[Node, ...]

    @property
    def depth(self) -> int:
        """Number of hidden stages."""
        return len(self.layers) - 1

    def with_layers(self, layers: tuple[Dense, ...]) -> Chain:
        """The same prefix and suffix around other layers."""
        return replace(self, layers=layers)

    def build(self) -> Network:
        """The network again."""
        nodes, source = list(self.prefix), self.prefix[-1].name if self.prefix else INPUT
        for dense in self.layers:
            nodes.append(Node(dense.name, Affine(dense.weight, dense.bias), source))
            source = dense.name
            if dense.activation is not None:
                nodes.append(Node(dense.activation_name, dense.activation, source))
                source = dense.activation_name
        for node in self.suffix:
            nodes.append(Node(node.name, node.layer, source))
            source = node.name
        return Network(tuple(nodes), self.network.input_shape, source, self.network.input_box)


def chain_of(network: Network) -> Chain | None:
    """The chain view, or None where the network branches or holds something between its dense layers.

    >>> from reludsl.layers import relu
    >>> one = np.ones((1, 1))
    >>> net = Network.chain([Affine(one, [0.0]), Shift([1.0]), relu, Affine(one, [0.0])], (1,))
    >>> [dense.bias.tolist() for dense in chain_of(net).layers]
    [[1.0], [0.0]]
    """
    order = network.cone(network.output)
    graph = network.graph.subgraph([INPUT, *(n.name for n in order)])
    if any(degree > 1 for _, degree in graph.out_degree()):
        return None
    nodes = _fused(list(order))
    dense = [k for k, node in enumerate(nodes) if isinstance(node.layer, Affine)]
    if not dense:
        return None
    prefix, middle, suffix = nodes[: dense[0]], nodes[dense[0] : dense[-1] + 1], nodes[dense[-1] + 1 :]
    if any(isinstance(n.layer, Activation) for n in prefix):
        return None
    middle = [n for n in middle if not isinstance(n.layer, Reshape)]
    layers: list[Dense] = []
    for k, node in enumerate(middle):
        if k % 2 == 0:
            if not isinstance(node.layer, Affine):
                return None
            layers.append(Dense(node.layer.dense, node.layer.bias, node.name))
        else:
            if not isinstance(node.layer, Activation):
                return None
            layers[-1] = replace(layers[-1], activation=node.layer, activation_name=node.name)
    chain = Chain(network, tuple(prefix), tuple(layers), tuple(suffix))
    return chain if chain.build().output_shape == network.output_shape else None


def obstacle(network: Network) -> str:
    """Why a network has no chain view, and what to change."""
    order = network.cone(network.output)
    graph = network.graph.subgraph([INPUT, *(n.name for n in order)])
    for name, degree in graph.out_degree():
        if degree > 1:
            return f"{name!r} feeds {degree} layers; only chains of layers are rewritten"
    dense = [k for k, node in enumerate(order) if isinstance(node.layer, Affine)]
    if not dense:
        return "the network holds no dense layer"
    for node in order[: dense[0]]:
        if isinstance(node.layer, Activation):
            return f"the activation {node.name!r} stands before the first dense layer"
    for node in order[dense[0] : dense[-1]]:
        if not isinstance(node.layer, (Affine, Activation, Reshape)):
            return f"{node.name!r} ({node.layer.kind}) stands between dense layers; fold it into the weights"
    return "dense layers or activations follow one another directly; merge them first"


def _fused(nodes: list[Node]) -> list[Node]:
    """Constant additions folded into a dense layer without bias before them: exact, 0 + c = c."""
    out: list[Node] = []
    for node in nodes:
        if out and isinstance(node.layer, Shift) and isinstance(out[-1].layer, Affine) and not out[-1].layer.bias.any():
            before = out[-1].layer
            layer: Layer = Affine(before.weight, np.broadcast_to(node.layer.bias, before.bias.shape).copy())
            out[-1] = Node(node.name, layer, out[-1].source)
        else:
            out.append(Node(node.name, node.layer, out[-1].name if out else node.source))
    return out
