"""The walk through a network that cuts a complex, node by node.

Held are the values of the nodes at the vertices. An affine layer maps them; an activation cuts at its breaks, and every
value that is still needed is interpolated at the new vertices; a maximum cuts where the next input of a window passes
the largest before it, and faces that end with one piece are merged again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.layers import Activation, AffineLayer, MaxLayer, elementwise
from reludsl.network import INPUT
from reludsl.regions.plane.complex import Complex, merged
from reludsl.regions.plane.cutting import FIRST, Cut, Lines, Rows
from reludsl.regions.units import Part, Plan, Scales, Step, activated, affine


class Engine:
    """Cuts a complex whose `live` holds the coordinates, under "", and the network's input.

    Args:
        tolerance: a value this close to its break, relative to the terms that it is the sum of, is on it.
        weighted: the last coordinate is the weight w of a point (see `reludsl.regions.units`).
    """

    def __init__(self, plan: Plan, tolerance: float, weighted: bool) -> None:
        self.plan, self.tolerance, self.weighted = plan, tolerance, weighted

    def run(self, disk: Complex) -> Complex:
        """The complex on whose faces every unit keeps its piece; its `live` holds the output."""
        network = self.plan.network
        scales = Scales(network, self._weight(disk))
        scales.note(INPUT, None, disk.live[INPUT])
        for step in self.plan.steps:
            disk = self._step(step, disk, scales)
        return disk

    def _step(self, step: Step, disk: Complex, scales: Scales) -> Complex:
        node, layer = step.node, step.node.layer
        scale, given = scales.of(node), self.plan.network.gather(node, disk.live)
        kept = {name: disk.live[name] for name in ("", *step.kept)}
        if isinstance(layer, AffineLayer):
            value = affine(layer, given, self._weight(disk))
        else:
            assert step.part is not None
            if isinstance(layer, MaxLayer):
                disk, kept, value = self._maximum(layer, step.part, disk, kept, given, scale)
            else:
                assert elementwise(layer)
                disk, kept, value = self._activation(layer, step.part, disk, kept, given, scale)
        scales.note(node.name, layer, value, scale)
        disk.live = {**kept, node.name: value}
        return disk

    def _weight(self, disk: Complex) -> FloatArray | None:
        return disk.live[""][:, -1] if self.weighted else None

    def _activation(
        self,
        layer: Activation,
        part: Part,
        disk: Complex,
        kept: dict[str, FloatArray],
        given: FloatArray,
        scale: FloatArray,
    ) -> tuple[Complex, dict[str, FloatArray], FloatArray]:
        breaks = layer.breaks_at(part.size).ravel()
        values, place = stacked([*kept.values(), given])
        column = place[-1].start + np.tile(np.arange(part.size), part.pieces - 1)
        weight = place[0].stop - 1 if self.weighted else None
        for lines in blocks(disk, breaks.size):
            b = breaks[lines]
            Cut(
                disk,
                values,
                AtBreaks(column[lines], b, weight).lines(
                    self.tolerance * (scale[lines % part.size] + np.abs(b)), part.bit + int(lines[0])
                ),
            ).run()
        *held, z = (values.all[:, where] for where in place)
        kept = dict(zip(kept, held))
        return disk, kept, activated(layer, z, kept[""][:, -1] if self.weighted else None)

    def _maximum(
        self,
        layer: MaxLayer,
        part: Part,
        disk: Complex,
        kept: dict[str, FloatArray],
        given: FloatArray,
        scale: FloatArray,
    ) -> tuple[Complex, dict[str, FloatArray], FloatArray]:
        windows = layer.windows
        values, place = stacked([*kept.values(), given, given[:, windows[:, 0]]])
        reach = scale[windows[:, 0]]
        for j in range(1, part.pieces):
            column, best = place[-2].start + windows[:, j], place[-1].start + np.arange(part.size)
            reach = np.maximum(reach, scale[windows[:, j]])
            first = part.bit + (j - 1) * part.size
            for units in blocks(disk, part.size):
                lines = Ahead(column[units], best[units]).lines(self.tolerance * reach[units], first + int(units[0]))
                Cut(disk, values, lines).run()
            overtake(disk, part, j)
            values.all[:, best] = np.maximum(values.all[:, best], values.all[:, column])
        *held, _, value = (values.all[:, where] for where in place)
        disk.live = {**dict(zip(kept, held)), "value": value}
        inner = (disk.right >= 0) & (disk.maker >= part.bit) & (disk.maker < part.bit + part.bits)
        same = (disk.words[disk.left] == disk.words[disk.right]).all(axis=1)
        disk = merged(disk, inner & same)
        return disk, {name: disk.live[name] for name in kept}, disk.live["value"]


def blocks(disk: Complex, count: int) -> Iterator[IntArray]:
    """The numbers of lines that cut together; few of them pass through one face."""
    first = 0
    while first < count:
        size = max(FIRST, int(np.sqrt(2 * disk.faces)))
        yield np.arange(first, min(first + size, count))
        first += size


def stacked(arrays: Iterable[FloatArray]) -> tuple[Rows[np.float64], list[slice]]:
    """Arrays side by side, and where each stands."""
    parts = list(arrays)
    ends = np.cumsum([0, *(a.shape[1] for a in parts)]).tolist()
    return Rows(np.concatenate(parts, axis=1)), [slice(a, b) for a, b in pairwise(ends)]


class AtBreaks:
    """Lines z = b, or z = w b, by the columns of z and w."""

    def __init__(self, column: IntArray, breaks: FloatArray, weight: int | None) -> None:
        self.column, self.breaks, self.weight = column, breaks, weight
        self.run = slice(int(column[0]), int(column[-1]) + 1)
        self.plain = not breaks.any() and self.run.stop - self.run.start == len(column)

    def lines(self, slack: FloatArray, bit: int) -> Lines:
        return Lines(self._height, self._settle, slack, bit)

    def _height(self, rows: FloatArray) -> FloatArray:
        if self.plain:
            return rows[:, self.run]
        w = 1.0 if self.weight is None else rows[:, self.weight, None]
        return rows[:, self.column] - w * self.breaks

    def _settle(self, rows: FloatArray, row: IntArray, line: IntArray) -> None:
        w = 1.0 if self.weight is None else rows[row, self.weight]
        rows[row, self.column[line]] = w * self.breaks[line]


class Ahead:
    """Lines where two values are equal, by their columns."""

    def __init__(self, column: IntArray, best: IntArray) -> None:
        self.column, self.best = column, best

    def lines(self, slack: FloatArray, bit: int) -> Lines:
        return Lines(self._height, self._settle, slack, bit)

    def _height(self, rows: FloatArray) -> FloatArray:
        return np.asarray(rows[:, self.column] - rows[:, self.best])

    def _settle(self, rows: FloatArray, row: IntArray, line: IntArray) -> None:
        rows[row, self.best[line]] = rows[row, self.column[line]]


def overtake(disk: Complex, part: Part, j: int) -> None:
    """Where place j of a window is copied, no place before it is."""
    bits = np.unpackbits(np.ascontiguousarray(disk.words).view(np.uint8), axis=1, bitorder="little")
    own = bits[:, part.bit : part.bit + part.bits].reshape(len(bits), part.pieces - 1, part.size)
    own[:, : j - 1] &= 1 - own[:, j - 1 : j]
    disk.words = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
