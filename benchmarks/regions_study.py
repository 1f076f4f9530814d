"""Train the networks of the published study of regions, count and bound their regions, and write page and pictures.

    python -m benchmarks.regions_study --folder FOLDER [--configurations 4,18 11,11 ...] [--networks N | --seeds S ...]
        [--epochs N] [--batch N] [--methods cells probe ...] [--definition activation] [--time-limit S]
        [--outputs-as-units] [--out FOLDER]

Without options all 21 configurations n1 + n2 = 22, 10 networks each, 20 epochs, 60 s for each count. What the folder
holds already is neither trained nor counted again, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.published.regions import CONFIGURATIONS, EPOCHS, NETWORKS, UNITS, Plan, Run, runs
from benchmarks.published.regions_page import sentence, write
from benchmarks.published.settings import Recipe, Shape
from benchmarks.published.start import MNIST, clocked, hindrance
from benchmarks.published.training import Images, Say, mnist
from reludsl.regions import Counting, Definition
from reludsl.regions.study import Counter

METHODS = (Counting.CELLS, Counting.ONE_TREE, Counting.PROBE, Counting.XOR)


def parser() -> argparse.ArgumentParser:
    """The options; what is not given is filled in by `plan_of`."""
    options = argparse.ArgumentParser(prog="benchmarks.regions_study", description="The published study of regions.")
    everything = f"hidden widths; default all of {UNITS} units, {CONFIGURATIONS[0].name} to {CONFIGURATIONS[-1].name}"
    options.add_argument("--configurations", type=_widths, nargs="+", metavar="N1,N2", help=everything)
    options.add_argument("--networks", type=int, default=NETWORKS, help=f"of each; default {NETWORKS}")
    options.add_argument("--seeds", type=int, nargs="+", help="of the networks of each; default 0, 1, ...")
    options.add_argument("--epochs", type=int, default=EPOCHS, help=f"default {EPOCHS}")
    options.add_argument("--batch", type=int, default=128, help="images to a step; default 128")
    names = [method.value for method in METHODS]
    options.add_argument("--methods", nargs="+", choices=names, default=["cells", "probe"], help="default cells probe")
    kinds = [Definition.ACTIVATION.value, Definition.PATTERNS.value]
    options.add_argument("--definition", choices=kinds, default=kinds[0], help=f"default {kinds[0]}")
    options.add_argument("--time-limit", type=float, default=60.0, help="seconds for one count; default 60")
    options.add_argument(
        "--outputs-as-units", action="store_true", help="count the outputs as ReLU units, as published"
    )
    options.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "reludsl-regions")
    options.add_argument("--out", type=Path, help="for page, data and pictures; default the folder")
    return options


def _widths(text: str) -> Shape:
    shape = Shape.parse(text)
    if shape.autoencoder:
        raise argparse.ArgumentTypeError(f"{text} is an autoencoder; write widths with commas, as in 4,18")
    return shape


def plan_of(given: argparse.Namespace) -> Plan:
    """What the options ask for."""
    return Plan(
        tuple(given.configurations or CONFIGURATIONS),
        tuple(range(given.networks)) if given.seeds is None else tuple(given.seeds),
        Recipe(given.epochs, given.batch),
        tuple(map(Counting, given.methods)),
        Definition(given.definition),
        given.time_limit,
        given.outputs_as_units,
        given.folder,
    )


def command(plan: Plan) -> str:
    """The words that ask for this plan again, without folders of this machine."""
    words = ["python", "-m", "benchmarks.regions_study"]
    if plan.shapes != CONFIGURATIONS:
        words += ["--configurations", *(shape.name for shape in plan.shapes)]
    words += ["--seeds", *map(str, plan.seeds), "--epochs", str(plan.recipe.epochs), "--batch", str(plan.recipe.batch)]
    words += ["--methods", *(method.value for method in plan.methods), "--definition", plan.definition.value]
    words += ["--time-limit", f"{plan.time_limit:g}", *(["--outputs-as-units"] if plan.outputs_as_units else [])]
    return shlex.join(words)


def reproduce(plan: Plan, train: Images, test: Images, out: Path, counter: Counter, say: Say) -> list[Run]:
    """Run the plan and write page, data and pictures into a folder."""
    found = list(runs(plan, train, test, counter, say))
    write(out, plan, found, command(plan), datetime.now(UTC).date().isoformat())
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 2 where a package or the images are missing."""
    options = parser()
    given = options.parse_args(words)
    if not plan_of(given).seeds:
        options.error(f"--networks {given.networks} leaves nothing to train; give 1 or more")
    missing = hindrance()
    if missing:
        print(missing, file=sys.stderr)
        return 2
    from reludsl.regions import count

    train, test = mnist(MNIST)
    found = reproduce(plan_of(given), train, test, given.out or given.folder, count, clocked())
    print(sentence(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
