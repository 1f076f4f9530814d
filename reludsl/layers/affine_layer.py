"""What every affine layer gets for free: y = W x + b, with W a linear operator that need not be a matrix."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from functools import cached_property

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray, exactly
from reludsl.layers.base import Shape


class AffineLayer(ABC):
    """y = W x + b on flat vectors; W is a linear operator with an adjoint, not necessarily a matrix.

    A layer that states `inputs` needs no more than `output_shape` and `apply`: its matrix is what `apply` makes of
    unit vectors, and all else follows from that. `terms`, `adjoint`, `absolute` and `rows` are overridden where
    something faster is known.
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
    def bias(self) -> FloatArray:
        """b, shape (size_out,), or a scalar array that broadcasts."""
        return np.zeros(1)

    @property
    def inputs(self) -> int:
        """size_in, for a layer that is defined by `apply` alone."""
        raise InvalidInput(
            f"{type(self).__name__} states neither `inputs` nor its own `adjoint`, `absolute`, `terms` and `rows`, so "
            "its matrix is unknown; give it a property `inputs`, the number of elements that it takes"
        )

    @property
    def terms(self) -> int:
        """Number of products in the longest sum of W x: what rounding errors grow with."""
        return int(np.diff(self._matrix.indptr).max(initial=0))

    @cached_property
    def _matrix(self) -> sparse.csr_array:
        return sparse.csr_array(self.apply(np.eye(self.inputs)).T)

    @cached_property
    def _absolute_matrix(self) -> sparse.csr_array:
        return abs(self._matrix)

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Shape of the output tensor."""

    @abstractmethod
    def apply(self, x: FloatArray) -> FloatArray:
        """W x for a batch, without bias: (m, size_in) -> (m, size_out)."""

    def adjoint(self, a: FloatArray) -> FloatArray:
        """a W for a batch of row vectors: (m, size_out) -> (m, size_in)."""
        return np.asarray(a @ self._matrix)

    def absolute(self, x: FloatArray) -> FloatArray:
        """|W| x for one vector or a batch of them: (..., size_in) -> (..., size_out)."""
        return np.asarray((self._absolute_matrix @ x.T).T)

    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        """W as a matrix of shape (size_out, size), dense where it is stored dense."""
        return self._matrix

    def pull(self, x: FloatArray, a: FloatArray) -> FloatArray:
        return self.adjoint(a)

    def push(self, x: FloatArray, v: FloatArray) -> FloatArray:
        return self.apply(v)

    @property
    def copies(self) -> bool:
        """Every entry of W is 0, 1 or -1: products with them are exact, the sums of several in a row are not."""
        return self.terms == 0

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
            np.add.at(out, matrix.indices[part], a[i] * exactly(matrix.data[part]))
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

    def adjoint_rounding(self, magnitude: FloatArray) -> FloatArray:
        """What rounding a W costs per unit of |a|, for |x| <= magnitude: (..., size_out). The bias is not in it."""
        size = self.absolute(np.ones(magnitude.shape[-1])).shape[-1]
        return self.rounding(magnitude, terms=size)

    def forward_error(self, box: Box, error: FloatArray) -> FloatArray:
        return np.asarray(numeric.inflated(self.absolute(error)) + self.rounding(box.magnitude + error))
