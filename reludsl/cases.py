"""The cases of a condition: the alternatives at its top, each with domains narrowed to what it asks of the inputs.

A condition (a & b & (c | d)) holds where (a & b & c) or (a & b & d) does. Each *case* is searched, bounded and
solved on its own, which lets bounds refute it alone. Only the alternatives at the top are taken apart, while they are
few; what stands below stays an `AnyOf`, so that nothing explodes (see `reludsl.formulate` for how that is lowered).

What a case says about single inputs goes into their domains: `x[3] <= 0.2` narrows a box, a linear relation between
coordinates of one input makes it a polytope, so that every bound that follows knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.domain import Box, Domain, Polytope
from reludsl.errors import InvalidInput
from reludsl.expr import Application, Expr, InputVariable, NodeVariable, Variable
from reludsl.logic import All, AnyOf, Atoms, Condition, all_of

MOST_CASES = 64
"""Several alternations at the top are multiplied out up to this many cases; a single one always is."""

MOST_RELATIONS = 24
"""Linear relations that a polytope is made of; its support function takes them one by one."""


LARGEST_RELATION = 1e100
"""Relations with larger coefficients stay conditions: norms of their rows overflow."""


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """One alternative of a condition.

    Args:
        condition: what holds in this case, over the variables of the question: what a witness is replayed on.
        goal: the same over the narrowed inputs, without what their domains say.
        inputs: narrowed input -> the input of the question that it stands for.
        empty: the narrowed domain holds no point, so that the case never occurs.
    """

    condition: Condition
    goal: Condition
    inputs: Mapping[InputVariable, InputVariable]
    empty: bool = False

    def original(self, points: Mapping[InputVariable, FloatArray]) -> dict[InputVariable, FloatArray]:
        """Values of the narrowed inputs as values of the question's, inside its domains.

        A narrowed ball is a box that reaches beyond it in the last bit.
        """
        return {self.inputs[v]: _inside(self.inputs[v], np.asarray(x, dtype=np.float64)) for v, x in points.items()}


def _inside(variable: InputVariable, x: FloatArray) -> FloatArray:
    row = x.reshape(1, -1)
    return x if variable.domain.contains(row)[0] else variable.domain.project(row)[0]


def conjuncts(condition: Condition) -> tuple[Condition, ...]:
    """The parts of a conjunction; a condition of another kind is its only part."""
    return condition.parts if isinstance(condition, All) else (condition,)


def alternatives(condition: Condition) -> tuple[Condition, ...]:
    """The parts of a disjunction, a vector of which one element is enough taken apart."""
    if isinstance(condition, AnyOf):
        return tuple(inner for part in condition.parts for inner in alternatives(part))
    if isinstance(condition, Atoms) and not condition.every and len(condition) != 1:
        return tuple(Atoms(e.expr, e.strict) for e in condition)
    return (condition,)


def cases(condition: Condition) -> list[Case]:
    """The cases of a condition, in order; together they are equivalent to it.

    >>> from reludsl.expr import box
    >>> x = box(0, 1, (2,))
    >>> [c.inputs for c in cases(((x[0] <= 0.25) | (x[1] >= 0.5)) & (x[0] >= 0.5))][0].__len__()
    1
    >>> [c.empty for c in cases(((x[0] <= 0.25) | (x[1] >= 0.5)) & (x[0] >= 0.5))]
    [True, False]
    """
    options = [alternatives(part) for part in conjuncts(condition)]
    if prod(map(len, options)) > MOST_CASES and sum(len(o) > 1 for o in options) > 1:
        # the longest alternation is taken apart, the others stay
        longest = max(range(len(options)), key=lambda k: len(options[k]))
        parts = conjuncts(condition)
        options = [o if k == longest or len(o) == 1 else (parts[k],) for k, o in enumerate(options)]
    narrow = _Narrower()
    return [narrow.case(all_of(*chosen)) for chosen in product(*options)]


class _Narrower:
    """Makes cases, and gives equal domains one variable, so that their bounds and models are shared."""

    def __init__(self) -> None:
        self.made: dict[tuple[InputVariable, bytes], InputVariable] = {}

    def case(self, condition: Condition) -> Case:
        parts = [_plain(part) for part in conjuncts(condition)]
        inputs = _inputs(condition)
        rest: list[Condition] = []
        asked: dict[InputVariable, _Asked] = {v: _Asked(v) for v in inputs}
        for part in parts:
            variable = _lone_input(part)
            rest.append(part if variable is None or not isinstance(part, Atoms) else asked[variable].take(part))
        renamed: dict[InputVariable, InputVariable] = {}
        for variable, wish in asked.items():
            domain = wish.domain()
            if domain is None:
                return Case(condition, condition, {v: v for v in inputs}, empty=True)
            rest.extend(wish.left)
            renamed[variable] = self._variable(variable, domain)
        goal = all_of(*(part for part in rest if not isinstance(part, Atoms) or len(part)))
        moved = _Moved(renamed)
        return Case(condition, moved.condition(goal), {new: old for old, new in renamed.items()})

    def _variable(self, variable: InputVariable, domain: Domain) -> InputVariable:
        if domain is variable.domain:
            return variable
        key = (variable, _fingerprint(domain))
        return self.made.setdefault(key, InputVariable(variable.name, domain))


def _fingerprint(domain: Domain) -> bytes:
    around = domain.enclosure
    rows = domain.constraints().rows
    return b"|".join(
        a.tobytes()
        for a in (around.lower, around.upper, rows.matrix.data, rows.matrix.indices, rows.matrix.indptr, rows.upper)
    )


def _plain(condition: Condition) -> Condition:
    """A vector of one element is every element of itself."""
    if isinstance(condition, Atoms) and not condition.every and len(condition) == 1:
        return Atoms(condition.expr, condition.strict)
    return condition


def _inputs(condition: Condition) -> tuple[InputVariable, ...]:
    found: dict[InputVariable, None] = {}
    for atoms in condition.atoms:
        found.update(dict.fromkeys(atoms.expr.inputs()))
    return tuple(found)


def _lone_input(condition: Condition) -> InputVariable | None:
    """The input that a conjunction of comparisons is about, when it is about one input and nothing else."""
    if not isinstance(condition, Atoms) or not condition.every or len(condition.expr.terms) != 1:
        return None
    (variable,) = condition.expr.terms
    return variable if isinstance(variable, InputVariable) else None


class _Asked:
    """What a case asks of one input: bounds, relations, and what neither can say."""

    def __init__(self, variable: InputVariable) -> None:
        around = variable.domain.enclosure
        said = variable.domain.constraints()
        self.whole = variable.domain
        self.is_box = not said.rows.matrix.shape[0] and not said.extra_lower.size
        self.lower, self.upper = around.lower.copy(), around.upper.copy()
        self.variable = variable
        self.rows: list[tuple[sparse.csr_array, FloatArray]] = []
        self.left: list[Atoms] = []
        self.narrowed = False
        # strict comparisons: above `least`, below `most`
        self.least, self.most = np.full_like(self.lower, -np.inf), np.full_like(self.upper, np.inf)
        self.never = False

    def take(self, atoms: Atoms) -> Atoms:
        """Note what the rows a x + c <= 0 say; those that the domain will say completely are left out of the answer."""
        expr = atoms.expr
        matrix = sparse.csr_array(expr.terms[self.variable], copy=True)
        matrix.eliminate_zeros()
        counts = np.diff(matrix.indptr)
        constant = expr.constant[counts == 0]
        self.never |= bool(((constant >= 0) if atoms.strict else (constant > 0)).any())
        if not self.is_box:
            return atoms
        single = np.flatnonzero(counts == 1)
        at = matrix.indptr[:-1][single]
        column, a = matrix.indices[at], matrix.data[at]
        side = -expr.constant[single] / a
        exact = np.abs(a) == 1.0
        above, below = a > 0, a < 0
        up = np.where(exact, side, np.nextafter(side, np.inf))
        down = np.where(exact, side, np.nextafter(side, -np.inf))
        np.minimum.at(self.upper, column[above], up[above])
        np.maximum.at(self.lower, column[below], down[below])
        self.narrowed |= bool(single.size)
        if atoms.strict:
            np.minimum.at(self.most, column[above], up[above])
            np.maximum.at(self.least, column[below], down[below])
        said = np.zeros(expr.size, dtype=np.bool_)
        if not atoms.strict:
            said[single] = exact
        several = np.flatnonzero(counts > 1)
        if several.size and not atoms.strict:
            self.rows.append((sparse.csr_array(matrix[several]), -expr.constant[several]))
            self.left.append(atoms[several])
            said[several] = True
        return atoms[~said]

    def domain(self) -> Domain | None:
        """The narrowed domain; None when its box is empty. What it does not say is added to `left`."""
        empty = (self.lower > self.upper) | (self.lower >= self.most) | (self.upper <= self.least)
        if self.never or empty.any():
            return None
        domain: Domain = Box(self.lower, self.upper) if self.narrowed else self.whole
        if not self.rows:
            return domain
        matrix = sparse.csr_array(sparse.vstack([m for m, _ in self.rows]))
        limit = np.concatenate([c for _, c in self.rows])
        if limit.size <= MOST_RELATIONS and float(abs(matrix).max()) <= LARGEST_RELATION:
            try:
                domain = Polytope(matrix.toarray(), limit, Box(self.lower, self.upper))
                self.left = []
            except InvalidInput:
                # no interior point was found: the relations stay conditions, and a solver will tell
                pass
        return domain


class _Moved:
    """The same expressions and conditions over other inputs."""

    def __init__(self, renamed: Mapping[InputVariable, InputVariable]) -> None:
        self.renamed = renamed
        self.applications: dict[Application, Application] = {}
        self.same = all(old is new for old, new in renamed.items())

    def condition(self, condition: Condition) -> Condition:
        if self.same:
            return condition
        match condition:
            case Atoms():
                return Atoms(self.expr(condition.expr), condition.strict, condition.every)
            case All():
                return All(tuple(self.condition(p) for p in condition.parts))
            case AnyOf():
                return AnyOf(tuple(self.condition(p) for p in condition.parts))
            case _:
                raise TypeError(f"{type(condition).__name__} is no kind of condition")

    def expr(self, expr: Expr) -> Expr:
        return Expr({self.variable(v): matrix for v, matrix in expr.terms.items()}, expr.constant)

    def variable(self, variable: Variable) -> Variable:
        if isinstance(variable, InputVariable):
            return self.renamed.get(variable, variable)
        if isinstance(variable, NodeVariable):
            return NodeVariable(self.application(variable.application), variable.node)
        raise TypeError("a slack variable belongs to one case, and is not moved")

    def application(self, application: Application) -> Application:
        if application not in self.applications:
            self.applications[application] = Application(application.network, self.expr(application.argument))
        return self.applications[application]
