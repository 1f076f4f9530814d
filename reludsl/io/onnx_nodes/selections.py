"""Layers that move elements, and maxima of them, as ONNX nodes.

Where ONNX has a word for a selection it is that word: Concat, Transpose, Pad, Slice, Expand, a Gather along one
axis. The index says which it is; all else is a Gather of the flat tensor.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from reludsl.backend import IntArray
from reludsl.io.onnx_nodes.base import Place, Writing, write_layer
from reludsl.layers import Gather, Max, Reshape, Shape

_FAR = 2**62
"""Beyond the start of any axis."""


@write_layer.register
def _(layer: Reshape, writing: Writing, place: Place) -> None:
    before, after = writing.shapes[place.source], writing.shapes[place.name]
    if len(after) == 2 and after[0] == 1 and before[:1] == (1,):
        writing.node("Flatten", place, writing.source(place), axis=1)
        return
    writing.node("Reshape", place, writing.source(place), writing.target(place, after))


@write_layer.register
def _(layer: Gather, writing: Writing, place: Place) -> None:
    shape = writing.shapes[place.name]
    index = layer.index.reshape(shape)
    if _concat(index, writing, place):
        return
    if len(place.sources) == 1:
        before = writing.shapes[place.source]
        numbers = np.arange(math.prod(before)).reshape(before)
        if any(form(index, numbers, layer.fill, writing, place) for form in (_move, _pad, _slice, _pick, _expand)):
            return
    tensor, size = writing.flat(place)
    if (layer.index < 0).any():
        pads = writing.constant(f"{place.name}.pads", [0, 0, 0, 1], np.int64)
        fill = writing.constant(f"{place.name}.fill", layer.fill)
        tensor = writing.step("Pad", place, "filled", tensor, pads, fill)
    flat = np.where(layer.index < 0, size, layer.index)
    tensor = writing.step(
        "Gather", place, "taken", tensor, writing.constant(f"{place.name}.index", flat, np.int64), axis=1
    )
    writing.finish(place, tensor, (1, flat.size))


def _concat(index: IntArray, writing: Writing, place: Place) -> bool:
    shapes = [writing.shapes[source] for source in place.sources]
    ends = np.cumsum([0, *map(math.prod, shapes)])
    if len(shapes) < 2:
        return False
    for axis in range(int(writing.free), index.ndim):
        others = {(*s[:axis], *s[axis + 1 :]) for s in shapes if len(s) == index.ndim}
        if others != {(*index.shape[:axis], *index.shape[axis + 1 :])} or {len(s) for s in shapes} != {index.ndim}:
            continue
        parts = [np.arange(a, b).reshape(s) for a, b, s in zip(ends, ends[1:], shapes)]
        if _same(np.concatenate(parts, axis=axis), index):
            writing.node("Concat", place, *writing.sources(place), axis=axis)
            return True
    return False


def _same(candidate: IntArray, index: IntArray) -> bool:
    return candidate.shape == index.shape and np.array_equal(candidate, index)


def _move(index: IntArray, numbers: IntArray, fill: float, writing: Writing, place: Place) -> bool:
    """Transpose."""
    for order in _orders(numbers.shape, index.shape, writing.free):
        if _same(numbers.transpose(order), index):
            writing.node("Transpose", place, writing.source(place), perm=order)
            return True
    return False


def _orders(before: Shape, after: Shape, free: bool) -> Iterator[tuple[int, ...]]:
    if sorted(before) == sorted(after) and len(before) < 7:
        for order in itertools.permutations(range(len(before))):
            if tuple(before[k] for k in order) == after and not (free and order[0]):
                yield order


def _pad(index: IntArray, numbers: IntArray, fill: float, writing: Writing, place: Place) -> bool:
    if index.ndim != numbers.ndim or (index >= 0).all() or (index < 0).all():
        return False
    first = [int(k) for k in np.argwhere(index >= 0)[0]]
    room = [after - before for before, after in zip(numbers.shape, index.shape)]
    if any(not 0 <= start <= most for start, most in zip(first, room)):
        return False
    widths = [(start, most - start) for start, most in zip(first, room)]
    if not _same(np.pad(numbers, widths, constant_values=-1), index):
        return False
    pads = writing.constant(f"{place.name}.pads", np.transpose(widths).ravel(), np.int64)
    writing.node("Pad", place, writing.source(place), pads, writing.constant(f"{place.name}.fill", fill))
    return True


def _slice(index: IntArray, numbers: IntArray, fill: float, writing: Writing, place: Place) -> bool:
    if index.ndim != numbers.ndim or not index.ndim or (index < 0).any():
        return False
    starts = np.unravel_index(int(index.flat[0]), numbers.shape)
    cuts, bounds = [], []
    for axis, (start, count, size) in enumerate(zip(map(int, starts), index.shape, numbers.shape)):
        step = 1
        if count > 1:
            second = int(index.take(1, axis).flat[0])
            step = int(np.unravel_index(second, numbers.shape)[axis]) - start
        last = start + step * (count - 1)
        if not step or not 0 <= last < size:
            return False
        cuts.append(start + step * np.arange(count))
        bounds.append((start, last + 1 if step > 0 else (last - 1 if last else -_FAR), axis, step))
    if not _same(numbers[np.ix_(*cuts)], index):
        return False
    kept = [bound for bound, n, size in zip(bounds, index.shape, numbers.shape) if n != size or bound[3] != 1]
    columns = zip(("starts", "ends", "axes", "steps"), zip(*(kept or bounds[-1:])))
    names = [writing.constant(f"{place.name}.{key}", column, np.int64) for key, column in columns]
    writing.node("Slice", place, writing.source(place), *names)
    return True


def _pick(index: IntArray, numbers: IntArray, fill: float, writing: Writing, place: Place) -> bool:
    """A Gather along one axis."""
    if index.ndim != numbers.ndim or (index < 0).any():
        return False
    for axis in range(int(writing.free), index.ndim):
        stride = math.prod(numbers.shape[axis + 1 :])
        line = np.moveaxis(index, axis, 0).reshape(index.shape[axis], -1)[:, 0]
        picked = line // stride % numbers.shape[axis]
        if _same(numbers.take(picked, axis), index):
            where = writing.constant(f"{place.name}.index", picked, np.int64)
            writing.node("Gather", place, writing.source(place), where, axis=axis)
            return True
    return False


def _expand(index: IntArray, numbers: IntArray, fill: float, writing: Writing, place: Place) -> bool:
    # a free batch axis is known by its place: it must stay the first
    if (writing.free and index.ndim != numbers.ndim) or index.ndim < numbers.ndim:
        return False
    pairs = zip(numbers.shape[::-1], index.shape[::-1])
    if any(n not in (1, m) for n, m in pairs) or not _same(np.broadcast_to(numbers, index.shape), index):
        return False
    shape = writing.constant(f"{place.name}.shape", index.shape, np.int64)
    writing.node("Expand", place, writing.source(place), shape)
    return True


@write_layer.register
def _(layer: Max, writing: Writing, place: Place) -> None:
    shape = writing.shapes[place.name]
    count, size = len(place.sources), math.prod(shape)
    alike = all(writing.shapes[source] == shape for source in place.sources)
    if count > 1 and alike and _same(np.arange(count * size).reshape(count, size).T, layer.index):
        writing.node("Max", place, *writing.sources(place))
        return
    tensor, _ = writing.flat(place)
    index = writing.constant(f"{place.name}.index", layer.index, np.int64)
    windows = writing.step("Gather", place, "windows", tensor, index, axis=1)
    value = writing.step("ReduceMax", place, "largest", windows, axes=[2], keepdims=0)
    writing.finish(place, value, (1, size))
