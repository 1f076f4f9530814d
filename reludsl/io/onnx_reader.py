"""What an ONNX graph computes, as a network: one pass over the nodes that the output depends on.

    model = parse(data)
    net = Reading(model).network()

Tensors that depend on the input become layers; all others are constants, and are folded as runtimes do.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import FileProblem, InvalidInput, ReludslError, UnsupportedOperator
from reludsl.io.build import Building, Side
from reludsl.io.files import first_line
from reludsl.layers import Shape, relu
from reludsl.network import INPUT, Network

BOX_KEY = "reludsl.input_box"
"""Metadata key of the input range: a JSON object with `lower` and `upper`."""


def parse(data: bytes) -> Any:
    """The `onnx.ModelProto` of a file's bytes."""
    import onnx

    try:
        return onnx.load_model_from_string(data)
    # the parser is a choice of protobuf implementations, each with exceptions of its own
    except Exception as error:
        raise FileProblem(
            f"is no whole ONNX file ({first_line(error)}), so no network can be read; copy it again, or export it again"
        ) from None


def load_external(model: Any, path: str | os.PathLike[str]) -> bool:
    """Load weights that are kept in files beside the model; whether there are any."""
    from onnx import external_data_helper

    if not any(external_data_helper.uses_external_data(t) for t in model.graph.initializer):
        return False
    try:
        external_data_helper.load_external_data_for_model(model, str(Path(path).parent))
    except Exception as error:
        raise FileProblem(
            f"keeps weights in other files, which cannot be read ({first_line(error)}); copy them beside the model"
        ) from None
    return True


