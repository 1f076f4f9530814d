"""Near ties in exact rational arithmetic: is a bound that rounding left at 1e-16 really zero?

The backward pass of `reludsl.bounds.linear` for one neuron, with Fractions: the same lines (their slopes and
offsets are floats, hence rationals, and true in exact arithmetic), no rounding at all. Meant for the few neurons
whose float bound misses a break by no more than its own rounding error.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.bounds.linear import relaxed
from reludsl.bounds.propagate import Bounds
from reludsl.domain import Box
from reludsl.exact import ExactArray, exactly, rounded_up
from reludsl.layers import AffineLayer, LinearBounds
from reludsl.network import INPUT, Network, Stage

NEAR = 1e-11
"""A bound is near a break when it misses it by at most this much, relative to 1 + its neuron's largest value."""

WORK = 2_000_000
"""Products of Fractions per stage, a few seconds' worth: near ties beyond it stay open."""


def settle_ties(bounds: Bounds) -> Bounds:
    """The same bounds, recomputed exactly where they miss a break of the activation by rounding errors only.

    >>> from reludsl.bounds import crown
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0, 1.0]]), np.array([-2.0])), relu], (2,))
    >>> rough = crown(net, Box([0.0, 0.0], [1.0, 1.0]))
    >>> bool(rough.unstable(net.hidden[0])[0]), bool(settle_ties(rough).unstable(net.hidden[0])[0])
    (True, False)
    """
    for stage in bounds.network.hidden:
        lower, upper = near_ties(bounds, stage)
        if not (lower.size or upper.size):
            continue
        box = bounds.pre(stage)
        low, high = box.lower.copy(), box.upper.copy()
        for neuron in upper.tolist():
            high[neuron] = min(high[neuron], _limit(bounds, stage, neuron, 1.0))
        for neuron in lower.tolist():
            low[neuron] = max(low[neuron], -_limit(bounds, stage, neuron, -1.0))
        bounds = bounds.tightened({stage.pre: Box(low, high)})
    return bounds


def near_ties(bounds: Bounds, stage: Stage) -> tuple[IntArray, IntArray]:
    """Neurons whose lower bound lies just below a break, and those whose upper bound lies just above one."""
    box = bounds.pre(stage)
    reach = NEAR * (1.0 + box.magnitude)
    low, high = np.zeros(stage.size, dtype=np.bool_), np.zeros(stage.size, dtype=np.bool_)
    for point in bounds.network.activation(stage).breaks_at(stage.size):
        low |= (box.lower < point) & (box.lower >= point - reach)
        high |= (box.upper > point) & (box.upper <= point + reach)
    cost = sum(node.layer.parameters for node in bounds.network.cone(stage.pre))
    most = max(1, WORK // max(cost, 1))
    return np.flatnonzero(low)[:most], np.flatnonzero(high)[:most]


def _limit(bounds: Bounds, stage: Stage, neuron: int, sign: float) -> float:
    """The better of the linear bound and the interval bound: no line is best where all that comes in is at an end."""
    row = np.zeros(stage.size)
    row[neuron] = sign
    box = bounds.domain.enclosure
    found = (exact_upper(bounds.network, box, stage.pre, row, bounds.boxes, interval=i) for i in (False, True))
    return rounded_up(min(found))


def exact_upper(
    network: Network,
    box: Box,
    target: str,
    row: FloatArray,
    boxes: Mapping[str, Box],
    *,
    interval: bool = False,
) -> Fraction:
    """The linear upper bound of max over the box of row . v(x), exactly; v the value of `target`.

    Args:
        interval: end at the boxes of the first values that are not affine in what comes before, instead of at the
            input.

    >>> from reludsl.layers import Affine
    >>> net = Network.chain([Affine(np.array([[1.0, 1.0]]), np.array([-2.0]))], (2,))
    >>> exact_upper(net, Box([0, 0], [1, 1]), "0_affine", np.ones(1), {})
    Fraction(0, 1)
    """
    pending = {target: exactly(row)}
    total = Fraction(0)
    for node in reversed(network.cone(target)):
        if node.name not in pending:
            continue
        a, layer = pending.pop(node.name), node.layer
        given = sum(network.size(source) for source in node.sources)
        if isinstance(layer, AffineLayer):
            total += _dot(a, exactly(np.broadcast_to(layer.bias, a.shape).copy()))
            a = layer.exact_adjoint(a, given)
        elif interval:
            total += _most(a, boxes[node.name])
            continue
        else:
            line = relaxed(layer, network.around(node, boxes))
            above = np.array([v > 0 for v in a])
            total += _dot(a, exactly(np.where(above, line.upper_offset, line.lower_offset)))
            a = _sloped(a, above, line, given)
        for source, part in network.split(node, a):
            pending[source] = pending[source] + part if source in pending else part
    return total + _most(pending.get(INPUT, exactly(np.zeros(network.input_size))), box)


def _most(a: ExactArray, box: Box) -> Fraction:
    """The largest value of a . v over a box."""
    return _dot(a, exactly(np.where(np.array([v > 0 for v in a]), box.upper, box.lower)))


def _sloped(a: ExactArray, above: BoolArray, line: LinearBounds, size: int) -> ExactArray:
    """a+ U + a- L."""
    if isinstance(line.upper_slope, np.ndarray) and isinstance(line.lower_slope, np.ndarray):
        return np.asarray(a * exactly(np.where(above, line.upper_slope, line.lower_slope)))
    out: ExactArray = exactly(np.zeros(size))
    for i in np.flatnonzero([bool(v) for v in a]).tolist():
        slope = sparse.csr_array(line.upper_slope if above[i] else line.lower_slope)
        part = slice(slope.indptr[i], slope.indptr[i + 1])
        np.add.at(out, slope.indices[part], a[i] * exactly(slope.data[part]))
    return out


def _dot(a: ExactArray, b: ExactArray) -> Fraction:
    return sum((x * y for x, y in zip(a, b) if x and y), Fraction(0))
