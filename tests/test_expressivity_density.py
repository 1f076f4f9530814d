"""Densities of regions in slices and along segments, gradients of neurons, and the scale of biases."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from reludsl.backend import FloatArray
from reludsl.domain import Box, Space
from reludsl.errors import InvalidInput
from reludsl.expressivity import (
    bias_constant,
    draw_slices,
    expected_regions,
    gradient_constant,
    gradient_norms,
    restricted,
    scale_biases,
    segment_density,
    slice_density,
)
from reludsl.layers import Affine, AffineLayer, BatchNorm, Conv, Gather, MaxPool, Shape, Shift, relu
from reludsl.layers.activations import hard_tanh
from reludsl.network import Network
from reludsl.networks import Initialisation, gaussian_network, random_network
from reludsl.plot import plot_fit, plot_spread
from reludsl.regions import Slice, nearest_boundary, plane

SEEDS = range(5)


def _conv_net(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    return Network.chain(
        [
            Conv(rng.normal(size=(2, 1, 3, 3)), rng.normal(size=2), (4, 4), pads=1),
            BatchNorm(rng.uniform(0.5, 2.0, 2), rng.normal(size=2), 16),
            relu,
            MaxPool(2, (4, 4), (2, 2), (2, 2)),
            Gather(np.array([0, 3, -1, 7]), 8, (4,), fill=0.75),
            Shift(rng.normal(size=4)),
            Affine(rng.normal(size=(3, 4)), rng.normal(size=3)),
        ],
        (1, 4, 4),
    )


# --- slices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_plane_of_one_layer_has_the_regions_of_lines_in_general_position(seed: int) -> None:
    network = random_network((30, 25), seed, Initialisation.NORMAL, bias_scale=1e-3)
    cuts = draw_slices(np.random.default_rng(seed).random((20, 30)), 2, seed)
    found = slice_density(network, cuts, whole=True)
    assert found.regions.tolist() == [1 + 25 + comb(25, 2)] * 2
    assert found.ratio == pytest.approx(found.regions / 625)
    assert np.isinf(found.areas).all()
    assert not found.per_area.any()
    square = slice_density(network, cuts)
    assert (square.regions < found.regions).all()
    assert square.regions.tolist() == [plane(network, cut).faces for cut in cuts]


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_whole_plane_of_a_scaled_network_has_as_many_regions_through_scaled_points(scale: float) -> None:
    network = random_network((3, 8, 8), 0, Initialisation.NORMAL)
    points = np.eye(3)
    found = [
        slice_density(scale_biases(network, c), [Slice.through(c * points)], whole=True).regions.tolist()
        for c in (1.0, scale)
    ]
    assert found[0] == found[1]


def test_area_of_a_slice_with_skewed_axes_is_that_of_the_input_space() -> None:
    axes = np.array([[2.0, 0.0, 0.0], [1.0, 3.0, 0.0]])
    cut = Slice(np.zeros(3), axes, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert slice_density(random_network((3, 4)), [cut]).areas == pytest.approx([3.0])


@pytest.mark.parametrize("network", [random_network((16, 5, 5), outputs=2), _conv_net()], ids=["dense", "conv"])
def test_restricted_network_is_the_network_on_the_plane(network: Network) -> None:
    rng = np.random.default_rng(1)
    (cut,) = draw_slices(rng.random((5, 16)), 1)
    u = rng.normal(size=(20, 2))
    assert restricted(network, cut)(u) == pytest.approx(network(cut.origin + u @ cut.axes))


def test_drawn_slices_hold_three_data_points_on_a_circle_around_their_origin() -> None:
    points = np.random.default_rng(0).random((6, 9))
    for cut in draw_slices(points, 5, seed=3):
        away = points - cut.origin
        inside = np.linalg.norm(away - away @ cut.axes.T @ cut.axes, axis=1) < 1e-9
        assert inside.sum() == 3
        radii = np.linalg.norm(away[inside], axis=1)
        assert radii == pytest.approx(np.full(3, radii[0]))
        assert cut.corners.max() == pytest.approx(1.25 * radii[0])


def test_degenerate_triples_are_drawn_again() -> None:
    points = np.repeat(np.eye(3), 4, axis=0)
    for cut in draw_slices(points, 20):
        assert cut.corners.max() == pytest.approx(1.25 * np.sqrt(2 / 3))


@pytest.mark.parametrize(
    ("points", "word"),
    [(np.outer(np.arange(9.0), np.ones(4)), "lay on a line"), (np.ones((9, 4)), "lay on a line"), (np.eye(2), "three")],
)
def test_points_without_a_plane_are_refused(points: FloatArray, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        draw_slices(points, 1)


def test_slices_that_do_not_fit_are_refused() -> None:
    network = random_network((4, 3))
    with pytest.raises(InvalidInput, match="no slice"):
        slice_density(network, [])
    with pytest.raises(InvalidInput, match="5 coordinates"):
        restricted(network, draw_slices(np.eye(5), 1)[0])


# --- segments ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_segment_through_one_layer_crosses_the_neurons_that_change_sign(seed: int) -> None:
    network = random_network((12, 40), seed)
    starts, ends = np.random.default_rng(seed).normal(size=(2, 7, 12))
    found = segment_density(network, starts, ends)
    changes = (network.trace(starts).active[0] != network.trace(ends).active[0]).sum(axis=1)
    assert found.regions.tolist() == (1 + changes).tolist()
    assert found.per_neuron == pytest.approx((1 + changes) / 40)
    assert found.crossings_per_length == pytest.approx(changes / np.linalg.norm(ends - starts, axis=1))


# --- gradients --------------------------------------------------------------------------------------------------------


def _backward_norms(network: Network, x: FloatArray, axes: FloatArray | None = None) -> FloatArray:
    """Unit by unit, by the backward pass."""
    values = network.values(x)
    found = []
    for stage in network.hidden:
        for row in np.eye(stage.size):
            gradient = network.gradient(values, stage.pre, np.tile(row, (len(x), 1)))
            found.append(np.linalg.norm(gradient if axes is None else gradient @ axes.T, axis=1))
    return np.stack(found, axis=1)


@pytest.mark.parametrize("sizes", [(20, 4, 6, 5), (3, 8, 8), (6, 6, 2)], ids=str)
def test_gradient_norms_are_those_of_the_backward_pass(sizes: tuple[int, ...]) -> None:
    network = random_network(sizes, 1, outputs=2)
    x = np.random.default_rng(0).normal(size=(9, sizes[0]))
    assert gradient_norms(network, x) == pytest.approx(_backward_norms(network, x))
    axes = np.random.default_rng(1).normal(size=(2, sizes[0]))
    assert gradient_norms(network, x, axes) == pytest.approx(_backward_norms(network, x, axes))


def test_nearest_boundary_behind_a_narrow_layer_is_the_least_height_over_gradient() -> None:
    network = random_network((40, 6, 6, 6), 2, Initialisation.NORMAL)
    x = np.random.default_rng(0).normal(size=(25, 40))
    heights = np.abs(np.concatenate(network.trace(x).pre, axis=1))
    slopes = _backward_norms(network, x)
    expected = np.where(slopes > 0, heights / np.where(slopes > 0, slopes, 1.0), np.inf)
    found = nearest_boundary(network, x)
    assert found.distance == pytest.approx(expected.min(axis=1))
    assert np.linalg.norm(found.point - x, axis=1) == pytest.approx(found.distance)
    unit = np.array([int(name.partition("_")[0]) // 2 * 6 for name in found.layer]) + found.element
    assert unit.tolist() == expected.argmin(axis=1).tolist()


def test_gradient_constant_of_he_initialisation_is_the_root_of_two() -> None:
    """E ||grad z||^2 = 2 in every layer, biases 0: variances 2 / k, and half of the k neurons are active."""
    networks = [gaussian_network((20, 60), seed, weight_scale=2**0.5, bias_scale=0.0) for seed in range(60)]
    x = np.random.default_rng(0).normal(size=(1, 20))
    assert gradient_constant(networks, x, 2) == pytest.approx(2**0.5, rel=0.02)
    assert gradient_constant(networks, x, 1) < gradient_constant(networks, x, 2) < gradient_constant(networks, x, 4)


def test_gradient_constant_is_the_largest_over_layers_and_points() -> None:
    low, high = np.array([[1.0], [1.0]]), np.array([[3.0, 4.0]])
    network = Network.chain([Affine(low, np.array([0.0, -1.0])), relu, Affine(high, np.zeros(1)), relu], (1,))
    assert gradient_constant([network], np.array([[-1.0]]), 2) == 1.0
    assert gradient_constant([network], np.array([[0.5]]), 2) == 3.0
    assert gradient_constant([network], np.array([[-1.0], [0.5], [2.0]]), 2) == 7.0


def test_constants_of_nothing_are_refused() -> None:
    x = np.zeros((1, 3))
    with pytest.raises(InvalidInput, match="at least one"):
        gradient_constant([], x, 2)
    with pytest.raises(InvalidInput, match="one architecture"):
        gradient_constant([random_network((3, 4)), random_network((3, 5))], x, 2)
    with pytest.raises(InvalidInput, match="maxima"):
        gradient_norms(_conv_net(), np.zeros((1, 16)))
    with pytest.raises(InvalidInput, match="3 inputs"):
        gradient_norms(random_network((3, 4)), x, np.eye(2))
    with pytest.raises(InvalidInput, match="density"):
        bias_constant(0.0)
    with pytest.raises(InvalidInput, match="positive"):
        expected_regions(2, 5, 1.0, volume=np.inf)


def test_bias_constant_is_the_peak_of_the_density() -> None:
    assert bias_constant(0.3) == pytest.approx(norm(scale=0.3).pdf(0.0))


@given(st.integers(1, 4), st.integers(4, 100), st.floats(0.1, 10), st.floats(0.1, 10), st.floats(1, 1e6))
def test_bound_at_the_needed_transitions_is_the_count(
    dimension: int, neurons: int, transitions: float, volume: float, regions: float
) -> None:
    found = expected_regions(dimension, neurons, transitions, volume, regions)
    tight = expected_regions(dimension, neurons, found.needed, volume, regions)
    assert float(tight.bound) == pytest.approx(regions)
    assert (found.bound >= tight.bound) == (transitions >= found.needed)


def test_fewer_neurons_than_dimensions_have_at_most_all_patterns() -> None:
    assert expected_regions(5, 3, 0.01, volume=7.0).bound == 8


@pytest.mark.parametrize("seed", SEEDS)
def test_mean_breakpoints_per_length_stay_below_their_bound_and_near_it(seed: int) -> None:
    """On a line E #breakpoints / length = sum over neurons of E |z'| rho_b <= N C_grad C_bias: half the published."""
    direction = np.eye(6)[:1]
    start, end = -0.5 * direction, 0.5 * direction
    networks = [gaussian_network((6, 30), 100 * seed + k, weight_scale=2**0.5, bias_scale=1.0) for k in range(40)]
    count = np.mean([segment_density(one, start, end).crossings_per_length for one in networks])
    steep = gradient_constant(networks, np.linspace(-0.5, 0.5, 5)[:, None] * direction, 1, direction)
    bound = float(expected_regions(1, 30, 2 * steep * bias_constant(1.0)).bound)
    assert 0.4 * bound < count < 0.6 * bound


