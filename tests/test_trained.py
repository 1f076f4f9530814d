"""Trained networks: what the certificates and the compression come to on them, end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runtime import onnx_outputs

from reludsl.domain import Box
from reludsl.io import read
from reludsl.layers import Affine
from reludsl.stability import stable

PIXELS = 784


def run(*words: str | Path) -> dict[str, Any]:
    """A command as a process of its own, with --json."""
    command = [sys.executable, "-m", "reludsl", *(str(w) for w in words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def images(data_file: Any) -> Any:
    archive = np.load(data_file("mnist.npz"))
    return np.concatenate([archive["x_train"], archive["x_test"]]).reshape(-1, PIXELS) / np.float32(255)


def test_compress_of_the_main_example_is_small_proved_and_equal_on_all_images(data_file: Any, tmp_path: Path) -> None:
    net = data_file("mnist_nets/mnist_100x100_l1_0.0002_s0.onnx")
    out = tmp_path / "small.onnx"
    answer = run("compress", net, "--box", "0", "1", "--out", out)
    assert answer["equivalence"] == "proved"
    assert answer["neurons_after"] <= 181
    pixels = images(data_file)
    assert len(pixels) == 70_000
    assert np.abs(onnx_outputs(net, pixels) - onnx_outputs(out, pixels)).max() <= 1e-4
    assert read(out).neurons == answer["neurons_after"]


def test_certify_of_the_main_example_finds_the_known_stable_neurons(data_file: Any) -> None:
    net = data_file("mnist_nets/mnist_100x100_l1_0.0002_s0.onnx")
    answer = run("certify", net, "--box", "0", "1")
    sizes = [(len(s["stably_inactive"]), len(s["stably_active"])) for s in answer["layers"]]
    assert sizes == [(16, 13), (3, 3)]
    assert (answer["decided"], answer["unknown"], answer["neurons"]) == (200, 0, 200)


def test_witnesses_replayed_in_plain_numpy_switch_every_unstable_neuron(data_file: Any, tmp_path: Path) -> None:
    net = data_file("mnist_nets/mnist_100x100_l1_0.0002_s0.onnx")
    answer = run("certify", net, "--box", "0", "1", "--witnesses", tmp_path / "w.npz")
    w = np.load(tmp_path / "w.npz")
    network = read(net)
    layers = [n.layer for n in network.nodes if isinstance(n.layer, Affine)]
    pre: dict[str, list[Any]] = {}
    for side in ("active_input", "inactive_input"):
        assert ((w[side] >= 0) & (w[side] <= 1)).all()
        h: Any = w[side]
        pre[side] = []
        for layer in layers[:-1]:
            z = h @ layer.dense.T + layer.bias
            pre[side].append(z)
            h = np.maximum(z, 0)
    for k, (stage, neuron) in enumerate(zip(w["layer"], w["neuron"])):
        assert pre["active_input"][stage][k, neuron] > 0 > pre["inactive_input"][stage][k, neuron]
    listed = {(s, n) for s, layer in enumerate(answer["layers"]) for n in layer["unstable"]}
    assert listed == set(zip(w["layer"].tolist(), w["neuron"].tolist()))


@pytest.mark.parametrize(
    ("name", "neurons"),
    [
        ("mnist_400x400_l1_0.0001_s0", 800),
        ("mnist_100x100x100x100_l1_0.0001_s0", 400),
        ("mnist_100x100x100_l1_0.0001_s0", 300),
    ],
)
def test_certify_without_data_decides_every_neuron(name: str, neurons: int, data_file: Any) -> None:
    network = read(data_file(f"mnist_nets/{name}.onnx"), check=False)
    facts = stable(network, Box.full(0, 1, (PIXELS,)))
    assert (facts.neurons, facts.undecided) == (neurons, 0)


@pytest.mark.parametrize(
    ("name", "fold", "neurons", "stages"),
    [
        ("mnist_ae_100-10-100_l1_2e-05_s0", "auto", 83, 3),
        ("mnist_ae_100-10-100_l1_0.0002_s0", "auto", 46, 2),
        ("mnist_ae_100-10-100_l1_0.0002_s0", "always", 45, 1),
    ],
)
def test_autoencoders_merge_and_fold_with_proof(
    name: str, fold: str, neurons: int, stages: int, data_file: Any, tmp_path: Path
) -> None:
    net = data_file(f"mnist_nets/{name}.onnx")
    out = tmp_path / "small.onnx"
    answer = run("compress", net, "--box", "0", "1", "--out", out, "--fold", fold)
    assert answer["neurons_before"] == 210
    assert answer["neurons_after"] <= neurons
    assert answer["layers_after"] - 1 <= stages
    assert answer["equivalence"] == "proved"
    pixels = images(data_file)[::50]
    assert np.abs(onnx_outputs(net, pixels) - onnx_outputs(out, pixels)).max() <= 1e-4


def test_autoencoder_has_the_known_stable_neurons(data_file: Any) -> None:
    answer = run("certify", data_file("mnist_nets/mnist_ae_100-10-100_l1_2e-05_s0.onnx"), "--box", "0", "1")
    assert [len(s["stably_inactive"]) for s in answer["layers"]] == [44, 5, 66]
    assert len(answer["layers"][2]["stably_active"]) == 17
