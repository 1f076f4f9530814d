"""What a search that proved no end says of the number of patterns: an upper bound of the architecture."""

from __future__ import annotations

from reludsl.layers import MaxLayer
from reludsl.network import Network
from reludsl.regions.bounds import bounds
from reludsl.regions.definition import Definition


def ceiling(network: Network, definition: Definition, most: int) -> int:
    """The smaller of `most` and what `reludsl.regions.bounds` proves for every domain. Affine regions are no more.

    Published bounds are about regions with an interior. Those of widths and ranks hold for PATTERNS as well: lower the
    biases of every layer, much less in earlier layers than in later ones and all by less than what any pattern's input
    leaves to its strict edges; then every pattern has an interior, in a network of the same widths and ranks. Maxima
    that list the same inputs in different orders have no such perturbation, and signs of biases are not kept.

    Args:
        most: patterns that bounds of the units leave open.

    >>> from reludsl.networks import random_network
    >>> ceiling(random_network((1, 3, 3)), Definition.PATTERNS, 64)
    16
    """
    if most <= 1:
        # an affine network has no unit that the bounds could be about
        return most
    if definition is not Definition.PATTERNS:
        return min(most, bounds(network).upper)
    if any(isinstance(node.layer, MaxLayer) for node in network.nodes):
        return most
    found = bounds(network)
    values = (found.serra_2018, found.serra_2018_rank, found.montufar_2017)
    return min([most, *(value for value in values if value is not None)])
