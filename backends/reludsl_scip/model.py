"""One SCIP model built from arrays, changed between solves, read after them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray, Indicators, IntArray, InvalidInput, Limits, Matrix, Rows, Sense

_ALWAYS: Mapping[str, Any] = {
    "misc/catchctrlc": False,  # a handler of SCIP's own would keep the interrupt from Python
    "timing/clocktype": 2,
    "misc/transsolsorig": False,  # a point of an earlier objective is no start of this one
}
_TOLERANCES: Mapping[str, float] = {
    "numerics/feastol": 1e-6,
    "numerics/dualfeastol": 1e-7,
    "numerics/sumepsilon": 1e-6,
}
_EPSILON = 1e-9
"""SCIP's defaults."""
_PLAIN_LP: Mapping[str, Any] = {
    "presolving/maxrounds": 0,
    "propagating/maxrounds": 0,
    "propagating/maxroundsroot": 0,
    "separating/maxrounds": 0,
    "separating/maxroundsroot": 0,
    "conflict/enable": False,
}
"""What keeps the root relaxation the linear program that was given, so that its duals are those of its rows."""
_OPEN: Mapping[str, Any] = {
    "presolving/maxrounds": 0,
    "presolving/maxrestarts": 0,
    "misc/usesymmetry": 0,
    "misc/allowstrongdualreds": False,
    "misc/allowweakdualreds": False,
}
"""What keeps SCIP from conclusions that a row to come would make wrong."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a model is built from: bounds of integer columns rounded, no objective."""

    rows: Rows
    lower: FloatArray
    upper: FloatArray
    integer: np.ndarray[Any, np.dtype[np.bool_]]
    indicators: Indicators | None

    @staticmethod
    def of(matrix: Matrix) -> Program:
        """A copy of a matrix."""
        rows = Rows(sparse.csr_array(matrix.rows).copy(), matrix.row_lower.copy(), matrix.row_upper.copy())
        return Program(rows, matrix.lower.copy(), matrix.upper.copy(), matrix.integer.copy(), matrix.indicators)


def decided(program: Program) -> Rows | None:
    """The switched rows that the bounds of their columns require; None where nothing is switched."""
    switched = program.indicators
    if switched is None:
        return None
    low, high = program.lower[switched.column], program.upper[switched.column]
    part = np.flatnonzero((low == high) & (low == switched.value))
    return Rows(sparse.csr_array(sparse.csr_array(switched.rows)[part]), switched.lower[part], switched.upper[part])


def with_choices(program: Program) -> Program:
    """The same assignments, each integer column that leaves [0, 1] spelled out as one binary per value.

    `x_j = sum_v v z_jv`, `sum_v z_jv = 1`, and x_j is continuous: SCIP's counting goes wrong where integer columns
    that are not binary meet continuous ones.
    """
    n = program.lower.size
    wide = np.flatnonzero(program.integer & ((program.lower < 0) | (program.upper > 1)))
    sizes = (program.upper[wide] - program.lower[wide]).round().astype(int) + 1
    owner = np.repeat(np.arange(wide.size), sizes)
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    values = program.lower[wide][owner] + np.arange(owner.size) - first
    count = owner.size
    one = sparse.csr_array((np.ones(count), (owner, np.arange(count))), shape=(wide.size, count))
    named = sparse.csr_array((values, (owner, np.arange(count))), shape=(wide.size, count))
    picked = sparse.csr_array((np.ones(wide.size), (np.arange(wide.size), wide)), shape=(wide.size, n))
    links = sparse.block_array([[sparse.csr_array((wide.size, n)), one], [picked, -named]])
    sides = np.repeat([1.0, 0.0], wide.size)
    before = sparse.hstack([program.rows.matrix, sparse.csr_array((program.rows.lower.size, count))])
    rows = Rows(sparse.csr_array(before), program.rows.lower, program.rows.upper)
    integer = program.integer.copy()
    integer[wide] = False
    return Program(
        rows.followed_by(Rows(sparse.csr_array(links), sides, sides)),
        np.append(program.lower, np.zeros(count)),
        np.append(program.upper, np.ones(count)),
        np.append(integer, np.ones(count, dtype=bool)),
        program.indicators,
    )


