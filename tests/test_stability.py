"""Stability certificates: exact oracles, knife edges, agreement of methods and solvers, honesty."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from ladder import hard_network, ladder
from solvers import SOLVERS, solver

from reludsl.backend import Backend, Capability, Limits, Matrix, Result, Session, Status
from reludsl.bounds import crown, interval
from reludsl.domain import Ball, Box, Norm, Polytope
from reludsl.errors import InvalidInput, MissingBackend
from reludsl.exact import exactly
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network
from reludsl.query import network_bounds
from reludsl.stability import Facts, Method, stable
from reludsl.testing import EnumerationBackend


def dense(weight: Any, bias: Any) -> Layer:
    return Affine(np.array(weight, dtype=np.float64), np.array(bias, dtype=np.float64))


def one_layer(weight: Any, bias: Any) -> Network:
    w = np.asarray(weight, dtype=np.float64)
    return Network.chain(
        [Affine(w, np.asarray(bias, dtype=np.float64)), relu, dense(np.ones((1, len(w))), [0.0])],
        (w.shape[1],),
    )


def sets(facts: Facts, stage: int) -> tuple[list[int], list[int], list[int], list[int]]:
    s = facts.stages[stage]
    return s.stably_inactive.tolist(), s.stably_active.tolist(), s.unstable.tolist(), s.unknown.tolist()


def check_witnesses(facts: Facts) -> None:
    """The two inputs of every unstable neuron, replayed in plain numpy and exactly, switch it."""
    arrays: dict[str, Any] = facts.switching_inputs()
    for layer, neuron, high, low in zip(*(arrays[k] for k in ("layer", "neuron", "active_input", "inactive_input"))):
        stage = facts.network.hidden[layer]
        assert facts.domain.contains(np.stack([high, low])).all()
        above = facts.network.exact_values(exactly(high), stage.pre)[stage.pre][neuron]
        below = facts.network.exact_values(exactly(low), stage.pre)[stage.pre][neuron]
        assert above > 0 > below
    assert len(arrays["layer"]) == sum(s.unstable.size for s in facts.stages)


def test_ladder_is_decided_by_milp_and_by_nothing_cheaper() -> None:
    net, box = ladder()
    stage = net.hidden[1]
    assert interval(net, box).pre(stage).upper[0] == pytest.approx(0.75)
    lp = network_bounds(net, box, method="lp", backend=EnumerationBackend())
    assert lp.pre(stage).upper[0] == pytest.approx(0.25, abs=1e-6)
    milp = network_bounds(net, box, method="milp", backend=EnumerationBackend())
    assert milp.pre(stage).upper[0] == pytest.approx(-0.25, abs=1e-5)
    for method in Method:
        facts = stable(net, box, method=method, backend=EnumerationBackend())
        assert sets(facts, 1) == ([0], [], [], [])


def test_knife_edges_are_decided_exactly() -> None:
    weight = [[1, 1], [1, 1], [1, 0], [1, 0], [1, -1], [0, 0], [0, 0]]
    net = one_layer(weight, [-3, -2, 0.5, 0, 0, 0, 1])
    for method in Method:
        facts = stable(net, Box([0.0, 0.0], [1.0, 1.0]), method=method, backend=EnumerationBackend())
        # x1+x2-3 and x1+x2-2 (max exactly 0) never switch on, the zero row is both (called inactive)
        assert sets(facts, 0) == ([0, 1, 5], [2, 3, 6], [4], [])


def test_knife_edges_switch_under_strict_stability() -> None:
    net = one_layer([[1, 1], [1, 1], [1, 0], [1, 0], [0, 0]], [-3, -2, 0.5, 0, 0])
    facts = stable(net, Box([0.0, 0.0], [1.0, 1.0]), strict=True)
    inactive, active, unstable, unknown = sets(facts, 0)
    assert (inactive, active) == ([0], [2])
    # 1, 3 and 4 touch the break: an input with z >= 0 and one with z <= 0 exist
    assert sorted(unstable + unknown) == [1, 3, 4]
    assert unknown == []


def test_knife_edge_in_the_second_layer_is_proved_by_exact_bounds() -> None:
    # h = relu(x) + relu(x + 1) on [0, 1] is stable below, so that h - 3 has its maximum exactly at 0
    layers: list[Layer] = [dense([[1.0], [1.0]], [0.0, 1.0]), relu, dense([[1.0, 1.0], [1.0, 1.0]], [-3.0, -1.0]), relu]
    net = Network.chain([*layers, dense(np.ones((1, 2)), [0.0])], (1,))
    facts = stable(net, Box([0.0], [1.0]))
    assert sets(facts, 1) == ([0], [1], [], [])


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("method", list(Method))
def test_hard_network_is_decided_exactly_on_each_solver(name: str, method: Method) -> None:
    backend = solver(name)
    net, box, inactive, active, unstable = hard_network()
    cheap = crown(net, box)
    assert cheap.unstable(net.hidden[1]).all()
    lp = network_bounds(net, box, method="lp", backend=backend)
    assert lp.unstable(net.hidden[1]).sum() >= 16
    facts = stable(net, box, method=method, backend=backend)
    assert sets(facts, 1) == (inactive, active, unstable, [])
    check_witnesses(facts)


@pytest.mark.parametrize("name", SOLVERS)
def test_methods_and_solvers_agree_with_enumeration_on_random_networks(name: str) -> None:
    backend = solver(name)
    decided = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        layers: list[Any] = []
        width = 3
        for size in (5, 4):
            layers += [Affine(rng.integers(-8, 9, (size, width)) / 8, rng.integers(-8, 9, size) / 8), relu]
            width = size
        net = Network.chain([*layers, Affine(np.ones((1, width)), np.zeros(1))], (3,))
        box = Box.full(-1.0, 1.0, (3,))
        oracle = stable(net, box, method="per-neuron", backend=EnumerationBackend())
        for method in Method:
            facts = stable(net, box, method=method, backend=backend)
            check_witnesses(facts)
            for mine, truth in zip(facts.stages, oracle.stages):
                both = (mine.piece >= -1) & (truth.piece >= -1)
                assert (mine.piece[both] == truth.piece[both]).all()
                decided += int(both.sum())
    assert decided >= 6 * 2 * 9 - 6


def test_activations_of_several_breaks_are_certified_by_piece() -> None:
    hard_tanh = PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))
    net = Network.chain(
        [
            dense([[1.0], [0.5], [1.0], [2.0]], [5.0, 0.0, -5.0, 0.0]),
            hard_tanh,
            dense(np.ones((1, 4)), [0.0]),
        ],
        (1,),
    )
    facts = stable(net, Box([-1.0], [1.0]))
    assert facts.stages[0].piece.tolist() == [2, 1, 0, -1]
    assert facts.stages[0].stably_inactive.tolist() == [0, 2]
    assert facts.stages[0].stably_active.tolist() == [1]


@pytest.mark.parametrize(
    "domain",
    [
        Ball(np.array([0.5, 0.5]), 0.25),
        Ball(np.array([0.5, 0.5]), 0.25, Norm.L1),
        Polytope(np.array([[1.0, 1.0]]), np.array([0.75]), Box([0.0, 0.0], [1.0, 1.0])),
    ],
)
def test_domains_other_than_boxes_are_certified(domain: Any) -> None:
    # max of x1 + x2 is 1.5, 1.25 and 0.75; of x1 0.75, 0.75 and 0.75
    net = one_layer([[1, 1], [1, 1], [1, 0]], [-1.375, -0.78125, -0.78125])
    facts = stable(net, domain)
    best = {Norm.LINF: 1.5, Norm.L1: 1.25}[domain.norm] if isinstance(domain, Ball) else 0.75
    expected = [0 if best <= 1.375 else -1, 0 if best <= 0.78125 else -1, 0]
    assert facts.stages[0].piece.tolist() == expected
    check_witnesses(facts)


class Sluggish(EnumerationBackend):
    """Reaches its time limit on every integer program."""

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        inner = super().open(matrix, limits)

        class Slow:
            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

            def solve(self, **options: Any) -> Result:
                if matrix.integer.any() and not options.get("relax"):
                    return Result(Status.LIMIT, note="out of time")
                return inner.solve(**options)

        return Slow()


class Broken(EnumerationBackend):
    """Claims absurd bounds: every maximum is below -5."""

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        inner = super().open(matrix, limits)

        class Liar:
            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

            def solve(self, **options: Any) -> Result:
                result = inner.solve(**options)
                return result if options.get("relax") else replace(result, bound=-5.0)

        return Liar()


class Infeasible(EnumerationBackend):
    """Calls every integer program infeasible."""

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        inner = super().open(matrix, limits)

        class Denier:
            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

            def solve(self, **options: Any) -> Result:
                return inner.solve(**options) if options.get("relax") else Result(Status.INFEASIBLE)

        return Denier()


@pytest.mark.parametrize("backend", [Sluggish(), Infeasible()])
def test_neurons_are_unknown_with_reason_when_the_solver_gives_up(backend: Backend) -> None:
    net, box = ladder()
    facts = stable(net, box, backend=backend)
    assert sets(facts, 1) == ([], [], [], [0])
    assert facts.undecided == 1
    why = facts.unknown[1, 0]
    assert why.reason
    assert why.seconds > 0


def test_wrong_bound_never_makes_a_seen_neuron_stable() -> None:
    # z reaches 1/4 at x = 1: every witness contradicts the claimed bound -5
    layers: list[Layer] = [dense([[2.0], [1.0]], [-1.0, -0.5]), relu, dense([[1.0, -1.0]], [-0.25]), relu]
    net = Network.chain([*layers, dense([[1.0]], [0.0])], (1,))
    facts = stable(net, Box([0.0], [1.0]), backend=Broken(), method="per-neuron")
    assert sets(facts, 1)[0] == []


def test_time_limit_of_zero_leaves_unknown_and_never_stable() -> None:
    net, box, *_ = hard_network()
    facts = stable(net, box, time_limit=0.0, backend=EnumerationBackend())
    assert facts.stages[1].stably_active.size == facts.stages[1].stably_inactive.size == 0
    assert all("time" in why.reason for why in facts.unknown.values())


def test_backend_without_bounds_refutes_and_never_proves() -> None:
    scipy_solver = solver("cvxpy:SCIPY")
    assert Capability.BOUND not in scipy_solver.capabilities
    net, box, _, _, unstable = hard_network()
    facts = stable(net, box, backend=scipy_solver, method="per-neuron")
    assert facts.stages[1].unstable.tolist() == unstable
    found = facts.stages[1]
    assert (found.stably_active.size, found.stably_inactive.size, found.unknown.size) == (0, 0, 16)


def test_missing_backend_is_named_with_what_to_install() -> None:
    net, box = ladder()
    with pytest.raises(MissingBackend, match="nosuch"):
        stable(net, box, backend="nosuch")


def test_domain_of_another_size_is_refused() -> None:
    net, _ = ladder()
    with pytest.raises(InvalidInput, match="coordinates"):
        stable(net, Box([0.0, 0.0], [1.0, 1.0]))


def test_given_data_counts_as_witness_only_inside_the_domain() -> None:
    net = one_layer([[1.0]], [-10.0])
    facts = stable(net, Box([0.0], [1.0]), data=np.array([[20.0]]))
    assert sets(facts, 0) == ([0], [], [], [])


def test_same_seed_gives_the_same_run() -> None:
    net, box, *_ = hard_network()
    backend = solver("highs")
    first, second = (stable(net, box, seed=3, backend=backend).switching_inputs() for _ in range(2))
    assert all((first[k] == second[k]).all() for k in first)


def test_negative_input_bounds_are_not_clipped_to_zero() -> None:
    # with inputs taken as >= 0 the neuron -x - 1/2 would look stably inactive
    facts = stable(one_layer([[-1.0]], [-0.5]), Box([-1.0], [1.0]))
    assert sets(facts, 0) == ([], [], [0], [])


def test_exact_value_of_the_ladder_is_constant() -> None:
    net, _ = ladder()
    stage = net.hidden[1]
    for x in (0.0, 0.3, 0.5, 0.9, 1.0):
        assert net.exact_values(exactly(np.array([x])), stage.pre)[stage.pre][0] == Fraction(-1, 4)


def test_wrong_arguments_are_invalid_input_with_what_to_write() -> None:
    net, box = ladder()
    with pytest.raises(InvalidInput, match="per-neuron"):
        stable(net, box, method="two-solve")
    with pytest.raises(InvalidInput, match="batch"):
        stable(net, box, data=np.zeros((3, 2)))
    with pytest.raises(InvalidInput, match="Box"):
        stable(net, (0, 1))  # type: ignore[arg-type]


def test_solver_that_contradicts_a_witness_leaves_no_bound_of_that_stage() -> None:
    # z0 reaches 1/4 at x = 1, which refutes the lie about it; the lie about z1 = u1 - 2 u2 + 1/4 must go too
    layers: list[Layer] = [dense([[2.0], [1.0]], [-1.0, -0.5]), relu, dense([[1.0, -1.0], [1.0, -2.0]], [-0.25, 0.25])]
    net = Network.chain([*layers, relu, dense([[1.0, 1.0]], [0.0])], (1,))
    facts = stable(net, Box([0.0], [1.0]), backend=Broken(), method="per-neuron")
    assert facts.stages[1].stably_inactive.size == 0
    assert facts.stages[1].piece[1] != 0
