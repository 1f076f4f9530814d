"""ONNX in and out.

    net = read_onnx("model.onnx")             the file as it is; compared with onnxruntime where installed
    net, report = read_with_report("model.onnx")
    write_onnx(net, "smaller.onnx")           float32, whole or not at all

What a file means: its constants are exact rational numbers and its arithmetic is exact; that a runtime
rounds is measured at import (`ImportReport.difference`), not modelled. A free axis counts as 1, so that a
batch axis of free size and one of size 1 read alike, and the input keeps its rank: `['N', 784]` becomes
(1, 784), and is written as `['N', 784]` again. Identity and Dropout leave no trace; a matrix product and the
constant added to it become one affine layer; constants computed from constants are folded in the number
format of the file, as runtimes do.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import FileProblem, InvalidInput, ReludslError, UnsupportedOperator
from reludsl.exact import exactly
from reludsl.io.build import Building, Side
from reludsl.io.files import read_bytes, write_atomically
from reludsl.io.rounding import number_format, rounded
from reludsl.layers import Affine, Layer, PiecewiseLinear, Reshape, Scale, Shape, Shift
from reludsl.network import INPUT, Network

CHECK_POINTS = 64
"""Random points on which an import is compared with onnxruntime."""

OPSET, IR_VERSION = 13, 7
"""What files are written in: read by every runtime since 2020."""

BOX_KEY = "reludsl.input_box"
"""Metadata key of the input range: a JSON object with `lower` and `upper`."""


@dataclass(frozen=True)
class ImportReport:
    """What was read, and how far it is from what onnxruntime computes.

    Args:
        path: the file.
        opset: version of the operator set that the file states.
        operators: how often each operator occurs on the way to the output.
        input_name, output_name: as in the file, to write another file that takes its place.
        difference: largest |network - onnxruntime| over the outputs of random points; None when not compared.
        scale: largest |output| on these points; None when not compared.
        reason: why nothing was compared; empty when it was.
    """

    path: str
    opset: int
    operators: Mapping[str, int]
    input_name: str
    output_name: str
    difference: float | None = None
    scale: float | None = None
    reason: str = ""


def read_onnx(path: str | os.PathLike[str], *, check: bool = True) -> Network:
    """The network of an ONNX file: `read_with_report` without the report.

    Raises:
        FileProblem: missing, a folder, truncated, no ONNX.
        InvalidInput: NaN or infinite weights, several inputs or outputs, shapes that do not fit, or results
            that differ from onnxruntime's.
        UnsupportedOperator: an operator that no layer stands for, or branches that meet.
    """
    return read_with_report(path, check=check)[0]


def read_with_report(path: str | os.PathLike[str], *, check: bool = True) -> tuple[Network, ImportReport]:
    """The network of an ONNX file, and how it was checked.

    Args:
        path: `.onnx`, or packed `.onnx.gz`.
        check: run file and network on 64 random points of the input range ([0, 1] unless the file states one)
            and compare, where onnxruntime is installed.

    Raises:
        FileProblem, InvalidInput, UnsupportedOperator: see `read_onnx`.
    """
    data = read_bytes(path, "ONNX")
    try:
        model = _parse(data)
        external = _load_external(model, path)
        reading = _Reading(model)
        net = reading.network()
    except FileProblem as error:
        raise FileProblem(f"{path}: {error}") from None
    except UnsupportedOperator as error:
        raise UnsupportedOperator(f"{path}: {error}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    report = ImportReport(
        str(path),
        reading.opset,
        reading.operators,
        reading.input_name,
        reading.output_name,
        reason="check=False",
    )
    if check:
        report = _compared(report, os.fspath(path) if external else data, net)
    return net, report


def from_model(model: Any) -> Network:
    """The network of an `onnx.ModelProto` in memory, not compared with anything.

    Raises:
        FileProblem, InvalidInput, UnsupportedOperator: see `read_onnx`.
    """
    return _Reading(model).network()


def _parse(data: bytes) -> Any:
    import onnx

    try:
        return onnx.load_model_from_string(data)
    # the parser is a choice of protobuf implementations, each with exceptions of its own
    except Exception as error:
        raise FileProblem(
            f"is no whole ONNX file ({_first_line(error)}), so no network can be read; "
            "copy it again, or export it again"
        ) from None


def _load_external(model: Any, path: str | os.PathLike[str]) -> bool:
    """Load weights that are kept in files beside the model."""
    from onnx import external_data_helper

    if not any(external_data_helper.uses_external_data(t) for t in model.graph.initializer):
        return False
    try:
        external_data_helper.load_external_data_for_model(model, str(Path(path).parent))
    except Exception as error:
        raise FileProblem(
            f"keeps weights in other files, which cannot be read ({_first_line(error)}); copy them beside the model"
        ) from None
    return True


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


# --- reading -------------------------------------------------------------------------------------------


class _Reading:
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
                    f"node {label!r} ({node.op_type}) cannot be read ({_first_line(error)}); "
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
        self._values[node.output[0]] = read(self, node, label)

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
                    f"the constant {name!r} cannot be read ({_first_line(error)}); the file is damaged: export it again"
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
                    f"the metadata {BOX_KEY!r} states no input range ({_first_line(error)}); "
                    'write {"lower": [..], "upper": [..]}, or remove it'
                ) from None
    return None


# --- operators: (reading, node, name wanted) -> name of the value ------------------------------------------

_Operator = Callable[[_Reading, Any, str], str]


def _passed(reading: _Reading, node: Any, label: str) -> str:
    return reading.value(node.input[0])


def _dropout(reading: _Reading, node: Any, label: str) -> str:
    trains = len(node.input) > 2 and node.input[2] and bool(np.any(reading.constant(node.input[2])))
    if trains:
        raise UnsupportedOperator(
            f"node {label!r} is a Dropout in training mode, which is random; export for inference"
        )
    return reading.value(node.input[0])


def _relu(reading: _Reading, node: Any, label: str) -> str:
    from reludsl.layers import relu

    return reading.build.layer(label, relu, reading.value(node.input[0]))


def _pair(reading: _Reading, node: Any, label: str) -> tuple[str, FloatArray, bool]:
    """The computed operand, the constant one, and whether the computed one stands first."""
    if len(node.input) != 2:
        raise InvalidInput(f"node {label!r} ({node.op_type}) has {len(node.input)} inputs; give two")
    first, second = node.input
    if not reading.is_constant(first) and not reading.is_constant(second):
        raise UnsupportedOperator(
            f"node {label!r} is a {node.op_type} of two computed tensors, {first!r} and {second!r}: residual "
            "branches "
            f"that meet are not supported, a network is a chain so far; supported with one constant are "
            f"{', '.join(sorted(OPERATORS))}"
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


def _add(reading: _Reading, node: Any, label: str) -> str:
    computed, constant, _ = _pair(reading, node, label)
    return reading.build.shift(label, reading.value(computed), constant, reading.used_once(computed))


def _subtract(reading: _Reading, node: Any, label: str) -> str:
    computed, constant, computed_first = _pair(reading, node, label)
    source = reading.value(computed)
    if computed_first:
        return reading.build.shift(label, source, -constant, reading.used_once(computed))
    return reading.build.shift(label, reading.build.negative(f"{label}.negative", source), constant)


def _multiply(reading: _Reading, node: Any, label: str) -> str:
    computed, constant, _ = _pair(reading, node, label)
    return reading.build.scale(label, reading.value(computed), constant)


def _divide(reading: _Reading, node: Any, label: str) -> str:
    computed, constant, computed_first = _pair(reading, node, label)
    if not computed_first:
        raise UnsupportedOperator(
            f"node {label!r} divides by the computed tensor {computed!r}, which is not piecewise linear; "
            f"supported are {', '.join(sorted(OPERATORS))}, with a constant divisor"
        )
    return reading.build.scale(label, reading.value(computed), constant, divide=True)


def _negate(reading: _Reading, node: Any, label: str) -> str:
    return reading.build.negative(label, reading.value(node.input[0]))


def _matmul(reading: _Reading, node: Any, label: str) -> str:
    computed, constant, computed_first = _pair(reading, node, label)
    side = Side.RIGHT if computed_first else Side.LEFT
    return reading.build.product(label, reading.value(computed), constant, side)


def _gemm(reading: _Reading, node: Any, label: str) -> str:
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
            f"node {label!r} is a Gemm of shapes {reading.shape(computed)} and {matrix.shape}; it takes two "
            "matrices: "
            "flatten the tensor first"
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


def _times(reading: _Reading, name: str, factor: float, label: str) -> FloatArray:
    """A constant times alpha or beta, exactly."""
    array = reading.weights(name, label)
    if factor == 1.0:
        return array
    # the factor is a float32: its product with a float32 fits a float64, with a float64 in general not
    exact = reading.constant(name).dtype.itemsize <= 4 or abs(math.frexp(factor)[0]) in (0.0, 0.5)
    if not exact and np.any(array):
        raise InvalidInput(
            f"node {label!r} is a Gemm with the factor {factor:g} on float64 weights, and the product is no "
            "float64, "
            "so the network would not be the file's; multiply the factor into the weights of the file"
        )
    return array * factor


def _reshape(reading: _Reading, node: Any, label: str) -> str:
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


def _flatten(reading: _Reading, node: Any, label: str) -> str:
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


# --- comparison with onnxruntime ---------------------------------------------------------------------------


def _compared(report: ImportReport, source: bytes | str, net: Network) -> ImportReport:
    """The report with the largest difference on random points.

    Raises:
        InvalidInput: the difference is more than float32 rounding explains.
    """
    try:
        import onnxruntime
    except ImportError as error:
        return replace(report, reason=f"onnxruntime is not installed ({_first_line(error)})")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        kind = {"tensor(double)": np.float64, "tensor(float16)": np.float16}.get(given.type, np.float32)
        box = net.input_box or Box.full(0.0, 1.0, net.input_shape)
        points = np.random.default_rng(0).random((CHECK_POINTS, net.input_size))
        points = (box.lower.ravel() + points * (box.upper - box.lower).ravel()).astype(kind)
        # one by one: a batch axis of size 1 is as common as a free one
        runs = [session.run([report.output_name], {given.name: x.reshape(net.input_shape)})[0] for x in points]
    except Exception as error:
        return replace(report, reason=f"onnxruntime does not run the file ({_first_line(error)})")
    theirs = np.stack([np.asarray(run, dtype=np.float64).ravel() for run in runs])
    ours = net(points.astype(np.float64))
    ours = ours.reshape(CHECK_POINTS, -1)
    if theirs.shape != ours.shape:
        raise InvalidInput(
            f"{report.path}: the network has {ours.shape[1]} outputs where onnxruntime computes "
            f"{theirs.shape[1]}; "
            "report this file as a fault of the importer"
        )
    gap = np.abs(theirs - ours)
    difference, scale = float(gap.max()), float(np.abs(ours).max())
    allowed = (5e-2 if kind is np.float16 else 1e-4) * (1 + scale)
    if not difference <= allowed:
        point, output = np.unravel_index(int(np.argmax(np.nan_to_num(gap, nan=np.inf))), gap.shape)
        raise InvalidInput(
            f"{report.path}: output {output} of random point {point} is {ours[point, output]:.9g} here and "
            f"{theirs[point, output]:.9g} in onnxruntime, more apart than the {allowed:.2g} that rounding "
            "explains, so "
            "answers would be about another function; report the file, or read it with check=False"
        )
    return replace(report, difference=difference, scale=scale, reason="")


# --- writing -----------------------------------------------------------------------------------------------


def write_onnx(
    net: Network,
    path: str | os.PathLike[str],
    *,
    dtype: npt.DTypeLike = np.float32,
    input_name: str = "input",
    output_name: str = "output",
    batch: bool | None = None,
) -> None:
    """Write `rounded(net, dtype)` as ONNX (opset 13), whole or not at all.

    Args:
        path: `.onnx`, or `.onnx.gz` to pack it.
        dtype: float32 or float64; weights that the format does not hold are rounded to the nearest (see
            `reludsl.io.rounding.rounded`).
        input_name, output_name: names of the graph's input and output.
        batch: see `to_model`.

    Raises:
        FileProblem: the folder does not exist or takes no file; nothing is written then.
        InvalidInput: a weight is too large for the format.
        UnsupportedOperator: a layer type without an ONNX form.
    """
    model = to_model(net, dtype, input_name=input_name, output_name=output_name, batch=batch)
    write_atomically(path, model.SerializeToString())


def to_model(
    net: Network,
    dtype: npt.DTypeLike = np.float32,
    *,
    input_name: str = "input",
    output_name: str = "output",
    batch: bool | None = None,
) -> Any:
    """An `onnx.ModelProto` that computes `rounded(net, dtype)`.

    Layers are nodes of the same name. An affine layer is a Gemm on tensors of rank 2, else a MatMul and an
    Add; ReLU, leaky ReLU, |z| and clipping are the operators of that name; any other activation is a sum of
    these.

    Args:
        batch: True: the first axis is free, and one is put in front of the network's shapes if they do not
            all start with an axis of size 1. False: all sizes are fixed. None: free if all shapes start with
            an axis of size 1 and have another one.

    Raises:
        InvalidInput, UnsupportedOperator: see `write_onnx`.

    >>> from reludsl.layers import relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu], (1, 1))
    >>> [node.op_type for node in to_model(net).graph.node]
    ['Gemm', 'Relu']
    """
    from onnx import helper

    chosen = number_format(dtype)
    net = rounded(net, chosen)
    cone = net.cone(net.output)
    shapes = {name: net.shapes[name] for name in (INPUT, *(node.name for node in cone))}
    rows = all(len(s) > 1 and s[0] == 1 for s in shapes.values())
    free = rows if batch is None else batch
    if free and not rows:
        shapes = {name: (1, *shape) for name, shape in shapes.items()}
    writing = _Writing(chosen, shapes, free)
    writing.tensors.update({INPUT: input_name, net.output: output_name})
    writing.names.update((input_name, output_name))
    for node in cone:
        if node.name not in writing.tensors:
            writing.tensors[node.name] = writing.name(node.name)
    for node in cone:
        write_layer(node.layer, writing, _Place(node.name, node.source))
    kind = helper.np_dtype_to_tensor_dtype(chosen)
    edges = [
        helper.make_tensor_value_info(writing.tensors[name], kind, ["N", *shapes[name][1:]] if free else shapes[name])
        for name in (INPUT, net.output)
    ]
    graph = helper.make_graph(writing.nodes, "reludsl", edges[:1], edges[1:], writing.initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="reludsl")
    model.ir_version = IR_VERSION
    if net.input_box is not None:
        box = {"lower": net.input_box.lower.tolist(), "upper": net.input_box.upper.tolist()}
        helper.set_model_props(model, {BOX_KEY: json.dumps(box)})
    return model


@dataclass(frozen=True)
class _Place:
    """Which layer is written: its name and its source, both names in the network."""

    name: str
    source: str


@dataclass
class _Writing:
    """Nodes and constants so far."""

    dtype: np.dtype[Any]
    shapes: Mapping[str, Shape]
    free: bool
    tensors: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    nodes: list[Any] = field(default_factory=list)
    initialisers: list[Any] = field(default_factory=list)

    def name(self, wanted: str) -> str:
        """A tensor name that is not taken."""
        chosen, count = wanted, 1
        while chosen in self.names:
            count += 1
            chosen = f"{wanted}_{count}"
        self.names.add(chosen)
        return chosen

    def constant(self, wanted: str, values: Any, dtype: npt.DTypeLike | None = None) -> str:
        from onnx import numpy_helper

        name = self.name(wanted)
        array = np.ascontiguousarray(values).reshape(np.shape(values)).astype(dtype or self.dtype)
        self.initialisers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, place: _Place, *inputs: str, **attributes: Any) -> None:
        """The node that computes the layer's value."""
        from onnx import helper

        names = (inputs, [self.tensors[place.name]])
        self.nodes.append(helper.make_node(operator, *names, name=place.name, **attributes))

    def step(self, operator: str, place: _Place, suffix: str, *inputs: str) -> str:
        """A node on the way to the layer's value; its output tensor."""
        from onnx import helper

        out = self.name(f"{place.name}.{suffix}")
        self.nodes.append(helper.make_node(operator, inputs, [out], name=out))
        return out

    def source(self, place: _Place) -> str:
        return self.tensors[place.source]

    def spread(self, place: _Place, values: FloatArray) -> FloatArray:
        """A constant in the shape of the layer's tensor, or one number."""
        return values.reshape(()) if values.size == 1 else values.reshape(self.shapes[place.name])


