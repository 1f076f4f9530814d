"""Compression of a network whose stable neurons are known, with a proof of how far the function can have changed.

The rewriting is `reludsl.rewrite.driver`, the proof `reludsl.rewrite.difference`. Where rounding to float32 costs
rewrites that float64 would allow, the network is rewritten for a float64 file instead. Where an output may change by
more than that, `reludsl.rewrite.approximate` goes on from the lossless result.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reludsl.backend import FloatArray
from reludsl.bounds import Bounds, crown, forward_errors, settle_ties
from reludsl.domain import Domain
from reludsl.errors import InvalidInput, UnsupportedOperator
from reludsl.expr import Input, as_domain
from reludsl.io.rounding import rounded
from reludsl.network import Network
from reludsl.progress import OnProgress, silent
from reludsl.rewrite.approximate import approximate as lossily
from reludsl.rewrite.base import Knowledge, NeuronMap
from reludsl.rewrite.driver import Driver, Step
from reludsl.rewrite.fold import FoldPolicy
from reludsl.rewrite.settle import settled

TOLERANCE = 1e-6
"""An output may change by this much, or by this share of its range, and the networks still count as equivalent."""


@dataclass(frozen=True, slots=True, eq=False)
class Compression:
    """A smaller network and what is proved about it.

    Args:
        original, network: before and after; `network`'s weights are exact in `dtype`.
        map: where the neurons that stayed stood.
        log: the steps taken.
        error: (n_out,) bound on |network(x) - original(x)| over the domain, in exact arithmetic.
        tolerance: (n_out,) what counts as equal: max(1e-6, 1e-6 x the output's range).
        asked: the change of an output that was allowed, None where the result is to be lossless.
        dtype: the type in which the weights are to be written.
        reason: why nothing could be done, or what was left undone.
        seconds: of the rewriting and its proof.
    """

    original: Network
    network: Network
    map: NeuronMap
    log: tuple[Step, ...]
    error: FloatArray
    tolerance: FloatArray
    asked: float | None
    dtype: np.dtype[np.floating]
    reason: str
    seconds: float

    @property
    def proved(self) -> bool:
        """Whether the two networks are proved to agree on the domain within the tolerance."""
        return bool((self.error <= self.tolerance).all())

    @property
    def within(self) -> bool:
        """Whether every output is proved to change by no more than was allowed: `asked`, or the tolerance."""
        return bool((self.error <= np.maximum(self.tolerance, self.asked or 0.0)).all())

    @property
    def difference(self) -> str:
        """What is proved about the outputs, in words."""
        asked = "" if self.asked is None else f" (asked {self.asked:g})"
        return f"differs by at most {self.max_output_error:.3g}{asked}"

    @property
    def max_output_error(self) -> float:
        """The largest of the bounds."""
        return float(self.error.max(initial=0.0))

    @property
    def counts(self) -> Mapping[str, int]:
        """Neurons that went, by rewrite: removed, merged, folded, collapsed."""
        total = dict.fromkeys(("removed", "merged", "folded", "collapsed"), 0)
        for step in self.log:
            if step.rewrite in total:
                total[step.rewrite] += step.neurons
        return total


def rewrite_network(
    network: Network,
    where: Input | Domain,
    bounds: Bounds,
    *,
    proved: Bounds | None = None,
    approximate: float | None = None,
    fold: FoldPolicy = FoldPolicy.AUTO,
    dtype: type[np.floating] = np.float32,
    progress: OnProgress = silent,
) -> Compression:
    """Rewrite a network as far as the bounds allow, and bound the change.

    Args:
        bounds: what the rewrites may rely on, e.g. `Facts.bounds`. Need not be right: see `proved`.
        proved: what the proof relies on; by default linear bounds computed anew, so that a wrong entry in
            `bounds` comes out as unproved.
        approximate: what each output may change by, see `reludsl.rewrite.approximate`; None and 0 are lossless.
        fold: when to fold stages of stable neurons.
        dtype: type of the file; float64 is used where float32 would cost neurons.
        progress: called now and then.

    Raises:
        InvalidInput: `approximate` is negative or no number.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0], [1.0]]), np.array([0.0, -1.0, 1.0])), relu,
    ...                      Affine(np.ones((1, 3)), np.zeros(1))], (1,))
    >>> from reludsl.domain import Box
    >>> domain = Box([-0.5], [1.0])
    >>> small = rewrite_network(net, domain, crown(net, domain))
    >>> small.network.neurons, small.proved
    (2, True)
    """
    start = time.perf_counter()
    asked = _allowed(approximate)
    domain = as_domain(where)
    checked = settle_ties(crown(network, domain)) if proved is None else proved
    tolerance = _tolerance(network, domain, checked)
    if not _is_exact(network, dtype):
        # the weights are no numbers of that type, so that a file of it would hold another network
        dtype = np.float64
    known = Knowledge.of(network, bounds)
    best = settled(Driver(network, known, checked, tolerance, fold, np.dtype(dtype), progress))
    if best.dropped and best.dtype != np.float64:
        double = settled(Driver(network, known, checked, tolerance, fold, np.dtype(np.float64), progress))
        if double.neurons < best.neurons and (double.error <= tolerance).all():
            best = double
    if asked is not None:
        allowed = np.maximum(tolerance, asked)
        best = lossily(Driver(network, known, checked, allowed, fold, best.dtype, progress, 1.0, 1.0), best)
    return Compression(
        network,
        best.network,
        best.map,
        best.log,
        best.error,
        tolerance,
        asked,
        best.dtype,
        "; ".join(best.dropped),
        time.perf_counter() - start,
    )


def _allowed(approximate: float | None) -> float | None:
    """A change of outputs that may be asked for; None for none."""
    if approximate is not None and not approximate >= 0:
        raise InvalidInput(
            f"approximate={approximate:g} is no bound on a change of outputs, so that no network could keep it; "
            "give a number that is 0 (lossless) or larger"
        )
    return approximate or None


def _is_exact(network: Network, dtype: type[np.floating]) -> bool:
    """Whether every constant of the network is a number of that type."""
    try:
        return rounded(network, dtype) is network
    except (InvalidInput, UnsupportedOperator):
        # a layer type without a file format is used as it is
        return False


def _tolerance(network: Network, domain: Domain, bounds: Bounds) -> FloatArray:
    """max(1e-6, 1e-6 x range), with the range seen on samples, less its rounding error."""
    rng = np.random.default_rng(0)
    corners = domain.maximiser(rng.choice([-1.0, 1.0], (128, domain.size)))
    seen = network(np.concatenate([domain.sample(rng, 128), corners]))
    error = forward_errors(bounds)[network.output]
    box = bounds.boxes[network.output]
    spread = np.minimum(seen.max(axis=0) - seen.min(axis=0) - 2 * error, box.upper - box.lower)
    return np.maximum(TOLERANCE, TOLERANCE * np.where(np.isfinite(spread), spread, 0.0))
