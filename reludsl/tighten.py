"""Tighter bounds of pre-activations by linear programming, layer by layer: each layer's bounds serve the next.

The linear program of an element holds the triangle relaxation of every neuron before it, all at once, which backward
linear bounds choose one line of. Every bound of a linear program is recomputed from duals (`reludsl.certificate`).
"""

from __future__ import annotations

import time

import numpy as np

from reludsl.backend import Backend, BoolArray, Limits, Sense, Status
from reludsl.bounds import Bounds, Chosen, best_is_interval, crown
from reludsl.domain import Box
from reludsl.errors import SolverFailed
from reludsl.expr import Input
from reludsl.formulate import compile_program
from reludsl.network import Stage
from reludsl.passes import Choice, Formulation
from reludsl.progress import OnProgress, Progress, silent
from reludsl.solve import Model


class Interrupted(KeyboardInterrupt):
    """The user interrupted the tightening.

    Args:
        bounds: what was proved by then.
    """

    def __init__(self, bounds: Bounds) -> None:
        super().__init__("the bounds were being tightened")
        self.bounds = bounds


def every(bounds: Bounds, stage: Stage) -> BoolArray:
    """All elements."""
    return np.ones(stage.size, dtype=np.bool_)


def unstable(bounds: Bounds, stage: Stage) -> BoolArray:
    """Hidden neurons that may cross a break."""
    return bounds.unstable(stage)


def tighten(
    bounds: Bounds,
    backend: Backend,
    *,
    limits: Limits | None = None,
    formulation: Formulation | Choice = Formulation.BIG_M,
    integers: bool = False,
    chosen: Chosen = unstable,
    until: float | None = None,
    progress: OnProgress = silent,
) -> Bounds:
    """The same bounds or tighter: maximise and minimise chosen elements over the relaxed program of what is before.

    Args:
        formulation: of the program that is relaxed; ideal cuts make it tighter than the triangles.
        integers: solve the integer program as well.
        until: a reading of `time.perf_counter`; elements that it leaves out keep the bounds they had.

    Raises:
        SolverFailed: bounds of one element contradict each other.
        Interrupted: the user interrupted it; the exception holds the bounds so far.
    """
    network = bounds.network
    point = Input(bounds.domain)
    trace = network.trace(point)
    total = sum(int(chosen(bounds, stage).sum()) for stage in network.stages)
    done = 0
    for stage in network.stages:
        bounds = crown(network, bounds.domain, bounds)
        wanted = np.flatnonzero(chosen(bounds, stage))
        if not wanted.size or best_is_interval(network, bounds.domain, stage.pre):
            continue
        expr = trace.output if stage.activation is None else trace.pre[stage.index]
        box = bounds.pre(stage)
        lower, upper = box.lower.copy(), box.upper.copy()
        stopped = False
        compiled = compile_program([expr], {network: bounds}, encodings=Choice.every(formulation).encodings)
        with Model(compiled, backend, limits, formulation) as model:
            try:
                for k in wanted.tolist():
                    left = None if until is None else until - time.perf_counter()
                    if left is not None and left <= 0:
                        break
                    # a linear program cut short is worth nothing, and the next one starts where it ended
                    share = None if left is None else left / (2 * max(1, total - done)) if integers else left / 5
                    for relax in (True, False) if integers else (True,):
                        for sense, side in ((Sense.MINIMIZE, lower), (Sense.MAXIMIZE, upper)):
                            outcome = model.optimise(expr[k], sense, relax=relax, time_limit=share)
                            side[k] = (max if sense is Sense.MINIMIZE else min)(side[k], outcome.bound)
                            if outcome.status is Status.INTERRUPTED:
                                raise KeyboardInterrupt
                    done += 1
                    progress(Progress(f"{'milp' if integers else 'lp'} bounds, {stage.name}", done, total))
            except KeyboardInterrupt:
                stopped = True
        if (lower > upper).any():
            k = int((lower > upper).argmax())
            raise SolverFailed(
                f"element {k} of {stage.name} is bounded to [{lower[k]:.9g}, {upper[k]:.9g}], which is empty; "
                "no bound of this run can be trusted: try another backend"
            )
        bounds = bounds.tightened({stage.pre: Box(lower, upper)})
        if stopped:
            raise Interrupted(bounds)
    return bounds
