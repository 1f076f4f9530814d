"""From expressions to a program: trace the networks that the expressions mention, one block per layer.

Only what the expressions depend on is compiled: the cone of a neuron in layer 2 holds nothing of layer 3.
Each needed stage becomes

    rows           z - W h = b        defines z, the pre-activation: a dense row stands here once
    disjunctions   y = f(z)           one branch per piece, derived from the activation's declaration
    whatever a layer of another kind, or the user for it, says: `Encoding`

with the bounds of `reludsl.bounds` as column bounds. H constants are not made here: lowering a disjunction
derives them (`reludsl.passes.big_m`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.affine_step import affine_step
from reludsl.backend import FloatArray, IntArray
from reludsl.bounds import Bounds, crown, expression_upper
from reludsl.conditions import Place, lower_choice, lower_condition, slack_range
from reludsl.domain import Box, Domain
from reludsl.errors import InvalidInput
from reludsl.expr import (
    Application,
    AuxiliaryVariable,
    Expr,
    InputVariable,
    NodeVariable,
    SlackVariable,
    Variable,
)
from reludsl.layers import Activation, AffineLayer, NonlinearLayer, elementwise
from reludsl.logic import ALWAYS, Condition
from reludsl.network import INPUT, Network, Node
from reludsl.passes import Encodings
from reludsl.program import Columns, Disjunctions, Program, RowBlock, activity

Known = Mapping[Network, Bounds] | Mapping[Application, Bounds]
"""Proved bounds: of a network, used where its domain is the one at hand, or of one application of it."""


@dataclass(frozen=True, eq=False)
class Compiled:
    """A program, where the variables of the expressions stand in its original columns, and the bounds behind it."""

    program: Program
    position: Mapping[Variable, slice]
    bounds: Mapping[Application, Bounds] = field(default_factory=dict)

    def row(self, expr: Expr) -> tuple[IntArray, FloatArray, float]:
        """An expression of size 1 as coefficients over the original columns: (index, value, offset).

        Raises:
            InvalidInput: more than one element.
        """
        if expr.size != 1:
            raise InvalidInput(f"an objective has {expr.size} elements; take one, e.g. expression[0], or .sum()")
        index: list[IntArray] = [np.zeros(0, dtype=np.int64)]
        value: list[FloatArray] = [np.zeros(0)]
        for variable, matrix in expr.terms.items():
            if variable not in self.position:
                raise InvalidInput(
                    f"the expression mentions {variable.name!r}, which the session was not opened with; open it with "
                    "every expression that is asked about"
                )
            start = self.position[variable].start
            index.append(matrix.indices.astype(np.int64) + start)
            value.append(matrix.data)
        return np.concatenate(index), np.concatenate(value), float(expr.constant[0])

    def inputs(self, x: FloatArray) -> dict[InputVariable, FloatArray]:
        """The input variables' part of a point over the original columns."""
        return {v: x[where] for v, where in self.position.items() if isinstance(v, InputVariable)}


