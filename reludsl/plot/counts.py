"""Numbers of regions: against configurations, against depth, and beside the accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from reludsl.errors import InvalidInput
from reludsl.plot.axes import new_axes
from reludsl.plot.checks import array, heights
from reludsl.regions.bounds import by_depth, serra_2018
from reludsl.regions.study import APPROXIMATE, StudyRow, summaries

Values = Sequence[float | int | None]

ROTATE = 8
"""Configurations from which on their names stand upright."""


def plot_counts(
    configurations: Sequence[str],
    counts: Sequence[Sequence[int]],
    *,
    lower: Values | None = None,
    upper: Values | None = None,
    intervals: Mapping[str, tuple[Values, Values]] | None = None,
    bounds: Mapping[str, Values] | None = None,
    axes: Any = None,
) -> Any:
    """Numbers of regions on a logarithmic axis, a place per configuration: mean, least and most, bounds, estimates.

    The picture of Serra, Tjandraatmadja, Ramalingam 2018, section 6, with what is not certain on it.

    Args:
        configurations: (k,) names.
        counts: of each configuration one count per network; none where there is no network.
        lower, upper: (k,) what the mean is proved to lie between; a broad bar where they differ.
        intervals: name of a method -> (low, high), (k,) each; a mark for low alone where high is None.
        bounds: name -> (k,) values, a dashed line.
        axes: axes of matplotlib to draw on; new ones by default.

    Returns:
        The axes.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: another number of values than of configurations, a value beyond 1e308.
    """
    k = len(configurations)
    if len(counts) != k or not k:
        raise InvalidInput(
            f"there are {k} configurations and counts of {len(counts)}, and it is not clear which belong together; "
            "give one sequence of counts for each, and at least one"
        )
    axes = new_axes() if axes is None else axes
    at = np.arange(k, dtype=np.float64)
    for name, values in (bounds or {}).items():
        axes.plot(at, heights(values, k, name), linestyle="--", linewidth=1.2, label=name)
    _uncertain(axes, at, lower, upper)
    mean, least, most = (heights([f(c) if len(c) else None for c in counts], k, "counts") for f in (_mean, min, max))
    axes.errorbar(
        at, mean, yerr=[mean - least, most - mean], color="black", marker="o", markersize=4, capsize=3,
        label="regions: mean, least, most",
    )  # fmt: skip
    offsets = 0.12 * (1 + np.arange(len(intervals or {})))
    for offset, (name, (low, high)) in zip(offsets.tolist(), (intervals or {}).items()):
        _interval(axes, at + offset, heights(low, k, name), heights(high, k, name), name)
    axes.set_yscale("log")
    axes.set_xticks(at, configurations, rotation=90 if k >= ROTATE else 0)
    axes.set_xlabel("hidden widths")
    axes.set_ylabel("linear regions")
    axes.legend(fontsize="small")
    return axes


def plot_study(rows: Sequence[StudyRow], *, axes: Any = None) -> Any:
    """An empirical-bound study (`reludsl.regions.study`) as `plot_counts`: bounds, estimates and exact counts.

    An estimate is drawn with 2 standard errors of its mean on either side, and the mean of the lower bounds of
    methods that draw at random with a mark.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: no rows.
    """
    found = summaries(rows)
    groups = [[row for row in rows if row.configuration == one.configuration] for one in found]
    intervals: dict[str, tuple[Values, Values]] = {}
    if any(one.estimate for one in found):
        ends = [(None, None) if one.estimate is None else _around(*one.estimate) for one in found]
        intervals["estimate, 2 standard errors"] = [low for low, _ in ends], [high for _, high in ends]
    if any(_likely(row) for row in rows):
        least = [_mean([_likely(row) for row in group]) or None for group in groups]
        intervals["approximate"] = least, [None] * len(found)
    return plot_counts(
        [one.configuration for one in found],
        [[row.count for row in group] for group in groups],
        lower=[one.lower for one in found],
        upper=[one.upper for one in found],
        intervals=intervals,
        bounds={
            "Montúfar 2017": [group[0].bounds.montufar_2017 for group in groups],
            "Theorem 1": [one.theorem_1 for one in found],
            "coefficients (mean)": [one.coefficients for one in found],
        },
        axes=axes,
    )


def _around(mean: float, error: float) -> tuple[float, float]:
    return mean - 2 * error, mean + 2 * error


def _likely(row: StudyRow) -> int:
    """The largest lower bound of a method that draws at random; 0 without one."""
    return max((found.lower for found in row.counts.values() if found.method in APPROXIMATE), default=0)


def _mean(values: Sequence[int]) -> float:
    return float(sum(values) / len(values))


def _uncertain(axes: Any, at: Any, lower: Values | None, upper: Values | None) -> None:
    """A region there always is, so that nothing is below 1."""
    if lower is None or upper is None:
        return
    low, high = np.fmax(1.0, heights(lower, len(at), "lower")), heights(upper, len(at), "upper")
    if (low > high).any():
        k = int(np.argmax(low > high))
        raise InvalidInput(
            f"lower is {low[k]:g} and upper is {high[k]:g} for configuration {k}, and nothing lies between; give lower "
            "first"
        )
    open_ = low < high
    if open_.any():
        axes.vlines(
            at[open_], low[open_], high[open_], color="black", alpha=0.2, linewidth=6, label="the mean lies between"
        )


def _interval(axes: Any, at: Any, low: Any, high: Any, name: str) -> None:
    """Low is positive, or not drawn: an interval that reaches 0 begins at the lowest mark there is."""
    both, single = ~np.isnan(high), np.isnan(high) & ~np.isnan(low)
    (line,) = axes.plot(at[single], low[single], linestyle="none", marker="^", markersize=5)
    colour = line.get_color()
    if single.any():
        line.set_label(f"{name}: at least")
    if both.any():
        bottom = np.fmax(1.0, low[both])
        axes.vlines(at[both], bottom, high[both], color=colour, linewidth=2, label=name)


def plot_by_depth(
    units: int,
    inputs: Iterable[int],
    depths: Iterable[int] = range(1, 7),
    bound: Callable[[int, Sequence[int]], int] = serra_2018,
    *,
    axes: Any = None,
) -> Any:
    """A bound against depth at a fixed number of units, a line per number of inputs, with a star at the best of these
    depths.

    The picture of Serra, Tjandraatmadja, Ramalingam 2018, section 4 (60 units in 1 to 6 layers): more inputs put the
    best depth earlier.

    Args:
        bound: takes the number of inputs and the widths.
        axes: axes of matplotlib to draw on; new ones by default.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: a depth that the units do not fill, a value beyond 1e308.
    """
    axes = new_axes() if axes is None else axes
    chosen = sorted(set(depths))
    for n in inputs:
        found = by_depth(n, units, chosen, bound)
        values = heights([one.value for one in found], len(found), f"the bound of {n} inputs")
        (line,) = axes.plot(chosen, values, marker="o", markersize=3, label=f"{n} input{'s' if n != 1 else ''}")
        best = int(values.argmax())
        axes.plot(chosen[best], values[best], marker="*", markersize=12, color=line.get_color(), label="_best")
    axes.set_yscale("log")
    axes.set_xticks(chosen)
    axes.set_xlabel(f"hidden layers that share {units} units")
    axes.set_ylabel("bound on the linear regions")
    axes.legend(
        title=f"star: best of {chosen[0]} to {chosen[-1]}", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False
    )
    return axes


def plot_accuracy(
    counts: Sequence[int],
    accuracy: Sequence[float],
    first_widths: Sequence[int],
    *,
    lower: Sequence[int] | None = None,
    upper: Sequence[int] | None = None,
    widths: tuple[int, int] | None = None,
    quantity: str = "test accuracy in %",
    axes: Any = None,
) -> Any:
    """A network's accuracy over its number of regions, logarithmic, a dot each, coloured by the width of layer 1.

    The heat scatter of Serra, Tjandraatmadja, Ramalingam 2018, section 6, which is restricted to widths 4 to 18 there:
    bottlenecks of fewer units learn badly whatever the number of regions.

    Args:
        counts, accuracy, first_widths: (m,) of each network.
        lower, upper: (m,) what its count is proved to lie between; a bar where they differ.
        widths: least and most width of layer 1 that is drawn; all by default.
        quantity: what `accuracy` is, for the axis; an error, for instance.
        axes: axes of matplotlib to draw on; new ones by default.

    Raises:
        MissingBackend: matplotlib is not installed.
        InvalidInput: another number of one than of the other, no network in that range.
    """
    m = len(counts)
    regions = heights(counts, m, "counts")
    score, first = array(accuracy, (m,), "accuracies"), array(first_widths, (m,), "widths of layer 1")
    low = regions if lower is None else np.fmax(1.0, heights(lower, m, "lower"))
    high = regions if upper is None else heights(upper, m, "upper")
    least, most = (first.min(initial=0), first.max(initial=0)) if widths is None else widths
    shown = (first >= least) & (first <= most)
    if not shown.any():
        raise InvalidInput(
            f"none of {m} networks has {least} to {most} units in layer 1, so that there is nothing to draw; give "
            "other widths"
        )
    axes = new_axes() if axes is None else axes
    open_ = shown & (low < high)
    axes.hlines(score[open_], low[open_], high[open_], color="grey", linewidth=0.8, zorder=1, label="_uncertain")
    dots = axes.scatter(regions[shown], score[shown], c=first[shown], cmap="viridis", s=18, zorder=2, label="_networks")
    axes.figure.colorbar(dots, ax=axes, label="width of layer 1")
    axes.set_xscale("log")
    axes.set_xlabel("linear regions")
    axes.set_ylabel(quantity)
    return axes
