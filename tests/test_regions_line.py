from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from region_nets import (
    chain,
    drawn,
    exact_patterns,
    integer,
    pieces_at,
    widest,
)

from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box, Polytope, Space
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.layers import Affine, PiecewiseLinear, Sum, maxout, relu
from reludsl.network import INPUT, Network, Node
from reludsl.networks import disconnected_boundary, random_network, sawtooth, serra_network, six_definitions
from reludsl.regions import Counting, Definition, arc, count_line, line, polyline, whole_line
from reludsl.regions.lines import CHUNK, Lines
from reludsl.testing.region_oracle import counts
from reludsl.testing.strategies import graphs, random_graph

HARD_TANH = PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))


def middles(found: Lines) -> tuple[FloatArray, IntArray]:
    """s in the middle of every piece, and its chain."""
    left, right, chain_of = found.stretches
    return 0.5 * (found.s[left] + found.s[right]), chain_of


def inputs(found: Lines, s: FloatArray, curve: IntArray) -> FloatArray:
    k = np.minimum(s.astype(np.int64), found.nodes.shape[1] - 2)
    rest = (s - k)[:, None]
    x = (1 - rest) * found.nodes[curve, k] + rest * found.nodes[curve, k + 1]
    return np.asarray(x / (1 - np.abs(s - 1))[:, None] if found.whole else x)


def every(found: Lines) -> IntArray:
    return found.pieces_of(np.arange(len(found.stretches.left)))


# --- what is known --------------------------------------------------------------------------------------------------


def test_line_disconnected_boundary_has_the_published_pieces() -> None:
    found = line(disconnected_boundary(), np.array([-10.0]), np.array([10.0]))
    where = found.at(found.breakpoints).ravel()
    assert where == pytest.approx([-0.5, 0.0, 0.5, 1.0], abs=1e-14)
    assert every(found).tolist() == [[0, 1, 1], [0, 1, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]]
    assert found.plan.unpack(found.patterns()).tolist() == every(found).tolist()
    assert found.layer == ["3_relu", "1_relu", "3_relu", "1_relu"]


