"""Region bounds of networks: never below an exact count, as tight as the weights allow, none where none holds."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from exact_cells import cells, chain, cube, plane_patterns
from hypothesis import given
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Space
from reludsl.errors import InvalidInput
from reludsl.layers import (
    Affine,
    AffineLayer,
    BatchNorm,
    Layer,
    Max,
    PiecewiseLinear,
    Reshape,
    Scale,
    Sum,
    absolute,
    hard_tanh,
    leaky_relu,
    maxout,
    prelu,
    relu,
)
from reludsl.network import INPUT, Network, Node
from reludsl.regions import count
from reludsl.regions.bounds import RegionBounds, bounds, cai_rank, montufar_2017, raghu, serra_2018
from reludsl.regions.bounds import maxout as maxout_bound
from reludsl.regions.bounds.activation_based import activation_based, reaches_of
from reludsl.regions.bounds.coverage import Coverage, Pushes
from reludsl.regions.bounds.units import Layout
from reludsl.testing import strategies as rs

CHAINS = ("serra_2018", "serra_2018_rank", "cai_rank", "activation_based", "hinz_van_de_geer", "histogram_sharpened")
EXAMPLE = chain([[[1, 0], [0, 1], [1, 1]], [[-1, -1, -1], [1, 2, 1], [1, -1, 0]]], [[0, 0, -1], [-1, 1, 0]])


def _values(found: RegionBounds, *names: str) -> list[int]:
    held = [found.values[name] for name in names]
    assert all(value is not None for value in held), found.notes
    return [value for value in held if value is not None]


def _integer_network(seed: int) -> Network:
    rng = random.Random(seed)
    widths = rng.choice([[3, 3], [2, 4], [4, 3], [3, 3, 3], [2, 2, 2]])
    sizes = [2, *widths]
    weights = [
        [[rng.choice([-2, -1, -1, 0, 1]) for _ in range(n)] for _ in range(m)] for n, m in itertools.pairwise(sizes)
    ]
    return chain(weights, [[rng.randint(-2, 1) for _ in range(m)] for m in widths])


# --- the activation-based bound ------------------------------------------------------------------------------------


def test_worked_example_has_its_numbers() -> None:
    (first, second) = reaches_of(Layout.of(EXAMPLE))
    assert (first.coverage.active, first.coverage.switching) == ((3,), (3,))
    assert second.coverage == Coverage(active=(1, 2, 2, 2), switching=(0, 0, 1, 1))
    found = bounds(EXAMPLE)
    assert (found.activation_based, found.serra_2018) == (11, 40)
    assert plane_patterns(EXAMPLE, 10**5)[0] == cells(EXAMPLE, cube(EXAMPLE, 1e5)) == 9
    assert found.upper == 11


def test_no_bound_is_below_the_exact_count_of_random_integer_networks() -> None:
    tighter = 0
    for seed in range(160):
        net = _integer_network(seed)
        found = bounds(net)
        count = cells(net, cube(net, 1e5))
        assert count <= found.upper, (seed, count, found)
        activation, serra = _values(found, "activation_based", "serra_2018")
        assert activation <= serra
        tighter += activation < serra
    assert tighter >= 140


@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 1000), marks=pytest.mark.slow)])
def test_no_bound_is_below_the_number_of_all_patterns_those_of_lower_dimension_included(seeds: range) -> None:
    more = 0
    for seed in seeds:
        net = _integer_network(seed)
        full, every = plane_patterns(net, 10**5)
        assert full <= every <= bounds(net).upper, seed
        more += every > full
    assert more


def _by_definition(pushes: Pushes) -> Coverage:
    """A(k) and N(k) from all sets, unit by unit."""
    m, n = pushes.up.shape
    active, switching = [], []
    for k in range(n + 1):
        counts = []
        for chosen in itertools.combinations(range(n), k):
            held = list(chosen)
            can = [bool(pushes.starts_up[j] or pushes.up[j, held].any()) and not pushes.never_up[j] for j in range(m)]
            cannot = [
                bool(pushes.starts_down[j] or pushes.down[j, held].any()) and not pushes.never_down[j] for j in range(m)
            ]
            counts.append((sum(can), sum(a and b for a, b in zip(can, cannot))))
        active.append(max(a for a, _ in counts))
        switching.append(max(b for _, b in counts))
    return Coverage(tuple(active), tuple(switching))


def _pushes(seed: int, m: int, n: int) -> Pushes:
    rng = np.random.default_rng(seed)
    sign, start = rng.choice([-1, 0, 0, 1], (m, n)), rng.choice([-1, 0, 1], m)
    never = rng.choice([0, 0, 0, 1, 2], m)
    return Pushes(sign > 0, sign < 0, start > 0, start < 0, never == 1, never == 2)


@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 6))
def test_coverage_is_exact_for_narrow_layers_and_from_above_for_wide_ones(seed: int, m: int, n: int) -> None:
    pushes = _pushes(seed, m, n)
    exact, relaxed, truth = pushes.coverage(), pushes.coverage(exact_upto=0), _by_definition(pushes)
    assert exact == truth
    for a, b in ((truth.active, relaxed.active), (truth.switching, relaxed.switching)):
        assert all(x <= y for x, y in zip(a, b))
        # the recursion needs both to grow with k
        assert list(a) == sorted(a)
        assert list(b) == sorted(b)
    assert max(relaxed.active) <= m


def test_coverage_counts_units_beyond_one_machine_word() -> None:
    pushes = _pushes(3, 150, 4)
    assert pushes.coverage() == _by_definition(pushes)


@given(rs.networks(max_inputs=2, max_units=8))
def test_coverage_from_above_gives_a_bound_still(net: Network) -> None:
    layout = Layout.of(net)
    if layout.steps is None:
        return
    rough = activation_based(layout.inputs, reaches_of(layout, exact_upto=0))
    sharp = activation_based(layout.inputs, reaches_of(layout))
    assert cells(net, cube(net, 64)) <= sharp <= rough <= serra_2018(layout.inputs, layout.widths)


# --- any network --------------------------------------------------------------------------------------------------


@given(rs.networks(max_inputs=2, max_units=8))
def test_chains_of_relus_have_no_more_regions_than_any_bound(net: Network) -> None:
    found = bounds(net)
    serra, rank, cai, activation, *_ = _values(found, *CHAINS)
    assert cells(net, cube(net, 64)) <= found.upper
    assert max(cai, activation) <= rank <= serra
    assert found.montufar_2017 == montufar_2017(found.inputs, found.widths)
    assert found.serra_2018 == serra_2018(found.inputs, found.widths)


@given(rs.networks(max_inputs=2, max_units=6, activation=rs.activations()))
def test_networks_of_any_activations_have_no_more_regions_than_any_bound(net: Network) -> None:
    found = bounds(net)
    assert cells(net, cube(net, 64)) <= found.upper
    for name in CHAINS:
        assert (found.values[name] is None) == (name in found.notes)


@given(rs.graphs(max_inputs=2, max_units=6, max_steps=4))
def test_graphs_have_no_more_regions_than_any_bound(net: Network) -> None:
    if all(isinstance(node.layer, AffineLayer) for node in net.cone(net.output)):
        with pytest.raises(InvalidInput, match="one region"):
            bounds(net)
        return
    found = bounds(net)
    assert cells(net, cube(net, 64)) <= found.upper
    assert ("montufar_2017" in found.notes) == (found.maxout is not None)


@given(rs.networks(max_inputs=2, max_units=8), st.data())
def test_bound_on_a_box_covers_the_regions_of_the_box(net: Network, data: st.DataObject) -> None:
    box = data.draw(rs.boxes(net.input_size))
    found = bounds(net, domain=box)
    (here,), (everywhere,) = _values(found, "activation_based"), _values(bounds(net), "activation_based")
    assert here <= everywhere
    if (box.lower < box.upper).all():
        assert cells(net, box) <= here


def test_box_on_which_nothing_switches_has_one_region() -> None:
    found = bounds(EXAMPLE, domain=Box([10.0, 20.0], [11.0, 21.0]))
    assert found.activation_based == 1
    assert bounds(EXAMPLE, domain=Ball(np.array([10.5, 20.5]), 0.5)).activation_based == 1
    # what the widths allow is about the whole space all the same
    assert found.serra_2018 == 40
    with pytest.raises(InvalidInput, match="3 coordinates"):
        bounds(EXAMPLE, domain=Box.full(0, 1, (3,)))


def test_whole_space_is_what_bounds_are_about_without_a_domain() -> None:
    assert bounds(EXAMPLE, domain=Space(2)).values == bounds(EXAMPLE).values
    with pytest.raises(InvalidInput, match="3 coordinates"):
        bounds(EXAMPLE, domain=Space(3))


def test_unit_that_touches_its_break_from_above_may_be_inactive_there() -> None:
    # on [0, 1] the unit x is 0 at one end: two patterns, one of them of lower dimension
    net = chain([[[1.0]]], [[0.0]])
    assert bounds(net, domain=Box([0.0], [1.0])).activation_based == 2
    assert bounds(net, domain=Box([-1.0], [0.0])).activation_based == 1


# --- ranks ----------------------------------------------------------------------------------------------------------


def test_matrix_that_is_nearly_singular_is_not_taken_for_singular() -> None:
    weights: FloatArray = np.array([[1.0, 0.0], [1.0, 2.0**-60]])
    net = chain([weights], [[0.0, 0.0]])
    assert np.linalg.matrix_rank(weights) == 1
    assert cells(net, cube(net, 1.0)) == bounds(net).serra_2018_rank == bounds(net).cai_rank == 4
    assert serra_2018(2, [2], ranks=[1]) == 3


def test_low_rank_tightens_and_layers_in_a_row_are_multiplied() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(6, 2)), rng.normal(size=(2, 5))
    end = (relu, Affine(rng.normal(size=(6, 6)), rng.normal(size=6)), relu)
    narrow = Network.chain([Affine(right, np.zeros(2)), Affine(left, rng.normal(size=6)), *end], (5,))
    found = bounds(narrow)
    assert found.serra_2018_rank == serra_2018(5, [6, 6], ranks=[2, 6])
    assert found.serra_2018 == serra_2018(5, [6, 6])
    assert found.upper < serra_2018(5, [6, 6])
    assert found.montufar_2017 == montufar_2017(2, [6, 6])


def test_units_without_weights_and_masks_make_the_bound_of_pruned_networks() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(6, 4)), rng.normal(size=(5, 6))
    first[4:] = 0
    first[:, 2:] = 0
    second[:3] = 0
    second[3:, 1:] = 0
    net = chain([first, second], [np.ones(6), np.ones(5)])
    found = bounds(net)
    assert found.cai_rank == serra_2018(4, [4, 2], ranks=[2, 1])
    assert cai_rank(net, structural=True) == found.cai_rank
    assert cai_rank(net) < serra_2018(4, [6, 5], ranks=[2, 1])
    assert found.serra_2018_rank == serra_2018(4, [6, 5], ranks=[2, 1])
    # a mask allows any rank that its zeros do not rule out
    first[1] = 2 * first[0]
    first[2] = first[3] = first[0]
    low = chain([first, second], [np.ones(6), np.ones(5)])
    assert cai_rank(low) == serra_2018(4, [4, 2], ranks=[1, 1])
    assert cai_rank(low) < cai_rank(low, structural=True) == found.cai_rank
    with pytest.raises(InvalidInput, match="no bound by ranks"):
        cai_rank(chain([first], [np.ones(6)], absolute))


# --- layers between units ---------------------------------------------------------------------------------------------


def test_batch_norm_scales_and_shapes_leave_the_signs_of_coefficients() -> None:
    rng = np.random.default_rng(2)
    w1, w2 = (np.round(4 * rng.normal(size=shape)) / 4 for shape in ((4, 2), (4, 4)))
    b1, b2 = (np.round(4 * rng.normal(size=4)) / 4 for _ in range(2))
    plain = chain([w1, w2], [b1, b2])
    norm = BatchNorm(np.full(4, 0.5), np.zeros(4))
    dressed = Network.chain(
        [Affine(w1, b1), relu, Reshape((4,)), Affine(w2, b2), norm, Scale(np.array(3.0)), relu], (2,)
    )
    assert bounds(plain).values == bounds(dressed).values
    flipped = Network.chain([Affine(w1, b1), relu, Affine(w2, b2), Scale(np.array(-1.0)), relu], (2,))
    negated = chain([w1, -w2], [b1, -b2])
    assert bounds(flipped).values == bounds(negated).values


def test_coefficient_whose_sign_rounding_hides_may_be_either() -> None:
    # 0.1 * 3 - 0.3 is not 0 in exact arithmetic, and its float product says nothing of its sign
    first = Affine(np.array([[0.1], [0.3]]), np.zeros(2))
    second = Affine(np.array([[3.0, -1.0]]), np.zeros(1))
    net = Network.chain([Affine(np.eye(1), np.zeros(1)), relu, first, second, relu], (1,))
    (_, reach) = reaches_of(Layout.of(net))
    assert reach.coverage == Coverage(active=(0, 1), switching=(0, 1))


# --- what does not hold -----------------------------------------------------------------------------------------------


def test_activation_without_a_constant_piece_takes_no_dimension_away() -> None:
    # |  |x| - 1 | has four pieces, and Theorem 1 for one unit in each of two layers says three
    net = chain([[[1.0]], [[1.0]]], [[0.0], [-1.0]], absolute)
    found = bounds(net)
    assert cells(net, cube(net, 8)) == 4 == found.montufar_2017
    assert serra_2018(1, [1, 1]) == 3
    for name in (*CHAINS, "montufar_2014_lower", "serra_2018_lower", "serra_2018_lower_arora"):
        assert found.values[name] is None
        assert "absolute" in found.notes[name]
    assert bounds(chain([[[1.0]]], [[0.0]], leaky_relu())).serra_2018 is None
    assert bounds(chain([[[1.0], [1.0]]], [[0.0, 0.0]], prelu([0.0, 0.5]))).serra_2018 is None
    assert bounds(chain([[[1.0], [1.0]]], [[0.0, 0.0]], prelu([0.0, 0.0]))).activation_based == 3


def test_constant_piece_on_either_side_will_do_but_signs_need_zero() -> None:
    falling = PiecewiseLinear("falling", (1,), (1, 0))
    found = bounds(chain([np.ones((2, 2)), np.ones((2, 2))], [np.zeros(2)] * 2, falling))
    assert found.serra_2018 == serra_2018(2, [2, 2])
    assert found.activation_based is None
    assert "0 up to 0" in found.notes["activation_based"]
    # |w| h would push the other way
    negative = PiecewiseLinear("negative", (0,), (0, -1))
    net = chain([np.ones((2, 2)), np.ones((2, 2))], [np.zeros(2), np.ones(2)], negative)
    assert bounds(net).activation_based is None
    assert cells(net, cube(net, 64)) <= bounds(net).upper


def test_two_breaks_are_two_parallel_hyperplanes() -> None:
    net = chain([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]], [[0.0, 0.25, 0.125]], hard_tanh())
    found = bounds(net)
    assert (found.two_to_n, found.raghu, found.montufar_2017) == (27, raghu(2, [3], breaks=2), 19)
    assert cells(net, cube(net, 64)) == 19
    assert found.raghu == 22
    assert found.serra_2018 is None


def test_maxima_have_the_published_bound_for_maxout() -> None:
    rng = np.random.default_rng(4)
    net = Network.chain([Affine(rng.normal(size=(9, 2)), rng.normal(size=9)), maxout(9, 3)], (2,))
    found = bounds(net)
    assert (found.maxout, found.two_to_n, found.upper) == (maxout_bound(2, [3], 3), 27, 27)
    assert found.maxout == 46
    assert "maxout" in found.notes["montufar_2017"]
    assert cells(net, cube(net, 64)) <= 27
    again = Network.chain(
        [Affine(rng.normal(size=(4, 2)), np.zeros(4)), Max(np.array([[0, 1, 0], [2, 3, 2]]), 4, (2,))], (2,)
    )
    # a window that repeats an input has no third piece
    assert (bounds(again).maxout, bounds(again).two_to_n) == (maxout_bound(2, [2], 2), 4)


def test_branches_keep_dimensions_that_a_narrow_layer_would_take() -> None:
    rng = np.random.default_rng(5)
    narrow, wide = Affine(rng.normal(size=(1, 2)), np.zeros(1)), Affine(rng.normal(size=(2, 1)), np.zeros(2))
    last = Affine(rng.normal(size=(3, 2)), rng.normal(size=3))
    chain_nodes = (Node("a", narrow, INPUT), Node("h", relu, "a"), Node("b", wide, "h"))
    straight = Network((*chain_nodes, Node("c", last, "b"), Node("y", relu, "c")), (2,))
    around = Network(
        (*chain_nodes, Node("s", Sum((1, 1)), "b", INPUT), Node("c", last, "s"), Node("y", relu, "c")), (2,)
    )
    assert bounds(straight).montufar_2017 == 2 * 4
    found = bounds(around)
    assert found.montufar_2017 == 2 * 7
    assert 2 * 4 < cells(around, cube(around, 64)) <= 2 * 7
    assert found.serra_2018 is found.activation_based is None
    assert "more than the layer before it" in found.notes["cai_rank"]


def test_outputs_count_as_units_where_they_are_no_relus_yet() -> None:
    end = Affine(np.ones((4, 3)), np.zeros(4))
    net = Network.chain([EXAMPLE.nodes[0].layer, relu, EXAMPLE.nodes[2].layer, relu, end], (2,))
    assert bounds(net).widths == (3, 3)
    found = bounds(net, outputs_as_units=True)
    assert found.widths == (3, 3, 4)
    assert found.serra_2018 == serra_2018(2, [3, 3, 4])
    assert bounds(EXAMPLE, outputs_as_units=True).widths == (3, 3)
    # the outputs are positive, or 0 where all units are inactive: nothing switches
    assert found.activation_based == 11


@pytest.mark.parametrize(
    ("last", "most"), [(maxout(2, 2), 4), (absolute, 16), (hard_tanh(), 36)], ids=["maxout", "absolute", "hard_tanh"]
)
def test_outputs_of_any_layer_as_units_have_no_more_regions_than_the_bounds(last: Layer, most: int) -> None:
    # max(x, y), or both outputs, and the ReLUs on them: as many options as pieces, as in the count
    net = Network.chain([Affine(np.array([[1.0, 0.25], [0.0, 1.0]]), np.zeros(2)), last], (2,))
    found = bounds(net, outputs_as_units=True)
    exact = count(net, Box([-2.0, -2.0], [2.0, 2.0]), outputs_as_units=True)
    assert exact.exact
    assert found.two_to_n == most
    assert exact.count <= found.upper


def test_network_without_units_and_both_forms_at_once_are_refused() -> None:
    affine = Network.chain([Affine(np.eye(2), np.zeros(2))], (2,))
    with pytest.raises(InvalidInput, match="one region"):
        bounds(affine)
    assert bounds(affine, outputs_as_units=True).serra_2018 == 4
    with pytest.raises(InvalidInput, match="one of the two"):
        bounds(EXAMPLE, [3, 3])  # type: ignore[call-overload]
    with pytest.raises(InvalidInput, match="need the widths"):
        bounds(2)  # type: ignore[call-overload]
