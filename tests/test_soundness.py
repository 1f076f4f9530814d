"""Adversarial networks: each once made a bound or a proof that exact arithmetic refutes.

Cancellation, underflow, huge scales, slopes and intercepts that are no floats: every claim is compared with
exact rational evaluation.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from solvers import solver

from reludsl.affine_step import affine_step
from reludsl.backend import Matrix
from reludsl.bounds import Bounds, crown, interval, linear_upper
from reludsl.certificate import dual_bound
from reludsl.compress import compress
from reludsl.domain import Ball, Box, Norm, Polytope
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.exact import exactly
from reludsl.expr import Input
from reludsl.layers import (
    Affine,
    AffineLayer,
    BatchNorm,
    Conv,
    Gather,
    Layer,
    PiecewiseLinear,
    Reshape,
    Sum,
    relu,
)
from reludsl.network import Network
from reludsl.passes import sparsify, substitute
from reludsl.program import Program
from reludsl.query import maximize, minimize, network_bounds
from reludsl.rewrite import FRESH, FoldPolicy, NeuronMap, output_difference, rewrite_network
from reludsl.stability import stable
from reludsl.stability.facts import Ledger
from reludsl.testing import EnumerationBackend
from reludsl.testing.oracle import extremes
from reludsl.witness import Witnesses

ORACLE = EnumerationBackend()


def dense(weight: Any, bias: Any) -> Layer:
    return Affine(np.array(weight, dtype=np.float64), np.array(bias, dtype=np.float64))


def exact(net: Network, x: Any, node: str) -> Any:
    return net.exact_values(exactly(np.asarray(x, dtype=np.float64)), node)[node]


@pytest.mark.parametrize("power", [20, 36, 50])
def test_substitution_of_cancelling_rows_never_proves_a_false_sign(power: int) -> None:
    s = 2.0**power
    layers: list[Layer] = [
        dense([[10.0], [1.0]], [0, 0]),
        relu,
        dense([[0.1 * s, -s]], [-0.1]),
        relu,
        dense([[1.0]], [0.0]),
    ]
    net, box = Network.chain(layers, (1,)), Box([1.0], [2.0])
    stage = net.hidden[1]
    values = [exact(net, [x], stage.pre)[0] for x in (1.0, 1.5, 2.0)]
    facts = stable(net, box, backend=ORACLE)
    if max(values) > 0:
        assert facts.stages[1].piece[0] != 0
    lp = network_bounds(net, box, method="lp", backend=ORACLE)
    assert lp.pre(stage).lower[0] <= min(values) <= max(values) <= lp.pre(stage).upper[0]
    result = compress(net, box, dtype=np.float64, backend=ORACLE)
    for x in (1.0, 2.0):
        change = abs(exact(result.network, [x], result.network.output)[0] - exact(net, [x], net.output)[0])
        assert change <= result.error[0] or not result.proved


def test_affine_composition_is_bounded_with_its_rounding() -> None:
    net = Network.chain([dense([[10, 1], [1, 0]], [0, 0]), dense([[0.1 * 2.0**50, -(2.0**50)]], [0])], (2,))
    x = Input(Box([0.0, 0.0], [1.0, 0.0]))
    assert maximize(net(x), backend=ORACLE).bound >= exact(net, [1.0, 0.0], net.output)[0] > 0


def test_constants_are_added_outward() -> None:
    net = Network.chain([dense([[0.7]], [1e16])], (1,))
    bound = maximize(net(Input(Box([0.0], [1.0]))), backend=ORACLE).bound
    assert Fraction(bound) >= Fraction(0.7) + Fraction(1e16)
    relu6 = PiecewiseLinear("relu6", (0, 6), (0, 1, 0))
    edge = Network.chain([dense([[1e-20]], [6.0]), relu6, dense([[1.0]], [0.0])], (1,))
    assert stable(edge, Box([-1.0], [1.0]), backend=ORACLE).stages[0].piece[0] < 0


def test_output_difference_covers_constants_that_cancel() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        squash = PiecewiseLinear("squash", (-3.0, 3.0), (0.0, 0.1, 0.0), (0.0, 0.3))
        shift = -3 + 1e-3 * rng.random()
        inner = squash.exact(exactly(np.array([shift])))[0]
        layers: list[Layer] = [
            dense([[1e-3], [1.0]], [shift, 10.0]),
            squash,
            dense([[1e12, 1.0]], [-float(10**12 * inner)]),
        ]
        net, box = Network.chain(layers, (1,)), Box([-1e-9], [1e-9])
        result = rewrite_network(net, box, crown(net, box), fold=FoldPolicy.ALWAYS, dtype=np.float64)
        for x in (-1e-9, 0.0, 1e-9):
            change = abs(exact(result.network, [x], result.network.output)[0] - exact(net, [x], net.output)[0])
            assert change <= result.error[0]


def test_lines_that_win_by_rounding_stay_inside_the_interval() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        point, steep = rng.uniform(-4, 4), rng.uniform(1, 5)
        bend = PiecewiseLinear("bend", (point,), (1, steep))
        box = Box([point], [point + 1])
        assert bend.interval(box).lower[0] <= bend.exact(exactly(box.lower))[0]
    point = 1.9471888932322174
    bend = PiecewiseLinear("bend", (point,), (1, 4))
    d = float(bend(np.array([[point]]))[0, 0])
    net = Network.chain([Reshape((2,)), bend, dense([[1, 1e-20]], [-d]), relu, dense([[1]], [0])], (2,))
    piece = stable(net, Box([point, 1.0], [point, 1.0]), backend=ORACLE).stages[1].piece[0]
    truth = exact(net, [point, 1.0], net.hidden[1].pre)[0]
    assert piece < 0 or piece == (1 if truth > 0 else 0)


def test_subnormal_products_are_not_taken_as_exact() -> None:
    half = PiecewiseLinear("half", (0,), (0, 0.5))
    box = half.interval(Box([5e-324], [5e-324]))
    assert Fraction(box.upper[0]) >= Fraction(5e-324) / 2


def test_underflow_in_backward_bounds_is_scaled_by_what_it_multiplies() -> None:
    layers: list[Layer] = [dense([[1e-170]], [0]), relu, dense([[-1e-160]], [1e-140]), relu, dense([[1e140]], [0])]
    net, box = Network.chain(layers, (1,)), Box([0.0], [1e200])
    truth = exact(net, [1e200], net.hidden[1].pre)[0]
    assert truth < 0
    assert crown(net, box).pre(net.hidden[1]).lower[0] <= truth
    assert stable(net, box, backend=ORACLE).stages[1].piece[0] != 1


def test_proved_and_seen_to_switch_is_an_error_and_no_answer() -> None:
    net = Network.chain([dense([[1.0]], [0.0]), relu, dense([[1.0]], [0.0])], (1,))
    box = Box([-1.0], [1.0])
    honest = interval(net, box)
    witnesses = Witnesses(honest)
    witnesses.add(np.array([[-1.0], [1.0]]))
    wrong = Bounds(net, box, {**honest.boxes, net.hidden[0].pre: Box([0.5], [1.0])})
    with pytest.raises(SolverFailed, match="both sides"):
        Ledger(wrong, witnesses, strict=False).pieces(net.hidden[0])


def test_weights_that_are_no_float32_are_not_claimed_to_be() -> None:
    layers: list[Layer] = [dense([[0.1], [-0.3]], [0.01, -0.02]), relu, dense([[3e4, 1.1]], [0.1])]
    result = compress(Network.chain(layers, (1,)), Box([-1.0], [1.0]))
    assert result.dtype == np.float64


def test_rounding_noise_is_no_range() -> None:
    layers: list[Layer] = [dense([[1.0], [1.0]], [0.3, 0.3]), relu, dense([[1e17, -1e17]], [0.0])]
    result = compress(Network.chain(layers, (1,)), Box([0.1], [0.9]))
    assert result.tolerance[0] == 1e-6


def test_points_of_small_l1_balls_are_inside() -> None:
    rng = np.random.default_rng(2)
    for radius in (1e-6, 1e-3, 0.5):
        ball = Ball(rng.random(784), radius, Norm.L1)
        points = np.concatenate([ball.project(rng.random((20, 784))), ball.maximiser(rng.normal(size=(20, 784)))])
        assert ball.contains(points).all()


def test_polytope_membership_survives_underflow() -> None:
    assert not Polytope(np.array([[1e-200]]), np.array([0.0]), Box([-1.0], [1.0])).contains(np.array([[1e-200]]))[0]


def test_random_float32_networks_keep_lp_bounds_above_exact_values() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sizes = (2, 4, 3, 1)
        layers: list[Any] = []
        for a, b in pairwise(sizes):
            layers += [
                dense(rng.normal(size=(b, a)).astype(np.float32), rng.normal(size=b).astype(np.float32)),
                relu,
            ]
        net = Network.chain(layers[:-1], (2,))
        box = Box([1.0, 1.0], [1.0 + 1e-6, 1.0 + 1e-6])
        found = network_bounds(net, box, method="lp", backend=ORACLE)
        for corner in ([1.0, 1.0], [1.0, 1.0 + 1e-6], [1.0 + 1e-6, 1.0], [1.0 + 1e-6, 1.0 + 1e-6]):
            for stage in net.stages:
                value = exact(net, corner, stage.pre)
                assert all(
                    Fraction(lo) <= v <= Fraction(hi)
                    for lo, v, hi in zip(found.pre(stage).lower, value, found.pre(stage).upper)
                )


def test_network_that_is_no_chain_is_not_claimed_to_be_float32() -> None:
    layers = [dense([[1.0]], [0.5]), dense([[0.1], [0.1 + 1e-9]], [0.1, 0.1]), relu, dense([[1e6, -1e6]], [0])]
    result = compress(Network.chain(layers, (1,)), Box([0.0], [1.0]))
    assert result.dtype == np.float64
    assert result.proved


def test_dual_bound_survives_underflow() -> None:
    rows = sparse.csr_array(np.array([[-1e-170, 1.0]]))
    bounds = np.array([0.0, -1e30]), np.array([1e200, 1e30])
    matrix = Matrix(rows, np.zeros(1), np.zeros(1), *bounds, np.zeros(2, dtype=np.bool_))
    # x = (1e200, 1e30) is feasible
    assert dual_bound(matrix, np.array([0.0, 1e-160]), np.array([1e-160])) >= 1e-130


def test_integer_bounds_of_badly_scaled_networks_hold() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        scale = 10.0 ** rng.uniform(-6, 6, 3)
        layers: list[Layer] = [
            dense(scale[0] * rng.normal(size=(3, 1)), scale[0] * rng.normal(size=3)),
            relu,
            dense(scale[1] * rng.normal(size=(3, 3)), scale[1] * rng.normal(size=3)),
            relu,
            dense(scale[2] * rng.normal(size=(1, 3)), rng.normal(size=1)),
        ]
        net = Network.chain(layers, (1,))
        box = Box([-100.0], [100.0])
        low, high = extremes(net, box, net.stages[-1])
        y = net(Input(box))
        assert Fraction(maximize(y, backend=solver("highs")).bound) >= high[0]
        assert Fraction(minimize(y, backend=solver("highs")).bound) <= low[0]


def test_two_definitions_of_one_column_are_not_added_up() -> None:
    program = Program.parse("""
