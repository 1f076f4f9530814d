"""CBC behind reludsl, through python-mip: bounds, starts, LP duals, and the node relaxations of its tree.

What is left out is left out on purpose. Lazy rows: CBC loses solutions with them in its default settings. The variant
`cbc:lazy` offers them to who asks for it, guarded as well as can be, and proves nothing while they are in use. Stop
limits: a cutoff turns "no better point" into the word INFEASIBLE, on which no proof should rest; a solve
to the end answers the same question. Farkas rays and an interrupt do not exist in python-mip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reludsl.backend import (
    Backend,
    Capability,
    InvalidInput,
    Limits,
    Matrix,
    MissingBackend,
    Session,
    require_matrix,
    require_tolerance,
)

__all__ = ["CbcBackend", "backend"]


_FINEST = 1e-10
"""Below this Clp finds no basis good enough."""
_ALWAYS = (
    Capability.LP
    | Capability.MILP
    | Capability.BOUND
    | Capability.INCREMENTAL
    | Capability.START
    | Capability.DUALS
    | Capability.TOLERANCE
)


@dataclass(frozen=True, slots=True)
class CbcBackend:
    """`Backend` on python-mip: `cbc`, or `cbc:lazy`, which shows incumbents and takes rows in place of nodes."""

    name: str = "cbc"
    capabilities: Capability = _ALWAYS | Capability.NODE_EVENTS
    profile: Mapping[str, str] = field(default_factory=dict)
    """Empty: no setting of CBC was found to help on network models without hurting elsewhere."""

    def variant(self, name: str) -> Backend:
        """`lazy`: with lazy rows, whose runs prove nothing.

        Raises:
            InvalidInput: another name.
        """
        if name != "lazy":
            raise InvalidInput(f"cbc has no variant {name!r}, so that nothing can be solved with it; use 'cbc:lazy'")
        return CbcBackend("cbc:lazy", _ALWAYS | Capability.INCUMBENT_EVENTS | Capability.LAZY_ROWS)

    def version(self) -> str:
        """Version of python-mip, which pins its CBC. Raises MissingBackend when it cannot be imported."""
        return f"mip {_mip().__version__}"

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        """Load a program. Raises MissingBackend when python-mip cannot be imported."""
        require_matrix(self, matrix)
        require_tolerance(self, limits, _FINEST)
        mip = _mip()
        from reludsl_cbc.session import CbcSession

        return CbcSession(mip, matrix, limits, self.capabilities)


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
