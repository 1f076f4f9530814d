"""What study 4 runs with: a default of a minute or so, and the published size."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.expressivity.training import Fit

Widths = tuple[int, ...]

BIAS_SCALE = 1e-3
"""Standard deviation of the biases at the start: variance 1e-6, as published."""

SHORT = Fit(epochs=20, at_epochs=(0, 2, 4, 6, 10, 20))
"""Adam at 1e-3, batches of 128, as published. Closer looks where most happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corruption:
    """Memorising images whose labels are random in part.

    Args:
        levels: the share of the images that gets a random label.
        images: how many are learnt.
        every: epochs from one measurement to the next.
    """

    levels: tuple[float, ...]
    images: int
    fit: Fit
    every: int
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Memorising random points of [-1, 1]^2 with random binary labels.

    Args:
        sizes: how many points; each as hard as it is large.
        steps: of the optimiser, whatever the number of points.
    """

    sizes: tuple[int, ...]
    steps: int
    batch: int
    rate: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of study 4.

    Args:
        images: "mnist", which falls back on "digits" where its file is missing, or "digits".
        part: how many training images; tested: how many test images; 0 for all.
        depths: architectures of the same number of neurons, from shallow to deep.
        segment_widths, segment_depths: networks that segments are cut by, every width with every depth.
        depth_runs, start_runs: networks at initialisation per architecture, of `depths` and of all else.
        slices, segments, points: measured of each network; trained_slices: of each in training, whose changes are
            smaller than what slices of one network differ by.
        variances: of the weights, times the number of inputs; bias_scales: standard deviations; `sweep` is the shape.
        trained: architectures that are trained; runs: how often each, two at least.
        deep: the network that memorises.
    """

    images: str = "mnist"
    part: int = 6000
    tested: int = 2000
    depths: tuple[Widths, ...] = ((60,), (30, 30), (20, 20, 20), (15,) * 4, (12,) * 5)
    segment_widths: tuple[int, ...] = (8, 16, 32, 64)
    segment_depths: tuple[int, ...] = (1, 2, 3, 4)
    depth_runs: int = 10
    start_runs: int = 5
    slices: int = 2
    trained_slices: int = 6
    segments: int = 40
    points: int = 50
    variances: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)
    bias_scales: tuple[float, ...] = (BIAS_SCALE, 0.1, 1.0)
    sweep: Widths = (20, 20, 20)
    trained: tuple[Widths, ...] = ((30, 30), (20, 20, 20), (15,) * 4, (32, 32, 32))
    runs: int = 8
    fit: Fit = SHORT
    deep: Widths = (32, 32, 32)
    corruption: Corruption = Corruption(
        levels=(0.0, 0.5, 1.0), images=500, fit=Fit(epochs=60, batch=32), every=6, runs=2
    )
    random_points: Points = Points(sizes=(10, 30, 90, 270), steps=2000, batch=128, rate=1e-3, runs=3)


DEFAULT = Settings()

FULL = Settings(
    part=0,
    tested=0,
    depth_runs=50,
    start_runs=20,
    slices=5,
    trained_slices=10,
    segments=100,
    points=200,
    trained=((60,), (30, 30), (20, 20, 20), (15,) * 4, (12,) * 5, (32, 32, 32), (48, 48), (24,) * 4),
    runs=10,
    fit=Fit(epochs=20),
    corruption=Corruption(levels=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0), images=5000, fit=Fit(epochs=200), every=5, runs=10),
    random_points=Points(sizes=(10, 20, 50, 100, 200, 500, 1000, 2000), steps=20_000, batch=128, rate=1e-3, runs=10),
)
"""Architectures of the published kind on all of MNIST, 10 runs, 5 slices each. The number of images that is memorised,
the epochs and the numbers of points are chosen here: the publication does not state them in the texts at hand."""
