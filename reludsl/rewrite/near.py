"""Neurons that hardly change or hardly bend, and what it costs at most to treat them as if they never did.

* A unit whose values stay in [a, b] is *nearly constant*: (a + b) / 2 in its place is off by at most (b - a) / 2. Such
  is a ReLU with max z = u barely above 0, in whose place stands u / 2.
* A neuron that passes the breaks around a sloped piece s z + c by little is *nearly affine*: s z + c in its place is
  off by at most max |f(z) - s z - c|, which for a ReLU with min z = -d is d.

What that does to the outputs is estimated by carrying it on with |W| and the steepest slopes. The estimates order the
neurons and prove nothing: what was made of them is compared with the original, as everything is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.bounds import Bounds
from reludsl.domain import Box
from reludsl.layers import Activation, Affine, AffineLayer, MaxLayer, NonlinearLayer, elementwise
from reludsl.network import Network
from reludsl.rewrite.base import NeuronMap, Pieces, positions
from reludsl.rewrite.relaxations import free_neurons


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """What is nearly true of some units of a stage.

    Args:
        stage: name of the activation.
        elements: (units, positions) its elements, unit by unit.
        lower, upper: likewise, the claimed bounds of each element.
        cost: (units,) estimate of the largest change of an output, as a share of what is allowed there.
    """

    stage: str
    elements: IntArray
    lower: FloatArray
    upper: FloatArray
    cost: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Claims about single units, the cheapest first; none that costs more than all that is allowed.

    Args:
        parts: the claims, stage by stage.
        part, row: (k,) which of them, and which of its units.
    """

    parts: tuple[Claim, ...]
    part: IntArray
    row: IntArray

    def __len__(self) -> int:
        return self.row.size

    @classmethod
    def of(cls, parts: list[Claim]) -> Near:
        """All of them in one order."""
        cost = np.concatenate([np.zeros(0), *(p.cost for p in parts)])
        row = np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(p.cost.size) for p in parts)])
        part = np.repeat(np.arange(len(parts)), [p.cost.size for p in parts])
        order = np.argsort(cost, kind="stable")[: int((cost <= 1.0).sum())]
        return cls(tuple(parts), part[order], row[order])

    def believed(self, boxes: Mapping[str, Box], chosen: IntArray) -> dict[str, Box]:
        """Bounds of activations, with what is claimed of some units in their places."""
        after = dict(boxes)
        for k, claim in enumerate(self.parts):
            rows = self.row[chosen[self.part[chosen] == k]]
            lower, upper = after[claim.stage].lower.copy(), after[claim.stage].upper.copy()
            lower[claim.elements[rows]], upper[claim.elements[rows]] = claim.lower[rows], claim.upper[rows]
            after[claim.stage] = Box(lower, upper)
        return after


def nearly_constant(network: Network, proved: Bounds, map: NeuronMap, allowed: FloatArray) -> Near:
    """Units that change by little, of those that a map keeps; claims about their values.

    Args:
        allowed: (n_out,) what each output may change by.
    """
    found = []
    for stage in network.hidden:
        name = str(stage.activation)
        elements = np.arange(stage.size).reshape(-1, positions(network.shapes[name]))
        box = proved.boxes[name]
        radius = 0.5 * (box.upper - box.lower)
        near = _kept(map, name, stage.size) & np.isfinite(radius)
        units = np.flatnonzero(near[elements].all(axis=1))
        middle = (box.lower + radius)[elements[units]]
        cost = _cost(network, proved, name, elements[units], radius, allowed)
        found.append(Claim(name, elements[units], middle, middle, cost))
    return Near.of(found)


def nearly_affine(network: Network, proved: Bounds, map: NeuronMap, allowed: FloatArray) -> Near:
    """Neurons behind weights that bend by little, of those that a map keeps; claims about their pre-activations."""
    found = []
    for stage in network.hidden:
        name = str(stage.activation)
        before = network.by_name.get(stage.pre)
        if before is None or not isinstance(before.layer, Affine):
            continue
        box, activation = proved.pre(stage), network.activation(stage)
        piece, off = _nearest_slope(activation, box)
        edge = np.full((1, stage.size), np.inf)
        edges = np.concatenate([-edge, activation.breaks_at(stage.size), edge])
        each = np.arange(stage.size)
        lower, upper = np.maximum(box.lower, edges[piece, each]), np.minimum(box.upper, edges[piece + 1, each])
        near = _kept(map, name, stage.size) & free_neurons(activation, box) & np.isfinite(off) & (lower <= upper)
        units = np.flatnonzero(near)[:, None]
        cost = _cost(network, proved, name, units, off, allowed)
        found.append(Claim(name, units, lower[units], upper[units], cost))
    return Near.of(found)


def _nearest_slope(activation: Activation, box: Box) -> tuple[IntArray, FloatArray]:
    """The sloped piece that each neuron deviates from least, and by how much; infinite where there is none."""
    slopes, intercepts = activation.slopes_at(box.size), activation.intercepts_at(box.size)
    ends = [activation.deviation(box, slope) for slope in slopes]
    away = np.stack([np.maximum(high - c, c - low) for (low, high), c in zip(ends, intercepts)])
    away = np.where(slopes == 0, np.inf, away)
    piece = away.argmin(axis=0)
    return piece, away[piece, np.arange(box.size)]


def _kept(map: NeuronMap, name: str, size: int) -> BoolArray:
    kept = np.zeros(size, dtype=np.bool_)
    index = map.elements.get(name, np.zeros(0, dtype=np.int64))
    kept[index[index >= 0]] = True
    return kept


def _cost(
    network: Network, proved: Bounds, name: str, elements: IntArray, off: FloatArray, allowed: FloatArray
) -> FloatArray:
    """(units,) the largest share of what is allowed that an output changes by, when the elements of a unit are off."""
    change = np.zeros((len(elements), off.size))
    np.put_along_axis(change, elements, off[elements], axis=1)
    return np.asarray((_carried(network, proved, name, change) / allowed).max(axis=1, initial=0.0))


def _carried(network: Network, proved: Bounds, name: str, change: FloatArray) -> FloatArray:
    """Changes of a value, one in each row, as changes of the output: (m, n) -> (m, n_out)."""
    moved = {name: change}
    for node in network.cone(network.output):
        if node.name in moved or not any(source in moved for source in node.sources):
            continue
        parts = [moved.get(s, np.zeros((len(change), network.size(s)))) for s in node.sources]
        given, layer = np.concatenate(parts, axis=1), node.layer
        if isinstance(layer, AffineLayer):
            moved[node.name] = layer.absolute(given)
        elif elementwise(layer):
            pieces = Pieces.of_activation(layer, network.around(node, proved.boxes))
            moved[node.name] = given * np.where(pieces.held >= 0, np.abs(pieces.slope), layer.lipschitz)
        elif isinstance(layer, MaxLayer):
            moved[node.name] = layer(given)
        else:
            assert isinstance(layer, NonlinearLayer)
            widest = np.asarray(layer.lipschitz) * given.max(axis=1, keepdims=True)
            moved[node.name] = np.broadcast_to(widest, (len(change), network.size(node.name)))
    return moved.get(network.output, np.zeros((len(change), network.output_size)))
