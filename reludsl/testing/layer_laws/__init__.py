"""The laws that every layer keeps, grouped by what they are about. A law is a function named `law_*`.

Adding one is writing one: `LAYER_LAWS` collects every function of these modules whose name begins with `law_`, in the
order of its file. One that does not apply to a layer (rows of a maximum, the file of a type that is not registered) is
skipped with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from reludsl.testing.layer_laws import bounds, derivatives, files, matrix, programs, values
from reludsl.testing.layer_laws.subject import Subject

__all__ = ["LAYER_LAWS", "LayerLaw"]


@dataclass(frozen=True, slots=True)
class LayerLaw:
    """One thing that holds for every layer.

    Args:
        name: stable.
        statement: the law in one sentence.
        check: raises LawBroken when the layer breaks it, NotOffered when it does not apply.
    """

    name: str
    statement: str
    check: Callable[[Subject], None]


def _of(module: ModuleType) -> tuple[LayerLaw, ...]:
    return tuple(
        LayerLaw(name.removeprefix("law_"), (function.__doc__ or "").strip(), function)
        for name, function in vars(module).items()
        if name.startswith("law_")
    )


LAYER_LAWS: tuple[LayerLaw, ...] = tuple(
    law for module in (values, bounds, matrix, derivatives, programs, files) for law in _of(module)
)
"""All laws of layers."""
