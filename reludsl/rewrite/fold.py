"""Fold a stage whose neurons are all stable into what listens to it: W' = W2 S W1, b' = W2 (S b1 + c) + b2.

Side condition: every neuron is held on one piece, h = s (w x + b) + c. Between two dense layers a fold can make a
network larger (n0 n2 against n1 (n0 + n2) weights): the policy is the caller's. Elsewhere (convolutions, sums of
branches) the activation alone goes, and a scale takes its place where its slopes are not 1. A layer of max units that
each copy the same input throughout becomes a selection.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reludsl.domain import Box
from reludsl.layers import Affine, BatchNorm, Gather, MaxLayer, Reshape
from reludsl.network import Network, Node, Stage
from reludsl.rewrite.base import Knowledge, NeuronMap, Pieces, Preserves, Rewritten, Site, rounded
from reludsl.rewrite.merge import affine_rows
from reludsl.rewrite.remove import stage_of
from reludsl.rewrite.surgery import Surgery


class FoldPolicy(enum.Enum):
    """When to fold."""

    AUTO = "auto"
    """Only when the number of parameters does not grow."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Fold:
    """Stages of stable neurons go."""

    policy: FoldPolicy = FoldPolicy.AUTO
    name: str = "folded"
    preserves: Preserves = Preserves.WITHIN

    def sites(self, network: Network, known: Knowledge, map: NeuronMap) -> list[Site]:
        if self.policy is FoldPolicy.NEVER:
            return []
        found = []
        for stage in network.hidden:
            name = str(stage.activation)
            pieces = Pieces.of(network, stage, known.before(network, map, name))
            if not (pieces.held >= 0).all():
                continue
            inlaid = _between_dense(network, stage)
            grows = growth(network, stage) if inlaid else _scale_size(pieces)
            if self.policy is FoldPolicy.ALWAYS or grows <= 0:
                found.append(Site(name, np.arange(stage.size)))
        maxima = [n for n in network.cone(network.output) if isinstance(n.layer, MaxLayer)]
        boxes = known.boxes(network, map) if maxima else {}
        found += [Site(n.name, np.arange(0)) for n in maxima if _copied(network, n, boxes) is not None]
        return found

    def apply(
        self, network: Network, known: Knowledge, map: NeuronMap, site: Site, dtype: np.dtype[np.floating]
    ) -> Rewritten:
        surgery = Surgery(network, dtype)
        node = network.by_name[site.stage]
        if isinstance(node.layer, MaxLayer):
            selection = _copied(network, node, known.boxes(network, map))
            assert selection is not None
            surgery.elements.pop(node.name)
            surgery.put(node.name, selection, *node.sources)
            return surgery.done()
        stage = stage_of(network, site.stage)
        if _between_dense(network, stage):
            _fold_dense(surgery, network, known, map, stage, dtype)
        else:
            pieces = Pieces.of(network, stage, known.before(network, map, site.stage))
            _fold_alone(surgery, stage, pieces)
        return surgery.done()


def _fold_dense(
    surgery: Surgery, network: Network, known: Knowledge, map: NeuronMap, stage: Stage, dtype: np.dtype[np.floating]
) -> None:
    rows = affine_rows(network, known, map, stage)
    assert rows is not None
    source = network.by_name[stage.pre].source
    for listener in network.listeners[str(stage.activation)]:
        later = network.by_name[listener].layer
        assert isinstance(later, Affine)
        weight = rounded(later.dense @ rows.slope, dtype)
        # the bias takes what rounding the weights does at the centre of the domain
        exact = later.dense @ (rows.slope @ rows.centre + rows.constant) + later.offset
        surgery.put(listener, Affine(weight, rounded(exact - weight @ rows.centre, dtype)), source)
    surgery.elements.pop(str(stage.activation))


def _fold_alone(surgery: Surgery, stage: Stage, pieces: Pieces) -> None:
    """Put the line that every neuron is held on in the place of the activation."""
    name = str(stage.activation)
    surgery.elements.pop(name)
    if not _scale_size(pieces):
        surgery.rewire(name, stage.pre)
        del surgery.nodes[name]
        if surgery.output == stage.pre and not surgery.nodes:
            surgery.put(name, Reshape(surgery.shapes[stage.pre]), stage.pre)
        return
    surgery.put(name, BatchNorm(pieces.slope, pieces.intercept), stage.pre)


def _copied(network: Network, node: Node, boxes: Mapping[str, Box]) -> Gather | None:
    """The inputs that the units of a maximum copy, where each copies one on all of the box."""
    layer = node.layer
    assert isinstance(layer, MaxLayer)
    around = network.around(node, boxes)
    held = layer.held_piece(around)
    if (held < 0).any():
        return None
    index = layer.windows[np.arange(held.size), held]
    return Gather(index, around.size, network.shapes[node.name], "select")


def _scale_size(pieces: Pieces) -> int:
    """Parameters of what takes the place of an activation: none where it is the identity."""
    identity = (pieces.slope == 1).all() and (pieces.intercept == 0).all()
    return 0 if identity else 2 * pieces.held.size


def _between_dense(network: Network, stage: Stage) -> bool:
    """One dense layer before, that nothing else listens to, and dense layers behind."""
    name = str(stage.activation)
    before = network.by_name.get(stage.pre)
    if before is None or not isinstance(before.layer, Affine) or len(before.sources) != 1:
        return False
    behind = [network.by_name[listener] for listener in network.listeners[name]]
    dense = all(isinstance(node.layer, Affine) and node.sources == (name,) for node in behind)
    return bool(behind) and dense and network.listeners[stage.pre] == (name,) and name != network.output


def growth(network: Network, stage: Stage) -> int:
    """Parameters after folding a stage between dense layers, minus before."""
    layer = network.by_name[stage.pre].layer
    assert isinstance(layer, Affine)
    width, size = layer.weight.shape
    later = [network.size(listener) for listener in network.listeners[str(stage.activation)]]
    return int(sum(n * (size - width) for n in later) - width * size - width)
