"""Laws about limits: a limit costs the end of the search, never the truth of what is reported."""

from __future__ import annotations

import time

from reludsl.backend import Backend, Capability, InvalidInput, Limits, Result, Sense, Status, UnsupportedCapability
from reludsl.testing.cases import (
    INF,
    TOLERANCE,
    Case,
    LawBroken,
    Split,
    case,
    dense,
    hold,
    knapsack,
    market_split,
    needs,
    opened,
    same,
    sound,
    truth,
)
from reludsl.testing.clock import Timed, soonest, timed

__all__: list[str] = []


def _solved(backend: Backend, problem: Case, limit: float) -> Timed[Result | None]:
    """A solve with a time limit; None when the backend refuses a program of this size."""

    def solve() -> Result | None:
        try:
            return session.solve(time_limit=limit)
        except InvalidInput:
            return None

    with opened(backend, problem) as session:
        return timed(solve)


def _kept(backend: Backend, problem: Case, limit: float) -> Result | None:
    """A solve that must end within the limit, 10 % and one second."""
    most = 1.1 * limit + 1.0
    found = soonest(lambda: _solved(backend, problem, limit), most)
    hold(found.seconds <= most, f"{found.seconds:.2f} s for a limit of {limit} s")
    return found.result


def _small() -> Split:
    return market_split(3, 15)


def _hard() -> Split:
    return market_split(5, 40)


def law_limit_never_becomes_infeasible(backend: Backend) -> None:
    """A search that ran out of time before it found the planted point does not say INFEASIBLE."""
    for split in (_small(), _hard()):
        found = _solved(backend, split.exactly, 0.05).result
        hold(
            found is None or found.status in (Status.LIMIT, Status.OPTIMAL),
            f"status {found and found.status.name} for a program with a point",
        )


def law_no_point_at_a_limit_is_none(backend: Backend) -> None:
    """At a limit x is a point that satisfies the rows, or None: never zeros."""
    for split in (_small(), _hard()):
        for problem in (split.exactly, split.slack):
            found = _solved(backend, problem, 0.05).result
            if found is not None:
                sound(backend, problem, found)


def law_bound_at_a_limit_is_proved(backend: Backend) -> None:
    """At a limit no point is better than the bound: not the planted one either."""
    for split in (_small(), _hard()):
        for sense, sign in ((Sense.MINIMIZE, 1.0), (Sense.MAXIMIZE, -1.0)):
            problem = Case(split.slack.matrix, sign * split.slack.cost, sense, offset=50.0)
            found = _solved(backend, problem, 0.05).result
            if found is None:
                continue
            sound(backend, problem, found)
            bound = found.bound
            best = sign * split.best + 50.0
            hold(
                bound is None or sign * (bound - best) <= TOLERANCE,
                f"bound {bound}, but a point of value {best} exists",
            )


def law_time_limit_is_honoured(backend: Backend) -> None:
    """A hard program ends within its limit, 10 % and one second, once in three attempts at least."""
    for problem, limit in ((_small().exactly, 0.2), (_hard().exactly, 0.5), (_hard().slack, 0.5)):
        found = _kept(backend, problem, limit)
        if found is not None:
            sound(backend, problem, found)


def law_time_limit_of_an_lp_is_honoured(backend: Backend) -> None:
    """A dense LP ends within its limit, 10 % and one second, once in three attempts at least, and what comes of it is
    not called infeasible."""
    problem, limit = dense(100), 0.2
    answer = _kept(backend, problem, limit)
    if answer is None:
        raise LawBroken("an LP was refused")
    hold(answer.status in (Status.LIMIT, Status.OPTIMAL), f"status {answer.status.name} for an LP with a point")
    sound(backend, problem, answer)


def law_time_limit_does_not_stick(backend: Backend) -> None:
    """A solve without limit runs to its end on a session that was under a limit before."""
    for problem in (knapsack(11), knapsack(22)):
        with opened(backend, problem) as session:
            try:
                session.solve(time_limit=0.001)
            except InvalidInput:
                continue
            for relax in (False, True):
                answer = session.solve(relax=relax)
                sound(backend, problem, answer, relax)
                hold(answer.status is Status.OPTIMAL, f"status {answer.status.name} without a limit")


def law_limits_are_per_solve(backend: Backend) -> None:
    """Many short solves on one session do not add up to its time limit."""
    problem = case([[2, 3, 1]], [-INF], [7], [0] * 3, [3] * 3, True, [3, 4, 1], Sense.MAXIMIZE)
    with opened(backend, problem) as session:
        for relax in (True, False):
            began = time.perf_counter()
            for _ in range(4):
                time.sleep(0.06)
                same(backend, problem, relax, session.solve(relax=relax, time_limit=0.2))
            hold(time.perf_counter() - began > 0.2, "the clock stands still")


