"""The extremes of every neuron, exactly: rational arithmetic, no bounds, no passes, no solver.

Where every neuron keeps to one piece, everything is affine, and its extremes are at the vertices of
`reludsl.testing.cells`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from fractions import Fraction

import numpy as np

from reludsl.backend import IntArray
from reludsl.domain import Domain
from reludsl.exact import ExactArray
from reludsl.network import INPUT, Network, Stage
from reludsl.testing.cells import Numbers, Walk, as_array, breaks_of, cell_of

__all__ = ["extremes", "stability", "support"]


def extremes(network: Network, domain: Domain, target: str | Stage | None = None) -> tuple[ExactArray, ExactArray]:
    """Smallest and largest value over the domain of every element of a node, as Fractions.

    Args:
        domain: any of `reludsl.domain`, taken exactly as it is defined.
        target: a node, or a stage (its pre-activations); the output by default.

    >>> from reludsl.domain import Box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[2.0], [1.0]]), np.array([-1.0, -0.5])), relu,
    ...                      Affine(np.array([[1.0, -2.0]]), np.array([-0.25]))], (1,))
    >>> extremes(net, Box([0.0], [1.0]))
    (array([Fraction(-1, 4)], dtype=object), array([Fraction(-1, 4)], dtype=object))
    """
    name = target.pre if isinstance(target, Stage) else target or network.output
    return _ranges(network, domain, [name])[name]


def stability(network: Network, domain: Domain, strict: bool = False) -> tuple[IntArray, ...]:
    """For every hidden stage the piece that each neuron stays on over the domain, -1 for an unstable one.

    Args:
        strict: an extreme on a break counts as unstable. Otherwise it does not, and a neuron that is
            constantly on a break stays on the piece on its left.
    """
    ranges = _ranges(network, domain, [stage.pre for stage in network.hidden])
    found = []
    for stage in network.hidden:
        pieces = []
        for breaks, low, high in zip(breaks_of(network.activation(stage), stage.size), *ranges[stage.pre]):
            # breaks left of the whole range, and breaks that the range gets beyond
            first = sum(b < low if strict else b <= low for b in breaks)
            last = sum(b <= high if strict else b < high for b in breaks)
            pieces.append(-1 if first < last else last)
        found.append(np.array(pieces, dtype=np.int64))
    return tuple(found)


def support(domain: Domain, coefficients: Numbers) -> Fraction:
    """max of c x over the domain."""
    cell = cell_of(domain, itertools.count())
    return max(sum((c * x for c, x in zip(coefficients, v.values[INPUT])), Fraction(0)) for v in cell.vertices)


def _ranges(network: Network, domain: Domain, targets: Collection[str]) -> dict[str, tuple[ExactArray, ExactArray]]:
    """Extremes of the targets and of everything on the way to them."""
    network.check_domain(domain)
    faces = itertools.count()
    low: dict[str, list[Fraction]] = {}
    high: dict[str, list[Fraction]] = {}
    start = cell_of(domain, faces)
    walk = Walk(network, network.cone(targets), faces)
    for name, cell in itertools.chain([(INPUT, start)], walk.cells(0, start)):
        ends = [cell.range(name, k) for k in range(network.size(name))]
        low[name] = [min(a, b) for (a, _), b in zip(ends, low.get(name, [a for a, _ in ends]))]
        high[name] = [max(a, b) for (_, a), b in zip(ends, high.get(name, [a for _, a in ends]))]
    return {name: (as_array(tuple(low[name])), as_array(tuple(high[name]))) for name in low}
