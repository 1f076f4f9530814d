"""What a sweep along curves found: points, the units that change their pieces there, and the pieces between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.network import Network
from reludsl.regions.units import Plan, Words, plan

CLOSE = 1e-12
"""Breakpoints that are no farther apart than this are one; a segment has length 1, a circle 2 pi."""


class Stretches(NamedTuple):
    """Parts of the curves on which every unit keeps its piece: from a point to a point of a curve, each (pieces,)."""

    left: IntArray
    right: IntArray
    chain: IntArray


@dataclass(frozen=True, slots=False, eq=False, kw_only=True)
class Path:
    """Curves, cut where a unit changes its piece.

    Args:
        network: whose units they are.
        s: (points,) where a point stands on its curve, curve after curve; the ends are there too.
        offsets: (curves + 1,) curve c has the points offsets[c] to offsets[c + 1] - 1.
        start: (curves, units) the piece of every unit at the beginning.
        point, unit, before, after: (events,) the point at which a unit changes its piece, and from which to which;
            in order of the points.
    """

    network: Network
    s: FloatArray
    offsets: IntArray
    start: IntArray
    point: IntArray
    unit: IntArray
    before: IntArray
    after: IntArray

    @cached_property
    def plan(self) -> Plan:
        """The units, by node."""
        return plan(self.network)

    @property
    def curves(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def chain(self) -> IntArray:
        """(points,) which curve a point stands on."""
        return np.repeat(np.arange(self.curves), np.diff(self.offsets))

    @cached_property
    def breakpoints(self) -> IntArray:
        """The points at which a unit changes its piece."""
        return np.unique(self.point)

    @property
    def layer(self) -> list[str]:
        """(events,) the node of each unit."""
        number = np.searchsorted([part.first for part in self.plan.parts], self.unit, side="right") - 1
        return [self.plan.parts[k].name for k in number.tolist()]

    @property
    def element(self) -> IntArray:
        """(events,) the element of its node that each unit is."""
        first = np.array([part.first for part in self.plan.parts], dtype=np.int64)
        return np.asarray(self.unit - first[np.searchsorted(first, self.unit, side="right") - 1])

    @cached_property
    def _knots(self) -> IntArray:
        ends = np.concatenate([self.offsets[:-1], self.offsets[1:] - 1])
        return np.unique(np.concatenate([self.breakpoints, ends]))

    @cached_property
    def _steps(self) -> BoolArray:
        """Between one knot and the next: whether that is a way along a curve."""
        return np.asarray(self.chain[self._knots[1:]] == self.chain[self._knots[:-1]])

    @property
    def merged(self) -> int:
        """Breakpoints that stand so close to another, or to an end, that there is no piece between."""
        gap = np.diff(self.s[self._knots])
        return int((self._steps & (gap <= CLOSE)).sum())

    @cached_property
    def _long(self) -> Stretches:
        """From one knot of a curve to the next, where there is a way between."""
        knots = self._knots
        long = self._steps & (np.diff(self.s[knots]) > CLOSE)
        return Stretches(knots[:-1][long], knots[1:][long], self.chain[knots[:-1][long]])

    @cached_property
    def _changes(self) -> tuple[IntArray, IntArray]:
        """Ways, by number, at whose beginning a unit has another piece than before, and the unit.

        Units that change and change back within no length change nothing.
        """
        left, _, chain = self._long
        ahead = np.searchsorted(left, self.point)
        inner = ahead < len(left)
        inner[inner] = chain[ahead[inner]] == self.chain[self.point[inner]]
        units = max(1, self.plan.units)
        met, which = np.unique(ahead[inner] * units + self.unit[inner], return_inverse=True)
        change = np.bincount(which, (self.after - self.before)[inner], minlength=met.size)
        way, unit = np.divmod(met[change != 0], units)
        return way, unit

    @cached_property
    def _begins(self) -> BoolArray:
        """Whether a piece begins with each way."""
        chain = self._long.chain
        begins = np.concatenate([[True], chain[1:] != chain[:-1]])
        begins[self._changes[0]] = True
        return begins

    @cached_property
    def stretches(self) -> Stretches:
        """The pieces, in order: neighbours differ in some unit."""
        left, right, chain = self._long
        last = np.concatenate([np.flatnonzero(self._begins)[1:], [len(left)]]) - 1
        return Stretches(left[self._begins], right[last], chain[self._begins])

    @cached_property
    def switches(self) -> tuple[IntArray, IntArray]:
        """(switches,) each: the piece, by number, at whose beginning a unit leaves the piece it had before, and the
        unit. The first piece of a curve has none."""
        way, unit = self._changes
        chain = self._long.chain
        inside = (way > 0) & (chain[way] == chain[way - 1])
        return (np.cumsum(self._begins) - 1)[way[inside]], unit[inside]

    @property
    def pieces(self) -> IntArray:
        """(curves,) how many pieces each curve has: one more than it has transitions."""
        return np.bincount(self.stretches.chain, minlength=self.curves)

    def pieces_of(self, stretches: IntArray) -> IntArray:
        """The piece of every unit on some stretches, by number: (m, units)."""
        return np.concatenate(
            [np.zeros((0, self.plan.units), dtype=np.int64), *(self._pieces(part) for part in _runs(stretches, self))]
        )

    def _pieces(self, stretches: IntArray) -> IntArray:
        """Of stretches of one curve, in order."""
        left, _, chain = self.stretches
        curve = int(chain[stretches[0]])
        lo, hi = np.searchsorted(self.point, [self.offsets[curve], self.offsets[curve + 1]])
        row = np.searchsorted(left[stretches], self.point[lo:hi])
        change = np.zeros((stretches.size + 1, self.plan.units), dtype=np.int64)
        np.add.at(change, (row, self.unit[lo:hi]), (self.after - self.before)[lo:hi])
        return np.asarray(self.start[curve] + np.cumsum(change[:-1], axis=0))

    def patterns(self) -> Words:
        """The pattern of every piece, packed (see `Plan.pack`): (pieces, words)."""
        count = len(self.stretches.left)
        chunks = np.array_split(np.arange(count), max(1, count * self.plan.units // 4_000_000))
        return np.concatenate([self.plan.pack(self.pieces_of(chunk)) for chunk in chunks])


def _runs(stretches: IntArray, path: Path) -> list[IntArray]:
    chain = path.stretches.chain[stretches]
    return [run for run in np.split(stretches, np.flatnonzero(np.diff(chain)) + 1) if run.size]
