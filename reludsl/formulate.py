"""From expressions to a program: trace the networks that the expressions mention, one block per layer.

Only what the expressions depend on is compiled: the cone of a neuron in layer 2 holds nothing of layer 3.
Each needed stage becomes

    rows           z - W h = b        defines z, the pre-activation: a dense row stands here once
    disjunctions   y = f(z)           one branch per piece, derived from the activation's declaration

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
from reludsl.backend import FloatArray, IntArray
from reludsl.bounds import Bounds, crown, expression_upper
from reludsl.conditions import Place, lower_condition, slack_range
from reludsl.domain import Box, Domain
from reludsl.errors import InvalidInput
from reludsl.expr import Application, Expr, InputVariable, NodeVariable, SlackVariable, Variable
from reludsl.layers import Activation, AffineLayer, Reshape
from reludsl.logic import ALWAYS, Condition
from reludsl.network import INPUT, Network
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
    n, pieces = z.size, len(activation.slopes)
    edged = pieces > 1 and not (activation.convex or activation.concave)
    rows_per_branch = 2 if edged else 1
    shape = (n, pieces, rows_per_branch)
    lower, upper = np.zeros(shape), np.zeros(shape)
    reach_lower, reach_upper = np.zeros(shape), np.zeros(shape)
    held = activation.held_piece(box)
    coefficient = np.zeros((n, pieces, rows_per_branch, 2))
    edges = np.array([-np.inf, *activation.breaks, np.inf])
    for p in range(pieces):
        slope, intercept = activation.slopes[p], activation.intercepts[p]
        slack = activation.intercept_errors[p]
        least, most = activation.deviation(box, np.full(n, slope))
        coefficient[:, p, 0] = (-slope, 1.0)
        lower[:, p, 0], upper[:, p, 0] = intercept - slack, intercept + slack
        reach_lower[:, p, 0] = np.where(held == p, intercept - slack, least)
        reach_upper[:, p, 0] = np.where(held == p, intercept + slack, most)
        if edged:
            coefficient[:, p, 1] = (1.0, 0.0)
            lower[:, p, 1], upper[:, p, 1] = edges[p], edges[p + 1]
            reach_lower[:, p, 1], reach_upper[:, p, 1] = box.lower, box.upper
    columns = np.broadcast_to(np.stack([z, y], axis=1)[:, None, None, :], coefficient.shape)
    total = n * pieces * rows_per_branch
    matrix = sparse.csr_array(
        (coefficient.ravel(), columns.ravel(), np.arange(0, 2 * total + 1, 2)), shape=(total, width)
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


@dataclass(frozen=True, slots=True, eq=False)
class AffineStep:
    """A node's value as `matrix @ h + constant`, up to `error`, of the value h of the node `source`."""

    source: str
    matrix: sparse.csr_array
    constant: FloatArray
    error: FloatArray


def affine_chain(network: Network, node: str, boxes: Mapping[str, Box]) -> AffineStep:
    """The affine layers between a node and the nearest activation (or the input) before it, as one.

    Args:
        boxes: bounds of every node; the error of composing more than one layer holds on them.
    """
    layers: list[AffineLayer] = []
    at = node
    while at != INPUT:
        layer = network.by_name[at].layer
        if not isinstance(layer, AffineLayer):
            break
        if not isinstance(layer, Reshape):  # another shape of the same flat vector
            layers.append(layer)
        at = network.by_name[at].source
    size = network.size(at)
    matrix: FloatArray | sparse.csr_array | None = None
    constant, magnitude, terms = np.zeros((1, size)), boxes[at].magnitude, 0
    for layer in reversed(layers):
        rows = layer.rows(matrix.shape[0] if matrix is not None else size)
        matrix = rows if matrix is None else rows @ matrix
        constant = layer(constant)
        magnitude = layer.absolute(magnitude) + np.abs(layer.bias)
        terms += layer.terms + 4
    if matrix is None:
        matrix = sparse.csr_array(sparse.eye_array(size))
    error = np.zeros_like(constant[0])
    if len(layers) > 1 or any(not layer.exact_rows for layer in layers):
        error = numeric.gamma(terms) * magnitude + numeric.underflow(terms) * (1.0 + boxes[at].magnitude.sum())
    return AffineStep(at, sparse.csr_array(matrix), constant[0], error)


def _clean(name: str) -> str:
    return re.sub(r"[\s\[\]{};]", "_", name)


class _Builder:
    """Grows the blocks of a program, in an order in which everything comes after what it depends on."""

    def __init__(self, known: Known) -> None:
        self.known: Mapping[Any, Bounds] = known
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
        application = variable.application
        for inner in application.argument.terms:
            self.require(inner)
        network = application.network
        boxes = self.bounds_of(application).boxes
        layer = network.by_name[variable.node].layer
        if isinstance(layer, AffineLayer):
            step = affine_chain(network, variable.node, boxes)
            weights, constant, error = step.matrix, step.constant, step.error
            if step.source == INPUT:
                linear, shift, lost = self._through_argument(application.argument, weights)
                constant, error = constant + shift, error + lost
            else:
                inner = self.node(application, step.source)
                start = self.position[inner].start
                shape = (weights.shape[0], self.width)
                linear = sparse.csr_array((weights.data, weights.indices + start, weights.indptr), shape=shape)
            where = self.add_columns(variable.node, boxes[variable.node])
            eye = sparse.eye_array(where.stop - where.start, format="csr")
            gap = sparse.csr_array((eye.shape[0], where.start - linear.shape[1]))
            defined = np.arange(where.start, where.stop)
            block = sparse.csr_array(sparse.hstack([-linear, gap, eye], format="csr"))
            low, high = numeric.down(constant, error), numeric.up(constant, error)
            self.rows.append((self.columns[-1].name, block, low, high, defined))
        else:
            assert isinstance(layer, Activation)
            source_node = network.by_name[variable.node].source
            if source_node == INPUT:
                z = self._argument_columns(application)
            else:
                z_where = self.position[self.node(application, source_node)]
                z = np.arange(z_where.start, z_where.stop)
            where = self.add_columns(variable.node, boxes[variable.node])
            y = np.arange(where.start, where.stop)
            self.groups.append((self.columns[-1].name, layer, boxes[source_node], z, y))
        self.position[variable] = where

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


def compile_program(exprs: Sequence[Expr], known: Known | None = None, given: Condition = ALWAYS) -> Compiled:
    """The program of everything that the expressions depend on.

    Args:
        known: see `Known`.
        given: a condition that must hold, closed; with ALWAYS there is none.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0]]), np.zeros(1)), relu], (1,), names=["z", "y"])
    >>> program = compile_program([net(box(-1, 2, (1,)))]).program
    >>> print("\\n".join(str(program).splitlines()[-4:-2]))
    rows z
      -1 x[0] + 1 z[0] = 0 defines z[0]
    """
    builder = _Builder(known or {})
    for expr in exprs:
        for variable in expr.terms:
            builder.require(variable)
    if given is not ALWAYS:
        builder.add_condition(given, "given", must_hold=True)
    return Compiled(builder.program(), builder.position, builder.bounds)
