"""PyTorch modules in and out.

    net = from_torch(module)          traced by torch.fx, compared with the module on random points
    module = to_torch(net)            nn.Sequential of Linear, ReLU, ...

A module is read as it computes in eval mode (Dropout does nothing); it is copied, never changed. Shapes count
the batch axis as 1, as in ONNX files: `from_torch(module, (1, 3, 32, 32))`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput, MissingBackend, UnsupportedOperator
from reludsl.io.build import Building, Side
from reludsl.io.files import first_line
from reludsl.io.rounding import number_format, rounded
from reludsl.layers import Shape, relu
from reludsl.network import INPUT, Network

CHECK_POINTS = 16
"""Random points on which an import is compared with the module."""


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingBackend(
            f"PyTorch is not installed ({error}), so its modules can neither be read nor made; "
            "pip install 'reludsl[torch]', or exchange an ONNX file"
        ) from None
    return torch


def from_torch(module: Any, input_shape: Sequence[int] | None = None, *, check: bool = True) -> Network:
    """The network that a `torch.nn.Module` computes in eval mode.

    Supported: Linear, ReLU, Flatten, Unflatten, Identity, Dropout; relu, flatten, reshape, view, linear,
    matmul; + - * / and their functions, with numbers, buffers and parameters; size and shape.

    Args:
        input_shape: shape of the input, the batch axis counted as 1; by default (1, n) with n the inputs of
            the module's first Linear.
        check: compare network and module on 16 random points of [0, 1].

    Raises:
        MissingBackend: PyTorch is not installed.
        UnsupportedOperator: an operation that no layer stands for, branches that meet, control flow.
        InvalidInput: shapes that do not fit, weights that are not finite, several inputs or outputs, results
            that differ from the module's.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise InvalidInput(f"{type(module).__name__} is no torch.nn.Module; give a module, e.g. nn.Sequential(...)")
    import copy

    still = copy.deepcopy(module).eval().cpu()
    shape = tuple(input_shape) if input_shape is not None else _guessed_shape(torch, still)
    try:
        graph = torch.fx.symbolic_trace(still).graph
    # tracing runs the user's own code
    except Exception as error:
        raise UnsupportedOperator(
            f"torch.fx cannot trace the module ({first_line(error)}); its forward may not branch on values: "
            "write it without, or export it to ONNX"
        ) from None
    net = _Tracing(torch, still, shape).network(graph)
    if check:
        _compare(torch, still, net)
    return net


def _guessed_shape(torch: Any, module: Any) -> Shape:
    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            return (1, int(part.in_features))
    raise InvalidInput("the module has no Linear that tells its input size; give input_shape, e.g. (1, 784)")


def _compare(torch: Any, module: Any, net: Network) -> None:
    kinds = [p.dtype for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()]
    points = np.random.default_rng(0).random((CHECK_POINTS, net.input_size)).astype(np.float32)
    kind = kinds[0] if kinds else torch.float32
    with torch.no_grad():
        inputs = [torch.tensor(x.reshape(net.input_shape)).to(kind) for x in points]
        theirs = np.stack([module(x).to(torch.float64).numpy().ravel() for x in inputs])
        ours = net(np.stack([x.to(torch.float64).numpy().ravel() for x in inputs])).reshape(CHECK_POINTS, -1)
    coarse = kind in (torch.float16, torch.bfloat16)
    allowed = (5e-2 if coarse else 1e-4) * (1 + float(np.abs(ours).max()))
    gap = float(np.abs(theirs - ours).max()) if theirs.shape == ours.shape else math.inf
    if not gap <= allowed:
        raise InvalidInput(
            f"network and module differ by {gap:.3g} on random points of [0, 1], more than the {allowed:.2g} "
            "that rounding explains (an operation in place?), so answers would be about another function; "
            "write the forward pass without in-place operations, or read it with check=False"
        )


