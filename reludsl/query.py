"""The verbs `maximize`, `minimize` and `bounds`: what can an expression be, at most and at least?

An answer holds a proved bound, and a value that is reached by a witness: an input, replayed through the plain
forward pass in float64. The two meet when the question is answered completely.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reludsl import plugins
from reludsl.backend import Backend, FloatArray, Limits, Sense, Status
from reludsl.bounds import Bounds, crown, interval
from reludsl.domain import Box, Domain
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.expr import Expr, Input, InputVariable, as_domain
from reludsl.formulate import Compiled, compile_program
from reludsl.network import Network
from reludsl.passes import Formulation
from reludsl.program import activity
from reludsl.progress import OnProgress, Progress, silent
from reludsl.solve import RELATIVE, Model, Outcome

METHODS = ("interval", "crown", "lp", "milp")
"""What `network_bounds` offers, from cheap and wide to dear and tight."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Who answered, and at what cost."""

    backend: str
    version: str
    status: Status
    binaries: int
    nodes: int
    build_seconds: float
    solve_seconds: float
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The extreme of an expression over its domains.

    Args:
        bound: proved: the expression never gets beyond it.
        value: reached by the witness, in plain float64; None where no point was found.
        witness: input variable -> the input, inside its domain.
        reason: why bound and value do not meet; empty where they do, within the solver's tolerance.
        stats: who solved it.
    """

    bound: float
    value: float | None
    witness: Mapping[InputVariable, FloatArray] | None
    reason: str
    stats: Statistics

    @property
    def gap(self) -> float:
        """Distance between bound and value, infinite without a value."""
        return float("inf") if self.value is None else abs(self.bound - self.value)


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Smallest and largest value of every element of an expression: two answers each."""

    lowest: tuple[Answer, ...]
    highest: tuple[Answer, ...]

    @property
    def lower(self) -> FloatArray:
        """Proved lower bounds."""
        return np.array([a.bound for a in self.lowest])

    @property
    def upper(self) -> FloatArray:
        """Proved upper bounds."""
        return np.array([a.bound for a in self.highest])


class Session:
    """One model of some expressions, many questions: `maximize` and `minimize` any of their elements.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), relu,
    ...                      Affine(np.array([[1.0, 1.0]]), np.zeros(1))], (1,))
    >>> y = net(box(-1, 2, (1,)))
    >>> with Session([y], backend=EnumerationBackend()) as session:
    ...     answer = session.maximize(y)
    >>> round(answer.bound, 4), answer.value
    (2.0, 2.0)
    """

    def __init__(
        self,
        exprs: list[Expr],
        *,
        backend: Backend | str | None = None,
        known: Mapping[Network, Bounds] | None = None,
        formulation: Formulation = Formulation.BIG_M,
        threads: int = 1,
        seed: int = 0,
    ) -> None:
        start = time.perf_counter()
        self.backend = plugins.default() if backend is None else plugins.load(backend)
        self.compiled: Compiled = compile_program(exprs, known)
        limits = Limits(threads=threads, seed=seed)
        self.model = Model(self.compiled, self.backend, limits, formulation)
        self._lower, self._upper = self.compiled.program.lower, self.compiled.program.upper
        self.build_seconds = time.perf_counter() - start

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the solver's memory; may be called twice."""
        self.model.close()

    def maximize(self, expr: Expr, *, time_limit: float | None = None, relax: bool = False) -> Answer:
        """The largest value of an expression of size 1. See `maximize`."""
        return self._extreme(expr, Sense.MAXIMIZE, time_limit, relax)

    def minimize(self, expr: Expr, *, time_limit: float | None = None, relax: bool = False) -> Answer:
        """The smallest value of an expression of size 1. See `minimize`."""
        return self._extreme(expr, Sense.MINIMIZE, time_limit, relax)

    def _extreme(self, expr: Expr, sense: Sense, time_limit: float | None, relax: bool) -> Answer:
        outcome = self.model.optimise(expr, sense, relax=relax, time_limit=time_limit)
        sign = 1.0 if sense is Sense.MAXIMIZE else -1.0
        value = None if outcome.inputs is None else float(expr.value(outcome.inputs)[0])
        slack = self.model.slack()
        if value is not None and sign * (value - outcome.bound) > RELATIVE * (1.0 + abs(value)):
            raise SolverFailed(
                f"{self.backend.name} proved {outcome.bound:.9g} as a bound, but the forward pass reaches {value:.9g}; "
                "no bound of this run can be trusted: try another backend"
            )
        # the model's own column bounds are proved as well
        cheap = self._interval(expr, sign)
        bound = cheap if sign * cheap < sign * outcome.bound else outcome.bound
        stats = Statistics(
            self.backend.name,
            self.backend.version(),
            outcome.status,
            self.model.binaries,
            outcome.nodes,
            self.build_seconds,
            outcome.seconds,
            outcome.note,
        )
        return Answer(float(bound), value, outcome.inputs, _reason(outcome, value, float(bound), slack, relax), stats)

    def _interval(self, expr: Expr, sign: float) -> float:
        total = float(expr.constant[0])
        for variable, matrix in expr.terms.items():
            where = self.compiled.position[variable]
            least, most = activity(matrix, self._lower[where], self._upper[where])
            end = float(most[0] if sign > 0 else least[0])
            total = float(np.nextafter(total + end, sign * np.inf))
        return total


