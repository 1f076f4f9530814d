"""Pooling: the average or the maximum of every window of a tensor, channel by channel.

A kernel as large as the input pools globally. Where windows lie is said by `reludsl.layers.convolution.Windows`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.layers.affine_layer import AffineLayer
from reludsl.layers.base import Shape
from reludsl.layers.maximum import MaxLayer
from reludsl.layers.registry import register
from reludsl.layers.windows import Pads, Windows, kept, within


def _settled(layer: Any, windows: Windows) -> None:
    """Write the fields of a pooling layer in full, one value for each axis."""
    if int(layer.channels) != layer.channels or layer.channels < 1:
        raise InvalidInput(
            f"a pooling layer has {layer.channels} channels, and nothing to pool; give a whole number of at least 1"
        )
    object.__setattr__(layer, "channels", int(layer.channels))
    for name in ("spatial", "kernel", "stride", "pads", "dilation"):
        if hasattr(layer, name):
            object.__setattr__(layer, name, getattr(windows, name))


def _folded(
    x: FloatArray, channels: int, windows: Windows, operation: Callable[..., object], start: float
) -> FloatArray:
    """Combine every window, one axis after the other: (..., channels x size) -> (..., channels x windows).

    Axis by axis takes k_1 + k_2 operations on whole slices instead of k_1 k_2.
    """
    values = x.reshape(*x.shape[:-1], channels, *windows.spatial)
    # the last axis goes first
    for later, (count, (kernel, stride, before, dilation)) in enumerate(zip(windows.count[::-1], windows.steps[::-1])):
        axis = values.ndim - 1 - later
        lead = (slice(None),) * axis
        out = np.full((*values.shape[:axis], count, *values.shape[axis + 1 :]), start)
        for i in range(kernel):
            to, what = within(values.shape[axis], count, stride, dilation * i - before)
            part = out[(*lead, to)]
            operation(part, values[(*lead, what)], out=part)
        values = out
    return values.reshape(*x.shape[:-1], channels * math.prod(windows.count))


def _per_channel(index: IntArray, channels: int, size: int) -> IntArray:
    """The same windows in every channel; -1 stays."""
    whole = np.where(index < 0, -1, index + size * np.arange(channels)[:, None, None])
    return whole.reshape(-1, index.shape[1])


@register
@dataclass(frozen=True, eq=False)
class AveragePool(AffineLayer):
    """y[c, q] = sum over the window q of x[c, .] / count, with 1 / count as the nearest float64.

    The count is that of the elements within the tensor, or within tensor and padding. What `ceil` lets stick out
    beyond both never counts. This is AveragePool of ONNX.

    Args:
        channels: each is pooled alone.
        spatial: shape of the input after its channels.
        kernel, stride: for each axis; one number stands for all.
        pads: (before, after) for each axis.
        ceil: the number of windows is rounded up.
        count_include_pad: zeros of the padding count.

    Raises:
        InvalidInput: windows that do not fit, or that average nothing.

    >>> AveragePool(1, (4,), 2, 2)(np.array([[1.0, 3.0, 5.0, 9.0]]))
    array([[2., 7.]])
    >>> AveragePool(1, (2,), 2, 1, pads=1)(np.array([[1.0, 3.0]]))
    array([[1., 2., 3.]])
    >>> AveragePool(1, (2,), 2, 1, pads=1, count_include_pad=True)(np.array([[1.0, 3.0]]))
    array([[0.5, 2. , 1.5]])
    """

    channels: int
    spatial: tuple[int, ...]
    kernel: tuple[int, ...] | int
    stride: tuple[int, ...] | int = 1
    pads: Pads | int = 0
    ceil: bool = False
    count_include_pad: bool = False

    def __post_init__(self) -> None:
        _settled(self, self._windows)
        empty = np.flatnonzero(self._counts == 0)
        if empty.size:
            raise InvalidInput(
                f"window {int(empty[0])} of an average pooling {self.kernel} over {self.spatial} with padding "
                f"{self.pads} holds padding alone, and the average of nothing has no value; "
                "pad less than the kernel, or set count_include_pad"
            )

    @cached_property
    def _windows(self) -> Windows:
        return Windows(self.spatial, self.kernel, self.stride, self.pads, ceil=self.ceil)

    @cached_property
    def _counts(self) -> IntArray:
        """How many elements each window averages, (windows of a channel,)."""
        total = np.ones(1, dtype=np.int64)
        for size, (before, after), places in zip(self._windows.spatial, self._windows.sides, self._windows.places):
            low, high = (-before, size + after) if self.count_include_pad else (0, size)
            total = np.multiply.outer(total, ((places >= low) & (places < high)).sum(axis=1))
        return total.ravel()

    @cached_property
    def _shares(self) -> FloatArray:
        """1 / count of every output."""
        return np.tile(1.0 / self._counts, self.channels)

    @property
    def kind(self) -> str:
        return "average_pool"

    @property
    def terms(self) -> int:
        return math.prod(kernel for kernel, _, _, _ in self._windows.steps)

    def output_shape(self, shape: Shape) -> Shape:
        return self._windows.output_shape(shape, self.channels, self.channels, "an average pooling")

    def apply(self, x: FloatArray) -> FloatArray:
        # the sum first: each term still takes part in fewer than `terms` roundings, and in that of one product
        return _folded(x, self.channels, self._windows, np.add, 0.0) * self._shares

    def absolute(self, x: FloatArray) -> FloatArray:
        return self.apply(x)

    @cached_property
    def _overlap(self) -> int:
        """In how many windows an element is at most."""
        return int(np.bincount(self._matrix.indices, minlength=1).max())

    def adjoint_rounding(self, magnitude: FloatArray) -> FloatArray:
        return self.rounding(magnitude, terms=self._overlap)

    @cached_property
    def _matrix(self) -> sparse.csr_array:
        size = math.prod(self.spatial)
        index = _per_channel(self._windows.index, self.channels, size)
        used = index >= 0
        starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
        shares = np.broadcast_to(self._shares[:, None], index.shape)[used]
        return sparse.csr_array((shares, index[used], starts), shape=(len(index), self.channels * size))

    def narrowed(self, keep: BoolArray) -> AveragePool:
        """The same pooling with some channels left out.

        Raises:
            InvalidInput: none is kept.
        """
        count = len(kept(keep, self.channels, "pooled"))
        return AveragePool(count, self.spatial, self.kernel, self.stride, self.pads, self.ceil, self.count_include_pad)


@register
@dataclass(frozen=True, eq=False)
class MaxPool(MaxLayer):
    """y[c, q] = max over the window q of x[c, .]; the padding takes no part.

    Args:
        channels: each is pooled alone.
        spatial: shape of the input after its channels.
        kernel, stride, dilation: for each axis; one number stands for all.
        pads: (before, after) for each axis.
        ceil: the number of windows is rounded up.

    Raises:
        InvalidInput: windows that do not fit, or that hold padding alone.

    >>> MaxPool(1, (4,), 2, 2)(np.array([[1.0, 3.0, 9.0, 5.0]]))
    array([[3., 9.]])
    >>> MaxPool(1, (2,), 2, pads=1).windows.tolist()
    [[0, 0], [0, 1], [1, 1]]
    """

    channels: int
    spatial: tuple[int, ...]
    kernel: tuple[int, ...] | int
    stride: tuple[int, ...] | int = 1
    pads: Pads | int = 0
    dilation: tuple[int, ...] | int = 1
    ceil: bool = False

    def __post_init__(self) -> None:
        _settled(self, self._windows)
        empty = np.flatnonzero((self._windows.index < 0).all(axis=1))
        if empty.size:
            raise InvalidInput(
                f"window {int(empty[0])} of a max pooling {self.kernel} over {self.spatial} with padding {self.pads} "
                "holds padding alone, and the maximum of nothing has no value; pad less than the kernel"
            )

    @cached_property
    def _windows(self) -> Windows:
        return Windows(self.spatial, self.kernel, self.stride, self.pads, self.dilation, self.ceil)

    @property
    def kind(self) -> str:
        return "max_pool"

    @cached_property
    def _inputs(self) -> IntArray:
        index = self._windows.index
        index = index[:, (index >= 0).any(axis=0)]
        first = np.take_along_axis(index, (index >= 0).argmax(axis=1)[:, None], axis=1)
        inputs = _per_channel(np.where(index < 0, first, index), self.channels, math.prod(self.spatial))
        inputs.setflags(write=False)
        return inputs

    @property
    def windows(self) -> IntArray:
        return self._inputs

    def output_shape(self, shape: Shape) -> Shape:
        return self._windows.output_shape(shape, self.channels, self.channels, "a max pooling")

    def __call__(self, x: FloatArray) -> FloatArray:
        # Fractions have no array operations that slices would gain from
        return (
            super().__call__(x) if x.dtype == object else _folded(x, self.channels, self._windows, np.maximum, -np.inf)
        )

    def narrowed(self, keep: BoolArray) -> MaxPool:
        """The same pooling with some channels left out.

        Raises:
            InvalidInput: none is kept.
        """
        count = len(kept(keep, self.channels, "pooled"))
        return MaxPool(count, self.spatial, self.kernel, self.stride, self.pads, self.dilation, self.ceil)
