"""Fold a stage whose neurons are all stable into the next layer: W' = W2 S W1, b' = W2 (S b1 + c) + b2.

Side condition: every neuron is held on one piece, h = s (w x + b) + c. A fold can make a network larger
(n0 n2 against n1 (n0 + n2) weights): the policy is the caller's.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

import numpy as np

from reludsl.rewrite.base import Kept, Knowledge, NeuronMap, Preserves, Rewritten, Site, pieces, rounded
from reludsl.rewrite.chain import Chain
from reludsl.rewrite.merge import affine_rows


class FoldPolicy(enum.Enum):
    """When to fold."""

    AUTO = "auto"
    """Only when the number of parameters does not grow."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Fold:
    """Stages of stable neurons go."""

    policy: FoldPolicy = FoldPolicy.AUTO
    name: str = "folded"
    preserves: Preserves = Preserves.WITHIN

    def sites(self, chain: Chain, known: Knowledge) -> list[Site]:
        if self.policy is FoldPolicy.NEVER:
            return []
        found = []
        for stage in range(chain.depth):
            held, _, _ = pieces(chain, known, stage)
            if (held >= 0).all() and (self.policy is FoldPolicy.ALWAYS or growth(chain, stage) <= 0):
                found.append(Site(stage, np.arange(held.size), np.zeros(0, dtype=np.int64)))
        return found

    def apply(self, chain: Chain, known: Knowledge, site: Site, dtype: np.dtype[np.floating]) -> Rewritten:
        later = chain.layers[site.stage + 1]
        rows, constants = affine_rows(chain, known, site.stage)
        weight = rounded(later.weight @ rows, dtype)
        # the bias takes what rounding the weights does at the centre of the domain
        centre = known.before(site.stage).mean(axis=0)
        exact = later.weight @ (rows @ centre + constants) + later.bias
        layers = list(chain.layers)
        layers[site.stage + 1] = replace(later, weight=weight, bias=rounded(exact - weight @ centre, dtype))
        del layers[site.stage]
        widths = [d.width for d in chain.layers[:-1]]
        kept = tuple(Kept(k, np.arange(n)) for k, n in enumerate(widths) if k != site.stage)
        return Rewritten(chain.with_layers(tuple(layers)), NeuronMap(kept))


def growth(chain: Chain, stage: int) -> int:
    """Parameters after folding a stage, minus before."""
    layer, later = chain.layers[stage], chain.layers[stage + 1]
    before = layer.weight.size + layer.bias.size + later.weight.size
    return int(later.width * layer.weight.shape[1] - before)
