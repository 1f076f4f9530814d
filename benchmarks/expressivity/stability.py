"""Study 3, stability of layers: noise, single trained layers, lengths during training, and what shortens them.

Raghu et al. 2017, section 3.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import spearmanr

from benchmarks.expressivity import stability_pictures as pictures
from benchmarks.expressivity.finding import Finding, Observation, Part, Picture, Table
from benchmarks.expressivity.fits import at_least, at_most, exponential
from benchmarks.expressivity.images import images
from benchmarks.expressivity.stability_runs import (
    Course,
    Data,
    NoiseRuns,
    course,
    noise,
    one_layer,
    perturbed,
    with_arcs,
)
from benchmarks.expressivity.training import REPEATED, Fit
from benchmarks.published.training import Say
from reludsl.backend import FloatArray

PLAIN, NORM, REGULARISED = "plain", "batch normalisation", "trajectory regularisation"

SAME = 1.0
"""Percentage points of accuracy within which two kinds of training are called as good as each other."""


@dataclass(frozen=True)
class Settings:
    """Depths count hidden layers; variances are sigma_w^2, so that weights are N(0, sigma_w^2 / k).

    Args:
        noise_deviations: of the noise on the weights of a layer of trained networks, each `noise_trials` times.
        perturbed_variances: of untrained networks, whose layers get noise of `perturbed_deviation`.
        arcs: number of arcs between two test images, whose lengths are averaged.
        arc_variances: a small and a large one; arc_rate: of gradient descent.
        norm_depth, norm_variance, weight: of the comparison of kinds of training; lambda.
    """

    data: str = "digits"
    width: int = 64
    seeds: int = 5
    epochs: int = 20
    batch: int = 64
    looks: tuple[int, ...] = (0, 1, 5, 20)
    noise_depth: int = 5
    noise_deviations: tuple[float, ...] = (0.05, 0.1, 0.2, 0.3, 0.4)
    noise_trials: int = 5
    perturbed_depth: int = 8
    perturbed_variances: tuple[float, ...] = (2.0, 3.0, 8.0, 16.0)
    perturbed_deviation: float = 1e-4
    one_depth: int = 6
    one_variance: float = 2.0
    arcs: int = 20
    arc_depth: int = 4
    arc_variances: tuple[float, float] = (3.0, 16.0)
    arc_rate: float = 0.1
    norm_depth: int = 8
    norm_variance: float = 2.0
    weight: float = 0.01


DEFAULT = Settings()
FULL = Settings(data="mnist", width=100, epochs=10, batch=128, looks=(0, 1, 2, 5, 10), arcs=50)


def study(settings: Settings = DEFAULT, seed: int = 0, say: Say = lambda _: None) -> Finding:
    """Everything with the same images; without torch, the untrained networks alone."""
    data = with_arcs(*images(settings.data), settings.arcs, seed)
    seeds = range(seed, seed + settings.seeds)
    found = untrained(settings, data, seeds, say)
    if importlib.util.find_spec("torch") is None:
        found += Part(notes=["torch is not installed (pip install torch): all that is trained is left out."])
    else:
        found = trained(settings, data, seeds, say) + found
    return Finding(
        name="stability",
        title="Stability of layers",
        settings=asdict(settings) | {"seed": seed},
        observations=found.observations,
        numbers=found.numbers,
        tables=found.tables,
        pictures=found.pictures,
        notes=found.notes,
    )


def untrained(settings: Settings, data: Data, seeds: range, say: Say) -> Part:
    """Noise on the layers of hard-tanh networks as they are drawn."""
    small = {}
    for variance in settings.perturbed_variances:
        small[variance] = perturbed(
            data, settings.width, settings.perturbed_depth, variance, settings.perturbed_deviation,
            settings.noise_trials, seeds,
        )  # fmt: skip
        say(f"noise on one layer of untrained networks, sigma_w^2 = {variance:g}")
    return Part(
        [_perturbed_observation(small)],
        {"perturbed": {f"{variance:g}": moved.tolist() for variance, moved in small.items()}},
        pictures=[
            Picture(
                name="remaining",
                caption="Movement of the output of untrained networks against the layers after the one with noise",
                draw=lambda figure: pictures.remaining(figure, small),
                size=(6.4, 4.0),
            )
        ],
    )


def trained(settings: Settings, data: Data, seeds: range, say: Say) -> Part:
    """What needs torch; networks of one seed start from the same weights in every part."""
    adam = Fit(epochs=settings.epochs, batch=settings.batch, at_epochs=())
    noisy = noise(
        data, settings.width, settings.noise_depth, settings.noise_deviations, settings.noise_trials, adam, seeds
    )
    say(f"noise on one layer: {noisy.clean.mean():.1f} % without it")
    single = one_layer(data, settings.width, settings.one_depth, settings.one_variance, adam, seeds)
    say(f"one trained layer: {single[:, 0, 0].mean():.1f} % of the training images with the lowest")
    descent = Fit(
        epochs=settings.epochs, batch=settings.batch, rate=settings.arc_rate, rule="sgd", at_epochs=settings.looks
    )
    arcs = {
        variance: course(
            data, settings.width, settings.arc_depth, descent, seeds, variance=variance, activation="Hardtanh"
        )
        for variance in settings.arc_variances
    }
    say("lengths during training for small and large weights")
    looking = Fit(epochs=settings.epochs, batch=settings.batch, at_epochs=settings.looks)
    kinds = {
        name: course(
            data, settings.width, settings.norm_depth, looking, seeds, variance=settings.norm_variance,
            batch_norm=name == NORM, weight=settings.weight if name == REGULARISED else 0.0,
        )
        for name in (PLAIN, NORM, REGULARISED)
    }  # fmt: skip
    say("plain training, batch normalisation, trajectory regularisation")
    return Part(
        [
            _noise_observation(settings, noisy),
            _single_observation(single),
            *_arc_observations(arcs),
            *_kind_observations(kinds),
        ],
        _numbers(noisy, single, arcs, kinds),
        _tables(settings, noisy, single, kinds),
        _pictures(settings, noisy, single, arcs, kinds),
        _notes(settings, data, noisy),
    )


def _noise_observation(settings: Settings, found: NoiseRuns) -> Observation:
    accuracy = found.noisy.mean(axis=1)
    order = _ranks(accuracy)
    return Observation(
        published="noise on the weights of an earlier layer costs more accuracy (Raghu et al. 2017, section 3)",
        measured=f"accuracy under noise on the first layer is {accuracy[:, 0].mean():.1f} %, on the last "
        f"{accuracy[:, -1].mean():.1f} %, {found.clean.mean():.1f} % without, means over {settings.seeds} networks "
        f"and {len(settings.noise_deviations)} deviations, and its rank correlation with the layer is at least "
        f"{at_least(min(order), 2)} in each network",
        seen=min(order) > 0 and bool((accuracy[:, 0] < accuracy[:, -1]).all()),
    )


def _perturbed_observation(small: Mapping[float, FloatArray]) -> Observation:
    # from the last layer to the first: what remains after it grows by one layer each
    fits = {variance: [exponential(row[::-1]) for row in moved] for variance, moved in small.items()}
    factors = ", ".join(f"{np.mean([f for f, _ in found]):.2f} for sigma_w^2 = {v:g}" for v, found in fits.items())
    largest = fits[max(fits)]
    least = min(r for _, r in largest)
    return Observation(
        published="a perturbation of a layer grows exponentially with the depth that remains after it, for large "
        "sigma_w (Raghu et al. 2017, section 3)",
        measured=f"with every further layer after the one with small noise the output of untrained networks moves "
        f"farther by a factor of {factors}, R^2 of the exponential at least {at_least(least, 3)} for the largest",
        seen=min(factor for factor, _ in largest) > 1 and least >= 0.9,
    )


def _single_observation(found: FloatArray) -> Observation:
    order = _ranks(found[:, :, 0])
    train, test = found.mean(axis=0).T
    return Observation(
        published="where one layer alone is trained, a lower one does better (Raghu et al. 2017, section 3)",
        measured=f"training accuracy is {train[0]:.1f} % with hidden layer 2 and {train[-1]:.1f} % with layer "
        f"{len(train) + 1} trained, test accuracy {test[0]:.1f} % and {test[-1]:.1f} %, and the rank correlation of "
        f"training accuracy with the layer is at most {at_most(max(order), 2)} in each of {len(found)} networks",
        seen=max(order) < 0 and bool((found[:, 0] > found[:, -1]).all()),
    )


def _arc_observations(arcs: Mapping[float, Course]) -> list[Observation]:
    found = []
    for variance, grows in zip(arcs, (True, False)):
        ends = arcs[variance].last[:, [0, -1]]
        ratio = ends[:, 1] / ends[:, 0]
        found.append(
            Observation(
                published=f"for sigma_w^2 = {variance:g} training makes the arc between two images "
                f"{'longer' if grows else 'shorter'} (Raghu et al. 2017)",
                measured=f"for sigma_w^2 = {variance:g} training takes the growth of the arc from "
                f"{ends[:, 0].mean():.2f} to {ends[:, 1].mean():.2f}, ratio {ratio.min():.2f} to {ratio.max():.2f} "
                f"by network, at {arcs[variance].accuracy[:, 0].mean():.1f} % of the training images",
                seen=bool((ratio > 1).all() if grows else (ratio < 1).all()),
            )
        )
    return found


def _kind_observations(kinds: Mapping[str, Course]) -> list[Observation]:
    plain = kinds[PLAIN].last[:, -1]
    found = []
    for name in (NORM, REGULARISED):
        ratio = kinds[name].last[:, -1] / plain
        found.append(
            Observation(
                published=f"{name} makes trajectories shorter (Raghu et al. 2017, section 3)",
                measured=f"after training with {name} the arc has {ratio.mean():.2f} of the length that it has "
                f"without, {ratio.min():.2f} to {ratio.max():.2f} by network",
                seen=bool((ratio < 1).all()),
            )
        )
    test = {name: float(one.accuracy[:, 1].mean()) for name, one in kinds.items()}
    found.append(
        Observation(
            published=f"{REGULARISED} performs as {NORM} does (Raghu et al. 2017, section 3)",
            measured=f"test accuracy is {test[REGULARISED]:.1f} % with {REGULARISED}, {test[NORM]:.1f} % with {NORM} "
            f"and {test[PLAIN]:.1f} % with neither",
            seen=test[REGULARISED] >= test[NORM] - SAME,
        )
    )
    return found


def _ranks(values: FloatArray) -> list[float]:
    """Spearman's rank correlation of each row with its index."""
    return [float(spearmanr(np.arange(len(row)), row).statistic) for row in values]


