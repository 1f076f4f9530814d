"""PyTorch modules for layers, those of torch.nn where there are any. Imports torch: use `reludsl.io.torch` instead."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import torch
from scipy import sparse

from reludsl.errors import UnsupportedOperator
from reludsl.exact import exactly
from reludsl.layers import (
    Affine,
    AffineLayer,
    AveragePool,
    BatchNorm,
    Conv,
    Gather,
    Layer,
    MaxLayer,
    MaxPool,
    PiecewiseLinear,
    Reshape,
    Scale,
    Shape,
    Shift,
    Sum,
)
from reludsl.layers.by_layer import by_layer


class AddConstant(torch.nn.Module):  # type: ignore[misc]
    """x + c."""

    def __init__(self, constant: Any) -> None:
        super().__init__()
        self.register_buffer("constant", constant)

    def forward(self, x: Any) -> Any:
        return x + self.constant


class MultiplyConstant(torch.nn.Module):  # type: ignore[misc]
    """c x."""

    def __init__(self, constant: Any) -> None:
        super().__init__()
        self.register_buffer("constant", constant)

    def forward(self, x: Any) -> Any:
        return x * self.constant


class DivideConstant(torch.nn.Module):  # type: ignore[misc]
    """x / c."""

    def __init__(self, constant: Any) -> None:
        super().__init__()
        self.register_buffer("constant", constant)

    def forward(self, x: Any) -> Any:
        return x / self.constant


class ReshapeRows(torch.nn.Module):  # type: ignore[misc]
    """Every element of a batch in another shape."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Any) -> Any:
        return x.reshape(-1, *self.shape)


class PiecewiseLinearUnit(torch.nn.Module):  # type: ignore[misc]
    """f(b_1) + sum over pieces of s_k (clip(z, b_k, b_k+1) - b_k), left of b_1 measured from b_1.

    Args:
        shape: of one element of the batch, for an activation that differs from element to element.
    """

    def __init__(self, activation: PiecewiseLinear, shape: Shape, dtype: Any) -> None:
        super().__init__()
        size = activation.elements or 1
        breaks = activation.breaks_at(size) if activation.breaks else np.zeros((1, size))
        slopes = activation.slopes_at(size).repeat(1 if activation.breaks else 2, axis=0)
        value = activation.exact(exactly(breaks[0])).astype(np.float64)
        for name, array in (("breaks", breaks), ("slopes", slopes), ("value", value[None])):
            whole = array.reshape(len(array), *(shape if activation.elements else ()))
            self.register_buffer(name, torch.tensor(whole, dtype=dtype))

    def forward(self, x: Any) -> Any:
        breaks, slopes = self.breaks, self.slopes
        total = self.value[0] + slopes[0] * torch.minimum(x - breaks[0], torch.zeros_like(breaks[0]))
        for k in range(1, len(slopes)):
            above = torch.maximum(x, breaks[k - 1])
            cut = torch.minimum(above, breaks[k]) if k < len(breaks) else above
            total = total + slopes[k] * (cut - breaks[k - 1])
        return total


class SumOf(torch.nn.Module):  # type: ignore[misc]
    """s_1 x_1 + ... + s_k x_k with signs s."""

    def __init__(self, signs: Sequence[int]) -> None:
        super().__init__()
        self.signs = tuple(signs)

    def forward(self, *xs: Any) -> Any:
        total = xs[0] if self.signs[0] > 0 else -xs[0]
        for sign, x in zip(self.signs[1:], xs[1:]):
            total = total + x if sign > 0 else total - x
        return total


class GatherElements(torch.nn.Module):  # type: ignore[misc]
    """Elements of the flat tensors by their numbers; number n is the constant that is added behind n elements."""

    def __init__(self, layer: Gather, shape: Shape) -> None:
        super().__init__()
        index = np.where(layer.index < 0, layer.size, layer.index)
        self.register_buffer("index", torch.tensor(index))
        self.fill = layer.fill if (layer.index < 0).any() else None
        self.shape = shape

    def forward(self, *xs: Any) -> Any:
        flat = _flat(xs)
        if self.fill is not None:
            flat = torch.nn.functional.pad(flat, (0, 1), value=self.fill)
        return flat[:, self.index].reshape(-1, *self.shape)


