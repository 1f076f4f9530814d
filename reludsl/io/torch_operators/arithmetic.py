"""Sums, products and extremes of tensors, and over axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reludsl.io.build import Side
from reludsl.io.torch_operators.common import Handle, Tensor, each, refused

if TYPE_CHECKING:
    from reludsl.io.torch_reader import Tracing


def linear(t: Tracing, label: str, input: Tensor, weight: Any, bias: Any = None) -> Tensor:
    matrix = t.constant(weight, label)
    offset = None if bias is None else t.constant(bias, label)
    return Tensor(t.build.product(label, input.name, matrix.T, Side.RIGHT, offset))


def _addmm(t: Tracing, label: str, input: Any, mat1: Any, mat2: Any) -> Tensor:
    return _add(t, label, _matmul(t, f"{label}.product", mat1, mat2), input)


def _matmul(t: Tracing, label: str, input: Any, other: Any) -> Tensor:
    first = isinstance(input, Tensor)
    if first and isinstance(other, Tensor):
        raise _curved(label)
    tensor, matrix = (input, other) if first else (other, input)
    side = Side.RIGHT if first else Side.LEFT
    return Tensor(t.build.product(label, tensor.name, t.constant(matrix, label), side))


def _curved(label: str) -> Exception:
    return refused(
        label, "is a product of two computed tensors, which is not piecewise linear", "supported is one with a constant"
    )


def _plain_alpha(label: str, alpha: float) -> None:
    if alpha != 1:
        raise refused(label, f"uses alpha={alpha}", "write the product out")


def _add(t: Tracing, label: str, input: Any, other: Any, alpha: float = 1) -> Tensor:
    _plain_alpha(label, alpha)
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        return Tensor(t.build.total(label, [input.name, other.name]))
    tensor, constant = (input, other) if isinstance(input, Tensor) else (other, input)
    return Tensor(t.build.shift(label, tensor.name, t.constant(constant, label)))


def _subtract(t: Tracing, label: str, input: Any, other: Any, alpha: float = 1) -> Tensor:
    _plain_alpha(label, alpha)
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        return Tensor(t.build.total(label, [input.name, other.name], (1, -1)))
    if isinstance(input, Tensor):
        return Tensor(t.build.shift(label, input.name, -t.constant(other, label)))
    negative = t.build.negative(f"{label}.negative", other.name)
    return Tensor(t.build.shift(label, negative, t.constant(input, label)))


def _multiply(t: Tracing, label: str, input: Any, other: Any) -> Tensor:
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        raise _curved(label)
    tensor, constant = (input, other) if isinstance(input, Tensor) else (other, input)
    return Tensor(t.build.scale(label, tensor.name, t.constant(constant, label)))


def _divide(t: Tracing, label: str, input: Any, other: Any) -> Tensor:
    if isinstance(other, Tensor):
        raise refused(
            label, "divides by a computed tensor, which is not piecewise linear", "supported is a constant divisor"
        )
    return Tensor(t.build.scale(label, input.name, t.constant(other, label), divide=True))


def _negate(t: Tracing, label: str, input: Tensor) -> Tensor:
    return Tensor(t.build.negative(label, input.name))


def _extreme(least: bool) -> Handle:
    def read(t: Tracing, label: str, input: Any, other: Any = None, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(other, int) and not isinstance(other, bool):
            # torch.max(x, 1): the second argument is an axis
            other, dim = None, other
        if other is None:
            value = _reduced("min" if least else "max")(t, label, input, dim, keepdim)
            # of the places where they are nothing is known
            return value if dim is None else (value, None)
        tensors = [part.name for part in (input, other) if isinstance(part, Tensor)]
        value = t.build.largest(label, tensors, least)
        if len(tensors) == 1:
            (constant,) = (t.constant(part, label) for part in (input, other) if not isinstance(part, Tensor))
            value = t.build.clip(label, value, *((None, constant) if least else (constant, None)))
        return Tensor(value)

    return read


def _pairwise(least: bool) -> Handle:
    """torch.maximum and torch.minimum, which take two tensors and nothing else."""
    return lambda t, label, input, other: _extreme(least)(t, label, input, other)


def _reduced(how: str) -> Handle:
    def read(
        t: Tracing, label: str, input: Tensor, dim: Any = None, keepdim: bool = False, dtype: Any = None
    ) -> Tensor:
        whole = dim is None or (isinstance(dim, (list, tuple)) and not dim)
        axes = range(len(t.shape(input))) if whole else each(dim, 1)
        return Tensor(t.build.reduce(label, input.name, axes, keepdim, how))

    return read


FUNCTIONS: Mapping[str, Handle] = {
    "add": _add,
    "addmm": _addmm,
    "amax": _reduced("max"),
    "amin": _reduced("min"),
    "div": _divide,
    "divide": _divide,
    "linear": linear,
    "matmul": _matmul,
    "max": _extreme(least=False),
    "maximum": _pairwise(least=False),
    "mean": _reduced("mean"),
    "min": _extreme(least=True),
    "minimum": _pairwise(least=True),
    "mm": _matmul,
    "mul": _multiply,
    "multiply": _multiply,
    "neg": _negate,
    "negative": _negate,
    "sub": _subtract,
    "subtract": _subtract,
    "sum": _reduced("sum"),
    "true_divide": _divide,
    "truediv": _divide,
}

MODULES: Mapping[str, Handle] = {
    "Linear": lambda t, label, m, x: linear(t, label, x, m.weight, m.bias),
}
