"""What looks on while HiGHS works: stop limits, interrupts, incumbents, and exceptions raised in `on_point`.

Only the interrupt callback may end a solve, and only the callback for user solutions may hand one over: from the
callback of a new point HiGHS ignores both. A reply is therefore noted where it is given and carried out at the next
event of its kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from reludsl.backend import Capability, FloatArray, OnPoint, PointKind, Reply, Sense, answered


class Watch:
    """Callbacks of one solve.

    Args:
        sense: sense of the objective; all numbers are in it.
        stop_bound, stop_objective, on_point: as in `Session.solve`.
        integral: whether HiGHS branches; an LP is watched for `end` alone.
        capabilities: of the backend: what `on_point` may answer.
    """

    def __init__(
        self,
        sense: Sense,
        stop_bound: float | None = None,
        stop_objective: float | None = None,
        on_point: OnPoint | None = None,
        integral: bool = True,
        capabilities: Capability = Capability.INCUMBENT_EVENTS,
    ) -> None:
        self._sign = 1.0 if sense is Sense.MINIMIZE else -1.0
        self._stop_bound, self._stop_objective = stop_bound, stop_objective
        self._on_point = on_point
        self._integral, self._capabilities = integral, capabilities
        self._suggested: list[FloatArray] = []
        self._error: BaseException | None = None
        self._ended = self._attached = False
        self.ask: Callable[[Callable[[], Reply]], Reply] = lambda question: question()
        """Runs `on_point` where the caller wants it to run."""
        self.stopped = False
        """Whether `on_point` answered `Stop`."""
        self.x: FloatArray | None = None
        """The best point so far, of an integer solve."""
        self.bound: float | None = None
        """The bound proved so far, of an integer solve."""

    @property
    def needed(self) -> bool:
        """Whether every event counts, from the first one on."""
        return self._on_point is not None or self._stop_bound is not None or self._stop_objective is not None

    def attach(self, highs: Any) -> None:
        """Register with the events of this kind of solve, once.

        Every event costs a call into Python, a fifth of a small MILP. What only waits for an interrupt is therefore
        attached while HiGHS runs, when that takes long; all that changes in HiGHS is a flag that it reads.
        """
        if self._attached:
            return
        self._attached = True
        if self._integral:
            highs.cbMipImprovingSolution.subscribe(self._point)
            highs.cbMipInterrupt.subscribe(self._interrupt)
            if self._on_point is not None:
                highs.cbMipUserSolution.subscribe(self._suggest)
        else:
            highs.cbSimplexInterrupt.subscribe(self._look)
            highs.cbIpmInterrupt.subscribe(self._look)

    def detach(self, highs: Any) -> None:
        """Leave the solver as it was found."""
        if not self._attached:
            return
        if self._integral:
            highs.cbMipImprovingSolution.clear()
            highs.cbMipInterrupt.clear()
            highs.cbMipUserSolution.clear()
        else:
            highs.cbSimplexInterrupt.clear()
            highs.cbIpmInterrupt.clear()

    def end(self) -> None:
        """Have HiGHS stop at its next event; may come from another thread."""
        self._ended = True

    def raise_stored(self) -> None:
        """Raise what `on_point` raised, now that the solver is at rest."""
        if self._error is not None:
            raise self._error

    def _point(self, event: Any) -> None:
        try:
            out = event.data_out
            bound, value = float(out.mip_dual_bound), float(out.objective_function_value)
            self.x = np.array(out.mip_solution, dtype=float)
            if self.stopped or self._ended or self._error is not None or self._on_point is None:
                return
            proved = bound if math.isfinite(bound) else -self._sign * math.inf
            shown = partial(self._on_point, PointKind.INCUMBENT, self.x.copy(), value, proved)
            self._take(self.ask(shown))
        except KeyboardInterrupt:
            self._ended = True  # the caller heard it as well
        except BaseException as error:  # whatever it is, it is raised again once HiGHS has returned
            self._error = error

    def _take(self, reply: Reply) -> None:
        assert self.x is not None
        told = answered(reply, "highs", self._capabilities, self.x.size)
        self.stopped = told.stop
        self._suggested += told.suggestions

    def _suggest(self, event: Any) -> None:
        """Hand the suggestions over, one at each event; HiGHS checks what it gets, and completes what is missing."""
        if not self._suggested:
            return
        x = self._suggested.pop(0)
        known = np.flatnonzero(np.isfinite(x)).astype(np.int32)
        if known.size == x.size:
            event.data_in.setSolution(x)
        elif known.size:
            event.data_in.setSolution(known, x[known])

    def _interrupt(self, event: Any) -> None:
        bound, value = float(event.data_out.mip_dual_bound), float(event.data_out.mip_primal_bound)
        if math.isfinite(bound):
            self.bound = bound
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
        event.data_in.user_interrupt = bool(proved or found or self.stopped or self._ended or self._error is not None)

    def _look(self, event: Any) -> None:
        event.data_in.user_interrupt = self._ended
