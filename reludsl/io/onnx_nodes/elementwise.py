"""Affine layers, constants, activations and sums as ONNX nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from reludsl.exact import exactly
from reludsl.io.onnx_nodes.base import Place, Writing, write_layer
from reludsl.layers import Affine, BatchNorm, PiecewiseLinear, Scale, Shift, Sum


@write_layer.register
def _(layer: Affine, writing: Writing, place: Place) -> None:
    source = writing.source(place)
    if len(writing.shapes[place.source]) == 2:
        weight = writing.constant(f"{place.name}.weight", layer.dense)
        bias = writing.constant(f"{place.name}.bias", layer.offset)
        writing.node("Gemm", place, source, weight, bias, transB=1)
        return
    weight = writing.constant(f"{place.name}.weight", layer.dense.T)
    product = writing.step("MatMul", place, "product", source, weight)
    # a name that reading restores: the matrix product names the layer
    writing.nodes[-1].name = place.name
    writing.node("Add", place, product, writing.constant(f"{place.name}.bias", layer.offset))
    writing.nodes[-1].name = f"{place.name}.sum"


@write_layer.register
def _(layer: Shift, writing: Writing, place: Place) -> None:
    constant = writing.constant(f"{place.name}.constant", writing.spread(place, layer.offset))
    writing.node("Add", place, writing.source(place), constant)


@write_layer.register
def _(layer: Scale, writing: Writing, place: Place) -> None:
    constant = writing.constant(f"{place.name}.constant", writing.spread(place, layer.factor))
    writing.node("Div" if layer.divide else "Mul", place, writing.source(place), constant)


@write_layer.register
def _(layer: BatchNorm, writing: Writing, place: Place) -> None:
    scale, offset = (writing.narrow(place, np.repeat(v, layer.positions)) for v in (layer.scale, layer.offset))
    product = writing.step(
        "Mul", place, "scaled", writing.source(place), writing.constant(f"{place.name}.scale", scale)
    )
    writing.node("Add", place, product, writing.constant(f"{place.name}.offset", offset))


@write_layer.register
def _(layer: Sum, writing: Writing, place: Place) -> None:
    if len(place.sources) == 1 and len(layer.signs) > 1:
        _write_sum_of_one(layer, writing, place)
        return
    first, *others = writing.sources(place)
    if layer.signs[0] < 0:
        first = writing.step("Neg", place, "negative", first)
    if not others:
        writing.node("Identity", place, first)
    elif len(others) > 1 and all(sign > 0 for sign in layer.signs[1:]):
        writing.node("Sum", place, first, *others)
    else:
        for sign, other in zip(layer.signs[1:-1], others):
            first = writing.step("Add" if sign > 0 else "Sub", place, "sum", first, other)
        writing.node("Add" if layer.signs[-1] > 0 else "Sub", place, first, others[-1])


def _write_sum_of_one(layer: Sum, writing: Writing, place: Place) -> None:
    """All terms stand in one tensor, one after the other."""
    flat, size = writing.flat(place)
    count = len(layer.signs)
    terms = writing.constant(f"{place.name}.terms", [0 if writing.free else 1, count, size // count], np.int64)
    tensor = writing.step("Reshape", place, "apart", flat, terms)
    if any(sign < 0 for sign in layer.signs):
        signs = writing.constant(f"{place.name}.signs", np.array(layer.signs, dtype=np.float64).reshape(1, count, 1))
        tensor = writing.step("Mul", place, "signed", tensor, signs)
    axes = writing.constant(f"{place.name}.axes", [1], np.int64)
    total = writing.step("ReduceSum", place, "total", tensor, axes, keepdims=0)
    writing.finish(place, total, (1, size // count))


@write_layer.register
def _(layer: PiecewiseLinear, writing: Writing, place: Place) -> None:
    source = writing.source(place)
    for operator, attributes, constants in _standard_forms(layer, writing.dtype):
        names = [
            "" if value is None else writing.constant(f"{place.name}.{k}", writing.narrow(place, np.array(value)))
            for k, value in constants.items()
        ]
        writing.node(operator, place, source, *names, **attributes)
        return
    _write_sum(layer, writing, place)


def _standard_forms(layer: PiecewiseLinear, dtype: np.dtype[Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Operators that are this activation exactly: operator, attributes, constant inputs."""
    breaks, slopes = layer.breaks, layer.slopes
    if breaks == (0.0,) and not any(layer.intercepts):
        if slopes == (0.0, 1.0):
            yield "Relu", {}, {}
        if slopes == (-1.0, 1.0):
            yield "Abs", {}, {}
        # the attribute is a float32 in every file, and runtimes know both operators for float32 alone
        if dtype == np.float32 and slopes[1] == 1.0:
            if isinstance(slopes[0], float):
                yield "LeakyRelu", {"alpha": slopes[0]}, {}
            else:
                yield "PRelu", {}, {"slope": slopes[0]}
    if len(slopes) > 1 and slopes in ((0.0, 1.0, 0.0), (0.0, 1.0), (1.0, 0.0)):
        steep = slopes.index(1.0)
        if layer.intercepts[steep] == 0.0:
            low, high = (breaks[0] if steep else None), (breaks[-1] if slopes[-1] == 0.0 else None)
            if all(end is None or isinstance(end, float) for end in (low, high)):
                yield "Clip", {}, {"lower": low, "upper": high} if high is not None else {"lower": low}
            elif high is None:
                yield "Max", {}, {"lower": low}
            elif low is None:
                yield "Min", {}, {"upper": high}


