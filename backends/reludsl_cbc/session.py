"""One program in CBC: solved again and again on one model, except where CBC would remember too much.

A start and a callback stay inside CBC's model after the solve that they were meant for (the callback as a
pointer to freed memory). Solves that use one run on a fresh copy, which is thrown away afterwards.

An integer solve and a large LP run in a process of their own (`reludsl.backend.apart`): CBC's tree cannot be
interrupted, its limit is looked at when it likes, and what crashes is that process alone. A small LP runs in place, on
the basis of the one before: Clp keeps its limit, and it puts a handler of its own on SIGINT, which ends the LP as
"truncated" and keeps the signal from Python. An interrupt that comes before Clp iterates is lost, though.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import (
    Capability,
    FloatArray,
    IntArray,
    Limits,
    Matrix,
    OnPoint,
    OutOfTime,
    Result,
    Rows,
    Sense,
    Silence,
    SolverFailed,
    Status,
    apart,
)
from reludsl_cbc.events import NodeEvents
from reludsl_cbc.lazy import Endless, Incumbents, LazyRows, Overtaken, Stopped
from reludsl_cbc.model import CbcModel

_SMALL = 200_000
"""Entries up to which an LP runs in place: it ends soon, whoever interrupts."""
_TOLERANCE = 1e-5
"""Relative violation of a row above which CBC's point, and with it the whole answer, is distrusted."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What CBC said, read before anything changes."""

    raw: Any
    x: FloatArray | None
    bound: float | None
    duals: FloatArray | None


@dataclass(frozen=True, slots=True)
class _Solve:
    """What one solve asks for."""

    relax: bool
    gap: float
    began: float
    time_limit: float | None
    start: FloatArray | None
    watched: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """What comes back from one run of CBC, from another process perhaps."""

    answer: _Answer
    notes: list[str]
    stopped: bool
    untranslated: bool


