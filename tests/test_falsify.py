"""The search finds what is easy to find, returns nothing that does not hold, and repeats itself."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from formulas import question, satisfiable, seeds, true_at
from hypothesis import given, settings

from reludsl.cases import cases
from reludsl.expr import Expr, Input, ball, box
from reludsl.falsify import Hit, Hunt, Search
from reludsl.functions import absolute
from reludsl.layers import Affine, Layer, relu
from reludsl.logic import Condition, all_of
from reludsl.network import Network
from reludsl.replay import Evaluator, holds
from reludsl.testing.clock import soonest, timed


def _search(condition: Condition, rounds: int = 4, seed: int = 0) -> Hit | None:
    return Search([case for case in cases(condition) if not case.empty], seed).run(rounds)


def _network(rng: np.random.Generator, *sizes: int) -> Network:
    layers: list[Layer] = []
    for a, b in pairwise(sizes):
        layers += [Affine(rng.normal(size=(b, a)) / np.sqrt(a), 0.1 * rng.normal(size=b)), relu]
    return Network.chain(layers[:-1], (sizes[0],))


@settings(max_examples=30)
@given(seeds())
def test_what_is_found_holds_exactly_and_lies_in_the_domains(seed: int) -> None:
    _, a, b, _ = question(seed)
    hit = _search(a & b, rounds=2)
    if hit is None:
        return
    assert true_at(hit.case.condition, hit.point)
    for variable, x in hit.point.items():
        assert variable.domain.contains(x[None])[0]
        assert any(variable in atoms.expr.inputs() for atoms in (a & b).atoms)


@settings(max_examples=30)
@given(seeds())
def test_what_has_room_is_found(seed: int) -> None:
    """Where the condition still holds with an eighth taken off every comparison, the first rounds find it."""
    from reludsl.logic import shifted

    _, a, b, _ = question(seed, units=3)
    if satisfiable(shifted(a & b, 0.125)):
        # a case that its domain says completely has nothing to search for, and is found without
        found = [case for case in cases(a & b) if not case.empty]
        assert any(not list(case.goal.atoms) for case in found) or _search(a & b) is not None


def test_search_is_repeatable_with_a_seed() -> None:
    network = _network(np.random.default_rng(1), 6, 12, 12, 2)
    x = ball(np.zeros(6), 0.5)
    y = network(x)
    wanted = y[0] - y[1] >= float(np.max(network(x.domain.sample(np.random.default_rng(0), 200))[:, 0])) * 0.5
    hits = [_search(wanted, seed=3) for _ in range(2)]
    assert hits[0] is not None
    assert hits[1] is not None
    np.testing.assert_array_equal(hits[0].point[x.variable], hits[1].point[x.variable])


def test_random_generator_of_numpy_is_left_alone() -> None:
    x = box(-1, 1, (2,))
    np.random.seed(0)  # noqa: NPY002 - the global one must not be touched
    before = np.random.random()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    _search(absolute(x[0]) >= 2)
    assert np.random.random() == before  # noqa: NPY002


def test_search_reaches_a_corner_of_many_coordinates() -> None:
    """max over a box of a sum of ReLUs lies at a corner that no random point comes near."""
    rng = np.random.default_rng(2)
    network = _network(rng, 40, 30, 1)
    x = box(-1, 1, (40,))
    y = network(x)[0]
    sampled = float(network(x.domain.sample(rng, 20_000)).max())
    hit = _search(y >= 1.2 * sampled)
    assert hit is not None
    assert float(y.value(hit.point)[0]) >= 1.2 * sampled


def test_search_walks_into_a_thin_region() -> None:
    """Both equations of a line in the plane, and only a short stretch of it: a walk over regions gets there."""
    x = box(-1, 1, (2,))
    y = absolute(x[0] - 0.5) + absolute(x[1] + 0.25)
    assert _search(y <= 1e-3) is not None


@pytest.mark.parametrize("norm_one", [False, True])
def test_search_stays_inside_of_balls(norm_one: bool) -> None:
    from reludsl.domain import Norm

    network = _network(np.random.default_rng(4), 5, 8, 1)
    x = ball(np.full(5, 0.1), 0.3, Norm.L1 if norm_one else Norm.LINF)
    y = network(x)[0]
    start = float(network(np.full(5, 0.1))[0])
    hit = _search((y >= start + 1e-3) & (x[0] <= 0.15))
    assert hit is not None
    assert holds((y >= start + 1e-3) & (x[0] <= 0.15), hit.point)


def test_search_over_several_inputs_and_one_that_no_comparison_is_left_for() -> None:
    network = Network.chain([Affine(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2)), relu], (2,))
    x, w, free = box(-1, 1, (2,), "x"), box(-1, 1, (2,), "w"), box(-1, 1, (3,), "free")
    # `free` goes into its domain completely
    hit = _search(all_of(network(x)[0] - network(w)[1] >= 1.5, free <= -0.5))
    assert hit is not None
    assert set(hit.point) == {x.variable, w.variable, free.variable}
    assert (hit.point[free.variable] <= -0.5).all()


def test_search_ends_at_its_time() -> None:
    network = _network(np.random.default_rng(5), 20, 50, 50, 1)
    y = network(box(-1, 1, (20,)))[0]
    search = Search([case for case in cases(y >= 1e6) if not case.empty])
    found = soonest(lambda: timed(lambda: search.run(10_000, time.perf_counter() + 0.5)), 1.5)
    assert found.result is None
    assert found.seconds <= 1.5


def test_dropped_cases_are_searched_no_more() -> None:
    x = box(-1, 1, (1,))
    found = cases((absolute(x) >= 0.75) | (absolute(x) <= 0.25))
    search = Search(found)
    search.drop(found[0])
    hit = search.run(2)
    assert hit is not None
    assert hit.case is found[1]
    search.drop(found[1])
    assert search.run(2) is None


def test_hunt_keeps_the_best_of_what_it_saw() -> None:
    x = box(-1, 1, (1,))
    (case,) = cases(absolute(x) >= 1.25)
    hunt = Hunt(case, Evaluator(a.expr for a in case.goal.atoms), np.random.default_rng(0))
    _, hit = hunt.look({x.variable: np.array([[0.0], [0.75], [-0.5], [1.0]])})
    assert hit is None
    assert hunt.best == -0.25
    assert [float(p[x.variable][0]) for p in hunt.nearest(2)] == [1.0, 0.75]


def test_points_where_the_forward_pass_overflows_are_no_hits() -> None:
    network = Network.chain(
        [Affine(np.array([[1e200]]), np.zeros(1)), relu, Affine(np.array([[1.0]]), np.zeros(1))], (1,)
    )
    x = Input(box(0, 1, (1,)).domain)
    y: Expr = 1e200 * network(x)[0]
    hit = _search(y <= -1, rounds=1)
    assert hit is None
