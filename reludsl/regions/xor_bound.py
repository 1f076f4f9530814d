"""MIPBound: a lower bound on the number of patterns by random parities over the integer program.

See `reludsl.regions.xor` for the method and `reludsl.regions.pattern_program` for the program; its binaries are the
bits. A member is a pattern that an input shows or that rationals find (`reludsl.regions.presence`). No word of a solver
is taken: a solve that ends without a pattern, for whatever reason, has kept nothing (Serra and Ramalingam 2020).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from reludsl import plugins
from reludsl.backend import (
    Backend,
    BoolArray,
    Capability,
    FloatArray,
    IntArray,
    Limits,
    Matrix,
    Sense,
    Status,
    require,
    require_matrix,
)
from reludsl.bounds import Bounds, crown, settle_ties
from reludsl.domain import Domain, Space
from reludsl.expr import Input
from reludsl.network import Network
from reludsl.progress import OnProgress, silent
from reludsl.regions.ceiling import ceiling
from reludsl.regions.definition import Definition
from reludsl.regions.edges import unit_count
from reludsl.regions.one_tree import ROBUST
from reludsl.regions.parity import Elimination, Parities, parity_rows
from reludsl.regions.pattern_program import PatternProgram
from reludsl.regions.presence import Judge, Presence, checked
from reludsl.regions.result import Counting, RegionCount
from reludsl.regions.where import where_of
from reludsl.regions.xor import xor_rounds


def xor_bound(
    network: Network,
    domain: Input | Domain | Space,
    definition: Definition = Definition.ACTIVATION,
    backend: str | Backend | None = None,
    *,
    rounds: int = 20,
    size: int = 3,
    alpha: float = 1.0,
    confidence: float = 0.99,
    seed: int = 0,
    samples: int = 256,
    solve_limit: float = 10.0,
    time_limit: float | None = None,
    bounds: Bounds | None = None,
    limits: Limits | None = None,
    progress: OnProgress = silent,
) -> RegionCount:
    """There are at least `lower` patterns, with that confidence; `count` is an estimate, `upper` is proved.

    lower = 2^(j - alpha) for the largest j that the rounds allow (see `Rounds.lower`), or the number of distinct
    patterns that were met, where that is more: it is certain then, and `confidence` of the answer is None.

    Args:
        backend: with integer columns; it need not prove bounds.
        rounds: fixed beforehand.
        size: bits of a parity: more make the estimate better and the solves harder; the confidence holds for any.
        alpha: how far below 2^j the bound stays; more of it needs fewer rounds.
        samples: random inputs whose patterns are known before the first solve.
        solve_limit: seconds for one solve; a solve that needs more has kept nothing.
        time_limit: seconds for everything; rounds that it does not allow have kept nothing.
        progress: told before every round.

    Raises:
        InvalidInput: another definition than ACTIVATION or PATTERNS, another domain than a box or a polytope,
            a confidence outside of (0, 1), fewer than one round.
        UnsupportedCapability: the backend has no integer columns.

    >>> from reludsl.domain import Box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.eye(4), np.zeros(4)), relu], (4,))
    >>> found = xor_bound(net, Box([-1.0] * 4, [1.0] * 4), backend="highs")  # 16 patterns, all of them met
    >>> found.lower, found.upper, found.confidence
    (16, 16, None)
    """
    began = time.perf_counter()
    solver = plugins.default() if backend is None else plugins.load(backend)
    require(solver, Capability.MILP, "parities are whole numbers; use backend='highs'")
    known = settle_ties(crown(network, checked(definition, where_of(domain)))) if bounds is None else bounds
    judge = Judge(known, definition)
    program = PatternProgram.of(known, definition)
    members = PatternMembers(judge, program, solver, limits or Limits(), solve_limit)
    units = unit_count(judge.layers)
    if not members.bits:
        return RegionCount(1, 1, 1, 0, definition, units, Counting.XOR, time.perf_counter() - began)
    seen = judge.shown(known.domain.sample(np.random.default_rng(seed), samples))
    deadline = None if time_limit is None else began + time_limit
    found = xor_rounds(
        members,
        rounds,
        min(size, members.bits),
        seed,
        deadline,
        program.bits(seen.patterns[seen.certain]),
        progress,
    )
    drawn, met = found.lower(confidence, alpha), len(found.members)
    lower = max(drawn, met)
    upper = ceiling(network, definition, program.most)
    estimate = min(max(lower, round(found.estimate)), upper)
    notes = [found.note, f"{members.late} solves ended without a pattern and without a proof" if members.late else ""]
    return RegionCount(
        count=estimate,
        lower=lower,
        upper=upper,
        ambiguous=0,
        definition=definition,
        units=units,
        method=Counting.XOR,
        seconds=time.perf_counter() - began,
        complete=not found.note,
        confidence=confidence if drawn > met else None,
        work={"rounds": rounds, "searches": found.asked, "solves": members.solves, "patterns met": met},
        note="; ".join(filter(None, notes)),
    )


@dataclass(slots=True, eq=False)
class PatternMembers:
    """The patterns of a network as bit vectors (`reludsl.regions.xor.Members`).

    Args:
        solve_limit: seconds for one solve.
        solves, late: how many there were, and how many of them ended with neither a pattern nor "infeasible".
    """

    judge: Judge
    program: PatternProgram
    solver: Backend
    limits: Limits
    solve_limit: float
    solves: int = 0
    late: int = 0
    _absent: list[IntArray] = field(default_factory=list)

    @property
    def bits(self) -> int:
        """Number of binaries."""
        return int(self.program.binaries.size)

    def member(self, parities: Parities, deadline: float | None) -> BoolArray | None:
        """The bits of a pattern that is there and satisfies the parities; None where none was found in time."""
        end = time.perf_counter() + self.solve_limit
        end = end if deadline is None else min(end, deadline)
        while True:
            x = self._point(self._matrix(parities), end)
            if x is None:
                return None
            claimed = self.program.pattern_of(x)
            point = self.program.input_of(x)
            shown = self.judge.shown(point[None, :])
            for pattern in shown.patterns[shown.certain]:
                bits = self.program.bits(pattern[None, :])
                if parities.kept(bits).all():
                    return np.asarray(bits[0])
            verdict = self.judge.decide(claimed, end, point)
            bits = self.program.bits(claimed[None, :])
            if verdict.presence is Presence.PRESENT and parities.kept(bits).all():
                return np.asarray(bits[0])
            if verdict.presence is not Presence.ABSENT:
                self.late += 1
                return None
            self._absent.append(claimed)

    def _point(self, matrix: Matrix | None, end: float) -> FloatArray | None:
        """A point that claims a pattern."""
        left = end - time.perf_counter()
        if matrix is None or left <= 0:
            self.late += matrix is not None
            return None
        require_matrix(self.solver, matrix)
        self.solves += 1
        session = self.solver.open(matrix, self.limits)
        try:
            session.set_cost(*self.program.objective, Sense.MAXIMIZE)
            result = session.solve(time_limit=left, stop_objective=ROBUST * self.program.threshold)
        finally:
            session.close()
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        if result.x is None or not self.program.claims(result.x):
            self.late += result.status not in (Status.OPTIMAL, Status.INFEASIBLE)
            return None
        return result.x[: self.program.program.size]

    def _matrix(self, parities: Parities) -> Matrix | None:
        """The program with the parities in it, the bits that they fix together fixed; None where they contradict."""
        system = Elimination(self.bits)
        for subset, odd in zip(parities.subsets, parities.odd.tolist()):
            if not system.add(subset, odd):
                return None
        plain, rows = self.program.matrix(), parity_rows(parities)
        n, binaries = plain.lower.size, self.program.binaries
        placed = rows.bits.tocoo()
        wide = sparse.csr_array((placed.data, (placed.row, binaries[placed.col])), shape=(rows.upper.size, n))
        cuts = self.program.cut(np.array(self._absent, dtype=np.int64).reshape(-1, self.program.settled.size))
        where, value = system.fixed()
        lower, upper = plain.lower.copy(), plain.upper.copy()
        lower[binaries[where]] = upper[binaries[where]] = value
        upper[self.program.none] = 0.0
        q = rows.most.size
        return replace(
            plain,
            rows=sparse.csr_array(
                sparse.block_array([[sparse.vstack([plain.rows, cuts.matrix]), None], [wide, rows.halves]])
                if q
                else sparse.vstack([plain.rows, cuts.matrix, wide])
            ),
            row_lower=np.concatenate([plain.row_lower, cuts.lower, rows.lower]),
            row_upper=np.concatenate([plain.row_upper, cuts.upper, rows.upper]),
            lower=np.append(lower, np.zeros(q)),
            upper=np.append(upper, rows.most),
            integer=np.append(plain.integer, np.ones(q, dtype=np.bool_)),
        )
