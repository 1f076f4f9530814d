"""Linear regions counted exactly, in rational arithmetic: what every bound has to cover."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from reludsl.domain import Box, Domain
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network
from reludsl.testing.region_oracle import regions

Point = tuple[Fraction, Fraction]
Form = tuple[Fraction, Fraction, Fraction]
"""a x + b y + c."""


def chain(weights: Sequence[object], biases: Sequence[object], activation: PiecewiseLinear = relu) -> Network:
    """Affine layers, an activation behind each."""
    matrices = [np.array(w, dtype=np.float64) for w in weights]
    layers: list[Layer] = []
    for w, b in zip(matrices, biases):
        layers += [Affine(w, np.array(b, dtype=np.float64)), activation]
    return Network.chain(layers, (matrices[0].shape[1],))


def cube(network: Network, half: float) -> Box:
    return Box.full(-half, half, (network.input_size,))


def cells(network: Network, domain: Domain) -> int:
    """Full-dimensional regions of a network, of any layers, over a domain with an interior."""
    return len(regions(network, domain))


def plane_patterns(network: Network, half: int) -> tuple[int, int]:
    """Full-dimensional activation patterns of a chain of ReLUs on a square, and all that any point of it has.

    The patterns of lower dimension are those of the corners and edges of the cells: a unit keeps its sign on a cell,
    and is zero on all of an open edge or on none of it.
    """
    side = Fraction(half)
    square = [(-side, -side), (side, -side), (side, side), (-side, side)]
    forms: list[Form] = [(Fraction(1), Fraction(0), Fraction(0)), (Fraction(0), Fraction(1), Fraction(0))]
    whole: list[tuple[list[Point], list[Form]]] = [(square, forms)]
    for node in network.nodes:
        if not isinstance(node.layer, Affine):
            continue
        rows = [[Fraction(w) for w in row] for row in np.asarray(node.layer.weight).tolist()]
        shifts = [Fraction(b) for b in node.layer.bias.tolist()]
        after = []
        for polygon, before in whole:
            mapped = [_combined(row, before, shift) for row, shift in zip(rows, shifts)]
            parts: list[tuple[list[Point], list[Form]]] = [(polygon, [])]
            for form in mapped:
                parts = [part for one in parts for part in _cut(one, form)]
            after += parts
        whole = after
    seen: set[tuple[bool, ...]] = set()
    for polygon, _ in whole:
        middles = [((p[0] + q[0]) / 2, (p[1] + q[1]) / 2) for p, q in pairwise([*polygon, polygon[0]])]
        x, y = (sum(side, Fraction(0)) / len(polygon) for side in zip(*polygon))
        seen.update(_pattern(network, point) for point in (*polygon, *middles, (x, y)))
    return len(whole), len(seen)


def _combined(row: Sequence[Fraction], forms: Sequence[Form], shift: Fraction) -> Form:
    a, b, c = (sum((w * form[i] for w, form in zip(row, forms)), Fraction(0)) for i in range(3))
    return a, b, c + shift


def _cut(part: tuple[list[Point], list[Form]], form: Form) -> list[tuple[list[Point], list[Form]]]:
    polygon, forms = part
    heights = [form[0] * x + form[1] * y + form[2] for x, y in polygon]
    off: Form = (Fraction(0), Fraction(0), Fraction(0))
    if max(heights) <= 0:
        return [(polygon, [*forms, off])]
    if min(heights) >= 0:
        return [(polygon, [*forms, form])]
    sides = []
    for sign, value in ((1, form), (-1, off)):
        kept: list[Point] = []
        for (p, u), (q, v) in pairwise([*zip(polygon, heights), (polygon[0], heights[0])]):
            if sign * u >= 0:
                kept.append(p)
            if u * v < 0:
                t = u / (u - v)
                kept.append((p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1])))
        sides.append((kept, [*forms, value]))
    return sides


def _pattern(network: Network, point: Point) -> tuple[bool, ...]:
    held = np.empty(2, dtype=object)
    held[:] = point
    values = network.exact_values(held)
    return tuple(bool(z > 0) for stage in network.hidden for z in values[stage.pre].tolist())
