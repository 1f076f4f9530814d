"""Lines and planes that are cut short: what is counted by then is a lower bound, whoever ends it and when."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reludsl.domain import Box, Polytope, Space
from reludsl.errors import InvalidInput, OutOfTime
from reludsl.expressivity import trajectory
from reludsl.layers import Affine, Layer, PiecewiseLinear, hard_tanh, maxout, relu
from reludsl.network import Network
from reludsl.networks import Initialisation, random_network, sawtooth
from reludsl.progress import Progress
from reludsl.regions import (
    Definition,
    RegionCount,
    Slice,
    arc,
    count,
    count_by_label,
    count_line,
    count_plane,
    decision_plane,
    line,
    plane,
)
from reludsl.regions.planar.build import Where
from reludsl.regions.watch import INTERRUPTED, OUT_OF_TIME, Watch

SQUARE = Box([-1, -1], [1, 1])
TRIANGLE = Polytope(np.array([[1.0, 1.0]]), np.array([0.5]), SQUARE)
INTERVAL = Polytope(np.array([[3.0]]), np.array([1.0]), Box([-1.0], [1.0]))


class Clock:
    """A clock that goes on by a second whenever it is looked at: limits end work at the same place in every run."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    # what others take for the time stays what it is
    monkeypatch.setattr("reludsl.regions.watch.time", SimpleNamespace(perf_counter=made))
    return made


def deep(inputs: int, seed: int, activation: PiecewiseLinear | None = None) -> Network:
    sizes = (inputs, *[9] * 12)
    return random_network(
        sizes, seed, Initialisation.NORMAL, bias_scale=0.5, activation=relu if activation is None else activation
    )


