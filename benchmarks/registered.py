"""The registered queries of `reludsl bench` on every solver that is installed: no two answers contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Measured
from benchmarks.nets import DATA
from reludsl import plugins
from reludsl.answer import Verdict
from reludsl.bench import Plan, Run, measure, queries_of
from reludsl.errors import Disagreement

FOLDER = Path(__file__).with_name("queries")


@dataclass(frozen=True, slots=True)
class Line:
    """One run: what is known to be right was not denied, and nobody contradicts it."""

    run: Run
    right: Verdict | None
    agreed: bool

    @property
    def holds(self) -> bool:
        return self.agreed and self.run.row.verdict in (self.right or self.run.row.verdict, Verdict.UNKNOWN)

    def __str__(self) -> str:
        row = self.run.row
        value = "" if row.value is None else f", value {row.value:.6f}"
        bound = "" if row.bound is None else f", bound {row.bound:.6f}"
        return (
            f"{self.run.query}, {row.backend}: {row.verdict.value}{bound}{value}, by {row.stage} in "
            f"{row.seconds:.3f} s, {row.binaries} binaries, {row.nodes} nodes: {'ok' if self.holds else 'WRONG'}"
        )


def registered(small: bool) -> Iterator[Measured]:
    """All queries whose data is there, 60 s each; small: one query on the default solver."""
    queries = queries_of(FOLDER, ["digits-margin"] if small else [])
    every = [info.name for info in plugins.installed() if info.installed]
    solvers = [plugins.default()] if small else [plugins.load(name) for name in every]
    for name, query in queries.items():
        if query.missing(DATA):
            continue
        runs: list[Run] = []
        agreed = True
        try:
            measure({name: query}, Plan(solvers, time_limit=60.0), DATA, on_run=runs.append)
        except Disagreement:
            agreed = False
        yield from (Line(run, query.verdict, agreed) for run in runs)
