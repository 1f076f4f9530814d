"""The order of the passes, from a disjunctive program to one that a solver takes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from reludsl.passes.big_m import big_m
from reludsl.passes.cuts import SEPARATE
from reludsl.passes.formulation import Choice, Form, Formulation
from reludsl.passes.hull import hull
from reludsl.passes.indicator import indicator
from reludsl.passes.neurons import Neurons, neurons
from reludsl.passes.partition import partition
from reludsl.passes.prune import prune
from reludsl.passes.published import published_big_m
from reludsl.passes.sparsify import sparsify
from reludsl.passes.substitute import substitute
from reludsl.program import Program

Lowering = Callable[[Program, Collection[str]], Program]


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A program without disjunctions, and the neurons that ideal cuts may be separated for.

    Args:
        neurons: per layer whose formulation has cuts, with that formulation; none without such layers.
    """

    program: Program
    neurons: tuple[tuple[Neurons, Formulation], ...]


def thin(program: Program, budget: float = 1e-7) -> Program:
    """prune, substitute, sparsify: what comes before any formulation.

    Args:
        budget: of `sparsify`; 0 keeps every weight that can matter at all.
    """
    return sparsify(substitute(prune(program)), budget)


def lower(program: Program, formulation: Formulation | Choice = Formulation.BIG_M, budget: float = 1e-7) -> Program:
    """`thin`, then every disjunction in the formulation chosen for it.

    Args:
        formulation: one for all, or a `Choice` per layer; a layer that the program does not hold (any more) is no
            error here, since programs are lowered in parts: `Choice.checked` looks at the whole.
    """
    return formulated(thin(program, budget), formulation).program


def formulated(thin: Program, formulation: Formulation | Choice = Formulation.BIG_M) -> Lowered:
    """Every disjunction in the formulation chosen for it, and what `reludsl.passes.ideal_cuts` needs beside that."""
    choice = Choice.every(formulation)
    chosen: dict[Formulation, list[str]] = {}
    for group in thin.disjunctions:
        chosen.setdefault(choice.of(group.name), []).append(group.name)
    plain: list[str] = []
    for form, names in chosen.items():
        way = _way(form)
        if way is None:
            plain += names
        else:
            thin = way(thin, names)
    # big-M comes last: it only appends columns, so that positions found before it stay right
    cut = [(name, form) for form, names in chosen.items() if form.form in SEPARATE for name in names]
    lowered = big_m(thin, plain)
    found = [(neurons(thin, lowered, name), form) for name, form in cut]
    return Lowered(lowered, tuple((layer, form) for layer, form in found if layer.size))


def _way(formulation: Formulation) -> Lowering | None:
    """The pass of a formulation; None for big-M, with cuts or without."""
    ways: dict[Form, Lowering] = {
        Form.PUBLISHED: published_big_m,
        Form.PARTITION: lambda program, names: partition(program, formulation.groups, names),
        Form.HULL: hull,
        Form.INDICATOR: indicator,
    }
    return ways.get(formulation.form)
