"""ONNX: what the file means is what the network computes, and a bad file says what is wrong with it."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import FileProblem, InvalidInput, ReludslError, UnsupportedOperator
from reludsl.io import read, read_onnx, read_with_report, rounded, write, write_onnx
from reludsl.io.onnx import from_model, to_model
from reludsl.layers import Affine, Layer, PiecewiseLinear, Reshape, Scale, Shift, relu
from reludsl.network import Network

Need = Callable[[str], Any]
DataFiles = Callable[[str, str, int], list[Path]]


def constant(name: str, values: Any, dtype: Any = np.float32) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def model(
    nodes: Sequence[Any],
    constants: Sequence[Any],
    shape: Sequence[Any],
    out: Sequence[Any],
    *,
    kind: int = 1,
    opset: int = 13,
) -> Any:
    """A model with input x and output y."""
    from onnx import helper

    edges = [helper.make_tensor_value_info(n, kind, s) for n, s in (("x", shape), ("y", out))]
    graph = helper.make_graph(list(nodes), "g", edges[:1], edges[1:], list(constants))
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    built.ir_version = 7
    return built


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(operator, inputs.split(), [output], name=f"{operator.lower()}_{output}", **attributes)


def run(built: Any, points: FloatArray, shape: Sequence[int]) -> FloatArray:
    """What onnxruntime computes, point by point: (m, outputs)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(built.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    kind = np.float64 if given.type == "tensor(double)" else np.float32
    runs = [session.run(None, {given.name: x.reshape(shape).astype(kind)})[0] for x in points]
    return np.stack([np.asarray(r, dtype=np.float64).ravel() for r in runs])


def agrees(built: Any, need: Need) -> Network:
    """The network of a model, after comparison with onnxruntime on points with eighths as coordinates."""
    need("onnxruntime")
    net = from_model(built)
    points = np.random.default_rng(1).integers(-16, 17, (20, net.input_size)) / 8
    np.testing.assert_allclose(net(points).reshape(20, -1), run(built, points, net.input_shape), atol=2e-6, rtol=2e-6)
    return net


def eighths(rng: np.random.Generator, *shape: int) -> FloatArray:
    return rng.integers(-8, 9, shape) / 8


def small_net(shape: tuple[int, ...] = (1, 4), seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = [
        Shift(eighths(rng, 4)),
        Affine(eighths(rng, 6, 4), eighths(rng, 6)),
        relu,
        Scale(np.array([0.5])),
        Affine(eighths(rng, 3, 6), eighths(rng, 3)),
        relu,
        Affine(eighths(rng, 2, 3), eighths(rng, 2)),
    ]
    return Network.chain(layers, shape)


@cache
def small_bytes() -> bytes:
    return bytes(to_model(small_net()).SerializeToString())


# --- files in the wild -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "pattern", "count", "shape", "neurons"),
    [
        ("acasxu", "*.onnx", 45, (1, 1, 1, 5), {300}),
        ("mnistfc", "*.onnx", 3, (1, 784, 1), {512, 1024, 1536}),
        ("mnist_nets", "*.onnx", 22, (1, 784), None),
    ],
)
def test_files_as_published_agree_with_onnxruntime(
    folder: str,
    pattern: str,
    count: int,
    shape: tuple[int, ...],
    neurons: set[int] | None,
    data_files: DataFiles,
    need: Need,
) -> None:
    need("onnxruntime")
    for place in data_files(folder, pattern, count):
        net, report = read_with_report(place)
        assert net.input_shape == shape
        assert neurons is None or net.neurons in neurons
        assert report.reason == ""
        assert report.difference is not None
        assert report.scale is not None
        assert report.difference <= 1e-5 * (1 + report.scale)


def test_acasxu_is_a_shift_and_seven_affine_layers(data_file: Callable[[str], Path]) -> None:
    net, report = read_with_report(data_file("acasxu/ACASXU_run2a_1_1_batch_2000.onnx"), check=False)
    kinds = [n.layer.kind for n in net.nodes]
    assert kinds == ["shift", "reshape", *["affine", "relu"] * 6, "affine"]
    assert net.parameters == 5 + (5 * 50 + 50) + 5 * (50 * 50 + 50) + (50 * 5 + 5)
    assert (report.input_name, report.output_name, report.opset) == ("input", "linear_7_Add", 8)
    assert report.operators == {"Sub": 1, "Flatten": 1, "MatMul": 7, "Add": 7, "Relu": 6}


def test_vector_files_with_weights_on_either_side_load(data_files: DataFiles, need: Need) -> None:
    need("onnxruntime")
    for place in data_files("vnncomp_test", "*.onnx", 5):
        assert read_with_report(place)[1].difference is not None


def test_file_read_and_written_is_the_same_network(data_files: DataFiles, tmp_path: Path) -> None:
    places = [*data_files("acasxu", "*.onnx", 45)[:3], *data_files("mnistfc", "*.onnx", 3)]
    for place in places:
        net = read_onnx(place, check=False)
        write_onnx(net, tmp_path / "again.onnx")
        again = read_onnx(tmp_path / "again.onnx", check=False)
        assert [n.name for n in again.nodes] == [n.name for n in net.nodes]
        assert again.input_shape == net.input_shape
        x = np.random.default_rng(0).random((10, net.input_size))
        np.testing.assert_array_equal(again(x), net(x))


def test_shipped_digits_network_is_right_on_98_percent() -> None:
    from reludsl import data

    net, report = read_with_report(data.path("digits.onnx"))
    test = np.load(data.path("digits.npz"))
    assert report.difference is None or report.difference < 1e-5
    assert net.input_box is not None
    assert (net.input_box.lower.min(), net.input_box.upper.max()) == (0.0, 1.0)
    assert test["images"].dtype == np.float32
    assert (net(test["images"]).argmax(axis=1) == test["labels"]).mean() > 0.98
    with pytest.raises(FileProblem, match=r"there are digits\.npz, digits\.onnx"):
        data.path("letters.onnx")


# --- operators -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [None, 1.0, 0.5, -1.7])
@pytest.mark.parametrize("beta", [None, 0.3, 0.0])
@pytest.mark.parametrize("transposed", [None, 0, 1])
@pytest.mark.parametrize("biased", ["none", "row", "vector", "one"])
def test_gemm_in_any_form_agrees(
    alpha: float | None, beta: float | None, transposed: int | None, biased: str, need: Need
) -> None:
    rng = np.random.default_rng(0)
    weight = eighths(rng, 3, 4) if transposed else eighths(rng, 4, 3)
    bias = {"row": eighths(rng, 1, 3), "vector": eighths(rng, 3), "one": eighths(rng, 1)}.get(biased)
    marks = {"alpha": alpha, "beta": beta, "transB": transposed}
    gemm = node(
        "Gemm",
        "x W C" if bias is not None else "x W",
        "y",
        **{k: v for k, v in marks.items() if v is not None},
    )
    constants = [constant("W", weight)] + ([constant("C", bias)] if bias is not None else [])
    net = agrees(model([gemm], constants, ["N", 4], ["N", 3]), need)
    assert [n.layer.kind for n in net.nodes] == ["affine"]


def test_gemm_factor_on_float64_weights_that_is_no_float64_is_refused() -> None:
    built = model([node("Gemm", "x W", "y", alpha=0.3)], [constant("W", [[0.1]], np.float64)], [1, 1], [1, 1], kind=11)
    with pytest.raises(InvalidInput, match="multiply the factor into the weights"):
        from_model(built)


def test_gemm_with_weights_on_the_left_agrees(need: Need) -> None:
    rng = np.random.default_rng(0)
    constants = [constant("W", eighths(rng, 3, 4)), constant("C", eighths(rng, 3, 1))]
    agrees(model([node("Gemm", "W x C", "y")], constants, [4, 1], [3, 1]), need)
    agrees(model([node("Gemm", "W x C", "y", transB=1)], constants, [1, 4], [3, 1]), need)
    agrees(model([node("Gemm", "x V", "y", transA=1)], [constant("V", eighths(rng, 4, 2))], [4, 1], [1, 2]), need)


@pytest.mark.parametrize(
    ("order", "shape", "weight", "out"),
    [
        ("x W", (4,), (4, 3), (3,)),
        ("x W", (1, 4), (4, 3), (1, 3)),
        ("x W", (1, 1, 4), (4, 3), (1, 1, 3)),
        ("x W", (1, 4), (1, 4, 3), (1, 1, 3)),
        ("x W", (1, 4), (4,), (1,)),
        ("W x", (4,), (3, 4), (3,)),
        ("W x", (4, 1), (3, 4), (3, 1)),
        ("W x", (1, 4, 1), (3, 4), (1, 3, 1)),
        ("W x", (1, 1), (3, 1), (3, 1)),
    ],
)
def test_matmul_on_either_side_agrees(
    order: str, shape: tuple[int, ...], weight: tuple[int, ...], out: tuple[int, ...], need: Need
) -> None:
    constants = [constant("W", eighths(np.random.default_rng(0), *weight))]
    net = agrees(model([node("MatMul", order, "y")], constants, shape, out), need)
    assert net.output_shape == out


@pytest.mark.parametrize(
    ("order", "shape", "weight", "out"),
    [
        ("x W", (3, 4), (4, 2), (3, 2)),
        ("x W", (1, 3, 4), (4, 2), (1, 3, 2)),
        ("x W", (1, 2, 3, 4), (4, 1), (1, 2, 3, 1)),
        ("x W", (3, 4), (4,), (3,)),
        ("W x", (4, 3), (2, 4), (2, 3)),
        ("W x", (1, 2, 4, 3), (2, 4), (1, 2, 2, 3)),
        ("W x", (2, 4, 3), (4,), (2, 3)),
    ],
)
def test_matmul_of_several_rows_is_one_affine_layer(
    order: str, shape: tuple[int, ...], weight: tuple[int, ...], out: tuple[int, ...], need: Need
) -> None:
    constants = [constant("W", eighths(np.random.default_rng(0), *weight))]
    net = agrees(model([node("MatMul", order, "y")], constants, shape, out), need)
    assert net.output_shape == out
    assert [n.layer.kind for n in net.nodes if n.layer.kind != "reshape"] == ["affine"]


def test_matmul_of_shapes_that_do_not_meet_is_refused_with_both() -> None:
    for weight in ((3, 4), (2, 4, 4)):
        built = model([node("MatMul", "x W", "y")], [constant("W", np.ones(weight))], [3, 4], [3, 4])
        with pytest.raises(InvalidInput, match=r"shape \(3, 4\) by a matrix of shape \((3|2, 4), 4\)"):
            from_model(built)


def test_product_and_bias_are_one_layer_unless_something_else_uses_the_product(need: Need) -> None:
    rng = np.random.default_rng(0)
    constants = [
        constant("W", eighths(rng, 4, 3)),
        constant("c", eighths(rng, 3)),
        constant("d", eighths(rng, 1)),
    ]
    for adding in ("Add", "Sub"):
        joined = [node("MatMul", "x W", "t"), node(adding, "t c", "u"), node("Add", "d u", "y")]
        assert [n.layer.kind for n in agrees(model(joined, constants, [1, 4], [1, 3]), need).nodes] == [
            "affine",
            "shift",
        ]
    shown = model([node("MatMul", "x W", "y"), node("Add", "y c", "z")], constants, [1, 4], [1, 3])
    assert [n.layer.kind for n in agrees(shown, need).nodes] == ["affine"]


@pytest.mark.parametrize(
    ("nodes", "kinds"),
    [
        ([("Sub", "x c", "y")], ["shift"]),
        ([("Sub", "c x", "y")], ["scale", "shift"]),
        ([("Add", "c x", "y")], ["shift"]),
        ([("Add", "x one", "y")], ["shift"]),
        ([("Mul", "x c", "y")], ["scale"]),
        ([("Mul", "one x", "y")], ["scale"]),
        ([("Div", "x c", "y")], ["divide"]),
        ([("Neg", "x", "y")], ["scale"]),
        ([("Identity", "x", "t"), ("Relu", "t", "u"), ("Dropout", "u", "y")], ["relu"]),
        ([("Add", "c c", "k"), ("Mul", "k one", "l"), ("Sub", "x l", "y")], ["shift"]),
    ],
)
def test_constant_arithmetic_agrees(nodes: list[tuple[str, str, str]], kinds: list[str], need: Need) -> None:
    constants = [constant("c", [[1.5], [-0.5], [3.0]]), constant("one", 0.75)]
    built = model([node(*n) for n in nodes], constants, [1, 3, 2], [1, 3, 2])
    assert [n.layer.kind for n in agrees(built, need).nodes] == kinds


def test_constant_of_higher_rank_adds_axes(need: Need) -> None:
    net = agrees(model([node("Add", "x c", "y")], [constant("c", [[[1.0, 2.0]]])], [2], [1, 1, 2]), need)
    assert net.output_shape == (1, 1, 2)
    wider = agrees(model([node("Add", "x c", "y")], [constant("c", np.ones((3, 2)))], [1, 2], [3, 2]), need)
    assert [n.layer.kind for n in wider.nodes] == ["expand", "shift"]
    with pytest.raises(InvalidInput, match="neither can be broadcast"):
        from_model(model([node("Add", "x c", "y")], [constant("c", np.ones((3, 3)))], [1, 2], [3, 2]))


def test_bias_of_opset_6_is_aligned_at_its_axis() -> None:
    add = node("Add", "x c", "y", broadcast=1, axis=1)
    net = from_model(model([add], [constant("c", [1.0, 2.0])], [1, 2, 3], [1, 2, 3], opset=6))
    np.testing.assert_array_equal(net(np.zeros(6)), [1, 1, 1, 2, 2, 2])


@pytest.mark.parametrize(
    ("shape", "target", "marks", "out"),
    [
        ((1, 2, 3), [1, 6], {}, (1, 6)),
        ((1, 2, 3), [0, -1], {}, (1, 6)),
        ((1, 6), [-1, 2, 3], {}, (1, 2, 3)),
        ((1, 6), [6], {}, (6,)),
        ((1, 2, 3), [0, 3, 2], {"allowzero": 0}, (1, 3, 2)),
    ],
)
def test_reshape_agrees(
    shape: tuple[int, ...], target: list[int], marks: dict[str, int], out: tuple[int, ...], need: Need
) -> None:
    built = model([node("Reshape", "x s", "y", **marks)], [constant("s", target, np.int64)], shape, out, opset=14)
    assert agrees(built, need).output_shape == out


@pytest.mark.parametrize(("axis", "out"), [(None, (1, 6)), (0, (1, 6)), (2, (2, 3)), (-1, (2, 3)), (3, (6, 1))])
def test_flatten_agrees(axis: int | None, out: tuple[int, ...], need: Need) -> None:
    flatten = node("Flatten", "x", "y", **({} if axis is None else {"axis": axis}))
    assert agrees(model([flatten], [], [1, 2, 3], out), need).output_shape == out


def test_reshape_to_a_shape_computed_from_shapes_agrees(need: Need) -> None:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 rest", "t", axis=0),
        node("Reshape", "x t", "y"),
    ]
    constants = [
        constant("zero", 0, np.int64),
        constant("axes", [0], np.int64),
        constant("rest", [-1], np.int64),
    ]
    assert agrees(model(nodes, constants, ["N", 2, 3], ["N", 6]), need).output_shape == (1, 6)


