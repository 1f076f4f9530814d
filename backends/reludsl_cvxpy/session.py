"""One program in CVXPY: compiled once per set of rows and bounds, its objective a parameter.

The parameter is always minimised, with the cost negated to maximise: so there is one sign rule for bounds and
duals, and not one per solver. No point is taken on faith: CVXPY reports zeros at a limit without incumbent.

CVXPY hides its solvers: none of them can be told to stop, and HiGHS with presolve was seen to overrun its limit by
seconds. Integer solves and large LPs therefore run in a process of their own (`reludsl.backend.apart`), which is
ended when the time is over or the user interrupts. A small LP runs in place: a fork costs more than it does.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import Capability as C
from reludsl.backend import (
    FloatArray,
    IntArray,
    InvalidInput,
    Limits,
    Matrix,
    OnPoint,
    OutOfTime,
    Result,
    Rows,
    Sense,
    SolverFailed,
    Status,
    UnsupportedCapability,
    apart,
)
from reludsl_cvxpy.dialects import Dialect, Proof, Settings

_TOLERANCE = 1e-5
"""Relative violation of a row, or of integrality, above which a point is not one."""
_SMALL = 10_000
"""Nonzeros up to which an LP runs in place."""
_COMPILING = 2e-6
"""Seconds that CVXPY takes to compile a nonzero; seen 1.3e-6."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    problem: Any
    x: Any
    cost: Any
    parts: tuple[tuple[IntArray, float, Any], ...]
    """Rows, sign of their multiplier in the dual, constraint."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What CVXPY holds after a solve; `raw` is its status, None when its solver gave up."""

    raw: str | None
    x: FloatArray | None
    duals: tuple[FloatArray | None, ...]
    proof: Proof
    notes: tuple[str, ...]


