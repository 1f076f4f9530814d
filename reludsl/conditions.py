"""Conditions as rows and disjunctions: one indicator per alternation, whatever stands below it.

A condition over columns becomes

    e_1 <= 0, e_2 <= 0                   rows
    (a | (b & (c | d)))                  { a }  or  { b, s >= 1 }          a disjunction
                                         { s <= 0 }  or  { c }  or  { d }  another one, s binary

so that the program grows linearly with the condition, never by distribution. Strict comparisons are closed: the
program has more points then, so that what is proved on it stays proved, and what is found on it is replayed.

With a *slack column* t every comparison reads e + t <= 0: t is at most the slack of the condition, and max t the
largest slack there is. Such a program has a point for every input, so that a bound alone refutes the condition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.expr import Expr
from reludsl.logic import All, AnyOf, Atoms, Condition
from reludsl.program import Disjunctions, RowBlock

DEEPEST = 200
"""Alternations within alternations beyond which a condition is refused: a person writes three."""


@dataclass(frozen=True, slots=True, eq=False)
class Conjunction:
    """Comparisons that all hold, and alternations of which each has a part that holds."""

    rows: Expr
    alternations: tuple[tuple[Condition, ...], ...]


def conjunction(condition: Condition) -> Conjunction:
    """A condition taken apart down to its first alternations."""
    rows: list[Expr] = []
    alternations: list[tuple[Condition, ...]] = []
    left = [condition]
    while left:
        part = left.pop(0)
        match part:
            case Atoms() if part.every or len(part) == 1:
                rows.append(part.expr)
            case Atoms():
                alternations.append(tuple(Atoms(e.expr, e.strict) for e in part))
            case AnyOf():
                alternations.append(part.parts)
            case All():
                left = [*part.parts, *left]
            case _:
                raise TypeError(f"{type(part).__name__} is no kind of condition")
    return Conjunction(Expr.stack(rows) if rows else Expr({}, np.zeros(0)), tuple(alternations))


def slack_range(
    condition: Condition, bounds: Callable[[Expr], tuple[FloatArray, FloatArray]]
) -> tuple[FloatArray, FloatArray]:
    """Proved bounds of the slack of a condition, from bounds of its comparisons.

    Args:
        bounds: lower and upper bounds of an expression's elements, (..., size); the answer has the leading axes.
    """
    match condition:
        case Atoms():
            low, high = bounds(condition.expr)
            ends = (-high, -low)
            if condition.every:
                return np.asarray(ends[0].min(axis=-1)), np.asarray(ends[1].min(axis=-1))
            return np.asarray(ends[0].max(axis=-1)), np.asarray(ends[1].max(axis=-1))
        case All() | AnyOf():
            ranges = [slack_range(part, bounds) for part in condition.parts]
            pick = np.minimum if isinstance(condition, All) else np.maximum
            return pick.reduce([low for low, _ in ranges]), pick.reduce([high for _, high in ranges])
        case _:
            raise TypeError(f"{type(condition).__name__} is no kind of condition")


@dataclass(frozen=True, slots=True, eq=False)
class _Branch:
    """A branch before its columns have positions: comparisons, and switches that must be on."""

    rows: Expr
    on: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Alternation:
    branches: tuple[_Branch, ...]
    guard: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a condition goes: what its lowering needs to know of the program around it.

    Args:
        name: of the rows; alternations are `name.or`, switches `name.switch`.
        slack: position and range of the slack column; None for a condition that must hold.
        add_switch: makes a binary column, and gives its position.
        matrix: an expression's linear part over the columns that exist when it is called.
        bounds: proved lower and upper bounds of an expression's elements.
        width: number of columns that exist when it is called.
    """

    name: str
    slack: tuple[int, float, float] | None
    add_switch: Callable[[], int]
    matrix: Callable[[Expr], sparse.csr_array]
    bounds: Callable[[Expr], tuple[FloatArray, FloatArray]]
    width: Callable[[], int]


def lower_condition(condition: Condition, place: Place) -> tuple[RowBlock, list[Disjunctions]]:
    """Rows and disjunctions that hold where the condition does (with a slack column: up to that slack).

    Raises:
        InvalidInput: alternations nested deeper than `DEEPEST`.
    """
    top = conjunction(condition)
    waiting: list[tuple[tuple[Condition, ...], int | None, int]] = [(parts, None, 1) for parts in top.alternations]
    found: list[_Alternation] = []
    while waiting:
        parts, guard, depth = waiting.pop(0)
        if depth > DEEPEST:
            raise InvalidInput(
                f"the condition nests alternations more than {DEEPEST} deep, and needs a binary for each; "
                "write it with fewer levels"
            )
        branches = []
        for part in parts:
            inner = conjunction(part)
            switches = tuple(place.add_switch() for _ in inner.alternations)
            waiting.extend((deeper, s, depth + 1) for deeper, s in zip(inner.alternations, switches))
            branches.append(_Branch(inner.rows, switches))
        found.append(_Alternation(tuple(branches), guard))
    matrix, upper = _rows(top.rows, place)
    defines = np.full(upper.size, -1 if place.slack is None else place.slack[0], dtype=np.int64)
    rows = RowBlock(place.name, matrix, np.full(upper.size, -np.inf), upper, defines)
    return rows, [_disjunction(f"{place.name}.or{k}", alternation, place) for k, alternation in enumerate(found)]


