"""Rewrites: the O9 oracle, the laws, and proofs that do not believe a wrong fact."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ladder import hard_network, ladder
from solvers import solver

import reludsl.rewrite.merge as merging
from reludsl.bounds import Bounds, crown, settle_ties
from reludsl.compress import compress
from reludsl.domain import Box
from reludsl.exact import exactly
from reludsl.layers import Affine, PiecewiseLinear, Reshape, Scale, Shift, relu
from reludsl.network import INPUT, Network, Node
from reludsl.rewrite import (
    FRESH,
    Collapse,
    Fold,
    FoldPolicy,
    Knowledge,
    Merge,
    MergeTwins,
    NeuronMap,
    Refactor,
    Remove,
    output_difference,
    rewrite_network,
)
from reludsl.stability import stable
from reludsl.testing import EnumerationBackend

F64 = np.dtype(np.float64)


def chain(*layers: tuple[Any, Any], activation: PiecewiseLinear = relu) -> Network:
    made: list[Any] = []
    for weight, bias in layers:
        made += [Affine(np.array(weight, dtype=np.float64), np.array(bias, dtype=np.float64)), activation]
    return Network.chain(made[:-1], (made[0].weight.shape[1],))


def rank_merge() -> tuple[Network, Box]:
    """O9: three active neurons of rank 2, one unstable, one inactive."""
    first = [[1, 0, 2, 1], [1, 1, 0, 0], [2, 1, 2, 1], [1, 2, 3, 0], [11, 12, 13, 0]]
    net = chain((first, [0, 1, 2, 3, 4]), ([[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]], [11, 12]))
    return net, Box([-0.5, -0.5, -2.0, 10.0], [-0.375, -0.375, 0.0, 11.0])


def test_rank_merge_gives_the_published_result() -> None:
    net, box = rank_merge()
    facts = stable(net, box)
    assert facts.stages[0].piece.tolist() == [1, 1, 1, -1, 0]
    result = compress(net, box)
    out = result.network.by_name[result.network.output].layer
    assert isinstance(out, Affine)
    assert result.map.stages[0].neurons.tolist() == [0, 1, 3]
    assert out.dense.tolist() == [[2, 3, 3], [12, 13, 8]]
    assert out.bias.tolist() == [13, 19]
    assert dict(result.counts) == {"removed": 1, "merged": 1, "folded": 0, "collapsed": 0}
    assert result.proved
    assert result.max_output_error < 1e-9


def test_remove_takes_inactive_empty_and_unheard_neurons() -> None:
    # 0 inactive, 1 an empty row with value 2, 2 unheard, 3 stays
    net = chain(([[1], [0], [1], [1]], [-5, 2, 0, 0]), ([[1, 3, 0, 1]], [1]))
    result = compress(net, Box([-1.0], [1.0]))
    assert result.network.neurons == 1
    assert result.counts["removed"] == 3
    out = result.network.by_name[result.network.output].layer
    assert isinstance(out, Affine)
    assert out.bias.tolist() == [7.0]
    assert result.max_output_error < 1e-12


def test_fold_of_a_stable_stage_keeps_the_function() -> None:
    net = chain(([[1], [2]], [3, 4]), ([[1, -1], [1, 1]], [0, 1]), ([[1, 1]], [0]))
    box = Box([-1.0], [1.0])
    always = compress(net, box, fold="always")
    x = np.linspace(-1, 1, 9)[:, None]
    assert always.network.neurons < net.neurons
    np.testing.assert_allclose(always.network(x), net(x), atol=1e-6)
    assert always.proved
    assert compress(net, box, fold="never").counts["folded"] == 0


def test_fold_follows_its_policy() -> None:
    # one stable neuron between 8 inputs and 8 outputs: folding would grow 8 + 1 + 8 + 8 parameters to 64 + 8
    net = chain((np.eye(1, 8), [5]), (np.ones((8, 1)), np.zeros(8)))
    box = Box.full(-1.0, 1.0, (8,))
    assert compress(net, box).counts["folded"] == 0
    assert compress(net, box, fold=FoldPolicy.ALWAYS).network.neurons == 0


def test_collapse_to_a_constant_when_a_stage_is_inactive() -> None:
    net = chain(([[1], [-1]], [0, 0]), ([[-1, -1]], [-1]), ([[5], [6]], [0.25, -2]))
    result = compress(net, Box([-1.0], [1.0]))
    assert result.network.neurons == 0
    assert result.counts["collapsed"] == 1
    np.testing.assert_array_equal(result.network(np.array([[0.3], [-0.9]])), [[0.25, -2], [0.25, -2]])
    assert result.proved


def test_prefix_and_separate_biases_survive() -> None:
    nodes = (
        Node("sub", Shift(np.array([-0.5])), INPUT),
        Node("div", Scale(np.array([0.3]), divide=True), "sub"),
        Node("flat", Reshape((1, 2)), "div"),
        Node("mm", Affine(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.zeros(3)), "flat"),
        Node("add", Shift(np.array([0.0, -9.0, 0.5])), "mm"),
        Node("act", relu, "add"),
        Node("out", Affine(np.ones((1, 3)), np.zeros(1)), "act"),
    )
    net = Network(nodes, (1, 1, 2))
    box = Box([0.0, 0.0], [1.0, 1.0])
    result = compress(net, box)
    assert [n.name for n in result.network.nodes] == ["sub", "div", "flat", "add", "act", "out"]
    assert result.network.neurons == 2
    x = box.sample(np.random.default_rng(0), 50)
    np.testing.assert_array_equal(result.network(x), net(x))
    assert result.proved


def test_activations_other_than_relu_are_rewritten_alike() -> None:
    hard_tanh = PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0))
    net = chain(([[1], [1], [0.5], [0.25], [3]], [5, -5, 0, 0, 0]), ([[1, 2, 3, 4, 5]], [0]), activation=hard_tanh)
    result = compress(net, Box([-1.0], [1.0]))
    # constants 1 and -1 go to the bias, the third and fourth are parallel, the fifth is unstable
    assert dict(result.counts) == {"removed": 2, "merged": 1, "folded": 0, "collapsed": 0}
    x = np.linspace(-1, 1, 33)[:, None]
    np.testing.assert_allclose(result.network(x), net(x), atol=1e-6)
    assert result.proved


def with_box(bounds: Bounds, node: str, neuron: int, lower: float, upper: float) -> Bounds:
    box = bounds.boxes[node]
    low, high = box.lower.copy(), box.upper.copy()
    low[neuron], high[neuron] = lower, upper
    return Bounds(bounds.network, bounds.domain, {**bounds.boxes, node: Box(low, high)})


def test_unstable_neuron_declared_inactive_comes_out_unproved() -> None:
    net, box = rank_merge()
    facts = stable(net, box)
    stage = net.hidden[0]
    planted = with_box(facts.bounds, stage.pre, 3, -3.0, -1.0)
    result = compress(net, box, facts=replace(facts, bounds=planted))
    assert 3 not in result.map.stages[0].neurons
    assert not result.proved
    assert result.max_output_error > 0.1


def test_wrong_basis_coefficient_comes_out_unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    net, box = rank_merge()
    bounds = settle_ties(crown(net, box))
    known, same = Knowledge.of(net, bounds), NeuronMap.identity(net)
    right = merging.combination
    (site,) = Merge().sites(net, known, same)
    honest = Merge().apply(net, known, same, site, F64)
    assert output_difference(net, honest.network, honest.map, bounds).max() < 1e-9
    monkeypatch.setattr(merging, "combination", lambda *a: right(*a) * 1.001)
    wrong = Merge().apply(net, known, same, site, F64)
    assert output_difference(net, wrong.network, wrong.map, bounds).max() > 1e-3
    # the driver leaves such a merge out
    merged = rewrite_network(net, box, bounds)
    assert merged.proved
    assert merged.map.stages[0].neurons.tolist() != [0, 1, 3]


def test_wrong_weight_after_a_removal_comes_out_unproved() -> None:
    net, box = rank_merge()
    bounds = settle_ties(crown(net, box))
    result = rewrite_network(net, box, bounds)
    for node in result.network.nodes:
        if isinstance(node.layer, Affine):
            weight = node.layer.dense.copy()
            weight[0, 0] += 1e-3
            damaged = changed(result.network, node.name, Affine(weight, node.layer.bias))
            assert (output_difference(net, damaged, result.map, bounds) > result.tolerance).any()


def changed(network: Network, name: str, layer: Any) -> Network:
    """The same network with another layer in one place."""
    nodes = (Node(n.name, layer if n.name == name else n.layer, *n.sources) for n in network.nodes)
    return Network(tuple(nodes), network.input_shape, network.output)


def test_difference_of_networks_that_do_not_compare_is_infinite() -> None:
    net, box = rank_merge()
    bounds = crown(net, box)
    (name,) = NeuronMap.identity(net).elements
    for wrong in (np.arange(4), np.zeros(5, dtype=np.int64), np.arange(5) + 3):
        assert np.isinf(output_difference(net, net, NeuronMap((name,), {name: wrong}), bounds)).all()
    # a neuron that was not there before means something only where it is held on one piece
    fresh = NeuronMap((name,), {name: np.array([0, 1, 2, FRESH, 4])})
    assert np.isinf(output_difference(net, net, fresh, bounds)).all()


def test_facts_that_only_a_solver_proves_carry_the_proof() -> None:
    net, box = ladder()
    result = compress(net, box, backend=EnumerationBackend())
    assert result.network.neurons == 0
    assert result.proved
    backend = solver("highs")
    hard, domain, _, active, unstable = hard_network()
    small = compress(hard, domain, backend=backend)
    assert small.proved
    assert small.map.stages[1].neurons.size <= len(active) + len(unstable)
    x = domain.sample(np.random.default_rng(1), 200)
    np.testing.assert_allclose(small.network(x), hard(x), atol=1e-6)


def test_branches_that_lead_nowhere_do_not_stop_a_rewrite() -> None:
    one = np.ones((1, 1))
    nodes = (
        Node("a", Affine(one, np.zeros(1)), INPUT),
        Node("r", relu, "a"),
        Node("b", Affine(one, np.zeros(1)), "r"),
        Node("c", Affine(one, np.zeros(1)), "r"),
        Node("d", relu, "c"),
    )
    branching = Network((*nodes, Node("e", Affine(one, np.zeros(1)), "d")), (1,))
    # the second ReLU follows the first, and is active throughout
    assert compress(branching, Box([-1.0], [1.0])).network.neurons == 1
    bare = Network((Node("s", relu, INPUT), Node("t", Affine(one, np.zeros(1)), "s")), (1,))
    assert compress(bare, Box([-1.0], [1.0])).network.neurons == 1
    assert compress(bare, Box([1.0], [2.0])).network.neurons == 0
    assert compress(bare, Box([-2.0], [-1.0])).network(np.array([0.5])).tolist() == [0.0]


def weights(rows: int, columns: int) -> st.SearchStrategy[Any]:
    eighths = st.integers(-8, 8).map(lambda k: k / 8)
    entry = st.one_of(st.just(0.0), eighths)
    return st.lists(st.lists(entry, min_size=columns, max_size=columns), min_size=rows, max_size=rows).map(np.array)


@st.composite
def dyadic_networks(draw: Any) -> tuple[Network, Box]:
    """Chains with weights k/8 and, often, repeated, dependent, empty or shifted rows."""
    sizes = [
        draw(st.integers(1, 3)),
        *(draw(st.lists(st.integers(2, 5), min_size=1, max_size=3))),
        draw(st.integers(1, 2)),
    ]
    layers: list[Any] = []
    for size_in, size_out in pairwise(sizes):
        w = draw(weights(size_out, size_in))
        if size_out > 2 and draw(st.booleans()):
            w[2] = w[0] + w[1]
        b = np.array(draw(st.lists(st.integers(-16, 16), min_size=size_out, max_size=size_out))) / 8
        layers += [Affine(w, b), relu]
    return Network.chain(layers[:-1], (sizes[0],)), Box.full(-1.0, 1.0, (sizes[0],))


@given(dyadic_networks(), st.sampled_from(list(FoldPolicy)), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_compress_keeps_the_function_never_grows_and_is_idempotent(
    made: tuple[Network, Box], fold: FoldPolicy, seed: int
) -> None:
    net, box = made
    result = compress(net, box, fold=fold, backend=EnumerationBackend())
    assert result.network.neurons <= net.neurons
    if fold is not FoldPolicy.ALWAYS:
        assert result.network.parameters <= net.parameters
    assert result.proved
    points = np.concatenate([box.sample(np.random.default_rng(seed), 20).round(2), box.maximiser(np.eye(box.size))])
    for x in points:
        before = net.exact_values(exactly(x))[net.output]
        after = result.network.exact_values(exactly(x))[result.network.output]
        for k, (a, b) in enumerate(zip(before, after)):
            assert abs(a - b) <= result.error[k] <= result.tolerance[k]
    again = compress(result.network, box, fold=fold, backend=EnumerationBackend())
    assert again.log == ()
    assert again.network.neurons == result.network.neurons


@given(dyadic_networks(), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_every_rewrite_alone_keeps_traces_and_the_function(made: tuple[Network, Box], seed: int) -> None:
    net, box = made
    bounds = crown(net, box)
    known, same = Knowledge.of(net, bounds), NeuronMap.identity(net)
    x = box.sample(np.random.default_rng(seed), 30)
    before = net.trace(x)
    for rewrite in (Remove(), Merge(), MergeTwins(), Refactor(), Fold(FoldPolicy.ALWAYS), Collapse()):
        for site in rewrite.sites(net, known, same):
            result = rewrite.apply(net, known, same, site, F64)
            np.testing.assert_allclose(result.network(x), net(x), atol=1e-9)
            for kept, z in zip(result.map.stages, result.network.trace(x).pre):
                old = kept.neurons >= 0
                np.testing.assert_allclose(z[:, old], before.pre[kept.stage][:, kept.neurons[old]], atol=1e-9)
            assert result.network.neurons < net.neurons
            assert output_difference(net, result.network, result.map, bounds).max() < 1e-9


@pytest.mark.parametrize("width", [0.01, 1.0, 100.0])
def test_rank_merge_keeps_the_earlier_neurons_whatever_the_domain_looks_like(width: float) -> None:
    net, box = rank_merge()
    # x3 only shifts: unit 0 and 2 hold it alike, so that its width changes their norms and not the dependency
    wide = Box(box.lower, box.upper + np.array([0.0, 0.0, 0.0, width]))
    assert compress(net, wide).map.stages[0].neurons.tolist() == [0, 1, 3]
