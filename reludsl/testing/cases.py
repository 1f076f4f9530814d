"""Small programs, and what every answer to one must satisfy whatever the law at hand is about.

A law asserts by `hold`, so that a message reaches its reader without pytest's rewriting of `assert`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import sparse

from reludsl.backend import (
    Backend,
    Capability,
    FloatArray,
    IntArray,
    Limits,
    Matrix,
    Result,
    Rows,
    Sense,
    Session,
    Status,
)
from reludsl.testing.enumeration import EnumerationBackend

__all__ = [
    "EVENTS",
    "INF",
    "TOLERANCE",
    "Case",
    "LawBroken",
    "NotOffered",
    "at_most",
    "branching",
    "case",
    "close",
    "columns",
    "dense",
    "hold",
    "knapsack",
    "market_split",
    "needs",
    "opened",
    "random_case",
    "rows",
    "same",
    "solve",
    "sound",
    "truth",
    "watched",
    "with_rows",
]

INF = float("inf")
TOLERANCE = 1e-5
"""Relative; ten times the feasibility tolerance that mixed-integer solvers use."""

EVENTS = Capability.INCUMBENT_EVENTS | Capability.NODE_EVENTS
"""With either of them `on_point` is called."""


class LawBroken(AssertionError):
    """A backend did what a law forbids."""


class NotOffered(Exception):
    """The law is about a capability that the backend does not claim."""


def hold(condition: bool, message: str) -> None:
    """Raise LawBroken with the message unless the condition holds."""
    if not condition:
        raise LawBroken(message)


def needs(backend: Backend, capability: Capability) -> None:
    """Leave a law that is about something the backend does not claim."""
    missing = capability & ~backend.capabilities
    if missing:
        raise NotOffered(f"{backend.name} does not offer {missing.name}")


def watched(backend: Backend) -> None:
    """Leave a law that is about `on_point` where it is never called."""
    if not backend.capabilities & EVENTS:
        raise NotOffered(f"{backend.name} offers neither INCUMBENT_EVENTS nor NODE_EVENTS")


def close(a: float, b: float) -> bool:
    """|a - b| <= TOLERANCE (1 + |b|)."""
    return abs(a - b) <= TOLERANCE * (1.0 + abs(b))


@dataclass(frozen=True, slots=True)
class Case:
    """A program with its objective.

    Args:
        matrix: the constraints.
        cost: shape (n,).
        sense, offset: of the objective.
    """

    matrix: Matrix
    cost: FloatArray
    sense: Sense = Sense.MINIMIZE
    offset: float = 0.0

    def negated(self) -> Case:
        """The same program with every row multiplied by -1."""
        m = self.matrix
        flipped = sparse.csr_array(m.rows * -1.0)
        matrix = dataclasses.replace(m, rows=flipped, row_lower=-m.row_upper, row_upper=-m.row_lower)
        return dataclasses.replace(self, matrix=matrix)

    def towards(self, sense: Sense, offset: float = 0.0) -> Case:
        """The same program with another sense and offset."""
        return dataclasses.replace(self, sense=sense, offset=offset)

    def everyway(self) -> Iterator[Case]:
        """Both senses, each with the rows as given and negated: four programs."""
        for sense in Sense:
            yield self.towards(sense, self.offset)
            yield self.towards(sense, self.offset).negated()

    def value(self, x: FloatArray) -> float:
        """The objective at x."""
        return float(self.cost @ x + self.offset)

    @property
    def sign(self) -> float:
        """+1 for a minimisation, -1 for a maximisation."""
        return 1.0 if self.sense is Sense.MINIMIZE else -1.0


def case(
    matrix: npt.ArrayLike,
    row_lower: Sequence[float],
    row_upper: Sequence[float],
    lower: Sequence[float],
    upper: Sequence[float],
    integer: Sequence[bool] | bool,
    cost: Sequence[float],
    sense: Sense = Sense.MINIMIZE,
    offset: float = 0.0,
) -> Case:
    """A case from plain lists; `integer` may be one flag for all columns."""
    n = len(lower)
    dense = np.asarray(matrix, dtype=float).reshape(len(row_lower), n)
    flags = np.full(n, integer) if isinstance(integer, bool) else np.array(integer, dtype=bool)
    return Case(
        Matrix(
            sparse.csr_array(dense),
            np.array(row_lower, dtype=float),
            np.array(row_upper, dtype=float),
            np.array(lower, dtype=float),
            np.array(upper, dtype=float),
            flags,
        ),
        np.array(cost, dtype=float),
        sense,
        offset,
    )


def rows(matrix: npt.ArrayLike, lower: Sequence[float], upper: Sequence[float]) -> Rows:
    """Rows from plain lists."""
    return Rows(
        sparse.csr_array(np.asarray(matrix, dtype=float)),
        np.array(lower, dtype=float),
        np.array(upper, dtype=float),
    )


def at_most(coefficients: Sequence[float], side: float) -> Rows:
    """One row `coefficients @ x <= side`."""
    return rows([list(coefficients)], [-INF], [side])


def with_rows(problem: Case, extra: Rows) -> Case:
    """The case with rows appended."""
    m = problem.matrix
    return dataclasses.replace(
        problem,
        matrix=dataclasses.replace(
            m,
            rows=sparse.csr_array(sparse.vstack([m.rows, extra.matrix])),
            row_lower=np.concatenate([m.row_lower, extra.lower]),
            row_upper=np.concatenate([m.row_upper, extra.upper]),
        ),
    )


def columns(count: int) -> IntArray:
    """0..count-1 as the indices that sessions take."""
    return np.arange(count, dtype=np.int64)


@contextlib.contextmanager
def opened(backend: Backend, problem: Case, limits: Limits | None = None) -> Iterator[Session]:
    """A session with the objective of the case set; closed on the way out."""
    session = backend.open(problem.matrix, limits or Limits())
    try:
        session.set_cost(columns(problem.cost.size), problem.cost.copy(), problem.sense, problem.offset)
        yield session
    finally:
        session.close()


def solve(backend: Backend, problem: Case, relax: bool = False) -> Result:
    """One sound answer to a case on a session of its own."""
    with opened(backend, problem) as session:
        result = session.solve(relax=relax)
    sound(backend, problem, result, relax)
    return result


def truth(problem: Case, relax: bool = False) -> Result:
    """The exact answer."""
    return solve(EnumerationBackend(), problem, relax)


def same(backend: Backend, problem: Case, relax: bool = False, result: Result | None = None) -> None:
    """The backend's answer (asked for, or given) is sound and is the exact one."""
    answer = solve(backend, problem, relax) if result is None else result
    sound(backend, problem, answer, relax)
    right = truth(problem, relax)
    hold(answer.status is right.status, f"status {answer.status.name}, but the truth is {right.status.name}")
    if right.objective is not None and answer.objective is not None:
        hold(
            close(answer.objective, right.objective),
            f"objective {answer.objective}, but the optimum is {right.objective}",
        )


