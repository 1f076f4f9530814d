"""Tables for people, and the one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reludsl.answer import Verdict
from reludsl.bench import Query, Summary
from reludsl.bounds import Bounds
from reludsl.compare import Comparison, Row
from reludsl.expressivity import Trajectory
from reludsl.network import INPUT, Network
from reludsl.plugins import BackendInfo
from reludsl.regions import definition as kinds
from reludsl.regions.bounds import MEANINGS, RegionBounds
from reludsl.regions.planar import Plane
from reludsl.regions.result import Counting, RegionCount
from reludsl.rewrite import Compression
from reludsl.stability import Facts

WIDEST = 200
"""Characters of a line at most, where no terminal says."""

LEFT = ("capabilities", "solver", "formulation", "verdict", "decided by", "about", "needs", "what it is")
"""Columns of words; numbers stand on the right."""


def show(answer: Mapping[str, Any], as_json: bool, table: RenderableType, note: str = "") -> None:
    """The answer on stdout, as one JSON object or as a table with a note under it."""
    if as_json:
        with _digits_of_any_length():
            sys.stdout.write(json.dumps(answer, allow_nan=False) + "\n")
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            # a file or a pipe is as wide as what is written to it
            wide = console.options.update(width=WIDEST)
            console.width = max(console.width, min(WIDEST, console.measure(table, options=wide).maximum))
        console.print(table)
        if note:
            console.print(Text(note, style="dim"))


@contextmanager
def _digits_of_any_length() -> Iterator[None]:
    """Python refuses to write integers of more than 4,300 digits unless told otherwise."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(before)


def say(text: str, remark: str = "") -> None:
    """A text on stdout as it is, and a remark about it on stderr."""
    sys.stdout.write(text)
    if remark:
        sys.stderr.write(f"reludsl: {' '.join(remark.split())}\n")


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False)
    for k, column in enumerate(columns):
        left = k == 0 or not column or column in LEFT
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
    """Layers with kind, shape and parameters; where branches meet or part, also with what each takes."""
    title = f"{name}: {network.neurons} hidden neurons, {network.parameters:,} parameters"
    before = [INPUT, *(node.name for node in network.nodes)]
    # in a chain every layer takes the one above it
    takes = {n.name: ", ".join(n.sources) if n.sources != (b,) else "" for n, b in zip(network.nodes, before)}
    table = _table("layer", "kind", "shape", "parameters", *(["takes"] if any(takes.values()) else []))
    for node in network.nodes:
        shape = "x".join(str(k) for k in network.shapes[node.name])
        count = f"{node.layer.parameters:,}" if node.layer.parameters else ""
        table.add_row(node.name, node.layer.kind, shape, count, *([takes[node.name]] if any(takes.values()) else []))
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
    if result.asked is not None and not result.proved:
        held = Text("PROVED", style="bold green") if result.within else Text("UNPROVED", style="bold red")
        claim = Text(f"neurons: {done}\noutputs on the whole domain within {result.asked:g}: ") + held
    else:
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


def compare_table(found: Mapping[str, Comparison]) -> RenderableType:
    """One line per solver and formulation under each property, reasons below."""
    parts: list[RenderableType] = []
    for name, comparison in found.items():
        table = _table(
            "solver", "formulation", "verdict", "bound", "value", "decided by", "nodes", "build", "total", ""
        )
        for row in comparison.rows:
            times = (f"{row.build_seconds:.2f} s", f"{row.seconds:.2f} s")
            words = (row.backend, row.formulation, _verdict(row.verdict))
            table.add_row(*words, *_numbers(row), str(row.nodes), *times, _agreement(row))
        parts.append(_titled(name, table, *_reasons(comparison.rows)))
    return Group(*parts, _versions([row for comparison in found.values() for row in comparison.rows]))


