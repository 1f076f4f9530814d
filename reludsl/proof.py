"""Does any input satisfy a condition? Cheap ways first, and every answer shown or proved.

    domains    a case whose inputs have no room never occurs
    search     an input is looked for (`reludsl.falsify`), and replayed
    bounds     linear relaxation: the slack of a case stays below zero
    splitting  the same on ever smaller boxes, for inputs of few coordinates (`reludsl.splitting`)
    relaxation the same by linear programs, with tighter bounds of the neurons that may switch
    solver     one program per case that is left, on a shared build: max t subject to t <= slack

The program of a case is feasible whatever the condition says, since t may be as negative as it must: a case is refuted
by a *bound* on t, never by the word infeasible. What comparisons of inputs alone ask stays a row of its own, so that
they cost the bound nothing; where such rows are called contradictory, they are taken into the slack too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from reludsl.backend import Backend, Limits, PointKind, Reply, Sense, Status, Stop
from reludsl.bounds import Bounds
from reludsl.cases import Case, cases, conjuncts
from reludsl.errors import InvalidInput
from reludsl.expr import Application, Expr, InputVariable, SlackVariable
from reludsl.falsify import Hit, Hunt, Search
from reludsl.formulate import Compiled, compile_program
from reludsl.logic import ALWAYS, AnyOf, Atoms, Condition, all_of
from reludsl.passes import Choice, Encodings, Form, Formulation
from reludsl.progress import OnProgress, Progress, silent
from reludsl.replay import Evaluator
from reludsl.solve import TOLERANCE, Inputs, Model, Outcome
from reludsl.splitting import Splitting, application_of
from reludsl.tighten import tighten

SEARCH_SHARE = 0.35
"""Share of a time limit that the search may take before bounds are solved for."""

SPLIT_SHARE = 0.8
"""Share of what is left of a time limit for splitting: where it applies, it does better than a solver."""

MOST_BOXES = 20_000
"""Boxes per case without a time limit; a minute or so on networks of some hundred neurons."""

SLICE = 1.0
"""Seconds of splitting between rounds of the search."""

TIGHTENING = Formulation(Form.CUTS, rounds=2, per_round=50)
"""How the relaxations are made that bounds of neurons come from: two rounds bring most of what cuts bring."""

TIGHTEN_SHARE = 0.4
"""Share of what is left of a time limit that tightening the bounds of neurons may take."""

LONGEST_TIGHTENING = 20.0
"""Seconds of it at most."""

LONGEST_SEARCH = 1.5
"""Seconds of it at most: what is there to be found was found in one, on everything measured."""

ROUNDS = 100
"""Rounds of the search at most."""

FEW_BINARIES = 24
"""Neurons that may switch up to which a solver is asked at once: it takes less time than a long search."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a question is answered.

    Args:
        time_limit: seconds for all of it.
        profile: the solver's settings for network models (see `reludsl.backend.Limits`).
        search: look for an input before anything is solved for.
    """

    backend: Backend
    time_limit: float | None = None
    threads: int = 1
    seed: int = 0
    formulation: Formulation | Choice = Formulation.BIG_M
    profile: bool = True
    search: bool = True
    progress: OnProgress = silent

    @property
    def encodings(self) -> Encodings:
        """How layers of chosen types are encoded."""
        return Choice.every(self.formulation).encodings

    @property
    def limits(self) -> Limits:
        """What a session is opened with."""
        return Limits(threads=self.threads, seed=self.seed, profile=self.profile)


@dataclass(slots=True, eq=False)
class Tally:
    """What was spent, added up while a question is answered."""

    build_seconds: float = 0.0
    solve_seconds: float = 0.0
    nodes: int = 0
    boxes: int = 0
    binaries: int = 0
    binaries_before: int = 0
    cases: int = 0
    solved: int = 0
    status: Status = Status.OPTIMAL
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """What came of looking for an input.

    Args:
        hit: the input; None when none was found.
        bound: proved: nowhere does the condition hold with more slack.
        none: proved: no input satisfies the condition.
        stage: what decided, or what the search ended at.
        reason: in words.
    """

    hit: Hit | None
    bound: float
    none: bool
    stage: str
    reason: str
    tally: Tally


@dataclass(slots=True, eq=False)
class _Open:
    """A case that is neither refuted nor found, with the bound proved so far."""

    case: Case
    bound: float = np.inf
    reason: str = ""


def seek(condition: Condition, settings: Settings) -> Sought:
    """Look for an input that satisfies a condition, or prove that there is none.

    Raises:
        InvalidInput: the condition mentions no input.
    """
    if isinstance(condition, AnyOf) and not condition.parts:
        return Sought(None, -np.inf, True, "domains", "no input satisfies what is never true", Tally())
    if not any(atoms.expr.inputs() for atoms in condition.atoms):
        raise InvalidInput(
            "the question mentions no input, so there is nothing to look for; compare expressions of an input, "
            "e.g. net(rd.box(0, 1, net.input_shape))[0] <= 1"
        )
    seeker = _Seeker(condition, settings)
    try:
        return seeker.run()
    except KeyboardInterrupt:
        return seeker.ended(Status.INTERRUPTED.value)


class _Seeker:
    def __init__(self, condition: Condition, settings: Settings) -> None:
        self.settings = settings
        self.start = time.perf_counter()
        self.until = None if settings.time_limit is None else self.start + settings.time_limit
        found = cases(condition)
        self.open = [_Open(case) for case in found if not case.empty]
        self.search = Search([o.case for o in self.open], settings.seed)
        self.bound = -np.inf
        self.stage = "domains"
        self.waiting = 0
        self.tally = Tally(cases=len(found))

    def run(self) -> Sought:
        if not self.open:
            return self._answer("the inputs have no room for any case")
        hit = self._unconditional()
        if hit is None and self.settings.search:
            hit = self._look(1)
        if hit is not None:
            return self._found(hit)
        groups = self._by_bounds()
        if not self.open:
            return self._answer("bounds by linear relaxation leave no room")
        if any(group.unstable > FEW_BINARIES for group in groups):
            hit = self._look(ROUNDS) if self.settings.search else None
            hit = hit or self._by_splitting()
            if hit is not None:
                return self._found(hit)
        if not self.open:
            return self._answer("bounds by linear relaxation leave no room on any part of the domain")
        groups = self._by_relaxation(groups)
        self.waiting = len(self.open)
        for group in groups:
            hit = self._solve(group)
            if hit is not None:
                return self._found(hit)
        return self.ended("the solver's bounds leave no room" if not self.open else "")

    def _unconditional(self) -> Hit | None:
        """A case that its domains say completely holds at each of their points."""
        for entry in self.open:
            if not any(True for _ in entry.case.goal.atoms):
                middles = {v: 0.5 * (v.domain.enclosure.lower + v.domain.enclosure.upper) for v in entry.case.inputs}
                hit = self._hunt(entry).replay({v: v.domain.project(x[None, :])[0] for v, x in middles.items()})
                if hit is not None:
                    return hit
        return None

    def _hunt(self, entry: _Open) -> Hunt:
        evaluator = Evaluator(atoms.expr for atoms in entry.case.goal.atoms)
        return Hunt(entry.case, evaluator, np.random.default_rng(self.settings.seed))

    def _left(self) -> float | None:
        return None if self.until is None else max(0.0, self.until - time.perf_counter())

    def _late(self) -> bool:
        return self.until is not None and time.perf_counter() >= self.until

    def _look(self, rounds: int) -> Hit | None:
        self.stage = "search"
        limit = self.settings.time_limit
        longest = time.perf_counter() + LONGEST_SEARCH
        end = longest if limit is None else min(longest, self.start + SEARCH_SHARE * limit)
        self._progress("searching")
        return self.search.run(rounds, end)

    def _refuted(self, entry: _Open, bound: float) -> None:
        self.bound = max(self.bound, bound)
        self.open.remove(entry)
        self.search.drop(entry.case)

    def _by_bounds(self) -> list[_Group]:
        """Compile the open cases, one program per group of equal domains; refute those that bounds refute."""
        self.stage = "bounds"
        found: dict[tuple[object, ...], _Group] = {}
        for entry in list(self.open):
            if not list(entry.case.goal.atoms):
                continue
            hard, soft = _split(entry.case.goal)
            key = (*entry.case.inputs, *hard)
            found.setdefault(key, _Group(hard, [], self.settings.encodings)).members.append(
                (entry, SlackVariable(soft))
            )
        groups = []
        for group in found.values():
            if self._late():
                break
            began = time.perf_counter()
            self.tally.binaries_before += group.alternatives
            self.tally.build_seconds += time.perf_counter() - began
            for entry, slack in group.members:
                entry.bound = group.range_of(slack)
                if _below(entry.bound, slack.condition):
                    self._refuted(entry, entry.bound)
            group.members = [m for m in group.members if m[0] in self.open]
            if group.members:
                groups.append(group)
        return groups

    def _by_splitting(self) -> Hit | None:
        """Cut up the domains of the cases that are about one network on an input of few coordinates."""
        self.stage = "splitting"
        parts = {
            id(entry): Splitting(entry.case, self._hunt(entry))
            for entry in sorted(self.open, key=lambda o: o.bound)
            if application_of(entry.case) is not None
        }
        now = time.perf_counter()
        end = None if self.until is None else now + SPLIT_SHARE * (self.until - now)
        while parts and (end is None or time.perf_counter() < end):
            for entry in [o for o in self.open if id(o) in parts]:
                part = parts[id(entry)]
                slice_ = time.perf_counter() + SLICE
                hit = part.run(MOST_BOXES, slice_ if end is None else min(end, slice_))
                self._progress("splitting")
                entry.bound = min(entry.bound, part.bound)
                if hit is not None or not part.left:
                    self.tally.boxes += part.boxes
                if hit is not None:
                    return hit
                if not part.left:
                    self._refuted(entry, entry.bound)
                if not part.left or part.ended or (end is None and part.boxes >= MOST_BOXES):
                    del parts[id(entry)]
            # a point that lies nowhere special is found by searching, not by cutting
            hit = self.search.run(2, end) if self.settings.search and parts else None
            if hit is not None:
                return hit
        self.tally.boxes += sum(part.boxes for part in parts.values())
        return None

    def _progress(self, step: str) -> None:
        self.settings.progress(Progress(step, self.tally.cases - len(self.open), self.tally.cases))

    def _by_relaxation(self, groups: list[_Group]) -> list[_Group]:
        """Tighten the bounds of the neurons that may switch, then bound every case by its linear relaxation."""
        self.stage = "relaxation"
        left: list[_Group] = []
        for group in groups:
            group.members = [m for m in group.members if m[0] in self.open]
            if not group.members:
                continue
            began = time.perf_counter()
            share = None if self.until is None else (self.until - began) * TIGHTEN_SHARE / len(groups)
            end = began + min(LONGEST_TIGHTENING, share if share is not None else LONGEST_TIGHTENING)
            group = group.tightened(self.settings, end)
            self.tally.solve_seconds += time.perf_counter() - began
            with group.model(self.settings) as model:
                for entry, slack in list(group.members):
                    time_limit = None if self.until is None else max(0.0, self.until - time.perf_counter()) / 5
                    outcome = model.optimise(_objective(slack), Sense.MAXIMIZE, relax=True, time_limit=time_limit)
                    self._note(outcome)
                    if outcome.status is Status.INTERRUPTED:
                        raise KeyboardInterrupt
                    entry.bound = min(entry.bound, group.range_of(slack), outcome.bound)
                    if _below(entry.bound, slack.condition):
                        self._refuted(entry, entry.bound)
            group.members = [m for m in group.members if m[0] in self.open]
            if group.members:
                left.append(group)
        return left

    def _share(self) -> float | None:
        """Time for the next case: an equal share of what is left, or a third where the equal share is less.

        A claim is proved only when every case is; the easy ones come first, and leave their time to the others.
        """
        left = self._left()
        return None if left is None else max(left / (1 + max(0, self.waiting)), left / 3)

    def _solve(self, group: _Group) -> Hit | None:
        """One program per open case of a group, the most nearly refuted first."""
        self.stage = "solver"
        began, inside = time.perf_counter(), self.tally.solve_seconds
        with group.model(self.settings) as model:
            for entry, slack in sorted(group.members, key=lambda m: m[0].bound):
                if self._late():
                    break
                self.waiting -= 1
                self._progress("solving")
                hit = self._solve_case(model, entry, slack, self._share())
                if hit is not None:
                    return hit
            self.tally.binaries += model.binaries
        self.tally.build_seconds += time.perf_counter() - began - (self.tally.solve_seconds - inside)
        return None

    def _solve_case(self, model: Model, entry: _Open, slack: SlackVariable, share: float | None) -> Hit | None:
        hunt = self._hunt(entry)
        listener = _Listener(hunt)
        self.tally.solved += 1
        outcome = model.optimise(_objective(slack), Sense.MAXIMIZE, time_limit=share, below=0.0, on_inputs=listener)
        self._note(outcome)
        if listener.hit is not None:
            return listener.hit
        if outcome.status is Status.INFEASIBLE and entry.case.goal is not slack.condition:
            return self._solve_soft(entry, share)
        entry.bound = min(entry.bound, outcome.bound)
        if _below(entry.bound, slack.condition):
            self._refuted(entry, entry.bound)
            return None
        hit = None if outcome.inputs is None else self._from(hunt, outcome.inputs)
        if hit is None:
            entry.reason = _why(outcome, entry.bound, hunt.best)
        if outcome.status is Status.INTERRUPTED and hit is None:
            raise KeyboardInterrupt
        return hit

    def _solve_soft(self, entry: _Open, share: float | None) -> Hit | None:
        """The solver says that the input rows contradict each other: show it, with everything in the slack."""
        slack = SlackVariable(entry.case.goal)
        group = _Group((), [(entry, slack)], self.settings.encodings)
        with group.model(self.settings) as model:
            return self._solve_case(model, entry, slack, share)

    def _from(self, hunt: Hunt, inputs: Inputs) -> Hit | None:
        """A hit at the solver's point, or near it: its tolerances may have put it just outside."""
        point = {v: np.asarray(inputs.get(v, v.domain.project(np.zeros((1, v.size)))[0])) for v in hunt.inputs}
        _, hit = hunt.look({v: x[None, :] for v, x in point.items()})
        return hit or hunt.walk(point, 4, self.until)

    def _note(self, outcome: Outcome) -> None:
        self.tally.nodes += outcome.nodes
        self.tally.solve_seconds += outcome.seconds
        self.tally.status = outcome.status
        if outcome.note and outcome.note not in self.tally.notes:
            self.tally.notes.append(outcome.note)

    def _found(self, hit: Hit) -> Sought:
        return Sought(hit, np.inf, False, self.stage, "", self.tally)

    def _answer(self, reason: str) -> Sought:
        bound = max([self.bound, *(o.bound for o in self.open)])
        return Sought(None, float(bound), not self.open, self.stage, reason, self.tally)

    def ended(self, reason: str) -> Sought:
        """The answer as it stands, with the reasons of what is open."""
        if not self.open:
            return self._answer(reason)
        of = f"{len(self.open)} of {self.tally.cases} cases stay open" if self.tally.cases > 1 else "it stays open"
        late = "the time limit was reached" if self._late() else ""
        why = next((o.reason for o in self.open if o.reason), "") or late
        return self._answer(": ".join(part for part in (of, reason or why) if part))


