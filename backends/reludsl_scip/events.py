"""What looks on while SCIP works: a constraint handler that shows points and adds rows, a heuristic that suggests.

SCIP asks the handler about every point before it takes it (`conscheck`), about the relaxation of a node before it
separates (`conssepalp`), and before it branches (`consenfolp`). Rows can be added at the latter two only, so that those
answered while a heuristic's point is checked wait for the next relaxation that violates them; until then the handler
rejects what they cut off itself. An exception in a callback is lost by pyscipopt: it is stored, and raised when SCIP
has returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from pyscipopt import SCIP_HEURTIMING, SCIP_RESULT, Conshdlr, Heur
from scipy import sparse

from reludsl.backend import Answered, Capability, FloatArray, OnPoint, PointKind, Reply, Rows, answered
from reludsl_scip.model import Program, ScipModel

__all__ = ["Watch"]

_TOLERANCE = 1e-6
"""Of SCIP, on rows and integers."""
_LAST = -9_000_000
"""Priority of a check that comes after those of all rows."""


class Watch:
    """What is shown and answered in one run.

    Args:
        on_point: as in `Session.solve`.
        capabilities: of the backend.
        program: the program, without rows that were answered.
        value: objective at a point, offset included.
        offset: what SCIP's objective lacks.
        sign: +1 for a minimisation, -1 for a maximisation.
        rows: answered in earlier runs of this solve; they are in the model.
    """

    def __init__(
        self,
        on_point: OnPoint,
        capabilities: Capability,
        program: Program,
        value: Callable[[FloatArray], float],
        offset: float,
        sign: float,
        rows: Rows,
    ) -> None:
        self._on_point, self._capabilities, self.program = on_point, capabilities, program
        self._value, self._offset, self._sign = value, offset, sign
        self._error: BaseException | None = None
        self._failed = False
        self._best = math.inf
        self._waiting: list[int] = []
        self._node = 0
        self.ask: Callable[[Callable[[], Reply]], Reply] = lambda question: question()
        """Runs `on_point` where the caller wants it to run."""
        self.rows = rows
        """All rows that were answered."""
        self.suggested: list[FloatArray] = []
        """Points that were not handed over yet."""
        self.x: FloatArray | None = None
        """The best point shown that no row cuts off."""
        self.bound: float | None = None
        """The bound when the run was stopped from here."""
        self.stopped = False
        """Whether `on_point` answered `Stop`."""
        self.overtaken = False
        """Whether a row cuts off a point that SCIP has taken, and prunes with."""

    def attach(self, held: ScipModel) -> None:
        """Register with a model that is used for this one run only."""
        self.held = held
        # SCIP asks before it branches, hence a priority above that of integrality.
        handler, heuristic = _Handler(self), _Suggesting(self)
        held.model.includeConshdlr(
            handler,
            "reludsl",
            "shows points",
            sepapriority=1,
            enfopriority=1,
            chckpriority=_LAST,
            sepafreq=1,
            eagerfreq=1,
            needscons=False,
        )
        timing = SCIP_HEURTIMING
        when = timing.BEFORENODE | timing.DURINGLPLOOP | timing.AFTERLPNODE | timing.AFTERPSEUDONODE
        held.model.includeHeur(heuristic, "reludsl", "hands suggestions over", "R", timingmask=when, freq=1)

    def release(self) -> None:
        """Let go of the model, which holds its handlers and could not be freed otherwise."""
        del self.held

    def raise_stored(self) -> None:
        """Raise what `on_point` raised, now that the solver is at rest."""
        if self._error is not None:
            raise self._error

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be shown."""
        return self.stopped or self.overtaken or self._failed

    def accepts(self, x: FloatArray) -> bool:
        """Whether a point that SCIP would take stays uncut; it is shown if it would be the best one."""
        if self.ended or self.rows.violation(x).max(initial=0.0) > _TOLERANCE:
            return False
        cost = self._sign * self._value(x)
        if cost >= self._best or not self._is_point(x):
            return True
        self._show(PointKind.INCUMBENT, x)
        if self._failed or self.rows.violation(x).max(initial=0.0) > _TOLERANCE:
            return False
        self.x, self._best = x, cost
        return True

    def enforce(self, x: FloatArray, relaxation: bool) -> bool:
        """Look at the point that SCIP would branch on, or take; whether rows were added that cut it off."""
        if self._add_violated(x):
            return True
        if self.ended:
            return False
        if self._integral(x):
            self.accepts(x)
        elif relaxation:
            self._show_node(x)
        return self._add_violated(x)

    def separate(self, x: FloatArray) -> bool:
        """Look at a relaxation before others add cuts to it; whether rows were added that cut it off."""
        if not self.ended and not self._integral(x):
            self._show_node(x)
        return self._add_violated(x)

    def fail(self, error: BaseException) -> None:
        """Store what was raised and stop; the caller has heard of a keyboard interrupt already."""
        self._failed = True
        if not isinstance(error, KeyboardInterrupt):
            # The first frame holds a solution of SCIP's, which must not be looked at when SCIP has returned.
            inner = None if error.__traceback__ is None else error.__traceback__.tb_next
            self._error = self._error or error.with_traceback(inner)
        self._interrupt()

    def _show(self, kind: PointKind, x: FloatArray) -> None:
        reply = self.ask(partial(self._on_point, kind, x.copy(), self._value(x), self._bound()))
        self._take(answered(reply, "scip", self._capabilities, x.size))

    def _show_node(self, x: FloatArray) -> None:
        """Show the first relaxation of each node."""
        number = self.held.model.getCurrentNode().getNumber()
        if number != self._node:
            self._node = number
            self._show(PointKind.NODE, x)

    def _take(self, told: Answered) -> None:
        for rows in told.rows:
            known = self.rows.lower.size
            self.rows = self.rows.followed_by(rows)
            self._waiting += range(known, self.rows.lower.size)
            if self.x is not None and rows.violation(self.x).max(initial=0.0) > _TOLERANCE:
                self.overtaken = True
        self.suggested += told.suggestions
        self.stopped = told.stop
        if self.stopped or self.overtaken:
            self._interrupt()

    def _bound(self) -> float:
        bound = self.held.model.getDualbound()
        return bound + self._offset if abs(bound) < 1e20 else -self._sign * math.inf

    def _interrupt(self) -> None:
        self.bound = self._bound() if self.bound is None else self.bound
        self.held.interrupt()

    def _add_violated(self, x: FloatArray) -> bool:
        """Add the rows that wait, if one of them cuts off this point."""
        if not self._waiting:
            return False
        part = np.array(self._waiting)
        waiting = Rows(sparse.csr_array(self.rows.matrix[part]), self.rows.lower[part], self.rows.upper[part])
        if waiting.violation(x).max(initial=0.0) <= _TOLERANCE:
            return False
        self.held.add_rows(waiting)
        self._waiting = []
        return True

    def _integral(self, x: FloatArray) -> bool:
        return bool(abs(x - np.round(x))[self.program.integer].max(initial=0.0) <= _TOLERANCE)

    def _is_point(self, x: FloatArray) -> bool:
        return self._integral(x) and bool(self.program.rows.violation(x).max(initial=0.0) <= _TOLERANCE)


