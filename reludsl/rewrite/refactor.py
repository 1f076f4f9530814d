"""Refactor a block of stably active neurons through the rank of what it feeds.

A block S of neurons that are affine on the domain, h_S = R x + k, reaches the n neurons behind it as W_S R x + W_S k
alone. The rank r of W_S R, at most n, may be smaller than that of R: r new neurons u = V x + t with U V = W_S R do the
same work, where the shift t keeps each of them on one sloped piece of the activation, and is undone in the next bias.
V and U come from the singular value decomposition of W_S R over the domain's widths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from reludsl.backend import FloatArray
from reludsl.layers import Activation, Affine
from reludsl.network import Network, Stage
from reludsl.rewrite.base import Knowledge, NeuronMap, Preserves, Rewritten, Site, rounded
from reludsl.rewrite.merge import Rows, affine_rows
from reludsl.rewrite.remove import stage_of
from reludsl.rewrite.surgery import Surgery

MARGIN = 1e-3
"""How far a new neuron stays from the ends of its piece, as a share of its range: rounding may not carry it over."""


@dataclass(frozen=True, slots=True)
class Refactor:
    """Stably active neurons are exchanged for as many as the next layer can tell apart."""

    name: str = "merged"
    preserves: Preserves = Preserves.WITHIN

    def sites(self, network: Network, known: Knowledge, map: NeuronMap) -> list[Site]:
        """The boldest candidate of every stage."""
        options = (refactorings(network, known, map, stage) for stage in network.hidden)
        return [found[0] for found in options if found]

    def apply(
        self, network: Network, known: Knowledge, map: NeuronMap, site: Site, dtype: np.dtype[np.floating]
    ) -> Rewritten:
        stage = stage_of(network, site.stage)
        rows = affine_rows(network, known, map, stage)
        found = _next_layer(network, site.stage)
        assert rows is not None
        assert found is not None
        listener, later = found
        block, rank = site.units, site.basis.size
        activation = network.activation(stage)
        piece = _widest(activation)
        slope, intercept = activation.slopes_at(1)[piece, 0], activation.intercepts_at(1)[piece, 0]
        outgoing = later.dense[:, block]
        scaled = outgoing @ rows.scaled[block]
        _, values, right = linalg.svd(scaled, full_matrices=False)
        half = 0.5 * (rows.before.upper - rows.before.lower)
        inverse = np.divide(1.0, half, out=np.zeros_like(half), where=half > 0)
        weight = rounded(values[:rank, None] * right[:rank] * inverse / max(1e-300, float(values[0])), dtype)
        shift = _shift(activation, piece, weight, rows, dtype)
        fed = rounded(linalg.lstsq(slope * (weight * half).T, scaled.T)[0].T, dtype)
        centre = rows.centre
        value = slope * (weight @ centre + shift) + intercept
        offset = later.offset + outgoing @ (rows.slope[block] @ centre + rows.constant[block]) - fed @ value
        keep = np.ones(stage.size, dtype=np.bool_)
        keep[block] = False
        before = network.by_name[stage.pre]
        layer = before.layer
        assert isinstance(layer, Affine)
        surgery = Surgery(network, dtype)
        surgery.put(
            before.name,
            Affine(np.concatenate([layer.dense[keep], weight]), np.concatenate([layer.offset[keep], shift])),
            before.source,
        )
        surgery.put(site.stage, activation, stage.pre)
        surgery.put(
            listener, Affine(np.concatenate([later.dense[:, keep], fed], axis=1), rounded(offset, dtype)), site.stage
        )
        surgery.replaced(site.stage, np.flatnonzero(keep), rank)
        return surgery.done()


def refactorings(network: Network, known: Knowledge, map: NeuronMap, stage: Stage) -> list[Site]:
    """Exchanges of the stably active neurons of a stage for fewer, the boldest first; `basis` says for how many."""
    name = str(stage.activation)
    found = _next_layer(network, name)
    rows = affine_rows(network, known, map, stage)
    alone = network.listeners.get(stage.pre) == (name,)
    if found is None or rows is None or not alone or network.activation(stage).parameters:
        return []
    block = rows.active
    most = min(block.size - 1, len(found[1].offset))
    if most < 1:
        return []
    values = linalg.svdvals(found[1].dense[:, block] @ rows.scaled[block])
    smallest = max(1, int((values > 1e-3 * values[0]).sum())) if values.size and values[0] > 0 else 1
    return [Site(name, block, np.arange(rank)) for rank in range(smallest, most + 1)]


def _next_layer(network: Network, name: str) -> tuple[str, Affine] | None:
    """The dense layer that alone listens to an activation."""
    listeners = network.listeners[name]
    if name == network.output or len(listeners) != 1:
        return None
    node = network.by_name[listeners[0]]
    return (node.name, node.layer) if isinstance(node.layer, Affine) and node.sources == (name,) else None


def _widest(activation: Activation) -> int:
    """The sloped piece with the most room."""
    edges = np.concatenate([[-np.inf], activation.breaks_at(1)[:, 0], [np.inf]])
    room = np.where(activation.slopes_at(1)[:, 0] != 0, np.diff(edges), -1.0)
    return int(room.argmax())


def _shift(
    activation: Activation, piece: int, weight: FloatArray, rows: Rows, dtype: np.dtype[np.floating]
) -> FloatArray:
    """A bias for each new neuron that keeps it on its piece; on a bounded piece it may not fit, and a bound tells."""
    edges = np.concatenate([[-np.inf], activation.breaks_at(1)[:, 0], [np.inf]])
    low, high = edges[piece], edges[piece + 1]
    reach = np.abs(weight) @ (0.5 * (rows.before.upper - rows.before.lower)) * (1 + MARGIN)
    middle = weight @ rows.centre
    if np.isfinite(low) and np.isfinite(high):
        wanted = np.full(len(weight), 0.5 * (low + high))
    elif np.isfinite(low):
        wanted = low + reach
    elif np.isfinite(high):
        wanted = high - reach
    else:
        wanted = middle
    # no shift where the neuron keeps to its piece by itself
    inside = (middle - reach >= low) & (middle + reach <= high)
    return np.where(inside, 0.0, rounded(wanted - middle, dtype))
