"""Formulations: every one has the oracle's optimum, their relaxations are ordered, a wrong row is noticed.

`tests/test_passes.py` holds the passes themselves to their contract; here they are chosen, mixed and compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from solvers import solver

from reludsl import numeric
from reludsl.backend import (
    Capability,
    FloatArray,
    Indicators,
    Limits,
    Matrix,
    Result,
    Rows,
    Sense,
    Status,
    UnsupportedCapability,
)
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.expr import Input
from reludsl.formulate import compile_program
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network
from reludsl.passes import (
    Choice,
    Formulation,
    Neurons,
    big_m,
    cone,
    disaggregate,
    formulated,
    hull,
    indicator,
    lower,
    partition,
    parts,
    prune,
    separate_hull,
    separate_ideal,
    sparsify,
    substitute,
    thin,
    tighten,
)
from reludsl.program import Program
from reludsl.session import Session
from reludsl.solve import Model
from reludsl.testing import EnumerationBackend, oracle
from reludsl.testing.strategies import boxes, networks, vectors

EXACT = EnumerationBackend()
ZIGZAG = PiecewiseLinear("zigzag", (-0.5, 0.25), (1.0, -1.0, 0.5), (0.0, 0.0))
"""Three pieces, neither convex nor concave nor monotone."""
HARD_TANH = PiecewiseLinear("hard_tanh", (-1.0, 1.0), (0.0, 1.0, 0.0), (0.0, 0.0))

EVERY = [
    Formulation.BIG_M,
    Formulation.PUBLISHED,
    Formulation.INDICATOR,
    Formulation.HULL,
    Formulation.partition(1),
    Formulation.partition(2),
    Formulation.CUTS,
    Formulation.HULL_CUTS,
]
every_form = pytest.mark.parametrize("form", EVERY, ids=str)


def _random_network(seed: int, *sizes: int, activation: PiecewiseLinear = relu) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for n_in, n_out in pairwise(sizes):
        layers += [Affine(rng.integers(-16, 17, (n_out, n_in)) / 8, rng.integers(-4, 5, n_out) / 8), activation]
    return Network.chain(layers[:-1], (sizes[0],))


def _cube(n: int) -> Box:
    return Box(-np.ones(n), np.ones(n))


def _compiled(network: Network) -> Program:
    return compile_program([network(Input(_cube(network.input_size)))]).program


def _last(program: Program) -> FloatArray:
    """The last column of the program, the network's first output where it has one."""
    cost = np.zeros(program.size)
    cost[-1] = 1.0
    return cost


def _value(lowered: Program, cost: FloatArray, sense: Sense, relax: bool, backend: str = "highs") -> float:
    session = (EXACT if backend == "exact" else solver(backend)).open(lowered.matrix(), Limits())
    trace = lowered.original
    row = np.asarray(cost @ trace.matrix)
    session.set_cost(np.arange(row.size), row, sense, float(cost @ trace.offset))
    result = session.solve(relax=relax)
    session.close()
    assert result.status is Status.OPTIMAL
    assert result.objective is not None
    return result.objective


# --- the same answers ---------------------------------------------------------------------------------------


@every_form
@settings(max_examples=8)
@given(data=st.data())
def test_model_every_formulation_has_the_oracles_optimum(form: Formulation, data: st.DataObject) -> None:
    activation = st.sampled_from([relu, ZIGZAG, HARD_TANH])
    network = data.draw(networks(max_inputs=2, max_units=3, max_depth=2, activation=activation))
    domain = data.draw(boxes(network.input_size))
    y = network(Input(domain))[0]
    low, high = oracle.extremes(network, domain)
    with Model(compile_program([y]), EXACT, formulation=form, budget=0.0) as model:
        most, least = model.optimise(y, Sense.MAXIMIZE), model.optimise(y, Sense.MINIMIZE)
    assert Fraction(most.bound) >= high[0]
    assert Fraction(least.bound) <= low[0]
    assert most.bound == pytest.approx(float(high[0]), rel=1e-4, abs=1e-4)
    assert least.bound == pytest.approx(float(low[0]), rel=1e-4, abs=1e-4)


