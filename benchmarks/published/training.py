"""Training by the published recipe, on the whole of MNIST in one tensor; networks are kept outside the repository."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.published.settings import Recipe, Shape
from reludsl.backend import FloatArray, IntArray
from reludsl.io import from_torch, read, write
from reludsl.io.files import write_atomically
from reludsl.network import Network

Say = Callable[[str], None]

ADAM_RATE = 1e-3
"""Autoencoders are trained by Adam at this rate: by SGD they learnt nothing but the mean image, their loss 0.0675, in
every trial (50-10-50, rates from 0.01 to 5, up to 121 epochs)."""


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images (m, 784) with pixels in [0, 1], and their labels (m,)."""

    pixels: FloatArray
    labels: IntArray

    def __len__(self) -> int:
        return len(self.labels)


def mnist(path: Path) -> tuple[Images, Images]:
    """Training and test images of a file with x_train, y_train, x_test, y_test; pixels divided by 255."""
    with np.load(path) as held:
        parts = [
            Images(held[f"x_{name}"].reshape(len(held[f"x_{name}"]), -1) / 255.0, held[f"y_{name}"].astype(np.int64))
            for name in ("train", "test")
        ]
    return parts[0], parts[1]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A network, and the seconds that its training took."""

    network: Network
    seconds: float


def train(shape: Shape, images: Images, l1: float, seed: int, recipe: Recipe, say: Say = lambda _: None) -> Trained:
    """Minimise loss + l1 * sum |w| over the weights of all Linear layers; biases are free.

    The loss is cross-entropy of the labels, or the mean squared error of the pixels for an autoencoder, whose rule is
    Adam (see `ADAM_RATE`). Weights start Kaiming-normal, biases at zero. The seed decides weights and batches.
    """
    import torch
    from torch import nn

    random = torch.Generator().manual_seed(seed)
    layers: list[Any] = []
    for n_in, n_out in pairwise(shape.sizes):
        linear = nn.Linear(n_in, n_out)
        with torch.no_grad():
            linear.weight.normal_(0.0, math.sqrt(2 / n_in), generator=random)
            linear.bias.zero_()
        layers += [linear, nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    weights = [layer.weight for layer in layers if isinstance(layer, nn.Linear)]
    start = time.perf_counter()
    pixels, labels = torch.tensor(images.pixels, dtype=torch.float32), torch.tensor(images.labels)
    if shape.autoencoder:
        rule = torch.optim.Adam(model.parameters(), lr=ADAM_RATE)
    else:
        rule = torch.optim.SGD(model.parameters(), lr=recipe.rate, momentum=recipe.momentum)
    schedule = torch.optim.lr_scheduler.StepLR(rule, recipe.step, recipe.decay)
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(images), generator=random)
        for chosen in order.split(recipe.batch):
            batch = pixels[chosen]
            output = model(batch)
            loss = (
                nn.functional.mse_loss(output, batch)
                if shape.autoencoder
                else nn.functional.cross_entropy(output, labels[chosen])
            )
            rule.zero_grad()
            loss.backward()
            for weight in weights:
                # the subgradient of l1 * |w| that autograd would take, without a pass over the graph
                weight.grad.add_(weight.detach().sign(), alpha=l1)
            rule.step()
        schedule.step()
        say(f"epoch {epoch + 1} of {recipe.epochs}, loss {loss.item():.4f}")
    return Trained(from_torch(model), time.perf_counter() - start)


def score(shape: Shape, network: Network, images: Images) -> float:
    """Accuracy in %, or the mean squared error of an autoencoder, by the network's own forward pass."""
    output = network(images.pixels)
    if shape.autoencoder:
        return float(np.square(output - images.pixels).mean())
    return float(100.0 * (output.argmax(axis=-1) == images.labels).mean())


def torch_threads() -> int:
    """How many threads torch trains with; 0 where it is not installed."""
    try:
        import torch
    except ImportError:
        return 0
    return int(torch.get_num_threads())


def mean_image_loss(train: Images, test: Images) -> float:
    """The loss of an autoencoder that has learnt nothing but the mean of the training images."""
    return float(np.square(test.pixels - train.pixels.mean(axis=0)).mean())


def cached(
    folder: Path, shape: Shape, images: Images, l1: float, seed: int, recipe: Recipe, say: Say = lambda _: None
) -> Trained:
    """`train`, or what an earlier call with the same settings left in the folder."""
    place = folder / f"{shape.name}_l1_{l1:g}_s{seed}_e{recipe.epochs}.npz"
    settings = {**asdict(recipe), "sizes": list(shape.sizes), "l1": l1, "seed": seed, "images": len(images)}
    settings |= {"adam": ADAM_RATE} if shape.autoencoder else {}
    record = place.with_suffix(".json")
    if place.exists() and record.exists():
        held = json.loads(record.read_text(encoding="utf-8"))
        if held["settings"] == settings:
            return Trained(read(place, check=False), held["seconds"])
    trained = train(shape, images, l1, seed, recipe, say)
    folder.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    write(trained.network, place)
    write_atomically(record, json.dumps({"settings": settings, "seconds": trained.seconds}).encode())
    return trained
