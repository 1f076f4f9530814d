"""What repeated runs measured: mean and spread against something, and a line through a cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.errors import InvalidInput
from reludsl.plot.axes import new_axes
from reludsl.plot.checks import array


def plot_spread(
    x: npt.ArrayLike, runs: Mapping[str, npt.ArrayLike], *, xlabel: str = "", ylabel: str = "", axes: Any = None
) -> Any:
    """A line for the mean over runs and a band of one standard deviation (with the divisor runs) to either side.

    Args:
        x: (k,) e.g. epochs.
        runs: name -> (runs, k) values, or (k,) of a single run.
        axes: axes of matplotlib to draw on; new ones by default.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: another number of values than of x, no run, a number that is not finite.
    """
    at = array(x, (None,), "x")
    axes = new_axes() if axes is None else axes
    for name, values in runs.items():
        found = array(np.atleast_2d(np.asarray(values)), (None, len(at)), name)
        if not len(found):
            raise InvalidInput(f"{name} has no run, so that there is no mean to draw; give (runs, {len(at)}) values")
        mean, spread = found.mean(axis=0), found.std(axis=0)
        (line,) = axes.plot(at, mean, marker=".", linewidth=1.2, label=name)
        if len(found) > 1:
            axes.fill_between(at, mean - spread, mean + spread, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(fontsize="small")
    return axes


def plot_fit(
    groups: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], *, xlabel: str = "", ylabel: str = "", axes: Any = None
) -> Any:
    """Points by group, and the least-squares line through all of them with its coefficient of determination.

    Args:
        groups: name -> (x, y), (k,) each.
        axes: axes of matplotlib to draw on; new ones by default.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: x and y of different sizes, or all x equal, so that no line is meant.
    """
    axes = new_axes() if axes is None else axes
    pairs = []
    for name, (x, y) in groups.items():
        across = array(x, (None,), f"x of {name}")
        pairs.append((across, array(y, (len(across),), f"y of {name}")))
        axes.scatter(*pairs[-1], s=18, label=name)
    across, up = (np.concatenate(column).astype(np.float64) for column in zip(*pairs)) if pairs else (np.zeros(0),) * 2
    if np.unique(across).size < 2:
        raise InvalidInput(
            f"the points have {np.unique(across).size} different x, and a line goes through two at least; give more"
        )
    slope, offset = np.polyfit(across, up, 1)
    rest = float(((up - slope * across - offset) ** 2).sum())
    total = float(((up - up.mean()) ** 2).sum())
    label = f"{slope:.3g} x {offset:+.3g}" + (f", R² = {1 - rest / total:.4f}" if total else "")
    ends = np.array([across.min(), across.max()])
    axes.plot(ends, slope * ends + offset, color="black", linewidth=1, label=label)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend(fontsize="small")
    return axes