@singledispatch
def write_layer(layer: Layer, writing: _Writing, place: _Place) -> None:
    """The nodes of one layer. Register a function for a new layer type."""
    raise UnsupportedOperator(
        f"layer {place.name!r} of kind {layer.kind!r} has no ONNX form; write the network as .npz"
    )


@write_layer.register
def _(layer: Affine, writing: _Writing, place: _Place) -> None:
    source = writing.source(place)
    if len(writing.shapes[place.source]) == 2:
        weight = writing.constant(f"{place.name}.weight", layer.dense)
        bias = writing.constant(f"{place.name}.bias", layer.offset)
        writing.node("Gemm", place, source, weight, bias, transB=1)
        return
    weight = writing.constant(f"{place.name}.weight", layer.dense.T)
    product = writing.step("MatMul", place, "product", source, weight)
    # a name that reading restores: the matrix product names the layer
    writing.nodes[-1].name = place.name
    writing.node("Add", _Place(place.name, place.source), product, writing.constant(f"{place.name}.bias", layer.offset))
    writing.nodes[-1].name = f"{place.name}.sum"


@write_layer.register
def _(layer: Shift, writing: _Writing, place: _Place) -> None:
    constant = writing.constant(f"{place.name}.constant", writing.spread(place, layer.offset))
    writing.node("Add", place, writing.source(place), constant)


