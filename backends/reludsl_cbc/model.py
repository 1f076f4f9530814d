"""One python-mip model built from arrays: a row with two sides becomes two constraints of CBC."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray, InvalidInput, Limits, Rows, Sense

_FOREVER = 1e9
_INCREMENT = 1e-5
_TOLERANCES = ("integer_tol", "infeas_tol", "opt_tol")
_OPTIONS = (
    "preprocess",
    "cuts",
    "cut_passes",
    "clique",
    *_TOLERANCES,
    "pump_passes",
)
"""Raw options: attributes of `mip.Model` that are plain numbers. CBC's own parameter strings are not taken,
since an unknown one makes CBC end at once with "no solution found"."""


class CbcModel:
    """Columns, rows, objective and limits of one `mip.Model`.

    Args:
        lazy: for rows that come later. Then CBC keeps its increment: without one it takes an incumbent that it has
            for a better one, and shows it for ever.
    """

    def __init__(
        self,
        mip: Any,
        lower: FloatArray,
        upper: FloatArray,
        integer: BoolArray,
        limits: Limits,
        lazy: bool = False,
    ) -> None:
        self._mip = mip
        _prepare_deletion(mip)
        self.model: Any = mip.Model(solver_name=mip.CBC)
        self.model.verbose = 0
        self.model.threads = limits.threads
        self.model.seed = limits.seed % 2**31
        self._increment = _INCREMENT if lazy else self._drop_increment()
        if limits.tolerance is not None:
            for name in _TOLERANCES:
                setattr(self.model, name, min(limits.tolerance, getattr(self.model, name)))
        self._take_options(limits.options)
        # The type BINARY would reset the bounds to [0, 1]; INTEGER keeps what it is given.
        kinds = mip.CONTINUOUS, mip.INTEGER
        self.columns: list[Any] = [
            self.model.add_var(name=f"x{j}", lb=float(lo), ub=float(hi), var_type=kinds[int(flag)])
            for j, (lo, hi, flag) in enumerate(zip(lower, upper, integer, strict=True))
        ]
        self._sides: list[tuple[int, Any]] = []
        self._rows = 0

    def add_rows(self, rows: Rows) -> None:
        """Append rows; a side at infinity is left out."""
        matrix = sparse.csr_array(rows.matrix)
        for i, (low, high) in enumerate(zip(rows.lower, rows.upper, strict=True)):
            part = slice(matrix.indptr[i], matrix.indptr[i + 1])
            columns = [self.columns[j] for j in matrix.indices[part]]
            values = matrix.data[part].tolist()
            sides = [("=", low)] if low == high else [("<", high), (">", low)]
            for sense, side in sides:
                if math.isfinite(side):
                    term = self._mip.LinExpr(columns, values, -float(side), sense)
                    self._sides.append((self._rows + i, self.model.add_constr(term)))
        self._rows += matrix.shape[0]

    def set_cost(self, cost: FloatArray, sense: Sense) -> None:
        """Replace the objective; offsets are added by the session.

        python-mip sets every coefficient that its expression leaves out to 0, those of an earlier one too.
        """
        index = np.flatnonzero(cost)
        self.model.objective = self._mip.LinExpr([self.columns[j] for j in index], cost[index].tolist())
        self.model.sense = self._mip.MINIMIZE if sense is Sense.MINIMIZE else self._mip.MAXIMIZE

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Change the bounds of some columns."""
        for j, low, high in zip(index, lower, upper, strict=True):
            self.columns[j].lb, self.columns[j].ub = float(low), float(high)

    def optimize(self, *, relax: bool, gap: float, seconds: float | None, first_point: bool = False) -> Any:
        """Run CBC and give python-mip's status. Every limit is given every time: python-mip skips a limit
        that is infinite, so that the one of an earlier solve would stay in force."""
        self.model.max_mip_gap = self.model.max_mip_gap_abs = gap
        seconds = _FOREVER if seconds is None else max(seconds, 1e-3)
        solutions = 1 if first_point else 2**31 - 2
        return self.model.optimize(relax=relax, max_seconds=seconds, max_solutions=solutions)

    def point(self) -> FloatArray | None:
        """The best point, or None when there is none."""
        values = [column.x for column in self.columns]
        return None if None in values else np.array(values, dtype=float)

    def bound(self) -> float | None:
        """The bound that CBC proved, or None; huge numbers are CBC's way to say none."""
        bound = self.model.objective_bound
        if bound is None or not abs(bound) < 1e30:
            return None
        worse = self._increment if self.model.sense == self._mip.MAXIMIZE else -self._increment
        return float(bound) + worse

    def duals(self) -> FloatArray | None:
        """Duals per row after an LP; the two sides of one row add up."""
        duals = np.zeros(self._rows)
        for row, constraint in self._sides:
            if constraint.pi is None:
                return None
            duals[row] += constraint.pi
        return duals

    def _drop_increment(self) -> float:
        """By how much CBC's bound may be too good.

        CBC prunes whatever does not improve on its incumbent by `increment`, 1e-5 unless told otherwise, and
        then calls the incumbent's value its bound: wrong bounds were seen. python-mip has no name for it.
        """
        try:
            self._mip.cbc.cbclib.Cbc_setParameter(self.model.solver._model, b"increment", b"0")
        except (AttributeError, TypeError):
            return _INCREMENT
        return 0.0

    def _take_options(self, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            if name not in _OPTIONS or not hasattr(self.model, name):
                raise InvalidInput(
                    f"the cbc backend has no option {name!r}; an ignored one would be a silent surprise: "
                    f"use one of {', '.join(_OPTIONS)}"
                )
            if not isinstance(value, int | float):
                raise InvalidInput(f"option {name} of the cbc backend is {value!r}; give a number")
            setattr(self.model, name, value)


def _prepare_deletion(mip: Any) -> None:
    """Look up what deletes a model, before any model is garbage.

    cffi looks names up late, under a lock; the garbage collector may run under the same lock, in the middle of
    another look-up, and would wait for it forever.
    """
    with contextlib.suppress(AttributeError):
        mip.cbc.cbclib.Cbc_deleteModel  # noqa: B018
