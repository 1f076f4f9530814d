"""The study of sawtooth networks: what it runs, and what it says of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import spearmanr

from benchmarks.expressivity.finding import Finding, Observation, Part, Picture, Table
from benchmarks.expressivity.sawtooth import anti, pictures
from benchmarks.expressivity.sawtooth.construction import FORMS, SUBSETS, Built, built, by_layer, perturbed, pieces
from benchmarks.expressivity.sawtooth.relearning import Look, random_start, relearned, side_by_side
from benchmarks.expressivity.training import Fit, threads
from benchmarks.published.training import Say
from reludsl.backend import FloatArray
from reludsl.expressivity import multiplicative
from reludsl.networks import sawtooth

SOURCE = "Jeong, Barton and Ramirez, ICERM 2020"
WIDER = 8
"""Random starts of the sawtooth's own widths, 2 and 1, are constant as a rule; of those that are wider, fewer are."""
NINE = tuple(k / 100 for k in range(1, 10))


@dataclass(frozen=True)
class Settings:
    """What the study runs with.

    Args:
        n: 2^n pieces.
        variances, trials: of the noise, and how many draws of it.
        starts: variances of the starts that are trained, `trials` networks each, besides as many random ones.
        iterations, every, batch, rate: of Adam, and how often pieces are counted.
        width, penalty, seeds, points, epochs: of the networks with the penalty for lines that do not cross.
    """

    n: int = 6
    variances: tuple[float, ...] = NINE
    trials: int = 10
    starts: tuple[float, ...] = (0.0001, 0.01, 0.03, 0.06, 0.09)
    iterations: int = 1000
    every: int = 100
    batch: int = 10
    rate: float = 1e-3
    width: int = 8
    penalty: float = 0.01
    seeds: int = 5
    points: int = 512
    epochs: int = 30


DEFAULT = Settings()
FULL = Settings(starts=(0.0001, *NINE), every=20, width=16, seeds=10, epochs=100)


def study(settings: Settings = DEFAULT, seed: int = 0, say: Say = lambda text: None) -> Finding:
    """Construction and perturbation; with torch, learning it again and anti-regularisation."""
    found = construction(settings, say) + perturbation(settings, seed, say)
    notes = [
        "The slides write w_2 relu(W_1 x + b_1) + b_2 = w_2' ((W_1 x + b_1) + b_2) for a unit of the second layer, "
        "given the pattern of the first; it must read w_2' (W_1 x + b_1) + b_2.",
        "Of the published figures the axes are legible and the curves are not, and they do not say how the networks "
        "were trained; here by Adam. An affine piece is a maximal interval on which the function is affine, counted "
        "exactly, however short; so noise that lifts a tooth off zero, or cuts it, adds pieces.",
    ]
    if importlib.util.find_spec("torch") is None:
        notes.append("torch is not installed (pip install torch): learning again and anti-regularisation are left out.")
    else:
        with threads(1):
            found += learning(settings, seed, say) + crossing(settings, seed, say)
        notes.append(
            "Anti-regularisation is suggested on the slides without a result. Here the task is |s(x) - s(y)| on a "
            "square, with the tent s; the penalty is `reludsl.expressivity.intersection_penalty`. Lines that nearly "
            "meet in a point satisfy it, with many small regions there: the area of the smaller half and the error "
            "stand beside their number."
        )
    return Finding(
        name="sawtooth",
        title="Sawtooth networks: exponentially many pieces, and how they are lost",
        settings=asdict(settings) | {"seed": seed},
        observations=found.observations,
        numbers=found.numbers,
        tables=found.tables,
        pictures=found.pictures,
        notes=notes,
    )


def construction(settings: Settings, say: Say) -> Part:
    """Both forms for n = 1, ..., settings.n."""
    found = built(settings.n)
    say(f"{len(found)} sawtooths counted")

    def right(one: Built) -> bool:
        return one.regions == one.pieces == 2**one.n and one.exact and one.even

    seen = all(map(right, found))
    verdict = "proved, equally long" if seen else "not all of them proved and equally long"
    last = [one for one in found if one.n == settings.n]
    measured = f"{' and '.join(f'{one.pieces} ({one.form}, {one.units} units)' for one in last)} pieces for n = " + (
        f"{settings.n}, {verdict}, and likewise for all smaller n" if seen else f"{settings.n}, {verdict}"
    )
    published = f"The mirror map composed n times has 2^n equally long affine pieces on [0, 1] ({SOURCE})."
    return Part(
        [Observation(published=published, measured=measured, seen=seen)],
        {"construction": [one._asdict() for one in found]},
    )


