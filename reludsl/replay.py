"""Expressions and conditions at concrete inputs: values, gradients, and whether a condition truly holds there.

No solver and no tolerance: plain forward passes in float64. Where the answer hangs on rounding, a proved bound on
the rounding error decides, and exact rational arithmetic where that bound does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.exact import ExactArray, exactly
from reludsl.expr import Application, Expr, InputVariable, NodeVariable, SlackVariable, Variable
from reludsl.layers import NonlinearLayer, elementwise
from reludsl.logic import All, AnyOf, Atoms, Condition, slack
from reludsl.network import INPUT

Points = Mapping[InputVariable, FloatArray]
"""Input variable -> a batch (m, n) of values."""

Point = Mapping[InputVariable, FloatArray]
"""Input variable -> one value (n,)."""


class Evaluator:
    """Batched values and gradients of some expressions.

    >>> from reludsl.expr import box
    >>> x = box(-1, 1, (2,))
    >>> y = np.array([[1.0, 2.0]]) @ x
    >>> evaluator = Evaluator([y])
    >>> held = evaluator.forward({x.variable: np.array([[1.0, 0.5], [0.0, 0.0]])})
    >>> held.value(y)
    array([[2.],
           [0.]])
    >>> held.gradient([(y, np.ones((2, 1)))])[x.variable]
    array([[1., 2.],
           [1., 2.]])
    """

    def __init__(self, exprs: Iterable[Expr]) -> None:
        self.inputs: tuple[InputVariable, ...] = ()
        self.nodes: dict[Application, list[str]] = {}
        found: dict[InputVariable, None] = {}
        for expr in exprs:
            self._visit(expr, found)
        self.inputs = tuple(found)

    def _visit(self, expr: Expr, found: dict[InputVariable, None]) -> None:
        for variable in expr.terms:
            if isinstance(variable, InputVariable):
                found[variable] = None
            elif isinstance(variable, NodeVariable):
                # an application comes after those that its argument is made of
                if variable.application not in self.nodes:
                    self._visit(variable.application.argument, found)
                wanted = self.nodes.setdefault(variable.application, [])
                if variable.node not in wanted:
                    wanted.append(variable.node)
            elif isinstance(variable, SlackVariable):
                for atoms in variable.condition.atoms:
                    self._visit(atoms.expr, found)

    def forward(self, points: Points) -> Values:
        """One forward pass per application, of a batch of inputs."""
        values = Values(self, {v: np.asarray(points[v], dtype=np.float64) for v in self.inputs}, {})
        for application, wanted in self.nodes.items():
            argument = values.value(application.argument)
            values.layers[application] = application.network.values(argument, wanted)
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """A forward pass of an `Evaluator`: ask it for the values of its expressions, and for their gradients."""

    evaluator: Evaluator
    points: Points
    layers: dict[Application, dict[str, FloatArray]]

    def __len__(self) -> int:
        return len(next(iter(self.points.values()))) if self.points else 1

    def of(self, variable: Variable) -> FloatArray:
        """Values of one variable: (m, size)."""
        if isinstance(variable, InputVariable):
            return self.points[variable]
        if isinstance(variable, NodeVariable):
            return self.layers[variable.application][variable.node]
        if isinstance(variable, SlackVariable):
            return self.slack(variable.condition)[:, None]
        raise TypeError("a column of an encoding has no value outside of a program")

    def value(self, expr: Expr) -> FloatArray:
        """Values of an expression: (m, size)."""
        total = np.broadcast_to(expr.constant, (len(self), expr.size))
        for variable, matrix in expr.terms.items():
            total = total + (matrix @ self.of(variable).T).T
        return np.asarray(total)

    def slack(self, condition: Condition) -> FloatArray:
        """Slack of a condition: (m,)."""
        return np.broadcast_to(slack(condition, self.value), (len(self),))

    def gradient(self, rows: Iterable[tuple[Expr, FloatArray]]) -> dict[InputVariable, FloatArray]:
        """Gradient of sum over the pairs (e, r) of r_k . e(x_k), with respect to the k-th input of every variable.

        Args:
            rows: expressions, each with weights of shape (m, size).
        """
        m = len(self)
        at_inputs = {v: np.zeros((m, v.size)) for v in self.evaluator.inputs}
        at_nodes: dict[Application, dict[str, FloatArray]] = {a: {} for a in self.layers}

        def spread(expr: Expr, weights: FloatArray) -> None:
            for variable, matrix in expr.terms.items():
                share = np.asarray((matrix.T @ weights.T).T)
                if isinstance(variable, InputVariable):
                    at_inputs[variable] += share
                elif isinstance(variable, NodeVariable):
                    here = at_nodes[variable.application]
                    here[variable.node] = here[variable.node] + share if variable.node in here else share

        for expr, weights in rows:
            spread(expr, weights)
        for application in reversed(self.layers):
            network = application.network
            for node, weights in at_nodes[application].items():
                spread(application.argument, network.gradient(self.layers[application], node, weights))
        return at_inputs


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """A network question around one input: everything is affine until an activation leaves its piece.

    Args:
        columns: where the coordinates of each input variable stand among those of all of them.
        slopes: variable -> its derivative, (coordinates, size).
        room: per activation, how far its arguments may fall and rise before they leave their pieces, and their
            derivative: (down, up, slopes), shapes (k,), (k,), (coordinates, k).
    """

    columns: Mapping[InputVariable, slice]
    slopes: dict[Variable, FloatArray]
    room: list[tuple[FloatArray, FloatArray, FloatArray]]

    def slope(self, expr: Expr) -> FloatArray:
        """Derivative of an expression: (size, coordinates)."""
        n = max((where.stop for where in self.columns.values()), default=0)
        total = np.zeros((expr.size, n))
        for variable, matrix in expr.terms.items():
            total += matrix @ self.slopes[variable].T
        return total


def local(values: Values) -> Local:
    """The derivative of everything at the first point of a batch, by forward differentiation."""
    columns: dict[InputVariable, slice] = {}
    start = 0
    for variable in values.evaluator.inputs:
        columns[variable] = slice(start, start + variable.size)
        start += variable.size
    found = Local(columns, {}, [])
    for variable, where in columns.items():
        found.slopes[variable] = np.eye(start)[:, where]
    for application, held in values.layers.items():
        network = application.network
        slopes = {INPUT: found.slope(application.argument).T}
        for node in network.cone(values.evaluator.nodes[application]):
            layer, inner, z = node.layer, network.gather(node, slopes), network.gather(node, held)[0]
            if elementwise(layer):
                down, up = layer.room(z)
                found.room.append((down, up, inner))
            elif isinstance(layer, NonlinearLayer):
                gap, left = layer.room(z)
                found.room.append((left, np.full(left.size, np.inf), np.asarray((gap @ inner.T).T)))
            slopes[node.name] = layer.push(z, inner)
        for name in values.evaluator.nodes[application]:
            found.slopes[NodeVariable(application, name)] = slopes[name]
    return found


def enclosure(expr: Expr, point: Point) -> tuple[FloatArray, FloatArray]:
    """The value at one input, and a bound on its rounding error: the exact value is within value -+ error."""
    boxes: dict[Application, dict[str, tuple[FloatArray, FloatArray]]] = {}
    return _enclosed(expr, point, boxes)


def _enclosed(
    expr: Expr, point: Point, boxes: dict[Application, dict[str, tuple[FloatArray, FloatArray]]]
) -> tuple[FloatArray, FloatArray]:
    total, size, error = expr.constant.copy(), np.abs(expr.constant), np.zeros(expr.size)
    terms = 2 + len(expr.terms)
    smallest = 0.0
    for variable, matrix in expr.terms.items():
        inner, inner_error = _variable_enclosed(variable, point, boxes)
        total = total + matrix @ inner
        size = size + abs(matrix) @ (np.abs(inner) + inner_error)
        error = error + numeric.inflated(abs(matrix) @ inner_error)
        terms += int(np.diff(matrix.indptr).max(initial=0))
        smallest += float(numeric.underflow(matrix.shape[1]))
    return total, numeric.inflated(error) + numeric.gamma(terms) * size + smallest


def _variable_enclosed(
    variable: Variable, point: Point, boxes: dict[Application, dict[str, tuple[FloatArray, FloatArray]]]
) -> tuple[FloatArray, FloatArray]:
    if isinstance(variable, InputVariable):
        x = np.asarray(point[variable], dtype=np.float64).ravel()
        return x, np.zeros_like(x)
    if not isinstance(variable, NodeVariable):
        raise TypeError("a slack variable stands for a search, and has no value of its own")
    application = variable.application
    held = boxes.setdefault(application, {})
    if variable.node not in held:
        network = application.network
        value, error = _enclosed(application.argument, point, boxes)
        values, errors = network.values(value[None, :], variable.node), {"input": error}
        for node in network.cone(variable.node):
            source, lost = network.gather(node, values)[0], network.gather(node, errors)
            around = Box(numeric.down(source, lost), numeric.up(source, lost))
            errors[node.name] = node.layer.forward_error(around, lost)
        held.update({name: (values[name][0], errors[name]) for name in errors})
    return held[variable.node]


def exact_value(expr: Expr, point: Point) -> ExactArray:
    """The value at one input in exact rational arithmetic: (size,) fractions. Slow."""
    return _exact(expr, point, {})


def _exact(expr: Expr, point: Point, held: dict[Application, dict[str, ExactArray]]) -> ExactArray:
    total = exactly(expr.constant)
    for variable, matrix in expr.terms.items():
        if isinstance(variable, InputVariable):
            inner = exactly(np.asarray(point[variable], dtype=np.float64).ravel())
        elif isinstance(variable, NodeVariable):
            application = variable.application
            known = held.setdefault(application, {})
            if variable.node not in known:
                known.update(application.network.exact_values(_exact(application.argument, point, held), variable.node))
            inner = known[variable.node]
        else:
            raise TypeError("a slack variable stands for a search, and has no value of its own")
        weights = exactly(matrix.data)
        for i in range(expr.size):
            part = slice(matrix.indptr[i], matrix.indptr[i + 1])
            if part.stop > part.start:
                total[i] = total[i] + weights[part] @ inner[matrix.indices[part]]
    return total


def holds(condition: Condition, point: Point) -> bool:
    """Whether a condition holds at an input, in exact arithmetic, every input variable inside its domain.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (1,))
    >>> at = {x.variable: np.array([0.5])}
    >>> holds(x <= 0.5, at), holds(x < 0.5, at)
    (True, False)
    """
    evaluator = Evaluator([atoms.expr for atoms in condition.atoms])
    if not all(v.domain.contains(np.asarray(point[v]).reshape(1, -1))[0] for v in evaluator.inputs):
        return False
    boxes: dict[Application, dict[str, tuple[FloatArray, FloatArray]]] = {}
    exact: dict[Application, dict[str, ExactArray]] = {}

    def decide(part: Condition) -> bool:
        match part:
            case All():
                return all(decide(p) for p in part.parts)
            case AnyOf():
                return any(decide(p) for p in part.parts)
            case Atoms():
                return _decide(part, point, boxes, exact)
            case _:
                raise TypeError(f"{type(part).__name__} is no kind of condition")

    return decide(condition)


def _decide(
    atoms: Atoms,
    point: Point,
    boxes: dict[Application, dict[str, tuple[FloatArray, FloatArray]]],
    exact: dict[Application, dict[str, ExactArray]],
) -> bool:
    value, error = _enclosed(atoms.expr, point, boxes)
    yes, no = value + 2 * error < 0, value - 2 * error > 0
    every = atoms.every
    if (every and no.any()) or (not every and yes.any()):
        return not every
    if (yes if every else no).all():
        return every
    open_ = np.flatnonzero(~(yes | no))
    rest = _exact(atoms.expr[open_], point, exact)
    held = [bool(v < Fraction(0) if atoms.strict else v <= Fraction(0)) for v in rest]
    return all(held) if every else any(held)
