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

from benchmarks.expressivity.finding import Finding
from benchmarks.expressivity.page import PAGE, replace_section, write_one, write_page
from benchmarks.published.start import MNIST, clocked

STUDIES = {
    "length": "length",
    "arrangement": "arrangement",
    "stability": "stability",
    "few-patterns": "few_patterns",
    "sawtooth": "sawtooth",
    "bounds": "bounds",
    "baselines": "baselines",
    "approximation": "approximation",
}
"""The module of each; those that train leave that out, and say so, where torch is missing."""
ALL = "all"

ONLY_MNIST = ("stability", "bounds", "baselines")
"""Studies whose published size is that of MNIST, for which no other images stand in."""


def run(name: str, full: bool, seed: int) -> Finding:
    """The study of that name, with its default or its published settings."""
    module = importlib.import_module(f"benchmarks.expressivity.{STUDIES[name]}")
    found: Finding = module.study(module.FULL if full else module.DEFAULT, seed, clocked())
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 2 where a package or a file is missing that the studies cannot do without."""
    options = argparse.ArgumentParser(prog="benchmarks.expressivity", description="What a network can express.")
    options.add_argument("name", choices=[*STUDIES, ALL])
    options.add_argument("--full", action="store_true", help="the published size; takes hours for those that train")
    options.add_argument("--seed", type=whole_number, default=0, help="a whole number from 0 on; default 0")
    options.add_argument("--out", type=Path, help="folder for pictures, JSON, and the page or its section")
    options.add_argument("--json", action="store_true", help="the numbers on stdout instead of the sentence")
    given = options.parse_args(words)
    names = list(STUDIES) if given.name == ALL else [given.name]
    missing = _missing(names, given.full, given.out is not None)
    if missing:
        print(missing, file=sys.stderr)
        return 2
    findings, seconds = [], []
    for name in names:
        start = time.perf_counter()
        finding = run(name, given.full, given.seed)
        findings.append(finding)
        seconds.append(time.perf_counter() - start)
        if given.out is not None:
            write_one(given.out, finding)
            if given.name != ALL and (given.out / PAGE).exists():
                replace_section(given.out, finding, seconds[-1], _options(given.full, given.seed))
        print(json.dumps(finding.as_json()) if given.json else f"{name}: {finding.sentence}", flush=True)
    if given.out is not None and given.name == ALL:
        write_page(given.out, findings, seconds, _options(given.full, given.seed))
    return 0


def whole_number(word: str) -> int:
    seed = int(word)
    if seed < 0:
        raise argparse.ArgumentTypeError(f"{seed} is below 0, and no generator takes that; give 0 or more")
    return seed


def _missing(names: Sequence[str], full: bool, drawn: bool) -> str:
    """What the studies cannot do without and is not there, in a sentence; empty where all is there."""
    if drawn and importlib.util.find_spec("matplotlib") is None:
        return "matplotlib is not installed, and pictures cannot be drawn without: pip install matplotlib"
    # the others take the digits where MNIST is not there
    on_mnist = [name for name in names if full and name in ONLY_MNIST]
    if on_mnist and not MNIST.exists():
        return (
            f"mnist.npz is not in the data folder, and {', '.join(on_mnist)} --full cannot run without: set "
            "RELUDSL_DATA to the folder that holds it"
        )
    return ""


def _options(full: bool, seed: int) -> str:
    """What was given beside the name, where it is not the default."""
    return (" --full" if full else "") + (f" --seed {seed}" if seed else "")


if __name__ == "__main__":
    sys.exit(main())
