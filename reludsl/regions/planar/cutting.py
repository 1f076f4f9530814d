"""Cutting every face of a complex by many lines at once; within a face each of them is straight.

First all edges are cut by all lines, each at a vertex that the faces on both sides share. From then on faces are
independent of each other: in round r every face is cut by the r-th of the lines that pass through it, with all its
parts. The rounds are as many as the lines that pass through one face, not as many as lines; the edges that take part
become fewer from round to round.

Signs decide, and are kept: a point between + and - on an edge is where the line was put, exactly; a point between + and
+, or + and 0, is +. A value within the tolerance is 0. A part of a face is cut when it has a vertex on either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.regions.planar.complex import Complex
from reludsl.regions.units import Words

T = TypeVar("T", bound=np.generic)

SignArray = npt.NDArray[np.int8]

FIRST = 16
"""Lines that cut one face at first; with f faces there are sqrt(2 f) at a time, so that few pass through each."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """What cuts.

    Args:
        height: rows of values -> (m, lines), positive beyond a line.
        settle: puts points on lines: called with rows of values, and numbers of rows and of lines.
        slack: (lines,) up to which a height is 0.
        bit: the bit of the pattern that says that the first line is passed; those of the others follow.
    """

    height: Callable[[FloatArray], FloatArray]
    settle: Callable[[FloatArray, IntArray, IntArray], None]
    slack: FloatArray
    bit: int


class Rows(Generic[T]):
    """A matrix that grows at its end."""

    __slots__ = ("count", "held")

    def __init__(self, start: npt.NDArray[T]) -> None:
        self.count = len(start)
        # memory that is not written to costs nothing
        self.held = np.empty((3 * self.count + 64, *start.shape[1:]), dtype=start.dtype)
        self.held[: self.count] = start

    def more(self, count: int) -> npt.NDArray[T]:
        """New rows, to be filled."""
        end = self.count + count
        if end > len(self.held):
            grown = np.empty((2 * end, *self.held.shape[1:]), dtype=self.held.dtype)
            grown[: self.count] = self.all
            self.held = grown
        self.count = end
        return self.held[end - count : end]

    @property
    def all(self) -> npt.NDArray[T]:
        return self.held[: self.count]


def _packed(bits: BoolArray) -> Words:
    """(m, n) -> (m, words)."""
    m, n = bits.shape
    whole = np.zeros((m, 8 * -(-n // 64)), dtype=np.uint8)
    part = np.packbits(bits, axis=1, bitorder="little")
    whole[:, : part.shape[1]] = part
    return whole.view(np.uint64)


def _bits_set(words: Words) -> tuple[IntArray, IntArray]:
    """Row and number of every bit that is set, row by row."""
    rows = np.flatnonzero(words.any(axis=1))
    row, bit = np.nonzero(np.unpackbits(words[rows].view(np.uint8), axis=1, bitorder="little"))
    return rows[row], bit


def deposit(words: Words, bits: Words, first: int) -> None:
    """Set bits in every row, moved up so that their first is bit `first`."""
    word, shift = divmod(first, 64)
    for k in range(bits.shape[1]):
        words[:, word + k] |= bits[:, k] << np.uint64(shift)
        if shift and word + k + 1 < words.shape[1]:
            words[:, word + k + 1] |= bits[:, k] >> np.uint64(64 - shift)


def _clear(words: Words, row: IntArray, bit: IntArray) -> None:
    words[row, bit >> 6] &= ~(np.uint64(1) << (bit & 63).astype(np.uint64))


class _Row(IntEnum):
    """Rows of the table of edges that take part in the rounds."""

    TAIL = 0
    HEAD = 1
    LEFT = 2
    RIGHT = 3
    PARENT = 4
    """The face of the beginning."""
    EDGE = 5
    """2 k + 1 where the left side is the right side of edge k of the complex, 2 k where it is the left; -1 inside."""
    MAKER = 6


class Cut:
    """Cuts a complex by some lines, in place.

    Args:
        disk: its `live` is left alone.
        values: a row for every vertex.
    """

    def __init__(self, disk: Complex, values: Rows[np.float64], lines: Lines) -> None:
        self.disk, self.lines, self.values = disk, lines, values
        self.height = lines.height(values.all)
        signs = self._signs(self.height)
        zero = np.flatnonzero(signs.ravel() == 0)
        if zero.size:
            lines.settle(values.all, *np.divmod(zero, signs.shape[1]))
        self.signs = Rows(signs)

    def _signs(self, height: FloatArray) -> SignArray:
        above, below = height > self.lines.slack, height < -self.lines.slack
        return np.subtract(above.view(np.int8), below.view(np.int8))

    def run(self) -> None:
        """Cut every face."""
        self._cut_edges()
        above, crossed = self._sides()
        deposit(self.disk.words, above, self.lines.bit)
        face, line = _bits_set(crossed)
        if face.size:
            self._rounds(face, line)

    # --- edges --------------------------------------------------------------------------------------------------

    def _cut_edges(self) -> None:
        disk, lines = self.disk, self.lines
        signs, height = self.signs.all, self.height
        above, below = _packed(signs > 0), _packed(signs < 0)
        tail, head = disk.tail, disk.head
        edge, line = _bits_set((above[tail] & below[head]) | (below[tail] & above[head]))
        if not edge.size:
            return
        a, b = height[tail[edge], line], height[head[edge], line]
        fraction = a / (a - b)
        order = np.lexsort((fraction, edge))
        edge, line, fraction, a, b = edge[order], line[order], fraction[order], a[order], b[order]
        # lines that meet an edge in one point have one vertex there
        fresh = np.ones(edge.size, dtype=np.bool_)
        apart = np.abs(a[1:] + fraction[:-1] * (b[1:] - a[1:]))
        fresh[1:] = (edge[1:] != edge[:-1]) | (apart > lines.slack[line[1:]])
        group = np.cumsum(fresh) - 1
        on, where = edge[fresh], fraction[fresh]
        m, old = on.size, self.values.count
        rows = self._between(tail[on], head[on], where)
        lines.settle(rows, group, line)
        # signs: of a line that passes through the edge by the order along it, of another those of the ends
        first, last = signs[tail[on]], signs[head[on]]
        sign = np.where(first != 0, first, last)
        met = np.bincount(on, minlength=len(tail))
        begin = np.concatenate([[0], np.cumsum(met)[:-1]])
        count = met[edge]
        crossing = np.repeat(np.arange(edge.size), count)
        vertex = np.repeat(begin[edge] - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(crossing.size)
        own = group[crossing]
        tail_side = np.where(a > 0, 1, -1).astype(np.int8)[crossing]
        sign[vertex, line[crossing]] = np.where(vertex < own, tail_side, np.where(vertex > own, -tail_side, 0))
        self.signs.more(m)[:] = sign
        # an edge with k new vertices is k + 1 edges, one after the other
        parent = np.repeat(np.arange(len(tail)), met + 1)
        new = on + 1 + np.arange(m)
        disk.tail, disk.head = tail[parent], head[parent]
        disk.tail[new] = disk.head[new - 1] = old + np.arange(m)
        disk.left, disk.right, disk.maker = disk.left[parent], disk.right[parent], disk.maker[parent]

    def _between(self, first: IntArray, second: IntArray, fraction: FloatArray) -> FloatArray:
        """New rows for points on the way from one vertex to another."""
        start = self.values.more(first.size)
        held = self.values.held
        np.take(held, first, axis=0, out=start, mode="clip")
        step: FloatArray = held[second]
        step -= start
        step *= fraction[:, None]
        start += step
        return start

    # --- faces --------------------------------------------------------------------------------------------------

    def _sides(self) -> tuple[Words, Words]:
        """Which lines each face has a vertex beyond, and which it has vertices on both sides of."""
        disk, signs = self.disk, self.signs.all
        above, below = _packed(signs > 0), _packed(signs < 0)
        inner = np.flatnonzero(disk.right >= 0)
        # the tail of an edge and the head on its other side: every vertex of a face once
        face = np.concatenate([disk.left, disk.right[inner]])
        vertex = np.concatenate([disk.tail, disk.head[inner]])
        table = sparse.csr_array((vertex, (face, np.arange(face.size))), shape=(disk.faces, face.size))
        over: Words = np.bitwise_or.reduceat(above[table.data], table.indptr[:-1], axis=0)
        under: Words = np.bitwise_or.reduceat(below[table.data], table.indptr[:-1], axis=0)
        return over, over & under

    def _rounds(self, face: IntArray, line: IntArray) -> None:
        disk = self.disk
        crossed = np.bincount(face, minlength=disk.faces)
        begin = np.cumsum(crossed) - crossed
        words = Rows(disk.words)
        table = self._table(crossed > 0)
        finished = []
        for r in range(int(crossed.max())):
            done = crossed[table[_Row.PARENT]] <= r
            if done.any():
                finished.append(table[:, done])
                table = table[:, ~done]
            table = self._round(table, line[begin[table[_Row.PARENT]] + r], words)
        whole = np.concatenate([*finished, table], axis=1)
        edge = whole[_Row.EDGE]
        border = whole[:, edge >= 0]
        on_left = border[_Row.EDGE] % 2 == 0
        inner = whole[:, edge < 0]
        disk.tail = np.concatenate([disk.tail, inner[_Row.TAIL]])
        disk.head = np.concatenate([disk.head, inner[_Row.HEAD]])
        # arrays of its own: whoever kept the complex as it was keeps it
        disk.left = np.concatenate([disk.left, inner[_Row.LEFT]])
        disk.right = np.concatenate([disk.right, inner[_Row.RIGHT]])
        disk.left[border[_Row.EDGE, on_left] // 2] = border[_Row.LEFT, on_left]
        disk.right[border[_Row.EDGE, ~on_left] // 2] = border[_Row.LEFT, ~on_left]
        disk.maker = np.concatenate([disk.maker, inner[_Row.MAKER]])
        disk.words = words.all
        disk.faces = words.count

    def _table(self, cut: BoolArray) -> IntArray:
        """The edges of the faces that are cut, once for each such face, which is on their left."""
        disk = self.disk
        one = np.flatnonzero(cut[disk.left])
        inner = np.flatnonzero(disk.right >= 0)
        two = inner[cut[disk.right[inner]]]
        left = np.concatenate([disk.left[one], disk.right[two]])
        nothing = np.full(left.size, -1)
        tail = np.concatenate([disk.tail[one], disk.head[two]])
        head = np.concatenate([disk.head[one], disk.tail[two]])
        return np.stack([tail, head, left, nothing, left, np.concatenate([2 * one, 2 * two + 1]), nothing])

    def _round(self, table: IntArray, line: IntArray, words: Rows[np.uint64]) -> IntArray:
        """Cut the faces of the table, each by one line.

        Args:
            line: of every edge, that of its face.
        """
        tail, head, left, right = table[:4]
        signs, bit = self.signs.held, self.lines.bit + line
        s, e = signs[tail, line], signs[head, line]
        high, low = (s > 0) | (e > 0), (s < 0) | (e < 0)
        # the last entry is the outside
        above, below = np.zeros(words.count + 1, dtype=np.bool_), np.zeros(words.count + 1, dtype=np.bool_)
        above[left[high]] = above[right[high]] = True
        below[left[low]] = below[right[low]] = True
        above[-1], below[-1] = True, False
        cut = np.flatnonzero(high & low)
        first, last = s[cut], e[cut]
        new = self.values.count + np.arange(cut.size)
        # where the border of a face, counterclockwise, comes to the upper side of the line and where it leaves it
        at_tail, at_head = np.flatnonzero(s == 0), np.flatnonzero((e == 0) & (right >= 0))
        row = np.concatenate([cut, cut, at_tail, at_head])
        face = np.concatenate([left[cut], right[cut], left[at_tail], right[at_head]])
        vertex = np.concatenate([new, new, tail[at_tail], head[at_head]])
        rising = np.concatenate([last, first, e[at_tail], s[at_head]])
        split = above[face] & below[face]
        comes, leaves = np.flatnonzero(split & (rising > 0)), np.flatnonzero(split & (rising < 0))
        start = np.full(words.count + 1, -1)
        start[face[leaves]] = vertex[leaves]
        comes = self._sound(face, comes, leaves, start)
        parts = face[comes]
        chords = np.empty((7, comes.size), dtype=np.int64)
        chords[_Row.TAIL], chords[_Row.HEAD], chords[_Row.LEFT] = start[parts], vertex[comes], parts
        chords[_Row.RIGHT] = words.count + np.arange(comes.size)
        chords[_Row.PARENT], chords[_Row.EDGE], chords[_Row.MAKER] = table[_Row.PARENT, row[comes]], -1, bit[row[comes]]
        for beside in (left, right):
            whole = np.flatnonzero(~above[beside])
            _clear(words.held, beside[whole], bit[whole])
        lower = words.held[parts]
        _clear(lower, np.arange(comes.size), chords[_Row.MAKER])
        number = np.arange(words.count + 1)
        number[-1] = -1
        number[parts] = chords[_Row.RIGHT]
        words.more(comes.size)[:] = lower
        if cut.size:
            self._vertices(tail[cut], head[cut], line[cut])
        # an edge that is cut keeps its part above the line
        under = table[:, cut]
        up = first > 0
        under[_Row.TAIL, up], under[_Row.HEAD, ~up] = new[up], new[~up]
        table[_Row.HEAD, cut[up]], table[_Row.TAIL, cut[~up]] = new[up], new[~up]
        low[cut] = False
        below_line = np.flatnonzero(low)
        table[_Row.LEFT, below_line] = number[left[below_line]]
        table[_Row.RIGHT, below_line] = number[right[below_line]]
        under[_Row.LEFT], under[_Row.RIGHT] = number[under[_Row.LEFT]], number[under[_Row.RIGHT]]
        return np.concatenate([table, under, chords], axis=1)

    def _sound(self, face: IntArray, comes: IntArray, leaves: IntArray, start: IntArray) -> IntArray:
        """Those that come to the upper side of a face which is come to once and left once; others are not cut."""
        own = face[comes]
        count = np.zeros(len(start), dtype=np.int64)
        count[own] = 1
        if comes.size == leaves.size == int(count.sum()) and (start[own] >= 0).all():
            return comes
        met = np.bincount(own, minlength=len(start))
        left = np.bincount(face[leaves], minlength=len(start))
        good = (met == 1) & (left == 1)
        self.disk.odd += int(((met + left > 0) & ~good).sum())
        return np.asarray(comes[good[own]])

    def _vertices(self, first: IntArray, second: IntArray, line: IntArray) -> None:
        """New vertices where edges cross a line each."""
        signs, every, height = self.signs.held, np.arange(first.size), self.lines.height
        start, end = (height(self.values.held[v])[every, line] for v in (first, second))
        rows = self._between(first, second, start / (start - end))
        self.lines.settle(rows, every, line)
        one, other = signs[first], signs[second]
        sign = np.where(one != 0, one, other)
        row, crossing = np.nonzero(one * other < 0)
        if row.size > first.size:
            measured = self._signs(height(rows))
            sign[row, crossing] = measured[row, crossing]
            zero = np.flatnonzero(measured[row, crossing] == 0)
            self.lines.settle(rows, row[zero], crossing[zero])
        sign[every, line] = 0
        self.signs.more(first.size)[:] = sign
