"""Networks as numpy arrays, without pickle. Two forms, told apart by the key `header`.

**Plain chain.** `W0`, `b0`, `W1`, `b1`, ...: y = W_k x + b_k with W_k of shape (n_out, n_in), and the ReLU
between consecutive layers, none after the last. What most scripts save; read with input shape (1, n_in).

**Described network.** `header` is a text array of JSON:

    {"format": "reludsl-network", "version": 1, "input_shape": [1, 784], "output": "fc2",
     "nodes": [{"name": "fc1", "source": "input", "layer": "affine",
                "arrays": {"weight": "W0", "offset": "b0"}},
               {"name": "relu1", "source": "fc1", "layer": "piecewise", "activation": "relu",
                "breaks": [0.0], "slopes": [0.0, 1.0], "anchor": [0.0, 0.0]}, ...]}

`arrays` names the arrays of a layer. Affine: `weight` (n_out, n_in), or `data`, `indices`, `indptr` and
`shape` of a sparse one, and `offset`. Shift: `offset`. Scale: `factor`, with a field `divide`. A reshape has
a field `shape`. A number of an activation is a list where it is one for each element. Every other layer is that of
a registered type (`reludsl.layers.register`), by its fields: arrays stand in `arrays`, all else in `fields`. A node
of several sources names them in `sources`:

    {"name": "pool", "source": "relu1", "layer": "registered", "type": "MaxPool", "fields": {"channels": 8, ...}}
    {"name": "add", "sources": ["pool", "input"], "layer": "registered", "type": "Sum", "fields": {"signs": [1, 1]}}

The input range, where a network states one, is in `input_lower` and `input_upper`.

`write_npz` always writes a header. Where the network is a plain chain its arrays are named W0, b0, ..., so
that the file is readable both ways. Weights are float64: what is read is what was written, bit for bit.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from reludsl.domain import Box
from reludsl.errors import FileProblem, InvalidInput, UnsupportedOperator
from reludsl.io.files import first_line, read_bytes, write_atomically
from reludsl.layers import (
    Affine,
    Layer,
    PiecewiseLinear,
    Reshape,
    Scale,
    Shift,
    fields_of,
    made,
    registered,
    relu,
)
from reludsl.layers.by_layer import by_layer
from reludsl.network import Network, Node

FORMAT, VERSION = "reludsl-network", 1

_Arrays = dict[str, npt.NDArray[Any]]
_Header = Mapping[str, Any]


def write_npz(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a described network, whole or not at all.

    Raises:
        FileProblem: the folder does not exist or takes no file.
        UnsupportedOperator: a layer type without a description.
    """
    chain = _is_plain_chain(net)
    arrays: _Arrays = {}
    nodes = []
    for index, node in enumerate(net.nodes):
        fields, own = describe_layer(node.layer)
        names = {"weight": f"W{index // 2}", "offset": f"b{index // 2}"} if chain else {}
        keys = {key: names.get(key, f"layer{index}.{key}") for key in own}
        arrays.update({keys[key]: value for key, value in own.items()})
        # one source stands alone, as in the files of versions that knew no branches
        sources = {"sources": list(node.sources)} if len(node.sources) > 1 else {"source": node.source}
        nodes.append({"name": node.name, **sources, **fields, "arrays": keys})
    if net.input_box is not None:
        arrays.update(input_lower=net.input_box.lower, input_upper=net.input_box.upper)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "input_shape": list(net.input_shape),
        "output": net.output,
        "nodes": nodes,
    }
    stream = io.BytesIO()
    np.savez_compressed(stream, header=np.array(json.dumps(header)), **arrays)  # type: ignore[arg-type]
    write_atomically(path, stream.getvalue())


