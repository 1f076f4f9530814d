"""Backward linear bounds on many boxes at once: what splitting a domain needs.

The same bounds as `crown`, one array operation per layer for all boxes. A box of arrays (b, n) stands for b boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.bounds.linear import LinearForm, best_is_interval, bounded, linear_form
from reludsl.domain import Box
from reludsl.layers import LinearBounds
from reludsl.network import INPUT, Network


@dataclass(frozen=True, slots=True, eq=False)
class BoxBounds:
    """Bounds of every node of a network on each of b boxes.

    Args:
        boxes: node name -> box of arrays (b, size); `INPUT` holds the boxes themselves.
        lines: the relaxations behind them.
    """

    network: Network
    boxes: Mapping[str, Box]
    lines: dict[str, LinearBounds]

    def form(self, seeds: Mapping[str, FloatArray]) -> LinearForm:
        """Upper bounds of sum_n A_n v_n that are affine in the input, on each box (see `linear_form`)."""
        return linear_form(self.network, seeds, self.boxes, self.lines)

    def upper(self, form: LinearForm) -> FloatArray:
        """The largest value of such a bound on each box: (b, m)."""
        return upper_on(self.boxes[INPUT], form)


def upper_on(box: Box, form: LinearForm) -> FloatArray:
    """max over each box of coefficients x + offset, rounded outward: (b, m)."""
    c = form.coefficients
    low, high = box.lower[..., None, :], box.upper[..., None, :]
    n = c.shape[-1]
    value = np.maximum(c * low, c * high).sum(axis=-1)
    size = (np.abs(c) @ box.magnitude[..., None])[..., 0]
    error = form.error + numeric.gamma(n + 4) * (size + form.size + np.abs(form.offset))
    error = error + numeric.underflow(n) * (1.0 + box.magnitude.sum(axis=-1, keepdims=True))
    return numeric.up(value + form.offset, error)


def crown_boxes(network: Network, box: Box) -> BoxBounds:
    """Backward linear bounds of every pre-activation and of the output, cut with interval bounds, on each of b boxes.

    Args:
        box: of arrays (b, input_size).

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2)), relu,
    ...                      Affine(np.array([[1.0, 1.0]]), np.array([-1.5]))], (2,))
    >>> halves = Box([[0.0, 0.0], [0.5, 0.0]], [[0.5, 1.0], [1.0, 1.0]])
    >>> crown_boxes(net, halves).boxes["2_affine"].upper.round(9)
    array([[-0.5],
           [-0.5]])
    """
    wanted = bounded(network)
    found = BoxBounds(network, {INPUT: box}, {})
    first = Box(box.lower[0], box.upper[0])
    boxes: dict[str, Box] = {INPUT: box}
    for node in network.nodes:
        here = node.layer.interval(network.around(node, boxes))
        if node.name in wanted and not best_is_interval(network, first, node.name):
            n = here.lower.shape[-1]
            eye = np.eye(n)
            found = BoxBounds(network, boxes, found.lines)
            upper = found.upper(found.form({node.name: np.concatenate([eye, -eye])}))
            low, high = np.maximum(here.lower, -upper[..., n:]), np.minimum(here.upper, upper[..., :n])
            # rounding may cross bounds that meet
            here = Box(np.minimum(low, high), np.maximum(low, high))
        boxes[node.name] = here
    return BoxBounds(network, boxes, found.lines)
