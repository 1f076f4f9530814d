"""How many different affine maps there are on regions that come in batches, without keeping the maps.

Of every map one number is kept, a random combination of its coefficients, with its rounding error, and of its region
the packed pattern. Maps whose numbers differ by more than their errors differ; the others are compared in rationals.
"""

from __future__ import annotations

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.network import Network
from reludsl.regions.equal import EXACT_WORK, distinct
from reludsl.regions.forms import Basis, exact_output, forms
from reludsl.regions.units import Words, plan

COEFFICIENTS = 4_000_000
"""Held at once."""


class SharedMaps:
    """Counts the affine maps of a network on some of its regions.

    Args:
        fixed: (input_size,) coordinates that do not move on the domain, NaN for others: maps that agree on it are one.

    >>> from reludsl.networks import six_definitions
    >>> maps = SharedMaps(six_definitions())
    >>> maps.add(np.array([[1, 1, 0, 1, 1], [1, 0, 1, 1, 1], [0, 1, 0, 0, 0]]))
    >>> maps.distinct()  # the first two are -y, the third is 0
    (2, 2)
    """

    def __init__(self, network: Network, fixed: FloatArray | None = None) -> None:
        self._plan = plan(network)
        held = np.full(network.input_size, np.nan) if fixed is None else fixed
        free = np.isnan(held)
        n = int(free.sum())
        # x = start + sum over free k of x_k e_k
        start = np.where(free, 0.0, held)
        self._basis = Basis(np.vstack([np.eye(held.size)[free], start]), np.append(np.zeros(n), 1.0))
        self._along = np.random.default_rng(0).uniform(0.5, 1.0, (n + 1) * network.output_size)
        self._numbers: list[FloatArray] = []
        self._slacks: list[FloatArray] = []
        self._words: list[Words] = []
        self._size = (n + 1) * max(network.size(node.name) for node in network.cone(network.output))

    def add(self, patterns: IntArray) -> None:
        """Regions that were not added before: (m, units)."""
        step = max(1, COEFFICIENTS // self._size)
        for start in range(0, len(patterns), step):
            some = patterns[start : start + step]
            # what overflows is compared in rationals
            with np.errstate(over="ignore", invalid="ignore"):
                *_, (_, form) = forms(self._plan, self._basis, some)
                value, error = (part.reshape(len(some), -1) for part in (form.value, form.error))
                self._numbers.append(value @ self._along)
                rounding = numeric.gamma(value.shape[1]) * (np.abs(value) @ self._along)
                self._slacks.append(numeric.inflated(error @ self._along) + rounding)
            self._words.append(self._plan.pack(some))

    def distinct(self) -> tuple[int, int]:
        """How many different maps there are: at least and at most."""
        if not self._numbers:
            return 0, 0
        words = np.concatenate(self._words)
        spent = 0

        def exact(k: int) -> tuple[object, ...] | None:
            nonlocal spent
            spent += self._size * self._plan.units
            if spent > EXACT_WORK * 10:
                return None
            pieces = self._plan.unpack(words[[k]])[0]
            return tuple(exact_output(self._plan, self._basis, pieces).ravel().tolist())

        return distinct(np.concatenate(self._numbers), np.concatenate(self._slacks), exact)
