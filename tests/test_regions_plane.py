from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from region_nets import (
    FOUR_LINES,
    TABLE,
    chain,
    drawn,
    exact_patterns,
    integer,
    pieces_at,
    product,
)

from reludsl.backend import BoolArray, FloatArray
from reludsl.domain import Box, Polytope, Space
from reludsl.errors import InvalidInput
from reludsl.layers import (
    Affine,
    Gather,
    Layer,
    MaxLayer,
    PiecewiseLinear,
    Sum,
    elementwise,
    hard_tanh,
    larger,
    maxout,
    prelu,
    relu,
)
from reludsl.network import INPUT, Network, Node
from reludsl.networks import general_position, montufar_network, serra_network, six_definitions
from reludsl.regions import (
    Counting,
    Definition,
    Plane,
    Slice,
    count,
    count_plane,
    decision_plane,
    line,
    nearest_boundary,
    plane,
    plane_parts,
)
from reludsl.regions.certificate import certify
from reludsl.regions.counted import counted_plane, plane_cells
from reludsl.testing.region_oracle import counts
from reludsl.testing.strategies import graphs, random_graph

SQUARE = Box([-5.0, -5.0], [5.0, 5.0])
UNIT = Box([-1.0, -1.0], [1.0, 1.0])
R2 = Space(2)


def patterns(found: Plane) -> set[tuple[int, ...]]:
    return set(map(tuple, found.pieces().tolist()))


def assert_sound(found: Plane) -> None:
    """What every complex keeps."""
    assert found.vertices - found.edges + found.faces == 1
    assert len(patterns(found)) == found.faces
    assert found.odd == 0
    x = found.inputs(found.centres)
    assert (clear(found.network, x) <= (pieces_at(found.network, x) == found.pieces())).all()


def clear(network: Network, x: FloatArray) -> BoolArray:
    """Which units are not on a break at some inputs, up to rounding."""
    values = network.values(x)
    found = [np.ones((len(x), 0), dtype=np.bool_)]
    for node in network.cone(network.output):
        z = network.gather(node, values)
        if elementwise(node.layer):
            gaps = np.abs(z - node.layer.breaks_at(z.shape[1])[:, None])
            found.append(gaps.min(axis=0, initial=1.0) > 1e-9)
        elif isinstance(node.layer, MaxLayer):
            first = np.sort(z[:, node.layer.windows], axis=2)
            found.append(np.ptp(first[..., -2:], axis=2) > 1e-9)
    return np.concatenate(found, axis=1)


# --- what is known --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [Box([-100.0, -100.0], [100.0, 100.0]), R2])
def test_four_lines_in_general_position_have_eleven_regions(where: Box | Space) -> None:
    count = count_plane(FOUR_LINES, where)
    assert (count.lower, count.count, count.upper, count.ambiguous) == (11, 11, 11, 0)
    assert count.method is Counting.PLANE


@pytest.mark.parametrize("n", [1, 2, 5, 12, 25])
def test_arrangement_of_lines_has_zaslavskys_number(n: int) -> None:
    rng = np.random.default_rng(n)
    rows = rng.normal(size=(n, 2))
    assert plane(chain([rows], [rng.normal(size=n)]), R2).faces == 1 + n + math.comb(n, 2)
    assert plane(chain([rows], [np.zeros(n)]), R2).faces == 2 * n
    assert plane(chain([np.ones((n, 1)) * rows[:1]], [rng.normal(size=n)]), R2).faces == n + 1


def test_product_network_attains_the_published_maximum() -> None:
    assert count_plane(product(), R2).count == 352
    assert plane(product(), Box([-1e4, -1e4], [1e4, 1e4])).faces == 352
    assert count_plane(serra_network(2, (6, 6)), R2).count == 352
    assert plane(montufar_network(2, (4, 4, 3)), Box([0, 0], [1, 1])).faces == 112
    assert count_plane(general_position(12, 2), R2).count == 79


@pytest.mark.parametrize(("network", "everywhere", "in_unit_square"), TABLE)
def test_integer_network_has_the_number_of_rational_arithmetic(
    network: Network, everywhere: int, in_unit_square: int
) -> None:
    for where, truth in ((R2, everywhere), (Box([-1e6, -1e6], [1e6, 1e6]), everywhere), (UNIT, in_unit_square)):
        count = count_plane(network, where)
        assert (count.lower, count.count, count.upper) == (truth,) * 3


