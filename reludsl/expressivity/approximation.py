"""How far a network is from a polynomial, or from another network, everywhere on an interval or a rectangle.

On every piece the network is affine. Its distance from another network is therefore largest at a vertex of the common
refinement; its distance from a polynomial where a polynomial of the same degree is, which is found between bounds by
its Bernstein coefficients (see `reludsl.expressivity.simplices`).
"""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from reludsl import numeric
from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.exact import ExactArray, exactly, rounded_up
from reludsl.expressivity.bernstein import Terms
from reludsl.expressivity.held import held_outputs
from reludsl.expressivity.simplices import Simplices, maximum
from reludsl.layers import Sum
from reludsl.network import INPUT, Network, Node
from reludsl.regions.forms import Basis, Form
from reludsl.regions.lines import of_domain
from reludsl.regions.planar import plane
from reludsl.regions.units import Plan

TOLERANCE = 1e-9
"""Relative distance between the bounds that is asked for of a polynomial."""

LIMIT = 500_000
"""Triangles or intervals at once."""


@dataclass(frozen=True, slots=True, eq=False)
class SupDistance:
    """lower <= sup |f - F| <= upper, over the box and over all outputs.

    Args:
        lower: |f - F| at the point `at`, in exact arithmetic, rounded down.
        upper: a proved bound: of the values at all vertices, or of Bernstein coefficients, rounded outward, with all
            errors of the pieces themselves added.
        at: (inputs,) a point of the box.
        pieces: activation regions of F on the box; of the common refinement where f is a network.
    """

    lower: float
    upper: float
    at: FloatArray
    pieces: int


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Pieces as polygons: corners (m, k, D + 1), with last coordinate 1, the last corner repeated to fill a row.

    Args:
        basis: its directions are the axes, so that coefficients are those of the inputs; simplices: (s, D + 1, D) that
            they consist of, and owner: (s,) the piece of each.
    """

    plan: Plan
    basis: Basis
    pieces: IntArray
    corners: FloatArray
    simplices: FloatArray
    owner: IntArray
    regions: int


def sup_distance(
    network: Network, target: Network | npt.ArrayLike, box: Box, *, tolerance: float = TOLERANCE
) -> SupDistance:
    """sup |f(x) - F(x)| over the box, for a network F of one or two inputs and a polynomial or network f.

    Of two networks of several outputs it is the largest over the outputs too.

    The bounds need no trust in rounded corners of pieces: those cover the box, and by how much a unit passes its break
    between them is bounded and added (`held_outputs`). For polynomials of degree 2 or less no piece is divided unless
    rounding asks for it.

    Args:
        target: a network, or coefficients c[j] of x^j, of two inputs c[j, k] of x^j y^k, as in `numpy.polynomial`.
        tolerance: of a polynomial: upper - lower <= tolerance * lower, unless rounding or `LIMIT` leaves more.

    Raises:
        InvalidInput: neither one nor two inputs, a flat box, a target of other inputs or outputs, text.

    Source: sup |f - F| is how uniform approximation is measured (Cybenko 1989); Bernstein coefficients: Farin, Curves
    and Surfaces for CAGD, section 17.

    >>> from reludsl.networks import square
    >>> found = sup_distance(square(3), [0.0, 0.0, 1.0], Box([0.0], [1.0]))
    >>> found.lower == 4.0**-4, 0 <= found.upper - found.lower < 1e-12, found.pieces
    (True, True, 8)
    >>> sup_distance(square(3), square(2), Box([0.0], [1.0])).lower  # at the middles of the pieces of the second
    0.015625
    """
    _check(network, box)
    box = Box(box.lower.ravel(), box.upper.ravel())
    if isinstance(target, Network):
        cut = _pieces(_difference(network, target), box)
        return _at_corners(cut, box)
    terms = _terms(target, network)
    if not tolerance >= 0:
        raise InvalidInput(f"the tolerance is {tolerance}, and bounds come no closer than 0; give e.g. {TOLERANCE:g}")
    cut = _pieces(network, box)
    form, lost = held_outputs(cut.plan, cut.basis, cut.pieces, cut.corners)
    allowance = lost[:, 0] + _form_error(form, cut.corners)[:, 0]
    gradient, constant = form.value[:, :-1, 0], form.value[:, -1, 0]
    count = len(cut.owner)
    cells = Simplices(
        np.concatenate([cut.simplices, cut.simplices]),
        np.concatenate([cut.owner, cut.owner]),
        np.repeat([1.0, -1.0], count),
        np.zeros(2 * count),
    )
    found = maximum(terms, gradient, constant, cells, allowance=allowance, tolerance=tolerance, limit=LIMIT)
    at = np.clip(found.point, box.lower, box.upper)
    exact = abs(_exact_value(terms, at) - network.exact_values(exactly(at))[network.output][0])
    return SupDistance(_rounded_down(exact), found.upper, at, cut.regions)


def _at_corners(cut: _Pieces, box: Box) -> SupDistance:
    """Of the difference of two networks."""
    form, lost = held_outputs(cut.plan, cut.basis, cut.pieces, cut.corners)
    error = lost + _form_error(form, cut.corners)
    value = np.abs(np.einsum("mkd,mdn->mkn", cut.corners, form.value))
    upper = float(numeric.up(value.max(axis=1), error).max())
    upper = math.inf if math.isnan(upper) else upper
    piece, corner, _ = np.unravel_index(int(value.argmax()), value.shape)
    at = np.clip(cut.corners[piece, corner, :-1], box.lower, box.upper)
    network = cut.plan.network
    exact = max(abs(v) for v in network.exact_values(exactly(at))[network.output])
    return SupDistance(_rounded_down(exact), upper, at, cut.regions)


def _form_error(form: Form, corners: FloatArray) -> FloatArray:
    """What the errors of the coefficients, and one evaluation, come to at any corner: (m, outputs)."""
    reach = np.abs(corners).max(axis=1)
    size = np.einsum("md,mdn->mn", reach, np.abs(form.value) + form.error)
    error = np.einsum("md,mdn->mn", reach, form.error)
    return numeric.inflated(error + numeric.gamma(reach.shape[1] + 2) * size)


def _pieces(network: Network, box: Box) -> _Pieces:
    return _intervals(network, box) if network.input_size == 1 else _polygons(network, box)


def _intervals(network: Network, box: Box) -> _Pieces:
    found = of_domain(network, box)
    left = found.stretches.left
    # from the beginning of a piece to that of the next, so that nothing is left between
    ends = np.concatenate([found.at(left)[1:, 0], box.upper])
    starts = np.concatenate([box.lower, ends[:-1]])
    simplices = np.stack([starts, ends], axis=1)[:, :, None]
    basis = Basis(np.array([[1.0], [0.0]]), np.array([0.0, 1.0]))
    pieces = found.pieces_of(np.arange(len(left)))
    return _Pieces(found.plan, basis, pieces, _with_one(simplices), simplices, np.arange(len(left)), len(left))


def _polygons(network: Network, box: Box) -> _Pieces:
    """The faces and their fans. A disk whose border goes once around the box is mapped onto all of it, whatever its
    inner vertices do."""
    found = plane(network, box)
    where = found.coordinates.copy()
    for number, (axis, value) in enumerate(((1, box.lower), (0, box.upper), (1, box.upper), (0, box.lower))):
        side = np.flatnonzero((found.right < 0) & (found.maker == -2 - number))
        where[np.concatenate([found.tail[side], found.head[side]]), axis] = value[axis]
    vertices, offsets = found.polygons()
    sizes = np.diff(offsets)
    last = np.minimum(offsets[:-1, None] + np.arange(int(sizes.max())), offsets[1:, None] - 1)
    owner = np.repeat(np.arange(found.faces), sizes - 2)
    second = np.arange(len(owner)) - np.repeat(np.cumsum(sizes - 2) - (sizes - 2), sizes - 2) + 1
    fan = offsets[owner][:, None] + np.stack([np.zeros_like(second), second, second + 1], axis=1)
    corners = _with_one(where[vertices[last]])
    return _Pieces(found.plan, found.basis, found.pieces(), corners, where[vertices[fan]], owner, found.faces)


def _with_one(points: FloatArray) -> FloatArray:
    return np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1)


def _difference(first: Network, second: Network) -> Network:
    """One network that computes first - second: it is cut where either is."""
    if first.input_shape != second.input_shape or first.output_shape != second.output_shape:
        raise InvalidInput(
            f"one network takes {first.input_shape} and gives {first.output_shape}, the other takes "
            f"{second.input_shape} and gives {second.output_shape}, so that they have no difference; give two of the "
            "same shapes"
        )

    def named(name: str, side: str) -> str:
        return name if name == INPUT else f"{side}/{name}"

    nodes = [
        Node(named(node.name, side), node.layer, *(named(source, side) for source in node.sources))
        for side, network in (("first", first), ("second", second))
        for node in network.cone(network.output)
    ]
    ends = named(first.output, "first"), named(second.output, "second")
    return Network((*nodes, Node("difference", Sum((1, -1)), *ends)), first.input_shape)


def _check(network: Network, box: Box) -> None:
    if network.input_size not in (1, 2):
        raise InvalidInput(
            f"the network has {network.input_size} inputs, and pieces are cut exactly on lines and planes only; give "
            "one of one or two, e.g. with an affine layer in front that maps a plane into its inputs"
        )
    network.check_domain(box)
    if not (box.lower < box.upper).all():
        raise InvalidInput(
            f"the box from {box.lower} to {box.upper} is flat, so that pieces have no inside there; give sides of "
            "positive length"
        )


def _terms(target: npt.ArrayLike, network: Network) -> Terms:
    n = network.input_size
    wanted = "c[j, k] of x^j y^k, e.g. [[0, 0], [0, 1]] for x y" if n > 1 else "c[j] of x^j, e.g. [0, 0, 1] for x^2"
    try:
        given = np.asarray(target)
        # numpy would read numbers from text, and leave out imaginary parts
        table = given.astype(np.float64) if given.dtype.kind in "biufO" else None
    except (TypeError, ValueError, OverflowError):
        table = None
    if table is None:
        raise InvalidInput(
            f"coefficients {reprlib.repr(target)} are no real numbers; give an array of numbers {wanted}"
        )
    if table.ndim != n or not table.size or not np.isfinite(table).all():
        raise InvalidInput(
            f"coefficients of shape {table.shape} are no polynomial in {n} unknown{'s' if n > 1 else ''}; give finite "
            f"numbers {wanted}"
        )
    if network.output_size != 1:
        raise InvalidInput(
            f"the network has {network.output_size} outputs and the polynomial one value; give a network that ends in "
            "the output that is meant"
        )
    exponents = np.argwhere(table)
    return Terms(table[tuple(exponents.T)], exponents)


def _exact_value(terms: Terms, at: FloatArray) -> Fraction:
    x = exactly(at)
    powers: ExactArray = np.array([np.prod(x**e) for e in terms.exponents.astype(object)], dtype=object)
    return sum((exactly(terms.coefficients) * powers).tolist(), Fraction(0))


def _rounded_down(value: Fraction) -> float:
    return 0.0 - rounded_up(-value)
