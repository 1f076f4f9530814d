"""Study 7, baselines: the nearest subspace of each class, one hidden layer, and a small convolutional network.

The networks become networks of the library, and their accuracy is that of its forward pass.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.expressivity.finding import Finding, Observation, Picture, Table
from benchmarks.expressivity.images import images
from benchmarks.expressivity.training import Fit, accuracy, dense, fit
from benchmarks.published.training import Images, Say
from reludsl.backend import FloatArray, IntArray
from reludsl.expressivity import class_subspaces
from reludsl.expressivity.torch_module import torch
from reludsl.io import from_torch
from reludsl.network import Network

CLASSES = 10
SOURCE = "Jeong, Barton and Ramirez, ICERM 2020"
SUBSPACE, DENSE, CONVOLUTION = "nearest subspace", "one hidden layer", "convolutions"
PUBLISHED = {DENSE: 97.8, CONVOLUTION: 98.35}
"""Test accuracy in % on MNIST, after 12 and after 3 epochs."""

NEAR = 0.5
"""Percentage points below the published accuracy up to which ours counts as reaching it."""

AT_ONCE = 500
"""Images that are passed on together: their values fit the memory."""


@dataclass(frozen=True)
class Settings:
    """Published epochs are 12 and 3 of MNIST, 5,628 and 1,407 batches of 128; the default has as many batches of 32.

    Args:
        columns: of every class' subspace, swept.
        held_out: share of the training images by which the number of columns is chosen.
        hidden: units of the one hidden layer.
        channels: of the two convolutions; units: of the two dense layers before the output.
    """

    data: str = "digits"
    columns: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64)
    held_out: float = 0.2
    seeds: int = 5
    batch: int = 32
    hidden: int = 128
    dense_epochs: int = 125
    channels: tuple[int, int] = (16, 32)
    units: tuple[int, int] = (64, 32)
    convolution_epochs: int = 31
    threads: int = 1


DEFAULT = Settings()
FULL = Settings(
    data="mnist", columns=(1, 2, 5, 10, 15, 20, 25, 30, 35, 40, 50, 60, 80, 100, 150, 200, 300, 500), seeds=1,
    batch=128, dense_epochs=12, units=(128, 64), convolution_epochs=3, threads=2,
)  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """Accuracy in % of the nearest subspace by number of columns.

    Args:
        held_out: of the images held out, by subspaces of the others; test: of the test images, by all subspaces.
        ranks: (classes,) of the subspaces of all training images.
        best: the number of columns with the best accuracy on the images held out, the first of several.
        score: test accuracy with that number.
    """

    held_out: FloatArray
    test: FloatArray
    ranks: IntArray
    best: int
    score: float


@dataclass(frozen=True)
class Trained:
    """Accuracy in %, (seeds,) each: by torch and by the library, and the library's on the training images."""

    torch: FloatArray
    library: FloatArray
    train: FloatArray
    parameters: int


def sweep(train: Images, test: Images, columns: Sequence[int], held_out: float, seed: int) -> Sweep:
    """The number of columns is chosen without the test images."""
    order = np.random.default_rng(seed).permutation(len(train))
    other, rest = np.split(order, [round(held_out * len(train))])
    chosen = class_subspaces(train.pixels[rest], train.labels[rest])
    found = _right(chosen.classify, train.pixels[other], train.labels[other], columns)
    whole = class_subspaces(train.pixels, train.labels)
    final = _right(whole.classify, test.pixels, test.labels, columns)
    best = int(found.argmax())
    return Sweep(found, final, whole.ranks, columns[best], float(final[best]))


def _right(
    classify: Callable[[FloatArray, Sequence[int]], IntArray], x: FloatArray, labels: IntArray, columns: Sequence[int]
) -> FloatArray:
    parts = [classify(x[k : k + AT_ONCE], columns) for k in range(0, len(x), AT_ONCE)]
    return np.asarray(100.0 * (np.concatenate(parts, axis=1) == labels).mean(axis=1))


