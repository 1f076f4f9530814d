"""What a rewrite is: a graph transformation with a side condition, and a map of the neurons that stay.

A rewrite is trusted by nobody. It may use bounds to find its sites, and it says what it keeps; whether the
result still computes the same function is decided afterwards, from the two networks alone
(`reludsl.rewrite.difference`).

What comes and goes are *units*: elements of a vector, or whole channels where a tensor has positions.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.bounds import Bounds
from reludsl.domain import Box
from reludsl.layers import Activation, AffineLayer, Shape
from reludsl.network import INPUT, Network, Stage


class Preserves(enum.Enum):
    """What a rewrite leaves as it is."""

    EVERYWHERE = "the function, on every input"
    ON_DOMAIN = "the function, on the domain"
    WITHIN = "the function on the domain, up to a bound that is computed afterwards"


FRESH = -1
"""Stands for a neuron that was not there before."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The neurons of one stage that stay: their stage and indices in the network before; `FRESH` for new ones."""

    stage: int
    neurons: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class NeuronMap:
    """For every layer of a new network that is not affine, where its elements stood before, in order.

    On the domain a kept neuron has the pre-activation that it had, up to the bound that `difference` proves.

    Args:
        hidden: names of the hidden stages' activations before, in order.
        elements: name of a layer, the same before and after -> index before of each of its elements.
    """

    hidden: tuple[str, ...]
    elements: Mapping[str, IntArray]

    @classmethod
    def identity(cls, network: Network) -> NeuronMap:
        """Nothing changed."""
        pieced = [n.name for n in network.cone(network.output) if not isinstance(n.layer, AffineLayer)]
        names = tuple(str(stage.activation) for stage in network.hidden)
        return cls(names, {name: np.arange(network.size(name)) for name in pieced})

    @property
    def stages(self) -> tuple[Kept, ...]:
        """The hidden stages of the new network, in order."""
        where = {name: k for k, name in enumerate(self.hidden)}
        return tuple(Kept(where[name], index) for name, index in self.elements.items() if name in where)

    def then(self, later: NeuronMap) -> NeuronMap:
        """This map, followed by a later one."""
        return NeuronMap(
            self.hidden,
            {
                name: np.where(index >= 0, self.elements[name][np.maximum(index, 0)], FRESH)
                for name, index in later.elements.items()
            },
        )


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Where a rewrite applies: an activation, and the units that it takes out.

    Args:
        stage: name of the activation.
        units: what goes.
        basis: for a merge, the units that the others are expressed by.
    """

    stage: str
    units: IntArray
    basis: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Rewritten:
    """A rewritten network, and where its neurons come from."""

    network: Network
    map: NeuronMap


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What the finders of sites may use: bounds of what every activation or maximum takes, and of its value.

    Args:
        input: bounds of the network's input.
        pre, post: by name of the layer.
    """

    input: Box
    pre: Mapping[str, Box]
    post: Mapping[str, Box]

    @classmethod
    def of(cls, network: Network, bounds: Bounds) -> Knowledge:
        """Read from the bounds of a network."""
        pieced = [n for n in network.cone(network.output) if not isinstance(n.layer, AffineLayer)]
        return cls(
            bounds.boxes[INPUT],
            {n.name: network.around(n, bounds.boxes) for n in pieced},
            {n.name: bounds.boxes[n.name] for n in pieced},
        )

    def boxes(self, network: Network, map: NeuronMap) -> dict[str, Box]:
        """Bounds of every node of a network that was rewritten: those known of the neurons that stay, and intervals."""
        found = {INPUT: self.input}
        for node in network.cone(network.output):
            found[node.name] = node.layer.interval(network.around(node, found))
            if node.name in map.elements:
                index = map.elements[node.name]
                found[node.name] = _with_known(found[node.name], self.post[node.name], index)
        return found

    def before(self, network: Network, map: NeuronMap, stage: str) -> Box:
        """Bounds of the pre-activations of an activation in a network that was rewritten."""
        index = map.elements[stage]
        known = self.pre[stage]
        if (index >= 0).all():
            return Box(known.lower[index], known.upper[index])
        node = network.by_name[stage]
        return _with_known(network.around(node, self.boxes(network, map)), known, index)


def _with_known(box: Box, known: Box, index: IntArray) -> Box:
    """A box in which the elements that were there before have the bounds that they had."""
    old, at = index >= 0, np.maximum(index, 0)
    return Box(np.where(old, known.lower[at], box.lower), np.where(old, known.upper[at], box.upper))


class Rewrite(Protocol):
    """One kind of transformation."""

    @property
    def name(self) -> str:
        """A past participle for the log: removed, merged, folded, collapsed."""
        ...

    @property
    def preserves(self) -> Preserves:
        """What it leaves as it is, when its side condition holds."""
        ...

    def sites(self, network: Network, known: Knowledge, map: NeuronMap) -> list[Site]:
        """Where it applies, by the bounds given.

        Args:
            map: how the network came from the one that is known about.
        """
        ...

    def apply(
        self, network: Network, known: Knowledge, map: NeuronMap, site: Site, dtype: np.dtype[np.floating]
    ) -> Rewritten:
        """The network after it, and where its neurons stood in the network given; new weights are rounded to `dtype`,
        the type of the file."""
        ...


def rounded(values: FloatArray, dtype: np.dtype[np.floating]) -> FloatArray:
    """Rounded to a file's type, held as float64."""
    return np.asarray(values, dtype=dtype).astype(np.float64)


def positions(shape: Shape) -> int:
    """Elements of one unit of a tensor: 1 in a vector, the positions of a channel elsewhere.

    >>> positions((1, 8, 4, 4)), positions((1, 1, 10)), positions((10,))
    (16, 1, 1)
    """
    return math.prod(shape[unit_axis(shape) + 1 :])


def unit_axis(shape: Shape) -> int:
    """The axis along which units stand: the last of a vector, whatever axes of size 1 stand before it, else the
    channels."""
    if math.prod(shape[:-1]) == 1:
        return len(shape) - 1
    return 1 if shape[0] == 1 else 0


def whole_units(keep: BoolArray, per_unit: int) -> BoolArray | None:
    """(units,) which units a choice of elements keeps; None where it cuts through one."""
    grid = keep.reshape(-1, per_unit)
    return grid[:, 0] if (grid == grid[:, :1]).all() else None


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The pieces that the neurons of a stage are held on: (n,) -1, NaN where they are held on none."""

    held: IntArray
    slope: FloatArray
    intercept: FloatArray

    @classmethod
    def of(cls, network: Network, stage: Stage, box: Box) -> Pieces:
        """Of a stage whose pre-activations lie in a box."""
        return cls.of_activation(network.activation(stage), box)

    @classmethod
    def of_activation(cls, activation: Activation, box: Box) -> Pieces:
        """Of an activation whose arguments lie in a box."""
        held = activation.held_piece(box)
        some = np.maximum(held, 0)
        slope, intercept = activation.slope_of(some), activation.intercept_of(some)
        return cls(held, np.where(held >= 0, slope, np.nan), np.where(held >= 0, intercept, np.nan))
