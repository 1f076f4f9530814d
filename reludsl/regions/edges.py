"""The units of a network, and what says that one is on a piece.

A unit is an element that an activation is applied to, or a maximum. Its *argument* is what its layer takes. An edge of
a piece is an affine function of the argument that is nonnegative there, and positive where the piece does not own the
points on it:

    z - b_p > 0  and  b_{p+1} - z >= 0         piece p of an activation: a break belongs to the piece on its left
    x_j - x_i > 0 (i < j),  >= 0 (i > j)       place j of a maximum: of inputs that tie the first is copied

so that every input is on one piece of every unit. The *pattern* of an input lists these pieces, unit after unit in the
order of the network's nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.bounds import Bounds
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray, exactly
from reludsl.layers import Activation, AffineLayer, MaxLayer, elementwise
from reludsl.network import Network, Node


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Where unit[k] of a layer is on piece[k], `rows[k] @ argument + offset[k]` is at least 0 (above 0 if strict).

    Shapes (e,), (e,), (e,), (e, size of the argument), (e,). Entries of `rows` are 1, -1 and 0.
    """

    unit: IntArray
    piece: IntArray
    strict: BoolArray
    rows: sparse.csr_array
    offset: FloatArray

    @property
    def size(self) -> int:
        return self.unit.size

    def take(self, which: IntArray | BoolArray) -> Edges:
        """Some of the edges."""
        return Edges(self.unit[which], self.piece[which], self.strict[which], self.rows[which], self.offset[which])

    def range(self, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Least and largest value over a box of the argument, rounded to nearest: the signs are exact.

        One subtraction at most is rounded, and a difference of floats has the sign of the exact one.
        """
        up, down = self.rows.maximum(0), self.rows.minimum(0)
        return up @ lower + down @ upper + self.offset, up @ upper + down @ lower + self.offset


@dataclass(frozen=True, slots=True, eq=False)
class UnitLayer:
    """The units of one node.

    Args:
        start: of its first unit among those of the network.
        proper: (size, pieces) False for places of a window that repeat an input.
    """

    node: Node
    start: int
    proper: BoolArray
    edges: Edges

    @property
    def size(self) -> int:
        return int(self.proper.shape[0])

    @property
    def pieces(self) -> int:
        return int(self.proper.shape[1])

    @property
    def units(self) -> slice:
        """Where its units stand in a pattern."""
        return slice(self.start, self.start + self.size)

    def piece(self, argument: FloatArray) -> IntArray:
        """The piece of each unit, as the float values have it: (m, size of the argument) -> (m, size)."""
        layer = self.node.layer
        assert isinstance(layer, MaxLayer) or elementwise(layer)
        return layer.piece(argument)

    def exact_piece(self, argument: ExactArray) -> IntArray:
        """The piece of each unit for one argument in rationals."""
        return np.array([int(np.flatnonzero(held)[0]) for held in self.holding(self.values(argument))])

    def values(self, argument: ExactArray) -> ExactArray:
        """The edges at one argument, or their forms over inputs (n + 1, size), in rationals."""
        rows = self.edges.rows
        signs, starts = exactly(rows.data), rows.indptr
        found = [
            argument[..., rows.indices[a:b]] @ signs[a:b] for a, b in zip(starts[:-1].tolist(), starts[1:].tolist())
        ]
        stacked = np.empty((self.edges.size, *argument.shape[:-1]), dtype=object)
        for k, value in enumerate(found):
            stacked[k] = value
        moved = np.moveaxis(stacked, 0, -1)
        offset = exactly(self.edges.offset)
        if moved.ndim == 1:
            return np.asarray(moved + offset)
        moved[-1] = moved[-1] + offset
        return np.asarray(moved)

    def holding(self, values: ExactArray) -> BoolArray:
        """(size, pieces) whether every edge of a piece holds at these values."""
        fine = np.array([v > 0 if strict else v >= 0 for v, strict in zip(values, self.edges.strict)], dtype=np.bool_)
        held = self.proper.copy()
        held[self.edges.unit[~fine], self.edges.piece[~fine]] = False
        return held

    def possible(self, bounds: Bounds) -> BoolArray:
        """(size, pieces) the pieces that proved bounds leave open.

        >>> from reludsl.bounds import interval
        >>> from reludsl.domain import Box
        >>> from reludsl.layers import Affine, relu
        >>> net = Network.chain([Affine(np.array([[1.0], [1.0]]), np.array([0.0, 3.0])), relu], (1,))
        >>> unit_layers(net)[0].possible(interval(net, Box([-1.0], [1.0]))).tolist()
        [[True, True], [False, True]]
        """
        box = bounds.network.around(self.node, bounds.boxes)
        _, most = self.edges.range(box.lower, box.upper)
        refuted = (most < 0) | (self.edges.strict & (most <= 0))
        left = self.proper.copy()
        left[self.edges.unit[refuted], self.edges.piece[refuted]] = False
        return left


def unit_layers(network: Network) -> tuple[UnitLayer, ...]:
    """The units of all nodes that the output depends on, in order.

    Raises:
        InvalidInput: a layer that is neither affine nor an activation nor a maximum: its pieces are unknown.

    >>> from reludsl.layers import Affine, Max, relu
    >>> pool = Max(np.array([[0, 1]]), 2, (1,))
    >>> net = Network.chain([Affine(np.eye(2), np.zeros(2)), relu, pool], (2,))
    >>> [(layer.node.name, layer.size, layer.pieces) for layer in unit_layers(net)]
    [('1_relu', 2, 2), ('2_max', 1, 2)]
    """
    found: list[UnitLayer] = []
    start = 0
    for node in network.cone(network.output):
        layer = node.layer
        if isinstance(layer, AffineLayer):
            continue
        if isinstance(layer, MaxLayer):
            made = _of_maximum(node, start, layer, sum(network.size(source) for source in node.sources))
        elif elementwise(layer):
            made = _of_activation(node, start, layer, network.size(node.name))
        else:
            raise InvalidInput(
                f"layer {node.name!r} is a {type(layer).__name__}, of which it is not known what its pieces are, so "
                "that its regions cannot be counted; write it with activations and maxima (MaxLayer)"
            )
        found.append(made)
        start += made.size
    return tuple(found)


def unit_count(layers: tuple[UnitLayer, ...]) -> int:
    """Number of units of some layers."""
    return sum(layer.size for layer in layers)


def patterns_at(layers: tuple[UnitLayer, ...], network: Network, values: Mapping[str, FloatArray]) -> IntArray:
    """The patterns that a forward pass shows: (m, units)."""
    m = len(next(iter(values.values())))
    pieces = [layer.piece(network.gather(layer.node, values)) for layer in layers]
    return np.concatenate([np.zeros((m, 0), dtype=np.int64), *pieces], axis=1).astype(np.int64)


def _of_activation(node: Node, start: int, layer: Activation, size: int) -> UnitLayer:
    breaks = layer.breaks_at(size)
    count = len(breaks)
    unit = np.tile(np.arange(size), count)
    at = np.repeat(np.arange(count), size)
    sign = np.concatenate([np.ones(unit.size), -np.ones(unit.size)])
    both = np.concatenate([unit, unit])
    rows = sparse.csr_array((sign, both, np.arange(both.size + 1)), shape=(both.size, size))
    edges = Edges(
        both,
        np.concatenate([at + 1, at]),
        sign > 0,
        rows,
        -sign * np.concatenate([breaks.ravel(), breaks.ravel()]),
    )
    return UnitLayer(node, start, np.ones((size, count + 1), dtype=np.bool_), edges)


def _of_maximum(node: Node, start: int, layer: MaxLayer, width: int) -> UnitLayer:
    windows = layer.windows
    size, places = windows.shape
    first = np.stack([~(windows[:, :j] == windows[:, j : j + 1]).any(axis=1) for j in range(places)], axis=1)
    unit, place, other = (
        index.ravel() for index in np.meshgrid(np.arange(size), np.arange(places), np.arange(places), indexing="ij")
    )
    kept = (place != other) & first[unit, place] & first[unit, other]
    unit, place, other = unit[kept], place[kept], other[kept]
    columns = np.stack([windows[unit, place], windows[unit, other]], axis=1).ravel()
    entries = np.tile([1.0, -1.0], unit.size)
    rows = sparse.csr_array((entries, columns, np.arange(0, entries.size + 1, 2)), shape=(unit.size, width))
    rows.sort_indices()
    return UnitLayer(node, start, first, Edges(unit, place, other < place, rows, np.zeros(unit.size)))
