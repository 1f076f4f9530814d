"""Studies 1 and 2 at small size: growth, proportion and order over five seeds, and what is said when not seen."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.expressivity import arrangement, length, patterns
from benchmarks.expressivity.convolutional import convolutional
from benchmarks.expressivity.finding import Finding
from benchmarks.expressivity.images import at_hand
from reludsl.regions.bounds import raghu

SMALL = length.Settings(
    widths=(16, 48),
    depth=5,
    variances=(1.0, 4.0, 16.0),
    hard_variances=(3.0, 16.0),
    channels=3,
    conv_depth=4,
    conv_variances=(1.0, 16.0),
    hard_conv_variances=(3.0,),
    shapes=((1, 4, 1), (1, 4, 2), (2, 4, 1), (2, 4, 2), (2, 6, 1), (2, 6, 2)),
    hard_shapes=((1, 3, 1), (1, 3, 2), (2, 3, 1), (2, 3, 2)),
    data="digits",
)
FEW = arrangement.Settings(
    neurons=((1, 12),), deep=((1, (3, 3)), (1, (3, 3, 3)), (2, (6, 6)), (2, (6, 6, 6))), networks=5
)


@pytest.fixture(scope="module")
def found() -> Finding:
    """Five networks of every setting."""
    return length.study(SMALL)


@pytest.fixture(scope="module")
def arranged() -> Finding:
    return arrangement.study(FEW)


def grown(found: Finding, kind: str) -> dict[tuple[int, float], dict[str, Any]]:
    return {(g["width"], g["weight_variance"]): g for g in found.numbers["growth"] if g["kind"] == kind}


# --- length -----------------------------------------------------------------------------------------------------------


def test_log_length_of_every_seed_is_a_line_whose_slope_grows_with_the_weights(found: Finding) -> None:
    for kind in (length.RELU, length.TANH):
        ratios = {key: np.array(one["ratios"]) for key, one in grown(found, kind).items()}
        for width in SMALL.widths:
            line = [ratios[key] for key in sorted(ratios) if key[0] == width]
            # seed by seed, five of them
            assert all((a < b).all() for a, b in pairwise(line))
            assert all(len(ratio) == 5 for ratio in line)
    for one in grown(found, length.TANH).values():
        logs = np.log(np.array(one["lengths"])[:, 1:])
        assert (np.diff(logs, axis=1).mean(axis=1) > 0).all()
        assert one["r_squared"] > 0.95


def test_relu_length_grows_by_the_scale_over_the_root_of_two(found: Finding) -> None:
    for (width, variance), one in grown(found, length.RELU).items():
        if width == max(SMALL.widths):
            assert one["ratio"] == pytest.approx((variance / 2) ** 0.5, rel=0.1)


def test_transitions_of_hard_tanh_are_in_proportion_to_length(found: Finding) -> None:
    one = grown(found, length.TANH)[48, 16.0]
    x, y = (np.array(one[name])[:, -4:] for name in ("lengths", "transitions"))
    for a, b in zip(x, y):
        assert np.corrcoef(a, b)[0, 1] > 0.97
    assert 0.8 < one["transitions_against_length"]["log_slope"] < 1.25
    assert one["transitions_against_length"]["r_squared"] > 0.95


def test_observations_are_seen_and_say_their_numbers(found: Finding) -> None:
    relu, hard, conv, hard_conv, linear, counts = found.observations
    assert [one.seen for one in (relu, hard, linear, counts)] == [True] * 4
    assert "ReLU convolutions" in conv.measured
    assert "hard tanh convolutions" in hard_conv.measured
    (one,) = grown(found, length.TANH_CONV).values()
    assert min(one["ratios"]) > 1
    assert f"{grown(found, length.TANH)[48, 3.0]['ratio']:.2f} at s^2 = 3" in hard.measured
    assert found.sentence.count("(seen)") == sum(one.seen for one in found.observations)
    assert any("CIFAR-10" in note and "digits" in note for note in found.notes)
    assert json.loads(json.dumps(found.as_json()))["settings"]["data"] == "digits"


def test_counts_are_within_their_bounds_and_one_layer_attains_that_of_relu(found: Finding) -> None:
    for one in found.numbers["patterns"]:
        breaks = 1 if one["kind"] == length.RELU else 2
        assert one["bound"] == raghu(one["inputs"], [one["width"]] * one["depth"], breaks)
        assert max(one["counts"]) <= one["bound"]
        if one["depth"] == 1 and one["kind"] == length.RELU:
            assert set(one["counts"]) == {one["bound"]}


def test_pattern_that_does_not_grow_is_not_seen() -> None:
    one = patterns.Counted(kind="ReLU", inputs=1, width=2, depth=1, counts=(3,), bound=3)
    more = [replace(one, depth=2, counts=(5,), bound=9), replace(one, width=3, counts=(4,), bound=4)]
    wider = replace(one, inputs=2, counts=(4,), bound=4)
    assert patterns.observation([one, *more, wider]).seen
    assert not patterns.observation([one, *more, replace(wider, counts=(3,))]).seen
    assert not patterns.observation([one, *more, replace(wider, counts=(5,))]).seen
    assert not patterns.observation([one, *more]).seen


def test_growth_that_is_no_exponential_is_not_seen() -> None:
    depth = np.arange(7.0)
    lengths = {4.0: 1.5**depth, 16.0: 2.0**depth}

    def observed(changed: dict[float, Any]) -> bool:
        all_of = {**lengths, **changed}
        rows = [length.Grown(length.RELU, 9, v, 0.0, line[None], np.ones((1, 6))) for v, line in all_of.items()]
        return length._exponential(length.RELU, rows).seen

    assert observed({})
    assert not observed({16.0: 1.2**depth})
    assert not observed({4.0: 0.9**depth})
    assert not observed({16.0: np.array([1.0, 2, 1, 2, 1, 2, 900])})


def test_arcs_that_end_in_a_point_are_left_out_of_means_and_counted() -> None:
    depth = np.arange(4.0)
    dying = np.array([2**depth, [1.0, 1.0, 0.5, 0.0], 3**depth])
    one = length.Grown(length.CONV, 9, 4.0, 0.0, dying, np.array([[3.0, 2, 2], [1, 1, 0], [3, 3, 3]]))
    assert one.dead == 1
    assert one.ratios.tolist() == pytest.approx([2, 3])
    assert one.ratio == pytest.approx(6**0.5)
    assert one.straightness == pytest.approx(1.0)
    assert np.isfinite(one.proportionality).all()
    steeper = replace(one, variance=16.0, lengths=4.0 ** depth[None], transitions=np.ones((1, 3)))
    found = length._exponential(length.CONV, [one, steeper])
    assert found.seen
    assert "2.45 at s^2 = 4" in found.measured
    assert "without the 1 of 4 arcs that end in a point" in found.measured
    gone = replace(one, lengths=dying[1:2], transitions=np.ones((1, 3)))
    assert not length._exponential(length.CONV, [gone, steeper]).seen
    rows = length._table([one, gone]).rows
    assert [row[3] for row in rows] == [
        "2.449 (2.00 to 3.00; without 1 that ends in a point)",
        "- (all arcs end in a point)",
    ]


def test_r_squared_in_the_sentence_is_never_more_than_the_measured_one(found: Finding) -> None:
    for one, kind in zip(found.observations, length.KINDS):
        said = re.search(r"R² >= (0\.\d+) wherever", one.measured)
        assert said is not None
        least = min(g["r_squared"] for g in grown(found, kind).values() if g["weight_variance"] > 2)
        assert least - 1e-3 < float(said[1]) <= least


def test_digits_stand_in_where_mnist_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("benchmarks.expressivity.images.MNIST", tmp_path / "mnist.npz")
    assert at_hand("mnist") == "digits"
    (tmp_path / "mnist.npz").touch()
    assert at_hand("mnist") == "mnist"
    assert at_hand("digits") == "digits"


def test_convolutional_network_is_drawn_as_dense_ones_are() -> None:
    net = convolutional(28, 32, 3, 0, weight_scale=3.0, bias_scale=0.5)
    assert [net.shapes[node.name] for node in net.nodes[::2]] == [(32, 14, 14)] * 3
    last: Any = net.nodes[4].layer
    assert last.weight.std() == pytest.approx(3.0 / np.sqrt(9 * 32), rel=0.05)
    again: Any = convolutional(28, 32, 3, 0, weight_scale=3.0, bias_scale=0.5).nodes[4].layer
    assert (again.weight == last.weight).all()


# --- arrangement ------------------------------------------------------------------------------------------------------


def test_arrangement_has_the_table_of_twelve_neurons(arranged: Finding) -> None:
    rows = {one["width"]: one for one in arranged.numbers["arranged"]}
    assert {k: rows[k]["expression"] for k in (2, 3, 4, 6)} == pytest.approx({2: 64, 3: 81, 4: 64, 6: 36})
    assert {k: rows[k]["largest"] for k in rows} == {1: None, 2: None, 3: 256, 4: 125, 6: 49, 12: 13}
    assert all(max(row["random"]) <= (row["width"] + 1) ** (12 // row["width"]) for row in rows.values())
    assert [one.seen for one in arranged.observations] == [True] * 3


def test_deep_networks_have_more_regions_than_any_shallow_one_of_as_many_parameters(arranged: Finding) -> None:
    rows = arranged.numbers["compared"]
    assert [(one["deep"], one["shallow"]) for one in rows] == [(16, 10), (64, 16), (352, 211), (5632, 596)]
    for one in rows:
        assert one["units"] * (one["inputs"] + 1) >= one["parameters"]
        assert max(one["random_shallow"]) <= one["shallow"]
        assert max(one["random_deep"]) <= one["deep"]


def test_pictures_of_both_studies_are_drawn(found: Finding, arranged: Finding, need: Any) -> None:
    need("matplotlib")
    from matplotlib.figure import Figure

    for finding in (found, arranged):
        for picture in finding.pictures:
            figure = Figure(figsize=picture.size)
            picture.draw(figure)
            assert figure.axes
            assert all(axes.has_data() for axes in figure.axes)
