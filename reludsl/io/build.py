"""A network built step by step, as readers do: tensor shapes are followed, names made unique, faults named.

build = Building((1, 784))
y = build.product("fc", INPUT, weight, side=Side.RIGHT)      # x @ weight
y = build.shift("bias", y, constant)                         # x + constant, broadcast as numpy does
net = build.network(y)
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence

import numpy as np

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput, ReludslError
from reludsl.layers import Affine, Layer, Reshape, Scale, Shape, Shift
from reludsl.network import INPUT, Network, Node


class Side(enum.Enum):
    """Where the constant of a matrix product stands."""

    LEFT = "left"
    RIGHT = "right"


class Building:
    """Layers so far, by name, with the shape of each value.

    Every method takes the name wanted for the layer and the name of the value it applies to, and returns the
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
        # affine layers that a bias may still join: a matrix product followed by an addition is one layer
        self._bare: set[str] = set()

    def _unique(self, name: str) -> str:
        wanted = name or "layer"
        chosen, count = wanted, 1
        while chosen in self.shapes:
            count += 1
            chosen = f"{wanted}_{count}"
        return chosen

    def layer(self, name: str, layer: Layer, source: str) -> str:
        """Append a layer."""
        try:
            shape = layer.output_shape(self.shapes[source])
        except InvalidInput as error:
            raise InvalidInput(f"layer {name!r}: {error}") from None
        chosen = self._unique(name)
        self._nodes[chosen] = Node(chosen, layer, source)
        self.shapes[chosen] = shape
        return chosen

    def reshape(self, name: str, source: str, shape: Sequence[int]) -> str:
        """The same numbers with another shape; no layer where the shape stays."""
        wanted = tuple(int(k) for k in shape)
        return source if wanted == self.shapes[source] else self.layer(name, Reshape(wanted), source)

    def _spread(self, name: str, source: str, constant: FloatArray) -> tuple[FloatArray, Shape]:
        """The constant as one number or one per element, and the shape of the result."""
        shape = self.shapes[source]
        try:
            result = np.broadcast_shapes(shape, constant.shape)
        except ValueError:
            result = ()
        if math.prod(result) != math.prod(shape) or len(result) < len(shape):
            raise InvalidInput(
                f"layer {name!r} combines a tensor of shape {shape} with a constant of shape {constant.shape}; "
                "a layer keeps the number of elements: give one number, or one per element"
            )
        flat = constant.ravel() if constant.size == 1 else np.broadcast_to(constant, result).ravel()
        return flat.astype(np.float64), tuple(result)

    def shift(self, name: str, source: str, constant: FloatArray, joins: bool = False) -> str:
        """x + constant.

        Args:
            joins: nothing else uses the source, so that a bias may become part of the affine layer before it.
        """
        flat, result = self._spread(name, source, constant)
        bare = source in self._bare
        if joins and bare and result == self.shapes[source]:
            node = self._nodes[source]
            assert isinstance(node.layer, Affine)
            whole = np.broadcast_to(flat, node.layer.offset.shape)
            self._nodes[source] = Node(source, _made(name, Affine, node.layer.weight, whole), node.source)
            self._bare.discard(source)
            return source
        value = self.layer(name, _made(name, Shift, flat), source)
        return self.reshape(f"{name}.shape", value, result)

    def scale(self, name: str, source: str, constant: FloatArray, divide: bool = False) -> str:
        """x * constant, or x / constant."""
        flat, result = self._spread(name, source, constant)
        value = self.layer(name, _made(name, Scale, flat, divide), source)
        return self.reshape(f"{name}.shape", value, result)

    def negative(self, name: str, source: str) -> str:
        """-x."""
        return self.layer(name, Scale(np.array([-1.0])), source)

    def product(
        self,
        name: str,
        source: str,
        matrix: FloatArray,
        side: Side,
        bias: FloatArray | None = None,
    ) -> str:
        """x @ matrix, or matrix @ x, plus a bias: the rule of numpy.matmul, for an x that is one vector."""
        shape = self.shapes[source]
        try:
            result = _product_shape(*((shape, matrix.shape) if side is Side.RIGHT else (matrix.shape, shape)))
            # a vector, whatever axes of size 1 stand around it
            inner = matrix.shape[-2 if matrix.ndim > 1 else 0] if side is Side.RIGHT else matrix.shape[-1]
            fits = math.prod(shape) == inner and matrix.size == inner * math.prod(result)
        except ValueError:
            fits, result, inner = False, (), 0
        if not fits:
            where = "right" if side is Side.RIGHT else "left"
            raise InvalidInput(
                f"layer {name!r} multiplies a tensor of shape {shape} by a matrix of shape {matrix.shape} "
                f"on its {where}; an affine layer takes one vector: flatten the tensor first, or check the weights"
            )
        flat = matrix.astype(np.float64)
        flat = flat.reshape(inner, -1).T if side is Side.RIGHT else flat.reshape(-1, inner)
        offset = np.zeros(flat.shape[0])
        if bias is not None:
            try:
                offset = np.broadcast_to(bias, result).astype(np.float64).ravel()
            except ValueError:
                raise InvalidInput(
                    f"layer {name!r} adds a bias of shape {bias.shape} to a tensor of shape {result}; "
                    "give one number per output"
                ) from None
        layer = _made(name, Affine, np.ascontiguousarray(flat), offset)
        row = source if shape[-1:] == (inner,) else self.reshape(f"{name}.in", source, (1, inner))
        value = self.layer(name, layer, row)
        if bias is None:
            self._bare.add(value)
        return self.reshape(f"{name}.out", value, result)

    def network(self, output: str, input_box: Box | None = None) -> Network:
        """The network whose output is the given value."""
        if output == INPUT:
            raise InvalidInput("the output is the input itself; a network needs at least one layer in between")
        return Network(tuple(self._nodes.values()), self.input_shape, output, input_box)


def _product_shape(left: Shape, right: Shape) -> Shape:
    """Shape of left @ right by the rule of numpy.matmul; ValueError where there is none."""
    if not left or not right:
        raise ValueError("a product of a scalar")
    rows, columns = (1, *left)[-2:], (*right, 1)[-2:] if len(right) == 1 else right[-2:]
    if rows[1] != columns[0]:
        raise ValueError("inner sizes differ")
    outer = np.broadcast_shapes(left[:-2], right[:-2])
    return (*outer, *(rows[:1] if len(left) > 1 else ()), *(columns[1:] if len(right) > 1 else ()))


def _made(name: str, kind: type[Affine] | type[Shift] | type[Scale], *values: object) -> Layer:
    """A layer, with its name in the message where a value is refused."""
    try:
        return kind(*values)  # type: ignore[arg-type]
    except ReludslError as error:
        raise InvalidInput(f"layer {name!r}: {error}") from None
