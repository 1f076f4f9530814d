"""Small PyTorch modules, and their comparison with the networks read from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reludsl.io import (
    from_torch,
)
from reludsl.network import Network

Need = Callable[[str], Any]


def module(torch: Any, forward: Callable[..., Any], **parts: Any) -> Any:
    """A module with the given parts and forward pass; tensors become buffers."""

    class Made(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, part in parts.items():
                if isinstance(part, torch.Tensor) and not isinstance(part, torch.nn.Parameter):
                    self.register_buffer(name, part)
                else:
                    setattr(self, name, part)

        def forward(self, x: Any) -> Any:
            return forward(self, x)

    return Made()


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


def shaken(torch: Any, part: Any) -> Any:
    """Random statistics in every batch normalisation."""
    for m in part.modules():
        if hasattr(m, "running_var") and m.running_var is not None:
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
            if m.weight is not None:
                torch.nn.init.normal_(m.weight)
                torch.nn.init.normal_(m.bias)
    return part
