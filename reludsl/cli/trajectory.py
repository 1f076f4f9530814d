"""The command trajectory: what a network does to the way from one input to another."""

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
from reludsl.cli.inputs import check_writable, chosen_backend, load_array, read_source
from reludsl.cli.options import BackendOption, JsonOption, NetFile, SeedOption, ThreadsOption, TimeOption
from reludsl.cli.progress import progress
from reludsl.errors import InvalidInput
from reludsl.expressivity import Trajectory
from reludsl.expressivity import trajectory as measure
from reludsl.io.files import write_atomically
from reludsl.network import Network
from reludsl.plot import new_axes, plot_images
from reludsl.report import show, trajectory_table

PICTURES = (".png", ".svg", ".pdf")


@app.command()
def trajectory(
    net: NetFile,
    start: Annotated[Path, typer.Option("--from", metavar="A.npy", help="The input at which it starts")],
    end: Annotated[Path, typer.Option("--to", metavar="B.npy", help="The input at which it ends")],
    arc: Annotated[
        bool, typer.Option("--arc", help="cos(pi t / 2) A + sin(pi t / 2) B instead of (1 - t) A + t B")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Draw its image behind every layer: .png, .svg or .pdf")
    ] = None,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """How often the pattern changes between two inputs, where, and how long the way is behind every layer."""
    check_writable(out, *PICTURES)
    source, _ = read_source(net), chosen_backend(backend)
    network = source.network
    first, last = (_point(network, option, path) for option, path in (("--from", start), ("--to", end)))
    figure = None if out is None else _figure()
    begin = time.perf_counter()
    with progress() as report:
        found = measure(network, first, last, arc=arc, time_limit=time_limit, progress=report)
    if out is not None:
        held = io.BytesIO()
        plot_images(found, figure=figure).savefig(held, format=out.suffix[1:].lower(), dpi=150)
        write_atomically(out, held.getvalue())
    seconds = time.perf_counter() - begin
    show(_answer(found, seconds), json_, trajectory_table(net.name, found, seconds, out), source.note)


def _point(network: Network, option: str, path: Path) -> FloatArray:
    values = load_array(path)
    if not np.isfinite(values).all():
        raise InvalidInput(f"{option} {path} holds NaN or infinity, to which there is no way; give finite numbers")
    try:
        points = network.batch(values)
    except InvalidInput as error:
        raise InvalidInput(f"{option} {path}: {error}") from None
    if len(points) != 1:
        raise InvalidInput(f"{option} {path} holds {len(points)} inputs, and a trajectory has one end there; give one")
    return points


def _figure() -> Any:
    """Before the work, so that a missing package is told at once."""
    figure = new_axes().figure
    figure.clear()
    return figure


def _answer(found: Trajectory, seconds: float) -> dict[str, Any]:
    lengths = found.lengths[0].tolist()
    errors = None if found.length_errors is None else found.length_errors[0]
    return {
        "transitions": int(found.transitions[0]),
        "length_in": lengths[0],
        "lengths": lengths[1:],
        "breakpoints": found.breakpoints().tolist(),
        "layers": list(found.stops[1:]),
        "transitions_by_layer": dict(zip(found.layers, found.by_layer[0].tolist())),
        "growth": [None if math.isnan(ratio) else ratio for ratio in found.growth[0].tolist()],
        "length_error": None if errors is None else float(errors.max()),
        "seconds": seconds,
    }
