"""A compiled question on a backend: one model, many objectives, every answer checked.

Of the program only the cone of an objective is loaded, taken apart into independent parts, each lowered once.
What comes back is a bound that may be used in a proof, and inputs that may be replayed:

* the bound of an LP is recomputed from its duals, outward rounded (`reludsl.certificate.dual_bound`);
* the bound of an integer program is the solver's, widened by its tolerances;
* a point counts only through its inputs, moved into their domains; the caller runs the network on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import (
    Backend,
    Capability,
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
    Stop,
    require,
    require_matrix,
)
from reludsl.certificate import dual_bound
from reludsl.errors import SolverFailed
from reludsl.expr import Expr, InputVariable
from reludsl.formulate import Compiled
from reludsl.passes import Choice, Formulation, Neurons, dependencies, formulated, parts, slim, thin, tighten
from reludsl.program import AffineMap, Program

TOLERANCE = 1e-6
"""Feasibility and integrality tolerance that solvers work with."""

RELATIVE = 1e-9
"""Share of an integer program's bound that is given away on top: solvers compare objectives to about so much."""

HOPELESS = 8.0
"""Rounds of cuts like the last that a bound may be away from where it would be enough."""

PATIENCE = 1.0
"""Seconds of rounds that a program gets before anybody asks how far they lead: those of small programs take nothing."""

MOST_CUTS = 400
"""Rows that cuts may add before a program is loaded anew without them."""

LARGEST = 1e15
"""Numbers from here on are refused by HiGHS, and abort CBC."""

