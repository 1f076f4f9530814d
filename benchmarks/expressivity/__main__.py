"""Run one study, or all of them, and write what they found."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.expressivity.finding import Finding
from benchmarks.expressivity.page import write_one, write_page
from benchmarks.published.start import clocked


class Entry(NamedTuple):
    """A study: its module, and the packages that it cannot do without."""

    module: str
    needs: tuple[str, ...] = ()


STUDIES = {
    "length": Entry("length"),
    "arrangement": Entry("arrangement"),
    "stability": Entry("stability", ("torch",)),
    "few-patterns": Entry("few_patterns"),
    "sawtooth": Entry("sawtooth"),
    "bounds": Entry("bounds"),
    "baselines": Entry("baselines"),
    "approximation": Entry("approximation"),
}
ALL = "all"


def run(name: str, full: bool, seed: int) -> Finding:
    """The study of that name, with its default or its published settings."""
    module = importlib.import_module(f"benchmarks.expressivity.{STUDIES[name].module}")
    found: Finding = module.study(module.FULL if full else module.DEFAULT, seed, clocked())
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 2 where a package is missing that the study cannot do without."""
    options = argparse.ArgumentParser(prog="benchmarks.expressivity", description="What a network can express.")
    options.add_argument("name", choices=[*STUDIES, ALL])
    options.add_argument("--full", action="store_true", help="the published size; takes hours for those that train")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, help="folder for pictures and JSON; of `all` the page as well")
    options.add_argument("--json", action="store_true", help="the numbers on stdout instead of the sentence")
    given = options.parse_args(words)
    names = list(STUDIES) if given.name == ALL else [given.name]
    needed = {"matplotlib": given.out is not None}
    needed |= {package: True for name in names for package in STUDIES[name].needs}
    for package, wanted in needed.items():
        if wanted and importlib.util.find_spec(package) is None:
            print(f"{package} is not installed, which {given.name} needs: pip install {package}", file=sys.stderr)
            return 2
    findings, seconds = [], []
    for name in names:
        start = time.perf_counter()
        finding = run(name, given.full, given.seed)
        findings.append(finding)
        seconds.append(time.perf_counter() - start)
        if given.out is not None:
            write_one(given.out, finding)
        print(json.dumps(finding.as_json()) if given.json else f"{name}: {finding.sentence}", flush=True)
    if given.out is not None and given.name == ALL:
        write_page(given.out, findings, seconds, _command(given.full, given.seed))
    return 0


def _command(full: bool, seed: int) -> str:
    return f"python -m benchmarks.expressivity all{' --full' if full else ''} --seed {seed} --out docs/results"


if __name__ == "__main__":
    sys.exit(main())
