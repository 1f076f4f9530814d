"""Crossings of units by two methods, and the penalty for those that miss: its zeros, its gradient, its effect."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box, Space
from reludsl.errors import InvalidInput
from reludsl.expressivity import (
    Crossing,
    FirstLayer,
    crossings,
    intersection_penalty,
    intersection_violations,
)
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.networks import arrangement, general_position, random_network
from reludsl.regions import plane

SQUARE = Box([-1, -1], [1, 1])
SEEDS = range(6)
Need = Callable[[str], Any]


def two_layers(seed: int, first: int = 5, second: int = 6) -> Network:
    return random_network((2, first, second), seed)


def weights(network: Network) -> list[FloatArray]:
    """W_1, b_1, W_2, b_2."""
    affine = [node.layer for node in network.nodes if isinstance(node.layer, Affine)]
    return [np.asarray(part) for layer in affine for part in (layer.weight, layer.offset)]


def tensors(torch: Any, network: Network) -> tuple[Any, Any]:
    w, b, v, d = (torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in weights(network))
    return (w, b), (v, d)


def solved(network: Network) -> IntArray:
    """How many crossings there are of each kind, by a 2 x 2 system for every sign vector of the first layer."""
    w, b, v, d = weights(network)
    n, found = len(b), np.zeros((2, 2), dtype=np.int64)

    def crosses(rows: FloatArray, offsets: FloatArray, signs: FloatArray) -> bool:
        """Inside of the square and of {x : signs (W_1 x + b_1) > 0}."""
        if abs(np.linalg.det(rows)) < 1e-12:
            return False
        x = np.linalg.solve(rows, -offsets)
        return bool((np.abs(x) < 1).all() and (signs * (w @ x + b) >= 0).all())

    for i, j in itertools.combinations(range(n), 2):
        found[0, 0] += crosses(w[[i, j]], b[[i, j]], np.zeros(n))
    for pattern in itertools.product((0.0, 1.0), repeat=n):
        s = np.array(pattern)
        rows, offsets, signs = v * s @ w, v * s @ b + d, 2 * s - 1
        for i, j in itertools.combinations(range(len(d)), 2):
            found[1, 1] += crosses(rows[[i, j]], offsets[[i, j]], signs)
        for k in np.flatnonzero(s == 0):
            others = np.where(np.arange(n) == k, 0.0, signs)
            for j in range(len(d)):
                found[0, 1] += crosses(np.stack([w[k], rows[j]]), np.array([b[k], offsets[j]]), others)
    return found


# --- crossings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_crossings_when_every_system_is_solved_are_as_many(seed: int) -> None:
    network = two_layers(seed)
    assert crossings(network, SQUARE).by_layers.tolist() == solved(network).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_crossings_in_a_deep_network_are_where_both_units_are_zero_and_all_inner_vertices(seed: int) -> None:
    network = random_network((2, 8, 8, 8), seed)
    found = crossings(network, SQUARE)
    pre = np.stack(network.trace(found.points).pre)
    for end in (0, 1):
        assert np.abs(pre[found.layers[:, end], np.arange(len(found)), found.units[:, end]]).max() < 1e-12
    whole = plane(network, SQUARE)
    on_border = np.abs(whole.coordinates).max(axis=1) > 1 - 1e-12
    assert len(found) == whole.vertices - on_border.sum()
    assert (found.layers[:, 0] <= found.layers[:, 1]).all()
    assert found.by_layers.sum() == len(found)


@pytest.mark.parametrize("where", [Space(2), Box([0, 0], [1, 1])])
def test_crossings_of_lines_in_general_position_are_all_pairs(where: Space | Box) -> None:
    found = crossings(general_position(7, 2), where)
    assert len(found) == found.pairs == math.comb(7, 2)


def test_crossings_when_three_lines_meet_in_a_point_are_three() -> None:
    found = crossings(arrangement([[1, 0], [0, 1], [1, 1], [1, 1]], [0, 0, 0, -0.5]), SQUARE)
    assert sorted(map(tuple, found.units[(found.points == 0).all(axis=1)].tolist())) == [(0, 1), (0, 2), (1, 2)]
    assert len(found) == 5


def test_crossings_of_units_on_one_line_are_those_of_the_first() -> None:
    found = crossings(arrangement([[1, 0], [-2, 0], [0, 1]], [0, 0, 0]), SQUARE)
    assert found.units.tolist() == [[0, 2]]


def test_crossings_when_there_are_none_are_empty() -> None:
    found = crossings(arrangement([[1.0, 0.0]], [0.0]), SQUARE)
    assert (len(found), found.pairs, found.by_layers.tolist()) == (0, 0, [[0]])


def test_first_layer_tells_its_regions_and_what_is_on_along_its_lines() -> None:
    w, b, *_ = weights(two_layers(1))
    first = FirstLayer.of(w, b, SQUARE)
    x = np.random.default_rng(0).uniform(-1, 1, (20_000, 2))
    sampled = {tuple(row) for row in (x @ w.T + b > 0).tolist()}
    assert sampled <= {tuple(row) for row in first.patterns.tolist()}
    # every stretch lies between two regions, which differ in the unit whose line it is
    for line, along in zip(first.lines, first.along):
        for side in (False, True):
            pattern = along.copy()
            pattern[line] = side
            assert pattern.tolist() in first.patterns.tolist()


# --- the penalty --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_violations_without_margin_are_zero_for_as_many_pairs_as_cross(need: Need, seed: int) -> None:
    network = two_layers(seed, 7, 7)
    first, second = tensors(need("torch"), network)
    counted = crossings(network, SQUARE).by_layers
    for kind, count in zip(Crossing, (counted[0, 0], counted[0, 1], counted[1, 1])):
        violations = intersection_violations(first, second, SQUARE, kind, least=1e-12)
        assert int((violations == 0).sum()) == count


@given(p=st.floats(-1.5, 1.5), q=st.floats(-1.5, 1.5), margin=st.floats(0.01, 0.5))
def test_penalty_is_zero_exactly_where_two_lines_cross_inside_by_the_margin(
    need: Need, p: float, q: float, margin: float
) -> None:
    torch = need("torch")
    eye = torch.eye(2, dtype=torch.float64)
    first, second = (eye, torch.zeros(2, dtype=torch.float64)), (eye, torch.tensor([-p, -q], dtype=torch.float64))
    # the region of the first layer is the quadrant of positive numbers, in which the lines meet at (p, q)
    found = float(intersection_penalty(first, second, SQUARE, margin=margin, kinds=[Crossing.SECOND]))
    room = [p, q, 1 + p, 1 + q, 1 - p, 1 - q]
    assert found == pytest.approx(sum(max(0.0, margin - r) for r in room), abs=1e-14)
    assert (found == 0) == (min(room) >= margin)


@pytest.mark.parametrize("kind", Crossing)
@pytest.mark.parametrize("seed", SEEDS)
def test_penalty_has_the_gradient_of_finite_differences(need: Need, kind: Crossing, seed: int) -> None:
    torch = need("torch")
    network = two_layers(seed, 4, 4)
    (w, b), (v, d) = tensors(torch, network)
    regions = FirstLayer.of(w.detach().numpy(), b.detach().numpy(), SQUARE)

    def penalty(*parts: Any) -> Any:
        return intersection_penalty(parts[:2], parts[2:], SQUARE, kinds=[kind], least=0.05, regions=regions)

    assert float(penalty(w, b, v, d).detach()) > 0
    assert torch.autograd.gradcheck(penalty, (w, b, v, d), eps=1e-7, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("angle", [0.0, 1e-300, 1e-12, 1e-6, 1e-3])
def test_penalty_of_nearly_parallel_lines_is_positive_with_a_bounded_gradient(need: Need, angle: float) -> None:
    torch = need("torch")
    least = 0.01
    first = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    w = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]], dtype=torch.float64, requires_grad=True)
    d = torch.tensor([-0.5, -0.6], dtype=torch.float64, requires_grad=True)
    value = intersection_penalty(first, (w, d), SQUARE, least=least, kinds=[Crossing.SECOND])
    value.backward()
    assert float(value.detach()) > 0
    assert float(max(w.grad.abs().max(), d.grad.abs().max())) < 4 / least**2


def test_penalty_when_no_pair_can_cross_is_zero(need: Need) -> None:
    torch = need("torch")
    (w, b), (v, d) = tensors(torch, two_layers(0, 1, 1))
    value = intersection_penalty((w, b), (v, d), SQUARE)
    assert float(value.detach()) == 0


@pytest.mark.parametrize("change", ["weight", "box", "margin", "least"])
def test_penalty_refuses_what_does_not_fit(need: Need, change: str) -> None:
    torch = need("torch")
    first, second = tensors(torch, two_layers(0))
    box = Box([-1] * 3, [1] * 3) if change == "box" else SQUARE
    given_first = tensors(torch, random_network((3, 5, 6), 0))[0] if change == "weight" else first
    margin, least = -1.0 if change == "margin" else 0.1, 0.0 if change == "least" else 0.1
    with pytest.raises(InvalidInput, match="give"):
        intersection_penalty(given_first, second, box, margin=margin, least=least)


def test_penalty_refuses_no_kinds_and_a_margin_that_is_no_number(need: Need) -> None:
    first, second = tensors(need("torch"), two_layers(0))
    with pytest.raises(InvalidInput, match="no kind of crossing"):
        intersection_penalty(first, second, SQUARE, kinds=[])
    with pytest.raises(InvalidInput, match="margin is nan"):
        intersection_penalty(first, second, SQUARE, margin=float("nan"))


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [(Crossing.SECOND,), tuple(Crossing)])
def test_descent_on_the_penalty_raises_crossings_and_regions_over_seeds(
    torch: Any, kinds: tuple[Crossing, ...]
) -> None:
    for seed in SEEDS:
        network = random_network((2, 8, 8), seed)
        first, second = tensors(torch, network)
        rule = torch.optim.Adam([*first, *second], lr=0.01)
        values = []
        for _ in range(100):
            value = intersection_penalty(first, second, SQUARE, kinds=kinds)
            rule.zero_grad()
            value.backward()
            rule.step()
            values.append(float(value.detach()))
        assert values[-1] < 0.25 * values[0]
        w, b, v, d = (part.detach().numpy() for part in (*first, *second))
        after = Network.chain([Affine(w, b), relu, Affine(v, d), relu], (2,))
        assert crossings(after, SQUARE).by_layers[1, 1] > crossings(network, SQUARE).by_layers[1, 1]
        assert plane(after, SQUARE).faces > plane(network, SQUARE).faces
