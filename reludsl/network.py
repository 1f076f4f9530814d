"""The network: an immutable directed acyclic graph of layers, callable on numbers and on symbols.

    net(x)        forward pass of a point or a batch; on a symbolic expression, the output as an expression
    net.trace(x)  every pre- and post-activation on the way

Inside, a network is a `networkx.DiGraph` whose nodes carry a `Layer` each, in an order in which inputs come
first. Every node has one flat vector as its value; the tensor shapes are remembered for readers and writers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import networkx as nx
import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box, Domain, Space
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.layers import Activation, AffineLayer, Layer, MaxLayer, NonlinearLayer, Shape, elementwise

if TYPE_CHECKING:
    from reludsl.expr import Expr, SymbolicTrace

INPUT = "input"
"""Name of the node that stands for the network's input."""


@dataclass(frozen=True, init=False)
class Node:
    """One layer in its place.

    Args:
        name: unique in the network.
        layer: what it computes.
        sources: names of the nodes whose values it takes, one after the other (`INPUT` for the network's input).

    >>> from reludsl.layers import Sum
    >>> Node("sum", Sum((1, 1)), "branch", "input").sources
    ('branch', 'input')
    """

    name: str
    layer: Layer
    sources: tuple[str, ...]

    def __init__(self, name: str, layer: Layer, *sources: str) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "layer", layer)
        object.__setattr__(self, "sources", sources)

    @property
    def source(self) -> str:
        """The only source.

        Raises:
            InvalidInput: there are several, or none.
        """
        if len(self.sources) != 1:
            raise InvalidInput(f"layer {self.name!r} takes {len(self.sources)} tensors; ask for its `sources`")
        return self.sources[0]


def joined_shape(shapes: Sequence[Shape]) -> Shape:
    """The shape of several tensors one after the other: (k, *shape) where they are alike, else flat.

    >>> joined_shape([(2, 3), (2, 3)]), joined_shape([(2, 3), (4,)]), joined_shape([(2, 3)])
    ((2, 2, 3), (10,), (2, 3))
    """
    if len(shapes) == 1:
        return shapes[0]
    if all(shape == shapes[0] for shape in shapes):
        return (len(shapes), *shapes[0])
    return (sum(math.prod(shape) for shape in shapes),)


