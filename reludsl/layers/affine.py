"""Fully connected layers and constant arithmetic: y = W x + b, x + c, c x, x / c."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray, exactly
from reludsl.layers.affine_layer import AffineLayer
from reludsl.layers.base import Shape
from reludsl.layers.constants import finite
from reludsl.layers.registry import register


@register
@dataclass(frozen=True, eq=False)
class Affine(AffineLayer):
    """y = W x + b.

    Args:
        weight: shape (size_out, size_in), dense or any scipy sparse array.
        offset: shape (size_out,).

    Raises:
        InvalidInput: NaN or infinite weights, shapes that disagree.

    >>> Affine(np.array([[1.0, -2.0]]), np.array([0.5]))(np.array([[3.0, 1.0]]))
    array([[1.5]])
    """

    weight: FloatArray | sparse.csr_array
    offset: FloatArray

    def __post_init__(self) -> None:
        weight: Any
        if sparse.issparse(self.weight):
            weight = sparse.csr_array(self.weight, dtype=np.float64, copy=True)
            weight.sum_duplicates()
            finite(weight.data, "the weight matrix")
        else:
            weight = finite(np.asarray(self.weight), "the weight matrix")
        offset = finite(np.asarray(self.offset), "the bias").ravel()
        if weight.ndim != 2 or weight.shape[0] != offset.size:
            raise InvalidInput(
                f"a weight matrix of shape {weight.shape} and a bias of {offset.size} do not fit; "
                "give weight (n_out, n_in) and bias (n_out,)"
            )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "offset", offset)

    @property
    def kind(self) -> str:
        return "affine"

    @property
    def parameters(self) -> int:
        return int(np.prod(self.weight.shape)) + self.offset.size

    @property
    def bias(self) -> FloatArray:
        return self.offset

    @property
    def terms(self) -> int:
        return int(self.weight.shape[1])

    @cached_property
    def _absolute(self) -> FloatArray | sparse.csr_array:
        return abs(self.weight)

    @property
    def dense(self) -> FloatArray:
        """W as a dense array."""
        return self.weight.toarray() if isinstance(self.weight, sparse.csr_array) else self.weight

    def output_shape(self, shape: Shape) -> Shape:
        if not shape or shape[-1] != self.weight.shape[1] or int(np.prod(shape)) != shape[-1]:
            raise InvalidInput(
                f"an affine layer with {self.weight.shape[1]} inputs follows a tensor of shape {shape}; "
                "flatten it first, or check the weights"
            )
        return (*shape[:-1], int(self.weight.shape[0]))

    def apply(self, x: FloatArray) -> FloatArray:
        return np.asarray(x @ self.weight.T)

    def adjoint(self, a: FloatArray) -> FloatArray:
        return np.asarray(a @ self.weight)

    def absolute(self, x: FloatArray) -> FloatArray:
        return np.asarray((self._absolute @ x.T).T)

    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        return self.weight


@register
@dataclass(frozen=True, eq=False)
class Shift(AffineLayer):
    """y = x + c, with c one number or one per element.

    >>> Shift(np.array([1.0, 2.0]))(np.array([[0.0, 0.0]]))
    array([[1., 2.]])
    """

    offset: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", finite(np.asarray(self.offset), "the constant").ravel())

    @property
    def kind(self) -> str:
        return "shift"

    @property
    def parameters(self) -> int:
        return self.offset.size

    @property
    def bias(self) -> FloatArray:
        return self.offset

    @property
    def terms(self) -> int:
        return 1

    @property
    def copies(self) -> bool:
        return True

    def output_shape(self, shape: Shape) -> Shape:
        return _same_size(shape, self.offset, "added")

    def apply(self, x: FloatArray) -> FloatArray:
        return x

    def adjoint(self, a: FloatArray) -> FloatArray:
        return a

    def absolute(self, x: FloatArray) -> FloatArray:
        return x

    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        return sparse.eye_array(size, format="csr")


@register
@dataclass(frozen=True, eq=False)
class Scale(AffineLayer):
    """y = c x, or y = x / c with `divide`, c one number or one per element.

    Division is kept as such: 1 / c is no float in general, and the quotient is what the network means.

    Raises:
        InvalidInput: division by zero.

    >>> Scale(np.array([255.0]), divide=True)(np.array([[51.0]]))
    array([[0.2]])
    """

    factor: FloatArray
    divide: bool = False

    def __post_init__(self) -> None:
        factor = finite(np.asarray(self.factor), "the constant").ravel()
        if self.divide and (factor == 0).any():
            raise InvalidInput("a layer divides by zero; the network has no value there: repair the constant")
        object.__setattr__(self, "factor", factor)

    @property
    def kind(self) -> str:
        return "divide" if self.divide else "scale"

    @property
    def parameters(self) -> int:
        return self.factor.size

    @property
    def terms(self) -> int:
        return 1

    def output_shape(self, shape: Shape) -> Shape:
        return _same_size(shape, self.factor, "multiplied")

    @property
    def exact_rows(self) -> bool:
        return not self.divide

    def apply(self, x: FloatArray) -> FloatArray:
        return np.asarray(x / self.factor if self.divide else x * self.factor)

    def adjoint(self, a: FloatArray) -> FloatArray:
        return self.apply(a)

    def absolute(self, x: FloatArray) -> FloatArray:
        return np.asarray(x / np.abs(self.factor) if self.divide else x * np.abs(self.factor))

    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        diagonal = np.broadcast_to(1.0 / self.factor if self.divide else self.factor, (size,))
        return sparse.csr_array(sparse.diags_array(diagonal))

    def exact(self, x: ExactArray) -> ExactArray:
        factor = exactly(np.broadcast_to(self.factor, x.shape).copy())
        return np.asarray(x / factor if self.divide else x * factor)

    def exact_adjoint(self, a: ExactArray, size: int) -> ExactArray:
        return self.exact(a)


def _same_size(shape: Shape, constant: FloatArray, verb: str) -> Shape:
    size = int(np.prod(shape))
    if constant.size not in (1, size):
        raise InvalidInput(
            f"a constant of {constant.size} elements is {verb} to a tensor of shape {shape}; give 1 or {size} elements"
        )
    return shape


@register
@dataclass(frozen=True, eq=False)
class Reshape(AffineLayer):
    """y = x with another shape (row-major order, so the flat vector stays the same). Flatten is one of these.

    Args:
        shape: the new shape; one entry may be -1.
    """

    shape: Shape

    @property
    def kind(self) -> str:
        return "reshape"

    @property
    def terms(self) -> int:
        return 0

    def output_shape(self, shape: Shape) -> Shape:
        size = int(np.prod(shape))
        known = int(np.prod([k for k in self.shape if k != -1]))
        if self.shape.count(-1) > 1 or (size != known if -1 not in self.shape else known == 0 or size % known):
            raise InvalidInput(f"a tensor of shape {shape} cannot be reshaped to {self.shape}")
        return tuple(size // known if k == -1 else k for k in self.shape)

    def apply(self, x: FloatArray) -> FloatArray:
        return x

    def adjoint(self, a: FloatArray) -> FloatArray:
        return a

    def absolute(self, x: FloatArray) -> FloatArray:
        return x

    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        return sparse.eye_array(size, format="csr")

    def rounding(self, magnitude: FloatArray, terms: int = 0) -> FloatArray:
        return np.zeros_like(magnitude)

    def interval(self, box: Box) -> Box:
        return box

    def exact(self, x: ExactArray) -> ExactArray:
        return x
