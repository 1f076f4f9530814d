"""Which neurons of a network never switch on a domain.

`auto`        a ladder from cheap to dear, each rung for what the one before left open: interval -> witnesses -> linear
              bounds -> gradient jumps -> Adam ascent -> optimised bounds -> linear programs with cuts -> walks over
              linear regions -> integer programs
`one-solve`   one integer program for all neurons (`reludsl.stability.one_solve`)
`per-neuron`  linear bounds, then a linear and an integer program for every open neuron and direction

Only a proved bound makes a neuron stable, only two replayed inputs make it unstable. A time limit, an
exception, a sample or a solver's word on a point never do; such a neuron is unknown, with the reason.
"""

from __future__ import annotations

import enum
import os
import time

import numpy as np

from reludsl.backend import Backend, FloatArray, Limits
from reludsl.bounds import Bounds, crown, interval, settle_ties
from reludsl.bounds.ties import near_ties
from reludsl.domain import Domain
from reludsl.errors import InvalidInput, member
from reludsl.expr import Input, as_domain
from reludsl.network import Network
from reludsl.progress import OnProgress, silent
from reludsl.saved import fingerprint
from reludsl.stability.bounding import relax, tune
from reludsl.stability.budget import Budget
from reludsl.stability.checkpoint import Checkpoint
from reludsl.stability.facts import UNKNOWN, Facts, Ledger, Rung, StageFacts, Unknown
from reludsl.stability.one_solve import Mode, one_solve
from reludsl.stability.run import OUT_OF_TIME, Run
from reludsl.stability.searches import ascents, jumps, walks
from reludsl.stability.solves import integers, per_neuron
from reludsl.witness import Witnesses, seeds


class Method(enum.Enum):
    """How `stable` decides."""

    AUTO = "auto"
    ONE_SOLVE = "one-solve"
    PER_NEURON = "per-neuron"


def stable(
    network: Network,
    where: Input | Domain,
    *,
    method: Method | str = Method.AUTO,
    mode: Mode | str = Mode.RESTART,
    data: FloatArray | None = None,
    known: Bounds | None = None,
    backend: Backend | str | None = None,
    strict: bool = False,
    time_limit: float | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: OnProgress = silent,
) -> Facts:
    """For every hidden neuron: which piece it stays on over the domain, or two inputs that show it switches.

    Non-strict: stably inactive iff max z <= 0, stably active iff min z >= 0 on the domain (for a ReLU).

    Args:
        where: the domain, or an input that has one.
        method: see `Method`.
        mode: of the one-solve method, see `Mode`.
        data: inputs (m, input_size) that may serve as witnesses.
        known: bounds proved earlier of the same network and domain, e.g. those of other facts.
        backend: solver for what witnesses and bounds leave open; the first installed by default.
        strict: count a pre-activation of exactly the break as a switch.
        time_limit: seconds for the whole run; what is open then is unknown. A keyboard interrupt does the same.
        checkpoint: a file, written now and then and at the end, with which a later run goes on where this one was.
        seed: of the random starts; the same seed gives the same run.
        progress: called now and then.

    Raises:
        InvalidInput: the domain, the data, the known bounds or the checkpoint do not fit the network.
        UnsupportedCapability: the backend cannot do what the mode needs.

    >>> from reludsl.domain import Box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [1.0], [1.0]]), np.array([1.0, 0.0, -1.0])), relu], (1,))
    >>> facts = stable(net, Box([-1.0], [1.0]))
    >>> facts.stages[0].stably_active, facts.stages[0].unstable, facts.stages[0].stably_inactive
    (array([0]), array([1]), array([2]))
    """
    chosen, how = member(Method, method, "method"), member(Mode, mode, "mode")
    start = time.perf_counter()
    domain = as_domain(where)
    network.check_domain(domain)
    first = interval(network, domain, _fitting(network, domain, known))
    ledger = Ledger(first, Witnesses(first), strict)
    saved = None if checkpoint is None else Checkpoint.at(checkpoint, network, domain)
    if saved is not None:
        saved.restore(ledger)
    ledger.rungs.append(Rung("interval", ledger.decided(), time.perf_counter() - start))
    run = Run(
        ledger,
        domain,
        np.random.default_rng(seed),
        Budget(start, time_limit),
        backend,
        Limits(threads=threads, seed=seed),
        progress,
    )
    if saved is not None:
        run.save = saved.save
    _climb(run, chosen, how, data)
    for goal in run.goals():
        if (goal.stage.index, goal.neuron) not in ledger.unknown:
            run.unknown(goal, OUT_OF_TIME, 0.0)
    if saved is not None:
        saved.save(ledger)
    return _report(ledger, domain, time.perf_counter() - start)


def _climb(run: Run, method: Method, mode: Mode, data: FloatArray | None) -> None:
    pool = np.zeros((0, run.domain.size))
    with run.rung("witnesses"):
        if data is not None:
            run.ledger.witnesses.add(run.network.batch(data))
        pool = _pool(run, method)
        run.ledger.witnesses.add(pool)
    with run.rung("bounds"):
        run.ledger.bounds = crown(run.network, run.domain, run.ledger.bounds)
        _settle_ties(run)
    if method is Method.PER_NEURON:
        with run.rung("solves"):
            per_neuron(run)
    elif method is Method.ONE_SOLVE:
        with run.rung("one-solve"):
            near = one_solve(run, mode)
        if near:
            with run.rung("solves"):
                per_neuron(run)
    else:
        _ladder(run, pool)


def _ladder(run: Run, pool: FloatArray) -> None:
    with run.rung("vertex jumps"):
        jumps(run, pool)
    with run.rung("ascent"):
        ascents(run)
    if run.done:
        return
    with run.rung("optimised bounds"):
        tune(run)
        _settle_ties(run)
    if run.done:
        return
    with run.rung("lp bounds"):
        relax(run)
    if run.done:
        return
    with run.rung("walks"):
        walks(run)
    if run.done:
        return
    with run.rung("solves"):
        integers(run)


def _pool(run: Run, method: Method) -> FloatArray:
    if method is not Method.AUTO:
        return run.domain.project(np.zeros((1, run.domain.size)))
    if not run.network.hidden:
        return seeds(run.network, run.domain, run.rng)
    # a first stage of many neurons would give more points than are worth a forward pass
    open_ = np.flatnonzero(run.ledger.pieces(run.network.hidden[0]) == UNKNOWN)
    return seeds(run.network, run.domain, run.rng, neurons=open_)


def _fitting(network: Network, domain: Domain, known: Bounds | None) -> Bounds | None:
    """Bounds that are about this very network and domain.

    Raises:
        InvalidInput: they are about others.
    """
    if known is None or (known.network is network and known.domain is domain):
        return known
    if fingerprint(known.network, known.domain) != fingerprint(network, domain):
        raise InvalidInput(
            "the known bounds are about another network or domain, so that nothing says they hold here; give bounds of "
            "this network on this domain, or leave `known` out"
        )
    return Bounds(network, domain, known.boxes)


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


def _settle_ties(run: Run) -> None:
    """Bounds and witnesses that lie on a break up to rounding errors: look at both in exact arithmetic."""
    ledger = run.ledger
    for stage in ledger.bounds.network.hidden:
        open_ = ledger.pieces(stage) == UNKNOWN
        near = np.union1d(*near_ties(ledger.bounds, stage))
        ledger.witnesses.sharpen(stage, near[open_[near]])
    ledger.bounds = settle_ties(ledger.bounds)
