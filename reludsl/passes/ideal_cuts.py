"""Ideal cuts: the hull of a ReLU over its inputs without copies, one row at a time (Anderson et al. 2020).

For y = max(0, w h + b), L <= h <= U, delta = 1 when active, Lh_i = L_i where w_i >= 0, else U_i, Uh_i the other:

    y <= sum_{i in I} w_i (h_i - Lh_i (1 - delta)) + (b + sum_{i not in I} w_i Uh_i) delta      for every set I

With big-M these rows, 2^n of them, are the convex hull. The one that a point violates most takes the smaller of its two
terms for every i: I = {i : w_i h_i - w_i Lh_i (1 - delta) < w_i Uh_i delta}, found in one pass over the weights.

A row is valid by two facts: delta = 0 makes y <= 0 and delta = 1 makes y <= w h + b. Written with A = sum_I w_i Lh_i
and B = b + sum_{not I} w_i Uh_i it is y - sum_I w_i h_i - (A + B) delta <= -A; A is rounded down, B and A + B are
rounded up, and then both cases still hold in exact arithmetic.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray, Rows
from reludsl.passes.neurons import Neurons, rounded_sum


def separate_ideal(layer: Neurons, x: FloatArray, most: int) -> Rows:
    """The most violated row of every neuron at a point, of those violated at all the `most` worst.

    >>> one = np.ones(1)
    >>> layer = Neurons(np.array([2]), np.array([3]), sparse.csr_array(np.array([[1.0, -1.0, 0.0, 0.0]])), 0 * one,
    ...                 np.zeros(4), np.ones(4))
    >>> rows = separate_ideal(layer, np.array([0.25, 0.5, 0.5, 0.5]), 10)
    >>> (rows.matrix.toarray().round(9) + 0.0).tolist(), (rows.upper.round(9) + 0.0).tolist()
    ([[-1.0, 0.0, 1.0, 0.0]], [0.0])
    """
    w, column, row = layer.weights.data, layer.weights.indices, layer.owner
    least, greatest = layer.products
    delta = x[layer.binary]
    inside, outside = w * x[column] - least * (1 - delta[row]), greatest * delta[row]
    chosen = inside < outside
    side = np.bincount(row, np.minimum(inside, outside), layer.size) + layer.bias * delta
    worst = layer.worst(x[layer.y] - side, most)
    return _rows(layer, worst, row, chosen, least, greatest)


def _rows(
    layer: Neurons,
    which: IntArray,
    row: IntArray,
    chosen: BoolArray,
    least: FloatArray,
    greatest: FloatArray,
) -> Rows:
    """The rows of the sets `chosen` for some neurons, rounded outward."""
    place = np.full(layer.size, -1, dtype=np.int64)
    place[which] = np.arange(which.size)
    count, width = which.size, layer.weights.shape[1]
    here = place[row] >= 0
    inside, outside = here & chosen, here & ~chosen
    below = rounded_sum(least[inside], place[row[inside]], np.zeros(count))
    above = rounded_sum(greatest[outside], place[row[outside]], layer.bias[which])
    a, b = numeric.down(*below), numeric.up(*above)
    matrix = sparse.csr_array(
        (
            np.concatenate([np.ones(count), -numeric.plus_up(a, b), -layer.weights.data[inside]]),
            (
                np.concatenate([np.arange(count), np.arange(count), place[row[inside]]]),
                np.concatenate([layer.y[which], layer.binary[which], layer.weights.indices[inside]]),
            ),
        ),
        shape=(count, width),
    )
    return Rows(matrix, np.full(count, -np.inf), -a)
