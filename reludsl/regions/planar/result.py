"""The plane's answer: vertices, edges and faces, what is known of each, and how many regions there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.network import Network
from reludsl.regions.edges import patterns_at, unit_layers
from reludsl.regions.equal import Maps
from reludsl.regions.forms import Basis, Form, exact_output, forms
from reludsl.regions.units import Plan, Words, plan

CHUNK = 4_000_000
"""Numbers that are held at once for values of all units."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Plane:
    """The cell complex of a network on a part of a plane: on every face each unit keeps its piece.

    Args:
        network: whose units they are.
        basis: the two axes and the origin; a point (u, v, w) is the input (u, v, w) @ basis.x / w.
        points: (vertices, 3); w is 1, or 0 at infinity where the domain is R^2.
        tail, head: (edges,) the vertices of each edge.
        left, right: (edges,) the faces beside it, -1 outside of the domain.
        maker: (edges,) the bit of the pattern that changes there; -2 - k on side k of the domain.
        words: (faces, words) the patterns, packed (see `Plan.pack`).
        inner: (faces, 3) a point inside of each face.
        outputs: (vertices, outputs) of the network, times w.
        odd: faces that were left whole because signs in float arithmetic contradicted each other.
        decided: the last unit of the network is there to choose the class (see `decision_plane`).
    """

    network: Network
    basis: Basis
    points: FloatArray
    tail: IntArray
    head: IntArray
    left: IntArray
    right: IntArray
    maker: IntArray
    words: Words
    inner: FloatArray
    outputs: FloatArray
    odd: int
    decided: bool = False

    @cached_property
    def plan(self) -> Plan:
        """The units, by node."""
        return plan(self.network)

    @property
    def vertices(self) -> int:
        return len(self.points)

    @property
    def edges(self) -> int:
        return len(self.tail)

    @property
    def faces(self) -> int:
        return len(self.words)

    @property
    def coordinates(self) -> FloatArray:
        """(vertices, 2) in the plane; infinite, or not a number, for those at infinity."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.points[:, :2] / self.points[:, 2:])

    @property
    def centres(self) -> FloatArray:
        """(faces, 2) the plane's coordinates of a point inside of each face: the mean of its vertices where bounded."""
        return np.asarray(self.inner[:, :2] / self.inner[:, 2:])

    def inputs(self, coordinates: FloatArray) -> FloatArray:
        """The inputs of some points of the plane: (m, 2) -> (m, inputs)."""
        return np.asarray(coordinates @ self.basis.x[:2] + self.basis.x[2])

    # --- what units do ------------------------------------------------------------------------------------------

    def pieces(self, faces: IntArray | slice = slice(None)) -> IntArray:
        """The piece of every unit on some faces: (m, units)."""
        return self.plan.unpack(self.words[faces])

    @cached_property
    def active(self) -> IntArray:
        """(faces,) how many elements of activations are beyond their first break."""
        mask = np.zeros(64 * self.words.shape[1], dtype=np.uint8)
        for part in self.plan.parts:
            if not part.maximum:
                mask[part.bit : part.bit + min(part.size, part.bits)] = 1
        chosen = self.words & np.packbits(mask, bitorder="little").view(np.uint64)
        step = max(1, CHUNK // len(mask))
        return np.concatenate(
            [
                np.unpackbits(chosen[k : k + step].view(np.uint8), axis=1).sum(axis=1, dtype=np.int64)
                for k in range(0, self.faces, step)
            ]
        )

    @property
    def edge_layer(self) -> list[str]:
        """(edges,) the node whose unit made each edge, "" at the border."""
        names = np.array(["", *(part.name for part in self.plan.parts)], dtype=object)
        return list(names[self.edge_part + 1])

    @cached_property
    def edge_part(self) -> IntArray:
        """(edges,) the number of that node among those with units, -1 at the border."""
        first = np.array([part.bit for part in self.plan.parts], dtype=np.int64)
        return np.asarray(np.where(self.maker < 0, -1, np.searchsorted(first, self.maker, side="right") - 1))

    @property
    def edge_element(self) -> IntArray:
        """(edges,) the element of the node that the unit is, -1 at the border."""
        parts = self.edge_part
        bit = np.array([part.bit for part in self.plan.parts], dtype=np.int64)
        size = np.array([part.size for part in self.plan.parts], dtype=np.int64)
        return np.asarray(np.where(parts < 0, -1, (self.maker - bit[parts]) % size[parts]) if bit.size else parts)

    # --- shapes -------------------------------------------------------------------------------------------------

    @cached_property
    def sides(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Every edge once for each face beside it, counterclockwise around it: face, from, to, edge."""
        inner = np.flatnonzero(self.right >= 0)
        face = np.concatenate([self.left, self.right[inner]])
        first = np.concatenate([self.tail, self.head[inner]])
        second = np.concatenate([self.head, self.tail[inner]])
        return face, first, second, np.concatenate([np.arange(self.edges), inner])

    @cached_property
    def around(self) -> tuple[IntArray, IntArray]:
        """The rows of `sides` in order around every face, face after face, and where each begins."""
        face, first, second, _ = self.sides
        order = np.lexsort((first, face))
        key = face[order] * self.vertices + first[order]
        following = order[np.searchsorted(key, face * self.vertices + second)]
        count = np.bincount(face, minlength=self.faces)
        offsets = np.concatenate([[0], np.cumsum(count)])
        walk = np.empty(face.size, dtype=np.int64)
        here = order[offsets[:-1]]
        going = np.arange(self.faces)
        for k in range(int(count.max())):
            walk[offsets[going] + k] = here
            on = count[going] > k + 1
            going, here = going[on], following[here[on]]
        return walk, offsets

    def polygons(self) -> tuple[IntArray, IntArray]:
        """The vertices of every face, counterclockwise, and where each face begins: (sides,), (faces + 1,)."""
        walk, offsets = self.around
        return self.sides[1][walk], offsets

    def _shoelace(self) -> tuple[FloatArray, FloatArray]:
        face, first, second, _ = self.sides
        with np.errstate(invalid="ignore"):
            where, centre = self.coordinates, self.centres[face]
            a, b = where[first] - centre, where[second] - centre
            area = 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
            moment = (a + b) * area[:, None] / 3.0
        total: FloatArray = np.bincount(face, area, self.faces).astype(np.float64)
        return total, np.stack([np.bincount(face, moment[:, k], self.faces) for k in (0, 1)], axis=1)

    @property
    def areas(self) -> FloatArray:
        """(faces,) in the plane's coordinates (shoelace formula); inf where a face is not bounded."""
        unbounded = np.zeros(self.faces, dtype=np.bool_)
        face, first, _, _ = self.sides
        unbounded[face[self.points[first, 2] == 0]] = True
        return np.where(unbounded, np.inf, self._shoelace()[0])

    @property
    def centroids(self) -> FloatArray:
        """(faces, 2) centres of gravity, in the plane's coordinates; not a number where a face is not bounded."""
        area, moment = self._shoelace()
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(np.isfinite(self.areas)[:, None], self.centres + moment / area[:, None], np.nan))

    @cached_property
    def adjacency(self) -> IntArray:
        """(pairs, 2) faces that share an edge, the smaller number first."""
        inner = self.right >= 0
        pairs = np.sort(np.stack([self.left[inner], self.right[inner]], axis=1), axis=1)
        return np.unique(pairs, axis=0)

    # --- what the network computes ------------------------------------------------------------------------------

    def forms(self, faces: IntArray) -> Form:
        """The output on some faces as coefficients of (u, v, w), with their errors: (m, 3, outputs)."""
        *_, (_, form) = forms(self.plan, self.basis, self.pieces(faces))
        return form

    def maps(self, faces: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Gradient and constant of the output in the plane's coordinates, (m, outputs, 2) and (m, outputs).

        Args:
            faces: by default all.
        """
        chosen = np.arange(self.faces) if faces is None else faces
        value = self.every_form(chosen).value
        return np.moveaxis(value[:, :2], 1, 2), value[:, 2]

    def every_form(self, faces: IntArray | None = None) -> Form:
        """`forms` of many faces, by default of all, in parts that fit the memory."""
        faces = np.arange(self.faces) if faces is None else faces
        width = max(self.network.size(part.name) for part in self.plan.parts) if self.plan.parts else 1
        chunks = np.array_split(faces, max(1, 6 * faces.size * width // CHUNK))
        found = [self.forms(chunk) for chunk in chunks]
        return Form(np.concatenate([f.value for f in found]), np.concatenate([f.error for f in found]))

    def compared(self) -> Maps:
        """The output's affine maps on all faces, to be compared exactly."""

        def exact(face: int) -> ExactArray:
            return exact_output(self.plan, self.basis, self.pieces(np.array([face]))[0])

        return Maps(self.every_form(), exact, 3 * self.network.parameters)

    @cached_property
    def classes(self) -> IntArray:
        """(faces,) the largest output in the middle of each face; of one output whether it is positive.

        Of a `decision_plane` the piece of the unit that chooses: which output its maximum copies on all of the face.
        """
        if self.decided:
            chunks = np.array_split(np.arange(self.faces), 1 + self.faces * self.plan.units // CHUNK)
            return np.concatenate([self.pieces(chunk)[:, -1] for chunk in chunks])
        step = max(1, CHUNK // self.network.input_size)
        centres = self.centres
        values = np.concatenate(
            [self.network(self.inputs(centres[k : k + step])) for k in range(0, self.faces, step)]
        ).reshape(self.faces, -1)
        return np.asarray((values[:, 0] > 0).astype(np.int64) if values.shape[1] == 1 else values.argmax(axis=1))

    def boundary(self, part: int = -1) -> IntArray:
        """The edges at which units of one node change, by default of the last one (see `decision_plane`).

        Units of other nodes may change there as well, and `edge_part` names one of them.
        """
        if not self.plan.parts:
            return np.zeros(0, dtype=np.int64)
        own = self.plan.parts[part]
        mask = np.zeros(64 * self.words.shape[1], dtype=np.uint8)
        mask[own.bit : own.bit + own.bits] = 1
        inner = np.flatnonzero(self.right >= 0)
        change = self.words[self.left[inner]] ^ self.words[self.right[inner]]
        return inner[(change & np.packbits(mask, bitorder="little").view(np.uint64)).any(axis=1)]

    def segments(self, edges: IntArray) -> FloatArray:
        """Both ends of some edges, in the plane's coordinates: (m, 2, 2)."""
        where = self.coordinates
        return np.stack([where[self.tail[edges]], where[self.head[edges]]], axis=1)

    def locate(self, coordinates: FloatArray) -> IntArray:
        """The face whose pattern each point has, -1 where no face has it (a point on an edge may): (m, 2) -> (m,).

        Raises:
            InvalidInput: not an array of two coordinates each.
        """
        array = np.asarray(coordinates, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != 2:
            raise InvalidInput(f"points of shape {array.shape} are not in the plane; give its coordinates, (m, 2)")
        words = self.plan.pack(pieces_at(self.plan, self.inputs(array)))
        return _rows_in(words, self.words)


def pieces_at(plan: Plan, x: FloatArray) -> IntArray:
    """The piece of every unit at some inputs: (m, inputs) -> (m, units)."""
    return patterns_at(unit_layers(plan.network), plan.network, plan.network.values(x))


def _rows_in(rows: Words, table: Words) -> IntArray:
    """Where each row stands in a table of different rows, -1 where it does not."""
    _, which = np.unique(np.concatenate([table, rows]), axis=0, return_inverse=True)
    place = np.full(int(which.max()) + 1, -1)
    place[which[: len(table)]] = np.arange(len(table))
    return place[which[len(table) :]]


def unique_rows(words: Words) -> bool:
    """Whether all rows differ."""
    order = np.lexsort(words.T)
    return bool((words[order[1:]] != words[order[:-1]]).any(axis=1).all())
