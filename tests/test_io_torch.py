"""PyTorch modules: read as they compute in eval mode, written as modules that compute the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch_models import module

from reludsl.errors import InvalidInput, MissingBackend, UnsupportedOperator
from reludsl.io import from_torch, rounded, to_torch
from reludsl.layers import Affine, Layer, PiecewiseLinear, Reshape, Scale, Shift, relu
from reludsl.network import Network


def agrees(torch: Any, made: Any, shape: tuple[int, ...] | None = None) -> Network:
    net = from_torch(made, shape)
    x = np.random.default_rng(0).integers(-16, 17, (9, net.input_size)) / 8
    with torch.no_grad():
        made = made.eval()
        theirs = np.stack([made(torch.tensor(row.reshape(net.input_shape)).float()).numpy().ravel() for row in x])
    np.testing.assert_allclose(net(x).reshape(9, -1), theirs, atol=1e-5)
    return net


def kinds(net: Network) -> list[str]:
    return [node.layer.kind for node in net.nodes]


def test_sequential_is_read_layer_by_layer(torch: Any) -> None:
    nn = torch.nn
    made = nn.Sequential(
        nn.Flatten(),
        nn.Linear(12, 8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(8, 5, bias=False),
        nn.Identity(),
        nn.ReLU(),
        nn.Linear(5, 3),
    )
    net = agrees(torch, made, (1, 3, 4))
    assert kinds(net) == ["reshape", "affine", "relu", "affine", "relu", "affine"]
    assert [node.name for node in net.nodes] == ["0", "1", "2", "4", "6", "7"]
    assert from_torch(made).input_shape == (1, 12)
    assert made.training is False


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda t, m, x: t.relu(m.one(x)), ["affine", "relu"]),
        (lambda t, m, x: t.nn.functional.relu(m.one(x)).relu(), ["affine", "relu", "relu"]),
        (lambda t, m, x: (x - m.mean) / m.spread, ["shift", "divide"]),
        (lambda t, m, x: 1 - 2 * x, ["scale", "scale", "shift"]),
        (lambda t, m, x: -x + m.mean, ["scale", "shift"]),
        (lambda t, m, x: m.mean - x, ["scale", "shift"]),
        (lambda t, m, x: t.add(t.sub(t.mul(x, 0.5), m.mean), 1.5), ["scale", "shift", "shift"]),
        (lambda t, m, x: t.div(x, m.mean + 3), ["divide"]),
        (lambda t, m, x: x.view(x.size(0), 2, 2), ["reshape"]),
        (lambda t, m, x: x.reshape(x.shape[0], -1, 2).flatten(1), ["reshape", "reshape"]),
        (lambda t, m, x: t.flatten(x.reshape((-1, 2, 2)), 1), ["reshape", "reshape"]),
        (lambda t, m, x: t.nn.functional.linear(x, m.matrix), ["affine"]),
        (lambda t, m, x: x @ m.matrix.t(), ["affine"]),
        (lambda t, m, x: t.matmul(x, m.matrix.T * 2) + 1, ["affine", "shift"]),
        (lambda t, m, x: t.nn.functional.dropout(m.one(x), 0.5, m.training), ["affine"]),
        (lambda t, m, x: m.scale * x, ["scale"]),
    ],
)
def test_operations_of_plain_modules_agree(torch: Any, forward: Callable[..., Any], expected: list[str]) -> None:
    parts = {
        "one": torch.nn.Linear(4, 3),
        "mean": torch.randn(4),
        "spread": torch.rand(1, 4) + 1,
        "matrix": torch.nn.Parameter(torch.randn(3, 4)),
        "scale": torch.tensor(0.3),
    }
    net = agrees(torch, module(torch, lambda m, x: forward(torch, m, x), **parts), (1, 4))
    assert kinds(net) == expected


def test_nested_modules_are_named_by_their_place(torch: Any) -> None:
    body = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU())
    made = module(torch, lambda m, x: m.head(m.body(x)), body=body, head=torch.nn.Linear(3, 2))
    assert [node.name for node in agrees(torch, made).nodes] == ["body.0", "body.1", "head"]


def test_reading_changes_neither_mode_nor_weights_nor_random_state(torch: Any) -> None:
    made = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.9)).train()
    before = [p.clone() for p in made.parameters()]
    state = torch.get_rng_state()
    net = from_torch(made)
    to_torch(net)
    assert made.training
    assert all(torch.equal(a, b) for a, b in zip(before, made.parameters()))
    assert torch.equal(state, torch.get_rng_state())


def test_float64_weights_are_read_exactly(torch: Any) -> None:
    made = torch.nn.Linear(2, 1).double()
    layer = from_torch(made).nodes[0].layer
    assert isinstance(layer, Affine)
    np.testing.assert_array_equal(layer.dense, made.weight.detach().numpy())


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda t, m, x: t.tanh(x), r"'tanh' is a tanh.*supported are .*Linear"),
        (lambda t, m, x: m.act(x), r"'act' is a Softmax"),
        (lambda t, m, x: x * x, "two computed tensors"),
        (lambda t, m, x: 1 / x, "not piecewise linear"),
        (lambda t, m, x: t.add(x, 1, alpha=2), "alpha=2"),
        (lambda t, m, x: t.nn.functional.dropout(x, 0.5), "training=True"),
        (lambda t, m, x: x if x.sum() > 0 else -x, r"neither torch\.fx nor torch\.export can trace"),
        (lambda t, m, x: x.prod(), r"\.prod"),
        (lambda t, m, x: t.div(x, 2, rounding_mode="floor"), "form that is not supported"),
        (lambda t, m, x: x.dtype, r"\.dtype"),
    ],
)
def test_operations_without_a_layer_are_refused(torch: Any, forward: Callable[..., Any], message: str) -> None:
    made = module(torch, lambda m, x: forward(torch, m, x), act=torch.nn.Softmax(1))
    with pytest.raises(UnsupportedOperator, match=message) as caught:
        from_torch(made, (1, 4))
    assert "\n" not in str(caught.value)


def test_modules_that_are_no_network_are_refused(torch: Any) -> None:
    nn = torch.nn
    with pytest.raises(InvalidInput, match=r"no torch\.nn\.Module"):
        from_torch(3)
    with pytest.raises(InvalidInput, match="give input_shape"):
        from_torch(nn.ReLU())
    with pytest.raises(InvalidInput, match="flatten the tensor first"):
        from_torch(nn.Linear(4, 2), (1, 3, 5))
    with pytest.raises(InvalidInput, match="no single computed tensor"):
        from_torch(module(torch, lambda m, x: (x, x)), (1, 2))
    broken = nn.Linear(2, 1)
    with torch.no_grad():
        broken.weight[0, 1] = float("nan")
    with pytest.raises(InvalidInput, match="holds nan"):
        from_torch(broken)


def test_hidden_operation_in_place_is_found_by_the_comparison(torch: Any) -> None:
    def forward(m: Any, x: Any) -> Any:
        y = m.one(x)
        part = y[:, :4]
        m.act(part)
        return m.two(y)

    parts = {"one": torch.nn.Linear(4, 8), "act": torch.nn.ReLU(inplace=True), "two": torch.nn.Linear(8, 2)}
    with pytest.raises(InvalidInput, match="in place"):
        from_torch(module(torch, forward, **parts))


def layers_of_every_type() -> list[Layer]:
    rng = np.random.default_rng(0)
    return [
        Shift(rng.normal(size=6)),
        Scale(np.array([0.3]), divide=True),
        Reshape((1, 2, 3)),
        Scale(rng.normal(size=6)),
        Shift(rng.normal(size=6)),
        Reshape((1, 6)),
        Affine(rng.normal(size=(4, 6)), rng.normal(size=4)),
        relu,
        Affine(rng.normal(size=(3, 4)), rng.normal(size=3)),
    ]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_written_module_computes_the_rounded_network(torch: Any, dtype: Any) -> None:
    net = Network.chain(layers_of_every_type(), (1, 6))
    made = to_torch(net, dtype)
    x = np.random.default_rng(0).normal(size=(7, 6)).astype(dtype)
    with torch.no_grad():
        theirs = made(torch.tensor(x)).numpy()
    assert theirs.dtype == dtype
    tolerance = 1e-12 if dtype is np.float64 else 1e-4
    np.testing.assert_allclose(theirs, rounded(net, dtype)(x), atol=tolerance)
    again = from_torch(made)
    assert kinds(again) == kinds(net)
    y = x.astype(np.float64)
    np.testing.assert_array_equal(again(y), rounded(net, dtype)(y))


def test_plain_chain_is_a_sequential_of_linear_and_relu(torch: Any) -> None:
    layers: list[Layer] = [Affine(np.ones((3, 2)), np.zeros(3)), relu, Affine(np.ones((1, 3)), np.zeros(1))]
    for shape in ((2,), (1, 2)):
        made = to_torch(Network.chain(layers, shape))
        assert [type(part).__name__ for part in made] == ["Linear", "ReLU", "Linear"]
        assert made(torch.ones(5, 2)).shape == (5, 1)


@pytest.mark.parametrize(
    "activation",
    [
        PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0)),
        PiecewiseLinear("four_pieces", (-1, 0.5, 2), (-0.3, 0, 2, 0.7), (0, 1.1)),
        PiecewiseLinear("one_piece", (), (2.0,), (0, 1)),
    ],
    ids=lambda a: a.name,
)
def test_any_activation_is_written(torch: Any, activation: PiecewiseLinear) -> None:
    x = np.random.default_rng(0).normal(0, 3, size=(50, 2))
    made = to_torch(Network.chain([activation], (1, 2)), np.float64)
    np.testing.assert_allclose(made(torch.tensor(x)).numpy(), activation(x), atol=1e-12)


def test_missing_torch_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingBackend, match=r"pip install 'reludsl\[torch\]'"):
        from_torch(object())
    with pytest.raises(MissingBackend, match=r"pip install 'reludsl\[torch\]'"):
        to_torch(Network.chain([relu], (1,)))
