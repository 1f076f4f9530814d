"""One integer program for all neurons.

    maximise sum_k p_k    over the network's program, p binary,    p_k = 1  =>  sign_k (z_k - break_k) >= margin_k

with one p per goal: a neuron that was not seen beyond a break yet, and might be (Serra, Yu, Kumar, Ramalingam 2021,
Scaling up exact neural network compression by ReLU stability, section 4). Whatever the input of a solution, it is run
through the network, and every goal that it reaches leaves the objective: by the forward pass, never by reading p. When
the *proved bound* is below one, no goal that is left can be reached.

A vertex of the program likes to sit at z = break, where p may be 1 and nothing is certified. Two binaries per goal
keep this from stalling. In the objective stands first p with the margin -delta, delta what the solver's tolerances
may be worth: a bound below one then proves, tolerances included, that the break is not reached. A goal that an
incumbent claims and the forward pass does not confirm goes on with q instead of p, margin +epsilon, which a vertex at
the break does not satisfy. When the bound is below one for these too, they are *near*: within epsilon of the break,
and left to programs of their own.

`restart`  solve, stop at the first incumbent that is worth something, harvest, change the objective, solve again
`in-tree`  one tree: at every node that the solver shows, and at every incumbent, run the input, harvest, and answer
           with rows that switch off what is certified (where the solver takes lazy rows) or with the point of the
           input itself (where it takes suggestions)

A tree with lazy rows proves what is left where its backend gives a proved bound for it; otherwise a restart closes it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import (
    BoolArray,
    Capability,
    FloatArray,
    IntArray,
    Matrix,
    OnPoint,
    PointKind,
    Reply,
    Result,
    Rows,
    Sense,
    Session,
    Status,
    Suggestion,
    require,
    require_matrix,
)
from reludsl.certificate import dual_bound
from reludsl.errors import SolverFailed
from reludsl.solve import TOLERANCE, solvable_scale
from reludsl.stability.goal_program import GoalProgram
from reludsl.stability.run import OUT_OF_TIME, Goal, Run

VAIN = 4
"""LP relaxations in a row that may bring nothing new before a tree is begun."""


class Mode(enum.Enum):
    """How the program is solved."""

    RESTART = "restart"
    IN_TREE = "in-tree"


def one_solve(run: Run, mode: Mode = Mode.RESTART) -> bool:
    """Decide all goals by one program; True where goals near their breaks are left.

    Raises:
        UnsupportedCapability: the solver shows nothing of its tree, which the in-tree mode needs.
    """
    solver = run.solver()
    goals = run.goals()
    if solver is None or not goals:
        return False
    if mode is Mode.IN_TREE:
        shows = solver.capabilities & (Capability.NODE_EVENTS | Capability.INCUMBENT_EVENTS)
        if not shows:
            require(solver, Capability.INCUMBENT_EVENTS, "use mode='restart', or a backend that shows its tree")
    require(
        solver, Capability.MILP | Capability.BOUND, "a bound has to prove that nothing is left; use backend='highs'"
    )
    before, search = run.ledger.bounds, None
    try:
        search = _Search.of(run, goals)
        if mode is Mode.IN_TREE:
            search.in_tree()
        return search.restart()
    except SolverFailed as error:
        # what this solver said contradicts what was seen: none of it is used
        run.ledger.bounds = before
        for goal in run.goals():
            run.unknown(goal, f"{solver.name} cannot be trusted here: {error}", 0.0)
        return False
    finally:
        if search is not None:
            search.session.close()


@dataclass(slots=True, eq=False)
class _Search:
    """The program of some goals on a solver.

    Args:
        open: (k,) goals that nothing is known about yet.
        claimed: (k,) goals that an incumbent claimed and the forward pass did not confirm.
        asked: (k,) goals whose p is in the objective.
        scale: largest number in the program.
        shown, harvested: points that the solver showed in the tree, and goals that these reached.
    """

    run: Run
    goals: list[Goal]
    model: GoalProgram
    matrix: Matrix
    session: Session
    open: BoolArray
    claimed: BoolArray
    asked: BoolArray
    scale: float
    shown: int = 0
    harvested: int = 0
    best: float = field(default=np.inf)

    @classmethod
    def of(cls, run: Run, goals: list[Goal]) -> _Search:
        solver = run.solver()
        assert solver is not None
        model = GoalProgram.of(goals, run.ledger.bounds)
        matrix = model.program.matrix()
        require_matrix(solver, matrix)
        scale = solvable_scale(matrix)
        session = solver.open(matrix, run.limits)
        none = np.zeros(len(goals), dtype=np.bool_)
        return cls(run, goals, model, matrix, session, ~none, none.copy(), none.copy(), scale)

    # --- the two modes ------------------------------------------------------------------------------------------

    def restart(self) -> bool:
        """Solve until the bound is below one; whether goals near their breaks are left."""
        self._relaxation()
        self._probe()
        while self._left():
            self._objective()
            before = self.open.copy(), self.claimed.copy()
            result = self._solve(stop_objective=1.0 - TOLERANCE, stop_bound=1.0 - 2 * self._slack())
            if self._closed(result):
                break
            if result.x is not None:
                self._learn(result.x)
            new = (self.open != before[0]).any() or (self.claimed != before[1]).any()
            if result.status not in (Status.STOPPED, Status.OPTIMAL) or not new:
                self._give_up(result)
                break
        return bool(self.claimed.any())

    def in_tree(self) -> None:
        """One tree whose points are harvested as they come."""
        if not self._left():
            return
        self._objective()
        result = self._solve(relax=True)
        if result.x is not None:
            self._harvest(result.x)
        if not self._left():
            return
        self._objective()
        lazy, suggest = (c in self._capabilities for c in (Capability.LAZY_ROWS, Capability.SUGGEST))

        def on_point(kind: PointKind, x: FloatArray, objective: float, bound: float) -> Reply:
            self.shown += 1
            before = self.open.copy()
            self._harvest(x)
            gone = np.flatnonzero(before & ~self.open)
            self.harvested += gone.size
            self.run.tell("one-solve, in the tree")
            if kind is PointKind.INCUMBENT and lazy:
                # what an incumbent claims in vain would be claimed for ever
                vain = self.open & ~self.claimed & (x[self.model.loose] > 0.5)
                self.claimed |= vain
                gone = np.union1d(gone, np.flatnonzero(vain))
            replies: list[Rows | Suggestion] = []
            if lazy and gone.size:
                replies.append(_switched_off(self.model.loose[gone], x.size))
            elif suggest and gone.size:
                replies.append(Suggestion(self._point(x)))
            return tuple(replies) or None

        # of the time that is left the half: what the tree leaves is closed by restarts
        half = self.run.budget.share(2)
        result = self._solve(stop_bound=1.0 - 2 * self._slack(), on_point=on_point, time_limit=half)
        if lazy and self._closed(result, normal=True):
            return
        if result.x is not None:
            self._harvest(result.x)

    # --- steps --------------------------------------------------------------------------------------------------

    def _left(self) -> bool:
        """Goals are left that the objective is about, and time."""
        self._refresh()
        if self.run.budget.spent():
            for goal in self._still_open():
                self.run.unknown(goal, OUT_OF_TIME, 0.0)
            return False
        return bool(self.open.any())

    def _still_open(self) -> list[Goal]:
        return [goal for goal, open_ in zip(self.goals, self.open) if open_]

    def _refresh(self) -> None:
        """Forget the goals that bounds and witnesses have settled."""
        left = set(self.run.goals())
        self.open &= [goal in left for goal in self.goals]

    def _probe(self) -> None:
        """The LP bound of every goal by itself: where it does not pass the break, p is 0 in every solution.

        The sum in the objective hides this: its LP value adds up to dozens where no p can be 1, and a tree would have
        to branch on each of them.
        """
        for k, goal in enumerate(self.goals):
            if self.run.budget.spent():
                return
            if not (self.open[k] and self.run.open(goal)):
                continue
            row = goal.sign * self.model.z[[k]].toarray()[0]
            self.session.set_cost(np.flatnonzero(row), row[row != 0], Sense.MAXIMIZE)
            result = self._solve(relax=True)
            if result.x is not None:
                self._harvest(result.x)
            if result.row_duals is None:
                continue
            constant = goal.sign * self.model.z_offset[k]
            bound = numeric.sum_up(dual_bound(self.matrix, row, result.row_duals), constant, self.model.z_error[k])
            self.run.tighten(goal, bound, "the LP relaxation")

    def _objective(self, weight: FloatArray | None = None) -> None:
        """p of every goal that is left, q instead where p was claimed in vain; the others are switched off."""
        normal, aside = self.open & ~self.claimed, self.open & self.claimed
        self.asked = normal
        index = np.concatenate([self.model.loose, self.model.strict])
        on = np.concatenate([normal, aside]).astype(np.float64)
        self.session.set_bounds(index, np.zeros(index.size), on)
        chosen = np.flatnonzero(on)
        value = np.ones(chosen.size) if weight is None else np.concatenate([weight, weight])[chosen]
        self.session.set_cost(index[chosen], value, Sense.MAXIMIZE)

    def _relaxation(self) -> None:
        """Inputs of LP relaxations, as long as they reach goals: a warm LP costs a hundredth of a tree.

        Where the plain objective brings nothing new, goals get random weights: any input is as good as another.
        """
        vain = 0
        while vain < VAIN and self._left():
            weight = np.ones(len(self.goals)) if vain == 0 else self.run.rng.random(len(self.goals)) ** 4
            self._objective(weight)
            before = int(self.open.sum())
            result = self._solve(relax=True)
            if result.x is None:
                return
            self._harvest(result.x)
            vain = 0 if int(self.open.sum()) < before else vain + 1

    def _solve(
        self,
        *,
        relax: bool = False,
        stop_bound: float | None = None,
        stop_objective: float | None = None,
        on_point: OnPoint | None = None,
        time_limit: float | None = None,
    ) -> Result:
        """Solve, by default in all the time that is left and with every incumbent harvested."""
        self.run.tell("one-solve")
        if on_point is None and not relax and Capability.INCUMBENT_EVENTS in self._capabilities:
            on_point = self._harvesting
        result = self.session.solve(
            relax=relax,
            time_limit=self.run.budget.left() if time_limit is None else time_limit,
            stop_bound=stop_bound,
            stop_objective=stop_objective,
            on_point=on_point,
        )
        if result.status is Status.INTERRUPTED:
            if result.x is not None:
                self._harvest(result.x)
            raise KeyboardInterrupt
        return result

    @property
    def _capabilities(self) -> Capability:
        solver = self.run.solver()
        assert solver is not None
        return solver.capabilities

    def _harvesting(self, kind: PointKind, x: FloatArray, objective: float, bound: float) -> Reply:
        self.shown += 1
        self._harvest(x)
        return None

    def _harvest(self, x: FloatArray) -> None:
        """Run the input of a point, and forget the goals that it reaches."""
        self.run.ledger.witnesses.add(self.run.domain.project(self.model.input_of(x)))
        self._refresh()

    def _point(self, x: FloatArray) -> FloatArray:
        """The point that belongs to the input of another one."""
        inputs = self.run.domain.project(self.model.input_of(x))
        return self.model.point_of(self.run.network.values(inputs), inputs, self.asked)

    def _learn(self, x: FloatArray) -> None:
        """Harvest an incumbent, and take aside what it claims in vain."""
        self._harvest(x)
        # q claimed in vain: the solver's tolerances reach further than epsilon
        self.open &= ~(self.claimed & (x[self.model.strict] > 0.5))
        self.claimed |= self.open & (x[self.model.loose] > 0.5)

    def _closed(self, result: Result, normal: bool = False) -> bool:
        """Whether the bound proves that no goal of the objective can be reached; those with p are settled then."""
        if not result.trusted or result.bound is None or result.status in (Status.FAILED, Status.INFEASIBLE):
            return False
        if self.scale * TOLERANCE >= 1.0:
            return False
        self.best = float(result.bound)
        # trusted: an integer program's bound is the solver's word, within its tolerances
        if result.bound >= 1.0 - self._slack():
            return False
        for k in np.flatnonzero(self.open & ~self.claimed).tolist():
            goal = self.goals[k]
            # the margin lies below the break, so that the break itself is not reached either
            self.run.tighten(goal, float(np.nextafter(goal.sign * goal.threshold, -np.inf)), "the one-solve program")
        if not normal:
            self.open[:] = False
        self._refresh()
        return True

    def _give_up(self, result: Result) -> None:
        solver = self.run.solver()
        assert solver is not None
        for goal in self._still_open():
            reason = f"{solver.name}: {result.note or result.status.value}"
            if self.scale * TOLERANCE >= 1.0:
                reason = f"numbers up to {self.scale:.1g} are beyond the solver's tolerance; scale inputs or weights"
            if result.status is Status.LIMIT:
                reason = f"time limit; the one-solve program's bound is {self.best:.3g}, it proves below 1"
            self.run.unknown(goal, reason, result.seconds)

    def _slack(self) -> float:
        """What the solver's tolerances may be worth at the objective, a sum of binaries."""
        return min(0.1, TOLERANCE * (1.0 + len(self.goals)) + 1e-3)


def _switched_off(columns: IntArray, width: int) -> Rows:
    """Rows p <= 0."""
    count = columns.size
    matrix = sparse.csr_array((np.ones(count), (np.arange(count), columns)), shape=(count, width))
    return Rows(matrix, np.full(count, -np.inf), np.zeros(count))
