"""What a layer gets for free that is neither affine nor element by element, and how it is written as constraints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.exact import ExactArray
from reludsl.layers.affine_layer import AffineLayer
from reludsl.layers.base import Activation, Layer, Shape
from reludsl.layers.linear_bounds import LinearBounds

if TYPE_CHECKING:
    from reludsl.expr import Expr
    from reludsl.logic import Condition

Fresh = Callable[[Box], "Expr"]
"""Makes new columns of a program within a box, as an expression."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """A layer's value as constraints over columns, written with `<=`, `>=`, `==`, `&`.

    Args:
        value: the layer's value.
        rows: conditions that hold.
        choices: each a tuple of branches; a branch is a vector of conditions, all of one length. For every i
            the i-th condition of one branch holds: y = max(a, b), element by element, is the choice
            `(y <= a, y <= b)` beside the rows `y >= a` and `y >= b`.
    """

    value: Expr
    rows: tuple[Condition, ...] = ()
    choices: tuple[tuple[Condition, ...], ...] = ()


class NonlinearLayer(ABC):
    """A piecewise-linear map that is neither affine nor element by element: a maximum over windows, say.

    A layer type gives `output_shape`, `__call__`, `interval`, `relax` and `encode`. The rest follows: the exact
    forward pass is `__call__` on fractions, derivatives are slopes of `relax` on a box without extent, and the
    steepest change of an output per unit of all inputs is `lipschitz`. A network knows what it needs:
    `relax` carries backward bounds through it, `encode` takes it into programs.
    """

    @property
    def kind(self) -> str:
        """Name of the layer type."""
        return type(self).__name__.lower()

    @property
    def parameters(self) -> int:
        """Number of trained constants."""
        return 0

    @property
    def lipschitz(self) -> float:
        """Largest sum of |slopes| of one output on any piece; 1 for a maximum."""
        return 1.0

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output tensor."""

    @abstractmethod
    def __call__(self, x: FloatArray) -> FloatArray:
        """Forward pass on a batch, with operations that numpy also has for objects: (m, size_in) -> (m, size_out)."""

    @abstractmethod
    def interval(self, box: Box) -> Box:
        """A box that holds f(x) for every x of `box` (see `Layer.interval`)."""

    @abstractmethod
    def relax(self, box: Box) -> LinearBounds:
        """Matrices and offsets with L x + l <= f(x) <= U x + u on one box, true in exact arithmetic.

        Where the box is a single point the slopes are a derivative of f there.
        """

    @abstractmethod
    def encode(self, x: Expr, box: Box, fresh: Fresh) -> Encoding:
        """f(x) for x in `box` as constraints; `fresh(box)` makes new columns."""

    def exact(self, x: ExactArray) -> ExactArray:
        return np.asarray(self(x[None, :])[0], dtype=object)

    def evaluation_error(self, magnitude: FloatArray) -> FloatArray:
        """Bound on the rounding error of f at exact floats |x| <= magnitude: (size_out,).

        The default is for sums of up to a million terms; a layer that only selects overrides it with zeros.
        """
        most = float(np.max(magnitude, initial=0.0))
        size = self(np.zeros((1, magnitude.shape[-1]))).shape[-1]
        return np.full(size, numeric.gamma(1_000_000) * self.lipschitz * most + numeric.underflow(1_000_000))

    def forward_error(self, box: Box, error: FloatArray) -> FloatArray:
        most = self.lipschitz * float(np.max(error, initial=0.0))
        return np.asarray(numeric.inflated(self.evaluation_error(box.magnitude + error) + most))

    def jacobian(self, x: FloatArray) -> sparse.csr_array:
        """A derivative at one point: (size_out, size_in)."""
        return sparse.csr_array(self.relax(Box(x, x)).upper_slope)

    def room(self, x: FloatArray) -> tuple[sparse.csr_array, FloatArray]:
        """How far the piece at x goes, for searches: D (k, size_in) and s (k,), the piece holds while D dx >= -s.

        By default nothing is known.
        """
        return sparse.csr_array((0, x.size)), np.zeros(0)

    def pull(self, x: FloatArray, a: FloatArray) -> FloatArray:
        return np.stack([row @ self.jacobian(point) for point, row in zip(x, a)])

    def push(self, x: FloatArray, v: FloatArray) -> FloatArray:
        return np.asarray((self.jacobian(x) @ v.T).T)


def elementwise(layer: Layer) -> TypeGuard[Activation]:
    """Whether a layer is an activation, in a network that let it in: it is of neither other kind.

    Asking the protocol looks at every one of its members, too often for what walks networks all the time.
    """
    return not isinstance(layer, AffineLayer | NonlinearLayer)
