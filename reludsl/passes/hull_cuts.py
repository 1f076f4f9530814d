"""Hull cuts: the hull of a ReLU over its inputs without its binary, one row at a time (Tjandraatmadja et al. 2020).

For y = max(0, w h + b), L <= h <= U, Lh_i = L_i where w_i >= 0, else U_i, Uh_i the other, and for a set I

    l(I) = sum_{i in I} w_i Lh_i + sum_{i not in I} w_i Uh_i + b

every set I and input k outside of it with l(I) >= 0 > l(I + k) give a row, and these describe the hull from above:

    y <= sum_{i in I} w_i (h_i - Lh_i) + l(I) (h_k - Lh_k) / (Uh_k - Lh_k)

(The convex relaxation barrier, revisited: tightened single-neuron relaxations for neural network verification,
theorem 1.) The one that a point violates most has in I the inputs that lie nearest to Lh_i, as a share of their width,
as many as keep l(I) >= 0 (section 3.2): one sort per neuron.

A row stays valid with any larger factor in place of l(I), as long as l(I + k) <= 0: with t the share of k, the right
side less w h + b is at least -(1 - t) l(I + k). The factor is rounded up, and a row whose l(I + k) is not proved to be
at most 0 is left out.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray, Rows
from reludsl.passes.neurons import Neurons, rounded_sum


def separate_hull(layer: Neurons, x: FloatArray, most: int) -> Rows:
    """The most violated row of every neuron at a point, of those violated at all the `most` worst.

    >>> one = np.ones(1)
    >>> layer = Neurons(np.array([2]), np.array([3]), sparse.csr_array(np.array([[1.0, -1.0, 0.0, 0.0]])), 0 * one,
    ...                 np.zeros(4), np.ones(4))
    >>> rows = separate_hull(layer, np.array([0.25, 0.5, 0.5, 0.5]), 10)
    >>> (rows.matrix.toarray().round(9) + 0.0).tolist(), (rows.upper.round(9) + 0.0).tolist()
    ([[-1.0, 0.0, 1.0, 0.0]], [0.0])
    """
    w, column, row = layer.weights.data, layer.weights.indices, layer.owner
    least, greatest = layer.products
    width = greatest - least
    share = np.divide(w * x[column] - least, width, out=np.full(w.size, np.inf), where=width > 0)
    order = np.lexsort((share, row))
    # the row's weights stay together, so that running sums start anew where the next neuron's begin
    sums = np.cumsum(width[order])
    starts = layer.weights.indptr[:-1]
    before = np.concatenate([[0.0], sums])
    top = np.bincount(row, greatest, layer.size) + layer.bias
    level = top[row] - (sums - before[starts][row])
    first = np.full(layer.size, w.size, dtype=np.int64)
    below = np.flatnonzero(level < 0)[::-1]
    first[row[below]] = below
    crossed = np.flatnonzero((first < w.size) & (top > 0))
    k = order[first[crossed]]
    inside = np.zeros(w.size, dtype=np.bool_)
    inside[order] = np.arange(w.size) < first[row]
    reached = level[first[crossed]] + width[k]
    sum_inside = np.bincount(row[inside], (w * x[column] - least)[inside], layer.size)
    violation = np.full(layer.size, -np.inf)
    violation[crossed] = x[layer.y[crossed]] - sum_inside[crossed] - reached * share[k]
    crossing = np.full(layer.size, -1, dtype=np.int64)
    crossing[crossed] = k
    worst = layer.worst(violation, most)
    return _rows(layer, worst, inside, crossing[worst], least, greatest)


def _rows(
    layer: Neurons,
    which: IntArray,
    inside: BoolArray,
    k: IntArray,
    least: FloatArray,
    greatest: FloatArray,
) -> Rows:
    """The rows of the sets `inside` and the inputs k for some neurons, rounded outward."""
    place = np.full(layer.size, -1, dtype=np.int64)
    place[which] = np.arange(which.size)
    row = place[layer.owner]
    here = row >= 0
    low, high = np.where(inside, least, greatest), np.where(inside, least, greatest)
    high[k] = least[k]
    reached = numeric.up(*rounded_sum(low[here], row[here], layer.bias[which]))
    beyond = numeric.up(*rounded_sum(high[here], row[here], layer.bias[which]))
    w, column = layer.weights.data, layer.weights.indices
    width = np.maximum(np.nextafter(layer.upper[column[k]] - layer.lower[column[k]], 0.0), np.finfo(float).tiny)
    factor = np.nextafter(np.maximum(reached, 0.0) / width, np.inf) * np.sign(w[k])
    from_end = factor * np.where(w[k] > 0, layer.lower[column[k]], layer.upper[column[k]])
    chosen = here & inside
    total, error = rounded_sum(
        np.concatenate([least[chosen], from_end]),
        np.concatenate([row[chosen], np.arange(which.size)]),
        np.zeros(which.size),
    )
    side = numeric.up(-total, error)
    matrix = sparse.csr_array(
        (
            np.concatenate([np.ones(which.size), -factor, -w[chosen]]),
            (
                np.concatenate([np.arange(which.size), np.arange(which.size), row[chosen]]),
                np.concatenate([layer.y[which], column[k], column[chosen]]),
            ),
        ),
        shape=(which.size, layer.weights.shape[1]),
    )
    proved = np.flatnonzero(beyond <= 0)
    return Rows(matrix[proved], np.full(proved.size, -np.inf), side[proved])
