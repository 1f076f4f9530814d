"""Published expressions for how length, transitions and patterns grow: the insides of an O(.), without its constant.

They are shown beside what is measured. None is a bound on a number: O(c^d) hides a constant per layer, so that the
length of a given network may well grow by less than the base. With the initialisation of He et al. (weight_scale^2 = 2)
the expected length is preserved, while the expression for ReLU networks has the base sqrt(2 k / (k + 1)).

Sources: Raghu et al., On the expressive power of deep neural networks, ICML 2017 (theorems 1 and 3, section 2), and its
version of 2016. The number of patterns, Z(k, m)^n, is `reludsl.regions.bounds.raghu`; that one is a bound.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from reludsl.errors import InvalidInput

BEST_WIDTH = math.e
"""The k that maximises k^(m N / k) over the real numbers, whatever m and N are: where ln(k) / k is largest."""


def relu_growth(width: int, weight_scale: float) -> float:
    """Base c of the lower expression O(c^d) for the length behind d ReLU layers: s sqrt(k) / sqrt(k + 1).

    Args:
        width: k; weight_scale: s, of weights N(0, s^2 / k).

    Raises:
        InvalidInput: a width or scale that is not positive.

    >>> round(relu_growth(100, 2.0), 4)
    1.9901
    """
    _check(width, weight_scale, 0.0)
    return weight_scale * math.sqrt(width / (width + 1))


def hard_tanh_growth(width: int, weight_scale: float, bias_scale: float = 0.0) -> float:
    """Base c of the lower expression O(c^d) for the length behind d layers of hard tanh, with v = s^2 + r^2:

        c = s sqrt(k) / sqrt(v + k sqrt(v)),    without biases sqrt(s k) / sqrt(s + k).

    Args:
        width: k; weight_scale: s, of weights N(0, s^2 / k); bias_scale: r, of biases N(0, r^2).

    Raises:
        InvalidInput: a width or scale that is not positive, a negative scale of biases.

    >>> round(hard_tanh_growth(100, 4.0), 4), round(hard_tanh_growth(100, 4.0, 3.0), 4)
    (1.9612, 1.7457)
    """
    _check(width, weight_scale, bias_scale)
    variance = weight_scale**2 + bias_scale**2
    return weight_scale * math.sqrt(width / (variance + width * math.sqrt(variance)))


def upper_growth(weight_scale: float) -> float:
    """Base c of the upper expression O(c^d) for the length behind d layers of either kind: s.

    Raises:
        InvalidInput: a scale that is not positive.

    >>> upper_growth(2.0)
    2.0
    """
    _check(1, weight_scale, 0.0)
    return weight_scale


def transition_rate(width: int, weight_scale: float, bias_scale: float, layers: int) -> float:
    """g(k, s, r, n) = (sqrt(k) / sqrt(1 + r^2 / s^2))^n, to which the transitions of networks of hard tanh are
    proportional where s is large.

    Args:
        width: k; weight_scale, bias_scale: s and r; layers: n, the hidden ones.

    Raises:
        InvalidInput: a width or scale that is not positive, a negative scale of biases, negative layers.

    >>> transition_rate(16, 3.0, 0.0, 2), round(transition_rate(16, 3.0, 4.0, 1), 12)
    (16.0, 2.4)
    """
    _check(width, weight_scale, bias_scale)
    if layers < 0:
        raise InvalidInput(f"{layers} layers are no depth; give 0 or more")
    return _power(math.sqrt(width) / math.hypot(1.0, bias_scale / weight_scale), layers)


def arranged_patterns(neurons: int, width: int, inputs: int = 1) -> float:
    """k^(m N / k): the growth O(k^(m n)) of the number of patterns for N neurons in n = N / k layers of width k.

    Args:
        neurons: N; width: k; inputs: m.

    Raises:
        InvalidInput: numbers that are not positive.

    >>> [arranged_patterns(12, k) for k in (2, 3, 4, 6)]
    [64.0, 81.0, 64.0, 36.0]
    """
    _check(width, 1.0, 0.0)
    if neurons < 1 or inputs < 1:
        raise InvalidInput(f"{neurons} neurons on {inputs} inputs are no network; give positive numbers")
    return _power(width, inputs * neurons / width)


def best_width(widths: Iterable[int]) -> int:
    """The width of these with the largest `arranged_patterns`, whatever N and m are; the smaller one of a tie.

    a^(1/a) > b^(1/b) where a^b > b^a, which integers decide exactly.

    Raises:
        InvalidInput: no widths, or one that is not positive.

    >>> best_width(range(1, 100)), best_width([2, 4]), best_width([4, 6])
    (3, 2, 4)
    """
    given = sorted(set(widths))
    if not given or given[0] < 1:
        raise InvalidInput(f"the widths are {given}, and the best of them is asked for; give positive numbers")
    best = given[0]
    for width in given[1:]:
        best = width if width**best > best**width else best
    return best


def _power(base: float, exponent: float) -> float:
    """inf beyond the largest float."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf


def _check(width: int, weight_scale: float, bias_scale: float) -> None:
    if not (width >= 1 and 0 < weight_scale < math.inf and 0 <= bias_scale < math.inf):
        raise InvalidInput(
            f"width {width}, weight scale {weight_scale:g} and bias scale {bias_scale:g} are no random layer; give a "
            "width of at least 1, a positive weight scale, and a bias scale of at least 0"
        )