def _write_sum(layer: PiecewiseLinear, writing: Writing, place: Place) -> None:
    """f(b_1) - s_0 relu(b_1 - z) + sum s_k (clip(z, b_k, b_k+1) - b_k) + s_K relu(z - b_K).

    Every constant is a field of the activation, so that none is rounded twice, and saturated pieces do not
    cancel, as they would in the sum of (s_k - s_k-1) relu(z - b_k).
    """
    source, breaks, slopes = writing.source(place), layer.breaks, layer.slopes
    names: dict[Any, str] = {}

    def constant(value: Any) -> str:
        if value not in names:
            names[value] = writing.constant(f"{place.name}.c{len(names)}", writing.narrow(place, np.array(value)))
        return names[value]

    terms: list[str] = []
    for k, slope in enumerate(slopes):
        if slope == 0:
            continue
        if not breaks:
            part = source
        elif k == 0:
            below = writing.step("Sub", place, "below", constant(breaks[0]), source)
            part = writing.step("Neg", place, "negative", writing.step("Relu", place, "left", below))
        elif k == len(breaks):
            above = writing.step("Sub", place, "above", source, constant(breaks[-1]))
            part = writing.step("Relu", place, "right", above)
        else:
            ends = (constant(breaks[k - 1]), constant(breaks[k]))
            if all(isinstance(end, float) for end in breaks[k - 1 : k + 1]):
                cut = writing.step("Clip", place, f"cut{k}", source, *ends)
            else:
                raised = writing.step("Max", place, f"raised{k}", source, ends[0])
                cut = writing.step("Min", place, f"cut{k}", raised, ends[1])
            part = writing.step("Sub", place, f"piece{k}", cut, ends[0])
        terms.append(writing.step("Mul", place, f"term{k}", part, constant(slope)))
    if not terms:
        terms.append(writing.step("Mul", place, "zero", source, constant(0.0)))
    total = terms[0]
    for term in terms[1:]:
        total = writing.step("Add", place, "sum", total, term)
    # the rounded activation takes a number of the format there, exactly; floats might miss it by one unit
    size = layer.elements or 1
    foot = layer.breaks_at(size)[0] if breaks else np.zeros(size)
    value = layer.exact(exactly(foot)).astype(np.float64)
    writing.node("Add", place, total, writing.constant(f"{place.name}.value", writing.narrow(place, value)))
