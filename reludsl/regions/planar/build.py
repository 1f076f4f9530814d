"""From a network and a domain of two dimensions to its cell complex."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box, Polytope, Space
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.expr import Input
from reludsl.layers import Max, relu
from reludsl.network import INPUT, Network, Node
from reludsl.progress import OnProgress, silent
from reludsl.regions.forms import Basis
from reludsl.regions.planar.complex import GLUE, Complex, merged, polygon, restricted, side, whole_plane
from reludsl.regions.planar.cutting import Cut, Lines, Rows
from reludsl.regions.planar.engine import Engine
from reludsl.regions.planar.result import Plane, unique_rows
from reludsl.regions.slice import Slice
from reludsl.regions.units import TOLERANCE, check_tolerance, plan
from reludsl.regions.watch import Watch, ends_plainly
from reludsl.regions.where import where_of

Where = Slice | Box | Polytope | Space
"""What can be cut: a polygon in a plane through the inputs; of a network of two inputs a domain, or all of R^2."""


def cuttable(where: Input | Where) -> Where:
    """What an argument stands for: itself, or the domain of an input variable.

    Raises:
        InvalidInput: a ball, or what is no domain at all.
    """
    found = where if isinstance(where, Slice) else where_of(where)
    if not isinstance(found, Slice | Box | Polytope | Space):
        raise InvalidInput(
            f"a {type(found).__name__} has sides that are rounded, and a plane is cut exactly; give a box, a polytope, "
            "a `Slice` or `Space(2)`"
        )
    return found


def plane(
    network: Network,
    where: Input | Where,
    *,
    tolerance: float = TOLERANCE,
    time_limit: float | None = None,
    progress: OnProgress = silent,
) -> Plane:
    """The cell complex of a network on a part of a plane.

    A face is a full-dimensional activation region, cut to the domain. V - E + F = 1, and no two faces share a pattern:
    both are asserted.

    Args:
        tolerance: a value this close to its break, relative to the terms that it is the sum of, is on it.
        time_limit: seconds.
        progress: told how many cells there are so far.

    Raises:
        InvalidInput: a domain that has no two dimensions, a layer whose pieces are unknown.
        OutOfTime: the time limit passed; `count_plane` gives a lower bound then.
        SolverFailed: Euler's relation or the uniqueness of patterns does not hold.

    >>> from reludsl.layers import Affine
    >>> lines = Affine(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -2.0]]), np.array([0.0, 0.0, -1.0, -3.0]))
    >>> found = plane(Network.chain([lines, relu], (2,)), Box([-100, -100], [100, 100]))
    >>> found.faces, found.vertices - found.edges + found.faces, float(found.areas.sum().round(6))
    (11, 1, 40000.0)
    >>> plane(Network.chain([lines, relu], (2,)), Space(2)).faces
    11
    """
    with ends_plainly():
        return cut_plane(network, cuttable(where), Watch.over(time_limit, progress), tolerance)


def cut_plane(network: Network, where: Where, watch: Watch, tolerance: float = TOLERANCE) -> Plane:
    """`plane`, for who goes on with what there is when it is late.

    Raises:
        Late: the watch says that it is late, or an interrupt came.
    """
    (found,) = _parts(network, where, tolerance, math.inf, watch)
    return found


def plane_parts(
    network: Network, where: Input | Slice | Box | Polytope, *, budget: float = 2e8, tolerance: float = TOLERANCE
) -> Iterator[Plane]:
    """The complex of `plane` in parts that fit the memory: every face is in one of them, whole.

    Where the values at the vertices take more than the budget, the faces so far are divided in two halves, which are
    gone through one after the other. The border of a part is the domain's, or where another begins.

    Args:
        budget: bytes; a few times as many are used.

    Raises:
        InvalidInput: all of R^2, and as `plane`.

    >>> from reludsl.layers import Affine
    >>> grid = Affine(np.repeat(np.eye(2), 40, axis=0), np.tile(np.arange(-20.0, 20.0), 2) / 25)
    >>> parts = list(plane_parts(Network.chain([grid, relu], (2,)), Box([-1, -1], [1, 1]), budget=1e5))
    >>> len(parts) > 1, sum(part.faces for part in parts)
    (True, 1681)
    """
    chosen = cuttable(where)
    if isinstance(chosen, Space):
        raise InvalidInput("all of R^2 is cut as a whole, for its parts meet at infinity; give a box, or use `plane`")
    return _parts(network, chosen, tolerance, budget, None)


def _parts(network: Network, where: Where, tolerance: float, budget: float, watch: Watch | None) -> Iterator[Plane]:
    if where.size != network.input_size:
        raise InvalidInput(
            f"the domain has {where.size} coordinates and the network {network.input_size} inputs; give a domain of "
            f"{network.input_size} coordinates, or a `Slice` through them"
        )
    if not isinstance(where, Slice) and where.size != 2:
        raise InvalidInput(
            f"a domain of {where.size} coordinates has no plane complex; give a network of two inputs, or a `Slice`"
        )
    check_tolerance(tolerance)
    own = plan(network)
    basis = basis_of(where)
    x = basis.x
    start = whole_plane(own.words) if isinstance(where, Space) else _bounded(where, own.words)
    corners = start.live[""]
    start.live[INPUT] = corners @ x if isinstance(where, Space) else corners @ x[:2] + x[2]
    for disk in Engine(own, tolerance, isinstance(where, Space), budget, watch).run(start):
        yield _answer(network, basis, disk, isinstance(where, Space))


def basis_of(where: Where) -> Basis:
    """The two axes and the origin of a plane."""
    x = np.vstack([where.axes, where.origin]) if isinstance(where, Slice) else np.vstack([np.eye(2), np.zeros(2)])
    return Basis(x, np.array([0.0, 0.0, 1.0]))


def _answer(network: Network, basis: Basis, disk: Complex, unbounded: bool) -> Plane:
    inner = disk.centres()
    if unbounded:
        disk, inner = _unglued(disk, inner)
    _check(disk)
    points = disk.live[""]
    return Plane(
        network=network,
        basis=basis,
        points=points if unbounded else np.insert(points, 2, 1.0, axis=1),
        tail=disk.tail,
        head=disk.head,
        left=disk.left,
        right=disk.right,
        maker=disk.maker,
        words=np.ascontiguousarray(disk.words),
        inner=inner if unbounded else np.insert(inner, 2, 1.0, axis=1),
        outputs=disk.live[network.output],
        odd=disk.odd,
    )


def decision_plane(
    network: Network,
    where: Input | Where,
    *,
    tolerance: float = TOLERANCE,
    time_limit: float | None = None,
    progress: OnProgress = silent,
) -> Plane:
    """The complex cut once more where the largest output changes; of one output where it passes 0.

    `boundary()` of it are the edges of the decision boundary, exactly: on each two outputs tie and no other is larger.
    Of outputs that are equal on all of a face the first is its class.
    The arguments, and what is raised, are those of `plane`.

    >>> from reludsl.layers import Affine
    >>> net = Network.chain([Affine(np.eye(2), np.zeros(2)), relu, Affine(np.eye(2), np.zeros(2))], (2,))
    >>> found = decision_plane(net, Box([-1, -1], [1, 1]))
    >>> sorted(sorted(ends) for ends in found.segments(found.boundary()).round(6).tolist())
    [[[-1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]]
    """
    name = "class"
    while name in network.shapes:
        name += "_"
    n = network.output_size
    layer = relu if n == 1 else Max(np.arange(n)[None, :], n, (1,))
    cone = network.cone(network.output)
    chosen = Network((*cone, Node(name, layer, network.output)), network.input_shape, name)
    found = plane(chosen, where, tolerance=tolerance, time_limit=time_limit, progress=progress)
    return replace(found, decided=True)


def _bounded(where: Slice | Box | Polytope, words: int) -> Complex:
    if isinstance(where, Slice):
        return polygon(where.corners, words)
    box = where.enclosure
    (a, c), (b, d) = box.lower, box.upper
    if not (a < b and c < d):
        raise InvalidInput(
            f"the domain has sides of length {b - a:g} and {d - c:g}, so that it has no interior in the plane; give a "
            "box with two positive sides, or use `line`"
        )
    disk = polygon(np.array([[a, c], [b, c], [b, d], [a, d]]), words)
    if isinstance(where, Polytope):
        for k, (row, limit) in enumerate(zip(where.matrix, where.limit)):
            disk = _within(disk, row, float(limit), 4 + k)
    return disk


def _within(disk: Complex, row: FloatArray, limit: float, number: int) -> Complex:
    """The part of the complex where row x <= limit; its border there is a side of that number."""
    corners = disk.live[""]
    slack = TOLERANCE * (np.abs(row) @ np.abs(corners).max(axis=0) + abs(limit))
    bit = 0
    # the height is a column of its own, so that a new vertex is on the line exactly
    values = Rows(np.column_stack([corners, corners @ row - limit]))

    def settle(rows: FloatArray, which: IntArray, line: IntArray) -> None:
        rows[which, 2] = 0.0

    Cut(disk, values, Lines(lambda rows: rows[:, 2:], settle, np.array([slack]), bit)).run()
    disk.live = {"": values.all[:, :2].copy()}
    disk.maker = np.where(disk.maker == bit, side(number), disk.maker)
    keep = (disk.words[:, 0] & np.uint64(1)) == 0
    if not keep.any():
        raise InvalidInput(
            f"row {number - 4} of the polytope leaves nothing with an interior, where no region is; loosen its limit"
        )
    disk.words[:, 0] = 0
    return restricted(disk, keep)


def _unglued(disk: Complex, inner: FloatArray) -> tuple[Complex, FloatArray]:
    """The charts as one plane: faces of one pattern are one, and what is left of their seams was made by a unit."""
    seam = (disk.maker == GLUE) & (disk.right >= 0)
    change = disk.words[disk.left] ^ disk.words[disk.right]
    same = ~change.any(axis=1)
    real = np.flatnonzero(seam & ~same)
    if real.size:
        bits = np.unpackbits(np.ascontiguousarray(change[real]).view(np.uint8), axis=1, bitorder="little")
        disk.maker[real] = bits.argmax(axis=1)
    words = disk.words
    disk = merged(disk, seam & same)
    # any part of a face will do for a point inside; the last that is met wins
    _, which = np.unique(np.concatenate([disk.words, words]), axis=0, return_inverse=True)
    place = np.empty((int(which.max()) + 1, 3))
    place[which[disk.faces :]] = inner
    return disk, place[which[: disk.faces]]


def _check(disk: Complex) -> None:
    if disk.euler != disk.disk:
        raise SolverFailed(
            f"{disk.vertices} vertices, {disk.edges} edges and {disk.faces} faces give V - E + F = {disk.euler}, which "
            f"was {disk.disk} before it was cut, so that its faces cannot be trusted; report this with the network"
        )
    if disk.faces > 1 and not unique_rows(disk.words):
        raise SolverFailed(
            f"two of the {disk.faces} faces share a pattern, although regions are convex, so that signs near a break "
            "were decided wrongly; try another tolerance, and report this with the network"
        )
