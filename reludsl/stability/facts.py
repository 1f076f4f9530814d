"""What is proved about the neurons of a network over a domain.

A neuron is *stable* when its pre-activation stays on one piece of its activation over the whole domain; it is
an affine function there then. On a constant piece (the ReLU's left) it is called stably inactive, on a sloped
one stably active. It is *unstable* when two inputs of the domain lie on either side of a break, and *unknown*
when neither was shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.bounds import Bounds
from reludsl.domain import Box, Domain
from reludsl.errors import SolverFailed
from reludsl.network import Network, Stage
from reludsl.witness import Goals, Witnesses

UNSTABLE = -1
UNKNOWN = -2


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why a neuron stayed undecided, and what was spent on it."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder: how many neurons it decided, in how many seconds."""

    name: str
    decided: int
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class StageFacts:
    """The neurons of one hidden stage.

    Args:
        stage: which one.
        piece: (n,) index of the piece that a stable neuron stays on, else UNSTABLE or UNKNOWN.
        slope: (n,) slope on that piece, NaN where not stable.
        box: proved bounds of the pre-activations.
    """

    stage: Stage
    piece: IntArray
    slope: FloatArray
    box: Box

    @property
    def stably_active(self) -> IntArray:
        """Neurons that stay on a sloped piece."""
        return np.flatnonzero((self.piece >= 0) & (self.slope != 0))

    @property
    def stably_inactive(self) -> IntArray:
        """Neurons that stay on a constant piece."""
        return np.flatnonzero((self.piece >= 0) & (self.slope == 0))

    @property
    def unstable(self) -> IntArray:
        """Neurons seen on both sides of a break."""
        return np.flatnonzero(self.piece == UNSTABLE)

    @property
    def unknown(self) -> IntArray:
        """Neurons left undecided."""
        return np.flatnonzero(self.piece == UNKNOWN)


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """The result of `stable`.

    Args:
        bounds: proved bounds, tightened by every proof on the way.
        stages: one entry per hidden stage.
        rungs: what each step of the ladder decided.
        unknown: reason and time for every undecided neuron, by (stage index, neuron).
        witnesses: for every hidden stage the inputs where each neuron is lowest and highest.
        strict: whether a pre-activation of exactly the break counts as a switch.
        seconds: of the whole run.
    """

    network: Network
    domain: Domain
    bounds: Bounds
    stages: tuple[StageFacts, ...]
    rungs: tuple[Rung, ...]
    unknown: Mapping[tuple[int, int], Unknown]
    witnesses: Witnesses
    strict: bool
    seconds: float

    @property
    def neurons(self) -> int:
        """Number of hidden neurons."""
        return sum(s.stage.size for s in self.stages)

    @property
    def undecided(self) -> int:
        """Number of unknown neurons."""
        return sum(s.unknown.size for s in self.stages)

    def switching_inputs(self) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
        """Two inputs for every unstable neuron, replayed: the arrays that `--witnesses` writes.

        `layer` and `neuron` (k,), `active_input` and `inactive_input` (k, input_size): the pre-activation is
        above a break at the first and below it at the second.
        """
        layers, neurons = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        empty = np.zeros((0, self.network.input_size))
        high, low = [empty], [empty]
        for facts in self.stages:
            chosen = facts.unstable
            seen = self.witnesses.stages[facts.stage.index]
            layers.append(np.full(chosen.size, facts.stage.index))
            neurons.append(chosen)
            high.append(seen.high_at[chosen])
            low.append(seen.low_at[chosen])
        return {
            "layer": np.concatenate(layers),
            "neuron": np.concatenate(neurons),
            "active_input": np.concatenate(high),
            "inactive_input": np.concatenate(low),
        }


@dataclass(slots=True, eq=False)
class Ledger:
    """The state of a run: proved bounds and witnesses, and what follows from them."""

    bounds: Bounds
    witnesses: Witnesses
    strict: bool
    rungs: list[Rung] = field(default_factory=list)
    unknown: dict[tuple[int, int], Unknown] = field(default_factory=dict)

    def held(self, stage: Stage) -> IntArray:
        """The piece that each neuron is proved to stay on, -1 where not."""
        return self.bounds.network.activation(stage).held_piece(self.bounds.pre(stage), self.strict)

    def pieces(self, stage: Stage) -> IntArray:
        """Piece, UNSTABLE or UNKNOWN per neuron.

        Raises:
            SolverFailed: a neuron is proved stable and seen to switch; one of the proofs is wrong.
        """
        held, crossed = self.held(stage), self.witnesses.crossed(stage, self.strict)
        if (wrong := np.flatnonzero((held >= 0) & crossed)).size:
            raise SolverFailed(
                f"neuron {wrong[0]} of {stage.name} is bounded to one piece, but two inputs show it on both sides; "
                "a bound of this run is wrong and none can be trusted: try another backend, and report this"
            )
        return np.where(held >= 0, held, np.where(crossed, UNSTABLE, UNKNOWN))

    def goals(self, stage: Stage) -> Goals:
        """What is still to be shown: for each undecided neuron, to pass the next break up, and the next down."""
        open_ = self.pieces(stage) == UNKNOWN
        activation = self.bounds.network.activation(stage)
        seen, box = self.witnesses.stages[stage.index], self.bounds.pre(stage)
        low, high = seen.low + seen.low_error, seen.high - seen.high_error
        # infinite where there is no break left, and no box reaches that
        up, down = activation.break_above(high), activation.break_below(low)
        beyond_up = box.upper >= up if self.strict else box.upper > up
        beyond_down = box.lower <= down if self.strict else box.lower < down
        rising = np.flatnonzero(open_ & beyond_up)
        falling = np.flatnonzero(open_ & beyond_down)
        return Goals(
            stage,
            np.concatenate([rising, falling]),
            np.concatenate([np.ones(rising.size), -np.ones(falling.size)]),
            np.concatenate([up[rising], down[falling]]),
        )

    def decided(self) -> int:
        """Number of decided neurons."""
        return sum(int((self.pieces(s) != UNKNOWN).sum()) for s in self.bounds.network.hidden)