@pytest.mark.parametrize("where", [UNIT, R2])
def test_definitions_give_the_published_numbers(where: Box | Space) -> None:
    counts = {d: count_plane(six_definitions(), where, d) for d in Definition if d is not Definition.PATTERNS}
    assert {d.name: c.count for d, c in counts.items()} == {"ACTIVATION": 5, "CONNECTED": 3, "AFFINE": 3}
    assert all(c.exact for c in counts.values())
    with pytest.raises(InvalidInput, match="CELLS"):
        count_plane(six_definitions(), where, Definition.PATTERNS)


@pytest.mark.parametrize(
    ("sizes", "kind", "truth"),
    [
        ((2, 16, 16), "torch", 477),
        ((2, 32, 32, 32), "torch", 3015),
        ((2, 64, 64, 64, 64), "torch", 23_587),
        ((2, 16, 16), "zero", 58),
        ((2, 32, 32, 32), "zero", 202),
        ((2, 64, 64, 64, 64), "zero", 524),
        pytest.param((2, 256, 256), "torch", 107_190, marks=pytest.mark.slow),
        pytest.param((2, 256, 256, 256), "torch", 230_286, marks=pytest.mark.slow),
    ],
)
def test_drawn_network_has_as_many_regions_as_ever(sizes: tuple[int, ...], kind: str, truth: int) -> None:
    found = plane(drawn(sizes, 1, kind), SQUARE)
    assert found.faces == truth
    assert found.vertices - found.edges + found.faces == 1
    if truth < 50_000:
        assert_sound(found)
    assert found.areas.sum() == pytest.approx(100)


@pytest.mark.parametrize(("sizes", "truth"), [((2, 16, 16), 58), ((2, 32, 32, 32), 202), ((2, 64, 64, 64, 64), 524)])
def test_network_without_biases_has_cones_and_as_many_everywhere(sizes: tuple[int, ...], truth: int) -> None:
    network = drawn(sizes, 1, "zero")
    count = count_plane(network, R2)
    assert (count.lower, count.count, count.upper) == (truth,) * 3
    found = plane(network, R2)
    assert np.isinf(found.areas).all()
    assert (found.points[:, 2] > 0).sum() == 1


def test_count_of_three_thousand_regions_is_proved() -> None:
    count = count_plane(drawn((2, 32, 32, 32), 1), SQUARE)
    assert (count.lower, count.count, count.upper, count.ambiguous) == (3015, 3015, 3015, 0)
    assert count.margin is not None
    assert count.margin > 1
    assert count.units == 96


@pytest.mark.parametrize("tolerance", [0.0, 1e-14, 1e-10])
def test_count_does_not_hang_on_the_tolerance(tolerance: float) -> None:
    assert plane(drawn((2, 32, 32, 32), 1), SQUARE, tolerance=tolerance).faces == 3015


# --- degenerate networks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_degenerate_integer_network_misses_no_sampled_pattern(seed: int) -> None:
    network = integer(seed)
    found = plane(network, Box([-3.0, -3.0], [3.0, 3.0]))
    assert_sound(found)
    assert found.areas.sum() == pytest.approx(36)
    x = np.random.default_rng(seed).uniform(-3, 3, (2000, 2))
    # a unit that is 0 on a whole cell is so up to rounding in a forward pass; it is not looked at there
    own = {tuple(row) for row in found.pieces().tolist()}
    sure, pieces = clear(network, x), pieces_at(network, x)
    pieces[~sure] = 0
    assert set(map(tuple, pieces.tolist())) <= own


@pytest.mark.parametrize("seed", range(12))
def test_degenerate_integer_network_is_counted_exactly(seed: int) -> None:
    network, where = integer(seed, (2, 5, 4, 3)), Box([-3.0, -3.0], [3.0, 3.0])
    count = count_plane(network, where)
    assert count.exact
    assert patterns(plane(network, where)) == exact_patterns(network, where)
    everywhere = count_plane(network, R2)
    assert everywhere.exact
    assert everywhere.count == plane(network, Box([-1e5, -1e5], [1e5, 1e5])).faces


