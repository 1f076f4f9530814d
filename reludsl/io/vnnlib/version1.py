"""VNN-LIB 1.0: one network, whose inputs are called X_0, X_1, ... and whose outputs Y_0, Y_1, ..."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.expr import Input
from reludsl.io.vnnlib.comparisons import Block
from reludsl.io.vnnlib.formula import normalized
from reludsl.io.vnnlib.machine import Group, Machine
from reludsl.io.vnnlib.property import Property, Tensor, asked
from reludsl.io.vnnlib.tokens import Tokens, shown
from reludsl.network import Network

_VARIABLE = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")

IGNORED = frozenset({"set-logic", "set-info", "set-option", "check-sat", "get-model", "exit", "vnnlib-version"})
"""Commands that say nothing about which inputs are sought."""


class Reader(Machine):
    """Reads the commands of version 1.0."""

    def __init__(self, tokens: Tokens, network: Network) -> None:
        super().__init__(tokens)
        self.network = network
        self.seen = {"X": 0, "Y": 0}
        self.highest = {"X": -1, "Y": -1}

    def variables(self) -> str:
        return "declare it with (declare-const X_0 Real), with X for inputs and Y for outputs"

    def group(self, items: list[Any], opening: int) -> Any:
        if items:
            raise InvalidInput(
                f"{shown(items[0]) if isinstance(items[0], str) else 'a parenthesis'} is no operator; "
                "there are <= >= < > = and or not => + - *"
            )
        return Group(items, opening)

    def command(self, items: list[Any], opening: int) -> None:
        match items:
            case ["assert", formula]:
                self.asserted.append(self.formula(formula, 1, opening))
            case ["declare-const", str(name), kind]:
                self._declare(name, kind, opening)
            case ["declare-fun", str(name), Group([]), kind]:
                self._declare(name, kind, opening)
            case [str(head), *_] if head in IGNORED:
                pass
            case ["assert" | "declare-const" | "declare-fun" as head, *rest]:
                form = {"assert": "(assert formula)", "declare-const": "(declare-const X_0 Real)"}
                raise InvalidInput(
                    f"{head} with {len(rest)} items; write {form.get(head, '(declare-fun X_0 () Real)')}"
                )
            case _:
                head = shown(items[0]) if items and isinstance(items[0], str) else "this parenthesis"
                raise InvalidInput(f"{head} is no command of VNN-LIB 1.0; there are declare-const, declare-fun, assert")

    def _declare(self, name: str, kind: Any, opening: int) -> None:
        if kind != "Real":
            raise self.refuse(opening, len(self.tokens), f"{name} has the type {_word(kind)}; write Real")
        found = _VARIABLE.fullmatch(name)
        if found is None:
            raise self.refuse(
                opening, 1, f"{shown(name)} is neither an input X_0, X_1, ... nor an output Y_0, Y_1, ...; rename it"
            )
        if name in self.columns:
            raise self.refuse(opening, 1, f"{name} is declared twice; remove one of the declarations")
        letter, index = found[1], int(found[2])
        self.columns[name] = index if letter == "X" else self.network.input_size + index
        self.seen[letter] += 1
        self.highest[letter] = max(self.highest[letter], index)

    def property(self) -> Property:
        """The property, after `run`.

        Raises:
            InvalidInput: it is not about this network, or an input has no bound.
        """
        network = self.network
        self._check_sizes()
        sizes = (network.input_size, network.input_size + network.output_size)
        held: list[Tensor] = []

        def layout(box: Box) -> Sequence[Block]:
            x = Input(box, "X")
            y = network(x)
            (output,) = y.terms
            held.extend((Tensor("X", "Real", (x.size,), x), Tensor("Y", "Real", (y.size,), y)))
            return Block(x.variable, 0), Block(output, network.input_size)

        names = [f"X_{k}" for k in range(network.input_size)]
        question = asked(normalized(self.asserted), self.rows, sizes, names, layout)
        x, y = (tensor.value for tensor in held)
        assert isinstance(x, Input)
        return Property(question, {"X": x}, {"Y": y}, "1.0", tensors=tuple(held))

    def _check_sizes(self) -> None:
        wanted = {"X": self.network.input_size, "Y": self.network.output_size}
        if self.seen != wanted:
            raise InvalidInput(
                f"the property declares {self.seen['X']} inputs X and {self.seen['Y']} outputs Y, and the network has "
                f"{wanted['X']} and {wanted['Y']}; give the network that the property was written for"
            )
        for letter, size in wanted.items():
            if self.highest[letter] >= size:
                raise InvalidInput(
                    f"the property declares {letter}_{self.highest[letter]} and only {size} variables {letter}, so "
                    f"that some are left out; number them from {letter}_0 to {letter}_{size - 1}"
                )


def _word(kind: Any) -> str:
    return shown(kind) if isinstance(kind, str) else "in parentheses"
