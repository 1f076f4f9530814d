"""Untrained networks, drawn by the initialisations of the literature; the same for the same seed, bit by bit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from enum import Enum

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network


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
