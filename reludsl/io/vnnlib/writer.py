"""A question as VNN-LIB: version 1.0 where it is about one network at one input, and version 2.0 otherwise.

    write_vnnlib(Find(~argmax_is(net(x), 3)), "property.vnnlib")

A `Prove` is written as the search for a counterexample: sat means refuted. Numbers are written in full, so that
reading gives the same coefficients.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reludsl.domain import Ball, Box, Domain, Norm, Polytope
from reludsl.errors import InvalidInput
from reludsl.expr import Application, Expr, InputVariable, NodeVariable, SlackVariable, Variable
from reludsl.io.files import write_atomically
from reludsl.io.vnnlib.formula_text import Labels, asserts, rows_text
from reludsl.logic import Condition
from reludsl.network import Network
from reludsl.question import Find, Maximize, Minimize, Prove, Question


def write_vnnlib(question: Question, path: str | os.PathLike[str]) -> None:
    """Write a question as VNN-LIB, whole or not at all.

    Args:
        question: Find, or Prove as the search for a counterexample. Inputs are boxes, L-infinity balls or
            polytopes; a ball is written as the box around it, rounded outward.
        path: any name; `.gz` packs it.

    Raises:
        FileProblem: the folder does not exist or takes no file; nothing is written then.
        InvalidInput: what the language does not hold, see `vnnlib_text`.
    """
    write_atomically(path, vnnlib_text(question).encode("utf-8"))


def vnnlib_text(question: Question) -> str:
    """The text that `write_vnnlib` writes.

    Raises:
        InvalidInput: Maximize and Minimize; no network; a network applied to anything but an input, as `absolute`
            is; an input that no network takes; an L1 ball.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import relu
    >>> x = box(-1, 1, (1,))
    >>> print(vnnlib_text(Find(Network.chain([relu], (1,))(x) >= 0.5)), end="")
    (declare-const X_0 Real)
    (declare-const Y_0 Real)
    (assert (>= X_0 -1.0))
    (assert (<= X_0 1.0))
    (assert (>= Y_0 0.5))
    """
    condition = _sought(question)
    parts = _Parts(condition)
    declared = _first_version(parts) or _second_version(parts)
    lines = [*declared.lines]
    for variable in parts.inputs:
        lines += _domain(variable, declared.labels)
    lines += asserts(condition, declared.labels)
    return "\n".join(lines) + "\n"


def _sought(question: Question) -> Condition:
    match question:
        case Find(condition):
            return condition
        case Prove(claim, given):
            return given & ~claim
        case Maximize() | Minimize():
            raise InvalidInput(
                f"{type(question).__name__} asks for a number, and VNN-LIB asks whether an input exists; "
                "write Find(expr >= value) instead"
            )


class _Parts:
    """What a condition mentions: applications of networks, inputs, nodes; each once, in order."""

    def __init__(self, condition: Condition) -> None:
        found: dict[Variable, None] = {}
        for atoms in condition.atoms:
            found.update(dict.fromkeys(atoms.expr.terms))
        self.nodes = [v for v in found if isinstance(v, NodeVariable)]
        if any(isinstance(v, SlackVariable) for v in found):
            raise InvalidInput("the question mentions the slack of a condition, which VNN-LIB has no word for")
        self.applications = list(dict.fromkeys(v.application for v in self.nodes))
        self.at = {application: _input_of(application) for application in self.applications}
        self.inputs = list(dict.fromkeys(self.at.values()))
        if not self.applications:
            raise InvalidInput("the question mentions no network, and VNN-LIB is about networks; mention net(x)")
        lone = [v.name for v in found if isinstance(v, InputVariable) and v not in self.inputs]
        if lone:
            raise InvalidInput(
                f"the input {lone[0]} goes into no network that the question mentions, and VNN-LIB declares inputs "
                "with networks; leave it out"
            )


def _input_of(application: Application) -> InputVariable:
    """The input that a network is applied to."""
    network, argument = application.network, application.argument
    if len(network.nodes) == 1 and network.nodes[0].layer.kind == "absolute":
        raise InvalidInput("the question holds absolute(...), which VNN-LIB has no word for; write two comparisons")
    if len(argument.terms) == 1 and not argument.constant.any():
        ((variable, matrix),) = argument.terms.items()
        square = matrix.shape[0] == matrix.shape[1]
        if isinstance(variable, InputVariable) and square and (matrix.diagonal() == 1).all():
            matrix = matrix.copy()
            matrix.eliminate_zeros()
            if matrix.nnz == matrix.shape[0]:
                return variable
    raise InvalidInput(
        "a network of the question is applied to an expression, and in VNN-LIB networks are applied to inputs; "
        "apply it to an input itself"
    )


@dataclass(frozen=True, slots=True)
class _Declared:
    """The lines that declare, and what elements are called."""

    lines: Sequence[str]
    labels: Labels


def _first_version(parts: _Parts) -> _Declared | None:
    """Declarations of version 1.0, or None where the question needs more."""
    if len(parts.applications) > 1 or [v.node for v in parts.nodes] != [parts.applications[0].network.output]:
        return None
    (x,), (y,) = parts.inputs, parts.nodes
    labels: Labels = {x: [f"X_{k}" for k in range(x.size)], y: [f"Y_{k}" for k in range(y.size)]}
    return _Declared([f"(declare-const {name} Real)" for v in (x, y) for name in labels[v]], labels)


def _second_version(parts: _Parts) -> _Declared:
    """Declarations of version 2.0. An input of several networks is declared with each, and asserted to be equal."""
    lines, equal = ["(vnnlib-version <2.0>)"], list[str]()
    labels: Labels = {}
    names: dict[Network, str] = {}
    for k, application in enumerate(parts.applications):
        network, variable = application.network, parts.at[application]
        lines.append(f"(declare-network f{k}")
        if network in names:
            lines.append(f"  (equal-to {names[network]})")
        names.setdefault(network, f"f{k}")
        lines.append(f"  (declare-input X{k} Real {_shape(network.input_shape)})")
        own = _elements(f"X{k}", network.input_shape)
        equal += (f"(assert (== {a} {b}))" for a, b in zip(labels.get(variable, ()), own))
        labels.setdefault(variable, own)
        hidden = [v for v in parts.nodes if v.application is application and v.node != network.output]
        for j, node in enumerate(hidden):
            shape = network.shapes[node.node]
            quoted = node.node.replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'  (declare-hidden H{k}_{j} Real {_shape(shape)} "{quoted}")')
            labels[node] = _elements(f"H{k}_{j}", shape)
        lines.append(f"  (declare-output Y{k} Real {_shape(network.output_shape)})")
        lines.append(")")
        labels[NodeVariable(application, network.output)] = _elements(f"Y{k}", network.output_shape)
    return _Declared([*lines, *equal], labels)


def _shape(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _elements(name: str, shape: Sequence[int]) -> list[str]:
    return [f"{name}{_shape(index)}" for index in itertools.product(*map(range, shape))]


def _domain(variable: InputVariable, labels: Labels) -> Iterator[str]:
    """Assertions that the input lies in its domain."""
    box = _bounds(variable.domain)
    for name, low, high in zip(labels[variable], box.lower.tolist(), box.upper.tolist()):
        yield f"(assert (>= {name} {low!r}))"
        yield f"(assert (<= {name} {high!r}))"
    if isinstance(variable.domain, Polytope):
        rows = variable.domain.matrix @ Expr.of(variable) - variable.domain.limit
        yield from (f"(assert {text})" for text in rows_text(rows, False, labels))


def _bounds(domain: Domain) -> Box:
    box_like = isinstance(domain, Box | Polytope) or (isinstance(domain, Ball) and domain.norm is Norm.LINF)
    if not box_like:
        raise InvalidInput(
            f"the input lies in {domain!r:.60}, which VNN-LIB has no word for; use a box or an L-infinity ball"
        )
    return domain.enclosure
