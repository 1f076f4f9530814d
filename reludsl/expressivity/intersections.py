"""Where the lines of units cross, and a penalty that makes them: anti-regularisation.

A unit of a ReLU network of two inputs switches on a line, which bends where it crosses a line of an earlier layer.
Wherever two such lines cross, four regions meet: more crossings, more regions. `crossings` finds them all in a network
of any depth; `intersection_penalty` is a term of a loss that is lower the more of them there are, for two layers.

Source: Jeong, Barton and Ramirez, ICERM 2020 (slides), who suggest "perceptron-like" terms. There one line reads
w_2 relu(W_1 x + b_1) + b_2 = w_2' ((W_1 x + b_1) + b_2), which must read w_2' (W_1 x + b_1) + b_2.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.expr import Input
from reludsl.expressivity.torch_module import torch
from reludsl.network import Network
from reludsl.networks import arrangement
from reludsl.regions import plane
from reludsl.regions.planar.build import Where


@dataclass(frozen=True, eq=False, slots=True)
class Crossings:
    """Points inside of a plane domain where two units switch.

    Args:
        points: (m, 2) in the coordinates of the plane.
        layers: (m, 2) the layers of the two units, from 0, the earlier first.
        units: (m, 2) which units of these layers they are.
        depth: number of layers.
    """

    points: FloatArray
    layers: IntArray
    units: IntArray
    depth: int

    def __len__(self) -> int:
        return len(self.points)

    @property
    def by_layers(self) -> IntArray:
        """(depth, depth) how many crossings two layers have: row the earlier one, column the later."""
        found = np.zeros((self.depth, self.depth), dtype=np.int64)
        np.add.at(found, (self.layers[:, 0], self.layers[:, 1]), 1)
        return found

    @property
    def pairs(self) -> int:
        """How many pairs of units cross at least once."""
        return len(np.unique(np.hstack([self.layers, self.units]), axis=0))


def crossings(network: Network, where: Input | Where) -> Crossings:
    """Every point where two units switch, inside of a box, a polygon or all of R^2: the inner vertices of `plane`.

    A bent line belongs to a unit of a later layer; the place where it bends is its crossing with an earlier one. Where
    c > 2 units meet in a point, there are c (c - 1) / 2 crossings. Of units that switch along one line, the first
    stands for all.

    Args:
        network: of two inputs, or `where` a `Slice`.

    Raises:
        InvalidInput: a domain that has no two dimensions.

    >>> from reludsl.networks import general_position, product, sawtooth
    >>> len(crossings(general_position(5, 2), Box([0, 0], [1, 1])))  # 5 lines in general position
    10
    >>> found = crossings(product(sawtooth(1), sawtooth(2)), Box([0, 0], [1, 1]))  # x = 1/2 and y = 1/4, 1/2, 3/4
    >>> len(found), found.pairs  # 1/4 and 3/4 are of one unit
    (3, 2)
    """
    found = plane(network, where)
    ends = np.concatenate(
        [np.stack([end, found.edge_part, found.edge_element], axis=1) for end in (found.tail, found.head)]
    )
    outer = np.zeros(found.vertices, dtype=np.bool_)
    outer[ends[ends[:, 1] < 0, 0]] = True
    outer |= found.points[:, 2] == 0
    # sorted by vertex, then by layer: the units of one vertex stand in a row
    ends = np.unique(ends[~outer[ends[:, 0]]], axis=0)
    most = int(np.bincount(ends[:, 0]).max(initial=0))
    pairs = [
        np.stack([ends[:-apart], ends[apart:]], axis=1)[ends[:-apart, 0] == ends[apart:, 0]] for apart in range(1, most)
    ]
    both = np.concatenate([np.empty((0, 2, 3), dtype=np.int64), *pairs])
    return Crossings(found.coordinates[both[:, 0, 0]], both[:, :, 1], both[:, :, 2], len(found.plan.parts))


class Crossing(enum.Enum):
    """Which lines are to cross. The value says which layers they are of."""

    FIRST = "first"
    """Two of the first layer, inside of the box."""
    MIXED = "mixed"
    """One of the first layer and one of the second, on every stretch of the former."""
    SECOND = "second"
    """Two of the second layer, inside of every region of the first."""


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """The regions and lines of a first layer on a box.

    Args:
        patterns: (m, n_1) which units are on, in every region.
        lines: (e,) which unit's line a stretch between two crossings lies on.
        along: (e, n_1) which other units are on there.
    """

    patterns: BoolArray
    lines: IntArray
    along: BoolArray

    @classmethod
    def of(cls, weight: FloatArray, bias: FloatArray, box: Box) -> FirstLayer:
        """Of relu(weight x + bias), weight (n_1, 2).

        Raises:
            InvalidInput: shapes that do not fit, a box without interior.

        >>> first = FirstLayer.of(np.eye(2), np.zeros(2), Box([-1, -1], [1, 1]))
        >>> first.patterns.astype(int).tolist(), first.lines.tolist()
        ([[1, 1], [0, 1], [0, 0], [1, 0]], [0, 0, 1, 1])
        """
        found = plane(arrangement(weight, bias), box)
        inner = np.flatnonzero(found.right >= 0)
        lines = found.edge_element[inner]
        along = found.pieces(found.left[inner]) > 0
        along[np.arange(len(lines)), lines] = False
        return cls(found.pieces() > 0, lines, along)

    @cached_property
    def turning(self) -> BoolArray:
        """Patterns with two units on at least: with fewer all lines of the second layer are parallel."""
        return np.asarray(self.patterns[self.patterns.sum(axis=1) > 1])

    @cached_property
    def turned(self) -> tuple[IntArray, BoolArray]:
        """Lines, and the patterns along them, with another unit on; otherwise the second layer's lines are parallel."""
        some = self.along.any(axis=1)
        return self.lines[some], self.along[some]


