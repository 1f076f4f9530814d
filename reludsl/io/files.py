"""Bytes in and out of files: a read that says what is wrong, and a write that is whole or absent.

write_atomically(path, data)    a temporary file in the same folder, fsync, rename
first_line(error)               what a message of ours quotes of another's
"""

from __future__ import annotations

import gzip
import os
import secrets
import stat
import zlib
from pathlib import Path

from reludsl.errors import FileProblem


def read_bytes(path: str | os.PathLike[str], what: str) -> bytes:
    """The content of a file, unpacked if its name ends in `.gz`.

    Args:
        what: what the file should hold, for messages ("ONNX", ...).

    Raises:
        FileProblem: missing, a folder, not readable, empty, a damaged gzip file.
    """
    place = Path(path)
    try:
        data = place.read_bytes()
    except FileNotFoundError:
        raise FileProblem(f"{place}: no such file; check the name and the folder") from None
    except IsADirectoryError:
        raise FileProblem(f"{place}: is a folder, not an {what} file; give the file inside it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileProblem(f"{place}: cannot be read ({reason}); check the path and its permissions") from None
    if place.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise FileProblem(
                f"{place}: is no whole gzip file ({error}), so nothing inside it can be read; copy it again"
            ) from None
    if not data:
        raise FileProblem(f"{place}: is empty where an {what} file is expected; copy or export it again")
    return data


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """The file holds all of `data` afterwards, or is as it was before.

    A name that ends in `.gz` is packed.

    Raises:
        FileProblem: the folder does not exist or takes no file, the disk is full, the name is a folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "a.bin"), b"abc")
    ...     [p.name for p in Path(folder).iterdir()]
    ['a.bin']
    """
    place = Path(os.path.realpath(path))
    if not place.parent.is_dir():
        raise FileProblem(f"{path}: cannot be written, {place.parent} is no folder; create the folder first")
    if place.exists() and not stat.S_ISREG(place.stat().st_mode):
        raise FileProblem(f"{path}: cannot be written, there is a folder or device of that name; give a file name")
    if place.suffix == ".gz":
        # a fixed time stamp: the same network gives the same bytes
        data = gzip.compress(data, mtime=0)
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(6)}.tmp")
    try:
        # os.open instead of tempfile: the file gets the permissions that the user's umask grants
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, place)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileProblem(
            f"{path}: cannot be written ({error.strerror or error}), and nothing was; "
            "check the folder's permissions and free space"
        ) from None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, to stand inside another message; its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
