"""Convolutions: the same small matrix at every position of a tensor, and where windows of a tensor lie.

Tensors are flat vectors of (channels, *spatial) in row-major order. The matrix of a convolution is never stored for
products: both W x and a W are correlations, sums over the offsets of a window, and run as dense products of small
blocks (`_Correlation`). A stride in W x becomes phases in a W: inputs at y = s q + r meet the offsets i with
d i = r + pad (mod s) alone, and these make a correlation without stride. With few input channels a W is cheaper the
other way round, as summands that are added where they belong (`_Scatter`).
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.layers.affine import _finite
from reludsl.layers.affine_layer import AffineLayer
from reludsl.layers.base import Shape
from reludsl.layers.registry import register

Pads = tuple[tuple[int, int], ...]
"""(before, after) for each spatial axis."""

_ROWS = 64
"""Rows of a batch that are taken together: enough for full speed of the products, few enough for the cache."""

_MANY = 24
"""From so many rows on a product runs along the rows of one position, and below along all positions."""

_SCATTER = 2
"""With so many times more output than input channels, a W is faster as a scatter than as a correlation."""

_WORK = 3 * 2**20
"""Bytes that the buffers of one chunk of rows may take, unless eight rows take more."""


def _lengths(value: Any, axes: int, what: str) -> tuple[int, ...]:
    """One positive length for each axis; a single number stands for all of them."""
    found = (value,) * axes if np.ndim(value) == 0 else tuple(value)
    if len(found) != axes or any(int(v) != v or v < 1 for v in found):
        raise InvalidInput(
            f"the {what} is {value}, and windows over {axes} axes need a positive whole number for each; "
            f"give one number, or a tuple of {axes}"
        )
    return tuple(int(v) for v in found)


def _padding(value: Any, axes: int) -> Pads:
    """A pair for each axis; a single number stands for all sides."""
    found = ((value, value),) * axes if np.ndim(value) == 0 else tuple(value)
    pairs = [(v, v) if np.ndim(v) == 0 else tuple(v) for v in found]
    if len(pairs) != axes or any(len(pair) != 2 or any(int(v) != v or v < 0 for v in pair) for pair in pairs):
        raise InvalidInput(
            f"the padding is {value}, and windows over {axes} axes need (before, after) for each, none below zero; "
            f"give one number, or a tuple of {axes} pairs; crop with a Gather"
        )
    return tuple((int(before), int(after)) for before, after in pairs)


@dataclass(frozen=True)
class Windows:
    """Where windows lie: element i of window q is at s q + d i - before, along each axis.

    Args:
        spatial: lengths of the axes.
        kernel: lengths of a window.
        stride: s. One number stands for all axes, here and below.
        pads: (before, after) for each axis.
        dilation: d.
        ceil: a last window that sticks out at the end counts, as long as it starts within the input or the padding
            before it.

    Raises:
        InvalidInput: lengths that are not positive, or windows that do not fit.

    >>> Windows((5,), (3,), stride=2, pads=1).count
    (3,)
    >>> Windows((5,), (2,), stride=2, ceil=True).count
    (3,)
    """

    spatial: tuple[int, ...]
    kernel: tuple[int, ...] | int
    stride: tuple[int, ...] | int = 1
    pads: Pads | int = 0
    dilation: tuple[int, ...] | int = 1
    ceil: bool = False

    def __post_init__(self) -> None:
        axes = 1 if np.ndim(self.spatial) == 0 else len(self.spatial)
        if not axes:
            raise InvalidInput("windows over no spatial axis cover nothing; give the tensor's lengths after channels")
        object.__setattr__(self, "spatial", _lengths(self.spatial, axes, "spatial shape"))
        object.__setattr__(self, "kernel", _lengths(self.kernel, axes, "kernel"))
        object.__setattr__(self, "stride", _lengths(self.stride, axes, "stride"))
        object.__setattr__(self, "pads", _padding(self.pads, axes))
        object.__setattr__(self, "dilation", _lengths(self.dilation, axes, "dilation"))
        if any(size + before + after < reach for size, before, after, reach in self._extents):
            raise InvalidInput(
                f"a kernel {self.kernel} with dilation {self.dilation} does not fit into a tensor {self.spatial} with "
                f"padding {self.pads}, so that no output is left; give a smaller kernel, or pad the tensor"
            )

    @property
    def steps(self) -> tuple[tuple[int, int, int, int], ...]:
        """(kernel, stride, padding before, dilation) of each axis."""
        kernel, stride, dilation = (cast(tuple[int, ...], v) for v in (self.kernel, self.stride, self.dilation))
        return tuple(zip(kernel, stride, (before for before, _ in self.sides), dilation))

    @property
    def sides(self) -> Pads:
        """(padding before, padding after) of each axis."""
        return cast(Pads, self.pads)

    @property
    def _extents(self) -> tuple[tuple[int, int, int, int], ...]:
        """(size, padding before, padding after, elements that a window spans) of each axis."""
        reach = [(k - 1) * d + 1 for k, _, _, d in self.steps]
        return tuple((n, *pair, r) for n, pair, r in zip(self.spatial, self.sides, reach))

    @cached_property
    def count(self) -> tuple[int, ...]:
        """Number of windows along each axis."""
        found = []
        for (size, before, after, reach), (_, stride, _, _) in zip(self._extents, self.steps):
            room = size + before + after - reach
            count = (-(-room // stride) if self.ceil else room // stride) + 1
            # rounding up may leave a window that starts beyond the input, which sees nothing of it
            found.append(count - 1 if self.ceil and (count - 1) * stride >= size + before else count)
        return tuple(found)

    @cached_property
    def places(self) -> tuple[IntArray, ...]:
        """For each axis, (windows, kernel): the coordinate of each element, outside of the tensor in the padding."""
        return tuple(
            stride * np.arange(count)[:, None] + dilation * np.arange(kernel) - before
            for count, (kernel, stride, before, dilation) in zip(self.count, self.steps)
        )

    @cached_property
    def index(self) -> IntArray:
        """(windows, elements of a kernel): the flat index of each element, -1 in the padding; rows increase.

        >>> Windows((3,), (2,), pads=((1, 0),)).index.tolist()
        [[-1, 0], [0, 1], [1, 2]]
        """
        axes = len(self.spatial)
        flat = np.zeros((1,) * (2 * axes), dtype=np.int64)
        inside = np.ones_like(flat, dtype=bool)
        for k, (size, places) in enumerate(zip(self.spatial, self.places)):
            shape = [1] * (2 * axes)
            shape[k], shape[axes + k] = places.shape
            place = places.reshape(shape)
            flat = flat * size + place
            inside = inside & (place >= 0) & (place < size)
        return np.where(inside, flat, -1).reshape(math.prod(self.count), -1)

    def output_shape(self, shape: Shape, channels_in: int, channels_out: int, what: str) -> Shape:
        """(channels_out, *count), behind a leading axis of size 1 where the input has one.

        Raises:
            InvalidInput: the tensor is none of (channels_in, *spatial).
        """
        wanted = (channels_in, *self.spatial)
        if tuple(shape) not in (wanted, (1, *wanted)):
            raise InvalidInput(
                f"{what} over a tensor {wanted} follows a tensor of shape {shape}; "
                "its elements would mean something else: reshape it first, or check the layer's spatial shape"
            )
        return (*shape[: len(shape) - len(wanted)], channels_out, *self.count)


def kept(keep: BoolArray, channels: int, what: str) -> IntArray:
    """Indices of the channels to keep.

    Raises:
        InvalidInput: not one flag for each channel, or none is kept.
    """
    flags = np.asarray(keep, dtype=bool).ravel()
    if flags.size != channels or not flags.any():
        raise InvalidInput(
            f"{int(flags.sum())} of {flags.size} {what} channels are to be kept, and the layer has {channels}; "
            "a layer without channels has no value: give one flag for each, and keep at least one"
        )
    return np.flatnonzero(flags)


@dataclass(frozen=True, eq=False)
class _Axis:
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
        return _within(self.size, self.count, self.stride, self.shifts[tap])


def _within(size: int, count: int, stride: int, shift: int) -> tuple[slice, slice]:
    start = min(max(0, -(shift // stride)), count)
    stop = max(start, min(count, (size - 1 - shift) // stride + 1))
    first = stride * start + shift
    # an empty range must not have a negative end, which would count from the back
    return slice(start, stop), slice(first, first + stride * (stop - start), stride) if stop > start else slice(0, 0)


@dataclass(frozen=True, eq=False)
class _Part:
    """A correlation that gives some values of the target: those at `where`.

    Args:
        weight: (groups, target channels, taps x source channels of a group), both of one group. Taps of the last
            axis come first, then those of the others, then channels.
    """

    axes: tuple[_Axis, ...]
    weight: FloatArray
    where: tuple[slice, ...]

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(axis.count for axis in self.axes)


class _Products(ABC):
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


class _Correlation(_Products):
    """Every value gathers its window: the windows are copied side by side, then one product makes the values.

    With many rows, elements are copied once for each offset of the leading axes alone. Along the last axis windows
    overlap in the copy: with channels and leading offsets inside, the windows of two neighbours are one matrix each
    that share rows, and BLAS takes both as they stand. Few rows, or offsets that do not lie side by side, are copied
    once for each offset, and the product runs along the positions.
    """

    def __init__(self, source: Shape, target: Shape, groups: int, parts: Iterable[_Part]) -> None:
        super().__init__(source, target, groups)
        self.parts = tuple(parts)

    def _patches(self, part: _Part, overlap: bool) -> Shape:
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
        return overlapped if overlapped >= _MANY else min(copied, _MANY - 1)

    def stages(self, source: FloatArray, target: FloatArray) -> list[Callable[[], None]]:
        many = source.shape[-1] >= _MANY
        return [
            (self._overlapped if many and part.axes[-1].dense else self._copied)(part, source, target)
            for part in self.parts
        ]

    def _overlapped(self, part: _Part, source: FloatArray, target: FloatArray) -> Callable[[], None]:
        rows = source.shape[-1]
        *leading, last = part.axes
        # the padding is zero and stays so: copies only write what lies within the tensor
        patches = np.zeros((*self._patches(part, overlap=True), rows))
        copies = []
        every: Any = slice(None)
        over, along = _within(last.size, last.span, 1, last.shifts[0])
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

    def _copied(self, part: _Part, source: FloatArray, target: FloatArray) -> Callable[[], None]:
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


class _Scatter(_Products):
    """Every source is spread over its window: one product makes all summands, which are added where they belong.

    Args:
        axes: as read by the correlation of which this is the adjoint.
        kernel: (groups, source channels, target channels, *kernel), channels those of one group.
    """

    def __init__(self, source: Shape, target: Shape, groups: int, axes: Iterable[_Axis], kernel: FloatArray) -> None:
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


def _part(kernel: FloatArray, axes: Iterable[tuple[_Axis, Sequence[int], slice]]) -> _Part:
    """A part from weights (groups, target, source, *kernel) and, per axis, the offsets that it uses in order."""
    chosen = tuple(axes)
    picked = kernel[np.ix_(*(range(n) for n in kernel.shape[:3]), *(taps for _, taps, _ in chosen))]
    ordered = np.moveaxis(np.moveaxis(picked, 2, -1), -2, 2)
    weight = np.ascontiguousarray(ordered).reshape(*kernel.shape[:2], -1)
    return _Part(tuple(axis for axis, _, _ in chosen), weight, tuple(where for _, _, where in chosen))


@register
@dataclass(frozen=True, eq=False)
class Conv(AffineLayer):
    """y[o, q] = offset[o] + sum over c, i of weight[o, c, i] x[c, s q + d i - before], zero outside of the tensor.

    Args:
        weight: shape (channels_out, channels_in / groups, *kernel).
        offset: shape (channels_out,).
        spatial: shape of the input after its channels.
        stride: s, for each axis; one number stands for all, here and below.
        pads: (before, after) for each axis.
        dilation: d, for each axis.
        groups: outputs of group g see the channels of group g alone.

    Raises:
        InvalidInput: NaN or infinite weights, shapes that disagree, a kernel that does not fit.

    >>> edge = Conv(np.array([[[-1.0, 1.0]]]), np.zeros(1), (4,))
    >>> edge(np.array([[1.0, 1.0, 3.0, 2.0]]))
    array([[ 0.,  2., -1.]])
    >>> edge.output_shape((1, 4))
    (1, 3)
    """

    weight: FloatArray
    offset: FloatArray
    spatial: tuple[int, ...]
    stride: tuple[int, ...] | int = 1
    pads: Pads | int = 0
    dilation: tuple[int, ...] | int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        weight = _finite(np.asarray(self.weight), "the kernel")
        offset = _finite(np.asarray(self.offset), "the bias").ravel()
        axes = 1 if np.ndim(self.spatial) == 0 else len(self.spatial)
        if weight.ndim != 2 + axes or not weight.size or weight.shape[0] != offset.size:
            raise InvalidInput(
                f"a kernel of shape {weight.shape}, a bias of {offset.size} and a tensor with the spatial shape "
                f"{self.spatial} do not fit; give weight (channels_out, channels_in / groups, *kernel) with one "
                "length for each spatial axis, and bias (channels_out,)"
            )
        groups = int(self.groups)
        if groups != self.groups or groups < 1 or weight.shape[0] % groups:
            raise InvalidInput(
                f"{weight.shape[0]} output channels do not split into {self.groups} groups, so that no channel knows "
                "its inputs; give a number of groups that divides the channels"
            )
        windows = Windows(self.spatial, weight.shape[2:], self.stride, self.pads, self.dilation)
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "offset", offset)
        object.__setattr__(self, "groups", groups)
        for name in ("spatial", "stride", "pads", "dilation"):
            object.__setattr__(self, name, getattr(windows, name))

    @cached_property
    def geometry(self) -> Windows:
        """Where the windows lie."""
        return Windows(self.spatial, self.weight.shape[2:], self.stride, self.pads, self.dilation)

    @property
    def kind(self) -> str:
        return "conv"

    @property
    def parameters(self) -> int:
        return self.weight.size + self.offset.size

    @property
    def input_shape(self) -> Shape:
        """(channels_in, *spatial)."""
        return (self.weight.shape[1] * self.groups, *self.spatial)

    @property
    def output_spatial(self) -> Shape:
        """Shape of the output after its channels."""
        return self.geometry.count

    @cached_property
    def _repeated(self) -> FloatArray:
        repeated = np.repeat(self.offset, math.prod(self.output_spatial))
        repeated.setflags(write=False)
        return repeated

    @property
    def bias(self) -> FloatArray:
        return self._repeated

    @property
    def terms(self) -> int:
        return math.prod(self.weight.shape[1:])

    def output_shape(self, shape: Shape) -> Shape:
        return self.geometry.output_shape(shape, self.input_shape[0], self.weight.shape[0], "a convolution")

    def _grouped(self, weight: FloatArray) -> FloatArray:
        return weight.reshape(self.groups, -1, *weight.shape[1:])

    @property
    def _axes(self) -> list[_Axis]:
        return [
            _Axis(size, count, s, tuple(d * i - before for i in range(k)))
            for size, count, (k, s, before, d) in zip(self.spatial, self.output_spatial, self.geometry.steps)
        ]

    @property
    def _output(self) -> Shape:
        return (self.weight.shape[0], *self.output_spatial)

    def _correlation(self, weight: FloatArray) -> _Correlation:
        part = _part(self._grouped(weight), [(axis, range(len(axis.shifts)), slice(None)) for axis in self._axes])
        return _Correlation(self.input_shape, self._output, self.groups, [part])

    @cached_property
    def _forward(self) -> _Correlation:
        return self._correlation(self.weight)

    @cached_property
    def _forward_absolute(self) -> _Correlation:
        return self._correlation(np.abs(self.weight))

    @cached_property
    def _backward(self) -> _Products:
        kernel = self._grouped(self.weight)
        # to gather copies outputs, to scatter copies inputs
        if _SCATTER * kernel.shape[2] <= kernel.shape[1]:
            return _Scatter(self._output, self.input_shape, self.groups, self._axes, kernel)
        phases = []
        for size, count, (k, s, before, d) in zip(self.spatial, self.output_spatial, self.geometry.steps):
            found = []
            for r in range(min(s, size)):
                # backwards, so that the outputs which the offsets lead to increase
                taps = [i for i in reversed(range(k)) if (r + before - d * i) % s == 0]
                shifts = tuple((r + before - d * i) // s for i in taps)
                if taps:
                    found.append((_Axis(count, len(range(r, size, s)), 1, shifts), taps, slice(r, None, s)))
            phases.append(found)
        parts = [_part(kernel.swapaxes(1, 2), axes) for axes in itertools.product(*phases)]
        return _Correlation(self._output, self.input_shape, self.groups, parts)

    def apply(self, x: FloatArray) -> FloatArray:
        return self._forward(x)

    def adjoint(self, a: FloatArray) -> FloatArray:
        return self._backward(a)

    def absolute(self, x: FloatArray) -> FloatArray:
        flat = np.asarray(x)
        out = self._forward_absolute(flat.reshape(-1, flat.shape[-1]))
        return out.reshape(*flat.shape[:-1], out.shape[-1])

    def adjoint_rounding(self, magnitude: FloatArray) -> FloatArray:
        # one element of a W is a sum over the outputs whose window holds it, whatever the tensor's size
        per_group = self.weight.shape[0] // self.groups
        return self.rounding(magnitude, terms=per_group * math.prod(self.weight.shape[2:]))

    @cached_property
    def _matrix(self) -> sparse.csr_array:
        index = self.geometry.index
        per_group = self.weight.shape[1]
        shape = (self.groups, self.weight.shape[0] // self.groups, len(index), per_group, index.shape[1])
        weight = self.weight.reshape(*shape[:2], 1, per_group, -1)
        channel = np.arange(self.groups * per_group).reshape(self.groups, 1, 1, per_group, 1)
        used = np.broadcast_to((index >= 0)[:, None, :] & (weight != 0), shape)
        columns = np.broadcast_to(channel * math.prod(self.spatial) + index[:, None, :], shape)[used]
        starts = np.concatenate([[0], np.cumsum(used.sum(axis=(3, 4)).ravel())])
        data = np.broadcast_to(weight, shape)[used]
        return sparse.csr_array((data, columns, starts), shape=(starts.size - 1, math.prod(self.input_shape)))

    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        return self._matrix

    def narrowed(self, keep_out: BoolArray | None, keep_in: BoolArray | None) -> Conv:
        """The same convolution with some channels left out; None keeps them all.

        Raises:
            InvalidInput: nothing is kept, inputs of several groups, or groups that would differ in size.

        >>> Conv(np.ones((2, 1, 1)), np.array([5.0, 6.0]), (3,)).narrowed(np.array([False, True]), None).offset
        array([6.])
        """
        weight, offset = self.weight, self.offset
        if keep_in is not None:
            if self.groups != 1:
                raise InvalidInput(
                    f"input channels of a convolution of {self.groups} groups are to be left out, and every group "
                    "must see as many; write it as one group first, or keep its inputs"
                )
            weight = weight[:, kept(keep_in, weight.shape[1], "input")]
        if keep_out is not None:
            index = kept(keep_out, offset.size, "output")
            sizes = np.bincount(index // (offset.size // self.groups), minlength=self.groups)
            if (sizes != sizes[0]).any():
                raise InvalidInput(
                    f"the groups of a convolution would keep {sizes.tolist()} output channels, and groups have one "
                    "size; keep as many of each, or write it as one group first"
                )
            weight, offset = weight[index], offset[index]
        return Conv(weight, offset, self.spatial, self.stride, self.pads, self.dilation, self.groups)
