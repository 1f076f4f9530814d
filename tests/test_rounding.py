"""Bounds are true in exact arithmetic, on networks that lose everything to rounding; and the test can tell.

Every check below compares floats that the library claims as bounds with exact rationals, and returns what it
finds outside of them. With the outward rounding taken out, the same checks on the same seeds must find some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, sparse

from reludsl import numeric
from reludsl.backend import FloatArray, Matrix
from reludsl.bounds import Bounds, crown, interval, linear_upper
from reludsl.certificate import dual_bound
from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.exact import exactly, rounded_up
from reludsl.exact_lp import ExactLP, exact, solve_exact
from reludsl.network import INPUT, Network
from reludsl.program import activity
from reludsl.testing import oracle
from reludsl.testing.strategies import rough_network

Misses = list[str]


def _rough_box(rng: np.random.Generator, size: int) -> Box:
    """A point, a sliver, or a box with sides of very different lengths."""
    lower = rng.normal(size=size) * 10.0 ** rng.uniform(-3, 3, size)
    width = rng.choice([0.0, 1e-15, 1e-6, 1.0]) * np.abs(rng.normal(size=size)) * np.abs(lower)
    return Box(lower, lower + width)


def _rough_domain(rng: np.random.Generator, size: int) -> Domain:
    box = _rough_box(rng, size)
    center = 0.5 * (box.lower + box.upper)
    radius = float(abs(rng.normal()) * 10.0 ** rng.uniform(-6, 2))
    kind = rng.integers(5)
    if kind == 0:
        return box
    if kind == 1:
        return Ball(center, radius, Norm.LINF, (center - rng.random(size) * radius, center + 0.3 * radius))
    if kind == 2:
        return Ball(center, radius, Norm.L1)
    if kind == 3:
        return Ball(center, radius, Norm.L1, (center - rng.random(size) * radius, center + 0.3 * radius))
    wide = Box(center - 1.1, center + 0.9)
    rows = rng.normal(size=(2, size))
    return Polytope(rows, rows @ center + rng.random(2) + 0.01, wide)


def _outside(name: str, box: Box, low: Iterable[Fraction], high: Iterable[Fraction]) -> Misses:
    found = zip(box.lower.tolist(), box.upper.tolist(), low, high)
    return [
        f"{name}[{k}]: [{float(least)!r}, {float(most)!r}] leaves [{a!r}, {b!r}]"
        for k, (a, b, least, most) in enumerate(found)
        if least < Fraction(a) or most > Fraction(b)
    ]


def _bounds_misses(seed: int, method: Callable[[Network, Domain], Bounds]) -> Misses:
    """Exact values at samples and corners, and the exact extremes of every stage, against the bounds."""
    network, rng = rough_network(seed), np.random.default_rng(seed + 1)
    domain = _rough_domain(rng, network.input_size)
    try:
        boxes = method(network, domain).boxes
    except (InvalidInput, SolverFailed) as crossed:
        return [str(crossed)]
    corners = domain.maximiser(np.ones((2, domain.size)) * np.array([[1.0], [-1.0]]))
    misses: Misses = []
    for point in np.concatenate([domain.sample(rng, 3), corners]):
        for name, values in network.exact_values(exactly(point)).items():
            misses += _outside(name, boxes[name], values, values)
    for stage in network.stages:
        misses += _outside(f"{stage.name} extremes", boxes[stage.pre], *oracle.extremes(network, domain, stage))
    return misses


def _interval_misses(seed: int) -> Misses:
    return _bounds_misses(seed, interval)


def _crown_misses(seed: int) -> Misses:
    return _bounds_misses(seed, crown)


def _backward_misses(seed: int) -> Misses:
    """The backward pass alone, given the exact ranges of all nodes: no other slack covers for it."""
    network, rng = rough_network(seed), np.random.default_rng(seed + 1)
    domain = _rough_domain(rng, network.input_size)
    boxes = {INPUT: domain.enclosure}
    misses: Misses = []
    for node in network.nodes:
        low, high = oracle.extremes(network, domain, node.name)
        n = len(low)
        upper = linear_upper(network, domain, node.name, np.concatenate([np.eye(n), -np.eye(n)]), boxes)
        ends = zip(upper.tolist(), [*high, *(-v for v in low)])
        misses += [f"{node.name}: {u!r} < {float(v)!r}" for u, v in ends if Fraction(u) < v]
        boxes[node.name] = Box(
            [-rounded_up(-v) for v in low],
            [rounded_up(v) for v in high],
        )
    return misses


def _support_misses(seed: int) -> Misses:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 4))
    domain = _rough_domain(rng, size)
    rows = rng.normal(size=(4, size)) * 10.0 ** rng.uniform(-12, 6, (4, size))
    claimed = domain.support(rows).tolist()
    truth = [oracle.support(domain, tuple(map(Fraction, row))) for row in rows.tolist()]
    return [f"{domain}: support {c!r} < {float(t)!r}" for c, t in zip(claimed, truth) if Fraction(c) < t]


def _activity_misses(seed: int) -> Misses:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(4, 5)) * 10.0 ** rng.uniform(-12, 6, (4, 5)) * (rng.random((4, 5)) < 0.7)
    box = _rough_box(rng, 5)
    least, most = activity(sparse.csr_array(matrix), box.lower, box.upper)
    ends = [oracle.support(box, tuple(Fraction(s * v) for v in row)) for row in matrix.tolist() for s in (-1, 1)]
    return _outside("activity", Box(least, most), [-v for v in ends[::2]], ends[1::2])


def _rough_program(rng: np.random.Generator) -> tuple[Matrix, FloatArray]:
    n, m = int(rng.integers(1, 5)), int(rng.integers(0, 4))
    rows = rng.normal(size=(m, n)) * 10.0 ** rng.uniform(-3, 3, (m, n))
    box = _rough_box(rng, n)
    inside = rows @ (0.5 * (box.lower + box.upper))
    width = np.abs(inside) + 1.0
    low = np.where(rng.random(m) < 0.5, inside - rng.random(m) * width, -np.inf)
    high = np.where(rng.random(m) < 0.7, inside + rng.random(m) * width, np.inf)
    matrix = Matrix(sparse.csr_array(rows), low, high, box.lower, box.upper, np.zeros(n, dtype=np.bool_))
    return matrix, rng.normal(size=n) * 10.0 ** rng.uniform(-3, 3, n)


def _exact_maximum(matrix: Matrix, cost: FloatArray) -> Fraction | None:
    program = ExactLP(
        [-Fraction(c) for c in cost.tolist()],
        [[Fraction(a) for a in row] for row in matrix.rows.toarray().tolist()],
        [exact(v) for v in matrix.row_lower],
        [exact(v) for v in matrix.row_upper],
        [Fraction(v) for v in matrix.lower.tolist()],
        [Fraction(v) for v in matrix.upper.tolist()],
    )
    objective = solve_exact(program).objective
    return None if objective is None else -objective


def _dual_misses(seed: int) -> Misses:
    """Zero, random and near-optimal duals all give a bound."""
    rng = np.random.default_rng(seed)
    matrix, cost = _rough_program(rng)
    best = _exact_maximum(matrix, cost)
    if best is None:
        return []
    m = matrix.row_lower.size
    duals = [
        np.zeros(m),
        rng.normal(size=m) * 10.0 ** rng.uniform(-6, 6, m),
        np.full(m, np.nan),
        _duals(matrix, cost),
    ]
    found = [dual_bound(matrix, cost, y) for y in duals]
    return [f"{y}: {b!r} < {float(best)!r}" for y, b in zip(duals, found) if Fraction(b) < best]


def _duals(matrix: Matrix, cost: FloatArray) -> FloatArray:
    """Duals of the maximum from linprog, one per row."""
    dense = matrix.rows.toarray()
    rows, sides = np.vstack([dense, -dense]), np.concatenate([matrix.row_upper, -matrix.row_lower])
    kept = np.isfinite(sides)
    bounds = np.column_stack([matrix.lower, matrix.upper])
    if not kept.any():
        return np.zeros(len(dense))
    answer = optimize.linprog(-cost, rows[kept], sides[kept], bounds=bounds)
    both = np.zeros(len(rows))
    if answer.x is not None:
        both[kept] = -answer.ineqlin.marginals
    return np.asarray(both[: len(dense)] - both[len(dense) :])


CHECKS = [_interval_misses, _crown_misses, _backward_misses, _support_misses, _activity_misses, _dual_misses]
SEEDS = range(40)

every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda f: f.__name__.strip("_"))


def _no_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(value: FloatArray, error: FloatArray | float = 0.0) -> FloatArray:
        return np.asarray(value)

    monkeypatch.setattr(numeric, "gamma", lambda terms: 0.0)
    monkeypatch.setattr(numeric, "underflow", lambda terms: 0.0)
    monkeypatch.setattr(numeric, "up", plain)
    monkeypatch.setattr(numeric, "down", plain)


@every_check
@given(seed=st.integers(0, 2**32 - 2))
def test_rounding_rough_numbers_stay_inside(check: Callable[[int], Misses], seed: int) -> None:
    assert not check(seed)


@every_check
def test_rounding_fixed_seeds_stay_inside(check: Callable[[int], Misses]) -> None:
    assert not [miss for seed in SEEDS for miss in check(seed)]


@every_check
def test_rounding_taken_out_same_seeds_are_caught(
    check: Callable[[int], Misses], monkeypatch: pytest.MonkeyPatch
) -> None:
    _no_rounding(monkeypatch)
    assert sum(bool(check(seed)) for seed in SEEDS) >= 3


def test_dual_bound_optimal_duals_are_tight() -> None:
    for seed in range(100, 130):
        matrix, cost = _rough_program(np.random.default_rng(seed))
        best = _exact_maximum(matrix, cost)
        assert best is not None
        slack = dual_bound(matrix, cost, _duals(matrix, cost)) - float(best)
        size = float(np.abs(cost) @ np.maximum(np.abs(matrix.lower), np.abs(matrix.upper)))
        assert 0 <= slack <= 1e-6 * (1 + size)


def test_gamma_two_roundings_of_a_sum_are_covered() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 10, 200):
        a, b = rng.normal(size=n), rng.normal(size=n) * 10.0 ** rng.uniform(-8, 8, n)
        true = sum((Fraction(x) * Fraction(y) for x, y in zip(a.tolist(), b.tolist())), Fraction(0))
        lost = abs(Fraction(float(a @ b)) - true)
        assert lost <= Fraction(numeric.gamma(n)) / 2 * Fraction(float(np.abs(a) @ np.abs(b)))


@pytest.mark.parametrize("value", [1.0, -0.0, 1e300, 5e-324, -2.5])
def test_up_and_down_nothing_added_change_nothing(value: float) -> None:
    there = np.array([value])
    assert numeric.up(there) == value == numeric.down(there)
    assert numeric.down(there, 1e-30) < value < numeric.up(there, 1e-30)