def sound(backend: Backend, problem: Case, result: Result, relax: bool = False) -> None:
    """What holds for every answer: x is a point, objective is its value, bound is on the safe side."""
    hold(
        result.status not in (Status.FAILED, Status.UNBOUNDED),
        f"status {result.status.name} on a small program in a box ({result.note})",
    )
    hold((result.x is None) == (result.objective is None), "x and objective must come together")
    if result.x is not None:
        _is_point(problem, result.x, relax)
    if result.x is not None and result.objective is not None:
        value = problem.value(result.x)
        hold(close(result.objective, value), f"objective {result.objective}, but c x + offset is {value}")
    if result.status is Status.INFEASIBLE:
        hold(result.x is None, "INFEASIBLE came with a point")
    if result.status is Status.OPTIMAL:
        hold(result.x is not None, "OPTIMAL came without a point")
    _bound_is_safe(backend, problem, result, relax)


def _is_point(problem: Case, x: FloatArray, relax: bool) -> None:
    m = problem.matrix
    hold(x.shape == m.lower.shape, f"x has shape {x.shape}, but there are {m.lower.size} columns")
    hold(bool(np.isfinite(x).all()), "x is not finite")
    outside = np.maximum(m.lower - x, x - m.upper) - TOLERANCE * (1.0 + abs(x))
    hold(outside.max(initial=-1.0) <= 0, "x leaves the box of its columns")
    activity = m.rows @ x
    scale = TOLERANCE * (1.0 + abs(m.rows) @ abs(x))
    hold(bool((activity >= m.row_lower - scale).all()), "x violates the lower side of a row")
    hold(bool((activity <= m.row_upper + scale).all()), "x violates the upper side of a row")
    if not relax:
        off = abs(x - np.round(x))[m.integer]
        hold(off.max(initial=0.0) <= TOLERANCE, f"an integer column is {off.max(initial=0.0)} off an integer")


