"""Constructed networks: random ones by seeded recipes, and those whose linear regions are known in closed form.

Random networks follow the initialisations of the literature, bit by bit the same for the same seed. The others attain
bounds on the number of linear regions, or separate definitions of one; all their weights are exact in float64.

A network here ends with its last hidden layer, and its output is that layer's activation, unless it says otherwise.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
from scipy.linalg import block_diag

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network

__all__ = [
    "Initialisation",
    "arrangement",
    "disconnected_boundary",
    "gaussian_network",
    "general_position",
    "montufar_network",
    "random_network",
    "sawtooth",
    "serra_network",
    "six_definitions",
    "square",
]


class Initialisation(Enum):
    """How `random_network` draws a layer with k inputs; weights before biases."""

    TORCH = "torch"
    """Weights and biases uniform between -1/sqrt(k) and 1/sqrt(k), as `torch.nn.Linear` does."""
    NORMAL = "normal"
    """Weights N(0, 2/k) (He et al. 2015), biases N(0, s^2)."""
    ZERO = "zero"
    """Weights N(0, 2/k), biases 0."""


Recipe = Callable[[np.random.Generator, int, int], tuple[FloatArray, FloatArray]]
"""Weights and biases of a layer: generator, inputs, units."""


def random_network(
    sizes: Sequence[int],
    seed: int = 0,
    initialisation: Initialisation = Initialisation.TORCH,
    *,
    bias_scale: float = 1.0,
    activation: PiecewiseLinear = relu,
    outputs: int | None = None,
) -> Network:
    """A network of untrained layers; the same for the same seed, bit by bit.

    Args:
        sizes: number of inputs, then the width of every hidden layer.
        seed: of `numpy.random.default_rng`.
        bias_scale: s, of `Initialisation.NORMAL`.
        outputs: units of an affine output layer, drawn last; none by default.

    Raises:
        InvalidInput: no hidden layer, or a layer without units.

    >>> net = random_network((2, 64, 64), seed=1, outputs=3)
    >>> net.neurons, net.output_size
    (128, 3)
    """
    recipe: Recipe
    match initialisation:
        case Initialisation.TORCH:
            recipe = _uniform
        case Initialisation.NORMAL:
            recipe = _gaussian(2.0, bias_scale)
        case Initialisation.ZERO:
            recipe = _gaussian(2.0, 0.0)
    return _drawn(sizes, seed, recipe, activation, outputs)


def gaussian_network(
    sizes: Sequence[int],
    seed: int = 0,
    *,
    weight_scale: float,
    bias_scale: float,
    activation: PiecewiseLinear = relu,
    outputs: int | None = None,
) -> Network:
    """Weights N(0, weight_scale^2 / k) with k the inputs of the layer, biases N(0, bias_scale^2).

    Source: Raghu et al., On the expressive power of deep neural networks, ICML 2017, section 2.1.

    Args:
        sizes: number of inputs, then the width of every hidden layer.
        outputs: units of an affine output layer, drawn last; none by default.

    Raises:
        InvalidInput: no hidden layer, or a layer without units.

    >>> from reludsl.layers.activations import hard_tanh
    >>> net = gaussian_network((2, 100, 100), weight_scale=4.0, bias_scale=0.5, activation=hard_tanh())
    >>> round(float(net.nodes[2].layer.rows(100).std()), 1)  # 4 / sqrt(100)
    0.4
    """
    return _drawn(sizes, seed, _gaussian(weight_scale**2, bias_scale), activation, outputs)


def _uniform(rng: np.random.Generator, inputs: int, units: int) -> tuple[FloatArray, FloatArray]:
    side = 1 / np.sqrt(inputs)
    return rng.uniform(-side, side, (units, inputs)), rng.uniform(-side, side, units)


def _gaussian(weight_variance: float, bias_scale: float) -> Recipe:
    """Biases of scale 0 are not drawn."""

    def draw(rng: np.random.Generator, inputs: int, units: int) -> tuple[FloatArray, FloatArray]:
        weight = rng.standard_normal((units, inputs)) * np.sqrt(weight_variance / inputs)
        return weight, bias_scale * rng.standard_normal(units) if bias_scale else np.zeros(units)

    return draw


def _drawn(
    sizes: Sequence[int], seed: int, recipe: Recipe, activation: PiecewiseLinear, outputs: int | None
) -> Network:
    if len(sizes) < 2 or min(sizes) < 1 or (outputs is not None and outputs < 1):
        raise InvalidInput(
            f"the sizes are {tuple(sizes)} and the outputs {outputs}; a network needs inputs and at least one hidden "
            "layer, each with units: give e.g. (2, 16, 16)"
        )
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for inputs, units in itertools.pairwise(sizes):
        layers += [Affine(*recipe(rng, inputs, units)), activation]
    if outputs is not None:
        layers.append(Affine(*recipe(rng, sizes[-1], outputs)))
    return Network.chain(layers, (sizes[0],))


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

    >>> general_position(4, 2).neurons  # 11 regions
    4
    """
    _check(inputs, (units,), 0)
    return arrangement(*_moment_rows(units, inputs))


