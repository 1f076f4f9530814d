"""The activation-based bound: the recursion with what the signs of the coefficients leave open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from reludsl.backend import BoolArray
from reludsl.bounds import Bounds
from reludsl.regions.bounds.closed_forms import binomials
from reludsl.regions.bounds.coverage import EXACT_UPTO, Coverage, Pushes
from reludsl.regions.bounds.recursion import Cut, recursion
from reludsl.regions.bounds.units import Affinely, Layout

WORK = 5_000_000
"""Terms of the recursion over active units; a wider network takes the one over dimensions alone."""

DEEPEST = 200
"""Layers of that recursion, which calls itself; a deeper network takes the other one too."""

MOST_WEIGHTS = 20_000_000
"""Coefficients of a layer that are looked at one by one."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What one layer can do after k active units of the layer before.

    Args:
        coverage: A(k) and N(k).
        rank: dimensions in which the layer can tell inputs apart, at most.
    """

    coverage: Coverage
    rank: int


def activation_based(dimension: int, reaches: Sequence[Reach]) -> int:
    """R_1(k, n) with R_{L+1} = 1 and R_l(k, d) = sum_{j <= min(N_l(k), e)} C(N_l(k), j) R_{l+1}(A - j, min(A - j, e)).

    Here e = min(d, rank(W^l)), A = A_l(k). After k active units in layer l - 1 at most A units of layer l can be
    active, and at most N_l(k) can be both (`Coverage`). An upper bound for networks of ReLUs with these signs of
    weights and biases; never above Theorem 1 of Serra et al. 2018, which knows no signs: A = N = n_l.

    Why it holds: among parts of one region with j or fewer inactive units, of those that can switch, there are at
    most sum_{i <= j} C(N, i), and Z(N, e) parts in all; and A and N grow with k.

    Args:
        dimension: of the domain.
        reaches: one per layer. The first has A(k), N(k) for one k alone.

    Source: Serra and Ramalingam 2020, Empirical bounds on linear regions of deep rectifier networks, section on the
    activation-based bound; the recursion in this form, with ranks, and its proof are derived here.

    >>> first = Reach(Coverage((3,), (3,)), 2)
    >>> second = Reach(Coverage((1, 2, 2, 2), (0, 0, 1, 1)), 3)
    >>> activation_based(2, [first, second])
    11
    """
    most = [reach.coverage.active[-1] for reach in reaches]
    distinct = [len(set(zip(r.coverage.active, r.coverage.switching))) for r in reaches]
    if len(reaches) > DEEPEST or sum(d * n * min(n, dimension) for d, n in zip(distinct, most)) > WORK:
        cuts = [Cut(r.coverage.switching[-1], n, r.rank, carried=True) for r, n in zip(reaches, most)]
        return recursion(dimension, cuts)

    @cache
    def parts(at: int, switching: int, active: int, d: int) -> int:
        if at + 1 == len(reaches):
            return sum(binomials(switching, min(switching, d)))
        return sum(
            c * after(at + 1, active - j, min(active - j, d))
            for j, c in enumerate(binomials(switching, min(switching, d)))
        )

    def after(at: int, k: int, d: int) -> int:
        held = reaches[at].coverage
        return parts(at, held.switching[k], held.active[k], min(d, reaches[at].rank))

    return after(0, 0, dimension)


def reaches_of(layout: Layout, bounds: Bounds | None = None, exact_upto: int = EXACT_UPTO) -> tuple[Reach, ...]:
    """What the coefficients of a chain of ReLU layers leave open.

    Args:
        layout: of a network whose `steps` are known and whose units are all ReLUs.
        bounds: proved bounds over a domain: a unit that never switches on it cuts nothing there.
        exact_upto: see `Pushes.coverage`.
    """
    assert layout.steps is not None
    found = []
    for k, (layer, step, rank) in enumerate(zip(layout.units, layout.steps, layout.ranks)):
        never_up, never_down = np.zeros((2, layer.size), dtype=np.bool_)
        if bounds is not None:
            # inactive is closed: a unit that touches 0 from above is inactive there
            box = bounds.boxes[layer.pre]
            never_up, never_down = box.upper <= 0, box.lower > 0
        pushes = _pushes(step, never_up, never_down, by_unit=k > 0)
        found.append(Reach(pushes.coverage(exact_upto), rank))
    return tuple(found)


def _pushes(step: Affinely, never_up: BoolArray, never_down: BoolArray, by_unit: bool) -> Pushes:
    """What can push the units of a layer, unit by unit of the layer before, or all at once.

    An input may be of either sign. So may a sum of too many units to look at them all.
    """
    up, down = step.bias_may_be(1), step.bias_may_be(-1)
    if by_unit and np.prod(step.matrix.shape) <= MOST_WEIGHTS:
        return Pushes(step.may_be(1), step.may_be(-1), up, down, never_up, never_down)
    none = np.zeros(step.matrix.shape if by_unit else (up.size, 0), dtype=np.bool_)
    return Pushes(none, none, up | step.varies, down | step.varies, never_up, never_down)
