"""What the code released with the published compression gets wrong (Serra et al. 2020, 2021), test by test.

The items of the compression, with the tests elsewhere that cover them:

* stable neurons read off training data: here; wrong facts of any kind in `test_rewrite.py`
  (`test_unstable_neuron_declared_inactive_comes_out_unproved`);
* the output layer among the candidates: here;
* no folding, no collapse, ranks by a default tolerance: `test_rewrite.py` (`test_fold_of_a_stable_stage_...`,
  `test_fold_follows_its_policy`, `test_collapse_to_a_constant_...`); the ranks here;
* no check that the outputs are the same, float32 rounding after a merge: here;
* a fold that makes a network larger, the last unit of a layer, constant networks, indices when inactive and dependent
  units go together, a badly chosen basis: here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reludsl.bounds import crown
from reludsl.compress import compress
from reludsl.domain import Box
from reludsl.exact import exactly
from reludsl.io import read, write_onnx
from reludsl.layers import Affine, relu
from reludsl.network import Network
from reludsl.rewrite import Knowledge, Merge, NeuronMap, output_difference
from reludsl.rewrite.merge import affine_rows, candidates, combination
from reludsl.stability import stable


def chain(*layers: tuple[Any, Any]) -> Network:
    made: list[Any] = []
    for weight, bias in layers:
        made += [Affine(np.array(weight, dtype=np.float64), np.array(bias, dtype=np.float64)), relu]
    return Network.chain(made[:-1], (made[0].weight.shape[1],))


def unit_box(size: int) -> Box:
    return Box.full(-1.0, 1.0, (size,))


# --- stable neurons read off training data (4.4, item 2) -----------------------------------------------------------


def test_neuron_that_no_sample_switches_stays_when_an_input_does() -> None:
    # it is on for x0 > 0.999 alone, which 1,000 samples miss
    net = chain(([[1, 0], [0, 1]], [-0.999, 0]), ([[50, 1]], [0]))
    box = unit_box(2)
    samples = np.clip(box.sample(np.random.default_rng(0), 1000), -1, 0.9)
    assert (net.trace(samples).pre[0][:, 0] < 0).all()
    result = compress(net, box, data=samples)
    assert result.network.neurons == 2
    assert result.proved


def test_list_of_neurons_from_data_costs_the_proof() -> None:
    net, box = chain(([[1, 0], [0, 1]], [-0.999, 0]), ([[50, 1]], [0])), unit_box(2)
    facts, stage = stable(net, box), net.hidden[0]
    seen = net.trace(np.clip(box.sample(np.random.default_rng(0), 1000), -1, 0.9)).pre[0]
    empirical = facts.bounds.tightened({stage.pre: Box(seen.min(axis=0), seen.max(axis=0))})
    result = compress(net, box, facts=replace(facts, bounds=empirical))
    assert result.network.neurons < 2
    assert not result.proved
    # x = (1, 0) shows what the list cost
    x = np.array([[1.0, 0.0]])
    seen_change = abs(float(result.network(x)[0, 0] - net(x)[0, 0]))
    assert 0.04 < seen_change <= result.max_output_error


# --- the output layer is no candidate (item 7) ------------------------------------------------------------------------


def test_output_layer_is_no_candidate_however_stable_it_is() -> None:
    # outputs always below 0, always above, and twice the same
    net = chain(([[1], [-1]], [0, 0]), ([[1, 1], [1, 1], [2, 2], [2, 2]], [-9, 9, 9, 9]))
    result = compress(net, unit_box(1))
    assert stable(net, unit_box(1)).neurons == 2
    assert result.network.output_size == 4
    assert result.network.neurons == 2
    np.testing.assert_array_equal(result.network(np.array([[0.5]])), net(np.array([[0.5]])))


# --- ranks and bases (item 9, pitfalls of 3.4) ------------------------------------------------------------------------


def test_rank_is_decided_by_the_change_of_outputs_and_not_by_a_tolerance_on_singular_values() -> None:
    # the third row is the sum of the others but for 1e-9: of rank 3 for a default tolerance, of rank 2 for the outputs
    rows = np.array([[1.0, 0.5], [0.25, 1.0], [1.25, 1.5]])
    weight = np.concatenate([rows, np.array([[0.0], [0.0], [1e-9]])], axis=1)
    switching = np.array([[1.0, -1.0, 0.5]])
    net = chain((np.concatenate([weight, switching]), [5, 5, 5, 0]), (np.arange(16).reshape(4, 4) % 5, np.zeros(4)))
    assert np.linalg.matrix_rank(weight) == 3
    result = compress(net, unit_box(3), dtype=np.float64)
    assert result.network.neurons == 3
    assert result.proved
    # where the outgoing weights make 1e-9 count, all stay
    loud = chain((np.concatenate([weight, switching]), [5, 5, 5, 0]), (1e6 * np.eye(4), np.zeros(4)))
    kept = compress(loud, unit_box(3), dtype=np.float64)
    assert kept.proved
    assert (kept.error <= kept.tolerance).all()


def test_basis_is_chosen_by_pivoting_and_not_first_come() -> None:
    # rows 0 and 1 are nearly parallel: as a basis they give row 2 with coefficients of 3e5
    weight = [[1, 0], [1, 3e-6], [0, 1], [1, -1]]
    net = chain((weight, [5, 5, 5, 0]), ([[1.1, 1.2, 1.3, 1], [2.1, 3.7, 4.3, 5], [1, 0.3, 0.7, 2]], [0, 0, 0]))
    bounds = crown(net, unit_box(2))
    known, same = Knowledge.of(net, bounds), NeuronMap.identity(net)
    (stage,) = net.hidden
    boldest = candidates(net, known, same, stage)[0]
    assert boldest.basis.size == 2
    assert 2 in boldest.basis
    rows = affine_rows(net, known, same, stage)
    assert rows is not None
    assert np.abs(combination(rows, boldest)).max() <= 2
    first_come = replace(boldest, basis=np.array([0, 1]), units=np.array([2]))
    assert np.abs(combination(rows, first_come)).max() > 1e5
    # in float32 the choice shows in the outputs, and the bound says so
    single = np.dtype(np.float32)
    good, bad = (Merge().apply(net, known, same, site, single) for site in (boldest, first_come))
    error = [output_difference(net, r.network, r.map, bounds).max() for r in (good, bad)]
    assert error[0] < 1e-5 < error[1]
    result = compress(net, unit_box(2))
    assert result.proved


def test_left_over_of_a_merge_is_bounded_by_what_the_outputs_make_of_it() -> None:
    # row 2 is row 0 + row 1 + (d, 0): merged, an output changes by weight x d at a corner
    for d, weight in ((1e-3, 8.0), (1e-2, 0.5)):
        rows = [[1, 0], [0, 1], [1 + d, 1]]
        net = chain((rows, [5, 5, 5]), ([[1, 1, weight]], [0]))
        bounds = crown(net, unit_box(2))
        known, same = Knowledge.of(net, bounds), NeuronMap.identity(net)
        site = replace(Merge().sites(net, known, same)[0], basis=np.array([0, 1]), units=np.array([2]))
        before = affine_rows(net, known, same, net.hidden[0])
        assert before is not None
        coefficient = np.array([[1.0, 1.0]])
        left = np.abs(before.slope[2] - coefficient @ before.slope[:2]).sum() * weight
        assert left == pytest.approx(d * weight)
        merged = Merge().apply(net, known, same, site, np.dtype(np.float64))
        bound = output_difference(net, merged.network, merged.map, bounds)
        x = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
        seen = np.abs(merged.network(x) - net(x)).max()
        assert seen <= bound.max() <= left + 1e-9


# --- certificate of equivalence, float32 (item 10) --------------------------------------------------------------------


def test_bound_is_about_the_float32_weights_of_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    weight = np.concatenate([rng.normal(size=(3, 4)), rng.normal(size=(3, 3)) @ rng.normal(size=(3, 4))]).astype("f4")
    weight[3:] = (rng.normal(size=(3, 3)) @ weight[:3]).astype("f4")
    net = chain((weight.astype("f8"), [30.0] * 6), (rng.normal(size=(5, 6)).astype("f4"), np.zeros(5)))
    result = compress(net, unit_box(4), fold="never")
    assert result.network.neurons <= 3
    # rounding makes it other than 0, and it is bounded
    assert 0 < result.max_output_error <= result.tolerance.max()
    write_onnx(result.network, tmp_path / "small.onnx", dtype=result.dtype.type)
    written = read(tmp_path / "small.onnx")
    for x in unit_box(4).sample(np.random.default_rng(0), 10).round(3):
        before = net.exact_values(exactly(x))[net.output]
        after = written.exact_values(exactly(x))[written.output]
        assert all(abs(a - b) <= e for a, b, e in zip(before, after, result.error))


# --- pitfalls of 3.4 --------------------------------------------------------------------------------------------------


def test_fold_does_not_make_a_network_larger_unless_asked() -> None:
    # between 8 and 8 one stable neuron is cheap; between two layers of 2 six of them are not
    thin = chain((np.eye(1, 8), [5]), (np.ones((8, 1)), np.zeros(8)))
    for fold in ("auto", "never"):
        assert compress(thin, unit_box(8), fold=fold).network.parameters <= thin.parameters
    asked = compress(thin, unit_box(8), fold="always")
    assert asked.network.parameters > thin.parameters
    assert asked.network.neurons == 0
    wide = chain((np.ones((6, 2)), [5, 6, 7, 8, 9, 10]), (np.ones((2, 6)), np.zeros(2)))
    assert compress(wide, unit_box(2)).network.neurons == 0


def test_last_unit_of_a_layer_goes_too_when_it_is_inactive() -> None:
    # the published algorithm keeps one; here the constant is all that is left of the layer
    net = chain(([[1, 1]], [-3]), ([[2], [-2]], [1, 1]), ([[1, 1]], [0.5]))
    result = compress(net, unit_box(2))
    assert result.network.neurons == 0
    assert result.proved
    np.testing.assert_array_equal(result.network(np.array([[0.3, 0.2]])), [[2.5]])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_constant_network_is_one_layer_of_zero_weights(depth: int) -> None:
    hidden: list[tuple[Any, Any]] = [(np.ones((3, 2)), [-9, -9, -9])]
    hidden += [(np.ones((3, 3)), [1, 2, 3]) for _ in range(depth - 1)]
    net = chain(*hidden, (np.ones((2, 3)), [0, 1]))
    result = compress(net, unit_box(2))
    assert result.network.neurons == 0
    assert len(result.network.stages) == 1
    x = unit_box(2).sample(np.random.default_rng(0), 5)
    np.testing.assert_array_equal(result.network(x), net(x))
    assert result.max_output_error < 1e-11


@given(st.permutations(range(9)), st.integers(0, 2**31))
@settings(deadline=None)
def test_inactive_and_dependent_units_go_together_in_any_order(order: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    # three inactive, three active of rank 2, three that switch: wherever they stand
    base = np.array([[1.0, 0.5, 0.25], [-0.5, 1.0, 0.125]])
    free = np.array([[1.0, -1.0, 0.5], [0.25, 1.0, -1.0], [-1.0, 0.25, 0.75]])
    weight = np.concatenate([rng.integers(-4, 5, (3, 3)) / 8, base, [base.sum(axis=0)], free])[order]
    bias = np.array([-9.0, -8, -7, 5, 6, 7, 0, 0, 0])[order]
    outgoing = rng.integers(1, 9, (5, 9)) * rng.choice([-1, 1], (5, 9)) / 8
    net = chain((weight, bias), (outgoing, np.zeros(5)))
    result = compress(net, unit_box(3))
    assert dict(result.counts) == {"removed": 3, "merged": 1, "folded": 0, "collapsed": 0}
    kept = result.map.stages[0].neurons
    at = np.array(order)[kept]
    assert (at >= 3).all()
    assert {6, 7, 8} <= set(at.tolist())
    assert result.proved
    for x in unit_box(3).sample(rng, 5).round(2):
        before = net.exact_values(exactly(x))[net.output]
        after = result.network.exact_values(exactly(x))[result.network.output]
        assert all(abs(a - b) <= e for a, b, e in zip(before, after, result.error))
