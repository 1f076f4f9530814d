"""The integer program over the patterns of a network: Serra, Tjandraatmadja, Ramalingam 2018, section 5.

    max f    over inputs x of the domain, their values in all layers, and a choice of a piece for every unit,
             f <= edge(x) / width   for every edge of a chosen piece that counts

An assignment of the binaries is a pattern, and f says how far an input of it can stay from the edges. For PATTERNS the
strict edges count: active sides are open, the left piece owns its break. For ACTIVATION the others count as well where
a unit cannot be constant on a cell, because it reads the input itself. Elsewhere a unit that stays at its break would
forbid a cell with an interior, so that there the program has more assignments than there are regions; each is checked.

The width of an edge is that of its range over the domain: multiplying the weights of a unit by c > 0 and dividing those
behind it by c changes nothing. Units that proved bounds hold on one piece have no binary.

Columns and rows are scaled by powers of two, so that the tolerances of solvers mean the same for every unit. The
program can give up: `none = 1` frees it from all patterns that were cut off, at f = 0 and the value `threshold`. It
has a point whatever was cut off, so that "no pattern is left" is a bound of it, and never the word "infeasible".
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray, Matrix, Rows
from reludsl.bounds import Bounds
from reludsl.expr import Application, Expr, Input, NodeVariable
from reludsl.formulate import Compiled, compile_program
from reludsl.layers import AffineLayer
from reludsl.network import INPUT, Network
from reludsl.passes import big_m, prune, substitute
from reludsl.passes.big_m import switch_columns
from reludsl.program import Columns, Disjunctions, Program, RowBlock
from reludsl.regions.definition import Definition
from reludsl.regions.edges import UnitLayer, unit_layers
from reludsl.regions.scaling import TINY, power_near, scale_of, scaled, sizes_of
from reludsl.solve import TOLERANCE

THRESHOLD = 10.0
"""The least f that is looked for, in tolerances: more than what a solver takes for 0."""

SLACK, NONE = "regions slack", "regions none"
"""Names of the two columns that belong to no layer; those of layers hold no blank."""

HAIR = 1e-9
"""What the H constant of a slack row is enlarged by, for its rounding."""

LARGEST = 50_000_000
"""Coefficients of units over the input beyond which nobody looks whether they are constant."""


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """The pieces that are open, by unit and then by piece, shapes (c,).

    Whether one is not made is `constant + coefficient * x[column]`: 0 for the choice that is made, else 1.
    """

    unit: IntArray
    piece: IntArray
    column: IntArray
    coefficient: FloatArray
    constant: FloatArray

    @property
    def place(self) -> dict[tuple[int, int], int]:
        """Where the choice of a piece by a unit stands."""
        return {(u, p): k for k, (u, p) in enumerate(zip(self.unit.tolist(), self.piece.tolist()))}


@dataclass(frozen=True, slots=True, eq=False)
class PatternProgram:
    """The program, and what its columns mean.

    Args:
        program: lowered, without an objective.
        settled: (units,) the piece of each unit that bounds hold on one, else -1.
        slack, none: the columns f and `none`.
        scale: of the columns: a point of the program is `scale * x` for the x of the matrix, 1 for integer columns.
        threshold: the least f that is looked for.
        absolute: whether f is in the unit of the pre-activations, and not relative to the range of each edge.
        inputs: where the network's input stands among the original columns.
    """

    program: Program
    choices: Choices
    settled: IntArray
    slack: int
    none: int
    scale: FloatArray
    threshold: float
    absolute: bool
    inputs: slice

    @classmethod
    def of(
        cls, bounds: Bounds, definition: Definition, min_slack: float = 0.0, tolerance: float = TOLERANCE
    ) -> PatternProgram:
        """The program of a network on a domain, its constants from proved bounds.

        Args:
            min_slack: count f in the unit of the pre-activations, and look for as much as this (Serra et al. look for
                more than their solver's tolerance); 0 for relative widths.
            tolerance: of the solver that gets the program; what is looked for is well above it.

        >>> from reludsl.bounds import interval
        >>> from reludsl.domain import Box
        >>> from reludsl.layers import Affine, relu
        >>> net = Network.chain([Affine(np.array([[1.0], [1.0]]), np.array([0.0, 3.0])), relu], (1,))
        >>> program = PatternProgram.of(interval(net, Box([-1.0], [1.0])), Definition.PATTERNS)
        >>> program.binaries.size, program.settled.tolist(), program.most
        (1, [-1, 1], 2)
        """
        network = bounds.network
        application = Application(network, Input(bounds.domain))
        layers = unit_layers(network)
        values = [Expr.of(NodeVariable(application, layer.node.name)) for layer in layers]
        compiled = compile_program([application.argument, *values], {network: bounds})
        possible = [layer.possible(bounds) for layer in layers]
        open_ = [p & (p.sum(axis=1) > 1)[:, None] for p in possible]
        groups = [_group(compiled, application, layer) for layer in layers]
        held = [group.keep_branches((p & ~o).ravel()) for group, p, o in zip(groups, possible, open_)]
        chosen = [group.keep_branches(o.ravel()) for group, o in zip(groups, open_)]
        plain = prune(replace(compiled.program, disjunctions=tuple(g for g in held if g.size)))
        lowered = big_m(replace(plain, disjunctions=tuple(g for g in chosen if g.size)))
        choices = _choices(lowered, layers, open_, chosen)
        safe = _never_constant(network, layers, bounds) if definition is Definition.ACTIVATION else [None] * len(layers)
        parts = [
            _Part.of(compiled, application, bounds, layer, o, s, min_slack) for layer, o, s in zip(layers, open_, safe)
        ]
        largest = max([float(part.high.max(initial=0.0)) for part in parts], default=0.0)
        wide = _with_slack(lowered, choices, layers, parts, 1.0 if min_slack == 0 else max(largest, 2 * min_slack))
        used = np.ones(wide.size, dtype=np.bool_)
        for part in parts:
            used[part.arguments] = False
        program = substitute(wide, used)
        scale = scale_of(program, sizes_of(compiled, application, bounds))
        scale[program.where(SLACK)] = power_near(program.upper[program.where(SLACK)])
        settled = np.concatenate([np.zeros(0, dtype=np.int64), *map(_settled, possible)])
        return cls(
            program,
            _choices(program, layers, open_, chosen),
            settled,
            program.where(SLACK).start,
            program.where(NONE).start,
            scale,
            min_slack or THRESHOLD * tolerance,
            min_slack > 0,
            compiled.position[next(iter(application.argument.terms))],
        )

    @property
    def binaries(self) -> IntArray:
        """(b,) the columns of the choices: what a pattern is in the program."""
        return np.unique(self.choices.column)

    @property
    def most(self) -> int:
        """The product of the open pieces: no network has more patterns with these bounds."""
        total = 1
        for count in np.unique(self.choices.unit, return_counts=True)[1].tolist():
            total *= count
        return total

    @property
    def looked_for(self) -> str:
        """Which patterns a search of the program finds, for people."""
        kind = "in the unit of the pre-activations" if self.absolute else "of the range of each unit"
        return f"with a slack above {self.threshold:g} {kind}"

    def matrix(self) -> Matrix:
        """What a solver takes: columns within [-2, 2], and the largest number of every row about 1."""
        return scaled(self.program, self.scale)

    @property
    def objective(self) -> tuple[IntArray, FloatArray]:
        """Columns and coefficients of f + threshold none, over the columns of the matrix; to be maximised."""
        return np.array([self.slack, self.none]), np.array([self.scale[self.slack], self.threshold])

    def missed(self, x: FloatArray) -> FloatArray:
        """1 - chosen for every choice, as a point of the matrix has it: (c,)."""
        return self.choices.constant + self.choices.coefficient * x[self.choices.column]

    def claims(self, x: FloatArray) -> bool:
        """Whether a point of the matrix claims a pattern, rather than giving up."""
        return bool(x[self.none] < 0.5 and self.scale[self.slack] * x[self.slack] > 0.5 * self.threshold)

    def pattern_of(self, x: FloatArray) -> IntArray:
        """The pattern that the binaries of a point of the matrix say: (units,)."""
        pattern = self.settled.copy()
        on = self.missed(x) < 0.5
        pattern[self.choices.unit[on]] = self.choices.piece[on]
        return pattern

    def input_of(self, x: FloatArray) -> FloatArray:
        """The network's input at a point of the matrix: (input_size,)."""
        return self.program.original(self.scale * x)[self.inputs]

    def _made(self, patterns: IntArray) -> BoolArray:
        """(m, c) which choices some patterns make."""
        return np.asarray(patterns[:, self.choices.unit] == self.choices.piece)

    def bits(self, patterns: IntArray) -> BoolArray:
        """The binaries of some patterns: (m, units) -> (m, b)."""
        made = self._made(patterns)
        out = np.zeros((len(patterns), self.binaries.size), dtype=np.bool_)
        place = np.searchsorted(self.binaries, self.choices.column)
        # of two branches one column stands for the second, and is 1 where that is chosen
        ones = self.choices.coefficient < 0
        for k in np.flatnonzero(ones).tolist():
            out[:, place[k]] |= made[:, k]
        return out

    def cut(self, patterns: IntArray) -> Rows:
        """Rows that cut some patterns off, unless the program gives up: sum of 1 - chosen + none >= 1.

        Args:
            patterns: (m, units), of which those units count that are not settled.
        """
        made = self._made(patterns)
        which, choice = np.nonzero(made)
        row = np.concatenate([which, np.arange(len(patterns))])
        column = np.concatenate([self.choices.column[choice], np.full(len(patterns), self.none)])
        value = np.concatenate([self.choices.coefficient[choice], np.ones(len(patterns))])
        matrix = sparse.csr_array((value, (row, column)), shape=(len(patterns), self.program.size))
        side = 1.0 - made @ self.choices.constant
        return Rows(matrix, side, np.full(len(patterns), np.inf))


def _settled(possible: BoolArray) -> IntArray:
    return np.where(possible.sum(axis=1) == 1, possible.argmax(axis=1), -1)


def _group(compiled: Compiled, application: Application, layer: UnitLayer) -> Disjunctions:
    """The disjunctions that choose the pieces of a layer: one for each unit, a branch for each piece, in order."""
    where = compiled.position[NodeVariable(application, layer.node.name)]
    for group in compiled.program.disjunctions:
        if group.size == layer.size and (group.defines == np.arange(where.start, where.stop)).all():
            return group
    raise AssertionError(f"the program has no choice of pieces for {layer.node.name}")


def _choices(
    program: Program, layers: tuple[UnitLayer, ...], open_: list[BoolArray], groups: list[Disjunctions]
) -> Choices:
    """The open pieces in a program whose columns hold the binaries of these groups."""
    parts: list[tuple[IntArray, ...]] = [(np.zeros(0, dtype=np.int64),) * 3]
    signs: list[tuple[FloatArray, FloatArray]] = [(np.zeros(0), np.zeros(0))]
    for layer, o, group in zip(layers, open_, groups):
        if not group.size:
            continue
        unit, piece = np.nonzero(o)
        switches = switch_columns(group, program.where(f"{group.name}.on").start)
        parts.append((layer.start + unit, piece, switches.column))
        signs.append((switches.coefficient, switches.constant))
    unit, piece, column = (np.concatenate(a) for a in zip(*parts))
    coefficient, constant = (np.concatenate(a) for a in zip(*signs))
    return Choices(unit, piece, column, coefficient, constant)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The edges of a layer that limit f: `rows @ columns + offset >= f` where unit[k] is on piece[k].

    Args:
        low, high: (e,) range of each edge.
        arguments: columns that the open units read.
    """

    unit: IntArray
    piece: IntArray
    rows: sparse.csr_array
    offset: FloatArray
    low: FloatArray
    high: FloatArray
    arguments: IntArray

    @classmethod
    def of(
        cls,
        compiled: Compiled,
        application: Application,
        bounds: Bounds,
        layer: UnitLayer,
        open_: BoolArray,
        safe: BoolArray | None,
        min_slack: float,
    ) -> _Part:
        edges = layer.edges
        mine = edges.take(open_[edges.unit, edges.piece])
        ends = [
            application.argument if source == INPUT else Expr.of(NodeVariable(application, source))
            for source in layer.node.sources
        ]
        rows = _over_columns(compiled, Expr.stack(ends).mapped(mine.rows))
        box = bounds.network.around(layer.node, bounds.boxes)
        low, high = mine.range(box.lower, box.upper)
        counted = mine.strict.copy() if safe is None else mine.strict | safe[open_[edges.unit, edges.piece]]
        counted &= high - low > TINY
        width = (high - low if min_slack == 0 else np.ones_like(low))[counted]
        scaled = sparse.csr_array(sparse.diags_array(1.0 / width) @ rows[counted])
        return cls(
            layer.start + mine.unit[counted],
            mine.piece[counted],
            scaled,
            mine.offset[counted] / width,
            low[counted] / width,
            high[counted] / width,
            np.unique(rows.indices),
        )


def _over_columns(compiled: Compiled, expr: Expr) -> sparse.csr_array:
    total = sparse.csr_array((expr.size, compiled.program.size))
    for variable, matrix in expr.terms.items():
        start = compiled.position[variable].start
        total = total + sparse.csr_array((matrix.data, matrix.indices + start, matrix.indptr), shape=total.shape)
    return sparse.csr_array(total)


def _with_slack(
    lowered: Program, choices: Choices, layers: tuple[UnitLayer, ...], parts: list[_Part], cap: float
) -> Program:
    """The program with f <= cap and `none`, and the rows that tie f to the edges of the chosen pieces."""
    zero = np.zeros(1)
    wide = lowered.with_columns(
        Columns(SLACK, zero, np.full(1, cap), np.zeros(1, dtype=np.bool_)),
        Columns(NONE, zero, np.ones(1), np.ones(1, dtype=np.bool_)),
    )
    slack, none, size = wide.size - 2, wide.size - 1, wide.size
    place = choices.place
    blocks = []
    for layer, part in zip(layers, parts):
        count = part.unit.size
        if not count:
            continue
        at = np.array([place[key] for key in zip(part.unit.tolist(), part.piece.tolist())], dtype=np.int64)
        free = np.maximum(cap - part.low, 0.0) * (1.0 + HAIR) + HAIR
        every = np.arange(count)
        own = sparse.csr_array(
            (
                np.concatenate([-np.ones(count), free * choices.coefficient[at]]),
                (np.concatenate([every, every]), np.concatenate([np.full(count, slack), choices.column[at]])),
            ),
            shape=(count, size),
        )
        padded = sparse.csr_array((part.rows.data, part.rows.indices, part.rows.indptr), shape=(count, size))
        side = -part.offset - free * choices.constant[at]
        blocks.append(
            RowBlock(
                f"{layer.node.name} slack",
                sparse.csr_array(padded + own),
                side,
                np.full(count, np.inf),
                np.full(count, -1, dtype=np.int64),
            )
        )
    either = sparse.csr_array(([1.0, cap], ([0, 0], [slack, none])), shape=(1, size))
    blocks.append(RowBlock(NONE, either, np.full(1, -np.inf), np.full(1, cap), np.full(1, -1, dtype=np.int64)))
    return replace(wide, rows=(*wide.rows, *blocks))


def _never_constant(network: Network, layers: tuple[UnitLayer, ...], bounds: Bounds) -> list[BoolArray]:
    """Per layer, the edges of units that read the input through affine layers alone, and are not constant there.

    A coefficient that is larger than what rounding may have made of it is not 0.
    """
    n = network.input_size
    box = bounds.domain.enclosure
    free = box.lower < box.upper
    known: dict[str, tuple[FloatArray, FloatArray]] = {INPUT: (np.eye(n), np.eye(n))}
    for node in network.cone(network.output):
        if isinstance(node.layer, AffineLayer) and all(source in known for source in node.sources):
            slopes, sizes = (np.concatenate(p, axis=1) for p in zip(*(known[source] for source in node.sources)))
            if n * network.size(node.name) <= LARGEST:
                known[node.name] = node.layer.apply(slopes), node.layer.absolute(sizes)
    answer = []
    for layer in layers:
        rows = layer.edges.rows
        if not all(source in known for source in layer.node.sources):
            answer.append(np.zeros(layer.edges.size, dtype=np.bool_))
            continue
        slopes, sizes = (np.concatenate(p, axis=1) for p in zip(*(known[s] for s in layer.node.sources)))
        moved, size = np.abs(rows @ slopes.T), abs(rows) @ sizes.T
        answer.append(np.asarray((moved > HAIR * size)[:, free].any(axis=1)))
    return answer
