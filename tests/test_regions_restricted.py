"""Counting what a pattern, a label or a definition leaves of the regions: all regions, sorted afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reludsl.domain import Box, Space
from reludsl.layers import Affine, hard_tanh, maxout, relu
from reludsl.network import Network
from reludsl.networks import random_network, six_definitions
from reludsl.regions import Counting, Definition, Label, count, count_by_label, enumerate
from reludsl.regions.outputs import with_output_units


def _patterns(network: Network, domain: Box | Space, **options: Any) -> np.ndarray[Any, Any]:
    return np.concatenate([found.patterns for found in enumerate(network, domain, **options)])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("whole", [False, True])
def test_pattern_keeps_exactly_the_regions_that_show_it(seed: int, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    sizes, activation = ((2, 4, 3), hard_tanh()) if seed == 5 else ((3, 5, 4), relu)
    network = random_network(sizes, seed, activation=activation, outputs=2)
    n = network.input_size
    domain = Space(n) if whole else Box([-1] * n, [1] * n)
    every = _patterns(network, domain)
    for size in (1, 3, network.neurons):
        some = every[rng.integers(len(every))][:size]
        wanted = np.where(rng.random(size) < 0.4, -1, some)
        shown = every[((wanted < 0) | (every[:, :size] == wanted)).all(axis=1)]
        found = _patterns(network, domain, pattern=wanted)
        assert sorted(map(tuple, found)) == sorted(map(tuple, shown))
        counted = count(network, domain, pattern=wanted)
        assert counted.exact
        assert (counted.count, counted.ambiguous) == (len(shown), 0)


def test_pattern_that_does_not_occur_has_no_region() -> None:
    network = Network.chain([Affine(np.array([[1.0], [1.0]]), np.array([0.0, -1.0])), relu], (1,))
    found = count(network, Box([-2.0], [2.0]), pattern=[0, 1])
    assert (found.count, found.lower, found.upper) == (0, 0, 0)


def test_pattern_of_units_that_share_an_edge_is_kept_by_both() -> None:
    network = Network.chain([Affine(np.array([[1.0, 1.0], [2.0, 2.0], [1.0, -1.0]]), np.zeros(3)), relu], (2,))
    box = Box([-1, -1], [1, 1])
    assert [count(network, box, pattern=p).count for p in ([0, 0], [1, 1], [0, 1], [1, 0])] == [2, 2, 0, 0]


def test_pattern_without_an_interior_is_kept_where_patterns_are_counted() -> None:
    network, box = six_definitions(), Box([-1, -1], [1, 1])
    every = _patterns(network, box, definition="patterns")
    assert len(every) == 7
    for row in every:
        for size in range(1, 6):
            shown = (every[:, :size] == row[:size]).all(axis=1).sum()
            assert count(network, box, definition="patterns", pattern=row[:size]).count == shown


def test_probes_estimate_what_a_pattern_leaves() -> None:
    network, box = random_network((3, 8, 8), 1), Box([-3] * 3, [3] * 3)
    wanted = [1, -1, 0]
    exact = count(network, box, pattern=wanted).count
    found = count(network, box, pattern=wanted, method=Counting.PROBE)
    assert found.standard_error is not None
    assert abs(found.count - exact) <= 4 * found.standard_error + 0.5
    assert found.lower <= exact <= found.upper


@pytest.mark.parametrize("rule", list(Label))
def test_regions_of_a_label_are_those_that_all_regions_with_it_as_a_unit_show(rule: Label) -> None:
    network, box = random_network((3, 6, 6), 2, outputs=3), Box([-2] * 3, [2] * 3)
    found = count_by_label(network, box, rule)
    if rule is Label.ALONE:
        every = _patterns(with_output_units(network), box)[:, -3:]
        expected = {k: int((every == np.eye(3)[k]).all(axis=1).sum()) for k in range(3)}
    else:
        chosen = Network.chain([*(node.layer for node in network.nodes), maxout(3, 3)], (3,))
        expected = {k: int((_patterns(chosen, box)[:, -1] == k).sum()) for k in range(3)}
    assert {k: one.count for k, one in found.items()} == expected
    assert all(one.exact for one in found.values())


def test_definition_of_labels_is_that_asked_for() -> None:
    network, box = six_definitions(), Box([-1, -1], [1, 1])
    two = Network.chain([*(node.layer for node in network.nodes), Affine(np.array([[1.0], [-1.0]]), np.zeros(2))], (2,))
    activation, affine = (count_by_label(two, box, definition=d) for d in ("activation", "affine"))
    assert [affine[k].definition for k in (0, 1)] == [Definition.AFFINE] * 2
    assert all(affine[k].count <= activation[k].count for k in (0, 1))


def test_affine_maps_of_a_label_are_those_of_all_outputs() -> None:
    # output 0 is 10 and the largest; output 1 bends at 0
    first, last = Affine(np.eye(1), np.zeros(1)), Affine(np.array([[0.0], [1.0]]), np.array([10.0, 0.0]))
    network = Network.chain([first, relu, last], (1,))
    assert count(network, Box([-1], [1]), definition="affine", label=0).count == 2


def test_network_without_units_has_one_region() -> None:
    network = Network.chain([Affine(np.eye(3), np.zeros(3))], (3,))
    for domain in (Box([0] * 3, [1] * 3), Space(3)):
        for method in ("auto", "cells", "probe"):
            found = count(network, domain, method=method)
            assert (found.lower, found.count, found.upper, found.units) == (1, 1, 1, 0)


def test_flat_box_of_two_inputs_is_counted_by_cells() -> None:
    network = random_network((2, 6), 0)
    found = count(network, Box([-2, 0.25], [2, 0.25]))
    assert found.method is Counting.CELLS
    slice_ = Network.chain(
        [Affine(np.array([[1.0], [0.0]]), np.array([0.0, 0.25])), *(node.layer for node in network.nodes)], (1,)
    )
    assert found.count == count(slice_, Box([-2], [2]), method="line").count > 1


@pytest.mark.parametrize("definition", ["activation", "patterns", "affine"])
def test_label_of_an_affine_network_is_bounded_when_the_time_is_over(definition: str) -> None:
    network = Network.chain([Affine(np.eye(2), np.zeros(2))], (2,))
    found = count(network, Box([-1, -1], [1, 1]), label=0, definition=definition, time_limit=0.0)
    assert (found.complete, found.lower, found.upper) == (False, 0, 1)
    assert count(network, Box([-1, -1], [1, 1]), label=0, definition=definition).exact
