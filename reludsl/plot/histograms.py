"""How large regions are, how many sides they have, and how near the nearest boundary is."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.plot.axes import new_axes
from reludsl.plot.checks import array


class Measure(enum.Enum):
    """What is measured of regions, or of points among them. The value is the name of its axis."""

    AREA = "area of a region"
    EDGES = "edges of a region"
    DISTANCE = "distance to the nearest boundary"


def plot_histogram(values: FloatArray | IntArray, measure: Measure, *, bins: int = 40, axes: Any = None) -> Any:
    """How often each value occurs: edges one by one, areas and distances in bins of equal ratio, with the median.

    Args:
        values: (m,) not negative. Zeros have no place on a logarithmic axis; the legend says how many there are.
        bins: number of bins of areas and distances.
        axes: axes of matplotlib to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: no values, negative ones, ones that are not finite, or broken numbers of edges.
    """
    held = array(values, (None,), f"values ({measure.value})")
    whole = measure is Measure.EDGES
    if not held.size or held.min() < 0 or (whole and (held != np.round(held)).any()) or not held.any():
        raise InvalidInput(
            f"{held.size} values of {measure.value}, from {held.min(initial=0):g} to {held.max(initial=0):g}, have no "
            f"histogram; give {'whole numbers' if whole else 'positive numbers'}, at least one above 0"
        )
    axes = new_axes() if axes is None else axes
    if whole:
        shown, steps = held, np.arange(held.min(), held.max() + 2) - 0.5
    else:
        shown = held[held > 0]
        steps = _ratios(float(shown.min()), float(shown.max()), bins)
        axes.set_xscale("log")
    zeros = held.size - shown.size
    axes.hist(shown, bins=steps, label=f"{held.size} values" + (f", {zeros} of them 0" if zeros else ""))
    median = float(np.median(held))
    if whole or median > 0:
        axes.axvline(median, color="black", linestyle="--", linewidth=1, label=f"median {median:.3g}")
    axes.set_xlabel(measure.value)
    axes.set_ylabel("number")
    axes.legend(fontsize="small")
    return axes


def _ratios(least: float, most: float, bins: int) -> FloatArray:
    """Edges of bins; where all values are equal, a single bin around them."""
    if least == most:
        return np.array([least / 1.1, most * 1.1])
    steps = np.geomspace(least, most, bins + 1)
    steps[[0, -1]] = least, most
    return np.asarray(steps)
