"""The page on certification: `python -m benchmarks.certification [--out FOLDER]` measures, and writes it.

Trained networks of the data folder, all methods side by side in one run, then the ladder on every network.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from benchmarks.nets import DATA
from benchmarks.published.page import machine, prose, table
from benchmarks.stability import PUBLISHED, SIDE_BY_SIDE, Faster, Row, ladder, load, side_by_side
from reludsl import plugins
from reludsl.io.files import write_atomically

OUT = Path(__file__).parents[1] / "docs" / "results"


def main(words: Sequence[str] | None = None) -> int:
    """Measure and write; 1 when a ratio is below what is asked."""
    parser = argparse.ArgumentParser(prog="benchmarks.certification", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the page")
    parser.add_argument("--networks", nargs="*", default=SIDE_BY_SIDE, help="on which the methods stand side by side")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds of the ladder per network")
    given = parser.parse_args(words)
    if not (DATA / "mnist_nets").exists():
        parser.error(f"{DATA} holds no mnist_nets; set RELUDSL_DATA")
    lines, ratios = [], []
    for name in given.networks:
        network, domain = load(name)
        most = 20 if "200" in name else None
        for found in side_by_side(name, network, domain, plugins.default(), most, True):
            print(found, flush=True)
            if isinstance(found, Row):
                lines.append(found)
            elif isinstance(found, Faster):
                ratios.append(found)
    rungs = []
    for row in ladder(given.time_limit):
        print(row, flush=True)
        rungs.append(row)
    write_atomically(given.out / "certification.md", page(lines, ratios, rungs).encode())
    return 0 if all(ratio.holds for ratio in ratios) else 1


def page(lines: Sequence[Row], ratios: Sequence[Faster], rungs: Sequence[Row]) -> str:
    """The page of some measured rows."""
    facts = "; ".join(f"{key}: {value}" for key, value in machine().items())
    about = """The networks are ours, of the published shapes and training recipe, not the published ones. This page
        is written by `python -m benchmarks.certification`; nothing on it is written by hand. Seconds are wall-clock."""
    methods = """two-solve is the first published method: for every neuron and direction a model of its own with
        interval constants, stopped when the sign is known. per-neuron keeps one model per stage and counts every input
        that is seen for all neurons. one-solve is one program for all neurons, without the ladder. auto is the
        ladder."""
    beside = """No data given. Published: seconds of the one-solve method with Gurobi for this shape, without L1, with
        half of it and with all of it (Serra et al. 2021, table 2)."""
    parts = (
        "# Certification, measured",
        prose(about),
        prose(f"Run on {date.today().isoformat()}. {facts}."),
        "## Methods side by side",
        prose(methods),
        table(("network", "method", "decided", "s", "spent on"), [_cells(row) for row in lines]),
        "\n".join(f"- {ratio}" for ratio in ratios),
        "## The ladder on every network",
        prose(beside),
        table(
            ("network", "decided", "s", "published s", "rungs"),
            [(r.network, f"{r.decided} of {r.neurons}", f"{r.seconds:.2f}", _published(r), r.spent) for r in rungs],
        ),
    )
    return "\n\n".join(parts) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.network,
        f"{row.method}, {row.backend}",
        f"{row.decided} of {row.neurons}",
        f"{row.seconds:.2f}",
        row.spent,
    )


def _published(row: Row) -> str:
    seconds = PUBLISHED.get(row.network.rsplit("_l1_", 1)[0])
    return "" if seconds is None else " / ".join("?" if s is None else str(s) for s in seconds)


if __name__ == "__main__":
    raise SystemExit(main())
