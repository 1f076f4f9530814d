"""How steep the pre-activation of every neuron is, and the constants of the expected number of regions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

from reludsl.backend import FloatArray
from reludsl.domain.base import vector
from reludsl.errors import InvalidInput
from reludsl.network import Network
from reludsl.regions.bounds import hanin_rolnick
from reludsl.regions.distance import chunks, sensitive_axes, tangent
from reludsl.regions.forms import forms
from reludsl.regions.planar.result import pieces_at
from reludsl.regions.units import plan

FACTOR = 2**5
"""T / (C_grad C_bias)."""


def gradient_norms(network: Network, x: FloatArray, axes: FloatArray | None = None) -> FloatArray:
    """||grad z_i(x)||, the Euclidean norm of the gradient of what unit i takes, with respect to the input.

    At a break it is that of the piece that owns it.

    Args:
        x: (m, inputs), or one input.
        axes: (d, inputs) of a plane or line: the norm is then that of the gradient in its coordinates, grad z . a_k.

    Returns:
        (m, units), units in the order of the network's nodes.

    Raises:
        InvalidInput: shapes that do not fit, a maximum, which takes more than one value.

    >>> from reludsl.networks import arrangement
    >>> gradient_norms(arrangement([[3.0, 4.0], [0.0, 1.0]], [0.0, 0.0]), np.zeros(2))
    array([[5., 1.]])
    >>> gradient_norms(arrangement([[3.0, 4.0], [0.0, 1.0]], [0.0, 0.0]), np.zeros(2), axes=np.array([[1.0, 0.0]]))
    array([[3., 0.]])
    """
    own, points = plan(network), network.batch(x)
    maxima = [part.name for part in own.parts if part.maximum]
    if maxima:
        raise InvalidInput(
            f"layer {maxima[0]!r} takes maxima, and a maximum has no pre-activation whose gradient could be measured; "
            "give a network of activations"
        )
    along = sensitive_axes(network) if axes is None else np.atleast_2d(vector(axes, "the axes"))
    if along.shape[1] != network.input_size:
        raise InvalidInput(
            f"axes of shape {along.shape} do not lie in a space of {network.input_size} inputs; give (d, "
            f"{network.input_size})"
        )
    found = np.empty((len(points), own.units))
    for chunk in chunks(own, len(points), along):
        part_of = points[chunk]
        for part, form in forms(own, tangent(part_of, along), pieces_at(own, part_of), bounded=False):
            if part is not None:
                where = slice(part.first, part.first + part.size)
                found[chunk, where] = np.linalg.norm(form.value[:, :-1], axis=1)
    return found


def gradient_constant(
    networks: Sequence[Network], x: FloatArray, moments: int, axes: FloatArray | None = None
) -> float:
    """C_grad, measured: max over layers, points x and moments j <= m of (mean ||grad z(x)||^j)^(1/j).

    The theorem asks for sup over x and all neurons of E ||grad z(x)||^j <= C_grad^j, the expectation over the
    initialisation. Here

        the expectation   is the mean over the given networks and over the neurons of one layer, which are alike in
                          law where weights are drawn independently and identically;
        the supremum      is the largest value at the given points: the true one may be larger;
        the moments       are j = 1 ... m. A Gaussian initialisation has no constant for all j, and the proof for n
                          inputs uses j <= n.

    So it is an estimate, from sampled points, and no bound.

    Args:
        networks: drawn at random, of the same architecture.
        x: (points, inputs).
        moments: m, the dimension that regions are counted in: 2 for a slice.
        axes: (d, inputs) of a slice (see `gradient_norms`).

    Raises:
        InvalidInput: no network, no moment, networks of different layers.

    Source: Hanin and Rolnick 2019, Deep ReLU networks have surprisingly few activation patterns, Theorem 5.

    >>> from reludsl.networks import arrangement
    >>> gradient_constant([arrangement([[3.0, 4.0], [0.0, 5.0]], [0.0, 0.0])], np.zeros((1, 2)), moments=2)
    5.0
    """
    if not networks or moments < 1:
        raise InvalidInput(
            f"{len(networks)} networks and {moments} moments leave no mean to take; give at least one of each, e.g. 20 "
            "random networks and the dimension of the slice"
        )
    sizes = [tuple(part.size for part in plan(network).parts) for network in networks]
    if len(set(sizes)) > 1:
        raise InvalidInput(
            f"the networks have layers of {sorted(set(sizes))} units, and a mean over them is of one architecture; "
            "give networks that differ in their weights alone"
        )
    norms = np.stack([gradient_norms(network, x, axes) for network in networks])
    ends = np.cumsum([0, *sizes[0]])
    # by Jensen the highest moment is the largest
    means = [np.mean(norms[:, :, a:b] ** moments, axis=(0, 2)).max(initial=0.0) for a, b in pairwise(ends)]
    return float(max(means, default=0.0) ** (1.0 / moments))


def bias_constant(scale: float) -> float:
    """C_bias of independent biases N(0, scale^2): the largest value 1 / (scale sqrt(2 pi)) of their density.

    Raises:
        InvalidInput: a scale that is not positive: without noise there is no density.

    >>> round(bias_constant(1e-3), 1)
    398.9
    """
    if not (math.isfinite(scale) and scale > 0):
        raise InvalidInput(
            f"biases of standard deviation {scale} have no bounded density, and the theorem needs one; give a positive "
            "number, e.g. 1e-3"
        )
    return 1.0 / (scale * math.sqrt(2.0 * math.pi))


@dataclass(frozen=True, slots=True)
class Expected:
    """(T N)^n / n! vol, with T = 2^5 C_grad C_bias, against the number of regions.

    Args:
        bound: on the expected number of regions in the volume, for N >= n.
        transitions: T, as in the bound.
        needed: T for which the bound would be the number of regions: (n! regions / vol)^(1/n) / N.
    """

    bound: Fraction
    transitions: float
    needed: float


def expected_regions(
    dimension: int, neurons: int, transitions: float, volume: float = 1.0, regions: float = 1.0
) -> Expected:
    """The published bound on the expected number of activation regions that meet a cube, and which T would be tight.

    The theorem is about cubes whose side is above some length that it does not state, at initialisation, in all
    inputs; for a slice it is that of the network `restricted` to it.

    Args:
        dimension: n, of the slice; neurons: N.
        transitions: T, e.g. `FACTOR * gradient_constant(...) * bias_constant(...)`, or any positive number.
        volume: of the slice. The bound is per volume for N >= n; for N < n it is 2^N whatever the volume.
        regions: counted, their mean.

    Raises:
        InvalidInput: numbers that are not positive.

    Source: Hanin and Rolnick 2019, Deep ReLU networks have surprisingly few activation patterns, Theorem 5.

    >>> expected_regions(2, 60, 1.0, volume=1.0, regions=1800.0)
    Expected(bound=Fraction(1800, 1), transitions=1.0, needed=1.0)
    """
    if not (0 < volume < math.inf and 0 < regions < math.inf and dimension > 0 and neurons > 0):
        raise InvalidInput(
            f"{regions} regions of {neurons} neurons in a volume of {volume} in {dimension} dimensions are no density; "
            "give positive numbers"
        )
    bound = hanin_rolnick(dimension, neurons, transitions)
    needed = (math.factorial(dimension) * regions / volume) ** (1.0 / dimension) / neurons
    return Expected(bound * Fraction(volume) if neurons >= dimension else bound, transitions, needed)
