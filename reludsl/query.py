"""The verbs: `prove`, `find`, `maximize`, `minimize`, `bounds`. Each answers one question about expressions.

    prove(argmax_is(net(x), label))        find(t.active[0][3] & (y[1] >= 2))        maximize(t.pre[1][7], given=...)

An answer holds a proved bound, and a value that is reached by a witness: an input, replayed through the plain
forward pass in float64. The two meet when the question is answered completely.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from reludsl import plugins
from reludsl.answer import Answer, Statistics, Verdict, Witness
from reludsl.backend import Backend, FloatArray, Limits, Status
from reludsl.bounds import Bounds, crown, interval, optimised
from reludsl.domain import Domain
from reludsl.errors import InvalidInput
from reludsl.expr import Expr, Input, SlackVariable, as_domain
from reludsl.logic import ALWAYS, Condition, all_of, shifted
from reludsl.network import Network
from reludsl.passes import Choice, Formulation
from reludsl.progress import OnProgress, silent
from reludsl.proof import Settings, seek
from reludsl.question import Find, Maximize, Minimize, Prove, Question
from reludsl.session import Session, as_formulation, passes_of
from reludsl.solve import TOLERANCE, Inputs
from reludsl.tighten import Interrupted, every, tighten

METHODS = ("interval", "crown", "optimised", "lp", "milp")
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
        profile: the solver's settings for network models; False for its own defaults, presolve of HiGHS among them,
            which was seen to prove a wrong optimum.
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
        method: `interval`, `crown`, `optimised`, `lp` or `milp`. For the last three every element is bounded from
            both sides by itself, layer by layer, and each layer's bounds serve the next.
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
    until = None if time_limit is None else time.perf_counter() + time_limit
    if method == "optimised":
        return optimised(network, domain, stop=lambda: until is not None and time.perf_counter() >= until)
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
            until=until,
            progress=progress,
        )
    except Interrupted as stopped:
        return stopped.bounds
