"""Random questions over small dyadic networks, and their exact answers: every activation pattern, in rationals.

A `World` holds inputs, networks and what they are applied to: inputs, affine images of inputs, other networks' outputs.
`greatest` and `satisfiable` visit every combination of pieces that the domain allows, in each of which all expressions
are affine, and solve one rational linear program per conjunction of the condition. They share no code with bounds,
cases, programs or passes; what they need of a network is its layers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.domain import Ball, Box, Norm, Polytope
from reludsl.exact import ExactArray, exactly
from reludsl.exact_lp import ExactLP, solve_exact
from reludsl.expr import Application, Expr, Input, InputVariable, NodeVariable, Variable
from reludsl.functions import absolute
from reludsl.layers import Activation, Affine, Layer, PiecewiseLinear, relu
from reludsl.logic import All, AnyOf, Atoms, Condition, all_of, any_of
from reludsl.network import INPUT, Network, Node

Pick = Callable[[int, int], int]
"""pick(low, high): an integer between the two."""

Form = tuple[tuple[Fraction, ...], Fraction]
"""An affine function of all coordinates: coefficients and constant."""

Row = tuple[list[Fraction], Fraction]
"""coefficients . x <= side."""

Point = Mapping[InputVariable, FloatArray]
"""A value for every input."""

REACH = Fraction(10**6)
"""No slack in these tests is larger."""


def picker(rng: np.random.Generator) -> Pick:
    """Integers from a random generator."""
    return lambda low, high: int(rng.integers(low, high + 1))


@dataclass(frozen=True, eq=False)
class World:
    """Inputs, and vectors of expressions to compare."""

    inputs: tuple[Input, ...]
    vectors: tuple[Expr, ...]

    def element(self, pick: Pick) -> Expr:
        """A small combination of elements of one or two vectors."""
        total = None
        for _ in range(pick(1, 2)):
            vector = self.vectors[pick(0, len(self.vectors) - 1)]
            part = vector[pick(0, vector.size - 1)] * (1.0, -1.0, 0.5, 2.0)[pick(0, 3)]
            total = part if total is None else total + part
        assert total is not None
        return total + pick(-8, 8) / 8

    def atoms(self, pick: Pick) -> Condition:
        """A comparison: of one element, of a vector everywhere or somewhere, an equation, or of an input alone."""
        kind, other = pick(0, 9), pick(-8, 8) / 8
        vector = self.vectors[pick(0, len(self.vectors) - 1)]
        point = self.inputs[pick(0, len(self.inputs) - 1)]
        match kind:
            case 0:
                return vector <= other
            case 1:
                return ~(vector < other)
            case 2:
                return self.element(pick) == other
            case 3:
                return point[pick(0, point.size - 1)] * (1.0, -1.0, 3.0)[pick(0, 2)] <= other
            case 4:
                return point[pick(0, point.size - 1)] > other
            case 5:
                relation: Expr = np.array([[pick(-4, 4) / 4 for _ in range(point.size)]]) @ point
                return relation <= other
            case 6:
                return self.element(pick) != other
            case _:
                e = self.element(pick)
                return e <= 0 if pick(0, 1) else e > 0

    def condition(self, pick: Pick, depth: int = 2) -> Condition:
        """Comparisons joined by and, or, not."""
        if depth == 0 or pick(0, 2) == 0:
            return self.atoms(pick)
        parts = [self.condition(pick, depth - 1) for _ in range(pick(2, 3 if depth == 1 else 2))]
        joined = all_of(parts) if pick(0, 1) else any_of(parts)
        return ~joined if pick(0, 3) == 0 else joined


def dyadic(pick: Pick, size: int, most: int = 8) -> FloatArray:
    """k / 8."""
    return np.array([pick(-most, most) / 8 for _ in range(size)])


def network(pick: Pick, inputs: int, units: int) -> Network:
    """A chain with at most so many hidden neurons; at times the activation takes the input itself."""
    act = (relu, relu, relu, PiecewiseLinear("hard", (-0.5, 0.5), (0, 1, 0), (0, 0)), absolute_layer())[pick(0, 4)]
    layers: list[Layer] = []
    size = inputs
    if pick(0, 5) == 0 and inputs <= units:
        layers.append(act)
        units -= inputs
    while units > 0 and (not layers or pick(0, 1)):
        width = pick(1, min(units, 2))
        layers += [Affine(dyadic(pick, width * size, 12).reshape(width, size), dyadic(pick, width)), act]
        units, size = units - width, width
    outputs = pick(1, 2)
    layers.append(Affine(dyadic(pick, outputs * size, 12).reshape(outputs, size), dyadic(pick, outputs)))
    return Network.chain(layers, (inputs,))


def absolute_layer() -> PiecewiseLinear:
    """|z|."""
    return PiecewiseLinear("absolute", (0,), (-1, 1))


def domain(pick: Pick, size: int) -> Box | Ball | Polytope:
    """Mostly boxes, a side without length at times; balls and polytopes."""
    low = dyadic(pick, size)
    wide = np.array([pick(0, 16) / 8 for _ in range(size)])
    kind = pick(0, 7)
    if kind == 0:
        return Ball(low, pick(1, 8) / 8, Norm.L1)
    if kind == 1:
        return Ball(low, pick(1, 8) / 8, Norm.LINF)
    if kind == 2:
        row = dyadic(pick, size)
        if row.any():
            box = Box(low, low + wide + 0.25)
            return Polytope(row[None, :], np.array([row @ (low + 0.5 * (wide + 0.25))]) + 0.125, box)
    return Box(low, low + wide)


def world(pick: Pick, units: int = 4, inputs: int = 2) -> World:
    """One or two inputs of one or two coordinates, one to three applications of one or two networks."""
    points = tuple(Input(domain(pick, pick(1, 2)), name) for name in "xw"[: pick(1, inputs)])
    vectors: list[Expr] = list(points)
    left = units
    nets: list[Network] = []
    for _ in range(pick(1, 3)):
        source = vectors[pick(0, len(vectors) - 1)]
        if pick(0, 2) == 0:
            rows = pick(1, 2)
            source = dyadic(pick, rows * source.size).reshape(rows, source.size) @ source + dyadic(pick, rows)
        known = [n for n in nets if n.input_size == source.size and n.neurons <= left]
        net = known[0] if known and pick(0, 1) else network(pick, source.size, min(left, 3))
        if net.neurons > left:
            continue
        left -= net.neurons
        nets.append(net)
        trace = net.trace(source)
        vectors.append(trace.output)
        if trace.pre and pick(0, 1):
            vectors.append((trace.pre if pick(0, 1) else trace.post)[0])
    if left >= 1 and pick(0, 3) == 0:
        point = points[0]
        vectors.append(absolute(point[0] - pick(-4, 4) / 8))
    return World(points, tuple(vectors))


def seeds() -> st.SearchStrategy[int]:
    """What `question` is made from: one integer, because drawing a world piece by piece takes longer than its tests."""
    return st.integers(0, 2**32 - 1)


def question(seed: int, units: int = 4, depth: int = 2) -> tuple[World, Condition, Condition, Pick]:
    """A world, two conditions over it, the second one small, and more integers."""
    pick = picker(np.random.default_rng(seed))
    where = world(pick, units)
    return where, where.condition(pick, depth), where.condition(pick, 1), pick


class _Cells:
    """Every combination of pieces that the domains allow, with the affine form of every variable there."""

    def __init__(self, conditions: list[Condition], exprs: list[Expr]) -> None:
        self.inputs: dict[InputVariable, int] = {}
        self.applications: dict[Application, set[str]] = {}
        for expr in [*exprs, *(a.expr for c in conditions for a in c.atoms)]:
            self._visit(expr)
        self.width = sum(v.size for v in self.inputs)
        self.lower: list[Fraction] = []
        self.upper: list[Fraction] = []
        self.rows: list[Row] = []
        for variable, start in self.inputs.items():
            self._domain(variable, start)

    def _visit(self, expr: Expr) -> None:
        for variable in expr.terms:
            if isinstance(variable, InputVariable):
                self.inputs.setdefault(variable, sum(v.size for v in self.inputs))
            else:
                assert isinstance(variable, NodeVariable)
                self._visit(variable.application.argument)
                self.applications.setdefault(variable.application, set()).add(variable.node)

    def _domain(self, variable: InputVariable, start: int) -> None:
        match variable.domain:
            case Box() as box:
                self.lower += [Fraction(v) for v in box.lower.tolist()]
                self.upper += [Fraction(v) for v in box.upper.tolist()]
            case Polytope() as poly:
                self.lower += [Fraction(v) for v in poly.box.lower.tolist()]
                self.upper += [Fraction(v) for v in poly.box.upper.tolist()]
                for row, limit in zip(poly.matrix.tolist(), poly.limit.tolist()):
                    self._row(start, [Fraction(a) for a in row], Fraction(limit))
            case Ball() as ball:
                centre, radius = [Fraction(c) for c in ball.center.tolist()], Fraction(ball.radius)
                self.lower += [c - radius for c in centre]
                self.upper += [c + radius for c in centre]
                if ball.norm is Norm.L1:
                    for signs in itertools.product((1, -1), repeat=len(centre)):
                        side = radius + sum((s * c for s, c in zip(signs, centre)), Fraction(0))
                        self._row(start, [Fraction(s) for s in signs], side)
            case other:
                raise AssertionError(other)

    def _row(self, start: int, row: list[Fraction], limit: Fraction) -> None:
        whole = [Fraction(0)] * self.width
        whole[start : start + len(row)] = row
        self.rows.append((whole, limit))

    def __iter__(self) -> Iterator[_Cell]:
        forms: dict[Variable, list[Form]] = {}
        for variable, start in self.inputs.items():
            unit = [[Fraction(int(i == start + k)) for i in range(self.width)] for k in range(variable.size)]
            forms[variable] = [(tuple(row), Fraction(0)) for row in unit]
        yield from self._applied(list(self.applications), forms, self.rows)

    def _applied(self, left: list[Application], forms: dict[Variable, list[Form]], rows: list[Row]) -> Iterator[_Cell]:
        if not left:
            yield _Cell(self, forms, rows)
            return
        application = left[0]
        network = application.network
        held = {INPUT: over(application.argument, forms)}
        for inner, more in self._layers(network, list(network.cone(self.applications[application])), held, rows):
            known = dict(forms)
            known.update({NodeVariable(application, n): inner[n] for n in self.applications[application]})
            yield from self._applied(left[1:], known, more)

    def _layers(
        self,
        network: Network,
        nodes: list[Node],
        held: Mapping[str, list[Form]],
        rows: list[Row],
    ) -> Iterator[tuple[Mapping[str, list[Form]], list[Row]]]:
        if not nodes:
            yield held, rows
            return
        node = nodes[0]
        z = held[node.source]
        if isinstance(node.layer, Affine):
            weight, bias = node.layer.dense.tolist(), node.layer.bias.tolist()
            new = [combined(row, z, Fraction(b)) for row, b in zip(weight, bias)]
            yield from self._layers(network, nodes[1:], {**held, node.name: new}, rows)
            return
        assert isinstance(node.layer, Activation)
        edges = [None, *map(Fraction, node.layer.breaks), None]
        slopes = [Fraction(s) for s in node.layer.slopes]
        intercepts = [Fraction(c) for c in node.layer.intercepts]

        def chosen(k: int, y: list[Form], rows: list[Row]) -> Iterator[tuple[Mapping[str, list[Form]], list[Row]]]:
            if k == len(z):
                yield from self._layers(network, nodes[1:], {**held, node.name: y}, rows)
                return
            a, c = z[k]
            for p, slope in enumerate(slopes):
                more = list(rows)
                low, high = edges[p], edges[p + 1]
                if low is not None:
                    more.append(([-v for v in a], c - low))
                if high is not None:
                    more.append((list(a), high - c))
                if self.solve([Fraction(0)] * self.width, more) is not None:
                    form = tuple(slope * v for v in a), slope * c + intercepts[p]
                    yield from chosen(k + 1, [*y, form], more)

        yield from chosen(0, [], rows)

    def solve(self, cost: list[Fraction], rows: list[Row]) -> Fraction | None:
        """The largest value of a linear function; None where nothing is feasible."""
        extra = len(cost) - self.width
        program = ExactLP(
            [-c for c in cost],
            [r + [Fraction(0)] * (len(cost) - len(r)) for r, _ in rows],
            [None] * len(rows),
            [s for _, s in rows],
            [*self.lower, *([-REACH] * extra)],
            [*self.upper, *([REACH] * extra)],
        )
        found = solve_exact(program).objective
        return None if found is None else -found


@dataclass(frozen=True, eq=False)
class _Cell:
    cells: _Cells
    forms: dict[Variable, list[Form]]
    rows: list[Row]

    def largest_t(self, parts: tuple[tuple[Form, bool], ...], every: bool) -> Fraction | None:
        """max t with e + t <= 0 for each part (for the strict ones alone unless `every`), e <= 0 for the others."""
        width = self.cells.width
        rows = [([*a, Fraction(1 if every or strict else 0)], -c) for (a, c), strict in parts]
        rows += [([*r, Fraction(0)], s) for r, s in self.rows]
        return self.cells.solve([Fraction(0)] * width + [Fraction(1)], rows)

    def largest(self, form: Form, parts: tuple[tuple[Form, bool], ...]) -> Fraction | None:
        """The largest value where all parts hold, closed."""
        rows = [(list(a), -c) for (a, c), _ in parts] + self.rows
        found = self.cells.solve(list(form[0]), rows)
        return None if found is None else found + form[1]


def over(expr: Expr, forms: Mapping[Variable, list[Form]]) -> list[Form]:
    """The elements of an expression as affine functions of the coordinates."""
    width = len(next(iter(forms.values()))[0][0])
    totals = [([Fraction(0)] * width, Fraction(c)) for c in expr.constant.tolist()]
    for variable, matrix in expr.terms.items():
        dense = matrix.toarray().tolist()
        for k, row in enumerate(dense):
            a, c = combined(row, forms[variable], totals[k][1])
            totals[k] = ([x + y for x, y in zip(totals[k][0], a)], c)
    return [(tuple(a), c) for a, c in totals]


def combined(row: list[float], forms: list[Form], constant: Fraction) -> Form:
    """sum_k row_k form_k + constant."""
    width = len(forms[0][0]) if forms else 0
    a, c = [Fraction(0)] * width, constant
    for weight, (inner, offset) in zip(row, forms):
        if weight:
            w = Fraction(weight)
            a = [x + w * y for x, y in zip(a, inner)]
            c += w * offset
    return tuple(a), c


def conjunctions(condition: Condition, forms: Mapping[Variable, list[Form]]) -> Iterator[tuple[tuple[Form, bool], ...]]:
    """The condition as a disjunction of conjunctions of comparisons, each with whether it is strict."""
    match condition:
        case Atoms():
            rows = [(form, condition.strict) for form in over(condition.expr, forms)]
            yield from [tuple(rows)] if condition.every else [(row,) for row in rows]
        case AnyOf():
            for part in condition.parts:
                yield from conjunctions(part, forms)
        case All():
            for chosen in itertools.product(*(list(conjunctions(p, forms)) for p in condition.parts)):
                yield tuple(itertools.chain(*chosen))
        case _:
            raise AssertionError(condition)


def value_at(expr: Expr, point: Point) -> ExactArray:
    """The value of an expression at a point, in rationals."""
    total = exactly(expr.constant)
    for variable, matrix in expr.terms.items():
        if isinstance(variable, InputVariable):
            inner = exactly(point[variable])
        else:
            assert isinstance(variable, NodeVariable)
            application = variable.application
            argument = value_at(application.argument, point)
            inner = application.network.exact_values(argument, variable.node)[variable.node]
        total = total + exactly(matrix.toarray()) @ inner
    return total


def slack_at(condition: Condition, point: Point) -> Fraction:
    """The slack of a condition at a point."""
    match condition:
        case Atoms():
            below: list[Fraction] = [-v for v in value_at(condition.expr, point)]
            return min(below) if condition.every else max(below)
        case All():
            return min(slack_at(p, point) for p in condition.parts)
        case AnyOf():
            return max(slack_at(p, point) for p in condition.parts)
        case _:
            raise AssertionError(condition)


def true_at(condition: Condition, point: Point) -> bool:
    """Whether a condition holds at a point, strictness exact; the domains are not looked at."""
    match condition:
        case Atoms():
            held = [v < 0 if condition.strict else v <= 0 for v in value_at(condition.expr, point)]
            return all(held) if condition.every else any(held)
        case All():
            return all(true_at(p, point) for p in condition.parts)
        case AnyOf():
            return any(true_at(p, point) for p in condition.parts)
        case _:
            raise AssertionError(condition)


def points_of(where: World, pick: Pick, count: int) -> list[dict[InputVariable, FloatArray]]:
    """Points of the domains: multiples of 1/8 where those are inside, so that edges are met."""
    found = []
    for _ in range(count):
        point = {}
        for v in (x.variable for x in where.inputs):
            low, high = v.domain.enclosure.lower, v.domain.enclosure.upper
            steps = [pick(0, round(8 * float(b - a))) for a, b in zip(low, high)]
            x = low + np.array(steps) / 8
            point[v] = x if v.domain.contains(x[None])[0] else v.domain.project(x[None])[0]
        found.append(point)
    return found


def satisfiable(condition: Condition) -> bool:
    """Whether any input satisfies a condition, strictness exact."""
    for cell in _Cells([condition], []):
        for parts in conjunctions(condition, cell.forms):
            most = cell.largest_t(parts, every=False)
            if most is not None and (most > 0 or not any(strict for _, strict in parts)):
                return True
    return False


def greatest(condition: Condition) -> Fraction:
    """The largest slack of a condition over the domains."""
    found = [
        cell.largest_t(parts, every=True)
        for cell in _Cells([condition], [])
        for parts in conjunctions(condition, cell.forms)
    ]
    return max((v for v in found if v is not None), default=-REACH)


def largest(expr: Expr, given: Condition) -> Fraction | None:
    """The largest value of an expression of size 1 where a condition holds, closed; None where it holds nowhere."""
    found = [
        cell.largest(over(expr, cell.forms)[0], parts)
        for cell in _Cells([given], [expr])
        for parts in conjunctions(given, cell.forms)
    ]
    return max((v for v in found if v is not None), default=None)
