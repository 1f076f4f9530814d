"""The published study of regions: 22 units in two hidden layers, every way to share them, trained and counted.

Source: Serra, Tjandraatmadja, Ramalingam 2018, Bounding and counting linear regions of deep neural networks, section 6:
MNIST, 10 networks for each configuration, trained for 20 epochs.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.published.settings import Recipe, Shape
from benchmarks.published.training import Images, Say, cached, score
from reludsl.domain import Box
from reludsl.io.files import write_atomically
from reludsl.regions import Counting, Definition, RegionBounds, RegionCount
from reludsl.regions.study import Counter, StudyRow, study

UNITS, EPOCHS, NETWORKS = 22, 20, 10
CONFIGURATIONS = tuple(Shape((first, UNITS - first), False) for first in range(1, UNITS))
"""1,21 to 21,1."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Args:
        seeds: one network of each configuration for each.
        methods: the counts of each network, in this order.
        time_limit: seconds for one count of one network.
        folder: where trained networks and their counts are kept.
    """

    shapes: tuple[Shape, ...]
    seeds: tuple[int, ...]
    recipe: Recipe
    methods: tuple[Counting, ...]
    definition: Definition
    time_limit: float
    outputs_as_units: bool
    folder: Path

    def settings(self, shape: Shape, seed: int) -> dict[str, Any]:
        """What the counts of a network depend on."""
        return {
            "shape": shape.name,
            "seed": seed,
            "recipe": asdict(self.recipe),
            "methods": [method.value for method in self.methods],
            "definition": self.definition.value,
            "time_limit": self.time_limit,
            "outputs_as_units": self.outputs_as_units,
        }


@dataclass(frozen=True, slots=True)
class Run:
    """One network: accuracy in % on the test images, seconds of its training, its regions; its seed is their number."""

    accuracy: float
    train_seconds: float
    row: StudyRow

    @property
    def first_width(self) -> int:
        """Units of layer 1."""
        return self.row.bounds.widths[0]

    @property
    def seconds(self) -> float:
        """Of all counts."""
        return sum(found.seconds for found in self.row.counts.values())


def runs(plan: Plan, train: Images, test: Images, counter: Counter, say: Say) -> Generator[Run, None, None]:
    """All networks of a plan; what an earlier call with the same settings left in the folder is taken from there."""
    for shape, seed in product(plan.shapes, plan.seeds):
        name = f"{shape.name}, seed {seed}"
        place = plan.folder / "counts" / f"{shape.name}_s{seed}_e{plan.recipe.epochs}.json"
        settings = {**plan.settings(shape, seed), "images": [len(train), len(test)]}
        held = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
        if held.get("settings") == settings:
            yield decoded(held)
            continue
        trained = cached(plan.folder / "networks", shape, train, 0.0, seed, plan.recipe, partial(_said, say, name))
        (row,) = study(
            {shape.name: [trained.network]},
            Box.full(0.0, 1.0, trained.network.input_shape),
            counter,
            methods=plan.methods,
            definition=plan.definition,
            time_limit=plan.time_limit,
            outputs_as_units=plan.outputs_as_units,
        )
        run = Run(score(shape, trained.network, test), trained.seconds, replace(row, network=seed))
        say(
            f"{name}: {row.count:,} regions, proved {row.lower:,} to {row.upper:,}, in {run.seconds:.1f} s; accuracy "
            f"{run.accuracy:.2f} %"
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, (json.dumps({"settings": settings, **encoded(run)}, indent=1) + "\n").encode())
        yield run


def _said(say: Say, name: str, text: str) -> None:
    say(f"{name}: {text}")


def encoded(run: Run) -> dict[str, Any]:
    """A run as JSON has it."""
    row = run.row
    return {
        "configuration": row.configuration,
        "seed": row.network,
        "accuracy": run.accuracy,
        "train_seconds": run.train_seconds,
        "definition": row.definition.value,
        "regions": row.count,
        "lower": row.lower,
        "upper": row.upper,
        "bounds": {
            "inputs": row.bounds.inputs,
            "widths": row.bounds.widths,
            **row.bounds.values,
            "notes": dict(row.bounds.notes),
        },
        "counts": {
            method.value: {**asdict(found), "definition": found.definition.value, "method": found.method.value}
            for method, found in row.counts.items()
        },
    }


def decoded(held: Mapping[str, Any]) -> Run:
    """The run that `encoded` wrote."""
    counts = {
        Counting(method): RegionCount(
            **{**found, "definition": Definition(found["definition"]), "method": Counting(found["method"])}
        )
        for method, found in held["counts"].items()
    }
    bounds = RegionBounds(**{**held["bounds"], "widths": tuple(held["bounds"]["widths"])})
    row = StudyRow(held["configuration"], held["seed"], Definition(held["definition"]), bounds, counts)
    return Run(held["accuracy"], held["train_seconds"], row)
