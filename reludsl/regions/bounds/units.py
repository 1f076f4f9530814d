"""What the bounds need to know of a network: its layers of units, and the affine maps between them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import networkx as nx
import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray
from reludsl.errors import InvalidInput
from reludsl.layers import Activation, AffineLayer, MaxLayer
from reludsl.network import INPUT, Network
from reludsl.regions.bounds.ranks import rank_bound, structural_rank


@dataclass(frozen=True, slots=True, eq=False)
class Affinely:
    """A node's value as an affine function of one other node.

    Args:
        source: that node.
        matrix: (n, size of the source), its coefficients as computed.
        error: (n, size of the source), how far each may be from the exact one; it stores what may be other than 0.
        bias, bias_error: (n,) likewise.
        factors: the matrices that were multiplied, where the layers stand in a row.
    """

    source: str
    matrix: sparse.csr_array
    error: sparse.csr_array
    bias: FloatArray
    bias_error: FloatArray
    factors: tuple[FloatArray | sparse.csr_array, ...]

    def may_be(self, sign: int) -> BoolArray:
        """(n, size of the source) where a coefficient may have that sign, 1 or -1."""
        return np.asarray((sign * self.matrix + self.error).toarray() > 0)

    def bias_may_be(self, sign: int) -> BoolArray:
        """(n,) where the bias may have that sign."""
        return np.asarray(sign * self.bias + self.bias_error > 0)

    @property
    def varies(self) -> BoolArray:
        """(n,) False where a row is zero for certain."""
        return np.asarray(abs(self.matrix).sum(axis=1) + self.error.sum(axis=1) > 0)

    def rank(self, structural: bool = False) -> int:
        """An upper bound of the rank of the matrix: exact where one layer is all there is (see `rank_bound`)."""
        whole = structural_rank(abs(self.matrix) + self.error)
        one = structural_rank if structural else rank_bound
        return min(whole, *(one(factor) for factor in self.factors)) if self.factors else whole


@dataclass(frozen=True, slots=True, eq=False)
class Units:
    """A layer of units: activations of one variable each, or maxima.

    Args:
        name: the node.
        pre: the node whose elements the activations take; for maxima the node itself.
        breaks: (size,) hyperplanes of each unit: the breaks of an activation, the pairs of inputs of a maximum.
        pieces: (size,) linear pieces of each unit.
        dimension: what the layer sees of a region of the layers before has no more dimensions than that.
        activation: None for maxima.
    """

    name: str
    pre: str
    breaks: tuple[int, ...]
    pieces: tuple[int, ...]
    dimension: int
    activation: Activation | None

    @property
    def size(self) -> int:
        return len(self.breaks)

    @property
    def families(self) -> tuple[int, ...]:
        """Families of parallel hyperplanes. Those of a maximum are not parallel: each is a family of its own."""
        return self.breaks if self.activation is not None else (1,) * sum(self.breaks)

    @property
    def bends_once_from_a_constant(self) -> bool:
        """Every unit has one break, and is constant on one side of it alone: what an inactive ReLU is about."""
        if self.activation is None or set(self.breaks) != {1}:
            return False
        slopes = self.activation.slopes_at(self.size)
        return bool(((slopes == 0).sum(axis=0) == 1).all())

    @property
    def is_relu(self) -> bool:
        """Every unit is 0 up to 0, and rises from there: active means positive."""
        if self.activation is None or not self.bends_once_from_a_constant:
            return False
        slopes, breaks = self.activation.slopes_at(self.size), self.activation.breaks_at(self.size)
        at_zero = self.activation(np.zeros((1, self.size)))
        return bool((slopes[0] == 0).all() and (slopes[1] > 0).all() and not breaks.any() and not at_zero.any())


@dataclass(frozen=True, eq=False)
class Layout:
    """The layers of units of a network, in order, and how they hang together."""

    network: Network
    units: tuple[Units, ...]

    @classmethod
    def of(cls, network: Network) -> Layout:
        """The layout of a network.

        Raises:
            InvalidInput: a layer whose pieces are not known, or no units at all.
        """
        dimensions = _dimensions(network)
        units: list[Units] = []
        for node in network.cone(network.output):
            layer, size = node.layer, network.size(node.name)
            if isinstance(layer, Activation):
                each, seen = len(layer.breaks), dimensions[node.source]
                units.append(Units(node.name, node.source, (each,) * size, (each + 1,) * size, seen, layer))
            elif isinstance(layer, MaxLayer):
                # a window may repeat an input, which is no choice
                ranks = tuple(len(set(window)) for window in layer.windows.tolist())
                pairs = tuple(math.comb(k, 2) for k in ranks)
                units.append(Units(node.name, node.name, pairs, ranks, dimensions[node.name], None))
            elif not isinstance(layer, AffineLayer):
                raise InvalidInput(
                    f"layer {node.name!r} is a {layer.kind}, whose linear pieces are not known, so that nothing bounds "
                    "the regions; write it with activations and maxima"
                )
        if not units:
            raise InvalidInput(
                "the network is affine: it has one region and no unit to count; give one with activations or maxima"
            )
        return cls(network, tuple(units))

    @property
    def inputs(self) -> int:
        return self.network.input_size

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(layer.size for layer in self.units)

    @cached_property
    def steps(self) -> tuple[Affinely, ...] | None:
        """What each layer of units takes as an affine function of the layer before, None where it takes others too."""
        found = []
        before = INPUT
        for layer in self.units:
            step = affinely(self.network, layer.pre) if layer.activation is not None else None
            if step is None or step.source != before:
                return None
            found.append(step)
            before = layer.name
        return tuple(found)

    @cached_property
    def ranks(self) -> tuple[int, ...]:
        """Upper bounds of the ranks of `steps`, exact where that is quick."""
        return tuple(step.rank() for step in self.steps or ())


def affinely(network: Network, name: str) -> Affinely | None:
    """A node as an affine function of the one node that all its affine layers start from; None if there are several."""
    size = network.size(name)
    eye = sparse.csr_array(sparse.eye_array(size, format="csr"))
    # the node over others: its coefficients, the magnitudes that they are sums of, and 1 where there are any
    pending = {name: (eye, eye, eye)}
    bias, magnitude = np.zeros(size), np.zeros(size)
    terms, straight, exact = 0, True, True
    factors: list[FloatArray | sparse.csr_array] = []
    for node in reversed(network.cone(name) if name != INPUT else ()):
        layer = node.layer
        if node.name not in pending or not isinstance(layer, AffineLayer):
            continue
        over = pending.pop(node.name)
        straight = straight and not pending and len(node.sources) == 1
        exact = exact and straight and layer.exact_rows and not factors
        given = [network.size(source) for source in node.sources]
        factors.append(layer.rows(sum(given)))
        rows = sparse.csr_array(factors[-1])
        rows.eliminate_zeros()
        own = np.broadcast_to(layer.bias, (network.size(node.name),))
        bias, magnitude = bias + over[0] @ own, magnitude + over[1] @ np.abs(own)
        terms += layer.terms + 4
        through = [sparse.csr_array(m @ r) for m, r in zip(over, (rows, abs(rows), _ones(rows)))]
        ends = np.cumsum([0, *given])
        for source, start, stop in zip(node.sources, ends, ends[1:]):
            part = [sparse.csr_array(m[:, start:stop]) for m in through]
            known = pending.get(source)
            value, size_, places = part if known is None else [sparse.csr_array(a + b) for a, b in zip(known, part)]
            pending[source] = (value, size_, _ones(places))
    if len(pending) != 1:
        return None
    ((source, (matrix, sizes, places)),) = pending.items()
    relative, least = (0.0, 0.0) if exact else (numeric.gamma(terms), numeric.underflow(terms))
    error = sparse.csr_array(relative * sizes + least * places)
    bias_error = relative * magnitude + least * (magnitude > 0)
    return Affinely(source, matrix, error, bias, bias_error, tuple(factors) if straight else ())


def _ones(matrix: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), shape=matrix.shape)


def _dimensions(network: Network) -> Mapping[str, int]:
    """Of how many dimensions the values of each node are at most, on inputs for which all pieces before it are fixed.

    There every node is an affine function of any node that all ways from the input to it lead through.
    """
    dominator = nx.immediate_dominators(network.graph, INPUT)
    found = {INPUT: network.input_size}
    for node in network.nodes:
        given = sum(found[source] for source in dict.fromkeys(node.sources))
        found[node.name] = min(network.size(node.name), given, found[dominator[node.name]])
    return found
