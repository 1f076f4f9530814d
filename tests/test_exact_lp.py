"""The rational simplex agrees with SciPy's linprog, and its duals and rays prove what they say, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from reludsl.backend import FloatArray
from reludsl.exact_lp import ExactLP, Side, exact, solve_exact

ZERO = Fraction(0)


def _rational(values: FloatArray) -> list[Fraction]:
    return [Fraction(float(value)) for value in values]


@st.composite
def programs(draw: st.DrawFn) -> tuple[ExactLP, dict[str, FloatArray]]:
    """Up to five rows and columns of small integers, one-sided, two-sided, equal and free rows."""
    m, n = draw(st.integers(0, 5)), draw(st.integers(1, 5))
    small = st.integers(-4, 4).map(float)
    table = np.array(draw(st.lists(small, min_size=m * n, max_size=m * n))).reshape(m, n)
    cost = np.array(draw(st.lists(small, min_size=n, max_size=n)))
    lower = np.array(draw(st.lists(small, min_size=n, max_size=n)))
    upper = lower + np.array(draw(st.lists(st.integers(0, 4).map(float), min_size=n, max_size=n)))
    low = np.array(draw(st.lists(st.one_of(st.just(-np.inf), small), min_size=m, max_size=m)))
    wide = st.one_of(st.just(np.inf), st.integers(0, 6).map(float))
    width = np.array(draw(st.lists(wide, min_size=m, max_size=m)))
    high = np.where(np.isfinite(low), np.where(np.isfinite(low), low, 0.0) + width, width)
    floats = {"cost": cost, "rows": table, "low": low, "high": high, "lower": lower, "upper": upper}
    program = ExactLP(
        _rational(cost),
        [_rational(row) for row in table],
        [exact(side) for side in low],
        [exact(side) for side in high],
        _rational(lower),
        _rational(upper),
    )
    return program, floats


def _linprog(data: dict[str, FloatArray]) -> tuple[int, float | None]:
    stacked = np.vstack([data["rows"], -data["rows"]])
    sides = np.concatenate([data["high"], -data["low"]])
    kept = np.isfinite(sides)
    result = linprog(
        data["cost"],
        A_ub=stacked[kept] if kept.any() else None,
        b_ub=sides[kept] if kept.any() else None,
        bounds=np.column_stack([data["lower"], data["upper"]]),
    )
    return int(result.status), None if result.fun is None else float(result.fun)


def _product(rows: Sequence[Sequence[Fraction]], y: Sequence[Fraction], n: int) -> list[Fraction]:
    return [sum((y[i] * row[j] for i, row in enumerate(rows)), ZERO) for j in range(n)]


def _side(price: Fraction, low: Side, high: Side) -> Fraction:
    """price * side at its least; a price on an absent side would prove nothing."""
    if price == 0:
        return ZERO
    side = low if price > 0 else high
    assert side is not None
    return price * side


@settings(max_examples=150, deadline=None)
@given(programs())
def test_solve_exact_small_programs_agree_with_linprog(pair: tuple[ExactLP, dict[str, FloatArray]]) -> None:
    program, floats = pair
    solution = solve_exact(program)
    status, value = _linprog(floats)
    assert (solution.x is None) == (status == 2)
    if solution.objective is not None and value is not None:
        assert float(solution.objective) == pytest.approx(value, abs=1e-7)


@settings(max_examples=150, deadline=None)
@given(programs())
def test_solve_exact_answers_carry_exact_proofs(pair: tuple[ExactLP, dict[str, FloatArray]]) -> None:
    program, _ = pair
    solution = solve_exact(program)
    n = len(program.cost)
    boxes = list(zip(program.lower, program.upper, strict=True))
    sides = list(zip(program.row_lower, program.row_upper, strict=True))
    if solution.x is None:
        assert solution.ray is not None
        signed = [[sign * value for value in solution.ray] for sign in (1, -1)]
        assert any(_proves_empty(program, ray, n) for ray in signed)
        return
    assert solution.duals is not None
    for value, (low, high) in zip(solution.x, boxes, strict=True):
        assert low <= value <= high
    for row, (least, most) in zip(program.rows, sides, strict=True):
        activity = sum((a * v for a, v in zip(row, solution.x, strict=True)), ZERO)
        assert least is None or activity >= least
        assert most is None or activity <= most
    priced = _product(program.rows, solution.duals, n)
    reduced = [c - p for c, p in zip(program.cost, priced, strict=True)]
    proved = sum((_side(y, *side) for y, side in zip(solution.duals, sides, strict=True)), ZERO)
    proved += sum((_side(d, *box) for d, box in zip(reduced, boxes, strict=True)), ZERO)
    assert proved == solution.objective


def _proves_empty(program: ExactLP, ray: list[Fraction], n: int) -> bool:
    sides = list(zip(program.row_lower, program.row_upper, strict=True))
    if any((low if y > 0 else high) is None for y, (low, high) in zip(ray, sides, strict=True) if y):
        return False
    least = sum((_side(y, *side) for y, side in zip(ray, sides, strict=True)), ZERO)
    combined = _product(program.rows, ray, n)
    boxes = zip(program.lower, program.upper, strict=True)
    return least > sum((max(a * lo, a * hi) for a, (lo, hi) in zip(combined, boxes, strict=True)), ZERO)


def test_solve_exact_no_rounding_tenth_is_not_a_tenth() -> None:
    tenth = Fraction(0.1)
    one, ten = Fraction(1), Fraction(10)
    solution = solve_exact(ExactLP([one], [[ten]], [one], [None], [ZERO], [one]))
    assert solution.x == (Fraction(1, 10),)
    assert solution.x != (tenth,)


def test_solve_exact_crossed_bounds_are_infeasible() -> None:
    assert solve_exact(ExactLP([ZERO], [], [], [], [Fraction(1)], [ZERO])).x is None


def test_solve_exact_deadline_in_the_past_gives_up() -> None:
    one = Fraction(1)
    program = ExactLP([ZERO], [[one]], [one], [None], [ZERO], [one])
    with pytest.raises(TimeoutError):
        solve_exact(program, deadline=0.0)
