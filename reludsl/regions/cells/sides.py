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
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.regions.cells.frame import Frame

Floats = npt.NDArray[Any]
"""float32 or float64."""

STEPS = 60
"""Interior-point steps of a question before it is given to a solver; all but one in a thousand end within twenty."""

CENTRING = 0.1
"""Part of the complementarity that a step aims at."""

BACK_OFF = 0.95
"""Part of the way to the border that a step goes."""


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
    work: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("asked", "steps", "single", "open"), 0))

    @cached_property
    def _moving(self) -> IntArray:
        return np.flatnonzero((self.frame.slope != 0).any(axis=1))

    @cached_property
    def _pairs(self) -> tuple[IntArray, IntArray, dict[Any, Floats]]:
        """Products of every two moving rows of the slope: (n, pairs), per precision."""
        i, j = np.triu_indices(self._moving.size)
        rows = self.frame.slope[self._moving]
        product = (rows[i] * rows[j]).T.copy()
        return i, j, {np.float32: product.astype(np.float32), np.float64: product}

    def absent(self, questions: Questions, multipliers: FloatArray) -> BoolArray:
        """Whether multipliers prove, rounding included, that a cell does not reach the other side.

        max over the cube of (r + lam C) y, plus what every row may be off, is below 0.
        """
        lam = np.maximum(multipliers, 0.0)
        v = questions.form + np.matmul(lam[:, None, :], questions.rows)[:, 0]
        bound = v @ self.frame.shift + np.abs(v @ self.frame.slope).sum(axis=1)
        size = np.abs(questions.form) + np.matmul(lam[:, None, :], np.abs(questions.rows))[:, 0]
        terms = questions.rows.shape[1] + self.frame.width + self.frame.shift.size + 8
        lost = numeric.gamma(terms) * (size @ self.frame.weight) + numeric.underflow(terms)
        off = questions.form_error + (lam * questions.errors).sum(axis=1)
        return np.asarray(bound + numeric.inflated(lost + off) < 0)

    def inside(self, questions: Questions, points: FloatArray) -> BoolArray:
        """Whether points of the cube lie in their cells and on the other side, beyond the tolerance and all errors."""
        y = self.frame.lift(points)
        value = (questions.form * y).sum(axis=1)
        slack = np.matmul(questions.rows, y[:, :, None])[:, :, 0]
        least = np.minimum(value - questions.form_error, (slack - questions.errors).min(axis=1, initial=np.inf))
        return np.asarray((least > self.tolerance) & (np.abs(points) < 1.0).all(axis=1))

    def ask(self, questions: Questions) -> Replies:
        """Reply to each question, or leave it open."""
        count = len(questions.form)
        self.work["asked"] += count
        there, absent = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
        points = questions.start.copy()
        left = np.arange(count)
        for precision in (np.float32, np.float64):
            if not left.size:
                break
            if precision is np.float64:
                self.work["single"] += left.size
            found = self._interior(questions.take(left), precision)
            there[left], absent[left], points[left] = found.there, found.absent, found.points
            left = left[~(found.there | found.absent)]
        self.work["open"] += left.size
        return Replies(there, absent, points)

    def _interior(self, questions: Questions, precision: type[Any]) -> Replies:
        frame, count = self.frame, len(questions.form)
        there, absent = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
        points = questions.start.copy()
        alive = np.arange(count)
        slope, shift = frame.slope.astype(precision), frame.shift.astype(precision)
        backward = slope.T.copy()
        i, j, products = self._pairs
        product, moving = products[precision], self._moving
        single = precision is np.float32
        small, floor = (1e-5, 1e-6) if single else (1e-9, 1e-13)
        rows, form = questions.rows.astype(precision), questions.form.astype(precision)
        u = np.clip(questions.start, -1 + 1e-6, 1 - 1e-6).astype(precision)
        y = u @ backward + shift
        slack = np.maximum(_times(rows, y), small)
        mu = precision(1e-2)
        lam = np.minimum(mu / slack, 1e3).astype(precision)
        low, high = mu / (1 + u), mu / (1 - u)
        m, n = rows.shape[1], u.shape[1]
        diagonal = np.arange(m)
        for step in range(STEPS if not single else 24):
            v = form + _times(rows.transpose(0, 2, 1), lam)
            g = v @ slope
            bound = v @ shift + np.abs(g).sum(axis=1)
            value = (form * y).sum(axis=1)
            reached = (value > 4 * small) & (slack > small).all(axis=1)
            excluded = (bound < -small * (1 + lam.sum(axis=1))) & ~reached
            # what this precision cannot tell any more is left to the next
            blurred = ~((slack.min(axis=1, initial=1.0) > floor) & (bound - value > floor) & (np.abs(bound) < 1e30))
            done = reached | excluded | blurred
            if done.any():
                k = np.flatnonzero(done)
                part, which = questions.take(alive[k]), alive[k]
                candidate = u[k].astype(np.float64)
                yes = reached[k] & self.inside(part, candidate)
                no = excluded[k] & self.absent(part, lam[k].astype(np.float64))
                there[which], absent[which] = yes, no
                points[which[yes]] = candidate[yes]
                # what double precision does not confirm is left to it
                keep = np.flatnonzero(~done)
                if not keep.size:
                    break
                alive = alive[keep]
                u, y, slack, lam, low, high = (a[keep] for a in (u, y, slack, lam, low, high))
                rows, form, v = rows[keep], form[keep], v[keep]
            self.work["steps"] += alive.size
            below, above = 1 + u, 1 - u
            mu = ((lam * slack).sum(axis=1) + (low * below + high * above).sum(axis=1)) / (m + 2 * n)
            aim = CENTRING * mu[:, None]
            inverse = 1 / (low / below + high / above)
            towards = aim / slack
            rhs = (form + _times(rows.transpose(0, 2, 1), towards)) @ slope + aim / below - aim / above
            spread = np.zeros((alive.size, frame.shift.size, frame.shift.size))
            pair = inverse @ product
            spread[:, moving[i], moving[j]] = pair
            spread[:, moving[j], moving[i]] = pair
            # scaled by the square root of lam / slack the system is the identity plus a positive matrix
            scale = np.sqrt(lam / slack, dtype=np.float64)
            scaled = rows * scale[:, :, None]
            normal = np.matmul(np.matmul(scaled, spread), scaled.transpose(0, 2, 1))
            normal[:, diagonal, diagonal] += 1.0
            moved = inverse * rhs
            right = _times(scaled, (moved @ backward).astype(np.float64))
            weight = (scale * np.linalg.solve(normal, right[:, :, None])[:, :, 0]).astype(precision)
            du = moved - inverse * (_times(rows.transpose(0, 2, 1), weight) @ slope)
            dy = du @ backward
            ds = _times(rows, dy)
            dlam = towards - lam - lam / slack * ds
            dlow = aim / below - low - low / below * du
            dhigh = aim / above - high + high / above * du
            primal = np.maximum(np.maximum((-du / below).max(axis=1), (du / above).max(axis=1)), 1e-12)
            dual = np.maximum(np.maximum((-dlow / low).max(axis=1), (-dhigh / high).max(axis=1)), 1e-12)
            if m:
                primal = np.maximum(primal, (-ds / slack).max(axis=1))
                dual = np.maximum(dual, (-dlam / lam).max(axis=1))
            primal = np.minimum(1, BACK_OFF / primal)[:, None].astype(precision)
            dual = np.minimum(1, BACK_OFF / dual)[:, None].astype(precision)
            u, y, slack = u + primal * du, y + primal * dy, slack + primal * ds
            lam, low, high = lam + dual * dlam, low + dual * dlow, high + dual * dhigh
        return Replies(there, absent, points)


def _times(a: Floats, x: Floats) -> Floats:
    """a[b] @ x[b] for every b."""
    return np.matmul(a, x[:, :, None])[:, :, 0]
