"""The demo, `python -m reludsl.demo` or `make demo`: a digit reader is certified, compressed and checked.

Everything it needs comes with the library (`reludsl.data`); what it writes goes to a temporary folder.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from reludsl import data
from reludsl.backend import FloatArray, IntArray
from reludsl.compress import compress
from reludsl.domain import Box
from reludsl.io import read, read_with_report, write_onnx
from reludsl.network import Network
from reludsl.report import certify_table, compress_table, inspect_table
from reludsl.rewrite import Compression
from reludsl.stability import Facts, stable

NAME = "digits.onnx"
SMALL = "digits-small.onnx"
SHADES = " ░▒▓█"
RANDOM_POINTS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Check:
    """Two networks, side by side on inputs that had no part in the proof.

    Args:
        images: number of test images.
        right: how many of them the original, and the network read back from the file, get right.
        same: how many get the same answer from both.
        on_images, on_points: the largest difference of an output on the images, on random points of the box.
    """

    images: int
    right: tuple[int, int]
    same: int
    on_images: float
    on_points: float


@dataclass(frozen=True, slots=True, eq=False)
class Demo:
    """All that the demo found out."""

    network: Network
    note: str
    facts: Facts
    result: Compression
    written: Network
    file_sizes: tuple[int, int]
    images: FloatArray
    labels: IntArray
    check: Check
    seconds: float


def run(folder: Path) -> Demo:
    """Inspect, certify, compress, write to the folder, read back, compare."""
    start = time.perf_counter()
    before, after = data.path(NAME), folder / SMALL
    network, report = read_with_report(before)
    note = "" if report.difference is None else f"onnxruntime agrees within {report.difference:.1g}"
    domain = Box(np.zeros(network.input_size), np.ones(network.input_size))
    facts = stable(network, domain)
    result = compress(network, domain, facts=facts)
    write_onnx(result.network, after, dtype=result.dtype.type)
    written = read(after)
    with np.load(data.path("digits.npz")) as held:
        images, labels = held["images"].astype(np.float64), held["labels"].astype(np.int64)
    return Demo(
        network,
        note,
        facts,
        result,
        written,
        (before.stat().st_size, after.stat().st_size),
        images,
        labels,
        compare(network, written, domain, images, labels),
        time.perf_counter() - start,
    )


def compare(old: Network, new: Network, domain: Box, images: FloatArray, labels: IntArray) -> Check:
    """Plain forward passes of both networks: no solver, no bounds."""
    points = domain.sample(np.random.default_rng(0), RANDOM_POINTS)
    a, b = old(images), new(images)
    said, says = a.argmax(axis=1), b.argmax(axis=1)
    return Check(
        len(images),
        (int((said == labels).sum()), int((says == labels).sum())),
        int((said == says).sum()),
        float(np.abs(a - b).max()),
        float(np.abs(old(points) - new(points)).max()),
    )


def picture(image: FloatArray, caption: str) -> Text:
    """An 8 x 8 image with values in [0, 1] in shades of grey, two characters per pixel.

    >>> picture(np.eye(8).ravel(), "diagonal").plain.splitlines()[1]
    '  ██            '
    """
    grey = np.rint(np.clip(image, 0.0, 1.0) * (len(SHADES) - 1)).astype(int).reshape(8, 8)
    lines = ["".join(2 * SHADES[k] for k in row) for row in grey]
    text = Text("\n".join(lines), no_wrap=True)
    return text.append(f"\n{caption:^16}", style="bold")


def pictures(found: Demo, classes: Sequence[int] = (3, 7, 5, 8)) -> RenderableType:
    """One test image per class, with what the two networks say."""
    shown = []
    for label in classes:
        image = found.images[int(np.argmax(found.labels == label))]
        old, new = int(found.network(image).argmax()), int(found.written(image).argmax())
        shown.append(picture(image, f"{old} before {new} after"))
    return Columns(shown, padding=(0, 3))


def evidence(found: Demo, count: int = 2) -> RenderableType:
    """A few of the neurons that went, each with the bound that sends it off, and one that has to stay."""
    lines = Text()
    for stage in found.facts.stages:
        tops = stage.box.upper[stage.stably_inactive]
        for neuron, top in list(zip(stage.stably_inactive.tolist(), tops.tolist()))[:count]:
            lines.append(f"{stage.stage.name} neuron {neuron:>2} is at most {top:7.3f} on the whole box: ")
            lines.append("never on, removed\n", style="red")
    stage = found.facts.stages[-1]
    neuron = int(stage.unstable[0])
    seen = found.facts.witnesses.stages[stage.stage.index]
    low, high = seen.low[neuron], seen.high[neuron]
    lines.append(f"{stage.stage.name} neuron {neuron:>2} is seen at {low:.3f} and at {high:.3f}: ")
    return lines.append("switches, kept", style="blue")


def check_table(found: Demo) -> RenderableType:
    """Original against file: accuracy, size, and the largest difference of any output."""
    check = found.check
    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in ("", "original", "compressed"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("bytes of the file", *(f"{size:,}" for size in found.file_sizes))
    table.add_row("hidden neurons", str(found.network.neurons), str(found.written.neurons))
    table.add_row("test images right", *(f"{n} of {check.images}" for n in check.right))
    table.add_row("same answer", "", f"{check.same} of {check.images}")
    table.add_row(f"largest difference, {check.images} images", "", f"{check.on_images:.2g}")
    table.add_row(f"largest difference, {RANDOM_POINTS:,} random points", "", f"{check.on_points:.2g}")
    return table


def _chapter(title: str, *parts: RenderableType) -> list[RenderableType]:
    head: list[RenderableType] = [Text(title, style="bold cyan")] if title else []
    return [Rule(style="dim"), *head, *parts]


def show(found: Demo, console: Console) -> None:
    """The whole story on a console."""
    parts: list[RenderableType] = [
        Text("A network that reads 8 x 8 digits. Which neurons never switch?"),
        *_chapter("", pictures(found)),
        *_chapter("1 inspect", inspect_table(NAME, found.network)),
        *_chapter(
            "2 certify: for every image with pixels in [0, 1], not only those of a test set",
            certify_table(NAME, found.facts),
            evidence(found),
        ),
        *_chapter("3 compress", compress_table(NAME, Path(SMALL), found.result, found.result.seconds)),
        *_chapter("4 check: the written file, read back and run beside the original", check_table(found)),
        *_chapter(f"all of it in {found.seconds:.2f} s. Now yours:"),
        Text("reludsl compress NET.onnx --box 0 1 --out SMALL.onnx", style="bold"),
    ]
    console.print(Group(*parts))


def main() -> int:
    """Exit status 0 when the file is proved equivalent and the check agrees, else 1."""
    with tempfile.TemporaryDirectory(prefix="reludsl-") as folder:
        found = run(Path(folder))
    show(found, Console(highlight=False))
    agrees = max(found.check.on_images, found.check.on_points) <= found.result.tolerance.max() * 2
    return 0 if found.result.proved and agrees else 1


if __name__ == "__main__":
    raise SystemExit(main())
