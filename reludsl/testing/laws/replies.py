"""Laws about what `on_point` answers: rows that cut, points that are suggested, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from reludsl.backend import (
    Backend,
    Capability,
    FloatArray,
    InvalidInput,
    PointKind,
    Reply,
    Result,
    Rows,
    Sense,
    Status,
    Suggestion,
    UnsupportedCapability,
)
from reludsl.testing.cases import (
    INF,
    Case,
    at_most,
    branching,
    case,
    close,
    hold,
    market_split,
    needs,
    opened,
    rows,
    same,
    sound,
    truth,
    watched,
    with_rows,
)

__all__: list[str] = []

_BEYOND = 1e-6


def law_rows_without_capability_are_refused(backend: Backend) -> None:
    """A backend without LAZY_ROWS raises UnsupportedCapability when `on_point` answers rows, in a tuple or not."""
    _refused_without(backend, Capability.LAZY_ROWS, lambda x: at_most([1.0] * x.size, 1.0))


def law_suggestions_without_capability_are_refused(backend: Backend) -> None:
    """A backend without SUGGEST raises UnsupportedCapability when `on_point` suggests a point, in a tuple or not."""
    _refused_without(backend, Capability.SUGGEST, lambda x: Suggestion(np.zeros(x.size)))


def law_what_is_no_reply_is_refused(backend: Backend) -> None:
    """What is no reply, or speaks of other columns, is an InvalidInput and never ignored."""
    watched(backend)
    wrong: list[object] = ["stop", [None], (None,)]
    if Capability.SUGGEST in backend.capabilities:
        wrong.append(Suggestion(np.zeros(2)))
    if Capability.LAZY_ROWS in backend.capabilities:
        wrong.append(at_most([1.0, 1.0], 1.0))
    for reply in wrong:
        hold(_raises(backend, InvalidInput, partial(_always, reply)), f"the reply {reply!r} was accepted")


def law_lazy_rows_cut(backend: Backend) -> None:
    """With LAZY_ROWS the answer is that of the program with all answered rows in it from the start."""
    needs(backend, Capability.LAZY_ROWS | Capability.INCUMBENT_EVENTS)
    for sense in Sense:
        problem, most = branching(sense), 3.0
        row = at_most([1.0] * problem.cost.size, most)

        def on_point(
            kind: PointKind, x: FloatArray, value: float, bound: float, row: Rows = row, most: float = most
        ) -> Reply:
            del value, bound
            return row if kind is PointKind.INCUMBENT and x.sum() > most + _BEYOND else None

        with opened(backend, problem) as session:
            _is_answer(backend, with_rows(problem, row), session.solve(on_point=on_point))


def law_lazy_rows_at_nodes_hold(backend: Backend) -> None:
    """Rows that are answered at a node hold in every part of the tree, for good."""
    needs(backend, Capability.LAZY_ROWS | Capability.NODE_EVENTS)
    for sense in Sense:
        problem = branching(sense)
        row = at_most([1.0] * problem.cost.size, 3.0)
        asked: list[PointKind] = []

        def on_point(
            kind: PointKind,
            x: FloatArray,
            value: float,
            bound: float,
            row: Rows = row,
            asked: list[PointKind] = asked,
        ) -> Reply:
            del x, value, bound
            if kind is not PointKind.NODE or asked:
                return None
            asked.append(kind)
            return row

        with opened(backend, problem) as session:
            answer = session.solve(on_point=on_point)
        hold(bool(asked), "no node of a program with a fractional root was shown")
        _is_answer(backend, with_rows(problem, row), answer)


def law_lazy_rows_lose_no_solution(backend: Backend) -> None:
    """Cutting off every incumbent's integers shows every feasible assignment, and none twice."""
    needs(backend, Capability.LAZY_ROWS | Capability.INCUMBENT_EVENTS)
    for problem, integers in _assignments():
        every = _feasible(problem, integers)
        shown: list[tuple[int, ...]] = []

        def on_point(
            kind: PointKind,
            x: FloatArray,
            value: float,
            bound: float,
            integers: int = integers,
            shown: list[tuple[int, ...]] = shown,
        ) -> Reply:
            del value, bound
            if kind is not PointKind.INCUMBENT:
                return None
            pattern = np.round(x[:integers])
            shown.append(tuple(int(v) for v in pattern))
            signs = np.concatenate([2.0 * pattern - 1.0, np.zeros(x.size - integers)])
            return at_most(signs.tolist(), float(pattern.sum()) - 1.0)

        with opened(backend, problem) as session:
            answer = session.solve(on_point=on_point)
        hold(answer.x is None, "a point was returned, though every incumbent was cut off")
        hold(len(shown) == len(set(shown)), "an assignment came back after it was cut off")
        hold(set(shown) <= every, "an assignment was shown that no point completes")
        if answer.trusted:
            hold(answer.status in (Status.INFEASIBLE, Status.STOPPED), f"status {answer.status.name} without a point")
            hold(set(shown) == every, f"{len(every) - len(set(shown))} of {len(every)} assignments were lost")


