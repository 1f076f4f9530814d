"""Element by element: relu, leaky_relu, prelu, hardtanh, clamp, abs, ..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from reludsl.io.steps import made
from reludsl.io.torch_operators.common import Handle, Tensor
from reludsl.layers import PiecewiseLinear, absolute, hard_sigmoid, hard_tanh, leaky_relu, prelu, relu, relu6

if TYPE_CHECKING:
    from reludsl.io.torch_reader import Tracing


def _plain(layer: PiecewiseLinear) -> Handle:
    def read(t: Tracing, label: str, input: Tensor, inplace: bool = False) -> Tensor:
        return Tensor(t.build.layer(label, layer, input.name))

    return read


def _leaky_relu(t: Tracing, label: str, input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    return Tensor(t.build.layer(label, made(label, leaky_relu, float(negative_slope)), input.name))


def _hard_tanh(
    t: Tracing, label: str, input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    return Tensor(t.build.layer(label, made(label, hard_tanh, float(min_val), float(max_val)), input.name))


def _prelu(t: Tracing, label: str, input: Tensor, weight: Any) -> Tensor:
    slopes, shape = t.constant(weight, label), t.shape(input)
    if slopes.size > 1:
        # channels stand on axis 1
        slopes = np.broadcast_to(slopes.reshape(-1, *(1 for _ in shape[2:])), shape)
    return Tensor(t.build.layer(label, made(label, prelu, slopes.ravel()), input.name))


def _clamp(t: Tracing, label: str, input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    low, high = (None if end is None else t.constant(end, label) for end in (min, max))
    return Tensor(t.build.clip(label, input.name, low, high))


FUNCTIONS: Mapping[str, Handle] = {
    "abs": _plain(absolute),
    "absolute": _plain(absolute),
    "clamp": _clamp,
    "clamp_max": lambda t, label, input, max: _clamp(t, label, input, None, max),
    "clamp_min": lambda t, label, input, min: _clamp(t, label, input, min),
    "clip": _clamp,
    "hardsigmoid": _plain(hard_sigmoid(1 / 6)),
    "hardtanh": _hard_tanh,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "relu": _plain(relu),
    "relu6": _plain(relu6),
}

MODULES: Mapping[str, Handle] = {
    "ReLU6": lambda t, label, m, x: FUNCTIONS["relu6"](t, label, x),
    "Hardtanh": lambda t, label, m, x: _hard_tanh(t, label, x, m.min_val, m.max_val),
    "Hardsigmoid": lambda t, label, m, x: FUNCTIONS["hardsigmoid"](t, label, x),
    "LeakyReLU": lambda t, label, m, x: _leaky_relu(t, label, x, m.negative_slope),
    "PReLU": lambda t, label, m, x: _prelu(t, label, x, m.weight),
    "ReLU": lambda t, label, m, x: FUNCTIONS["relu"](t, label, x),
}
"""ReLU6 is a Hardtanh, and stands first."""
