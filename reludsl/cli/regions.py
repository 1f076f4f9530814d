"""Commands about linear regions: count, plane."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from reludsl.backend import FloatArray
from reludsl.cli.app import app
from reludsl.cli.inputs import (
    check_writable,
    choice,
    chosen_backend,
    chosen_region,
    load_array,
    read_source,
    whole_numbers,
)
from reludsl.cli.options import (
    BackendOption,
    BallOption,
    CheckpointOption,
    ClipOption,
    JsonOption,
    NetFile,
    SeedOption,
    ThreadsOption,
    TimeOption,
)
from reludsl.cli.progress import progress
from reludsl.domain import Space
from reludsl.errors import InvalidInput
from reludsl.io.files import write_atomically
from reludsl.network import Network
from reludsl.plot import Colouring, new_axes, plot_plane
from reludsl.regions import Label, Slice, count_by_label, decision_plane
from reludsl.regions import count as count_regions
from reludsl.regions import plane as cut_plane
from reludsl.regions.counted import counted_plane
from reludsl.regions.counting import CONFIDENCE
from reludsl.regions.definition import Definition
from reludsl.regions.planar import Plane
from reludsl.regions.planar.build import Where
from reludsl.regions.result import Counting, RegionCount
from reludsl.regions.watch import Watch
from reludsl.report import count_table, plane_table, show

COUNTINGS = tuple(m.value for m in Counting)
DEFINITIONS = tuple(d.value for d in Definition)
FLAT = tuple(d.value for d in Definition if d is not Definition.PATTERNS)
COLOURS = tuple(c.value for c in Colouring)
PICTURES = (".png", ".svg", ".pdf")

RegionBoxOption = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--box",
        metavar="LO HI",
        help="Domain LO <= x <= HI, numbers or .npy files; -inf inf: the whole space; default: what the file states",
    ),
]
DefinitionOption = Annotated[
    str, typer.Option("--definition", help=f"What a region is: {', '.join(DEFINITIONS)}; see docs/explanation/regions")
]


@app.command()
def count(
    net: NetFile,
    box: RegionBoxOption = None,
    ball: BallOption = None,
    clip: ClipOption = None,
    method: Annotated[str, typer.Option("--method", help=f"One of {', '.join(COUNTINGS)}")] = "auto",
    definition: DefinitionOption = "activation",
    outputs_as_units: Annotated[
        bool, typer.Option("--outputs-as-units", help="The outputs count as ReLU units")
    ] = False,
    label: Annotated[
        int | None, typer.Option("--label", metavar="K", help="Only regions where output K is the largest somewhere")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            "--pattern", metavar="1,0,-1,..", help="Only regions with these pieces of the first units; -1 any"
        ),
    ] = None,
    by_label: Annotated[
        bool,
        typer.Option(
            "--by-label",
            help="Also for every output those where it is the largest; with --outputs-as-units, the only one above 0",
        ),
    ] = False,
    processes: Annotated[int, typer.Option("--processes", help="That search cells side by side", min=1)] = 1,
    confidence: Annotated[
        float, typer.Option("--confidence", metavar="P", help="Of the lower bounds of probe and xor")
    ] = CONFIDENCE,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    checkpoint: CheckpointOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """How many linear regions there are. Ctrl-C ends it with what is counted by then, a lower bound."""
    start = time.perf_counter()
    choice("--method", method, COUNTINGS)
    choice("--definition", definition, DEFINITIONS)
    if checkpoint is not None:
        raise InvalidInput(
            f"--checkpoint {checkpoint} is not built for count, which starts anew each time; there are certify and "
            "compress: leave it out, and give --time-limit to end with a lower bound"
        )
    if by_label and (label is not None or pattern is not None or method not in ("auto", "cells")):
        raise InvalidInput(
            "--by-label counts all regions and those of every label by cells; leave out --label and --pattern, and "
            "--method unless it is cells"
        )
    wanted = None if pattern is None else whole_numbers("--pattern", pattern)
    source, solver = read_source(net), chosen_backend(backend)
    network = source.network
    domain = chosen_region(network, box, ball, clip)
    labels: dict[int, RegionCount] = {}
    share = time_limit
    if by_label and time_limit is not None:
        share = time_limit / (1 + network.output_size)
    with progress() as report:
        found = count_regions(
            network,
            domain,
            definition=definition,
            method=method,
            outputs_as_units=outputs_as_units,
            label=label,
            pattern=wanted,
            backend=solver,
            time_limit=share,
            processes=processes,
            confidence=confidence,
            threads=threads,
            seed=seed,
            progress=report,
        )
        if by_label:
            labels = count_by_label(
                network,
                domain,
                Label.ALONE if outputs_as_units else Label.LARGEST,
                definition=definition,
                backend=solver,
                time_limit=None if time_limit is None else max(0.0, time_limit - (time.perf_counter() - start)),
                processes=processes,
                seed=seed,
                progress=report,
            )
    answer = {**_counted(found), "seconds": time.perf_counter() - start}
    if by_label:
        keys = ("count", "lower", "upper", "ambiguous", "complete")
        answer["labels"] = {str(k): {key: getattr(one, key) for key in keys} for k, one in labels.items()}
    show(answer, json_, count_table(net.name, found, labels), source.note)


def _counted(found: RegionCount) -> dict[str, Any]:
    return {
        "count": found.count,
        "lower": found.lower,
        "upper": found.upper,
        "ambiguous": found.ambiguous,
        "definition": found.definition.value,
        "units": found.units,
        "method": found.method.value,
        "confidence": found.confidence,
        "seconds": found.seconds,
        "standard_error": found.standard_error,
        "complete": found.complete,
        "margin": found.margin,
        "work": found.work,
        "note": found.note,
    }


@app.command()
def plane(
    net: NetFile,
    points: Annotated[
        Path | None,
        typer.Option("--points", metavar="P.npy", help="Three points: the plane through them, a square around them"),
    ] = None,
    box: RegionBoxOption = None,
    ball: BallOption = None,
    clip: ClipOption = None,
    definition: DefinitionOption = "activation",
    no_proof: Annotated[
        bool,
        typer.Option("--no-proof", help="Leave out the proof that no region is missing, which takes most of the time"),
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Draw the regions: .png, .svg or .pdf")] = None,
    color: Annotated[str, typer.Option("--color", help=f"Of the picture, by {', '.join(COLOURS)}")] = "pattern",
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """The linear regions of a plane through three inputs, or of a network of two: exactly, and as a picture."""
    choice("--color", color, COLOURS)
    choice("--definition", definition, FLAT)
    check_writable(out, *PICTURES)
    source, _ = read_source(net), chosen_backend(backend)
    network = source.network
    given = None if points is None else network.batch(load_array(points))
    where = _where(network, given, box, ball, clip)
    if out is not None and isinstance(where, Space):
        raise InvalidInput(
            "the whole plane has regions that reach infinity, which cannot be drawn; give --box LO HI with --out"
        )
    axes = None if out is None else new_axes()
    with progress() as report:
        watch = Watch.over(time_limit, report)
        found = cut_plane(network, where, time_limit=time_limit, progress=report)
        if out is not None:
            _draw(found, where, Colouring(color), given, axes, out, watch)
        known = None if no_proof else counted_plane(found, where, Definition(definition), watch)
    seconds = watch.seconds
    area = float(found.areas.sum())
    answer: dict[str, Any] = {
        "regions": found.faces,
        "edges": found.edges,
        "vertices": found.vertices,
        "seconds": seconds,
    }
    if known is not None:
        answer |= {
            k: v
            for k, v in _counted(known).items()
            if k in ("count", "lower", "upper", "ambiguous", "definition", "complete")
        }
    answer["area"] = area if math.isfinite(area) else None
    show(answer, json_, plane_table(net.name, found, known, seconds, out), source.note)


def _where(
    network: Network,
    points: FloatArray | None,
    box: tuple[str, str] | None,
    ball: tuple[str, float] | None,
    clip: tuple[str, str] | None,
) -> Where:
    if points is not None:
        if box is not None or ball is not None or clip is not None:
            raise InvalidInput(
                "--points is given, and a square around them is the domain; leave out --box, --ball and --clip"
            )
        return Slice.through(points)
    if network.input_size != 2:
        raise InvalidInput(
            f"the network has {network.input_size} inputs, which are no plane; give three of them, --points P.npy"
        )
    domain = chosen_region(network, box, ball, clip)
    # of a network of two inputs an L-infinity ball is a box, up to the rounding of its sides
    return domain if isinstance(domain, Space) else domain.enclosure


def _draw(
    found: Plane, where: Where, colouring: Colouring, points: FloatArray | None, axes: Any, out: Path, watch: Watch
) -> None:
    at = labels = None
    if points is not None and isinstance(where, Slice):
        at = (points - where.origin) @ where.axes.T
        outputs = found.network(points)
        if colouring is Colouring.CLASS:
            labels = (outputs[:, 0] > 0).astype(np.int64) if outputs.shape[1] == 1 else outputs.argmax(axis=1)
    decision = decision_plane(found.network, where, time_limit=watch.left, progress=watch.progress)
    drawn = plot_plane(found, colouring, decision=decision, points=at, labels=labels, axes=axes)
    held = io.BytesIO()
    drawn.figure.savefig(held, format=out.suffix[1:].lower(), dpi=200)
    write_atomically(out, held.getvalue())
