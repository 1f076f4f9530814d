"""Study 1: length of trajectories against depth, transitions against length, patterns against depth, width and inputs.

Raghu et al. 2017, sections 2 and 3: arcs between two images through random networks, everything exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.expressivity import patterns
from benchmarks.expressivity.convolutional import convolutional
from benchmarks.expressivity.finding import Finding, Observation, Picture, Table
from benchmarks.expressivity.fits import at_least, line_through
from benchmarks.expressivity.images import at_hand, images
from benchmarks.expressivity.patterns import Counted, counted
from benchmarks.published.training import Say
from reludsl.backend import FloatArray
from reludsl.expressivity import hard_tanh_growth, relu_growth, trajectory, transition_rate
from reludsl.layers import relu
from reludsl.layers.activations import hard_tanh
from reludsl.network import Network
from reludsl.networks import gaussian_network
from reludsl.plot import plot_lengths

RELU, TANH = "ReLU", "hard tanh"
CONV, TANH_CONV = "ReLU convolutions", "hard tanh convolutions"
KINDS = (RELU, TANH, CONV, TANH_CONV)
SOURCE = "(Raghu et al. 2017"
STRAIGHT = 0.95
"""R^2 from which on a line is called straight."""
LARGE = 8.0
"""s^2 from which on weights are called large: the published experiments with hard tanh have 8 and 16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is drawn and measured.

    Args:
        variances: s^2 of ReLU networks, hard_variances of those of hard tanh, conv_variances and hard_conv_variances
            of convolutional ones: W ~ N(0, s^2 / k). Published are s^2 of 2 to 16 and k of 100 and
            128, with more besides.
        bias_scale: b ~ N(0, r^2).
        networks: of each setting, a seed each, with one arc each between two images of different labels.
        channels, conv_depth: of the convolutional networks.
        shapes: (inputs, width, depth) of the networks whose patterns are counted, ReLU; hard_shapes: hard tanh.
        data: "mnist" where it is there, else the digits that come along.
    """

    widths: tuple[int, ...] = (50, 100)
    depth: int = 7
    variances: tuple[float, ...] = (1.0, 4.0, 16.0)
    hard_variances: tuple[float, ...] = (3.0, 8.0, 16.0)
    bias_scale: float = 0.3
    networks: int = 5
    channels: int = 4
    conv_depth: int = 6
    conv_variances: tuple[float, ...] = (1.0, 4.0, 16.0)
    hard_conv_variances: tuple[float, ...] = (3.0, 8.0)
    shapes: tuple[tuple[int, int, int], ...] = (
        *((m, k, n) for m in (1, 2) for k in (4, 8, 12) for n in (1, 2, 3)),
        (3, 4, 1),
        (3, 4, 2),
    )
    hard_shapes: tuple[tuple[int, int, int], ...] = (
        *((m, k, n) for m in (1, 2) for k in (4, 8, 12) for n in (1, 2, 3)),
        (3, 4, 1),
    )
    data: str = "mnist"


DEFAULT = Settings()
FULL = Settings(
    widths=(50, 100, 128, 200),
    depth=10,
    variances=(1.0, 2.0, 3.0, 4.0, 8.0, 16.0),
    hard_variances=(2.0, 3.0, 5.0, 8.0, 16.0),
    networks=20,
    channels=8,
    conv_depth=8,
    conv_variances=(1.0, 2.0, 4.0, 8.0, 16.0),
    hard_conv_variances=(3.0, 5.0, 8.0),
    shapes=(*((m, k, n) for m in (1, 2) for k in (4, 8, 16, 32) for n in (1, 2, 3, 4)), (3, 8, 1), (3, 8, 2)),
    hard_shapes=(*((m, k, n) for m in (1, 2) for k in (4, 8, 16, 32) for n in (1, 2, 3, 4)), (3, 8, 1)),
)


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """Arcs through the networks of one setting.

    Args:
        lengths: (networks, depth + 1) of the image of each, the input's own first.
        transitions: (networks, depth) of each layer.
    """

    kind: str
    width: int
    variance: float
    bias: float
    lengths: FloatArray
    transitions: FloatArray

    @property
    def alive(self) -> FloatArray:
        """(alive networks, depth + 1) lengths of the arcs that no layer takes to a point, whose length has no logarithm
        and does not grow again."""
        return np.asarray(self.lengths[self.lengths[:, -1] > 0])

    @property
    def dead(self) -> int:
        return len(self.lengths) - len(self.alive)

    @property
    def ratios(self) -> FloatArray:
        """(alive networks,) growth of length per layer, a geometric mean. The first layer goes from the inputs to
        another width, and is not in it."""
        return np.asarray((self.alive[:, -1] / self.alive[:, 1]) ** (1 / (self.lengths.shape[1] - 2)))

    @property
    def ratio(self) -> float:
        """The geometric mean of them, 0 of no network."""
        return float(np.exp(np.log(self.ratios).mean())) if len(self.alive) else 0.0

    @property
    def straightness(self) -> float:
        """R^2 of a line through the means of log length against depth; that of a constant length is 0, and of none."""
        if not len(self.alive):
            return 0.0
        logs = np.log(self.alive[:, 1:]).mean(axis=0)
        return line_through(np.arange(len(logs)), logs).r_squared

    @property
    def transition_ratio(self) -> float:
        """Growth of the transitions of a layer per layer, a geometric mean of the means."""
        one = self.transitions.mean(axis=0)
        return float((one[-1] / one[0]) ** (1 / (len(one) - 1)))

    @property
    def proportionality(self) -> tuple[float, float]:
        """R^2 of a line through transitions of a layer against length behind it, all networks and layers together, and
        the slope of their logarithms."""
        x, y = self.lengths[:, 1:].ravel(), self.transitions.ravel()
        long = x > 0
        power = line_through(np.log(x[long]), np.log(np.maximum(y[long], 1)))
        return line_through(x, y).r_squared, power.slope

    @property
    def expressions(self) -> tuple[float, float]:
        """The published bases: of the length from below, and of the transitions; without their constants."""
        scale = self.variance**0.5
        growth = (
            relu_growth(self.width, scale)
            if self.kind in (RELU, CONV)
            else hard_tanh_growth(self.width, scale, self.bias)
        )
        return growth, transition_rate(self.width, scale, self.bias, 1)


def study(settings: Settings = DEFAULT, seed: int = 0, say: Say = lambda _: None) -> Finding:
    """Grow, transit, count."""
    name = at_hand(settings.data)
    starts, ends = _pairs(name, settings.networks, seed)
    grown = []
    for kind, width, variance in _grid(settings):
        say(f"{kind}, width {width}, s^2 = {variance:g}")
        grown.append(_grown(kind, width, variance, settings, starts, ends, seed))
    say("patterns")
    regions = [
        *counted(RELU, relu, settings.shapes, settings.networks, seed),
        *counted(TANH, hard_tanh(), settings.hard_shapes, settings.networks, seed),
    ]
    notes = [
        "CIFAR-10, on which the convolutional networks were published, is not at hand: they run on "
        f"{'MNIST' if name == 'mnist' else 'the digits that come with the library, MNIST not being there either'}.",
        "The expressions stand inside an O(.), without their constants: they are no bounds, and the length of ReLU "
        "networks grows by about s / sqrt(2) a layer, less than the published base s sqrt(k / (k + 1)).",
        "A summary of the paper has the upper bound O(k^(mn)) grow linearly with depth and input dimension: its "
        "logarithm does.",
        "A summary of the paper calls activation patterns and linear regions one to one; they are not where two "
        "patterns have the same map. What is counted here are full-dimensional activation regions.",
    ]
    return Finding(
        name="length",
        title="Length of trajectories, transitions and patterns",
        settings={**asdict(settings), "data": name, "seed": seed},
        observations=[
            *(_exponential(kind, [one for one in grown if one.kind == kind]) for kind in KINDS),
            _linear([one for one in grown if one.kind == TANH]),
            patterns.observation(regions),
        ],
        numbers=_numbers(grown, regions),
        tables=[_table(grown), patterns.table(regions)],
        pictures=_pictures(grown, regions),
        notes=notes,
    )


def _pairs(name: str, count: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Images of different labels, (count, pixels) each."""
    train, _ = images(name)
    rng = np.random.default_rng(seed)
    first = rng.permutation(len(train))[:count]
    second = [rng.choice(np.flatnonzero(train.labels != label)) for label in train.labels[first]]
    return train.pixels[first], train.pixels[second]


