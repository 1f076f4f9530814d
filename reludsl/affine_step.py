"""Affine layers composed: the rows of a program that stand between one activation and those before it.

Where several layers follow each other, or branches meet, their matrices are multiplied and added up. What that rounds
is told: such a row is widened, and one that nothing was rounded in stays an equation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.layers import AffineLayer
from reludsl.network import Network, Node


@dataclass(frozen=True, slots=True, eq=False)
class AffineStep:
    """A node's value as a sum of `matrix @ h` over other nodes, plus `constant`, up to `error`.

    Args:
        parts: node whose layer is not affine, or the input -> matrix.
    """

    parts: Mapping[str, sparse.csr_array]
    constant: FloatArray
    error: FloatArray


def affine_step(network: Network, name: str, boxes: Mapping[str, Box]) -> AffineStep:
    """The affine layers between a node and what stands before them (activations, maxima, the input), as one.

    Args:
        boxes: bounds of every node; the error of composing layers holds on them.
    """
    # rows of the node over others; None for the node itself. `pure`: nothing but copies on the way
    pending: dict[str, tuple[sparse.csr_array | None, bool]] = {name: (None, True)}
    constant, exact = np.zeros(network.size(name)), True
    passed: list[Node] = []
    for node in reversed(network.cone(name)):
        layer = node.layer
        if node.name not in pending or not isinstance(layer, AffineLayer):
            continue
        passed.append(node)
        matrix, pure = pending.pop(node.name)
        sizes = [network.size(source) for source in node.sources]
        bias = np.broadcast_to(layer.bias, (network.size(node.name),))
        if bias.any():
            shift = bias if matrix is None else matrix @ bias
            exact &= pure and bool(numeric.exact_sum(constant, shift).all())
            constant = constant + shift
        exact &= layer.exact_rows and (pure or layer.copies)
        rows = sparse.csr_array(layer.rows(sum(sizes)))
        matrix = rows if matrix is None else sparse.csr_array(matrix @ rows)
        ends = np.cumsum([0, *sizes])
        for source, start, stop in zip(node.sources, ends, ends[1:]):
            part = matrix if len(sizes) == 1 else matrix[:, start:stop]
            before, also = pending.get(source, (None, True))
            if source in pending:
                exact = False
                part = part + (sparse.eye_array(part.shape[0], format="csr") if before is None else before)
            part = sparse.csr_array(part)
            single = int(np.diff(part.indptr).max(initial=0)) <= 1
            pending[source] = (part, pure and layer.copies and also and single)
    found = {
        at: sparse.csr_array(sparse.eye_array(network.size(at))) if matrix is None else matrix
        for at, (matrix, _) in pending.items()
    }
    error = np.zeros_like(constant)
    if not exact:
        error = _composing_error(network, passed, found, boxes)
    return AffineStep(found, constant, error)


def _composing_error(
    network: Network, passed: Sequence[Node], ends: Mapping[str, sparse.csr_array], boxes: Mapping[str, Box]
) -> FloatArray:
    """What rounding the coefficients of composed layers may cost: the magnitudes that were added up, times gamma."""
    magnitude = {end: boxes[end].magnitude for end in ends}
    terms = 0
    for node in reversed(passed):
        layer = node.layer
        assert isinstance(layer, AffineLayer)
        magnitude[node.name] = layer.absolute(network.gather(node, magnitude)) + np.abs(layer.bias)
        terms += layer.terms + 4
    # constants are summed over whole rows of the composed layers
    terms = max(terms, *(int(np.diff(sparse.csr_array(matrix).indptr).max(initial=0)) for matrix in ends.values()))
    smallest = numeric.underflow(terms) * (1.0 + sum(float(magnitude[end].sum()) for end in ends))
    return np.asarray(numeric.gamma(terms) * magnitude[passed[0].name] + smallest)
