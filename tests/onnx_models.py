"""Small ONNX models, and their comparison with onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reludsl.io.onnx import from_model
from reludsl.network import Network

Need = Callable[[str], Any]


def model(
    nodes: Sequence[Any], constants: dict[str, Any], shape: Sequence[Any], *, opset: int = 13, outputs: int = 1
) -> Any:
    """A model with input x and output y; shapes in between are left to the runtime."""
    from onnx import helper, numpy_helper

    held = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    x, y = helper.make_tensor_value_info("x", 1, shape), helper.make_tensor_value_info("y", 1, None)
    graph = helper.make_graph(list(nodes), "g", [x], [y], held)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    built.ir_version = 7
    return built


def node(operator: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    from onnx import helper

    names = ["" if name == "_" else name for name in inputs.split()]
    first = "" if outputs.startswith("y") else f"{outputs.split()[0]}_"
    return helper.make_node(operator, names, outputs.split(), name=f"{first}{operator.lower()}_node", **attributes)


def agrees(built: Any, need: Need, count: int = 6) -> Network:
    """The network of a model, after comparison with onnxruntime, output shape included."""
    onnxruntime = need("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(built.SerializeToString(), options, providers=["CPUExecutionProvider"])
    net = from_model(built)
    points = np.random.default_rng(1).integers(-16, 17, (count, net.input_size)) / 8
    runs = [session.run(None, {"x": p.reshape(net.input_shape).astype(np.float32)})[0] for p in points]
    assert runs[0].shape == net.output_shape
    theirs = np.stack([run.astype(np.float64).ravel() for run in runs])
    np.testing.assert_allclose(net(points).reshape(count, -1), theirs, atol=4e-6, rtol=4e-6)
    return net
