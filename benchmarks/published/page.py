"""The page and the JSON file of a study: every number of them comes from its runs."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from typing import Any

import reludsl
from benchmarks.published import pictures
from benchmarks.published.settings import PUBLISHED_EPOCHS, REPORTED_R_SQUARED, Reported, Shape, reported
from benchmarks.published.study import (
    Local,
    Plan,
    Run,
    Spread,
    hardest,
    linear_fit,
    matching_l1,
    regularised,
    scores,
)
from benchmarks.published.training import ADAM_RATE, torch_threads
from reludsl.stability import Standing

DATA_FILE = "published-stability.json"


@dataclass(frozen=True, slots=True)
class Study:
    """What the page is about.

    Args:
        local: None where there is no classifier.
        images: number of training images; mean_image: the loss of an autoencoder that only knows their mean.
        command: runs it again; machine, date: where and when it ran.
    """

    plan: Plan
    runs: tuple[Run, ...]
    local: Local | None
    images: int
    mean_image: float
    machine: Mapping[str, str]
    date: str
    command: str

    def of(self, shape: Shape) -> list[Run]:
        """The runs of a shape."""
        return [run for run in self.runs if run.shape == shape.name]

    def matching(self, shape: Shape) -> float | None:
        """Our l_bar of a classifier."""
        return None if shape.autoencoder else matching_l1(scores(self.of(shape)))


def machine() -> dict[str, str]:
    """Processor, cores, system, versions."""
    cpu = platform.processor() or platform.machine()
    about = Path("/proc/cpuinfo")
    if about.exists():
        names = [line.partition(":")[2].strip() for line in about.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    packages = {name: version(name) for name in ("numpy", "torch", "highspy") if find_spec(name)}
    return {
        "torch": "none",
        "processor": cpu,
        "cores": str(os.cpu_count()),
        "system": platform.system(),
        "torch threads": str(torch_threads()),
        "python": platform.python_version(),
        "reludsl": reludsl.__version__,
        **packages,
    }


def as_json(study: Study) -> dict[str, Any]:
    """Everything, for programs."""
    chosen = regularised(study.runs, study.plan.classifiers)
    fit = linear_fit([run.score for run in chosen], [run.removed for run in chosen])
    found: dict[str, Any] = {
        "date": study.date,
        "command": study.command,
        "machine": dict(study.machine),
        "recipe": {**asdict(study.plan.recipe), "step": study.plan.recipe.step, "images": study.images},
        "mean_image_loss": study.mean_image,
        "seeds": study.plan.seeds,
        "time_limit": study.plan.time_limit,
        "matching_l1": {shape.name: study.matching(shape) for shape in study.plan.classifiers},
        "compression_against_accuracy": None if fit is None else asdict(fit),
        "runs": [asdict(run) for run in study.runs],
    }
    if study.local is not None:
        result = study.local.result
        found["local"] = {
            "shape": study.local.shape,
            "l1": study.local.l1,
            "seed": study.local.seed,
            "radii": result.radii.tolist(),
            "seconds": result.seconds,
            "share": {standing.name.lower(): result.share(standing).tolist() for standing in Standing},
            "whole": {standing.name.lower(): result.whole_share(standing) for standing in Standing},
        }
    return found


def page(study: Study) -> str:
    """The whole page, in Markdown."""
    parts = [
        _opening(study),
        _matching(study),
        _settings(study),
        _accuracy(study),
        _hard(study),
        _local(study),
        _again(study),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _score(shape: Shape, value: Spread | float) -> str:
    return f"{value:.4f}" if shape.autoencoder else f"{value:.2f}"


def prose(text: str, first: str = "", later: str = "") -> str:
    """One paragraph, broken into lines that start with these words."""
    whole = " ".join(text.split())
    return textwrap.fill(
        whole, 120, initial_indent=first, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
    )


def _opening(study: Study) -> str:
    plan, recipe, here = study.plan, study.plan.recipe, study.machine
    short = f" (published: {PUBLISHED_EPOCHS} epochs; this is a shortened run, its decay shortened alike)"
    proved = sum(run.proved for run in study.runs)
    bullets = [
        f"""Run on {study.date}, on {here["cores"]} cores of {here["processor"]} ({here["system"]}), with Python
        {here["python"]}, reludsl {here["reludsl"]}, numpy {here["numpy"]}, torch {here["torch"]}
        (threads: {here["torch threads"]}), highspy {here["highspy"]}. Seconds are of the clock on the wall, whatever
        else the machine did.""",
        f"""{len(study.runs)} networks, {plan.seeds} seeds for every setting, on {study.images:,} images of MNIST with
        pixels in [0, 1]; accuracy and loss on the test images. Where ± stands, mean and standard deviation over the
        seeds.""",
        f"""Training: {recipe.epochs} epochs, the rate divided by {1 / recipe.decay:g} every
        {recipe.step}{short if recipe.epochs != PUBLISHED_EPOCHS else ""}; SGD at {recipe.rate:g} with momentum
        {recipe.momentum:g}, batches of {recipe.batch}; weights start Kaiming-normal, biases at zero; loss + L1 weight x
        the sum of |w| over all weights, the output layer's too; biases are free.""",
        f"""Domain: every image, [0, 1]^784. Certificates by `stable` (method auto, at most {plan.time_limit:g} s a
        network), then `compress`; {proved} of {len(study.runs)} compressed networks are proved to be the same function
        there.""",
        """"Published": Serra, Kumar, Ramalingam 2020 (31 networks each) and Serra, Yu, Kumar, Ramalingam 2021 (5 each),
        as handed down in notes on these papers; their seconds are those of another machine, with Gurobi.""",
        """Slides on the former print 7.5 ± 0.5 % of neurons removed for 2x50 at L1 0.0002, which is the share of layer
        2 alone: it must read 15.1 ± 0.6. At 0.001 they print 29.4 ± 0.6, the paper 29.4 ± 0.7.""",
    ]
    if any(shape.autoencoder for shape in plan.shapes):
        bullets.insert(
            3,
            f"""Autoencoders: mean squared error of the pixels, outputs linear, Adam at {ADAM_RATE:g} with the same
            decay: by SGD they learnt nothing but the mean image in every trial (50-10-50, rates from 0.01 to 5). How
            the published ones were trained is not known to us. The mean image alone has a loss of
            {study.mean_image:.4f}: a network there has learnt nothing else.""",
        )
    about = prose(
        """The networks on this page are ours: of the published shapes, trained by the published recipe. They are not
        the published networks: the figures can be set beside the published ones, and cannot be equal to them. This page
        is written by a program from its runs; nothing on it is written by hand."""
    )
    listed = "\n".join(prose(text, "- ", "  ") for text in bullets)
    return f"# Stability of networks of the published shapes\n\n{about}\n\n{listed}"


