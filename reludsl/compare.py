"""One question on several solvers and formulations, and whether their answers can all be true.

    comparison = compare(Prove(argmax_is(net(x), 3)), ["highs", "cbc"], formulations=["big-m", "cuts"])
    for row in comparison.rows: row.verdict, row.bound, row.seconds, row.agrees

A solver that fails, or that cannot do what is asked, is a row with the reason. Two rows contradict each other where
the bound that one proved is passed by an input that the other found, or where one says PROVED and the other REFUTED.
Since inputs are replayed without a solver, it is a proof that is wrong then: `Disagreement` says whose.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reludsl import plugins
from reludsl.answer import Answer, Verdict
from reludsl.backend import Backend, Status
from reludsl.errors import Disagreement, InvalidInput, MissingBackend, SolverFailed, UnsupportedCapability
from reludsl.io.vnnlib import Property
from reludsl.logic import ALWAYS
from reludsl.passes import Choice, Formulation
from reludsl.progress import OnProgress, Progress, silent
from reludsl.proof import Settings
from reludsl.query import answer
from reludsl.question import Find, Maximize, Minimize, Prove, Question
from reludsl.session import as_formulation

AGREE = 1e-6
"""Share of 1 + |value| by which a value may pass another solver's bound: the tolerance that solvers work with."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """What one solver said in one formulation.

    Args:
        backend, version: who; no version where the solver is not installed.
        formulation: of disjunctions, by name.
        answer: None where the solver failed or lacks a capability.
        seconds: from question to answer.
        reason: why the verdict is what it is, or why there is none.
        agrees: no other row contradicts this one.
    """

    backend: str
    version: str | None
    formulation: str
    answer: Answer | None
    seconds: float
    reason: str
    agrees: bool = True

    @property
    def verdict(self) -> Verdict:
        """UNKNOWN where there is no answer."""
        return Verdict.UNKNOWN if self.answer is None else self.answer.verdict

    @property
    def bound(self) -> float | None:
        """Proved (see `reludsl.answer.Answer`); None where there is no answer."""
        return None if self.answer is None else self.answer.bound

    @property
    def value(self) -> float | None:
        """Reached by a replayed input; None without one."""
        return None if self.answer is None else self.answer.value

    @property
    def build_seconds(self) -> float:
        """To make programs."""
        return 0.0 if self.answer is None else self.answer.stats.build_seconds

    @property
    def solve_seconds(self) -> float:
        """In the solver."""
        return 0.0 if self.answer is None else self.answer.stats.solve_seconds

    @property
    def nodes(self) -> int:
        """Of the search tree."""
        return 0 if self.answer is None else self.answer.stats.nodes

    @property
    def binaries(self) -> int:
        """Integer columns that the solver saw."""
        return 0 if self.answer is None else self.answer.stats.binaries

    @property
    def stage(self) -> str:
        """What decided (see `reludsl.answer.Statistics`); "failed" where there is no answer."""
        return "failed" if self.answer is None else self.answer.stats.stage

    def record(self) -> dict[str, str | int | float | None]:
        """What is written as JSON: numbers that are not finite are None, and `agrees` is left to `Comparison`."""
        return {
            "backend": self.backend,
            "version": self.version,
            "formulation": self.formulation,
            "verdict": self.verdict.value,
            "bound": finite(self.bound),
            "value": finite(self.value),
            "build_seconds": self.build_seconds,
            "solve_seconds": self.solve_seconds,
            "seconds": self.seconds,
            "nodes": self.nodes,
            "binaries": self.binaries,
            "stage": self.stage,
            "reason": self.reason,
        }

    @property
    def who(self) -> str:
        """Solver, version and formulation, for messages."""
        return f"{self.backend} {self.version or '(not installed)'} with {self.formulation}"


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The rows of a question, in the order in which they were asked."""

    question: Question
    rows: tuple[Row, ...]

    @property
    def agrees(self) -> bool:
        """No two rows contradict each other."""
        return all(row.agrees for row in self.rows)