def law_limits_of_linear_programs_begin_with_them(backend: Backend) -> None:
    """What a session has spent on trees is not counted against the limit of a linear program after them."""
    problem = knapsack(11)
    with opened(backend, problem) as session:
        began = time.perf_counter()
        while time.perf_counter() - began < 0.6:
            session.solve()
        for _ in range(3):
            asked = time.perf_counter()
            answer = session.solve(relax=True, time_limit=0.25)
            hold(
                answer.status is Status.OPTIMAL or time.perf_counter() - asked >= 0.25,
                f"status {answer.status.name} at once, after trees had taken more than the limit",
            )


def law_gap_zero_means_zero(backend: Backend) -> None:
    """The last unit of an objective of 100 000 counts: a relative gap of 1e-4 would stop ten units early."""
    for sense, sign in ((Sense.MAXIMIZE, 1.0), (Sense.MINIMIZE, -1.0)):
        for weights in ([7, 11, 13, 17], [5, 9, 14, 23]):
            problem = case(
                [weights],
                [-INF],
                [31],
                [0] * 4,
                [2] * 4,
                True,
                [sign * (w + 0.25 * (k % 3)) for k, w in enumerate(weights)],
                sense,
                offset=sign * 1e5,
            )
            with opened(backend, problem) as session:
                answer = session.solve()
            sound(backend, problem, answer)
            right = truth(problem).objective
            hold(
                answer.objective is not None and right is not None and abs(answer.objective - right) < 1e-3,
                f"stopped at {answer.objective}, though {right} exists",
            )


def law_near_ties_are_told_apart(backend: Backend) -> None:
    """Objectives 2e-6 apart are not equal: whoever asks for an improvement of 1e-5 proves a false bound."""
    unit = 2e-6
    for items in (11, 12):
        for sense, sign in ((Sense.MAXIMIZE, 1.0), (Sense.MINIMIZE, -1.0)):
            base = knapsack(items)
            problem = Case(base.matrix, sign * unit * base.cost, sense)
            with opened(backend, problem) as session:
                answer = session.solve()
            sound(backend, problem, answer)
            right, value = truth(problem).objective, answer.objective
            hold(
                value is not None and right is not None and abs(value - right) < unit / 2,
                f"stopped at {value}, though {right} exists",
            )
            hold(
                answer.bound is None or right is None or problem.sign * (answer.bound - right) < unit / 2,
                f"bound {answer.bound}, but a point of value {right} exists",
            )


def law_gap_keeps_its_promise(backend: Backend) -> None:
    """With a gap of 10 % the answer is within 10 % of the optimum, and the bound still holds."""
    problem = knapsack(11)
    right = truth(problem).objective
    with opened(backend, problem) as session:
        answer = session.solve(gap=0.1)
    value, bound = answer.objective, answer.bound
    hold(answer.x is not None and value is not None and right is not None, "no point within the gap")
    if value is not None and right is not None:
        hold(value >= right - 0.1 * abs(right) - TOLERANCE, f"{value} misses {right} by more")
        hold(bound is None or bound >= right - TOLERANCE, f"bound {bound} cuts off {right}")


def law_stop_bound_is_an_answer(backend: Backend) -> None:
    """`stop_bound` ends with a bound that good, or with the optimum, in both senses."""
    for sense, sign in ((Sense.MAXIMIZE, 1.0), (Sense.MINIMIZE, -1.0)):
        base = knapsack(11)
        problem = Case(base.matrix, sign * base.cost, sense, offset=3.0)
        right = truth(problem).objective
        if right is None:
            continue
        # Reachable early, only at the end, and not at all.
        for threshold in (right + sign * 5.0, right, right - sign * 5.0):
            with opened(backend, problem) as session:
                answer = session.solve(stop_bound=threshold)
            _stopped_soundly(backend, problem, answer, right)
            if answer.status is Status.STOPPED:
                hold(
                    answer.bound is not None and sign * (answer.bound - threshold) <= TOLERANCE,
                    f"STOPPED with bound {answer.bound}, which does not reach {threshold}",
                )


