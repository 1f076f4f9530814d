"""Every layer type, and branches that meet, in files and modules: there and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from io_layers import BRANCHES, FLAT, LAYERS, WIDE, eighths, f32

from reludsl.io import (
    from_torch,
    read,
    read_onnx,
    read_with_report,
    rounded,
    to_torch,
    write,
    write_onnx,
)
from reludsl.io.onnx import to_model
from reludsl.layers import (
    Conv,
    Gather,
    Layer,
    MaxPool,
    relu,
)
from reludsl.network import Network
from reludsl.testing.strategies import random_graph

Need = Callable[[str], Any]


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
    torch = need("torch")
    layers: list[Layer] = [Conv(eighths(1, 1, 2, 2), np.zeros(1), (4, 3)), relu, MaxPool(1, (3, 2), 2)]
    written(Network.chain(layers, (1, 4, 3)), tmp_path, need)
    made = to_torch(Network.chain(layers, (1, 4, 3)), np.float64)
    x = eighths(6, 12)
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
