"""How far rounding may take the values of a network, layer by layer: a bound on the error of its linear part.

Two bounds go side by side, and each cuts the other: of every element, |W| e plus what the layer itself rounds, and of
all of them in the Euclidean norm, |W|_2 |e|_2 plus the same. The second grows far less in deep networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.layers import Affine, AffineLayer, Layer, MaxLayer, elementwise
from reludsl.network import INPUT, Network, Node
from reludsl.regions.spectral import spectral_bound

SLACK = 1 + 1e-9
"""More than a sum of nonnegative floats loses."""


@dataclass(slots=True, eq=False)
class Drift:
    """Errors of vectors that go through a network while every unit keeps its piece; inputs have none.

    Args:
        norms: of the matrices, by node; filled when they are asked for, and shared by those who walk the same network.
        elements: (n,) what each element may be off by, by node; norm: all of them together.
    """

    network: Network
    norms: dict[str, float]
    elements: dict[str, FloatArray] = field(init=False)
    norm: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        self.elements, self.norm = {INPUT: np.zeros(self.network.input_size)}, {INPUT: 0.0}

    def note(self, node: Node, taken: FloatArray, given: FloatArray) -> None:
        """What a node makes of the errors, and its own.

        Args:
            taken, given: vectors that it takes and gives, (m, n) each; their size decides what it rounds.
        """
        error = self.network.gather(node, self.elements)
        # a layer that is no matrix at hand has no norm but that of its elements
        own: FloatArray
        if isinstance(node.layer, AffineLayer):
            own = node.layer.rounding(_largest(taken) + error)
            passed, stretch = node.layer.absolute(error), self._norm_of(node.name, node.layer)
        elif isinstance(node.layer, MaxLayer):
            own, passed, stretch = np.zeros(1), error[node.layer.windows].max(axis=1), math.inf
        else:
            assert elementwise(node.layer)
            own = 2 * numeric.UNIT * _largest(given) + numeric.underflow(1)
            steepest = np.abs(node.layer.slopes_at(error.size)).max(axis=0)
            passed, stretch = steepest * error, float(steepest.max())
        elements = numeric.inflated(passed) + own
        before = math.hypot(*(self.norm[source] for source in node.sources)) * SLACK
        after = math.inf if math.isinf(stretch) else stretch * before + float(np.linalg.norm(own))
        least = min(after, float(np.linalg.norm(elements))) * SLACK
        self.elements[node.name], self.norm[node.name] = np.minimum(elements, least), least

    def _norm_of(self, name: str, layer: Layer) -> float:
        if name not in self.norms:
            weight = layer.weight if isinstance(layer, Affine) else None
            self.norms[name] = spectral_bound(weight) if isinstance(weight, np.ndarray) else math.inf
        return self.norms[name]


def _largest(vectors: FloatArray) -> FloatArray:
    return np.asarray(np.abs(vectors).max(axis=0))
