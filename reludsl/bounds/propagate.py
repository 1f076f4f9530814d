"""Interval bounds: push a box through the layers. Cheap, and never beaten by more than the correlations it forgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reludsl.backend import BoolArray, FloatArray
from reludsl.domain import Box, Domain
from reludsl.network import INPUT, Network, Stage


@dataclass(frozen=True, eq=False)
class Bounds:
    """A box for the value of every node of a network, over one domain.

    Args:
        network, domain: what the bounds are about.
        boxes: node name -> flat box; `INPUT` holds the domain's enclosure.
    """

    network: Network
    domain: Domain
    boxes: Mapping[str, Box]

    def pre(self, stage: Stage) -> Box:
        """Bounds of a stage's pre-activations (of the outputs for the output stage)."""
        return self.boxes[stage.pre]

    def unstable(self, stage: Stage) -> BoolArray:
        """Which neurons of a stage may cross a break; all False for the output layer."""
        if stage.activation is None:
            return np.zeros(stage.size, dtype=np.bool_)
        return np.asarray(self.network.activation(stage).held_piece(self.pre(stage)) < 0)

    def tightened(self, boxes: Mapping[str, Box]) -> Bounds:
        """The same bounds intersected with others that are proved too."""
        merged = {name: box.intersect(boxes[name]) if name in boxes else box for name, box in self.boxes.items()}
        return Bounds(self.network, self.domain, merged)


def forward_errors(bounds: Bounds) -> dict[str, FloatArray]:
    """A bound on the rounding error of a float64 forward pass: node -> (size,), for every input of the domain."""
    network = bounds.network
    errors = {INPUT: np.zeros(network.input_size)}
    for node in network.cone(network.output):
        errors[node.name] = node.layer.forward_error(network.around(node, bounds.boxes), network.gather(node, errors))
    return errors


def interval(network: Network, domain: Domain, known: Bounds | None = None) -> Bounds:
    """Interval bounds of every node: W h + b lies within W m + b -+ |W| r for h within m -+ r.

    Args:
        known: proved bounds of the same network and domain, intersected on the way.

    Raises:
        InvalidInput: the domain does not fit the network.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu], (1,))
    >>> interval(net, Box([-1.0], [2.0])).pre(net.hidden[0]).upper.round(9)
    array([2., 1.])
    """
    network.check_domain(domain)
    boxes = {INPUT: domain.enclosure}
    for node in network.nodes:
        box = node.layer.interval(network.around(node, boxes))
        boxes[node.name] = (
            box if known is None or node.name not in known.boxes else box.intersect(known.boxes[node.name])
        )
    return Bounds(network, domain, boxes)
