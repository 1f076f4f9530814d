"""Merge stably active neurons that depend on one another: w_i = sum_k a_k w_k for a basis of their rows.

On the domain h_i = s_i (w_i x + b_i) + c_i is affine there, so that a dependent neuron is a combination of the
basis plus a constant: its outgoing weights move to the basis and to the next bias, and it goes. The basis is
chosen by pivoted QR (Businger and Golub 1965), which keeps the a_k small; rows are scaled by the width of what
they take, so that a column which is constant on the domain does not count.

How many neurons the basis needs is not decided by a fixed tolerance on singular values (trained layers spread
them over six decades) but by the bound on the output change that the result has: see `compress`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.layers import Affine
from reludsl.network import Network, Stage
from reludsl.rewrite.base import Knowledge, NeuronMap, Pieces, Preserves, Rewritten, Site
from reludsl.rewrite.mix import Mixture, mix, mixable
from reludsl.rewrite.remove import stage_of
from reludsl.rewrite.surgery import Surgery


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Post-activations of the held neurons of a stage as `slope @ x + constant` of what their layer takes; 0 elsewhere.

    Args:
        pieces: which are held, and on what.
        before: bounds of x.
    """

    slope: FloatArray
    constant: FloatArray
    pieces: Pieces
    before: Box

    @property
    def centre(self) -> FloatArray:
        """The middle of x."""
        return 0.5 * (self.before.lower + self.before.upper)

    @property
    def scaled(self) -> FloatArray:
        """The slopes times half the widths of x: a column that is constant on the domain does not count."""
        return self.slope * (0.5 * (self.before.upper - self.before.lower))

    @property
    def active(self) -> IntArray:
        """Neurons held on a sloped piece."""
        return np.flatnonzero(np.isfinite(self.pieces.slope) & (self.pieces.slope != 0))


def affine_rows(network: Network, known: Knowledge, map: NeuronMap, stage: Stage) -> Rows | None:
    """The rows of a stage whose pre-activations one affine layer computes; None for another."""
    node = network.by_name.get(stage.pre)
    if node is None or not isinstance(node.layer, Affine) or len(node.sources) != 1:
        return None
    pieces = Pieces.of(network, stage, known.before(network, map, str(stage.activation)))
    held = pieces.held >= 0
    scale = np.where(held, pieces.slope, 0.0)
    before = known.boxes(network, map)[node.source]
    constant = scale * node.layer.offset + np.where(held, pieces.intercept, 0.0)
    return Rows(scale[:, None] * node.layer.dense, constant, pieces, before)


@dataclass(frozen=True, slots=True)
class Merge:
    """Dependent stably active neurons go. The driver chooses among `candidates` by the bound that each has."""

    name: str = "merged"
    preserves: Preserves = Preserves.WITHIN

    def sites(self, network: Network, known: Knowledge, map: NeuronMap) -> list[Site]:
        """The boldest candidate of every stage."""
        options = (candidates(network, known, map, stage) for stage in network.hidden)
        return [found[0] for found in options if found]

    def apply(
        self, network: Network, known: Knowledge, map: NeuronMap, site: Site, dtype: np.dtype[np.floating]
    ) -> Rewritten:
        rows = affine_rows(network, known, map, stage_of(network, site.stage))
        assert rows is not None
        coefficient = combination(rows, site)
        value = rows.slope @ rows.centre + rows.constant
        constant = rows.constant[site.units] - coefficient @ rows.constant[site.basis]
        surgery = Surgery(network, dtype)
        mix(surgery, site.stage, Mixture(site.units, site.basis, coefficient, constant, value))
        return surgery.done()


def combination(rows: Rows, site: Site) -> FloatArray:
    """a with rows[units] = a @ rows[basis] in the least-squares sense on the domain's width: (gone, basis)."""
    scaled = rows.scaled
    if not site.basis.size:
        return np.zeros((site.units.size, 0))
    return np.asarray(linalg.lstsq(scaled[site.basis].T, scaled[site.units].T)[0].T)


def candidates(network: Network, known: Knowledge, map: NeuronMap, stage: Stage, threshold: float = 0.5) -> list[Site]:
    """Merges of one stage, the boldest first: bases of the numerical rank, then one neuron more at a time.

    Pivoted QR orders the neurons; the first r of them are the basis of size r. Sizes below the numerical rank
    are offered too, down to where what the basis leaves over is 1e-3 of the largest row.

    Args:
        threshold: of the pivoting, see `pivot_order`.
    """
    name = str(stage.activation)
    if not mixable(network, name):
        return []
    rows = affine_rows(network, known, map, stage)
    if rows is None or rows.active.size < 2:
        return []
    active = rows.active
    order, left = pivot_order(rows.scaled[active], threshold)
    smallest = int((left > 1e-3 * left[0]).sum()) if left[0] > 0 else 0
    pivots = active[order]
    return [Site(name, np.sort(pivots[r:]), np.sort(pivots[:r])) for r in range(smallest, active.size)]


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
