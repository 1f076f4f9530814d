"""SCIP behind reludsl, through pyscipopt: everything that the protocol offers, and lazy rows that lose no solution.

A solve with `on_point` runs on a model of its own, without presolve and without reductions that rest on the rows
known so far, since any reply may bring new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reludsl.backend import Capability, Limits, Matrix, MissingBackend, Session, require_matrix, require_tolerance

__all__ = ["ScipBackend", "backend"]

_FINEST = 1e-9
"""The least tolerance: SCIP divides it by 1000 where a linear program is unstable, and SoPlex takes no less than 1e-10.
Below 1e-7 it may say so on stderr."""


@dataclass(frozen=True, slots=True)
class ScipBackend:
    """`Backend` on pyscipopt."""

    name: str = "scip"
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
        | Capability.NODE_EVENTS
        | Capability.LAZY_ROWS
        | Capability.INDICATOR
        | Capability.SUGGEST
        | Capability.COUNT
        | Capability.TOLERANCE
    )
    profile: Mapping[str, str] = field(default_factory=dict)
    """Empty: no setting of SCIP was measured on network models yet."""

    def version(self) -> str:
        """Versions of pyscipopt and SCIP. Raises MissingBackend when pyscipopt cannot be imported."""
        scip = _pyscipopt()
        return f"pyscipopt {scip.__version__} with SCIP {scip.Model().version()}"

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        """Load a program. Raises MissingBackend when pyscipopt cannot be imported."""
        require_matrix(self, matrix)
        require_tolerance(self, limits, _FINEST)
        scip = _pyscipopt()
        from reludsl_scip.session import ScipSession

        return ScipSession(scip, matrix, limits, self.capabilities)


def _pyscipopt() -> Any:
    try:
        import pyscipopt
    except (ImportError, OSError) as problem:
        raise MissingBackend(
            f"the scip backend needs pyscipopt, which cannot be imported here ({problem}), so nothing can be "
            "solved with it. Run: pip install 'reludsl[scip]'."
        ) from problem
    return pyscipopt


backend = ScipBackend()
