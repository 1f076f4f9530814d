"""Rewrites on graphs: channels, branches, constants in neighbours, twins, and the rank of what a block feeds."""

from __future__ import annotations

import numpy as np
import pytest
from data import data_path
from hypothesis import given, settings
from hypothesis import strategies as st

from reludsl import compress
from reludsl.bounds import crown
from reludsl.domain import Box
from reludsl.exact import exactly
from reludsl.layers import (
    Affine,
    AveragePool,
    BatchNorm,
    Conv,
    Layer,
    MaxPool,
    Reshape,
    Scale,
    Shift,
    Sum,
    concatenated,
    hard_tanh,
    leaky_relu,
    maxout,
    relu,
)
from reludsl.network import INPUT, Network, Node
from reludsl.rewrite import Absorb, Collapse, Knowledge, MergeTwins, NeuronMap, Refactor, Remove, output_difference
from reludsl.testing import strategies as rs

F64 = np.dtype(np.float64)


def dense(weight: object, bias: object) -> Affine:
    return Affine(np.array(weight, dtype=np.float64), np.array(bias, dtype=np.float64))


def residual(seed: int = 0, width: int = 20, blocks: int = 3) -> tuple[Network, Box]:
    """x -> three blocks h + W2 relu(W1 h + b1) of 20 neurons each -> two outputs; a third of the neurons is stable."""
    rng = np.random.default_rng(seed)
    size = 6
    nodes, at = [Node("in", dense(rng.normal(size=(size, 4)), rng.normal(size=size)), INPUT)], "in"
    for k in range(blocks):
        weight = rng.normal(size=(width, size)) / 4
        bias = np.where(np.arange(width) % 3 == 0, rng.choice([-9.0, 9.0], width), rng.normal(size=width) / 4)
        nodes.append(Node(f"z{k}", dense(weight, bias), at))
        nodes.append(Node(f"h{k}", relu, f"z{k}"))
        nodes.append(Node(f"w{k}", dense(rng.normal(size=(size, width)) / 8, np.zeros(size)), f"h{k}"))
        nodes.append(Node(f"sum{k}", Sum((1, 1)), f"w{k}", at))
        at = f"sum{k}"
    nodes.append(Node("out", dense(rng.normal(size=(2, size)), np.zeros(2)), at))
    return Network(tuple(nodes), (4,)), Box.full(-1.0, 1.0, (4,))


def agree(net: Network, small: Network, box: Box, atol: float = 1e-6) -> None:
    x = box.sample(np.random.default_rng(0), 300)
    np.testing.assert_allclose(small(x), net(x), atol=atol)


def test_residual_network_loses_its_stable_neurons_with_a_proof() -> None:
    net, box = residual()
    assert net.neurons == 60
    result = compress(net, box)
    assert result.proved
    assert result.counts["removed"] + result.counts["merged"] >= 10
    assert result.network.neurons == 60 - sum(result.counts.values())
    assert result.network.parameters < net.parameters
    agree(net, result.network, box)


def test_neurons_before_a_sum_are_put_together_again_for_it() -> None:
    # the first two neurons are inactive; what they feed is added to the input, so that the sum needs all four places
    net = Network(
        (
            Node("z", dense(np.eye(4), [-5, -6, 0, 0.5]), INPUT),
            Node("h", relu, "z"),
            Node("sum", Sum((1, -1)), "h", INPUT),
            Node("g", relu, "sum"),
            Node("out", dense([[1, 2, 3, 4]], [0]), "g"),
        ),
        (4,),
    )
    box = Box.full(-1.0, 1.0, (4,))
    result = compress(net, box)
    assert result.proved
    assert [s.size for s in result.network.hidden] == [2, 4]
    agree(net, result.network, box)


