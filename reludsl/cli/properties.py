"""Commands about a property: verify, compare."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from reludsl import plugins
from reludsl.answer import Answer, Verdict
from reludsl.backend import Backend, FloatArray, Status
from reludsl.cli.app import app
from reludsl.cli.inputs import check_writable, chosen_backend, read_source, separate
from reludsl.cli.options import (
    BackendOption,
    BackendsOption,
    FormulationOption,
    FormulationsOption,
    JsonOption,
    MarginOption,
    SearchOption,
    SeedOption,
    ThreadsOption,
    TimeOption,
)
from reludsl.cli.progress import progress
from reludsl.compare import Comparison, finite
from reludsl.compare import compare as compare_solvers
from reludsl.errors import Disagreement, InvalidInput
from reludsl.export import SUFFIXES
from reludsl.export import export as write_program
from reludsl.expr import Expr, InputVariable
from reludsl.io import Property, read_vnnlib, result_text
from reludsl.io.files import write_atomically
from reludsl.io.vnnlib import assignment_text
from reludsl.network import Network
from reludsl.query import find
from reludsl.report import compare_table, say, show
from reludsl.session import as_formulation

BY_SOLVER = ("relaxation", "solver")
"""Stages whose word is a solver's."""


@app.command()
def verify(
    files: Annotated[
        list[Path], typer.Argument(metavar="NET PROP", help="Network, and property as VNN-LIB 1.0 or 2.0")
    ],
    network: Annotated[
        list[str] | None,
        typer.Option(
            "--network", metavar="NAME=FILE", help="Network that a 2.0 property declares by name; then without NET"
        ),
    ] = None,
    formulation: FormulationOption = "big-m",
    margin: MarginOption = 0.0,
    no_search: Annotated[
        bool, typer.Option("--no-search", help="Leave out the search before bounds and solver")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the result in the form of VNN-COMP")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write the program first: its maximum is below 0 only if unsat")
    ] = None,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """Whether any input satisfies a property: sat with a witness, unsat, unknown or timeout."""
    start = time.perf_counter()
    check_writable(out)
    check_writable(export, *SUFFIXES)
    solver, form = chosen_backend(backend), as_formulation(formulation)
    found = _property(files, network or [])
    if export is not None:
        write_program(found.question, export, form)
    with progress() as report:
        answer = find(
            found.question.condition,
            margin=margin,
            backend=solver,
            time_limit=time_limit,
            threads=threads,
            seed=seed,
            formulation=form,
            search=not no_search,
            progress=report,
        )
    word = _word(answer, time_limit)
    text = _result(word, found, answer)
    if out is not None:
        write_atomically(out, text.encode("ascii"))
    if json_:
        seconds = time.perf_counter() - start
        known = {"verdict": word, "witness": _witness(found, answer), "engine": _engine(answer), "seconds": seconds}
        show({**known, "stage": answer.stats.stage, "bound": finite(answer.bound), "reason": answer.reason}, True, "")
        return
    say(text, answer.reason if answer.verdict is Verdict.UNKNOWN else "")


def _word(answer: Answer, time_limit: float | None) -> str:
    """The first line of a result. An open question is a timeout where the time limit ended it, or one of its cases."""
    if answer.verdict is not Verdict.UNKNOWN:
        return "sat" if answer.verdict is Verdict.PROVED else "unsat"
    stats = answer.stats
    late = stats.status is Status.LIMIT or Status.LIMIT.value in answer.reason
    over = time_limit is not None and (late or stats.seconds >= time_limit)
    return "timeout" if over else "unknown"


def _engine(answer: Answer) -> str:
    """What decided: the solver with its version, or the stage that needed none."""
    stats = answer.stats
    return f"{stats.backend} {stats.version}" if stats.stage in BY_SOLVER else stats.stage


def _point(answer: Answer) -> Mapping[InputVariable, FloatArray] | None:
    return None if answer.verdict is not Verdict.PROVED or answer.witness is None else answer.witness.inputs