def test_units_that_repeat_or_scale_another_add_nothing() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 4, 3))
    rows, bias = first[:, :2], first[:, 2]
    factor = np.array([1.0, -1.0, 4.0, 0.125])
    twice = chain([np.vstack([rows, factor[:, None] * rows])], [np.concatenate([bias, factor * bias])])
    assert plane(twice, R2).faces == plane(chain([rows], [bias]), R2).faces == 11
    assert count_plane(twice, R2).exact
    # a third of a float is another line: there are slivers, which no tolerance finds and no proof denies
    third = chain([np.vstack([rows, rows / 3])], [np.concatenate([bias, bias / 3])])
    count = count_plane(third, R2)
    assert (count.lower, count.count) == (11, 11)
    assert not count.exact
    weights = [np.vstack([rows, factor[:, None] * rows]), np.ones((3, 8))]
    assert_sound(plane(chain(weights, [np.concatenate([bias, factor * bias]), second[:3, 0]]), SQUARE))


@settings(max_examples=25)
@given(st.integers(0, 2**31))
def test_permuted_and_rescaled_units_keep_the_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w1, b1, w2, b2 = (rng.integers(-3, 4, shape).astype(float) for shape in ((4, 2), 4, (4, 4), 4))
    order, factor = rng.permutation(4), 10.0 ** rng.integers(-4, 5, 4)
    other = chain([(factor[:, None] * w1)[order], (w2 / factor)[:, order]], [(factor * b1)[order], b2])
    for where in (UNIT, R2):
        assert plane(chain([w1, w2], [b1, b2]), where).faces == plane(other, where).faces


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.sampled_from([1e-4, 3.0, 1e4]))
def test_scaling_all_biases_keeps_the_count_in_the_whole_plane(seed: int, factor: float) -> None:
    network = drawn((2, 6, 6), seed, "normal")
    layers = [node.layer for node in network.nodes]
    scaled = [Affine(v.weight, factor * v.bias) if isinstance(v, Affine) else v for v in layers]
    assert plane(network, R2).faces == plane(Network.chain(scaled, (2,)), R2).faces


def test_constant_network_has_one_face() -> None:
    flat = Network.chain([Affine(np.ones((1, 2)), np.zeros(1))], (2,))
    for where, vertices in ((UNIT, 4), (R2, 4)):
        found = plane(flat, where)
        assert (found.faces, found.vertices) == (1, vertices)
        assert count_plane(flat, where).exact


# --- any graph ------------------------------------------------------------------------------------------------------


def two_inputs(seed: int, units: int = 8) -> Network:
    while (network := random_graph(seed, max_inputs=2, max_units=units)).input_size != 2:
        seed += 1000
    return network


@pytest.mark.parametrize("seed", range(40))
def test_graph_of_two_inputs_has_the_patterns_of_rational_arithmetic(seed: int) -> None:
    network, where = two_inputs(seed), Box([-2.0, -2.0], [2.0, 3.0])
    found = plane(network, where)
    assert_sound(found)
    assert patterns(found) == exact_patterns(network, where)
    count = counted_plane(found, where, Definition.ACTIVATION)
    assert count.exact
    assert count.count == found.faces


@pytest.mark.parametrize("seed", range(25))
def test_graph_of_two_inputs_has_the_counts_of_rational_arithmetic_by_every_definition(seed: int) -> None:
    network = two_inputs(seed, 6)
    for where, known in ((UNIT, counts(network, UNIT)), (R2, counts(network))):
        for definition in (Definition.ACTIVATION, Definition.CONNECTED, Definition.AFFINE):
            count = count_plane(network, where, definition)
            assert count.exact
            assert count.count == getattr(known, definition.value)