class Reading:
    """One pass over a graph: constants by tensor name, computed tensors as names of layers."""

    def __init__(self, model: Any) -> None:
        import onnx

        self.opset = self._opset(model)
        graph = model.graph
        if any(t.data_location == onnx.TensorProto.EXTERNAL for t in graph.initializer):
            raise InvalidInput("the model keeps weights in other files; read it with read_onnx(path)")
        self._initialisers = {t.name: t for t in graph.initializer}
        self._constants: dict[str, npt.NDArray[Any]] = {}
        self._values: dict[str, str] = {}
        self.tensors: dict[str, str] = {}
        self.input_box = _stated_box(model)
        self.input_name, shape = self._input(graph)
        if len(graph.output) != 1:
            names = ", ".join(repr(o.name) for o in graph.output)
            raise InvalidInput(
                f"the graph has {len(graph.output)} outputs ({names}) and a network has one; "
                "export it with the output you ask about alone"
            )
        self.output_name = str(graph.output[0].name)
        self.build = Building(shape)
        self._values[self.input_name] = INPUT
        self._order = _sorted_cone(graph, self.output_name)
        self.operators = dict(Counter(str(node.op_type) for node in self._order))
        self._uses = Counter(name for node in self._order for name in node.input)
        self._uses[self.output_name] += 1

    @staticmethod
    def _opset(model: Any) -> int:
        if not model.HasField("graph"):
            raise FileProblem(
                "holds no graph: it is no ONNX file, or was cut off before its graph; copy it again, or export it again"
            )
        if not model.ir_version:
            raise FileProblem("states no IR version: it is no ONNX file, or damaged; export it again")
        versions = [int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")]
        if not versions:
            raise FileProblem(
                "states no operator set, so its operators mean nothing; it was cut off or made by hand: export it again"
            )
        return versions[0]

    def _input(self, graph: Any) -> tuple[str, Shape]:
        import onnx

        inputs = [i for i in graph.input if i.name not in self._initialisers]
        if len(inputs) != 1:
            names = ", ".join(repr(i.name) for i in inputs)
            raise InvalidInput(
                f"the graph has {len(inputs)} inputs ({names}) and a network has one; "
                "export it with one input, and the others as constants"
            )
        name, tensor = str(inputs[0].name), inputs[0].type.tensor_type
        floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
        if tensor.elem_type not in floats:
            known = onnx.TensorProto.DataType.items()
            kind = next((k for k, number in known if number == tensor.elem_type), str(tensor.elem_type))
            raise InvalidInput(f"the input {name!r} has element type {kind}; export it with a float input")
        if not tensor.HasField("shape") or not tensor.shape.dim:
            raise InvalidInput(f"the input {name!r} states no axes, so its size is unknown; export it with a shape")
        # exporters write a free axis as a name, as nothing at all, or as 0 or -1
        return name, tuple(d.dim_value if d.dim_value > 0 else 1 for d in tensor.shape.dim)

    def network(self) -> Network:
        for node in self._order:
            label = str(node.name or next(iter(node.output), "") or node.op_type)
            try:
                self._apply(node, label)
            except ReludslError:
                raise
            # attributes of a damaged file break numpy in as many ways as there are operators
            except Exception as error:
                raise InvalidInput(
                    f"node {label!r} ({node.op_type}) cannot be read ({first_line(error)}); "
                    "the file is damaged or unusual: export it again"
                ) from None
        if self.is_constant(self.output_name):
            raise InvalidInput(f"the output {self.output_name!r} does not depend on the input; there is no network")
        return self.build.network(self.value(self.output_name), self.input_box)

    def _apply(self, node: Any, label: str) -> None:
        if node.op_type == "Constant":
            self._constants[node.output[0]] = _constant(node, label)
            return
        if node.op_type == "Shape" and not self.is_constant(node.input[0]):
            shape = self.shape(node.input[0])
            marks = _attributes(node)
            self._constants[node.output[0]] = np.array(shape[slice(marks.get("start", 0), marks.get("end"))], np.int64)
            return
        given = [name for name in node.input if name]
        if given and all(self.is_constant(name) for name in given) and node.op_type in FOLDED:
            self._fold(node, label)
            return
        read = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if read is None:
            operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise UnsupportedOperator(
                f"node {label!r} is a {operator}, which no layer stands for; supported are "
                f"{', '.join(sorted(OPERATORS))}: export the network with these"
            )
        if not given or not node.output:
            raise InvalidInput(f"node {label!r} ({node.op_type}) has no input or no output; the file is damaged")
        self._name(node, read(self, node, label))

    def _name(self, node: Any, value: str) -> None:
        """Remember whose value a node's output is, by the name of the tensor and by that of the node."""
        if node.op_type in ("Add", "Sub") and value in {self._values.get(name) for name in node.input}:
            # the constant joined the layer: what was called so far is no value of the network any more
            self.tensors = {name: held for name, held in self.tensors.items() if held != value}
        self._values[node.output[0]] = value
        if value != INPUT:
            self.tensors[node.output[0]] = value
            self.tensors.setdefault(node.name or node.output[0], value)

    def _fold(self, node: Any, label: str) -> None:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        names = list(dict.fromkeys(name for name in node.input if name))
        kinds = [helper.np_dtype_to_tensor_dtype(self.constant(name).dtype) for name in names]
        typed = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(names, kinds)]
        outputs = [helper.make_tensor_value_info(node.output[0], 0, None)]
        graph = helper.make_graph([node], label, typed, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        self._constants[node.output[0]] = ReferenceEvaluator(model).run(None, {n: self.constant(n) for n in names})[0]

    def is_constant(self, name: str) -> bool:
        return name in self._constants or name in self._initialisers

    def constant(self, name: str) -> npt.NDArray[Any]:
        if name not in self._constants:
            from onnx import numpy_helper

            try:
                self._constants[name] = np.asarray(numpy_helper.to_array(self._initialisers[name]))
            except Exception as error:
                raise InvalidInput(
                    f"the constant {name!r} cannot be read ({first_line(error)}); the file is damaged: export it again"
                ) from None
        return self._constants[name]

    def weights(self, name: str, label: str) -> FloatArray:
        """A constant as float64."""
        array = self.constant(name)
        if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
            raise InvalidInput(f"node {label!r} computes with {name!r} of type {array.dtype}; give real numbers")
        return array.astype(np.float64)

    def value(self, name: str) -> str:
        """Name of the layer that computes a tensor."""
        if name not in self._values:
            raise InvalidInput(
                f"the tensor {name!r} is used, but nothing computes it; the file is damaged: export it again"
            )
        return self._values[name]

    def shape(self, name: str) -> Shape:
        return self.build.shapes[self.value(name)]

    def used_once(self, name: str) -> bool:
        return self._uses[name] == 1


def _sorted_cone(graph: Any, output: str) -> list[Any]:
    """The nodes that the output depends on, inputs first, in the order of the file where it allows it."""
    made_by: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in node.output:
            if name and made_by.setdefault(name, index) != index:
                raise InvalidInput(f"two nodes compute the tensor {name!r}; the file is damaged: export it again")
    needs: dict[int, set[int]] = {}
    pending = [made_by[output]] if output in made_by else []
    while pending:
        index = pending.pop()
        if index not in needs:
            needs[index] = {made_by[name] for name in graph.node[index].input if name in made_by}
            pending.extend(needs[index])
    try:
        order = list(TopologicalSorter({k: sorted(needs[k]) for k in sorted(needs)}).static_order())
    except CycleError:
        raise InvalidInput(
            "the graph runs in a circle; a network is a directed acyclic graph: export it again"
        ) from None
    return [graph.node[k] for k in order]


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _constant(node: Any, label: str) -> npt.NDArray[Any]:
    from onnx import numpy_helper

    marks = _attributes(node)
    if "value" in marks:
        return np.asarray(numpy_helper.to_array(marks["value"]))
    for name, kind in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                       ("value_ints", np.int64)):  # fmt: skip
        if name in marks:
            return np.asarray(marks[name], dtype=kind)
    raise InvalidInput(f"the constant {label!r} holds {', '.join(marks) or 'nothing'}; give a dense tensor or numbers")


