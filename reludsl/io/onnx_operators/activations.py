"""Element by element: Relu, LeakyRelu, PRelu, Abs, Clip, HardSigmoid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from reludsl.errors import InvalidInput
from reludsl.io.onnx_operators.common import Operator, attributes, given, only, refused
from reludsl.io.steps import made
from reludsl.layers import absolute, hard_sigmoid, leaky_relu, prelu, relu

if TYPE_CHECKING:
    from reludsl.io.onnx_reader import Reading


def _relu(reading: Reading, node: Any, label: str) -> str:
    return reading.build.layer(label, relu, only(reading, node, label))


def _abs(reading: Reading, node: Any, label: str) -> str:
    return reading.build.layer(label, absolute, only(reading, node, label))


def _single(value: float) -> float:
    """A default of the operator set, which is a float32."""
    return float(np.float32(value))


def _leaky(reading: Reading, node: Any, label: str) -> str:
    slope = attributes(node).get("alpha", _single(0.01))
    return reading.build.layer(label, made(label, leaky_relu, slope), only(reading, node, label))


def _prelu(reading: Reading, node: Any, label: str) -> str:
    if len(node.input) != 2 or not reading.is_constant(node.input[1]):
        raise refused(label, node, "with computed slopes", "supported are constant slopes")
    source = only(reading, node, label)
    shape, slopes = reading.build.shapes[source], reading.weights(node.input[1], label)
    if reading.opset < 7 and slopes.ndim == 1 and slopes.size > 1:
        # one slope for each channel, before slopes were broadcast
        slopes = slopes.reshape(-1, *(1 for _ in shape[2:]))
    try:
        spread = slopes.ravel() if slopes.size == 1 else np.broadcast_to(slopes, shape).ravel()
    except ValueError:
        raise InvalidInput(
            f"node {label!r} is a PRelu with slopes of shape {slopes.shape} on a tensor of shape {shape}; "
            "give one slope, or slopes that are broadcast to the tensor, e.g. (channels, 1, 1)"
        ) from None
    return reading.build.layer(label, made(label, prelu, spread), source)


def _clip(reading: Reading, node: Any, label: str) -> str:
    low, high = (given(reading, node, label, at, name) for at, name in ((1, "min"), (2, "max")))
    # the largest number of the format stands for no end at all: it is the default of opset 6
    most = float(np.finfo(np.float32).max)
    low = None if low is None or np.all(low <= -most) else np.asarray(low, dtype=np.float64)
    high = None if high is None or np.all(high >= most) else np.asarray(high, dtype=np.float64)
    return reading.build.clip(label, only(reading, node, label), low, high)


def _hard_sigmoid(reading: Reading, node: Any, label: str) -> str:
    marks = attributes(node)
    layer = made(label, hard_sigmoid, marks.get("alpha", _single(0.2)), marks.get("beta", 0.5))
    return reading.build.layer(label, layer, only(reading, node, label))


OPERATORS: Mapping[str, Operator] = {
    "Abs": _abs,
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "Relu": _relu,
}
