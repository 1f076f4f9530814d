"""What C code really prints: file descriptors 1 and 2 caught in temporary files."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Caught", "caught"]


@dataclass(slots=True)
class Caught:
    """Filled when the context ends."""

    text: str = ""


@contextlib.contextmanager
def caught() -> Iterator[Caught]:
    """Catch both descriptors, also from code that does not know of `sys.stdout`; always restore them."""
    result = Caught()
    _flush()
    saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    try:
        with tempfile.TemporaryFile() as target:
            try:
                for descriptor, _ in saved:
                    os.dup2(target.fileno(), descriptor)
                yield result
                _flush()
            finally:
                for descriptor, copy in saved:
                    os.dup2(copy, descriptor)
            target.seek(0)
            result.text = target.read().decode(errors="replace")
    finally:
        for _, copy in saved:
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with contextlib.suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).fflush(None)
