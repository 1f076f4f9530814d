"""Rungs that look for witnesses: jumps to the maximiser of the gradient, Adam ascent, walks over linear regions.

None of them proves that a neuron is stable. Each gets half of the time that is left, so that what can prove has some.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from reludsl.backend import FloatArray
from reludsl.stability.run import Run
from reludsl.walk import Walker
from reludsl.witness import ascend, jump, seeds

POOL = 200
"""Points of each kind among which walks begin."""


def _halfway(run: Run) -> Callable[[], bool]:
    """True once half of the time that is left now is used up."""
    left, start = run.budget.left(), time.perf_counter()
    return lambda: left is not None and time.perf_counter() - start >= 0.5 * left


def jumps(run: Run, pool: FloatArray, repeats: int = 6) -> None:
    """Jump from random points of a pool, several times."""
    stop = _halfway(run)
    for stage in run.network.hidden:
        for _ in range(repeats):
            goals = run.ledger.goals(stage)
            if not len(goals) or stop():
                break
            run.tell("vertex jumps")
            jump(run.ledger.witnesses, goals, pool[run.rng.integers(0, len(pool), len(goals))], stop=stop)


def ascents(run: Run, batch: int = 16) -> None:
    """Projected Adam ascent from many starts, some goals at a time."""
    stop = _halfway(run)
    for stage in run.network.hidden:
        goals = run.ledger.goals(stage)
        for start in range(0, len(goals), batch):
            if stop():
                return
            run.tell("ascent")
            chosen = np.zeros(len(goals), dtype=np.bool_)
            chosen[start : start + batch] = True
            ascend(run.ledger.witnesses, goals.take(chosen), run.rng, stop=stop)


def walks(run: Run, starts: int = 16, steps: int = 60) -> None:
    """For every goal walks from region to region: from the best input known, then from the best of a random pool.

    The best input known is where searches ended, and where walks from it soon end too; the others lead elsewhere.
    """
    solver = run.solver()
    if solver is None:
        return
    stop = _halfway(run)
    pool = seeds(run.network, run.domain, run.rng, POOL, np.zeros(0, dtype=np.int64))
    for goal in run.goals():
        if stop():
            return
        if not run.open(goal) or not np.isfinite(run.reached(goal)):
            continue
        seen = run.ledger.witnesses.stages[goal.stage.index]
        best = (seen.high_at if goal.sign > 0 else seen.low_at)[goal.neuron]
        walker = Walker(run.network, run.domain, goal.stage, goal.neuron, goal.sign, solver, run.limits)
        order = np.argsort(-walker.value(pool), kind="stable")[: starts - 1]
        for start in (best, *pool[order]):
            run.tell("walks", goal)
            for point in walker.from_point(start, steps, run.budget.left):
                run.ledger.witnesses.add(point[None, :])
                if stop() or not run.open(goal):
                    break
            if stop() or not run.open(goal):
                break
