"""Convolutions: the same small matrix at every position of a tensor.

Tensors are flat vectors of (channels, *spatial) in row-major order. The matrix of a convolution is never stored for
products: both W x and a W are correlations, sums over the offsets of a window, and run as dense products of small
blocks (`Correlation`). A stride in W x becomes phases in a W: inputs at y = s q + r meet the offsets i with
d i = r + pad (mod s) alone, and these make a correlation without stride. With few input channels a W is cheaper the
other way round, as summands that are added where they belong (`Scatter`).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray
from reludsl.errors import InvalidInput
from reludsl.layers.affine_layer import AffineLayer
from reludsl.layers.base import Shape
from reludsl.layers.constants import finite
from reludsl.layers.correlation import SCATTER, Axis, Correlation, Products, Scatter, part_of
from reludsl.layers.registry import register
from reludsl.layers.windows import Pads, Windows, kept


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
        weight = finite(np.asarray(self.weight), "the kernel")
        offset = finite(np.asarray(self.offset), "the bias").ravel()
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
    def _axes(self) -> list[Axis]:
        return [
            Axis(size, count, s, tuple(d * i - before for i in range(k)))
            for size, count, (k, s, before, d) in zip(self.spatial, self.output_spatial, self.geometry.steps)
        ]

    @property
    def _output(self) -> Shape:
        return (self.weight.shape[0], *self.output_spatial)

    def _correlation(self, weight: FloatArray) -> Correlation:
        part = part_of(self._grouped(weight), [(axis, range(len(axis.shifts)), slice(None)) for axis in self._axes])
        return Correlation(self.input_shape, self._output, self.groups, [part])

    @cached_property
    def _forward(self) -> Correlation:
        return self._correlation(self.weight)

    @cached_property
    def _forward_absolute(self) -> Correlation:
        return self._correlation(np.abs(self.weight))

    @cached_property
    def _backward(self) -> Products:
        kernel = self._grouped(self.weight)
        # to gather copies outputs, to scatter copies inputs
        if SCATTER * kernel.shape[2] <= kernel.shape[1]:
            return Scatter(self._output, self.input_shape, self.groups, self._axes, kernel)
        phases = []
        for size, count, (k, s, before, d) in zip(self.spatial, self.output_spatial, self.geometry.steps):
            found = []
            for r in range(min(s, size)):
                # backwards, so that the outputs which the offsets lead to increase
                taps = [i for i in reversed(range(k)) if (r + before - d * i) % s == 0]
                shifts = tuple((r + before - d * i) // s for i in taps)
                if taps:
                    found.append((Axis(count, len(range(r, size, s)), 1, shifts), taps, slice(r, None, s)))
            phases.append(found)
        parts = [part_of(kernel.swapaxes(1, 2), axes) for axes in itertools.product(*phases)]
        return Correlation(self._output, self.input_shape, self.groups, parts)

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