class LargestOf(torch.nn.Module):  # type: ignore[misc]
    """The largest element of each window of the flat tensors."""

    def __init__(self, layer: MaxLayer, shape: Shape) -> None:
        super().__init__()
        self.register_buffer("windows", torch.tensor(layer.windows))
        self.shape = shape

    def forward(self, *xs: Any) -> Any:
        return _flat(xs)[:, self.windows].amax(-1).reshape(-1, *self.shape)


class LargerOf(torch.nn.Module):  # type: ignore[misc]
    """The largest of some tensors, element by element."""

    def forward(self, *xs: Any) -> Any:
        return reduce(torch.maximum, xs)


class PooledSums(torch.nn.Module):  # type: ignore[misc]
    """Averages of windows that torch pools otherwise: sums of windows, each times one over its count."""

    def __init__(self, layer: AveragePool, shares: Any, widths: Sequence[int]) -> None:
        super().__init__()
        kernel: Any = layer.kernel
        self.register_buffer("ones", torch.ones((layer.channels, 1, *kernel), dtype=shares.dtype))
        self.register_buffer("shares", shares)
        self.convolution = getattr(torch.nn.functional, f"conv{len(kernel)}d")
        self.stride, self.channels, self.widths = layer.stride, layer.channels, tuple(widths)

    def forward(self, x: Any) -> Any:
        padded = torch.nn.functional.pad(x, self.widths)
        return self.convolution(padded, self.ones, stride=self.stride, groups=self.channels) * self.shares


class Joined(torch.nn.Module):  # type: ignore[misc]
    """A module of one tensor on several, one after the other."""

    def __init__(self, module: Any, shape: Shape) -> None:
        super().__init__()
        self.module = module
        self.shape = shape

    def forward(self, *xs: Any) -> Any:
        return self.module(_flat(xs).reshape(-1, *self.shape))


class Branched(torch.nn.Module):  # type: ignore[misc]
    """Parts in order; each takes the values of some that came before it.

    Args:
        wires: for each part the numbers of the values that it takes; 0 is the input, k the value of part k - 1.
        names: of the layers that the parts are.
    """

    def __init__(self, parts: Sequence[Any], wires: Sequence[tuple[int, ...]], names: Sequence[str]) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleList(parts)
        self.wires = tuple(wires)
        self.names = tuple(names)

    def forward(self, x: Any) -> Any:
        values = [x]
        for module, taken in zip(self.parts, self.wires):
            values.append(module(*(values[k] for k in taken)))
        return values[-1]


def _flat(xs: Sequence[Any]) -> Any:
    flat = [x.reshape(x.shape[0], -1) for x in xs]
    return flat[0] if len(flat) == 1 else torch.cat(flat, 1)


@dataclass(frozen=True)
class Place:
    """Shapes of what a module takes and of what it gives, without the batch axis.

    Args:
        joined: the shape of what it takes where one tensor stands for all.
    """

    inputs: tuple[Shape, ...]
    shape: Shape
    joined: Shape


def part(layer: Layer, place: Place, dtype: Any) -> Any:
    """The module of a layer, whether it takes one tensor or several."""
    if len(place.inputs) == 1 or type(layer) in (Sum, Gather) or isinstance(layer, MaxLayer):
        return make_module(layer, place, dtype)
    return Joined(make_module(layer, Place((place.joined,), place.shape, place.joined), dtype), place.joined)


@by_layer
def make_module(layer: Layer, place: Place, dtype: Any) -> Any:
    """The module of a layer."""
    raise UnsupportedOperator(
        f"a layer of kind {layer.kind!r} has no PyTorch module; known are affine layers, piecewise-linear activations "
        "and maxima over windows: register a function, reludsl.io.torch_modules.make_module.register"
    )


