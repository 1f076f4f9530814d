"""The rank of a weight matrix, from above.

A bound on regions needs a rank that is not too small. A numeric rank may be: with its tolerance it calls a matrix
singular that is only nearly so. So the rank is found exactly, modulo primes: a minor is not zero where it is not zero
modulo a prime, and it is zero where it is divisible by primes whose product is beyond the largest value that it can
have. Where that takes too long, what the zeros alone allow is an upper bound still.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from reludsl.backend import FloatArray, IntArray

WORK = 1e9
"""Products of residues that one exact rank may take: a few seconds."""


def structural_rank(matrix: FloatArray | sparse.csr_array) -> int:
    """The largest rank that a matrix with these zeros can have: the largest matching of rows and columns.

    >>> structural_rank(np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0]]))
    2
    """
    held = sparse.csr_array(matrix)
    held.eliminate_zeros()
    return int(csgraph.structural_rank(sparse.csr_matrix(held))) if held.nnz else 0


def rank_bound(matrix: FloatArray | sparse.csr_array, work: float = WORK) -> int:
    """rank(W), exactly; where that would take more than `work` operations an upper bound of it.

    Every float64 is a whole number times a power of two, so the rows may be taken as whole numbers. Let r be the rank
    modulo a prime. The rank is at least r. It is at most r where every minor of r + 1 rows is zero; each is divisible
    by every prime modulo which the rank is r too, and by Hadamard no larger than the product of the r + 1 longest rows.

    Args:
        matrix: (m, n), finite.

    >>> thirds = np.array([[1.0, 3.0], [1.0 / 3.0, 1.0]])     # 1/3 is rounded: the rows are not proportional
    >>> rank_bound(thirds), rank_bound(np.array([[0.1, 0.2], [0.2, 0.4], [0.3, 0.7]]))
    (2, 2)
    >>> rank_bound(np.array([[0.5, 0.25], [1.0, 0.5], [0.0, 0.0]]))
    1
    """
    above = structural_rank(matrix)
    if above <= 1 or above == np.count_nonzero(matrix.data if sparse.issparse(matrix) else matrix):
        # one entry at most in every row and column: nothing can cancel
        return above
    dense = _without_zero_lines(matrix)
    once = above * dense.size / 3
    if once > work:
        return above
    mantissa, exponent = _whole(dense)
    longest = np.sort(_row_bits(mantissa, exponent))[::-1]
    found, bits = 0, 0.0
    for prime in _primes():
        # a minor that vanishes modulo this prime vanished modulo those before it, if it is larger than their ranks
        found = max(found, _rank_modulo(_residues(mantissa, exponent, prime), prime))
        bits += 30.0
        needed = float(longest[: found + 1].sum())
        if found == above or bits > needed:
            return found
        if once * needed / 30 > work:
            return above
    raise AssertionError("no matrix that fits into memory needs all primes")


def _without_zero_lines(matrix: FloatArray | sparse.csr_array) -> FloatArray:
    held = sparse.csr_array(matrix)
    held = held[np.flatnonzero(np.diff(held.indptr)), :]
    dense = np.asarray(held.toarray(), dtype=np.float64)
    return np.asarray(dense[(dense != 0).any(axis=1)][:, (dense != 0).any(axis=0)])


def _whole(dense: FloatArray) -> tuple[IntArray, IntArray]:
    """w = mantissa 2^exponent in whole numbers: odd mantissas, and exponents of each row from 0 on."""
    fraction, exponent = np.frexp(dense)
    mantissa = np.ldexp(fraction, 53).astype(np.int64)
    low = mantissa & -mantissa
    shift = np.where(mantissa == 0, 0, np.frexp(np.where(low == 0, 1, low).astype(np.float64))[1] - 1)
    mantissa, exponent = mantissa >> shift, exponent.astype(np.int64) - 53 + shift
    least = np.where(mantissa == 0, np.iinfo(np.int64).max, exponent).min(axis=1, keepdims=True)
    return mantissa, np.where(mantissa == 0, 0, exponent - least)


def _row_bits(mantissa: IntArray, exponent: IntArray) -> FloatArray:
    """An upper bound on log2 of the length of every row of whole numbers."""
    size = np.frexp(np.abs(mantissa).astype(np.float64))[1] + 1 + exponent
    return np.asarray(size.max(axis=1) + 0.5 * np.log2(mantissa.shape[1]) + 1)


def _residues(mantissa: IntArray, exponent: IntArray, prime: int) -> IntArray:
    values, which = np.unique(exponent, return_inverse=True)
    powers = np.array([pow(2, int(e), prime) for e in values], dtype=np.int64)[which].reshape(exponent.shape)
    return np.asarray(mantissa % prime * powers % prime)


def _rank_modulo(matrix: IntArray, prime: int) -> int:
    """Gaussian elimination; products of residues below 2^31 fit int64."""
    left = matrix.copy()
    rank = 0
    for column in range(left.shape[1]):
        rows = np.flatnonzero(left[rank:, column])
        if not rows.size:
            continue
        pivot = rank + int(rows[0])
        left[[rank, pivot]] = left[[pivot, rank]]
        head = left[rank, column:] * pow(int(left[rank, column]), -1, prime) % prime
        below = left[rank + 1 :, column:]
        below -= below[:, :1] * head % prime
        below %= prime
        rank += 1
        if rank == left.shape[0]:
            break
    return rank


def _primes() -> Iterator[int]:
    """Primes from 2^30 to 2^31, from above: each has more than 30 bits."""
    return (p for p in range(2**31 - 1, 2**30, -2) if _is_prime(p))


def _is_prime(odd: int) -> bool:
    """Miller and Rabin's test, which the bases 2, 3, 5, 7 make exact below 3,215,031,751 (Jaeschke 1993)."""
    twos = ((odd - 1) & -(odd - 1)).bit_length() - 1
    for base in (2, 3, 5, 7):
        x = pow(base, (odd - 1) >> twos, odd)
        if x in (1, odd - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % odd
            if x == odd - 1:
                break
        else:
            return False
    return True
