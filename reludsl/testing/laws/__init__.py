"""The laws that every backend keeps, grouped by what they are about. A law is a function named `law_*`.

Adding one is writing one: `LAWS` collects every function of these modules whose name begins with `law_`, in
the order of its file. When one solver shows a fault, the law that forbids it belongs here, not with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from reludsl.backend import Backend
from reludsl.testing.laws import (
    callbacks,
    counting,
    indicators,
    integers,
    interrupts,
    limits,
    objective,
    proofs,
    replies,
    session,
    status,
)

__all__ = ["LAWS", "Law"]


@dataclass(frozen=True, slots=True)
class Law:
    """One thing that holds for every backend.

    Args:
        name: stable; node ids of tests are made of it.
        statement: the law in one sentence.
        check: raises LawBroken when the backend breaks it, NotOffered when it does not apply.
    """

    name: str
    statement: str
    check: Callable[[Backend], None]


def _of(module: ModuleType) -> tuple[Law, ...]:
    functions = {name: value for name, value in vars(module).items() if name.startswith("law_")}
    return tuple(
        Law(name.removeprefix("law_"), (function.__doc__ or "").strip(), function)
        for name, function in functions.items()
    )


_MODULES = (
    status,
    objective,
    integers,
    indicators,
    session,
    limits,
    interrupts,
    proofs,
    callbacks,
    replies,
    counting,
)

LAWS: tuple[Law, ...] = tuple(law for module in _MODULES for law in _of(module))
"""All laws."""