def _grid(settings: Settings) -> Iterator[tuple[str, int, float]]:
    for kind, variances in ((RELU, settings.variances), (TANH, settings.hard_variances)):
        yield from ((kind, width, variance) for width in settings.widths for variance in variances)
    for kind, variances in ((CONV, settings.conv_variances), (TANH_CONV, settings.hard_conv_variances)):
        yield from ((kind, settings.channels, variance) for variance in variances)


def _grown(
    kind: str, width: int, variance: float, settings: Settings, starts: FloatArray, ends: FloatArray, seed: int
) -> Grown:
    found = [
        trajectory(_drawn(kind, width, variance**0.5, settings, start.size, seed + k), start, end, arc=True)
        for k, (start, end) in enumerate(zip(starts, ends))
    ]
    lengths = np.concatenate([one.lengths for one in found])
    # a kernel sums over the channels and 9 pixels
    terms = 9 * width if kind in (CONV, TANH_CONV) else width
    transitions = np.concatenate([one.by_layer for one in found]).astype(np.float64)
    return Grown(kind, terms, variance, settings.bias_scale, lengths, transitions)


def _drawn(kind: str, width: int, scale: float, settings: Settings, inputs: int, seed: int) -> Network:
    bias = settings.bias_scale
    activation = relu if kind in (RELU, CONV) else hard_tanh()
    if kind in (CONV, TANH_CONV):
        return convolutional(
            math.isqrt(inputs), width, settings.conv_depth, seed,
            weight_scale=scale, bias_scale=bias, activation=activation,
        )  # fmt: skip
    sizes = (inputs, *[width] * settings.depth)
    return gaussian_network(sizes, seed, weight_scale=scale, bias_scale=bias, activation=activation)


