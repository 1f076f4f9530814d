"""Lossy compression: the change is bounded by proof, the bound keeps what was asked, and nothing else is believed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reludsl.bounds import crown
from reludsl.compress import compress
from reludsl.data import path
from reludsl.domain import Ball, Box
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.io import read
from reludsl.layers import Affine, Conv, PiecewiseLinear, Reshape, hard_tanh, leaky_relu, maxout, relu
from reludsl.network import Network
from reludsl.rewrite import NeuronMap, output_difference, rewrite_network
from reludsl.rewrite.near import nearly_affine, nearly_constant
from reludsl.stability import stable
from reludsl.testing import strategies as rs


def dense(weight: Any, bias: Any) -> Affine:
    return Affine(np.array(weight, dtype=np.float64), np.array(bias, dtype=np.float64))


def unit_box(size: int) -> Box:
    return Box.full(-1.0, 1.0, (size,))


def nearly_inactive(weight: float = 1.0) -> Network:
    """Neuron 0 has z in [-2 + 1/64, 1/64], neuron 1 switches for good."""
    return Network.chain([dense([[1], [1]], [-63 / 64, 0]), relu, dense([[weight, 1]], [0])], (1,))


def test_nearly_inactive_neuron_goes_for_half_of_what_it_passes_its_break_by() -> None:
    result = compress(nearly_inactive(), unit_box(1), approximate=0.008)
    assert result.map.stages[0].neurons.tolist() == [1]
    out = result.network.by_name[result.network.output].layer
    assert isinstance(out, Affine)
    np.testing.assert_allclose(out.bias, [1 / 128], rtol=1e-9)
    assert 1 / 128 <= result.max_output_error < 1 / 128 + 1e-9
    assert result.within
    assert not result.proved
    assert result.difference == "differs by at most 0.00781 (asked 0.008)"


def test_nearly_inactive_neuron_stays_where_it_would_cost_more_than_asked() -> None:
    result = compress(nearly_inactive(), unit_box(1), approximate=0.0078)
    assert result.network.neurons == 2
    assert result.proved
    assert compress(nearly_inactive(weight=3.0), unit_box(1), approximate=0.008).network.neurons == 2


@pytest.mark.parametrize("eps", [None, 0, 0.0])
def test_nothing_asked_is_lossless(eps: float | None) -> None:
    net = read(path("digits.onnx"))
    domain = Box.full(0.0, 1.0, (64,))
    result, lossless = compress(net, domain, approximate=eps), compress(net, domain)
    assert result.log == lossless.log
    x = domain.sample(np.random.default_rng(0), 100)
    np.testing.assert_array_equal(result.network(x), lossless.network(x))
    assert result.asked is None
    assert result.proved


@pytest.mark.parametrize("eps", [-1e-9, -1.0, float("nan")])
def test_bound_that_is_negative_or_no_number_is_refused(eps: float) -> None:
    with pytest.raises(InvalidInput, match=r"approximate=.*; give a number that is 0"):
        compress(nearly_inactive(), unit_box(1), approximate=eps)


def test_nearly_active_neurons_merge_by_rank() -> None:
    # z2 = z0 + z1 - 1, z0 passes its break by 1/64, z3 switches for good
    rows = [[1, 0], [0, 1], [1, 1], [1, -1]]
    outgoing = [[1, 2, 1, 3], [1, 0, -1, -3], [0, 1, 2, 3]]
    net = Network.chain([dense(rows, [63 / 64, 2, 2, 0]), relu, dense(outgoing, [0, 0, 0])], (2,))
    box = unit_box(2)
    assert compress(net, box).network.neurons == 4
    result = compress(net, box, approximate=1 / 32)
    assert result.network.neurons == 3
    assert result.counts["merged"] == 1
    assert result.within
    assert 1 / 256 < result.max_output_error <= 1 / 32


def test_stage_of_nearly_active_neurons_is_folded() -> None:
    net = Network.chain(
        [dense([[1, 1], [1, -1]], [127 / 64, 127 / 64]), relu, dense([[1, 1]], [0]), relu, dense([[1]], [0])], (2,)
    )
    result = compress(net, unit_box(2), approximate=1 / 16, fold="always")
    assert result.network.neurons == 0
    assert result.within
    # all of it is near z0 + z1 = 2 x0 + 127 / 32
    assert result.max_output_error <= 1 / 16


def test_nearly_constant_neurons_of_any_activation_go() -> None:
    steps = PiecewiseLinear("steps", (-1, 0, 1), (0, 1, -1, 0))
    for activation, bias in ((hard_tanh(), 1.99), (steps, -1.99), (leaky_relu(0.001), -1.0)):
        net = Network.chain([dense([[1], [3]], [bias, 0]), activation, dense([[1, 1]], [0])], (1,))
        result = compress(net, unit_box(1), approximate=0.01)
        assert result.network.neurons == 1, activation
        assert result.max_output_error > 1e-4
        assert result.within


def test_channel_goes_whole_or_not_at_all() -> None:
    conv = Conv(np.array([[[[1.0]]], [[[1.0]]]]), np.array([-63 / 64, 0.0]), (2, 2))
    net = Network.chain([conv, relu, Reshape((1, -1)), dense(np.ones((1, 8)), [0])], (1, 1, 2, 2))
    box = unit_box(4)
    assert compress(net, box, approximate=0.032).network.neurons == 4
    assert compress(net, box, approximate=0.031).network.neurons == 8


def test_proof_does_not_ask_which_neurons_were_chosen() -> None:
    net, box = nearly_inactive(), unit_box(1)
    facts = stable(net, box)
    stage = net.hidden[0]
    pre = facts.bounds.pre(stage)
    # neuron 1 takes [-1, 1]; a claim that it ends at 0 is wrong by far
    wrong = facts.bounds.tightened({stage.pre: Box(pre.lower, np.array([pre.upper[0], 0.0]))})
    result = compress(net, box, facts=replace(facts, bounds=wrong), approximate=0.01)
    assert not result.within
    assert result.max_output_error >= 1.0
    assert result.difference.startswith("differs by at most 1")


def test_removed_and_bent_neurons_are_bounded_by_what_they_deviate() -> None:
    net = Network.chain([dense([[1, 1], [1, 1]], [-127 / 64, 127 / 64]), relu, dense([[1, 1]], [0])], (2,))
    box = unit_box(2)
    proved = crown(net, box)
    name = str(net.hidden[0].activation)
    only = Network.chain([dense([[1, 1]], [127 / 64]), relu, dense([[1]], [0])], (2,))
    same = NeuronMap((name,), {str(only.hidden[0].activation): np.array([1])})
    assert str(only.hidden[0].activation) == name
    # neuron 0 as 0: off by at most 1 / 64, although its line is off by more
    np.testing.assert_allclose(output_difference(net, only, same, proved), [1 / 64], rtol=1e-9)
    folded = Network.chain([dense([[1, 1]], [127 / 64])], (2,))
    (change,) = output_difference(net, folded, NeuronMap((name,), {}), proved)
    assert 1 / 64 <= change <= 2 / 64 + 1e-12


def test_costs_are_those_of_a_unit_alone_and_in_order() -> None:
    net = Network.chain(
        [dense([[1], [1], [1]], [-63 / 64, -31 / 32, 63 / 64]), relu, dense([[4, 1, 1], [0, 1, 2]], [0, 0])], (1,)
    )
    proved = crown(net, unit_box(1))
    same, allowed = NeuronMap.identity(net), np.full(2, 0.0625)
    near = nearly_constant(net, proved, same, allowed)
    assert near.row.tolist() == [1, 0]
    (claim,) = near.parts
    # half of 1 / 64 times 4, and half of 1 / 32
    np.testing.assert_allclose(claim.cost[:2], [0.5, 0.25], rtol=1e-9)
    affine = nearly_affine(net, proved, same, allowed)
    assert affine.parts[0].elements[affine.row].ravel().tolist() == [2]
    believed = affine.believed({affine.parts[0].stage: proved.pre(net.hidden[0])}, np.arange(1))
    np.testing.assert_allclose(believed[affine.parts[0].stage].lower, [-127 / 64, -63 / 32, 0.0], rtol=1e-9)


def exactly_within(net: Network, small: Network, box: Box, error: Any, seed: int) -> None:
    """The exact change at sampled points and corners never exceeds the bound."""
    rng = np.random.default_rng(seed)
    points = np.concatenate([box.sample(rng, 12).round(3), box.maximiser(rng.choice([-1.0, 1.0], (8, box.size)))])
    for x in points:
        before = net.exact_values(exactly(x))[net.output]
        after = small.exact_values(exactly(x))[small.output]
        assert all(abs(a - b) <= e for a, b, e in zip(before, after, error))


@st.composite
def nearly_stable_networks(draw: Any) -> tuple[Network, Box]:
    """Chains with weights k/8 whose biases put many neurons within 1/16 of stability, on one side or the other."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    sizes = [draw(st.integers(1, 3)), *draw(st.lists(st.integers(2, 6), min_size=1, max_size=3)), 2]
    activation = draw(st.sampled_from([relu, relu, leaky_relu(0.125), hard_tanh()]))
    box = unit_box(sizes[0])
    layers: list[Any] = []
    around = box
    for n_in, n_out in pairwise(sizes):
        weight = rng.integers(-8, 9, (n_out, n_in)) / 8
        free = Affine(weight, np.zeros(n_out)).interval(around)
        side = np.where(rng.random(n_out) < 0.5, -free.upper, -free.lower)
        slack = rng.choice([-1 / 64, 0.0, 1 / 64, 1 / 16, 1.0], n_out)
        bias = np.round((side + slack * rng.choice([-1, 1], n_out)) * 64) / 64
        layers += [Affine(weight, bias), activation]
        around = activation.interval(layers[-2].interval(around))
    return Network.chain(layers[:-1], (sizes[0],)), box