def pooled(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for size in (2, *[6] * 11):
        layers += [Affine(rng.normal(size=(12, size)) / size**0.5, 0.5 * rng.normal(size=12)), maxout(12, 2)]
    return Network.chain(layers, (2,))


PLANES: dict[str, tuple[Callable[[], Network], Where]] = {
    "box": (lambda: deep(2, 0), SQUARE),
    "polytope": (lambda: deep(2, 1), TRIANGLE),
    "whole plane": (lambda: deep(2, 2), Space(2)),
    "slice": (lambda: deep(5, 3), Slice.through(np.random.default_rng(3).normal(size=(3, 5)))),
    "hard tanh": (lambda: deep(2, 4, hard_tanh()), SQUARE),
    "maxima": (lambda: pooled(5), SQUARE),
}
LINES: dict[str, tuple[Callable[[], Network], Box | Polytope | Space]] = {
    "segment": (lambda: deep(1, 8), Box([-1.0], [1.0])),
    "interval": (lambda: deep(1, 6), INTERVAL),
    "whole line": (lambda: deep(1, 7), Space(1)),
}


def interrupted(at: Progress) -> None:
    raise KeyboardInterrupt


def sure(name: str) -> int:
    """Regions that need no proof: that a polygon has an interior is not proved when nothing is."""
    return int(name != "polytope")


def ends_at_any_time(clock: Clock, counted: Callable[[float], RegionCount], least: int) -> None:
    before = clock.now
    whole = counted(1e9)
    took = clock.now - before
    assert whole.complete
    assert whole.exact
    found = [counted(part * took) for part in (0.0, 0.25, 0.5, 0.75, 1.0, 3.0)]
    for one in found:
        assert least <= one.lower <= whole.count <= one.upper
        assert one.complete or one.note.startswith(OUT_OF_TIME)
    assert not found[0].complete
    assert found[0].lower == least
    assert any(one.lower > 1 and not one.complete for one in found)
    assert (found[-1].count, found[-1].complete) == (whole.count, True)


@pytest.mark.parametrize(
    ("name", "definition"),
    [*((name, Definition.ACTIVATION) for name in PLANES), ("box", Definition.AFFINE), ("slice", Definition.CONNECTED)],
)
def test_plane_when_the_time_is_over_gives_a_lower_bound(clock: Clock, name: str, definition: Definition) -> None:
    made, where = PLANES[name]
    network = made()
    ends_at_any_time(clock, lambda limit: count_plane(network, where, definition, time_limit=limit), sure(name))


@pytest.mark.parametrize(
    ("name", "definition"),
    [
        *((name, Definition.ACTIVATION) for name in LINES),
        ("segment", Definition.AFFINE),
        ("interval", Definition.CONNECTED),
    ],
)
def test_line_when_the_time_is_over_gives_a_lower_bound(clock: Clock, name: str, definition: Definition) -> None:
    made, where = LINES[name]
    network = made()
    ends_at_any_time(clock, lambda limit: count_line(network, where, definition, time_limit=limit), 1)


@pytest.mark.parametrize("after", [0, 1, 3, 8, 20])
@pytest.mark.parametrize("name", [*PLANES, *LINES])
def test_count_when_interrupted_keeps_what_it_found(name: str, after: int) -> None:
    made, where = (PLANES | LINES)[name]
    network = made()
    verb: Any = count_plane if name in PLANES else count_line
    whole = verb(network, where)
    told: list[Progress] = []

    def after_some(at: Progress) -> None:
        told.append(at)
        if len(told) > after:
            raise KeyboardInterrupt

    found = verb(network, where, progress=after_some)
    if len(told) > after:
        assert found.note.startswith(INTERRUPTED)
        assert not found.complete
    assert sure(name) <= found.lower <= whole.count <= found.upper


@pytest.mark.parametrize("method", ["cells", "plane", "one-tree"])
@pytest.mark.parametrize("bias", [0.0, 5.0])
def test_count_when_interrupted_at_the_first_word_is_between_what_can_be(method: str, bias: float) -> None:
    network = Network.chain([Affine(np.eye(2), np.full(2, bias)), relu], (2,))
    found = count(network, SQUARE, method=method, progress=interrupted)
    truth = 1 if bias else 4
    assert found.lower <= truth <= found.upper
    assert found.note.startswith(INTERRUPTED)
    assert not found.complete


def test_labels_when_interrupted_at_the_second_keep_the_first() -> None:
    network = Network.chain([Affine(np.eye(2), np.zeros(2)), relu, Affine(np.eye(2), np.zeros(2))], (2,))
    whole = count_by_label(network, SQUARE)
    before: list[Progress] = []
    count(network, SQUARE, method="cells", label=0, progress=before.append)
    told: list[Progress] = []

    def second(at: Progress) -> None:
        told.append(at)
        if len(told) > len(before):
            raise KeyboardInterrupt

    found = count_by_label(network, SQUARE, progress=second)
    assert (found[0].count, found[0].exact) == (whole[0].count, True)
    assert found[1].note == INTERRUPTED
    assert found[1].lower <= whole[1].count <= found[1].upper


def test_count_when_it_takes_the_plane_passes_the_limit_on() -> None:
    found = count(deep(2, 0), SQUARE, time_limit=0.0)
    assert (found.method.value, found.complete, found.lower) == ("plane", False, 1)
    assert count(sawtooth(5), Box([0.0], [1.0]), time_limit=0.0).lower == 1


def test_plane_when_the_time_is_over_says_how_far_it_is() -> None:
    network = deep(2, 0)
    for verb in (plane, decision_plane):
        with pytest.raises(OutOfTime, match=r"when 0 of 1\d\d breaks .* cells so far \(1\)"):
            verb(network, SQUARE, time_limit=0.0)


@pytest.mark.parametrize("arc", [False, True])
def test_trajectory_when_the_time_is_over_or_interrupted_has_nothing_to_give(arc: bool) -> None:
    def interrupted(at: Progress) -> None:
        raise KeyboardInterrupt

    network, ends = deep(5, 3), np.random.default_rng(0).normal(size=(2, 5))
    told: list[Progress] = []
    found = trajectory(network, *ends, arc=arc, time_limit=3600.0, progress=told.append)
    assert [at.done for at in told] == sorted(at.done for at in told)
    assert {at.step for at in told} == {"pieces"}
    assert found.transitions == trajectory(network, *ends, arc=arc).transitions
    with pytest.raises(OutOfTime, match=r"when 0 of 1\d\d breaks"):
        trajectory(network, *ends, arc=arc, time_limit=0.0)
    with pytest.raises(KeyboardInterrupt):
        trajectory(network, *ends, arc=arc, progress=interrupted)


def test_plane_when_interrupted_is_an_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        plane(deep(2, 0), SQUARE, progress=interrupted)


def test_progress_when_a_plane_is_counted_tells_cells_and_then_proved_ones() -> None:
    told: list[Progress] = []
    found = count_plane(deep(2, 0), SQUARE, progress=told.append, time_limit=3600.0)
    steps = [at.step for at in told]
    assert steps == sorted(steps)
    assert set(steps) == {"cells", "proved cells"}
    assert all(at.left is not None and at.left <= 3600 for at in told)
    assert told[-1].total == found.count


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_watch_when_the_limit_is_no_time_says_what_to_give(limit: float) -> None:
    with pytest.raises(InvalidInput, match="give 0 or more"):
        Watch.over(limit)


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_tolerance_when_it_is_no_distance_says_what_to_give(tolerance: float) -> None:
    network, x, y = deep(2, 0), np.array([1.0, 0.0]), np.array([0.0, 1.0])
    with pytest.raises(InvalidInput, match="the tolerance is"):
        plane(network, SQUARE, tolerance=tolerance)
    with pytest.raises(InvalidInput, match="the tolerance is"):
        line(network, x, y, tolerance=tolerance)
    with pytest.raises(InvalidInput, match="the tolerance is"):
        arc(network, 0.0, x, y, tolerance=tolerance)
