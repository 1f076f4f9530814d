"""The rewrites run to a fixed point: remove, merge, fold, collapse, and over again until nothing applies.

A merge or fold stays only if the bound on the output change (`output_difference`, for the weights as they will
stand in the file) remains within the tolerance; of the possible sizes of a merge the smallest basis that does
is taken. Stages are taken from the last to the first, each with its share of what is left of the tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reludsl.backend import FloatArray
from reludsl.progress import OnProgress, Progress, silent
from reludsl.rewrite.base import Knowledge, NeuronMap, Rewrite, Site
from reludsl.rewrite.chain import Chain
from reludsl.rewrite.collapse import Collapse
from reludsl.rewrite.difference import output_difference
from reludsl.rewrite.fold import Fold, FoldPolicy
from reludsl.rewrite.merge import Merge, candidates
from reludsl.rewrite.remove import Remove

THRESHOLDS = (0.1, 0.5)
"""Of pivoting in a merge: the first keeps earlier neurons, the second is better conditioned and may need fewer."""


@dataclass(frozen=True, slots=True)
class Step:
    """One applied rewrite: what was done, to which dense layer of the network at hand, how many neurons went."""

    rewrite: str
    stage: str
    neurons: int


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Where a run stands.

    Args:
        chain, map: the network so far, and where its neurons come from.
        log: the steps taken.
        error: bound on its output change.
        dropped: rewrites that applied and were left out, as sentences.
        dtype: type of the weights.
    """

    chain: Chain
    map: NeuronMap
    log: tuple[Step, ...]
    error: FloatArray
    dropped: tuple[str, ...]
    dtype: np.dtype[np.floating]

    @property
    def neurons(self) -> int:
        """Hidden neurons left."""
        return sum(d.width for d in self.chain.layers[:-1])


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
    """

    original: Chain
    known: Knowledge
    proof: Knowledge
    tolerance: FloatArray
    fold: FoldPolicy
    dtype: np.dtype[np.floating]
    progress: OnProgress = silent

    def run(self) -> State:
        """The network when nothing applies any more."""
        widths = [d.width for d in self.original.layers[:-1]]
        state = State(self.original, NeuronMap.identity(widths), (), np.zeros(self.tolerance.size), (), self.dtype)
        state = replace(state, error=self._error(state.chain, state.map))
        while True:
            after = self._exact(self._exact(replace(state, dropped=()), Collapse()), Remove())
            after = self._fold(self._merge(after))
            if after.log == state.log:
                return after
            state = after

    def _error(self, chain: Chain, map: NeuronMap) -> FloatArray:
        return output_difference(self.original, chain, map, self.proof)

    def _apply(self, state: State, rewrite: Rewrite, site: Site) -> State:
        known = self.known.restricted(state.map)
        result = rewrite.apply(state.chain, known, site, self.dtype)
        map = state.map.then(result.map)
        step = Step(rewrite.name, state.chain.layers[site.stage].name, int(site.neurons.size))
        total = sum(d.width for d in self.original.layers[:-1])
        self.progress(Progress(f"rewriting {step.stage}", total - state.neurons, total))
        return replace(state, chain=result.chain, map=map, log=(*state.log, step), error=self._error(result.chain, map))

    def _exact(self, state: State, rewrite: Rewrite) -> State:
        """Apply a rewrite wherever its side condition holds; a wrong fact behind it shows in the error."""
        while sites := rewrite.sites(state.chain, self.known.restricted(state.map)):
            state = self._apply(state, rewrite, sites[-1])
        return state

    def _share(self, state: State, parts: int) -> FloatArray:
        """The error that the next of some rewrites may bring the total to."""
        return np.asarray(state.error + np.maximum(self.tolerance - state.error, 0.0) / parts)

    def _merge(self, state: State) -> State:
        for stage in reversed(range(state.chain.depth)):
            options = self._options(state, stage, THRESHOLDS[0])
            if not options:
                continue
            # among equals the first threshold counts: it keeps earlier neurons
            tried = [self._smallest(state, stage, options)]
            tried += [self._smallest(state, stage, self._options(state, stage, t)) for t in THRESHOLDS[1:]]
            best = min(tried, key=lambda s: s.neurons)
            active = options[0].basis.size + options[0].neurons.size
            basis = active - (state.neurons - best.neurons)
            rank = _numerical_rank(options[0], state.chain, stage)
            if basis > rank:
                name = state.chain.layers[stage].name
                reason = (
                    f"{name}: {basis} of its stably active neurons stay although their rows have rank {rank}: "
                    "fewer would change the output by more than the tolerance"
                )
                best = replace(best, dropped=(*best.dropped, reason))
            state = best
        return state

    def _options(self, state: State, stage: int, threshold: float) -> list[Site]:
        return candidates(state.chain, self.known.restricted(state.map), stage, threshold)

    def _smallest(self, state: State, stage: int, options: list[Site]) -> State:
        """The state after the boldest of some merges whose bound is allowed; the same state if none is.

        A larger basis leaves less over, so that it is found by halving; what is taken was measured itself,
        whatever lies between.
        """
        allowed = self._share(state, stage + 1)
        best, low, high = state, 0, len(options)
        while low < high:
            middle = (low + high) // 2
            trial = self._apply(state, Merge(), options[middle])
            if (trial.error <= allowed).all():
                best, high = trial, middle
            else:
                low = middle + 1
        return best

    def _fold(self, state: State) -> State:
        rewrite = Fold(self.fold)
        refused: set[str] = set()
        while True:
            sites = [
                s
                for s in rewrite.sites(state.chain, self.known.restricted(state.map))
                if state.chain.layers[s.stage].name not in refused
            ]
            if not sites:
                return state
            site = sites[-1]
            trial = self._apply(state, rewrite, site)
            name = state.chain.layers[site.stage].name
            if (trial.error <= self._share(state, site.stage + 1)).all():
                state = trial
            else:
                refused.add(name)
                reason = f"{name}: not folded, which would change the output by more than the tolerance"
                state = replace(state, dropped=(*state.dropped, reason))


def _numerical_rank(site: Site, chain: Chain, stage: int) -> int:
    """Rank of the rows of a stage's stably active neurons, to the precision of float64."""
    rows = chain.layers[stage].weight[np.concatenate([site.basis, site.neurons])]
    return int(np.linalg.matrix_rank(rows))