def test_neurons_go_through_a_concatenation() -> None:
    net = Network(
        (
            Node("z", dense(np.eye(3), [-5, 0, 4]), INPUT),
            Node("h", relu, "z"),
            Node("cat", concatenated(((3,), (3,)), 0), "h", INPUT),
            Node("out", dense([[1, 2, 3, 4, 5, 6]], [0]), "cat"),
        ),
        (3,),
    )
    box = Box.full(-1.0, 1.0, (3,))
    result = compress(net, box, fold="never")
    assert result.counts["removed"] == 1
    out = result.network.by_name["out"].layer
    assert isinstance(out, Affine)
    assert out.dense.tolist() == [[2, 3, 4, 5, 6]]
    assert result.max_output_error == 0


def test_constant_branch_becomes_a_shift() -> None:
    net = Network(
        (
            Node("z", dense(np.eye(2), [-5, -5]), INPUT),
            Node("h", relu, "z"),
            Node("w", dense([[1, 2], [3, 4]], [7, 8]), "h"),
            Node("sum", Sum((1, 1)), "w", INPUT),
            Node("g", relu, "sum"),
            Node("out", dense([[1, -1]], [0.5]), "g"),
        ),
        (2,),
    )
    box = Box.full(-8.0, 4.0, (2,))
    result = compress(net, box.intersect(Box.full(-8.0, 4.0, (2,))))
    assert result.counts["collapsed"] == 2
    assert [n.layer.kind for n in result.network.nodes] == ["shift", "relu", "affine"]
    agree(net, result.network, box)
    assert result.proved


def conv_net(last: Layer | None = None) -> tuple[Network, Box]:
    """1 x 6 x 6 -> 4 channels, the second of which never switches on -> pool -> dense."""
    rng = np.random.default_rng(1)
    weight = rng.integers(-8, 9, (4, 1, 3, 3)) / 8
    bias = np.array([0.0, -20.0, 0.5, 0.25])
    nodes: list[Layer] = [
        Conv(weight, bias, (6, 6), pads=1),
        relu,
        last or AveragePool(4, (6, 6), 2, 2),
        Reshape((1, -1)),
        dense(rng.integers(-8, 9, (3, 36)) / 8, np.zeros(3)),
    ]
    return Network.chain(nodes, (1, 1, 6, 6)), Box.full(0.0, 1.0, (36,))


@pytest.mark.parametrize("pool", [None, MaxPool(4, (6, 6), 2, 2)])
def test_channel_goes_when_all_its_positions_are_inactive(pool: Layer | None) -> None:
    net, box = conv_net(pool)
    result = compress(net, box)
    assert result.counts["removed"] == 36
    first = result.network.nodes[0].layer
    assert isinstance(first, Conv)
    assert first.weight.shape == (3, 1, 3, 3)
    assert result.network.shapes[result.network.nodes[2].name] == (1, 3, 3, 3)
    assert result.max_output_error < 1e-11
    agree(net, result.network, box, 1e-12)


def test_channel_with_one_live_position_stays() -> None:
    net, box = conv_net()
    # one pixel may be larger, so that the second channel switches on there alone
    wide = box.upper.copy()
    wide[0] = 100.0
    result = compress(net, Box(box.lower, wide))
    assert result.counts["removed"] == 0


def test_proportional_channels_merge_whatever_their_stability() -> None:
    rng = np.random.default_rng(2)
    weight = rng.integers(-8, 9, (3, 1, 2, 2)) / 8
    weight[2] = 2 * weight[0]
    bias = np.array([0.25, 0.0, 0.5])
    second = Conv(rng.integers(-8, 9, (2, 3, 2, 2)) / 8, np.zeros(2), (4, 4), pads=1)
    net = Network.chain([Conv(weight, bias, (5, 5)), relu, second, relu, Reshape((1, -1))], (1, 1, 5, 5))
    box = Box.full(-1.0, 1.0, (25,))
    result = compress(net, box)
    assert result.counts["merged"] == 16
    assert result.proved
    agree(net, result.network, box, 1e-6)


