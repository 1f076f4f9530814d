"""The study of sawtooth networks at small size: what is built, what noise leaves of it, what training finds again."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.expressivity.sawtooth import Settings, anti, study
from benchmarks.expressivity.sawtooth.construction import FORMS, built, by_layer, perturbed, pieces
from benchmarks.expressivity.sawtooth.relearning import random_start, relearned
from benchmarks.expressivity.training import Fit, network_of
from reludsl.expressivity import multiplicative
from reludsl.layers import Affine
from reludsl.networks import sawtooth

Need = Callable[[str], Any]
VARIANCES = (0.01, 0.03, 0.09)


def test_constructions_have_their_pieces_proved_and_equally_long() -> None:
    found = built(6)
    assert [(one.form, one.n) for one in found] == [(form, n) for form in FORMS for n in range(1, 7)]
    assert [one.units for one in found] == [*range(3, 19, 3), *range(2, 13, 2)]
    for one in found:
        assert one.regions == one.pieces == 2**one.n
        assert one.exact
        assert one.even


@pytest.mark.parametrize("form", FORMS)
def test_noise_destroys_pieces_and_more_noise_destroys_more(form: str) -> None:
    counts = perturbed(sawtooth(6, FORMS[form]), [variance**0.5 for variance in VARIANCES], 6, 0, {})
    assert (counts.mean(axis=1) < 64).all()
    assert (np.diff(counts.mean(axis=1)) < 0).all()
    assert spearmanr(np.repeat(VARIANCES, 6), counts.ravel()).statistic < -0.3


def test_pieces_when_a_network_is_sampled_finely_are_as_many() -> None:
    grid = np.linspace(0, 1, 2**14 + 1)
    resolved = 0
    for seed in range(6):
        network = multiplicative(sawtooth(3), 0.2, seed)
        slopes = np.diff(network(grid[:, None])[:, 0]) * 2**14
        # an interval of the grid with a break in it has a slope of its own
        whole = np.concatenate([[True], np.abs(np.diff(slopes)) < 1e-6])
        runs = int((np.diff(np.concatenate([[0], whole.astype(int)])) == 1).sum())
        resolved += runs == pieces(network)
    assert resolved >= 5


def test_by_layer_has_a_number_for_every_layer_and_noise_in_an_early_one_costs_more() -> None:
    found = by_layer(sawtooth(5), 0.3, 6, 0)
    assert found.shape == (10,)
    assert found[:4].mean() < found[-4:].mean()


def test_random_start_has_the_layers_of_the_sawtooth() -> None:
    like = sawtooth(3)
    start = random_start(like, 1)
    assert [stage.size for stage in start.hidden] == [stage.size for stage in like.hidden]
    assert any(
        (np.asarray(a.layer.weight) != np.asarray(b.layer.weight)).any()
        for a, b in zip(start.nodes, like.nodes)
        if isinstance(a.layer, Affine) and isinstance(b.layer, Affine)
    )


def test_networks_trained_together_are_those_trained_alone(need: Need) -> None:
    torch = need("torch")
    target = sawtooth(2)
    start = multiplicative(target, 0.2, 3)
    (*_, together) = relearned([start, random_start(target, 0)], target, (0, 5), 10, 1e-3, 7)
    # the same batches, one network at a time
    model = torch.nn.Sequential(
        *(torch.nn.Linear(*size) if size else torch.nn.ReLU() for size in ((1, 2), None, (2, 1), None) * 2)
    ).double()
    affine = [node.layer for node in start.nodes if isinstance(node.layer, Affine)]
    with torch.no_grad():
        for part, layer in zip([part for part in model if hasattr(part, "weight")], affine):
            part.weight.copy_(torch.tensor(np.asarray(layer.weight)))
            part.bias.copy_(torch.tensor(layer.offset))
    rule, random = torch.optim.Adam(model.parameters(), lr=1e-3), np.random.default_rng(7)
    for _ in range(5):
        x = random.random((2, 10, 1))[0]
        rule.zero_grad()
        ((model(torch.tensor(x)) - torch.tensor(target(x))) ** 2).mean().backward()
        rule.step()
    grid = np.linspace(0, 1, 101)[:, None]
    np.testing.assert_allclose(together.networks[0](grid), network_of(model)(grid), atol=1e-12)


def test_study_without_torch_leaves_training_out_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = study(Settings(n=4, variances=VARIANCES, trials=5), seed=1)
    assert [one.seen for one in found.observations] == [True, True]
    assert any("torch is not installed" in note for note in found.notes)
    assert any("it must read w_2' (W_1 x + b_1) + b_2" in note for note in found.notes)
    assert "learning" not in found.numbers
    assert found.as_json()["numbers"]["pieces_left"]["merged"]["all"]


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_learning_again_lowers_the_loss_and_does_not_bring_64_pieces_back() -> None:
    target, seeds = sawtooth(6), range(6)
    starts = [multiplicative(target, variance**0.5, seed) for variance in VARIANCES for seed in seeds]
    starts += [random_start(target, seed) for seed in seeds]
    first, last = relearned(starts, target, (0, 1000), 10, 1e-3, 0)
    before, after = (look.losses.reshape(4, -1).mean(axis=1) for look in (first, last))
    # trained indeed: to about 1/12, which the constant 1/2 has; under strong noise some outer ReLUs are off everywhere,
    # no gradient is left, and the 1/3 of the constant 0 stays
    assert before[0] > 0.25
    assert after[0] < 0.1
    assert (after[1:3] < before[1:3] / 2).all()
    assert (last.losses < 0.34).all()
    assert after[3] < before[3]
    counts = np.array([pieces(network) for network in last.networks]).reshape(4, -1)
    assert (counts < 64).mean() > 0.9
    assert (counts[0].mean() > counts[2].mean()) & (counts[2].mean() > counts[3].mean())


@pytest.mark.slow
@pytest.mark.usefixtures("torch")
def test_anti_regularisation_raises_crossings_and_regions_in_every_seed() -> None:
    runs = anti.trained(8, (0.0, 0.01), range(5), 512, Fit(epochs=50, batch=64, rate=1e-2), lambda text: None)
    plain, with_it = ([run for run in runs if run.weight == weight] for weight in (0.0, 0.01))
    for without, one in zip(plain, with_it, strict=True):
        assert one.before(np.zeros((1, 2))) == without.before(np.zeros((1, 2)))
        assert one.crossings[1, 1, 1] > max(one.crossings[0, 1, 1], without.crossings[1, 1, 1])
        assert one.regions[1] > max(one.regions[0], without.regions[1])
    for chosen in (plain, with_it):
        # the constant 1/3 has 1/18 = 0.0556
        assert np.mean([run.losses[1] for run in chosen]) < 0.045