def disjunction(name: str, activation: Activation, box: Box, z: IntArray, y: IntArray, width: int) -> Disjunctions:
    """y_i = f(z_i) as one branch per piece: y - s_p z = c_p, and b_p <= z <= b_{p+1} where needed.

    Where f is convex or concave, y - s_p z = c_p holds on piece p alone, so that the edges say nothing new.
    The reach of y - s_p z is [min, max] of f(z) - s_p z over the interval: the H constants, for any f.

    Args:
        z, y: positions of the columns, shape (n,); width: number of columns of the program.
    """
    n = z.size
    slopes, intercepts, slacks = (
        activation.slopes_at(n),
        activation.intercepts_at(n),
        activation.intercept_errors_at(n),
    )
    pieces = len(slopes)
    edged = pieces > 1 and not (activation.convex or activation.concave)
    rows_per_branch = 2 if edged else 1
    shape = (n, pieces, rows_per_branch)
    lower, upper = np.zeros(shape), np.zeros(shape)
    reach_lower, reach_upper = np.zeros(shape), np.zeros(shape)
    held = activation.held_piece(box)
    coefficient = np.zeros((n, pieces, rows_per_branch, 2))
    edges = np.vstack([np.full(n, -np.inf), activation.breaks_at(n), np.full(n, np.inf)])
    for p in range(pieces):
        slope, intercept, slack = slopes[p], intercepts[p], slacks[p]
        least, most = activation.deviation(box, slope)
        coefficient[:, p, 0] = np.stack([-slope, np.ones(n)], axis=1)
        lower[:, p, 0], upper[:, p, 0] = intercept - slack, intercept + slack
        reach_lower[:, p, 0] = np.where(held == p, intercept - slack, least)
        reach_upper[:, p, 0] = np.where(held == p, intercept + slack, most)
        if edged:
            coefficient[:, p, 1] = (1.0, 0.0)
            lower[:, p, 1], upper[:, p, 1] = edges[p], edges[p + 1]
            reach_lower[:, p, 1], reach_upper[:, p, 1] = box.lower, box.upper
    columns = np.broadcast_to(np.stack([z, y], axis=1)[:, None, None, :], coefficient.shape)
    total = n * pieces * rows_per_branch
    # a copy: one element with one piece is no broadcast, and its read-only view would end up in the matrix
    matrix = sparse.csr_array(
        (coefficient.ravel(), columns.flatten(), np.arange(0, 2 * total + 1, 2)), shape=(total, width)
    )
    matrix.eliminate_zeros()
    return Disjunctions(
        name,
        matrix,
        lower.ravel(),
        upper.ravel(),
        reach_lower.ravel(),
        reach_upper.ravel(),
        np.arange(0, total + 1, rows_per_branch),
        np.arange(0, n * pieces + 1, pieces),
        y,
    )


def _defined(matrix: sparse.csr_array, own: IntArray) -> IntArray:
    """The column that each row says something about, of some new ones; -1 where it is about none or several."""
    marked = np.zeros(matrix.shape[1])
    marked[own] = 1.0
    entries = marked[matrix.indices] * (matrix.data != 0)
    new = sparse.csr_array((entries, matrix.indices, matrix.indptr), shape=matrix.shape)
    count = new @ np.ones(matrix.shape[1])
    first = new @ np.arange(matrix.shape[1])
    return np.where(count == 1, first, -1).astype(np.int64)


def _clean(name: str) -> str:
    return re.sub(r"[\s\[\]{};]", "_", name)


