"""The map of the linear regions of a slice: polygons, what separates them, and data points on top."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.plot.axes import new_axes
from reludsl.plot.checks import array, classes
from reludsl.plot.colours import PALETTE, distinct, pattern_colours, shades

RASTER = 20_000
"""Polygons or boundaries beyond which they become pixels, in vector formats too."""

WIDEST = 1.2
"""Of the lines between regions, in points, where there are few; of those in the legend always."""


class Colouring(enum.Enum):
    """What the colour of a region says. The value is its name on the command line."""

    PATTERN = "pattern"
    """Its pattern, hashed: neighbours differ."""
    CLASS = "class"
    """The class that the network answers there."""
    GRADIENT = "gradient"
    """The norm of the gradient of the output, which is constant on the region."""
    ACTIVE = "active"
    """The number of active units."""


SCALES = {Colouring.GRADIENT: "norm of the gradient", Colouring.ACTIVE: "active units"}


def plot_regions(
    corners: FloatArray,
    offsets: IntArray,
    values: npt.NDArray[Any],
    *,
    colouring: Colouring = Colouring.PATTERN,
    boundaries: FloatArray | None = None,
    layers: IntArray | None = None,
    depth: int | None = None,
    decision: FloatArray | None = None,
    points: FloatArray | None = None,
    labels: IntArray | None = None,
    axes: Any = None,
) -> Any:
    """The regions of a slice as polygons, from below: regions, boundaries by layer, decision boundary, data points.

    10^5 regions with all their boundaries take a few seconds, as PNG or PDF; beyond `RASTER` they are pixels in both.

    Args:
        corners: (corners of all, 2) polygon after polygon, each in order around it.
        offsets: (regions + 1,) polygon f has the corners offsets[f] to offsets[f + 1] - 1.
        values: of each region its pattern (see `pattern_colours`), its class, a norm, or a number of units.
        colouring: which of those they are.
        boundaries: (m, 2, 2) segments between regions, from point to point.
        layers: (m,) the layer that makes each, from 0; without it they are all of one colour.
        depth: of how many layers a colour is one, where pictures side by side show some of them; by default of those
            that are met.
        decision: (k, 2, 2) segments between classes, drawn thick.
        points: (p, 2) data points; labels: (p,) their classes.
        axes: axes of matplotlib to draw on; new ones by default.

    Returns:
        The axes; `axes.figure.savefig("picture.png", dpi=200)` writes the picture.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: arrays that do not fit together, regions that reach infinity.
    """
    where = array(corners, (None, 2), "corners")
    ends = array(offsets, (None,), "offsets")
    if len(ends) < 2 or ends[0] != 0 or ends[-1] != len(where) or (np.diff(ends) < 3).any():
        raise InvalidInput(
            f"the offsets go from {ends[:1]} to {ends[-1:]} for {len(where)} corners, with steps of at least "
            f"{np.diff(ends).min(initial=0)}, and are no polygons; they start at 0, grow by 3 or more, and end at the "
            "number of corners"
        )
    axes = new_axes() if axes is None else axes
    keys = _fill(axes, _padded(where, ends), values, colouring)
    _bound(axes, boundaries, layers, depth)
    _decide(axes, decision)
    _scatter(axes, points, labels)
    for name, side in (("x", where[:, 0]), ("y", where[:, 1])):
        axes.set(**{f"{name}lim": (side.min(), side.max())})
    axes.set_aspect("equal")
    keys += axes.get_legend_handles_labels()[0]
    if keys:
        legend = axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        # thin as they are where they are many, their colours are to be told apart here
        for line in legend.get_lines():
            line.set_linewidth(max(line.get_linewidth(), WIDEST))
    return axes


def _padded(corners: FloatArray, offsets: IntArray) -> FloatArray:
    """(regions, most corners, 2): shorter polygons repeat their last corner, which changes no picture."""
    most = int(np.diff(offsets).max())
    return np.asarray(corners[np.minimum(offsets[:-1, None] + np.arange(most), offsets[1:, None] - 1)])


def _fill(axes: Any, polygons: Any, values: npt.NDArray[Any], colouring: Colouring) -> list[Any]:
    """What the legend says of the colours. Without antialiasing, which would leave seams between neighbours."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    count, keys = len(polygons), []
    if colouring is Colouring.PATTERN:
        shown, colours = pattern_colours(array(values, (count, None), "patterns")), distinct(len(PALETTE), 0.25)
    elif colouring is Colouring.CLASS:
        shown = classes(values, count, "classes")
        colours = distinct(int(shown.max()) + 1, 0.5)
        keys = [Patch(color=colours[k], label=f"class {k}") for k in np.unique(shown).tolist()]
    else:
        shown, colours = array(values, (count,), SCALES[colouring]), []
    regions = PolyCollection(
        polygons, edgecolors="none", antialiaseds=False, rasterized=count > RASTER, zorder=1, label="_regions"
    )
    regions.set_array(shown)
    if colours:
        regions.set_cmap(ListedColormap(colours))
        regions.set_clim(-0.5, len(colours) - 0.5)
    axes.add_collection(regions, autolim=False)
    if not colours:
        axes.figure.colorbar(regions, ax=axes, label=SCALES[colouring])
    return keys


def _bound(axes: Any, boundaries: FloatArray | None, layers: IntArray | None, least: int | None) -> None:
    """Later layers below earlier ones, which they bend at."""
    from matplotlib.collections import LineCollection

    if boundaries is None:
        return
    segments: Any = array(boundaries, (None, 2, 2), "boundaries")
    width = float(np.clip(60 / np.sqrt(len(segments) + 1), 0.2, WIDEST))
    number = np.zeros(len(segments), dtype=np.int64) if layers is None else classes(layers, len(segments), "layers")
    depth = max(int(number.max(initial=0)) + 1, least or 1)
    for k, colour in enumerate(shades(depth)):
        own: Any = segments[number == k]
        if least is not None and not len(own):
            continue
        name = "_boundaries" if layers is None else f"layer {k + 1}"
        lines = LineCollection(own, colors=[colour], linewidths=width, rasterized=len(segments) > RASTER, label=name)
        lines.set_zorder(2 + (depth - k) / (depth + 1))
        axes.add_collection(lines, autolim=False)


def _decide(axes: Any, decision: FloatArray | None) -> None:
    from matplotlib.collections import LineCollection

    if decision is None:
        return
    segments: Any = array(decision, (None, 2, 2), "segments of the decision boundary")
    lines = LineCollection(segments, colors="black", linewidths=2.5, capstyle="round", label="decision boundary")
    lines.set_zorder(4)
    axes.add_collection(lines, autolim=False)


def _scatter(axes: Any, points: FloatArray | None, labels: IntArray | None) -> None:
    if points is None:
        return
    at = array(points, (None, 2), "points")
    if labels is None:
        colours: Any = "white"
    else:
        given = classes(labels, len(at), "labels of the points")
        colours = np.array(distinct(int(given.max(initial=0)) + 1))[given].tolist()
    axes.scatter(at[:, 0], at[:, 1], s=14, c=colours, edgecolors="black", linewidths=0.6, zorder=5, label="_points")
