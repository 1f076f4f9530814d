"""`reludsl verify` and `reludsl compare`: result form, JSON keys, exit statuses, files, refusals."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, answer, refused
from crooked import Broken, Lying, network
from solvers import solver

from reludsl import plugins
from reludsl.answer import Answer, Statistics, Verdict
from reludsl.backend import Limits, Sense, Status
from reludsl.cli import properties
from reludsl.errors import SolverFailed
from reludsl.export import program_of
from reludsl.io import write
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network
from reludsl.passes import Formulation
from reludsl.testing import EnumerationBackend

DECLARED = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0"))
BOXED = DECLARED + "(assert (<= 0 X_0 1))\n(assert (<= 0 X_1 1))\n"
SAT, UNSAT = BOXED + "(assert (>= Y_0 0.25))\n", BOXED + "(assert (>= Y_0 0.75))\n"
TRIANGLE = SAT + "(assert (<= (+ X_0 X_1) 1.5))\n"
TWO = """(vnnlib-version <2.0>)
(declare-network f (declare-input A Real [2]) (declare-output B Real [1]))
(declare-network g (declare-input C Real [2]) (declare-output D Real [1]))
(assert (and (<= 0 A[0] 1) (<= 0 A[1] 1) (== A[0] C[0]) (== A[1] C[1])))
(assert (>= B[0] (+ D[0] 0.25)))
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    place = tmp_path / "net.npz"
    write(network(), place)
    return place


def prop(folder: Path, text: str, name: str = "prop.vnnlib") -> Path:
    place = folder / name
    place.write_text(text)
    return place


def test_sat_prints_the_word_and_a_witness_that_holds(run: Run, net: Path, tmp_path: Path) -> None:
    status, out, err = run("verify", net, prop(tmp_path, SAT))
    assert (status, err) == (0, "")
    first, *rest = out.splitlines()
    assert first == "sat"
    assert out.count("(") == out.count(")")
    found = {name: float(value) for name, value in re.findall(r"\((\w+) ([^() ]+)\)", "".join(rest))}
    assert list(found) == ["X_0", "X_1", "Y_0"]
    x = np.array([[found["X_0"], found["X_1"]]])
    assert ((x >= 0) & (x <= 1)).all()
    assert network()(x)[0, 0] == found["Y_0"] >= 0.25


def test_unsat_prints_the_word_alone(run: Run, net: Path, tmp_path: Path) -> None:
    assert run("verify", net, prop(tmp_path, UNSAT)) == (0, "unsat\n", "")


def test_json_has_the_keys_of_the_contract(run: Run, net: Path, tmp_path: Path) -> None:
    found = answer(run("verify", net, prop(tmp_path, SAT), "--json"))
    assert {"verdict", "witness", "engine", "seconds"} <= set(found)
    assert found["verdict"] == "sat"
    assert set(found["witness"]) == {"input", "output"}
    value = network()(np.array([found["witness"]["input"]]))
    assert value[0].tolist() == found["witness"]["output"]
    assert found["engine"] == "search"
    found = answer(run("verify", net, prop(tmp_path, UNSAT), "--json"))
    assert (found["verdict"], found["witness"]) == ("unsat", None)
    assert found["seconds"] > 0


def test_engine_is_the_solver_with_its_version_where_it_decided(run: Run, net: Path, tmp_path: Path) -> None:
    version = solver("highs").version()
    text = TRIANGLE.replace("(<= (+ X_0 X_1) 1.5)", "(or (<= (+ X_0 X_1) 1.5) (<= Y_0 (- 3)))")
    found = answer(run("verify", net, prop(tmp_path, text), "--no-search", "--backend", "highs", "--json"))
    assert found["verdict"] == "sat"
    assert found["engine"] in (f"highs {version}", "splitting")
    assert (found["engine"] == found["stage"]) == (found["stage"] == "splitting")


def statistics(stage: str, status: Status, seconds: float) -> Statistics:
    return Statistics("highs", "1", status, 0, 0, 0.0, 0.0, "", stage=stage, seconds=seconds)


@pytest.mark.parametrize(
    ("status", "reason", "seconds", "limit", "word"),
    [
        (Status.OPTIMAL, "zero within the tolerance", 1.0, None, "unknown"),
        (Status.OPTIMAL, "zero within the tolerance", 1.0, 5.0, "unknown"),
        (Status.LIMIT, "it stays open", 1.0, 5.0, "timeout"),
        (Status.OPTIMAL, f"it stays open: {Status.LIMIT.value}", 1.0, 5.0, "timeout"),
        (Status.OPTIMAL, "it stays open", 5.0, 5.0, "timeout"),
    ],
)
def test_open_question_is_a_timeout_only_where_the_limit_ended_it(
    status: Status, reason: str, seconds: float, limit: float | None, word: str
) -> None:
    found = Answer(Verdict.UNKNOWN, math.inf, None, None, reason, statistics("solver", status, seconds))
    assert properties._word(found, limit) == word


