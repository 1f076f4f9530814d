"""The proof that a complex of cells has found every region, and that each of its cells is one.

Cells are the pieces of a line (d = 2) or the faces of a plane (d = 3), points are given by d coordinates of a basis.

*Each is one*: at a point inside of it and of the domain, every unit is strictly on its piece, with a bound on rounding;
or, where that does not decide, in fractions, and a unit that is constantly at its break counts for the piece on the
left.

*There is no other*: each vertex stands for the exact point where d - 1 lines meet (breaks of units that change there,
or sides of the domain). If at the exact vertices of every cell no unit is beyond its piece, then the cell is part of
the closure of its region, because both are convex. A cell with a whole line on its border is not spanned by its
vertices, all of which may be at infinity, but by these and a point of the line, which is looked at as well. The cells
are a disk (Euler's relation) whose border is the domain's, so that they cover the domain: a map of a disk to the plane
that goes around the border once misses no point inside. Every region that has an interior therefore meets one of the
cells, and is its region.

The sign of a unit at an exact vertex follows from its value at the float vertex, rounding, and the distance between the
two, which is bounded by the residuals of the lines there over their angle. Around a vertex only its own lines change,
so that one cell decides for all that meet there. What stays open is done in fractions, cell by cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.exact import ExactArray, exactly
from reludsl.layers import Layer, MaxLayer, elementwise
from reludsl.regions.forms import Basis, Form, exact_forms, exact_pieces, forms
from reludsl.regions.meeting import meeting, nearest, solved
from reludsl.regions.units import Part, Plan
from reludsl.regions.watch import INTERRUPTED, OUT_OF_TIME, Watch

EXACT_WORK = 2_000_000
"""Products of fractions that a proof may cost; a million takes about five seconds."""

CHUNK = 2_000_000
"""Coefficients that are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What is to be proved.

    Args:
        pieces: the piece of every unit on some cells, by number.
        inner: (cells, d) a point inside of each.
        points: (vertices, d) floats near the exact vertices.
        home: (vertices,) a cell that each belongs to, -1 where its lines do not say where it is.
        lines: (vertices, d - 1) the edges of that cell that meet there.
        left, right: (edges,) the cells beside an edge; `right` is -1 at the domain's border.
        side: (edges,) which side of the domain that is.
        corners: (k, 2) every cell with each of its vertices.
        ends: (k, 2) every edge with each of its vertices.
        sides: (sides, d) coefficients of a linear function that is 0 on the side, exact.
        fixed: (vertices,) corners of the domain that are exact as they are.
        whole: (vertices,) no vertices, but points of lines that have none: each stands for any finite point of an edge
            that comes from infinity and goes there.
    """

    plan: Plan
    basis: Basis
    pieces: Callable[[IntArray], IntArray]
    inner: FloatArray
    points: FloatArray
    home: IntArray
    lines: IntArray
    left: IntArray
    right: IntArray
    side: IntArray
    corners: IntArray
    ends: IntArray
    sides: ExactArray
    fixed: BoolArray
    whole: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What is proved.

    Args:
        present: (cells,) each is a region.
        settled: (vertices,) no unit is beyond its piece there, in any cell that meets there.
        margin: the smallest distance of a point inside a cell from a break, in rounding errors.
        work: how many cells and vertices were looked at in floats and in fractions.
        ended: why not everything was looked at: it was late, or an interrupt came.
    """

    present: BoolArray
    settled: BoolArray
    margin: float
    work: dict[str, int]
    ended: str = ""

    @property
    def complete(self) -> bool:
        """The cells are all regions, and all regions are cells."""
        return bool(self.present.all() and self.settled.all())


def certify(cells: Cells, watch: Watch | None = None) -> Certificate:
    """Prove what can be proved until it is late, or until an interrupt comes."""
    proof = _Proof(cells, Watch() if watch is None else watch)
    ended = ""
    try:
        proof.begin()
        proof.by_floats()
        proof.by_fractions()
    except _Enough:
        ended = OUT_OF_TIME
    except KeyboardInterrupt:
        ended = INTERRUPTED
    return Certificate(proof.present, proof.settled, proof.margin, proof.work, ended)


