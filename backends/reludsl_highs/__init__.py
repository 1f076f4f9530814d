"""HiGHS behind reludsl: one loaded model, many objectives, the LP basis kept between them.

HiGHS proves bounds, takes MIP starts and suggestions, reports incumbents, gives duals and Farkas rays. It has no
lazy rows and no node events: its callback for lazy rows can be registered and never fires, so they are not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from reludsl.backend import (
    Capability,
    Limits,
    Matrix,
    MissingBackend,
    Session,
    Silence,
    require_matrix,
    require_tolerance,
)

__all__ = ["HighsBackend", "backend"]

_FINEST = 1e-10
"""The least tolerance of HiGHS."""
_PROFILE: Mapping[str, str] = {
    "presolve": "bounds and stability are already worked into the rows, so presolve finds little and is paid "
    "again at every objective; wrong optima and false infeasibilities of HiGHS were traced to it",
    "mip_heuristic_run_rins": "points come from forward passes, which are cheaper than a sub-MIP",
    "mip_heuristic_run_rens": "as for RINS",
    "mip_heuristic_run_root_reduced_cost": "as for RINS",
    "mip_pscost_minreliable": "strong branching solves linear programs with dense rows, eight per candidate by "
    "default; with one the trees are larger and up to twice as fast",
    "mip_allow_cut_separation_at_nodes": "general cuts make dense rows denser; nodes are cheaper without them",
    "mip_heuristic_run_feasibility_jump": "its points rarely satisfy the equations of a network",
}


@dataclass(frozen=True, slots=True)
class HighsBackend:
    """`Backend` on highspy."""

    name: str = "highs"
    capabilities: Capability = (
        Capability.LP
        | Capability.MILP
        | Capability.BOUND
        | Capability.INCREMENTAL
        | Capability.START
        | Capability.DUALS
        | Capability.FARKAS
        | Capability.STOP_BOUND
        | Capability.STOP_OBJECTIVE
        | Capability.INCUMBENT_EVENTS
        | Capability.SUGGEST
        | Capability.TOLERANCE
    )
    profile: Mapping[str, str] = field(default_factory=lambda: dict(_PROFILE))

    def version(self) -> str:
        """Version of HiGHS. Raises MissingBackend when highspy cannot be imported."""
        return str(_highspy().Highs().version())

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        """Load a program. Raises MissingBackend when highspy cannot be imported."""
        require_matrix(self, matrix)
        require_tolerance(self, limits, _FINEST)
        highspy = _highspy()
        from reludsl_highs.session import HighsSession

        return HighsSession(highspy, matrix, limits, tuple(self.profile), self.capabilities)


def _highspy() -> Any:
    try:
        import highspy
    except ImportError as problem:
        raise MissingBackend(
            f"the highs backend needs highspy, which cannot be imported here ({problem}), so nothing can be "
            "solved with it. Run: pip install 'reludsl[highs]'; if it is installed, keep ortools out of the "
            "process, whose own HiGHS clashes with it."
        ) from problem
    _greeted(highspy)
    return highspy


@cache
def _greeted(highspy: Any) -> None:
    """From 1.16 on the first `Highs()` of a process prints its version, whatever is set later: make it unheard."""
    with Silence():
        highspy.Highs()


backend = HighsBackend()