Tensors = tuple[Any, Any]
"""Weight and bias of a layer as tensors, e.g. (linear.weight, linear.bias)."""


def intersection_penalty(
    first: Tensors,
    second: Tensors,
    box: Box,
    *,
    margin: float = 0.02,
    least: float = 0.01,
    kinds: Collection[Crossing] = tuple(Crossing),
    regions: FirstLayer | None = None,
) -> Any:
    """How far the lines of a network with two inputs and two hidden layers are from crossing; to be added to a loss.

    In the region of the first layer with the pattern s the second layer takes W' x + c, with W' = W_2 diag(s) W_1 and
    c = W_2 diag(s) b_1 + b_2. For every pair of its units, x* solves W'_i x = -c_i, W'_j x = -c_j; and

        violation = sum_k max(0, margin - (2 s_k - 1) (W_1 x* + b_1)_k) + the same for the four sides of the box.

    It is 0 where the two lines cross inside of that region, with the margin. Likewise two lines of the first layer in
    the box, and one of each layer on every stretch of the former. The penalty is the sum over the kinds of crossings of
    the mean violation over all regions and pairs. It depends on the box and on the weights, not on data.

    The gradient stays finite where lines are nearly parallel: while |det| < least, x* is solved with the determinant
    sign(det) least, and margin (1 - |det| / least) is added, so that such a pair is never without violation. Away from
    that the gradient grows as 1 / det^2, no further than 1 / least^2.

    Source: see this module; the sides of the box and the kinds FIRST and MIXED generalise it.

    Args:
        first, second: weights (n_1, 2) and (n_2, n_1), biases (n_1,) and (n_2,), tensors of one type.
        margin: in units of the pre-activation, and of the inputs for the sides of the box. Only with
            a positive one is the penalty 0 for pairs that cross and for no others.
        least: a determinant; the default suits weights of size 1 or so.
        regions: of the first layer as it stands; found by itself unless given.

    Returns:
        A tensor without dimensions, differentiable but for the regions themselves, which are held.

    Raises:
        MissingBackend: torch is not installed.
        InvalidInput: shapes that do not fit, a negative margin, a `least` that is not positive, no kind.

    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> cross = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    >>> shifted = cross[0], torch.tensor([-0.5, -0.5], dtype=torch.float64)
    >>> square = Box([-1, -1], [1, 1])
    >>> float(intersection_penalty(cross, shifted, square, kinds=[Crossing.SECOND]))  # they cross at (1/2, 1/2)
    0.0
    """
    if not kinds:
        raise InvalidInput("no kind of crossing is asked for, so that there is nothing to penalise; give one at least")
    held = _held(first, box, regions)
    terms = [
        intersection_violations(first, second, box, kind, margin=margin, least=least, regions=held) for kind in kinds
    ]
    return sum(term.sum() / max(1, term.numel()) for term in terms)


