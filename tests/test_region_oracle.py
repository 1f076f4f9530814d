"""The oracle of linear regions against closed forms, published counts, and every sign vector by an exact program."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Domain, Norm
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.exact_lp import ExactLP, solve_exact
from reludsl.layers import Affine, Layer, maxout, relu
from reludsl.layers.activations import hard_tanh
from reludsl.network import Network
from reludsl.networks import (
    arrangement,
    disconnected_boundary,
    general_position,
    montufar_network,
    random_network,
    sawtooth,
    serra_network,
    six_definitions,
)
from reludsl.testing import strategies as rs
from reludsl.testing.region_oracle import Region, counts, regions

Layers = Sequence[tuple[Sequence[Sequence[float]], Sequence[float]]]


def _network(layers: Layers) -> Network:
    """Hidden ReLU layers by weights and biases."""
    chain: list[Layer] = []
    for weight, bias in layers:
        chain += [Affine(np.array(weight, dtype=np.float64), np.array(bias, dtype=np.float64)), relu]
    return Network.chain(chain, (len(layers[0][0][0]),))


def _zaslavsky(units: int, inputs: int) -> int:
    return sum(math.comb(units, j) for j in range(inputs + 1))


def _patterns(found: list[Region]) -> set[tuple[int, ...]]:
    patterns = {region.pattern for region in found}
    assert len(patterns) == len(found)
    return patterns


# --- published counts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("domain", [None, Box.full(-1, 1, (2,)), Ball(np.zeros(2), 0.5, Norm.L1)])
def test_six_definitions_are_told_apart(domain: Domain | None) -> None:
    assert counts(six_definitions(), domain) == (5, 7, 3, 3)


def test_opposite_units_meet_in_a_pattern_of_their_own() -> None:
    network = arrangement([[1.0], [-1.0]], [0.0, 0.0])
    assert counts(network, Box([-1], [1])) == (2, 3, 2, 2)
    assert _patterns(regions(network, Box([-1], [1]))) == {(1, 0), (0, 1)}


def test_four_lines_in_general_position_have_11_cells() -> None:
    network = arrangement([[1, 0], [0, 1], [1, 1], [1, -2]], [0, 0, -1, -3])
    assert len(regions(network, Box.full(-100, 100, (2,)))) == len(regions(network)) == 11


def test_disconnected_boundary_has_the_published_patterns() -> None:
    found = sorted(regions(disconnected_boundary()), key=lambda region: float(region.inside[0]))
    assert [region.pattern for region in found] == [(0, 1, 1), (0, 1, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)]
    assert [float(region.matrix[0, 0]) for region in found] == [-2, 0, 0, 2, 4]


def _line(depth: int, row: Sequence[float], offset: float) -> Network:
    """Layers of three units that fold the line; `row` and `offset` give its fold from the three."""
    first = ([[-1.0], [1.0], [1.0]], [1.5, 0.0, -0.5])
    further = ([[-w for w in row], [*row], [*row]], [1.5 - offset, offset, offset - 0.5])
    return _network([first, *[further] * (depth - 1)])


@pytest.mark.parametrize("depth", [1, 2, 3, 4, pytest.param(5, marks=pytest.mark.slow)])
def test_three_units_a_layer_cut_the_line_into_powers_of_four(depth: int) -> None:
    assert len(regions(_line(depth, (6.0, 12.0, -9.0), -9.5))) == 4**depth
    assert len(regions(serra_network(1, (3,) * depth))) == 4**depth


@pytest.mark.parametrize(("depth", "count"), [(1, 4), (2, 16), (3, 56), (4, 182), (5, 568)])
def test_a_fold_that_is_too_narrow_loses_regions(depth: int, count: int) -> None:
    assert len(regions(_line(depth, (4.0, 8.0, -6.0), -6.25))) == count


def test_product_of_two_folds_attains_352() -> None:
    first = ([[-1, 0], [1, 0], [1, 0], [0, -1], [0, 1], [0, 1]], [1.5, 0, -0.5] * 2)
    lines = [(1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2)]
    weight = [[*(a * w for w in (6, 12, -9)), *(c * w for w in (6, 12, -9))] for a, c in lines]
    bias = [-10.5 * (a + c) - k * k / 40 for k, (a, c) in enumerate(lines)]
    network = _network([first, (weight, bias)])
    assert len(regions(network)) == len(regions(network, Box.full(-1e4, 1e4, (2,)))) == 352


@pytest.mark.parametrize(
    ("layers", "plane", "square"),
    [
        (
            [
                ([[-3, -2], [2, 2], [-3, -2]], [1, 3, 3]),
                ([[-1, -3, 2], [0, 2, -2], [2, -3, 0]], [-1, 0, 0]),
            ],
            13,
            7,
        ),
        (
            [
                ([[-3, 2], [-1, 0], [-3, 3], [-1, -1]], [3, 2, 2, 2]),
                ([[0, 1, 3, -1], [0, 0, 3, 1], [1, 0, -2, 1], [0, -3, 1, -2]], [-2, 2, -2, -3]),
            ],
            24,
            8,
        ),
        (
            [
                ([[1, -1], [-1, -3], [0, -1]], [1, 3, 0]),
                ([[1, 1, -2], [-2, -3, 0], [-1, -1, 1]], [-2, 2, -2]),
                ([[3, -3, 3], [1, 1, 3], [1, 3, -3]], [2, -3, -1]),
            ],
            27,
            18,
        ),
        (
            [
                ([[0, 2], [3, 0], [1, 0]], [2, -2, 2]),
                ([[1, -1, -3], [-2, 1, -2], [-3, 3, 0]], [1, 2, 2]),
                ([[3, 3, -1], [-3, 2, 2], [3, 2, -2]], [-1, 3, 1]),
            ],
            36,
            9,
        ),
    ],
)
def test_integer_networks_have_the_known_counts(layers: Layers, plane: int, square: int) -> None:
    network = _network(layers)
    assert len(regions(network)) == len(regions(network, Box.full(-1e6, 1e6, (2,)))) == plane
    assert len(regions(network, Box.full(-1, 1, (2,)))) == square


def test_random_network_of_three_inputs_has_53_regions() -> None:
    # a grid of 150^3 points meets 52 of them
    assert len(regions(random_network((3, 6, 6), 3), Box.full(-1, 1, (3,)))) == 53


# --- closed forms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 6))
def test_sawtooth_has_a_power_of_two_pieces(n: int) -> None:
    for merged in (False, True):
        assert len(regions(sawtooth(n, merged), Box([0], [1]))) == 2**n
    assert len(regions(sawtooth(n), Box([-1], [2]))) == len(regions(sawtooth(n))) == 2**n + 2
    assert len(regions(sawtooth(n, merged=True), Box([-1], [2]))) == (3 if n == 1 else 2**n + 2)
    # the two outer pieces are 0: one map, not connected
    assert counts(sawtooth(n), Box([-1], [2]))[2:] == (2**n + 1, 2**n + 2)


@pytest.mark.parametrize(("units", "inputs"), [(1, 1), (5, 1), (1, 2), (7, 2), (2, 3), (6, 3), (5, 4)])
def test_hyperplanes_in_general_position_have_zaslavskys_number_of_cells(units: int, inputs: int) -> None:
    network = general_position(units, inputs)
    assert len(regions(network)) == len(regions(network, Box.full(0, 1, (inputs,)))) == _zaslavsky(units, inputs)


@pytest.mark.parametrize(("units", "inputs"), [(1, 1), (6, 2), (3, 3), (6, 3)])
def test_hyperplanes_through_the_origin_have_the_central_count(units: int, inputs: int) -> None:
    weight = [[k**j for j in range(inputs)] for k in range(1, units + 1)]
    expected = 2 * sum(math.comb(units - 1, j) for j in range(inputs))
    assert len(regions(arrangement(weight, [0] * units))) == expected


@pytest.mark.parametrize(("inputs", "widths"), [(1, (3, 4, 5)), (1, (7, 1)), (2, (6, 3)), (2, (7, 2)), (3, (9, 1))])
def test_serra_network_attains_its_formula(inputs: int, widths: tuple[int, ...]) -> None:
    folds = 1
    for width in widths[:-1]:
        folds *= math.prod(width // inputs + (i < width % inputs) + 1 for i in range(inputs))
    assert len(regions(serra_network(inputs, widths))) == folds * _zaslavsky(widths[-1], inputs)


@pytest.mark.parametrize(
    ("inputs", "widths"), [(1, (3, 4, 2)), (1, (1, 4)), (2, (4,)), (2, (4, 4)), (2, (2, 5, 3)), (3, (6, 2))]
)
def test_montufar_network_attains_its_formula(inputs: int, widths: tuple[int, ...]) -> None:
    folds = 1
    for width in widths[:-1]:
        folds *= math.prod(width // inputs + (i < width % inputs) for i in range(inputs))
    found = regions(montufar_network(inputs, widths), Box.full(0, 1, (inputs,)))
    assert len(found) == folds * _zaslavsky(widths[-1], inputs)


def test_two_breaks_make_three_pieces_of_every_unit() -> None:
    network = Network.chain([Affine(np.eye(2), np.zeros(2)), hard_tanh()], (2,))
    assert counts(network) == (9, 9, 9, 9)
    assert _patterns(regions(network)) == set(itertools.product(range(3), repeat=2))


def test_largest_of_three_has_three_regions_and_the_first_wins_ties() -> None:
    weight = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    network = Network.chain([Affine(weight, np.zeros(3)), maxout(3, 3)], (2,))
    assert counts(network) == (3, 3, 3, 3)
    twice = Network.chain([Affine(weight[[0, 0, 1]], np.zeros(3)), maxout(3, 3)], (2,))
    assert _patterns(regions(twice)) == _patterns(regions(twice, closed=True)) == {(0,), (2,)}


def test_unit_that_stays_on_its_break_is_on_the_piece_at_its_left() -> None:
    network = arrangement([[1.0, 0.0], [0.0, 0.0]], [0.0, 0.0])
    assert _patterns(regions(network)) == {(0, 0), (1, 0)}


def test_connected_regions_meet_in_more_than_a_point() -> None:
    # relu(|x| - |y|): zero in two sectors that touch at the origin
    both = Network.chain(
        [
            Affine(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.zeros(4)),
            relu,
            Affine(np.array([[1.0, 0.0, -1.0, -1.0], [0.0, 1.0, -1.0, -1.0]]), np.zeros(2)),
            relu,
            Affine(np.ones((1, 2)), np.zeros(1)),
        ],
        (2,),
    )
    assert counts(both)[2:] == counts(both, Box.full(-1, 1, (2,)))[2:] == (5, 6)


def test_maps_that_agree_on_a_flat_domain_are_one() -> None:
    # relu(x + y - 1) - relu(-y): x + y - 1 for y > 0 and y for y < 0, which is y for x = 1
    layer = Affine(np.array([[1.0, 1.0], [0.0, -1.0]]), np.array([-1.0, 0.0]))
    network = Network.chain([layer, relu, Affine(np.array([[1.0, -1.0]]), np.zeros(1))], (2,))
    assert counts(network, Box([1, -1], [1, 1])) == (2, 3, 1, 1)
    assert counts(network, Box([0, -1], [1, 1]))[2:] == (3, 3)


# --- against every pattern by an exact program ------------------------------------------------------------------


def _feasible(network: Network, box: Box, pattern: Sequence[int], closed: bool) -> bool:
    """Whether a ReLU pattern is nonempty on a box, or full-dimensional: max t with every strict side at least t."""
    n, left = network.input_size, list(pattern)
    matrix: list[list[Fraction]] = [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]
    offset = [Fraction(0)] * n
    rows: list[list[Fraction]] = []
    limits: list[Fraction] = []
    margin = Fraction(0 if closed else 1)
    for node in network.nodes:
        if isinstance(node.layer, Affine):
            weight = [[Fraction(w) for w in row] for row in np.asarray(node.layer.weight).tolist()]
            bias = [Fraction(b) for b in node.layer.bias.tolist()]
            offset = [sum((w * c for w, c in zip(row, offset)), b) for row, b in zip(weight, bias)]
            matrix = [[sum((w * m[j] for w, m in zip(row, matrix)), Fraction(0)) for j in range(n)] for row in weight]
            continue
        for k, on in enumerate(left[: len(matrix)]):
            sign, constant = (-1 if on else 1), not any(matrix[k]) and offset[k] == 0
            if constant and on:
                return False
            if not constant:
                # sign (a x + c) + margin t <= 0, with a margin of 1 wherever the side is strict
                rows.append([*(sign * a for a in matrix[k]), Fraction(1) if on else margin])
                limits.append(-sign * offset[k])
            if not on:
                matrix[k], offset[k] = [Fraction(0)] * n, Fraction(0)
        left = left[len(matrix) :]
    for i, (low, high) in enumerate(zip(box.lower.tolist(), box.upper.tolist())):
        for sign, side in ((1, high), (-1, -low)):
            rows.append([*(Fraction(sign * int(i == j)) for j in range(n)), margin])
            limits.append(Fraction(side))
    sides = [Fraction(v) for v in box.lower.tolist()], [Fraction(v) for v in box.upper.tolist()]
    lower, upper = [*sides[0], Fraction(-(10**6))], [*sides[1], Fraction(1)]
    cost = [Fraction(0)] * n + [Fraction(-1)]
    best = solve_exact(ExactLP(cost, rows, [None] * len(rows), limits, lower, upper)).objective
    return best is not None and best < 0


def _every_pattern(network: Network, box: Box, closed: bool) -> Iterator[tuple[int, ...]]:
    for pattern in itertools.product((0, 1), repeat=network.neurons):
        if _feasible(network, box, pattern, closed):
            yield pattern


@given(st.booleans().flatmap(lambda same: rs.networks(max_inputs=2, max_units=5, max_depth=2, coincident=same)))
def test_regions_are_the_patterns_that_an_exact_program_finds(network: Network) -> None:
    box = Box.full(-1, 1, (network.input_size,))
    for closed in (False, True):
        assert _patterns(regions(network, box, closed)) == set(_every_pattern(network, box, closed))


# --- laws -------------------------------------------------------------------------------------------------------


def _pattern(network: Network, x: FloatArray) -> tuple[int, ...]:
    """The pieces of a forward pass, in the oracle's order."""
    trace = network.trace(x[None, :])
    pieces = {str(stage.activation): of_stage for stage, of_stage in zip(network.hidden, trace.pattern)} | {
        **trace.maxima
    }
    return tuple(
        itertools.chain.from_iterable(
            pieces[node.name][0].tolist() for node in network.cone(network.output) if node.name in pieces
        )
    )


