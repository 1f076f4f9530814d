"""Branches that meet, and elements that change places: sums of tensors, and selections of their elements.

A node of several sources takes their vectors one after the other, so that both are affine layers of one vector.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray, exactly
from reludsl.layers.affine_layer import AffineLayer
from reludsl.layers.base import Shape
from reludsl.layers.registry import register


@register
@dataclass(frozen=True, eq=False)
class Sum(AffineLayer):
    """y = s_1 x_1 + ... + s_k x_k for k tensors of one shape, s_j = 1 or -1: residual connections, differences.

    Args:
        signs: s_1, ..., s_k.

    >>> Sum((1, -1))(np.array([[5.0, 6.0, 1.0, 2.0]]))
    array([[4., 4.]])
    """

    signs: tuple[int, ...] = (1, 1)

    def __post_init__(self) -> None:
        if not self.signs or any(s not in (1, -1) for s in self.signs):
            raise InvalidInput(f"a sum has the signs {self.signs}; give 1 or -1 for each of its tensors")

    @property
    def kind(self) -> str:
        return "add" if all(s == 1 for s in self.signs) else "subtract"

    @property
    def terms(self) -> int:
        return len(self.signs)

    @property
    def copies(self) -> bool:
        return True

    def output_shape(self, shape: Shape) -> Shape:
        count = len(self.signs)
        whole = shape if count == 1 else shape[1:]
        if count > 1 and shape[0] != count:
            raise InvalidInput(
                f"a sum of {count} tensors takes {count} of one shape, and was given a tensor of shape {shape}; "
                "broadcast them to one shape first"
            )
        return whole

    def apply(self, x: FloatArray) -> FloatArray:
        parts = np.split(x, len(self.signs), axis=-1)
        total = parts[0] if self.signs[0] > 0 else -parts[0]
        for sign, part in zip(self.signs[1:], parts[1:]):
            total = total + part if sign > 0 else total - part
        return np.asarray(total)

    def adjoint(self, a: FloatArray) -> FloatArray:
        return np.concatenate([a if sign > 0 else -a for sign in self.signs], axis=-1)

    def absolute(self, x: FloatArray) -> FloatArray:
        return np.asarray(sum(np.split(x, len(self.signs), axis=-1)))

    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        eye = sparse.eye_array(size // len(self.signs), format="csr")
        return sparse.csr_array(sparse.hstack([sign * eye for sign in self.signs], format="csr"))

    def adjoint_rounding(self, magnitude: FloatArray) -> FloatArray:
        # coefficients are copied to every branch
        return np.zeros((*magnitude.shape[:-1], magnitude.shape[-1] // len(self.signs)))

    def exact(self, x: ExactArray) -> ExactArray:
        return np.asarray(self.apply(x), dtype=object)


@register
@dataclass(frozen=True, eq=False)
class Gather(AffineLayer):
    """y_i = x[index_i], or `fill` where the index is -1: transpose, slice, pad, concatenate, repeat.

    Args:
        index: (n_out,) which element each output is, or -1.
        size: number of elements that it takes.
        shape: of the output tensor.
        name: how it is called in tables.
        fill: the constant.

    >>> Gather(np.array([2, 0, -1]), 3, (3,), fill=7.0)(np.array([[1.0, 2.0, 3.0]]))
    array([[3., 1., 7.]])
    """

    index: IntArray
    size: int
    shape: Shape
    name: str = "gather"
    fill: float = 0.0

    def __post_init__(self) -> None:
        index = np.array(self.index, dtype=np.int64).ravel()
        if index.size and (index.min() < -1 or index.max() >= self.size):
            bad = int(index.min() if index.min() < -1 else index.max())
            raise InvalidInput(
                f"index {bad} is outside of the {self.size} elements there are; give 0 to {self.size - 1}, or -1"
            )
        if math.prod(self.shape) != index.size:
            raise InvalidInput(f"{index.size} elements do not fill a tensor of shape {self.shape}")
        if not math.isfinite(self.fill):
            raise InvalidInput(f"a tensor is filled with {self.fill}; give a finite number")
        index.setflags(write=False)
        object.__setattr__(self, "index", index)

    @property
    def kind(self) -> str:
        return self.name

    @property
    def terms(self) -> int:
        return 0

    @property
    def bias(self) -> FloatArray:
        return np.where(self.index < 0, self.fill, 0.0) if self.fill else np.zeros(1)

    @property
    def permutes(self) -> bool:
        """No element is left out, none comes twice, and nothing is filled in."""
        return self.index.size == self.size and np.array_equal(np.sort(self.index), np.arange(self.size))

    @cached_property
    def injective(self) -> bool:
        """No element comes twice."""
        return int(np.bincount(self.index[self.index >= 0], minlength=1).max()) <= 1

    def output_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) != self.size:
            raise InvalidInput(f"{self.name} takes {self.size} elements, and follows a tensor of shape {shape}")
        return self.shape

    def apply(self, x: FloatArray) -> FloatArray:
        out = x[..., self.index] if self.size else np.zeros((*x.shape[:-1], self.index.size))
        return np.where(self.index < 0, 0.0, out) if (self.index < 0).any() else np.asarray(out)

    def adjoint(self, a: FloatArray) -> FloatArray:
        return np.asarray(a @ self.rows(self.size))

    def absolute(self, x: FloatArray) -> FloatArray:
        return self.apply(x)

    def rows(self, size: int) -> FloatArray | sparse.csr_array:
        taken = np.flatnonzero(self.index >= 0)
        ones = np.ones(taken.size)
        return sparse.csr_array((ones, (taken, self.index[taken])), shape=(self.index.size, self.size))

    def rounding(self, magnitude: FloatArray, terms: int = 0) -> FloatArray:
        return np.zeros((*magnitude.shape[:-1], self.index.size))

    def adjoint_rounding(self, magnitude: FloatArray) -> FloatArray:
        # sums over several copies of one element are rounded, a selection is not
        most = int(np.bincount(self.index[self.index >= 0], minlength=1).max())
        return (numeric.gamma(most) if most > 1 else 0.0) * self.apply(magnitude)

    def interval(self, box: Box) -> Box:
        return Box(self(box.lower), self(box.upper))

    def exact(self, x: ExactArray) -> ExactArray:
        return np.asarray([x[k] if k >= 0 else exactly(np.array(self.fill)).item() for k in self.index], dtype=object)


def transposed(shape: Shape, order: tuple[int, ...]) -> Gather:
    """A tensor with its axes in another order: y[i_order] = x[i].

    >>> transposed((2, 3), (1, 0))(np.arange(6.0)[None, :])
    array([[0., 3., 1., 4., 2., 5.]])
    """
    index = np.arange(math.prod(shape)).reshape(shape).transpose(order)
    return Gather(index.ravel(), index.size, index.shape, "transpose")


def concatenated(shapes: tuple[Shape, ...], axis: int) -> Gather:
    """Several tensors as one, along an axis; a node of several sources takes them.

    >>> concatenated(((2, 1), (2, 2)), 1)(np.array([[1.0, 2.0, 10.0, 11.0, 20.0, 21.0]]))
    array([[ 1., 10., 11.,  2., 20., 21.]])
    """
    ends = np.cumsum([0, *(math.prod(s) for s in shapes)])
    parts = [np.arange(a, b).reshape(s) for a, b, s in zip(ends, ends[1:], shapes)]
    index = np.concatenate(parts, axis=axis)
    return Gather(index.ravel(), int(ends[-1]), index.shape, "concat")
