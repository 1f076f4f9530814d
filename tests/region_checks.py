"""Counting by cells, checked: counts that must be proved, regions in one list, and what rational arithmetic says."""

from __future__ import annotations

from typing import Any

import numpy as np

from reludsl import regions
from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Domain, Norm, Space
from reludsl.exact import exactly
from reludsl.network import Network
from reludsl.regions import Regions, count
from reludsl.regions.edges import unit_layers
from reludsl.regions.result import RegionCount
from reludsl.testing import region_oracle

Where = Domain | Space
DEFINITIONS = ("activation", "patterns", "affine")


def cells(network: Network, where: Where, definition: str = "activation", **asked: Any) -> RegionCount:
    return count(network, where, definition=definition, method="cells", **asked)


def proved(found: RegionCount) -> int:
    """The number, if nothing is left open."""
    assert (found.lower, found.upper, found.ambiguous, found.complete) == (found.count, found.count, 0, True)
    assert found.exact
    return found.count


def cube(n: int, half: float = 1.0) -> Box:
    return Box.full(-half, half, (n,))


def listed(network: Network, where: Where, **asked: Any) -> Regions:
    """All regions in one batch."""
    found = list(regions.enumerate(network, where, **asked))
    units = sum(layer.size for layer in unit_layers(network))
    patterns = [np.zeros((0, units), dtype=np.int64), *(part.patterns for part in found)]
    inputs = [np.zeros((0, network.input_size)), *(part.witnesses for part in found)]
    return Regions(network, np.concatenate(patterns), np.concatenate(inputs))


def patterns(found: Regions) -> set[tuple[int, ...]]:
    return set(map(tuple, found.patterns.tolist()))


def truth(network: Network, where: Where) -> region_oracle.Counts:
    return region_oracle.counts(network, None if isinstance(where, Space) else where)


def exact_pattern(network: Network, x: FloatArray) -> tuple[int, ...]:
    """The pieces of one input in rationals."""
    values = network.exact_values(exactly(x))
    return tuple(
        piece
        for layer in unit_layers(network)
        for piece in layer.exact_piece(network.gather(layer.node, values)).tolist()
    )


def searchable(where: Domain) -> bool:
    """Not an L1 ball, not a point, not a ball without width in some coordinate."""
    box = where.enclosure
    if not isinstance(where, Ball):
        return bool((box.upper > box.lower).any())
    # a ball is rounded outward by some units in the last place
    return where.norm is not Norm.L1 and bool((box.upper - box.lower > 1e-9).all())


def has_units(network: Network) -> bool:
    return bool(unit_layers(network))
