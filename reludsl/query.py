"""The verbs: `prove`, `find`, `maximize`, `minimize`, `bounds`. Each answers one question about expressions.

    prove(argmax_is(net(x), label))        find(t.active[0][3] & (y[1] >= 2))        maximize(t.pre[1][7], given=...)

An answer holds a proved bound, and a value that is reached by a witness: an input, replayed through the plain
forward pass in float64. The two meet when the question is answered completely.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reludsl import plugins
from reludsl.answer import Answer, Statistics, Verdict, Witness
from reludsl.backend import Backend, FloatArray, Limits, Sense, Status
from reludsl.bounds import Bounds, crown, interval
from reludsl.cases import cases
from reludsl.domain import Domain
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.expr import Expr, Input, SlackVariable, as_domain
from reludsl.falsify import Hunt
from reludsl.formulate import Compiled, Known, compile_program
from reludsl.logic import ALWAYS, Condition, all_of, shifted
from reludsl.network import Network
from reludsl.passes import Choice, Formulation
from reludsl.program import activity
from reludsl.progress import OnProgress, silent
from reludsl.proof import Settings, seek
from reludsl.question import Find, Maximize, Minimize, Prove, Question
from reludsl.replay import Evaluator, holds
from reludsl.solve import RELATIVE, TOLERANCE, Inputs, Model, Outcome
from reludsl.tighten import Interrupted, every, tighten

METHODS = ("interval", "crown", "lp", "milp")
"""What `network_bounds` offers, from cheap and wide to dear and tight."""


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Smallest and largest value of every element of an expression: two answers each."""

    lowest: tuple[Answer, ...]
    highest: tuple[Answer, ...]

    @property
    def lower(self) -> FloatArray:
        """Proved lower bounds."""
        return np.array([a.bound for a in self.lowest])

    @property
    def upper(self) -> FloatArray:
        """Proved upper bounds."""
        return np.array([a.bound for a in self.highest])


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
        self.compiled: Compiled = compile_program(exprs, known, given)
        limits = Limits(threads=threads, seed=seed, profile=profile)
        self.formulation = as_formulation(formulation)
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


def prove(
    claim: Condition,
    given: Condition = ALWAYS,
    *,
    margin: float = 0.0,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    threads: int = 1,
    seed: int = 0,
    formulation: Formulation | Choice | str = Formulation.BIG_M,
    profile: bool = True,
    search: bool = True,
    progress: OnProgress = silent,
) -> Answer:
    """Does the claim hold at every input of its domains that satisfies `given`?

    PROVED by a bound, REFUTED by a replayed input (`answer.witness`), UNKNOWN with the reason. `answer.stats.stage`
    says what decided: the domains, the search, bounds by linear relaxation, or the solver.

    Args:
        claim, given: conditions on any inputs, hidden values and outputs of any networks.
        margin: the claim counts as refuted only where it fails by this much: `prove(a <= b, margin=m)` asks a < b + m.
            With 0, a claim that holds with equality somewhere is UNKNOWN wherever tolerances leave it open.
        backend: name or object; the first installed by default.
        time_limit: seconds for all of it.
        threads, seed: of the solver and of the search.
        formulation: of disjunctions, e.g. "big-m", "hull", "partition:4", "cuts" (`reludsl.passes.Formulation`).
        profile: the solver's settings for network models; False for its own defaults.
        search: look for a counterexample before bounds and solver.

    Raises:
        InvalidInput: no input is mentioned, or the margin is negative.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu,
    ...                      Affine(np.array([[1.0, 1.0]]), np.zeros(1))], (1,))
    >>> x = box(-1, 2, (1,))
    >>> prove(net(x)[0] <= 2.5, backend=EnumerationBackend()).verdict
    <Verdict.PROVED: 'proved'>
    >>> answer = prove(net(x)[0] <= 1.5, given=x <= 1.75, backend=EnumerationBackend())
    >>> answer.verdict, bool(answer.witness[net(x)][0] > 1.5)
    (<Verdict.REFUTED: 'refuted'>, True)
    """
    settings = _settings(backend, time_limit, threads, seed, formulation, profile, search, progress)
    return answer(Prove(claim, given), settings, margin)


def find(
    condition: Condition,
    *,
    margin: float = 0.0,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    threads: int = 1,
    seed: int = 0,
    formulation: Formulation | Choice | str = Formulation.BIG_M,
    profile: bool = True,
    search: bool = True,
    progress: OnProgress = silent,
) -> Answer:
    """Is there an input that satisfies the condition? PROVED with one in `answer.witness`; REFUTED by a bound.

    Args:
        condition: on any inputs, hidden values and outputs of any networks.
        margin: every comparison has to hold by this much.
        backend, time_limit, threads, seed, formulation, profile, search: as in `prove`.

    Raises:
        InvalidInput: no input is mentioned, or the margin is negative.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu], (1,))
    >>> t = net.trace(box(-1, 2, (1,)))
    >>> find((t.pre[0][0] >= 0.5) & t.active[0][1], backend=EnumerationBackend()).verdict
    <Verdict.REFUTED: 'refuted'>
    >>> find(t.active[0][0] & ~t.active[0][1], backend=EnumerationBackend()).verdict
    <Verdict.PROVED: 'proved'>
    """
    settings = _settings(backend, time_limit, threads, seed, formulation, profile, search, progress)
    return answer(Find(condition), settings, margin)


