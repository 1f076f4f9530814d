"""The contract of passes: the feasible set, projected on the original columns by the trace, stays the same.

Small dyadic networks go through every pass; the oracle (which knows no program) says what must come out.
Snapshots show one network before and after each pass; RELUDSL_UPDATE_SNAPSHOTS=1 writes them anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from reludsl.backend import FloatArray, IntArray, Limits, Matrix, Result, Sense, Status
from reludsl.bounds import Bounds, crown
from reludsl.domain import Box, Domain
from reludsl.expr import Input
from reludsl.formulate import compile_program
from reludsl.layers import Affine, Layer, relu
from reludsl.network import INPUT, Network
from reludsl.passes import (
    EVERYWHERE,
    Formulation,
    big_m,
    disaggregate,
    hull,
    indicator,
    lower,
    partition,
    parts,
    prune,
    published_big_m,
    slim,
    sparsify,
    substitute,
    thin,
)
from reludsl.program import Program, RowBlock
from reludsl.testing import EnumerationBackend, oracle
from reludsl.testing.strategies import activations, domains, networks, vectors

Pass = Callable[[Program], Program]

EXACT = EnumerationBackend()
SNAPSHOTS = Path(__file__).with_name("snapshots")

WAYS: dict[str, Pass] = {
    "big_m": big_m,
    "published": published_big_m,
    "prune big_m": lambda p: big_m(prune(p)),
    "prune published": lambda p: published_big_m(prune(p)),
    "substitute big_m": lambda p: big_m(substitute(p)),
    "prune substitute big_m": lambda p: big_m(substitute(prune(p))),
    "substitute prune substitute published": lambda p: published_big_m(substitute(prune(substitute(p)))),
    "lower compact": partial(lower, formulation=Formulation.BIG_M, budget=0.0),
    "lower published": partial(lower, formulation=Formulation.PUBLISHED, budget=0.0),
    "disaggregate": disaggregate,
    "hull": hull,
    "prune indicator": lambda p: indicator(prune(p)),
    "substitute prune partition": lambda p: partition(prune(substitute(p)), 2),
}
every_way = pytest.mark.parametrize("way", list(WAYS))
small_networks = networks(max_units=4, max_depth=2, activation=st.one_of(st.just(relu), activations(max_breaks=2)))


def _solve(
    matrix: Matrix,
    row: FloatArray,
    sense: Sense,
    offset: float = 0.0,
    pinned: tuple[IntArray, FloatArray] | None = None,
) -> Result:
    session = EXACT.open(matrix, Limits())
    session.set_cost(np.arange(row.size), row, sense, offset)
    if pinned is not None:
        session.set_bounds(pinned[0], pinned[1], pinned[1])
    return session.solve()


def _optimum(
    program: Program, cost: FloatArray, sense: Sense, pinned: tuple[IntArray, FloatArray] | None = None
) -> float:
    """The optimum of a direction over the original columns, through the trace."""
    trace = program.original
    row = np.asarray(cost @ trace.matrix)
    result = _solve(program.matrix(), row, sense, float(cost @ trace.offset), pinned)
    assert result.status is Status.OPTIMAL
    assert result.objective is not None
    return result.objective


def _compiled(network: Network, domain: Domain) -> Program:
    return compile_program([network(Input(domain))]).program


# --- the contract -------------------------------------------------------------------------------------------


@every_way
@settings(max_examples=15)
@given(network=small_networks, data=st.data())
def test_pass_extremes_of_every_original_column_are_those_of_the_oracle(
    way: str, network: Network, data: st.DataObject
) -> None:
    domain = data.draw(domains(network.input_size))
    program = _compiled(network, domain)
    lowered = WAYS[way](program)
    stage = data.draw(st.sampled_from(network.stages))
    low, high = oracle.extremes(network, domain, stage)
    k = data.draw(st.integers(0, stage.size - 1))
    cost = np.zeros(program.size)
    cost[program.where(stage.pre).start + k] = 1.0
    assert _optimum(lowered, cost, Sense.MAXIMIZE) == pytest.approx(float(high[k]), abs=1e-9)
    assert _optimum(lowered, cost, Sense.MINIMIZE) == pytest.approx(float(low[k]), abs=1e-9)


@every_way
@settings(max_examples=10)
@given(network=small_networks, data=st.data())
def test_pass_any_direction_over_the_original_columns_keeps_its_optimum(
    way: str, network: Network, data: st.DataObject
) -> None:
    domain = data.draw(domains(network.input_size))
    program = _compiled(network, domain)
    cost = data.draw(vectors(program.size))
    best = _optimum(big_m(program), cost, Sense.MAXIMIZE)
    assert _optimum(WAYS[way](program), cost, Sense.MAXIMIZE) == pytest.approx(best, abs=1e-9)


@every_way
@settings(max_examples=10)
@given(network=small_networks, data=st.data())
def test_pass_pinned_inputs_leave_only_the_forward_pass(way: str, network: Network, data: st.DataObject) -> None:
    n = network.input_size
    domain = Box(-np.ones(n), np.ones(n))
    program = _compiled(network, domain)
    lowered = WAYS[way](program)
    x = data.draw(vectors(n, -1, 1))
    values = network.values(x)
    inputs = np.arange(n)
    for stage in network.stages:
        cost = np.zeros(program.size)
        weights = data.draw(vectors(stage.size))
        cost[program.where(stage.pre)] = weights
        expected = float(weights @ values[stage.pre][0])
        for sense in Sense:
            found = _optimum(lowered, cost, sense, (inputs, x))
            assert found == pytest.approx(expected, abs=1e-9)


@every_way
@settings(max_examples=15)
@given(network=small_networks)
def test_pass_of_its_own_result_is_sound_text(way: str, network: Network) -> None:
    n = network.input_size
    lowered = WAYS[way](_compiled(network, Box(-np.ones(n), np.ones(n))))
    assert lowered.disjunction_count == 0
    assert str(Program.parse(str(lowered))) == str(lowered)
    # whatever defines a column is an equation that holds it, up to what its coefficients lost in rounding
    for block in lowered.rows:
        for k in np.flatnonzero(block.defines >= 0):
            assert 0 <= block.upper[k] - block.lower[k] <= 1e-12
            assert block.matrix[[k]].toarray()[0, block.defines[k]] != 0


@given(networks(max_units=6), st.data())
def test_prune_and_substitute_twice_change_nothing_more(network: Network, data: st.DataObject) -> None:
    program = prune(_compiled(network, data.draw(domains(network.input_size))))
    assert str(prune(program)) == str(program)
    once = substitute(program)
    assert str(substitute(once)) == str(once)


def test_substitute_program_of_constants_keeps_a_column() -> None:
    program = Program.parse("columns z\n  z[0] in [0, 1]\nrows z\n  1 z[0] = 0.5 defines z[0]\n")
    assert substitute(program).size == 1
    zero = Affine(np.zeros((2, 1)), np.array([1.0, -1.0]))
    network = Network.chain([zero, relu, Affine(np.ones((1, 2)), np.zeros(1))], (1,))
    sizes = [lower(part.program).size for part in parts(_compiled(network, Box([0.0], [1.0])))]
    assert sizes == [1, 1]


# --- what the forms cost ------------------------------------------------------------------------------------


@given(networks(max_units=8), st.data())
def test_lower_stable_neurons_cost_no_binary(network: Network, data: st.DataObject) -> None:
    domain = data.draw(domains(network.input_size))
    program = _compiled(network, domain)
    bounds = crown(network, domain)
    unstable = sum(int(bounds.unstable(stage).sum()) for stage in network.hidden)
    for form in (*EVERYWHERE, Formulation.INDICATOR):
        assert lower(program, form, budget=0.0).integers <= unstable
    assert prune(program).disjunction_count <= unstable
    stable = oracle.stability(network, domain)
    truly = sum(int((pieces < 0).sum()) for pieces in stable)
    assert truly <= unstable


def _one_layer(weights: FloatArray, bias: FloatArray) -> tuple[Network, Bounds]:
    """One hidden layer on [-1, 1]^n, with bounds that are exact and clean."""
    rows, n = weights.shape
    layers: list[Layer] = [Affine(weights, bias), relu, Affine(np.ones((1, rows)), np.zeros(1))]
    network = Network.chain(layers, (n,), names=["z", "y", "out"])
    domain = Box(-np.ones(n), np.ones(n))
    radius = np.abs(weights).sum(axis=1)
    low, high = bias - radius, bias + radius
    total = np.maximum(high, 0).sum(keepdims=True)
    boxes = {INPUT: domain, "z": Box(low, high), "y": Box(np.maximum(low, 0), np.maximum(high, 0))}
    return network, Bounds(network, domain, {**boxes, "out": Box(np.zeros(1), total)})


def _known(network: Network, bounds: Bounds) -> Program:
    return compile_program([network(Input(bounds.domain))], {network: bounds}).program


UNSTABLE = _one_layer(np.array([[1.0, 0.5], [-2.0, 1.0], [0.25, 1.0]]), np.array([0.25, -0.5, 0.0]))


def test_published_form_has_the_columns_and_rows_of_the_paper() -> None:
    network, bounds = UNSTABLE
    lowered = published_big_m(prune(_known(network, bounds)))
    sizes = {block.name: block.size for block in lowered.columns}
    # h', hbar and z of the paper are y, y.slack and y.on; no column for the pre-activation
    assert sizes == {"x": 2, "y": 3, "y.slack": 3, "y.on": 3}
    dense, switched = lowered.rows
    assert (dense.size, switched.size) == (3, 6)
    first = network.by_name["z"].layer
    assert isinstance(first, Affine)
    eye = np.eye(3)
    # W h + b = h' - hbar
    np.testing.assert_array_equal(dense.matrix.toarray(), np.hstack([-first.dense, eye, -eye, np.zeros((3, 3))]))
    np.testing.assert_array_equal(dense.lower, first.bias)
    np.testing.assert_array_equal(dense.upper, first.bias)
    # h' <= H z and hbar <= Hbar (1 - z), H and Hbar from the bounds
    box = bounds.boxes["z"]
    on, off = switched.matrix.toarray()[::2], switched.matrix.toarray()[1::2]
    np.testing.assert_array_equal(on, np.hstack([np.zeros((3, 2)), eye, 0 * eye, -np.diag(box.upper)]))
    np.testing.assert_allclose(off, np.hstack([np.zeros((3, 2)), 0 * eye, eye, -np.diag(box.lower)]), rtol=1e-12)
    np.testing.assert_allclose(switched.upper[1::2], -box.lower, rtol=1e-12)
    np.testing.assert_array_equal(lowered.lower[lowered.where("y.slack")], np.zeros(3))
    np.testing.assert_allclose(lowered.upper[lowered.where("y.slack")], -box.lower, rtol=1e-12)


def test_compact_form_holds_every_dense_row_once() -> None:
    network, bounds = UNSTABLE
    lowered = lower(_known(network, bounds), budget=0.0)
    matrix = lowered.matrix().rows.toarray()
    inputs = lowered.where("x")
    assert (np.count_nonzero(matrix[:, inputs], axis=1) == 2).sum() == 3
    assert np.count_nonzero(matrix[:, inputs]) == 6
    assert {b.name: b.size for b in lowered.columns} == {"x": 2, "z": 3, "y": 3, "y.on": 3}
    # y >= 0 is a bound; y <= u z, y >= z, y <= z - l (1 - z) are rows
    assert lowered.row_count == 3 + 9


@pytest.mark.parametrize("form", [Formulation.BIG_M, Formulation.PUBLISHED], ids=str)
def test_big_m_halving_any_h_cuts_off_a_point(form: Formulation) -> None:
    """Every H is as small as it may be: with half of one the neuron's range shrinks."""
    network, bounds = UNSTABLE
    program = _known(network, bounds)
    lowered = lower(program, form, budget=0.0)
    halved = 0
    for i, block in enumerate(lowered.rows):
        for k in range(block.size):
            switches = np.flatnonzero(lowered.integer & (block.matrix[[k]].toarray()[0] != 0))
            if not switches.size:
                continue
            rows = list(lowered.rows)
            rows[i] = _halved(block, k, int(switches[0]))
            assert _ranges(replace(lowered, rows=tuple(rows)), program) != _ranges(lowered, program)
            halved += 1
    assert halved == 6


