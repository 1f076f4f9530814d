"""Linear regions along lines: every breakpoint, exactly where the network bends, of thousands of segments at once.

Between two breakpoints every unit keeps its piece and the output is affine in t (Hanin and Rolnick 2019, section 5;
transitions along a trajectory: Raghu et al. 2017, section 2.2). Circles and arcs: `reludsl.regions.arcs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box, Polytope, Space
from reludsl.errors import InvalidInput
from reludsl.network import INPUT, Network
from reludsl.regions.definition import Definition
from reludsl.regions.equal import Maps
from reludsl.regions.forms import Basis, Form, exact_output, forms
from reludsl.regions.path import Path
from reludsl.regions.sweep import Events, Sweep
from reludsl.regions.units import TOLERANCE, check_tolerance, plan
from reludsl.regions.watch import Watch

CHUNK = 20
"""Chains that are swept at once: their values fit the cache."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Lines(Path):
    """Chains of segments, cut where a unit changes its piece (see `Path`).

    Args:
        nodes: (curves, nodes, inputs) the given points of each chain; s is k at the k-th. A whole line x + t d has the
            nodes -d, x and d, of which the outer ones are directions.
        whole: whether they are such lines.
        outputs: (points, outputs) the network's value at the points.
        tolerance: with which they were cut.
        measured: (curves, stops) what `lengths` gives, where that was asked for.
    """

    nodes: FloatArray
    whole: bool
    outputs: FloatArray
    tolerance: float
    measured: FloatArray | None

    @property
    def t(self) -> FloatArray:
        """(points,) s itself; of a whole line t = (s - 1) / (1 - |s - 1|), from -inf to inf, up to (1 + |t|) 1e-15."""
        if not self.whole:
            return self.s
        with np.errstate(divide="ignore"):
            return np.asarray((self.s - 1) / _weight(self.s))

    def at(self, point: IntArray) -> FloatArray:
        """The input at some points, by number: (m, inputs). Of a whole line not at its ends."""
        k = np.minimum(self.s[point].astype(np.int64), self.nodes.shape[1] - 2)
        rest = (self.s[point] - k)[:, None]
        chain = self.chain[point]
        x = (1 - rest) * self.nodes[chain, k] + rest * self.nodes[chain, k + 1]
        return x / _weight(self.s[point])[:, None] if self.whole else np.asarray(x)

    @property
    def straight(self) -> bool:
        """Segments or whole lines, no chains with corners."""
        return self.whole or self.nodes.shape[1] == 2

    def basis(self) -> Basis:
        """What spans each line: both ends of a segment, or the direction and the point of a whole line.

        Raises:
            InvalidInput: a chain with corners is no line.
        """
        if not self.straight:
            raise InvalidInput(
                f"a chain of {self.nodes.shape[1]} points is no line, so that its output is no affine function of t "
                "from corner to corner; give its segments to `line`"
            )
        return spanned(self.nodes, self.whole)

    def forms(self, stretches: IntArray) -> Form:
        """The output on some pieces as coefficients of `basis()`, with their errors: (m, 2, outputs)."""
        basis = self.basis().take(self.stretches.chain[stretches])
        *_, (_, form) = forms(self.plan, basis, self.pieces_of(stretches))
        return form

    def maps(self, stretches: IntArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Slope and intercept of the output as a function of t on some pieces (default: all): (m, outputs) each."""
        chosen = np.arange(len(self.stretches.left)) if stretches is None else stretches
        first, second = np.moveaxis(self.forms(chosen).value, 1, 0)
        return (first, second) if self.whole else (second - first, first)

    def lengths(self) -> FloatArray:
        """(curves, stops) how long the curve is at every stop (see `Plan.stops`), in the Euclidean norm: the sum of its
        affine pieces (Raghu et al. 2017, section 2.1). Where they were not measured on the way, by a further sweep.

        Raises:
            InvalidInput: of a whole line, which has no length.
        """
        if self.whole:
            raise InvalidInput("a whole line is infinitely long; give its two ends to `line`")
        return self._again if self.measured is None else self.measured

    @cached_property
    def _again(self) -> FloatArray:
        found = _swept(self.network, self.nodes, self.whole, self.tolerance, True).measured
        assert found is not None
        return found

    def counts(self, definition: Definition = Definition.ACTIVATION) -> IntArray:
        """(curves,) how many regions of this kind each curve meets in more than a point.

        CONNECTED and AFFINE are about the output as a function of t.

        Raises:
            InvalidInput: PATTERNS, or affine maps along a chain with corners.
        """
        if definition is Definition.ACTIVATION:
            return self.pieces
        if definition is Definition.PATTERNS:
            raise InvalidInput(
                "a line is cut where a pattern has a length, and PATTERNS counts those of single points as well; "
                "ask for them with method CELLS"
            )
        found = []
        for curve in range(self.curves):
            maps = self.compared(curve)
            count = len(maps.form.value)
            found.append(
                maps.connected(np.arange(count - 1), np.arange(1, count))[1]
                if definition is Definition.CONNECTED
                else maps.distinct()[1]
            )
        return np.array(found)

    def compared(self, curve: int) -> Maps:
        """The output's affine maps on the pieces of one line, to be compared exactly."""
        own = np.flatnonzero(self.stretches.chain == curve)
        pieces = self.pieces_of(own)
        one = self.basis().one(curve)
        return Maps(self.forms(own), lambda k: exact_output(self.plan, one, pieces[k]), 2 * self.network.parameters)


def line(
    network: Network,
    starts: FloatArray,
    ends: FloatArray,
    *,
    tolerance: float = TOLERANCE,
    measured: bool = False,
    watch: Watch | None = None,
) -> Lines:
    """Every breakpoint of the network on the segments (1 - t) start + t end, 0 <= t <= 1.

    Args:
        starts, ends: (segments, inputs), or one point each.
        tolerance: a value this close to its break, relative to the terms that it is the sum of, is on it.
        measured: take the `lengths` on the way, which costs a tenth of the time.
        watch: a deadline, and who is told how far it is.

    Raises:
        InvalidInput: shapes that do not fit, numbers that are not finite, values that overflow, a layer whose pieces
            are unknown.
        Late: the watch says that it is late, or an interrupt came.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.array([0.0, 1.0])), relu,
    ...                      Affine(np.array([[4.0, 2.0]]), np.array([-3.0])), relu], (1,))
    >>> found = line(net, np.array([-2.0]), np.array([2.0]))
    >>> found.t, found.layer, found.element
    (array([0.   , 0.375, 0.5  , 0.625, 0.75 , 1.   ]), ['3_relu', '1_relu', '3_relu', '1_relu'], array([0, 0, 0, 1]))
    >>> found.pieces, found.plan.unpack(found.patterns())[:, [0, 1, 2]].tolist()
    (array([5]), [[0, 1, 1], [0, 1, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]])
    """
    first, second = network.batch(starts), network.batch(ends)
    if first.shape != second.shape:
        raise InvalidInput(
            f"there are {len(first)} starts and {len(second)} ends; a segment needs one of each: give as many"
        )
    return _swept(network, np.stack([first, second], axis=1), False, tolerance, measured, watch)


def polyline(network: Network, nodes: FloatArray, *, tolerance: float = TOLERANCE, measured: bool = False) -> Lines:
    """Every breakpoint on the chain of segments through some points; s is k at point k.

    Args:
        nodes: (nodes, inputs), or (chains, nodes, inputs).
        tolerance, measured: as `line`.

    Raises:
        InvalidInput: fewer than two points, and as `line`.
    """
    array = np.asarray(nodes, dtype=np.float64)
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[1] < 2 or array.shape[2] != network.input_size:
        raise InvalidInput(
            f"points of shape {np.shape(nodes)} are no chain for a network of {network.input_size} inputs; give "
            f"(points, {network.input_size}) with at least two points, or (chains, points, {network.input_size})"
        )
    return _swept(network, array, False, tolerance, measured)


def whole_line(network: Network, point: FloatArray, direction: FloatArray, *, tolerance: float = TOLERANCE) -> Lines:
    """Every breakpoint on x + t d for all real t.

    Args:
        point, direction: (lines, inputs), or one of each.

    Raises:
        InvalidInput: a direction that is 0, and as `line`.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [1.0]]), np.array([0.0, -1000.0])), relu], (1,))
    >>> whole_line(net, np.zeros(1), np.ones(1)).t.round(6)
    array([ -inf,    0., 1000.,   inf])
    """
    x, d = network.batch(point), network.batch(direction)
    if x.shape != d.shape or not d.any(axis=1).all():
        raise InvalidInput(
            f"{len(x)} points and {len(d)} directions, of which {int((~d.any(axis=1)).sum())} are 0, give no lines; "
            "give one direction for each point, and none that is 0"
        )
    return _swept(network, np.stack([-d, x, d], axis=1), True, tolerance, False)


def of_domain(
    network: Network, domain: Box | Polytope | Space, *, tolerance: float = TOLERANCE, watch: Watch | None = None
) -> Lines:
    """The one curve of a network of one input: an interval, or all of R.

    Raises:
        InvalidInput: a network of more inputs.
        Late: the watch says that it is late, or an interrupt came.
    """
    nodes, whole = ends_of(network, domain)
    return _swept(network, nodes, whole, tolerance, False, watch)


def ends_of(network: Network, domain: Box | Polytope | Space) -> tuple[FloatArray, bool]:
    """What `Lines.nodes` and `Lines.whole` are of a domain of one coordinate.

    Raises:
        InvalidInput: a network of more inputs, an interval that is a point.
    """
    if network.input_size != 1 or domain.size != 1:
        raise InvalidInput(
            f"a network of {network.input_size} inputs on a domain of {domain.size} coordinates is not cut by points; "
            "give one input, or a line through its inputs with `line`"
        )
    if isinstance(domain, Space):
        return np.array([[[-1.0], [0.0], [1.0]]]), True
    if isinstance(domain, Polytope):
        low = -domain.support(np.array([[-1.0]]))
        high = domain.support(np.array([[1.0]]))
        return network.batch(np.stack([low, high]))[None], False
    low, high = domain.lower.ravel(), domain.upper.ravel()
    if not low < high:
        raise InvalidInput(f"the interval is the point {low.item():g}, which has no pieces; give two different ends")
    return np.stack([low, high])[None], False


def spanned(nodes: FloatArray, whole: bool) -> Basis:
    """What spans lines: both ends of a segment, or the direction and the point of a whole line."""
    return Basis(nodes[:, [2, 1]], np.array([0.0, 1.0])) if whole else Basis(nodes, np.ones(2))


def _weight(s: FloatArray) -> FloatArray:
    """w on the way from the direction -d over a point to the direction d."""
    return np.asarray(1 - np.abs(s - 1))


def _swept(
    network: Network,
    nodes: FloatArray,
    whole: bool,
    tolerance: float,
    measured: bool,
    watch: Watch | None = None,
) -> Lines:
    if not np.isfinite(nodes).all():
        raise InvalidInput("a point of a line holds a number that is not finite; give finite ones, or use `whole_line`")
    if not len(nodes):
        raise InvalidInput("there is no line to cut; give at least one start and one end")
    check_tolerance(tolerance)
    own = plan(network)
    found: list[tuple[Sweep, Events]] = []
    for first in range(0, len(nodes), CHUNK):
        part = nodes[first : first + CHUNK]
        count, length, n = part.shape
        sweep = Sweep(
            plan=own,
            live={INPUT: part.reshape(-1, n).copy()},
            s=np.tile(np.arange(float(length)), count),
            chain=np.repeat(np.arange(count), length),
            tolerance=tolerance,
            weight=_weight if whole else None,
            measured=measured,
            watch=watch,
        )
        found.append((sweep, sweep.run()))
    return _joined(network, nodes, whole, tolerance, found)


def _joined(
    network: Network, nodes: FloatArray, whole: bool, tolerance: float, found: list[tuple[Sweep, Events]]
) -> Lines:
    events, points = [], 0
    for sweep, event in found:
        place = np.empty(sweep.born, dtype=np.int64)
        place[sweep.number] = np.arange(len(sweep.s))
        order = np.argsort(place[event.point], kind="stable")
        events.append(
            Events(points + place[event.point][order], event.unit[order], event.before[order], event.after[order])
        )
        points += len(sweep.s)
    sizes = np.concatenate([np.bincount(sweep.chain) for sweep, _ in found])
    every = Events.joined(events)
    return Lines(
        network=network,
        s=np.concatenate([sweep.s for sweep, _ in found]),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        start=np.concatenate([sweep.start for sweep, _ in found]),
        point=every.point,
        unit=every.unit,
        before=every.before,
        after=every.after,
        nodes=nodes,
        whole=whole,
        outputs=np.concatenate([sweep.live[network.output] for sweep, _ in found]),
        tolerance=tolerance,
        measured=np.concatenate([np.stack(sweep.lengths, axis=1) for sweep, _ in found])
        if found[0][0].measured
        else None,
    )
