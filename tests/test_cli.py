"""The command line: its JSON keys, its tables, its one-line errors, and files that are whole or not there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import Run, answer, refused
from ladder import hard_network
from solvers import solver

from reludsl.cli import networks
from reludsl.cli.progress import progress
from reludsl.data import path as packaged
from reludsl.io import read, write
from reludsl.layers import Affine, Sum, relu
from reludsl.network import INPUT, Network, Node

DIGITS = packaged("digits.onnx")


def test_inspect_lists_layers_neurons_and_parameters(run: Run) -> None:
    found = answer(run("inspect", DIGITS, "--json"))
    assert set(found) == {"layers", "neurons", "parameters"}
    assert set(found["layers"][0]) == {"name", "kind", "shape"}
    net = read(DIGITS)
    assert (found["neurons"], found["parameters"]) == (net.neurons, net.parameters)


def test_inspect_says_what_each_layer_takes_where_branches_meet(run: Run, tmp_path: Path) -> None:
    nodes = (
        Node("z", Affine(np.eye(2), np.zeros(2)), INPUT),
        Node("h", relu, "z"),
        Node("sum", Sum((1, -1)), "h", INPUT),
    )
    write(Network(nodes, (1, 2)), tmp_path / "net.onnx")
    status, out, _ = run("inspect", tmp_path / "net.onnx")
    assert status == 0
    assert "takes" in out
    assert "h, input" in out
    assert "takes" not in run("inspect", DIGITS)[1]


@pytest.mark.parametrize("method", [m for m in networks.BOUND_METHODS if m != "milp"])
def test_bounds_give_every_pre_activation_layer_with_the_output_last(method: str, run: Run) -> None:
    if method == "lp":
        solver("highs")
    found = answer(run("bounds", DIGITS, "--box", 0, 1, "--method", method, "--json"))
    assert set(found) == {"layers", "seconds"}
    net = read(DIGITS)
    assert [len(s["lower"]) for s in found["layers"]] == [s.size for s in net.stages]
    assert all(set(s) == {"name", "lower", "upper", "unstable"} for s in found["layers"])
    x = np.random.default_rng(0).random((50, net.input_size))
    assert (net(x) <= np.array(found["layers"][-1]["upper"])).all()
    assert (net(x) >= np.array(found["layers"][-1]["lower"])).all()


def test_certify_counts_add_up_and_witnesses_switch(run: Run, tmp_path: Path) -> None:
    found = answer(run("certify", DIGITS, "--box", 0, 1, "--witnesses", tmp_path / "w.npz", "--json"))
    assert set(found) == {"layers", "neurons", "decided", "unknown", "stages", "seconds"}
    assert found["decided"] + found["unknown"] == found["neurons"] == sum(s["width"] for s in found["layers"])
    for layer in found["layers"]:
        every = [n for k in ("stably_active", "stably_inactive", "unstable", "unknown") for n in layer[k]]
        assert sorted(every) == list(range(layer["width"]))
    assert all(set(s) == {"name", "decided", "seconds"} for s in found["stages"])
    assert sum(s["decided"] for s in found["stages"]) == found["decided"]
    w = np.load(tmp_path / "w.npz")
    assert set(w.files) == {"layer", "neuron", "active_input", "inactive_input"}
    net = read(DIGITS)
    for side, sign in (("active_input", 1), ("inactive_input", -1)):
        pre = net.trace(w[side]).pre
        assert all(sign * pre[s][k, n] > 0 for k, (s, n) in enumerate(zip(w["layer"], w["neuron"])))


def test_certify_takes_balls_data_and_methods(run: Run, tmp_path: Path) -> None:
    images = np.load(packaged("digits.npz"))
    first = images[sorted(images.files)[0]]
    point = next(a for a in (images[k] for k in images.files) if a.ndim > 1)[0].ravel()
    assert first is not None
    np.save(tmp_path / "point.npy", point)
    np.save(tmp_path / "data.npy", np.tile(point, (3, 1)))
    solver("highs")
    counts = []
    for method in networks.CERTIFY_METHODS:
        ball = ("--ball", tmp_path / "point.npy", 0.02, "--clip", 0, 1)
        found = answer(run("certify", DIGITS, *ball, "--data", tmp_path / "data.npy", "--method", method, "--json"))
        counts.append([(s["stably_active"], s["stably_inactive"]) for s in found["layers"]])
        assert found["unknown"] == 0
    assert counts[0] == counts[1]


def test_checkpoint_of_a_certificate_serves_the_compression(run: Run, tmp_path: Path) -> None:
    net, *_ = hard_network()
    solver("highs")
    write(net, tmp_path / "net.npz")
    options = (tmp_path / "net.npz", "--box", 0, 1, "--checkpoint", tmp_path / "run.npz", "--json")
    short = answer(run("certify", *options, "--time-limit", 0))
    assert short["unknown"] > 0
    whole = answer(run("certify", *options, "--method", "one-solve", "--mode", "in-tree"))
    assert whole["unknown"] == 0
    again = answer(run("certify", *options, "--time-limit", 0))
    assert (again["unknown"], again["stages"][0]["decided"]) == (0, whole["neurons"])
    smaller = answer(run("compress", *options, "--out", tmp_path / "small.npz", "--time-limit", 0))
    assert smaller["neurons_after"] < net.neurons
    assert smaller["equivalence"] == "proved"


def test_interrupt_of_a_certificate_prints_what_is_proved_by_then(tmp_path: Path) -> None:
    solver("highs")
    rng = np.random.default_rng(0)
    sizes = (40, 60, 60, 60)
    layers: list[Any] = []
    for n, m in pairwise(sizes):
        layers += [Affine(rng.normal(size=(m, n)) / np.sqrt(n), -0.5 * np.ones(m)), relu]
    write(Network.chain(layers, (40,)), tmp_path / "net.npz")
    words = ("certify", tmp_path / "net.npz", "--box", -1, 1, "--method", "per-neuron", "--json")
    command = [sys.executable, "-m", "reludsl", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # until it is at work, which it says after a second and from then on every five
    assert process.stderr is not None
    assert "solves" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    found = json.loads(out)
    assert 0 < found["unknown"] < found["neurons"]


def test_compress_writes_a_network_with_the_same_outputs(run: Run, tmp_path: Path) -> None:
    for suffix in (".onnx", ".npz"):
        out = tmp_path / f"small{suffix}"
        found = answer(run("compress", DIGITS, "--box", 0, 1, "--out", out, "--json"))
        assert set(found) == {
            "neurons_before",
            "neurons_after",
            "parameters_before",
            "parameters_after",
            "layers_before",
            "layers_after",
            "removed",
            "merged",
            "folded",
            "collapsed",
            "max_output_error",
            "equivalence",
            "seconds",
        }
        small, net = read(out), read(DIGITS)
        assert found["equivalence"] == "proved"
        assert (found["neurons_before"], found["neurons_after"]) == (net.neurons, small.neurons)
        assert (found["parameters_before"], found["parameters_after"]) == (net.parameters, small.parameters)
        x = np.random.default_rng(0).random((200, net.input_size))
        assert np.abs(small(x) - net(x)).max() <= found["max_output_error"] + 1e-9


def test_backends_are_listed_with_capabilities(run: Run) -> None:
    found = answer(run("backends", "--json"))["backends"]
    assert {"highs", "cbc", "scip", "cvxpy"} <= {b["name"] for b in found}
    assert all(set(b) == {"name", "version", "capabilities", "installed"} for b in found)


@pytest.mark.parametrize(
    "words", [("inspect", DIGITS), ("certify", DIGITS), ("bounds", DIGITS, "--box", "0", "1"), ("backends",)]
)
def test_tables_for_people_are_printed_without_json(words: tuple[object, ...], run: Run) -> None:
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) > 2
    assert "{" not in out


def test_missing_and_damaged_files_get_one_line_and_leave_nothing(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.onnx"
    refused(run("compress", tmp_path / "none.onnx", "--box", 0, 1, "--out", out), "none.onnx")
    whole = DIGITS.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 3):
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(whole[:size])
        refused(run("compress", cut, "--box", 0, 1, "--out", out), "cut.onnx")
    assert not out.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.onnx"]


def test_unsupported_operator_is_named_with_the_supported_ones(run: Run, tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Sigmoid", ["x"], ["y"], name="squash")
    float_ = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph([node], "g", [value("x", float_, [1, 2])], [value("y", float_, [1, 2])])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "net.onnx")
    refused(run("inspect", tmp_path / "net.onnx"), "Sigmoid", "squash", "Gemm", "Relu")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(bad: float, run: Run, tmp_path: Path) -> None:
    weight = np.array([[1.0, bad]], dtype=np.float32)
    value, float_ = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
        "g",
        [value("x", float_, [1, 2])],
        [value("y", float_, [1, 1])],
        [
            onnx.numpy_helper.from_array(weight, "w"),
            onnx.numpy_helper.from_array(np.zeros(1, np.float32), "b"),
        ],
    )
    onnx.save(onnx.helper.make_model(graph), tmp_path / "net.onnx")
    refused(run("certify", tmp_path / "net.onnx", "--box", 0, 1), "weight")


def test_shape_mismatch_is_refused(run: Run, tmp_path: Path) -> None:
    value, float_ = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
        "g",
        [value("x", float_, [1, 3])],
        [value("y", float_, [1, 1])],
        [onnx.numpy_helper.from_array(np.ones((1, 2), np.float32), "w")],
    )
    onnx.save(onnx.helper.make_model(graph), tmp_path / "net.onnx")
    refused(run("inspect", tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--box", "1", "0"), "above"),
        (("--box", "-inf", "inf"), "finite"),
        (("--box", "0", "nan"), "NaN"),
        (("--box", "a", "1"), "number"),
        (("--box", "none.npy", "1"), "none.npy"),
        (("--box", "0"), "--box"),
        (("--box", "0", "1", "--ball", "p.npy", "0.1"), "--ball"),
        (("--clip", "0", "1"), "--ball"),
        (("--box", "0", "1", "--method", "two-solve"), "auto"),
        (("--box", "0", "1", "--method", "one-solve", "--mode", "sideways"), "in-tree"),
        (("--box", "0", "1", "--method", "one-solve", "--mode", "in-tree", "--backend", "cvxpy"), "restart"),
        (("--box", "0", "1", "--checkpoint", "nofolder/run.npz"), "nofolder"),
        (("--box", "0", "1", "--backend", "nosuch"), "nosuch"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_bad_options_get_one_line(words: tuple[str, ...], expected: str, run: Run, tmp_path: Path) -> None:
    # a backend is looked up where one is needed: on a network that bounds do not decide
    net, *_ = hard_network()
    write(net, tmp_path / "net.npz")
    refused(run("certify", tmp_path / "net.npz", *words), expected)


def test_missing_domain_is_asked_for(run: Run, tmp_path: Path) -> None:
    write(Network.chain([Affine(np.eye(2), np.zeros(2)), relu], (2,)), tmp_path / "net.npz")
    refused(run("certify", tmp_path / "net.npz"), "--box 0 1")


@pytest.mark.parametrize("place", ["nofolder/out.onnx", "out.txt", ""])
def test_output_that_cannot_be_written_is_refused_before_the_work(place: str, run: Run, tmp_path: Path) -> None:
    refused(run("compress", DIGITS, "--box", 0, 1, "--out", tmp_path / place))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_refused(run: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    refused(run("compress", DIGITS, "--box", 0, 1, "--out", tmp_path / "out.onnx"), "written")


def test_solver_failure_has_exit_status_3(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from reludsl.errors import SolverFailed

    def fail(*_: object, **__: object) -> None:
        raise SolverFailed("the solver broke down")

    monkeypatch.setattr(networks, "stable", fail)
    status, out, err = run("certify", DIGITS, "--box", 0, 1)
    assert (status, out, err) == (3, "", "reludsl: the solver broke down\n")


def test_progress_goes_to_stderr_after_a_second(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from reludsl.progress import Progress

    clock = iter([0.0, 0.5, 2.0, 3.0, 9.0])
    monkeypatch.setattr("reludsl.cli.progress.time.perf_counter", lambda: next(clock))
    with progress() as report:
        for done in range(4):
            report(Progress("solves", done, 7))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[1].strip()[:6] for line in err.splitlines()] == ["1 of 7", "3 of 7"]


def test_arrays_that_are_no_numbers_get_one_line(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", np.array(["a"] * 64))
    np.save(tmp_path / "complex.npy", np.zeros(64, dtype=np.complex128))
    np.savez(tmp_path / "several.npz", a=np.zeros(64))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    for name in ("text", "complex", "several"):
        refused(run("certify", DIGITS, "--box", tmp_path / f"{name}.npy", 1), f"{name}.npy")
        refused(run("certify", DIGITS, "--box", 0, 1, "--data", tmp_path / f"{name}.npy"), f"{name}.npy")


def test_transposed_data_is_refused(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", np.zeros((64, 3)))
    refused(run("certify", DIGITS, "--box", 0, 1, "--data", tmp_path / "data.npy"), "(64, 3)")


def test_unknown_backend_is_refused_even_where_none_is_needed(run: Run) -> None:
    for command in ("inspect", "bounds", "certify"):
        refused(run(command, DIGITS, "--backend", "nosuch"), "nosuch")


def test_version_and_help_are_there(run: Run) -> None:
    status, out, _ = run("--version")
    assert (status, out.split()[0]) == (0, "reludsl")
    status, out, _ = run("compress", "--help")
    assert status == 0
    assert "--fold" in out


def test_json_stands_alone_on_stdout_of_a_process_that_solves() -> None:
    # HiGHS greets at its first model of a process, at the level of C
    solver("highs")
    words = ["-m", "reludsl", "bounds", str(DIGITS), "--box", "0", "1", "--method", "lp", "--json"]
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    assert ended.stdout.count("\n") == 1
    assert set(json.loads(ended.stdout)) == {"layers", "seconds"}