def _moment_rows(units: int, inputs: int) -> tuple[FloatArray, FloatArray]:
    t = (2.0 * np.arange(units) - (units - 1)) / 2.0 ** (units - 1).bit_length()
    powers = np.power(t[:, None], np.arange(inputs + 1))
    return powers[:, :-1], -0.5 * powers[:, :-1].sum(axis=1) - powers[:, -1] / 2.0 ** (inputs + 1)


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
    """
    first = Affine(np.array([[1.0], [-1.0]]), np.array([0.0, 1.0]))
    second = Affine(np.array([[4.0, 2.0]]), np.array([-3.0]))
    return Network.chain([first, relu, second, relu], (1,))


def montufar_network(inputs: int, widths: Sequence[int]) -> Network:
    """prod_{l<L} prod_i p_li * sum_{j=0}^{n} C(n_L, j) regions on [0, 1]^n, with n inputs and n_l units in layer l.

    The units of a layer are shared among the n coordinates, p_li for coordinate i, as evenly as can be. They fold
    [0, 1] p_li times onto itself; the last layer is `general_position`. Where n divides every n_l, l < L, this is

        (prod_{l<L} (n_l / n)^n) * sum_j C(n_L, j).

    Source: Montufar, Pascanu, Cho and Bengio, On the number of linear regions of deep neural networks, NeurIPS 2014,
    theorem 4.

    Raises:
        InvalidInput: a hidden layer but the last is narrower than the input.

    >>> montufar_network(2, (4, 4, 3)).neurons  # 2^2 * 2^2 * 7 = 112 regions on [0, 1]^2
    11
    """
    _check(inputs, widths, inputs)
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

    >>> serra_network(1, (3, 3, 3)).neurons  # 4^3 = 64 regions
    9
    """
    _check(inputs, widths, 3 * inputs)
    shares = [_shares(width, inputs) for width in widths[:-1]]
    # what a fold starts from is what the one before it must cover; all regions of the last layer meet [0, 1]^n
    tops = [*([units + 1.0 for units in share] for share in shares[1:]), [1.0] * inputs]
    folds = [[_zigzag(units, top) for units, top in zip(share, above)] for share, above in zip(shares, tops)]
    return _folded(inputs, folds, widths[-1])


def _check(inputs: int, widths: Sequence[int], least: int) -> None:
    if inputs < 1 or not widths or min(widths) < 1:
        raise InvalidInput(
            f"{inputs} inputs and hidden layers of {tuple(widths)} units make no network; give positive numbers"
        )
    if any(width < least for width in widths[:-1]):
        raise InvalidInput(
            f"the hidden layers have {tuple(widths)} units; to fold each of {inputs} coordinates, all but the last "
            f"need at least {least}: make them wider, or leave them out"
        )


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
    weight, bias = _moment_rows(last, inputs)
    return Network.chain([*layers, Affine(weight @ combination, weight @ offset + bias), relu], (inputs,))


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