class _Enough(Exception):
    """It is late."""


class _Proof:
    def __init__(self, cells: Cells, watch: Watch) -> None:
        self.cells, self.plan, self.watch = cells, cells.plan, watch
        self.layers = [self.plan.network.by_name[part.name].layer for part in self.plan.parts]
        self.inside = self._inside()
        self.exact: dict[int, list[tuple[Part, ExactArray]]] = {}
        self.spent = 0
        self.present = np.zeros(len(cells.inner), dtype=np.bool_)
        self.settled = np.zeros(len(cells.points), dtype=np.bool_)
        self.margin = np.inf
        self.work = {"cells": 0, "vertices": 0, "exact cells": 0, "exact vertices": 0}

    def begin(self) -> None:
        """Find out which unit changes at each edge."""
        self.unit, self.low, self.high = self._changes()
        # one number for each line: which unit changes between which pieces, or which side of the domain it is
        most = max((part.pieces for part in self.plan.parts), default=1)
        self.key = np.where(self.unit >= 0, (self.unit * most + self.low) * most + self.high, -2 - self.cells.side)

    def _look(self) -> None:
        self.watch.tell("proved cells", self.work["cells"], len(self.cells.inner))
        if self.watch.late:
            raise _Enough

    def _changes(self) -> tuple[IntArray, IntArray, IntArray]:
        """Of every edge the unit that changes there, -1 at the border and -2 if several do, and its two pieces."""
        cells = self.cells
        unit = np.full(cells.left.size, -1)
        low, high = unit.copy(), unit.copy()
        inner = np.flatnonzero(cells.right >= 0)
        for edges in np.array_split(inner, max(1, inner.size * max(1, self.plan.units) // CHUNK)):
            self._look()
            one, other = cells.pieces(cells.left[edges]), cells.pieces(cells.right[edges])
            differ = one != other
            count = differ.sum(axis=1)
            unit[edges] = np.where(count == 1, differ.argmax(axis=1) if self.plan.units else -2, -2)
            row = np.arange(edges.size), np.maximum(unit[edges], 0)
            if self.plan.units:
                low[edges], high[edges] = np.minimum(one[row], other[row]), np.maximum(one[row], other[row])
        return unit, low, high

    def _inside(self) -> ExactArray:
        """The sides of the domain as linear functions that are positive within."""
        middle = exactly(self.cells.inner.mean(axis=0))
        return np.array([side if side @ middle > 0 else -side for side in self.cells.sides], dtype=object)

    # --- in floats ----------------------------------------------------------------------------------------------

    def by_floats(self) -> None:
        cells = self.cells
        count = len(cells.inner)
        plain = self._plain_vertices()
        order = np.flatnonzero(plain)
        order = order[np.argsort(cells.home[order], kind="stable")]
        d = cells.points.shape[1]
        step = max(1, CHUNK // (d * max(1, self.plan.units)))
        for first in range(0, count, step):
            self._look()
            chosen = np.arange(first, min(first + step, count))
            pieces = cells.pieces(chosen)
            known = [(part, form) for part, form in forms(self.plan, cells.basis, pieces) if part is not None]
            lo, hi = np.searchsorted(cells.home[order], [first, first + chosen.size])
            vertex = order[lo:hi]
            row = cells.home[vertex] - first
            slack = self._slack(known, vertex, row)
            inside = self._within(cells.inner[chosen])
            fine = np.isfinite(slack).all(axis=1)
            slack[~fine] = 0.0
            none = np.full((vertex.size, d - 1), -1)
            lines = np.where(cells.fixed[vertex][:, None], none, cells.lines[vertex])
            for part, form in known:
                piece = pieces[:, part.first : part.first + part.size]
                gap, error = self._room(part, form, piece, cells.inner[chosen], None)
                inside &= (gap > error).all(axis=(1, 2))
                self.margin = min(self.margin, float((gap / error).min(initial=np.inf)))
                there = Form(form.value[row], form.error[row])
                gap, error = self._room(part, there, piece[row], cells.points[vertex], slack)
                self._exempt(part, gap, piece[row], lines)
                fine &= (gap > error).all(axis=(1, 2))
            self.present[chosen] = inside
            self.settled[vertex] = fine
            self.work["cells"] += chosen.size
            self.work["vertices"] += vertex.size

    def _within(self, points: FloatArray) -> BoolArray:
        """Whether points are within the domain for certain."""
        sides = self.inside.astype(np.float64)
        error = numeric.gamma(points.shape[1] + 2) * (np.abs(points) @ np.abs(sides).T) + numeric.FLOOR
        return np.asarray((points @ sides.T > error).all(axis=1))

    def _plain_vertices(self) -> BoolArray:
        """Vertices at which every edge is on one of the lines that say where it is, and only one unit changes."""
        cells = self.cells
        edge, vertex = cells.ends.T
        keys = self.key[cells.lines[vertex]]
        there = (self.key[edge][:, None] == keys).any(axis=1) & (self.unit[edge] != -2)
        there |= cells.fixed[vertex] & (self.unit[edge] == -1)
        plain = cells.home >= 0
        plain[vertex[~there]] = False
        return plain

    def _slack(self, known: list[tuple[Part, Form]], vertex: IntArray, row: IntArray) -> FloatArray:
        """How far each coordinate of the exact vertex may be from the float one, inf where that is open."""
        cells = self.cells
        d = cells.points.shape[1]
        value, error = np.zeros((vertex.size, d - 1, d)), np.zeros((vertex.size, d - 1, d))
        exact_sides = np.array([[float(c) for c in side] for side in cells.sides]).reshape(-1, d)
        for k in range(d - 1):
            edge = cells.lines[vertex, k]
            border = np.flatnonzero(self.unit[edge] == -1)
            value[border, k] = exact_sides[cells.side[edge[border]]]
            error[border, k] = 2 * numeric.UNIT * np.abs(value[border, k]) + numeric.FLOOR
            for part, form in known:
                own = np.flatnonzero((self.unit[edge] >= part.first) & (self.unit[edge] < part.first + part.size))
                if own.size:
                    unit = self.unit[edge[own]] - part.first
                    line = self._line(part, form, row[own], unit, self.low[edge[own]], self.high[edge[own]])
                    value[own, k], error[own, k] = line
        point = cells.points[vertex]
        size = np.einsum("mkd,md->mk", np.abs(value) + error, np.abs(point))
        residual = np.abs(np.einsum("mkd,md->mk", value, point))
        residual = residual + numeric.inflated(np.einsum("mkd,md->mk", error, np.abs(point))) + numeric.gamma(d) * size
        # a point is a direction from 0: its largest coordinate stays, the others are solved for
        held = np.abs(point).argmax(axis=1)
        rest = np.argsort(np.arange(d)[None, :] == held[:, None], axis=1, kind="stable")[:, :-1]
        a = np.take_along_axis(value, rest[:, None, :], axis=2)
        e = np.take_along_axis(error, rest[:, None, :], axis=2)
        moved = solved(a, e, residual)
        slack = np.zeros((vertex.size, d))
        np.put_along_axis(slack, rest, moved, axis=1)
        slack[cells.fixed[vertex]] = 0.0
        return slack

    def _line(
        self, part: Part, form: Form, row: IntArray, unit: IntArray, low: IntArray, high: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """The linear function that is 0 where a unit changes between two pieces, and its error: (m, d) each."""
        layer = self.layers[part.number]
        if isinstance(layer, MaxLayer):
            one, other = layer.windows[unit, low], layer.windows[unit, high]
            value = form.value[row, :, one] - form.value[row, :, other]
            error = form.error[row, :, one] + form.error[row, :, other]
        else:
            assert elementwise(layer)
            constant = layer.breaks_at(part.size)[low, unit][:, None] * self.cells.basis.w
            value, error = form.value[row, :, unit] - constant, form.error[row, :, unit]
            error = error + 4 * numeric.UNIT * np.abs(constant)
            # a unit that passes two breaks at once is on no single line
            value[high != low + 1] = 0.0
        return value, numeric.inflated(error) + 4 * numeric.UNIT * np.abs(value)

    def _room(
        self, part: Part, form: Form, piece: IntArray, point: FloatArray, slack: FloatArray | None
    ) -> tuple[FloatArray, FloatArray]:
        """How far each unit is from the ends of its piece at a point of each cell, and the error: (m, ends, size)."""
        layer = self.layers[part.number]
        value, error = form.at(point, slack)
        if isinstance(layer, MaxLayer):
            windows = layer.windows
            best = windows[np.arange(part.size), piece]
            gap = np.take_along_axis(value, best, axis=1)[:, None, :] - value[:, windows.T]
            lost = np.take_along_axis(error, best, axis=1)[:, None, :] + error[:, windows.T]
            same = best[:, None, :] == windows.T
            lost = numeric.inflated(lost) + 4 * numeric.UNIT * np.abs(gap) + numeric.FLOOR
            return np.where(same, np.inf, gap), lost
        assert elementwise(layer)
        weight = self.cells.basis.w
        w = (point @ weight)[:, None]
        w_error = numeric.gamma(len(weight)) * np.abs(w)
        if slack is not None:
            w_error = w_error + (slack @ weight)[:, None]
        breaks = layer.breaks_at(part.size)
        edges = np.vstack([np.zeros(part.size), breaks, np.zeros(part.size)])
        gaps, errors = [], []
        for sign, k in ((1.0, piece), (-1.0, piece + 1)):
            b = np.take_along_axis(edges, k, axis=0)
            none = (k == 0) | (k == part.pieces)
            gap = sign * (value - b * w)
            lost = error + np.abs(b) * w_error + 4 * numeric.UNIT * (np.abs(value) + np.abs(b * w))
            gaps.append(np.where(none, np.inf, gap))
            errors.append(numeric.inflated(lost) + numeric.FLOOR)
        return np.stack(gaps, axis=1), np.stack(errors, axis=1)

    def _exempt(self, part: Part, gap: FloatArray, piece: IntArray, lines: IntArray) -> None:
        """A unit is on its own line, by the definition of the vertex."""
        maximum = isinstance(self.layers[part.number], MaxLayer)
        for edge in lines.T:
            own = np.flatnonzero((edge >= 0) & (self.unit[edge] >= part.first))
            own = own[self.unit[edge[own]] < part.first + part.size]
            unit = self.unit[edge[own]] - part.first
            here, low, high = piece[own, unit], self.low[edge[own]], self.high[edge[own]]
            if maximum:
                gap[own, np.where(here == low, high, low), unit] = np.inf
            else:
                gap[own, np.where(here == low, 1, 0), unit] = np.inf

    # --- in fractions -------------------------------------------------------------------------------------------

    def by_fractions(self) -> None:
        """Decide what is open, as far as the work that is allowed goes."""
        for cell in np.flatnonzero(~self.present).tolist():
            self._look()
            known = self._known(cell)
            if known is not None:
                self.present[cell] = self._holds(cell, known, exactly(self.cells.inner[cell]))
            self.work["exact cells"] += 1
        around: dict[int, list[int]] = {}
        beside: dict[int, list[int]] = {}
        open_ = ~self.settled
        for table, found in ((self.cells.corners, around), (self.cells.ends, beside)):
            for first, vertex in table[open_[table[:, 1]]].tolist():
                found.setdefault(vertex, []).append(first)
        for vertex in np.flatnonzero(open_).tolist():
            self._look()
            self.settled[vertex] = self._settled(vertex, around.get(vertex, []), beside.get(vertex, []))
            self.work["exact vertices"] += 1

    def _may_spend(self, passes: int) -> bool:
        self.spent += passes * (self.plan.network.parameters + self.plan.units)
        return self.spent <= EXACT_WORK

    def _known(self, cell: int) -> list[tuple[Part, ExactArray]] | None:
        if cell not in self.exact:
            if not self._may_spend(self.cells.points.shape[1]):
                return None
            pieces = self.cells.pieces(np.array([cell]))[0]
            found = exact_forms(self.plan, self.cells.basis, pieces)
            self.exact[cell] = [(part, form) for part, form in found if part is not None]
        return self.exact[cell]

    def _holds(self, cell: int, known: list[tuple[Part, ExactArray]], point: ExactArray) -> bool:
        """Whether every unit is strictly on its piece at a point of the domain, or at its break on the whole cell."""
        if any(side @ point <= 0 for side in self.inside):
            return False
        pieces = self.cells.pieces(np.array([cell]))[0]
        weight = exactly(self.cells.basis.w)
        for part, form in known:
            layer = self.layers[part.number]
            for i, piece in enumerate(pieces[part.first : part.first + part.size].tolist()):
                for line, closed in _ends(layer, form, i, piece, weight):
                    height = line @ point
                    if height < 0 or (height == 0 and not (closed and not any(line))):
                        return False
        return True

    def _settled(self, vertex: int, cells: list[int], edges: list[int]) -> bool:
        """Whether no unit is beyond its piece at the exact vertex, in any cell that meets there.

        Where that holds for all units of the layers before, a cell's pieces give the value of the network itself,
        because it is continuous; so that one forward pass decides for all cells.
        """
        point = exactly(self.cells.points[vertex])
        if not self.cells.fixed[vertex]:
            lines = self._exact_lines(vertex, edges)
            found = nearest(lines) if self.cells.whole[vertex] else meeting(lines, point)
            if found is None:
                return False
            point = found
        border = self.cells.side[[edge for edge in edges if self.unit[edge] == -1]]
        if any(self.cells.sides[k] @ point != 0 for k in border.tolist()) or not self._may_spend(1):
            return False
        x = np.asarray(point @ exactly(self.cells.basis.x), dtype=object)
        w = sum((a * Fraction(b) for a, b in zip(point, self.cells.basis.w.tolist())), Fraction(0))
        pieces = self.cells.pieces(np.array(cells))
        return all(
            allowed[np.arange(part.size), pieces[:, part.first : part.first + part.size]].all()
            for part, allowed in exact_pieces(self.plan, x, w)
        )

    def _exact_lines(self, vertex: int, edges: list[int]) -> Iterator[ExactArray]:
        """Lines that pass through a vertex: sides of the domain, and breaks of units that change at its edges."""
        weight = exactly(self.cells.basis.w)
        home = int(self.cells.home[vertex])
        # those of one cell first: they cost least
        for edge in sorted(edges, key=lambda e: (self.unit[e] != -1, self.cells.left[e] != home)):
            if self.unit[edge] == -1:
                yield self.cells.sides[self.cells.side[edge]]
                continue
            beside = [int(self.cells.left[edge]), int(self.cells.right[edge])]
            cell = home if home in beside else beside[0]
            known = self._known(cell)
            if known is None:
                return
            one, other = self.cells.pieces(np.array(beside))
            for part, form in known:
                layer = self.layers[part.number]
                for i in np.flatnonzero((one != other)[part.first : part.first + part.size]).tolist():
                    a, b = sorted((int(one[part.first + i]), int(other[part.first + i])))
                    if isinstance(layer, MaxLayer):
                        yield form[:, layer.windows[i, a]] - form[:, layer.windows[i, b]]
                    elif elementwise(layer):
                        breaks = layer.breaks_at(part.size)[a:b, i].tolist()
                        yield from (form[:, i] - Fraction(v) * weight for v in breaks)


def _ends(layer: Layer, form: ExactArray, i: int, piece: int, weight: ExactArray) -> Iterator[tuple[ExactArray, bool]]:
    """Linear functions that are at least 0 while unit i keeps its piece, and whether 0 belongs to it."""
    if isinstance(layer, MaxLayer):
        window = layer.windows[i].tolist()
        for j, other in enumerate(window):
            # of inputs that are equal the first is copied
            if other != window[piece]:
                yield form[:, window[piece]] - form[:, other], j > piece
        return
    assert elementwise(layer)
    breaks = layer.breaks_at(form.shape[1])[:, i].tolist()
    if piece > 0:
        yield form[:, i] - Fraction(breaks[piece - 1]) * weight, False
    if piece < len(breaks):
        yield Fraction(breaks[piece]) * weight - form[:, i], True
