"""What a property asserts: comparisons joined by and, or, not; and the box and the condition that follow from it.

The comparisons of one conjunction (or disjunction) become a few vector conditions. Every conjunction has a box
around the inputs that satisfy it: bounds intersect in a conjunction, and a disjunction takes the hull.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.io.vnnlib.comparisons import Block, Table
from reludsl.logic import Condition, all_of, any_of

DEPTH = 100
"""Conjunctions inside disjunctions inside conjunctions ...: what is deeper no evaluation follows."""

Limits = tuple[FloatArray, FloatArray]
"""Lower and upper bounds of all inputs, infinite where there are none."""


@dataclass(slots=True)
class Join:
    """Parts joined: all of them hold, or at least one; `negated` says that this is not so."""

    every: bool
    parts: list[Formula]
    negated: bool = False


Formula = int | Join
"""A comparison by its number in the table, or a join."""


@dataclass(slots=True)
class Node:
    """A conjunction or a disjunction without negations: comparisons (`~k` is the negation of k), and nodes below."""

    every: bool
    parent: int
    depth: int
    leaves: list[int] = field(default_factory=list)


def normalized(formulas: list[Formula]) -> list[Node]:
    """The conjunction of formulas, negations pushed down: conjunctions and disjunctions in turn, parents first.

    Raises:
        InvalidInput: nested too deep.
    """
    nodes = [Node(True, -1, 0)]
    pending: list[tuple[Formula, bool, int]] = [(formula, False, 0) for formula in reversed(formulas)]
    while pending:
        formula, negated, place = pending.pop()
        node = nodes[place]
        if isinstance(formula, int):
            node.leaves.append(~formula if negated else formula)
            continue
        inside = negated ^ formula.negated
        every = formula.every ^ inside
        if every != node.every and len(formula.parts) != 1:
            if node.depth == DEPTH:
                raise InvalidInput(
                    f"and, or, not and => take turns more than {DEPTH} deep, which no solver follows; "
                    "flatten the formula"
                )
            nodes.append(Node(every, place, node.depth + 1))
            place = len(nodes) - 1
        pending.extend((part, inside, place) for part in reversed(formula.parts))
    return nodes


def limits(nodes: Sequence[Node], table: Table) -> Limits:
    """Bounds that every input satisfying the nodes keeps; a lower above an upper one where none does."""
    held: dict[int, Limits | None] = {}
    for place in reversed(range(len(nodes))):
        node = nodes[place]
        if node.every:
            _include(held, place, True, table.bounds.of(node.leaves) if node.leaves else None)
        else:
            for leaf in node.leaves:
                _include(held, place, False, table.bounds.of([leaf]))
                if held[place] is None:
                    break
        own = held.pop(place, None)
        if node.parent < 0:
            return own or (np.full(table.inputs, -np.inf), np.full(table.inputs, np.inf))
        # crossed bounds swapped: the set is empty then, and any box is around it
        _include(held, node.parent, nodes[node.parent].every, own and (np.minimum(*own), np.maximum(*own)))
    raise AssertionError("the first node has no parent")


def _include(held: dict[int, Limits | None], place: int, every: bool, part: Limits | None) -> None:
    """Take the bounds of one part of a node into account; None stands for no bounds."""
    if place not in held:
        held[place] = part
        return
    own = held[place]
    if own is None or part is None:
        held[place] = (own or part) if every else None
        return
    lower, upper = (np.maximum, np.minimum) if every else (np.minimum, np.maximum)
    held[place] = lower(own[0], part[0]), upper(own[1], part[1])


def condition(nodes: Sequence[Node], table: Table, blocks: Sequence[Block], boxed: bool) -> Condition:
    """The nodes as a condition.

    Args:
        boxed: leave out what the box says: outermost bounds of single inputs.
    """
    inner: list[list[Condition]] = [[] for _ in nodes]
    for place in reversed(range(1, len(nodes))):
        node = nodes[place]
        inner[node.parent].append(_joined(node, node.leaves, inner[place], table, blocks))
        inner[place] = []
    leaves = nodes[0].leaves
    if boxed:
        leaves = [leaf for leaf in leaves if not table.bounds.said(leaf)]
    return _joined(nodes[0], leaves, inner[0], table, blocks)


def _joined(node: Node, leaves: list[int], inner: list[Condition], table: Table, blocks: Sequence[Block]) -> Condition:
    join = all_of if node.every else any_of
    return join(table.atoms(leaves, node.every, blocks) if leaves else (), reversed(inner))