@dataclass(slots=True, eq=False)
class _Group:
    """Cases over the same inputs and input rows: compiled together, each with its slack."""

    hard: tuple[Condition, ...]
    members: list[tuple[_Open, SlackVariable]]
    encodings: Encodings = field(default_factory=dict)
    known: Mapping[Application, Bounds] = field(default_factory=dict)
    _compiled: Compiled | None = None

    @property
    def compiled(self) -> Compiled:
        """The program of all slacks, made when it is first asked for."""
        if self._compiled is None:
            exprs = [Expr.of(slack) for _, slack in self.members]
            given = all_of(*self.hard) if self.hard else ALWAYS
            self._compiled = compile_program(exprs, self.known, given, self.encodings)
        return self._compiled

    def tightened(self, settings: Settings, until: float) -> _Group:
        """The same cases with tighter bounds of the neurons in every network application."""
        known: dict[Application, Bounds] = {
            application: tighten(
                bounds,
                settings.backend,
                limits=settings.limits,
                formulation=Choice(TIGHTENING, encodings=self.encodings),
                until=until,
                progress=settings.progress,
            )
            for application, bounds in self.compiled.bounds.items()
        }
        return _Group(self.hard, list(self.members), self.encodings, known)

    @property
    def unstable(self) -> int:
        """Neurons that may switch, in every network application."""
        return sum(
            int(bounds.unstable(stage).sum())
            for bounds in self.compiled.bounds.values()
            for stage in bounds.network.hidden
        )

    @property
    def alternatives(self) -> int:
        """Choices in the program before any is pruned."""
        return self.compiled.program.disjunction_count + self.compiled.program.integers

    def range_of(self, slack: SlackVariable) -> float:
        """Upper bound of a case's slack by linear relaxation."""
        where = self.compiled.position[slack]
        return float(self.compiled.program.upper[where.start])

    def model(self, settings: Settings) -> Model:
        return Model(self.compiled, settings.backend, settings.limits, settings.formulation)


