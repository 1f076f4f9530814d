"""The page, the data and the pictures of the study of regions: every number of them comes from its runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from benchmarks.published.page import machine, prose, table
from benchmarks.published.pictures import save
from benchmarks.published.regions import Plan, Run, encoded
from reludsl.io.files import write_atomically
from reludsl.plot import plot_accuracy, plot_study
from reludsl.regions.study import Summary, summaries

PAGE, DATA_FILE = "published-regions.md", "published-regions.json"
COUNTS, ACCURACY = "published-regions-counts.svg", "published-regions-accuracy.svg"

FAIR = (4, 18)
"""Widths of layer 1 among which the published study compares accuracies: fewer units in a layer are a bottleneck."""


def write(folder: Path, plan: Plan, runs: Sequence[Run], command: str, date: str) -> None:
    """Page, data and pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    save(plot_study([run.row for run in runs]), folder / COUNTS)
    save(accuracy_picture(runs), folder / ACCURACY)
    held = {"date": date, "command": command, "machine": machine(), **as_json(plan, runs)}
    write_atomically(folder / DATA_FILE, (json.dumps(held, indent=1) + "\n").encode())
    write_atomically(folder / PAGE, page(plan, runs, command, date).encode())


def as_json(plan: Plan, runs: Sequence[Run]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "recipe": asdict(plan.recipe),
        "time_limit": plan.time_limit,
        "outputs_as_units": plan.outputs_as_units,
        "configurations": [asdict(one) for one in summaries(run.row for run in runs)],
        "correlation": correlation(fair(runs)),
        "runs": [encoded(run) for run in runs],
    }


def fair(runs: Sequence[Run]) -> list[Run]:
    """Those whose accuracies are compared; all of them where there are none."""
    return [run for run in runs if FAIR[0] <= run.first_width <= FAIR[1]] or list(runs)


def accuracy_picture(runs: Sequence[Run], axes: Any = None) -> Any:
    """Accuracy over the number of regions of the fair configurations."""
    chosen = fair(runs)
    return plot_accuracy(
        [run.row.count for run in chosen],
        [run.accuracy for run in chosen],
        [run.first_width for run in chosen],
        lower=[run.row.lower for run in chosen],
        upper=[run.row.upper for run in chosen],
        axes=axes,
    )


def correlation(runs: Sequence[Run]) -> float | None:
    """Of accuracy and the logarithm of the count (Pearson); None below three networks, or where one is constant."""
    x = np.log([float(max(1, run.row.count)) for run in runs])
    y = np.array([run.accuracy for run in runs])
    if len(runs) < 3 or not (np.ptp(x) and np.ptp(y)):
        return None
    return float(np.corrcoef(x, y)[0, 1])


def sentence(runs: Sequence[Run]) -> str:
    """What is seen, with numbers."""
    found = summaries(run.row for run in runs)
    least, most = (choose(found, key=lambda one: one.mean) for choose in (min, max))
    exact = sum(one.exact for one in found)
    words = [
        f"Of {len(runs)} networks in {len(found)} configurations, {exact} counted exactly, the mean number of regions "
        f"goes from {_about(least)} ({least.configuration}) to {_about(most)} ({most.configuration})"
    ]
    shares = [100 * one.mean / one.theorem_1 for one in found if one.theorem_1 and one.exact == one.networks]
    if shares:
        words.append(f"where all are counted it is {min(shares):.2g} % to {max(shares):.2g} % of Theorem 1")
    gains = [run.row.theorem_1 / run.row.coefficients for run in runs if run.row.theorem_1 and run.row.coefficients]
    if gains:
        words.append(
            f"the bound by the coefficients is smaller than Theorem 1 by a factor of {median(gains):.3g} (median)"
        )
    chosen = fair(runs)
    r = correlation(chosen)
    if r is not None:
        widths = sorted({run.first_width for run in chosen})
        words.append(
            f"over widths {widths[0]} to {widths[-1]} of layer 1, accuracy and the logarithm of the number have a "
            f"correlation of {r:.2f} ({len(chosen)} networks, {sum(run.row.exact for run in chosen)} counted exactly)"
        )
    return "; ".join(words) + "."


