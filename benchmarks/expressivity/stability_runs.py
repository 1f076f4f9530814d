"""What study 3 measures: each function trains some networks and gives arrays, the first axis by seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.expressivity.training import Fit, accuracy, dense, fit, network_of
from benchmarks.published.training import Images
from reludsl.backend import FloatArray
from reludsl.expressivity import TrajectoryRegulariser, additive, trajectory
from reludsl.expressivity.torch_module import torch
from reludsl.layers.activations import hard_tanh
from reludsl.network import Network
from reludsl.networks import gaussian_network

CLASSES = 10


@dataclass(frozen=True)
class Data:
    """Images to train on and to test on, and the two ends of the arcs, (arcs, pixels) each."""

    train: Images
    test: Images
    first: FloatArray
    second: FloatArray

    def sizes(self, width: int, depth: int) -> list[int]:
        return [self.train.pixels.shape[1], *[width] * depth, CLASSES]

    def score(self, network: Network) -> float:
        """Test accuracy in %, by the library's forward pass."""
        return float(100.0 * (network(self.test.pixels).argmax(axis=1) == self.test.labels).mean())

    def growth(self, model: Any) -> FloatArray:
        """Length of the arcs' images behind every hidden layer over their length at the input, mean over the arcs."""
        lengths = trajectory(network_of(model), self.first, self.second, arc=True).lengths
        return np.asarray((lengths[:, 1:-1] / lengths[:, :1]).mean(axis=0))


def with_arcs(train: Images, test: Images, count: int, seed: int) -> Data:
    """Arcs between test images of two classes."""
    random = np.random.default_rng(seed)
    first = random.permutation(len(test))[:count]
    second = [random.choice(np.flatnonzero(test.labels != test.labels[k])) for k in first]
    return Data(train, test, test.pixels[first], test.pixels[second])


@dataclass(frozen=True)
class NoiseRuns:
    """Noise on the weights of one layer of a trained network.

    Args:
        clean: (seeds,) test accuracy without noise.
        noisy: (seeds, deviations, layers) mean over trials.
        moved: (seeds, deviations, layers) ||f'(x) - f(x)|| / ||f(x)||, mean over test images and trials.
    """

    clean: FloatArray
    noisy: FloatArray
    moved: FloatArray


def noise(
    data: Data, width: int, depth: int, deviations: tuple[float, ...], trials: int, how: Fit, seeds: range
) -> NoiseRuns:
    """ReLU networks, every layer by itself, output layer included."""
    clean = []
    noisy = np.empty((len(seeds), len(deviations), depth + 1, trials))
    moved = np.empty_like(noisy)
    for k, seed in enumerate(seeds):
        model = dense(data.sizes(width, depth), seed)
        fit(model, data.train.pixels, data.train.labels, how, seed)
        network = network_of(model)
        clean.append(data.score(network))
        output = network(data.test.pixels)
        for place in np.ndindex(noisy.shape[1:]):
            deviation, layer, trial = place
            changed = additive(network, deviations[deviation], trial, layers=[layer])(data.test.pixels)
            noisy[(k, *place)] = 100.0 * (changed.argmax(axis=1) == data.test.labels).mean()
            moved[(k, *place)] = (np.linalg.norm(changed - output, axis=1) / np.linalg.norm(output, axis=1)).mean()
    return NoiseRuns(np.array(clean), noisy.mean(axis=3), moved.mean(axis=3))


def perturbed(
    data: Data, width: int, depth: int, variance: float, deviation: float, trials: int, seeds: range
) -> FloatArray:
    """(seeds, depth - 1) mean of ||f'(x) - f(x)|| over test images and trials, with noise on the weights of hidden
    layer 2, 3, ... of an untrained hard-tanh network; the first has other weights than they have."""
    found = np.empty((len(seeds), depth - 1, trials))
    for k, seed in enumerate(seeds):
        sizes = data.sizes(width, depth)[:-1]
        network = gaussian_network(
            sizes, seed, weight_scale=variance**0.5, bias_scale=0.0, activation=hard_tanh(), outputs=CLASSES
        )
        output = network(data.test.pixels)
        for layer, trial in np.ndindex(found.shape[1:]):
            changed = additive(network, deviation, trial, layers=[layer + 1])(data.test.pixels)
            found[k, layer, trial] = np.linalg.norm(changed - output, axis=1).mean()
    return np.asarray(found.mean(axis=2))


def one_layer(data: Data, width: int, depth: int, variance: float, how: Fit, seeds: range) -> FloatArray:
    """(seeds, depth - 1, 2) training and test accuracy of hard-tanh networks of which hidden layer 2, 3, ... alone is
    trained; the first is left out, because it has another number of weights."""
    nn = torch().nn
    found = np.empty((len(seeds), depth - 1, 2))
    for k, seed in enumerate(seeds):
        for layer in range(1, depth):
            model = dense(data.sizes(width, depth), seed, weight_scale=variance**0.5, activation=nn.Hardtanh)
            linear = [module for module in model if isinstance(module, nn.Linear)]
            model.requires_grad_(False)
            linear[layer].requires_grad_(True)
            fit(model, data.train.pixels, data.train.labels, how, seed)
            found[k, layer - 1] = [accuracy(model, part.pixels, part.labels) for part in (data.train, data.test)]
    return found


@dataclass(frozen=True)
class Course:
    """Training that is looked at after some epochs.

    Args:
        epochs: (looks,), 0 before the first.
        growth: (seeds, looks, hidden layers) see `Data.growth`.
        accuracy: (seeds, 2) of training and test images in the end, in %.
    """

    epochs: tuple[int, ...]
    growth: FloatArray
    accuracy: FloatArray

    @property
    def last(self) -> FloatArray:
        """(seeds, looks) behind the last hidden layer."""
        return self.growth[:, :, -1]


def course(
    data: Data,
    width: int,
    depth: int,
    how: Fit,
    seeds: range,
    *,
    variance: float,
    activation: str = "ReLU",
    batch_norm: bool = False,
    weight: float = 0.0,
) -> Course:
    """Train and follow the lengths.

    Args:
        activation: a module of torch.nn.
        weight: of the trajectory regularisation; 0 is without.
    """
    growths, scores = [], []
    for seed in seeds:
        model = dense(
            data.sizes(width, depth), seed, weight_scale=variance**0.5, batch_norm=batch_norm,
            activation=getattr(torch().nn, activation),
        )  # fmt: skip
        seen: list[FloatArray] = []

        def look(_: int, model: Any, seen: list[FloatArray] = seen) -> None:
            seen.append(data.growth(model))

        regulariser = TrajectoryRegulariser(model, weight) if weight else None
        fit(
            model, data.train.pixels, data.train.labels, how, seed,
            penalty=None if regulariser is None else (lambda *_, own=regulariser: own()), on_epoch=look,
        )  # fmt: skip
        growths.append(seen)
        scores.append([accuracy(model, part.pixels, part.labels) for part in (data.train, data.test)])
    looks = tuple(range(how.epochs + 1)) if how.at_epochs is None else how.at_epochs
    return Course(looks, np.array(growths), np.array(scores))
