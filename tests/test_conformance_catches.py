"""The suite is worth what it catches: every broken backend must break the law that forbids its fault."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from reludsl.backend import (
    Capability,
    Count,
    CountingSession,
    FloatArray,
    IntArray,
    InvalidInput,
    Limits,
    Matrix,
    MissingBackend,
    OnPoint,
    PointKind,
    Reply,
    Result,
    Rows,
    Sense,
    Session,
    Status,
    Stop,
    Suggestion,
    answered,
)
from reludsl.testing import LAWS, EnumerationBackend, conformance, failures
from reludsl.testing.enumeration import EnumerationSession

C = Capability
ALL = EnumerationBackend().capabilities


class Faithful:
    """A session that passes everything on; each fault overrides one method."""

    def __init__(self, matrix: Matrix, limits: Limits) -> None:
        self.matrix = matrix
        self.limits = limits
        self.session: Session = EnumerationBackend().open(matrix, limits)
        self.sense = Sense.MINIMIZE

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        self.sense = sense
        self.session.set_cost(index, value, sense, offset)

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        self.session.set_bounds(index, lower, upper)

    def add_rows(self, rows: Rows) -> None:
        self.session.add_rows(rows)

    def solve(self, **asked: Any) -> Result:
        return self.session.solve(**asked)

    def count(self, time_limit: float | None = None) -> Count:
        assert isinstance(self.session, CountingSession)
        return self.session.count(time_limit)

    def close(self) -> None:
        self.session.close()


class FlippedSense(Faithful):
    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        other = Sense.MINIMIZE if sense is Sense.MAXIMIZE else Sense.MAXIMIZE
        super().set_cost(index, value, other, offset)


class ValueAsBound(Faithful):
    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        return dataclasses.replace(result, bound=result.objective)


class ForgottenIntegrality(Faithful):
    def solve(self, **asked: Any) -> Result:
        return super().solve(**{**asked, "relax": True})


class StaleObjective(Faithful):
    last: float | None = None

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        stale, self.last = self.last, result.objective
        if result.objective is None or stale is None:
            return result
        return dataclasses.replace(result, objective=stale)


class StaleCost(Faithful):
    asked = False

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        if not self.asked:
            super().set_cost(index, value, sense, offset)
        self.asked = True


class LimitAsInfeasible(Faithful):
    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.status is Status.LIMIT and result.x is None:
            return Result(Status.INFEASIBLE)
        return result


class ZerosAtLimit(Faithful):
    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.status is Status.LIMIT and result.x is None:
            return dataclasses.replace(result, x=np.zeros(self.matrix.lower.size), objective=0.0)
        return result


class LooseGap(Faithful):
    """Stops at the first point within 1e-4 of the optimum, as solvers do by default."""

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if asked.get("relax") or result.status is not Status.OPTIMAL or result.objective is None:
            return result
        best = result.objective
        seen: list[tuple[float, FloatArray]] = []

        def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
            del kind, bound
            seen.append((value, x))
            return None

        super().solve(on_point=on_point)
        value, x = next(entry for entry in seen if abs(entry[0] - best) <= self.within(best))
        return dataclasses.replace(result, x=x, objective=value, bound=value)

    def within(self, best: float) -> float:
        return 1e-4 * abs(best)


class CoarseIncrement(LooseGap):
    """CBC looks only for points that are better by 1e-5."""

    def within(self, best: float) -> float:
        del best
        return 1e-5


class Chatty(Faithful):
    def solve(self, **asked: Any) -> Result:
        os.write(1, b"Clp0006I 0  Obj 0\n")
        return super().solve(**asked)


class RowsIgnored(Faithful):
    def add_rows(self, rows: Rows) -> None:
        del rows


class BoundsStick(Faithful):
    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        own = self.matrix
        super().set_bounds(index, np.maximum(lower, own.lower[index]), np.minimum(upper, own.upper[index]))
        own.lower[index] = np.maximum(lower, own.lower[index])


class InputChanged(Faithful):
    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        super().set_cost(index, value, sense, offset)
        value *= -1.0


class ExceptionSwallowed(Faithful):
    def solve(self, **asked: Any) -> Result:
        told: OnPoint | None = asked.get("on_point")
        if told is None:
            return super().solve(**asked)

        def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
            try:
                return told(kind, x, value, bound)
            except Exception:
                return None

        return super().solve(**{**asked, "on_point": on_point})


class StopIgnored(Faithful):
    def solve(self, **asked: Any) -> Result:
        told: OnPoint | None = asked.get("on_point")
        if told is None:
            return super().solve(**asked)

        def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
            reply = told(kind, x, value, bound)
            return reply if isinstance(reply, Rows) else None

        return super().solve(**{**asked, "on_point": on_point})


class StopRemembered(Faithful):
    """Keeps the flag of a stopped solve, as a solver's callback record may."""

    stopped = False

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        limited = asked.get("stop_objective") is not None or asked.get("stop_bound") is not None
        if limited and self.stopped:
            return Result(Status.STOPPED)
        self.stopped = self.stopped or limited
        return result


