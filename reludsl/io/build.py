"""A network built step by step, as readers do: tensor shapes are followed, names made unique, faults named.

build = Building((1, 784))
y = build.product("fc", INPUT, weight, side=Side.RIGHT)      # x @ weight
y = build.shift("bias", y, constant)                         # x + constant, broadcast as numpy does
y = build.total("sum", [y, z])                               # branches that meet
net = build.network(y)
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.io.steps import Steps, made
from reludsl.layers import (
    Affine,
    AveragePool,
    BatchNorm,
    Conv,
    Max,
    MaxPool,
    PiecewiseLinear,
    Scale,
    Shape,
    Shift,
    Sum,
    larger,
    relu,
)
from reludsl.network import INPUT, Network, Node

Pads = Sequence[tuple[int, int]] | int


class Side(enum.Enum):
    """Where the constant of a matrix product stands."""

    LEFT = "left"
    RIGHT = "right"


class Building(Steps):
    """Layers so far, and the operations that readers meet (see `Steps`)."""

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__(input_shape)
        # affine layers that a bias may still join: a matrix product followed by an addition is one layer
        self._bare: set[str] = set()

    # --- constants, element by element ------------------------------------------------------------------------

    def _spread(self, name: str, source: str, constant: FloatArray) -> tuple[str, FloatArray, Shape]:
        """The source, broadcast where the constant is larger; the constant as one number or one per element; the
        shape of the result."""
        shape = self.shapes[source]
        try:
            result = np.broadcast_shapes(shape, constant.shape)
        except ValueError:
            raise InvalidInput(
                f"layer {name!r} combines a tensor of shape {shape} with a constant of shape {constant.shape}, "
                "and neither can be broadcast to the other; give one number, or one per element"
            ) from None
        if math.prod(result) != math.prod(shape):
            source = self.expand(f"{name}.expand", source, result)
        flat = constant.ravel() if constant.size == 1 else np.broadcast_to(constant, result).ravel()
        return source, flat.astype(np.float64), tuple(result)

    def shift(self, name: str, source: str, constant: FloatArray, joins: bool = False) -> str:
        """x + constant.

        Args:
            joins: nothing else uses the source, so that a bias may become part of the affine layer before it.
        """
        source, flat, result = self._spread(name, source, constant)
        bare = source in self._bare
        if joins and bare and result == self.shapes[source]:
            node = self._nodes[source]
            assert isinstance(node.layer, Affine)
            whole = np.broadcast_to(flat, node.layer.offset.shape)
            self._nodes[source] = Node(source, made(name, Affine, node.layer.weight, whole), node.source)
            self._bare.discard(source)
            return source
        value = self.layer(name, made(name, Shift, flat), source)
        return self.reshape(f"{name}.shape", value, result)

    def scale(self, name: str, source: str, constant: FloatArray, divide: bool = False) -> str:
        """x * constant, or x / constant."""
        source, flat, result = self._spread(name, source, constant)
        value = self.layer(name, made(name, Scale, flat, divide), source)
        return self.reshape(f"{name}.shape", value, result)

    def negative(self, name: str, source: str) -> str:
        """-x."""
        return self.layer(name, Scale(np.array([-1.0])), source)

    def clip(self, name: str, source: str, low: FloatArray | None, high: FloatArray | None) -> str:
        """min(max(x, low), high); None, and an infinite number, leave a side open."""
        low = None if low is None or np.all(low == -np.inf) else low
        high = None if high is None or np.all(high == np.inf) else high
        ends = []
        shape = self.shapes[source]
        for end in (low, high):
            if end is not None:
                source, flat, shape = self._spread(name, source, np.asarray(end))
                source = self.reshape(f"{name}.shape", source, shape)
                ends.append(flat)
        if not ends:
            return source
        if high is None and not ends[0].any():
            return self.layer(name, relu, source)
        slopes = (*(() if low is None else (0,)), 1, *(() if high is None else (0,)))
        ends = [end if end.size > 1 else end[0] for end in ends]
        return self.layer(name, made(name, PiecewiseLinear, "clip", tuple(ends), slopes, (ends[0], ends[0])), source)

    # --- several tensors --------------------------------------------------------------------------------------

    def alike(self, name: str, sources: Sequence[str]) -> list[str]:
        """The tensors, broadcast to one shape."""
        shapes = [self.shapes[source] for source in sources]
        try:
            result = np.broadcast_shapes(*shapes)
        except ValueError:
            raise InvalidInput(
                f"layer {name!r} combines tensors of shapes {', '.join(map(str, shapes))}, which cannot be broadcast "
                "to one shape; reshape them first"
            ) from None
        return [self.expand(f"{name}.expand", source, result) for source in sources]

    def total(self, name: str, sources: Sequence[str], signs: Sequence[int] | None = None) -> str:
        """The sum of some tensors, broadcast to one shape; signs of -1 subtract."""
        chosen = tuple(signs or (1,) * len(sources))
        whole = self.alike(name, sources)
        return whole[0] if chosen == (1,) else self.layer(name, Sum(chosen), *whole)

    def largest(self, name: str, sources: Sequence[str], least: bool = False) -> str:
        """The largest of some tensors, or the least, element by element."""
        whole = self.alike(name, sources)
        if len(whole) == 1:
            return whole[0]
        if least:
            # min(a, b) = -max(-a, -b)
            whole = [self.negative(f"{name}.negative", source) for source in whole]
        layer = larger(self.shapes[whole[0]], len(whole))
        value = self.layer(f"{name}.max" if least else name, layer, *whole)
        return self.negative(name, value) if least else value

    # --- products ---------------------------------------------------------------------------------------------

    def product(
        self,
        name: str,
        source: str,
        matrix: FloatArray,
        side: Side,
        bias: FloatArray | None = None,
    ) -> str:
        """x @ matrix, or matrix @ x, plus a bias: the rule of numpy.matmul, for one matrix.

        Of an x that is no vector every row (on the left: every column) is multiplied alone, which is one sparse
        affine layer.
        """
        shape = self.shapes[source]
        right = side is Side.RIGHT
        try:
            result = _product_shape(*((shape, matrix.shape) if right else (matrix.shape, shape)))
            inner = matrix.shape[-2 if matrix.ndim > 1 else 0] if right else matrix.shape[-1]
            vectors = math.prod(shape) // inner if inner else 0
            # one matrix, whatever axes of size 1 stand around it
            fits = vectors > 0 and math.prod(matrix.shape[:-2]) == 1
        except ValueError:
            fits, result, inner, vectors = False, (), 0, 0
        if not fits:
            raise InvalidInput(
                f"layer {name!r} multiplies a tensor of shape {shape} by a matrix of shape {matrix.shape} "
                f"on its {side.value}, and the sizes do not meet; flatten the tensor first, or check the weights"
            )
        flat = matrix.astype(np.float64)
        flat = np.ascontiguousarray(flat.reshape(inner, -1).T if right else flat.reshape(-1, inner))
        weight: FloatArray | sparse.csr_array = flat
        if vectors > 1:
            # the vectors stand one after the other, or beside each other as columns
            columns = 1 if right or len(shape) == 1 else shape[-1]
            weight = sparse.csr_array(
                sparse.kron(sparse.eye_array(vectors // columns), sparse.kron(flat, sparse.eye_array(columns)))
            )
        offset = np.zeros(weight.shape[0])
        if bias is not None:
            try:
                offset = np.broadcast_to(bias, result).astype(np.float64).ravel()
            except ValueError:
                raise InvalidInput(
                    f"layer {name!r} adds a bias of shape {bias.shape} to a tensor of shape {result}; "
                    "give one number per output"
                ) from None
        taken = weight.shape[1]
        layer = made(name, Affine, weight, offset)
        row = source if shape[-1:] == (taken,) else self.reshape(f"{name}.in", source, (1, taken))
        value = self.layer(name, layer, row)
        if bias is None:
            self._bare.add(value)
        return self.reshape(f"{name}.out", value, result)

    def reduce(self, name: str, source: str, axes: Sequence[int], keep: bool, how: str) -> str:
        """The mean, sum, maximum or minimum over some axes.

        Args:
            keep: they stay as axes of size 1.
            how: "mean", "sum", "max" or "min".
        """
        shape = self.shapes[source]
        if any(not -len(shape) <= axis < len(shape) for axis in axes):
            raise InvalidInput(
                f"layer {name!r} reduces axes {tuple(axes)} of a tensor of shape {shape}, which has none such; "
                "check the axes and the input shape"
            )
        gone = sorted({int(axis) % len(shape) for axis in axes})
        rest = [axis for axis in range(len(shape)) if axis not in gone]
        result = tuple(1 if axis in gone else n for axis, n in enumerate(shape) if keep or axis not in gone)
        count = math.prod(shape[axis] for axis in gone)
        if count == 1:
            return self.reshape(name, source, result)
        if how == "mean":
            if rest != [0, 1] or shape[0] != 1:
                # a channel for each mean: what it is over comes last
                source = self.transpose(f"{name}.order", source, [*rest, *gone])
                source = self.reshape(f"{name}.in", source, (1, math.prod(shape) // count, count))
            spatial = self.shapes[source][2:]
            value = self.average_pool(name, source, spatial, spatial)
            return self.reshape(f"{name}.out", value, result)
        index = self.numbers(source).transpose([*rest, *gone]).reshape(-1, count)
        if how == "sum":
            ends = np.arange(0, index.size + 1, count)
            ones = sparse.csr_array((np.ones(index.size), index.ravel(), ends), shape=(len(index), index.size))
            row = self.reshape(f"{name}.in", source, (1, index.size))
            value = self.layer(name, Affine(ones, np.zeros(len(index))), row)
            return self.reshape(f"{name}.out", value, result)
        if how == "min":
            source = self.negative(f"{name}.negative", source)
        value = self.layer(f"{name}.max" if how == "min" else name, Max(index, index.size, result), source)
        return self.negative(name, value) if how == "min" else value

    # --- windows over (1, C, *spatial) or (C, *spatial) ---------------------------------------------------------

    def channels(self, name: str, source: str, axes: int) -> tuple[int, Shape]:
        """The number of channels, and the lengths of the axes after them."""
        shape = self.shapes[source]
        if len(shape) <= axes:
            raise InvalidInput(
                f"layer {name!r} takes windows over {axes} axes of a tensor of shape {shape}, which has no axis of "
                f"channels before these; give a tensor (1, channels, {', '.join(['size'] * axes)})"
            )
        return shape[len(shape) - axes - 1], shape[len(shape) - axes :]

    def conv(
        self,
        name: str,
        source: str,
        weight: FloatArray,
        offset: FloatArray | None = None,
        stride: Sequence[int] | int = 1,
        pads: Pads = 0,
        dilation: Sequence[int] | int = 1,
        groups: int = 1,
    ) -> str:
        """A convolution; `weight` (channels_out, channels_in / groups, *kernel)."""
        _, spatial = self.channels(name, source, max(1, weight.ndim - 2))
        bias = np.zeros(len(weight)) if offset is None else offset
        return self.layer(name, made(name, Conv, weight, bias, spatial, stride, pads, dilation, groups), source)

    def average_pool(
        self,
        name: str,
        source: str,
        kernel: Sequence[int],
        stride: Sequence[int] | int = 1,
        pads: Pads = 0,
        ceil: bool = False,
        count_include_pad: bool = False,
    ) -> str:
        """Averages of windows."""
        channels, spatial = self.channels(name, source, len(kernel))
        layer = made(name, AveragePool, channels, spatial, tuple(kernel), stride, pads, ceil, count_include_pad)
        return self.layer(name, layer, source)

    def max_pool(
        self,
        name: str,
        source: str,
        kernel: Sequence[int],
        stride: Sequence[int] | int = 1,
        pads: Pads = 0,
        dilation: Sequence[int] | int = 1,
        ceil: bool = False,
    ) -> str:
        """Maxima of windows."""
        channels, spatial = self.channels(name, source, len(kernel))
        layer = made(name, MaxPool, channels, spatial, tuple(kernel), stride, pads, dilation, ceil)
        return self.layer(name, layer, source)

    def batch_norm(
        self,
        name: str,
        source: str,
        gamma: FloatArray,
        beta: FloatArray,
        mean: FloatArray,
        variance: FloatArray,
        epsilon: float,
        axis: int = 1,
    ) -> str:
        """Batch normalisation at inference.

        Args:
            axis: that of the channels.
        """
        shape = self.shapes[source]
        if len(shape) <= axis or math.prod(shape[:axis]) != 1:
            raise InvalidInput(
                f"layer {name!r} normalises channels along axis {axis} of a tensor of shape {shape}, which has no "
                "such axis behind a batch axis of size 1; check the input shape"
            )
        positions = math.prod(shape[axis + 1 :])
        layer = made(name, BatchNorm.from_statistics, gamma, beta, mean, variance, epsilon, positions)
        return self.layer(name, layer, source)

    def network(self, output: str, input_box: Box | None = None) -> Network:
        """The network whose output is the given value."""
        if output == INPUT:
            raise InvalidInput("the output is the input itself; a network needs at least one layer in between")
        return Network(tuple(self._nodes.values()), self.input_shape, output, input_box)


def _product_shape(left: Shape, right: Shape) -> Shape:
    """Shape of left @ right by the rule of numpy.matmul; ValueError where there is none."""
    if not left or not right:
        raise ValueError("a product of a scalar")
    rows, columns = (1, *left)[-2:], (*right, 1)[-2:] if len(right) == 1 else right[-2:]
    if rows[1] != columns[0]:
        raise ValueError("inner sizes differ")
    outer = np.broadcast_shapes(left[:-2], right[:-2])
    return (*outer, *(rows[:1] if len(left) > 1 else ()), *(columns[1:] if len(right) > 1 else ()))
