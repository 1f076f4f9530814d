"""A network as an ONNX graph: the nodes of each layer, by its type.

    model = to_model(net)                     an onnx.ModelProto
    @write_layer.register                     the nodes of a layer type of your own

Every constant of the file is a field of a layer, rounded once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.errors import UnsupportedOperator
from reludsl.exact import exactly
from reludsl.io.onnx_reader import BOX_KEY
from reludsl.io.rounding import number_format, rounded
from reludsl.layers import Affine, Layer, PiecewiseLinear, Reshape, Scale, Shape, Shift
from reludsl.network import INPUT, Network

OPSET, IR_VERSION = 13, 7
"""What files are written in: read by every runtime since 2020."""


def to_model(
    net: Network,
    dtype: npt.DTypeLike = np.float32,
    *,
    input_name: str = "input",
    output_name: str = "output",
    batch: bool | None = None,
) -> Any:
    """An `onnx.ModelProto` that computes `rounded(net, dtype)`.

    Layers are nodes of the same name. An affine layer is a Gemm on tensors of rank 2, else a MatMul and an
    Add; ReLU, leaky ReLU, |z| and clipping are the operators of that name; any other activation is a sum of
    these.

    Args:
        batch: True: the first axis is free, and one is put in front of the network's shapes if they do not
            all start with an axis of size 1. False: all sizes are fixed. None: free if all shapes start with
            an axis of size 1 and have another one.

    Raises:
        InvalidInput, UnsupportedOperator: see `reludsl.io.onnx.write_onnx`.

    >>> from reludsl.layers import relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu], (1, 1))
    >>> [node.op_type for node in to_model(net).graph.node]
    ['Gemm', 'Relu']
    """
    from onnx import helper

    chosen = number_format(dtype)
    net = rounded(net, chosen)
    cone = net.cone(net.output)
    shapes = {name: net.shapes[name] for name in (INPUT, *(node.name for node in cone))}
    rows = all(len(s) > 1 and s[0] == 1 for s in shapes.values())
    free = rows if batch is None else batch
    if free and not rows:
        shapes = {name: (1, *shape) for name, shape in shapes.items()}
    writing = Writing(chosen, shapes, free)
    writing.tensors.update({INPUT: input_name, net.output: output_name})
    writing.names.update((input_name, output_name))
    for node in cone:
        if node.name not in writing.tensors:
            writing.tensors[node.name] = writing.name(node.name)
    for node in cone:
        write_layer(node.layer, writing, Place(node.name, node.source))
    kind = helper.np_dtype_to_tensor_dtype(chosen)
    edges = [
        helper.make_tensor_value_info(writing.tensors[name], kind, ["N", *shapes[name][1:]] if free else shapes[name])
        for name in (INPUT, net.output)
    ]
    graph = helper.make_graph(writing.nodes, "reludsl", edges[:1], edges[1:], writing.initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="reludsl")
    model.ir_version = IR_VERSION
    if net.input_box is not None:
        box = {"lower": net.input_box.lower.tolist(), "upper": net.input_box.upper.tolist()}
        helper.set_model_props(model, {BOX_KEY: json.dumps(box)})
    return model


@dataclass(frozen=True)
class Place:
    """Which layer is written: its name and its source, both names in the network."""

    name: str
    source: str


@dataclass
class Writing:
    """Nodes and constants so far."""

    dtype: np.dtype[Any]
    shapes: Mapping[str, Shape]
    free: bool
    tensors: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    nodes: list[Any] = field(default_factory=list)
    initialisers: list[Any] = field(default_factory=list)

    def name(self, wanted: str) -> str:
        """A tensor name that is not taken."""
        chosen, count = wanted, 1
        while chosen in self.names:
            count += 1
            chosen = f"{wanted}_{count}"
        self.names.add(chosen)
        return chosen

    def constant(self, wanted: str, values: Any, dtype: npt.DTypeLike | None = None) -> str:
        from onnx import numpy_helper

        name = self.name(wanted)
        array = np.ascontiguousarray(values).reshape(np.shape(values)).astype(dtype or self.dtype)
        self.initialisers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, place: Place, *inputs: str, **attributes: Any) -> None:
        """The node that computes the layer's value."""
        from onnx import helper

        names = (inputs, [self.tensors[place.name]])
        self.nodes.append(helper.make_node(operator, *names, name=place.name, **attributes))

    def step(self, operator: str, place: Place, suffix: str, *inputs: str) -> str:
        """A node on the way to the layer's value; its output tensor."""
        from onnx import helper

        out = self.name(f"{place.name}.{suffix}")
        self.nodes.append(helper.make_node(operator, inputs, [out], name=out))
        return out

    def source(self, place: Place) -> str:
        return self.tensors[place.source]

    def spread(self, place: Place, values: FloatArray) -> FloatArray:
        """A constant in the shape of the layer's tensor, or one number."""
        return values.reshape(()) if values.size == 1 else values.reshape(self.shapes[place.name])


