"""What witnesses and bounds leave open: an LP, then an integer program, per open neuron and direction.

All neurons of a stage share one loaded model. Stages are taken in order, and what was proved above tightens
the model below. A solve stops as soon as the sign is known: a bound beyond the break proves, an incumbent
beyond it is replayed and refutes. Every input that the solver shows feeds the witness store.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from reludsl import plugins
from reludsl.backend import Backend, Capability, Limits, PointKind, Reply, Sense, Status
from reludsl.bounds import crown
from reludsl.domain import Box, Domain
from reludsl.errors import InvalidInput, MissingBackend, SolverFailed
from reludsl.expr import Expr, Input, InputVariable
from reludsl.formulate import compile_program
from reludsl.network import Stage
from reludsl.progress import OnProgress, Progress
from reludsl.solve import Inputs, Model, Outcome
from reludsl.stability.facts import UNKNOWN, Ledger, Unknown


@dataclass(slots=True)
class Budget:
    """A start and a number of seconds; None is without limit. A keyboard interrupt ends it too."""

    start: float
    seconds: float | None

    def end(self) -> None:
        """No time is left from now on."""
        self.seconds = 0.0

    def left(self) -> float | None:
        """Seconds left, at least 0; None without limit."""
        if self.seconds is None:
            return None
        return max(0.0, self.seconds - (time.perf_counter() - self.start))

    def spent(self) -> bool:
        """No time is left."""
        return self.left() == 0.0

    def share(self, parts: int) -> float | None:
        """An equal share of what is left."""
        left = self.left()
        return None if left is None else left / max(parts, 1)


def decide_by_solving(
    ledger: Ledger,
    domain: Domain,
    backend: Backend | str | None,
    limits: Limits,
    budget: Budget,
    progress: OnProgress,
) -> None:
    """Solves for every open neuron and direction; the ledger takes the bounds, witnesses and reasons."""
    network = ledger.bounds.network
    try:
        solver = plugins.default() if backend is None else plugins.load(backend)
        solver.version()
    except MissingBackend as error:
        if backend is not None:
            raise
        _give_up(ledger, f"no solver is installed: {error}")
        return
    for stage in network.hidden:
        if not len(ledger.goals(stage)):
            continue
        ledger.bounds = crown(network, domain, ledger.bounds)
        if len(ledger.goals(stage)):
            _Stage(ledger, domain, solver, limits, budget, progress, stage).run()


def _give_up(ledger: Ledger, reason: str) -> None:
    for stage in ledger.bounds.network.hidden:
        for neuron in ledger.goals(stage).neuron.tolist():
            ledger.unknown[stage.index, neuron] = Unknown(reason, 0.0)


@dataclass(slots=True, eq=False)
class _Stage:
    ledger: Ledger
    domain: Domain
    backend: Backend
    limits: Limits
    budget: Budget
    progress: OnProgress
    stage: Stage

    def run(self) -> None:
        network = self.ledger.bounds.network
        x = Input(self.domain)
        pre = network.trace(x).pre[self.stage.index]
        compiled = compile_program([pre], {network: self.ledger.bounds})
        goals, before = self.ledger.goals(self.stage), self.ledger.bounds
        with Model(compiled, self.backend, self.limits) as model:
            for k in range(len(goals)):
                neuron, sign = int(goals.neuron[k]), float(goals.sign[k])
                start = time.perf_counter()
                try:
                    self.progress(Progress(f"solves, {self.stage.name}", self.ledger.decided(), network.neurons))
                    if not self._open(neuron):
                        continue
                    if self.budget.spent():
                        self._unknown(neuron, "the time limit was reached before it", 0.0)
                        continue
                    share = self.budget.share(len(goals) - k)
                    threshold = float(goals.threshold[k])
                    reason = self._decide(model, pre[neuron], x.variable, neuron, sign, threshold, share)
                except InvalidInput as error:
                    reason = f"{self.backend.name} gave up: {error}"
                except SolverFailed as error:
                    # what this solver said in this stage contradicts what was seen: none of it is used
                    self.ledger.bounds = before
                    for other in np.unique(goals.neuron).tolist():
                        spent = time.perf_counter() - start if other == neuron else 0.0
                        self._unknown(other, f"{self.backend.name} cannot be trusted here: {error}", spent)
                    return
                except KeyboardInterrupt:
                    self.budget.end()
                    reason = Status.INTERRUPTED.value
                if reason:
                    self._unknown(neuron, reason, time.perf_counter() - start)

    def _open(self, neuron: int) -> bool:
        return bool(self.ledger.pieces(self.stage)[neuron] == UNKNOWN)

    def _unknown(self, neuron: int, reason: str, seconds: float) -> None:
        before = self.ledger.unknown.get((self.stage.index, neuron))
        spent = seconds + (before.seconds if before else 0.0)
        self.ledger.unknown[self.stage.index, neuron] = Unknown(reason, spent)

    def _decide(
        self,
        model: Model,
        z: Expr,
        variable: InputVariable,
        neuron: int,
        sign: float,
        threshold: float,
        seconds: float | None,
    ) -> str:
        """An empty text when the goal is settled, else why not."""
        sense = Sense.MAXIMIZE if sign > 0 else Sense.MINIMIZE
        started = time.perf_counter()

        def left() -> float | None:
            return None if seconds is None else max(0.01, seconds - (time.perf_counter() - started))

        def harvest(kind: PointKind, inputs: Inputs) -> Reply:
            self.ledger.witnesses.add(inputs[variable][None, :])
            return None

        def learn(outcome: Outcome) -> bool:
            if outcome.inputs is not None:
                self.ledger.witnesses.add(outcome.inputs[variable][None, :])
            self._tighten(neuron, sign, outcome.bound)
            return self._settled(neuron, sign, threshold)

        outcome = model.optimise(z, sense, relax=True, time_limit=left())
        if outcome.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        if learn(outcome) or not model.binaries:
            return "" if self._settled(neuron, sign, threshold) else self._why(outcome, sign, threshold, model)
        slack = model.slack()
        target = threshold + sign * slack
        outcome = model.optimise(
            z,
            sense,
            time_limit=left(),
            stop_bound=threshold - sign * 2 * slack,
            stop_objective=target,
            on_inputs=harvest,
        )
        if learn(outcome):
            return ""
        if outcome.status is Status.STOPPED:
            # the incumbent passed the break only within the solver's tolerances: ask for the true optimum
            outcome = model.optimise(z, sense, time_limit=left(), on_inputs=harvest)
            if learn(outcome):
                return ""
        if outcome.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return self._why(outcome, sign, threshold, model)

    def _tighten(self, neuron: int, sign: float, bound: float) -> None:
        """Use a proved bound.

        Raises:
            SolverFailed: a witness lies beyond it, so that nothing of this solver may be used.
        """
        box = self.ledger.bounds.pre(self.stage)
        seen = self.ledger.witnesses.stages[self.stage.index]
        reached = seen.high[neuron] - seen.high_error[neuron] if sign > 0 else seen.low[neuron] + seen.low_error[neuron]
        if sign * reached > sign * bound:
            raise SolverFailed(f"it proved {bound:.9g} as a bound of neuron {neuron}, but {reached:.9g} is reached")
        lower, upper = box.lower.copy(), box.upper.copy()
        if sign > 0 and bound < upper[neuron]:
            upper[neuron] = bound
        elif sign < 0 and bound > lower[neuron]:
            lower[neuron] = bound
        else:
            return
        self.ledger.bounds = self.ledger.bounds.tightened({self.stage.pre: Box(lower, upper)})

    def _settled(self, neuron: int, sign: float, threshold: float) -> bool:
        """The neuron is decided, or this direction cannot pass the break, or it was seen to."""
        if not self._open(neuron):
            return True
        goals = self.ledger.goals(self.stage)
        same = (goals.neuron == neuron) & (goals.sign == sign) & (goals.threshold == threshold)
        return not bool(same.any())

    def _why(self, outcome: Outcome, sign: float, threshold: float, model: Model) -> str:
        word = "maximum" if sign > 0 else "minimum"
        if not outcome.trusted or outcome.status is Status.FAILED:
            return f"{self.backend.name} failed: {outcome.note or outcome.status.value}"
        if outcome.status is Status.INFEASIBLE:
            return f"{self.backend.name} called a feasible program infeasible; its answer is not used"
        side = "at most" if sign > 0 else "at least"
        proved = f"the {word} is proved to be {side} {outcome.bound:.3g}, the break is at {threshold:g}"
        if outcome.status is Status.LIMIT:
            return f"time limit; {proved}"
        if Capability.BOUND not in self.backend.capabilities:
            return f"{self.backend.name} proves no bounds; use a backend that does, e.g. backend='highs'"
        if abs(outcome.bound - threshold) > 10 * model.slack():
            return f"{proved}; {outcome.note or outcome.status.value}"
        return (
            f"the {word} is {outcome.bound:.3g}, closer to the break at {threshold:g} than the solver's "
            f"tolerance {model.slack():.1g} can tell"
        )
