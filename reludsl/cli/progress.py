"""A line on stderr for work that takes longer than a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reludsl.progress import OnProgress, Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

QUIET, PAUSE, TICK = 1.0, 5.0, 1.0
"""Seconds before the first line, between two lines where nobody watches, and between two looks at the clock."""


@contextmanager
def progress() -> Iterator[OnProgress]:
    """A line on stderr that follows the work, from its first second on, also while a step says nothing by itself."""
    from rich.console import Console

    line = _Line(Console(stderr=True), time.perf_counter())
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(TICK):
            line.show()

    ticker = threading.Thread(target=look, daemon=True)
    ticker.start()
    try:
        yield line.report
    finally:
        ended.set()
        ticker.join()
        line.close()


class _Line:
    """What is shown of the last report."""

    def __init__(self, console: Console, start: float) -> None:
        self._console, self._start, self._spoken = console, start, 0.0
        self._status: Status | None = None
        self._last: tuple[Progress, float] | None = None
        self._lock = threading.Lock()

    def report(self, at: Progress) -> None:
        now = time.perf_counter()
        self._last = (at, now)
        self._show(now)

    def show(self) -> None:
        """The last report again, with the time that has gone by."""
        if self._last is not None:
            self._show(time.perf_counter())

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()

    def _show(self, now: float) -> None:
        took, last = now - self._start, self._last
        if took < QUIET or last is None:
            return
        at, when = last
        text = f"{_stand(at)}, {took:.0f} s"
        if at.left is not None:
            text += f", {max(0.0, at.left - (now - when)):.0f} s left"
        with self._lock:
            if self._console.is_terminal:
                if self._status is None:
                    self._status = self._console.status(text)
                    self._status.start()
                self._status.update(text)
            elif took - self._spoken >= PAUSE or not self._spoken:
                self._spoken = took
                self._console.print(text, soft_wrap=True)


def _stand(at: Progress) -> str:
    """How far the work is.

    >>> _stand(Progress("solves", 3, 7)), _stand(Progress("regions", 1200, 0, rate=400.0))
    ('solves: 3 of 7', 'regions: 1,200 so far, 400 a second')
    >>> _stand(Progress("regions", 1200, 5000, rate=400.0))
    'regions: 1,200 of about 5,000, 400 a second, 10 s to go'
    """
    if at.rate is None:
        bound = "" if at.bound is None else f", {at.total - at.done} unknown, bound {at.bound:.2g} off"
        return f"{at.step}: {at.done} of {at.total}{bound}"
    if at.total <= at.done or at.rate <= 0:
        return f"{at.step}: {at.done:,} so far, {at.rate:,.0f} a second"
    to_go = (at.total - at.done) / at.rate
    return f"{at.step}: {at.done:,} of about {at.total:,}, {at.rate:,.0f} a second, {to_go:,.0f} s to go"