def law_lazy_rows_overtake_earlier_incumbents(backend: Backend) -> None:
    """An incumbent that was accepted is given up when a later row cuts it off, and prunes nothing any more."""
    needs(backend, Capability.LAZY_ROWS | Capability.INCUMBENT_EVENTS)
    for sense in Sense:
        problem = branching(sense)
        first: list[float] = []
        answered: list[Rows] = []

        def on_point(
            kind: PointKind,
            x: FloatArray,
            value: float,
            bound: float,
            problem: Case = problem,
            first: list[float] = first,
            answered: list[Rows] = answered,
        ) -> Reply:
            del x, bound
            if kind is PointKind.INCUMBENT and not first:
                first.append(value)
                return None
            if not first or answered:
                return None
            side = problem.sign * (first[0] - problem.offset) + 1.5
            answered.append(at_most((-problem.sign * problem.cost).tolist(), -side))
            return answered[0]

        with opened(backend, problem) as session:
            answer = session.solve(on_point=on_point)
        _is_answer(backend, with_rows(problem, answered[0]) if answered else problem, answer)


def law_lazy_rows_may_speak_of_idle_and_equal_columns(backend: Backend) -> None:
    """No conclusion rests on the rows known so far: not that a column is idle, and not that columns are alike."""
    needs(backend, Capability.LAZY_ROWS | Capability.INCUMBENT_EVENTS)
    n = 6
    alike = np.hstack([np.ones((1, n)), np.zeros((1, 2))])
    cost = [-1.0] * n + [0.5, 0.25]
    problem = case(alike, [-INF], [n / 2 + 0.5], [0] * (n + 2), [1] * n + [3, 3], [True] * (n + 1) + [False], cost)
    needed = rows([[0.0] * n + [1.0, 0.0], [0.0] * n + [1.0, 1.0]], [1.5, 3.25], [INF, INF])
    unlike = at_most([1.0] * (n - 1) + [0.0] * 3, 2.0)
    for way in problem.everyway():
        for cuts in ((needed,), (unlike,), (needed, unlike)):
            whole = way if way.sense is Sense.MINIMIZE else Case(way.matrix, -way.cost, way.sense)
            asked = whole
            for cut in cuts:
                whole = with_rows(whole, cut)
            with opened(backend, asked) as session:
                answer = session.solve(on_point=partial(_violated, cuts))
            _is_answer(backend, whole, answer)


def law_lazy_rows_end_with_their_solve(backend: Backend) -> None:
    """Answered rows are forgotten by the next solve: what shall stay is added with `add_rows`."""
    needs(backend, Capability.LAZY_ROWS | Capability.INCUMBENT_EVENTS)
    problem = branching()
    with opened(backend, problem) as session:
        session.solve(on_point=lambda kind, x, value, bound: at_most([1.0] * x.size, 1.0))
        for relax in (False, True):
            same(backend, problem, relax, session.solve(relax=relax))


def law_suggestions_are_taken(backend: Backend) -> None:
    """A suggested optimum that is hard to find, and easy to see the worth of, ends the solve."""
    needs(backend, Capability.SUGGEST)
    for split, limit in ((market_split(2, 10), 20.0), (market_split(5, 40), 20.0)):
        best = np.concatenate([split.planted, np.zeros(split.slack.cost.size - split.planted.size)])
        called: list[PointKind] = []

        def on_point(
            kind: PointKind,
            x: FloatArray,
            value: float,
            bound: float,
            best: FloatArray = best,
            called: list[PointKind] = called,
        ) -> Reply:
            del x, value, bound
            called.append(kind)
            return Suggestion(best.copy())

        with opened(backend, split.slack) as session:
            try:
                answer = session.solve(on_point=on_point, time_limit=limit)
            except InvalidInput:
                continue
        sound(backend, split.slack, answer)
        hold(bool(called), "on_point was never called")
        value = answer.objective
        hold(value is not None and close(value, split.best), f"{value}, though {split.best} was suggested")


def law_suggestions_that_are_no_points_do_no_harm(backend: Backend) -> None:
    """A suggestion outside rows, box or integers, or without any number, changes no answer."""
    needs(backend, Capability.SUGGEST)
    for sense in Sense:
        problem = branching(sense)
        n = problem.cost.size
        for wrong in (np.ones(n), np.full(n, 0.3), np.full(n, 7.0), np.full(n, -1.0), np.full(n, np.nan)):
            with opened(backend, problem) as session:
                answer = session.solve(on_point=partial(_always, Suggestion(wrong)))
                same(backend, problem, result=answer)
                same(backend, problem, result=session.solve())


