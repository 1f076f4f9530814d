"""What a study found: numbers, pictures, and whether the published observations are seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Draw = Callable[[Any], None]
"""Draws on an empty figure of matplotlib."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One thing that was published, and what is measured of it.

    Args:
        published: what the literature says, with its source.
        measured: a clause with the numbers that decide, without a full stop.
        seen: whether they agree.
    """

    published: str
    measured: str
    seen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under a head, and what they show."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure, by the name of its file without ending."""

    name: str
    caption: str
    draw: Draw
    size: tuple[float, float] = (8.0, 4.0)


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of a study adds to its finding; parts are added up."""

    observations: Sequence[Observation] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = ()

    def __add__(self, other: Part) -> Part:
        return Part(
            [*self.observations, *other.observations],
            {**self.numbers, **other.numbers},
            [*self.tables, *other.tables],
            [*self.pictures, *other.pictures],
            [*self.notes, *other.notes],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one study.

    Args:
        name: of the command; title: of the section.
        settings: what it ran with, for people and programs; plain values of JSON.
        numbers: everything measured; plain values of JSON.
        notes: errata of published summaries, what differs from the published setting, what was not run and why.
    """

    name: str
    title: str
    settings: Mapping[str, Any]
    observations: Sequence[Observation]
    numbers: Mapping[str, Any]
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()
    notes: Sequence[str] = field(default=())

    @property
    def sentence(self) -> str:
        """How many published observations are seen, and the numbers that say so."""
        seen = sum(one.seen for one in self.observations)
        clauses = "; ".join(f"{one.measured} ({'seen' if one.seen else 'not seen'})" for one in self.observations)
        return f"{seen} of {len(self.observations)} published observations seen: {clauses}."

    def as_json(self) -> dict[str, Any]:
        """Everything but the pictures; what is no finite number is null, as JSON has no other."""
        return {
            "study": self.name,
            "settings": dict(self.settings),
            "sentence": self.sentence,
            "observations": [
                {"published": one.published, "measured": one.measured, "seen": one.seen} for one in self.observations
            ],
            "numbers": _finite(self.numbers),
            "notes": list(self.notes),
        }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
