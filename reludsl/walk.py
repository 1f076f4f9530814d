"""Walks over linear regions: in each the input at which a neuron is largest, by a linear program over the inputs.

On the region of an input, where every neuron keeps its piece, the pre-activation is affine. Its maximum there lies on
the border, where some neurons sit at their breaks; a little further in the same direction another region begins.
Gradients stop at such borders, where the slope on either side points back; a walk goes along them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from reludsl.backend import Backend, FloatArray, Limits, Matrix, Sense, Status
from reludsl.domain import Domain
from reludsl.layers import AffineLayer, elementwise
from reludsl.network import Network, Stage

LENGTHS = np.array([1.0, 1.0 + 1e-6, 1.001, 1.01, 1.1, 1.5, 2.0])
"""How far a step goes towards the optimum of a region, and beyond it."""

LARGEST = 2_000_000
"""Coefficients of a region's linear program beyond which no walk is tried: it would take minutes."""


@dataclass(frozen=True, slots=True, eq=False)
class Walker:
    """Walks that push `sign * z[neuron]` up.

    Args:
        stage, neuron, sign: of the pre-activation.
        backend: solves the linear programs; what it says is replayed by whoever uses the points.

    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.domain import Box
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.array([0.0, 0.0])), relu,
    ...                      Affine(np.array([[1.0, 2.0]]), np.array([-1.0])), relu], (1,))
    >>> walker = Walker(net, Box([-1.0], [1.0]), net.hidden[1], 0, 1.0, EnumerationBackend(), Limits())
    >>> [point.round(6).tolist() for point in walker.from_point(np.array([-0.25]), 3)]
    [[-1.0]]
    """

    network: Network
    domain: Domain
    stage: Stage
    neuron: int
    sign: float
    backend: Backend
    limits: Limits

    def from_point(
        self, start: FloatArray, steps: int, left: Callable[[], float | None] = lambda: None
    ) -> Iterator[FloatArray]:
        """The input that each step came to, as long as it is better than the one before.

        Args:
            start: (input_size,) in the domain.
            left: seconds that are left for it, asked before every step; None without limit.
        """
        here, best = start, self.value(start[None, :])[0]
        for _ in range(steps):
            target = self._best_in_region(here, left())
            if target is None:
                return
            batch = self.domain.project(here + LENGTHS[:, None] * (target - here))
            values = self.value(batch)
            k = int(values.argmax())
            if values[k] <= best + 1e-12 * (1.0 + abs(best)):
                return
            here, best = batch[k], values[k]
            yield here

    def value(self, points: FloatArray) -> FloatArray:
        """sign * z[neuron] at some inputs: (m, input_size) -> (m,)."""
        return self.sign * self.network.values(points, self.stage.pre)[self.stage.pre][:, self.neuron]

    def _best_in_region(self, here: FloatArray, seconds: float | None) -> FloatArray | None:
        values = self.network.values(here[None, :], self.stage.pre)
        cone = self.network.cone(self.stage.pre)
        if not all(isinstance(node.layer, AffineLayer) or elementwise(node.layer) for node in cone):
            return None
        stages = [s for s in self.network.hidden if s.pre in values and s.pre != self.stage.pre]
        n = self.network.input_size
        if n * sum(s.size for s in stages) > LARGEST:
            return None
        slopes, low, high = [np.zeros((0, n))], [np.zeros(0)], [np.zeros(0)]
        for s in stages:
            down, up = self.network.activation(s).room(values[s.pre])
            slopes.append(self._slopes(values, s.pre, np.eye(s.size)))
            low.append(-down[0])
            high.append(up[0])
        row = np.zeros((1, self.stage.size))
        row[0, self.neuron] = self.sign
        cost = self._slopes(values, self.stage.pre, row)[0]
        region = np.concatenate(slopes), np.concatenate(low), np.concatenate(high)
        return self._solve(here, *region, cost, seconds)

    def _slopes(self, values: dict[str, FloatArray], name: str, rows: FloatArray) -> FloatArray:
        """Derivatives of some combinations of a node's values with respect to the input: (k, input_size)."""
        repeated = {node: np.broadcast_to(value, (len(rows), value.shape[1])) for node, value in values.items()}
        return self.network.gradient(repeated, name, rows)

    def _solve(
        self,
        here: FloatArray,
        slopes: FloatArray,
        low: FloatArray,
        high: FloatArray,
        cost: FloatArray,
        seconds: float | None,
    ) -> FloatArray | None:
        extra = self.domain.constraints()
        box = self.domain.enclosure
        n, more = here.size, extra.extra_lower.size
        shift = slopes @ here
        rows = sparse.csr_array(np.hstack([slopes, np.zeros((len(slopes), more))]))
        matrix = Matrix(
            sparse.csr_array(sparse.vstack([rows, extra.rows.matrix], format="csr")),
            np.concatenate([low + shift, extra.rows.lower]),
            np.concatenate([high + shift, extra.rows.upper]),
            np.concatenate([box.lower, extra.extra_lower]),
            np.concatenate([box.upper, extra.extra_upper]),
            np.zeros(n + more, dtype=np.bool_),
        )
        session = self.backend.open(matrix, self.limits)
        try:
            session.set_cost(np.arange(n), cost, Sense.MAXIMIZE)
            result = session.solve(time_limit=seconds)
        finally:
            session.close()
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return None if result.x is None else result.x[:n]
