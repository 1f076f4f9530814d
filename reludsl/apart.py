"""A call in a process of its own, which can be ended at any moment; backends find it in `reludsl.backend`."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from reludsl.errors import OutOfTime, SolverFailed

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

__all__ = ["apart"]

T = TypeVar("T")
Ask = Callable[[Any], Any]

_TICK = 1.0
"""Seconds between two looks: a signal that arrives just before a wait without end would be heard at its end."""

_FORKING = threading.Lock()
"""A child that inherits the pipe of another one would keep it open after the other's end."""


def apart(call: Callable[[Ask], T], seconds: float | None = None, answer: Ask | None = None) -> T:
    """Run a call in a forked process, which can be ended at any moment: for solvers that listen to nobody.

    The call sees everything as it is now, without a copy; what it changes stays with it. Its standard output and
    error go nowhere. Where a process cannot be forked (Windows) it runs in place, and ends when it likes.

    Args:
        call: gets `ask`: `ask(message)` is `answer(message)` of the waiting process. Returns what can be pickled.
        seconds: time after which the process is ended.
        answer: answers messages; what it raises ends the call and comes out of here.

    Raises:
        OutOfTime: the seconds are over.
        KeyboardInterrupt: the user interrupted the wait.
        SolverFailed: the process died, or its result cannot be pickled.
    """
    # imported late: importing this protocol must stay cheap
    from multiprocessing import Pipe

    answer = answer or (lambda message: None)
    if not hasattr(os, "fork"):
        return call(answer)
    end = None if seconds is None else time.monotonic() + seconds
    # An interrupt is for the waiting side alone: a terminal sends it to both.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    child, here = 0, None
    try:
        with _FORKING, warnings.catch_warnings():
            # Other threads do not exist in the child; nothing there waits for one.
            warnings.simplefilter("ignore", DeprecationWarning)
            here, there = Pipe()
            child = os.fork()
            if child == 0:
                here.close()
                _serve(there, call)
            there.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        reply: T = _await(here, end, answer)
        return reply
    finally:
        # from the fork on: another thread may have heard an interrupt before the wait began
        if child:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        if here is not None:
            here.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _await(here: Connection, end: float | None, answer: Ask) -> Any:
    while True:
        left = _TICK if end is None else max(end - time.monotonic(), 0.0)
        if not here.poll(min(left, _TICK)):
            if left <= _TICK and end is not None:
                raise OutOfTime("the time is over, and the call had not ended")
            continue
        try:
            kind, content = here.recv()
        except (EOFError, ConnectionError) as problem:
            raise SolverFailed(
                "the process in which the solver ran died, so that there is no answer; the program at hand makes "
                "this solver crash: try another backend"
            ) from problem
        if kind == "returned":
            return content
        if kind == "raised":
            raise content
        here.send(answer(content))


def _serve(there: Connection, call: Callable[[Ask], Any]) -> NoReturn:
    """The child's whole life: nothing of the parent's stack may run on in it, whatever happens."""
    global _FORKING
    try:
        # The fork has copied the lock as held, by a thread that is not here: a call may fork again.
        _FORKING = threading.Lock()
        # Objects of the parent are not this process's to finalise.
        gc.disable()
        _end_with_parent()
        null = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(null, descriptor)

        def ask(message: Any) -> Any:
            there.send(("asked", message))
            return there.recv()

        def run() -> None:
            try:
                value = call(ask)
            except BaseException as error:
                there.send_bytes(_raised(error))
                return
            try:
                reply = pickle.dumps(("returned", value))
            except Exception as error:
                reply = _raised(SolverFailed(f"the result of the solver's process cannot be handed over: {error}"))
            there.send_bytes(reply)

        # Solvers keep their schedulers per thread: a new one has none whose workers the fork has left behind.
        runner = threading.Thread(target=run)
        runner.start()
        runner.join()
    finally:
        os._exit(0)


def _raised(error: BaseException) -> bytes:
    try:
        reply = pickle.dumps(("raised", error))
        pickle.loads(reply)
    except Exception:
        return pickle.dumps(("raised", SolverFailed(f"{type(error).__name__} in the solver's process: {error}")))
    return reply


def _end_with_parent() -> None:
    """A killed parent cannot end its child; Linux can."""
    if sys.platform == "linux":
        with contextlib.suppress(Exception):
            import ctypes

            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
