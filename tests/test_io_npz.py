"""Arrays in .npz: bit for bit there and back, and no way to hide code in them."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import FileProblem, InvalidInput, ReludslError, UnsupportedOperator
from reludsl.io import read_npz, write_npz
from reludsl.layers import Affine, AffineLayer, Layer, PiecewiseLinear, Reshape, Scale, Shift, relu
from reludsl.network import Network, Node


def every_layer() -> Network:
    rng = np.random.default_rng(0)
    layers: list[Layer] = [
        Shift(rng.normal(size=6)),
        Scale(np.array([0.3]), divide=True),
        Reshape((1, 2, 3)),
        Scale(rng.normal(size=6)),
        Reshape((1, -1)),
        Affine(sparse.csr_array(np.eye(4, 6) / 3), rng.normal(size=4)),
        relu,
        Affine(rng.normal(size=(3, 4)), rng.normal(size=3)),
        PiecewiseLinear("hard", (-0.1, 1 / 3), (0.1, 1, 0), (0.2, 0.7)),
    ]
    return Network.chain(layers, (1, 6), input_box=Box(np.full(6, -1 / 3), np.full(6, 0.1)))


def test_every_layer_type_comes_back_bit_for_bit(tmp_path: Path) -> None:
    net = every_layer()
    write_npz(net, tmp_path / "net.npz")
    again = read_npz(tmp_path / "net.npz")
    assert [(n.name, n.source, n.layer.kind) for n in again.nodes] == [
        (n.name, n.source, n.layer.kind) for n in net.nodes
    ]
    assert (again.input_shape, again.output, again.shapes) == (net.input_shape, net.output, net.shapes)
    assert again.input_box is not None
    assert net.input_box is not None
    np.testing.assert_array_equal(again.input_box.lower, net.input_box.lower)
    np.testing.assert_array_equal(again.input_box.upper, net.input_box.upper)
    x = np.random.default_rng(1).normal(size=(20, 6))
    np.testing.assert_array_equal(again(x), net(x))
    sparse_layer = again.nodes[5].layer
    assert isinstance(sparse_layer, Affine)
    assert sparse.issparse(sparse_layer.weight)


def test_branches_and_an_output_in_the_middle_come_back(tmp_path: Path) -> None:
    one = Affine(np.ones((2, 2)), np.zeros(2))
    net = Network((Node("a", one, "input"), Node("b", relu, "a"), Node("c", one, "a")), (2,), "b")
    write_npz(net, tmp_path / "net.npz")
    again = read_npz(tmp_path / "net.npz")
    assert [(n.name, n.source) for n in again.nodes] == [("a", "input"), ("b", "a"), ("c", "a")]
    assert again.output == "b"


def test_plain_chain_is_read_with_relu_between(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    w0, b0, w1, b1 = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=(2, 5)), rng.normal(size=2)
    np.savez(tmp_path / "net.npz", W0=w0, b0=b0, W1=w1, b1=b1)
    net = read_npz(tmp_path / "net.npz")
    assert net.input_shape == (1, 3)
    assert [n.name for n in net.nodes] == ["affine0", "relu0", "affine1"]
    x = rng.normal(size=(7, 3))
    np.testing.assert_allclose(net(x), np.maximum(x @ w0.T + b0, 0) @ w1.T + b1, atol=1e-12)


def test_written_chain_has_the_plain_keys_too(tmp_path: Path) -> None:
    layers: list[Layer] = [Affine(np.ones((3, 2)), np.zeros(3)), relu, Affine(np.ones((1, 3)), np.zeros(1))]
    write_npz(Network.chain(layers, (2,)), tmp_path / "net.npz")
    assert set(np.load(tmp_path / "net.npz").files) == {"header", "W0", "b0", "W1", "b1"}
    assert read_npz(tmp_path / "net.npz").input_shape == (2,)
    write_npz(Network.chain([*layers, relu], (2,)), tmp_path / "net.npz")
    assert "W0" not in np.load(tmp_path / "net.npz").files


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "the arrays are none"),
        ({"W0": np.ones((1, 1))}, "W0, b0, W1"),
        ({"W0": np.ones((1, 1)), "b0": np.ones(1), "W2": np.ones((1, 1)), "b2": np.ones(1)}, "W0, b0, W1"),
        ({"W0": np.ones((1, 1)), "b0": np.ones(1), "images": np.ones(1)}, "images"),
        ({"W0": np.ones(3), "b0": np.ones(1)}, r"shape \(3,\)"),
        ({"W0": np.ones((1, 1)), "b0": np.ones(2)}, "do not fit"),
        ({"W0": np.ones((1, 1), dtype=complex), "b0": np.ones(1)}, "complex"),
        ({"W0": np.array([["a"]]), "b0": np.ones(1)}, "real matrix"),
        ({"W0": np.array([[np.nan]]), "b0": np.ones(1)}, "W0, b0: the weight matrix holds nan"),
        ({"W0": np.ones((2, 1)), "b0": np.ones(2), "W1": np.ones((1, 3)), "b1": np.ones(1)}, "'affine1'"),
    ],
)
def test_arrays_that_make_no_chain_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(InvalidInput, match=message) as caught:
        read_npz(tmp_path / "net.npz")
    assert "net.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


GOOD = {
    "format": "reludsl-network",
    "version": 1,
    "input_shape": [1],
    "output": "a",
    "nodes": [{"name": "a", "source": "input", "layer": "shift", "arrays": {"offset": "c"}}],
}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({}, None),
        ({"version": 2}, FileProblem),
        ({"format": "other"}, FileProblem),
        ({"nodes": [{"name": "a", "source": "input", "layer": "tanh", "arrays": {}}]}, UnsupportedOperator),
        (
            {"nodes": [{"name": "a", "source": "input", "layer": "shift", "arrays": {"offset": "ghost"}}]},
            FileProblem,
        ),
        ({"nodes": [{"name": "a", "source": "input", "layer": "shift", "arrays": {}}]}, FileProblem),
        (
            {"nodes": [{"name": "a", "source": "z", "layer": "shift", "arrays": {"offset": "c"}}]},
            InvalidInput,
        ),
        ({"nodes": [{"name": "a", "source": "input", "layer": ["shift"], "arrays": {}}]}, FileProblem),
        ({"nodes": 3}, FileProblem),
        ({"nodes": []}, InvalidInput),
        ({"input_shape": "wide"}, FileProblem),
        ({"output": "b"}, InvalidInput),
    ],
)
def test_headers_by_another_hand_are_read_or_refused_by_name(
    change: dict[str, Any], error: type[Exception] | None, tmp_path: Path
) -> None:
    np.savez(tmp_path / "net.npz", header=np.array(json.dumps({**GOOD, **change})), c=np.ones(1))
    if error is None:
        assert read_npz(tmp_path / "net.npz")(np.zeros(1)) == 1
        return
    with pytest.raises(error, match=r"net\.npz"):
        read_npz(tmp_path / "net.npz")


def test_header_that_is_no_json_object_is_refused(tmp_path: Path) -> None:
    for header in ("{", "[1]", "3", "{}"):
        np.savez(tmp_path / "net.npz", header=np.array(header))
        with pytest.raises(FileProblem, match="describes no network"):
            read_npz(tmp_path / "net.npz")


def test_missing_folder_text_and_pickled_files_are_one_line_file_problems(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "pickle.npz", W0=np.array([{"a": 1}], dtype=object), b0=np.ones(1))
    with (tmp_path / "single.npz").open("wb") as stream:
        np.save(stream, np.ones(3))
    for name in ("missing.npz", "folder.npz", "empty.npz", "text.npz", "pickle.npz", "single.npz"):
        with pytest.raises(FileProblem) as caught:
            read_npz(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def _bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_npz(every_layer(), Path(folder, "net.npz"))
        return Path(folder, "net.npz").read_bytes()


WHOLE = _bytes()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE) - 1))
def test_any_prefix_is_a_file_problem(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "net.npz")
        place.write_bytes(WHOLE[:cut])
        with pytest.raises(FileProblem):
            read_npz(place)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_a_network_or_an_error_of_this_library(where: int, value: int) -> None:
    data = bytearray(WHOLE)
    data[where] = value
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "net.npz")
        place.write_bytes(data)
        with contextlib.suppress(ReludslError):
            read_npz(place)


def test_layer_without_description_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    class Strange(Shift):
        pass

    class Own(AffineLayer):
        inputs = 1

        def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
            return shape

        def apply(self, x: FloatArray) -> FloatArray:
            return x

    for layer, kind in ((Own(), "own"), (Strange(np.ones(1)), "shift")):
        with pytest.raises(UnsupportedOperator, match=rf"'{kind}'.*affine, piecewise.*register above its class"):
            write_npz(Network.chain([layer], (1,)), tmp_path / "own.npz")
    assert not any(tmp_path.iterdir())


def test_folder_that_does_not_exist_is_a_file_problem(tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="create the folder first"):
        write_npz(every_layer(), tmp_path / "no" / "net.npz")


def test_same_network_gives_the_same_arrays(tmp_path: Path) -> None:
    write_npz(every_layer(), tmp_path / "net.npz")
    first, second = np.load(io.BytesIO(WHOLE)), np.load(tmp_path / "net.npz")
    assert first.files == second.files
    for key in first.files:
        np.testing.assert_array_equal(first[key], second[key])
