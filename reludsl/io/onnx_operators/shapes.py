"""Elements that change places, and those that stay: Reshape, Transpose, Slice, Concat, Identity, ..."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from reludsl.errors import InvalidInput
from reludsl.io.onnx_operators.common import Operator, attributes, given, integers, only, operands, refused

if TYPE_CHECKING:
    from reludsl.io.onnx_reader import Reading


def _passed(reading: Reading, node: Any, label: str) -> str:
    return only(reading, node, label)


def _dropout(reading: Reading, node: Any, label: str) -> str:
    trains = len(node.input) > 2 and node.input[2] and bool(np.any(reading.constant(node.input[2])))
    if trains:
        raise refused(label, node, "in training mode, which is random", "export for inference")
    return only(reading, node, label)


def _cast(reading: Reading, node: Any, label: str) -> str:
    from onnx import TensorProto

    kind = attributes(node).get("to")
    # what rounds to a float format is read as exact, as all arithmetic of the file is
    if kind not in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16):
        names = {number: name for name, number in TensorProto.DataType.items()}
        form = f"of a computed tensor to {names.get(kind, kind)}, which jumps"
        raise refused(label, node, form, "supported are casts between float types")
    return only(reading, node, label)


def _reshape(reading: Reading, node: Any, label: str) -> str:
    wanted = given(reading, node, label, 1, "shape")
    if wanted is None:
        raise InvalidInput(f"node {label!r} (Reshape) states no shape; the file is damaged: export it again")
    source = only(reading, node, label)
    target, shape = integers(wanted), reading.build.shapes[source]
    if not attributes(node).get("allowzero", 0):
        target = [shape[k] if size == 0 else size for k, size in enumerate(target)]
    if target.count(-1) == 1:
        known = -math.prod(target)
        target = [math.prod(shape) // known if size == -1 and known else size for size in target]
    if math.prod(target) != math.prod(shape) or any(size < 1 for size in target):
        raise InvalidInput(
            f"node {label!r} reshapes a tensor of shape {shape} to {tuple(target)}; the numbers of elements differ"
        )
    return reading.build.reshape(label, source, target)


def _flatten(reading: Reading, node: Any, label: str) -> str:
    source = only(reading, node, label)
    shape = reading.build.shapes[source]
    axis = int(attributes(node).get("axis", 1))
    if not -len(shape) <= axis <= len(shape):
        raise InvalidInput(f"node {label!r} flattens a tensor of shape {shape} at axis {axis}, which it does not have")
    axis = axis + len(shape) if axis < 0 else axis
    return reading.build.reshape(label, source, (math.prod(shape[:axis]), math.prod(shape[axis:])))


def _squeeze(reading: Reading, node: Any, label: str) -> str:
    source = only(reading, node, label)
    shape, axes = reading.build.shapes[source], given(reading, node, label, 1, "axes")
    gone = [k for k, n in enumerate(shape) if n == 1] if axes is None else [k % len(shape) for k in integers(axes)]
    if any(shape[k] != 1 for k in gone):
        raise InvalidInput(f"node {label!r} removes axes {gone} of a tensor of shape {shape}; they must have size 1")
    return reading.build.reshape(label, source, [n for k, n in enumerate(shape) if k not in gone])


def _unsqueeze(reading: Reading, node: Any, label: str) -> str:
    source = only(reading, node, label)
    axes = given(reading, node, label, 1, "axes")
    new = np.expand_dims(reading.build.numbers(source), tuple(integers(axes)))
    return reading.build.reshape(label, source, new.shape)


def _transpose(reading: Reading, node: Any, label: str) -> str:
    source = only(reading, node, label)
    rank = len(reading.build.shapes[source])
    return reading.build.transpose(label, source, attributes(node).get("perm") or range(rank)[::-1])


def _concat(reading: Reading, node: Any, label: str) -> str:
    # the axis was 1 where none was stated, before opset 4
    return reading.build.join(label, operands(reading, node, label), int(attributes(node).get("axis", 1)))


def _split(reading: Reading, node: Any, label: str) -> tuple[str, ...]:
    source = only(reading, node, label)
    index, axis = reading.build.numbers(source), int(attributes(node).get("axis", 0))
    size, count = index.shape[axis], len(node.output)
    stated = given(reading, node, label, 1, "split")
    length = -(-size // count)
    lengths = integers(stated) if stated is not None else [min(length, size - k * length) for k in range(count)]
    if sum(lengths) != size or len(lengths) != count or min(lengths) < 1:
        raise InvalidInput(
            f"node {label!r} splits an axis of {size} into {count} parts of lengths {lengths}, which do not add up; "
            "give positive lengths, one for each output"
        )
    parts = np.split(index, np.cumsum(lengths)[:-1], axis=axis)
    # a part that nothing takes is no layer
    return tuple(
        reading.build.take(f"{label}.{k}", source, part, "split") if reading.used(name) else ""
        for k, (name, part) in enumerate(zip(node.output, parts))
    )


def _slice(reading: Reading, node: Any, label: str) -> str:
    source = only(reading, node, label)
    index = reading.build.numbers(source)
    starts, ends, axes, steps = (
        None if value is None else integers(value)
        for value in (given(reading, node, label, k + 1, n) for k, n in enumerate(("starts", "ends", "axes", "steps")))
    )
    if starts is None or ends is None:
        raise InvalidInput(f"node {label!r} (Slice) states no starts or ends; the file is damaged: export it again")
    cuts = [slice(None)] * index.ndim
    for axis, start, end, step in zip(axes or range(len(starts)), starts, ends, steps or [1] * len(starts)):
        cuts[axis] = slice(start, end, step)
    return reading.build.take(label, source, index[tuple(cuts)], "slice")


def _gather(reading: Reading, node: Any, label: str) -> str:
    if reading.is_constant(node.input[0]) or not reading.is_constant(node.input[1]):
        raise refused(label, node, "with computed indices", "supported are constant ones")
    source = only(reading, node, label)
    where = reading.constant(node.input[1]).astype(np.int64)
    index = np.take(reading.build.numbers(source), where, axis=int(attributes(node).get("axis", 0)))
    return reading.build.take(label, source, index)


def _expand(reading: Reading, node: Any, label: str) -> str:
    source = only(reading, node, label)
    wanted = integers(given(reading, node, label, 1, "shape"))
    try:
        shape = np.broadcast_shapes(reading.build.shapes[source], tuple(wanted))
    except ValueError:
        # the step says what is wrong
        shape = tuple(wanted)
    return reading.build.expand(label, source, shape)


def _tile(reading: Reading, node: Any, label: str) -> str:
    source = only(reading, node, label)
    repeats = integers(given(reading, node, label, 1, "repeats"))
    return reading.build.take(label, source, np.tile(reading.build.numbers(source), repeats), "tile")


OPERATORS: Mapping[str, Operator] = {
    "Cast": _cast,
    "Concat": _concat,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _passed,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