def test_batch_normalisation_and_constants_join_the_layer_before_them() -> None:
    rng = np.random.default_rng(3)
    conv = Conv(rng.integers(-8, 9, (2, 1, 2, 2)) / 8, np.array([0.5, -0.5]), (3, 3))
    layers: list[Layer] = [
        conv,
        BatchNorm(np.array([2.0, 0.5]), np.array([1.0, 0.25]), 4),
        relu,
        Reshape((1, -1)),
        Scale(np.array([0.5])),
        dense(rng.integers(-8, 9, (3, 8)) / 8, np.zeros(3)),
        Shift(np.array([1.0, 2.0, 3.0])),
        Scale(np.array([2.0])),
    ]
    net = Network.chain(layers, (1, 1, 3, 3))
    box = Box.full(-1.0, 1.0, (9,))
    result = compress(net, box)
    assert [n.layer.kind for n in result.network.nodes] == ["conv", "relu", "reshape", "affine"]
    # of dyadic numbers nothing is rounded
    x = box.sample(np.random.default_rng(0), 50).round(2)
    np.testing.assert_allclose(result.network(x), net(x), atol=1e-12)
    assert result.proved


@pytest.mark.parametrize("activation", [relu, leaky_relu(0.125)])
def test_proportional_neurons_merge_on_every_input(activation: Layer) -> None:
    rows = [[1, -2], [2, -4], [0.5, -1], [-1, 2], [1, 1]]
    net = Network.chain([dense(rows, [0.5, 1, 0.25, -0.5, 0]), activation, dense([[1, 2, 3, 4, 5]], [1])], (2,))
    wide = Box.full(-1000.0, 1000.0, (2,))
    result = compress(net, wide)
    # the fourth is a negative multiple, which is no twin
    assert result.map.stages[0].neurons.tolist() == [0, 3, 4]
    out = result.network.by_name[result.network.output].layer
    assert isinstance(out, Affine)
    assert out.dense.tolist() == [[1 + 2 * 2 + 3 * 0.5, 4, 5]]
    assert result.proved


def test_only_duplicates_merge_where_the_activation_is_not_homogeneous() -> None:
    rows = [[1, -2], [2, -4], [1, -2]]
    net = Network.chain([dense(rows, [0.5, 1, 0.5]), hard_tanh(), dense([[1, 2, 3]], [1])], (2,))
    result = compress(net, Box.full(-9.0, 9.0, (2,)))
    assert result.map.stages[0].neurons.tolist() == [0, 1]
    assert result.max_output_error < 1e-13


def test_active_block_shrinks_to_the_rank_of_what_it_feeds() -> None:
    rng = np.random.default_rng(4)
    # eight active neurons of rank 6 feed two; two more switch
    weight = np.concatenate([rng.normal(size=(8, 6)), rng.normal(size=(2, 6))])
    bias = np.array([30.0] * 8 + [0.0, 0.1])
    net = Network.chain([dense(weight, bias), relu, dense(rng.normal(size=(2, 10)), [0.5, -0.5])], (6,))
    box = Box.full(-1.0, 1.0, (6,))
    result = compress(net, box, dtype=np.float64)
    assert result.network.neurons == 4
    assert (result.map.stages[0].neurons == -1).sum() == 2
    assert result.proved
    assert result.max_output_error < 1e-9
    agree(net, result.network, box, 1e-9)


def test_new_neuron_that_may_switch_is_no_proof() -> None:
    rng = np.random.default_rng(4)
    net = Network.chain(
        [dense(rng.normal(size=(4, 6)), [30.0] * 4), relu, dense(rng.normal(size=(2, 4)), [0.5, -0.5])], (6,)
    )
    bounds = crown(net, Box.full(-1.0, 1.0, (6,)))
    known, same = Knowledge.of(net, bounds), NeuronMap.identity(net)
    site = Refactor().sites(net, known, same)[-1]
    result = Refactor().apply(net, known, same, site, F64)
    assert output_difference(net, result.network, result.map, bounds).max() < 1e-9
    first = result.network.nodes[0].layer
    assert isinstance(first, Affine)
    free = Node(result.network.nodes[0].name, Affine(first.weight, 0 * first.offset), INPUT)
    moved = Network((free, *result.network.nodes[1:]), net.input_shape)
    assert np.isinf(output_difference(net, moved, result.map, bounds)).all()