class CbcSession:
    """`Session` on python-mip."""

    def __init__(self, mip: Any, matrix: Matrix, limits: Limits, capabilities: Capability) -> None:
        self._mip, self._limits, self._capabilities = mip, limits, capabilities
        self._lower, self._upper = matrix.lower.copy(), matrix.upper.copy()
        self._integer = matrix.integer.copy()
        self._rows = Rows(sparse.csr_array(matrix.rows), matrix.row_lower.copy(), matrix.row_upper.copy())
        self._cost = np.zeros(matrix.lower.size)
        self._sense, self._offset = Sense.MINIMIZE, 0.0
        self._main: CbcModel | None = self._build()

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        """Replace the whole objective."""
        self._cost = np.zeros(self._lower.size)
        np.add.at(self._cost, index, value)
        self._sense, self._offset = sense, float(offset)
        self._model().set_cost(self._cost, sense)

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Change the bounds of some columns."""
        self._lower[index], self._upper[index] = lower, upper
        self._model().set_bounds(index, np.asarray(lower), np.asarray(upper))

    def add_rows(self, rows: Rows) -> None:
        """Append rows."""
        self._model().add_rows(rows)
        self._rows = self._rows.followed_by(rows)

    def solve(
        self,
        *,
        relax: bool = False,
        time_limit: float | None = None,
        gap: float = 0.0,
        stop_bound: float | None = None,
        stop_objective: float | None = None,
        start: FloatArray | None = None,
        on_point: OnPoint | None = None,
    ) -> Result:
        """Solve. A partial start is completed by a first solve with the given integers fixed, since CBC
        would set the missing ones to 0."""
        began = time.perf_counter()
        relax = relax or not bool(self._integer.any())
        lower, upper = self._box(relax)
        if (lower > upper).any():
            return Result(Status.INFEASIBLE, note="a column has a lower bound above its upper bound")
        notes: list[str] = []
        if stop_bound is not None or stop_objective is not None:
            notes.append("cbc solves to the end: the stop limits were replaced by that")
        if start is not None and (relax or bool(np.isnan(start).all())):
            start = None
        asked = _Solve(relax, gap, began, time_limit, start, on_point is not None and not relax)
        if on_point is not None and not relax and Capability.LAZY_ROWS in self._capabilities:
            return self._lazily(asked, on_point, notes)
        try:
            run = self._run(asked, on_point)
        except KeyboardInterrupt:
            return self._interrupted(relax, began, notes)
        except OutOfTime:
            notes.append("CBC did not keep its time limit, and was ended")
            return Result(Status.LIMIT, seconds=time.perf_counter() - began, note="; ".join(notes))
        except SolverFailed as problem:
            return Result(Status.FAILED, seconds=time.perf_counter() - began, note="; ".join([*notes, str(problem)]))
        notes += run.notes
        seconds = time.perf_counter() - began
        late = time_limit is not None and seconds >= 0.9 * time_limit
        if run.stopped:
            return self._stopped(run, seconds, notes)
        if relax and not late and run.answer.raw == self._mip.OptimizationStatus.TRUNCATED:
            return self._interrupted(relax, began, notes)
        result = self._read(run, relax, late, seconds, notes)
        if (start is not None or asked.watched) and result.status is Status.OPTIMAL and result.bound is None:
            # A tree that ends at its start before it has a bound proves nothing that could be shown.
            again = self.solve(gap=gap, time_limit=_left(time_limit, began))
            return replace(again, note="; ".join([*notes, "solved again without start and events, for a bound"]))
        return result

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self._main = None

    def _lazily(self, asked: _Solve, on_point: OnPoint, notes: list[str]) -> Result:
        """A solve under lazy rows: points are found, nothing is proved."""
        if asked.start is not None:
            notes.append("the start was left out: CBC takes it without asking whether a row cuts it off")
        matrix = Matrix(self._rows.matrix, self._rows.lower, self._rows.upper, *self._box(False), self._integer)
        shown = Incumbents(on_point, self._capabilities, matrix, self._value, self._worst())
        trusted, status = True, Status.STOPPED
        try:
            status, trusted = self._end_of(asked, shown, notes)
        except Stopped:
            notes.append("on_point stopped the tree")
        except Endless:
            trusted = False
            notes.append("CBC showed one point again and again, and was ended")
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        except OutOfTime:
            status = Status.LIMIT
            notes.append("CBC did not keep its time limit, and was ended")
        except SolverFailed as problem:
            status, trusted = Status.FAILED, False
            notes.append(str(problem))
        if status is Status.OPTIMAL:
            again = self.solve(gap=asked.gap, time_limit=_left(asked.time_limit, asked.began))
            return replace(again, note="; ".join([*notes, "solved again without events, for a bound"]))
        notes.append("nothing is proved under lazy rows: confirm by a solve with the rows added")
        objective = None if shown.x is None else self._value(shown.x)
        seconds = time.perf_counter() - asked.began
        return Result(status, shown.x, objective, seconds=seconds, trusted=trusted, note="; ".join(notes))

    def _end_of(self, asked: _Solve, shown: Incumbents, notes: list[str]) -> tuple[Status, bool]:
        """Run CBC until no row cuts off what it has taken. OPTIMAL stands for an end without any row."""
        while True:
            left = _left(asked.time_limit, asked.began)
            if left is not None and left <= 0:
                return Status.LIMIT, True
            patience = None if asked.time_limit is None or left is None else left + 0.1 * asked.time_limit + 0.7
            try:
                run = apart(partial(self._work_lazily, asked, shown.rows), patience, shown)
                break
            except Overtaken:
                notes.append("CBC began again, since a row cut off an incumbent that it had taken")
        late = asked.time_limit is not None and time.perf_counter() - asked.began >= 0.9 * asked.time_limit
        status = self._status(run.answer.raw, late, notes)
        if status in (Status.UNBOUNDED, Status.FAILED):
            return Status.FAILED, False
        trusted = not run.untranslated
        if run.untranslated:
            notes.append("CBC showed a sub-problem without our columns, to which no row can be added")
        if status is Status.LIMIT:
            return status, trusted
        final = run.answer.x if status is Status.OPTIMAL else None
        if (final is None) != (shown.x is None) or (final is not None and self._differs(final, shown)):
            trusted = False
            notes.append("what CBC ends with is not what it has shown")
        return (Status.STOPPED if shown.rows.lower.size or not trusted else Status.OPTIMAL), trusted

    def _differs(self, final: FloatArray, shown: Incumbents) -> bool:
        best = None if shown.x is None else self._value(shown.x)
        return best is None or abs(self._value(final) - best) > _TOLERANCE * (1.0 + abs(best))

    def _work_lazily(self, asked: _Solve, rows: Rows, ask: Callable[[Any], Any]) -> _Run:
        events = LazyRows(ask)
        with Silence():
            model = self._build(lazy=True)
            model.add_rows(rows)
            events.attach(self._mip, model)
            answer = self._optimize(model, False, asked.gap, _left(asked.time_limit, asked.began))
        events.raise_stored()
        return _Run(answer, [], False, events.untranslated)

    def _run(self, asked: _Solve, on_point: OnPoint | None) -> _Run:
        """Run CBC, but for small LPs in a process of its own, where `on_point` reaches back into this one."""
        if asked.relax and self._rows.matrix.nnz <= _SMALL:
            return self._work(asked, lambda message: None)
        # The limit is CBC's to keep; this is for when it does not.
        left = _left(asked.time_limit, asked.began)
        patience = None if asked.time_limit is None or left is None else left + 0.1 * asked.time_limit + 0.7
        answer = None if on_point is None else lambda message: on_point(*message)
        return apart(partial(self._work, asked), patience, answer)

    def _work(self, asked: _Solve, ask: Callable[[Any], Any]) -> _Run:
        notes: list[str] = []
        events = None
        if asked.watched:
            events = NodeEvents(lambda *shown: ask(shown), self._value, self._worst(), self._capabilities)
        fresh = asked.start is not None or events is not None
        with Silence() as silence:
            model = self._build() if fresh else self._model()
            if asked.start is not None:
                notes += self._give_start(model, asked.start, asked.time_limit)
            if events is not None:
                events.attach(self._mip, model, silence)
            answer = self._optimize(model, asked.relax, asked.gap, _left(asked.time_limit, asked.began))
        if events is None:
            return _Run(answer, notes, False, False)
        events.raise_stored()
        return _Run(answer, notes, events.stopped, events.untranslated)

    def _interrupted(self, relax: bool, began: float, notes: list[str]) -> Result:
        """CBC tells nothing of what it had."""
        if relax:
            # Clp stops by a limit of no iterations, which it may keep.
            self._main = None
        return Result(Status.INTERRUPTED, seconds=time.perf_counter() - began, note="; ".join(notes))

    def _optimize(self, model: CbcModel, relax: bool, gap: float, seconds: float | None) -> _Answer:
        lower, upper = self._box(relax)
        ragged = np.flatnonzero((lower != self._lower) | (upper != self._upper))
        model.set_bounds(ragged, lower[ragged], upper[ragged])
        try:
            raw = model.optimize(relax=relax, gap=gap, seconds=seconds)
            return _Answer(raw, model.point(), model.bound(), model.duals() if relax else None)
        finally:
            model.set_bounds(ragged, self._lower[ragged], self._upper[ragged])

    def _box(self, relax: bool) -> tuple[FloatArray, FloatArray]:
        """Bounds of integer columns rounded inwards: CBC rounds an upper bound of 0.5 to 1."""
        if relax:
            return self._lower, self._upper
        lower = np.where(self._integer, np.ceil(self._lower), self._lower)
        return lower, np.where(self._integer, np.floor(self._upper), self._upper)

    def _model(self) -> CbcModel:
        if self._main is None:
            self._main = self._build()
        return self._main

    def _build(self, lazy: bool = False) -> CbcModel:
        model = CbcModel(self._mip, self._lower, self._upper, self._integer, self._limits, lazy)
        model.add_rows(self._rows)
        model.set_cost(self._cost, self._sense)
        return model

    def _give_start(self, model: CbcModel, start: FloatArray, time_limit: float | None) -> list[str]:
        known = ~np.isnan(start)
        missing = self._integer & ~known
        if missing.any():
            fixed = np.flatnonzero(self._integer & known)
            helper = self._build()
            helper.set_bounds(fixed, np.round(start[fixed]), np.round(start[fixed]))
            seconds = None if time_limit is None else time_limit / 2
            helper.optimize(relax=False, gap=0.0, seconds=seconds, first_point=True)
            completed = helper.point()
            if completed is None:
                return ["no point was found that completes the start, so it was dropped"]
            start, known = completed, np.ones_like(known)
        model.model.start = [(model.columns[j], float(start[j])) for j in np.flatnonzero(known)]
        return []

    def _read(self, run: _Run, relax: bool, late: bool, seconds: float, notes: list[str]) -> Result:
        answer = run.answer
        status = self._status(answer.raw, late, notes)
        x = objective = bound = duals = None
        if status is Status.OPTIMAL or (status is Status.LIMIT and not relax):
            x = answer.x
            objective = None if x is None else self._value(x)
            # trusted: the bound of CBC's tree, or of its LP, within its tolerances.
            proved = answer.bound
            bound = None if proved is None else self._safe_side(proved + self._offset, objective)
        if relax and status is Status.OPTIMAL:
            duals = answer.duals
        trusted = self._trusted(status, x, notes)
        if run.untranslated:
            notes.append("CBC showed a sub-problem without our columns; its answer is not relied on")
            trusted = False
        return Result(status, x, objective, bound, duals, None, 0, seconds, trusted, "; ".join(notes))

    def _stopped(self, run: _Run, seconds: float, notes: list[str]) -> Result:
        """CBC has no interrupt: an impossible cut ended its tree, so only a point that stands on its own
        survives, and the bound is that of the relaxation."""
        x = run.answer.x
        if x is not None and self._violation(x) > _TOLERANCE:
            x = None
        relaxed = self.solve(relax=True)
        notes.append("on_point stopped the tree; the bound is that of the continuous relaxation")
        return Result(
            Status.STOPPED,
            x,
            None if x is None else self._value(x),
            relaxed.bound,
            seconds=seconds,
            trusted=not run.untranslated,
            note="; ".join(notes),
        )

    def _status(self, raw: Any, late: bool, notes: list[str]) -> Status:
        kinds = self._mip.OptimizationStatus
        if raw == kinds.OPTIMAL:
            return Status.OPTIMAL
        if raw in (kinds.INFEASIBLE, kinds.INT_INFEASIBLE):
            if late:
                # CBC has been seen to call a search that ran out of time infeasible.
                notes.append("CBC said infeasible when its time was over; this counts as the limit")
                return Status.LIMIT
            # trusted: infeasibility is the solver's word.
            return Status.INFEASIBLE
        if raw == kinds.FEASIBLE or (late and raw in (kinds.NO_SOLUTION_FOUND, kinds.TRUNCATED)):
            return Status.LIMIT
        notes.append(f"CBC says {raw.name}")
        return Status.UNBOUNDED if raw == kinds.UNBOUNDED else Status.FAILED

    def _trusted(self, status: Status, x: FloatArray | None, notes: list[str]) -> bool:
        if status is Status.UNBOUNDED:
            notes.append("every column has a box, so the word unbounded is wrong")
            return False
        if x is not None and self._violation(x) > _TOLERANCE:
            notes.append("CBC's point violates its rows; the answer is not relied on")
            return False
        return True

    def _violation(self, x: FloatArray) -> float:
        rows = self._rows.violation(x)
        columns = np.maximum(self._lower - x, x - self._upper) / (1.0 + abs(x))
        return float(max(rows.max(initial=0.0), columns.max(initial=0.0)))

    def _value(self, x: FloatArray) -> float:
        return float(self._cost @ x + self._offset)

    def _worst(self) -> float:
        return math.inf if self._sense is Sense.MAXIMIZE else -math.inf

    def _safe_side(self, bound: float, objective: float | None) -> float:
        if objective is None:
            return bound
        worse = max if self._sense is Sense.MAXIMIZE else min
        return float(worse(bound, objective))


def _left(time_limit: float | None, began: float) -> float | None:
    """What is left of a time limit."""
    return None if time_limit is None else time_limit - (time.perf_counter() - began)
