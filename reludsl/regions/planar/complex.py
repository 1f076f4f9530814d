"""A cell complex of a disk: vertices, edges with the faces on either side, and the pattern of every face.

Edges carry all structure: an edge goes from one vertex to another, has a face on its left and one on its right
(OUTSIDE at the border), and remembers which unit made it. No vertex lists its edges and no face its vertices; polygons
are put in order at the end, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.regions.units import Words

OUTSIDE = -1
"""The face beyond the border."""

GLUE = -1
"""The maker of an edge between two charts of one plane, which is no border of a region."""


def side(k: int) -> int:
    """The maker of side k of the domain."""
    return -2 - k


@dataclass(slots=True, eq=False)
class Complex:
    """Arrays that the engine changes; all indices are of rows.

    Args:
        live: (vertices, n) the values at the vertices, by node; under "" the coordinates.
        tail, head: (edges,) the vertices of each edge.
        left, right: (edges,) the faces beside it.
        maker: (edges,) which bit of the pattern changes there, or GLUE, or `side(k)`.
        words: (faces, words) the patterns.
        odd: faces that should have been cut and were not, because float signs contradicted each other.
        disk: V - E + F at the beginning, which cutting keeps.
    """

    live: dict[str, FloatArray]
    tail: IntArray
    head: IntArray
    left: IntArray
    right: IntArray
    maker: IntArray
    words: Words
    odd: int = 0
    disk: int = 1
    faces: int = field(init=False)

    def __post_init__(self) -> None:
        self.faces = len(self.words)

    @property
    def vertices(self) -> int:
        return len(self.live[""])

    @property
    def edges(self) -> int:
        return len(self.tail)

    @property
    def euler(self) -> int:
        """V - E + F without the outside: 1 for a disk."""
        return self.vertices - self.edges + self.faces

    def centres(self) -> FloatArray:
        """(faces, n) the mean of the vertices of every face."""
        inside = np.flatnonzero(self.right >= 0)
        face = np.concatenate([self.left, self.right[inside]])
        vertex = np.concatenate([self.tail, self.head[inside]])
        coordinates = self.live[""]
        total = [np.bincount(face, coordinates[vertex, k], self.faces) for k in range(coordinates.shape[1])]
        return np.asarray(np.stack(total, axis=1) / np.bincount(face, minlength=self.faces)[:, None])


def polygon(corners: FloatArray, words: int) -> Complex:
    """One face whose corners (k, 2) are given counterclockwise."""
    k = len(corners)
    return Complex(
        live={"": corners},
        tail=np.arange(k),
        head=np.roll(np.arange(k), -1),
        left=np.zeros(k, dtype=np.int64),
        right=np.full(k, OUTSIDE),
        maker=side(0) - np.arange(k),
        words=np.zeros((1, words), dtype=np.uint64),
    )


def whole_plane(words: int) -> Complex:
    """R^2 as directions (x, y, w), w >= 0, on the surface of a cube: a square where w = 1, four charts down to w = 0.

    Every ray from 0 with w >= 0 meets the surface once, so that it is a disk whose border is at infinity.
    """
    square = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    k, following = np.arange(4), np.roll(np.arange(4), -1)
    return Complex(
        live={"": np.vstack([np.insert(square, 2, 1.0, axis=1), np.insert(square, 2, 0.0, axis=1)])},
        tail=np.concatenate([k, 4 + k, 4 + k]),
        head=np.concatenate([following, 4 + following, k]),
        left=np.concatenate([np.zeros(4, dtype=np.int64), 1 + k, 1 + np.roll(k, 1)]),
        right=np.concatenate([1 + k, np.full(4, OUTSIDE), 1 + k]),
        maker=np.concatenate([np.full(4, GLUE), side(0) - k, np.full(4, GLUE)]),
        words=np.zeros((5, words), dtype=np.uint64),
    )


def restricted(whole: Complex, keep: BoolArray) -> Complex:
    """The part of a complex that some faces make up; other faces are outside then."""
    number = np.full(whole.faces + 1, OUTSIDE)
    number[:-1][keep] = np.arange(int(keep.sum()))
    left, right = number[whole.left], number[whole.right]
    edges = np.flatnonzero((left != OUTSIDE) | (right != OUTSIDE))
    tail, head, left, right = whole.tail[edges], whole.head[edges], left[edges], right[edges]
    turned = left == OUTSIDE
    tail, head = np.where(turned, head, tail), np.where(turned, tail, head)
    left, right = np.where(turned, right, left), np.where(turned, OUTSIDE, right)
    part = Complex(whole.live, tail, head, left, right, whole.maker[edges], whole.words[keep], whole.odd)
    part = _without_loose_vertices(part)
    part.disk = part.euler
    return part


def merged(whole: Complex, remove: BoolArray) -> Complex:
    """The complex without some inner edges: the faces on both sides are one.

    Vertices that are left with no edge go, and those that are left with two, of one maker, are joined into one edge.
    """
    if not remove.any():
        return whole
    ends = (whole.left[remove], whole.right[remove])
    graph = sparse.coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(whole.faces, whole.faces))
    count, label = connected_components(graph, directed=False)
    first = np.full(count, whole.faces)
    np.minimum.at(first, label, np.arange(whole.faces))
    label = np.append(label, OUTSIDE)
    kept = np.flatnonzero(~remove)
    touched = np.unique(np.concatenate([whole.tail[remove], whole.head[remove]]))
    part = Complex(
        whole.live,
        whole.tail[kept],
        whole.head[kept],
        label[whole.left[kept]],
        label[whole.right[kept]],
        whole.maker[kept],
        whole.words[first],
        whole.odd,
        whole.disk,
    )
    return _without_loose_vertices(_joined(part, touched))


def _joined(part: Complex, touched: IntArray) -> Complex:
    """Two edges that meet in one of the touched vertices alone become one where the same unit made them."""
    degree = np.bincount(np.concatenate([part.tail, part.head]), minlength=part.vertices)
    while True:
        chosen = touched[degree[touched] == 2]
        spot = np.full(part.vertices, -1)
        spot[chosen] = np.arange(chosen.size)
        ends = np.concatenate([part.tail, part.head])
        at = np.flatnonzero(spot[ends] >= 0)
        at = at[np.argsort(spot[ends[at]], kind="stable")]
        one, other = at[0::2] % part.edges, at[1::2] % part.edges
        vertex = ends[at[0::2]]
        # an edge takes part in one joint at a time
        fine = (part.maker[one] == part.maker[other]) & (one != other)
        order = np.arange(len(one))
        taken = np.full(part.edges, len(one))
        np.minimum.at(taken, one[fine], order[fine])
        np.minimum.at(taken, other[fine], order[fine])
        fine &= (taken[one] == order) & (taken[other] == order)
        if not fine.any():
            return part
        one, other, vertex = one[fine], other[fine], vertex[fine]
        # the second edge goes on from the vertex, to its other end
        end = np.where(part.tail[other] == vertex, part.head[other], part.tail[other])
        ahead = part.head[one] == vertex
        part.head[one[ahead]] = end[ahead]
        part.tail[one[~ahead]] = end[~ahead]
        keep = np.ones(part.edges, dtype=np.bool_)
        keep[other] = False
        part.tail, part.head, part.maker = part.tail[keep], part.head[keep], part.maker[keep]
        part.left, part.right = part.left[keep], part.right[keep]
        degree[vertex] = 0


def _without_loose_vertices(part: Complex) -> Complex:
    used = np.zeros(part.vertices, dtype=np.bool_)
    used[part.tail] = used[part.head] = True
    if not used.all():
        number = np.cumsum(used) - 1
        part.live = {name: value[used] for name, value in part.live.items()}
        part.tail, part.head = number[part.tail], number[part.head]
    return part
