"""Whether a pattern is a region: by an input that shows it, or by a linear program in rationals. No solver is believed.

An input of the domain is run through the network in float64 with a proved bound on the rounding error. Where every
unit is beyond its edges by more than that bound, the pattern is there, and has an interior: a convex domain with one
has points of it near every point. Where an input leaves it open (it lies on an edge, or is not the right one),

    max t   over x in the domain, 0 <= t:   G x + g >= t  on the edges that count,   G x + g >= 0  on the others

in exact arithmetic decides (`reludsl.exact_lp`). For PATTERNS the strict edges count. For ACTIVATION all do, except
those that are constant on the cell: a unit that is 0 on a whole cell is on its left piece there, and cuts nothing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy import optimize

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.bounds import Bounds, forward_errors
from reludsl.domain import Domain, Polytope, Space
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray, exactly
from reludsl.exact_lp import ExactLP, solve_exact
from reludsl.regions.cell import Cell, exact_cell, float_cell
from reludsl.regions.definition import Definition
from reludsl.regions.edges import UnitLayer, patterns_at, unit_layers

NUDGES = np.array([1e-1, 1e-2, 1e-3, 1e-4, 1e-6])
"""Distances from the edges that are tried for an input on the border of its cell."""


class Presence(enum.Enum):
    """What is known of a pattern."""

    PRESENT = "it is a region"
    ABSENT = "no input of the domain has it, or they have no interior"
    OPEN = "the time was over before it was decided"


def checked(definition: Definition, domain: Domain | Space) -> Domain:
    """The domain, if patterns can be counted on it by integer programs.

    Raises:
        InvalidInput: another definition than PATTERNS and ACTIVATION, another domain than a box or a polytope.
    """
    if definition not in (Definition.PATTERNS, Definition.ACTIVATION):
        raise InvalidInput(
            f"patterns are counted here, and {definition.value} regions are unions of them, merged by another method; "
            "ask for Definition.PATTERNS or Definition.ACTIVATION"
        )
    if isinstance(domain, Space) or not (domain.is_box or isinstance(domain, Polytope)):
        raise InvalidInput(
            f"the domain is a {type(domain).__name__}, and integer programs count the patterns of a box or a polytope; "
            "give one of these, or count by cells"
        )
    return domain


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What was found about one pattern.

    Args:
        witness: an input that shows it, rounded to float64; None where there is none.
        margin: of the witness from its nearest edge, in rounding errors; None where rationals decided.
    """

    presence: Presence
    witness: FloatArray | None = None
    margin: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What some inputs show: their patterns, (m, units), and of which it is certain that they are regions.

    Args:
        margin: (m,) distance from the nearest edge in rounding errors.
        points: (m, input_size) inside the domain.
    """

    patterns: IntArray
    certain: BoolArray
    margin: FloatArray
    points: FloatArray


class Judge:
    """Decides about patterns of one network on one domain.

    Args:
        bounds: proved, of the network on the domain: a `Box` or a `Polytope`.
        definition: PATTERNS or ACTIVATION.
        min_slack: how far the edges that count must be left behind, in the unit of the pre-activations; 0 for
            anything above 0. Not invariant to scaling weights.

    Raises:
        InvalidInput: another definition, another domain, a flat domain under ACTIVATION, units of an unknown kind.

    >>> from reludsl.bounds import interval
    >>> from reludsl.domain import Box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.network import Network
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu], (1,))
    >>> bounds = interval(net, Box([-1.0], [1.0]))
    >>> both_off = np.array([0, 0])
    >>> [Judge(bounds, d).decide(both_off).presence.name for d in (Definition.PATTERNS, Definition.ACTIVATION)]
    ['PRESENT', 'ABSENT']
    """

    def __init__(self, bounds: Bounds, definition: Definition, min_slack: float = 0.0) -> None:
        checked(definition, bounds.domain)
        domain = bounds.domain
        if not (np.isfinite(min_slack) and min_slack >= 0):
            raise InvalidInput(
                f"min_slack is {min_slack}, and no input is that far from an edge; give 0 or a little more"
            )
        self.network, self.domain, self.definition, self.min_slack = bounds.network, domain, definition, min_slack
        self.layers: tuple[UnitLayer, ...] = unit_layers(self.network)
        self._errors = forward_errors(bounds)
        low, high = domain.enclosure.lower, domain.enclosure.upper
        self._free = low < high
        self._low, self._high = exactly(low), exactly(high)
        if definition is Definition.ACTIVATION and not self._solid():
            raise InvalidInput(
                "the polytope is flat, so that no region has an interior in it and all of them would be lost; "
                "loosen its rows, or count Definition.PATTERNS"
            )

    def counts(self, strict: BoolArray) -> BoolArray:
        """Which edges count towards the slack."""
        return np.ones_like(strict) if self.definition is Definition.ACTIVATION else strict

    def shown(self, points: FloatArray) -> Shown:
        """Run some inputs, moved into the domain: (m, input_size)."""
        points = self.domain.project(np.asarray(points, dtype=np.float64).reshape(-1, self.network.input_size))
        points = points[self.domain.contains(points)]
        values = self.network.values(points)
        patterns = patterns_at(self.layers, self.network, values)
        certain, margin = np.ones(len(points), dtype=np.bool_), np.full(len(points), np.inf)
        for layer in self.layers:
            edges = layer.edges
            value = np.asarray((edges.rows @ self.network.gather(layer.node, values).T).T) + edges.offset
            error = numeric.inflated(abs(edges.rows) @ self.network.gather(layer.node, self._errors))
            own = edges.piece == patterns[:, layer.units][:, edges.unit]
            counted = self.counts(edges.strict)
            # a difference that is rounded keeps its sign, which is all that is asked of it without an error or slack
            lost = error + np.where((error > 0) | (self.min_slack > 0), 2 * numeric.UNIT * np.abs(value), 0.0)
            left = value - lost
            enough = left >= self.min_slack if self.min_slack > 0 else left > 0
            certain &= (~own | np.where(counted, enough, left >= 0)).all(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(lost > 0, value / lost, np.where(value > 0, np.inf, 0.0))
            margin = np.minimum(margin, np.where(own & counted, ratio, np.inf).min(axis=1, initial=np.inf))
        return Shown(patterns, certain, margin, points)

    def exact_pattern(self, point: FloatArray) -> IntArray:
        """The pattern of one input of the domain in rationals: (units,)."""
        values = self.network.exact_values(exactly(point))
        pieces = [layer.exact_piece(self.network.gather(layer.node, values)) for layer in self.layers]
        return np.concatenate([np.zeros(0, dtype=np.int64), *pieces])

    def decide(self, pattern: IntArray, deadline: float | None = None, near: FloatArray | None = None) -> Verdict:
        """Whether a pattern is a region; OPEN only where the deadline (of `time.perf_counter()`) passes.

        Args:
            near: (input_size,) an input near the cell, such as one on its border.
        """
        return self.look(pattern, near) or self.prove(pattern, deadline)

    def look(self, pattern: IntArray, near: FloatArray | None = None) -> Verdict | None:
        """PRESENT where an input found in floats shows the pattern; None where none does."""
        cell = float_cell(self.network, self.layers, pattern)
        found = None if near is None else self._showing(pattern, self._nudged(cell, near))
        if found is None:
            # inside of all edges, whichever count: a cell without an interior is for rationals
            x, _ = self._deepest(cell, np.ones_like(cell.strict))
            found = None if x is None else self._showing(pattern, x)
        return found

    def _showing(self, pattern: IntArray, points: FloatArray) -> Verdict | None:
        """PRESENT if one of some inputs shows the pattern for certain, by the one that is farthest from an edge."""
        seen = self.shown(points)
        good = np.flatnonzero(seen.certain & (seen.patterns == pattern).all(axis=1))
        if not good.size:
            return None
        best = good[seen.margin[good].argmax()]
        return Verdict(Presence.PRESENT, seen.points[best], float(seen.margin[best]))

    def prove(self, pattern: IntArray, deadline: float | None = None) -> Verdict:
        """The same in rationals: by an input or by multipliers found in floats, else by the largest slack there is."""
        cell = self._narrowed(exact_cell(self.network, self.layers, pattern))
        if cell is None:
            return Verdict(Presence.ABSENT)
        x, multipliers = self._deepest(cell, self.counts(cell.strict))
        if x is not None:
            point = self.domain.project(x[None, :])[0]
            if self.domain.contains(point[None, :])[0] and self._inside(cell, point):
                return Verdict(Presence.PRESENT, point)
        if self._refuted(cell, multipliers):
            return Verdict(Presence.ABSENT)
        try:
            found = self._largest(cell, deadline)
        except TimeoutError:
            return Verdict(Presence.OPEN)
        if found is None or (found[1] < Fraction(self.min_slack) if self.min_slack > 0 else found[1] <= 0):
            return Verdict(Presence.ABSENT)
        return Verdict(Presence.PRESENT, np.array([float(v) for v in found[0]]))

    def _inside(self, cell: Cell, point: FloatArray) -> bool:
        """Whether an input has the slack that is asked for on every edge that counts, and lies within the others."""
        value = cell.slopes @ exactly(point) + cell.constants
        least = Fraction(self.min_slack)
        enough = [v >= least if least > 0 else v > 0 for v in value[self.counts(cell.strict)]]
        return all(enough) and all(v >= 0 for v in value)

    def _narrowed(self, cell: Cell) -> Cell | None:
        """The inequalities that are not constant on the domain; None where a constant one fails."""
        fixed, free = ~self._free, self._free
        constants = cell.constants
        if fixed.any():
            constants = constants + cell.slopes[:, fixed] @ self._low[fixed]
        constant = ~np.array([[bool(v) for v in row] for row in cell.slopes[:, free]], dtype=np.bool_).any(axis=1)
        for value, strict in zip(constants[constant], cell.strict[constant]):
            if value < 0 or (strict and value == 0) or (strict and value < Fraction(self.min_slack)):
                return None
        return Cell(cell.slopes[~constant], cell.constants[~constant], cell.strict[~constant])

    def _nudged(self, cell: Cell, near: FloatArray) -> FloatArray:
        """The nearest inputs, but for the domain, that leave all edges behind by some distances."""
        slopes = cell.slopes
        weight = np.linalg.norm(slopes, axis=1)
        value = slopes @ near + cell.constants
        missing = np.maximum(np.multiply.outer(weight, NUDGES) - value[:, None], 0.0)
        return np.asarray(near + (np.linalg.pinv(slopes) @ missing).T)

    def _deepest(self, cell: Cell, counted: BoolArray) -> tuple[FloatArray | None, FloatArray]:
        """An input of the largest slack in floats, and a multiplier for each edge; nothing rests on either.

        The slack is in units of each edge's slope, and may be negative.
        """
        slopes, limits = cell.slopes.astype(np.float64), cell.constants.astype(np.float64)
        box, n = self.domain.enclosure, self.network.input_size
        weight = np.linalg.norm(slopes, axis=1) * counted
        rows, sides = [np.hstack([-slopes, weight[:, None]])], [limits]
        if isinstance(self.domain, Polytope):
            rows.append(np.hstack([self.domain.matrix, np.zeros((self.domain.limit.size, 1))]))
            sides.append(self.domain.limit)
        deepest = float(np.linalg.norm(box.upper - box.lower)) + 1.0
        bounds = [*zip(box.lower.tolist(), box.upper.tolist()), (-deepest, deepest)]
        cost = np.zeros(n + 1)
        cost[-1] = -1.0
        answer = optimize.linprog(cost, np.vstack(rows), np.concatenate(sides), bounds=bounds, method="highs")
        if answer.x is None:
            return None, np.zeros(sum(map(len, sides)))
        return np.asarray(answer.x[:n]), np.maximum(-answer.ineqlin.marginals, 0.0)

    def _refuted(self, cell: Cell, multipliers: FloatArray) -> bool:
        """Whether some multipliers lam >= 0 prove that there is no slack.

        On the cell t sum_counted lam <= lam (G x + g) + rows of the domain, which is at most its maximum over the box.
        """
        lam = exactly(multipliers)
        own, outer = lam[: len(cell.constants)], lam[len(cell.constants) :]
        matrix, limit = self._outer()
        total = own @ cell.slopes - outer @ matrix
        most = own @ cell.constants + outer @ limit + np.maximum(total * self._low, total * self._high).sum()
        share = own[self.counts(cell.strict)].sum()
        if self.min_slack > 0:
            return bool(most < share * Fraction(self.min_slack))
        return bool(share > 0 and most <= 0) or bool(most < 0)

    def _largest(self, cell: Cell, deadline: float | None) -> tuple[tuple[Fraction, ...], Fraction] | None:
        """The input of the largest slack, and the slack; None where the cell is empty."""
        zero, one = Fraction(0), Fraction(1)
        counted = self.counts(cell.strict)
        rows = [[*row, -one if c else zero] for row, c in zip(cell.slopes.tolist(), counted)]
        least = [-c for c in cell.constants.tolist()]
        outer, limit = self._outer()
        rows += [[*(-v for v in row), zero] for row in outer.tolist()]
        least += [-v for v in limit.tolist()]
        cap = max(one, 2 * Fraction(self.min_slack))
        program = ExactLP(
            [zero] * self.network.input_size + [-one],
            rows,
            least,
            [None] * len(rows),
            [*self._low.tolist(), zero],
            [*self._high.tolist(), cap],
        )
        found = solve_exact(program, deadline).x
        return None if found is None else (found[:-1], found[-1])

    def _outer(self) -> tuple[ExactArray, ExactArray]:
        """Rows of the domain beside its box: matrix x <= limit."""
        if isinstance(self.domain, Polytope):
            return exactly(self.domain.matrix), exactly(self.domain.limit)
        return np.empty((0, self.network.input_size), dtype=object), np.empty(0, dtype=object)

    def _solid(self) -> bool:
        """Whether the domain has an interior, relative to the coordinates that it leaves free."""
        if not isinstance(self.domain, Polytope):
            return True
        matrix, limit = self._outer()
        cell = self._narrowed(Cell(-matrix, limit, np.zeros(len(limit), dtype=np.bool_)))
        found = None if cell is None else self._largest(cell, None)
        return found is not None and found[1] > 0