@write_layer.register
def _(layer: Scale, writing: _Writing, place: _Place) -> None:
    constant = writing.constant(f"{place.name}.constant", writing.spread(place, layer.factor))
    writing.node("Div" if layer.divide else "Mul", place, writing.source(place), constant)


@write_layer.register
def _(layer: Reshape, writing: _Writing, place: _Place) -> None:
    before, after = writing.shapes[place.source], writing.shapes[place.name]
    if len(after) == 2 and after[0] == 1 and before[:1] == (1,):
        writing.node("Flatten", place, writing.source(place), axis=1)
        return
    target = writing.constant(f"{place.name}.shape", [0, *after[1:]] if writing.free else after, np.int64)
    writing.node("Reshape", place, writing.source(place), target)


@write_layer.register
def _(layer: PiecewiseLinear, writing: _Writing, place: _Place) -> None:
    source = writing.source(place)
    for operator, attributes, constants in _standard_forms(layer, writing.dtype):
        names = [writing.constant(f"{place.name}.{k}", value) for k, value in constants.items()]
        writing.node(operator, place, source, *names, **attributes)
        return
    _write_sum(layer, writing, place)


def _standard_forms(
    layer: PiecewiseLinear, dtype: np.dtype[Any]
) -> Iterator[tuple[str, dict[str, Any], dict[str, float]]]:
    """Operators that are this activation exactly: operator, attributes, constant inputs."""
    breaks, slopes = layer.breaks, layer.slopes
    if breaks == (0.0,) and not any(layer.intercepts):
        if slopes == (0.0, 1.0):
            yield "Relu", {}, {}
        if slopes == (-1.0, 1.0):
            yield "Abs", {}, {}
        # the attribute is a float32 in every file, and runtimes know the operator for float32 alone
        if dtype == np.float32 and slopes[1] == 1.0:
            yield "LeakyRelu", {"alpha": slopes[0]}, {}
    if slopes == (0.0, 1.0, 0.0) and layer.intercepts[1] == 0.0:
        yield "Clip", {}, {"lower": breaks[0], "upper": breaks[1]}


