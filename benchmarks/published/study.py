"""Train, certify and compress every setting; what the runs say together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from numpy.typing import ArrayLike

from benchmarks.published.settings import Recipe, Shape, l1_weights
from benchmarks.published.training import Images, Say, Trained, cached, score
from reludsl.compress import compress
from reludsl.domain import Box
from reludsl.stability import LocalStability, local_stability, stable

RADII = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
LOCAL_POINTS = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run.

    Args:
        l1: the weights for every shape; None for the grid of each.
        full: the whole grids.
        time_limit: seconds for the certificate of one network; the local study has it as a whole.
        cache: folder where trained networks are kept.
    """

    shapes: tuple[Shape, ...]
    seeds: int
    recipe: Recipe
    l1: tuple[float, ...] | None
    full: bool
    time_limit: float
    cache: Path

    def weights(self, shape: Shape) -> tuple[float, ...]:
        """The grid of a shape."""
        return l1_weights(shape, self.full) if self.l1 is None else self.l1

    @property
    def classifiers(self) -> tuple[Shape, ...]:
        return tuple(shape for shape in self.shapes if not shape.autoencoder)


@dataclass(frozen=True, slots=True)
class Run:
    """One network.

    Args:
        score: accuracy in % on the test images, or the loss of an autoencoder.
        stably_active, stably_inactive, unstable, unknown: neurons per hidden layer.
        proved: whether the compressed network is proved to be the same on [0, 1]^784.
    """

    shape: str
    l1: float
    seed: int
    score: float
    stably_active: tuple[int, ...]
    stably_inactive: tuple[int, ...]
    unstable: tuple[int, ...]
    unknown: tuple[int, ...]
    neurons_before: int
    neurons_after: int
    parameters_before: int
    parameters_after: int
    proved: bool
    train_seconds: float
    certify_seconds: float
    compress_seconds: float

    @property
    def removed(self) -> float:
        """Hidden neurons that went, in %."""
        return 100.0 * (1 - self.neurons_after / self.neurons_before)

    @property
    def parameters_removed(self) -> float:
        """Parameters that went, in %."""
        return 100.0 * (1 - self.parameters_after / self.parameters_before)

    @property
    def seconds(self) -> float:
        """Of certificate and compression, proof included."""
        return self.certify_seconds + self.compress_seconds

    @property
    def times_faster(self) -> float:
        """Seconds of training over those of certificate and compression."""
        return self.train_seconds / self.seconds


def measure(shape: Shape, trained: Trained, l1: float, seed: int, test: Images, time_limit: float) -> Run:
    """Certify and compress one network on the box of all images."""
    network = trained.network
    box = Box.full(0.0, 1.0, network.input_shape)
    start = time.perf_counter()
    facts = stable(network, box, time_limit=time_limit)
    between = time.perf_counter()
    small = compress(network, box, facts=facts)
    end = time.perf_counter()
    return Run(
        shape.name,
        l1,
        seed,
        score(shape, network, test),
        tuple(stage.stably_active.size for stage in facts.stages),
        tuple(stage.stably_inactive.size for stage in facts.stages),
        tuple(stage.unstable.size for stage in facts.stages),
        tuple(stage.unknown.size for stage in facts.stages),
        network.neurons,
        small.network.neurons,
        network.parameters,
        small.network.parameters,
        small.proved,
        trained.seconds,
        between - start,
        end - between,
    )


def study(plan: Plan, train: Images, test: Images, say: Say) -> Iterator[Run]:
    """All runs of a plan; for a classifier also at half of its matching L1 weight where the grid has it not."""
    for shape in plan.shapes:
        found = []
        for run in _runs(plan, shape, plan.weights(shape), train, test, say):
            found.append(run)
            yield run
        matching = None if shape.autoencoder else matching_l1(scores(found))
        if matching is not None and matching / 2 not in plan.weights(shape):
            yield from _runs(plan, shape, (matching / 2,), train, test, say)


def _runs(plan: Plan, shape: Shape, weights: Sequence[float], train: Images, test: Images, say: Say) -> Iterator[Run]:
    for l1, seed in product(weights, range(plan.seeds)):
        name = f"{shape.name}, L1 {l1:g}, seed {seed}"
        trained = _network(plan, shape, l1, seed, train, say)
        run = measure(shape, trained, l1, seed, test, plan.time_limit)
        say(
            f"{name}: score {run.score:.4g}, {run.removed:.0f} % of the neurons removed, {sum(run.unknown)} unknown, "
            f"certified and compressed in {run.seconds:.2f} s, trained in {run.train_seconds:.0f} s"
        )
        yield run


