"""Trajectory regularisation: its value by hand, its gradient against finite differences, and that lengths fall."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from data import need

from benchmarks.expressivity.images import images
from benchmarks.expressivity.training import Fit, dense, fit, network_of
from reludsl.errors import InvalidInput
from reludsl.expressivity import TrajectoryRegulariser, batch_length
from reludsl.regions import line

STEP = 1e-6

pytestmark = pytest.mark.usefixtures("torch")


def model(seed: int = 0, batch_norm: bool = False) -> Any:
    return dense((3, 6, 5, 2), seed, bias_scale=0.5, batch_norm=batch_norm).double()


def points(count: int, seed: int = 0) -> Any:
    return need("torch").tensor(np.random.default_rng(seed).normal(size=(count, 3)))


def chain(values: Any) -> float:
    """The length by numpy, per step."""
    steps = np.diff(values.detach().numpy(), axis=0)
    return float(np.sqrt(np.square(steps).sum(axis=1)).sum() / len(steps))


def test_batch_length_when_points_are_known_is_the_sum_of_distances(torch: Any) -> None:
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0], [3.0, 5.0]])
    assert batch_length(z).item() == 6.0
    assert batch_length(z.reshape(4, 2, 1)).item() == 6.0
    assert batch_length(z[:1]).item() == 0.0
    assert batch_length(z[:, 1]).item() == 5.0


def test_batch_length_when_points_coincide_has_a_finite_gradient(torch: Any) -> None:
    z = torch.zeros(3, 2, requires_grad=True)
    batch_length(z).backward()
    assert z.grad.abs().max().item() == 0.0


@pytest.mark.parametrize("seed", range(3))
def test_batch_length_gradient_equals_finite_differences(torch: Any, seed: int) -> None:
    assert torch.autograd.gradcheck(batch_length, (points(5, seed).requires_grad_(),))


@pytest.mark.parametrize(("seed", "batch_norm"), [(0, False), (1, False), (2, True)])
def test_penalty_gradient_equals_finite_differences(torch: Any, seed: int, batch_norm: bool) -> None:
    net, x = model(seed, batch_norm), points(7, seed)
    regulariser = TrajectoryRegulariser(net, 0.7)
    net(points(6, seed + 1))
    regulariser()
    start = torch.nn.utils.parameters_to_vector(net.parameters()).detach()

    def value(vector: Any) -> Any:
        torch.nn.utils.vector_to_parameters(vector, net.parameters())
        net(x)
        return regulariser()

    net.zero_grad()
    value(start).backward()
    found = torch.cat(
        [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in net.parameters()]
    ).numpy()
    moves = STEP * torch.eye(len(start), dtype=torch.float64)
    expected = [(value(start + move) - value(start - move)).item() / (2 * STEP) for move in moves]
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert np.abs(found).max() > 0.01


def test_penalty_when_called_first_is_the_weight_times_the_number_of_layers() -> None:
    net = model()
    regulariser = TrajectoryRegulariser(net, 0.25)
    net(points(6))
    assert regulariser().item() == 0.5
    assert regulariser.layers == ("1", "3")


def test_penalty_when_weights_changed_is_the_ratio_of_the_lengths(torch: Any) -> None:
    net, first, second = model(), points(6), points(4, 1)
    regulariser = TrajectoryRegulariser(net, 2.0, ["1"])
    then = chain(net[:2](first))
    net(first)
    regulariser()
    with torch.no_grad():
        net[0].weight.mul_(3.0)
    net(second)
    assert regulariser().item() == pytest.approx(2.0 * chain(net[:2](second)) / then, rel=1e-12)


def test_penalty_when_a_later_batch_has_one_point_is_zero() -> None:
    net = model()
    regulariser = TrajectoryRegulariser(net, 1.0)
    net(points(6))
    regulariser()
    net(points(1))
    value = regulariser()
    value.backward()
    assert value.item() == 0.0


def test_penalty_when_continued_goes_on_from_the_same_originals() -> None:
    net = model()
    first = TrajectoryRegulariser(net, 1.0)
    net(points(6))
    first()
    second = TrajectoryRegulariser(net, 1.0, originals=first.originals)
    net(points(6, 1))
    assert first().item() == second().item() != 2.0


def test_penalty_when_evaluated_between_is_that_of_training(torch: Any) -> None:
    net = model()
    regulariser = TrajectoryRegulariser(net, 1.0)
    net(points(6))
    regulariser()
    net(points(6, 1))
    expected = regulariser().item()
    with torch.no_grad():
        net(points(9, 2))
    with pytest.raises(InvalidInput, match="has not run with a gradient"):
        regulariser()
    net(points(6, 1))
    assert regulariser().item() == expected


def test_penalty_when_evaluated_before_it_is_that_of_the_pass_before(torch: Any) -> None:
    net = model()
    regulariser = TrajectoryRegulariser(net, 1.0)
    net(points(6))
    regulariser()
    net(points(6, 1))
    expected = regulariser().item()
    net(points(6, 1))
    with torch.no_grad():
        net(points(9, 2))
    assert regulariser().item() == expected


def test_penalty_when_the_first_batch_is_not_finite_is_refused() -> None:
    net = model()
    regulariser = TrajectoryRegulariser(net, 1.0)
    net(points(6) * math.nan)
    with pytest.raises(InvalidInput, match="length nan"):
        regulariser()
    net(points(6))
    assert regulariser().item() == pytest.approx(2.0)


def twice(torch: Any, offset: float) -> Any:
    """One ReLU that stands behind two layers; the second adds `offset` to what the first gives, which is at most 8."""
    shared = torch.nn.ReLU()
    second = torch.nn.Linear(6, 6).double()
    torch.nn.init.eye_(second.weight)
    torch.nn.init.constant_(second.bias, offset)
    return torch.nn.Sequential(model()[0], shared, second, shared)


def test_penalty_when_one_module_stands_twice_counts_both(torch: Any) -> None:
    net = twice(torch, 1.0)
    regulariser = TrajectoryRegulariser(net, 1.0)
    net(points(6))
    assert regulariser().item() == 2.0


def test_penalty_when_one_of_two_passes_is_dead_names_its_length(torch: Any) -> None:
    net = twice(torch, -8.0)
    regulariser = TrajectoryRegulariser(net, 1.0)
    assert 0 < net[:2](points(6)).max().item() < 8
    net(points(6))
    with pytest.raises(InvalidInput, match="length 0 behind '1'"):
        regulariser()


def test_regulariser_when_closed_leaves_no_hooks() -> None:
    net = model()
    with TrajectoryRegulariser(net, 1.0) as regulariser:
        net(points(6))
        regulariser()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_regulariser_when_asked_the_impossible_says_what_to_write(torch: Any) -> None:
    net = model()
    for weight in (-1.0, math.nan, math.inf):
        with pytest.raises(InvalidInput, match="give 0 or more"):
            TrajectoryRegulariser(net, weight)
    with pytest.raises(InvalidInput, match="no module 'hidden'"):
        TrajectoryRegulariser(net, 1.0, ["hidden"])
    with pytest.raises(InvalidInput, match="name them"):
        TrajectoryRegulariser(torch.nn.Linear(2, 2), 1.0)
    with pytest.raises(InvalidInput, match="name them"):
        TrajectoryRegulariser(net, 1.0, [])
    pair = torch.nn.LSTM(3, 2).double()
    with TrajectoryRegulariser(pair, 1.0, [""]), pytest.raises(InvalidInput, match="gives a tuple"):
        pair(points(3))
    regulariser = TrajectoryRegulariser(net, 1.0)
    net(points(1))
    with pytest.raises(InvalidInput, match="at least two different points"):
        regulariser()


@pytest.mark.parametrize("seed", range(5))
def test_training_when_regularised_ends_with_shorter_segments(seed: int) -> None:
    train, test = images("digits")
    lengths = []
    for weight in (0.0, 0.05):
        net = dense((64, 32, 32, 10), seed)
        regulariser = TrajectoryRegulariser(net, weight)
        fit(
            net, train.pixels, train.labels, Fit(epochs=4, batch=64, rate=5e-3, at_epochs=()), seed,
            penalty=lambda *_, own=regulariser: own(),
        )  # fmt: skip
        network = network_of(net)
        assert (network(test.pixels).argmax(axis=1) == test.labels).mean() > 0.9
        lengths.append(line(network, test.pixels[:40], test.pixels[40:80]).lengths().sum(axis=0))
    plain, regularised = lengths
    # both hidden layers
    assert (regularised[1:3] < plain[1:3]).all()
