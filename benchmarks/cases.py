"""What is measured: bounds, compilation, certificates, whole processes; the rest has files of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from scipy import sparse

from benchmarks.cells import cells, probes
from benchmarks.compression import compression
from benchmarks.convolutions import convolutions
from benchmarks.densities import densities
from benchmarks.formulations import formulations
from benchmarks.margin import margin
from benchmarks.measure import Figure, Measured, best
from benchmarks.nets import random_network, trained
from benchmarks.regions import lines, planes
from benchmarks.registered import registered
from benchmarks.stability import stability
from benchmarks.trajectories import trajectories
from reludsl import plugins
from reludsl.backend import Limits, Sense
from reludsl.bounds import crown, interval
from reludsl.domain import Box
from reludsl.expr import Input
from reludsl.formulate import compile_program
from reludsl.io import write
from reludsl.layers import Affine
from reludsl.network import Network
from reludsl.passes import lower
from reludsl.solve import Model
from reludsl.stability import stable


def _forward(network: Network, points: int) -> float:
    x = np.random.default_rng(0).random((points, network.input_size))
    return best(lambda: network(x))


def bounds(small: bool) -> Iterator[Figure]:
    """All bounds of 784-400-400. CROWN multiplies matrices of 800 rows through the layers before each layer, as
    a forward pass of 800 points does: the limit is the same memory and multiplication traffic, per layer."""
    network = random_network(*((64, 48, 32, 10) if small else (784, 400, 400, 10)))
    domain = Box.full(0, 1, (network.input_size,))
    rows = 2 * sum(stage.size for stage in network.stages)
    base = _forward(network, rows)
    took = best(lambda: crown(network, domain))
    yield Figure(
        "interval and CROWN bounds of all layers",
        took,
        f"forward pass of {rows} points",
        base,
        100 if small else 6,
    )
    cheap = best(lambda: interval(network, domain))
    yield Figure("interval bounds of all layers", cheap, "CROWN bounds of all layers", took, 1.0)


def compilation(small: bool) -> Iterator[Figure]:
    """784-800-800 from network to matrix: sparse assembly, no Python loop over coefficients. The baseline turns the
    same weights into one sparse matrix each."""
    network = random_network(*((64, 48, 32, 10) if small else (784, 800, 800, 10)))
    domain = Box.full(0, 1, (network.input_size,))
    known = {network: crown(network, domain)}
    x = Input(known[network].domain)
    base = best(lambda: [sparse.csr_array(n.layer.weight) for n in network.nodes if isinstance(n.layer, Affine)])
    took = best(lambda: compile_program([network(x)], known))
    yield Figure("compile to a disjunctive program", took, "the weights as sparse matrices", base, 60 if small else 10)
    program = compile_program([network(x)], known).program
    lowered = best(lambda: lower(program).matrix())
    yield Figure(
        "all passes, down to one matrix",
        lowered,
        "the weights as sparse matrices",
        base,
        250 if small else 45,
    )


def certificates(small: bool) -> Iterator[Figure]:
    """Stability without data. Most of the time goes into forward passes of the seeds; the baseline is such a pass."""
    names: list[tuple[str, tuple[int, ...]]] = [("mnist_100x100x100_l1_0.0001_s0", (784, 100, 100, 100, 10))]
    if not small:
        names.append(("mnist_100x100x100x100_l1_0.0001_s0", (784, 100, 100, 100, 100, 10)))
        names.append(("mnist_400x400_l1_0.0001_s0", (784, 400, 400, 10)))
    for name, sizes in names:
        network = trained(name, *sizes)
        domain = Box.full(0, 1, (784,))
        facts = stable(network, domain, time_limit=30)
        took = best(partial(stable, network, domain, time_limit=30))
        base = _forward(network, 4000)
        left = f"{facts.neurons - facts.undecided} of {facts.neurons} decided"
        yield Figure(f"certify {name} ({left})", took, "forward pass of 4,000 points", base, 20)


def ladder(small: bool) -> Iterator[Figure]:
    """What witnesses and bounds save: the whole ladder against the LP relaxation alone, once per neuron and side."""
    network = trained("mnist_100x100_l1_0.0002_s0", 784, 100, 100, 10)
    domain = Box.full(0, 1, (784,))
    took = best(lambda: stable(network, domain))
    known = {network: crown(network, domain)}
    trace = network.trace(Input(domain))
    pre = trace.pre[1]
    compiled = compile_program([pre], known)
    count = 5 if small else 20
    with Model(compiled, plugins.default(), Limits()) as model:
        base = best(lambda: [model.optimise(pre[k], Sense.MAXIMIZE, relax=True) for k in range(count)], 1)
    base *= 2 * network.neurons / count
    yield Figure("certify 784-100-100, every neuron", took, "one LP per neuron and side (extrapolated)", base, 0.1)


def processes(small: bool) -> Iterator[Figure]:
    """Whole processes, from the shell to the written file; the baseline imports the library and stops."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "net.npz"
        write(trained("mnist_100x100_l1_0.0002_s0", 784, 100, 100, 10), source)
        target = str(Path(folder) / "small.onnx")
        base = best(partial(_process, "-c", "import reludsl"), 1 if small else 3)
        command = ("-m", "reludsl", "compress", str(source), "--box", "0", "1", "--out", target, "--json")
        took = best(partial(_process, *command), 1 if small else 3)
        yield Figure("reludsl compress 784-100-100, whole process", took, "python -c 'import reludsl'", base, 4)


def _process(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)


CASES: dict[str, Callable[[bool], Iterator[Measured]]] = {
    "bounds": bounds,
    "convolutions": convolutions,
    "compilation": compilation,
    "certificates": certificates,
    "ladder": ladder,
    "stability": stability,
    "compression": compression,
    "processes": processes,
    "formulations": formulations,
    "margin": margin,
    "queries": registered,
    "planes": planes,
    "lines": lines,
    "trajectories": trajectories,
    "densities": densities,
    "cells": cells,
    "probes": probes,
}

FULL: dict[str, Callable[[bool], Iterator[Measured]]] = {**CASES, "margin": partial(margin, full=True)}
"""The same where minutes do not matter."""