@given(rs.graphs(max_inputs=2, max_units=6), st.data())
def test_points_lie_in_the_regions_of_their_patterns(network: Network, data: st.DataObject) -> None:
    domain = data.draw(rs.domains(network.input_size))
    closed = {region.pattern: region for region in regions(network, domain, closed=True)}
    assert {region.pattern for region in regions(network, domain)} <= closed.keys()
    corners = itertools.product(np.arange(-8, 9) / 4, repeat=network.input_size)
    points = np.array(list(corners))
    for x in points[domain.contains(points)]:
        region = closed[_pattern(network, x)]
        exact = exactly(x)
        assert (region.matrix @ exact + region.offset).tolist() == network.exact_values(exact)[network.output].tolist()


@given(rs.graphs(max_inputs=2, max_units=6), st.sampled_from([None, Box.full(-1, 1, (2,))]))
def test_regions_hold_the_point_that_they_name(network: Network, square: Box | None) -> None:
    domain = None if square is None else Box(square.lower[: network.input_size], square.upper[: network.input_size])
    for region in regions(network, domain, closed=True):
        value = network.exact_values(region.inside)[network.output]
        assert (region.matrix @ region.inside + region.offset).tolist() == value.tolist()


@given(rs.graphs(max_inputs=2, max_units=4, max_steps=2))
def test_definitions_are_in_their_order(network: Network) -> None:
    box = Box.full(-1, 1, (network.input_size,))
    found = counts(network, box)
    assert 1 <= found.affine <= found.connected <= found.activation <= found.patterns
    assert found[:2] == (len(regions(network, box)), len(regions(network, box, closed=True)))


