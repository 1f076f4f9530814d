"""How far two networks can be apart on the domain: the proof behind `equivalence`.

Nothing is taken from the rewrites but which neurons they kept. Layer by layer, the new pre-activations are
compared with the old ones of the same neurons. With the old network's bounds,

* a neuron held on one piece is an affine function of what its layer takes, so that the parts which a merge or
  fold moved around cancel exactly, up to rounding;
* a neuron that is not held takes any value of its interval: one that was removed wrongly shows as an error of
  the size of its outgoing weights;
* a stage that the new network lacks is substituted the same way;
* what is left over is bounded on the domain, and carried on by |W| and the steepest slope.

All sums are widened by their rounding error, so that the bound holds in exact arithmetic for the weights given.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.layers import Activation, AffineLayer
from reludsl.rewrite.base import Knowledge, NeuronMap, pieces
from reludsl.rewrite.chain import Chain
from reludsl.rewrite.merge import affine_rows, constant_sizes


@dataclass(slots=True, eq=False)
class _Affine:
    """`matrix @ v + constant +- radius` for a vector v in a box, with `radius` an absolute error."""

    matrix: FloatArray
    constant: FloatArray
    radius: FloatArray

    def substitute(self, old: Chain, known: Knowledge, stage: int) -> _Affine:
        """Replace the post-activations of a stage by what it takes: held neurons exactly, the others by their box."""
        held, _, _ = pieces(old, known, stage)
        rows, constants = affine_rows(old, known, stage)
        box = known.post[stage]
        free = held < 0
        centre = np.where(free, 0.5 * (box[0] + box[1]), 0.0)
        spread = np.where(free, np.maximum(box[1] - centre, centre - box[0]), 0.0)
        inner = np.where(free, 0.0, self.matrix)
        magnitude = np.maximum(*np.abs(known.before(stage)))
        # what the constants were added up from, before anything cancelled in them
        size = np.abs(rows) @ magnitude + constant_sizes(old, known, stage) + np.abs(centre) + spread
        terms = rows.shape[0] + rows.shape[1]
        lost = numeric.gamma(terms + 6) * (np.abs(self.matrix) @ size)
        lost = np.where(lost == 0, 0.0, lost + numeric.underflow(terms) * (1.0 + magnitude.sum() + size.sum()))
        return _Affine(
            inner @ rows,
            self.constant + self.matrix @ (constants + centre),
            self.radius + np.abs(self.matrix) @ spread + lost,
        )

    def largest(self, box: FloatArray) -> FloatArray:
        """max |.| over the box, rounded up."""
        centre = 0.5 * (box[0] + box[1])
        spread = np.maximum(box[1] - centre, centre - box[0])
        value = np.abs(self.matrix @ centre + self.constant) + np.abs(self.matrix) @ spread + self.radius
        size = np.abs(self.matrix) @ (np.abs(centre) + spread) + np.abs(self.constant) + self.radius
        lost = numeric.gamma(2 * box.shape[1] + 6) * size + numeric.underflow(box.shape[1])
        # a gap of nothing at all is exactly zero: only neurons went that put out zero
        return numeric.up(value, np.where(size == 0, 0.0, lost))


def output_difference(old: Chain, new: Chain, map: NeuronMap, known: Knowledge) -> FloatArray:
    """Upper bounds of |new(x) - old(x)| over the domain, output by output: (n_out,).

    Args:
        map: which old neurons the new network's neurons claim to be.
        known: proved bounds of the old network over the domain.

    Infinite where the two cannot be compared (another prefix, suffix or output size).
    """
    outputs = old.layers[-1].width
    if not _comparable(old, new, map):
        return np.full(outputs, np.inf)
    anchor, columns = -1, np.arange(known.source.shape[1])
    moved = np.zeros(columns.size)
    for k, layer in enumerate(new.layers):
        last = k == new.depth
        stage = old.depth if last else map.stages[k].stage
        rows = np.arange(outputs) if last else map.stages[k].neurons
        moved = _layer_difference(old, known, (stage, rows), (anchor, columns), layer.weight, layer.bias, moved)
        if not last:
            assert layer.activation is not None
            moved = numeric.inflated(layer.activation.lipschitz * moved)
            anchor, columns = stage, rows
    for node in new.suffix:
        if isinstance(node.layer, Activation):
            moved = numeric.inflated(node.layer.lipschitz * moved)
        else:
            assert isinstance(node.layer, AffineLayer)
            moved = numeric.inflated(node.layer.absolute(moved))
    return moved


def _comparable(old: Chain, new: Chain, map: NeuronMap) -> bool:
    same_ends = [n.layer for n in old.prefix] == [n.layer for n in new.prefix] and [n.layer for n in old.suffix] == [
        n.layer for n in new.suffix
    ]
    increasing = [k.stage for k in map.stages] == sorted({k.stage for k in map.stages})
    fits = len(map.stages) == new.depth and all(
        kept.neurons.size == dense.width and old.layers[kept.stage].activation == dense.activation
        for kept, dense in zip(map.stages, new.layers)
    )
    return same_ends and increasing and fits and old.layers[-1].width == new.layers[-1].width


def _layer_difference(
    old: Chain,
    known: Knowledge,
    target: tuple[int, IntArray],
    anchor: tuple[int, IntArray],
    weight: FloatArray,
    bias: FloatArray,
    moved: FloatArray,
) -> FloatArray:
    """|W' h' + b' - g| for the old pre-activations g of the target neurons, where |h' - h| <= moved at the anchor."""
    stage, rows = target
    layer = old.layers[stage]
    gap = _Affine(-layer.weight[rows], bias - layer.bias[rows], numeric.UNIT * np.abs(bias - layer.bias[rows]))
    for between in range(stage - 1, anchor[0], -1):
        gap = gap.substitute(old, known, between)
    matrix = gap.matrix.copy()
    matrix[:, anchor[1]] += weight
    gap.radius = gap.radius + numeric.inflated(np.abs(weight) @ moved)
    box = known.source if anchor[0] < 0 else known.post[anchor[0]]
    reach = np.maximum(*np.abs(box))
    gap.radius = gap.radius + 2 * numeric.UNIT * (np.abs(matrix) @ reach)
    gap = _Affine(matrix, gap.constant, gap.radius)
    if anchor[0] >= 0:
        gap = gap.substitute(old, known, anchor[0])
        box = known.before(anchor[0])
    return gap.largest(box)