def law_stop_objective_is_an_answer(backend: Backend) -> None:
    """`stop_objective` ends with a point that good, or with the optimum, in both senses."""
    for sense, sign in ((Sense.MAXIMIZE, 1.0), (Sense.MINIMIZE, -1.0)):
        base = knapsack(11)
        problem = Case(base.matrix, sign * base.cost, sense, offset=3.0)
        right = truth(problem).objective
        if right is None:
            continue
        for threshold in (right - sign * 20.0, right, right + sign * 5.0):
            with opened(backend, problem) as session:
                answer = session.solve(stop_objective=threshold)
            _stopped_soundly(backend, problem, answer, right)
            if answer.status is Status.STOPPED:
                hold(
                    answer.objective is not None and sign * (answer.objective - threshold) >= -TOLERANCE,
                    f"STOPPED with objective {answer.objective}, which does not reach {threshold}",
                )


def law_stop_leaves_nothing_behind(backend: Backend) -> None:
    """A solve that a limit ended does not end the next one on its session, with a limit out of reach or none."""
    problem = knapsack(11)
    right = truth(problem).objective
    if right is None:
        return
    sign = 1.0 if problem.sense is Sense.MAXIMIZE else -1.0
    with opened(backend, problem) as session:
        for reachable in (True, True, False):
            if reachable:
                session.solve(stop_objective=right - sign * 20.0)
                session.solve(stop_bound=right + sign * 1e6)
            answers = [session.solve(stop_objective=right + sign * 1e6), session.solve()]
            for answer in answers:
                hold(answer.status is Status.OPTIMAL, f"status {answer.status.name} after a stopped solve")
                same(backend, problem, result=answer)


def law_replaced_limits_are_named(backend: Backend) -> None:
    """A stop limit that the solver does not know is replaced by a solve to the end, and the note says so."""
    problem = knapsack(6)
    with opened(backend, problem) as session:
        replaced: list[Result] = []
        if Capability.STOP_BOUND not in backend.capabilities:
            replaced.append(session.solve(stop_bound=1e6))
        if Capability.STOP_OBJECTIVE not in backend.capabilities:
            replaced.append(session.solve(stop_objective=-1e6))
    for answer in replaced:
        hold(answer.status is Status.OPTIMAL, f"status {answer.status.name} for a limit that is not offered")
        hold(bool(answer.note), "a stop limit was replaced without a word in the note")


def law_unknown_options_are_refused(backend: Backend) -> None:
    """A raw option that the solver does not have is an InvalidInput, not a silent default."""
    problem = knapsack(6)
    try:
        with opened(backend, problem, Limits(options={"no_such_option_of_any_solver": 1})) as session:
            session.solve()
    except InvalidInput:
        return
    hold(False, "an unknown option was accepted")


def law_tolerance_is_kept(backend: Backend) -> None:
    """A switch that is 5e-7 from 0 is not off where the tolerance is 1e-8: x <= 1e6 z, x >= 1/2, z least."""
    needs(backend, Capability.TOLERANCE | Capability.MILP)
    problem = case([[1, -1e6]], [-INF], [0], [0.5, 0], [1e6, 1], [False, True], [0, 1])
    with opened(backend, problem, Limits(tolerance=1e-8)) as session:
        answer = session.solve()
    hold(answer.status is Status.OPTIMAL, f"status {answer.status.name}")
    hold(
        answer.objective is not None and abs(answer.objective - 1.0) <= TOLERANCE,
        f"value {answer.objective} where it is 1 at every point whose switch is within 1e-8 of an integer",
    )


def law_tolerance_without_capability_is_refused(backend: Backend) -> None:
    """A backend without TOLERANCE raises UnsupportedCapability instead of ignoring the tolerance."""
    if Capability.TOLERANCE in backend.capabilities:
        return
    try:
        with opened(backend, knapsack(4), Limits(tolerance=1e-9)) as session:
            session.solve()
    except UnsupportedCapability:
        return
    hold(False, "a tolerance was accepted by a backend that does not offer TOLERANCE")


def law_profile_changes_no_answer(backend: Backend) -> None:
    """The settings for network models cost or save time; answers are the same without them."""
    problem = knapsack(10)
    for profile in (True, False):
        with opened(backend, problem, Limits(profile=profile, seed=7)) as session:
            same(backend, problem, result=session.solve())


def _stopped_soundly(backend: Backend, problem: Case, answer: Result, right: float) -> None:
    sound(backend, problem, answer)
    hold(answer.status in (Status.OPTIMAL, Status.STOPPED), f"status {answer.status.name} with a stop limit")
    hold(
        answer.bound is None or problem.sign * (answer.bound - right) <= TOLERANCE * (1.0 + abs(right)),
        f"bound {answer.bound}, but a point of value {right} exists",
    )
    if answer.status is Status.OPTIMAL:
        same(backend, problem, result=answer)
