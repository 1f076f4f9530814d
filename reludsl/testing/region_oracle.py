"""The linear regions of a small network, exactly: rational arithmetic, no solver; for every definition of a region.

The cells of `reludsl.testing.cells` are the regions, together with what lies between them: of a neuron that meets its
break, its two sides and the break itself are cells. Each of them is then known by one point in it, and by what is next
to that point in a direction.

A pattern is the piece of every unit, node by node in the order of `network.cone(network.output)`: of each element of
an activation and of each unit of a maximum. As everywhere in reludsl a break belongs to the piece on its left, and a
maximum copies the first of those that tie.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import networkx as nx
import numpy as np

from reludsl.domain import Domain
from reludsl.exact import ExactArray, exactly
from reludsl.layers import Activation, MaxLayer
from reludsl.network import INPUT, Network
from reludsl.testing.cells import Cell, Numbers, Walk, as_array, breaks_of, cell_of, whole_space

__all__ = ["Counts", "Region", "counts", "regions"]

Pattern = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Where a network has one activation pattern, which makes it affine.

    Args:
        pattern: the piece of every unit.
        matrix, offset: output = matrix @ x + offset on the region, (outputs, inputs) and (outputs,).
        inside: a point in its relative interior, (inputs,).
    """

    pattern: Pattern
    matrix: ExactArray
    offset: ExactArray
    inside: ExactArray

    def key(self, start: Cell) -> tuple[Fraction, ...]:
        """Its map, equal for two regions whose maps agree on the domain that starts there."""
        corners = (self.matrix @ as_array(v.values[INPUT]) + self.offset for v in start.vertices)
        return tuple(itertools.chain.from_iterable(corner.tolist() for corner in corners))


class Counts(NamedTuple):
    """Numbers of linear regions by definition (Stargalla, Hertrich and Reichman, NeurIPS 2025).

    Args:
        activation: activation patterns of full-dimensional regions (R2).
        patterns: all nonempty activation patterns on the closed domain (R1).
        affine: affine maps on full-dimensional regions (R6).
        connected: open connected sets of one affine map, as large as can be (R4).
    """

    activation: int
    patterns: int
    affine: int
    connected: int


def regions(network: Network, domain: Domain | None = None, closed: bool = False) -> list[Region]:
    """The full-dimensional activation regions of a network on a domain, each once.

    Args:
        domain: a box, a ball or a polytope; R^n by default. Where it is flat, dimensions are those of the domain.
        closed: every nonempty activation pattern on the closed domain instead, with regions of any dimension.

    >>> from reludsl.domain import Box
    >>> from reludsl.networks import arrangement
    >>> net = arrangement([[1.0], [-1.0]], [0.0, 0.0])  # units x and -x
    >>> sorted(region.pattern for region in regions(net, Box([-1], [1])))
    [(0, 1), (1, 0)]
    >>> sorted(region.pattern for region in regions(net, Box([-1], [1]), closed=True))
    [(0, 0), (0, 1), (1, 0)]
    """
    walk, start = _prepared(network, domain, ties=closed)
    cells = walk.last(start)
    if closed:
        cells = itertools.chain(cells, _border(walk, start, domain))
    found = (_beside(walk, cell.centre) for cell in cells)
    return list({region.pattern: region for region in found}.values())


def counts(network: Network, domain: Domain | None = None) -> Counts:
    """How many regions there are, by four definitions.

    Args:
        domain: a box, a ball or a polytope; R^n by default. Where it is flat, dimensions are those of the domain.

    >>> from reludsl.networks import six_definitions
    >>> counts(six_definitions())
    Counts(activation=5, patterns=7, affine=3, connected=3)
    """
    walk, start = _prepared(network, domain, ties=True)
    maps: dict[Pattern, tuple[Fraction, ...]] = {}
    lower: set[Pattern] = set()
    walls: list[Numbers] = []
    for cell in walk.last(start):
        region = _beside(walk, cell.centre)
        lost = len(cell.around) - len(start.around)
        if lost == 0:
            maps[region.pattern] = region.key(start)
        else:
            lower.add(region.pattern)
        if lost == 1:
            walls.append(cell.centre)
    lower |= {_beside(walk, cell.centre).pattern for cell in _border(walk, start, domain)}
    graph: nx.Graph[Pattern] = nx.Graph()
    graph.add_nodes_from(maps)
    for wall in walls:
        for one, other in _across(walk, wall, start):
            if maps[one] == maps[other]:
                graph.add_edge(one, other)
    return Counts(len(maps), len(maps.keys() | lower), len(set(maps.values())), nx.number_connected_components(graph))


def _prepared(network: Network, domain: Domain | None, ties: bool) -> tuple[Walk, Cell]:
    faces = itertools.count()
    if domain is None:
        start = whole_space(network.input_size, faces)
    else:
        network.check_domain(domain)
        start = cell_of(domain, faces)
    return Walk(network, network.cone(network.output), faces, ties), start


def _border(walk: Walk, start: Cell, domain: Domain | None) -> Iterator[Cell]:
    """The cells of every face of a domain; R^n has none."""
    if domain is not None:
        for face in start.faces():
            yield from walk.last(face)


def _across(walk: Walk, wall: Numbers, start: Cell) -> Iterator[tuple[Pattern, Pattern]]:
    """The patterns on both sides of a wall between cells, given by a point in its relative interior.

    Next to the point the network is affine on either side. A direction in the wall, to some corners of the domain,
    shows no difference; and a tie below the largest input of a maximum makes a wall that has no two sides.
    """
    for corner in start.vertices:
        along = [x - corner.scale * at for x, at in zip(corner.values[INPUT], wall)]
        one, other = (_beside(walk, wall, tuple(sign * d for d in along)).pattern for sign in (1, -1))
        if one != other:
            yield one, other
            return


def _beside(walk: Walk, x: Numbers, along: Numbers | None = None) -> Region:
    """What the network is at x, or next to x in a direction."""
    network, one = walk.network, Fraction(1)
    n = network.input_size
    direction = as_array(along or (Fraction(0),) * n)
    held = {INPUT: as_array(x)}
    slope = {INPUT: exactly(np.eye(n))}
    pattern: list[int] = []
    for node in walk.nodes:
        z, rows = network.gather(node, held), np.concatenate([slope[source] for source in node.sources])
        held[node.name] = as_array(walk.value(node, tuple(z), one))
        here = list(zip(z.tolist(), (rows @ direction).tolist()))
        layer = node.layer
        if isinstance(layer, Activation):
            pieces = [sum((b, 0) < at for b in column) for column, at in zip(breaks_of(layer, len(here)), here)]
            steep = exactly(layer.slopes_at(len(here))[pieces, np.arange(len(here))])
            slope[node.name] = steep[:, None] * rows
            pattern += pieces
        elif isinstance(layer, MaxLayer):
            places = [max(range(len(w)), key=lambda k: here[w[k]]) for w in layer.windows.tolist()]
            slope[node.name] = rows[layer.windows[np.arange(len(places)), places]]
            pattern += places
        else:
            columns = [as_array(walk.value(node, tuple(column), one * 0)) for column in rows.T]
            slope[node.name] = np.stack(columns, axis=1)
    matrix = slope[network.output]
    return Region(tuple(pattern), matrix, held[network.output] - matrix @ as_array(x), as_array(x))