def _matching(study: Study) -> str:
    rows = []
    for shape in study.plan.classifiers:
        matching = study.matching(shape)
        runs = study.of(shape)
        cells = [_matched(shape, runs, 0.0, matching)]
        if matching is None:
            cells += ["none of the grid", "none of the grid"]
        else:
            cells += [_matched(shape, runs, l1, matching) for l1 in (matching / 2, matching)]
        rows.append([shape.name, *cells])
    if not rows:
        return ""
    shown = table(["shape", "L1 = 0", "l_bar / 2", "l_bar"], rows)
    return f"""## What goes without a loss of accuracy

l_bar is the largest L1 weight of the grid whose mean accuracy is at least that of L1 = 0. Hidden neurons removed, the
accuracy in brackets; published figures after the stroke.

{shown}"""


def _matched(shape: Shape, runs: Sequence[Run], l1: float, matching: float | None) -> str:
    mine = [run for run in runs if run.l1 == l1]
    if not mine:
        return "not run"
    words = f"{mean(run.removed for run in mine):.0f} % ({mean(run.score for run in mine):.2f})"
    if l1:
        words = f"{l1:g}: {words}"
    theirs = list(reported(shape, l1, matching))[-1:]
    return " / ".join([words, *(f"{one.removed:g} % ({one.score:.2f})" for one in theirs)])


def _settings(study: Study) -> str:
    rows = [row for shape in study.plan.shapes for row in _rows(study, shape)]
    head = ["shape", "L1", "accuracy or loss", "inactive %", "active %", "unknown", "removed %", "parameters less %"]
    head += ["certify + compress s", "training s", "times faster", "published: score, removed %, s"]
    faster = [run.times_faster for run in study.runs]
    slower = sum(ratio < 1 for ratio in faster)
    verdict = "always faster than training" if not slower else f"slower than training for {slower} networks"
    grown = (
        ""
        if all(run.parameters_removed >= 0 for run in study.runs)
        else (
            """A network that is constant on the domain becomes one matrix from the inputs to the outputs, of zeros,
            which are counted as parameters: hence less than 0 % of them went there."""
        )
    )
    about = prose(
        f"""Certificate and compression together are {verdict}: {median(faster):.0f} times faster in the median,
        {min(faster):.1f} times at least. Inactive and active: stable neurons in % of the hidden ones; unknown: their
        number, of all seeds. {grown}"""
    )
    return f"## Every setting\n\n{about}\n\n{table(head, rows)}"


