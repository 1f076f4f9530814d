"""The pictures of study 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.expressivity.few_patterns.course import Course, Maps
from benchmarks.expressivity.few_patterns.memory import Level, Task
from benchmarks.expressivity.few_patterns.scales import Scale
from benchmarks.expressivity.few_patterns.settings import Widths
from benchmarks.expressivity.few_patterns.start import Depth, Size
from benchmarks.expressivity.finding import Picture
from reludsl.plot import plot_fit, plot_plane, plot_spread

OVER = "regions / N²"


def name(widths: Widths) -> str:
    return f"[{', '.join(map(str, widths))}]"


def start_pictures(depths: Sequence[Depth], sizes: Sequence[Size], scales: Sequence[Scale]) -> list[Picture]:
    """Of networks at initialisation."""

    def by_depth(figure: Any) -> None:
        axes = figure.add_subplot()
        at = np.arange(len(depths))
        for label, values in (("whole plane", [d.whole for d in depths]), ("square", [d.square for d in depths])):
            means, spreads = [v.mean() for v in values], [v.std() for v in values]
            axes.errorbar(at, means, yerr=spreads, marker="o", capsize=3, label=label)
        axes.axhline(0.5, color="black", linewidth=0.8, linestyle="--", label="1/2")
        axes.set_xticks(at, [name(d.widths) for d in depths])
        axes.set(ylabel=OVER, ylim=(0, None))
        axes.legend(fontsize="small")

    def by_neurons(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        groups = {
            f"depth {depth}": [one for one in sizes if len(one.widths) == depth]
            for depth in sorted({len(one.widths) for one in sizes})
        }
        plot_fit(
            {label: ([s.neurons for s in own], [s.regions.mean() for s in own]) for label, own in groups.items()},
            xlabel="neurons",
            ylabel="regions crossed by a segment",
            axes=left,
        )
        for label, own in groups.items():
            right.plot([s.neurons for s in own], [s.distance.mean() for s in own], marker="o", label=label)
        right.set(xscale="log", yscale="log", xlabel="neurons", ylabel="distance to the nearest boundary")
        right.legend(fontsize="small")

    def swept(figure: Any) -> None:
        left, middle, right = figure.subplots(1, 3)
        for scale in dict.fromkeys(one.bias_scale for one in scales):
            own = [one for one in scales if one.bias_scale == scale]
            label, variances = f"bias scale {scale:g}", [one.variance for one in own]
            density = [one.per_area.mean() for one in own]
            left.plot(variances, density, marker="o", label=label)
            middle.plot(variances, [one.whole.mean() for one in own], marker="o", label=label)
            right.plot([one.gradient.mean() for one in own], density, marker="o", label=label)
        left.set_xscale("log", base=2)
        left.set(yscale="log", xlabel="weight variance x inputs", ylabel="regions per area of the square")
        middle.set_xscale("log", base=2)
        middle.set(xlabel="weight variance x inputs", ylabel=f"{OVER}, whole plane", ylim=(0, 1))
        right.set(xscale="log", yscale="log", xlabel="mean gradient norm in the plane", ylabel="regions per area")
        for axes in (left, middle, right):
            axes.minorticks_off()
        left.legend(fontsize="small")

    return [
        Picture(
            name="depth", caption="Regions / N² at initialisation against depth: mean and deviation", draw=by_depth
        ),
        Picture(
            name="segments", caption="Regions crossed by a segment, and distances, against neurons", draw=by_neurons
        ),
        Picture(
            name="initialisation",
            caption="Variance of weights and biases; gradient norm against density",
            draw=swept,
            size=(12.0, 4.0),
        ),
    ]


def training_pictures(courses: Sequence[Course], maps: Maps) -> list[Picture]:
    """Of networks during training."""

    def counts(figure: Any) -> None:
        for axes, of, label in zip(figure.subplots(1, 2), ("whole", "square"), ("whole plane", "square")):
            runs = {name(one.widths): getattr(one, of) for one in courses}
            plot_spread(courses[0].epochs, runs, xlabel="epoch", ylabel=f"{OVER}, {label}", axes=axes)
            axes.set_ylim(0, None)

    def lines(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for axes, of, label in (
            (left, "segment", "regions crossed by a segment / N"),
            (right, "distance", "distance to the nearest boundary"),
        ):
            runs = {name(one.widths): getattr(one, of) for one in courses}
            plot_spread(courses[0].epochs, runs, xlabel="epoch", ylabel=label, axes=axes)
            axes.set_ylim(0, None)

    def map_of_slice(figure: Any) -> None:
        for axes, plane, label in zip(figure.subplots(1, 2), (maps.before, maps.after), ("before", "after")):
            plot_plane(plane, points=maps.points, axes=axes)
            axes.set_title(f"{label} training: {plane.faces:,} regions")
            axes.set(xticks=[], yticks=[])
            axes.get_legend().remove()
            for drawn in axes.collections:
                drawn.set_rasterized(True)

    return [
        Picture(name="counts", caption="Regions / N² against epoch: mean and deviation of the runs", draw=counts),
        Picture(name="course", caption="Segments and distances against epoch", draw=lines),
        Picture(
            name="map",
            caption="One slice through three images (white), before and after training",
            draw=map_of_slice,
            size=(9.0, 4.6),
        ),
    ]


def memory_picture(levels: Sequence[Level], tasks: Sequence[Task]) -> Picture:
    """Both kinds of memorising."""

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        runs = {f"{one.level:.0%} random labels": one.whole for one in levels}
        plot_spread(levels[0].epochs, runs, xlabel="epoch", ylabel=f"{OVER}, whole plane", axes=left)
        left.set_ylim(0, None)
        sizes = [one.size for one in tasks]
        runs = {
            "after training": np.stack([one.after for one in tasks], axis=1),
            "before": np.stack([one.before for one in tasks], axis=1),
            "share memorised": np.stack([one.accuracy for one in tasks], axis=1) / 100,
        }
        plot_spread(sizes, runs, xlabel="random points", ylabel=f"{OVER} of the square; share", axes=right)
        right.set(xscale="log", ylim=(0, 1.05))
        right.set_xticks(sizes, [str(size) for size in sizes])
        right.minorticks_off()

    return Picture(name="memory", caption="Memorising: images with random labels, random points", draw=draw)
