"""Counting by integer programs: against every sign vector decided in rationals, on every solver."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from crooked import Altered
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers import solver

from reludsl.backend import Backend, BoolArray, Capability, FloatArray, IntArray, Result
from reludsl.bounds import crown, interval
from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.errors import InvalidInput, UnsupportedCapability
from reludsl.exact_lp import ExactLP
from reludsl.layers import Affine, Layer, Max, PiecewiseLinear, relu
from reludsl.network import Network
from reludsl.networks import six_definitions
from reludsl.plugins import load
from reludsl.regions import Definition
from reludsl.regions.bounds.recursion import serra_2018
from reludsl.regions.cell import Cell
from reludsl.regions.edges import unit_layers
from reludsl.regions.one_tree import Way, find_patterns, one_tree
from reludsl.regions.outputs import with_output_units
from reludsl.regions.pattern_program import PatternProgram
from reludsl.regions.presence import Judge, Presence
from reludsl.testing import EnumerationBackend
from reludsl.testing.region_oracle import regions
from reludsl.testing.strategies import random_graph

BOTH = (Definition.PATTERNS, Definition.ACTIVATION)
ENUMERATION = EnumerationBackend()
FLAT = Polytope(np.array([[1.0, 1.0], [-1.0, -1.0]]), np.zeros(2), Box([-1.0, -1.0], [1.0, 1.0]))


def backend(name: str) -> Backend:
    return ENUMERATION if name == "enumeration" else load("cbc:lazy") if name == "cbc:lazy" else solver(name)


def chain(*layers: Layer, inputs: int) -> Network:
    return Network.chain(layers, (inputs,))


def dyadic_network(seed: int, sizes: tuple[int, ...], activation: PiecewiseLinear = relu) -> Network:
    """Small multiples of 1/2: degenerate more often than not."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for k, n in itertools.pairwise(sizes):
        layers += [Affine(rng.integers(-3, 4, (n, k)) / 2, rng.integers(-2, 3, n) / 2), activation]
    return chain(*layers, inputs=sizes[0])


def rough_network(seed: int, sizes: tuple[int, ...]) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for k, n in itertools.pairwise(sizes):
        layers += [Affine(rng.normal(size=(n, k)), 0.3 * rng.normal(size=n)), relu]
    return chain(*layers, inputs=sizes[0])


def every_pattern(network: Network, domain: Domain, definition: Definition) -> set[tuple[int, ...]]:
    """What the exact oracle finds, without any program."""
    return {region.pattern for region in regions(network, domain, closed=definition is Definition.PATTERNS)}


# --- against all assignments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("definition", BOTH)
@pytest.mark.parametrize("name", ["enumeration", "highs", "cbc", "cbc:lazy", "scip", "cvxpy"])
def test_patterns_of_random_networks_equal_enumeration(name: str, definition: Definition) -> None:
    for seed, sizes in ((0, (2, 3, 2)), (4, (2, 2, 2))) if name in ("cbc", "cvxpy") else ((0, (2, 3, 2)), (1, (3, 3))):
        network = dyadic_network(seed, sizes)
        domain = Box(-np.ones(sizes[0]), np.ones(sizes[0]))
        expected = every_pattern(network, domain, definition)
        found = find_patterns(network, domain, definition, backend(name))
        assert {tuple(pattern.tolist()) for pattern, _ in found} == expected
        assert found.count.complete
        assert found.count.count == len(expected) > 1


@pytest.mark.parametrize("definition", BOTH)
@pytest.mark.parametrize("name", ["highs", "scip"])
@pytest.mark.parametrize("seed", range(4))
def test_patterns_of_rough_networks_equal_enumeration(name: str, definition: Definition, seed: int) -> None:
    network = rough_network(seed, (2, 4, 2))
    domain = Box([-1.0, -1.0], [1.0, 1.0])
    found = find_patterns(network, domain, definition, backend(name))
    assert {tuple(pattern.tolist()) for pattern, _ in found} == every_pattern(network, domain, definition)
    assert found.count.complete


