"""Bounds of any expression by linear relaxation: several networks, several inputs, hidden and output values at once.

Every network application is replaced by affine bounds in its argument, the argument by what it is made of, and so on
down to the input variables, where all that was said about one input is added up before its domain's support function
ends it. That is what tells `net(b) - net(a)` from two unrelated numbers.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.bounds.linear import linear_form
from reludsl.bounds.propagate import Bounds
from reludsl.expr import Application, Expr, InputVariable, NodeVariable, Variable


def expression_upper(expr: Expr, known: Mapping[Application, Bounds]) -> FloatArray:
    """Upper bounds of every element of an expression over the domains of its inputs, true in exact arithmetic: (size,).

    Args:
        known: bounds of every application that the expression depends on, in an order in which an application comes
            after those that its argument is made of.

    >>> from reludsl.bounds import interval
    >>> from reludsl.expr import box
    >>> x = box(-1, 1, (1,))
    >>> expression_upper(2 * x - x + 1, {})
    array([2.])
    """
    m = expr.size
    pending: dict[Variable, FloatArray] = {}
    offset, error, size = expr.constant.copy(), np.zeros(m), np.abs(expr.constant)

    def add(part: Expr, weights: FloatArray | None) -> None:
        """Add weights @ part: its linear part to what is pending, its constant to the offset."""
        nonlocal offset, error, size
        if weights is not None:
            terms = part.size
            magnitude = np.abs(weights) @ np.abs(part.constant)
            offset = offset + weights @ part.constant
            size = size + magnitude
            error = error + numeric.gamma(terms) * magnitude + numeric.underflow(terms) * (1.0 + np.abs(weights).sum())
        for variable, matrix in part.terms.items():
            reach = _reach(variable, known)
            if weights is None:
                a, lost = matrix.toarray(), np.zeros(m)
            else:
                a = np.asarray((matrix.T @ weights.T).T)
                lost = numeric.gamma(part.size) * (np.abs(weights) @ (abs(matrix) @ reach))
                lost = lost + numeric.underflow(part.size) * (1.0 + float(reach.sum()))
            if variable in pending:
                before = pending[variable]
                lost = lost + 2 * numeric.UNIT * ((np.abs(a) + np.abs(before)) @ reach)
                a = a + before
            pending[variable] = a
            error = error + lost

    add(expr, None)
    for application, bounds in reversed(list(known.items())):
        seeds = {
            v.node: pending.pop(v)
            for v in [v for v in pending if isinstance(v, NodeVariable) and v.application is application]
        }
        if not seeds:
            continue
        form = linear_form(application.network, seeds, bounds.boxes)
        offset, error, size = offset + form.offset, error + form.error, size + form.size
        add(application.argument, form.coefficients)
    for variable, a in pending.items():
        if not isinstance(variable, InputVariable):
            raise KeyError(f"no bounds were given for {variable.name}")
        end = variable.domain.support(a)
        offset, size = offset + end, size + np.abs(end)
    error = error + numeric.gamma(8 + 2 * len(known) + len(pending)) * (size + np.abs(offset))
    return numeric.up(offset, error)


def _reach(variable: Variable, known: Mapping[Application, Bounds]) -> FloatArray:
    if isinstance(variable, InputVariable):
        return variable.domain.enclosure.magnitude
    if isinstance(variable, NodeVariable):
        return known[variable.application].boxes[variable.node].magnitude
    raise KeyError("a slack variable has no bounds of its own")
