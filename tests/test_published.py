"""The published experiments: choices, fits and text on small numbers, training and the whole study on random images."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import train_published
from benchmarks.published import page, pictures, training
from benchmarks.published.settings import ALL, ISA, LEO, Recipe, Shape, l1_weights, reported
from benchmarks.published.study import Plan, Run, Spread, hardest, linear_fit, matching_l1, measure, study
from benchmarks.published.training import Images, Trained, cached, score, train
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network

TINY, CODER = Shape.parse("2x3"), Shape.parse("4-2-4")
ONCE = Recipe(1, batch=20)
VALUES = st.lists(st.integers(-20, 20).map(float), min_size=3, max_size=8)


def pictures_of(count: int, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return Images(rng.random((count, 784)), rng.integers(0, 10, count))


def run_of(shape: str, l1: float, seed: int = 0, accuracy: float = 97.0, after: int = 6, certify: float = 0.5) -> Run:
    return Run(
        shape, l1, seed, accuracy, (1, 0), (1, 0), (2, 4), (0, 0), 8, after, 100, 80, True, 30.0, certify, 0.25
    )  # fmt: skip


def plan(folder: Path, *shapes: Shape, seeds: int = 1, l1: tuple[float, ...] = (0.0, 1e-3)) -> Plan:
    return Plan(shapes, seeds, ONCE, l1, False, 20.0, folder)


def weights(network: Network) -> list[Any]:
    return [node.layer.dense for node in network.nodes if isinstance(node.layer, Affine)]


@pytest.mark.parametrize("text", ["2x0", "0x5", "x", "100", "a-b", ""])
def test_shape_that_is_none_is_refused_or_an_autoencoder(text: str) -> None:
    if text == "100":
        assert Shape.parse(text) == Shape((100,), True)
        return
    with pytest.raises(ValueError):
        Shape.parse(text)


@pytest.mark.parametrize("name", ALL)
def test_every_published_shape_has_a_grid_that_starts_at_zero_and_grows(name: str) -> None:
    shape = Shape.parse(name)
    assert shape.name == name
    short, full = l1_weights(shape, False), l1_weights(shape, True)
    assert short[0] == 0.0
    assert list(full) == sorted(set(full))
    assert set(short) <= set(full)
    assert {l1 for other, l1 in LEO if other == name} <= set(full)


@given(st.integers(1, 500))
def test_decay_keeps_its_share_of_the_epochs(epochs: int) -> None:
    assert abs(Recipe(epochs).step / epochs - 50 / 121) <= 1 / epochs


def test_reported_figures_follow_our_matching_weight() -> None:
    wide = Shape.parse("2x200")
    assert reported(wide, 1e-4, 2e-4) == [ISA["2x200"][1]]
    assert reported(wide, 2e-4, 2e-4) == [ISA["2x200"][2]]
    assert reported(wide, 2e-4, None) == []
    assert len(reported(Shape.parse("2x100"), 0.0, None)) == 2
    assert reported(CODER, 2e-5, None) == []


def test_matching_weight_is_the_largest_with_no_loss_of_accuracy() -> None:
    assert matching_l1({0.0: [97.0], 1e-4: [96.0], 2e-4: [97.0], 4e-4: [96.9]}) == 2e-4
    assert matching_l1({0.0: [97.0, 99.0], 1e-4: [100.0, 95.0]}) is None
    assert matching_l1({1e-4: [97.0]}) is None


@given(VALUES, st.data())
def test_linear_fit_explains_the_square_of_the_correlation(x: list[float], data: st.DataObject) -> None:
    y = data.draw(st.lists(st.integers(-20, 20).map(float), min_size=len(x), max_size=len(x)))
    fit = linear_fit(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert fit is None
        return
    assert fit is not None
    assert fit.r_squared == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, abs=1e-7)
    assert [fit.slope, fit.offset] == pytest.approx(np.polyfit(x, y, 1), abs=1e-6)


def test_two_points_are_no_fit() -> None:
    assert linear_fit([0.0, 1.0], [0.0, 1.0]) is None


def test_hardest_weights_are_by_mean_time_and_by_unknown_neurons() -> None:
    runs = [run_of("2x3", 0.0, certify=1.0), run_of("2x3", 1e-4, certify=5.0), run_of("2x3", 1e-4, certify=1.0)]
    found = hardest(runs)
    assert (found.slowest, found.slowest_seconds, found.most_unknown) == (1e-4, 3.0, None)
    open_ = hardest([*runs, replace(runs[0], l1=2e-4, unknown=(0, 3))])
    assert (open_.most_unknown, open_.unknown) == (2e-4, 3.0)


def test_spread_is_mean_and_deviation_over_one_less() -> None:
    assert f"{Spread.of([1.0, 3.0]):.2f}" == "2.00 ± 1.41"
    assert f"{Spread.of([1.0]):.1f}" == "1.0 ± 0.0"


def tables(text: str) -> list[list[list[str]]]:
    """The cells of every table of a page."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    return [[[c.strip() for c in line.strip("|").split("|")] for line in block.splitlines()] for block in blocks]