class _Tracing:
    """One pass over an fx graph: computed tensors are names of layers, all else is a value."""

    def __init__(self, torch: Any, module: Any, shape: Shape) -> None:
        self.torch = torch
        self.module = module
        self.build = Building(shape)
        self.computed: dict[Any, str] = {}
        self.values: dict[Any, Any] = {}
        self.operations = _operations(torch)

    def network(self, graph: Any) -> Network:
        output: Any = None
        for node in graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "output":
                output = node.args[0]
            elif node.op == "get_attr":
                self.values[node] = operator.attrgetter(str(node.target))(self.module)
            else:
                self._operation(node)
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
        target = node.target
        if node.op == "call_module":
            part = self.module.get_submodule(target)
            handle = next((h for kind, h in _modules(self.torch).items() if isinstance(part, kind)), None)
            title, arguments = type(part).__name__, [part, *arguments]
        elif node.op == "call_method":
            handle, title = self.operations.get(f".{target}"), f".{target}"
        else:
            handle, title = self.operations.get(target), getattr(target, "__name__", str(target))
        if not any(isinstance(a, _Tensor) for a in (*arguments, *named.values())):
            # computed from constants alone: sizes, products of parameters
            self.values[node] = self._plain(node, arguments, named)
            return
        label = str(target) if node.op == "call_module" else str(node.name)
        if handle is None:
            known = sorted({*(k.__name__ for k in _modules(self.torch)), *map(_title, self.operations)})
            raise UnsupportedOperator(
                f"node {label!r} is a {title}, which no layer stands for; supported are {', '.join(known)}"
            )
        try:
            result = handle(self, label, *arguments, **named)
        except TypeError as error:
            raise UnsupportedOperator(
                f"node {label!r} uses {title} in a form that is not supported ({first_line(error)})"
            ) from None
        if isinstance(result, _Tensor):
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
        if isinstance(value, (list, tuple)):
            return type(value)(self._held(v) for v in value)
        if isinstance(value, self.torch.fx.Node):
            return _Tensor(self.computed[value]) if value in self.computed else self.values[value]
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

    def shape(self, tensor: _Tensor) -> Shape:
        return self.build.shapes[tensor.name]


class _Tensor:
    """A computed tensor, by the name of its layer."""

    def __init__(self, name: str) -> None:
        self.name = name


_Handle = Callable[..., Any]


def _title(target: Any) -> str:
    return target if isinstance(target, str) else str(getattr(target, "__name__", target))


def _modules(torch: Any) -> dict[Any, _Handle]:
    nn = torch.nn
    return {
        nn.Linear: lambda t, label, m, x: _linear(t, label, x, m.weight, m.bias),
        nn.ReLU: lambda t, label, m, x: _relu(t, label, x),
        nn.Flatten: lambda t, label, m, x: _flatten(t, label, x, m.start_dim, m.end_dim),
        nn.Unflatten: lambda t, label, m, x: _unflatten(t, label, x, m.dim, m.unflattened_size),
        nn.Identity: lambda t, label, m, x: x,
        nn.Dropout: lambda t, label, m, x: x,
    }


def _operations(torch: Any) -> dict[Any, _Handle]:
    functional = torch.nn.functional
    table: dict[Any, _Handle] = {
        functional.linear: _linear,
        functional.dropout: _dropout,
        getattr: _attribute,
    }
    groups: tuple[tuple[_Handle, tuple[Any, ...]], ...] = (
        (_relu, (functional.relu, torch.relu, ".relu")),
        (_flatten, (torch.flatten, ".flatten")),
        (_reshape, (torch.reshape, ".reshape", ".view")),
        (_matmul, (torch.matmul, operator.matmul, ".matmul")),
        (_add, (torch.add, operator.add, ".add")),
        (_subtract, (torch.sub, torch.subtract, operator.sub, ".sub")),
        (_multiply, (torch.mul, torch.multiply, operator.mul, ".mul")),
        (_divide, (torch.div, torch.divide, torch.true_divide, operator.truediv, ".div")),
        (_negate, (torch.neg, torch.negative, operator.neg, ".neg")),
        (_same, (".contiguous", ".clone")),
        (_size, (".size",)),
    )
    for handle, targets in groups:
        table.update(dict.fromkeys(targets, handle))
    return table


def _linear(t: _Tracing, label: str, input: _Tensor, weight: Any, bias: Any = None) -> _Tensor:
    matrix = t.constant(weight, label)
    offset = None if bias is None else t.constant(bias, label)
    return _Tensor(t.build.product(label, input.name, matrix.T, Side.RIGHT, offset))


def _matmul(t: _Tracing, label: str, input: Any, other: Any) -> _Tensor:
    first = isinstance(input, _Tensor)
    if first and isinstance(other, _Tensor):
        raise _meeting(label, "product")
    tensor, matrix = (input, other) if first else (other, input)
    side = Side.RIGHT if first else Side.LEFT
    return _Tensor(t.build.product(label, tensor.name, t.constant(matrix, label), side))


def _relu(t: _Tracing, label: str, input: _Tensor, inplace: bool = False) -> _Tensor:
    return _Tensor(t.build.layer(label, relu, input.name))


