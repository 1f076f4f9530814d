"""A margin query against the published big-M: the whole query, bounds and build included, in one run.

max y[runner-up] - y[label] in an L-infinity ball around test images of MNIST, network 784-100-100-10. The baseline is
the published form with constants from interval arithmetic and a binary for each of the 200 neurons, on HiGHS at its
defaults. It may run into its time limit, which then counts as its time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.measure import Measured
from benchmarks.nets import DATA, random_network
from reludsl import data, plugins
from reludsl.backend import FloatArray, Limits, Sense, Status
from reludsl.bounds import interval
from reludsl.expr import Expr, ball
from reludsl.formulate import compile_program
from reludsl.io import read
from reludsl.network import Network
from reludsl.passes import published_big_m, substitute
from reludsl.query import maximize

AGREE = 1e-6
"""Relative distance that the two optima may have."""

NET, IMAGES = DATA / "mnist_nets" / "mnist_100x100_l1_0_s0.onnx", DATA / "mnist.npz"


@dataclass(frozen=True, slots=True)
class Line:
    """One question, asked both ways.

    Args:
        value, bound: of the query. baseline_value: None where the baseline did not end.
    """

    question: str
    value: float
    bound: float
    seconds: float
    binaries: int
    baseline_value: float | None
    baseline_seconds: float
    baseline_binaries: int

    @property
    def times(self) -> float:
        """How many times faster the query is."""
        return self.baseline_seconds / self.seconds

    @property
    def holds(self) -> bool:
        scale = AGREE * (1 + abs(self.value))
        proved = abs(self.bound - self.value) <= 10 * scale
        return proved and (self.baseline_value is None or abs(self.value - self.baseline_value) <= scale)

    def __str__(self) -> str:
        other = "not ended" if self.baseline_value is None else f"{self.baseline_value:.6f}"
        return (
            f"{self.question}: {self.value:.6f} in {self.seconds:.3f} s, {self.binaries} binaries; published big-M: "
            f"{other} in {self.baseline_seconds:.3f} s, {self.baseline_binaries} binaries; {self.times:.1f} times "
            f"faster: {'ok' if self.holds else 'WRONG'}"
        )


@dataclass(frozen=True, slots=True)
class Times:
    """The median of some lines."""

    lines: tuple[Line, ...]
    least: float

    @property
    def holds(self) -> bool:
        return median(line.times for line in self.lines) >= self.least

    def __str__(self) -> str:
        times = median(line.times for line in self.lines)
        verdict = "ok" if self.holds else "TOO SLOW"
        return f"median of {len(self.lines)}: {times:.1f} times faster, at least {self.least:g}: {verdict}"


def margin(small: bool, full: bool = False) -> Iterator[Measured]:
    """Two images in a ball of 0.005 with a limit of 60 s; with `full` five images, 0.005 and 0.01, and 120 s."""
    if small:
        net, images = read(data.path("digits.onnx")), np.load(data.path("digits.npz"))["images"].astype(float)
        yield from _lines("digits", net, images[:2], (0.08,), 10.0, 0.1)
    elif NET.exists() and IMAGES.exists():
        images = np.load(IMAGES)["x_test"][:5].reshape(-1, 784) / 255.0
        net = read(NET, check=False)
        yield from _lines("784-100-100", net, images[: 5 if full else 2], *_extent(full), 10.0)
    else:
        images = np.random.default_rng(0).random((2, 784))
        yield from _lines("random 784-40-40", random_network(784, 40, 40, 10), images, (0.005,), 60.0, 10.0)


def _extent(full: bool) -> tuple[tuple[float, ...], float]:
    return ((0.005, 0.01), 120.0) if full else ((0.005,), 60.0)


def _lines(
    name: str, net: Network, images: FloatArray, radii: tuple[float, ...], time_limit: float, least: float
) -> Iterator[Measured]:
    found = []
    for radius in radii:
        for k, image in enumerate(images):
            found.append(_line(f"{name}, image {k}, {radius:g}", net, image, radius, time_limit))
            yield found[-1]
    yield Times(tuple(found), least)


def _line(question: str, net: Network, image: FloatArray, radius: float, time_limit: float) -> Line:
    second, first = np.argsort(net(image))[-2:]

    def asked() -> Expr:
        y = net(ball(image, radius, clip=(0.0, 1.0)))
        return y[int(second)] - y[int(first)]

    start = time.perf_counter()
    answer = maximize(asked(), backend="highs")
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    value, binaries = _published(net, asked(), time_limit)
    published = time.perf_counter() - start
    reached = answer.value if answer.value is not None else np.nan
    ended = time_limit if value is None else published
    return Line(question, reached, answer.bound, seconds, answer.stats.binaries, value, ended, binaries)


def _published(net: Network, expr: Expr, time_limit: float) -> tuple[float | None, int]:
    """The optimum, None without one in time, and the number of binaries."""
    (variable,) = expr.inputs()
    compiled = compile_program([expr], {net: interval(net, variable.domain)})
    index, value, offset = compiled.row(expr)
    cost = np.zeros(compiled.program.size)
    np.add.at(cost, index, value)
    lowered = published_big_m(substitute(compiled.program))
    matrix = lowered.matrix()
    trace = lowered.original
    row = np.asarray(cost @ trace.matrix)
    session = plugins.load("highs").open(matrix, Limits(profile=False))
    session.set_cost(np.arange(row.size), row, Sense.MAXIMIZE, float(cost @ np.nan_to_num(trace.offset)) + offset)
    result = session.solve(time_limit=time_limit)
    session.close()
    return result.objective if result.status is Status.OPTIMAL else None, int(matrix.integer.sum())
