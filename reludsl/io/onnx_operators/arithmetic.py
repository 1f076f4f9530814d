"""Sums, products and extremes: Add, Mul, MatMul, Gemm, Max, ReduceMean, ..."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput
from reludsl.io.build import Side
from reludsl.io.onnx_operators.common import Operator, attributes, given, integers, only, operands, pair, refused

if TYPE_CHECKING:
    from reludsl.io.onnx_reader import Reading


def _computed(reading: Reading, node: Any) -> bool:
    """There are two inputs, and both depend on the network's."""
    return len(node.input) == 2 and not any(reading.is_constant(name) for name in node.input)


def _add(reading: Reading, node: Any, label: str) -> str:
    if _computed(reading, node):
        return reading.build.total(label, [reading.value(name) for name in node.input])
    computed, constant, _ = pair(reading, node, label)
    return reading.build.shift(label, reading.value(computed), constant, reading.used_once(computed))


def _subtract(reading: Reading, node: Any, label: str) -> str:
    if _computed(reading, node):
        return reading.build.total(label, [reading.value(name) for name in node.input], (1, -1))
    computed, constant, computed_first = pair(reading, node, label)
    source = reading.value(computed)
    if computed_first:
        return reading.build.shift(label, source, -constant, reading.used_once(computed))
    return reading.build.shift(label, reading.build.negative(f"{label}.negative", source), constant)


def _multiply(reading: Reading, node: Any, label: str) -> str:
    computed, constant, _ = pair(reading, node, label)
    return reading.build.scale(label, reading.value(computed), constant)


def _divide(reading: Reading, node: Any, label: str) -> str:
    if len(node.input) == 2 and not reading.is_constant(node.input[1]):
        raise refused(
            label,
            node,
            f"by the computed tensor {node.input[1]!r}, which is not piecewise linear",
            "supported is a constant divisor",
        )
    computed, constant, _ = pair(reading, node, label)
    return reading.build.scale(label, reading.value(computed), constant, divide=True)


def _negate(reading: Reading, node: Any, label: str) -> str:
    return reading.build.negative(label, only(reading, node, label))


def _sum(reading: Reading, node: Any, label: str) -> str:
    tensors, constants = _sorted(operands(reading, node, label))
    value = reading.build.total(label, tensors)
    for constant in constants:
        value = reading.build.shift(f"{label}.constant", value, constant)
    return value


def _mean(reading: Reading, node: Any, label: str) -> str:
    return reading.build.scale(label, _sum(reading, node, f"{label}.sum"), np.array(float(len(node.input))), True)


def _sorted(parts: list[str | FloatArray]) -> tuple[list[str], list[FloatArray]]:
    return [p for p in parts if isinstance(p, str)], [p for p in parts if not isinstance(p, str)]


def _extreme(least: bool) -> Operator:
    def read(reading: Reading, node: Any, label: str) -> str:
        tensors, constants = _sorted(operands(reading, node, label))
        value = reading.build.largest(label, tensors, least)
        if not constants:
            return value
        end = reduce(np.minimum if least else np.maximum, constants)
        return reading.build.clip(label, value, *((None, end) if least else (end, None)))

    return read


def _matmul(reading: Reading, node: Any, label: str) -> str:
    computed, constant, computed_first = pair(reading, node, label)
    side = Side.RIGHT if computed_first else Side.LEFT
    return reading.build.product(label, reading.value(computed), constant, side)


def _gemm(reading: Reading, node: Any, label: str) -> str:
    if len(node.input) not in (2, 3):
        raise InvalidInput(f"node {label!r} (Gemm) has {len(node.input)} inputs; give two or three")
    first, second = node.input[:2]
    third = node.input[2] if len(node.input) == 3 else ""
    constant = [reading.is_constant(first), reading.is_constant(second)]
    if not any(constant) or (third and not reading.is_constant(third)):
        raise refused(label, node, "of several computed tensors", "supported is one with constant weights and bias")
    marks = attributes(node)
    side = Side.RIGHT if constant[1] else Side.LEFT
    computed, weights = (first, second) if constant[1] else (second, first)
    turns = [marks.get("transA", 0), marks.get("transB", 0)]
    turn_computed, turn_weights = turns if constant[1] else turns[::-1]
    matrix = _times(reading, weights, marks.get("alpha", 1.0), label)
    if matrix.ndim != 2 or len(reading.shape(computed)) != 2:
        raise InvalidInput(
            f"node {label!r} is a Gemm of shapes {reading.shape(computed)} and {matrix.shape}; "
            "it takes two matrices: flatten the tensor first"
        )
    source = reading.value(computed)
    if turn_computed:
        # of a single row or column this is a change of shape alone
        source = reading.build.transpose(f"{label}.transposed", source, (1, 0))
    bias = _times(reading, third, marks.get("beta", 1.0), label) if third else None
    return reading.build.product(label, source, matrix.T if turn_weights else matrix, side, bias)


def _times(reading: Reading, name: str, factor: float, label: str) -> FloatArray:
    """A constant times alpha or beta, exactly."""
    array = reading.weights(name, label)
    if factor == 1.0:
        return array
    # the factor is a float32: its product with a float32 fits a float64, with a float64 in general not
    exact = reading.constant(name).dtype.itemsize <= 4 or abs(math.frexp(factor)[0]) in (0.0, 0.5)
    if not exact and np.any(array):
        raise InvalidInput(
            f"node {label!r} is a Gemm with the factor {factor:g} on float64 weights, and the product is no float64, "
            "so the network would not be the file's; multiply the factor into the weights of the file"
        )
    return array * factor


def _reduced(how: str) -> Callable[[Reading, Any, str], str]:
    def read(reading: Reading, node: Any, label: str) -> str:
        marks = attributes(node)
        axes = given(reading, node, label, 1, "axes")
        source = only(reading, node, label)
        if axes is None or not np.size(axes):
            if marks.get("noop_with_empty_axes", 0):
                return source
            axes = range(len(reading.build.shapes[source]))
        return reading.build.reduce(label, source, integers(axes), bool(marks.get("keepdims", 1)), how)

    return read


OPERATORS: Mapping[str, Operator] = {
    "Add": _add,
    "Div": _divide,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Max": _extreme(least=False),
    "Mean": _mean,
    "Min": _extreme(least=True),
    "Mul": _multiply,
    "Neg": _negate,
    "ReduceMax": _reduced("max"),
    "ReduceMean": _reduced("mean"),
    "ReduceMin": _reduced("min"),
    "ReduceSum": _reduced("sum"),
    "Sub": _subtract,
    "Sum": _sum,
}
