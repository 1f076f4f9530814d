"""One question on many solvers: honest ones agree, a liar is caught, a failure is a row with its reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, answer, refused
from crooked import Absent, Broken, Linear, Lying, network
from solvers import SOLVERS, solver

from reludsl import plugins
from reludsl.answer import Verdict
from reludsl.backend import Status
from reludsl.bench import Plan, Query, folder_of_data, folder_of_queries, measure, queries_of, summaries
from reludsl.compare import checked, compare
from reludsl.domain import Box
from reludsl.errors import Disagreement, FileProblem, InvalidInput, MissingBackend
from reludsl.expr import Expr, Input, box, polytope
from reludsl.io.vnnlib import parse_vnnlib
from reludsl.passes import Formulation
from reludsl.progress import Progress
from reludsl.question import Find, Maximize, Minimize, Prove
from reludsl.testing import EnumerationBackend

HONEST = EnumerationBackend()


def question_input() -> Input:
    """A triangle: no box, so that splitting leaves it to the solver."""
    return polytope([[1.0, 1.0]], [1.5], Box([0.0, 0.0], [1.0, 1.0]))


def refutable() -> tuple[Expr, Prove]:
    y = network()(question_input())[0]
    return y, Prove(y <= 0.4)


def test_every_installed_solver_agrees_on_every_kind_of_question() -> None:
    names = [info.name for info in plugins.installed() if info.installed]
    y, refuted = refutable()
    for question, verdict in (
        (refuted, Verdict.REFUTED),
        (Prove(y <= 0.75), Verdict.PROVED),
        (Find(y >= 0.25), Verdict.PROVED),
        (Find(y >= 0.75), Verdict.REFUTED),
        (Maximize(y), Verdict.PROVED),
        (Minimize(y), Verdict.PROVED),
    ):
        found = compare(question)
        assert [row.backend for row in found.rows] == names
        assert found.agrees
        assert {row.verdict for row in found.rows} == {verdict}


@pytest.mark.parametrize("name", [*SOLVERS, "enumeration"])
def test_optima_agree_with_the_oracle_in_every_formulation(name: str) -> None:
    backend = HONEST if name == "enumeration" else solver(name)
    found = compare(Maximize(refutable()[0]), [HONEST, backend], formulations=["big-m", "published", "hull"])
    assert len(found.rows) == 6
    for row in found.rows:
        assert row.value == pytest.approx(0.5, abs=1e-5)
        assert row.agrees
        assert row.stage == "solver"


def test_property_is_a_question() -> None:
    text = "".join(f"(declare-const {v} Real)" for v in ("X_0", "X_1", "Y_0"))
    text += "(assert (<= 0 X_0 1))(assert (<= 0 X_1 1))(assert (>= Y_0 0.75))"
    found = compare(parse_vnnlib(text, network()), [HONEST])
    assert [row.verdict for row in found.rows] == [Verdict.REFUTED]
    assert isinstance(found.question, Find)


def test_search_decides_before_any_solver_where_it_is_wanted() -> None:
    _, question = refutable()
    (searched,) = compare(question, [Broken()], search=True).rows
    assert (searched.verdict, searched.stage) == (Verdict.REFUTED, "search")
    (solved,) = compare(question, [Broken()]).rows
    assert (solved.verdict, solved.stage) == (Verdict.UNKNOWN, "failed")


def test_lying_proof_of_a_refuted_claim_is_a_disagreement_that_shows_both() -> None:
    _, question = refutable()
    (alone,) = compare(question, [Lying()]).rows
    assert alone.verdict is Verdict.PROVED
    with pytest.raises(Disagreement) as raised:
        compare(question, [Lying(), HONEST, Broken()])
    message = str(raised.value)
    assert "\n" not in message
    for part in ("lying exact", "PROVED", "enumeration exact", "REFUTED", f"{alone.bound:.9g}"):
        assert part in message
    assert [row.agrees for row in raised.value.comparison.rows] == [False, False, True]


@pytest.mark.parametrize("kind", [Maximize, Minimize])
def test_lying_bound_of_an_extreme_is_a_disagreement(kind: type[Maximize | Minimize]) -> None:
    question = kind(refutable()[0])
    with pytest.raises(Disagreement, match="lying exact"):
        compare(question, [HONEST, Lying()])


def test_bound_of_a_claim_under_a_condition_is_not_compared_with_values() -> None:
    # the bound is on claim and condition together: the claim may fail by more than the condition holds
    y = network()(question_input())[0]
    question = Prove(y <= 0.25, given=y >= 0.49)
    found = compare(question, [HONEST, EnumerationBackend("other")])
    assert found.agrees
    (row, _) = found.rows
    assert row.answer is not None
    unsure = dataclasses.replace(row.answer, verdict=Verdict.UNKNOWN, bound=-0.01, value=None, witness=None)
    assert checked(question, [row, dataclasses.replace(row, answer=unsure)]).agrees


def test_failure_and_missing_capability_are_rows_with_reasons() -> None:
    _, question = refutable()
    found = compare(question, [HONEST, Broken(), Linear(), Absent()])
    honest, broken, linear, absent = found.rows
    assert honest.verdict is Verdict.REFUTED
    assert found.agrees
    for row, word in ((broken, "broke down"), (linear, "integer"), (absent, "not installed")):
        assert (row.verdict, row.answer, row.bound, row.value) == (Verdict.UNKNOWN, None, None, None)
        assert word in row.reason
    assert absent.version is None


def test_known_backend_that_is_not_installed_is_a_row_and_an_unknown_one_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(name: object) -> object:
        if isinstance(name, str):
            raise MissingBackend(f"{name} is not installed; run: pip install it")
        return name

    monkeypatch.setattr(plugins, "load", load)
    _, question = refutable()
    found = compare(question, ["cbc", HONEST])
    assert [row.version for row in found.rows] == [None, "exact"]
    assert "pip install" in found.rows[0].reason
    with pytest.raises(MissingBackend, match="nosuch"):
        compare(question, ["nosuch"])


def test_nobody_to_ask_and_crooked_limits_are_refused() -> None:
    _, question = refutable()
    with pytest.raises(InvalidInput, match="0 backends"):
        compare(question, [])
    with pytest.raises(InvalidInput, match="0 formulations"):
        compare(question, [HONEST], formulations=[])
    with pytest.raises(InvalidInput, match="formulation"):
        compare(question, [HONEST], formulations=["big"])
    with pytest.raises(InvalidInput, match="time limit"):
        compare(question, [HONEST], time_limit=-1.0)


def test_no_time_is_unknown_with_a_reason_and_contradicts_nobody() -> None:
    found = compare(Maximize(refutable()[0]), [HONEST], time_limit=0.0)
    (row,) = found.rows
    assert row.verdict is Verdict.UNKNOWN
    assert row.reason
    assert found.agrees


def test_interrupted_solver_ends_the_comparison() -> None:
    asked = []

    def stop(at: Progress) -> None:
        asked.append(at.step)
        if ": " in at.step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(refutable()[1], [HONEST, HONEST], progress=stop)
    assert sum(": " not in step for step in asked) == 1


def test_progress_names_the_solver_at_work() -> None:
    said: list[Progress] = []
    compare(refutable()[1], [HONEST], formulations=["big-m", "hull"], progress=said.append)
    assert said[0] == Progress("enumeration, big-m", 0, 2)
    assert all(at.step.startswith("enumeration, ") for at in said)


# --- reludsl bench -----------------------------------------------------------------------------------------


QUERY = '''"""A query of the tests."""
import reludsl as rd
from reludsl.bench import Query
from reludsl.layers import Affine, relu
import numpy as np

def build(data):
    net = rd.Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu], (1,))
    return rd.Maximize(net(rd.box(-1, 2, (1,))).sum())

BENCH = Query({name!r}, "largest absolute value", build{more})
'''


def write_queries(folder: Any, **more: str) -> None:
    folder.mkdir()
    for name, text in more.items():
        (folder / f"{name}.py").write_text(QUERY.format(name=name, more=text))
    (folder / "_helper.py").write_text("raise RuntimeError('not a query')")


def test_registered_queries_build_and_need_what_they_say() -> None:
    from data import FOLDER

    found = queries_of(folder_of_queries())
    assert len(found) >= 8
    for name, query in found.items():
        assert (name, len(query.about.splitlines())) == (query.name, 1)
        if not query.missing(FOLDER):
            assert isinstance(query.build(FOLDER), Prove | Find | Maximize | Minimize)


def test_measure_runs_every_combination_and_summarises_medians() -> None:
    query = Query("abs", "largest", lambda _: Maximize(refutable()[0]))
    plan = Plan([HONEST], [Formulation.BIG_M, Formulation.HULL], seeds=(0, 1), repeats=3)
    seen: list[Any] = []
    runs, comparisons = measure({"abs": query}, plan, folder_of_queries(), on_run=seen.append)
    assert runs == seen
    assert len(runs) == plan.size == 12
    assert {(run.row.formulation, run.seed, run.repeat) for run in runs} == {
        (form, seed, repeat) for form in ("big-m", "hull") for seed in (0, 1) for repeat in range(3)
    }
    assert [c.agrees for c in comparisons] == [True]
    lines = summaries(runs)
    assert [(line.row.formulation, line.runs) for line in lines] == [("big-m", 6), ("hull", 6)]
    assert lines[0].seconds == np.median([run.row.seconds for run in runs[:6]])


def test_measure_reports_a_contradiction() -> None:
    query = Query("abs", "largest", lambda _: Maximize(refutable()[0]))
    with pytest.raises(Disagreement):
        measure({"abs": query}, Plan([HONEST, Lying()]), folder_of_queries())


@pytest.mark.parametrize(
    ("text", "word"), [("BENCH = 1", "registers no query"), ("1 / 0", "division"), ("def", "does not run")]
)
def test_crooked_query_file_is_named(text: str, word: str, tmp_path: Any) -> None:
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(FileProblem, match=word) as raised:
        queries_of(tmp_path)
    assert "bad.py" in str(raised.value)


def _fails(data: Path) -> Maximize:
    return Maximize(refutable()[0] * (1 / len(data.parts[:0])))


def test_query_whose_code_fails_is_named() -> None:
    query = Query("half", "fails", _fails)
    with pytest.raises(InvalidInput, match="half could not be built"):
        measure({"half": query}, Plan([HONEST]), folder_of_queries())


def test_data_lies_beside_the_checkout_or_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELUDSL_DATA", raising=False)
    assert folder_of_data(Path("/a/b/benchmarks/queries")) == Path("/a/shared/data")
    assert folder_of_data(Path("/queries")) == Path("/shared/data")
    monkeypatch.setenv("RELUDSL_DATA", "elsewhere")
    assert folder_of_data(Path("/queries")) == Path("elsewhere")


def test_bench_writes_one_line_of_json_per_run(run: Run, tmp_path: Any) -> None:
    import json

    solver("highs")
    write_queries(tmp_path / "queries", first="", second=", data=('none.npz',)")
    out = tmp_path / "runs.jsonl"
    words = ("--queries", tmp_path / "queries", "--backend", "highs", "--seeds", "0,1", "--repeats", 2, "--out", out)
    found = answer(run("bench", *words, "--json"))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines == found["runs"]
    assert len(lines) == 4
    assert found["skipped"] == {"second": ["none.npz"]}
    assert set(lines[0]) == {
        *("query", "backend", "version", "formulation", "seed", "repeat", "verdict", "bound", "value"),
        *("build_seconds", "solve_seconds", "seconds", "nodes", "binaries", "stage", "reason"),
    }
    status, text, _ = run("bench", *words)
    assert status == 0
    assert "first" in text
    assert "left out: second" in text


def test_bench_lists_queries_and_refuses_what_is_not_there(
    run: Run, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_queries(tmp_path / "queries", first="", second=", data=('none.npz',)")
    folder = ("--queries", tmp_path / "queries")
    listed = answer(run("bench", "--list", *folder, "--json"))["queries"]
    assert [(q["query"], q["missing"]) for q in listed] == [("first", []), ("second", ["none.npz"])]
    assert "largest absolute value" in run("bench", "--list", *folder)[1]
    refused(run("bench", "third", *folder), "third", "first, second")
    refused(run("bench", "second", *folder), "none.npz", "RELUDSL_DATA")
    refused(run("bench", "--seeds", "a", *folder), "--seeds a")
    refused(run("bench", "--backend", "nosuch", *folder), "nosuch")
    refused(run("bench", "--queries", tmp_path / "none"), "none")
    refused(run("bench", "--out", tmp_path / "none" / "x.jsonl", *folder), "none")
    monkeypatch.setattr("reludsl.bench.__file__", str(tmp_path / "site" / "reludsl" / "bench.py"))
    monkeypatch.chdir(tmp_path)
    refused(run("bench"), "checkout", "--queries DIR")


def test_status_of_a_lie_is_that_of_a_solved_program() -> None:
    # guards the liar above: it must look like a solver that ended well
    (row,) = compare(Maximize(network()(box(0, 1, (2,)))[0]), [Lying()]).rows
    assert row.answer is not None
    assert row.answer.stats.status is Status.OPTIMAL
