"""The pictures of the study, as SVG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.published.settings import Shape
from benchmarks.published.study import Local, Run, linear_fit, regularised
from reludsl.io.files import write_atomically
from reludsl.plot import new_axes, plot_local_stability

COMPRESSION, HARDNESS, LOCAL = "compression.svg", "hardness.svg", "local-stability.svg"


def compression(runs: Sequence[Run], shapes: Sequence[Shape], ax: Any = None) -> Any:
    """Neurons removed against accuracy, a point per regularised classifier, and the line through all of them."""
    axes = new_axes() if ax is None else ax
    chosen = regularised(runs, shapes)
    for shape in shapes:
        mine = [run for run in chosen if run.shape == shape.name]
        axes.scatter([run.score for run in mine], [run.removed for run in mine], s=18, label=shape.name)
    fit = linear_fit([run.score for run in chosen], [run.removed for run in chosen])
    if fit is not None:
        ends = [min(run.score for run in chosen), max(run.score for run in chosen)]
        label = f"fit, R² = {fit.r_squared:.2f}"
        axes.plot(ends, [fit.slope * x + fit.offset for x in ends], color="black", linewidth=1, label=label)
    axes.set_xlabel("test accuracy in %")
    axes.set_ylabel("hidden neurons removed in %")
    axes.legend()
    return axes


def hardness(runs: Sequence[Run], ax: Any = None) -> Any:
    """Mean seconds of the certificate against the L1 weight, a line per shape."""
    axes = new_axes() if ax is None else ax
    for name in dict.fromkeys(run.shape for run in runs):
        mine = [run for run in runs if run.shape == name]
        weights = sorted({run.l1 for run in mine})
        seconds = [mean(run.certify_seconds for run in mine if run.l1 == l1) for l1 in weights]
        axes.plot(weights, seconds, marker="o", markersize=4, label=name)
    axes.set_xscale("symlog", linthresh=2e-5)
    axes.set_yscale("log")
    axes.set_xlabel("L1 weight")
    axes.set_ylabel("seconds to certify, mean over seeds")
    axes.legend()
    return axes


def save(axes: Any, path: Path) -> None:
    """As SVG with text as text, the same file for the same numbers."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "reludsl"}):
        axes.figure.savefig(stream, format="svg", metadata={"Date": None})
    lines = stream.getvalue().decode("utf-8").splitlines()
    write_atomically(path, "".join(f"{line.rstrip()}\n" for line in lines).encode("utf-8"))


def draw(folder: Path, runs: Sequence[Run], shapes: Sequence[Shape], local: Local | None) -> None:
    """Every picture that there is something for."""
    save(hardness(runs), folder / HARDNESS)
    if local is not None:
        save(compression(runs, shapes), folder / COMPRESSION)
        save(plot_local_stability(local.result), folder / LOCAL)
