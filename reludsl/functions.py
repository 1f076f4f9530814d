"""Functions of expressions that are not affine, and conditions that are made of several comparisons.

absolute(x - x0).sum()        argmax_is(net(x), label)        close(small(x), big(x), atol=1e-3)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reludsl.errors import InvalidInput
from reludsl.expr import Expr
from reludsl.layers.activations import absolute as _ABSOLUTE
from reludsl.logic import Condition
from reludsl.network import Network


def absolute(expr: Expr) -> Expr:
    """|e|, element by element: the activation with slopes -1 and 1, and as such a disjunction.

    >>> from reludsl.expr import box
    >>> x = box(-1, 1, (2,))
    >>> absolute(x).sum().value({x.variable: np.array([-0.5, 0.25])})
    array([0.75])
    """
    return Network.chain([_ABSOLUTE], (expr.size,), names=["absolute"])(expr)


def argmax_is(expr: Expr, label: int, *, margin: float = 0.0) -> Condition:
    """e_label >= e_k + margin for every other k. With margin 0 a tie counts: the label is *a* largest element.

    Raises:
        InvalidInput: no such element, or nothing to compare it with.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (3,))
    >>> argmax_is(x, 1)
    (Expr(size=2, over=[x]) <= 0 everywhere)
    """
    return _beaten(expr, label) - expr[int(label)] + margin <= 0.0


def argmin_is(expr: Expr, label: int, *, margin: float = 0.0) -> Condition:
    """e_label <= e_k - margin for every other k. With margin 0 a tie counts.

    Raises:
        InvalidInput: no such element, or nothing to compare it with.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (3,))
    >>> ~argmin_is(x, 0)
    (Expr(size=2, over=[x]) < 0 somewhere)
    """
    return expr[int(label)] + margin - _beaten(expr, label) <= 0.0


def _beaten(expr: Expr, label: int) -> Expr:
    """The elements that the one called `label` is compared with."""
    if not isinstance(label, int | np.integer) or not 0 <= label < expr.size:
        raise InvalidInput(
            f"there is no element {label!r} of an expression with {expr.size} elements; give 0 to {expr.size - 1}"
        )
    if expr.size == 1:
        raise InvalidInput(
            "an expression of one element has nothing to be compared with, so its argmax is always 0; "
            "compare it with a number instead, e.g. y[0] >= 0.5"
        )
    return expr[np.delete(np.arange(expr.size), int(label))]


def close(left: Expr, right: Expr | npt.ArrayLike, *, atol: float) -> Condition:
    """|left - right| <= atol, element by element: two comparisons each, and no disjunction.

    Raises:
        InvalidInput: a negative tolerance.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (2,))
    >>> close(x, 0.5, atol=0.5)
    ((Expr(size=2, over=[x]) <= 0 everywhere) & (Expr(size=2, over=[x]) <= 0 everywhere))
    """
    if not atol >= 0:
        raise InvalidInput(f"the tolerance is {atol}; no two values are that close: give atol >= 0")
    gap: Expr = left - right
    return (gap <= atol) & (gap >= -atol)