class Remembering(Faithful):
    """Can tell another session what it was told."""

    def __init__(self, matrix: Matrix, limits: Limits) -> None:
        super().__init__(matrix, limits)
        self.told: list[Callable[[Session], None]] = []

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        super().set_cost(index, value, sense, offset)
        self.told.append(lambda session: session.set_cost(index, value, sense, offset))

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        super().set_bounds(index, lower, upper)
        self.told.append(lambda session: session.set_bounds(index, lower, upper))

    def again(self, matrix: Matrix) -> Session:
        """Another session on a matrix, told the same."""
        session = EnumerationBackend().open(matrix, self.limits)
        for call in self.told:
            call(session)
        return session


class Filtered(Faithful, ABC):
    """Hands replies on as `passed` says."""

    def solve(self, **asked: Any) -> Result:
        told: OnPoint | None = asked.get("on_point")
        if told is None:
            return super().solve(**asked)

        def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
            return self.passed(told(kind, x, value, bound), kind)

        return super().solve(**{**asked, "on_point": on_point})

    @abstractmethod
    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        """What is left of a reply."""


class RowsFromCallbackLost(Filtered):
    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        return None if isinstance(reply, Rows) else reply


class RowsAtNodesLost(Filtered):
    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        return None if isinstance(reply, Rows) and kind is PointKind.NODE else reply


class TuplesLost(Filtered):
    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        return None if isinstance(reply, tuple) else reply


class AnythingIsAReply(Filtered):
    """HiGHS' interface takes what it can use of an answer."""

    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        known = reply if isinstance(reply, tuple) else (reply,)
        width = self.matrix.lower.size
        fits = all(
            (isinstance(part, Rows) and part.matrix.shape[1] == width)
            or (isinstance(part, Suggestion) and part.x.size == width)
            or isinstance(part, Stop)
            for part in known
        )
        return reply if fits else None


class SuggestionsLost(Filtered):
    """HiGHS ignores a solution that is given in the wrong callback; it would need longer by itself."""

    def solve(self, **asked: Any) -> Result:
        return super().solve(**{**asked, "time_limit": 0.05})

    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        return None if isinstance(reply, Suggestion) else reply


class SuggestionsBelieved(Filtered):
    last: FloatArray | None = None

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        self.cost, self.offset = value.copy(), offset
        super().set_cost(index, value, sense, offset)

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if self.last is None or not np.isfinite(self.last).all():
            return result
        return dataclasses.replace(result, x=self.last, objective=float(self.cost @ self.last + self.offset))

    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        self.last = reply.x if isinstance(reply, Suggestion) else self.last
        return reply


class SolutionsLost(Filtered):
    """CBC cuts off points that it never shows."""

    shown = 0

    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        self.shown += kind is PointKind.INCUMBENT
        if kind is not PointKind.INCUMBENT or self.shown != 3 or not isinstance(reply, Rows):
            return reply
        more = Rows(reply.matrix.copy(), reply.lower, reply.upper - 1.0)
        return (reply, more)


class IdleColumnsFixed(Faithful):
    """Puts columns that no row speaks of where the objective wants them, before any row is answered."""

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        super().set_cost(index, value, sense, offset)
        idle = np.setdiff1d(index[value != 0], self.matrix.rows.indices)
        self.session.set_bounds(idle, self.matrix.lower[idle], self.matrix.lower[idle])


class AnsweredRowsStay(Filtered):
    def passed(self, reply: Reply, kind: PointKind) -> Reply:
        if isinstance(reply, Rows):
            self.session.add_rows(reply)
        return reply


