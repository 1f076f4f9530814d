"""Random paths through the tree of cells: how many regions there are, without going to all of them.

    E[ product over the cuts on a path of (number of options) ] = number of leaves     (Knuth 1975)

A path takes one option of every cut at random. Paths do not start at the root but in the cells of a front, up to which
the search is exact; a run follows one path from each of them, so that runs are independent estimates

    X = regions met before the front + sum over its cells of their path's product,        E[X] = N

which vary far less than paths from the root. By Markov's inequality P(X >= 2^a N) <= 2^-a, so that min X / 2^a over t
runs is a lower bound with confidence 1 - 2^(-a t) (SampleCount: Gomes, Hoffmann, Sabharwal, Selman 2007). That a clock
says when to stop does no harm: X_1 ... X_t / N^t is a martingale in t, so that P(it is ever >= 1 / delta) <= delta
(Ville 1939), and min X is at most the t-th root of X_1 ... X_t.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.regions.cells.nodes import Nodes
from reludsl.regions.cells.search import Search

FRONT = 64
"""Cells that the paths of a run start in."""

TOGETHER = 8
"""Runs that are followed at once."""

RUNS, SECONDS = 24, 3.0
"""By default: so many runs, or those that are followed by then."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """What random paths say of the number of regions.

    Args:
        runs: (t,) independent estimates.
        seconds: that they took.
        exact: there was nothing left to follow: the number is what was counted.
        ends: after how many runs it could have ended by the clock. Each would give a bound of its own, and the one that
            is taken holds when all do.

    >>> found = Estimate(np.array([90.0, 110.0, 100.0, 104.0]), 0.1)
    >>> found.mean, round(found.standard_error, 2), found.lower(0.9375)
    (101.0, 4.2, 45)
    """

    runs: FloatArray
    seconds: float
    exact: bool = False
    ends: int = 1

    @property
    def mean(self) -> float:
        """The estimate."""
        return float(self.runs.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean."""
        return float(self.runs.std(ddof=1) / math.sqrt(self.runs.size))

    def lower(self, confidence: float) -> int:
        """A lower bound that holds with this confidence: min X / 2^a, 2^(-a t) = (1 - confidence) / ends."""
        alpha = -math.log2((1.0 - confidence) / self.ends) / self.runs.size
        return int(float(self.runs.min()) / 2.0**alpha)


@dataclass(eq=False)
class Probes(Search):
    """A search that is exact up to a front, and behind it follows one option of every cut, drawn at random."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    following: bool = False

    def estimate(self, start: FloatArray, runs: int = RUNS, time_limit: float = SECONDS) -> Estimate:
        """Follow that many runs, fewer where the time is over, `TOGETHER` at least.

        Args:
            start: as for `run`.
        """
        began = time.perf_counter()
        done = float(sum(len(found.pieces) for found in self.opened(start, FRONT)) + len(self.apart))
        cells = [(at, nodes) for at, held in enumerate(self.pending) for nodes in held]
        if not cells:
            return Estimate(np.full(2, done), time.perf_counter() - began, exact=True)
        self.following = True
        totals: list[FloatArray] = []
        try:
            while len(totals) * TOGETHER < runs:
                if totals and time.perf_counter() - began > time_limit:
                    break
                totals.append(done + self._runs(cells))
        except KeyboardInterrupt:
            if not totals:
                raise
        return Estimate(np.concatenate(totals), time.perf_counter() - began, ends=-(-runs // TOGETHER))

    def _runs(self, cells: list[tuple[int, Nodes]]) -> FloatArray:
        """The sums over the front of some runs: (TOGETHER,)."""
        self.pending = [[] for _ in self.pending]
        for at, nodes in cells:
            k = np.repeat(np.arange(len(nodes)), TOGETHER)
            copies = replace(nodes.take(k), run=np.tile(np.arange(TOGETHER), len(nodes)), weight=np.ones(k.size))
            # every copy has points of its own: they are dropped with it
            held = copies.pool >= 0
            pool = copies.pool.copy()
            pool[held] = self.points.add(self.points.u[pool[held]], self.points.y[pool[held]])
            self.pending[at].append(replace(copies, pool=pool))
        total = np.zeros(TOGETHER)
        self.apart.clear()
        for found in self._rest():
            np.add.at(total, found.run, found.weight)
        for one in self.apart:
            total[one.run] += one.weight
        return total

    def _followed(self, k: IntArray, option: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        if not self.following:
            return super()._followed(k, option)
        first = np.flatnonzero(np.diff(k, prepend=-1))
        count = np.diff(first, append=k.size)
        chosen = first + (self.rng.random(first.size) * count).astype(np.int64)
        return k[chosen], option[chosen], count.astype(np.float64)
