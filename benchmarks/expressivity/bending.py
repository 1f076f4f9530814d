"""Where the boundaries that units draw in a slice bend, and a network cut off behind each of its layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl.network import Network
from reludsl.regions import Plane

SHORT, STRAIGHT = 1e-6, 1e-6
"""Edges below this share of the slice have no direction to speak of; turns with a smaller sine are rounding."""


@dataclass(frozen=True, slots=True)
class Bends:
    """Regions of a slice; how often the boundaries of each layer bend, and how often with no earlier layer's there."""

    regions: int
    bends: list[int]
    elsewhere: int


def bends(found: Plane) -> Bends:
    """At every inner vertex, two edges that one unit made either go straight on or bend."""
    ends = np.concatenate([found.tail, found.head])
    other = np.concatenate([found.head, found.tail])
    edge = np.tile(np.arange(found.edges), 2)
    maker, part = found.maker[edge], found.edge_part[edge]
    where = found.coordinates
    step = where[other] - where[ends]
    length = np.linalg.norm(step, axis=1)
    # the first layer with an edge at every vertex
    first = np.full(found.vertices, len(found.plan.parts))
    inner = maker >= 0
    np.minimum.at(first, ends[inner], part[inner])
    chosen = np.flatnonzero(inner & (length > SHORT * np.ptp(where, axis=0).max()))
    order = chosen[np.lexsort((maker[chosen], ends[chosen]))]
    key = ends[order] * (maker.max() + 1) + maker[order]
    _, start, size = np.unique(key, return_index=True, return_counts=True)
    a, b = order[start[size == 2]], order[start[size == 2] + 1]
    turn = np.abs(step[a, 0] * step[b, 1] - step[a, 1] * step[b, 0]) / (length[a] * length[b])
    bent = a[turn > STRAIGHT]
    count = np.bincount(part[bent], minlength=len(found.plan.parts))
    return Bends(found.faces, count.tolist(), int((first[ends[bent]] >= part[bent]).sum()))


def by_depth_of(network: Network) -> list[Network]:
    """The network up to its first activation, up to its second, and so on."""
    return [
        Network(network.cone(stage.activation), network.input_shape, stage.activation)
        for stage in network.hidden
        if stage.activation is not None
    ]
