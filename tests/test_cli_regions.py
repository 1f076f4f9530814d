"""The commands count and plane: their keys, values of known networks, tables, interrupts, pictures, one-line errors."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, answer, refused
from solvers import solver

from reludsl.cli import regions
from reludsl.cli.inputs import chosen_region
from reludsl.cli.progress import progress
from reludsl.data import path as packaged
from reludsl.errors import MissingBackend
from reludsl.io import write
from reludsl.layers import Affine
from reludsl.network import Network
from reludsl.networks import general_position, random_network, sawtooth, six_definitions
from reludsl.plot import plot_plane
from reludsl.progress import Progress
from reludsl.regions import Label, Slice, count, count_by_label, plane

DIGITS = packaged("digits.onnx")
KEYS = {"count", "lower", "upper", "ambiguous", "definition", "units", "method", "confidence", "seconds"}
FURTHER = {"standard_error", "complete", "margin", "work", "note"}


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """A folder of networks whose regions are known, and three points."""
    write(six_definitions(), tmp_path / "six.npz")
    write(general_position(4, 2), tmp_path / "lines.onnx")
    write(sawtooth(4), tmp_path / "saw.npz")
    write(random_network((3, 6, 5), 0, outputs=3), tmp_path / "net.npz")
    write(Network.chain([Affine(np.eye(3), np.zeros(3))], (3,)), tmp_path / "affine.npz")
    np.save(tmp_path / "points.npy", [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.5]])
    return tmp_path


# --- count ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "box", "definition", "expected"),
    [
        ("six.npz", (-1, 1), "activation", 5),
        ("six.npz", ("-inf", "inf"), "activation", 5),
        ("six.npz", (-1, 1), "patterns", 7),
        ("six.npz", ("-inf", "inf"), "affine", 3),
        ("six.npz", (-1, 1), "connected", 3),
        ("lines.onnx", (0, 1), "activation", 11),
        ("lines.onnx", ("-inf", "inf"), "activation", 11),
        ("saw.npz", (0, 1), "activation", 16),
        ("saw.npz", ("-inf", "inf"), "connected", 18),
        ("affine.npz", ("-inf", "inf"), "activation", 1),
    ],
)
def test_count_of_known_networks_is_exact(
    name: str, box: tuple[object, object], definition: str, expected: int, run: Run, nets: Path
) -> None:
    found = answer(run("count", nets / name, "--box", *box, "--definition", definition, "--json"))
    assert set(found) == KEYS | FURTHER
    assert (found["count"], found["lower"], found["upper"], found["ambiguous"]) == (expected,) * 3 + (0,)
    assert (found["definition"], found["confidence"], found["complete"]) == (definition, None, True)


@pytest.mark.parametrize("method", ["auto", "cells", "one-tree", "plane", "probe", "xor"])
def test_every_method_names_itself_and_holds_the_number(method: str, run: Run, nets: Path) -> None:
    solver("highs")
    found = answer(run("count", nets / "lines.onnx", "--box", 0, 1, "--method", method, "--seed", 1, "--json"))
    assert found["method"] == ("plane" if method == "auto" else method)
    assert found["lower"] <= 11 <= found["upper"]
    assert found["units"] == 4
    assert method == "xor" or found["count"] == 11


def test_line_counts_networks_of_one_input(run: Run, nets: Path) -> None:
    found = answer(run("count", nets / "saw.npz", "--box", 0, 1, "--method", "line", "--json"))
    assert (found["count"], found["method"]) == (16, "line")


def test_outputs_label_and_pattern_are_those_of_the_library(run: Run, nets: Path) -> None:
    net, box = random_network((3, 6, 5), 0, outputs=3), ("--box", -2, 2)
    domain = chosen_region(net, ("-2", "2"), None, None)
    for words, options in (
        (("--outputs-as-units",), {"outputs_as_units": True}),
        (("--label", 1), {"label": 1}),
        (("--pattern", "-1,0,1"), {"pattern": [-1, 0, 1]}),
    ):
        found = answer(run("count", nets / "net.npz", *box, *words, "--json"))
        expected = count(net, domain, **options)
        assert (found["count"], found["units"]) == (expected.count, expected.units)
        assert found["count"] > 0


@pytest.mark.parametrize("rule", list(Label))
def test_labels_are_counted_beside_the_whole(rule: Label, run: Run, nets: Path) -> None:
    more = ("--outputs-as-units",) if rule is Label.ALONE else ()
    words = ("count", nets / "net.npz", "--box", -2, 2, "--by-label", *more)
    found = answer(run(*words, "--json"))
    net = random_network((3, 6, 5), 0, outputs=3)
    domain = chosen_region(net, ("-2", "2"), None, None)
    expected = count_by_label(net, domain, rule)
    assert {k: one["count"] for k, one in found["labels"].items()} == {str(k): v.count for k, v in expected.items()}
    assert found["count"] == count(net, domain, outputs_as_units=rule is Label.ALONE).count
    status, out, _ = run(*words)
    assert status == 0
    assert re.search(r"^label +regions", out, flags=re.MULTILINE)
    assert re.search(rf"^2 +{expected[2].count:,}", out, flags=re.MULTILINE)


def test_ball_is_a_domain_too(run: Run, nets: Path) -> None:
    np.save(nets / "centre.npy", [0.5, 0.5])
    ball = ("--ball", nets / "centre.npy", 0.5)
    assert answer(run("count", nets / "lines.onnx", *ball, "--json"))["count"] == 11
    assert answer(run("plane", nets / "lines.onnx", *ball, "--json"))["regions"] == 11


@pytest.mark.slow
def test_processes_change_no_count_and_end_with_the_run(nets: Path) -> None:
    write(random_network((4, 16, 16), 0), nets / "large.npz")
    words = ("count", nets / "large.npz", "--box", -1, 1, "--processes", 2, "--time-limit", 2, "--json")
    ended = subprocess.run(_command(*words), capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(ended.stdout)
    assert found["lower"] <= found["count"] <= found["upper"]
    again = ("count", nets / "net.npz", "--box", -2, 2, "--json")
    one, two = (
        json.loads(subprocess.run(_command(*again, *more), capture_output=True, check=True, timeout=60).stdout)
        for more in ((), ("--processes", 2))
    )
    assert (one["count"], one["complete"]) == (two["count"], two["complete"])


def test_number_of_a_search_that_was_cut_short_is_a_lower_bound(run: Run, nets: Path) -> None:
    write(random_network((6, 12, 12), 0), nets / "large.npz")
    words = ("count", nets / "large.npz", "--box", -1, 1, "--time-limit", 0.1)
    found = answer(run(*words, "--json"))
    assert not found["complete"]
    assert found["lower"] == found["count"] < found["upper"]
    assert "time" in found["note"]
    status, out, _ = run(*words)
    assert status == 0
    assert "at least" in out
    assert "between" in out


def test_interrupt_prints_what_is_counted_by_then(nets: Path) -> None:
    write(random_network((6, 20, 20), 0), nets / "large.npz")
    words = ("count", nets / "large.npz", "--box", -1, 1, "--json")
    process = subprocess.Popen(_command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    # until it is at work, which it says after a second
    line = process.stderr.readline()
    assert re.match(r"regions: [\d,]+ (so far|of about [\d,]+), [\d,]+ a second", line)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found = json.loads(out)
    assert not found["complete"]
    assert "interrupt" in found["note"]
    assert found["lower"] < found["upper"]


def test_progress_of_what_is_not_known_beforehand_is_rate_and_estimate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 2.0, 9.0, 15.0])
    monkeypatch.setattr("reludsl.cli.progress.time.perf_counter", lambda: next(clock))
    with progress() as report:
        for done, total, left in ((800, 0, None), (1000, 11000, None), (1200, 1100, 45.0)):
            report(Progress("regions", done, total, left, rate=400.0))
    assert capsys.readouterr().err.splitlines() == [
        "regions: 800 so far, 400 a second, 2 s",
        "regions: 1,000 of about 11,000, 400 a second, 25 s to go, 9 s",
        "regions: 1,200 so far, 400 a second, 15 s, 45 s left",
    ]


def test_table_says_what_was_counted_and_on_whose_word(run: Run, nets: Path) -> None:
    solver("highs")
    box = ("--box", -1, 1)
    _, out, _ = run("count", nets / "six.npz", *box, "--definition", "affine")
    assert out.startswith("six.npz: 3 regions\n")
    assert "affine: affine maps" in out
    assert "exactly 3, proved" in out
    _, out, _ = run("count", nets / "six.npz", *box, "--method", "one-tree")
    assert re.search(r"between 5 and \d+, proved; 5 by the word of the solver", out)
    write(random_network((6, 14, 14), 0), nets / "large.npz")
    _, out, _ = run("count", nets / "large.npz", *box, "--method", "probe", "--confidence", 0.9, "--time-limit", 0)
    assert re.search(r"^large.npz: about [\d,]+ regions", out)
    assert "with confidence 0.9;" in out
    assert "standard error" in out


# --- plane ------------------------------------------------------------------------------------------------------------

OF_PLANE = {"regions", "edges", "vertices", "seconds", "area"}
PROVED = {"count", "lower", "upper", "ambiguous", "definition", "complete"}


def test_plane_through_three_points_is_their_slice(run: Run, nets: Path) -> None:
    found = answer(run("plane", nets / "net.npz", "--points", nets / "points.npy", "--json"))
    assert set(found) == OF_PLANE | PROVED
    where = Slice.through(np.load(nets / "points.npy"))
    expected = plane(random_network((3, 6, 5), 0, outputs=3), where)
    assert (found["regions"], found["edges"]) == (expected.faces, expected.edges)
    assert found["vertices"] - found["edges"] + found["regions"] == 1
    assert found["lower"] == found["count"] == found["upper"] == found["regions"]
    assert found["area"] == pytest.approx(float(np.ptp(where.corners, axis=0).prod()))


@pytest.mark.parametrize(("definition", "expected"), [("activation", 5), ("affine", 3), ("connected", 3)])
def test_plane_of_two_inputs_counts_by_definition(definition: str, expected: int, run: Run, nets: Path) -> None:
    found = answer(run("plane", nets / "six.npz", "--box", -1, 1, "--definition", definition, "--json"))
    assert (found["regions"], found["count"], found["definition"]) == (5, expected, definition)
    assert found["area"] == pytest.approx(4.0)


def test_whole_plane_has_no_area_and_proofs_can_be_left_out(run: Run, nets: Path) -> None:
    words = ("plane", nets / "lines.onnx", "--box", "-inf", "inf", "--no-proof")
    found = answer(run(*words, "--json"))
    assert set(found) == OF_PLANE
    assert (found["regions"], found["area"]) == (11, None)
    status, out, _ = run(*words)
    assert status == 0
    assert "11 activation regions" in out
    assert "proved" not in out


def test_plane_when_the_time_is_over_is_one_line_and_no_picture(run: Run, nets: Path) -> None:
    out = nets / "late.png"
    refused(run("plane", nets / "six.npz", "--box", -1, 1, "--time-limit", 0, "--out", out), "allow more time")
    assert not out.exists()


def test_count_of_two_inputs_when_the_time_is_over_is_a_lower_bound(run: Run, nets: Path) -> None:
    words = ("count", nets / "six.npz", "--box", -1, 1, "--time-limit", 0)
    found = answer(run(*words, "--json"))
    assert (found["method"], found["complete"]) == ("plane", False)
    assert found["lower"] == 1 <= 5 <= found["upper"]
    status, out, _ = run(*words)
    assert status == 0
    assert "the time limit was reached when 0 of" in out


@pytest.mark.parametrize("suffix", regions.PICTURES)
@pytest.mark.parametrize("color", regions.COLOURS)
def test_picture_has_regions_boundaries_and_points(
    color: str, suffix: str, run: Run, nets: Path, need: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("matplotlib")
    drawn: list[Any] = []

    def drawing(*arrays: Any, **options: Any) -> Any:
        drawn.append(plot_plane(*arrays, **options))
        return drawn[-1]

    monkeypatch.setattr(regions, "plot_plane", drawing)
    out = nets / f"picture{suffix}"
    words = ("--points", nets / "points.npy", "--color", color, "--out", out)
    status, said, _ = run("plane", nets / "net.npz", *words)
    assert status == 0
    assert str(out) in said
    assert out.read_bytes().startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    (axes,) = drawn
    labels = [held.get_label() for held in axes.collections]
    assert {"_regions", "layer 1", "decision boundary", "_points"} <= set(labels)
    # the first two of the points lie 2 apart, in the plane as in the space
    at = axes.collections[labels.index("_points")].get_offsets()
    assert np.linalg.norm(at[0] - at[1]) == pytest.approx(2.0)


def test_missing_matplotlib_is_said_before_the_work(run: Run, nets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingBackend("matplotlib is not installed")

    monkeypatch.setattr(regions, "new_axes", missing)
    monkeypatch.setattr(regions, "cut_plane", lambda *_: pytest.fail("worked first"))
    refused(run("plane", nets / "six.npz", "--box", 0, 1, "--out", nets / "p.png"), "matplotlib")
    assert not (nets / "p.png").exists()


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--box"),
        (("--box", 0, "inf"), "finite"),
        (("--box", 1, 0), "swap"),
        (("--box", 0, 1, "--method", "guess"), "one-tree"),
        (("--box", 0, 1, "--definition", "linear"), "connected"),
        (("--box", 0, 1, "--definition", "connected"), "plane"),
        (("--box", 0, 1, "--method", "plane"), "two inputs"),
        (("--box", 0, 1, "--method", "line"), "inputs"),
        (("--box", "-inf", "inf", "--method", "one-tree"), "cells"),
        (("--box", 0, 1, "--method", "probe", "--definition", "patterns"), "cells"),
        (("--box", 0, 1, "--method", "probe", "--confidence", 1), "between 0 and 1"),
        (("--box", 0, 1, "--method", "xor", "--confidence", 0), "between 0 and 1"),
        (("--box", 0, 1, "--label", 3), "0 to 2"),
        (("--box", 0, 1, "--label", 0, "--method", "one-tree"), "cells"),
        (("--box", 0, 1, "--pattern", "1,x"), "whole number"),
        (("--box", 0, 1, "--pattern", "2"), "piece 2"),
        (("--box", 0, 1, "--pattern", ",".join("1" * 12)), "12 pieces"),
        (("--box", 0, 1, "--by-label", "--label", 0), "--by-label"),
        (("--box", 0, 1, "--by-label", "--method", "probe"), "--by-label"),
        (("--box", 0, 1, "--processes", 0), "--processes"),
        (("--box", 0, 1, "--method", "probe", "--seed", -1), "--seed"),
        (("--box", 0, 1, "--checkpoint", "run.npz"), "--checkpoint"),
        (("--box", 0, 1, "--backend", "nobody"), "nobody"),
        (("--clip", 0, 1), "--ball"),
    ],
)
def test_bad_input_of_count_is_one_line(words: tuple[object, ...], said: str, run: Run, nets: Path) -> None:
    before = sorted(nets.iterdir())
    refused(run("count", nets / "net.npz", *words), said)
    assert sorted(nets.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("net.npz", (), "three of them"),
        ("net.npz", ("--box", 0, 1), "three of them"),
        ("net.npz", ("--points", "POINTS", "--box", 0, 1), "leave out --box"),
        ("net.npz", ("--points", "nowhere.npy"), "nowhere.npy"),
        ("six.npz", (), "--box"),
        ("six.npz", ("--box", -1e308, 1e308), "overflow"),
        ("six.npz", ("--points", "POINTS"), "shape"),
        ("six.npz", ("--box", 0, 1, "--definition", "patterns"), "connected"),
        ("six.npz", ("--box", 0, 1, "--color", "red"), "gradient"),
        ("six.npz", ("--box", "-inf", "inf", "--out", "OUT.png"), "infinity"),
        ("six.npz", ("--box", 0, 1, "--out", "OUT.gif"), ".svg"),
        ("six.npz", ("--box", 0, 1, "--out", "nofolder/p.png"), "nofolder"),
        ("affine.npz", ("--points", "LINE"), "line"),
        ("affine.npz", ("--points", "TWO"), "three points"),
    ],
)
def test_bad_input_of_plane_is_one_line(name: str, words: tuple[object, ...], said: str, run: Run, nets: Path) -> None:
    np.save(nets / "line.npy", np.outer([0.0, 1.0, 2.0], np.ones(3)))
    np.save(nets / "two.npy", np.eye(3)[:2])
    places = {"POINTS": nets / "points.npy", "LINE": nets / "line.npy", "TWO": nets / "two.npy"}
    places |= {f"OUT.{suffix}": nets / f"out.{suffix}" for suffix in ("png", "gif")}
    before = sorted(nets.iterdir())
    refused(run("plane", nets / name, *(places.get(str(word), word) for word in words)), said)
    assert sorted(nets.iterdir()) == before


def _command(*words: object) -> list[str]:
    return [sys.executable, "-m", "reludsl", *map(str, words)]
