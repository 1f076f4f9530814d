"""Layer types by name: what files mean by a name, and the door for layer types from elsewhere.

    @register
    @dataclass(frozen=True, eq=False)
    class Upsample(AffineLayer): ...

A registered layer is a frozen dataclass, so that its fields are all that there is to it: readers and writers, and the
rounding to a file's number format, take it by its fields. What a field may hold is said in `fields_of`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.layers.base import Layer

T = TypeVar("T", bound=type)

_TYPES: dict[str, type] = {}


def register(kind: T) -> T:
    """Register a layer type under the name of its class. Used as a decorator, above `@dataclass`.

    Raises:
        InvalidInput: the name is taken, or the class is no dataclass.

    >>> from dataclasses import dataclass
    >>> @register
    ... @dataclass(frozen=True)
    ... class Affine:
    ...     pass
    Traceback (most recent call last):
    ...
    reludsl.errors.InvalidInput: a layer type 'Affine' is registered already (reludsl.layers.affine.Affine), ...
    """
    name = kind.__name__
    if name in _TYPES:
        known = _TYPES[name]
        raise InvalidInput(
            f"a layer type {name!r} is registered already ({known.__module__}.{known.__qualname__}), and a file could "
            "mean either of them; call yours something else"
        )
    if not is_dataclass(kind):
        raise InvalidInput(
            f"{name} is no dataclass, so that files cannot hold its fields; put @dataclass(frozen=True, eq=False) "
            "below @register"
        )
    _TYPES[name] = kind
    return kind


def registered() -> Mapping[str, type]:
    """Layer types by name."""
    return dict(_TYPES)


def fields_of(layer: Layer) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """The fields of a layer: those of numbers, texts and tuples of them, and those that are arrays.

    Raises:
        InvalidInput: a field holds something else.
    """
    plain: dict[str, Any] = {}
    arrays: dict[str, FloatArray] = {}
    for field in fields(cast(Any, layer)):
        if not field.init:
            continue
        value = getattr(layer, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        elif _is_plain(value):
            plain[field.name] = value
        else:
            raise InvalidInput(
                f"the field {field.name!r} of {type(layer).__name__} holds a {type(value).__name__}, which no file "
                "takes; give arrays, numbers, texts, or tuples of these"
            )
    return plain, arrays


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def made(name: str, values: Mapping[str, Any]) -> Layer:
    """A layer of a registered type from its fields; lists become tuples.

    Raises:
        InvalidInput: no such type, or the type refuses the values.
    """
    if name not in _TYPES:
        raise InvalidInput(
            f"no layer type {name!r} is registered; there are {', '.join(sorted(_TYPES))}: import the package that "
            "registers it first"
        )
    return cast(Layer, _TYPES[name](**{key: _tupled(value) for key, value in values.items()}))


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value
