"""Random paths through the tree of cells: no bias, a lower bound that holds as often as it says; and affine maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from region_checks import cells, cube, has_units, listed, proved, truth
from region_nets import FOUR_LINES, drawn
from scipy import stats

from reludsl import plugins
from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box, Space
from reludsl.network import Network
from reludsl.networks import six_definitions
from reludsl.regions import count
from reludsl.regions.cells import probes
from reludsl.regions.cells.enumeration import Task
from reludsl.regions.cells.probes import Estimate, Probes
from reludsl.regions.edges import unit_count, unit_layers
from reludsl.regions.shared_maps import SharedMaps
from reludsl.testing.strategies import graphs


def estimate(network: Network, where: Box | Space, seed: int, runs: int) -> Estimate:
    wanted = np.full(unit_count(unit_layers(network)), -1)
    task = Task(network, where, wanted, True, plugins.default(), seed)
    paths = task.probes(task.frame())
    return paths.estimate(task.start(paths), runs, math.inf)


@pytest.mark.parametrize("front", [1, 8])
def test_estimate_has_no_bias(front: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRONT", front)
    found = estimate(drawn((3, 6, 6), 3), cube(3), 0, 400)
    assert not found.exact
    assert found.runs.size == 400
    assert found.standard_error > 0
    assert abs(found.mean - 53) < 3.5 * found.standard_error


def test_estimate_on_the_whole_space_has_no_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRONT", 2)
    network = drawn((3, 4, 3), 1, "normal")
    number = proved(cells(network, Space(3)))
    found = estimate(network, Space(3), 1, 200)
    assert abs(found.mean - number) < 3.5 * found.standard_error


def test_front_makes_estimates_narrower(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = []
    for front in (1, 32):
        monkeypatch.setattr(probes, "FRONT", front)
        spread.append(estimate(drawn((3, 6, 6), 3), cube(3), 0, 200).standard_error)
    assert spread[1] < 0.5 * spread[0]


def test_estimate_is_exact_where_the_front_is_everything() -> None:
    found = count(FOUR_LINES, cube(2, 100.0), method="probe")
    assert (found.lower, found.count, found.upper, found.standard_error, found.confidence) == (11, 11, 11, 0.0, None)
    assert found.exact


def test_estimate_is_between_bounds_with_its_confidence() -> None:
    network = drawn((3, 8, 8), 4, "normal")
    number = proved(cells(network, cube(3, 3.0)))
    found = count(network, cube(3, 3.0), method="probe", confidence=0.99, seed=3)
    assert found.confidence == 0.99
    assert not found.exact
    assert found.standard_error is not None
    assert abs(found.count - number) < 4 * found.standard_error + 1
    assert 1 <= found.lower <= number <= found.upper


@pytest.mark.parametrize(("confidence", "bits"), [(0.75, 2.0), (0.9375, 4.0)])
def test_lower_bound_follows_markovs_inequality(confidence: float, bits: float) -> None:
    runs = np.array([64.0, 80.0])
    assert Estimate(runs, 0.0).lower(confidence) == 64 / 2 ** (bits / 2)


@pytest.mark.slow
def test_lower_bound_holds_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRONT", 1)
    network = drawn((3, 6, 6), 3)
    # single runs are least even: the bound of one batch of eight, and of one path alone
    broken = np.zeros(2, dtype=np.int64)
    for seed in range(200):
        found = estimate(network, cube(3), seed, probes.TOGETHER)
        alone = Estimate(found.runs[:1], found.seconds)
        broken += [found.lower(0.75) > 53, alone.lower(0.75) > 53]
    for number in broken.tolist():
        assert stats.binomtest(number, 200, 0.25, alternative="greater").pvalue > 1e-3


def _first(self: Probes, k: IntArray, option: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Never the other options."""
    if not self.following:
        return k, option, np.ones(k.size)
    first = np.flatnonzero(np.diff(k, prepend=-1))
    return k[first], option[first], np.diff(first, append=k.size).astype(np.float64)


def _unweighted(self: Probes, k: IntArray, option: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Both options, as if each stood for two."""
    return k, option, np.full(k.size, 2.0 if self.following else 1.0)


@pytest.mark.parametrize("followed", [_first, _unweighted])
def test_paths_that_are_not_random_are_caught(followed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "FRONT", 1)
    monkeypatch.setattr(Probes, "_followed", followed)
    found = estimate(drawn((3, 6, 6), 3), cube(3), 0, 40)
    assert abs(found.mean - 53) > 3.5 * found.standard_error


# --- affine maps ------------------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(graphs(max_units=6))
def test_maps_are_counted_once_however_they_come(network: Network) -> None:
    assume(has_units(network))
    where = cube(network.input_size)
    found, number = listed(network, where), truth(network, where).affine
    for step in (1, max(1, len(found))):
        maps = SharedMaps(network)
        for start in range(0, len(found), step):
            maps.add(found.patterns[start : start + step])
        assert maps.distinct() == (number, number)


def test_no_regions_have_no_maps() -> None:
    assert SharedMaps(six_definitions()).distinct() == (0, 0)
