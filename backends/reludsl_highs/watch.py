"""What looks on while HiGHS branches: stop limits, incumbents, and exceptions raised in `on_point`.

Only the interrupt callback may end a solve: an interrupt from the callback of a new point is ignored by
HiGHS. A reply is therefore noted where it is given and carried out at the next interrupt event.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reludsl.backend import OnPoint, PointKind, Reply, Sense, Stop, UnsupportedCapability


class Watch:
    """Callbacks of one integer solve.

    Args:
        sense: sense of the objective; all numbers are in it.
        stop_bound, stop_objective, on_point: as in `Session.solve`.
    """

    def __init__(
        self, sense: Sense, stop_bound: float | None, stop_objective: float | None, on_point: OnPoint | None
    ) -> None:
        self._sign = 1.0 if sense is Sense.MINIMIZE else -1.0
        self._stop_bound, self._stop_objective = stop_bound, stop_objective
        self._on_point = on_point
        self._error: BaseException | None = None
        self.stopped = False
        """Whether `on_point` answered `Stop`."""

    def attach(self, highs: Any) -> None:
        """Register what is needed, and nothing else: every event costs a call into Python."""
        if self._on_point is not None:
            highs.cbMipImprovingSolution.subscribe(self._point)
        if self._on_point is not None or self._stop_bound is not None or self._stop_objective is not None:
            highs.cbMipInterrupt.subscribe(self._interrupt)

    def detach(self, highs: Any) -> None:
        """Leave the solver as it was found."""
        if self._on_point is not None:
            highs.cbMipImprovingSolution.clear()
        if self._on_point is not None or self._stop_bound is not None or self._stop_objective is not None:
            highs.cbMipInterrupt.clear()

    def raise_stored(self) -> None:
        """Raise what `on_point` raised, now that the solver is at rest."""
        if self._error is not None:
            raise self._error

    def _point(self, event: Any) -> None:
        if self.stopped or self._error is not None or self._on_point is None:
            return
        try:
            out = event.data_out
            bound = float(out.mip_dual_bound)
            unknown = -self._sign * math.inf
            x = np.array(out.mip_solution, dtype=float)
            self._take(
                self._on_point(
                    PointKind.INCUMBENT,
                    x,
                    float(out.objective_function_value),
                    bound if math.isfinite(bound) else unknown,
                )
            )
        except BaseException as error:  # whatever it is, it is raised again once HiGHS has returned
            self._error = error

    def _take(self, reply: Reply) -> None:
        match reply:
            case None:
                pass
            case Stop():
                self.stopped = True
            case _:
                raise UnsupportedCapability(
                    "highs does not offer LAZY_ROWS, so the rows that on_point answered would be lost; "
                    "solve to the end, add the rows with add_rows, and solve again"
                )

    def _interrupt(self, event: Any) -> None:
        bound, value = float(event.data_out.mip_dual_bound), float(event.data_out.mip_primal_bound)
        # Before anything is known both numbers are infinite, with signs that do not respect the sense.
        proved = (
            self._stop_bound is not None
            and math.isfinite(bound)
            and self._sign * bound >= self._sign * self._stop_bound
        )
        found = (
            self._stop_objective is not None
            and math.isfinite(value)
            and self._sign * value <= self._sign * self._stop_objective
        )
        # HiGHS keeps the flag of an earlier solve, which would end this one at its first event
        event.data_in.user_interrupt = bool(proved or found or self.stopped or self._error is not None)
