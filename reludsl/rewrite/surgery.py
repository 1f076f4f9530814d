"""Taking elements out of a network's graph: what computes them shrinks, and what listens to them does without.

Elements that are constant are followed through pools, reshapes, concatenations and activations to the layers that can
take them into a bias. Where one cannot (a sum of branches, the output), the whole vector is put together again in
front of it, so that every network can be cut anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.layers import Affine, AffineLayer, Gather, Layer, Reshape, Shape, Shift, Sum
from reludsl.network import INPUT, Network, Node, joined_shape
from reludsl.rewrite.base import FRESH, NeuronMap, Rewritten
from reludsl.rewrite.narrow import Gone, smaller_shape, without_inputs, without_outputs


@dataclass(frozen=True, slots=True, eq=False)
class _Lost:
    """A value that has lost elements: its shape as it was, which elements stay, and the values of the others."""

    shape: Shape
    keep: BoolArray
    value: FloatArray


class Surgery:
    """A network while it is cut. Names stay, so that what is known of a layer stays known.

    Args:
        dtype: of the file, to which new weights are rounded.
    """

    def __init__(self, network: Network, dtype: np.dtype[np.floating]) -> None:
        self.network, self.dtype = network, dtype
        self.output = network.output
        self.nodes: dict[str, Node] = {node.name: node for node in network.cone(network.output)}
        self.shapes: dict[str, Shape] = dict(network.shapes)
        self.elements = dict(NeuronMap.identity(network).elements)

    def done(self) -> Rewritten:
        """The network, and where its neurons stood."""
        nodes = self._ordered()
        network = Network(tuple(nodes), self.network.input_shape, self.output, self.network.input_box)
        pieced = [n.name for n in network.cone(network.output) if not isinstance(n.layer, AffineLayer)]
        hidden = tuple(str(stage.activation) for stage in self.network.hidden)
        return Rewritten(network, NeuronMap(hidden, {name: self.elements[name] for name in pieced}))

    def _ordered(self) -> list[Node]:
        """What the output depends on, sources first, in the order of the network before where that allows it."""
        done: dict[str, Node] = {}
        stack = [(self.output, False)]
        while stack:
            name, ready = stack.pop()
            if name == INPUT or name in done:
                continue
            if ready:
                done[name] = self.nodes[name]
                continue
            stack.append((name, True))
            stack.extend((source, False) for source in reversed(self.nodes[name].sources))
        return list(done.values())

    def listeners(self, name: str) -> list[Node]:
        """The nodes that take a value, as the graph stands."""
        return [node for node in self.nodes.values() if name in node.sources]

    def size(self, name: str) -> int:
        return math.prod(self.shapes[name])

    def put(self, name: str, layer: Layer, *sources: str) -> str:
        """A node under this name, new or in the place of another, with the shape that follows."""
        self.nodes[name] = Node(name, layer, *sources)
        self.shapes[name] = layer.output_shape(joined_shape([self.shapes[s] for s in sources]))
        return name

    def fresh(self, wanted: str) -> str:
        """A name that is not taken."""
        name, count = wanted, 1
        while name in self.nodes or name == INPUT:
            count += 1
            name = f"{wanted}_{count}"
        return name

    def rewire(self, old: str, new: str, only: Sequence[str] | None = None) -> None:
        """Make the listeners of a value (or some of them) take another."""
        for node in self.listeners(old):
            if node.name != new and (only is None or node.name in only):
                self.nodes[node.name] = Node(
                    node.name, node.layer, *(new if source == old else source for source in node.sources)
                )
        if old == self.output and only is None:
            self.output = new

    # --- upstream ---------------------------------------------------------------------------------------------

    def narrowed(self, name: str, keep: BoolArray, listener: str) -> str:
        """A value with only some of its elements, for one listener: its layer shrinks where nobody else listens."""
        if keep.all():
            return name
        alone = name != INPUT and name != self.output and [n.name for n in self.listeners(name)] == [listener]
        if alone:
            node = self.nodes[name]
            source = without_outputs(node.layer, keep, self.shapes[name])
            if source is not None:
                sources = list(node.sources)
                if source.needs is not None:
                    ends = np.cumsum([self.size(s) for s in node.sources])[:-1]
                    needs = dict(zip(node.sources, np.split(source.needs, ends)))
                    # a tensor that is added to itself shrinks once
                    smaller = {s: self.narrowed(s, part, name) for s, part in needs.items()}
                    sources = [smaller[s] for s in node.sources]
                return self.put(name, source.layer, *sources)
        shape = smaller_shape(self.shapes[name], keep) or (1, int(keep.sum()))
        layer = Gather(np.flatnonzero(keep), keep.size, shape, "select")
        return self.put(self.fresh(f"{listener}.of"), layer, name)

    # --- downstream -------------------------------------------------------------------------------------------

    def drop(self, name: str, keep: BoolArray, value: FloatArray) -> None:
        """Take elements out of an activation's value that are constant, or that nobody uses.

        Args:
            keep: (n,) False for those that go; at least one stays.
            value: (n,) what they are.
        """
        full = self.shapes[name]
        self.shrink(name, keep)
        self._follow({name: _Lost(full, keep, value)})

    def shrink(self, name: str, keep: BoolArray) -> None:
        """An activation with some of its elements; who listens to it is not told."""
        node = self.nodes[name]
        taken = without_inputs(node.layer, Gone(keep, np.zeros(keep.size), self.shapes[node.source], self.dtype))
        assert taken is not None
        self.elements[name] = self.elements[name][keep]
        self.put(name, taken.layer, self.narrowed(node.source, keep, name))

    def _follow(self, lost: dict[str, _Lost]) -> None:
        """Tell all that follows from values which have lost elements to do without them, each layer once."""
        whole: dict[str, str] = {}
        for node in self._ordered():
            affected = [s for s in dict.fromkeys(node.sources) if s in lost]
            if not affected or node.name in lost:
                continue
            taken = without_inputs(node.layer, self._gone(node, lost))
            if taken is None:
                for source in affected:
                    whole[source] = whole.get(source) or self._restored(source, lost[source])
                    self.rewire(source, whole[source], [node.name])
                continue
            before = self.shapes[node.name]
            self.put(node.name, taken.layer, *node.sources)
            if taken.keep is not None and not taken.keep.all():
                assert taken.value is not None
                if node.name in self.elements:
                    self.elements[node.name] = self.elements[node.name][taken.keep]
                lost[node.name] = _Lost(before, taken.keep, taken.value)
        if self.output in lost:
            output = self.output
            self.output = whole.get(output) or self._restored(output, lost[output])

    def _gone(self, node: Node, lost: Mapping[str, _Lost]) -> Gone:
        """What a node takes, as it was before its sources lost anything."""
        parts = [
            lost.get(s) or _Lost(self.shapes[s], np.ones(self.size(s), dtype=np.bool_), np.zeros(self.size(s)))
            for s in node.sources
        ]
        return Gone(
            np.concatenate([part.keep for part in parts]),
            np.concatenate([np.where(part.keep, 0.0, part.value) for part in parts]),
            joined_shape([part.shape for part in parts]),
            self.dtype,
        )

    def _restored(self, name: str, lost: _Lost) -> str:
        """The whole vector again, with the constants in their places."""
        full, keep, value = lost.shape, lost.keep, lost.value
        gone = value[~keep]
        alike = bool((gone == gone[0]).all())
        index = np.where(keep, np.cumsum(keep) - 1, -1)
        layer = Gather(index, int(keep.sum()), full, "restore", float(gone[0]) if alike else 0.0)
        whole = self.put(self.fresh(f"{name}.whole"), layer, name)
        if alike:
            return whole
        return self.put(self.fresh(f"{name}.constants"), Shift(np.where(keep, 0.0, value)), whole)

    # --- constants --------------------------------------------------------------------------------------------

    def constant(self, name: str, value: FloatArray) -> None:
        """Make a whole value constant: what follows from it alone is constant too, what it meets is shifted by it."""
        known = {name: value}
        for node in self._ordered():
            if not any(s in known for s in node.sources) or node.name == name:
                continue
            if all(s in known for s in node.sources):
                given = np.concatenate([known[s] for s in node.sources])
                known[node.name] = node.layer(given[None, :])[0]
            else:
                self._meets(node, known)
        if self.output in known:
            self.elements.pop(self.output, None)
            self._constant_node(self.output, known[self.output], self.shapes[self.output])

    def _meets(self, node: Node, known: Mapping[str, FloatArray]) -> None:
        """A layer of which some sources are constant."""
        layer = node.layer
        rest = [s for s in node.sources if s not in known]
        if isinstance(layer, Sum):
            pairs = list(zip(layer.signs, node.sources))
            shift = np.sum([sign * known[s] for sign, s in pairs if s in known], axis=0)
            signs = tuple(sign for sign, s in pairs if s not in known)
            inner = rest[0] if signs == (1,) else self.put(self.fresh(f"{node.name}.rest"), Sum(signs), *rest)
            self.put(node.name, Shift(shift), inner)
        elif isinstance(layer, Gather):
            here = np.concatenate([np.full(self.size(s), s not in known) for s in node.sources])
            values = np.concatenate([known.get(s, np.zeros(self.size(s))) for s in node.sources])
            taken = np.maximum(layer.index, 0)
            stays = (layer.index >= 0) & here[taken]
            shift = np.where(layer.index < 0, layer.fill, np.where(stays, 0.0, values[taken]))
            index = np.where(stays, (np.cumsum(here) - 1)[taken], -1)
            smaller = Gather(index, int(here.sum()), layer.shape, layer.name)
            self.put(node.name, Shift(shift), self.put(self.fresh(f"{node.name}.rest"), smaller, *rest))
        else:
            for s in dict.fromkeys(node.sources):
                if s in known:
                    held = self._constant_node(self.fresh(f"{s}.constant"), known[s], self.shapes[s])
                    self.rewire(s, held, [node.name])

    def _constant_node(self, name: str, value: FloatArray, shape: Shape) -> str:
        """A node of a constant value: no weights on the input."""
        source, size, given = INPUT, self.network.input_size, self.shapes[INPUT]
        if len(given) > 2 or math.prod(given[:-1]) != 1:
            source = self.put(self.fresh(f"{name}.input"), Reshape((1, size)), INPUT)
        offset = np.asarray(value, dtype=self.dtype).astype(np.float64)
        layer = Affine(sparse.csr_array((value.size, size)), offset)
        if layer.output_shape(self.shapes[source]) == shape:
            return self.put(name, layer, source)
        return self.put(name, Reshape(shape), self.put(self.fresh(f"{name}.value"), layer, source))

    # --- neurons that were not there ----------------------------------------------------------------------------

    def replaced(self, name: str, keep: IntArray, new: int) -> None:
        """Note that an activation holds some of its elements, in order, and then new ones."""
        self.elements[name] = np.concatenate([self.elements[name][keep], np.full(new, FRESH)])
