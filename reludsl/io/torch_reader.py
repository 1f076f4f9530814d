"""What a traced module computes, as a network: one pass over an fx graph.

Calls on computed tensors become layers; all others are constants, and are computed as they stand. What each call
means is said in `reludsl.io.torch_operators`.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput, ReludslError, UnsupportedOperator
from reludsl.io.build import Building
from reludsl.io.files import first_line
from reludsl.io.torch_operators import (
    FUNCTIONAL,
    FUNCTIONS,
    REGISTERED,
    Operation,
    Tensor,
    activations,
    aten,
    modules,
    operations,
)
from reludsl.io.torch_operators.common import GUIDE, holds_tensor
from reludsl.layers import Shape
from reludsl.network import INPUT, Network

GUARDS = "_guards_fn"
"""A module that torch.export puts in front: it checks shapes, and computes nothing."""


def traced(torch: Any, module: Any, shape: Shape) -> tuple[Any, Any]:
    """An fx graph of a module, and the module that its attributes belong to.

    Symbolic tracing keeps modules whole, but follows no decision on shapes; `torch.export` does, and is tried then.

    Raises:
        UnsupportedOperator: neither can.
    """

    class Leaves(torch.fx.Tracer):  # type: ignore[misc]
        def is_leaf_module(self, part: Any, name: str) -> bool:
            return isinstance(part, tuple(REGISTERED)) or bool(super().is_leaf_module(part, name))

    try:
        return Leaves().trace(module), module
    # tracing runs the user's own code
    except Exception as error:
        reason = first_line(error)
    try:
        kinds = [p.dtype for p in module.parameters() if p.is_floating_point()]
        example = torch.zeros(shape, dtype=kinds[0] if kinds else torch.float32)
        exported = torch.export.export(module, (example,)).module()
        return exported.graph, exported
    except Exception as error:
        raise UnsupportedOperator(
            f"neither torch.fx nor torch.export can trace the module ({reason}; {first_line(error)}); its forward may "
            "not branch on values: write it without, or export it to ONNX"
        ) from None


class Tracing:
    """One pass over an fx graph: computed tensors are names of layers, all else is a value."""

    def __init__(self, torch: Any, module: Any, shape: Sequence[int]) -> None:
        self.torch = torch
        self.module = module
        self.build = Building(shape)
        self.computed: dict[Any, str] = {}
        self.values: dict[Any, Any] = {}
        self.operations = operations(torch)
        self.modules = modules(torch)

    def network(self, graph: Any) -> Network:
        output: Any = None
        for node in graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "output":
                output = node.args[0]
            elif node.op == "get_attr":
                self.values[node] = operator.attrgetter(str(node.target))(self.module)
            elif not (node.op == "call_module" and node.target == GUARDS):
                self._operation(node)
        if isinstance(output, (tuple, list)) and len(output) == 1:
            # exported graphs return a tuple, of one tensor or more
            output = output[0]
        if output not in self.computed:
            raise InvalidInput(
                "the module returns no single computed tensor, and a network has one output; "
                "return the tensor you ask about"
            )
        return self.build.network(self.computed[output])

    def _placeholder(self, node: Any) -> None:
        if not self.computed:
            self.computed[node] = INPUT
        elif node.args:
            self.values[node] = node.args[0]
        else:
            raise InvalidInput(
                f"the module has a second input {node.target!r} and a network has one; "
                "give it a default, or make it a buffer"
            )

    def _operation(self, node: Any) -> None:
        arguments = [self._held(a) for a in node.args]
        named = {key: self._held(value) for key, value in node.kwargs.items()}
        if not any(map(holds_tensor, (*arguments, *named.values()))):
            # computed from constants alone: sizes, products of parameters
            self._keep(node, self._plain(node, arguments, named))
            return
        if node.op == "call_module":
            label, title, found = self._module(node, arguments)
        else:
            method = node.op == "call_method"
            label, target = str(node.name), f".{node.target}" if method else node.target
            title = target if method else getattr(target, "__name__", str(target))
            found = self.operations.get(target) or aten(target)
        if found is None:
            known = sorted({*(kind.__name__ for kind in (*self.modules, *REGISTERED)), *FUNCTIONS, *FUNCTIONAL})
            raise UnsupportedOperator(
                f"node {label!r} is a {title}, which no layer stands for; supported are {', '.join(known)}: "
                f"write the module with these, or add the operation ({GUIDE})"
            )
        try:
            result = found.handle(self, label, *arguments, **named)
        except ReludslError:
            raise
        except TypeError as error:
            raise UnsupportedOperator(
                f"node {label!r} uses {title} in a form that is not supported ({first_line(error)})"
            ) from None
        # axes that a tensor does not have break numpy in as many ways as there are operations
        except Exception as error:
            raise InvalidInput(
                f"node {label!r} ({title}) cannot be read ({first_line(error)}); check input_shape"
            ) from None
        self._keep(node, result)
        changed = node.args[0] if node.args else None
        if isinstance(result, Tensor) and changed in self.computed and (found.in_place or _in_place(node, arguments)):
            # what is called so from here on has the new value
            self.computed[changed] = result.name

    def _module(self, node: Any, arguments: list[Any]) -> tuple[str, str, Operation | None]:
        """Name, title and meaning of a module's call; the module goes in front of its arguments."""
        label, part = str(node.target), self.module.get_submodule(node.target)
        arguments.insert(0, part)
        for kind, read in REGISTERED.items():
            if isinstance(part, kind):

                def handle(t: Tracing, label: str, module: Any, *given: Any, read: Any = read, **named: Any) -> Tensor:
                    names = [v.name if isinstance(v, Tensor) else v for v in given]
                    return Tensor(read(t, module, label, *names, **named))

                return label, type(part).__name__, Operation(handle)
        handles = (handle for kind, handle in self.modules.items() if isinstance(part, kind))
        found = next(handles, None)
        return label, type(part).__name__, None if found is None else Operation(found)

    def _keep(self, node: Any, result: Any) -> None:
        if isinstance(result, Tensor):
            self.computed[node] = result.name
        else:
            self.values[node] = result

    def _plain(self, node: Any, arguments: list[Any], named: Mapping[str, Any]) -> Any:
        try:
            with self.torch.no_grad():
                if node.op == "call_function":
                    return node.target(*arguments, **named)
                if node.op == "call_method":
                    return getattr(arguments[0], node.target)(*arguments[1:], **named)
        except Exception as error:
            raise UnsupportedOperator(f"node {node.name!r} cannot be computed ({first_line(error)})") from None
        raise UnsupportedOperator(f"node {node.name!r} applies a module to a constant; compute it beforehand")

    def _held(self, value: Any) -> Any:
        """An argument of a traced call: a computed tensor, a constant, or a collection of these."""
        if isinstance(value, tuple):
            return tuple(self._held(v) for v in value)
        if isinstance(value, list):
            return [self._held(v) for v in value]
        if isinstance(value, slice):
            return slice(self._held(value.start), self._held(value.stop), self._held(value.step))
        if isinstance(value, self.torch.fx.Node):
            return Tensor(self.computed[value]) if value in self.computed else self.values[value]
        return value

    def constant(self, value: Any, label: str) -> FloatArray:
        """A number, buffer or parameter as float64."""
        if isinstance(value, self.torch.Tensor):
            if value.dtype.is_complex:
                raise InvalidInput(f"node {label!r} computes with complex numbers; give real ones")
            return np.asarray(value.detach().to(self.torch.float64).cpu().numpy())
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return np.asarray(float(value))
        raise UnsupportedOperator(
            f"node {label!r} computes with a {type(value).__name__}; supported are numbers, buffers and parameters"
        )

    def shape(self, tensor: Tensor) -> Shape:
        return self.build.shapes[tensor.name]


def _title(target: Any) -> str:
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def _in_place(node: Any, arguments: Sequence[Any]) -> bool:
    """Whether a call says inplace=True."""
    if node.op == "call_module":
        return bool(getattr(arguments[0], "inplace", False))
    # the only argument of an activation that is True is this one; elsewhere it may be keepdim
    positional = arguments[-1] is True and _title(node.target) in activations.FUNCTIONS
    return bool(node.kwargs.get("inplace", False)) or positional
