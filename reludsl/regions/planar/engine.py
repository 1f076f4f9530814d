"""The walk through a network that cuts a complex, node by node.

Held are the values of the nodes at the vertices. An affine layer maps them; an activation cuts at its breaks, and every
value that is still needed is interpolated at the new vertices; a maximum cuts where the next input of a window passes
the largest before it, and faces that end with one piece are merged again.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.layers import Activation, AffineLayer, MaxLayer, elementwise
from reludsl.network import INPUT
from reludsl.regions.planar.complex import Complex, merged, restricted
from reludsl.regions.planar.cutting import FIRST, Cut, Lines, Rows
from reludsl.regions.units import Part, Plan, Scales, activated, affine
from reludsl.regions.watch import Late, Watch

_GIVEN = " given"
"""Under this name lives what the present node takes."""

SMALLEST = 128
"""Complexes of fewer faces are not divided."""


class Engine:
    """Cuts a complex whose `live` holds the coordinates, under "", and the network's input.

    Args:
        tolerance: a value this close to its break, relative to the terms that it is the sum of, is on it.
        weighted: the last coordinate is the weight w of a point (see `reludsl.regions.units`).
        budget: bytes of values beyond which a complex is divided, and its parts are gone through one after the other.
        watch: looked at before every block of lines; with None nobody waits for what is there by then.
    """

    def __init__(
        self, plan: Plan, tolerance: float, weighted: bool, budget: float = math.inf, watch: Watch | None = None
    ) -> None:
        self.plan, self.tolerance, self.weighted, self.budget = plan, tolerance, weighted, budget
        self.watch = watch
        self.last: tuple[Complex, int] | None = None

    def run(self, disk: Complex) -> Iterator[Complex]:
        """The complex on whose faces every unit keeps its piece, in parts; its `live` holds the output.

        Raises:
            Late: the watch says that it is late, or an interrupt came.
        """
        scales = Scales(self.plan.network, self._weight(disk))
        scales.note(INPUT, None, disk.live[INPUT])
        try:
            yield from self._from(0, 0, disk, scales)
        except KeyboardInterrupt:
            if self.last is None:
                raise
            raise self._late(*self.last, True) from None

    def _look(self, disk: Complex, done: int) -> None:
        """Remember what is cut by `done` bits, say so, and end it when it is late."""
        if self.watch is None:
            return
        kept = copy.copy(disk)
        kept.live = {"": disk.live[""].copy()}
        self.last = kept, done
        self.watch.tell("cells", disk.faces)
        if self.watch.late:
            raise self._late(kept, done, False)

    def _late(self, disk: Complex, done: int, interrupted: bool) -> Late:
        return Late(disk.centres(), done, self.plan.bits, interrupted)

    def _from(self, at: int, line: int, disk: Complex, scales: Scales) -> Iterator[Complex]:
        """Go on with node `at`; with `line` > 0 in the middle of it, where `live` holds what it takes as well."""
        network, steps = self.plan.network, self.plan.steps
        given, kept = np.zeros(0), dict[str, FloatArray]()
        while at < len(steps):
            step = steps[at]
            node, layer, part = step.node, step.node.layer, step.part
            if part is not None and not line:
                self._look(disk, part.bit)
            if not line and self._large(disk, network.size(node.name)):
                break
            scale = scales.of(node)
            given = disk.live[_GIVEN] if line else network.gather(node, disk.live)
            kept = {name: disk.live[name] for name in ("", *step.kept)}
            if isinstance(layer, AffineLayer):
                value = affine(layer, given, self._weight(disk))
            elif isinstance(layer, MaxLayer):
                assert part is not None
                disk, kept, value = self._maximum(layer, part, disk, kept, given, scale)
            else:
                assert part is not None
                assert elementwise(layer)
                line = self._activation(layer, part, line, disk, {**kept, _GIVEN: given}, scale)
                if line:
                    break
                *held, z = disk.live.values()
                kept = dict(zip(kept, held))
                value = activated(layer, z, self._weight(disk))
            scales.note(node.name, layer, value, scale)
            disk.live = {**kept, node.name: value}
            at += 1
        else:
            yield disk
            return
        parts = list(halves(disk))
        # the whole is not needed any more, nor is a half once it is done
        del disk, given, kept
        while parts:
            yield from self._from(at, line, parts.pop(), scales.copy())

    def _large(self, disk: Complex, width: int) -> bool:
        width += sum(value.shape[1] for value in disk.live.values())
        return disk.faces >= SMALLEST and 8 * width * disk.vertices > self.budget

    def _weight(self, disk: Complex) -> FloatArray | None:
        return disk.live[""][:, -1] if self.weighted else None

    def _activation(
        self, layer: Activation, part: Part, line: int, disk: Complex, live: dict[str, FloatArray], scale: FloatArray
    ) -> int:
        """Cut from a line on, until the budget is used up; the line to go on with, 0 at the end."""
        breaks = layer.breaks_at(part.size).ravel()
        values, place = stacked(live.values())
        column = place[-1].start + np.tile(np.arange(part.size), part.pieces - 1)
        weight = place[0].stop - 1 if self.weighted else None
        for lines in blocks(disk, line, breaks.size):
            if lines[0] > line:
                self._look(disk, part.bit + int(lines[0]))
                if self._large(disk, 0):
                    break
            b = breaks[lines]
            slack = self.tolerance * (scale[lines % part.size] + np.abs(b))
            Cut(disk, values, AtBreaks(column[lines], b, weight).lines(slack, part.bit + int(lines[0]))).run()
            disk.live = {name: values.all[:, where] for name, where in zip(live, place)}
        else:
            disk.live = {name: values.all[:, where] for name, where in zip(live, place)}
            return 0
        return int(lines[0])

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
            for units in blocks(disk, 0, part.size):
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


def halves(disk: Complex) -> tuple[Complex, Complex]:
    """The faces on either side of a straight cut, about as many on each."""
    centre = disk.centres()
    wide = int(np.ptp(centre, axis=0)[:2].argmax())
    first = np.zeros(disk.faces, dtype=np.bool_)
    first[np.argsort(centre[:, wide], kind="stable")[: disk.faces // 2]] = True
    return restricted(disk, first), restricted(disk, ~first)


def blocks(disk: Complex, first: int, count: int) -> Iterator[IntArray]:
    """The numbers of lines that cut together; few of them pass through one face."""
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
