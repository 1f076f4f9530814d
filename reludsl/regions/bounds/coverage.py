"""How many units of a layer can be active, and how many can switch, when so many units before them are active.

Unit j of a layer sees g_j = b_j + sum_i w_ji h_i with h_i > 0 for the active units i of the layer before, and h_i = 0
for the others. So it can be active only where b_j > 0 or some w_ji > 0 with i in S, the set of active units. If it can
be, then it can be inactive only where b_j < 0 or some w_ji < 0 with i in S. Units that can be both switch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reludsl.backend import BoolArray, IntArray

EXACT_UPTO = 20
"""Units of the layer before for which every set of active ones is looked at: 2^20 of them."""

_WORD = 64


@dataclass(frozen=True, slots=True)
class Coverage:
    """A(k) and N(k), or upper bounds of them, for k = 0, ..., n active units of the layer before.

    Args:
        active: A(k) = max over |S| = k of the number of units that can be active.
        switching: N(k) = max over |S| = k of the number of units that can be active and can be inactive.
    """

    active: tuple[int, ...]
    switching: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Pushes:
    """What can make each of m units active and inactive.

    Args:
        up, down: (m, n) whether active unit i of the layer before can push unit j up, or down.
        starts_up, starts_down: (m,) whether the bias alone can.
        never_up, never_down: (m,) units that are proved never to be active, or never to be inactive.
    """

    up: BoolArray
    down: BoolArray
    starts_up: BoolArray
    starts_down: BoolArray
    never_up: BoolArray
    never_down: BoolArray

    def coverage(self, exact_upto: int = EXACT_UPTO) -> Coverage:
        """A(k) and N(k): exactly for a narrow layer before, else upper bounds.

        Both are maximum coverage problems, which are NP-hard in general. The bounds add up the k largest gains of
        single units; a greedy choice would be a lower bound, of no use here.

        Args:
            exact_upto: up to this number of units of the layer before all their sets are looked at.
        """
        able, unable = ~self.never_up, ~self.never_down
        up, down = self.up & able[:, None], self.down & unable[:, None]
        starts_up, starts_down = self.starts_up & able, self.starts_down & unable
        # units of the layer before that push nothing are in no set that matters
        useful = (up | down).any(axis=0)
        k = np.minimum(np.arange(up.shape[1] + 1), int(useful.sum()))
        find = _by_sets if useful.sum() <= exact_upto else _by_gains
        active, switching = find(up[:, useful], down[:, useful], starts_up, starts_down)
        return Coverage(tuple(active[k].tolist()), tuple(switching[k].tolist()))


def _by_sets(up: BoolArray, down: BoolArray, starts_up: BoolArray, starts_down: BoolArray) -> tuple[IntArray, IntArray]:
    """The maxima over all sets of each size. A set is what one with its last unit left out is, and that unit."""
    n = up.shape[1]
    sizes, active, switching = (np.zeros(2**n, dtype=np.int64) for _ in range(3))
    for i in range(n):
        sizes[2**i : 2 ** (i + 1)] = sizes[: 2**i] + 1
    for at in range(0, len(up), _WORD):
        block = slice(at, at + _WORD)
        ups = _unions(up[block], starts_up[block])
        downs = _unions(down[block], starts_down[block])
        active += _count(ups)
        switching += _count(ups & downs)
    most = [np.zeros(n + 1, dtype=np.int64) for _ in range(2)]
    np.maximum.at(most[0], sizes, active)
    np.maximum.at(most[1], sizes, switching)
    return most[0], most[1]


Words = npt.NDArray[np.uint64]
"""Sets of up to 64 units, as bits."""

_BITS = np.array([k.bit_count() for k in range(256)], dtype=np.int64)


def _count(words: Words) -> IntArray:
    """How many units each set has."""
    return np.asarray(_BITS[words[:, None].view(np.uint8)].sum(axis=1))


def _unions(pushed: BoolArray, start: BoolArray) -> Words:
    """For every set of columns the rows that one of them covers, or that `start` covers, as the bits of a word."""
    bits = np.left_shift(np.uint64(1), np.arange(len(start), dtype=np.uint64))
    found = np.full(2 ** pushed.shape[1], bits[start].sum(dtype=np.uint64), dtype=np.uint64)
    for i in range(pushed.shape[1]):
        found[2**i : 2 ** (i + 1)] = found[: 2**i] | bits[pushed[:, i]].sum(dtype=np.uint64)
    return found


def _by_gains(
    up: BoolArray, down: BoolArray, starts_up: BoolArray, starts_down: BoolArray
) -> tuple[IntArray, IntArray]:
    """Upper bounds: what k units gain together is at most the sum of the k largest gains of one."""
    active = _largest_gains(int(starts_up.sum()), (up & ~starts_up[:, None]).sum(axis=0))
    # twice the gain: a unit that nothing starts takes two pushes, one up and one down, so each counts half
    two = 2 * (up & (starts_down & ~starts_up)[:, None]) + 2 * (down & (starts_up & ~starts_down)[:, None])
    neither = (~starts_up & ~starts_down)[:, None]
    two = two + (up & neither) + (down & neither)
    switching = _largest_gains(2 * int((starts_up & starts_down).sum()), two.sum(axis=0)) // 2
    can_be_active = starts_up | up.any(axis=1)
    can_switch = can_be_active & (starts_down | down.any(axis=1))
    active = np.minimum(active, int(can_be_active.sum()))
    return active, np.minimum(np.minimum(switching, int(can_switch.sum())), active)


def _largest_gains(start: int, gains: IntArray) -> IntArray:
    return start + np.concatenate([[0], np.cumsum(np.sort(gains)[::-1])])