def _reason(outcome: Outcome, value: float | None, bound: float, slack: float, relax: bool) -> str:
    if value is not None and abs(bound - value) <= 10 * slack:
        return ""
    if relax:
        return "the LP relaxation was solved, not the integer program"
    if value is None and outcome.status is Status.OPTIMAL:
        return "the solver gave no point"
    return outcome.note or outcome.status.value


def maximize(
    expr: Expr,
    *,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    relax: bool = False,
    threads: int = 1,
    seed: int = 0,
) -> Answer:
    """max of an expression over its domains: a proved bound, and a value reached by a replayed witness.

    Args:
        expr: of size 1.
        backend: name or object; the first installed by default.
        time_limit: seconds; the bound proved by then is returned, and a reason.
        relax: over the LP relaxation: faster, and a looser bound.

    Raises:
        InvalidInput: more than one element.
        SolverFailed: the solver's bound is contradicted by a forward pass.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[2.0]]), np.array([-1.0])), relu], (1,))
    >>> round(maximize(net.trace(box(0, 1, (1,))).pre[0], backend=EnumerationBackend()).bound, 5)
    1.0
    """
    with Session([expr], backend=backend, threads=threads, seed=seed) as session:
        return session.maximize(expr, time_limit=time_limit, relax=relax)


def minimize(
    expr: Expr,
    *,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    relax: bool = False,
    threads: int = 1,
    seed: int = 0,
) -> Answer:
    """min of an expression over its domains (see `maximize`).

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[2.0]]), np.array([-1.0])), relu], (1,))
    >>> answer = minimize(net.trace(box(0, 1, (1,))).pre[0], backend=EnumerationBackend())
    >>> round(answer.bound, 5), answer.value
    (-1.0, -1.0)
    """
    with Session([expr], backend=backend, threads=threads, seed=seed) as session:
        return session.minimize(expr, time_limit=time_limit, relax=relax)


def bounds(
    expr: Expr,
    *,
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    relax: bool = False,
    threads: int = 1,
    seed: int = 0,
) -> Range:
    """Smallest and largest value of every element of an expression, on one session.

    Args:
        time_limit: seconds for all of it, shared evenly.
        relax: over the LP relaxation: faster, wider.

    >>> from reludsl.expr import box
    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.testing import EnumerationBackend
    >>> net = Network.chain([Affine(np.array([[2.0], [1.0]]), np.array([-1.0, 3.0])), relu], (1,))
    >>> found = bounds(net.trace(box(0, 1, (1,))).pre[0], backend=EnumerationBackend())
    >>> found.lower.round(4), found.upper.round(4)
    (array([-1.,  3.]), array([1., 4.]))
    """
    start = time.perf_counter()
    lowest, highest = [], []
    with Session([expr], backend=backend, threads=threads, seed=seed) as session:
        for k, element in enumerate(expr):
            left = None if time_limit is None else max(0.0, time_limit - (time.perf_counter() - start))
            share = None if left is None else left / (2 * (expr.size - k))
            lowest.append(session.minimize(element, time_limit=share, relax=relax))
            highest.append(session.maximize(element, time_limit=share, relax=relax))
    return Range(tuple(lowest), tuple(highest))


def network_bounds(
    network: Network,
    where: Input | Domain,
    *,
    method: str = "crown",
    backend: Backend | str | None = None,
    time_limit: float | None = None,
    threads: int = 1,
    seed: int = 0,
    progress: OnProgress = silent,
) -> Bounds:
    """Bounds of every pre-activation layer and of the output.

    Args:
        method: `interval`, `crown`, `lp` or `milp`; each starts from the one before. For the last two every
            element is maximised and minimised, layer by layer, and each layer's bounds serve the next.
        time_limit: seconds; elements that it leaves out keep the bounds they had.

    Raises:
        InvalidInput: no such method.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[2.0]]), np.array([-1.0])), relu], (1,))
    >>> network_bounds(net, Box([0.0], [1.0]), method="interval").pre(net.hidden[0]).upper.round(9)
    array([1.])
    """
    domain = as_domain(where)
    if method not in METHODS:
        raise InvalidInput(f"no bounds are called {method!r}; there are {', '.join(METHODS)}")
    if method == "interval":
        return interval(network, domain)
    found = crown(network, domain)
    if method == "crown":
        return found
    start = time.perf_counter()
    total, done = sum(s.size for s in network.stages), 0
    for stage in network.stages:
        found = crown(network, domain, found)
        trace = network.trace(Input(domain))
        expr = trace.output if stage.activation is None else trace.pre[stage.index]
        box = found.pre(stage)
        lower, upper = box.lower.copy(), box.upper.copy()
        with Session([expr], backend=backend, known={network: found}, threads=threads, seed=seed) as session:
            for k in range(expr.size):
                left = None if time_limit is None else time_limit - (time.perf_counter() - start)
                if left is not None and left <= 0:
                    break
                share = None if left is None else left / (2 * (total - done))
                for relax in (True,) if method == "lp" else (True, False):
                    lower[k] = max(lower[k], session.minimize(expr[k], time_limit=share, relax=relax).bound)
                    upper[k] = min(upper[k], session.maximize(expr[k], time_limit=share, relax=relax).bound)
                done += 1
                progress(Progress(f"{method} bounds, {stage.name}", done, total))
        if (lower > upper).any():
            k = int((lower > upper).argmax())
            raise SolverFailed(
                f"element {k} of {stage.name} is bounded to [{lower[k]:.9g}, {upper[k]:.9g}], which is empty; "
                "no bound of this run can be trusted: try another backend"
            )
        found = found.tightened({stage.pre: Box(lower, upper)})
    return found