def convolutional(side: int, channels: tuple[int, int], units: tuple[int, int], seed: int) -> Any:
    """Two convolutions of 3 x 3 with max-pooling of 2 x 2 each, and three dense layers, the last of them the output.

    It takes flat images. Weights are torch's own by the seed.
    """
    nn = torch().nn
    first, second = channels
    with torch().random.fork_rng(devices=[]):
        torch().manual_seed(seed)
        return nn.Sequential(
            nn.Unflatten(1, (1, side, side)),
            nn.Conv2d(1, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * (side // 4) ** 2, units[0]), nn.ReLU(),
            nn.Linear(*units), nn.ReLU(),
            nn.Linear(units[1], CLASSES),
        )  # fmt: skip


def trained(make: Callable[[int], Any], train: Images, test: Images, how: Fit, seeds: range) -> Trained:
    """A network per seed."""
    rows = []
    for seed in seeds:
        model = make(seed)
        fit(model, train.pixels, train.labels, how, seed)
        network = from_torch(model, (1, train.pixels.shape[1]))
        rows.append((accuracy(model, test.pixels, test.labels), score(network, test), score(network, train)))
    by_torch, own, on_train = np.array(rows).T
    return Trained(by_torch, own, on_train, network.parameters)


def score(network: Network, chosen: Images) -> float:
    """Accuracy in %, by the library's forward pass."""
    parts = [network(chosen.pixels[k : k + AT_ONCE]).argmax(axis=1) for k in range(0, len(chosen), AT_ONCE)]
    return float(100.0 * (np.concatenate(parts) == chosen.labels).mean())


def study(settings: Settings = DEFAULT, seed: int = 0, say: Say = lambda _: None) -> Finding:
    """Without torch, the subspaces alone."""
    train, test = images(settings.data)
    swept = sweep(train, test, settings.columns, settings.held_out, seed)
    say(f"{SUBSPACE}: {swept.score:.2f} % with {swept.best} columns")
    networks: dict[str, Trained] = {}
    if importlib.util.find_spec("torch") is not None:
        networks = _networks(settings, train, test, range(seed, seed + settings.seeds), say)
    return Finding(
        name="baselines",
        title="Baselines",
        settings=asdict(settings) | {"seed": seed},
        observations=_observations(settings, swept, networks),
        numbers=_numbers(settings, swept, networks),
        tables=_tables(settings, swept, networks),
        pictures=_pictures(settings, swept, networks),
        notes=_notes(settings, networks),
    )


def _networks(settings: Settings, train: Images, test: Images, seeds: range, say: Say) -> dict[str, Trained]:
    pixels = train.pixels.shape[1]
    makers: dict[str, tuple[int, Callable[[int], Any]]] = {
        DENSE: (settings.dense_epochs, lambda seed: dense((pixels, settings.hidden, CLASSES), seed)),
        CONVOLUTION: (
            settings.convolution_epochs,
            lambda seed: convolutional(math.isqrt(pixels), settings.channels, settings.units, seed),
        ),
    }
    found = {}
    for name, (epochs, make) in makers.items():
        how = Fit(epochs=epochs, batch=settings.batch, at_epochs=(), threads=settings.threads)
        found[name] = trained(make, train, test, how, seeds)
        say(f"{name}: {found[name].library.mean():.2f} %")
    return found


def _observations(settings: Settings, swept: Sweep, networks: Mapping[str, Trained]) -> list[Observation]:
    test = swept.test
    spread = f"{test[0]:.1f} % with {settings.columns[0]}, {test[-1]:.1f} % with {settings.columns[-1]}"
    found = [
        Observation(
            published="the number of columns of the subspaces is a hyperparameter: the best lies between few and many "
            f"({SOURCE})",
            measured=f"the nearest subspace classifies {swept.score:.2f} % of the test images with {swept.best} "
            f"columns (chosen on training images held out), {spread}",
            seen=swept.score > float(max(test[0], test[-1])),
        )
    ]
    if not networks:
        return found
    own = {name: float(one.library.mean()) for name, one in networks.items()}
    found.append(
        Observation(
            published=f"the convolutional network is the best of the three, on MNIST ({SOURCE})",
            measured=f"test accuracy is {swept.score:.2f} % with the {SUBSPACE}, {own[DENSE]:.2f} % with {DENSE} of "
            f"{settings.hidden}, {own[CONVOLUTION]:.2f} % with {CONVOLUTION}, means over {settings.seeds} networks",
            seen=own[CONVOLUTION] > max(own[DENSE], swept.score),
        )
    )
    if settings.data == "mnist":
        found += [
            Observation(
                published=f"{name}: {PUBLISHED[name]:g} % after {epochs} epochs ({SOURCE})",
                measured=f"{name} reaches {own[name]:.2f} % after {epochs} epochs",
                seen=own[name] >= PUBLISHED[name] - NEAR,
            )
            for name, epochs in ((DENSE, settings.dense_epochs), (CONVOLUTION, settings.convolution_epochs))
        ]
    return found


def _numbers(settings: Settings, swept: Sweep, networks: Mapping[str, Trained]) -> dict[str, Any]:
    return {
        SUBSPACE: {
            "columns": list(settings.columns), "held_out": swept.held_out.tolist(), "test": swept.test.tolist(),
            "ranks": swept.ranks.tolist(), "best": swept.best, "accuracy": swept.score,
        }
    } | {
        name: {
            "library": one.library.tolist(), "torch": one.torch.tolist(), "train": one.train.tolist(),
            "parameters": one.parameters, "published on MNIST": PUBLISHED[name],
        }
        for name, one in networks.items()
    }  # fmt: skip


def _tables(settings: Settings, swept: Sweep, networks: Mapping[str, Trained]) -> Sequence[Table]:
    rows = [[SUBSPACE, f"{int(np.minimum(swept.ranks, swept.best).sum())} columns", f"{swept.score:.2f}", "", "", ""]]
    rows += [
        [
            name, f"{one.parameters:,} parameters", f"{one.library.mean():.2f}", f"{one.torch.mean():.2f}",
            f"{one.train.mean():.2f}", f"{PUBLISHED[name]:g}",
        ]
        for name, one in networks.items()
    ]  # fmt: skip
    head = ["classifier", "size", "test", "test, by torch", "training", "published (MNIST)"]
    return (
        Table(caption="Accuracy in %, by the library's forward pass unless it says otherwise.", head=head, rows=rows),
    )


def _pictures(settings: Settings, swept: Sweep, networks: Mapping[str, Trained]) -> Sequence[Picture]:
    def draw(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot(settings.columns, swept.held_out, marker="o", markersize=3, label=f"{SUBSPACE}, held out")
        (line,) = axes.plot(settings.columns, swept.test, marker="o", markersize=3, label=f"{SUBSPACE}, test")
        axes.plot(swept.best, swept.score, marker="*", markersize=12, color=line.get_color(), label="_chosen")
        for (name, one), style in zip(networks.items(), ("--", ":")):
            axes.axhline(one.library.mean(), color="black", linestyle=style, linewidth=1, label=name)
        axes.set_xscale("log")
        axes.set_xlabel("columns of every class' subspace (star: chosen)")
        axes.set_ylabel("accuracy in %")
        axes.legend(fontsize="small")

    return (Picture(name="columns", caption="Accuracy of the nearest subspace by number of columns", draw=draw),)


def _notes(settings: Settings, networks: Mapping[str, Trained]) -> Sequence[str]:
    notes = [
        "The text at hand of the published summary prints the residual without its minus sign; it must read "
        "argmin_c ||x - U_c U_c^T x||.",
        "What the published convolutional network is made of beyond its layers is not known: here kernels are 3 x 3 "
        f"with {settings.channels[0]} and {settings.channels[1]} channels, dense layers have {settings.units[0]}, "
        f"{settings.units[1]} and 10 units, and all networks are trained by Adam at 0.001.",
    ]
    if settings.data != "mnist":
        notes.append(
            "Ran on the digits of scikit-learn (8 x 8 pixels), for as many batches as the published epochs have on "
            "MNIST; published accuracies are of MNIST, and `--full` compares with them."
        )
    if not networks:
        notes.append("torch is not installed, so that no network was trained: pip install torch")
    return notes
