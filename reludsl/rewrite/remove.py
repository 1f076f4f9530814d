"""Remove neurons that contribute a constant: c w goes to the next bias.

Side condition: the neuron is held on a constant piece over the domain (a stably inactive ReLU contributes 0;
an empty row makes any neuron constant), or no later neuron listens to it (its outgoing weights are zero).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reludsl.backend import BoolArray, FloatArray
from reludsl.rewrite.base import Kept, Knowledge, NeuronMap, Preserves, Rewritten, Site, pieces, rounded
from reludsl.rewrite.chain import Chain


@dataclass(frozen=True, slots=True)
class Remove:
    """Constant or unheard neurons go; a stage keeps at least one (else it is a case for `Collapse`)."""

    name: str = "removed"
    preserves: Preserves = Preserves.ON_DOMAIN

    def sites(self, chain: Chain, known: Knowledge) -> list[Site]:
        found = []
        for stage in range(chain.depth):
            gone = constant_neurons(chain, known, stage) | ~chain.layers[stage + 1].weight.any(axis=0)
            if gone.any() and not gone.all():
                found.append(Site(stage, np.flatnonzero(gone), np.zeros(0, dtype=np.int64)))
        return found

    def apply(self, chain: Chain, known: Knowledge, site: Site, dtype: np.dtype[np.floating]) -> Rewritten:
        layer, later = chain.layers[site.stage], chain.layers[site.stage + 1]
        stay = np.ones(layer.width, dtype=np.bool_)
        stay[site.neurons] = False
        value = constant_values(chain, known, site.stage)[site.neurons]
        shift = later.weight[:, site.neurons] @ np.where(np.isfinite(value), value, 0.0)
        bias = rounded(later.bias + shift, dtype) if shift.any() else later.bias
        layers = list(chain.layers)
        layers[site.stage] = replace(layer, weight=layer.weight[stay], bias=layer.bias[stay])
        layers[site.stage + 1] = replace(later, weight=later.weight[:, stay], bias=bias)
        widths = [d.width for d in chain.layers[:-1]]
        kept = list(NeuronMap.identity(widths).stages)
        kept[site.stage] = Kept(site.stage, np.flatnonzero(stay))
        return Rewritten(chain.with_layers(tuple(layers)), NeuronMap(tuple(kept)))


def constant_neurons(chain: Chain, known: Knowledge, stage: int) -> BoolArray:
    """Neurons held on a constant piece, or with an empty row."""
    _, slope, _ = pieces(chain, known, stage)
    return np.asarray((slope == 0) | ~chain.layers[stage].weight.any(axis=1))


def constant_values(chain: Chain, known: Knowledge, stage: int) -> FloatArray:
    """What the constant neurons of a stage put out, NaN for the others."""
    layer = chain.layers[stage]
    assert layer.activation is not None
    _, slope, intercept = pieces(chain, known, stage)
    empty = ~layer.weight.any(axis=1)
    return np.where(slope == 0, intercept, np.where(empty, layer.activation(layer.bias), np.nan))