class CutIncumbentKept(Faithful):
    """Keeps the first incumbent that was not answered by rows, whatever is answered later."""

    def solve(self, **asked: Any) -> Result:
        told: OnPoint | None = asked.get("on_point")
        if told is None:
            return super().solve(**asked)
        kept: list[tuple[FloatArray, float]] = []

        def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
            reply = told(kind, x, value, bound)
            if reply is None and kind is PointKind.INCUMBENT:
                kept.append((x, value))
            return reply

        result = super().solve(**{**asked, "on_point": on_point})
        if not kept:
            return result
        x, value = kept[0]
        sign = 1.0 if self.sense is Sense.MINIMIZE else -1.0
        if result.objective is not None and sign * (value - result.objective) >= 0:
            return result
        return Result(Status.OPTIMAL, x, value, value)


class BoundWithoutAnsweredRows(Faithful):
    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        return dataclasses.replace(result, bound=super().solve(**{**asked, "on_point": None}).bound)


class NodesNeverShown(Faithful):
    """HiGHS' callback for lazy rows can be registered and never fires."""

    def solve(self, **asked: Any) -> Result:
        told: OnPoint | None = asked.get("on_point")
        if told is None:
            return super().solve(**asked)

        def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
            return None if kind is PointKind.NODE else told(kind, x, value, bound)

        return super().solve(**{**asked, "on_point": on_point})


class SwitchedRowsLeftOut(Remembering):
    """Gives its relaxation no switched row at all."""

    def solve(self, **asked: Any) -> Result:
        if not asked.get("relax"):
            return super().solve(**asked)
        return self.again(dataclasses.replace(self.matrix, indicators=None)).solve(**asked)


class Counting(Faithful):
    """Counts what `counted` gives."""

    def count(self, time_limit: float | None = None) -> Count:
        return EnumerationSession(self.counted()).count(time_limit)

    def counted(self) -> Matrix:
        return self.matrix


class CountsTheBox(Counting):
    def counted(self) -> Matrix:
        nothing = np.full(self.matrix.row_lower.size, np.inf)
        return dataclasses.replace(self.matrix, row_lower=-nothing, row_upper=nothing)


class CountsContinuousColumns(Counting):
    def counted(self) -> Matrix:
        return dataclasses.replace(self.matrix, integer=np.ones_like(self.matrix.integer))


class CountsWithoutIndicators(Counting):
    def counted(self) -> Matrix:
        return dataclasses.replace(self.matrix, indicators=None)


class CountsWhatTimeAllows(Counting):
    """Calls whatever it has complete."""

    def count(self, time_limit: float | None = None) -> Count:
        return Count(17, True) if time_limit is not None else super().count()


class WrongDualSign(Faithful):
    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.row_duals is None:
            return result
        return dataclasses.replace(result, row_duals=-result.row_duals)


class WrongDualSignWhenMaximising(Faithful):
    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.row_duals is None or self.sense is Sense.MINIMIZE:
            return result
        return dataclasses.replace(result, row_duals=-result.row_duals)


class NoRay(Faithful):
    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.farkas is None:
            return result
        return dataclasses.replace(result, farkas=np.ones_like(result.farkas))


class OffsetForgotten(Faithful):
    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        del offset
        super().set_cost(index, value, sense)


class OffsetForgottenInBound(Faithful):
    offset = 0.0

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        self.offset = offset
        super().set_cost(index, value, sense, offset)

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.bound is None:
            return result
        return dataclasses.replace(result, bound=result.bound - self.offset)


class BoundOfTheOtherSense(Faithful):
    """CVXPY hands through the bound of the minimised problem."""

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.bound is None or self.sense is Sense.MINIMIZE:
            return result
        return dataclasses.replace(result, bound=-result.bound)


class LimitSticks(Faithful):
    """python-mip keeps the limit of the solve before, when the next one has none."""

    limit: float | None = None

    def solve(self, **asked: Any) -> Result:
        self.limit = asked.get("time_limit") or self.limit
        return super().solve(**{**asked, "time_limit": self.limit})


