"""Laws about the keyboard interrupt: it ends a solve soon, with a result, and harms nothing that comes after.

A signal reaches Python in the main thread only; a law that is asked elsewhere does not apply.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

from reludsl.backend import Backend, FloatArray, InvalidInput, Result, Session, Status
from reludsl.testing.cases import (
    TOLERANCE,
    Case,
    LawBroken,
    NotOffered,
    Split,
    columns,
    hold,
    knapsack,
    market_split,
    opened,
    same,
    sound,
)
from reludsl.testing.clock import Timed, soonest
from reludsl.testing.descriptors import caught

__all__: list[str] = []

_AFTER = 0.3
"""Seconds into the solve at which the interrupt comes."""
_SOON = 2.5
"""Seconds within which the solve must end then; two are promised."""


def _splits() -> tuple[Split, Split]:
    """Too hard for enumeration and easy for a solver, and too large for enumeration and too hard for a solver."""
    return market_split(3, 15), market_split(5, 40)


def _interrupted(session: Session) -> Timed[Result | None]:
    """A solve that gets a SIGINT, by the seconds from there on, negative when it had ended before; None when the
    backend refuses a program of this size."""
    if threading.current_thread() is not threading.main_thread():
        raise NotOffered("a keyboard interrupt reaches the main thread only")
    sent: list[float] = []
    solving = True

    def raised(number: int, frame: FrameType | None) -> None:
        # A signal that comes a moment after the end is not meant for what follows.
        if solving:
            signal.default_int_handler(number, frame)

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(_AFTER, send)
    before = signal.signal(signal.SIGINT, raised)
    try:
        timer.start()
        try:
            result = session.solve()
            solving = False
            return Timed(result, time.perf_counter() - sent[0] if sent else -1.0)
        except InvalidInput:
            return Timed(None, -1.0)
        except KeyboardInterrupt:
            raise LawBroken("solve raised KeyboardInterrupt instead of returning what it had") from None
        finally:
            solving = False
            timer.cancel()
            timer.join()
    finally:
        signal.signal(signal.SIGINT, before)


def _fixed(session: Session, planted: FloatArray) -> None:
    session.set_bounds(columns(planted.size), planted.copy(), planted.copy())


def law_interrupt_ends_the_solve(backend: Backend) -> None:
    """A keyboard interrupt ends a hard solve soon, once in three attempts at least, with status INTERRUPTED, and what
    it reports is true."""
    for split in _splits():

        def attempt(problem: Case = split.slack) -> Timed[Result | None]:
            with opened(backend, problem) as session:
                return _interrupted(session)

        ended = soonest(attempt, _SOON)
        if ended.result is None:
            continue
        sound(backend, split.slack, ended.result)
        bound = ended.result.bound
        hold(bound is None or bound <= split.best + TOLERANCE, f"bound {bound}, but {split.best} exists")
        if ended.seconds < 0:
            continue
        hold(ended.seconds <= _SOON, f"the solve went on for {ended.seconds:.2f} s after the interrupt")
        status = ended.result.status
        hold(status is Status.INTERRUPTED, f"status {status.name} after a keyboard interrupt")


def law_interrupt_leaves_nothing_behind(backend: Backend) -> None:
    """After an interrupted solve the session answers as ever: bounds that were set later count, limits do not stick."""
    for split in _splits():
        with opened(backend, split.slack) as session:
            if _interrupted(session).result is None:
                continue
            _fixed(session, split.planted)
            for relax in (False, True):
                answer = session.solve(relax=relax)
                hold(answer.status is Status.OPTIMAL, f"status {answer.status.name} after an interrupted solve")
                sound(backend, split.slack, answer, relax)
                value = answer.objective
                hold(value is not None and abs(value - split.best) <= TOLERANCE, f"{value} instead of {split.best}")


def law_interrupt_leaves_the_terminal_alone(backend: Backend) -> None:
    """An interrupted solve prints nothing, and what the program prints afterwards is seen."""
    for split in _splits():
        with caught() as output, opened(backend, split.slack) as session:
            _interrupted(session)
            os.write(1, b"one ")
            os.write(2, b"two")
        hold(output.text == "one two", f"the terminal shows {output.text[:200]!r}")


def law_threads_other_than_the_main_one_may_solve(backend: Backend) -> None:
    """Where no signal arrives, a solve is a solve."""
    problem = knapsack(8)
    answers: list[Result] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with opened(backend, problem) as session:
                answers.extend(session.solve(relax=relax, time_limit=60.0) for relax in (False, True))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    for relax, answer in zip((False, True), answers, strict=True):
        same(backend, problem, relax, answer)