@dataclass(slots=True, eq=False)
class _Listener:
    """Replays what the solver finds on its way, and stops it at the first that counts."""

    hunt: Hunt
    hit: Hit | None = None

    def __call__(self, kind: PointKind, inputs: Inputs) -> Reply:
        point = {v: inputs.get(v) for v in self.hunt.inputs}
        if any(x is None for x in point.values()):
            return None
        _, self.hit = self.hunt.look({v: np.asarray(x)[None, :] for v, x in point.items()})
        return None if self.hit is None else Stop()


def _objective(slack: SlackVariable) -> Expr:
    """What is maximised: the slack, which for a single comparison is the expression itself."""
    condition = slack.condition
    if isinstance(condition, Atoms) and len(condition) == 1:
        return -condition.expr
    return Expr.of(slack)


def _split(goal: Condition) -> tuple[tuple[Condition, ...], Condition]:
    """Comparisons of inputs alone, and the rest, which is never empty."""
    parts = conjuncts(goal)
    soft = [p for p in parts if not _of_inputs(p)]
    if not soft:
        return (), goal
    # a row on other inputs would stand in a part of the program that nobody solves, contradictory or not
    met = {v for p in soft for atoms in p.atoms for v in atoms.expr.inputs()}
    hard = tuple(p for p in parts if _of_inputs(p) and any(not met.isdisjoint(a.expr.inputs()) for a in p.atoms))
    return hard, all_of(*(p for p in parts if p not in hard))


def _of_inputs(part: Condition) -> bool:
    return (
        isinstance(part, Atoms)
        and part.every
        and all(isinstance(variable, InputVariable) for variable in part.expr.terms)
    )


def _below(bound: float, condition: Condition) -> bool:
    """Whether a bound on the slack says that the condition never holds: strict comparisons need more than zero."""
    return bound < 0 or (bound == 0 and all(atoms.strict for atoms in condition.atoms))


def _why(outcome: Outcome, bound: float, best: float) -> str:
    if outcome.status is Status.OPTIMAL and bound < 100 * TOLERANCE:
        return (
            f"the largest slack is between {best:.3g} and {bound:.3g}, zero within the solver's tolerance: "
            "ask with a margin, e.g. margin=1e-3, to leave the boundary out"
        )
    if outcome.status is Status.OPTIMAL:
        return outcome.note or f"the solver's bound is {bound:.3g}, but none of its points holds when replayed"
    return outcome.note or outcome.status.value
