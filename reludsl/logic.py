"""Conditions: what may hold at an input. Comparisons of expressions, joined by `& | ~`.

    (y[0] >= y[1]) & ((h[2] <= 0) | ~(h[3] > 0.5))

A condition is kept in negation normal form: `~` is pushed down to the comparisons when it is written, so that
only three kinds of node exist, and none of them is a negation:

    Atoms    e_k <= 0 or e_k < 0, for every k or for at least one k
    All      every part holds
    AnyOf    at least one part holds

Strictness is exact: `~(a <= b)` is `a > b`. The *slack* of a condition at an input says how far it holds,

    slack(e <= 0) = -e,   slack(a & b) = min,   slack(a | b) = max,   slack(~a) = -slack(a),

positive inside, negative outside; on the boundary strictness decides.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput

if TYPE_CHECKING:
    from reludsl.expr import Expr


class Condition(ABC):
    """Something that holds at an input or does not. Made by comparing expressions."""

    __array_ufunc__ = None  # numpy hands np.True_ & condition over to this class
    __slots__ = ()

    @abstractmethod
    def __invert__(self) -> Condition:
        """What holds exactly where this does not."""

    @property
    @abstractmethod
    def atoms(self) -> Iterator[Atoms]:
        """Every comparison in it, in order."""

    def __and__(self, other: Any) -> Condition:
        return all_of(self, _condition(other, "&"))

    def __or__(self, other: Any) -> Condition:
        return any_of(self, _condition(other, "|"))

    __rand__ = __and__
    __ror__ = __or__

    def __bool__(self) -> NoReturn:
        raise TypeError(
            "a condition on symbols is neither true nor false: it stands for many inputs at once. "
            "Write `a & b` for `a and b`, `a | b` for `a or b`, `~a` for `not a`, "
            "`(lo <= x) & (x <= hi)` for `lo <= x <= hi`, implies(a, b) for `b if a`, "
            "and argmax_is(...) or maximize(...) for `max(...)`; ask prove(...) whether it always holds"
        )


@dataclass(frozen=True, eq=False, slots=True)
class Atoms(Condition):
    """`expr[k] <= 0` (or `< 0`), for every k, or for at least one.

    Args:
        expr: what is compared with zero.
        strict: `<` instead of `<=`.
        every: all elements must satisfy it; otherwise one is enough.
    """

    expr: Expr
    strict: bool = False
    every: bool = True

    def __invert__(self) -> Atoms:
        return Atoms(-self.expr, not self.strict, not self.every)

    @property
    def atoms(self) -> Iterator[Atoms]:
        yield self

    def __len__(self) -> int:
        return len(self.expr)

    def __getitem__(self, key: Any) -> Atoms:
        return Atoms(self.expr[key], self.strict, self.every)

    def __iter__(self) -> Iterator[Atoms]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        which = "" if len(self) == 1 else " everywhere" if self.every else " somewhere"
        return f"({self.expr!r} {'<' if self.strict else '<='} 0{which})"


@dataclass(frozen=True, eq=False, slots=True)
class All(Condition):
    """Every part holds; with no parts it always does."""

    parts: tuple[Condition, ...] = ()

    def __invert__(self) -> Condition:
        return any_of(*(~p for p in self.parts))

    @property
    def atoms(self) -> Iterator[Atoms]:
        for part in self.parts:
            yield from part.atoms

    def __repr__(self) -> str:
        return "(" + " & ".join(map(repr, self.parts)) + ")" if self.parts else "always"


@dataclass(frozen=True, eq=False, slots=True)
class AnyOf(Condition):
    """At least one part holds; with no parts it never does."""

    parts: tuple[Condition, ...] = ()

    def __invert__(self) -> Condition:
        return all_of(*(~p for p in self.parts))

    @property
    def atoms(self) -> Iterator[Atoms]:
        for part in self.parts:
            yield from part.atoms

    def __repr__(self) -> str:
        return "(" + " | ".join(map(repr, self.parts)) + ")" if self.parts else "never"


ALWAYS = All()
"""The condition that holds at every input."""

NEVER = AnyOf()
"""The condition that holds at no input."""


def all_of(*conditions: Condition | Iterable[Condition]) -> Condition:
    """a & b & ...: all of them hold; of none, always.

    Args:
        conditions: one by one, or as an iterable.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (2,))
    >>> all_of(x[0] <= x[1], x[0] >= 0.5)
    ((Expr(size=1, over=[x]) <= 0) & (Expr(size=1, over=[x]) <= 0))
    """
    parts = _flat(conditions, All, "all_of")
    if any(isinstance(p, AnyOf) and not p.parts for p in parts):
        return NEVER
    return parts[0] if len(parts) == 1 else All(parts) if parts else ALWAYS


def any_of(*conditions: Condition | Iterable[Condition]) -> Condition:
    """a | b | ...: at least one of them holds; of none, never.

    Args:
        conditions: one by one, or as an iterable.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (2,))
    >>> ~any_of(x[k] <= 0.5 for k in range(2))
    ((Expr(size=1, over=[x]) < 0) & (Expr(size=1, over=[x]) < 0))
    """
    parts = _flat(conditions, AnyOf, "any_of")
    if any(isinstance(p, All) and not p.parts for p in parts):
        return ALWAYS
    return parts[0] if len(parts) == 1 else AnyOf(parts) if parts else NEVER


def implies(condition: Condition, consequence: Condition) -> Condition:
    """~a | b: wherever the first holds, the second does.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (2,))
    >>> implies(x[0] <= 0.5, x[1] <= 0.5)
    ((Expr(size=1, over=[x]) < 0) | (Expr(size=1, over=[x]) <= 0))
    """
    return ~_condition(condition, "implies") | consequence


def shifted(condition: Condition, margin: float) -> Condition:
    """The condition with every comparison asked to hold by `margin`: slack(shifted) = slack - margin.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (1,))
    >>> float(shifted(x <= 1, 0.25).expr.constant[0])
    -0.75
    """
    match condition:
        case _ if margin == 0.0:
            return condition
        case Atoms():
            return Atoms(condition.expr + margin, condition.strict, condition.every)
        case All():
            return All(tuple(shifted(part, margin) for part in condition.parts))
        case AnyOf():
            return AnyOf(tuple(shifted(part, margin) for part in condition.parts))
        case _:
            raise TypeError(f"{type(condition).__name__} is no kind of condition")


def slack(condition: Condition, values: Callable[[Expr], FloatArray]) -> FloatArray:
    """How far a condition holds (see the module), for a batch of inputs: (m,). +-inf for ALWAYS and NEVER.

    Args:
        values: an expression -> its values at the inputs, shape (m, size).
    """
    match condition:
        case Atoms():
            below = -values(condition.expr)
            ends = below.min(axis=1, initial=np.inf) if condition.every else below.max(axis=1, initial=-np.inf)
            return np.asarray(ends)
        case All():
            held = [slack(part, values) for part in condition.parts]
            return np.min(held, axis=0) if held else np.array(np.inf)
        case AnyOf():
            held = [slack(part, values) for part in condition.parts]
            return np.max(held, axis=0) if held else np.array(-np.inf)
        case _:
            raise TypeError(f"{type(condition).__name__} is no kind of condition")


def _flat(
    given: Iterable[Condition | Iterable[Condition]], kind: type[All | AnyOf], what: str
) -> tuple[Condition, ...]:
    """The parts, those of the same kind taken apart; iterables are opened (a vector condition is none)."""
    found: list[Condition] = []
    for item in given:
        several = [item] if isinstance(item, Condition) or not isinstance(item, Iterable) else item
        for part in several:
            part = _condition(part, what)
            found.extend(part.parts if isinstance(part, kind) else (part,))
    return tuple(found)


def _condition(value: Any, what: str) -> Condition:
    if isinstance(value, Atoms) and not len(value):
        return ALWAYS if value.every else NEVER
    if isinstance(value, Condition):
        return value
    raise InvalidInput(
        f"{what} joins conditions and got {value!r} ({type(value).__name__}); compare expressions first, "
        "e.g. (y[0] >= y[1]) & (x[0] <= 0.5), with each comparison in parentheses"
    )