def test_wrong_factor_between_twins_is_no_proof() -> None:
    net = Network.chain([dense([[1, -2], [2, -4], [1, 1]], [0, 0, 0]), relu, dense([[1, 2, 3]], [1])], (2,))
    bounds = crown(net, Box.full(-1.0, 1.0, (2,)))
    known, same = Knowledge.of(net, bounds), NeuronMap.identity(net)
    (site,) = MergeTwins().sites(net, known, same)
    right = MergeTwins().apply(net, known, same, site, F64)
    assert output_difference(net, right.network, right.map, bounds).max() < 1e-12
    out = right.network.nodes[-1]
    assert isinstance(out.layer, Affine)
    wrong = Network(
        (
            *right.network.nodes[:-1],
            Node(out.name, Affine(out.layer.dense + np.array([[0.01, 0]]), out.layer.offset), out.source),
        ),
        net.input_shape,
    )
    assert output_difference(net, wrong, right.map, bounds).max() > 0.01


def test_maximum_keeps_its_inputs_and_is_compared_with_itself() -> None:
    net = Network(
        (
            Node("z", dense([[1, 0], [0, 1], [1, 1], [1, -1]], [0, -9, 0, 0.5]), INPUT),
            Node("h", relu, "z"),
            Node("m", maxout(4, 2), "h"),
            Node("out", dense([[1, 1]], [0]), "m"),
        ),
        (2,),
    )
    box = Box.full(-1.0, 1.0, (2,))
    result = compress(net, box)
    assert result.network.neurons == 3
    assert result.max_output_error == 0
    agree(net, result.network, box, 1e-12)
    damaged = Network(
        (*result.network.nodes[:-1], Node("out", dense([[1, 1.5]], [0]), result.network.nodes[-1].source)), (2,)
    )
    assert output_difference(net, damaged, result.map, crown(net, box)).max() >= 0.5


def test_maximum_that_always_copies_the_same_inputs_becomes_a_selection() -> None:
    layers: list[Layer] = [dense(np.eye(4), [5, 0, 0, 5]), maxout(4, 2), dense([[1, 2]], [0])]
    net = Network.chain(layers, (4,))
    result = compress(net, Box.full(-1.0, 1.0, (4,)))
    assert [n.layer.kind for n in result.network.nodes] == ["affine", "select", "affine"]
    assert result.max_output_error < 1e-12
    wider = compress(net, Box.full(-3.0, 3.0, (4,)))
    assert [n.layer.kind for n in wider.network.nodes] == ["affine", "max", "affine"]


@given(rs.graphs(), st.integers(0, 2**31), st.sampled_from(["auto", "always", "never"]))
@settings(deadline=None)
def test_compress_of_any_graph_is_proved_and_keeps_the_function(net: Network, seed: int, fold: str) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.integers(-8, 9, net.input_size) / 8
    box = Box(centre - rng.choice([0.25, 1.0]), centre + rng.choice([0.25, 1.0]))
    result = compress(net, box, fold=fold)
    assert result.network.neurons <= net.neurons
    assert result.proved
    for x in box.sample(rng, 8).round(3):
        before = net.exact_values(exactly(x))[net.output]
        after = result.network.exact_values(exactly(x))[result.network.output]
        assert all(abs(a - b) <= e for a, b, e in zip(before, after, result.error))


