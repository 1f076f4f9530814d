"""Polynomials on segments and triangles: bounds of the maximum from Bernstein coefficients that are rounded once.

In barycentric coordinates l = (l_0, ..., l_d) a polynomial of degree n is sum_a b_a n!/a! l^a over |a| = n, and its
value is a mean of the b_a (Farin, Curves and Surfaces for CAGD, section 17). What follows of that on a simplex T, in
local coordinates with the corners 0 and the unit vectors:

    q <= max b_a                                                            always
    q(v) <= q(c) + grad q(c) (v - c) + max(0, m) |v - c|^2 / 2              m: largest eigenvalue of the Hessians' b_a

and where u^T H_a u >= 0 for some direction u and all of the Hessians' b_a, q is convex along u, so that its maximum is
on the border of T.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.expressivity.bernstein import Tables, Terms, coefficients, tables


@dataclass(frozen=True, slots=True, eq=False)
class Simplices:
    """Simplices with an affine function each: q = sign (p(x) - x . gradient - constant).

    Args:
        corners: (m, d + 1, D); row: (m,) which affine function; sign: (m,) 1 or -1.
        slack: (m,) what the maximum on a larger simplex may exceed that on this part of its border by.
    """

    corners: FloatArray
    row: IntArray
    sign: FloatArray
    slack: FloatArray

    @property
    def count(self) -> int:
        return len(self.corners)

    @property
    def dimension(self) -> int:
        return int(self.corners.shape[1]) - 1

    def take(self, which: IntArray | BoolArray) -> Simplices:
        return Simplices(self.corners[which], self.row[which], self.sign[which], self.slack[which])

    def halved(self, more: FloatArray) -> Simplices:
        """Both halves of each, cut through the middle of the longest side, `more` (m,) added to the slack where that
        is rounded. Halves of intervals cover them wherever they meet."""
        d = self.dimension
        pairs = np.array(list(itertools.combinations(range(d + 1), 2)))
        length = np.linalg.norm(self.corners[:, pairs[:, 0]] - self.corners[:, pairs[:, 1]], axis=2)
        ends = pairs[length.argmax(axis=1)]
        at = np.arange(self.count)
        first, second = self.corners[at, ends[:, 0]], self.corners[at, ends[:, 1]]
        middle = 0.5 * (first + second)
        true = (numeric.exact_sum(first, second) & (2 * middle == first + second)).all(axis=1)
        more = np.where(true | (self.corners.shape[2] == 1), 0.0, more)
        halves = []
        for k in range(2):
            corners = self.corners.copy()
            corners[at, ends[:, k]] = middle
            halves.append(Simplices(corners, self.row, self.sign, self.slack + more))
        return joined(halves)

    def border(self, more: FloatArray) -> Simplices:
        """The d + 1 sides of each, `more` (m,) added to the slack."""
        sides = [
            Simplices(np.delete(self.corners, k, axis=1), self.row, self.sign, self.slack + more)
            for k in range(self.dimension + 1)
        ]
        return joined(sides)


def joined(parts: list[Simplices]) -> Simplices:
    return Simplices(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.sign for part in parts]),
        np.concatenate([part.slack for part in parts]),
    )


class Bounded(NamedTuple):
    """What is known of the maximum on some simplices.

    Args:
        upper: (m,) a proved bound, slack included; value: (m,) q at `point`, up to `error`; point: (m, D) in each.
        corner: (m,) a proved bound of q at the corners, slack included.
        convex: (m,) q is convex along some direction, but for `rest`, so that its maximum is on the border.
        rest: (m,) by how much the maximum on the border may be less, from rounding.
        drift: (m,) by how much it may be less on both halves, whose common corner is rounded.
        error: (m,) bound of the rounding errors of the others.
    """

    upper: FloatArray
    value: FloatArray
    point: FloatArray
    corner: FloatArray
    convex: BoolArray
    rest: FloatArray
    drift: FloatArray
    error: FloatArray


def bounded(terms: Terms, gradient: FloatArray, constant: FloatArray, cells: Simplices) -> Bounded:
    """Bounds of the maximum of q on every simplex.

    Args:
        gradient: (rows, D), constant: (rows,) of the affine functions.
    """
    d, n = cells.dimension, terms.degree
    table = tables(n, d)
    own, offset = gradient[cells.row], constant[cells.row]
    b = cells.sign[:, None] * coefficients(terms, own, offset, cells.corners)
    largest = np.abs(b).max(axis=1)
    # of one coefficient, its own rounding in what follows included; a product that underflows meets a coefficient
    roundings = 4 * n + len(b.T) + 8
    one = numeric.inflated((numeric.UNIT + numeric.gamma(roundings)) * largest)
    one = numeric.inflated(one + numeric.underflow(roundings) * (1 + largest))
    # an eigenvalue or a curvature is off by d times an entry, a difference of 4 n (n - 1); |v - c|^2 is d at most, and
    # |v - c| in the 1-norm too; a slope is a difference of 2 n
    curved = numeric.inflated(4 * n * (n - 1) * d * one)
    error = numeric.inflated((1 + 2 * n * d) * one + 0.5 * d * curved)
    hessian = np.einsum("kijn,mn->mkij", table.hessians, b)
    _, direction = _largest(hessian.mean(axis=1))
    steepest = _largest(hessian)[0].max(axis=1)
    along = np.einsum("mi,mkij,mj->mk", direction, hessian, direction).min(axis=1)
    c = _best(b, table, hessian)
    value = _at(c, table.exponents, table.multinomials, b)
    slope = np.einsum("pin,mn->mpi", table.gradients, b)
    slope = np.einsum("mp,mpi->mi", _basis(c, *table.lower), slope)
    step = np.vstack([np.zeros(d), np.eye(d)]) - c[:, None, 1:]
    bend = 0.5 * np.maximum(steepest, 0.0)[:, None] * np.square(step).sum(axis=2)
    tangent = (np.einsum("mi,mvi->mv", slope, step) + bend).max(axis=1) + value
    upper = np.minimum(numeric.up(b.max(axis=1), one + cells.slack), numeric.up(tangent, error + cells.slack))
    rest = numeric.inflated(d * np.maximum(curved - along, 0.0))
    corner = numeric.up(b[:, table.exponents.max(axis=1) == n].max(axis=1), one + cells.slack)
    # the middle of a side is off by u X in every coordinate, and q by n u times its size at X
    magnitude = np.abs(cells.corners).max(axis=1)
    size = terms.size(magnitude) + (magnitude * np.abs(own)).sum(axis=1) + np.abs(offset)
    drift = numeric.inflated(numeric.gamma(n) * size)
    point = np.einsum("mk,mkc->mc", c, cells.corners)
    return Bounded(upper, value, point, corner, along >= -curved, rest, drift, error)


class Maximum(NamedTuple):
    """value <= max q <= upper, up to rounding of `value`, which is that of q at `point` (D,)."""

    upper: float
    value: float
    point: FloatArray


def maximum(
    terms: Terms,
    gradient: FloatArray,
    constant: FloatArray,
    cells: Simplices,
    *,
    allowance: FloatArray,
    tolerance: float,
    limit: int,
) -> Maximum:
    """The maximum of q + allowance over all simplices, halved until upper <= (1 + tolerance) value.

    Args:
        allowance: (rows,) what is added on each row's simplices, nonnegative and small: an error of q.
        limit: of simplices at once; beyond it, upper stays what it is. So it does where rounding hides the rest.
    """
    upper, value, point = -np.inf, -np.inf, cells.corners[0, 0]
    sides: list[Simplices] = []
    while cells.count:
        found = bounded(terms, gradient, constant, cells)
        high = numeric.up(found.upper, allowance[cells.row])
        high = np.asarray(np.where(np.isnan(high), np.inf, high))
        k = int(np.where(np.isnan(found.value), -np.inf, found.value).argmax())
        if found.value[k] > value:
            value, point = float(found.value[k]), found.point[k]
        enough = np.maximum(
            value + tolerance * abs(value), value + allowance[cells.row] + cells.slack + 4 * found.error
        )
        # what overflowed is bounded no better by halving
        done = np.asarray((high <= enough) | np.isinf(high))
        border = found.convex & ~done
        if cells.dimension == 1:
            ends = numeric.up(found.corner, allowance[cells.row] + found.rest)
            high = np.where(border, np.minimum(high, ends), high)
            done |= border
        elif border.any():
            sides.append(cells.take(border).border(found.rest[border]))
        left = ~(done | border)
        if 2 * int(left.sum()) > limit:
            done, left = done | left, np.zeros_like(left)
        upper = max(upper, float(high[done].max(initial=-np.inf)))
        cells = cells.take(left).halved(found.drift[left])
        if not cells.count and sides:
            cells, sides = joined(sides), []
    return Maximum(upper, value, point)


def _largest(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Largest eigenvalue and its direction of symmetric matrices of 1 or 2 rows: (..., d, d) -> (...), (..., d)."""
    if matrix.shape[-1] == 1:
        return matrix[..., 0, 0], np.ones(matrix.shape[:-1])
    a, b, c = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 1]
    half = 0.5 * np.arctan2(2 * b, a - c)
    return 0.5 * (a + c) + np.hypot(0.5 * (a - c), b), np.stack([np.cos(half), np.sin(half)], axis=-1)