@given(rs.graphs(max_inputs=2, max_units=4, max_steps=2), rs.dyadics(-0.875, 0.875))
def test_halves_of_a_domain_have_its_patterns_between_them(network: Network, at: float) -> None:
    n = network.input_size
    whole, rest = Box.full(-1, 1, (n,)), [1.0] * (n - 1)
    halves = Box([-1.0] * n, [at, *rest]), Box([at, *(-v for v in rest)], [1.0] * n)
    for closed in (False, True):
        parts = [_patterns(regions(network, half, closed)) for half in halves]
        assert parts[0] | parts[1] == _patterns(regions(network, whole, closed))


@given(rs.graphs(max_inputs=2, max_units=4, max_steps=2))
def test_the_whole_space_is_a_box_that_is_large_enough(network: Network) -> None:
    assert counts(network) == counts(network, Box.full(-(2.0**40), 2.0**40, (network.input_size,)))


@given(rs.networks(max_inputs=2, max_units=6), st.sampled_from([0.125, 3.0]))
def test_biases_scale_without_a_change_of_the_count(network: Network, factor: float) -> None:
    scaled = _with_biases(network, factor)
    assert counts(scaled) == counts(network)


@given(rs.networks(max_inputs=2, max_units=6))
def test_cones_are_seen_from_any_box_around_the_origin(network: Network) -> None:
    cone = _with_biases(network, 0.0)
    assert counts(cone) == counts(cone, Box.full(-0.125, 1, (network.input_size,)))


def _with_biases(network: Network, factor: float) -> Network:
    layers = (node.layer for node in network.nodes)
    scaled = [Affine(layer.weight, factor * layer.bias) if isinstance(layer, Affine) else layer for layer in layers]
    return Network.chain(scaled, network.input_shape)


def test_domain_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="4 coordinates"):
        regions(six_definitions(), Box.full(0, 1, (4,)))