def maximize(
    expr: Expr,
    given: Condition = ALWAYS,
    *,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    relax: bool = False,
    threads: int = 1,
    seed: int = 0,
    formulation: Formulation | Choice | str = Formulation.BIG_M,
    profile: bool = True,
) -> Answer:
    """max of an expression where `given` holds: a proved bound, and a value reached by a replayed witness.

    PROVED where the two meet within the solver's tolerance, UNKNOWN otherwise; bound and value hold in any case.

    Args:
        expr: of size 1.
        given: what must hold at the input; strict comparisons are closed for the bound, exact for the witness.
        backend: name or object; the first installed by default.
        time_limit: seconds; the bound proved by then is returned, and a reason.
        relax: over the LP relaxation: faster, and a looser bound.
        threads, seed, formulation, profile: as in `prove`.

    Raises:
        InvalidInput: more than one element.
        SolverFailed: the solver's bound is contradicted by a forward pass.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[2.0]]), np.array([-1.0])), relu], (1,))
    >>> round(maximize(net.trace(box(0, 1, (1,))).pre[0], backend=EnumerationBackend()).bound, 5)
    1.0
    """
    settings = _settings(backend, time_limit, threads, seed, formulation, profile, False, silent)
    return answer(Maximize(expr, given), settings, relax=relax)


def minimize(
    expr: Expr,
    given: Condition = ALWAYS,
    *,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    relax: bool = False,
    threads: int = 1,
    seed: int = 0,
    formulation: Formulation | Choice | str = Formulation.BIG_M,
    profile: bool = True,
) -> Answer:
    """min of an expression where `given` holds (see `maximize`).

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[2.0]]), np.array([-1.0])), relu], (1,))
    >>> answer = minimize(net.trace(box(0, 1, (1,))).pre[0], backend=EnumerationBackend())
    >>> round(answer.bound, 5), answer.value
    (-1.0, -1.0)
    """
    settings = _settings(backend, time_limit, threads, seed, formulation, profile, False, silent)
    return answer(Minimize(expr, given), settings, relax=relax)


def answer(question: Question, settings: Settings, margin: float = 0.0, *, relax: bool = False) -> Answer:
    """The answer to a question as a value: what the verbs call, and `compare` for every backend.

    Args:
        margin: of `Prove` and `Find`.
        relax: of `Maximize` and `Minimize`.
    """
    match question:
        case Prove(claim, given):
            return _sought(all_of(given, shifted(~claim, _margin(margin))), claim, settings, margin, refutes=True)
        case Find(condition):
            return _sought(shifted(condition, _margin(margin)), condition, settings, margin, refutes=False)
        case Maximize(expr, given) | Minimize(expr, given):
            start = time.perf_counter()
            with Session(
                [expr],
                given=given,
                backend=settings.backend,
                formulation=settings.formulation,
                threads=settings.threads,
                seed=settings.seed,
                profile=settings.profile,
            ) as session:
                left = None
                if settings.time_limit is not None:
                    left = max(0.0, settings.time_limit - (time.perf_counter() - start))
                ask = session.maximize if isinstance(question, Maximize) else session.minimize
                return ask(expr, time_limit=left, relax=relax)


def _sought(sought: Condition, statement: Condition, settings: Settings, margin: float, refutes: bool) -> Answer:
    """The answer of `seek`, read for the statement: a claim that a hit refutes, or a condition that it shows."""
    start = time.perf_counter()
    found = seek(sought, settings)
    tally, sign = found.tally, -1.0 if refutes else 1.0
    stats = Statistics(
        settings.backend.name,
        settings.backend.version(),
        tally.status,
        tally.binaries,
        tally.nodes,
        tally.build_seconds,
        tally.solve_seconds,
        "; ".join(tally.notes),
        stage=found.stage,
        tolerance=TOLERANCE,
        passes=passes_of(settings.formulation),
        cases=tally.cases,
        cases_solved=tally.solved,
        binaries_before=tally.binaries_before,
        boxes=tally.boxes,
        seconds=time.perf_counter() - start,
    )
    witness, value = None, None
    if found.hit is not None:
        inputs = _whole(found.hit.point, sought, statement)
        value = float(Expr.of(SlackVariable(statement)).value(inputs)[0])
        witness = Witness(inputs, tuple(a.expr for a in sought.atoms), value)
    shown, denied = (Verdict.REFUTED, Verdict.PROVED) if refutes else (Verdict.PROVED, Verdict.REFUTED)
    verdict = shown if witness is not None else denied if found.none else Verdict.UNKNOWN
    bound = sign * (found.bound + margin)
    return Answer(verdict, bound, value, witness, found.reason or _decided(found.stage), stats, margin)


