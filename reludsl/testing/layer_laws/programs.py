"""Symbols and programs: what is solved is the graph of the layer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reludsl import plugins
from reludsl.backend import FloatArray, Limits, Sense
from reludsl.domain import Box
from reludsl.exact import exactly
from reludsl.expr import Input, NodeVariable
from reludsl.formulate import Compiled, compile_program
from reludsl.passes import Formulation, big_m, lower, prune
from reludsl.program import Program
from reludsl.testing.cases import TOLERANCE, hold
from reludsl.testing.enumeration import EnumerationBackend
from reludsl.testing.layer_laws.comparing import EXACTLY, close, ends, text
from reludsl.testing.layer_laws.subject import Subject

MOST_BINARIES, MOST_ENTRIES = 6, 3000
"""Programs with more binaries, or rows times columns, go to a solver instead of to enumeration."""


def law_symbols_mean_the_numbers(s: Subject) -> None:
    """The layer on a symbol, evaluated at a point, is the layer at that point."""
    x = Input(s.box)
    y = s.network(x)
    for point in s.points:
        value = y.value({x.variable: point})
        close(value, s.layer(point[None, :])[0], np.zeros(value.size), f"the symbolic value, at {text(point)}")


def law_program_is_the_graph(s: Subject) -> None:
    """With its input pinned, the program of the layer has one value, f(x); also for smaller boxes and points."""
    for box in s.boxes:
        model = _Modelled(s, box)
        for x in s.within(box)[:: 1 if model.small else 3]:
            model.pinned(x, big_m(model.compiled.program), f"the program over {ends(box)}")


def law_program_covers_the_box(s: Subject) -> None:
    """The largest value over the box is at least that of every point, and no more than the interval's."""
    model = _Modelled(s, s.box)
    bound = s.layer.interval(s.box)
    values = s.layer(s.points)
    for c in model.costs:
        best = model.largest(c, big_m(model.compiled.program))
        reached = float((values @ c).max())
        most = float(np.maximum(c * bound.lower, c * bound.upper).sum())
        slack = model.slack(c)
        hold(
            best is not None and reached - slack <= best <= most + slack,
            f"max of {text(c)} @ f(x) over the box is {best} by the program; a point reaches {reached!r}, and the "
            f"interval allows {most!r}",
        )


def law_passes_keep_the_values(s: Subject) -> None:
    """Pruned and lowered in every formulation, the program has the same maxima, and the same value at a point."""
    model = _Modelled(s, s.box)
    program = model.compiled.program
    for name, changed in _lowered(program):
        for c in model.costs:
            before, after = model.largest(c, big_m(program)), model.largest(c, changed)
            hold(
                before is not None and after is not None and abs(before - after) <= model.slack(c),
                f"max of {text(c)} @ f(x) is {before} before and {after} after {name}",
            )
        for x in s.points[::3]:
            model.pinned(x, changed, f"the program after {name}")


def _lowered(program: Program) -> Iterator[tuple[str, Program]]:
    yield "prune", big_m(prune(program))
    for form in (Formulation.BIG_M, Formulation.PUBLISHED, Formulation.HULL):
        yield str(form), lower(program, form, budget=0.0)


class _Modelled:
    """The program of a layer over a box, and answers about it: exact ones where it is small."""

    def __init__(self, subject: Subject, box: Box) -> None:
        self.subject = subject
        x = Input(box)
        y = subject.network(x)
        self.compiled: Compiled = compile_program([y])
        (value,) = y.terms
        assert isinstance(value, NodeVariable)
        self.value, self.input = self.compiled.position[value], x.variable.name
        matrix = big_m(self.compiled.program).matrix()
        entries = matrix.rows.shape[0] * matrix.rows.shape[1]
        self.small = int(matrix.integer.sum()) <= MOST_BINARIES and entries <= MOST_ENTRIES
        self.reach = subject.layer.interval(box).magnitude

    @property
    def costs(self) -> list[FloatArray]:
        """Rows over the value: a direction both ways, and the first elements."""
        c = self.subject.directions[0]
        return [c, -c, *np.eye(c.size)[:2]]

    def slack(self, cost: FloatArray) -> float:
        return (EXACTLY if self.small else TOLERANCE) * (1.0 + float(np.abs(cost) @ self.reach))

    def largest(self, cost: FloatArray, program: Program, at: FloatArray | None = None) -> float | None:
        """max of cost @ value, with the input pinned if wished; None where there is no value."""
        backend = EnumerationBackend() if self.small else self.subject.backend or plugins.default()
        trace = program.original
        whole = np.zeros(trace.matrix.shape[0])
        whole[self.value] = cost
        row = np.asarray(whole @ trace.matrix)
        session = backend.open(program.matrix(), Limits())
        index = np.flatnonzero(row)
        session.set_cost(index, row[index], Sense.MAXIMIZE, float(whole @ trace.offset))
        if at is not None:
            where = program.where(self.input)
            session.set_bounds(np.arange(where.start, where.stop), at, at)
        result = session.solve()
        session.close()
        return result.objective

    def pinned(self, x: FloatArray, program: Program, what: str) -> None:
        """The value at x is f(x) and nothing else. A direction with no zero sees any other."""
        c = self.subject.directions[0]
        true = float(exactly(c) @ self.subject.exact(x))
        for cost, sign in ((c, 1.0), (-c, -1.0)):
            found = self.largest(cost, program, x)
            hold(found is not None, f"{what} has no value at {text(x)}, where f is {text(self.subject.exact(x))}")
            assert found is not None
            hold(
                abs(sign * found - true) <= self.slack(c),
                f"{what} lets {text(c)} @ f(x) be {sign * found!r} at {text(x)}, where it is {true!r}",
            )
