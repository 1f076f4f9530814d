"""Arrangements of hyperplanes, and small networks that tell definitions and bounds apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, relu
from reludsl.network import Network


def arrangement(weight: npt.ArrayLike, bias: npt.ArrayLike) -> Network:
    """One layer of ReLUs: its regions are the cells of the hyperplanes {x : w_i x + b_i = 0}.

    Args:
        weight: (units, inputs), bias: (units,).

    Raises:
        InvalidInput: shapes that disagree.

    >>> arrangement([[1, 0], [0, 1]], [0, -1])(np.array([2.0, 3.0]))
    array([2., 2.])
    """
    layer = Affine(np.asarray(weight, dtype=np.float64), np.asarray(bias, dtype=np.float64))
    return Network.chain([layer, relu], (layer.weight.shape[1],))


def general_position(units: int, inputs: int) -> Network:
    """An arrangement of N hyperplanes in general position in R^n: sum_{j=0}^{n} C(N, j) regions (Zaslavsky 1975).

    All regions meet the cube (0, 1)^n. In y = 2^n (2 x - 1) the rows are (1, t, ..., t^(n-1)) y - t^n, for N numbers t
    between -1 and 1: n hyperplanes meet where y holds coefficients of the polynomial with those n roots.

    Raises:
        InvalidInput: no units or no inputs.

    >>> from reludsl.domain import Box, Space
    >>> from reludsl.regions import count_plane
    >>> [count_plane(general_position(4, 2), where).count for where in (Space(2), Box([0, 0], [1, 1]))]
    [11, 11]
    """
    check(inputs, (units,), 0)
    return arrangement(*moment_rows(units, inputs))


def moment_rows(units: int, inputs: int) -> tuple[FloatArray, FloatArray]:
    t = (2.0 * np.arange(units) - (units - 1)) / 2.0 ** (units - 1).bit_length()
    powers = np.power(t[:, None], np.arange(inputs + 1))
    return powers[:, :-1], -0.5 * powers[:, :-1].sum(axis=1) - powers[:, -1] / 2.0 ** (inputs + 1)


def six_definitions() -> Network:
    """f(x, y) = max(-y, min(0, -x)), whose linear regions are 7, 5, 4, 3, 3 or 3 by six definitions.

    On the plane, and on any box around 0: 7 nonempty activation patterns, 5 of them full-dimensional, 4 convex regions
    at least, 3 open connected regions, 3 closed connected ones, 3 affine maps.

    Source: Stargalla, Hertrich and Reichman, The computational complexity of counting linear regions in ReLU neural
    networks, NeurIPS 2025.

    >>> six_definitions()(np.array([[1.0, -2.0], [1.0, 0.5], [-1.0, 0.5]])).ravel()
    array([ 2. , -0.5,  0. ])
    """
    first = Affine(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]), np.zeros(3))
    second = Affine(np.array([[1.0, -1.0, 1.0], [1.0, 0.0, 0.0]]), np.zeros(2))
    return Network.chain([first, relu, second, relu, Affine(np.array([[1.0, -1.0]]), np.zeros(1))], (2,))


def disconnected_boundary() -> Network:
    """relu(4 relu(x) + 2 relu(1 - x) - 3): a neuron of the second layer that switches at two places, -1/2 and 1/2.

    With the breaks 0 and 1 of the first layer there are 5 regions on R, of at most 6 for the widths 2, 1.

    Source: Serra, Tjandraatmadja and Ramalingam, Bounding and counting linear regions of deep neural networks, ICML
    2018, figure 2.

    >>> disconnected_boundary()(np.array([[-1.0], [-0.5], [0.0], [0.5], [1.0]])).ravel()
    array([1., 0., 0., 0., 1.])
    >>> from reludsl.domain import Space
    >>> from reludsl.regions import count_line
    >>> count_line(disconnected_boundary(), Space(1)).count
    5
    """
    first = Affine(np.array([[1.0], [-1.0]]), np.array([0.0, 1.0]))
    second = Affine(np.array([[4.0, 2.0]]), np.array([-3.0]))
    return Network.chain([first, relu, second, relu], (1,))


def check(inputs: int, widths: Sequence[int], least: int) -> None:
    """Raise unless there are units, and enough of them in every hidden layer but the last."""
    if inputs < 1 or not widths or min(widths) < 1:
        raise InvalidInput(
            f"{inputs} inputs and hidden layers of {tuple(widths)} units make no network; give positive numbers"
        )
    if any(width < least for width in widths[:-1]):
        raise InvalidInput(
            f"the hidden layers have {tuple(widths)} units; to fold each of {inputs} coordinates, all but the last "
            f"need at least {least}: make them wider, or leave them out"
        )
