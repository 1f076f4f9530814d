"""How many regions a line or a plane has, with the proof: lower <= truth <= upper."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box, Polytope, Space
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray, exactly
from reludsl.expr import Input
from reludsl.network import Network
from reludsl.regions.certificate import Cells, Certificate, certify
from reludsl.regions.definition import Definition
from reludsl.regions.equal import Maps
from reludsl.regions.forms import Basis
from reludsl.regions.lines import Lines, of_domain
from reludsl.regions.planar.build import Where, cuttable, plane
from reludsl.regions.planar.result import Plane
from reludsl.regions.result import Counting, RegionCount
from reludsl.regions.slice import Slice
from reludsl.regions.units import Plan

SHORT = 1e-11
"""The angle under which an edge is seen, in homogeneous coordinates, below which it may be a point in truth."""


def count_line(
    network: Network, domain: Box | Polytope | Space, definition: Definition = Definition.ACTIVATION
) -> RegionCount:
    """The regions of a network of one input, on an interval or on all of R.

    Raises:
        InvalidInput: a network of more inputs, or PATTERNS.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[2.0], [2.0]]), np.array([0.0, -1.0])), relu,
    ...                      Affine(np.array([[1.0, -2.0]]), np.zeros(1))], (1,))
    >>> count = count_line(net, Space(1))
    >>> count.count, count.exact
    (3, True)
    """
    begin = time.perf_counter()
    found = of_domain(network, domain)
    return counted_line(found, 0, definition, begin, _interval(domain) if isinstance(domain, Polytope) else None)


def count_plane(network: Network, where: Input | Where, definition: Definition = Definition.ACTIVATION) -> RegionCount:
    """The regions of a network on a part of a plane (see `plane`).

    Raises:
        InvalidInput: a domain that has no two dimensions, or PATTERNS.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -2.0]]),
    ...                             np.array([0.0, 0.0, -1.0, -3.0])), relu], (2,))
    >>> count = count_plane(net, Space(2))
    >>> count.count, count.lower, count.upper
    (11, 11, 11)
    """
    begin = time.perf_counter()
    chosen = cuttable(where)
    return counted_plane(plane(network, chosen), chosen, definition, begin)


def counted_line(
    lines: Lines,
    curve: int,
    definition: Definition,
    begin: float | None = None,
    ends: tuple[Fraction, Fraction] | None = None,
) -> RegionCount:
    """The count of one line that is cut already.

    Args:
        ends: of the domain, where the input is one number and these are no floats.
    """
    begin = time.perf_counter() if begin is None else begin
    _refuse_patterns(definition)
    cells = line_cells(lines, curve, ends)
    proof = certify(cells)
    maps = None if definition is Definition.ACTIVATION else lines.compared(curve)
    count = len(cells.inner)
    pairs = np.arange(count - 1), np.arange(1, count), np.ones(count - 1, dtype=np.bool_)
    return _result(cells, proof, definition, maps, pairs, Counting.LINE, begin)


def counted_plane(found: Plane, where: Where, definition: Definition, begin: float | None = None) -> RegionCount:
    """The count of a plane that is cut already."""
    begin = time.perf_counter() if begin is None else begin
    _refuse_patterns(definition)
    cells = plane_cells(found, where)
    proof = certify(cells)
    maps = None if definition is Definition.ACTIVATION else found.compared()
    inner = found.right >= 0
    a, b = found.points[found.tail[inner]], found.points[found.head[inner]]
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    # an edge so short may be a point in truth; a whole line goes from a direction to the opposite one
    long = (np.linalg.norm(np.cross(a, b), axis=1) > SHORT * size) | ((a * b).sum(axis=1) < 0)
    pairs = found.left[inner], found.right[inner], long
    return _result(cells, proof, definition, maps, pairs, Counting.PLANE, begin)


def _refuse_patterns(definition: Definition) -> None:
    if definition is Definition.PATTERNS:
        raise InvalidInput(
            "lines and planes are cut where a pattern has an interior, and PATTERNS counts those of single points and "
            "edges as well; ask for them with method CELLS"
        )


def _result(
    cells: Cells,
    proof: Certificate,
    definition: Definition,
    maps: Maps | None,
    pairs: tuple[IntArray, IntArray, BoolArray],
    method: Counting,
    begin: float,
) -> RegionCount:
    count = len(cells.inner)
    present = int(proof.present.sum())
    lower, upper = present, count if proof.complete else _most(cells.plan, cells.points.shape[1] - 1)
    open_cells = ~proof.present
    open_cells[cells.corners[~proof.settled[cells.corners[:, 1]], 0]] = True
    ambiguous = int(open_cells.sum())
    if maps is not None:
        if definition is Definition.CONNECTED and proof.complete:
            lower, most = maps.connected(*pairs)
        else:
            lower, most = maps.distinct()
            lower = lower if proof.complete else max(1, lower - int((~proof.present).sum()))
        count = maps.connected(*pairs)[1] if definition is Definition.CONNECTED else most
        upper = most if proof.complete else upper
        ambiguous += most - lower if proof.complete else 0
    note = (
        "" if lower == upper else "some signs or maps are equal up to rounding, and fractions did not settle them all"
    )
    return RegionCount(
        count=count,
        lower=lower,
        upper=max(upper, count),
        ambiguous=ambiguous,
        definition=definition,
        units=cells.plan.units,
        method=method,
        seconds=time.perf_counter() - begin,
        margin=proof.margin if math.isfinite(proof.margin) else None,
        work=proof.work,
        note=note,
    )


def _most(plan: Plan, dimension: int) -> int:
    """As many as each layer's lines can cut what the one before left (Zaslavsky's number, layer by layer)."""
    most = 1
    for part in plan.parts:
        lines = part.size * (math.comb(part.pieces, 2) if part.maximum else part.pieces - 1)
        most *= sum(math.comb(lines, k) for k in range(dimension + 1))
    return most


# --- what is to be proved -----------------------------------------------------------------------------------------


def _interval(domain: Polytope) -> tuple[Fraction, Fraction]:
    """A polytope of one coordinate, exactly."""
    low, high = Fraction(domain.box.lower.item()), Fraction(domain.box.upper.item())
    for a, limit in zip(domain.matrix.ravel().tolist(), domain.limit.tolist()):
        if a:
            end = Fraction(limit) / Fraction(a)
            low, high = (low, min(high, end)) if a > 0 else (max(low, end), high)
    return low, high


def line_cells(lines: Lines, curve: int, ends: tuple[Fraction, Fraction] | None = None) -> Cells:
    """The stretches of one line, and what is to be proved of them (`ends`: see `counted_line`)."""
    own = np.flatnonzero(lines.stretches.chain == curve)
    left, right, _ = lines.stretches
    count = own.size
    basis = lines.basis()
    # stretch k lies between the vertices k and k + 1; a vertex is an edge as well
    vertex = np.arange(count + 1)
    s = np.concatenate([lines.s[left[own]], lines.s[right[own[-1:]]]])
    s[0], s[-1] = lines.s[lines.offsets[curve]], lines.s[lines.offsets[curve + 1] - 1]
    points = _on_line(lines, s)
    middle = _on_line(lines, 0.5 * (lines.s[left[own]] + lines.s[right[own]]))
    pieces = lines.pieces_of(own)
    sides = exactly(np.array([[0.0, 1.0], [0.0, 1.0]] if lines.whole else [[0.0, 1.0], [1.0, 0.0]]))
    if ends is not None:
        sides = np.array([exactly(basis.x[curve, :, 0]) - end for end in ends], dtype=object)
    cells = np.arange(count)
    at_end = (vertex == 0) | (vertex == count)
    return Cells(
        plan=lines.plan,
        basis=Basis(basis.x[curve], basis.w),
        pieces=lambda which: pieces[which],
        inner=middle,
        points=points,
        home=np.maximum(vertex - 1, 0),
        lines=vertex[:, None],
        left=np.maximum(vertex - 1, 0),
        right=np.where(at_end, -1, np.minimum(vertex, count - 1)),
        side=np.where(vertex == 0, 0, 1),
        corners=np.concatenate([np.stack([cells, cells], axis=1), np.stack([cells, cells + 1], axis=1)]),
        ends=np.stack([vertex, vertex], axis=1),
        sides=sides,
        fixed=at_end & (ends is None),
    )


def _on_line(lines: Lines, s: FloatArray) -> FloatArray:
    """Points of a line by its basis."""
    return np.stack([s - 1, 1 - np.abs(s - 1)] if lines.whole else [1 - s, s], axis=1)


def plane_cells(found: Plane, where: Where) -> Cells:
    """The faces of a plane, and what is to be proved of them."""
    face, first, _, edge = found.sides
    walk, offsets = found.around
    before = np.roll(walk, 1)
    before[offsets[:-1]] = walk[offsets[1:] - 1]
    # at the beginning of every side of a face two of its edges meet
    bent = np.flatnonzero(found.maker[edge[walk]] != found.maker[edge[before]])
    vertex, chosen = np.unique(first[walk[bent]], return_index=True)
    home, lines = np.full(found.vertices, -1), np.zeros((found.vertices, 2), dtype=np.int64)
    home[vertex] = face[walk[bent[chosen]]]
    lines[vertex, 0], lines[vertex, 1] = edge[before[bent[chosen]]], edge[walk[bent[chosen]]]
    sides, given = sides_of(where)
    side = np.where(found.right < 0, -2 - found.maker, 0)
    # a corner of the domain as it was given, of two given sides
    border = np.flatnonzero(found.right < 0)
    low, high = np.full(found.vertices, len(sides)), np.full(found.vertices, -1)
    for end in (found.tail[border], found.head[border]):
        np.minimum.at(low, end, side[border])
        np.maximum.at(high, end, side[border])
    ends = np.concatenate([np.stack([np.arange(found.edges), end], axis=1) for end in (found.tail, found.head)])
    return Cells(
        plan=found.plan,
        basis=found.basis,
        pieces=found.pieces,
        inner=found.inner,
        points=found.points,
        home=home,
        lines=lines,
        left=found.left,
        right=found.right,
        side=side,
        corners=np.stack([face, first], axis=1),
        ends=ends,
        sides=sides,
        fixed=(low < high) & (high < given),
    )


def sides_of(where: Where) -> tuple[ExactArray, int]:
    """Linear functions of (u, v, w) that are 0 on the sides of a domain, and how many sides meet in given corners."""
    if isinstance(where, Space):
        return exactly(np.tile([0.0, 0.0, 1.0], (4, 1))), 4
    if isinstance(where, Slice):
        corners = exactly(where.corners)
        following = np.roll(corners, -1, axis=0)
        normal = np.stack([corners[:, 1] - following[:, 1], following[:, 0] - corners[:, 0]], axis=1)
        constant = corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]
        return np.concatenate([normal, constant[:, None]], axis=1), len(corners)
    box = where.enclosure
    (a, c), (b, d) = box.lower, box.upper
    sides = np.array([[0.0, 1.0, -c], [1.0, 0.0, -b], [0.0, 1.0, -d], [1.0, 0.0, -a]])
    if isinstance(where, Polytope):
        sides = np.vstack([sides, np.column_stack([where.matrix, -where.limit])])
    return exactly(sides), 4
