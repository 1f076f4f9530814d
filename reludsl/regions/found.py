"""Regions as they are found: a batch of patterns, an input in each, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.layers import AffineLayer, MaxLayer, elementwise
from reludsl.network import INPUT, Network
from reludsl.regions.cell import float_cell
from reludsl.regions.edges import unit_layers
from reludsl.regions.units import Plan, Words, plan


@dataclass(frozen=True, eq=False)
class Regions:
    """A batch of regions of one network.

    Args:
        patterns: (m, units) the piece of every unit, in the order of the network's nodes.
        witnesses: (m, input_size) an input inside each; rounded where only rationals are inside.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[2.0], [-1.0]]), np.array([-1.0, 0.0])), relu,
    ...                      Affine(np.array([[1.0, 3.0]]), np.zeros(1))], (1,))
    >>> found = Regions(net, np.array([[1, 0], [0, 1]]), np.array([[0.75], [-0.5]]))
    >>> found.packed().tolist(), [part.tolist() for part in found.maps()]
    ([[1], [2]], [[[[2.0]], [[-3.0]]], [[-1.0], [0.0]]])
    >>> [part.tolist() for part in found.inequalities(0)]
    [[[2.0], [1.0]], [-1.0, 0.0], [True, False]]
    """

    network: Network
    patterns: IntArray
    witnesses: FloatArray

    def __len__(self) -> int:
        return len(self.patterns)

    def packed(self) -> Words:
        """Patterns as words of 64 bits, (m, words): piece - 1 bits for a unit, see `reludsl.regions.units`."""
        return plan(self.network).pack(self.patterns)

    def maps(self) -> tuple[FloatArray, FloatArray]:
        """The output on each region, A x + c: (m, outputs, inputs) and (m, outputs)."""
        network, m = self.network, len(self)
        own = plan(network)
        pieces = own.split(self.patterns)
        slopes = np.empty((m, network.output_size, network.input_size))
        offset = np.empty((m, network.output_size))
        for k in range(network.output_size):
            row = np.zeros((m, network.output_size))
            row[:, k] = 1.0
            slopes[:, k], offset[:, k] = _pulled(own, pieces, row)
        return slopes, offset

    def inequalities(self, k: int) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Region k as {x in the domain: A x + b >= 0}, > 0 where strict: (r, inputs), (r,), (r,), rounded."""
        cell = float_cell(self.network, unit_layers(self.network), self.patterns[k])
        return cell.slopes, cell.constants, cell.strict


def _pulled(own: Plan, pieces: list[IntArray], rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """`rows` of the output on given pieces as functions of the input: (m, inputs), and constants (m,).

    By the pieces and not by a witness: of a region without an interior it is rounded, and may be on other pieces.
    """
    network, constant = own.network, np.zeros(len(rows))
    pending = {network.output: rows}
    for step in reversed(own.steps):
        node, layer = step.node, step.node.layer
        a = pending.pop(node.name)
        if isinstance(layer, AffineLayer):
            constant += a @ np.broadcast_to(layer.bias, a.shape[1:])
            taken = layer.adjoint(a)
        else:
            assert step.part is not None
            piece = pieces[step.part.number]
            if isinstance(layer, MaxLayer):
                taken = np.zeros((len(a), sum(map(network.size, node.sources))))
                chosen = layer.windows[np.arange(step.part.size), piece]
                np.add.at(taken, (np.arange(len(a))[:, None], chosen), a)
            else:
                assert elementwise(layer)
                constant += (a * layer.intercept_of(piece)).sum(axis=1)
                taken = a * layer.slope_of(piece)
        for source, part in network.split(node, taken):
            pending[source] = pending[source] + part if source in pending else part
    return pending[INPUT], constant
