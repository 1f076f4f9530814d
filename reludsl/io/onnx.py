"""ONNX in and out.

    net = read_onnx("model.onnx")             the file as it is; compared with onnxruntime where installed
    net, report = read_with_report("model.onnx")
    write_onnx(net, "smaller.onnx")           float32, whole or not at all
    register_operator(op_type, read)          an operator of your own

What a file means: its constants are exact rational numbers and its arithmetic is exact; that a runtime
rounds is measured at import (`ImportReport.difference`), not modelled. A free axis counts as 1, so that a
batch axis of free size and one of size 1 read alike, and the input keeps its rank: `['N', 784]` becomes
(1, 784), and is written as `['N', 784]` again. Identity and Dropout leave no trace; a matrix product and the
constant added to it become one affine layer; constants computed from constants are folded in the number
format of the file, as runtimes do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.domain import Box
from reludsl.errors import FileProblem, InvalidInput, UnsupportedOperator
from reludsl.io.files import first_line, read_bytes, write_atomically
from reludsl.io.onnx_operators import register_operator as register_operator
from reludsl.io.onnx_reader import BOX_KEY as BOX_KEY
from reludsl.io.onnx_reader import FOLDED as FOLDED
from reludsl.io.onnx_reader import OPERATORS as OPERATORS
from reludsl.io.onnx_reader import Reading, load_external, parse
from reludsl.io.onnx_writer import IR_VERSION as IR_VERSION
from reludsl.io.onnx_writer import OPSET as OPSET
from reludsl.io.onnx_writer import to_model as to_model
from reludsl.io.onnx_writer import write_layer as write_layer
from reludsl.network import Network

CHECK_POINTS = 64
"""Random points on which an import is compared with onnxruntime."""


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
        tensors: names of computed tensors and of nodes in the file, and the layer whose value each is. A tensor
            that is the value of no layer, as a product before its bias was added, is left out.
    """

    path: str
    opset: int
    operators: Mapping[str, int]
    input_name: str
    output_name: str
    difference: float | None = None
    scale: float | None = None
    reason: str = ""
    tensors: Mapping[str, str] = field(default_factory=dict)


def read_onnx(path: str | os.PathLike[str], *, check: bool = True) -> Network:
    """The network of an ONNX file: `read_with_report` without the report.

    Raises:
        FileProblem: missing, a folder, truncated, no ONNX.
        InvalidInput: NaN or infinite weights, several inputs or outputs, shapes that do not fit, or results
            that differ from onnxruntime's.
        UnsupportedOperator: an operator that no layer stands for.
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
        model = parse(data)
        external = load_external(model, path)
        reading = Reading(model)
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
        tensors=reading.tensors,
    )
    if check:
        report = _compared(report, os.fspath(path) if external else data, net)
    return net, report


def from_model(model: Any) -> Network:
    """The network of an `onnx.ModelProto` in memory, not compared with anything.

    Raises:
        FileProblem, InvalidInput, UnsupportedOperator: see `read_onnx`.
    """
    return Reading(model).network()


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


def _compared(report: ImportReport, source: bytes | str, net: Network) -> ImportReport:
    """The report with the largest difference on random points.

    Raises:
        InvalidInput: the difference is more than float32 rounding explains.
    """
    try:
        import onnxruntime
    except ImportError as error:
        return replace(report, reason=f"onnxruntime is not installed ({first_line(error)})")
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
        return replace(report, reason=f"onnxruntime does not run the file ({first_line(error)})")
    theirs = np.stack([np.asarray(run, dtype=np.float64).ravel() for run in runs])
    ours = net(points.astype(np.float64))
    ours = ours.reshape(CHECK_POINTS, -1)
    if theirs.shape != ours.shape:
        raise InvalidInput(
            f"{report.path}: the network has {ours.shape[1]} outputs where onnxruntime computes {theirs.shape[1]}; "
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
            "explains, so answers would be about another function; report the file, or read it with check=False"
        )
    return replace(report, difference=difference, scale=scale, reason="")
