"""How far a network may be from the affine function of a pattern, on a polygon whose corners are rounded."""

from __future__ import annotations

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.layers import AffineLayer, Layer, MaxLayer, elementwise
from reludsl.network import INPUT
from reludsl.regions.forms import Basis, Form, forms
from reludsl.regions.units import Plan

CHUNK = 4_000_000
"""Numbers that are held at once for values at corners."""


def held_outputs(plan: Plan, basis: Basis, pieces: IntArray, corners: FloatArray) -> tuple[Form, FloatArray]:
    """The output where every unit keeps its piece, and a bound on what the network differs from it on the polygons.

    A unit that leaves its piece by e, of slope s in a layer of slopes up to L, is off by (L + |s|) e at most. What a
    unit takes is affine on a polygon while the pieces are kept, so that e is largest at a corner. From there an error d
    grows to |W| d in an affine layer and to L d in an activation.

    Args:
        pieces: (m, units); corners: (m, k, d) of each polygon as coefficients of the basis.

    Returns:
        Coefficients (m, d, outputs) with their errors, and the bound (m, outputs), which holds for the coefficients in
        exact arithmetic.
    """
    widest = max([plan.network.input_size, *(plan.network.size(step.node.name) for step in plan.steps)])
    each = max(1, CHUNK // (widest * max(corners.shape[1:])))
    parts = [
        _held(plan, basis.take(np.arange(k, min(k + each, len(pieces)))), pieces[k : k + each], corners[k : k + each])
        for k in range(0, len(pieces), each)
    ]
    form = Form(np.concatenate([f.value for f, _ in parts]), np.concatenate([f.error for f, _ in parts]))
    return form, np.concatenate([lost for _, lost in parts])


def _held(plan: Plan, basis: Basis, pieces: IntArray, corners: FloatArray) -> tuple[Form, FloatArray]:
    network, split = plan.network, plan.split(pieces)
    found = forms(plan, basis, pieces)
    lost = {INPUT: np.zeros((len(pieces), network.input_size))}
    for step in plan.steps:
        node, layer = step.node, step.node.layer
        x = network.gather(node, lost)
        lost = {name: lost[name] for name in step.kept}
        if isinstance(layer, AffineLayer):
            lost[node.name] = numeric.inflated(layer.absolute(x))
        else:
            part, form = next(found)
            assert part is not None
            lost[node.name] = _moved(layer, x) + _left(layer, form, split[part.number], corners)
    _, form = next(found)
    return form, numeric.inflated(lost[network.output])


def _moved(layer: Layer, lost: FloatArray) -> FloatArray:
    """How far the values of a layer of units move when what it takes does."""
    if isinstance(layer, MaxLayer):
        return np.asarray(layer(lost))
    assert elementwise(layer)
    return numeric.inflated(layer.lipschitz * lost)


def _left(layer: Layer, form: Form, piece: IntArray, corners: FloatArray) -> FloatArray:
    """How far the units are from what their pieces say, at most, at any corner: (m, size)."""
    if isinstance(layer, MaxLayer):
        taken = layer.windows[np.arange(piece.shape[1]), piece]
        most = np.zeros(piece.shape)
        for column in layer.windows.T:
            # the difference of two forms, rounded once more
            own = np.take_along_axis(form.value, taken[:, None], 2)
            value = form.value[:, :, column] - own
            error = form.error[:, :, column] + np.take_along_axis(form.error, taken[:, None], 2)
            error = numeric.inflated(error) + 2 * numeric.UNIT * np.abs(value)
            most = np.maximum(most, _highest(value, error, corners))
        return most
    assert elementwise(layer)
    n = piece.shape[1]
    breaks = np.concatenate([np.full((1, n), -np.inf), layer.breaks_at(n), np.full((1, n), np.inf)])
    low, high = np.take_along_axis(breaks, piece, 0), np.take_along_axis(breaks, piece + 1, 0)
    past = np.maximum(_highest(form.value, form.error, corners) - high, 0.0)
    below = np.maximum(_highest(-form.value, form.error, corners) + low, 0.0)
    away = numeric.inflated(np.maximum(past, below))
    return numeric.inflated((layer.lipschitz + np.abs(layer.slope_of(piece))) * away)


def _highest(value: FloatArray, error: FloatArray, corners: FloatArray) -> FloatArray:
    """An upper bound of a form at all corners: (m, d, n) and (m, k, d) -> (m, n)."""
    reach = np.abs(corners)
    size = np.einsum("mdn,mkd->mkn", np.abs(value) + error, reach, optimize=True)
    lost = numeric.inflated(np.einsum("mdn,mkd->mkn", error, reach, optimize=True))
    lost = lost + numeric.gamma(corners.shape[2] + 4) * size + numeric.underflow(corners.shape[2])
    return np.asarray((np.einsum("mdn,mkd->mkn", value, corners, optimize=True) + lost).max(axis=1))
