"""The image of a trajectory behind a layer, in two dimensions: what there is to be drawn of a curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.expressivity.trajectory import Trajectory
from reludsl.network import INPUT
from reludsl.regions.arcs import Arcs

STEP = math.pi / 180
"""An arc of an ellipse is drawn in chords of at most one degree."""


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A curve behind a layer, seen along two directions.

    Args:
        stop: the layer; t: (points,) where they stand on the curve, from 0 to 1.
        points: (points, 2) coordinates along the directions, from the mean of the curve's points on.
        breaks: numbers of the points at which the pattern of any layer changes.
        directions: (2, width) orthonormal, or as they were given.
        share: how much of the variance of the points lies in the plane that is seen.
    """

    stop: str
    t: FloatArray
    points: FloatArray
    breaks: IntArray
    directions: FloatArray
    share: float


def image(found: Trajectory, stop: int, curve: int = 0, *, directions: FloatArray | None = None) -> Image:
    """The image of one curve at one stop, projected to the two principal axes of its points, or to given directions.

    The points are those at which any unit switches, corners and ends; straight between them, so that of a straight
    curve nothing is left out. Arcs have points at every degree beside.

    Args:
        stop: number in `found.stops`, 0 being the input.
        directions: (2, width); they need not be orthogonal.

    Raises:
        InvalidInput: no stop or curve of that number, directions of another shape.

    >>> from reludsl.networks import sawtooth
    >>> from reludsl.expressivity import trajectory
    >>> seen = image(trajectory(sawtooth(1), np.array([0.0]), np.array([1.0])), 1)
    >>> seen.stop, seen.t, round(seen.share, 12)
    ('1_relu', array([0. , 0.5, 1. ]), 1.0)
    """
    if not 0 <= stop < len(found.stops) or not 0 <= curve < found.curves:
        raise InvalidInput(
            f"there is no stop {stop} among {len(found.stops)}, or no curve {curve} among {found.curves}; both are "
            f"numbered from 0 on, stops in the order {', '.join(found.stops)}"
        )
    s, x = _points(found, curve)
    name = found.stops[stop]
    z = x if name == INPUT else found.path.network.values(x, name)[name]
    spread = z - z.mean(axis=0)
    axes = _axes(spread) if directions is None else np.asarray(directions, dtype=np.float64)
    if axes.shape != (2, z.shape[1]) or not np.isfinite(axes).all():
        raise InvalidInput(
            f"directions of shape {axes.shape} are no two axes of {name!r}, which has {z.shape[1]} elements; give two "
            f"rows of {z.shape[1]} finite numbers"
        )
    plane = _spanned(axes)
    whole = float(np.square(spread).sum())
    share = float(np.square(spread @ plane).sum()) / whole if whole else 1.0
    t = (s - s[0]) / (s[-1] - s[0])
    breaks = np.searchsorted(t, found.breakpoints(curve))
    return Image(name, t, spread @ axes.T, np.minimum(breaks, len(t) - 1), axes, share)


def _points(found: Trajectory, curve: int) -> tuple[FloatArray, FloatArray]:
    """Positions on the curve and the inputs there: (points,) and (points, inputs)."""
    path = found.path
    own = np.arange(path.offsets[curve], path.offsets[curve + 1])
    if not isinstance(path, Arcs):
        return path.s[own], path.at(own)
    knots = path.s[own]
    extra = np.linspace(knots[0], knots[-1], 1 + math.ceil((knots[-1] - knots[0]) / STEP))
    s = np.union1d(knots, extra)
    return s, path.at_angles(np.full(len(s), curve), s)


def _spanned(axes: FloatArray) -> FloatArray:
    """(width, rank) an orthonormal basis of what the axes span: of dependent ones a line, or nothing."""
    columns, values, _ = np.linalg.svd(axes.T, full_matrices=False)
    return np.asarray(columns[:, values > len(axes.T) * np.finfo(np.float64).eps * values[0]])


def _axes(spread: FloatArray) -> FloatArray:
    """(2, width) the principal axes, with the largest element of each positive."""
    if spread.shape[1] == 1:
        return np.array([[1.0], [0.0]])
    _, _, rows = np.linalg.svd(spread, full_matrices=False)
    rows = np.concatenate([rows, np.zeros((max(0, 2 - len(rows)), spread.shape[1]))])[:2]
    largest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return np.asarray(rows * np.where(largest < 0, -1.0, 1.0))
