"""Operators, modules and layer types from elsewhere: read, written, and never replacing one that is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from io_layers import Swing, eighths
from onnx_models import model, node
from scipy import sparse
from torch_models import matches

from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.io import (
    from_torch,
    read,
    read_with_report,
    rounded,
    write,
    write_onnx,
)
from reludsl.io.onnx import from_model, register_operator
from reludsl.io.torch import register_module
from reludsl.layers import (
    Sum,
    absolute,
    register,
    registry,
    relu,
)
from reludsl.network import INPUT, Network, Node

Need = Callable[[str], Any]


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
