"""One program in SCIP: a model for its relaxation, one for itself, and a fresh one wherever `on_point` may add rows.

SCIP hears neither keyboard nor clock inside a long linear program, so that it runs `Aside`. What is left behind is
never touched again: the next solve builds another model.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from reludsl.backend import (
    Aside,
    Capability,
    Count,
    End,
    FloatArray,
    IntArray,
    Limits,
    Matrix,
    OnPoint,
    OutOfTime,
    ReludslError,
    Result,
    Rows,
    Sense,
    SolverFailed,
    Status,
    apart,
)
from reludsl_scip.model import Program, ScipModel, decided, with_choices

if TYPE_CHECKING:
    from reludsl_scip.events import Watch

_EPSILON = 1e-9
"""Below this a coefficient is 0 for SCIP."""
_TOLERANCE = 1e-6
"""Relative violation of a row above which SCIP's point, and with it the whole answer, is distrusted."""


class _Solve:
    """What one solve asks for, and what is known of it so far."""

    def __init__(self, relax: bool, gap: float, time_limit: float | None, began: float) -> None:
        self.relax, self.gap, self.time_limit, self.began = relax, gap, time_limit, began
        self.stop_bound: float | None = None
        self.stop_objective: float | None = None
        self.start: FloatArray | None = None
        self.notes: list[str] = []

    @property
    def left(self) -> float | None:
        """What is left of the time limit."""
        return None if self.time_limit is None else max(self.time_limit - self.seconds, 1e-3)

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self.began


