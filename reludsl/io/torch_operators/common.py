"""Computed tensors of a traced module, and the messages for what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reludsl.errors import UnsupportedOperator

GUIDE = "docs/how-to/add-a-layer.md says how to add a layer type"


@dataclass(frozen=True)
class Tensor:
    """A computed tensor, by the name of its layer."""

    name: str


Handle = Callable[..., Any]
"""(tracing, label, arguments of the call ...) -> Tensor, or a collection of them, or a constant."""


def refused(label: str, form: str, instead: str) -> UnsupportedOperator:
    """An operation that no layer stands for."""
    return UnsupportedOperator(f"node {label!r} {form}; {instead} ({GUIDE})")


def holds_tensor(value: Any) -> bool:
    """Whether an argument is a computed tensor, or a collection or slice with one in it."""
    if isinstance(value, Tensor):
        return True
    return isinstance(value, (list, tuple)) and any(map(holds_tensor, value))


def each(value: Any, axes: int) -> tuple[int, ...]:
    """One number for each axis; a single one stands for all."""
    found = tuple(int(v) for v in value) if isinstance(value, (list, tuple)) else (int(value),)
    return found * axes if len(found) == 1 else found


def listed(values: tuple[Any, ...]) -> list[Any]:
    """The sizes or axes of a call that takes them one by one, or in one list."""
    return list(values[0]) if len(values) == 1 and isinstance(values[0], (list, tuple)) else list(values)