class TreesCountAgainstLimits(Faithful):
    """HiGHS counts the limit of an LP from the session's first solve on."""

    spent = 0.0

    def solve(self, **asked: Any) -> Result:
        began = time.perf_counter()
        limit = asked.get("time_limit")
        if asked.get("relax") and limit is not None and self.spent > limit:
            return Result(Status.LIMIT)
        try:
            return super().solve(**asked)
        finally:
            self.spent += time.perf_counter() - began


class TinyDropped(Faithful):
    """HiGHS drops coefficients below 1e-9 unless told otherwise."""

    def __init__(self, matrix: Matrix, limits: Limits) -> None:
        rows = matrix.rows.copy()
        rows.data = np.where(abs(rows.data) < 1e-9, 0.0, rows.data)
        super().__init__(dataclasses.replace(matrix, rows=rows), limits)


class FractionalBoundsRounded(Faithful):
    """CBC rounds the upper bound 0.5 of an integer column to 1."""

    def __init__(self, matrix: Matrix, limits: Limits) -> None:
        upper = np.where(matrix.integer, np.ceil(matrix.upper), matrix.upper)
        super().__init__(dataclasses.replace(matrix, upper=upper), limits)


class OptionsIgnored(Faithful):
    def __init__(self, matrix: Matrix, limits: Limits) -> None:
        super().__init__(matrix, dataclasses.replace(limits, options={}))


class ToleranceIgnored(Faithful):
    """Takes a switch that is 5e-7 from 0 for off, as solvers do by default."""

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if self.limits.tolerance is None or result.x is None:
            return result
        return dataclasses.replace(result, objective=5e-7, bound=5e-7)


class NotesMissing(Faithful):
    def solve(self, **asked: Any) -> Result:
        return dataclasses.replace(super().solve(**asked), note="")


class TimeLimitIgnored(Faithful):
    """Sleeps where a solver would search on."""

    def solve(self, **asked: Any) -> Result:
        if asked.get("time_limit") == 0.2:
            time.sleep(1.3)
        return super().solve(**asked)


class LpLimitIgnored(Faithful):
    """CVXPY's HiGHS overran the limit of an LP in its presolve."""

    def solve(self, **asked: Any) -> Result:
        if asked.get("time_limit") is not None and not self.matrix.integer.any():
            time.sleep(1.3)
        return super().solve(**asked)


class InterruptRaised(Faithful):
    """What every solve does that does not think of it."""

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return result


class InterruptUnheard(Faithful):
    """A C call in the main thread hears no signal."""

    def solve(self, **asked: Any) -> Result:
        if threading.current_thread() is not threading.main_thread():
            return super().solve(**asked)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return super().solve(**{"time_limit": 3.0, **asked})
        finally:
            signal.signal(signal.SIGINT, before)


class InterruptRemembered(Faithful):
    """HiGHS keeps `user_interrupt`, Clp the limit of no iterations."""

    interrupted = False

    def solve(self, **asked: Any) -> Result:
        if self.interrupted:
            return Result(Status.INTERRUPTED)
        result = super().solve(**asked)
        self.interrupted = result.status is Status.INTERRUPTED
        return result


class InterruptLeavesSilence(Faithful):
    """Descriptors that were redirected for the solve stay so."""

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if result.status is Status.INTERRUPTED:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.close(null)
        return result


class MainThreadOnly(Faithful):
    def solve(self, **asked: Any) -> Result:
        signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))
        return super().solve(**asked)


@dataclass(frozen=True)
class Broken:
    """A backend whose sessions have one fault."""

    session: type[Faithful]
    capabilities: Capability = ALL
    name: str = "broken"
    profile: Mapping[str, str] = field(default_factory=dict)

    def version(self) -> str:
        return "0"

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        return self.session(matrix, limits)


