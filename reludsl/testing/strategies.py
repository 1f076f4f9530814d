"""Hypothesis strategies: small dyadic networks, activations and domains, and rough ones where rounding bites.

    from hypothesis import given
    from reludsl.testing import strategies as rs

    @given(rs.networks(activation=rs.activations()), ...)

Weights are multiples of 1/8, so that a forward pass of a few layers is exact in float64 and a failing example
shrinks to numbers that a person can follow. `rough_networks` are the opposite. Needs hypothesis; nothing else
of `reludsl.testing` does.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.layers import Affine, PiecewiseLinear, relu
from reludsl.layers.base import Layer
from reludsl.network import Network

__all__ = [
    "activations",
    "boxes",
    "domains",
    "dyadics",
    "networks",
    "rough_network",
    "rough_networks",
    "vectors",
]

T = TypeVar("T")


def dyadics(low: float = -2.0, high: float = 2.0) -> st.SearchStrategy[float]:
    """k / 8 between low and high."""
    return st.integers(round(8 * low), round(8 * high)).map(lambda k: k / 8)


def vectors(size: int, low: float = -2.0, high: float = 2.0) -> st.SearchStrategy[FloatArray]:
    """`size` dyadics as an array."""
    return st.lists(dyadics(low, high), min_size=size, max_size=size).map(
        lambda values: np.array(values, dtype=np.float64)
    )


def _often(value: T, other: T, one_in: int) -> st.SearchStrategy[T]:
    """`other` once in so many, else `value`; shrinks to `value`."""
    return st.integers(0, one_in - 1).map(lambda k: other if k == one_in - 1 else value)


@st.composite
def activations(draw: st.DrawFn, max_breaks: int = 3) -> PiecewiseLinear:
    """A piecewise-linear function with 1 to 3 breaks: convex, concave, or whatever comes."""
    breaks = sorted(draw(st.sets(dyadics(), min_size=1, max_size=max_breaks)))
    pieces = len(breaks) + 1
    shape = draw(st.sampled_from(["convex", "concave", "any"]))
    if shape == "any":
        slopes = draw(st.lists(dyadics(), min_size=pieces, max_size=pieces))
    else:
        slopes = sorted(draw(st.sets(dyadics(), min_size=pieces, max_size=pieces)), reverse=shape == "concave")
    anchor = draw(dyadics()), draw(dyadics())
    return PiecewiseLinear("drawn", tuple(breaks), tuple(slopes), anchor)


@st.composite
def _matrices(draw: st.DrawFn, rows: int, size: int) -> FloatArray:
    """Rows as they come, and zero rows, copies, multiples and sums of rows above."""
    matrix = np.zeros((rows, size))
    for i in range(rows):
        kind = draw(st.sampled_from(["plain", "plain", "plain", "zero", "copy", "multiple", "sum"]))
        above = draw(st.integers(0, max(i - 1, 0)))
        if kind == "zero":
            continue
        if i == 0 or kind == "plain":
            matrix[i] = draw(vectors(size))
        elif kind == "copy":
            matrix[i] = matrix[above]
        elif kind == "multiple":
            matrix[i] = draw(st.sampled_from([-1.0, 2.0, 0.5])) * matrix[above]
        else:
            matrix[i] = matrix[above] + matrix[i - 1]
    return matrix


@st.composite
def _layers(draw: st.DrawFn, rows: int, size: int) -> Affine:
    """An affine layer; a fifth of its columns zero, sometimes all biases the same."""
    matrix = draw(_matrices(rows, size))
    for column in range(size):
        if draw(_often(False, True, 5)):
            matrix[:, column] = 0.0
    bias = draw(vectors(rows))
    if draw(_often(False, True, 4)):
        bias[:] = bias[0]
    return Affine(matrix, bias)


@st.composite
def networks(
    draw: st.DrawFn,
    max_inputs: int = 3,
    max_units: int = 8,
    max_depth: int = 3,
    activation: st.SearchStrategy[PiecewiseLinear] | None = None,
    max_outputs: int = 2,
) -> Network:
    """Chains affine, activation, ..., affine with weights k / 8, at most `max_units` hidden neurons.

    Zero rows, rows that repeat or depend on others, neurons that nothing uses and equal biases are common.

    Args:
        activation: drawn anew for every layer; the ReLU by default.
    """
    kind = st.just(relu) if activation is None else activation
    depth = draw(st.integers(1, max_depth))
    size = draw(st.integers(1, max_inputs))
    inputs, left = size, max_units
    layers: list[Layer] = []
    for k in range(depth):
        width = draw(st.integers(1, max(1, left - (depth - 1 - k))))
        width = min(width, 1 + max_units // depth)
        layers += [draw(_layers(width, size)), draw(kind)]
        size, left = width, left - width
    layers.append(draw(_layers(draw(st.integers(1, max_outputs)), size)))
    return Network.chain(layers, (inputs,))


@st.composite
def boxes(draw: st.DrawFn, size: int) -> Box:
    """Dyadic boxes, sides at most 2 long; a side of no length at times."""
    lower = draw(vectors(size, -2, 1))
    return Box(lower, lower + draw(vectors(size, 0, 2)))


@st.composite
def domains(draw: st.DrawFn, size: int) -> Domain:
    """Boxes, balls in both norms with and without a clip, and polytopes; never empty."""
    kind = draw(st.sampled_from(["box", "ball", "clipped ball", "L1", "clipped L1", "polytope"]))
    if kind == "box":
        return draw(boxes(size))
    if kind == "polytope":
        return draw(_polytopes(size))
    center, radius = draw(vectors(size)), draw(dyadics(0.125, 1.5))
    norm = Norm.L1 if "L1" in kind else Norm.LINF
    if "clipped" not in kind:
        return Ball(center, radius, norm)
    below, above = draw(vectors(size, 0, 1)), draw(vectors(size, 0, 1))
    # the centre may lie outside of the clip, in one coordinate and by less than the radius
    shift = draw(dyadics(-radius, radius)) / 2
    low, high = center - below, center + above
    if shift > 0:
        low[0] += below[0] + shift
    elif shift < 0:
        high[0] += shift - above[0]
    return Ball(center, radius, norm, (low, np.maximum(low, high)))


@st.composite
def _polytopes(draw: st.DrawFn, size: int) -> Polytope:
    """Up to three rows, each with room around one point of a box with sides."""
    lower = draw(vectors(size, -2, 1))
    box = Box(lower, lower + draw(vectors(size, 0.25, 2)))
    inside = 0.5 * (box.lower + box.upper)
    rows = np.array(draw(st.lists(vectors(size), min_size=1, max_size=3)))
    return Polytope(rows, rows @ inside + draw(vectors(len(rows), 0.125, 1)), box)


def rough_network(seed: int) -> Network:
    """Weights with all 53 bits in use, their magnitudes from 1e-12 to 1e6; wide or thin and deep.

    What such a layer computes is lost in rounding unless bounds are widened: large terms cancel, small ones
    vanish beside them.
    """
    rng = np.random.default_rng(seed)
    thin = bool(rng.random() < 0.5)
    depth = int(rng.integers(4, 12)) if thin else int(rng.integers(1, 3))
    sizes = [int(rng.integers(1, 3 if thin else 4)) for _ in range(depth + 1)]
    spread = (-0.5, 0.5) if thin else (-12.0, 6.0)
    layers: list[Layer] = []
    for rows, size in zip([*sizes[1:], 1], sizes):
        matrix = rng.choice([-1.0, 1.0], (rows, size)) * 10.0 ** rng.uniform(*spread, (rows, size))
        bias = rng.choice([-1.0, 0.0, 1.0], rows) * 10.0 ** rng.uniform(*spread, rows)
        if rows > 1 and rng.random() < 0.3:
            matrix[1] = -matrix[0] * (1 + rng.normal() * 1e-14)
        layers += [Affine(matrix, bias), relu if rng.random() < 0.7 else _leaky(rng)]
    return Network.chain(layers[:-1], (sizes[0],))


def _leaky(rng: np.random.Generator) -> PiecewiseLinear:
    low, high = np.sort(rng.normal(size=2)).tolist()
    slopes = rng.uniform(-1.5, 1.5, 3).tolist()
    return PiecewiseLinear("rough", (low, high), tuple(slopes), (float(rng.normal()), float(rng.normal())))


def rough_networks() -> st.SearchStrategy[Network]:
    """Networks of `rough_network`."""
    return st.integers(0, 2**32 - 1).map(rough_network)
