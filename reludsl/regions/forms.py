"""The affine function that a node is where every unit keeps a given piece: its coefficients, their error, and exactly.

On a line or in a plane every point is x = t_1 x_1 + ... + t_d x_d with w = t_1 w_1 + ... + t_d w_d = 1, where x_k is a
point (w_k = 1) or a direction (w_k = 0). A node whose units keep their pieces is then t_1 a_1 + ... + t_d a_d, and the
a_k come out of one pass of the x_k in which the pieces are given and not looked up; biases are added w_k times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.exact import ExactArray, exactly
from reludsl.layers import Activation, AffineLayer, Layer, MaxLayer, elementwise
from reludsl.network import INPUT
from reludsl.regions.units import Part, Plan


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """Coefficients (m, d, n) of n elements on m pieces, and how far each may be from the exact one."""

    value: FloatArray
    error: FloatArray

    def at(self, point: FloatArray, slack: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Value (m, n) at a point (m, d) of each piece, and a bound on its error.

        Args:
            slack: (m, d) how far the point may be from the one that is meant.
        """
        value = np.einsum("mdn,md->mn", self.value, point)
        size = np.einsum("mdn,md->mn", np.abs(self.value) + self.error, np.abs(point))
        error = np.einsum("mdn,md->mn", self.error, np.abs(point))
        error = numeric.inflated(error) + numeric.gamma(point.shape[1] + 2) * size
        if slack is not None:
            error = error + numeric.inflated(np.einsum("mdn,md->mn", np.abs(self.value) + self.error, slack))
        return value, error


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """Points and directions that span a line or a plane.

    Args:
        x: (d, n), or (m, d, n) where every piece has its own.
        w: (d,) 1 for a point, 0 for a direction.
    """

    x: FloatArray
    w: FloatArray

    def one(self, k: int) -> Basis:
        """Of one piece, for all that lies there."""
        return Basis(self.x[k], self.w)

    def take(self, which: IntArray) -> Basis:
        """Of some pieces."""
        return self if self.x.ndim == 2 else Basis(self.x[which], self.w)


def forms(plan: Plan, basis: Basis, pieces: IntArray, *, bounded: bool = True) -> Iterator[tuple[Part | None, Form]]:
    """What every node with units takes, in order, and at last the output (of the part None).

    Args:
        pieces: (m, units).
        bounded: bound the errors as well, which takes most of the time; otherwise they are NaN, and nothing follows.
    """
    count, d = len(pieces), len(basis.w)
    weight = basis.w[:, None]
    split = plan.split(pieces)
    network = plan.network
    x = np.broadcast_to(basis.x, (count, *basis.x.shape[-2:]))
    values = {INPUT: np.ascontiguousarray(x).reshape(count * d, -1)}
    errors = {INPUT: np.zeros_like(values[INPUT])}
    for step in plan.steps:
        node, layer = step.node, step.node.layer
        x, lost = network.gather(node, values), network.gather(node, errors)
        values = {name: values[name] for name in step.kept}
        errors = {name: errors[name] for name in step.kept}
        if isinstance(layer, AffineLayer):
            y = layer.apply(x).reshape(count, d, -1) + weight * layer.bias
            error = (
                numeric.inflated(layer.absolute(lost)) + layer.rounding(np.abs(x) + lost) if bounded else _unknown(y)
            )
        else:
            part = step.part
            assert part is not None
            form = Form(x.reshape(count, d, -1), lost.reshape(count, d, -1))
            yield part, form
            if bounded:
                y, error = held(layer, form, split[part.number], weight)
            else:
                y = _held(layer, form.value, split[part.number], weight)
                error = _unknown(y)
        values[node.name] = y.reshape(count * d, -1)
        errors[node.name] = error.reshape(count * d, -1)
    out = network.output
    yield None, Form(values[out].reshape(count, d, -1), errors[out].reshape(count, d, -1))


def _unknown(value: FloatArray) -> FloatArray:
    """NaN for every element, without its memory."""
    return np.broadcast_to(np.nan, value.shape)


def _held(layer: Layer, value: FloatArray, piece: IntArray, weight: FloatArray) -> FloatArray:
    """The coefficients of `held` alone."""
    if isinstance(layer, MaxLayer):
        return np.take_along_axis(value, layer.windows[np.arange(piece.shape[1]), piece][:, None, :], 2)
    assert elementwise(layer)
    intercept = layer.intercept_of(piece)[:, None, :]
    y = layer.slope_of(piece)[:, None, :] * value
    return y + weight * intercept if intercept.any() else y


