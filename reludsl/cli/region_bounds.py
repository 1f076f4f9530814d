"""The command region-bounds: how many linear regions there can be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reludsl.cli.app import app
from reludsl.cli.inputs import chosen_backend, chosen_region, read_source, whole_numbers
from reludsl.cli.options import (
    BackendOption,
    BallOption,
    ClipOption,
    JsonOption,
    SeedOption,
    ThreadsOption,
    TimeOption,
)
from reludsl.domain import Domain, Space
from reludsl.errors import InvalidInput
from reludsl.network import Network
from reludsl.regions.bounds import bounds as region_bounds_of
from reludsl.report import region_bounds_table, show


@app.command("region-bounds")
def region_bounds(
    net: Annotated[Path | None, typer.Argument(help="Network file, or --input and --widths", metavar="[NET]")] = None,
    input_: Annotated[
        int | None, typer.Option("--input", metavar="N", help="Number of inputs, beside --widths")
    ] = None,
    widths: Annotated[
        str | None, typer.Option("--widths", metavar="A,B,..", help="Units of each hidden layer, beside --input")
    ] = None,
    box: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--box", metavar="LO HI", help="Domain LO <= x <= HI; default, and with -inf inf: the whole space"
        ),
    ] = None,
    ball: BallOption = None,
    clip: ClipOption = None,
    outputs_as_units: Annotated[
        bool, typer.Option("--outputs-as-units", help="The outputs count as ReLU units")
    ] = False,
    transitions: Annotated[
        float | None,
        typer.Option("--transitions", metavar="T", help="T of the expected number of a random network, (T N)^n / n!"),
    ] = None,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """How many linear regions there can be: bounds by widths, and of a network also by its weights."""
    chosen_backend(backend)
    if (net is None) == (input_ is None and widths is None):
        raise InvalidInput(
            "the bounds are about one network or about all of some widths; give either NET or --input N --widths A,B,.."
        )
    note = ""
    if net is None:
        if input_ is None or widths is None:
            given, other = ("--widths", "--input N") if input_ is None else ("--input", "--widths A,B,..")
            raise InvalidInput(f"{given} is given alone, and a bound needs the inputs and the widths; give {other} too")
        if outputs_as_units or box is not None or ball is not None or clip is not None:
            raise InvalidInput(
                "--outputs-as-units, --box, --ball and --clip are about a network; beside --widths leave them out, "
                "and give the number of outputs as the last width if they are to count"
            )
        name = f"{input_} inputs, widths {widths}"
        found = region_bounds_of(input_, whole_numbers("--widths", widths), transitions=transitions)
    else:
        source = read_source(net)
        name, note = net.name, source.note
        found = region_bounds_of(
            source.network,
            domain=_domain(source.network, box, ball, clip),
            outputs_as_units=outputs_as_units,
            transitions=transitions,
        )
    shown = found.shown(of_network=net is not None)
    notes = {key: why for key, why in found.notes.items() if key in shown}
    answer = {**shown, "input": found.inputs, "widths": list(found.widths), "notes": notes}
    show(answer, json_, region_bounds_table(name, found, shown), note)


def _domain(
    network: Network, box: tuple[str, str] | None, ball: tuple[str, float] | None, clip: tuple[str, str] | None
) -> Domain | Space | None:
    """None for the whole space, which is what a bound is about unless something else is asked for."""
    if ball is None and clip is None and box is None:
        return None
    return chosen_region(network, box, ball, clip)
