"""Limits and interrupts of every backend, on programs that no machine solves in the time given."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from solvers import solver

from reludsl.backend import Backend, FloatArray, Limits, OutOfTime, Result, Sense, SolverFailed, Status, apart
from reludsl.expr import box
from reludsl.formulate import compile_program
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.passes import lower
from reludsl.testing import EnumerationBackend
from reludsl.testing.cases import Case, dense, hold, knapsack, market_split, opened, sound
from reludsl.testing.clock import Timed, soonest, timed

NAMES = ("highs", "cbc", "scip", "cvxpy", "cvxpy:SCIPY", "enumeration")
SOLVERS = NAMES[:-1]


def _backend(name: str) -> Backend:
    return EnumerationBackend() if name == "enumeration" else solver(name)


@cache
def _network_program(width: int) -> Case:
    """A dense random network over a wide box: nearly all of its neurons switch."""
    draw = np.random.default_rng(width)
    sizes = (width, width, width, width)
    layers: list[Any] = []
    for wide, narrow in pairwise(sizes):
        layers += [Affine(draw.normal(size=(narrow, wide)) / np.sqrt(wide), 0.1 * draw.normal(size=narrow)), relu]
    net = Network.chain([*layers, Affine(draw.normal(size=(1, width)), np.zeros(1))], (width,))
    y = net(box(-1.0, 1.0, (width,)))
    compiled = compile_program([y])
    index, value, offset = compiled.row(y)
    lowered = lower(compiled.program)
    cost = np.zeros(compiled.program.size)
    np.add.at(cost, index, value)
    row = np.asarray(cost @ lowered.original.matrix)
    return Case(lowered.matrix(), row, Sense.MAXIMIZE, offset)


def _problem(name: str, relax: bool) -> Case:
    if name == "enumeration":
        return dense(40) if relax else market_split(3, 15).slack
    return dense(1500) if relax else _network_program(150)


def _solved(name: str, problem: Case, most: float, **asked: Any) -> Timed[Result]:
    """A solve that should take no longer."""

    def attempt() -> Timed[Result]:
        with opened(_backend(name), problem) as session:
            return timed(lambda: session.solve(**asked))

    return soonest(attempt, most)


def _interrupted(call: Callable[[], Any], after: float) -> Timed[Any]:
    """What a call gives that gets a SIGINT, by the seconds from there to its end."""
    sent: list[float] = []

    def send() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, send)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        timer.start()
        value = call()
        ended = time.perf_counter()
        timer.join()
        return Timed(value, ended - sent[0])
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("relax", [True, False], ids=["lp", "milp"])
@pytest.mark.parametrize("name", NAMES)
def test_time_limit_is_kept_and_is_called_one(name: str, relax: bool) -> None:
    problem, limit = _problem(name, relax), 0.5
    most = 1.1 * limit + 1.0
    found = _solved(name, problem, most, relax=relax, time_limit=limit)
    assert found.result.status is Status.LIMIT
    assert found.seconds <= most
    sound(_backend(name), problem, found.result, relax)


@pytest.mark.parametrize("relax", [True, False], ids=["lp", "milp"])
@pytest.mark.parametrize("name", NAMES)
def test_interrupt_ends_the_solve_with_a_result(name: str, relax: bool) -> None:
    problem = _problem(name, relax)

    def attempt() -> Timed[Result]:
        with opened(_backend(name), problem) as session:
            return _interrupted(lambda: session.solve(relax=relax), 0.5)

    found = soonest(attempt, 2.5)
    assert found.result.status is Status.INTERRUPTED
    assert found.seconds <= 2.5
    sound(_backend(name), problem, found.result, relax)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [3.0, 10.0])
@pytest.mark.parametrize("relax", [True, False], ids=["lp", "milp"])
@pytest.mark.parametrize("name", SOLVERS)
def test_time_limit_of_a_larger_network_is_kept(name: str, relax: bool, limit: float) -> None:
    most = 1.1 * limit + 1.0
    found = _solved(name, _network_program(400), most, relax=relax, time_limit=limit)
    assert found.result.status in (Status.LIMIT, Status.OPTIMAL)
    assert found.seconds <= most


def test_highs_lp_at_its_limit_hands_out_what_it_has() -> None:
    problem = dense(1500)
    with opened(solver("highs"), problem) as session:
        result = session.solve(time_limit=0.5)
    assert result.status is Status.LIMIT
    assert result.row_duals is None or result.row_duals.shape == problem.matrix.row_lower.shape


def test_highs_that_was_left_behind_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = solver("highs")
    from reludsl_highs.watch import Watch

    def attempt() -> Timed[Result]:
        with opened(backend, market_split(5, 40).slack) as session, monkeypatch.context() as patch:
            # a HiGHS that is told nothing hears nothing
            patch.setattr(Watch, "end", lambda self: None)
            ended = _interrupted(lambda: session.solve(time_limit=4.0), 0.3)
            result = ended.result
            assert result.status is Status.INTERRUPTED
            assert "left behind" in result.note
            assert result.bound is not None
            assert result.bound <= 1e-6
            planted = market_split(5, 40).planted
            session.set_bounds(np.arange(planted.size), planted, planted)
            answer = session.solve()
        assert answer.status is Status.OPTIMAL
        assert answer.objective == pytest.approx(0.0, abs=1e-6)
        return ended

    assert soonest(attempt, 2.0).seconds <= 2.0


def test_highs_small_lp_that_needs_more_than_its_leash_is_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = solver("highs")
    from reludsl_highs import session as module

    problem = dense(60)
    with opened(backend, problem) as session:
        plain = session.solve()
    monkeypatch.setattr(module, "_LEASH", 3)
    with opened(backend, problem) as session:
        leashed = session.solve()
    assert leashed.status is Status.OPTIMAL
    assert leashed.objective == pytest.approx(plain.objective)


def test_highs_iteration_limit_of_the_user_is_kept() -> None:
    with opened(solver("highs"), dense(60), Limits(options={"simplex_iteration_limit": 3})) as session:
        result = session.solve()
    assert result.status is Status.LIMIT
    assert "kIterationLimit" in result.note


@pytest.mark.parametrize("name", ["highs", "cbc", "scip"])
def test_interrupt_in_on_point_is_an_interrupt(name: str) -> None:
    def on_point(kind: object, x: FloatArray, value: float, bound: float) -> None:
        del kind, x, value, bound
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5.0)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        found = _solved(name, knapsack(20), 3.0, on_point=on_point)
    finally:
        signal.signal(signal.SIGINT, before)
    assert found.result.status is Status.INTERRUPTED
    assert found.seconds <= 3.0


@pytest.mark.parametrize("name", ["highs", "cbc", "scip"])
def test_on_point_runs_in_the_thread_and_process_of_the_caller(name: str) -> None:
    seen: list[tuple[int, threading.Thread]] = []
    with opened(solver(name), knapsack(12)) as session:
        session.solve(on_point=lambda kind, x, value, bound: seen.append((os.getpid(), threading.current_thread())))
    assert set(seen) == {(os.getpid(), threading.current_thread())}


def _sleep(ask: object) -> None:
    del ask
    time.sleep(30.0)


def test_apart_returns_answers_and_raises() -> None:
    assert apart(lambda ask: ask(20) + 1, answer=lambda message: 2 * message) == 41
    with pytest.raises(ZeroDivisionError):
        apart(lambda ask: 1 // 0)
    with pytest.raises(KeyError, match="mine"):
        apart(lambda ask: ask("mine"), answer=lambda message: {}[message])


def test_apart_within_apart_returns() -> None:
    assert apart(lambda ask: apart(lambda ask: 5, 20.0), 20.0) == 5


def test_apart_ends_what_takes_too_long() -> None:
    def ended() -> None:
        with pytest.raises(OutOfTime):
            apart(_sleep, 0.2)
        with pytest.raises(KeyboardInterrupt):
            _interrupted(lambda: apart(_sleep), 0.2)

    assert soonest(lambda: timed(ended), 3.0).seconds <= 3.0


def test_apart_death_and_what_cannot_be_pickled_are_failures() -> None:
    with pytest.raises(SolverFailed, match="died"):
        apart(lambda ask: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(SolverFailed):
        apart(lambda ask: lambda: None)


def test_apart_leaves_no_child_and_no_descriptor() -> None:
    apart(lambda ask: None)
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        apart(lambda ask: None)
    hold(len(os.listdir("/dev/fd")) == before, "descriptors are left open")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
