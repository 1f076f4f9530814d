"""Time for a run, shared fairly among what is left to do."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """A start and a number of seconds; None is without limit. A keyboard interrupt ends it too.

    >>> Budget(time.perf_counter(), None).share(4) is None
    True
    >>> Budget(time.perf_counter() - 10.0, 5.0).spent()
    True
    """

    start: float
    seconds: float | None

    def end(self) -> None:
        """No time is left from now on."""
        self.seconds = 0.0

    def left(self) -> float | None:
        """Seconds left, at least 0; None without limit."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds - (time.perf_counter() - self.start))

    def spent(self) -> bool:
        """No time is left."""
        return self.left() == 0.0

    def share(self, parts: int) -> float | None:
        """An equal share of what is left."""
        left = self.left()
        return None if left is None else left / max(parts, 1)
