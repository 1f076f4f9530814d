"""Keep C code off the terminal: file descriptors 1 and 2 point to the null device for a while.

For backends, who find it in `reludsl.backend`: CBC's linear solver prints to the C stdout whatever its log level, and
HiGHS greets at its first model of a process, before any option can be set. Descriptors belong to the process, so the
output of other threads is lost too while a solve runs; `lifted` gives the terminal back to Python callbacks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

_DESCRIPTORS = (1, 2)


class Silence:
    """Context manager; restores both descriptors on every way out."""

    def __init__(self) -> None:
        self._saved: list[tuple[int, int]] = []
        self._null = -1

    def __enter__(self) -> Silence:
        _flush()
        try:
            for descriptor in _DESCRIPTORS:
                # A process without a terminal may have closed them: then there is nothing to keep silent.
                with contextlib.suppress(OSError):
                    self._saved.append((descriptor, os.dup(descriptor)))
            self._null = os.open(os.devnull, os.O_WRONLY)
            self._point_to_null()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        interrupt: KeyboardInterrupt | None = None
        while self._saved or self._null >= 0:
            try:
                self._restore()
            except KeyboardInterrupt as error:  # it may come anywhere, and must not leave a process mute
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _restore(self) -> None:
        _flush()
        while self._saved:
            descriptor, saved = self._saved[-1]
            os.dup2(saved, descriptor)
            self._saved.pop()
            os.close(saved)
        null, self._null = self._null, -1
        if null >= 0:
            os.close(null)

    @contextlib.contextmanager
    def lifted(self) -> Iterator[None]:
        """Let what runs inside print as usual."""
        _flush()
        for descriptor, saved in self._saved:
            os.dup2(saved, descriptor)
        try:
            yield
        finally:
            _flush()
            self._point_to_null()

    def _point_to_null(self) -> None:
        for descriptor, _ in self._saved:
            os.dup2(self._null, descriptor)


def _flush() -> None:
    """Empty the buffers of Python and of C, so that text goes where the descriptor pointed when written."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    with contextlib.suppress(OSError, TypeError, AttributeError):
        ctypes.CDLL(None).fflush(None)
