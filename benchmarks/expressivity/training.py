"""Training small networks while something is measured: the loop that every study that trains goes through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.expressivity.torch_module import torch
from reludsl.io import from_torch
from reludsl.network import Network

Penalty = Callable[[Any, Any], Any]
"""(model, batch) -> a term of the loss, a tensor without dimensions."""

REPEATED = (
    "A seed repeats trained numbers to the last bit on one processor with one version of torch, whatever the number of "
    "threads. Another processor adds float32 numbers in another order, and training takes these differences "
    "elsewhere: counts of single networks differ by some percent then."
)
"""What studies that train say of their numbers."""


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Of torch: tensors of small networks are computed faster by one than by several that wait for each other."""
    before = torch().get_num_threads()
    torch().set_num_threads(count)
    try:
        yield
    finally:
        torch().set_num_threads(before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a network is trained.

    Args:
        rule: "adam" or "sgd".
        at_epochs: the epochs after which it is shown to `on_epoch`, 0 being before the first; None for all.
        threads: of torch, while it trains; products of small layers are slower by several that wait for each other.
    """

    epochs: int
    batch: int = 128
    rate: float = 1e-3
    rule: str = "adam"
    momentum: float = 0.0
    at_epochs: tuple[int, ...] | None = None
    threads: int = 1


def dense(
    sizes: Iterable[int],
    seed: int,
    *,
    weight_scale: float = float(np.sqrt(2.0)),
    bias_scale: float = 0.0,
    activation: Callable[[], Any] | None = None,
    batch_norm: bool = False,
) -> Any:
    """nn.Sequential of Linear layers, W ~ N(0, weight_scale^2 / k), b ~ N(0, bias_scale^2), and activations between.

    Args:
        activation: makes a module; default nn.ReLU.
        batch_norm: before every activation.
    """
    nn = torch().nn
    generator = torch().Generator().manual_seed(seed)
    layers: list[Any] = []
    pairs = list(pairwise(sizes))
    for number, (n_in, n_out) in enumerate(pairs):
        linear = nn.Linear(n_in, n_out)
        with torch().no_grad():
            linear.weight.normal_(0.0, weight_scale / n_in**0.5, generator=generator)
            linear.bias.normal_(0.0, bias_scale, generator=generator) if bias_scale else linear.bias.zero_()
        layers.append(linear)
        if number < len(pairs) - 1:
            layers += [nn.BatchNorm1d(n_out)] if batch_norm else []
            layers.append(nn.ReLU() if activation is None else activation())
    return nn.Sequential(*layers)


def fit(
    model: Any,
    inputs: FloatArray,
    targets: FloatArray | IntArray,
    how: Fit,
    seed: int,
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    penalty: Penalty | None = None,
    on_epoch: Callable[[int, Any], None] = lambda epoch, model: None,
) -> None:
    """Train the parameters that require a gradient, in place; the model is in eval mode while `on_epoch` looks at it.

    Args:
        targets: labels (m,) for cross-entropy, or values (m, outputs) for the mean squared error.
        loss: (output, target) -> tensor; by default by the type of the targets.
        penalty: added to the loss of every batch.
    """
    functional = torch().nn.functional
    dtype = next(model.parameters()).dtype
    x = torch().tensor(inputs, dtype=dtype)
    labels = np.issubdtype(np.asarray(targets).dtype, np.integer)
    y = torch().tensor(targets) if labels else torch().tensor(targets, dtype=dtype)
    measure = loss or (functional.cross_entropy if labels else functional.mse_loss)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optim = torch().optim
    rule = (
        optim.Adam(trained, lr=how.rate)
        if how.rule == "adam"
        else optim.SGD(trained, lr=how.rate, momentum=how.momentum)
    )
    random = torch().Generator().manual_seed(seed)

    def look(epoch: int) -> None:
        if how.at_epochs is None or epoch in how.at_epochs:
            model.eval()
            on_epoch(epoch, model)

    with threads(how.threads):
        look(0)
        for epoch in range(1, how.epochs + 1):
            model.train()
            for chosen in torch().randperm(len(x), generator=random).split(how.batch):
                value = measure(model(x[chosen]), y[chosen])
                if penalty is not None:
                    value = value + penalty(model, x[chosen])
                rule.zero_grad()
                value.backward()
                rule.step()
            look(epoch)


def network_of(model: Any) -> Network:
    """The model as a network, batch normalisation as in eval mode."""
    model.eval()
    return from_torch(model, check=False)


def accuracy(model: Any, inputs: FloatArray, labels: IntArray) -> float:
    """Of the model in eval mode, in %."""
    model.eval()
    dtype = next(model.parameters()).dtype
    with torch().no_grad():
        found = model(torch().tensor(inputs, dtype=dtype)).argmax(dim=-1).numpy()
    return float(100.0 * (found == labels).mean())
