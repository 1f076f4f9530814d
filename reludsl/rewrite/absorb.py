"""Constant arithmetic taken into a neighbouring layer: batch normalisation, scales and shifts behind weights.

    scale (W x + b) + offset = (scale W) x + (scale b + offset)

and, in front of a dense layer, W (scale x + offset) + b = (W scale) x + (W offset + b). Of a convolution each channel
has a scale of its own. A bias that is added to a product without one is taken over as it is, which rounds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.layers import Affine, AffineLayer, BatchNorm, Conv, Scale, Shift
from reludsl.network import Network, Node
from reludsl.rewrite.base import Knowledge, NeuronMap, Preserves, Rewritten, Site, rounded
from reludsl.rewrite.surgery import Surgery


@dataclass(frozen=True, slots=True)
class Absorb:
    """Batch normalisations, scales and shifts between weights and activations go."""

    name: str = "absorbed"
    preserves: Preserves = Preserves.WITHIN

    def sites(self, network: Network, known: Knowledge, map: NeuronMap) -> list[Site]:
        """The sites' stage is the layer that goes; they are no neurons."""
        cone = network.cone(network.output)
        return [
            Site(node.name, np.zeros(0, dtype=np.int64))
            for node in cone
            if isinstance(node.layer, Shift | Scale | BatchNorm)
            and len(node.sources) == 1
            and (_behind(network, node) or _ahead(network, node))
        ]

    def apply(
        self, network: Network, known: Knowledge, map: NeuronMap, site: Site, dtype: np.dtype[np.floating]
    ) -> Rewritten:
        node = network.by_name[site.stage]
        surgery = Surgery(network, dtype)
        found = _diagonal(node, network.size(node.name))
        assert found is not None
        scale, offset = found
        if _behind(network, node):
            before = network.by_name[node.source]
            layer = _scaled(before.layer, scale, offset, dtype)
            surgery.put(node.name, layer, *before.sources)
            del surgery.nodes[before.name]
        else:
            (listener,) = network.listeners[node.name]
            later = network.by_name[listener].layer
            assert isinstance(later, Affine)
            weight = rounded(later.dense * scale, dtype)
            surgery.put(listener, Affine(weight, rounded(later.offset + later.dense @ offset, dtype)), node.source)
        return surgery.done()


def _behind(network: Network, node: Node) -> bool:
    """It follows weights that nothing else listens to, and has one number for each of their outputs."""
    before = network.by_name.get(node.source)
    if (
        before is None
        or network.listeners[node.source] != (node.name,)
        or network.shapes[before.name] != network.shapes[node.name]
    ):
        return False
    found = _diagonal(node, network.size(node.name))
    assert found is not None
    if isinstance(before.layer, Conv):
        return all(_by_channel(values, before.layer) is not None for values in found)
    return isinstance(before.layer, Affine)


def _ahead(network: Network, node: Node) -> bool:
    """A dense layer alone listens to it; and it is no preparation of the input, which says what a file is fed with."""
    listeners = network.listeners[node.name]
    if len(listeners) != 1 or node.name == network.output:
        return False
    later = network.by_name[listeners[0]]
    inner = any(not isinstance(n.layer, AffineLayer) for n in network.cone(node.name))
    return inner and isinstance(later.layer, Affine) and later.sources == (node.name,)


def _diagonal(node: Node, size: int) -> tuple[FloatArray, FloatArray] | None:
    """(scale, offset) of every element, for a layer that is no more than these."""
    layer = node.layer
    if isinstance(layer, Shift):
        return np.ones(size), np.broadcast_to(layer.offset, (size,))
    if isinstance(layer, Scale):
        factor = 1.0 / layer.factor if layer.divide else layer.factor
        return np.broadcast_to(factor, (size,)), np.zeros(size)
    if isinstance(layer, BatchNorm):
        return np.repeat(layer.scale, layer.positions), np.repeat(layer.offset, layer.positions)
    return None


def _by_channel(values: FloatArray, layer: Conv) -> FloatArray | None:
    grid = values.reshape(len(layer.weight), -1)
    return grid[:, 0] if (grid == grid[:, :1]).all() else None


def _scaled(layer: object, scale: FloatArray, offset: FloatArray, dtype: np.dtype[np.floating]) -> Affine | Conv:
    if isinstance(layer, Conv):
        factor, shift = _by_channel(scale, layer), _by_channel(offset, layer)
        assert factor is not None
        assert shift is not None
        weight = layer.weight * factor.reshape(-1, *([1] * (layer.weight.ndim - 1)))
        return replace(layer, weight=rounded(weight, dtype), offset=rounded(factor * layer.offset + shift, dtype))
    assert isinstance(layer, Affine)
    diagonal = scale[:, None]
    if isinstance(layer.weight, sparse.csr_array):
        weight = sparse.csr_array(layer.weight * diagonal)
        weight.data = rounded(weight.data, dtype)
        return Affine(weight, rounded(scale * layer.offset + offset, dtype))
    return Affine(rounded(layer.weight * diagonal, dtype), rounded(scale * layer.offset + offset, dtype))
