"""The verbs count, enumerate and count_by_label by cells: laws, limits, restrictions, and mistakes planted in them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from region_checks import (
    DEFINITIONS,
    Where,
    cells,
    cube,
    exact_pattern,
    has_units,
    listed,
    patterns,
    proved,
    truth,
)
from region_nets import FOUR_LINES, chain, drawn, integer

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Ball, Box, Domain, Norm, Polytope, Space
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.exact import exactly
from reludsl.layers import Affine, PiecewiseLinear, absolute, hard_tanh, leaky_relu, maxout, relu, relu6
from reludsl.network import Network
from reludsl.networks import general_position, six_definitions
from reludsl.progress import Progress
from reludsl.regions import Counting, Definition, Label, Regions, count, count_by_label, stream
from reludsl.regions.cell import exact_cell
from reludsl.regions.cells import cascade, search
from reludsl.regions.cells.cascade import CellLayer
from reludsl.regions.cells.frame import Frame
from reludsl.regions.cells.nodes import Nodes
from reludsl.regions.cells.search import Search
from reludsl.regions.cells.settle import Settle
from reludsl.regions.cells.sides import Questions, Sides
from reludsl.regions.edges import unit_layers
from reludsl.regions.shared_maps import SharedMaps
from reludsl.testing import region_oracle
from reludsl.testing.strategies import graphs, networks

PRISM = Polytope(np.array([[1.0, 1.0, 0.0], [-1.0, 0.5, 1.0]]), np.array([1.0, 1.25]), cube(3))

# --- laws -------------------------------------------------------------------------------------------------------------


def weights(seed: int, sizes: tuple[int, ...] = (3, 3, 2), whole: bool = True) -> list[tuple[FloatArray, FloatArray]]:
    rng = np.random.default_rng(seed)
    draw: Callable[[Any], FloatArray] = (lambda s: rng.integers(-3, 4, s) / 2) if whole else rng.standard_normal
    return [(draw((b, a)), draw(b)) for a, b in itertools.pairwise(sizes)]


def built(layers: list[tuple[FloatArray, FloatArray]]) -> Network:
    return chain([w for w, _ in layers], [b for _, b in layers])


@settings(max_examples=6)
@given(st.integers(0, 2**31), st.booleans(), st.booleans())
def test_order_of_units_and_positive_factors_keep_the_count(seed: int, whole: bool, binary: bool) -> None:
    (w1, b1), (w2, b2) = weights(seed, whole=whole)
    rng = np.random.default_rng(seed)
    order = rng.permutation(3)
    factor = 2.0 ** rng.integers(-20, 21, 3) if binary else np.array([0.1, 3.0, 1e-6])
    other = built([((factor[:, None] * w1)[order], (factor * b1)[order]), ((w2 / factor)[:, order], b2)])
    for where in (cube(3), Space(3)):
        number = proved(cells(built([(w1, b1), (w2, b2)]), where))
        found = cells(other, where)
        if binary or not whole:
            assert proved(found) == number
        else:
            # what coincided does so no more when a factor is rounded
            assert found.lower <= found.count <= found.upper


@settings(max_examples=5)
@given(st.integers(0, 2**31))
def test_units_that_repeat_or_scale_another_add_nothing(seed: int) -> None:
    (w1, b1), (w2, b2) = weights(seed, whole=False)
    factor = np.array([1.0, -1.0, -0.125])
    first = np.vstack([w1, factor[:, None] * w1]), np.concatenate([b1, factor * b1])
    twice = built([first, (np.hstack([w2, np.zeros((2, 3))]), b2)])
    for where in (cube(3), Space(3), PRISM):
        assert proved(cells(twice, where)) == proved(cells(built([(w1, b1), (w2, b2)]), where))


@settings(max_examples=8)
@given(graphs(max_units=6), st.sampled_from([-0.625, 0.0, 0.3]))
def test_domain_in_two_parts_has_the_same_regions(network: Network, at: float) -> None:
    assume(has_units(network))
    n = network.input_size
    rest = [1.0] * (n - 1)
    halves = Box([-1.0] * n, [at, *rest]), Box([at, *(-v for v in rest)], [1.0] * n)
    whole = patterns(listed(network, cube(n)))
    left, right = (patterns(listed(network, half)) for half in halves)
    assert left | right == whole
    assert whole <= patterns(listed(network, Space(n)))


@settings(max_examples=8)
@given(networks(max_units=6), st.sampled_from([1e-4, 0.5, 3.0, 1e4]))
def test_scaling_all_biases_keeps_the_count_in_the_whole_space(network: Network, factor: float) -> None:
    layers = [node.layer for node in network.nodes]
    scaled = [Affine(v.weight, factor * v.bias) if isinstance(v, Affine) else v for v in layers]
    other = Network.chain(scaled, network.input_shape)
    where = Space(network.input_size)
    if np.log2(factor).is_integer():
        assert patterns(listed(other, where)) == patterns(listed(network, where))
    known, found = truth(other, where), cells(other, where)
    assert proved(found) == known.activation


@pytest.mark.parametrize("seed", range(3))
def test_network_without_biases_has_cones(seed: int) -> None:
    network = drawn((3, 4, 4), seed, "zero")
    found = listed(network, Space(3))
    assert proved(cells(network, Space(3))) == proved(cells(network, cube(3, 1e-3))) == len(found)
    for factor in (2.0**-30, 2.0**30):
        scaled = Regions(network, found.patterns, factor * found.witnesses)
        assert [exact_pattern(network, x) for x in scaled.witnesses] == [tuple(p) for p in found.patterns.tolist()]


@settings(max_examples=5)
@given(graphs(max_units=5))
def test_definitions_are_in_their_order(network: Network) -> None:
    assume(has_units(network))
    for where in (cube(network.input_size), Space(network.input_size)):
        activation, every, affine = (proved(cells(network, where, d)) for d in DEFINITIONS)
        assert affine <= activation <= every


# --- the regions themselves -------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(graphs(max_units=7), st.booleans())
def test_regions_are_shown_by_their_inputs_in_rationals(network: Network, whole: bool) -> None:
    assume(has_units(network))
    n = network.input_size
    where: Where = Space(n) if whole else cube(n)
    found = listed(network, where)
    assert len(patterns(found)) == len(found)
    assert isinstance(where, Space) or where.contains(found.witnesses).all()
    slopes, offsets = found.maps()
    for k, (x, pattern) in enumerate(zip(found.witnesses, found.patterns.tolist())):
        shown = exact_pattern(network, x)
        cell = exact_cell(network, unit_layers(network), np.array(pattern))
        assert all(v >= 0 for v in cell.slopes @ exactly(x) + cell.constants)
        assert shown == tuple(pattern)
        assert slopes[k] @ x + offsets[k] == pytest.approx(network(x[None])[0].ravel(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_maps_are_those_of_patterns_that_no_float_shows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight, bias = rng.integers(1, 64, (2, 2)) / 8 + 8 * np.eye(2), rng.integers(-64, 0, 2) / 8
    # every unit and its opposite: the edges between their cells are patterns of their own, and so are the corners
    first, second = np.vstack([weight, -weight]), rng.integers(-8, 9, (3, 4)) / 4
    before, behind = Affine(first, np.append(bias, -bias)), Affine(second, np.array([0.5, 0.0, -0.5]))
    network = Network.chain([before, relu, behind, maxout(3, 3), relu], (2,))
    closed = {region.pattern: region for region in region_oracle.regions(network, cube(2, 4.0), closed=True)}
    found = listed(network, cube(2, 4.0), definition="patterns")
    assert patterns(found) == closed.keys()
    for pattern, slopes, offset in zip(found.patterns.tolist(), *found.maps()):
        region = closed[tuple(pattern)]
        assert slopes == pytest.approx(region.matrix.astype(np.float64))
        assert offset == pytest.approx(region.offset.astype(np.float64))


def test_regions_are_convex_and_end_at_their_inequalities() -> None:
    network, rng = drawn((3, 5, 4), 2, "normal"), np.random.default_rng(0)
    found = listed(network, cube(3))
    known = {tuple(p): k for k, p in enumerate(found.patterns.tolist())}
    points = rng.uniform(-1, 1, (500, 3))
    met = 0
    for x in points:
        key = exact_pattern(network, x)
        k = known[key]
        between = 0.5 * (x + found.witnesses[k])
        assert exact_pattern(network, between) == key
        slopes, offsets = (part[k] for part in found.maps())
        assert slopes @ x + offsets == pytest.approx(network(x[None])[0], abs=1e-12)
    for k in range(0, len(found), 7):
        rows, constants, _ = found.inequalities(k)
        x = found.witnesses[k]
        value = rows @ x + constants
        assert (value > 0).all()
        for row, height in zip(rows, value):
            if not row.any():
                continue
            beyond = x - row * (1 + 1e-6) * height / (row @ row)
            assert exact_pattern(network, beyond) != tuple(found.patterns[k].tolist())
            met += 1
    assert met > 20


def test_packed_patterns_are_as_many_as_patterns() -> None:
    found = listed(drawn((3, 6, 6), 3), cube(3))
    assert len(np.unique(found.packed(), axis=0)) == len(found) == 53


# --- how it is searched -----------------------------------------------------------------------------------------------


def test_count_does_not_hang_on_the_seed() -> None:
    network = every_small()
    found = [listed(network, PRISM, seed=seed) for seed in range(4)]
    assert all(patterns(one) == patterns(found[0]) for one in found)


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_count_does_not_hang_on_the_size_of_batches(
    batch: int, definition: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = every_small()
    number = proved(cells(network, PRISM, definition))
    monkeypatch.setattr(search, "BATCH", batch)
    assert proved(cells(network, PRISM, definition)) == number == getattr(truth(network, PRISM), definition)


def every_small() -> Network:
    """Some units that repeat others, of three inputs."""
    (w1, b1), (w2, b2) = weights(5, (3, 3, 3))
    return built([(np.vstack([w1, -w1[:1]]), np.append(b1, -b1[0])), (np.hstack([w2, w2[:, :1]]), b2)])


@pytest.mark.slow
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_two_processes_find_the_same(definition: str) -> None:
    for network, where in ((every_small(), PRISM), (drawn((64, 6, 6), 3, "normal"), cube(64))):
        if definition == "patterns" and network.input_size > 3:
            continue
        one, two = cells(network, where, definition), cells(network, where, definition, processes=2)
        assert proved(one) == proved(two)
    if definition != "affine":
        network = every_small()
        alone = listed(network, PRISM, definition=definition)
        assert patterns(listed(network, PRISM, definition=definition, processes=2)) == patterns(alone)


# --- a part of the regions --------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(graphs(max_units=6), st.sampled_from(["activation", "patterns"]), st.booleans(), st.data())
def test_pattern_keeps_the_regions_that_have_it(
    network: Network, definition: str, whole: bool, data: st.DataObject
) -> None:
    assume(has_units(network))
    n = network.input_size
    where: Where = Space(n) if whole else cube(n)
    every = region_oracle.regions(network, None if whole else cube(n), closed=definition == "patterns")
    some = data.draw(st.sampled_from(every)).pattern
    length = data.draw(st.integers(0, len(some)))
    chosen = [piece if data.draw(st.booleans()) else -1 for piece in some[:length]]
    kept = {r.pattern for r in every if all(c in (-1, p) for c, p in zip(chosen, r.pattern))}
    assert proved(cells(network, where, definition, pattern=chosen)) == len(kept)
    assert patterns(listed(network, where, definition=definition, pattern=chosen)) == kept


def with_outputs(seed: int) -> Network:
    (w1, b1), (w2, b2) = weights(seed, (2, 4, 3), whole=False)
    return Network.chain([Affine(w1, b1), relu, Affine(w2, b2)], (2,))


@pytest.mark.parametrize("seed", range(3))
def test_label_keeps_the_regions_in_which_it_wins(seed: int) -> None:
    network = with_outputs(seed)
    nodes = [node.layer for node in network.nodes]
    judged = Network.chain([*nodes, maxout(3, 3)], (2,))
    for where in (cube(2), Space(2)):
        every = region_oracle.regions(judged, None if isinstance(where, Space) else where)
        won = {k: {r.pattern[:-1] for r in every if r.pattern[-1] == k} for k in range(3)}
        found = count_by_label(network, where)
        assert {k: proved(one) for k, one in found.items()} == {k: len(kept) for k, kept in won.items()}
        for k in range(3):
            assert patterns(listed(network, where, label=k)) == won[k]
            assert proved(cells(network, where, label=k)) == len(won[k])


@pytest.mark.parametrize("seed", range(3))
def test_output_that_is_on_alone_keeps_the_regions_in_which_it_is(seed: int) -> None:
    network = with_outputs(seed)
    units = Network.chain([*(node.layer for node in network.nodes), relu], (2,))
    every = region_oracle.regions(units, cube(2))
    found = count_by_label(network, cube(2), Label.ALONE)
    for k, one in found.items():
        alone = tuple(int(j == k) for j in range(3))
        assert proved(one) == sum(r.pattern[-3:] == alone for r in every)
    assert proved(cells(network, cube(2), outputs_as_units=True)) == len(every)


@pytest.mark.parametrize("last", [absolute, hard_tanh(), relu6, leaky_relu(0.25), relu], ids=lambda layer: layer.name)
def test_output_that_is_above_zero_alone_is_so_behind_any_activation(last: PiecewiseLinear) -> None:
    network = with_outputs(0)
    units = Network.chain([*(node.layer for node in network.nodes), last, relu], (2,))
    every = region_oracle.regions(units, cube(2))
    found = count_by_label(Network.chain([node.layer for node in units.nodes[:-1]], (2,)), cube(2), Label.ALONE)
    for k, one in found.items():
        alone = tuple(int(j == k) for j in range(3))
        assert proved(one) == sum(r.pattern[-3:] == alone for r in every)


@pytest.mark.parametrize("definition", [Definition.ACTIVATION, Definition.AFFINE])
@pytest.mark.parametrize(
    ("rows", "bias", "truth"),
    [([[3.0], [3.0]], [-1.0, -1.0 - 2.0**-52], 3), ([[1.0, 1.0], [1.0, 1.0 + 2.0**-52]], [0.0, 0.0], 4)],
    ids=["line", "plane"],
)
def test_auto_searches_where_edges_lie_too_close_for_a_cut_in_floats(
    rows: list[list[float]], bias: list[float], truth: int, definition: Definition
) -> None:
    network = Network.chain([Affine(np.array(rows), np.array(bias)), relu], (len(rows[0]),))
    found = count(network, cube(len(rows[0])), definition=definition)
    assert (found.count, found.exact, found.method) == (truth, True, Counting.CELLS)


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"time_limit": -1.0}, "begins"),
        ({"time_limit": float("nan")}, "begins"),
        ({"method": "xor", "time_limit": float("nan")}, "begins"),
        ({"method": "probe", "time_limit": -1.0}, "begins"),
        ({"processes": 0}, "0 processes"),
        ({"processes": 1.5}, "1.5 processes"),
        ({"seed": 0.5}, "the seed is 0.5"),
        ({"method": "one-tree", "threads": 0}, "0 threads"),
        ({"confidence": 2.0}, "between 0 and 1"),
        ({"seed": -1}, "seed"),
        ({"pattern": [0.5]}, "whole numbers"),
        ({"pattern": [float("nan")]}, "whole numbers"),
        ({"pattern": "01"}, "whole numbers"),
        ({"label": 1.5}, "0 to 2"),
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused_whatever_the_method(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        count(with_outputs(0), cube(2), **asked)


@pytest.mark.parametrize("asked", [{"time_limit": -1.0}, {"processes": 0}, {"seed": -1}], ids=str)
def test_settings_that_mean_nothing_are_refused_before_anything_is_listed(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        stream(with_outputs(0), cube(2), **asked)


def test_label_of_one_output_is_refused() -> None:
    network = Network.chain([Affine(np.eye(2), np.zeros(2)), relu, Affine(np.ones((1, 2)), np.zeros(1))], (2,))
    with pytest.raises(InvalidInput, match="one output"):
        count(network, cube(2), label=0)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_limit_of_time_leaves_a_lower_and_an_upper_bound() -> None:
    network = drawn((64, 6, 6), 3, "normal")
    found = cells(network, cube(64), time_limit=0.0)
    assert not found.complete
    assert found.lower <= 778 <= found.upper
    assert "time" in found.note
    assert not found.exact


@pytest.mark.parametrize("after", [1, 5])
def test_interrupted_search_keeps_what_it_found(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network, asked = drawn((64, 6, 6), 3, "normal"), 0
    plain = Sides.ask

    def interrupted(self: Sides, questions: Questions) -> Any:
        nonlocal asked
        asked += 1
        if asked == after * 10:
            raise KeyboardInterrupt
        return plain(self, questions)

    monkeypatch.setattr(search, "BATCH", 8)
    monkeypatch.setattr(Sides, "ask", interrupted)
    found = cells(network, cube(64))
    assert not found.complete
    assert found.lower == found.count
    assert found.lower < 778 <= found.upper
    assert "interrupted" in found.note


def test_watcher_is_told_of_the_regions() -> None:
    told: list[Progress] = []
    cells(drawn((3, 6, 6), 3), cube(3), progress=told.append)
    assert told[-1].done == 53


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"pattern": [0] * 5}, "4 units"),
        ({"pattern": [2]}, "piece 2"),
        ({"pattern": [-2]}, "piece -2"),
        ({"label": 7}, "label 7"),
        ({"definition": "connected"}, "plane"),
        ({"definition": "pieces"}, "pieces"),
        ({"method": "guess"}, "guess"),
        ({"processes": 0}, "processes"),
        ({"method": "plane", "pattern": [1]}, "cells"),
        ({"method": "probe", "definition": "affine"}, "estimate"),
        ({"method": "probe", "confidence": 1.0}, "confidence"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_what_to_give(asked: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        count(FOUR_LINES, cube(2), **{"method": "cells", **asked})


@pytest.mark.parametrize(
    ("where", "word"),
    [
        (cube(3), "3 coordinates"),
        (Ball(np.zeros(2), 1.0, Norm.L1), "L1"),
        (Box([1.0, 1.0], [1.0, 1.0]), "single point"),
        (Polytope(np.array([[1.0, 1.0], [-1.0, -1.0]]), np.zeros(2), cube(2)), "interior"),
    ],
)
def test_domain_that_cannot_be_searched_is_refused(where: Domain, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        cells(FOUR_LINES, where)


def test_network_without_units_is_one_region() -> None:
    found = cells(Network.chain([Affine(np.eye(2), np.zeros(2))], (2,)), cube(2))
    assert (found.lower, found.count, found.upper) == (1, 1, 1)
    assert "no units" in found.note


# --- almost degenerate ------------------------------------------------------------------------------------------------


def nearly(seed: int, size: float) -> Network:
    """Units that repeat, scale and add up others, but for so much."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    layers: list[tuple[FloatArray, FloatArray]] = []
    for rows, columns in ((4, n), (3, 4)):
        m = rng.integers(-16, 17, (rows, columns + 1)) / 8
        m[-1] = m[0] + m[1] if rng.random() < 0.5 else rng.choice([-1.0, 2.0, -3.0]) * m[0]
        m += (rng.random(m.shape) < 0.5) * (m != 0) * rng.standard_normal(m.shape) * size
        layers.append((m[:, :-1].copy(), m[:, -1].copy()))
    return built(layers)