def _stated_box(model: Any) -> Box | None:
    for entry in model.metadata_props:
        if entry.key == BOX_KEY:
            try:
                stated = json.loads(entry.value)
                return Box(stated["lower"], stated["upper"])
            except (ValueError, KeyError, TypeError) as error:
                raise InvalidInput(
                    f"the metadata {BOX_KEY!r} states no input range ({first_line(error)}); "
                    'write {"lower": [..], "upper": [..]}, or remove it'
                ) from None
    return None


# --- operators: (reading, node, name wanted) -> name of the value ------------------------------------------

_Operator = Callable[[Reading, Any, str], str]


def _passed(reading: Reading, node: Any, label: str) -> str:
    return reading.value(node.input[0])


def _dropout(reading: Reading, node: Any, label: str) -> str:
    trains = len(node.input) > 2 and node.input[2] and bool(np.any(reading.constant(node.input[2])))
    if trains:
        raise UnsupportedOperator(
            f"node {label!r} is a Dropout in training mode, which is random; export for inference"
        )
    return reading.value(node.input[0])


def _relu(reading: Reading, node: Any, label: str) -> str:
    return reading.build.layer(label, relu, reading.value(node.input[0]))


def _pair(reading: Reading, node: Any, label: str) -> tuple[str, FloatArray, bool]:
    """The computed operand, the constant one, and whether the computed one stands first."""
    if len(node.input) != 2:
        raise InvalidInput(f"node {label!r} ({node.op_type}) has {len(node.input)} inputs; give two")
    first, second = node.input
    if not reading.is_constant(first) and not reading.is_constant(second):
        raise UnsupportedOperator(
            f"node {label!r} is a {node.op_type} of two computed tensors, {first!r} and {second!r}: "
            "residual branches that meet are not supported, a network is a chain so far; "
            f"supported with one constant are {', '.join(sorted(OPERATORS))}"
        )
    computed_first = reading.is_constant(second)
    computed, constant = (first, second) if computed_first else (second, first)
    array = reading.weights(constant, label)
    marks = _attributes(node)
    if reading.opset < 7 and marks.get("broadcast") and "axis" in marks:
        # before opset 7 the constant was aligned at an axis instead of at the end
        rank = len(reading.shape(computed))
        array = array.reshape(array.shape + (1,) * (rank - marks["axis"] % rank - array.ndim))
    return computed, array, computed_first


def _add(reading: Reading, node: Any, label: str) -> str:
    computed, constant, _ = _pair(reading, node, label)
    return reading.build.shift(label, reading.value(computed), constant, reading.used_once(computed))


def _subtract(reading: Reading, node: Any, label: str) -> str:
    computed, constant, computed_first = _pair(reading, node, label)
    source = reading.value(computed)
    if computed_first:
        return reading.build.shift(label, source, -constant, reading.used_once(computed))
    return reading.build.shift(label, reading.build.negative(f"{label}.negative", source), constant)


