"""Linear regions along circles and arcs x(s) = c + cos(s) a + sin(s) b: every transition in closed form.

Where no unit changes its piece, every value of the network is A cos s + B sin s + C. A break is met where
R cos(s - phi) = break - C with R e^(i phi) = A + i B: at no more than two angles. So arcs need no discretisation, and
the sweep holds A, B and C for every piece, node by node. The arc between two points of Raghu et al. 2017 (section 2.2),
cos(pi t / 2) x_0 + sin(pi t / 2) x_1, is `arc(net, 0, x_0, x_1)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.layers import Activation, AffineLayer, MaxLayer, elementwise
from reludsl.network import INPUT, Network
from reludsl.regions.drift import Drift
from reludsl.regions.ellipse import ellipse_lengths
from reludsl.regions.path import CLOSE, Path
from reludsl.regions.sweep import Events
from reludsl.regions.units import TOLERANCE, Part, Plan, Scales, check_tolerance, plan
from reludsl.regions.watch import Late, Watch

CHUNK = 20
"""Arcs that are swept at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Arcs(Path):
    """Arcs, cut where a unit changes its piece (see `Path`); s is the angle.

    Args:
        centre, cosine, sine: (curves, inputs) c, a and b.
        measured, errors: (curves, stops) what `lengths` and `length_errors` give.
    """

    centre: FloatArray
    cosine: FloatArray
    sine: FloatArray
    measured: FloatArray
    errors: FloatArray

    def at(self, point: IntArray) -> FloatArray:
        """The input at some points, by number: (m, inputs)."""
        return self.at_angles(self.chain[point], self.s[point])

    def at_angles(self, curve: IntArray, angle: FloatArray) -> FloatArray:
        """The input of some curves at some angles: (m, inputs)."""
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        return np.asarray(self.centre[curve] + cos * self.cosine[curve] + sin * self.sine[curve])

    def lengths(self) -> FloatArray:
        """(curves, stops) how long the curve is at every stop (see `Plan.stops`), in the Euclidean norm: of every piece
        the arc of an ellipse, an elliptic integral (see `reludsl.regions.ellipse`).
        """
        return self.measured

    def length_errors(self) -> FloatArray:
        """(curves, stops) what the lengths may be off by: the rounding of coefficients and integrals, propagated.

        Where a breakpoint stands is rounded too, by the error of its unit's value over the slope there. That counts as
        an error of the coefficients on the whole piece, which outweighs it but on arcs much shorter than a turn.
        """
        return self.errors


