"""Operators of ONNX against onnxruntime, there and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from io_layers import eighths, f32
from onnx_models import agrees, model, node

from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.io import (
    rounded,
)
from reludsl.io.onnx import from_model, to_model

Need = Callable[[str], Any]


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
