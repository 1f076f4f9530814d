"""CBC behind reludsl, through python-mip: bounds, starts, LP duals, and the node relaxations of its tree.

What is left out is left out on purpose. Lazy rows: CBC loses solutions with them in its default settings.
Stop limits: a cutoff turns "no better point" into the word INFEASIBLE, on which no proof should rest; a solve
to the end answers the same question. Farkas rays and an interrupt do not exist in python-mip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reludsl.backend import Capability, Limits, Matrix, MissingBackend, Session, require_matrix

__all__ = ["CbcBackend", "backend"]


@dataclass(frozen=True, slots=True)
class CbcBackend:
    """`Backend` on python-mip."""

    name: str = "cbc"
    capabilities: Capability = (
        Capability.LP
        | Capability.MILP
        | Capability.BOUND
        | Capability.INCREMENTAL
        | Capability.START
        | Capability.DUALS
        | Capability.NODE_EVENTS
    )
    profile: Mapping[str, str] = field(default_factory=dict)
    """Empty: no setting of CBC was found to help on network models without hurting elsewhere."""

    def version(self) -> str:
        """Version of python-mip, which pins its CBC. Raises MissingBackend when it cannot be imported."""
        return f"mip {_mip().__version__}"

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        """Load a program. Raises MissingBackend when python-mip cannot be imported."""
        require_matrix(self, matrix)
        mip = _mip()
        from reludsl_cbc.session import CbcSession

        return CbcSession(mip, matrix, limits)


def _mip() -> Any:
    try:
        import mip
    except (ImportError, OSError) as problem:
        raise MissingBackend(
            f"the cbc backend needs python-mip, which cannot be imported here ({problem}), so nothing can be "
            "solved with it. Run: pip install 'reludsl[cbc]'."
        ) from problem
    return mip


backend = CbcBackend()
