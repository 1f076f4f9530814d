"""Region bounds by widths: the values of the papers, each formula against another way to the same number, and laws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import pytest
from exact_cells import cells, chain, cube
from hypothesis import given
from hypothesis import strategies as st

from reludsl.errors import InvalidInput
from reludsl.regions.bounds import (
    bounds,
    by_depth,
    deletion_histogram,
    hanin_rolnick,
    hinz_van_de_geer,
    maxout,
    montufar_2014_lower,
    montufar_2017,
    raghu,
    serra_2018,
    serra_2018_lower,
    serra_2018_lower_arora,
    two_to_n,
    zaslavsky,
    zaslavsky_families,
    zaslavsky_histogram,
)

SIZES = st.lists(st.integers(1, 7), min_size=1, max_size=4)
INPUTS = st.integers(1, 6)

# inputs, widths: 2^N, Montufar 2017, Serra 2018, lower Montufar 2014, lower Serra 2018, shallow
PUBLISHED = [
    (2, [4], 16, 11, 11, 11, None, 11),
    (2, [3, 3], 64, 49, 40, 7, None, 22),
    (2, [4, 4], 256, 121, 121, 44, None, 37),
    (2, [2, 2, 2], 64, 64, 30, 4, None, 22),
    (1, [3, 3, 3], 512, 64, 64, 36, 64, 10),
    (1, [2, 1], 8, 6, 6, 4, None, 4),
    (1, [1, 1], 4, 4, 3, 2, None, 3),
    (2, [1, 1], 4, 4, 3, None, None, 4),
    (2, [1, 5], 64, 12, 7, None, None, 22),
    (2, [5, 1], 64, 32, 32, None, None, 22),
    (2, [6, 6], 4096, 484, 484, 198, 352, 79),
    (2, [6, 6, 6], 262144, 10648, 10648, 1782, 5632, 172),
    (3, [4, 4], 256, 225, 161, 15, None, 93),
    (4, [2, 3], 32, 28, 16, None, None, 31),
    (10, [3, 3], 64, 64, 42, None, None, 64),
    (3, [2, 8], 1024, 148, 56, None, None, 176),
    (3, [8, 2], 1024, 372, 372, None, None, 176),
]


@pytest.mark.parametrize(("inputs", "widths", "all_", "montufar", "serra", "low14", "low18", "shallow"), PUBLISHED)
def test_bounds_of_widths_are_those_of_the_papers(
    inputs: int,
    widths: list[int],
    all_: int,
    montufar: int,
    serra: int,
    low14: int | None,
    low18: int | None,
    shallow: int,
) -> None:
    found = bounds(inputs, widths)
    assert (found.two_to_n, found.montufar_2017, found.serra_2018) == (all_, montufar, serra)
    assert (found.montufar_2014_lower, found.serra_2018_lower) == (low14, low18)
    assert found.zaslavsky_shallow == shallow
    assert found.hinz_van_de_geer == serra
    for name in ("montufar_2014_lower", "serra_2018_lower"):
        assert (name in found.notes) == (found.values[name] is None)
    assert found.serra_2018_rank is found.activation_based is found.cai_rank is None
    assert "weights" in found.notes["serra_2018_rank"]


# 784 inputs, 22 hidden units and 10 outputs that count as units
STUDY = [
    ([1, 21, 10], 243, 484),
    ([4, 18, 10], 2316709, 25000448),
    ([7, 15, 10], 171071287, 2030043136),
    ([11, 11, 10], 1690286436, 4294967296),
    ([15, 7, 10], 1312054984, 4060086272),
    ([18, 4, 10], 385283875, 1619001344),
    ([21, 1, 10], 25165813, 46137344),
]


@pytest.mark.parametrize(("widths", "serra", "montufar"), STUDY)
def test_bounds_of_the_study_of_22_units_with_its_outputs(widths: list[int], serra: int, montufar: int) -> None:
    assert (serra_2018(784, widths), montufar_2017(784, widths)) == (serra, montufar)


@pytest.mark.parametrize(
    ("widths", "serra"),
    [
        ([1, 21], 23), ([4, 18], 9109), ([7, 15], 280600), ([11, 11], 2449868), ([15, 7], 4084248),
        ([18, 4], 4192510), ([21, 1], 4194303),
    ],
)  # fmt: skip
def test_bounds_of_the_study_of_22_units_without_outputs(widths: list[int], serra: int) -> None:
    found = bounds(784, widths)
    assert (found.serra_2018, found.zaslavsky_shallow, found.two_to_n) == (serra, 4194304, 4194304)


@pytest.mark.parametrize(
    ("inputs", "values"),
    [
        (1, [61, 961, 9261, 65536, 371293, 1771561]),
        (2, [1831, 217156, 9393931, 214358881, 3077056399, 30840979456]),
        (3, [36051, 20484676, 2465846551, 110075314176, 2389769101499, 29721861554176]),
        (5, [5985198, 30428266969, 10218313000000, 597466897514496, 10034966220390176, 67441011031941184]),
    ],
)
def test_bound_against_depth_of_60_units(inputs: int, values: list[int]) -> None:
    found = by_depth(inputs, 60, range(1, 7))
    assert [at.value for at in found] == values
    assert [at.depth for at in found] == list(range(1, 7))
    assert all(at.widths == (60 // at.depth,) * at.depth for at in found)


def test_bound_against_depth_takes_any_bound_and_units_that_do_not_divide() -> None:
    found = by_depth(2, 5, [1, 2], bound=montufar_2017)
    assert [(at.widths, at.value) for at in found] == [((5,), 16), ((3, 2), 28)]
    with pytest.raises(InvalidInput, match="5 units do not fill 6 layers"):
        by_depth(2, 5, [6])


def test_many_inputs_make_one_layer_the_best_and_few_a_deep_network() -> None:
    best = {n: max(by_depth(n, 60, range(1, 7)), key=lambda at: at.value).depth for n in (1, 60)}
    assert best == {1: 6, 60: 1}


@pytest.mark.parametrize(
    ("inputs", "widths", "rank", "value"), [(2, [3], 3, 46), (2, [3, 3], 2, 49), (2, [2, 2], 3, 484)]
)
def test_maxout_bound_is_that_of_the_paper(inputs: int, widths: list[int], rank: int, value: int) -> None:
    assert maxout(inputs, widths, rank) == value


def test_maxout_of_rank_two_is_what_units_of_one_break_are() -> None:
    assert all(maxout(n, [4, 3], 2) == montufar_2017(n, [4, 3]) for n in range(1, 6))
    with pytest.raises(InvalidInput, match="rank 0"):
        maxout(2, [3], 0)


def _summed(inputs: int, widths: Sequence[int], ranks: Sequence[int]) -> int:
    """Theorem 1 as it is printed: the sum over all of J."""
    total = 0
    for inactive in itertools.product(*(range(n + 1) for n in widths)):
        left, inside = inputs, True
        for n, j, r in zip(widths, inactive, ranks):
            inside &= j <= min(left, r)
            left = min(left, n - j)
        total += inside * math.prod(math.comb(n, j) for n, j in zip(widths, inactive))
    return total


@given(INPUTS, st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=4))
def test_recursion_is_the_sum_over_all_inactive_counts(inputs: int, layers: list[tuple[int, int]]) -> None:
    widths, ranks = [n for n, _ in layers], [min(n, r) for n, r in layers]
    assert serra_2018(inputs, widths) == _summed(inputs, widths, widths)
    assert serra_2018(inputs, widths, ranks) == _summed(inputs, widths, ranks)


@given(INPUTS, SIZES)
def test_bounds_keep_their_order(inputs: int, widths: list[int]) -> None:
    found = bounds(inputs, widths)
    upper = [found.histogram_sharpened, found.serra_2018, found.montufar_2017, found.raghu, found.two_to_n]
    assert all(a is not None and b is not None and a <= b for a, b in itertools.pairwise(upper[:3]))
    assert found.montufar_2017 is not None
    assert found.montufar_2017 <= min(x for x in upper[3:] if x is not None)
    assert found.upper == found.histogram_sharpened
    for low in (found.montufar_2014_lower, found.serra_2018_lower, found.serra_2018_lower_arora):
        assert low is None or low <= found.upper
    if len(widths) == 1:
        assert found.zaslavsky_shallow == found.serra_2018 == found.histogram_sharpened


@given(INPUTS, SIZES, st.data())
def test_upper_bounds_grow_with_every_width_and_with_the_inputs(
    inputs: int, widths: list[int], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(widths) - 1))
    wider = [n + (k == at) for k, n in enumerate(widths)]
    for bound in (serra_2018, montufar_2017, raghu, partial(hinz_van_de_geer, gamma=deletion_histogram)):
        assert bound(inputs, widths) <= bound(inputs, wider)
        assert bound(inputs, widths) <= bound(inputs + 1, widths)


@given(INPUTS, SIZES, st.data())
def test_rank_aware_bound_grows_with_the_ranks_up_to_the_plain_one(
    inputs: int, widths: list[int], data: st.DataObject
) -> None:
    ranks = [data.draw(st.integers(0, n)) for n in widths]
    more = [min(n, r + 1) for n, r in zip(widths, ranks)]
    assert serra_2018(inputs, widths, ranks) <= serra_2018(inputs, widths, more) <= serra_2018(inputs, widths)


def test_layer_of_rank_zero_cuts_nothing() -> None:
    assert serra_2018(3, [4, 4], [0, 4]) == zaslavsky(4, 3)
    with pytest.raises(InvalidInput, match="one rank per layer"):
        serra_2018(3, [4, 4], [1])


# --- histograms ------------------------------------------------------------------------------------------------


@cache
def _deleted(dimension: int, width: int, inactive: int) -> int:
    """The recursion that `deletion_histogram` solves."""
    if dimension == 0 or width == 0 or inactive == 0:
        return 1
    if dimension == 1:
        return min(2 * inactive + 1, width + 1)
    return _deleted(dimension, width - 1, inactive) + _deleted(dimension - 1, width - 1, inactive - 1)


@given(st.integers(0, 9), st.integers(1, 9))
def test_deletion_histogram_solves_its_recursion_and_is_below_that_of_zaslavsky(dimension: int, width: int) -> None:
    sharp, plain = deletion_histogram(dimension, width), zaslavsky_histogram(dimension, width)
    assert len(sharp) == len(plain) == width + 1
    for m in range(width + 1):
        # m inactive units or fewer, which is from the top
        assert sum(sharp[width - m :]) == _deleted(dimension, width, m) <= sum(plain[width - m :])
        assert sum(sharp[width - m :]) <= sum(deletion_histogram(dimension + 1, width)[width - m :])
    assert sum(sharp) == sum(plain) == zaslavsky(width, dimension)


def test_deletion_histogram_is_what_points_on_a_line_reach() -> None:
    # n points on a line, k of the units active on the right: the counts of active units from left to right
    for n in range(1, 8):
        counted = []
        for right in itertools.product([True, False], repeat=n):
            here = [n - sum(right) + sum(1 if r else -1 for r in right[:k]) for k in range(n + 1)]
            counted.append([sum(c >= n - m for c in here) for m in range(n + 1)])
        most = [max(column) for column in zip(*counted)]
        sharp = deletion_histogram(1, n)
        assert most == [sum(sharp[n - m :]) for m in range(n + 1)]


# --- networks that reach a bound -------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_network_of_width_three_on_the_line_reaches_the_upper_bound(depth: int) -> None:
    rows, shift = [6, 12, -9], -9.5
    weights: list[object] = [[[-1], [1], [1]]]
    biases: list[object] = [[1.5, 0, -0.5]]
    for _ in range(depth - 1):
        weights.append([[-r for r in rows], rows, rows])
        biases.append([1.5 - shift, shift, shift - 0.5])
    net = chain(weights, biases)
    assert cells(net, cube(net, 2.0**20)) == serra_2018(1, [3] * depth) == serra_2018_lower(1, [3] * depth) == 4**depth


def test_four_lines_in_general_position_reach_zaslavskys_sum() -> None:
    net = chain([[[1, 0], [0, 1], [1, 1], [1, -2]]], [[0, 0, -1, -3]])
    assert cells(net, cube(net, 100)) == zaslavsky(4, 2) == 11


def test_growth_rate_of_raghu_is_no_bound_without_its_constant() -> None:
    net = chain([[[1], [1]]], [[0, -1]])
    width, inputs, depth = 2, 1, 1
    assert cells(net, cube(net, 8)) == 3 == raghu(inputs, [width])
    assert width ** (inputs * depth) < 3


# --- arrangements and the rest -----------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 3), min_size=1, max_size=6), st.integers(1, 7))
def test_families_of_parallel_hyperplanes_are_sums_of_elementary_symmetric_polynomials(
    breaks: list[int], dimension: int
) -> None:
    subsets = itertools.chain.from_iterable(
        itertools.combinations(breaks, j) for j in range(min(dimension, len(breaks)) + 1)
    )
    found = zaslavsky_families(breaks, dimension)
    assert found == sum(math.prod(chosen) for chosen in subsets)
    # parallel hyperplanes cut less than general ones, and never into more than one part per pattern
    assert found <= min(zaslavsky(sum(breaks), dimension), two_to_n(k + 1 for k in breaks))


def test_expected_number_is_exact_and_counts_patterns_where_units_are_few() -> None:
    assert hanin_rolnick(2, 256, 1.0) == 256**2 // 2
    assert hanin_rolnick(3, 10, 0.5).as_integer_ratio() == (125, 6)
    assert hanin_rolnick(5, 4, 7.0) == 16
    assert bounds(3, [5, 5], transitions=0.5).hanin_rolnick == 21
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InvalidInput, match="give a positive number"):
            hanin_rolnick(2, 4, wrong)


@pytest.mark.parametrize(("inputs", "widths"), [(0, [3]), (2, []), (2, [3, 0]), (-1, [2]), (2, [2.5]), (2.5, [2])])
def test_sizes_that_are_none_are_refused(inputs: Any, widths: list[Any]) -> None:
    for bound in (bounds, serra_2018, montufar_2017, raghu, montufar_2014_lower, serra_2018_lower, hinz_van_de_geer):
        with pytest.raises(InvalidInput, match="every size is a whole number, at least 1"):
            bound(inputs, widths)
    with pytest.raises(InvalidInput, match="every size is a whole number, at least 1"):
        serra_2018_lower_arora(inputs, widths)


def test_wide_layers_are_bounded_in_exact_integers() -> None:
    found = bounds(3072, [4096, 4096, 4096])
    assert found.serra_2018 is not None
    assert found.montufar_2017 is not None
    assert found.serra_2018 < found.montufar_2017 < 2 ** (3 * 4096)
    assert found.hinz_van_de_geer is None
    assert "too large" in found.notes["hinz_van_de_geer"]
