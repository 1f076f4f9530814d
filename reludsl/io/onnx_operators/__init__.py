"""ONNX operators on computed tensors, by theme, and the door for those of others.

An operator is a function (reading, node, label) -> name of the value: it appends layers to `reading.build`.
"""

from __future__ import annotations

from reludsl.errors import InvalidInput
from reludsl.io.onnx_operators import activations, arithmetic, shapes, spatial
from reludsl.io.onnx_operators.common import Operator as Operator
from reludsl.io.onnx_operators.common import attributes as attributes

OPERATORS: dict[str, Operator] = {
    name: read
    for table in (activations.OPERATORS, arithmetic.OPERATORS, shapes.OPERATORS, spatial.OPERATORS)
    for name, read in sorted(table.items())
}
"""Operators of the standard domain. Constant is supported beside them, and Shape and Size of a tensor are constants."""

FOREIGN: dict[tuple[str, str], Operator] = {}
"""Operators of other domains, by (domain, operator)."""

STANDARD = ("", "ai.onnx")
OWN_DOMAIN = "reludsl"
"""Domain of layer types that are written by their fields."""

_FOLDED = """
And ArgMax ArgMin BitShift Ceil ConstantOfShape Cos CumSum DequantizeLinear Einsum Equal Erf Exp EyeLike Floor
GatherElements GatherND Greater GreaterOrEqual Less LessOrEqual Log Mod NonZero Not OneHot Or Pow Range Reciprocal
ReduceL1 ReduceL2 ReduceProd ReduceSumSquare Round ScatterElements ScatterND Shape Sigmoid Sign Sin Size Softmax Sqrt
Tanh Trilu Where Xor
"""

FOLDED = frozenset({*OPERATORS, *_FOLDED.split()})
"""Operators that may compute constants from constants."""


def register_operator(op_type: str, read: Operator, domain: str = "") -> None:
    """Read an ONNX operator that this library does not know.

    Args:
        op_type: its name.
        read: (reading, node, label) -> name of the value. `reading.value(node.input[0])` is the name of the value
            that the node takes, `reading.weights(name, label)` a constant of the file as an array,
            `reading.attributes(node)` what the node states, and `reading.build` the network so far: its methods
            append layers under the name `label`.
        domain: of the operator set; "" is that of ONNX itself.

    Raises:
        InvalidInput: the operator is known already.

    >>> from reludsl.layers import PiecewiseLinear
    >>> def read_hat(reading, node, label):
    ...     hat = PiecewiseLinear("hat", (-1, 0, 1), (0, 1, -1, 0), (-1, 0))
    ...     return reading.build.layer(label, hat, reading.value(node.input[0]))
    >>> register_operator("Hat", read_hat, domain="example.org")
    >>> register_operator("Hat", read_hat, domain="example.org")
    Traceback (most recent call last):
    ...
    reludsl.errors.InvalidInput: the operator example.org.Hat is known already, ...
    """
    standard = domain in STANDARD
    known = op_type in {*OPERATORS, "Constant", "Shape", "Size"} if standard else (domain, op_type) in FOREIGN
    if known or domain == OWN_DOMAIN:
        title = op_type if standard else f"{domain}.{op_type}"
        raise InvalidInput(
            f"the operator {title} is known already, and a file could mean either; register yours under a name or "
            "a domain of its own"
        )
    if standard:
        OPERATORS[op_type] = read
    else:
        FOREIGN[domain, op_type] = read