def arc(
    network: Network,
    centre: FloatArray | float,
    cosine: FloatArray,
    sine: FloatArray,
    *,
    angles: tuple[float, float] = (0.0, 0.5 * math.pi),
    tolerance: float = TOLERANCE,
    watch: Watch | None = None,
) -> Arcs:
    """Every breakpoint on c + cos(s) a + sin(s) b for `angles[0] <= s <= angles[1]`.

    Args:
        centre, cosine, sine: c, a and b, (arcs, inputs) or one point each; a number for c means it in every coordinate.
        angles: in radians; (0, 2 pi) is the whole circle.
        watch: a deadline, and who is told how far it is.

    Raises:
        Late: the watch says that it is late.
        InvalidInput: shapes that do not fit, numbers that are not finite, values that overflow, angles that do not
            increase or turn round more than once.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.eye(2), np.array([-0.5, 0.0])), relu], (2,))
    >>> found = arc(net, 0.0, np.array([1.0, 0.0]), np.array([0.0, 1.0]), angles=(0.0, 2 * math.pi))
    >>> (found.s / math.pi).round(4), found.pieces
    (array([0.    , 0.3333, 1.    , 1.6667, 2.    ]), array([4]))
    """
    a, b = network.batch(cosine), network.batch(sine)
    middle = np.asarray(centre, dtype=np.float64)
    c = network.batch(middle) if middle.ndim else np.full(a.shape, middle)
    if not a.shape == b.shape == c.shape:
        raise InvalidInput(
            f"there are {len(c)} centres, {len(a)} and {len(b)} half axes; an arc needs one of each: give as many"
        )
    low, high = angles
    if not (np.isfinite([c, a, b]).all() and low < high <= low + 2 * math.pi * (1 + 1e-12)):
        raise InvalidInput(
            f"an arc goes from {low:g} to {high:g}, and its points must be finite; give finite points and two angles "
            "in radians that increase by no more than 2 pi"
        )
    if not len(a):
        raise InvalidInput("there is no arc to cut; give at least one centre and its half axes")
    check_tolerance(tolerance)
    own = plan(network)
    norms: dict[str, float] = {}
    # values that overflow are refused in words, lengths that do by whoever takes them
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [slice(k, k + CHUNK) for k in range(0, len(a), CHUNK)]
        found = [_Arcs(own, c[p], a[p], b[p], (low, high), tolerance, Drift(network, norms), watch) for p in parts]
        joined = [sweep.run() for sweep in found]
    shift = np.cumsum([0, *(len(s) for s, _, _ in joined)])
    events = Events.joined(
        [Events(k + e.point, e.unit, e.before, e.after) for k, (_, _, e) in zip(shift.tolist(), joined)]
    )
    sizes = np.concatenate([size for _, size, _ in joined])
    return Arcs(
        network=network,
        s=np.concatenate([s for s, _, _ in joined]),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        start=np.concatenate([sweep.start for sweep in found]),
        point=events.point,
        unit=events.unit,
        before=events.before,
        after=events.after,
        centre=c,
        cosine=a,
        sine=b,
        measured=np.concatenate([np.stack(sweep.lengths, axis=1) for sweep in found]),
        errors=np.concatenate([np.stack(sweep.errors, axis=1) for sweep in found]),
    )


