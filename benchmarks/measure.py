"""Timing, and the report of one benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Measured(Protocol):
    """What a benchmark yields: a line to print, and whether what it asserts holds."""

    @property
    def holds(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured line.

    Args:
        what: what was measured, in words.
        seconds: the best of the repeats.
        baseline: what it is compared with, in words.
        baseline_seconds: the best of its repeats.
        limit: `seconds / baseline_seconds` must stay at or below this.
    """

    what: str
    seconds: float
    baseline: str
    baseline_seconds: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.baseline_seconds

    @property
    def holds(self) -> bool:
        return self.ratio <= self.limit

    def __str__(self) -> str:
        verdict = "ok" if self.holds else "TOO SLOW"
        return (
            f"{self.what}: {self.seconds:.4f} s; {self.baseline}: {self.baseline_seconds:.4f} s; "
            f"ratio {self.ratio:.2f}, at most {self.limit:g}: {verdict}"
        )


def best(work: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of the fastest of some repeats, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
