"""The count of a published network, confirmed by other means than those that counted it.

*Closed under facets.* A box stays connected without the faces of regions that have two dimensions less than it.
Regions whose neighbours across all facets are among them are therefore all of them. Where no two edges coincide, a
facet lies on the edge of one unit, and the neighbour differs in that unit. That a pattern which is not among them has
no interior is proved by multipliers in rationals: lam >= 0, lam != 0 with sum lam_k edge_k <= 0 on the whole box.

The multipliers speak of a few units. They refute every pattern with these pieces and the same first layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize
from solvers import solver

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box
from reludsl.exact import ExactArray, exactly
from reludsl.io import read
from reludsl.layers import Affine
from reludsl.network import Network
from reludsl.regions.counting import stream
from reludsl.regions.one_tree import find_patterns

COUNT = 2465
SMALL = 1e-9
"""Multipliers below this share of the largest are left out; what is left is checked without rounding."""


@dataclass(frozen=True)
class TwoLayers:
    """max(0, W2 max(0, W1 x + b1) + b2) on [0, 1]^n; its units are those of both layers."""

    w1: FloatArray
    b1: FloatArray
    w2: FloatArray
    b2: FloatArray

    @property
    def first(self) -> int:
        return self.b1.size

    @cached_property
    def exact_w1(self) -> ExactArray:
        return exactly(self.w1)

    @cached_property
    def live(self) -> BoolArray:
        """Units but for those of the second layer that no input makes positive: no weight of theirs is positive."""
        return np.append(np.ones(self.first, dtype=np.bool_), (self.w2 > 0).any(axis=1) | (self.b2 > 0))

    def edges(self, pattern: IntArray) -> tuple[FloatArray, FloatArray]:
        """Over y = W1 x + b1, where the pattern has `rows @ y + sides > 0`; no entry is rounded."""
        sign = 2.0 * pattern - 1.0
        rows = np.vstack([np.eye(self.first), self.w2 * pattern[: self.first]])
        return rows * sign[:, None], np.concatenate([np.zeros(self.first), self.b2]) * sign

    def refuted(self, pattern: IntArray) -> BoolArray | None:
        """Units whose pieces cannot be met together by a pattern of this first layer; None where none are found."""
        rows, sides = (part[self.live] for part in self.edges(pattern))
        over, level = rows @ self.w1, rows @ self.b1 + sides
        reach = np.abs(over).sum(axis=1) + np.abs(level)
        cost = np.append(np.zeros(over.shape[1]), -1.0)
        found = optimize.linprog(
            cost,
            np.column_stack([-over / reach[:, None], np.ones(reach.size)]),
            level / reach,
            bounds=[(0, 1)] * over.shape[1] + [(-1, 1)],
            method="highs-ds",
        )
        lam = np.maximum(-found.ineqlin.marginals, 0.0) / reach
        lam[lam < SMALL * lam.max()] = 0.0
        used = np.zeros(pattern.size, dtype=np.bool_)
        used[self.live] = lam > 0
        return used if lam.any() and self._at_most_zero(exactly(lam), exactly(rows), exactly(sides)) else None

    def _at_most_zero(self, lam: ExactArray, rows: ExactArray, sides: ExactArray) -> bool:
        slope, level = lam @ rows, lam @ sides
        over = slope @ self.exact_w1
        return bool(level + slope @ exactly(self.b1) + (over * (over > 0)).sum() <= 0)

    def coinciding(self, pattern: IntArray) -> list[tuple[int, int]]:
        """Pairs of live units whose edges are one hyperplane, or everywhere."""
        rows, sides = (part[self.live] for part in self.edges(pattern))
        forms = exactly(np.column_stack([rows, sides]))
        cutting = [k for k in range(sides.size) if rows[k].any() or sides[k] == 0]
        return [
            (i, j)
            for i, j in combinations(cutting, 2)
            if all(
                forms[i][a] * forms[j][b] == forms[i][b] * forms[j][a] for a, b in combinations(range(len(forms[i])), 2)
            )
        ]


def missing_neighbours(net: TwoLayers, patterns: IntArray, some: IntArray) -> IntArray:
    """Neighbours of some of the patterns: those that are not among all, and not proved to be empty."""
    flips = np.eye(patterns.shape[1], dtype=np.int64)[net.live]
    around = np.unique((some[:, None, :] ^ flips).reshape(-1, patterns.shape[1]), axis=0)
    known = {pattern.tobytes() for pattern in patterns}
    left = around[[pattern.tobytes() not in known for pattern in around]]
    there: list[IntArray] = []
    while len(left):
        pattern = left[0]
        used = net.refuted(pattern)
        if used is None:
            there.append(pattern)
            left = left[1:]
            continue
        used[: net.first] = True  # the edges of the second layer are those of this first one
        left = left[(left[:, used] != pattern[used]).any(axis=1)]
    return np.array(there, dtype=np.int64).reshape(-1, patterns.shape[1])


def two_layers(network: Network) -> TwoLayers:
    first, second = (
        node.layer for node in network.nodes if isinstance(node.layer, Affine) and node.name != network.output
    )
    assert isinstance(first, Affine)
    assert isinstance(second, Affine)
    return TwoLayers(np.asarray(first.weight), first.bias, np.asarray(second.weight), second.bias)


@dataclass(frozen=True, slots=True)
class Listed:
    network: Network
    box: Box
    patterns: IntArray
    witnesses: FloatArray


@pytest.fixture(scope="module")
def listed(data_file: Callable[[str], Path]) -> Listed:
    network = read(data_file("mnist_nets/mnist_4x18_l1_0_s0.onnx"))
    box = Box(np.zeros(784), np.ones(784))
    parts = list(stream(network, box))
    return Listed(
        network, box, np.concatenate([p.patterns for p in parts]), np.concatenate([p.witnesses for p in parts])
    )


@pytest.mark.slow
def test_regions_of_a_published_network_are_closed_under_facets(listed: Listed) -> None:
    net = two_layers(listed.network)
    assert len(np.unique(listed.patterns, axis=0)) == len(listed.patterns) == COUNT
    assert not listed.patterns[:, ~net.live].any()
    assert np.linalg.matrix_rank(net.w1) == net.first  # edges that differ over W1 x + b1 differ over x
    for first in product((0, 1), repeat=net.first):
        assert not net.coinciding(np.append(first, np.zeros(net.b2.size, dtype=np.int64)))
    assert not len(missing_neighbours(net, listed.patterns, listed.patterns))


@pytest.mark.slow
def test_lost_regions_are_noticed(listed: Listed) -> None:
    net = two_layers(listed.network)
    lost = np.random.default_rng(0).choice(COUNT, 5, replace=False)
    left = np.delete(listed.patterns, lost, axis=0)
    near = (left[:, None, :] != listed.patterns[lost]).sum(axis=2).min(axis=1) == 1
    noticed = missing_neighbours(net, left, left[near])
    assert {p.tobytes() for p in noticed} == {p.tobytes() for p in listed.patterns[lost]}


@pytest.mark.slow
def test_witnesses_of_a_published_network_show_their_patterns_in_rationals(listed: Listed) -> None:
    net = two_layers(listed.network)
    w1, b1, w2, b2 = (exactly(a) for a in (net.w1, net.b1, net.w2, net.b2))
    for pattern, x in zip(listed.patterns, listed.witnesses):
        assert ((x >= 0) & (x <= 1)).all()
        y = w1 @ exactly(x) + b1
        z = np.concatenate([y, w2 @ (y * (y > 0)) + b2])
        assert ((z > 0) == pattern).all()
        assert all(z[net.live] != 0)


@pytest.mark.slow
def test_integer_program_finds_the_same_regions(listed: Listed) -> None:
    found = find_patterns(listed.network, listed.box, backend=solver("scip"))
    assert {p.tobytes() for p in found.patterns} == {p.tobytes() for p in listed.patterns}
    # the thinnest stays within 2e-6 of an edge; the end is SCIP's word for all that
    assert (found.count.count, found.count.complete, found.count.exact) == (COUNT, True, False)