EPS = st.sampled_from([1e-5, 0.01, 0.125, 1.0, 16.0])


@given(nearly_stable_networks(), EPS, st.sampled_from(["auto", "always", "never"]), st.integers(0, 2**31))
@settings(deadline=None)
def test_change_keeps_to_its_bound_and_the_bound_to_what_was_asked(
    made: tuple[Network, Box], eps: float, fold: str, seed: int
) -> None:
    net, box = made
    facts = stable(net, box)
    lossless = rewrite_network(net, box, facts.bounds, proved=facts.bounds)
    result = compress(net, box, approximate=eps)
    assert result.within
    assert (result.error <= np.maximum(eps, result.tolerance)).all()
    assert result.network.neurons <= lossless.network.neurons
    folded = compress(net, box, approximate=eps, fold=fold)
    for found in (result, folded):
        exactly_within(net, found.network, box, found.error, seed)


@given(rs.graphs(), EPS, st.integers(0, 2**31))
@settings(deadline=None)
def test_graphs_are_approximated_within_their_bounds(net: Network, eps: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.integers(-8, 9, net.input_size) / 8
    box = Box(centre - 0.25, centre + 0.25)
    result = compress(net, box, approximate=eps)
    assert result.within
    assert result.network.neurons <= compress(net, box).network.neurons
    exactly_within(net, result.network, box, result.error, seed)


def test_approximations_are_found_on_random_networks() -> None:
    # the laws above would hold if nothing were ever taken
    rng = np.random.default_rng(0)
    net = Network.chain(
        [dense(rng.integers(-8, 9, (20, 3)) / 8, rng.integers(-16, 17, 20) / 8), relu, dense(np.ones((1, 20)), [0])],
        (3,),
    )
    sizes = [compress(net, unit_box(3), approximate=eps).network.neurons for eps in (0, 0.5, 2.0, 1e6)]
    assert sizes[0] > sizes[1] > sizes[2] > sizes[3] == 0


def test_maxima_and_branches_are_carried_through() -> None:
    net = Network.chain([dense(np.eye(4), [-63 / 64, 0, 0, 0.5]), relu, maxout(4, 2), dense([[1, 1]], [0])], (4,))
    result = compress(net, unit_box(4), approximate=1 / 64)
    assert result.within
    exactly_within(net, result.network, unit_box(4), result.error, 0)


def test_trained_network_near_a_picture_loses_more_when_more_may_change() -> None:
    net = read(path("digits.onnx"))
    with np.load(path("digits.npz")) as held:
        image = held["images"][0].ravel()
    near = Ball(image, 0.02, clip=(0.0, 1.0))
    found = [compress(net, near, approximate=eps) for eps in (0, 0.01, 0.1)]
    assert all(result.within for result in found)
    sizes = [result.network.neurons for result in found]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0]
    x = near.sample(np.random.default_rng(0), 200)
    for result in found:
        assert (np.abs(result.network(x) - net(x)) <= result.error + 1e-9).all()


def test_command_says_what_is_proved_about_the_change(run: Any, tmp_path: Path) -> None:
    import json

    out = tmp_path / "small.onnx"
    status, text, _ = run("compress", path("digits.onnx"), "--box", 0, 1, "--out", out, "--approximate", 0.5, "--json")
    answer = json.loads(text)
    assert status == 0
    assert answer["equivalence"] == "unproved"
    assert answer["approximate"] == 0.5
    assert answer["within"] is True
    assert 1e-3 < answer["max_output_error"] <= 0.5
    assert answer["neurons_after"] < 55
    status, text, _ = run("compress", path("digits.onnx"), "--box", 0, 1, "--out", out, "--approximate", 0.5)
    assert "within 0.5: PROVED" in " ".join(text.split())
    status, _, error = run("compress", path("digits.onnx"), "--box", 0, 1, "--out", out, "--approximate", -1)
    assert status == 2
    assert "approximate=-1" in error