@pytest.mark.parametrize("definition", BOTH)
def test_patterns_of_activations_with_three_pieces_equal_enumeration(definition: Definition) -> None:
    hard_tanh = PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))
    wavy = PiecewiseLinear("wavy", (-0.5, 0.5), (1, -1, 1))
    for activation in (hard_tanh, wavy):
        network = dyadic_network(3, (2, 2, 2), activation)
        domain = Box([-2.0, -2.0], [2.0, 2.0])
        found = find_patterns(network, domain, definition, backend("highs"))
        assert {tuple(pattern.tolist()) for pattern, _ in found} == every_pattern(network, domain, definition)
        assert found.count.complete


@pytest.mark.parametrize("definition", BOTH)
@pytest.mark.parametrize("seed", [2, 7, 25, 32, 51])
def test_patterns_of_graphs_equal_enumeration(seed: int, definition: Definition) -> None:
    # branches, maxima, pooling, activations of up to four pieces
    network = random_graph(seed)
    domain = Box(-np.ones(network.input_size), np.ones(network.input_size))
    found = find_patterns(network, domain, definition, backend("highs"))
    assert {tuple(pattern.tolist()) for pattern, _ in found} == every_pattern(network, domain, definition)
    assert found.count.complete


@pytest.mark.slow
@pytest.mark.parametrize("definition", BOTH)
@pytest.mark.parametrize("name", ["highs", "scip", "cbc:lazy"])
def test_patterns_of_many_networks_equal_enumeration(name: str, definition: Definition) -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        network = random_graph(seed) if seed % 2 else dyadic_network(seed, [(2, 3, 2), (1, 3, 3), (3, 3, 2)][seed % 3])
        width = float(rng.integers(1, 4)) * np.ones(network.input_size)
        found = find_patterns(network, Box(-width, width), definition, backend(name))
        expected = every_pattern(network, Box(-width, width), definition)
        assert {tuple(pattern.tolist()) for pattern, _ in found} == expected, seed
        assert found.count.complete, seed


@pytest.mark.parametrize("definition", BOTH)
def test_patterns_on_a_polytope_equal_enumeration(definition: Definition) -> None:
    network = dyadic_network(7, (2, 3, 2))
    domain = Polytope(np.array([[1.0, 1.0], [-1.0, 2.0]]), np.array([0.5, 0.25]), Box([-1.0, -1.0], [1.0, 1.0]))
    found = find_patterns(network, domain, definition, backend("highs"))
    assert {tuple(pattern.tolist()) for pattern, _ in found} == every_pattern(network, domain, definition)
    assert found.count.complete


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), definition=st.sampled_from(BOTH))
def test_patterns_of_any_small_network_equal_enumeration(seed: int, definition: Definition) -> None:
    network = dyadic_network(seed, (2, 2, 2))
    domain = Box([-1.0, -1.0], [1.0, 1.0])
    found = find_patterns(network, domain, definition, ENUMERATION)
    assert {tuple(pattern.tolist()) for pattern, _ in found} == every_pattern(network, domain, definition)


# --- known counts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["enumeration", "highs", "cbc", "cbc:lazy", "scip", "cvxpy"])
def test_six_definitions_have_seven_patterns_and_five_regions(name: str) -> None:
    domain = Box([-1.0, -1.0], [1.0, 1.0])
    counts = [one_tree(six_definitions(), domain, definition, backend(name)) for definition in BOTH]
    assert [(c.lower, c.count) for c in counts] == [(7, 7), (5, 5)]


@pytest.mark.parametrize("name", ["enumeration", "highs", "scip"])
def test_unit_and_its_negative_have_three_patterns_and_two_regions(name: str) -> None:
    network = chain(Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu, inputs=1)
    assert [one_tree(network, Box([-1.0], [1.0]), d, backend(name)).count for d in BOTH] == [3, 2]


def test_unit_that_is_zero_on_whole_cells_kills_none_of_them() -> None:
    # the second layer is 0 wherever the first is off: on its left piece there, with an interior
    network = chain(
        Affine(np.array([[1.0]]), np.zeros(1)), relu, Affine(np.array([[1.0]]), np.zeros(1)), relu, inputs=1
    )
    for name in ("highs", "enumeration"):
        found = find_patterns(network, Box([-1.0], [1.0]), Definition.ACTIVATION, backend(name))
        assert sorted(pattern.tolist() for pattern, _ in found) == [[0, 0], [1, 1]]