def bench_table(found: Sequence[Summary], skipped: Mapping[str, Sequence[str]]) -> RenderableType:
    """One line per query, solver and formulation: medians."""
    table = _table(
        "query", "solver", "formulation", "verdict", "bound", "value", "decided by", "nodes", "build", "total"
    )
    for line in found:
        verdict = Text(" / ").join(_verdict(v) for v in line.verdicts)
        times = (f"{line.build_seconds:.2f} s", f"{line.seconds:.2f} s")
        words = (line.query, line.row.backend, line.row.formulation, verdict)
        table.add_row(*words, *_numbers(line.row), f"{line.nodes:g}", *times)
    lines: list[RenderableType] = [
        Text(f"left out: {name}, which needs {', '.join(files)}; RELUDSL_DATA names the folder of data", style="dim")
        for name, files in skipped.items()
    ]
    rows = [line.row for line in found]
    runs = sum(line.runs for line in found)
    return _titled(f"{runs} runs, medians", table, *_reasons(rows), *lines, _versions(rows))


def queries_table(found: Mapping[str, Query], missing: Mapping[str, Sequence[str]]) -> RenderableType:
    """The registered queries, and whether each needs data."""
    table = _table("query", "about", "needs")
    for name, query in found.items():
        needs = "data that is not there" if missing.get(name) else "data" if query.data else ""
        table.add_row(name, query.about, needs)
    return table


def region_bounds_table(name: str, found: RegionBounds, shown: Mapping[str, int | None]) -> RenderableType:
    """One line per bound with what it says; the reasons of those that do not hold below."""
    table = _table("bound", "regions", "what it is")
    for bound, value in shown.items():
        table.add_row(bound, "none" if value is None else _large(value), MEANINGS[bound])
    reasons: dict[str, list[str]] = {}
    for bound, why in found.notes.items():
        if bound in shown:
            reasons.setdefault(why, []).append(bound)
    lines = [Text(f"{', '.join(bounds)}: {why}", style="dim") for why, bounds in reasons.items()]
    best = Text(f"at most {_large(found.upper)} regions", style="bold")
    layers = " + ".join(str(n) for n in found.widths)
    return _titled(f"{name}: {found.inputs} inputs, {layers} units", table, best, *lines)


def count_table(name: str, found: RegionCount, labels: Mapping[int, RegionCount]) -> RenderableType:
    """How many regions, of which kind, and what is known of the number; then the same for every label."""
    title = f"{name}: {_number(found)} region{'' if _number(found).split()[-1] == '1' else 's'}"
    rows = {"definition": _defined(found), "known": _known(found)}
    if found.standard_error is not None and not found.exact:
        rows["estimate"] = f"{_large(found.count)}, standard error {found.standard_error:.3g}"
    if found.ambiguous:
        rows["open"] = f"{found.ambiguous:,} cells may be regions or not"
    rows["method"] = f"{found.method.value}, {found.units:,} units, {found.seconds:.2f} s"
    lines = [Text(found.note, style="dim")] if found.note else []
    if not labels:
        return _listed(title, rows, *lines)
    own = _table("label", "regions", "")
    for label, one in labels.items():
        own.add_row(str(label), _number(one), "" if one.exact else _known(one))
    return _listed(title, rows, *lines, own)


def plane_table(name: str, found: Plane, known: RegionCount | None, seconds: float, out: Path | None) -> RenderableType:
    """The complex by its numbers, and how many regions of some kind there are."""
    rows = {"vertices": f"{found.vertices:,}", "edges": f"{found.edges:,}", "area": f"{found.areas.sum():.6g}"}
    if known is not None:
        rows |= {"definition": _defined(known), "known": _known(known)}
    rows["time"] = f"{seconds:.2f} s"
    notes = [known.note if known is not None else "", "" if out is None else f"picture: {out}"]
    lines = [Text(note, style="dim") for note in notes if note]
    return _listed(f"{name}: {found.faces:,} activation regions in the plane", rows, *lines)


