"""Shares of stable neurons against the radius of the ball."""

from __future__ import annotations

from typing import Any

import numpy as np

from reludsl.plot.axes import new_axes
from reludsl.stability import LocalStability, Standing


def plot_local_stability(result: LocalStability, axes: Any = None) -> Any:
    """Per standing a line of mean shares over the points, a band from least to most, and dashes for the whole box.

    The radius is logarithmic, linear up to the least positive one where 0 is among them. Unknown neurons have a line
    where there are any.

    Args:
        axes: axes of matplotlib to draw on; new ones by default.

    Returns:
        The axes; `axes.figure.savefig("picture.png")` writes the picture.

    Raises:
        MissingBackend: matplotlib is not installed.
    """
    axes = new_axes() if axes is None else axes
    for standing in Standing:
        shares = result.share(standing)
        whole = result.whole_share(standing)
        if standing is Standing.UNKNOWN and not (shares.any() or whole):
            continue
        name = standing.name.lower().replace("_", " ")
        (line,) = axes.plot(result.radii, shares.mean(axis=1), marker="o", label=name)
        colour = line.get_color()
        axes.fill_between(result.radii, shares.min(axis=1), shares.max(axis=1), color=colour, alpha=0.2, linewidth=0)
        axes.axhline(whole, color=colour, linestyle="--", linewidth=1)
    positive = result.radii[result.radii > 0]
    if positive.size == result.radii.size:
        axes.set_xscale("log")
    elif positive.size:
        axes.set_xscale("symlog", linthresh=float(np.min(positive)))
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(f"radius of the ball (norm {result.norm.value})")
    axes.set_ylabel("share of neurons (dashed: whole box)")
    axes.legend()
    return axes