def test_constant_nodes_and_initialisers_listed_as_inputs_are_constants(need: Need) -> None:
    from onnx import helper

    nodes = [
        node("Constant", "", "c", value=constant("v", [1.0, 2.0])),
        node("Constant", "", "d", value_float=0.5),
        node("Add", "x c", "t"),
        node("Mul", "t d", "u"),
        node("Gemm", "u W", "y"),
    ]
    built = model(nodes, [constant("W", np.eye(2))], [1, 2], [1, 2])
    built.graph.input.insert(0, helper.make_tensor_value_info("W", 1, [2, 2]))
    assert [n.layer.kind for n in agrees(built, need).nodes] == ["shift", "scale", "affine"]


@pytest.mark.parametrize(("dtype", "kind"), [(np.float16, 10), (np.float32, 1), (np.float64, 11)])
def test_weights_of_every_float_type_are_read_exactly(dtype: Any, kind: int) -> None:
    weight = np.array([[0.1, -3.3]], dtype=dtype)
    built = model([node("Gemm", "x W", "y", transB=1)], [constant("W", weight, dtype)], [1, 2], [1, 1], kind=kind)
    layer = from_model(built).nodes[0].layer
    assert isinstance(layer, Affine)
    np.testing.assert_array_equal(layer.dense, weight.astype(np.float64))


