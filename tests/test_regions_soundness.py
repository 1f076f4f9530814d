"""Counting by cells where rounding, underflow, flat domains and restrictions could make a proof wrong."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from reludsl import plugins
from reludsl.domain import Ball, Box, Domain, Space
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.layers import Affine, Layer, Max, hard_tanh, relu
from reludsl.network import Network
from reludsl.networks import random_network
from reludsl.regions import count
from reludsl.regions.cells import probes, processes
from reludsl.regions.cells.enumeration import Enumeration, Task
from reludsl.regions.cells.frame import Frame
from reludsl.regions.counting import stream
from reludsl.regions.edges import unit_count, unit_layers
from reludsl.testing import region_oracle


def chain(*layers: tuple[Sequence[Sequence[float]], Sequence[float]] | Layer) -> Network:
    """Affine layers as (weight, bias), others as they are."""
    made = [Affine(np.array(one[0]), np.array(one[1])) if isinstance(one, tuple) else one for one in layers]
    assert isinstance(made[0], Affine)
    return Network.chain(made, (made[0].weight.shape[1],))


def check(network: Network, domain: Domain | Space, exact: bool = True) -> None:
    """Every definition against the oracle: the numbers, and the patterns, each once."""
    space = None if isinstance(domain, Space) else domain
    truth = region_oracle.counts(network, space)
    for definition in ("activation", "patterns", "affine"):
        found = count(network, domain, method="cells", definition=definition)
        assert found.lower <= getattr(truth, definition) <= found.upper, definition
        assert found.exact or not exact
    for definition in ("activation", "patterns"):
        met = [tuple(p) for part in stream(network, domain, definition=definition) for p in part.patterns.tolist()]
        known = {r.pattern for r in region_oracle.regions(network, space, closed=definition == "patterns")}
        assert len(met) == len(set(met))
        assert set(met) <= known
        assert not exact or set(met) == known


# --- rounding of composed layers --------------------------------------------------------------------------------------

CANCELLING = ([[0.1], [0.3], [1.0]], [0.0, 0.0, 0.0])
"""3 c (0.1 x) - c (0.3 x) is 2.8e-17 c x, and 0 in floats."""


@pytest.mark.parametrize("c", [1e8, 1e9, 1e10])
def test_count_error_of_composed_layers_reaches_later_layers(c: float) -> None:
    # the first unit is about (1 + 2.8e-17 c) x > 0 and is computed as x; the second has its break between both
    middle = 1 + 0.5 * 2.7755575615628914e-17 * c
    check(chain(CANCELLING, ([[3 * c, -c, 1.0]], [0.0]), relu, ([[-1.0]], [middle]), relu), Box([0.5], [1.0]), False)


def test_count_units_that_are_alike_in_rounded_rows_only_are_told_apart() -> None:
    # both units are x + y in floats, and the first is (1 + 2.8e-7) x + y
    c = 1e10
    first = ([[0.1, 0.0], [0.3, 0.0], [1.0, 1.0]], [0.0, 0.0, 0.0])
    network = chain(first, ([[3 * c, -c, 1.0], [0.0, 0.0, 1.0]], [0.0, 0.0]), relu)
    assert region_oracle.counts(network, Box([-1, -1], [1, 1])).activation == 4
    check(network, Box([-1, -1], [1, 1]), False)


# --- underflow and overflow -------------------------------------------------------------------------------------------


def test_count_products_that_underflow_are_not_taken_for_zero() -> None:
    tiny = Box([-1e-200, -1e-200], [1e-200, 1e-200])
    first = ([[1e-200, 0.0], [0.0, 1e-200]], [0.0, 0.0])
    check(chain(first, relu), tiny)
    check(chain(first, relu, ([[1e250, 0.0], [0.0, 1e250]], [-3e-151, -4e-151]), relu), tiny)


def test_count_coordinate_of_subnormal_width_moves() -> None:
    check(chain(([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), relu), Box([0.0, 0.0], [5e-324, 1.0]))


@pytest.mark.parametrize("size", [1e160, 1e200])
def test_count_squares_of_coefficients_may_overflow(size: float) -> None:
    first = ([[size, size], [size, -size]], [0.0, 0.0])
    check(chain(first, relu, ([[1e80, -1e80], [1e80, 1e80]], [0.0, 1.0]), relu), Box([-1, -1], [1, 1]))


def test_count_numbers_that_a_solver_refuses_are_left_to_rationals() -> None:
    first = ([[1e100, 4e100, -5e100], [-2e100, 2.5e100, -4e100]], [0.0, 0.0])
    check(chain(first, relu, ([[1.0, -1.0], [1.0, -1.0 - 1e-12]], [0.0, 0.0]), relu), Box.full(-1, 1, (3,)))


def test_count_rationals_beyond_floats_leave_a_doubt() -> None:
    first = ([[1e200, 1e200, 1e200], [1e200, -1e200, 1e200]], [0.0, 0.0])
    last = ([[1e150, -1e150], [1e150, -1e150 * (1 + 1e-13)]], [0.0, 0.0])
    check(chain(first, relu, last, relu), Box.full(-1e-100, 1e-100, (3,)), False)


def test_count_values_that_overflow_are_refused() -> None:
    large = ([[1e200, 1e200], [1e200, -1e200]], [0.0, 0.0])
    with pytest.raises(InvalidInput, match="overflow"):
        count(chain(large, relu, large, relu), Box([-1, -1], [1, 1]), method="cells")


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.filterwarnings("error")
def test_count_values_that_overflow_on_a_line_or_in_a_plane_are_refused(inputs: int) -> None:
    large = ([[1e200] * inputs, [-1e200] * inputs], [0.0, 0.0])
    further = ([[1e200, 1e200], [1e200, -1e200]], [0.0, 0.0])
    for network, reach in ((chain(large, relu, further, relu), 1.0), (chain(large, relu), 1e308)):
        with pytest.raises(InvalidInput, match="overflow"):
            count(network, Box([-reach] * inputs, [reach] * inputs))


# --- flat coordinates -------------------------------------------------------------------------------------------------


def test_count_sign_of_a_unit_of_fixed_coordinates_is_not_that_of_its_rounded_value() -> None:
    # 3 x - fl(3 x) > 0 at the fixed x, and 0 in floats
    x = next(x for x in np.linspace(0.1, 0.9, 9).tolist() if 3 * Fraction(x) > Fraction(3 * x))
    first = ([[3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [-(3 * x), 0.0, 0.0])
    check(chain(first, relu, ([[1e17, 1.0, 1.0]], [-1e-3]), relu), Box([x, -1, -1], [x, 1, 1]))


def test_count_affine_maps_that_agree_on_a_flat_domain_are_one() -> None:
    # max(0, x) - max(0, x + y) is 0 where y = 0
    network = chain(([[1.0, 0.0], [1.0, 1.0]], [0.0, 0.0]), relu, ([[1.0, -1.0]], [0.0]))
    assert count(network, Box([-1, 0], [1, 0]), method="cells", definition="affine").count == 1
    check(network, Box([-1, 0], [1, 0]))


# --- balls ------------------------------------------------------------------------------------------------------------


def test_count_ball_is_not_widened_by_rounding() -> None:
    # 0.1 - 0.1 is 0, and no input is below
    ball = Ball(np.full(2, 0.1), 0.1)
    check(chain(([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), relu), ball)
    for found in stream(chain(([[1.0, 1.0]], [-0.2]), relu), ball):
        assert ball.contains(found.witnesses).all()


def test_count_ball_without_a_width_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no width"):
        Frame.of(chain(([[1.0, 0.0]], [0.0]), relu), Ball(np.full(2, 0.1), 0.0))
    with pytest.raises(InvalidInput, match="no width"):
        Frame.of(chain(([[1.0, 0.0]], [0.0]), relu), Ball(np.full(2, 0.5), 0.25, clip=([0.75, 0.0], [1.0, 1.0])))


# --- thin cells -------------------------------------------------------------------------------------------------------


def test_count_cells_thinner_than_rounding_are_met_once() -> None:
    first = ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, -1e-17, 0.0])
    check(chain(first, relu, ([[1.0, -1.0, 0.0]], [-3e-18]), relu), Box([-1, -1], [1, 1]))
    # all of the domain is thin
    check(chain(([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), relu), Box([-1e-200, -1e-200], [1e-200, 1e-200]))


@pytest.mark.parametrize("top", [[[1.0, 1.0], [1.0, -1.0], [1.0, 0.0]], [[-1.0, -0.875], [0.5, 1.0], [1.0, 0.25]]])
def test_count_thin_pieces_of_two_units_are_met_once(top: list[list[float]]) -> None:
    # the middle pieces are 1e-10 wide: where both are, one unit after the other is dealt with in rationals
    first = ([[1e9, -1e8], [-9e8, 2e8]], [0.0, 0.0])
    check(chain(first, hard_tanh(-0.1, 0.3)), Box([-1, -1], [1, 1]))
    last = (top, [0.0, 0.0, 0.0])
    check(chain(first, hard_tanh(-0.1, 0.3), last, Max(np.array([[0, 1, 2]]), 3, (1,))), Box([-1, -1], [1, 1]))


# --- restrictions -----------------------------------------------------------------------------------------------------


def test_count_label_keeps_to_it_in_what_rationals_find() -> None:
    # at x = 0, a pattern without an interior, the second output is the largest
    network = chain(([[1.0], [-1.0]], [0.0, 0.0]), relu, ([[1.0, 1.0], [0.0, 0.0]], [0.0, 1.0]))
    box = Box([-2.0], [2.0])
    labels = [count(network, box, method="cells", definition="patterns", label=k).count for k in (0, 1)]
    assert labels == [2, 3]


def test_count_pattern_keeps_to_it_in_what_rationals_find() -> None:
    network = chain(([[1.0], [-1.0]], [0.0, 0.0]), relu, ([[1.0, 1.0]], [-1.0]), relu)
    box = Box([-2.0], [2.0])
    for piece, number in ((0, 3), (1, 2)):
        found = count(network, box, method="cells", definition="patterns", pattern=[-1, -1, piece])
        assert (found.lower, found.upper) == (number, number)


@pytest.mark.parametrize("seed", range(6))
def test_count_pattern_cuts_cells_off_from_what_is_not_wanted(seed: int) -> None:
    network = random_network((2, 3, 3, 2), seed)
    box = Box([-3, -3], [3, 3])
    for definition in ("activation", "patterns"):
        known = [r.pattern for r in region_oracle.regions(network, box, closed=definition == "patterns")]
        for start in sorted({p[:4] for p in known}):
            for asked in (list(start), [-1, *start[1:2], -1, *start[3:]]):
                number = sum(all(a in (-1, b) for a, b in zip(asked, p)) for p in known)
                found = count(network, box, method="cells", definition=definition, pattern=asked)
                assert (found.lower, found.upper) == (number, number)


def test_count_affine_maps_of_a_label_are_those_of_all_outputs() -> None:
    network = chain(([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0]), relu, ([[0.0, 0.0], [0.0, 1.0]], [5.0, 0.0]))
    found = count(network, Box([-1, -1], [1, 1]), method="cells", definition="affine", label=0)
    assert (found.lower, found.upper) == (2, 2)


def test_count_probes_of_a_label_that_is_nowhere_promise_no_region() -> None:
    rng = np.random.default_rng(0)
    last = Affine(np.vstack([np.zeros(8), np.ones(8)]), np.array([-5.0, 0.0]))
    network = Network.chain([Affine(rng.normal(size=(8, 3)), rng.normal(size=8)), relu, last], (3,))
    found = count(network, Box.full(-1, 1, (3,)), method="probe", label=0)
    assert found.confidence is not None
    assert found.lower == 0


def test_count_probes_count_what_rationals_find() -> None:
    network = chain(([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.0, -1e-17, 0.0]), relu)
    found = count(network, Box([-1, -1], [1, 1]), method="probe")
    assert (found.lower, found.count, found.upper) == (6, 6, 6)


def test_probes_runs_sum_what_rationals_find(monkeypatch: pytest.MonkeyPatch) -> None:
    # with a front of one cell every path meets thin cells, each of which stands for as many as its path
    monkeypatch.setattr(probes, "FRONT", 1)
    network = chain(([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, -1e-17, 0.25, 0.5]), relu)
    exact = count(network, Box([-1, -1], [1, 1]), method="cells").count
    found = count(network, Box([-1, -1], [1, 1]), method="probe")
    assert found.standard_error is not None
    assert abs(found.count - exact) <= 4 * found.standard_error + 0.5


# --- several processes ------------------------------------------------------------------------------------------------


def test_processes_failure_of_a_helper_is_raised() -> None:
    def contradicted() -> None:
        raise SolverFailed("two proofs contradict each other")

    network = random_network((3, 4), seed=0)
    wanted = np.full(unit_count(unit_layers(network)), -1)
    said: list[object] = []
    task = Task(network, Box.full(-1, 1, (3,)), wanted, True, plugins.default(), 0)
    processes._reported(task, contradicted, said.append)
    assert [type(message) for message in said] == [SolverFailed]


def test_processes_out_of_time_before_there_are_jobs_say_so() -> None:
    work = Enumeration(
        Task(random_network((9, 30), seed=0), Box.full(-1, 1, (9,)), np.full(30, -1), True, plugins.default(), 0), 0.0
    )
    assert not list(processes.in_processes(work, 2))
    assert not work.complete
    assert work.note == "the time limit was reached"


@pytest.mark.slow
def test_processes_killed_helper_ends_the_count_with_a_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    hired = processes._hired

    def doomed() -> processes.Helper:
        helper = hired()
        threading.Timer(3.0, helper.process.kill).start()
        return helper

    monkeypatch.setattr(processes, "_hired", doomed)
    found = count(random_network((40, 14, 14), seed=1), Box.full(-1, 1, (40,)), method="cells", processes=2)
    assert not found.complete
    assert "died" in found.note
    assert found.lower < found.upper


@pytest.mark.slow
def test_processes_end_with_their_reader() -> None:
    code = """
from reludsl.domain import Box
from reludsl.networks import random_network
from reludsl.regions.counting import stream
if __name__ == "__main__":
    for found in stream(random_network((40, 14, 14), seed=1), Box.full(-1, 1, (40,)), processes=2):
        break
    print("left")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert ended.stdout.split() == ["left"]
