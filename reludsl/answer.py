"""What a question is answered with: a verdict, a proved bound, a replayed witness, the reason, and who decided.

PROVED     a proved bound says so
REFUTED    a witness shows it: an input, replayed through the plain forward pass
UNKNOWN    neither; the reason says why, and what would help
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from reludsl.backend import FloatArray, Status
from reludsl.expr import Application, Expr, Input, InputVariable
from reludsl.network import Trace
from reludsl.replay import Evaluator


class Verdict(enum.Enum):
    """What is known about the statement that was asked about. Each value is the word that a person reads."""

    PROVED = "proved"
    """It holds: for `prove` at every input, for `find` at the witness; for an extreme: bound and value meet."""
    REFUTED = "refuted"
    """It does not: `prove` has a witness against it, for `find` a bound says that no input will do."""
    UNKNOWN = "unknown"
    """Neither was shown; `Answer.reason` says why."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Who answered, and at what cost.

    Args:
        backend, version: the solver at hand, whether it was needed or not.
        stage: what decided: `domains`, `search`, `bounds`, `splitting`, `relaxation`, `solver`; or what the answer
            ended at.
        status: of the last solve.
        tolerance: feasibility tolerance of the solver; bounds are widened by what it may be worth.
        passes: from the question to the matrix, in order.
        cases, cases_solved: alternatives at the top of the question, and how many of them the solver saw.
        binaries_before: alternatives (of neurons and conditions) before pruning; `binaries`: integer columns after.
        nodes: of the solver's search trees; boxes: parts that domains were split into.
        build_seconds, solve_seconds, seconds: to make programs, in the solver, and altogether.
        note: what a person should know.
    """

    backend: str
    version: str
    status: Status
    binaries: int
    nodes: int
    build_seconds: float
    solve_seconds: float
    note: str
    stage: str = "solver"
    tolerance: float = 0.0
    passes: tuple[str, ...] = ()
    cases: int = 1
    cases_solved: int = 1
    binaries_before: int = 0
    seconds: float = 0.0
    boxes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Witness(Mapping[InputVariable, FloatArray]):
    """Inputs that show something: `witness[x]` for an input, `witness[net(x)]` for any expression at it.

    Args:
        inputs: input variable -> value, inside its domain.
        exprs: what the question was about; `traces` follows the networks in it.
        slack: how far the condition asked about holds here; None for an extreme without condition.
    """

    inputs: Mapping[InputVariable, FloatArray]
    exprs: tuple[Expr, ...] = ()
    slack: float | None = None

    def __getitem__(self, what: InputVariable | Expr) -> FloatArray:
        """The value of an input variable or of an expression at the witness: flat, (size,)."""
        if isinstance(what, Input):
            return self.inputs[what.variable]
        if isinstance(what, Expr):
            return what.value(self.inputs)
        return self.inputs[what]

    def __iter__(self) -> Iterator[InputVariable]:
        return iter(self.inputs)

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def traces(self) -> Mapping[Application, Trace]:
        """The forward pass of every network application in the question: all pre- and post-activations."""
        evaluator = Evaluator(self.exprs)
        values = evaluator.forward({v: np.asarray(self.inputs[v])[None, :] for v in evaluator.inputs})
        return {a: a.network.trace(values.value(a.argument)) for a in evaluator.nodes}


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The answer to a question.

    Args:
        verdict: see `Verdict`.
        bound: proved. Of an extreme: the expression never gets beyond it. Of `find`: no input satisfies the condition
            with more slack; of `prove`: none refutes the claim, `given` included, by more than -bound. Where there is
            no such input at all, it says by how much the rest is missed wherever everything that is asked of inputs
            alone holds: of a claim about networks that was PROVED, its slack is nowhere less where `given` holds.
            Infinite where nothing was proved, or where those inputs have no room.
        value: reached by the witness, in plain float64: the expression, or the slack; None where no point was found.
        witness: the input (see `Witness`); None without one.
        reason: in words, why the verdict is what it is.
        stats: who solved it.
        margin: by which the claim had to fail, or the condition to hold.
    """

    verdict: Verdict
    bound: float
    value: float | None
    witness: Witness | None
    reason: str
    stats: Statistics
    margin: float = 0.0

    @property
    def gap(self) -> float:
        """Distance between bound and value, infinite without a value."""
        return float("inf") if self.value is None else abs(self.bound - self.value)

    @property
    def slack(self) -> float | None:
        """Slack of the statement at the witness: negative where it refutes a claim; None without a witness."""
        return None if self.witness is None else self.witness.slack

    @property
    def proved(self) -> bool:
        """The verdict is PROVED."""
        return self.verdict is Verdict.PROVED

    @property
    def refuted(self) -> bool:
        """The verdict is REFUTED."""
        return self.verdict is Verdict.REFUTED

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"an answer is no yes or no (this one is {self.verdict.name}): `if not answer` would read UNKNOWN as "
            "refuted. Write `answer.proved`, `answer.refuted`, or compare answer.verdict"
        )

    def __str__(self) -> str:
        value = "" if self.value is None else f", value {self.value:.9g}"
        return f"{self.verdict.name}: bound {self.bound:.9g}{value}" + (f" ({self.reason})" if self.reason else "")
