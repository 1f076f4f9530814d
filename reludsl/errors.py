"""Every error says what happened with the values, why it matters, and what to write instead.

Each class inherits `ReludslError`, so that one `except` catches them all, and the builtin that a
caller who does not know this library would expect.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from reludsl.compare import Comparison


class ReludslError(Exception):
    """Base of every error raised on purpose by reludsl and its backends."""


class InvalidInput(ReludslError, ValueError):
    """A value given by the caller cannot mean what was asked: shapes, NaN, empty or unbounded domains."""


class FileProblem(ReludslError, OSError):
    """A file is missing, truncated, not of the format its name promises, or cannot be written."""


class UnsupportedOperator(ReludslError, NotImplementedError):
    """A network holds an operator that no layer stands for; the message lists those that exist."""


class UnsupportedCapability(ReludslError, NotImplementedError):
    """A backend was asked for something that its solver cannot do; the message names what can."""


class MissingBackend(ReludslError, LookupError):
    """No backend of that name, or its solver is not installed; the message names the installed ones."""


class OutOfTime(ReludslError, TimeoutError):
    """The time was over before there was anything to answer with."""


class SolverFailed(ReludslError, RuntimeError):
    """A solver broke down, or gave an answer that fails its own rows. Nothing may be concluded from it."""


class Disagreement(SolverFailed):
    """Two solvers contradict each other: one proved what an input found with the other refutes.

    Args:
        comparison: everything that was asked, with the contradicting rows marked.
    """

    def __init__(self, message: str, comparison: Comparison) -> None:
        super().__init__(message)
        self.comparison = comparison


Member = TypeVar("Member", bound=enum.Enum)


def member(kind: type[Member], name: Member | str, what: str) -> Member:
    """The member of an enum: as it is, or by its value.

    Args:
        what: the enum in words, for the message.

    Raises:
        InvalidInput: no such member; the message lists those that exist.

    >>> from reludsl.stability import Mode
    >>> member(Mode, "in-tree", "mode")
    <Mode.IN_TREE: 'in-tree'>
    """
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(str(m.value) for m in kind)
        raise InvalidInput(f"no {what} is called {name!r}; there are {known}") from None
