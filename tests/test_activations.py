"""Declared activations: the functions that they are, one set of parameters per element, and the way to proofs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers import solver

from reludsl.backend import FloatArray
from reludsl.compress import compress
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.expr import Input
from reludsl.functions import absolute as absolute_of
from reludsl.layers import Activation, Affine, Layer, PiecewiseLinear, maxout
from reludsl.layers import relu as relu_of_layers
from reludsl.layers.activations import (
    DECLARED,
    absolute,
    clip,
    hard_sigmoid,
    hard_tanh,
    leaky_relu,
    prelu,
    relu,
    relu6,
)
from reludsl.network import Network
from reludsl.query import bounds, find, maximize, minimize, network_bounds, prove
from reludsl.replay import holds
from reludsl.stability import stable
from reludsl.testing import EnumerationBackend, oracle
from reludsl.testing.strategies import activations, boxes, domains, dyadics, vectors

declared = st.sampled_from([*DECLARED.values(), clip(high=0.5), clip(low=-1.0), PiecewiseLinear("identity", (), (1,))])
any_activation = st.one_of(declared, activations())


def together(parts: Sequence[PiecewiseLinear]) -> PiecewiseLinear:
    """One activation whose element i is parts[i]."""
    z, y = zip(*(f.anchor for f in parts))
    return PiecewiseLinear(
        "together", tuple(zip(*(f.breaks for f in parts))), tuple(zip(*(f.slopes for f in parts))), (z, y)
    )


eighths = dyadics()
rough = st.floats(-2, 2, allow_subnormal=False)


@st.composite
def side_by_side(draw: st.DrawFn, numbers: st.SearchStrategy[float] = eighths) -> list[PiecewiseLinear]:
    """Scalar activations with the same number of breaks; equal ones, equal slopes and ReLUs are common."""
    count = draw(st.integers(0, 3))
    size = draw(st.integers(1, 4))
    shape = draw(st.sampled_from(["convex", "concave", "any", "any"]))
    parts: list[PiecewiseLinear] = []
    for k in range(size):
        kind = draw(st.sampled_from(["drawn", "drawn", "copy", "plain"]))
        if kind == "copy" and k:
            parts.append(parts[draw(st.integers(0, k - 1))])
        elif kind == "plain" and count == 1 and shape == "any":
            parts.append(draw(st.sampled_from([relu, absolute, leaky_relu(0.25), prelu(1.0), prelu(2.0)])))
        else:
            breaks = sorted(draw(st.sets(numbers, min_size=count, max_size=count)))
            if shape == "any":
                slopes = draw(st.lists(numbers, min_size=count + 1, max_size=count + 1))
            else:
                drawn = draw(st.sets(numbers, min_size=count + 1, max_size=count + 1))
                slopes = sorted(drawn, reverse=shape == "concave")
            parts.append(PiecewiseLinear("part", tuple(breaks), tuple(slopes), (draw(numbers), draw(numbers))))
    return parts


def on_one_path(parts: Sequence[PiecewiseLinear]) -> bool:
    """Whether every part is computed as the whole is: as a maximum, as a minimum, or piece by piece."""
    return len({(f.convex or f.pieces == 1, f.concave and f.pieces > 1) for f in parts}) == 1


# --- the functions ------------------------------------------------------------------------------------------

FORMULAS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "prelu": lambda z: np.where(z > 0, z, 0.25 * z),
    "abs": np.abs,
    "hard_tanh": lambda z: np.clip(z, -1, 1),
    "hard_sigmoid": lambda z: np.clip(0.2 * z + 0.5, 0, 1),
    "clip": lambda z: np.clip(z, 0, 1),
    "relu6": lambda z: np.clip(z, 0, 6),
}


@pytest.mark.parametrize("name", DECLARED)
def test_declared_activation_is_its_formula(name: str) -> None:
    z = np.linspace(-8, 8, 1025)
    f = DECLARED[name]
    np.testing.assert_allclose(f(z), FORMULAS[name](z), atol=1e-15)
    if name != "hard_sigmoid":
        np.testing.assert_array_equal(f(z), FORMULAS[name](z))
    assert list(f.exact(exactly(z[::64]))) == pytest.approx(f(z[::64]).tolist(), abs=1e-15)


def test_declared_table_names_every_formula_and_the_relu_is_one_object() -> None:
    assert set(DECLARED) == set(FORMULAS)
    assert DECLARED["relu"] is relu is relu_of_layers
    assert all(isinstance(f, Activation) for f in DECLARED.values())


def test_clip_leaves_a_side_open() -> None:
    z = np.linspace(-3, 3, 49)
    np.testing.assert_array_equal(clip(-1.5, 0.25)(z), np.clip(z, -1.5, 0.25))
    np.testing.assert_array_equal(clip(low=-1.5)(z), np.maximum(z, -1.5))
    np.testing.assert_array_equal(clip(high=0.25)(z), np.minimum(z, 0.25))
    np.testing.assert_array_equal(clip()(z), z)
    assert clip().pieces == 1
    with pytest.raises(InvalidInput, match="increase"):
        clip(1.0, 0.0)


@given(st.floats(1e-3, 1e3), st.floats(-4, 4), st.floats(-1e4, 1e4))
def test_hard_sigmoid_stays_within_its_rounding_of_the_formula(alpha: float, beta: float, z: float) -> None:
    f = hard_sigmoid(alpha, beta)
    formula = max(Fraction(0), min(Fraction(1), Fraction(alpha) * Fraction(z) + Fraction(beta)))
    room = Fraction(2) ** -51 * (abs(Fraction(beta)) + abs(1 - Fraction(beta)))
    for point in (z, *f.breaks):
        truth = max(Fraction(0), min(Fraction(1), Fraction(alpha) * Fraction(point) + Fraction(beta)))
        assert abs(f.exact(exactly(np.array([point])))[0] - truth) <= room
    assert abs(f.exact(exactly(np.array([z])))[0] - formula) <= room


@pytest.mark.parametrize("alpha", [0.0, -0.2, float("nan")])
def test_hard_sigmoid_that_does_not_rise_is_refused(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="alpha"):
        hard_sigmoid(alpha)


def test_absolute_of_expressions_is_the_declared_one() -> None:
    (variable,) = absolute_of(Input(Box([-1.0], [1.0]))).terms
    assert variable.application.network.nodes[0].layer is absolute  # type: ignore[union-attr]


@given(any_activation, boxes(4), st.integers(0, 2**16))
def test_declared_bounds_hold_the_graph_exactly(f: PiecewiseLinear, box: Box, seed: int) -> None:
    z = box.sample(np.random.default_rng(seed), 8)
    _check_bounds(f, box, np.vstack([z, box.lower, box.upper]))


@given(side_by_side(rough), st.integers(0, 2**16))
def test_per_element_bounds_of_rough_numbers_hold_the_graph_exactly(parts: list[PiecewiseLinear], seed: int) -> None:
    rng = np.random.default_rng(seed)
    f = together(parts)
    low = rng.uniform(-3, 2, len(parts))
    box = Box(low, low + rng.uniform(0, 3, len(parts)))
    ends = [np.clip(row, box.lower, box.upper) for row in f.breaks_at(len(parts))]
    _check_bounds(f, box, np.vstack([box.sample(rng, 8), box.lower, box.upper, *ends]))


def _check_bounds(f: PiecewiseLinear, box: Box, points: FloatArray) -> None:
    """Values, intervals, lines and deviations against exact values at points of the box."""
    around, line, error = f.interval(box), f.relax(box), f.evaluation_error(points)
    least, most = f.deviation(box, np.full(box.size, 0.3))
    moved = f.forward_error(box, np.full(box.size, 1e-6))
    for z, value, lost in zip(points, f(points), error):
        for k, y in enumerate(f.exact(exactly(z))):
            at = Fraction(float(z[k]))
            assert abs(Fraction(float(value[k])) - y) <= Fraction(float(lost[k])) <= Fraction(float(moved[k]))
            assert Fraction(float(around.lower[k])) <= y <= Fraction(float(around.upper[k]))
            below, above = (
                Fraction(float(slope[k])) * at + Fraction(float(offset[k]))
                for slope, offset in ((line.lower_slope, line.lower_offset), (line.upper_slope, line.upper_offset))
            )
            assert below <= y <= above
            gap = y - Fraction(0.3) * at
            assert Fraction(float(least[k])) <= gap <= Fraction(float(most[k]))


# --- one set of parameters per element ----------------------------------------------------------------------


@given(side_by_side(), st.data())
def test_per_element_values_are_those_of_each_element_alone(parts: list[PiecewiseLinear], data: st.DataObject) -> None:
    f, n = together(parts), len(parts)
    z = data.draw(vectors(3 * n, -4, 4)).reshape(3, n)
    for method in ("__call__", "piece", "slope_at", "break_above", "break_below"):
        alone = np.stack([getattr(part, method)(z[:, k]) for k, part in enumerate(parts)], axis=1)
        np.testing.assert_array_equal(getattr(f, method)(z), alone)
        np.testing.assert_array_equal(getattr(f, method)(z[0]), alone[0])
    for mine, each in zip(f.room(z[0]), zip(*(part.room(z[0, k : k + 1]) for k, part in enumerate(parts)))):
        np.testing.assert_array_equal(mine, np.concatenate(each))
    exact = [part.exact(exactly(z[:1, k]))[0] for k, part in enumerate(parts)]
    assert list(f.exact(exactly(z[0]))) == exact
    assert [Fraction(v) for v in f(z[0]).tolist()] == exact
    a = data.draw(vectors(3 * n)).reshape(3, n)
    np.testing.assert_array_equal(f.pull(z, a), a * f.slope_at(z))
    np.testing.assert_array_equal(f.push(z[0], a), a * f.slope_at(z[0]))


@given(side_by_side(), st.data())
def test_per_element_bounds_are_those_of_each_element_alone(parts: list[PiecewiseLinear], data: st.DataObject) -> None:
    f, n = together(parts), len(parts)
    box = data.draw(boxes(n))
    each = [Box(box.lower[k : k + 1], box.upper[k : k + 1]) for k in range(n)]
    slope, error = data.draw(vectors(n)), np.full(n, 1e-3)
    for strict in (False, True):
        held = [part.held_piece(side, strict)[0] for part, side in zip(parts, each)]
        assert f.held_piece(box, strict).tolist() == held
        crossed = [part.crossed(side.lower, side.upper, strict)[0] for part, side in zip(parts, each)]
        assert f.crossed(box.lower, box.upper, strict).tolist() == crossed == [piece < 0 for piece in held]
    line, lines = f.relax(box), [part.relax(side) for part, side in zip(parts, each)]
    around, arounds = f.interval(box), [part.interval(side) for part, side in zip(parts, each)]
    deviations = [part.deviation(side, slope[k : k + 1]) for k, (part, side) in enumerate(zip(parts, each))]
    for side in ("lower_slope", "upper_slope"):
        np.testing.assert_array_equal(getattr(line, side), np.concatenate([getattr(one, side) for one in lines]))
    pairs = [
        (line.lower_offset, [one.lower_offset for one in lines]),
        (line.upper_offset, [one.upper_offset for one in lines]),
        (around.lower, [one.lower for one in arounds]),
        (around.upper, [one.upper for one in arounds]),
        *zip(f.deviation(box, slope), zip(*deviations)),
        (f.forward_error(box, error), [part.forward_error(side, error[:1]) for part, side in zip(parts, each)]),
        (f.evaluation_error(box.upper), [part.evaluation_error(side.upper) for part, side in zip(parts, each)]),
    ]
    for mine, alone in pairs:
        if on_one_path(parts):
            np.testing.assert_array_equal(mine, np.concatenate(alone))
        # the maximum of lines and the gather of pieces round differently
        np.testing.assert_allclose(mine, np.concatenate(alone), rtol=1e-12, atol=1e-12)
    assert f.lipschitz == max(part.lipschitz for part in parts)
    assert f.convex == all(part.convex for part in parts)
    assert f.concave == all(part.concave for part in parts)


@given(side_by_side(), st.data())
def test_per_element_boxes_in_a_batch_are_bounded_one_by_one(parts: list[PiecewiseLinear], data: st.DataObject) -> None:
    f = together(parts)
    one, two = data.draw(boxes(len(parts))), data.draw(boxes(len(parts)))
    both = f.interval(Box(np.stack([one.lower, two.lower]), np.stack([one.upper, two.upper])))
    for k, box in enumerate((one, two)):
        np.testing.assert_array_equal(both.lower[k], f.interval(box).lower)
        np.testing.assert_array_equal(both.upper[k], f.interval(box).upper)


@given(side_by_side(), st.data())
def test_take_is_the_activation_of_the_elements_taken(parts: list[PiecewiseLinear], data: st.DataObject) -> None:
    index = np.array(data.draw(st.lists(st.integers(0, len(parts) - 1), min_size=1, max_size=5)))
    assert together(parts).take(index) == together([parts[k] for k in index])
    mask = np.zeros(len(parts), dtype=np.bool_)
    mask[index] = True
    assert together(parts).take(mask) == together([part for part, kept in zip(parts, mask) if kept])
    assert hash(together(parts)) == hash(together(list(parts)))


@given(side_by_side(), st.data())
def test_tables_and_lines_of_pieces_are_the_declared_numbers(parts: list[PiecewiseLinear], data: st.DataObject) -> None:
    f, n = together(parts), len(parts)
    for mine, field in (
        (f.breaks_at(n), "breaks"),
        (f.slopes_at(n), "slopes"),
        (f.intercepts_at(n), "intercepts"),
        (f.intercept_errors_at(n), "intercept_errors"),
    ):
        np.testing.assert_array_equal(mine, np.array([getattr(part, field) for part in parts]).T.reshape(-1, n))
    piece = np.array(data.draw(st.lists(st.integers(-1, f.pieces - 1), min_size=n, max_size=n)))
    wanted = [(part.slopes[p], part.intercepts[p]) if p >= 0 else (np.nan, np.nan) for part, p in zip(parts, piece)]
    np.testing.assert_array_equal(np.stack([f.slope_of(piece), f.intercept_of(piece)], axis=1), np.array(wanted))


@given(any_activation, dyadics(-4, 4), dyadics(-4, 4))
def test_breaks_around_a_value_and_its_room_are_what_they_say(f: PiecewiseLinear, a: float, b: float) -> None:
    z = np.array([a])
    assert f.break_above(z)[0] == min([v for v in f.breaks if v >= a], default=np.inf)
    assert f.break_below(z)[0] == max([v for v in f.breaks if v <= a], default=-np.inf)
    down, up = f.room(z)
    edges = f.edges[f.piece(z)[0]], f.edges[f.piece(z)[0] + 1]
    assert (a - down[0], a + up[0]) == pytest.approx(edges)
    low, high = np.array([min(a, b)]), np.array([max(a, b)])
    assert f.crossed(low, high)[0] == any(low[0] < v < high[0] for v in f.breaks)
    assert f.crossed(low, high, strict=True)[0] == any(low[0] <= v <= high[0] for v in f.breaks)
    # never seen at all
    assert not f.crossed(np.array([np.inf]), np.array([-np.inf]))[0]


def test_entries_that_are_alike_are_one_number_and_arrays_are_taken() -> None:
    assert prelu([0.25, 0.25]) == prelu(0.25) == prelu(np.full((2, 3), 0.25))
    assert prelu([0.25, 0.25]).elements is None
    assert prelu([0.25, 0.25]).take(np.array([1, 0])) == prelu(0.25)
    f = PiecewiseLinear("f", (np.array([0.0, 1.0]),), ([0.0, 0.5], np.float64(1.0)), (np.zeros(2), 0))
    assert f == PiecewiseLinear("f", ((0, 1),), ((0, 0.5), 1))
    assert hash(f) == hash(PiecewiseLinear("f", ((0, 1),), ((0, 0.5), 1)))
    assert f != PiecewiseLinear("f", ((0, 1),), ((0.5, 0), 1))
    assert (f.elements, f.parameters, relu.parameters) == (2, 4, 0)
    assert prelu([0.5, 0.25, 0.125]).take(np.array([1])) == prelu(0.25)


def test_per_element_neighbours_with_one_slope_are_neither_convex_nor_concave() -> None:
    assert prelu([0.25, 0.5]).convex
    assert prelu([1.5, 2.0]).concave
    for slopes in ([0.25, 1.0], [1.5, 1.0], [0.5, 2.0]):
        f = prelu(slopes)
        assert not f.convex
        assert not f.concave
        z = np.array([[-2.0, -2.0], [0.0, 0.0], [3.0, 3.0]])
        np.testing.assert_array_equal(f(z), np.where(z > 0, z, np.array(slopes) * z))


def test_declaration_per_element_that_is_no_function_is_refused() -> None:
    with pytest.raises(InvalidInput, match="2 and for 3 elements"):
        PiecewiseLinear("f", ((0, 1),), ((0, 1, 2), 1))
    with pytest.raises(InvalidInput, match=r"\(2.0, 1.0\) for element 1; they must increase"):
        PiecewiseLinear("f", ((0, 2), 1), (0, 1, 0))
    with pytest.raises(InvalidInput, match="finite"):
        prelu([0.5, np.nan])
    with pytest.raises(InvalidInput, match="0 elements"):
        prelu([])


def test_tensor_of_another_size_is_refused() -> None:
    f = prelu([0.25, 0.5, 0.75, 1.0])
    assert f.output_shape((4,)) == (4,)
    assert f.output_shape((2, 1, 2)) == (2, 1, 2)
    with pytest.raises(InvalidInput, match=r"4 elements .* shape \(3,\); give 3"):
        f.output_shape((3,))
    with pytest.raises(InvalidInput, match="'1_prelu'"):
        Network.chain([Affine(np.ones((3, 2)), np.zeros(3)), f], (2,))


# --- networks -----------------------------------------------------------------------------------------------


@st.composite
def per_element_networks(draw: st.DrawFn, max_inputs: int = 2) -> Network:
    """Affine, one activation per neuron, affine; weights k / 8."""
    parts = draw(side_by_side())
    n, inputs, outputs = len(parts), draw(st.integers(1, max_inputs)), draw(st.integers(1, 2))
    layers: list[Layer] = []
    for rows, columns in ((n, inputs), (outputs, n)):
        layers += [Affine(draw(vectors(rows * columns)).reshape(rows, columns), draw(vectors(rows))), together(parts)]
    return Network.chain(layers[:-1], (inputs,))


@given(per_element_networks(), st.data(), st.booleans())
def test_stability_of_every_neuron_is_the_oracles(network: Network, data: st.DataObject, strict: bool) -> None:
    domain = data.draw(domains(network.input_size))
    facts = stable(network, domain, strict=strict, backend=EnumerationBackend())
    truth = oracle.stability(network, domain, strict)
    f, (found,) = network.activation(network.hidden[0]), facts.stages
    decided = found.piece != -2
    assert found.piece[decided].tolist() == truth[0][decided].tolist()
    assert decided.all() or not isinstance(domain, Box)
    slopes = [f.slopes_at(found.piece.size)[p, k] if p >= 0 else None for k, p in enumerate(found.piece)]
    assert found.stably_inactive.tolist() == [k for k, s in enumerate(slopes) if s == 0]
    assert found.stably_active.tolist() == [k for k, s in enumerate(slopes) if s not in (None, 0)]


@settings(max_examples=15)
@given(per_element_networks(), st.data())
def test_bounds_and_extremes_are_the_oracles(network: Network, data: st.DataObject) -> None:
    x = Input(data.draw(domains(network.input_size)))
    low, high = oracle.extremes(network, x.domain)
    backend = solver("highs")
    y = network(x)
    for answer, truth, sign in (
        (maximize(y[0], backend=backend), high[0], 1),
        (minimize(y[0], backend=backend), low[0], -1),
    ):
        assert sign * Fraction(answer.bound) >= sign * truth
        assert answer.bound == pytest.approx(float(truth), rel=1e-4, abs=1e-4)
        assert answer.value == pytest.approx(float(truth), rel=1e-4, abs=1e-4)
    found = bounds(y, backend=backend)
    around = network_bounds(network, x.domain, method="milp", backend=backend).boxes[network.output]
    for k in range(y.size):
        for lower, upper in ((found.lower[k], found.upper[k]), (around.lower[k], around.upper[k])):
            assert Fraction(float(lower)) <= low[k]
            assert high[k] <= Fraction(float(upper))
            assert [lower, upper] == pytest.approx([float(low[k]), float(high[k])], rel=1e-4, abs=1e-4)


def test_active_asks_each_neuron_for_its_own_first_break() -> None:
    steps = PiecewiseLinear("f", ((-1, 0, 0.5),), (0, 1), ((-1, 0, 0.5), 0))
    net = Network.chain([Affine(np.ones((3, 1)), np.zeros(3)), steps, Affine(np.ones((1, 3)), np.zeros(1))], (1,))
    x = Input(Box([-0.5], [0.75]))
    active = net.trace(x).active[0]
    backend = EnumerationBackend()
    assert prove(active[0], backend=backend).proved
    assert not prove(active[1], backend=backend).proved
    assert prove(~active[2], given=x <= 0.375, backend=backend).proved
    assert not prove(~active[2], given=x <= 0.625, backend=backend).proved
    numeric = net.trace(np.array([[-0.5], [0.25], [0.75]])).active[0]
    np.testing.assert_array_equal(numeric, [[True, False, False], [True, True, False], [True, True, True]])


def _prelu_network() -> tuple[Network, Box]:
    """Neurons 0 and 1 stay on the left with slopes 1/2 and 0, neuron 2 crosses, 3 and 4 on the right are parallel."""
    first = Affine(np.array([[1.0], [1.0], [1.0], [1.0], [2.0]]), np.array([-2.0, -2.0, 0.0, 2.0, 5.0]))
    last = Affine(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), np.zeros(1))
    return Network.chain([first, prelu([0.5, 0.0, 0.25, -1.0, 0.125]), last], (1,)), Box([-1.0], [1.0])


def test_stability_tells_the_side_of_every_slope() -> None:
    net, box = _prelu_network()
    (found,) = stable(net, box).stages
    assert found.piece.tolist() == [0, 0, -1, 1, 1]
    np.testing.assert_array_equal(found.slope, [0.5, 0.0, np.nan, 1.0, 1.0])
    assert (found.stably_inactive.tolist(), found.stably_active.tolist()) == ([1], [0, 3, 4])


def test_compress_keeps_the_slopes_of_the_neurons_that_stay() -> None:
    net, box = _prelu_network()
    result = compress(net, box, dtype=np.float64)
    # the constant one is removed; of three affine ones in one input one stays
    assert dict(result.counts) == {"removed": 1, "merged": 2, "folded": 0, "collapsed": 0}
    assert result.proved
    (kept,) = result.map.stages
    stage = result.network.hidden[0]
    assert result.network.activation(stage) == prelu([0.5, 0.0, 0.25, -1.0, 0.125]).take(kept.neurons)
    x = np.linspace(-1, 1, 33)[:, None]
    np.testing.assert_allclose(result.network(x), net(x), atol=1e-12)


@settings(max_examples=20)
@given(per_element_networks(), st.data())
def test_compress_of_any_per_element_network_is_proved(network: Network, data: st.DataObject) -> None:
    box = data.draw(boxes(network.input_size))
    result = compress(network, box, dtype=np.float64, backend=EnumerationBackend())
    assert result.proved
    x = box.sample(np.random.default_rng(0), 50)
    np.testing.assert_allclose(result.network(x), network(x), atol=1e-6)


def test_compress_proves_a_per_element_network_in_which_all_neurons_stay() -> None:
    first = Affine(np.array([[1.0], [-1.0]]), np.array([0.25, 0.5]))
    net = Network.chain([first, prelu([0.5, -0.25]), Affine(np.ones((1, 2)), np.zeros(1))], (1,))
    result = compress(net, Box([-1.0], [1.0]))
    assert result.proved
    assert result.network.activation(result.network.hidden[0]) == prelu([0.5, -0.25])


def test_saturated_hard_tanh_neurons_go_and_those_on_the_middle_piece_merge() -> None:
    first = Affine(np.array([[1.0], [1.0], [0.5], [0.25], [3.0]]), np.array([3.0, -3.0, 0.25, 0.5, 0.0]))
    net = Network.chain([first, hard_tanh(), Affine(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), np.zeros(1))], (1,))
    box = Box([-1.0], [1.0])
    (found,) = stable(net, box).stages
    assert found.piece.tolist() == [2, 0, 1, 1, -1]
    assert (found.stably_inactive.tolist(), found.stably_active.tolist()) == ([0, 1], [2, 3])
    result = compress(net, box)
    assert dict(result.counts) == {"removed": 2, "merged": 1, "folded": 0, "collapsed": 0}
    assert result.proved
    x = np.linspace(-1, 1, 33)[:, None]
    np.testing.assert_allclose(result.network(x), net(x), atol=1e-6)


def test_stage_of_hard_tanh_on_the_middle_piece_is_folded() -> None:
    first = Affine(np.array([[0.5], [0.25]]), np.array([0.25, -0.5]))
    net = Network.chain([first, hard_tanh(), Affine(np.array([[1.0, 2.0]]), np.zeros(1))], (1,))
    result = compress(net, Box([-1.0], [1.0]))
    assert result.proved
    assert result.network.neurons == 0
    np.testing.assert_allclose(result.network(np.array([[0.5]])), net(np.array([[0.5]])), atol=1e-6)


@pytest.mark.parametrize("f", [relu6, hard_sigmoid(0.25), clip(-1.0, 0.5), leaky_relu(0.25), absolute])
def test_declared_activations_have_the_oracles_extremes(f: PiecewiseLinear) -> None:
    first = Affine(np.array([[2.0, -4.0], [8.0, 1.0], [-1.0, 0.5]]), np.array([0.5, -1.0, 2.0]))
    net = Network.chain([first, f, Affine(np.array([[1.0, -2.0, 0.5]]), np.array([0.25]))], (2,))
    x = Input(Box([-1.0, -1.0], [1.0, 1.0]))
    low, high = oracle.extremes(net, x.domain)
    found = bounds(net(x), backend=solver("highs"))
    assert [found.lower[0], found.upper[0]] == pytest.approx([float(low[0]), float(high[0])], abs=1e-4)
    assert Fraction(float(found.lower[0])) <= low[0]
    assert high[0] <= Fraction(float(found.upper[0]))


def test_patterns_are_pieces_and_conditions_say_which() -> None:
    three = hard_tanh()
    net = Network.chain(
        [Affine(np.array([[1.0], [-2.0]]), np.zeros(2)), three, Affine(np.ones((1, 2)), np.zeros(1))], (1,)
    )
    trace = net.trace(np.array([[-2.0], [0.25], [0.75]]))
    assert trace.pattern[0].tolist() == [[0, 2], [1, 1], [1, 0]]
    x = Input(Box([-3.0], [3.0]))
    beyond = net.trace(x).beyond[0]
    for value, pieces in ((-2.0, [0, 2]), (0.25, [1, 1]), (0.75, [1, 0])):
        for neuron, piece in enumerate(pieces):
            at = {x.variable: np.array([value])}
            assert [holds(side[neuron], at) for side in beyond] == [piece > 0, piece > 1]
    found = find(beyond[0][0] & ~beyond[1][0] & ~beyond[0][1])
    assert found.witness is not None
    assert net.trace(found.witness[x][None]).pattern[0].tolist() == [[1, 0]]


def test_patterns_of_maxima_are_places_in_their_windows() -> None:
    net = Network.chain([maxout(4, 2)], (4,))
    assert net.trace(np.array([[1.0, 2.0, 4.0, 3.0]])).maxima["0_max"].tolist() == [[1, 0]]