@pytest.mark.parametrize("definition", BOTH)
def test_maximum_of_ties_copies_the_first(definition: Definition) -> None:
    # max(x, x, y): the second place is never copied
    network = chain(
        Affine(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), np.zeros(3)),
        Max(np.array([[0, 1, 2]]), 3, (1,)),
        inputs=2,
    )
    found = find_patterns(network, Box([-1.0, -1.0], [1.0, 1.0]), definition, backend("highs"))
    assert sorted(pattern.tolist() for pattern, _ in found) == [[0], [2]]


def test_window_that_repeats_an_input_has_one_piece_fewer() -> None:
    network = chain(Affine(np.eye(2), np.zeros(2)), Max(np.array([[0, 1, 0]]), 2, (1,)), inputs=2)
    found = find_patterns(network, Box([-1.0, -1.0], [1.0, 1.0]), backend="highs")
    assert sorted(pattern.tolist() for pattern, _ in found) == [[0], [1]]
    assert found.count.complete


def test_network_without_open_units_has_one_pattern_and_needs_no_solver() -> None:
    network = chain(Affine(np.eye(2), np.full(2, 5.0)), relu, inputs=2)
    found = find_patterns(network, Box([-1.0, -1.0], [1.0, 1.0]), backend="highs")
    assert found.patterns.tolist() == [[1, 1]]
    assert found.count.complete
    assert found.count.work["solves"] == 0


def test_network_without_units_has_one_pattern() -> None:
    network = chain(Affine(np.eye(2), np.zeros(2)), inputs=2)
    assert one_tree(network, Box([-1.0, -1.0], [1.0, 1.0]), backend="highs").count == 1


def test_coordinate_without_extent_is_a_constant() -> None:
    # on x = 0 the unit y is what cuts; the unit x is constant 0 there, and on its left piece
    network = chain(Affine(np.eye(2), np.zeros(2)), relu, inputs=2)
    domain = Box([0.0, -1.0], [0.0, 1.0])
    assert [one_tree(network, domain, d, "highs").count for d in BOTH] == [2, 2]


def test_outputs_as_units_are_appended_once() -> None:
    network = chain(Affine(np.eye(2), np.zeros(2)), relu, Affine(np.array([[1.0, -1.0]]), np.zeros(1)), inputs=2)
    whole = with_output_units(network)
    domain = Box([-1.0, -1.0], [1.0, 1.0])
    assert (whole.neurons, with_output_units(whole)) == (3, whole)
    assert one_tree(network, domain, backend="highs").count == 4
    assert one_tree(whole, domain, backend="highs").count == 5
    points = domain.sample(np.random.default_rng(0), 20)
    assert (whole(points) == np.maximum(network(points), 0.0)).all()


# --- what a pattern is worth -----------------------------------------------------------------------------------------


def test_witness_shows_its_pattern() -> None:
    network = rough_network(1, (2, 4, 3))
    domain = Box([-1.0, -1.0], [1.0, 1.0])
    found = find_patterns(network, domain, Definition.ACTIVATION, "highs")
    judge = Judge(crown(network, domain), Definition.ACTIVATION)
    assert domain.contains(found.witnesses).all()
    for pattern, x in found:
        assert (judge.exact_pattern(x) == pattern).all()
    assert found.count.margin is not None
    assert found.count.margin > 1


@pytest.mark.parametrize("factor", [2.0**-30, 2.0**-12, 2.0**12, 2.0**30])
def test_scaling_weights_changes_nothing_unless_slack_is_absolute(factor: float) -> None:
    def network(c: float) -> Network:
        first = Affine(c * np.array([[1.0, 0.5], [0.5, -1.0], [1.0, 1.0]]), c * np.array([0.1, 0.0, -0.2]))
        return chain(first, relu, Affine(np.array([[1.0, -1.0, 0.5]]) / c, np.array([0.1])), relu, inputs=2)

    domain = Box([-1.0, -1.0], [1.0, 1.0])
    plain = one_tree(network(1.0), domain, backend="highs").count
    assert one_tree(network(factor), domain, backend="highs").count == plain
    absolute = one_tree(network(1 / 64), domain, Definition.PATTERNS, "highs", min_slack=0.05).count
    assert absolute < plain