def compare(
    question: Question | Property,
    backends: Sequence[str | Backend] | None = None,
    *,
    margin: float = 0.0,
    time_limit: float | None = None,
    threads: int = 1,
    seed: int = 0,
    formulations: Sequence[Formulation | Choice | str] = ("big-m",),
    search: bool = False,
    profile: bool = True,
    progress: OnProgress = silent,
) -> Comparison:
    """The same question to every solver in every formulation, one after the other.

    Args:
        question: `Prove`, `Find`, `Maximize`, `Minimize`, or a property that was read.
        backends: names or objects; all that are installed by default.
        margin: of `Prove` and `Find`, see `reludsl.prove`.
        time_limit: seconds for each row.
        threads, seed, profile: as in `reludsl.prove`.
        formulations: of disjunctions, each on every solver.
        search: look for an input before anything is solved for. Off here, unlike in the verbs: most inputs that are
            there to be found are found without a solver, so that there would be nothing to compare. Bounds that need
            no solver are never left out; `row.stage` says where the solver was not needed.

    Raises:
        Disagreement: an answer contradicts another; it shows both, and holds the comparison.
        InvalidInput: the question, a name of a formulation, no backend at all.
        MissingBackend: no backend of that name. One whose solver is not installed is a row.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.network import Network
    >>> from reludsl.testing import EnumerationBackend
    >>> import numpy as np
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu], (1,))
    >>> y = net(box(-1, 2, (1,)))
    >>> found = compare(Maximize(y.sum()), [EnumerationBackend()], formulations=["big-m", "hull"])
    >>> [(row.formulation, row.verdict.name, round(row.value, 6), row.agrees) for row in found.rows]
    [('big-m', 'PROVED', 2.0, True), ('hull', 'PROVED', 2.0, True)]
    """
    asked = question.question if isinstance(question, Property) else question
    forms = [as_formulation(formulation) for formulation in formulations]
    chosen = [info.name for info in plugins.installed() if info.installed] if backends is None else backends
    if not chosen or not forms:
        raise InvalidInput(
            f"{len(chosen)} backends and {len(forms)} formulations are given, so that nobody is asked; "
            "name at least one of each, e.g. backends=['highs'], formulations=['big-m']"
        )
    if time_limit is not None and not time_limit >= 0:
        raise InvalidInput(f"the time limit is {time_limit}; give seconds for each solver, or None for no limit")
    rows: list[Row] = []
    for backend in chosen:
        for form in forms:
            named = backend if isinstance(backend, str) else backend.name
            step, done = f"{named}, {form}", len(rows)
            progress(Progress(step, done, len(chosen) * len(forms)))
            found = _loaded(backend, form)
            if not isinstance(found, Row):
                inner = _below(progress, step)
                settings = Settings(found, time_limit, threads, seed, form, profile, search, inner)
                found = ask(asked, settings, margin)
            rows.append(found)
    return checked(asked, rows)


def ask(question: Question, settings: Settings, margin: float = 0.0) -> Row:
    """One row: a solver's answer, or the reason why it gave none.

    Raises:
        InvalidInput: about the question; no other solver would do better.
        KeyboardInterrupt: the user interrupted the solve.
    """
    backend, form = settings.backend, str(settings.formulation)
    start = time.perf_counter()
    try:
        found = answer(question, settings, margin)
    except (SolverFailed, UnsupportedCapability, MissingBackend) as error:
        return Row(backend.name, _version(backend), form, None, time.perf_counter() - start, str(error))
    seconds = time.perf_counter() - start
    if found.stats.status is Status.INTERRUPTED or Status.INTERRUPTED.value in found.reason:
        raise KeyboardInterrupt
    return Row(backend.name, found.stats.version, form, found, seconds, found.reason)


def _version(backend: Backend) -> str | None:
    try:
        return backend.version()
    except MissingBackend:
        return None


def checked(question: Question, rows: Sequence[Row]) -> Comparison:
    """The rows of one question, those marked that contradict another.

    Raises:
        Disagreement: some do.
    """
    pairs = [(a, b) for a in rows for b in rows if _contradicts(question, a, b)]
    doubted = {id(row) for pair in pairs for row in pair}
    comparison = Comparison(question, tuple(replace(row, agrees=id(row) not in doubted) for row in rows))
    if pairs:
        proved, found = pairs[0]
        raise Disagreement(
            f"{proved.who} says {proved.verdict.name} with the bound {_shown(proved.bound)}, and {found.who} says "
            f"{found.verdict.name} with the value {_shown(found.value)} at an input that was replayed; both cannot be "
            f"true, and replaying needs no solver, so that no bound of {proved.who} may be used: ask another solver, "
            "or scale the network's weights",
            comparison,
        )
    return comparison


def _contradicts(question: Question, proved: Row, found: Row) -> bool:
    """Whether what `proved` proved is refuted by the input that `found` found."""
    if found.answer is None or proved.answer is None or found.value is None:
        return False
    if {proved.verdict, found.verdict} == {Verdict.PROVED, Verdict.REFUTED}:
        return True
    sign = _sign(question)
    beyond = sign * (found.value - proved.answer.bound)
    return sign != 0 and beyond > AGREE * (1.0 + abs(found.value))


def _sign(question: Question) -> int:
    """1 where bounds lie above values, -1 where they lie below, 0 where the two are not about the same."""
    match question:
        case Maximize() | Find():
            return 1
        case Prove(_, given) if given is not ALWAYS:
            # the bound is on the claim and `given` together, the value is the claim's alone
            return 0
        case Minimize() | Prove():
            return -1


def _loaded(backend: str | Backend, form: Formulation | Choice) -> Backend | Row:
    """The backend, or the row of one whose solver is not installed."""
    try:
        return plugins.load(backend)
    except MissingBackend as error:
        name = str(backend)
        if name.partition(":")[0] not in plugins.names():
            raise
        return Row(name, None, str(form), None, 0.0, str(error))


def _below(progress: OnProgress, step: str) -> OnProgress:
    """Progress of the work inside a row."""
    return lambda at: progress(replace(at, step=f"{step}: {at.step}"))


def finite(number: float | None) -> float | None:
    """The number, None where JSON has none for it.

    >>> finite(0.5), finite(float("inf"))
    (0.5, None)
    """
    return number if number is not None and math.isfinite(number) else None


def _shown(number: float | None) -> str:
    return "none" if number is None else f"{number:.9g}"
