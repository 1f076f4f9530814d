"""Study 8: how well networks fit polynomials and each other, uniformly, with the error between proved bounds.

Sources: Yarotsky 2017, Error bounds for approximations with deep ReLU networks (x^2 and x y by depth); Rolnick and
Tegmark 2018, The power of deeper networks for expressing natural functions (sizes of monomials), and its summary in the
ICERM slides of 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.expressivity.finding import Finding, Observation, Picture, Table
from benchmarks.expressivity.fits import line_through
from benchmarks.expressivity.polynomials import interpolant, product, rounded, shallow_product, twice
from benchmarks.published.training import Say
from reludsl.compress import compress
from reludsl.domain import Box
from reludsl.expressivity import SupDistance, deep_monomial_size, shallow_monomial_size, sup_distance
from reludsl.network import Network
from reludsl.networks import random_network, square

UNIT, UNIT_SQUARE = Box([0.0], [1.0]), Box([0.0, 0.0], [1.0, 1.0])
AROUND = Box([-1.0, -1.0], [1.0, 1.0])
X_SQUARED, X_TO_THE_FOURTH = [0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0, 1.0]
X_TIMES_Y = [[0.0, 0.0], [0.0, 1.0]]

MONOMIALS = ((1, 1), (1,) * 5, (1,) * 10, (1,) * 20, (2, 3), (10,), (4, 4, 4, 4), (8,) * 8)


@dataclass(frozen=True)
class Settings:
    """What is run.

    Args:
        square, fourth, product: numbers of tents, least to most, for x^2, x^4 and x y.
        sizes: of random networks that are rounded and compressed; bits: that stay behind the point.
    """

    square: tuple[int, int] = (1, 10)
    fourth: tuple[int, int] = (1, 5)
    product: tuple[int, int] = (1, 4)
    sizes: tuple[int, ...] = (2, 16, 16)
    networks: int = 5
    bits: tuple[int, ...] = (2, 4, 6, 8, 10, 12)


DEFAULT = Settings()
FULL = Settings(square=(1, 13), fourth=(1, 7), product=(1, 6), sizes=(2, 32, 32), networks=10)


@dataclass(frozen=True)
class Fit:
    """A network beside the function that it is made for: hidden units, hidden layers, error between its bounds."""

    m: int
    units: int
    layers: int
    found: SupDistance

    def as_json(self) -> dict[str, Any]:
        return {
            "m": self.m,
            "units": self.units,
            "layers": self.layers,
            "pieces": self.found.pieces,
            "lower": self.found.lower,
            "upper": self.found.upper,
            "at": self.found.at.tolist(),
        }


def study(settings: Settings = DEFAULT, seed: int = 0, say: Say = lambda _: None) -> Finding:
    """Depth against width for x^2, x y and x^4; a network against what rounding and compression leave of it."""
    deep = [_fit(m, square(m), X_SQUARED, UNIT) for m in _range(settings.square)]
    shallow = [_fit(fit.m, interpolant(fit.units), X_SQUARED, UNIT) for fit in deep]
    say(f"x^2 to {deep[-1].found.upper:.3g}")
    products = [_fit(m, product(m), X_TIMES_Y, UNIT_SQUARE) for m in _range(settings.product)]
    flat = [_fit(fit.m, shallow_product(2 * fit.m + 1), X_TIMES_Y, UNIT_SQUARE) for fit in products]
    say(f"x y to {products[-1].found.upper:.3g}")
    fourths = [_fit(m, twice(square(m)), X_TO_THE_FOURTH, UNIT) for m in _range(settings.fourth)]
    say(f"x^4 to {fourths[-1].found.upper:.3g}")
    rounding = _rounding(settings, seed)
    compression = _compression(settings, seed)
    say("rounded and compressed networks done")
    return Finding(
        name="approximation",
        title="Uniform approximation: depth against width, and networks against their copies",
        settings={**asdict(settings), "seed": seed},
        observations=[
            _published_error(deep),
            _beats_one_layer(deep, shallow),
            _rates(deep, shallow),
            _product_error(products),
            _lossless(compression),
        ],
        numbers={
            "square": [fit.as_json() for fit in deep],
            "square, one hidden layer": [fit.as_json() for fit in shallow],
            "product": [fit.as_json() for fit in products],
            "product, one hidden layer": [fit.as_json() for fit in flat],
            "fourth": [fit.as_json() for fit in fourths],
            "rounding": {str(bits): values for bits, values in rounding.items()},
            "compression": compression,
            "monomials": [
                {"exponents": list(r), "shallow": shallow_monomial_size(r), "deep": deep_monomial_size(r)}
                for r in MONOMIALS
            ],
        },
        tables=[*_tables(deep, shallow, products, flat, fourths), _monomials(), _rounded(rounding)],
        pictures=_pictures(deep, shallow, products, flat, rounding),
        notes=[
            "The summary of Rolnick and Tegmark writes the deep size as sum 7 ceil(log2 r_i) + 4, which leaves open "
            "whether the 4 counts once: it is one product for every variable, and stands inside the sum. The sizes are "
            "those of activations with nonzero Taylor coefficients, whatever the error; a ReLU has none, and its "
            "networks need more units for less error, as the tables show.",
            "Every one-hidden-layer ReLU network of N units has at most N + 1 pieces on an interval, on the longest of "
            "which x^2 is at least 1 / (8 (N + 1)^2) away from any affine function: the bound that depth is compared "
            "with holds for all of them, trained or constructed.",
            "Errors that are given as two numbers are the exact value at a point and a proved bound; where one number "
            "stands the two print alike.",
        ],
    )


# --- measuring ------------------------------------------------------------------------------------------------------


def _range(ends: tuple[int, int]) -> range:
    return range(ends[0], ends[1] + 1)


def _fit(m: int, network: Network, target: Sequence[Any], box: Box) -> Fit:
    return Fit(m, network.neurons, len(network.hidden), sup_distance(network, target, box))


def _drawn(settings: Settings, seed: int) -> Iterable[Network]:
    return (random_network(settings.sizes, seed + k, outputs=1) for k in range(settings.networks))


def _rounding(settings: Settings, seed: int) -> dict[int, list[float]]:
    """bits -> the distance of every network from its rounded copy, on [-1, 1]^2."""
    return {
        bits: [sup_distance(network, rounded(network, bits), AROUND).upper for network in _drawn(settings, seed)]
        for bits in settings.bits
    }


def _compression(settings: Settings, seed: int) -> list[dict[str, Any]]:
    """Networks on a small box, where some units keep their pieces: what compression leaves, and how far it is off."""
    box = Box([0.0, 0.0], [0.5, 0.5])
    found = []
    for network in _drawn(settings, seed):
        small = compress(network, box)
        distance = sup_distance(network, small.network, box)
        found.append(
            {
                "units": network.neurons,
                "left": small.network.neurons,
                "proved": small.proved,
                "lower": distance.lower,
                "upper": distance.upper,
            }
        )
    return found


# --- what is seen ---------------------------------------------------------------------------------------------------


def _published_error(deep: Sequence[Fit]) -> Observation:
    exact = all(fit.found.lower <= 4.0 ** -(fit.m + 1) <= fit.found.upper for fit in deep)
    gap = max(fit.found.upper - fit.found.lower for fit in deep)
    return Observation(
        published="Yarotsky 2017, proposition 2: m tents give x^2 on [0, 1] with error 4^-(m+1), by O(m) units.",
        measured=f"for m = {deep[0].m} to {deep[-1].m} the error of 3 m units lies between proved bounds that enclose "
        f"4^-(m+1) and are {gap:.1e} apart at most",
        seen=exact and gap < 1e-11,
    )


def least_error(units: int) -> float:
    """1 / (8 (N + 1)^2): no network with one hidden layer of N units is nearer to x^2 on [0, 1]."""
    return 1 / (8 * (units + 1) ** 2)


def _beats_one_layer(deep: Sequence[Fit], shallow: Sequence[Fit]) -> Observation:
    won = [fit.m for fit in deep if fit.found.upper < least_error(fit.units)]
    first = min(won, default=None)
    last, wide = deep[-1], shallow[-1]
    return Observation(
        published="Depth beats width: for a smooth function one hidden layer needs of the order of e^(-1/2) units for "
        "an error e, depth log(1/e) (Yarotsky 2017).",
        measured=f"from m = {first} on no network with one hidden layer of as many units, 3 m, is as near to x^2; with "
        f"{last.units} units depth is off by {last.found.upper:.3g}, one layer by {wide.found.upper:.3g}, and by "
        f"{least_error(last.units):.3g} at least",
        seen=first is not None and won == list(range(first, deep[-1].m + 1)) and won[-1] == deep[-1].m,
    )


def _rates(deep: Sequence[Fit], shallow: Sequence[Fit]) -> Observation:
    depth = line_through([fit.m for fit in deep], [math.log(fit.found.upper, 4) for fit in deep]).slope
    sizes, errors = ([math.log(value) for value in own] for own in zip(*((f.units, f.found.upper) for f in shallow)))
    width = line_through(sizes, errors).slope
    return Observation(
        published="The error falls as 4^-m in the depth m and as N^-2 in the width N.",
        measured=f"log_4 of the error falls by {-depth:.4f} for each layer, and log of the error by {-width:.4f} for "
        "each log of the width",
        seen=abs(depth + 1) < 1e-3 and abs(width + 2) < 1e-3,
    )


def _product_error(products: Sequence[Fit]) -> Observation:
    within = all(fit.found.lower <= 4.0 ** -(fit.m + 1) + 1e-12 for fit in products)
    return Observation(
        published="Yarotsky 2017, proposition 3: products by the same squares, with an error of the same order.",
        measured="the error of x y on [0, 1]^2 is "
        + ", ".join(f"{fit.found.upper * 4 ** (fit.m + 1):.6f}" for fit in products)
        + f" times 4^-(m+1) for m = {products[0].m} to {products[-1].m}",
        seen=within and all(fit.found.upper >= 4.0 ** -(fit.m + 2) for fit in products),
    )


def _lossless(compression: Sequence[Mapping[str, Any]]) -> Observation:
    gone = sum(one["units"] - one["left"] for one in compression)
    most = max(one["upper"] for one in compression)
    return Observation(
        published="Serra, Kumar and Ramalingam 2020: units that keep their pieces are removed without changing what "
        "the network computes.",
        measured=f"of {sum(one['units'] for one in compression)} units of {len(compression)} random networks on "
        f"[0, 1/2]^2 {gone} go, and the copies are proved to be within {most:.1e} everywhere",
        seen=gone > 0 and most < 1e-9,
    )


# --- how it is shown ------------------------------------------------------------------------------------------------


def _tables(
    deep: Sequence[Fit], shallow: Sequence[Fit], products: Sequence[Fit], flat: Sequence[Fit], fourths: Sequence[Fit]
) -> list[Table]:
    return [
        Table(
            caption="x^2 on [0, 1]: m tents against one hidden layer of as many units, which cannot do better than the "
            "last column.",
            head=["m", "units", "pieces", "error of depth", "error of one layer", "least of one layer"],
            rows=[
                [str(a.m), str(a.units), str(a.found.pieces), *map(_error, (a.found, b.found)),
                 f"{least_error(a.units):.6g}"]
                for a, b in zip(deep, shallow)
            ],
        ),
        Table(
            caption="x y on [0, 1]^2, by squares of (x + y) / 2 and (x - y) / 2, deep and by one hidden layer of as "
            "many units.",
            head=["m", "units", "pieces", "error of depth", "units", "pieces", "error of one layer"],
            rows=[
                [str(a.m), *_row(a), *_row(b)]
                for a, b in zip(products, flat)
            ],
        ),
        Table(
            caption="x^4 on [0, 1], by x^2 twice; the triangle inequality allows 3 times 4^-(m+1).",
            head=["m", "units", "pieces", "error", "times 4^(m+1)"],
            rows=[
                [str(a.m), str(a.units), str(a.found.pieces), _error(a.found), f"{a.found.upper * 4 ** (a.m + 1):.4f}"]
                for a in fourths
            ],
        ),
    ]  # fmt: skip


def _row(fit: Fit) -> tuple[str, str, str]:
    return str(fit.units), str(fit.found.pieces), _error(fit.found)


def _error(found: SupDistance) -> str:
    low, high = f"{found.lower:.6g}", f"{found.upper:.6g}"
    return low if low == high else f"{low} to {high}"


def _monomials() -> Table:
    return Table(
        caption="Neurons for a monomial with smooth activations, whatever the error (Rolnick and Tegmark 2018): the "
        "least of one hidden layer, and enough with depth.",
        head=["exponents", "one hidden layer", "deep, at most"],
        rows=[
            [", ".join(map(str, r)), f"{shallow_monomial_size(r):,}", f"{deep_monomial_size(r):,}"] for r in MONOMIALS
        ],
    )


def _rounded(rounding: Mapping[int, Sequence[float]]) -> Table:
    return Table(
        caption="A random network against its copy with weights rounded to multiples of 2^-bits: the largest "
        "difference on [-1, 1]^2, proved.",
        head=["bits", "least", "mean", "most"],
        rows=[
            [str(bits), *(f"{value:.3g}" for value in (min(found), float(np.mean(found)), max(found)))]
            for bits, found in rounding.items()
        ],
    )


def _pictures(
    deep: Sequence[Fit], shallow: Sequence[Fit], products: Sequence[Fit], flat: Sequence[Fit],
    rounding: Mapping[int, Sequence[float]],
) -> list[Picture]:  # fmt: skip
    def errors(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        _by_units(left, "x² on [0, 1]", deep, shallow)
        units = [fit.units for fit in deep]
        left.plot(units, [least_error(n) for n in units], "k:", label="least of one layer")
        left.legend(fontsize="small")
        _by_units(right, "x y on [0, 1]²", products, flat)
        right.legend(fontsize="small")

    def curves(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        x = np.linspace(0, 1, 2001)[:, None]
        shown: list[tuple[str, Callable[[], Network]]] = [
            ("m = 2: 6 units, deep", lambda: square(2)),
            ("m = 3: 9 units, deep", lambda: square(3)),
            ("6 units, one layer", lambda: interpolant(6)),
        ]
        for name, network in shown:
            left.plot(x, network()(x) - x**2, linewidth=1, label=name)
        left.set(xlabel="x", ylabel="network − x²")
        left.margins(y=0.3)
        left.legend(fontsize="small")
        bits = list(rounding)
        values = np.array([rounding[b] for b in bits])
        right.fill_between(bits, values.min(axis=1), values.max(axis=1), alpha=0.3, label="least to most")
        right.plot(bits, values.mean(axis=1), marker="o", markersize=3, label="mean")
        right.set(yscale="log", xlabel="bits behind the point", ylabel="largest difference from the copy")
        right.legend(fontsize="small")

    return [
        Picture(
            name="errors",
            caption="Uniform error against the number of units: depth against one hidden layer",
            draw=errors,
        ),
        Picture(
            name="curves",
            caption="The error of x² along [0, 1], and the difference of networks from their rounded copies",
            draw=curves,
        ),
    ]


def _by_units(axes: Any, title: str, deep: Sequence[Fit], shallow: Sequence[Fit]) -> None:
    for name, fits in (("deep", deep), ("one hidden layer", shallow)):
        axes.plot([f.units for f in fits], [f.found.upper for f in fits], marker="o", markersize=3, label=name)
    axes.set(title=title, yscale="log", xlabel="hidden units", ylabel="sup |f − F|")