class _Handler(Conshdlr):  # type: ignore[misc]
    """SCIP's questions about points."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def conscheck(self, constraints: Any, solution: Any, *how: Any) -> dict[str, Any]:
        """A point that all other rows allow."""
        try:
            if self._watch.accepts(self._watch.held.point(solution)):
                return {"result": SCIP_RESULT.FEASIBLE}
        except BaseException as error:
            self._watch.fail(error)
        return {"result": SCIP_RESULT.INFEASIBLE}

    def conssepalp(self, constraints: Any, nusefulconss: Any) -> dict[str, Any]:
        """The relaxation of a node, before it is tightened."""
        try:
            if self._watch.separate(self._watch.held.point()):
                return {"result": SCIP_RESULT.CONSADDED}
        except BaseException as error:
            self._watch.fail(error)
        return {"result": SCIP_RESULT.DIDNOTFIND}

    def consenfolp(self, constraints: Any, nusefulconss: Any, solinfeasible: Any) -> dict[str, Any]:
        """The relaxation of a node."""
        return self._enforced(True)

    def consenfops(self, constraints: Any, nusefulconss: Any, solinfeasible: Any, objinfeasible: Any) -> dict[str, Any]:
        """A point without a relaxation."""
        return {"result": SCIP_RESULT.DIDNOTRUN} if objinfeasible else self._enforced(False)

    def conslock(self, constraint: Any, locktype: Any, nlockspos: int, nlocksneg: int) -> None:
        """A row to come may forbid either direction of any column."""
        both = nlockspos + nlocksneg
        for column in self._watch.held.columns:
            self.model.addVarLocksType(column, locktype, both, both)

    def _enforced(self, relaxation: bool) -> dict[str, Any]:
        try:
            if self._watch.enforce(self._watch.held.point(), relaxation):
                return {"result": SCIP_RESULT.CONSADDED}
        except BaseException as error:
            self._watch.fail(error)
        return {"result": SCIP_RESULT.FEASIBLE}


class _Suggesting(Heur):  # type: ignore[misc]
    """Hands suggestions over; SCIP checks them as it does its own."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def heurexec(self, heurtiming: Any, nodeinfeasible: Any) -> dict[str, Any]:
        """Called at every node."""
        watch, found = self._watch, False
        try:
            while watch.suggested and not watch.ended:
                found = self._handed_over(watch.suggested.pop(0)) or found
        except BaseException as error:
            watch.fail(error)
        return {"result": SCIP_RESULT.FOUNDSOL if found else SCIP_RESULT.DIDNOTFIND}

    def _handed_over(self, x: FloatArray) -> bool:
        held, program = self._watch.held, self._watch.program
        if not np.isfinite(x).all() or (x < program.lower).any() or (x > program.upper).any():
            return False
        solution = self.model.createSol(self)
        near = program.integer & (abs(x - np.round(x)) <= _TOLERANCE)
        for column, value in zip(held.columns, np.where(near, np.round(x), x), strict=True):
            self.model.setSolVal(solution, column, float(value))
        return bool(self.model.trySol(solution, printreason=False))
