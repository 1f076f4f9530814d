"""Activations by declaration: breakpoints and slopes; everything else is derived.

    relu = PiecewiseLinear("relu", breaks=(0,), slopes=(0, 1))

Forward pass, interval, linear relaxation, disjunction, H constants and stability all follow from the four
fields, for any breaks and slopes. Nothing in this library asks whether an activation is the ReLU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, reduce
from typing import Any

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray
from reludsl.layers.base import Shape
from reludsl.layers.linear_bounds import LinearBounds
from reludsl.layers.registry import register

Entry = Any
"""A float, or a tuple of one float per element of the vector."""


@register
@dataclass(frozen=True)
class PiecewiseLinear:
    """y = s_k z + c_k for b_k <= z <= b_{k+1}, continuous, through the anchor.

    Every break, every slope and both coordinates of the anchor are a float for all elements of the vector, or one
    float per element: a tuple, list or array of length n. One that is the same for all is held as a float, so that
    equality is that of what the fields mean.

    Args:
        name: how it is called in tables and files.
        breaks: b_1 < ... < b_K, finite, in every element.
        slopes: s_0, ..., s_K, one more than breaks, left to right.
        anchor: one point (z, y) of the graph; the intercepts follow by continuity.

    Raises:
        InvalidInput: breaks that do not increase, a wrong number of slopes, a value that is not finite, entries for
            different numbers of elements.

    >>> PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))(np.array([[-3.0, 0.5, 2.0]]))
    array([[-1. ,  0.5,  1. ]])
    >>> PiecewiseLinear("prelu", (0,), ((0.25, 0.5), 1))(np.array([[-4.0, -4.0]]))
    array([[-1., -2.]])
    """

    name: str
    breaks: tuple[Entry, ...]
    slopes: tuple[Entry, ...]
    anchor: tuple[Entry, Entry] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if len(self.slopes) != len(self.breaks) + 1:
            raise InvalidInput(
                f"{self.name} has {len(self.breaks)} breaks and {len(self.slopes)} slopes; "
                f"{len(self.breaks)} breaks need {len(self.breaks) + 1} slopes"
            )
        for field in ("breaks", "slopes", "anchor"):
            object.__setattr__(self, field, tuple(_entry(v) for v in getattr(self, field)))
        entries = (*self.breaks, *self.slopes, *self.anchor)
        lengths = sorted({len(v) for v in entries if isinstance(v, tuple)})
        if lengths and (len(lengths) > 1 or lengths[0] == 0):
            raise InvalidInput(
                f"{self.name} holds numbers for {' and for '.join(map(str, lengths))} elements; it acts on one vector: "
                "give one number for all elements, or one for each"
            )
        if not all(np.isfinite(v).all() for v in entries):
            raise InvalidInput(f"{self.name} holds a value that is not finite; give numbers")
        for left, right in zip(self._b, self._b[1:]):
            if np.any(left >= right):
                raise InvalidInput(
                    f"the breaks of {self.name} are {self._shown_breaks(np.asarray(left >= right))}; they must increase"
                )

    def _shown_breaks(self, wrong: BoolArray) -> str:
        if self.elements is None:
            return str(self.breaks)
        # where both breaks are floats they are wrong for every element
        element = int(np.broadcast_to(wrong, (self.elements,)).argmax())
        return f"{tuple(self.breaks_at(self.elements)[:, element].tolist())} for element {element}"

    @property
    def kind(self) -> str:
        return self.name

    @cached_property
    def elements(self) -> int | None:
        """n where an entry holds one number per element, None where the activation is the same for all."""
        return next((len(v) for v in (*self.breaks, *self.slopes, *self.anchor) if isinstance(v, tuple)), None)

    @property
    def parameters(self) -> int:
        """How many numbers are given element by element."""
        return sum(len(v) for v in (*self.breaks, *self.slopes, *self.anchor) if isinstance(v, tuple))

    @property
    def pieces(self) -> int:
        """Number of linear pieces, K + 1."""
        return len(self.slopes)

    def take(self, index: IntArray | BoolArray) -> PiecewiseLinear:
        """The activation of some of the elements; itself where it is the same for all.

        Args:
            index: positions, or a mask. Of no element at all any activation will do: it is that of the first.

        >>> PiecewiseLinear("prelu", (0,), ((0.25, 0.5, 0.125), 1)).take(np.array([0, 2])).slopes
        ((0.25, 0.125), 1.0)
        """
        if self.elements is None:
            return self
        where = np.arange(self.elements)[index]
        where = where if where.size else np.zeros(1, dtype=np.int64)

        def some(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
            return tuple(np.array(v)[where] if isinstance(v, tuple) else v for v in entries)

        z, y = some(self.anchor)
        return PiecewiseLinear(self.name, some(self.breaks), some(self.slopes), (z, y))

    # --- the numbers, as what broadcasts over (..., n) --------------------------------------------------------

    # a float stays a float: numpy is as fast with it as it can be, and the shortcuts below can ask for 0 and 1

    @cached_property
    def _b(self) -> tuple[float | FloatArray, ...]:
        return _broadcastable(self.breaks)

    @cached_property
    def _s(self) -> tuple[float | FloatArray, ...]:
        return _broadcastable(self.slopes)

    @cached_property
    def _c(self) -> tuple[float | FloatArray, ...]:
        return _broadcastable(self.intercepts)

    @cached_property
    def _break_table(self) -> FloatArray:
        return _table(self.breaks, self.elements)

    @cached_property
    def _edge_table(self) -> FloatArray:
        return _table(self.edges, self.elements)

    @cached_property
    def _slope_table(self) -> FloatArray:
        return _table(self.slopes, self.elements)

    @cached_property
    def _intercept_table(self) -> FloatArray:
        return _table(self.intercepts, self.elements)

    def breaks_at(self, size: int) -> FloatArray:
        """Break k of each of `size` elements: (K, size)."""
        return _spread(self._break_table, size)

    def slopes_at(self, size: int) -> FloatArray:
        """Slope k of each of `size` elements: (K + 1, size).

        >>> relu.slopes_at(3)
        array([[0., 0., 0.],
               [1., 1., 1.]])
        """
        return _spread(self._slope_table, size)

    def intercepts_at(self, size: int) -> FloatArray:
        """Intercept k of each of `size` elements, as the nearest float: (K + 1, size)."""
        return _spread(self._intercept_table, size)

    def intercept_errors_at(self, size: int) -> FloatArray:
        """How far each of them may be from the exact one: (K + 1, size)."""
        return _spread(_table(self.intercept_errors, self.elements), size)

    def slope_of(self, piece: IntArray) -> FloatArray:
        """The slope of piece[i] in element i, NaN where piece[i] < 0: (..., n) -> (..., n).

        >>> relu.slope_of(np.array([1, 0, -1]))
        array([ 1.,  0., nan])
        """
        return np.where(piece >= 0, self._gather(self._slope_table, np.maximum(piece, 0)), np.nan)

    def intercept_of(self, piece: IntArray) -> FloatArray:
        """The intercept of piece[i] in element i, NaN where piece[i] < 0."""
        return np.where(piece >= 0, self._gather(self._intercept_table, np.maximum(piece, 0)), np.nan)

    def _gather(self, table: FloatArray, k: IntArray) -> FloatArray:
        """Row k[..., i] of a table in element i."""
        return np.asarray(table[k] if self.elements is None else table[k, np.arange(self.elements)])

    def _count(self, z: FloatArray, *, reached: bool) -> IntArray:
        """Number of breaks below each z; `reached` counts one at z as well."""
        if self.elements is None:
            return np.searchsorted(self._break_table, z, side="right" if reached else "left")
        z = np.asarray(z)
        total = np.zeros(z.shape, dtype=np.int64)
        for b in self._b:
            # NaN lies beyond every break, as it does for searchsorted
            total += ~(z < b) if reached else ~(z <= b)
        return total

    # --- intercepts, exactly ----------------------------------------------------------------------------------

    @cached_property
    def _exact_kinds(self) -> tuple[list[_Exact], IntArray]:
        """Every kind of element that there is, in exact arithmetic, and which kind each element is."""
        table = _table((*self.breaks, *self.slopes, *self.anchor), self.elements).reshape(2 * self.pieces + 1, -1)
        # a channel gives all its positions the same numbers: Fractions are made once for them
        kinds, which = np.unique(table, axis=1, return_inverse=True)
        return [_Exact.of(column, len(self.breaks)) for column in kinds.T.tolist()], which.ravel()

    @cached_property
    def intercepts(self) -> tuple[Entry, ...]:
        """c_0, ..., c_K as the nearest floats, each a float or one per element."""
        kinds, which = self._exact_kinds
        return tuple(_entry([float(kind.intercepts[k]) for kind in kinds], which) for k in range(self.pieces))

    @cached_property
    def intercept_errors(self) -> tuple[Entry, ...]:
        """How far each float intercept may be from the exact one; 0 where it is a float."""
        kinds, which = self._exact_kinds
        return tuple(_entry([_nearest_error(kind.intercepts[k]) for kind in kinds], which) for k in range(self.pieces))

    @cached_property
    def edges(self) -> tuple[Entry, ...]:
        """-inf, b_1, ..., b_K, inf."""
        return (-math.inf, *self.breaks, math.inf)

    @cached_property
    def _steepest(self) -> float | FloatArray:
        return _largest(self._s)

    @cached_property
    def lipschitz(self) -> float:
        """max |s_k|, over all elements."""
        return float(np.max(self._steepest))

    @cached_property
    def convex(self) -> bool:
        """The slopes increase, in every element: f is the maximum of its lines."""
        return all(bool(np.all(a < b)) for a, b in zip(self._s, self._s[1:]))

    @cached_property
    def concave(self) -> bool:
        """The slopes decrease, in every element: f is the minimum of its lines."""
        return all(bool(np.all(a > b)) for a, b in zip(self._s, self._s[1:]))

    def output_shape(self, shape: Shape) -> Shape:
        if self.elements is not None and self.elements != math.prod(shape):
            raise InvalidInput(
                f"{self.name} holds numbers for {self.elements} elements and is given a tensor of shape {shape}; "
                f"give {math.prod(shape)} numbers, one for each element, or one for all"
            )
        return shape

    def piece(self, z: FloatArray) -> IntArray:
        """Index of the piece that holds z; a break belongs to the piece on its left.

        >>> relu.piece(np.array([-1.0, 0.0, 2.0]))
        array([0, 0, 1])
        """
        return self._count(z, reached=False)

    def slope_at(self, z: FloatArray) -> FloatArray:
        """The derivative at z (from the left at a break)."""
        if len(self._b) == 1:
            return np.where(z > self._b[0], self._s[1], self._s[0])
        return self._gather(self._slope_table, self.piece(z))

    def break_above(self, z: FloatArray) -> FloatArray:
        """The first break at or above z, inf where there is none.

        >>> relu.break_above(np.array([-1.0, 0.0, 2.0]))
        array([ 0.,  0., inf])
        """
        return self._gather(self._edge_table, self._count(z, reached=False) + 1)

    def break_below(self, z: FloatArray) -> FloatArray:
        """The last break at or below z, -inf where there is none."""
        return self._gather(self._edge_table, self._count(z, reached=True))

    def room(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """How far each z may fall and rise before it leaves its piece (see `piece`), inf where it never does.

        >>> relu.room(np.array([-1.0, 0.0, 2.0]))
        (array([inf, inf,  2.]), array([ 1.,  0., inf]))
        """
        piece = self.piece(z)
        return z - self._gather(self._edge_table, piece), self._gather(self._edge_table, piece + 1) - z

    def pull(self, x: FloatArray, a: FloatArray) -> FloatArray:
        return a * self.slope_at(x)

    def push(self, x: FloatArray, v: FloatArray) -> FloatArray:
        return v * self.slope_at(x)

    def __call__(self, x: FloatArray) -> FloatArray:
        if self.convex or self.concave:
            # a maximum (minimum) of lines: a few passes over memory instead of a gather per element
            choose = np.maximum if self.convex else np.minimum
            return np.asarray(reduce(choose, (self._line(k, x) for k in range(self.pieces))))
        k = self.piece(x)
        return np.asarray(self._gather(self._slope_table, k) * x + self._gather(self._intercept_table, k))

    def _line(self, k: int, x: FloatArray) -> FloatArray:
        """s_k x + c_k, without the arithmetic that changes nothing; a constant line stays a scalar."""
        slope, intercept = self._s[k], self._c[k]
        if _is(slope, 0.0) and self.pieces > 1:
            return np.asarray(intercept)
        scaled = x if _is(slope, 1.0) else x * slope
        return np.asarray(scaled if _is(intercept, 0.0) else scaled + intercept)

    def exact(self, x: ExactArray) -> ExactArray:
        kinds, which = self._exact_kinds
        out = np.empty(x.size, dtype=object)
        for i, z in enumerate(x.ravel()):
            kind = kinds[which[i % which.size]]
            k = sum(b < z for b in kind.breaks)
            out[i] = kind.slopes[k] * z + kind.intercepts[k]
        return out.reshape(x.shape)

    def evaluation_error(self, z: FloatArray) -> FloatArray:
        """Bound on the rounding error of f at the exact floats z; 0 where the arithmetic is exact (ReLU, |z|).

        A convex f is computed as the largest of its lines, which is as wrong as the most wrong of them at most.
        """
        if self.convex or self.concave:
            return np.asarray(reduce(np.maximum, (self._line_error(k, z) for k in range(self.pieces))))
        k = self.piece(z)
        errors = np.stack([self._line_error(p, z) for p in range(self.pieces)])
        return np.asarray(np.take_along_axis(errors, k[None], axis=0)[0])

    @cached_property
    def _line_rounding(self) -> tuple[tuple[BoolArray, BoolArray, float | FloatArray], ...]:
        """Per line: whether its product is rounded, whether its sum is, and what rounding its intercept costs."""
        kinds, which = self._exact_kinds
        errors = _broadcastable(self.intercept_errors)
        found = []
        for k, slope in enumerate(self._s):
            # asked of the exact intercept: a tiny one may be the float 0
            off_zero = np.array([kind.intercepts[k] != 0 for kind in kinds])[which]
            moved = off_zero[0] if self.elements is None else off_zero
            found.append((~_plain(slope), np.asarray(moved & np.not_equal(slope, 0.0)), 2 * errors[k]))
        return tuple(found)

    def _line_error(self, k: int, z: FloatArray) -> FloatArray:
        """Bound on the rounding error of s_k z + c_k; products with 0, 1 and -1 and sums with 0 have none."""
        scaled, moved, off = self._line_rounding[k]
        error = np.zeros_like(z)
        if scaled.any() or moved.any():
            product = np.abs(self._s[k] * z)
            error = error + _where(scaled, 2 * numeric.UNIT * product + numeric.underflow(1))
            error = error + _where(moved, 2 * numeric.UNIT * (product + np.abs(self._c[k])))
        return np.asarray(error + off)

    @cached_property
    def _rounded(self) -> BoolArray:
        """Whether a forward pass rounds at all, on any piece."""
        return np.asarray(np.not_equal(_largest(self._c), 0.0) | ~reduce(np.logical_and, map(_plain, self._s)))

    def forward_error(self, box: Box, error: FloatArray) -> FloatArray:
        reach = box.magnitude + error
        here = np.maximum(self.evaluation_error(reach), self.evaluation_error(-reach))
        if self._rounded.any():
            size = self._steepest * reach + _largest(self._c)
            here = here + _where(self._rounded, 8 * numeric.UNIT * size)
        return np.asarray(numeric.inflated(self._steepest * error) + here)

    def vertices(self, box: Box) -> FloatArray:
        """Both ends and every break cut to the interval: (K + 2, n). f is linear between neighbours."""
        inner = [np.clip(b, box.lower, box.upper) for b in self._b]
        return np.stack([box.lower, *inner, box.upper])

    def interval(self, box: Box) -> Box:
        points = self.vertices(box)
        values, errors = self(points), self.evaluation_error(points)
        return Box(numeric.down(values, errors).min(axis=0), numeric.up(values, errors).max(axis=0))

    def deviation(self, box: Box, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
        """min and max of f(z) - slope z over each interval, rounded outward: the H constants of a line.

        Args:
            slope: shape (..., n), any floats: several lines per element where it has more axes than the box.
        """
        points = self.vertices(box)
        value = self(points)
        extra = np.ndim(slope) - box.lower.ndim
        if extra > 0:
            # the vertices stay the first axis, the lines of an element come after it
            shape = (len(points), *(1,) * extra, *box.lower.shape)
            points, value = points.reshape(shape), value.reshape(shape)
        product = slope * points
        gap = value - product
        inexact = ~np.isin(slope, (0.0, 1.0, -1.0))
        error = self.evaluation_error(points) + 2 * numeric.UNIT * np.abs(gap)
        error = error + np.where(inexact, 2 * numeric.UNIT * np.abs(product) + numeric.underflow(1), 0.0)
        return numeric.down(gap, error).min(axis=0), numeric.up(gap, error).max(axis=0)

    def relax(self, box: Box) -> LinearBounds:
        """The line above f (below f) with the least area between them on each interval.

        The area depends on the line's value at the midpoint alone, and the lowest value a line above f can
        have there is that of the concave envelope; so the best line is the envelope's segment over the
        midpoint. It is found as the highest chord between two vertices at the midpoint (Caratheodory), and
        its offset is then computed anew, rounded outward, from the largest deviation of f.

        For the ReLU on l < 0 < u: above u (z - l) / (u - l), below 0 or z, whichever covers less (CROWN,
        Zhang et al. 2018).
        """
        points = self.vertices(box)
        values = self(points)
        middle = 0.5 * (box.lower + box.upper)
        best = {1: np.full(middle.shape, -np.inf), -1: np.full(middle.shape, np.inf)}
        slope = {1: self.slope_at(middle), -1: self.slope_at(middle)}
        for i in range(len(points)):
            for j in range(i + 1, len(points)):
                width = points[j] - points[i]
                spans = (points[i] < middle) & (middle <= points[j])
                steep = np.divide(values[j] - values[i], width, out=np.zeros_like(width), where=spans)
                height = np.where(points[j] == middle, values[j], values[i] + steep * (middle - points[i]))
                for side in (1, -1):
                    # of the chords that end in a kink at the midpoint, the flattest towards the side supports f
                    flatter = (height == best[side]) & (side * steep < side * slope[side])
                    better = spans & ((side * height > side * best[side]) | flatter)
                    best[side] = np.where(better, height, best[side])
                    slope[side] = np.where(better, steep, slope[side])
        upper_slope, lower_slope = self._snap(slope[1], box), self._snap(slope[-1], box)
        return LinearBounds(
            lower_slope=lower_slope,
            lower_offset=self.deviation(box, lower_slope)[0],
            upper_slope=upper_slope,
            upper_offset=self.deviation(box, upper_slope)[1],
        )

    def _snap(self, slope: FloatArray, box: Box) -> FloatArray:
        """On an interval inside one piece the slope of that piece, free of rounding."""
        first = self._count(box.lower, reached=True)
        last = self.piece(box.upper)
        alone = first >= last
        return np.where(alone, self._gather(self._slope_table, np.minimum(first, last)), slope)

    def held_piece(self, box: Box, strict: bool = False) -> IntArray:
        """The piece on which a whole interval lies, or -1 where it crosses a break.

        Args:
            strict: an interval that touches a break counts as one that crosses it.

        >>> relu.held_piece(Box([-2, 0, -1], [0, 3, 1]))
        array([ 0,  1, -1])
        >>> relu.held_piece(Box([-2, 0, 1], [0, 3, 1]), strict=True)
        array([-1, -1,  1])
        """
        first = self._count(box.lower, reached=not strict)
        last = self._count(box.upper, reached=strict)
        return np.where(first < last, -1, last)

    def crossed(self, low: FloatArray, high: FloatArray, strict: bool = False) -> BoolArray:
        """Whether a break lies between two values that are taken, below one and above the other.

        Args:
            low, high: no value at all is an infinite one, low = inf and high = -inf.
            strict: a value on a break counts as one beyond it.

        >>> relu.crossed(np.array([-1.0, 0.0]), np.array([1.0, 1.0]))
        array([ True, False])
        """
        return np.asarray(self._count(low, reached=not strict) < self._count(high, reached=strict))


def _entry(value: object, which: IntArray | None = None) -> Entry:
    """A float, or a tuple of one per element where these differ.

    Args:
        which: where each element's number stands in `value`, where it stands there for several.
    """
    numbers = np.asarray(value, dtype=np.float64)
    if numbers.size and (numbers.ndim == 0 or (numbers == numbers.flat[0]).all()):
        return float(numbers.flat[0])
    flat = numbers.ravel() if which is None else numbers[which]
    return tuple(flat.tolist())


def _broadcastable(entries: Sequence[Entry]) -> tuple[float | FloatArray, ...]:
    return tuple(np.array(v) if isinstance(v, tuple) else v for v in entries)


def _table(entries: Sequence[Entry], elements: int | None) -> FloatArray:
    """One row per entry: (len(entries),), or (len(entries), n) where some hold one number per element."""
    if elements is None:
        return np.array(entries, dtype=np.float64)
    table = np.empty((len(entries), elements))
    for k, entry in enumerate(entries):
        table[k] = entry
    return table


def _spread(table: FloatArray, size: int) -> FloatArray:
    return np.broadcast_to(table[:, None] if table.ndim == 1 else table, (len(table), size))


def _is(entry: float | FloatArray, value: float) -> bool:
    """Whether a number is `value` in every element; one that is different in some is not worth a look at all."""
    return isinstance(entry, float) and entry == value


def _plain(slope: float | FloatArray) -> BoolArray:
    """Whether multiplication by it is free of rounding: 0, 1 and -1."""
    return np.isin(slope, (0.0, 1.0, -1.0))


def _where(mask: BoolArray, value: FloatArray) -> FloatArray:
    """`value` where the mask holds, else 0."""
    return value if mask.all() else np.where(mask, value, 0.0)


def _largest(entries: Sequence[float | FloatArray]) -> float | FloatArray:
    """max |entry|, element by element."""
    largest: float | FloatArray = reduce(np.maximum, (np.abs(v) for v in entries))
    return largest


@dataclass(frozen=True, slots=True)
class _Exact:
    """One element's breaks, slopes and intercepts."""

    breaks: tuple[Fraction, ...]
    slopes: tuple[Fraction, ...]
    intercepts: tuple[Fraction, ...]

    @classmethod
    def of(cls, column: Sequence[float], breaks: int) -> _Exact:
        """From breaks, slopes and anchor: c_{k+1} = c_k + (s_k - s_{k+1}) b_{k+1}, both ways from the anchor."""
        *numbers, z, y = (Fraction(v) for v in column)
        b, s = tuple(numbers[:breaks]), tuple(numbers[breaks:])
        home = sum(v <= z for v in b)
        c = {home: y - s[home] * z}
        for k in range(home, len(b)):
            c[k + 1] = c[k] + (s[k] - s[k + 1]) * b[k]
        for k in range(home, 0, -1):
            c[k - 1] = c[k] + (s[k] - s[k - 1]) * b[k - 1]
        return cls(b, s, tuple(c[k] for k in range(len(s))))


def _nearest_error(exact: Fraction) -> float:
    nearest = float(exact)
    return 0.0 if Fraction(nearest) == exact else math.ulp(nearest)


relu = PiecewiseLinear("relu", (0,), (0, 1))
"""max(0, z)."""
