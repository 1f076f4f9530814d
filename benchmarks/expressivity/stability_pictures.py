"""The pictures of study 3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.expressivity.stability_runs import Course, NoiseRuns
from reludsl.backend import FloatArray
from reludsl.plot.colours import shades


def noise(figure: Any, deviations: tuple[float, ...], found: NoiseRuns) -> None:
    """Accuracy against deviation, a line per layer."""
    axes = figure.subplots()
    accuracy = found.noisy.mean(axis=0)
    layers = np.arange(1, accuracy.shape[1] + 1)
    for layer, column, colour in zip(layers, accuracy.T, shades(len(layers))):
        axes.plot((0.0, *deviations), (found.clean.mean(), *column), marker="o", markersize=3, color=colour,
                  label=f"layer {layer}")  # fmt: skip
    axes.set_xlabel("deviation of the noise on a layer's weights")
    axes.set_ylabel("test accuracy in %")
    axes.legend(fontsize="small")


def remaining(figure: Any, found: Mapping[float, FloatArray]) -> None:
    """Movement of the output by remaining depth, a line per variance."""
    axes = figure.subplots()
    for (variance, moved), colour in zip(found.items(), shades(len(found))):
        after = np.arange(moved.shape[1], 0, -1)
        axes.plot(after, moved.mean(axis=0), marker="o", markersize=3, color=colour,
                  label=f"$\\sigma_w^2 = {variance:g}$")  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("layers after the one with noise")
    axes.set_ylabel("movement of the output")
    axes.legend(fontsize="small")


def one_layer(figure: Any, found: FloatArray) -> None:
    """Accuracy against the layer that is trained: the mean, and every network as a dot."""
    axes = figure.subplots()
    layers = np.arange(2, found.shape[1] + 2)
    for k, name in enumerate(("training images", "test images")):
        (line,) = axes.plot(layers, found[:, :, k].mean(axis=0), label=name)
        axes.plot(layers, found[:, :, k].T, ".", color=line.get_color(), alpha=0.5)
    axes.set_xticks(layers)
    axes.set_xlabel("the hidden layer that is trained")
    axes.set_ylabel("accuracy in %")
    axes.legend(fontsize="small")


def training(figure: Any, arcs: Mapping[float, Course]) -> None:
    """Growth up to each hidden layer, a panel per variance, a line per epoch from dark to bright."""
    panels = figure.subplots(1, len(arcs))
    for axes, (variance, one) in zip(panels, arcs.items()):
        growth = one.growth.mean(axis=0)
        layers = np.arange(growth.shape[1] + 1)
        for epoch, row, colour in zip(one.epochs, growth, shades(len(one.epochs))):
            axes.plot(layers, (1.0, *row), marker="o", markersize=3, color=colour, label=f"epoch {epoch}")
        axes.set_title(f"$\\sigma_w^2 = {variance:g}$")
        axes.set_xticks(layers)
        axes.set_xlabel("hidden layer (0: input)")
        axes.set_ylabel("length relative to the input")
        axes.legend(fontsize="small")


def kinds(figure: Any, found: Mapping[str, Course]) -> None:
    """Growth up to the last hidden layer by epoch; growth against test accuracy in the end, a dot per network."""
    left, right = figure.subplots(1, 2)
    for name, one in found.items():
        (line,) = left.plot(one.epochs, one.last.mean(axis=0), marker="o", markersize=3, label=name)
        left.fill_between(one.epochs, one.last.min(axis=0), one.last.max(axis=0), color=line.get_color(), alpha=0.2)
        right.scatter(one.last[:, -1], one.accuracy[:, 1], s=18, color=line.get_color(), label=name)
    left.set_yscale("log")
    left.set_xticks(next(iter(found.values())).epochs)
    left.set_xlabel("epoch")
    left.set_ylabel("length relative to the input")
    left.legend(fontsize="small")
    right.set_xlabel("length relative to the input, in the end")
    right.set_ylabel("test accuracy in %")
