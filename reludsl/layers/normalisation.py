"""Batch normalisation at inference: one factor and one summand for each channel."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import cached_property

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray
from reludsl.errors import InvalidInput
from reludsl.layers.affine_layer import AffineLayer
from reludsl.layers.base import Shape
from reludsl.layers.constants import finite
from reludsl.layers.registry import register
from reludsl.layers.windows import kept

_DIGITS = Context(prec=60)
"""So many digits that the float64 next to a quotient is that next to its first digits."""


@register
@dataclass(frozen=True, eq=False)
class BatchNorm(AffineLayer):
    """y[c, q] = scale[c] x[c, q] + offset[c].

    Args:
        scale, offset: shape (channels,).
        positions: number of elements of each channel, which stand side by side.

    Raises:
        InvalidInput: NaN or infinite constants, shapes that disagree.

    >>> BatchNorm(np.array([2.0, 1.0]), np.array([0.0, 5.0]), 2)(np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([[2., 4., 8., 9.]])
    """

    scale: FloatArray
    offset: FloatArray
    positions: int = 1

    def __post_init__(self) -> None:
        scale = finite(np.asarray(self.scale), "the scale").ravel()
        offset = finite(np.asarray(self.offset), "the offset").ravel()
        if scale.size != offset.size or not scale.size:
            raise InvalidInput(
                f"{scale.size} scales and {offset.size} offsets do not fit, and each channel has one of both; "
                "give two arrays of one length"
            )
        if int(self.positions) != self.positions or self.positions < 1:
            raise InvalidInput(
                f"a channel of a batch normalisation has {self.positions} elements, and nothing to scale; "
                "give a whole number of at least 1"
            )
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "offset", offset)
        object.__setattr__(self, "positions", int(self.positions))

    @classmethod
    def from_statistics(
        cls,
        gamma: FloatArray,
        beta: FloatArray,
        mean: FloatArray,
        variance: FloatArray,
        epsilon: float,
        positions: int = 1,
    ) -> BatchNorm:
        """scale = gamma / sqrt(variance + epsilon) and offset = beta - mean scale, each the nearest float64.

        The offset is computed from the rounded scale, so that x = mean gives beta up to one rounding.

        Raises:
            InvalidInput: numbers that are not finite, arrays of several lengths, variance + epsilon not positive.

        >>> ones = np.ones(1)
        >>> layer = BatchNorm.from_statistics(3 * ones, ones, 2 * ones, 3.75 * ones, 0.25)
        >>> layer.scale, layer.offset
        (array([1.5]), array([-2.]))
        """
        named = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
        columns = [finite(np.asarray(value), name).ravel() for name, value in named.items()]
        spread = Fraction(float(finite(np.asarray(epsilon), "epsilon")))
        if len({column.size for column in columns}) != 1:
            sizes = ", ".join(f"{name} {column.size}" for name, column in zip(named, columns))
            raise InvalidInput(
                f"the statistics have several lengths ({sizes}), and each channel has one of each; "
                "give arrays of one length"
            )
        scale, offset = [], []
        for g, b, m, v in zip(*(column.tolist() for column in columns)):
            total = Fraction(v) + spread
            if total <= 0:
                raise InvalidInput(
                    f"variance {v} + epsilon {epsilon} is not positive, so that its root divides by zero or is no "
                    "number; repair the variance, or give a larger epsilon"
                )
            root = _DIGITS.sqrt(_DIGITS.divide(Decimal(total.numerator), Decimal(total.denominator)))
            scale.append(float(_DIGITS.divide(Decimal(g), root)))
            offset.append(_nearest(b, m, scale[-1]))
        return cls(np.array(scale), np.array(offset), positions)

    @property
    def kind(self) -> str:
        return "batch_norm"

    @property
    def parameters(self) -> int:
        return self.scale.size + self.offset.size

    @cached_property
    def _factor(self) -> FloatArray:
        return np.repeat(self.scale, self.positions)

    @cached_property
    def _summand(self) -> FloatArray:
        return np.repeat(self.offset, self.positions)

    @property
    def bias(self) -> FloatArray:
        return self._summand

    @property
    def terms(self) -> int:
        return 1

    def output_shape(self, shape: Shape) -> Shape:
        if int(np.prod(shape)) != self._factor.size:
            raise InvalidInput(
                f"a batch normalisation of {self.scale.size} channels with {self.positions} elements each follows a "
                f"tensor of shape {shape}, so that channels and elements do not meet; check its positions"
            )
        return shape

    def apply(self, x: FloatArray) -> FloatArray:
        return np.asarray(x * self._factor)

    def adjoint(self, a: FloatArray) -> FloatArray:
        return self.apply(a)

    def absolute(self, x: FloatArray) -> FloatArray:
        return np.asarray(x * np.abs(self._factor))

    def adjoint_rounding(self, magnitude: FloatArray) -> FloatArray:
        # no element meets another
        return self.rounding(magnitude)

    @cached_property
    def _matrix(self) -> sparse.csr_array:
        matrix = sparse.csr_array(sparse.diags_array(self._factor))
        matrix.eliminate_zeros()
        return matrix

    def narrowed(self, keep: BoolArray) -> BatchNorm:
        """The same normalisation with some channels left out.

        Raises:
            InvalidInput: none is kept.
        """
        index = kept(keep, self.scale.size, "normalised")
        return BatchNorm(self.scale[index], self.offset[index], self.positions)


def _nearest(beta: float, mean: float, scale: float) -> float:
    """beta - mean scale as the nearest float64; infinite where there is none, which the layer then refuses."""
    try:
        return float(Fraction(beta) - Fraction(mean) * Fraction(scale))
    except OverflowError:
        return float("inf")
