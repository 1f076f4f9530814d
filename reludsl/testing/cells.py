"""Cells of inputs on which every neuron and every max unit so far keeps to one piece, exactly: rational arithmetic.

On such a cell everything is affine. It is held as its vertices alone, each with the values of all nodes that later ones
take. A node maps the values; a break that runs through the cell, or a tie between two inputs of a maximum, cuts it in
two (new vertices by interpolation along the edges), depth first. Meant for a few inputs and about ten units: there is a
cell for every linear region.

Two vertices are joined by an edge when no third one is tight on all the faces that the two share (Fukuda and
Prodon 1996, Double description method revisited); this holds for flat cells too.

A vertex is a point x, or the pair (x, t) that stands for x / t. With all of x in [-1, 1] and t in [0, 1] such pairs
cover R^n, and t = 0 its directions: multiplied by t, the network and its breaks are piecewise linear in (x, t).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import sparse

from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.layers import Activation, AffineLayer, MaxLayer
from reludsl.network import INPUT, Network, Node

Numbers = tuple[Fraction, ...]


@dataclass(frozen=True, slots=True)
class Vertex:
    """A corner of a cell: values there of the nodes that are still needed, and the faces that it lies on.

    Args:
        scale: t, which all values are multiplied by.
    """

    values: Mapping[str, Numbers]
    faces: frozenset[int]
    scale: Fraction = Fraction(1)

    def between(self, other: Vertex, way: Fraction, faces: frozenset[int]) -> Vertex:
        """A point on the way from this corner to the other: all nodes are affine on the cell."""
        values = {
            name: tuple(x + way * (y - x) for x, y in zip(mine, other.values[name]))
            for name, mine in self.values.items()
        }
        return Vertex(values, faces, self.scale + way * (other.scale - self.scale))


@dataclass(frozen=True, slots=True)
class Cell:
    vertices: tuple[Vertex, ...]

    def range(self, name: str, k: int) -> tuple[Fraction, Fraction]:
        """Least and largest value of element k of a node."""
        column = [v.values[name][k] for v in self.vertices]
        return min(column), max(column)

    def cut(self, heights: list[Fraction], face: int) -> Cell:
        """The part where an affine function, given at the vertices, is at most 0."""
        kept = [
            Vertex(v.values, v.faces | {face}, v.scale) if h == 0 else v
            for v, h in zip(self.vertices, heights)
            if h <= 0
        ]
        inside = [i for i, h in enumerate(heights) if h < 0]
        outside = [i for i, h in enumerate(heights) if h > 0]
        for i, j in itertools.product(inside, outside):
            a, b = self.vertices[i], self.vertices[j]
            shared = a.faces & b.faces
            if any(shared <= v.faces for k, v in enumerate(self.vertices) if k not in (i, j)):
                continue
            kept.append(a.between(b, heights[i] / (heights[i] - heights[j]), shared | {face}))
        return Cell(tuple(kept))

    def on(self, face: int) -> Cell:
        """The part of the cell in a face."""
        return Cell(tuple(v for v in self.vertices if face in v.faces))

    @property
    def around(self) -> frozenset[int]:
        """The faces that hold all of the cell: one for every dimension that ties have cost it."""
        return frozenset.intersection(*(v.faces for v in self.vertices))

    def faces(self) -> Iterator[Cell]:
        """The cell, its facets, and the faces of those, down to the corners."""
        whole = frozenset(range(len(self.vertices)))
        names = frozenset().union(*(v.faces for v in self.vertices))
        facets = [frozenset(k for k in whole if name in self.vertices[k].faces) for name in names]
        found, fresh = {whole}, {whole}
        while fresh:
            fresh = {part & facet for part in fresh for facet in facets} - found - {frozenset[int]()}
            found |= fresh
        return (Cell(tuple(self.vertices[k] for k in sorted(part))) for part in found)

    @property
    def centre(self) -> Numbers:
        """A point x in the relative interior."""
        total = [sum(column, Fraction(0)) for column in zip(*(v.values[INPUT] for v in self.vertices))]
        scale = sum((v.scale for v in self.vertices), Fraction(0))
        return tuple(x / scale for x in total)


def as_array(values: Numbers) -> ExactArray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


class Walk:
    """Cells on their way through some nodes of a network, each of which comes after what it takes.

    Args:
        faces: numbers for the faces of cells.
        ties: where a break or a tie cuts a cell, also what lies in the cut is a cell, of a dimension less. The relative
            interiors of all cells then make up that of the first, and a neuron on its break in one point of them is
            on it in all of them.
    """

    def __init__(self, network: Network, nodes: tuple[Node, ...], faces: Iterator[int], ties: bool = False) -> None:
        self.network, self.nodes, self.faces, self.ties = network, nodes, faces, ties
        self.needed = [{INPUT, *(s for node in nodes[k:] for s in node.sources)} for k in range(len(nodes) + 1)]
        self.affine: dict[str, list[tuple[list[tuple[int, Fraction]], Fraction]]] = {}

    def cells(self, at: int, cell: Cell) -> Iterator[tuple[str, Cell]]:
        """Every cell after every node from `nodes[at]` on, depth first."""
        if at == len(self.nodes):
            return
        node = self.nodes[at]
        for part in self._pieces(node, cell):
            mapped = Cell(tuple(Vertex(self._passed(at, v), v.faces, v.scale) for v in part.vertices))
            yield node.name, mapped
            yield from self.cells(at + 1, mapped)

    def last(self, start: Cell) -> Iterator[Cell]:
        """Every cell after all nodes."""
        return (cell for name, cell in self.cells(0, start) if name == self.nodes[-1].name)

    def _passed(self, at: int, vertex: Vertex) -> dict[str, Numbers]:
        """The values at a corner after a node that is affine on its cell, without those that nothing takes any
        more, other than the input."""
        node = self.nodes[at]
        kept = {name: values for name, values in vertex.values.items() if name in self.needed[at + 1]}
        return {**kept, node.name: self.value(node, _given(node, vertex), vertex.scale)}

    def value(self, node: Node, x: Numbers, scale: Fraction) -> Numbers:
        """scale f(x / scale), or its limit for the scale 0: W x of an affine layer."""
        layer = node.layer
        if not (isinstance(layer, AffineLayer) and layer.exact_rows):
            if scale:
                return tuple((layer.exact(as_array(x) / scale) * scale).tolist())
            if isinstance(layer, Activation):
                first, *_, last = layer.slopes_at(len(x)).tolist()
                return tuple(z * Fraction(b if z > 0 else a) for z, a, b in zip(x, first, last))
            return tuple((layer.exact(as_array(x)) - layer.exact(as_array(x) * 0)).tolist())
        if node.name not in self.affine:
            matrix = sparse.csr_array(layer.rows(len(x)))
            bias = np.broadcast_to(layer.bias, (matrix.shape[0],)).tolist()
            data, column, start = matrix.data.tolist(), matrix.indices.tolist(), matrix.indptr.tolist()
            self.affine[node.name] = [
                ([(column[i], Fraction(data[i])) for i in range(a, b)], Fraction(c))
                for a, b, c in zip(start, start[1:], bias)
            ]
        return tuple(sum((w * x[i] for i, w in row if x[i]), c * scale) for row, c in self.affine[node.name])

    def _pieces(self, node: Node, cell: Cell) -> Iterator[Cell]:
        """Parts of the cell on which the node is affine."""
        layer = node.layer
        size = sum(self.network.size(source) for source in node.sources)
        if isinstance(layer, Activation):
            yield from self._between(node, cell, breaks_of(layer, size), 0, 0)
        elif isinstance(layer, MaxLayer):
            yield from self._largest(node, cell, [list(dict.fromkeys(w)) for w in layer.windows.tolist()], 0, 0, 1)
        elif isinstance(layer, AffineLayer):
            yield cell
        else:
            raise InvalidInput(
                f"the oracle does not know the pieces of a {type(layer).__name__}; it takes affine layers, "
                "activations and maxima"
            )

    def _sides(self, cell: Cell, heights: list[Fraction]) -> Iterator[tuple[Cell, bool]]:
        """Parts on which an affine function, given at the vertices, is not positive, and whether it is positive."""
        if not min(heights) < 0 < max(heights):
            yield cell, max(heights) > 0
            return
        face = next(self.faces)
        below = cell.cut(heights, face)
        yield below, False
        if self.ties:
            yield below.on(face), False
        yield cell.cut([-h for h in heights], face), True

    def _between(self, node: Node, cell: Cell, breaks: Sequence[Numbers], k: int, piece: int) -> Iterator[Cell]:
        """Parts on which every element from k on lies between two neighbouring breaks of its own.

        Args:
            piece: element k lies beyond so many of its breaks.
        """
        if k == len(breaks):
            yield cell
        elif piece == len(breaks[k]):
            yield from self._between(node, cell, breaks, k + 1, 0)
        else:
            heights = [_given(node, v)[k] - breaks[k][piece] * v.scale for v in cell.vertices]
            for part, beyond in self._sides(cell, heights):
                yield from self._between(node, part, breaks, *((k, piece + 1) if beyond else (k + 1, 0)))

    def _largest(
        self, node: Node, cell: Cell, windows: Sequence[Sequence[int]], k: int, best: int, other: int
    ) -> Iterator[Cell]:
        """Parts on which every window from k on has one largest input.

        Args:
            best, other: places in window k; `best` holds the largest of those before `other`.
        """
        while k < len(windows) and other >= len(windows[k]):
            k, best, other = k + 1, 0, 1
        if k == len(windows):
            yield cell
            return
        first, second = windows[k][best], windows[k][other]
        given = [_given(node, v) for v in cell.vertices]
        for part, larger in self._sides(cell, [x[second] - x[first] for x in given]):
            yield from self._largest(node, part, windows, k, other if larger else best, other + 1)


def _given(node: Node, vertex: Vertex) -> Numbers:
    """What a node takes at a corner: the values of its sources, one after the other."""
    if len(node.sources) == 1:
        return vertex.values[node.sources[0]]
    return tuple(itertools.chain.from_iterable(vertex.values[source] for source in node.sources))


def breaks_of(activation: Activation, size: int) -> list[Numbers]:
    """The breaks of every element."""
    return [tuple(Fraction(b) for b in column) for column in activation.breaks_at(size).T.tolist()]


def whole_space(size: int, faces: Iterator[int]) -> Cell:
    """R^n as the pairs (x, t) with x in [-1, 1]^n and t in [0, 1]."""
    cube = _cube([-1] * size + [0], [1] * (size + 1), faces)
    return Cell(tuple(Vertex({INPUT: v.values[INPUT][:-1]}, v.faces, v.values[INPUT][-1]) for v in cube.vertices))


def cell_of(domain: Domain, faces: Iterator[int]) -> Cell:
    """The domain as its vertices, exactly."""
    match domain:
        case Box():
            return _cube(domain.lower.ravel().tolist(), domain.upper.ravel().tolist(), faces)
        case Polytope():
            cell = _cube(domain.box.lower.ravel().tolist(), domain.box.upper.ravel().tolist(), faces)
            rows = zip(domain.matrix.tolist(), domain.limit.tolist())
            return _within(cell, [([Fraction(a) for a in row], Fraction(d)) for row, d in rows], faces)
        case Ball():
            return _ball(domain, faces)
        case _:
            raise InvalidInput(
                f"the oracle has no vertices for a {type(domain).__name__}; give a Box, a Ball or a Polytope"
            )


def _cube(lower: Sequence[float | Fraction], upper: Sequence[float | Fraction], faces: Iterator[int]) -> Cell:
    """A box; a side without length has one corner that lies on both its faces."""
    corners: list[tuple[Numbers, frozenset[int]]] = [((), frozenset())]
    for low, high in zip([Fraction(v) for v in lower], [Fraction(v) for v in upper]):
        below, above = next(faces), next(faces)
        ends = [(low, {below}), (high, {above})] if low < high else [(low, {below, above})]
        corners = [((*x, value), faced | face) for x, faced in corners for value, face in ends]
    return Cell(tuple(Vertex({INPUT: x}, faced) for x, faced in corners))


def _ball(ball: Ball, faces: Iterator[int]) -> Cell:
    center, radius = [Fraction(c) for c in ball.center.tolist()], Fraction(ball.radius)
    n = len(center)
    low, high = tuple(c - radius for c in center), tuple(c + radius for c in center)
    if ball.clip is not None:
        a, b = (np.broadcast_to(np.asarray(side, dtype=np.float64).ravel(), n).tolist() for side in ball.clip)
        low = tuple(max(x, Fraction(y)) for x, y in zip(low, a))
        high = tuple(min(x, Fraction(y)) for x, y in zip(high, b))
    cell = _cube(low, high, faces)
    if ball.norm is Norm.LINF:
        return cell
    signs = itertools.product([Fraction(-1), Fraction(1)], repeat=n)
    rows = [(list(s), radius + sum((a * c for a, c in zip(s, center)), Fraction(0))) for s in signs]
    return _within(cell, rows, faces)


def _within(cell: Cell, rows: list[tuple[list[Fraction], Fraction]], faces: Iterator[int]) -> Cell:
    for row, limit in rows:
        heights = [sum((a * x for a, x in zip(row, v.values[INPUT])), Fraction(0)) - limit for v in cell.vertices]
        if max(heights) > 0:
            cell = cell.cut(heights, next(faces))
    return cell
