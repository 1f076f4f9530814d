"""The sawtooth itself, and what noise on its parameters leaves of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.expressivity import Parameters, multiplicative, weighted
from reludsl.network import Network
from reludsl.networks import sawtooth
from reludsl.regions import Definition, count_line, line

UNIT = Box([0], [1])

FORMS = {"composed": False, "merged": True}
"""Layers of 2, 1, 2, 1, ... units with the outer ReLUs, and layers of 2 units without: the argument of `sawtooth`."""

SUBSETS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "weights": {"parameters": Parameters.WEIGHTS},
    "biases": {"parameters": Parameters.BIASES},
    "first layer": {"layers": [0]},
    "last layer": {"layers": [-1]},
}
"""What gets noise: keywords of `multiplicative`."""


def pieces(network: Network) -> int:
    """Maximal intervals of [0, 1] on which the function is affine; exact."""
    return int(line(network, UNIT.lower, UNIT.upper).counts(Definition.CONNECTED)[0])


class Built(NamedTuple):
    """A construction, checked: exact and even are whether the counts are proved, and all pieces equally long."""

    form: str
    n: int
    units: int
    regions: int
    pieces: int
    exact: bool
    even: bool


def built(most: int) -> list[Built]:
    """Activation regions and affine pieces on [0, 1] of both forms with n = 1, ..., most."""
    found = []
    for form, merged in FORMS.items():
        for n in range(1, most + 1):
            network = sawtooth(n, merged)
            counts = [count_line(network, UNIT, kind) for kind in (Definition.ACTIVATION, Definition.CONNECTED)]
            exact = all(count.exact for count in counts)
            even = np.array_equal(line(network, UNIT.lower, UNIT.upper).t, np.arange(2**n + 1) / 2**n)
            found.append(Built(form, n, network.neurons, counts[0].count, counts[1].count, exact, even))
    return found


def perturbed(
    network: Network, deviations: Sequence[float], trials: int, seed: int, subset: Mapping[str, Any]
) -> FloatArray:
    """(deviations, trials) affine pieces on [0, 1] of w (1 + deviation e), e ~ N(0, 1) drawn once for every trial.

    So the rows differ by the size of the noise alone.
    """
    return np.array(
        [
            [pieces(multiplicative(network, deviation, seed + trial, **subset)) for trial in range(trials)]
            for deviation in deviations
        ],
        dtype=np.float64,
    )


def by_layer(network: Network, deviation: float, trials: int, seed: int) -> FloatArray:
    """(layers,) mean pieces left when one layer alone gets noise."""
    return np.array(
        [
            perturbed(network, [deviation], trials, seed, {"layers": [layer]}).mean()
            for layer in range(len(weighted(network)))
        ]
    )
