"""A registered set of questions, put to every solver, formulation and seed, and measured.

A folder holds one file per query, `<name>.py`, with

    BENCH = Query("digits-margin", "largest margin of another class over the label in a ball", build)

where `build(data)` gives the question; `data` is the folder of what is not part of the repository. Every file of the
folder is run as Python, so that the folder must be one that you trust.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from typing import Any

from reludsl.answer import Verdict
from reludsl.backend import Backend
from reludsl.compare import Comparison, Row, ask, checked
from reludsl.errors import FileProblem, InvalidInput, ReludslError
from reludsl.io.files import first_line
from reludsl.passes import Choice, Formulation
from reludsl.progress import OnProgress, Progress, silent
from reludsl.proof import Settings
from reludsl.question import Question

FOLDER = Path("benchmarks", "queries")
"""Where a checkout keeps its queries."""


@dataclass(frozen=True, slots=True)
class Query:
    """One registered question.

    Args:
        name: unique within its folder.
        about: one line for people.
        build: from the folder of data to the question; called once per run of the set, and not measured.
        data: files of that folder that it reads.
        margin: of `Prove` and `Find`.
        verdict: what is known to be right; None where nothing is.
    """

    name: str
    about: str
    build: Callable[[Path], Question]
    data: tuple[str, ...] = ()
    margin: float = 0.0
    verdict: Verdict | None = None

    def missing(self, data: Path) -> list[str]:
        """The files that it needs and the folder does not hold."""
        return [name for name in self.data if not (data / name).exists()]


@dataclass(frozen=True, slots=True)
class Run:
    """One measured answer."""

    query: str
    seed: int
    repeat: int
    row: Row

    def record(self) -> dict[str, Any]:
        """What is written to a line of JSON; numbers that are not finite are null."""
        return {"query": self.query, "seed": self.seed, "repeat": self.repeat, **self.row.record()}


@dataclass(frozen=True, slots=True)
class Summary:
    """All runs of one query, solver and formulation: medians over seeds and repeats, the first of the rest."""

    query: str
    row: Row
    runs: int
    verdicts: tuple[Verdict, ...]
    build_seconds: float
    solve_seconds: float
    seconds: float
    nodes: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured: every query with every solver, formulation, seed and repeat.

    Args:
        time_limit: seconds for each answer.
        search: as in `reludsl.compare`, off for the same reason.
    """

    backends: Sequence[Backend]
    formulations: Sequence[Formulation | Choice] = (Formulation.BIG_M,)
    seeds: Sequence[int] = (0,)
    repeats: int = 1
    time_limit: float | None = None
    threads: int = 1
    search: bool = False

    @property
    def size(self) -> int:
        """Answers per query."""
        return len(self.backends) * len(self.formulations) * len(self.seeds) * self.repeats

    def settings(self) -> Iterator[tuple[int, int, Settings]]:
        """(seed, repeat, settings), the repeats of one setting after each other."""
        for backend, form, seed, repeat in product(self.backends, self.formulations, self.seeds, range(self.repeats)):
            limits = (backend, self.time_limit, self.threads, seed, form)
            yield seed, repeat, Settings(*limits, search=self.search)


def folder_of_queries(named: Path | None = None) -> Path:
    """The folder given, or that of the checkout: around the package, or the current folder.

    Raises:
        FileProblem: there is none.
    """
    if named is not None:
        if not named.is_dir():
            raise FileProblem(f"{named} is no folder, so that it holds no queries; give a folder of query files")
        return named
    for root in (Path(__file__).resolve().parents[1], Path.cwd()):
        if (root / FOLDER).is_dir():
            return root / FOLDER
    raise FileProblem(
        f"there is no folder {FOLDER.as_posix()} here, and the queries are not part of an installed package; run it in "
        "a checkout of reludsl, or name a folder of query files: --queries DIR"
    )


def folder_of_data(queries: Path) -> Path:
    """The folder of data: `RELUDSL_DATA`, or shared/data beside the checkout of the queries."""
    named = os.environ.get("RELUDSL_DATA")
    # climbing beyond the root stays there
    return Path(named) if named else (queries / "../../../shared/data").resolve()


def queries_of(folder: Path, names: Iterable[str] = ()) -> dict[str, Query]:
    """The registered queries of a folder by name, in the order of their files.

    Args:
        names: only these; all by default.

    Raises:
        FileProblem: a file that does not run, or registers nothing.
        InvalidInput: two files with one name, a name that is not there.
    """
    found: dict[str, Query] = {}
    for place in sorted(folder.glob("*.py")):
        if place.name.startswith("_"):
            continue
        query = _registered(place)
        if query.name in found:
            raise InvalidInput(f"{place} registers {query.name!r}, which another file does too; give it another name")
        found[query.name] = query
    wanted = list(names) or list(found)
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise InvalidInput(
            f"no query is called {', '.join(unknown)}, so nothing can be measured; {folder} holds "
            f"{', '.join(found) or 'none'}"
        )
    return {name: found[name] for name in wanted}


def _registered(place: Path) -> Query:
    spec = importlib.util.spec_from_file_location(f"reludsl_query_{place.stem}", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise FileProblem(
            f"{place} does not run ({type(error).__name__}: {first_line(error)}), so that its query is unknown; "
            "mend it, or move it elsewhere"
        ) from error
    query = getattr(module, "BENCH", None)
    if not isinstance(query, Query):
        raise FileProblem(f"{place} registers no query; let it say BENCH = Query(name, about, build)")
    return query


def measure(
    queries: Mapping[str, Query],
    plan: Plan,
    data: Path,
    *,
    on_run: Callable[[Run], None] = lambda _: None,
    progress: OnProgress = silent,
) -> tuple[list[Run], list[Comparison]]:
    """Run everything; every run is handed out as it is there.

    Args:
        data: the folder of data; a query that misses something there must not be among `queries`.

    Returns:
        The runs in order, and per query all its rows compared.

    Raises:
        Disagreement: two runs of a query contradict each other; later queries are not run.
    """
    runs: list[Run] = []
    comparisons = []
    for query in queries.values():
        question = _built(query, data)
        rows = []
        for seed, repeat, settings in plan.settings():
            step = f"{query.name}, {settings.backend.name}, {settings.formulation}"
            progress(Progress(step, len(runs), plan.size * len(queries)))
            run = Run(query.name, seed, repeat, ask(question, settings, query.margin))
            runs.append(run)
            rows.append(run.row)
            on_run(run)
        comparisons.append(checked(question, rows))
    return runs, comparisons


def _built(query: Query, data: Path) -> Question:
    """The question of a query.

    Raises:
        InvalidInput: the query's own code failed.
    """
    try:
        return query.build(data)
    except ReludslError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"the query {query.name} could not be built ({type(error).__name__}: {first_line(error)}), so that it was "
            "not asked; mend its file, or leave it out"
        ) from error


def summaries(runs: Iterable[Run]) -> list[Summary]:
    """One line per query, solver and formulation."""

    def key(run: Run) -> tuple[str, str, str]:
        return run.query, run.row.backend, run.row.formulation

    found = []
    for (query, _, _), group in groupby(runs, key):
        rows = [run.row for run in group]
        median = [
            statistics.median(values)
            for values in (
                [row.build_seconds for row in rows],
                [row.solve_seconds for row in rows],
                [row.seconds for row in rows],
                [float(row.nodes) for row in rows],
            )
        ]
        verdicts = tuple(dict.fromkeys(row.verdict for row in rows))
        found.append(Summary(query, rows[0], len(rows), verdicts, *median))
    return found
