"""Express units by others: h_gone = C h_basis + c, so that their outgoing weights move to the basis, and they go.

What every merge comes down to. The layers that listen take the weights; on the way to them the units may pass a reshape
or an average pool, which treat all units alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.layers import Affine, AveragePool, Conv, Layer, Reshape
from reludsl.network import Network, Node
from reludsl.rewrite.base import positions, rounded
from reludsl.rewrite.narrow import smaller_shape
from reludsl.rewrite.surgery import Surgery


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """h_gone = coefficient @ h_basis + constant, unit by unit, at every position alike.

    Args:
        value: (n,) the elements at the centre of what is known of them: biases take what rounding does there.
    """

    gone: IntArray
    basis: IntArray
    coefficient: FloatArray
    constant: FloatArray
    value: FloatArray


def mixable(network: Network, name: str, constant: bool = True) -> bool:
    """Whether all that listens to a value can take such a mixture.

    Args:
        constant: the mixture may hold constants, which a padded convolution cannot take.
    """
    if name == network.output:
        return False
    return all(
        len(node.sources) == 1 and _takes(network, node, constant)
        for node in (network.by_name[listener] for listener in network.listeners[name])
    )


def _takes(network: Network, node: Node, constant: bool) -> bool:
    layer = node.layer
    if isinstance(layer, Affine):
        return True
    units = network.size(node.source) // positions(network.shapes[node.source])
    if isinstance(layer, Conv):
        # the elements of one channel over one axis are units of a vector, and no channels
        whole = layer.groups == 1 and layer.weight.shape[1] == units
        return whole and not (constant and np.any(layer.pads))
    if isinstance(layer, Reshape):
        flat = positions(network.shapes[node.name]) == 1
        return flat and mixable(network, node.name, constant)
    if isinstance(layer, AveragePool):
        return not constant and layer.channels == units and mixable(network, node.name, constant)
    return False


def mix(surgery: Surgery, name: str, mixture: Mixture) -> None:
    """Take the units of a mixture out of an activation, and move their outgoing weights."""
    shape = surgery.shapes[name]
    size = surgery.size(name)
    per_unit = positions(shape)
    keep = np.ones(size // per_unit, dtype=np.bool_)
    keep[mixture.gone] = False
    _tell(surgery, name, mixture, keep, per_unit)
    surgery.shrink(name, np.repeat(keep, per_unit))


def _tell(surgery: Surgery, name: str, mixture: Mixture, keep: BoolArray, per_unit: int) -> None:
    for node in surgery.listeners(name):
        layer = node.layer
        if isinstance(layer, Affine):
            surgery.nodes[node.name] = Node(node.name, _affine(layer, mixture, keep, per_unit, surgery.dtype), name)
        elif isinstance(layer, Conv):
            surgery.nodes[node.name] = Node(node.name, _conv(layer, mixture, keep, surgery.dtype), name)
        else:
            shape = surgery.shapes[node.name]
            passed, positions_after = _passed(layer, mixture, keep, surgery.size(node.name))
            _tell(surgery, node.name, passed, keep, positions_after)
            after = smaller_shape(shape, np.repeat(keep, positions_after))
            assert after is not None
            smaller: Layer = layer.narrowed(keep) if isinstance(layer, AveragePool) else Reshape(after)
            surgery.nodes[node.name] = Node(node.name, smaller, name)
            surgery.shapes[node.name] = after


def _passed(layer: Layer, mixture: Mixture, keep: BoolArray, size: int) -> tuple[Mixture, int]:
    return replace(mixture, value=layer(mixture.value[None, :])[0]), size // keep.size


def _affine(layer: Affine, mixture: Mixture, keep: BoolArray, per_unit: int, dtype: np.dtype[np.floating]) -> Affine:
    gone, basis = mixture.gone, mixture.basis
    whole = layer.dense
    by_unit = whole.reshape(len(whole), keep.size, per_unit)
    weight = by_unit.copy()
    moved = np.einsum("ogp,gb->obp", by_unit[:, gone], mixture.coefficient)
    weight[:, basis] = rounded(by_unit[:, basis] + moved, dtype)
    value = mixture.value.reshape(keep.size, per_unit)
    exact = np.einsum("ogp,gp->o", by_unit[:, gone], value[gone]) + np.einsum(
        "obp,bp->o", by_unit[:, basis] - weight[:, basis], value[basis]
    )
    offset = rounded(layer.offset + exact, dtype)
    smaller = weight[:, keep].reshape(len(whole), -1)
    return Affine(sparse.csr_array(smaller) if sparse.issparse(layer.weight) else smaller, offset)


def _conv(layer: Conv, mixture: Mixture, keep: BoolArray, dtype: np.dtype[np.floating]) -> Conv:
    gone, basis = mixture.gone, mixture.basis
    weight = layer.weight.copy()
    moved = np.einsum("og...,gb->ob...", layer.weight[:, gone], mixture.coefficient)
    weight[:, basis] = rounded(layer.weight[:, basis] + moved, dtype)
    offset = layer.offset
    if mixture.constant.any():
        taps = layer.weight[:, gone].reshape(*layer.weight[:, gone].shape[:2], -1).sum(axis=2)
        offset = rounded(offset + taps @ mixture.constant, dtype)
    return replace(layer, weight=weight[:, keep], offset=offset)
