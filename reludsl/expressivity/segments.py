"""Regions along segments, for each neuron and each unit of length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.network import Network
from reludsl.regions import line


@dataclass(frozen=True, slots=True, eq=False)
class SegmentDensity:
    """How many activation regions each segment passes through.

    Args:
        regions: (segments,) how many.
        lengths: (segments,) in the Euclidean norm.
        neurons: N, of the network.
    """

    regions: IntArray
    lengths: FloatArray
    neurons: int

    @property
    def per_neuron(self) -> FloatArray:
        """(segments,) regions / N."""
        return np.asarray(self.regions / self.neurons)

    @property
    def crossings_per_length(self) -> FloatArray:
        """(segments,) (regions - 1) / length: breakpoints for each unit of length."""
        return np.asarray((self.regions - 1) / self.lengths)


def segment_density(network: Network, starts: FloatArray, ends: FloatArray) -> SegmentDensity:
    """The number of activation regions on each segment, exactly. Published: it grows linearly in N.

    Args:
        starts, ends: (segments, inputs).

    Raises:
        InvalidInput: shapes that do not fit, a layer whose pieces are unknown.

    Source: Hanin and Rolnick 2019, Complexity of linear regions in deep networks, sections 3 and 4.

    >>> from reludsl.networks import sawtooth
    >>> found = segment_density(sawtooth(3), np.array([[0.0]]), np.array([[1.0]]))
    >>> found.regions, found.neurons, found.crossings_per_length
    (array([8]), 9, array([7.]))
    """
    first, second = network.batch(starts), network.batch(ends)
    regions = line(network, first, second).pieces
    return SegmentDensity(regions, np.linalg.norm(second - first, axis=1), network.neurons)
