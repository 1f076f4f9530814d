"""Compression of every trained network of the data folder: neurons and parameters before and after, proved or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measure import Figure, Measured, best
from benchmarks.nets import DATA, trained
from reludsl.compress import compress
from reludsl.domain import Box
from reludsl.io import read
from reludsl.rewrite import Compression, rewrite_network
from reludsl.stability import stable

SECONDS = 5.0
"""What the certificate of one network may take; what it leaves undecided stays in the network."""


@dataclass(frozen=True, slots=True)
class Line:
    """One network: it is proved to be the same, and no part of it has grown."""

    name: str
    result: Compression
    undecided: int
    certify_seconds: float

    @property
    def holds(self) -> bool:
        before, after = self.result.original, self.result.network
        return self.result.proved and after.neurons <= before.neurons and after.parameters <= before.parameters

    def __str__(self) -> str:
        before, after = self.result.original, self.result.network
        left = f", {self.undecided} undecided" if self.undecided else ""
        share = after.parameters / before.parameters
        return (
            f"{self.name:38s} neurons {before.neurons:5,} -> {after.neurons:5,}, parameters {before.parameters:9,} -> "
            f"{after.parameters:9,}, ratio {share:.3f}, at most 1; outputs within {self.result.max_output_error:.1e}; "
            f"certified in {self.certify_seconds:.2f} s{left}, rewritten in {self.result.seconds:.2f} s: "
            f"{'proved' if self.holds else 'WRONG'}"
        )


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing was measured, and why."""

    reason: str
    holds: bool = True

    def __str__(self) -> str:
        return f"skipped: {self.reason}"


def compression(small: bool) -> Iterator[Measured]:
    """The main job without reading and writing files, against the certificate that it needs anyway: of six rewrites
    every one that finds a site is tried, and each trial ends in a proof of its own. Then all networks, each once."""
    name = "mnist_100x100_l1_0.0002_s0"
    network = trained(name, 784, 100, 100, 10)
    domain = Box.full(0, 1, (784,))
    base = best(lambda: stable(network, domain))
    took = best(lambda: compress(network, domain))
    yield Figure(f"compress {name} with proof", took, "certify alone", base, 20)
    if small:
        return
    places = sorted((DATA / "mnist_nets").glob("*.onnx"))
    if not places:
        yield Skipped(f"{DATA / 'mnist_nets'} holds no networks; RELUDSL_DATA names the data folder")
    for place in places:
        original = read(place, check=False)
        facts = stable(original, domain, time_limit=SECONDS)
        result = rewrite_network(original, domain, facts.bounds, proved=facts.bounds)
        yield Line(place.stem, result, facts.undecided, facts.seconds)