def test_min_slack_counts_what_the_published_program_counts() -> None:
    # on [-1, 1]: x > 0 reaches 1, x - 0.99 > 0 only 0.01
    network = chain(Affine(np.array([[1.0], [1.0]]), np.array([0.0, -0.99])), relu, inputs=1)
    domain = Box([-1.0], [1.0])
    counts = [one_tree(network, domain, Definition.PATTERNS, "highs", min_slack=s).count for s in (0.0, 0.005, 0.02)]
    assert counts == [3, 3, 2]


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), definition=st.sampled_from(BOTH))
def test_nothing_rests_on_what_floats_suggest(seed: int, definition: Definition) -> None:
    network, domain = dyadic_network(seed, (2, 2, 2)), Box([-1.0, -1.0], [1.0, 1.0])
    judge, rng = Judge(crown(network, domain), definition), np.random.default_rng(seed)

    def anything(cell: Cell, counted: BoolArray) -> tuple[FloatArray | None, FloatArray]:
        return (None if rng.random() < 0.3 else rng.uniform(-2, 2, 2)), rng.random(counted.size) ** 4

    judge._deepest = anything  # type: ignore[method-assign]
    expected = every_pattern(network, domain, definition)
    for pattern in itertools.product((0, 1), repeat=4):
        there = judge.decide(np.array(pattern)).presence is Presence.PRESENT
        assert there == (pattern in expected)


def test_claimed_pattern_is_not_believed_and_not_lost() -> None:
    # HiGHS that points elsewhere: the input of every point is moved, its binaries stay
    def moved(result: Result) -> Result:
        if result.x is not None:
            result.x[:2] = 0.75
        return result

    crooked = Altered(solver("highs"), moved, ~(Capability.INCUMBENT_EVENTS | Capability.LAZY_ROWS))
    network, domain = dyadic_network(0, (2, 3, 2)), Box([-1.0, -1.0], [1.0, 1.0])
    found = find_patterns(network, domain, Definition.ACTIVATION, crooked)
    assert {tuple(p.tolist()) for p, _ in found} == every_pattern(network, domain, Definition.ACTIVATION)
    judge = Judge(interval(network, domain), Definition.ACTIVATION)
    assert all((judge.exact_pattern(x) == p).all() for p, x in found)


# --- the tree --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["enumeration", "cbc:lazy", "scip"])
def test_callback_is_called_and_cuts(name: str) -> None:
    domain = Box([-1.0, -1.0], [1.0, 1.0])
    count = one_tree(six_definitions(), domain, Definition.PATTERNS, backend(name), way=Way.IN_TREE)
    assert count.work["shown"] >= 2
    assert count.work["cut in the tree"] == 7
    # SCIP's tree closes itself; CBC's proves nothing, and a second solve does
    assert count.work["solves"] == (2 if name == "cbc:lazy" else 1)


def test_cut_forbids_a_pattern_and_no_other() -> None:
    network = dyadic_network(3, (2, 2, 2), PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0)))
    bounds = interval(network, Box([-2.0, -2.0], [2.0, 2.0]))
    program = PatternProgram.of(bounds, Definition.PATTERNS)
    possible = [np.flatnonzero(row).tolist() for layer in unit_layers(network) for row in layer.possible(bounds)]
    patterns = np.array(list(itertools.product(*possible)))
    bits = program.bits(patterns)
    assert len(np.unique(bits, axis=0)) == len(patterns) == program.most
    points = np.zeros((len(patterns), program.program.size))
    points[:, program.binaries] = bits
    assert (np.array([program.pattern_of(x) for x in points]) == patterns).all()
    for k in (0, len(patterns) // 2):
        rows = program.cut(patterns[k : k + 1])
        cut = points @ rows.matrix.toarray()[0] < rows.lower[0] - 1e-9
        assert np.flatnonzero(cut).tolist() == [k]
        points[k, program.none] = 1.0
        assert rows.violation(points[k])[0] <= 0
        points[k, program.none] = 0.0


@pytest.mark.parametrize("name", ["enumeration", "scip"])
def test_solver_counts_assignments_by_itself(name: str) -> None:
    network, domain = rough_network(2, (2, 3, 2)), Box([-1.0, -1.0], [1.0, 1.0])
    told = one_tree(network, domain, Definition.PATTERNS, backend(name), way=Way.COUNT)
    assert told.count == len(every_pattern(network, domain, Definition.PATTERNS))
    # nothing was shown, so that nothing is proved
    assert (told.lower, told.exact) == (1, False)
    assert "none was checked" in told.note


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["highs", "scip"])
def test_time_limit_keeps_what_was_found(name: str) -> None:
    network, domain = rough_network(5, (3, 10, 10)), Box(-np.ones(3), np.ones(3))
    count = one_tree(network, domain, backend=backend(name), time_limit=1.5)
    assert not count.complete
    assert count.note == "time limit"
    assert 0 < count.lower == count.count < count.upper


