"""Networks that learn by heart: images with random labels, and random points with random labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.expressivity.few_patterns.settings import BIAS_SCALE, Settings
from benchmarks.expressivity.few_patterns.start import OUTPUTS
from benchmarks.expressivity.images import take
from benchmarks.expressivity.training import Fit, accuracy, dense, fit, network_of
from benchmarks.published.training import Images, Say
from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.expressivity import draw_slices, slice_density
from reludsl.regions import plane


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Images of which a share has random labels.

    Args:
        epochs: (e,); whole: (runs, e) regions of whole planes / N^2; accuracy: (runs, e) on the labels learnt, in %.
    """

    level: float
    epochs: list[int]
    whole: FloatArray
    accuracy: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Random points: (runs,) regions of [-1, 1]^2 / N^2 before and after, accuracy in %."""

    size: int
    before: FloatArray
    after: FloatArray
    accuracy: FloatArray


def corrupted(labels: IntArray, level: float, seed: int) -> IntArray:
    """Labels of which a share is drawn anew, uniformly among all classes; the same places for a larger share too.

    >>> corrupted(np.array([7, 7, 7, 7]), 0.0, seed=0)
    array([7, 7, 7, 7])
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))[: round(level * len(labels))]
    found = labels.copy()
    found[order] = rng.integers(0, OUTPUTS, len(labels))[order]
    return found


def corruption(settings: Settings, train: Images, seed: int, say: Say) -> list[Level]:
    """Train on the same images for every level of noise; slices and start are the same as well."""
    how = settings.corruption
    shown = tuple(range(0, how.fit.epochs + 1, how.every))
    learn = replace(how.fit, at_epochs=shown)
    found = []
    for level in how.levels:
        rows = []
        for run in range(how.runs):
            chosen = take(train, how.images, seed + run)
            labels = corrupted(chosen.labels, level, seed + run)
            cuts = draw_slices(chosen.pixels, settings.slices, seed + run)
            row: list[tuple[float, float]] = []

            def look(epoch: int, model: Any, row: Any = row, here: Any = (cuts, chosen.pixels, labels)) -> None:
                cuts, pixels, labels = here
                density = slice_density(network_of(model), cuts, whole=True)
                row.append((float(density.ratio.mean()), accuracy(model, pixels, labels)))

            model = dense((train.pixels.shape[1], *settings.deep, OUTPUTS), seed + run, bias_scale=BIAS_SCALE)
            fit(model, chosen.pixels, labels, learn, seed + run, on_epoch=look)
            rows.append(row)
        whole, right = np.moveaxis(np.array(rows), 2, 0)
        found.append(Level(level, list(shown), whole, right))
        say(f"{level:.0%} random labels: accuracy {right[:, -1].mean():.1f} %, {whole[:, -1].mean():.3f} N^2 regions")
    return found


def random_points(settings: Settings, seed: int, say: Say) -> list[Task]:
    """Train on more and more points for the same number of steps."""
    how = settings.random_points
    return [
        _points(settings, size, [_one(settings, size, seed + run) for run in range(how.runs)], say)
        for size in how.sizes
    ]


def _points(settings: Settings, size: int, rows: list[tuple[float, float, float]], say: Say) -> Task:
    before, after, right = np.array(rows).T
    say(f"{size} random points: accuracy {right.mean():.1f} %, {after.mean():.3f} N^2 regions")
    return Task(size, before, after, right)


def _one(settings: Settings, size: int, seed: int) -> tuple[float, float, float]:
    how = settings.random_points
    rng = np.random.default_rng(seed)
    points, labels = rng.uniform(-1.0, 1.0, (size, 2)), rng.integers(0, 2, size)
    epochs = -(-how.steps // -(-size // how.batch))
    square = Box.full(-1.0, 1.0, (2,))
    counts: list[int] = []

    def look(epoch: int, model: Any) -> None:
        counts.append(plane(network_of(model), square).faces)

    model = dense((2, *settings.deep, 2), seed, bias_scale=BIAS_SCALE)
    learn = Fit(epochs=epochs, batch=how.batch, rate=how.rate, at_epochs=(0, epochs))
    fit(model, points, labels, learn, seed, on_epoch=look)
    neurons = sum(settings.deep)
    return counts[0] / neurons**2, counts[-1] / neurons**2, accuracy(model, points, labels)
