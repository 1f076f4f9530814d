"""What was measured beside what was published, in words, tables and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.expressivity.few_patterns.course import QUANTITIES, Course
from benchmarks.expressivity.few_patterns.memory import Level, Task
from benchmarks.expressivity.few_patterns.pictures import name
from benchmarks.expressivity.few_patterns.scales import FACTORS, Lemma, Scale
from benchmarks.expressivity.few_patterns.start import Depth, Size
from benchmarks.expressivity.finding import Observation, Part, Table
from benchmarks.expressivity.fits import line_through
from reludsl.backend import FloatArray

FEW = "Hanin and Rolnick 2019b"
COMPLEXITY = "Hanin and Rolnick 2019a"

HALF = 0.1
"""How far from 1/2 a count / N^2 is still about 1/2."""

SAME = 1.25
"""Largest mean over smallest, for counts that hardly depend on depth."""

FACTOR = 2.0
"""What counts change by at most where they are said to stay of their size."""

ERRORS = 2.0
"""How many standard errors a mean over runs is away from 0, where it is said to differ from it."""

MEMORISED = 99.0
"""% of the labels."""

NOTES = (
    "N is the number of hidden neurons, n that of the dimensions. Hanin and Rolnick 2019a is Complexity of linear "
    "regions in deep networks (ICML), 2019b is Deep ReLU networks have surprisingly few activation patterns "
    "(NeurIPS).",
    "A published summary (the seed talk on figure 1 of Hanin and Rolnick 2019b) calls [20, 20, 20] a 2-layer network; "
    "it has three hidden layers.",
    "The same summary says that scaling the weights of all layers is scaling the biases by one number, so that Lemma 6 "
    "leaves the number of regions as it is. Weights times c are biases of layer l times c^-l, a different number for "
    "each layer, of which Lemma 6 says nothing: the counts of the single networks change (table of the lemma), their "
    "mean hardly does.",
    "Lemma 6 needs a positive number, and is about all of R^n: in a fixed box the count changes unless the box is "
    "scaled along.",
    "Activation patterns and linear regions are said in published summaries to correspond one to one. They do not: "
    "neighbouring patterns may have the same affine map, and one map may live on several regions (Lemma 3 is an "
    "inequality). Counted here are activation patterns whose region in the slice has an interior.",
    "About N^2 / 2 regions is what is counted in the whole plane through three images. In the square around them of "
    "half-side 1.25 circumradii there are fewer; both are given.",
    "C_grad bounds the moments of the norms of the neurons' gradients, C_bias the density of the biases. C_grad is "
    "measured: the expectation is a mean over networks and the neurons of a layer, the supremum is over "
    "points of the slice, moments go up to the dimension of the slice. So the bound is evaluated at an estimate that "
    "may be below the true constant. The factor 2^5 of T is not stated in the texts at hand and still to be verified; "
    "2 C_grad C_bias of segments is the volume form of Hanin and Rolnick 2019a.",
    "Density grows with gradients where biases are what keeps boundaries away. With biases as small as the published "
    "ones, of variance 1e-6, every boundary passes near 0 already, and steeper neurons change nothing.",
    "In the whole plane one hidden layer of N units in general position has 1 + N + N (N - 1) / 2 regions whatever it "
    "learns, so that only deeper networks can show the dip.",
)


def of_start(depths: Sequence[Depth], sizes: Sequence[Size], scales: Sequence[Scale], lemma: Lemma) -> Part:
    """Of networks at initialisation."""
    means = np.array([one.whole.mean() for one in depths])
    neurons = np.array([one.neurons for one in sizes], dtype=np.float64)
    crossed = np.array([one.regions.mean() for one in sizes])
    distance = np.array([one.distance.mean() for one in sizes])
    fit, decay = line_through(neurons, crossed), line_through(np.log(neurons), np.log(distance))
    wide = [one for one in scales if one.bias_scale == max(s.bias_scale for s in scales)]
    order = float(spearmanr([s.gradient.mean() for s in wide], [s.per_area.mean() for s in wide]).statistic)
    density = [s.per_area.mean() for s in wide]
    least = min(s.bias_scale for s in scales)
    narrow = [s.per_area.mean() for s in scales if s.bias_scale == least]
    whole = np.array([s.whole.mean() for s in scales])
    loose = np.array([float(s.bound.bound) / s.regions for s in scales])
    along = np.array([s.crossings / float(s.along.bound) for s in scales])
    needed = np.array([s.bound.needed for s in scales])
    observations = [
        Observation(
            published=f"At initialisation about N^2 / 2 regions in a plane through three images ({FEW}, figure 1)",
            measured=f"planes at the start have {means.min():.3f} to {means.max():.3f} N^2 regions by architecture, "
            f"{means.mean():.3f} on average",
            seen=bool((np.abs(means - 0.5) <= HALF).all()),
        ),
        Observation(
            published=f"The number hardly depends on depth at the same number of neurons ({FEW})",
            measured=f"depths {min(len(d.widths) for d in depths)} to {max(len(d.widths) for d in depths)} differ by a "
            f"factor of {means.max() / means.min():.2f}",
            seen=bool(means.max() / means.min() <= SAME),
        ),
        Observation(
            published=f"A segment crosses a number of regions that is linear in the number of neurons ({COMPLEXITY})",
            measured=f"segments cross {fit.slope:.3f} N {'-+'[bool(fit.offset >= 0)]} {abs(fit.offset):.2f} regions "
            f"with R² = {fit.r_squared:.4f} over {len(sizes)} sizes",
            seen=fit.slope > 0 and fit.r_squared >= 0.95,
        ),
        Observation(
            published=f"The distance to the nearest boundary falls like 1 / N, its lower bound ({COMPLEXITY})",
            measured=f"the distance falls like N^{decay.slope:.2f} (R² = {decay.r_squared:.3f})",
            seen=abs(decay.slope + 1) <= 0.2,
        ),
        Observation(
            published=f"Local density of regions grows with the norm of gradients ({FEW})",
            measured=f"over weight variances {wide[0].variance:g} to {wide[-1].variance:g} at bias scale "
            f"{wide[0].bias_scale:g} the gradient grows {wide[-1].gradient.mean() / wide[0].gradient.mean():.1f} times "
            f"and the density {density[-1] / density[0]:.1f} times, rank correlation {order:.2f}; "
            f"at bias scale {least:g} the density grows {narrow[-1] / narrow[0]:.2f} times",
            seen=order >= 0.8,
        ),
        Observation(
            published=f"The variance of the initialisation does not change the global number of regions ({FEW})",
            measured=f"whole planes have {whole.min():.3f} to {whole.max():.3f} N^2 over all variances",
            seen=bool(whole.max() / whole.min() <= SAME),
        ),
        Observation(
            published=f"N(x; c b) = c N(x / c; b): scaling all biases keeps the regions of R^n ({FEW}, Lemma 6)",
            measured=f"{lemma.checks - lemma.unequal} of {lemma.checks} pairs of counts, with biases and with scaled "
            "ones, are equal",
            seen=lemma.unequal == 0,
        ),
        Observation(
            published=f"At most (T N)^n / n! regions per volume are expected, T = 2^5 C_grad C_bias ({FEW})",
            measured=f"the bound on regions is {loose.min():.2g} to {loose.max():.2g} times the mean count, and tight "
            f"for T from {needed.min():.2g} to {needed.max():.2g}",
            seen=bool((loose >= 1).all()),
        ),
        Observation(
            published=f"At most 2 C_grad C_bias N breakpoints per length are expected on a line ({COMPLEXITY})",
            measured=f"breakpoints of segments are {along.min():.2g} to {along.max():.2g} times their bound",
            seen=bool((along <= 1).all()),
        ),
    ]
    return Part(observations, _start_numbers(depths, sizes, scales, lemma), _start_tables(depths, scales, lemma))


def _start_tables(depths: Sequence[Depth], scales: Sequence[Scale], lemma: Lemma) -> list[Table]:
    return [
        Table(
            caption="Regions / N^2 at initialisation: mean and standard deviation over runs.",
            head=["widths", "whole plane", "square of 1.25 circumradii"],
            rows=[[name(d.widths), _spread(d.whole), _spread(d.square)] for d in depths],
        ),
        Table(
            caption="Initialisation: weight variance times inputs, standard deviation of biases. Density is regions of "
            "the square per area, the gradient is that of neurons in the plane, T is what the bound holds with, then "
            "what would make it tight, and last the breakpoints of a segment over their bound.",
            head=[
                "variance",
                "bias",
                "density",
                "whole / N^2",
                "gradient",
                "C_grad",
                "T",
                "T tight",
                "segment / bound",
            ],
            rows=[
                [
                    f"{s.variance:g}",
                    f"{s.bias_scale:g}",
                    f"{s.per_area.mean():.3g}",
                    f"{s.whole.mean():.3f}",
                    f"{s.gradient.mean():.3g}",
                    f"{s.c_grad:.3g}",
                    f"{s.bound.transitions:.3g}",
                    f"{s.bound.needed:.3g}",
                    f"{s.crossings / float(s.along.bound):.2g}",
                ]
                for s in scales
            ],
        ),
        Table(
            caption="Regions of R^2 of networks of two inputs, and after all their weights were multiplied; "
            "multiplying all biases changes none of them.",
            head=["network", "as drawn", *(f"weights x {c:g}" for c in FACTORS)],
            rows=[
                [str(k + 1), str(plain), *map(str, row)]
                for k, (plain, row) in enumerate(zip(lemma.plain, lemma.weights))
            ],
        ),
    ]


def _start_numbers(
    depths: Sequence[Depth], sizes: Sequence[Size], scales: Sequence[Scale], lemma: Lemma
) -> dict[str, Any]:
    return {
        "depths": [
            {"widths": list(d.widths), "whole": d.whole.tolist(), "square": d.square.tolist(), "odd": d.odd}
            for d in depths
        ],
        "sizes": [
            {"widths": list(s.widths), "regions": s.regions.tolist(), "distance": s.distance.tolist()} for s in sizes
        ],
        "initialisation": [
            {
                "variance": s.variance,
                "bias_scale": s.bias_scale,
                "per_area": s.per_area.tolist(),
                "whole": s.whole.tolist(),
                "gradient": s.gradient.tolist(),
                "c_grad": s.c_grad,
                "regions": s.regions,
                "bound": float(s.bound.bound),
                "transitions": s.bound.transitions,
                "transitions_needed": s.bound.needed,
                "crossings": s.crossings,
                "crossings_bound": float(s.along.bound),
            }
            for s in scales
        ],
        "lemma": {"checks": lemma.checks, "unequal": lemma.unequal, "plain": lemma.plain, "weights": lemma.weights},
    }


def of_training(courses: Sequence[Course]) -> Part:
    """Of networks during training."""
    deep = [one for one in courses if len(one.widths) > 1]
    by_run = np.mean([one.whole for one in deep], axis=0)
    lows, fall, back = dip(by_run)
    spread = np.array([one.whole.mean(axis=0) / one.whole[:, 0].mean() for one in courses])
    segment = np.array([one.segment.mean(axis=0) / one.segment[:, 0].mean() for one in courses])
    distance = np.array([one.distance.mean(axis=0) / one.distance[:, 0].mean() for one in courses])
    ends = np.array([one.whole[:, -1].mean() for one in deep])
    right = [one.accuracy[:, -1].mean() for one in courses]
    epochs = courses[0].epochs
    observations = [
        Observation(
            published=f"During training the number of regions dips and comes back ({FEW}, figure 1)",
            measured=f"in training, networks of two layers or more have {by_run[:, 0].mean():.3f} N^2 regions at the "
            f"start, {_with_error(fall)} fewer after {_range([epochs[k] for k in lows])} epochs, where the other runs "
            f"have fewest, and from there to epoch {epochs[-1]} {_with_error(back)} are added (means over "
            f"{len(by_run)} runs and their standard errors), with {min(right):.1f} to {max(right):.1f} % accuracy",
            seen=_positive(fall) and _positive(back),
        ),
        Observation(
            published=f"During training it stays of the same size, and never grows exponentially ({FEW})",
            measured=f"regions of planes are {spread.min():.2f} to {spread.max():.2f} times those of the start, in "
            "every architecture",
            seen=bool(spread.max() <= FACTOR and spread.min() >= 1 / FACTOR),
        ),
        Observation(
            published=f"After training too it hardly depends on depth ({FEW})",
            measured=f"at the end there are {ends.min():.3f} to {ends.max():.3f} N^2 by architecture",
            seen=bool(ends.max() / ends.min() <= SAME),
        ),
        Observation(
            published=f"The regions crossed by a segment stay roughly as many during training ({COMPLEXITY})",
            measured=f"segments cross {segment.min():.2f} to {segment.max():.2f} times as many as at the start",
            seen=bool(segment.max() <= FACTOR and segment.min() >= 1 / FACTOR),
        ),
        Observation(
            published=f"The distance to the nearest boundary stays of the order 1 / N during training ({COMPLEXITY})",
            measured=f"the distance is {distance.min():.2f} to {distance.max():.2f} times that at the start",
            seen=bool(distance.max() <= 10 and distance.min() >= 0.1),
        ),
    ]
    table = Table(
        caption="During training: regions / N^2 in whole planes and squares, regions crossed by a segment / N, "
        "distance to the nearest boundary times N; at the start, where whole planes have fewest on average, which is "
        "picked among the epochs afterwards, at the end.",
        head=["widths", "whole", "square", "segment", "distance x N", "test accuracy in %"],
        rows=[_course_row(one) for one in courses],
    )
    numbers = [
        {"widths": list(one.widths), "epochs": one.epochs, **{q: getattr(one, q).tolist() for q in QUANTITIES}}
        for one in courses
    ]
    found = {"epochs": [epochs[k] for k in lows], "fall": fall.tolist(), "back": back.tolist()}
    return Part(observations, {"training": numbers, "dip": found}, [table])


def dip(whole: FloatArray) -> tuple[list[int], FloatArray, FloatArray]:
    """Of each run: where the mean of all others is lowest, by how much it fell until there, and rose from there on.

    The lowest of noisy values is lower than what it is drawn from, and what comes after it seems to rise. The lowest
    place of the others has nothing of a run's own noise, so that a level course rises by 0 on average.

    Args:
        whole: (runs, e), two runs at least.

    >>> dip(np.array([[5.0, 1.0, 2.0], [5.0, 3.0, 4.0]]))
    ([1, 1], array([4., 2.]), array([1., 1.]))
    """
    others = (whole.sum(axis=0) - whole) / (len(whole) - 1)
    lows = others.argmin(axis=1)
    at = whole[np.arange(len(whole)), lows]
    return lows.tolist(), whole[:, 0] - at, whole[:, -1] - at


def _error(values: FloatArray) -> float:
    """Standard error of the mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _positive(values: FloatArray) -> bool:
    return bool(values.mean() > ERRORS * _error(values))