@pytest.mark.parametrize(
    "n", [*range(1, 6), pytest.param(6, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
def test_sawtooth_has_two_to_the_n_pieces(n: int) -> None:
    unit = Box([0.0], [1.0])
    more = Box([-1.0], [2.0])
    assert count_line(sawtooth(n), unit).count == 2**n
    assert count_line(sawtooth(n), more).count == 2**n + 2
    assert count_line(sawtooth(n, merged=True), unit).count == 2**n
    assert count_line(sawtooth(n, merged=True), more).count == (3 if n == 1 else 2**n + 2)
    assert count_line(sawtooth(n), unit, Definition.CONNECTED).exact


def test_sawtooth_image_is_as_long_as_it_has_pieces() -> None:
    found = line(sawtooth(6), np.array([0.0]), np.array([1.0]))
    assert found.lengths()[0, -1] == pytest.approx(64)
    assert found.lengths()[0, 0] == pytest.approx(1)
    slope, _ = found.maps()
    assert np.abs(slope).ravel() == pytest.approx(np.full(64, 64.0))
    assert found.counts(Definition.AFFINE).tolist() == [64]


def test_maps_without_an_error_are_compared_without_fractions() -> None:
    # the last unit is off on both pieces, so that the output is exactly 0 there
    network = chain([[[1.0], [1.0]], [[-1.0, -0.3]]], [[0.0, -0.5], [-0.1]])
    maps = line(network, np.array([-1.0]), np.array([1.0])).compared(0)

    def refuse(piece: int) -> ExactArray:
        raise AssertionError(piece)

    assert replace(maps, exact=refuse).connected(np.array([0, 1]), np.array([1, 2])) == (1, 1)


@pytest.mark.parametrize(("layers", "narrow"), [(1, 4), (2, 16), (3, 56), (4, 182), (5, 568)])
def test_widest_network_has_four_to_the_layers_pieces_on_the_whole_line(layers: int, narrow: int) -> None:
    count = count_line(widest(layers), Space(1))
    assert (count.lower, count.count, count.upper) == (4**layers,) * 3
    assert count.method is Counting.LINE
    assert count_line(widest(layers, wide=False), Space(1)).count == narrow
    assert count_line(serra_network(1, (3,) * layers), Space(1)).count == 4**layers


@pytest.mark.parametrize("sizes", [(784, 100, 100, 100), (2, 64, 64, 64, 64)])
def test_pieces_are_those_of_a_forward_pass_and_neighbours_differ_in_one_unit(sizes: tuple[int, ...]) -> None:
    network = drawn(sizes, 0)
    rng = np.random.default_rng(1)
    found = line(network, rng.random((CHUNK + 5, sizes[0])), rng.random((CHUNK + 5, sizes[0])))
    s, curve = middles(found)
    pieces = every(found)
    assert (pieces == pieces_at(network, inputs(found, s, curve))).all()
    change = (pieces[1:] != pieces[:-1]).sum(axis=1)
    assert (change[curve[1:] == curve[:-1]] == 1).all()
    assert found.pieces.sum() == len(found.point) + found.curves
    assert found.merged == 0


def test_maps_are_the_output_on_every_piece() -> None:
    network = drawn((5, 20, 20, 3), 3)
    rng = np.random.default_rng(0)
    found = line(network, rng.normal(size=(4, 5)), rng.normal(size=(4, 5)))
    slope, intercept = found.maps()
    s, curve = middles(found)
    assert slope * s[:, None] + intercept == pytest.approx(network(inputs(found, s, curve)), abs=1e-12)
    assert found.outputs == pytest.approx(network(found.at(np.arange(len(found.s)))), abs=1e-12)


def test_batch_gives_what_each_line_gives() -> None:
    network = drawn((6, 12, 12), 4)
    rng = np.random.default_rng(2)
    starts, ends = rng.normal(size=(2, 2 * CHUNK + 1, 6))
    found = line(network, starts, ends)
    for k in (0, CHUNK - 1, CHUNK, 2 * CHUNK):
        one = line(network, starts[k], ends[k])
        assert one.s == pytest.approx(found.s[found.offsets[k] : found.offsets[k + 1]], abs=1e-13)
        assert (every(one) == found.pieces_of(np.flatnonzero(found.stretches.chain == k))).all()


# --- any graph ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_graph_of_one_input_has_the_counts_of_rational_arithmetic_by_every_definition(seed: int) -> None:
    network = random_graph(seed, max_inputs=1, max_units=8)
    for where, known in ((Box([-2.0], [3.0]), counts(network, Box([-2.0], [3.0]))), (Space(1), counts(network))):
        for definition in (Definition.ACTIVATION, Definition.CONNECTED, Definition.AFFINE):
            count = count_line(network, where, definition)
            assert count.exact
            assert count.count == getattr(known, definition.value)


@pytest.mark.parametrize("seed", range(60))
def test_graph_of_one_input_has_the_patterns_of_rational_arithmetic(seed: int) -> None:
    network = random_graph(seed, max_inputs=1, max_units=10)
    domain = Box([-2.0], [3.0])
    found = line(network, domain.lower, domain.upper)
    assert set(map(tuple, every(found).tolist())) == exact_patterns(network, domain)
    count = count_line(network, domain)
    assert count.exact
    assert count.count == len(every(found))


@settings(max_examples=60)
@given(graphs(), st.integers(0, 2**31))
def test_any_graph_has_the_pieces_of_a_forward_pass(network: Network, seed: int) -> None:
    starts, ends = np.random.default_rng(seed).normal(size=(2, 4, network.input_size))
    for found in (line(network, starts, ends), whole_line(network, starts, ends)):
        s, curve = middles(found)
        assert (every(found) == pieces_at(network, inputs(found, s, curve))).all()
    found = line(network, starts, ends)
    dense = np.linspace(0, 1, 501)
    for k in range(4):
        seen = pieces_at(network, (1 - dense)[:, None] * starts[k] + dense[:, None] * ends[k])
        assert (seen[1:] != seen[:-1]).any(axis=1).sum() <= found.pieces[k] - 1


@settings(max_examples=40)
@given(graphs(), st.integers(0, 2**31), st.floats(0.1, 0.9))
def test_line_is_cut_alike_backwards_and_in_two_parts(network: Network, seed: int, share: float) -> None:
    start, end = np.random.default_rng(seed).normal(size=(2, network.input_size))
    whole = line(network, start, end)
    assert (every(line(network, end, start))[::-1] == every(whole)).all()
    middle = (1 - share) * start + share * end
    parts = int(line(network, start, middle).pieces[0] + line(network, middle, end).pieces[0])
    assert parts in (whole.pieces[0], whole.pieces[0] + 1)


@settings(max_examples=40)
@given(graphs(), st.integers(0, 2**31))
def test_definitions_are_ordered_and_segments_have_no_more_than_their_line(network: Network, seed: int) -> None:
    start, end = np.random.default_rng(seed).normal(size=(2, network.input_size))
    found = line(network, start, end)
    activation, connected, affine = (
        int(found.counts(d)[0]) for d in (Definition.ACTIVATION, Definition.CONNECTED, Definition.AFFINE)
    )
    assert affine <= connected <= activation
    assert activation <= whole_line(network, start, end - start).pieces[0]


def test_hard_tanh_has_two_breaks_to_each_unit() -> None:
    network = Network.chain([Affine(np.array([[1.0], [2.0]]), np.array([0.0, 6.0])), HARD_TANH], (1,))
    found = line(network, np.array([-10.0]), np.array([10.0]))
    assert found.at(found.breakpoints).ravel() == pytest.approx([-3.5, -2.5, -1.0, 1.0])
    assert every(found).tolist() == [[0, 0], [0, 1], [0, 2], [1, 2], [2, 2]]


def test_maxout_drops_points_at_which_no_winner_changes() -> None:
    # 0 and x meet at 0, where x + 5 and -x + 5 are above both
    network = Network.chain(
        [Affine(np.array([[0.0], [1.0], [1.0], [-1.0]]), np.array([0, 0, 5, 5])), maxout(4, 4)], (1,)
    )
    found = line(network, np.array([-3.0]), np.array([3.0]))
    assert every(found).tolist() == [[3], [2]]
    assert len(found.s) == 3


def test_residual_branch_is_followed() -> None:
    nodes = (
        Node("fc", Affine(np.array([[1.0], [-1.0]]), np.array([0.5, 0.25])), INPUT),
        Node("act", relu, "fc"),
        Node("sum", Sum((1, -1)), "act", "fc"),
        Node("end", relu, "sum"),
    )
    network = Network(nodes, (1,))
    found = line(network, np.array([-2.0]), np.array([2.0]))
    s, curve = middles(found)
    assert (every(found) == pieces_at(network, inputs(found, s, curve))).all()
    assert found.pieces.tolist() == [3]


# --- what is degenerate ---------------------------------------------------------------------------------------------


def test_units_that_break_together_are_one_breakpoint_and_are_reported() -> None:
    network = chain([[[1], [-1], [3], [1]]], [[0.0, 0.0, 0.0, -0.1]])
    found = line(network, np.array([-1.0]), np.array([2.0]))
    assert found.pieces.tolist() == [3]
    assert found.merged == 2
    assert every(found).tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]]


def test_unit_on_its_break_for_a_whole_piece_belongs_to_the_left() -> None:
    # relu(relu(x)) is 0 on x <= 0, where its argument is at the break
    network = chain([[[1]], [[1]], [[-1]]], [[0], [0], [0]])
    found = line(network, np.array([-1.0]), np.array([1.0]))
    assert every(found).tolist() == [[0, 0, 0], [1, 1, 0]]


def test_unit_that_is_zero_up_to_rounding_does_not_cut() -> None:
    # 3 relu(x) - relu(3 x) is 0, and rounding noise in floats
    breaks = np.arange(1, 12) / 10
    first = np.concatenate([[1.0, 3.0, 7.0], np.ones(11)])[:, None]
    second = np.zeros((2, 14))
    second[0, :2], second[1, [0, 2]] = (3.0, -1.0), (-7.0, 1.0)
    network = chain([first, second], [np.concatenate([np.zeros(3), -breaks]), np.zeros(2)])
    rng = np.random.default_rng(0)
    found = line(network, -rng.random((30, 1)), 1.2 + rng.random((30, 1)))
    assert (found.pieces == 13).all()
    assert (every(found)[:, 14:] == 0).all()
    assert count_line(network, Space(1)).exact


def test_unit_that_touches_its_break_does_not_cut() -> None:
    network = chain([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])  # relu(|x|)
    found = line(network, np.array([-1.0]), np.array([1.0]))
    assert every(found).tolist() == [[0, 1, 1], [1, 0, 1]]


def test_network_without_units_has_one_piece() -> None:
    network = Network.chain([Affine(np.array([[2.0]]), np.zeros(1))], (1,))
    assert count_line(network, Space(1)).count == 1
    assert line(network, np.array([0.0]), np.array([1.0])).patterns().tolist() == [[0]]


@pytest.mark.parametrize("seed", range(40))
def test_integer_network_is_counted_exactly_on_the_whole_line(seed: int) -> None:
    network = integer(seed, (1, 5, 5, 4))
    count = count_line(network, Space(1))
    assert count.exact
    assert count.count == len(exact_patterns(network, Box([-1000.0], [1000.0])))


@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e5])
def test_scaling_all_biases_keeps_the_count_on_the_whole_line(factor: float) -> None:
    network = drawn((1, 8, 8), 5, "normal")
    layers = [node.layer for node in network.nodes]
    scaled = [Affine(v.weight, factor * v.bias) if isinstance(v, Affine) else v for v in layers]
    assert count_line(network, Space(1)).count == count_line(Network.chain(scaled, (1,)), Space(1)).count


