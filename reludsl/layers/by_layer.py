"""Functions that do something else for every layer type, and can be told of more of them.

    @by_layer
    def write_layer(layer, ...): ...        what is done for types that nobody spoke of

    @write_layer.register
    def _(layer: Affine, ...): ...

As `functools.singledispatch`, but for a layer type as such: a class that derives from `Shift` is another function, and
nobody may take it for a `Shift`. What is registered for a kind of layers (`AffineLayer`, `MaxLayer`) holds for all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch, update_wrapper
from inspect import isabstract
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ByLayer(Generic[T]):
    """A function with an implementation per layer type; made by `by_layer`."""

    def __init__(self, function: Callable[..., T]) -> None:
        self._known = singledispatch(function)
        update_wrapper(self, function)

    def __call__(self, layer: Any, *arguments: Any, **named: Any) -> T:
        return self.dispatch(type(layer))(layer, *arguments, **named)

    def register(self, function: Callable[..., T]) -> Callable[..., T]:
        """Say what is done for the type that annotates the first argument."""
        return self._known.register(function)

    def dispatch(self, kind: type) -> Callable[..., T]:
        """What is done for a type: its own, or that of an abstract class it derives from."""
        registry = self._known.registry
        for base in kind.__mro__:
            if base in registry and (base is kind or base is object or isabstract(base)):
                return registry[base]
        return registry[object]


def by_layer(function: Callable[..., T]) -> ByLayer[T]:
    """Make a function that can be told of more layer types.

    >>> from reludsl.layers.affine import Shift
    >>> @by_layer
    ... def name(layer: object) -> str:
    ...     return "unknown"
    >>> @name.register
    ... def _(layer: Shift) -> str:
    ...     return "a shift"
    >>> class Centred(Shift):
    ...     pass
    >>> name(Shift([1.0])), name(Centred([1.0]))
    ('a shift', 'unknown')
    """
    return ByLayer(function)
