"""Networks whose stability is known, and hard to know: the O8 kind.

Two first-layer neurons 2 r (x - t) and r (x - t) cancel exactly, u1 - 2 u2 = 0, which bounds and the LP
relaxation cannot see: they leave a triangle open. A second-layer neuron on top of such pairs is constant, or
moves with one more neuron only, and an integer program is needed to say so.
"""

from __future__ import annotations

import numpy as np

from reludsl.domain import Box
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network


def ladder() -> tuple[Network, Box]:
    """One neuron, v = relu(u1 - 2 u2 - 1/4) with u1 = relu(2x - 1), u2 = relu(x - 1/2): constantly -1/4."""
    first = Affine(np.array([[2.0], [1.0]]), np.array([-1.0, -0.5]))
    second = Affine(np.array([[1.0, -2.0]]), np.array([-0.25]))
    last = Affine(np.ones((1, 1)), np.zeros(1))
    return Network.chain([first, relu, second, relu, last], (1,)), Box([0.0], [1.0])


def hard_network() -> tuple[Network, Box, list[int], list[int], list[int]]:
    """20 second-layer neurons on [0,1]^4 that only an integer program decides.

    Returns the network, its domain, and the second layer's stably inactive, stably active and unstable neurons.
    Every pair (u1, u2) sits at another threshold of an input; neuron k adds four pairs with signs. What is left is
    an offset (stable), or an offset with a fifth, plain neuron that just reaches over it (unstable).
    """
    inputs, pairs = 4, 8
    rng = np.random.default_rng(5)
    w1, b1 = np.zeros((2 * pairs + inputs, inputs)), np.zeros(2 * pairs + inputs)
    for p in range(pairs):
        threshold = (2 + p % 5) / 8
        w1[2 * p, p % inputs], b1[2 * p] = 2.0, -2.0 * threshold
        w1[2 * p + 1, p % inputs], b1[2 * p + 1] = 1.0, -threshold
    for i in range(inputs):
        w1[2 * pairs + i, i], b1[2 * pairs + i] = 1.0, -0.75
    w2, b2 = np.zeros((20, len(b1))), np.zeros(20)
    inactive, active, unstable = [], [], []
    for k in range(20):
        for p in rng.choice(pairs, 4, replace=False):
            sign = rng.choice([-1.0, 1.0])
            w2[k, 2 * p], w2[k, 2 * p + 1] = sign, -2.0 * sign
        if k % 5 < 2:
            b2[k] = -0.125
            inactive.append(k)
        elif k % 5 < 4:
            b2[k] = 0.125
            active.append(k)
        else:
            # relu(x - 3/4) reaches 1/4 at x = 1, so that the neuron reaches 1/8 there and is -1/8 at x = 0
            w2[k, 2 * pairs + k % inputs] = 1.0
            b2[k] = -0.125
            unstable.append(k)
    layers: list[Layer] = [Affine(w1, b1), relu, Affine(w2, b2), relu, Affine(np.ones((1, 20)), np.zeros(1))]
    return Network.chain(layers, (inputs,)), Box.full(0.0, 1.0, (inputs,)), inactive, active, unstable
