"""The units of a network in the order of its layers, and how values at points pass through it.

A unit is one element of an activation or one maximum, and its *piece* is the affine function that it is on: the
interval between two breaks, or the place in its window. A point may stand at infinity: with homogeneous coordinates
(x, w) an affine layer maps x to W x + w b, an activation has its breaks at w b, and w = 0 is the direction x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.layers import Activation, AffineLayer, Layer, MaxLayer, elementwise
from reludsl.network import INPUT, Network, Node

Words = npt.NDArray[np.uint64]
"""Packed patterns."""

TOLERANCE = 1e-12
"""A value this close to its break, relative to the terms that it is the sum of, is on it."""


def check_tolerance(tolerance: float) -> None:
    """Refuse what is no distance from a break.

    Raises:
        InvalidInput: it is negative, or no number.
    """
    if not 0 <= tolerance < 1:
        raise InvalidInput(
            f"the tolerance is {tolerance}, and values would be on their breaks everywhere or nowhere; give a small "
            f"number, 0 or more, e.g. {TOLERANCE:g}"
        )


LARGEST = 2.0**1020
"""The scale of values of which differences, and differences of these, do not overflow float64."""


@dataclass(frozen=True, slots=True)
class Part:
    """The units of one node.

    Args:
        number: of the node among those that have units.
        first: number of units before it.
        bit: number of bits before it. Unit i has pieces - 1 bits, at `bit + k * size + i`: of an activation bit k says
            that break k is passed, of a maximum that place k + 1 of the window is copied.
    """

    number: int
    name: str
    size: int
    pieces: int
    first: int
    bit: int
    maximum: bool

    @property
    def bits(self) -> int:
        return (self.pieces - 1) * self.size

    def pieces_of(self, bits: BoolArray) -> IntArray:
        """Piece of every unit from all bits of a pattern: (m, bits of all) -> (m, size)."""
        own = bits[:, self.bit : self.bit + self.bits].reshape(len(bits), self.pieces - 1, self.size)
        weight = np.arange(1, self.pieces) if self.maximum else np.ones(self.pieces - 1, dtype=np.int64)
        return np.asarray(np.einsum("k,mki->mi", weight, own, dtype=np.int64))

    def bits_of(self, pieces: IntArray) -> BoolArray:
        """The bits of the pieces of these units: (m, size) -> (m, bits)."""
        k = np.arange(self.pieces - 1)[:, None]
        own = pieces[:, None, :]
        return np.asarray(own == k + 1 if self.maximum else own > k).reshape(len(pieces), self.bits)


@dataclass(frozen=True, slots=True)
class Step:
    """A node, the values that later nodes still take (its own aside), and its units."""

    node: Node
    kept: tuple[str, ...]
    part: Part | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes that the output depends on, in order."""

    network: Network
    steps: tuple[Step, ...]
    parts: tuple[Part, ...]

    @property
    def units(self) -> int:
        return self.parts[-1].first + self.parts[-1].size if self.parts else 0

    @property
    def bits(self) -> int:
        return self.parts[-1].bit + self.parts[-1].bits if self.parts else 0

    @property
    def stops(self) -> tuple[str, ...]:
        """Where lengths of curves are taken: the input, every node with units, and the output where that is none."""
        named = (INPUT, *(part.name for part in self.parts))
        return named if self.network.output in named else (*named, self.network.output)

    def pack(self, pieces: IntArray) -> Words:
        """Patterns (m, units) as words of 64 bits: (m, words)."""
        split = self.split(pieces)
        bits = np.concatenate(
            [np.zeros((len(pieces), 0), dtype=np.bool_), *map(Part.bits_of, self.parts, split)], axis=1
        )
        packed = np.packbits(bits, axis=1, bitorder="little")
        whole = np.zeros((len(bits), 8 * self.words), dtype=np.uint8)
        whole[:, : packed.shape[1]] = packed
        return whole.view(np.uint64)

    def unpack(self, words: Words) -> IntArray:
        """Pieces of every unit from words: (m, words) -> (m, units)."""
        bits = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little").astype(np.bool_)
        empty = np.zeros((len(words), 0), dtype=np.int64)
        return np.concatenate([empty, *(part.pieces_of(bits) for part in self.parts)], axis=1)

    def split(self, pieces: IntArray) -> list[IntArray]:
        """Pieces (m, units) by part."""
        return [pieces[:, part.first : part.first + part.size] for part in self.parts]

    @property
    def words(self) -> int:
        return max(1, -(-self.bits // 64))


def plan(network: Network) -> Plan:
    """What an engine walks through.

    Raises:
        InvalidInput: a nonlinear layer of which it is unknown where its pieces meet.
    """
    cone = network.cone(network.output)
    steps: list[Step] = []
    parts: list[Part] = []
    first = bit = 0
    for k, node in enumerate(cone):
        later = {source for other in cone[k + 1 :] for source in other.sources} | {network.output}
        kept = tuple(name for name in (INPUT, *(other.name for other in cone[:k])) if name in later)
        part = None
        if not isinstance(node.layer, AffineLayer):
            pieces = _pieces(node)
            size = network.size(node.name)
            part = Part(len(parts), node.name, size, pieces, first, bit, not elementwise(node.layer))
            parts.append(part)
            first, bit = first + size, bit + part.bits
        steps.append(Step(node, kept, part))
    return Plan(network, tuple(steps), tuple(parts))


def _pieces(node: Node) -> int:
    layer = node.layer
    if isinstance(layer, MaxLayer):
        return int(layer.windows.shape[1])
    if elementwise(layer):
        return len(layer.breaks) + 1
    raise InvalidInput(
        f"layer {node.name!r} is a {type(layer).__name__}, of which it is unknown where its pieces meet, so that its "
        "regions cannot be cut; derive it from MaxLayer, or declare a PiecewiseLinear"
    )


def affine(layer: AffineLayer, x: FloatArray, w: FloatArray | None) -> FloatArray:
    """W x + w b for points (m, n); w is 1 where None."""
    # what overflows is refused where its scale is noted
    with np.errstate(over="ignore", invalid="ignore"):
        y = layer.apply(x)
    shift = layer.bias if w is None else w[:, None] * layer.bias
    # a layer that only selects may hand on what it was given
    if np.may_share_memory(x, y):
        return y + shift
    y += shift
    return y


def activated(layer: Activation, z: FloatArray, w: FloatArray | None) -> FloatArray:
    """f(z), or w f(z / w) and its limit at w = 0."""
    if w is None:
        return layer(z)
    piece = np.zeros(z.shape, dtype=np.int64)
    for b in layer.breaks_at(z.shape[1]):
        piece += z > w[:, None] * b
    return np.asarray(layer.slope_of(piece) * z + layer.intercept_of(piece) * w[:, None])


class Scales:
    """How large the terms are that an element of a node is the sum of: what its rounding errors are relative to.

    Of each of several groups of points, (groups, n), where it is noted where they begin; otherwise of all, (n,).
    """

    def __init__(self, network: Network, w: FloatArray | None) -> None:
        self._network, self._weight = network, 1.0 if w is None else float(w.max(initial=0.0))
        self._held: dict[str, FloatArray] = {}

    def copy(self) -> Scales:
        """The same, to go on with apart."""
        other = Scales(self._network, None)
        other._weight, other._held = self._weight, dict(self._held)
        return other

    def of(self, node: Node) -> FloatArray:
        """Of what a node takes."""
        return self._network.gather(node, self._held)

    def note(
        self,
        name: str,
        layer: Layer | None,
        values: FloatArray,
        given: FloatArray | None = None,
        begin: IntArray | None = None,
    ) -> None:
        """Remember the scale of a node's value.

        Args:
            values: of the node, at points.
            given: scale of what an affine layer takes.
            begin: (groups,) the first point of each group.

        Raises:
            InvalidInput: values that may overflow.
        """
        if isinstance(layer, AffineLayer) and given is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                scale = layer.absolute(given) + self._weight * np.abs(layer.bias)
        elif begin is None:
            scale = np.maximum(values.max(axis=0), -values.min(axis=0))
        else:
            scale = np.maximum.reduceat(np.abs(values), begin)
        if not (scale <= LARGEST).all():
            raise InvalidInput(
                f"values of {name!r} may overflow float64 on the domain, so that no sign of them is known; give a "
                "smaller domain, or scale the weights down (regions stay the same when a layer and its breaks are "
                "multiplied by one factor)"
            )
        self._held[name] = scale
