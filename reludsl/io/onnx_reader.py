"""What an ONNX graph computes, as a network: one pass over the nodes that the output depends on.

    model = parse(data)
    net = Reading(model).network()

Tensors that depend on the input become layers; all others are constants, and are folded as runtimes do. What each
operator means is said in `reludsl.io.onnx_operators`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.errors import FileProblem, InvalidInput, ReludslError
from reludsl.io.build import Building
from reludsl.io.files import first_line
from reludsl.io.onnx_operators import FOLDED as FOLDED
from reludsl.io.onnx_operators import FOREIGN, OWN_DOMAIN, STANDARD, attributes
from reludsl.io.onnx_operators import OPERATORS as OPERATORS
from reludsl.io.onnx_operators import Operator as Operator
from reludsl.io.onnx_operators.common import unsupported
from reludsl.layers import Shape, made
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
        standard = node.domain in STANDARD
        if standard and node.op_type == "Constant":
            self._constants[node.output[0]] = _constant(node, label)
            return
        if standard and node.op_type in ("Shape", "Size") and not self.is_constant(node.input[0]):
            self._constants[node.output[0]] = self._measured(node)
            return
        given = [name for name in node.input if name]
        if standard and given and all(self.is_constant(name) for name in given) and node.op_type in FOLDED:
            self._fold(node, label)
            return
        read = OPERATORS.get(node.op_type) if standard else FOREIGN.get((node.domain, node.op_type))
        if read is None and node.domain == OWN_DOMAIN:
            read = _own_layer
        if read is None:
            known = [*OPERATORS, *(f"{domain}.{name}" for domain, name in FOREIGN)]
            raise unsupported(label, node.op_type if standard else f"{node.domain}.{node.op_type}", known)
        if not given or not node.output:
            raise InvalidInput(f"node {label!r} ({node.op_type}) has no input or no output; the file is damaged")
        found = read(self, node, label)
        self._name(node, (found,) if isinstance(found, str) else found)

    def _measured(self, node: Any) -> npt.NDArray[Any]:
        """Shape or Size of a computed tensor."""
        shape = np.array(self.shape(node.input[0]), dtype=np.int64)
        if node.op_type == "Size":
            return np.asarray(shape.prod())
        marks = attributes(node)
        return shape[slice(marks.get("start", 0), marks.get("end"))]

    def _name(self, node: Any, values: tuple[str, ...]) -> None:
        """Remember whose values a node's outputs are, by the names of the tensors and by that of the node."""
        for output, value in zip(node.output, values):
            if node.op_type in ("Add", "Sub") and value in {self._values.get(name) for name in node.input}:
                # the constant joined the layer: what was called so far is no value of the network any more
                self.tensors = {name: held for name, held in self.tensors.items() if held != value}
            if value:
                self._values[output] = value
            if value not in ("", INPUT):
                self.tensors[output] = value
                self.tensors.setdefault(node.name or output, value)

    def _fold(self, node: Any, label: str) -> None:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        names = list(dict.fromkeys(name for name in node.input if name))
        kinds = [helper.np_dtype_to_tensor_dtype(self.constant(name).dtype) for name in names]
        typed = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(names, kinds)]
        wanted = [name for name in node.output if name]
        outputs = [helper.make_tensor_value_info(name, 0, None) for name in wanted]
        graph = helper.make_graph([node], label, typed, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        found = ReferenceEvaluator(model).run(None, {n: self.constant(n) for n in names})
        self._constants.update({name: np.asarray(value) for name, value in zip(wanted, found)})

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
        if self.is_constant(name):
            raise InvalidInput(
                f"the tensor {name!r} is a constant, where a layer can only take a computed tensor; "
                "compute with it when the file is made"
            )
        if name not in self._values:
            raise InvalidInput(
                f"the tensor {name!r} is used, but nothing computes it; the file is damaged: export it again"
            )
        return self._values[name]

    def shape(self, name: str) -> Shape:
        return self.build.shapes[self.value(name)]

    def used(self, name: str) -> bool:
        """Whether anything takes a tensor."""
        return self._uses[name] > 0

    def used_once(self, name: str) -> bool:
        return self._uses[name] == 1

    def attributes(self, node: Any) -> dict[str, Any]:
        """The attributes of a node by name, as Python values."""
        return attributes(node)


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


def _constant(node: Any, label: str) -> npt.NDArray[Any]:
    from onnx import numpy_helper

    marks = attributes(node)
    if "value" in marks:
        return np.asarray(numpy_helper.to_array(marks["value"]))
    for name, kind in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64),
                       ("value_ints", np.int64)):  # fmt: skip
        if name in marks:
            return np.asarray(marks[name], dtype=kind)
    raise InvalidInput(f"the constant {label!r} holds {', '.join(marks) or 'nothing'}; give a dense tensor or numbers")


ARRAYS, JSON = "arrays", ".json"
"""Of a layer that is written by its fields: which of them the last inputs hold, and the mark of one kept as JSON."""


def _own_layer(reading: Reading, node: Any, label: str) -> str:
    """A layer of a registered type from its fields (see `reludsl.io.onnx_writer`)."""
    fields: dict[str, Any] = {}
    for name, value in attributes(node).items():
        if name == ARRAYS:
            continue
        held = value.decode() if isinstance(value, bytes) else value
        if name.endswith(JSON):
            fields[name.removesuffix(JSON)] = json.loads(held)
        else:
            fields[name] = held
    arrays = [held.decode() for held in attributes(node).get(ARRAYS, [])]
    first = len(node.input) - len(arrays)
    for name, tensor in zip(arrays, node.input[first:]):
        array = reading.constant(tensor)
        fields[name] = array.astype(np.float64) if array.dtype.kind == "f" else array
    try:
        layer = made(node.op_type, fields)
    except InvalidInput as error:
        raise InvalidInput(f"node {label!r}: {error}") from None
    return reading.build.layer(label, layer, *(reading.value(name) for name in node.input[:first]))


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
