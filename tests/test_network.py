"""Networks: numbers and symbols give the same values; the graph is checked when built, and then frozen."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.bounds import crown
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.expr import Expr, box
from reludsl.layers import Affine, Gather, Layer, PiecewiseLinear, Reshape, Scale, Shift, Sum, concatenated, relu
from reludsl.layers.activations import absolute
from reludsl.network import INPUT, Network, Node, joined_shape
from reludsl.testing.strategies import activations, graphs, networks, rough_network, vectors

any_network = networks(activation=st.one_of(st.just(relu), activations()))


def _image_network() -> Network:
    """Flattens a (1, 2, 2) image, and two layers on top."""
    layers: list[Layer] = [
        Scale(np.array([4.0]), divide=True),
        Reshape((1, -1)),
        Affine(np.arange(12.0).reshape(3, 4) - 5, np.array([1.0, -1.0, 0.0])),
        Shift(np.array([0.5])),
        relu,
        Affine(np.array([[1.0, -2.0, 3.0]]), np.array([0.25])),
    ]
    return Network.chain(layers, (1, 2, 2), names=["scale", "flat", "first", "bias", "act", "last"])


def _plain(network: Network, x: FloatArray) -> list[Fraction]:
    """The forward pass of a chain of `networks()`, by hand."""
    values = [Fraction(v) for v in x.tolist()]
    for node in network.nodes:
        layer = node.layer
        if isinstance(layer, Affine):
            rows = zip(layer.dense.tolist(), layer.bias.tolist())
            values = [sum((Fraction(a) * v for a, v in zip(row, values)), Fraction(b)) for row, b in rows]
        else:
            assert isinstance(layer, PiecewiseLinear)
            values = [_by_slopes(layer, v) for v in values]
    return values


def _by_slopes(f: PiecewiseLinear, z: Fraction) -> Fraction:
    """f(z) = f(anchor) + the integral of the slope from the anchor to z."""
    at, value = (Fraction(v) for v in f.anchor)
    sign = 1 if z >= at else -1
    low, high = min(at, z), max(at, z)
    edges = [low, *(Fraction(b) for b in f.breaks if low < b < high), high]
    for a, b in itertools.pairwise(edges):
        slope = f.slopes[sum(Fraction(v) <= a for v in f.breaks)]
        value += sign * Fraction(slope) * (b - a)
    return value


@given(any_network, st.data())
def test_call_on_a_point_is_the_composition_of_its_layers(network: Network, data: st.DataObject) -> None:
    x = data.draw(vectors(network.input_size))
    expected = _plain(network, x)
    assert list(network.exact_values(exactly(x))[network.output]) == expected
    assert [Fraction(v) for v in network(x).tolist()] == expected


@given(any_network, st.integers(0, 2**16))
def test_call_on_a_batch_is_the_call_on_its_points(network: Network, seed: int) -> None:
    batch = np.random.default_rng(seed).integers(-16, 17, (5, network.input_size)) / 8
    together = network(batch)
    assert together.shape == (5, network.output_size)
    for x, y in zip(batch, together):
        np.testing.assert_array_equal(network(x), y)


def test_call_on_point_batch_flat_and_tensor_gives_the_same_values() -> None:
    network = _image_network()
    x = np.arange(4.0)
    flat = network(x)
    assert flat.shape == (1,)
    np.testing.assert_array_equal(network(x.reshape(1, 4)), flat[None])
    np.testing.assert_array_equal(network(np.stack([x, x])), np.stack([flat, flat]))
    tensors = np.stack([x, 2 * x]).reshape(2, 1, 2, 2)
    np.testing.assert_array_equal(network(tensors)[0], flat)
    assert network(x.reshape(1, 2, 2)).ravel() == flat
    assert network(x[None].tolist()).shape == (1, 1)


@pytest.mark.parametrize("shape", [(3,), (5,), (2, 3), (2, 2, 4), (3, 1), ()])
def test_call_on_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="does not fit"):
        _image_network()(np.zeros(shape))


@given(any_network, st.data())
def test_symbolic_output_evaluates_to_the_forward_pass(network: Network, data: st.DataObject) -> None:
    point = data.draw(vectors(network.input_size))
    x = box(-2, 2, (network.input_size,))
    np.testing.assert_array_equal(network(x).value({x.variable: point}), network(point))
    symbolic, numeric = network.trace(x), network.trace(point)
    for left, right in ((symbolic.pre, numeric.pre), (symbolic.post, numeric.post)):
        for expr, values in zip(left, right):
            np.testing.assert_array_equal(expr.value({x.variable: point}), values[0])
    np.testing.assert_array_equal(symbolic.output.value({x.variable: point}), numeric.output[0])


@given(any_network, any_network, st.data())
def test_symbolic_composition_with_affine_arguments_evaluates_to_the_numbers(
    first: Network, second: Network, data: st.DataObject
) -> None:
    point = data.draw(vectors(first.input_size))
    scale, shift = data.draw(vectors(first.input_size)), data.draw(vectors(first.input_size))
    mix = data.draw(vectors(second.input_size * first.output_size)).reshape(second.input_size, -1)
    x = box(-2, 2, (first.input_size,))
    inner = first(scale * x + shift)
    outer: Expr = 2 * second(mix @ inner - 1) - second(mix @ inner)[0] + x[0]
    a = mix @ first(scale * point + shift)
    np.testing.assert_array_equal(outer.value({x.variable: point}), 2 * second(a - 1) - second(a)[0] + point[0])
    assert outer.inputs() == (x.variable,)


def test_symbolic_two_inputs_are_both_found() -> None:
    network = _image_network()
    a, b = box(0, 1, (4,), "a"), box(0, 1, (4,), "b")
    difference = network(a) - network(b)
    assert set(difference.inputs()) == {a.variable, b.variable}
    u, v = np.arange(4.0) / 8, np.ones(4)
    value = difference.value({a.variable: u, b.variable: v})
    np.testing.assert_allclose(value, network(u) - network(v))


def test_symbolic_argument_of_wrong_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="4 inputs"):
        _image_network()(box(0, 1, (3,)))


@given(any_network, st.integers(0, 2**16))
def test_trace_holds_pre_post_and_activity_of_every_stage(network: Network, seed: int) -> None:
    batch = np.random.default_rng(seed).integers(-16, 17, (4, network.input_size)) / 8
    trace = network.trace(batch)
    assert len(trace.pre) == len(trace.post) == len(trace.active) == len(network.hidden)
    for stage, pre, post, active in zip(network.hidden, trace.pre, trace.post, trace.active):
        assert pre.shape == post.shape == active.shape == (4, stage.size)
        f = network.activation(stage)
        np.testing.assert_array_equal(post, f(pre))
        np.testing.assert_array_equal(active, pre > f.breaks[0])
    np.testing.assert_array_equal(trace.output, network(batch))


@given(any_network)
def test_stages_sizes_and_counts_agree(network: Network) -> None:
    assert [s.index for s in network.stages] == list(range(len(network.hidden) + 1))
    assert network.stages[-1].activation is None
    assert network.stages[-1].size == network.output_size
    assert network.neurons == sum(s.size for s in network.hidden)
    sizes = [network.input_size, *(s.size for s in network.stages)]
    assert network.parameters == sum(a * b + b for a, b in itertools.pairwise(sizes))


def test_stages_bias_and_flattening_apart_keep_the_name_of_the_weights() -> None:
    network = _image_network()
    assert [(s.name, s.pre, s.activation, s.size) for s in network.stages] == [
        ("first", "bias", "act", 3),
        ("last", "last", None, 1),
    ]
    assert network.shapes == {
        INPUT: (1, 2, 2), "scale": (1, 2, 2), "flat": (1, 4), "first": (1, 3), "bias": (1, 3), "act": (1, 3),
        "last": (1, 1),
    }  # fmt: skip


def test_cone_of_a_node_is_what_it_depends_on_in_order() -> None:
    side = Node("side", relu, "first")
    network = _image_network()
    nodes = (*network.nodes[:3], side, *network.nodes[3:])
    forked = Network(nodes, (1, 2, 2))
    assert [n.name for n in forked.cone("act")] == ["scale", "flat", "first", "bias", "act"]
    assert [n.name for n in forked.cone("side")] == ["scale", "flat", "first", "side"]
    # a stage that the output does not depend on is none
    assert [s.activation for s in forked.hidden] == ["act"]
    assert set(forked.values(np.zeros((1, 4)), "side")) == {INPUT, "scale", "flat", "first", "side"}


@given(any_network, st.integers(0, 2**16))
def test_gradient_is_the_slope_between_near_points(network: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (1, network.input_size))
    direction = rng.integers(-2, 3, (1, network.input_size)) * 2.0**-30
    if any((p != q).any() for p, q in zip(_pieces(network, x), _pieces(network, x + direction))):
        return  # a break between the two
    rows = rng.integers(-2, 3, (1, network.output_size)).astype(float)
    slope = network.gradient(network.values(x), network.output, rows)
    rise = ((network(x + direction) - network(x)) * rows).sum()
    assert (slope * direction).sum() == pytest.approx(rise, abs=1e-11)


def _pieces(network: Network, x: FloatArray) -> list[FloatArray]:
    trace = network.trace(x)
    return [np.asarray(network.activation(s).piece(z)) for s, z in zip(network.hidden, trace.pre)]


def test_exact_values_rough_network_stay_within_the_forward_error() -> None:
    for seed in range(20):
        network = rough_network(seed)
        rng = np.random.default_rng(seed)
        around = Box(-np.ones(network.input_size), np.ones(network.input_size))
        x = around.sample(rng, 1)
        errors = {INPUT: np.zeros(network.input_size)}
        held, values = {INPUT: around}, network.values(x)
        exact = network.exact_values(exactly(x[0]))
        for node in network.nodes:
            held[node.name] = node.layer.interval(held[node.source])
            errors[node.name] = node.layer.forward_error(held[node.source], errors[node.source])
            for a, b, e in zip(values[node.name][0].tolist(), exact[node.name], errors[node.name].tolist()):
                assert abs(Fraction(a) - b) <= Fraction(e)


def _meeting() -> Network:
    """|u| + u + (u - |u|) of two inputs u: `abs` and the input are taken three times."""
    nodes = [
        Node("abs", absolute, INPUT),
        Node("more", Sum((1, 1)), "abs", INPUT),
        Node("less", Sum((1, -1)), INPUT, "abs"),
        Node("all", concatenated(((2,), (2,), (2,)), 0), "more", "less", "more"),
    ]
    return Network(tuple(nodes), (2,))


def test_node_of_several_sources_takes_their_vectors_one_after_the_other() -> None:
    network = _meeting()
    x = np.array([[3.0, -2.0]])
    values = network.values(x)
    assert values["more"].tolist() == [[6.0, 0.0]]
    assert values["less"].tolist() == [[0.0, -4.0]]
    assert network(x).tolist() == [[6.0, 0.0, 0.0, -4.0, 6.0, 0.0]]
    node = network.by_name["less"]
    np.testing.assert_array_equal(network.gather(node, values), [[3.0, -2.0, 3.0, 2.0]])
    around = network.around(node, {INPUT: Box([0, 0], [1, 1]), "abs": Box([2, 2], [3, 3])})
    assert (around.lower.tolist(), around.upper.tolist()) == ([0, 0, 2, 2], [1, 1, 3, 3])
    parts = dict(network.split(node, np.arange(4.0)[None]))
    assert {name: part.tolist() for name, part in parts.items()} == {INPUT: [[0.0, 1.0]], "abs": [[2.0, 3.0]]}


def test_node_of_several_sources_has_no_only_source() -> None:
    network = _meeting()
    assert network.by_name["abs"].source == INPUT
    with pytest.raises(InvalidInput, match="takes 2 tensors"):
        _ = network.by_name["more"].source


def test_graph_joins_and_lists_what_every_node_takes() -> None:
    network = _meeting()
    assert network.listeners == {
        INPUT: ("abs", "more", "less"), "abs": ("more", "less"), "more": ("all",), "less": ("all",), "all": (),
    }  # fmt: skip
    assert set(network.graph.edges) == {
        (INPUT, "abs"), (INPUT, "more"), ("abs", "more"), (INPUT, "less"), ("abs", "less"), ("more", "all"),
        ("less", "all"),
    }  # fmt: skip
    assert [n.name for n in network.cone("less")] == ["abs", "less"]
    assert [n.name for n in network.cone(["less", "more"])] == ["abs", "more", "less"]


@pytest.mark.parametrize(
    ("shapes", "joined"),
    [([(2, 3)], (2, 3)), ([(2, 3), (2, 3)], (2, 2, 3)), ([(2, 3), (3, 2)], (12,)), ([(1,), (1,), (2,)], (4,))],
)
def test_joined_shape_stacks_what_is_alike_and_flattens_the_rest(
    shapes: list[tuple[int, ...]], joined: tuple[int, ...]
) -> None:
    assert joined_shape(shapes) == joined


def test_gradient_adds_up_what_comes_from_every_use_of_a_node() -> None:
    network = _meeting()
    values = network.values(np.array([[3.0, -2.0], [-1.0, 5.0]]))
    # the sum of all outputs is 2 (|u| + u) + (u - |u|) = |u| + 3 u
    slope = network.gradient(values, "all", np.ones((2, 6)))
    np.testing.assert_array_equal(slope, [[4.0, 2.0], [2.0, 4.0]])


def test_gradient_of_a_node_that_takes_the_same_value_twice_counts_it_twice() -> None:
    network = Network((Node("twice", Sum((1, 1)), INPUT, INPUT), Node("none", Sum((1, -1)), "twice", "twice")), (1,))
    x = np.array([[1.5]])
    assert network.values(x)["twice"].tolist() == [[3.0]]
    assert network.gradient(network.values(x), "twice", np.ones((1, 1))).tolist() == [[2.0]]
    assert network.gradient(network.values(x), "none", np.ones((1, 1))).tolist() == [[0.0]]


@given(graphs(), st.integers(0, 2**16))
def test_symbolic_output_of_a_graph_evaluates_to_the_forward_pass(network: Network, seed: int) -> None:
    point = np.random.default_rng(seed).integers(-16, 17, network.input_size) / 8
    x = box(-2, 2, (network.input_size,))
    np.testing.assert_array_equal(network(x).value({x.variable: point}), network(point))
    symbolic, numeric = network.trace(x), network.trace(point)
    for expr, values in zip((*symbolic.pre, *symbolic.post), (*numeric.pre, *numeric.post)):
        np.testing.assert_array_equal(expr.value({x.variable: point}), values[0])


def test_network_once_built_stays_as_it_is() -> None:
    network = _image_network()
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.output = "flat"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.nodes[0].source = "last"  # type: ignore[misc]
    with pytest.raises(nx.NetworkXError, match=r"[Ff]rozen"):
        network.graph.add_edge("last", "scale")
    assert nx.is_directed_acyclic_graph(network.graph)
    assert list(network.graph.nodes) == [INPUT, *(n.name for n in network.nodes)]


def _affine(rows: int, size: int) -> Affine:
    return Affine(np.ones((rows, size)), np.zeros(rows))


@pytest.mark.parametrize(
    ("nodes", "shape", "output", "words"),
    [
        ((), (2,), "", "without layers"),
        ((Node("a", relu, INPUT), Node("a", relu, "a")), (2,), "", "two layers.*'a'"),
        ((Node(INPUT, relu, INPUT),), (2,), "", "two layers"),
        ((Node("a", relu, "b"), Node("b", relu, "a")), (2,), "", "cycle"),
        ((Node("a", relu, "a"),), (2,), "", "cycle"),
        ((Node("a", relu, "nowhere"),), (2,), "", "'nowhere'"),
        ((Node("a", relu),), (2,), "", "'a'.*no tensor"),
        ((Node("a", relu, INPUT), Node("b", Sum((1, 1)), "a", "c"), Node("c", relu, "a")), (2,), "", "cycle"),
        ((Node("a", Sum((1, 1)), INPUT),), (3,), "", "'a'.*sum of 2"),
        ((Node("a", _affine(3, 2), INPUT), Node("b", Sum((1, 1)), "a", INPUT)), (2,), "", "'b'.*sum of 2"),
        ((Node("a", _affine(2, 3), INPUT),), (2,), "", "'a'.*3 inputs"),
        ((Node("a", _affine(2, 2), INPUT), Node("b", _affine(1, 3), "a")), (2,), "", "'b'.*3 inputs"),
        ((Node("a", relu, INPUT),), (0,), "", "positive"),
        ((Node("a", relu, INPUT),), (), "", "positive"),
        ((Node("a", relu, INPUT),), (2,), "b", "'b' is no layer"),
        ((Node("a", relu, INPUT),), (2,), INPUT, "no layer"),
    ],
)
def test_network_that_is_no_network_is_refused(
    nodes: tuple[Node, ...], shape: tuple[int, ...], output: str, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        Network(nodes, shape, output)


def test_network_domain_or_box_of_another_size_is_refused() -> None:
    network = _image_network()
    with pytest.raises(InvalidInput, match="4 inputs"):
        network.check_domain(Box([0], [1]))
    with pytest.raises(InvalidInput, match="3 coordinates"):
        Network.chain([relu], (2,), input_box=Box([0, 0, 0], [1, 1, 1]))


def test_activation_of_several_tensors_is_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidInput, match="takes one; put a layer that joins them"):
        Network((Node("a", Affine(np.eye(2), np.zeros(2)), INPUT), Node("r", relu, "a", "a")), (2,))


def test_layer_of_no_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="is no kind of layer"):
        Network((Node("a", "affine", INPUT),), (2,))  # type: ignore[arg-type]


def test_bounds_of_a_layer_without_outputs_exist() -> None:
    layers: list[Layer] = [Affine(np.zeros((0, 2)), np.zeros(0)), relu, Affine(np.zeros((1, 0)), np.ones(1))]
    net = Network.chain(layers, (2,))
    box = Box([0.0, 0.0], [1.0, 1.0])
    assert crown(net, box).boxes[net.output].upper.tolist() == [1.0]


def test_element_that_comes_twice_is_not_two_free_inputs() -> None:
    twice = Gather(np.array([0, 0]), 1, (1, 2))
    net = Network.chain([twice, Affine(np.array([[1.0, -1.0]]), np.zeros(1))], (1,))
    assert crown(net, Box([-1.0], [1.0])).boxes[net.output].upper[0] < 1e-12
