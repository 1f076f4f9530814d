"""One model of some expressions, many questions about their extremes.

A solver's point counts through its inputs alone: the value is that of the plain forward pass there, and where `given`
fails at it by a tolerance, an input near it is looked for at which it holds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from reludsl import plugins
from reludsl.answer import Answer, Statistics, Verdict, Witness
from reludsl.backend import Backend, Limits, Sense, Status
from reludsl.cases import cases
from reludsl.errors import SolverFailed
from reludsl.expr import Expr, SlackVariable
from reludsl.falsify import Hunt
from reludsl.formulate import Compiled, Known, compile_program
from reludsl.logic import ALWAYS, Condition, all_of
from reludsl.passes import Choice, Formulation
from reludsl.program import activity
from reludsl.replay import Evaluator, holds
from reludsl.solve import RELATIVE, TOLERANCE, Inputs, Model, Outcome


def as_formulation(formulation: Formulation | Choice | str) -> Formulation | Choice:
    """A formulation by name, e.g. "partition:4", or as it is."""
    return Formulation.parse(formulation) if isinstance(formulation, str) else formulation


def passes_of(formulation: Formulation | Choice) -> tuple[str, ...]:
    """Names of the passes from a program to a matrix, for statistics."""
    return ("prune", "substitute", "sparsify", str(formulation))


class Session:
    """One model of some expressions, many questions: `maximize` and `minimize` any of their elements.

    Args:
        exprs: everything that will be asked about.
        given: what must hold; comparisons that are strict are closed.
        known: proved bounds per network, used where they are about the domain at hand.
        formulation: of disjunctions (`reludsl.passes.Formulation`), one for all or a `Choice` per layer.
        profile: the solver's settings for network models.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.network import Network
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu,
    ...                      Affine(np.array([[1.0, 1.0]]), np.zeros(1))], (1,))
    >>> x = box(-1, 2, (1,))
    >>> y = net(x)
    >>> with Session([y], backend=EnumerationBackend(), given=x <= 1) as session:
    ...     most, least = session.maximize(y), session.minimize(y + 1)
    >>> round(most.bound, 4), most.value, round(least.bound, 4)
    (1.0, 1.0, 1.0)
    """

    def __init__(
        self,
        exprs: Sequence[Expr],
        *,
        given: Condition = ALWAYS,
        backend: Backend | str | None = None,
        known: Known | None = None,
        formulation: Formulation | Choice | str = Formulation.BIG_M,
        threads: int = 1,
        seed: int = 0,
        profile: bool = True,
    ) -> None:
        start = time.perf_counter()
        self.backend = plugins.default() if backend is None else plugins.load(backend)
        self.given = given
        self.formulation = as_formulation(formulation)
        encodings = Choice.every(self.formulation).encodings
        self.compiled: Compiled = compile_program(exprs, known, given, encodings)
        limits = Limits(threads=threads, seed=seed, profile=profile)
        self.model = Model(self.compiled, self.backend, limits, self.formulation)
        self._lower, self._upper = self.compiled.program.lower, self.compiled.program.upper
        self.seed = seed
        self.build_seconds = time.perf_counter() - start

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the solver's memory; may be called twice."""
        self.model.close()

    def maximize(self, expr: Expr, *, time_limit: float | None = None, relax: bool = False) -> Answer:
        """The largest value of an expression of size 1. See `maximize`."""
        return self._extreme(expr, Sense.MAXIMIZE, time_limit, relax)

    def minimize(self, expr: Expr, *, time_limit: float | None = None, relax: bool = False) -> Answer:
        """The smallest value of an expression of size 1. See `minimize`."""
        return self._extreme(expr, Sense.MINIMIZE, time_limit, relax)

    def _extreme(self, expr: Expr, sense: Sense, time_limit: float | None, relax: bool) -> Answer:
        began = time.perf_counter()
        outcome = self.model.optimise(expr, sense, relax=relax, time_limit=time_limit)
        loading = time.perf_counter() - began - outcome.seconds
        sign = 1.0 if sense is Sense.MAXIMIZE else -1.0
        inputs = self._allowed(expr, sign, outcome)
        value = None if inputs is None else float(expr.value(inputs)[0])
        slack = self.model.slack()
        if value is not None and sign * (value - outcome.bound) > RELATIVE * (1.0 + abs(value)):
            raise SolverFailed(
                f"{self.backend.name} proved {outcome.bound:.9g} as a bound, but the forward pass reaches {value:.9g}; "
                "no bound of this run can be trusted: try another backend"
            )
        # the model's own column bounds are proved as well
        cheap = self._interval(expr, sign)
        bound = float(cheap if sign * cheap < sign * outcome.bound else outcome.bound)
        met = value is not None and abs(bound - value) <= 10 * slack
        program = self.compiled.program
        stats = Statistics(
            self.backend.name,
            self.backend.version(),
            outcome.status,
            self.model.binaries,
            outcome.nodes,
            self.build_seconds + loading,
            outcome.seconds,
            outcome.note,
            tolerance=TOLERANCE,
            passes=passes_of(self.formulation),
            binaries_before=program.disjunction_count + program.integers,
            seconds=self.build_seconds + time.perf_counter() - began,
        )
        witness = None
        if inputs is not None:
            held = None if self.given is ALWAYS else float(Expr.of(SlackVariable(self.given)).value(inputs)[0])
            witness = Witness(inputs, (expr, *(a.expr for a in self.given.atoms)), held)
        verdict = Verdict.PROVED if met else Verdict.UNKNOWN
        return Answer(verdict, bound, value, witness, _reason(outcome, value, met, relax), stats)

    def _allowed(self, expr: Expr, sign: float, outcome: Outcome) -> Inputs | None:
        """The solver's inputs, where `given` holds at them; otherwise inputs near them where it does.

        A solver's point may miss a row by its tolerance. Within its linear region one is looked for that meets `given`
        and gives away as little of the objective as that takes.
        """
        if outcome.inputs is None or self.given is ALWAYS or holds(self.given, outcome.inputs):
            return outcome.inputs
        reached = sign * float(expr.value(outcome.inputs)[0])
        for give in (1e-9, 1e-7, 1e-5, 1e-3):
            wanted = all_of(self.given, sign * expr >= reached - give * (1.0 + abs(reached)))
            for case in cases(wanted):
                if case.empty:
                    continue
                hunt = Hunt(case, Evaluator(a.expr for a in case.goal.atoms), np.random.default_rng(self.seed))
                start = {v: v.domain.project(outcome.inputs[old][None, :])[0] for v, old in case.inputs.items()}
                hit = hunt.walk(start, 3)
                if hit is not None:
                    return {**outcome.inputs, **hit.point}
        return None

    def _interval(self, expr: Expr, sign: float) -> float:
        total = float(expr.constant[0])
        for variable, matrix in expr.terms.items():
            where = self.compiled.position[variable]
            least, most = activity(matrix, self._lower[where], self._upper[where])
            end = float(most[0] if sign > 0 else least[0])
            total = float(np.nextafter(total + end, sign * np.inf))
        return total


def _reason(outcome: Outcome, value: float | None, met: bool, relax: bool) -> str:
    if met:
        return ""
    if outcome.status is Status.INFEASIBLE:
        return "the solver says that no input satisfies what is given; ask find(...) for a proof of that"
    if relax:
        return "the LP relaxation was solved, not the integer program"
    if value is None and outcome.inputs is not None:
        return "the solver's point misses what is given by its tolerance, and no input near it was found that does not"
    if value is None and outcome.status is Status.OPTIMAL:
        return "the solver gave no point"
    return outcome.note or outcome.status.value
