"""Branches, windows and selections in files and modules: every operator, every layer type, there and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.io import (
    from_torch,
    onnx_operators,
    read,
    read_onnx,
    read_with_report,
    rounded,
    to_torch,
    torch_operators,
    write,
    write_onnx,
)
from reludsl.io.onnx import from_model, register_operator, to_model
from reludsl.io.torch import register_module
from reludsl.layers import (
    Affine,
    AffineLayer,
    AveragePool,
    BatchNorm,
    Conv,
    Gather,
    Layer,
    Max,
    MaxPool,
    PiecewiseLinear,
    Reshape,
    Shift,
    Sum,
    absolute,
    clip,
    concatenated,
    hard_sigmoid,
    hard_tanh,
    larger,
    leaky_relu,
    maxout,
    prelu,
    register,
    registry,
    relu,
    relu6,
    transposed,
)
from reludsl.network import INPUT, Network, Node
from reludsl.testing.strategies import random_graph

Need = Callable[[str], Any]


def eighths(*shape: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).integers(-8, 9, shape) / 8


# --- ONNX operators against onnxruntime ----------------------------------------------------------------------------


def model(
    nodes: Sequence[Any], constants: dict[str, Any], shape: Sequence[Any], *, opset: int = 13, outputs: int = 1
) -> Any:
    """A model with input x and output y; shapes in between are left to the runtime."""
    from onnx import helper, numpy_helper

    held = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    x, y = helper.make_tensor_value_info("x", 1, shape), helper.make_tensor_value_info("y", 1, None)
    graph = helper.make_graph(list(nodes), "g", [x], [y], held)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    built.ir_version = 7
    return built


def node(operator: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    from onnx import helper

    names = ["" if name == "_" else name for name in inputs.split()]
    first = "" if outputs.startswith("y") else f"{outputs.split()[0]}_"
    return helper.make_node(operator, names, outputs.split(), name=f"{first}{operator.lower()}_node", **attributes)


def agrees(built: Any, need: Need, count: int = 6) -> Network:
    """The network of a model, after comparison with onnxruntime, output shape included."""
    onnxruntime = need("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(built.SerializeToString(), options, providers=["CPUExecutionProvider"])
    net = from_model(built)
    points = np.random.default_rng(1).integers(-16, 17, (count, net.input_size)) / 8
    runs = [session.run(None, {"x": p.reshape(net.input_shape).astype(np.float32)})[0] for p in points]
    assert runs[0].shape == net.output_shape
    theirs = np.stack([run.astype(np.float64).ravel() for run in runs])
    np.testing.assert_allclose(net(points).reshape(count, -1), theirs, atol=4e-6, rtol=4e-6)
    return net


f32 = np.float32
W2 = eighths(4, 3, 3, 3).astype(f32)
DEPTHWISE = eighths(6, 1, 2, 3).astype(f32)
W1 = eighths(2, 3, 3).astype(f32)
IMAGE = (1, 3, 7, 6)


def floats(values: Any) -> Any:
    return np.array(values, dtype=f32)


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


CASES: dict[str, tuple[tuple[int, ...], list[Any], dict[str, Any], int]] = {}
"""By name: input shape, nodes as (operator, inputs, outputs, attributes), constants, opset."""


def case(name: str, shape: tuple[int, ...], *nodes: Any, opset: int = 13, **constants: Any) -> None:
    CASES[name] = (shape, list(nodes), constants, opset)


case("conv", IMAGE, ("Conv", "x W B", "y", {}), W=W2, B=eighths(4).astype(f32))
case("conv_no_bias", IMAGE, ("Conv", "x W", "y", {"pads": [1, 0, 2, 1], "strides": [2, 1]}), W=W2)
case("conv_dilated", IMAGE, ("Conv", "x W", "y", {"dilations": [2, 1], "pads": [1, 1, 1, 1]}), W=W2)
case("conv_grouped", IMAGE, ("Conv", "x W", "y", {"group": 3, "kernel_shape": [2, 3]}), W=DEPTHWISE)
case("conv_valid", IMAGE, ("Conv", "x W", "y", {"auto_pad": "VALID", "strides": [2, 2]}), W=W2)
case("conv_upper", IMAGE, ("Conv", "x W", "y", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}), W=W2)
case(
    "conv_lower",
    IMAGE,
    ("Conv", "x W", "y", {"auto_pad": "SAME_LOWER", "strides": [3, 1]}),
    W=DEPTHWISE[:, :1].repeat(3, 1),
)
case("conv_1d", (1, 3, 9), ("Conv", "x W", "y", {"pads": [1, 2], "strides": [2]}), W=W1)
case("conv_3d", (1, 1, 3, 4, 3), ("Conv", "x W", "y", {}), W=eighths(2, 1, 2, 3, 1).astype(f32))
POOL = {"kernel_shape": [3, 2], "strides": [2, 2]}
for _kind in ("AveragePool", "MaxPool"):
    case(f"{_kind}_plain", IMAGE, (_kind, "x", "y", {"kernel_shape": [2, 3]}))
    case(f"{_kind}_padded", IMAGE, (_kind, "x", "y", {**POOL, "pads": [1, 0, 2, 1]}))
    case(f"{_kind}_ceil", IMAGE, (_kind, "x", "y", {**POOL, "pads": [1, 1, 1, 1], "ceil_mode": 1}))
    case(f"{_kind}_upper", IMAGE, (_kind, "x", "y", {**POOL, "auto_pad": "SAME_UPPER"}))
    case(f"{_kind}_lower", IMAGE, (_kind, "x", "y", {**POOL, "auto_pad": "SAME_LOWER"}))
    case(f"Global{_kind}", IMAGE, (f"Global{_kind}", "x", "y", {}))
    case(f"{_kind}_1d", (1, 2, 7), (_kind, "x", "y", {"kernel_shape": [3], "strides": [2]}))
case("average_counts_pads", IMAGE, ("AveragePool", "x", "y", {**POOL, "pads": [1, 1, 1, 0], "count_include_pad": 1}))
case(
    "average_counts_pads_ceil", IMAGE,
    ("AveragePool", "x", "y", {**POOL, "pads": [1, 1, 1, 1], "count_include_pad": 1, "ceil_mode": 1}), opset=19,
)  # fmt: skip
case("max_dilated", IMAGE, ("MaxPool", "x", "y", {"kernel_shape": [2, 2], "dilations": [2, 3]}))
STATISTICS: dict[str, Any] = {
    "g": floats([1.5, -0.5, 2]),
    "b": floats([0.25, 0, -1]),
    "m": floats([0.5, -1, 0]),
    "v": floats([0.5, 2, 1]),
}
case("batch_norm", IMAGE, ("BatchNormalization", "x g b m v", "y", {"epsilon": 0.01}), **STATISTICS)
case("batch_norm_flat", (1, 3), ("BatchNormalization", "x g b m v", "y", {}), opset=9, **STATISTICS)
case("pad_inputs", IMAGE, ("Pad", "x p c", "y", {}), p=ints(0, 0, 1, 2, 0, 1, 0, 0), c=floats(0.75))
case("pad_attributes", IMAGE, ("Pad", "x", "y", {"pads": [0, 0, 1, 0, 0, 0, 0, 2], "value": -1.5}), opset=10)
case("pad_negative", IMAGE, ("Pad", "x p", "y", {}), p=ints(0, 0, -1, 1, 0, 0, -2, 0))
case("pad_axes", IMAGE, ("Pad", "x p _ a", "y", {}), p=ints(1, 2), a=ints(-1), opset=18)
case("pad_reflect", IMAGE, ("Pad", "x p", "y", {"mode": "reflect"}), p=ints(0, 0, 1, 2, 0, 0, 2, 0))
case("pad_edge", IMAGE, ("Pad", "x p", "y", {"mode": "edge"}), p=ints(0, 0, 1, 2, 0, 0, 2, 0))
case("add_two", IMAGE, ("Relu", "x", "a", {}), ("Add", "a x", "y", {}))
case("subtract_two", IMAGE, ("Relu", "x", "a", {}), ("Sub", "x a", "y", {}))
case("add_itself", (1, 4), ("Add", "x x", "y", {}))
case("add_broadcast", (1, 3, 4), ("ReduceMean", "x", "m", {"axes": [2]}), ("Sub", "x m", "y", {}))
case("add_outer", (1, 3), ("Reshape", "x s", "t", {}), ("Add", "x t", "y", {}), s=ints(3, 1))
case(
    "sum_three", (1, 3), ("Relu", "x", "a", {}), ("Neg", "x", "b", {}), ("Sum", "a b x c", "y", {}), c=floats([1, 2, 3])
)
case("mean_three", (1, 4), ("Relu", "x", "a", {}), ("Mean", "a x c", "y", {}), c=floats([1, 2, 3, 4]))
for _kind in ("Max", "Min"):
    case(f"{_kind}_two", (1, 4), ("Neg", "x", "a", {}), (_kind, "a x", "y", {}))
    case(f"{_kind}_constant", (1, 4), (_kind, "x c", "y", {}), c=floats(0.5))
    case(f"{_kind}_vector", (1, 4), (_kind, "c x", "y", {}), c=floats([0.5, -1, 0, 1]))
    case(
        f"{_kind}_mixed",
        (1, 4),
        ("Neg", "x", "a", {}),
        (_kind, "a c x d", "y", {}),
        c=floats(0.5),
        d=floats([[1, 0, 0.25, 1]]),
    )
    case(f"{_kind}_wider", (1, 2), (_kind, "x c", "y", {}), c=floats([[0.5], [-1], [0.25]]))
    case(f"Reduce{_kind}", (1, 3, 4), (f"Reduce{_kind}", "x", "y", {"axes": [1], "keepdims": 0}))
case("max_zero", (1, 4), ("Max", "x c", "y", {}), c=floats(0))
case("reduce_mean_spatial", IMAGE, ("ReduceMean", "x", "y", {"axes": [2, 3], "keepdims": 0}))
case("reduce_mean_middle", IMAGE, ("ReduceMean", "x", "y", {"axes": [1, -1]}))
case("reduce_mean_all", (2, 3), ("ReduceMean", "x", "y", {}))
case("reduce_mean_18", IMAGE, ("ReduceMean", "x a", "y", {}), a=ints(2), opset=18)
case("reduce_sum", IMAGE, ("ReduceSum", "x a", "y", {"keepdims": 0}), a=ints(1, 3))
case("reduce_sum_11", IMAGE, ("ReduceSum", "x", "y", {"axes": [-1]}), opset=11)
case("reduce_none", (1, 3), ("ReduceSum", "x", "t", {"noop_with_empty_axes": 1}), ("Relu", "t", "y", {}))
case("concat", (1, 2, 3), ("Relu", "x", "a", {}), ("Concat", "x a x", "y", {"axis": 2}))
case("concat_constant", (1, 2, 3), ("Concat", "c x", "y", {"axis": -1}), c=eighths(1, 2, 2).astype(f32))
case("concat_fill", (1, 2, 3), ("Concat", "c x", "y", {"axis": 1}), c=np.full((1, 1, 3), 0.5, f32))
case("split_13", (1, 6), ("Split", "x s", "a b c", {"axis": 1}), ("Concat", "c a", "y", {"axis": 1}), s=ints(1, 2, 3))
case("split_11", (1, 6), ("Split", "x", "a b", {"axis": -1, "split": [2, 4]}), ("Neg", "b", "y", {}), opset=11)
case("split_equal", (1, 6), ("Split", "x", "a b", {"axis": 1}), ("Sub", "a b", "y", {}))
case("split_uneven", (1, 7), ("Split", "x", "a b c", {"axis": 1, "num_outputs": 3}), ("Neg", "c", "y", {}), opset=18)
case(
    "slice_inputs", IMAGE, ("Slice", "x s e a t", "y", {}), s=ints(1, -1), e=ints(99, -7), a=ints(2, -1), t=ints(2, -2)
)
case("slice_back", (1, 5), ("Slice", "x s e a t", "y", {}), s=ints(-1), e=ints(-(2**62)), a=ints(1), t=ints(-1))
case("slice_attributes", IMAGE, ("Slice", "x", "y", {"starts": [0, 1], "ends": [2, 5], "axes": [1, 3]}), opset=9)
case("gather", IMAGE, ("Gather", "x i", "y", {"axis": 2}), i=np.array([[0, -1], [2, 2]]))
case("gather_one", IMAGE, ("Gather", "x i", "y", {"axis": 1}), i=np.array(1))
case("transpose", IMAGE, ("Transpose", "x", "y", {"perm": [0, 2, 3, 1]}))
case("transpose_all", (1, 2, 3), ("Transpose", "x", "y", {}))
case("squeeze", (1, 2, 1, 3), ("Squeeze", "x a", "y", {}), ("Relu", "y", "z", {}), a=ints(-2))
case("squeeze_all", (1, 2, 1, 3), ("Relu", "x", "t", {}), ("Squeeze", "t", "y", {}))
case("unsqueeze", (1, 3), ("Relu", "x", "t", {}), ("Unsqueeze", "t a", "y", {}), a=ints(1, -1))
case("unsqueeze_11", (1, 3), ("Relu", "x", "t", {}), ("Unsqueeze", "t", "y", {"axes": [2]}), opset=11)
case("expand", (1, 3, 1), ("Expand", "x s", "y", {}), s=ints(2, 1, 4))
case("expand_less", (1, 3), ("Relu", "x", "t", {}), ("Expand", "t s", "y", {}), s=ints(1))
case("tile", (1, 3), ("Tile", "x r", "y", {}), r=ints(2, 2))
case("clip_inputs", (1, 5), ("Clip", "x l h", "y", {}), l=floats(-0.5), h=floats(1))
case("clip_open", (1, 5), ("Clip", "x _ h", "y", {}), h=floats(1))
case("clip_6", (1, 5), ("Clip", "x", "y", {"min": 0.0, "max": 6.0}), opset=6)
case("clip_6_open", (1, 5), ("Clip", "x", "y", {"min": 0.25}), opset=6)
case("leaky_relu", (1, 5), ("LeakyRelu", "x", "y", {"alpha": 0.3}))
case("leaky_default", (1, 5), ("LeakyRelu", "x", "y", {}))
case("prelu_channels", IMAGE, ("PRelu", "x s", "y", {}), s=floats([[[0.5]], [[-1]], [[0.1]]]))
case("prelu_one", IMAGE, ("PRelu", "x s", "y", {}), s=floats([0.25]))
case("abs", (1, 5), ("Abs", "x", "y", {}))
case("hard_sigmoid", (1, 5), ("HardSigmoid", "x", "y", {}))
case("hard_sigmoid_steep", (1, 5), ("HardSigmoid", "x", "y", {"alpha": 0.75, "beta": 0.25}))
case("cast", (1, 5), ("Cast", "x", "d", {"to": 11}), ("Cast", "d", "t", {"to": 1}), ("Relu", "t", "y", {}))
case("dropout", (1, 5), ("Relu", "x", "t", {}), ("Dropout", "t", "y", {"ratio": 0.5}), opset=11)
case("scale_wider", (1, 3), ("Mul", "x c", "y", {}), c=floats([[2], [0.5]]))
case("divide_wider", (1, 3), ("Div", "x c", "y", {}), c=floats([[2], [0.5]]))
case(
    "gemm_rows", (3, 2), ("Gemm", "x W C", "y", {"transA": 1}), W=eighths(3, 4).astype(f32), C=eighths(2, 4).astype(f32)
)
case("folded", (1, 4),
     ("Shape", "x", "s", {}), ("Gather", "s one", "n", {}), ("Cast", "n", "k", {"to": 1}), ("Sqrt", "k", "q", {}),
     ("ConstantOfShape", "s", "z", {}), ("Add", "z q", "c", {}), ("Floor", "c", "d", {}), ("Range", "o n1 o1", "r", {}),
     ("Max", "d r", "m", {}), ("Split", "m", "m1 m2", {"axis": 1}), ("Concat", "m2 m1", "k2", {"axis": 1}),
     ("Mul", "x k2", "y", {}), one=np.array(1), o=floats(0), n1=floats(4), o1=floats(1))  # fmt: skip
case("size", (2, 3), ("Size", "x", "s", {}), ("Cast", "s", "k", {"to": 1}), ("Div", "x k", "y", {}))


@pytest.mark.parametrize("name", CASES)
def test_operator_agrees_with_onnxruntime_and_survives_writing(name: str, need: Need) -> None:
    shape, parts, constants, opset = CASES[name]
    nodes = [node(operator, inputs, outputs, **marks) for operator, inputs, outputs, marks in parts]
    built = model(nodes, constants, shape, opset=opset)
    net = agrees(built, need)
    x = eighths(5, net.input_size)
    again = from_model(to_model(net, np.float64))
    np.testing.assert_allclose(again(x), net(x), rtol=1e-15, atol=1e-15)
    agrees(_renamed(to_model(rounded(net, np.float32))), need, 3)


def _renamed(built: Any) -> Any:
    """The model of a network with the names that `agrees` asks for."""
    built.graph.input[0].name = "x"
    for made in built.graph.node:
        for k, name in enumerate(made.input):
            made.input[k] = "x" if name == "input" else name
    return built


def test_channels_of_old_prelu_stand_on_axis_1() -> None:
    net = from_model(model([node("PRelu", "x s")], {"s": floats([2, 3])}, (1, 2, 2), opset=6))
    np.testing.assert_array_equal(net(-np.ones(4)), [-2, -2, -3, -3])


def test_max_pool_of_one_branch_and_conv_of_another_are_kept_as_what_they_are(need: Need) -> None:
    nodes = [
        node("MaxPool", "x", "a", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Conv", "x W", "b", pads=[1, 1, 1, 1]),
        node("Concat", "a b", "c", axis=1),
        node("GlobalAveragePool", "c", "d"),
        node("Flatten", "d", "y"),
    ]
    net = agrees(model(nodes, {"W": W2}, ["N", 3, 7, 6]), need)
    assert [n.layer.kind for n in net.nodes] == ["max_pool", "conv", "concat", "average_pool", "reshape"]
    assert net.nodes[2].sources == ("a_maxpool_node", "b_conv_node")


@pytest.mark.parametrize(
    ("parts", "constants", "message"),
    [
        ([("Sigmoid", "x", "y", {})], {}, "'sigmoid_node' is a Sigmoid, which is not piecewise linear"),
        ([("HardSwish", "x", "y", {})], {}, "is a HardSwish, which is not piecewise linear"),
        ([("Tanh", "x", "y", {})], {}, "supported are Abs, Add, AveragePool"),
        ([("Floor", "x", "y", {})], {}, "'floor_node' is a Floor, and no layer stands for it"),
        ([("Cast", "x", "y", {"to": 7})], {}, "to INT64, which jumps"),
        ([("BatchNormalization", "x g b m v", "y", {"training_mode": 1})], STATISTICS, "training mode"),
        ([("Conv", "x x", "y", {})], {}, "computed weights"),
        ([("MaxPool", "x", "a i", {"kernel_shape": [1, 1]}), ("Cast", "i", "y", {"to": 1})], {}, "indices are used"),
        ([("AveragePool", "x", "y", {"kernel_shape": [2, 2], "dilations": [2, 2]})], {}, "dilations"),
        ([("Gather", "c x", "y", {})], {"c": floats([1, 2])}, "computed indices"),
        ([("PRelu", "x x", "y", {})], {}, "computed slopes"),
        ([("Clip", "x x", "y", {})], {}, "computed 'min'"),
        ([("Pad", "x p", "y", {"mode": "other"})], {"p": ints(*[0] * 8)}, "mode 'other'"),
        ([("Relu", "x", "a", {}), ("Div", "a x", "y", {})], {}, "not piecewise linear"),
    ],
)  # fmt: skip
def test_what_no_layer_stands_for_is_refused_with_the_guide(
    parts: list[Any], constants: dict[str, Any], message: str
) -> None:
    nodes = [node(operator, inputs, outputs, **marks) for operator, inputs, outputs, marks in parts]
    with pytest.raises(UnsupportedOperator, match=message) as caught:
        from_model(model(nodes, constants, IMAGE, opset=19))
    assert "docs/how-to/add-a-layer.md says how to add a layer type" in str(caught.value)
    assert "_node'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "constants", "message"),
    [
        ([("Conv", "x W", "y", {})], {"W": W1}, "'conv_node'.* follows a tensor of shape"),
        ([("Conv", "x W", "y", {"auto_pad": "SAME"})], {"W": W2}, "SAME_UPPER"),
        ([("Conv", "x W", "y", {"pads": [-1, 0, 0, 0]})], {"W": W2}, "crop with a Gather"),
        ([("MaxPool", "x", "y", {"kernel_shape": [9, 9]})], {}, "does not fit"),
        ([("Neg", "x", "a", {}), ("Concat", "a c", "y", {"axis": 0})], {"c": floats([[1]])}, "joins tensors of shapes"),
        ([("Transpose", "x", "t", {}), ("Add", "t x", "y", {})], {}, "cannot be broadcast to one shape"),
        ([("Slice", "x s e", "y", {})], {"s": ints(5), "e": ints(6)}, "takes no element"),
        ([("Split", "x s", "y b", {"axis": 1})], {"s": ints(1, 1)}, "do not add up"),
        ([("ReduceMean", "x", "y", {"axes": [7]})], {}, "has none such"),
        ([("Expand", "x s", "y", {})], {"s": ints(5)}, "only axes of size 1"),
        ([("Squeeze", "x a", "y", {})], {"a": ints(1)}, "they must have size 1"),
        ([("PRelu", "x s", "y", {})], {"s": floats([1, 2])}, "slopes of shape"),
        ([("Clip", "x l h", "y", {})], {"l": floats(1), "h": floats(0)}, "must increase"),
        ([("Pad", "x p", "y", {})], {"p": ints(1, 1)}, "a number before and one after"),
        ([("Pad", "x p c", "y", {})], {"p": ints(*[1] * 8), "c": floats(-np.inf)}, "finite"),
        ([("HardSigmoid", "x", "y", {"alpha": -1.0})], {}, "positive slope"),
        ([("Gather", "x i", "y", {"axis": 1})], {"i": ints(9)}, "cannot be read"),
    ],
)
def test_shapes_and_constants_that_mean_nothing_are_refused_with_the_node(
    parts: list[Any], constants: dict[str, Any], message: str
) -> None:
    nodes = [node(operator, inputs, outputs, **marks) for operator, inputs, outputs, marks in parts]
    with pytest.raises(InvalidInput, match=message) as caught:
        from_model(model(nodes, constants, IMAGE))
    assert "_node" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- the doors -----------------------------------------------------------------------------------------------------


@pytest.fixture
def doors() -> Iterator[None]:
    """What a test registers is taken back."""
    tables: list[dict[Any, Any]] = [
        onnx_operators.OPERATORS, onnx_operators.FOREIGN, torch_operators.REGISTERED, registry._TYPES,
    ]  # fmt: skip
    before = [dict(table) for table in tables]
    yield
    for table, held in zip(tables, before):
        table.clear()
        table.update(held)


@pytest.mark.usefixtures("doors")
def test_registered_operator_is_read_and_a_known_one_is_not_replaced() -> None:
    def read_double(reading: Any, node: Any, label: str) -> str:
        factor = np.array(reading.attributes(node)["factor"])
        return str(reading.build.scale(label, reading.value(node.input[0]), factor))

    register_operator("Swell", read_double, domain="example.org")
    register_operator("Swell", read_double)
    nodes = [node("Swell", "x", "t", domain="example.org", factor=2.0), node("Swell", "t", factor=2.0)]
    assert from_model(model(nodes, {}, (1, 2)))(np.ones(2)).tolist() == [4, 4]
    for name, domain in (("Swell", "example.org"), ("Swell", ""), ("Relu", "ai.onnx"), ("Shape", ""), ("A", "reludsl")):
        with pytest.raises(InvalidInput, match=rf"{name} is known already"):
            register_operator(name, read_double, domain=domain)
    with pytest.raises(UnsupportedOperator, match=r"org\.other\.Swell.*example\.org\.Swell"):
        from_model(model([node("Swell", "x", domain="org.other")], {}, (1, 2)))


@dataclass(frozen=True, eq=False)
class Swing(AffineLayer):
    """y = rate x + bend, with fields of every kind."""

    bend: FloatArray
    order: Any
    width: int
    rate: float = 1.5
    exact_rate: float = 0.1
    label: str = "swing"
    flags: tuple[Any, ...] = (True, None, (1, 2.5))
    steps: tuple[int, ...] = (1, 2)
    plain: bool = False

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def bias(self) -> FloatArray:
        return np.asarray(self.bend)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, self.width)

    def apply(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.rate * x[..., self.order])


@pytest.mark.usefixtures("doors")
@pytest.mark.parametrize("name", ["net.onnx", "net.npz"])
def test_layer_registered_from_outside_is_held_by_its_fields(name: str, tmp_path: Path, need: Need) -> None:
    register(Swing)
    swing = Swing(np.array([0.25, 0.1, 0.5]), np.array([2, 0, 1]), 3)
    nodes = (Node("a", relu, INPUT), Node("s", swing, "a"), Node("b", Sum((1, -1)), "s", INPUT))
    net = rounded(Network(nodes, (1, 3)), np.float32)
    write(net, tmp_path / name)
    again = read(tmp_path / name)
    found = again.by_name["s"].layer
    assert isinstance(found, Swing)
    fields = ("width", "rate", "exact_rate", "label", "flags", "steps", "plain")
    assert all(getattr(found, f) == getattr(swing, f) for f in fields)
    assert type(found.plain) is bool
    assert found.order.dtype == np.int64
    np.testing.assert_array_equal(again(eighths(9, 3)), net(eighths(9, 3)))
    if name.endswith("onnx"):
        need("onnxruntime")
        report = read_with_report(tmp_path / name)[1]
        assert report.difference is None
        assert "does not run the file" in report.reason
    registry._TYPES.pop("Swing")
    with pytest.raises(InvalidInput, match="'Swing' is registered"):
        read(tmp_path / name)
    with pytest.raises(UnsupportedOperator, match="register"):
        write(net, tmp_path / name)


@pytest.mark.usefixtures("doors")
def test_fields_that_no_file_holds_are_named(tmp_path: Path) -> None:
    register(Swing)
    odd = Swing(np.zeros(3), sparse.csr_array(np.eye(3)), 3)
    net = Network.chain([odd], (1, 3))
    with pytest.raises((InvalidInput, UnsupportedOperator), match="'order' of Swing"):
        write_onnx(net, tmp_path / "net.onnx")
    assert not any(tmp_path.iterdir())


# --- every layer type in files and modules -------------------------------------------------------------------------

WIDE = (1, 2, 4, 3)
FLAT = math.prod(WIDE)


def _layers() -> dict[str, Layer]:
    def pool(kind: Any, **more: Any) -> Any:
        return kind(2, (4, 3), **{"kernel": (2, 3), "stride": (2, 1), **more})

    some = np.random.default_rng(3).integers(-1, FLAT, 12)
    numbers = np.arange(FLAT).reshape(WIDE)
    padded = np.pad(numbers, ((0, 0), (0, 0), (1, 2), (0, 1)), constant_values=-1)
    return {
        "conv": Conv(eighths(3, 2, 2, 3), eighths(3), (4, 3), (2, 1), ((1, 1), (0, 0))),
        "conv_uneven": Conv(eighths(2, 1, 2, 2), eighths(2), (4, 3), 1, ((1, 0), (0, 2)), 1, 2),
        "average": pool(AveragePool),
        "average_counts": pool(AveragePool, pads=1, count_include_pad=True),
        "average_ceil": pool(AveragePool, kernel=2, stride=2, ceil=True),
        "average_uneven": pool(AveragePool, pads=((1, 0), (0, 1))),
        "average_uneven_counts": pool(AveragePool, pads=((1, 0), (0, 1)), count_include_pad=True),
        "max_pool": pool(MaxPool, pads=1),
        "max_pool_ceil": pool(MaxPool, kernel=2, stride=2, ceil=True, dilation=1),
        "max_pool_uneven": pool(MaxPool, pads=((1, 0), (0, 1))),
        "batch_norm": BatchNorm(np.array([1.5, -0.5]), np.array([0.25, 1.0]), 12),
        "batch_norm_flat": BatchNorm(eighths(FLAT), eighths(FLAT)),
        "transpose": transposed(WIDE, (0, 2, 3, 1)),
        "pad": Gather(padded, FLAT, padded.shape, "pad", 0.5),
        "slice": Gather(numbers[:, ::-1, 1:3, ::2], FLAT, (1, 2, 2, 2), "slice"),
        "pick": Gather(numbers[:, :, [3, 0, 0]], FLAT, (1, 2, 3, 3)),
        "repeat": Gather(np.repeat(np.arange(FLAT), 2), FLAT, (*WIDE, 2)),
        "gather": Gather(some, FLAT, (1, 3, 4), fill=0.25),
        "gather_row": Gather(np.abs(some), FLAT, (1, 12)),
        "maxout": Max(maxout(FLAT, 4).index, FLAT, (1, 6)),
        "max": Max(np.random.default_rng(3).integers(0, FLAT, (6, 3)), FLAT, (1, 2, 3)),
        "sum_one": Sum((-1,)),
        "reshape": Reshape((1, 3, 8)),
        "shift": Shift(eighths(FLAT)),
        "absolute": absolute,
        "leaky_relu": leaky_relu(0.25),
        "prelu": prelu(np.repeat([0.25, -0.5], 12)),
        "prelu_each": prelu(eighths(FLAT)),
        "hard_tanh": hard_tanh(),
        "relu6": relu6,
        "hard_sigmoid": hard_sigmoid(0.25),
        "clip_low": clip(low=-0.5),
        "clip_high": clip(high=0.5),
        "clip_each": PiecewiseLinear("clip", (eighths(FLAT),), (0, 1), (eighths(FLAT),) * 2),
        "cap_each": PiecewiseLinear("clip", (eighths(FLAT),), (1, 0), (eighths(FLAT),) * 2),
        "each": PiecewiseLinear("each", (eighths(FLAT) - 1, eighths(FLAT) + 0.5), (0.5, eighths(FLAT, seed=1), 2)),
        "each_open": PiecewiseLinear("open", (), (eighths(FLAT),), (0, eighths(FLAT, seed=1))),
    }  # fmt: skip


LAYERS = _layers()


def written(net: Network, tmp_path: Path, need: Need) -> None:
    """ONNX and npz hold exactly the network, and onnxruntime agrees, with a free batch axis and without."""
    x = eighths(7, net.input_size)
    write(net, tmp_path / "net.npz")
    again = read(tmp_path / "net.npz")
    assert [(n.name, n.sources, n.layer.kind) for n in again.nodes] == [
        (n.name, n.sources, n.layer.kind) for n in net.nodes
    ]
    assert again.shapes == net.shapes
    np.testing.assert_array_equal(again(x), net(x))
    small = rounded(net, np.float32)
    for batch in (None, False, True):
        write_onnx(net, tmp_path / "net.onnx", batch=batch)
        found, report = read_with_report(tmp_path / "net.onnx")
        assert report.reason == ""
        assert report.difference is not None
        assert report.difference < 1e-5
        assert found.output_shape in (net.output_shape, (1, *net.output_shape))
        np.testing.assert_allclose(found(x), small(x), rtol=1e-15, atol=1e-15)
    # several rows at once, where the batch axis is free
    onnxruntime = need("onnxruntime")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    rows = x.astype(f32).reshape(7, *session.get_inputs()[0].shape[1:])
    many = session.run(None, {"input": rows})[0]
    np.testing.assert_allclose(many.reshape(7, -1), small(x), atol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_written_as_the_function_it_is(name: str, tmp_path: Path, need: Need) -> None:
    written(Network.chain([LAYERS[name]], WIDE), tmp_path, need)


@pytest.mark.parametrize("name", ["conv", "average_counts", "max_pool", "batch_norm", "pad", "prelu"])
def test_layer_on_a_tensor_without_batch_axis_is_written(name: str, tmp_path: Path, need: Need) -> None:
    layer = LAYERS[name]
    if isinstance(layer, Gather):
        layer = Gather(layer.index, layer.size, layer.shape[1:], "pad", 0.5)
    written(Network.chain([layer], WIDE[1:]), tmp_path, need)


def test_one_channel_without_batch_axis_is_not_taken_for_a_batch(tmp_path: Path, need: Need) -> None:
    layers: list[Layer] = [Conv(eighths(1, 1, 2, 2), np.zeros(1), (4, 3)), relu, MaxPool(1, (3, 2), 2)]
    written(Network.chain(layers, (1, 4, 3)), tmp_path, need)
    made = to_torch(Network.chain(layers, (1, 4, 3)), np.float64)
    x = eighths(6, 12)
    torch = need("torch")
    theirs = made(torch.tensor(x.reshape(6, 4, 3))).detach().numpy().reshape(6, -1)
    np.testing.assert_allclose(theirs, Network.chain(layers, (1, 4, 3))(x), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "operators"),
    [
        ("conv", ["Conv"]),
        ("average", ["AveragePool"]),
        ("max_pool", ["MaxPool"]),
        ("batch_norm", ["Mul", "Add"]),
        ("transpose", ["Transpose"]),
        ("pad", ["Pad"]),
        ("slice", ["Slice"]),
        ("pick", ["Gather"]),
        ("repeat", ["Flatten", "Gather", "Reshape"]),
        ("gather", ["Flatten", "Pad", "Gather", "Reshape"]),
        ("gather_row", ["Flatten", "Gather"]),
        ("maxout", ["Flatten", "Gather", "ReduceMax"]),
        ("prelu", ["PRelu"]),
        ("prelu_each", ["PRelu"]),
        ("clip_low", ["Clip"]),
        ("clip_high", ["Clip"]),
        ("clip_each", ["Max"]),
        ("cap_each", ["Min"]),
        ("relu6", ["Clip"]),
    ],
)
def test_layer_is_written_with_the_operators_that_onnx_has_for_it(name: str, operators: list[str]) -> None:
    built = to_model(Network.chain([LAYERS[name]], WIDE))
    assert [n.op_type for n in built.graph.node] == operators
    sizes = {t.name: math.prod(t.dims) for t in built.graph.initializer}
    assert name != "prelu" or sizes["0_prelu.slope"] == 2


def _branches() -> dict[str, Network]:
    pair = (Node("a", absolute, INPUT), Node("b", leaky_relu(0.25), INPUT))
    shape = (1, 2, 3)
    made: dict[str, tuple[Any, ...]] = {
        "add": (Node("y", Sum((1, 1)), "a", "b"),),
        "subtract": (Node("y", Sum((1, -1)), "a", "b"),),
        "negative": (Node("y", Sum((-1, 1, -1)), "a", "b", INPUT),),
        "sum": (Node("y", Sum((1, 1, 1)), "a", "b", "a"),),
        "same": (Node("y", Sum((1, 1)), "b", "b"),),
        "larger": (Node("y", larger(shape, 3), "a", "b", INPUT),),
        "max": (Node("y", Max(np.array([[0, 7, 11], [3, 3, 8]]), 12, (1, 2)), "a", "b"),),
        "concat": (Node("y", concatenated((shape, shape), 1), "a", "b"),),
        "concat_last": (Node("y", concatenated((shape, shape), -1), "a", "b"),),
        "gather": (Node("y", Gather(np.array([11, 0, -1, 6]), 12, (1, 4), fill=0.5), "a", "b"),),
        "affine": (
            Node("c", Affine(eighths(3, 6), eighths(3)), "f"),
            Node("y", Affine(eighths(2, 9), eighths(2)), "c", "f"),
        ),
        "shift": (Node("y", Shift(eighths(12)), "a", "b"),),
        "conv": (Node("r", Reshape((2, 3)), "a"), Node("y", Conv(eighths(1, 2, 2, 2), eighths(1), (2, 3)), "r", "r")),
        "reshape": (Node("y", Reshape((1, 3, 4)), "a", "b"),),
    }
    flat = Node("f", Reshape((1, 6)), "a")
    return {
        name: Network((*pair, *([flat] if name == "affine" else []), *nodes), shape, "y")
        for name, nodes in made.items()
    }


BRANCHES = _branches()


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_that_meet_are_written(name: str, tmp_path: Path, need: Need) -> None:
    written(BRANCHES[name], tmp_path, need)


def test_fill_of_a_selection_is_rounded_with_the_weights() -> None:
    layer = rounded(Network.chain([Gather(np.array([-1]), 1, (1,), fill=0.1)], (1,)), np.float32).nodes[0].layer
    assert isinstance(layer, Gather)
    assert layer.fill == np.float32(0.1)


@pytest.mark.parametrize("seed", range(12))
def test_random_graph_is_written_and_read_in_every_format(seed: int, tmp_path: Path, need: Need) -> None:
    net = random_graph(seed)
    x = eighths(6, net.input_size)
    write(net, tmp_path / "net.npz")
    np.testing.assert_array_equal(read(tmp_path / "net.npz")(x), net(x))
    write_onnx(net, tmp_path / "net.onnx", dtype=np.float64)
    np.testing.assert_allclose(read_onnx(tmp_path / "net.onnx")(x), net(x), rtol=1e-12, atol=1e-12)
    torch = need("torch")
    made = to_torch(net, np.float64)
    with torch.no_grad():
        rows = torch.tensor(x.reshape(6, *net.input_shape))
        np.testing.assert_allclose(made(rows).numpy().reshape(6, -1), net(x), rtol=1e-12, atol=1e-12)


# --- PyTorch -------------------------------------------------------------------------------------------------------


@pytest.fixture
def torch(need: Need) -> Any:
    found = need("torch")
    found.manual_seed(0)
    return found


def module(torch: Any, forward: Callable[..., Any], **parts: Any) -> Any:
    """A module with the given parts and forward pass; tensors become buffers."""

    class Made(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                if isinstance(part, torch.Tensor):
                    self.register_buffer(name, part)
                else:
                    setattr(self, name, part)

        def forward(self, x: Any) -> Any:
            return forward(self, x)

    return Made().eval()


def matches(torch: Any, made: Any, shape: tuple[int, ...]) -> Network:
    """The network of a module, after comparison on points with eighths as coordinates."""
    made = made.double().eval()
    net = from_torch(made, shape)
    x = np.random.default_rng(0).integers(-16, 17, (5, net.input_size)) / 8
    with torch.no_grad():
        runs = [made(torch.tensor(row.reshape(shape))) for row in x]
    assert tuple(runs[0].shape) == net.output_shape
    np.testing.assert_allclose(net(x).reshape(5, -1), np.stack([r.numpy().ravel() for r in runs]), atol=1e-9)
    return net


def _shaken(torch: Any, part: Any) -> Any:
    """Random statistics in every batch normalisation."""
    for m in part.modules():
        if hasattr(m, "running_var") and m.running_var is not None:
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
            if m.weight is not None:
                torch.nn.init.normal_(m.weight)
                torch.nn.init.normal_(m.bias)
    return part


@pytest.mark.parametrize(
    ("make", "shape", "kinds"),
    [
        (lambda nn: nn.Conv2d(2, 4, 3, padding=1, stride=2), (1, 2, 6, 5), ["conv"]),
        (lambda nn: nn.Conv2d(2, 4, (2, 3), padding="same", bias=False), (1, 2, 6, 5), ["conv"]),
        (lambda nn: nn.Conv2d(2, 4, 3, padding="valid", dilation=(1, 2), groups=2), (1, 2, 6, 5), ["conv"]),
        (lambda nn: nn.Conv2d(2, 4, 3), (2, 6, 5), ["conv"]),
        (lambda nn: nn.Conv1d(3, 2, 4, padding="same"), (1, 3, 9), ["conv"]),
        (lambda nn: nn.Conv3d(1, 2, 2), (1, 1, 3, 3, 3), ["conv"]),
        (lambda nn: nn.BatchNorm2d(2), (1, 2, 3, 3), ["batch_norm"]),
        (lambda nn: nn.BatchNorm1d(4, affine=False), (1, 4), ["batch_norm"]),
        (lambda nn: nn.BatchNorm1d(4, eps=0.1), (1, 4, 3), ["batch_norm"]),
        (lambda nn: nn.AvgPool2d(3, 2, 1), (1, 2, 6, 5), ["average_pool"]),
        (lambda nn: nn.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True), (1, 2, 6, 5), ["average_pool"]),
        (lambda nn: nn.AvgPool2d(2, ceil_mode=True), (1, 2, 5, 5), ["average_pool"]),
        (lambda nn: nn.AvgPool1d(3), (1, 2, 9), ["average_pool"]),
        (lambda nn: nn.MaxPool2d((3, 2), padding=1), (1, 2, 6, 5), ["max_pool"]),
        (lambda nn: nn.MaxPool2d(2, 2, ceil_mode=True), (1, 2, 5, 5), ["max_pool"]),
        (lambda nn: nn.MaxPool1d(3, 1, dilation=2), (1, 2, 9), ["max_pool"]),
        (lambda nn: nn.AdaptiveAvgPool2d(1), (1, 2, 6, 5), ["average_pool"]),
        (lambda nn: nn.AdaptiveAvgPool2d((3, None)), (1, 2, 6, 5), ["average_pool"]),
        (lambda nn: nn.AdaptiveMaxPool2d((2, 1)), (1, 2, 6, 5), ["max_pool"]),
        (lambda nn: nn.AdaptiveAvgPool1d(3), (1, 2, 6), ["average_pool"]),
        (lambda nn: nn.LeakyReLU(0.3), (1, 4), ["leaky_relu"]),
        (lambda nn: nn.PReLU(), (1, 2, 3), ["prelu"]),
        (lambda nn: nn.PReLU(2), (1, 2, 3), ["prelu"]),
        (lambda nn: nn.ReLU6(), (1, 4), ["relu6"]),
        (lambda nn: nn.Hardtanh(-0.5, 2), (1, 4), ["hard_tanh"]),
        (lambda nn: nn.Hardsigmoid(), (1, 4), ["hard_sigmoid"]),
        (lambda nn: nn.Sequential(nn.Dropout(), nn.ReLU(), nn.Dropout1d(), nn.AlphaDropout()), (1, 2, 2), ["relu"]),
        (lambda nn: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Flatten(), nn.Identity()), (1, 6), ["reshape"] * 2),
        (lambda nn: nn.ZeroPad2d((1, 0, 2, 1)), (1, 2, 3, 3), ["pad"]),
        (lambda nn: nn.ConstantPad1d(1, 0.5), (1, 2, 3), ["pad"]),
        (lambda nn: nn.ReflectionPad2d(1), (1, 2, 3, 3), ["pad"]),
        (lambda nn: nn.CircularPad1d((1, 2)), (1, 2, 3), ["pad"]),
        (lambda nn: nn.Linear(4, 3, bias=False), (1, 4), ["affine"]),
        (lambda nn: nn.Linear(4, 3), (1, 5, 4), ["reshape", "affine", "reshape"]),
    ],
)  # fmt: skip
def test_module_matches(torch: Any, make: Callable[..., Any], shape: tuple[int, ...], kinds: list[str]) -> None:
    net = matches(torch, _shaken(torch, torch.nn.Sequential(make(torch.nn))), shape)
    assert [n.layer.kind for n in net.nodes] == kinds


ADDED = 3.5
FUNCTIONS: list[tuple[Callable[..., Any], tuple[int, ...]]] = [
    (lambda t, f, m, x: f.leaky_relu(f.hardtanh(x, -1, 0.5), 0.2), (1, 4)),
    (lambda t, f, m, x: f.relu6(x * 4) + f.relu(x, inplace=False), (1, 4)),
    (lambda t, f, m, x: f.hardsigmoid(x) - t.abs(x), (1, 4)),
    (lambda t, f, m, x: f.conv2d(x, m.w2, stride=2, padding=(1, 0)), (1, 2, 5, 4)),
    (lambda t, f, m, x: f.conv1d(x, m.w1, m.b1, padding="same"), (1, 2, 5)),
    (lambda t, f, m, x: f.max_pool2d(x, 2), (1, 2, 5, 4)),
    (lambda t, f, m, x: f.max_pool2d(f.avg_pool2d(x, 2, 1, 1), (2, 1), stride=(1, 2), ceil_mode=True), (1, 2, 5, 4)),
    (lambda t, f, m, x: f.adaptive_avg_pool2d(x, (1, 2)), (1, 2, 5, 4)),
    (lambda t, f, m, x: f.adaptive_max_pool2d(x, 1), (1, 2, 5, 4)),
    (lambda t, f, m, x: f.batch_norm(x, m.mean, m.var, m.mean, m.var), (1, 2, 3)),
    (lambda t, f, m, x: t.batch_norm(x, m.var, m.mean, m.mean, m.var, False, 0.1, 0.5, False), (1, 2, 3)),
    (lambda t, f, m, x: f.pad(x, (1, 2, 0, 1), value=0.5), (1, 2, 3)),
    (lambda t, f, m, x: f.pad(x, (1, -1)), (1, 2, 3)),
    (lambda t, f, m, x: f.pad(x, (1, 1), mode="replicate"), (1, 2, 3)),
    (lambda t, f, m, x: f.prelu(x, m.mean), (1, 2, 3)),
    (lambda t, f, m, x: x.clamp(-0.5, 0.75) + t.clamp(x, min=0) + x.clamp(max=m.var), (1, 2)),
    (lambda t, f, m, x: t.maximum(x, -x) + t.minimum(x, m.var) + t.max(x, m.mean), (1, 2)),
    (lambda t, f, m, x: x.max(1)[0] + t.min(x, dim=1, keepdim=True)[0] + x.amax((1, 2)), (1, 2, 3)),
    (lambda t, f, m, x: t.cat([x, x.relu(), m.row], dim=1), (1, 2)),
    (lambda t, f, m, x: t.stack((x, -x), 1) + t.stack([m.row, x], dim=-2), (1, 2)),
    (lambda t, f, m, x: t.cat(x.chunk(2, dim=1)[::-1], 1), (1, 5, 2)),
    (lambda t, f, m, x: x.split(2, 1)[1] - x.split([1, 2, 2], dim=1)[2], (1, 5)),
    (lambda t, f, m, x: x.narrow(1, 1, 2) + x[:, :2] + x[..., -2:], (1, 5)),
    (lambda t, f, m, x: x[:, 1, ::2] + x[0, 0, 1:3] - x[:, [0, 2]].sum(1)[:, None, 1], (1, 3, 4)),
    (lambda t, f, m, x: x[:, : x.size(1) // 2].permute(0, 2, 1).transpose(1, 2), (1, 4, 3)),
    (lambda t, f, m, x: x.squeeze().unsqueeze(0).unsqueeze(-1).squeeze(-1), (1, 1, 3)),
    (
        lambda t, f, m, x: x.mean(dim=(2, 3)) + x.sum((1, 2, 3)) + t.mean(x, 3, keepdim=True).flatten(1)[:, :2],
        (1, 2, 3, 4),
    ),
    (lambda t, f, m, x: x.mean() + t.sum(x), (1, 3)),
    (lambda t, f, m, x: x.flip(1).repeat(1, 2) + x.expand(2, 3).reshape(1, 6), (1, 3)),
    (lambda t, f, m, x: x.swapaxes(1, 2).movedim(2, 1).contiguous().to(t.float64) + x.detach(), (1, 2, 3)),
    (lambda t, f, m, x: x @ m.row.T + t.mm(x.T.T, m.row.t()) + t.addmm(m.one, x, m.row.t()), (1, 2)),
    (lambda t, f, m, x: x.index_select(1, m.order) + x.unflatten(1, (1, 3)).view(1, x.shape[-1]) / x.ndim, (1, 3)),
    (lambda t, f, m, x: sum([x, x.relu(), f.dropout1d(x, training=m.training)]), (1, 2, 3)),
]


@pytest.mark.parametrize(("forward", "shape"), FUNCTIONS)
def test_operations_match(torch: Any, forward: Callable[..., Any], shape: tuple[int, ...]) -> None:
    parts = {
        "w2": torch.randn(3, 2, 2, 3),
        "w1": torch.randn(3, 2, 2),
        "b1": torch.randn(3),
        "mean": torch.randn(2),
        "var": torch.rand(2) + 1,
        "row": torch.randn(1, 2),
        "one": torch.randn(1),
        "order": torch.tensor([2, 0, 1]),
    }
    matches(torch, module(torch, lambda m, x: forward(torch, torch.nn.functional, m, x), **parts), shape)


@pytest.mark.parametrize(
    "forward",
    [
        lambda t, m, x: m.two(t.relu_(m.one(x))),
        lambda t, m, x: m.two(m.one(x).relu_().add_(1).mul_(0.5)),
        lambda t, m, x: m.two(t.nn.functional.relu(m.one(x), True)),
        lambda t, m, x: m.two(m.one(x).clamp_(-0.5, 0.5).abs_()),
    ],
)
def test_operations_in_place_of_values_used_once_match(torch: Any, forward: Callable[..., Any]) -> None:
    parts = {"one": torch.nn.Linear(3, 4), "two": torch.nn.Linear(4, 2)}
    matches(torch, module(torch, lambda m, x: forward(torch, m, x), **parts), (1, 3))


def test_value_that_is_changed_in_place_is_the_new_one_afterwards(torch: Any) -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.one(x)
        before = y * 2
        y += 1
        m.act(y)
        return y + before

    parts = {"one": torch.nn.Linear(3, 4), "act": torch.nn.ReLU(inplace=True)}
    matches(torch, module(torch, forward, **parts), (1, 3))


def resnet(torch: Any) -> Any:
    """Two blocks, one of them with a projection, as in torchvision but smaller."""
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inside: int, outside: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outside)
            self.act = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(outside)
            self.short = None
            if stride > 1:
                self.short = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

        def forward(self, x: Any) -> Any:
            out = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
            out += x if self.short is None else self.short(x)
            return functional.relu(out)

    class Net(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
            self.blocks = nn.Sequential(Block(4, 4, 1), nn.Sequential(Block(4, 6, 2)))
            self.head = nn.Linear(6, 3)

        def forward(self, x: Any) -> Any:
            x = self.blocks(self.stem(x))
            x = functional.adaptive_avg_pool2d(x, 1)
            return self.head(torch.flatten(x, 1))

    return _shaken(torch, Net())


def test_residual_network_of_torch_is_read_written_and_made_again(torch: Any, tmp_path: Path) -> None:
    net = matches(torch, resnet(torch), (1, 2, 8, 8))
    kinds = [n.layer.kind for n in net.nodes]
    assert (kinds.count("conv"), kinds.count("batch_norm"), kinds.count("add")) == (6, 5, 2)
    names = [n.name for n in net.nodes]
    assert names[:3] == ["stem.0", "stem.1", "stem.2"]
    assert "blocks.1.0.short.0" in names
    x = eighths(6, net.input_size)
    write_onnx(net, tmp_path / "net.onnx")
    np.testing.assert_allclose(read_onnx(tmp_path / "net.onnx")(x), rounded(net, f32)(x), atol=1e-12)
    made = to_torch(net, np.float64)
    with torch.no_grad():
        np.testing.assert_allclose(made(torch.tensor(x.reshape(6, 2, 8, 8))).numpy(), net(x), atol=1e-12)
    again = from_torch(made, (1, 2, 8, 8))
    np.testing.assert_allclose(again(x), net(x), atol=1e-12)
    assert [n.layer.kind for n in again.nodes] == kinds


def test_module_that_asks_for_shapes_is_read_by_export(torch: Any) -> None:
    def forward(m: Any, x: Any) -> Any:
        if x.shape[1] != 2:
            raise ValueError("two channels")
        for part in m.parts:
            x = part(x) if len(x.shape) == 4 else x.relu_()
        first, second = x.split([1, 3], dim=1)
        y = torch.cat([second, first.flip(1)], dim=1)[:, 1:, :, -2:]
        y = torch.nn.functional.max_pool2d(y, 2, 1).mean((2, 3)).clamp(min=-0.5)
        return m.head(y)

    parts = torch.nn.ModuleList([torch.nn.Conv2d(2, 4, 3, padding="same"), torch.nn.BatchNorm2d(4), torch.nn.ReLU()])
    made = _shaken(torch, module(torch, forward, parts=parts, head=torch.nn.Linear(3, 2)))
    net = matches(torch, made, (1, 2, 4, 3))
    assert [n.layer.kind for n in net.nodes][:3] == ["conv", "batch_norm", "relu"]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("lead", [True, False])
def test_layer_becomes_a_module_that_computes_the_same(torch: Any, name: str, lead: bool) -> None:
    layer, shape = LAYERS[name], WIDE if lead else WIDE[1:]
    net = Network.chain([layer], shape)
    made = to_torch(net, np.float64)
    x = eighths(4, FLAT)
    with torch.no_grad():
        theirs = made(torch.tensor(x.reshape(4, *WIDE[1:]))).numpy()
    np.testing.assert_allclose(theirs.reshape(4, -1), net(x), atol=1e-12)
    if lead:
        np.testing.assert_allclose(from_torch(made, WIDE)(x), net(x), atol=1e-12)


@pytest.mark.parametrize("name", BRANCHES)
def test_branches_become_a_module_that_is_read_again(torch: Any, name: str) -> None:
    net = BRANCHES[name]
    made = to_torch(net, np.float64)
    x = eighths(4, 6)
    rows = all(len(s) > 1 and s[0] == 1 for s in net.shapes.values())
    given = torch.tensor(x.reshape(4, *(net.input_shape[1:] if rows else net.input_shape)))
    with torch.no_grad():
        np.testing.assert_allclose(made(given).numpy().reshape(4, -1), net(x), atol=1e-12)
    np.testing.assert_allclose(from_torch(made, (1, *given.shape[1:]))(x).reshape(4, -1), net(x), atol=1e-12)


@pytest.mark.usefixtures("doors")
def test_registered_module_is_read_whole_and_a_known_one_is_not_replaced(torch: Any) -> None:
    class Odd(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("factor", torch.tensor([0.5, 2.0]))

        def forward(self, x: Any) -> Any:
            return torch.where(x > 0, x * self.factor, -x * self.factor)

    def read_odd(reading: Any, module: Any, label: str, source: str) -> str:
        scaled = reading.build.layer(f"{label}.abs", absolute, source)
        return str(reading.build.scale(label, scaled, reading.constant(module.factor, label)))

    made = torch.nn.Sequential(torch.nn.Linear(3, 2), Odd())
    with pytest.raises(UnsupportedOperator, match=r"is a gt.*add-a-layer"):
        from_torch(made)
    register_module(Odd, read_odd)
    net = matches(torch, made, (1, 3))
    assert [n.name for n in net.nodes] == ["0", "1.abs", "1"]
    for kind in (Odd, torch.nn.Conv2d):
        with pytest.raises(InvalidInput, match="are read already"):
            register_module(kind, read_odd)
    with pytest.raises(InvalidInput, match="no type of"):
        register_module(int, read_odd)


def test_layer_registered_from_outside_becomes_its_matrix(torch: Any) -> None:
    net = Network.chain([Swing(eighths(3), np.array([2, 0, 1]), 3)], (1, 3))
    # what is not registered cannot be rounded, so the module is made without
    from reludsl.io import torch_modules

    place = torch_modules.Place(((3,),), (3,), (1, 3))
    made = torch_modules.make_module(net.nodes[0].layer, place, torch.float64)
    with torch.no_grad():
        np.testing.assert_allclose(made(torch.tensor(eighths(4, 3))).numpy(), net(eighths(4, 3)), atol=1e-12)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda t, m, x: t.nn.functional.batch_norm(x, None, None, training=True), "statistics of the batch"),
        (lambda t, m, x: m.places(x)[0], "return_indices"),
        (lambda t, m, x: t.nn.functional.avg_pool2d(x, 2, divisor_override=3), "divides by 3"),
        (lambda t, m, x: t.nn.functional.adaptive_avg_pool2d(x, 3), "sizes that divide"),
        (lambda t, m, x: m.padded(x), "padding_mode"),
        (lambda t, m, x: x.to(t.int64), "which jumps"),
        (lambda t, m, x: t.nn.functional.silu(x), "'silu' is a silu.*supported are .*Conv2d.*MaxPool2d"),
    ],
)
def test_forms_without_a_layer_are_refused_with_the_guide(
    torch: Any, forward: Callable[..., Any], message: str
) -> None:
    padded = torch.nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")
    places = torch.nn.MaxPool2d(2, return_indices=True)
    made = module(torch, lambda m, x: forward(torch, m, x), padded=padded, places=places)
    with pytest.raises(UnsupportedOperator, match=message) as caught:
        from_torch(made, (1, 2, 4, 4))
    assert "docs/how-to/add-a-layer.md" in str(caught.value)


def test_axes_and_shapes_that_do_not_fit_are_refused(torch: Any) -> None:
    for forward in (
        lambda m, x: x.transpose(1, 5),
        lambda m, x: x[:, 7],
        lambda m, x: torch.nn.functional.max_pool2d(x, 9),
        lambda m, x: x.split([1, 2], 1)[0],
    ):
        with pytest.raises(InvalidInput):
            from_torch(module(torch, forward), (1, 2, 4))
    with pytest.raises(InvalidInput, match="give input_shape"):
        from_torch(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(8, 2)))
