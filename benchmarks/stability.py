"""Certification by three methods in one run: two solves per neuron, one for all, and the ladder.

two-solve     as published first: for every neuron and direction a model of its own with interval constants, stopped as
              soon as the sign is known
per-neuron    one model per stage, kept; linear bounds; every input that a solve shows counts for all neurons
one-solve     one program for all neurons, without the ladder
auto          the ladder
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import Measured
from benchmarks.nets import DATA
from reludsl import plugins
from reludsl.backend import Backend, Sense
from reludsl.bounds import interval
from reludsl.data import path
from reludsl.domain import Box
from reludsl.expr import Input
from reludsl.formulate import compile_program
from reludsl.io import read
from reludsl.network import Network
from reludsl.solve import Model
from reludsl.stability import stable

PUBLISHED = {
    "100x100": (10, 14, 11),
    "100x100x100": (54, 80, 50),
    "100x100x100x100": (220, 2000, 180),
    "100x100x100x100x100": (840, 3370, 510),
    "200x200": (45, 120, 26),
    "400x400": (400, 1800, 130),
    "800x800": (3500, None, 1000),
    "ae_100-10-100": (130, 120, 3),
    "ae_50-10-50": (33, None, 1),
}
"""Seconds of the published one-solve method with Gurobi, by shape: without L1, with half of it, with all of it (Serra
et al. 2021, table 2). The networks there are others, of the same shapes and recipe."""

SIDE_BY_SIDE = ("100x100_l1_0_s0", "100x100_l1_0.0001_s0", "100x100_l1_0.0002_s0", "200x200_l1_0.0001_s0")
ONE, ALL = 5.0, 200.0
"""By how much one-solve and the ladder have to beat two-solve: the published point of the method, and ours."""


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one network.

    Args:
        decided, neurons: hidden neurons.
        spent: what the time went into.
    """

    network: str
    method: str
    backend: str
    decided: int
    neurons: int
    seconds: float
    spent: str
    holds: bool = True

    def __str__(self) -> str:
        return (
            f"{self.network:28s} {self.method:22s} {self.backend:5s} {self.decided:4d} of {self.neurons:4d} in "
            f"{self.seconds:8.2f} s  ({self.spent})"
        )


@dataclass(frozen=True, slots=True)
class Faster:
    """How many times faster a method is than two-solve."""

    network: str
    method: str
    ratio: float
    least: float

    @property
    def holds(self) -> bool:
        return self.ratio >= self.least

    def __str__(self) -> str:
        verdict = "ok" if self.holds else "TOO SLOW"
        return f"{self.network:28s} {self.method}: {self.ratio:.0f} times two-solve, at least {self.least:g}: {verdict}"


def two_solve(name: str, network: Network, domain: Box, backend: Backend, most: int | None = None) -> Row:
    """The first published method, neuron by neuron; of `most` neurons of each stage, their time taken for all."""
    building, solving, decided, factor = 0.0, 0.0, 0, 0.0
    for stage in network.hidden:
        chosen = np.arange(stage.size) if most is None else np.linspace(0, stage.size - 1, most).astype(int)
        began = building + solving
        count = 0
        for neuron in chosen.tolist():
            known = []
            for sense in Sense:
                start = time.perf_counter()
                x = Input(domain)
                z = network.trace(x).pre[stage.index][neuron]
                compiled = compile_program([z], {network: interval(network, domain)})
                sign = 1.0 if sense is Sense.MAXIMIZE else -1.0
                with Model(compiled, backend) as model:
                    outcome = model.optimise(z, sense, stop_bound=-sign * 1e-4, stop_objective=sign * 1e-4)
                solving += outcome.seconds
                building += time.perf_counter() - start - outcome.seconds
                reached = outcome.inputs is not None and sign * z.value(outcome.inputs)[0] > 0
                known.append(reached or sign * outcome.bound <= 0)
            count += all(known)
        share = stage.size / max(len(chosen), 1)
        factor += share * (building + solving - began)
        decided += round(share * count)
    scale = factor / (building + solving)
    note = "" if most is None else f", {most} neurons of each stage taken for all"
    spent = f"models {scale * building:.1f} s, solves {scale * solving:.1f} s{note}"
    return Row(name, "two-solve", backend.name, decided, network.neurons, factor, spent)


def certified(
    name: str, network: Network, domain: Box, backend: Backend, method: str, mode: str = "restart", limit: float = 300.0
) -> Row:
    facts = stable(network, domain, method=method, mode=mode, backend=backend, time_limit=limit)
    spent = ", ".join(f"{r.name} {r.seconds:.2f} s" for r in facts.rungs if r.seconds >= 0.01 * facts.seconds)
    shown = method if mode == "restart" else f"{method} {mode}"
    decided = facts.neurons - facts.undecided
    return Row(name, shown, backend.name, decided, facts.neurons, facts.seconds, spent)


def load(name: str) -> tuple[Network, Box]:
    """A trained network of the data folder, and its images."""
    network = read(DATA / "mnist_nets" / f"mnist_{name}.onnx")
    return network, Box.full(0.0, 1.0, network.input_shape)


def side_by_side(
    name: str, network: Network, domain: Box, backend: Backend, most: int | None, tree: bool
) -> Iterator[Measured]:
    """The methods on one network, and by how much they beat the first."""
    first = two_solve(name, network, domain, backend, most)
    yield first
    yield certified(name, network, domain, backend, "per-neuron")
    one = certified(name, network, domain, backend, "one-solve")
    yield one
    if tree:
        yield certified(name, network, domain, backend, "one-solve", "in-tree", limit=20.0)
    best = min((certified(name, network, domain, backend, "auto") for _ in range(3)), key=lambda row: row.seconds)
    yield best
    yield Faster(name, "one-solve", first.seconds / one.seconds, ONE)
    yield Faster(name, "auto", first.seconds / best.seconds, ALL)


def stability(small: bool) -> Iterator[Measured]:
    """Methods side by side on the shapes up to 200 wide, then the ladder on every network of the data folder."""
    if small:
        network = read(path("digits.onnx"))
        domain = Box.full(0.0, 1.0, network.input_shape)
        backend = plugins.default()
        first = two_solve("digits", network, domain, backend)
        one, auto = (certified("digits", network, domain, backend, m) for m in ("one-solve", "auto"))
        yield from (first, certified("digits", network, domain, backend, "per-neuron"), one, auto)
        yield Faster("digits", "one-solve", first.seconds / one.seconds, ONE)
        yield Faster("digits", "auto", first.seconds / auto.seconds, ONE)
        return
    if not (DATA / "mnist_nets").exists():
        return
    for name in SIDE_BY_SIDE:
        network, domain = load(name)
        yield from side_by_side(name, network, domain, plugins.default(), None if "200" not in name else 20, True)
    yield from ladder()


def ladder(limit: float = 30.0) -> Iterator[Row]:
    """The ladder on every trained network of the data folder."""
    for file in sorted((DATA / "mnist_nets").glob("*.onnx"), key=_order):
        name = file.stem.removeprefix("mnist_")
        network, domain = load(name)
        yield certified(name, network, domain, plugins.default(), "auto", limit=limit)


def _order(file: Path) -> tuple[int, str]:
    return file.stat().st_size, file.name
