"""Split the domain of an input with few coordinates until linear bounds refute a case on every part.

Linear relaxation gets better faster than a box gets smaller, so that five inputs are cut up where a solver would branch
on three hundred neurons. Boxes go through the bounds in batches (`reludsl.bounds.crown_boxes`); what is left is cut in
half along the coordinate that the bound depends on most. The centre and the most promising corner of every box are
looked at on the way: a case that does occur is found, and replayed.
"""

from __future__ import annotations

import time

import numpy as np

from reludsl.backend import FloatArray
from reludsl.bounds import BoxBounds, crown_boxes
from reludsl.cases import Case
from reludsl.conditions import slack_range
from reludsl.domain import Box
from reludsl.expr import Application, Expr, InputVariable, NodeVariable
from reludsl.falsify import FEW, Hit, Hunt
from reludsl.logic import Condition
from reludsl.network import INPUT

BATCH = 128
"""Boxes that are bounded at once."""


def application_of(case: Case) -> Application | None:
    """The one network application that a case is about, on one input of few coordinates in a box; None otherwise."""
    if len(case.inputs) != 1:
        return None
    (point,) = case.inputs
    if point.size > FEW or not isinstance(point.domain, Box):
        return None
    found: set[Application] = set()
    for atoms in case.goal.atoms:
        found.update(v.application for v in atoms.expr.terms if isinstance(v, NodeVariable))
    if len(found) != 1:
        return None
    (application,) = found
    return application if application.argument.is_variable(point) else None


class Splitting:
    """The parts of a case's domain that are still open; `run` makes them fewer, or finds where the case holds.

    Args:
        case: one that `application_of` gives an application for.
        hunt: replays what is looked at, and keeps the best of it.

    >>> from reludsl.cases import cases
    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.network import Network
    >>> from reludsl.replay import Evaluator
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu,
    ...                      Affine(np.array([[1.0, 1.0]]), np.zeros(1))], (1,))
    >>> (case,) = cases(net(box(-1, 1, (1,)))[0] >= 1.25)
    >>> parts = Splitting(case, Hunt(case, Evaluator(a.expr for a in case.goal.atoms), np.random.default_rng(0)))
    >>> parts.run(most=100)
    >>> parts.left, parts.bound < 0
    (0, True)
    """

    def __init__(self, case: Case, hunt: Hunt) -> None:
        application = application_of(case)
        assert application is not None, "ask application_of first"
        self.case, self.hunt, self.application = case, hunt, application
        (self.point,) = case.inputs
        start = self.point.domain.enclosure
        self.lower, self.upper = start.lower[None, :], start.upper[None, :]
        self.above = np.array([np.inf])
        self.refuted = -np.inf
        self.boxes = 0
        self.ended = False
        """No box can be cut any further in floating point."""

    @property
    def left(self) -> int:
        """Boxes on which the case is still open."""
        return len(self.lower)

    @property
    def bound(self) -> float:
        """Proved: nowhere does the case hold with more slack."""
        return max(self.refuted, float(self.above.max(initial=-np.inf)))

    def run(self, most: int, until: float | None = None) -> Hit | None:
        """Look at up to `most` boxes, the most promising first, or until `time.perf_counter` reads `until`."""
        end = self.boxes + most
        while self.left and not self.ended and self.boxes < end:
            if until is not None and time.perf_counter() >= until:
                return None
            hit = self._step()
            if hit is not None:
                return hit
        return None

    def _step(self) -> Hit | None:
        """Bound a batch of boxes, drop those that are refuted, look into the others, and cut them in half."""
        chosen = np.zeros(self.left, dtype=np.bool_)
        chosen[np.argsort(-self.above, kind="stable")[:BATCH]] = True
        box, held = Box(self.lower[chosen], self.upper[chosen]), self.above[chosen]
        self.lower, self.upper, self.above = self.lower[~chosen], self.upper[~chosen], self.above[~chosen]
        worst, pull = _slack_above(self.case.goal, crown_boxes(self.application.network, box), self.point)
        # a bound that overflowed to NaN says nothing; what was proved of the whole holds of the part
        worst = np.fmin(worst, held)
        self.boxes += len(worst)
        # strict comparisons need more than a slack of zero
        strict = all(atoms.strict for atoms in self.case.goal.atoms)
        open_ = (worst > 0) if strict else (worst >= 0)
        self.refuted = max(self.refuted, float(worst[~open_].max(initial=-np.inf)))
        if not open_.any():
            return None
        low, high, worst, pull = box.lower[open_], box.upper[open_], worst[open_], pull[open_]
        corners = np.where(pull > 0, high, low)
        _, hit = self.hunt.look({self.point: np.concatenate([0.5 * (low + high), corners])})
        halves = _halved(low, high, np.abs(pull) * (high - low))
        if halves is None:
            self.ended = True
            halves = low, high
        copies = len(halves[0]) // len(low)
        self.lower, self.upper = np.concatenate([self.lower, halves[0]]), np.concatenate([self.upper, halves[1]])
        self.above = np.concatenate([self.above, np.tile(worst, copies)])
        return hit


def _halved(low: FloatArray, high: FloatArray, score: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Both halves of every box along the coordinate of the largest score; None once floats have no middle left."""
    rows = np.arange(len(low))
    # a bound that depends on no coordinate says nothing about where to cut: the widest will do
    k = np.where(score.max(axis=1) > 0, score.argmax(axis=1), (high - low).argmax(axis=1))
    middle = low[rows, k] + 0.5 * (high[rows, k] - low[rows, k])
    if ((middle <= low[rows, k]) | (middle >= high[rows, k])).any():
        return None
    left_high, right_low = high.copy(), low.copy()
    left_high[rows, k], right_low[rows, k] = middle, middle
    return np.concatenate([low, right_low]), np.concatenate([left_high, high])


def _slack_above(goal: Condition, bounds: BoxBounds, point: InputVariable) -> tuple[FloatArray, FloatArray]:
    """Upper bounds of the goal's slack on each box, and how they grow with each coordinate: (b,), (b, n)."""
    count = len(bounds.boxes[INPUT].lower)
    slopes = np.zeros((count, point.size))

    def range_of(expr: Expr) -> tuple[FloatArray, FloatArray]:
        seeds = {
            (INPUT if isinstance(v, InputVariable) else v.node): -matrix.toarray()
            for v, matrix in expr.terms.items()
            if isinstance(v, InputVariable | NodeVariable)
        }
        if not seeds:
            constant = np.broadcast_to(expr.constant, (count, expr.size))
            return constant, constant
        form = bounds.form(seeds)
        above = np.broadcast_to(bounds.upper(form), (count, expr.size))
        slack = np.nextafter(above - expr.constant, np.inf)
        # the comparison that holds least decides where to cut
        rows = np.arange(count)
        least = slack.argmin(axis=1)
        slopes[...] += np.broadcast_to(form.coefficients, (count, *form.coefficients.shape[-2:]))[rows, least]
        return -slack, np.full_like(slack, np.inf)

    _, high = slack_range(goal, range_of)
    return np.broadcast_to(high, (count,)).copy(), slopes
