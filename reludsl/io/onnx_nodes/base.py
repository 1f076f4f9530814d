"""Nodes and constants of a graph that is being written, and the layers that are written by their fields."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.io.onnx_operators import OWN_DOMAIN
from reludsl.io.onnx_reader import ARRAYS, JSON
from reludsl.layers import Gather, Layer, Max, Shape, Sum, fields_of, registered
from reludsl.layers.by_layer import by_layer


@dataclass(frozen=True)
class Place:
    """Which layer is written: its name and its sources, all names in the network."""

    name: str
    sources: tuple[str, ...]

    @property
    def source(self) -> str:
        """The only source; several are joined before a layer is written that takes one tensor."""
        (only,) = self.sources
        return only


@dataclass
class Writing:
    """Nodes and constants so far.

    Args:
        dtype: number format.
        shapes: of every value; the first axis is that of the batch where that is free.
        free: whether it is.
    """

    dtype: np.dtype[Any]
    shapes: dict[str, Shape]
    free: bool
    tensors: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    nodes: list[Any] = field(default_factory=list)
    initialisers: list[Any] = field(default_factory=list)
    sets: dict[str, int] = field(default_factory=dict)

    def name(self, wanted: str) -> str:
        """A tensor name that is not taken."""
        chosen, count = wanted, 1
        while chosen in self.names:
            count += 1
            chosen = f"{wanted}_{count}"
        self.names.add(chosen)
        return chosen

    def constant(self, wanted: str, values: Any, dtype: npt.DTypeLike | None = None) -> str:
        from onnx import numpy_helper

        name = self.name(wanted)
        array = np.ascontiguousarray(values).reshape(np.shape(values)).astype(dtype or self.dtype)
        self.initialisers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, place: Place, *inputs: str, **attributes: Any) -> None:
        """The node that computes the layer's value."""
        from onnx import helper

        names = (inputs, [self.tensors[place.name]])
        self.nodes.append(helper.make_node(operator, *names, name=place.name, **attributes))

    def step(self, operator: str, place: Place, suffix: str, *inputs: str, **attributes: Any) -> str:
        """A node on the way to the layer's value; its output tensor."""
        from onnx import helper

        out = self.name(f"{place.name}.{suffix}")
        self.nodes.append(helper.make_node(operator, inputs, [out], name=out, **attributes))
        return out

    def source(self, place: Place) -> str:
        return self.tensors[place.source]

    def sources(self, place: Place) -> list[str]:
        return [self.tensors[source] for source in place.sources]

    def spread(self, place: Place, values: FloatArray) -> FloatArray:
        """A constant in the shape of the layer's tensor, or one number."""
        return values.reshape(()) if values.size == 1 else values.reshape(self.shapes[place.name])

    def narrow(self, place: Place, values: FloatArray) -> FloatArray:
        """A constant in the shape of the layer's tensor, with size 1 along every axis where nothing changes."""
        array = self.spread(place, values)
        for axis in range(array.ndim):
            first = array.take([0], axis)
            array = first if (array == first).all() else array
        return array

    def target(self, place: Place, shape: Shape) -> str:
        """The constant of a Reshape to a shape that is that of a value."""
        return self.constant(f"{place.name}.shape", [0, *shape[1:]] if self.free else shape, np.int64)

    def finish(self, place: Place, tensor: str, shape: Shape) -> None:
        """The layer's value from a tensor of the same elements and this shape."""
        if shape == self.shapes[place.name]:
            # the node that made it is the layer's
            self.nodes[-1].output[0], self.nodes[-1].name = self.tensors[place.name], place.name
        else:
            self.node("Reshape", place, tensor, self.target(place, self.shapes[place.name]))

    def flat(self, place: Place) -> tuple[str, int]:
        """All sources as one tensor (batch, elements), and the number of elements."""
        parts, size = [], 0
        for source in place.sources:
            shape, tensor = self.shapes[source], self.tensors[source]
            if len(shape) != 2 or shape[0] != 1:
                tensor = self.step("Flatten", place, "flat", tensor, axis=1 if self.free else 0)
            parts.append(tensor)
            size += int(np.prod(shape))
        return parts[0] if len(parts) == 1 else self.step("Concat", place, "joined", *parts, axis=1), size

    def single(self, place: Place, joined: Shape) -> Place:
        """The same place with one source, in which the sources stand one after the other.

        Args:
            joined: the shape that the network gives it.
        """
        whole = (1, *joined) if self.free else joined
        tensor = self.step("Reshape", place, "source", self.flat(place)[0], self.target(place, whole))
        self.tensors[tensor], self.shapes[tensor] = tensor, whole
        return Place(place.name, (tensor,))


def takes_several(layer: Layer) -> bool:
    """Whether a layer's nodes take several tensors as they are."""
    own = write_layer.dispatch(type(layer)) is not write_layer.dispatch(object)
    return type(layer) in (Sum, Gather, Max) or not own


@by_layer
def write_layer(layer: Layer, writing: Writing, place: Place) -> None:
    """The nodes of one layer. Register a function for a new layer type.

    Without one, a registered layer type is a node that holds the fields: plain ones as attributes, arrays as the last
    inputs. What an attribute does not hold as it is, a float64 or a tuple of tuples, is kept as JSON.
    """
    name = type(layer).__name__
    if registered().get(name) is not type(layer):
        raise UnsupportedOperator(
            f"layer {place.name!r} of kind {layer.kind!r} has no ONNX form; put @reludsl.layers.register above its "
            "class, or register a function: reludsl.io.onnx.write_layer.register"
        )
    try:
        plain, arrays = fields_of(layer)
    except InvalidInput as error:
        raise UnsupportedOperator(f"layer {place.name!r} has no ONNX form: {error}") from None
    attributes: dict[str, Any] = {ARRAYS: list(arrays)} if arrays else {}
    for key, value in plain.items():
        held, as_is = _attribute(value)
        attributes[key if as_is else f"{key}{JSON}"] = held
    inputs = [
        writing.constant(f"{place.name}.{key}", array, writing.dtype if array.dtype.kind == "f" else array.dtype)
        for key, array in arrays.items()
    ]
    writing.sets[OWN_DOMAIN] = 1
    writing.node(name, place, *writing.sources(place), *inputs, domain=OWN_DOMAIN, **attributes)


def _attribute(value: Any) -> tuple[Any, bool]:
    """A field as an attribute, and whether that is the field itself."""
    if isinstance(value, str) or (type(value) is int and abs(value) < 2**63):
        return value, True
    # attributes hold float32
    if isinstance(value, float) and float(np.float32(value)) == value:
        return value, True
    if isinstance(value, tuple) and value and all(type(v) is int and abs(v) < 2**63 for v in value):
        return list(value), True
    return json.dumps(value), False
