"""Everything that counts or cuts takes what the rest of the library takes for a domain."""

from __future__ import annotations

import numpy as np
import pytest

import reludsl as rd
from reludsl import regions
from reludsl.networks import general_position, random_network
from reludsl.regions import Definition

NET = general_position(4, 2)
INPUT = rd.box(0, 1, (2,))
BOX = rd.Box([0, 0], [1, 1])


@pytest.mark.parametrize("method", ["auto", "plane", "cells", "one-tree", "probe", "xor"])
def test_count_takes_an_input_and_counts_on_its_domain(method: str) -> None:
    found, expected = (regions.count(NET, where, method=method) for where in (INPUT, BOX))
    assert (found.lower, found.count, found.upper) == (expected.lower, expected.count, expected.upper)


def test_other_verbs_take_an_input() -> None:
    assert sum(map(len, regions.enumerate(NET, INPUT))) == 11
    assert regions.plane(NET, INPUT).faces == regions.count_plane(NET, INPUT).count == 11
    assert sum(part.faces for part in regions.plane_parts(NET, INPUT)) == 11
    assert len(regions.find_patterns(NET, INPUT)) == 11
    assert regions.bounds(NET, domain=INPUT).upper == regions.bounds(NET, domain=BOX).upper


def test_what_is_no_domain_is_refused_in_words() -> None:
    for ask in (regions.count, regions.enumerate, regions.plane):
        with pytest.raises(rd.ReludslError, match=r"list is no domain; give Box"):
            ask(NET, [0, 1])  # type: ignore[arg-type]


def test_plane_of_a_ball_is_refused_because_its_sides_are_rounded() -> None:
    with pytest.raises(rd.ReludslError, match="give a box"):
        regions.plane(NET, rd.ball([0.5, 0.5], 0.25))


def test_enumerate_says_whether_that_was_all() -> None:
    net = random_network((6, 14, 14), 0)
    listed = regions.enumerate(net, rd.Box.full(-1, 1, (6,)), time_limit=0.0)
    assert list(listed) == []
    assert not listed.complete
    assert "time limit" in listed.note
    whole = regions.enumerate(NET, BOX)
    assert sum(map(len, whole)) == sum(map(len, whole)) == 11
    assert (whole.complete, whole.ambiguous, whole.note) == (True, 0, "")


@pytest.mark.parametrize("definition", [Definition.AFFINE, Definition.CONNECTED])
def test_enumerate_of_unions_is_refused_at_once(definition: Definition) -> None:
    with pytest.raises(rd.ReludslError, match="unions of activation regions"):
        regions.enumerate(NET, BOX, definition=definition)


@pytest.mark.parametrize("definition", ["activation", "patterns", "affine"])
def test_upper_bound_of_a_count_that_did_not_end_covers_the_truth(definition: str) -> None:
    net = random_network((3, 4, 3), 2, outputs=1)
    truth = regions.count(net, rd.Space(3), definition=definition)
    cut_off = regions.count(net, rd.Space(3), definition=definition, time_limit=0.0)
    assert not cut_off.complete
    assert cut_off.lower <= truth.count <= cut_off.upper
    assert truth.exact


def test_upper_bound_of_a_label_is_at_most_that_of_all() -> None:
    net = random_network((3, 4, 3), 2, outputs=2)
    box = rd.Box.full(-1, 1, (3,))
    every, own = (regions.count(net, box, time_limit=0.0, label=label).upper for label in (None, 1))
    assert np.equal(every, own)
