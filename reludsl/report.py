"""Tables for people, and the one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reludsl.bounds import Bounds
from reludsl.network import Network
from reludsl.plugins import BackendInfo
from reludsl.rewrite import Compression
from reludsl.stability import Facts


def show(answer: Mapping[str, Any], as_json: bool, table: RenderableType, note: str = "") -> None:
    """The answer on stdout, as one JSON object or as a table with a note under it."""
    if as_json:
        sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
    else:
        console = Console(highlight=False)
        console.print(table)
        if note:
            console.print(Text(note, style="dim"))


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False)
    for k, column in enumerate(columns):
        left = k == 0 or not column or column == "capabilities"
        table.add_column(column, justify="left" if left else "right", no_wrap=k == 0, overflow="fold")
    return table


def _titled(title: str, table: Table, *lines: RenderableType) -> RenderableType:
    return Group(Text(title, style="bold"), table, *lines)


def _bar(parts: Sequence[tuple[int, str]], total: int, width: int = 24) -> Text:
    """Shares of a whole as a bar of blocks, one colour each."""
    bar, drawn, seen = Text(), 0, 0
    for count, style in parts:
        seen += count
        upto = round(width * seen / max(total, 1))
        bar.append("█" * (upto - drawn), style=style)
        drawn = upto
    return bar


def inspect_table(name: str, network: Network) -> RenderableType:
    """Layers with kind, shape and parameters."""
    title = f"{name}: {network.neurons} hidden neurons, {network.parameters:,} parameters"
    table = _table("layer", "kind", "shape", "parameters")
    for node in network.nodes:
        shape = "x".join(str(k) for k in network.shapes[node.name])
        table.add_row(node.name, node.layer.kind, shape, f"{node.layer.parameters:,}" if node.layer.parameters else "")
    lines: list[RenderableType] = []
    if network.input_box is not None:
        low, high = network.input_box.lower.min(), network.input_box.upper.max()
        lines.append(Text(f"the file states inputs within [{low:g}, {high:g}]", style="dim"))
    return _titled(title, table, *lines)


def bounds_table(bounds: Bounds, method: str, seconds: float) -> RenderableType:
    """Per stage: the widest bounds, and how many neurons they leave open."""
    table = _table("layer", "width", "lowest", "highest", "mean width", "may switch")
    for stage in bounds.network.stages:
        box = bounds.pre(stage)
        open_ = "" if stage.activation is None else str(int(bounds.unstable(stage).sum()))
        table.add_row(
            stage.name,
            str(stage.size),
            f"{box.lower.min():.4g}",
            f"{box.upper.max():.4g}",
            f"{np.mean(box.upper - box.lower):.4g}",
            open_,
        )
    return _titled(f"bounds by {method}, {seconds:.2f} s", table)


def certify_table(name: str, facts: Facts) -> RenderableType:
    """Per stage: stable, unstable and unknown neurons, with a bar; then the rungs."""
    decided = facts.neurons - facts.undecided
    how = " by strict stability" if facts.strict else ""
    title = f"{name}: {decided} of {facts.neurons} neurons decided{how} in {facts.seconds:.2f} s"
    table = _table("layer", "width", "never on", "always on", "switches", "unknown", "")
    for s in facts.stages:
        parts = [
            (s.stably_inactive.size, "red"),
            (s.stably_active.size, "green"),
            (s.unstable.size, "blue"),
            (s.unknown.size, "yellow"),
        ]
        table.add_row(s.stage.name, str(s.stage.size), *(str(n) for n, _ in parts), _bar(parts, s.stage.size))
    rungs = ", ".join(f"{r.name} {r.decided} ({r.seconds:.2f} s)" for r in facts.rungs)
    lines: list[RenderableType] = [Text(f"decided by: {rungs}", style="dim")]
    for (stage, neuron), why in list(facts.unknown.items())[:5]:
        lines.append(Text(f"unknown: layer {stage}, neuron {neuron}: {why.reason} ({why.seconds:.1f} s)", style="dim"))
    return _titled(title, table, *lines)


def compress_table(name: str, out: Path, result: Compression, seconds: float) -> RenderableType:
    """Before and after, what was done, and what is proved."""
    before, after = result.original, result.network
    table = _table("", "before", "after", "less")
    rows = (
        ("hidden neurons", before.neurons, after.neurons),
        ("parameters", before.parameters, after.parameters),
        ("affine layers", len(before.stages), len(after.stages)),
    )
    for label, a, b in rows:
        table.add_row(label, f"{a:,}", f"{b:,}", f"{100 * (a - b) / max(a, 1):.0f} %")
    done = ", ".join(f"{count} {name}" for name, count in result.counts.items() if count) or "nothing to rewrite"
    verdict = Text("PROVED", style="bold green") if result.proved else Text("UNPROVED", style="bold red")
    claim = Text(f"neurons: {done}\nsame outputs on the whole domain: ") + verdict
    claim.append(f" (they differ by at most {result.max_output_error:.2g}, {result.dtype} weights as written)")
    lines: list[RenderableType] = [claim]
    if result.reason:
        lines.append(Text(result.reason, style="dim"))
    return _titled(f"{name} -> {out}, {seconds:.2f} s", table, *lines)


def backends_table(found: Sequence[BackendInfo]) -> RenderableType:
    """Name, version and capabilities of every backend."""
    table = _table("name", "version", "capabilities")
    for info in found:
        names = " ".join(str(c.name).lower() for c in info.capabilities)
        version = info.version or f"not installed: {info.note}"
        table.add_row(info.name, version, names)
    return table
