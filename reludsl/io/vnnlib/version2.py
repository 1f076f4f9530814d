"""VNN-LIB 2.0: declared networks, each with an input, an output and hidden tensors, whose elements are indexed.

An input that is asserted to equal another one, element by element, is that other one: so a file says that two
networks are applied to the same point.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reludsl.backend import IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.expr import Application, Expr, Input, NodeVariable
from reludsl.io.vnnlib.comparisons import Block
from reludsl.io.vnnlib.declared import Declared, Networks, Relation, Role, declaration, node_of
from reludsl.io.vnnlib.formula import Node, normalized
from reludsl.io.vnnlib.machine import Group, Machine
from reludsl.io.vnnlib.property import Property, Tensor, asked
from reludsl.io.vnnlib.tokens import Tokens, shown
from reludsl.network import Network
from reludsl.question import Find

_ELEMENT = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\[([0-9]{1,9}(?:,[0-9]{1,9})*)\]")

FileNames = Mapping[Network, Mapping[str, str]]
"""Of a network, the names of tensors in its file and the nodes that compute them (`ImportReport.tensors`)."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A declared tensor, and the first of its columns in the order of the file.

    Args:
        owner: the declared name of its network.
        node: whose value it is; empty for an input.
    """

    tensor: Declared
    owner: str
    node: str
    first: int


class Reader(Machine):
    """Reads the commands of version 2.0."""

    def __init__(self, tokens: Tokens, networks: Networks, names: FileNames) -> None:
        super().__init__(tokens)
        self.networks = networks
        self.names = names
        self.placed: dict[str, Placed] = {}
        self.declared: dict[str, Network] = {}
        self.related: set[str] = set()
        self.width = 0

    def variables(self) -> str:
        shapes = (f"{p.tensor.name}[{','.join(map(str, p.tensor.shape))}]" for p in self.placed.values())
        return f"declared are {', '.join(shapes) or 'no tensors'}, whose elements are written X[0,3], counted from 0"

    def group(self, items: list[Any], opening: int) -> Any:
        return Group(items, opening)

    def command(self, items: list[Any], opening: int) -> None:
        match items:
            case ["vnnlib-version", str()] if opening == 0:
                pass
            case ["assert", formula]:
                self.asserted.append(self.formula(formula, 1, opening))
            case ["assert", *rest]:
                raise InvalidInput(f"assert with {len(rest)} items; write (assert formula)")
            case ["declare-network", str(name), *parts]:
                self._declare(name, parts, opening)
            case _:
                head = shown(items[0]) if items and isinstance(items[0], str) else "this parenthesis"
                raise InvalidInput(f"{head} is no command of VNN-LIB 2.0; there are declare-network and assert")

    def _declare(self, name: str, parts: list[Any], opening: int) -> None:
        self._check_new(name)
        tensors: list[tuple[int, Declared]] = []
        relations: list[Relation] = []
        for k, part in enumerate(parts, 2):
            if not isinstance(part, Group):
                raise self.refuse(opening, k, f"{shown(part)} declares nothing; write (declare-input X Real [1,5])")
            try:
                found = declaration(part.items)
            except InvalidInput as error:
                raise self.refuse(opening, k, str(error)) from None
            if isinstance(found, Relation):
                relations.append(found)
            else:
                tensors.append((k, found))
        _check_roles(name, [tensor for _, tensor in tensors])
        network = self._network(name, relations)
        self.declared[name] = network
        for k, tensor in tensors:
            try:
                self._place(name, network, tensor)
            except InvalidInput as error:
                raise self.refuse(opening, k, str(error)) from None

    def _check_new(self, name: str) -> None:
        if name in self.declared or name in self.placed:
            raise InvalidInput(f"{shown(name)} is declared twice; give every network and tensor a name of its own")

    def _network(self, name: str, relations: list[Relation]) -> Network:
        if not relations:
            return self.networks.called(name)
        if len(relations) > 1:
            raise InvalidInput(f"the network {name} is related to {len(relations)} others; give at most one relation")
        (relation,) = relations
        if relation.other not in self.declared or relation.other in self.related:
            raise InvalidInput(
                f"the network {name} is {relation.word} {shown(relation.other)}, which is not declared before, or is "
                "itself related to another; name a network that was declared on its own"
            )
        self.related.add(name)
        return self.networks.related(name, relation, self.declared[relation.other])

    def _place(self, owner: str, network: Network, tensor: Declared) -> None:
        self._check_new(tensor.name)
        node = node_of(network, tensor, owner, self.names.get(network))
        self.placed[tensor.name] = Placed(tensor, owner, node, self.width)
        self.columns.update(zip(_labels(tensor), itertools.count(self.width)))
        self.width += tensor.size

    def column(self, name: str) -> int:
        found = _ELEMENT.fullmatch(name)
        placed = self.placed.get(found[1] if found else name)
        if name in self.columns or placed is None:
            return super().column(name)
        shape = placed.tensor.shape
        index = tuple(int(k) for k in found[2].split(",")) if found else ()
        if len(index) != len(shape):
            raise InvalidInput(
                f"has {len(index)} indices, and {placed.tensor.name} has {len(shape)}; write one for each"
            )
        if any(k >= size for k, size in zip(index, shape)):
            raise InvalidInput(f"lies outside the shape {list(shape)} of {placed.tensor.name}; indices count from 0")
        return placed.first + int(np.ravel_multi_index(index, shape))

    def property(self) -> Property:
        """The property, after `run`.

        Raises:
            InvalidInput: networks that are not declared, an input without a bound.
        """
        if not self.placed:
            raise InvalidInput("the property declares no network, so nothing is asked; write (declare-network f ...)")
        self.networks.check_all_used()
        nodes = normalized(self.asserted)
        order = sorted(self.placed.values(), key=lambda p: p.tensor.role is not Role.INPUT)
        inputs = [p for p in order if p.tensor.role is Role.INPUT]
        same = self._same_inputs(inputs, nodes[0])
        columns = [p for p in order if same.get(p.tensor.name, p.tensor.name) == p.tensor.name]
        starts = dict(zip((p.tensor.name for p in columns), _sums(columns)))
        self._move(order, starts, same)
        names = [label for p in columns if p.tensor.role is Role.INPUT for label in _labels(p.tensor)]
        held: dict[str, Expr] = {}

        def layout(box: Box) -> Sequence[Block]:
            held.update(self._symbols(columns, starts, same, box))
            return [Block(next(iter(held[p.tensor.name].terms)), starts[p.tensor.name]) for p in columns]

        question = asked(nodes, self.rows, _sums(columns)[1:], names, layout)
        for p in inputs:
            held[p.tensor.name] = held[same.get(p.tensor.name, p.tensor.name)]
        return self._property(question, held)

    def _property(self, question: Find, held: Mapping[str, Expr]) -> Property:
        tensors = tuple(
            Tensor(p.tensor.name, p.tensor.kind, p.tensor.shape, held[p.tensor.name]) for p in self.placed.values()
        )
        by_role: dict[Role, dict[str, Expr]] = {role: {} for role in Role}
        for p in self.placed.values():
            by_role[p.tensor.role][p.tensor.name] = held[p.tensor.name]
        inputs = {name: value for name, value in by_role[Role.INPUT].items() if isinstance(value, Input)}
        return Property(question, inputs, by_role[Role.OUTPUT], "2.0", by_role[Role.HIDDEN], tensors)

    def _same_inputs(self, inputs: list[Placed], root: Node) -> dict[str, str]:
        """Inputs that are asserted to equal an earlier one, whose equations are taken out of the assertions."""
        equal = _equalities(self.rows.lengths, self.rows.columns, self.rows.values, self.rows.constants, root.leaves)
        same: dict[str, str] = {}
        gone: set[int] = set()
        for late, early in ((b, a) for k, b in enumerate(inputs) for a in inputs[:k]):
            if late.tensor.name in same or early.tensor.name in same or late.tensor.size != early.tensor.size:
                continue
            pairs = [
                pair
                for k in range(late.tensor.size)
                for pair in ((late.first + k, early.first + k), (early.first + k, late.first + k))
            ]
            if all(pair in equal for pair in pairs):
                same[late.tensor.name] = early.tensor.name
                gone.update(number for pair in pairs for number in equal[pair])
        root.leaves[:] = [leaf for leaf in root.leaves if leaf not in gone]
        return same

    def _move(self, order: list[Placed], starts: Mapping[str, int], same: Mapping[str, str]) -> None:
        """Renumber the columns of the comparisons: inputs first, equal inputs once."""
        target: IntArray = np.zeros(self.width, dtype=np.int64)
        for p in order:
            own = np.arange(p.tensor.size)
            target[p.first + own] = starts[same.get(p.tensor.name, p.tensor.name)] + own
        self.rows.columns = target[np.array(self.rows.columns, dtype=np.int64)].tolist()

    def _symbols(
        self, columns: list[Placed], starts: Mapping[str, int], same: Mapping[str, str], box: Box
    ) -> dict[str, Expr]:
        """The symbol of every tensor that has columns."""
        held: dict[str, Expr] = {}
        applications: dict[str, Application] = {}
        for p in self.placed.values():
            name = p.tensor.name
            if p.tensor.role is Role.INPUT:
                if name not in same:
                    part = slice(starts[name], starts[name] + p.tensor.size)
                    held[name] = Input(Box(box.lower[part], box.upper[part]), name)
                applications[p.owner] = Application(self.declared[p.owner], held[same.get(name, name)])
        for p in columns:
            if p.node:
                held[p.tensor.name] = Expr.of(NodeVariable(applications[p.owner], p.node))
        return held


def _check_roles(name: str, tensors: list[Declared]) -> None:
    for role in (Role.INPUT, Role.OUTPUT):
        count = sum(tensor.role is role for tensor in tensors)
        if count != 1:
            raise InvalidInput(
                f"the network {name} declares {count} {role.value} tensors, and networks here have one input and one "
                f"output; declare one, and give a network with one"
            )


def _labels(tensor: Declared) -> list[str]:
    if not tensor.shape:
        return [tensor.name]
    return [f"{tensor.name}[{','.join(map(str, k))}]" for k in itertools.product(*map(range, tensor.shape))]


def _sums(columns: list[Placed]) -> list[int]:
    """0, and where the columns of each tensor end."""
    return [0, *itertools.accumulate(p.tensor.size for p in columns)]


def _equalities(
    lengths: list[int], columns: list[int], values: list[float], constants: list[float], leaves: list[int]
) -> dict[tuple[int, int], list[int]]:
    """Which comparisons among some say a <= b, by (a, b)."""
    starts = [0, *itertools.accumulate(lengths)]
    found: dict[tuple[int, int], list[int]] = {}
    for k in leaves:
        if k >= 0 and lengths[k] == 2 and constants[k] == 0.0:
            at = starts[k]
            first, second = columns[at], columns[at + 1]
            if (values[at], values[at + 1]) == (1.0, -1.0):
                found.setdefault((first, second), []).append(k)
            elif (values[at], values[at + 1]) == (-1.0, 1.0):
                found.setdefault((second, first), []).append(k)
    return found
