"""One-dimensional cutting: chains of points, refined node by node until every value is affine between neighbours.

Held are the values of the nodes at the points of all chains at once. An affine layer maps them. At an activation every
break that is passed between two neighbours gives a point there, where the values of all nodes that are still needed
follow by interpolation and the unit's own value is its break, exactly. A value within the tolerance of a break is on
it; on a whole interval it belongs to the piece on the left. Max units take the inputs of their windows one after the
other: where the next is above the largest so far, it is the piece.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.layers import Activation, AffineLayer, MaxLayer, elementwise
from reludsl.network import INPUT
from reludsl.regions.units import Part, Plan, Scales, activated, affine
from reludsl.regions.watch import Late, Watch

_GIVEN = ""
"""Under this name lives what the present node takes."""


@dataclass(slots=True, eq=False)
class Events:
    """Units that change their piece: at which point (its number), which unit, from and to which piece."""

    point: IntArray
    unit: IntArray
    before: IntArray
    after: IntArray

    @classmethod
    def joined(cls, parts: list[Events]) -> Events:
        empty = np.zeros(0, dtype=np.int64)
        columns = [
            np.concatenate([empty, *(getattr(e, name) for e in parts)]) for name in ("point", "unit", "before", "after")
        ]
        return cls(*columns)


@dataclass(slots=True, eq=False)
class Sweep:
    """Points of all chains, in order.

    Args:
        live: values at the points, by node.
        s: position along the chain: k at its k-th given point.
        chain: which chain a point belongs to.
        number: in which order the points came to be.
        weight: gives w from s for homogeneous coordinates.
        start: piece of every unit at the beginning of every chain.
        measured: whether lengths are taken.
        watch: looked at before every node with units.
        lengths: of every chain at every stop, one after the other. Behind a node with units its value is affine between
            the points that there are by then, so that their distances add up to the length.
    """

    plan: Plan
    live: dict[str, FloatArray]
    s: FloatArray
    chain: IntArray
    tolerance: float
    weight: Callable[[FloatArray], FloatArray] | None = None
    measured: bool = False
    watch: Watch | None = None
    number: IntArray = field(init=False)
    born: int = field(init=False)
    start: IntArray = field(init=False)
    events: list[Events] = field(init=False, default_factory=list)
    lengths: list[FloatArray] = field(init=False, default_factory=list)
    last: tuple[FloatArray, int] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.born = len(self.s)
        self.number = np.arange(self.born)
        self.start = np.zeros((int(self.chain[-1]) + 1, self.plan.units), dtype=np.int64)

    @property
    def w(self) -> FloatArray | None:
        return None if self.weight is None else self.weight(self.s)

    # what overflows is refused in words
    @np.errstate(over="ignore", invalid="ignore")
    def run(self) -> Events:
        """Walk through the network; the output's values are left in `live`.

        Raises:
            InvalidInput: values that may overflow.
            Late: the watch says that it is late, or an interrupt came.
        """
        try:
            return self._walk()
        except KeyboardInterrupt:
            if self.last is None:
                raise
            raise self._late(*self.last, True) from None

    def _look(self, done: int) -> None:
        """Remember what is cut by `done` bits, say so, and end it when it is late."""
        if self.watch is None:
            return
        self.last = self.s, done
        self.watch.tell("pieces", len(self.s) - 1)
        if self.watch.late:
            raise self._late(*self.last, False)

    def _late(self, s: FloatArray, done: int, interrupted: bool) -> Late:
        # where there are several chains, nobody asks for points inside
        return Late(0.5 * (s[1:] + s[:-1])[:, None], done, self.plan.bits, interrupted)

    def _walk(self) -> Events:
        network = self.plan.network
        scales = Scales(network, self.w)
        scales.note(INPUT, None, self.live[INPUT], begin=_ends(self.chain)[:-1])
        self._measure(self.live[INPUT])
        for step in self.plan.steps:
            node, layer = step.node, step.node.layer
            if step.part is not None:
                self._look(step.part.bit)
            scale = scales.of(node)
            given = network.gather(node, self.live)
            self.live = {name: self.live[name] for name in step.kept}
            if isinstance(layer, AffineLayer):
                value = affine(layer, given, self.w)
            else:
                assert step.part is not None
                self.live[_GIVEN] = given
                if isinstance(layer, MaxLayer):
                    value = self._maximum(layer, step.part, scale)
                else:
                    assert elementwise(layer)
                    value = self._activation(layer, step.part, scale)
                del self.live[_GIVEN]
            begin = None if isinstance(layer, AffineLayer) else _ends(self.chain)[:-1]
            scales.note(node.name, layer, value, scale, begin)
            self.live[node.name] = value
            if step.part is not None or node.name == network.output:
                self._measure(value)
        return Events.joined(self.events)

    def _measure(self, value: FloatArray) -> None:
        if not self.measured:
            return
        step = np.diff(value, axis=0)
        inside = self.chain[1:] == self.chain[:-1]
        distance = np.sqrt(np.einsum("ij,ij->i", step, step))
        summed = np.bincount(self.chain[1:][inside], distance[inside], len(self.start))
        self.lengths.append(summed.astype(np.float64, copy=False))

    # --- activations --------------------------------------------------------------------------------------------

    def _activation(self, layer: Activation, part: Part, scale: FloatArray) -> FloatArray:
        breaks = layer.breaks_at(part.size)
        heights = [self._height(b) for b in breaks]
        signs = [Signs.of(d, self._slack(scale + np.abs(b))) for d, b in zip(heights, breaks)]
        found: list[tuple[IntArray, IntArray, FloatArray, IntArray, BoolArray]] = []
        for k, (d, sign) in enumerate(zip(heights, signs)):
            at, unit, before, after = sign.turns(self.chain)
            if at.size:
                self._note(self.number[at], part, unit, before + k, after + k)
            if sign.zero is not None:
                self._snap(sign.zero, breaks[k])
            self.start[:, part.first : part.first + part.size] += sign.first(self.chain)
            interval, unit = sign.crossings(self.chain)
            left, right = d[interval, unit], d[interval + 1, unit]
            found.append((interval, unit, left / (left - right), np.full(interval.size, k), left < right))
        if not found:
            return activated(layer, self.live[_GIVEN], self.w)
        interval, unit, fraction, of_break, rising = (np.concatenate(column) for column in zip(*found))
        order = np.lexsort((fraction, interval))
        unit, of_break, rising = unit[order], of_break[order], rising[order]
        new = self._insert(interval[order], fraction[order])
        if new.size:
            w_new = 1.0 if self.weight is None else self.weight(self.s[new])
            self.live[_GIVEN][new, unit] = w_new * breaks[of_break, unit]
            self._note(self.number[new], part, unit, of_break + ~rising, of_break + rising)
        return activated(layer, self.live[_GIVEN], self.w)

    def _slack(self, scale: FloatArray) -> FloatArray:
        """(points, n) from (chains, n): no chain is measured by the scale of another."""
        slack = self.tolerance * scale
        return slack if len(slack) == 1 else slack[self.chain]

    def _height(self, b: FloatArray) -> FloatArray:
        given = self.live[_GIVEN]
        if not b.any():
            return given
        return given - (b if self.weight is None else self.weight(self.s)[:, None] * b)

    def _snap(self, zero: BoolArray, b: FloatArray) -> None:
        point, unit = np.nonzero(zero)
        w = 1.0 if self.weight is None else self.weight(self.s[point])
        self.live[_GIVEN][point, unit] = w * b[unit]

    # --- maxima -------------------------------------------------------------------------------------------------

    def _maximum(self, layer: MaxLayer, part: Part, scale: FloatArray) -> FloatArray:
        windows = layer.windows
        oldest = self.born
        piece = np.zeros((len(self.s), part.size), dtype=np.int64)
        best = self.live[_GIVEN][:, windows[:, 0]]
        reach = scale[:, windows[:, 0]]
        for j in range(1, part.pieces):
            column = windows[:, j]
            height = self.live[_GIVEN][:, column] - best
            reach = np.maximum(reach, scale[:, column])
            sign = Signs.of(height, self._slack(reach))
            interval, unit = sign.crossings(self.chain)
            fraction = height[interval, unit] / (height[interval, unit] - height[interval + 1, unit])
            order = np.lexsort((fraction, interval))
            interval, unit, fraction = interval[order], unit[order], fraction[order]
            above = sign.above
            if interval.size:
                self.live["best"] = best
                parent = np.insert(np.arange(len(piece)), interval + 1, interval)
                new = self._insert(interval, fraction)
                best = self.live.pop("best")
                best[new, unit] = self.live[_GIVEN][new, column[unit]]
                piece = piece[parent]
                height = self.live[_GIVEN][:, column] - best
                height[new, unit] = 0.0
                above = height > self._slack(reach)
            # on an interval that nothing crosses, either end tells
            wins = above.copy()
            wins[:-1] |= above[1:]
            piece = np.where(wins, j, piece)
            best = np.maximum(best, self.live[_GIVEN][:, column])
        ends = _ends(self.chain)
        self.start[:, part.first : part.first + part.size] = piece[ends[:-1]]
        point, unit = np.nonzero(piece[1:] != piece[:-1])
        inside = (self.chain[point] == self.chain[point + 1]) & ~np.isin(point + 1, ends[1:] - 1)
        point, unit = point[inside], unit[inside]
        self._note(self.number[point + 1], part, unit, piece[point, unit], piece[point + 1, unit])
        needed = self.number < oldest
        needed[point + 1] = True
        self._keep(needed)
        return best[needed]

    # --- points -------------------------------------------------------------------------------------------------

    def _note(self, number: IntArray, part: Part, unit: IntArray, before: IntArray, after: IntArray) -> None:
        self.events.append(Events(number, part.first + unit, before, after))

    def _keep(self, mask: BoolArray) -> None:
        if not mask.all():
            self.live = {name: value[mask] for name, value in self.live.items()}
            self.s, self.chain, self.number = self.s[mask], self.chain[mask], self.number[mask]

    def _insert(self, interval: IntArray, fraction: FloatArray) -> IntArray:
        """Points between `interval` and the next one, sorted; where they stand now."""
        m, n = interval.size, len(self.s)
        new = interval + 1 + np.arange(m)
        if not m:
            return new
        old = np.arange(n) + np.concatenate([[0], np.cumsum(np.bincount(interval, minlength=n))[:-1]])
        part = fraction[:, None]
        for name, value in self.live.items():
            grown = np.empty((n + m, value.shape[1]))
            grown[old] = value
            left = value[interval]
            step = value[interval + 1]
            step -= left
            step *= part
            left += step
            grown[new] = left
            self.live[name] = grown
        grown_s = np.empty(n + m)
        grown_s[old] = self.s
        grown_s[new] = self.s[interval] + fraction * (self.s[interval + 1] - self.s[interval])
        chain, number = np.empty(n + m, dtype=np.int64), np.empty(n + m, dtype=np.int64)
        chain[old], chain[new] = self.chain, self.chain[interval]
        number[old], number[new] = self.number, self.born + np.arange(m)
        self.s, self.chain, self.number = grown_s, chain, number
        self.born += m
        return new


@dataclass(frozen=True, slots=True, eq=False)
class Signs:
    """Which side of a break every unit is on at every point: (P, n); `zero` where it is on it, None if nowhere."""

    above: BoolArray
    zero: BoolArray | None

    @classmethod
    def of(cls, height: FloatArray, slack: FloatArray) -> Signs:
        above, zero = height > 0, np.abs(height) <= slack
        if not zero.any():
            return cls(above, None)
        above &= ~zero
        return cls(above, zero)

    def crossings(self, chain: IntArray) -> tuple[IntArray, IntArray]:
        """Intervals and units: strictly on one side at one end and on the other at the other."""
        differ = self.above[1:] != self.above[:-1]
        if self.zero is not None:
            differ &= ~(self.zero[1:] | self.zero[:-1])
        differ[chain[1:] != chain[:-1]] = False
        flat = np.flatnonzero(differ)
        interval, unit = np.divmod(flat, differ.shape[1])
        return interval, unit

    def turns(self, chain: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Points on a break where the piece differs from one side to the other: point, unit, before, after."""
        if self.zero is None:
            return _nothing()[:2] + _nothing()[:2]
        point, unit = np.nonzero(self.zero)
        last = len(chain) - 1
        inside = (chain[np.maximum(point - 1, 0)] == chain[point]) & (
            chain[np.minimum(point + 1, last)] == chain[point]
        )
        inside &= (point > 0) & (point < last)
        point, unit = point[inside], unit[inside]
        before, after = self.above[point - 1, unit], self.above[point + 1, unit]
        turn = before != after
        return point[turn], unit[turn], before[turn].astype(np.int64), after[turn].astype(np.int64)

    def first(self, chain: IntArray) -> BoolArray:
        """Whether each unit is above at the beginning of each chain: (chains, n)."""
        begin = _ends(chain)[:-1]
        above = self.above[begin]
        return above if self.zero is None else above | (self.zero[begin] & self.above[begin + 1])


def _ends(chain: IntArray) -> IntArray:
    """Where each chain begins, and the end of the last."""
    return np.concatenate([[0], np.flatnonzero(chain[1:] != chain[:-1]) + 1, [len(chain)]])


def _nothing() -> tuple[IntArray, IntArray, FloatArray, IntArray]:
    empty = np.zeros(0, dtype=np.int64)
    return empty, empty, np.zeros(0), empty
