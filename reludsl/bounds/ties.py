"""Near ties in exact rational arithmetic: is a bound that rounding left at 1e-16 really zero?

The backward pass of `reludsl.bounds.linear` for one neuron, with Fractions: the same lines (their slopes and
offsets are floats, hence rationals, and true in exact arithmetic), no rounding at all. Meant for the few neurons
whose float bound misses a break by no more than its own rounding error.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.exact import ExactArray, exactly
from reludsl.layers import Activation, AffineLayer
from reludsl.network import Network


def exact_upper(network: Network, box: Box, target: str, row: FloatArray, boxes: Mapping[str, Box]) -> Fraction:
    """The linear upper bound of max over the box of row . v(x), exactly; v the value of `target`.

    >>> from reludsl.layers import Affine
    >>> net = Network.chain([Affine(np.array([[1.0, 1.0]]), np.array([-2.0]))], (2,))
    >>> exact_upper(net, Box([0, 0], [1, 1]), "0_affine", np.ones(1), {})
    Fraction(0, 1)
    """
    a = exactly(row)
    total = Fraction(0)
    for node in reversed(network.cone(target)):
        layer = node.layer
        if isinstance(layer, AffineLayer):
            total += _dot(a, exactly(np.broadcast_to(layer.bias, a.shape).copy()))
            a = layer.exact_adjoint(a, network.size(node.source))
        else:
            assert isinstance(layer, Activation)
            line = layer.relax(boxes[node.source])
            above = np.array([v > 0 for v in a])
            total += _dot(a, exactly(np.where(above, line.upper_offset, line.lower_offset)))
            a = a * exactly(np.where(above, line.upper_slope, line.lower_slope))
    ends = exactly(np.where(np.array([v > 0 for v in a]), box.upper, box.lower))
    return total + _dot(a, ends)


def _dot(a: ExactArray, b: ExactArray) -> Fraction:
    return sum((x * y for x, y in zip(a, b) if x and y), Fraction(0))

