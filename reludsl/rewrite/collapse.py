"""Collapse to a constant: where a whole stage is constant on the domain, so is the network.

Nothing from before the stage reaches the output; one dense layer of zero weights holds the value.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reludsl.rewrite.base import Knowledge, NeuronMap, Preserves, Rewritten, Site, rounded
from reludsl.rewrite.chain import Chain
from reludsl.rewrite.remove import constant_neurons, constant_values


@dataclass(frozen=True, slots=True)
class Collapse:
    """A network with a constant stage becomes one dense layer."""

    name: str = "collapsed"
    preserves: Preserves = Preserves.ON_DOMAIN

    def sites(self, chain: Chain, known: Knowledge) -> list[Site]:
        for stage in reversed(range(chain.depth)):
            if constant_neurons(chain, known, stage).all():
                return [Site(stage, np.arange(chain.layers[stage].width), np.zeros(0, dtype=np.int64))]
        return []

    def apply(self, chain: Chain, known: Knowledge, site: Site, dtype: np.dtype[np.floating]) -> Rewritten:
        value = constant_values(chain, known, site.stage)
        for layer in chain.layers[site.stage + 1 :]:
            z = layer.weight @ value + layer.bias
            value = z if layer.activation is None else layer.activation(z)
        last = chain.layers[-1]
        size = known.source.shape[1]
        constant = replace(last, weight=np.zeros((last.width, size)), bias=rounded(value, dtype))
        return Rewritten(chain.with_layers((constant,)), NeuronMap(()))
