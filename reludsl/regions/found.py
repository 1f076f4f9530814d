"""Regions as they are found: a batch of patterns, an input in each, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.network import Network
from reludsl.regions.cell import float_cell
from reludsl.regions.edges import unit_layers
from reludsl.regions.units import Words, plan


@dataclass(frozen=True, eq=False)
class Regions:
    """A batch of regions of one network.

    Args:
        patterns: (m, units) the piece of every unit, in the order of the network's nodes.
        witnesses: (m, input_size) an input inside each.

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

    @cached_property
    def _values(self) -> dict[str, FloatArray]:
        return self.network.values(self.witnesses)

    def packed(self) -> Words:
        """Patterns as words of 64 bits, (m, words): piece - 1 bits for a unit, see `reludsl.regions.units`."""
        return plan(self.network).pack(self.patterns)

    def maps(self) -> tuple[FloatArray, FloatArray]:
        """The output on each region, A x + c: (m, outputs, inputs) and (m, outputs)."""
        network, m = self.network, len(self)
        slopes = np.empty((m, network.output_size, network.input_size))
        for k in range(network.output_size):
            row = np.zeros((m, network.output_size))
            row[:, k] = 1.0
            slopes[:, k] = network.gradient(self._values, network.output, row)
        offset = self._values[network.output] - np.einsum("moi,mi->mo", slopes, self.witnesses)
        return slopes, offset

    def inequalities(self, k: int) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Region k as {x in the domain: A x + b >= 0}, > 0 where strict: (r, inputs), (r,), (r,), rounded."""
        cell = float_cell(self.network, unit_layers(self.network), self.patterns[k])
        return cell.slopes, cell.constants, cell.strict
