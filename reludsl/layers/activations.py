"""The usual activations, each declared in one line (see `reludsl.layers.piecewise`).

    Network.chain([Affine(w1, b1), hard_tanh(), Affine(w2, b2), prelu(slopes), Affine(w3, b3)], (784,))

Whatever is not here is as short: `PiecewiseLinear("zigzag", (-0.5, 0.25), (1, -1, 0.5))`, and `("identity", (), (1,))`
has no break at all. Functions that jump are not piecewise linear in the sense of this library, which needs f to be
continuous.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from reludsl.errors import InvalidInput
from reludsl.layers.piecewise import PiecewiseLinear
from reludsl.layers.piecewise import relu as relu

__all__ = [
    "DECLARED",
    "absolute",
    "clip",
    "hard_sigmoid",
    "hard_tanh",
    "leaky_relu",
    "prelu",
    "relu",
    "relu6",
]

absolute = PiecewiseLinear("absolute", (0,), (-1, 1))
"""|z|."""

relu6 = PiecewiseLinear("relu6", (0, 6), (0, 1, 0))
"""min(max(0, z), 6)."""


def leaky_relu(slope: float = 0.01) -> PiecewiseLinear:
    """z for z > 0, slope * z below.

    >>> leaky_relu(0.25)(np.array([-2.0, 2.0]))
    array([-0.5,  2. ])
    """
    return PiecewiseLinear("leaky_relu", (0,), (slope, 1))


def prelu(slopes: npt.ArrayLike = 0.25) -> PiecewiseLinear:
    """z_i for z_i > 0, slopes_i z_i below: one slope per element of the vector, or one for all.

    Args:
        slopes: a number, or an array of as many numbers as the tensor has. Slopes of channels are repeated for it,
            e.g. `np.repeat(slopes, height * width)` for (channels, height, width).

    >>> prelu([0.25, 0.5, 2.0])(np.array([-2.0, -2.0, -2.0]))
    array([-0.5, -1. , -4. ])
    """
    return PiecewiseLinear("prelu", (0,), (np.asarray(slopes, dtype=np.float64), 1))


def hard_tanh(low: float = -1.0, high: float = 1.0) -> PiecewiseLinear:
    """min(max(low, z), high), as PyTorch calls it; `clip` is the same function.

    >>> hard_tanh()(np.array([-2.0, 0.5, 2.0]))
    array([-1. ,  0.5,  1. ])
    """
    return PiecewiseLinear("hard_tanh", (low, high), (0, 1, 0), (low, low))


def clip(low: float | None = None, high: float | None = None) -> PiecewiseLinear:
    """min(max(low, z), high); None leaves a side open.

    >>> clip(low=-1.0)(np.array([-2.0, 0.5, 2.0]))
    array([-1. ,  0.5,  2. ])
    """
    ends = [end for end in (low, high) if end is not None]
    foot = ends[0] if ends else 0.0
    slopes = (*(() if low is None else (0,)), 1, *(() if high is None else (0,)))
    return PiecewiseLinear("clip", tuple(ends), slopes, (foot, foot))


def hard_sigmoid(alpha: float = 0.2, beta: float = 0.5) -> PiecewiseLinear:
    """max(0, min(1, alpha z + beta)), with the defaults of ONNX; PyTorch's is `hard_sigmoid(1 / 6)`.

    The function that is meant, here and in every proof about it, is the one of its float64 breaks and slopes: 0 up to
    b_1 = fl(-beta / alpha), from there alpha (z - b_1) up to b_2 = fl((1 - beta) / alpha), then constant. It is within
    2^-51 (|beta| + |1 - beta|) of the formula for every z, which is rounding of the breaks alone.

    Raises:
        InvalidInput: alpha is not positive.

    >>> hard_sigmoid(0.25)(np.array([-3.0, 1.0, 3.0]))
    array([0.  , 0.75, 1.  ])
    """
    if not alpha > 0:
        raise InvalidInput(f"alpha is {alpha}; a hard sigmoid rises from 0 to 1: give a positive slope")
    low, high = -beta / alpha, (1.0 - beta) / alpha
    return PiecewiseLinear("hard_sigmoid", (low, high), (0, alpha, 0), (low, 0.0))


DECLARED: Mapping[str, PiecewiseLinear] = MappingProxyType(
    {
        "relu": relu,
        "leaky_relu": leaky_relu(),
        "prelu": prelu(),
        "abs": absolute,
        "hard_tanh": hard_tanh(),
        "hard_sigmoid": hard_sigmoid(),
        "clip": clip(0.0, 1.0),
        "relu6": relu6,
    }
)
"""Every activation above by name, with its default parameters; `clip` to [0, 1]."""