def test_unsorted_graph_and_nodes_beside_the_output_do_not_matter(need: Need) -> None:
    nodes = [node("Relu", "t", "y"), node("Add", "x c", "t")]
    net = from_model(model([*nodes, node("Softmax", "t", "z")], [constant("c", [1.0])], [1, 1], [1, 1]))
    assert [n.layer.kind for n in net.nodes] == ["shift", "relu"]


def test_node_names_are_made_unique() -> None:
    nodes = [node("Relu", "x", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    nodes[0].name, nodes[1].name, nodes[2].name = "input", "", "b"
    assert [n.name for n in from_model(model(nodes, [], [1, 1], [1, 1])).nodes] == ["input_2", "b", "b_2"]


@pytest.mark.parametrize(
    ("dims", "shape"),
    [(["N", 3], (1, 3)), ([None, 3], (1, 3)), ([0, 3], (1, 3)), ([-1, 3], (1, 3)), ([3], (3,))],
)
def test_free_axes_count_as_one_and_the_rank_stays(dims: list[Any], shape: tuple[int, ...]) -> None:
    assert from_model(model([node("Relu", "x", "y")], [], dims, dims)).input_shape == shape


# --- refusals --------------------------------------------------------------------------------------------


def test_unsupported_operator_is_named_with_its_node_and_the_supported_ones() -> None:
    with pytest.raises(
        UnsupportedOperator,
        match=r"'softmax_y' is a Softmax, which is not piecewise linear.*supported are Abs, Add.*Sub.*add-a-layer\.md",
    ) as caught:
        from_model(model([node("Softmax", "x", "y")], [], [1, 2], [1, 2]))
    assert "\n" not in str(caught.value)
    custom = node("Relu", "x", "y", domain="my.domain")
    with pytest.raises(UnsupportedOperator, match=r"my\.domain\.Relu"):
        from_model(model([custom], [], [1, 2], [1, 2]))


@pytest.mark.parametrize("operator", ["Mul", "MatMul"])
def test_products_of_two_computed_tensors_are_refused(operator: str) -> None:
    nodes = [node("Relu", "x", "a"), node(operator, "a x", "y")]
    with pytest.raises(UnsupportedOperator, match=f"a {operator} of two computed tensors.*not piecewise linear"):
        from_model(model(nodes, [], [1, 1], [1, 1]))


def test_division_by_a_computed_tensor_is_refused() -> None:
    with pytest.raises(UnsupportedOperator, match="not piecewise linear"):
        from_model(model([node("Div", "c x", "y")], [constant("c", 1.0)], [1, 1], [1, 1]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("operator", ["Gemm", "MatMul", "Add", "Mul", "Div"])
def test_weights_that_are_not_finite_are_refused_with_the_node(operator: str, value: float, tmp_path: Path) -> None:
    built = model([node(operator, "x W", "y")], [constant("W", [[1.0, value], [0.0, 1.0]])], [1, 2], [1, 2])
    if operator not in ("Gemm", "MatMul"):
        built = model([node(operator, "x W", "y")], [constant("W", [[1.0, value]])], [1, 2], [1, 2])
    place = tmp_path / "bad.onnx"
    place.write_bytes(built.SerializeToString())
    with pytest.raises(InvalidInput, match=rf"bad\.onnx: layer '{operator.lower()}_y': .*(nan|inf)"):
        read_onnx(place)


def test_division_by_zero_is_refused() -> None:
    with pytest.raises(InvalidInput, match="divides by zero"):
        from_model(model([node("Div", "x c", "y")], [constant("c", [1.0, 0.0])], [1, 2], [1, 2]))


def test_several_inputs_or_outputs_are_refused() -> None:
    from onnx import helper

    built = model([node("Relu", "x", "y")], [], [1, 1], [1, 1])
    built.graph.output.append(helper.make_tensor_value_info("x", 1, [1, 1]))
    with pytest.raises(InvalidInput, match="2 outputs"):
        from_model(built)
    built = model([node("Relu", "x", "y")], [], [1, 1], [1, 1])
    built.graph.input.append(helper.make_tensor_value_info("x2", 1, [1, 1]))
    with pytest.raises(InvalidInput, match="2 inputs"):
        from_model(built)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("Relu", "t", "y"), ("Relu", "y", "t")], "circle"),
        ([("Relu", "ghost", "y")], "'ghost' is used, but nothing computes it"),
        ([("Identity", "x", "y")], "at least one layer"),
        ([("Identity", "c", "y")], "does not depend on the input"),
        ([("Relu", "x", "y"), ("Neg", "x", "y")], "two nodes compute"),
        ([("Add", "x", "y")], "1 inputs"),
        ([("Reshape", "x c", "y")], "elements differ"),
    ],
)
def test_graphs_without_a_network_are_refused(nodes: list[tuple[str, str, str]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        from_model(model([node(*n) for n in nodes], [constant("c", [2.0])], [1, 1], [1, 1]))


def test_input_of_integers_or_without_shape_is_refused() -> None:
    with pytest.raises(InvalidInput, match="UINT8"):
        from_model(model([node("Relu", "x", "y")], [], [1, 1], [1, 1], kind=2))
    built = model([node("Relu", "x", "y")], [], [1, 1], [1, 1])
    built.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InvalidInput, match="states no axes"):
        from_model(built)


def test_missing_file_folder_empty_and_other_files_are_one_line_file_problems(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.onnx").write_text("this is a text, not a network\n" * 20)
    (tmp_path / "half.onnx.gz").write_bytes(gzip.compress(small_bytes())[:-20])
    (tmp_path / "folder.onnx").mkdir()
    for name in ("missing.onnx", "folder.onnx", "empty.onnx", "text.onnx", "half.onnx.gz", "no/where.onnx"):
        with pytest.raises(FileProblem) as caught:
            read_onnx(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**6))
def test_any_prefix_of_a_file_is_refused_by_name(cut: int) -> None:
    data = small_bytes()
    _read_prefix(data, cut % len(data))


def test_every_prefix_of_a_small_file_is_refused_by_name() -> None:
    net = Network.chain([Affine(np.ones((1, 1)), np.ones(1)), relu], (1, 1))
    data = to_model(net).SerializeToString()
    for cut in range(len(data)):
        _read_prefix(data, cut)


def _read_prefix(data: bytes, cut: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "cut.onnx")
        place.write_bytes(data[:cut])
        with pytest.raises((FileProblem, InvalidInput, UnsupportedOperator)):
            read_onnx(place, check=False)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_a_network_or_an_error_of_this_library(changes: list[tuple[int, int]]) -> None:
    import tempfile

    data = bytearray(small_bytes())
    for where, value in changes:
        data[where % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "changed.onnx")
        place.write_bytes(data)
        try:
            net = read_onnx(place, check=False)
        except ReludslError:
            return
        assert net.output_size >= 1


# --- the comparison with onnxruntime ---------------------------------------------------------------------


def test_import_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: Need
) -> None:
    need("onnxruntime")
    from reludsl.io import onnx as module

    monkeypatch.setitem(module.OPERATORS, "Neg", module.OPERATORS["Identity"])
    place = tmp_path / "wrong.onnx"
    built = model([node("Neg", "x", "t"), node("Relu", "t", "y")], [], [1, 1], [1, 1])
    place.write_bytes(built.SerializeToString())
    with pytest.raises(InvalidInput, match=r"output 0 of random point \d+ is .* in onnxruntime"):
        read_onnx(place)
    assert read_onnx(place, check=False).neurons == 1