def trajectory_table(name: str, found: Trajectory, seconds: float, out: Path | None) -> RenderableType:
    """One line per stop: the length there, how much it grew, and how often the units of that layer switched."""
    table = _table("layer", "length", "growth", "transitions")
    switched = dict(zip(found.layers, found.by_layer[0].tolist()))
    growth = [float("nan"), *found.growth[0].tolist()]
    for stop, length, ratio in zip(found.stops, found.lengths[0].tolist(), growth):
        count = f"{switched[stop]:,}" if stop in switched else ""
        table.add_row(stop, f"{length:.6g}", "" if np.isnan(ratio) else f"{ratio:.3f}", count)
    lines = [Text(f"{seconds:.2f} s", style="dim")]
    if found.length_errors is not None:
        lines.append(Text(f"lengths are off by at most {found.length_errors.max():.1g}", style="dim"))
    if out is not None:
        lines.append(Text(f"picture: {out}", style="dim"))
    total = int(found.transitions[0])
    return _titled(f"{name}: {total:,} transition{'' if total == 1 else 's'}", table, *lines)


def _listed(title: str, rows: Mapping[str, str], *lines: RenderableType) -> RenderableType:
    return Group(Text(title, style="bold"), *(Text(f"{key:<12}{value}") for key, value in rows.items()), *lines)


def _defined(found: RegionCount) -> str:
    return f"{found.definition.value}: {kinds.MEANINGS[found.definition]}"


def _number(found: RegionCount) -> str:
    if found.exact:
        return _large(found.count)
    if found.method in (Counting.PROBE, Counting.XOR):
        return f"about {_large(found.count)}"
    if found.method is Counting.ONE_TREE or not found.complete:
        return f"at least {_large(found.lower)}"
    return f"{_large(found.lower)} to {_large(found.upper)}"


def _known(found: RegionCount) -> str:
    """Between what the number lies, and on whose word."""
    low, high = _large(found.lower), _large(found.upper)
    if found.confidence is not None:
        return f"at least {low} with confidence {found.confidence:.6g}; at most {high}, proved"
    if found.method is Counting.ONE_TREE and found.complete and not found.exact:
        return f"between {low} and {high}, proved; {_large(found.count)} by the word of the solver"
    return f"exactly {low}, proved" if found.exact else f"between {low} and {high}, proved"


def _large(value: int) -> str:
    """With commas up to 30 digits, beyond that the first ones and a power of ten.

    >>> _large(2449868), _large(2**200)
    ('2,449,868', '1.61 x 10^60')
    """
    power = value.bit_length() * 30103 // 100000 - 1
    if power < 30:
        return f"{value:,}"
    head = value // 10 ** (power - 3)
    while head >= 10000:
        head, power = head // 10, power + 1
    return f"{head / 1000:.2f} x 10^{power}"


def _versions(rows: Sequence[Row]) -> Text:
    """Who was asked, once each."""
    versions = dict.fromkeys(f"{row.backend} {row.version or '(not installed)'}" for row in rows)
    return Text("solvers: " + ", ".join(versions), style="dim")


def _numbers(row: Row) -> tuple[str, str, str]:
    bound, value = ("" if number is None else f"{number:.6g}" for number in (row.bound, row.value))
    return bound, value, row.stage


def _verdict(verdict: Verdict) -> Text:
    styles = {Verdict.PROVED: "bold green", Verdict.REFUTED: "bold red", Verdict.UNKNOWN: "yellow"}
    return Text(verdict.value, style=styles[verdict])


def _agreement(row: Row) -> Text:
    return Text("") if row.agrees else Text("CONTRADICTED", style="bold red")


def _reasons(rows: Sequence[Row]) -> list[RenderableType]:
    """Why those rows that say nothing do so."""
    return [
        Text(f"{row.who}: {row.reason}", style="dim") for row in rows if row.verdict is Verdict.UNKNOWN and row.reason
    ]