@pytest.mark.parametrize("name", ["enumeration", "highs", "scip"])
def test_interrupt_keeps_what_was_found(name: str) -> None:
    def interrupt(pattern: IntArray, x: FloatArray) -> None:
        seen.append(pattern)
        if len(seen) == 3:
            raise KeyboardInterrupt

    seen: list[IntArray] = []
    network, domain = rough_network(1, (2, 4, 3)), Box([-1.0, -1.0], [1.0, 1.0])
    found = find_patterns(network, domain, backend=backend(name), on_pattern=interrupt)
    assert len(found) == found.count.lower == 3
    assert not found.count.complete
    assert found.count.upper > 3
    assert "interrupted" in found.count.note


def test_pattern_that_time_leaves_open_is_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(program: ExactLP, deadline: float | None = None) -> None:
        raise TimeoutError

    network = chain(Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu, inputs=1)
    monkeypatch.setattr("reludsl.regions.presence.solve_exact", late)
    count = one_tree(network, Box([-1.0], [1.0]), Definition.PATTERNS, "highs")
    assert (count.lower, count.ambiguous) in ((2, 1), (3, 0))
    assert count.complete


@pytest.mark.parametrize("name", ["enumeration", "highs", "scip"])
def test_end_of_a_solver_is_no_proof(name: str) -> None:
    # on [-1, 1] the second unit is active on a sliver that is thinner than what solvers tell from 0
    network = chain(Affine(np.array([[1.0], [1.0]]), np.array([0.0, -1.0 + 2.0**-40])), relu, inputs=1)
    domain = Box([-1.0], [1.0])
    assert len(every_pattern(network, domain, Definition.ACTIVATION)) == 3
    count = one_tree(network, domain, backend=backend(name))
    assert (count.lower, count.count, count.upper) == (2, 2, 3)
    assert (count.complete, count.exact) == (True, False)
    assert "no proof" in count.note


def test_as_many_patterns_as_there_can_be_are_all() -> None:
    count = one_tree(chain(Affine(np.eye(2), np.zeros(2)), relu, inputs=2), Box([-1.0, -1.0], [1.0, 1.0]))
    assert (count.lower, count.upper, count.exact) == (4, 4, True)


def test_end_without_a_bound_is_no_end() -> None:
    silent = Altered(solver("highs"), lambda result: replace(result, bound=None), ~Capability.INCUMBENT_EVENTS)
    count = one_tree(six_definitions(), Box([-1.0, -1.0], [1.0, 1.0]), Definition.PATTERNS, silent)
    assert not count.complete
    assert count.lower == 7
    # Serra et al. 2018 for widths 3 and 2: fewer than the 32 patterns that can be written down
    assert count.upper == serra_2018(2, (3, 2)) == 25
    assert "without a bound" in count.note


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "definition", "word"),
    [
        (Ball(np.zeros(2), 1.0, norm=Norm.L1), Definition.PATTERNS, "box or a polytope"),
        (Box([-1.0, -1.0], [1.0, 1.0]), Definition.AFFINE, "unions of them"),
        (
            FLAT,
            Definition.ACTIVATION,
            "flat",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(domain: Domain, definition: Definition, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        one_tree(six_definitions(), domain, definition, "highs")


def test_flat_polytope_has_patterns() -> None:
    network = chain(Affine(np.eye(2), np.zeros(2)), relu, inputs=2)
    assert one_tree(network, FLAT, Definition.PATTERNS, "highs").count == 3


def test_way_without_its_capability_is_refused() -> None:
    network, domain = six_definitions(), Box([-1.0, -1.0], [1.0, 1.0])
    for way in (Way.IN_TREE, Way.COUNT):
        with pytest.raises(UnsupportedCapability, match="scip"):
            one_tree(network, domain, backend="highs", way=way)
