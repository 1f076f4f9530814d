"""Regions in planes through data points, divided by the square of the number of neurons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Space
from reludsl.domain.base import vector
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, Reshape
from reludsl.network import INPUT, Network, Node
from reludsl.regions import Slice, plane

TRIES = 100
"""Triples that are drawn for one slice before the points are said to lie on a line."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceDensity:
    """How many activation regions of full dimension each slice has.

    Args:
        regions: (slices,) how many.
        areas: (slices,) of the polygons, in the units of the input space squared; inf of whole planes.
        neurons: N, of the network.
        odd: faces, over all slices, that were left whole because signs in float arithmetic contradicted each other; 0
            says that the counts are as exact as `reludsl.regions.plane` is.
    """

    regions: IntArray
    areas: FloatArray
    neurons: int
    odd: int

    @property
    def ratio(self) -> FloatArray:
        """(slices,) regions / N^2."""
        return np.asarray(self.regions / self.neurons**2)

    @property
    def per_area(self) -> FloatArray:
        """(slices,) regions / area, 0 of whole planes."""
        return np.asarray(self.regions / self.areas)


def draw_slices(points: FloatArray, count: int, seed: int = 0, reach: float = 1.25) -> tuple[Slice, ...]:
    """Planes through three different data points each, drawn at random (see `Slice.through`).

    A triple on a line, two equal points among them, is drawn again.

    Args:
        points: (m, inputs).
        count: number of slices.
        reach: half the side of the square, in radii of the circle through the three points.

    Raises:
        InvalidInput: fewer than three points, or nearly all of them on one line.

    Source: Hanin and Rolnick 2019, Deep ReLU networks have surprisingly few activation patterns, figure 1.

    >>> [cut.size for cut in draw_slices(np.random.default_rng(0).random((10, 5)), 2)]
    [5, 5]
    """
    array = vector(points, "the points")
    if array.ndim != 2 or len(array) < 3:
        raise InvalidInput(
            f"points of shape {array.shape} span no plane; give an array (m, inputs) of at least three data points"
        )
    rng = np.random.default_rng(seed)
    return tuple(_drawn(array, rng, reach) for _ in range(count))


def _drawn(points: FloatArray, rng: np.random.Generator, reach: float) -> Slice:
    for _ in range(TRIES):
        three = points[rng.choice(len(points), 3, replace=False)]
        # the smallest singular value of two sides, as `Slice.through` would judge them
        sides = np.linalg.svd(three[1:] - three[0], compute_uv=False)
        if len(sides) > 1 and sides[1] > 1e-9 * sides[0]:
            return Slice.through(three, reach)
    raise InvalidInput(
        f"{TRIES} times three of the {len(points)} points were drawn, and each time they lay on a line, so that they "
        "span no plane; give points in general position, or count along the line with `segment_density`"
    )


def restricted(network: Network, where: Slice) -> Network:
    """(u, v) -> N(origin + u axes[0] + v axes[1]): the network on a plane, of two inputs.

    Of it all of R^2 can be counted: `plane(restricted(network, where), Space(2))`.

    Raises:
        InvalidInput: a slice through another space.

    >>> from reludsl.networks import arrangement
    >>> cut = Slice.through(np.array([[1.0, 0.0, 5.0], [-1.0, 0.0, 5.0], [0.0, 1.0, 5.0]]))
    >>> restricted(arrangement(np.eye(3), np.zeros(3)), cut)(np.zeros(2))
    array([0., 0., 5.])
    """
    if where.size != network.input_size:
        raise InvalidInput(
            f"the slice goes through a space of {where.size} coordinates and the network has {network.input_size} "
            "inputs; give a slice through the inputs of the network"
        )
    name = "plane"
    while {name, name + "_shaped"} & network.shapes.keys():
        name += "_"
    first = Node(name, Affine(where.axes.T, where.origin), INPUT)
    rest = [
        Node(node.name, node.layer, *(name if source == INPUT else source for source in node.sources))
        for node in network.nodes
    ]
    shape = network.input_shape
    if shape == (network.input_size,):
        return Network((first, *rest), (2,), network.output)
    shaped = Node(name + "_shaped", Reshape(shape), name)
    rest = [Node(n.name, n.layer, *(shaped.name if s == name else s for s in n.sources)) for n in rest]
    return Network((first, shaped, *rest), (2,), network.output)


def slice_density(network: Network, slices: Sequence[Slice], *, whole: bool = False) -> SliceDensity:
    """The number of activation regions that the network has in each slice, exactly.

    At initialisation the published number in a whole plane is about N^2 / 2, which N lines in general position make:
    1 + N + N (N - 1) / 2.

    Args:
        slices: through the inputs (see `draw_slices`).
        whole: count in the whole plane that each slice lies in instead of the polygon.

    Raises:
        InvalidInput: no slices, a slice through another space, a layer whose pieces are unknown.

    Source: Hanin and Rolnick 2019, Deep ReLU networks have surprisingly few activation patterns, section 3.

    >>> from reludsl.networks import general_position
    >>> cut = Slice.rectangle(np.zeros(2), np.eye(2), np.zeros(2), np.ones(2))
    >>> found = slice_density(general_position(8, 2), [cut])
    >>> found.regions, found.ratio.round(3), found.areas, found.odd
    (array([37]), array([0.578]), array([1.]), 0)
    """
    if not slices:
        raise InvalidInput("there is no slice to count in; give at least one, e.g. draw_slices(points, 5)")
    found = [plane(restricted(network, _rescaled(cut)), Space(2)) if whole else plane(network, cut) for cut in slices]
    areas = [np.inf if whole else _area(cut) for cut in slices]
    return SliceDensity(
        np.array([one.faces for one in found]), np.array(areas), network.neurons, sum(one.odd for one in found)
    )


def _rescaled(where: Slice) -> Slice:
    """The same polygon with coordinates of size 1 or so, which a whole plane is counted to the tolerance of; by a power
    of two, so that nothing is rounded."""
    size = 2.0 ** round(math.log2(np.abs(where.corners).max()))
    return Slice(where.origin, size * where.axes, where.corners / size)


def _area(where: Slice) -> float:
    """Of the polygon, in the input space."""
    u, v = where.corners.T
    flat = 0.5 * abs(float(u @ np.roll(v, -1) - v @ np.roll(u, -1)))
    return flat * float(np.sqrt(max(np.linalg.det(where.axes @ where.axes.T), 0.0)))
