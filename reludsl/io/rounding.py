"""The network that a file will hold: every constant rounded to the number format of the file.

    rounded(net, np.float32)    the same layers and names, each weight the nearest float32

A claim about a file is a claim about this network. Weights that are float32 already, as those of a file that
was read, stay what they are, and so does the network object.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.exact import exactly
from reludsl.layers import Affine, Gather, Layer, PiecewiseLinear, Reshape, Scale, Shift, fields_of, made, registered
from reludsl.layers.by_layer import by_layer
from reludsl.network import Network, Node

FORMATS = (np.dtype(np.float32), np.dtype(np.float64))
"""Number formats that can be written."""


def number_format(dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The format as a numpy dtype.

    Raises:
        InvalidInput: it is neither float32 nor float64.
    """
    try:
        chosen = np.dtype(dtype)
    except TypeError:
        chosen = np.dtype(object)
    if chosen not in FORMATS:
        raise InvalidInput(f"{dtype!r} is no number format for weights; give {' or '.join(f.name for f in FORMATS)}")
    return chosen


def rounded(net: Network, dtype: npt.DTypeLike) -> Network:
    """The network with every constant rounded to the nearest number of `dtype`.

    Of a piecewise-linear activation the breaks, the slopes and the value at the first break are rounded.
    Where nothing changes, `net` itself is returned.

    Args:
        dtype: float32 or float64.

    Raises:
        InvalidInput: a constant is too large for the format, or two breaks or a divisor are lost in it.
        UnsupportedOperator: a layer type without a file format.

    >>> from reludsl.layers import Affine
    >>> net = Network.chain([Affine(np.array([[0.1]]), np.zeros(1))], (1,))
    >>> rounded(net, np.float64) is net, rounded(net, np.float32)(np.array([1.0])) == np.float32(0.1)
    (True, array([ True]))
    """
    chosen = number_format(dtype)
    nodes = []
    for node in net.nodes:
        try:
            layer = round_layer(node.layer, chosen)
        except InvalidInput as error:
            raise InvalidInput(f"layer {node.name!r} as {chosen.name}: {error}") from None
        nodes.append(node if layer is node.layer else Node(node.name, layer, *node.sources))
    if all(new is old for new, old in zip(nodes, net.nodes)):
        return net
    return Network(tuple(nodes), net.input_shape, net.output, net.input_box)


def nearest(values: FloatArray, dtype: np.dtype[Any]) -> FloatArray:
    """The nearest numbers of `dtype`, as float64.

    Raises:
        InvalidInput: a number that is too large.
    """
    with np.errstate(over="ignore"):
        result: FloatArray = values.astype(dtype).astype(np.float64)
    if not np.isfinite(result).all():
        largest = float(np.abs(values).max())
        raise InvalidInput(
            f"a constant of magnitude {largest:g} is above the largest {dtype.name}, {np.finfo(dtype).max:g}; "
            "write float64"
        )
    return result


@by_layer
def round_layer(layer: Layer, dtype: np.dtype[Any]) -> Layer:
    """One layer with rounded constants; the layer itself where nothing changes.

    Of a registered layer type every array of floats is rounded. Register a function for one that means it otherwise.
    """
    name = type(layer).__name__
    if registered().get(name) is not type(layer):
        raise UnsupportedOperator(
            f"a layer of kind {layer.kind!r} has no file format; put @reludsl.layers.register above its class, or "
            "register a function: reludsl.io.rounding.round_layer.register"
        )
    plain, arrays = fields_of(layer)
    floats = {key: nearest(a, dtype) for key, a in arrays.items() if a.dtype.kind == "f"}
    if all(np.array_equal(new, arrays[key]) for key, new in floats.items()):
        return layer
    return made(name, {**plain, **arrays, **floats})


@round_layer.register
def _(layer: Affine, dtype: np.dtype[Any]) -> Layer:
    offset = nearest(layer.offset, dtype)
    data = layer.weight.data if isinstance(layer.weight, sparse.csr_array) else layer.weight
    weight = nearest(np.asarray(data), dtype)
    if np.array_equal(offset, layer.offset) and np.array_equal(weight, data):
        return layer
    if isinstance(layer.weight, sparse.csr_array):
        parts = (weight, layer.weight.indices, layer.weight.indptr)
        return Affine(sparse.csr_array(parts, shape=layer.weight.shape), offset)
    return Affine(weight, offset)


@round_layer.register
def _(layer: Shift, dtype: np.dtype[Any]) -> Layer:
    offset = nearest(layer.offset, dtype)
    return layer if np.array_equal(offset, layer.offset) else Shift(offset)


@round_layer.register
def _(layer: Scale, dtype: np.dtype[Any]) -> Layer:
    factor = nearest(layer.factor, dtype)
    return layer if np.array_equal(factor, layer.factor) else Scale(factor, layer.divide)


@round_layer.register
def _(layer: Reshape, dtype: np.dtype[Any]) -> Layer:
    return layer


@round_layer.register
def _(layer: Gather, dtype: np.dtype[Any]) -> Layer:
    fill = float(nearest(np.array(layer.fill), dtype))
    return layer if fill == layer.fill else Gather(layer.index, layer.size, layer.shape, layer.name, fill)


@round_layer.register
def _(layer: PiecewiseLinear, dtype: np.dtype[Any]) -> Layer:
    size = layer.elements or 1
    breaks, slopes = nearest(layer.breaks_at(size), dtype), nearest(layer.slopes_at(size), dtype)
    # files anchor an activation at its first break, or at 0 where it has none
    foot = layer.breaks_at(size)[0] if layer.breaks else np.zeros(size)
    exact_value = layer.exact(exactly(foot))
    value = nearest(exact_value.astype(np.float64), dtype)
    same = np.array_equal(breaks, layer.breaks_at(size)) and np.array_equal(slopes, layer.slopes_at(size))
    if same and (exact_value == exactly(value)).all():
        return layer
    anchor: tuple[Any, Any] = (breaks[0] if layer.breaks else 0.0, value)
    return PiecewiseLinear(layer.name, tuple(breaks), tuple(slopes), anchor)
