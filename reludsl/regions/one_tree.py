"""Counting by one integer program: find a pattern, cut it off, go on until none is left.

    max f over the program of `reludsl.regions.pattern_program`;   f <= threshold: done
    otherwise note the pattern, add   sum over units of (1 - chosen piece) + none >= 1,   and go on

(Serra, Tjandraatmadja, Ramalingam 2018; the enumeration in one tree is that of Danna et al. 2007.)

`in-tree`  the row is the answer to the incumbent that shows the pattern: the tree goes on where it stands
`restart`  the rows are added and the program is solved again, for solvers that take no rows in their tree
`count`    the solver counts the assignments with f >= threshold by itself; it shows none of them

A pattern counts when an input shows it, or rational arithmetic finds one (`reludsl.regions.presence`); that a solver
claims it is no reason. That no pattern is left is the solver's bound on f, above the threshold and within its
tolerances: thinner regions may be missed, so that this end proves nothing of how many there are.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypedDict, Unpack

import numpy as np

from reludsl import plugins
from reludsl.backend import (
    Backend,
    Capability,
    CountingSession,
    FloatArray,
    IntArray,
    Limits,
    Matrix,
    OnPoint,
    PointKind,
    Reply,
    Result,
    Sense,
    Session,
    Status,
    require,
    require_matrix,
)
from reludsl.bounds import Bounds, crown, settle_ties
from reludsl.domain import Domain, Space
from reludsl.errors import SolverFailed
from reludsl.expr import Input
from reludsl.network import Network
from reludsl.regions.ceiling import ceiling
from reludsl.regions.definition import Definition
from reludsl.regions.edges import unit_count
from reludsl.regions.ledger import Ledger, OnPattern
from reludsl.regions.pattern_program import PatternProgram
from reludsl.regions.presence import Judge, checked
from reludsl.regions.result import Counting, RegionCount
from reludsl.regions.watch import INTERRUPTED, Watch
from reludsl.regions.where import where_of
from reludsl.solve import TOLERANCE, solvable_scale

ROBUST = 100.0
"""An incumbent is enough for a restart when its f is so many thresholds: its input shows the pattern then."""

FINE = 1e-7
"""The tolerance that is asked for, where a backend takes one. Searches take as long as with 1e-6, and find thinner
regions; SCIP has the room to divide it by 1000 (see its backend)."""


class Way(enum.Enum):
    """How the patterns are enumerated."""

    IN_TREE = "in-tree"
    RESTART = "restart"
    COUNT = "count"


@dataclass(frozen=True, slots=True, eq=False)
class Patterns:
    """The patterns found, (m, units), an input for each, (m, input_size), and what they say of the number there is.

    An input that only rationals reach stands here rounded to float64. Iterating gives (pattern, input).
    """

    count: RegionCount
    patterns: IntArray
    witnesses: FloatArray

    def __iter__(self) -> Iterator[tuple[IntArray, FloatArray]]:
        return iter(zip(self.patterns, self.witnesses))

    def __len__(self) -> int:
        return len(self.patterns)


class Options(TypedDict, total=False):
    """What `one_tree` and `find_patterns` take by name.

    Args:
        way: by default in-tree where the backend takes rows in its tree, else restart.
        time_limit: seconds, for all of it.
        min_slack: count only patterns with an input that leaves every edge that counts this far behind, in the unit of
            the pre-activations: the f of the published program. It changes when weights are scaled.
        bounds: proved, of the network on the domain; computed when they are not given.
        limits: of the solver. Patterns are looked for whose slack is ten tolerances; the tolerance is 1e-7 by default.
        on_pattern: called with every pattern that is found; a KeyboardInterrupt raised in it ends the search.
    """

    way: Way | None
    time_limit: float | None
    min_slack: float
    bounds: Bounds | None
    limits: Limits | None
    on_pattern: OnPattern | None


def one_tree(
    network: Network,
    domain: Input | Domain | Space,
    definition: Definition = Definition.ACTIVATION,
    backend: str | Backend | None = None,
    **options: Unpack[Options],
) -> RegionCount:
    """The number of patterns of a network on a box or a polytope, by integer programming.

    lower counts the patterns that an input shows. upper is what the architecture allows (`reludsl.regions.ceiling`),
    even where the search came to its end: that none is left is the solver's word within its tolerances, and regions
    that reach no further than 1e-6 of a unit's range from an edge are missed. `note` says so. Where bounds leave one
    pattern alone, or where as many were found as there can be, the count is exact.

    Args:
        definition: ACTIVATION or PATTERNS.
        backend: with integers and bounds; the first one installed by default.
        options: see `Options`.

    Raises:
        InvalidInput: another definition, another kind of domain, units of an unknown kind.
        UnsupportedCapability: the backend lacks integers, bounds, or what the way needs.
        SolverFailed: the weights span more than solvers can tell apart.

    >>> from reludsl.domain import Box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu], (1,))
    >>> [one_tree(net, Box([-1.0], [1.0]), d, "highs").count for d in (Definition.PATTERNS, Definition.ACTIVATION)]
    [3, 2]
    """
    return find_patterns(network, domain, definition, backend, **options).count


def find_patterns(
    network: Network,
    domain: Input | Domain | Space,
    definition: Definition = Definition.ACTIVATION,
    backend: str | Backend | None = None,
    **options: Unpack[Options],
) -> Patterns:
    """The patterns that `one_tree` counts. Arguments and errors are the same.

    >>> from reludsl.domain import Box
    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [2.0]]), np.array([0.0, -1.0])), relu], (1,))
    >>> sorted(pattern.tolist() for pattern, _ in find_patterns(net, Box([-1.0], [1.0]), backend="highs"))
    [[0, 0], [1, 0], [1, 1]]
    """
    watch, min_slack = Watch.over(options.get("time_limit")), options.get("min_slack", 0.0)
    solver = plugins.default() if backend is None else plugins.load(backend)
    bounded = checked(definition, where_of(domain))
    bounds = options.get("bounds") or settle_ties(crown(network, bounded))
    found = Ledger(Judge(bounds, definition, min_slack), options.get("on_pattern"))
    limits = _limits(solver, options.get("limits") or Limits())
    program = PatternProgram.of(bounds, definition, min_slack, limits.tolerance or TOLERANCE)
    deadline = None if watch.left is None else watch.deadline
    search = _Search(found, program, solver, limits, watch.began, deadline)
    return search.run(_way(solver, options.get("way")))


def _limits(solver: Backend, limits: Limits) -> Limits:
    """With a tolerance, where none is asked for and the backend takes one."""
    if limits.tolerance is None and Capability.TOLERANCE in solver.capabilities:
        return replace(limits, tolerance=FINE)
    return limits


def _way(solver: Backend, way: Way | None) -> Way:
    if way is None:
        return Way.IN_TREE if Capability.LAZY_ROWS in solver.capabilities else Way.RESTART
    if way is Way.IN_TREE:
        require(solver, Capability.LAZY_ROWS, "use way=Way.RESTART, or backend='scip' or 'cbc:lazy'")
    if way is Way.COUNT:
        require(solver, Capability.COUNT, "use way=Way.RESTART, or backend='scip'")
    return way


@dataclass(slots=True, eq=False)
class _Search:
    """A program on a solver, and the patterns that were met.

    Args:
        cuts: bytes of the patterns that were cut off.
    """

    found: Ledger
    program: PatternProgram
    solver: Backend
    limits: Limits
    began: float
    deadline: float | None
    cuts: set[bytes] = field(default_factory=set)
    work: dict[str, int] = field(default_factory=lambda: {"solves": 0, "shown": 0, "cut in the tree": 0})

    def run(self, way: Way) -> Patterns:
        """Search until nothing is left, and say what was found."""
        if not self.program.binaries.size:
            # bounds hold every unit on one piece: the pattern is that of any input
            try:
                self.found.meet(self.program.settled)
                self.found.settle(self.deadline)
            except KeyboardInterrupt:
                return self._answer(False, INTERRUPTED, None)
            return self._answer(True, "bounds leave one pattern", None)
        matrix = self.program.matrix()
        require_matrix(self.solver, matrix)
        require(self.solver, Capability.MILP | Capability.BOUND, "a bound has to end the search; use backend='highs'")
        if solvable_scale(matrix) * TOLERANCE >= 1.0:
            raise SolverFailed(
                f"the program holds numbers up to {solvable_scale(matrix):.1g}, beyond the tolerances of solvers, so "
                "that neither patterns nor their end can be told; scale inputs or weights, or count by another method"
            )
        session = self.solver.open(matrix, self.limits)
        try:
            if way is Way.COUNT:
                return self._counted(session, matrix)
            session.set_cost(*self.program.objective, Sense.MAXIMIZE)
            complete, note = self._searched(session, way)
        finally:
            session.close()
        return self._answer(complete, note, None)

    def _searched(self, session: Session, way: Way) -> tuple[bool, str]:
        complete, note = False, ""
        try:
            if way is Way.IN_TREE:
                complete, note = self._in_tree(session)
            if not complete and not note:
                complete, note = self._restart(session)
        except KeyboardInterrupt:
            return False, INTERRUPTED
        try:
            self.found.settle(self.deadline)
        except KeyboardInterrupt:
            return False, INTERRUPTED
        return complete, note

    # --- the ways -----------------------------------------------------------------------------------------------

    def _in_tree(self, session: Session) -> tuple[bool, str]:
        """One tree; whether its bound closed it, and why the search is over, if it is."""

        def on_point(kind: PointKind, x: FloatArray, objective: float, bound: float) -> Reply:
            if kind is not PointKind.INCUMBENT or not self.program.claims(x):
                return None
            self.work["shown"] += 1
            new = self._claim(x)
            self.work["cut in the tree"] += len(new)
            return self.program.cut(new)

        result = self._solve(session, on_point)
        if self._closed(result):
            return True, ""
        if self.cuts:
            cut = np.array([np.frombuffer(key, dtype=np.int64) for key in self.cuts])
            session.add_rows(self.program.cut(cut))
        return False, "time limit" if self._late() else ""

    def _restart(self, session: Session) -> tuple[bool, str]:
        """Solve, cut off what was found, solve again."""
        stop = min(ROBUST * self.program.threshold, 0.01) if self.found.judge.min_slack == 0 else None

        def on_point(kind: PointKind, x: FloatArray, objective: float, bound: float) -> Reply:
            if kind is PointKind.INCUMBENT and self.program.claims(x):
                self.work["shown"] += 1
                fresh.append(self._claim(x))
            return None

        # an incumbent costs some solvers their warm model (CBC): it is watched where rows may follow it anyway
        watch = Capability.INCUMBENT_EVENTS in self.solver.capabilities
        watch &= Capability.STOP_OBJECTIVE in self.solver.capabilities
        while True:
            fresh: list[IntArray] = []
            result = self._solve(session, on_point if watch else None, stop)
            if result.x is not None and self.program.claims(result.x):
                fresh.append(self._claim(result.x))
            new = np.concatenate([np.zeros((0, self.program.settled.size), dtype=np.int64), *fresh])
            if len(new):
                session.add_rows(self.program.cut(new))
            elif self._closed(result):
                return True, ""
            over = self._over(result)
            if over:
                return False, over
            if not len(new):
                return False, f"{self.solver.name} stopped without a new pattern and without a bound: {result.note}"

    def _counted(self, session: Session, matrix: Matrix) -> Patterns:
        """The solver's own count of the assignments with f >= threshold."""
        if not isinstance(session, CountingSession):
            raise SolverFailed(f"{self.solver.name} offers COUNT, and its session does not count")
        index = np.array([self.program.slack, self.program.none])
        least = self.program.threshold / self.program.scale[self.program.slack]
        session.set_bounds(index, np.array([least, 0.0]), np.array([matrix.upper[self.program.slack], 0.0]))
        # trusted: the number is the solver's word; no pattern of it is shown
        told = session.count(self._left())
        note = f"{self.solver.name} counted the assignments with f >= {self.program.threshold:g}; none was checked"
        return self._answer(told.complete, "; ".join(filter(None, [note, told.note])), told.count)

    # --- steps --------------------------------------------------------------------------------------------------

    def _solve(self, session: Session, on_point: OnPoint | None, stop: float | None = None) -> Result:
        self.work["solves"] += 1
        result = session.solve(time_limit=self._left(), on_point=on_point, stop_objective=stop)
        if result.status is Status.INTERRUPTED:
            raise KeyboardInterrupt
        return result

    def _left(self) -> float | None:
        return None if self.deadline is None else max(0.01, self.deadline - time.perf_counter())

    def _over(self, result: Result) -> str:
        """Why the search cannot go on; empty where it can."""
        if result.status in (Status.FAILED, Status.UNBOUNDED):
            return f"{self.solver.name}: {result.note or result.status.value}"
        return "time limit" if self._late() else ""

    def _late(self) -> bool:
        return self.deadline is not None and time.perf_counter() >= self.deadline - 0.01

    def _closed(self, result: Result) -> bool:
        """Whether a bound says that no pattern is left with more than the threshold."""
        if not result.trusted or result.bound is None or result.status in (Status.FAILED, Status.INFEASIBLE):
            return False
        # trusted: the bound of the integer program with all cuts in it, within the solver's tolerances
        tolerance = self.limits.tolerance or TOLERANCE
        return result.bound <= self.program.threshold * (1.0 + tolerance) + tolerance

    def _claim(self, x: FloatArray) -> IntArray:
        """Note the pattern that a point claims, and what its input shows; those to cut off: (k, units)."""
        claimed = self.program.pattern_of(x)
        point = self.program.input_of(x)
        shown = self.found.see(point[None, :])
        self.found.meet(claimed, point)
        return self._uncut(np.concatenate([claimed[None, :], shown]))

    def _uncut(self, patterns: IntArray) -> IntArray:
        """Those that no row cuts off yet; the caller answers with their rows."""
        new = {pattern.tobytes(): pattern for pattern in patterns}
        fresh = [pattern for key, pattern in new.items() if key not in self.cuts]
        self.cuts |= new.keys()
        return np.array(fresh, dtype=np.int64).reshape(len(fresh), patterns.shape[1])

    def _answer(self, complete: bool, note: str, told: int | None) -> Patterns:
        found = self.found
        network, definition = found.judge.network, found.judge.definition
        lower, ambiguous = len(found.regions), len(found.open)
        solved = bool(self.program.binaries.size)
        if complete and solved and told is None:
            note = f"{self.solver.name} found no more {self.program.looked_for}: within its tolerances, no proof"
        # a solver's end is no proof: thin regions are below its tolerances
        proved = complete and not solved
        upper = lower + ambiguous if proved else ceiling(network, definition, self.program.most)
        count = RegionCount(
            count=lower if told is None else told,
            lower=lower if told is None else 1,
            upper=upper,
            ambiguous=ambiguous,
            definition=definition,
            units=unit_count(found.judge.layers),
            method=Counting.ONE_TREE,
            seconds=time.perf_counter() - self.began,
            complete=complete,
            margin=found.margin,
            work={**self.work, **found.work},
            note=note,
        )
        return Patterns(count, *found.arrays())