@settings(max_examples=50)
@given(graphs(max_inputs=3), st.integers(0, 2**31))
def test_slice_of_any_graph_has_the_patterns_of_a_forward_pass(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = network.input_size
    if n < 2:
        return
    where = Slice.rectangle(rng.normal(size=n), rng.normal(size=(2, n)), np.array([-1.0, -2.0]), np.array([2.0, 1.0]))
    found = plane(network, where)
    assert_sound(found)
    assert found.areas.sum() == pytest.approx(9)
    gradient, constant = found.maps()
    at_centres = (gradient @ found.centres[:, :, None])[..., 0] + constant
    values = network(found.inputs(found.centres)).reshape(found.faces, -1)
    assert at_centres == pytest.approx(values, abs=1e-9, rel=1e-9)
    # no segment meets more regions than there are, and its patterns are among them
    ends = rng.uniform([-1, -2], [2, 1], (2, 2))
    crossed = line(network, found.inputs(ends[:1]), found.inputs(ends[1:]))
    met = set(map(tuple, crossed.pieces_of(np.arange(len(crossed.stretches.left))).tolist()))
    assert met <= patterns(found)


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(-0.9, 0.9))
def test_domain_in_two_parts_has_the_same_regions(seed: int, at: float) -> None:
    network = two_inputs(seed)
    whole = patterns(plane(network, UNIT))
    parts = [patterns(plane(network, box)) for box in (Box([-1, -1], [at, 1]), Box([at, -1], [1, 1]))]
    assert parts[0] | parts[1] == whole
    assert whole <= patterns(plane(network, R2))


@settings(max_examples=30)
@given(st.integers(0, 2**31))
def test_definitions_are_ordered(seed: int) -> None:
    network = two_inputs(seed)
    activation, connected, affine = (
        count_plane(network, UNIT, d) for d in (Definition.ACTIVATION, Definition.CONNECTED, Definition.AFFINE)
    )
    assert affine.count <= connected.count <= activation.count
    assert all(c.lower <= c.count <= c.upper for c in (activation, connected, affine))


def test_every_kind_of_unit_is_cut() -> None:
    rng = np.random.default_rng(1)
    tanh = PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))
    prelu = PiecewiseLinear("prelu", (0,), ((0.25, 0.5, -0.5, 0.125), 1))
    nodes = (
        Node("fc1", Affine(rng.normal(size=(4, 2)), rng.normal(size=4)), INPUT),
        Node("tanh", tanh, "fc1"),
        Node("prelu", prelu, "fc1"),
        Node("sum", Sum((1, -1)), "tanh", "prelu"),
        Node("fc2", Affine(rng.normal(size=(6, 4)), rng.normal(size=6)), "sum"),
        Node("max", maxout(6, 3), "fc2"),
        Node("fc3", Affine(rng.normal(size=(3, 2)), rng.normal(size=3)), "max"),
        Node("end", relu, "fc3"),
    )
    network = Network(nodes, (2,))
    found = plane(network, SQUARE)
    assert_sound(found)
    assert set(found.edge_layer) == {"", "tanh", "prelu", "max", "end"}
    assert patterns(found) == exact_patterns(network, SQUARE)
    assert (found.locate(np.random.default_rng(2).uniform(-5, 5, (5000, 2))) >= 0).all()
    assert counted_plane(found, SQUARE, Definition.ACTIVATION).exact


# --- domains --------------------------------------------------------------------------------------------------------


def test_polytope_is_cut_to_its_rows() -> None:
    network = drawn((2, 10, 10), 2)
    where = Polytope(np.array([[1.0, 1.0], [-1.0, 0.5]]), np.array([1.5, 2.0]), Box([-2.0, -2.0], [2.0, 2.0]))
    found = plane(network, where)
    assert_sound(found)
    x = np.random.default_rng(0).uniform(-2, 2, (40_000, 2))
    inside = where.contains(x)
    assert found.areas.sum() == pytest.approx(16 * inside.mean(), rel=0.02)
    assert (found.locate(x[inside]) >= 0).all()
    assert counted_plane(found, where, Definition.ACTIVATION).exact
    tri = Slice(np.zeros(2), np.eye(2), np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    assert plane(network, tri).areas.sum() == pytest.approx(0.5)
    assert count_plane(network, tri).exact


def test_slice_through_three_points_holds_them() -> None:
    network = drawn((784, 20, 20), 3)
    points = np.random.default_rng(0).random((3, 784))
    where = Slice.through(points)
    found = plane(network, where)
    assert_sound(found)
    own = (points - where.origin) @ where.axes.T
    assert found.inputs(own) == pytest.approx(points, abs=1e-10)
    assert np.linalg.norm(own, axis=1) == pytest.approx(np.full(3, np.linalg.norm(own[0])))
    assert (found.locate(own) >= 0).all()
    assert count_plane(network, where).exact


@pytest.mark.parametrize("budget", [2e4, 5e5])
def test_parts_are_the_whole(budget: float) -> None:
    network = drawn((2, 40, 40, 40), 2)
    whole = plane(network, SQUARE)
    parts = list(plane_parts(network, SQUARE, budget=budget))
    assert len(parts) > 1
    assert sum(part.faces for part in parts) == whole.faces
    assert set().union(*map(patterns, parts)) == patterns(whole)
    assert sum(part.areas.sum() for part in parts) == pytest.approx(100)
    with pytest.raises(InvalidInput, match="meet at infinity"):
        plane_parts(network, R2)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(10))
