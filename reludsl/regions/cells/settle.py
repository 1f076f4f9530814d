"""What the batches leave open, one question at a time: a linear program first, then rational arithmetic.

The linear program maximises the least slack t over the rows of a cell and of the option that is asked about. Its point
or its multipliers are held against the same proofs as those of a batch. Where t is 0 to rounding, the rows touch (two
units share an edge, three meet in a point), or the cell is thinner than any error bound. Then the rows are written down
in rationals: the multipliers are evaluated exactly, others are looked for (`reludsl.regions.farkas`), and

    max t   over the domain, rows >= t

is solved exactly (`reludsl.exact_lp`), the last two where the program is small enough for that. What lies in a cell so
thin that no float is in it beyond its errors is enumerated in rationals too, unit after unit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from scipy import optimize, sparse

from reludsl.backend import Backend, BoolArray, FloatArray, IntArray, Limits, Matrix, Sense, Status
from reludsl.domain import Ball, Polytope, Space
from reludsl.errors import SolverFailed
from reludsl.exact import ExactArray, exactly
from reludsl.exact_lp import ExactLP, solve_exact
from reludsl.regions.cell import Cell, exact_cell
from reludsl.regions.cells.cascade import UNKNOWN
from reludsl.regions.cells.frame import Frame
from reludsl.regions.cells.sides import Questions, Sides
from reludsl.regions.farkas import refuted

MOST_EXACT = 1_500
"""Coefficients of the largest program that is solved in rationals; a dozen rows over 784 inputs take minutes."""

EXACT_SECONDS = 20.0
"""For one question in rationals."""

INWARD = 1e-12
"""How far from the faces of the cube a point is moved that a linear program puts on one."""

Apart = tuple[IntArray, FloatArray]
"""The pattern of a region that only rationals reach, and an input in it, rounded to floats."""


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """A point of the cube in the cell; or all the regions in it; or that it stays open; or neither: it is empty."""

    point: FloatArray | None = None
    apart: tuple[Apart, ...] = ()
    doubtful: bool = False


@dataclass(eq=False)
class Settle:
    """Decides single questions.

    Args:
        solid: cells without an interior are no cells.
        work: linear programs, rational programs.
    """

    frame: Frame
    sides: Sides
    backend: Backend
    solid: bool = True
    work: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("linear programs", "rational programs"), 0))
    _signs: dict[tuple[int, int, bytes], int] = field(default_factory=dict)

    def constant(self, at: int, pieces: IntArray, q: int) -> int:
        """The sign of edge q of a layer where it is one number on a cell, in rationals; UNKNOWN where it is not.

        Args:
            pieces: of all units of the earlier layers.
        """
        key = at, q, pieces.tobytes()
        if key not in self._signs:
            layers = self.frame.cascade.unit_layers
            edges = layers[at].edges
            partial = np.full(layers[at].size, -1)
            partial[edges.unit[q]] = edges.piece[q]
            cell = exact_cell(self.frame.cascade.network, layers, np.concatenate([pieces, partial]))
            own = np.flatnonzero((edges.unit == edges.unit[q]) & (edges.piece == edges.piece[q]))
            row = len(cell.constants) - own.size + int(np.searchsorted(own, q))
            slopes = cell.slopes[row][self.frame.free]
            fixed = cell.slopes[row][~self.frame.free] @ exactly(self.frame.middle[~self.frame.free])
            value = cell.constants[row] + fixed
            self._signs[key] = UNKNOWN if any(slopes) else (value > 0) - (value < 0)
        return self._signs[key]

    def ask(self, rows: FloatArray, errors: FloatArray, at: int, choices: Sequence[Sequence[int]]) -> Settled:
        """Whether the cell of some rows is there.

        Args:
            rows: (m, d); errors: (m,) of the search.
            at: the layer that the cell is in.
            choices: the pieces that each unit of the network may be on: one for those of earlier layers.
        """
        self.work["linear programs"] += 1
        point, multipliers = self._program(rows)
        last = int(multipliers.argmax()) if multipliers is not None else len(rows) - 1
        rest = np.delete(np.arange(len(rows)), last)
        question = self._question(rows, errors, last)
        if point is not None and self.sides.inside(question, point[None])[0]:
            return Settled(point)
        if multipliers is not None and multipliers[last] > 0:
            scaled = multipliers[rest] / multipliers[last]
            if self.sides.absent(question, scaled[None])[0]:
                return Settled()
        return self._rational(rows, errors, at, choices)

    def interior(self, rows: FloatArray, errors: FloatArray) -> FloatArray | None:
        """A point of the cube beyond the sides of the domain, if a linear program finds one."""
        point, _ = self._program(rows)
        question = self._question(rows, errors, len(rows) - 1)
        return point if point is not None and self.sides.inside(question, point[None])[0] else None

    def _question(self, rows: FloatArray, errors: FloatArray, last: int) -> Questions:
        """Whether the side of one of the rows is met where the others hold."""
        rest = np.delete(np.arange(len(rows)), last)
        start = np.zeros((1, self.frame.width))
        return Questions(rows[None, rest], errors[None, rest], rows[None, last], errors[None, last], start)

    def _program(self, rows: FloatArray) -> tuple[FloatArray | None, FloatArray | None]:
        """max t with rows y >= t: a point of the cube, and multipliers of the rows."""
        frame = self.frame
        moving = (frame.slope != 0).any(axis=1)
        n, d, m = frame.width, int(moving.sum()), len(rows)
        constant = rows[:, ~moving] @ frame.shift[~moving]
        matrix = sparse.vstack(
            [
                sparse.hstack([sparse.csr_array(frame.slope[moving]), -sparse.eye_array(d), sparse.csr_array((d, 1))]),
                sparse.hstack([sparse.csr_array((m, n)), sparse.csr_array(rows[:, moving]), -np.ones((m, 1))]),
            ],
            format="csr",
        )
        reach = frame.weight[moving] + 1.0
        largest = 1.0 + float((np.abs(rows) @ frame.weight).max(initial=0.0))
        program = Matrix(
            sparse.csr_array(matrix),
            np.concatenate([-frame.shift[moving], -constant]),
            np.concatenate([-frame.shift[moving], np.full(m, np.inf)]),
            np.concatenate([-np.ones(n), -reach, [-largest]]),
            np.concatenate([np.ones(n), reach, [1.0]]),
            np.zeros(n + d + 1, dtype=np.bool_),
        )
        try:
            session = self.backend.open(program, Limits())
            try:
                session.set_cost(np.array([n + d]), np.ones(1), Sense.MAXIMIZE)
                result = session.solve()
            finally:
                session.close()
        except SolverFailed:
            # numbers that it refuses, or an answer that it contradicts: rationals decide
            return None, None
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        point = None if result.x is None else np.clip(result.x[:n], INWARD - 1.0, 1.0 - INWARD)
        return point, None if result.row_duals is None else np.abs(result.row_duals[d:])

    # --- rationals ----------------------------------------------------------------------------------------------

    def _rational(self, rows: FloatArray, errors: FloatArray, at: int, choices: Sequence[Sequence[int]]) -> Settled:
        cell = self._cell(self._decided(at, choices))
        if cell is None:
            return Settled()
        self.work["rational programs"] += 1
        deadline = time.perf_counter() + EXACT_SECONDS
        every = np.ones_like(cell.strict)
        try:
            if self._below(cell):
                return Settled()
            if cell.slopes.size > MOST_EXACT:
                return Settled(doubtful=True)
            found = None if self._refuted(cell, every) else self._deepest(cell, every, deadline)
            if found is not None and found[1] > 0:
                point = self._rounded(found[0])
                if (rows @ self.frame.lift(point) > errors).all():
                    return Settled(point)
            elif self.solid:
                return Settled()
            return Settled(apart=tuple(self._explored(at, choices, deadline)))
        except (TimeoutError, OverflowError):
            # it takes too long, or products of weights are beyond floats, with which multipliers are looked for
            return Settled(doubtful=True)

    def _decided(self, at: int, choices: Sequence[Sequence[int]]) -> IntArray:
        """The pieces of all units up to a layer, -1 for those that have several to choose from."""
        layer = self.frame.cascade.unit_layers[at]
        chosen = choices[: layer.start + layer.size]
        return np.array([one[0] if len(one) == 1 else -1 for one in chosen], dtype=np.int64)

    def _cell(self, decided: IntArray) -> Cell | None:
        """The rows over the coordinates that move; None where a constant one fails. Constants are those of `one`."""
        frame = self.frame
        cell = exact_cell(frame.cascade.network, frame.cascade.unit_layers, decided)
        constants = cell.constants + cell.slopes[:, ~frame.free] @ exactly(frame.middle[~frame.free])
        slopes = cell.slopes[:, frame.free]
        varies = np.array([any(row) for row in slopes], dtype=np.bool_)
        for value, strict in zip(constants[~varies], cell.strict[~varies]):
            if value < 0 or (strict and value == 0):
                return None
        return Cell(slopes[varies], constants[varies], cell.strict[varies])

    def _deepest(self, cell: Cell, counted: BoolArray, deadline: float) -> tuple[tuple[Fraction, ...], Fraction] | None:
        """The point of the largest slack, over x (and `one` on the whole space), and the slack; None where it is empty.

        Args:
            counted: rows that shall be left behind; the others need hold only.
        """
        frame, zero, one = self.frame, Fraction(0), Fraction(1)
        low, high = self._sides()
        rows = [[*row, -one if c else zero] for row, c in zip(cell.slopes.tolist(), counted)]
        least: list[Fraction | None] = [-c for c in cell.constants.tolist()]
        if frame.whole:
            rows = [[*row[:-1], c, row[-1]] for row, c in zip(rows, cell.constants.tolist())]
            least = [zero] * len(rows)
            # the point must lie at one > 0
            rows.append([zero] * len(low) + [one, -one])
            least.append(zero)
            low, high = [*low, zero], [*high, one]
        outer, limit = self._outer()
        rows += [[*(-v for v in row), -one if self.solid or counted.all() else zero] for row in outer.tolist()]
        least += [-v for v in limit.tolist()]
        size = len(low)
        program = ExactLP([zero] * size + [-one], rows, least, [None] * len(rows), [*low, zero], [*high, one])
        found = solve_exact(program, deadline).x
        return None if found is None else (found[:-1], found[-1])

    def _below(self, cell: Cell) -> bool:
        """Whether multipliers found in floats prove, evaluated in rationals, that a cell is empty or flat."""
        frame = self.frame
        if frame.whole or len(frame.sides):
            return False
        floats, constants = cell.slopes.astype(np.float64), cell.constants.astype(np.float64)
        rows = np.column_stack([floats * frame.half[frame.free], floats @ frame.middle[frame.free] + constants])
        norms = np.linalg.norm(rows[:, :-1], axis=1)
        norms = np.where(norms > 0, norms, 1.0)
        # max t with rows u >= t: at the optimum the multipliers are those of the best bound
        n = rows.shape[1] - 1
        matrix = np.column_stack([-rows[:, :-1] / norms[:, None], np.ones(len(rows))])
        sides = [*([(-1.0, 1.0)] * n), (None, 1.0)]
        answer = optimize.linprog(
            np.append(np.zeros(n), -1.0), matrix, rows[:, -1] / norms, bounds=sides, method="highs"
        )
        if answer.x is None:
            return False
        lam = exactly(np.maximum(-answer.ineqlin.marginals, 0.0) / norms)
        low, high = (np.array(side, dtype=object) for side in self._sides())
        total = lam @ cell.slopes
        return bool(lam @ cell.constants + np.maximum(total * low, total * high).sum() < 0)

    def _refuted(self, cell: Cell, counted: BoolArray) -> bool:
        """Whether multipliers prove that no point leaves all rows that count behind."""
        low, high = self._sides()
        outer, limit = self._outer()
        slopes, constants = np.concatenate([cell.slopes, -outer]), np.concatenate([cell.constants, limit])
        counted = np.append(counted, np.full(len(limit), bool(counted.all())))
        if self.frame.whole:
            slopes = np.column_stack([slopes, constants])
            # `one` is a coordinate, and above 0
            ends = exactly(np.append(np.zeros(len(low)), 1.0))
            slopes, constants = np.vstack([slopes, ends]), exactly(np.zeros(len(constants) + 1))
            low, high, counted = [*low, Fraction(0)], [*high, Fraction(1)], np.append(counted, True)
        return refuted(slopes, constants, counted, low, high)

    def _sides(self) -> tuple[list[Fraction], list[Fraction]]:
        frame = self.frame
        if isinstance(frame.domain, Space):
            return [Fraction(-1)] * frame.domain.size, [Fraction(1)] * frame.domain.size
        box = frame.domain.enclosure
        low, high = exactly(box.lower[frame.free]).tolist(), exactly(box.upper[frame.free]).tolist()
        if isinstance(frame.domain, Ball):
            # its enclosure is rounded outward
            centre, radius = exactly(frame.domain.center[frame.free]).tolist(), Fraction(frame.domain.radius)
            low = [max(a, c - radius) for a, c in zip(low, centre)]
            high = [min(b, c + radius) for b, c in zip(high, centre)]
        return low, high

    def _outer(self) -> tuple[ExactArray, ExactArray]:
        """Rows of the domain beside its box, over the coordinates that move: matrix x <= limit."""
        frame = self.frame
        if isinstance(frame.domain, Polytope):
            matrix, limit = exactly(frame.domain.matrix), exactly(frame.domain.limit)
            moved = limit - matrix[:, ~frame.free] @ exactly(frame.middle[~frame.free])
            return matrix[:, frame.free], moved
        return np.empty((0, int(frame.free.sum())), dtype=object), np.empty(0, dtype=object)

    def _rounded(self, point: tuple[Fraction, ...]) -> FloatArray:
        """The nearest point of the cube in floats."""
        frame = self.frame
        values = np.array([float(v) for v in point])
        if frame.whole:
            return np.append(values[:-1], 2.0 * values[-1] - 1.0)
        return np.clip((values - frame.middle[frame.free]) / frame.half[frame.free], INWARD - 1.0, 1.0 - INWARD)

    def _explored(self, at: int, choices: Sequence[Sequence[int]], deadline: float) -> Iterator[Apart]:
        """The regions of a cell, each with an input, unit after unit in rationals."""
        decided = self._decided(at, choices)
        cell = self._cell(decided)
        if cell is None:
            return
        counted = np.ones_like(cell.strict) if self.solid else cell.strict
        found = None if self._refuted(cell, counted) else self._deepest(cell, counted, deadline)
        # with one = 0 a point is a direction only
        if found is None or (found[1] <= 0 and (counted.any() or self.solid or self.frame.whole)):
            return
        layers = self.frame.cascade.unit_layers
        if (decided >= 0).all():
            if at + 1 == len(layers):
                yield decided, self._input(found[0])
            else:
                yield from self._explored(at + 1, choices, deadline)
            return
        unit = int(np.flatnonzero(decided < 0)[0])
        for piece in choices[unit]:
            yield from self._explored(at, [*choices[:unit], (piece,), *choices[unit + 1 :]], deadline)

    def _input(self, point: tuple[Fraction, ...]) -> FloatArray:
        """The nearest input in floats."""
        frame = self.frame
        x = frame.middle.copy()
        scale = point[-1] if frame.whole else Fraction(1)
        x[frame.free] = [float(v / scale) for v in (point[:-1] if frame.whole else point)]
        return x