def _exponential(kind: str, grown: Sequence[Grown]) -> Observation:
    """Where the length grows at all, that is where s^2 > 2, its logarithm is a straight line, steeper the larger s."""
    growing = [one for one in grown if one.variance > 2]
    least = min(one.straightness for one in growing)
    widest = max(one.width for one in grown)
    rising = {
        width: [one.ratio for one in sorted(grown, key=lambda one: one.variance) if one.width == width]
        for width in sorted({one.width for one in grown})
    }
    by_scale = all(a < b for line in rising.values() for a, b in pairwise(line))
    listed = ", ".join(f"{one.ratio:.2f} at s^2 = {one.variance:g}" for one in grown if one.width == widest)
    measured = (
        f"{kind}: log length against depth has R² >= {at_least(least, 3)} wherever s^2 > 2, and grows by a factor a "
        f"layer of {listed} (k = {widest}), {'rising' if by_scale else 'not always rising'} with s at every k"
    )
    seen = least >= STRAIGHT and by_scale and all(one.ratio > 1 for one in growing)
    if kind == TANH:
        wider = [
            [one.ratio for one in sorted(grown, key=lambda one: one.width) if one.variance == variance]
            for variance in sorted({one.variance for one in grown})
        ]
        by_width = all(line[0] < line[-1] for line in wider)
        measured += f" and {'larger' if by_width else 'not always larger'} at the largest k than at the smallest"
        seen = seen and by_width
    if dead := sum(one.dead for one in grown):
        measured += f", without the {dead} of {sum(len(one.lengths) for one in grown)} arcs that end in a point"
    where = "supplement: convolutional, CIFAR-10)" if kind in (CONV, TANH_CONV) else "theorem 3)"
    return Observation(
        published=f"Length grows exponentially with depth, the faster the larger the weights {SOURCE}, {where}",
        measured=measured,
        seen=seen,
    )


