"""The laws of layers: everything derived from one declaration agrees; affine maps likewise."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.layers import Affine, AffineLayer, PiecewiseLinear, Reshape, Scale, Shift, relu
from reludsl.testing.strategies import activations, boxes, dyadics, vectors

any_activation = st.one_of(st.just(relu), activations())
LEAKY = PiecewiseLinear("leaky_relu", (0,), (0.01, 1))
HARD_TANH = PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))
ROUGH = PiecewiseLinear("rough", (-0.3, 0.7, 1.1), (0.1, -1.7, 0.3, 2.9), (0.2, -0.6))
ROUGH_BOX = Box([-1.3, 0.1, 0.7, -0.3, 1.7], [1.9, 0.2, 1.2, 0.71, 1.7])


def _exact(f: PiecewiseLinear, z: FloatArray) -> list[Fraction]:
    return list(f.exact(exactly(np.atleast_1d(z))))


def _vertices(f: PiecewiseLinear, low: float, high: float) -> FloatArray:
    """Both ends and the breaks between: f is linear from each to the next."""
    return np.array([low, *(b for b in f.breaks if low < b < high), high])


# --- activations: values ------------------------------------------------------------------------------------


@given(any_activation)
def test_activation_lines_of_neighbours_meet_at_the_break(f: PiecewiseLinear) -> None:
    for k, b in enumerate(f.breaks):
        left, right = (f.slopes[j] * b + f.intercepts[j] for j in (k, k + 1))
        assert left == right == f(np.array([b]))[0]


@given(any_activation, vectors(5, -4, 4))
def test_activation_float_and_exact_values_agree_on_dyadics(f: PiecewiseLinear, z: FloatArray) -> None:
    assert list(map(Fraction, f(z).tolist())) == _exact(f, z)


@given(any_activation)
def test_activation_graph_passes_through_the_anchor(f: PiecewiseLinear) -> None:
    assert f(np.array([f.anchor[0]]))[0] == f.anchor[1]


@given(any_activation, vectors(6, -4, 4))
def test_activation_value_is_the_line_of_its_piece(f: PiecewiseLinear, z: FloatArray) -> None:
    k = f.piece(z)
    assert ((np.array(f.edges)[k] <= z) & (z <= np.array(f.edges)[k + 1])).all()
    np.testing.assert_array_equal(f(z), np.array(f.slopes)[k] * z + np.array(f.intercepts)[k])
    np.testing.assert_array_equal(f.slope_at(z), np.array(f.slopes)[k])


@given(any_activation, vectors(8, -4, 4), vectors(8, -4, 4))
def test_activation_steepest_slope_bounds_every_difference(f: PiecewiseLinear, a: FloatArray, b: FloatArray) -> None:
    assert (np.abs(f(a) - f(b)) <= f.lipschitz * np.abs(a - b)).all()


@given(activations(), dyadics(-4, 4), dyadics(-4, 4))
def test_activation_flags_convex_and_concave_are_the_midpoint_rule(f: PiecewiseLinear, a: float, b: float) -> None:
    bend = f(np.array([a])) + f(np.array([b])) - 2 * f(np.array([(a + b) / 2]))
    assert not f.convex or bend >= 0
    assert not f.concave or bend <= 0
    steps = np.diff(f.slopes)
    assert f.convex == bool((steps > 0).all())
    assert f.concave == bool((steps < 0).all())


def test_activation_inexact_value_stays_within_its_error() -> None:
    z = np.linspace(-3, 3, 301)
    error = ROUGH.evaluation_error(z)
    for value, exact, bound in zip(ROUGH(z).tolist(), _exact(ROUGH, z), error.tolist()):
        assert abs(Fraction(value) - exact) <= Fraction(bound)
    assert not relu.evaluation_error(z).any()


# --- activations: bounds ------------------------------------------------------------------------------------


@given(any_activation, boxes(4))
def test_interval_is_exactly_the_range_over_ends_and_breaks(f: PiecewiseLinear, box: Box) -> None:
    found = f.interval(box)
    for k in range(box.size):
        low, high = float(box.lower[k]), float(box.upper[k])
        values = f(_vertices(f, low, high))
        assert found.lower[k] <= values.min()
        assert values.max() <= found.upper[k]
        np.testing.assert_allclose([found.lower[k], found.upper[k]], [values.min(), values.max()], atol=1e-13)
        dense = f(np.linspace(low, high, 101))
        assert found.lower[k] <= dense.min() + 1e-12
        assert dense.max() - 1e-12 <= found.upper[k]


@given(any_activation, boxes(4))
def test_relax_lines_enclose_the_graph_exactly(f: PiecewiseLinear, box: Box) -> None:
    _check_sandwich(f, box)


def test_relax_lines_enclose_rough_graphs_exactly() -> None:
    for f in (ROUGH, LEAKY, HARD_TANH):
        _check_sandwich(f, ROUGH_BOX)


def _check_sandwich(f: PiecewiseLinear, box: Box) -> None:
    lines = f.relax(box)
    for k in range(box.size):
        sides = [
            [Fraction(float(v[k])) for v in pair]
            for pair in (
                (lines.lower_slope, lines.lower_offset),
                (lines.upper_slope, lines.upper_offset),
            )
        ]
        points = _vertices(f, float(box.lower[k]), float(box.upper[k]))
        for z, y in zip(map(Fraction, points.tolist()), _exact(f, points)):
            assert sides[0][0] * z + sides[0][1] <= y <= sides[1][0] * z + sides[1][1]


@given(any_activation, boxes(4))
def test_relax_area_is_the_least_of_all_lines(f: PiecewiseLinear, box: Box) -> None:
    """The area under a line is its width times its value at the midpoint: least for the envelope there."""
    lines = f.relax(box)
    for k in range(box.size):
        low, high = float(box.lower[k]), float(box.upper[k])
        points, middle = _vertices(f, low, high), 0.5 * (low + high)
        values = f(points)
        chords = [
            values[i] + (values[j] - values[i]) * (middle - points[i]) / (points[j] - points[i])
            for i in range(len(points))
            for j in range(i + 1, len(points))
            if points[i] <= middle <= points[j] and points[i] < points[j]
        ] or [float(values[0])]
        assert lines.upper_slope[k] * middle + lines.upper_offset[k] == pytest.approx(max(chords), abs=1e-12)
        assert lines.lower_slope[k] * middle + lines.lower_offset[k] == pytest.approx(min(chords), abs=1e-12)


def test_relax_relu_lines_are_those_of_crown() -> None:
    low, high = np.array([-2.0, -1.0, 1.0, -3.0]), np.array([1.0, 2.0, 3.0, -1.0])
    lines = relu.relax(Box(low, high))
    chord = high[:2] / (high[:2] - low[:2])
    np.testing.assert_allclose(lines.upper_slope, [*chord, 1, 0])
    np.testing.assert_allclose(lines.upper_offset, [*(-chord * low[:2]), 0, 0], atol=1e-15)
    np.testing.assert_array_equal(lines.lower_slope, [0, 1, 1, 0])
    np.testing.assert_array_equal(lines.lower_offset, np.zeros(4))


@given(any_activation, boxes(3), st.one_of(dyadics(), st.floats(-2, 2)))
def test_deviation_holds_the_exact_range_and_no_more(f: PiecewiseLinear, box: Box, slope: float) -> None:
    least, most = f.deviation(box, np.full(box.size, slope))
    for k in range(box.size):
        points = _vertices(f, float(box.lower[k]), float(box.upper[k]))
        gaps = [y - Fraction(slope) * Fraction(z) for z, y in zip(points.tolist(), _exact(f, points))]
        assert Fraction(float(least[k])) <= min(gaps)
        assert max(gaps) <= Fraction(float(most[k]))
        assert float(most[k]) - float(least[k]) <= float(max(gaps) - min(gaps)) + 1e-12


@given(any_activation, boxes(5))
def test_held_piece_interval_within_one_piece_is_that_piece(f: PiecewiseLinear, box: Box) -> None:
    for k, piece in enumerate(f.held_piece(box).tolist()):
        low, high = float(box.lower[k]), float(box.upper[k])
        inside = [p for p in range(f.pieces) if f.edges[p] <= low and high <= f.edges[p + 1]]
        assert piece in inside if inside else piece == -1


@given(any_activation, boxes(3), st.integers(0, 2**16))
def test_forward_error_covers_moved_inputs(f: PiecewiseLinear, box: Box, seed: int) -> None:
    rng = np.random.default_rng(seed)
    error = rng.random(3) * 1e-3
    bound = f.forward_error(box, error)
    z = box.sample(rng, 1)[0]
    moved = z + error * rng.uniform(-1, 1, 3)
    for a, b, e in zip(f(moved[None])[0].tolist(), _exact(f, z), bound.tolist()):
        assert abs(Fraction(a) - b) <= Fraction(e)


@pytest.mark.parametrize(
    ("breaks", "slopes", "anchor", "word"),
    [
        ((0,), (0,), (0, 0), "slopes"),
        ((1, 0), (0, 1, 0), (0, 0), "increase"),
        ((0, 0), (0, 1, 0), (0, 0), "increase"),
        ((float("nan"),), (0, 1), (0, 0), "finite"),
        ((0,), (0, float("inf")), (0, 0), "finite"),
        ((0,), (0, 1), (0, float("nan")), "finite"),
    ],
)
def test_declaration_that_is_no_function_is_refused(
    breaks: tuple[float, ...], slopes: tuple[float, ...], anchor: tuple[float, float], word: str
) -> None:
    with pytest.raises(InvalidInput, match=word):
        PiecewiseLinear("f", breaks, slopes, anchor)


# --- affine layers ------------------------------------------------------------------------------------------


@st.composite
def affine_layers(draw: st.DrawFn) -> tuple[AffineLayer, int]:
    """Every affine layer that there is, and a size of input that it takes."""
    size = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["dense", "sparse", "shift", "shift one", "scale", "divide", "scale one", "reshape"]))
    match kind:
        case "dense" | "sparse":
            rows = draw(st.integers(1, 4))
            matrix = draw(vectors(rows * size)).reshape(rows, size)
            return Affine(sparse.csr_array(matrix) if kind == "sparse" else matrix, draw(vectors(rows))), size
        case "shift":
            return Shift(draw(vectors(size))), size
        case "shift one":
            return Shift(draw(vectors(1))), size
        case "scale":
            return Scale(draw(vectors(size))), size
        case "scale one":
            return Scale(draw(vectors(1))), size
        case "divide":
            factor = draw(st.lists(st.sampled_from([-3.0, 0.5, 2.0, 255.0]), min_size=size, max_size=size))
            return Scale(np.array(factor), divide=True), size
        case _:
            return Reshape((1, size)), size


def _dense(layer: AffineLayer, size: int) -> FloatArray:
    rows = layer.rows(size)
    return rows.toarray() if isinstance(rows, sparse.csr_array) else np.asarray(rows)


@given(affine_layers(), st.data())
def test_affine_operator_adjoint_absolute_and_rows_are_one_matrix(
    pair: tuple[AffineLayer, int], data: st.DataObject
) -> None:
    layer, size = pair
    matrix = _dense(layer, size)
    x, y = data.draw(vectors(size)), data.draw(vectors(len(matrix)))
    np.testing.assert_allclose(layer.apply(x[None])[0], matrix @ x, atol=1e-12)
    np.testing.assert_allclose(layer(x[None])[0], matrix @ x + layer.bias, atol=1e-12)
    np.testing.assert_allclose(layer.adjoint(y[None])[0], y @ matrix, atol=1e-12)
    np.testing.assert_allclose(layer.absolute(np.abs(x)), np.abs(matrix) @ np.abs(x), atol=1e-12)
    assert layer.output_shape((size,))[-1] == len(matrix)


@given(affine_layers(), st.data())
def test_affine_exact_value_and_adjoint_agree_with_floats(pair: tuple[AffineLayer, int], data: st.DataObject) -> None:
    layer, size = pair
    x = data.draw(vectors(size))
    exact = layer.exact(exactly(x))
    y = data.draw(vectors(len(exact)))
    bound = layer.rounding(np.abs(x))
    for value, true, error in zip(layer(x[None])[0].tolist(), exact, bound.tolist()):
        assert abs(Fraction(value) - true) <= Fraction(error)
    # <y, W x> = <W' y, x>, exactly
    linear = exact - layer.exact(exactly(np.zeros(size)))
    assert exactly(y) @ linear == layer.exact_adjoint(exactly(y), size) @ exactly(x)


@given(affine_layers(), st.data())
def test_affine_interval_is_attained_and_never_left(pair: tuple[AffineLayer, int], data: st.DataObject) -> None:
    layer, size = pair
    box = data.draw(boxes(size))
    found = layer.interval(box)
    matrix = _dense(layer, size)
    for k, row in enumerate(matrix):
        ends = [np.where(sign * row > 0, box.upper, box.lower) for sign in (1.0, -1.0)]
        most, least = (layer.exact(exactly(end))[k] for end in ends)
        assert Fraction(float(found.lower[k])) <= least
        assert most <= Fraction(float(found.upper[k]))
        np.testing.assert_allclose([found.lower[k], found.upper[k]], [float(least), float(most)], atol=1e-12)


def test_divide_keeps_the_quotient_exact() -> None:
    layer = Scale(np.array([255.0]), divide=True)
    assert layer.exact(exactly(np.array([1.0])))[0] == Fraction(1, 255)
    assert Fraction(1.0 / 255.0) != Fraction(1, 255)


def test_affine_weights_are_copied_and_frozen() -> None:
    weight = np.ones((1, 2))
    layer = Affine(weight, np.zeros(1))
    weight[0, 0] = 7.0
    assert layer.dense[0, 0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        layer.dense[0, 0] = 7.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_affine_constants_that_are_not_finite_are_refused(bad: float) -> None:
    for build in (
        lambda: Affine(np.array([[1.0, bad]]), np.zeros(1)),
        lambda: Affine(sparse.csr_array(np.array([[1.0, bad]])), np.zeros(1)),
        lambda: Affine(np.ones((1, 2)), np.array([bad])),
        lambda: Shift(np.array([bad])),
        lambda: Scale(np.array([0.0, bad])),
    ):
        with pytest.raises(InvalidInput, match="holds"):
            build()


def test_affine_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(InvalidInput, match="do not fit"):
        Affine(np.ones((2, 3)), np.zeros(3))
    with pytest.raises(InvalidInput, match="do not fit"):
        Affine(np.ones(3), np.zeros(3))
    with pytest.raises(InvalidInput, match="follows"):
        Affine(np.ones((2, 3)), np.zeros(2)).output_shape((4,))
    with pytest.raises(InvalidInput, match="flatten"):
        Affine(np.ones((2, 3)), np.zeros(2)).output_shape((2, 3))
    with pytest.raises(InvalidInput, match="elements"):
        Shift(np.ones(2)).output_shape((3,))
    with pytest.raises(InvalidInput, match="elements"):
        Scale(np.ones(2)).output_shape((3,))


def test_divide_by_zero_is_refused() -> None:
    with pytest.raises(InvalidInput, match="zero"):
        Scale(np.array([1.0, 0.0]), divide=True)


@pytest.mark.parametrize("shape", [(2, 2), (-1, 4), (-1, -1), (0, -1)])
def test_reshape_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="reshaped"):
        Reshape(shape).output_shape((6,))


def test_reshape_one_free_entry_is_filled_in() -> None:
    assert Reshape((-1, 2)).output_shape((6,)) == (3, 2)
    assert Reshape((6,)).output_shape((2, 3)) == (6,)
