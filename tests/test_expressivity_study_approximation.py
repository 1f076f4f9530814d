"""Study 8 at a small size: what was published of uniform approximation is seen, with the numbers of the formulas."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.expressivity.approximation import Settings, least_error, study
from benchmarks.expressivity.finding import Finding
from benchmarks.expressivity.polynomials import interpolant, product, rounded, shallow_product, twice
from reludsl.domain import Box
from reludsl.expressivity import sup_distance
from reludsl.networks import random_network, square

SMALL = Settings(square=(1, 6), fourth=(1, 2), product=(1, 2), sizes=(2, 6, 6), networks=2, bits=(2, 6, 10))


@pytest.fixture(scope="module")
def finding() -> Finding:
    return study(SMALL, seed=1)


def test_study_of_approximation_sees_all_that_was_published(finding: Finding) -> None:
    assert [one.seen for one in finding.observations] == [True] * 5, finding.sentence
    assert json.loads(json.dumps(finding.as_json()))["study"] == "approximation"


def test_depth_and_width_have_their_errors(finding: Finding) -> None:
    for fit in finding.numbers["square"]:
        m = fit["m"]
        assert (fit["lower"], fit["units"], fit["layers"], fit["pieces"]) == (4.0 ** -(m + 1), 3 * m, m, 2**m)
    for fit in finding.numbers["square, one hidden layer"]:
        n = fit["units"]
        assert fit["lower"] == pytest.approx(1 / (8 * n * n), rel=1e-9)
        assert fit["lower"] > least_error(n)
    for fit in finding.numbers["fourth"]:
        assert 4.0 ** -(fit["m"] + 1) < fit["lower"] <= fit["upper"] <= 3 * 4.0 ** -(fit["m"] + 1) + 1e-11


def test_rounding_hurts_less_with_more_bits_and_compression_not_at_all(finding: Finding) -> None:
    means = [float(np.mean(finding.numbers["rounding"][str(bits)])) for bits in SMALL.bits]
    assert means[0] > 4 * means[1] > 16 * means[2] > 0
    for one in finding.numbers["compression"]:
        assert one["proved"]
        assert one["upper"] < 1e-11


@pytest.mark.parametrize("m", [1, 2, 3])
def test_products_are_built_of_squares(m: int) -> None:
    network, n = product(m), 2 * m + 1
    assert (network.neurons, shallow_product(n).neurons) == (3 + 6 * m, 3 * n)
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert network(corners).ravel().tolist() == [0.0, 0.0, 0.0, 1.0]
    x = np.random.default_rng(m).random((200, 2))
    mean, half = 0.5 * (x[:, :1] + x[:, 1:]), 0.5 * np.abs(x[:, :1] - x[:, 1:])
    assert network(x) == pytest.approx(square(m)(mean) - square(m)(half), abs=1e-14)
    assert shallow_product(n)(x) == pytest.approx(interpolant(n)(mean) - interpolant(n)(half), abs=1e-14)
    assert twice(square(m))(x[:, :1]) == pytest.approx(square(m)(square(m)(x[:, :1])), abs=1e-14)


def test_rounded_copy_with_enough_bits_is_the_network() -> None:
    network, box = random_network((2, 4), 0, outputs=1), Box([-1, -1], [1, 1])
    found = sup_distance(network, rounded(network, 60), box)
    assert (found.lower, found.upper < 1e-13) == (0.0, True)
