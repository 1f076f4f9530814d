"""What every layer offers, and what every affine layer gets for free.

A layer is a frozen value. It works on *flat* vectors: a batch of inputs is an array of shape (m, size_in),
whatever shape the network gives the tensor. A node of several sources takes their vectors one after the other.
Three kinds exist:

* `AffineLayer`: y = W x + b (`reludsl.layers.affine_layer`). It declares `apply`, `adjoint`, `absolute` and `rows`,
  or `apply` and `inputs` alone; forward pass, interval bounds, backward bounds and program rows follow. W need not be
  stored as a matrix.
* `Activation`: y_i = f(z_i), element by element, with f piecewise linear (`reludsl.layers.piecewise`).
* `NonlinearLayer`: any other piecewise-linear map, a maximum say: forward, interval, relax, encode
  (`reludsl.layers.nonlinear_layer`).
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box
from reludsl.exact import ExactArray
from reludsl.layers.linear_bounds import LinearBounds

Shape = tuple[int, ...]


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

    def pull(self, x: FloatArray, a: FloatArray) -> FloatArray:
        """a_k J(x_k) with J the Jacobian of the piece at x_k: (m, size_in), (m, size_out) -> (m, size_in)."""
        ...

    def push(self, x: FloatArray, v: FloatArray) -> FloatArray:
        """J(x) v_k: (size_in,), (m, size_in) -> (m, size_out)."""
        ...


@runtime_checkable
class Activation(Layer, Protocol):
    """An element-wise piecewise-linear layer.

    An entry of `breaks`, `slopes` and `intercepts` is a float or a tuple of one per element; what works on vectors
    asks `breaks_at` and its like.
    """

    @property
    def breaks(self) -> tuple[Any, ...]:
        """Where the slope changes, increasing."""
        ...

    @property
    def slopes(self) -> tuple[Any, ...]:
        """Slope of each piece, left to right."""
        ...

    @property
    def intercepts(self) -> tuple[Any, ...]:
        """Intercept of each piece, as the nearest float."""
        ...

    @property
    def lipschitz(self) -> float:
        """The steepest slope, of all elements."""
        ...

    @property
    def convex(self) -> bool:
        """The slopes increase, in every element."""
        ...

    @property
    def concave(self) -> bool:
        """The slopes decrease, in every element."""
        ...

    def breaks_at(self, size: int) -> FloatArray:
        """Where the slope of each of `size` elements changes, increasing: (K, size)."""
        ...

    def slopes_at(self, size: int) -> FloatArray:
        """Slope of each piece, left to right: (K + 1, size)."""
        ...

    def intercepts_at(self, size: int) -> FloatArray:
        """Intercept of each piece, as the nearest float: (K + 1, size)."""
        ...

    def intercept_errors_at(self, size: int) -> FloatArray:
        """How far each intercept may be from the exact one, 0 where it is a float: (K + 1, size)."""
        ...

    def slope_of(self, piece: IntArray) -> FloatArray:
        """Slope of a piece of each element, NaN where the piece is negative: (..., n) -> (..., n)."""
        ...

    def intercept_of(self, piece: IntArray) -> FloatArray:
        """Intercept of a piece of each element, NaN where the piece is negative."""
        ...

    def take(self, index: IntArray | BoolArray) -> Activation:
        """The activation of some of the elements."""
        ...

    def piece(self, z: FloatArray) -> IntArray:
        """Index of the piece that holds each z; a break belongs to the piece on its left."""
        ...

    def slope_at(self, z: FloatArray) -> FloatArray:
        """Derivative at each z."""
        ...

    def break_above(self, z: FloatArray) -> FloatArray:
        """The first break at or above each z, inf where there is none."""
        ...

    def break_below(self, z: FloatArray) -> FloatArray:
        """The last break at or below each z, -inf where there is none."""
        ...

    def room(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far each z may fall and rise before it leaves its piece."""
        ...

    def held_piece(self, box: Box, strict: bool = False) -> IntArray:
        """The piece on which each interval lies, -1 where it crosses a break (strict: or touches one)."""
        ...

    def crossed(self, low: FloatArray, high: FloatArray, strict: bool = False) -> BoolArray:
        """Whether a break lies between two values of each element (strict: or at one of them)."""
        ...

    def vertices(self, box: Box) -> FloatArray:
        """Both ends of each interval and every break cut to it: (K + 2, n). f is linear between neighbours."""
        ...

    def deviation(self, box: Box, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        """min and max of f(z) - slope z over each interval, rounded outward; of several slopes (..., n) each."""
        ...

    def relax(self, box: Box) -> LinearBounds:
        """The tightest single line below and above f on each interval."""
        ...