def held(layer: Layer, form: Form, piece: IntArray, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients and errors of what a layer of units gives on given pieces.

    Args:
        form: what it takes; piece: (m, size); weight: (d, 1), which of the d are points.
    """
    if isinstance(layer, MaxLayer):
        taken = layer.windows[np.arange(piece.shape[1]), piece][:, None, :]
        return np.take_along_axis(form.value, taken, 2), np.take_along_axis(form.error, taken, 2)
    assert elementwise(layer)
    slope, intercept = layer.slope_of(piece)[:, None, :], layer.intercept_of(piece)[:, None, :]
    y = slope * form.value
    error = numeric.inflated(np.abs(slope) * form.error)
    if not np.isin(slope, (0.0, 1.0, -1.0)).all():
        error = error + 2 * numeric.UNIT * np.abs(y) + numeric.underflow(1)
    if intercept.any():
        y = y + weight * intercept
        off = np.take_along_axis(layer.intercept_errors_at(piece.shape[1]), piece, 0)[:, None, :]
        error = error + weight * (off + 2 * numeric.UNIT * (np.abs(y) + np.abs(intercept)))
    return y, error


def exact_forms(plan: Plan, basis: Basis, pieces: IntArray) -> Iterator[tuple[Part | None, ExactArray]]:
    """The same of one piece in rational arithmetic: (d, n) each. Slow.

    Args:
        basis: of this piece; pieces: (units,).
    """
    network, weights = plan.network, [int(w) for w in basis.w]
    split = plan.split(pieces[None, :])
    values = {INPUT: [exactly(row) for row in basis.x]}
    for step in plan.steps:
        node, layer = step.node, step.node.layer
        x = [np.concatenate([values[source][k] for source in node.sources]) for k in range(len(weights))]
        values = {name: values[name] for name in step.kept}
        if isinstance(layer, AffineLayer):
            shift = 0 if all(weights) else layer.exact(exactly(np.zeros(x[0].size)))
            y = [layer.exact(row) - (0 if w else shift) for row, w in zip(x, weights)]
        else:
            part = step.part
            assert part is not None
            yield part, np.stack(x)
            y = _exactly_held(layer, x, split[part.number][0], weights)
        values[node.name] = y
    yield None, np.stack(values[network.output])


def exact_pieces(plan: Plan, x: ExactArray, w: Fraction) -> Iterator[tuple[Part, BoolArray]]:
    """Which pieces the units have at one point in rational arithmetic, both at a break: (size, pieces) for every part.

    Args:
        x: (inputs,), times w; w: its weight, 0 for a direction.
    """
    values = {INPUT: x}
    for step in plan.steps:
        node, layer = step.node, step.node.layer
        z = np.concatenate([values[source] for source in node.sources])
        values = {name: values[name] for name in step.kept}
        if isinstance(layer, AffineLayer):
            shift = layer.exact(exactly(np.zeros(z.size)))
            y = layer.exact(z) + (w - 1) * shift
        else:
            part = step.part
            assert part is not None
            allowed = np.zeros((part.size, part.pieces), dtype=np.bool_)
            for i in range(part.size):
                if isinstance(layer, MaxLayer):
                    window = z[layer.windows[i]].tolist()
                    allowed[i] = [v == max(window) for v in window]
                elif elementwise(layer):
                    breaks = [Fraction(b) * w for b in layer.breaks_at(part.size)[:, i].tolist()]
                    allowed[i, sum(b < z[i] for b in breaks) : sum(b <= z[i] for b in breaks) + 1] = True
            yield part, allowed
            (y,) = _exactly_held(layer, [z], allowed.argmax(axis=1), [w])
        values[node.name] = y


def exact_output(plan: Plan, basis: Basis, pieces: IntArray) -> ExactArray:
    """The output of one piece in rational arithmetic: (d, outputs)."""
    *_, (_, form) = exact_forms(plan, basis, pieces)
    return form


def _exactly_held(
    layer: Layer, x: list[ExactArray], piece: IntArray, weights: Sequence[int | Fraction]
) -> list[ExactArray]:
    if isinstance(layer, MaxLayer):
        taken = layer.windows[np.arange(piece.size), piece]
        return [row[taken] for row in x]
    assert elementwise(layer)
    slope = exactly(layer.slope_of(piece))
    intercept = _exact_intercepts(layer, piece)
    return [slope * row + intercept * w for row, w in zip(x, weights)]


def _exact_intercepts(layer: Activation, piece: IntArray) -> ExactArray:
    """f(b) - s b at a break b that bounds the piece."""
    if not layer.breaks:
        return np.asarray(layer.exact(exactly(np.zeros(piece.size))))
    breaks = layer.breaks_at(piece.size)
    b = exactly(breaks[np.minimum(piece, len(breaks) - 1), np.arange(piece.size)])
    return np.asarray(layer.exact(b) - exactly(layer.slope_of(piece)) * b)