def _rows(study: Study, shape: Shape) -> Iterator[list[str]]:
    matching = study.matching(shape)
    for l1 in sorted({run.l1 for run in study.of(shape)}):
        runs = [run for run in study.of(shape) if run.l1 == l1]
        yield [
            shape.name,
            f"{l1:g}",
            _score(shape, Spread.of([run.score for run in runs])),
            f"{mean(100 * sum(run.stably_inactive) / run.neurons_before for run in runs):.1f}",
            f"{mean(100 * sum(run.stably_active) / run.neurons_before for run in runs):.1f}",
            str(sum(sum(run.unknown) for run in runs)),
            f"{Spread.of([run.removed for run in runs]):.1f}",
            f"{Spread.of([run.parameters_removed for run in runs]):.1f}",
            f"{Spread.of([run.seconds for run in runs]):.2f}",
            f"{mean(run.train_seconds for run in runs):.0f}",
            f"{mean(run.times_faster for run in runs):.0f}",
            "; ".join(_published(shape, one) for one in reported(shape, l1, matching)) or "-",
        ]


def _published(shape: Shape, one: Reported) -> str:
    seconds = "-" if one.seconds is None else f"{one.seconds:g}"
    return f"{f'{one.score:.3f}' if shape.autoencoder else f'{one.score:.2f}'}, {one.removed:g}, {seconds}"


def _accuracy(study: Study) -> str:
    if not study.plan.classifiers:
        return ""
    groups = [(shape.name, (shape,)) for shape in study.plan.classifiers]
    rows = []
    for name, shapes in [("all classifiers", study.plan.classifiers), *groups]:
        chosen = regularised(study.runs, shapes)
        fit = linear_fit([run.score for run in chosen], [run.removed for run in chosen])
        words = ["-", "-"] if fit is None else [f"{fit.r_squared:.2f}", f"{fit.slope:.1f}"]
        rows.append([name, str(len(chosen)), *words])
    shown = table(["networks with L1 > 0", "number", "R²", "% of neurons per % of accuracy"], rows)
    return f"""## Compression against accuracy

A line fitted by least squares to the neurons removed over the accuracy, one point per network. Published:
R² = {REPORTED_R_SQUARED:g} over the regularised classifiers.

{shown}

![neurons removed against accuracy]({pictures.COMPRESSION})"""


def _hard(study: Study) -> str:
    rows = []
    for shape in study.plan.shapes:
        found, matching = hardest(study.of(shape)), study.matching(shape)
        rows.append(
            [
                shape.name,
                f"{found.slowest:g} ({found.slowest_seconds:.2f} s)",
                "none" if found.most_unknown is None else f"{found.most_unknown:g} ({found.unknown:.1f})",
                "-" if matching is None else f"{matching:g}",
            ]
        )
    head = ["shape", "L1 of the longest certificate", "L1 of the most unknown neurons (a network)", "l_bar"]
    return f"""## The hard L1 weights

Which L1 weight takes longest to certify, and which leaves most neurons unknown. Published: l_bar / 2 is the hardest,
where many neurons are nearly stable.

{table(head, rows)}

![seconds to certify against the L1 weight]({pictures.HARDNESS})"""


def _local(study: Study) -> str:
    if study.local is None:
        return ""
    result = study.local.result
    rows = [
        [f"{radius:g}", *(f"{100 * result.share(standing)[k].mean():.1f}" for standing in Standing)]
        for k, radius in enumerate(result.radii.tolist())
    ]
    rows.append(["whole box", *(f"{100 * result.whole_share(standing):.1f}" for standing in Standing)])
    head = ["radius", *(f"{standing.name.lower().replace('_', ' ')} %" for standing in Standing)]
    balls = result.local.shape[0] * result.local.shape[1]
    about = prose(
        f"""{study.local.shape} at L1 {study.local.l1:g}, seed {study.local.seed}: neurons that never switch in an
        L-infinity ball around a test image, cut to [0, 1]^784; mean over the first {len(result.points)} test images.
        `local_stability` took {result.seconds:.1f} s for the {balls} balls and the box."""
    )
    picture = f"![shares of neurons against the radius]({pictures.LOCAL})"
    return f"## Near an image, and everywhere\n\n{about}\n\n{table(head, rows)}\n\n{picture}"


def _again(study: Study) -> str:
    return f"""## Run it again

```
{study.command}
```

Networks that were trained already are taken from the cache folder (`--cache`; by default a folder under the system's
temporary one), with the seconds that their training took. All shapes, {PUBLISHED_EPOCHS} epochs and the whole grids of
L1 weights: `python -m benchmarks.train_published --full`. MNIST is looked for as `mnist.npz` in the folder that
`RELUDSL_DATA` names. Every number of every run: [{DATA_FILE}]({DATA_FILE})."""