def _multiply(reading: Reading, node: Any, label: str) -> str:
    computed, constant, _ = _pair(reading, node, label)
    return reading.build.scale(label, reading.value(computed), constant)


def _divide(reading: Reading, node: Any, label: str) -> str:
    computed, constant, computed_first = _pair(reading, node, label)
    if not computed_first:
        raise UnsupportedOperator(
            f"node {label!r} divides by the computed tensor {computed!r}, which is not piecewise linear; "
            f"supported are {', '.join(sorted(OPERATORS))}, with a constant divisor"
        )
    return reading.build.scale(label, reading.value(computed), constant, divide=True)


def _negate(reading: Reading, node: Any, label: str) -> str:
    return reading.build.negative(label, reading.value(node.input[0]))


def _matmul(reading: Reading, node: Any, label: str) -> str:
    computed, constant, computed_first = _pair(reading, node, label)
    side = Side.RIGHT if computed_first else Side.LEFT
    return reading.build.product(label, reading.value(computed), constant, side)


def _gemm(reading: Reading, node: Any, label: str) -> str:
    if len(node.input) not in (2, 3):
        raise InvalidInput(f"node {label!r} (Gemm) has {len(node.input)} inputs; give two or three")
    first, second = node.input[:2]
    third = node.input[2] if len(node.input) == 3 else ""
    constant = [reading.is_constant(first), reading.is_constant(second)]
    if not any(constant) or (third and not reading.is_constant(third)):
        raise UnsupportedOperator(
            f"node {label!r} is a Gemm of several computed tensors; supported is a Gemm with constant weights and bias"
        )
    marks = _attributes(node)
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
        rows, columns = reading.shape(computed)
        if 1 not in (rows, columns):
            raise InvalidInput(
                f"node {label!r} transposes a {rows} x {columns} tensor; an affine layer takes one vector"
            )
        source = reading.build.reshape(f"{label}.transposed", source, (columns, rows))
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


def _reshape(reading: Reading, node: Any, label: str) -> str:
    marks = _attributes(node)
    if len(node.input) > 1 and not reading.is_constant(node.input[1]):
        raise UnsupportedOperator(f"node {label!r} is a Reshape to a computed shape; supported is a constant shape")
    target = reading.constant(node.input[1]).ravel().tolist() if len(node.input) > 1 else list(marks["shape"])
    shape = reading.shape(node.input[0])
    if not marks.get("allowzero", 0):
        target = [shape[k] if size == 0 else size for k, size in enumerate(target)]
    if target.count(-1) == 1:
        known = -math.prod(target)
        target = [math.prod(shape) // known if size == -1 and known else size for size in target]
    if math.prod(target) != math.prod(shape) or any(size < 1 for size in target):
        raise InvalidInput(
            f"node {label!r} reshapes a tensor of shape {shape} to {tuple(target)}; the numbers of elements differ"
        )
    return reading.build.reshape(label, reading.value(node.input[0]), target)


def _flatten(reading: Reading, node: Any, label: str) -> str:
    shape = reading.shape(node.input[0])
    axis = int(_attributes(node).get("axis", 1))
    if not -len(shape) <= axis <= len(shape):
        raise InvalidInput(f"node {label!r} flattens a tensor of shape {shape} at axis {axis}, which it does not have")
    axis = axis + len(shape) if axis < 0 else axis
    target = (math.prod(shape[:axis]), math.prod(shape[axis:]))
    return reading.build.reshape(label, reading.value(node.input[0]), target)


OPERATORS: Mapping[str, _Operator] = {
    "Add": _add,
    "Div": _divide,
    "Dropout": _dropout,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "Identity": _passed,
    "MatMul": _matmul,
    "Mul": _multiply,
    "Neg": _negate,
    "Relu": _relu,
    "Reshape": _reshape,
    "Sub": _subtract,
}
"""Operators on computed tensors. Constant is supported beside them, and Shape of a tensor is a constant."""

FOLDED = frozenset(
    {
        *OPERATORS,
        "Cast",
        "Concat",
        "Gather",
        "Pow",
        "Shape",
        "Slice",
        "Sqrt",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that may compute constants from constants."""
