"""Expressions obey the laws of arithmetic, numpy on either side, and refuse what would mean otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Norm, Polytope
from reludsl.errors import InvalidInput
from reludsl.expr import Expr, as_domain, ball, box, polytope
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.testing.strategies import dyadics, vectors

NET = Network.chain([Affine(np.array([[1.0, -1.0], [0.5, 2.0]]), np.array([0.25, -1.0])), relu], (2,))
X = box(-2, 2, (2,), "x")
Y = box([-2, -2, -2], [2, 2, 2], name="y")


@st.composite
def expressions(draw: st.DrawFn, size: int) -> tuple[Expr, Callable[[FloatArray, FloatArray], FloatArray]]:
    """An expression over x, y and net(x), and the same as a function of numbers."""
    a, b, c = (draw(vectors(size * k)).reshape(size, k) for k in (2, 3, 2))
    d = draw(vectors(size))
    return a @ X + b @ Y + c @ NET(X) + d, lambda x, y: a @ x + b @ y + c @ NET(x) + d


@given(expressions(3), expressions(3), vectors(3), dyadics(), vectors(2), vectors(3))
def test_arithmetic_numpy_on_either_side_evaluates_like_numbers(
    first: Any, second: Any, c: FloatArray, s: float, x: FloatArray, y: FloatArray
) -> None:
    (e, f), (g, h) = first, second
    u, v = f(x, y), h(x, y)
    matrix = np.array([[1.0, -2.0, 0.5], [0.0, 0.0, 1.0]])
    cases: list[tuple[Expr, FloatArray]] = [
        (e + g, u + v),
        (e - g, u - v),
        (-e, -u),
        (e + c, u + c),
        (c + e, c + u),
        (e - c, u - c),
        (c - e, c - u),
        (e + s, u + s),
        (s - e, s - u),
        (e * s, u * s),
        (s * e, s * u),
        (e * c, u * c),
        (c * e, c * u),
        (e / 4.0, u / 4.0),
        (e / np.array([1.0, -2.0, 0.5]), u / np.array([1.0, -2.0, 0.5])),
        (matrix @ e, matrix @ u),
        (c @ e, np.array([c @ u])),
        (matrix.tolist() @ e, matrix @ u),
        (e[1], u[1:2]),
        (e[-1], u[-1:]),
        (e[::2], u[::2]),
        (e[[2, 0, 0]], u[[2, 0, 0]]),
        (e[np.array([True, False, True])], u[[0, 2]]),
        (e.sum(), np.array([u.sum()])),
        (e[0] + g, u[0] + v),
        (e - g[2], u - v[2]),
        (sum(e, g[0]), np.array([u.sum() + v[0]])),
    ]
    point = {X.variable: x, Y.variable: y}
    for k, (symbol, number) in enumerate(cases):
        np.testing.assert_array_equal(symbol.value(point), number, err_msg=f"case {k}")
        assert symbol.size == len(symbol) == number.size


@given(expressions(2), expressions(2), dyadics(), vectors(2), vectors(3))
def test_arithmetic_laws_hold_as_values(first: Any, second: Any, s: float, x: FloatArray, y: FloatArray) -> None:
    (e, _), (g, _) = first, second
    point = {X.variable: x, Y.variable: y}
    for left, right in ((e + g, g + e), (s * (e + g), s * e + s * g), (e - e, 0 * e), (-1 * -e, e)):
        np.testing.assert_array_equal(left.value(point), right.value(point))


def test_operations_leave_their_operands_alone() -> None:
    before = X + 1
    _ = before + Y[:2] - before * 3
    np.testing.assert_array_equal(before.value({X.variable: np.zeros(2)}), [1, 1])
    assert list(before.terms) == [X.variable]


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: bool(X),
        lambda: X and Y,
        lambda: not X,
        lambda: max([X[0], X[1]], key=lambda e: not e),
        lambda: [1] if X[0] else [2],
    ],
)
def test_truth_value_is_refused_with_what_to_write(misuse: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r"a & b.*lo <= x.*maximize"):
        misuse()


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: X + Y, "2 and 3"),
        (lambda: X * X, "numbers"),
        (lambda: X / Y, "numbers"),
        (lambda: X / 0, "zero"),
        (lambda: X / np.array([1.0, 0.0]), "zero"),
        (lambda: X * np.ones(3), "3 numbers"),
        (lambda: X[0] / np.ones(3), "3 numbers"),
        (lambda: X + np.ones(3), "2 and 3"),
        (lambda: X * np.nan, "nan"),
        (lambda: X + np.array([0.0, np.inf]), "inf"),
        (lambda: np.array([[np.nan, 0.0]]) @ X, "nan"),
        (lambda: np.ones((2, 3)) @ X, "2 columns"),
    ],
)
def test_operation_that_is_not_affine_is_refused(misuse: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        misuse()


def test_index_out_of_range_is_refused() -> None:
    with pytest.raises(IndexError):
        X[2]


def test_iteration_gives_the_elements_and_ends() -> None:
    assert [part.size for part in Y] == [1, 1, 1]
    first, second = X
    point = {X.variable: np.array([3.0, 4.0])}
    assert (first.value(point)[0], second.value(point)[0]) == (3, 4)


def test_inputs_take_the_domain_that_they_were_declared_with() -> None:
    assert isinstance(X.domain, Box)
    around = ball([0.5, 0.5], 0.25, Norm.L1, (0, 1))
    assert isinstance(around.domain, Ball)
    assert around.domain.norm is Norm.L1
    cut = polytope([[1, 1]], [1], Box([0, 0], [1, 1]), name="p")
    assert isinstance(cut.domain, Polytope)
    assert cut.variable.name == "p"
    assert as_domain(cut) is cut.domain
    assert as_domain(cut.domain) is cut.domain


def test_box_scalars_and_arrays_are_broadcast_to_the_shape() -> None:
    assert box(0, 1, (2, 3)).size == 6
    low = box([0, -1], 1)
    assert as_domain(low).enclosure.lower.tolist() == [0, -1]
    assert as_domain(low).enclosure.upper.tolist() == [1, 1]
    assert box(np.zeros((2, 2)), 1, (2, 2)).size == 4


@pytest.mark.parametrize(("low", "high"), [(0, np.inf), (np.nan, 1), (1, 0), ([0, 0], [1, 1, 1])])
def test_box_without_meaning_is_refused(low: Any, high: Any) -> None:
    with pytest.raises(InvalidInput):
        box(low, high)


def test_repr_names_size_and_variables() -> None:
    assert repr(X + 1) == "Expr(size=2, over=[x])"
