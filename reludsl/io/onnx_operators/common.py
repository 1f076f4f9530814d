"""What all operators are read with: attributes, constant operands, and the message where none is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput, UnsupportedOperator

if TYPE_CHECKING:
    from reludsl.io.onnx_reader import Reading

Values = str | tuple[str, ...]
Operator = Callable[["Reading", Any, str], Values]
"""(reading, node, name wanted) -> name of the value, or names of several."""

GUIDE = "docs/how-to/add-a-layer.md says how to add a layer type"

_CURVED = """
Celu Cos Elu Erf Exp Gelu GroupNormalization HardSwish InstanceNormalization LRN LayerNormalization Log LogSoftmax
LpNormalization Mish Pow Reciprocal ReduceL2 ReduceLogSumExp ReduceProd Selu Sigmoid Sin Softmax Softplus Softsign Sqrt
Swish Tanh
"""

CURVED = frozenset(_CURVED.split())
"""Operators that no choice of layers can be, because they are not piecewise linear."""


def attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node by name, as Python values."""
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def text(value: Any) -> str:
    """An attribute that is a text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def unsupported(label: str, operator: str, known: Iterable[str]) -> UnsupportedOperator:
    """No layer stands for an operator."""
    why = ", which is not piecewise linear, so that" if operator in CURVED else ", and"
    # a damaged file may hold any characters
    shown = operator if operator.isprintable() else repr(operator)
    return UnsupportedOperator(
        f"node {label!r} is a {shown}{why} no layer stands for it; supported are {', '.join(sorted(known))}: "
        f"export the network with these, or add the operator ({GUIDE})"
    )


def refused(label: str, node: Any, form: str, instead: str) -> UnsupportedOperator:
    """An operator that is supported, in a form that is not."""
    return UnsupportedOperator(f"node {label!r} is a {node.op_type} {form}; {instead} ({GUIDE})")


def only(reading: Reading, node: Any, label: str, at: int = 0) -> str:
    """The value of the one computed input."""
    if len(node.input) <= at or not node.input[at]:
        raise InvalidInput(f"node {label!r} ({node.op_type}) has no input {at}; the file is damaged: export it again")
    return reading.value(node.input[at])


def given(reading: Reading, node: Any, label: str, at: int, name: str) -> Any:
    """A constant that stands at an input in newer files, and in an attribute of older ones; None where neither is."""
    if len(node.input) > at and node.input[at]:
        if not reading.is_constant(node.input[at]):
            raise refused(label, node, f"with a computed {name!r}", "supported is a constant one")
        return reading.constant(node.input[at])
    found = attributes(node).get(name)
    return None if found is None else np.asarray(found)


def integers(value: Any) -> list[int]:
    return [int(k) for k in np.ravel(value)]


def operands(reading: Reading, node: Any, label: str) -> list[str | FloatArray]:
    """The inputs of an element-wise operator: values of computed tensors by name, constants as arrays."""
    names = [name for name in node.input if name]
    return [reading.weights(name, label) if reading.is_constant(name) else reading.value(name) for name in names]


def pair(reading: Reading, node: Any, label: str) -> tuple[str, FloatArray, bool]:
    """The computed operand, the constant one, and whether the computed one stands first."""
    if len(node.input) != 2:
        raise InvalidInput(f"node {label!r} ({node.op_type}) has {len(node.input)} inputs; give two")
    first, second = node.input
    if not reading.is_constant(first) and not reading.is_constant(second):
        raise refused(
            label,
            node,
            f"of two computed tensors, {first!r} and {second!r}, which is not piecewise linear",
            "supported is one with a constant",
        )
    computed_first = reading.is_constant(second)
    computed, constant = (first, second) if computed_first else (second, first)
    array = reading.weights(constant, label)
    return computed, aligned(reading, node, computed, array), computed_first


def aligned(reading: Reading, node: Any, computed: str, array: FloatArray) -> FloatArray:
    """Before opset 7 a constant was aligned at an axis instead of at the end."""
    marks = attributes(node)
    if reading.opset < 7 and marks.get("broadcast") and "axis" in marks:
        rank = len(reading.shape(computed))
        return array.reshape(array.shape + (1,) * (rank - marks["axis"] % rank - array.ndim))
    return array
