"""Networks with branches, convolutions, pools and maxima, held against the exact oracle in every way they are used.

Graphs of `reludsl.testing.strategies.graphs()`: dyadic, so that floats, rationals and cells say the same numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers import SOLVERS, solver

import reludsl as rd
from reludsl.backend import Backend, FloatArray, Limits, Sense, Status
from reludsl.bounds import Bounds, crown, crown_boxes, forward_errors, interval
from reludsl.domain import Box, Domain
from reludsl.exact import ExactArray, exactly
from reludsl.expr import Input
from reludsl.formulate import compile_program
from reludsl.layers import Activation, Affine, Layer, Max, MaxLayer, relu
from reludsl.network import INPUT, Network
from reludsl.passes import Formulation, lower
from reludsl.testing import EnumerationBackend, oracle
from reludsl.testing.strategies import boxes, domains, graphs, vectors

EXACT = EnumerationBackend()
any_graph = graphs()
small_graphs = graphs(max_inputs=2, max_units=4, max_steps=3)
FORMS = [Formulation.BIG_M, Formulation.PUBLISHED, Formulation.HULL, Formulation.partition(2), Formulation.CUTS]


def _everything(network: Network) -> set[str]:
    """Names of the nodes that the output depends on."""
    return {node.name for node in network.cone(network.output)}


def _inside(box: Box, low: ExactArray, high: ExactArray) -> bool:
    lower, upper = box.lower.tolist(), box.upper.tolist()
    return all(Fraction(a) <= v for a, v in zip(lower, low)) and all(v <= Fraction(b) for b, v in zip(upper, high))


# --- numbers ------------------------------------------------------------------------------------------------


@given(any_graph, st.data())
def test_exact_values_at_dyadic_inputs_are_those_of_the_forward_pass(network: Network, data: st.DataObject) -> None:
    x = data.draw(vectors(network.input_size))
    exact, values = network.exact_values(exactly(x)), network.values(x)
    assert exact.keys() == values.keys() == {INPUT, *_everything(network)}
    for name, numbers in values.items():
        assert list(map(Fraction, numbers[0].tolist())) == list(exact[name])


@given(any_graph, st.data())
def test_oracle_on_a_single_point_says_the_exact_values(network: Network, data: st.DataObject) -> None:
    x = data.draw(vectors(network.input_size))
    low, high = oracle.extremes(network, Box(x, x))
    assert list(low) == list(high) == list(network.exact_values(exactly(x))[network.output])


@given(any_graph, st.data())
def test_forward_errors_cover_float_passes_at_inputs_that_round(network: Network, data: st.DataObject) -> None:
    domain = data.draw(boxes(network.input_size))
    errors = forward_errors(interval(network, domain))
    x = domain.sample(np.random.default_rng(data.draw(st.integers(0, 2**16))), 1)
    values, exact = network.values(x), network.exact_values(exactly(x[0]))
    for name, numbers in values.items():
        gaps = [abs(Fraction(a) - b) for a, b in zip(numbers[0].tolist(), exact[name])]
        assert all(gap <= Fraction(e) for gap, e in zip(gaps, errors[name].tolist()))


# --- derivatives --------------------------------------------------------------------------------------------


def _pieces(network: Network, x: FloatArray) -> list[list[int]]:
    values = network.values(x)
    return [
        node.layer.piece(network.gather(node, values)).ravel().tolist()
        for node in network.cone(network.output)
        if isinstance(node.layer, Activation | MaxLayer)
    ]


@given(any_graph, st.data())
def test_gradient_is_the_exact_slope_between_points_of_one_piece(network: Network, data: st.DataObject) -> None:
    n = network.input_size
    # next to a grid point, on which kinks often lie
    x = data.draw(vectors(n)) + data.draw(vectors(n)) * 2.0**-12
    step = data.draw(vectors(n)) * 2.0**-16
    if _pieces(network, x) != _pieces(network, x + step):
        return
    rows = data.draw(vectors(network.output_size))
    slope = network.gradient(network.values(x), network.output, rows[None])[0]
    ends = [network.exact_values(exactly(p))[network.output] for p in (x, x + step)]
    assert (ends[1] - ends[0]) @ exactly(rows) == exactly(slope) @ exactly(step)


@given(any_graph, st.data())
def test_push_of_every_layer_is_the_transposed_pull(network: Network, data: st.DataObject) -> None:
    values = network.values(data.draw(vectors(network.input_size)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    for node in network.cone(network.output):
        x = network.gather(node, values)
        v = rng.integers(-8, 9, (3, x.shape[1])) / 8
        a = rng.integers(-8, 9, (3, network.size(node.name))) / 8
        pulled = node.layer.pull(np.repeat(x, 3, axis=0), a)
        np.testing.assert_array_equal((a * node.layer.push(x[0], v)).sum(axis=1), (pulled * v).sum(axis=1))


# --- bounds -------------------------------------------------------------------------------------------------


def _holds(bounds: Bounds, domain: Domain, seed: int) -> None:
    """Exact values at some points, and the exact ranges of the output and of a node drawn by the seed."""
    network = bounds.network
    rng = np.random.default_rng(seed)
    for x in domain.project(np.round(domain.sample(rng, 3) * 64) / 64):
        if domain.contains(x[None])[0]:
            exact = network.exact_values(exactly(x))
            assert all(_inside(bounds.boxes[name], v, v) for name, v in exact.items())
    names = sorted(_everything(network))
    for name in (network.output, names[int(rng.integers(len(names)))]):
        assert _inside(bounds.boxes[name], *oracle.extremes(network, domain, name)), name


@pytest.mark.parametrize("method", [interval, crown])
@given(network=any_graph, data=st.data(), seed=st.integers(0, 2**16))
def test_bounds_contain_exact_samples_and_the_oracles_range(
    method: Callable[[Network, Domain], Bounds], network: Network, data: st.DataObject, seed: int
) -> None:
    domain = data.draw(domains(network.input_size))
    _holds(method(network, domain), domain, seed)


@given(network=any_graph, data=st.data(), seed=st.integers(0, 2**16))
def test_crown_boxes_of_a_cut_box_contain_the_oracles_range_of_each_part(
    network: Network, data: st.DataObject, seed: int
) -> None:
    whole = data.draw(boxes(network.input_size))
    middle = 0.5 * (whole.lower + whole.upper)
    sides = list(itertools.product([False, True], repeat=network.input_size))[:4]
    low = np.array([np.where(side, middle, whole.lower) for side in sides])
    high = np.array([np.where(side, whole.upper, middle) for side in sides])
    found = crown_boxes(network, Box(low, high))
    for k in range(len(sides)):
        part = Box(low[k], high[k])
        held = {name: Box(box.lower[k], box.upper[k]) for name, box in found.boxes.items()}
        _holds(Bounds(network, part, held), part, seed)


@given(any_graph, st.data())
def test_crown_is_never_wider_than_interval(network: Network, data: st.DataObject) -> None:
    domain = data.draw(domains(network.input_size))
    wide, narrow = interval(network, domain), crown(network, domain)
    for name in _everything(network):
        assert (narrow.boxes[name].lower >= wide.boxes[name].lower).all()
        assert (narrow.boxes[name].upper <= wide.boxes[name].upper).all()


# --- programs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS, ids=str)
@settings(max_examples=12)
@given(network=small_graphs, data=st.data())
def test_program_with_pinned_inputs_leaves_only_the_forward_pass(
    form: Formulation, network: Network, data: st.DataObject
) -> None:
    n = network.input_size
    y = network(Input(Box(-np.ones(n), np.ones(n))))
    compiled = compile_program([y])
    lowered = lower(compiled.program, form, budget=0.0)
    x, weights = data.draw(vectors(n, -1, 1)), data.draw(vectors(network.output_size))
    index, value, offset = compiled.row(weights[None, :] @ y)
    cost = np.zeros(compiled.program.size)
    np.add.at(cost, index, value)
    trace = lowered.original
    session = EXACT.open(lowered.matrix(), Limits())
    session.set_bounds(np.arange(n), x, x)
    for sense in Sense:
        offset_here = float(cost @ trace.offset) + offset
        session.set_cost(np.arange(lowered.size), np.asarray(cost @ trace.matrix), sense, offset_here)
        result = session.solve()
        assert result.status is Status.OPTIMAL
        assert result.objective == pytest.approx(float(weights @ network(x)), abs=1e-9)


def _check(network: Network, domain: Domain, backend: Backend, form: Formulation = Formulation.BIG_M) -> None:
    y = network(Input(domain))[0]
    low, high = oracle.extremes(network, domain)
    most = rd.maximize(y, backend=backend, formulation=form)
    least = rd.minimize(y, backend=backend, formulation=form)
    assert Fraction(most.bound) >= high[0]
    assert Fraction(least.bound) <= low[0]
    for answer, truth in ((most, high[0]), (least, low[0])):
        assert answer.bound == pytest.approx(float(truth), rel=1e-4, abs=1e-4)
        assert answer.value == pytest.approx(float(truth), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", SOLVERS)
@settings(max_examples=30)
@given(network=any_graph, data=st.data())
def test_maximize_and_minimize_agree_with_the_oracle_on_every_solver(
    name: str, network: Network, data: st.DataObject
) -> None:
    _check(network, data.draw(domains(network.input_size)), solver(name))


@pytest.mark.parametrize("form", FORMS, ids=str)
@settings(max_examples=30)
@given(network=any_graph, data=st.data())
def test_maximize_and_minimize_agree_with_the_oracle_in_every_formulation(
    form: Formulation, network: Network, data: st.DataObject
) -> None:
    _check(network, data.draw(boxes(network.input_size)), solver("highs"), form)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_maxima_of_windows_that_overlap_have_the_oracles_extremes(form: Formulation) -> None:
    """max(h, h + 1/8) + max(h + 1/8, h) with h = relu(x): both disjunctions use the element in the middle."""
    shifted = Affine(np.ones((3, 1)), np.array([0.0, 0.125, 0.0]))
    overlapping = Max(np.array([[0, 1], [1, 2]]), 3, (2,))
    layers: list[Layer] = [Affine(np.eye(1), np.zeros(1)), relu, shifted, overlapping]
    network = Network.chain([*layers, Affine(np.ones((1, 2)), np.zeros(1))], (1,))
    domain = Box([-1.0], [1.0])
    assert oracle.extremes(network, domain)[1][0] == Fraction(9, 4)
    _check(network, domain, EXACT, form)


@settings(max_examples=25)
@given(network=any_graph, data=st.data())
def test_prove_says_what_the_oracles_range_says(network: Network, data: st.DataObject) -> None:
    domain = data.draw(domains(network.input_size))
    y = network(Input(domain))[0]
    (low, *_), (high, *_) = oracle.extremes(network, domain)
    gap = data.draw(st.sampled_from([0.125, 0.5, 2.0]))
    backend = solver("highs")
    assert rd.prove(y <= float(high) + gap, backend=backend).proved
    assert rd.prove(y >= float(low) - gap, backend=backend).proved
    assert rd.prove(y <= float(high) - gap, backend=backend).refuted
    assert rd.prove(y >= float(low) + gap, backend=backend).refuted


@given(network=any_graph, data=st.data())
def test_stable_says_the_oracles_pieces(network: Network, data: st.DataObject) -> None:
    domain = data.draw(domains(network.input_size))
    facts = rd.stable(network, domain, backend=solver("highs"))
    truth = oracle.stability(network, domain)
    assert len(facts.stages) == len(truth)
    for stage, pieces in zip(facts.stages, truth):
        decided = stage.piece >= -1
        np.testing.assert_array_equal(stage.piece[decided], pieces[decided])
        # open are ties at most: a range that ends on a break
        for k in np.flatnonzero(~decided):
            low, high = (ends[k] for ends in oracle.extremes(network, domain, stage.stage))
            breaks = network.activation(stage.stage).breaks_at(stage.stage.size)[:, k]
            assert min(abs(float(end) - b) for b in breaks for end in (low, high)) <= 1e-6
