"""Study 6 at a small size: bounds, counts and bent boundaries, with random networks and with trained ones."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.expressivity import bounds, sixty
from benchmarks.expressivity.bending import bends, by_depth_of
from benchmarks.expressivity.bounds import Settings, study
from reludsl.domain import Box
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.networks import Initialisation, random_network
from reludsl.regions import plane
from reludsl.regions.bounds import by_depth

SMALL = Settings(
    configurations=((1, 5), (3, 3), (5, 1)), networks=2, epochs=3, time_limit=1.0, given=False, depth=3, width=6
)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where torch is not installed."""
    find = importlib.util.find_spec

    def without_torch(name: str, *more: Any) -> Any:
        return None if name == "torch" else find(name, *more)

    monkeypatch.setattr("benchmarks.expressivity.bounds.importlib.util.find_spec", without_torch)


@pytest.mark.usefixtures("untrained")
def test_study_of_bounds_without_training_sees_what_needs_none() -> None:
    finding = study(SMALL, seed=0)
    assert all(one.seen for one in finding.observations), finding.sentence
    assert len(finding.observations) == 5
    assert any("torch is not installed" in note for note in finding.notes)
    assert [picture.name for picture in finding.pictures] == ["counts", "depth", "slices"]
    assert json.loads(json.dumps(finding.as_json()))["study"] == "bounds"
    for run in finding.numbers["runs"]:
        assert run["lower"] == run["upper"] <= run["bounds"]["activation_based"] <= run["bounds"]["serra_2018"]
        assert run["regions"] == run["lower"]


def test_bounds_of_sixty_units_are_those_of_the_table() -> None:
    for inputs, values in sixty.BOUNDS.items():
        assert tuple(at.value for at in by_depth(inputs, sixty.UNITS, range(1, 7))) == values
    assert sixty.BOUNDS[1] == tuple((sixty.UNITS // k + 1) ** k for k in range(1, 7))


def test_boundaries_of_one_layer_are_straight_and_those_of_more_bend_at_earlier_ones() -> None:
    box = Box([-2, -2], [2, 2])
    for seed in range(3):
        network = random_network((2, 8, 8, 8), seed, Initialisation.NORMAL)
        found = [bends(plane(part, box)) for part in by_depth_of(network)]
        assert [len(one.bends) for one in found] == [1, 2, 3]
        assert [one.bends[0] for one in found] == [0, 0, 0]
        assert found[-1].bends[1] == found[1].bends[1] > 0
        assert [one.elsewhere for one in found] == [0, 0, 0]


def test_boundary_that_bends_twice_is_counted_twice() -> None:
    # y = |x| - 1 and the line x = 0: a wedge with one bend, and its copy further up
    first = Affine(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.array([0.0, 0.0, 9.0, 9.0]))
    wedge = [-1.0, -1.0, 0.5, -0.5]
    network = Network.chain([first, relu, Affine(np.array([wedge, wedge]), np.array([1.0, 0.5])), relu], (2,))
    assert bends(plane(network, Box([-2, -2], [2, 2]))).bends == [0, 2]


def test_networks_of_the_data_folder_are_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = replace(SMALL, configurations=((4, 18),), time_limit=0.05, given=True)
    network = random_network((9, 4, 3), 0, Initialisation.NORMAL, outputs=10)
    monkeypatch.setattr(bounds, "MNIST", Path("none.npz"))
    monkeypatch.setattr(bounds, "read", lambda place, check: network)
    monkeypatch.setattr("pathlib.Path.exists", lambda place: place.name == "mnist_4x18_l1_0_s0.onnx")
    (run,) = bounds._held(chosen, lambda _: None)
    assert (run.row.configuration, run.first_width, run.accuracy) == ("4,18", 4, 0.0)


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_study_of_bounds_learns_digits_and_counts() -> None:
    chosen = replace(SMALL, configurations=((4, 8), (6, 6), (8, 4)), epochs=60, time_limit=2.0)
    finding = study(chosen, seed=0)
    assert len(finding.observations) == 6
    runs = finding.numbers["runs"]
    assert np.mean([run["accuracy"] for run in runs]) > 80
    for run in runs:
        assert run["lower"] <= run["regions"] <= run["upper"] <= run["bounds"]["serra_2018"]
    counts = {name: np.mean([r["regions"] for r in runs if r["configuration"] == name]) for name in ("4,8", "8,4")}
    assert counts["4,8"] < counts["8,4"]