@pytest.mark.parametrize("size", [1e-9, 1e-12, 1e-15])
@pytest.mark.parametrize("seed", range(2))
def test_truth_lies_between_the_bounds_of_nearly_degenerate_networks(seed: int, size: float) -> None:
    between(seed, size)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1e-6, 1e-9, 1e-10, 1e-12, 1e-15])
@pytest.mark.parametrize("seed", range(2, 22))
def test_truth_lies_between_the_bounds_of_more_of_them(seed: int, size: float) -> None:
    between(seed, size)


def between(seed: int, size: float) -> None:
    network = nearly(seed, size)
    n = network.input_size
    for where in (cube(n), Space(n)):
        known = truth(network, where)
        for definition in DEFINITIONS:
            found = cells(network, where, definition)
            assert found.lower <= getattr(known, definition) <= found.upper


# --- planted mistakes -------------------------------------------------------------------------------------------------


def misses() -> Iterator[str]:
    """Counts of a few networks that are not proved, or wrong."""
    for name, network, where in battery():
        known = truth(network, where)
        for definition in DEFINITIONS:
            try:
                found = cells(network, where, definition)
            except SolverFailed as error:
                yield f"{name}: {error}"
                continue
            if not found.lower <= getattr(known, definition) <= found.upper or not found.exact:
                yield f"{name}, {definition}: {found}"


