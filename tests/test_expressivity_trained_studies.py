"""Studies 3 and 7 at small size: the published directions over seeds, and that training reached an accuracy."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from data import need

from benchmarks.expressivity import __main__ as command
from benchmarks.expressivity import baselines, stability
from benchmarks.expressivity.finding import Finding
from benchmarks.expressivity.fits import exponential
from benchmarks.expressivity.images import images
from benchmarks.expressivity.stability_runs import course, with_arcs
from benchmarks.expressivity.training import Fit, dense
from reludsl.plot import new_axes

SMALL = replace(
    stability.DEFAULT, epochs=12, batch=32, looks=(0, 12), noise_depth=4, noise_trials=3, perturbed_depth=5,
    one_depth=4, norm_depth=4, arcs=10,
)  # fmt: skip


def drawn(finding: Finding) -> None:
    """Every picture of it."""
    need("matplotlib")
    for picture in finding.pictures:
        figure = new_axes().figure
        figure.clear()
        picture.draw(figure)
        assert all(axes.get_xlabel() for axes in figure.axes)


def mostly(larger: Any, smaller: Any) -> bool:
    """In the mean, and in all networks but one: float32 takes another way on every processor."""
    more = np.asarray(larger) > np.asarray(smaller)
    return bool(np.mean(larger) > np.mean(smaller) and more.sum() >= more.size - 1)


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_stability_when_small_sees_the_published_directions() -> None:
    found = stability.study(SMALL)
    numbers = found.numbers

    assert np.min(numbers["noise"]["clean"]) > 93
    noisy = np.array(numbers["noise"]["accuracy"]).mean(axis=1)
    assert mostly(noisy[:, -1], noisy[:, 0])

    factors = {
        variance: np.array([np.polyfit(range(len(row)), np.log(row[::-1]), 1)[0] for row in rows])
        for variance, rows in numbers["perturbed"].items()
    }
    assert (factors["16"] > factors["3"]).all()
    assert (factors["3"] > 0).all()

    train = np.array(numbers["one_layer"]["train"])
    assert mostly(train[:, 0], train[:, -1])
    assert train[:, 0].min() > 65

    for variance, grows in (("3", True), ("16", False)):
        one = numbers["arcs"][variance]
        assert np.min(one["accuracy"], axis=0)[0] > 90
        last = np.array(one["growth"])[:, :, -1]
        assert mostly(last[:, -1], last[:, 0]) if grows else mostly(last[:, 0], last[:, -1])

    plain, norm, regularised = (
        np.array(numbers["kinds"][name]["growth"])[:, -1, -1]
        for name in (stability.PLAIN, stability.NORM, stability.REGULARISED)
    )
    assert mostly(plain, norm)
    assert mostly(plain, regularised)
    scores = [np.array(one["accuracy"]) for one in numbers["kinds"].values()]
    assert np.min(scores, axis=(0, 1))[0] > 97
    assert np.min(scores, axis=(0, 1))[1] > 90

    assert len(found.observations) == 8
    drawn(found)


def test_training_of_one_seed_is_repeated_to_the_last_bit_with_any_number_of_threads(torch: Any) -> None:
    data = with_arcs(*images("digits"), 2, 0)
    how = Fit(epochs=2, batch=64)
    found = []
    for count in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        found.append(course(data, 64, 4, how, range(3, 5), variance=2.0, batch_norm=True, weight=0.01))
        torch.set_num_threads(before)
    assert found[0].growth.tolist() == found[1].growth.tolist()
    assert found[0].accuracy.tolist() == found[1].accuracy.tolist()
    assert found[0].growth[0].tolist() != found[0].growth[1].tolist()


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_baselines_when_small_are_all_far_better_than_chance_and_the_same_by_torch_and_library() -> None:
    found = baselines.study(replace(baselines.DEFAULT, seeds=2, dense_epochs=40, convolution_epochs=31))
    for name in (baselines.DENSE, baselines.CONVOLUTION):
        one = found.numbers[name]
        assert one["library"] == one["torch"]
        assert min(one["library"]) > 90
        assert min(one["train"]) > 95
    assert found.numbers[baselines.SUBSPACE]["accuracy"] > 98
    drawn(found)


def test_baselines_without_torch_are_the_subspaces_alone_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else whole(name))
    found = baselines.study()
    assert [*found.numbers] == [baselines.SUBSPACE]
    assert any("pip install torch" in note for note in found.notes)
    assert found.observations[0].seen
    assert found.numbers[baselines.SUBSPACE]["accuracy"] > 98
    assert command.main(["baselines"]) == 0
    drawn(found)


def test_stability_without_torch_is_noise_on_untrained_networks_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else whole(name))
    found = stability.study(replace(SMALL, width=32, noise_trials=2))
    assert [*found.numbers] == ["perturbed"]
    factors = [np.mean([exponential(row[::-1])[0] for row in rows]) for rows in found.numbers["perturbed"].values()]
    assert factors == sorted(factors)
    assert [one.seen for one in found.observations] == [True]
    assert any("pip install torch" in note for note in found.notes)
    drawn(found)


@pytest.mark.usefixtures("torch")
def test_arcs_when_drawn_join_test_images_of_two_classes() -> None:
    data = with_arcs(*images("digits"), 20, 3)
    places = [
        [int(np.flatnonzero((data.test.pixels == x).all(axis=1))[0]) for x in end] for end in (data.first, data.second)
    ]
    assert (data.test.labels[places[0]] != data.test.labels[places[1]]).all()
    growth = data.growth(dense(data.sizes(8, 3), 0))
    assert growth.shape == (3,)
    assert (growth > 0).all()


def test_exponential_when_values_are_powers_is_the_base() -> None:
    assert exponential([3.0, 6.0, 12.0, 24.0]) == pytest.approx((2.0, 1.0))
    factor, r_squared = exponential([3.0, 6.0, 12.0, 6.0])
    assert factor == pytest.approx(2**0.4)
    assert r_squared == pytest.approx(0.4)
