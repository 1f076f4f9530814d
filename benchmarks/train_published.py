"""Train networks of the published shapes by the published recipe, certify and compress them, and write the page.

    python -m benchmarks.train_published [--shapes 2x25 50-10-50 ...] [--seeds N] [--l1 W ...] [--epochs N] [--full]
                                         [--time-limit S] [--out FOLDER] [--cache FOLDER]

The default is a short run: four shapes, four L1 weights, fewer epochs with the decay scaled alike. `--full` is the
published one: all shapes, 121 epochs, the whole grids. `docs/results/published-stability.md` says what came of it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.published.page import DATA_FILE, Study, as_json, machine, page
from benchmarks.published.pictures import draw
from benchmarks.published.settings import ALL, PUBLISHED_EPOCHS, QUICK, Recipe, Shape
from benchmarks.published.start import MNIST, clocked, hindrance
from benchmarks.published.study import Plan, Run, local, study
from benchmarks.published.training import Images, Say, mean_image_loss, mnist
from reludsl.io.files import write_atomically

PAGE = "published-stability.md"
SHORT_EPOCHS, SHORT_SEEDS, FULL_SEEDS = 30, 3, 5


def parser() -> argparse.ArgumentParser:
    """The options; what is not given is filled in by `plan_of`."""
    options = argparse.ArgumentParser(prog="benchmarks.train_published", description="The published experiments.")
    options.add_argument("--shapes", type=Shape.parse, nargs="+", help=f"of {' '.join(ALL)}; default {' '.join(QUICK)}")
    options.add_argument("--seeds", type=int, help=f"networks per setting; default {SHORT_SEEDS}, full {FULL_SEEDS}")
    options.add_argument("--l1", type=float, nargs="+", help="L1 weights; default a grid per shape")
    options.add_argument("--epochs", type=int, help=f"default {SHORT_EPOCHS}, full {PUBLISHED_EPOCHS}")
    options.add_argument("--full", action="store_true", help="all shapes, whole grids, as many epochs as published")
    options.add_argument("--time-limit", type=float, default=60.0, help="seconds to certify one network; default 60")
    options.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "results")
    options.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "reludsl-published")
    return options


def plan_of(given: argparse.Namespace) -> Plan:
    """What the options ask for."""
    shapes = given.shapes or [Shape.parse(name) for name in (ALL if given.full else QUICK)]
    seeds = given.seeds or (FULL_SEEDS if given.full else SHORT_SEEDS)
    recipe = Recipe(given.epochs or (PUBLISHED_EPOCHS if given.full else SHORT_EPOCHS))
    l1 = None if given.l1 is None else tuple(sorted(set(given.l1)))
    return Plan(tuple(shapes), seeds, recipe, l1, given.full, given.time_limit, given.cache)


def command(plan: Plan) -> str:
    """The words that ask for this plan again, without folders of this machine."""
    words = ["python", "-m", "benchmarks.train_published", "--shapes", *(shape.name for shape in plan.shapes)]
    words += ["--seeds", str(plan.seeds), "--epochs", str(plan.recipe.epochs), "--time-limit", f"{plan.time_limit:g}"]
    words += [] if plan.l1 is None else ["--l1", *(f"{l1:g}" for l1 in plan.l1)]
    return shlex.join([*words, *(["--full"] if plan.full else [])])


def reproduce(plan: Plan, train: Images, test: Images, out: Path, say: Say) -> Study:
    """Run the plan and write page, data and pictures into a folder."""
    runs: list[Run] = list(study(plan, train, test, say))
    near = local(plan, runs, train, test, say)
    date = datetime.now(UTC).date().isoformat()
    blank = mean_image_loss(train, test)
    found = Study(plan, tuple(runs), near, len(train), blank, machine(), date, command(plan))
    out.mkdir(parents=True, exist_ok=True)
    draw(out, runs, plan.classifiers, near)
    write_atomically(out / DATA_FILE, (json.dumps(as_json(found), indent=1) + "\n").encode())
    write_atomically(out / PAGE, page(found).encode())
    return found


def main(words: Sequence[str] | None = None) -> int:
    """Exit status 2 where a package or the images are missing."""
    given = parser().parse_args(words)
    missing = hindrance()
    if missing:
        print(missing, file=sys.stderr)
        return 2
    train, test = mnist(MNIST)
    reproduce(plan_of(given), train, test, given.out, clocked())
    return 0


if __name__ == "__main__":
    sys.exit(main())