def _is_plain_chain(net: Network) -> bool:
    layers = [node.layer for node in net.nodes]
    sources = [("input",), *((node.name,) for node in net.nodes[:-1])]
    return (
        len(layers) % 2 == 1
        and net.output == net.nodes[-1].name
        and [node.sources for node in net.nodes] == sources
        and all(type(layer) is Affine and not sparse.issparse(layer.weight) for layer in layers[::2])
        and all(layer == relu for layer in layers[1::2])
    )


@by_layer
def describe_layer(layer: Layer) -> tuple[dict[str, Any], _Arrays]:
    """Header fields and arrays of a layer; those of a registered type are the fields of its class."""
    name = type(layer).__name__
    if registered().get(name) is not type(layer):
        raise UnsupportedOperator(
            f"a layer of kind {layer.kind!r} has no description in .npz; known are {', '.join(sorted(LAYERS))}: put "
            "@reludsl.layers.register above its class"
        )
    plain, arrays = fields_of(layer)
    return {"layer": "registered", "type": name, "fields": plain}, arrays


@describe_layer.register
def _(layer: Affine) -> tuple[dict[str, Any], _Arrays]:
    if isinstance(layer.weight, sparse.csr_array):
        w = layer.weight
        parts = {"data": w.data, "indices": w.indices, "indptr": w.indptr, "shape": np.array(w.shape)}
        return {"layer": "affine"}, {**parts, "offset": layer.offset}
    return {"layer": "affine"}, {"weight": layer.weight, "offset": layer.offset}


@describe_layer.register
def _(layer: Shift) -> tuple[dict[str, Any], _Arrays]:
    return {"layer": "shift"}, {"offset": layer.offset}


@describe_layer.register
def _(layer: Scale) -> tuple[dict[str, Any], _Arrays]:
    return {"layer": "scale", "divide": layer.divide}, {"factor": layer.factor}


@describe_layer.register
def _(layer: Reshape) -> tuple[dict[str, Any], _Arrays]:
    return {"layer": "reshape", "shape": list(layer.shape)}, {}


@describe_layer.register
def _(layer: PiecewiseLinear) -> tuple[dict[str, Any], _Arrays]:
    lists = {name: list(getattr(layer, name)) for name in ("breaks", "slopes", "anchor")}
    return {"layer": "piecewise", "activation": layer.name, **lists}, {}


def _affine(fields: _Header, arrays: _Arrays) -> Layer:
    if "weight" in arrays:
        return Affine(arrays["weight"], arrays["offset"])
    parts = (arrays["data"], arrays["indices"], arrays["indptr"])
    return Affine(sparse.csr_array(parts, shape=tuple(arrays["shape"].tolist())), arrays["offset"])


def _piecewise(fields: _Header, arrays: _Arrays) -> Layer:
    first, second = fields["anchor"]
    layer = PiecewiseLinear(
        str(fields["activation"]), tuple(fields["breaks"]), tuple(fields["slopes"]), (first, second)
    )
    return relu if layer == relu else layer


LAYERS: Mapping[str, Callable[[_Header, _Arrays], Layer]] = {
    "affine": _affine,
    "piecewise": _piecewise,
    "registered": lambda fields, arrays: made(str(fields["type"]), {**fields["fields"], **arrays}),
    "reshape": lambda fields, arrays: Reshape(tuple(int(k) for k in fields["shape"])),
    "scale": lambda fields, arrays: Scale(arrays["factor"], bool(fields["divide"])),
    "shift": lambda fields, arrays: Shift(arrays["offset"]),
}
"""Readers of layers, by the field `layer`."""


