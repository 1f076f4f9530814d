"""Linear regions: the plane, the line and cells beside what one writes first, or what other solvers count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import Figure, Measured, best
from benchmarks.nets import trained
from reludsl import plugins
from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.layers import Affine
from reludsl.network import Network
from reludsl.networks import Initialisation, random_network
from reludsl.regions import RegionCount, count, find_patterns, line, plane, stream
from reludsl.regions.counted import counted_plane
from reludsl.regions.definition import Definition
from reludsl.regions.one_tree import Way

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
        took = best(lambda n=network: plane(n, box), 1 if regions > 100_000 else 3)  # type: ignore[misc]
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


def cells(small: bool) -> Iterator[Measured]:
    """Regions of a trained 784-11-11 on [0, 1]^784 until there are so many, beside the counter of SCIP and an integer
    program solved again for every pattern, each for some seconds. The rates of both fall with time."""
    network = _drawn_small() if small else trained("mnist_11x11_l1_0_s0", 784, 11, 11, 10)
    box, enough, patience = (Box.full(-1, 1, (64,)), 778, 2.0) if small else (Box.full(0, 1, (784,)), 40_000, 20.0)
    began, met = time.perf_counter(), 0
    for found in stream(network, box):
        met += len(found)
        if met >= enough:
            break
    took = time.perf_counter() - began
    what = f"cells of {network.input_size}-{'6-6' if small else '11-11'}, {met:,} regions, {met / took:,.0f} a second"
    others = [("highs", Way.RESTART, "an integer program for each", 0.05)]
    if any(info.name == "scip" and info.installed for info in plugins.installed()):
        others.append(("scip", Way.COUNT, "SCIP's counter", 2.0 if small else 0.2))
    for name, way, words, limit in others:
        began = time.perf_counter()
        told = find_patterns(network, box, backend=name, way=way, time_limit=patience).count
        rate = told.count / (time.perf_counter() - began)
        yield Figure(what, took, f"{words}, {rate:,.0f} a second (extrapolated)", met / rate, limit)


@dataclass(frozen=True, slots=True)
class Estimated:
    """An estimate beside the exact number: it is near, and took no longer than 5 s."""

    what: str
    found: RegionCount
    exact: int

    @property
    def _off(self) -> float:
        assert self.found.standard_error is not None
        return abs(self.found.count - self.exact) / max(self.found.standard_error, 0.5)

    @property
    def holds(self) -> bool:
        return self._off <= 3 and self.found.lower <= self.exact and self.found.seconds < 5

    def __str__(self) -> str:
        found = self.found
        return (
            f"probes of {self.what}: {found.count:,} +- {found.standard_error:,.0f} in {found.seconds:.2f} s, at least "
            f"{found.lower:,} with confidence {found.confidence}; exactly {self.exact:,}, {self._off:.1f} standard "
            f"errors away: {'ok' if self.holds else 'WRONG'}"
        )


def probes(small: bool) -> Iterator[Measured]:
    """Estimates of numbers that cells count exactly."""
    cases = [("64-6-6", _drawn_small(), Box.full(-1, 1, (64,)))]
    if not small:
        cases.append(("784-4-18", trained("mnist_4x18_l1_0_s0", 784, 4, 18, 10), Box.full(0, 1, (784,))))
    for what, network, box in cases:
        exact = count(network, box, method="cells")
        assert exact.exact
        yield Estimated(what, count(network, box, method="probe"), exact.count)


def _drawn_small() -> Network:
    return random_network((64, 6, 6), 3, Initialisation.NORMAL)


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