def test_polytope_of_one_input_is_an_interval() -> None:
    network = sawtooth(3)
    half = Polytope(np.array([[1.0]]), np.array([0.5]), Box([0.0], [1.0]))
    count = count_line(network, half)
    assert (count.lower, count.count, count.upper) == (4, 4, 4)
    # x <= 3 / 8 - 2^-55, where no float is: the third piece ends before it
    third = Polytope(np.array([[8.0]]), np.array([np.nextafter(3.0, 0.0)]), Box([0.0], [1.0]))
    assert count_line(network, third).exact
    assert count_line(network, third).count == 3
    with pytest.raises(InvalidInput, match="no pieces"):
        count_line(network, Box([0.5], [0.5]))


def test_affine_maps_that_are_equal_are_found_equal_in_fractions() -> None:
    # the third of 0.1 + 0.2 and 0.3: the units differ, and the slopes only up to rounding
    network = chain([[[1], [1]], [[3, -3]]], [[0, -1], [0]], end=False)
    constant = chain([[[1], [-1]], [[1, 1]], [[0]]], [[0, 0], [1], [1]], end=False)
    assert count_line(network, Box([-1.0], [2.0]), Definition.AFFINE).count == 3
    assert count_line(constant, Box([-1.0], [2.0])).count == 2
    assert count_line(constant, Box([-1.0], [2.0]), Definition.CONNECTED).count == 1
    count = count_line(
        chain([[[1], [1]], [[1, -1], [-1, 1]], [[1, 1]]], [[0, 0.1], [0, 0], [0]], end=False),
        Space(1),
        Definition.CONNECTED,
    )
    assert count.exact


