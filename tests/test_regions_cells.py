"""Counting by cells: against exact cells in rational arithmetic, in any dimension and by every definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from region_checks import (
    DEFINITIONS,
    Where,
    cells,
    cube,
    has_units,
    listed,
    patterns,
    proved,
    searchable,
    truth,
)
from region_nets import FOUR_LINES, TABLE, drawn, exact_patterns, integer, product, widest

from reludsl.domain import Box, Space
from reludsl.layers import Affine, BatchNorm, PiecewiseLinear, Sum, maxout, relu
from reludsl.layers.activations import hard_tanh
from reludsl.network import INPUT, Network, Node
from reludsl.networks import (
    arrangement,
    disconnected_boundary,
    general_position,
    sawtooth,
    serra_network,
    six_definitions,
)
from reludsl.regions import count
from reludsl.testing.strategies import activations, boxes, domains, graphs, networks, random_graph

# --- against exact cells ----------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(st.booleans().flatmap(lambda same: networks(max_units=7, coincident=same)), st.booleans())
def test_network_has_the_counts_of_rational_arithmetic_by_every_definition(network: Network, whole: bool) -> None:
    where = Space(network.input_size) if whole else cube(network.input_size)
    known = truth(network, where)
    for definition in DEFINITIONS:
        assert proved(cells(network, where, definition)) == getattr(known, definition)


@settings(max_examples=12)
@given(graphs(max_units=6), st.data())
def test_graph_has_the_counts_of_rational_arithmetic_on_any_domain(network: Network, data: st.DataObject) -> None:
    assume(has_units(network))
    where = data.draw(domains(network.input_size).filter(searchable))
    known = truth(network, where)
    for definition in DEFINITIONS:
        assert proved(cells(network, where, definition)) == getattr(known, definition)


@settings(max_examples=6)
@given(graphs(max_units=5))
def test_graph_has_the_counts_of_rational_arithmetic_on_the_whole_space(network: Network) -> None:
    assume(has_units(network))
    where = Space(network.input_size)
    known = truth(network, where)
    for definition in DEFINITIONS:
        assert proved(cells(network, where, definition)) == getattr(known, definition)


@settings(max_examples=15)
@given(networks(max_inputs=2, max_units=5, activation=activations()), st.booleans())
def test_units_of_several_pieces_have_the_counts_of_rational_arithmetic(network: Network, whole: bool) -> None:
    where = Space(network.input_size) if whole else cube(network.input_size)
    known = truth(network, where)
    for definition in DEFINITIONS:
        assert proved(cells(network, where, definition)) == getattr(known, definition)


@settings(max_examples=15)
@given(networks(max_units=6, coincident=True), st.data())
def test_flat_boxes_have_the_counts_of_rational_arithmetic(network: Network, data: st.DataObject) -> None:
    where = data.draw(boxes(network.input_size).filter(lambda box: 0 < (box.upper > box.lower).sum() < box.size))
    known = truth(network, where)
    for definition in DEFINITIONS:
        assert proved(cells(network, where, definition)) == getattr(known, definition)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, 120, 20))
def test_many_graphs_have_the_counts_of_rational_arithmetic(seed: int) -> None:
    for k in range(seed, seed + 20):
        network = random_graph(k)
        if not has_units(network):
            continue
        for where in (cube(network.input_size), Space(network.input_size)):
            known = truth(network, where)
            for definition in DEFINITIONS:
                assert proved(cells(network, where, definition)) == getattr(known, definition)


def every_kind(inputs: int) -> Network:
    """Breaks of several kinds, maxima, a branch, a normalisation, two affine layers in a row."""
    rng = np.random.default_rng(1)
    prelu = PiecewiseLinear("prelu", (0,), ((0.25, 0.5, -0.5), 1))
    nodes = (
        Node("fc1", Affine(rng.normal(size=(3, inputs)), rng.normal(size=3)), INPUT),
        Node("tanh", hard_tanh(), "fc1"),
        Node("prelu", prelu, "fc1"),
        Node("sum", Sum((1, -1)), "tanh", "prelu"),
        Node("norm", BatchNorm(rng.uniform(0.5, 2, 3), rng.normal(size=3)), "sum"),
        Node("fc2", Affine(rng.normal(size=(3, 3)), rng.normal(size=3)), "norm"),
        Node("max", maxout(3, 3), "fc2"),
        Node("fc3", Affine(rng.normal(size=(2, 1)), rng.normal(size=2)), "max"),
        Node("end", relu, "fc3"),
    )
    return Network(nodes, (inputs,))


@pytest.mark.parametrize("whole", [False, True])
def test_every_kind_of_unit_is_cut(whole: bool) -> None:
    network = every_kind(2)
    where: Where = Space(2) if whole else cube(2, 3.0)
    found = listed(network, where)
    assert patterns(found) == exact_patterns(network, None if whole else cube(2, 3.0))
    assert proved(cells(network, where)) == len(found)


# --- what is known ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [cube(2, 100.0), Space(2)])
def test_four_lines_have_eleven_regions(where: Where) -> None:
    assert proved(cells(FOUR_LINES, where)) == 11


@pytest.mark.parametrize("where", [Box([-9], [9]), Space(1)])
def test_disconnected_boundary_has_five_regions(where: Where) -> None:
    assert patterns(listed(disconnected_boundary(), where)) == {(0, 1, 1), (0, 1, 0), (1, 1, 0), (1, 1, 1), (1, 0, 1)}


@pytest.mark.parametrize("depth", [1, 2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_line_in_powers_of_four(depth: int) -> None:
    assert proved(cells(widest(depth), Space(1))) == proved(cells(serra_network(1, (3,) * depth), Space(1))) == 4**depth
    assert proved(cells(widest(depth, wide=False), Space(1))) == (4, 16, 56, 182)[depth - 1]


def test_product_network_attains_the_published_maximum() -> None:
    assert proved(cells(product(), Space(2))) == 352
    assert proved(cells(product(), cube(2, 1e4))) == 352


@pytest.mark.parametrize(("network", "everywhere", "in_unit_square"), TABLE)
def test_integer_network_has_the_number_of_rational_arithmetic(
    network: Network, everywhere: int, in_unit_square: int
) -> None:
    assert proved(cells(network, Space(2))) == proved(cells(network, cube(2, 1e6))) == everywhere
    assert proved(cells(network, cube(2))) == in_unit_square


@pytest.mark.parametrize("where", [cube(2), Space(2)])
def test_six_definitions_give_the_published_numbers(where: Where) -> None:
    assert [proved(cells(six_definitions(), where, d)) for d in DEFINITIONS] == [5, 7, 3]


@pytest.mark.parametrize("n", [1, 2, 4, 6])
@pytest.mark.parametrize("merged", [False, True])
def test_sawtooth_has_two_to_the_n_regions(n: int, merged: bool) -> None:
    assert proved(cells(sawtooth(n, merged), Box([0], [1]))) == 2**n
    assert proved(cells(sawtooth(n, merged), Space(1))) == (3 if merged and n == 1 else 2**n + 2)


def drawn_arrangement(inputs: int, units: int) -> Network:
    rng = np.random.default_rng(inputs * 100 + units)
    return arrangement(rng.standard_normal((units, inputs)), rng.standard_normal(units))


@pytest.mark.parametrize(
    ("inputs", "units", "number"),
    [(3, 8, 93), *(pytest.param(*c, marks=pytest.mark.slow) for c in ((3, 10, 176), (4, 12, 794), (6, 14, 6476)))],
)
def test_hyperplanes_have_zaslavskys_number_of_cells(inputs: int, units: int, number: int) -> None:
    assert number == sum(math.comb(units, j) for j in range(inputs + 1))
    network = drawn_arrangement(inputs, units)
    assert proved(cells(network, Space(inputs))) == proved(cells(network, cube(inputs, 1e4))) == number
    assert proved(cells(general_position(units, inputs), Box.full(0, 1, (inputs,)))) == number


@pytest.mark.parametrize(("units", "inputs"), [(5, 3), (7, 3), (6, 4)])
def test_hyperplanes_through_the_origin_have_the_central_count(units: int, inputs: int) -> None:
    weight = [[k**j for j in range(inputs)] for k in range(1, units + 1)]
    number = 2 * sum(math.comb(units - 1, j) for j in range(inputs))
    for where in (Space(inputs), cube(inputs), cube(inputs, 1e-6)):
        assert proved(cells(arrangement(weight, [0] * units), where)) == number


@pytest.mark.parametrize(
    ("sizes", "seed", "kind", "half", "number"), [((64, 6, 6), 3, "normal", 1.0, 778), ((3, 6, 6), 3, "torch", 1.0, 53)]
)
def test_drawn_network_has_as_many_regions_as_ever(
    sizes: tuple[int, ...], seed: int, kind: str, half: float, number: int
) -> None:
    assert proved(cells(drawn(sizes, seed, kind), cube(sizes[0], half))) == number


@pytest.mark.slow
def test_three_thousand_regions_of_a_plane_are_those_of_its_complex() -> None:
    network = drawn((2, 32, 32, 32), 1)
    assert proved(cells(network, cube(2, 5.0))) == count(network, cube(2, 5.0), method="plane").count == 3015


@pytest.mark.parametrize("seed", range(4))
def test_cells_agree_with_the_plane(seed: int) -> None:
    for network in (integer(seed, (2, 4, 3)), drawn((2, 4, 4), seed, "normal")):
        for where in (cube(2, 3.0), Space(2)):
            plane = count(network, where, method="plane")
            assert plane.exact
            assert proved(cells(network, where)) == plane.count
            assert (
                proved(cells(network, where, "affine"))
                == count(network, where, definition="affine", method="plane").count
            )