def _linear(grown: Sequence[Grown]) -> Observation:
    """The theorem behind it is about large s; what small ones give is said beside."""
    large, small = ([one.proportionality for one in grown if (one.variance >= LARGE) == side] for side in (True, False))
    least, slopes = min(r for r, _ in large), [slope for _, slope in large]
    beside = f"; R² >= {at_least(min(r for r, _ in small), 3)} where s^2 < {LARGE:g}" if small else ""
    return Observation(
        published="The transitions of a hard tanh network with large weights are linear in trajectory length "
        f"{SOURCE}, theorem 4)",
        measured="hard tanh: transitions of a layer against length behind it have "
        f"R² >= {at_least(least, 3)} in each of {len(large)} architectures with s^2 >= {LARGE:g}, and the slope of "
        f"their logarithms, 1 for a proportion, is {min(slopes):.2f} to {max(slopes):.2f}{beside}",
        seen=least >= STRAIGHT and min(slopes) >= 0.8 and max(slopes) <= 1.25,
    )


def _table(grown: Sequence[Grown]) -> Table:
    rows = []
    for one in grown:
        growth, rate = one.expressions
        rows.append(
            [
                one.kind,
                str(one.width),
                f"{one.variance:g}",
                _spread(one),
                f"{one.straightness:.3f}",
                f"{growth:.3f}",
                f"{one.variance**0.5:.3f}",
                f"{one.transition_ratio:.2f}",
                f"{rate:.2f}",
            ]
        )
    return Table(
        caption="Growth per layer from layer 1 on, a geometric mean over the networks (least to most), and R² of the "
        "log length against depth; weights are drawn from N(0, s² / k). Beside it the published expressions without "
        "their constants, lower and upper for the length, g^(1/n) for the transitions (hard tanh, large s): none of "
        "them is a bound. k is the number of terms of a sum.",
        head=["network", "k", "s²", "length", "R²", "lower", "upper", "transitions", "g^(1/n)"],
        rows=rows,
    )


def _spread(one: Grown) -> str:
    if not len(one.alive):
        return "- (all arcs end in a point)"
    left_out = f"; without {one.dead} that end{'s' if one.dead == 1 else ''} in a point" if one.dead else ""
    return f"{one.ratio:.3f} ({one.ratios.min():.2f} to {one.ratios.max():.2f}{left_out})"


def _numbers(grown: Sequence[Grown], regions: Sequence[Counted]) -> dict[str, Any]:
    return {
        "growth": [
            {
                "kind": one.kind,
                "width": one.width,
                "weight_variance": one.variance,
                "bias_scale": one.bias,
                "ratio": one.ratio,
                "ratios": one.ratios.tolist(),
                "dead": one.dead,
                "r_squared": one.straightness,
                "expression": one.expressions[0],
                "transition_ratio": one.transition_ratio,
                "transition_expression": one.expressions[1],
                "transitions_against_length": dict(zip(("r_squared", "log_slope"), one.proportionality)),
                "lengths": one.lengths.tolist(),
                "transitions": one.transitions.tolist(),
            }
            for one in grown
        ],
        "patterns": [asdict(one) for one in regions],
    }


def _pictures(grown: Sequence[Grown], regions: Sequence[Counted]) -> list[Picture]:
    def lengths(figure: Any) -> None:
        for k, kind in enumerate(KINDS):
            own = [one for one in grown if one.kind == kind]
            widest = [one for one in own if one.width == max(other.width for other in own)]
            axes = figure.add_subplot(1, len(KINDS), k + 1)
            plot_lengths({f"s² = {one.variance:g}": one.lengths for one in widest}, axes=axes)
            axes.set_title(f"{kind}, k = {widest[0].width}", fontsize="small")

    def transitions(figure: Any) -> None:
        from reludsl.plot.colours import shades

        axes = figure.add_subplot()
        own = [one for one in grown if one.kind == TANH]
        for one, colour in zip(own, shades(len(own))):
            x, y = one.lengths[:, 1:].ravel(), one.transitions.ravel()
            axes.plot(x, y, ".", color=colour, markersize=4, label=f"k = {one.width}, s² = {one.variance:g}")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("length of the trajectory behind a layer")
        axes.set_ylabel("transitions of that layer")
        axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

    def counts(figure: Any) -> None:
        patterns.plot(figure.add_subplot(), regions)

    return [
        Picture(name="depth", caption="length of arcs against depth", draw=lengths, size=(14.0, 3.6)),
        Picture(name="transitions", caption="transitions against length", draw=transitions, size=(7.0, 4.0)),
        Picture(name="patterns", caption="activation patterns against depth", draw=counts, size=(7.5, 4.2)),
    ]