def lower_choice(name: str, branches: Sequence[Condition], place: Place, own: IntArray) -> Disjunctions:
    """For every i, one disjunction: the i-th condition of at least one branch holds (see `layers.Encoding`).

    Args:
        own: columns that the conditions were written with; a disjunction about one of them alone defines it.

    Raises:
        InvalidInput: branches of different lengths, or with alternations inside.
    """
    parts = [_comparisons(branch) for branch in branches]
    sizes = {expr.size for exprs in parts for expr in exprs}
    if len(sizes) != 1:
        raise InvalidInput(
            f"the branches of a choice in {name!r} have {', '.join(map(str, sorted(sizes))) or 'no'} conditions; a "
            "choice is made element by element: write vectors of one length"
        )
    (n,) = sizes
    rows = [expr for exprs in parts for expr in exprs]
    count = len(rows)
    matrix, upper = _rows(Expr.stack(rows), place)
    low, high = _reach(Expr.stack(rows), place)
    # from row-major over (row, element) to row-major over (element, row)
    order = np.arange(count * n).reshape(count, n).T.ravel()
    matrix = sparse.csr_array(matrix[order])
    per_branch = np.tile([len(exprs) for exprs in parts], n)
    marked = np.zeros(place.width())
    marked[own] = 1.0
    new = sparse.csr_array(
        (marked[matrix.indices] * (matrix.data != 0), matrix.indices, matrix.indptr), shape=matrix.shape
    )
    mentioned = sparse.csr_array((np.ones(count * n), (np.arange(count * n) // count, np.arange(count * n)))) @ new
    mentioned = sparse.csr_array(mentioned)
    mentioned.eliminate_zeros()
    alone = np.diff(mentioned.indptr) == 1
    defines = np.full(n, -1, dtype=np.int64)
    defines[alone] = mentioned.indices[mentioned.indptr[:-1][alone]]
    return Disjunctions(
        name,
        matrix,
        np.full(count * n, -np.inf),
        upper[order],
        low[order],
        high[order],
        _starts(per_branch.tolist()),
        np.arange(0, n * len(parts) + 1, len(parts)),
        defines,
    )


def _comparisons(branch: Condition) -> list[Expr]:
    match branch:
        case Atoms() if branch.every or len(branch) == 1:
            return [branch.expr]
        case All():
            return [expr for part in branch.parts for expr in _comparisons(part)]
        case _:
            raise InvalidInput(
                "a branch of a choice holds an alternation, which would be a choice within a choice; list its "
                "alternatives as branches, or put the condition among the rows"
            )


def _rows(expr: Expr, place: Place) -> tuple[sparse.csr_array, FloatArray]:
    """a x + c <= 0 as a x <= -c, and with a slack column as a x + t <= -c."""
    matrix = place.matrix(expr)
    if place.slack is not None:
        ones = np.ones(expr.size)
        t = sparse.csr_array(
            (ones, (np.arange(expr.size), np.full(expr.size, place.slack[0]))), shape=(expr.size, place.width())
        )
        matrix = sparse.csr_array(matrix + t)
    return matrix, -expr.constant


def _reach(expr: Expr, place: Place) -> tuple[FloatArray, FloatArray]:
    """Proved range of the activity of those rows."""
    if not expr.size:
        return np.zeros(0), np.zeros(0)
    low, high = place.bounds(expr)
    low, high = numeric.plus_down(low, -expr.constant), numeric.plus_up(high, -expr.constant)
    if place.slack is not None:
        _, least, most = place.slack
        low, high = numeric.plus_down(low, np.full_like(low, least)), numeric.plus_up(high, np.full_like(high, most))
    return low, high


def _disjunction(name: str, alternation: _Alternation, place: Place) -> Disjunctions:
    """One disjunction: a branch per part, and one that leaves it idle while its guard is off."""
    width = place.width()
    blocks: list[sparse.csr_array] = []
    lower, upper, least, most, sizes = [], [], [], [], []

    def single(column: int, side: str) -> None:
        blocks.append(sparse.csr_array(([1.0], ([0], [column])), shape=(1, width)))
        lower.append(np.array([1.0 if side == "on" else -np.inf]))
        upper.append(np.array([np.inf if side == "on" else 0.0]))
        least.append(np.zeros(1))
        most.append(np.ones(1))

    if alternation.guard is not None:
        single(alternation.guard, "off")
        sizes.append(1)
    for branch in alternation.branches:
        for switch in branch.on:
            single(switch, "on")
        matrix, side = _rows(branch.rows, place)
        low, high = _reach(branch.rows, place)
        blocks.append(matrix)
        lower.append(np.full(side.size, -np.inf))
        upper.append(side)
        least.append(low)
        most.append(high)
        sizes.append(len(branch.on) + side.size)
    own = place.slack[0] if place.slack is not None else -1
    return Disjunctions(
        name,
        sparse.csr_array(sparse.vstack(blocks, format="csr")),
        np.concatenate(lower),
        np.concatenate(upper),
        np.concatenate(least),
        np.concatenate(most),
        _starts(sizes),
        np.array([0, len(sizes)]),
        np.array([own if alternation.guard is None else alternation.guard]),
    )


def _starts(sizes: Sequence[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