Inputs = dict[InputVariable, FloatArray]
OnInputs = Callable[[PointKind, Inputs], Reply]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a solve proved and found.

    Args:
        status: why it ended.
        bound: nothing in the domain is better than this; infinite when nothing was proved.
        inputs: values of the input variables of the best point, inside their domains; None without a point.
        nodes, seconds: of the tree, in the solver.
        trusted: False when the solver voided its word; the bound is infinite then.
        note: what a person should know.
    """

    status: Status
    bound: float
    inputs: Inputs | None
    nodes: int
    seconds: float
    trusted: bool
    note: str


@dataclass(slots=True, eq=False)
class _Loaded:
    """One part, lowered and loaded: the matrix as it was at first, and with the cuts that were added since."""

    program: Program
    plain: Matrix
    matrix: Matrix
    session: Session
    columns: IntArray
    scale: float
    neurons: tuple[tuple[Neurons, Formulation], ...]


class Model:
    """A compiled program on a backend. Use as a context manager, or `close` it.

    Args:
        compiled: from `reludsl.formulate.compile_program`.
        backend: see `reludsl.plugins.load`.
        budget: of `reludsl.passes.sparsify`.

    Raises:
        UnsupportedCapability: the backend cannot solve integer programs and there are some, or cannot switch rows.
        InvalidInput: a formulation is chosen for a layer that does not exist.
    """

    def __init__(
        self,
        compiled: Compiled,
        backend: Backend,
        limits: Limits | None = None,
        formulation: Formulation | Choice = Formulation.BIG_M,
        budget: float = 1e-7,
    ) -> None:
        self.compiled = compiled
        self.backend = backend
        self.limits = limits or Limits()
        self.formulation, self.budget = Choice.every(formulation).checked(compiled.program), budget
        self._cones: dict[tuple[int, ...], list[_Loaded]] = {}
        self._thin: dict[tuple[int, ...], list[tuple[Program, IntArray]]] = {}
        self._slim: tuple[bytes, float, list[_Loaded]] | None = None
        self._ends = np.cumsum([block.size for block in compiled.program.columns])

    def _cone(self, cost: FloatArray, precision: float | None) -> list[_Loaded]:
        """The parts of the program that an objective depends on, loaded once per set of blocks that it mentions.

        A neuron of layer 2 is asked about in a model that holds nothing of layer 3. With a precision the model is that
        of one objective, and the next one takes its place.
        """
        touched = np.flatnonzero(cost)
        key = tuple(np.unique(np.searchsorted(self._ends, touched, side="right")).tolist())
        if key not in self._thin:
            whole = dependencies(self.compiled.program, touched)
            inner = [p for p in parts(whole.program) if p.columns.size]
            self._thin[key] = [(thin(p.program, self.budget), whole.columns[p.columns]) for p in inner]
        if precision is not None:
            asked = touched.tobytes()
            if self._slim is None or self._slim[:2] != (asked, precision):
                self._drop_slim()
                small = [
                    (slim(program, np.flatnonzero(np.isin(columns, touched)), precision), columns)
                    for program, columns in self._thin[key]
                ]
                self._slim = (asked, precision, [self._load(*part) for part in small])
            return self._slim[2]
        if key not in self._cones:
            self._cones[key] = [self._load(*part) for part in self._thin[key]]
        return self._cones[key]

    def _drop_slim(self) -> None:
        if self._slim is not None:
            for loaded in self._slim[2]:
                loaded.session.close()
        self._slim = None

    def _load(self, program: Program, columns: IntArray) -> _Loaded:
        lowering = formulated(program, self.formulation)
        lowered, matrix = lowering.program, lowering.program.matrix()
        require_matrix(self.backend, matrix)
        if matrix.integer.any():
            require(self.backend, Capability.MILP, "use method='lp', or a backend with integer columns")
        scale = solvable_scale(matrix)
        session = self.backend.open(matrix, self.limits)
        return _Loaded(lowered, matrix, matrix, session, columns, scale, lowering.neurons)

    @property
    def _loaded(self) -> list[_Loaded]:
        slimmed = self._slim[2] if self._slim is not None else []
        return [*(part for cone in self._cones.values() for part in cone), *slimmed]

    @property
    def binaries(self) -> int:
        """Integer columns of everything loaded so far."""
        return sum(int(part.matrix.integer.sum()) for part in self._loaded)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the solver's memory; may be called twice."""
        for loaded in self._loaded:
            loaded.session.close()

    def optimise(
        self,
        expr: Expr,
        sense: Sense,
        *,
        relax: bool = False,
        time_limit: float | None = None,
        stop_bound: float | None = None,
        stop_objective: float | None = None,
        below: float | None = None,
        precision: float | None = None,
        on_inputs: OnInputs | None = None,
    ) -> Outcome:
        """Optimise an expression of size 1 over the domains.

        Args:
            relax: over the LP relaxation; the bound comes from the duals.
            stop_bound, stop_objective: see `reludsl.backend.Session.solve`; of use with one part only.
            below: for a maximum: stop as soon as the bound, widened by what the tolerances are worth, is below this.
            precision: how far the bound may be off, in the unit of the columns asked about: the program then holds what
                they depend on by more than this alone (see `reludsl.passes.slim`), far less where weights are small.
            on_inputs: called with the inputs of every incumbent, where the solver shows them, and of every LP of a
                formulation with cuts, where `Stop` ends the rounds.
        """
        index, value, offset = self.compiled.row(expr)
        cost = np.zeros(self.compiled.program.size)
        np.add.at(cost, index, value)
        touched = self._cone(cost, precision)
        whole = np.full(cost.size, np.nan)
        bound, nodes, seconds, trusted = offset, 0, 0.0, True
        outward = numeric.sum_up if sense is Sense.MAXIMIZE else numeric.sum_down
        status, notes, found = Status.OPTIMAL, [], True
        alone = len(touched) == 1
        worst = np.inf if sense is Sense.MAXIMIZE else -np.inf
        began = time.perf_counter()
        for part in touched:
            columns = part.columns
            shift = offset if alone else 0.0
            result, part_bound = self._solve(
                part,
                cost[columns],
                sense,
                relax,
                None if time_limit is None else max(0.0, time_limit - (time.perf_counter() - began)),
                None if stop_bound is None or not alone else stop_bound - shift,
                None if stop_objective is None or not alone else stop_objective - shift,
                None if below is None or not alone else below - shift,
                self._listener(part, on_inputs) if alone else None,
            )
            bound = outward(bound, part_bound)
            nodes, seconds = nodes + result.nodes, seconds + result.seconds
            trusted &= result.trusted
            if result.note:
                notes.append(result.note)
            if result.status is not Status.OPTIMAL:
                status = result.status
            if result.x is None:
                found = False
            else:
                whole[columns] = part.program.original(result.x)
            if result.status is Status.INTERRUPTED:
                if part is not touched[-1]:
                    # the parts that were not reached have no bound
                    bound, found = worst, False
                break
        proved = float(bound) if trusted and np.isfinite(bound) else worst
        return Outcome(
            status, proved, self._inputs(whole) if found else None, nodes, seconds, trusted, "; ".join(notes)
        )

    def _solve(
        self,
        part: _Loaded,
        cost: FloatArray,
        sense: Sense,
        relax: bool,
        time_limit: float | None,
        stop_bound: float | None,
        stop_objective: float | None,
        below: float | None,
        on_point: OnPoint | None,
    ) -> tuple[Result, float]:
        trace = part.program.original
        used = np.flatnonzero(cost)
        row = np.asarray(cost[used] @ sparse.csr_array(trace.matrix)[used])
        constant = float(cost[used] @ trace.offset[used])
        lost = _objective_error(cost, trace, part.program)
        index = np.flatnonzero(row)
        part.session.set_cost(index, row[index], sense, constant)
        began = time.perf_counter()
        sign = 1.0 if sense is Sense.MAXIMIZE else -1.0
        rounds: list[float] = []

        def enough(result: Result, matrix: Matrix) -> bool:
            reply: Reply = None
            if on_point is not None and result.x is not None and result.objective is not None:
                reply = on_point(PointKind.NODE, result.x, result.objective, sign * np.inf)
            if isinstance(reply, Stop):
                return True
            if result.row_duals is None:
                return False
            above = dual_bound(matrix, sign * row, sign * result.row_duals)
            rounds.append(numeric.sum_up(above, sign * constant, lost))
            if stop_bound is None:
                return False
            missing = rounds[-1] - sign * stop_bound
            # the gains of rounds fall: where so many like the last would not do, the rest will not
            hopeless = len(rounds) > 3 and missing > HOPELESS * (rounds[-3] - rounds[-1]) / 2
            dear = time.perf_counter() - began > PATIENCE
            return missing <= 0 or (relax and hopeless and dear)

        if part.neurons:
            if part.matrix.rows.shape[0] > part.plain.rows.shape[0] + MOST_CUTS:
                # cuts made for earlier objectives: the program is faster without them
                part.session.close()
                part.matrix, part.session = part.plain, self.backend.open(part.plain, self.limits)
                part.session.set_cost(index, row[index], sense, constant)
            cut_limit = None if time_limit is None else time_limit * (0.9 if relax else 0.5)
            part.matrix = tighten(part.session, part.matrix, part.neurons, cut_limit, enough).matrix
            time_limit = None if time_limit is None else max(0.0, time_limit - (time.perf_counter() - began))
        integral = bool(part.matrix.integer.any()) and not relax
        if below is not None:
            stop_bound = below - 1.01 * (self._widening(part, row, constant, below) + lost)
        result = part.session.solve(
            relax=relax,
            time_limit=time_limit,
            stop_bound=stop_bound if integral else None,
            stop_objective=stop_objective if integral else None,
            # node events may cost a solver its warm model or its word (CBC); incumbents come for free
            on_point=on_point if integral and Capability.INCUMBENT_EVENTS in self.backend.capabilities else None,
        )
        result = replace(result, seconds=time.perf_counter() - began)
        if integral and part.scale * TOLERANCE >= 1.0 and result.status is not Status.INTERRUPTED:
            # a tolerance times such numbers is no small thing: the tree's bound proves nothing, the relaxation's does
            left = None if time_limit is None else max(0.01, time_limit - result.seconds)
            relaxed = part.session.solve(relax=True, time_limit=left)
            proved = self._bound(part, row, constant, sign, False, relaxed)
            note = f"numbers up to {part.scale:.1g} are beyond the solver's tolerance: the bound is that of the LP"
            result = replace(result, note="; ".join(filter(None, [result.note, note])))
        else:
            proved = self._bound(part, row, constant, sign, integral, result)
        # what a round of cuts has proved stays proved, whatever became of the solve after it
        return result, sign * min([numeric.sum_up(sign * proved, lost), *rounds])

    def _bound(
        self, part: _Loaded, row: FloatArray, constant: float, sign: float, integral: bool, result: Result
    ) -> float:
        if not result.trusted or result.status in (Status.FAILED, Status.UNBOUNDED, Status.INFEASIBLE):
            return sign * np.inf
        if not integral and result.row_duals is not None:
            above = dual_bound(part.matrix, sign * row, sign * result.row_duals)
            return sign * numeric.sum_up(above, sign * constant)
        if result.bound is None:
            return sign * np.inf
        # trusted: an integer program's bound is the solver's word, within its tolerances
        return sign * numeric.sum_up(sign * result.bound, self._widening(part, row, constant, result.bound))

    def _widening(self, part: _Loaded, row: FloatArray, constant: float, bound: float) -> float:
        """What the solver's tolerances may be worth at a bound."""
        scale = max(1.0, float(np.abs(row).max(initial=0.0)))
        return self._slack(part.matrix) * scale + RELATIVE * (abs(bound) + abs(constant))

    def _slack(self, matrix: Matrix) -> float:
        return TOLERANCE * (1.0 + float(np.abs([matrix.lower, matrix.upper]).max(initial=0.0)))

    def slack(self) -> float:
        """What the solver's tolerances may move a bound by: tolerance x (1 + the largest column bound)."""
        return max((self._slack(p.matrix) for p in self._loaded), default=TOLERANCE)

    def _listener(self, part: _Loaded, on_inputs: OnInputs | None) -> OnPoint | None:
        if on_inputs is None:
            return None

        def listen(kind: PointKind, x: FloatArray, objective: float, bound: float) -> Reply:
            whole = np.full(self.compiled.program.size, np.nan)
            whole[part.columns] = part.program.original(x)
            return on_inputs(kind, self._inputs(whole))

        return listen

    def _inputs(self, whole: FloatArray) -> Inputs:
        """The inputs of a point over the original columns; the projection of 0 where the question leaves one free."""
        found = self.compiled.inputs(whole)
        return {
            variable: variable.domain.project(np.where(np.isfinite(x), x, 0.0)[None, :])[0]
            for variable, x in found.items()
        }


