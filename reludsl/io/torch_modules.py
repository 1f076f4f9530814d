"""PyTorch modules for the layers that torch.nn has none for. Imports torch: use `reludsl.io.torch` instead."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np
import torch

from reludsl.errors import UnsupportedOperator
from reludsl.exact import exactly
from reludsl.layers import Affine, Layer, PiecewiseLinear, Reshape, Scale, Shape, Shift


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
    """f(b_1) + sum over pieces of s_k (clip(z, b_k, b_k+1) - b_k), left of b_1 measured from b_1."""

    def __init__(self, activation: PiecewiseLinear, dtype: Any) -> None:
        super().__init__()
        breaks = activation.breaks or (0.0,)
        slopes = activation.slopes if activation.breaks else activation.slopes * 2
        value = float(activation.exact(exactly(np.array([breaks[0]])))[0])
        self.register_buffer("breaks", torch.tensor(breaks, dtype=dtype))
        self.register_buffer("slopes", torch.tensor(slopes, dtype=dtype))
        self.register_buffer("value", torch.tensor(value, dtype=dtype))

    def forward(self, x: Any) -> Any:
        breaks, slopes = self.breaks, self.slopes
        total = self.value + slopes[0] * torch.minimum(x - breaks[0], torch.zeros_like(breaks[0]))
        for k in range(1, len(slopes)):
            above = torch.maximum(x, breaks[k - 1])
            cut = torch.minimum(above, breaks[k]) if k < len(breaks) else above
            total = total + slopes[k] * (cut - breaks[k - 1])
        return total


@singledispatch
def make_module(layer: Layer, shape: Shape, dtype: Any) -> Any:
    """The module of a layer; `shape` is that of its value, without the batch axis."""
    raise UnsupportedOperator(
        f"a layer of kind {layer.kind!r} has no PyTorch module; known are Affine, Shift, Scale, Reshape, "
        "PiecewiseLinear"
    )


@make_module.register
def _(layer: Affine, shape: Shape, dtype: Any) -> Any:
    n_out, n_in = layer.weight.shape
    # memory without values: random ones would move the caller's generator on
    linear = torch.nn.Linear(n_in, n_out, dtype=dtype, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(layer.dense, dtype=dtype))
        linear.bias.copy_(torch.tensor(layer.offset, dtype=dtype))
    return linear


@make_module.register
def _(layer: Shift, shape: Shape, dtype: Any) -> Any:
    return AddConstant(_spread(layer.offset, shape, dtype))


@make_module.register
def _(layer: Scale, shape: Shape, dtype: Any) -> Any:
    constant = _spread(layer.factor, shape, dtype)
    return DivideConstant(constant) if layer.divide else MultiplyConstant(constant)


@make_module.register
def _(layer: Reshape, shape: Shape, dtype: Any) -> Any:
    return torch.nn.Flatten() if len(shape) == 1 else ReshapeRows(shape)


@make_module.register
def _(layer: PiecewiseLinear, shape: Shape, dtype: Any) -> Any:
    is_relu = layer.breaks == (0.0,) and layer.slopes == (0.0, 1.0) and not any(layer.intercepts)
    return torch.nn.ReLU() if is_relu else PiecewiseLinearUnit(layer, dtype)


def _spread(values: Any, shape: Shape, dtype: Any) -> Any:
    array = torch.tensor(np.asarray(values), dtype=dtype)
    return array.reshape(()) if array.numel() == 1 else array.reshape(shape)