@every_form
@settings(max_examples=6)
@given(data=st.data())
def test_lower_pinned_inputs_leave_only_the_forward_pass(form: Formulation, data: st.DataObject) -> None:
    """What is left of the feasible set at an input is the forward pass: the projection is the network's graph."""
    network = data.draw(networks(max_inputs=2, max_units=4, max_depth=2, activation=st.sampled_from([relu, ZIGZAG])))
    n = network.input_size
    program = _compiled(network)
    lowered = lower(program, form, budget=0.0)
    x = data.draw(vectors(n, -1, 1))
    trace = lowered.original
    cost = np.zeros(program.size)
    stage = network.stages[-1]
    weights = data.draw(vectors(stage.size))
    cost[program.where(stage.pre)] = weights
    expected = float(weights @ network.values(x)[stage.pre][0])
    session = EXACT.open(lowered.matrix(), Limits())
    session.set_bounds(np.arange(n), x, x)
    for sense in Sense:
        session.set_cost(np.arange(lowered.size), np.asarray(cost @ trace.matrix), sense, float(cost @ trace.offset))
        assert session.solve().objective == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("activation", [relu, ZIGZAG, HARD_TANH], ids=lambda a: str(a.name))
def test_lower_all_formulations_agree_on_a_wider_network(activation: PiecewiseLinear) -> None:
    program = _compiled(_random_network(3, 4, 5, 4, 1, activation=activation))
    cost = _last(program)
    portable = [form for form in EVERY if form is not Formulation.INDICATOR]
    found = [_value(lower(program, form), cost, Sense.MAXIMIZE, relax=False) for form in portable]
    np.testing.assert_allclose(found, found[0], rtol=1e-6, atol=1e-6)


@every_form
def test_lower_weights_left_out_never_cut_off_a_point(form: Formulation) -> None:
    """A budget makes definitions wider than equations; the forward pass must stay inside of every form of them."""
    network = _random_network(5, 3, 3, 1)
    program = _compiled(network)
    lowered = lower(program, form, budget=0.3)
    assert lowered.nonzeros < lower(program, form, budget=0.0).nonzeros
    trace, cost = lowered.original, _last(program)
    session = EXACT.open(lowered.matrix(), Limits())
    for x in np.random.default_rng(0).integers(-8, 9, (4, 3)) / 8:
        session.set_bounds(np.arange(3), x, x)
        value = float(network(x)[0])
        for sense, sign in ((Sense.MAXIMIZE, 1.0), (Sense.MINIMIZE, -1.0)):
            row = np.asarray(cost @ trace.matrix)
            session.set_cost(np.arange(lowered.size), row, sense, float(cost @ trace.offset))
            found = session.solve().objective
            assert found is not None
            assert sign * (found - value) >= -1e-12 - float(trace.error.max())


def test_hull_maximum_of_three_rows_is_the_maximum() -> None:
    """Disjunctions over several columns that rows define: y = max(x0 + x1, x0 - x1, 0.5)."""
    program = Program.parse(
        """
        maximize 1 y[0]
columns x
  x[0] in [-1, 1]
  x[1] in [-1, 1]
columns z
  z[0] in [-2, 2]
  z[1] in [-2, 2]
columns y
  y[0] in [0.5, 2]
rows z
  1 z[0] - 1 x[0] - 1 x[1] = 0 defines z[0]
  1 z[1] - 1 x[0] + 1 x[1] = 0 defines z[1]
rows above
  0 <= 1 y[0] - 1 z[0] <= inf
  0 <= 1 y[0] - 1 z[1] <= inf
or pool
  defines y[0] { 1 y[0] - 1 z[0] = 0 } { 1 y[0] - 1 z[1] = 0 } { 1 y[0] = 0.5 }
""".strip()
    )
    for way in (big_m, disaggregate, hull, indicator):
        lowered = way(program)
        session = EXACT.open(lowered.matrix(), Limits())
        y = lowered.original.matrix[[program.where("y").start]].toarray()[0]
        for x in np.array([[1.0, 1.0], [0.5, -0.25], [-1.0, 0.25], [0.25, 0.25]]):
            session.set_bounds(np.arange(2), x, x)
            for sense in Sense:
                session.set_cost(np.arange(lowered.size), y, sense)
                assert session.solve().objective == pytest.approx(max(x[0] + x[1], x[0] - x[1], 0.5))
    cost = np.zeros(program.size)
    cost[program.where("y")] = 1.0
    cost[program.where("x")] = -1.0
    bounds = [_value(way(program), cost, Sense.MAXIMIZE, relax=True) for way in (big_m, disaggregate, hull)]
    assert bounds[0] >= bounds[1] - 1e-9 >= bounds[2] - 2e-9
    assert bounds[2] == pytest.approx(_value(big_m(program), cost, Sense.MAXIMIZE, relax=False))


