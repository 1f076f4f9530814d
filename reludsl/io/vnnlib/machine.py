"""Commands of a property, one parenthesis at a time: no recursion, and only what is still open is kept.

Every parenthesis that closes is reduced to what it means: a linear term, a comparison, a formula, or a command.
The two versions of the language differ in their commands and in how a variable is written.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reludsl.errors import InvalidInput
from reludsl.io.vnnlib.comparisons import Rows
from reludsl.io.vnnlib.formula import Formula, Join
from reludsl.io.vnnlib.terms import Linear, number, plus, times
from reludsl.io.vnnlib.tokens import Tokens, shown

NESTING = 10_000
"""Parentheses inside parentheses; files that people and tools write have a few, or one per term of a sum."""


@dataclass(frozen=True, slots=True)
class Group:
    """A parenthesis that a command gives meaning to, e.g. `()` or `(declare-input X Real [5])`."""

    items: list[Any]
    opening: int


class Machine(ABC):
    """Reads commands; `asserted` and `rows` hold the assertions afterwards.

    Every reduction takes the items of a parenthesis, the head first, and the index of its opening token.
    """

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.rows = Rows()
        self.asserted: list[Formula] = []
        self.columns: dict[str, int] = {}
        self._reduce: dict[str, Callable[[list[Any], int], Any]] = {
            "<=": self._compare,
            ">=": self._compare,
            "<": self._compare,
            ">": self._compare,
            "=": self._equal,
            "==": self._equal,
            "!=": self._unequal,
            "and": lambda items, at: Join(True, self._formulas(items, at)),
            "or": lambda items, at: Join(False, self._formulas(items, at)),
            "not": self._not,
            "=>": self._implies,
            "+": self._plus,
            "-": self._minus,
            "*": self._times,
        }

    @abstractmethod
    def command(self, items: list[Any], opening: int) -> None:
        """Carry out a command at the outermost level."""

    @abstractmethod
    def group(self, items: list[Any], opening: int) -> Any:
        """A parenthesis inside a command whose head is no operator."""

    @abstractmethod
    def variables(self) -> str:
        """How variables are written, for messages."""

    def run(self) -> None:
        """Read all tokens."""
        frames: list[tuple[list[Any], int]] = []
        items: list[Any] = []
        opening = -1
        for k, token in enumerate(self.tokens.texts):
            if token == "(":
                frames.append((items, opening))
                items, opening = [], k
                if len(frames) > NESTING:
                    self.tokens.refuse(k, f"parentheses are nested more than {NESTING} deep; flatten the formula")
            elif token != ")":
                if token[0] == "[" and items and isinstance(items[-1], str):
                    items[-1] += (
                        ",".join(part.strip() for part in token.split(",")).replace("[ ", "[").replace(" ]", "]")
                    )
                else:
                    items.append(token)
                if opening < 0:
                    self.tokens.refuse(k, f"{shown(token)} stands outside any command; put it inside a parenthesis")
            elif opening < 0:
                self.tokens.refuse(k, "this ) closes nothing; remove it, or add the ( before")
            else:
                value = self._closed(items, opening, len(frames))
                items, opening = frames.pop()
                if frames:
                    items.append(value)
        if frames:
            self.tokens.refuse(opening, "this ( is never closed, so the file was cut off or lacks a ); add it")

    def _closed(self, items: list[Any], opening: int, depth: int) -> Any:
        try:
            if depth == 1:
                self.command(items, opening)
                return None
            reduce = self._reduce.get(items[0]) if items and isinstance(items[0], str) else None
            return self.group(items, opening) if reduce is None else reduce(items, opening)
        except _Placed as error:
            raise InvalidInput(str(error)) from None
        except InvalidInput as error:
            self.tokens.refuse(opening, str(error))

    def refuse(self, opening: int, item: int, message: str) -> _Placed:
        """The error about one item of a parenthesis."""
        return _Placed(f"{self.tokens.place(self.tokens.item(opening, item))}: {message}")

    # --- formulas ---

    def _formulas(self, items: list[Any], at: int) -> list[Formula]:
        if len(items) < 2:
            raise self.refuse(at, 1, f"{items[0]} has no parts; give at least one comparison")
        return [self.formula(item, k, at) for k, item in enumerate(items[1:], 1)]

    def formula(self, item: Any, k: int, at: int) -> Formula:
        """An item as a formula."""
        if isinstance(item, int | Join):
            return item
        if item in ("true", "false"):
            return Join(item == "true", [])
        raise self.refuse(at, k, f"{_named(item)} is no formula; give a comparison such as (<= Y_0 1.5), and, or, not")

    def _not(self, items: list[Any], at: int) -> Formula:
        parts = self._formulas(items, at)
        if len(parts) != 1:
            raise self.refuse(at, 2, f"not has {len(parts)} parts; give one, or write (not (and ...))")
        return Join(True, parts, negated=True)

    def _implies(self, items: list[Any], at: int) -> Formula:
        *before, last = self._formulas(items, at)
        return Join(False, [*(Join(True, [part], negated=True) for part in before), last])

    # --- comparisons ---

    def _compare(self, items: list[Any], at: int) -> Formula:
        operator = items[0]
        strict, rising = len(operator) == 1, operator[0] == "<"
        if len(items) == 3:
            left, right = items[1:] if rising else items[:0:-1]
            if isinstance(left, str) and isinstance(right, str):
                simple = self._simple(left, right, strict)
                if simple is not None:
                    return simple
        values = self._compared(items, at)
        if not rising:
            values.reverse()
        pairs = [self._less(values[k], values[k + 1], strict) for k in range(len(values) - 1)]
        return pairs[0] if len(pairs) == 1 else Join(True, [*pairs])

    def _simple(self, left: str, right: str, strict: bool) -> int | None:
        """left <= right for a variable and a number, or two variables, which nearly all comparisons are between."""
        first, second = self.columns.get(left), self.columns.get(right)
        if first is None:
            value = number(left)
            if second is None or value is None or math.isinf(value):
                return None
            return self.rows.bound(second, -1.0, value, strict)
        if second is None:
            value = number(right)
            return None if value is None or math.isinf(value) else self.rows.bound(first, 1.0, -value, strict)
        return None if first == second else self.rows.pair(first, second, strict)

    def _compared(self, items: list[Any], at: int) -> list[Linear]:
        if len(items) < 3:
            raise self.refuse(at, len(items), f"{items[0]} compares {len(items) - 1} values; give at least two")
        return self._linears(items, at)

    def _less(self, left: Linear, right: Linear, strict: bool) -> int:
        return self.rows.linear(plus(_copy(left), times(_copy(right), -1.0)), strict)

    def _equal(self, items: list[Any], at: int) -> Formula:
        values = self._compared(items, at)
        sides = [
            self._less(a, b, False)
            for k in range(len(values) - 1)
            for a, b in ((values[k], values[k + 1]), (values[k + 1], values[k]))
        ]
        return Join(True, [*sides])

    def _unequal(self, items: list[Any], at: int) -> Formula:
        if len(items) != 3:
            raise self.refuse(at, len(items), f"!= compares {len(items) - 1} values; give two")
        return Join(True, [self._equal(items, at)], negated=True)

    # --- terms ---

    def _linears(self, items: list[Any], at: int) -> list[Linear]:
        return [self._linear(item, k, at) for k, item in enumerate(items[1:], 1)]

    def _linear(self, item: Any, k: int, at: int) -> Linear:
        if isinstance(item, Linear):
            return item
        if isinstance(item, str):
            try:
                value = number(item)
                if value is not None and math.isinf(value):
                    raise InvalidInput("is larger than float64 holds, about 1.8e308; scale the property")
                if value is not None:
                    return Linear(value, {})
                return Linear(0.0, {self.column(item): 1.0})
            except InvalidInput as error:
                raise self.refuse(at, k, f"{shown(item)} {error}") from None
        raise self.refuse(at, k, f"{_named(item)} is no number; give a variable, a constant, or (+ - *) of them")

    def column(self, name: str) -> int:
        """The column of a variable.

        Raises:
            InvalidInput: not declared.
        """
        if name not in self.columns:
            raise InvalidInput(f"is neither a number nor declared; {self.variables()}")
        return self.columns[name]

    def _plus(self, items: list[Any], at: int) -> Linear:
        total = Linear(0.0, {})
        for value in self._some(items, at):
            total = plus(total, value)
        return total

    def _minus(self, items: list[Any], at: int) -> Linear:
        first, *others = self._some(items, at)
        if not others:
            return times(first, -1.0)
        for value in others:
            first = plus(first, times(value, -1.0))
        return first

    def _times(self, items: list[Any], at: int) -> Linear:
        total, *others = self._some(items, at)
        for k, value in enumerate(others, 2):
            if total.terms and value.terms:
                raise self.refuse(
                    at,
                    k,
                    "two variables are multiplied, which is not linear, and only linear terms can be asked about; "
                    "keep one variable in each product",
                )
            total = times(value, total.constant) if value.terms else times(total, value.constant)
        return total

    def _some(self, items: list[Any], at: int) -> list[Linear]:
        values = self._linears(items, at)
        if not values:
            raise self.refuse(at, 1, f"{items[0]} has no operands; give at least one")
        return values


class _Placed(InvalidInput):
    """An error whose message already says where."""


def _copy(value: Linear) -> Linear:
    return Linear(value.constant, dict(value.terms))


def _named(item: Any) -> str:
    """What an item is, in a message."""
    if isinstance(item, str):
        return shown(item)
    return "a term" if isinstance(item, Linear) else "a formula" if isinstance(item, int | Join) else "this parenthesis"
