"""The rewrites run to a fixed point: absorb, collapse, remove, merge, refactor, fold, and again until nothing applies.

A merge or fold stays only if the bound on the output change (`output_difference`, for the weights as they will
stand in the file) remains within the tolerance; of the possible sizes of a merge the smallest basis that does
is taken. Stages are taken from the last to the first, each with its share of what is left of the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from reludsl.backend import FloatArray
from reludsl.bounds import Bounds
from reludsl.network import Network, Stage
from reludsl.progress import OnProgress, Progress, silent
from reludsl.rewrite.absorb import Absorb
from reludsl.rewrite.base import Knowledge, NeuronMap, Rewrite, Site
from reludsl.rewrite.collapse import Collapse
from reludsl.rewrite.difference import Comparison
from reludsl.rewrite.fold import Fold, FoldPolicy
from reludsl.rewrite.merge import Merge, affine_rows, candidates
from reludsl.rewrite.refactor import Refactor, refactorings
from reludsl.rewrite.remove import Remove, stage_of
from reludsl.rewrite.twins import MergeTwins

THRESHOLDS = (0.1, 0.5)
"""Of pivoting in a merge: the first keeps earlier neurons, the second is better conditioned and may need fewer."""

MERGING, REFACTORING = 0.125, 0.25
"""Of the tolerance, what merges and refactorings of one run may bring the output change to; the latter round weights of
two layers. The rest is for runs on the result, see `reludsl.rewrite.settle`: the singular values of trained layers have
no gap that would end the merging."""


@dataclass(frozen=True, slots=True)
class Step:
    """One applied rewrite: what was done, to which layer of the network at hand, how many neurons went."""

    rewrite: str
    stage: str
    neurons: int


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Where a run stands.

    Args:
        network, map: the network so far, and where its neurons come from.
        log: the steps taken.
        error: bound on its output change.
        dropped: rewrites that applied to this network and were left out, as sentences.
        refused: which they are, by class and stage: they need no second trial before the network changes.
        dtype: type of the weights.
    """

    network: Network
    map: NeuronMap
    log: tuple[Step, ...]
    error: FloatArray
    dropped: tuple[str, ...]
    refused: frozenset[tuple[str, str]]
    dtype: np.dtype[np.floating]

    @property
    def neurons(self) -> int:
        """Hidden neurons left."""
        return self.network.neurons

    def without(self, rewrite: Rewrite, stage: str, *reasons: str) -> State:
        """The same state, where a rewrite of a stage was tried and refused."""
        refused = self.refused | {(type(rewrite).__name__, stage)}
        return replace(self, refused=refused, dropped=(*self.dropped, *reasons))

    def refuses(self, rewrite: Rewrite, stage: str) -> bool:
        """Whether that was tried on this very network."""
        return (type(rewrite).__name__, stage) in self.refused


