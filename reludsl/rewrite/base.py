"""What a rewrite is: a graph transformation with a side condition, and a map of the neurons that stay.

A rewrite is trusted by nobody. It may use bounds to find its sites, and it says what it keeps; whether the
result still computes the same function is decided afterwards, from the two networks alone
(`reludsl.rewrite.difference`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.bounds import Bounds
from reludsl.domain import Box
from reludsl.network import INPUT
from reludsl.rewrite.chain import Chain


class Preserves(enum.Enum):
    """What a rewrite leaves as it is."""

    EVERYWHERE = "the function, on every input"
    ON_DOMAIN = "the function, on the domain"
    WITHIN = "the function on the domain, up to a bound that is computed afterwards"


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The neurons of one stage that stay: their stage and indices in the network before."""

    stage: int
    neurons: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class NeuronMap:
    """For every hidden stage of the new network, where its neurons stood before, in order.

    On the domain a kept neuron has the pre-activation that it had, up to the bound that `difference` proves.
    """

    stages: tuple[Kept, ...]

    @classmethod
    def identity(cls, widths: Sequence[int]) -> NeuronMap:
        """Nothing changed."""
        return cls(tuple(Kept(k, np.arange(n)) for k, n in enumerate(widths)))

    def then(self, later: NeuronMap) -> NeuronMap:
        """This map, followed by a later one."""
        return NeuronMap(
            tuple(Kept(self.stages[k.stage].stage, self.stages[k.stage].neurons[k.neurons]) for k in later.stages)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Where a rewrite applies: a stage, and the neurons that it takes out.

    Args:
        basis: for a merge, the neurons that the others are expressed by.
    """

    stage: int
    neurons: IntArray
    basis: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Rewritten:
    """A rewritten network, and where its neurons come from."""

    chain: Chain
    map: NeuronMap


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What the finders of sites may use: proved bounds of every pre-activation and post-activation of a chain.

    Args:
        pre, post: per hidden stage, the lower and upper bounds, each (2, n).
        source: bounds of what the first dense layer takes, (2, n).
    """

    source: FloatArray
    pre: tuple[FloatArray, ...]
    post: tuple[FloatArray, ...]

    @classmethod
    def of(cls, chain: Chain, bounds: Bounds) -> Knowledge:
        """Read from the bounds of the network that the chain was read from (or built into)."""

        def pair(name: str) -> FloatArray:
            box = bounds.boxes[name]
            return np.stack([box.lower, box.upper])

        return cls(
            pair(chain.prefix[-1].name if chain.prefix else INPUT),
            tuple(pair(d.name) for d in chain.layers[:-1]),
            tuple(pair(d.activation_name) for d in chain.layers[:-1]),
        )

    def before(self, stage: int) -> FloatArray:
        """Bounds of what a stage's dense layer takes."""
        return self.source if stage == 0 else self.post[stage - 1]

    def restricted(self, map: NeuronMap) -> Knowledge:
        """The same bounds for the neurons that stay."""
        return Knowledge(
            self.source,
            tuple(self.pre[k.stage][:, k.neurons] for k in map.stages),
            tuple(self.post[k.stage][:, k.neurons] for k in map.stages),
        )


class Rewrite(Protocol):
    """One kind of transformation."""

    @property
    def name(self) -> str:
        """A past participle for the log: removed, merged, folded, collapsed."""
        ...

    @property
    def preserves(self) -> Preserves:
        """What it leaves as it is, when its side condition holds."""
        ...

    def sites(self, chain: Chain, known: Knowledge) -> list[Site]:
        """Where it applies, by the bounds given."""
        ...

    def apply(self, chain: Chain, known: Knowledge, site: Site, dtype: np.dtype[np.floating]) -> Rewritten:
        """The network after it; new weights are rounded to `dtype`, the type of the file."""
        ...


def rounded(values: FloatArray, dtype: np.dtype[np.floating]) -> FloatArray:
    """Rounded to a file's type, held as float64."""
    return np.asarray(values, dtype=dtype).astype(np.float64)


def pieces(chain: Chain, known: Knowledge, stage: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Per neuron of a stage: the piece it is held on (-1 where none), and that piece's slope and intercept (NaN)."""
    activation = chain.layers[stage].activation
    assert activation is not None
    held = activation.held_piece(Box(*known.pre[stage]))
    slopes = np.where(held >= 0, np.array(activation.slopes)[np.maximum(held, 0)], np.nan)
    intercepts = np.where(held >= 0, np.array(activation.intercepts)[np.maximum(held, 0)], np.nan)
    return held, slopes, intercepts
