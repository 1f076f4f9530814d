"""Activation patterns of random networks on all of R^m against depth, width and inputs, beside their bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Any

from benchmarks.expressivity.finding import Observation, Table
from reludsl.domain import Space
from reludsl.layers import PiecewiseLinear
from reludsl.networks import gaussian_network
from reludsl.regions import count
from reludsl.regions.bounds import raghu


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many regions the networks of one shape have, exactly, and the bound Z(k, m)^n, or Z(2 k, m)^n."""

    kind: str
    inputs: int
    width: int
    depth: int
    counts: tuple[int, ...]
    bound: int

    @property
    def mean(self) -> float:
        return mean(self.counts)


def counted(
    kind: str, activation: PiecewiseLinear, shapes: Sequence[tuple[int, int, int]], networks: int, seed: int
) -> list[Counted]:
    """W ~ N(0, 4 / k), b ~ N(0, 1).

    Args:
        shapes: (inputs, width, depth) each.
    """
    found = []
    for inputs, width, depth in shapes:
        own = []
        for k in range(networks):
            sizes = (inputs, *[width] * depth)
            net = gaussian_network(sizes, seed + k, weight_scale=2.0, bias_scale=1.0, activation=activation)
            regions = count(net, Space(inputs))
            assert regions.exact
            own.append(regions.count)
        bound = raghu(inputs, [width] * depth, len(activation.breaks))
        found.append(Counted(kind=kind, inputs=inputs, width=width, depth=depth, counts=tuple(own), bound=bound))
    return found


def observation(found: Sequence[Counted]) -> Observation:
    """Bounded, and growing with each of depth, width and inputs where the other two are the same."""
    below = all(count <= one.bound for one in found for count in one.counts)
    steps = {axis: _steps(found, axis) for axis in ("depth", "width", "inputs")}
    grows = {axis: sum(a < b for a, b in pairs) for axis, pairs in steps.items()}
    grown = ", ".join(f"{axis} {grows[axis]} of {len(pairs)}" for axis, pairs in steps.items())
    total = sum(len(one.counts) for one in found)
    deepest = max(found, key=lambda one: one.bound)
    return Observation(
        published="Networks of n layers of width k on m inputs have at most O(k^(mn)) activation patterns, of hard "
        "tanh O((2k)^(mn)): in closed form Z(k,m)^n and Z(2k,m)^n (Raghu et al. 2017, theorem 1)",
        measured=f"{total} networks counted exactly on R^m are {'all' if below else 'not all'} within the bound, and "
        f"their means grow with {grown} steps; of {deepest.kind}, m = {deepest.inputs}, k = {deepest.width}, n = "
        f"{deepest.depth} there are {deepest.mean:,.0f} of {deepest.bound:,}",
        seen=below and all(grows[axis] == len(pairs) > 0 for axis, pairs in steps.items()),
    )


def _steps(found: Sequence[Counted], axis: str) -> list[tuple[float, float]]:
    """Means of neighbours along one axis."""
    others = [name for name in ("kind", "inputs", "width", "depth") if name != axis]
    groups: dict[tuple[Any, ...], list[Counted]] = {}
    for one in found:
        groups.setdefault(tuple(getattr(one, name) for name in others), []).append(one)
    lines = [sorted(group, key=lambda one: int(getattr(one, axis))) for group in groups.values()]
    return [(a.mean, b.mean) for line in lines for a, b in pairwise(line)]


def table(found: Sequence[Counted]) -> Table:
    rows = [
        [
            one.kind,
            *(str(k) for k in (one.inputs, one.width, one.depth)),
            f"{one.mean:,.1f}",
            f"{min(one.counts):,} to {max(one.counts):,}",
            f"{one.bound:,}",
        ]
        for one in found
    ]
    return Table(
        caption="Regions of random networks on R^m, counted exactly (a full-dimensional region is a pattern), and "
        "the bound Z(k, m)^n, of hard tanh Z(2k, m)^n, with Z(k, m) = C(k, 0) + ... + C(k, m). Two breaks of one "
        "unit are parallel, which that bound does not use.",
        head=["activation", "inputs m", "width k", "depth n", "mean", "of all networks", "bound"],
        rows=rows,
    )


def plot(axes: Any, found: Sequence[Counted]) -> None:
    """Against depth: a line per width and number of inputs, solid for ReLU; dots for its bound."""
    from reludsl.plot.colours import shades

    shapes = sorted({(one.inputs, one.width) for one in found})
    for colour, (inputs, width) in zip(shades(len(shapes)), shapes):
        for kind, style in zip(dict.fromkeys(one.kind for one in found), ("-", "--")):
            own = [one for one in found if (one.kind, one.inputs, one.width) == (kind, inputs, width)]
            depth = [one.depth for one in own]
            label = f"m = {inputs}, k = {width}" if style == "-" else f"_{kind} {inputs} {width}"
            axes.plot(depth, [one.mean for one in own], style, marker="o", markersize=3, color=colour, label=label)
            if style == "-":
                axes.plot(depth, [one.bound for one in own], ":", color=colour, linewidth=1.0, label="_bound")
    axes.set_yscale("log")
    axes.set_xticks(sorted({one.depth for one in found}))
    axes.set_xlabel("hidden layers n (solid ReLU, dashed hard tanh, dotted Z(k,m)^n)")
    axes.set_ylabel("activation patterns on R^m")
    axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
