"""How far an input is from the border of its region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reludsl.backend import FloatArray, IntArray
from reludsl.errors import InvalidInput
from reludsl.layers import AffineLayer, Layer, MaxLayer, elementwise
from reludsl.network import INPUT, Network
from reludsl.regions.forms import Basis, forms
from reludsl.regions.planar.result import pieces_at
from reludsl.regions.units import Part, Plan, plan

CHUNK = 4_000_000
"""Numbers that are held at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The nearest place where a unit leaves its piece.

    Args:
        distance: (m,) in the Euclidean norm, inf where no unit ever leaves its piece.
        layer: (m,) the node of the unit, "" where there is none.
        element: (m,) its element, -1 where there is none.
        point: (m, inputs) the nearest point of the border; the input itself where there is none.
    """

    distance: FloatArray
    layer: list[str]
    element: IntArray
    point: FloatArray


def nearest_boundary(network: Network, x: FloatArray) -> Nearest:
    """min over the units of |z - b| / ||grad z||, where z is affine on the region of x (Hanin and Rolnick 2019).

    The first unit that breaks on the way to any point outside of the region breaks within it, where its gradient is
    that at x; so that the distance is exact, up to rounding, although other units bend beyond.

    Args:
        x: (m, inputs), or one input; the whole space counts, not a domain.

    Raises:
        InvalidInput: a shape that does not fit, a number that is not finite, a layer whose pieces are unknown.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0], [-1.0]]), np.array([0.0, 1.0])), relu,
    ...                      Affine(np.array([[4.0, 2.0]]), np.array([-3.0])), relu], (1,))
    >>> found = nearest_boundary(net, np.array([[0.8], [-1.0]]))
    >>> found.distance.round(6), found.layer, found.point.round(6).ravel()
    (array([0.2, 0.5]), ['1_relu', '3_relu'], array([ 1. , -0.5]))
    """
    own, points, axes = plan(network), network.batch(x), sensitive_axes(network)
    if not np.isfinite(points).all():
        raise InvalidInput(
            "an input holds a number that is not finite, from which nothing has a distance; give numbers"
        )
    parts = [_nearest(own, points[chunk], axes) for chunk in chunks(own, len(points), axes)]
    number = np.concatenate([p[1] for p in parts])
    names = ["", *(part.name for part in own.parts)]
    return Nearest(
        np.concatenate([p[0] for p in parts]),
        [names[k + 1] for k in number.tolist()],
        np.concatenate([p[2] for p in parts]),
        np.concatenate([p[3] for p in parts]),
    )


def sensitive_axes(network: Network) -> FloatArray:
    """Orthonormal directions (d, inputs) that every gradient of the network lies in the span of.

    Where all goes through one affine layer of fewer elements than inputs these span its rows, up to rounding; so that
    a gradient has as many coordinates as that layer has elements, and the same norm in them.
    """
    n = network.input_size
    listeners = network.listeners[INPUT]
    first = network.by_name[listeners[0]] if len(listeners) == 1 else None
    if first is None or not isinstance(first.layer, AffineLayer) or network.size(first.name) >= n:
        return np.eye(n)
    return np.asarray(np.linalg.qr(first.layer.apply(network.gather(first, {INPUT: np.eye(n)})))[0].T)


def chunks(own: Plan, count: int, axes: FloatArray) -> list[slice]:
    """Parts of `count` inputs of which the gradients along `axes` of all units of a node fit the memory."""
    widest = max((own.network.size(step.node.name) for step in own.steps), default=1)
    step = max(1, CHUNK // ((len(axes) + 1) * max(widest, own.network.input_size)))
    return [slice(k, k + step) for k in range(0, count, step)]


def tangent(x: FloatArray, axes: FloatArray) -> Basis:
    """Every input as a point, with the same directions at each: a form holds gradients along them, then the value."""
    m, d = len(x), len(axes)
    every = np.broadcast_to(axes, (m, *axes.shape))
    return Basis(np.concatenate([every, x[:, None, :]], axis=1), np.eye(d + 1)[-1])


def _nearest(own: Plan, x: FloatArray, axes: FloatArray) -> tuple[FloatArray, IntArray, IntArray, FloatArray]:
    m = len(x)
    basis = tangent(x, axes)
    pieces = pieces_at(own, x)
    best, number, element = np.full(m, np.inf), np.full(m, -1), np.full(m, -1)
    point, row = x.copy(), np.arange(m)
    for part, form in forms(own, basis, pieces, bounded=False):
        if part is None:
            continue
        layer = own.network.by_name[part.name].layer
        piece = pieces[:, part.first : part.first + part.size]
        for gap, slope in _gaps(layer, part, form.value, piece):
            length = np.sqrt(np.einsum("mdn,mdn->mn", slope, slope))
            distance = np.divide(gap, length, out=np.full_like(gap, np.inf), where=length > 0)
            unit = distance.argmin(axis=1)
            shortest = distance[row, unit]
            closer = np.flatnonzero(shortest < best)
            best[closer], number[closer], element[closer] = shortest[closer], part.number, unit[closer]
            along = slope[closer, :, unit[closer]] / length[closer, unit[closer]][:, None]
            point[closer] = x[closer] - shortest[closer, None] * (along @ axes)
    return best, number, element, point


def _gaps(layer: Layer, part: Part, value: FloatArray, piece: IntArray) -> list[tuple[FloatArray, FloatArray]]:
    """For every end of a piece how far z is from it, inf where there is none, and the gradient of that: (m, d, n)."""
    if isinstance(layer, MaxLayer):
        windows = layer.windows
        best = windows[np.arange(part.size), piece]
        own = np.take_along_axis(value, best[:, None, :], axis=2)
        found = []
        for column in windows.T:
            ahead = own - value[:, :, column]
            found.append((np.where(best == column, np.inf, ahead[:, -1]), ahead[:, :-1]))
        return found
    assert elementwise(layer)
    edges = np.vstack([np.full(part.size, -np.inf), layer.breaks_at(part.size), np.full(part.size, np.inf)])
    low, high = np.take_along_axis(edges, piece, axis=0), np.take_along_axis(edges, piece + 1, axis=0)
    z, slope = value[:, -1], value[:, :-1]
    return [(z - low, slope), (high - z, -slope)]
