"""Correlations as dense products: sums over the offsets of a window, for a batch of rows.

`Correlation` reads, `Scatter` adds: products that are added where they belong. Both work on buffers that fit the cache.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from reludsl.backend import FloatArray
from reludsl.layers.base import Shape
from reludsl.layers.windows import within

_ROWS = 64
"""Rows of a batch that are taken together: enough for full speed of the products, few enough for the cache."""

MANY = 24
"""From so many rows on a product runs along the rows of one position, and below along all positions."""

SCATTER = 2
"""With so many times more output than input channels, a W is faster as a scatter than as a correlation."""

_WORK = 3 * 2**20
"""Bytes that the buffers of one chunk of rows may take, unless eight rows take more."""


@dataclass(frozen=True, eq=False)
class Axis:
    """Along one axis, value q of a part reads the sources at `stride q + shift`, one for each offset.

    Args:
        size: length of the source.
        count: number of values.
        shifts: increasing.
    """

    size: int
    count: int
    stride: int
    shifts: tuple[int, ...]

    @property
    def dense(self) -> bool:
        """The sources of one value lie side by side."""
        return all(b - a == 1 for a, b in itertools.pairwise(self.shifts))

    @property
    def span(self) -> int:
        """Length of the piece of the source, padding included, that all values read together."""
        return (self.count - 1) * self.stride + len(self.shifts)

    def within(self, tap: int) -> tuple[slice, slice]:
        """Which values read an element of the source at this offset, not padding, and which elements these are."""
        return within(self.size, self.count, self.stride, self.shifts[tap])


@dataclass(frozen=True, eq=False)
class Part:
    """A correlation that gives some values of the target: those at `where`.

    Args:
        weight: (groups, target channels, taps x source channels of a group), both of one group. Taps of the last
            axis come first, then those of the others, then channels.
    """

    axes: tuple[Axis, ...]
    weight: FloatArray
    where: tuple[slice, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(axis.count for axis in self.axes)


class Products(ABC):
    """A linear map for a batch of rows, as dense products on buffers in which the rows stand innermost.

    So every copy moves whole runs of rows, and one position of a tensor is a matrix (channels, rows). Rows are taken
    in chunks, as many as let the buffers stay in the cache.

    Every value is one sum of products of its own window, padding as zeros, so that bounds for sums hold.
    """

    def __init__(self, source: Shape, target: Shape, groups: int) -> None:
        self.source = (groups, source[0] // groups, *source[1:])
        self.target = (groups, target[0] // groups, *target[1:])

    @abstractmethod
    def rows(self, count: int) -> int:
        """How many rows to take together."""

    @abstractmethod
    def stages(self, source: FloatArray, target: FloatArray) -> list[Callable[[], None]]:
        """What fills `target` (groups, channels, *spatial, rows) from `source`, in order; called for every chunk."""

    def _chunk(self, count: int, elements: int) -> int:
        """Rows for buffers of so many elements for each, beside source and target."""
        held = 8 * (math.prod(self.source) + math.prod(self.target) + elements)
        most = min(_ROWS, max(8, _WORK // held // 8 * 8))
        # chunks of one size, a multiple of what the products take at once
        return count if count <= most else -(-count // -(-count // most) // 8) * 8

    def __call__(self, x: FloatArray) -> FloatArray:
        count = len(x)
        out = np.empty((count, math.prod(self.target)))
        if not count:
            return out
        rows = self.rows(count)
        source, target = np.zeros((*self.source, rows)), np.zeros((*self.target, rows))
        stages = self.stages(source, target)
        flat_source, flat_target = source.reshape(-1, rows), target.reshape(-1, rows)
        for start in range(0, count, rows):
            chunk = x[start : start + rows]
            # the last chunk may be shorter; what stands behind it is old, and is not taken out
            _transpose(flat_source[:, : len(chunk)], chunk, 16)
            for stage in stages:
                stage()
            _transpose(out[start : start + rows], flat_target[:, : len(chunk)], 64)
        return out


def _transpose(target: FloatArray, source: FloatArray, block: int) -> None:
    """target = source.T, in blocks of rows: a cache line is used up before it is lost."""
    for start in range(0, len(source), block):
        part = source[start : start + block]
        target[:, start : start + len(part)] = part.T


class Correlation(Products):
    """Every value gathers its window: the windows are copied side by side, then one product makes the values.

    With many rows, elements are copied once for each offset of the leading axes alone. Along the last axis windows
    overlap in the copy: with channels and leading offsets inside, the windows of two neighbours are one matrix each
    that share rows, and BLAS takes both as they stand. Few rows, or offsets that do not lie side by side, are copied
    once for each offset, and the product runs along the positions.
    """

    def __init__(self, source: Shape, target: Shape, groups: int, parts: Iterable[Part]) -> None:
        super().__init__(source, target, groups)
        self.parts = tuple(parts)

    def _patches(self, part: Part, overlap: bool) -> Shape:
        """Shape of the buffer that holds the windows of a part, without rows."""
        groups, channels = self.source[:2]
        *leading, last = part.axes
        taps = [len(axis.shifts) for axis in leading]
        if overlap:
            return (groups, *part.counts[:-1], last.span, *taps, channels)
        return (groups, len(last.shifts), *taps, channels, *part.counts)

    def rows(self, count: int) -> int:
        overlapped, copied = (
            self._chunk(count, sum(math.prod(self._patches(part, overlap)) for part in self.parts))
            for overlap in (True, False)
        )
        return overlapped if overlapped >= MANY else min(copied, MANY - 1)

    def stages(self, source: FloatArray, target: FloatArray) -> list[Callable[[], None]]:
        many = source.shape[-1] >= MANY
        return [
            (self._overlapped if many and part.axes[-1].dense else self._copied)(part, source, target)
            for part in self.parts
        ]

    def _overlapped(self, part: Part, source: FloatArray, target: FloatArray) -> Callable[[], None]:
        rows = source.shape[-1]
        *leading, last = part.axes
        # the padding is zero and stays so: copies only write what lies within the tensor
        patches = np.zeros((*self._patches(part, overlap=True), rows))
        copies = []
        every: Any = slice(None)
        over, along = within(last.size, last.span, 1, last.shifts[0])
        for taps in itertools.product(*(range(len(axis.shifts)) for axis in leading)):
            ranges = [axis.within(t) for axis, t in zip(leading, taps)]
            to = patches[(every, *(r[0] for r in ranges), over, *taps)]
            copies.append((to, np.moveaxis(source[(every, every, *(r[1] for r in ranges), along)], 1, -2)))
        outer = patches.strides[: 1 + len(part.axes)]
        windows = as_strided(
            patches,
            (self.source[0], *part.counts, part.weight.shape[-1], rows),
            (*outer[:-1], last.stride * outer[-1], rows * patches.itemsize, patches.itemsize),
            writeable=False,
        )
        weight = part.weight.reshape(self.source[0], *(1 for _ in part.axes), *part.weight.shape[1:])
        result = np.moveaxis(target[(every, every, *part.where)], 1, -2)

        def run() -> None:
            for to, what in copies:
                to[...] = what
            np.matmul(weight, windows, out=result)

        return run

    def _copied(self, part: Part, source: FloatArray, target: FloatArray) -> Callable[[], None]:
        rows = source.shape[-1]
        patches = np.zeros((*self._patches(part, overlap=False), rows))
        copies = []
        every: Any = slice(None)
        for taps in itertools.product(*(range(len(axis.shifts)) for axis in part.axes)):
            ranges = [axis.within(t) for axis, t in zip(part.axes, taps)]
            to = patches[(every, taps[-1], *taps[:-1], every, *(r[0] for r in ranges))]
            copies.append((to, source[(every, every, *(r[1] for r in ranges))]))
        windows = patches.reshape(*self.source[:1], part.weight.shape[-1], -1)
        result = target[(every, every, *part.where)]

        def run() -> None:
            for to, what in copies:
                to[...] = what
            result[...] = np.matmul(part.weight, windows).reshape(result.shape)

        return run


class Scatter(Products):
    """Every source is spread over its window: one product makes all summands, which are added where they belong.

    Args:
        axes: as read by the correlation of which this is the adjoint.
        kernel: (groups, source channels, target channels, *kernel), channels those of one group.
    """

    def __init__(self, source: Shape, target: Shape, groups: int, axes: Iterable[Axis], kernel: FloatArray) -> None:
        super().__init__(source, target, groups)
        self.axes = tuple(axes)
        self.taps = kernel.shape[3:]
        self.weight = np.ascontiguousarray(kernel.reshape(*kernel.shape[:2], -1).swapaxes(1, 2))

    def rows(self, count: int) -> int:
        return self._chunk(count, self.weight.shape[0] * self.weight.shape[1] * math.prod(self.source[2:]))

    def stages(self, source: FloatArray, target: FloatArray) -> list[Callable[[], None]]:
        rows = source.shape[-1]
        every: Any = slice(None)
        summands = np.empty((*self.target[:2], *self.taps, *self.source[2:], rows))
        flat = summands.reshape(*self.weight.shape[:2], -1)
        values = source.reshape(*self.source[:2], -1)
        sums = []
        for taps in itertools.product(*(range(k) for k in self.taps)):
            ranges = [axis.within(t) for axis, t in zip(self.axes, taps)]
            to = target[(every, every, *(r[1] for r in ranges))]
            sums.append((to, summands[(every, every, *taps, *(r[0] for r in ranges))]))

        def run() -> None:
            np.matmul(self.weight, values, out=flat)
            target[...] = 0.0
            for to, what in sums:
                np.add(to, what, out=to)

        return [run]


def part_of(kernel: FloatArray, axes: Iterable[tuple[Axis, Sequence[int], slice]]) -> Part:
    """A part from weights (groups, target, source, *kernel) and, per axis, the offsets that it uses in order."""
    chosen = tuple(axes)
    picked = kernel[np.ix_(*(range(n) for n in kernel.shape[:3]), *(taps for _, taps, _ in chosen))]
    ordered = np.moveaxis(np.moveaxis(picked, 2, -1), -2, 2)
    weight = np.ascontiguousarray(ordered).reshape(*kernel.shape[:2], -1)
    return Part(tuple(axis for axis, _, _ in chosen), weight, tuple(where for _, _, where in chosen))