def _about(one: Summary) -> str:
    """The mean, and what it is where not all networks are counted to the end."""
    kind = "" if one.exact == one.networks else "at least " if one.estimate is None else "about "
    return f"{kind}{_number(one.mean if kind != 'at least ' else one.lower)}"


def page(plan: Plan, runs: Sequence[Run], command: str, date: str) -> str:
    """The whole page, in Markdown."""
    here, recipe = machine(), plan.recipe
    units = "outputs included, as ReLU units" if plan.outputs_as_units else "outputs not included"
    methods = " and ".join(method.value for method in plan.methods)
    bullets = [
        f"""Run on {date}, on {here["cores"]} cores of {here["processor"]} ({here["system"]}), with Python
        {here["python"]}, reludsl {here["reludsl"]}, torch {here["torch"]}. Seconds are of the clock on the wall.""",
        f"""Training: {_times(recipe.epochs, "epoch")} of MNIST, pixels in [0, 1], SGD at {recipe.rate:g} with momentum
        {recipe.momentum:g}, batches of {recipe.batch}, the rate divided by {1 / recipe.decay:g} every
        {_times(recipe.step, "epoch")}. How the published networks were trained, beside their 20 epochs, is not known
        to us.""",
        f"""Regions of kind "{plan.definition.value}" in [0, 1]^784, {units}. Methods: {methods}, at most
        {plan.time_limit:g} s for each count of each network. A count that did not end gives a lower bound, and its
        upper bound is the smallest of the proved ones.""",
    ]
    listed = "\n".join(prose(text, "- ", "  ") for text in bullets)
    about = prose(
        """The networks on this page are ours, of the published configurations. This page is written by a program from
        its runs; nothing on it is written by hand."""
    )
    shared = {sum(shape.widths) for shape in plan.shapes}
    units_each = f"share {shared.pop()} units" if len(shared) == 1 else "are of several sizes"
    return f"""# Regions of networks that {units_each}

{about}

{prose(sentence(runs))}

{listed}

## Every configuration

{prose(HEAD)}

{table(COLUMNS, rows(runs))}

![regions against configurations]({COUNTS})

![accuracy over the number of regions]({ACCURACY})

## Run it again

```
{command}
```

Every number of every run: [{DATA_FILE}]({DATA_FILE}).
"""


HEAD = """Regions: exact; where a count did not end the estimate, or without one those that were found. Proved: what
their mean lies between. Coefficients and ranks: bounds by the weights, their mean; the other bounds are the same for
all networks of a configuration. One layer: the maximum of as many units in one hidden layer, which is no bound here."""

COLUMNS = (
    "widths", "accuracy %", "exact", "least", "mean", "most", "proved", "estimate", "coefficients", "ranks",
    "Theorem 1", "Montúfar 2017", "one layer", "seconds",
)  # fmt: skip


def rows(runs: Sequence[Run]) -> list[list[str]]:
    """One for each configuration."""
    return [
        _row(one, [run for run in runs if run.row.configuration == one.configuration])
        for one in summaries(run.row for run in runs)
    ]


def _row(one: Summary, mine: Sequence[Run]) -> list[str]:
    known = mine[0].row.bounds
    ranks = [run.row.bounds.serra_2018_rank for run in mine if run.row.bounds.serra_2018_rank is not None]
    proved = _number(one.lower) if one.lower == one.upper else f"{_number(one.lower)} to {_number(one.upper)}"
    estimate = "-" if one.estimate is None else " ± ".join(_number(value) for value in one.estimate)
    return [
        one.configuration,
        f"{mean(run.accuracy for run in mine):.2f}",
        f"{one.exact} of {one.networks}",
        *(_number(value) for value in (one.least, one.mean, one.most)),
        proved,
        estimate,
        _number(one.coefficients),
        _number(mean(ranks) if len(ranks) == len(mine) else None),
        *(_number(value) for value in (one.theorem_1, known.montufar_2017, known.zaslavsky_shallow)),
        f"{mean(run.seconds for run in mine):.1f}",
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