def read_npz(path: str | os.PathLike[str]) -> Network:
    """The network of an `.npz` file, of either form.

    Raises:
        FileProblem: missing, truncated, no `.npz`, pickled objects, a header that describes no network.
        InvalidInput: NaN or infinite weights, shapes that do not fit, no arrays W0, b0.
        UnsupportedOperator: a layer type that this version does not know.

    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = pathlib.Path(folder, "net.npz")
    ...     np.savez(place, W0=np.array([[1.0], [-1.0]]), b0=np.zeros(2), W1=np.ones((1, 2)), b1=np.zeros(1))
    ...     read_npz(place)(np.array([-3.0]))
    array([3.])
    """
    data = read_bytes(path, "NPZ")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: np.asarray(archive[key]) for key in archive.files}
    # a damaged archive breaks zipfile, zlib or numpy, each in its own way
    except Exception as error:
        raise FileProblem(
            f"{path}: is no whole .npz file of plain arrays ({first_line(error)}), so no network can be read; "
            "copy it again, or write it with reludsl.io.write_npz"
        ) from None
    try:
        return _described(arrays) if "header" in arrays else _chain(arrays)
    except FileProblem as error:
        raise FileProblem(f"{path}: {error}") from None
    except UnsupportedOperator as error:
        raise UnsupportedOperator(f"{path}: {error}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def _described(arrays: _Arrays) -> Network:
    try:
        header = json.loads(str(arrays["header"]))
        known = header["format"] == FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise FileProblem(f"the header describes no network ({first_line(error)}); write it with write_npz") from None
    if not known or header.get("version") != VERSION:
        raise FileProblem(
            f"the header states format {header['format']!r}, version {header.get('version')!r}; "
            f"this version of reludsl reads {FORMAT!r}, version {VERSION}: update reludsl, or write the file again"
        )
    try:
        nodes = tuple(_node(fields, arrays) for fields in header["nodes"])
        box = Box(arrays["input_lower"], arrays["input_upper"]) if "input_lower" in arrays else None
        return Network(nodes, tuple(int(k) for k in header["input_shape"]), str(header["output"]), box)
    except (InvalidInput, UnsupportedOperator):
        raise
    # a header by another hand: missing keys, text for numbers, indices outside the matrix, ...
    except Exception as error:
        raise FileProblem(
            f"the header does not fit the arrays ({type(error).__name__}: {first_line(error)}); write it with write_npz"
        ) from None


def _node(fields: _Header, arrays: _Arrays) -> Node:
    kind = fields["layer"]
    if kind not in LAYERS:
        raise UnsupportedOperator(
            f"layer {fields['name']!r} is of kind {kind!r}; this version of reludsl reads {', '.join(sorted(LAYERS))}"
        )
    own = {key: arrays[name] for key, name in fields["arrays"].items()}
    try:
        sources = fields["sources"] if "sources" in fields else [fields["source"]]
        return Node(str(fields["name"]), LAYERS[kind](fields, own), *map(str, sources))
    except InvalidInput as error:
        raise InvalidInput(f"layer {fields['name']!r}: {error}") from None


def _chain(arrays: _Arrays) -> Network:
    count = sum(1 for key in arrays if re.fullmatch(r"W\d+", key))
    wanted = {f"{letter}{k}" for k in range(count) for letter in "Wb"}
    if not count or wanted != set(arrays):
        raise InvalidInput(
            f"the arrays are {', '.join(sorted(arrays)) or 'none'}, and no header says what they mean; "
            "give W0, b0, W1, b1, ... and nothing else, or write the file with write_npz"
        )
    layers: list[Layer] = []
    for k in range(count):
        weight, bias = arrays[f"W{k}"], arrays[f"b{k}"]
        if weight.ndim != 2 or weight.dtype.kind not in "fiu" or bias.dtype.kind not in "fiu":
            raise InvalidInput(
                f"W{k} has shape {weight.shape} and type {weight.dtype}, b{k} type {bias.dtype}; "
                "give a real matrix (n_out, n_in) and a real vector"
            )
        try:
            layers += [Affine(weight, bias), relu]
        except InvalidInput as error:
            raise InvalidInput(f"W{k}, b{k}: {error}") from None
    names = [name for k in range(count) for name in (f"affine{k}", f"relu{k}")]
    return Network.chain(layers[:-1], (1, arrays["W0"].shape[1]), names[:-1])