def _write_sum(layer: PiecewiseLinear, writing: _Writing, place: _Place) -> None:
    """f(b_1) - s_0 relu(b_1 - z) + sum s_k (clip(z, b_k, b_k+1) - b_k) + s_K relu(z - b_K).

    Every constant is a field of the activation, so that none is rounded twice, and saturated pieces do not
    cancel, as they would in the sum of (s_k - s_k-1) relu(z - b_k).
    """
    source, breaks, slopes = writing.source(place), layer.breaks, layer.slopes
    names: dict[float, str] = {}

    def constant(value: float) -> str:
        if value not in names:
            names[value] = writing.constant(f"{place.name}.c{len(names)}", value)
        return names[value]

    terms: list[str] = []
    for k, slope in enumerate(slopes):
        if slope == 0:
            continue
        if not breaks:
            part = source
        elif k == 0:
            below = writing.step("Sub", place, "below", constant(breaks[0]), source)
            part = writing.step("Neg", place, "negative", writing.step("Relu", place, "left", below))
        elif k == len(breaks):
            above = writing.step("Sub", place, "above", source, constant(breaks[-1]))
            part = writing.step("Relu", place, "right", above)
        else:
            ends = (constant(breaks[k - 1]), constant(breaks[k]))
            cut = writing.step("Clip", place, f"cut{k}", source, *ends)
            part = writing.step("Sub", place, f"piece{k}", cut, ends[0])
        terms.append(writing.step("Mul", place, f"term{k}", part, constant(slope)))
    if not terms:
        terms.append(writing.step("Mul", place, "zero", source, constant(0.0)))
    total = terms[0]
    for term in terms[1:]:
        total = writing.step("Add", place, "sum", total, term)
    # the rounded activation takes a number of the format there, exactly; floats might miss it by one unit
    value = float(layer.exact(exactly(np.array([breaks[0] if breaks else 0.0])))[0])
    writing.node("Add", place, total, writing.constant(f"{place.name}.value", value))