columns x
  x[0] in [-1, 1]
columns z
  z[0] in [-1, 1]
columns w
  w[0] in [-1, 1]
rows first
  1 z[0] - 1 x[0] = 0 defines z[0]
rows second
  1 z[0] - 1 w[0] = 0 defines z[0]
""")
    left = substitute(program)
    assert [b.name for b in left.columns] == ["x", "w"]
    assert [b.matrix.toarray().tolist() for b in left.rows] == [[[1.0, -1.0]]]


def test_sparsify_counts_every_row_for_itself() -> None:
    program = Program.parse("""
columns x
  x[0] in [0, 1]
  x[1] in [0, 1]
rows r
  0 <= 1e+20 x[0] <= 1e+20
  0 <= 1 x[0] - 1 x[1] <= 1
""")
    assert sparsify(program).rows[0].matrix.nnz == 3


def test_ball_that_misses_its_clip_by_an_ulp_is_empty() -> None:
    with pytest.raises(InvalidInput, match="clip"):
        Ball(np.array([0.5]), 1e-20, clip=(np.nextafter(0.5, 1), 1.0))


@pytest.mark.parametrize("kind", ["conv", "batch_norm", "gather"])
def test_sums_over_many_biases_are_widened_by_their_rounding(kind: str) -> None:
    n = 20_000
    first: dict[str, AffineLayer] = {
        "conv": Conv(np.full((1, 1, 2), 1e-3), np.array([0.1]), (n,)),
        "batch_norm": BatchNorm(np.array([1e-3]), np.array([0.1]), n),
        "gather": Gather(np.full(n, -1), n, (n,), fill=0.1),
    }
    layer = first[kind]
    width = int(np.prod(layer.output_shape((1, n))))
    net = Network.chain([layer, Reshape((1, width)), Affine(np.ones((1, width)), np.zeros(1))], (1, n))
    point = Box(np.zeros(n), np.zeros(n))
    truth = Fraction(0.1) * width
    box = crown(net, point).boxes[net.output]
    assert Fraction(box.lower[0]) <= truth <= Fraction(box.upper[0])
    for sign in (1.0, -1.0):
        above = linear_upper(net, point, net.output, np.array([[sign]]), interval(net, point).boxes)
        assert Fraction(above[0]) >= sign * truth


def test_new_neuron_whose_value_is_known_as_an_interval_is_bounded_from_both_sides() -> None:
    h = 2.0**-40
    old = Network.chain([dense([[0]], [1]), relu, dense([[0]], [0])], (1,))
    new = Network.chain([dense([[1]], [1]), relu, dense([[1e6]], [-1e6 * (1 + h)])], (1,))
    (name,) = NeuronMap.identity(old).elements
    bound = output_difference(old, new, NeuronMap((name,), {name: np.array([FRESH])}), crown(old, Box([0.0], [h])))
    worst = max(abs(exact(new, [x], new.output)[0] - exact(old, [x], old.output)[0]) for x in (0.0, h))
    assert worst > 5e-7
    assert Fraction(bound[0]) >= worst
    # indices that say nothing are no way to hide a neuron
    hidden = NeuronMap((name,), {name: np.array([-2])})
    assert np.isinf(output_difference(old, new, hidden, crown(old, Box([0.0], [h])))).all()


def test_sum_of_one_tensor_is_an_equation_only_where_nothing_is_rounded() -> None:
    net = Network.chain([dense([[1.0], [2.0**-60]], [1.0, 2.0**-60]), Reshape((2, 1)), Sum((1, 1))], (1,))
    step = affine_step(net, net.output, interval(net, Box([-1.0], [1.0])).boxes)
    assert step.error[0] >= 2.0**-60
    plain = Network.chain([Reshape((2, 1)), Sum((1, 1))], (2,))
    assert affine_step(plain, plain.output, interval(plain, Box([-1.0, -1.0], [1.0, 1.0])).boxes).error[0] == 0
