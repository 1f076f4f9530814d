"""How many neurons approximate a monomial, for smooth activations: what one hidden layer needs, and what depth does."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reludsl.errors import InvalidInput


def shallow_monomial_size(exponents: Sequence[int]) -> int:
    """prod_i (r_i + 1): neurons of one hidden layer that approximate x_1^r_1 ... x_n^r_n as well as one likes.

    No fewer do, and their number does not depend on the error that is allowed. That holds for activations whose Taylor
    coefficients up to degree 2 d, d = r_1 + ... + r_n, are all nonzero. A ReLU has none: its networks are piecewise
    affine, and need more neurons for less error (see `reludsl.networks.square`).

    Source: Rolnick and Tegmark, The power of deeper networks for expressing natural functions, ICLR 2018.

    Args:
        exponents: r_1, ..., r_n; a variable with exponent 0 counts as one that is not there.

    Raises:
        InvalidInput: no exponents, negative ones, text.

    >>> shallow_monomial_size([1] * 10), shallow_monomial_size([2, 3]), shallow_monomial_size([2, 0, 3])
    (1024, 12, 12)
    """
    return math.prod(r + 1 for r in _checked(exponents))


def deep_monomial_size(exponents: Sequence[int]) -> int:
    """sum_i (7 ceil(log2 r_i) + 4) over the r_i >= 1: neurons of a deep network that are enough for the monomial.

    The network squares again and again, and multiplies what it needs: the 4 is a product, which every variable takes
    one of, and so counts once for each. The hidden layers are about log2 of the degree in number, and the activation is
    as for `shallow_monomial_size`, no ReLU. The bound is stated for r_i >= 1; a variable with exponent 0 is left out
    here, as log2 0 says nothing, and one with exponent 1 takes its 4.

    Source: Rolnick and Tegmark, The power of deeper networks for expressing natural functions, ICLR 2018.

    Args:
        exponents: r_1, ..., r_n.

    Raises:
        InvalidInput: no exponents, negative ones, text.

    >>> deep_monomial_size([1] * 10), deep_monomial_size([2, 3]), deep_monomial_size([2, 0, 3])
    (40, 29, 29)
    """
    # ceil(log2 r) of a positive integer, without rounding
    return sum(7 * (r - 1).bit_length() + 4 for r in _checked(exponents) if r)


def _checked(exponents: Sequence[int]) -> list[int]:
    given: object = exponents
    try:
        given = [*exponents]
        found = [int(r) for r in given if isinstance(r, int) or math.isfinite(r)]
    except TypeError:
        # text, or no sequence
        found = []
    if not found or min(found) < 0 or found != given:
        raise InvalidInput(
            f"the exponents {given!r} are those of no monomial; give whole numbers from 0 on, at least one, e.g. "
            "[2, 3] for x^2 y^3"
        )
    return found
