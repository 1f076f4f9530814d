"""Networks in and out of files: `read(path)` and `write(net, path)` choose the format by the file's name.

| name | format | module |
|---|---|---|
| `.onnx`, `.onnx.gz` | ONNX | `reludsl.io.onnx` |
| `.npz` | numpy arrays: W0, b0, W1, b1, ... or a described network | `reludsl.io.npz` |

Questions about networks: `read_vnnlib` (`reludsl.io.vnnlib`). Programs for other solvers: `write_mps`, `write_lp`.

PyTorch modules live in memory: `from_torch` and `to_torch` (`reludsl.io.torch`). Neither onnx nor torch is
imported before it is used.
"""

from __future__ import annotations

import os
from pathlib import Path

from reludsl.errors import FileProblem
from reludsl.io.lp import write_lp as write_lp
from reludsl.io.mps import write_mps as write_mps
from reludsl.io.npz import read_npz as read_npz
from reludsl.io.npz import write_npz as write_npz
from reludsl.io.onnx import ImportReport as ImportReport
from reludsl.io.onnx import read_onnx as read_onnx
from reludsl.io.onnx import read_with_report as read_with_report
from reludsl.io.onnx import write_onnx as write_onnx
from reludsl.io.rounding import rounded as rounded
from reludsl.io.torch import from_torch as from_torch
from reludsl.io.torch import to_torch as to_torch
from reludsl.io.vnnlib import Property as Property
from reludsl.io.vnnlib import read_vnnlib as read_vnnlib
from reludsl.io.vnnlib import result_text as result_text
from reludsl.io.vnnlib import vnnlib_text as vnnlib_text
from reludsl.io.vnnlib import write_vnnlib as write_vnnlib
from reludsl.network import Network

SUFFIXES = (".onnx", ".onnx.gz", ".npz")
"""File names that can be read and written."""


def _suffix(path: str | os.PathLike[str]) -> str:
    name = Path(path).name.lower()
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            return suffix
    raise FileProblem(
        f"{path}: the name ends in none of {', '.join(SUFFIXES)}, so its format is unknown; rename or convert it"
    )


def read(path: str | os.PathLike[str], *, check: bool = True) -> Network:
    """The network of a file.

    Args:
        check: compare an ONNX file with onnxruntime on random points, where that is installed.

    Raises:
        FileProblem: missing, damaged, or a name of no known format.
        InvalidInput: weights or shapes that make no network.
        UnsupportedOperator: an operator that no layer stands for.

    >>> from reludsl.data import path
    >>> read(path("digits.onnx")).neurons
    80
    """
    return read_npz(path) if _suffix(path) == ".npz" else read_onnx(path, check=check)


def write(net: Network, path: str | os.PathLike[str]) -> None:
    """Write a network, whole or not at all: ONNX in float32, `.npz` in float64.

    Raises:
        FileProblem: a name of no known format, or a folder that takes no file.
        InvalidInput, UnsupportedOperator: a weight or a layer that the format does not hold.

    >>> import tempfile
    >>> from reludsl.data import path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(read(path("digits.onnx")), f"{folder}/copy.npz")
    ...     read(f"{folder}/copy.npz").neurons
    80
    """
    if _suffix(path) == ".npz":
        write_npz(net, path)
    else:
        write_onnx(net, path)