@make_module.register
def _(layer: AffineLayer, place: Place, dtype: Any) -> Any:
    # a type from elsewhere: its matrix says all
    size = math.prod(place.joined)
    rows = layer.rows(size)
    weight = rows if isinstance(rows, np.ndarray) else rows.toarray()
    linear = _linear(weight, np.broadcast_to(layer.bias, len(weight)), dtype)
    return torch.nn.Sequential(ReshapeRows((size,)), linear, ReshapeRows(place.shape))


@make_module.register
def _(layer: MaxLayer, place: Place, dtype: Any) -> Any:
    count, size = len(place.inputs), math.prod(place.shape)
    pairs = np.arange(count * size).reshape(count, size).T
    if count > 1 and set(place.inputs) == {place.shape} and np.array_equal(layer.windows, pairs):
        return LargerOf()
    return LargestOf(layer, place.shape)


@make_module.register
def _(layer: Affine, place: Place, dtype: Any) -> Any:
    return _linear(layer.dense, layer.offset, dtype)


def _linear(weight: Any, offset: Any, dtype: Any) -> Any:
    n_out, n_in = weight.shape
    # memory without values: random ones would move the caller's generator on
    linear = torch.nn.Linear(n_in, n_out, dtype=dtype, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(weight, dtype=dtype))
        linear.bias.copy_(torch.tensor(np.array(offset), dtype=dtype))
    return linear


@make_module.register
def _(layer: Shift, place: Place, dtype: Any) -> Any:
    return AddConstant(_spread(layer.offset, place.shape, dtype))


@make_module.register
def _(layer: Scale, place: Place, dtype: Any) -> Any:
    constant = _spread(layer.factor, place.shape, dtype)
    return DivideConstant(constant) if layer.divide else MultiplyConstant(constant)


@make_module.register
def _(layer: Reshape, place: Place, dtype: Any) -> Any:
    return torch.nn.Flatten() if len(place.shape) == 1 else ReshapeRows(place.shape)


@make_module.register
def _(layer: Sum, place: Place, dtype: Any) -> Any:
    return SumOf(layer.signs)


@make_module.register
def _(layer: Gather, place: Place, dtype: Any) -> Any:
    return GatherElements(layer, place.shape)


@make_module.register
def _(layer: BatchNorm, place: Place, dtype: Any) -> Any:
    channels, axes = layer.scale.size, len(place.shape) - 1
    if place.shape[:1] != (channels,) or axes > 3:
        factor, summand = (
            _spread(np.repeat(v, layer.positions), place.shape, dtype) for v in (layer.scale, layer.offset)
        )
        return torch.nn.Sequential(MultiplyConstant(factor), AddConstant(summand))
    # of statistics 0 and 1 the factor and the summand remain, exactly
    norm = getattr(torch.nn, f"BatchNorm{max(1, axes)}d")(channels, eps=0.0, dtype=dtype)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor(layer.scale, dtype=dtype))
        norm.bias.copy_(torch.tensor(layer.offset, dtype=dtype))
    return norm


@make_module.register
def _(layer: PiecewiseLinear, place: Place, dtype: Any) -> Any:
    slopes = layer.slopes
    if layer.breaks == (0.0,) and not any(layer.intercepts) and slopes[1] == 1.0:
        if isinstance(slopes[0], float):
            return torch.nn.LeakyReLU(slopes[0]) if slopes[0] else torch.nn.ReLU()
        channels = np.reshape(slopes[0], (place.shape[0], -1))
        if (channels == channels[:, :1]).all():
            unit = torch.nn.PReLU(len(channels), dtype=dtype)
            with torch.no_grad():
                unit.weight.copy_(torch.tensor(channels[:, 0], dtype=dtype))
            return unit
    if slopes == (0.0, 1.0, 0.0) and layer.intercepts[1] == 0.0 and layer.elements is None:
        return torch.nn.Hardtanh(*layer.breaks)
    return PiecewiseLinearUnit(layer, place.shape, dtype)


# --- windows over (channels, *spatial) --------------------------------------------------------------------------