# --- the scale of biases ----------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(-6, 6))
def test_scaled_biases_give_the_scaled_network_bit_by_bit_for_powers_of_two(
    seed: int, widths: list[int], exponent: int
) -> None:
    network = random_network((3, *widths), seed, outputs=2)
    c = 2.0**exponent
    x = np.random.default_rng(seed).normal(size=(8, 3))
    assert (scale_biases(network, c)(x) == c * network(x / c)).all()


@given(st.floats(1e-3, 1e3))
def test_scaled_biases_of_convolutions_maxima_and_constants_give_the_scaled_network(c: float) -> None:
    network = _conv_net()
    x = np.random.default_rng(0).normal(size=(5, 16))
    assert scale_biases(network, c)(x) == pytest.approx(c * network(x / c), rel=1e-9, abs=1e-9 * c)


@given(st.integers(0, 10**6), st.floats(1e-2, 1e2))
def test_scaled_biases_keep_the_count_of_the_plane_and_of_a_box_that_is_scaled_along(seed: int, c: float) -> None:
    network = gaussian_network((2, 6, 5), seed, weight_scale=1.5, bias_scale=1.0)
    scaled = scale_biases(network, c)
    assert plane(scaled, Space(2)).faces == plane(network, Space(2)).faces
    assert plane(scaled, Box.full(-c, c, (2,))).faces == plane(network, Box.full(-1.0, 1.0, (2,))).faces


