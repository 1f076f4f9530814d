"""What CBC's callbacks show, and the node relaxations of its tree, shown through the cut callback.

Exceptions in a callback are swallowed by the C layer, and the tree goes on: they are stored and raised after the
solve. There is no interrupt either: after `Stop` or an exception every node gets one impossible cut, which ends the
tree within a few nodes; its outcome is then thrown away.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from reludsl.backend import Capability, FloatArray, OnPoint, PointKind, Silence, answered
from reludsl_cbc.model import CbcModel

__all__ = ["Callback", "NodeEvents"]


class Callback(ABC):
    """What python-mip calls a generator of constraints, for the one solve of one model."""

    def __init__(self) -> None:
        self._mip: Any = None
        self._columns: list[Any] = []
        self._error: BaseException | None = None
        self.stopped = False
        """Whether `on_point` answered `Stop`."""
        self.untranslated = False
        """Whether CBC showed a sub-problem that is not ours: its verdict then counts for nothing."""

    def raise_stored(self) -> None:
        """Raise what was raised in a callback."""
        if self._error is not None:
            raise self._error

    def generate_constrs(self, model: Any, depth: int = 0, npass: int = 0) -> None:
        """Called by python-mip."""
        del depth, npass
        try:
            columns = model.translate(self._columns)
            if any(column is None for column in columns):
                self.untranslated = True
                return
            self._look(model, columns)
        except BaseException as error:  # whatever it is, it is raised again once CBC has returned
            self._error = error

    @abstractmethod
    def _look(self, model: Any, columns: list[Any]) -> None:
        """Look at the point that these columns of the solver's model have."""


class NodeEvents(Callback):
    """Node relaxations: a cut generator that is used for reading only.

    Args:
        on_point: as in `Session.solve`.
        value: objective at a point, offset included.
        worst: the bound that says nothing, in the sense of the objective: CBC hides its bound from callbacks.
        capabilities: of the backend.
    """

    def __init__(
        self, on_point: OnPoint, value: Callable[[FloatArray], float], worst: float, capabilities: Capability
    ) -> None:
        super().__init__()
        self._on_point, self._value, self._worst = on_point, value, worst
        self._capabilities = capabilities

    def attach(self, mip: Any, model: CbcModel, silence: Silence) -> None:
        """Register with a model that is used for this one solve only."""
        self._mip, self._columns, self._silence = mip, model.columns, silence
        model.model.cuts_generator = self

    def _look(self, model: Any, columns: list[Any]) -> None:
        if self.stopped or self._error is not None:
            self._end(model, columns)
            return
        x = np.array([column.x for column in columns], dtype=float)
        if not np.isfinite(x).all():
            return
        with self._silence.lifted():
            reply = self._on_point(PointKind.NODE, x, self._value(x), self._worst)
            self.stopped = answered(reply, "cbc", self._capabilities, x.size).stop
        if self.stopped:
            self._end(model, columns)

    def _end(self, model: Any, columns: list[Any]) -> None:
        beyond = columns[0].ub + 1.0
        model.add_cut(self._mip.LinExpr([columns[0]], [1.0], -beyond, ">"))
