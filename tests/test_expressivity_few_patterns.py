"""Study 4: what is seen at initialisation and in training at small size, and what is said of numbers that differ."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from data import need

from benchmarks.expressivity import few_patterns
from benchmarks.expressivity.few_patterns import Settings, course, memory, scales, start
from benchmarks.expressivity.few_patterns.observations import dip, of_memory, of_start, of_training
from benchmarks.expressivity.few_patterns.settings import Corruption, Points
from benchmarks.expressivity.fits import line_through
from benchmarks.expressivity.images import images
from benchmarks.expressivity.training import Fit
from benchmarks.published.training import Images
from reludsl.expressivity import expected_regions

SMALL = Settings(
    images="digits",
    part=0,
    tested=0,
    depths=((60,), (30, 30), (20, 20, 20)),
    segment_widths=(8, 16, 32),
    segment_depths=(1, 3),
    depth_runs=6,
    start_runs=3,
    slices=1,
    trained_slices=1,
    segments=20,
    points=20,
    variances=(0.5, 2.0, 8.0),
    bias_scales=(1e-3, 1.0),
    sweep=(10, 10, 10),
)
SEEDS = range(5)


@cache
def _digits() -> tuple[Images, Images]:
    return images("digits")


def _silent(text: str) -> None:
    pass


# --- at initialisation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_planes_at_initialisation_have_half_of_n_squared_regions_at_every_depth(seed: int) -> None:
    found = start.depths(SMALL, _digits()[0].pixels, 100 * seed)
    means = np.array([one.whole.mean() for one in found])
    assert (abs(means - 0.5) < 0.1).all()
    assert means.max() / means.min() < 1.25
    assert all((one.square < one.whole).all() and one.odd == 0 for one in found)


@pytest.mark.parametrize("seed", SEEDS)
def test_segments_at_initialisation_cross_regions_linear_in_the_neurons(seed: int) -> None:
    found = start.sizes(SMALL, _digits()[0].pixels, 100 * seed)
    neurons = np.array([one.neurons for one in found], dtype=np.float64)
    fit = line_through(neurons, np.array([one.regions.mean() for one in found]))
    assert 0.15 < fit.slope < 0.5
    assert fit.r_squared > 0.97
    decay = line_through(np.log(neurons), np.log([one.distance.mean() for one in found]))
    assert -1.3 < decay.slope < -0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_density_grows_with_gradients_while_whole_planes_do_not(seed: int) -> None:
    settings = replace(SMALL, bias_scales=(1.0,), start_runs=8, sweep=(20, 20))
    found = scales.sweep(settings, _digits()[0].pixels, 100 * seed)
    density, gradient = ([getattr(one, of).mean() for one in found] for of in ("per_area", "gradient"))
    assert density == sorted(density)
    assert gradient == sorted(gradient)
    assert density[-1] > 3 * density[0]
    whole = [one.whole.mean() for one in found]
    assert max(whole) / min(whole) < 1.25
    for one in found:
        assert one.regions < one.bound.bound
        assert one.crossings < one.along.bound
        assert one.bound.needed < one.bound.transitions


def test_scaling_lemma_holds_for_biases_and_not_for_weights() -> None:
    found = scales.lemma((6, 6), 5, seed=0)
    assert (found.checks, found.unequal) == (40, 0)
    assert any(count != plain for plain, row in zip(found.plain, found.weights) for count in row)


def test_study_without_torch_leaves_training_out_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, *rest: Any) -> Any:
        return None if name == "torch" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    tiny = replace(SMALL, depths=((8,), (4, 4)), depth_runs=1, segment_widths=(4, 8), start_runs=1, sweep=(4, 4))
    found = few_patterns.study(tiny, seed=1)
    assert any("torch is not installed" in note for note in found.notes)
    assert any("three hidden layers" in note for note in found.notes)
    assert "training" not in found.numbers
    assert [picture.name for picture in found.pictures] == ["depth", "segments", "initialisation"]
    assert json.loads(json.dumps(found.as_json()))["settings"]["sweep"] == [4, 4]


def test_data_falls_back_on_the_digits(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("benchmarks.expressivity.images.MNIST", tmp_path / "mnist.npz")
    source, train, test, notes = few_patterns.data(replace(SMALL, images="mnist", part=100, tested=50), 0)
    assert (source, len(train), len(test), train.pixels.shape[1]) == ("digits", 100, 50, 64)
    assert any("stand in for MNIST" in note for note in notes)
    assert any("100 of the 1,437" in note for note in notes)


# --- what is said of numbers ------------------------------------------------------------------------------------------


def _seen(told: Any, word: str) -> bool:
    (one,) = [one for one in told.observations if word in one.published]
    return bool(one.seen)


def _start(half: float = 0.5, deep: float = 0.5, slope: float = 0.3, unequal: int = 0, loose: float = 2.0) -> Any:
    depths = [
        start.Depth((60,), np.array([half]), np.array([0.1]), 0),
        start.Depth((30, 30), np.array([deep]), np.array([0.1]), 0),
    ]
    sizes = [
        start.Size((k,), np.array([slope * k**2 if slope < 0 else slope * k]), np.array([1 / k])) for k in (8, 16, 32)
    ]
    bound = expected_regions(2, 10, 1.0, regions=50.0 / loose)
    swept = [
        scales.Scale(
            variance=v, bias_scale=1.0, per_area=np.array([v]), whole=np.array([0.5]), gradient=np.array([v]),
            c_grad=1.0, regions=50.0 / loose, bound=bound, crossings=10 / loose,
            along=expected_regions(1, 10, 1.0, regions=1.0),
        )
        for v in (1.0, 2.0)
    ]  # fmt: skip
    return of_start(depths, sizes, swept, scales.Lemma(4, unequal, [1], [[1, 1, 1, 1]]))


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"half": 0.2}, "about N^2 / 2"),
        ({"deep": 0.8}, "hardly depends on depth"),
        ({"slope": -0.3}, "linear in the number"),
        ({"unequal": 1}, "scaling all biases"),
        ({"loose": 0.5}, "(T N)^n / n!"),
        ({"loose": 0.5}, "breakpoints per length"),
    ],
)
def test_observation_at_initialisation_is_not_seen_where_the_numbers_differ(changed: dict[str, Any], word: str) -> None:
    assert _seen(_start(), word)
    assert not _seen(_start(**changed), word)


def _course(*whole: list[float]) -> course.Course:
    counts = np.array(whole)
    flat = np.full(counts.shape, 0.3)
    return course.Course((20, 20), list(range(counts.shape[1])), counts, flat, flat, flat, flat)


def test_dip_is_seen_where_counts_fall_and_come_back_alone() -> None:
    assert _seen(of_training([_course([0.5, 0.4, 0.45], [0.51, 0.41, 0.45])]), "dips and comes back")
    assert not _seen(of_training([_course([0.5, 0.45, 0.4], [0.51, 0.45, 0.41])]), "dips and comes back")
    assert not _seen(of_training([_course([0.5, 0.6, 0.7], [0.51, 0.6, 0.7])]), "dips and comes back")
    assert not _seen(of_training([_course([0.5, 0.4, 1.1], [0.5, 0.4, 1.1])]), "same size")


def test_dip_is_not_seen_where_runs_differ_more_than_their_mean_moves() -> None:
    runs = [0.5, 0.4, 0.41], [0.5, 0.4, 0.45], [0.5, 0.4, 0.37]
    assert np.mean(runs, axis=0)[2] > np.mean(runs, axis=0)[1]
    assert not _seen(of_training([_course(*runs)]), "dips and comes back")
    assert _seen(of_training([_course(*([0.5, 0.4, end] for end in (0.41, 0.42, 0.43)))]), "dips and comes back")


@pytest.mark.parametrize("seed", SEEDS)
def test_lowest_epoch_of_noise_is_followed_by_no_rise(seed: int) -> None:
    noise = np.random.default_rng(seed).normal(size=(300, 8, 10))
    back = np.array([dip(runs)[2].mean() for runs in noise])
    assert abs(back.mean()) < 4 * back.std() / len(back) ** 0.5
    # where the lowest epoch of the same runs is taken, it is
    assert np.mean([runs.mean(axis=0)[-1] - runs.mean(axis=0).min() for runs in noise]) > 0.4


def test_dip_of_runs_of_one_shape_is_theirs() -> None:
    lows, fall, back = dip(np.array([[9.0, 5.0, 4.0, 6.0], [8.0, 4.0, 3.0, 7.0], [9.0, 3.0, 2.0, 2.5]]))
    assert (lows, fall.tolist(), back.tolist()) == ([2, 2, 2], [5.0, 5.0, 7.0], [2.0, 4.0, 0.5])


def _level(level: float, end: float) -> memory.Level:
    return memory.Level(level, [0, 1], np.array([[0.5, end]]), np.array([[10.0, 100.0]]))


def _task(size: int, after: float, right: float) -> memory.Task:
    return memory.Task(size, np.array([0.5]), np.array([after]), np.array([right]))


def test_memorising_is_seen_where_counts_rise_slightly() -> None:
    tasks = [_task(10, 0.4, 100.0), _task(30, 0.5, 100.0), _task(300, 0.5, 60.0)]
    good = of_memory([_level(0.0, 0.4), _level(1.0, 0.5)], tasks)
    assert _seen(good, "labels are random")
    assert _seen(good, "random points")
    assert not _seen(of_memory([_level(0.0, 0.4), _level(1.0, 0.3)], tasks), "labels are random")
    assert not _seen(of_memory([_level(0.0, 0.4), _level(1.0, 0.9)], tasks), "labels are random")
    assert not _seen(of_memory([_level(0.0, 0.4)], tasks[:2]), "random points")
    assert not _seen(of_memory([_level(0.0, 0.4)], [tasks[2]]), "random points")


def test_corrupted_labels_are_random_at_the_share_that_was_asked_for() -> None:
    labels = np.full(4000, 3)
    half, all_of_them = memory.corrupted(labels, 0.5, 0), memory.corrupted(labels, 1.0, 0)
    assert (half != 3).mean() == pytest.approx(0.45, abs=0.03)
    assert (all_of_them != 3).mean() == pytest.approx(0.9, abs=0.03)
    assert (all_of_them[half != 3] == half[half != 3]).all()
    assert set(all_of_them) == set(range(10))
    assert (labels == 3).all()


# --- training ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_counts_fall_during_training_and_stay_of_their_size() -> None:
    # many segments and points: those of one network differ more than networks do
    settings = replace(SMALL, runs=5, segments=60, points=100, fit=Fit(epochs=30, at_epochs=(0, 5, 10, 20, 30)))
    found = course.course(settings, (20, 20, 20), *_digits(), 0, _silent)
    assert found.accuracy[:, -1].min() > 85
    for values in (found.whole, found.segment):
        assert values[:, -1].mean() < 0.95 * values[:, 0].mean()
        change = values.mean(axis=0) / values[:, 0].mean()
        assert (change > 0.4).all()
        assert (change < 1.3).all()
    assert (found.distance[:, -1] > found.distance[:, 0]).mean() >= 0.8


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_random_labels_are_memorised_with_slightly_more_regions() -> None:
    how = Corruption(levels=(0.0, 1.0), images=150, fit=Fit(epochs=150, batch=16), every=150, runs=5)
    plain, noisy = memory.corruption(replace(SMALL, corruption=how, deep=(32, 32, 32)), _digits()[0], 0, _silent)
    assert plain.accuracy[:, -1].min() > 99
    assert noisy.accuracy[:, -1].min() > 95
    assert (noisy.whole[:, -1] > plain.whole[:, -1]).mean() >= 0.8
    assert noisy.whole[:, -1].mean() > plain.whole[:, -1].mean()
    assert noisy.whole[:, -1].mean() < 2 * plain.whole[:, -1].mean()


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_random_points_are_memorised_with_more_regions_until_there_are_too_many() -> None:
    how = Points(sizes=(5, 60, 300), steps=1200, batch=128, rate=1e-3, runs=5)
    few, some, many = memory.random_points(replace(SMALL, random_points=how), 0, _silent)
    assert few.accuracy.mean() > 97
    assert some.accuracy.mean() > 97
    assert many.accuracy.max() < 80
    assert 1.1 * few.after.mean() < some.after.mean() < 2 * few.after.mean()


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_whole_study_is_drawn_and_written(tmp_path: Any) -> None:
    need("matplotlib")
    from benchmarks.expressivity.page import file_name, write_one

    tiny = replace(
        SMALL,
        depths=((8,), (4, 4)),
        depth_runs=1,
        start_runs=1,
        trained=((8, 8),),
        runs=2,
        fit=Fit(epochs=2),
        deep=(8, 8),
        corruption=Corruption(levels=(0.0, 1.0), images=50, fit=Fit(epochs=2), every=1, runs=1),
        random_points=Points(sizes=(5, 10), steps=20, batch=128, rate=1e-3, runs=2),
    )
    found = few_patterns.study(tiny, seed=0)
    write_one(tmp_path, found)
    names = {file_name(found, picture) for picture in found.pictures} | {"expressivity-few-patterns.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert len(found.pictures) == 7
    held = json.loads((tmp_path / "expressivity-few-patterns.json").read_text())
    assert held["numbers"]["training"][0]["epochs"] == [0, 1, 2]
    assert np.shape(held["numbers"]["training"][0]["whole"]) == (2, 3)
    assert len(held["numbers"]["dip"]["back"]) == 2
    assert len(held["observations"]) == 16