def test_parts_of_any_graph_are_the_whole(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reludsl.regions.planar.engine.SMALLEST", 2)
    network = two_inputs(seed, 16)
    whole = plane(network, SQUARE)
    parts = list(plane_parts(network, SQUARE, budget=1.0))
    assert sum(part.faces for part in parts) == whole.faces
    assert set().union(*map(patterns, parts)) == patterns(whole)


def test_whole_plane_has_unbounded_faces_and_the_bounded_ones_of_a_box() -> None:
    network = drawn((2, 12, 12), 4, "normal")
    found, box = plane(network, R2), plane(network, Box([-1e6, -1e6], [1e6, 1e6]))
    assert found.faces == box.faces
    assert patterns(found) == patterns(box)
    finite = np.sort(found.areas[np.isfinite(found.areas)])
    assert np.isinf(found.areas).sum() > 2
    assert finite == pytest.approx(np.sort(box.areas)[: len(finite)], rel=1e-6, abs=1e-9)


def test_wrong_domains_are_refused_with_what_to_give() -> None:
    with pytest.raises(InvalidInput, match="3 coordinates"):
        plane(FOUR_LINES, Box([0, 0, 0], [1, 1, 1]))
    with pytest.raises(InvalidInput, match="no plane complex"):
        plane(drawn((3, 2), 0), Box([0, 0, 0], [1, 1, 1]))
    with pytest.raises(InvalidInput, match="no interior"):
        plane(FOUR_LINES, Box([0, 0], [1, 0]))
    with pytest.raises(InvalidInput, match="parallel"):
        Slice(np.zeros(3), np.ones((2, 3)), np.eye(3)[:, :2])
    with pytest.raises(InvalidInput, match="convex polygon"):
        Slice(np.zeros(3), np.eye(3)[:2], np.array([[0, 0], [1, 1], [1, 0], [0, 1]]))
    with pytest.raises(InvalidInput, match="on a line"):
        Slice.through(np.outer([0.0, 1.0, 2.0], np.ones(4)))


# --- shapes ---------------------------------------------------------------------------------------------------------


def test_polygons_are_convex_and_their_neighbours_share_edges() -> None:
    found = plane(drawn((2, 16, 16), 1), SQUARE)
    vertex, offsets = found.polygons()
    where = found.coordinates
    for k in range(found.faces):
        corner = where[vertex[offsets[k] : offsets[k + 1]]]
        step = np.roll(corner, -1, axis=0) - corner
        after = np.roll(step, -1, axis=0)
        assert (step[:, 0] * after[:, 1] - step[:, 1] * after[:, 0] > -1e-9).all()
    inner = found.right >= 0
    assert len(found.adjacency) == inner.sum()
    assert (pieces_at(found.network, found.inputs(found.centroids)) == found.pieces()).all()
    change = (found.pieces(found.left[inner]) != found.pieces(found.right[inner])).sum(axis=1)
    assert (change == 1).all()
    assert (found.active == found.pieces().sum(axis=1)).all()


def test_edges_lie_where_their_unit_breaks() -> None:
    network = drawn((2, 12, 12, 12), 5)
    found = plane(network, SQUARE)
    inner = np.flatnonzero(found.maker >= 0)
    middle = found.segments(inner).mean(axis=1)
    values = network.values(found.inputs(middle))
    parts, element = found.edge_part[inner], found.edge_element[inner]
    for number, stage in enumerate(network.hidden):
        own = np.flatnonzero(parts == number)
        assert np.abs(values[stage.pre][own, element[own]]).max() < 1e-12
    assert (found.edge_part[found.maker < 0] == -1).all()


def test_decision_boundary_is_where_two_outputs_tie() -> None:
    layers = [node.layer for node in drawn((2, 15, 15, 4), 8, "normal").nodes][:-1]
    network = Network.chain(layers, (2,))
    found = decision_plane(network, SQUARE)
    border = found.boundary()
    assert border.size > 3
    values = np.sort(network(found.inputs(found.segments(border).reshape(-1, 2))), axis=1)
    assert values[:, -1] == pytest.approx(values[:, -2], abs=1e-9)
    ahead = pieces_at(found.network, found.inputs(found.centres))[:, -1]
    assert (ahead[found.left[border]] != ahead[found.right[border]]).all()
    assert (found.classes == ahead).all()
    x = np.random.default_rng(0).uniform(-5, 5, (50_000, 2))
    share = np.bincount(network(x).argmax(axis=1), minlength=4) / 500
    assert np.bincount(ahead, found.areas, minlength=4) == pytest.approx(share, abs=1.0)
    plain = plane(network, SQUARE)
    assert (plain.classes == network(plain.inputs(plain.centres)).argmax(axis=1)).all()


def test_decision_boundary_of_one_output_is_its_zero_line() -> None:
    layers = [node.layer for node in drawn((2, 15, 1), 8, "normal").nodes][:-1]
    network = Network.chain(layers, (2,))
    found = decision_plane(network, SQUARE)
    assert (found.classes == (network(found.inputs(found.centres))[:, 0] > 0)).all()
    ends = found.segments(found.boundary()).reshape(-1, 2)
    assert network(found.inputs(ends)) == pytest.approx(np.zeros((len(ends), 1)), abs=1e-12)


@settings(max_examples=40)
@given(graphs(), st.integers(0, 2**31))
def test_nearest_boundary_is_the_largest_ball_in_the_region(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, network.input_size))
    found = nearest_boundary(network, x)
    pieces = pieces_at(network, x)
    ways = rng.normal(size=(60, network.input_size))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    for k in range(3):
        if not np.isfinite(found.distance[k]):
            assert (pieces_at(network, x[k] + 100 * ways) == pieces[k]).all()
            continue
        ball = x[k] + (1 - 1e-9) * found.distance[k] * ways
        assert (pieces_at(network, ball) == pieces[k]).all()
        assert np.linalg.norm(found.point[k] - x[k]) == pytest.approx(found.distance[k])
        beyond = x[k] + (1 + 1e-6) * (found.point[k] - x[k])
        assert found.distance[k] < 1e-9 or (pieces_at(network, beyond[None, :]) != pieces[k]).any()


