"""Windows: where the windows of convolutions and pools lie in a tensor, and what padding leaves of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from reludsl.backend import BoolArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.layers.base import Shape

Pads = tuple[tuple[int, int], ...]
"""(before, after) for each spatial axis."""


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


def within(size: int, count: int, stride: int, shift: int) -> tuple[slice, slice]:
    """Of values q that read the elements stride q + shift of an axis: which read no padding, and which elements."""
    start = min(max(0, -(shift // stride)), count)
    stop = max(start, min(count, (size - 1 - shift) // stride + 1))
    first = stride * start + shift
    # an empty range must not have a negative end, which would count from the back
    return slice(start, stop), slice(first, first + stride * (stop - start), stride) if stop > start else slice(0, 0)
