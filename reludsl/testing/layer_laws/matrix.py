"""The matrix of an affine layer: rows, bias, adjoint and absolute values are of one map."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from scipy import sparse

from reludsl.domain import Box
from reludsl.exact import exactly
from reludsl.testing.cases import hold
from reludsl.testing.layer_laws.comparing import EXACTLY, close, near, text, times
from reludsl.testing.layer_laws.subject import Subject


def law_rows_and_bias_are_the_map(s: Subject) -> None:
    """f(x) = rows x + bias = apply(x) + bias, exactly where `exact_rows` says so."""
    layer, bias = s.affine, np.broadcast_to(s.affine.bias, (s.network.output_size,))
    wanted = (s.network.output_size, s.box.size)
    hold(s.matrix.shape == wanted, f"rows has shape {s.matrix.shape} and maps {wanted[1]} inputs to {wanted[0]} values")
    odd = s.matrix.data[~np.isin(s.matrix.data, (0.0, 1.0, -1.0))]
    hold(not (layer.copies and odd.size), f"`copies` is said of a matrix that holds {odd[:1]}")
    for x in s.points:
        value, true = times(s.matrix, exactly(x)) + exactly(bias), s.exact(x)
        room = np.zeros(bias.size) if layer.exact_rows else EXACTLY * (1.0 + np.abs(true.astype(np.float64)))
        for k in range(bias.size):
            hold(
                abs(value[k] - true[k]) <= Fraction(room[k]),
                f"rows @ x + bias is {float(value[k])!r} in element {k} at {text(x)}, and exact() {float(true[k])!r}",
            )
        near(layer.apply(x[None, :])[0] + bias, true, layer.forward_error(Box(x, x), 0 * x), f"apply, at {text(x)}")


def law_adjoint_is_the_transpose(s: Subject) -> None:
    """a W from `adjoint` and `exact_adjoint` is a @ rows, the first up to `adjoint_rounding`."""
    layer, reach = s.affine, s.box.magnitude
    found = layer.adjoint(s.directions)
    hold(found.shape == (2, s.box.size), f"adjoint of 2 rows has shape {found.shape} instead of {(2, s.box.size)}")
    allowed = np.abs(s.directions) @ layer.adjoint_rounding(reach) if layer.exact_rows else EXACTLY * (1 + reach.sum())
    for a, row, lost in zip(s.directions, found, np.broadcast_to(allowed, (2,))):
        true = times(sparse.csr_array(s.matrix.T), exactly(a))
        off = sum(abs(u - v) * Fraction(r) for u, v, r in zip(exactly(row), true, reach.tolist()))
        hold(off <= Fraction(lost), f"adjoint({text(a)}) is {text(row)}, and a @ rows {text(true)}")
        own = layer.exact_adjoint(exactly(a), s.box.size)
        gap = max((abs(u - v) for u, v in zip(own, true)), default=0)
        hold(gap <= (0 if layer.exact_rows else EXACTLY), f"exact_adjoint of {text(a)}: {text(own)}, not {text(true)}")


def law_absolute_is_that_of_the_rows(s: Subject) -> None:
    """absolute(x) = |rows| x for x >= 0, of one vector and of a batch."""
    size = np.abs(s.points)
    wanted = (abs(s.matrix) @ size.T).T
    for found in (s.affine.absolute(size), np.stack([s.affine.absolute(x) for x in size])):
        for x, row, true in zip(size, found, wanted):
            close(row, true, EXACTLY * np.abs(true), f"absolute({text(x)})")