def test_report_says_why_nothing_was_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "net.onnx"
    write_onnx(small_net(), place)
    assert read_with_report(place, check=False)[1].reason == "check=False"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    net, report = read_with_report(place)
    assert report.difference is None
    assert "not installed" in report.reason
    assert net.neurons == 9


def test_stated_input_range_is_written_read_and_used(tmp_path: Path) -> None:
    box = Box([-3.0, 100.0], [0.1, 200.0])
    net = Network.chain([Affine(np.ones((1, 2)), np.zeros(1))], (1, 2), input_box=box)
    write_onnx(net, tmp_path / "net.onnx")
    again, report = read_with_report(tmp_path / "net.onnx")
    assert again.input_box is not None
    np.testing.assert_array_equal(again.input_box.lower, box.lower)
    np.testing.assert_array_equal(again.input_box.upper, box.upper)
    assert report.scale is None or 90 < report.scale < 201
    built = to_model(net)
    built.metadata_props[0].value = '{"lower": 3}'
    with pytest.raises(InvalidInput, match="states no input range"):
        from_model(built)


# --- writing ---------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(1, 4), (4,), (1, 1, 4)]),
    st.sampled_from([np.float32, np.float64]),
)
def test_written_network_reads_back_as_the_same_function_bit_for_bit(
    seed: int, shape: tuple[int, ...], dtype: Any
) -> None:
    net = small_net(shape, seed)
    again = from_model(to_model(net, dtype))
    assert [(n.name, n.layer.kind) for n in again.nodes] == [(n.name, n.layer.kind) for n in net.nodes]
    assert again.shapes == net.shapes
    x = eighths(np.random.default_rng(seed), 16, 4)
    np.testing.assert_array_equal(again(x), net(x))