def _ranges(lowered: Program, program: Program) -> list[float]:
    found = []
    for column in range(program.where("z").start, program.where("z").stop):
        cost = np.zeros(program.size)
        cost[column] = 1.0
        found += [_optimum(lowered, cost, sense) for sense in Sense]
    return found


def _halved(block: RowBlock, k: int, switch: int) -> RowBlock:
    """Row k with half the H: where the switch is off it must still say what it said."""
    matrix = block.matrix.toarray()
    h = matrix[k, switch]
    matrix[k, switch] = h / 2
    low, high = block.lower.copy(), block.upper.copy()
    # row + h on <= u + h is switched by on = 1, row - h on <= u by on = 0; likewise for lower sides
    if np.isfinite(high[k]) and h > 0:
        high[k] -= h / 2
    if np.isfinite(low[k]) and h < 0:
        low[k] -= h / 2
    return replace(block, matrix=sparse.csr_array(matrix), lower=low, upper=high)


# --- sparsify -----------------------------------------------------------------------------------------------


@st.composite
def thin_rows(draw: st.DrawFn) -> tuple[Program, FloatArray, FloatArray]:
    """A program of a few rows with weights of many sizes, and a point of its box."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    exponents = np.array(draw(st.lists(st.integers(-12, 1), min_size=n * m, max_size=n * m)))
    matrix = (np.array(draw(vectors(n * m))) * 10.0**exponents).reshape(m, n)
    low = draw(vectors(n, -2, 1))
    high = low + draw(vectors(n, 0, 2))
    share = np.array(draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)))
    lines = [
        "columns x",
        *(f"  x[{k}] in [{a!r}, {b!r}]" for k, (a, b) in enumerate(zip(low.tolist(), high.tolist()))),
    ]
    program = Program.parse("\n".join(lines))
    x = np.clip(low + share * (high - low), low, high)
    sides = draw(vectors(m))
    rows = RowBlock("r", sparse.csr_array(matrix), sides, sides + draw(vectors(m, 0, 2)), np.full(m, -1))
    return replace(program, rows=(rows,)), x, matrix


@given(thin_rows(), st.sampled_from([0.0, 1e-9, 1e-7, 1e-3]))
def test_sparsify_rows_hold_where_they_held_and_lose_no_more_than_the_budget(
    drawn: tuple[Program, FloatArray, FloatArray], budget: float
) -> None:
    program, x, matrix = drawn
    (before,), (after,) = program.rows, sparsify(program, budget).rows
    point = [Fraction(v) for v in x.tolist()]
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))
    largest = (np.abs(matrix) * reach).max(axis=1)
    thin = after.matrix.toarray()
    assert ((thin == matrix) | (thin == 0)).all()
    for k in range(len(matrix)):
        old, new = (
            sum((Fraction(a) * v for a, v in zip(row[k].tolist(), point)), Fraction(0)) for row in (matrix, thin)
        )
        # the sides moved by what the terms taken out can do, so that no point is lost
        assert Fraction(float(after.upper[k])) - new >= Fraction(float(before.upper[k])) - old
        assert new - Fraction(float(after.lower[k])) >= old - Fraction(float(before.lower[k]))
        worst = 2 * budget * float(largest[k]) * (1 + 1e-9) + 1e-14
        assert abs(float(after.upper[k]) - float(new) - (float(before.upper[k]) - float(old))) <= worst
        assert abs(float(after.lower[k]) - float(new) - (float(before.lower[k]) - float(old))) <= worst


@settings(max_examples=15)
@given(network=networks(max_units=4, max_depth=2), data=st.data())
def test_sparsify_network_optimum_only_grows_and_by_little(network: Network, data: st.DataObject) -> None:
    n = network.input_size
    noise = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(noise)
    layers: list[Layer] = [
        Affine(v.layer.dense + rng.normal(size=v.layer.dense.shape) * 1e-9, v.layer.bias)
        if isinstance(v.layer, Affine)
        else v.layer
        for v in network.nodes
    ]
    noisy = Network.chain(layers, (n,))
    program = _compiled(noisy, Box(-np.ones(n), np.ones(n)))
    cost = np.zeros(program.size)
    cost[-noisy.output_size :] = data.draw(vectors(noisy.output_size))
    full, thin = lower(program, budget=0.0), lower(program, budget=1e-7)
    assert thin.nonzeros <= full.nonzeros
    gain = _optimum(thin, cost, Sense.MAXIMIZE) - _optimum(full, cost, Sense.MAXIMIZE)
    assert -1e-12 <= gain <= 1e-4


# --- slim ---------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(network=small_networks, data=st.data())
def test_slim_bounds_hold_the_oracle_and_lose_no_more_than_the_precision(network: Network, data: st.DataObject) -> None:
    domain = data.draw(domains(network.input_size))
    program = substitute(prune(_compiled(network, domain)))
    stage = network.stages[-1]
    k = data.draw(st.integers(0, stage.size - 1))
    precision = data.draw(st.sampled_from([0.0, 1e-3, 0.25]))
    asked = _compiled(network, domain).where(stage.pre).start + k
    small = slim(program, np.array([asked]), precision)
    assert small.size <= program.size
    cost = np.zeros(small.original.offset.size)
    cost[asked] = 1.0
    low, high = oracle.extremes(network, domain, stage)
    error = float(small.original.error[asked])
    assert error <= float(program.original.error[asked]) + precision + 1e-15
    clean = replace(small, trace=replace(small.original, offset=np.nan_to_num(small.original.offset)))
    lowered = big_m(clean)
    for sense, exact in ((Sense.MAXIMIZE, float(high[k])), (Sense.MINIMIZE, float(low[k]))):
        assert _optimum(lowered, cost, sense) == pytest.approx(exact, abs=2 * error + 1e-9)
        reached = _optimum(lowered, cost, sense)
        assert (reached + error >= exact - 1e-9) if sense is Sense.MAXIMIZE else (reached - error <= exact + 1e-9)


def test_slim_keeps_what_a_constraint_is_about() -> None:
    text = """columns x
  x[0] in [0, 1]
  x[1] in [0, 1]
