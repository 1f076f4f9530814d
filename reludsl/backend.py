"""The public protocol between reludsl and a solver: the one module that a backend package imports.

A *backend* opens a `Matrix` (a mixed-integer linear program with finite column bounds) as a *session*;
a session answers many objectives on one loaded model. Everything clever (bounds, witness search,
replay, certificates) lives above this protocol, so that every solver gets it.

Three rules make a backend honest:

1. `Result.bound` is only ever what the solver *proved*; a backend that has no proved bound says None.
2. A limit never becomes INFEASIBLE, and a missing point never becomes zeros: x is None then.
3. What a solver cannot do is refused with `UnsupportedCapability` (see `require`), never ignored.
   The two stop limits are the exception: where they lack, the solve runs to the end with gap 0, which
   answers the same question, and `Result.note` says so.

`reludsl.testing.conformance(backend)` checks all of it; `docs/how-to/add-a-backend.md` walks through one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from reludsl.errors import InvalidInput, MissingBackend, SolverFailed, UnsupportedCapability

__all__ = [
    "Backend",
    "BoolArray",
    "Capability",
    "FloatArray",
    "IntArray",
    "InvalidInput",
    "Limits",
    "Matrix",
    "MissingBackend",
    "OnPoint",
    "PointKind",
    "Reply",
    "Result",
    "Rows",
    "Sense",
    "Session",
    "SolverFailed",
    "Status",
    "Stop",
    "UnsupportedCapability",
    "require",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Sense(enum.Enum):
    """Direction of an objective."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Capability(enum.Flag):
    """What a backend's solver can really do. Absent means refused, not ignored."""

    LP = enum.auto()
    """Continuous programs, and `relax=True` on mixed-integer ones."""
    MILP = enum.auto()
    """Integer columns."""
    BOUND = enum.auto()
    """A proved dual bound comes with every integer solve, at a limit too. Without it a backend can refute
    (its points are replayed) and never prove."""
    INCREMENTAL = enum.auto()
    """Objective, bounds and rows change on the loaded model; otherwise the session rebuilds it."""
    START = enum.auto()
    """A MIP start is taken (`start=`, NaN where a column is left to the solver)."""
    DUALS = enum.auto()
    """Row duals come with every LP solve that ends OPTIMAL."""
    FARKAS = enum.auto()
    """A ray that proves infeasibility comes with an INFEASIBLE LP where the solver found one."""
    STOP_BOUND = enum.auto()
    """`stop_bound=` ends the solve early; otherwise it is replaced by a solve to the end."""
    STOP_OBJECTIVE = enum.auto()
    """`stop_objective=` ends the solve early; otherwise it is replaced by a solve to the end."""
    INCUMBENT_EVENTS = enum.auto()
    """`on_point` is called with every improving integer point."""
    NODE_EVENTS = enum.auto()
    """`on_point` is called with the solution of the LP relaxation at the nodes of the tree."""
    LAZY_ROWS = enum.auto()
    """`on_point` may answer an incumbent with `Rows` that cut it off."""


class Status(enum.Enum):
    """Why a solve ended. Each member's value is the sentence that a person reads."""

    OPTIMAL = "solved to the end: the bound and the objective agree within the solver's tolerances"
    INFEASIBLE = "the solver says that no point satisfies the rows"
    UNBOUNDED = "the objective grows without limit; with finite column bounds this is a solver fault"
    LIMIT = "the time limit was reached; the bound holds, the point (if any) is feasible"
    STOPPED = "a stop limit or a callback ended the solve; the bound holds, the point (if any) is feasible"
    FAILED = "the solver broke down; nothing may be concluded"


class PointKind(enum.Enum):
    """Where the point handed to `on_point` comes from."""

    INCUMBENT = "an integer feasible point"
    NODE = "the solution of the LP relaxation at a node of the tree"


@dataclass(frozen=True, slots=True)
class Rows:
    """`lower <= matrix @ x <= upper`; infinite sides are absent. Shapes (m, n), (m,), (m,)."""

    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True, slots=True)
class Stop:
    """Answer of `on_point` that ends the solve; the result has status STOPPED."""


