"""Operations and modules of PyTorch, by theme, and the door for modules of others.

Operations are known by name: `relu` is torch.relu, torch.nn.functional.relu, x.relu(), and aten::relu of an exported
graph; `relu_` is the same in place.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reludsl.errors import InvalidInput
from reludsl.io.torch_operators import activations, arithmetic, shapes, spatial
from reludsl.io.torch_operators.common import Handle as Handle
from reludsl.io.torch_operators.common import Tensor as Tensor

_THEMES = (activations, arithmetic, shapes, spatial)

FUNCTIONS: Mapping[str, Handle] = {name: read for theme in _THEMES for name, read in theme.FUNCTIONS.items()}
FUNCTIONAL: Mapping[str, Handle] = {**shapes.FUNCTIONAL, **spatial.FUNCTIONAL}
MODULES: Mapping[str, Handle] = {name: read for theme in _THEMES for name, read in theme.MODULES.items()}
"""Modules of torch.nn, by name."""

REGISTERED: dict[type, Handle] = {}
"""Modules of others: (reading, module, label, sources ...) -> name of the value."""


@dataclass(frozen=True)
class Operation:
    """What a call means, and whether it changes its first argument."""

    handle: Handle
    in_place: bool = False


def operations(torch: Any) -> dict[Any, Operation]:
    """Operations by what stands in a traced graph: functions, and names of methods with a dot before them."""
    table: dict[Any, Operation] = {getattr: Operation(shapes.attribute)}
    spaces = [(torch, FUNCTIONS), (torch.nn.functional, {**FUNCTIONS, **FUNCTIONAL}), (operator, FUNCTIONS)]
    for space, functions in spaces:
        for name, handle in functions.items():
            for spelt, changes in ((name, False), (f"{name}_", True)):
                if callable(getattr(space, spelt, None)):
                    table[getattr(space, spelt)] = Operation(handle, changes)
    for name, handle in FUNCTIONS.items():
        for spelt, changes in ((name, False), (f"{name}_", True)):
            if hasattr(torch.Tensor, spelt):
                table[f".{spelt}"] = Operation(handle, changes)
    for name in ("add", "sub", "mul", "truediv"):
        table[getattr(operator, f"i{name}")] = Operation(FUNCTIONS[name], True)
    return table


def aten(target: Any) -> Operation | None:
    """The operation of a node in an exported graph."""
    packet = getattr(target, "overloadpacket", None)
    if packet is None or getattr(target, "namespace", "") != "aten":
        return None
    name = str(packet.__name__)
    handle = FUNCTIONS.get(name.removesuffix("_"))
    return None if handle is None else Operation(handle, name.endswith("_"))


def modules(torch: Any) -> dict[type, Handle]:
    """Modules of torch.nn by class."""
    return {getattr(torch.nn, name): handle for name, handle in MODULES.items() if hasattr(torch.nn, name)}


def register_module(kind: type, read: Handle) -> None:
    """Read a type of module that this library does not know; tracing does not look into it.

        def read_hat(reading, module, label, source):
            return reading.build.layer(label, Hat(module.width), source)

        register_module(HatModule, read_hat)

    Args:
        kind: a subclass of `torch.nn.Module`; modules of its subclasses are read alike.
        read: (reading, module, label, sources ...) -> name of the value. Sources are the names of the values that the
            module is called with, `reading.constant(tensor, label)` is a parameter or buffer as an array, and
            `reading.build` the network so far: its methods append layers under the name `label`.

    Raises:
        InvalidInput: no type of module, or one that is known already.
    """
    if not isinstance(kind, type) or "torch.nn.modules.module" not in {base.__module__ for base in kind.__mro__}:
        raise InvalidInput(f"{kind!r} is no type of torch.nn.Module, so no module is of it; give a class")
    builtin = kind.__module__.startswith("torch.nn.") and kind.__name__ in MODULES
    if kind in REGISTERED or builtin:
        raise InvalidInput(
            f"modules of type {kind.__qualname__} are read already, and a network could come out either way; "
            "register a class of your own"
        )
    REGISTERED[kind] = read
