"""A property as it was read: a question, and what its names stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.expr import Expr, Input
from reludsl.io.vnnlib.comparisons import Block, Rows, Table
from reludsl.io.vnnlib.formula import Node, condition, limits
from reludsl.question import Find


@dataclass(frozen=True, slots=True)
class Tensor:
    """A declared tensor.

    Args:
        name: as declared.
        kind: its element type, as declared.
        shape: as declared; a scalar has none.
        value: its elements, flat.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    value: Expr


@dataclass(frozen=True, eq=False)
class Property:
    """What a VNN-LIB file asks: is there an input that satisfies all assertions?

    Args:
        question: sat means that it is found.
        inputs, outputs, hidden: what the names stand for; version 1.0 has `X` and `Y`.
        version: of the language, "1.0" or "2.0".
        tensors: all of them in the order of the file, as results list them.
    """

    question: Find
    inputs: Mapping[str, Input]
    outputs: Mapping[str, Expr]
    version: str
    hidden: Mapping[str, Expr] = field(default_factory=dict)
    tensors: tuple[Tensor, ...] = ()


Layout = Callable[[Box], Sequence[Block]]
"""The columns, once the box of all inputs (one after the other) is known."""


def asked(nodes: Sequence[Node], rows: Rows, ends: Sequence[int], names: Sequence[str], layout: Layout) -> Find:
    """The question that assertions make.

    Args:
        nodes: what is asserted, see `normalized`.
        ends: where each tensor's columns end.
        names: of the elements of the inputs, which come first.

    Raises:
        InvalidInput: an input without a bound on one side.
    """
    table = Table(rows, ends, len(names))
    lower, upper = limits(nodes, table)
    _check_finite(lower, upper, names)
    # where bounds cross nothing satisfies them: the condition keeps them then, and says so
    crossed = bool((lower > upper).any())
    blocks = layout(Box(np.minimum(lower, upper), np.maximum(lower, upper)))
    found = condition(nodes, table, blocks, boxed=not crossed)
    if not any(atoms.expr.terms for atoms in found.atoms):
        # a condition on nothing would not say which inputs it is about
        found = condition(nodes, table, blocks, boxed=False)
    return Find(found)


def _check_finite(lower: FloatArray, upper: FloatArray, names: Sequence[str]) -> None:
    open_ended = np.flatnonzero(np.isinf(lower) | np.isinf(upper)).tolist()
    if not open_ended:
        return
    k = open_ended[0]
    side, comparison = ("lower", ">=") if np.isinf(lower[k]) else ("upper", "<=")
    more = f", and {len(open_ended) - 1} more inputs have none on some side" if len(open_ended) > 1 else ""
    raise InvalidInput(
        f"the input {names[k]} has no finite {side} bound{more}; inputs are searched in a box: "
        f"add (assert ({comparison} {names[k]} ...))"
    )