def _network(plan: Plan, shape: Shape, l1: float, seed: int, train: Images, say: Say) -> Trained:
    def told(words: str) -> None:
        say(f"{shape.name}, L1 {l1:g}, seed {seed}: {words}")

    return cached(plan.cache, shape, train, l1, seed, plan.recipe, told)


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """The local study, and the network that it is about."""

    shape: str
    l1: float
    seed: int
    result: LocalStability


def local(plan: Plan, runs: Sequence[Run], train: Images, test: Images, say: Say) -> Local | None:
    """Balls around test images: the last classifier, at its matching L1 weight, else at its largest."""
    if not plan.classifiers:
        return None
    shape = plan.classifiers[-1]
    mine = scores([run for run in runs if run.shape == shape.name])
    l1 = matching_l1(mine) or max(mine)
    network = _network(plan, shape, l1, 0, train, say).network
    result = local_stability(
        network,
        test.pixels[:LOCAL_POINTS],
        RADII,
        time_limit=plan.time_limit,
        progress=lambda p: say(f"balls of {shape.name}, {p.step}: {p.done} of {p.total}"),
    )
    return Local(shape.name, l1, 0, result)


def scores(runs: Sequence[Run]) -> dict[float, list[float]]:
    """The scores of each L1 weight, over its seeds."""
    found: dict[float, list[float]] = {}
    for run in runs:
        found.setdefault(run.l1, []).append(run.score)
    return found


def matching_l1(accuracies: Mapping[float, Sequence[float]]) -> float | None:
    """l_bar: the largest L1 weight whose mean accuracy is at least that of L1 = 0; None where no weight is.

    >>> matching_l1({0.0: [97.0, 98.0], 1e-4: [98.0, 98.0], 2e-4: [97.5, 97.5], 4e-4: [96.0]})
    0.0002
    """
    if 0.0 not in accuracies:
        return None
    least = mean(accuracies[0.0])
    return max((l1 for l1, found in accuracies.items() if l1 > 0 and mean(found) >= least), default=None)


@dataclass(frozen=True, slots=True)
class Fit:
    """y = slope x + offset by least squares, and the share of the variance of y that it explains."""

    slope: float
    offset: float
    r_squared: float


def linear_fit(x: ArrayLike, y: ArrayLike) -> Fit | None:
    """R^2 = 1 - sum (y - fit)^2 / sum (y - mean)^2; None for fewer than three points, or where x or y is constant.

    >>> linear_fit([0.0, 1.0, 2.0, 3.0], [1.0, 3.0, 3.0, 5.0])
    Fit(slope=1.2, offset=1.2, r_squared=0.9)
    """
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(a) < 3 or not (np.ptp(a) and np.ptp(b)):
        return None
    da, db = a - a.mean(), b - b.mean()
    slope = float(da @ db / (da @ da))
    rest = db - slope * da
    values = slope, float(b.mean() - slope * a.mean()), 1 - float(rest @ rest / (db @ db))
    return Fit(*(round(value, 9) for value in values))


def regularised(runs: Sequence[Run], shapes: Sequence[Shape]) -> list[Run]:
    """The runs of these shapes with an L1 weight above 0: those that compression is set against accuracy for."""
    names = {shape.name for shape in shapes}
    return [run for run in runs if run.shape in names and run.l1 > 0]


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation (over n - 1; 0 for one value)."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(mean(values), stdev(values) if len(values) > 1 else 0.0)

    def __format__(self, form: str) -> str:
        return f"{self.mean:{form}} ± {self.deviation:{form}}"


@dataclass(frozen=True, slots=True)
class Hardest:
    """The L1 weight of a shape with the longest mean certificate, and the one with the most unknown neurons."""

    shape: str
    slowest: float
    slowest_seconds: float
    most_unknown: float | None
    unknown: float


def hardest(runs: Sequence[Run]) -> Hardest:
    """Of the runs of one shape; `most_unknown` is None where every neuron is decided."""
    seconds: dict[float, list[float]] = {}
    unknown: dict[float, list[float]] = {}
    for run in runs:
        seconds.setdefault(run.l1, []).append(run.certify_seconds)
        unknown.setdefault(run.l1, []).append(sum(run.unknown))
    slowest = max(seconds, key=lambda l1: mean(seconds[l1]))
    open_ = max(unknown, key=lambda l1: mean(unknown[l1]))
    most = mean(unknown[open_])
    return Hardest(runs[0].shape, slowest, mean(seconds[slowest]), open_ if most else None, most)
