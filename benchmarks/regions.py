"""Linear regions: the plane and the line, beside what one writes first. Cells are in `benchmarks.cells`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.measure import Figure, Measured, best
from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.layers import Affine
from reludsl.network import Network
from reludsl.networks import random_network
from reludsl.regions import line, plane
from reludsl.regions.counted import counted_plane
from reludsl.regions.definition import Definition

Point = tuple[float, float]
Polygon = list[Point]


def planes(small: bool) -> Iterator[Measured]:
    """Regions of 2-64x4 and of 2-256x3 on [-5, 5]^2. The baseline clips one polygon after the other in plain Python; it
    is measured on 2-32x3, and slower on wider networks."""
    box = Box.full(-5, 5, (2,))
    network = random_network((2, 16, 16) if small else (2, 32, 32, 32), seed=1)
    clipped = len(clip(network))
    base = best(lambda: clip(network), 1)
    took = best(lambda: plane(network, box))
    assert plane(network, box).faces == clipped
    yield Figure(f"plane, {clipped:,} regions", took, "clipping in plain Python", base, 1.0 if small else 0.1)
    cases: list[tuple[tuple[int, ...], int, float]] = [((2, 32, 32, 32), 3_015, 1.0)]
    if not small:
        cases = [((2, 64, 64, 64, 64), 23_587, 0.06), ((2, 256, 256, 256), 230_286, 0.25), ((2, 512), 112_917, 0.3)]
    for sizes, regions, limit in cases:
        network = random_network(sizes, seed=1)
        found = plane(network, box)
        assert found.faces == regions
        took = best(partial(plane, network, box), 1 if regions > 100_000 else 3)
        name = "-".join(map(str, sizes))
        what = f"plane of {name}, {regions:,} regions, {regions / took:,.0f} a second"
        yield Figure(what, took, "clipping as many in plain Python (extrapolated)", base * regions / clipped, limit)
    network = random_network((2, 16, 16) if small else (2, 64, 64, 64, 64), seed=1)
    found = plane(network, box)
    took = best(lambda: plane(network, box))
    proof = best(lambda: counted_plane(found, box, Definition.ACTIVATION), 1)
    yield Figure(f"proof that {found.faces:,} regions are all", proof, "the plane itself", took, 100)


def lines(small: bool) -> Iterator[Measured]:
    """Breakpoints of 784-100x5 on random segments of [0, 1]^784. The baseline takes one segment after the other and
    cuts its intervals layer by layer, in plain Python around numpy."""
    network = random_network((784, 50, 50) if small else (784, 100, 100, 100, 100, 100), seed=0)
    rng = np.random.default_rng(1)
    count = 20 if small else 1000
    starts, ends = rng.random((2, count, 784))
    few = 3 if small else 20
    found = line(network, starts, ends)
    plain = sum(len(cut(network, starts[k], ends[k])) for k in range(few))
    assert plain == len(found.breakpoints[found.chain[found.breakpoints] < few])
    base = best(lambda: [cut(network, starts[k], ends[k]) for k in range(few)], 1) * count / few
    took = best(lambda: line(network, starts, ends))
    breaks = len(found.point)
    what = f"lines through 784-{'50x2' if small else '100x5'}, {breaks:,} breakpoints, {breaks / took:,.0f} a second"
    yield Figure(what, took, "one segment after the other (extrapolated)", base, 1.0 if small else 0.25)


def clip(network: Network) -> list[Polygon]:
    """The regions on [-5, 5]^2, every polygon cut by every unit of a layer in turn."""
    square: Polygon = [(-5.0, -5.0), (5.0, -5.0), (5.0, 5.0), (-5.0, 5.0)]
    cells = [(square, np.eye(2), np.zeros(2))]
    for node in network.nodes:
        if not isinstance(node.layer, Affine):
            continue
        found = []
        for shape, slope, offset in cells:
            slopes, offsets = node.layer.weight @ slope, node.layer.weight @ offset + node.layer.bias
            parts: list[tuple[Polygon, list[float]]] = [(shape, [])]
            for (a, b), c in zip(slopes.tolist(), offsets.tolist()):
                parts = [
                    (piece, [*on, float(sign > 0)])
                    for polygon, on in parts
                    for sign in (1, -1)
                    if len(piece := _side(polygon, sign * a, sign * b, sign * c)) > 2
                ]
            found += [(shape, slopes * np.array(on)[:, None], offsets * np.array(on)) for shape, on in parts]
        cells = found
    return [shape for shape, _, _ in cells]


def _side(polygon: Polygon, a: float, b: float, c: float) -> Polygon:
    """The part where a x + b y + c >= 0, nothing where that has no interior."""
    height = [a * x + b * y + c for x, y in polygon]
    if max(height) <= 0:
        return []
    kept: Polygon = []
    for k, (x, y) in enumerate(polygon):
        after = (k + 1) % len(polygon)
        if height[k] >= 0:
            kept.append((x, y))
        if height[k] * height[after] < 0:
            t = height[k] / (height[k] - height[after])
            kept.append((x + t * (polygon[after][0] - x), y + t * (polygon[after][1] - y)))
    return kept


def cut(network: Network, start: FloatArray, end: FloatArray) -> list[float]:
    """The breakpoints of one segment: t in (0, 1)."""
    t = [0.0, 1.0]
    values = [start, end]
    for node in network.nodes:
        if not isinstance(node.layer, Affine):
            values = [np.maximum(v, 0.0) for v in values]
            continue
        values = [node.layer.weight @ v + node.layer.bias for v in values]
        new_t, new_values = [t[0]], [values[0]]
        for k in range(len(t) - 1):
            left, right = values[k], values[k + 1]
            crossing = np.flatnonzero(left * right < 0)
            share = left[crossing] / (left[crossing] - right[crossing])
            for i in np.argsort(share):
                there = left + share[i] * (right - left)
                there[crossing[i]] = 0.0
                new_t.append(t[k] + share[i] * (t[k + 1] - t[k]))
                new_values.append(there)
            new_t.append(t[k + 1])
            new_values.append(right)
        t, values = new_t, new_values
    return t[1:-1]
