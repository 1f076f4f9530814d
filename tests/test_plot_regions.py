"""Pictures of regions: what is drawn is what was given, and what cannot be drawn is said."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.nets import random_network
from reludsl.domain import Box, Space
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.networks import general_position
from reludsl.plot import (
    Colouring,
    Measure,
    plot_accuracy,
    plot_breakpoints,
    plot_by_depth,
    plot_counts,
    plot_histogram,
    plot_line,
    plot_plane,
    plot_regions,
)
from reludsl.plot.colours import PALETTE, pattern_colours
from reludsl.plot.regions import RASTER
from reludsl.regions.bounds import montufar_2017, serra_2018
from reludsl.regions.lines import line, whole_line
from reludsl.regions.planar import decision_plane, plane

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
TWO = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0], [0.0, 1.0], [2.0, 1.0], [1.0, 3.0]])
"""A rectangle with a triangle on top."""
OFFSETS = np.array([0, 4, 7])


@pytest.fixture(autouse=True)
def agg(need: Callable[[str], Any]) -> None:
    need("matplotlib").use("Agg")


def drawn(axes: Any, label: str) -> Any:
    """The one collection of that label."""
    (found,) = [c for c in axes.collections if c.get_label() == label]
    return found


def labels(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("colouring", Colouring)
def test_nothing_of_a_map_is_cut_off_beside_its_legend_and_scale(colouring: Colouring) -> None:
    network, where = random_network(2, 6, 6, 3), Box([-1.25, -1.25], [1.25, 1.25])
    axes = plot_plane(plane(network, where), colouring, decision=decision_plane(network, where))
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()
    everything, page = axes.figure.get_tightbbox(canvas.get_renderer()), axes.figure.bbox_inches
    assert (everything.min >= page.min).all()
    assert (everything.max <= page.max).all()


def test_legend_shows_the_colours_of_lines_that_are_drawn_thin() -> None:
    corners, offsets = grid(1)
    many = np.zeros((20_000, 2, 2))
    axes = plot_regions(corners, offsets, np.zeros((1, 1)), boundaries=many, layers=np.arange(len(many)) % 2)
    assert drawn(axes, "layer 1").get_linewidth()[0] < 1
    assert [line.get_linewidth() >= 1 for line in axes.get_legend().get_lines()] == [True, True]


def grid(n: int) -> tuple[Any, Any]:
    """n x n squares as polygons."""
    x, y = (a.ravel() for a in np.meshgrid(np.arange(n), np.arange(n)))
    corners = (np.stack([x, y], axis=1)[:, None] + SQUARE).reshape(-1, 2)
    return corners, 4 * np.arange(n * n + 1)


# --- colours ----------------------------------------------------------------------------------------------------------


@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 130))), st.data())
def test_patterns_that_differ_in_one_bit_have_different_colours(bits: Any, data: st.DataObject) -> None:
    flipped = bits.copy()
    flipped[:, data.draw(st.integers(0, bits.shape[1] - 1))] ^= True
    before, after = pattern_colours(bits), pattern_colours(flipped)
    assert (before != after).all()
    assert before.min() >= 0
    assert after.max() < len(PALETTE)


def test_packed_patterns_that_differ_in_one_bit_have_different_colours() -> None:
    words = np.zeros((129, 2), dtype=np.uint64)
    for k in range(128):
        words[1 + k, k // 64] = np.uint64(1) << np.uint64(k % 64)
    found = pattern_colours(words)
    assert (found[1:] != found[0]).all()
    assert len(set(found.tolist())) == len(PALETTE)


def test_colours_of_many_patterns_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    bits = np.random.default_rng(0).random((50, 20)) < 0.5
    whole = pattern_colours(bits)
    monkeypatch.setattr("reludsl.plot.colours.CHUNK", 30)
    assert (pattern_colours(bits) == whole).all()


# --- the map ----------------------------------------------------------------------------------------------------------


def test_every_polygon_is_drawn_at_its_corners_in_the_colour_of_its_pattern() -> None:
    patterns = np.array([[0, 1], [1, 1]])
    axes = plot_regions(TWO, OFFSETS, patterns)
    regions = drawn(axes, "_regions")
    paths = regions.get_paths()
    assert [np.unique(path.vertices, axis=0).tolist() for path in paths] == [
        np.unique(TWO[a:b], axis=0).tolist() for a, b in pairwise(OFFSETS)
    ]
    assert regions.get_array().tolist() == pattern_colours(patterns).tolist()
    assert (axes.get_xlim(), axes.get_ylim()) == ((0.0, 2.0), (0.0, 3.0))
    assert axes.get_aspect() == 1.0


def test_classes_have_a_colour_and_an_entry_each() -> None:
    corners, offsets = grid(2)
    axes = plot_regions(corners, offsets, np.array([0, 2, 2, 0]), colouring=Colouring.CLASS)
    regions = drawn(axes, "_regions")
    regions.update_scalarmappable()
    colours = [tuple(colour) for colour in regions.get_facecolor().tolist()]
    assert colours[0] == colours[3] != colours[1] == colours[2]
    assert labels(axes) == ["class 0", "class 2"]
    entries = axes.get_legend().get_patches()
    assert [tuple(entry.get_facecolor()) for entry in entries] == [colours[0], colours[1]]


@pytest.mark.parametrize(
    ("colouring", "name"), [(Colouring.GRADIENT, "norm of the gradient"), (Colouring.ACTIVE, "active units")]
)
def test_numbers_have_a_scale_beside_them(colouring: Colouring, name: str) -> None:
    axes = plot_regions(TWO, OFFSETS, np.array([1.0, 3.0]), colouring=colouring)
    assert drawn(axes, "_regions").get_clim() == (1.0, 3.0)
    assert [other.get_ylabel() for other in axes.figure.axes if other is not axes] == [name]


def test_boundaries_are_coloured_by_layer_below_decision_boundary_and_points() -> None:
    segments = np.array([[[0, 0], [1, 0]], [[0, 1], [2, 1]], [[1, 0], [2, 0]]], dtype=float)
    axes = plot_regions(
        TWO, OFFSETS, np.array([[0], [1]]), boundaries=segments, layers=np.array([0, 1, 0]),
        decision=segments[1:2], points=np.array([[1.0, 0.5], [1.0, 2.0]]), labels=np.array([1, 0]),
    )  # fmt: skip
    first, second = drawn(axes, "layer 1"), drawn(axes, "layer 2")
    assert [s.tolist() for s in first.get_segments()] == segments[[0, 2]].tolist()
    assert [s.tolist() for s in second.get_segments()] == segments[1:2].tolist()
    assert first.get_color().tolist() != second.get_color().tolist()
    thick, points = drawn(axes, "decision boundary"), drawn(axes, "_points")
    assert thick.get_linewidth()[0] > first.get_linewidth()[0]
    assert points.get_offsets().tolist() == [[1.0, 0.5], [1.0, 2.0]]
    assert points.get_facecolor()[0].tolist() != points.get_facecolor()[1].tolist()
    order = [drawn(axes, "_regions"), second, first, thick, points]
    assert [c.get_zorder() for c in order] == sorted({c.get_zorder() for c in order})
    assert labels(axes) == ["layer 1", "layer 2", "decision boundary"]


def test_points_have_the_hue_of_their_class() -> None:
    axes = plot_regions(
        *grid(1), np.array([3]), colouring=Colouring.CLASS, points=np.array([[0.5, 0.5]]), labels=np.array([3])
    )
    drawn(axes, "_regions").update_scalarmappable()
    point, region = (np.array(drawn(axes, name).get_facecolor()[0][:3]) for name in ("_points", "_regions"))
    assert region.tolist() == pytest.approx((0.5 + 0.5 * point).tolist())


def test_many_polygons_become_pixels_and_few_do_not() -> None:
    few, many = grid(3), grid(int(np.sqrt(RASTER)) + 1)
    for (corners, offsets), expected in ((few, False), (many, True)):
        axes = plot_regions(corners, offsets, np.zeros((len(offsets) - 1, 1), dtype=bool))
        assert drawn(axes, "_regions").get_rasterized() is expected
        assert len(drawn(axes, "_regions").get_paths()) == len(offsets) - 1


@pytest.mark.slow
def test_hundred_thousand_polygons_are_written(tmp_path: Path) -> None:
    corners, offsets = grid(317)
    count = len(offsets) - 1
    sides = np.stack([corners.reshape(-1, 4, 2)[:, :2], corners.reshape(-1, 4, 2)[:, [0, 3]]], axis=1).reshape(-1, 2, 2)
    bits = np.random.default_rng(0).random((count, 200)) < 0.5
    axes = plot_regions(corners, offsets, bits, boundaries=sides, layers=np.arange(len(sides)) % 3)
    axes.figure.savefig(tmp_path / "picture.png")
    axes.figure.savefig(tmp_path / "picture.pdf")
    assert 0 < (tmp_path / "picture.pdf").stat().st_size < 5_000_000
    assert (tmp_path / "picture.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"corners": TWO[:, :1]}, "corners have the shape"),
        ({"corners": np.where(TWO == 3.0, np.inf, TWO)}, "1 of 14 numbers of corners are not finite"),
        ({"offsets": np.array([0, 4, 6])}, "7 corners"),
        ({"offsets": np.array([0, 5, 7])}, "grow by 3 or more"),
        ({"values": np.zeros((3, 1))}, "patterns have the shape"),
        ({"values": np.full((2, 1), 7)}, "no rows of bits"),
        ({"values": np.zeros(3), "colouring": Colouring.GRADIENT}, "norm of the gradient have the shape"),
        ({"values": np.array([-1, 0]), "colouring": Colouring.CLASS}, "give integers from 0 on"),
        ({"boundaries": np.zeros((3, 2))}, "boundaries have the shape"),
        ({"boundaries": np.zeros((3, 2, 2)), "layers": np.zeros(2, dtype=int)}, "layers have the shape"),
        ({"decision": np.zeros(4)}, "decision boundary have the shape"),
        ({"points": np.zeros((2, 3))}, "points have the shape"),
        ({"points": np.zeros((2, 2)), "labels": np.array([0.5, 0])}, "labels of the points are of type float64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_with_what_to_give(changed: dict[str, Any], words: str) -> None:
    asked = {"corners": TWO, "offsets": OFFSETS, "values": np.zeros((2, 1)), **changed}
    with pytest.raises(InvalidInput, match=words):
        plot_regions(**asked)


# --- complexes and lines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colouring", Colouring)
def test_plane_is_drawn_region_by_region(colouring: Colouring) -> None:
    found = plane(general_position(4, 2), Box([0, 0], [1, 1]))
    axes = plot_plane(found, colouring)
    assert len(drawn(axes, "_regions").get_paths()) == found.faces == 11
    assert len(drawn(axes, "layer 1").get_segments()) == int((found.right >= 0).sum())
    assert axes.get_xlim() == (0.0, 1.0)


def test_neighbours_in_a_plane_have_different_colours() -> None:
    found = plane(random_network(2, 8, 8, 1, seed=3), Box([-1, -1], [1, 1]))
    colours = drawn(plot_plane(found), "_regions").get_array()
    assert found.faces > 30
    assert (colours[found.adjacency[:, 0]] != colours[found.adjacency[:, 1]]).all()


@pytest.mark.parametrize("outputs", [1, 3])
def test_classes_of_a_decision_plane_are_those_of_the_network(outputs: int) -> None:
    net, box = random_network(2, 8, 8, outputs, seed=11), Box([-1, -1], [1, 1])
    cut = decision_plane(net, box)
    axes = plot_plane(plane(net, box), Colouring.CLASS, decision=cut)
    values = net(cut.centres)
    expected = values.argmax(axis=1) if outputs > 1 else (values[:, 0] > 0).astype(int)
    assert len(set(expected.tolist())) > 1
    assert drawn(axes, "_regions").get_array().tolist() == expected.tolist()
    assert len(drawn(axes, "decision boundary").get_segments()) == cut.boundary().size


def test_numbers_of_a_plane_are_active_units_and_gradient_norms() -> None:
    # two outputs: |x| and 2 |y|, whose gradient is (+-1, +-2) everywhere
    rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    out = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 2.0]])
    net = Network.chain([Affine(rows, np.zeros(4)), relu, Affine(out, np.zeros(2))], (2,))
    found = plane(net, Box([-1, -1], [1, 1]))
    norms = drawn(plot_plane(found, Colouring.GRADIENT), "_regions").get_array()
    active = drawn(plot_plane(found, Colouring.ACTIVE), "_regions").get_array()
    assert norms.tolist() == pytest.approx([np.sqrt(5)] * 4)
    assert active.tolist() == [2] * 4


def test_regions_that_reach_infinity_are_refused() -> None:
    with pytest.raises(InvalidInput, match="of a bounded domain"):
        plot_plane(plane(general_position(3, 2), Space(2)))


def test_layers_keep_their_colours_where_a_depth_is_given() -> None:
    segments = np.array([[[1.0, 0.0], [1.0, 1.0]]])
    colours = []
    for layers, depth in (([1], 3), ([1], None), ([2], 3)):
        axes = plot_regions(
            TWO, OFFSETS, np.array([[0], [1]]), boundaries=segments, layers=np.array(layers), depth=depth
        )
        lines = [c for c in axes.collections if str(c.get_label()).startswith("layer") and len(c.get_segments())]
        colours.append((lines[0].get_label(), tuple(lines[0].get_color()[0])))
        if depth is not None:
            assert len([c for c in axes.collections if str(c.get_label()).startswith("layer")]) == 1
    assert [name for name, _ in colours] == ["layer 2", "layer 2", "layer 3"]
    assert colours[0][1] != colours[1][1] == colours[2][1]


def test_line_is_drawn_from_end_to_end_with_its_breakpoints_by_layer() -> None:
    net = random_network(2, 6, 5, 2, seed=2)
    found = line(net, np.array([[-1.0, 0.0], [-2.0, -1.0]]), np.array([[1.0, 0.5], [2.0, 1.0]]))
    axes = plot_line(found, 1)
    own = found.chain[found.point] == 1
    for name in dict.fromkeys(found.layer):
        mine = own & np.array([layer == name for layer in found.layer])
        rug = drawn(axes, f"{name}: {int(mine.sum())}").get_segments()
        assert [s[0, 0] for s in rug] == found.t[found.point[mine]].tolist()
    outputs = {entry.get_label(): entry for entry in axes.lines if entry.get_label().startswith("output")}
    for k in range(2):
        t = outputs[f"output {k}"].get_xdata()
        x = np.array([-2.0, -1.0]) + np.outer(t, [4.0, 2.0])
        assert outputs[f"output {k}"].get_ydata() == pytest.approx(net(x)[:, k])
    assert axes.get_xlim() == (0.0, 1.0)


def test_whole_lines_and_curves_that_do_not_exist_are_refused() -> None:
    net = random_network(1, 3, 1)
    with pytest.raises(InvalidInput, match="give the number of a segment"):
        plot_line(whole_line(net, np.zeros(1), np.ones(1)))
    with pytest.raises(InvalidInput, match="curve 1 of 1"):
        plot_line(line(net, np.zeros(1), np.ones(1)), 1)


def test_rug_has_a_row_per_layer_below_the_outputs() -> None:
    axes = plot_breakpoints(
        np.array([0.0, 0.5, 1.0]), np.array([1.0, 3.0, 2.0]), np.array([0.5, 0.5]), np.array([0, 1])
    )
    first, second = (drawn(axes, f"layer {k}: 1").get_segments()[0] for k in (1, 2))
    assert first[:, 0].tolist() == second[:, 0].tolist() == [0.5, 0.5]
    assert second[:, 1].max() < first[:, 1].min()
    bottom, top = axes.get_ylim()
    assert bottom + first[:, 1].max() * (top - bottom) < 1.0 < 3.0 < top


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"t": np.array([0.0, 1.0, 0.5])}, "increase"),
        ({"t": np.array([0.0, np.inf, np.inf])}, "not finite"),
        ({"outputs": np.zeros((2, 1))}, "outputs have the shape"),
        ({"layers": np.array([0, 1])}, "layers of the breakpoints have the shape"),
        ({"layers": np.array([1]), "names": ("a",)}, "name every layer"),
    ],
)
def test_lines_that_are_none_are_refused(changed: dict[str, Any], words: str) -> None:
    asked = {
        "t": np.array([0.0, 0.5, 1.0]), "outputs": np.zeros(3), "breakpoints": np.array([0.5]), "layers": np.array([0]),
        **changed,
    }  # fmt: skip
    with pytest.raises(InvalidInput, match=words):
        plot_breakpoints(**asked)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_counts_show_mean_least_and_most_with_bounds_and_what_is_not_certain() -> None:
    axes = plot_counts(
        ["1,2", "2,1", "3,0"], [[2, 4, 6], [10], []], lower=[4, 10, 7], upper=[4, 20, 9],
        intervals={"probes": ([3, None, None], [5, None, None]), "xor": ([None, 4, None], [None] * 3)},
        bounds={"Theorem 1": [8, 30, None]},
    )  # fmt: skip
    (errors,) = axes.containers
    data, caps, _ = errors
    assert data.get_ydata()[:2].tolist() == [4.0, 10.0]
    assert np.isnan(data.get_ydata()[2])
    assert [cap.get_ydata()[0] for cap in caps] == [2.0, 6.0]
    named = {entry.get_label(): entry for entry in axes.lines}
    assert named["Theorem 1"].get_ydata()[:2].tolist() == [8.0, 30.0]
    assert named["Theorem 1"].get_linestyle() == "--"
    open_ = drawn(axes, "the mean lies between").get_segments()
    assert [s.tolist() for s in open_] == [[[1.0, 10.0], [1.0, 20.0]], [[2.0, 7.0], [2.0, 9.0]]]
    ((low, high),) = drawn(axes, "probes").get_segments()
    assert (low[1], high[1]) == (3.0, 5.0)
    assert (named["xor: at least"].get_ydata().tolist(), named["xor: at least"].get_marker()) == ([4.0], "^")
    assert axes.get_yscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1,2", "2,1", "3,0"]


def test_certain_counts_have_no_bar_of_uncertainty() -> None:
    axes = plot_counts(["1,1"], [[3]], lower=[3], upper=[3])
    assert "the mean lies between" not in labels(axes)


def test_interval_that_reaches_zero_is_drawn_from_one_region_on() -> None:
    axes = plot_counts(["1,1"], [[3]], intervals={"probes": ([0.0], [5.0])})
    ((low, high),) = drawn(axes, "probes").get_segments()
    assert (low[1], high[1]) == (1.0, 5.0)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"counts": [[1]]}, "2 configurations and counts of 1"),
        ({"configurations": [], "counts": []}, "at least one"),
        ({"bounds": {"Theorem 1": [1]}}, "Theorem 1 has 1 values for 2"),
        ({"bounds": {"2^N": [1, 2**1100]}}, "a value beyond 1e308"),
        ({"lower": [1, 9], "upper": [1, 8]}, "give lower first"),
    ],
)
def test_counts_that_do_not_fit_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plot_counts(**{"configurations": ["1,2", "2,1"], "counts": [[1], [1]], **changed})


def test_bounds_by_depth_are_those_of_the_published_plot_with_a_star_at_the_best() -> None:
    axes = plot_by_depth(60, [1, 10, 60])
    lines = {entry.get_label(): entry.get_ydata().tolist() for entry in axes.lines if entry.get_label()[0] != "_"}
    assert list(lines) == ["1 input", "10 inputs", "60 inputs"]
    assert lines["10 inputs"] == [float(serra_2018(10, [60 // depth] * depth)) for depth in range(1, 7)]
    stars = [(entry.get_xdata()[0], entry.get_ydata()[0]) for entry in axes.lines if entry.get_label() == "_best"]
    assert [depth for depth, _ in stars] == [6, 3, 1]
    assert [value for _, value in stars] == [max(values) for values in lines.values()]
    # of 1 input 30 layers are better still, and are not drawn
    assert axes.get_legend().get_title().get_text() == "star: best of 1 to 6"


def test_another_bound_is_drawn_at_the_depths_that_are_asked_for() -> None:
    axes = plot_by_depth(12, [2], [3, 1], montufar_2017)
    assert axes.lines[0].get_xdata().tolist() == [1, 3]
    assert axes.lines[0].get_ydata().tolist() == [montufar_2017(2, [12]), montufar_2017(2, [4, 4, 4])]


def test_accuracy_is_drawn_over_counts_by_the_width_of_layer_1() -> None:
    axes = plot_accuracy([10, 1000, 50], [90.0, 95.0, 80.0], [4, 18, 1], lower=[10, 800, 50], upper=[10, 2000, 50])
    dots = drawn(axes, "_networks")
    assert dots.get_offsets().tolist() == [[10.0, 90.0], [1000.0, 95.0], [50.0, 80.0]]
    assert dots.get_array().tolist() == [4, 18, 1]
    assert [s.tolist() for s in drawn(axes, "_uncertain").get_segments()] == [[[800.0, 95.0], [2000.0, 95.0]]]
    assert (axes.get_xscale(), axes.get_ylabel()) == ("log", "test accuracy in %")
    assert [other.get_ylabel() for other in axes.figure.axes[1:]] == ["width of layer 1"]


def test_accuracy_is_restricted_to_widths_of_layer_1() -> None:
    axes = plot_accuracy([10, 1000, 50], [9.0, 5.0, 8.0], [4, 18, 1], widths=(4, 18), quantity="test error in %")
    assert drawn(axes, "_networks").get_array().tolist() == [4, 18]
    assert axes.get_ylabel() == "test error in %"
    with pytest.raises(InvalidInput, match="none of 3 networks has 5 to 6 units"):
        plot_accuracy([10, 1000, 50], [9.0, 5.0, 8.0], [4, 18, 1], widths=(5, 6))


def test_histogram_of_areas_holds_every_positive_one() -> None:
    axes = plot_histogram(np.array([0.0, 0.001, 0.01, 1.0]), Measure.AREA, bins=6)
    heights = [patch.get_height() for patch in axes.patches]
    assert (len(heights), sum(heights), axes.get_xscale()) == (6, 3, "log")
    assert "4 values, 1 of them 0" in labels(axes)
    assert axes.get_xlabel() == "area of a region"


def test_histogram_of_edges_has_a_bar_for_each_number() -> None:
    found = plane(general_position(4, 2), Box([0, 0], [1, 1]))
    axes = plot_histogram(np.diff(found.polygons()[1]), Measure.EDGES)
    counted = {round(p.get_x() + p.get_width() / 2): int(p.get_height()) for p in axes.patches}
    assert counted == {
        edges: int((np.diff(found.polygons()[1]) == edges).sum()) for edges in range(min(counted), max(counted) + 1)
    }


def test_histogram_of_equal_values_is_one_bar() -> None:
    axes = plot_histogram(np.full(5, 0.25), Measure.DISTANCE)
    assert [patch.get_height() for patch in axes.patches] == [5]


@pytest.mark.parametrize(
    ("values", "measure", "words"),
    [
        ([], Measure.AREA, "0 values of area of a region"),
        ([-1.0, 1.0], Measure.DISTANCE, "from -1 to 1"),
        ([0.0, 0.0], Measure.AREA, "at least one above 0"),
        ([3.5], Measure.EDGES, "whole numbers"),
        ([np.inf], Measure.AREA, "not finite"),
    ],
)
def test_values_without_a_histogram_are_refused(values: list[float], measure: Measure, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plot_histogram(np.array(values), measure)


@pytest.mark.parametrize(
    "draw",
    [
        lambda axes: plot_regions(TWO, OFFSETS, np.zeros((2, 1)), axes=axes),
        lambda axes: plot_counts(["1"], [[1]], axes=axes),
        lambda axes: plot_by_depth(4, [1], [1, 2], axes=axes),
        lambda axes: plot_accuracy([1], [1.0], [1], axes=axes),
        lambda axes: plot_histogram(np.ones(2), Measure.AREA, axes=axes),
        lambda axes: plot_breakpoints(
            np.array([0.0, 1.0]), np.zeros(2), np.zeros(0), np.zeros(0, dtype=int), axes=axes
        ),
    ],
)
def test_given_axes_are_drawn_on_and_written(draw: Callable[[Any], Any], tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    assert draw(axes) is axes
    axes.figure.savefig(tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").stat().st_size > 0