def _around(module: Any, place: Place, taken: Shape, given: Shape) -> Any:
    """A module that takes and gives these shapes, between changes of shape where the network has others."""
    before = [] if place.inputs == (taken,) else [ReshapeRows(taken)]
    after = [] if place.shape == given else [ReshapeRows(place.shape)]
    return torch.nn.Sequential(*before, module, *after) if before or after else module


def _named(layer: Layer, name: str, axes: int) -> Any:
    if axes > 3:
        raise UnsupportedOperator(
            f"a layer of kind {layer.kind!r} over {axes} axes has no PyTorch module, which has at most three; "
            "write the network as ONNX or .npz"
        )
    return getattr(torch.nn, f"{name}{axes}d")


def _even(pads: Any) -> bool:
    return all(before == after for before, after in pads)


@make_module.register
def _(layer: Conv, place: Place, dtype: Any) -> Any:
    axes = len(layer.spatial)
    pads: Any = layer.pads
    conv = _named(layer, "Conv", axes)(
        layer.input_shape[0],
        len(layer.weight),
        layer.weight.shape[2:],
        stride=layer.stride,
        padding=tuple(before for before, _ in pads) if _even(pads) else 0,
        dilation=layer.dilation,
        groups=layer.groups,
        dtype=dtype,
        device="meta",
    ).to_empty(device="cpu")
    with torch.no_grad():
        conv.weight.copy_(torch.tensor(layer.weight, dtype=dtype))
        conv.bias.copy_(torch.tensor(layer.offset, dtype=dtype))
    if not _even(pads):
        widths = tuple(width for pair in pads[::-1] for width in pair)
        conv = torch.nn.Sequential(_named(layer, "ConstantPad", axes)(widths, 0.0), conv)
    return _around(conv, place, layer.input_shape, (len(layer.weight), *layer.output_spatial))


def _half(layer: AveragePool | MaxPool) -> tuple[int, ...] | None:
    """The padding of each axis where torch has it: alike on both sides, and half a kernel at most."""
    kernel: Any = layer.kernel
    pads: Any = layer.pads
    fits = _even(pads) and all(2 * before <= k for (before, _), k in zip(pads, kernel))
    return tuple(before for before, _ in pads) if fits else None


@make_module.register
def _(layer: MaxPool, place: Place, dtype: Any) -> Any:
    taken = (layer.channels, *layer.spatial)
    padding = _half(layer)
    if padding is None:
        return LargestOf(layer, place.shape)
    kind = _named(layer, "MaxPool", len(layer.spatial))
    pool = kind(layer.kernel, layer.stride, padding, layer.dilation, ceil_mode=layer.ceil)
    return _around(pool, place, taken, layer.output_shape(taken))


@make_module.register
def _(layer: AveragePool, place: Place, dtype: Any) -> Any:
    taken = (layer.channels, *layer.spatial)
    given = layer.output_shape(taken)
    padding, kind = _half(layer), _named(layer, "AvgPool", len(layer.spatial))
    if padding is not None:
        pool = kind(layer.kernel, layer.stride, padding, layer.ceil, layer.count_include_pad)
        return _around(pool, place, taken, given)
    shares = sparse.csr_array(layer.rows(math.prod(taken))).max(axis=1).toarray()
    widths: list[int] = []
    kernel: Any = layer.kernel
    stride: Any = layer.stride
    pads: Any = layer.pads
    for size, k, s, (before, _), count in reversed(list(zip(layer.spatial, kernel, stride, pads, given[1:]))):
        # as much as the last window needs, whatever it sticks out
        widths += [before, max(0, (count - 1) * s + k - size - before)]
    sums = PooledSums(layer, torch.tensor(shares.reshape(given), dtype=dtype), widths)
    return _around(sums, place, taken, given)


def _spread(values: Any, shape: Shape, dtype: Any) -> Any:
    array = torch.tensor(np.asarray(values), dtype=dtype)
    return array.reshape(()) if array.numel() == 1 else array.reshape(shape)