def test_page_says_whose_networks_these_are_and_holds_the_numbers_of_the_runs(tmp_path: Path) -> None:
    runs = (
        run_of("2x3", 0.0, 0, 97.0, 8), run_of("2x3", 0.0, 1, 98.0, 8),
        run_of("2x3", 1e-3, 0, 97.5, 6), run_of("2x3", 1e-3, 1, 97.75, 4), run_of("2x3", 2e-3, 0, 90.0, 2),
        run_of("4-2-4", 2e-5, 0, 0.0512, 5),
    )  # fmt: skip
    about = page.machine()
    made = page.Study(plan(tmp_path, TINY, CODER), runs, None, 50, 0.0625, about, "2020-02-02", "python -m this")
    text = page.page(made)
    words = " ".join(text.split())
    assert "They are not the published networks" in words
    assert "the share of layer 2 alone: it must read 15.1 ± 0.6" in words
    assert "2020-02-02" in text
    assert about["processor"] in text
    assert "a shortened run" in text
    assert "of 0.0625: a network there" in " ".join(text.split())
    assert "counted as parameters" not in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120
    assert "```\npython -m this\n```" in text
    found = tables(text)
    assert all(len(row) == len(table[0]) for table in found for row in table)
    assert found[0][2] == ["2x3", "0 % (97.50)", "not run", "0.001: 38 % (97.62)"]
    row = next(row for row in found[1] if row[:2] == ["2x3", "0.001"])
    assert row[2:8] == ["97.62 ± 0.18", "12.5", "12.5", "0", "37.5 ± 17.7", "20.0 ± 0.0"]
    assert row[8:11] == ["0.75 ± 0.00", "30", "40"]
    assert next(row for row in found[1] if row[0] == "4-2-4")[2] == "0.0512 ± 0.0000"
    assert len(page.as_json(made)["runs"]) == len(runs)
    json.dumps(page.as_json(made), allow_nan=False)


def test_page_explains_parameters_that_grew(tmp_path: Path) -> None:
    run = replace(run_of("4-2-4", 2e-4), parameters_after=500)
    made = page.Study(plan(tmp_path, CODER), (run,), None, 50, 0.0625, page.machine(), "2020-02-02", "")
    assert "counted as parameters" in page.page(made)


def test_page_of_published_epochs_is_no_short_run(tmp_path: Path) -> None:
    whole = replace(plan(tmp_path, TINY), recipe=Recipe(121))
    made = page.Study(whole, (run_of("2x3", 0.0),), None, 50, 0.0625, page.machine(), "2020-02-02", "")
    assert "shortened" not in page.page(made)
    assert "none of the grid" in page.page(made)


def test_scatter_has_a_point_per_regularised_run_and_the_line_of_the_fit(need: Callable[[str], Any]) -> None:
    need("matplotlib")
    runs = [run_of("2x3", l1, 0, accuracy, after) for l1, accuracy, after in [(0, 98, 8), (1, 97, 6), (2, 96, 4)]]
    runs.append(run_of("2x3", 3, 0, 95, 3))
    axes = pictures.compression(runs, [TINY])
    assert axes.collections[0].get_offsets().tolist() == [[97, 25], [96, 50], [95, 62.5]]
    fit = linear_fit([97, 96, 95], [25, 50, 62.5])
    assert fit is not None
    (line,) = axes.lines
    assert line.get_ydata() == pytest.approx([fit.slope * x + fit.offset for x in (95, 97)])


def test_hardness_is_drawn_as_means_over_seeds(need: Callable[[str], Any]) -> None:
    need("matplotlib")
    runs = [run_of("2x3", 0.0, certify=1.0), run_of("2x3", 0.0, 1, certify=3.0), run_of("2x3", 1e-3, certify=4.0)]
    (line,) = pictures.hardness(runs).lines
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == ([0.0, 1e-3], [2.0, 4.0])


@pytest.mark.usefixtures("torch")
def test_one_step_moves_weights_by_the_l1_subgradient_and_biases_not() -> None:
    images = pictures_of(20)
    start, plain, shrunk = (
        train(TINY, images, l1, 5, replace(ONCE, rate=rate)).network
        for l1, rate in ((0.0, 0.0), (0.0, 0.01), (0.5, 0.01))
    )
    for before, without, with_ in zip(weights(start), weights(plain), weights(shrunk)):
        assert without - with_ == pytest.approx(0.01 * 0.5 * np.sign(before), abs=1e-6)
    biases = [[n.layer.bias for n in net.nodes if isinstance(n.layer, Affine)] for net in (start, plain, shrunk)]
    assert all((bias == 0).all() for bias in biases[0])
    assert all(a == pytest.approx(b, abs=1e-7) for a, b in zip(biases[1], biases[2]))
    assert np.abs(biases[1][-1]).max() > 0


@pytest.mark.usefixtures("torch")
def test_first_step_of_an_autoencoder_is_that_of_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures_of(20)
    # so large an L1 weight decides the sign of every gradient, and Adam starts with steps of one length
    moved = train(CODER, images, 1e3, 5, ONCE).network
    rate = training.ADAM_RATE
    monkeypatch.setattr(training, "ADAM_RATE", 0.0)
    start = train(CODER, images, 1e3, 5, ONCE).network
    for before, after in zip(weights(start), weights(moved)):
        assert before - after == pytest.approx(rate * np.sign(before), abs=1e-6)
    assert moved.output_size == 784


