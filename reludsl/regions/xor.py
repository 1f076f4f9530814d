"""A lower bound on the size of a set of bit vectors, by random parities: the counting method MBound.

j random parities with uniform right-hand sides keep every member with probability 2^-j. If the set has fewer than
2^(j - alpha) members, it keeps any of them with probability below 2^-alpha (Markov), so that among t rounds at least f
keep one with probability at most P(Bin(t, 2^-alpha) >= f). Where that is small and it happened, there are at least
2^(j - alpha) members (Gomes, Sabharwal, Selman 2006; Serra and Ramalingam 2020, MIPBound, over patterns of a network).

Three things keep the confidence true:

* the number of rounds is fixed beforehand, and a round that time did not allow has kept nothing;
* a member that was not found in time is none: f can only be too small;
* j is chosen after the fact, so that the failure of every j that might have been chosen is added up (union bound).

That nothing is kept is never used: a search that calls a system infeasible wrongly costs strength and no truth.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from reludsl.backend import BoolArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.progress import OnProgress, Progress, silent
from reludsl.regions.parity import Elimination, Parities

ROUNDING = 1.0 + 1e-9
"""What probabilities are enlarged by: they are summed up in float64."""


class Members(Protocol):
    """A set of bit vectors that can be asked for members."""

    @property
    def bits(self) -> int:
        """Length of the vectors."""
        ...

    def member(self, parities: Parities, deadline: float | None) -> BoolArray | None:
        """A member that satisfies all parities, (bits,); None where there is none, or none was found in time.

        Args:
            deadline: of `time.perf_counter()`.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """How many rounds kept a member behind the first j parities, for j = 0, ..., bits.

    Args:
        kept: (bits + 1,), not increasing.
        rounds: number of rounds, fixed before the first.
        members: the distinct members that were met, (m, bits).
        asked: searches for a member.
        note: why not all rounds were made, if not.
    """

    kept: IntArray
    rounds: int
    members: BoolArray
    asked: int
    note: str = ""

    def lower(self, confidence: float, alpha: float = 1.0) -> int:
        """So many members there are, with that confidence: the largest 2^(j - alpha), 1 <= j <= bits, that may be said.

        >>> kept = np.array([20, 20, 20, 20, 9, 0])
        >>> Rounds(kept, 20, np.zeros((0, 5), dtype=bool), 0).lower(0.99)
        4
        """
        _checked(confidence, alpha)
        bits = self.kept.size - 1
        allowed = (1.0 - confidence) / max(bits, 1)
        for j in range(bits, 0, -1):
            if binomial_tail(self.rounds, int(self.kept[j]), alpha) <= allowed:
                return math.ceil(math.pow(2.0, j - alpha) / ROUNDING)
        return 0

    @property
    def estimate(self) -> float:
        """N from P(kept) = 1 - exp(-N 2^-j), at the j where that is nearest to a half; no bound of any kind.

        Rounds of small parities keep members less often than this formula says, so that it comes out too small.
        """
        share = self.kept / self.rounds
        inner = np.flatnonzero((share > 0) & (share < 1))
        if not inner.size:
            return math.ldexp(1.0, int((share == 1).sum()) - 1) if share[0] == 1 else 0.0
        j = int(inner[np.abs(share[inner] - 0.5).argmin()])
        return float(-math.log1p(-share[j]) * 2.0**j)


def binomial_tail(rounds: int, kept: int, alpha: float) -> float:
    """P(Bin(rounds, 2^-alpha) >= kept), rounded up.

    >>> binomial_tail(10, 10, 1) * 1024 < 1.00001
    True
    """
    p = 2.0**-alpha
    terms = (math.comb(rounds, k) * p**k * (1.0 - p) ** (rounds - k) for k in range(kept, rounds + 1))
    return min(1.0, math.fsum(terms) * ROUNDING)


def chernoff_tail(rounds: int, kept: int, alpha: float) -> float:
    """Chernoff's bound on that tail: (e^b / (1 + b)^(1 + b))^(rounds / 2^alpha) with b = 2^alpha kept / rounds - 1.

    2^(-alpha rounds) where every round kept one, 1 where b <= 0. It is the one of the paper on MBound, for comparison:
    `binomial_tail` is exact, and smaller.
    """
    if kept == rounds:
        return float(2.0 ** (-alpha * rounds))
    b = 2.0**alpha * kept / rounds - 1.0
    if b <= 0:
        return 1.0
    return math.exp((b - (1.0 + b) * math.log1p(b)) * rounds / 2.0**alpha)


def xor_rounds(
    members: Members,
    rounds: int,
    size: int,
    seed: int = 0,
    deadline: float | None = None,
    known: BoolArray | None = None,
    progress: OnProgress = silent,
) -> Rounds:
    """Draw parities round by round, and see how many of them keep a member.

    In each round parities are added one after the other. A member that is known already and satisfies them needs no
    search, and parities that contradict each other need none (Gauss over GF(2)). Parities are drawn before anything is
    searched for.

    Args:
        rounds: fixed beforehand; rounds that time does not allow count as having kept nothing.
        size: bits of each parity.
        deadline: of `time.perf_counter()`.
        known: members that are known, (m, bits).
        progress: told before every round.

    Raises:
        InvalidInput: fewer than one round, a size that does not fit.
    """
    if rounds < 1:
        raise InvalidInput(f"{rounds} rounds say nothing about a set; make at least one, 20 for a confidence of 0.99")
    bits = members.bits
    rng = np.random.default_rng(seed)
    pool = np.zeros((0, bits), dtype=np.bool_) if known is None else np.unique(known, axis=0)
    kept, asked, note = np.zeros(bits + 1, dtype=np.int64), 0, ""
    try:
        for number in range(rounds):
            if deadline is not None and time.perf_counter() >= deadline:
                note = f"time limit: {rounds - number} of {rounds} rounds count as having kept nothing"
                break
            left = None if deadline is None else deadline - time.perf_counter()
            progress(Progress("rounds of parities", number, rounds, left))
            drawn = Parities.draw(rng, bits, bits, size)
            reach = _consistent(drawn)
            j = _longest(drawn, pool)
            try:
                while j < reach:
                    asked += 1
                    found = members.member(drawn.first(j + 1), deadline)
                    if found is None:
                        break
                    pool = np.vstack([pool, found[None, :]])
                    j = _longest(drawn, pool)
            finally:
                kept[: j + 1] += 1
    except KeyboardInterrupt:
        note = "the user interrupted the rounds; those that are missing count as having kept nothing"
    return Rounds(kept, rounds, np.unique(pool, axis=0), asked, note)


def _longest(drawn: Parities, pool: BoolArray) -> int:
    """The most parities, from the first on, that one known member satisfies; -1 where none is known."""
    if not len(pool):
        return -1
    return int(np.logical_and.accumulate(drawn.kept(pool), axis=1).sum(axis=1).max())


def _consistent(drawn: Parities) -> int:
    """How many of the parities, from the first on, some vector of bits satisfies."""
    system = Elimination(drawn.subsets.shape[1])
    for k, (subset, odd) in enumerate(zip(drawn.subsets, drawn.odd.tolist())):
        if not system.add(subset, odd):
            return k
    return len(drawn)


def _checked(confidence: float, alpha: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise InvalidInput(
            f"the confidence is {confidence}, and random draws give one between 0 and 1; write 0.99 for one failure in "
            "a hundred"
        )
    if not alpha > 0:
        raise InvalidInput(
            f"alpha is {alpha}, and leaves Markov's inequality no room; give a number above 0, such as 1"
        )
