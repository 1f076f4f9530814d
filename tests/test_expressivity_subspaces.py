"""Nearest subspaces: laws of the residual, and the same by least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.expressivity.images import images
from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.expressivity import class_subspaces

LABELS = np.array([0, 0, 0, 0, 0, 3, 3])
POINTS = arrays(np.float64, (7, 4), elements=st.integers(-5, 5).map(float)).filter(
    lambda x: x[:5].any() and x[5:].any()
)
OTHERS = arrays(np.float64, (3, 4), elements=st.floats(-10, 10))


@given(x=POINTS, other=OTHERS)
def test_residual_when_columns_are_added_never_increases(x: FloatArray, other: FloatArray) -> None:
    found = class_subspaces(x, LABELS).residuals(other, range(6))
    assert (np.diff(found, axis=0) <= 0).all()


@given(x=POINTS, other=OTHERS)
def test_residual_without_columns_is_the_norm(x: FloatArray, other: FloatArray) -> None:
    found = class_subspaces(x, LABELS).residuals(other, [0])[0]
    np.testing.assert_allclose(found, np.linalg.norm(other, axis=1)[:, None] * np.ones(2), atol=1e-12)


@given(x=POINTS)
def test_residual_of_own_points_when_rank_is_full_is_zero(x: FloatArray) -> None:
    subspaces = class_subspaces(x, LABELS)
    assert subspaces.ranks.tolist() == [np.linalg.matrix_rank(x[c == LABELS]) for c in (0, 3)]
    found = subspaces.residuals(x, [4])[0]
    assert found[:5, 0].max() < 1e-12 * max(1.0, np.abs(x).max())
    assert found[5:, 1].max() < 1e-12 * max(1.0, np.abs(x).max())


@given(x=POINTS, other=OTHERS)
def test_residual_of_all_columns_equals_least_squares_on_the_points(x: FloatArray, other: FloatArray) -> None:
    subspaces = class_subspaces(x, LABELS)
    found = subspaces.residuals(other, subspaces.ranks.max(keepdims=True))[0]
    for k, c in enumerate((0, 3)):
        spanning = x[c == LABELS].T
        fitted = spanning @ np.linalg.lstsq(spanning, other.T, rcond=None)[0]
        np.testing.assert_allclose(found[:, k], np.linalg.norm(other.T - fitted, axis=0), atol=1e-9)


@given(x=POINTS)
def test_bases_are_orthonormal_and_the_best_of_their_size(x: FloatArray) -> None:
    subspaces = class_subspaces(x, LABELS)
    for basis in subspaces.bases:
        np.testing.assert_allclose(basis.T @ basis, np.eye(basis.shape[1]), atol=1e-12)
    # Eckart and Young: the sum of squared residuals is that of the singular values left out
    values = np.linalg.svd(x[:5], compute_uv=False)
    found = np.square(subspaces.residuals(x[:5], range(5))[:, :, 0]).sum(axis=1)
    np.testing.assert_allclose(found, [np.square(values[k:]).sum() for k in range(5)], atol=1e-9)


def test_classify_when_digits_beats_the_mean_image() -> None:
    train, test = images("digits")
    found = class_subspaces(train.pixels, train.labels).classify(test.pixels, [1, 12])
    one, twelve = (found == test.labels).mean(axis=1)
    assert twelve > 0.95 > one


@pytest.mark.parametrize(
    ("x", "labels", "hint"),
    [
        (np.ones((2, 3)), np.zeros(3, dtype=int), "do not fit"),
        (np.ones((0, 3)), np.zeros(0, dtype=int), "do not fit"),
        (np.ones((2, 3)), np.zeros(2), "whole numbers"),
        (np.full((2, 3), np.nan), np.zeros(2, dtype=int), "finite"),
        (np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([0, 1]), "class 1 are 0"),
    ],
)
def test_class_subspaces_when_asked_the_impossible_says_what_to_give(
    x: FloatArray, labels: np.ndarray[tuple[int], np.dtype[np.int64]], hint: str
) -> None:
    with pytest.raises(InvalidInput, match=hint):
        class_subspaces(x, labels)


@pytest.mark.parametrize(("x", "columns", "word"), [(np.nan, [1], "NaN"), (1.0, [0.7], "numbers of columns")])
def test_residuals_of_what_is_no_number_are_refused(x: float, columns: list[Any], word: str) -> None:
    found = class_subspaces(np.eye(3), np.arange(3))
    with pytest.raises(InvalidInput, match=word):
        found.classify(np.full((1, 3), x), columns)


def test_residuals_when_shapes_do_not_fit_says_what_to_give() -> None:
    subspaces = class_subspaces(np.eye(3), np.array([0, 0, 1]))
    with pytest.raises(InvalidInput, match=r"give \(m, 3\)"):
        subspaces.residuals(np.ones((2, 4)), [1])
    with pytest.raises(InvalidInput, match="0 and more"):
        subspaces.residuals(np.ones((2, 3)), [-1])