# --- polylines ------------------------------------------------------------------------------------------------------


def test_polyline_has_the_breakpoints_of_its_segments() -> None:
    network = drawn((4, 15, 15), 6)
    nodes = np.random.default_rng(3).normal(size=(5, 4))
    found = polyline(network, nodes)
    parts = line(network, nodes[:-1], nodes[1:])
    assert found.pieces[0] == parts.pieces.sum() - 3
    assert found.s[found.breakpoints] == pytest.approx((parts.s + parts.chain)[parts.breakpoints], abs=1e-12)
    s, curve = middles(found)
    assert (every(found) == pieces_at(network, inputs(found, s, curve))).all()
    assert found.lengths()[0] == pytest.approx(parts.lengths().sum(axis=0))


def test_polyline_turns_at_a_node_that_is_on_a_break() -> None:
    network = chain([[[1.0, 0.0]]], [[0.0]])
    there = polyline(network, np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]))
    back = polyline(network, np.array([[-1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]]))
    assert (there.pieces.tolist(), there.s[there.breakpoints].tolist()) == ([2], [1.0])
    assert back.pieces.tolist() == [1]
    with pytest.raises(InvalidInput, match="no line"):
        there.maps()


# --- arcs -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(graphs(), st.integers(0, 2**31))
def test_arc_of_any_graph_has_the_pieces_of_a_forward_pass(network: Network, seed: int) -> None:
    a, b, c = np.random.default_rng(seed).normal(size=(3, 3, network.input_size))
    found = arc(network, c, a, b, angles=(0.0, 2 * math.pi))
    left, right, curve = found.stretches
    angle = 0.5 * (found.s[left] + found.s[right])
    x = c[curve] + np.cos(angle)[:, None] * a[curve] + np.sin(angle)[:, None] * b[curve]
    assert (found.pieces_of(np.arange(len(left))) == pieces_at(network, x)).all()
    dense = np.linspace(0, 2 * math.pi, 701)
    for k in range(3):
        seen = pieces_at(network, c[k] + np.cos(dense)[:, None] * a[k] + np.sin(dense)[:, None] * b[k])
        assert (seen[1:] != seen[:-1]).any(axis=1).sum() <= found.pieces[k] - 1


