"""Rungs that prove without integers: bounds tuned for what is open, and linear programs with cuts.

A goal is settled by a bound that does not pass its break. The inputs at which the linear programs have their optima are
witnesses like any other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from reludsl.backend import Backend, BoolArray, PointKind, Reply, Status
from reludsl.bounds import Bounds, crown, optimised, optimised_upper
from reludsl.domain import Box
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.expr import Expr, Input, InputVariable
from reludsl.formulate import compile_program
from reludsl.network import Stage
from reludsl.passes import Formulation
from reludsl.solve import Inputs, Model, OnInputs
from reludsl.stability.run import Goal, Run

CUTS = Formulation.parse("cuts:30:100")
"""Of the linear programs: as many rounds as gain anything."""

SHARE = 1e-4
"""Of `reludsl.passes.sparsify` in linear programs; where that is too rough, a thousandth of it."""


def tune(run: Run) -> None:
    """Optimised linear bounds of the open goals, and of the unstable neurons before them."""
    for stage in run.network.hidden:
        if not len(run.ledger.goals(stage)) or run.budget.spent():
            continue
        run.tell("optimised bounds")
        bounds = crown(run.network, run.domain, run.ledger.bounds)

        def before(now: Bounds, other: Stage, last: int = stage.index) -> BoolArray:
            return now.unstable(other) if other.index < last else np.zeros(other.size, dtype=np.bool_)

        if stage.index > 1:
            # of the first stage the interval is the best bound, and with it everything is said about the second
            bounds = optimised(run.network, run.domain, bounds, chosen=before, stop=run.budget.spent)
        run.ledger.bounds = bounds
        goals = run.ledger.goals(stage)
        if not len(goals):
            continue
        rows = np.zeros((len(goals), stage.size))
        rows[np.arange(len(goals)), goals.neuron] = goals.sign
        enough = goals.sign * goals.threshold
        found = optimised_upper(
            run.network, run.domain, stage.pre, rows, bounds.boxes, enough=enough, stop=run.budget.spent
        )
        box, rising = bounds.pre(stage), goals.sign > 0
        lower, upper = box.lower.copy(), box.upper.copy()
        np.minimum.at(upper, goals.neuron[rising], found[rising])
        np.maximum.at(lower, goals.neuron[~rising], -found[~rising])
        run.ledger.bounds = bounds.tightened({stage.pre: Box(lower, upper)})


def relax(run: Run) -> None:
    """A linear program with cuts for every open goal, over what it depends on."""
    solver = run.solver()
    if solver is None:
        return
    for stage in run.network.hidden:
        goals = [goal for goal in run.goals() if goal.stage is stage]
        if not goals or run.budget.spent():
            continue
        run.ledger.bounds = crown(run.network, run.domain, run.ledger.bounds)
        with trusted(run, stage, solver):
            point = Input(run.domain)
            pre = run.network.trace(point).pre[stage.index]
            compiled = compile_program([pre], {run.network: run.ledger.bounds})
            with (
                Model(compiled, solver, run.limits, CUTS, SHARE) as rough,
                Model(compiled, solver, run.limits, CUTS, 1e-3 * SHARE) as fine,
            ):
                for k, goal in enumerate(goals):
                    for model, part in ((rough, 0.1), (fine, 1e-3)):
                        if not run.open(goal) or run.budget.spent():
                            break
                        run.tell("lp bounds", goal)
                        missing = goal.sign * goal.threshold - run.reached(goal)
                        precision = part * missing if np.isfinite(missing) else 0.0
                        share = run.budget.share(2 * (len(goals) - k))
                        if not _bounded(run, model, pre[goal.neuron], point, goal, precision, share):
                            break


def _bounded(
    run: Run, model: Model, z: Expr, point: Input, goal: Goal, precision: float, seconds: float | None
) -> bool:
    """One linear program; whether a more precise one could settle the goal where this one does not."""
    variable = point.variable
    outcome = model.optimise(
        z,
        goal.sense,
        relax=True,
        time_limit=seconds,
        stop_bound=goal.threshold,
        precision=precision,
        on_inputs=harvesting(run, variable),
    )
    if outcome.inputs is not None:
        run.ledger.witnesses.add(outcome.inputs[variable][None, :])
    run.tighten(goal, goal.sign * outcome.bound, model.backend.name)
    if outcome.status is Status.INTERRUPTED:
        raise KeyboardInterrupt
    return goal.sign * (outcome.bound - goal.threshold) <= 20 * precision


def harvesting(run: Run, variable: InputVariable) -> OnInputs:
    """Takes the inputs that a solver shows as witnesses."""

    def harvest(kind: PointKind, inputs: Inputs) -> Reply:
        run.ledger.witnesses.add(inputs[variable][None, :])
        return None

    return harvest


@contextmanager
def trusted(run: Run, stage: Stage, solver: Backend) -> Iterator[None]:
    """Where a solver contradicts what was seen, nothing that it said in this stage is used; why, is noted."""
    before, start = run.ledger.bounds, time.perf_counter()
    reason = ""
    try:
        yield
    except InvalidInput as error:
        reason = f"{solver.name} gave up: {error}"
    except SolverFailed as error:
        run.ledger.bounds = before
        reason = f"{solver.name} cannot be trusted here: {error}"
    if reason:
        for goal in run.goals():
            if goal.stage is stage:
                run.unknown(goal, reason, time.perf_counter() - start)
