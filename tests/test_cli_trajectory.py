"""The command trajectory: its keys, values of known networks, its table and picture, one-line errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, answer, refused

from reludsl.cli import trajectory as command
from reludsl.errors import MissingBackend
from reludsl.expressivity import trajectory
from reludsl.io import write
from reludsl.layers import Affine
from reludsl.network import Network
from reludsl.networks import random_network, sawtooth

CONTRACT = {"transitions", "length_in", "lengths", "breakpoints"}
FURTHER = {"layers", "transitions_by_layer", "growth", "length_error", "seconds"}


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    """A folder of networks, and inputs for each."""
    write(sawtooth(3), tmp_path / "saw.npz")
    write(random_network((3, 12, 12), 0, outputs=2), tmp_path / "net.npz")
    write(Network.chain([Affine(np.zeros((2, 3)), np.ones(2))], (3,)), tmp_path / "constant.onnx")
    values: dict[str, Any] = {
        "zero": [0.0],
        "one": [1.0],
        "a": [1.0, 0.0, -2.0],
        "b": [-2.0, 1.0, 3.0],
        "two": np.eye(3)[:2],
        "nan": [np.nan, 0.0, 0.0],
    }
    for name, value in values.items():
        np.save(tmp_path / f"{name}.npy", value)
    (tmp_path / "nothing.npy").touch()
    (tmp_path / "torn.npy").write_bytes(b"PK\x03\x04 the beginning of an archive")
    return tmp_path


def ends(nets: Path, a: str = "a", b: str = "b") -> tuple[object, ...]:
    return ("--from", nets / f"{a}.npy", "--to", nets / f"{b}.npy")


def test_trajectory_of_a_sawtooth_has_the_known_numbers(run: Run, nets: Path) -> None:
    found = answer(run("trajectory", nets / "saw.npz", *ends(nets, "zero", "one"), "--json"))
    assert set(found) == CONTRACT | FURTHER
    assert (found["transitions"], found["length_in"]) == (7, 1.0)
    assert found["breakpoints"] == [k / 8 for k in range(1, 8)]
    assert found["lengths"][1::2] == [2.0, 4.0, 8.0]
    assert list(found["transitions_by_layer"].values()) == [1, 0, 2, 0, 4, 0]
    assert found["length_error"] is None


@pytest.mark.parametrize("arc", [False, True])
def test_trajectory_is_that_of_the_library(arc: bool, run: Run, nets: Path) -> None:
    found = answer(run("trajectory", nets / "net.npz", *ends(nets), *(["--arc"] if arc else []), "--json"))
    a, b = np.load(nets / "a.npy"), np.load(nets / "b.npy")
    known = trajectory(random_network((3, 12, 12), 0, outputs=2), a, b, arc=arc)
    assert found["transitions"] == len(found["breakpoints"]) == known.transitions[0] > 5
    assert [found["length_in"], *found["lengths"]] == known.lengths[0].tolist()
    assert found["layers"] == list(known.stops[1:])
    assert found["growth"] == known.growth[0].tolist()
    assert (found["length_error"] is None) == (not arc)


def test_constant_network_has_no_transitions_and_no_growth_beyond_it(run: Run, nets: Path) -> None:
    found = answer(run("trajectory", nets / "constant.onnx", *ends(nets), "--json"))
    assert (found["transitions"], found["breakpoints"], found["lengths"], found["growth"]) == (0, [], [0.0], [0.0])


def test_table_has_a_line_for_every_stop(run: Run, nets: Path) -> None:
    status, out, _ = run("trajectory", nets / "saw.npz", *ends(nets, "zero", "one"))
    assert status == 0
    assert out.startswith("saw.npz: 7 transitions\n")
    assert re.search(r"^input +1 *$", out, flags=re.MULTILINE)
    assert re.search(r"^11_relu +8 +1.657 +0 *$", out, flags=re.MULTILINE)
    _, out, _ = run("trajectory", nets / "net.npz", *ends(nets), "--arc")
    assert "off by at most" in out


@pytest.mark.parametrize(("suffix", "begins"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_picture_is_written(suffix: str, begins: bytes, run: Run, nets: Path, need: Any) -> None:
    need("matplotlib")
    out = nets / f"picture{suffix}"
    status, said, _ = run("trajectory", nets / "net.npz", *ends(nets), "--arc", "--out", out)
    assert status == 0
    assert str(out) in said
    assert out.read_bytes().startswith(begins)


def test_missing_matplotlib_is_said_before_the_work(run: Run, nets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingBackend("matplotlib is not installed")

    monkeypatch.setattr(command, "new_axes", missing)
    monkeypatch.setattr(command, "measure", lambda *_, **__: pytest.fail("worked first"))
    refused(run("trajectory", nets / "net.npz", *ends(nets), "--out", nets / "p.png"), "matplotlib")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--from"),
        (("--from", "a.npy"), "--to"),
        (("--from", "a.npy", "--to", "nowhere.npy"), "nowhere.npy"),
        (("--from", "a.npy", "--to", "nothing.npy"), "nothing.npy is no numpy array"),
        (("--from", "a.npy", "--to", "torn.npy"), "torn.npy is no numpy array"),
        (("--from", "a.npy", "--to", "one.npy"), "one.npy: an input of shape"),
        (("--from", "a.npy", "--to", "two.npy"), "2 inputs"),
        (("--from", "nan.npy", "--to", "b.npy"), "nan.npy holds NaN"),
        (("--from", "a.npy", "--to", "nan.npy", "--arc"), "nan.npy holds NaN"),
        (("--from", "a.npy", "--to", "b.npy", "--out", "p.gif"), ".svg"),
        (("--from", "a.npy", "--to", "b.npy", "--backend", "nobody"), "nobody"),
        (("--from", "a.npy", "--to", "b.npy", "--seed", "-1"), "--seed"),
        (("--from", "a.npy", "--to", "b.npy", "--time-limit", "0", "--out", "p.png"), "allow more time"),
    ],
)
def test_bad_input_is_one_line(words: tuple[str, ...], said: str, run: Run, nets: Path) -> None:
    before = sorted(nets.iterdir())
    places = [nets / word if word.endswith((".npy", ".gif")) else word for word in words]
    refused(run("trajectory", nets / "net.npz", *places), said)
    assert sorted(nets.iterdir()) == before
