"""Activation patterns and lengths along trajectories: transitions T(F, x(t)), and how the curve grows layer by layer.

A unit *switches* where it goes from one of its pieces to another: a ReLU off or on, a hard tanh between -1, linear and
1, a maximum from one place of its window to another. A *transition* is a point of the curve at which the activation
pattern changes, that is, at which some unit switches. Both are found in closed form, so nothing is sampled.

Source: Raghu, Poole, Kleinberg, Ganguli and Sohl-Dickstein, On the expressive power of deep neural networks, ICML 2017,
sections 2.1 and 2.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.network import Network
from reludsl.progress import OnProgress, silent
from reludsl.regions.arcs import Arcs
from reludsl.regions.arcs import arc as cut_arc
from reludsl.regions.lines import Lines, line, polyline
from reludsl.regions.units import TOLERANCE
from reludsl.regions.watch import Watch, ends_plainly


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What a network does to curves through its inputs.

    Args:
        path: the curves, cut where a unit switches.

    Raises:
        InvalidInput: whole lines, which have no length; values of 1e154 or so, whose squares overflow.
    """

    path: Lines | Arcs

    def __post_init__(self) -> None:
        finite = np.isfinite(self.path.lengths()).all(axis=0)
        if not finite.all():
            raise InvalidInput(
                f"lengths at {self.stops[int(finite.argmin())]!r} overflow, as squares of values beyond 1e154 do, so "
                "that nothing is known of them; give smaller inputs, or scale the network"
            )

    @property
    def curves(self) -> int:
        return self.path.curves

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the nodes with units, in order: activations and maxima."""
        return tuple(part.name for part in self.path.plan.parts)

    @property
    def stops(self) -> tuple[str, ...]:
        """Where lengths are taken: the input, every one of `layers` (behind its activation), and the output."""
        return self.path.plan.stops

    # --- transitions --------------------------------------------------------------------------------------------

    @cached_property
    def transitions(self) -> IntArray:
        """(curves,) T: at how many points of each curve the activation pattern changes.

        Pieces less one; on a closed curve also where it begins, if the pattern changes there.
        """
        return self.path.pieces - 1 + self._seam.any(axis=1)

    @cached_property
    def by_unit(self) -> IntArray:
        """(curves, units) how often each unit switches, the units of `layers` one after the other.

        Where no two units switch at the same point, those of a curve add up to its `transitions`.
        """
        units = self.path.plan.units
        piece, unit = self.path.switches
        where = self.path.stretches.chain[piece] * units + unit
        return np.bincount(where, minlength=self.curves * units).reshape(self.curves, units) + self._seam

    @cached_property
    def by_layer(self) -> IntArray:
        """(curves, layers) how often the units of each layer switch."""
        parts = self.path.plan.split(self.by_unit)
        none = np.zeros((self.curves, 0), dtype=np.int64)
        return np.concatenate([none, *(part.sum(axis=1, keepdims=True) for part in parts)], axis=1)

    def breakpoints(self, curve: int = 0) -> FloatArray:
        """(transitions,) where the pattern changes on one curve: 0 at its beginning, 1 at its end.

        A chain has its corners at equal steps, and an arc grows with its angle.

        Raises:
            InvalidInput: no curve of that number.
        """
        first, last = self._ends(curve)
        left = self.path.stretches.left[self.path.stretches.chain == curve][1:]
        at = (self.path.s[left] - first) / (last - first)
        return np.concatenate([[0.0] if self._seam[curve].any() else [], at])

    # --- lengths ------------------------------------------------------------------------------------------------

    @property
    def lengths(self) -> FloatArray:
        """(curves, stops) how long the image of each curve is, in the Euclidean norm.

        The integral of |dz/dt|, piece by piece: of a straight curve the sum of the lengths of its affine pieces, of an
        arc the sum of arcs of ellipses, each an elliptic integral.
        """
        return self.path.lengths()

    @property
    def length_errors(self) -> FloatArray | None:
        """(curves, stops) a bound on the error of the `lengths` of arcs (`Arcs.length_errors`); None of other curves,
        whose sums are exact but for rounding."""
        return self.path.length_errors() if isinstance(self.path, Arcs) else None

    @property
    def growth(self) -> FloatArray:
        """(curves, stops - 1) length at each stop through that at the one before; NaN where that was 0."""
        before, after = self.lengths[:, :-1], self.lengths[:, 1:]
        return np.asarray(np.divide(after, before, out=np.full(after.shape, np.nan), where=before > 0))

    # --- closed curves ------------------------------------------------------------------------------------------

    @cached_property
    def closed(self) -> BoolArray:
        """(curves,) whether each curve ends where it began: full circles, and chains that come back."""
        if isinstance(self.path, Arcs):
            ends = self.path.offsets
            turn = self.path.s[ends[1:] - 1] - self.path.s[ends[:-1]]
            return np.asarray(turn >= 2 * math.pi * (1 - 1e-12))
        nodes = self.path.nodes
        return np.asarray((nodes[:, 0] == nodes[:, -1]).all(axis=1))

    @cached_property
    def _seam(self) -> BoolArray:
        """(curves, units) which units switch where a closed curve begins."""
        found = np.zeros((self.curves, self.path.plan.units), dtype=np.bool_)
        first = np.searchsorted(self.path.stretches.chain, np.arange(self.curves + 1))
        closed = np.flatnonzero(self.closed & (self.path.pieces > 1))
        begin = self.path.pieces_of(first[closed])
        found[closed] = self.path.pieces_of(first[closed + 1] - 1) != begin
        return found

    def _ends(self, curve: int) -> tuple[float, float]:
        if not 0 <= curve < self.curves:
            raise InvalidInput(f"there is no curve {curve} among {self.curves}; they are numbered from 0 on")
        first, last = self.path.offsets[curve], self.path.offsets[curve + 1] - 1
        return float(self.path.s[first]), float(self.path.s[last])


def trajectory(
    network: Network,
    start: FloatArray,
    end: FloatArray,
    *,
    arc: bool = False,
    tolerance: float = TOLERANCE,
    time_limit: float | None = None,
    progress: OnProgress = silent,
) -> Trajectory:
    """x(t) = (1 - t) start + t end, or the arc cos(pi t / 2) start + sin(pi t / 2) end, 0 <= t <= 1.

    Args:
        start, end: (curves, inputs), or one point each.
        arc: the arc, which keeps away from 0 where both ends do.
        tolerance: a value this close to its break, relative to the terms that it is the sum of, is on it.
        time_limit: seconds.
        progress: told how many pieces there are so far.

    Raises:
        InvalidInput: shapes that do not fit, numbers that are not finite, values or lengths that overflow, a layer
            whose pieces are unknown.
        OutOfTime: the time limit passed.

    Source: Raghu et al. 2017, sections 2.1 and 2.2 (see this module).

    The tent, three times: its 8 pieces are each 8 times as long as what they are the image of.

    >>> from reludsl.networks import sawtooth
    >>> found = trajectory(sawtooth(3), np.array([0.0]), np.array([1.0]))
    >>> found.transitions, found.breakpoints().tolist()
    (array([7]), [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875])
    >>> found.by_layer, found.lengths[:, [0, 2, 4, 6]]
    (array([[1, 0, 2, 0, 4, 0]]), array([[1., 2., 4., 8.]]))
    """
    watch = Watch.over(time_limit, progress)
    with ends_plainly():
        if arc:
            return Trajectory(cut_arc(network, 0.0, start, end, tolerance=tolerance, watch=watch))
        return Trajectory(line(network, start, end, tolerance=tolerance, measured=True, watch=watch))


def polyline_trajectory(network: Network, nodes: FloatArray, *, tolerance: float = TOLERANCE) -> Trajectory:
    """From point to point in straight lines.

    Args:
        nodes: (points, inputs), or (curves, points, inputs).

    Raises:
        InvalidInput: fewer than two points, and as `trajectory`.

    Source: Raghu et al. 2017, sections 2.1 and 2.2 (see this module).

    >>> from reludsl.networks import arrangement
    >>> square = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [1.0, 1.0]])
    >>> found = polyline_trajectory(arrangement(np.eye(2), np.zeros(2)), square)
    >>> found.transitions, found.by_unit, found.lengths
    (array([4]), array([[2, 2]]), array([[8., 4.]]))
    """
    return Trajectory(polyline(network, nodes, tolerance=tolerance, measured=True))


def circle_trajectory(
    network: Network,
    centre: FloatArray | float,
    cosine: FloatArray,
    sine: FloatArray,
    *,
    tolerance: float = TOLERANCE,
) -> Trajectory:
    """The full circle, or ellipse, centre + cos(2 pi t) cosine + sin(2 pi t) sine, 0 <= t <= 1.

    Args:
        centre, cosine, sine: (curves, inputs), or one point each; a number for the centre means it in every coordinate.

    Raises:
        InvalidInput: as `trajectory`.

    Source: Raghu et al. 2017, sections 2.1 and 2.2 (see this module).

    The circle begins where the second unit switches, which it does again half a turn later.

    >>> from reludsl.networks import arrangement
    >>> found = circle_trajectory(arrangement(np.eye(2), np.zeros(2)), 0.0, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    >>> found.transitions, found.breakpoints().tolist()
    (array([4]), [0.0, 0.25, 0.5, 0.75])
    >>> (found.lengths - [2 * np.pi, np.pi / 2 + 2]).round(12)  # behind the ReLUs a quarter of it, and the two axes
    array([[0., 0.]])
    """
    return Trajectory(cut_arc(network, centre, cosine, sine, angles=(0.0, 2 * math.pi), tolerance=tolerance))