@pytest.mark.parametrize("end", [hard_tanh(), larger((1,)), prelu(-1.0)], ids=["hard tanh", "maximum", "prelu"])
def test_class_of_one_output_is_its_sign_whatever_unit_it_is(end: Layer) -> None:
    taken = ("twice", "minus one") if isinstance(end, MaxLayer) else ("twice",)
    nodes = (
        Node("twice", Affine(np.array([[2.0, 0.0]]), np.array([0.5])), INPUT),
        Node("minus one", Affine(np.zeros((1, 2)), np.array([-1.0])), INPUT),
        Node("end", end, *taken),
    )
    network = Network(nodes, (2,), "end")
    for found in (plane(network, SQUARE), decision_plane(network, SQUARE)):
        outputs = network(found.inputs(found.centres)).ravel()
        assert found.faces > 1
        assert found.classes.tolist() == (outputs > 0).tolist()


@pytest.mark.parametrize(
    ("weight", "border"),
    [([[2.0, 0.0]], 10.0), ([[0.0, 0.0], [1.0, 0.0]], 10.0), ([[0.0, 1.0], [1.0, 0.0]], 5.0 + 5.0 * 2**0.5)],
    ids=["one output", "a constant", "two outputs"],
)
def test_decision_boundary_is_whole_where_it_lies_on_the_breaks_of_the_outputs(
    weight: list[list[float]], border: float
) -> None:
    matrix = np.array(weight)
    network = Network.chain([Affine(matrix, np.zeros(len(matrix))), relu], (2,))
    found = decision_plane(network, SQUARE)
    a, b = np.moveaxis(found.segments(found.boundary()), 1, 0)
    assert np.linalg.norm(b - a, axis=1).sum() == pytest.approx(border)