FAULTS: tuple[tuple[Broken, str], ...] = (
    (Broken(FlippedSense), "sense_is_kept"),
    (Broken(ValueAsBound), "bound_at_a_limit_is_proved"),
    (Broken(ForgottenIntegrality), "integer_columns_are_integral"),
    (Broken(StaleObjective), "two_objectives_get_two_answers"),
    (Broken(StaleCost), "set_cost_replaces_everything"),
    (Broken(LimitAsInfeasible), "limit_never_becomes_infeasible"),
    (Broken(ZerosAtLimit), "no_point_at_a_limit_is_none"),
    (Broken(LooseGap), "gap_zero_means_zero"),
    (Broken(CoarseIncrement), "near_ties_are_told_apart"),
    (Broken(Chatty), "nothing_is_printed"),
    (Broken(RowsIgnored), "rows_added_later_count"),
    (Broken(BoundsStick), "bounds_change_and_come_back"),
    (Broken(InputChanged), "inputs_are_left_alone"),
    (Broken(ExceptionSwallowed), "exceptions_leave_the_solve"),
    (Broken(StopIgnored), "stop_is_honoured"),
    (Broken(StopRemembered), "stop_leaves_nothing_behind"),
    (Broken(RowsFromCallbackLost, ALL & ~C.LAZY_ROWS), "rows_without_capability_are_refused"),
    (Broken(TuplesLost, ALL & ~C.LAZY_ROWS), "rows_without_capability_are_refused"),
    (Broken(SuggestionsLost, ALL & ~C.SUGGEST), "suggestions_without_capability_are_refused"),
    (Broken(TuplesLost, ALL & ~C.SUGGEST), "suggestions_without_capability_are_refused"),
    (Broken(AnythingIsAReply), "what_is_no_reply_is_refused"),
    (Broken(RowsFromCallbackLost), "lazy_rows_cut"),
    (Broken(BoundWithoutAnsweredRows), "lazy_rows_cut"),
    (Broken(RowsAtNodesLost), "lazy_rows_at_nodes_hold"),
    (Broken(SolutionsLost), "lazy_rows_lose_no_solution"),
    (Broken(CutIncumbentKept), "lazy_rows_overtake_earlier_incumbents"),
    (Broken(IdleColumnsFixed), "lazy_rows_may_speak_of_idle_and_equal_columns"),
    (Broken(AnsweredRowsStay), "lazy_rows_end_with_their_solve"),
    (Broken(SuggestionsLost), "suggestions_are_taken"),
    (Broken(SuggestionsBelieved), "suggestions_that_are_no_points_do_no_harm"),
    (Broken(TuplesLost), "tuples_of_replies_are_carried_out"),
    (Broken(SwitchedRowsLeftOut), "indicators_that_bounds_decide_are_rows_of_the_relaxation"),
    (Broken(CountsTheBox), "counts_equal_enumeration"),
    (Broken(CountsContinuousColumns), "counts_equal_enumeration"),
    (Broken(CountsWithoutIndicators), "counts_know_switched_rows"),
    (Broken(Counting), "counts_follow_the_session"),
    (Broken(CountsWhatTimeAllows), "count_at_a_limit_is_not_complete"),
    (Broken(WrongDualSign), "duals_certify_the_optimum"),
    (Broken(WrongDualSignWhenMaximising), "duals_certify_the_optimum"),
    (Broken(NoRay), "ray_proves_infeasibility"),
    (Broken(OffsetForgotten), "offset_is_counted"),
    (Broken(OffsetForgottenInBound), "offset_is_counted"),
    (Broken(BoundOfTheOtherSense), "sense_is_kept"),
    (Broken(TreesCountAgainstLimits), "limits_of_linear_programs_begin_with_them"),
    (Broken(LimitSticks), "time_limit_does_not_stick"),
    (Broken(TinyDropped), "tiny_coefficients_count_or_are_disowned"),
    (Broken(FractionalBoundsRounded), "fractional_bounds_round_inwards"),
    (Broken(OptionsIgnored), "unknown_options_are_refused"),
    (Broken(ToleranceIgnored), "tolerance_is_kept"),
    (Broken(Faithful, ALL & ~C.TOLERANCE), "tolerance_without_capability_is_refused"),
    (Broken(NotesMissing), "replaced_limits_are_named"),
    (Broken(TimeLimitIgnored), "time_limit_is_honoured"),
    (Broken(LpLimitIgnored), "time_limit_of_an_lp_is_honoured"),
    (Broken(InterruptRaised), "interrupt_ends_the_solve"),
    (Broken(InterruptUnheard), "interrupt_ends_the_solve"),
    (Broken(InterruptRemembered), "interrupt_leaves_nothing_behind"),
    (Broken(InterruptLeavesSilence), "interrupt_leaves_the_terminal_alone"),
    (Broken(MainThreadOnly), "threads_other_than_the_main_one_may_solve"),
    (Broken(Faithful, ALL & ~C.START), "start_without_capability_is_refused"),
    (Broken(Faithful, ALL & ~C.INCUMBENT_EVENTS & ~C.NODE_EVENTS), "on_point_without_capability_is_refused"),
    (Broken(Faithful, ALL & ~C.BOUND), "optimum_is_found"),
    (Broken(NodesNeverShown), "nodes_are_relaxations"),
)


