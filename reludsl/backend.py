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

And one makes it a good citizen: a solve ends within its time limit (10 % and a second more), and within two
seconds of a keyboard interrupt, with `Status.INTERRUPTED`. A solver that can be told to stop runs `Aside`, in a
thread; for one that cannot, `apart` does both, in a process.

`reludsl.testing.conformance(backend)` checks all of it; `docs/how-to/add-a-backend.md` walks through one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from scipy import sparse

from reludsl.apart import apart
from reludsl.aside import Aside, End
from reludsl.errors import InvalidInput, MissingBackend, OutOfTime, ReludslError, SolverFailed, UnsupportedCapability
from reludsl.silence import Silence

__all__ = [
    "Answered",
    "Aside",
    "Backend",
    "BoolArray",
    "Capability",
    "Count",
    "CountingSession",
    "End",
    "FloatArray",
    "Indicators",
    "IntArray",
    "InvalidInput",
    "Limits",
    "Matrix",
    "MissingBackend",
    "OnPoint",
    "OutOfTime",
    "PointKind",
    "ReludslError",
    "Reply",
    "Result",
    "Rows",
    "Sense",
    "Session",
    "Silence",
    "SolverFailed",
    "Status",
    "Stop",
    "Suggestion",
    "UnsupportedCapability",
    "answered",
    "apart",
    "require",
    "require_matrix",
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
    """`on_point` may answer with `Rows`: an incumbent, and where NODE_EVENTS is offered too, a node.

    The rows hold for the whole program from then on, in every part of the tree, until the solve ends. An incumbent
    that violates the rows answered to it is rejected, and so is one that was found before. `Result.bound`, where
    there is one, is a proved bound of the program with all answered rows in it."""
    INDICATOR = enum.auto()
    """Rows that are required only where a binary column has a value (`Matrix.indicators`)."""
    SUGGEST = enum.auto()
    """`on_point` may answer with a `Suggestion`."""
    COUNT = enum.auto()
    """Sessions are a `CountingSession`."""
    TOLERANCE = enum.auto()
    """`Limits.tolerance` is kept; otherwise it is refused."""


class Status(enum.Enum):
    """Why a solve ended. Each member's value is the sentence that a person reads."""

    OPTIMAL = "solved to the end: the bound and the objective agree within the solver's tolerances"
    INFEASIBLE = "the solver says that no point satisfies the rows"
    UNBOUNDED = "the objective grows without limit; with finite column bounds this is a solver fault"
    LIMIT = "the time limit was reached; the bound holds, the point (if any) is feasible"
    STOPPED = "a stop limit or a callback ended the solve; the bound holds, the point (if any) is feasible"
    INTERRUPTED = "the user interrupted the solve; the bound holds, the point (if any) is feasible"
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

    def followed_by(self, more: Rows) -> Rows:
        """These rows and more of them below, in new arrays."""
        return Rows(
            sparse.csr_array(sparse.vstack([self.matrix, more.matrix])),
            np.concatenate([self.lower, more.lower]),
            np.concatenate([self.upper, more.upper]),
        )

    def violation(self, x: FloatArray) -> FloatArray:
        """How far x is outside each row, relative to `1 + |matrix| |x|`; at most 0 where it is inside. Shape (m,)."""
        activity = self.matrix @ x
        scale = 1.0 + abs(self.matrix) @ abs(x)
        outside: FloatArray = np.maximum(self.lower - activity, activity - self.upper) / scale
        return outside


@dataclass(frozen=True, slots=True)
class Indicators:
    """`lower[k] <= rows[k] @ x <= upper[k]` wherever `x[column[k]] == value[k]`. Shapes (m, n), (m,) four times.

    A relaxation (`relax=True`) leaves these rows out, except where the bounds fix the column at the value.

    Args:
        column: an integer column with bounds in [0, 1] for each row.
        value: False for 0, True for 1.
    """

    rows: sparse.csr_array
    lower: FloatArray
    upper: FloatArray
    column: IntArray
    value: BoolArray

    def __post_init__(self) -> None:
        m = self.rows.shape[0]
        arrays = {"lower": self.lower, "upper": self.upper, "column": self.column, "value": self.value}
        for name, array in arrays.items():
            if array.shape != (m,):
                raise InvalidInput(
                    f"{name} of the indicators has shape {array.shape}, but there are {m} switched rows; "
                    f"give an array of shape ({m},)"
                )


@dataclass(frozen=True, slots=True)
class Stop:
    """Answer of `on_point` that ends the solve; the result has status STOPPED."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A point that the solver may take as an incumbent if it is feasible; it checks it itself.

    Args:
        x: shape (n,), NaN where the solver shall choose, if it can complete a point; one that cannot drops it.
    """

    x: FloatArray


Reply = Rows | Stop | Suggestion | tuple[Rows | Suggestion, ...] | None
OnPoint = Callable[[PointKind, FloatArray, float, float], Reply]
"""`on_point(kind, x, objective, bound)`: `bound` is the proved bound so far, in the objective's own sense
(infinite when none is known yet). Exceptions raised in it leave `solve` unchanged."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply of `on_point`, sorted by what is to be done (see `answered`)."""

    stop: bool = False
    rows: tuple[Rows, ...] = ()
    suggestions: tuple[FloatArray, ...] = ()


def answered(reply: Reply, name: str, capabilities: Capability, columns: int) -> Answered:
    """Sort a reply of `on_point`, and refuse what the backend would lose.

    Args:
        reply: what `on_point` answered.
        name, capabilities: of the backend.
        columns: number n of columns.

    Raises:
        UnsupportedCapability: rows without LAZY_ROWS, a suggestion without SUGGEST.
        InvalidInput: something that is no reply, or is about another number of columns.

    >>> answered(Suggestion(np.zeros(2)), "highs", Capability.SUGGEST, columns=2).suggestions
    (array([0., 0.]),)
    >>> answered(Stop(), "highs", Capability.SUGGEST, columns=2).stop
    True
    """
    if reply is None or isinstance(reply, Stop):
        return Answered(stop=reply is not None)
    parts = reply if isinstance(reply, tuple) else (reply,)
    for part in parts:
        match part:
            case Rows():
                width, lacks = part.matrix.shape[1:], Capability.LAZY_ROWS & ~capabilities
                what, instead = "rows", "solve to the end, add the rows with add_rows, and solve again"
            case Suggestion():
                width, lacks = part.x.shape, Capability.SUGGEST & ~capabilities
                what, instead = "point", "give it as `start` to the next solve, where START is offered"
            case _:
                raise InvalidInput(
                    f"on_point answered {part!r}, which is no reply, so that it would be lost; answer None, Stop(), "
                    "Rows, a Suggestion, or a tuple of the last two"
                )
        if lacks:
            raise UnsupportedCapability(
                f"{name} does not offer {lacks.name}, so the {what} that on_point answered would be lost; {instead}"
            )
        if width != (columns,):
            raise InvalidInput(
                f"on_point answered something about {width} columns, but the program has {columns}; columns of an "
                "answer are those of the point that was shown"
            )
    rows = tuple(part for part in parts if isinstance(part, Rows))
    return Answered(rows=rows, suggestions=tuple(part.x for part in parts if isinstance(part, Suggestion)))


@dataclass(frozen=True, slots=True)
class Matrix:
    """A mixed-integer program without objective: `row_lower <= A x <= row_upper`, `lower <= x <= upper`.

    Args:
        rows: CSR matrix, shape (m, n), no explicit zeros needed.
        row_lower, row_upper: shape (m,); -inf / inf where a side is absent; equal for an equation.
        lower, upper: shape (n,), finite: every column lives in a box, so that safe bounds exist.
        integer: shape (n,), True for a column that must be integral.
        indicators: rows that a binary column switches, for a backend with `Capability.INDICATOR`; others refuse
            them with `require_matrix`.

    Raises:
        InvalidInput: shapes that disagree, NaN, an infinite column bound.
    """

    rows: sparse.csr_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray
    indicators: Indicators | None = None

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
        if self.indicators is not None:
            self._check(self.indicators)

    def _check(self, indicators: Indicators) -> None:
        column, width = indicators.column, self.lower.size
        if indicators.rows.shape[1] != width or not ((column >= 0) & (column < width)).all():
            raise InvalidInput(
                f"the indicators are about {indicators.rows.shape[1]} columns, but the matrix has {width}; give both "
                "the same columns"
            )
        if not (self.integer[column] & (self.lower[column] >= 0) & (self.upper[column] <= 1)).all():
            raise InvalidInput(
                "a row is switched by a column that is no binary, so that its value need be neither 0 nor 1; switch "
                "rows by integer columns with bounds in [0, 1]"
            )


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings of a session that hold for all its solves.

    Args:
        threads: number of threads of the solver; set once, before the first solve.
        seed: random seed, not negative; with one thread a session is deterministic.
        profile: use the backend's settings for network models (`Backend.profile` says which, and why).
        tolerance: how far a point may be outside of a row, and an integer column from an integer, at most; None
            leaves it to the solver.
        options: raw options of the solver by its own names; an unknown name is an error.

    Raises:
        InvalidInput: a seed that is no whole number from 0 on, threads that are none from 1 on; a tolerance that is not
            above 0, or above 1e-3.
    """

    threads: int = 1
    seed: int = 0
    profile: bool = True
    tolerance: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.seed, Integral) or self.seed < 0:
            raise InvalidInput(
                f"the seed is {self.seed}, from which no random choice is drawn; give a whole number, 0 or more"
            )
        if not isinstance(self.threads, Integral) or self.threads < 1:
            raise InvalidInput(f"{self.threads} threads solve nothing; give a whole number, 1 or more")
        if self.tolerance is not None and not 0 < self.tolerance <= 1e-3:
            raise InvalidInput(
                f"the tolerance is {self.tolerance}, with which no floating-point solver tells points from others; "
                "give a number between 0 and 1e-3, or None to leave it to the solver"
            )


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
            y >= 0 on rows that are tight at their upper side). They may come with LIMIT and INTERRUPTED too:
            any y proves some bound by weak duality.
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


@dataclass(frozen=True, slots=True)
class Count:
    """How many assignments of the integer columns can be completed to a feasible point.

    Args:
        count: assignments counted: all of them, or at least that many when the count is not complete.
        complete: whether every assignment was looked at.
        seconds: time spent in the solver.
        note: why the count is not complete, and what else a person should know.
    """

    count: int
    complete: bool
    seconds: float = 0.0
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

        A keyboard interrupt is not raised: the result has status INTERRUPTED, and holds what was found so far.

        Args:
            relax: ignore integrality (an LP; brings duals).
            time_limit: wall-clock seconds, for all that the call does.
            gap: absolute and relative gap at which the solver may stop; 0 means solve to the end.
            stop_bound: stop as soon as the proved bound is at least this good for a proof: `<=` when
                maximising, `>=` when minimising.
            stop_objective: stop as soon as a point is known whose objective is at least this good:
                `>=` when maximising, `<=` when minimising.
            start: MIP start, NaN where the solver shall choose.
            on_point: see `OnPoint`.

        Raises:
            UnsupportedCapability: `start` or `on_point` on a backend without the capability, or a reply of
                `on_point` that the backend does not offer to carry out.
        """
        ...

    def close(self) -> None:
        """Free the solver's memory."""
        ...


@runtime_checkable
class CountingSession(Session, Protocol):
    """What sessions of a backend with `Capability.COUNT` can do besides."""

    def count(self, time_limit: float | None = None) -> Count:
        """Count the assignments of the integer columns for which a feasible point exists.

        Continuous columns are projected out, the objective does not matter. Limits and interrupts are kept as by
        `solve`; the count is then not complete.
        """
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


def require_matrix(backend: Backend, matrix: Matrix) -> None:
    """Raise unless the backend takes everything that the matrix holds; the first line of every `open`.

    Raises:
        UnsupportedCapability: the matrix holds rows that a binary switches, and the backend lacks INDICATOR.
    """
    if matrix.indicators is not None:
        count = matrix.indicators.lower.size
        instead = f"without them {count} rows would be lost: choose another formulation, such as 'big-m' or 'hull'"
        require(backend, Capability.INDICATOR, instead)


def require_tolerance(backend: Backend, limits: Limits, finest: float) -> None:
    """Raise unless the backend keeps the tolerance that the limits ask for; a line of every `open`.

    Args:
        finest: the smallest tolerance that the solver takes.

    Raises:
        UnsupportedCapability: one is asked for, and the backend lacks TOLERANCE.
        InvalidInput: one below `finest`.

    >>> from reludsl.testing import EnumerationBackend
    >>> require_tolerance(EnumerationBackend(), Limits(tolerance=1e-12), 0.0)
    """
    if limits.tolerance is None:
        return
    require(backend, Capability.TOLERANCE, "leave Limits.tolerance out, or use backend='highs'")
    if limits.tolerance < finest:
        raise InvalidInput(
            f"a tolerance of {limits.tolerance:g} is asked for, and {backend.name} takes {finest:g} at the least: "
            "points would be taken that lie further out; give that or more"
        )
