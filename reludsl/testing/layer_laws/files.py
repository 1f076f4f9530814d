"""Files: what is read is what was written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.errors import UnsupportedOperator
from reludsl.io.npz import read_npz, write_npz
from reludsl.io.onnx import read_onnx, write_onnx
from reludsl.io.rounding import rounded
from reludsl.network import Network
from reludsl.testing.cases import NotOffered, hold
from reludsl.testing.layer_laws.comparing import EXACTLY, close, text
from reludsl.testing.layer_laws.subject import Subject


def law_file_gives_the_layer_back(s: Subject) -> None:
    """Written as .npz and read again, it is of the same type and computes the same to the last bit."""
    with tempfile.TemporaryDirectory() as folder, _files():
        path = Path(folder, "layer.npz")
        write_npz(s.network, path)
        again = read_npz(path)
    for x, value, other in zip(s.points, s.layer(s.points), again(s.points)):
        close(other, value, np.zeros(value.size), f"the layer from a file, at {text(x)}")
    _same_type(again, s)


def law_onnx_gives_the_function_back(s: Subject) -> None:
    """Written as ONNX in float32 and read again, it computes what it does when rounded to float32."""
    with tempfile.TemporaryDirectory() as folder, _files():
        path = Path(folder, "layer.onnx")
        write_onnx(s.network, path)
        again, single = read_onnx(path), rounded(s.network, np.float32)
    for x, value, other in zip(s.points, single(s.points), again(s.points)):
        close(other, value, EXACTLY * (1.0 + np.abs(value)), f"the layer from an ONNX file, at {text(x)}")


def law_rounding_gives_numbers_of_the_format(s: Subject) -> None:
    """As float32 every number of its fields is one, and rounding once more changes nothing."""
    with _files():
        once = rounded(s.network, np.float32)
    with np.errstate(over="ignore"):
        odd = [v for v in _numbers(once.nodes[0].layer) if float(np.float32(v)) != v]
    hold(not odd, f"rounded to float32 it holds {odd[:1]}, which no float32 is")
    hold(rounded(once, np.float32) is once, "rounded to float32 twice, it changes twice")
    _same_type(once, s)


@contextmanager
def _files() -> Iterator[None]:
    """A layer that is refused with its reason has no file, and no fault."""
    try:
        yield
    except UnsupportedOperator as reason:
        raise NotOffered(str(reason)) from None


def _same_type(net: Network, s: Subject) -> None:
    (node,) = net.nodes
    found, own = type(node.layer), type(s.layer)
    hold(found is own, f"what comes back is a {found.__name__}, of which {own.__name__} may be a subclass: register it")


def _numbers(value: Any) -> Iterator[float]:
    """Every float in the fields of a layer."""
    match value:
        case float():
            yield value
        case tuple():
            for v in value:
                yield from _numbers(v)
        case np.ndarray() if value.dtype.kind == "f":
            yield from value.ravel().tolist()
        case _ if sparse.issparse(value):
            yield from value.data.tolist()
        case _ if is_dataclass(value):
            for field in fields(value):
                yield from _numbers(getattr(value, field.name))