class ScipModel:
    """Columns, rows and objective of one `pyscipopt.Model`.

    Args:
        scip: the module pyscipopt.
        program: what is solved.
        relax: build the continuous relaxation, whose duals can be read.
        open_ended: leave room for rows that come while SCIP works.
    """

    def __init__(self, scip: Any, program: Program, limits: Limits, relax: bool, open_ended: bool = False) -> None:
        self._scip = scip
        self.model: Any = scip.Model()
        self.model.hideOutput()
        self._configure(limits, relax, open_ended)
        switches = set() if program.indicators is None else set(program.indicators.column.tolist())
        self.columns: list[Any] = [
            self.model.addVar(
                name=f"x{j}",
                vtype="C" if relax or not flag else ("B" if j in switches else "I"),
                lb=float(low),
                ub=float(high),
            )
            for j, (low, high, flag) in enumerate(zip(program.lower, program.upper, program.integer, strict=True))
        ]
        self._terms = [scip.scip.Term(column) for column in self.columns]
        self._rows: list[Any] = []
        self.add_rows(program.rows)
        if program.indicators is not None and not relax:
            self._add_indicators(program.indicators)

    def add_rows(self, rows: Rows) -> None:
        """Append rows; a row without sides or coefficients has no place in SCIP and keeps one here."""
        matrix = sparse.csr_array(rows.matrix)
        for i, (low, high) in enumerate(zip(rows.lower, rows.upper, strict=True)):
            part = slice(matrix.indptr[i], matrix.indptr[i + 1])
            self._rows.append(self._add(matrix.indices[part], matrix.data[part], low, high))

    def set_cost(self, cost: FloatArray, sense: Sense) -> None:
        """Replace the objective; offsets are added by the session, so that no gap is relative to them."""
        index = np.flatnonzero(cost)
        self.model.setObjective(self._expression(index, cost[index]), sense.value)

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Change the bounds of some columns."""
        for j, low, high in zip(index, lower, upper, strict=True):
            column = self.columns[j]
            if column.vtype() == "BINARY" and (low < 0 or high > 1):
                # SCIP takes an integer column in [0, 1] for a binary one, for good.
                self.model.chgVarType(column, "I")
            # Each step must leave an interval.
            if low > column.getUbOriginal():
                self.model.chgVarUb(column, float(high))
                self.model.chgVarLb(column, float(low))
            else:
                self.model.chgVarLb(column, float(low))
                self.model.chgVarUb(column, float(high))

    def set(self, name: str, value: Any) -> None:
        """Set a parameter of SCIP."""
        self.model.setParam(name, value)

    def point(self, solution: Any = None) -> FloatArray:
        """Values of the columns in a solution; in that of the current relaxation by default."""
        return np.array([self.model.getSolVal(solution, column) for column in self.columns])

    def best(self) -> FloatArray | None:
        """The best point, or None when there is none."""
        return self.point(self.model.getBestSol()) if self.model.getNSols() else None

    def give_start(self, start: FloatArray) -> None:
        """A start, which SCIP completes where it is silent, and checks."""
        known = np.flatnonzero(~np.isnan(start))
        solution = self.model.createSol() if known.size == start.size else self.model.createPartialSol()
        for j in known:
            self.model.setSolVal(solution, self.columns[j], float(start[j]))
        self.model.addSol(solution)

    def duals(self) -> FloatArray:
        """Multipliers of the rows after an LP that was solved: of the minimised objective, whatever its sense."""
        return np.array([0.0 if row is None else self.model.getDualsolLinear(row) for row in self._rows])

    def ray(self) -> FloatArray:
        """Multipliers that prove infeasibility, after an LP that has no point."""
        return np.array([0.0 if row is None else self.model.getDualfarkasLinear(row) for row in self._rows])

    def interrupt(self) -> None:
        """Tell SCIP to stop; may come from another thread, and is forgotten where SCIP is not at work yet."""
        with contextlib.suppress(Exception):
            self.model.interruptSolve()

    def reset(self) -> None:
        """Back to a model that can be changed."""
        self.model.freeTransform()

    def _configure(self, limits: Limits, relax: bool, open_ended: bool) -> None:
        for name, value in _ALWAYS.items():
            self.set(name, value)
        self.set("lp/threads", limits.threads)
        self.set("randomization/randomseedshift", limits.seed % 2**31)
        if limits.tolerance is not None:
            for name, most in _TOLERANCES.items():
                self.set(name, min(most, limits.tolerance))
            self.set("numerics/epsilon", min(_EPSILON, 0.1 * limits.tolerance))
        known = self.model.getParams()
        for name, value in limits.options.items():
            if name not in known:
                raise InvalidInput(
                    f"SCIP {self.model.version()} has no parameter {name!r}; an ignored one would be a silent "
                    "surprise: take a name from https://scipopt.org (parameters), or drop it"
                )
            try:
                self.set(name, value)
            except Exception as problem:
                raise InvalidInput(
                    f"SCIP refused {name}={value!r} ({problem}); its default is {known[name]!r}"
                ) from problem
        for name, value in {**(_PLAIN_LP if relax else {}), **(_OPEN if open_ended else {})}.items():
            self.set(name, value)
        if relax:
            self.model.setHeuristics(self._scip.SCIP_PARAMSETTING.OFF)

    def _expression(self, index: IntArray, values: FloatArray) -> Any:
        return self._scip.Expr(dict(zip((self._terms[j] for j in index), values.tolist(), strict=True)))

    def _add(self, index: IntArray, values: FloatArray, low: float, high: float) -> Any:
        held = np.flatnonzero(values)
        if held.size == 0 or (low == -math.inf and high == math.inf):
            return None
        return self.model.addCons(self._inequality(index[held], values[held], low, high))

    def _inequality(self, index: IntArray, values: FloatArray, low: float, high: float) -> Any:
        sides = {"lhs": float(low) if low > -math.inf else None, "rhs": float(high) if high < math.inf else None}
        return self._scip.scip.ExprCons(self._expression(index, values), **sides)

    def _add_indicators(self, indicators: Indicators) -> None:
        """SCIP takes one side at a time; a row without coefficients forbids its value, or nothing."""
        rows = sparse.csr_array(indicators.rows)
        for i, (low, high) in enumerate(zip(indicators.lower, indicators.upper, strict=True)):
            part = slice(rows.indptr[i], rows.indptr[i + 1])
            held = np.flatnonzero(rows.data[part])
            index, values = rows.indices[part][held], rows.data[part][held]
            switch, value = int(indicators.column[i]), bool(indicators.value[i])
            if held.size == 0:
                if low > 0 or high < 0:
                    self._add(np.array([switch]), np.ones(1), 0.0 if value else 1.0, 0.0 if value else 1.0)
                continue
            for one_low, one_high in ((-math.inf, high), (low, math.inf)):
                if one_low > -math.inf or one_high < math.inf:
                    row = self._inequality(index, values, one_low, one_high)
                    self.model.addConsIndicator(row, binvar=self.columns[switch], activeone=value)