def test_reshapes_and_elementwise_constants_survive_writing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers: list[Layer] = [
        Reshape((1, 2, 3)),
        Shift(eighths(rng, 6)),
        Scale(np.array([3.0, 1, 2, 5, 7, 9]), divide=True),
        Reshape((1, 6)),
        Affine(eighths(rng, 2, 6), np.zeros(2)),
    ]
    for shape, first in (((1, 6), layers), ((6,), [Reshape((2, 3)), *layers[1:3], Reshape((6,)), layers[4]])):
        net = Network.chain(first, shape)
        write_onnx(net, tmp_path / "net.onnx", dtype=np.float64)
        again = read_onnx(tmp_path / "net.onnx")
        assert again.shapes == net.shapes
        assert [n.layer.kind for n in again.nodes] == [n.layer.kind for n in net.nodes]
        x = rng.normal(size=(5, 6))
        np.testing.assert_array_equal(again(x), net(x))


ACTIVATIONS = [
    relu,
    PiecewiseLinear("abs", (0,), (-1, 1)),
    PiecewiseLinear("leaky", (0,), (0.25, 1)),
    PiecewiseLinear("leaky_tenth", (0,), (0.1, 1)),
    PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0)),
    PiecewiseLinear("hard_sigmoid", (-3, 3), (0, 1 / 6, 0), (0, 0.5)),
    PiecewiseLinear("four_pieces", (-1, 0.5, 2), (-0.3, 0, 2, 0.7), (0, 1.1)),
    PiecewiseLinear("one_piece", (), (2.0,), (0, 1)),
    PiecewiseLinear("zero", (), (0.0,)),
    PiecewiseLinear("raised_relu", (0,), (0, 1), (0, 1)),
]


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_activation_is_written_as_the_function_it_is(activation: PiecewiseLinear, dtype: Any, need: Need) -> None:
    import onnx

    need("onnxruntime")
    net = Network.chain([activation], (1, 3))
    built = to_model(net, dtype)
    onnx.checker.check_model(built, full_check=True)
    x = eighths(np.random.default_rng(0), 30, 3) * 6
    x = np.concatenate([x, np.repeat(activation.breaks, 3).reshape(-1, 3)])
    tolerance = 1e-14 if dtype is np.float64 else 2e-6
    np.testing.assert_allclose(run(built, x, (1, 3)), rounded(net, dtype)(x), atol=tolerance, rtol=0)