@singledispatch
def write_layer(layer: Layer, writing: Writing, place: Place) -> None:
    """The nodes of one layer. Register a function for a new layer type."""
    raise UnsupportedOperator(
        f"layer {place.name!r} of kind {layer.kind!r} has no ONNX form; write the network as .npz"
    )


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
    writing.node("Add", Place(place.name, place.source), product, writing.constant(f"{place.name}.bias", layer.offset))
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
def _(layer: Reshape, writing: Writing, place: Place) -> None:
    before, after = writing.shapes[place.source], writing.shapes[place.name]
    if len(after) == 2 and after[0] == 1 and before[:1] == (1,):
        writing.node("Flatten", place, writing.source(place), axis=1)
        return
    target = writing.constant(f"{place.name}.shape", [0, *after[1:]] if writing.free else after, np.int64)
    writing.node("Reshape", place, writing.source(place), target)


@write_layer.register
def _(layer: PiecewiseLinear, writing: Writing, place: Place) -> None:
    source = writing.source(place)
    for operator, attributes, constants in _standard_forms(layer, writing.dtype):
        names = [writing.constant(f"{place.name}.{k}", value) for k, value in constants.items()]
        writing.node(operator, place, source, *names, **attributes)
        return
    _write_sum(layer, writing, place)


def _standard_forms(
    layer: PiecewiseLinear, dtype: np.dtype[Any]
) -> Iterator[tuple[str, dict[str, Any], dict[str, float]]]:
    """Operators that are this activation exactly: operator, attributes, constant inputs."""
    breaks, slopes = layer.breaks, layer.slopes
    if breaks == (0.0,) and not any(layer.intercepts):
        if slopes == (0.0, 1.0):
            yield "Relu", {}, {}
        if slopes == (-1.0, 1.0):
            yield "Abs", {}, {}
        # the attribute is a float32 in every file, and runtimes know the operator for float32 alone
        if dtype == np.float32 and slopes[1] == 1.0:
            yield "LeakyRelu", {"alpha": slopes[0]}, {}
    if slopes == (0.0, 1.0, 0.0) and layer.intercepts[1] == 0.0:
        yield "Clip", {}, {"lower": breaks[0], "upper": breaks[1]}


def _write_sum(layer: PiecewiseLinear, writing: Writing, place: Place) -> None:
    """f(b_1) - s_0 relu(b_1 - z) + sum s_k (clip(z, b_k, b_k+1) - b_k) + s_K relu(z - b_K).

    Every constant is a field of the activation, so that none is rounded twice, and saturated pieces do not
    cancel, as they would in the sum of (s_k - s_k-1) relu(z - b_k).
    """
    source, breaks, slopes = writing.source(place), layer.breaks, layer.slopes
    names: dict[float, str] = {}

    def constant(value: float) -> str:
        if value not in names:
            names[value] = writing.constant(f"{place.name}.c{len(names)}", value)
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
            cut = writing.step("Clip", place, f"cut{k}", source, *ends)
            part = writing.step("Sub", place, f"piece{k}", cut, ends[0])
        terms.append(writing.step("Mul", place, f"term{k}", part, constant(slope)))
    if not terms:
        terms.append(writing.step("Mul", place, "zero", source, constant(0.0)))
    total = terms[0]
    for term in terms[1:]:
        total = writing.step("Add", place, "sum", total, term)
    # the rounded activation takes a number of the format there, exactly; floats might miss it by one unit
    value = float(layer.exact(exactly(np.array([breaks[0] if breaks else 0.0])))[0])
    writing.node("Add", place, total, writing.constant(f"{place.name}.value", value))
