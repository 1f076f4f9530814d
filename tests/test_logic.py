"""Conditions obey the laws of logic, and their slack says how far they hold."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, cast

import numpy as np
import pytest
from formulas import points_of, question, seeds, slack_at, true_at
from hypothesis import given, settings

from reludsl.errors import InvalidInput
from reludsl.expr import Expr, SlackVariable, box
from reludsl.functions import argmax_is, argmin_is, close
from reludsl.logic import ALWAYS, NEVER, All, AnyOf, Atoms, Condition, all_of, any_of, implies, shifted
from reludsl.replay import holds
from reludsl.testing.strategies import dyadics

X = box(-2, 2, (3,), "x")


def _slack(condition: Condition, point: Any) -> float:
    return float(Expr.of(SlackVariable(condition)).value(point)[0])


@settings(max_examples=25)
@given(seeds())
def test_laws_hold_as_slacks_and_as_truth(seed: int) -> None:
    where, a, b, pick = question(seed)
    pairs = [
        (~~a, a),
        (~(a & b), ~a | ~b),
        (~(a | b), ~a & ~b),
        (implies(a, b), ~a | b),
        (a & b, b & a),
        (a | (a & b), a),
        (a & (a | b), a),
        (all_of([a, b]), a & b),
        (any_of([a, b]), a | b),
    ]
    for point in points_of(where, pick, 4):
        for k, (left, right) in enumerate(pairs):
            assert _slack(left, point) == _slack(right, point), k
            assert holds(left, point) == holds(right, point), k
        assert _slack(~a, point) == -_slack(a, point)
        assert holds(~a, point) is not holds(a, point)
        assert holds(a & b, point) == (holds(a, point) and holds(b, point))
        assert holds(a | b, point) == (holds(a, point) or holds(b, point))


@settings(max_examples=25)
@given(seeds(), dyadics(-1, 1))
def test_slack_is_positive_inside_and_moves_with_the_margin(seed: int, margin: float) -> None:
    where, a, _, pick = question(seed)
    for point in points_of(where, pick, 4):
        slack = slack_at(a, point)
        assert _slack(a, point) == pytest.approx(float(slack), abs=1e-12)
        assert slack == 0 or (slack > 0) == true_at(a, point)
        assert slack_at(shifted(a, margin), point) == slack - Fraction(margin)


@settings(max_examples=25)
@given(seeds())
def test_negation_keeps_the_comparisons(seed: int) -> None:
    _, condition, _, _ = question(seed, depth=3)
    before, after = list(condition.atoms), list((~condition).atoms)
    assert len(before) == len(after)
    for old, new in zip(before, after):
        assert (new.strict, new.every, len(new)) == (not old.strict, not old.every, len(old))


def test_conjunctions_and_disjunctions_are_flat() -> None:
    a, b, c = X[0] <= 1, X[1] <= 1, X[2] <= 1
    both, either = (a & b) & (c & a), (a | b) | (c | a)
    assert isinstance(both, All)
    assert isinstance(either, AnyOf)
    assert both.parts == (a, b, c, a)
    assert either.parts == (a, b, c, a)
    assert [len(p) for p in (X <= 1)] == [1, 1, 1]
    assert (X <= 1)[1:].expr.size == 2


def test_conditions_without_parts_are_always_and_never() -> None:
    a = X[0] <= 1
    assert all_of() is ALWAYS
    assert any_of() is NEVER
    assert ~ALWAYS is NEVER
    assert ~NEVER is ALWAYS
    assert a & ALWAYS is a
    assert a | NEVER is a
    assert a & NEVER is NEVER
    assert a | ALWAYS is ALWAYS
    assert all_of(X[:0] <= 1) is ALWAYS
    assert any_of(~(X[:0] <= 1)) is NEVER


@pytest.mark.parametrize(
    ("point", "equal"), [([0.0, 0.5, 1.0], True), ([0.0, 0.5, 0.75], False), ([1.0, 0.5, 0.0], False)]
)
def test_unequal_vectors_are_those_that_are_not_equal(point: list[float], equal: bool) -> None:
    target = np.array([0.0, 0.5, 1.0])
    at = {X.variable: np.array(point)}
    assert holds(target == X, at) is equal
    assert holds(target != X, at) is not equal


def test_argmax_and_argmin_count_ties_and_margins() -> None:
    at = {X.variable: np.array([1.0, 1.0, 0.5])}
    assert holds(argmax_is(X, 0) & argmax_is(X, 1), at)
    assert not holds(argmax_is(X, 2), at)
    assert not holds(argmax_is(X, 0, margin=0.25), at)
    assert holds(argmin_is(X, 2, margin=0.5), at)
    assert not holds(argmin_is(X, 2, margin=0.625), at)
    assert not holds(~argmin_is(X, 2), at)


def test_close_counts_its_edge() -> None:
    at = {X.variable: np.array([0.0, 0.25, -0.25])}
    assert holds(close(X, 0.0, atol=0.25), at)
    assert not holds(close(X, 0.0, atol=0.125), at)


@pytest.mark.parametrize("misuse", [lambda: bool(X <= 1), lambda: (X[0] <= 1) and (X[1] <= 1), lambda: 0 <= X[0] <= 1])
def test_truth_value_is_refused_with_what_to_write(misuse: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"a & b.*lo <= x.*implies"):
        misuse()


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: (X[0] <= 1) & True, "compare expressions"),
        (lambda: all_of([cast(Any, True)]), "all_of joins conditions"),
        (lambda: any_of(X[0] <= 1, cast(Any, 3)), "3 .int"),
        (lambda: implies(X[0] <= 1, cast(Any, X[1])), "joins conditions|Expr"),
        (lambda: argmax_is(X, 3), "0 to 2"),
        (lambda: argmax_is(X[0], 0), "nothing to be compared"),
        (lambda: close(X, 0, atol=-1), "atol >= 0"),
        (lambda: close(X, 0, atol=float("nan")), "atol >= 0"),
    ],
)
def test_what_is_no_condition_is_refused(misuse: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        misuse()


def test_repr_shows_the_structure() -> None:
    shown = repr((X <= 1) & ~((X[0] <= 0) & (X < 1)))
    assert shown == (
        "((Expr(size=3, over=[x]) <= 0 everywhere) & "
        "((Expr(size=1, over=[x]) < 0) | (Expr(size=3, over=[x]) <= 0 somewhere)))"
    )
    assert (repr(ALWAYS), repr(NEVER)) == ("always", "never")
    assert isinstance(X <= 1, Atoms)
