"""Convolution and pooling as ONNX nodes."""

from __future__ import annotations

from typing import Any

from reludsl.io.onnx_nodes.base import Place, Writing, write_layer
from reludsl.layers import AveragePool, Conv, MaxPool, Shape


def _windows(operator: str, writing: Writing, place: Place, taken: Shape, *constants: str, **marks: Any) -> None:
    """A node over (batch, channels, *spatial); `taken` is (channels, *spatial) of the source."""
    source, rank = writing.source(place), len(taken) + 1
    if len(writing.shapes[place.source]) != rank:
        target = writing.constant(f"{place.name}.in", [0 if writing.free else 1, *taken], "int64")
        source = writing.step("Reshape", place, "source", source, target)
    shape = writing.shapes[place.name]
    if len(shape) == rank:
        writing.node(operator, place, source, *constants, **marks)
    else:
        value = writing.step(operator, place, "windows", source, *constants, **marks)
        writing.node("Reshape", place, value, writing.target(place, shape))


def _marks(layer: Any, kernel: Shape) -> dict[str, Any]:
    before, after = zip(*layer.pads)
    return {"kernel_shape": kernel, "strides": layer.stride, "pads": [*before, *after]}


@write_layer.register
def _(layer: Conv, writing: Writing, place: Place) -> None:
    constants = [writing.constant(f"{place.name}.{key}", getattr(layer, key)) for key in ("weight", "offset")]
    marks = {**_marks(layer, layer.weight.shape[2:]), "dilations": layer.dilation, "group": layer.groups}
    _windows("Conv", writing, place, layer.input_shape, *constants, **marks)


@write_layer.register
def _(layer: AveragePool, writing: Writing, place: Place) -> None:
    kernel: Any = layer.kernel
    marks = {"ceil_mode": int(layer.ceil), "count_include_pad": int(layer.count_include_pad)}
    _windows("AveragePool", writing, place, (layer.channels, *layer.spatial), **_marks(layer, kernel), **marks)


@write_layer.register
def _(layer: MaxPool, writing: Writing, place: Place) -> None:
    kernel: Any = layer.kernel
    marks = {"ceil_mode": int(layer.ceil), "dilations": layer.dilation}
    _windows("MaxPool", writing, place, (layer.channels, *layer.spatial), **_marks(layer, kernel), **marks)
