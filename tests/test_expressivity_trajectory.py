"""Transitions and lengths along trajectories: against samples, known counts, enumerated patterns and fine chords."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from region_nets import chain, pieces_at, widest
from scipy.integrate import quad

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.expressivity import (
    Trajectory,
    circle_trajectory,
    image,
    polyline_trajectory,
    trajectory,
)
from reludsl.layers import Affine, AffineLayer, MaxLayer, PiecewiseLinear, elementwise, maxout, relu
from reludsl.layers.activations import hard_tanh, leaky_relu
from reludsl.network import INPUT, Network
from reludsl.networks import gaussian_network, random_network, sawtooth
from reludsl.plot import plot_images, plot_lengths
from reludsl.regions import arc as cut_arc
from reludsl.regions import whole_line
from reludsl.regions.ellipse import ellipse_lengths
from reludsl.regions.spectral import spectral_bound
from reludsl.testing.strategies import graphs

ZIGZAG = PiecewiseLinear("zigzag", (-0.5, 0.25, 1.0), (1, -1, 0.5, 2))
ACTIVATIONS = {"relu": relu, "hard_tanh": hard_tanh(), "leaky_relu": leaky_relu(), "zigzag": ZIGZAG}


def folded(n: int) -> Network:
    """The tent by hard tanh, n times: (clip(4 x - 1) - clip(4 x - 3)) / 2; both units switch at 1/2, one into and one
    out of its linear piece, and only touch their other break at 0 and 1."""
    layers: list[Any] = []
    row = np.array([[1.0]])
    for _ in range(n):
        layers += [Affine(np.array([[4.0], [4.0]]) @ row, np.array([-1.0, -3.0])), hard_tanh()]
        row = np.array([[0.5, -0.5]])
    return Network.chain([*layers, Affine(row, np.zeros(1))], (1,))


def pooled() -> Network:
    """Two layers of maxout units."""
    rng = np.random.default_rng(3)
    first, second = rng.normal(size=(12, 4)), rng.normal(size=(9, 4))
    return Network.chain(
        [Affine(first, rng.normal(size=12)), maxout(12, 3), Affine(second, rng.normal(size=9)), maxout(9, 3)], (4,)
    )


# --- transitions ------------------------------------------------------------------------------------------------------


def _nets() -> Iterator[Any]:
    for name, kind in ACTIVATIONS.items():
        yield pytest.param(gaussian_network((4, 16, 16), 2, weight_scale=2.0, bias_scale=0.5, activation=kind), id=name)
    yield pytest.param(pooled(), id="maxout")


@pytest.mark.parametrize("network", list(_nets()))
def test_transitions_on_a_segment_are_the_pattern_changes_on_a_million_samples(network: Network) -> None:
    start, end = 4 * np.random.default_rng(0).normal(size=(2, network.input_size))
    found = trajectory(network, start, end)
    samples, step = 1_000_000, 100_000
    t = (np.arange(samples) + 0.5) / samples
    changes = np.zeros(found.by_unit.shape[1], dtype=np.int64)
    moments = []
    # from the last sample of a chunk on, so that no change is lost between two
    for first in range(0, samples, step):
        part = t[max(0, first - 1) : first + step]
        seen = pieces_at(network, (1 - part)[:, None] * start + part[:, None] * end)
        differ = seen[1:] != seen[:-1]
        changes += differ.sum(axis=0)
        moments.append(0.5 * (part[1:] + part[:-1])[differ.any(axis=1)])
    assert np.diff(found.breakpoints(), prepend=0, append=1).min() > 2 / samples
    assert found.transitions[0] == len(found.breakpoints()) >= 4
    assert found.breakpoints() == pytest.approx(np.concatenate(moments), abs=1 / samples)
    assert found.by_unit[0].tolist() == changes.tolist()
    assert found.by_layer.sum() == found.transitions[0]


@pytest.mark.parametrize("n", range(1, 8))
def test_transitions_of_sawtooths_are_one_less_than_their_pieces(n: int) -> None:
    zero, one = np.array([0.0]), np.array([1.0])
    assert trajectory(sawtooth(n), zero, one).transitions.tolist() == [2**n - 1]
    assert trajectory(sawtooth(n, merged=True), one, zero).transitions.tolist() == [2**n - 1]
    assert trajectory(sawtooth(n), zero, one).lengths[0, -1] == 2**n
    found = trajectory(folded(n), zero, one)
    assert found.transitions.tolist() == [2**n - 1]
    assert found.by_unit.tolist() == [[2**k for k in range(n) for _ in range(2)]]
    assert found.lengths[0, -1] == 2**n


@pytest.mark.parametrize("layers", range(1, 5))
def test_transitions_of_the_widest_networks_are_four_to_the_layers_less_one(layers: int) -> None:
    found = trajectory(widest(layers), np.array([-100.0]), np.array([100.0]))
    assert found.transitions.tolist() == [4**layers - 1]
    assert found.by_layer[0].cumsum().tolist() == [4**k - 1 for k in range(1, layers + 1)]


def test_hard_tanh_unit_switches_twice_and_maximum_where_its_winner_changes() -> None:
    layer = Affine(np.array([[1.0], [-2.0], [0.5]]), np.array([0.25, 1.0, 0.0]))
    found = trajectory(Network.chain([layer, hard_tanh()], (1,)), np.array([-5.0]), np.array([5.0]))
    assert (found.transitions.tolist(), found.by_unit.tolist()) == ([6], [[2, 2, 2]])
    one = Network.chain([Affine(np.array([[-1.0], [0.0], [1.0]]), np.array([0.0, 1.0, 0.0])), maxout(3, 3)], (1,))
    found = trajectory(one, np.array([-3.0]), np.array([3.0]))
    assert (found.breakpoints() * 6 - 3).tolist() == pytest.approx([-1, 1])
    assert found.by_unit.tolist() == [[2]]


def test_closed_curve_switches_where_it_begins() -> None:
    # the second unit is on its break at the beginning, on the left of the circle and of the chain that comes back
    net = chain([np.eye(2)], [[-0.5, 0.0]])
    found = circle_trajectory(net, 0.0, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert (found.transitions.tolist(), found.by_unit.tolist()) == ([4], [[2, 2]])
    assert found.breakpoints() == pytest.approx([0, 1 / 6, 1 / 2, 5 / 6])
    # turned, no unit is on its break there
    turned = circle_trajectory(net, 0.0, np.array([0.6, 0.8]), np.array([-0.8, 0.6]))
    assert turned.by_unit.tolist() == [[2, 2]]
    corners = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0]])
    chained = polyline_trajectory(net, np.stack([corners, corners + np.array([0.0, 0.1])]))
    assert chained.by_unit.tolist() == [[2, 2], [2, 2]]
    assert chained.closed.all()
    there = polyline_trajectory(net, corners[:4])
    assert (there.closed.tolist(), there.transitions.tolist()) == ([False], [2])


@given(graphs(), st.integers(0, 2**31))
def test_transitions_of_any_graph_are_those_of_every_curve_alone(network: Network, seed: int) -> None:
    start, end = np.random.default_rng(seed).normal(size=(2, 3, network.input_size))
    for arc in (False, True):
        found = trajectory(network, start, end, arc=arc)
        alone = [trajectory(network, a, b, arc=arc) for a, b in zip(start, end)]
        assert found.by_unit.tolist() == [one.by_unit[0].tolist() for one in alone]
        assert (found.transitions <= found.by_unit.sum(axis=1)).all()
        assert found.lengths == pytest.approx(np.concatenate([one.lengths for one in alone]), abs=1e-9)
        for k in range(3):
            assert len(found.breakpoints(k)) == found.transitions[k]
            assert ((found.breakpoints(k) >= 0) & (found.breakpoints(k) < 1)).all()


# --- lengths ----------------------------------------------------------------------------------------------------------


def enumerated(network: Network, start: FloatArray, end: FloatArray) -> FloatArray:
    """Lengths behind every layer of a chain, by trying every pattern of all units: where on the segment its
    inequalities hold, every layer moves by its affine map times the way."""
    total = np.zeros(1 + len(network.nodes))
    total[0] = np.linalg.norm(end - start)
    kinds = [node.layer for node in network.nodes]
    units = [k.weight.shape[0] for k in kinds if isinstance(k, Affine)][: sum(not isinstance(k, Affine) for k in kinds)]
    (pieces,) = {len(k.breaks) + 1 for k in kinds if elementwise(k)}
    for pattern in itertools.product(range(pieces), repeat=sum(units)):
        rest = np.array(pattern)
        offset, way, low, high = start, end - start, 0.0, 1.0
        steps = [0.0]
        for layer in kinds:
            if isinstance(layer, Affine):
                offset, way = layer.weight @ offset + layer.bias, layer.weight @ way
            else:
                assert isinstance(layer, PiecewiseLinear)
                piece, rest = rest[: offset.size], rest[offset.size :]
                edges = np.array([-np.inf, *layer.breaks_at(1)[:, 0], np.inf])
                with np.errstate(divide="ignore", invalid="ignore"):
                    a, b = (edges[piece] - offset) / way, (edges[piece + 1] - offset) / way
                low = max(low, float(np.minimum(a, b).max()))
                high = min(high, float(np.maximum(a, b).min()))
                slope, intercept = layer.slope_of(piece), layer.intercept_of(piece)
                offset, way = slope * offset + intercept, slope * way
            if low >= high:
                break
            steps.append(float(np.linalg.norm(way)))
        else:
            total[1:] += (high - low) * np.array(steps[1:])
    return total


@pytest.mark.parametrize(("kind", "sizes"), [("relu", (3, 4, 4)), ("hard_tanh", (2, 3, 3)), ("zigzag", (2, 2, 2))])
@pytest.mark.parametrize("seed", range(3))
def test_lengths_are_summed_affine_pieces_of_all_patterns(kind: str, sizes: tuple[int, ...], seed: int) -> None:
    network = gaussian_network(sizes, seed, weight_scale=2.0, bias_scale=1.0, activation=ACTIVATIONS[kind], outputs=2)
    start, end = np.random.default_rng(seed).normal(size=(2, sizes[0]))
    scale = 1.0 if kind == "hard_tanh" else 3.0
    start, end = scale * start, scale * end
    found = trajectory(network, start, end)
    names = [INPUT, *(node.name for node in network.nodes)]
    known = enumerated(network, start, end)
    assert found.lengths[0] == pytest.approx([known[names.index(stop)] for stop in found.stops], abs=1e-9, rel=1e-9)
    assert found.stops == (INPUT, "1_" + kind, "3_" + kind, "4_affine")
    assert found.lengths.all()
    assert found.growth[0] * found.lengths[0, :-1] == pytest.approx(found.lengths[0, 1:])


@pytest.mark.parametrize("kind", ["relu", "hard_tanh"])
def test_arcs_are_what_polylines_of_a_hundred_thousand_pieces_come_to(kind: str) -> None:
    network = gaussian_network((5, 8, 8), 1, weight_scale=2.0, bias_scale=0.3, activation=ACTIVATIONS[kind], outputs=2)
    x, y = np.random.default_rng(1).normal(size=(2, 5))
    found = trajectory(network, x, y, arc=True)
    angle = np.linspace(0, 0.5 * math.pi, 100_001)[:, None]
    chords = polyline_trajectory(network, np.cos(angle) * x + np.sin(angle) * y)
    assert found.by_unit.tolist() == chords.by_unit.tolist()
    assert found.breakpoints() == pytest.approx(chords.breakpoints(), abs=1e-9)
    # a chord is shorter than its arc by a factor of 1 - h^2 / 24, h = 1.6e-5
    assert chords.lengths == pytest.approx(found.lengths, rel=1e-10)
    assert found.length_errors is not None
    assert (found.length_errors <= 1e-10 * found.lengths).all()
    assert chords.length_errors is None


def _steepness(network: Network, stop: str) -> float:
    """How much a node can change at most for a change of the inputs by 1, in the largest element."""
    held = {INPUT: np.ones(network.input_size)}
    for node in network.cone(stop) if stop != INPUT else ():
        given, layer = network.gather(node, held), node.layer
        if isinstance(layer, AffineLayer):
            held[node.name] = layer.absolute(given)
        elif isinstance(layer, MaxLayer):
            held[node.name] = given[layer.windows].max(axis=1)
        else:
            assert elementwise(layer)
            held[node.name] = np.abs(layer.slopes_at(given.size)).max(axis=0) * given
    return float(held[stop].sum())


@given(graphs(), st.integers(0, 2**31), st.floats(0.2, 1.3))
def test_lengths_of_parts_of_a_circle_add_up_within_their_errors(network: Network, seed: int, angle: float) -> None:
    x, y = np.random.default_rng(seed).normal(size=(2, network.input_size))
    # the same circle from another point on: other breakpoints of the sweep, other coefficients
    a, b = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    one, other = circle_trajectory(network, 0.0, x, y), circle_trajectory(network, 0.0, a, b)
    assert one.length_errors is not None
    assert other.length_errors is not None
    # a and b themselves are rounded, which the Lipschitz constant of the layers carries on
    rounded = 1e-14 * (1 + one.lengths[:, :1]) * (1 + np.array([_steepness(network, stop) for stop in one.stops]))
    allowed = one.length_errors + other.length_errors + rounded
    assert (np.abs(one.lengths - other.lengths) <= allowed).all()
    four = [trajectory(network, p, q, arc=True) for p, q in ((x, y), (y, -x), (-x, -y), (-y, x))]
    total = sum(part.lengths for part in four)
    errors = sum(part.length_errors for part in four if part.length_errors is not None)
    assert (np.abs(total - one.lengths) <= errors + one.length_errors + rounded).all()


@given(
    st.lists(st.tuples(*[st.floats(-3, 3)] * 2), min_size=1, max_size=4), st.floats(-4, 4), st.floats(0.01, 2 * math.pi)
)
def test_length_of_an_ellipse_is_the_integral_of_its_speed(
    axes: list[tuple[float, float]], left: float, width: float
) -> None:
    a, b = np.array(axes).T
    length, error = ellipse_lengths(a[None], b[None], np.array([left]), np.array([left + width]))
    # where the speed bends most, for the rule to be cut there
    turns = 0.5 * math.atan2(2 * a @ b, a @ a - b @ b) + 0.5 * math.pi * np.arange(-6, 10)
    corners = [left, *(t for t in turns if left < t < left + width), left + width]

    def speed(s: float) -> float:
        return float(np.linalg.norm(np.cos(s) * b - np.sin(s) * a))

    known = sum(quad(speed, p, q, epsabs=1e-12, epsrel=1e-12, limit=200)[0] for p, q in itertools.pairwise(corners))
    assert length[0] == pytest.approx(known, abs=1e-9)
    assert error[0] <= 1e-11


@given(st.integers(0, 2**31), st.floats(1e-12, 1e-2))
def test_length_of_a_perturbed_ellipse_is_within_the_drift(seed: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    a, b, da, db = rng.normal(size=(4, 1, 3))
    ends = np.array([0.3]), np.array([0.3 + rng.uniform(0, 6)])
    length, error = ellipse_lengths(a, b, *ends, size)
    off = [size * d / max(1.0, float(np.linalg.norm(d))) for d in (da, db)]
    other, own = ellipse_lengths(a + off[0], b + off[1], *ends)
    assert abs(length - other) <= error + own


@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1e-80, 1e-3, 1.0, 1e80]))
def test_spectral_bound_is_above_the_norm_and_near_it(seed: int, rows: int, columns: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    # of any rank, sorted by no size
    matrix = scale * rng.normal(size=(rows, columns)) * 10.0 ** rng.integers(-3, 3, columns)
    known = float(np.linalg.norm(matrix, 2))
    assert known * (1 - 1e-12) <= spectral_bound(matrix)
    if 1e-60 < scale < 1e60:
        assert spectral_bound(matrix) <= known * min(rows, columns) ** (1 / 16) * (1 + 1e-6)


def test_error_of_a_deep_network_stays_below_its_lengths() -> None:
    network = gaussian_network((20, *[40] * 12), 0, weight_scale=2.0, bias_scale=0.2)
    x, y = np.random.default_rng(2).normal(size=(2, 20))
    found = trajectory(network, x, y, arc=True)
    assert found.length_errors is not None
    assert (found.length_errors < 1e-4 * found.lengths).all()


@pytest.mark.parametrize("flat", [0.0, 1e-300, 1e-160, 1e-12, 1e-8])
def test_length_of_a_flat_ellipse_is_twice_the_way_there_and_back(flat: float) -> None:
    length, error = ellipse_lengths(np.array([[1.0, 0.0]]), np.array([[0.0, flat]]), np.zeros(1), np.full(1, 2 * np.pi))
    assert abs(length[0] - 4) <= error[0] + 20 * flat**2 * (flat > 1e-10) + 1e-15 < 1e-11


# --- images and pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [0.0, 0.7, math.pi, 2.5])
def test_circle_that_touches_a_break_stays_on_the_piece_beside_it(turn: float) -> None:
    """1 + cos(s - turn) touches 0 at turn + pi, in the middle of the circle for turn 0."""
    net = Network.chain([Affine(np.array([[math.cos(turn), math.sin(turn)]]), np.ones(1)), relu], (2,))
    found = circle_trajectory(net, 0.0, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    np.testing.assert_allclose(found.lengths[0], [2 * math.pi, 4.0], atol=1e-6)


def test_transitions_of_a_small_segment_do_not_depend_on_a_large_one_beside_it() -> None:
    net = Network.chain([Affine(np.eye(1), np.zeros(1)), relu, maxout(1, 1), Affine(np.eye(1), np.zeros(1))], (1,))
    starts, ends = np.array([[-1e-3], [0.5]]), np.array([[1e-3], [1e12]])
    assert trajectory(net, starts, ends).transitions.tolist() == [1, 0]
    assert trajectory(net, starts, ends, arc=True).transitions.tolist() == [1, 0]


def test_unit_that_is_zero_but_for_rounding_switches_nowhere() -> None:
    """0.1 x + 0.2 x - 0.3 x, of which floats leave 1e-17 x, as a ReLU and as a maximum with 0."""
    split = Affine(np.array([[0.1, 0.0], [0.2, 0.0], [0.3, 0.0]]), np.array([2.0, 2.0, 4.0]))
    for last in (
        [Affine(np.array([[1.0, 1.0, -1.0]]), np.zeros(1)), relu],
        [Affine(np.array([[1.0, 1.0, -1.0], [0.0, 0.0, 0.0]]), np.zeros(2)), maxout(2, 2)],
    ):
        net = Network.chain([split, relu, *last], (2,))
        ends = np.array([1.0, 0.3]), np.array([-1.0, 1.7])
        assert not trajectory(net, *ends).transitions.any()
        assert not trajectory(net, *ends, arc=True).transitions.any()
        assert not circle_trajectory(net, np.array([0.7, 0.1]), *ends).transitions.any()


@pytest.mark.parametrize("turns", [0, 10**3, 10**8])
def test_length_far_around_the_circle_is_the_same_within_the_errors(turns: int) -> None:
    net = Network.chain([Affine(np.diag([3.0, 1.0]), np.full(2, 10.0)), relu], (2,))
    low = float(round(turns * 2 * math.pi))
    found = cut_arc(net, 0.0, np.array([1.0, 0.0]), np.array([0.0, 1.0]), angles=(low, low + 1.0))
    # 2 pi = 6.283185307179586 + 2.4e-16, many times
    first = float(Fraction(low) - turns * (Fraction(2 * math.pi) + Fraction(2.4492935982947064e-16)))
    speed = quad(lambda s: math.hypot(3 * math.sin(s), math.cos(s)), first, first + 1.0, epsabs=1e-13, epsrel=1e-13)[0]
    assert abs(found.lengths()[0, 1] - speed) <= found.length_errors()[0, 1]


@pytest.mark.parametrize("far", [1e3, 1e6, 1e9])
def test_length_of_a_circle_far_from_zero_is_within_its_errors(far: float) -> None:
    """relu(x / 3 - 0.7 y) around a point at which the two terms nearly cancel: up to R + C and back."""
    weight, centre = np.array([[1 / 3, -0.7]]), np.array([2.1 * far + 0.3, far + 0.1])
    net = Network.chain([Affine(weight, np.zeros(1)), relu], (2,))
    found = circle_trajectory(net, centre, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    height = float(sum(Fraction(w) * Fraction(c) for w, c in zip(weight[0].tolist(), centre.tolist())))
    assert found.length_errors is not None
    assert abs(found.lengths[0, 1] - 2 * (np.hypot(*weight[0]) + height)) <= found.length_errors[0, 1]


def test_image_of_a_straight_curve_is_as_long_as_it_is_in_two_dimensions() -> None:
    network = random_network((5, 2, 2), 1, outputs=2)
    nodes = np.random.default_rng(0).normal(size=(4, 5))
    found = polyline_trajectory(network, 10 * nodes)
    for stop in range(1, len(found.stops)):
        seen = image(found, stop)
        assert np.linalg.norm(np.diff(seen.points, axis=0), axis=1).sum() == pytest.approx(found.lengths[0, stop])
        assert seen.share == pytest.approx(1.0)
        assert seen.t[seen.breaks] == pytest.approx(found.breakpoints())
        assert np.var(seen.points[:, 0]) >= np.var(seen.points[:, 1])
    given = image(found, 0, directions=np.eye(2, 5))
    assert given.points[-1] - given.points[0] == pytest.approx(10 * (nodes[-1] - nodes[0])[:2])
    assert given.share < 1


@pytest.mark.parametrize("second", [0.0, 2.0])
def test_image_along_dependent_directions_shows_what_lies_on_their_line_alone(second: float) -> None:
    network = Network.chain([Affine(np.eye(3), np.ones(3)), relu], (3,))
    found = trajectory(network, np.zeros(3), np.array([1.0, 2.0, 2.0]))
    line = np.array([1.0, 0.0, 0.0])
    assert image(found, 1, directions=np.stack([line, second * line])).share == pytest.approx(1 / 9)
    assert image(found, 1, directions=np.zeros((2, 3))).share == 0.0


def test_image_of_an_arc_is_drawn_to_its_length_within_chords_of_a_degree() -> None:
    network = random_network((2, 2), 1)
    x, y = np.random.default_rng(0).normal(size=(2, 2))
    for found in (trajectory(network, x, y, arc=True), circle_trajectory(network, 0.3, x, y)):
        for stop in range(len(found.stops)):
            seen = image(found, stop)
            chords = np.linalg.norm(np.diff(seen.points, axis=0), axis=1).sum()
            assert chords == pytest.approx(found.lengths[0, stop], rel=1e-3)
            assert chords <= found.lengths[0, stop] + 1e-12
            assert seen.t[seen.breaks] == pytest.approx(found.breakpoints())


def test_pictures_hold_the_curves_and_the_lengths(need: Callable[[str], Any], tmp_path: Path) -> None:
    need("matplotlib")
    found = trajectory(random_network((3, 6, 6), 0, outputs=2), np.zeros(3), np.ones(3), arc=True)
    figure = plot_images(found)
    assert len(figure.axes) == len(found.stops) == 4
    assert all(len(axes.collections[0].get_segments()) >= 90 for axes in figure.axes)
    figure.savefig(tmp_path / "images.png")
    axes = plot_lengths({"a": found.lengths, "b": 2 * found.lengths}, expressions={"a": 1.5})
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.get_lines()}
    assert lines["b"] == pytest.approx(2 * found.lengths[0])
    assert lines["_expression of a"] == pytest.approx(found.lengths[0, 0] * 1.5 ** np.arange(4))
    assert axes.get_yscale() == "log"
    axes.figure.savefig(tmp_path / "lengths.png")
    with pytest.raises(InvalidInput, match="nothing to draw"):
        plot_lengths({})


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_wrong_trajectories_are_refused_with_what_to_give() -> None:
    network = random_network((2, 3), 0)
    found = trajectory(network, np.zeros(2), np.ones(2))
    with pytest.raises(InvalidInput, match="infinitely long"):
        Trajectory(whole_line(network, np.zeros(2), np.ones(2)))
    with pytest.raises(InvalidInput, match="no curve 1 among 1"):
        found.breakpoints(1)
    with pytest.raises(InvalidInput, match="no stop 2 among 2"):
        image(found, 2)
    with pytest.raises(InvalidInput, match="two rows of 3"):
        image(found, 1, directions=np.eye(2))
    for arc in (False, True):
        with (
            pytest.raises(InvalidInput, match="lengths at 'input' overflow"),
            np.errstate(over="raise", invalid="raise"),
        ):
            trajectory(network, np.full(2, 1e200), np.zeros(2), arc=arc)
    # behind the hard tanh the values are finite again, and where they switched is not known
    large = Network.chain([Affine(np.array([[1e200, 0.0], [0.0, 1.0]]), np.zeros(2)), hard_tanh()], (2,))
    for arc in (False, True):
        with (
            pytest.raises(InvalidInput, match="values of '0_affine' may overflow"),
            np.errstate(over="raise", invalid="raise"),
        ):
            trajectory(large, np.array([-1e150, 2.0]), np.array([1e150, -2.0]), arc=arc)
    with pytest.raises(InvalidInput, match="no arc to cut"):
        trajectory(network, np.zeros((0, 2)), np.zeros((0, 2)), arc=True)
    with pytest.raises(InvalidInput, match="2 starts and 1 ends"):
        trajectory(network, np.zeros((2, 2)), np.ones(2))
