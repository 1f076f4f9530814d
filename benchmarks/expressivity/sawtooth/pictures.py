"""The figures of the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.expressivity.finding import Draw
from benchmarks.expressivity.sawtooth.anti import SQUARE, Trained
from benchmarks.expressivity.sawtooth.construction import UNIT
from benchmarks.expressivity.sawtooth.relearning import Look
from reludsl.backend import FloatArray
from reludsl.network import Network
from reludsl.plot import plot_plane
from reludsl.regions import line, plane


def against_variance(variances: Sequence[float], forms: Mapping[str, Mapping[str, FloatArray]], original: int) -> Draw:
    """Mean pieces left, with the standard error, for every form and subset: (variances, trials) each."""

    def draw(figure: Any) -> None:
        panels = figure.subplots(1, len(forms), sharey=True, squeeze=False)[0]
        for axes, (form, subsets) in zip(panels, forms.items()):
            for name, counts in subsets.items():
                error = counts.std(axis=1, ddof=1) / np.sqrt(counts.shape[1]) if counts.shape[1] > 1 else None
                axes.errorbar(variances, counts.mean(axis=1), error, marker="o", markersize=3, capsize=2, label=name)
            axes.axhline(original, color="grey", linewidth=1, linestyle=":")
            axes.set(title=form, xlabel="variance of the noise")
        panels[0].set_ylabel("affine pieces on [0, 1], mean")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize="small")

    return draw


def against_iteration(groups: Mapping[str, FloatArray], looks: Sequence[Look], original: int) -> Draw:
    """Mean pieces and mean squared error while training, by group: pieces (looks, networks of the group)."""

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        iterations = [look.iteration for look in looks]
        losses = np.array([look.losses for look in looks]).reshape(len(looks), len(groups), -1).mean(axis=2)
        for k, (name, counts) in enumerate(groups.items()):
            left.plot(iterations, counts.mean(axis=1), marker="o", markersize=3, label=name)
            right.plot(iterations, losses[:, k], marker="o", markersize=3, label=name)
        left.axhline(original, color="grey", linewidth=1, linestyle=":")
        right.axhline(1 / 12, color="grey", linewidth=1, linestyle=":", label="the constant 1/2")
        left.set(xlabel="iteration", ylabel="affine pieces on [0, 1], mean")
        right.set(xlabel="iteration", ylabel="mean squared error", yscale="log")
        right.legend(fontsize="small")

    return draw


def functions(target: Network, shown: Mapping[str, tuple[Network, Network]]) -> Draw:
    """One network of each group before and after training, over the target; at their exact breakpoints."""

    def draw(figure: Any) -> None:
        columns = -(-len(shown) // 2)
        panels = figure.subplots(2, columns, sharex=True, sharey=True, squeeze=False)
        for axes in panels.ravel()[len(shown) :]:
            axes.set_axis_off()
        for axes, (name, (before, after)) in zip(panels.ravel(), shown.items()):
            _curve(axes, target, color="lightgrey", linewidth=1.0, label="sawtooth")
            _curve(axes, before, color="tab:orange", linewidth=0.8, label="before")
            _curve(axes, after, color="tab:blue", linewidth=1.2, label="after")
            axes.set(title=name, ylim=(-0.1, 1.6))
        panels[0, 0].legend(fontsize="small", loc="upper right")

    return draw


def _curve(axes: Any, network: Network, **style: Any) -> None:
    found = line(network, UNIT.lower, UNIT.upper)
    axes.plot(found.t, found.outputs[:, 0], **style)


def maps(runs: Sequence[Trained]) -> Draw:
    """The regions of the first network before training, and after it for every weight of the penalty."""

    def draw(figure: Any) -> None:
        own = [run for run in runs if run.seed == runs[0].seed]
        shown = {"before training": own[0].before}
        shown |= {f"penalty {run.weight:g}" if run.weight else "no penalty": run.after for run in own}
        for axes, (name, network) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items()):
            found = plane(network, SQUARE)
            plot_plane(found, axes=axes)
            legend = axes.get_legend()
            if legend is not None and axes is not figure.axes[len(shown) - 1]:
                legend.remove()
            axes.set_title(f"{name}: {found.faces} regions")

    return draw
