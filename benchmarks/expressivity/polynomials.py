"""Networks made to fit x^2 and x y with one hidden layer or many, and copies of networks with fewer bits."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag

from reludsl.backend import FloatArray
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network
from reludsl.networks import square


def interpolant(n: int) -> Network:
    """x^2 at the multiples of 1/n, by one hidden layer of n units, less half of the error 1 / (4 n^2) on [0, 1].

    What is left is 1 / (8 n^2), the least that n pieces can do.
    """
    knots = np.arange(n) / n
    change = np.full((1, n), 2.0 / n)
    change[0, 0] = 1.0 / n
    return Network.chain([Affine(np.ones((n, 1)), -knots), relu, Affine(change, np.array([-1 / (8 * n * n)]))], (1,))


def product(m: int) -> Network:
    """((x + y) / 2)^2 - ((x - y) / 2)^2 by two `square(m)` side by side: 3 + 6 m units, off by 4^-(m+1) on [0, 1]^2."""
    first = Affine(np.array([[0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]]), np.zeros(3))
    parts = [node.layer for node in square(m).nodes]
    layers: list[Layer] = [first, relu]
    into = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    for layer in parts:
        if isinstance(layer, Affine):
            weight = block_diag(layer.dense, layer.dense)
            layers.append(Affine(weight @ into, np.tile(layer.bias, 2)))
            into = np.eye(len(weight))
        else:
            layers.append(relu)
    last = layers[-1]
    assert isinstance(last, Affine)
    signs = np.array([[1.0, -1.0]])
    return Network.chain([*layers[:-1], Affine(signs @ last.dense, signs @ last.bias)], (2,))


def shallow_product(n: int) -> Network:
    """The same with `interpolant`: one hidden layer of 3 n units, since |x - y| takes two for one."""
    line = interpolant(n)
    first, last = line.nodes[0].layer, line.nodes[-1].layer
    assert isinstance(first, Affine)
    assert isinstance(last, Affine)
    rows = np.array([[0.5, 0.5], [0.5, -0.5], [-0.5, 0.5]])
    weight, bias = np.repeat(rows, n, axis=0), np.tile(first.bias, 3)
    # the shift by half of the error cancels
    out = np.concatenate([last.dense, -last.dense, -last.dense], axis=1)
    return Network.chain([Affine(weight, bias), relu, Affine(out, np.zeros(1))], (2,))


def rounded(network: Network, bits: int) -> Network:
    """All weights and biases at the nearest multiple of 2^-bits."""

    def near(values: FloatArray) -> FloatArray:
        return np.asarray(np.round(np.ldexp(values, bits)) * 2.0**-bits)

    layers = [
        Affine(near(node.layer.dense), near(node.layer.bias)) if isinstance(node.layer, Affine) else node.layer
        for node in network.nodes
    ]
    return Network.chain(layers, network.input_shape)


def twice(network: Network) -> Network:
    """The network of itself."""
    layers = [node.layer for node in network.nodes]
    inner, outer = layers[-1], layers[0]
    assert isinstance(inner, Affine)
    assert isinstance(outer, Affine)
    between = Affine(outer.dense @ inner.dense, outer.dense @ inner.bias + outer.bias)
    return Network.chain([*layers[:-1], between, *layers[1:]], network.input_shape)
