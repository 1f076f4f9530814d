"""Stability on nested balls: the law, exact oracles, what one ball tells about another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ladder import ladder

from reludsl.domain import Ball, Box, Norm
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.progress import Progress
from reludsl.stability import Standing, local_stability, stable
from reludsl.stability.local import STABLE, carried
from reludsl.testing import oracle
from reludsl.testing.strategies import dyadics, networks, vectors

ACTIVE, INACTIVE, UNSTABLE, UNKNOWN = Standing


def steps() -> Network:
    """z = x - 1/4, x - 1/2, x - 2."""
    layer = Affine(np.ones((3, 1)), np.array([-0.25, -0.5, -2.0]))
    return Network.chain([layer, relu, Affine(np.ones((1, 3)), np.zeros(1))], (1,))


@given(st.data())
def test_stable_neurons_become_fewer_as_the_radius_grows(data: st.DataObject) -> None:
    net = data.draw(networks())
    points = np.stack([data.draw(vectors(net.input_size, 0, 1)) for _ in range(2)])
    radii = data.draw(st.lists(dyadics(0, 1), min_size=1, max_size=4))
    norm = data.draw(st.sampled_from(Norm))
    found = local_stability(net, points, radii, norm=norm)
    stays = np.isin(found.local, STABLE)
    switches = found.local == UNSTABLE
    assert (stays[1:] <= stays[:-1]).all()
    assert (switches[1:] >= switches[:-1]).all()
    assert (np.isin(found.everywhere, STABLE) <= stays).all()
    assert (switches <= (found.everywhere == UNSTABLE)).all()
    assert (found.radii == np.unique(radii)).all()


@given(st.data())
def test_every_standing_that_is_decided_is_that_of_the_oracle(data: st.DataObject) -> None:
    net = data.draw(networks(max_inputs=2, max_units=5, max_depth=2))
    centre, radius = data.draw(vectors(net.input_size, 0, 1)), data.draw(dyadics(0.125, 1))
    found = local_stability(net, centre[None], [radius / 2, radius])
    domains = [Ball(centre, r, clip=(0, 1)) for r in found.radii.tolist()] + [Box.full(0, 1, (net.input_size,))]
    for standings, domain in zip([*found.local[:, 0], found.everywhere], domains):
        unstable = np.concatenate(oracle.stability(net, domain)) < 0
        assert ((standings == UNSTABLE) | (standings == UNKNOWN) | ~unstable).all()
        assert (np.isin(standings, STABLE) | (standings == UNKNOWN) | unstable).all()


def test_standings_of_known_neurons_change_at_the_known_radius() -> None:
    found = local_stability(steps(), np.array([[0.5], [0.125]]), [0.3, 0.0625])
    assert found.radii.tolist() == [0.0625, 0.3]
    assert found.local[:, 0].tolist() == [[ACTIVE, UNSTABLE, INACTIVE], [UNSTABLE, UNSTABLE, INACTIVE]]
    assert found.local[:, 1].tolist() == [[INACTIVE, INACTIVE, INACTIVE], [UNSTABLE, INACTIVE, INACTIVE]]
    assert found.everywhere.tolist() == [UNSTABLE, UNSTABLE, INACTIVE]
    assert found.stably_inactive.tolist() == [[1 / 3, 1], [1 / 3, 2 / 3]]
    total = found.stably_active + found.stably_inactive + found.unstable + found.unknown
    assert total == pytest.approx(np.ones((2, 2)))
    assert found.whole_share(*STABLE) == pytest.approx(1 / 3)


def test_balls_are_cut_to_the_box() -> None:
    found = local_stability(steps(), np.array([1.0]), [2.0], clip=Box([0.5], [1.0]))
    assert found.local.tolist() == [[[ACTIVE, ACTIVE, INACTIVE]]]
    assert found.everywhere.tolist() == [ACTIVE, ACTIVE, INACTIVE]


def test_a_neuron_that_is_constantly_on_its_break_may_be_stable_on_another_side_there() -> None:
    assert carried(np.array([[INACTIVE], [ACTIVE]])).tolist() == [[INACTIVE], [ACTIVE]]


def test_ball_equals_certificate_of_the_ball() -> None:
    net, _ = ladder()
    found = local_stability(net, np.array([0.5]), [0.25])
    facts = stable(net, Ball(np.array([0.5]), 0.25, clip=(0, 1)))
    assert [int((found.local == kind).sum()) for kind in STABLE] == [
        sum(stage.stably_active.size for stage in facts.stages),
        sum(stage.stably_inactive.size for stage in facts.stages),
    ]


def test_what_a_ball_decides_is_carried_to_those_inside_and_around() -> None:
    known = np.array([[UNKNOWN, UNKNOWN, UNSTABLE], [UNKNOWN, ACTIVE, UNKNOWN], [INACTIVE, UNKNOWN, UNKNOWN]])
    assert carried(known).tolist() == [
        [INACTIVE, ACTIVE, UNSTABLE],
        [INACTIVE, ACTIVE, UNSTABLE],
        [INACTIVE, UNKNOWN, UNSTABLE],
    ]


def test_a_proof_that_a_smaller_ball_refutes_is_an_error() -> None:
    with pytest.raises(SolverFailed, match="neuron 1 is proved to be stable"):
        carried(np.array([[ACTIVE, UNSTABLE], [ACTIVE, INACTIVE]]))


def test_no_time_leaves_neurons_unknown_and_keeps_the_law() -> None:
    net, _ = ladder()
    found = local_stability(net, np.array([0.5]), [0.25, 0.5], method="per-neuron", time_limit=0.0)
    assert found.unknown.max() > 0
    assert (np.diff(found.share(*STABLE), axis=0) <= 0).all()


def test_same_seed_gives_the_same_and_progress_tells_every_ball() -> None:
    told: list[Progress] = []
    runs = [local_stability(steps(), np.array([[0.5], [0.25]]), [0.1, 0.2], seed=3, progress=told.append) for _ in "ab"]
    assert (runs[0].local == runs[1].local).all()
    assert [(p.done, p.total) for p in told] == [(k, 5) for k in range(5)] * 2


@pytest.mark.parametrize(
    ("points", "radii", "word"),
    [
        (np.zeros((1, 2)), [0.1], "does not fit"),
        (np.zeros((1, 1)), [], "at least one of each"),
        (np.zeros((0, 1)), [0.1], "at least one of each"),
        (np.zeros((1, 1)), [-0.1], "radius"),
        (np.full((1, 1), 3.0), [0.1], "does not meet the clip"),
    ],
)
def test_bad_input_is_refused_with_its_numbers(points: np.ndarray, radii: list[float], word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        local_stability(steps(), points, radii)