@given(rs.graphs(), st.integers(0, 2**31))
@settings(deadline=None)
def test_every_rewrite_alone_keeps_a_graph_s_function(net: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre = rng.integers(-8, 9, net.input_size) / 8
    box = Box(centre - 0.5, centre + 0.5)
    bounds = crown(net, box)
    known, same = Knowledge.of(net, bounds), NeuronMap.identity(net)
    x = box.sample(rng, 20)
    for rewrite in (Absorb(), Remove(), MergeTwins(), Refactor(), Collapse()):
        for site in rewrite.sites(net, known, same):
            result = rewrite.apply(net, known, same, site, F64)
            np.testing.assert_allclose(result.network(x), net(x), atol=1e-8)
            assert output_difference(net, result.network, result.map, bounds).max() < 1e-8


def test_constants_on_several_tensors_and_long_sums_of_one_are_no_trouble() -> None:
    nodes = [Node("z", dense(np.eye(2), [0, -9]), INPUT), Node("h", relu, "z"), Node("s", Shift(np.ones(1)), "h", "h")]
    nodes.append(Node("flat", Reshape((4,)), "s"))
    nodes.append(Node("d0", dense(np.ones((2, 4)), [0, 0]), "flat"))
    # 2^40 paths, if anybody walked them one by one
    nodes += [Node(f"d{k + 1}", Sum((1, 1)), f"d{k}", f"d{k}") for k in range(40)]
    nodes.append(Node("g", relu, "d40"))
    net = Network(tuple(nodes), (2,))
    box = Box.full(-1.0, 1.0, (2,))
    result = compress(net, box)
    assert result.network.neurons < net.neurons
    assert result.proved


@pytest.mark.parametrize("lead", [(), (1,), (1, 1, 1)])
def test_axes_of_size_one_do_not_hide_the_neurons(lead: tuple[int, ...]) -> None:
    rows = [[1, -2], [2, -4], [1, 1], [1, 0], [0, 1]]
    layers: list[Layer] = [dense(rows, [0.5, 1, -9, 5, 6]), relu, dense([[1, 2, 3, 4, 5]], [1])]
    net = Network.chain(layers, (*lead, 2))
    result = compress(net, Box.full(-1.0, 1.0, (2,)))
    assert dict(result.counts)["removed"] == 1
    assert result.network.neurons == 2
    assert result.proved
    agree(net, result.network, Box.full(-1.0, 1.0, (2,)))


def test_one_channel_over_one_axis_is_cut_position_by_position() -> None:
    conv = Conv(np.array([[[1.0, 1.0]]]), np.array([0.0]), (4,))
    net = Network.chain([conv, relu, Reshape((1, -1)), dense([[1, 2, 3]], [0])], (1, 1, 4))
    box = Box([-2.0, -2.0, 0.0, 0.0], [-1.0, 0.0, 1.0, 1.0])
    result = compress(net, box, fold="never")
    # the first position is never on
    assert result.counts["removed"] == 1
    assert result.proved
    agree(net, result.network, box)


@pytest.mark.parametrize(
    "window",
    [Conv(np.ones((1, 1, 1)), np.zeros(1), (2,)), AveragePool(1, (2,), 2, 1), AveragePool(1, (2,), 2, 1, ((1, 0),))],
)
def test_twins_that_are_positions_of_one_channel_stay(window: Layer) -> None:
    layers: list[Layer] = [dense([[1, 1], [1, 1]], [0, 0]), relu, Reshape((1, 1, 2)), window, Reshape((-1,))]
    size = Network.chain(layers, (2,)).output_size
    net = Network.chain([*layers, dense(np.ones((1, size)), [0])], (2,))
    box = Box.full(-1.0, 1.0, (2,))
    result = compress(net, box)
    assert result.proved
    agree(net, result.network, box)


def test_autoencoder_shrinks_to_twelve_neurons_at_most() -> None:
    from reludsl import box, read

    net = read(data_path("mnist_nets/mnist_ae_100-10-100_l1_0.0002_s0.onnx"))
    result = compress(net, box(0, 1, net.input_shape))
    assert result.proved
    assert result.network.neurons <= 12