class _Builder:
    """Grows the blocks of a program, in an order in which everything comes after what it depends on."""

    def __init__(self, known: Known, encodings: Encodings) -> None:
        self.known: Mapping[Any, Bounds] = known
        self.encodings = encodings
        self.columns: list[Columns] = []
        self.rows: list[tuple[str, sparse.csr_array, FloatArray, FloatArray, IntArray]] = []
        self.groups: list[tuple[str, Activation, Box, IntArray, IntArray]] = []
        self.alternations: list[Disjunctions] = []
        self.position: dict[Variable, slice] = {}
        self.bounds: dict[Application, Bounds] = {}
        self._ranges: dict[Expr, tuple[FloatArray, FloatArray]] = {}
        self.names: set[str] = set()
        self.width = 0

    def add_columns(self, name: str, box: Box) -> slice:
        """A block of columns under a name of its own."""
        plain = label = _clean(name)
        count = 1
        while label in self.names:
            count += 1
            label = f"{plain}.{count}"
        self.names.add(label)
        self.columns.append(Columns(label, box.lower, box.upper, np.zeros(box.size, dtype=np.bool_)))
        self.width += box.size
        return slice(self.width - box.size, self.width)

    def add_input(self, variable: InputVariable) -> None:
        domain = variable.domain
        where = self.add_columns(variable.name, domain.enclosure)
        self.position[variable] = where
        extra = domain.constraints()
        if extra.extra_lower.size:
            self.add_columns(f"{variable.name}.norm", Box(extra.extra_lower, extra.extra_upper))
        rows = extra.rows
        if rows.matrix.shape[0]:
            shift = sparse.csr_array((rows.matrix.shape[0], where.start))
            self.rows.append(
                (
                    f"{variable.name}.domain",
                    sparse.csr_array(sparse.hstack([shift, rows.matrix])),
                    rows.lower,
                    rows.upper,
                    np.full(rows.lower.size, -1, dtype=np.int64),
                )
            )

    def over_columns(self, expr: Expr) -> sparse.csr_array:
        """The linear part of an expression over the columns so far."""
        total = sparse.csr_array((expr.size, self.width))
        for variable, matrix in expr.terms.items():
            start = self.position[variable].start
            padded = sparse.csr_array((matrix.data, matrix.indices + start, matrix.indptr), shape=total.shape)
            total = total + padded
        return sparse.csr_array(total)

    def bounds_of(self, application: Application) -> Bounds:
        if application not in self.bounds:
            network = application.network
            domain = self.domain_of(application.argument)
            known = self.known.get(network)
            fits = known is not None and known.domain is domain
            mine = self.known.get(application) or (known if fits else None)
            self.bounds[application] = crown(network, domain) if mine is None else mine
        return self.bounds[application]

    def domain_of(self, argument: Expr) -> Domain:
        """The domain of an argument: that of an input passed as it is, else the box around the expression."""
        if argument.is_variable():
            (variable,) = argument.terms
            if isinstance(variable, InputVariable):
                return variable.domain
        low, high = np.array(argument.constant), np.array(argument.constant)
        for variable, matrix in argument.terms.items():
            box = self._box_of(variable)
            least, most = activity(matrix, box.lower, box.upper)
            low, high = np.nextafter(low + least, -np.inf), np.nextafter(high + most, np.inf)
        return Box(low, high)

    def _box_of(self, variable: Variable) -> Box:
        if isinstance(variable, InputVariable):
            return variable.domain.enclosure
        if isinstance(variable, NodeVariable):
            return self.bounds_of(variable.application).boxes[variable.node]
        raise InvalidInput("a network cannot be applied to the slack of a condition; apply it to inputs or to values")

    def require(self, variable: Variable) -> None:
        """Add the columns of a variable and of everything that it depends on."""
        if variable in self.position:
            return
        if isinstance(variable, InputVariable):
            self.add_input(variable)
            return
        if isinstance(variable, SlackVariable):
            self.position[variable] = self.add_condition(variable.condition, "slack")
            return
        if isinstance(variable, AuxiliaryVariable):
            raise InvalidInput(
                f"a column that {variable.name!r} was encoded with is used outside of its encoding; make it with "
                "`fresh` where it is used"
            )
        application = variable.application
        for inner in application.argument.terms:
            self.require(inner)
        network = application.network
        boxes = self.bounds_of(application).boxes
        layer = network.by_name[variable.node].layer
        if isinstance(layer, AffineLayer):
            where = self._add_affine(application, variable.node, boxes)
        elif type(layer) not in self.encodings and elementwise(layer):
            where = self._add_activation(application, network.by_name[variable.node], layer, boxes)
        else:
            where = self._add_encoded(application, network.by_name[variable.node], boxes)
        self.position[variable] = where

    def _add_affine(self, application: Application, node: str, boxes: Mapping[str, Box]) -> slice:
        step = affine_step(application.network, node, boxes)
        inner = {end: self.node(application, end) for end in step.parts if end != INPUT}
        constant, error = step.constant, step.error
        linear = sparse.csr_array((constant.size, self.width))
        for end, weights in step.parts.items():
            if end == INPUT:
                part, shift, lost = self._through_argument(application.argument, weights)
                constant, error = constant + shift, error + lost
            else:
                start = self.position[inner[end]].start
                part = sparse.csr_array((weights.data, weights.indices + start, weights.indptr), shape=linear.shape)
            linear = part if len(step.parts) == 1 else sparse.csr_array(linear + part)
        where = self.add_columns(node, boxes[node])
        eye = sparse.eye_array(where.stop - where.start, format="csr")
        gap = sparse.csr_array((eye.shape[0], where.start - linear.shape[1]))
        defined = np.arange(where.start, where.stop)
        block = sparse.csr_array(sparse.hstack([-linear, gap, eye], format="csr"))
        low, high = numeric.down(constant, error), numeric.up(constant, error)
        self.rows.append((self.columns[-1].name, block, low, high, defined))
        return where

    def _add_activation(
        self, application: Application, node: Node, layer: Activation, boxes: Mapping[str, Box]
    ) -> slice:
        if node.source == INPUT:
            z = self._argument_columns(application)
        else:
            z_where = self.position[self.node(application, node.source)]
            z = np.arange(z_where.start, z_where.stop)
        where = self.add_columns(node.name, boxes[node.name])
        y = np.arange(where.start, where.stop)
        self.groups.append((self.columns[-1].name, layer, boxes[node.source], z, y))
        return where

    def _add_encoded(self, application: Application, node: Node, boxes: Mapping[str, Box]) -> slice:
        """The columns of a layer that says itself what it is as constraints, or for which the user does."""
        network, layer = application.network, node.layer
        parts = []
        for source in node.sources:
            inner = application.argument if source == INPUT else Expr.of(NodeVariable(application, source))
            for held in inner.terms:
                self.require(held)
            parts.append(inner)
        made: list[AuxiliaryVariable] = []

        def fresh(box: Box) -> Expr:
            auxiliary = AuxiliaryVariable(node.name, box)
            made.append(auxiliary)
            self.position[auxiliary] = self.add_columns(node.name, box)
            return Expr.of(auxiliary)

        encode = self.encodings.get(type(layer))
        if encode is None:
            assert isinstance(layer, NonlinearLayer)
            encoding = layer.encode(Expr.stack(parts), network.around(node, boxes), fresh)
        else:
            encoding = encode(layer, Expr.stack(parts), network.around(node, boxes), fresh)
        label = self.columns[-1].name if made else node.name
        own = np.concatenate([np.zeros(0, dtype=np.int64), *(np.r_[self.position[v]] for v in made)])
        place = Place(
            label, None, lambda: self._switch(label), self.over_columns, self._activity_of, lambda: self.width
        )
        for condition in encoding.rows:
            rows, alternations = lower_condition(condition, place)
            if rows.size:
                self.rows.append((label, rows.matrix, rows.lower, rows.upper, _defined(rows.matrix, own)))
            self.alternations += alternations
        for number, branches in enumerate(encoding.choices):
            name = label if len(encoding.choices) == 1 else f"{label}.{number}"
            self.alternations.append(lower_choice(name, branches, place, own))
        where = next((self.position[v] for v in made if encoding.value.is_variable(v)), None)
        if where is None:
            return self._defined_as(node.name, encoding.value, boxes[node.name])
        self._narrow(where, boxes[node.name])
        return where

    def _defined_as(self, name: str, value: Expr, box: Box) -> slice:
        """Columns that equal an expression over those there are."""
        linear = self.over_columns(value)
        where = self.add_columns(name, box)
        eye = sparse.eye_array(box.size, format="csr")
        gap = sparse.csr_array((box.size, where.start - linear.shape[1]))
        block = sparse.csr_array(sparse.hstack([-linear, gap, eye], format="csr"))
        self.rows.append((self.columns[-1].name, block, value.constant, value.constant, np.r_[where]))
        return where

    def _narrow(self, where: slice, box: Box) -> None:
        """Columns with tighter bounds, where those are proved."""
        start = 0
        for k, block in enumerate(self.columns):
            if start == where.start and block.size == box.size:
                both = Box(block.lower, block.upper).intersect(box)
                self.columns[k] = replace(block, lower=both.lower, upper=both.upper)
            start += block.size

    def _activity_of(self, expr: Expr) -> tuple[FloatArray, FloatArray]:
        """Bounds of an expression from those of its columns: (lower, upper)."""
        low = np.concatenate([c.lower for c in self.columns])
        high = np.concatenate([c.upper for c in self.columns])
        least, most = activity(self.over_columns(expr), low, high)
        return numeric.plus_down(least, expr.constant), numeric.plus_up(most, expr.constant)

    def add_condition(self, condition: Condition, name: str, must_hold: bool = False) -> slice:
        """The rows and disjunctions of a condition; the position of its slack column (empty where it must hold)."""
        for atoms in condition.atoms:
            for variable in atoms.expr.terms:
                self.require(variable)
        where, own = slice(0, 0), None
        if not must_hold:
            low, high = (float(end) for end in slack_range(condition, self.range_of))
            where = self.add_columns(name, Box(np.array([low]), np.array([high])))
            own = (where.start, low, high)
        label = self.columns[-1].name if own is not None else name
        place = Place(label, own, lambda: self._switch(label), self.over_columns, self.range_of, lambda: self.width)
        rows, alternations = lower_condition(condition, place)
        if rows.size:
            self.rows.append((label, rows.matrix, rows.lower, rows.upper, rows.defines))
        self.alternations += alternations
        return where

    def _switch(self, name: str) -> int:
        where = self.add_columns(f"{name}.switch", Box(np.zeros(1), np.ones(1)))
        self.columns[-1] = replace(self.columns[-1], integer=np.ones(1, dtype=np.bool_))
        return int(where.start)

    def range_of(self, expr: Expr) -> tuple[FloatArray, FloatArray]:
        """Proved bounds of an expression by linear relaxation: (lower, upper)."""
        if not expr.size:
            return np.zeros(0), np.zeros(0)
        if expr not in self._ranges:
            for variable in expr.terms:
                if isinstance(variable, NodeVariable):
                    self.bounds_of(variable.application)
            upper = expression_upper(Expr.stack([expr, -expr]), self.bounds)
            self._ranges[expr] = (-upper[expr.size :], upper[: expr.size])
        return self._ranges[expr]

    def _through_argument(
        self, argument: Expr, weights: sparse.csr_array
    ) -> tuple[sparse.csr_array, FloatArray, FloatArray]:
        """weights @ argument over the columns: linear part, constant, and a bound on the rounding error."""
        source = self.over_columns(argument)
        if argument.is_variable():
            return sparse.csr_array(weights @ source), np.zeros(weights.shape[0]), np.zeros(weights.shape[0])
        low = np.concatenate([c.lower for c in self.columns])
        high = np.concatenate([c.upper for c in self.columns])
        reach = np.maximum(np.abs(low), np.abs(high))
        size = abs(weights) @ (abs(source) @ reach + np.abs(argument.constant))
        terms = int(np.diff(weights.indptr).max(initial=0)) + int(np.diff(source.indptr).max(initial=0)) + 4
        # the next sum, with the chain's own constant, is rounded too: gamma has room for it
        lost = numeric.gamma(terms) * size + numeric.underflow(terms) * (1.0 + reach.sum())
        return sparse.csr_array(weights @ source), weights @ argument.constant, lost

    def _argument_columns(self, application: Application) -> IntArray:
        """Columns that equal the argument of an activation which takes the network's input itself."""
        box = self.bounds_of(application).boxes[INPUT]
        linear = self.over_columns(application.argument)
        where = self.add_columns("argument", box)
        eye = sparse.eye_array(box.size, format="csr")
        defined = np.arange(where.start, where.stop)
        constant = application.argument.constant
        self.rows.append(
            (
                self.columns[-1].name,
                sparse.csr_array(sparse.hstack([-linear, eye])),
                constant,
                constant,
                defined,
            )
        )
        return defined

    def node(self, application: Application, node: str) -> NodeVariable:
        """The variable of a node, with its columns in place."""
        variable = NodeVariable(application, node)
        self.require(variable)
        return variable

    def program(self) -> Program:
        def widened(matrix: sparse.csr_array) -> sparse.csr_array:
            shape = (matrix.shape[0], self.width)
            return sparse.csr_array((matrix.data, matrix.indices, matrix.indptr), shape=shape)

        return Program(
            tuple(self.columns),
            tuple(RowBlock(n, widened(m), low, high, d) for n, m, low, high, d in self.rows),
            (
                *(disjunction(n, layer, box, z, y, self.width) for n, layer, box, z, y in self.groups),
                *(replace(g, matrix=widened(g.matrix)) for g in self.alternations),
            ),
        )


def compile_program(
    exprs: Sequence[Expr],
    known: Known | None = None,
    given: Condition = ALWAYS,
    encodings: Encodings | None = None,
) -> Compiled:
    """The program of everything that the expressions depend on.

    Args:
        known: see `Known`.
        given: a condition that must hold, closed; with ALWAYS there is none.
        encodings: of layer types that are not to be encoded as they say themselves (see `Encodings`).

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0]]), np.zeros(1)), relu], (1,), names=["z", "y"])
    >>> program = compile_program([net(box(-1, 2, (1,)))]).program
    >>> print("\\n".join(str(program).splitlines()[-4:-2]))
    rows z
      -1 x[0] + 1 z[0] = 0 defines z[0]
    """
    builder = _Builder(known or {}, encodings or {})
    for expr in exprs:
        for variable in expr.terms:
            builder.require(variable)
    if given is not ALWAYS:
        builder.add_condition(given, "given", must_hold=True)
    return Compiled(builder.program(), builder.position, builder.bounds)
