"""Runs that end early and go on later: interrupts, limits, checkpoints, bounds that are used again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ladder import hard_network
from solvers import solver
from test_stability import check_witnesses, sets

from reludsl.bounds import crown, optimised
from reludsl.domain import Ball, Box
from reludsl.errors import FileProblem, InvalidInput
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network
from reludsl.progress import Progress
from reludsl.saved import fingerprint, load_bounds, save_bounds
from reludsl.stability import Facts, Method, stable
from reludsl.testing.strategies import random_graph


def _interrupting(step: str) -> Callable[[Progress], None]:
    def interrupt(at: Progress) -> None:
        if at.step.startswith(step):
            raise KeyboardInterrupt

    return interrupt


def _consistent(facts: Facts) -> None:
    """What is decided of the hard network is right."""
    _, _, inactive, active, unstable = hard_network()
    _, _, seen, unknown = sets(facts, 1)
    assert set(facts.stages[1].stably_inactive.tolist()) <= set(inactive)
    assert set(facts.stages[1].stably_active.tolist()) <= set(active)
    assert set(seen) <= set(unstable)
    assert not facts.stages[0].stably_active.size
    assert len(unknown) == facts.stages[1].unknown.size
    check_witnesses(facts)


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("step", ["witnesses", "bounds", "vertex jumps", "ascent", "lp bounds", "solves", "one-solve"])
def test_interrupt_returns_what_is_proved_by_then(step: str, method: Method) -> None:
    network, box, *_ = hard_network()
    facts = stable(network, box, method=method, backend=solver("highs"), progress=_interrupting(step))
    _consistent(facts)
    assert all(why.reason for why in facts.unknown.values())
    assert len(facts.unknown) == facts.undecided


def test_interrupt_in_the_middle_of_the_witness_store_leaves_values_of_their_inputs() -> None:
    network, box, *_ = hard_network()
    facts = stable(network, box, time_limit=0.0)
    store = facts.witnesses
    store.add(np.full((1, 4), 0.5))
    # as if the interrupt had come between a value and its input
    store.stages[1].high[:] = 7.0
    store.replay()
    values = network.values(store.stages[1].high_at, network.hidden[1].pre)[network.hidden[1].pre]
    assert (store.stages[1].high <= values.max(axis=0)).all()


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("limit", [0.0, 0.3])
def test_time_limit_is_honoured(method: Method, limit: float) -> None:
    rng = np.random.default_rng(0)
    layers: list[Layer] = []
    for n, m in ((40, 60), (60, 60), (60, 60)):
        layers += [Affine(rng.normal(size=(m, n)) / np.sqrt(n), -0.5 * np.ones(m)), relu]
    network = Network.chain(layers, (40,))
    began = time.perf_counter()
    facts = stable(network, Box.full(-1.0, 1.0, (40,)), method=method, time_limit=limit, backend=solver("highs"))
    # no timing of the machine: without the limit some of these runs take minutes
    assert time.perf_counter() - began < limit + 10.0
    assert len(facts.unknown) == facts.undecided
    assert facts.undecided > 0 or limit > 0


def test_checkpoint_carries_a_run_over_an_interrupt(tmp_path: Path) -> None:
    network, box, inactive, active, unstable = hard_network()
    file = tmp_path / "run.npz"
    backend = solver("highs")
    first = stable(
        network, box, method="per-neuron", backend=backend, checkpoint=file, progress=_stop_after("solves", 8)
    )
    assert 0 < first.undecided < 20
    asked: list[str] = []
    again = stable(
        network, box, method="per-neuron", backend=backend, checkpoint=file, progress=lambda at: asked.append(at.step)
    )
    assert sets(again, 1) == (inactive, active, unstable, [])
    assert again.rungs[0].decided >= first.neurons - first.undecided
    assert sum(step.startswith("solves, ") for step in asked) <= first.undecided + len(unstable)
    for old, new in zip(first.bounds.boxes.values(), again.bounds.boxes.values()):
        assert (new.lower >= old.lower).all()
        assert (new.upper <= old.upper).all()


def _stop_after(step: str, count: int) -> Callable[[Progress], None]:
    seen: list[str] = []

    def interrupt(at: Progress) -> None:
        if at.step.startswith(step):
            seen.append(at.step)
        if len(seen) > count:
            raise KeyboardInterrupt

    return interrupt


def test_checkpoint_of_another_network_or_domain_is_refused(tmp_path: Path) -> None:
    network, box, *_ = hard_network()
    file = tmp_path / "run.npz"
    stable(network, box, checkpoint=file, time_limit=0.0)
    with pytest.raises(InvalidInput, match="another network or domain"):
        stable(network, Box.full(0.0, 0.5, (4,)), checkpoint=file)
    with pytest.raises(InvalidInput, match="another network or domain"):
        stable(random_graph(3), Box.full(0.0, 1.0, (random_graph(3).input_size,)), checkpoint=file)
    whole = file.read_bytes()
    for damaged in (b"no zip file", whole[: len(whole) // 2], whole[:200] + bytes(200) + whole[400:]):
        file.write_bytes(damaged)
        with pytest.raises(FileProblem, match=r"no \.npz file"):
            stable(network, box, checkpoint=file)


def test_bounds_are_saved_and_loaded_bit_for_bit(tmp_path: Path) -> None:
    for seed in range(10):
        network = random_graph(seed)
        domain = Ball(np.zeros(network.input_size), 0.75)
        known = optimised(network, domain, iterations=3)
        save_bounds(known, tmp_path / "bounds.npz")
        again = load_bounds(tmp_path / "bounds.npz", network, domain)
        assert again.boxes.keys() == known.boxes.keys()
        for name, box in known.boxes.items():
            assert (again.boxes[name].lower == box.lower).all()
            assert (again.boxes[name].upper == box.upper).all()


def test_fingerprint_tells_every_constant_apart() -> None:
    network, box, *_ = hard_network()
    seen = {fingerprint(network, box)}
    for k, node in enumerate(network.nodes):
        if not isinstance(node.layer, Affine):
            continue
        weight, bias = node.layer.dense.copy(), np.array(node.layer.bias)
        weight.flat[-1] = np.nextafter(weight.flat[-1], 2)
        for layer in (Affine(weight, bias), Affine(node.layer.dense, np.nextafter(bias, 1))):
            layers = [other.layer if j != k else layer for j, other in enumerate(network.nodes)]
            seen.add(fingerprint(Network.chain(layers, (4,)), box))
    seen.add(fingerprint(network, Box.full(0.0, np.nextafter(1.0, 2.0), (4,))))
    seen.add(fingerprint(network, Ball(np.full(4, 0.5), 0.5)))
    assert len(seen) == 1 + 6 + 2


def test_known_bounds_are_used_from_the_start() -> None:
    network, box, inactive, active, _ = hard_network()
    facts = stable(network, box, backend=solver("highs"), method="per-neuron")
    calls: list[str] = []
    again = stable(
        network,
        Box.full(0.0, 1.0, (4,)),
        known=facts.bounds,
        method="per-neuron",
        backend=solver("highs"),
        progress=lambda at: calls.append(at.step),
    )
    assert again.rungs[0].decided >= len(inactive) + len(active)
    with pytest.raises(InvalidInput, match="another network or domain"):
        stable(network, Box.full(0.0, 0.5, (4,)), known=facts.bounds)


def test_progress_says_how_far_the_bound_is_and_what_time_is_left() -> None:
    network, box, *_ = hard_network()
    seen: list[Progress] = []
    stable(network, box, backend=solver("highs"), method="per-neuron", time_limit=60.0, progress=seen.append)
    asked = [at for at in seen if at.step.startswith("solves, ")]
    assert asked
    assert all(at.bound is not None and at.bound > 0 and at.left is not None and at.left <= 60.0 for at in asked)
    assert all(0 <= at.done <= at.total == network.neurons for at in seen)


def test_bounds_of_a_run_are_never_wider_than_those_of_crown() -> None:
    network, box, *_ = hard_network()
    facts, plain = stable(network, box), crown(network, box)
    for stage in network.hidden:
        assert (facts.bounds.pre(stage).upper <= plain.pre(stage).upper).all()
        assert (facts.bounds.pre(stage).lower >= plain.pre(stage).lower).all()
