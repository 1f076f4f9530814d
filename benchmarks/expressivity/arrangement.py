"""Study 2: how to arrange neurons. N of them in width k, and shallow against deep networks of as many parameters.

The exercise on Raghu et al. 2017: maximise k^(m N / k). Beside it stand exact counts of the networks with the most
regions that are known for their widths, and of random ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import mean
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from benchmarks.expressivity.finding import Finding, Observation, Picture, Table
from benchmarks.published.training import Say
from reludsl.domain import Space
from reludsl.expressivity import BEST_WIDTH, arranged_patterns, best_width
from reludsl.network import Network
from reludsl.networks import Initialisation, general_position, random_network, serra_network
from reludsl.regions import count


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is arranged.

    Args:
        neurons: (inputs, N): N units on so many inputs, in every width that divides N.
        deep: (inputs, widths) of the deep networks that shallow ones are compared with.
        networks: random ones of each kind.
    """

    neurons: tuple[tuple[int, int], ...] = ((1, 12), (2, 24))
    deep: tuple[tuple[int, tuple[int, ...]], ...] = (
        *((1, (3,) * depth) for depth in (2, 3, 4, 5, 6)),
        *((2, (6,) * depth) for depth in (2, 3, 4)),
    )
    networks: int = 10


DEFAULT = Settings()
FULL = Settings(
    neurons=((1, 12), (1, 24), (2, 24), (2, 36)),
    deep=(*((1, (3,) * depth) for depth in range(2, 9)), *((2, (6,) * depth) for depth in (2, 3, 4))),
    networks=50,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arranged:
    """N units in layers of one width.

    Args:
        expression: k^(m N / k); largest: the count of the network that attains the maximum for these widths, None where
            that construction needs wider layers; random: the counts of random networks.
    """

    inputs: int
    neurons: int
    width: int
    expression: float
    largest: int | None
    random: tuple[int, ...]

    @property
    def depth(self) -> int:
        return self.neurons // self.width


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A deep network and a shallow one of no fewer parameters: the counts of the two, and of random networks alike.

    The shallow one is in general position, so that no choice of its weights gives more.
    """

    inputs: int
    widths: tuple[int, ...]
    parameters: int
    units: int
    deep: int
    shallow: int
    random_deep: tuple[int, ...]
    random_shallow: tuple[int, ...]


def study(settings: Settings = DEFAULT, seed: int = 0, say: Say = lambda _: None) -> Finding:
    """Arrange, and compare."""
    arranged = []
    for inputs, neurons in settings.neurons:
        say(f"{neurons} neurons on {inputs} inputs")
        widths = [k for k in range(1, neurons + 1) if neurons % k == 0]
        arranged += [_arranged(inputs, neurons, k, settings.networks, seed) for k in widths]
    compared = []
    for inputs, hidden in settings.deep:
        say(f"{inputs} inputs, hidden layers {hidden}")
        compared.append(_compared(inputs, hidden, settings.networks, seed))
    return Finding(
        name="arrangement",
        title="How to arrange neurons",
        settings={**asdict(settings), "seed": seed},
        observations=[_optimum(), _narrow(arranged), _deeper(compared)],
        numbers={
            "arranged": [asdict(one) for one in arranged],
            "compared": [asdict(one) for one in compared],
        },
        tables=[_arranged_table(arranged), _compared_table(compared)],
        pictures=_pictures(arranged, compared),
        notes=[
            "The exercise is about the expression O(k^(mn)) without its constants, not about networks. With Z(k, 1) = "
            "k + 1 in the place of k, the maximum for one input is (k + 1)^(N / k), attained for k >= 3 (Serra et al. "
            "2018, theorem 5); it would favour k = 1, where it is not attained: a chain of single ReLUs has at most "
            "one more region per layer.",
            _random_note(arranged, compared),
        ],
    )


def _count(network: Network) -> int:
    found = count(network, Space(network.input_size))
    assert found.exact
    return found.count


def _random(inputs: int, widths: Sequence[int], networks: int, seed: int) -> tuple[int, ...]:
    """He's weights, biases N(0, 1)."""
    drawn = (random_network((inputs, *widths), seed + k, Initialisation.NORMAL) for k in range(networks))
    return tuple(_count(network) for network in drawn)


def _arranged(inputs: int, neurons: int, width: int, networks: int, seed: int) -> Arranged:
    widths = [width] * (neurons // width)
    attained = len(widths) == 1 or width >= 3 * inputs
    return Arranged(
        inputs=inputs,
        neurons=neurons,
        width=width,
        expression=arranged_patterns(neurons, width, inputs),
        largest=_count(serra_network(inputs, widths)) if attained else None,
        random=_random(inputs, widths, networks, seed),
    )


def _compared(inputs: int, widths: tuple[int, ...], networks: int, seed: int) -> Compared:
    deep = serra_network(inputs, widths)
    units = -(-deep.parameters // (inputs + 1))
    return Compared(
        inputs=inputs,
        widths=widths,
        parameters=deep.parameters,
        units=units,
        deep=_count(deep),
        shallow=_count(general_position(units, inputs)),
        random_deep=_random(inputs, widths, networks, seed),
        random_shallow=_random(inputs, [units], networks, seed),
    )


def _optimum() -> Observation:
    values = [arranged_patterns(12, k) for k in (2, 3, 4, 6)]
    top = float(minimize_scalar(lambda k: -math.log(k) / k, bounds=(1.0, 12.0), method="bounded").x)
    best = best_width(range(1, 1000))
    return Observation(
        published="N = 12 neurons in width k have O(k^(N/k)) patterns: 2^6 = 64, 3^4 = 81, 4^3 = 64, 6^2 = 36; the "
        "optimum is k = e, the best integer 3 (exercise on Raghu et al. 2017)",
        measured=f"k^(12/k) is {', '.join(f'{value:g}' for value in values)} for k = 2, 3, 4, 6, largest at "
        f"k = {top:.4f} among real numbers (e = {BEST_WIDTH:.4f}) and at {best} among the integers up to 999",
        seen=values == [64, 81, 64, 36] and abs(top - BEST_WIDTH) < 1e-3 and best == 3,
    )


def _narrow(arranged: Sequence[Arranged]) -> Observation:
    lines = []
    for key in dict.fromkeys((one.inputs, one.neurons) for one in arranged):
        own = [one for one in arranged if (one.inputs, one.neurons) == key and one.largest is not None]
        lines.append((key, [(one.width, one.largest or 0) for one in own]))
    falls = all(a > b for _, line in lines for (_, a), (_, b) in pairwise(line))
    listed = "; ".join(
        f"{neurons} on {inputs} input{'s' if inputs > 1 else ''}: "
        + ", ".join(f"{largest:,} for k = {width}" for width, largest in line)
        for (inputs, neurons), line in lines
    )
    return Observation(
        published="At a fixed number of neurons the patterns decrease when k >= 3 increases (exercise on Raghu et al. "
        "2017)",
        measured=f"networks with the most regions that are known for their widths, counted exactly, {listed}",
        seen=falls,
    )


def _deeper(compared: Sequence[Compared]) -> Observation:
    ratios = [one.deep / one.shallow for one in compared]
    groups = [[one for one in compared if one.inputs == n] for n in sorted({one.inputs for one in compared})]
    rising = all(
        a.deep / a.shallow < b.deep / b.shallow
        for group in groups
        for a, b in pairwise(sorted(group, key=lambda one: one.parameters))
    )
    last = max(compared, key=lambda one: one.deep / one.shallow)
    return Observation(
        published="With as many parameters, a shallow network has far fewer regions, whatever its weights, than a deep "
        "one with weights chosen well (Montúfar et al. 2014; Raghu et al. 2017, section 2.1)",
        measured=f"{min(ratios):.3g} to {max(ratios):.3g} times more regions, counted exactly, in deep networks than "
        f"in shallow ones of no fewer parameters and in general position, {'more' if rising else 'not always more'} "
        f"with every layer; {last.deep:,} against {last.shallow:,} for {last.inputs} "
        f"input{'s' if last.inputs > 1 else ''} and hidden widths {', '.join(map(str, last.widths))}",
        seen=min(ratios) > 1 and rising,
    )


def _random_note(arranged: Sequence[Arranged], compared: Sequence[Compared]) -> str:
    best = []
    for key in dict.fromkeys((one.inputs, one.neurons) for one in arranged):
        own = [one for one in arranged if (one.inputs, one.neurons) == key]
        best.append(max(own, key=lambda one: mean(one.random)))
    widths = ", ".join(f"k = {one.width} for N = {one.neurons}, m = {one.inputs}" for one in best)
    fewer = sum(mean(one.random_deep) < mean(one.random_shallow) for one in compared)
    return (
        f"None of this is seen in random networks (He's weights, biases N(0, 1)): they have most regions at {widths}, "
        f"and the deep one has fewer than the shallow one in {fewer} of {len(compared)} pairs. Weights have to be "
        "chosen for depth to pay."
    )


def _arranged_table(arranged: Sequence[Arranged]) -> Table:
    rows = [
        [
            str(one.inputs),
            str(one.neurons),
            str(one.width),
            str(one.depth),
            f"{one.expression:,.0f}" if one.expression < 1e15 else f"{one.expression:.2g}",
            "-" if one.largest is None else f"{one.largest:,}",
            f"{mean(one.random):,.1f} ({min(one.random):,} to {max(one.random):,})",
        ]
        for one in arranged
    ]
    return Table(
        caption="N neurons on m inputs, in N / k layers of width k. Largest: counted exactly, of the construction "
        "that attains the maximum for one input, and of the best that was published for two (Serra et al. 2018, "
        "theorem 6); it needs k >= 3 m in all layers but the last. Random: mean (least to most), all on R^m.",
        head=["m", "N", "k", "layers", "k^(mN/k)", "largest", "random"],
        rows=rows,
    )


def _compared_table(compared: Sequence[Compared]) -> Table:
    rows = [
        [
            str(one.inputs),
            ", ".join(map(str, one.widths)),
            str(one.parameters),
            str(one.units),
            f"{one.deep:,}",
            f"{one.shallow:,}",
            f"{mean(one.random_deep):,.1f}",
            f"{mean(one.random_shallow):,.1f}",
        ]
        for one in compared
    ]
    return Table(
        caption="Deep networks, and shallow ones with no fewer weights and biases in the hidden layers: regions of "
        "R^m, counted exactly. Shallow: in general position, the most there can be, which random ones are too.",
        head=["m", "widths", "parameters", "shallow units", "deep", "shallow", "random deep", "random shallow"],
        rows=rows,
    )


def _pictures(arranged: Sequence[Arranged], compared: Sequence[Compared]) -> list[Picture]:
    def widths(figure: Any) -> None:
        inputs, neurons = arranged[0].inputs, arranged[0].neurons
        own = [one for one in arranged if (one.inputs, one.neurons) == (inputs, neurons)]
        axes = figure.add_subplot()
        k = np.linspace(1.0, neurons, 400)
        label = f"k^(mN/k), m = {inputs}, N = {neurons}"
        axes.plot(k, k ** (inputs * neurons / k), "--", color="grey", label=label)
        axes.axvline(BEST_WIDTH, color="grey", linewidth=0.8, label="k = e")
        axes.plot([one.width for one in own], [one.expression for one in own], "o", color="grey", label="_expression")
        attained = [one for one in own if one.largest is not None]
        axes.plot([one.width for one in attained], [one.largest for one in attained], "s-", label="most, counted")
        axes.plot([one.width for one in own], [mean(one.random) for one in own], "^-", label="random, mean count")
        axes.set_yscale("log")
        axes.set_xlabel("width k of the layers")
        axes.set_ylabel("linear regions")
        axes.legend(fontsize="small")

    def depths(figure: Any) -> None:
        axes = figure.add_subplot()
        for inputs, marker in zip(sorted({one.inputs for one in compared}), "os^v"):
            own = [one for one in compared if one.inputs == inputs]
            x = [one.parameters for one in own]
            for values, colour, name in (
                ([one.deep for one in own], "C0", "deep, chosen"),
                ([one.shallow for one in own], "C1", "shallow, the most"),
                ([mean(one.random_deep) for one in own], "C2", "deep, random"),
            ):
                axes.plot(x, values, f"{marker}-", color=colour, markersize=4, label=f"{name}, m = {inputs}")
        axes.set_yscale("log")
        axes.set_xlabel("weights and biases in the hidden layers")
        axes.set_ylabel("linear regions")
        axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)

    return [
        Picture(name="widths", caption="regions against the width of the layers", draw=widths, size=(6.4, 4.0)),
        Picture(name="depth", caption="deep against shallow at the same parameters", draw=depths, size=(7.5, 4.0)),
    ]