def test_scaled_biases_change_the_count_of_a_box_that_stays() -> None:
    network = gaussian_network((2, 20), 0, weight_scale=1.5, bias_scale=1.0)
    box = Box.full(-1.0, 1.0, (2,))
    assert plane(scale_biases(network, 100.0), box).faces < plane(network, box).faces / 10


@dataclass(frozen=True, eq=False)
class _Odd(AffineLayer):
    """Adds one, which no field says."""

    @property
    def bias(self) -> FloatArray:
        return np.ones(1)

    @property
    def inputs(self) -> int:
        return 2

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def apply(self, x: FloatArray) -> FloatArray:
        return x


@pytest.mark.parametrize("c", [0.0, -1.0, np.inf, np.nan])
def test_scale_that_is_not_positive_is_refused(c: float) -> None:
    with pytest.raises(InvalidInput, match="positive"):
        scale_biases(random_network((2, 3)), c)


def test_layers_that_do_not_scale_are_refused() -> None:
    with pytest.raises(InvalidInput, match="homogeneous"):
        scale_biases(random_network((2, 3), activation=hard_tanh()), 2.0)
    with pytest.raises(InvalidInput, match="_Odd"):
        scale_biases(Network.chain([_Odd(), relu], (2,)), 2.0)


# --- pictures ---------------------------------------------------------------------------------------------------------


def test_spread_draws_mean_and_band() -> None:
    pytest.importorskip("matplotlib")
    axes = plot_spread([0, 1], {"two runs": [[1.0, 2.0], [3.0, 6.0]], "one run": [0.0, 1.0]})
    assert axes.lines[0].get_ydata().tolist() == [2.0, 4.0]
    (band,) = axes.collections
    assert band.get_datalim(axes.transData).get_points()[:, 1].tolist() == [1.0, 6.0]
    with pytest.raises(InvalidInput, match="shape"):
        plot_spread([0, 1, 2], {"two": [1.0, 2.0]})
    with pytest.raises(InvalidInput, match="no run"):
        plot_spread([0, 1], {"none": np.zeros((0, 2))})


def test_fit_draws_the_least_squares_line() -> None:
    pytest.importorskip("matplotlib")
    axes = plot_fit({"a": ([0.0, 1.0], [1.0, 3.0]), "b": ([2.0], [5.0])})
    assert axes.lines[0].get_ydata() == pytest.approx([1.0, 5.0])
    assert "R² = 1.0000" in axes.lines[0].get_label()
    with pytest.raises(InvalidInput, match="two at least"):
        plot_fit({"a": ([1.0, 1.0], [1.0, 3.0])})