def _basis(c: FloatArray, exponents: IntArray, multinomials: FloatArray) -> FloatArray:
    """The Bernstein polynomials at barycentric coordinates: (m, d + 1) -> (m, N)."""
    return np.asarray(np.prod(c[:, None, :] ** exponents, axis=2) * multinomials)


def _at(c: FloatArray, exponents: IntArray, multinomials: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray((_basis(c, exponents, multinomials) * b).sum(axis=1))


def _best(b: FloatArray, table: Tables, hessian: FloatArray) -> FloatArray:
    """Barycentric coordinates of where q is largest by its quadratic model: corners, sides or inside: (m, d + 1)."""
    d = table.exponents.shape[1] - 1
    corner = np.eye(d + 1)
    middle = np.full((1, d + 1), 1 / (d + 1))
    slope = np.einsum("mp,mpi->mi", _basis(middle, *table.lower), np.einsum("pin,mn->mpi", table.gradients, b))
    mean = hessian.mean(axis=1)
    starts = [np.broadcast_to(corner[k], (len(b), d + 1)) for k in range(d + 1)]
    for first, second in itertools.combinations(range(d + 1), 2) if d > 1 else ():
        starts.append(_on_side(corner[first], corner[second], middle[0], slope, mean))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inside = middle[0, 1:] - _solved(mean, slope)
        inside = np.concatenate([1 - inside.sum(axis=1, keepdims=True), inside], axis=1)
    good = (np.isfinite(inside) & (inside >= 0)).all(axis=1, keepdims=True)
    starts.append(np.where(good, inside, middle))
    # on the simplex to the last bit of the sum
    chosen = [start / start.sum(axis=1, keepdims=True) for start in starts]
    values = np.stack([_at(c, table.exponents, table.multinomials, b) for c in chosen])
    return np.asarray(np.stack(chosen)[values.argmax(axis=0), np.arange(len(b))])


def _on_side(
    first: FloatArray, second: FloatArray, middle: FloatArray, slope: FloatArray, hessian: FloatArray
) -> FloatArray:
    """The best point of a side, by the model around the middle of the simplex."""
    step = second - first
    along = np.einsum("i,mij,j->m", step[1:], hessian, step[1:])
    start = np.einsum("i,mij,j->m", step[1:], hessian, (first - middle)[1:]) + slope @ step[1:]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        t = np.clip(np.where(along < 0, -start / along, 0.5), 0.0, 1.0)
    return np.asarray(first + t[:, None] * step)


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Of 1 or 2 rows; infinite or NaN where singular."""
    if matrix.shape[-1] == 1:
        return np.asarray(right / matrix[:, 0])
    a, b, c = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 1]
    det = a * c - b * b
    return np.stack([(c * right[:, 0] - b * right[:, 1]) / det, (a * right[:, 1] - b * right[:, 0]) / det], axis=1)
