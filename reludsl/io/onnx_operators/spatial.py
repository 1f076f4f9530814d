"""Windows over (1, C, *spatial): Conv, pooling, BatchNormalization, Pad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reludsl.errors import InvalidInput
from reludsl.io.onnx_operators.common import Operator, attributes, given, integers, only, refused, text
from reludsl.io.steps import Mode

if TYPE_CHECKING:
    from reludsl.io.onnx_reader import Reading

MODES: Mapping[str, Mode] = {"constant": "constant", "reflect": "reflect", "edge": "edge", "wrap": "wrap"}
"""Of Pad; numpy calls them the same."""


def _conv(reading: Reading, node: Any, label: str) -> str:
    if any(name and not reading.is_constant(name) for name in node.input[1:]):
        raise refused(label, node, "with computed weights", "supported are constant weights and bias")
    source, marks = only(reading, node, label), attributes(node)
    weight = reading.weights(node.input[1], label)
    offset = reading.weights(node.input[2], label) if len(node.input) > 2 and node.input[2] else None
    axes = weight.ndim - 2
    _, spatial = reading.build.channels(label, source, max(1, axes))
    stride, dilation = _each(marks, "strides", axes), _each(marks, "dilations", axes)
    pads = _pads(marks, spatial, weight.shape[2:], stride, dilation, label)
    return reading.build.conv(label, source, weight, offset, stride, pads, dilation, marks.get("group", 1))


def _each(marks: Mapping[str, Any], name: str, axes: int) -> list[int]:
    return list(marks.get(name) or [1] * axes)


def _pads(
    marks: Mapping[str, Any],
    spatial: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    label: str,
) -> list[tuple[int, int]]:
    """(before, after) of each axis: stated, or so that the output is as long as the input divided by the stride."""
    auto = text(marks.get("auto_pad", "NOTSET"))
    if auto in ("NOTSET", ""):
        stated = list(marks.get("pads") or [0] * (2 * len(kernel)))
        return list(zip(stated[: len(kernel)], stated[len(kernel) :]))
    if auto == "VALID":
        return [(0, 0)] * len(kernel)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise InvalidInput(f"node {label!r} has auto_pad {auto!r}; there are NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    pairs = []
    for size, k, s, d in zip(spatial, kernel, stride, dilation):
        total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if auto == "SAME_UPPER" else (more, less))
    return pairs


def _pool(reading: Reading, node: Any, label: str) -> str:
    source, marks = only(reading, node, label), attributes(node)
    kernel = list(marks["kernel_shape"])
    _, spatial = reading.build.channels(label, source, len(kernel))
    stride, dilation = _each(marks, "strides", len(kernel)), _each(marks, "dilations", len(kernel))
    pads = _pads(marks, spatial, kernel, stride, dilation, label)
    ceil = bool(marks.get("ceil_mode", 0))
    if node.op_type == "MaxPool":
        if any(reading.used(name) for name in node.output[1:]):
            raise refused(label, node, "whose indices are used", "supported is the maximum alone")
        return reading.build.max_pool(label, source, kernel, stride, pads, dilation, ceil)
    if any(d != 1 for d in dilation):
        raise refused(label, node, f"with dilations {dilation}", "supported are dilations of 1")
    counts = bool(marks.get("count_include_pad", 0))
    return reading.build.average_pool(label, source, kernel, stride, pads, ceil, counts)


def _global(reading: Reading, node: Any, label: str) -> str:
    source = only(reading, node, label)
    _, spatial = reading.build.channels(label, source, max(1, len(reading.build.shapes[source]) - 2))
    pool = reading.build.max_pool if node.op_type == "GlobalMaxPool" else reading.build.average_pool
    return pool(label, source, spatial)


def _batch_norm(reading: Reading, node: Any, label: str) -> str:
    marks = attributes(node)
    if marks.get("training_mode", 0) or any(node.output[1:]):
        raise refused(label, node, "in training mode, which depends on the batch", "export for inference")
    if not marks.get("spatial", 1):
        raise refused(label, node, "with statistics for each element", "supported are those of channels")
    if len(node.input) != 5:
        raise InvalidInput(f"node {label!r} (BatchNormalization) has {len(node.input)} inputs; give five")
    if not all(reading.is_constant(name) for name in node.input[1:]):
        raise refused(label, node, "with computed statistics", "supported are constant ones: export for inference")
    scale, bias, mean, variance = (reading.weights(name, label) for name in node.input[1:])
    # the default is a float32 as well
    epsilon = marks.get("epsilon", float(np.float32(1e-5)))
    return reading.build.batch_norm(label, only(reading, node, label), scale, bias, mean, variance, epsilon)


def _pad(reading: Reading, node: Any, label: str) -> str:
    marks = attributes(node)
    source = only(reading, node, label)
    mode = text(marks.get("mode", "constant"))
    if mode not in MODES:
        raise refused(label, node, f"in mode {mode!r}", f"supported are {', '.join(MODES)}")
    stated = given(reading, node, label, 1, "pads" if reading.opset > 1 else "paddings")
    fill = given(reading, node, label, 2, "value")
    chosen = given(reading, node, label, 3, "axes")
    rank = len(reading.build.shapes[source])
    axes = range(rank) if chosen is None else integers(chosen)
    pads = integers(stated) if stated is not None else []
    if len(pads) != 2 * len(axes):
        raise InvalidInput(
            f"node {label!r} pads {len(axes)} axes by {pads}; give a number before and one after for each axis"
        )
    widths = [(0, 0)] * rank
    for axis, before, after in zip(axes, pads, pads[len(axes) :]):
        widths[axis] = (before, after)
    value = 0.0 if fill is None or not np.size(fill) else float(np.ravel(fill)[0])
    return reading.build.pad(label, source, widths, MODES[mode], value)


OPERATORS: Mapping[str, Operator] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    "MaxPool": _pool,
    "Pad": _pad,
}