def law_tuples_of_replies_are_carried_out(backend: Backend) -> None:
    """A tuple is carried out part by part; a suggestion that an answered row cuts off is not taken."""
    watched(backend)
    problem = branching()
    best = truth(problem).x
    if best is None:
        raise AssertionError("the oracle has no point for a knapsack")
    offered = backend.capabilities
    cuts = (at_most([1.0] * best.size, 3.0), at_most(best.tolist(), float(best.sum()) - 1.0))
    parts: tuple[Rows | Suggestion, ...] = ()
    whole = problem
    if Capability.SUGGEST in offered:
        parts += (Suggestion(best),)
    if Capability.LAZY_ROWS in offered:
        parts += cuts
        for cut in cuts:
            whole = with_rows(whole, cut)
    with opened(backend, problem) as session:
        _is_answer(backend, whole, session.solve(on_point=lambda kind, x, value, bound: parts))


def _always(reply: Any, *shown: object) -> Any:
    return reply


def _violated(cuts: tuple[Rows, ...], kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
    """The rows that cut off an incumbent."""
    del value, bound
    return tuple(cut for cut in cuts if kind is PointKind.INCUMBENT and cut.violation(x).max() > _BEYOND)


def _refused_without(
    backend: Backend, capability: Capability, reply: Callable[[FloatArray], Rows | Suggestion]
) -> None:
    watched(backend)
    if capability in backend.capabilities:
        return
    for way in (reply, lambda x: (reply(x),)):
        refused = _raises(backend, UnsupportedCapability, way)
        hold(refused, f"a reply was accepted, and lost, by a backend that does not offer {capability.name}")


def _raises(backend: Backend, error: type[Exception], reply: Callable[[FloatArray], object]) -> bool:
    """Whether a solve ends with an error when `on_point` answers this."""
    with opened(backend, branching()) as session:
        try:
            session.solve(on_point=lambda kind, x, value, bound: reply(x))  # type: ignore[arg-type, return-value]
        except error:
            return True
    return False


def _is_answer(backend: Backend, whole: Case, answer: Result) -> None:
    """What may come out of a solve with lazy rows, `whole` being the program with the rows in it.

    The answer itself; or, of a solver that proves nothing then, its best point without a bound, as STOPPED; or
    whatever satisfies the rows, with a warning not to trust it.
    """
    if not answer.trusted:
        sound(backend, whole, answer)
    elif answer.status is Status.STOPPED:
        sound(backend, whole, answer)
        hold(answer.bound is None, "a bound came with STOPPED, though nothing was told to stop")
        best = truth(whole).objective
        hold((best is None) == (answer.objective is None), f"objective {answer.objective}, but the optimum is {best}")
        if best is not None and answer.objective is not None:
            hold(close(answer.objective, best), f"objective {answer.objective}, but the optimum is {best}")
    else:
        same(backend, whole, result=answer)


def _assignments() -> list[tuple[Case, int]]:
    """Small programs and the number of their binary columns, which come first; others are continuous."""
    draw = np.random.default_rng(7)
    knapsacks = []
    for sense in Sense:
        weights = draw.integers(1, 9, (2, 6)).astype(float)
        cost = draw.integers(-5, 6, 6).astype(float)
        half = np.floor(weights.sum(axis=1) / 2).tolist()
        knapsacks.append((case(weights, [-INF] * 2, half, [0] * 6, [1] * 6, True, cost.tolist(), sense), 6))
    mixed = case(
        [[3, -2, 4, 1, 1, -1], [-1, 2, 1, -3, 2, 1], [1, 1, -2, 2, -1, 2]],
        [-INF, -1.5, -0.5],
        [4.5, 2.5, INF],
        [0] * 4 + [-1, 0],
        [1] * 5 + [0.5],
        [True] * 4 + [False] * 2,
        [1, -2, 1.5, -1, 0.5, -0.25],
    )
    nothing = Case(knapsacks[0][0].matrix, np.zeros(6))
    return [*knapsacks, (mixed, 4), (mixed.towards(Sense.MAXIMIZE), 4), (nothing, 6)]


def _feasible(problem: Case, integers: int) -> set[tuple[int, ...]]:
    """Assignments that the oracle can complete."""
    found = set()
    for pattern in itertools.product((0, 1), repeat=integers):
        fixed = np.array(pattern, dtype=float)
        pinned = rows(np.eye(integers, problem.cost.size), fixed.tolist(), fixed.tolist())
        if truth(with_rows(problem, pinned)).x is not None:
            found.add(pattern)
    return found
