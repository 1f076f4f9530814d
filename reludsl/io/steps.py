"""The value of every step of a network by name, its shape followed; layers that move elements about.

    steps = Steps((1, 3, 8, 8))
    y = steps.layer("relu1", relu, INPUT)
    z = steps.take("crop", y, steps.numbers(y)[:, :, 1:-1, 1:-1])

A selection is written as numpy would apply it to the elements' numbers (`Steps.numbers`): slices, transposes, padding
and broadcasting are all one kind of layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput, ReludslError
from reludsl.layers import Gather, Layer, Reshape, Shape, Shift
from reludsl.network import INPUT, Node, joined_shape

Mode = Literal["constant", "edge", "reflect", "wrap"]
"""How a tensor goes on beyond its ends, by the names of `numpy.pad`."""


class Steps:
    """Layers so far, by name, with the shape of each value.

    Every method takes the name wanted for the layer and the names of the values it applies to, and returns the
    name of the new value.

    Args:
        input_shape: shape of the input tensor, the batch axis (of size 1) included.

    Raises:
        InvalidInput: from every method, naming the layer: shapes that do not fit, weights not finite.
    """

    def __init__(self, input_shape: Sequence[int]) -> None:
        self.input_shape: Shape = tuple(int(k) for k in input_shape)
        self.shapes: dict[str, Shape] = {INPUT: self.input_shape}
        self._nodes: dict[str, Node] = {}

    def _unique(self, name: str) -> str:
        wanted = name or "layer"
        chosen, count = wanted, 1
        while chosen in self.shapes:
            count += 1
            chosen = f"{wanted}_{count}"
        return chosen

    def layer(self, name: str, layer: Layer, *sources: str) -> str:
        """Append a layer."""
        try:
            shape = layer.output_shape(joined_shape([self.shapes[source] for source in sources]))
        except InvalidInput as error:
            raise InvalidInput(f"layer {name!r}: {error}") from None
        chosen = self._unique(name)
        self._nodes[chosen] = Node(chosen, layer, *sources)
        self.shapes[chosen] = shape
        return chosen

    def reshape(self, name: str, source: str, shape: Sequence[int]) -> str:
        """The same numbers with another shape; no layer where the shape stays."""
        wanted = tuple(int(k) for k in shape)
        return source if wanted == self.shapes[source] else self.layer(name, Reshape(wanted), source)

    # --- selections -------------------------------------------------------------------------------------------

    def numbers(self, source: str) -> IntArray:
        """The number of each element, in the tensor's shape: what to cut, turn and repeat for `take`.

        >>> Steps((2, 2)).numbers(INPUT).T.tolist()
        [[0, 2], [1, 3]]
        """
        shape = self.shapes[source]
        return np.arange(math.prod(shape)).reshape(shape)

    def take(self, name: str, source: str, index: IntArray, kind: str = "gather", fill: float = 0.0) -> str:
        """The elements of these numbers, `fill` where a number is -1, in the shape of `index`."""
        flat = index.ravel()
        if not flat.size:
            raise InvalidInput(
                f"layer {name!r} takes no element of a tensor of shape {self.shapes[source]}, and a tensor without "
                "elements has no value; check where the selection starts and ends"
            )
        if np.array_equal(flat, np.arange(math.prod(self.shapes[source]))):
            return self.reshape(name, source, index.shape)
        return self.layer(
            name, made(name, Gather, flat, math.prod(self.shapes[source]), index.shape, kind, fill), source
        )

    def transpose(self, name: str, source: str, order: Sequence[int]) -> str:
        """The axes in another order."""
        return self.take(name, source, self.numbers(source).transpose(tuple(order)), "transpose")

    def expand(self, name: str, source: str, shape: Sequence[int]) -> str:
        """Broadcast to a shape by the rule of numpy."""
        wanted = tuple(int(k) for k in shape)
        try:
            index = np.broadcast_to(self.numbers(source), wanted)
        except ValueError:
            raise InvalidInput(
                f"layer {name!r} broadcasts a tensor of shape {self.shapes[source]} to {wanted}, and only axes of "
                "size 1 can be repeated; check both shapes"
            ) from None
        return self.take(name, source, index, "expand")

    def pad(
        self, name: str, source: str, widths: Sequence[tuple[int, int]], mode: Mode = "constant", fill: float = 0.0
    ) -> str:
        """(before, after) elements more along each axis; fewer where a number is negative.

        Args:
            mode: of `numpy.pad`: "constant", "edge", "reflect" or "wrap".
        """
        index = self.numbers(source)
        cuts = tuple(slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(index.shape, widths))
        grown = [(max(0, a), max(0, b)) for a, b in widths]
        if mode == "constant":
            index = np.pad(index[cuts], grown, mode="constant", constant_values=-1)
        else:
            index = np.pad(index[cuts], grown, mode=mode)
        return self.take(name, source, index, "pad" if any(map(any, grown)) else "slice", fill)

    def join(self, name: str, parts: Sequence[str | FloatArray], axis: int, kind: str = "concat") -> str:
        """Values and constants one after the other along an axis."""
        sources = [part for part in parts if isinstance(part, str)]
        constants = [np.asarray(part, dtype=np.float64) for part in parts if not isinstance(part, str)]
        pieces: list[IntArray] = []
        given: list[FloatArray] = []
        start = 0
        for part in parts:
            if isinstance(part, str):
                pieces.append(self.numbers(part) + start)
                given.append(np.zeros(self.shapes[part]))
                start += pieces[-1].size
            else:
                pieces.append(np.full(np.shape(part), -1))
                given.append(np.asarray(part, dtype=np.float64))
        try:
            index = np.concatenate(pieces, axis=axis)
        except ValueError:
            shapes = ", ".join(str(piece.shape) for piece in pieces)
            raise InvalidInput(
                f"layer {name!r} joins tensors of shapes {shapes} along axis {axis}, and they may differ there alone; "
                "reshape them first"
            ) from None
        if len(sources) == 1 and not constants:
            return sources[0]
        fills = np.unique(np.concatenate([c.ravel() for c in constants])) if constants else np.zeros(1)
        fill = float(fills[0]) if fills.size == 1 else 0.0
        value = self.layer(name, made(name, Gather, index.ravel(), start, index.shape, kind, fill), *sources)
        if fills.size < 2:
            return value
        # several constants are added where the selection left zeros
        return self.layer(f"{name}.constant", made(name, Shift, np.concatenate(given, axis=axis).ravel()), value)


def made(name: str, kind: Callable[..., Layer], *values: object) -> Layer:
    """A layer, with its name in the message where a value is refused."""
    try:
        return kind(*values)
    except ReludslError as error:
        raise InvalidInput(f"layer {name!r}: {error}") from None
