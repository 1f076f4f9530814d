"""Linear regions of networks with many inputs: cells beside solvers that count, and how far off random paths are.

cells    regions a second until some thousands are found, beside SCIP's own counter, and beside the integer program
         that is solved anew for every pattern, on one network in one run
probes   seconds and standard errors from the exact count
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measure import Figure, Measured
from benchmarks.nets import trained
from reludsl import plugins
from reludsl.domain import Box
from reludsl.errors import MissingBackend
from reludsl.networks import Initialisation, random_network
from reludsl.regions import Counting, count, one_tree
from reludsl.regions import enumerate as regions
from reludsl.regions.one_tree import Way

SECONDS = 20.0
"""That every counter beside cells may take."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """One line about an estimate: it must lie within three standard errors of the truth, and above its lower bound."""

    what: str
    estimate: int
    error: float
    lower: int
    truth: int
    seconds: float

    @property
    def holds(self) -> bool:
        return abs(self.estimate - self.truth) <= 3 * self.error and self.lower <= self.truth

    def __str__(self) -> str:
        off = (self.estimate - self.truth) / max(self.error, 1e-9)
        verdict = "ok" if self.holds else "TOO FAR"
        return (
            f"{self.what}: {self.estimate:,} by random paths in {self.seconds:.2f} s, exactly {self.truth:,}; "
            f"{off:+.1f} standard errors, at most 3; at least {self.lower:,}: {verdict}"
        )


def cells(small: bool) -> Iterator[Measured]:
    """Seconds for a thousand regions. Without the data folder a random network of the same shape stands in."""
    network = trained("mnist_11x11_l1_0_s0", 784, 11, 11, 10)
    if small:
        network = random_network((64, 6, 6), 3, Initialisation.NORMAL)
    box = Box.full(-1 if small else 0, 1, (network.input_size,))
    wanted, found, began = (700 if small else 30_000), 0, time.perf_counter()
    for batch in regions(network, box):
        found += len(batch)
        if found >= wanted:
            break
    took = time.perf_counter() - began
    seconds = 1000 * took / found
    name = "-".join(str(stage.size) for stage in network.hidden)
    what = f"cells, a thousand regions of {network.input_size}-{name}, {found / took:,.0f} a second"
    for backend, way, limit in (("scip", Way.COUNT, 0.2), ("highs", Way.RESTART, 0.05)):
        try:
            plugins.load(backend).version()
        except MissingBackend:
            continue
        began = time.perf_counter()
        other = one_tree(network, box, backend=backend, way=way, time_limit=2.0 if small else SECONDS)
        counted = max(other.count, 1)
        spent = time.perf_counter() - began
        told = f"{backend}, {way.value}, {counted / spent:,.0f} a second"
        yield Figure(
            what, seconds, told, 1000 * spent / counted, (10.0 if way is Way.COUNT else 1.0) if small else limit
        )


def probes(small: bool) -> Iterator[Measured]:
    """Random paths through networks that are counted exactly beside."""
    networks = {"64-6-6": (random_network((64, 6, 6), 3, Initialisation.NORMAL), -1)}
    if not small:
        networks["784-4-18"] = trained("mnist_4x18_l1_0_s0", 784, 4, 18, 10), 0
        networks["784-7-15"] = trained("mnist_7x15_l1_0_s0", 784, 7, 15, 10), 0
    for name, (network, low) in networks.items():
        box = Box.full(low, 1, (network.input_size,))
        found = count(network, box, method=Counting.PROBE)
        truth = count(network, box)
        assert found.standard_error is not None
        yield Estimated(name, found.count, found.standard_error, found.lower, truth.count, found.seconds)
