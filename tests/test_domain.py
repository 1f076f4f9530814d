"""Domains: points that are given are inside, bounds that are given hold, rows describe the same set."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.expr import ball, polytope
from reludsl.testing import oracle
from reludsl.testing.strategies import boxes, domains, vectors

SIZES = st.integers(1, 3)


def _inside(domain: Domain, point: FloatArray) -> bool:
    """Membership by definition, in rationals; nothing of `contains`."""
    x = [Fraction(v) for v in point.tolist()]
    match domain:
        case Box():
            return all(a <= v <= b for a, v, b in zip(domain.lower.tolist(), x, domain.upper.tolist()))
        case Polytope():
            rows = zip(domain.matrix.tolist(), domain.limit.tolist())
            below = all(sum(Fraction(a) * v for a, v in zip(row, x)) <= limit for row, limit in rows)
            return _inside(domain.box, point) and below
        case Ball():
            moved = [abs(v - Fraction(c)) for v, c in zip(x, domain.center.tolist())]
            low, high = domain.clip or (-math.inf, math.inf)
            within = bool((np.asarray(low) <= point).all() and (point <= np.asarray(high)).all())
            norm = sum(moved) if domain.norm is Norm.L1 else max(moved)
            return within and norm <= Fraction(domain.radius)
        case _:
            raise AssertionError


def _linprog(domain: Domain, cost: FloatArray) -> tuple[float, FloatArray]:
    """max c x by scipy, over the rows that the domain gives to programs, and where."""
    extra = domain.constraints()
    box = domain.enclosure
    low = np.concatenate([box.lower, extra.extra_lower])
    high = np.concatenate([box.upper, extra.extra_upper])
    matrix = extra.rows.matrix.toarray()
    rows, sides = np.vstack([matrix, -matrix]), np.concatenate([extra.rows.upper, -extra.rows.lower])
    kept = np.isfinite(sides)
    whole = np.concatenate([-cost, np.zeros(len(low) - len(cost))])
    bounds = np.column_stack([low, high])
    answer = optimize.linprog(
        whole, rows[kept] if kept.any() else None, sides[kept] if kept.any() else None, bounds=bounds
    )
    assert answer.status == 0
    return float(-answer.fun), np.asarray(answer.x[: domain.size])


@given(SIZES.flatmap(domains), st.integers(0, 2**16))
def test_points_sampled_projected_and_extreme_are_inside(domain: Domain, seed: int) -> None:
    rng = np.random.default_rng(seed)
    far = rng.normal(size=(6, domain.size)) * 3
    points = np.concatenate([domain.sample(rng, 6), domain.project(far), domain.maximiser(far)])
    assert domain.contains(points).all()
    assert all(_inside(domain, point) for point in points)
    enclosure = domain.enclosure
    assert ((enclosure.lower <= points) & (points <= enclosure.upper)).all()


@given(SIZES.flatmap(domains), st.integers(0, 2**16))
def test_contains_is_the_definition_on_and_off_the_edge(domain: Domain, seed: int) -> None:
    rng = np.random.default_rng(seed)
    edge = domain.maximiser(rng.integers(-1, 2, (6, domain.size)).astype(float))
    grid = rng.integers(-24, 25, (6, domain.size)) / 8
    nearby = edge + rng.choice([-1e-16, 0, 1e-16, 1e-12, -1e-12], edge.shape)
    for points in (edge, grid, nearby):
        assert domain.contains(points).tolist() == [_inside(domain, p) for p in points]


@given(SIZES.flatmap(domains), st.integers(0, 2**16))
def test_project_leaves_points_well_inside_alone(domain: Domain, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = 0.5 * domain.sample(rng, 5) + 0.5 * domain.sample(rng, 5)
    points = points[domain.contains(points)]
    np.testing.assert_allclose(domain.project(points), points, atol=1e-8)


@given(SIZES.flatmap(domains), st.data())
def test_project_vertex_that_rounding_put_outside_moves_by_little(domain: Domain, data: st.DataObject) -> None:
    _, vertex = _linprog(domain, data.draw(vectors(domain.size)))
    moved = vertex + data.draw(vectors(domain.size)) * data.draw(st.sampled_from([0.0, 1e-16, 1e-12, 1e-9]))
    projected = domain.project(moved[None])
    assert domain.contains(projected)[0]
    np.testing.assert_allclose(projected[0], vertex, atol=1e-5)


@given(SIZES.flatmap(domains), st.data())
def test_support_is_a_bound_of_the_exact_maximum(domain: Domain, data: st.DataObject) -> None:
    row = data.draw(vectors(domain.size))
    claimed = float(domain.support(row[None])[0])
    truth = oracle.support(domain, tuple(map(Fraction, row.tolist())))
    assert Fraction(claimed) >= truth
    reached = float((domain.maximiser(row[None]) @ row)[0])
    assert reached <= claimed
    # a polytope with several rows is bounded row by row, and a clipped L1 ball from its enclosure
    if isinstance(domain, Box) or (isinstance(domain, Ball) and (domain.norm is Norm.LINF or domain.clip is None)):
        assert claimed == pytest.approx(float(truth), abs=1e-9)
        assert reached == pytest.approx(float(truth), abs=1e-9)


@given(SIZES.flatmap(domains), st.data())
def test_constraints_describe_the_same_set_as_the_oracle(domain: Domain, data: st.DataObject) -> None:
    row = data.draw(vectors(domain.size))
    truth = float(oracle.support(domain, tuple(map(Fraction, row.tolist()))))
    assert _linprog(domain, row)[0] == pytest.approx(truth, abs=1e-6)


@given(SIZES, st.data())
def test_support_l1_ball_is_tight_with_and_without_clip(size: int, data: st.DataObject) -> None:
    center, row = data.draw(vectors(size)), data.draw(vectors(size))
    below, above = data.draw(vectors(size, 0, 1)), data.draw(vectors(size, 0, 1))
    for clip in (None, (center - below, center + above)):
        domain = Ball(center, 0.75, Norm.L1, clip)
        best, _ = _linprog(domain, row)
        assert float(domain.support(row[None])[0]) == pytest.approx(best, abs=1e-9)
        assert float((domain.maximiser(row[None]) @ row)[0]) == pytest.approx(best, abs=1e-9)


@given(SIZES.flatmap(boxes), st.data())
def test_support_polytope_of_one_row_is_tight(box: Box, data: st.DataObject) -> None:
    middle = 0.5 * (box.lower + box.upper)
    normal, row = data.draw(vectors(box.size)), data.draw(vectors(box.size))
    domain = Polytope(normal[None], np.array([normal @ middle + 0.125]), box)
    assert float(domain.support(row[None])[0]) == pytest.approx(_linprog(domain, row)[0], abs=1e-7)


@given(boxes(3), boxes(3))
def test_intersect_is_the_common_part_or_refused(a: Box, b: Box) -> None:
    low, high = np.maximum(a.lower, b.lower), np.minimum(a.upper, b.upper)
    if (low > high).any():
        with pytest.raises(SolverFailed, match="proofs"):
            a.intersect(b)
    else:
        np.testing.assert_array_equal(a.intersect(b).lower, low)
        np.testing.assert_array_equal(a.intersect(b).upper, high)


def test_box_sides_are_copied_and_frozen() -> None:
    lower = np.zeros(2)
    box = Box(lower, [1, 1])
    lower[0] = 5
    assert box.lower[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        box.lower[0] = 1


def test_box_tensor_shapes_are_flattened_by_the_enclosure() -> None:
    box = Box(np.zeros((2, 3)), np.ones((2, 3)))
    assert box.size == 6
    assert box.enclosure.lower.shape == (6,)
    assert box.support(np.ones((1, 6)))[0] == pytest.approx(6)
    assert box.sample(np.random.default_rng(0), 4).shape == (4, 6)
    assert Box.full(-1, 2, (2, 3)).upper.tolist() == [2.0] * 6


def test_ball_radius_zero_is_its_centre() -> None:
    for norm in Norm:
        point = Ball(np.array([0.1, 0.7]), 0.0, norm)
        points = np.concatenate([point.sample(np.random.default_rng(0), 3), point.maximiser(np.eye(2))])
        assert (points == [0.1, 0.7]).all()
        assert point.contains(points).all()


ERRORS: list[tuple[str, Callable[[], Domain]]] = [
    ("NaN", lambda: Box([0, np.nan], [1, 1])),
    ("finite", lambda: Box([0, 0], [1, np.inf])),
    ("finite", lambda: Box([-np.inf], [0])),
    ("shape", lambda: Box([0], [1, 1])),
    ("above", lambda: Box([0, 2], [1, 1])),
    ("numbers", lambda: Box(["a"], [1])),
    ("radius", lambda: ball([0.0], -1.0).domain),
    ("radius", lambda: ball([0.0], math.inf).domain),
    ("radius", lambda: ball([0.0], math.nan).domain),
    ("centre", lambda: ball([math.inf], 1.0).domain),
    ("NaN", lambda: ball([math.nan], 1.0).domain),
    ("clip", lambda: ball([5.0], 1.0, clip=(0, 1)).domain),
    ("clip", lambda: ball([1.5, 1.5], 0.75, Norm.L1, (0, 1)).domain),
    ("NaN", lambda: ball([0.5], 1.0, clip=(0, math.nan)).domain),
    ("shape", lambda: polytope([[1.0, 1.0]], [1.0], Box([0], [1])).domain),
    ("shape", lambda: polytope([[1.0]], [1.0, 2.0], Box([0], [1])).domain),
    ("NaN", lambda: polytope([[math.nan]], [1.0], Box([0], [1])).domain),
    ("empty", lambda: polytope([[1.0]], [-1.0], Box([0], [1])).domain),
    ("empty", lambda: polytope([[0.0]], [-1.0], Box([0], [1])).domain),
]


@pytest.mark.parametrize(("word", "build"), ERRORS)
def test_domain_without_meaning_is_refused(word: str, build: Callable[[], Domain]) -> None:
    with pytest.raises(InvalidInput, match=word):
        build()


def test_norm_by_another_name_is_refused_and_never_taken_for_the_smaller_ball() -> None:
    for name in ("linf", "l1", "inf", 1, None):
        with pytest.raises(InvalidInput, match=r"Norm\.LINF or Norm\.L1"):
            Ball(np.zeros(2), 1.0, name)  # type: ignore[arg-type]
