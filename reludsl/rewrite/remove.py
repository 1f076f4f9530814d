"""Remove units that contribute a constant: c w goes to the next bias.

Side condition: every neuron of the unit is held on a constant piece over the domain (a stably inactive ReLU
contributes 0; an empty row makes any neuron constant), or nothing listens to it (its outgoing weights are zero). A unit
is a neuron, or a channel of a convolution: a channel goes when all its positions are constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl.backend import BoolArray, FloatArray
from reludsl.network import Network, Stage, joined_shape
from reludsl.rewrite.base import Knowledge, NeuronMap, Pieces, Preserves, Rewritten, Site, positions
from reludsl.rewrite.narrow import unused_inputs
from reludsl.rewrite.surgery import Surgery


@dataclass(frozen=True, slots=True)
class Remove:
    """Constant or unheard units go; a stage keeps at least one (else it is a case for `Collapse`)."""

    name: str = "removed"
    preserves: Preserves = Preserves.ON_DOMAIN

    def sites(self, network: Network, known: Knowledge, map: NeuronMap) -> list[Site]:
        found = []
        for stage in network.hidden:
            value = constant_values(network, known, map, stage)
            gone = np.isfinite(value) | unheard(network, str(stage.activation))
            units = gone.reshape(-1, positions(network.shapes[str(stage.activation)])).all(axis=1)
            if units.any() and not units.all():
                found.append(Site(str(stage.activation), np.flatnonzero(units)))
        return found

    def apply(
        self, network: Network, known: Knowledge, map: NeuronMap, site: Site, dtype: np.dtype[np.floating]
    ) -> Rewritten:
        value = constant_values(network, known, map, stage_of(network, site.stage))
        keep = np.ones((value.size // positions(network.shapes[site.stage]), 1), dtype=np.bool_)
        keep[site.units] = False
        kept = np.broadcast_to(keep, (len(keep), value.size // len(keep))).ravel()
        surgery = Surgery(network, dtype)
        surgery.drop(site.stage, kept, np.where(np.isfinite(value), value, 0.0))
        return surgery.done()


def stage_of(network: Network, activation: str) -> Stage:
    """The hidden stage of an activation."""
    return next(stage for stage in network.hidden if stage.activation == activation)


def constant_values(network: Network, known: Knowledge, map: NeuronMap, stage: Stage) -> FloatArray:
    """What the constant neurons of a stage put out: held on a constant piece, or known to be of one value; NaN for the
    others."""
    box = known.before(network, map, str(stage.activation))
    pieces = Pieces.of(network, stage, box)
    point = box.lower == box.upper
    value = np.where(point, network.activation(stage)(box.lower[None, :])[0], np.nan)
    index, post = map.elements[str(stage.activation)], known.post[str(stage.activation)]
    settled = (index >= 0) & (post.lower == post.upper)[index]
    value = np.where(settled, post.lower[index], value)
    return np.where(pieces.slope == 0, pieces.intercept, value)


def unheard(network: Network, name: str) -> BoolArray:
    """(n,) elements of a value that nothing depends on."""
    silent = np.ones(network.size(name), dtype=np.bool_)
    if name == network.output:
        return ~silent
    for listener in network.listeners[name]:
        node = network.by_name[listener]
        shape = joined_shape([network.shapes[s] for s in node.sources])
        unused = unused_inputs(node.layer, sum(network.size(s) for s in node.sources), shape)
        ends = np.cumsum([network.size(s) for s in node.sources])[:-1]
        for source, part in zip(node.sources, np.split(unused, ends)):
            if source == name:
                silent &= part
    return silent
