"""PyTorch modules in and out.

    net = from_torch(module)          traced by torch.fx, compared with the module on random points
    module = to_torch(net)            nn.Sequential of Linear, ReLU, Conv2d, ...; a module with branches
    register_module(kind, read)       a module type of your own

A module is read as it computes in eval mode (Dropout does nothing); it is copied, never changed. Shapes count
the batch axis as 1, as in ONNX files: `from_torch(module, (1, 3, 32, 32))`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.errors import InvalidInput, MissingBackend
from reludsl.io.rounding import number_format, rounded
from reludsl.io.torch_operators import MODULES
from reludsl.io.torch_operators import register_module as register_module
from reludsl.io.torch_reader import Tracing, traced
from reludsl.layers import Shape
from reludsl.network import INPUT, Network, joined_shape

CHECK_POINTS = 16
"""Random points on which an import is compared with the module."""


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise MissingBackend(
            f"PyTorch is not installed ({error}), so its modules can neither be read nor made; "
            "pip install 'reludsl[torch]', or exchange an ONNX file"
        ) from None
    return torch


def from_torch(module: Any, input_shape: Sequence[int] | None = None, *, check: bool = True) -> Network:
    """The network that a `torch.nn.Module` computes in eval mode.

    Supported are the layers of torch.nn that are piecewise linear and their functions: Linear, convolution, batch
    normalisation by running statistics, pooling, activations, padding, dropout; sums of tensors, products with
    constants, maxima, means; and whatever moves elements: reshape, permute, cat, chunk, indexing, ... The message
    about an unknown operation lists them all. An operation in place changes the value for all that comes after it.

    Args:
        input_shape: shape of the input, the batch axis counted as 1; by default (1, n) with n the inputs of
            the module's first Linear.
        check: compare network and module on 16 random points of [0, 1].

    Raises:
        MissingBackend: PyTorch is not installed.
        UnsupportedOperator: an operation that no layer stands for, control flow that depends on values.
        InvalidInput: shapes that do not fit, weights that are not finite, several inputs or outputs, results
            that differ from the module's.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise InvalidInput(f"{type(module).__name__} is no torch.nn.Module; give a module, e.g. nn.Sequential(...)")
    still = copy.deepcopy(module).eval().cpu()
    shape = tuple(input_shape) if input_shape is not None else _guessed_shape(torch, still)
    graph, root = traced(torch, still, shape)
    net = Tracing(torch, root, shape).network(graph)
    if check:
        _compare(torch, still, net)
    return net


def _guessed_shape(torch: Any, module: Any) -> Shape:
    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            return (1, int(part.in_features))
        if type(part).__name__ in MODULES and part._parameters:
            # a convolution, say: its tensors are no vectors
            break
    raise InvalidInput(
        "the module does not begin with a Linear that tells its input size; give input_shape, e.g. (1, 784) or "
        "(1, 3, 32, 32)"
    )


def _compare(torch: Any, module: Any, net: Network) -> None:
    kinds = [p.dtype for p in (*module.parameters(), *module.buffers()) if p.is_floating_point()]
    points = np.random.default_rng(0).random((CHECK_POINTS, net.input_size)).astype(np.float32)
    kind = kinds[0] if kinds else torch.float32
    with torch.no_grad():
        inputs = [torch.tensor(x.reshape(net.input_shape)).to(kind) for x in points]
        theirs = np.stack([module(x).to(torch.float64).numpy().ravel() for x in inputs])
        ours = net(np.stack([x.to(torch.float64).numpy().ravel() for x in inputs])).reshape(CHECK_POINTS, -1)
    coarse = kind in (torch.float16, torch.bfloat16)
    allowed = (5e-2 if coarse else 1e-4) * (1 + float(np.abs(ours).max()))
    gap = float(np.abs(theirs - ours).max()) if theirs.shape == ours.shape else math.inf
    if not gap <= allowed:
        raise InvalidInput(
            f"network and module differ by {gap:.3g} on random points of [0, 1], more than the {allowed:.2g} "
            "that rounding explains (an operation in place?), so answers would be about another function; "
            "write the forward pass without in-place operations, or read it with check=False"
        )


def to_torch(net: Network, dtype: npt.DTypeLike = np.float32) -> Any:
    """A module in eval mode that computes `rounded(net, dtype)` on batches.

    A chain of layers is a `torch.nn.Sequential`; a network with branches is a module of the same parts, in order, that
    says which values each of them takes.

    Args:
        dtype: float32 or float64. With float64 no weight is rounded.

    Returns:
        A module that takes a tensor (m, ...): the network's input shape, with its leading axis of size 1
        free, or with a free axis in front where the shapes do not all start with 1.

    Raises:
        MissingBackend: PyTorch is not installed.
        InvalidInput: a weight is too large for the format.
        UnsupportedOperator: a layer type without a module.
    """
    torch = _torch()
    from reludsl.io import torch_modules

    chosen = number_format(dtype)
    net = rounded(net, chosen)
    cone = net.cone(net.output)
    shapes = {INPUT: net.input_shape, **{node.name: net.shapes[node.name] for node in cone}}
    rows = all(len(s) > 1 and s[0] == 1 for s in shapes.values())
    kind = getattr(torch, chosen.name)
    parts = []
    for node in cone:
        held = [shapes[source] for source in node.sources]
        joined = joined_shape(held)
        inputs = tuple(shape[1:] if rows else shape for shape in held)
        place = torch_modules.Place(inputs, shapes[node.name][1:] if rows else shapes[node.name], joined)
        parts.append(torch_modules.part(node.layer, place, kind))
    numbers = {name: k for k, name in enumerate(shapes)}
    wires = [tuple(numbers[source] for source in node.sources) for node in cone]
    if wires == [(k,) for k in range(len(cone))]:
        return torch.nn.Sequential(*parts).eval()
    return torch_modules.Branched(parts, wires, [node.name for node in cone]).eval()
