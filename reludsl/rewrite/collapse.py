"""Collapse what is constant: where a whole stage is constant on the domain, so is all that follows from it alone.

What the constants meet (a sum, a concatenation) is shifted by them; where the output itself is constant, one layer of
zero weights holds its value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl.network import Network
from reludsl.rewrite.base import Knowledge, NeuronMap, Preserves, Rewritten, Site
from reludsl.rewrite.remove import constant_values, stage_of
from reludsl.rewrite.surgery import Surgery


@dataclass(frozen=True, slots=True)
class Collapse:
    """Stages that are constant go, and what follows from them alone."""

    name: str = "collapsed"
    preserves: Preserves = Preserves.ON_DOMAIN

    def sites(self, network: Network, known: Knowledge, map: NeuronMap) -> list[Site]:
        return [
            Site(str(stage.activation), np.arange(stage.size))
            for stage in network.hidden
            if np.isfinite(constant_values(network, known, map, stage)).all()
        ]

    def apply(
        self, network: Network, known: Knowledge, map: NeuronMap, site: Site, dtype: np.dtype[np.floating]
    ) -> Rewritten:
        surgery = Surgery(network, dtype)
        surgery.constant(site.stage, constant_values(network, known, map, stage_of(network, site.stage)))
        return surgery.done()