def test_known_activations_are_one_operator() -> None:
    forms = [[n.op_type for n in to_model(Network.chain([a], (1, 1))).graph.node] for a in ACTIVATIONS[:5]]
    assert forms == [["Relu"], ["Abs"], ["LeakyRelu"], ["LeakyRelu"], ["Clip"]]


def test_batch_axis_is_free_where_the_shapes_allow_it(need: Need) -> None:
    onnxruntime = need("onnxruntime")
    x = np.random.default_rng(0).integers(0, 9, (5, 4)) / 8
    for shape, batch, stated in (
        ((1, 4), None, ["N", 4]),
        ((1, 4), False, [1, 4]),
        ((4,), None, [4]),
        ((4,), True, ["N", 4]),
    ):
        net = small_net(shape)
        session = onnxruntime.InferenceSession(to_model(net, batch=batch).SerializeToString())
        assert session.get_inputs()[0].shape == stated
        if stated[0] == "N":
            got = session.run(None, {"input": x.astype(np.float32)})[0]
            np.testing.assert_allclose(got, net(x), atol=1e-5)


def test_names_of_input_and_output_can_be_those_of_another_file() -> None:
    built = to_model(small_net(), input_name="0", output_name="0_shift")
    assert (built.graph.input[0].name, built.graph.output[0].name) == ("0", "0_shift")
    assert from_model(built).output_size == 2