def intersection_violations(
    first: Tensors,
    second: Tensors,
    box: Box,
    kind: Crossing,
    *,
    margin: float = 0.0,
    least: float = 0.01,
    regions: FirstLayer | None = None,
) -> Any:
    """The terms of `intersection_penalty` one by one; without a margin, 0 for every pair that crosses.

    Returns:
        SECOND: (regions with two units on, n_2 (n_2 - 1) / 2); MIXED: (stretches, n_2); FIRST: (1, n_1 (n_1 - 1) / 2).

    Raises:
        MissingBackend, InvalidInput: as `intersection_penalty`.

    >>> import pytest
    >>> torch = pytest.importorskip("torch")
    >>> axes = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    >>> shifted = axes[0], torch.tensor([-0.5, -0.5], dtype=torch.float64)
    >>> intersection_violations(axes, shifted, Box([-1, -1], [1, 1]), Crossing.SECOND).tolist()  # at (1/2, 1/2)
    [[0.0]]
    """
    (w, b), (v, d) = first, second
    _check(w, b, v, d, box, margin, least)
    held = _held(first, box, regions)
    n = len(b)
    if kind is Crossing.FIRST:
        i, j = np.triu_indices(n, 1)
        x, parallel = _meeting((w[i], b[i]), (w[j], b[j]), least)
        return (margin * parallel + _outside(x, box, margin))[None]
    lines, patterns = held.turned if kind is Crossing.MIXED else (None, held.turning)
    on = torch().tensor(patterns, dtype=w.dtype, device=w.device)
    rows = (v * on[:, None, :]) @ w, (v * on[:, None, :]) @ b + d
    asked = torch().ones_like(on)
    if lines is None:
        i, j = np.triu_indices(len(d), 1)
        x, parallel = _meeting((rows[0][:, i], rows[1][:, i]), (rows[0][:, j], rows[1][:, j]), least)
    else:
        own = torch().tensor(lines, device=w.device)
        x, parallel = _meeting((w[own][:, None], b[own][:, None]), rows, least)
        asked[torch().arange(len(own)), own] = 0.0
    short = torch().relu(margin - (2 * on - 1)[:, None] * (x @ w.T + b))
    return margin * parallel + (asked[:, None] * short).sum(-1) + _outside(x, box, margin)


def _meeting(one: Tensors, other: Tensors, least: float) -> tuple[Any, Any]:
    """Where a x + c = 0 and a' x + c' = 0 meet by Cramer's rule, (..., 2); by what part |det| is short of `least`."""
    (a, c), (e, f) = one, other
    det = a[..., 0] * e[..., 1] - a[..., 1] * e[..., 0]
    guarded = torch().where(det < 0, -1.0, 1.0).to(det.dtype) * det.abs().clamp(min=least)
    x = torch().stack([a[..., 1] * f - e[..., 1] * c, e[..., 0] * c - a[..., 0] * f], dim=-1)
    return x / guarded[..., None], torch().relu(1.0 - det.abs() / least)


def _outside(x: Any, box: Box, margin: float) -> Any:
    """By how much a point is beyond the sides of the box, or nearer to them than the margin."""
    low, high = (torch().tensor(side.ravel(), dtype=x.dtype, device=x.device) for side in (box.lower, box.upper))
    return torch().relu(margin - (x - low)).sum(-1) + torch().relu(margin - (high - x)).sum(-1)


def _held(first: Tensors, box: Box, regions: FirstLayer | None) -> FirstLayer:
    if regions is not None:
        return regions
    weight, bias = (np.asarray(part.detach().cpu(), dtype=np.float64) for part in first)
    return FirstLayer.of(weight, bias, box)


def _check(w: Any, b: Any, v: Any, d: Any, box: Box, margin: float, least: float) -> None:
    n, m = len(b), len(d)
    if tuple(w.shape) != (n, 2) or tuple(v.shape) != (m, n) or box.size != 2:
        raise InvalidInput(
            f"the weights have shapes {tuple(w.shape)} and {tuple(v.shape)}, the biases {n} and {m} elements and the "
            f"box {box.size} coordinates; lines of two layers cross in a plane: give (n, 2) and (m, n), and a box of 2"
        )
    if not (margin >= 0 and least > 0):
        raise InvalidInput(
            f"the margin is {margin} and the least determinant {least}; a negative margin asks for nothing and a "
            "determinant of 0 makes the gradient infinite: give 0 or more, and a number above 0"
        )
