"""The ladder from cheap to dear: witnesses, bounds, searches, and integer programs for what is left.

`auto`        samples and vertices -> linear bounds -> gradient jumps -> Adam ascent -> solves for what is open
`per-neuron`  linear bounds, then solves for every open neuron

A solve is an LP and then, if that leaves the sign open, an integer program, per neuron and direction, each stopped
as soon as the sign is known.

Only a proved bound makes a neuron stable, only two replayed inputs make it unstable. A time limit, an
exception, a sample or a solver's word on a point never do; such a neuron is unknown, with the reason.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from reludsl.backend import Backend, FloatArray, Limits
from reludsl.bounds import crown, interval, settle_ties
from reludsl.bounds.ties import near_ties
from reludsl.domain import Domain
from reludsl.errors import InvalidInput
from reludsl.expr import Input, as_domain
from reludsl.network import Network
from reludsl.progress import OnProgress, Progress, silent
from reludsl.stability.facts import UNKNOWN, Facts, Ledger, Rung, StageFacts, Unknown
from reludsl.stability.solves import Budget, decide_by_solving
from reludsl.witness import Witnesses, ascend, jump, seeds


class Method(enum.Enum):
    """How `stable` decides."""

    AUTO = "auto"
    PER_NEURON = "per-neuron"


@dataclass(slots=True, eq=False)
class _Run:
    ledger: Ledger
    domain: Domain
    rng: np.random.Generator
    budget: Budget
    progress: OnProgress

    def tell(self, step: str) -> int:
        """Say where the run stands; the number of decided neurons."""
        decided = self.ledger.decided()
        self.progress(Progress(step, decided, self.ledger.bounds.network.neurons))
        return decided

    @contextmanager
    def rung(self, name: str) -> Iterator[None]:
        before, start = self.tell(name), time.perf_counter()
        yield
        took = time.perf_counter() - start
        self.ledger.rungs.append(Rung(name, self.ledger.decided() - before, took))


def stable(
    network: Network,
    where: Input | Domain,
    *,
    method: Method | str = Method.AUTO,
    data: FloatArray | None = None,
    backend: Backend | str | None = None,
    strict: bool = False,
    time_limit: float | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: OnProgress = silent,
) -> Facts:
    """For every hidden neuron: which piece it stays on over the domain, or two inputs that show it switches.

    Non-strict: stably inactive iff max z <= 0, stably active iff min z >= 0 on the domain (for a ReLU).

    Args:
        where: the domain, or an input that has one.
        method: see `Method`.
        data: inputs (m, input_size) that may serve as witnesses.
        backend: solver for what witnesses and bounds leave open; the first installed by default.
        strict: count a pre-activation of exactly the break as a switch.
        time_limit: seconds for the whole run; what is open then is unknown.
        seed: of the random starts; the same seed gives the same run.
        progress: called now and then.

    Raises:
        InvalidInput: the domain or the data do not fit the network.

    >>> from reludsl.domain import Box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [1.0], [1.0]]), np.array([1.0, 0.0, -1.0])), relu], (1,))
    >>> facts = stable(net, Box([-1.0], [1.0]))
    >>> facts.stages[0].stably_active, facts.stages[0].unstable, facts.stages[0].stably_inactive
    (array([0]), array([1]), array([2]))
    """
    chosen = _method(method)
    start = time.perf_counter()
    domain = as_domain(where)
    network.check_domain(domain)
    first = interval(network, domain)
    ledger = Ledger(first, Witnesses(first), strict)
    ledger.rungs.append(Rung("interval", ledger.decided(), time.perf_counter() - start))
    run = _Run(ledger, domain, np.random.default_rng(seed), Budget(start, time_limit), progress)
    if chosen is Method.AUTO:
        # a first stage of many neurons would give more points than are worth a forward pass
        open_ = np.flatnonzero(ledger.pieces(network.hidden[0]) == UNKNOWN) if network.hidden else None
        pool = seeds(network, domain, run.rng, neurons=open_)
    else:
        pool = domain.project(np.zeros((1, domain.size)))
    with run.rung("witnesses"):
        if data is not None:
            ledger.witnesses.add(network.batch(data))
        ledger.witnesses.add(pool)
    with run.rung("bounds"):
        ledger.bounds = crown(network, domain)
        _settle_ties(run)
    if chosen is Method.AUTO:
        with run.rung("vertex jumps"):
            _jump(run, pool)
        with run.rung("ascent"):
            _ascend(run)
    if any(len(ledger.goals(stage)) for stage in network.hidden):
        with run.rung("solves"):
            decide_by_solving(ledger, domain, backend, Limits(threads=threads, seed=seed), run.budget, progress)
    return _report(ledger, domain, time.perf_counter() - start)


def _method(name: Method | str) -> Method:
    try:
        return Method(name)
    except ValueError:
        built = ", ".join(m.value for m in Method)
        raise InvalidInput(f"no method is called {name!r}; there are {built}") from None


def _report(ledger: Ledger, domain: Domain, seconds: float) -> Facts:
    network = ledger.bounds.network
    stages = []
    for stage in network.hidden:
        piece = ledger.pieces(stage)
        slope = network.activation(stage).slope_of(piece)
        stages.append(StageFacts(stage, piece, slope, ledger.bounds.pre(stage)))
        for neuron in np.flatnonzero(piece == UNKNOWN).tolist():
            ledger.unknown.setdefault((stage.index, neuron), Unknown("no rung decided it", 0.0))
    open_ = {(s.stage.index, n) for s in stages for n in s.unknown.tolist()}
    unknown = {key: why for key, why in ledger.unknown.items() if key in open_}
    return Facts(
        network,
        domain,
        ledger.bounds,
        tuple(stages),
        tuple(ledger.rungs),
        unknown,
        ledger.witnesses,
        ledger.strict,
        seconds,
    )


def _halfway(run: _Run) -> Callable[[], bool]:
    """True once half of the time that is left now is used up: a search leaves the rest to what can prove."""
    left, start = run.budget.left(), time.perf_counter()
    return lambda: left is not None and time.perf_counter() - start >= 0.5 * left


def _jump(run: _Run, pool: FloatArray, repeats: int = 6) -> None:
    stop = _halfway(run)
    for stage in run.ledger.bounds.network.hidden:
        for _ in range(repeats):
            goals = run.ledger.goals(stage)
            if not len(goals) or stop():
                break
            run.tell("vertex jumps")
            jump(run.ledger.witnesses, goals, pool[run.rng.integers(0, len(pool), len(goals))], stop=stop)


def _ascend(run: _Run, batch: int = 16) -> None:
    stop = _halfway(run)
    for stage in run.ledger.bounds.network.hidden:
        goals = run.ledger.goals(stage)
        for start in range(0, len(goals), batch):
            if stop():
                return
            run.tell("ascent")
            chosen = np.zeros(len(goals), dtype=np.bool_)
            chosen[start : start + batch] = True
            ascend(run.ledger.witnesses, goals.take(chosen), run.rng, stop=stop)


def _settle_ties(run: _Run) -> None:
    """Bounds and witnesses that lie on a break up to rounding errors: look at both in exact arithmetic."""
    ledger = run.ledger
    for stage in ledger.bounds.network.hidden:
        open_ = ledger.pieces(stage) == UNKNOWN
        near = np.union1d(*near_ties(ledger.bounds, stage))
        ledger.witnesses.sharpen(stage, near[open_[near]])
    ledger.bounds = settle_ties(ledger.bounds)
