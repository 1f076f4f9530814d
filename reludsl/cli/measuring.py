"""Commands about solvers: bench, backends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from reludsl import plugins
from reludsl.bench import Plan, Query, Run, folder_of_data, folder_of_queries, measure, queries_of, summaries
from reludsl.cli.app import app
from reludsl.cli.inputs import check_writable, chosen_backend, separate, whole_numbers
from reludsl.cli.options import (
    BackendOption,
    BackendsOption,
    FormulationsOption,
    JsonOption,
    SearchOption,
    SeedOption,
    ThreadsOption,
    TimeOption,
)
from reludsl.cli.progress import progress
from reludsl.cli.properties import solvers_of
from reludsl.errors import Disagreement, InvalidInput
from reludsl.io.files import write_atomically
from reludsl.report import backends_table, bench_table, queries_table, show
from reludsl.session import as_formulation


@app.command()
def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAMES..", help="Queries; default: all")] = None,
    backends: BackendsOption = None,
    formulations: FormulationsOption = "big-m",
    seeds: Annotated[str | None, typer.Option("--seeds", metavar="0,1,..", help="Default: that of --seed")] = None,
    repeats: Annotated[int, typer.Option("--repeats", help="Runs of everything", min=1)] = 1,
    out: Annotated[Path | None, typer.Option("--out", help="Write one line of JSON per run, .jsonl")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Say which queries there are, and stop")] = False,
    queries: Annotated[Path | None, typer.Option("--queries", help="Folder of query files, which are run")] = None,
    search: SearchOption = False,
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """The registered queries on several solvers, formulations and seeds."""
    check_writable(out)
    folder = folder_of_queries(queries)
    wanted = queries_of(folder, names or [])
    data = folder_of_data(folder)
    missing = {name: query.missing(data) for name, query in wanted.items() if query.missing(data)}
    if list_:
        known = [
            {"query": q.name, "about": q.about, "data": q.data, "missing": missing.get(q.name, [])}
            for q in wanted.values()
        ]
        show({"queries": known}, json_, queries_table(wanted, missing))
        return
    plan = Plan(
        [plugins.load(name) for name in solvers_of(backends, backend) or _every()],
        [as_formulation(text) for text in separate(formulations)],
        whole_numbers("--seeds", seeds) if seeds is not None else [seed],
        repeats,
        time_limit,
        threads,
        search,
    )
    _refuse_nothing(plan, wanted, missing, data)
    runs, clash = _measured({n: q for n, q in wanted.items() if n not in missing}, plan, data, out)
    found = {"runs": [run.record() for run in runs], "skipped": missing}
    show(found, json_, bench_table(summaries(runs), missing))
    if clash is not None:
        raise clash


def _every() -> list[str]:
    return [info.name for info in plugins.installed() if info.installed]


def _refuse_nothing(plan: Plan, wanted: dict[str, Query], missing: dict[str, list[str]], data: Path) -> None:
    if not plan.size:
        raise InvalidInput("no solver, formulation or seed is named, so that nothing would run; name one of each")
    if len(missing) == len(wanted):
        absent = ", ".join(sorted({file for files in missing.values() for file in files}))
        raise InvalidInput(
            f"every query needs data that {data} does not hold ({absent or 'there are no queries'}), so that nothing "
            "would run; set RELUDSL_DATA to the folder of data"
        )


def _measured(
    queries: dict[str, Query], plan: Plan, data: Path, out: Path | None
) -> tuple[list[Run], Disagreement | None]:
    """The runs, and a contradiction that ended them. The file holds every run that is there, at any time."""
    runs: list[Run] = []

    def keep(run: Run) -> None:
        runs.append(run)
        if out is not None:
            lines = [json.dumps(r.record(), allow_nan=False) + "\n" for r in runs]
            write_atomically(out, "".join(lines).encode("utf-8"))

    with progress() as report:
        try:
            measure(queries, plan, data, on_run=keep, progress=report)
        except Disagreement as error:
            return runs, error
    return runs, None


@app.command()
def backends(
    json_: JsonOption = False,
    backend: BackendOption = None,
    time_limit: TimeOption = None,
    threads: ThreadsOption = 1,
    seed: SeedOption = 0,
) -> None:
    """The solvers that reludsl knows of, and what they can do; with --backend that one alone."""
    chosen = chosen_backend(backend)
    found = [info for info in plugins.installed() if chosen is None or info.name == chosen.name]
    rows = [
        {
            "name": b.name,
            "version": b.version,
            "capabilities": [str(c.name).lower() for c in b.capabilities],
            "installed": b.installed,
        }
        for b in found
    ]
    show({"backends": rows}, json_, backends_table(found))
