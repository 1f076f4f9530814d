"""Which formulation a disjunction gets: a name with parameters, one for all layers or one per layer.

big-m   published   indicator   hull   partition:GROUPS   cuts:ROUNDS:PER_ROUND   hull-cuts:..
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.layers import Encoding, Fresh
from reludsl.program import Program


class Form(enum.Enum):
    """The ways in which disjunctions become rows and binaries."""

    BIG_M = "big-m"
    """Compact: the pre-activation is a column, the dense row stands once. The default."""
    PUBLISHED = "published"
    """h - hbar with H and Hbar, as in Serra et al. 2018."""
    PARTITION = "partition"
    """The hull over partial sums of a neuron's inputs: between big-M and hull."""
    HULL = "hull"
    """The convex hull over a neuron's inputs, with a copy of them for every piece."""
    CUTS = "cuts"
    """Big-M, tightened for every objective by the most violated of the rows that describe the hull of a ReLU."""
    HULL_CUTS = "hull-cuts"
    """The same with the rows of the hull without its binary."""
    INDICATOR = "indicator"
    """Rows that a binary switches, for backends that have them."""


_PARAMETERS = {Form.PARTITION: ("groups",), Form.CUTS: ("rounds", "per_round"), Form.HULL_CUTS: ("rounds", "per_round")}


@dataclass(frozen=True, slots=True)
class Formulation:
    """A form with its parameters; `str` and `parse` are inverse.

    Args:
        form: which one.
        groups: partial sums per neuron, of PARTITION.
        rounds, per_round: how often an LP is solved and its most violated rows are added, and how many, of CUTS and
            HULL_CUTS.

    Raises:
        InvalidInput: a parameter below 1.

    >>> Formulation.parse("partition:4")
    Formulation(form=<Form.PARTITION: 'partition'>, groups=4, rounds=3, per_round=200)
    >>> str(Formulation.parse("cuts")), Formulation.parse("big-m") == Formulation.BIG_M
    ('cuts:3:200', True)
    """

    form: Form
    groups: int = 2
    rounds: int = 3
    per_round: int = 200

    BIG_M: ClassVar[Formulation]
    PUBLISHED: ClassVar[Formulation]
    HULL: ClassVar[Formulation]
    CUTS: ClassVar[Formulation]
    HULL_CUTS: ClassVar[Formulation]
    INDICATOR: ClassVar[Formulation]

    def __post_init__(self) -> None:
        least = min(self.groups, self.rounds, self.per_round)
        if least < 1:
            raise InvalidInput(
                f"a formulation was given the parameter {least}, which asks for nothing at all; groups, rounds and "
                "rows per round are at least 1, e.g. partition:2"
            )

    @classmethod
    def parse(cls, text: str) -> Formulation:
        """A formulation by its name on a command line, parameters behind colons.

        Raises:
            InvalidInput: an unknown name, or parameters that are no numbers; the message lists what exists.
        """
        name, *values = text.strip().split(":")
        known = {form.value: form for form in Form}
        names = _PARAMETERS.get(known[name], ()) if name in known else ()
        if name not in known or len(values) > len(names) or not all(v.isdecimal() for v in values):
            raise InvalidInput(f"there is no formulation {text!r}, so nothing can be solved in it; write {_offer()}")
        return cls(known[name], **dict(zip(names, map(int, values))))

    @classmethod
    def partition(cls, groups: int) -> Formulation:
        """PARTITION with so many groups."""
        return cls(Form.PARTITION, groups=groups)

    def __str__(self) -> str:
        values = (str(getattr(self, name)) for name in _PARAMETERS.get(self.form, ()))
        return ":".join((self.form.value, *values))


Formulation.BIG_M = Formulation(Form.BIG_M)
Formulation.PUBLISHED = Formulation(Form.PUBLISHED)
Formulation.HULL = Formulation(Form.HULL)
Formulation.CUTS = Formulation(Form.CUTS)
Formulation.HULL_CUTS = Formulation(Form.HULL_CUTS)
Formulation.INDICATOR = Formulation(Form.INDICATOR)


EVERYWHERE = tuple(Formulation(form) for form in Form if form is not Form.INDICATOR)
"""What every backend takes, each with its usual parameters."""


def _offer() -> str:
    """What `parse` takes, for messages."""
    forms = [":".join((form.value, *(name.upper() for name in _PARAMETERS.get(form, ())))) for form in Form]
    return ", ".join(forms[:-1]) + " or " + forms[-1]


Encode = Callable[[Any, Any, Box, Fresh], Encoding]
"""(layer, x, box, fresh) -> Encoding, as `NonlinearLayer.encode`; x is an expression."""

Encodings = Mapping[type, Encode]
"""Layer type -> how its layers are encoded, instead of as they say themselves. Of any type but affine ones."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A formulation for all layers but some, which have their own.

    Args:
        default: of the layers that `layers` does not name.
        layers: name of a block of disjunctions (the activation's name) -> its formulation.
        encodings: see `Encodings`.

    >>> choice = Choice(Formulation.BIG_M, {"relu2": Formulation.partition(4)})
    >>> str(choice.of("relu1")), str(choice.of("relu2"))
    ('big-m', 'partition:4')
    """

    default: Formulation = Formulation.BIG_M
    layers: Mapping[str, Formulation] = field(default_factory=dict)
    encodings: Encodings = field(default_factory=dict)

    @classmethod
    def every(cls, formulation: Formulation | Choice) -> Choice:
        """One formulation for all layers; a choice as it is."""
        return formulation if isinstance(formulation, Choice) else cls(formulation)

    def of(self, name: str) -> Formulation:
        """The formulation of a layer."""
        return self.layers.get(name, self.default)

    def checked(self, program: Program) -> Self:
        """The same choice, when the program holds every layer that it names.

        Raises:
            InvalidInput: a name that no block of disjunctions has; the message lists those that exist.
        """
        names = [group.name for group in program.disjunctions]
        unknown = [name for name in self.layers if name not in names]
        if unknown:
            raise InvalidInput(
                f"a formulation was chosen for {', '.join(map(repr, unknown))}, which no layer with pieces is called, "
                f"so that it would do nothing; choose among {', '.join(names) or 'none: there is no such layer'}"
            )
        return self
