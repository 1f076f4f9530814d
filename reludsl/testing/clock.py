"""How long a call takes, on a machine that may be busy with something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Timed(Generic[T]):
    """What a call gave, and after how many seconds."""

    result: T
    seconds: float


def timed(call: Callable[[], T]) -> Timed[T]:
    """The call by the clock on the wall."""
    began = time.perf_counter()
    result = call()
    return Timed(result, time.perf_counter() - began)


def soonest(attempt: Callable[[], Timed[T]], within: float) -> Timed[T]:
    """The first of three attempts that takes no longer, or the last.

    What keeps the machine from a call for a second is no fault of the call, and does not come three times in a row;
    who does not look at the clock is late each time.

    >>> seconds = iter([9.0, 1.5])
    >>> soonest(lambda: Timed("done", next(seconds)), 2.0)
    Timed(result='done', seconds=1.5)
    """
    for _ in range(ATTEMPTS):
        found = attempt()
        if found.seconds <= within:
            break
    return found
