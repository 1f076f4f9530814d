"""A linear, then an integer program, one per open neuron and direction.

`per_neuron`  all neurons of a stage share one loaded model
`integers`    each neuron in a model of what it depends on by more than its margin: for what linear programs left open

A solve stops as soon as the sign is known: a bound beyond the break proves, an incumbent beyond it is replayed and
refutes. Every input that the solver shows feeds the witness store. Stages are taken in order, and what was proved above
tightens the model below.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from reludsl.backend import Backend, Capability, Status
from reludsl.bounds import crown
from reludsl.expr import Expr, Input, InputVariable
from reludsl.formulate import compile_program
from reludsl.network import Stage
from reludsl.solve import Model, Outcome
from reludsl.stability.bounding import SHARE, harvesting, trusted
from reludsl.stability.run import OUT_OF_TIME, Goal, Run


def per_neuron(run: Run) -> None:
    """An LP, then an integer program, for every open goal, on one model per stage."""
    for stage in run.network.hidden:
        _stage(run, stage, slim=False)


def integers(run: Run) -> None:
    """An integer program for every open goal, over what it depends on."""
    for stage in run.network.hidden:
        _stage(run, stage, slim=True)


def _stage(run: Run, stage: Stage, *, slim: bool) -> None:
    if not len(run.ledger.goals(stage)):
        return
    solver = run.solver()
    if solver is None:
        return
    run.ledger.bounds = crown(run.network, run.domain, run.ledger.bounds)
    goals = [goal for goal in run.goals() if goal.stage is stage]
    if not goals:
        return
    with trusted(run, stage, solver):
        point = Input(run.domain)
        pre = run.network.trace(point).pre[stage.index]
        compiled = compile_program([pre], {run.network: run.ledger.bounds})
        with Model(compiled, solver, run.limits, budget=1e-2 * SHARE if slim else 1e-7) as model:
            for k, goal in enumerate(goals):
                if not run.open(goal):
                    continue
                if run.budget.spent():
                    run.unknown(goal, OUT_OF_TIME, 0.0)
                    continue
                run.tell(f"solves, {stage.name}", goal)
                start = time.perf_counter()
                missing = goal.sign * goal.threshold - run.reached(goal)
                precision = 0.01 * missing if slim and np.isfinite(missing) else None
                ask = _Ask(run, model, solver, pre[goal.neuron], point.variable, goal, precision)
                try:
                    reason = ask.decide(run.budget.share(len(goals) - k))
                except KeyboardInterrupt:
                    run.budget.end()
                    reason = Status.INTERRUPTED.value
                if reason:
                    run.unknown(goal, reason, time.perf_counter() - start)


@dataclass(frozen=True, slots=True, eq=False)
class _Ask:
    """The questions about one goal."""

    run: Run
    model: Model
    solver: Backend
    z: Expr
    variable: InputVariable
    goal: Goal
    precision: float | None

    def decide(self, seconds: float | None) -> str:
        """An empty text when the goal is settled, else why not."""
        started = time.perf_counter()

        def left() -> float | None:
            return None if seconds is None else max(0.01, seconds - (time.perf_counter() - started))

        goal, model = self.goal, self.model
        outcome = self._learn(
            model.optimise(self.z, goal.sense, relax=True, time_limit=left(), precision=self.precision)
        )
        if not self.run.open(goal):
            return ""
        if not model.binaries:
            return self._why(outcome)
        slack = model.slack()
        outcome = self._learn(
            model.optimise(
                self.z,
                goal.sense,
                time_limit=left(),
                stop_bound=goal.threshold - goal.sign * 2 * slack,
                stop_objective=goal.threshold + goal.sign * slack,
                precision=self.precision,
                on_inputs=harvesting(self.run, self.variable),
            )
        )
        if self.run.open(goal) and outcome.status is Status.STOPPED:
            # the incumbent passed the break only within the solver's tolerances: ask for the true optimum
            outcome = self._learn(
                model.optimise(
                    self.z,
                    goal.sense,
                    time_limit=left(),
                    precision=self.precision,
                    on_inputs=harvesting(self.run, self.variable),
                )
            )
        return self._why(outcome) if self.run.open(goal) else ""

    def _learn(self, outcome: Outcome) -> Outcome:
        """Witnesses and bound of an outcome; an interrupt goes on from here, once it was learned from."""
        if outcome.inputs is not None:
            self.run.ledger.witnesses.add(outcome.inputs[self.variable][None, :])
        self.run.tighten(self.goal, self.goal.sign * outcome.bound, self.solver.name)
        if outcome.status is Status.INTERRUPTED and self.run.open(self.goal):
            raise KeyboardInterrupt
        return outcome

    def _why(self, outcome: Outcome) -> str:
        goal, name = self.goal, self.solver.name
        word = "maximum" if goal.sign > 0 else "minimum"
        if not outcome.trusted or outcome.status is Status.FAILED:
            return f"{name} failed: {outcome.note or outcome.status.value}"
        if outcome.status is Status.INFEASIBLE:
            return f"{name} called a feasible program infeasible; its answer is not used"
        side = "at most" if goal.sign > 0 else "at least"
        known = goal.sign * self.run.proved(goal)
        proved = f"the {word} is proved to be {side} {known:.3g}, the break is at {goal.threshold:g}"
        seen = f", {goal.sign * self.run.reached(goal):.3g} is reached"
        if outcome.status is Status.LIMIT:
            return f"time limit; {proved}{seen}"
        if Capability.BOUND not in self.solver.capabilities:
            return f"{name} proves no bounds; use a backend that does, e.g. backend='highs'"
        if abs(outcome.bound - goal.threshold) > 10 * self.model.slack():
            return f"{proved}{seen}; {outcome.note or outcome.status.value}"
        return (
            f"the {word} is {outcome.bound:.3g}, closer to the break at {goal.threshold:g} than the solver's "
            f"tolerance {self.model.slack():.1g} can tell"
        )