def battery() -> Iterator[tuple[str, Network, Where]]:
    yield "four lines", FOUR_LINES, cube(2, 100.0)
    yield "degenerate", every_small(), PRISM
    yield "integers", integer(3, (2, 4, 3)), Space(2)
    yield "six definitions", six_definitions(), Space(2)
    opposite = built([(np.array([[1.0, 1.0], [-1.0, -1.0], [3.0, 3.0]]), np.array([0.25, -0.25, 0.75]))])
    yield "opposite", opposite, cube(2)
    # where the first two are on, the third is their difference, 0
    dead = built(
        [(np.array([[1.0, 0.5], [1.0, 0.5]]), np.zeros(2)), (np.array([[1.0, -1.0], [1.0, 1.0]]), np.zeros(2))]
    )
    yield "dead", dead, cube(2)
    corner = Polytope(np.array([[1.0, 1.0]]), np.array([-1.0]), cube(2))
    yield "corner", general_position(4, 2), corner


def test_nothing_is_missed() -> None:
    assert list(misses()) == []


def _hasty(self: Sides, questions: Questions, multipliers: FloatArray) -> BoolArray:
    lam = np.maximum(multipliers, 0.0)
    v = questions.form + np.matmul(lam[:, None, :], questions.rows)[:, 0]
    return np.asarray(v @ self.frame.shift + np.abs(v @ self.frame.slope).sum(axis=1) < 0.1)


