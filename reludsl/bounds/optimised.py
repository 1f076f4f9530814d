"""Optimised linear bounds: backward linear bounds whose lines are tuned for every objective by itself.

A line below (above) an activation on [l, u] may have any slope s; its offset is then min (max) of f(z) - s z over the
interval, which `deviation` gives, rounded outward. Every choice of slopes proves a bound, and the best one is at least
as good as the choice of least area that `crown` makes: alpha-CROWN (Xu et al. 2021, Fast and complete: enabling
complete neural network verification with rapid and massively parallel incomplete verifiers). With z* the vertex where
the line touches f and A the coefficient of f(z) in the objective, the bound grows with the slope by A (z - z*), z taken
where the relaxed network is largest; that is the projected (Adam) descent made here, for all objectives of a batch at
once.

Above a convex activation and below a concave one the chord beats every other line, and stays.

The descent is plain float arithmetic. What is returned is one backward pass with the best slopes found, rounded outward
(`reludsl.bounds.linear`): its mistakes cost tightness, never soundness.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray
from reludsl.bounds.linear import LARGEST, best_is_interval, crown, linear_form, relaxed, upper_over
from reludsl.bounds.propagate import Bounds
from reludsl.domain import Box, Domain
from reludsl.layers import Activation, AffineLayer, LinearBounds, elementwise
from reludsl.network import INPUT, Network, Stage

ITERATIONS = 40
"""Steps of a descent: half of what it gains comes with the first ten."""

RATE, FALL = 0.3, 0.98
"""Length of the first step as a share of the range of slopes, and what every further step is shortened by."""

BATCH = 512
"""Objectives tuned together: enough for the matrix products, few enough to stay in the caches."""

Chosen = Callable[[Bounds, Stage], BoolArray]
"""Which elements of a stage are worth bounding better."""


@dataclass(slots=True, eq=False)
class _Side:
    """The slopes of the lines below (or above) one activation layer, one per objective and element: (m, n).

    Args:
        sign: 1 below, -1 above: the offset is the smallest sign * (f(z) - s z) over the vertices, times sign.
        points, values: (K + 2, n) vertices of f on the boxes.
        least, most: (n,) between which the slopes stay; equal where an element is held on one piece.
        first, second: moments of Adam.
    """

    sign: float
    points: FloatArray
    values: FloatArray
    least: FloatArray
    most: FloatArray
    slope: FloatArray
    best: FloatArray
    first: FloatArray
    second: FloatArray

    @classmethod
    def of(cls, layer: Activation, box: Box, sign: float, start: FloatArray, count: int) -> _Side:
        points, free = layer.vertices(box), layer.held_piece(box) < 0
        slopes = layer.slopes_at(box.size)
        least, most = np.where(free, slopes.min(axis=0), start), np.where(free, slopes.max(axis=0), start)
        slope = np.repeat(start[None, :], count, axis=0)
        zero = np.zeros_like(slope)
        return cls(sign, points, layer(points), least, most, slope, slope, zero, zero)

    def touch(self) -> tuple[FloatArray, FloatArray]:
        """Offsets of the lines, and where they touch f: (m, n) each; plain floats, not rounded outward."""
        offset = self.values[0] - self.slope * self.points[0]
        where = np.broadcast_to(self.points[0], offset.shape)
        for point, value in zip(self.points[1:], self.values[1:]):
            gap = value - self.slope * point
            nearer = self.sign * gap < self.sign * offset
            offset, where = np.where(nearer, gap, offset), np.where(nearer, point, where)
        return offset, where

    def descend(self, gradient: FloatArray, t: int) -> None:
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        step = self.first / (np.sqrt(self.second / (1 - 0.999 ** (t + 1))) + 1e-12)
        rate = RATE * FALL**t / (1 - 0.9 ** (t + 1))
        self.slope = np.clip(self.slope - rate * (self.most - self.least) * step, self.least, self.most)

    def remember(self, better: BoolArray) -> None:
        self.best = np.where(better[:, None], self.slope, self.best)

    def keep(self, rows: BoolArray) -> None:
        self.slope, self.best, self.first, self.second = (
            v[rows] for v in (self.slope, self.best, self.first, self.second)
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """The lines of one activation layer; a side without slopes of its own keeps the line of least area."""

    layer: Activation
    box: Box
    plain: LinearBounds
    below: _Side | None
    above: _Side | None

    @classmethod
    def of(cls, layer: Activation, box: Box, count: int) -> _Lines:
        plain = layer.relax(box)
        low, high = np.asarray(plain.lower_slope), np.asarray(plain.upper_slope)
        below = None if layer.concave else _Side.of(layer, box, 1.0, low, count)
        above = None if layer.convex else _Side.of(layer, box, -1.0, high, count)
        return cls(layer, box, plain, below, above)

    @property
    def sides(self) -> list[_Side]:
        return [side for side in (self.below, self.above) if side is not None]

    def proved(self, count: int) -> LinearBounds:
        """The best lines, their offsets rounded outward, with a batch axis: (m, n)."""
        lower, upper = np.asarray(self.plain.lower_slope), np.asarray(self.plain.upper_slope)
        low, high = self.plain.lower_offset, self.plain.upper_offset
        if self.below is not None:
            lower = self.below.best
            low = self.layer.deviation(self.box, lower)[0]
        if self.above is not None:
            upper = self.above.best
            high = self.layer.deviation(self.box, upper)[1]
        shape = (count, self.box.size)
        return LinearBounds(*(np.broadcast_to(v, shape) for v in (lower, low, upper, high)))


@dataclass(slots=True, eq=False)
class _Descent:
    """A batch of objectives on their way down.

    Args:
        rows: (m, size) the objectives, over the value of `target`.
        lines: per activation layer of the cone; `fixed`: of layers of other kinds.
        reached: (m,) the best bounds so far, not rounded outward.
    """

    network: Network
    domain: Domain
    target: str
    rows: FloatArray
    boxes: Mapping[str, Box]
    lines: dict[str, _Lines] = field(default_factory=dict)
    fixed: dict[str, LinearBounds] = field(default_factory=dict)
    reached: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.reached = np.full(len(self.rows), np.inf)
        for node in self.network.cone(self.target):
            if isinstance(node.layer, AffineLayer):
                continue
            box = self.network.around(node, self.boxes)
            if elementwise(node.layer):
                self.lines[node.name] = _Lines.of(node.layer, box, len(self.rows))
            else:
                self.fixed[node.name] = relaxed(node.layer, box)

    @property
    def _sides(self) -> list[_Side]:
        return [side for lines in self.lines.values() for side in lines.sides]

    def step(self, t: int) -> None:
        """The bounds of the slopes at hand, and one step from there."""
        touching = {name: [(s, *s.touch()) for s in lines.sides] for name, lines in self.lines.items()}
        now = {name: self._drawn(lines, touching[name]) for name, lines in self.lines.items()} | self.fixed
        at_input, offset, coefficients = self._backward(now)
        x = self.domain.maximiser(at_input)
        bound = offset + (at_input * x).sum(axis=1)
        better = bound < self.reached
        self.reached = np.where(better, bound, self.reached)
        for side in self._sides:
            side.remember(better)
        held = {INPUT: x}
        for node in self.network.cone(self.target)[:-1]:
            z = self.network.gather(node, held)
            if isinstance(node.layer, AffineLayer):
                held[node.name] = node.layer(z)
                continue
            # a node that no objective looks at has no coefficients
            a, line = coefficients.get(node.name, np.zeros(1)), now[node.name]
            high, low = _value(line.upper_slope, line.upper_offset, z), _value(line.lower_slope, line.lower_offset, z)
            held[node.name] = np.where(a > 0, high, low)
            for side, _, touch in touching.get(node.name, ()):
                part = np.minimum(a, 0.0) if side.sign > 0 else np.maximum(a, 0.0)
                side.descend(part * (z - touch), t)

    def _drawn(self, lines: _Lines, touching: list[tuple[_Side, FloatArray, FloatArray]]) -> LinearBounds:
        plain = lines.plain
        drawn = {1.0: (plain.lower_slope, plain.lower_offset), -1.0: (plain.upper_slope, plain.upper_offset)}
        drawn |= {side.sign: (side.slope, offset) for side, offset, _ in touching}
        return LinearBounds(*drawn[1.0], *drawn[-1.0])

    def _backward(self, lines: Mapping[str, LinearBounds]) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
        """Coefficients at the input, offsets, and the coefficients of what is not affine: a plain backward pass."""
        pending, coefficients = {self.target: self.rows}, {}
        offset = np.zeros(len(self.rows))
        for node in reversed(self.network.cone(self.target)):
            if node.name not in pending:
                continue
            a = pending.pop(node.name)
            if isinstance(node.layer, AffineLayer):
                offset += a @ np.broadcast_to(node.layer.bias, a.shape[-1:])
                a = node.layer.adjoint(a)
            else:
                line = lines[node.name]
                coefficients[node.name] = a
                positive = np.maximum(a, 0.0)
                negative = a - positive
                offset += (positive * line.upper_offset).sum(axis=1) + (negative * line.lower_offset).sum(axis=1)
                a = _pulled(positive, line.upper_slope) + _pulled(negative, line.lower_slope)
            for source, part in self.network.split(node, a):
                pending[source] = pending[source] + part if source in pending else part
        return pending.pop(INPUT, np.zeros((len(self.rows), self.network.input_size))), offset, coefficients

    def keep(self, rows: BoolArray) -> None:
        """Go on with some of the objectives."""
        self.rows, self.reached = self.rows[rows], self.reached[rows]
        for side in self._sides:
            side.keep(rows)

    def proved(self) -> FloatArray:
        """One backward pass with the best slopes, rounded outward: (m,)."""
        lines = {name: lines.proved(len(self.rows)) for name, lines in self.lines.items()}
        form = linear_form(self.network, {self.target: self.rows[:, None, :]}, self.boxes, {**self.fixed, **lines})
        return upper_over(self.domain, form.singles())


def _value(slope: FloatArray | sparse.csr_array, offset: FloatArray, z: FloatArray) -> FloatArray:
    linear = (slope @ z.T).T if isinstance(slope, sparse.csr_array) else slope * z
    return np.asarray(linear + offset)


def _pulled(a: FloatArray, slope: FloatArray | sparse.csr_array) -> FloatArray:
    return np.asarray(a @ slope if isinstance(slope, sparse.csr_array) else a * slope)


def optimised_upper(
    network: Network,
    domain: Domain,
    target: str,
    rows: FloatArray,
    boxes: Mapping[str, Box],
    *,
    iterations: int = ITERATIONS,
    enough: FloatArray | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> FloatArray:
    """Upper bounds of max over the domain of A v(x), v the value of `target`, lines tuned per row: (m, size) -> (m,).

    Args:
        boxes: proved bounds of every node that the target depends on.
        enough: (m,) a row whose bound has come down to this needs no further steps.
        stop: asked between steps; True ends the descent with what it has.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0], [1.0]]), np.array([-0.25, 0.0, 0.0])), relu,
    ...                      Affine(np.array([[-1.0, 1.0, 1.0]]), np.zeros(1))], (1,))
    >>> plain = crown(net, Box([-1.0], [2.0]))
    >>> tuned = optimised_upper(net, plain.domain, "2_affine", np.ones((1, 1)), plain.boxes)
    >>> plain.boxes["2_affine"].upper.round(3), tuned.round(3)
    (array([2.25]), array([1.417]))
    """
    widest = max([network.input_size, *(network.size(node.name) for node in network.cone(target))])
    batch = max(8, min(BATCH, LARGEST // (4 * widest)))
    found = [np.zeros(0)]
    for start in range(0, len(rows), batch):
        part = slice(start, start + batch)
        goal = np.full(len(rows[part]), -np.inf) if enough is None else enough[part]
        found.append(_down(_Descent(network, domain, target, rows[part], boxes), iterations, goal, stop))
    return np.concatenate(found)


def _down(descent: _Descent, iterations: int, enough: FloatArray, stop: Callable[[], bool]) -> FloatArray:
    """The proved bounds of a batch; objectives leave it when theirs is good enough."""
    found, place = np.full(len(enough), np.inf), np.arange(len(enough))
    for t in range(iterations if descent.lines else 0):
        descent.step(t)
        # a margin for the rounding of the pass that proves it
        near = descent.reached <= enough[place] - 1e-9 * (1.0 + np.abs(enough[place]))
        if near.any():
            found[place] = np.minimum(found[place], descent.proved())
            open_ = found[place] > enough[place]
            if not open_.any():
                return found
            if not open_.all():
                descent.keep(open_)
                place = place[open_]
        if stop():
            break
    found[place] = np.minimum(found[place], descent.proved())
    return found


def optimised(
    network: Network,
    domain: Domain,
    known: Bounds | None = None,
    *,
    chosen: Chosen | None = None,
    iterations: int = ITERATIONS,
    stop: Callable[[], bool] = lambda: False,
) -> Bounds:
    """`crown`, with the bounds of chosen elements tuned, layer by layer: each layer's bounds serve the next.

    Args:
        known: proved bounds of the same network and domain, used from the start.
        chosen: which elements of a stage are tuned; all of them by default.
        stop: asked between steps; True leaves the rest as `crown` has it.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2)), relu,
    ...                      Affine(np.array([[1.0, 1.0]]), np.array([-1.5]))], (2,))
    >>> optimised(net, Box([0.0, 0.0], [1.0, 1.0])).boxes["2_affine"].upper.round(9)
    array([-0.5])
    """
    bounds = crown(network, domain, known)
    for k, stage in enumerate(network.stages):
        if stop():
            break
        if k:
            bounds = crown(network, domain, bounds)
        wanted = np.arange(stage.size) if chosen is None else np.flatnonzero(chosen(bounds, stage))
        if not wanted.size or best_is_interval(network, domain, stage.pre):
            continue
        box = bounds.pre(stage)
        rows = np.zeros((2 * wanted.size, stage.size))
        rows[np.arange(wanted.size), wanted] = 1.0
        rows[wanted.size + np.arange(wanted.size), wanted] = -1.0
        above = optimised_upper(network, domain, stage.pre, rows, bounds.boxes, iterations=iterations, stop=stop)
        lower, upper = box.lower.copy(), box.upper.copy()
        upper[wanted] = np.minimum(upper[wanted], above[: wanted.size])
        lower[wanted] = np.maximum(lower[wanted], -above[wanted.size :])
        bounds = bounds.tightened({stage.pre: Box(np.minimum(lower, upper), np.maximum(lower, upper))})
    return bounds