columns z
  z[0] in [0, 2]
  z[1] in [0, 2]
rows z
  1 z[0] - 2 x[0] = 0 defines z[0]
  1 z[1] - 2 x[1] = 0 defines z[1]
rows plain
  -inf <= 1 x[0] + 1 z[1] <= 1
"""
    program = Program.parse(text)
    small = slim(program, np.array([2]), 0.0)
    assert small.size == 4
    assert small.row_count == 3


def test_slim_of_small_weights_leaves_their_neurons_out() -> None:
    first = Affine(np.eye(4), np.full(4, -0.5))
    second = Affine(np.array([[1.0, 1e-7, -1e-7, 1.0]]), np.zeros(1))
    network = Network.chain([first, relu, second], (4,))
    program = thin(_compiled(network, Box.full(0.0, 1.0, (4,))), 0.0)
    asked = np.array([program.original.offset.size - 1])
    small = slim(program, asked, 1e-6)
    assert (small.disjunction_count, program.disjunction_count) == (2, 4)
    # half of what each of the two may be at most
    assert small.original.error[asked[0]] == pytest.approx(0.5e-7, rel=1e-6)


# --- snapshots ----------------------------------------------------------------------------------------------


def _example(tiny: float = 0.0) -> Program:
    """Two inputs; an inactive, an active and an unstable neuron; a weight that is next to nothing."""
    weights = np.array([[0.5, 0.25], [1.0, -0.5], [1.0, tiny]])
    network, bounds = _one_layer(weights, np.array([-1.0, 2.0, 0.25]))
    return _known(network, bounds)


def _thin(program: Program) -> Program:
    return sparsify(substitute(prune(program)))


STEPS: dict[str, tuple[Program, Pass]] = {
    "prune": (_example(), prune),
    "substitute": (prune(_example()), substitute),
    "sparsify": (substitute(prune(_example(1e-9))), sparsify),
    "big_m": (_thin(_example()), big_m),
    "published_big_m": (_thin(_example()), published_big_m),
}


@pytest.mark.parametrize("name", list(STEPS))
def test_snapshot_of_the_pass_is_unchanged(name: str) -> None:
    before, step = STEPS[name]
    text = f"{before}\n\n==== {name} ====\n\n{step(before)}\n"
    place = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("RELUDSL_UPDATE_SNAPSHOTS") == "1":
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    assert text == place.read_text(), "if the change is meant: RELUDSL_UPDATE_SNAPSHOTS=1 pytest"


def test_substitute_keeps_the_second_of_two_rows_that_define_one_column() -> None:
    text = """
columns a
  a[0] in [-1, 1]
columns b
  b[0] in [-1, 1]
columns t
  t[0] in [-1, 1]
rows first
  1 t[0] - 1 a[0] = 0 defines t[0]
  1 t[0] - 1 b[0] = 0 defines t[0]
"""
    left = substitute(Program.parse(text))
    # t = a, and a = b stays
    assert [c.name for c in left.columns] == ["a", "b"]
    assert [block.matrix.toarray().tolist() for block in left.rows] == [[[1.0, -1.0]]]