# --- how tight they are -------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", [relu, ZIGZAG], ids=lambda a: str(a.name))
@pytest.mark.parametrize("seed", range(3))
def test_relaxation_is_tighter_with_every_doubling_of_the_groups(seed: int, activation: PiecewiseLinear) -> None:
    program = _compiled(_random_network(seed, 8, 5, 4, 1, activation=activation))
    cost = _last(program)
    forms = [Formulation.BIG_M, *(Formulation.partition(k) for k in (1, 2, 4, 8)), Formulation.HULL]
    bounds = np.array([_value(lower(program, form, 0.0), cost, Sense.MAXIMIZE, relax=True) for form in forms])
    assert (np.diff(bounds) <= 1e-7 * np.abs(bounds[0])).all()
    assert bounds[-1] == pytest.approx(bounds[-2], rel=1e-7)
    assert bounds[0] > bounds[-1] + 1e-3
    assert bounds[-1] >= _value(lower(program), cost, Sense.MAXIMIZE, relax=False) - 1e-6
    if activation is relu:
        # one group is as tight as big-M for two pieces of a convex function, and tighter elsewhere
        assert bounds[1] == pytest.approx(bounds[0], rel=1e-7)


@pytest.mark.parametrize("cuts", ["cuts:200:100", "hull-cuts:200:100"])
@pytest.mark.parametrize("seed", range(4))
def test_cuts_of_one_layer_end_at_the_hull(seed: int, cuts: str) -> None:
    program = _compiled(_random_network(seed, 6, 5, 1))
    cost = _last(program)
    most = Formulation.parse(cuts)
    lowered = formulated(thin(program, 0.0), most)
    session = solver("highs").open(lowered.program.matrix(), Limits())
    trace = lowered.program.original
    row = np.asarray(cost @ trace.matrix)
    session.set_cost(np.arange(row.size), row, Sense.MAXIMIZE, float(cost @ trace.offset))
    tightened = tighten(session, lowered.program.matrix(), lowered.neurons)
    session.close()
    bounds = np.array(tightened.bounds)
    assert (np.diff(bounds) <= 1e-9).all()
    assert bounds[0] > bounds[-1] + 1e-3
    exact = _value(lower(program, Formulation.HULL, 0.0), cost, Sense.MAXIMIZE, relax=True)
    assert bounds[-1] == pytest.approx(exact, rel=1e-4)
    added = tightened.matrix.rows.shape[0] - lowered.program.matrix().rows.shape[0]
    assert added == tightened.matrix.row_lower.size - lowered.program.row_count > 0


def test_model_cuts_bound_of_the_relaxation_is_tighter_and_proved() -> None:
    network = _random_network(1, 6, 6, 4, 1)
    y = network(Input(_cube(6)))[0]
    found = {}
    for form in (Formulation.BIG_M, Formulation.CUTS, Formulation.HULL):
        with Model(compile_program([y]), solver("highs"), formulation=form) as model:
            found[form] = model.optimise(y, Sense.MAXIMIZE, relax=True).bound
            again = model.optimise(y, Sense.MAXIMIZE, relax=True).bound
            whole = model.optimise(y, Sense.MAXIMIZE).bound
        assert again <= found[form] + 1e-9
        assert whole <= again + 1e-4
    assert found[Formulation.BIG_M] > found[Formulation.CUTS] + 1e-3
    assert found[Formulation.CUTS] >= found[Formulation.HULL] - 1e-6


