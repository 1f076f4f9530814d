"""A network as layers of units: what a search over its linear regions goes through, in order.

    z^l = sum over sources s of  W^{l,s} h^s + V^l x + b^l        h^l = the pieces of layer l, applied to z^l

A *unit* is an element of an activation or of a maximum. It has *options*, its pieces, and an option is an intersection
of half-spaces {form > 0}: beyond a break and below the next one, or larger than every other input of the maximum.
Everything affine between the units is composed beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from reludsl import numeric
from reludsl.affine_step import affine_step
from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.layers import Activation, AffineLayer, MaxLayer, elementwise
from reludsl.network import INPUT, Network, Node

MOST_COEFFICIENTS = 50_000_000
"""Coefficients of all layers together beyond which they are not written out."""


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """What the options of a layer are made of: form q is z[plus[q]] - z[minus[q]] - offset[q].

    Args:
        plus, minus: (Q,) elements of z, -1 for none.
        offset: (Q,)
        unit: (O,) the unit of each option; options of a unit stand together, in the order of its pieces.
        piece: (O,) which piece it is.
        rows, signs: (O, R) the forms of each option, and +1 or -1; 0 where it has fewer than R.
        units: number of units.
    """

    plus: IntArray
    minus: IntArray
    offset: FloatArray
    unit: IntArray
    piece: IntArray
    rows: IntArray
    signs: FloatArray
    units: int


@dataclass(frozen=True, slots=True, eq=False)
class UnitLayer:
    """Units that take one vector z.

    Args:
        name: of the node of the activation or maximum.
        parts: index of an earlier layer -> W, dense.
        inputs: V, (size, input_size), or None where x does not reach this layer but through others.
        constant: b.
        error: what composing the layers in between may have changed of z, on the domain.
        magnitude: of every sum of products on the way to z on the domain: what rounding errors are measured by.
        terms: number of products in the longest chain of sums on the way to z.
        forms: the options.
    """

    name: str
    parts: Mapping[int, FloatArray]
    inputs: FloatArray | None
    constant: FloatArray
    error: FloatArray
    magnitude: FloatArray
    terms: int
    forms: Forms
    layer: Activation | MaxLayer | None

    @property
    def size(self) -> int:
        """Number of elements of z."""
        return self.constant.size

    def slopes(self, piece: IntArray) -> tuple[FloatArray, FloatArray]:
        """Slope and intercept of each unit of an activation on a piece: (..., units) twice."""
        assert self.layer is not None and elementwise(self.layer)
        return self.layer.slope_of(piece), self.layer.intercept_of(piece)

    def chosen(self, piece: IntArray) -> IntArray:
        """Which element of z each unit of a maximum copies on a piece: (..., units)."""
        assert isinstance(self.layer, MaxLayer)
        return np.asarray(self.layer.windows[np.arange(self.forms.units), piece])

    @property
    def selects(self) -> bool:
        """Whether its units are maxima."""
        return isinstance(self.layer, MaxLayer)


@dataclass(frozen=True, slots=True, eq=False)
class Cascade:
    """The layers of units of a network in order, and its output as an affine function of theirs.

    Args:
        last: the output, as a layer without units.
    """

    network: Network
    layers: tuple[UnitLayer, ...]
    last: UnitLayer

    @property
    def units(self) -> int:
        """Number of units of all layers."""
        return sum(layer.forms.units for layer in self.layers)

    @classmethod
    def of(cls, network: Network, reach: FloatArray) -> Cascade:
        """Compose the affine layers of a network.

        Args:
            reach: max |x| on the domain, coordinate by coordinate. Constants are taken to be multiplied by 1 at most.

        Raises:
            UnsupportedOperator: a layer that is neither affine, an activation, nor a maximum.
            InvalidInput: written out, its layers are too large.
        """
        builder = _Builder(network, {INPUT: reach}, {INPUT: 1}, {})
        layers: list[UnitLayer] = []
        for node in network.cone(network.output):
            if isinstance(node.layer, AffineLayer):
                continue
            layers.append(builder.layer(node))
            builder.enter(node.name, len(layers) - 1, layers[-1])
        return cls(network, tuple(layers), builder.composed("output", (network.output,), no_forms(), None))


def no_forms() -> Forms:
    """Of a layer without units."""
    none, zero = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Forms(none, none, zero, none, none, np.zeros((0, 1), dtype=np.int64), np.zeros((0, 1)), 0)


@dataclass(frozen=True, slots=True)
class _Builder:
    """Magnitudes and lengths of sums of everything so far, and which layer each node became."""

    network: Network
    magnitude: dict[str, FloatArray]
    terms: dict[str, int]
    index: dict[str, int]

    def enter(self, name: str, index: int, layer: UnitLayer) -> None:
        """What later layers need to know of one."""
        self.index[name] = index
        reach = layer.magnitude
        if isinstance(layer.layer, MaxLayer):
            self.magnitude[name] = reach[layer.layer.windows].max(axis=1)
        else:
            assert layer.layer is not None and elementwise(layer.layer)
            steep = np.abs(layer.layer.slopes_at(reach.size)).max(axis=0)
            self.magnitude[name] = numeric.inflated(
                steep * reach + np.abs(layer.layer.intercepts_at(reach.size)).max(axis=0)
            )
        self.terms[name] = layer.terms + 3

    def layer(self, node: Node) -> UnitLayer:
        """The units of a node."""
        size = sum(self.network.size(source) for source in node.sources)
        if isinstance(node.layer, MaxLayer):
            forms = _maximum(node.layer)
        elif elementwise(node.layer):
            forms = _activation(node.layer, size)
        else:
            raise UnsupportedOperator(
                f"layer {node.name!r} is a {node.layer.kind}, whose linear pieces are not known, so that its regions "
                "cannot be counted; write it with activations, maxima and affine layers"
            )
        return self.composed(node.name, node.sources, forms, node.layer)

    def composed(
        self, name: str, sources: Sequence[str], forms: Forms, layer: Activation | MaxLayer | None
    ) -> UnitLayer:
        """z of a node as an affine function of earlier units and of the input."""
        boxes = {at: Box(-reach, reach) for at, reach in self.magnitude.items()}
        steps = [affine_step(self.network, source, boxes) for source in sources]
        ends = list(dict.fromkeys(at for step in steps for at in step.parts))
        constant = np.concatenate([step.constant for step in steps])
        weights: dict[str, FloatArray] = {}
        for at in ends:
            width = self.network.size(at)
            if width * constant.size > MOST_COEFFICIENTS:
                raise InvalidInput(
                    f"layer {name!r} has {width} x {constant.size} coefficients when written out, which is more than "
                    "a search over its regions can hold; count on a slice (plane, line) instead"
                )
            rows = [
                step.parts[at].toarray() if at in step.parts else np.zeros((step.constant.size, width))
                for step in steps
            ]
            weights[at] = np.concatenate(rows)
        reach = np.abs(constant) + sum((np.abs(w) @ self.magnitude[at] for at, w in weights.items()), 0.0)
        longest = sum(int((w != 0).sum(axis=1).max(initial=0)) for w in weights.values())
        return UnitLayer(
            name,
            {self.index[at]: w for at, w in weights.items() if at != INPUT},
            weights.get(INPUT),
            constant,
            np.concatenate([step.error for step in steps]),
            np.asarray(numeric.inflated(reach)),
            max(self.terms[at] for at in ends) + longest + 2,
            forms,
            layer,
        )


def _activation(layer: Activation, size: int) -> Forms:
    """One form per element and break."""
    breaks = layer.breaks_at(size)
    count = len(breaks)
    element = np.arange(size)
    plus = np.repeat(element, count)
    options = count + 1
    unit, piece = np.repeat(element, options), np.tile(np.arange(options), size)
    # beyond the break before a piece, and not beyond the one after it
    rows = np.stack([unit * count + piece - 1, unit * count + piece], axis=1)
    signs = np.stack([np.where(piece > 0, 1.0, 0.0), np.where(piece < count, -1.0, 0.0)], axis=1)
    rows = np.where(signs != 0, rows, 0)
    if count == 1:
        rows, signs = unit[:, None], np.where(piece > 0, 1.0, -1.0)[:, None]
    return Forms(plus, np.full(plus.size, -1), breaks.T.ravel(), unit, piece, rows, signs, size)


def _maximum(layer: MaxLayer) -> Forms:
    """One form per pair of inputs of a window."""
    windows, width = layer.windows, layer.windows.shape[1]
    pairs = list(combinations(range(width), 2))
    plus, minus = (windows[:, [pair[k] for pair in pairs]].ravel() for k in (0, 1))
    unit, piece, rows, signs = [], [], [], []
    for u, window in enumerate(windows.tolist()):
        places = [j for j in range(width) if window.index(window[j]) == j]
        for j in places:
            others = [i for i in places if i != j]
            unit.append(u)
            piece.append(j)
            held = [(pairs.index((min(i, j), max(i, j))), 1.0 if j < i else -1.0) for i in others]
            held += [(0, 0.0)] * (width - 1 - len(held))
            rows.append([u * len(pairs) + q for q, _ in held])
            signs.append([sign for _, sign in held])
    shape = (len(unit), max(width - 1, 1))
    return Forms(
        plus,
        minus,
        np.zeros(plus.size),
        np.array(unit),
        np.array(piece),
        np.array(rows, dtype=np.int64).reshape(shape),
        np.array(signs, dtype=np.float64).reshape(shape),
        len(windows),
    )