def _dropout(
    t: _Tracing, label: str, input: _Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> _Tensor:
    if training and p:
        raise UnsupportedOperator(
            f"node {label!r} is a dropout with training=True, which is random; write training=self.training"
        )
    return input


def _same(t: _Tracing, label: str, input: _Tensor) -> _Tensor:
    return input


def _flatten(t: _Tracing, label: str, input: _Tensor, start_dim: int = 0, end_dim: int = -1) -> _Tensor:
    shape = t.shape(input)
    start, end = (k + len(shape) if k < 0 else k for k in (start_dim, end_dim))
    if not 0 <= start <= end < len(shape):
        raise InvalidInput(
            f"node {label!r} flattens axes {start_dim} to {end_dim} of a tensor of shape {shape}, which has none such; "
            "give an input_shape that includes the batch axis, e.g. (1, 28, 28)"
        )
    target = (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
    return _Tensor(t.build.reshape(label, input.name, target))


def _unflatten(t: _Tracing, label: str, input: _Tensor, dim: int, sizes: Sequence[int]) -> _Tensor:
    shape = t.shape(input)
    k = dim + len(shape) if dim < 0 else dim
    return _reshape(t, label, input, (*shape[:k], *sizes, *shape[k + 1 :]))


def _reshape(t: _Tracing, label: str, input: _Tensor, *shape: Any) -> _Tensor:
    wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    target = [int(k) for k in wanted]
    size = math.prod(t.shape(input))
    if target.count(-1) == 1:
        known = max(1, -math.prod(target))
        target = [size // known if k == -1 else k for k in target]
    if math.prod(target) != size or any(k < 1 for k in target):
        raise InvalidInput(
            f"node {label!r} reshapes a tensor of shape {t.shape(input)} to {tuple(wanted)}; "
            "the numbers of elements differ: check input_shape"
        )
    return _Tensor(t.build.reshape(label, input.name, target))


def _size(t: _Tracing, label: str, input: _Tensor, dim: int | None = None) -> Any:
    shape = t.shape(input)
    return shape if dim is None else shape[dim]


def _attribute(t: _Tracing, label: str, input: _Tensor, name: str) -> Any:
    if name != "shape":
        raise UnsupportedOperator(f"node {label!r} reads .{name} of a computed tensor; supported is .shape")
    return t.shape(input)


def _meeting(label: str, verb: str) -> UnsupportedOperator:
    return UnsupportedOperator(
        f"node {label!r} is a {verb} of two computed tensors: residual branches that meet are not supported, "
        "a network is a chain so far"
    )


def _plain_alpha(label: str, alpha: float) -> None:
    if alpha != 1:
        raise UnsupportedOperator(f"node {label!r} uses alpha={alpha}; write the product out")


def _add(t: _Tracing, label: str, input: Any, other: Any, alpha: float = 1) -> _Tensor:
    _plain_alpha(label, alpha)
    if isinstance(input, _Tensor) and isinstance(other, _Tensor):
        raise _meeting(label, "sum")
    tensor, constant = (input, other) if isinstance(input, _Tensor) else (other, input)
    return _Tensor(t.build.shift(label, tensor.name, t.constant(constant, label)))


def _subtract(t: _Tracing, label: str, input: Any, other: Any, alpha: float = 1) -> _Tensor:
    _plain_alpha(label, alpha)
    if isinstance(input, _Tensor) and isinstance(other, _Tensor):
        raise _meeting(label, "difference")
    if isinstance(input, _Tensor):
        return _Tensor(t.build.shift(label, input.name, -t.constant(other, label)))
    negative = t.build.negative(f"{label}.negative", other.name)
    return _Tensor(t.build.shift(label, negative, t.constant(input, label)))


def _multiply(t: _Tracing, label: str, input: Any, other: Any) -> _Tensor:
    if isinstance(input, _Tensor) and isinstance(other, _Tensor):
        raise _meeting(label, "product")
    tensor, constant = (input, other) if isinstance(input, _Tensor) else (other, input)
    return _Tensor(t.build.scale(label, tensor.name, t.constant(constant, label)))


def _divide(t: _Tracing, label: str, input: Any, other: Any) -> _Tensor:
    if isinstance(other, _Tensor):
        raise UnsupportedOperator(f"node {label!r} divides by a computed tensor, which is not piecewise linear")
    return _Tensor(t.build.scale(label, input.name, t.constant(other, label), divide=True))


def _negate(t: _Tracing, label: str, input: _Tensor) -> _Tensor:
    return _Tensor(t.build.negative(label, input.name))


def to_torch(net: Network, dtype: npt.DTypeLike = np.float32) -> Any:
    """A `torch.nn.Sequential` in eval mode that computes `rounded(net, dtype)` on batches.

    Args:
        dtype: float32 or float64. With float64 no weight is rounded.

    Returns:
        A module that takes a tensor (m, ...): the network's input shape, with its leading axis of size 1
        free, or with a free axis in front where the shapes do not all start with 1.

    Raises:
        MissingBackend: PyTorch is not installed.
        InvalidInput: a weight is too large for the format.
        UnsupportedOperator: a layer type without a module.
    """
    torch = _torch()
    from reludsl.io import torch_modules

    chosen = number_format(dtype)
    net = rounded(net, chosen)
    cone = net.cone(net.output)
    shapes = {INPUT: net.input_shape, **{node.name: net.shapes[node.name] for node in cone}}
    rows = all(len(s) > 1 and s[0] == 1 for s in shapes.values())
    kind = getattr(torch, chosen.name)
    modules = [
        torch_modules.make_module(node.layer, shapes[node.name][1:] if rows else shapes[node.name], kind)
        for node in cone
    ]
    return torch.nn.Sequential(*modules).eval()