def _numbers(
    noisy: NoiseRuns,
    single: FloatArray,
    arcs: Mapping[float, Course],
    kinds: Mapping[str, Course],
) -> Mapping[str, object]:
    return {
        "noise": {"clean": noisy.clean.tolist(), "accuracy": noisy.noisy.tolist(), "moved": noisy.moved.tolist()},
        "one_layer": {"train": single[:, :, 0].tolist(), "test": single[:, :, 1].tolist()},
        "arcs": {f"{variance:g}": _course(one) for variance, one in arcs.items()},
        "kinds": {name: _course(one) for name, one in kinds.items()},
    }


def _course(one: Course) -> Mapping[str, object]:
    return {"epochs": list(one.epochs), "growth": one.growth.tolist(), "accuracy": one.accuracy.tolist()}


def _tables(settings: Settings, noisy: NoiseRuns, single: FloatArray, kinds: Mapping[str, Course]) -> Sequence[Table]:
    accuracy = noisy.noisy.mean(axis=0)
    return (
        Table(
            caption="Test accuracy in % with noise on the weights of one layer, mean over "
            f"{settings.seeds} networks and {settings.noise_trials} trials; {noisy.clean.mean():.1f} without noise.",
            head=["deviation", *(f"layer {k + 1}" for k in range(accuracy.shape[1]))],
            rows=[
                [f"{deviation:g}", *(f"{x:.1f}" for x in row)]
                for deviation, row in zip(settings.noise_deviations, accuracy)
            ],
        ),
        Table(
            caption="Accuracy in % where one hidden layer alone is trained, mean over the networks.",
            head=["images", *(f"layer {k + 2}" for k in range(single.shape[1]))],
            rows=[
                [name, *(f"{x:.1f}" for x in single[:, :, k].mean(axis=0))]
                for k, name in enumerate(("training", "test"))
            ],
        ),
        Table(
            caption="Kinds of training: accuracy in %, and the growth of arcs up to the last hidden layer before and "
            "after; mean (least to most).",
            head=["training", "training images", "test images", "growth before", "growth after"],
            rows=[
                [name, *(_spread(column) for column in (*one.accuracy.T, one.last[:, 0], one.last[:, -1]))]
                for name, one in kinds.items()
            ],
        ),
    )


