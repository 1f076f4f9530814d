"""Bounds on disk: what was proved once of a network on a domain is proved for good.

A file holds the boxes and a fingerprint, the SHA-256 of every constant of network and domain: bounds are given back for
the very network and domain that they are about, and for no other.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from reludsl.bounds import Bounds
from reludsl.domain import Box, Domain
from reludsl.errors import FileProblem, InvalidInput
from reludsl.io.files import first_line, read_bytes, write_atomically
from reludsl.network import Network

FORMAT = "reludsl-bounds-1"

Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]


def fingerprint(network: Network, domain: Domain) -> str:
    """The SHA-256 of all that a bound of the network on the domain depends on.

    Raises:
        InvalidInput: a layer holds something that no bytes stand for.

    >>> from reludsl.layers import Affine
    >>> one, two = (Network.chain([Affine(np.array([[w]]), np.zeros(1))], (1,)) for w in (1.0, 2.0))
    >>> box = Box([0.0], [1.0])
    >>> fingerprint(one, box) == fingerprint(one, Box([0.0], [1.0])), fingerprint(one, box) == fingerprint(two, box)
    (True, False)
    """
    digest = hashlib.sha256()
    for part in (network.nodes, network.input_shape, network.output, domain):
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, value: object) -> None:
    """Add a value, with its type and its length, so that no two values run into one another."""
    match value:
        case np.ndarray() | np.generic():
            array = np.asarray(value)
            if array.dtype == object:
                raise _unknown(value)
            digest.update(f"{array.dtype.str}{array.shape}:".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        case sparse.csr_array():
            for part in ("sparse", value.shape, value.data, value.indices, value.indptr):
                _feed(digest, part)
        case enum.Enum():
            _feed(digest, f"{type(value).__name__}.{value.name}")
        case None | bool() | int() | float() | str():
            text = f"{type(value).__name__} {value!r}"
            digest.update(f"{len(text)}:{text}".encode())
        case tuple() | list():
            digest.update(f"list {len(value)}:".encode())
            for item in value:
                _feed(digest, item)
        case Mapping():
            _feed(digest, [[key, value[key]] for key in sorted(value, key=str)])
        case _ if dataclasses.is_dataclass(value):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            _feed(digest, [f"{type(value).__module__}.{type(value).__qualname__}", fields])
        case _:
            raise _unknown(value)


def _unknown(value: object) -> InvalidInput:
    return InvalidInput(
        f"a {type(value).__name__} has no bytes that stand for it, so that nothing saved could be told to be about "
        "this network; make the layer a dataclass of numbers, texts and arrays"
    )


def save_bounds(bounds: Bounds, path: str | os.PathLike[str]) -> None:
    """Write bounds to a .npz file; the file is whole or as it was.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from reludsl.bounds import crown
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[2.0]]), np.array([-1.0])), relu], (1,))
    >>> box = Box([0.0], [1.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_bounds(crown(net, box), Path(folder, "bounds.npz"))
    ...     load_bounds(Path(folder, "bounds.npz"), net, box).pre(net.hidden[0]).upper.round(9)
    array([1.])
    """
    write_arrays(path, FORMAT, fingerprint(bounds.network, bounds.domain), as_arrays(bounds))


def load_bounds(path: str | os.PathLike[str], network: Network, domain: Domain) -> Bounds:
    """Bounds of a file, about this network on this domain.

    Raises:
        FileProblem: no such file, or no file of bounds.
        InvalidInput: they are about another network, or another domain.
    """
    return from_arrays(read_arrays(path, FORMAT, fingerprint(network, domain), "bounds"), network, domain)


def as_arrays(bounds: Bounds) -> dict[str, np.ndarray[Any, np.dtype[Any]]]:
    """The boxes by node, as arrays of a file."""
    return {
        f"{side} {name}": array
        for name, box in bounds.boxes.items()
        for side, array in (("lower", box.lower), ("upper", box.upper))
    }


def from_arrays(arrays: Arrays, network: Network, domain: Domain) -> Bounds:
    """What `as_arrays` made arrays of."""
    names = [key.removeprefix("lower ") for key in arrays if key.startswith("lower ")]
    return Bounds(network, domain, {name: Box(arrays[f"lower {name}"], arrays[f"upper {name}"]) for name in names})


def write_arrays(path: str | os.PathLike[str], kind: str, of: str, arrays: Arrays) -> None:
    """Arrays of a kind of file, with the fingerprint of what they are about."""
    buffer = io.BytesIO()
    # savez takes names as keywords, and has some of its own
    held: dict[str, Any] = {f"a {key}": array for key, array in arrays.items()}
    np.savez(buffer, kind=np.array(kind), of=np.array(of), **held)
    write_atomically(path, buffer.getvalue())


def read_arrays(path: str | os.PathLike[str], kind: str, of: str, what: str) -> Arrays:
    """What `write_arrays` wrote, of the same kind and about the same thing.

    Raises:
        FileProblem: the file is missing, or is of another kind.
        InvalidInput: it is about another network or domain.
    """
    data = read_bytes(path, "npz")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            arrays = {key: held[key] for key in held.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FileProblem(
            f"{path}: is no .npz file ({first_line(error)}), so that no {what} are in it; check the path"
        ) from None
    if str(arrays.get("kind", "")) != kind:
        raise FileProblem(f"{path}: holds no {what} of this library ({kind}); check the path")
    if str(arrays["of"]) != of:
        raise InvalidInput(
            f"{path}: holds {what} of another network or domain, which say nothing about this one; give the file that "
            "was written for it, or another name"
        )
    return {key.removeprefix("a "): array for key, array in arrays.items() if key.startswith("a ")}
