"""Ranks from above: exact where that is quick, never too small."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.regions.bounds import rank_bound, structural_rank
from reludsl.regions.bounds.ranks import _is_prime, _primes


def _eliminated(matrix: FloatArray) -> int:
    """The rank by elimination in rationals."""
    rows = [[Fraction(v) for v in row] for row in matrix.tolist()]
    rank = 0
    for column in range(matrix.shape[1]):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            t = rows[i][column] / rows[rank][column]
            rows[i] = [a - t * b for a, b in zip(rows[i], rows[rank])]
        rank += 1
    return rank


@given(st.integers(0, 10**9), st.integers(1, 7), st.integers(1, 7), st.integers(0, 5), st.sampled_from([0, 30, 200]))
def test_rank_is_exact_for_small_matrices(seed: int, m: int, n: int, k: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = (rng.integers(-3, 4, (m, k)) @ rng.integers(-3, 4, (k, n))).astype(np.float64)
    # neither scaled columns nor scaled rows change it, a disturbance of the last bits does
    matrix = np.ldexp(matrix, rng.integers(-spread, spread + 1, (1, n)))
    matrix = matrix * (1 + (rng.random((m, n)) < 0.1) * rng.choice([0.0, 2.0**-50]))
    assert rank_bound(matrix) == rank_bound(sparse.csr_array(matrix)) == _eliminated(matrix) <= structural_rank(matrix)


def test_rows_that_are_proportional_but_for_rounding_have_full_rank() -> None:
    thirds = np.array([[1.0, 3.0], [1.0 / 3.0, 1.0]])
    assert np.linalg.matrix_rank(thirds) == 1
    assert rank_bound(thirds) == 2


def test_rank_modulo_a_prime_that_divides_the_determinant_is_not_believed() -> None:
    first = next(_primes())
    # singular modulo the first prime, and the determinant is that prime
    matrix = np.array([[float(first), 1.0], [float(first) * 2, 3.0]])
    assert rank_bound(matrix) == 2
    product = float(first) * 2.0**-31
    assert rank_bound(np.array([[1.0, 1.0], [1.0, 1.0 + product]])) == 2


def test_trained_sizes_with_dependent_rows_are_exact() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(40, 50)).astype(np.float32).astype(np.float64)
    assert rank_bound(weights) == 40
    weights[7], weights[9] = weights[3], 2 * weights[1] - weights[2]
    expected = _eliminated(weights[[1, 2, 3, 7, 9]])
    assert rank_bound(weights) == 35 + expected
    weights[11] = 0
    assert rank_bound(weights) == 34 + expected


def test_too_much_work_leaves_what_the_zeros_allow() -> None:
    matrix = np.ones((5, 5))
    assert rank_bound(matrix) == 1
    assert rank_bound(matrix, work=0) == 5 == structural_rank(matrix)
    # one prime is within the work here, and those that a proof takes are not
    same = np.repeat(np.random.default_rng(0).normal(size=(1, 8)), 8, axis=0)
    assert rank_bound(same, work=200) == 8
    assert rank_bound(same) == 1
    # full modulo one prime, which is all that is asked
    assert rank_bound(np.arange(25.0).reshape(5, 5) + 9 * np.eye(5), work=50) == 5


@pytest.mark.parametrize("matrix", [np.zeros((3, 4)), np.eye(6)[:4], np.diag([1.0, 0.0, 2.0]), np.zeros((0, 3))])
def test_matrices_in_which_nothing_cancels_have_the_rank_of_their_zeros(matrix: FloatArray) -> None:
    assert rank_bound(matrix, work=0) == rank_bound(matrix) == int((matrix != 0).sum())


def test_explicit_zeros_of_sparse_matrices_are_zeros() -> None:
    held = sparse.csr_array((np.array([1.0, 0.0]), np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 2))
    assert structural_rank(held) == rank_bound(held) == 1


def test_primes_are_primes_in_order_and_large() -> None:
    sieve = [p for p in range(3, 2000, 2) if all(p % d for d in range(3, int(p**0.5) + 1, 2))]
    assert [p for p in range(3, 2000, 2) if p > 7 and _is_prime(p)] == [p for p in sieve if p > 7]
    found = list(itertools.islice(_primes(), 50))
    assert found[0] == 2**31 - 1
    assert found == sorted(found, reverse=True)
    assert all(p > 2**30 and all(p % d for d in range(3, 47000, 2)) for p in found[:3])
