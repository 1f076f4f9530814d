"""Until when work may go on, and who is told how far it is."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput, OutOfTime
from reludsl.progress import OnProgress, Progress, silent

INTERRUPTED, OUT_OF_TIME = "the user interrupted the search", "the time limit was reached"
"""Why a count is not complete."""

PATIENCE = 2.0
"""Seconds after an interrupt in which it may be proved what is there."""


@dataclass(frozen=True, slots=True)
class Watch:
    """A deadline and somebody who watches.

    Args:
        deadline: of `time.perf_counter()`.
        began: likewise.
    """

    deadline: float = math.inf
    progress: OnProgress = silent
    began: float = field(default_factory=time.perf_counter)

    @classmethod
    def over(cls, seconds: float | None, progress: OnProgress = silent) -> Watch:
        """From now on for some seconds, None for ever.

        Raises:
            InvalidInput: a limit that is negative or no number.

        >>> Watch.over(0.0).late, Watch.over(None).late
        (True, False)
        """
        now = time.perf_counter()
        if seconds is not None and not seconds >= 0:
            raise InvalidInput(
                f"the time limit is {seconds} seconds, and no work ends before it begins; give 0 or more"
            )
        return cls(math.inf if seconds is None else now + seconds, progress, now)

    def share(self, part: float) -> Watch:
        """The same for a part of the time that is left."""
        now = time.perf_counter()
        return replace(self, deadline=now + part * (self.deadline - now))

    def soon(self) -> Watch:
        """The same for somebody who wants an end: `PATIENCE` seconds at the most."""
        return replace(self, deadline=min(self.deadline, time.perf_counter() + PATIENCE))

    @property
    def late(self) -> bool:
        return time.perf_counter() >= self.deadline

    @property
    def left(self) -> float | None:
        """Seconds until the deadline, None where there is none."""
        return None if math.isinf(self.deadline) else max(0.0, self.deadline - time.perf_counter())

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self.began

    def tell(self, step: str, done: int, total: int = 0) -> None:
        """Say how much of a step is done; with `total` 0 at which rate."""
        rate = None if total else done / max(self.seconds, 1e-9)
        self.progress(Progress(step, done, total, self.left, rate=rate))


@contextmanager
def ends_plainly() -> Iterator[None]:
    """For who has no use for what is there by then: an interrupt is a `KeyboardInterrupt`."""
    try:
        yield
    except Late as late:
        if late.interrupted:
            raise KeyboardInterrupt from late
        raise


class Late(OutOfTime):
    """The time is over, or somebody interrupted, and the domain is cut by some of the breaks only.

    Args:
        inner: (cells, d) a point inside of each cell, by the coordinates of the line or the plane.
        done, total: breaks of units that cut, and all.
    """

    def __init__(self, inner: FloatArray, done: int, total: int, interrupted: bool = False) -> None:
        self.inner, self.done, self.total, self.interrupted = inner, done, total, interrupted
        super().__init__(
            f"the time was over when {done:,} of {total:,} breaks of units had cut the domain, whose cells so far "
            f"({len(inner):,}) are no regions yet; allow more time, or take a smaller piece of it"
        )