def test_rounding_is_the_network_of_the_file_and_leaves_exact_weights_alone(tmp_path: Path) -> None:
    net = Network.chain([Affine(np.array([[0.1, 1 / 3]]), np.array([1e-3])), relu], (1, 2))
    small = rounded(net, np.float32)
    write_onnx(net, tmp_path / "net.onnx")
    again = read_onnx(tmp_path / "net.onnx")
    x = np.random.default_rng(0).random((9, 2))
    np.testing.assert_array_equal(again(x), small(x))
    assert rounded(small, np.float32) is small
    assert rounded(net, np.float64) is net
    assert not np.array_equal(small(x), net(x))


def test_weights_beyond_the_format_are_refused(tmp_path: Path) -> None:
    place = tmp_path / "net.onnx"
    with pytest.raises(InvalidInput, match="'0_affine' as float32: a constant of magnitude 1e\\+39"):
        write_onnx(Network.chain([Affine(np.array([[1e39]]), np.zeros(1))], (1, 1)), place)
    with pytest.raises(InvalidInput, match="divides by zero"):
        write_onnx(Network.chain([Scale(np.array([1e-60]), divide=True)], (1, 1)), place)
    with pytest.raises(InvalidInput, match="must increase"):
        write_onnx(Network.chain([PiecewiseLinear("step", (1, 1 + 1e-12), (0, 1, 0))], (1, 1)), place)
    with pytest.raises(InvalidInput, match="float32 or float64"):
        write_onnx(small_net(), place, dtype=np.int32)
    assert not place.exists()


