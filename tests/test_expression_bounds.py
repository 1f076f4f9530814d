"""Bounds of expressions hold in exact arithmetic, over several networks, inputs and hidden values at once."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from formulas import points_of, question, seeds, value_at
from hypothesis import given, settings

from reludsl import numeric
from reludsl.bounds import Bounds, crown, expression_upper
from reludsl.domain import Box
from reludsl.expr import Application, Expr, Input, InputVariable, NodeVariable, box
from reludsl.functions import absolute
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.query import maximize
from reludsl.testing import EnumerationBackend
from reludsl.testing.strategies import rough_network


def _known(expr: Expr) -> dict[Application, Bounds]:
    """Bounds of every application, those that an argument is made of first; as `reludsl.formulate` makes them."""
    from reludsl.formulate import compile_program

    return dict(compile_program([expr]).bounds)


@settings(max_examples=60)
@given(seeds())
def test_bounds_hold_the_exact_values_of_random_expressions(seed: int) -> None:
    where, a, b, pick = question(seed)
    points = points_of(where, pick, 5)
    for atoms in [*a.atoms, *b.atoms]:
        expr = atoms.expr
        known = _known(expr)
        upper, lower = expression_upper(expr, known), -expression_upper(-expr, known)
        for point in points:
            for low, value, high in zip(lower.tolist(), value_at(expr, point), upper.tolist()):
                assert Fraction(low) <= value <= Fraction(high)


def _rough(seed: int) -> tuple[Expr, InputVariable]:
    """A difference of a network at two affine images of one input, where large terms cancel, and of another."""
    rng = np.random.default_rng(seed)
    one, two = rough_network(seed), rough_network(seed + 1)
    x = Input(Box(np.zeros(1), np.full(1, rng.choice([1e-9, 1e-3, 1.0]))))

    def image() -> Expr:
        return rng.normal(size=(one.input_size, 1)) @ x + rng.normal(size=one.input_size)

    y = one(image())
    inner = rng.normal(size=(two.input_size, y.size)) @ y + rng.normal(size=two.input_size)
    total = rng.normal() * y[0] - rng.normal() * one(image())[0] + rng.normal() * two(inner)[0] + rng.normal() * x[0]
    return total, x.variable


def _violations(seeds_: Iterator[int]) -> int:
    count = 0
    for seed in seeds_:
        expr, x = _rough(seed)
        high = float(expression_upper(expr, _known(expr))[0])
        for t in (0.0, 1.0, 0.5):
            point = {x: (x.domain.enclosure.lower + t * (x.domain.enclosure.upper - x.domain.enclosure.lower))}
            count += value_at(expr, point)[0] > Fraction(high)
    return count


def test_bounds_of_rough_expressions_hold_in_exact_arithmetic() -> None:
    assert _violations(iter(range(60))) == 0


def test_bounds_without_outward_rounding_would_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above has teeth: it fails when the rounding is taken out."""
    monkeypatch.setattr(numeric, "gamma", lambda terms: 0.0)
    monkeypatch.setattr(numeric, "underflow", lambda terms: 0.0)
    monkeypatch.setattr(numeric, "UNIT", 0.0)
    monkeypatch.setattr(numeric, "up", lambda value, error=0.0: np.asarray(value + error))
    monkeypatch.setattr(numeric, "down", lambda value, error=0.0: np.asarray(value - error))
    count = 0
    for seed in range(60):
        try:
            count += _violations(iter([seed]))
        except Exception:
            count += 1
        if count:
            break
    assert count > 0


def test_one_network_at_two_images_of_one_input_cancels() -> None:
    """What is said about one input is added up before its range ends it: y(x) - y(x) has none."""
    rng = np.random.default_rng(0)
    network = Network.chain(
        [Affine(rng.integers(0, 9, (4, 2)) / 8, np.ones(4)), relu, Affine(np.eye(4), -np.ones(4))], (2,)
    )
    x = box(0, 1, (2,))
    apart = network(x)[0] - network(1.0 * x + 0.0)[0]
    again = network(x + 0.125)[0] - network(x)[0]
    assert abs(expression_upper(apart, _known(apart))[0]) < 1e-12
    # every neuron is active on the box: the difference is that of the affine maps
    exact = maximize(again, backend=EnumerationBackend()).value
    assert exact is not None
    assert expression_upper(again, _known(again))[0] == pytest.approx(exact, abs=1e-9)


def test_bounds_of_an_activation_on_the_input_itself() -> None:
    x = box(-1, 2, (2,))
    y = absolute(x).sum()
    (application,) = {v.application for v in y.terms if isinstance(v, NodeVariable)}
    known = {application: crown(application.network, x.domain)}
    assert expression_upper(y, known)[0] == pytest.approx(4, abs=1e-9)
    assert -expression_upper(-y, known)[0] <= 0


def test_bounds_without_those_of_an_application_are_refused() -> None:
    x = box(-1, 2, (2,))
    with pytest.raises(KeyError):
        expression_upper(absolute(x), {})
