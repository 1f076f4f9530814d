"""A solver in a thread of its own, so that the caller can be interrupted and can stop waiting.

For backends, who find it in `reludsl.backend`. Python runs signal handlers in the main thread, between bytecodes: a
main thread that is inside a solver hears no keyboard interrupt, and solvers look at their clock and at their callbacks
when they like (presolve, cut separation and the factorisation of a large basis were seen to take seconds). So the
caller waits here: it tells the solver to stop, and leaves it behind when that takes too long. A thread that is left
behind has been told to stop and will. The solver must release the interpreter's lock while it works.
"""

from __future__ import annotations

import atexit
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Aside", "End"]

_TICK = 0.2
"""Seconds between two looks: a wait without end cannot be interrupted on every system."""
_GRACE = 1.2
"""Seconds that a solver gets to stop after an interrupt."""
_LATE, _LAST = 0.4, 0.8
"""Seconds past 105 % and 110 % of a limit at which a solver is told to stop, and is left behind."""


@dataclass(frozen=True, slots=True)
class End:
    """How the wait ended.

    Args:
        value: what the call returned; None when it was left behind.
        interrupted: whether the user interrupted it.
        late: whether it was told to stop because its time was over.
        left: whether it was left behind: nothing that it uses may be touched again.
    """

    value: Any = None
    interrupted: bool = False
    late: bool = False
    left: bool = False


class Aside:
    """One call in a thread, and the way back: functions that the caller runs for it.

    Args:
        watch: has the call listened to, at every look once it turns out to be a long one.
        stop: tells the call to end soon. Both run in the caller's thread.
        limit: time limit of the call in seconds.
    """

    def __init__(self, watch: Callable[[], None], stop: Callable[[], None], limit: float | None) -> None:
        self._watch, self._stop, self._limit = watch, stop, limit
        self._mail: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._gone = False

    def run(self, call: Callable[[], Any]) -> End:
        """The call's end, or the end of patience. What the call raises comes out of here."""
        began = time.perf_counter()
        told = None if self._limit is None else began + 1.05 * self._limit + _LATE
        patience = None if self._limit is None else began + 1.1 * self._limit + _LAST
        interrupted = late = False
        worker = _IDLE.pop() if _IDLE else _Worker()
        worker.calls.put((call, self._mail))
        while True:
            now = time.perf_counter()
            if now >= began + _TICK:
                self._watch()
            if told is not None and now >= told and not late:
                late = True
                self._watch()
                self._stop()
            if patience is not None and now >= patience:
                self._gone = True
                # An interpreter that ends under a running solver may crash.
                worker.calls.put(None)
                atexit.register(worker.join, 5.0)
                return End(None, interrupted, late, True)
            wake = patience if late else told
            try:
                kind, content = self._mail.get(timeout=_TICK if wake is None else max(min(_TICK, wake - now), 0.001))
                if kind == "asked":
                    content()
                    continue
                _IDLE.append(worker)
                if kind == "raised":
                    raise content
                return End(content, interrupted, late)
            except queue.Empty:
                continue
            except KeyboardInterrupt:
                interrupted = True
                self._watch()
                self._stop()
                end = time.perf_counter() + _GRACE
                patience = end if patience is None else min(patience, end)

    def ask(self, question: Callable[[], Any]) -> Any:
        """In the call: have the caller run something and wait for its answer; None once nobody waits."""
        answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def asked() -> None:
            try:
                answers.put((question(), None))
            except BaseException as error:
                answers.put((None, error))
                if isinstance(error, KeyboardInterrupt):
                    raise

        self._mail.put(("asked", asked))
        while not self._gone:
            try:
                answer, error = answers.get(timeout=_TICK)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            return answer
        return None


class _Worker(threading.Thread):
    """A thread that is used again: a solver may keep a scheduler per thread, and making one costs a small solve."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.calls: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[tuple[str, Any]]] | None]
        self.calls = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        """Serve calls until told None."""
        while (order := self.calls.get()) is not None:
            call, mail = order
            try:
                mail.put(("returned", call()))
            except BaseException as error:
                mail.put(("raised", error))


_IDLE: list[_Worker] = []
if hasattr(os, "register_at_fork"):
    # threads do not survive a fork
    os.register_at_fork(after_in_child=_IDLE.clear)
