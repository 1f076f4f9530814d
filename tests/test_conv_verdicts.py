"""Questions about convolutional and residual networks: verdicts that a bound or a replayed input supports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data import data_path
from hypothesis import given, settings
from hypothesis import strategies as st

from reludsl import Network, argmax_is, ball, box, compress, find, prove, read, stable
from reludsl.answer import Answer, Verdict
from reludsl.io import read_vnnlib
from reludsl.replay import holds
from reludsl.testing.clock import Timed, soonest

FOLDER = "vnncomp_conv"
CONVNETS = (
    ("Convnet_avgpool", "Convnet_avgpool_prop_0_0.02"),
    ("Convnet_avgpool", "Convnet_avgpool_prop_1_0.04"),
    ("Convnet_maxpool", "Convnet_maxpool_prop_0_0.004"),
    ("Convnet_maxpool", "Convnet_maxpool_prop_10_0.004"),
)
RESNET = tuple(("resnet_2b", f"resnet2b_prop_{k}_eps_0.008") for k in (0, 1, 10))
LIMIT = 60.0


@cache
def network(name: str) -> Network:
    return read(data_path(f"{FOLDER}/{name}.onnx"))


def asked(name: str, prop: str) -> Answer:
    """The answer to a property, its witness replayed in exact arithmetic, its bound held against samples."""
    net = network(name)
    question = read_vnnlib(data_path(f"{FOLDER}/{prop}.vnnlib"), net).question
    answer = find(question.condition, time_limit=LIMIT)
    if answer.verdict is Verdict.PROVED:
        assert answer.witness is not None
        assert holds(question.condition, answer.witness.inputs)
    if answer.verdict is Verdict.REFUTED:
        assert answer.bound is not None
        assert answer.bound <= 0
    return answer


@pytest.mark.parametrize(("name", "prop"), CONVNETS)
def test_property_of_a_small_convolutional_network_is_decided(name: str, prop: str) -> None:
    answer = asked(name, prop)
    assert answer.verdict is Verdict.REFUTED
    assert answer.stats.seconds < LIMIT


def robust(name: str, seed: int) -> Answer:
    """Whether the label holds in the L-infinity ball of 1/255 around a seeded point."""
    net = network(name)
    point = np.random.default_rng(seed).random(net.input_size)
    label = int(net(point).argmax())
    x = ball(point, 1 / 255, clip=(0, 1))
    claim = argmax_is(net(x), label)
    answer = prove(claim, time_limit=LIMIT)
    if answer.refuted:
        assert answer.witness is not None
        assert int(net(answer.witness[x]).argmax()) != label or not holds(claim, answer.witness.inputs)
    if answer.proved:
        domain = x.domain
        points = np.concatenate([domain.sample(np.random.default_rng(9), 200), domain.maximiser(_signs(net, 200))])
        assert (net(points).argmax(axis=1) == label).all()
    return answer


def _signs(net: Network, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(8).choice([-1.0, 1.0], (count, net.input_size))


@pytest.mark.parametrize("seed", range(3))
def test_label_of_a_convolutional_network_holds_around_a_point(seed: int) -> None:
    assert robust("cifar_base_kw", seed).proved


def _answered_apart(*words: str) -> Any:
    """The JSON that a process of its own prints: a solver that is left behind there disturbs no other test."""
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    return json.loads(ended.stdout)


def verified(name: str, prop: str) -> Timed[bool]:
    """Whether `reludsl verify` decides a property; its witness is replayed."""
    files = [data_path(f"{FOLDER}/{name}.onnx"), data_path(f"{FOLDER}/{prop}.vnnlib")]
    found = _answered_apart("-m", "reludsl", "verify", *map(str, files), "--time-limit", str(LIMIT), "--json")
    if found["verdict"] == "sat":
        question = read_vnnlib(files[1], network(name)).question
        (variable,) = {v for atoms in question.condition.atoms for v in atoms.expr.inputs()}
        assert holds(question.condition, {variable: np.array(found["witness"]["input"])})
    if found["verdict"] == "unsat":
        assert found["bound"] <= 0
    return Timed(found["verdict"] in ("sat", "unsat"), found["seconds"])


def robust_apart(name: str, seed: int) -> Timed[bool]:
    """Whether `robust` decides."""
    code = (
        f"import json, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_conv_verdicts as t; "
        f"a = t.robust({name!r}, {seed}); print(json.dumps([not a.verdict is t.Verdict.UNKNOWN, a.stats.seconds]))"
    )
    return Timed(*_answered_apart("-c", code))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # thirteen minutes of questions, and as long again on a slow machine
def test_at_least_half_of_thirteen_questions_are_decided_in_a_minute_each() -> None:
    asked = [partial(verified, name, prop) for name, prop in (*CONVNETS, *RESNET)]
    asked += [partial(robust_apart, name, seed) for name in ("cifar_base_kw", "cifar10_small") for seed in range(3)]
    # the limit is kept, up to what the last array operation takes
    answers = [soonest(attempt, LIMIT + 10) for attempt in asked]
    assert 2 * sum(found.result for found in answers) >= len(answers) == 13
    for found in answers:
        assert found.seconds <= LIMIT + 10


def test_certify_and_compress_a_convolutional_network_around_an_image() -> None:
    net = network("Convnet_avgpool")
    with np.load(data_path("mnist.npz")) as held:
        image = held["x_test"][0].reshape(-1) / 255.0
    x = ball(image, 0.02, clip=(0, 1))
    facts = stable(net, x)
    assert facts.undecided == 0
    result = compress(net, x, facts=facts)
    assert result.proved
    # whole channels go: 27 x 27 positions each
    assert result.counts["removed"] >= 729
    assert result.counts["removed"] % 729 == 0
    points = x.domain.sample(np.random.default_rng(0), 20)
    np.testing.assert_allclose(result.network(points), net(points), atol=1e-6)


@pytest.mark.parametrize("name", ["Convnet_avgpool", "cifar10_small"])
@given(seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=3)
def test_bounds_hold_samples_of_any_small_box(name: str, seed: int) -> None:
    from reludsl.bounds import crown

    net = network(name)
    rng = np.random.default_rng(seed)
    centre = rng.random(net.input_size)
    domain = box(centre - 0.01, centre + 0.01).domain
    bounds = crown(net, domain)
    values = net.values(domain.sample(rng, 20))
    for node in net.nodes:
        assert (values[node.name] >= bounds.boxes[node.name].lower - 1e-9).all()
        assert (values[node.name] <= bounds.boxes[node.name].upper + 1e-9).all()


def test_table_in_the_documentation_names_every_question() -> None:
    page = Path(__file__).parents[1].joinpath("docs/explanation/convolutional-networks.md").read_text()
    for _, prop in (*CONVNETS, *RESNET):
        assert prop in page
    assert len(re.findall(r"^\| cifar(?:_base_kw|10_small), point [012] ", page, re.MULTILINE)) == 6
