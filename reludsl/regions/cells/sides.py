"""Does a cell reach the other side of a form? Asked for many cells at once.

    maximise  r y(u)   over  C y(u) >= 0,  u in [-1, 1]^n

from a point inside, until one of two things is certain: a point with r y > 0 inside the cell (it is there), or
multipliers lam >= 0 with  max over the cube of (r + lam C) y < 0  (it is not). Only the sign is asked for, so that most
questions end after a few steps of a primal-dual interior-point method (Mehrotra 1992 without the corrector; Wright,
Primal-Dual Interior-Point Methods, 1997). All cells of a batch take each step together: with D diagonal, the products
slope D slope' of all of them are one product with the pairwise products of the rows of `slope`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.regions.cells.frame import Frame

STEPS = 60
"""Interior-point steps of a question before it is given up; most end after three, nearly all within twenty."""

CENTRING, FIRST, BACK_OFF = 0.2, 1e-2, 0.997
"""What a step aims at, as a part of the complementarity; that of the start; how far towards the border a step goes."""

RAISED = 1e-12
"""Part by which the diagonal of a system is raised that is singular to rounding."""

SMALLEST = 1e-13
"""Slack, and gap between value and bound, below which double precision tells nothing any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Cells, and a form that each is asked about. Rows are scaled to |row slope| = 1; errors alike.

    Args:
        rows: (B, m, d) positive inside the cell; trivial rows fill up.
        errors: (B, m) how far each may be from the unit's own, anywhere on the domain.
        form: (B, d) the other side is where it is positive.
        form_error: (B,)
        start: (B, n) a point inside each cell.
    """

    rows: FloatArray
    errors: FloatArray
    form: FloatArray
    form_error: FloatArray
    start: FloatArray

    def take(self, index: IntArray) -> Questions:
        """Some of them."""
        return Questions(
            self.rows[index], self.errors[index], self.form[index], self.form_error[index], self.start[index]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Replies:
    """What was found out.

    Args:
        there: (B,) a point on the other side, inside the cell, was found.
        absent: (B,) proved that there is none.
        points: (B, n) the point, where there is one.
    """

    there: BoolArray
    absent: BoolArray
    points: FloatArray


@dataclass(frozen=True, eq=False)
class Sides:
    """Questions about one frame.

    Args:
        tolerance: how far inside a point must be, in the scale of the rows, to count as found.
    """

    frame: Frame
    tolerance: float = 1e-9
    work: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("asked", "steps", "open"), 0))

    @cached_property
    def _back(self) -> FloatArray:
        return self.frame.slope.T.copy()

    @cached_property
    def _widest(self) -> float:
        """What a coefficient that underflows may be multiplied by."""
        return 1.0 + float(self.frame.weight.sum())

    @cached_property
    def _moving(self) -> IntArray:
        return np.flatnonzero((self.frame.slope != 0).any(axis=1))

    @cached_property
    def _pairs(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Products of every two moving rows of the slope: the rows i, j of each pair, and (n, pairs)."""
        i, j = np.triu_indices(self._moving.size)
        rows = self.frame.slope[self._moving]
        return self._moving[i], self._moving[j], (rows[i] * rows[j]).T.copy()

    def absent(self, questions: Questions, multipliers: FloatArray) -> BoolArray:
        """Whether multipliers prove, rounding included, that a cell does not reach the other side.

        max over the cube of (r + lam C) y, plus what every row may be off, is below 0.
        """
        lam = np.maximum(multipliers, 0.0)
        v = questions.form + np.matmul(lam[:, None, :], questions.rows)[:, 0]
        bound = v @ self.frame.shift + np.abs(v @ self.frame.slope).sum(axis=1)
        size = np.abs(questions.form) + np.matmul(lam[:, None, :], np.abs(questions.rows))[:, 0]
        terms = questions.rows.shape[1] + self.frame.width + self.frame.shift.size + 8
        lost = numeric.gamma(terms) * (size @ self.frame.weight) + numeric.underflow(terms) * self._widest
        off = questions.form_error + (lam * questions.errors).sum(axis=1)
        return np.asarray(bound + numeric.inflated(lost + off) < 0)

    def inside(self, questions: Questions, points: FloatArray) -> BoolArray:
        """Whether points of the cube lie in their cells and on the other side, beyond the tolerance and all errors.

        A point of the cube's face is as good as one inside: near it lie points of an interior. At one = 0 there is no
        input.
        """
        y = self.frame.lift(points)
        value = (questions.form * y).sum(axis=1)
        slack = np.matmul(questions.rows, y[:, :, None])[:, :, 0]
        least = np.minimum(value - questions.form_error, (slack - questions.errors).min(axis=1, initial=np.inf))
        return np.asarray((least > self.tolerance) & (y[:, -1] > self.tolerance) & (np.abs(points) <= 1.0).all(axis=1))

    # where numbers run out, comparisons fail, and the question is lost
    @np.errstate(divide="ignore", over="ignore", invalid="ignore")
    def ask(self, questions: Questions) -> Replies:
        """Reply to each question, or leave it open."""
        frame, count = self.frame, len(questions.form)
        there, absent = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
        points = questions.start.copy()
        rows, form = questions.rows, questions.form
        m, n = rows.shape[1], frame.width
        slope, shift, back = frame.slope, frame.shift, self._back
        u = np.clip(questions.start, -1 + 1e-6, 1 - 1e-6)
        y = u @ back + shift
        slack = np.maximum(_times(rows, y), self.tolerance)
        # multipliers of the rows and of both faces of the cube, all at one complementarity
        lam, low, high = np.minimum(FIRST / slack, 1e3), FIRST / (1 + u), FIRST / (1 - u)
        alive = np.arange(count)
        self.work["asked"] += count
        for _ in range(STEPS):
            transposed = rows.transpose(0, 2, 1)
            v = form + _times(transposed, lam)
            bound = v @ shift + np.abs(v @ slope).sum(axis=1)
            value = (form * y).sum(axis=1)
            inside = slack.min(axis=1, initial=np.inf)
            reached = (value > 4 * self.tolerance) & (inside > self.tolerance)
            excluded = (bound < -self.tolerance * (1 + lam.sum(axis=1))) & ~reached
            room = 1.0 - np.abs(u).max(axis=1)
            lost = ~((np.minimum(inside, room) > SMALLEST) & (bound - value > SMALLEST) & (np.abs(bound) < 1e30))
            done = reached | excluded | lost
            if done.any():
                k = np.flatnonzero(done)
                part, which = questions.take(alive[k]), alive[k]
                yes = reached[k] & self.inside(part, u[k])
                there[which], absent[which] = yes, excluded[k] & self.absent(part, lam[k])
                points[which[yes]] = u[k[yes]]
                keep = np.flatnonzero(~done)
                alive = alive[keep]
                if not keep.size:
                    break
                u, y, slack, lam, low, high = (a[keep] for a in (u, y, slack, lam, low, high))
                rows, form = rows[keep], form[keep]
                transposed = rows.transpose(0, 2, 1)
            self.work["steps"] += alive.size
            below, above = 1 + u, 1 - u
            mean = ((lam * slack).sum(axis=1) + (low * below + high * above).sum(axis=1)) / (m + 2 * n)
            aim = CENTRING * mean[:, None]
            curve = 1 / (low / below + high / above)
            towards = aim / slack
            moved = curve * ((form + _times(transposed, towards)) @ slope + aim / below - aim / above)
            weight = self._weights(rows, curve, lam / slack, moved @ back)
            du = moved - curve * (_times(transposed, weight) @ slope)
            dy = du @ back
            ds = _times(rows, dy)
            dlam = towards - lam - lam / slack * ds
            dlow = aim / below - low - low / below * du
            dhigh = aim / above - high + high / above * du
            primal = _longest((du, below), (-du, above), (ds, slack))
            dual = _longest((dlow, low), (dhigh, high), (dlam, lam))
            u, y, slack = u + primal * du, y + primal * dy, slack + primal * ds
            lam, low, high = lam + dual * dlam, low + dual * dlow, high + dual * dhigh
        self.work["open"] += int((~(there | absent)).sum())
        return Replies(there, absent, points)

    def _weights(self, rows: FloatArray, curve: FloatArray, ratio: FloatArray, right: FloatArray) -> FloatArray:
        """w with (C slope D slope' C' + S / lam) w = C right, all cells at once: (B, m).

        Args:
            curve: (B, n) the diagonal of D.
            ratio: (B, m) lam / S.
        """
        d = self.frame.shift.size
        i, j, products = self._pairs
        spread = np.zeros((len(rows), d, d))
        pair = curve @ products
        spread[:, i, j] = pair
        spread[:, j, i] = pair
        # in the scale of sqrt(lam / S) the system is the identity plus a positive matrix
        scale = np.sqrt(ratio)
        scaled = rows * scale[:, :, None]
        normal = np.matmul(np.matmul(scaled, spread), scaled.transpose(0, 2, 1))
        right = _times(scaled, right)[:, :, None]
        diagonal = np.arange(rows.shape[1])
        normal[:, diagonal, diagonal] += 1.0
        try:
            solved = np.linalg.solve(normal, right)[:, :, 0]
        except np.linalg.LinAlgError:
            # so large a matrix that the identity is lost in rounding
            normal[:, diagonal, diagonal] *= 1.0 + RAISED
            solved = np.linalg.solve(normal, right)[:, :, 0]
        return np.asarray(scale * solved)


def _times(a: FloatArray, x: FloatArray) -> FloatArray:
    """a[b] @ x[b] for every b."""
    return np.asarray(np.matmul(a, x[:, :, None])[:, :, 0])


def _longest(*parts: tuple[FloatArray, FloatArray]) -> FloatArray:
    """The longest step, at most 1, that keeps every value + step * change positive: (B, 1)."""
    fastest = np.max([(-change / value).max(axis=1, initial=1e-12) for change, value in parts], axis=0)
    return np.asarray(np.minimum(1.0, BACK_OFF / fastest)[:, None])