def _spread(values: FloatArray) -> str:
    digits = 1 if values.mean() > 20 else 2
    return f"{values.mean():.{digits}f} ({values.min():.{digits}f} to {values.max():.{digits}f})"


def _pictures(
    settings: Settings,
    noisy: NoiseRuns,
    single: FloatArray,
    arcs: Mapping[float, Course],
    kinds: Mapping[str, Course],
) -> Sequence[Picture]:
    return (
        Picture(
            name="noise",
            caption="Accuracy with noise on the weights of one layer of trained networks",
            draw=lambda figure: pictures.noise(figure, settings.noise_deviations, noisy),
            size=(6.4, 4.0),
        ),
        Picture(
            name="one-layer",
            caption="Accuracy where one hidden layer alone is trained",
            draw=lambda figure: pictures.one_layer(figure, single),
            size=(6.4, 4.0),
        ),
        Picture(
            name="training",
            caption="Growth of an arc between two images during training, for small and large weights",
            draw=lambda figure: pictures.training(figure, arcs),
            size=(9.0, 4.0),
        ),
        Picture(
            name="kinds",
            caption="Growth of an arc during and after three kinds of training",
            draw=lambda figure: pictures.kinds(figure, kinds),
            size=(9.0, 4.0),
        ),
    )


def _notes(settings: Settings, data: Data, noisy: NoiseRuns) -> Sequence[str]:
    # layers of one shape, at the least noise
    fits = [exponential(row[::-1]) for row in noisy.moved[:, 0, 1:-1]]
    held = "MNIST" if settings.data == "mnist" else "the digits of scikit-learn (8 x 8 pixels)"
    return (
        "Published in part with convolutional networks on CIFAR-10, which is not at hand: this ran on fully connected "
        f"networks and {held}.",
        f"In the trained ReLU networks noise of deviation {settings.noise_deviations[0]:g} moves the output "
        f"{np.mean([factor for factor, _ in fits]):.2f} times as far with every further layer after it (R^2 of the "
        f"exponential {np.mean([r for _, r in fits]):.2f}): a ReLU passes on any scale, so that at the start "
        "no layer's noise is amplified more than another's. The exponential growth is that of hard tanh.",
        "Single layers are trained from hidden layer 2 on, so that each has the same number of weights "
        f"({settings.width} x {settings.width}); activations are hard tanh there, "
        "in untrained networks and for the arcs, ReLU elsewhere.",
        f"Lengths are those of {len(data.first)} arcs cos(s) x_0 + sin(s) x_1 between test images of two classes, "
        "behind the last hidden layer and relative to the input; batch normalisation is taken as in use, by running "
        "statistics, and folded into the network.",
        "Weights are drawn from N(0, sigma_w^2 / k), k the inputs of the layer; sigma_w^2 is 2 where it is not said.",
        "The regulariser is lambda times the sum over hidden layers of the mini-batch's length over that of the first "
        "mini-batch.",
        REPEATED,
    )