def test_path_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_text("")
    for name in ("no/such/folder/net.onnx", "file/net.onnx", "folder.onnx"):
        with pytest.raises(FileProblem, match="cannot be written"):
            write_onnx(small_net(), tmp_path / name)
    place = tmp_path / "net.onnx"
    place.write_bytes(b"before")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(FileProblem, match="No space left"):
                write_onnx(small_net(), place)
    assert place.read_bytes() == b"before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.onnx", "net.onnx"]


def test_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "net.onnx"
    write_onnx(small_net(), place)
    before = place.read_bytes()

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_onnx(small_net(seed=1), place)
    assert place.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_onnx(small_net(), tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_read_and_write_choose_the_format_by_name(tmp_path: Path) -> None:
    net = small_net()
    x = eighths(np.random.default_rng(0), 5, 4)
    for name in ("a.onnx", "b.onnx.gz", "c.npz", "D.ONNX"):
        write(net, tmp_path / name)
        np.testing.assert_array_equal(read(tmp_path / name)(x), net(x))
    for name in ("net.pt", "net", "net.gz"):
        with pytest.raises(FileProblem, match=r"\.onnx, \.onnx\.gz, \.npz"):
            read(tmp_path / name)
        with pytest.raises(FileProblem, match=r"\.onnx, \.onnx\.gz, \.npz"):
            write(net, tmp_path / name)
    write(net, tmp_path / "again.onnx.gz")
    assert (tmp_path / "again.onnx.gz").read_bytes() == (tmp_path / "b.onnx.gz").read_bytes()


def test_import_of_the_package_loads_neither_onnx_nor_torch() -> None:
    code = "import sys, reludsl.io; print([m for m in ('onnx', 'onnxruntime', 'torch') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.strip() == "[]"