def _result(word: str, found: Property, answer: Answer) -> str:
    """The form of VNN-COMP; with several inputs or outputs, which it has no names for, that of VNN-LIB 2.0."""
    point = _point(answer)
    if point is None:
        return result_text(word)
    inputs, outputs = list(found.inputs.values()), list(found.outputs.values())
    if len(inputs) == len(outputs) == 1:
        return result_text(word, inputs[0].value(point), outputs[0].value(point))
    return assignment_text(word, found, point)


def _witness(found: Property, answer: Answer) -> dict[str, Any] | None:
    """{input, output} as lists, by name where there are several."""
    point = _point(answer)
    if point is None:
        return None

    def values(named: Mapping[str, Expr]) -> Any:
        lists = {name: expr.value(point).tolist() for name, expr in named.items()}
        return next(iter(lists.values())) if len(lists) == 1 else lists

    return {"input": values(found.inputs), "output": values(found.outputs)}


def _property(files: list[Path], named: list[str]) -> Property:
    """The property of the last file, about the network of the first or the networks given by name."""
    if len(files) != (1 if named else 2):
        wanted = "PROP alone beside --network NAME=FILE" if named else "NET PROP.vnnlib"
        raise InvalidInput(
            f"{len(files)} files are given ({', '.join(map(str, files))}), which leaves open what is asked about which "
            f"network; give {wanted}"
        )
    if not named:
        return read_property(files[0], files[1])
    networks: dict[str, Network] = {}
    names = {}
    for text in named:
        name, mark, path = text.partition("=")
        if not (name and mark and path) or name in networks:
            raise InvalidInput(
                f"--network {text} names no network, or one that has a file already; write --network NAME=FILE once "
                "for each network that the property declares"
            )
        source = read_source(Path(path))
        networks[name] = source.network
        if source.tensors is not None:
            names[source.network] = source.tensors
    return read_vnnlib(files[0], networks, names)


def read_property(net: Path, file: Path) -> Property:
    """The property of a file about the network of another; hidden tensors go by the names in the network's file."""
    source = read_source(net)
    return read_vnnlib(file, source.network, None if source.tensors is None else {source.network: source.tensors})


@app.command()
def compare(
    files: Annotated[list[Path], typer.Argument(metavar="NET PROP..", help="Network, and one property or more")],
    backends: BackendsOption = None,
    formulations: FormulationsOption = "big-m",
    margin: MarginOption = 0.0,
    search: SearchOption = False,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """The same property on several solvers and formulations."""
    if len(files) < 2:
        raise InvalidInput(f"{files[0]} alone is given, and nothing is asked about it; give NET PROP.vnnlib ..")
    solvers = solvers_of(backends, backend)
    forms = [as_formulation(text) for text in separate(formulations)]
    properties = {str(file): read_property(files[0], file) for file in files[1:]}
    found: dict[str, Comparison] = {}
    clash: Disagreement | None = None
    with progress() as report:
        for name, asked in properties.items():
            try:
                found[name] = compare_solvers(
                    asked,
                    solvers,
                    margin=margin,
                    time_limit=time_limit,
                    threads=threads,
                    seed=seed,
                    formulations=forms,
                    search=search,
                    progress=report,
                )
            except Disagreement as error:
                found[name], clash = error.comparison, clash or error
    show({"rows": _rows(found)}, json_, compare_table(found))
    if clash is not None:
        raise clash


def solvers_of(several: str | None, one: str | None) -> list[str | Backend] | None:
    """The solvers that --backends or --backend name, None where neither is given; a name that is none is refused."""
    if several is not None and one is not None:
        raise InvalidInput("both --backends and --backend are given, which say who is asked; drop one")
    names = separate(several) if several is not None else [one] if one is not None else None
    for name in names or []:
        if name.partition(":")[0] not in plugins.names():
            plugins.load(name)
    return None if names is None else list(names)


def _rows(found: Mapping[str, Comparison]) -> list[dict[str, Any]]:
    return [
        {"property": name, **row.record(), "agrees": row.agrees}
        for name, comparison in found.items()
        for row in comparison.rows
    ]