@dataclass(frozen=True, slots=True, eq=False)
class Driver:
    """Rewrites of one network.

    Args:
        original: the network.
        known: bounds that sites are found with.
        proof: bounds that the output change is bounded with.
        tolerance: what the output change may come to.
        fold: when stages are folded.
        dtype: type that new weights are rounded to.
        progress: told before every trial, with the neurons that went so far.
        merging, refactoring: the shares of the tolerance that merges and refactorings may take.
    """

    original: Network
    known: Knowledge
    proof: Bounds
    tolerance: FloatArray
    fold: FoldPolicy
    dtype: np.dtype[np.floating]
    progress: OnProgress = silent
    merging: float = MERGING
    refactoring: float = REFACTORING
    comparison: Comparison = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "comparison", Comparison(self.original, self.proof))

    def run(self, start: State | None = None) -> State:
        """The network when nothing applies any more, from the original one or from where an earlier run came to."""
        nothing = np.zeros(self.tolerance.size)
        state = start or State(
            self.original, NeuronMap.identity(self.original), (), nothing, (), frozenset(), self.dtype
        )
        state = replace(state, dropped=(), refused=frozenset())
        while True:
            after = self._while_allowed(state, Absorb(), "its constants stay a layer of their own")
            after = self.without_constants(after)
            after = self._while_allowed(after, MergeTwins(), "its proportional neurons stay")
            after = self._refactor(self._merge(after))
            after = self._while_allowed(after, Fold(self.fold), "not folded")
            if after.log == state.log:
                return after
            state = after

    def _apply(self, state: State, rewrite: Rewrite, site: Site) -> State:
        result = rewrite.apply(state.network, self.known, state.map, site, self.dtype)
        map = state.map.then(result.map)
        gone = state.neurons - result.network.neurons
        if rewrite.name == "collapsed":
            gone = site.units.size
        step = Step(rewrite.name, _title(state.network, site.stage), gone)
        total = self.original.neurons
        self.progress(Progress(f"rewriting {step.stage}", total - state.neurons, total))
        error = self.comparison.difference(result.network, map)
        return State(result.network, map, (*state.log, step), error, (), frozenset(), state.dtype)

    def without_constants(self, state: State) -> State:
        """Constant stages collapsed, constant neurons removed."""
        return self._exact(self._exact(state, Collapse()), Remove())

    def allows(self, state: State) -> bool:
        """Whether the output change is within the tolerance."""
        return bool((state.error <= self.tolerance).all())

    def _exact(self, state: State, rewrite: Rewrite) -> State:
        """Apply a rewrite wherever its side condition holds; a wrong fact behind it shows in the error."""
        while sites := rewrite.sites(state.network, self.known, state.map):
            state = self._apply(state, rewrite, sites[-1])
        return state

    def _while_allowed(self, state: State, rewrite: Rewrite, kept: str) -> State:
        """Apply a rewrite wherever the bound allows it, from the last site to the first."""
        while True:
            sites = [
                site
                for site in rewrite.sites(state.network, self.known, state.map)
                if not state.refuses(rewrite, site.stage)
            ]
            if not sites:
                return state
            trial = self._apply(state, rewrite, sites[-1])
            if (trial.error <= self._share(state, self.tolerance, len(state.network.hidden) + 1)).all():
                state = trial
                continue
            name = _title(state.network, sites[-1].stage)
            reason = f"{name}: {kept}, which would change the output by more than the tolerance"
            state = state.without(rewrite, sites[-1].stage, reason)

    def _share(self, state: State, whole: FloatArray, parts: int) -> FloatArray:
        """The error that the next of some rewrites may bring the total to."""
        return np.asarray(state.error + np.maximum(whole - state.error, 0.0) / parts)

    def _merge(self, state: State) -> State:
        for name in self._backwards(state):
            stage = stage_of(state.network, name)
            options = [] if state.refuses(Merge(), name) else self._candidates(state, stage, THRESHOLDS[0])
            if not options:
                continue
            # among equals the first threshold counts: it keeps earlier neurons
            orders = [options, *(self._candidates(state, stage, threshold) for threshold in THRESHOLDS[1:])]
            allowed = self._share(state, self.merging * self.tolerance, stage.index + 1)
            tried = [self._smallest(state, Merge(), order, allowed) for order in orders]
            best = min(tried, key=lambda s: s.neurons)
            state = self._with_reason(state, best, options[0], stage)
        return state

    def _candidates(self, state: State, stage: Stage, threshold: float) -> list[Site]:
        return candidates(state.network, self.known, state.map, stage, threshold)

    def _with_reason(self, state: State, best: State, boldest: Site, stage: Stage) -> State:
        """The best of some merges; where its basis is larger than the rank, with a sentence that says so."""
        active = boldest.basis.size + boldest.units.size
        basis = active - (state.neurons - best.neurons)
        rows = affine_rows(state.network, self.known, state.map, stage)
        assert rows is not None
        rank = int(np.linalg.matrix_rank(rows.slope[rows.active]))
        if best.network is state.network:
            best = best.without(Merge(), str(stage.activation))
        if basis <= rank:
            return best
        reason = (
            f"{stage.name}: {basis} of its stably active neurons stay although their rows have rank {rank}: "
            "fewer would change the output by more than the tolerance"
        )
        return replace(best, dropped=(*best.dropped, reason))

    def _refactor(self, state: State) -> State:
        for name in self._backwards(state):
            stage = stage_of(state.network, name)
            if state.refuses(Refactor(), name):
                continue
            options = refactorings(state.network, self.known, state.map, stage)
            if options:
                allowed = self._share(state, self.refactoring * self.tolerance, stage.index + 1)
                after = self._smallest(state, Refactor(), options, allowed)
                state = state.without(Refactor(), name) if after.network is state.network else after
        return state

    def _backwards(self, state: State) -> list[str]:
        """The activations, the last one first."""
        return [str(stage.activation) for stage in reversed(state.network.hidden)]

    def _smallest(self, state: State, rewrite: Rewrite, options: list[Site], allowed: FloatArray) -> State:
        """The state after the boldest of some merges whose bound is allowed; the same state if none is.

        A larger basis leaves less over, so that it is found by halving; what is taken was measured itself,
        whatever lies between.
        """
        least = self._apply(state, rewrite, options[-1])
        if not (least.error <= allowed).all():
            return state
        best, low, high = least, 0, len(options) - 1
        while low < high:
            middle = (low + high) // 2
            trial = self._apply(state, rewrite, options[middle])
            if (trial.error <= allowed).all():
                best, high = trial, middle
            else:
                low = middle + 1
        return best


def _title(network: Network, name: str) -> str:
    """A stage by the name of its weights; another layer by its own."""
    return next((stage.name for stage in network.hidden if stage.activation == name), name)
