"""Networks during training: what is measured of each after every epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.expressivity.few_patterns.settings import BIAS_SCALE, Settings, Widths
from benchmarks.expressivity.few_patterns.start import OUTPUTS
from benchmarks.expressivity.training import accuracy, dense, fit, network_of
from benchmarks.published.training import Images, Say
from reludsl.backend import FloatArray
from reludsl.expressivity import draw_slices, segment_density, slice_density
from reludsl.regions import Plane, Slice, nearest_boundary, plane

QUANTITIES = ("whole", "square", "segment", "distance", "accuracy")


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One architecture.

    Args:
        epochs: (e,) after which something was measured.
        whole, square: (runs, e) regions of whole planes and of squares, / N^2.
        segment: (runs, e) regions crossed by a segment, / N.
        distance: (runs, e) of data points to the nearest boundary.
        accuracy: (runs, e) on test images, in %.
    """

    widths: Widths
    epochs: list[int]
    whole: FloatArray
    square: FloatArray
    segment: FloatArray
    distance: FloatArray
    accuracy: FloatArray


@dataclass(slots=True)
class Record:
    """What one run writes down."""

    epochs: list[int] = field(default_factory=list)
    rows: list[tuple[float, ...]] = field(default_factory=list)


def course(settings: Settings, widths: Widths, train: Images, test: Images, seed: int, say: Say) -> Course:
    """Train some networks of one architecture, each measured on slices, segments and points of its own."""
    records = []
    for run in range(settings.runs):
        rng = np.random.default_rng(seed + run)
        cuts = draw_slices(train.pixels, settings.trained_slices, seed + run)
        count = len(train)
        pairs = np.stack([rng.choice(count, 2, replace=False) for _ in range(settings.segments)], axis=1)
        starts, ends = train.pixels[pairs]
        points = train.pixels[rng.choice(count, min(count, settings.points), replace=False)]
        record = Record()

        def look(epoch: int, model: Any, record: Record = record, here: Any = (cuts, starts, ends, points)) -> None:
            cuts, starts, ends, points = here
            network = network_of(model)
            record.epochs.append(epoch)
            record.rows.append(
                (
                    float(slice_density(network, cuts, whole=True).ratio.mean()),
                    float(slice_density(network, cuts).ratio.mean()),
                    float(segment_density(network, starts, ends).per_neuron.mean()),
                    float(nearest_boundary(network, points).distance.mean()),
                    accuracy(model, test.pixels, test.labels),
                )
            )

        model = dense((train.pixels.shape[1], *widths, OUTPUTS), seed + run, bias_scale=BIAS_SCALE)
        fit(model, train.pixels, train.labels, settings.fit, seed + run, on_epoch=look)
        records.append(record)
        say(f"{list(widths)}, run {run + 1} of {settings.runs}: accuracy {record.rows[-1][-1]:.1f} %")
    return Course(widths, records[0].epochs, *np.moveaxis(np.array([record.rows for record in records]), 2, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """The complex of one slice before and after training, and the three data points in its coordinates."""

    before: Plane
    after: Plane
    points: FloatArray


def maps(settings: Settings, widths: Widths, train: Images, seed: int) -> Maps:
    """Train one network and keep what a slice through three images looks like."""
    rng = np.random.default_rng(seed)
    three = train.pixels[rng.choice(len(train), 3, replace=False)]
    cut = Slice.through(three)
    found = []

    def look(epoch: int, model: Any) -> None:
        if epoch in (0, settings.fit.epochs):
            found.append(plane(network_of(model), cut))

    model = dense((train.pixels.shape[1], *widths, OUTPUTS), seed, bias_scale=BIAS_SCALE)
    fit(model, train.pixels, train.labels, settings.fit, seed, on_epoch=look)
    return Maps(found[0], found[-1], (three - cut.origin) @ cut.axes.T)
