"""What each formulation costs and what its relaxation is worth: a table, and two things asserted.

The question is the largest margin of another class over the label in a ball around an image. All integer optima must
agree to 1e-6, and the bounds of the relaxations be ordered: big-M, partitions with more groups, the hull.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.nets import DATA
from reludsl import data, plugins
from reludsl.backend import Limits, Sense, Status
from reludsl.expr import Expr, ball
from reludsl.formulate import compile_program
from reludsl.io import read
from reludsl.network import Network
from reludsl.passes import Formulation, cone, formulated, thin, tighten

AGREE = 1e-6
"""Relative distance that optima, and bounds that should be equal, may have: the solver's tolerance."""

FORMS = (
    "big-m",
    "published",
    "partition:1",
    "partition:2",
    "partition:4",
    "partition:8",
    "cuts:3:200",
    "cuts:10:200",
    "hull",
)
ORDERED = ("big-m", "partition:1", "partition:2", "partition:4", "partition:8", "hull")
"""Not every partition refines the last one, so that the order of 2, 4 and 8 is usual and not certain."""


@dataclass(frozen=True, slots=True)
class Line:
    """One formulation of one question.

    Args:
        relaxed: bound of the LP relaxation, after the rounds of cuts if any; infinite when the time was over.
        best: the integer optimum, None when the time was over.
        relaxed_seconds: of the LP, cuts included; best_seconds: of the tree.
        holds: the optimum agrees with that of big-M, the bound is no worse than that of the looser formulation.
    """

    question: str
    form: str
    binaries: int
    rows: int
    nonzeros: int
    build_seconds: float
    relaxed: float
    relaxed_seconds: float
    best: float | None
    bound: float
    best_seconds: float
    nodes: int
    holds: bool

    def __str__(self) -> str:
        best = f"{self.best:12.6f}" if self.best is not None else f"<={self.bound:10.6f}"
        program = f"{self.binaries:4d} binaries {self.rows:7d} rows {self.nonzeros:8d} nonzeros"
        relaxed = f"LP {self.relaxed:12.6f} {self.relaxed_seconds:7.3f} s"
        tree = f"MILP {best} {self.best_seconds:7.3f} s {self.nodes:6d} nodes"
        verdict = "ok" if self.holds else "WRONG"
        build = f"build {self.build_seconds:6.3f} s"
        return f"{self.question} {self.form:12s} {program}  {build}  {relaxed}  {tree}: {verdict}"


def formulations(small: bool) -> Iterator[Line]:
    """The digits network that comes along, and 784-100-100 where the data folder has it."""
    digits = read(data.path("digits.onnx"))
    images = np.load(data.path("digits.npz"))
    pixels = images["images"][0].astype(float)
    yield from _table("digits", digits, pixels, 0.05 if small else 0.12, 30.0)
    path, file = DATA / "mnist_nets" / "mnist_100x100_l1_0_s0.onnx", DATA / "mnist.npz"
    if not small and path.exists() and file.exists():
        mnist = np.load(file)
        image = mnist["x_test"].reshape(-1, 784)[0].astype(float) / 255
        yield from _table("mnist 100x100", read(path, check=False), image, 0.02, 60.0)


def _table(question: str, network: Network, image: np.ndarray, radius: float, time_limit: float) -> Iterator[Line]:
    x = ball(image, radius, clip=(0.0, 1.0))
    scores = network(image)
    label = int(np.argmax(scores))
    other = int(np.argsort(scores)[-2])
    y = network(x)
    margin = y[other] - y[label]
    reference: dict[str, Line] = {}
    loosest = np.inf
    for text in FORMS:
        line = _solve(question, margin, text, time_limit)
        optimum = reference["big-m"].best if reference else line.best
        agrees = line.best is None or optimum is None or _close(line.best, optimum)
        tight = text not in ORDERED or np.isinf(line.relaxed) or line.relaxed <= loosest + AGREE * (1 + abs(loosest))
        sound = optimum is None or line.relaxed >= optimum - AGREE * (1 + abs(optimum))
        line = replace(line, holds=agrees and tight and sound)
        reference[text] = line
        if text in ORDERED and np.isfinite(line.relaxed):
            loosest = line.relaxed
        yield line


def _close(one: float, two: float) -> bool:
    return abs(one - two) <= AGREE * (1 + abs(two))


def _solve(question: str, margin: Expr, text: str, time_limit: float) -> Line:
    compiled = compile_program([margin])
    index, value, offset = compiled.row(margin)
    cost = np.zeros(compiled.program.size)
    np.add.at(cost, index, value)
    start = time.perf_counter()
    lowered = formulated(thin(cone(compiled.program, np.flatnonzero(cost))), Formulation.parse(text))
    matrix = lowered.program.matrix()
    session = plugins.default().open(matrix, Limits())
    build = time.perf_counter() - start
    trace = lowered.program.original
    row = np.asarray(cost @ trace.matrix)
    session.set_cost(np.arange(row.size), row, Sense.MAXIMIZE, float(cost @ np.nan_to_num(trace.offset)) + offset)
    start = time.perf_counter()
    matrix = tighten(session, matrix, lowered.neurons, time_limit).matrix
    relaxed = session.solve(relax=True, time_limit=time_limit)
    relaxed_seconds = time.perf_counter() - start
    start = time.perf_counter()
    whole = session.solve(time_limit=time_limit)
    best_seconds = time.perf_counter() - start
    session.close()
    return Line(
        question,
        text,
        int(matrix.integer.sum()),
        matrix.row_lower.size,
        int(matrix.rows.nnz),
        build,
        relaxed.objective if relaxed.status is Status.OPTIMAL and relaxed.objective is not None else np.inf,
        relaxed_seconds,
        whole.objective if whole.status is Status.OPTIMAL else None,
        np.inf if whole.bound is None else whole.bound,
        best_seconds,
        whole.nodes,
        True,
    )