@dataclass(frozen=True, slots=True)
class Stage:
    """A pre-activation layer: the node that computes z, and the activation node that takes it.

    The output layer is the last stage; its `activation` is None (or the activation that ends the network).
    """

    index: int
    name: str
    pre: str
    activation: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Values of a forward pass: one entry per activation layer, each (m, width), and the output.

    Args:
        active: beyond the first break (for a ReLU: z > 0).
        pattern: the index of the piece that each neuron is on; a break belongs to the piece on its left.
        maxima: by layer, which place of its window each max unit copies.
    """

    pre: tuple[FloatArray, ...]
    post: tuple[FloatArray, ...]
    active: tuple[BoolArray, ...]
    pattern: tuple[IntArray, ...]
    maxima: Mapping[str, IntArray]
    output: FloatArray


@dataclass(frozen=True, eq=False)
class Network:
    """A trained piecewise-linear network.

    Args:
        nodes: layers in an order in which every source comes before its users.
        input_shape: shape of one input tensor; a batch axis of free size counts as 1, as files have it.
        output: name of the node whose value is the output; by default the last.
        input_box: the range that the file or the author states for the input, if any.

    Raises:
        InvalidInput: a name twice, an unknown source, a cycle, shapes that do not fit.

    >>> import numpy as np
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu,
    ...                      Affine(np.array([[1.0, 1.0]]), np.zeros(1))], (1,))
    >>> net(np.array([-3.0])), net(np.array([[2.0], [5.0]]))
    (array([3.]), array([[2.],
           [5.]]))
    """

    nodes: tuple[Node, ...]
    input_shape: Shape
    output: str = ""
    input_box: Box | None = None
    shapes: Mapping[str, Shape] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.nodes:
            raise InvalidInput("a network without layers computes nothing; give at least one layer")
        if not self.input_shape or any(k <= 0 for k in self.input_shape):
            raise InvalidInput(f"the input shape is {self.input_shape}; give positive sizes, e.g. (784,)")
        shapes: dict[str, Shape] = {INPUT: tuple(self.input_shape)}
        for node in self.nodes:
            if node.name in shapes:
                raise InvalidInput(f"two layers are called {node.name!r}; names must differ")
            if not node.sources:
                raise InvalidInput(
                    f"layer {node.name!r} takes no tensor; name its sources, e.g. Node(name, layer, 'input')"
                )
            for source in node.sources:
                if source not in shapes:
                    raise InvalidInput(
                        f"layer {node.name!r} takes the value of {source!r}, which does not come before it; "
                        "order the layers, and check for a cycle"
                    )
            if not isinstance(node.layer, AffineLayer | NonlinearLayer | Activation):
                raise InvalidInput(
                    f"layer {node.name!r} is a {type(node.layer).__name__}, which is no kind of layer, so nothing is "
                    "known of it; derive its class from AffineLayer or NonlinearLayer, or declare a PiecewiseLinear"
                )
            if len(node.sources) > 1 and elementwise(node.layer):
                raise InvalidInput(
                    f"layer {node.name!r} ({node.layer.kind}) takes the tensors {', '.join(node.sources)}, and an "
                    "activation takes one; put a layer that joins them in front of it, e.g. Sum((1, 1))"
                )
            try:
                shapes[node.name] = node.layer.output_shape(joined_shape([shapes[s] for s in node.sources]))
            except InvalidInput as error:
                raise InvalidInput(f"layer {node.name!r}: {error}") from None
        object.__setattr__(self, "output", self.output or self.nodes[-1].name)
        if self.output not in shapes or self.output == INPUT:
            raise InvalidInput(f"the output {self.output!r} is no layer; there are {', '.join(shapes)}")
        if self.input_box is not None and self.input_box.size != math.prod(self.input_shape):
            raise InvalidInput(
                f"the input box has {self.input_box.size} coordinates, the input {math.prod(self.input_shape)}"
            )
        object.__setattr__(self, "shapes", shapes)

    @classmethod
    def chain(
        cls,
        layers: Iterable[Layer],
        input_shape: Sequence[int],
        names: Sequence[str] | None = None,
        input_box: Box | None = None,
    ) -> Network:
        """Layers one after the other; named `0_affine`, `1_relu`, ... unless names are given."""
        chosen = list(layers)
        names = names or [f"{k}_{layer.kind}" for k, layer in enumerate(chosen)]
        sources = [INPUT, *names]
        nodes = tuple(Node(n, layer, s) for n, layer, s in zip(names, chosen, sources))
        return cls(nodes, tuple(input_shape), input_box=input_box)

    @cached_property
    def graph(self) -> nx.DiGraph[str]:
        """The directed graph of layers: node attribute `layer`, edges from source to user. Frozen."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        graph.add_node(INPUT, layer=None)
        for node in self.nodes:
            graph.add_node(node.name, layer=node.layer)
            graph.add_edges_from((source, node.name) for source in node.sources)
        return nx.freeze(graph)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    def cone(self, target: str | Collection[str]) -> tuple[Node, ...]:
        """The nodes that the value of `target` (one name, or several) depends on, itself included, in order."""
        targets = frozenset((target,) if isinstance(target, str) else target)
        if targets not in self._cones:
            needed = set(targets).union(*(nx.ancestors(self.graph, name) for name in targets))
            self._cones[targets] = tuple(node for node in self.nodes if node.name in needed)
        return self._cones[targets]

    @cached_property
    def _cones(self) -> dict[frozenset[str], tuple[Node, ...]]:
        """Cones that were asked for: the network does not change."""
        return {}

    def size(self, name: str) -> int:
        """Number of elements of a node's value."""
        return math.prod(self.shapes[name])

    @property
    def input_size(self) -> int:
        return self.size(INPUT)

    @property
    def output_size(self) -> int:
        return self.size(self.output)

    @property
    def output_shape(self) -> Shape:
        return self.shapes[self.output]

    @property
    def parameters(self) -> int:
        """Number of weights and biases."""
        return sum(node.layer.parameters for node in self.nodes)

    @cached_property
    def hidden(self) -> tuple[Stage, ...]:
        """The activation layers on the way to the output, in order."""
        cone = self.cone(self.output)
        acts = [node for node in cone if elementwise(node.layer)]
        return tuple(
            Stage(k, self._stage_name(node.source), node.source, node.name, self.size(node.name))
            for k, node in enumerate(acts)
        )

    @cached_property
    def listeners(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes that take the value of each node, among those that the output depends on."""
        found: dict[str, list[str]] = {INPUT: [], **{node.name: [] for node in self.nodes}}
        for node in self.cone(self.output):
            for source in dict.fromkeys(node.sources):
                found[source].append(node.name)
        return {name: tuple(users) for name, users in found.items()}

    def gather(self, node: Node, held: Mapping[str, FloatArray]) -> FloatArray:
        """What a node takes: the values of its sources, one after the other along the last axis."""
        if len(node.sources) == 1:
            return held[node.sources[0]]
        return np.concatenate([held[source] for source in node.sources], axis=-1)

    def around(self, node: Node, boxes: Mapping[str, Box]) -> Box:
        """The box of what a node takes."""
        if len(node.sources) == 1:
            return boxes[node.sources[0]]
        parts = [boxes[source] for source in node.sources]
        return Box(np.concatenate([b.lower for b in parts], -1), np.concatenate([b.upper for b in parts], -1))

    def split(self, node: Node, a: FloatArray) -> list[tuple[str, FloatArray]]:
        """Coefficients of what a node takes, (..., size), as those of each of its sources."""
        if len(node.sources) == 1:
            return [(node.sources[0], a)]
        ends = np.cumsum([self.size(source) for source in node.sources])[:-1]
        return list(zip(node.sources, np.split(a, ends, axis=-1)))

    def _stage_name(self, pre: str) -> str:
        """A pre-activation is named by the layer that holds its weights: a bias added apart does not name it."""
        node = self.by_name.get(pre)
        while (
            node is not None
            and isinstance(node.layer, AffineLayer)
            and len(node.sources) == 1
            and node.source != INPUT
            and node.layer.kind not in ("affine", "conv")
        ):
            source = self.by_name[node.source]
            if not isinstance(source.layer, AffineLayer):
                break
            node = source
        return pre if node is None else node.name

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The hidden stages, then the output layer."""
        output = self.by_name[self.output]
        if elementwise(output.layer):
            return self.hidden
        last = Stage(len(self.hidden), self._stage_name(self.output), self.output, None, self.output_size)
        return (*self.hidden, last)

    @property
    def neurons(self) -> int:
        """Number of hidden neurons: elements that an activation is applied to."""
        return sum(stage.size for stage in self.hidden)

    def activation(self, stage: Stage) -> Activation:
        """The activation of a hidden stage."""
        return self._activations[stage.index]

    @cached_property
    def _activations(self) -> tuple[Activation, ...]:
        layers = (self.by_name[str(stage.activation)].layer for stage in self.hidden)
        return tuple(layer for layer in layers if elementwise(layer))

    def values(self, x: FloatArray, until: str | Collection[str] | None = None) -> dict[str, FloatArray]:
        """Values of all nodes that `until` (default: the output) depends on, for a batch (m, input_size)."""
        batch = self.batch(x)
        held = {INPUT: batch}
        for node in self.cone(until or self.output):
            held[node.name] = node.layer(self.gather(node, held))
        return held

    def exact_values(self, x: ExactArray, until: str | None = None) -> dict[str, ExactArray]:
        """Values of all nodes for one flat point in exact rational arithmetic (see `reludsl.exact`)."""
        held = {INPUT: x}
        for node in self.cone(until or self.output):
            held[node.name] = node.layer.exact(self.gather(node, held))
        return held

    def gradient(self, values: Mapping[str, FloatArray], target: str, rows: FloatArray) -> FloatArray:
        """Gradient of `rows[k] . value(target)` with respect to the k-th input: (m, size) -> (m, input_size).

        Args:
            values: of a forward pass of m inputs up to `target` (see `values`).
        """
        pending = {target: rows}
        for node in reversed(self.cone(target)):
            if node.name not in pending:
                continue
            a = pending.pop(node.name)
            given = self.gather(node, values) if not isinstance(node.layer, AffineLayer) else a
            for source, part in self.split(node, node.layer.pull(given, a)):
                pending[source] = pending[source] + part if source in pending else part
        return pending.get(INPUT, np.zeros((len(rows), self.input_size)))

    def batch(self, x: FloatArray) -> FloatArray:
        """A point or a batch, flat: (m, input_size).

        Raises:
            InvalidInput: the shape fits neither a point nor a batch of them.
        """
        array = np.asarray(x, dtype=np.float64)
        size = self.input_size
        if array.shape == tuple(self.input_shape):
            return array.reshape(1, size)
        if (
            array.ndim >= 1
            and array.size % size == 0
            and (array.shape[1:] == tuple(self.input_shape) or (array.shape[-1] == size and array.ndim <= 2))
        ):
            return array.reshape(-1, size)
        raise InvalidInput(
            f"an input of shape {array.shape} does not fit a network with input shape {tuple(self.input_shape)}; "
            f"give one point of that shape, or a batch (m, {size})"
        )

    def _is_point(self, x: FloatArray) -> bool:
        # a leading 1 is the batch axis of a file: (1, n) is a batch of one point
        shape, own = np.shape(x), tuple(self.input_shape)
        return shape == (self.input_size,) or (shape == own and own[0] != 1)

    @overload
    def __call__(self, x: FloatArray) -> FloatArray: ...
    @overload
    def __call__(self, x: Expr) -> Expr: ...
    def __call__(self, x: Any) -> Any:
        """Output for a point (input shape or flat) or a batch; for an expression, the output as an expression.

        A point gives a flat vector (output_size,), a batch gives (m, output_size).
        """
        if hasattr(x, "through"):
            return self.trace(x).output
        out = self.values(x)[self.output]
        return out[0] if self._is_point(x) else out

    @overload
    def trace(self, x: FloatArray) -> Trace: ...
    @overload
    def trace(self, x: Expr) -> SymbolicTrace: ...
    def trace(self, x: Any) -> Any:
        """All pre-activations, post-activations and activity (z > 0 side of the first break) of a batch, or symbols."""
        if hasattr(x, "through"):
            return x.through(self)
        held = self.values(x)
        pre = tuple(held[s.pre] for s in self.hidden)
        post = tuple(held[str(s.activation)] for s in self.hidden)
        pattern = tuple(self.activation(s).piece(z) for s, z in zip(self.hidden, pre))
        active = tuple(piece > 0 for piece in pattern)
        cone = self.cone(self.output)
        maxima = {n.name: n.layer.piece(self.gather(n, held)) for n in cone if isinstance(n.layer, MaxLayer)}
        return Trace(pre, post, active, pattern, maxima, held[self.output])

    def check_domain(self, domain: Domain | Space) -> None:
        """Raise unless the domain has as many coordinates as the input.

        Raises:
            InvalidInput: with both numbers.
        """
        if domain.size != self.input_size:
            raise InvalidInput(
                f"the domain has {domain.size} coordinates and the network {self.input_size} inputs; "
                f"give a domain over {self.input_size} coordinates"
            )
