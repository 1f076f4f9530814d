"""A line on stderr for work that takes longer than a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from reludsl.progress import OnProgress, Progress


@contextmanager
def progress() -> Iterator[OnProgress]:
    """A line on stderr that follows the work, from its first second on."""
    from rich.console import Console
    from rich.status import Status

    console = Console(stderr=True)
    status: Status | None = None
    start, spoken = time.perf_counter(), 0.0

    def report(at: Progress) -> None:
        nonlocal status, spoken
        took = time.perf_counter() - start
        if took < 1.0:
            return
        left = "" if at.left is None else f", {at.left:.0f} s left"
        bound = "" if at.bound is None else f", {at.total - at.done} unknown, bound {at.bound:.2g} off"
        text = f"{at.step}: {at.done} of {at.total}{bound}, {took:.0f} s{left}"
        if console.is_terminal:
            if status is None:
                status = console.status(text)
                status.start()
            status.update(text)
        elif took - spoken >= 5.0 or not spoken:
            spoken = took
            console.print(text)

    try:
        yield report
    finally:
        if status is not None:
            status.stop()
