"""Merge stably active neurons that depend on one another: w_i = sum_k a_k w_k for a basis of their rows.

On the domain h_i = s_i (w_i x + b_i) + c_i is affine there, so that a dependent neuron is a combination of the
basis plus a constant: its outgoing weights move to the basis and to the next bias, and it goes. The basis is
chosen by pivoted QR (Businger and Golub 1965), which keeps the a_k small; rows are scaled by the width of what
they take, so that a column which is constant on the domain does not count.

How many neurons the basis needs is not decided by a fixed tolerance on singular values (trained layers spread
them over six decades) but by the bound on the output change that the result has: see `compress`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from reludsl.backend import FloatArray, IntArray
from reludsl.rewrite.base import Kept, Knowledge, NeuronMap, Preserves, Rewritten, Site, pieces, rounded
from reludsl.rewrite.chain import Chain


@dataclass(frozen=True, slots=True)
class Merge:
    """Dependent stably active neurons go. The driver chooses among `candidates` by the bound that each has."""

    name: str = "merged"
    preserves: Preserves = Preserves.WITHIN

    def sites(self, chain: Chain, known: Knowledge) -> list[Site]:
        """The boldest candidate of every stage."""
        found = []
        for stage in range(chain.depth):
            options = candidates(chain, known, stage)
            if options:
                found.append(options[0])
        return found

    def apply(self, chain: Chain, known: Knowledge, site: Site, dtype: np.dtype[np.floating]) -> Rewritten:
        layer, later = chain.layers[site.stage], chain.layers[site.stage + 1]
        rows, constants = affine_rows(chain, known, site.stage)
        coefficient = combination(rows, known.before(site.stage), site)
        weight = later.weight.copy()
        gone, basis = site.neurons, site.basis
        moved = later.weight[:, gone]
        weight[:, basis] = rounded(later.weight[:, basis] + moved @ coefficient, dtype)
        # the bias takes the constant parts, and what rounding the weights does at the centre of the domain
        centre = known.before(site.stage).mean(axis=0)
        value = rows @ centre + constants
        lost = later.weight[:, basis] @ value[basis] + moved @ value[gone] - weight[:, basis] @ value[basis]
        stay = np.ones(layer.width, dtype=np.bool_)
        stay[gone] = False
        layers = list(chain.layers)
        layers[site.stage] = replace(layer, weight=layer.weight[stay], bias=layer.bias[stay])
        layers[site.stage + 1] = replace(later, weight=weight[:, stay], bias=rounded(later.bias + lost, dtype))
        kept = list(NeuronMap.identity([d.width for d in chain.layers[:-1]]).stages)
        kept[site.stage] = Kept(site.stage, np.flatnonzero(stay))
        return Rewritten(chain.with_layers(tuple(layers)), NeuronMap(tuple(kept)))


def affine_rows(chain: Chain, known: Knowledge, stage: int) -> tuple[FloatArray, FloatArray]:
    """Post-activations of held neurons as rows @ x + constants; zero for the others."""
    layer = chain.layers[stage]
    held, slope, intercept = pieces(chain, known, stage)
    scale = np.where(held >= 0, slope, 0.0)
    return scale[:, None] * layer.weight, scale * layer.bias + np.where(held >= 0, intercept, 0.0)


def constant_sizes(chain: Chain, known: Knowledge, stage: int) -> FloatArray:
    """|s b| + |c| behind the constants of `affine_rows`: what their rounding error is measured by."""
    held, slope, intercept = pieces(chain, known, stage)
    size = np.abs(slope * chain.layers[stage].bias) + np.abs(intercept)
    return np.where(held >= 0, size, 0.0)


def _scaled(rows: FloatArray, before: FloatArray) -> FloatArray:
    return np.asarray(rows * (0.5 * (before[1] - before[0])))


def combination(rows: FloatArray, before: FloatArray, site: Site) -> FloatArray:
    """a with rows[neurons] = a @ rows[basis] in the least-squares sense on the domain's width: (gone, basis)."""
    scaled = _scaled(rows, before)
    if not site.basis.size:
        return np.zeros((site.neurons.size, 0))
    return np.asarray(linalg.lstsq(scaled[site.basis].T, scaled[site.neurons].T)[0].T)


def candidates(chain: Chain, known: Knowledge, stage: int, threshold: float = 0.5) -> list[Site]:
    """Merges of one stage, the boldest first: bases of the numerical rank, then one neuron more at a time.

    Pivoted QR orders the neurons; the first r of them are the basis of size r. Sizes below the numerical rank
    are offered too, down to where what the basis leaves over is 1e-3 of the largest row.

    Args:
        threshold: of the pivoting, see `pivot_order`.
    """
    _, slope, _ = pieces(chain, known, stage)
    active = np.flatnonzero(np.isfinite(slope) & (slope != 0))
    if active.size < 2:
        return []
    rows, _ = affine_rows(chain, known, stage)
    scaled = _scaled(rows, known.before(stage))[active]
    order, left = pivot_order(scaled, threshold)
    smallest = int((left > 1e-3 * left[0]).sum()) if left[0] > 0 else 0
    pivots = active[order]
    return [_site(stage, pivots, r) for r in range(smallest, active.size)]


def pivot_order(rows: FloatArray, threshold: float = 0.5) -> tuple[IntArray, FloatArray]:
    """QR with threshold pivoting: an order of the rows, and the largest residual that the first r of them leave.

    Each step takes the first row whose residual is at least `threshold` of the largest, so that the basis is
    well conditioned and, among equals, the earlier neurons stay.

    >>> pivot_order(np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))[0].tolist()
    [0, 2, 1, 3]
    """
    residual = np.array(rows)
    count = len(rows)
    open_ = np.ones(count, dtype=np.bool_)
    order, left = np.zeros(count, dtype=np.int64), np.zeros(count)
    for step in range(count):
        norms = np.where(open_, np.linalg.norm(residual, axis=1), -1.0)
        left[step] = norms.max()
        chosen = int((norms >= threshold * left[step]).argmax()) if left[step] > 0 else int(open_.argmax())
        order[step], open_[chosen] = chosen, False
        if left[step] > 0:
            direction = residual[chosen] / norms[chosen]
            residual -= np.outer(residual @ direction, direction)
    return order, left


def _site(stage: int, pivots: IntArray, size: int) -> Site:
    return Site(stage, np.sort(pivots[size:]), np.sort(pivots[:size]))
