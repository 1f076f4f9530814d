"""Random parities: the table of MBound, GF(2), rows, and the confidence over many seeds on sets of known size."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from crooked import Altered
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from solvers import solver

from reludsl.backend import BoolArray, Result, Status
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.layers import Affine, Layer, PiecewiseLinear, relu
from reludsl.network import Network
from reludsl.networks import sawtooth
from reludsl.regions import Counting, Definition
from reludsl.regions.edges import patterns_at, unit_layers
from reludsl.regions.one_tree import one_tree
from reludsl.regions.parity import Elimination, Parities, parity_rows
from reludsl.regions.xor import Members, Rounds, binomial_tail, chernoff_tail, xor_rounds
from reludsl.regions.xor_bound import xor_bound
from reludsl.testing import EnumerationBackend
from reludsl.testing.clock import soonest, timed


@dataclass(frozen=True, eq=False)
class Listed:
    """A set of vectors that is written down."""

    vectors: BoolArray

    @property
    def bits(self) -> int:
        return int(self.vectors.shape[1])

    def member(self, parities: Parities, deadline: float | None) -> BoolArray | None:
        kept = np.flatnonzero(parities.kept(self.vectors).all(axis=1))
        return self.vectors[kept[0]] if kept.size else None


class Generous(Listed):
    """A search that says yes where it should say that its time was over."""

    def member(self, parities: Parities, deadline: float | None) -> BoolArray | None:
        found = super().member(parities, deadline)
        if found is not None:
            return found
        system = Elimination(self.bits)
        for subset, odd in zip(parities.subsets, parities.odd.tolist()):
            if not system.add(subset, odd):
                return None
        # some vector that satisfies them, member or not
        x = np.zeros(self.bits, dtype=np.bool_)
        for pivot, (_, side) in system.rows.items():
            x[pivot] = side
        return x


def drawn_set(bits: int, size: int, seed: int) -> BoolArray:
    """Distinct random vectors."""
    numbers = np.random.default_rng(seed).choice(2**bits, size, replace=False)
    return (numbers[:, None] >> np.arange(bits) & 1).astype(np.bool_)


def subspace(dimension: int, bits: int) -> BoolArray:
    """2^dimension vectors: every bit beyond the first `dimension` is a parity of some of those."""
    rng = np.random.default_rng(5)
    basis = np.hstack([np.eye(dimension), rng.integers(0, 2, (dimension, bits - dimension))]).astype(np.uint8)
    words = np.array(list(itertools.product((0, 1), repeat=dimension)), dtype=np.uint8)
    return (words @ basis & 1).astype(np.bool_)


def sawtooth_patterns(n: int) -> BoolArray:
    """The 2^n patterns of the n-fold mirror map on [0, 1], with 2 units in each of n layers."""
    network = sawtooth(n, merged=True)
    middles = ((np.arange(2**n) + 0.5) / 2**n)[:, None]
    return np.asarray(patterns_at(unit_layers(network), network, network.values(middles)) == 1)


# --- probabilities ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounds", "kept", "alpha", "chernoff", "exact"),
    [
        (10, 10, 1, 9.77e-4, 9.77e-4),
        (20, 20, 1, 9.54e-7, 9.54e-7),
        (20, 18, 2, 4.29e-5, 1.61e-9),
        (50, 40, 2, 5.46e-9, 5.20e-16),
        (50, 30, 1, 0.625, 0.101),
        (100, 60, 3, 5.68e-21, 4.74e-29),
    ],
)
def test_failure_probability_is_that_of_the_table(
    rounds: int, kept: int, alpha: float, chernoff: float, exact: float
) -> None:
    assert binomial_tail(rounds, kept, alpha) == pytest.approx(exact, rel=5e-3)
    assert chernoff_tail(rounds, kept, alpha) == pytest.approx(chernoff, rel=5e-3)


@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0]))
def test_binomial_tail_is_the_exact_one_and_below_chernoff(rounds: int, kept: int, alpha: float) -> None:
    kept = min(kept, rounds)
    tail = binomial_tail(rounds, kept, alpha)
    assert tail == pytest.approx(float(stats.binom.sf(kept - 1, rounds, 2.0**-alpha)), rel=1e-6)
    assert tail <= chernoff_tail(rounds, kept, alpha) * (1 + 1e-6)


def test_lower_bound_adds_up_the_failures_of_every_j() -> None:
    # 20 of 20 at j = 5 fail with 9.5e-7 each: enough for 1 - 1e-5 over 10 bits, not for 1 - 9e-6
    kept = np.array([20] * 6 + [0] * 5)
    found = Rounds(kept, 20, np.zeros((0, 10), dtype=np.bool_), 0)
    assert found.lower(1 - 1.0e-5) == 16
    assert found.lower(1 - 9.0e-6) == 0
    assert found.lower(0.99, alpha=3) == 4


@pytest.mark.parametrize(("confidence", "alpha"), [(1.0, 1.0), (0.0, 1.0), (0.9, 0.0)])
def test_confidence_that_cannot_be_given_is_refused(confidence: float, alpha: float) -> None:
    with pytest.raises(InvalidInput):
        Rounds(np.array([1, 1]), 1, np.zeros((0, 1), dtype=np.bool_), 0).lower(confidence, alpha)


# --- parities --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 8))
def test_elimination_knows_what_all_vectors_say(seed: int, bits: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = Parities.draw(rng, count, bits, int(rng.integers(1, bits + 1)))
    every = np.array(list(itertools.product((False, True), repeat=bits)))
    left = np.logical_and.accumulate(drawn.kept(every), axis=1)
    system = Elimination(bits)
    for k, (subset, odd) in enumerate(zip(drawn.subsets, drawn.odd.tolist())):
        consistent = system.add(subset, odd)
        assert consistent == left[:, k].any()
        if not consistent:
            return
        where, value = system.fixed()
        rest = every[left[:, k]]
        constant = np.flatnonzero((rest == rest[0]).all(axis=0))
        assert where.tolist() == constant.tolist()
        assert value.tolist() == rest[0, constant].tolist()


@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from([1, 3, 5]))
def test_rows_hold_for_the_vectors_that_satisfy_the_parities(seed: int, bits: int, small: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = Parities.draw(rng, 2, bits, int(rng.integers(1, bits + 1)))
    rows = parity_rows(drawn, small)
    wholes = [np.array(q) for q in itertools.product(*(range(int(m) + 1) for m in rows.most))]
    for z in itertools.product((False, True), repeat=bits):
        x = np.array(z, dtype=np.float64)
        activities = [rows.bits @ x + rows.halves @ q for q in wholes]
        allowed = any(((a >= rows.lower) & (a <= rows.upper)).all() for a in activities)
        assert allowed == drawn.kept(np.array([z]))[0].all()


def test_parity_of_more_bits_than_there_are_is_refused() -> None:
    with pytest.raises(InvalidInput, match="between 1 and 3"):
        Parities.draw(np.random.default_rng(0), 1, 3, 4)


# --- sets of known size ----------------------------------------------------------------------------------------------

SETS = {
    "sawtooth": sawtooth_patterns(7),
    "drawn": drawn_set(14, 300, 1),
    "subspace": subspace(6, 12),
    "one": np.ones((1, 8), dtype=np.bool_),
}
SEEDS, CONFIDENCE = 200, 0.8


def failures(members: Members, truth: int, size: int, alpha: float, seeds: int = SEEDS, rounds: int = 8) -> int:
    """How many seeds give a bound that is wrong."""
    return sum(xor_rounds(members, rounds, size, seed).lower(CONFIDENCE, alpha) > truth for seed in range(seeds))


def test_sawtooth_has_as_many_patterns_as_it_should() -> None:
    assert len(np.unique(SETS["sawtooth"], axis=0)) == 2**7


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("size", "alpha"), [(2, 1.0), (5, 1.0), (5, 0.99)])
def test_stated_confidence_holds_over_many_seeds(name: str, size: int, alpha: float) -> None:
    # as many failures as the confidence allows, and some more as chance has it once in a thousand times
    allowed = stats.binom.ppf(0.999, SEEDS, 1 - CONFIDENCE)
    assert failures(Listed(SETS[name]), len(SETS[name]), size, alpha) <= allowed


@pytest.mark.parametrize("name", ["drawn", "one"])
def test_counting_what_was_not_found_breaks_the_confidence(name: str) -> None:
    allowed = stats.binom.ppf(0.999, SEEDS, 1 - CONFIDENCE)
    assert failures(Generous(SETS[name]), len(SETS[name]), 5, 1.0) > allowed


def test_leaving_out_alpha_breaks_the_confidence(monkeypatch: pytest.MonkeyPatch) -> None:
    def bold(found: Rounds, confidence: float, alpha: float) -> int:
        # 2^j for 2^(j - alpha), at the j of the largest number of rounds
        return int(2 ** np.flatnonzero(found.kept > 0).max(initial=0))

    monkeypatch.setattr(Rounds, "lower", bold)
    allowed = stats.binom.ppf(0.999, SEEDS, 1 - CONFIDENCE)
    assert failures(Listed(SETS["drawn"]), len(SETS["drawn"]), 5, 1.0) > allowed


def test_bound_is_of_use_on_large_sets() -> None:
    # within a factor of 16 of the truth, with 20 rounds and 0.99
    found = [xor_rounds(Listed(SETS["drawn"]), 20, 7, seed) for seed in range(20)]
    assert min(f.lower(0.99) for f in found) >= 300 / 16
    assert 150 <= np.median([f.estimate for f in found]) <= 600


def test_known_members_spare_searches_and_change_nothing() -> None:
    vectors = SETS["drawn"]
    cold, warm = xor_rounds(Listed(vectors), 10, 5, 3), xor_rounds(Listed(vectors), 10, 5, 3, known=vectors)
    assert (cold.kept == warm.kept).all()
    assert warm.asked < cold.asked
    assert len(cold.members) < len(warm.members) == 300


def test_empty_set_has_no_lower_bound() -> None:
    found = xor_rounds(Listed(np.zeros((0, 5), dtype=np.bool_)), 10, 2)
    assert (found.lower(0.9), found.estimate, found.kept.tolist()) == (0, 0.0, [0] * 6)


def test_rounds_that_time_does_not_allow_have_kept_nothing() -> None:
    found = xor_rounds(Listed(SETS["drawn"]), 10, 5, deadline=0.0)
    assert found.kept.tolist() == [0] * 15
    assert "10 of 10 rounds" in found.note
    assert found.lower(0.9) == 0


def test_interrupted_rounds_have_kept_nothing() -> None:
    calls = itertools.count()

    class Interrupted(Listed):
        def member(self, parities: Parities, deadline: float | None) -> BoolArray | None:
            if next(calls) >= 15:
                raise KeyboardInterrupt
            return super().member(parities, deadline)

    found = xor_rounds(Interrupted(SETS["drawn"]), 20, 5)
    assert 0 < found.kept[0] < 20 == found.rounds
    assert "interrupted" in found.note


# --- networks --------------------------------------------------------------------------------------------------------


def rough_network(seed: int, sizes: tuple[int, ...], activation: PiecewiseLinear = relu) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for k, n in itertools.pairwise(sizes):
        layers += [Affine(rng.normal(size=(n, k)), 0.3 * rng.normal(size=n)), activation]
    return Network.chain(layers, (sizes[0],))


@pytest.mark.parametrize("name", ["highs", "cbc", "scip", "cvxpy", "enumeration"])
def test_bound_of_a_network_is_below_its_count(name: str) -> None:
    backend = EnumerationBackend() if name == "enumeration" else solver(name)
    network, domain = rough_network(2, (2, 3, 2)), Box([-1.0, -1.0], [1.0, 1.0])
    exact = one_tree(network, domain, Definition.PATTERNS, "highs")
    found = xor_bound(network, domain, Definition.PATTERNS, backend, rounds=3, size=2, samples=0)
    assert exact.complete
    assert 1 <= found.lower <= exact.count <= found.upper
    assert found.method is Counting.XOR
    assert found.work["solves"] >= 3


def test_parities_of_many_bits_have_columns_of_their_own() -> None:
    network, domain = rough_network(3, (3, 5, 4)), Box(-np.ones(3), np.ones(3))
    exact = one_tree(network, domain, backend="highs")
    found = xor_bound(network, domain, backend="highs", rounds=6, size=6, samples=0)
    assert 1 <= found.lower <= exact.count
    assert found.work["patterns met"] > 1


def test_bound_of_more_patterns_than_are_met_has_its_confidence() -> None:
    network, domain = rough_network(0, (6, 7, 4)), Box(-np.ones(6), np.ones(6))
    found = xor_bound(network, domain, backend="highs", rounds=12, size=2, samples=0, confidence=0.9, alpha=1.0)
    assert found.confidence in (0.9, None)
    assert found.lower >= 8
    assert found.lower <= found.count <= found.upper


def test_activations_with_three_pieces_have_one_bit_for_each() -> None:
    network = rough_network(1, (2, 2, 2), PiecewiseLinear("hard_tanh", (-1, 1), (0, 1, 0)))
    domain = Box([-3.0, -3.0], [3.0, 3.0])
    exact = one_tree(network, domain, backend="highs")
    found = xor_bound(network, domain, backend="highs", rounds=4, size=3, samples=0)
    assert 1 <= found.lower <= exact.count


def test_solve_without_a_pattern_counts_as_infeasible() -> None:
    # HiGHS whose time is always over, with a point in its hands and without
    pointless = Altered(solver("highs"), lambda result: Result(Status.LIMIT))
    late = Altered(solver("highs"), lambda result: Result(Status.LIMIT, result.x))
    network, domain = rough_network(2, (2, 3, 2)), Box([-1.0, -1.0], [1.0, 1.0])
    found = xor_bound(network, domain, backend=pointless, rounds=4, size=2, samples=0)
    assert (found.lower, found.confidence) == (0, None)
    assert "4 solves ended without a pattern" in found.note
    assert xor_bound(network, domain, backend=late, rounds=4, size=2, samples=0).lower > 0


def test_claimed_pattern_that_no_input_has_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from reludsl.regions.presence import Judge, Presence, Shown, Verdict

    def blind(judge: Judge, points: np.ndarray) -> Shown:
        none = np.zeros((0, 5), dtype=np.int64)
        return Shown(none, np.zeros(0, dtype=np.bool_), np.zeros(0), np.zeros((0, 2)))

    monkeypatch.setattr(Judge, "shown", blind)
    monkeypatch.setattr(Judge, "decide", lambda *_: Verdict(Presence.OPEN))
    network, domain = rough_network(2, (2, 3, 2)), Box([-1.0, -1.0], [1.0, 1.0])
    found = xor_bound(network, domain, backend="highs", rounds=3, size=2, samples=0)
    assert (found.lower, found.count) == (0, 0)


def test_time_limit_of_the_bound_is_kept() -> None:
    network, domain = rough_network(0, (6, 12, 12)), Box(-np.ones(6), np.ones(6))
    took = soonest(
        lambda: timed(lambda: xor_bound(network, domain, backend="highs", rounds=50, samples=0, time_limit=1.0)), 4.0
    )
    found = took.result
    assert took.seconds <= 4.0
    assert not found.complete
    assert "rounds count as having kept nothing" in found.note


def test_network_without_open_units_has_one_pattern() -> None:
    network = Network.chain([Affine(np.eye(2), np.full(2, 5.0)), relu], (2,))
    found = xor_bound(network, Box([-1.0, -1.0], [1.0, 1.0]), backend="highs")
    assert (found.lower, found.count, found.upper, found.exact) == (1, 1, 1, True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_confidence_of_networks_holds(seed: int) -> None:
    network, domain = rough_network(seed, (4, 5, 4)), Box(-np.ones(4), np.ones(4))
    exact = one_tree(network, domain, backend="scip")
    found = xor_bound(network, domain, backend="highs", rounds=20, size=3, samples=0, confidence=0.999, seed=seed)
    assert found.lower <= exact.count
