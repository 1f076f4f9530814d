"""What every layer offers, and what every affine layer gets for free.

A layer is a frozen value. It works on *flat* vectors: a batch of inputs is an array of shape (m, size_in),
whatever shape the network gives the tensor. Two kinds exist so far:

* `AffineLayer`: y = W x + b. It declares `apply`, `adjoint`, `absolute` and `rows`; forward pass, interval
  bounds, backward bounds and program rows follow. W need not be stored as a matrix.
* `Activation`: y_i = f(z_i), element by element, with f piecewise linear (`reludsl.layers.piecewise`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.exact import ExactArray, exactly

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LinearBounds:
    """`lower_slope * z + lower_offset <= f(z) <= upper_slope * z + upper_offset`, element by element, on an interval.

    All shapes (n,). True in exact arithmetic.
    """

    lower_slope: FloatArray
    lower_offset: FloatArray
    upper_slope: FloatArray
    upper_offset: FloatArray


@runtime_checkable
class Layer(Protocol):
    """One node of a network: numbers in, numbers out, and bounds."""

    @property
    def kind(self) -> str:
        """Name of the layer type, for tables."""
        ...

    @property
    def parameters(self) -> int:
        """Number of trained constants."""
        ...

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output tensor for an input tensor of this shape.

        Raises:
            InvalidInput: the layer does not take this shape.
        """
        ...

    def __call__(self, x: FloatArray) -> FloatArray:
        """Forward pass on a batch: (m, size_in) -> (m, size_out)."""
        ...

    def exact(self, x: ExactArray) -> ExactArray:
        """Forward pass of one point in exact arithmetic: (size_in,) -> (size_out,)."""
        ...

    def interval(self, box: Box) -> Box:
        """A box that holds f(x) for every x of `box`, true in exact arithmetic.

        A box of arrays (m, size_in) is a batch of m boxes, each on its own.
        """
        ...

    def forward_error(self, box: Box, error: FloatArray) -> FloatArray:
        """Bound on |fl(f)(x~) - f(x)| for x in `box` and |x~ - x| <= error: (size_in,) -> (size_out,)."""
        ...


@runtime_checkable
class Activation(Layer, Protocol):
    """An element-wise piecewise-linear layer."""

    @property
    def breaks(self) -> tuple[float, ...]:
        """Where the slope changes, increasing."""
        ...

    @property
    def slopes(self) -> tuple[float, ...]:
        """Slope of each piece, left to right."""
        ...

    @property
    def intercepts(self) -> tuple[float, ...]:
        """Intercept of each piece, as the nearest float."""
        ...

    @property
    def intercept_errors(self) -> tuple[float, ...]:
        """How far each intercept may be from the exact one; 0 where it is a float."""
        ...

    @property
    def lipschitz(self) -> float:
        """The steepest slope."""
        ...

    @property
    def convex(self) -> bool:
        """The slopes increase."""
        ...

    @property
    def concave(self) -> bool:
        """The slopes decrease."""
        ...

    def piece(self, z: FloatArray) -> IntArray:
        """Index of the piece that holds each z; a break belongs to the piece on its left."""
        ...

    def slope_at(self, z: FloatArray) -> FloatArray:
        """Derivative at each z."""
        ...

    def held_piece(self, box: Box) -> IntArray:
        """The piece on which each interval lies, -1 where it crosses a break."""
        ...

    def deviation(self, box: Box, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        """min and max of f(z) - slope z over each interval, rounded outward."""
        ...

    def relax(self, box: Box) -> LinearBounds:
        """The tightest single line below and above f on each interval."""
        ...


class AffineLayer(ABC):
    """y = W x + b on flat vectors; W is a linear operator with an adjoint, not necessarily a matrix."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """Name of the layer type."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of trained constants."""

    @property
    @abstractmethod
    def bias(self) -> FloatArray:
        """b, shape (size_out,), or a scalar array that broadcasts."""

    @property
    @abstractmethod
    def terms(self) -> int:
        """Number of products in the longest sum of W x: what rounding errors grow with."""

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output tensor."""

    @abstractmethod
    def apply(self, x: FloatArray) -> FloatArray:
        """W x for a batch, without bias: (m, size_in) -> (m, size_out)."""

    @abstractmethod
    def adjoint(self, a: FloatArray) -> FloatArray:
        """a W for a batch of row vectors: (m, size_out) -> (m, size_in)."""

    @abstractmethod
    def absolute(self, x: FloatArray) -> FloatArray:
        """|W| x for one vector or a batch of them: (..., size_in) -> (..., size_out)."""

    @abstractmethod
    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        """W as a matrix of shape (size_out, size), dense where it is stored dense."""

    @property
    def exact_rows(self) -> bool:
        """Whether `rows` and `bias` are this layer without any rounding."""
        return True

    def __call__(self, x: FloatArray) -> FloatArray:
        return self.apply(x) + self.bias

    def exact(self, x: ExactArray) -> ExactArray:
        matrix = sparse.csr_array(self.rows(x.size))
        weights = exactly(matrix.data)
        out = exactly(np.broadcast_to(self.bias, (matrix.shape[0],)).copy())
        for i in range(matrix.shape[0]):
            part = slice(matrix.indptr[i], matrix.indptr[i + 1])
            if part.stop > part.start:
                out[i] = out[i] + weights[part] @ x[matrix.indices[part]]
        return out

    def exact_adjoint(self, a: ExactArray, size: int) -> ExactArray:
        """a W for one row vector in exact arithmetic: (size_out,) -> (size,)."""
        matrix = sparse.csr_array(self.rows(size))
        out: ExactArray = np.array([Fraction(0)] * size, dtype=object)
        for i in np.flatnonzero([bool(v) for v in a]):
            part = slice(matrix.indptr[i], matrix.indptr[i + 1])
            out[matrix.indices[part]] += a[i] * exactly(matrix.data[part])
        return out

    def interval(self, box: Box) -> Box:
        low, high = box.lower, box.upper
        centre = 0.5 * (low + high)
        radius = numeric.up(np.maximum(high - centre, centre - low), numeric.UNIT * box.magnitude)
        radius = np.where(low == high, np.abs(low - centre), radius)
        middle = self.apply(np.atleast_2d(centre)).reshape(*centre.shape[:-1], -1) + self.bias
        reach = self.absolute(radius)
        error = self.rounding(np.abs(centre) + radius)
        return Box(numeric.down(middle - reach, error), numeric.up(middle + reach, error))

    def rounding(self, magnitude: FloatArray, terms: int = 0) -> FloatArray:
        """Bound on the rounding error of computing W x + b once or twice, for |x| <= magnitude: (..., size_out).

        Args:
            terms: length of the longest sum, where it is taken over something else than a row of W.
        """
        size = self.absolute(magnitude) + np.abs(self.bias)
        longest = max(self.terms, terms)
        lost = numeric.gamma(longest + 3) * size + numeric.underflow(longest)
        # an empty row is its bias, exactly; |W| 1 = 0 tells it without underflow
        return np.where(self.absolute(np.ones(magnitude.shape[-1])) == 0, 0.0, lost)

    def forward_error(self, box: Box, error: FloatArray) -> FloatArray:
        return np.asarray(numeric.inflated(self.absolute(error)) + self.rounding(box.magnitude + error))
