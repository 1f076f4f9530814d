"""Lines around what the neurons of a network put out, for comparing it with another (`reludsl.rewrite.difference`).

A neuron that is held on no piece can be described in three ways, each of them true: by the tightest lines on its
interval, by the interval of its values, and by the piece that it is nearest to with what it deviates from that. The
second is best for a neuron that went because it hardly changes, the third for one that is nearly affine.
"""

from __future__ import annotations

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray
from reludsl.bounds import relaxed
from reludsl.domain import Box
from reludsl.layers import Activation, LinearBounds, elementwise
from reludsl.network import Node

POINT = 1e-12
"""An interval of at most this width, relative to 1 + its largest value, is taken for its ends, not for a line on it."""


def lines(node: Node, around: Box) -> LinearBounds:
    """The relaxation of a layer; of a neuron with one input, its value, which may be known from more than its layer."""
    layer = node.layer
    line = relaxed(layer, around)
    point = around.upper - around.lower <= POINT * (1.0 + around.magnitude)
    if not elementwise(layer) or not point.any():
        return line
    value = layer.interval(around)
    return LinearBounds(
        np.where(point, 0.0, np.asarray(line.lower_slope)),
        np.where(point, value.lower, line.lower_offset),
        np.where(point, 0.0, np.asarray(line.upper_slope)),
        np.where(point, value.upper, line.upper_offset),
    )


def free_neurons(layer: Activation, around: Box) -> BoolArray:
    """(n,) which neurons are held on no piece, and take more than one input."""
    return np.asarray((layer.held_piece(around) < 0) & (around.lower < around.upper))


def within(box: Box) -> LinearBounds:
    """A box as lines of slope 0."""
    nothing = np.zeros(box.size)
    return LinearBounds(nothing, box.lower, nothing, box.upper)


def nearest_piece(layer: Activation, around: Box) -> LinearBounds:
    """f between two parallels to one of its pieces, the one that it deviates from least on each interval."""
    pieces = layer.slopes_at(around.size)
    ends = [layer.deviation(around, slope) for slope in pieces]
    lower, upper = (np.stack(side) for side in zip(*ends))
    chosen, each = (upper - lower).argmin(axis=0), np.arange(around.size)
    slope = pieces[chosen, each]
    return LinearBounds(slope, lower[chosen, each], slope, upper[chosen, each])


def chosen(which: BoolArray, first: LinearBounds, second: LinearBounds) -> LinearBounds:
    """The lines of the first where chosen, of the second elsewhere."""
    return LinearBounds(
        np.where(which, np.asarray(first.lower_slope), np.asarray(second.lower_slope)),
        np.where(which, first.lower_offset, second.lower_offset),
        np.where(which, np.asarray(first.upper_slope), np.asarray(second.upper_slope)),
        np.where(which, first.upper_offset, second.upper_offset),
    )


def apart(line: LinearBounds, around: Box) -> FloatArray:
    """How far the lines above and below an activation are apart at most, on its interval: (n,), rounded up."""
    if not isinstance(line.upper_slope, np.ndarray) or not isinstance(line.lower_slope, np.ndarray):
        return np.full(line.upper_offset.shape, np.inf)
    slope, offset = line.upper_slope - line.lower_slope, line.upper_offset - line.lower_offset
    ends = [slope * side + offset for side in (around.lower, around.upper)]
    size = (np.abs(line.upper_slope) + np.abs(line.lower_slope)) * around.magnitude
    lost = numeric.gamma(4) * (size + np.abs(line.upper_offset) + np.abs(line.lower_offset))
    same = (slope == 0) & (offset == 0)
    return np.where(same, 0.0, numeric.up(np.maximum(*ends), lost + numeric.underflow(4)))