Reply = Rows | Stop | None
OnPoint = Callable[[PointKind, FloatArray, float, float], Reply]
"""`on_point(kind, x, objective, bound)`: `bound` is the proved bound so far, in the objective's own sense
(infinite when none is known yet). Exceptions raised in it leave `solve` unchanged."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A mixed-integer program without objective: `row_lower <= A x <= row_upper`, `lower <= x <= upper`.

    Args:
        rows: CSR matrix, shape (m, n), no explicit zeros needed.
        row_lower, row_upper: shape (m,); -inf / inf where a side is absent; equal for an equation.
        lower, upper: shape (n,), finite: every column lives in a box, so that safe bounds exist.
        integer: shape (n,), True for a column that must be integral.

    Raises:
        InvalidInput: shapes that disagree, NaN, an infinite column bound.
    """

    rows: sparse.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray

    def __post_init__(self) -> None:
        m, n = self.rows.shape
        shapes = {
            "row_lower": (self.row_lower, m),
            "row_upper": (self.row_upper, m),
            "lower": (self.lower, n),
            "upper": (self.upper, n),
            "integer": (self.integer, n),
        }
        for name, (array, size) in shapes.items():
            if array.shape != (size,):
                raise InvalidInput(
                    f"{name} has shape {array.shape}, but the matrix has {m} rows and {n} columns; "
                    f"give an array of shape ({size},)"
                )
        if not (np.isfinite(self.lower).all() and np.isfinite(self.upper).all()):
            raise InvalidInput(
                "a column has an infinite bound; big-M constants and safe bounds need a finite box: bound every column"
            )
        if np.isnan(self.row_lower).any() or np.isnan(self.row_upper).any() or np.isnan(self.rows.data).any():
            raise InvalidInput("a row holds NaN; check the weights of the network")


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings of a session that hold for all its solves.

    Args:
        threads: number of threads of the solver; set once, before the first solve.
        seed: random seed; with one thread a session is deterministic.
        profile: use the backend's settings for network models (`Backend.profile` says which, and why).
        options: raw options of the solver by its own names; an unknown name is an error.
    """

    threads: int = 1
    seed: int = 0
    profile: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What one solve gave. All values are in the sense in which the objective was set.

    Args:
        status: why the solve ended.
        x: the best point, shape (n,), or None when there is none.
        objective: the objective at x (offset included), or None.
        bound: proved bound on the objective: no feasible point is better. None when the solver proved none.
        row_duals: shape (m,), LP solves only: y such that c - A'y are the reduced costs of the objective as
            set. The sign convention is that of a minimisation of c x (for MAXIMIZE: of c x as well, so
            y >= 0 on rows that are tight at their upper side).
        farkas: shape (m,), LP solves only: y that proves infeasibility, either sign.
        nodes: nodes of the tree, 0 for an LP.
        seconds: time spent in the solver.
        trusted: False when the solver was seen to do something that voids its word.
        note: what a person should know: replaced limits, retries, reasons for distrust.
    """

    status: Status
    x: FloatArray | None = None
    objective: float | None = None
    bound: float | None = None
    row_duals: FloatArray | None = None
    farkas: FloatArray | None = None
    nodes: int = 0
    seconds: float = 0.0
    trusted: bool = True
    note: str = ""


class Session(Protocol):
    """One loaded model, many questions. Not thread safe; `close` may be called twice."""

    def set_cost(self, index: IntArray, value: FloatArray, sense: Sense, offset: float = 0.0) -> None:
        """Replace the whole objective by `sum value[k] * x[index[k]] + offset`."""
        ...

    def set_bounds(self, index: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """Change the bounds of some columns."""
        ...

    def add_rows(self, rows: Rows) -> None:
        """Append rows to the model."""
        ...

    def solve(
        self,
        *,
        relax: bool = False,
        time_limit: float | None = None,
        gap: float = 0.0,
        stop_bound: float | None = None,
        stop_objective: float | None = None,
        start: FloatArray | None = None,
        on_point: OnPoint | None = None,
    ) -> Result:
        """Solve for the current objective.

        Args:
            relax: ignore integrality (an LP; brings duals).
            time_limit: wall-clock seconds.
            gap: absolute and relative gap at which the solver may stop; 0 means solve to the end.
            stop_bound: stop as soon as the proved bound is at least this good for a proof: `<=` when
                maximising, `>=` when minimising.
            stop_objective: stop as soon as a point is known whose objective is at least this good:
                `>=` when maximising, `<=` when minimising.
            start: MIP start, NaN where the solver shall choose.
            on_point: see `OnPoint`.

        Raises:
            UnsupportedCapability: `start` or `on_point` on a backend without the capability.
        """
        ...

    def close(self) -> None:
        """Free the solver's memory."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A solver behind reludsl. Importing the package must not import the solver: `open` does."""

    @property
    def name(self) -> str:
        """Name of the entry point, e.g. `highs`."""
        ...

    @property
    def capabilities(self) -> Capability:
        """What the solver can do; readable without the solver installed."""
        ...

    @property
    def profile(self) -> Mapping[str, str]:
        """The settings for network models that `Limits.profile` turns on: option -> reason."""
        ...

    def version(self) -> str:
        """Version of the solver.

        Raises:
            MissingBackend: the solver is not installed; the message holds the pip command.
        """
        ...

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        """Load a program. The objective is 0 until `set_cost`.

        Raises:
            MissingBackend: the solver is not installed.
        """
        ...


def require(backend: Backend, capability: Capability, instead: str) -> None:
    """Raise unless the backend has the capability.

    Args:
        instead: what to use, e.g. "use method='restart', or backend='scip'".

    Raises:
        UnsupportedCapability: with the capability's name and `instead`.
    """
    missing = capability & ~backend.capabilities
    if missing:
        names = ", ".join(str(c.name) for c in Capability if c in missing)
        raise UnsupportedCapability(f"{backend.name} does not offer {names}, which this call needs; {instead}")