def _unsigned(self: Search, layer: CellLayer, nodes: Nodes) -> BoolArray:
    held = np.broadcast_to((nodes.pool >= 0)[:, None, :], (len(nodes), len(layer.options.edges), nodes.pool.shape[1]))
    y = self.points.y[np.maximum(nodes.pool, 0)]
    values = np.abs(np.matmul(nodes.forms, y.transpose(0, 2, 1)))
    return np.asarray(held & (values[:, layer.options.edges] > 1e-12).all(axis=2))


def _other_sign(a: FloatArray, b: FloatArray) -> Fraction | None:
    found = cascade_factor(a, b)
    return None if found is None else -found


def _always_on(self: Settle, at: int, pieces: IntArray, q: int) -> int:
    return 1 if settle_constant(self, at, pieces, q) == 0 else settle_constant(self, at, pieces, q)


def _boxed(network: Network, domain: Any) -> Frame:
    frame = frame_of(network, domain)
    return replace(frame, sides=frame.sides[:0], side_errors=frame.side_errors[:0])


def _alike(self: SharedMaps, patterns: IntArray) -> None:
    shared_add(self, patterns[:1])


cascade_factor = cascade._factor
settle_constant = Settle.constant
frame_of = Frame.of
shared_add = SharedMaps.add

PLANTED: tuple[tuple[str, object, str, object], ...] = (
    ("a cell is called empty that is nearly so", Sides, "absent", _hasty),
    ("a point is taken for a member of the other side", Search, "_member", _unsigned),
    ("a unit follows another on the wrong side", cascade, "_factor", _other_sign),
    ("a unit that is 0 on a cell is called on", Settle, "constant", _always_on),
    ("the rows of a polytope are forgotten", Frame, "of", staticmethod(_boxed)),
    ("a cell without an interior is called empty", Settle, "_refuted", lambda self, cell, counted: True),
    ("maps are forgotten", SharedMaps, "add", _alike),
)


@pytest.mark.parametrize(("what", "owner", "name", "wrong"), PLANTED, ids=[what for what, *_ in PLANTED])
def test_planted_mistake_is_caught(
    what: str, owner: object, name: str, wrong: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, wrong)
    assert any(misses())
