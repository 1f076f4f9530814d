"""Convolutional networks as published: read, compared with onnxruntime, and the same after a round trip."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reludsl.io import from_torch, read, read_with_report, rounded, to_torch, write, write_onnx
from reludsl.io.onnx import ImportReport, from_model, to_model
from reludsl.layers import Conv
from reludsl.network import INPUT, Network

DataFile = Callable[[str], Path]
Need = Callable[[str], Any]

SHAPES = {
    "Convnet_avgpool": ((1, 1, 28, 28), ["conv", "relu", "average_pool", "reshape", "affine"]),
    "Convnet_maxpool": ((1, 1, 28, 28), ["conv", "relu", "max_pool", "reshape", "affine"]),
    "cifar10_small": (
        (1, 32, 32, 3),
        ["transpose", "conv", "relu", "conv", "relu", "transpose", "reshape", *["affine", "relu"] * 2, "affine"],
    ),
    "cifar_base_kw": (
        (1, 3, 32, 32),
        ["conv", "relu", "conv", "relu", "reshape", "affine", "relu", "affine"],
    ),
    "mnist_relu_9_200": ((1, 1, 28, 28), ["shift", "divide", "reshape", *["affine", "relu"] * 9]),
    "resnet_2b": (
        (1, 3, 32, 32),
        [
            *("conv", "relu", "conv", "conv", "relu", "conv", "add", "relu", "conv", "relu", "conv", "add", "relu"),
            *("reshape", "affine", "relu", "affine"),
        ],
    ),
}
"""Input shape and kinds of layers by file."""


@cache
def loaded(place: Path) -> tuple[Network, ImportReport]:
    return read_with_report(place)


@pytest.fixture(params=SHAPES)
def file(request: pytest.FixtureRequest, data_file: DataFile) -> tuple[str, Path]:
    name = str(request.param)
    return name, data_file(f"vnncomp_conv/{name}.onnx")


def test_file_agrees_with_onnxruntime(file: tuple[str, Path], need: Need) -> None:
    need("onnxruntime")
    net, report = loaded(file[1])
    shape, kinds = SHAPES[file[0]]
    assert net.input_shape == shape
    assert [n.layer.kind for n in net.nodes] == kinds
    assert net.output_shape == (1, 10)
    assert report.reason == ""
    assert report.difference is not None
    assert report.scale is not None
    assert report.difference <= 1e-6 * (1 + report.scale)


@pytest.mark.parametrize("suffix", ["onnx", "npz"])
def test_file_comes_back_bit_for_bit(file: tuple[str, Path], suffix: str, tmp_path: Path) -> None:
    net = loaded(file[1])[0]
    # weights of a float32 file are not rounded again
    assert rounded(net, np.float32) is net
    write(net, tmp_path / f"net.{suffix}")
    again = read(tmp_path / f"net.{suffix}", check=False)
    assert [(n.name, n.sources, n.layer.kind) for n in again.nodes] == [
        (n.name, n.sources, n.layer.kind) for n in net.nodes
    ]
    assert again.shapes == net.shapes
    for one, other in zip(net.nodes, again.nodes):
        for field in ("weight", "offset", "factor", "index"):
            if hasattr(one.layer, field):
                np.testing.assert_array_equal(getattr(other.layer, field), getattr(one.layer, field))
    x = np.random.default_rng(0).random((3, net.input_size))
    np.testing.assert_array_equal(again(x), net(x))


@pytest.mark.parametrize("name", ["Convnet_maxpool", "cifar10_small", "resnet_2b"])
def test_file_becomes_a_module_of_torch_and_is_read_from_it(name: str, data_file: DataFile, need: Need) -> None:
    torch = need("torch")
    net = loaded(data_file(f"vnncomp_conv/{name}.onnx"))[0]
    made = to_torch(net, np.float64)
    x = np.random.default_rng(0).random((3, net.input_size))
    with torch.no_grad():
        theirs = made(torch.tensor(x.reshape(3, *net.input_shape[1:]))).numpy()
    np.testing.assert_allclose(theirs, net(x), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(from_torch(made, net.input_shape)(x), net(x), rtol=1e-10, atol=1e-10)


def test_branches_of_a_residual_network_meet_where_the_file_says(data_file: DataFile) -> None:
    net = loaded(data_file("vnncomp_conv/resnet_2b.onnx"))[0]
    assert [len(n.sources) for n in net.nodes if n.layer.kind == "add"] == [2, 2]
    assert isinstance(net.nodes[0].layer, Conv)
    assert net.nodes[0].sources == (INPUT,)
    assert net.stages[0].name == net.nodes[0].name


def test_convolutional_file_has_a_free_batch_axis_again(data_file: DataFile, need: Need, tmp_path: Path) -> None:
    onnxruntime = need("onnxruntime")
    net = loaded(data_file("vnncomp_conv/resnet_2b.onnx"))[0]
    write_onnx(net, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "net.onnx"))
    assert session.get_inputs()[0].shape == ["N", 3, 32, 32]
    x = np.random.default_rng(0).random((4, 3072)).astype(np.float32)
    theirs = session.run(None, {"input": x.reshape(4, 3, 32, 32)})[0]
    np.testing.assert_allclose(theirs, net(x.astype(np.float64)), atol=1e-4)
    fixed = to_model(net, batch=False)
    assert from_model(fixed).input_shape == (1, 3, 32, 32)


def test_inspect_prints_every_layer_with_its_kind_and_shape(data_file: DataFile, run: Callable[..., Any]) -> None:
    status, out, _ = run("inspect", data_file("vnncomp_conv/resnet_2b.onnx"))
    assert status == 0
    assert out.count("conv") >= 6
    assert out.count("add") >= 2