@dataclass(slots=True, eq=False)
class _Arcs:
    """Intervals of some arcs, in order, and the coefficients of every value that is still needed on them.

    Args:
        live: (intervals, 3, n) A, B and C, by node.
        left, right: the angles of every interval.
        number: of the point on its left.
        drift: what any A and B may be off by.
        watch: looked at before every node with units.
        lengths, errors: (arcs,) at every stop, one after the other; as in `Sweep`, of the intervals by then.
    """

    plan: Plan
    centre: FloatArray
    cosine: FloatArray
    sine: FloatArray
    angles: tuple[float, float]
    tolerance: float
    drift: Drift
    watch: Watch | None
    live: dict[str, FloatArray] = field(init=False)
    left: FloatArray = field(init=False)
    right: FloatArray = field(init=False)
    chain: IntArray = field(init=False)
    number: IntArray = field(init=False)
    born: int = field(init=False)
    start: IntArray = field(init=False)
    events: list[Events] = field(init=False, default_factory=list)
    lengths: list[FloatArray] = field(init=False, default_factory=list)
    errors: list[FloatArray] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        count = len(self.centre)
        self.live = {INPUT: np.stack([self.cosine, self.sine, self.centre], axis=1)}
        self.left, self.right = (np.full(count, float(angle)) for angle in self.angles)
        self.chain = np.arange(count)
        self.number, self.born = np.arange(count), count
        self.start = np.zeros((count, self.plan.units), dtype=np.int64)
        self._measure(INPUT)

    def run(self) -> tuple[FloatArray, IntArray, Events]:
        """The angles of all points, how many each arc has, and what happens at them."""
        network = self.plan.network
        scales = Scales(network, None)
        scales.note(INPUT, None, np.abs(self.live[INPUT]).sum(axis=1), begin=np.arange(len(self.centre)))
        for step in self.plan.steps:
            node, layer = step.node, step.node.layer
            if step.part is not None and self.watch is not None:
                self.watch.tell("pieces", len(self.left))
                if self.watch.late:
                    inner = 0.5 * (self.left + self.right)
                    raise Late(inner[:, None], step.part.bit, self.plan.bits)
            scale = scales.of(node)
            given = network.gather(node, self.live)
            self.live = {name: self.live[name] for name in step.kept}
            if isinstance(layer, AffineLayer):
                value = layer.apply(given.reshape(-1, given.shape[-1])).reshape(len(given), 3, -1)
                value = value + np.array([[0.0], [0.0], [1.0]]) * layer.bias
            else:
                assert step.part is not None
                self.live[""] = given
                if isinstance(layer, MaxLayer):
                    value = self._maximum(layer, step.part, scale)
                else:
                    assert elementwise(layer)
                    value = self._activation(layer, step.part, scale)
                del self.live[""]
            # C as well: where a breakpoint stands comes from all three
            self.drift.note(node, *(v.reshape(-1, v.shape[2]) for v in (given, value)))
            scales.note(
                node.name, layer, np.abs(value).sum(axis=1), scale, np.flatnonzero(np.diff(self.chain, prepend=-1))
            )
            self.live[node.name] = value
            if node.name in self.plan.stops:
                self._measure(node.name)
        count = np.bincount(self.chain)
        last = np.cumsum(count)
        s = np.insert(self.left, last, self.angles[1])
        place = np.empty(self.born, dtype=np.int64)
        place[self.number] = np.arange(len(self.number)) + self.chain
        every = Events.joined(self.events)
        order = np.argsort(place[every.point], kind="stable")
        return (
            s,
            count + 1,
            Events(place[every.point][order], *(c[order] for c in (every.unit, every.before, every.after))),
        )

    def _measure(self, name: str) -> None:
        value = self.live[name]
        length, error = ellipse_lengths(value[:, 0], value[:, 1], self.left, self.right, self.drift.norm[name])
        for found, values in ((self.lengths, length), (self.errors, error)):
            found.append(np.bincount(self.chain, values, len(self.centre)).astype(np.float64, copy=False))

    def _activation(self, layer: Activation, part: Part, scale: FloatArray) -> FloatArray:
        breaks = layer.breaks_at(part.size)
        self._split([self._height(b, scale) for b in breaks])
        given = self.live[""]
        piece = np.zeros((len(given), part.size), dtype=np.int64)
        for b in breaks:
            piece += self._above(self._height(b, scale))
        self._note(part, piece)
        slope, intercept = layer.slope_of(piece), layer.intercept_of(piece)
        value = slope[:, None, :] * given
        value[:, 2] += intercept
        return value

    def _height(self, b: FloatArray, scale: FloatArray) -> FloatArray:
        """How far what is given is above a break."""
        return self._cleared(self.live[""] - np.stack([np.zeros_like(b), np.zeros_like(b), b]), scale + np.abs(b))

    def _cleared(self, height: FloatArray, scale: FloatArray) -> FloatArray:
        """0 where it is within the tolerance on the whole circle, so that rounding errors have no roots."""
        size = np.abs(height).sum(axis=1)
        return np.asarray(np.where((size > self.tolerance * scale[self.chain])[:, None], height, 0.0))

    def _maximum(self, layer: MaxLayer, part: Part, scale: FloatArray) -> FloatArray:
        oldest = self.born
        piece = np.zeros((len(self.left), part.size), dtype=np.int64)
        for j in range(1, part.pieces):
            parent = self._split([self._ahead(layer, piece, j, scale)])
            piece = piece[parent]
            piece = np.where(self._above(self._ahead(layer, piece, j, scale)), j, piece)
        self._note(part, piece)
        # points at which no unit changed its piece in the end
        same = np.concatenate([[False], (piece[1:] == piece[:-1]).all(axis=1)])
        needed = ~(same & (self.number >= oldest))
        self.right = self.right[np.concatenate([np.flatnonzero(needed)[1:], [len(needed)]]) - 1]
        self._take(np.flatnonzero(needed))
        copied = layer.windows[np.arange(part.size), piece[needed]]
        return np.take_along_axis(self.live[""], copied[:, None, :], axis=2)

    def _ahead(self, layer: MaxLayer, piece: IntArray, j: int, scale: FloatArray) -> FloatArray:
        """How far place j of every window is above the largest place before it."""
        given = self.live[""]
        best = layer.windows[np.arange(piece.shape[1]), piece]
        ahead = given[:, :, layer.windows[:, j]] - np.take_along_axis(given, best[:, None, :], axis=2)
        return self._cleared(ahead, scale[:, layer.windows[:, : j + 1]].max(axis=2))

    def _note(self, part: Part, piece: IntArray) -> None:
        begin = np.searchsorted(self.chain, np.arange(len(self.start)))
        self.start[:, part.first : part.first + part.size] = piece[begin]
        interval, unit = np.nonzero(piece[1:] != piece[:-1])
        inside = self.chain[interval] == self.chain[interval + 1]
        interval, unit = interval[inside], unit[inside]
        before, after = piece[interval, unit], piece[interval + 1, unit]
        self.events.append(Events(self.number[interval + 1], part.first + unit, before, after))

    def _above(self, height: FloatArray) -> BoolArray:
        """Whether A cos s + B sin s + C > 0 on each interval, where it does not change its sign.

        It may touch 0 at one point of a turn, the middle too: the farther from 0 of two values tells.
        """
        size = np.abs(height).sum(axis=1)
        value = np.zeros(size.shape)
        for angle in (0.5 * (self.left + self.right), 0.75 * self.left + 0.25 * self.right):
            cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
            other = cos * height[:, 0] + sin * height[:, 1] + height[:, 2]
            value = np.where(np.abs(other) > np.abs(value), other, value)
        return np.asarray(value > self.tolerance * size)

    def _split(self, heights: list[FloatArray]) -> IntArray:
        """Cut the intervals at all roots; for every new interval the number of the old one."""
        interval, angle = (
            np.concatenate(column)
            for column in zip((np.zeros(0, dtype=np.int64), np.zeros(0)), *(self._roots(h) for h in heights))
        )
        order = np.lexsort((angle, interval))
        interval, angle = interval[order], angle[order]
        # roots of several units at one angle are one point
        fresh = np.ones(interval.size, dtype=np.bool_)
        fresh[1:] = (interval[1:] != interval[:-1]) | (angle[1:] - angle[:-1] > CLOSE)
        interval, angle = interval[fresh], angle[fresh]
        count = np.bincount(interval, minlength=len(self.left))
        parent = np.repeat(np.arange(len(self.left)), count + 1)
        place = interval + 1 + np.arange(interval.size)
        right = self.right
        self._take(parent)
        self.left[place] = angle
        self.number[place] = self.born + np.arange(interval.size)
        self.born += interval.size
        self.right = right[parent]
        self.right[place - 1] = angle
        return parent

    def _roots(self, height: FloatArray) -> tuple[IntArray, FloatArray]:
        a, b, c = np.moveaxis(height, 1, 0)
        interval, unit = np.nonzero(np.abs(c) < np.hypot(a, b))
        a, b, c = a[interval, unit], b[interval, unit], c[interval, unit]
        middle, spread = np.arctan2(b, a), np.arccos(-c / np.hypot(a, b))
        left, right = self.left[interval], self.right[interval]
        found = []
        for angle in (middle - spread, middle + spread):
            turned = left + np.mod(angle - left, 2 * math.pi)
            inside = (turned > left + CLOSE) & (turned < right - CLOSE)
            found.append((interval[inside], turned[inside]))
        (first, one), (second, other) = found
        return np.concatenate([first, second]), np.concatenate([one, other])

    def _take(self, index: IntArray) -> None:
        self.live = {name: value[index] for name, value in self.live.items()}
        self.left, self.chain, self.number = self.left[index], self.chain[index], self.number[index]