class ScipSession:
    """`Session` on pyscipopt."""

    def __init__(self, scip: Any, matrix: Matrix, limits: Limits, capabilities: Capability) -> None:
        self._scip, self._limits, self._capabilities = scip, limits, capabilities
        self._program = Program.of(matrix)
        self._cost = np.zeros(matrix.lower.size)
        self._sense, self._offset = Sense.MINIMIZE, 0.0
        self._models: dict[bool, ScipModel] = {}
        """By whether they are the relaxation; built when they are needed."""
        if limits.options:
            # An option that SCIP refuses is refused where it was given.
            self._build(relax=False)

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        """Replace the whole objective."""
        self._cost = np.zeros(self._cost.size)
        np.add.at(self._cost, index, value)
        self._sense, self._offset = sense, float(offset)
        for held in self._models.values():
            held.set_cost(self._cost, sense)

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Change the bounds of some columns."""
        self._program.lower[index], self._program.upper[index] = lower, upper
        if self._crossed(False):
            # Crossed bounds are answered here, and are no model.
            self._models.clear()
        else:
            self._pass_bounds(np.asarray(index))

    def add_rows(self, rows: Rows) -> None:
        """Append rows."""
        self._program = dataclasses.replace(self._program, rows=self._program.rows.followed_by(rows))
        for held in self._models.values():
            held.add_rows(rows)

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
        """Solve; stop limits end integer solves only (an LP runs to its end), which also take the start."""
        relax = relax or not bool(self._program.integer.any())
        asked = _Solve(relax, gap, time_limit, time.perf_counter())
        refuted = self._refuted(relax)
        if refuted is not None:
            return refuted
        if relax and (stop_bound is not None or stop_objective is not None):
            asked.notes.append("an LP runs to its end: the stop limits were replaced by that")
        if not relax:
            asked.stop_bound, asked.stop_objective, asked.start = stop_bound, stop_objective, start
        if on_point is None or relax:
            return self._plain(asked)
        return self._watched(asked, on_point)

    def count(self, time_limit: float | None = None) -> Count:
        """Count in a process of its own: SCIP's counting holds the interpreter's lock."""
        began = time.perf_counter()
        if self._refuted(False) is not None:
            return Count(0, True)
        if not self._program.integer.any():
            feasible = self.solve(time_limit=time_limit).status
            return Count(int(feasible is Status.OPTIMAL), feasible in (Status.OPTIMAL, Status.INFEASIBLE))
        patience = None if time_limit is None else 1.1 * time_limit + 0.7
        try:
            found, complete = apart(partial(self._counted, time_limit), patience)
        except (KeyboardInterrupt, OutOfTime, SolverFailed) as problem:
            note = str(problem) or "the user interrupted the count"
            return Count(0, False, time.perf_counter() - began, note)
        note = "" if complete else "the time was over"
        return Count(found, complete, time.perf_counter() - began, note)

    def close(self) -> None:
        """Forget the models; a second call does nothing."""
        self._models.clear()

    def _plain(self, asked: _Solve) -> Result:
        held = self._models.pop(asked.relax, None)
        if asked.relax and self._program.indicators is not None:
            # Bounds decide which of the switched rows a relaxation has.
            held = None
        end = self._run(lambda: held or self._build(asked.relax), asked)
        result = self._read(end, asked)
        if end.value is not None:
            end.value.reset()
            self._models[asked.relax] = end.value
        required = decided(self._program) if asked.relax else None
        if required is not None and required.lower.size:
            # Their multipliers have no place among those of the rows of the matrix.
            return dataclasses.replace(result, row_duals=None, farkas=None)
        return result

    def _watched(self, asked: _Solve, on_point: OnPoint) -> Result:
        """Solve on a model of its own, again if a row cuts off what SCIP had taken already."""
        # imported late: its classes are made of SCIP's
        from reludsl_scip.events import Watch

        rows = Rows(sparse.csr_array((0, self._cost.size)), np.zeros(0), np.zeros(0))
        sign = 1.0 if self._sense is Sense.MINIMIZE else -1.0
        while True:
            watch = Watch(on_point, self._capabilities, self._program, self._value, self._offset, sign, rows)
            end = self._run(partial(self._attached, watch, rows), asked, watch)
            watch.raise_stored()
            result = None
            if not watch.overtaken or watch.stopped or end.interrupted or end.left:
                result = self._seen(self._read(end, asked), watch)
            if end.value is not None:
                end.value.reset()
                watch.release()
            if result is not None:
                return result
            rows = watch.rows
            asked.notes.append("SCIP began again, since a row cut off an incumbent that it had taken")

    def _attached(self, watch: Watch, rows: Rows) -> ScipModel:
        held = self._build(False, open_ended=True)
        held.add_rows(rows)
        watch.attach(held)
        return held

    def _seen(self, result: Result, watch: Watch) -> Result:
        """The point of a watched solve is one that was shown and that no row cuts off."""
        if result.status is Status.FAILED:
            return result
        ended = result.status in (Status.INTERRUPTED, Status.LIMIT)
        status = Status.STOPPED if watch.stopped and not ended else result.status
        if watch.overtaken:
            # What SCIP holds rests on what is cut off.
            return Result(Status.LIMIT if status is Status.STOPPED and not watch.stopped else status, note=result.note)
        objective = None if watch.x is None else self._value(watch.x)
        bound = watch.bound if watch.ended else result.bound
        if bound is not None:
            bound = self._safe_side(bound, objective) if math.isfinite(bound) else None
        final = result.objective
        result = dataclasses.replace(result, status=status, bound=bound, x=watch.x, objective=objective)
        lost = (final is None) != (objective is None) or (
            final is not None and objective is not None and not self._close(final, objective)
        )
        if lost and status in (Status.OPTIMAL, Status.INFEASIBLE):
            note = "; ".join(filter(None, [result.note, "SCIP does not end with the best point that it showed"]))
            return dataclasses.replace(result, status=Status.STOPPED, bound=None, trusted=False, note=note)
        return result

    def _run(self, make: Callable[[], ScipModel], asked: _Solve, watch: Watch | None = None) -> End:
        """Make a model and run SCIP on it, to an end of its own, or leave it behind. Its value is the model."""
        told = threading.Event()
        made: list[ScipModel] = []

        def look() -> None:
            # An interrupt that comes before SCIP is at work is forgotten: it is repeated at every look.
            if told.is_set() and made:
                made[0].interrupt()

        def work() -> ScipModel | None:
            made.append(make())
            self._prepare(made[0], asked)
            if told.is_set():
                return None
            made[0].model.optimizeNogil()
            return made[0]

        aside = Aside(look, told.set, asked.left)
        if watch is not None:
            watch.ask = aside.ask
        try:
            return aside.run(work)
        except KeyboardInterrupt:
            # It came while SCIP was at rest.
            told.set()
            return End(interrupted=True, left=True)
        except ReludslError:
            raise
        except Exception as problem:
            if watch is not None:
                watch.raise_stored()
            asked.notes.append(f"SCIP broke down: {problem}")
            return End()

    def _prepare(self, held: ScipModel, asked: _Solve) -> None:
        held.set("limits/time", 1e20 if asked.left is None else asked.left)
        held.set("limits/gap", float(asked.gap))
        held.set("limits/absgap", float(asked.gap))
        for name, stop in (("limits/dual", asked.stop_bound), ("limits/primal", asked.stop_objective)):
            held.set(name, 1e99 if stop is None else float(stop) - self._offset)
        if asked.start is not None and not np.isnan(asked.start).all():
            held.give_start(asked.start)

    def _read(self, end: End, asked: _Solve) -> Result:
        notes, held = asked.notes, end.value
        if held is None:
            if end.left:
                notes.append("SCIP did not stop when it was told to, and was left behind")
            early = Status.INTERRUPTED if end.interrupted else Status.LIMIT if end.left or end.late else Status.FAILED
            return Result(early, seconds=asked.seconds, note="; ".join(notes))
        status = self._status(held.model.getStatus(), end, notes)
        x = objective = bound = duals = farkas = None
        if status not in (Status.INFEASIBLE, Status.FAILED, Status.UNBOUNDED) and not (
            asked.relax and status is not Status.OPTIMAL
        ):
            x = held.best()
            objective = None if x is None else self._value(x)
            # trusted: the bound that SCIP proved by its tree, or the optimum of an LP, within its tolerances.
            proved = held.model.getDualbound()
            bound = self._safe_side(proved + self._offset, objective) if abs(proved) < 1e20 else None
        if asked.relax and status is Status.OPTIMAL:
            duals = held.duals() if self._sense is Sense.MINIMIZE else -held.duals()
        if asked.relax and status is Status.INFEASIBLE:
            farkas = held.ray()
        trusted = self._trusted(status, x, asked.relax, notes)
        nodes = 0 if asked.relax else int(held.model.getNTotalNodes())
        return Result(status, x, objective, bound, duals, farkas, nodes, asked.seconds, trusted, "; ".join(notes))

    def _status(self, raw: str, end: End, notes: list[str]) -> Status:
        if end.interrupted:
            return Status.INTERRUPTED
        if end.late:
            return Status.LIMIT
        known = {
            "optimal": Status.OPTIMAL,
            "gaplimit": Status.OPTIMAL,
            # trusted: infeasibility is the solver's word; in a box "unbounded or infeasible" is that.
            "infeasible": Status.INFEASIBLE,
            "inforunbd": Status.INFEASIBLE,
            "timelimit": Status.LIMIT,
            "userinterrupt": Status.STOPPED,
            "duallimit": Status.STOPPED,
            "primallimit": Status.STOPPED,
            "unbounded": Status.UNBOUNDED,
        }
        if raw in known:
            return known[raw]
        notes.append(f"SCIP says {raw}")
        return Status.LIMIT if raw.endswith("limit") else Status.FAILED

    def _build(self, relax: bool, open_ended: bool = False) -> ScipModel:
        lower, upper = self._box(relax)
        program = dataclasses.replace(self._program, lower=lower, upper=upper)
        required = decided(program) if relax else None
        if required is not None:
            program = dataclasses.replace(program, rows=program.rows.followed_by(required))
        held = ScipModel(self._scip, program, self._limits, relax, open_ended)
        held.set_cost(self._cost, self._sense)
        return held

    def _pass_bounds(self, index: IntArray) -> None:
        for relax, held in self._models.items():
            lower, upper = self._box(relax)
            held.set_bounds(index, lower[index], upper[index])

    def _counted(self, time_limit: float | None, ask: object) -> tuple[int, bool]:
        del ask
        lower, upper = self._box(False)
        program = with_choices(dataclasses.replace(self._program, lower=lower, upper=upper))
        model = ScipModel(self._scip, program, self._limits, relax=False).model
        model.setParamsCountsols()
        # With presolve SCIP was seen to crash where it leaves one assignment.
        model.setParam("presolving/maxrounds", 0)
        model.setParam("limits/time", 1e20 if time_limit is None else time_limit)
        model.count()
        return int(model.getNCountedSols()), model.getStatus() in ("optimal", "infeasible")

    def _box(self, relax: bool) -> tuple[FloatArray, FloatArray]:
        """Bounds of integer columns rounded inwards."""
        program = self._program
        if relax:
            return program.lower, program.upper
        lower = np.where(program.integer, np.ceil(program.lower), program.lower)
        return lower, np.where(program.integer, np.floor(program.upper), program.upper)

    def _crossed(self, relax: bool) -> bool:
        lower, upper = self._box(relax)
        return bool((lower > upper).any())

    def _refuted(self, relax: bool) -> Result | None:
        """What can be seen without SCIP: no value for a column, or a row without coefficients that is false."""
        if self._crossed(relax):
            return Result(Status.INFEASIBLE, note="a column has a lower bound above its upper bound")
        rows = self._program.rows
        empty = np.diff(rows.matrix.indptr) == 0 if rows.matrix.nnz == np.count_nonzero(rows.matrix.data) else None
        if empty is None:
            empty = abs(rows.matrix).sum(axis=1) == 0
        false = np.flatnonzero(empty & ((rows.lower > 0) | (rows.upper < 0)))
        if false.size == 0:
            return None
        farkas = np.zeros(rows.lower.size)
        farkas[false[0]] = 1.0 if rows.lower[false[0]] > 0 else -1.0
        return Result(Status.INFEASIBLE, farkas=farkas if relax else None, note="a row without coefficients is false")

    def _trusted(self, status: Status, x: FloatArray | None, relax: bool, notes: list[str]) -> bool:
        if status is Status.UNBOUNDED:
            notes.append("every column has a box, so the word unbounded is wrong")
            return False
        rows, box = self._program.rows, np.maximum(abs(self._program.lower), abs(self._program.upper))
        tiny = rows.matrix.copy()
        tiny.data = np.where(abs(tiny.data) < _EPSILON, abs(tiny.data), 0.0)
        dropped = (tiny @ box).max(initial=0.0)
        if dropped > _TOLERANCE:
            notes.append(
                f"SCIP takes coefficients below {_EPSILON:g} for 0, up to {dropped:.1e} in one row: "
                "absorb them into the sides of the row first"
            )
            return False
        if x is not None and rows.violation(x).max(initial=0.0) > 10 * _TOLERANCE:
            notes.append("SCIP's point violates its rows; the answer is not relied on")
            return False
        return True

    def _value(self, x: FloatArray) -> float:
        return float(self._cost @ x + self._offset)

    def _close(self, one: float, other: float) -> bool:
        return abs(one - other) <= 10 * _TOLERANCE * (1.0 + abs(other))

    def _safe_side(self, bound: float, objective: float | None) -> float:
        if objective is None:
            return float(bound)
        worse = max if self._sense is Sense.MAXIMIZE else min
        return float(worse(bound, objective))