def solvable_scale(matrix: Matrix) -> float:
    """The largest number in a program: column bounds, coefficients, finite row sides.

    Where it is 1 / `TOLERANCE` or more, the bound of a tree proves nothing: a tolerance times it is no small thing.

    Raises:
        SolverFailed: it is so large that solvers take it for infinite.
    """
    arrays = (matrix.lower, matrix.upper, matrix.rows.data, matrix.row_lower, matrix.row_upper)
    scale = max(float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in arrays)
    if scale >= LARGEST:
        raise SolverFailed(
            f"the program holds numbers up to {scale:.1g}, which solvers take for infinite or refuse; "
            "scale the network's inputs or weights"
        )
    return scale


def _objective_error(cost: FloatArray, trace: AffineMap, program: Program) -> float:
    """How far the objective over the present columns may be from the one asked for: the trace's error, and rounding."""
    used = np.flatnonzero(cost)
    rows = sparse.csr_array(trace.matrix)[used]
    weight = np.abs(cost[used])
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))
    lost = float(weight @ trace.error[used])
    unit = used.size == 1 and weight[0] == 1.0
    if unit and not trace.offset[used].any():
        return lost
    size = float(weight @ (abs(rows) @ reach + np.abs(trace.offset[used])))
    return numeric.sum_up(lost, numeric.gamma(used.size + 2) * size, numeric.FLOOR * (1.0 + float(reach.sum())))