class CvxpySession:
    """`Session` on cvxpy."""

    def __init__(self, cvxpy: Any, speech: Dialect, matrix: Matrix, limits: Limits) -> None:
        self._cp, self._speech, self._limits = cvxpy, speech, limits
        self._lower, self._upper = matrix.lower.copy(), matrix.upper.copy()
        self._integer = matrix.integer.copy()
        self._rows = Rows(sparse.csr_array(matrix.rows), matrix.row_lower.copy(), matrix.row_upper.copy())
        self._cost = np.zeros(matrix.lower.size)
        self._sign, self._offset = 1.0, 0.0
        self._compiled: dict[bool, _Compiled] = {}

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        """Replace the whole objective; the compiled problem is kept."""
        self._cost = np.zeros(self._lower.size)
        np.add.at(self._cost, index, value)
        self._sign, self._offset = (1.0 if sense is Sense.MINIMIZE else -1.0), float(offset)

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Change the bounds of some columns; the problem is compiled again."""
        self._lower[index], self._upper[index] = lower, upper
        self._compiled.clear()

    def add_rows(self, rows: Rows) -> None:
        """Append rows; the problem is compiled again."""
        self._rows = self._rows.followed_by(rows)
        self._compiled.clear()

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
        """Solve to the end or to the time limit; stop limits are replaced by that."""
        self._refuse(start, on_point, time_limit)
        if (self._lower > self._upper).any():
            return Result(Status.INFEASIBLE, note="a column has a lower bound above its upper bound")
        began = time.perf_counter()
        notes: list[str] = []
        if stop_bound is not None or stop_objective is not None:
            notes.append("cvxpy solves to the end: the stop limits were replaced by that")
        relax = relax or not bool(self._integer.any())
        try:
            found = self._answer(relax, gap, time_limit, began)
        except KeyboardInterrupt:
            # What is half compiled may be half wrong.
            self._compiled.clear()
            return Result(Status.INTERRUPTED, seconds=time.perf_counter() - began, note="; ".join(notes))
        except OutOfTime:
            notes.append(f"{self._speech.solver} did not keep its time limit, and was ended")
            return Result(Status.LIMIT, seconds=time.perf_counter() - began, note="; ".join(notes))
        except SolverFailed as problem:
            return Result(Status.FAILED, seconds=time.perf_counter() - began, note="; ".join([*notes, str(problem)]))
        notes += found.notes
        seconds = time.perf_counter() - began
        late = time_limit is not None and seconds >= 0.9 * time_limit
        return self._read(self._compile(relax), found, self._status(found.raw, late, notes), relax, seconds, notes)

    def _answer(self, relax: bool, gap: float, time_limit: float | None, began: float) -> _Found:
        compiled = self._compile(relax)
        compiled.cost.value = self._sign * self._cost
        small = relax and self._rows.matrix.nnz <= _SMALL
        if not small and (time_limit is None or self._rows.matrix.nnz * _COMPILING < 0.5 * time_limit):
            # What is compiled in the other process is lost with it, but can be ended with it too.
            self._canonical(compiled)
        # Compiling counts against the limit, as it does for whoever waits.
        left = None if time_limit is None else max(time_limit - (time.perf_counter() - began), 1e-3)
        work = partial(self._work, compiled, Settings(self._limits, gap, left), relax)
        if small:
            return work(None)
        patience = None if time_limit is None or left is None else left + 0.1 * time_limit + 0.7
        return apart(work, patience)

    def _canonical(self, compiled: _Compiled) -> None:
        with warnings.catch_warnings(), contextlib.suppress(self._cp.error.SolverError):
            warnings.simplefilter("ignore")
            compiled.problem.get_problem_data(self._speech.solver)

    def _work(self, compiled: _Compiled, settings: Settings, relax: bool, ask: object) -> _Found:
        del ask
        notes: list[str] = []
        raw = self._run(compiled, settings, notes)
        if raw is None and settings.seconds is None and self._speech.reset is not None:
            self._speech.reset()
            raw = self._run(compiled, settings, notes)
        stats, value = compiled.problem.solver_stats, compiled.x.value
        proof = Proof()
        if raw is not None and stats is not None and not relax:
            proof = self._speech.proof(stats.extra_stats)
        duals = tuple(None if c.dual_value is None else np.array(c.dual_value, float) for _, _, c in compiled.parts)
        return _Found(raw, None if value is None else np.array(value, dtype=float), duals, proof, tuple(notes))

    def close(self) -> None:
        """Forget the compiled problems; a second call does nothing."""
        self._compiled.clear()

    def _refuse(self, start: FloatArray | None, on_point: OnPoint | None, time_limit: float | None) -> None:
        name = f"cvxpy:{self._speech.solver}"
        if start is not None:
            raise UnsupportedCapability(
                f"{name} does not offer START, so the start would be ignored; leave it out, or use highs"
            )
        if on_point is not None:
            raise UnsupportedCapability(
                f"{name} does not offer INCUMBENT_EVENTS or NODE_EVENTS, so on_point would never be called; "
                "leave it out, or use highs or cbc"
            )
        if time_limit is not None and not self._speech.times:
            raise UnsupportedCapability(
                f"the name of the time limit of {name} is not known here, so it would be ignored; "
                "give it in Limits.options by the solver's own name"
            )

    def _compile(self, relax: bool) -> _Compiled:
        if relax not in self._compiled:
            cp, rows = self._cp, self._rows
            attributes: dict[str, Any] = {}
            if not relax:
                # np.where style: one tuple of indices per axis.
                attributes["integer"] = [tuple(int(j) for j in np.flatnonzero(self._integer))]
            x = cp.Variable(self._lower.size, bounds=[self._lower.copy(), self._upper.copy()], **attributes)
            cost = cp.Parameter(self._lower.size)
            equal = np.flatnonzero(rows.lower == rows.upper)
            above = np.flatnonzero((rows.lower != rows.upper) & np.isfinite(rows.upper))
            below = np.flatnonzero((rows.lower != rows.upper) & np.isfinite(rows.lower))
            parts: list[tuple[IntArray, float, Any]] = []
            if equal.size:
                parts.append((equal, -1.0, rows.matrix[equal] @ x == rows.upper[equal]))
            if above.size:
                parts.append((above, -1.0, rows.matrix[above] @ x <= rows.upper[above]))
            if below.size:
                parts.append((below, 1.0, rows.matrix[below] @ x >= rows.lower[below]))
            problem = cp.Problem(cp.Minimize(cost @ x), [constraint for _, _, constraint in parts])
            self._compiled[relax] = _Compiled(problem, x, cost, tuple(parts))
        return self._compiled[relax]

    def _run(self, compiled: _Compiled, settings: Settings, notes: list[str]) -> str | None:
        """CVXPY's status, or None when its solver gave up."""
        keywords = self._speech.keywords(settings)
        try:
            with warnings.catch_warnings():
                # "Solution may be inaccurate" and its kin: the status says it, and the point is checked.
                warnings.simplefilter("ignore")
                compiled.problem.solve(solver=self._speech.solver, verbose=False, warm_start=False, **keywords)
        except self._cp.error.SolverError as problem:
            notes.append(f"cvxpy: {problem}")
            return None
        except (ValueError, TypeError, KeyError) as problem:
            raise InvalidInput(
                f"cvxpy or {self._speech.solver} refused the settings {keywords}: {problem}; correct Limits.options"
            ) from problem
        return str(compiled.problem.status)

    def _status(self, raw: str | None, late: bool, notes: list[str]) -> Status:
        cp = self._cp
        if raw == cp.OPTIMAL:
            return Status.OPTIMAL
        if raw in (cp.INFEASIBLE, cp.settings.INFEASIBLE_OR_UNBOUNDED):
            # trusted: infeasibility is the solver's word; every column has a box, so "infeasible or
            # unbounded" can only mean the former.
            return Status.INFEASIBLE
        if raw == cp.settings.USER_LIMIT or (late and raw in (None, cp.OPTIMAL_INACCURATE)):
            return Status.LIMIT
        if raw is not None:
            notes.append(f"cvxpy says {raw}")
        return Status.UNBOUNDED if raw == cp.UNBOUNDED else Status.FAILED

    def _read(
        self, compiled: _Compiled, found: _Found, status: Status, relax: bool, seconds: float, notes: list[str]
    ) -> Result:
        proof = found.proof if status in (Status.OPTIMAL, Status.LIMIT) else Proof()
        trusted = status is not Status.UNBOUNDED
        x = None
        if status is Status.OPTIMAL or (status is Status.LIMIT and not relax):
            x = self._point(found.x, proof, relax)
            if x is None and status is Status.OPTIMAL:
                notes.append("the point that was called optimal violates its rows")
                status, proof = Status.FAILED, Proof()
        objective = None if x is None else float(self._cost @ x + self._offset)
        bound = duals = None
        if C.BOUND in self._speech.capabilities:
            bound = self._bound(proof, objective, relax, status)
        if relax and status is Status.OPTIMAL and C.DUALS in self._speech.capabilities:
            duals = self._duals(compiled, found)
        return Result(status, x, objective, bound, duals, None, proof.nodes, seconds, trusted, "; ".join(notes))

    def _point(self, x: FloatArray | None, proof: Proof, relax: bool) -> FloatArray | None:
        """The point, if there is one: it must satisfy the rows, whatever the status says."""
        if x is None or proof.has_point is False:
            return None
        matrix = self._rows.matrix
        scale = 1.0 + abs(matrix) @ abs(x)
        rows = np.maximum(self._rows.lower - matrix @ x, matrix @ x - self._rows.upper) / scale
        columns = np.maximum(self._lower - x, x - self._upper) / (1.0 + abs(x))
        fractional = np.zeros(1) if relax else abs(x - np.round(x))[self._integer]
        worst = max(rows.max(initial=0.0), columns.max(initial=0.0), fractional.max(initial=0.0))
        return x if worst <= _TOLERANCE else None

    def _bound(self, proof: Proof, objective: float | None, relax: bool, status: Status) -> float | None:
        if relax:
            # trusted: the optimum of an LP bounds it within the dual tolerance; the duals allow a recheck.
            return objective if status is Status.OPTIMAL else None
        if proof.bound is None:
            return None
        # trusted: the bound of the solver's tree, handed through by cvxpy, of the minimised objective.
        bound = self._sign * proof.bound + self._offset
        if objective is None:
            return bound
        return self._sign * min(self._sign * bound, self._sign * objective)

    def _duals(self, compiled: _Compiled, found: _Found) -> FloatArray | None:
        duals = np.zeros(self._rows.lower.size)
        for (index, sign, _), multiplier in zip(compiled.parts, found.duals, strict=True):
            if multiplier is None:
                return None
            duals[index] += sign * self._sign * multiplier
        return duals
