"""The extremes of every neuron, exactly: rational arithmetic, no bounds, no passes, no solver.

On a cell of inputs on which every neuron and every max unit so far keeps to one piece, everything is affine, and
its extremes are at the cell's vertices. So a cell is held as its vertices alone, each with the values of all nodes
that later ones take. A node maps the values; a break that runs through the cell, or a tie between two inputs of a
maximum, cuts it in two (new vertices by interpolation along the edges), depth first. Meant for a few inputs and
about ten units: there is a cell for every linear region.

Two vertices are joined by an edge when no third one is tight on all the faces that the two share (Fukuda and
Prodon 1996, Double description method revisited); this holds for flat cells too.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import sparse

from reludsl.backend import IntArray
from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.layers import Activation, AffineLayer, MaxLayer
from reludsl.network import INPUT, Network, Node, Stage

__all__ = ["extremes", "stability", "support"]

Numbers = tuple[Fraction, ...]


@dataclass(frozen=True, slots=True)
class _Vertex:
    """A corner of a cell: values there of the nodes that are still needed, and the faces that it lies on."""

    values: Mapping[str, Numbers]
    faces: frozenset[int]

    def between(self, other: _Vertex, t: Fraction) -> dict[str, Numbers]:
        """What every node has on the way from this corner to the other: all of them are affine on the cell."""
        return {
            name: tuple(x + t * (y - x) for x, y in zip(mine, other.values[name])) for name, mine in self.values.items()
        }


@dataclass(frozen=True, slots=True)
class _Cell:
    vertices: tuple[_Vertex, ...]

    def range(self, name: str, k: int) -> tuple[Fraction, Fraction]:
        """Least and largest value of element k of a node."""
        column = [v.values[name][k] for v in self.vertices]
        return min(column), max(column)

    def cut(self, heights: list[Fraction], face: int) -> _Cell:
        """The part where an affine function, given at the vertices, is at most 0."""
        kept = [_Vertex(v.values, v.faces | {face}) if h == 0 else v for v, h in zip(self.vertices, heights) if h <= 0]
        inside = [i for i, h in enumerate(heights) if h < 0]
        outside = [i for i, h in enumerate(heights) if h > 0]
        for i, j in itertools.product(inside, outside):
            a, b = self.vertices[i], self.vertices[j]
            shared = a.faces & b.faces
            if any(shared <= v.faces for k, v in enumerate(self.vertices) if k not in (i, j)):
                continue
            kept.append(_Vertex(a.between(b, heights[i] / (heights[i] - heights[j])), shared | {face}))
        return _Cell(tuple(kept))


def _object(values: Numbers) -> ExactArray:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def extremes(network: Network, domain: Domain, target: str | Stage | None = None) -> tuple[ExactArray, ExactArray]:
    """Smallest and largest value over the domain of every element of a node, as Fractions.

    Args:
        domain: any of `reludsl.domain`, taken exactly as it is defined.
        target: a node, or a stage (its pre-activations); the output by default.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[2.0], [1.0]]), np.array([-1.0, -0.5])), relu,
    ...                      Affine(np.array([[1.0, -2.0]]), np.array([-0.25]))], (1,))
    >>> extremes(net, Box([0.0], [1.0]))
    (array([Fraction(-1, 4)], dtype=object), array([Fraction(-1, 4)], dtype=object))
    """
    name = target.pre if isinstance(target, Stage) else target or network.output
    return _ranges(network, domain, [name])[name]


def stability(network: Network, domain: Domain, strict: bool = False) -> tuple[IntArray, ...]:
    """For every hidden stage the piece that each neuron stays on over the domain, -1 for an unstable one.

    Args:
        strict: an extreme on a break counts as unstable. Otherwise it does not, and a neuron that is
            constantly on a break stays on the piece on its left.
    """
    ranges = _ranges(network, domain, [stage.pre for stage in network.hidden])
    found = []
    for stage in network.hidden:
        pieces = []
        for breaks, low, high in zip(_breaks(network.activation(stage), stage.size), *ranges[stage.pre]):
            # breaks left of the whole range, and breaks that the range gets beyond
            first = sum(b < low if strict else b <= low for b in breaks)
            last = sum(b <= high if strict else b < high for b in breaks)
            pieces.append(-1 if first < last else last)
        found.append(np.array(pieces, dtype=np.int64))
    return tuple(found)


def support(domain: Domain, coefficients: Numbers) -> Fraction:
    """max of c x over the domain."""
    cell = _cell_of(domain, itertools.count())
    return max(sum((c * x for c, x in zip(coefficients, v.values[INPUT])), Fraction(0)) for v in cell.vertices)


def _ranges(network: Network, domain: Domain, targets: Collection[str]) -> dict[str, tuple[ExactArray, ExactArray]]:
    """Extremes of the targets and of everything on the way to them."""
    network.check_domain(domain)
    faces = itertools.count()
    low: dict[str, list[Fraction]] = {}
    high: dict[str, list[Fraction]] = {}
    start = _cell_of(domain, faces)
    walk = _Walk(network, network.cone(targets), faces)
    for name, cell in itertools.chain([(INPUT, start)], walk.cells(0, start)):
        ends = [cell.range(name, k) for k in range(network.size(name))]
        low[name] = [min(a, b) for (a, _), b in zip(ends, low.get(name, [a for a, _ in ends]))]
        high[name] = [max(a, b) for (_, a), b in zip(ends, high.get(name, [a for _, a in ends]))]
    return {name: (_object(tuple(low[name])), _object(tuple(high[name]))) for name in low}


class _Walk:
    """Cells on their way through some nodes of a network, each of which comes after what it takes."""

    def __init__(self, network: Network, nodes: tuple[Node, ...], faces: Iterator[int]) -> None:
        self.network, self.nodes, self.faces = network, nodes, faces
        self.needed = [{s for node in nodes[k:] for s in node.sources} for k in range(len(nodes) + 1)]
        self.affine: dict[str, list[tuple[list[tuple[int, Fraction]], Fraction]]] = {}

    def cells(self, at: int, cell: _Cell) -> Iterator[tuple[str, _Cell]]:
        """Every cell after every node from `nodes[at]` on, depth first."""
        if at == len(self.nodes):
            return
        node = self.nodes[at]
        for part in self._pieces(node, cell):
            mapped = _Cell(tuple(_Vertex(self._passed(at, v), v.faces) for v in part.vertices))
            yield node.name, mapped
            yield from self.cells(at + 1, mapped)

    def _passed(self, at: int, vertex: _Vertex) -> dict[str, Numbers]:
        """The values at a corner after a node that is affine on its cell, without those that nothing takes any more."""
        node = self.nodes[at]
        kept = {name: values for name, values in vertex.values.items() if name in self.needed[at + 1]}
        return {**kept, node.name: self._value(node, _given(node, vertex))}

    def _value(self, node: Node, x: Numbers) -> Numbers:
        layer = node.layer
        if not (isinstance(layer, AffineLayer) and layer.exact_rows):
            return tuple(layer.exact(_object(x)).tolist())
        if node.name not in self.affine:
            matrix = sparse.csr_array(layer.rows(len(x)))
            bias = np.broadcast_to(layer.bias, (matrix.shape[0],)).tolist()
            data, column, start = matrix.data.tolist(), matrix.indices.tolist(), matrix.indptr.tolist()
            self.affine[node.name] = [
                ([(column[i], Fraction(data[i])) for i in range(a, b)], Fraction(c))
                for a, b, c in zip(start, start[1:], bias)
            ]
        return tuple(sum((w * x[i] for i, w in row), c) for row, c in self.affine[node.name])

    def _pieces(self, node: Node, cell: _Cell) -> Iterator[_Cell]:
        """Parts of the cell on which the node is affine."""
        layer = node.layer
        size = sum(self.network.size(source) for source in node.sources)
        if isinstance(layer, Activation):
            yield from self._between(node, cell, _breaks(layer, size), 0)
        elif isinstance(layer, MaxLayer):
            yield from self._largest(node, cell, [list(dict.fromkeys(w)) for w in layer.windows.tolist()], 0, 0, 1)
        elif isinstance(layer, AffineLayer):
            yield cell
        else:
            raise InvalidInput(
                f"the oracle does not know the pieces of a {type(layer).__name__}; it takes affine layers, "
                "activations and maxima"
            )

    def _between(self, node: Node, cell: _Cell, breaks: Sequence[Numbers], k: int) -> Iterator[_Cell]:
        """Parts on which every element from k on lies between two neighbouring breaks of its own."""
        if k == len(breaks):
            yield cell
            return
        for b in breaks[k]:
            heights = [_given(node, v)[k] - b for v in cell.vertices]
            if min(heights) < 0 < max(heights):
                face = next(self.faces)
                yield from self._between(node, cell.cut(heights, face), breaks, k + 1)
                cell = cell.cut([-h for h in heights], face)
        yield from self._between(node, cell, breaks, k + 1)

    def _largest(
        self, node: Node, cell: _Cell, windows: Sequence[Sequence[int]], k: int, best: int, other: int
    ) -> Iterator[_Cell]:
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
        heights = [x[second] - x[first] for x in given]
        if min(heights) < 0 < max(heights):
            face = next(self.faces)
            yield from self._largest(node, cell.cut(heights, face), windows, k, best, other + 1)
            yield from self._largest(node, cell.cut([-h for h in heights], face), windows, k, other, other + 1)
        else:
            yield from self._largest(node, cell, windows, k, best if max(heights) <= 0 else other, other + 1)


def _given(node: Node, vertex: _Vertex) -> Numbers:
    """What a node takes at a corner: the values of its sources, one after the other."""
    if len(node.sources) == 1:
        return vertex.values[node.sources[0]]
    return tuple(itertools.chain.from_iterable(vertex.values[source] for source in node.sources))


def _breaks(activation: Activation, size: int) -> list[Numbers]:
    """The breaks of every element."""
    return [tuple(Fraction(b) for b in column) for column in activation.breaks_at(size).T.tolist()]


def _cell_of(domain: Domain, faces: Iterator[int]) -> _Cell:
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


def _cube(lower: Sequence[float | Fraction], upper: Sequence[float | Fraction], faces: Iterator[int]) -> _Cell:
    """A box; a side without length has one corner that lies on both its faces."""
    corners: list[tuple[Numbers, frozenset[int]]] = [((), frozenset())]
    for low, high in zip([Fraction(v) for v in lower], [Fraction(v) for v in upper]):
        below, above = next(faces), next(faces)
        ends = [(low, {below}), (high, {above})] if low < high else [(low, {below, above})]
        corners = [((*x, value), faced | face) for x, faced in corners for value, face in ends]
    return _Cell(tuple(_Vertex({INPUT: x}, faced) for x, faced in corners))


def _ball(ball: Ball, faces: Iterator[int]) -> _Cell:
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


def _within(cell: _Cell, rows: list[tuple[list[Fraction], Fraction]], faces: Iterator[int]) -> _Cell:
    for row, limit in rows:
        heights = [sum((a * x for a, x in zip(row, v.values[INPUT])), Fraction(0)) - limit for v in cell.vertices]
        if max(heights) > 0:
            cell = cell.cut(heights, next(faces))
    return cell
