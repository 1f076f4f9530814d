"""Inputs that show what a neuron can do: the store of witnesses, and the searches that feed it.

A witness needs no solver and no trust: it is an input of the domain whose forward pass, in float64 with a
proved bound on its rounding error, puts a pre-activation on one side of a break. Two witnesses on either
side of a break prove that a neuron is unstable; nothing here ever proves that one is stable.

The searches work on all undecided neurons at once: seeds (random points, vertices, the vertices that extreme
a first-layer neuron), jumps to the maximiser of the gradient, and projected Adam ascent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.bounds import Bounds, forward_errors
from reludsl.domain import Domain
from reludsl.exact import exactly
from reludsl.network import Network, Stage

CHUNK = 2048
"""Points per forward pass: enough for the matrix products, little enough for the caches."""


@dataclass(slots=True)
class Extremes:
    """The lowest and highest pre-activations seen in one stage, and where.

    `low_error` and `high_error` bound the rounding error of the values: the true value at `low_at[i]` is at
    most `low[i] + low_error[i]`.
    """

    low: FloatArray
    high: FloatArray
    low_at: FloatArray
    high_at: FloatArray
    low_error: FloatArray
    high_error: FloatArray


class Witnesses:
    """The most extreme inputs seen so far for every hidden neuron of a network over a domain.

    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.domain import Box
    >>> from reludsl.bounds import interval
    >>> net = Network.chain([Affine(np.array([[1.0]]), np.zeros(1)), relu], (1,))
    >>> store = Witnesses(interval(net, Box([-1.0], [1.0])))
    >>> store.add(np.array([[-0.5], [0.25], [7.0]]))
    >>> store.stages[0].low, store.stages[0].high
    (array([-0.5]), array([0.25]))
    """

    def __init__(self, bounds: Bounds) -> None:
        self.network: Network = bounds.network
        self.domain: Domain = bounds.domain
        self._error = forward_errors(bounds)
        d = self.network.input_size
        self.stages = [
            Extremes(
                np.full(s.size, np.inf),
                np.full(s.size, -np.inf),
                np.zeros((s.size, d)),
                np.zeros((s.size, d)),
                self._error[s.pre].copy(),
                self._error[s.pre].copy(),
            )
            for s in self.network.hidden
        ]

    def add(self, points: FloatArray) -> None:
        """Run the points of a batch that lie in the domain, and keep what is more extreme than before."""
        points = np.asarray(points, dtype=np.float64).reshape(-1, self.network.input_size)
        points = points[self.domain.contains(points)]
        if not self.network.hidden:
            return
        last = self.network.hidden[-1].pre
        for start in range(0, len(points), CHUNK):
            batch = points[start : start + CHUNK]
            self.harvest(batch, self.network.values(batch, last))

    def harvest(self, batch: FloatArray, values: dict[str, FloatArray]) -> None:
        """Keep what is more extreme in a forward pass that was made already, of points inside the domain."""
        for stage, seen in zip(self.network.hidden, self.stages):
            if stage.pre not in values:
                continue
            z = values[stage.pre]
            if not len(z):
                return
            columns = np.arange(stage.size)
            for rows, best, at, error, better in (
                (z.argmin(axis=0), seen.low, seen.low_at, seen.low_error, np.less),
                (z.argmax(axis=0), seen.high, seen.high_at, seen.high_error, np.greater),
            ):
                found = z[rows, columns]
                new = better(found, best)
                best[new] = found[new]
                at[new] = batch[rows[new]]
                error[new] = self._error[stage.pre][new]

    def replay(self) -> None:
        """Run the extreme inputs anew: the values are those of their inputs then, whatever happened before."""
        empty = np.zeros((0, self.network.input_size))
        seen_at = [np.concatenate([s.low_at, s.high_at])[np.isfinite([*s.low, *s.high])] for s in self.stages]
        points = np.concatenate([empty, *seen_at])
        for stage, seen in zip(self.network.hidden, self.stages):
            seen.low[:], seen.high[:] = np.inf, -np.inf
            seen.low_error[:] = seen.high_error[:] = self._error[stage.pre]
        self.add(np.unique(points, axis=0))

    def sharpen(self, stage: Stage, neurons: IntArray) -> None:
        """Replay the extremes of some neurons in exact rational arithmetic: their rounding error becomes that
        of one rounding to float64. Slow; meant for near ties."""
        seen = self.stages[stage.index]
        for i in neurons[np.isfinite(seen.low[neurons])].tolist():
            for best, at, error in (
                (seen.low, seen.low_at, seen.low_error),
                (seen.high, seen.high_at, seen.high_error),
            ):
                exact = self.network.exact_values(exactly(at[i]), stage.pre)[stage.pre][i]
                best[i] = float(exact)
                error[i] = 0.0 if exact == best[i] else float(np.spacing(abs(best[i])))

    def crossed(self, stage: Stage, strict: bool = False) -> BoolArray:
        """Which neurons are unstable for certain: some break lies between the two extremes.

        Args:
            strict: with strict stability an extreme on the break counts as a crossing.
        """
        seen = self.stages[stage.index]
        low, high = seen.low + seen.low_error, seen.high - seen.high_error
        return self.network.activation(stage).crossed(low, high, strict)


def seeds(
    network: Network,
    domain: Domain,
    rng: np.random.Generator,
    count: int = 300,
    neurons: IntArray | None = None,
) -> FloatArray:
    """Starting points: random ones, vertices (dense and sparse), the two ends, and for neurons of the first
    stage the points where each is largest and smallest (exact for a box).

    Args:
        neurons: which neurons of the first stage; all of them by default.
    """
    n = network.input_size
    signs = [
        rng.integers(0, 2, (count, n)),
        rng.random((count, n)) < 0.1,
        rng.random((count, n)) < 0.03,
        np.stack([np.zeros(n), np.ones(n)]),
    ]
    corners = [domain.maximiser(np.where(s, 1.0, -1.0)) for s in signs]
    points = [domain.sample(rng, count), *corners]
    if network.hidden:
        first = network.hidden[0]
        chosen = np.arange(first.size) if neurons is None else neurons
        values = network.values(domain.project(np.zeros((1, n))), first.pre)
        for start in range(0, chosen.size, CHUNK):
            part = chosen[start : start + CHUNK]
            rows = np.zeros((part.size, first.size))
            rows[np.arange(part.size), part] = 1.0
            here = {name: np.broadcast_to(v, (part.size, v.shape[1])) for name, v in values.items()}
            slope = network.gradient(here, first.pre, rows)
            points += [domain.maximiser(slope), domain.maximiser(-slope)]
    return np.concatenate(points)


@dataclass(frozen=True, slots=True, eq=False)
class Goals:
    """Pre-activations to push over a threshold: `sign * z[neuron] > sign * threshold`, one entry per goal."""

    stage: Stage
    neuron: IntArray
    sign: FloatArray
    threshold: FloatArray

    def __len__(self) -> int:
        return len(self.neuron)

    def take(self, chosen: BoolArray) -> Goals:
        """Some of the goals."""
        return Goals(self.stage, self.neuron[chosen], self.sign[chosen], self.threshold[chosen])


class _Pace(Protocol):
    """How a search moves: where to go next from `points`, and which of its rows go on."""

    def step(self, t: int, points: FloatArray, gradient: FloatArray) -> FloatArray: ...

    def keep(self, rows: BoolArray) -> None: ...


def _climb(
    store: Witnesses, goals: Goals, points: FloatArray, pace: _Pace, iterations: int, stop: Callable[[], bool]
) -> BoolArray:
    """Push every goal from its share of the points (point k belongs to goal k // (points / goals)); every point is
    harvested, a goal that was reached leaves the batch. True where reached."""
    network, domain = store.network, store.domain
    done = np.zeros(len(goals), dtype=np.bool_)
    goal = np.repeat(np.arange(len(goals)), len(points) // max(len(goals), 1))
    for t in range(iterations):
        if not goal.size or stop():
            break
        values = network.values(points, goals.stage.pre)
        inside = domain.contains(points)
        if inside.all():
            store.harvest(points, values)
        else:
            store.harvest(points[inside], {name: value[inside] for name, value in values.items()})
        here = values[goals.stage.pre][np.arange(goal.size), goals.neuron[goal]]
        done[goal[inside & (goals.sign[goal] * (here - goals.threshold[goal]) > 0)]] = True
        stay = ~done[goal]
        if not stay.all():
            goal, points = goal[stay], points[stay]
            values = {name: value[stay] for name, value in values.items()}
            pace.keep(stay)
        rows = np.zeros((goal.size, goals.stage.size))
        rows[np.arange(goal.size), goals.neuron[goal]] = goals.sign[goal]
        points = domain.project(pace.step(t, points, network.gradient(values, goals.stage.pre, rows)))
    return done


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class _Jumps:
    """To the maximiser of the gradient, after a while only part of the way."""

    domain: Domain

    def step(self, t: int, points: FloatArray, gradient: FloatArray) -> FloatArray:
        return points + (1.0 if t < 6 else 0.3) * (self.domain.maximiser(gradient) - points)

    def keep(self, rows: BoolArray) -> None:
        return None


@dataclass(slots=True, eq=False)
class _Adam:
    """Adam ascent (Kingma and Ba 2015) with a rate that falls to a twentieth."""

    rate: FloatArray
    iterations: int
    first: FloatArray
    second: FloatArray

    def step(self, t: int, points: FloatArray, gradient: FloatArray) -> FloatArray:
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        mean, spread = self.first / (1 - 0.9 ** (t + 1)), self.second / (1 - 0.999 ** (t + 1))
        fall = 1 - 0.95 * (t + 1) / self.iterations
        return np.asarray(points + self.rate * fall * mean / (np.sqrt(spread) + 1e-12))

    def keep(self, rows: BoolArray) -> None:
        self.first, self.second = self.first[rows], self.second[rows]


def jump(
    store: Witnesses, goals: Goals, points: FloatArray, iterations: int = 20, stop: Callable[[], bool] = _never
) -> BoolArray:
    """Jump to the maximiser of the gradient over the domain, from one point per goal. True where reached.

    Args:
        stop: asked between steps; True ends the search.
    """
    return _climb(store, goals, points, _Jumps(store.domain), iterations, stop)


def ascend(
    store: Witnesses,
    goals: Goals,
    rng: np.random.Generator,
    starts: int = 32,
    iterations: int = 200,
    rate: float = 0.05,
    stop: Callable[[], bool] = _never,
) -> BoolArray:
    """Projected Adam ascent from `starts` points per goal, all goals in one batch. True where one start reached.

    Args:
        rate: step length as a share of each coordinate's width; falls to a twentieth at the end.
        stop: asked between steps; True ends the search.
    """
    domain, n = store.domain, store.network.input_size
    width = domain.enclosure.upper - domain.enclosure.lower
    count = len(goals) * starts
    kinds = np.arange(count) % 3
    vertices = domain.maximiser(np.where(rng.random((count, n)) < np.where(kinds == 1, 0.5, 0.1)[:, None], 1.0, -1.0))
    points = np.where((kinds == 0)[:, None], domain.sample(rng, count), vertices)
    pace = _Adam(rate * width, iterations, np.zeros((count, n)), np.zeros((count, n)))
    return _climb(store, goals, points, pace, iterations, stop)
