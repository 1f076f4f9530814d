"""Published expressions: what they come to where they are known, and how they hang together."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reludsl.errors import InvalidInput
from reludsl.expressivity import (
    BEST_WIDTH,
    arranged_patterns,
    best_width,
    hard_tanh_growth,
    relu_growth,
    transition_rate,
    upper_growth,
)

WIDTHS, SCALES = st.integers(1, 1000), st.floats(0.1, 20)


@given(WIDTHS, SCALES, st.floats(0, 20))
def test_growth_bases_are_those_of_their_formulas(width: int, weight: float, bias: float) -> None:
    variance = weight**2 + bias**2
    written = weight * math.sqrt(width) / math.sqrt(variance + width * math.sqrt(variance))
    assert hard_tanh_growth(width, weight, bias) == pytest.approx(written)
    without = math.sqrt(weight * width) / math.sqrt(weight + width)
    assert hard_tanh_growth(width, weight) == pytest.approx(without)
    assert relu_growth(width, weight) == pytest.approx(weight * math.sqrt(width) / math.sqrt(width + 1))
    assert relu_growth(width, weight) < upper_growth(weight) == weight
    assert hard_tanh_growth(width, weight, bias) <= hard_tanh_growth(width, weight)


@given(WIDTHS, SCALES, st.floats(0, 20), st.integers(0, 8))
def test_transition_rate_is_a_power_and_falls_with_the_biases(width: int, s: float, r: float, layers: int) -> None:
    one = math.sqrt(width) / math.sqrt(1 + r**2 / s**2)
    assert transition_rate(width, s, r, layers) == pytest.approx(one**layers)
    assert transition_rate(width, s, 0.0, 2) == pytest.approx(width)


def test_arrangements_of_twelve_neurons_are_best_in_threes() -> None:
    assert [arranged_patterns(12, k) for k in (2, 3, 4, 6)] == [64, 81, 64, 36]
    assert best_width([1, 2, 3, 4, 6, 12]) == 3
    assert arranged_patterns(12, 3, inputs=2) == 81**2


def test_expressions_beyond_the_largest_float_are_infinite() -> None:
    assert arranged_patterns(3000, 3) == transition_rate(1000, 1.0, 1.0, 1000) == math.inf


@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 60))
def test_best_width_has_most_arranged_patterns_and_the_optimum_is_e(neurons: int, inputs: int, width: int) -> None:
    assert arranged_patterns(neurons, 3, inputs) >= arranged_patterns(neurons, width, inputs) * (1 - 1e-12)
    top = math.exp(inputs * neurons / BEST_WIDTH)
    assert arranged_patterns(neurons, 3, inputs) <= top * (1 + 1e-12)


def test_wrong_numbers_are_refused_with_what_to_give() -> None:
    with pytest.raises(InvalidInput, match="positive weight scale"):
        relu_growth(10, 0.0)
    with pytest.raises(InvalidInput, match="bias scale"):
        hard_tanh_growth(10, 1.0, -1.0)
    with pytest.raises(InvalidInput, match="no depth"):
        transition_rate(10, 1.0, 0.0, -1)
    with pytest.raises(InvalidInput, match="positive numbers"):
        arranged_patterns(0, 3)
    with pytest.raises(InvalidInput, match="positive numbers"):
        best_width([])
