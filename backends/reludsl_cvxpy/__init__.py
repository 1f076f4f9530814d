"""Any mixed-integer solver that CVXPY knows, behind reludsl: `cvxpy` is HiGHS, `cvxpy:SCIPY` another one.

CVXPY has no callbacks, no starts and no row-wise changes: an objective is a parameter of a compiled problem,
everything else rebuilds it. What a solver proves reaches us only where CVXPY hands its statistics through:
other variants have no BOUND, so they can refute and never prove.
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
from reludsl_cvxpy.dialects import Dialect, dialect

__all__ = ["CvxpyBackend", "backend"]


@dataclass(frozen=True, slots=True)
class CvxpyBackend:
    """`Backend` on cvxpy.

    Args:
        name: `cvxpy`, or `cvxpy:NAME` for a variant.
        speech: how its solver is told settings, and where it leaves its bound.
    """

    name: str = "cvxpy"
    speech: Dialect = field(default_factory=lambda: dialect("HIGHS"))

    @property
    def profile(self) -> Mapping[str, str]:
        """Not for speed: this backend is a reference."""
        return self.speech.profile

    @property
    def capabilities(self) -> Capability:
        """LP and MILP always; bounds and duals where CVXPY hands them through."""
        return self.speech.capabilities

    def variant(self, name: str) -> Backend:
        """The same backend on another solver of CVXPY, by CVXPY's own name for it."""
        return CvxpyBackend(f"cvxpy:{name}", dialect(name))

    def version(self) -> str:
        """Versions of CVXPY and of the variant. Raises MissingBackend when either is missing."""
        cvxpy = _cvxpy()
        usable = cvxpy.installed_solvers()
        if self.speech.solver not in usable:
            raise MissingBackend(
                f"cvxpy {cvxpy.__version__} does not find the solver {self.speech.solver}, so {self.name} "
                f"cannot solve anything; install it, or use one of cvxpy:{', cvxpy:'.join(sorted(usable))}."
            )
        return f"cvxpy {cvxpy.__version__} with {self.speech.solver}"

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        """Load a program. Raises MissingBackend when cvxpy or the solver is missing."""
        require_matrix(self, matrix)
        require_tolerance(self, limits, self.speech.finest)
        self.version()
        from reludsl_cvxpy.session import CvxpySession

        unknown = self.speech.unknown(limits.options)
        if unknown:
            raise InvalidInput(
                f"{self.name} has no option {', '.join(map(repr, unknown))}; an ignored option would be a "
                f"silent surprise: use the names that {self.speech.solver} documents"
            )
        return CvxpySession(_cvxpy(), self.speech, matrix, limits)


def _cvxpy() -> Any:
    try:
        import cvxpy
    except ImportError as problem:
        raise MissingBackend(
            f"the cvxpy backend needs cvxpy, which cannot be imported here ({problem}), so nothing can be "
            "solved with it. Run: pip install 'reludsl[cvxpy]'."
        ) from problem
    return cvxpy


backend = CvxpyBackend()
