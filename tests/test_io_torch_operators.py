"""Modules and operations of PyTorch against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from io_layers import eighths, f32
from torch_models import matches, module, shaken

from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.io import (
    from_torch,
    read_onnx,
    rounded,
    to_torch,
    write_onnx,
)

Need = Callable[[str], Any]


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
    net = matches(torch, shaken(torch, torch.nn.Sequential(make(torch.nn))), shape)
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

    return shaken(torch, Net())


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
    made = shaken(torch, module(torch, forward, parts=parts, head=torch.nn.Linear(3, 2)))
    net = matches(torch, made, (1, 2, 4, 3))
    assert [n.layer.kind for n in net.nodes][:3] == ["conv", "batch_norm", "relu"]


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
