"""Random convolutional networks, drawn as dense ones are: W ~ N(0, s^2 / k), k the terms of a sum, b ~ N(0, r^2)."""

from __future__ import annotations

import numpy as np

from reludsl.layers import Conv, Layer, PiecewiseLinear, relu
from reludsl.network import Network


def convolutional(
    side: int,
    channels: int,
    depth: int,
    seed: int,
    *,
    weight_scale: float,
    bias_scale: float,
    activation: PiecewiseLinear = relu,
) -> Network:
    """Kernels of 3 x 3 on images of one channel, padded; the first one halves images of more than 14 x 14.

    >>> net = convolutional(28, 4, 3, 0, weight_scale=2.0, bias_scale=0.0)
    >>> net.input_shape, [net.shapes[node.name] for node in net.nodes[::2]]
    ((1, 28, 28), [(4, 14, 14), (4, 14, 14), (4, 14, 14)])
    """
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    given, size = 1, side
    for number in range(depth):
        stride = 2 if number == 0 and side > 14 else 1
        weight = rng.standard_normal((channels, given, 3, 3)) * weight_scale / np.sqrt(9 * given)
        layers += [Conv(weight, bias_scale * rng.standard_normal(channels), (size, size), stride, 1), activation]
        given, size = channels, (size - 1) // stride + 1
    return Network.chain(layers, (1, side, side))
