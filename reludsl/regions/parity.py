"""Random parities of bits: sum over S of z_i = b (mod 2), as equations over GF(2) and as rows of an integer program.

With b uniform every vector satisfies such an equation with probability 1/2, whatever S is, and j of them, drawn
independently, with probability 2^-j. Small S costs nothing in this; it costs power: vectors that differ outside of S
share their fate. For larger S the rows are weak, and solvers slow.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, IntArray
from reludsl.errors import InvalidInput

SMALL = 5
"""Bits of a parity up to which its convex hull is written out: 2^(k-1) rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Parities:
    """`subsets @ z = odd` modulo 2, for bits z. Shapes (j, bits) and (j,)."""

    subsets: BoolArray
    odd: BoolArray

    @classmethod
    def draw(cls, rng: np.random.Generator, count: int, bits: int, size: int) -> Parities:
        """`count` parities of `size` bits each, chosen without repetition, with uniform right-hand sides.

        Raises:
            InvalidInput: a size below 1 or above the number of bits.

        >>> Parities.draw(np.random.default_rng(0), 2, 4, 3).subsets.sum(axis=1)
        array([3, 3])
        """
        if not 1 <= size <= bits:
            raise InvalidInput(
                f"a parity of {size} bits is drawn from {bits}, and there are none of that size; "
                f"give a size between 1 and {bits}"
            )
        order = rng.random((count, bits)).argsort(axis=1)
        return cls(order.argsort(axis=1) < size, rng.integers(0, 2, count).astype(np.bool_))

    def __len__(self) -> int:
        return int(self.odd.size)

    def first(self, count: int) -> Parities:
        """The first of them."""
        return Parities(self.subsets[:count], self.odd[:count])

    def kept(self, vectors: BoolArray) -> BoolArray:
        """(m, j) which of m vectors of bits satisfy which parity.

        >>> Parities(np.array([[True, True, False]]), np.array([True])).kept(np.array([[1, 0, 0], [1, 1, 0]], bool))
        array([[ True],
               [False]])
        """
        sums = vectors.astype(np.uint8) @ self.subsets.T.astype(np.uint8)
        return np.asarray((sums & 1).astype(np.bool_) == self.odd)


@dataclass(slots=True)
class Elimination:
    """Parities reduced as they come: Gauss-Jordan over GF(2).

    Args:
        rows: reduced, each as (pivot, subset as a Python integer, right-hand side); no pivot is in another row.

    >>> system = Elimination(3)
    >>> [system.add(np.array(s, bool), b) for s, b in (([1, 1, 0], True), ([0, 1, 1], False), ([1, 0, 1], False))]
    [True, True, False]
    """

    bits: int
    rows: dict[int, tuple[int, bool]] = field(default_factory=dict)
    consistent: bool = True

    def add(self, subset: BoolArray, odd: bool) -> bool:
        """Take one more parity; whether any vector of bits satisfies all so far."""
        value = int.from_bytes(np.packbits(subset, bitorder="little").tobytes(), "little")
        for pivot, (row, side) in self.rows.items():
            if value >> pivot & 1:
                value, odd = value ^ row, odd ^ side
        if not value:
            self.consistent &= not odd
            return self.consistent
        pivot = value.bit_length() - 1
        for other, (row, side) in self.rows.items():
            if row >> pivot & 1:
                self.rows[other] = row ^ value, side ^ odd
        self.rows[pivot] = value, bool(odd)
        return self.consistent

    def fixed(self) -> tuple[IntArray, BoolArray]:
        """The bits that the parities fix, and their values."""
        known = [(pivot, side) for pivot, (row, side) in sorted(self.rows.items()) if row == 1 << pivot]
        return (
            np.array([pivot for pivot, _ in known], dtype=np.int64),
            np.array([side for _, side in known], dtype=np.bool_),
        )


@dataclass(frozen=True, slots=True, eq=False)
class ParityRows:
    """`lower <= bits @ z + halves @ q <= upper` with whole numbers 0 <= q <= most. Shapes (r, bits), (r, h), (h,).

    Args:
        upper, lower: (r,), infinite where a side is absent.
    """

    bits: sparse.csr_array
    halves: sparse.csr_array
    lower: np.ndarray[tuple[int], np.dtype[np.float64]]
    upper: np.ndarray[tuple[int], np.dtype[np.float64]]
    most: np.ndarray[tuple[int], np.dtype[np.float64]]


def parity_rows(parities: Parities, small: int = SMALL) -> ParityRows:
    """Rows that hold for the binary vectors that satisfy the parities, and for no others.

    Of at most `small` bits S: for every T in S with |T| of the wrong parity, sum_T z - sum_{S - T} z <= |T| - 1, which
    is the convex hull (Jeroslow 1975). Of more bits: sum_S z - 2 q = b with a whole number q.

    >>> rows = parity_rows(Parities(np.array([[True, True, False]]), np.array([True])))
    >>> rows.bits.toarray(), rows.upper
    (array([[-1., -1.,  0.],
           [ 1.,  1.,  0.]]), array([-1.,  1.]))
    """
    wide = np.flatnonzero(parities.subsets.sum(axis=1) > small)
    blocks, lower, upper = [], [], []
    bits = parities.subsets.shape[1]
    for k in np.flatnonzero(parities.subsets.sum(axis=1) <= small).tolist():
        chosen = np.flatnonzero(parities.subsets[k])
        inside = np.array(list(itertools.product((False, True), repeat=chosen.size)), dtype=np.bool_)
        inside = inside[inside.sum(axis=1) % 2 != parities.odd[k]]
        block = np.zeros((len(inside), bits))
        block[:, chosen] = np.where(inside, 1.0, -1.0)
        blocks.append(block)
        lower.append(np.full(len(inside), -np.inf))
        upper.append(inside.sum(axis=1) - 1.0)
    blocks.append(parities.subsets[wide].astype(np.float64))
    sides = parities.odd[wide].astype(np.float64)
    matrix = sparse.csr_array(np.vstack(blocks))
    first = matrix.shape[0] - wide.size
    halves = sparse.csr_array(
        (np.full(wide.size, -2.0), (first + np.arange(wide.size), np.arange(wide.size))),
        shape=(matrix.shape[0], wide.size),
    )
    most = parities.subsets[wide].sum(axis=1) // 2
    return ParityRows(
        matrix, halves, np.concatenate([*lower, sides]), np.concatenate([*upper, sides]), most.astype(np.float64)
    )