class _Tired:
    """Highs that comes to no end any more after some linear programs, and shows nothing of the last."""

    def __init__(self, after: int) -> None:
        self.highs, self.after = solver("highs"), after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.highs, name)

    def open(self, matrix: Matrix, limits: Limits) -> Any:
        inner, whole = self.highs.open(matrix, limits), self

        class Session:
            solves = 0

            def __getattr__(self, name: str) -> Any:
                return getattr(inner, name)

            def solve(self, **asked: Any) -> Result:
                self.solves += 1
                return Result(Status.LIMIT) if self.solves > whole.after else inner.solve(**asked)

        return Session()


@pytest.mark.parametrize("sense", list(Sense))
def test_model_rounds_of_cuts_count_where_the_solve_after_them_came_to_no_end(sense: Sense) -> None:
    network = _random_network(1, 6, 6, 4, 1)
    y = network(Input(_cube(6)))[0]
    sign = 1.0 if sense is Sense.MAXIMIZE else -1.0
    bounds = []
    for after in (0, 1, 3, 99):
        with Model(compile_program([y]), _Tired(after), formulation=Formulation.CUTS) as model:
            bounds.append(sign * model.optimise(y, sense, relax=True, time_limit=60.0).bound)
    with Model(compile_program([y]), solver("highs")) as model:
        exact = sign * model.optimise(y, sense).bound
    assert bounds[0] == np.inf
    assert np.inf > bounds[1] > bounds[2] >= bounds[3] >= exact - 1e-4


# --- cuts hold ----------------------------------------------------------------------------------------------


