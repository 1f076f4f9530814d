"""Trajectories through a network: their length against depth, and their image behind each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.expressivity import Image, Trajectory, image
from reludsl.plot.axes import new_axes
from reludsl.plot.breakpoints import DOTS
from reludsl.plot.checks import array, heights
from reludsl.plot.colours import shades


def plot_lengths(
    lengths: Mapping[str, Sequence[Sequence[float]] | FloatArray],
    *,
    expressions: Mapping[str, float] | None = None,
    axes: Any = None,
) -> Any:
    """Length against depth on a logarithmic axis: a line per name through the geometric means, least to most shaded.

    Args:
        lengths: name -> (curves, depths) lengths behind 0, 1, ... layers; what is 0 is left out.
        expressions: name -> base c of a published growth c^d: a dashed line, which begins where the line of the same
            name does.
        axes: axes of matplotlib to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: nothing to draw, arrays of another shape, numbers that are not finite.
    """
    if not lengths:
        raise InvalidInput("no lengths are given, so that there is nothing to draw; give at least one line")
    axes = new_axes() if axes is None else axes
    for (name, given), colour in zip(lengths.items(), shades(len(lengths))):
        found = array(given, (None, None), f"lengths of {name}").astype(np.float64)
        whole = np.where((found > 0).all(axis=0), found, np.nan)
        depth = np.arange(found.shape[1])
        middle = np.exp(np.log(whole).mean(axis=0))
        axes.plot(depth, middle, marker="o", markersize=3, color=colour, label=name)
        axes.fill_between(depth, whole.min(axis=0), whole.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        base = (expressions or {}).get(name)
        if base is not None:
            dashed = heights([middle[0] * base**d for d in depth.tolist()], len(depth), f"the expression of {name}")
            axes.plot(depth, dashed, color=colour, linestyle="--", linewidth=1.0, label=f"_expression of {name}")
    axes.set_yscale("log")
    axes.set_xlabel("layers passed" + (" (dashed: growth as published)" if expressions else ""))
    axes.set_ylabel("length of the trajectory")
    axes.legend(fontsize="small")
    return axes


def plot_image(seen: Image, *, axes: Any = None) -> Any:
    """The image of a trajectory behind one layer, from dark to bright along the curve.

    Every transition has a dot, where they are no more than `DOTS`.

    Args:
        axes: axes of matplotlib to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        MissingBackend: matplotlib is not installed.
    """
    axes = new_axes() if axes is None else axes
    from matplotlib.collections import LineCollection

    ways: Any = np.stack([seen.points[:-1], seen.points[1:]], axis=1)
    lines = LineCollection(ways, cmap="plasma", linewidths=1.2, label="_curve")
    lines.set_array(0.5 * (seen.t[:-1] + seen.t[1:]))
    lines.set_clim(0.0, 1.15)
    axes.add_collection(lines)
    x, y = seen.points.T
    dots = seen.breaks if len(seen.breaks) <= DOTS else seen.breaks[:0]
    axes.plot(x[dots], y[dots], ".", color="black", markersize=2.5, label="_transitions")
    axes.plot(x[[0, -1]], y[[0, -1]], "o", color="black", markersize=3, label="_ends")
    axes.set_title(f"{seen.stop}: {100 * seen.share:.0f} % of the variance", fontsize="small")
    axes.autoscale_view()
    axes.set_aspect("equal", adjustable="datalim")
    axes.tick_params(labelsize="x-small")
    return axes


def plot_images(found: Trajectory, curve: int = 0, *, figure: Any = None) -> Any:
    """The image of one curve behind every layer, a picture for each stop, each along its own principal axes.

    Args:
        figure: of matplotlib, to be filled; a new one by default.

    Returns:
        The figure.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: no curve of that number.
    """
    seen = [image(found, stop, curve) for stop in range(len(found.stops))]
    if figure is None:
        figure = new_axes().figure
        figure.clear()
    columns = min(4, len(seen))
    rows = -(-len(seen) // columns)
    figure.set_size_inches(2.6 * columns, 2.6 * rows)
    for k, one in enumerate(seen):
        plot_image(one, axes=figure.add_subplot(rows, columns, k + 1))
    return figure
