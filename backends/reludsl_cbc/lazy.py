"""Rows that `on_point` answers to CBC's incumbents: the opt-in variant `cbc:lazy`.

CBC loses solutions under lazy rows in its default settings, so that the word of such a run never counts as a proof.
What is known to keep it from losing any is done: strong branching is off, and rows come through the lazy callback
alone. Where CBC shows a sub-problem without our columns, or what it reports at its end is not what was shown, the run
is not to be trusted.

CBC works in a process of its own. `LazyRows` is there, and asks `Incumbents`, which is where the caller is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import Capability, FloatArray, Matrix, OnPoint, PointKind, Rows, answered
from reludsl_cbc.events import Callback
from reludsl_cbc.model import CbcModel

__all__ = ["Endless", "Incumbents", "LazyRows", "Overtaken", "Stopped"]

_STRONG_BRANCHING = 2
"""CBC's number for the parameter, which python-mip has no name for."""
_TOLERANCE = 1e-6
_PATIENCE = 100
"""How often a point may come back."""


class Stopped(Exception):
    """`on_point` answered `Stop`."""


class Overtaken(Exception):
    """A row cuts off an incumbent that CBC has taken already, and prunes with."""


class Endless(Exception):
    """CBC shows one point for ever."""


class LazyRows(Callback):
    """A generator of lazy constraints, called at integral points.

    Args:
        ask: gives the rows that cut off an integral point, if there are any.
    """

    def __init__(self, ask: Callable[[FloatArray], Rows | None]) -> None:
        super().__init__()
        self._ask = ask

    def attach(self, mip: Any, model: CbcModel) -> None:
        """Register with a model that is used for this one solve only."""
        self._mip, self._columns = mip, model.columns
        mip.cbc.cbclib.Cbc_setIntParam(model.model.solver._model, _STRONG_BRANCHING, 0)
        model.model.lazy_constrs_generator = self

    def _look(self, model: Any, columns: list[Any]) -> None:
        if self._error is not None:
            return
        rows = self._ask(np.array([column.x for column in columns], dtype=float))
        if rows is not None:
            self._add(model, columns, rows)

    def _add(self, model: Any, columns: list[Any], rows: Rows) -> None:
        matrix = sparse.csr_array(rows.matrix)
        for i, (low, high) in enumerate(zip(rows.lower, rows.upper, strict=True)):
            part = slice(matrix.indptr[i], matrix.indptr[i + 1])
            held, values = [columns[j] for j in matrix.indices[part]], matrix.data[part].tolist()
            for sense, side in (("<", high), (">", low)):
                if math.isfinite(side):
                    model.add_lazy_constr(self._mip.LinExpr(held, values, -float(side), sense))


class Incumbents:
    """What was shown and answered, over all runs of one solve.

    Args:
        on_point: as in `Session.solve`.
        capabilities: of the backend.
        matrix: the program.
        value: objective at a point, offset included.
        worst: the bound that says nothing, in the sense of the objective.
    """

    def __init__(
        self,
        on_point: OnPoint,
        capabilities: Capability,
        matrix: Matrix,
        value: Callable[[FloatArray], float],
        worst: float,
    ) -> None:
        self._on_point, self._capabilities, self._matrix = on_point, capabilities, matrix
        self._value, self._worst = value, worst
        self._again: dict[bytes, int] = {}
        width = matrix.lower.size
        self.rows = Rows(sparse.csr_array((0, width)), np.zeros(0), np.zeros(0))
        """All rows that were answered."""
        self.x: FloatArray | None = None
        """The best point that no answered row cuts off."""

    def __call__(self, x: FloatArray) -> Rows | None:
        """The rows that cut off an integral point; `on_point` is asked if it would be the best one."""
        self._count(x)
        known = _cutting(self.rows, x)
        if known is not None:
            return known
        if not self._is_point(x) or not self.better(x):
            return None
        reply = self._on_point(PointKind.INCUMBENT, x.copy(), self._value(x), self._worst)
        told = answered(reply, "cbc:lazy", self._capabilities, x.size)
        for rows in told.rows:
            self.rows = self.rows.followed_by(rows)
        cutting = _cutting(self.rows, x)
        overtaken = self.x is not None and _cutting(self.rows, self.x) is not None
        if cutting is None:
            self.x = x
        elif overtaken:
            self.x = None
        if told.stop:
            raise Stopped
        if overtaken:
            raise Overtaken
        return cutting

    def better(self, x: FloatArray) -> bool:
        """Whether a point is better than the best one."""
        if self.x is None:
            return True
        ahead = self._value(x) - self._value(self.x)
        return ahead > 0 if self._worst > 0 else ahead < 0

    def _is_point(self, x: FloatArray) -> bool:
        m = self._matrix
        if not np.isfinite(x).all() or abs(x - np.round(x))[m.integer].max(initial=0.0) > _TOLERANCE:
            return False
        outside = Rows(m.rows, m.row_lower, m.row_upper).violation(x)
        return bool(outside.max(initial=0.0) <= _TOLERANCE)

    def _count(self, x: FloatArray) -> None:
        key = np.round(x, 6).tobytes()
        self._again[key] = self._again.get(key, 0) + 1
        if self._again[key] > _PATIENCE:
            raise Endless


def _cutting(rows: Rows, x: FloatArray) -> Rows | None:
    cut = np.flatnonzero(rows.violation(x) > _TOLERANCE)
    return Rows(rows.matrix[cut], rows.lower[cut], rows.upper[cut]) if cut.size else None
