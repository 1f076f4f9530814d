"""The whole space R^n, for questions that have an answer without a bound on the input: how many linear regions."""

from __future__ import annotations

from dataclasses import dataclass

from reludsl.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Space:
    """R^n. It is no `Domain`: nothing is bounded on it, so that it has neither H constants nor witnesses at corners.

    Raises:
        InvalidInput: no coordinate at all.

    >>> Space(2).size
    2
    """

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InvalidInput(f"a space of {self.size} coordinates holds no input; give the number of inputs, e.g. 2")
