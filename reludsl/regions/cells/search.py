"""The tree of cells, searched depth first in batches.

A cell is what the decisions so far leave of the domain. In its layer it looks at every option of every unit: an option
in which one of the cell's points lies is there; any other is asked about (`Sides`), which gives a point in it or a proof
that it is empty. When nothing is left to ask, the cell is cut by one unit that has several options, and its points go
with the parts. So a cell is never asked what its points or its ancestors know, and nearly every question that finds a
point finds a new region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.regions.cells.cascade import UnitLayer
from reludsl.regions.cells.frame import Frame
from reludsl.regions.cells.nodes import Nodes, Points, grown, joined, wider
from reludsl.regions.cells.sides import Questions, Sides

BATCH = 512
"""Cells that take a step together."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Cells that passed all layers.

    Args:
        pieces: (B, units)
        points: (B, n) a point of the cube inside each.
    """

    pieces: IntArray
    points: FloatArray
    doubtful: BoolArray


@dataclass(eq=False)
class Search:
    """A search over the cells of a frame."""

    frame: Frame
    sides: Sides
    points: Points = field(init=False)
    pending: list[list[Nodes]] = field(init=False)

    def __post_init__(self) -> None:
        self.points = Points(self.frame.width, self.frame.shift.size)
        self.pending = [[] for _ in self.frame.cascade.layers]

    # --- the order ----------------------------------------------------------------------------------------------

    def run(self, start: FloatArray) -> Iterator[Found]:
        """Every cell that is not proved to be empty."""
        yield from self._enter(0, self._root(start))
        while True:
            waiting = [sum(map(len, nodes)) for nodes in self.pending]
            if not any(waiting):
                return
            # the deepest layer that fills a batch keeps memory flat; without one, the fullest
            full = [k for k, count in enumerate(waiting) if count >= BATCH]
            layer = full[-1] if full else int(np.argmax(waiting))
            yield from self._step(layer, self._pop(layer))

    def _pop(self, layer: int) -> Nodes:
        taken: list[Nodes] = []
        count = 0
        while self.pending[layer] and count < BATCH:
            nodes = self.pending[layer].pop()
            room = BATCH - count
            if len(nodes) > room:
                self.pending[layer].append(nodes.take(slice(room, None)))
                nodes = nodes.take(slice(0, room))
            taken.append(nodes)
            count += len(nodes)
        return joined(taken, self.frame.trivial)

    def _root(self, start: FloatArray) -> Nodes:
        frame = self.frame
        where = self.points.add(start, frame.lift(start))
        norms = np.linalg.norm(frame.sides @ frame.slope, axis=1)
        norms = np.where(norms > 0, norms, 1.0)
        rows, errors = frame.sides / norms[:, None], frame.side_errors / norms
        none = np.zeros((1, 0), dtype=np.bool_)
        return Nodes(
            rows[None],
            errors[None],
            np.array([len(rows)]),
            np.zeros((1, 0, frame.shift.size)),
            np.zeros((1, 0)),
            none,
            none,
            np.zeros((1, 0), dtype=np.int64),
            {},
            where[None],
        )

    # --- entering and leaving a layer ---------------------------------------------------------------------------

    def _enter(self, at: int, nodes: Nodes) -> Iterator[Found]:
        """Cells come to a layer: its forms on each of them."""
        layers = self.frame.cascade.layers
        if at == len(layers):
            yield self._leaf(nodes)
            return
        layer = layers[at]
        z = np.broadcast_to(self.frame.bases[at], (len(nodes), *self.frame.bases[at].shape))
        for source, weights in layer.parts.items():
            z = z + np.matmul(weights, nodes.maps[source])
        forms, errors = self._forms(layer, at, z)
        maps = {source: held for source, held in nodes.maps.items() if self._needed(source, at + 1)}
        maps[at] = z
        open_ = self._possible(layer, forms, errors)
        self.pending[at].append(
            Nodes(
                nodes.rows,
                nodes.errors,
                nodes.count,
                forms,
                errors,
                open_,
                np.zeros_like(open_),
                nodes.pieces,
                maps,
                nodes.pool,
            )
        )

    def _needed(self, source: int, after: int) -> bool:
        layers = (*self.frame.cascade.layers[after:], self.frame.cascade.last)
        return any(source in layer.parts for layer in layers)

    def _forms(self, layer: UnitLayer, at: int, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        f, error = layer.forms, self.frame.errors[at]
        forms = z[:, f.plus].copy()
        lost = error[f.plus] + 4e-16 * np.abs(f.offset)
        pair = f.minus >= 0
        if pair.any():
            forms[:, pair] -= z[:, f.minus[pair]]
            lost[pair] += error[f.minus[pair]]
        forms[:, :, -1] -= f.offset
        norms = np.linalg.norm(forms @ self.frame.slope, axis=2)
        norms = np.where(norms > 1e-9 * (1e-300 + layer.magnitude.max(initial=0.0)), norms, 1.0)
        return forms / norms[:, :, None], lost / norms

    def _possible(self, layer: UnitLayer, forms: FloatArray, errors: FloatArray) -> BoolArray:
        """Options that the cube alone does not exclude."""
        middle = forms @ self.frame.shift
        reach = np.abs(forms @ self.frame.slope).sum(axis=2) + 1e-9 + errors
        f = layer.forms
        low, high = middle - reach, middle + reach
        signs = f.signs[None]
        most = np.where(signs > 0, high[:, f.rows], np.where(signs < 0, -low[:, f.rows], 1.0))
        return np.asarray((most > 0).all(axis=2))

    def _leave(self, at: int, nodes: Nodes) -> Iterator[Found]:
        """Cells in which every unit of the layer has one option."""
        layer = self.frame.cascade.layers[at]
        f = layer.forms
        piece = np.zeros((len(nodes), f.units), dtype=np.int64)
        k, option = np.nonzero(nodes.open)
        piece[k, f.unit[option]] = f.piece[option]
        z = nodes.maps[at]
        if layer.selects:
            h = np.take_along_axis(z, layer.chosen(piece)[:, :, None], axis=1)
        else:
            slope, intercept = layer.slopes(piece)
            h = z * slope[:, :, None]
            h[:, :, -1] += intercept
        maps = {source: held for source, held in nodes.maps.items() if source != at}
        if self._needed(at, at + 1):
            maps[at] = h
        none = np.zeros((len(nodes), 0))
        yield from self._enter(
            at + 1,
            Nodes(
                nodes.rows,
                nodes.errors,
                nodes.count,
                none[:, :, None],
                none,
                none.astype(np.bool_),
                none.astype(np.bool_),
                np.concatenate([nodes.pieces, piece], axis=1),
                maps,
                nodes.pool,
            ),
        )

    def _leaf(self, nodes: Nodes) -> Found:
        points = self.points.u[nodes.pool[:, 0]]
        self.points.drop(nodes.pool[nodes.pool >= 0])
        return Found(nodes.pieces, points, np.zeros(len(nodes), dtype=np.bool_))

    # --- one step -----------------------------------------------------------------------------------------------

    def _step(self, at: int, nodes: Nodes) -> Iterator[Found]:
        layer = self.frame.cascade.layers[at]
        member = self._member(layer, nodes)
        seen = member.any(axis=2)
        wanted = nodes.open & ~seen & ~nodes.asked
        busy = wanted.any(axis=1)
        if busy.any():
            k = np.flatnonzero(busy)
            self.pending[at].append(self._asked(layer, nodes.take(k), wanted[k]))
        rest = np.flatnonzero(~busy)
        if not rest.size:
            return
        # an option that nothing is known of is left out, and told
        open_ = nodes.open[rest] & seen[rest]
        nodes = Nodes(**{**_fields(nodes.take(rest)), "open": open_})
        member = member[rest]
        options = np.zeros((len(nodes), layer.forms.units), dtype=np.int64)
        k, option = np.nonzero(open_)
        np.add.at(options, (k, layer.forms.unit[option]), 1)
        split = options > 1
        ready = ~split.any(axis=1)
        if ready.any():
            yield from self._leave(at, nodes.take(np.flatnonzero(ready)))
        cut = np.flatnonzero(~ready)
        if cut.size:
            self.pending[at].append(self._cut(layer, nodes.take(cut), member[cut], split[cut]))

    def _member(self, layer: UnitLayer, nodes: Nodes) -> BoolArray:
        """Which points lie in which options: (B, O, P)."""
        f = layer.forms
        y = self.points.y[np.maximum(nodes.pool, 0)]
        values = np.matmul(nodes.forms, y.transpose(0, 2, 1))
        inside = np.broadcast_to((nodes.pool >= 0)[:, None, :], (len(nodes), f.unit.size, nodes.pool.shape[1]))
        for r in range(f.rows.shape[1]):
            sign = f.signs[:, r][None, :, None]
            inside = inside & ((values[:, f.rows[:, r]] * sign > 0) | (sign == 0))
        return np.asarray(inside)

    def _asked(self, layer: UnitLayer, nodes: Nodes, wanted: BoolArray) -> Nodes:
        """Ask every cell about the first of its options in question, or about several where few cells wait."""
        most = max(1, BATCH // len(nodes))
        rank = np.cumsum(wanted, axis=1)
        k, option = np.nonzero(wanted & (rank <= most))
        there, absent, points = self._ask(layer, nodes, k, option)
        open_, asked = nodes.open.copy(), nodes.asked.copy()
        open_[k[absent], option[absent]] = False
        unknown = ~(there | absent)
        asked[k[unknown], option[unknown]] = True
        found = points[there]
        where = self.points.add(found, self.frame.lift(found))
        owner = k[there]
        # the place of each among the new points of its cell
        order = np.arange(owner.size) - np.searchsorted(owner, owner)
        used = (nodes.pool >= 0).sum(axis=1)
        slot = used[owner] + order
        pool = wider(nodes.pool, int(slot.max(initial=-1)) + 1).copy()
        pool[owner, slot] = where
        return Nodes(**{**_fields(nodes), "open": open_, "asked": asked, "pool": pool})

    def _ask(
        self, layer: UnitLayer, nodes: Nodes, k: IntArray, option: IntArray
    ) -> tuple[BoolArray, BoolArray, FloatArray]:
        """Whether cell k reaches an option, row by row of the option: there, absent, points."""
        f = layer.forms
        held = nodes.pool >= 0
        weight = held / held.sum(axis=1, keepdims=True)
        middle = np.matmul(weight[:, None, :], self.points.u[np.maximum(nodes.pool, 0)])[:, 0]
        rows, errors, points = nodes.rows[k], nodes.errors[k], middle[k]
        there, absent = np.ones(k.size, dtype=np.bool_), np.zeros(k.size, dtype=np.bool_)
        for r in range(f.rows.shape[1]):
            sign = f.signs[option, r]
            form = nodes.forms[k, f.rows[option, r]] * sign[:, None]
            error = nodes.form_errors[k, f.rows[option, r]]
            open_ = np.flatnonzero(there & (sign != 0))
            if open_.size:
                reply = self.sides.ask(Questions(rows[open_], errors[open_], form[open_], error[open_], points[open_]))
                there[open_], absent[open_] = reply.there, reply.absent
                points[open_] = reply.points
            if r + 1 < f.rows.shape[1]:
                form = np.where(sign[:, None] != 0, form, self.frame.trivial)
                rows = np.concatenate([rows, form[:, None]], axis=1)
                errors = np.concatenate([errors, np.where(sign != 0, error, 0.0)[:, None]], axis=1)
        return there & ~absent, absent, points

    def _cut(self, layer: UnitLayer, nodes: Nodes, member: BoolArray, split: BoolArray) -> Nodes:
        """Cut every cell by the first unit that has several options."""
        f = layer.forms
        unit = split.argmax(axis=1)
        k, option = np.nonzero(nodes.open & (f.unit[None, :] == unit[:, None]))
        child = nodes.take(k)
        open_ = child.open & (
            (f.unit[None, :] != unit[k][:, None]) | (np.arange(f.unit.size)[None, :] == option[:, None])
        )
        mine = member[k, option]
        pool = np.where(mine, child.pool, -1)
        order = np.argsort(~mine, axis=1, kind="stable")
        pool = np.take_along_axis(pool, order, axis=1)
        lost = child.pool[~mine & (child.pool >= 0)]
        del lost  # they are in the other parts
        pool = pool[:, : max(int(mine.sum(axis=1).max()), 1)]
        width = f.rows.shape[1]
        count = child.count
        rows, errors = grown(child.rows, child.errors, int(count.max()) + width, self.frame.trivial)
        rows, errors = rows.copy(), errors.copy()
        for r in range(width):
            sign = f.signs[option, r]
            some = np.flatnonzero(sign != 0)
            q = f.rows[option[some], r]
            rows[some, count[some]] = nodes.forms[k[some], q] * sign[some][:, None]
            errors[some, count[some]] = nodes.form_errors[k[some], q]
            count = count + (sign != 0)
        return Nodes(**{**_fields(child), "rows": rows, "errors": errors, "count": count, "open": open_, "pool": pool})


def _fields(nodes: Nodes) -> dict[str, object]:
    return {name: getattr(nodes, name) for name in Nodes.__dataclass_fields__}
