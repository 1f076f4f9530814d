"""sup |f - F| between proved bounds: known errors, dense sampling, exact vertices, and polynomials that are no fit."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.chebyshev import cheb2poly

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.expressivity import deep_monomial_size, shallow_monomial_size, sup_distance
from reludsl.expressivity.bernstein import Terms, coefficients, tables
from reludsl.expressivity.held import held_outputs
from reludsl.expressivity.simplices import Simplices, bounded, maximum
from reludsl.layers import Affine, Layer, Max, Reshape, relu
from reludsl.layers.activations import hard_tanh
from reludsl.network import Network
from reludsl.networks import Initialisation, gaussian_network, random_network, sawtooth, square
from reludsl.regions import line, plane

UNIT = Box([0.0], [1.0])
PLANE = Box([-1.0, -0.5], [1.0, 1.5])


def value(coefficients: FloatArray, x: FloatArray) -> FloatArray:
    """Of a polynomial in one or two unknowns, (m, D) -> (m,)."""
    c = coefficients.reshape(len(coefficients), -1)
    powers = x[:, 0, None] ** np.arange(c.shape[0])
    others = (x[:, 1, None] if x.shape[1] == 2 else np.ones((len(x), 1))) ** np.arange(c.shape[1])
    return np.asarray(np.einsum("mj,jk,mk->m", powers, c, others))


def grid(box: Box, count: int) -> FloatArray:
    sides = [np.linspace(a, b, count) for a, b in zip(box.lower, box.upper)]
    return np.stack([side.ravel() for side in np.meshgrid(*sides)], axis=1)


def affine(slope: list[float], constant: float) -> Network:
    """slope x + constant, through a layer of units that cut the domain and change nothing."""
    n = len(slope)
    first = Affine(np.vstack([np.eye(n), -np.eye(n)]), np.zeros(2 * n))
    return Network.chain(
        [first, relu, Affine(np.hstack([slope, np.negative(slope)])[None], np.array([constant]))], (n,)
    )


# --- shapes and scales ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1, 1)])
def test_box_of_the_shape_of_the_input_is_that_of_its_elements(shape: tuple[int, ...]) -> None:
    n = int(np.prod(shape))
    network = Network.chain([Reshape((n,)), *[node.layer for node in random_network((n, 4), outputs=1).nodes]], shape)
    side = np.arange(1.0, n + 1)
    for target in (np.eye(3)[0] if n == 1 else np.eye(3), random_network((n, 3), 1, outputs=1)):
        if isinstance(target, Network):
            target = Network.chain([Reshape((n,)), *[node.layer for node in target.nodes]], shape)
        shaped, flat = (sup_distance(network, target, Box(-s, s)) for s in (side.reshape(shape), side))
        assert (shaped.lower, shaped.upper, shaped.at.tolist()) == (flat.lower, flat.upper, flat.at.tolist())


def test_polynomial_whose_powers_underflow_is_below_the_bound() -> None:
    """1e300 x^2 at 1e-170, where x^2 is less than the least float."""
    zero = Network.chain([Affine(np.zeros((1, 1)), np.zeros(1))], (1,))
    found = sup_distance(zero, [0.0, 0.0, 1e300], Box([0.0], [1e-170]))
    assert found.lower <= 1e-40 <= found.upper


# --- what is known --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [1, 2, 5, 9])
def test_square_is_off_by_the_published_error(m: int) -> None:
    found = sup_distance(square(m), [0, 0, 1], UNIT)
    assert found.lower == 4.0 ** -(m + 1)
    assert 0 <= found.upper - found.lower <= 2e-12
    assert found.pieces == 2**m
    assert (found.at * 2 ** (m + 1) % 2).item() == 1


def test_sawtooth_in_both_forms_is_the_same_function() -> None:
    found = sup_distance(sawtooth(4), sawtooth(4, merged=True), UNIT)
    assert (found.lower, found.pieces) == (0.0, 16)
    # |W| of 6 to a layer, where slopes are 2
    assert found.upper <= 1e-9


@pytest.mark.parametrize("coefficients", [[0.5, -2.0], [0.5], [[0.25, -1.0], [3.0, 0.0]]])
def test_polynomial_of_degree_one_as_a_network_is_no_distance_away(coefficients: list[float]) -> None:
    table = np.array(coefficients)
    slope = [table[1, 0], table[0, 1]] if table.ndim == 2 else [*table[1:], 0.0][:1]
    found = sup_distance(affine(slope, table.flat[0]), table, PLANE if table.ndim == 2 else UNIT)
    assert found.lower == 0.0
    assert found.upper <= 1e-12


def test_maximum_in_the_middle_of_a_triangle_and_on_its_sides_is_found() -> None:
    flat = affine([0.0, 0.0], 0.0)
    # 3 - (x - 1/4)^2 - (y + 3/8)^2, in a quadrant that is one piece
    table = [[3.0 - 0.0625 - 0.140625, -0.75, -1.0], [0.5, 0.0, 0.0], [-1.0, 0.0, 0.0]]
    bowl = sup_distance(flat, table, Box([-1, -1], [0.5, 0.5]))
    assert bowl.lower == pytest.approx(3.0, abs=1e-14)
    assert bowl.at == pytest.approx([0.25, -0.375], abs=1e-9)
    assert bowl.pieces == 4
    saddle = sup_distance(affine([0.0, 0.0], 0.0), [[0.0, 0.0], [0.0, 1.0]], Box([-1.0, -2.0], [3.0, 2.0]))
    assert saddle.lower == 6.0
    ridge = sup_distance(flat, [[0.0, 0.0, -1.0], [1.0, 0.0, 0.0]], Box([-1.0, -0.5], [1.0, 1.5]))
    assert ridge.lower == pytest.approx(3.25, abs=1e-15)
    for found in (bowl, saddle, ridge):
        assert found.upper - found.lower <= 1e-11


# --- against other ways ---------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.floats(-4, 4), min_size=1, max_size=7), st.booleans())
def test_error_on_a_line_is_that_of_the_roots_of_the_derivative(seed: int, c: list[float], tanh: bool) -> None:
    network = gaussian_network(
        (1, 6, 6), seed, weight_scale=2.0, bias_scale=1.0, outputs=1, **({"activation": hard_tanh()} if tanh else {})
    )
    box = Box([-1.5], [2.0])
    found = sup_distance(network, c, box)
    pieces = line(network, box.lower, box.upper)
    ends = pieces.at(np.arange(len(pieces.s))).ravel()
    candidates = [ends]
    for a, b in itertools.pairwise(ends):
        if b - a > 1e-9:
            slope = (network(np.array([b])) - network(np.array([a]))).item() / (b - a)
            roots = np.polynomial.Polynomial(c).deriv() - slope
            here = roots.roots().real if roots.degree() else np.zeros(0)
            candidates.append(here[(here > a) & (here < b)])
    x = np.concatenate(candidates)[:, None]
    best = np.abs(value(np.array(c), x) - network(x).ravel()).max()
    assert found.lower <= found.upper <= found.lower * (1 + 1e-9) + 1e-10
    assert found.lower == pytest.approx(best, rel=1e-8, abs=1e-8)
    assert found.upper >= best * (1 - 1e-12) - 1e-12


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 4).flatmap(lambda n: st.lists(st.floats(-2, 2), min_size=n * n, max_size=n * n)),
)
def test_error_in_a_plane_is_never_below_dense_sampling(seed: int, numbers: list[float]) -> None:
    n = int(len(numbers) ** 0.5)
    c = np.array(numbers).reshape(n, n)
    network = random_network((2, 5, 5), seed, Initialisation.NORMAL, outputs=1)
    found = sup_distance(network, c, PLANE, tolerance=1e-6)
    x = grid(PLANE, 121)
    sampled = np.abs(value(c, x) - network(x).ravel()).max()
    assert sampled <= found.upper
    assert found.lower <= found.upper <= found.lower * (1 + 1e-6) + 1e-9
    assert PLANE.contains(found.at[None]).all()
    exact = abs(
        sum((Fraction(c[j, k]) * Fraction(found.at[0]) ** j * Fraction(found.at[1]) ** k
             for j in range(n) for k in range(n)), Fraction(0))
        - network.exact_values(exactly(found.at))[network.output][0]
    )  # fmt: skip
    assert Fraction(found.lower) <= exact <= Fraction(found.upper)


def _rational_supremum(first: Network, second: Network, box: Box) -> Fraction:
    """The largest difference at any crossing of lines that bound the pieces of one-layer networks, or of the box."""
    lines = [(Fraction(1), Fraction(0), -Fraction(v)) for v in (box.lower[0], box.upper[0])]
    lines += [(Fraction(0), Fraction(1), -Fraction(v)) for v in (box.lower[1], box.upper[1])]
    for network in (first, second):
        layer = network.nodes[0].layer
        assert isinstance(layer, Affine)
        lines += [tuple(exactly(row)) for row in np.column_stack([layer.dense, layer.bias])]
    best = Fraction(0)
    for (a, b, c), (d, e, f) in itertools.combinations(lines, 2):
        det = a * e - b * d
        if not det:
            continue
        x = np.array([(b * f - c * e) / det, (c * d - a * f) / det], dtype=object)
        if all(Fraction(low) <= v <= Fraction(high) for low, v, high in zip(box.lower, x, box.upper)):
            values = [network.exact_values(x)[network.output] for network in (first, second)]
            best = max(best, *abs(values[0] - values[1]))
    return best


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 2))
def test_networks_differ_most_at_a_vertex_of_the_common_refinement(seed: int, units: int, outputs: int) -> None:
    first = random_network((2, units), seed, Initialisation.NORMAL, outputs=outputs)
    second = random_network((2, 3), seed + 1, Initialisation.NORMAL, outputs=outputs)
    found = sup_distance(first, second, PLANE)
    exact = _rational_supremum(first, second, PLANE)
    assert Fraction(found.lower) <= exact <= Fraction(found.upper)
    assert found.upper - found.lower <= 1e-11


def test_networks_whose_breaks_meet_are_bounded_too() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        layers: list[list[Layer]] = [
            [Affine(rng.integers(-2, 3, (4, 2)).astype(float), rng.integers(-1, 2, 4).astype(float)), relu,
             Affine(rng.integers(-2, 3, (3, 4)).astype(float), rng.integers(-1, 2, 3).astype(float)),
             Max(np.array([[0, 1, 2]]), 3, (1,))]
            for _ in range(2)
        ]  # fmt: skip
        first, second = (Network.chain(own, (2,)) for own in layers)
        found = sup_distance(first, second, Box([-1, -1], [1, 1]))
        x = grid(Box([-1, -1], [1, 1]), 65)
        assert np.abs(first(x) - second(x)).max() <= found.upper <= found.lower + 1e-11


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["relu", "hard_tanh", "max"]), st.sampled_from([1e-6, 1e-2, 0.5]))
def test_held_outputs_bound_what_moved_corners_cost(seed: int, kind: str, moved: float) -> None:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for n_in, n_out in ((2, 6), (3 if kind == "max" else 6, 6)):
        layers.append(Affine(rng.normal(size=(n_out, n_in)), rng.normal(size=n_out)))
        unit: Layer = {"relu": relu, "hard_tanh": hard_tanh()}.get(kind, Max(np.arange(6).reshape(3, 2), 6, (3,)))
        layers.append(unit)
    layers.append(Affine(rng.normal(size=(2, 3 if kind == "max" else 6)), rng.normal(size=2)))
    network = Network.chain(layers, (2,))
    found = plane(network, PLANE)
    vertices, offsets = found.polygons()
    first = vertices[offsets[:-1, None] + np.arange(3)]
    corners = found.coordinates[first] + rng.uniform(-moved, moved, (found.faces, 3, 2))
    whole = np.concatenate([corners, np.ones((found.faces, 3, 1))], axis=2)
    form, lost = held_outputs(found.plan, found.basis, found.pieces(), whole)
    x = np.einsum("sk,fkc->fsc", np.vstack([np.eye(3), rng.dirichlet(np.ones(3), 40)]), whole)
    held = np.einsum("fsd,fdn->fsn", x, form.value)
    values = network(x[..., :2].reshape(-1, 2)).reshape(held.shape)
    off = np.abs(values - held).max(axis=1)
    assert (off <= lost + 1e-12).all()
    assert lost.max() > 0


# --- Bernstein coefficients -----------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([(1, 1), (1, 2), (2, 2)]), st.integers(0, 5))
def test_bernstein_coefficients_are_those_of_the_polynomial_rounded_once(
    seed: int, shape: tuple[int, int], degree: int
) -> None:
    d, inputs = shape
    rng = np.random.default_rng(seed)
    terms = drawn(rng, degree, inputs)
    corners = rng.normal(size=(3, d + 1, inputs)) * 10.0 ** rng.integers(-9, 9, (3, 1, 1))
    gradient, constant = rng.normal(size=(3, inputs)), rng.normal(size=3)
    found = coefficients(terms, gradient, constant, corners)
    exponents = tables(terms.degree, d).exponents
    for m, k in np.ndindex(found.shape):
        # the polar form: the mean over all orders of the corners, each as often as its exponent says
        points = [exactly(corners[m, i]) for i, times in enumerate(exponents[k]) for _ in range(times)]
        exact = polar(terms, points) - polar(Terms(gradient[m], np.eye(inputs, dtype=int)), points)
        assert found[m, k] == float(exact - Fraction(float(constant[m])))


def drawn(rng: np.random.Generator, degree: int, inputs: int) -> Terms:
    exponents = np.array([e for e in itertools.product(range(degree + 1), repeat=inputs) if sum(e) <= degree])
    return Terms(rng.normal(size=len(exponents)), exponents)


def at(terms: Terms, x: FloatArray) -> FloatArray:
    return np.asarray(np.prod(x[..., None, :] ** terms.exponents, axis=-1) @ terms.coefficients)


def polar(terms: Terms, points: list[Any]) -> Fraction:
    """Symmetric, affine in each of the points, and the polynomial where they are all equal."""
    total = Fraction(0)
    for c, e in zip(terms.coefficients.tolist(), terms.exponents.tolist()):
        factors = [axis for axis, times in enumerate(e) for _ in range(times)]
        chosen = list(itertools.permutations(range(len(points)), len(factors)))
        products = (np.prod([points[p][axis] for p, axis in zip(some, factors)], dtype=object) for some in chosen)
        total += Fraction(c) * sum(products, Fraction(0)) / len(chosen)
    return total


def test_bernstein_coefficients_beyond_the_floats_are_no_numbers() -> None:
    terms = Terms(np.array([1e300, 1.0]), np.array([[2], [1]]))
    corners = np.array([[[0.0], [1e10]], [[0.0], [1.0]], [[0.0], [np.inf]], [[0.0], [5e-324]]])
    found = coefficients(terms, np.zeros((4, 1)), np.zeros(4), corners)
    # the end of the interval comes first
    assert np.isnan(found[0]).tolist() == [True, False, False]
    assert found[1].tolist() == [1e300, 0.5, 0.0]
    assert np.isnan(found[2]).all()
    assert found[3].tolist() == [5e-324, 0.0, 0.0]
    whole = Simplices(corners[:1], np.zeros(1, dtype=np.int64), np.ones(1), np.zeros(1))
    zero = np.zeros((1, 1)), np.zeros(1)
    assert maximum(terms, *zero, whole, allowance=np.zeros(1), tolerance=0.0, limit=10).upper == np.inf


@pytest.mark.parametrize("degree", [2, 6, 9, 12, 20, 30])
def test_chebyshev_polynomials_of_high_degree_are_one_away_from_zero(degree: int) -> None:
    # coefficients as large as 10^10 cancel to 1; they are integers below 2^53, and so exact
    chebyshev = cheb2poly([0] * degree + [1])
    found = sup_distance(affine([0.0], 0.0), chebyshev, Box([-1.0], [1.0]))
    assert found.lower <= 1 <= found.upper
    assert found.upper - found.lower <= 2e-9
    tighter = sup_distance(affine([0.0], 0.0), chebyshev, Box([-1.0], [1.0]), tolerance=1e-12)
    assert tighter.lower <= 1 <= tighter.upper <= found.upper
    assert tighter.upper - 1 <= 1e-9


@pytest.mark.parametrize("degree", [3, 6])
def test_products_of_chebyshev_polynomials_are_one_away_from_zero(degree: int) -> None:
    factor = cheb2poly([0] * degree + [1])
    found = sup_distance(affine([0.0, 0.0], 0.0), np.outer(factor, factor), Box([-1.0, -1.0], [1.0, 1.0]))
    assert found.lower <= 1 <= found.upper <= found.lower + 2e-9


def test_chebyshev_polynomial_on_pieces_whose_ends_are_rounded_is_bounded_closely() -> None:
    # breaks of random units are no floats; 1 and the slope of the network are added at the end of the box
    network = random_network((2, 8), 3, outputs=1)
    table = np.outer(cheb2poly([0] * 12 + [1]), [1.0])
    found = sup_distance(network, table, Box([-1.0, -1.0], [1.0, 1.0]))
    x = grid(Box([-1.0, -1.0], [1.0, 1.0]), 801)
    assert np.abs(value(table, x) - network(x)[:, 0]).max() <= found.upper
    assert found.upper - found.lower <= 1e-8 * found.lower


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 2), st.integers(0, 5))
def test_bounds_of_a_simplex_hold_at_all_of_its_points(seed: int, d: int, degree: int) -> None:
    rng = np.random.default_rng(seed)
    terms = drawn(rng, degree, d)
    cells = Simplices(rng.normal(size=(4, d + 1, d)), np.array([0, 0, 1, 1]), np.array([1.0, -1, 1, -1]), np.zeros(4))
    gradient, constant = rng.normal(size=(2, d)), rng.normal(size=2)
    found = bounded(terms, gradient, constant, cells)
    inner = rng.dirichlet(np.ones(d + 1), (4, 400))
    x = np.einsum("msk,mkc->msc", inner, cells.corners)
    affine_part = np.einsum("msc,mc->ms", x, gradient[cells.row]) + constant[cells.row][:, None]
    q = cells.sign[:, None] * (at(terms, x) - affine_part)
    assert (q.max(axis=1) <= found.upper).all()
    whole = maximum(terms, gradient, constant, cells, allowance=np.zeros(2), tolerance=1e-6, limit=10**5)
    assert q.max() <= whole.upper <= whole.value + 1e-6 * abs(whole.value) + 1e-9
    sides = [found.corner[found.convex]] if d == 1 else []
    for side in sides:
        assert (q[found.convex].max(axis=1) <= side + found.rest[found.convex]).all()


def test_search_that_may_not_divide_still_bounds() -> None:
    terms = Terms(np.array([1.0, -3.0, 1.0]), np.array([[4], [3], [1]]))
    cells = Simplices(np.array([[[-1.0], [3.0]]]), np.zeros(1, dtype=np.int64), np.ones(1), np.zeros(1))
    zero = np.zeros((1, 1)), np.zeros(1)
    found = [maximum(terms, *zero, cells, allowance=np.zeros(1), tolerance=0.0, limit=n) for n in (0, 10**4)]
    x = np.linspace(-1, 3, 10**5)[:, None]
    assert at(terms, x).max() <= found[1].upper < found[0].upper
    assert found[1].upper - found[1].value <= 1e-10


# --- monomials ------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_monomial_sizes_are_the_published_expressions(r: list[int]) -> None:
    assert shallow_monomial_size(r) == np.prod([k + 1 for k in r], dtype=object)
    assert deep_monomial_size(r) == sum(7 * int(np.ceil(np.log2(k))) + 4 for k in r if k)


@pytest.mark.parametrize("r", [[], [-1], [1.5], [np.nan], [np.inf], ["2", "3"], "23", [None], [[1]], 3, [2j]])
def test_monomial_sizes_of_no_monomial_are_refused(r: Any) -> None:
    for size in (shallow_monomial_size, deep_monomial_size):
        with pytest.raises(InvalidInput, match="no monomial"):
            size(r)


def test_monomial_sizes_of_exponents_beyond_the_floats_are_exact() -> None:
    assert shallow_monomial_size([10**400]) == 10**400 + 1
    assert deep_monomial_size([2**2000]) == 7 * 2000 + 4


def test_coefficients_may_be_fractions_and_whole_numbers() -> None:
    half = sup_distance(square(1), np.array([Fraction(1, 2), 0, 1], dtype=object), UNIT)
    assert half.lower == sup_distance(square(1), [0.5, 0.0, 1.0], UNIT).lower == 0.5


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "target", "box", "said"),
    [
        (random_network((3, 2), outputs=1), [0.0], Box([0] * 3, [1] * 3), "3 inputs"),
        (square(1), [0.0], Box([0.0], [0.0]), "flat"),
        (square(1), [0.0], PLANE, "2 coordinates"),
        (square(1), [[0.0]], UNIT, "no polynomial in 1 unknown"),
        (square(1), [np.nan], UNIT, "no polynomial"),
        (square(1), "x^2", UNIT, r"'x\^2' are no real numbers; give an array of numbers c\[j\] of x\^j, e.g."),
        (square(1), ["0", "0", "1"], UNIT, "no real numbers"),
        (square(1), [1j], UNIT, "no real numbers"),
        (square(1), [[1.0], [1.0, 2.0]], UNIT, "no real numbers"),
        (square(1), [10**400], UNIT, "no real numbers"),
        (square(1), {0: 1.0}, UNIT, "no real numbers"),
        (random_network((2, 2), outputs=1), "x y", PLANE, r"c\[j, k\] of x\^j y\^k"),
        (random_network((2, 2), outputs=1), [0.0, 1.0], PLANE, "in 2 unknowns"),
        (random_network((1, 2), outputs=2), [0.0], UNIT, "2 outputs"),
        (square(1), random_network((1, 2), outputs=2), UNIT, "no difference"),
    ],
)
def test_what_has_no_distance_is_refused(network: Network, target: Any, box: Box, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        sup_distance(network, target, box)


def test_tolerance_below_zero_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no closer than 0"):
        sup_distance(square(1), [0, 0, 1], UNIT, tolerance=-1.0)
