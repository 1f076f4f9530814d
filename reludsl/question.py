"""Questions as values: what the verbs answer, `compare` asks several solvers, and files hold.

A verb is a question answered at once: `prove(claim, given)` answers `Prove(claim, given)`.
"""

from __future__ import annotations

from dataclasses import dataclass

from reludsl.expr import Expr
from reludsl.logic import ALWAYS, Condition


@dataclass(frozen=True, eq=False)
class Prove:
    """Does the claim hold at every input that satisfies `given`?"""

    claim: Condition
    given: Condition = ALWAYS


@dataclass(frozen=True, eq=False)
class Find:
    """Is there an input that satisfies the condition?"""

    condition: Condition


@dataclass(frozen=True, eq=False)
class Maximize:
    """How large does an expression of size 1 get where `given` holds?"""

    expr: Expr
    given: Condition = ALWAYS


@dataclass(frozen=True, eq=False)
class Minimize:
    """How small does an expression of size 1 get where `given` holds?"""

    expr: Expr
    given: Condition = ALWAYS


Question = Prove | Find | Maximize | Minimize
