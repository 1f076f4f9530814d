"""One model in HiGHS: change the objective, bounds or rows, solve, read everything before the next change.

Integer solves and large LPs run in a thread of their own (`reludsl.backend.Aside`). A small LP does not: a thread
costs a tenth of it. It runs in place on a leash of iterations, and in a thread from there on.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import (
    Aside,
    Capability,
    End,
    FloatArray,
    IntArray,
    InvalidInput,
    Limits,
    Matrix,
    OnPoint,
    Result,
    Rows,
    Sense,
    SolverFailed,
    Status,
)
from reludsl_highs.watch import Watch

_PROFILE: dict[str, float | bool | str] = {"presolve": "off", "mip_pscost_minreliable": 1}
"""What the settings of the profile are set to; the others are switched off."""

_SMALLEST = 1e-12
"""Smallest coefficient that HiGHS can be told to keep; its default drops everything below 1e-9."""
_TOLERANCES = ("primal_feasibility_tolerance", "dual_feasibility_tolerance", "mip_feasibility_tolerance")
_SMALL = 20_000
"""Nonzeros up to which an LP runs in place."""
_LEASH = 5_000
"""Simplex iterations that it gets there; with so few nonzeros these are a fraction of a second."""
_PATIENCE = 3
"""Simplex iterations per row and column after which the interior point method takes over. On network programs the dual
simplex method needs one or two, or stalls: 75,000 iterations and no end for a program that the interior point method
solves in 0.1 s."""


class HighsSession:
    """`Session` on one highspy object."""

    def __init__(
        self, highspy: Any, matrix: Matrix, limits: Limits, profile: tuple[str, ...], capabilities: Capability
    ) -> None:
        self._hp, self._limits, self._profile, self._capabilities = highspy, limits, profile, capabilities
        self._rows = [Rows(matrix.rows.copy(), matrix.row_lower.copy(), matrix.row_upper.copy())]
        self._nonzeros = int(matrix.rows.nnz)
        self._integer = matrix.integer.copy()
        self._lower, self._upper = matrix.lower.copy(), matrix.upper.copy()
        self._integral = bool(matrix.integer.any())
        self._sense = Sense.MINIMIZE
        self._cost = np.zeros(matrix.lower.size)
        self._offset = 0.0
        self._basis: Any = None
        self._highs: Any
        """None after it was left behind, until the next solve; what the session is told meanwhile is kept here."""
        self._open()
        self._smallest = float(self._highs.getOptionValue("small_matrix_value")[1])
        self._feasibility = float(self._highs.getOptionValue("primal_feasibility_tolerance")[1])
        """What dropped coefficients may change without notice."""
        self._leash = int(self._highs.getOptionValue("simplex_iteration_limit")[1]) > _LEASH
        self._tiny = _below(matrix.rows, self._smallest)

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        """Replace the whole objective; an LP keeps its basis."""
        self._cost = np.zeros(self._lower.size)
        np.add.at(self._cost, index, value)
        self._sense, self._offset = sense, offset
        self._give_cost()

    def _give_cost(self) -> None:
        if self._highs is None:
            return
        every = np.arange(self._cost.size, dtype=np.int32)
        self._done(self._highs.changeColsCost(every.size, every, self._cost), "the costs")
        senses = self._hp.ObjSense
        direction = senses.kMinimize if self._sense is Sense.MINIMIZE else senses.kMaximize
        self._done(self._highs.changeObjectiveSense(direction), "the sense")
        self._done(self._highs.changeObjectiveOffset(float(self._offset)), "the offset")

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Change the bounds of some columns; an LP keeps its basis."""
        self._lower[index], self._upper[index] = lower, upper
        if self._highs is None:
            return
        columns = np.asarray(index, dtype=np.int32)
        low, high = np.array(lower, dtype=float), np.array(upper, dtype=float)
        self._done(self._highs.changeColsBounds(columns.size, columns, low, high), "the bounds")

    def add_rows(self, rows: Rows) -> None:
        """Append rows; HiGHS extends the basis by their slacks."""
        matrix = sparse.csr_array(rows.matrix)
        self._rows.append(Rows(matrix.copy(), rows.lower.copy(), rows.upper.copy()))
        self._nonzeros += int(matrix.nnz)
        self._tiny = sparse.csr_array(sparse.vstack([self._tiny, _below(matrix, self._smallest)]))
        self._basis = None
        if self._highs is None:
            return
        self._done(
            self._highs.addRows(
                matrix.shape[0],
                np.array(rows.lower, dtype=float),
                np.array(rows.upper, dtype=float),
                matrix.nnz,
                matrix.indptr[:-1].astype(np.int32),
                matrix.indices.astype(np.int32),
                matrix.data.astype(float),
            ),
            "the rows",
        )

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
        if (self._lower > self._upper).any():
            return Result(Status.INFEASIBLE, note="a column has a lower bound above its upper bound")
        began = time.perf_counter()
        integral = self._integral and not relax
        watch = Watch(self._sense, stop_bound, stop_objective, on_point, integral, self._capabilities)
        notes: list[str] = []
        if not integral and (stop_bound is not None or stop_objective is not None):
            notes.append("an LP runs to its end: the stop limits were replaced by that")
        try:
            if self._highs is None:
                self._open()
            self._prepare(integral, time_limit, gap, notes, start)
            end = self._run(watch, integral, time_limit, notes)
            watch.raise_stored()
            if end.left:
                return self._left_behind(watch, end, time.perf_counter() - began, notes)
            if not end.value:
                status = Status.INTERRUPTED if end.interrupted else Status.FAILED
                return Result(status, seconds=time.perf_counter() - began, note="; ".join(notes))
            result = self._read(integral, watch.stopped, end.late, time.perf_counter() - began, notes)
            return replace(result, status=Status.INTERRUPTED) if end.interrupted else result
        except KeyboardInterrupt:
            # It came while HiGHS was at rest, or ran in place.
            return Result(Status.INTERRUPTED, seconds=time.perf_counter() - began, note="; ".join(notes))

    def _prepare(
        self, integral: bool, time_limit: float | None, gap: float, notes: list[str], start: FloatArray | None
    ) -> None:
        self._set("mip_rel_gap", float(gap))
        self._set("mip_abs_gap", float(gap))
        self._set("solve_relaxation", bool(self._integral and not integral))
        # HiGHS counts a limit of an LP from its first run on, and one of a tree from this run on
        began = 0.0 if integral else float(self._highs.getRunTime())
        self._set("time_limit", math.inf if time_limit is None else began + max(float(time_limit), 0.0))
        if integral:
            # A MIP begins from scratch: an incumbent of an earlier objective is not trusted for this one.
            self._highs.clearSolver()
            notes += self._give_start(start)
        else:
            self._restore_basis()

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        if self._highs is not None:
            self._highs.clear()
            self._highs = None

    def _open(self) -> None:
        """A HiGHS with everything that the session was told so far."""
        self._highs, self._basis = self._hp.Highs(), None
        self._configure(self._limits, self._profile)
        matrix = sparse.csc_array(sparse.vstack([rows.matrix for rows in self._rows]))
        sides = [np.concatenate([getattr(rows, side) for rows in self._rows]) for side in ("lower", "upper")]
        self._load(matrix, *sides)
        self._give_cost()

    def _configure(self, limits: Limits, profile: tuple[str, ...]) -> None:
        self._set("output_flag", False)
        self._set("threads", limits.threads)
        self._set("random_seed", limits.seed % 2**31)
        self._set("small_matrix_value", _SMALLEST)
        if limits.tolerance is not None:
            for name in _TOLERANCES:
                self._set(name, min(limits.tolerance, float(self._highs.getOptionValue(name)[1])))
        for name in profile if limits.profile else ():
            # Older versions lack some of the heuristics, and with them the need to switch them off.
            if self._highs.getOptionType(name)[0] == self._hp.HighsStatus.kOk:
                self._set(name, _PROFILE.get(name, False))
        for name, value in limits.options.items():
            if self._highs.getOptionType(name)[0] != self._hp.HighsStatus.kOk:
                raise InvalidInput(
                    f"HiGHS {self._highs.version()} has no option {name!r}; an ignored option would be a "
                    "silent surprise: take a name from https://highs.dev (options), or drop it"
                )
            if self._highs.setOptionValue(name, value) != self._hp.HighsStatus.kOk:
                raise InvalidInput(
                    f"HiGHS refused {name}={value!r}: type or range do not fit; "
                    f"its default is {self._highs.getOptionValue(name)[1]!r}"
                )

    def _load(self, columns: sparse.csc_array, low: FloatArray, high: FloatArray) -> None:
        lp = self._hp.HighsLp()
        lp.num_col_, lp.num_row_ = columns.shape[1], columns.shape[0]
        lp.col_cost_ = self._cost
        lp.col_lower_, lp.col_upper_ = self._lower, self._upper
        lp.row_lower_, lp.row_upper_ = low, high
        lp.a_matrix_.format_ = self._hp.MatrixFormat.kColwise
        lp.a_matrix_.start_ = columns.indptr
        lp.a_matrix_.index_ = columns.indices
        lp.a_matrix_.value_ = columns.data
        if self._integral:
            kinds = self._hp.HighsVarType.kContinuous, self._hp.HighsVarType.kInteger
            lp.integrality_ = [kinds[int(flag)] for flag in self._integer]
        self._done(self._highs.passModel(lp), "the matrix")

    def _give_start(self, start: FloatArray | None) -> list[str]:
        if start is None:
            return []
        known = np.flatnonzero(~np.isnan(start)).astype(np.int32)
        if known.size == 0:
            return []
        status = self._highs.setSolution(known.size, known, np.array(start[known], dtype=float))
        return [] if status == self._hp.HighsStatus.kOk else ["HiGHS refused the start"]

    def _restore_basis(self) -> None:
        """An integer solve drops the basis of the relaxation; give it back if it still fits."""
        if self._integral and self._basis is not None and not self._highs.getBasis().valid:
            self._highs.setBasis(self._basis)

    def _run(self, watch: Watch, integral: bool, time_limit: float | None, notes: list[str]) -> End:
        """Run HiGHS to an end of its own, or leave it behind."""
        if not integral and self._nonzeros <= _SMALL and self._leash:
            before = self._highs.getOptionValue("simplex_iteration_limit")[1]
            self._set("simplex_iteration_limit", _LEASH)
            try:
                ran = self._to_end(notes)
            finally:
                self._set("simplex_iteration_limit", before)
            if self._highs.getModelStatus() != self._hp.HighsModelStatus.kIterationLimit:
                return End(ran)
        highs = self._highs
        watching = partial(watch.attach, highs)
        aside = Aside(watching, watch.end, time_limit)
        watch.ask = aside.ask
        if watch.needed:
            watching()
        end = End(left=True)
        try:
            end = aside.run(partial(self._to_end if integral else self._to_lp_end, notes))
        finally:
            if end.left:
                # Whatever happens to it from now on, it is no longer ours.
                self._highs = None
            else:
                watch.detach(highs)
        return end

    def _to_lp_end(self, notes: list[str]) -> bool:
        """An LP, by the interior point method where the simplex method stalls."""
        if not self._leash or self._highs.getOptionValue("solver")[1] != "choose":
            return self._to_end(notes)
        before = self._highs.getOptionValue("simplex_iteration_limit")[1]
        self._set("simplex_iteration_limit", max(_LEASH, _PATIENCE * sum(self._shape)))
        try:
            ran = self._to_end(notes)
        finally:
            self._set("simplex_iteration_limit", before)
        if self._highs.getModelStatus() != self._hp.HighsModelStatus.kIterationLimit:
            return ran
        notes.append("the simplex method stalled, and the interior point method took over")
        self._highs.clearSolver()
        self._set("solver", "ipm")
        try:
            return self._to_end(notes)
        finally:
            self._set("solver", "choose")

    @property
    def _shape(self) -> tuple[int, int]:
        return int(self._highs.getNumRow()), int(self._highs.getNumCol())

    def _to_end(self, notes: list[str]) -> bool:
        """Whether HiGHS came to an end of its own; what it holds otherwise is of an earlier solve."""
        highs = self._highs
        status = highs.run()
        if status == self._hp.HighsStatus.kError:
            # A run with another number of threads than the first one of its scheduler fails, and leaves the
            # answer of the run before in place.
            self._hp.Highs.resetGlobalScheduler(True)
            notes.append("the scheduler of HiGHS was reset, since the number of threads changed")
            status = highs.run()
        if status == self._hp.HighsStatus.kError:
            notes.append(f"HiGHS ended with an error ({highs.getModelStatus().name})")
            return False
        if not self._integral and highs.getModelStatus() == self._hp.HighsModelStatus.kUnknown:
            highs.clearSolver()
            notes.append("the LP was solved again without its basis, after numerical trouble")
            return bool(highs.run() != self._hp.HighsStatus.kError)
        return True

    def _left_behind(self, watch: Watch, end: End, seconds: float, notes: list[str]) -> Result:
        """What was seen while HiGHS ran; it is not asked any more, and the next solve begins with another one."""
        status = Status.INTERRUPTED if end.interrupted else Status.LIMIT
        notes.append("HiGHS did not stop when it was told to, and was left behind")
        objective = None if watch.x is None else float(self._cost @ watch.x + self._offset)
        # trusted: the bound that HiGHS' tree had proved, as its last event told it.
        bound = None if watch.bound is None else self._safe_side(watch.bound, objective, status)
        trusted = self._trusted(status, notes)
        return Result(status, watch.x, objective, bound, seconds=seconds, trusted=trusted, note="; ".join(notes))

    def _read(self, integral: bool, stopped: bool, late: bool, seconds: float, notes: list[str]) -> Result:
        status = self._status(stopped, late, notes)
        info, solution = self._highs.getInfo(), self._highs.getSolution()
        x: FloatArray | None = None
        objective = bound = duals = farkas = None
        # A point without this flag is whatever was in memory.
        if info.primal_solution_status == 2 and solution.value_valid and status is not Status.INFEASIBLE:
            x = np.array(solution.col_value, dtype=float)
            objective = float(self._cost @ x + self._offset)
        if status in (Status.FAILED, Status.UNBOUNDED):
            x = objective = None
        elif integral:
            # trusted: the bound that HiGHS proved by its tree, within its feasibility tolerances.
            bound = self._safe_side(info.mip_dual_bound, objective, status)
        elif status is Status.OPTIMAL and objective is not None:
            # trusted: the optimum of an LP bounds it within the dual tolerance; the duals allow a recheck.
            bound = objective
            duals = np.array(solution.row_dual, dtype=float)
            self._basis = self._highs.getBasis() if self._integral else None
        elif status is Status.INFEASIBLE:
            farkas = self._ray()
        elif solution.dual_valid:
            # The simplex method was on its way; what its multipliers prove is for the caller to work out.
            duals = np.array(solution.row_dual, dtype=float)
        trusted = self._trusted(status, notes)
        nodes = max(int(info.mip_node_count), 0) if integral else 0
        return Result(status, x, objective, bound, duals, farkas, nodes, seconds, trusted, "; ".join(notes))

    def _status(self, stopped: bool, late: bool, notes: list[str]) -> Status:
        kinds = self._hp.HighsModelStatus
        raw = self._highs.getModelStatus()
        if raw == kinds.kOptimal:
            return Status.STOPPED if stopped else Status.OPTIMAL
        if raw in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
            # trusted: infeasibility is the solver's word; in a box "unbounded or infeasible" is that.
            return Status.INFEASIBLE
        if raw in (kinds.kInterrupt, kinds.kHighsInterrupt, kinds.kObjectiveTarget, kinds.kObjectiveBound):
            return Status.LIMIT if late else Status.STOPPED
        if raw == kinds.kTimeLimit:
            return Status.LIMIT
        notes.append(f"HiGHS says {raw.name}")
        if raw in (kinds.kIterationLimit, kinds.kSolutionLimit, kinds.kMemoryLimit):
            return Status.LIMIT
        return Status.UNBOUNDED if raw == kinds.kUnbounded else Status.FAILED

    def _safe_side(self, bound: float, objective: float | None, status: Status) -> float | None:
        """None for a bound that says nothing; never better than a point that is at hand."""
        if status is Status.INFEASIBLE or not math.isfinite(bound):
            return None
        if objective is None:
            return float(bound)
        worse = max if self._sense is Sense.MAXIMIZE else min
        return float(worse(bound, objective))

    def _ray(self) -> FloatArray | None:
        status, found, ray = self._highs.getDualRay()
        if status != self._hp.HighsStatus.kOk or not found:
            return None
        return np.array(ray, dtype=float)

    def _trusted(self, status: Status, notes: list[str]) -> bool:
        if status is Status.UNBOUNDED:
            notes.append("every column has a box, so the word unbounded is wrong")
            return False
        dropped = abs(self._tiny) @ np.maximum(abs(self._lower), abs(self._upper))
        if dropped.size and dropped.max() > self._feasibility:
            notes.append(
                f"HiGHS drops coefficients below {self._smallest:g}, up to {dropped.max():.1e} in one row: "
                "absorb them into the sides of the row first"
            )
            return False
        return True

    def _set(self, name: str, value: float | bool | str) -> None:
        self._done(self._highs.setOptionValue(name, value), f"option {name}={value!r}")

    def _done(self, status: Any, what: str) -> None:
        if status == self._hp.HighsStatus.kError:
            raise SolverFailed(
                f"HiGHS refused {what}; the model in its memory is not the one that was asked for: "
                "look for NaN, or for coefficients above 1e15"
            )


def _below(rows: sparse.csr_array, smallest: float) -> sparse.csr_array:
    kept = sparse.csr_array(rows).astype(float).copy()
    kept.data = np.where(abs(kept.data) < smallest, kept.data, 0.0)
    kept.eliminate_zeros()
    return kept