def _whole(point: Inputs, *conditions: Condition) -> Inputs:
    """A point with a value for every input that is mentioned: an alternative that holds may leave some of them free."""
    every = dict.fromkeys(v for c in conditions for atoms in c.atoms for v in atoms.expr.inputs())
    return {v: point[v] if v in point else v.domain.project(np.zeros((1, v.size)))[0] for v in {**point, **every}}


def _decided(stage: str) -> str:
    return f"an input was found by {'the ' if stage != 'bounds' else ''}{stage}, and replayed"


def _margin(margin: float) -> float:
    if not (math.isfinite(margin) and margin >= 0):
        raise InvalidInput(f"the margin is {margin}; give a finite number that is not negative")
    return margin


def _settings(
    backend: Backend | str | None,
    time_limit: float | None,
    threads: int,
    seed: int,
    formulation: Formulation | Choice | str,
    profile: bool,
    search: bool,
    progress: OnProgress,
) -> Settings:
    chosen = plugins.default() if backend is None else plugins.load(backend)
    if time_limit is not None and not time_limit >= 0:
        raise InvalidInput(f"the time limit is {time_limit}; give seconds, or None for no limit")
    return Settings(chosen, time_limit, threads, seed, as_formulation(formulation), profile, search, progress)


def as_formulation(formulation: Formulation | Choice | str) -> Formulation | Choice:
    """A formulation by name, e.g. "partition:4", or as it is."""
    return Formulation.parse(formulation) if isinstance(formulation, str) else formulation


def passes_of(formulation: Formulation | Choice) -> tuple[str, ...]:
    """Names of the passes from a program to a matrix, for statistics."""
    return ("prune", "substitute", "sparsify", str(formulation))


def bounds(
    expr: Expr,
    given: Condition = ALWAYS,
    *,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    relax: bool = False,
    threads: int = 1,
    seed: int = 0,
    formulation: Formulation | Choice | str = Formulation.BIG_M,
    profile: bool = True,
) -> Range:
    """Smallest and largest value of every element of an expression where `given` holds, on one session.

    Args:
        time_limit: seconds for all of it, shared evenly.
        relax: over the LP relaxation: faster, wider.
        threads, seed, formulation, profile: as in `prove`.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[2.0], [1.0]]), np.array([-1.0, 3.0])), relu], (1,))
    >>> found = bounds(net.trace(box(0, 1, (1,))).pre[0], backend=EnumerationBackend())
    >>> found.lower.round(4), found.upper.round(4)
    (array([-1.,  3.]), array([1., 4.]))
    """
    start = time.perf_counter()
    lowest: list[Answer] = []
    highest: list[Answer] = []
    with Session(
        [expr], given=given, backend=backend, formulation=formulation, threads=threads, seed=seed, profile=profile
    ) as session:
        for k, element in enumerate(expr):
            for place, (ask, kept) in enumerate(((session.minimize, lowest), (session.maximize, highest))):
                left = None if time_limit is None else max(0.0, time_limit - (time.perf_counter() - start))
                share = None if left is None else left / (2 * (expr.size - k) - place)
                kept.append(ask(element, time_limit=share, relax=relax))
                if kept[-1].stats.status is Status.INTERRUPTED:
                    time_limit = 0.0  # what is left keeps the bounds of its model
    return Range(tuple(lowest), tuple(highest))


def network_bounds(
    network: Network,
    where: Input | Domain,
    *,
    method: str = "crown",
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: OnProgress = silent,
) -> Bounds:
    """Bounds of every pre-activation layer and of the output.

    Args:
        method: `interval`, `crown`, `lp` or `milp`; each starts from the one before. For the last two every
            element is maximised and minimised, layer by layer, and each layer's bounds serve the next.
        time_limit: seconds; elements that it leaves out keep the bounds they had, as they do after a keyboard
            interrupt.

    Raises:
        InvalidInput: no such method.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[2.0]]), np.array([-1.0])), relu], (1,))
    >>> network_bounds(net, box(0, 1, (1,)), method="interval").pre(net.hidden[0]).upper.round(9)
    array([1.])
    """
    domain = as_domain(where)
    if method not in METHODS:
        raise InvalidInput(f"no bounds are called {method!r}; there are {', '.join(METHODS)}")
    if method == "interval":
        return interval(network, domain)
    found = crown(network, domain)
    if method == "crown":
        return found
    try:
        return tighten(
            found,
            plugins.default() if backend is None else plugins.load(backend),
            limits=Limits(threads=threads, seed=seed),
            integers=method == "milp",
            chosen=every,
            until=None if time_limit is None else time.perf_counter() + time_limit,
            progress=progress,
        )
    except Interrupted as stopped:
        return stopped.bounds
