"""Bounds of structured layers are those of the same network written out with dense matrices and two-piece units.

`reludsl.testing.expanded` writes a network out; it takes nothing from a layer but its forward pass and its breaks.
For units of two pieces nothing may be lost or gained: interval and CROWN bounds are equal. An activation of more
pieces, or a maximum, is one unit here and several there: its own relaxation is the tighter one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.bounds import Bounds, crown, interval, linear_form
from reludsl.domain import Ball, Box
from reludsl.io import read_vnnlib
from reludsl.layers import Affine, AffineLayer, Layer, PiecewiseLinear, Reshape, Sum, relu
from reludsl.layers.activations import DECLARED
from reludsl.layers.convolution import Conv
from reludsl.layers.pooling import AveragePool
from reludsl.network import INPUT, Network, Node
from reludsl.testing.expanded import expanded
from reludsl.testing.strategies import activations, boxes, domains, graphs, random_graph

METHODS = [interval, crown]
CLOSE = 1e-9


def _assert_equal(ours: Bounds, theirs: Bounds) -> None:
    """The same bounds of every node that both networks have."""
    for name, box in ours.boxes.items():
        around = theirs.boxes[name]
        scale = 1.0 + box.magnitude.max()
        np.testing.assert_allclose(box.lower, around.lower, rtol=0, atol=CLOSE * scale, err_msg=name)
        np.testing.assert_allclose(box.upper, around.upper, rtol=0, atol=CLOSE * scale, err_msg=name)


# --- units of two pieces ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@given(network=graphs(pieces="two", maxima=False), data=st.data())
def test_bounds_of_graphs_of_two_piece_units_are_those_of_the_written_out_network(
    method: Callable[..., Bounds], network: Network, data: st.DataObject
) -> None:
    domain = data.draw(domains(network.input_size))
    _assert_equal(method(network, domain), method(expanded(network), domain))


class _Parts:
    """The trained arrays of an ONNX file, and layers made of them by hand."""

    def __init__(self, onnx: Any, path: Path) -> None:
        stored = onnx.load(str(path)).graph.initializer
        self.arrays: dict[str, FloatArray] = {a.name: np.asarray(onnx.numpy_helper.to_array(a), float) for a in stored}

    def conv(self, name: str, length: int, stride: int = 1, pads: int = 0) -> Conv:
        weight, bias = self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]
        return Conv(weight, bias, (length, length), stride, pads)

    def dense(self, name: str) -> Affine:
        return Affine(self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"])


@pytest.mark.parametrize("method", METHODS)
def test_bounds_of_a_convolutional_network_are_those_of_the_written_out_network(
    method: Callable[..., Bounds], data_file: Callable[[str], Path], need: Callable[[str], Any]
) -> None:
    parts = _Parts(need("onnx"), data_file("vnncomp_conv/Convnet_avgpool.onnx"))
    hidden: list[Layer] = [parts.conv("conv1.0", 28), relu, AveragePool(32, (27, 27), 4, 4), Reshape((1, -1))]
    network = Network.chain([*hidden, parts.dense("out")], (1, 1, 28, 28))
    with np.load(data_file("mnist.npz")) as images:
        image = images["x_test"][0].ravel() / 255.0
    domain = Ball(image, 0.02, clip=(0.0, 1.0))
    assert network.neurons == 32 * 27 * 27
    _assert_equal(method(network, domain), method(expanded(network), domain))


def test_crown_at_the_output_of_a_residual_network_is_much_narrower_than_interval(
    data_file: Callable[[str], Path], need: Callable[[str], Any]
) -> None:
    parts = _Parts(need("onnx"), data_file("vnncomp_conv/resnet_2b.onnx"))
    nodes = [
        Node("stem", parts.conv("conv1", 32, 2, 1), INPUT),
        Node("relu0", relu, "stem"),
        Node("first.1", parts.conv("layer1.0.conv1", 16, 2, 1), "relu0"),
        Node("relu1", relu, "first.1"),
        Node("first.2", parts.conv("layer1.0.conv2", 8, 1, 1), "relu1"),
        Node("shortcut", parts.conv("layer1.0.shortcut.0", 16, 2), "relu0"),
        Node("first", Sum(), "first.2", "shortcut"),
        Node("relu2", relu, "first"),
        Node("second.1", parts.conv("layer1.1.conv1", 8, 1, 1), "relu2"),
        Node("relu3", relu, "second.1"),
        Node("second.2", parts.conv("layer1.1.conv2", 8, 1, 1), "relu3"),
        Node("second", Sum(), "second.2", "relu2"),
        Node("relu4", relu, "second"),
        Node("flat", Reshape((1, -1)), "relu4"),
        Node("third", parts.dense("linear1"), "flat"),
        Node("relu5", relu, "third"),
        Node("out", parts.dense("linear2"), "relu5"),
    ]
    network = Network(tuple(nodes), (1, 3, 32, 32))
    domain = read_vnnlib(data_file("vnncomp_conv/resnet2b_prop_0_eps_0.008.vnnlib"), network).inputs["X"].domain
    wide, narrow = (method(network, domain).boxes["out"] for method in METHODS)
    assert ((wide.upper - wide.lower) >= 20 * (narrow.upper - narrow.lower)).all()


# --- activations of more pieces, and maxima -----------------------------------------------------------------


@given(network=graphs(pieces="rising", maxima=False), data=st.data())
def test_interval_of_activations_that_rise_is_that_of_their_series(network: Network, data: st.DataObject) -> None:
    domain = data.draw(boxes(network.input_size))
    dense = expanded(network)
    assert all(isinstance(n.layer, AffineLayer) or n.layer.pieces == 2 for n in dense.nodes)  # type: ignore[attr-defined]
    _assert_equal(interval(network, domain), interval(dense, domain))


@given(network=graphs(), data=st.data())
def test_interval_is_never_wider_than_that_of_the_written_out_network(network: Network, data: st.DataObject) -> None:
    domain = data.draw(boxes(network.input_size))
    ours, theirs = interval(network, domain), interval(expanded(network), domain)
    for name, box in ours.boxes.items():
        slack = CLOSE * (1.0 + box.magnitude)
        assert (box.lower >= theirs.boxes[name].lower - slack).all()
        assert (box.upper <= theirs.boxes[name].upper + slack).all()


def _gap(network: Network, domain: Box) -> float:
    """Mean distance between the affine functions of one input above and below the output: an area per length."""
    bounds = crown(network, domain)
    form = linear_form(network, {network.output: np.array([[1.0], [-1.0]])}, bounds.boxes)
    middle = 0.5 * (domain.lower + domain.upper)
    return float((form.coefficients @ middle + form.offset).sum())


@given(activation=st.one_of(st.sampled_from(list(DECLARED.values())), activations()), domain=boxes(1))
def test_relaxation_of_one_unit_covers_no_more_than_that_of_its_two_piece_units(
    activation: PiecewiseLinear, domain: Box
) -> None:
    identity = Affine(np.eye(1), np.zeros(1))
    network = Network.chain([identity, activation], (1,))
    assert _gap(network, domain) <= _gap(expanded(network), domain) + CLOSE


def _width_ratios(seeds: range, maxima: bool) -> list[float]:
    """Of the widest output of random graphs: CROWN here by CROWN of the written-out network."""
    found = []
    for seed in seeds:
        network = random_graph(seed, maxima=maxima)
        domain = Box(-np.ones(network.input_size), np.ones(network.input_size))
        widths = []
        for form in (network, expanded(network)):
            box = crown(form, domain).boxes[form.output]
            widths.append(float((box.upper - box.lower).max()))
        found.append(widths[0] / widths[1] if widths[1] > CLOSE else 1.0)
    return found


@pytest.mark.parametrize("maxima", [False, True])
def test_crown_of_random_graphs_is_narrower_than_of_the_written_out_networks_on_the_whole(maxima: bool) -> None:
    ratios = _width_ratios(range(200), maxima)
    seen = Counter("equal" if abs(r - 1) <= CLOSE else "narrower" if r < 1 else "wider" for r in ratios)
    assert np.mean(ratios) <= 1.0
    # the lines of two units in series may happen to fit what follows better than those of one
    assert seen["narrower"] >= 3 * seen["wider"], seen
