"""Stability near points against stability everywhere: how many neurons never switch on balls of growing radius.

On nested balls the stable neurons can only become fewer and the unstable ones only more. What is decided on one ball
is used on the others of its point: an input of a smaller ball lies in every larger one, and what never switches on a
larger ball never does on a smaller one.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reludsl.backend import Backend, FloatArray, IntArray
from reludsl.domain import Ball, Box, Domain, Norm
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.network import Network
from reludsl.progress import OnProgress, Progress, silent
from reludsl.stability.certify import Method, stable
from reludsl.stability.facts import Facts


class Standing(enum.IntEnum):
    """What is known of a neuron on a domain."""

    STABLY_ACTIVE = 0
    STABLY_INACTIVE = 1
    UNSTABLE = 2
    UNKNOWN = 3


STABLE = (Standing.STABLY_ACTIVE, Standing.STABLY_INACTIVE)


@dataclass(frozen=True, slots=True, eq=False)
class LocalStability:
    """The result of `local_stability`.

    Args:
        points: (p, n) centres; radii: (r,) ascending.
        local: (r, p, neurons) the `Standing` of every hidden neuron on every ball, stages in order.
        everywhere: (neurons,) its standing on the whole box.
        norm, whole: of the balls; the box that they are cut to.
        seconds: of the whole run.
    """

    points: FloatArray
    radii: FloatArray
    local: IntArray
    everywhere: IntArray
    norm: Norm
    whole: Box
    seconds: float

    def share(self, *standings: Standing) -> FloatArray:
        """(r, p) share of the neurons that have one of these standings on each ball."""
        return np.asarray(np.isin(self.local, standings).mean(axis=-1))

    def whole_share(self, *standings: Standing) -> float:
        """The same on the whole box."""
        return float(np.isin(self.everywhere, standings).mean())

    @property
    def stably_active(self) -> FloatArray:
        """(r, p) share of neurons that stay on a sloped piece."""
        return self.share(Standing.STABLY_ACTIVE)

    @property
    def stably_inactive(self) -> FloatArray:
        """(r, p) share of neurons that stay on a constant piece."""
        return self.share(Standing.STABLY_INACTIVE)

    @property
    def unstable(self) -> FloatArray:
        """(r, p) share of neurons seen on both sides of a break."""
        return self.share(Standing.UNSTABLE)

    @property
    def unknown(self) -> FloatArray:
        """(r, p) share of neurons left undecided."""
        return self.share(Standing.UNKNOWN)


def local_stability(
    network: Network,
    points: FloatArray,
    radii: Sequence[float] | FloatArray,
    *,
    clip: Box | tuple[float, float] = (0.0, 1.0),
    norm: Norm = Norm.LINF,
    method: Method | str = Method.AUTO,
    backend: Backend | str | None = None,
    strict: bool = False,
    time_limit: float | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: OnProgress = silent,
) -> LocalStability:
    """stable(p, r) = {neurons that never switch on {x in clip : |x - p| <= r}}, for every point p and radius r.

    r <= s implies stable(p, s) within stable(p, r), and stable(clip) lies in all of them (Serra et al. 2020 certify
    the whole box; a ball is the domain of a local claim). Arrays are laid out (radii, points, neurons).

    Args:
        points: (p, n) centres, or one of the network's input shape.
        radii: >= 0; in ascending order in the result, each once.
        clip: the whole box, which cuts the balls: two numbers, or a `Box`.
        time_limit: seconds for the whole run, shared out evenly; what is open then is unknown.
        method, backend, strict, threads, seed: see `stable`.
        progress: told before every ball.

    Raises:
        InvalidInput: no radius or no point, a negative radius, a ball that does not meet the clip, sizes that do not
            fit the network.
        SolverFailed: a proof on one ball contradicts a witness on a smaller one.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [1.0]]), np.array([-0.25, -2.0])), relu], (1,))
    >>> found = local_stability(net, np.array([0.5]), [0.1, 0.4])
    >>> found.share(*STABLE)[:, 0], found.whole_share(*STABLE)
    (array([1. , 0.5]), 0.5)
    """
    start = time.perf_counter()
    centres = network.batch(points)
    steps = np.unique(np.asarray(radii, dtype=np.float64))
    if not (steps.size and len(centres) and network.hidden):
        raise InvalidInput(
            f"there are {len(centres)} points, {steps.size} radii and {network.neurons} hidden neurons, so that no "
            "share is defined; give at least one of each"
        )
    whole = (clip if isinstance(clip, Box) else Box.full(*clip, network.input_shape)).enclosure
    network.check_domain(whole)
    total = steps.size * len(centres) + 1

    def certified(where: Domain, data: FloatArray | None, what: str, done: int) -> Facts:
        progress(Progress(what, done, total))
        left = None if time_limit is None else max(0.0, start + time_limit - time.perf_counter())
        return stable(
            network, where, method=method, data=data, backend=backend, strict=strict,
            time_limit=None if left is None else left / (total - done), threads=threads, seed=seed,
        )  # fmt: skip

    local = np.empty((steps.size, len(centres), network.neurons), dtype=np.int64)
    for k, centre in enumerate(centres):
        data: FloatArray | None = None
        for j, radius in enumerate(steps.tolist()):
            done = k * steps.size + j
            ball = Ball(centre, radius, norm, (whole.lower, whole.upper))
            facts = certified(ball, data, f"point {k}, radius {radius:g}", done)
            local[j, k] = _standings(facts)
            inputs = facts.switching_inputs()
            data = np.concatenate([inputs["active_input"], inputs["inactive_input"]])
    everywhere = _standings(certified(whole, centres, "the whole box", total - 1))
    switching = (local == Standing.UNSTABLE).any(axis=(0, 1))
    everywhere = np.where((everywhere == Standing.UNKNOWN) & switching, Standing.UNSTABLE, everywhere)
    nested = np.concatenate([local, np.broadcast_to(everywhere, (1, *local.shape[1:]))])
    return LocalStability(centres, steps, carried(nested)[:-1], everywhere, norm, whole, time.perf_counter() - start)


def carried(standings: IntArray) -> IntArray:
    """Standings (m, ...) on m nested domains, smallest first, with what each says about the others filled in.

    A neuron may be stable on two sides: on a domain where it is constantly on its break it counts as inactive.

    Raises:
        SolverFailed: a neuron is stable on a domain and switches on a smaller one.

    >>> carried(np.array([[3, 2], [1, 3]])).tolist()
    [[1, 2], [1, 2]]
    """
    found = standings.copy()
    for smaller, larger in pairwise(found):
        larger[(larger == Standing.UNKNOWN) & (smaller == Standing.UNSTABLE)] = Standing.UNSTABLE
    for larger, smaller in pairwise(found[::-1]):
        stable_there = np.isin(larger, STABLE)
        wrong = stable_there & (smaller == Standing.UNSTABLE)
        if wrong.any():
            raise SolverFailed(
                f"neuron {int(np.argwhere(wrong)[0][-1])} is proved to be stable on a domain and switches on a part of "
                "it; the proof is wrong and no other of it can be trusted: try another backend, and report this"
            )
        filled = stable_there & (smaller == Standing.UNKNOWN)
        smaller[filled] = larger[filled]
    return found


def _standings(facts: Facts) -> IntArray:
    """(neurons,) of all hidden stages in order."""
    parts = []
    for stage in facts.stages:
        part = np.full(stage.stage.size, Standing.UNKNOWN, dtype=np.int64)
        part[stage.stably_active] = Standing.STABLY_ACTIVE
        part[stage.stably_inactive] = Standing.STABLY_INACTIVE
        part[stage.unstable] = Standing.UNSTABLE
        parts.append(part)
    return np.concatenate(parts)
