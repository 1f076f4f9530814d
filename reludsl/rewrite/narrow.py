"""Layers with fewer outputs, or with fewer inputs: what taking neurons out does to the layers around them.

    without_outputs(layer, keep)     the layer that computes the kept outputs, and what it then needs
    without_inputs(layer, gone)      the layer that does without inputs which are constant
    same_inputs(new, old, ...)       what ties both together, for the proof that compares networks

The first two answer None for a layer that cannot; a selection of elements is put beside it then. Register functions for
a layer type of your own, as `without_inputs.register`; one that is not affine needs the third beside the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.layers import (
    Affine,
    AveragePool,
    BatchNorm,
    Conv,
    Gather,
    Layer,
    MaxLayer,
    MaxPool,
    PiecewiseLinear,
    Reshape,
    Scale,
    Shape,
    Shift,
    Sum,
)
from reludsl.layers.by_layer import by_layer
from reludsl.rewrite.base import positions, rounded, unit_axis, whole_units


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A layer with fewer outputs, and which of its inputs, all sources after one another, it still needs."""

    layer: Layer
    needs: BoolArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Gone:
    """Inputs of a layer that are constant, all sources after one another.

    Args:
        keep: (size_in,) False for the constant ones.
        value: (size_in,) their values; 0 for the others.
        shape: of the input tensor as it was.
        dtype: of the file, to which new weights are rounded.
    """

    keep: BoolArray
    value: FloatArray
    shape: Shape
    dtype: np.dtype[np.floating]

    def channels(self, count: int) -> BoolArray | None:
        """Which of so many channels stay, where whole channels go."""
        return whole_units(self.keep, self.keep.size // count)

    def per_channel(self, count: int) -> FloatArray | None:
        """The value of each of so many channels, where it is the same at all positions."""
        grid = self.value.reshape(count, -1)
        return grid[:, 0] if (grid == grid[:, :1]).all() else None


@dataclass(frozen=True, slots=True, eq=False)
class Absorbed:
    """A layer with fewer inputs; which of its outputs stay, and the values of those that are constant now."""

    layer: Layer
    keep: BoolArray | None = None
    value: FloatArray | None = None


@by_layer
def without_outputs(layer: Layer, keep: BoolArray, shape: Shape) -> Source | None:
    """The layer that computes only the kept outputs.

    Args:
        shape: of its output tensor as it was.
    """
    return None


@without_outputs.register
def _(layer: Affine, keep: BoolArray, shape: Shape) -> Source | None:
    return Source(Affine(layer.weight[keep], layer.offset[keep]))


@without_outputs.register
def _(layer: Conv, keep: BoolArray, shape: Shape) -> Source | None:
    channels = whole_units(keep, keep.size // len(layer.weight))
    return None if channels is None or layer.groups != 1 else Source(layer.narrowed(channels, None))


@without_outputs.register
def _(layer: BatchNorm, keep: BoolArray, shape: Shape) -> Source | None:
    channels = whole_units(keep, layer.positions)
    return None if channels is None else Source(layer.narrowed(channels), keep)


@without_outputs.register
def _(layer: Scale, keep: BoolArray, shape: Shape) -> Source | None:
    return Source(Scale(_some(layer.factor, keep), layer.divide), keep)


@without_outputs.register
def _(layer: Shift, keep: BoolArray, shape: Shape) -> Source | None:
    return Source(Shift(_some(layer.offset, keep)), keep)


@without_outputs.register
def _(layer: Sum, keep: BoolArray, shape: Shape) -> Source | None:
    return Source(layer, np.tile(keep, len(layer.signs)))


@without_outputs.register
def _(layer: Gather, keep: BoolArray, shape: Shape) -> Source | None:
    narrow = smaller_shape(shape, keep)
    return None if narrow is None else Source(replace(layer, index=layer.index[keep], shape=narrow))


@by_layer
def without_inputs(layer: Layer, gone: Gone) -> Absorbed | None:
    """The layer that takes only the inputs which are not constant."""
    return None


@without_inputs.register
def _(layer: Affine, gone: Gone) -> Absorbed | None:
    shift = layer.weight @ gone.value
    offset = rounded(layer.offset + shift, gone.dtype) if shift.any() else layer.offset
    weight = layer.weight
    return Absorbed(Affine(weight[:, gone.keep], offset))


@without_inputs.register
def _(layer: Conv, gone: Gone) -> Absorbed | None:
    count = layer.input_shape[0]
    channels, value = gone.channels(count), gone.per_channel(count)
    if channels is None or layer.groups != 1 or value is None:
        return None
    narrow = layer.narrowed(None, channels)
    if not value.any():
        return Absorbed(narrow)
    if np.any(layer.pads):
        # at the border part of the constant is padding
        return None
    shift = layer.weight.reshape(*layer.weight.shape[:2], -1).sum(axis=2) @ value
    return Absorbed(replace(narrow, offset=rounded(layer.offset + shift, gone.dtype)))


@without_inputs.register
def _(layer: Reshape, gone: Gone) -> Absorbed | None:
    after = layer.output_shape(gone.shape)
    narrow = smaller_shape(after, gone.keep)
    return None if narrow is None else Absorbed(Reshape(narrow), gone.keep, gone.value)


@without_inputs.register
def _(layer: AveragePool, gone: Gone) -> Absorbed | None:
    return _pooled(layer, gone)


@without_inputs.register
def _(layer: MaxPool, gone: Gone) -> Absorbed | None:
    return _pooled(layer, gone)


def _pooled(layer: AveragePool | MaxPool, gone: Gone) -> Absorbed | None:
    channels = gone.channels(layer.channels)
    if channels is None:
        return None
    value = layer(gone.value[None, :])[0]
    keep = np.repeat(channels, value.size // channels.size)
    return Absorbed(layer.narrowed(channels), keep, np.where(keep, 0.0, value))


@without_inputs.register
def _(layer: BatchNorm, gone: Gone) -> Absorbed | None:
    channels = whole_units(gone.keep, layer.positions)
    return None if channels is None else _elementwise(layer, layer.narrowed(channels), gone)


@without_inputs.register
def _(layer: Scale, gone: Gone) -> Absorbed | None:
    return _elementwise(layer, Scale(_some(layer.factor, gone.keep), layer.divide), gone)


@without_inputs.register
def _(layer: Shift, gone: Gone) -> Absorbed | None:
    return _elementwise(layer, Shift(_some(layer.offset, gone.keep)), gone)


@without_inputs.register
def _(layer: PiecewiseLinear, gone: Gone) -> Absorbed | None:
    return _elementwise(layer, layer.take(np.flatnonzero(gone.keep)), gone)


def _elementwise(layer: Layer, narrow: Layer, gone: Gone) -> Absorbed:
    return Absorbed(narrow, gone.keep, np.where(gone.keep, 0.0, layer(gone.value[None, :])[0]))


@without_inputs.register
def _(layer: Gather, gone: Gone) -> Absorbed | None:
    taken = np.maximum(layer.index, 0)
    keep = (layer.index < 0) | gone.keep[taken]
    narrow = smaller_shape(layer.shape, keep)
    if narrow is None:
        return None
    place = np.cumsum(gone.keep) - 1
    index = np.where(layer.index < 0, -1, place[taken])[keep]
    smaller = Gather(index, int(gone.keep.sum()), narrow, layer.name, layer.fill)
    return Absorbed(smaller, keep, np.where(keep, 0.0, gone.value[taken]))


@by_layer
def same_inputs(new: Layer, old: Layer, index: IntArray, taken: int) -> IntArray | None:
    """Which input of an old layer each input of the new one stands for, -1 for those that do not count.

    Where its inputs are those of the old layer, output k of the new one must be output index_k of the old one. None
    where that cannot be told: so for all layers that are not the very same, unless their type says more.

    Args:
        taken: number of inputs of the new layer.
    """
    whole = new is old and np.array_equal(index, np.arange(index.size))
    return np.arange(taken) if whole else None


@same_inputs.register
def _(new: MaxLayer, old: Layer, index: IntArray, taken: int) -> IntArray | None:
    if not isinstance(old, MaxLayer) or (index < 0).any():
        return None
    mine, theirs = new.windows, old.windows[index]
    if mine.shape != theirs.shape:
        return None
    inputs = np.full(taken, -1)
    inputs[mine.ravel()] = theirs.ravel()
    return inputs if np.array_equal(inputs[mine], theirs) else None


@by_layer
def unused_inputs(layer: Layer, size: int, shape: Shape) -> BoolArray:
    """(size,) inputs, all sources after one another, that no output depends on."""
    return np.zeros(size, dtype=np.bool_)


@unused_inputs.register
def _(layer: Affine, size: int, shape: Shape) -> BoolArray:
    if sparse.issparse(layer.weight):
        return np.asarray(abs(layer.weight).sum(axis=0) == 0, dtype=np.bool_)
    return ~np.asarray(layer.dense.any(axis=0))


@unused_inputs.register
def _(layer: Conv, size: int, shape: Shape) -> BoolArray:
    if layer.groups != 1:
        return np.zeros(size, dtype=np.bool_)
    silent = ~layer.weight.reshape(*layer.weight.shape[:2], -1).any(axis=(0, 2))
    return np.repeat(silent, size // silent.size)


@unused_inputs.register
def _(layer: Gather, size: int, shape: Shape) -> BoolArray:
    unused = np.ones(size, dtype=np.bool_)
    unused[layer.index[layer.index >= 0]] = False
    return unused


def _some(values: FloatArray, keep: BoolArray) -> FloatArray:
    return values if values.size == 1 else values[keep]


def smaller_shape(shape: Shape, keep: BoolArray) -> Shape | None:
    """The shape of the elements kept, where it is one: of a vector, or where whole channels stay.

    >>> smaller_shape((1, 4), np.array([True, False, True, True]))
    (1, 3)
    >>> smaller_shape((1, 2, 2), np.array([True, False, True, True])) is None
    True
    """
    if keep.all():
        return shape
    units, axis = whole_units(keep, positions(shape)), unit_axis(shape)
    if units is None or math.prod(shape[:axis]) != 1:
        return None
    return (*shape[:axis], int(units.sum()), *shape[axis + 1 :])
