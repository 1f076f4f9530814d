"""Patterns that a search met: shown by an input, claimed and still open, or no region."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.regions.edges import unit_count
from reludsl.regions.presence import Judge, Presence

EXACT_SECONDS = 20.0
"""For one pattern in rational arithmetic; what takes longer stays ambiguous."""

OnPattern = Callable[[IntArray, FloatArray], None]
"""Called with every pattern found to be a region, (units,), and an input that shows it."""


@dataclass(slots=True, eq=False)
class Ledger:
    """What is known of each pattern, by the bytes of its pieces.

    Args:
        on_pattern: called with every region when it is found.
        regions: pattern -> an input that shows it, rounded where only rationals reach it.
        open: pattern -> whether it was given up; `settle` decides about the others.
        absent: patterns that are no region.
        margin: smallest distance of an input from an edge, in rounding errors.
    """

    judge: Judge
    on_pattern: OnPattern | None = None
    regions: dict[bytes, FloatArray] = field(default_factory=dict)
    open: dict[bytes, bool] = field(default_factory=dict)
    absent: set[bytes] = field(default_factory=set)
    margin: float | None = None
    looked: int = 0
    proved: int = 0

    def meet(self, pattern: IntArray, near: FloatArray | None = None) -> None:
        """Somebody claims a pattern: an input that shows it is looked for; where none is found it stays open.

        Args:
            near: (input_size,) an input near its cell.
        """
        key = pattern.tobytes()
        if key in self.regions or key in self.absent or key in self.open:
            return
        self.looked += 1
        verdict = self.judge.look(pattern, near)
        if verdict is None or verdict.witness is None:
            self.open[key] = False
        else:
            self._note(pattern, verdict.witness, verdict.margin)

    def see(self, points: FloatArray) -> IntArray:
        """Note the regions that some inputs, moved into the domain, show for certain: (m, input_size) -> (k, units)."""
        shown = self.judge.shown(points)
        found = shown.certain
        for pattern, margin, point in zip(shown.patterns[found], shown.margin[found].tolist(), shown.points[found]):
            self._note(pattern, point, margin)
        return shown.patterns[found]

    def settle(self, deadline: float | None) -> None:
        """Decide in rationals about the patterns that were claimed and not shown.

        Args:
            deadline: of `time.perf_counter()`.
        """
        for key, given_up in list(self.open.items()):
            late = time.perf_counter() + EXACT_SECONDS
            late = late if deadline is None else min(late, deadline)
            if given_up or key not in self.open or late <= time.perf_counter():
                continue
            self.proved += 1
            pattern = np.frombuffer(key, dtype=np.int64)
            verdict = self.judge.prove(pattern, late)
            if verdict.presence is Presence.PRESENT:
                assert verdict.witness is not None
                self._note(pattern, verdict.witness, verdict.margin)
            elif verdict.presence is Presence.ABSENT:
                self.absent.add(key)
                del self.open[key]
            else:
                self.open[key] = True

    def arrays(self) -> tuple[IntArray, FloatArray]:
        """The regions: patterns (m, units) and inputs (m, input_size)."""
        m = len(self.regions)
        patterns = np.frombuffer(b"".join(self.regions), dtype=np.int64).reshape(m, unit_count(self.judge.layers))
        return patterns, np.array(list(self.regions.values())).reshape(m, self.judge.network.input_size)

    @property
    def work(self) -> dict[str, int]:
        """What deciding took, for people."""
        return {"looked for": self.looked, "rational": self.proved, "no region": len(self.absent)}

    def _note(self, pattern: IntArray, point: FloatArray, margin: float | None) -> None:
        key = pattern.tobytes()
        self.open.pop(key, None)
        if key in self.regions:
            return
        self.regions[key] = point
        if margin is not None and math.isfinite(margin):
            self.margin = margin if self.margin is None else min(self.margin, margin)
        if self.on_pattern is not None:
            self.on_pattern(pattern, point)