def test_circle_meets_each_line_twice() -> None:
    network = chain([[[1, 0], [0, 1], [1, 1], [1, 0]]], [[0.5, 0.25, 0.125, 3.0]])
    found = arc(network, 0.0, np.array([1.0, 0.0]), np.array([0.0, 1.0]), angles=(0.0, 2 * math.pi))
    assert len(found.point) == 6
    where = found.at(found.point)
    height = network.values(where)["0_affine"][np.arange(6), found.element]
    assert height == pytest.approx(np.zeros(6), abs=1e-13)


def test_arc_transitions_and_lengths_are_those_of_fine_chords() -> None:
    network = drawn((10, 20, 20, 20), 0)
    x, y = np.random.default_rng(5).normal(size=(2, 10))
    found = arc(network, 0.0, x, y)
    t = np.linspace(0, 1, 100_001)
    points = np.cos(math.pi * t / 2)[:, None] * x + np.sin(math.pi * t / 2)[:, None] * y
    seen = pieces_at(network, points)
    assert found.pieces[0] == (seen[1:] != seen[:-1]).any(axis=1).sum() + 1
    chords = np.linalg.norm(np.diff(network(points), axis=0), axis=1).sum()
    assert found.lengths()[0, -1] == pytest.approx(chords, rel=2e-5)
    assert found.lengths()[0, 0] == pytest.approx(np.linalg.norm(np.diff(points, axis=0), axis=1).sum(), rel=1e-6)


def test_arc_of_a_batch_gives_what_each_arc_gives() -> None:
    network = drawn((3, 10, 10), 7)
    a, b = np.random.default_rng(6).normal(size=(2, 45, 3))
    found = arc(network, 0.5, a, b)
    for k in (0, 20, 44):
        one = arc(network, 0.5, a[k], b[k])
        assert one.s == pytest.approx(found.s[found.offsets[k] : found.offsets[k + 1]])


# --- refusals -------------------------------------------------------------------------------------------------------


def test_wrong_lines_are_refused_with_what_to_give() -> None:
    with pytest.raises(InvalidInput, match="2 starts and 1 ends"):
        line(six_definitions(), np.zeros((2, 2)), np.ones(2))
    with pytest.raises(InvalidInput, match="not finite"):
        line(six_definitions(), np.zeros(2), np.array([1.0, np.inf]))
    with pytest.raises(InvalidInput, match="of which 1 are 0"):
        whole_line(six_definitions(), np.zeros(2), np.zeros(2))
    with pytest.raises(InvalidInput, match="at least two points"):
        polyline(six_definitions(), np.zeros((1, 2)))
    with pytest.raises(InvalidInput, match="no more than 2 pi"):
        arc(six_definitions(), 0.0, np.ones(2), np.zeros(2), angles=(0.0, 7.0))
    with pytest.raises(InvalidInput, match="is not cut by points"):
        count_line(six_definitions(), Space(2))
    with pytest.raises(InvalidInput, match="CELLS"):
        count_line(sawtooth(1), Space(1), Definition.PATTERNS)
    with pytest.raises(InvalidInput, match="infinitely long"):
        whole_line(six_definitions(), np.zeros(2), np.ones(2)).lengths()


def test_lengths_are_the_same_on_the_way_and_afterwards() -> None:
    network = random_network((3, 8, 8), 4, outputs=2)
    starts, ends = np.random.default_rng(1).normal(size=(2, 30, 3))
    later, on_the_way = (line(network, starts, ends, measured=measured) for measured in (False, True))
    assert later.measured is None
    assert on_the_way.measured is not None
    np.testing.assert_array_equal(later.lengths(), on_the_way.lengths())