def test_timeout_is_printed_and_its_reason_goes_to_stderr(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = (40, 40, 40, 1)
    layers: list[Layer] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [Affine(rng.normal(0, 1, (n_out, n_in)), rng.normal(0, 0.1, n_out)), relu]
    write(Network.chain(layers[:-1], (40,)), tmp_path / "net.npz")
    text = "".join(f"(declare-const X_{k} Real)(assert (<= -1 X_{k} 1))\n" for k in range(40))
    text += "(declare-const Y_0 Real)(assert (>= Y_0 150))"
    words = ("verify", tmp_path / "net.npz", prop(tmp_path, text), "--time-limit", 0)
    status, out, err = run(*words)
    assert (status, out) == (0, "timeout\n")
    assert err.count("\n") == 1
    assert answer(run(*words, "--json"))["verdict"] == "timeout"


def test_boundary_is_unknown_and_says_so(run: Run, net: Path, tmp_path: Path) -> None:
    text = BOXED + "(assert (>= Y_0 0.5000001))\n"
    status, out, err = run("verify", net, prop(tmp_path, text), "--no-search")
    assert status == 0
    assert out in ("unknown\n", "unsat\n")
    assert (out == "unknown\n") == bool(err)


def test_margin_asks_for_more(run: Run, net: Path, tmp_path: Path) -> None:
    assert run("verify", net, prop(tmp_path, SAT), "--margin", 0.5)[1] == "unsat\n"


def test_result_file_holds_what_was_printed(run: Run, net: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.txt"
    _, text, _ = run("verify", net, prop(tmp_path, SAT), "--out", out)
    assert out.read_text() == text
    answer(run("verify", net, prop(tmp_path, UNSAT), "--out", out, "--json"))
    assert out.read_text() == "unsat\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOXED + "(assert (>= Y_0 0.25)", ("line 6",)),
        (BOXED + "(assert (>= Z_0 0.25))", ("line 6", "Z_0")),
        (BOXED + "(assert (>= (* Y_0 Y_0) 0.25))", ("line 6", "column 20")),
        (DECLARED + "(assert (<= X_0 1))", ("finite",)),
        ("", ("empty",)),
    ],
)
def test_malformed_property_is_refused_with_line_and_column(
    text: str, words: tuple[str, ...], run: Run, net: Path, tmp_path: Path
) -> None:
    out = tmp_path / "result.txt"
    refused(run("verify", net, prop(tmp_path, text), "--out", out), "prop.vnnlib", *words)
    refused(run("compare", net, prop(tmp_path, text)), "prop.vnnlib", *words)
    assert not out.exists()


def test_counts_that_do_not_fit_are_refused_with_both(run: Run, net: Path, tmp_path: Path) -> None:
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)(assert (<= 0 X_0 1))"
    refused(run("verify", net, prop(tmp_path, text)), "1 inputs", "2 outputs", "2 and 1")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--backend", "nosuch"), "nosuch"),
        (("--formulation", "big"), "big-m"),
        (("--margin", "-1"), "--margin"),
        (("--time-limit", "-1"), "--time-limit"),
        (("--out", "none/result.txt"), "none"),
        (("--export", "program.txt"), ".mps"),
        (("--export", "none/program.mps"), "none"),
        (("--network", "f=net.npz"), "--network"),
        (("--export", "p.lp", "--formulation", "cuts"), "cuts"),
    ],
)
def test_bad_options_get_one_line(
    words: tuple[str, ...], expected: str, run: Run, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = prop(tmp_path, SAT)
    before = sorted(tmp_path.iterdir())
    refused(run("verify", net, file, *words), expected)
    assert sorted(tmp_path.iterdir()) == before


def test_missing_files_and_arguments_get_one_line(run: Run, net: Path, tmp_path: Path) -> None:
    refused(run("verify", net, tmp_path / "none.vnnlib"), "none.vnnlib")
    refused(run("verify", tmp_path / "none.onnx", prop(tmp_path, SAT)), "none.onnx")
    refused(run("verify", net), "NET PROP.vnnlib")
    refused(run("compare", net), "NET PROP.vnnlib")


def test_failed_solver_has_exit_status_3_and_leaves_no_result(
    run: Run, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SolverFailed("the solver broke down")

    monkeypatch.setattr(properties, "find", fail)
    out = tmp_path / "result.txt"
    assert run("verify", net, prop(tmp_path, SAT), "--out", out) == (3, "", "reludsl: the solver broke down\n")
    assert not out.exists()


def test_several_networks_are_given_by_name(run: Run, net: Path, tmp_path: Path) -> None:
    other = Network.chain([Affine(np.array([[0.5, -0.5]]), np.zeros(1)), relu], (2,))
    write(other, tmp_path / "other.npz")
    named = ("--network", f"f={net}", "--network", f"g={tmp_path / 'other.npz'}")
    file = prop(tmp_path, TWO)
    found = answer(run("verify", file, *named, "--json"))
    assert found["verdict"] == "sat"
    x = np.array([found["witness"]["input"]["A"]])
    assert found["witness"]["output"] == {"B": network()(x)[0].tolist(), "D": other(x)[0].tolist()}
    assert network()(x)[0, 0] >= other(x)[0, 0] + 0.25
    status, out, _ = run("verify", file, *named)
    assert (status, out.splitlines()[:2]) == (0, ["sat", "A Real [2]"])
    refused(run("verify", net, file), "mapping")
    refused(run("verify", net, file, *named), "--network")
    refused(run("verify", file, *named[:2]), "g")
    refused(run("verify", file, *named, *named), "--network")
    refused(run("verify", file, "--network", str(net)), "NAME=FILE")


@pytest.mark.parametrize("suffix", ["mps", "lp", "mps.gz"])
@pytest.mark.parametrize(("text", "sat"), [(SAT, True), (UNSAT, False)])
def test_exported_program_is_negative_exactly_where_unsat(
    suffix: str, text: str, sat: bool, run: Run, net: Path, tmp_path: Path
) -> None:
    highspy = pytest.importorskip("highspy")
    place, file = tmp_path / f"program.{suffix}", prop(tmp_path, text)
    status, out, _ = run("verify", net, file, "--export", place)
    assert (status, out.splitlines()[0]) == (0, "sat" if sat else "unsat")
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(place)) == highspy.HighsStatus.kOk
    highs.run()
    # Y_0 is at most 0.5
    assert highs.getInfo().objective_function_value == pytest.approx(0.25 if sat else -0.25, abs=1e-5)


def test_exported_program_solved_by_enumeration_gives_the_largest_slack(net: Path, tmp_path: Path) -> None:
    program = program_of(properties.read_property(net, prop(tmp_path, TRIANGLE)).question, Formulation.BIG_M)
    goal = program.objective
    assert goal is not None
    assert goal.sense is Sense.MAXIMIZE
    session = EnumerationBackend().open(program.matrix(), Limits())
    session.set_cost(goal.index, goal.value, goal.sense, goal.offset)
    assert session.solve().objective == pytest.approx(0.25, abs=1e-5)


# --- compare -----------------------------------------------------------------------------------------------


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Backends by name, in place of the installed ones."""
    there: dict[str, Any] = {"enumeration": EnumerationBackend(), "lying": Lying(), "broken": Broken()}
    monkeypatch.setattr(plugins, "load", lambda name: there[name] if isinstance(name, str) else name)
    monkeypatch.setattr(plugins, "names", lambda: tuple(there))
    return there


def relation(text: str) -> str:
    """A property that needs a solver: no box, and bounds leave it open."""
    return text.replace("(assert (>= Y_0 0.25))", "(assert (>= Y_0 0.4))") + "(assert (<= (+ X_0 X_1) 1.5))\n"


def test_compare_json_has_the_keys_of_the_contract(run: Run, net: Path, tmp_path: Path) -> None:
    solver("highs")
    solver("cbc")
    first, second = prop(tmp_path, SAT, "a.vnnlib"), prop(tmp_path, UNSAT, "b.vnnlib")
    words = ("compare", net, first, second, "--backends", "highs,cbc", "--formulations", "big-m,hull")
    rows = answer(run(*words, "--json"))["rows"]
    keys = {"backend", "version", "verdict", "bound", "value", "build_seconds", "seconds", "nodes", "agrees"}
    assert all(keys <= set(row) for row in rows)
    assert [(r["property"], r["backend"], r["formulation"]) for r in rows] == [
        (str(p), b, f) for p in (first, second) for b in ("highs", "cbc") for f in ("big-m", "hull")
    ]
    assert [r["verdict"] for r in rows] == ["proved"] * 4 + ["refuted"] * 4
    assert all(r["agrees"] for r in rows)
    assert json.loads(json.dumps(rows)) == rows
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    for word in ("a.vnnlib", "b.vnnlib", "highs", "cbc", "hull", "proved", "refuted"):
        assert word in out


@pytest.mark.usefixtures("planted")
def test_compare_planted_liar_has_exit_status_3_and_its_rows_are_shown(run: Run, net: Path, tmp_path: Path) -> None:
    file = prop(tmp_path, relation(SAT))
    words = ("compare", net, file, "--backends", "enumeration,lying,broken")
    status, out, err = run(*words, "--json")
    assert status == 3
    assert err.count("\n") == 1
    assert "lying exact" in err
    assert "enumeration exact" in err
    rows = json.loads(out)["rows"]
    assert [(r["verdict"], r["agrees"]) for r in rows] == [("proved", False), ("refuted", False), ("unknown", True)]
    assert "broke down" in rows[2]["reason"]
    status, out, _ = run(*words)
    assert status == 3
    assert out.count("CONTRADICTED") == 2
    assert "broke down" in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--backends", "nosuch"), "nosuch"),
        (("--backends", "highs", "--backend", "highs"), "--backend"),
        (("--backends", ""), "0 backends"),
        (("--formulations", "big"), "big-m"),
        (("--formulations", ""), "0 formulations"),
    ],
)
def test_compare_bad_options_get_one_line(
    words: tuple[str, ...], expected: str, run: Run, net: Path, tmp_path: Path
) -> None:
    refused(run("compare", net, prop(tmp_path, SAT), *words), expected)
