"""From words on a command line to networks, domains and backends, and files that are checked before the work."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reludsl import plugins
from reludsl.backend import Backend, FloatArray
from reludsl.domain import Ball, Box, Domain, Space
from reludsl.errors import FileProblem, InvalidInput
from reludsl.io import read, read_with_report
from reludsl.io.files import write_atomically
from reludsl.network import Network


def choice(option: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that an option does not have; the message lists those it has."""
    if value not in known:
        raise InvalidInput(f"{option} {value} is not built; there are {', '.join(known)}")


@dataclass(frozen=True, slots=True)
class Source:
    """A network that was read, how its import was checked, and the tensor names of its file.

    Args:
        tensors: names in the file -> layers, see `reludsl.io.ImportReport`; None where the file has no such names.
    """

    network: Network
    note: str = ""
    input_name: str = "input"
    output_name: str = "output"
    tensors: Mapping[str, str] | None = None


def read_source(path: Path) -> Source:
    """The network of a file, with what is known of the file."""
    if path.name.lower().endswith(".npz"):
        return Source(read(path))
    network, report = read_with_report(path)
    note = f"import not checked: {report.reason}"
    if report.difference is not None:
        note = f"import checked: at most {report.difference:.2g} from onnxruntime on random points"
    return Source(network, note, report.input_name, report.output_name, report.tensors)


def chosen_backend(name: str | None) -> Backend | None:
    """A solver that was named is looked up at once, whether it will be needed or not."""
    return None if name is None else plugins.load(name)


def chosen_domain(
    network: Network,
    box: tuple[str, str] | None,
    ball: tuple[str, float] | None,
    clip: tuple[str, str] | None,
) -> Domain:
    size = network.input_size
    if box is not None and ball is not None:
        raise InvalidInput("both --box and --ball are given; the domain is one of them: drop one")
    if clip is not None and ball is None:
        raise InvalidInput("--clip cuts a ball; give --ball POINT.npy EPS too")
    if box is not None:
        return Box(_side(box[0], size, "--box"), _side(box[1], size, "--box"))
    if ball is not None:
        point = _side(ball[0], size, "--ball")
        cut = None if clip is None else (_side(clip[0], size, "--clip"), _side(clip[1], size, "--clip"))
        return Ball(point, ball[1], clip=cut)
    if network.input_box is not None:
        return network.input_box
    raise InvalidInput(
        "no domain is given and the file states none; every claim is about a domain: add --box LO HI, e.g. --box 0 1"
    )


def chosen_region(
    network: Network,
    box: tuple[str, str] | None,
    ball: tuple[str, float] | None,
    clip: tuple[str, str] | None,
) -> Domain | Space:
    """As `chosen_domain`; `--box -inf inf` is the whole space."""
    whole = box is not None and [side.strip().lower() for side in box] == ["-inf", "inf"]
    if whole and ball is None and clip is None:
        return Space(network.input_size)
    return chosen_domain(network, box, ball, clip)


def _side(text: str, size: int, option: str) -> FloatArray:
    """A number, or a .npy file of one number per input."""
    if text.lower().endswith(".npy"):
        values = load_array(Path(text)).ravel()
        if values.size not in (1, size):
            raise InvalidInput(f"{option} {text} holds {values.size} numbers, the network takes {size} inputs")
        return np.array(np.broadcast_to(values, (size,)))
    try:
        return np.full(size, float(text))
    except ValueError:
        raise InvalidInput(f"{option} {text} is neither a number nor a .npy file; write e.g. {option} 0 1") from None


def load_array(path: Path) -> FloatArray:
    """The numbers of a .npy file."""
    try:
        values = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FileProblem(f"{path} does not exist; check the path") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise FileProblem(f"{path} is no numpy array ({reason}); write it with numpy.save") from None
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        held = values.dtype if isinstance(values, np.ndarray) else "several arrays"
        raise FileProblem(f"{path} holds {held} instead of one array of real numbers; write it with numpy.save")
    return np.asarray(values, dtype=np.float64)


def separate(words: str) -> list[str]:
    """The words between commas.

    >>> separate("highs, cbc")
    ['highs', 'cbc']
    """
    return [word.strip() for word in words.split(",") if word.strip()]


def whole_numbers(option: str, words: str) -> list[int]:
    """Whole numbers between commas."""
    try:
        return [int(word) for word in separate(words)]
    except ValueError:
        raise InvalidInput(f"{option} {words} holds what is no whole number; write e.g. {option} 0,1") from None


def check_writable(path: Path | None, *suffixes: str) -> None:
    """Refuse before the work is done, not after it. Without suffixes any name will do."""
    if path is None:
        return
    if suffixes and not path.name.lower().endswith(suffixes):
        raise FileProblem(f"{path} does not end in {' or '.join(suffixes)}; rename it")
    folder = path.parent
    if not folder.is_dir():
        raise FileProblem(f"the folder {folder} of {path.name} does not exist; create it, or choose another")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise FileProblem(f"{path} cannot be written; choose another place")


def save_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Named arrays as a compressed .npz file, whole or not at all."""
    held = io.BytesIO()
    np.savez_compressed(held, **arrays)
    write_atomically(path, held.getvalue())
