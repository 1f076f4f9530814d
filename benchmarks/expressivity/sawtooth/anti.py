"""Anti-regularisation: the same networks trained with and without the penalty for lines that do not cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.expressivity.training import Fit, Penalty, dense, fit, network_of
from benchmarks.published.training import Say
from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.expressivity import crossings, intersection_penalty
from reludsl.network import Network
from reludsl.networks import product, sawtooth
from reludsl.regions import plane

SQUARE = Box([-1, -1], [1, 1])


@dataclass(frozen=True, slots=True)
class Trained:
    """One network before and after.

    Args:
        weight: of the penalty.
        crossings: (2, 2, 2) before and after, by layers.
        regions: (2,) on the square, before and after.
        small: (2,) the part of the square that the smaller half of the regions has, before and after.
        losses: (2,) mean squared error on a grid, before and after.
    """

    seed: int
    weight: float
    before: Network
    after: Network
    crossings: FloatArray
    regions: FloatArray
    small: FloatArray
    losses: FloatArray


def target(x: FloatArray) -> FloatArray:
    """|s(x_1) - s(x_2)| with the tent s over [-1, 1]: (m, 2) -> (m, 1)."""
    both = product(sawtooth(1), sawtooth(1))((x + 1) / 2)
    return np.abs(both[:, :1] - both[:, 1:])


def trained(
    width: int, weights: Sequence[float], seeds: Sequence[int], points: int, how: Fit, say: Say
) -> list[Trained]:
    """Networks 2-width-width-1 fitted to `target`, from the same start for every weight of the penalty."""
    found = []
    axis = np.linspace(-1.0, 1.0, 65)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for seed in seeds:
        x = np.random.default_rng(seed).uniform(-1.0, 1.0, (points, 2))
        for weight in weights:
            model = dense((2, width, width, 1), seed, bias_scale=0.5).double()
            before = network_of(model)
            fit(model, x, target(x), how, seed, penalty=_penalty(weight) if weight else None)
            after = network_of(model)
            areas = [np.sort(plane(net, SQUARE).areas) for net in (before, after)]
            found.append(
                Trained(
                    seed=seed,
                    weight=weight,
                    before=before,
                    after=after,
                    crossings=np.array([crossings(net, SQUARE).by_layers for net in (before, after)]),
                    regions=np.array([len(area) for area in areas]),
                    small=np.array([area[: len(area) // 2].sum() / area.sum() for area in areas]),
                    losses=np.array([np.mean((net(grid) - target(grid)) ** 2) for net in (before, after)]),
                )
            )
            say(f"anti-regularisation, seed {seed}, weight {weight:g}: {found[-1].regions[1]} regions")
    return found


def _penalty(weight: float) -> Penalty:
    def penalty(model: Any, batch: Any) -> Any:
        first, second, _ = (layer for layer in model if hasattr(layer, "weight"))
        return weight * intersection_penalty((first.weight, first.bias), (second.weight, second.bias), SQUARE)

    return penalty
