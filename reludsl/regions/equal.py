"""Which pieces share one affine map of the output: floats with their error tell maps apart, fractions tell equality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.exact import ExactArray
from reludsl.regions.forms import Form

EXACT_WORK = 2_000_000
"""Products of fractions that a comparison may cost; a million takes about five seconds."""


@dataclass(slots=True, eq=False)
class Maps:
    """The output's affine maps on some pieces.

    Args:
        form: with errors, (m, d, outputs).
        exact: the map of one piece in fractions, (d, outputs).
        work: products that one exact map costs.
    """

    form: Form
    exact: Callable[[int], ExactArray]
    work: int
    _known: dict[int, tuple[object, ...] | None] = field(default_factory=dict)
    _spent: int = 0

    def known(self, piece: int) -> tuple[object, ...] | None:
        """The exact map of a piece, None where that would cost too much."""
        if piece not in self._known:
            self._spent += self.work
            self._known[piece] = None if self._spent > EXACT_WORK else tuple(self.exact(piece).ravel().tolist())
        return self._known[piece]

    def apart(self, first: IntArray, second: IntArray) -> IntArray:
        """Of pairs of pieces: 1 where the maps differ, 0 where they are equal, -1 where that is open."""
        value, error = self.form.value, self.form.error
        gap = np.abs(value[first] - value[second])
        sure = (gap > numeric.inflated(error[first] + error[second]) + 4 * numeric.UNIT * gap).any(axis=(1, 2))
        found: IntArray = np.where(sure, 1, 0)
        # without an error the floats are the maps, as where all that an output takes is off
        exact = (error == 0).all(axis=(1, 2))
        same = exact[first] & exact[second] & (gap == 0).all(axis=(1, 2))
        for k in np.flatnonzero(~sure & ~same).tolist():
            a, b = self.known(int(first[k])), self.known(int(second[k]))
            found[k] = -1 if a is None or b is None else int(a != b)
        return found

    def connected(self, first: IntArray, second: IntArray, sure: BoolArray | None = None) -> tuple[int, int]:
        """How many there are when neighbours with equal maps are one: at least and at most.

        Args:
            first, second: pairs of neighbours; sure: whether they are, where some may meet in a point only.
        """
        apart = self.apart(first, second)
        certain = apart == 0 if sure is None else (apart == 0) & sure
        count = len(self.form.value)
        least, most = (_components(count, first[same], second[same]) for same in (apart <= 0, certain))
        return least, most

    def distinct(self) -> tuple[int, int]:
        """How many different maps there are: at least and at most."""
        value = self.form.value.reshape(len(self.form.value), -1)
        error = self.form.error.reshape(len(value), -1)
        # one number for each map: equal maps have equal numbers, up to the error
        along = np.random.default_rng(0).uniform(0.5, 1.0, value.shape[1])
        number = value @ along
        slack = numeric.inflated(error @ along) + numeric.gamma(value.shape[1]) * (np.abs(value) @ along)
        return distinct(number, slack, self.known)


def distinct(
    number: FloatArray, slack: FloatArray, known: Callable[[int], tuple[object, ...] | None]
) -> tuple[int, int]:
    """How many different maps there are, at least and at most.

    Args:
        number: (m,) a number that equal maps share; slack: (m,) how far it may be from the exact one.
        known: the exact map of one of them, None where that would cost too much.

    >>> distinct(np.array([1.0, 1.0, 3.0]), np.array([0.1, 0.1, 0.1]), lambda k: (k % 2,))
    (3, 3)
    >>> distinct(np.array([1.0, np.inf]), np.array([0.1, np.nan]), lambda k: ("the same",))
    (1, 1)
    """
    # a number that overflowed says nothing: it may be any
    sure = np.isfinite(number) & np.isfinite(slack)
    number, slack = np.where(sure, number, 0.0), np.where(sure, slack, np.inf)
    order = np.argsort(number - slack)
    reach = np.maximum.accumulate((number + slack)[order])
    new = np.concatenate([[True], (number - slack)[order][1:] > reach[:-1]])
    least = most = 0
    for group in np.split(order, np.flatnonzero(new)[1:]):
        if len(group) == 1:
            least, most = least + 1, most + 1
            continue
        maps = [known(int(k)) for k in group]
        exact = {m for m in maps if m is not None}
        least += max(len(exact), 1)
        most += len(exact) + sum(m is None for m in maps)
    return least, most


def _components(count: int, first: IntArray, second: IntArray) -> int:
    graph = sparse.coo_array((np.ones(first.size), (first, second)), shape=(count, count))
    return int(connected_components(graph, directed=False)[0])