def test_mean_image_has_the_loss_of_its_distance() -> None:
    train_on, test = pictures_of(6), pictures_of(4, 1)
    distances = [np.square(image - train_on.pixels.mean(axis=0)).mean() for image in test.pixels]
    assert training.mean_image_loss(train_on, test) == pytest.approx(np.mean(distances))


@pytest.mark.usefixtures("torch")
def test_training_learns_and_repeats_with_its_seed() -> None:
    images = pictures_of(60)
    recipe = Recipe(40, batch=20, rate=0.05)
    first, again, other = (train(TINY, images, 0.0, seed, recipe).network for seed in (0, 0, 1))
    assert all((a == b).all() for a, b in zip(weights(first), weights(again)))
    assert any((a != b).any() for a, b in zip(weights(first), weights(other)))
    assert score(TINY, first, images) > score(
        TINY, train(TINY, images, 0.0, 0, replace(recipe, rate=0.0)).network, images
    )


@pytest.mark.usefixtures("torch")
def test_cached_network_is_the_trained_one_and_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures_of(20)
    trained = cached(tmp_path / "new", TINY, images, 1e-3, 0, ONCE)

    def never(*_: Any) -> Trained:
        raise AssertionError("trained again")

    monkeypatch.setattr(training, "train", never)
    held = cached(tmp_path / "new", TINY, images, 1e-3, 0, ONCE)
    assert held.seconds == trained.seconds
    assert all((a == b).all() for a, b in zip(weights(held.network), weights(trained.network)))
    with pytest.raises(AssertionError, match="again"):
        cached(tmp_path / "new", TINY, images, 1e-3, 0, replace(ONCE, rate=0.5))


def test_measured_run_counts_what_compression_took_out() -> None:
    # x_0 + 1 never switches off and -x_0 - 1 never on; 2 x_0 - 1 switches
    first = np.zeros((3, 784))
    first[:, 0] = [1, -1, 2]
    layers: list[Layer] = [Affine(first, np.array([1.0, -1.0, -1.0])), relu, Affine(np.ones((10, 3)), np.zeros(10))]
    net = Network.chain(layers, (784,))
    run = measure(Shape((3,), False), Trained(net, 60.0), 0.0, 0, pictures_of(10), 20.0)
    assert (run.stably_active, run.stably_inactive, run.unstable, run.unknown) == ((1,), (1,), (1,), (0,))
    assert (run.neurons_before, run.proved) == (3, True)
    assert run.neurons_after in (1, 2)
    assert run.removed == pytest.approx(100 * (3 - run.neurons_after) / 3)
    assert run.times_faster == pytest.approx(60 / (run.certify_seconds + run.compress_seconds))


def test_half_of_the_matching_weight_is_run_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Network.chain([Affine(np.eye(2, 784), np.ones(2)), relu, Affine(np.ones((10, 2)), np.zeros(10))], (784,))
    monkeypatch.setattr("benchmarks.published.study.cached", lambda *_: Trained(net, 1.0))
    images = pictures_of(10)
    asked = replace(plan(tmp_path, Shape.parse("1x2"), l1=(0.0, 1e-3)), seeds=2)
    runs = list(study(asked, images, images, lambda _: None))
    # one network for all: no weight loses accuracy
    assert [(run.l1, run.seed) for run in runs] == [(l1, s) for l1 in (0.0, 1e-3, 5e-4) for s in (0, 1)]


@pytest.mark.usefixtures("torch")
def test_whole_study_writes_page_data_and_pictures(need: Callable[[str], Any], tmp_path: Path) -> None:
    need("matplotlib")
    told: list[str] = []
    out = tmp_path / "results"
    asked = plan(tmp_path / "cache", TINY, CODER)
    made = train_published.reproduce(asked, pictures_of(40), pictures_of(12, 1), out, told.append)
    text = (out / train_published.PAGE).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (out / target).stat().st_size > 0
    held = json.loads((out / page.DATA_FILE).read_text(encoding="utf-8"))
    assert len(held["runs"]) == len(made.runs) >= 4
    assert len(held["local"]["radii"]) == 6
    assert any("epoch 1 of 1" in line for line in told)
    assert str(tmp_path) not in text


def test_command_asks_for_the_same_plan_again(tmp_path: Path) -> None:
    words = ["--shapes", "2x25", "50-10-50", "--seeds", "2", "--l1", "1e-4", "0", "--epochs", "7", "--cache", "here"]
    asked = train_published.plan_of(train_published.parser().parse_args(words))
    again = train_published.command(asked).split()[3:]
    assert train_published.plan_of(train_published.parser().parse_args([*again, "--cache", "here"])) == asked
    full = train_published.plan_of(train_published.parser().parse_args(["--full"]))
    assert (full.recipe.epochs, full.seeds, [shape.name for shape in full.shapes]) == (121, 5, list(ALL))


def test_missing_package_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert train_published.main([]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "torch is not installed" in err