@pytest.mark.parametrize(("broken", "law"), FAULTS, ids=[f"{broken.session.__name__}-{law}" for broken, law in FAULTS])
def test_suite_broken_backend_breaks_its_law(broken: Broken, law: str) -> None:
    assert law in failures(broken, [law])


def test_suite_faithful_wrapper_breaks_nothing() -> None:
    assert failures(Broken(Faithful)) == {}


class Restarting(Remembering):
    """Lazy rows by solving again: the plainest honest way to offer them."""

    def solve(self, **asked: Any) -> Result:
        told: OnPoint | None = asked.pop("on_point", None)
        if told is None:
            return super().solve(**asked)
        again = self.again(self.matrix)
        while True:
            result = again.solve(**asked)
            if result.x is None or result.objective is None or result.bound is None:
                return result
            reply = told(PointKind.INCUMBENT, result.x, result.objective, result.bound)
            parts = answered(reply, "restarting", ALL, result.x.size)
            if parts.stop:
                return dataclasses.replace(result, status=Status.STOPPED)
            if all((rows.violation(result.x) <= 0).all() for rows in parts.rows):
                return result
            for rows in parts.rows:
                again.add_rows(rows)


def test_laws_of_replies_restarting_backend_keeps_them() -> None:
    backend = Broken(Restarting, ALL & ~C.NODE_EVENTS)
    laws = [law.name for law in LAWS if law.name.startswith("lazy_rows")]
    more = ["incumbents_are_points", "stop_is_honoured", "exceptions_leave_the_solve", "what_is_no_reply_is_refused"]
    assert failures(backend, [*laws, *more]) == {}


class Distrusted(SolutionsLost):
    """Loses solutions, and says that it is not to be relied on."""

    def solve(self, **asked: Any) -> Result:
        return dataclasses.replace(super().solve(**asked), trusted=asked.get("on_point") is None)


class Provisional(Faithful):
    """Finds everything and proves nothing where rows were answered."""

    def solve(self, **asked: Any) -> Result:
        result = super().solve(**asked)
        if asked.get("on_point") is None:
            return result
        return dataclasses.replace(result, status=Status.STOPPED, bound=None)


@pytest.mark.parametrize("session", [Distrusted, Provisional])
def test_laws_of_lazy_rows_allow_answers_that_prove_nothing(session: type[Faithful]) -> None:
    assert failures(Broken(session), [law.name for law in LAWS if law.name.startswith("lazy_rows")]) == {}


def test_failures_unknown_law_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no law"):
        failures(EnumerationBackend(), ["no_such_law"])


def test_laws_have_unique_names_and_statements() -> None:
    names = [law.name for law in LAWS]
    assert len(set(names)) == len(names)
    assert all(law.statement.endswith(".") for law in LAWS)


@dataclass(frozen=True)
class Absent(Broken):
    """A backend whose solver is not installed."""

    session: type[Faithful] = Faithful
    name: str = "absent:VARIANT"

    def version(self) -> str:
        raise MissingBackend("the solver of absent is not installed")


def test_conformance_missing_solver_is_a_skip_with_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELUDSL_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        conformance(Absent())(LAWS[0])


@pytest.mark.parametrize("required", ["absent", "highs, absent:VARIANT"])
def test_conformance_missing_solver_that_is_required_fails(monkeypatch: pytest.MonkeyPatch, required: str) -> None:
    monkeypatch.setenv("RELUDSL_REQUIRE", required)
    with pytest.raises(pytest.fail.Exception, match="not installed"):
        conformance(Absent())(LAWS[0])


def test_conformance_law_about_what_is_not_offered_is_a_skip() -> None:
    law = next(law for law in LAWS if law.name == "lazy_rows_cut")
    with pytest.raises(pytest.skip.Exception, match="LAZY_ROWS"):
        conformance(EnumerationBackend(capabilities=ALL & ~C.LAZY_ROWS))(law)


def test_failures_missing_solver_raises() -> None:
    with pytest.raises(MissingBackend):
        failures(Absent())
