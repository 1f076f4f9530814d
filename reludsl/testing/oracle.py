"""The extremes of every neuron, exactly: rational arithmetic, no bounds, no passes, no solver.

On a cell of inputs on which every neuron so far keeps to one piece, everything is affine, and its extremes
are at the cell's vertices. So a cell is held as its vertices alone, each with its values in the current
layer. A layer maps the values; a break that runs through the cell cuts it in two (new vertices by
interpolation along the edges), depth first. Meant for a few inputs and about ten neurons: there is a cell for
every linear region.

Two vertices are joined by an edge when no third one is tight on all the faces that the two share (Fukuda and
Prodon 1996, Double description method revisited); this holds for flat cells too.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reludsl.backend import IntArray
from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.layers import Activation
from reludsl.network import Network, Node, Stage

__all__ = ["extremes", "stability", "support"]

Numbers = tuple[Fraction, ...]


@dataclass(frozen=True, slots=True)
class _Vertex:
    """A corner of a cell: values of the current layer there, and the faces that it lies on."""

    values: Numbers
    faces: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Cell:
    vertices: tuple[_Vertex, ...]

    def range(self, k: int) -> tuple[Fraction, Fraction]:
        """Least and largest value of element k."""
        column = [v.values[k] for v in self.vertices]
        return min(column), max(column)

    def mapped(self, node: Node) -> _Cell:
        """The cell after a layer that is affine on it."""
        return _Cell(
            tuple(_Vertex(tuple(node.layer.exact(_object(v.values)).tolist()), v.faces) for v in self.vertices)
        )

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
            t = heights[i] / (heights[i] - heights[j])
            values = tuple(x + t * (y - x) for x, y in zip(a.values, b.values))
            kept.append(_Vertex(values, shared | {face}))
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
    return _ranges(network, domain, name)[name]


def stability(network: Network, domain: Domain, strict: bool = False) -> tuple[IntArray, ...]:
    """For every hidden stage the piece that each neuron stays on over the domain, -1 for an unstable one.

    Args:
        strict: an extreme on a break counts as unstable. Otherwise it does not, and a neuron that is
            constantly on a break stays on the piece on its left.
    """
    ranges = _ranges(network, domain, network.hidden[-1].pre) if network.hidden else {}
    found = []
    for stage in network.hidden:
        breaks = [Fraction(b) for b in network.activation(stage).breaks]
        pieces = []
        for low, high in zip(*ranges[stage.pre]):
            # breaks left of the whole range, and breaks that the range gets beyond
            first = sum(b < low if strict else b <= low for b in breaks)
            last = sum(b <= high if strict else b < high for b in breaks)
            pieces.append(-1 if first < last else last)
        found.append(np.array(pieces, dtype=np.int64))
    return tuple(found)


def support(domain: Domain, coefficients: Numbers) -> Fraction:
    """max of c x over the domain."""
    cell = _cell_of(domain, itertools.count())
    return max(sum((c * x for c, x in zip(coefficients, v.values)), Fraction(0)) for v in cell.vertices)


def _ranges(network: Network, domain: Domain, target: str) -> dict[str, tuple[ExactArray, ExactArray]]:
    """Extremes of the target and of everything on the way to it."""
    network.check_domain(domain)
    nodes = network.cone(target)
    faces = itertools.count()
    low: dict[str, list[Fraction]] = {}
    high: dict[str, list[Fraction]] = {}
    for name, cell in _cells(network, nodes, 0, _cell_of(domain, faces), faces):
        for k in range(len(cell.vertices[0].values)):
            least, most = cell.range(k)
            if k == len(low.setdefault(name, [])):
                low[name].append(least)
                high.setdefault(name, []).append(most)
            low[name][k], high[name][k] = min(low[name][k], least), max(high[name][k], most)
    return {name: (_object(tuple(low[name])), _object(tuple(high[name]))) for name in low}


def _cells(
    network: Network, nodes: tuple[Node, ...], at: int, cell: _Cell, faces: Iterator[int]
) -> Iterator[tuple[str, _Cell]]:
    """Every cell after every layer from `nodes[at]` on, depth first."""
    if at == len(nodes):
        return
    node = nodes[at]
    breaks = node.layer.breaks if isinstance(node.layer, Activation) else ()
    for piece in _split(cell, breaks, 0, faces):
        mapped = piece.mapped(node)
        yield node.name, mapped
        yield from _cells(network, nodes, at + 1, mapped, faces)


def _split(cell: _Cell, breaks: tuple[float, ...], k: int, faces: Iterator[int]) -> Iterator[_Cell]:
    """Cells on which every element from k on lies between two neighbouring breaks."""
    if k == len(cell.vertices[0].values):
        yield cell
        return
    for b in breaks:
        heights = [v.values[k] - Fraction(b) for v in cell.vertices]
        if min(heights) < 0 < max(heights):
            face = next(faces)
            yield from _split(cell.cut(heights, face), breaks, k + 1, faces)
            cell = cell.cut([-h for h in heights], face)
    yield from _split(cell, breaks, k + 1, faces)


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
    corners: list[_Vertex] = [_Vertex((), frozenset())]
    for low, high in zip([Fraction(v) for v in lower], [Fraction(v) for v in upper]):
        below, above = next(faces), next(faces)
        ends = [(low, {below}), (high, {above})] if low < high else [(low, {below, above})]
        corners = [_Vertex((*c.values, value), c.faces | face) for c in corners for value, face in ends]
    return _Cell(tuple(corners))


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
        heights = [sum((a * x for a, x in zip(row, v.values)), Fraction(0)) - limit for v in cell.vertices]
        if max(heights) > 0:
            cell = cell.cut(heights, next(faces))
    return cell
