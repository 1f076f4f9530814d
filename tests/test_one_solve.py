"""One-solve certification: the sets of enumeration in every mode on every solver, by witnesses and bounds alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ladder import hard_network, ladder
from solvers import SOLVERS, solver
from test_stability import check_witnesses, dense, one_layer, sets

from reludsl.backend import Backend, Capability, Limits, Matrix, Result, Session, Status, UnsupportedCapability
from reludsl.bounds import crown
from reludsl.domain import Box
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network
from reludsl.progress import silent
from reludsl.stability import Facts, Mode, one_solve, stable
from reludsl.stability.budget import Budget
from reludsl.stability.facts import Ledger
from reludsl.stability.run import Run
from reludsl.testing import EnumerationBackend, oracle
from reludsl.witness import Witnesses


def random_network(seed: int) -> tuple[Network, Box]:
    """2-5 inputs, two layers of 4-8 neurons, some of them stable."""
    rng = np.random.default_rng(seed)
    inputs, width = int(rng.integers(2, 6)), int(rng.integers(4, 9))
    layers: list[Layer] = []
    for n in (inputs, width):
        weight = rng.normal(size=(width, n)) * (rng.random((width, n)) < 0.6)
        bias = 1.5 * rng.normal(size=width)
        layers += [Affine(weight, bias), relu]
    layers.append(Affine(np.ones((1, width)), np.zeros(1)))
    return Network.chain(layers, (inputs,)), Box.full(-1.0, 1.0, (inputs,))


def found(facts: Facts) -> list[list[int]]:
    return [stage.piece.tolist() for stage in facts.stages]


def modes(backend: Backend) -> list[Mode]:
    events = Capability.NODE_EVENTS | Capability.INCUMBENT_EVENTS
    return [Mode.RESTART, Mode.IN_TREE] if backend.capabilities & events else [Mode.RESTART]


@pytest.mark.parametrize("name", SOLVERS)
def test_sets_of_random_networks_are_those_of_enumeration(name: str) -> None:
    backend = solver(name)
    if Capability.BOUND not in backend.capabilities:
        pytest.skip(f"{name} proves no bounds")
    stable_neurons = 0
    for seed in range(32):
        network, box = random_network(seed)
        truth = [piece.tolist() for piece in oracle.stability(network, box)]
        stable_neurons += sum(p >= 0 for piece in truth for p in piece)
        for mode in modes(backend):
            facts = stable(network, box, method="one-solve", mode=mode, backend=backend)
            assert found(facts) == truth, (seed, mode)
            check_witnesses(facts)
    assert stable_neurons >= 100


def test_constant_rows_and_exact_ties_are_decided_and_never_stall() -> None:
    # a zero row, a zero row with a bias, a maximum of exactly 0, a minimum of exactly 0, and one that switches
    network = one_layer([[0, 0], [0, 0], [1, 1], [1, 0], [1, -1]], [0, 1, -2, 0, 0])
    for mode in Mode:
        facts = stable(network, Box([0.0, 0.0], [1.0, 1.0]), method="one-solve", mode=mode, backend=solver("cbc"))
        assert sets(facts, 0) == ([0, 2], [1, 3], [4], [])


def test_near_ties_are_left_to_programs_of_their_own() -> None:
    # u1 - 2 u2 = 0 everywhere: the second layer's neurons have a maximum of -1e-5, 0 and 1e-5
    first = Affine(np.array([[2.0], [1.0], [1.0]]), np.array([-1.0, -0.5, 0.0]))
    second = Affine(np.array([[1.0, -2.0, 0.0]] * 3), np.array([-1e-5, 0.0, 1e-5]))
    network = Network.chain([first, relu, second, relu, dense(np.ones((1, 3)), [0.0])], (1,))
    facts = stable(network, Box([0.0], [1.0]), method="one-solve", backend=EnumerationBackend())
    assert facts.stages[1].piece[0] in (0, -2)
    assert facts.stages[1].piece[2] in (1, -2)
    assert -1 not in facts.stages[1].piece
    assert all("tolerance" in why.reason or "proved" in why.reason for why in facts.unknown.values())


def test_the_hard_network_is_decided_in_every_mode_on_every_solver_that_proves() -> None:
    network, box, inactive, active, unstable = hard_network()
    for name in SOLVERS:
        backend = solver(name)
        if Capability.BOUND not in backend.capabilities:
            continue
        # CBC's tree calls back through a process of its own, which takes half a minute here
        for mode in modes(backend) if name != "cbc" else [Mode.RESTART]:
            facts = stable(network, box, method="one-solve", mode=mode, backend=backend)
            assert sets(facts, 1) == (inactive, active, unstable, []), (name, mode)


def test_activations_of_several_breaks_are_certified_by_piece() -> None:
    hard_tanh = PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))
    first = dense([[1.0], [0.5], [1.0], [2.0]], [5.0, 0.0, -5.0, 0.0])
    second = dense([[0.0, 1.0, 0.0, 1.0], [0.0, 0.25, 0.0, 0.25]], [3.0, 0.0])
    network = Network.chain([first, hard_tanh, second, hard_tanh, dense(np.ones((1, 2)), [0.0])], (1,))
    box = Box([-1.0], [1.0])
    truth = [piece.tolist() for piece in oracle.stability(network, box)]
    for mode in Mode:
        assert found(stable(network, box, method="one-solve", mode=mode, backend=solver("cbc"))) == truth


def test_output_neurons_are_no_part_of_the_question() -> None:
    network, box = ladder()
    facts = stable(network, box, method="one-solve", backend=EnumerationBackend())
    assert [stage.stage.name for stage in facts.stages] == [stage.name for stage in network.hidden]


def test_mode_without_callbacks_is_refused_where_the_solver_shows_nothing() -> None:
    network, box = ladder()
    with pytest.raises(UnsupportedCapability, match="restart"):
        stable(network, box, method="one-solve", mode="in-tree", backend=solver("cvxpy"))


def test_backend_without_bounds_is_refused() -> None:
    network, box = ladder()
    with pytest.raises(UnsupportedCapability, match="bound"):
        stable(network, box, method="one-solve", backend=solver("cvxpy:SCIPY"))


class Bent:
    """A backend every integer answer of which goes through `bend`."""

    def __init__(self, bend: Any) -> None:
        self.exact, self.bend = EnumerationBackend(), bend

    def __getattr__(self, name: str) -> Any:
        return getattr(self.exact, name)

    def open(self, matrix: Matrix, limits: Limits) -> Session:
        inner, bend = self.exact.open(matrix, limits), self.bend

        class Bending:
            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

            def solve(self, **options: Any) -> Result:
                result = inner.solve(**options)
                return result if options.get("relax") or not matrix.integer.any() else bend(result, matrix)

        return Bending()


def _blurred(result: Result, matrix: Matrix) -> Result:
    """Integers as solvers give them: 0.99999 for 1."""
    return result if result.x is None else replace(result, x=np.where(matrix.integer, 0.99999 * result.x, result.x))


@pytest.mark.parametrize("seed", range(6))
def test_integers_within_tolerance_of_one_certify_what_they_certify(seed: int) -> None:
    network, box = random_network(seed)
    truth = [piece.tolist() for piece in oracle.stability(network, box)]
    assert found(stable(network, box, method="one-solve", backend=Bent(_blurred))) == truth


@pytest.mark.parametrize(
    "bend",
    [
        lambda result, matrix: Result(Status.LIMIT, note="out of time"),
        lambda result, matrix: Result(Status.FAILED, note="broke down"),
        lambda result, matrix: Result(Status.INFEASIBLE),
        lambda result, matrix: replace(result, trusted=False),
    ],
    ids=["limit", "failure", "infeasible", "untrusted"],
)
def test_no_answer_never_makes_a_neuron_stable(bend: Any) -> None:
    network, box = ladder()
    facts = stable(network, box, method="one-solve", backend=Bent(bend))
    assert sets(facts, 1) == ([], [], [], [0])
    assert facts.unknown[1, 0].reason


def test_wrong_bound_never_makes_a_seen_neuron_stable() -> None:
    # z reaches 1/4 at x = 1
    layers: list[Layer] = [dense([[2.0], [1.0]], [-1.0, -0.5]), relu, dense([[1.0, -1.0]], [-0.25]), relu]
    network = Network.chain([*layers, dense([[1.0]], [0.0])], (1,))
    lie = Bent(lambda result, matrix: replace(result, bound=0.0, x=None, objective=None))
    facts = stable(network, Box([0.0], [1.0]), data=np.array([[1.0]]), method="one-solve", backend=lie)
    assert facts.stages[1].stably_inactive.size == 0


@pytest.mark.parametrize("name", ["highs", "scip", "cbc:lazy"])
def test_callbacks_of_the_tree_are_called_and_harvest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = solver(name)
    searches: list[Any] = []
    inner = one_solve._Search.in_tree

    def kept(self: Any) -> None:
        searches.append(self)
        inner(self)

    monkeypatch.setattr(one_solve._Search, "in_tree", kept)
    for seed in range(12):
        network, box = random_network(seed)
        stable(network, box, method="one-solve", mode="in-tree", backend=backend)
    assert sum(search.shown for search in searches) >= 5
    assert sum(search.harvested for search in searches) >= 3


def test_point_of_an_input_satisfies_the_program_and_claims_what_it_reaches() -> None:
    for seed in range(10):
        network, box = random_network(seed)
        run = Run(
            Ledger(crown(network, box), Witnesses(crown(network, box)), False),
            box,
            np.random.default_rng(seed),
            Budget(0.0, None),
            solver("highs"),
            Limits(),
            silent,
        )
        search = one_solve._Search.of(run, run.goals())
        search._objective()
        any_point = np.zeros(search.model.program.size)
        x = box.sample(np.random.default_rng(seed), 1)[0]
        any_point[search.model.inputs] = x
        point = search._point(any_point)
        matrix = search.matrix
        activity = matrix.rows @ point
        assert (activity >= matrix.row_lower - 1e-9).all()
        assert (activity <= matrix.row_upper + 1e-9).all()
        assert (point >= matrix.lower - 1e-9).all()
        assert (point <= matrix.upper + 1e-9).all()
        values = network.values(x[None, :])
        for k, goal in enumerate(search.goals):
            reached = goal.sign * (values[goal.stage.pre][0, goal.neuron] - goal.threshold) > 0
            assert point[search.model.loose[k]] == float(reached)
        search.session.close()


def test_strict_stability_of_neurons_away_from_their_breaks_is_proved() -> None:
    network, box, inactive, active, unstable = hard_network()
    facts = stable(network, box, method="one-solve", strict=True, backend=solver("highs"))
    assert sets(facts, 1) == (inactive, active, unstable, [])


def test_numbers_beyond_the_tolerances_prove_nothing() -> None:
    # u1 - 2 u2 = 0 everywhere, of size 1e8: a tolerance times that is larger than the distance to the break
    first = Affine(np.array([[2e8], [1e8]]), np.array([-1e8, -0.5e8]))
    second = Affine(np.array([[1.0, -2.0]]), np.array([-1.0]))
    network = Network.chain([first, relu, second, relu, dense([[1.0]], [0.0])], (1,))
    facts = stable(network, Box([0.0], [1.0]), method="one-solve", backend=solver("highs"))
    assert sets(facts, 1) == ([], [], [], [0])
    assert "tolerance" in facts.unknown[1, 0].reason
