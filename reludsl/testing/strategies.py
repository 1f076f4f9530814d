"""Hypothesis strategies: small dyadic networks, graphs, activations and domains, and rough ones where rounding bites.

    from hypothesis import given
    from reludsl.testing import strategies as rs

    @given(rs.networks(activation=rs.activations()), ...)

Weights are multiples of 1/8, so that a forward pass of a few layers is exact in float64 and a failing example
shrinks to numbers that a person can follow. `rough_networks` are the opposite. Needs hypothesis; nothing else
of `reludsl.testing` does.

`random_graph(seed)` is a graph of `graphs()` without hypothesis, for tests that count over many of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.layers import (
    Affine,
    Gather,
    Layer,
    PiecewiseLinear,
    Reshape,
    Scale,
    Shape,
    Shift,
    Sum,
    concatenated,
    larger,
    maxout,
    relu,
)
from reludsl.layers.activations import absolute, clip, hard_sigmoid, hard_tanh, leaky_relu, prelu, relu6
from reludsl.layers.convolution import Conv
from reludsl.layers.normalisation import BatchNorm
from reludsl.layers.pooling import AveragePool, MaxPool
from reludsl.layers.windows import Pads
from reludsl.network import INPUT, Network, Node, joined_shape

__all__ = [
    "activations",
    "boxes",
    "domains",
    "dyadics",
    "graphs",
    "networks",
    "random_graph",
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


def _hyperplanes(rows: int, size: int) -> st.SearchStrategy[Affine]:
    """An affine layer whose biases are copied, multiplied and added with their rows."""
    return _matrices(rows, size + 1).map(lambda whole: Affine(whole[:, :-1], whole[:, -1]))


@st.composite
def networks(
    draw: st.DrawFn,
    max_inputs: int = 3,
    max_units: int = 8,
    max_depth: int = 3,
    activation: st.SearchStrategy[PiecewiseLinear] | None = None,
    max_outputs: int = 2,
    coincident: bool = False,
) -> Network:
    """Chains affine, activation, ..., affine with weights k / 8, at most `max_units` hidden neurons.

    Zero rows, rows that repeat or depend on others, neurons that nothing uses and equal biases are common.

    Args:
        activation: drawn anew for every layer; the ReLU by default.
        coincident: a bias follows its row, so that neurons of a layer often switch on one hyperplane, on the same or
            on opposite sides of it, or on hyperplanes that meet.
    """
    hidden = _hyperplanes if coincident else _layers
    kind = st.just(relu) if activation is None else activation
    depth = draw(st.integers(1, max_depth))
    size = draw(st.integers(1, max_inputs))
    inputs, left = size, max_units
    layers: list[Layer] = []
    for k in range(depth):
        width = draw(st.integers(1, max(1, left - (depth - 1 - k))))
        width = min(width, 1 + max_units // depth)
        layers += [draw(hidden(width, size)), draw(kind)]
        size, left = width, left - width
    layers.append(draw(_layers(draw(st.integers(1, max_outputs)), size)))
    return Network.chain(layers, (inputs,))


Pieces = Literal["any", "two", "rising"]
"""Which activations a graph has: whatever comes, those of two pieces, or those that rise (or fall) all the way but for
their ends."""

Whole = Callable[[int, int], int]
"""A whole number between two, both included: drawn by hypothesis, or by a generator."""

_MOST_BITS = 32
"""A graph grows no deeper once its values need this many bits: what then follows stays exact in a float64."""


@dataclass(slots=True, eq=False)
class _Sketch:
    """A graph that grows step by step. Every decision is a whole number, and 0 the plainest one.

    Args:
        at: the node that the next step takes.
        left: how many more units with pieces there may be.
    """

    whole: Whole
    left: int
    pieces: Pieces
    maxima: bool
    nodes: list[Node]
    shapes: dict[str, Shape]
    boxes: dict[str, Box]
    fine: dict[str, int]
    at: str = INPUT

    @classmethod
    def start(cls, whole: Whole, max_inputs: int, max_units: int, pieces: Pieces, maxima: bool) -> _Sketch:
        n = whole(1, max_inputs)
        shape: Shape = (1, 1, n) if whole(0, 5) == 5 else (n,)
        around = Box(np.full(n, -4.0), np.full(n, 4.0))
        return cls(whole, max_units, pieces, maxima, [], {INPUT: shape}, {INPUT: around}, {INPUT: 3})

    # --- what steps are made of -------------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        return self.shapes[self.at]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def bits(self) -> int:
        """Of the largest value of the current node, with those behind the point."""
        return self.fine[self.at] + math.ceil(math.log2(1 + float(self.boxes[self.at].magnitude.max())))

    def add(self, layer: Layer, *sources: str, finer: int = 0) -> None:
        """A node, which is then the current one; by default it takes the one before.

        Args:
            finer: how many more bits behind the point its values have.
        """
        sources = sources or (self.at,)
        name = f"{layer.kind}_{len(self.nodes) + 1}"
        self.nodes.append(Node(name, layer, *sources))
        self.shapes[name] = layer.output_shape(joined_shape([self.shapes[s] for s in sources]))
        low = np.concatenate([self.boxes[s].lower for s in sources])
        high = np.concatenate([self.boxes[s].upper for s in sources])
        self.boxes[name] = layer.interval(Box(low, high))
        self.fine[name] = max(self.fine[s] for s in sources) + finer
        self.at = name

    def numbers(self, count: int, low: float = -2.0, high: float = 2.0) -> FloatArray:
        return np.array([self.whole(round(8 * low), round(8 * high)) for _ in range(count)]) / 8

    def weights(self, count: int) -> FloatArray:
        """Numbers between -2 and 2 of which 1 is the plainest: with zeros there is nothing to see."""
        return np.array([1 - self.whole(-8, 24) / 8 for _ in range(count)])

    def one_of(self, *choices: T) -> T:
        return choices[self.whole(0, len(choices) - 1)]

    def earlier(self, alike: bool) -> str:
        """A node to meet again, the current one among them, or one of the same shape."""
        names = [name for name, shape in self.shapes.items() if not alike or shape == self.shape]
        return self.one_of(*reversed(names))

    def flatten(self) -> None:
        if len(self.shape) > 1:
            self.add(Reshape((-1,)))

    def dense(self, width: int) -> None:
        self.flatten()
        weights = self.weights(width * self.size).reshape(width, -1)
        self.add(Affine(weights, self.numbers(width)), finer=3)

    def image(self) -> tuple[int, tuple[int, ...]]:
        """Make the current tensor one of channels and one or two axes: channels, and lengths of the axes."""
        if len(self.shape) < 3:
            if self.size == 1:
                self.dense(self.whole(2, 4))
            n, even = self.size, self.size % 2 == 0
            halves = [(1, 1, 2, n // 2), (1, 2, n // 2), (1, 2, 1, n // 2)] if even else []
            self.add(Reshape(self.one_of((1, 1, n), (1, 1, 1, n), *halves)))
        return self.shape[1], self.shape[2:]

    # --- steps ------------------------------------------------------------------------------------------------

    def affine(self) -> None:
        self.dense(self.whole(1, max(2, min(4, self.left))))

    def activation(self) -> None:
        if not self.left:
            return
        if self.size > self.left:
            self.dense(self.whole(1, min(4, self.left)))
        self.left -= self.size
        self.add(self.function(), finer=3)
        # an intercept is a product of two numbers with three bits behind the point
        self.fine[self.at] = max(self.fine[self.at], 6)

    def function(self) -> PiecewiseLinear:
        n = self.size
        two = [relu, absolute, leaky_relu(0.125)]
        rising = [hard_tanh(), clip(0.0, 1.0), relu6, hard_sigmoid(0.25, 0.5)]
        known = {"any": two + rising, "two": two, "rising": [relu, *rising, leaky_relu(0.125)]}[self.pieces]
        kind = self.whole(0, len(known) + 2)
        if kind < len(known):
            return known[kind]
        if kind == len(known):
            return prelu(self.numbers(n, 0.125 if self.pieces == "rising" else -2.0))
        return self.drawn(1 if kind == len(known) + 1 else n)

    def drawn(self, elements: int) -> PiecewiseLinear:
        """Any breaks and slopes, for all elements or for each of them."""
        breaks = 1 if self.pieces == "two" else self.whole(1, 3)
        steps = [self.numbers(elements), *(self.numbers(elements, 0.125) for _ in range(breaks - 1))]
        if self.pieces == "rising":
            sign = self.one_of(1.0, -1.0)
            slopes = [sign * self.numbers(elements, 0.125) for _ in range(breaks + 1)]
        else:
            slopes = [self.weights(elements) for _ in range(breaks + 1)]
        anchor = self.numbers(elements), self.numbers(elements)
        return PiecewiseLinear("drawn", tuple(np.cumsum(steps, axis=0)), tuple(slopes), anchor)

    def meet(self) -> None:
        """x + y or x - y with an earlier tensor, x itself among them."""
        self.add(Sum((1, self.one_of(1, -1))), self.at, self.earlier(alike=True), finer=0)

    def skip(self) -> None:
        """x + W u, with u the input or another tensor."""
        x, shape, size = self.at, self.shape, self.size
        self.at = self.one_of(INPUT, self.earlier(alike=False))
        self.dense(size)
        if shape != self.shape:
            self.add(Reshape(shape))
        self.add(Sum((1, self.one_of(1, -1))), x, self.at)

    def concatenate(self) -> None:
        x, other = self.at, self.earlier(alike=False)
        if len(self.shape) > 2 and self.shapes[other] == self.shape:
            self.add(concatenated((self.shape, self.shape), axis=self.whole(1, len(self.shape) - 1)), x, other)
            return
        self.flatten()
        x = self.at
        self.at = other
        self.flatten()
        self.add(concatenated((self.shapes[x], self.shape), axis=0), x, self.at)

    def select(self) -> None:
        """Some elements in any order, repeated, or a constant."""
        index = [self.whole(-1, self.size - 1) for _ in range(self.whole(1, 4))]
        self.add(Gather(np.array(index), self.size, (len(index),), "select", self.numbers(1).item()))

    def maxout(self) -> None:
        if not self.left:
            return
        rank = self.whole(2, 3)
        if self.size % rank or self.size // rank > self.left:
            self.dense(rank * self.whole(1, min(2, self.left)))
        self.flatten()
        self.left -= self.size // rank
        self.add(maxout(self.size, rank))

    def larger(self) -> None:
        if self.size <= self.left:
            self.left -= self.size
            self.add(larger(self.shape), self.at, self.earlier(alike=True))

    def convolve(self) -> None:
        channels, spatial = self.image()
        groups = channels if self.whole(0, 3) == 3 else 1
        out = groups * self.whole(1, 2 if groups == 1 else 1)
        dilation = tuple(2 if k > 2 and self.whole(0, 3) == 3 else 1 for k in spatial)
        kernel = tuple(self.whole(1, min(2, k)) for k in spatial)
        stride = tuple(self.whole(1, 2) for _ in spatial)
        wide: Pads = tuple((self.whole(0, 1), self.whole(0, 1)) for _ in spatial)
        weight = self.weights(out * (channels // groups) * math.prod(kernel))
        offset = self.numbers(out)
        for pads in (wide, tuple((0, 0) for _ in wide)):
            layer = Conv(weight.reshape(out, -1, *kernel), offset, spatial, stride, pads, dilation, groups)
            if math.prod(layer.output_shape(self.shape)) <= 8:
                break
        self.add(layer, finer=3)

    def average(self) -> None:
        """Windows of 1, 2 or 4 elements, whatever lies in the padding: 1 / count is dyadic."""
        channels, spatial = self.image()
        kernel, stride, pads = self.window(spatial)
        flags = self.whole(0, 1) == 1, self.whole(0, 1) == 1
        self.add(AveragePool(channels, spatial, kernel, stride, pads, *flags), finer=2)

    def pool(self) -> None:
        channels, spatial = self.image()
        kernel, stride, pads = self.window(spatial)
        layer = MaxPool(channels, spatial, kernel, stride, pads, tuple(1 for _ in spatial), self.whole(0, 1) == 1)
        units = math.prod(layer.output_shape(self.shape))
        if units <= self.left:
            self.left -= units
            self.add(layer)

    def window(self, spatial: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], Pads]:
        """Kernel, stride and pads of a pool."""
        kernel = tuple(min(2, k) for k in spatial)
        stride = tuple(self.whole(1, 2) for _ in spatial)
        wide = [self.whole(0, 3) == 3 for _ in spatial]
        pads = tuple((int(pad and k > 1), 0) for k, pad in zip(kernel, wide))
        return kernel, stride, pads

    def normalise(self) -> None:
        if len(self.shape) > 2:
            channels, positions = self.shape[1], math.prod(self.shape[2:])
        else:
            channels, positions = self.size, 1
        self.add(BatchNorm(self.weights(channels), self.numbers(channels), positions), finer=3)

    def rescale(self) -> None:
        count = self.one_of(1, self.size)
        kind = self.whole(0, 2)
        if kind == 0:
            self.add(Shift(self.numbers(count)))
        elif kind == 1:
            self.add(Scale(self.weights(count)), finer=3)
        else:
            self.add(Scale(2.0 ** np.array([self.whole(0, 2) for _ in range(count)]), divide=True), finer=2)

    def step(self) -> None:
        steps = [self.affine, self.meet, self.skip, self.concatenate, self.select]
        steps += [self.convolve, self.average, self.normalise, self.rescale]
        if self.maxima:
            steps += [self.maxout, self.larger, self.pool]
        self.one_of(*steps)()
        if self.whole(0, 1):
            self.activation()

    def network(self, max_steps: int, max_outputs: int) -> Network:
        """An affine layer and an activation, so many steps, and an affine layer unless the last is small enough."""
        self.dense(self.whole(1, 3))
        self.activation()
        # often as many as there may be
        for _ in range(min(max_steps, self.whole(0, 2 * max_steps))):
            if self.bits > _MOST_BITS:
                break
            self.step()
        if self.size > max_outputs or self.whole(0, 3) < 3:
            self.dense(self.whole(1, max_outputs))
        return Network(tuple(self.nodes), self.shapes[INPUT], self.at)


@st.composite
def graphs(
    draw: st.DrawFn,
    max_inputs: int = 3,
    max_units: int = 7,
    max_steps: int = 5,
    max_outputs: int = 2,
    pieces: Pieces = "any",
    maxima: bool = True,
) -> Network:
    """Small networks with branches that meet, convolutions, pools, maxima, and activations element by element.

    Weights are k / 8 and windows of averages hold 1, 2 or 4 elements, so that forward passes at dyadic inputs in
    [-4, 4] are exact in float64. Nodes that the output does not depend on, x + x, x - x and max(x, x) come up too.

    Args:
        max_units: elements of activations and max units, together.
        max_steps: after the first affine layer and activation; a step is a layer of any kind, and often an activation.
        pieces: see `Pieces`.
        maxima: whether there are max units.
    """

    def whole(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    return _Sketch.start(whole, max_inputs, max_units, pieces, maxima).network(max_steps, max_outputs)


def random_graph(
    seed: int,
    max_inputs: int = 3,
    max_units: int = 7,
    max_steps: int = 5,
    max_outputs: int = 2,
    pieces: Pieces = "any",
    maxima: bool = True,
) -> Network:
    """A graph of `graphs()`, the same one for the same seed."""
    rng = np.random.default_rng(seed)

    def whole(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    return _Sketch.start(whole, max_inputs, max_units, pieces, maxima).network(max_steps, max_outputs)


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
