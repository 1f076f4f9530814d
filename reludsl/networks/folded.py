"""Networks that fold the input onto itself, layer after layer, and so reach the bounds on linear regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network
from reludsl.networks.arranged import check, moment_rows


def sawtooth(n: int, merged: bool = False) -> Network:
    """The n-fold composition of the tent x -> relu(2 relu(x) - 4 relu(x - 1/2)): 2^n linear pieces on [0, 1].

    On all of R there are 2^n + 2 pieces, and 3 for n = 1 of the merged form, which goes on falling beyond 1.

    Source: Telgarsky, Representation benefits of deep feedforward networks, 2015.

    Args:
        n: how often; 1 is the tent itself.
        merged: without the outer ReLU of each tent: hidden layers of 2 units, and an affine output. Otherwise hidden
            layers of 2, 1, 2, 1, ... units.

    Raises:
        InvalidInput: n is not positive.

    >>> x = np.array([[0.0], [0.125], [0.25], [0.375], [0.5]])
    >>> sawtooth(3)(x).ravel(), sawtooth(3, merged=True)(x).ravel()
    (array([0., 1., 0., 1., 0.]), array([0., 1., 0., 1., 0.]))
    >>> from reludsl.domain import Box, Space
    >>> from reludsl.regions import count_line
    >>> count_line(sawtooth(6), Box([0], [1])).count, count_line(sawtooth(6), Space(1)).count
    (64, 66)
    """
    if n < 1:
        raise InvalidInput(f"the tent composed {n} times is no network; give a number of at least 1")
    split, join = np.ones((2, 1)), np.array([[2.0, -4.0]])
    bias, zero = np.array([0.0, -0.5]), np.zeros(1)
    if not merged:
        return Network.chain([Affine(split, bias), relu, Affine(join, zero), relu] * n, (1,), names=_numbered(4 * n))
    inner: list[Layer] = [Affine(split @ join, bias), relu]
    return Network.chain([Affine(split, bias), relu, *inner * (n - 1), Affine(join, zero)], (1,))


def _numbered(count: int) -> list[str]:
    return [f"{k}_{('affine', 'relu')[k % 2]}" for k in range(count)]


def montufar_network(inputs: int, widths: Sequence[int]) -> Network:
    """prod_{l<L} prod_i p_li * sum_{j=0}^{n} C(n_L, j) regions on [0, 1]^n, with n inputs and n_l units in layer l.

    The units of a layer are shared among the n coordinates, p_li for coordinate i, as evenly as can be. They fold
    [0, 1] p_li times onto itself; the last layer is `general_position`. Where n divides every n_l, l < L, this is

        (prod_{l<L} (n_l / n)^n) * sum_j C(n_L, j).

    Source: Montufar, Pascanu, Cho and Bengio, On the number of linear regions of deep neural networks, NeurIPS 2014,
    theorem 4.

    Raises:
        InvalidInput: a hidden layer but the last is narrower than the input.

    >>> from reludsl.domain import Box
    >>> from reludsl.regions import count_plane
    >>> count_plane(montufar_network(2, (4, 4, 3)), Box([0, 0], [1, 1])).count  # 2^2 * 2^2 * 7
    112
    """
    check(inputs, widths, inputs)
    folds = [[_fold(units) for units in _shares(width, inputs)] for width in widths[:-1]]
    return _folded(inputs, folds, widths[-1])


def serra_network(inputs: int, widths: Sequence[int]) -> Network:
    """prod_{l<L} prod_i (p_li + 1) * sum_{j=0}^{n} C(n_L, j) regions on R^n, with n inputs and n_l units in layer l.

    The units of a layer are shared among the n coordinates, p_li >= 3 for coordinate i, as evenly as can be. They fold
    the line p_li times; the last layer is `general_position`. Where n divides every n_l, l < L, this is

        (prod_{l<L} (n_l / n + 1)^n) * sum_j C(n_L, j),

    and for one input prod_l (n_l + 1), which no network of these widths exceeds.

    Source: Serra, Tjandraatmadja and Ramalingam, Bounding and counting linear regions of deep neural networks, ICML
    2018, theorems 5 and 6.

    Raises:
        InvalidInput: a hidden layer but the last has fewer than 3 n units.

    >>> from reludsl.domain import Space
    >>> from reludsl.regions import count_plane
    >>> count_plane(serra_network(2, (6, 6)), Space(2)).count  # 4^2 * 22
    352
    """
    check(inputs, widths, 3 * inputs)
    shares = [_shares(width, inputs) for width in widths[:-1]]
    # what a fold starts from is what the one before it must cover; all regions of the last layer meet [0, 1]^n
    tops = [*([units + 1.0 for units in share] for share in shares[1:]), [1.0] * inputs]
    folds = [[_zigzag(units, top) for units, top in zip(share, above)] for share, above in zip(shares, tops)]
    return _folded(inputs, folds, widths[-1])


def maximal_1d(layers: int) -> Network:
    """4^L regions on R with L hidden layers of 3 units: as many as three units and one input can have.

    3 is the smallest width for which n units give n + 1 times as many regions in every layer. All regions meet (0, 4).
    The weights are integers, those of the last layer multiples of 1/8.

    Source: Serra, Tjandraatmadja and Ramalingam, Bounding and counting linear regions of deep neural networks, ICML
    2018, theorem 5.

    Args:
        layers: L.

    Raises:
        InvalidInput: L is not positive.

    >>> from reludsl.domain import Box, Space
    >>> from reludsl.regions import count_line
    >>> [count_line(maximal_1d(layers), Space(1)).count for layers in (1, 2, 3, 4)]
    [4, 16, 64, 256]
    >>> count_line(maximal_1d(4), Box([0], [4])).count
    256
    """
    if layers < 1:
        raise InvalidInput(f"{layers} layers of three units are no network; give a number of at least 1")
    return serra_network(1, (3,) * layers)


def square(m: int) -> Network:
    """x - sum_{k=1}^{m} g_k(x) / 4^k, with g_k the k-fold tent: x^2 on [0, 1], interpolated at the multiples of 2^-m.

    The error is 4^-(m+1), in the middle of each of the 2^m pieces. Three units to a layer: two of a tent, as in the
    merged `sawtooth`, and one that carries the sum, which is not negative on [0, 1].

    Source: Yarotsky, Error bounds for approximations with deep ReLU networks, 2017, proposition 2.

    Args:
        m: hidden layers.

    Raises:
        InvalidInput: m is not positive.

    >>> square(2)(np.array([[0.0], [0.25], [0.375], [0.5], [1.0]])).ravel()
    array([0.     , 0.0625 , 0.15625, 0.25   , 1.     ])
    """
    if m < 1:
        raise InvalidInput(f"{m} tents make no network; give a number of at least 1")
    bias = np.array([0.0, -0.5, 0.0])
    layers: list[Layer] = [Affine(np.ones((3, 1)), bias), relu]
    for k in range(1, m):
        part = 0.25**k
        layers += [Affine(np.array([[2.0, -4.0, 0.0], [2.0, -4.0, 0.0], [-2 * part, 4 * part, 1.0]]), bias), relu]
    part = 0.25**m
    return Network.chain([*layers, Affine(np.array([[-2 * part, 4 * part, 1.0]]), np.zeros(1))], (1,))


@dataclass(frozen=True)
class _Fold:
    """x -> offset + sum_k combination_k relu(weight_k x + bias_k), a zigzag."""

    weight: FloatArray
    bias: FloatArray
    combination: FloatArray
    offset: float


def _fold(units: int) -> _Fold:
    """[0, 1] onto itself in `units` pieces."""
    combination = np.where(np.arange(units) % 2, -2.0, 2.0)
    combination[0] = 1.0
    return _Fold(np.full(units, float(units)), -np.arange(float(units)), combination, 0.0)


def _zigzag(units: int, top: float) -> _Fold:
    """R in `units` + 1 pieces with breaks 1, 2, ..., each of which covers [0, top].

    The slopes are -2 top, top, -top, top, ... A ReLU with its break at k changes the slope by the same amount whether
    it looks right or left; the slope -2 top on the far left is that of the third, the only one that looks left.
    """
    sign = np.where(np.arange(units) == 2, -1.0, 1.0)
    change = np.where(np.arange(units) % 2, -2.0, 2.0)
    change[0] = 3.0
    # at the first break only the third unit is on, with 2 * 2 top, and the value is 0
    return _Fold(sign, -sign * np.arange(1.0, units + 1), top * change, -4.0 * top)


def _shares(units: int, inputs: int) -> list[int]:
    """The units of a layer, shared among the coordinates."""
    return [units // inputs + (i < units % inputs) for i in range(inputs)]


def _folded(inputs: int, folds: Sequence[Sequence[_Fold]], last: int) -> Network:
    """Folds of every coordinate, layer by layer, then an arrangement in general position."""
    combination, offset = np.eye(inputs), np.zeros(inputs)
    layers: list[Layer] = []
    for parts in folds:
        weight = block_diag(*(part.weight[:, None] for part in parts))
        bias = np.concatenate([part.bias for part in parts])
        layers += [Affine(weight @ combination, weight @ offset + bias), relu]
        combination = block_diag(*(part.combination for part in parts))
        offset = np.array([part.offset for part in parts])
    weight, bias = moment_rows(last, inputs)
    return Network.chain([*layers, Affine(weight @ combination, weight @ offset + bias), relu], (inputs,))
