"""Laws about `on_point`: what it is shown, that it may stop, and that nothing is swallowed."""

from __future__ import annotations

from reludsl.backend import (
    Backend,
    Capability,
    FloatArray,
    OnPoint,
    PointKind,
    Reply,
    Result,
    Sense,
    Status,
    Stop,
    UnsupportedCapability,
)
from reludsl.testing.cases import (
    EVENTS,
    TOLERANCE,
    branching,
    close,
    hold,
    needs,
    opened,
    same,
    sound,
    truth,
    watched,
)

__all__: list[str] = []

_Shown = tuple[PointKind, FloatArray, float, float]


class _Mine(Exception):
    """An exception that no solver knows."""


def law_incumbents_are_points(backend: Backend) -> None:
    """Every incumbent shown satisfies the program and has its value; no bound shown cuts off the optimum."""
    needs(backend, Capability.INCUMBENT_EVENTS)
    for sense in Sense:
        problem = branching(sense)
        seen: list[_Shown] = []
        with opened(backend, problem) as session:
            answer = session.solve(on_point=_noting(seen))
        same(backend, problem, result=answer)
        incumbents = [entry for entry in seen if entry[0] is PointKind.INCUMBENT]
        hold(bool(incumbents), "an optimum was found, but no incumbent was shown")
        for _, x, value, bound in incumbents:
            hold(close(value, problem.value(x)), f"value {value} for a point of value {problem.value(x)}")
            sound(backend, problem, Result(Status.STOPPED, x, problem.value(x)))
            right = answer.objective if answer.objective is not None else value
            hold(
                problem.sign * (bound - right) <= TOLERANCE * (1.0 + abs(right)),
                f"bound {bound} shown, but {right} was reached",
            )


def law_nodes_are_relaxations(backend: Backend) -> None:
    """Every node shown satisfies rows and box; integrality may be missing; the answer is not disturbed."""
    needs(backend, Capability.NODE_EVENTS)
    for sense in Sense:
        problem = branching(sense)
        seen: list[_Shown] = []
        with opened(backend, problem) as session:
            answer = session.solve(on_point=_noting(seen))
            plain = session.solve()
        same(backend, problem, result=answer)
        same(backend, problem, result=plain)
        nodes = [entry for entry in seen if entry[0] is PointKind.NODE]
        hold(bool(nodes), "a program with a fractional root was solved, but no node was shown")
        for _, x, value, bound in nodes:
            hold(close(value, problem.value(x)), f"value {value} for a point of value {problem.value(x)}")
            sound(backend, problem, Result(Status.STOPPED, x, problem.value(x)), relax=True)
            right = answer.objective if answer.objective is not None else value
            ahead = problem.sign * (bound - right)
            hold(ahead <= TOLERANCE * (1.0 + abs(right)), f"bound {bound} cuts off {right}")


def law_exceptions_leave_the_solve(backend: Backend) -> None:
    """What `on_point` raises comes out of `solve` unchanged, and the session lives on."""
    watched(backend)
    problem = branching()
    raised = _Mine("unchanged")

    def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
        del kind, x, value, bound
        raise raised

    with opened(backend, problem) as session:
        try:
            session.solve(on_point=on_point)
        except _Mine as caught:
            hold(caught is raised, "another exception came out than went in")
        else:
            hold(False, "the exception was swallowed")
        same(backend, problem, result=session.solve())


def law_stop_is_honoured(backend: Backend) -> None:
    """`Stop` ends the solve with STOPPED, a point or none, and a bound that holds; the session lives on."""
    watched(backend)
    for sense in Sense:
        problem = branching(sense)
        seen: list[_Shown] = []
        with opened(backend, problem) as session:
            answer = session.solve(on_point=_noting(seen, Stop()))
            hold(answer.status is Status.STOPPED, f"status {answer.status.name} after Stop")
            hold(len(seen) == 1, f"on_point was called {len(seen)} times, though the first reply was Stop")
            sound(backend, problem, answer)
            right = truth(problem).objective
            hold(
                answer.bound is None
                or right is None
                or problem.sign * (answer.bound - right) <= TOLERANCE * (1 + abs(right)),
                f"bound {answer.bound} after Stop, but {right} exists",
            )
            same(backend, problem, result=session.solve())


def law_on_point_without_capability_is_refused(backend: Backend) -> None:
    """A backend without events raises UnsupportedCapability instead of never calling."""
    if backend.capabilities & EVENTS:
        return
    problem = branching()
    with opened(backend, problem) as session:
        try:
            session.solve(on_point=lambda kind, x, value, bound: None)
        except UnsupportedCapability:
            return
    hold(False, "on_point was accepted by a backend that offers no events")


def _noting(seen: list[_Shown], reply: Reply = None) -> OnPoint:
    def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
        seen.append((kind, x, value, bound))
        return reply

    return on_point
