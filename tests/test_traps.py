"""Traps that sketches of this language fell into, each a test: tolerances, ties, boundaries, operators of Python."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from solvers import SOLVERS, solver

import reludsl as rd
from reludsl.answer import Verdict
from reludsl.backend import Backend
from reludsl.data import path
from reludsl.errors import InvalidInput
from reludsl.expr import Expr, Input
from reludsl.logic import ALWAYS, NEVER
from reludsl.replay import holds
from reludsl.testing import EnumerationBackend

every_solver = pytest.mark.parametrize("name", SOLVERS)
with_oracle = pytest.mark.parametrize("name", [*SOLVERS, "enumeration"])
with_and_without_search = pytest.mark.parametrize(
    ("name", "search"), [(SOLVERS[0], True), *((name, False) for name in (*SOLVERS, "enumeration"))]
)


def _backend(name: str) -> Backend:
    return EnumerationBackend() if name == "enumeration" else solver(name)


def _network(*layers: tuple[Any, Any]) -> rd.Network:
    """Affine layers with ReLUs between them."""
    parts: list[Any] = []
    for weights, bias in layers:
        parts += [rd.Affine(np.asarray(weights, dtype=np.float64), np.asarray(bias, dtype=np.float64)), rd.relu]
    return rd.Network.chain(parts[:-1], (len(layers[0][0][0]),))


HIDDEN = ([[1, -0.5], [-0.5, 0.75]], [0, 0.25])
LAST = ([[1, -0.5]], [0.125])


def _twins() -> tuple[rd.Network, rd.Network]:
    """The same function twice: the first layer doubled, the second halved."""
    (weights, bias), (out, end) = (tuple(np.array(part) for part in layer) for layer in (HIDDEN, LAST))
    return _network((weights, bias), (out, end)), _network((2 * weights, 2 * bias), (out / 2, end))


@with_and_without_search
def test_identical_functions_are_never_refuted(name: str, search: bool) -> None:
    one, two = _twins()
    x = rd.box(-1, 1, (2,))
    for atol in (1e-6,) if search else (0.0, 1e-9, 1e-6):
        answer = rd.prove(rd.close(one(x), two(x), atol=atol), backend=_backend(name), search=search)
        assert answer.verdict is not Verdict.REFUTED, (atol, answer)
    assert rd.prove(rd.close(one(x), two(x), atol=1e-4), backend=_backend(name), search=search).proved


@every_solver
def test_identical_functions_on_part_of_the_domain_are_never_refuted(name: str) -> None:
    one, two = _twins()
    x = rd.box(-1, 1, (2,))
    some = (x[0] + x[1] <= 0.5) & (one(x)[0] >= 0)
    assert not rd.prove(rd.close(one(x), two(x), atol=1e-6), given=some, backend=_backend(name), search=False).refuted
    assert rd.prove(rd.close(one(x), two(x), atol=1e-3), given=some, backend=_backend(name), search=False).proved


@with_oracle
def test_functions_that_differ_by_more_than_the_margin_are_refuted(name: str) -> None:
    one, _ = _twins()
    weights, bias = HIDDEN
    other = _network((weights, bias), (LAST[0], [0.125 + 1 / 256]))
    x = rd.box(-1, 1, (2,))
    answer = rd.prove(rd.close(one(x), other(x), atol=1e-3), margin=1e-3, backend=_backend(name), search=False)
    assert answer.refuted
    assert answer.slack is not None
    assert answer.slack <= -1e-3
    assert rd.prove(rd.close(one(x), other(x), atol=1 / 256), margin=1e-3, backend=_backend(name), search=False).proved


def _ordered(weight: float) -> tuple[Input, Input, rd.Network]:
    net = _network(([[1, 0.5], [0.5, weight]], [-0.25, 0]), ([[1, 0.5]], [0]))
    return rd.box(0, 1, (2,), name="a"), rd.box(0, 1, (2,), name="b"), net


@with_and_without_search
def test_monotonicity_is_never_refuted_at_slack_zero(name: str, search: bool) -> None:
    a, b, net = _ordered(0.25)
    for given in (b >= a, (b[0] >= a[0]) & (b[1] == a[1])):
        answer = rd.prove(net(b)[0] >= net(a)[0], given=given, backend=_backend(name), search=search)
        assert not answer.refuted, answer
        assert answer.proved or "margin" in answer.reason
        answer = rd.prove(net(b)[0] >= net(a)[0], given=given, margin=1e-3, backend=_backend(name), search=search)
        assert answer.proved, answer


@with_and_without_search
def test_monotonicity_that_fails_is_refuted_with_a_margin(name: str, search: bool) -> None:
    a, b, net = _ordered(-1.5)
    for given in (b >= a, (b[1] >= a[1]) & (b[0] == a[0])):
        answer = rd.prove(net(b)[0] >= net(a)[0], given=given, margin=1e-3, backend=_backend(name), search=search)
        assert answer.refuted, answer
        assert answer.witness is not None
        low, high = answer.witness[a], answer.witness[b]
        assert holds(given, answer.witness)
        assert float(net(low)[0] - net(high)[0]) >= 1e-3 - 1e-12


@with_oracle
def test_argmax_of_a_tie_holds_for_both_labels(name: str) -> None:
    net = _network(([[1.0], [1.0]], [0, 0]), ([[1, 0], [0, 1]], [0, 0]))
    x = rd.box(0, 1, (1,))
    y = net(x)
    for label in (0, 1):
        answer = rd.prove(rd.argmax_is(y, label), backend=_backend(name), search=False)
        assert not answer.refuted
        assert rd.prove(rd.argmax_is(y, label), margin=1e-3, backend=_backend(name), search=False).proved
        assert rd.find(rd.argmax_is(y, label), backend=_backend(name), search=False).proved
        assert rd.find(rd.argmax_is(y, label, margin=1e-3), backend=_backend(name), search=False).refuted
        assert not rd.find(~rd.argmax_is(y, label), backend=_backend(name), search=False).proved


@with_oracle
def test_cheapest_change_with_a_margin_changes_the_label_when_replayed(name: str) -> None:
    """y = (x0 + x1, 1 - x0 + relu(x1 - 1/2)): from (1/4, 1/4) the cheapest way to label 0 costs 1/4."""
    net = _network(([[1, 0], [0, 1], [0, 1]], [0, 0, -0.5]), ([[1, 1, 0], [-1, 0, 1]], [0, 1]))
    x0 = np.array([0.25, 0.25])
    assert int(net(x0).argmax()) == 1
    x = rd.box(0, 1, (2,))
    cost = rd.absolute(x - x0).sum()
    tie = rd.minimize(cost, given=rd.argmax_is(net(x), 0), backend=_backend(name))
    assert tie.value == pytest.approx(0.125, rel=1e-5)
    for margin in (1e-4, 1e-2):
        answer = rd.minimize(cost, given=rd.argmax_is(net(x), 0, margin=margin), backend=_backend(name))
        assert answer.proved, answer
        assert answer.value == pytest.approx(0.125 + margin / 2, rel=1e-5)
        assert answer.witness is not None
        turned = net(answer.witness[x])
        assert int(turned.argmax()) == 0
        assert turned[0] - turned[1] >= margin * (1 - 1e-9)


SIX = ([[1, 0], [0, 1], [1, 1], [-1, -1], [1, -1], [-1, 1]], [0.5, -0.5, 1.75, 1.75, 1.75, 1.75])
"""Six lines through a square: two cross inside, four cut off a corner each, so that there are eight cells."""


def _cells(rows: Any, offsets: Any) -> set[tuple[bool, ...]]:
    """Which sides of some lines meet inside the square, by the exact oracle: one LP per pattern, no binaries."""
    x = rd.box(-1, 1, (2,))
    z = np.array(rows) @ x + np.array(offsets)
    found = set()
    for pattern in itertools.product([False, True], repeat=len(offsets)):
        wanted = rd.all_of(e >= 0 if on else e <= 0 for e, on in zip(z, pattern))
        if rd.find(wanted, margin=2.0**-10, search=False, backend=EnumerationBackend()).proved:
            found.add(pattern)
    return found


def test_six_lines_make_eight_cells() -> None:
    assert len(_cells(*SIX)) == 8


@pytest.mark.parametrize(
    "name", ["highs", *(pytest.param(name, marks=pytest.mark.slow) for name in SOLVERS if name != "highs")]
)
def test_regions_by_exclusion_are_those_of_enumeration(name: str) -> None:
    """Find a point, forbid its pattern, again: none is lost, none comes twice, and it ends with a proof."""
    net = rd.Network.chain([rd.Affine(np.array(SIX[0]), np.array(SIX[1])), rd.relu], (2,))
    x = rd.box(-1, 1, (2,))
    (z,) = net.trace(x).pre
    wanted: rd.Condition = rd.absolute(z) >= 0
    margin = 1e-5  # ten times the tolerance of solvers
    found: set[tuple[bool, ...]] = set()
    while len(found) <= 8:
        answer = rd.find(wanted, margin=margin, backend=solver(name), search=False)
        if not answer.proved:
            break
        assert answer.witness is not None
        at = answer.witness[z]
        assert (np.abs(at) >= margin * (1 - 1e-9)).all()
        pattern = tuple(bool(v > 0) for v in at)
        assert pattern not in found
        found.add(pattern)
        wanted = wanted & rd.any_of(e <= 0 if on else e >= 0 for e, on in zip(z, pattern))
    assert answer.refuted, answer
    assert found == _cells(*SIX)


@with_oracle
def test_empty_and_constant_programs_are_answered_without_a_crash(name: str) -> None:
    backend = _backend(name)
    x = rd.box(0, 1, (2,))
    nothing = x[0] - x[0]
    assert rd.maximize(nothing + 3, backend=backend).value == 3.0
    assert rd.minimize(0 * x[0] + 3, backend=backend).value == 3.0
    assert rd.prove(nothing <= 0, backend=backend).proved
    assert rd.prove(nothing < 0, backend=backend).refuted
    assert rd.find(nothing >= 0, backend=backend).proved
    assert rd.find(nothing > 0, backend=backend).refuted
    point = rd.box(0.5, 0.5, (2,))
    assert rd.maximize(point.sum(), backend=backend).value == 1.0
    assert rd.prove(point <= 0.5, backend=backend).proved
    with pytest.raises(InvalidInput, match="no input"):
        rd.find(ALWAYS, backend=backend)


@every_solver
def test_queries_print_nothing(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    one, two = _twins()
    x = rd.box(-1, 1, (2,))
    backend = solver(name)
    rd.prove(rd.close(one(x), two(x), atol=1e-6), backend=backend, search=False)
    rd.maximize(x[0] - x[0] + 1, backend=backend)
    rd.minimize(one(x)[0], given=two(x)[0] >= 0.5, backend=backend)
    assert capfd.readouterr() == ("", "")


X = rd.box(0, 1, (2,))
U: Any = X
"""The same without its type: what is wrong on purpose would not pass the type checker."""


@pytest.mark.parametrize(
    ("wrong", "mended"),
    [
        (lambda: bool(U[0] <= 1), "&"),
        (lambda: (U[0] <= 1) and (U[1] <= 1), "a & b"),
        (lambda: (U[0] <= 1) or (U[1] <= 1), r"a \| b"),
        (lambda: not (U[0] <= 1), "~a"),
        (lambda: 0 <= U <= 1, r"\(lo <= x\) & \(x <= hi\)"),
        (lambda: 0 <= U[0] <= 1, r"\(lo <= x\) & \(x <= hi\)"),
        (lambda: 1 if U[0] <= 1 else 0, "implies"),
        (lambda: max(U), "maximize"),
        (lambda: min(U[0], U[1]), "maximize"),
        (lambda: sorted(U), "&"),
        (lambda: U[0] in [U[1]], "&"),
        (lambda: 0.5 in U, "any_of"),
        (lambda: all(U <= 1), "&"),
        (lambda: any(U <= 1), "&"),
        (lambda: bool(U), "a & b"),
        (lambda: not U, "a & b"),
        (lambda: (U <= 1) & (U[0] == U[1]) and True, "&"),
    ],
)
def test_truth_of_a_symbol_is_refused_with_what_to_write(wrong: Callable[[], object], mended: str) -> None:
    with pytest.raises(TypeError, match=mended):
        wrong()


@every_solver
def test_truth_of_an_answer_is_refused_with_what_to_write(name: str) -> None:
    answer = rd.find(X[0] >= 0.5, backend=solver(name))
    with pytest.raises(TypeError, match=r"answer\.proved"):
        bool(answer)
    with pytest.raises(TypeError, match="UNKNOWN"):
        assert not answer


def _value(expr: Expr, *point: float) -> list[float]:
    return [float(v) for v in expr.value({X.variable: np.array(point)})]


def test_numpy_on_the_left_is_an_expression_or_a_condition() -> None:
    weights, x0 = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([0.25, 0.5])
    assert _value(weights @ X, 1, 1) == [3, -1]
    assert _value(np.float64(2) * X, 1, 0.5) == [2, 1]
    assert _value(np.float32(2) + X, 1, 0.5) == [3, 2.5]
    assert _value(x0 - X, 1, 1) == [-0.75, -0.5]
    assert _value(x0 * X, 1, 1) == [0.25, 0.5]
    assert _value(np.int64(3) * X[0], 0.5, 0) == [1.5]
    at = {X.variable: np.array([0.25, 0.75])}
    assert holds(x0 <= U, at)
    assert not holds(x0 < U, at)
    assert holds(np.float64(0.25) <= U[0], at)
    assert not holds(x0 == U, at)
    assert holds(x0 != U, at)


@pytest.mark.parametrize(
    "wrong", [lambda: np.maximum(U, 0), lambda: np.abs(U), lambda: np.exp(U), lambda: U @ np.ones(2)]
)
def test_numpy_functions_of_symbols_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        wrong()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: (U[0] <= 1) & True,
        lambda: True | (U[0] <= 1),
        lambda: np.True_ & (U[0] <= 1),
        lambda: rd.all_of(*[U[0] <= 1, True]),
    ],
)
def test_conditions_join_conditions_only(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidInput, match="joins conditions"):
        wrong()


@every_solver
def test_strictness_is_exact_under_negation(name: str) -> None:
    backend = solver(name)
    at = {X.variable: np.array([0.5, 0.5])}
    a, b = X[0], X[1]
    assert holds(a <= b, at)
    assert not holds(~(a <= b), at)
    assert not holds(a < b, at)
    assert holds(~(a < b), at)
    assert holds(~~(a <= b), at)
    # at the end of the domain a strict comparison has no room, a closed one has a point
    for wanted, there in ((a >= 1, True), (a > 1, False), (~(a < 1), True), (~(a <= 1), False)):
        assert rd.find(wanted, backend=backend).proved is there
        assert rd.find(wanted, backend=backend).refuted is not there
        assert rd.prove(~wanted, backend=backend).refuted is there


@every_solver
def test_vector_conditions_hold_everywhere_and_their_negations_somewhere(name: str) -> None:
    backend = solver(name)
    inside, mixed = {X.variable: np.array([0.25, 0.25])}, {X.variable: np.array([0.25, 0.75])}
    small = X <= 0.5
    assert (holds(small, inside), holds(small, mixed)) == (True, False)
    assert (holds(~small, inside), holds(~small, mixed)) == (False, True)
    assert (holds(~~small, inside), holds(~~small, mixed)) == (True, False)
    assert rd.prove(small | ~small, backend=backend).proved
    assert rd.find(small & ~small, backend=backend).refuted
    only_one = ~small & (X[0] <= 0.25)
    answer = rd.find(only_one, backend=backend)
    assert answer.witness is not None
    assert answer.witness[X][1] > 0.5
    # x == c is every element, its negation any of them
    quarter = np.array([0.25, 0.25])
    equal = quarter == U
    assert (holds(equal, inside), holds(equal, mixed), holds(~equal, mixed)) == (True, False, True)
    assert holds(quarter != U, mixed)


@with_oracle
def test_implication_of_hidden_neurons_agrees_with_its_definition(name: str) -> None:
    backend = _backend(name)
    net, _ = _twins()
    x = rd.box(-1, 1, (2,))
    on = net.trace(x).active[0]
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 33)] * 2), axis=-1).reshape(-1, 2)
    seen = net.trace(grid).pre[0] > 0
    for i, j in itertools.permutations(range(2), 2):
        answer = rd.prove(rd.implies(on[i], on[j]), margin=1e-6, backend=backend, search=False)
        assert answer.refuted or not bool((seen[:, i] & ~seen[:, j]).any())
        assert answer.proved is rd.prove(~on[i] | on[j], margin=1e-6, backend=backend, search=False).proved


@every_solver
def test_of_no_conditions_all_hold_and_none_holds(name: str) -> None:
    backend = solver(name)
    some = X[0] <= 0.5
    assert rd.all_of([]) is ALWAYS
    assert rd.any_of([]) is NEVER
    assert ~ALWAYS is NEVER or isinstance(~ALWAYS, type(NEVER))
    assert rd.all_of([], some) is some
    assert rd.any_of([], some) is some
    assert (some & NEVER) is NEVER
    assert (some | ALWAYS) is ALWAYS
    assert rd.find(some & rd.all_of([]), backend=backend).proved
    never = rd.prove(rd.any_of([]), given=some, backend=backend)
    assert never.refuted
    assert never.value == -np.inf
    assert rd.prove(rd.any_of([]), given=X[0] > 1, backend=backend).proved


@pytest.mark.parametrize("name", ["highs", "cbc", "scip", "cvxpy", "cvxpy:SCIPY"])
def test_bound_of_a_trained_neuron_is_on_the_safe_side(name: str) -> None:
    """Two binaries, eight rows: presolve of HiGHS cuts off the optimum, 0.27826, and proves 0.27636; it is off."""
    net = rd.read(path("digits.onnx"))
    with np.load(path("digits.npz")) as held:
        x = rd.ball(held["images"][0], 0.05, clip=(0, 1))
    answer = rd.maximize(net.trace(x).pre[1][7], backend=solver(name))
    assert answer.bound >= 0.27826291
