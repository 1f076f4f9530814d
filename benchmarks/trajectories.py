"""Transitions and lengths along trajectories, exactly, beside the samples that the literature takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks.measure import Figure, Measured, best
from reludsl.backend import FloatArray
from reludsl.expressivity import Trajectory, trajectory
from reludsl.network import INPUT, Network
from reludsl.networks import random_network

SAMPLES = 1000
"""Points of a trajectory at which its pattern is looked at. They miss what lies between."""

Curve = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]


def trajectories(small: bool) -> Iterator[Measured]:
    """Segments and arcs between random points of [0, 1]^784 through 784-100x5. The baseline is a forward pass of 1,000
    samples of each, their patterns compared and their chords added up, on a few of them."""
    network = random_network((784, 50, 50) if small else (784, 100, 100, 100, 100, 100), seed=0, outputs=10)
    rng = np.random.default_rng(1)
    cases = (("segments", 1000, 0.2, _segment), ("arcs", 200, 0.8, _arc))
    for name, many, limit, curve in cases:
        count = many // 20 if small else many
        starts, ends = rng.random((2, count, 784))
        exactly = partial(_exactly, network, starts, ends, name == "arcs")
        few = 3
        base = best(partial(_sampled, network, starts[:few], ends[:few], curve), 1) * count / few
        took = best(exactly)
        shape = "50x2" if small else "100x5"
        what = f"{count:,} {name} through 784-{shape}, {exactly().transitions.sum():,} transitions and all lengths"
        yield Figure(what, took, f"{SAMPLES:,} samples of each (extrapolated)", base, 4.0 if small else limit)


def _exactly(network: Network, starts: FloatArray, ends: FloatArray, arc: bool) -> Trajectory:
    found = trajectory(network, starts, ends, arc=arc)
    assert len(found.transitions) == len(found.by_layer) == len(found.growth)
    return found


def _segment(start: FloatArray, end: FloatArray, t: FloatArray) -> FloatArray:
    return (1 - t) * start + t * end


def _arc(start: FloatArray, end: FloatArray, t: FloatArray) -> FloatArray:
    return np.asarray(np.cos(0.5 * np.pi * t) * start + np.sin(0.5 * np.pi * t) * end)


def _sampled(network: Network, starts: FloatArray, ends: FloatArray, curve: Curve) -> list[tuple[int, list[float]]]:
    post = [str(stage.activation) for stage in network.hidden]
    found = []
    for start, end in zip(starts, ends):
        values = network.values(curve(start, end, np.linspace(0, 1, SAMPLES)[:, None]))
        active = np.concatenate([values[name] > 0 for name in post], axis=1)
        lengths = [float(np.linalg.norm(np.diff(values[name], axis=0), axis=1).sum()) for name in (INPUT, *post)]
        found.append((int((active[1:] != active[:-1]).any(axis=1).sum()), lengths))
    return found
