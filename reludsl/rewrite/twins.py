"""Merge twins, whatever their stability: f(c z) = c f(z) for c > 0 where f is two lines that meet in the origin.

A unit whose row and bias are c > 0 times those of another puts out c times what the other does (ReLU, leaky ReLU,
|z|, the same slopes for both), on every input: its outgoing weights, times c, move to the other, and it goes. With
c = 1 that is true of any activation. A unit is a neuron, or a channel of a convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box
from reludsl.layers import Activation, Affine, Conv
from reludsl.network import Network, Stage
from reludsl.rewrite.base import Knowledge, NeuronMap, Preserves, Rewritten, Site, positions
from reludsl.rewrite.mix import Mixture, mix, mixable
from reludsl.rewrite.remove import stage_of
from reludsl.rewrite.surgery import Surgery

ALIKE = 1e-10
"""Two rows are tried as twins when the cosine between them is at least 1 minus this; a bound decides then."""

MOST_UNITS = 4096
"""Units of a stage above which no twins are looked for: every pair is compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Twins:
    """Units and the twin of each: pre-activations of `unit` are `factor` times those of `other`, up to `distance`.

    Args:
        unit, other: (k,) indices of units; no other is a unit.
        factor: (k,) c > 0.
        distance: (k,) bound of |z_unit - c z_other| over what the layer takes; 0 where the rows are equal.
    """

    unit: IntArray
    other: IntArray
    factor: FloatArray
    distance: FloatArray

    def __len__(self) -> int:
        return self.unit.size


NONE = Twins(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0))


def find_twins(network: Network, stage: Stage, before: Box) -> Twins:
    """The twins of a stage, each with the earliest unit that it is a twin of.

    Args:
        before: bounds of what the layer of the stage's weights takes.
    """
    node = network.by_name.get(stage.pre)
    if node is None or len(node.sources) != 1 or not isinstance(node.layer, Affine | Conv):
        return NONE
    layer = node.layer
    weight = layer.dense if isinstance(layer, Affine) else layer.weight.reshape(len(layer.weight), -1)
    rows = np.concatenate([weight, layer.offset[:, None]], axis=1)
    length = np.linalg.norm(rows, axis=1)
    if len(rows) > MOST_UNITS or (isinstance(layer, Conv) and layer.groups != 1):
        return NONE
    if len(rows) * positions(network.shapes[str(stage.activation)]) != stage.size:
        # a channel that is not told from a vector of its positions
        return NONE
    unit_rows = np.divide(rows, length[:, None], out=np.zeros_like(rows), where=length[:, None] > 0)
    activation = network.activation(stage)
    functions = _functions(activation, len(rows), stage.size)
    alike = np.triu((unit_rows @ unit_rows.T >= 1 - ALIKE) & (functions[:, None] == functions), 1)
    # the earliest serves all its twins, and a twin serves nobody
    paired, first = alike.any(axis=0), alike.argmax(axis=0)
    unit = np.flatnonzero(paired & ~paired[first])
    other = first[unit]
    if not unit.size:
        return NONE
    factor = (rows[unit] * rows[other]).sum(axis=1) / (rows[other] ** 2).sum(axis=1)
    equal = (rows[unit] == rows[other]).all(axis=1)
    factor = np.where(equal, 1.0, factor)
    valid = (factor > 0) & (equal | _homogeneous(activation, unit, other, rows.shape[0], network.size(stage.pre)))
    unit, other, factor, equal = unit[valid], other[valid], factor[valid], equal[valid]
    reach = before.magnitude
    if isinstance(layer, Conv):
        # every position takes another patch: its largest element stands for all of them
        by_channel = reach.reshape(layer.weight.shape[1], -1).max(axis=1)
        reach = np.repeat(by_channel, weight.shape[1] // by_channel.size)
    reach = np.append(reach, 1.0)
    gap = np.abs(rows[unit] - factor[:, None] * rows[other]) @ reach
    size = (np.abs(rows[unit]) + factor[:, None] * np.abs(rows[other])) @ reach
    lost = numeric.gamma(reach.size + 4) * size + numeric.underflow(reach.size)
    return Twins(unit, other, factor, np.where(equal, 0.0, numeric.up(gap, lost)))


def _functions(activation: Activation, units: int, size: int) -> IntArray:
    """(units,) a number for the function of each unit, the same for the same one."""
    if not activation.parameters:
        return np.zeros(units, dtype=np.int64)
    tables = (activation.breaks_at(size), activation.slopes_at(size), activation.intercepts_at(size))
    columns = np.concatenate(tables).T.reshape(units, -1)
    return np.asarray(np.unique(columns, axis=0, return_inverse=True)[1]).ravel()


def _homogeneous(activation: Activation, unit: IntArray, other: IntArray, units: int, size: int) -> BoolArray:
    """Whether f(c z) = c f(z), for each of some units."""
    breaks, intercepts = activation.breaks_at(size), activation.intercepts_at(size)
    errors = activation.intercept_errors_at(size)
    through = (breaks == 0).all(axis=0) & (intercepts == 0).all(axis=0) & (errors == 0).all(axis=0)
    by_unit = np.asarray(np.broadcast_to(through, (size,)).reshape(units, -1).all(axis=1))
    return np.asarray(by_unit[unit] & by_unit[other])


@dataclass(frozen=True, slots=True)
class MergeTwins:
    """Duplicate and positively proportional units go."""

    name: str = "merged"
    preserves: Preserves = Preserves.EVERYWHERE

    def sites(self, network: Network, known: Knowledge, map: NeuronMap) -> list[Site]:
        found = []
        for stage in network.hidden:
            twins = self._twins(network, known, map, stage)
            if len(twins):
                found.append(Site(str(stage.activation), twins.unit, twins.other))
        return found

    def apply(
        self, network: Network, known: Knowledge, map: NeuronMap, site: Site, dtype: np.dtype[np.floating]
    ) -> Rewritten:
        stage = stage_of(network, site.stage)
        twins = self._twins(network, known, map, stage)
        chosen = np.isin(twins.unit, site.units)
        unit, other, factor = twins.unit[chosen], twins.other[chosen], twins.factor[chosen]
        basis = np.unique(other)
        coefficient = np.zeros((unit.size, basis.size))
        coefficient[np.arange(unit.size), np.searchsorted(basis, other)] = factor
        per_unit = positions(network.shapes[site.stage])
        post = known.boxes(network, map)[site.stage]
        value = (0.5 * (post.lower + post.upper)).reshape(-1, per_unit)
        value[unit] = factor[:, None] * value[other]
        surgery = Surgery(network, dtype)
        mix(surgery, site.stage, Mixture(unit, basis, coefficient, np.zeros(unit.size), value.ravel()))
        return surgery.done()

    def _twins(self, network: Network, known: Knowledge, map: NeuronMap, stage: Stage) -> Twins:
        node = network.by_name.get(stage.pre)
        if node is None or len(node.sources) != 1 or not mixable(network, str(stage.activation), constant=False):
            return NONE
        return find_twins(network, stage, known.boxes(network, map)[node.source])