def _layer(seed: int) -> Neurons:
    """Four neurons with all bits in use: columns are three inputs, four outputs, four binaries."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((4, 11))
    weights[:, :3] = rng.normal(size=(4, 3)) * 10.0 ** rng.uniform(-2, 2, (4, 3))
    low, high = np.zeros(11), np.ones(11)
    low[:3], high[:3] = -rng.uniform(0.1, 2, 3), rng.uniform(0.1, 2, 3)
    high[3:7] = 1e3
    bias = 0.01 * rng.normal(size=4) * np.abs(weights).min(axis=1, where=weights != 0, initial=np.inf)
    return Neurons(np.arange(3, 7), np.arange(7, 11), sparse.csr_array(weights), bias, low, high)


def _most_beyond(layer: Neurons, matrix: FloatArray, upper: FloatArray, rng: np.random.Generator) -> Fraction:
    """How far a row is at most beyond its side, in exact arithmetic, on the graph of max(0, w h + b)."""
    weights = layer.weights.toarray()[:, :3]
    worst = Fraction(-1)
    low, high = layer.lower[:3], layer.upper[:3]
    corners = np.where((np.arange(8)[:, None] >> np.arange(3)) % 2 == 0, low, high)
    for h in np.vstack([corners, low + (high - low) * rng.random((4, 3))]):
        exact = [Fraction(v) for v in h.tolist()]
        for row, side in zip(matrix, upper.tolist(), strict=True):
            (k,) = np.flatnonzero(row[3:7])
            z = sum((Fraction(w) * v for w, v in zip(weights[k].tolist(), exact)), Fraction(float(layer.bias[k])))
            for delta in (0, 1) if z == 0 else (int(z > 0),):
                left = sum((Fraction(a) * v for a, v in zip(row[:3].tolist(), exact)), Fraction(0))
                left += max(z, Fraction(0)) + Fraction(float(row[7 + k])) * delta
                worst = max(worst, left - Fraction(side))
    return worst


Separate = Callable[[Neurons, FloatArray, int], Rows]
both_kinds = pytest.mark.parametrize("separate", [separate_ideal, separate_hull])


def _separated(layer: Neurons, seed: int, separate: Separate = separate_ideal) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    x = np.concatenate([layer.lower[:3] + (layer.upper - layer.lower)[:3] * rng.random(3), 900 * np.ones(4)])
    rows = separate(layer, np.concatenate([x, rng.random(4)]), 10)
    assert rows.lower.size == 4 or separate is separate_hull
    return rows.matrix.toarray(), rows.upper


@both_kinds
def test_separated_rows_hold_in_exact_arithmetic(separate: Separate) -> None:
    count = 0
    for seed in range(20):
        layer = _layer(seed)
        rows = _separated(layer, seed, separate)
        count += rows[1].size
        assert _most_beyond(layer, *rows, np.random.default_rng(seed)) <= 0
    assert count >= 60


@both_kinds
def test_separated_rows_rounded_inward_cut_off_a_point(separate: Separate, monkeypatch: pytest.MonkeyPatch) -> None:
    up, down = numeric.up, numeric.down
    monkeypatch.setattr(numeric, "up", down)
    monkeypatch.setattr(numeric, "down", up)
    beyond = []
    for seed in range(20):
        layer = _layer(seed)
        beyond.append(_most_beyond(layer, *_separated(layer, seed, separate), np.random.default_rng(seed)))
    assert max(beyond) > 0


def test_row_with_a_wrong_set_cuts_off_a_point() -> None:
    """Leave an input in I out of the sum, but keep its share of the constants: the row is wrong."""
    layer = _layer(0)
    matrix, upper = _separated(layer, 0)
    caught = 0
    for k, i in zip(*np.nonzero(matrix[:, :3])):
        wrong = matrix.copy()
        wrong[k, i] = 0.0
        caught += _most_beyond(layer, wrong, upper, np.random.default_rng(1)) > 0
    assert caught == np.count_nonzero(matrix[:, :3]) > 0


def test_separate_takes_the_most_violated_set_of_all() -> None:
    """Against all 2^n sets, on LP points of random layers."""
    for seed in range(10):
        layer = _layer(seed)
        rng = np.random.default_rng(seed)
        h = layer.lower[:3] + (layer.upper - layer.lower)[:3] * rng.random(3)
        delta = rng.random(4)
        rows = separate_ideal(layer, np.concatenate([h, 900 * np.ones(4), delta]), 10)
        found = rows.matrix @ np.concatenate([h, 900 * np.ones(4), delta]) - rows.upper
        weights = layer.weights.toarray()[:, :3]
        small = np.where(weights >= 0, weights * layer.lower[:3], weights * layer.upper[:3])
        large = np.where(weights >= 0, weights * layer.upper[:3], weights * layer.lower[:3])
        for k in range(4):
            sides = [
                (weights[k] * h - small[k] * (1 - delta[k]))[inside].sum()
                + (layer.bias[k] + large[k][~inside].sum()) * delta[k]
                for inside in (np.array([s & 1, s & 2, s & 4], dtype=bool) for s in range(8))
            ]
            assert found[k] == pytest.approx(900 - min(sides), rel=1e-9)


def test_separate_hull_takes_the_most_violated_row_of_all() -> None:
    """Against all sets and all inputs outside of them."""
    compared = 0
    for seed in range(10):
        layer = _layer(seed)
        rng = np.random.default_rng(seed)
        h = layer.lower[:3] + (layer.upper - layer.lower)[:3] * rng.random(3)
        point = np.concatenate([h, 900 * np.ones(4), rng.random(4)])
        rows = separate_hull(layer, point, 10)
        neuron = [int(np.flatnonzero(row[3:7])[0]) for row in rows.matrix.toarray()]
        found = dict(zip(neuron, (rows.matrix @ point - rows.upper).tolist()))
        weights = layer.weights.toarray()[:, :3]
        small = np.where(weights >= 0, weights * layer.lower[:3], weights * layer.upper[:3])
        large = np.where(weights >= 0, weights * layer.upper[:3], weights * layer.lower[:3])
        for n in found:
            sides = []
            for s in range(8):
                inside = np.array([s & 1, s & 2, s & 4], dtype=bool)
                level = layer.bias[n] + np.where(inside, small[n], large[n]).sum()
                for k in np.flatnonzero(~inside):
                    if level >= 0 > level - (large[n] - small[n])[k]:
                        share = (weights[n, k] * h[k] - small[n, k]) / (large[n, k] - small[n, k])
                        sides.append((weights[n] * h - small[n])[inside].sum() + level * share)
            assert found[n] == pytest.approx(900 - min(sides), rel=1e-9)
            compared += 1
    assert compared >= 20


def test_neurons_only_relus_are_found() -> None:
    for activation, count in ((relu, 5), (ZIGZAG, 0)):
        program = _compiled(_random_network(2, 4, 5, 1, activation=activation))
        lowered = formulated(thin(program, 0.0), Formulation.CUTS)
        assert sum(layer.size for layer, _ in lowered.neurons) <= count
        assert bool(lowered.neurons) == (activation is relu)
        assert lowered.program.disjunction_count == 0


# --- planted mistakes in the extended forms -----------------------------------------------------------------


def test_partition_bound_of_a_copy_halved_cuts_off_a_point() -> None:
    lowered = lower(_compiled(_random_network(4, 2, 2, 1)), Formulation.HULL, 0.0)
    names = [block.name for block in lowered.columns]
    (name,) = (n for n in names if n.endswith(".part"))
    where = lowered.where(name)
    blocks = list(lowered.columns)
    block = blocks[names.index(name)]
    caught = 0
    for k in range(block.size):
        changed = replace(block, lower=block.lower.copy(), upper=block.upper.copy())
        changed.lower[k] /= 2
        changed.upper[k] /= 2
        blocks[names.index(name)] = changed
        narrow = replace(lowered, columns=tuple(blocks))
        caught += _extremes(narrow, where.start + k) != _extremes(lowered, where.start + k)
    assert caught == block.size > 0


def _extremes(lowered: Program, column: int) -> list[float]:
    session = EXACT.open(lowered.matrix(), Limits())
    found = []
    for sense in Sense:
        session.set_cost(np.array([column]), np.ones(1), sense)
        found.append(session.solve().objective or 0.0)
    return found


# --- the choice ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["big-m", "published", "indicator", "hull", "partition:4", "cuts", "cuts:3:50"])
def test_formulation_names_are_read_and_written(text: str) -> None:
    form = Formulation.parse(text)
    assert Formulation.parse(str(form)) == form
    assert str(form).startswith(text)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("bigm", "partition:GROUPS"),
        ("partition:x", "partition:GROUPS"),
        ("hull:3", "there is no formulation 'hull:3'"),
        ("partition:0", "at least 1"),
        ("", "big-m, published"),
    ],
)
def test_formulation_unknown_names_list_what_exists(text: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        Formulation.parse(text)


def test_choice_layers_get_their_own_formulation() -> None:
    network = Network.chain(
        [layer for node in _random_network(7, 4, 5, 5, 5, 1).nodes for layer in [node.layer]],
        (4,),
        names=["z1", "a", "z2", "b", "z3", "c", "out"],
    )
    program = _compiled(network)
    choice = Choice(Formulation.BIG_M, {"a": Formulation.partition(2), "b": Formulation.PUBLISHED})
    lowered = lower(program, choice.checked(program), 0.0)
    names = {block.name for block in lowered.columns}
    assert {"a.part", "b.slack", "c.on"} <= names
    assert not {"a.slack", "b.part", "c.part", "c.slack"} & names
    cost = _last(program)
    for relax, tighter in ((False, 1e-6), (True, np.inf)):
        mixed = _value(lowered, cost, Sense.MAXIMIZE, relax)
        plain = _value(lower(program, budget=0.0), cost, Sense.MAXIMIZE, relax)
        assert mixed <= plain + 1e-6
        assert mixed >= plain - tighter
    y = network(Input(_cube(4)))[0]
    with Model(compile_program([y]), solver("highs"), formulation=choice) as model:
        assert model.optimise(y, Sense.MAXIMIZE).bound == pytest.approx(
            _value(lower(program), cost, Sense.MAXIMIZE, relax=False), abs=1e-3
        )


def test_choice_unknown_layer_lists_those_that_exist() -> None:
    y = _random_network(0, 2, 3, 1)(Input(_cube(2)))[0]
    with pytest.raises(InvalidInput, match=r"'attic'.*choose among"):
        Model(compile_program([y]), EXACT, formulation=Choice(layers={"attic": Formulation.HULL}))


def test_choice_every_pair_of_formulations_goes_together() -> None:
    network = _random_network(9, 2, 2, 2, 1)
    program = _compiled(network)
    names = [group.name for group in program.disjunctions]
    cost = _last(program)
    best = _value(lower(program, budget=0.0), cost, Sense.MAXIMIZE, relax=False)
    for first in EVERY:
        for second in EVERY:
            choice = Choice(layers=dict(zip(names, (first, second), strict=True)))
            lowered = lower(program, choice, 0.0)
            assert _value(lowered, cost, Sense.MAXIMIZE, False, "exact") == pytest.approx(best, abs=1e-6)


# --- indicators ---------------------------------------------------------------------------------------------


def _indicated() -> Program:
    return lower(_compiled(_random_network(11, 2, 3, 2, 1)), Formulation.INDICATOR, 0.0)


def test_indicator_program_is_sound_text() -> None:
    lowered = _indicated()
    text = str(lowered)
    assert "\nif " in text
    assert str(Program.parse(text)) == text
    assert Program.parse(text).indicators[0].size == lowered.indicators[0].size


def test_indicator_program_with_a_broken_line_is_refused() -> None:
    text = "columns d\n  d[0] in [0, 1] integer\nif r\n  1 d[0] = 0 if d[0] = 2\n"
    with pytest.raises(InvalidInput, match="line 4"):
        Program.parse(text)


def test_indicator_program_passes_keep_the_rows() -> None:
    """Cone, parts, substitution and sparsification carry switched rows along; the answer stays."""
    lowered = replace(_indicated(), trace=None)
    cost = np.zeros(lowered.size)
    cost[lowered.where(lowered.columns[-2].name).start] = 1.0
    best = _value(lowered, cost, Sense.MAXIMIZE, False, "exact")
    assert ("indicators", lowered.indicators[0].name) in lowered.graph()
    (part,) = parts(lowered)
    assert part.program.indicators[0].size == lowered.indicators[0].size
    for way in (cone, substitute, sparsify, prune):
        changed = way(lowered) if way is not cone else cone(lowered, np.flatnonzero(cost))
        trace = changed.original
        row = np.asarray(np.nan_to_num(cost) @ trace.matrix)
        session = EXACT.open(changed.matrix(), Limits())
        session.set_cost(np.arange(row.size), row, Sense.MAXIMIZE, float(np.nan_to_num(trace.offset) @ cost))
        assert session.solve().objective == pytest.approx(best, abs=1e-6)


def test_indicator_backend_without_them_refuses() -> None:
    network = _random_network(0, 2, 3, 1)
    y = network(Input(_cube(2)))[0]
    highs = solver("highs")
    assert Capability.INDICATOR not in highs.capabilities
    with (
        Session([y], backend=highs, formulation=Formulation.INDICATOR) as session,
        pytest.raises(UnsupportedCapability, match="highs does not offer INDICATOR"),
    ):
        session.maximize(y)
    with pytest.raises(UnsupportedCapability, match="rows would be lost"):
        highs.open(_indicated().matrix(), Limits())


def test_indicator_columns_must_be_binaries() -> None:
    one = np.ones(1)
    conditions = Indicators(sparse.csr_array(np.ones((1, 1))), one, one, np.zeros(1, dtype=int), one > 0)
    with pytest.raises(InvalidInput, match="no binary"):
        Matrix(sparse.csr_array((0, 1)), one[:0], one[:0], 0 * one, 2 * one, one > 0, conditions)
    with pytest.raises(InvalidInput, match="shape"):
        Indicators(sparse.csr_array(np.ones((2, 1))), one, one, np.zeros(1, dtype=int), one > 0)


def test_partition_without_groups_is_refused() -> None:
    with pytest.raises(InvalidInput, match="0 groups"):
        partition(_compiled(_random_network(0, 2, 2, 1)), 0)
