"""How long work says where it stands: a callback, no global state, nothing printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` neurons (or cases, or runs), and what is at work.

    Args:
        total: 0 where nobody knows it yet; beside a rate an estimate.
        left: seconds until the time limit; None without one.
        bound: proved so far for what is at work, by how much it misses what would decide it; None where there is none.
        rate: done so far per second, of work whose end is not known beforehand.
    """

    step: str
    done: int
    total: int
    left: float | None = None
    bound: float | None = None
    rate: float | None = None


OnProgress = Callable[[Progress], None]
"""Called now and then. An exception raised in it (KeyboardInterrupt, say) ends the work."""


def silent(_: Progress) -> None:
    """Says nothing: the default."""