def _with_error(values: FloatArray) -> str:
    return f"{values.mean():.4f} ± {_error(values):.4f}"


def _range(values: Sequence[int]) -> str:
    least, most = min(values), max(values)
    return f"{least}" if least == most else f"{least} to {most}"


def _course_row(one: Course) -> list[str]:
    low = int(one.whole.mean(axis=0).argmin())
    scaled = one.distance * sum(one.widths)
    cells = [
        ", ".join(f"{values[:, at].mean():.3f}" for at in (0, low, -1))
        for values in (one.whole, one.square, one.segment, scaled)
    ]
    return [name(one.widths), *cells, f"{one.accuracy[:, -1].mean():.1f}"]


def of_memory(levels: Sequence[Level], tasks: Sequence[Task]) -> Part:
    """Of networks that learn by heart."""
    ends = np.array([one.whole[:, -1].mean() for one in levels])
    right = np.array([one.accuracy[:, -1].mean() for one in levels])
    held = [one for one in tasks if one.accuracy.mean() >= MEMORISED]
    lost = [one for one in tasks if one.accuracy.mean() < MEMORISED]
    growth = held[-1].after.mean() / held[0].after.mean() if held else float("nan")
    observations = [
        Observation(
            published=f"The more labels are random, the more regions, but only slightly ({FEW}, figure 2)",
            measured="networks that learn random labels end with "
            + ", ".join(
                f"{end:.3f} N^2 at {one.level:.0%} ({share:.1f} % learnt)"
                for one, end, share in zip(levels, ends, right)
            ),
            seen=bool(ends[-1] > ends[0] and ends[-1] <= FACTOR * ends[0]),
        ),
        Observation(
            published=f"Memorising random points raises the number slightly, until training fails ({FEW}, figure 3)",
            measured=(
                f"{held[0].size} to {held[-1].size} points are memorised with {growth:.2f} times the regions"
                if held
                else "no set of points is memorised"
            )
            + (
                f", of {lost[-1].size} points {lost[-1].accuracy.mean():.0f} % are learnt"
                if lost
                else ", and none fails"
            ),
            seen=bool(len(held) > 1 and lost and 1 < growth <= FACTOR),
        ),
    ]
    table = Table(
        caption="Random points of [-1, 1]^2 with random labels, 0 or 1: regions / N^2 of the square, and deviation.",
        head=["points", "before", "after", "labels learnt in %"],
        rows=[[str(t.size), _spread(t.before), _spread(t.after), f"{t.accuracy.mean():.1f}"] for t in tasks],
    )
    numbers = {
        "corruption": [
            {"level": o.level, "epochs": o.epochs, "whole": o.whole.tolist(), "accuracy": o.accuracy.tolist()}
            for o in levels
        ],
        "random_points": [
            {"size": t.size, "before": t.before.tolist(), "after": t.after.tolist(), "accuracy": t.accuracy.tolist()}
            for t in tasks
        ],
    }
    return Part(observations, numbers, [table])


def _spread(values: Any) -> str:
    return f"{values.mean():.3f} ± {values.std():.3f}"