def test_boundary_of_a_network_without_units_is_empty() -> None:
    assert plane(Network.chain([Affine(np.eye(2), np.zeros(2))], (2,)), SQUARE).boundary().size == 0


@settings(max_examples=40)
@given(graphs(max_inputs=2, max_units=5, max_outputs=3))
def test_decision_boundary_is_where_the_class_changes(network: Network) -> None:
    assume(network.input_size == 2)
    found = decision_plane(network, SQUARE)
    inner = np.flatnonzero(found.right >= 0)
    changes = inner[found.classes[found.left[inner]] != found.classes[found.right[inner]]]
    assert found.boundary().tolist() == changes.tolist()


def test_nearest_boundary_of_a_layer_that_takes_the_input_twice() -> None:
    both = Gather(np.array([0, 5]), 6, (2,))
    network = Network((Node("both", both, INPUT, INPUT), Node("relu", relu, "both")), (3,), "relu")
    found = nearest_boundary(network, np.array([[0.5, 9.0, 2.0], [3.0, 0.0, -0.25]]))
    assert found.distance == pytest.approx([0.5, 0.25])
    assert found.element.tolist() == [0, 1]
    assert found.point == pytest.approx(np.array([[0.0, 9.0, 2.0], [3.0, 0.0, 0.0]]))


# --- proofs ---------------------------------------------------------------------------------------------------------


def _proved(found: Plane) -> bool:
    return certify(plane_cells(found, SQUARE)).complete


@pytest.mark.parametrize("far", [np.nan, np.inf])
def test_nearest_boundary_of_an_input_that_is_none_is_refused(far: float) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        nearest_boundary(general_position(4, 2), np.array([far, 0.0]))


def test_polytope_that_is_flat_is_not_called_empty() -> None:
    flat = Polytope(np.array([[1.0, 1.0], [-1.0, -1.0]]), np.array([0.0, 0.0]), SQUARE)
    with pytest.raises(InvalidInput, match="interior"):
        plane(general_position(4, 2), flat)


@pytest.mark.parametrize("reach", [-1.0, np.nan, np.inf])
def test_slice_of_no_reach_is_refused(reach: float) -> None:
    with pytest.raises(InvalidInput, match="radii"):
        Slice.through(np.eye(3), reach=reach)


def test_planted_mistakes_in_a_complex_are_not_proved() -> None:
    found = plane(drawn((2, 8, 8), 1), SQUARE)
    assert _proved(found)
    words = found.words.copy()
    words[3, 0] ^= np.uint64(1)
    assert not _proved(dataclasses.replace(found, words=words))
    assert not _proved(dataclasses.replace(found, inner=found.inner + 0.5))
    # two faces as one: the edge between them goes
    inner = int(np.flatnonzero(found.right >= 0)[0])
    keep = np.arange(found.edges) != inner
    gone, stays = int(found.right[inner]), int(found.left[inner])
    number = np.where(np.arange(found.faces) == gone, stays, np.arange(found.faces))
    number = np.append(number - (number > gone), -1)
    whole = np.arange(found.faces) != gone
    merged = dataclasses.replace(
        found,
        tail=found.tail[keep],
        head=found.head[keep],
        left=number[found.left[keep]],
        right=number[found.right[keep]],
        maker=found.maker[keep],
        words=found.words[whole],
        inner=found.inner[whole],
    )
    assert merged.vertices - merged.edges + merged.faces == 1
    assert not _proved(merged)


