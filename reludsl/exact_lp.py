"""min c x over `row_lower <= A x <= row_upper`, `lower <= x <= upper`, in rationals: no rounding.

Floats are exact rationals, so the answer is *the* answer for the numbers as given. The method is the dual
simplex with Bland's rule: every column lives in a finite box, so putting each column at the bound that its
cost prefers is dual feasible, and no first phase is needed. It ends always, and slowly: small programs only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["ExactLP", "ExactSolution", "Side", "exact", "solve_exact"]

Side = Fraction | None
"""A bound; None where there is none."""


@dataclass(frozen=True, slots=True)
class ExactLP:
    """A linear program over the rationals.

    Args:
        cost: length n, minimised.
        rows: m rows of length n.
        row_lower, row_upper: length m.
        lower, upper: length n, finite.
    """

    cost: Sequence[Fraction]
    rows: Sequence[Sequence[Fraction]]
    row_lower: Sequence[Side]
    row_upper: Sequence[Side]
    lower: Sequence[Fraction]
    upper: Sequence[Fraction]


@dataclass(frozen=True, slots=True)
class ExactSolution:
    """What `solve_exact` gives: an optimum with its duals, or a ray that proves that there is none.

    Args:
        x: an optimal point, None when the program is infeasible.
        objective: its cost.
        duals: y with c - A'y >= 0 on columns at their lower bound and <= 0 on those at their upper bound.
        ray: y such that y'A x takes no value on the box that y'(row sides) allows; None when feasible.
    """

    x: tuple[Fraction, ...] | None = None
    objective: Fraction | None = None
    duals: tuple[Fraction, ...] | None = None
    ray: tuple[Fraction, ...] | None = None


def exact(value: float) -> Side:
    """The rational that a float is; None for an infinite one.

    >>> exact(0.5), exact(float("inf"))
    (Fraction(1, 2), None)
    """
    return Fraction(float(value)) if math.isfinite(value) else None


def solve_exact(program: ExactLP, deadline: float | None = None) -> ExactSolution:
    """The optimum of the program, or a proof that it has no point.

    Args:
        deadline: value of `time.perf_counter()` at which to give up.

    Raises:
        TimeoutError: the deadline passed.

    >>> one, two = Fraction(1), Fraction(2)
    >>> solve_exact(ExactLP([-one], [[one]], [None], [one / 2], [0 * one], [two])).x
    (Fraction(1, 2),)
    """
    for low, high in zip(program.lower, program.upper, strict=True):
        if low > high:
            return ExactSolution(ray=(Fraction(0),) * len(program.rows))
    tableau = _Tableau(program)
    while True:
        if deadline is not None and time.perf_counter() > deadline:
            raise TimeoutError("the deadline of the exact simplex passed")
        leaving = tableau.violated()
        if leaving is None:
            return tableau.solution()
        entering = tableau.entering(*leaving)
        if entering is None:
            return ExactSolution(ray=tableau.ray(leaving[0]))
        tableau.pivot(*leaving, entering)


class _Tableau:
    """`basic = table @ nonbasic`; variables 0..n-1 are the columns, n..n+m-1 the values of the rows."""

    def __init__(self, program: ExactLP) -> None:
        self._n, m = len(program.cost), len(program.rows)
        self._low: list[Side] = [*program.lower, *program.row_lower]
        self._high: list[Side] = [*program.upper, *program.row_upper]
        self._cost = tuple(program.cost)
        self._basic = list(range(self._n, self._n + m))
        self._nonbasic = list(range(self._n))
        self._table = [list(row) for row in program.rows]
        self._reduced = list(program.cost)
        starts = zip(self._reduced, program.lower, program.upper, strict=True)
        self._value = [low if cost >= 0 else high for cost, low, high in starts]
        self._at_upper = [cost < 0 for cost in self._reduced]

    def violated(self) -> tuple[int, bool] | None:
        """The row of the basic variable of smallest index outside its bounds, and whether it is below."""
        best: tuple[int, bool] | None = None
        for r, variable in enumerate(self._basic):
            if best is not None and variable > self._basic[best[0]]:
                continue
            value = self._basic_value(r)
            low, high = self._low[variable], self._high[variable]
            if low is not None and value < low:
                best = (r, True)
            elif high is not None and value > high:
                best = (r, False)
        return best

    def entering(self, r: int, below: bool) -> int | None:
        """The column that keeps the duals feasible: smallest ratio, then smallest index."""
        best: tuple[Fraction, int, int] | None = None
        for j, variable in enumerate(self._nonbasic):
            entry = self._table[r][j]
            if entry == 0 or self._low[variable] == self._high[variable]:
                continue
            # Moving off its bound must push the basic variable towards the bound that it violates.
            raises = (entry > 0) != self._at_upper[j]
            if raises == below:
                key = (abs(self._reduced[j] / entry), variable, j)
                best = key if best is None else min(best, key)
        return None if best is None else best[2]

    def pivot(self, r: int, below: bool, j: int) -> None:
        """Exchange: the basic variable of row r leaves at the bound it violated, column j enters."""
        leaving = self._basic[r]
        bound = self._low[leaving] if below else self._high[leaving]
        if bound is None:
            raise AssertionError("a variable without this bound cannot violate it")
        pivot_row = self._table[r]
        entry = pivot_row[j]
        solved = [-value / entry for value in pivot_row]
        solved[j] = 1 / entry
        self._table[r] = solved
        for i, row in enumerate(self._table):
            if i != r and row[j] != 0:
                self._table[i] = self._substitute(row, solved, j)
        self._reduced = self._substitute(self._reduced, solved, j)
        self._basic[r], self._nonbasic[j] = self._nonbasic[j], leaving
        self._value[j], self._at_upper[j] = bound, not below

    def solution(self) -> ExactSolution:
        """The basic solution, which is optimal when nothing is violated."""
        values = dict(zip(self._nonbasic, self._value, strict=True))
        values |= {variable: self._basic_value(r) for r, variable in enumerate(self._basic)}
        x = tuple(values[k] for k in range(self._n))
        prices = dict(zip(self._nonbasic, self._reduced, strict=True))
        duals = tuple(prices.get(self._n + i, Fraction(0)) for i in range(len(self._basic)))
        objective = sum((c * v for c, v in zip(self._cost, x, strict=True)), Fraction(0))
        return ExactSolution(x, objective, duals)

    def ray(self, r: int) -> tuple[Fraction, ...]:
        """Row r says that a sum of row values equals a sum of columns that the box cannot reach."""
        ray = [Fraction(0)] * len(self._basic)
        for variable, factor in [
            (self._basic[r], Fraction(1)),
            *((v, -t) for v, t in zip(self._nonbasic, self._table[r], strict=True)),
        ]:
            if variable >= self._n:
                ray[variable - self._n] = factor
        return tuple(ray)

    def _basic_value(self, r: int) -> Fraction:
        return sum((t * v for t, v in zip(self._table[r], self._value, strict=True) if t and v), Fraction(0))

    @staticmethod
    def _substitute(row: list[Fraction], solved: list[Fraction], j: int) -> list[Fraction]:
        factor = row[j]
        if factor == 0:
            return row
        return [
            factor * s if k == j else value + factor * s for k, (value, s) in enumerate(zip(row, solved, strict=True))
        ]