def perturbation(settings: Settings, seed: int, say: Say) -> Part:
    """Mean pieces left, for forms and subsets of parameters; the same numbers as standard deviations; by layer."""
    original = 2**settings.n
    deviations = [variance**0.5 for variance in settings.variances]
    counts: dict[str, dict[str, FloatArray]] = {}
    read: dict[str, FloatArray] = {}
    for form, merged in FORMS.items():
        network = sawtooth(settings.n, merged)
        counts[form] = {
            name: perturbed(network, deviations, settings.trials, seed, subset) for name, subset in SUBSETS.items()
        }
        read[form] = perturbed(network, settings.variances, settings.trials, seed, {}).mean(axis=1)
        say(f"{form} form perturbed")
    middle = settings.variances[len(settings.variances) // 2]
    layers = by_layer(sawtooth(settings.n), middle**0.5, settings.trials, seed)
    means = {form: found["all"].mean(axis=1) for form, found in counts.items()}
    trends = {form: float(spearmanr(settings.variances, mean).statistic) for form, mean in means.items()}
    seen = all(mean.max() < original and trends[form] <= -0.9 for form, mean in means.items())
    low, high = settings.variances[0], settings.variances[-1]
    measured = (
        ", ".join(
            f"{mean[0]:.1f} of {original} pieces are left at {low:g} and {mean[-1]:.1f} at {high:g}, {form}"
            for form, mean in means.items()
        )
        + f" (rank correlation with the variance {', '.join(f'{t:.2f}' for t in trends.values())}; "
        f"{settings.trials} draws)"
    )
    head = ["form", "noise on", *(f"{variance:g}" for variance in settings.variances)]
    rows = [
        [form, name, *(f"{mean:.1f}" for mean in found.mean(axis=1))]
        for form, subsets in counts.items()
        for name, found in subsets.items()
    ]
    rows += [[form, "all, as deviations", *(f"{mean:.1f}" for mean in found)] for form, found in read.items()]
    caption = (
        f"Affine pieces on [0, 1] left of {original}, mean of {settings.trials} draws, by variance of the noise; in "
        "the last rows the same numbers are standard deviations."
    )
    return Part(
        [
            Observation(
                published=f"Sawtooth networks fall apart with mild variance on the weights ({SOURCE}).",
                measured=measured,
                seen=seen,
            )
        ],
        {
            "pieces_left": {f: {name: found.tolist() for name, found in s.items()} for f, s in counts.items()},
            "pieces_left_as_deviations": {form: found.tolist() for form, found in read.items()},
            "pieces_left_by_layer": layers.tolist(),
        },
        [
            Table(caption=caption, head=head, rows=rows),
            Table(
                caption=f"The same where one layer of the composed form alone has noise, of variance {middle:g}.",
                head=["layer", *map(str, range(len(layers)))],
                rows=[["pieces", *(f"{mean:.1f}" for mean in layers)]],
            ),
        ],
        [
            Picture(
                name="variance",
                caption="Affine pieces left against the variance of the noise",
                draw=pictures.against_variance(settings.variances, counts, original),
            )
        ],
    )


def learning(settings: Settings, seed: int, say: Say) -> Part:
    """The composed form trained from perturbed and from random starts."""
    target, original, trials = sawtooth(settings.n), 2**settings.n, settings.trials
    names = [*(f"variance {variance:g}" for variance in settings.starts), "random", f"random, {WIDER} times as wide"]
    starts = [multiplicative(target, v**0.5, seed + trial) for v in settings.starts for trial in range(trials)]
    starts += [random_start(target, seed + trial) for trial in range(trials)]
    wide = [random_start(target, seed + trial, WIDER) for trial in range(trials)]
    when = range(0, settings.iterations + 1, settings.every)
    looks: list[Look] = []
    counted = []
    both = (relearned(group, target, when, settings.batch, settings.rate, seed) for group in (starts, wide))
    for look in side_by_side(*both):
        looks.append(look)
        counted.append([pieces(network) for network in look.networks])
        say(f"iteration {look.iteration}: {np.mean(counted[-1]):.1f} pieces, error {look.losses.mean():.3f}")
    groups = dict(zip(names, np.moveaxis(np.array(counted).reshape(len(looks), -1, trials), 1, 0)))
    ends = {
        name: np.stack([looks[0].losses, looks[-1].losses]).reshape(2, -1, trials)[:, k].mean(axis=1)
        for k, name in enumerate(names)
    }
    published = [name for name, v in zip(names, settings.starts) if v in NINE]
    observations = []
    for words, chosen in (
        ("Trained from perturbed versions of it, the sawtooth is not retained", published),
        ("Nor do networks that start at random learn it", names[-2:]),
    ):
        before, after = (np.concatenate([groups[name][k] for name in chosen]) for k in (0, -1))
        error = np.mean([ends[name] for name in chosen], axis=0)
        whole = int((after >= original).sum())
        observations.append(
            Observation(
                published=f"{words} ({SOURCE}).",
                measured=f"from {before.mean():.1f} pieces on average at the start ({', '.join(chosen)}), "
                f"{after.mean():.1f} are there after {settings.iterations:,} iterations, and {original} or more in "
                f"{whole} of {len(after)} networks, with a mean squared error from {error[0]:.3f} to {error[1]:.3f} "
                f"(the constant 1/2 has {1 / 12:.3f})",
                seen=bool(after.mean() < original and 2 * whole < len(after)),
            )
        )
    shown = {name: (looks[0].networks[k * trials], looks[-1].networks[k * trials]) for k, name in enumerate(names)}
    return Part(
        observations,
        {
            "learning": {
                name: {
                    "pieces": found.tolist(),
                    "errors": [look.losses.reshape(-1, trials)[k].tolist() for look in looks],
                }
                for k, (name, found) in enumerate(groups.items())
            },
            "learning_at": list(when),
        },
        [
            Table(
                caption=f"Training the composed form on the sawtooth of {original} pieces: mean of {trials} networks.",
                head=[
                    "start",
                    "pieces before",
                    "pieces after",
                    f"with {original} or more",
                    "constant",
                    "error before",
                    "after",
                ],
                rows=[
                    [
                        name,
                        f"{found[0].mean():.1f}",
                        f"{found[-1].mean():.1f}",
                        f"{int((found[-1] >= original).sum())} of {trials}",
                        f"{int((found[-1] == 1).sum())} of {trials}",
                        *(f"{error:.4f}" for error in ends[name]),
                    ]
                    for name, found in groups.items()
                ],
            )
        ],
        [
            Picture(
                name="learning",
                caption="Affine pieces and error while the sawtooth is learned again",
                draw=pictures.against_iteration(groups, looks, original),
            ),
            Picture(
                name="functions",
                caption="What the first network of each group computes before and after training",
                draw=pictures.functions(target, shown),
                size=(9.0, 5.0),
            ),
        ],
    )


def crossing(settings: Settings, seed: int, say: Say) -> Part:
    """Networks of two inputs trained with and without the penalty."""
    how = Fit(epochs=settings.epochs, batch=64, rate=1e-2)
    seeds = range(seed, seed + settings.seeds)
    runs = anti.trained(settings.width, (0.0, settings.penalty), seeds, settings.points, how, say)
    plain, with_it = ([run for run in runs if run.weight == w] for w in (0.0, settings.penalty))

    def mean(chosen: Sequence[anti.Trained], name: str) -> FloatArray:
        """Before and after."""
        return np.asarray(np.mean([getattr(run, name) for run in chosen], axis=0))

    more = sum(bool(a.regions[1] > max(b.regions[1], a.regions[0])) for a, b in zip(with_it, plain))
    regions, inside = mean(with_it, "regions"), mean(with_it, "crossings")[:, 1, 1]
    return Part(
        [
            Observation(
                published=f"A penalty on lines that do not cross inside their region lets networks of two inputs and "
                f"two hidden layers learn more complex functions ({SOURCE}, as a suggestion).",
                measured=f"with it regions go from {regions[0]:.1f} to {regions[1]:.1f} in training and crossings in "
                f"the second layer from {inside[0]:.1f} to {inside[1]:.1f}, without it regions to "
                f"{mean(plain, 'regions')[1]:.1f}; more regions in {more} of {settings.seeds} seeds, at a mean "
                f"squared error of {mean(with_it, 'losses')[1]:.4f} against {mean(plain, 'losses')[1]:.4f}",
                seen=more == settings.seeds,
            )
        ],
        {
            "anti_regularisation": [
                {
                    "seed": run.seed,
                    "penalty": run.weight,
                    "regions": run.regions.tolist(),
                    "crossings": run.crossings.tolist(),
                    "area_of_the_smaller_half": run.small.tolist(),
                    "errors": run.losses.tolist(),
                }
                for run in runs
            ]
        },
        [
            Table(
                caption=f"Networks 2-{settings.width}-{settings.width}-1, mean of {settings.seeds} seeds; crossings by "
                "the layers of the two lines; the area that the smaller half of the regions has together.",
                head=["", "regions", "1 and 1", "1 and 2", "2 and 2", "smaller half", "error"],
                rows=[
                    [
                        name,
                        f"{mean(chosen, 'regions')[at]:.1f}",
                        *(f"{mean(chosen, 'crossings')[at][a, b]:.1f}" for a, b in ((0, 0), (0, 1), (1, 1))),
                        f"{mean(chosen, 'small')[at]:.1%}",
                        f"{mean(chosen, 'losses')[at]:.4f}",
                    ]
                    for name, chosen, at in (
                        ("before", plain, 0),
                        ("trained", plain, 1),
                        (f"trained with penalty {settings.penalty:g}", with_it, 1),
                    )
                ],
            )
        ],
        [
            Picture(
                name="crossings",
                caption="The regions of one network before training, and after it without and with the penalty",
                draw=pictures.maps(runs),
                size=(11.0, 4.0),
            )
        ],
    )
