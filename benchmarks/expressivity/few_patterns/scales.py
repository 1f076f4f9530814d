"""The scale of weights and biases at initialisation: counts, gradients, the published bound, and the scaling lemma."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.expressivity.few_patterns.settings import Settings, Widths
from benchmarks.expressivity.few_patterns.start import OUTPUTS
from reludsl.backend import FloatArray
from reludsl.domain import Box, Space
from reludsl.expressivity import (
    FACTOR,
    Expected,
    bias_constant,
    draw_slices,
    expected_regions,
    gradient_constant,
    gradient_norms,
    scale_biases,
    segment_density,
    slice_density,
)
from reludsl.networks import gaussian_network
from reludsl.regions import Slice, plane

SAMPLES = 100
"""Points of a slice at which gradients are taken."""

FACTORS = (0.01, 0.5, 3.0, 100.0)
"""What the biases are multiplied by."""

SIDE = 2.0
"""Half the side of the box of the scaling lemma."""


@dataclass(frozen=True, slots=True, eq=False)
class Scale:
    """Networks of one weight variance and bias scale, on the same slices.

    Args:
        per_area: (runs,) regions of the squares per area; whole: (runs,) those of whole planes / N^2.
        gradient: (runs,) mean over neurons and points of the squares of the norm of the gradient in the plane.
        c_grad: measured on the first slice; `bound` is that of its square against the mean count there, `regions`.
        along: the bound 2 C_grad C_bias N on breakpoints per length, against the mean count `crossings` on the first
            axis of that square, from side to side.
    """

    variance: float
    bias_scale: float
    per_area: FloatArray
    whole: FloatArray
    gradient: FloatArray
    c_grad: float
    regions: float
    bound: Expected
    crossings: float
    along: Expected


@dataclass(frozen=True, slots=True)
class Lemma:
    """Networks of two inputs whose biases, and then whose weights, are multiplied by one number.

    Args:
        checks: pairs of counts that the lemma says are equal; unequal: how many are not.
        weights: (network, factor) counts of R^2 after all weights were multiplied; plain: (network,) before.
    """

    checks: int
    unequal: int
    plain: list[int]
    weights: list[list[int]]


def sweep(settings: Settings, pixels: FloatArray, seed: int) -> list[Scale]:
    """Every weight variance with every bias scale."""
    cuts = draw_slices(pixels, settings.slices, seed)
    one = partial(_scale, settings, pixels.shape[1], cuts, seed)
    return [one(variance, scale) for scale in settings.bias_scales for variance in settings.variances]


def _scale(
    settings: Settings, inputs: int, cuts: tuple[Slice, ...], seed: int, variance: float, bias_scale: float
) -> Scale:
    networks = [
        gaussian_network(
            (inputs, *settings.sweep),
            seed + run,
            weight_scale=float(np.sqrt(variance)),
            bias_scale=bias_scale,
            outputs=OUTPUTS,
        )
        for run in range(settings.start_runs)
    ]
    squares = [slice_density(network, cuts) for network in networks]
    samples = [inside(cut, SAMPLES, seed) for cut in cuts]
    gradient = [
        np.mean([gradient_norms(network, x, cut.axes).mean() for x, cut in zip(samples, cuts)]) for network in networks
    ]
    c_grad = gradient_constant(networks, samples[0], 2, cuts[0].axes)
    counted = float(np.mean([square.regions[0] for square in squares]))
    neurons, c_bias = sum(settings.sweep), bias_constant(bias_scale)
    first, area = cuts[0], float(squares[0].areas[0])
    ends = first.origin + first.corners[:, :1].min() * first.axes[0], first.origin + first.corners.max() * first.axes[0]
    crossings = float(np.mean([segment_density(network, *ends).regions[0] for network in networks])) - 1
    length = float(np.linalg.norm(ends[1] - ends[0]))
    on_line = np.linspace(*ends, SAMPLES)
    steep = gradient_constant(networks, on_line, 1, first.axes[:1])
    return Scale(
        variance=variance,
        bias_scale=bias_scale,
        per_area=np.array([square.per_area.mean() for square in squares]),
        whole=np.array([slice_density(network, cuts, whole=True).ratio.mean() for network in networks]),
        gradient=np.array(gradient),
        c_grad=c_grad,
        regions=counted,
        bound=expected_regions(2, neurons, FACTOR * c_grad * c_bias, volume=area, regions=counted),
        crossings=crossings,
        along=expected_regions(1, neurons, 2.0 * steep * c_bias, volume=length, regions=max(crossings, 1e-9)),
    )


def inside(where: Slice, count: int, seed: int) -> FloatArray:
    """Points of a square slice, uniformly: (count, inputs)."""
    low, high = where.corners.min(axis=0), where.corners.max(axis=0)
    return np.asarray(where.origin + np.random.default_rng(seed).uniform(low, high, (count, 2)) @ where.axes)


def lemma(widths: Widths, networks: int, seed: int) -> Lemma:
    """N(x; c b) = c N(x / c; b), by counting: all of R^2, and a box that is scaled along."""
    unequal, plain, weights = 0, [], []
    box = np.full(2, SIDE)
    he = float(np.sqrt(2.0))
    for run in range(networks):
        draw = partial(gaussian_network, (2, *widths), seed + run, bias_scale=1.0)
        network = draw(weight_scale=he)
        whole, local = plane(network, Space(2)).faces, plane(network, Box(-box, box)).faces
        for c in FACTORS:
            scaled = scale_biases(network, c)
            unequal += plane(scaled, Space(2)).faces != whole
            unequal += plane(scaled, Box(-c * box, c * box)).faces != local
        plain.append(whole)
        weights.append([plane(draw(weight_scale=c * he), Space(2)).faces for c in FACTORS])
    return Lemma(2 * len(FACTORS) * networks, unequal, plain, weights)