def _bound_is_safe(backend: Backend, problem: Case, result: Result, relax: bool) -> None:
    if Capability.BOUND not in backend.capabilities:
        hold(result.bound is None, "a bound came from a backend that does not offer BOUND")
        return
    if result.status is Status.OPTIMAL and not relax and problem.matrix.integer.any():
        hold(result.bound is not None, "an integer solve ended OPTIMAL without a bound")
    if result.bound is None or result.objective is None:
        return
    ahead = problem.sign * (result.bound - result.objective)
    slack = TOLERANCE * (1.0 + abs(result.objective))
    hold(ahead <= slack, f"bound {result.bound} is refuted by a point of value {result.objective}")
    if result.status is Status.OPTIMAL:
        hold(ahead >= -slack, f"OPTIMAL with a gap: bound {result.bound}, objective {result.objective}")


def random_case(seed: int, integral: bool = True) -> Case:
    """Five columns, four rows, small integers; about half of the columns integral; often feasible."""
    draw = np.random.default_rng(seed)
    n, m = 5, 4
    matrix = draw.integers(-4, 5, (m, n)).astype(float)
    lower = draw.integers(-3, 1, n).astype(float)
    width = draw.integers(0, 4, n).astype(float)
    inside = matrix @ np.floor(lower + width / 2)
    low = np.where(draw.random(m) < 0.5, inside - draw.integers(-1, 6, m), -INF)
    high = np.where(draw.random(m) < 0.7, np.maximum(low, inside) + draw.integers(0, 5, m), INF)
    flags = draw.random(n) < 0.6 if integral else np.zeros(n, dtype=bool)
    return Case(
        Matrix(sparse.csr_array(matrix), low, high, lower, lower + width, flags),
        draw.integers(-4, 5, n).astype(float),
        offset=float(draw.integers(-3, 4)),
    )


def knapsack(items: int) -> Case:
    """Two rows, values that follow the weights: fractional at the root, some nodes, easy for the oracle."""
    draw = np.random.default_rng(items)
    weights = draw.integers(5, 40, (2, items)).astype(float)
    value = weights.sum(axis=0) + draw.integers(-3, 4, items)
    sides = np.floor(weights.sum(axis=1) * 0.4)
    return case(weights, [-INF, -INF], sides.tolist(), [0] * items, [1] * items, True, value.tolist(), Sense.MAXIMIZE)


def branching(sense: Sense = Sense.MAXIMIZE) -> Case:
    """A knapsack of eleven items, so that nodes and several incumbents exist."""
    base = knapsack(11)
    sign = 1.0 if sense is Sense.MAXIMIZE else -1.0
    return Case(base.matrix, sign * base.cost, sense, offset=2.5)


def dense(size: int) -> Case:
    """A feasible LP with a full matrix: its effort grows fast with its size, for every method."""
    draw = np.random.default_rng(size)
    matrix = draw.integers(-50, 51, (size, size)).astype(float)
    sides = draw.integers(1, 20 * int(size**0.5), size).astype(float)
    cost = draw.integers(-20, 21, size).astype(float)
    box = [-1.0] * size, [1.0] * size
    return case(matrix, [-INF] * size, sides.tolist(), *box, False, cost.tolist(), Sense.MAXIMIZE)


@dataclass(frozen=True, slots=True)
class Split:
    """A market split: 0/1 columns whose weighted sums must hit targets. Hard for its size, answer planted.

    Args:
        exactly: no slack: a point is hard to find, but `planted` is one.
        slack: with slack, minimised: points are easy, the optimum is `best`.
        planted: the 0/1 part of the solution.
    """

    exactly: Case
    slack: Case
    planted: FloatArray
    best: float = field(default=0.0)


def market_split(equations: int, items: int) -> Split:
    """Cornuéjols-Dawande programs with a planted solution, the same ones every time."""
    draw = np.random.default_rng(equations * 1000 + items)
    weights = draw.integers(0, 100, (equations, items)).astype(float)
    planted = np.zeros(items)
    planted[: items // 2] = 1.0
    target = (weights @ planted).tolist()
    box = [0.0] * items, [1.0] * items
    exactly = case(weights, target, target, *box, True, [0.0] * items)
    far = float(weights.sum())
    slack = case(
        np.hstack([weights, np.eye(equations), -np.eye(equations)]),
        target,
        target,
        box[0] + [0.0] * (2 * equations),
        box[1] + [far] * (2 * equations),
        [True] * items + [False] * (2 * equations),
        [0.0] * items + [1.0] * (2 * equations),
    )
    return Split(exactly, slack, planted)