@pytest.mark.parametrize("last", [(1.0, -0.5, 0.25), (1.0, 1.0, 9.9)])
def test_line_that_was_overlooked_is_not_proved_away(last: tuple[float, float, float]) -> None:
    rng = np.random.default_rng(3)
    rows, bias = rng.normal(size=(7, 2)), rng.normal(size=7)
    found = plane(chain([rows], [bias]), SQUARE)
    # the second only cuts off a corner of the domain, and separates no two points inside of faces
    whole = chain([np.vstack([rows, last[:2]])], [np.append(bias, last[2])])
    words = plane(whole, SQUARE).plan.pack(pieces_at(whole, found.inputs(found.centres)))
    proof = certify(plane_cells(dataclasses.replace(found, network=whole, words=words), SQUARE))
    assert proof.present.all()
    assert not proof.settled.all()


@pytest.mark.parametrize("face", [0, 5, 9])
def test_face_that_is_taken_for_another_is_not_proved(face: int) -> None:
    found = plane(drawn((2, 8, 8), 1), SQUARE)
    words, inner = found.words.copy(), found.inner.copy()
    words[face], inner[face] = words[face + 7], inner[face + 7]
    proof = certify(plane_cells(dataclasses.replace(found, words=words, inner=inner), SQUARE))
    assert proof.present.all()
    assert not proof.complete


def test_unit_that_is_zero_up_to_rounding_does_not_cut_the_plane() -> None:
    # 3 relu(z) - relu(3 z) is 0, and rounding noise in floats
    row = np.array([0.25, 0.5])
    more = np.random.default_rng(2).normal(size=(6, 3))
    first = np.vstack([row, 3 * row, more[:, :2]])
    second = np.zeros((1, 8))
    second[0, :2] = 3.0, -1.0
    bias = np.concatenate([[0.125, 0.375], more[:, 2]])
    network = chain([first, second], [bias, np.zeros(1)])
    alone = chain([first[1:]], [bias[1:]])
    assert plane(network, R2).faces == plane(alone, R2).faces
    assert (plane(network, R2).pieces()[:, 8] == 0).all()
    assert count_plane(network, R2).exact


@pytest.mark.parametrize("tolerance", [1e-3, 1e-2])
def test_coarse_tolerance_loses_regions_and_says_so(tolerance: float) -> None:
    network = drawn((2, 16, 16), 1)
    found = plane(network, SQUARE, tolerance=tolerance)
    assert found.faces < 477
    count = counted_plane(found, SQUARE, Definition.ACTIVATION)
    assert not count.exact
    assert count.lower <= 477 <= count.upper
    assert count.ambiguous > 0
    assert count.note


def test_proof_of_a_float_line_through_a_crossing_is_done_in_fractions() -> None:
    # the third line passes the crossing of the first two only up to rounding: a triangle of size 1e-17
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    near: FloatArray = np.array([-0.1, -0.2, -0.1 - 0.2])
    count = count_plane(chain([rows], [near]), UNIT)
    assert count.lower <= 7 <= count.upper
    assert count.lower >= 6
    exact = count_plane(chain([rows], [np.array([-0.125, -0.25, -0.375])]), UNIT)
    assert (exact.lower, exact.upper) == (6, 6)


@pytest.mark.parametrize("definition", ["activation", "affine", "connected"])
def test_strip_between_parallel_lines_that_floats_take_for_one_is_not_denied(definition: str) -> None:
    near = 1.0 + 2.0**-40
    layer = Affine(np.array([[-2.0, 0.375], [-2.0, 0.375]]), np.array([0.875, 0.875 * near]))
    network = Network.chain([layer, relu, Affine(np.array([[-0.25, 1.0]]), np.zeros(1))], (2,))
    assert getattr(counts(network), definition) == 3
    found = count_plane(network, Space(2), Definition(definition))
    assert found.lower <= 3 <= found.upper
    # cells tell the strip
    if definition != "connected":
        assert count(network, Space(2), definition=definition).count == 3


def test_parallel_lines_in_the_whole_plane_are_counted_exactly() -> None:
    layer = Affine(np.tile([[1.0, 0.5]], (4, 1)), np.array([-1.0, 0.0, 0.0, 2.0]))
    behind = Affine(np.array([[1.0, 1.0, -1.0, 0.5]]), np.array([-0.75]))
    network = Network.chain([layer, relu, behind, relu], (2,))
    found = count_plane(network, Space(2))
    assert found.exact
    assert found.count == counts(network).activation
