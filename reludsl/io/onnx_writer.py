"""A network as an ONNX graph: the nodes of each layer, by its type.

    model = to_model(net)                     an onnx.ModelProto
    @write_layer.register                     the nodes of a layer type of your own

Every constant of the file is a field of a layer, rounded once. What is written for which type is in
`reludsl.io.onnx_nodes`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.io.onnx_nodes import Place as Place
from reludsl.io.onnx_nodes import Writing as Writing
from reludsl.io.onnx_nodes import write_layer as write_layer
from reludsl.io.onnx_nodes.base import takes_several
from reludsl.io.onnx_reader import BOX_KEY
from reludsl.io.rounding import number_format, rounded
from reludsl.network import INPUT, Network, joined_shape

OPSET, IR_VERSION = 13, 7
"""What files are written in: read by every runtime since 2020."""


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
    Add; ReLU, leaky and parametric ReLU, |z| and clipping are the operators of that name; any other activation is
    a sum of these. Convolution and pooling are the operators of that name, batch normalisation is a Mul and an Add,
    selections and maxima are what they are called where ONNX has a word for them, else a Gather of the flat tensor.
    A layer type that was registered from elsewhere and has no function of its own here is a node of the domain
    `reludsl` that holds the fields of the layer: `read_onnx` reads it, other runtimes do not.

    Args:
        batch: True: the first axis is free, and one is put in front of the network's shapes if they do not
            all start with an axis of size 1. False: all sizes are fixed. None: free if all shapes start with
            an axis of size 1 and have another one.

    Raises:
        InvalidInput, UnsupportedOperator: see `reludsl.io.onnx.write_onnx`.

    >>> from reludsl.layers import Affine, relu
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
    writing = Writing(chosen, shapes, free, sets={"": OPSET})
    writing.tensors.update({INPUT: input_name, net.output: output_name})
    writing.names.update((input_name, output_name))
    for node in cone:
        if node.name not in writing.tensors:
            writing.tensors[node.name] = writing.name(node.name)
    for node in cone:
        place = Place(node.name, node.sources)
        if len(node.sources) > 1 and not takes_several(node.layer):
            place = writing.single(place, joined_shape([net.shapes[source] for source in node.sources]))
        write_layer(node.layer, writing, place)
    kind = helper.np_dtype_to_tensor_dtype(chosen)
    edges = [
        helper.make_tensor_value_info(writing.tensors[name], kind, ["N", *shapes[name][1:]] if free else shapes[name])
        for name in (INPUT, net.output)
    ]
    graph = helper.make_graph(writing.nodes, "reludsl", edges[:1], edges[1:], writing.initialisers)
    sets = [helper.make_opsetid(domain, version) for domain, version in writing.sets.items()]
    model = helper.make_model(graph, opset_imports=sets, producer_name="reludsl")
    model.ir_version = IR_VERSION
    if net.input_box is not None:
        box = {"lower": net.input_box.lower.tolist(), "upper": net.input_box.upper.tolist()}
        helper.set_model_props(model, {BOX_KEY: json.dumps(box)})
    return model
