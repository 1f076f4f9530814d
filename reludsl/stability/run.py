"""One run of certification: its ledger, its budget, its solver, and the rungs that it climbs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from reludsl import plugins
from reludsl.backend import Backend, Limits, Sense
from reludsl.domain import Box, Domain
from reludsl.errors import MissingBackend, SolverFailed
from reludsl.network import Network, Stage
from reludsl.progress import OnProgress, Progress
from reludsl.stability.budget import Budget
from reludsl.stability.facts import Ledger, Rung, Unknown

SAVE_EVERY = 5.0
"""Seconds between two checkpoints of a run that is at work."""


OUT_OF_TIME = "the time limit, or an interrupt, came before it"
"""Why a goal is open that nobody got to."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing to be shown or refuted: `sign * z[neuron] > sign * threshold` somewhere on the domain.

    Args:
        stage: of the neuron.
        neuron: its place.
        sign: 1 to pass the break upwards, -1 downwards.
        threshold: the break.
    """

    stage: Stage
    neuron: int
    sign: float
    threshold: float

    @property
    def sense(self) -> Sense:
        """The direction in which the pre-activation is optimised."""
        return Sense.MAXIMIZE if self.sign > 0 else Sense.MINIMIZE


@dataclass(slots=True, eq=False)
class Run:
    """What the rungs share.

    Args:
        ledger: bounds and witnesses, and what follows from them.
        backend: a solver by name or as it is; None for the first that is installed.
        save: writes a checkpoint; does nothing by default.
    """

    ledger: Ledger
    domain: Domain
    rng: np.random.Generator
    budget: Budget
    backend: Backend | str | None
    limits: Limits
    progress: OnProgress
    save: Callable[[Ledger], None] = lambda ledger: None
    _saved: float = field(default_factory=time.perf_counter)
    _solver: Backend | None = None

    @property
    def network(self) -> Network:
        return self.ledger.bounds.network

    def tell(self, step: str, goal: Goal | None = None) -> None:
        """Say where the run stands, and save it now and then."""
        decided = self.ledger.decided()
        bound = None if goal is None else self.proved(goal) - goal.sign * goal.threshold
        self.progress(Progress(step, decided, self.network.neurons, self.budget.left(), bound))
        if time.perf_counter() - self._saved >= SAVE_EVERY:
            self.save(self.ledger)
            self._saved = time.perf_counter()

    @contextmanager
    def rung(self, name: str) -> Iterator[None]:
        """One step of the ladder, measured. A keyboard interrupt ends it, and the budget with it; what was proved by
        then stays."""
        before, start = self.ledger.decided(), time.perf_counter()
        try:
            self.tell(name)
        except KeyboardInterrupt:
            self.budget.end()
        try:
            yield
        except KeyboardInterrupt:
            self.budget.end()
            # it may have come between a value and the input that belongs to it
            self.ledger.witnesses.replay()
        took = time.perf_counter() - start
        self.ledger.rungs.append(Rung(name, self.ledger.decided() - before, took))

    @property
    def done(self) -> bool:
        """No goal is left, or no time."""
        return self.budget.spent() or not any(len(self.ledger.goals(stage)) for stage in self.network.hidden)

    def goals(self) -> list[Goal]:
        """All goals that are left, stage by stage."""
        found: list[Goal] = []
        for stage in self.network.hidden:
            goals = self.ledger.goals(stage)
            entries = zip(goals.neuron.tolist(), goals.sign.tolist(), goals.threshold.tolist())
            found += [Goal(stage, neuron, sign, threshold) for neuron, sign, threshold in entries]
        return found

    def open(self, goal: Goal) -> bool:
        """The neuron is undecided, and nothing says yet whether it passes this break in this direction."""
        goals = self.ledger.goals(goal.stage)
        same = (goals.neuron == goal.neuron) & (goals.sign == goal.sign) & (goals.threshold == goal.threshold)
        return bool(same.any())

    def reached(self, goal: Goal) -> float:
        """The most extreme value seen in the goal's direction, times its sign; -inf before any."""
        seen = self.ledger.witnesses.stages[goal.stage.index]
        i = goal.neuron
        return float(seen.high[i] - seen.high_error[i] if goal.sign > 0 else -(seen.low[i] + seen.low_error[i]))

    def proved(self, goal: Goal) -> float:
        """The bound proved in the goal's direction, times its sign."""
        box = self.ledger.bounds.pre(goal.stage)
        return float(box.upper[goal.neuron] if goal.sign > 0 else -box.lower[goal.neuron])

    def tighten(self, goal: Goal, bound: float, prover: str) -> None:
        """Use a proved bound on sign * z.

        Raises:
            SolverFailed: a witness lies beyond it, so that nothing of this solver may be used.
        """
        if (reached := self.reached(goal)) > bound:
            raise SolverFailed(
                f"{prover} proved {goal.sign * bound:.9g} as a bound of neuron {goal.neuron} of {goal.stage.name}, but "
                f"{goal.sign * reached:.9g} is reached"
            )
        if bound >= self.proved(goal):
            return
        box = self.ledger.bounds.pre(goal.stage)
        lower, upper = box.lower.copy(), box.upper.copy()
        if goal.sign > 0:
            upper[goal.neuron] = bound
        else:
            lower[goal.neuron] = -bound
        self.ledger.bounds = self.ledger.bounds.tightened({goal.stage.pre: Box(lower, upper)})

    def unknown(self, goal: Goal, reason: str, seconds: float) -> None:
        """Note why a goal is open, and what was spent on it."""
        key = (goal.stage.index, goal.neuron)
        before = self.ledger.unknown.get(key)
        self.ledger.unknown[key] = Unknown(reason, seconds + (before.seconds if before else 0.0))

    def solver(self) -> Backend | None:
        """The solver, or None when none was named and none is installed; every goal then has that reason.

        Raises:
            MissingBackend: the solver that was named is not installed.
        """
        if self._solver is None:
            try:
                self._solver = plugins.default() if self.backend is None else plugins.load(self.backend)
                self._solver.version()
            except MissingBackend as error:
                if self.backend is not None:
                    raise
                for goal in self.goals():
                    self.unknown(goal, f"no solver is installed: {error}", 0.0)
                return None
        return self._solver
