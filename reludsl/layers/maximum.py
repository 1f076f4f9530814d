"""Maxima: y_k = max of the inputs in window k. Max-pooling, maxout, the larger of two tensors.

Every output is a max unit: it copies one input of its window, and which one is its piece. `MaxLayer` says all that
bounds and programs need, for any windows.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.layers.base import Shape
from reludsl.layers.linear_bounds import LinearBounds
from reludsl.layers.nonlinear_layer import Encoding, Fresh, NonlinearLayer
from reludsl.layers.registry import register

if TYPE_CHECKING:
    from reludsl.expr import Expr


class MaxLayer(NonlinearLayer):
    """A layer of max units; a type of layer says which windows they have."""

    @property
    @abstractmethod
    def windows(self) -> IntArray:
        """(n_out, k) the inputs of each unit; a unit with fewer than k repeats its first."""

    @cached_property
    def _first(self) -> BoolArray:
        """(n_out, k) False where a window repeats an input that it holds already."""
        w = self.windows
        return np.stack([~(w[:, :j] == w[:, j : j + 1]).any(axis=1) for j in range(w.shape[1])], axis=1)

    def __call__(self, x: FloatArray) -> FloatArray:
        return np.asarray(reduce(np.maximum, (x[..., column] for column in self.windows.T)))

    def interval(self, box: Box) -> Box:
        return Box(self(box.lower), self(box.upper))

    def evaluation_error(self, magnitude: FloatArray) -> FloatArray:
        return np.zeros(len(self.windows))

    def forward_error(self, box: Box, error: FloatArray) -> FloatArray:
        return self(error)

    def piece(self, x: FloatArray) -> IntArray:
        """Which place of its window each unit copies: (..., size_in) -> (..., n_out)."""
        return np.asarray(np.argmax(np.stack([x[..., column] for column in self.windows.T], axis=-1), axis=-1))

    def held_piece(self, box: Box) -> IntArray:
        """The place that a unit copies on the whole box, -1 where that is open.

        >>> Max(np.array([[0, 1]]), 2, (1,)).held_piece(Box([2.0, 0.0], [3.0, 1.0]))
        array([0])
        """
        low, high = box.lower[self.windows], box.upper[self.windows]
        best = low.argmax(axis=-1)
        others = self.windows != np.take_along_axis(self.windows, best[:, None], axis=-1)
        rest = np.where(others, high, -np.inf).max(axis=-1)
        return np.where(np.take_along_axis(low, best[:, None], axis=-1)[:, 0] >= rest, best, -1)

    def relax(self, box: Box) -> LinearBounds:
        """Below, the input with the highest middle; above, the line through the input that can be largest.

        With u_1 the largest upper bound, of an input in [l_1, u_1], and t the largest of the other upper bounds and
        of all lower bounds, max <= max(x_1, t), whose chord over [l_1, u_1] is the bound. Where t <= l_1 the unit
        copies that input, and both bounds say so.
        """
        w, n = self.windows, box.size
        rows = np.arange(len(w))
        low, high = box.lower[w], box.upper[w]
        lowest = w[rows, (0.5 * (low + high)).argmax(axis=1)]
        top = w[rows, high.argmax(axis=1)]
        rest = np.where(w != top[:, None], high, -np.inf).max(axis=1)
        held = self.held_piece(box)
        lowest = np.where(held >= 0, w[rows, held], lowest)
        top = np.where(held >= 0, w[rows, held], top)
        t = np.maximum(rest, low.max(axis=1))
        a, b = box.lower[top], box.upper[top]
        # where the unit is held its line is the input itself; elsewhere the interval has a width
        slope = np.where(held >= 0, 1.0, np.divide(b - t, b - a, out=np.zeros_like(t), where=(held < 0) & (b > a)))
        slope = np.clip(slope, 0.0, 1.0)
        ends = [(b, slope * b), (t, slope * a)]
        offset = np.max(
            [numeric.up(p - q, 4 * numeric.UNIT * (np.abs(p) + np.abs(q)) + numeric.FLOOR) for p, q in ends], axis=0
        )
        offset = np.where(held >= 0, 0.0, offset)
        ones, starts = np.ones(len(w)), np.arange(len(w) + 1)
        below = sparse.csr_array((ones, lowest, starts), shape=(len(w), n))
        above = sparse.csr_array((slope, top, starts), shape=(len(w), n))
        return LinearBounds(below, np.zeros(len(w)), above, offset)

    def encode(self, x: Expr, box: Box, fresh: Fresh) -> Encoding:
        """y >= x_i for every i of the window, y <= x_i for one; y below the line of `relax`, which costs no binary."""
        y = fresh(self.interval(box))
        line = self.relax(box)
        inputs = [x[column] for column in self.windows.T]
        # a repeated input is no piece of its own
        again = [np.where(first, 0.0, 1.0) for first in self._first.T]
        chosen = tuple((y - v) * (1.0 - twice) + twice <= 0.0 for v, twice in zip(inputs, again))
        above = x.mapped(sparse.csr_array(line.upper_slope)) + line.upper_offset
        return Encoding(y, (*(y >= v for v in inputs), y <= above), (chosen,))

    def _copied(self, x: FloatArray) -> IntArray:
        """(m, n_out) the input that each unit copies at each of m points."""
        piece = self.piece(x)
        return np.asarray(self.windows[np.arange(len(self.windows)), piece])

    def pull(self, x: FloatArray, a: FloatArray) -> FloatArray:
        m, n = x.shape
        target = self._copied(x) + n * np.arange(m)[:, None]
        return np.bincount(target.ravel(), a.ravel(), minlength=m * n).astype(np.float64).reshape(m, n)

    def push(self, x: FloatArray, v: FloatArray) -> FloatArray:
        return np.asarray(v[:, self._copied(x[None, :])[0]])

    def room(self, x: FloatArray) -> tuple[sparse.csr_array, FloatArray]:
        copied = self._copied(x[None, :])[0]
        first = np.repeat(copied, self.windows.shape[1])
        other = self.windows.ravel()
        rows = np.flatnonzero(first != other)
        first, other = first[rows], other[rows]
        entries = np.tile([1.0, -1.0], rows.size)
        columns = np.stack([first, other], axis=1).ravel()
        gap = sparse.csr_array((entries, columns, np.arange(0, entries.size + 1, 2)), shape=(rows.size, x.size))
        return gap, x[first] - x[other]


@register
@dataclass(frozen=True, eq=False)
class Max(MaxLayer):
    """y_k = max of x_i over i in window k.

    Args:
        index: (n_out, k) the windows.
        size: number of inputs.
        shape: of the output tensor.

    Raises:
        InvalidInput: windows of no inputs, or of inputs that do not exist.

    >>> Max(np.array([[0, 1], [1, 2]]), 3, (2,))(np.array([[1.0, 5.0, 2.0]]))
    array([[5., 5.]])
    """

    index: IntArray
    size: int
    shape: Shape

    def __post_init__(self) -> None:
        index = np.array(self.index, dtype=np.int64)
        if index.ndim != 2 or not index.size or index.min() < 0 or index.max() >= self.size:
            raise InvalidInput(
                f"the windows of a maximum have shape {index.shape}, over {self.size} inputs; give an array "
                "(units, inputs of each), with indices of inputs that exist"
            )
        if math.prod(self.shape) != len(index):
            raise InvalidInput(f"{len(index)} maxima do not fill a tensor of shape {self.shape}")
        index.setflags(write=False)
        object.__setattr__(self, "index", index)

    @property
    def windows(self) -> IntArray:
        return self.index

    def output_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) != self.size:
            raise InvalidInput(f"a maximum over {self.size} inputs follows a tensor of shape {shape}")
        return self.shape


def maxout(size: int, rank: int) -> Max:
    """Maxout units of a rank: the largest of every `rank` elements that stand side by side (Goodfellow et al. 2013).

    Raises:
        InvalidInput: the rank does not divide the size.

    >>> maxout(4, 2)(np.array([[1.0, 2.0, 4.0, 3.0]]))
    array([[2., 4.]])
    """
    if rank < 1 or size % rank:
        raise InvalidInput(f"{size} elements do not split into groups of {rank}; give a rank that divides {size}")
    return Max(np.arange(size).reshape(-1, rank), size, (size // rank,))


def larger(shape: Shape, count: int = 2) -> Max:
    """The largest of some tensors of one shape, element by element; a node of several sources takes them.

    >>> larger((2,))(np.array([[1.0, 5.0, 3.0, 4.0]]))
    array([[3., 5.]])
    """
    size = math.prod(shape)
    return Max(np.arange(count * size).reshape(count, size).T, count * size, shape)
