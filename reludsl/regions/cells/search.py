"""The tree of cells, searched depth first in batches.

A cell is what the decisions so far leave of the domain. In its layer it looks at every option of every unit: an option
in which one of the cell's points lies is there; any other is asked about (`Sides`), which gives a point in it or a
proof that it is empty. When nothing is left to ask, the cell is cut by one unit that has several options, and its
points go with the parts. So a cell is never asked what its points or its ancestors know, and nearly every question that
finds a point finds a new region.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.regions.cells.cascade import CellLayer
from reludsl.regions.cells.edge_rows import edges_on
from reludsl.regions.cells.frame import Frame
from reludsl.regions.cells.nodes import Found, Nodes, Outlying, Points, grown, joined, wider
from reludsl.regions.cells.settle import Settle
from reludsl.regions.cells.sides import Questions, Sides

BATCH = 512
"""Cells that take a step together."""


@dataclass(eq=False)
class Search:
    """A search over the cells of a frame.

    Args:
        settle: decides what `sides` leaves open.
        wanted: (units,) the piece of each unit, -1 for any: cells of other pieces are passed over.
        apart: regions that only rationals reach.
        doubts: options of which it stayed open whether they are there.
        hidden: what these may hold, at most, in regions.
        deadline: of `time.perf_counter()`, at which it stops; it was late then.
    """

    frame: Frame
    sides: Sides
    settle: Settle
    wanted: IntArray
    apart: list[Outlying] = field(default_factory=list)
    doubts: int = 0
    hidden: int = 0
    deadline: float = math.inf
    late: bool = False
    points: Points = field(init=False)
    pending: list[list[Nodes]] = field(init=False)

    def __post_init__(self) -> None:
        self.points = Points(self.frame.width, self.frame.shift.size)
        self.pending = [[] for _ in self.frame.cascade.layers]

    @cached_property
    def options(self) -> BoolArray:
        """(units, pieces) what is wanted of each unit."""
        layers = self.frame.cascade.unit_layers
        found = np.zeros((self.wanted.size, max(layer.pieces for layer in layers)), dtype=np.bool_)
        for layer in layers:
            found[layer.units, : layer.pieces] = layer.proper
        others = np.arange(found.shape[1]) != self.wanted[:, None]
        return np.asarray(found & ~(others & (self.wanted[:, None] >= 0)))

    # --- the order ----------------------------------------------------------------------------------------------

    def run(self, start: FloatArray) -> Iterator[Found]:
        """Every cell that is not proved to be empty.

        Args:
            start: (1, n) a point of the cube inside the domain.
        """
        yield from self._enter(0, self._root(start))
        yield from self._rest()

    def opened(self, start: FloatArray, enough: int) -> Iterator[Found]:
        """Search until so many cells wait, the highest layer first, so that none of them is far ahead; or until the
        deadline."""
        yield from self._enter(0, self._root(start))
        while 0 < sum(len(nodes) for held in self.pending for nodes in held) < enough:
            if time.perf_counter() > self.deadline:
                self.late = True
                return
            at = next(k for k, held in enumerate(self.pending) if held)
            yield from self._step(at, self._pop(at))

    def resumed(self, at: int, nodes: Nodes, points: FloatArray) -> Iterator[Found]:
        """Search below cells that another search left waiting.

        Args:
            points: of the cube, to which the pools of `nodes` point.
        """
        where = self.points.add(points, self.frame.lift(points))
        self.pending[at].append(replace(nodes, pool=np.where(nodes.pool >= 0, where[nodes.pool], -1)))
        yield from self._rest()

    def _rest(self) -> Iterator[Found]:
        """Search all that waits, until the deadline."""
        while (layer := self._next()) is not None:
            if time.perf_counter() > self.deadline:
                self.late = True
                return
            yield from self._step(layer, self._pop(layer))

    def _next(self) -> int | None:
        """The deepest layer that fills a batch, which keeps memory flat; without one, the fullest."""
        waiting = [sum(map(len, nodes)) for nodes in self.pending]
        full = [k for k, count in enumerate(waiting) if count >= BATCH]
        if not any(waiting):
            return None
        return full[-1] if full else int(np.argmax(waiting))

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
        rows, errors = frame.scaled_sides
        none = np.zeros((1, 0))
        return Nodes(
            rows[None],
            errors[None],
            np.array([len(rows)]),
            none[:, :, None],
            none,
            none.astype(np.bool_),
            none.astype(np.bool_),
            none.astype(np.int64),
            {},
            {},
            where[None],
            np.ones(1),
            np.zeros(1, dtype=np.int64),
        )

    # --- entering and leaving a layer ---------------------------------------------------------------------------

    def _enter(self, at: int, nodes: Nodes) -> Iterator[Found]:
        """Cells come to a layer: its edges on each of them."""
        layers = self.frame.cascade.layers
        if at == len(layers):
            yield Found(nodes.pieces, self.points.u[nodes.pool[:, 0]], nodes.weight, nodes.run)
            self.points.drop(nodes.pool[nodes.pool >= 0])
            return
        layer, base = layers[at], self.frame.bases[at]
        z = np.broadcast_to(base, (len(nodes), *base.shape))
        for source, weights in layer.parts.items():
            z = z + np.matmul(weights, nodes.maps[source])
        maps = {source: held for source, held in nodes.maps.items() if self._needed(source, at + 1)}
        forms, errors, open_ = edges_on(self.frame, self.settle, at, z, nodes)
        nodes = replace(
            nodes,
            forms=forms,
            form_errors=errors,
            open=open_,
            sought=np.broadcast_to(self._allowed(at), open_.shape),
            maps={**maps, at: z},
            signs={
                **{source: nodes.signs[source] for source in maps},
                at: layer.z_signs(nodes.signs, len(nodes)),
            },
        )
        self.pending[at].append(self._inhabited(layer, nodes))

    def _inhabited(self, layer: CellLayer, nodes: Nodes) -> Nodes:
        """The cells in which every unit has an option left to go into: what is wanted may not be there."""
        left = np.asarray((self._counts(layer, nodes.open & nodes.sought) > 0).all(axis=1))
        self.points.drop(nodes.pool[(nodes.pool >= 0) & ~left[:, None]])
        return nodes.take(np.flatnonzero(left))

    def _counts(self, layer: CellLayer, options: BoolArray) -> IntArray:
        """How many of the options of each unit are marked: (B, O) -> (B, units)."""
        assert layer.units is not None
        total = np.zeros((len(options), layer.units.size), dtype=np.int64)
        k, option = np.nonzero(options)
        np.add.at(total, (k, layer.options.unit[option]), 1)
        return total

    def _allowed(self, at: int) -> BoolArray:
        """The options that are wanted.

        Others are not asked about, and a cell is cut off from them like from any option: that they are not wanted does
        not mean that they are not there.
        """
        layer = self.frame.cascade.layers[at]
        assert layer.units is not None
        wanted = self.wanted[layer.units.units][layer.options.unit]
        return np.asarray((wanted < 0) | (wanted == layer.options.piece))

    def _needed(self, source: int, after: int) -> bool:
        layers = (*self.frame.cascade.layers[after:], self.frame.cascade.last)
        return any(source in layer.parts for layer in layers)

    def _leave(self, at: int, nodes: Nodes) -> Iterator[Found]:
        """Cells in which every unit of the layer has one option."""
        layer = self.frame.cascade.layers[at]
        piece = self._pieces(layer, nodes.open)
        maps = {source: held for source, held in nodes.maps.items() if source != at}
        signs = {source: held for source, held in nodes.signs.items() if source != at}
        if self._needed(at, at + 1):
            maps[at], signs[at] = layer.after(nodes.maps[at], piece), layer.signs(nodes.signs[at], piece)
        yield from self._enter(
            at + 1, replace(nodes, pieces=np.concatenate([nodes.pieces, piece], axis=1), maps=maps, signs=signs)
        )

    def _pieces(self, layer: CellLayer, open_: BoolArray) -> IntArray:
        """The piece of every unit that has one option, -1 for the others."""
        assert layer.units is not None
        piece = np.full((len(open_), layer.units.size), -1)
        k, option = np.nonzero(open_)
        piece[k, layer.options.unit[option]] = layer.options.piece[option]
        return np.where(self._counts(layer, open_) == 1, piece, -1)

    # --- one step -----------------------------------------------------------------------------------------------

    def _step(self, at: int, nodes: Nodes) -> Iterator[Found]:
        layer = self.frame.cascade.layers[at]
        nodes = self._likened(layer, nodes)
        if not len(nodes):
            return
        member = self._member(layer, nodes)
        wanted = nodes.open & nodes.sought & ~member.any(axis=2)
        busy = wanted.any(axis=1)
        if busy.any():
            k = np.flatnonzero(busy)
            self.pending[at].append(self._asked(at, nodes.take(k), wanted[k]))
        rest = np.flatnonzero(~busy)
        if not rest.size:
            return
        nodes, member = nodes.take(rest), member[rest]
        split = self._counts(layer, nodes.open) > 1
        ready = ~split.any(axis=1)
        if ready.any():
            k = np.flatnonzero(ready)
            yield from self._leave(at, self._certain(at, nodes.take(k), member[k]))
        cut = np.flatnonzero(~ready)
        if cut.size:
            self.pending[at].append(self._cut(at, nodes.take(cut), member[cut], split[cut]))

    def _likened(self, layer: CellLayer, nodes: Nodes) -> Nodes:
        """Units whose edges are those of another unit follow it; what is sought of them may be gone then."""
        if not len(layer.options.like) or not self.settle.solid:
            return nodes
        mine, other = layer.options.like.T
        open_ = nodes.open.copy()
        open_[:, mine] &= nodes.open[:, other]
        # a unit that is 0 on the cell is decided by itself
        gone = (self._counts(layer, open_) == 0)[:, layer.options.unit]
        nodes = replace(nodes, open=np.where(gone, nodes.open, open_))
        return self._inhabited(layer, nodes)

    def _member(self, layer: CellLayer, nodes: Nodes) -> BoolArray:
        """Which points lie in which options: (B, O, P)."""
        y = self.points.y[np.maximum(nodes.pool, 0)]
        values = np.matmul(nodes.forms, y.transpose(0, 2, 1))
        edges = layer.options.edges
        inside = np.broadcast_to((nodes.pool >= 0)[:, None, :], (len(nodes), len(edges), nodes.pool.shape[1]))
        for column in edges.T:
            inside = inside & (values[:, column] > nodes.form_errors[:, column, None])
        return np.asarray(inside)

    def _certain(self, at: int, nodes: Nodes, member: BoolArray) -> Nodes:
        """Cells whose units all have one option, with points only that are in all of these beyond any error.

        Every option has some member, and no point is far outside of any: where none is in all, their middle is.
        """
        layer = self.frame.cascade.layers[at]
        good = np.asarray((member | ~nodes.open[:, :, None]).all(axis=1) & (nodes.pool >= 0))
        poor = np.flatnonzero(~good.any(axis=1))
        pool = nodes.pool
        if poor.size:
            some = nodes.take(poor)
            held = some.pool >= 0
            middle = np.einsum(
                "bp,bpn->bn", held / held.sum(axis=1, keepdims=True), self.points.u[np.maximum(some.pool, 0)]
            )
            pool, good = (
                wider(pool, pool.shape[1] + 1).copy(),
                np.column_stack([good, np.zeros(len(nodes), dtype=np.bool_)]),
            )
            pool[poor, -1] = self.points.add(middle, self.frame.lift(middle))
            tried = replace(some, pool=pool[poor, -1:])
            good[poor, -1] = np.asarray((self._member(layer, tried) | ~some.open[:, :, None]).all(axis=1))[:, 0]
        self.points.drop(pool[(pool >= 0) & ~good])
        order = np.argsort(~good, axis=1, kind="stable")
        pool = np.take_along_axis(np.where(good, pool, -1), order, axis=1)
        nodes = replace(nodes, pool=pool[:, : max(int(good.sum(axis=1).max(initial=0)), 1)])
        lost = ~good.any(axis=1)
        for node in np.flatnonzero(lost).tolist():
            self._doubt(at, nodes.open[node])
        return nodes.take(np.flatnonzero(~lost))

    def _asked(self, at: int, nodes: Nodes, wanted: BoolArray) -> Nodes:
        """Ask every cell about the first of its options in question, or about several where few cells wait."""
        layer = self.frame.cascade.layers[at]
        most = max(1, BATCH // len(nodes))
        k, option = np.nonzero(wanted & (np.cumsum(wanted, axis=1) <= most))
        there, absent, points = self._ask(layer, nodes, k, option)
        open_, sought = nodes.open.copy(), nodes.sought.copy()
        open_[k[absent], option[absent]] = False
        for i in np.flatnonzero(~(there | absent)).tolist():
            point = self._settled(at, nodes.take(k[[i]]), open_[k[i]] & sought[k[i]], int(option[i]))
            if point is None:
                # empty, or handled apart, or in doubt: in any case no cell of this search
                sought[k[i], option[i]] = False
            else:
                there[i], points[i] = True, point
        found = points[there]
        where = self.points.add(found, self.frame.lift(found))
        owner = k[there]
        # the place of each among the new points of its cell
        order = np.arange(owner.size) - np.searchsorted(owner, owner)
        slot = (nodes.pool >= 0).sum(axis=1)[owner] + order
        pool = wider(nodes.pool, int(slot.max(initial=-1)) + 1).copy()
        pool[owner, slot] = where
        nodes = replace(nodes, open=open_, sought=sought, pool=pool)
        return self._inhabited(layer, nodes)

    def _settled(self, at: int, node: Nodes, open_: BoolArray, option: int) -> FloatArray | None:
        """A point of one cell in an option of which `Sides` could not tell; None where there is none to go on with."""
        layer = self.frame.cascade.layers[at]
        o = layer.options
        chosen = open_ & self._allowed(at) & ((o.unit != o.unit[option]) | (np.arange(open_.size) == option))
        edges = o.edges[option][o.edges[option] < o.plus.size]
        rows = np.concatenate([node.rows[0, : node.count[0]], node.forms[0, edges]])
        errors = np.concatenate([node.errors[0, : node.count[0]], node.form_errors[0, edges]])
        answer = self.settle.ask(rows, errors, at, self._choices(at, node.pieces[0], chosen))
        self.apart += [
            Outlying(pieces, witness, float(node.weight[0]), int(node.run[0]))
            for pieces, witness in answer.apart
            if ((self.wanted < 0) | (self.wanted == pieces)).all()
        ]
        if answer.doubtful:
            self._doubt(at, chosen)
        return answer.point

    def _choices(self, at: int, pieces: IntArray, open_: BoolArray) -> list[list[int]]:
        """The pieces of every unit that are left in one cell of a layer."""
        choices = [[piece] for piece in pieces.tolist()]
        for k, layer in enumerate(self.frame.cascade.layers[at:], at):
            left = open_ if k == at else self._allowed(k)
            options = layer.options
            choices += [
                options.piece[left & (options.unit == unit)].tolist() for unit in range(int(options.unit.max()) + 1)
            ]
        return choices

    def _doubt(self, at: int, open_: BoolArray) -> None:
        """One cell stays open; it may hold as many regions as its units, and those of later layers, have options."""
        layers = self.frame.cascade.layers
        left = [self._counts(layers[at], (open_ & self._allowed(at))[None])[0]]
        for k in range(at + 1, len(layers)):
            every = np.ones((1, len(layers[k].options.unit)), dtype=np.bool_)
            left.append(self._counts(layers[k], every & self._allowed(k))[0])
        if any((part == 0).any() for part in left):
            return
        self.doubts += 1
        self.hidden += math.prod(int(n) for n in np.concatenate(left))

    def _ask(
        self, layer: CellLayer, nodes: Nodes, k: IntArray, option: IntArray
    ) -> tuple[BoolArray, BoolArray, FloatArray]:
        """Whether cell k reaches an option, edge by edge of the option: there, absent, points."""
        held = nodes.pool >= 0
        weight = held / held.sum(axis=1, keepdims=True)
        middle = np.matmul(weight[:, None, :], self.points.u[np.maximum(nodes.pool, 0)])[:, 0]
        rows, errors, points = nodes.rows[k], nodes.errors[k], middle[k]
        there, absent = np.ones(k.size, dtype=np.bool_), np.zeros(k.size, dtype=np.bool_)
        columns = layer.options.edges[option].T
        for r, edge in enumerate(columns):
            form, error = nodes.forms[k, edge], nodes.form_errors[k, edge]
            asked = np.flatnonzero(there & (edge < layer.options.plus.size))
            if asked.size:
                questions = Questions(rows[asked], errors[asked], form[asked], error[asked], points[asked])
                reply = self.sides.ask(questions)
                there[asked], absent[asked], points[asked] = reply.there, reply.absent, reply.points
            if r + 1 < len(columns):
                rows = np.concatenate([rows, form[:, None]], axis=1)
                errors = np.concatenate([errors, error[:, None]], axis=1)
        return there, absent, points

    def _cut(self, at: int, nodes: Nodes, member: BoolArray, split: BoolArray) -> Nodes:
        """Cut every cell by the first unit that has several options; those that are sought go on."""
        o = self.frame.cascade.layers[at].options
        unit = split.argmax(axis=1)
        mine = nodes.open & nodes.sought & (o.unit[None, :] == unit[:, None])
        k, option, factor = self._followed(*np.nonzero(mine))
        child = nodes.take(k)
        child = replace(child, weight=child.weight * factor)
        other = (o.unit[None, :] == unit[k][:, None]) & (np.arange(o.unit.size)[None, :] != option[:, None])
        inside = member[k, option]
        order = np.argsort(~inside, axis=1, kind="stable")
        pool = np.take_along_axis(np.where(inside, child.pool, -1), order, axis=1)
        pool = pool[:, : max(int(inside.sum(axis=1).max()), 1)]
        # a point on an edge belongs to no part
        self.points.drop(nodes.pool[(nodes.pool >= 0) & ~_any(member, k, option, len(nodes))])
        width, count = o.edges.shape[1], child.count
        rows, errors = grown(child.rows, child.errors, int(count.max()) + width, self.frame.trivial)
        rows, errors = rows.copy(), errors.copy()
        for edge in o.edges[option].T:
            some = np.flatnonzero(edge < o.plus.size)
            rows[some, count[some]] = child.forms[some, edge[some]]
            errors[some, count[some]] = child.form_errors[some, edge[some]]
            count = count + (edge < o.plus.size)
        return replace(child, rows=rows, errors=errors, count=count, open=child.open & ~other, pool=pool)

    def _followed(self, k: IntArray, option: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Which of the options of a cut (cell, option) are searched, and how many each stands for: all, for themselves.

        Args:
            k: sorted.
        """
        return k, option, np.ones(k.size)


def _any(member: BoolArray, k: IntArray, option: IntArray, count: int) -> BoolArray:
    """Which points of each cell lie in one of the options that it is cut into: (B, P)."""
    found = np.zeros((count, member.shape[2]), dtype=np.bool_)
    np.logical_or.at(found, k, member[k, option])
    return found
