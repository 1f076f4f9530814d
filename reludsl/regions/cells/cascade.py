"""A network as layers of units: what a search over its linear regions goes through, in order.

    z^l = sum over sources s of  W^{l,s} h^s + V^l x + b^l        h^l = the pieces of layer l, applied to z^l

A unit has *options*, its pieces, and an option is an intersection of half-spaces {edge > 0} (`reludsl.regions.edges`).
Everything affine between the units is composed beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from reludsl import numeric
from reludsl.affine_step import affine_step
from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.layers import Activation, MaxLayer, elementwise
from reludsl.network import INPUT, Network
from reludsl.regions.edges import UnitLayer, unit_count, unit_layers

ZERO, UNKNOWN = 0, 2
"""Signs beside 1 and -1: 0 by what it is made of, and not known."""

MOST_COEFFICIENTS = 50_000_000
"""Coefficients of one layer beyond which it is not written out."""


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The pieces of the units of a layer, one after the other.

    Args:
        unit, piece: (O,) options of a unit stand together, in the order of its pieces.
        edges: (O, R) the edges of each option; one past the last edge where it has fewer than R.
        plus, minus, offset: (Q,) edge q is z[plus[q]] - z[minus[q]] + offset[q]; -1 for no element.
        like: (F, 2) options that are what another is, because the edges of both are the same up to a factor.
    """

    unit: IntArray
    piece: IntArray
    edges: IntArray
    plus: IntArray
    minus: IntArray
    offset: FloatArray
    like: IntArray

    @classmethod
    def of(cls, units: UnitLayer) -> Options:
        """The options of a layer, none of them like another."""
        unit, piece = np.nonzero(units.proper)
        held = [
            np.flatnonzero((units.edges.unit == u) & (units.edges.piece == p)).tolist()
            for u, p in zip(unit.tolist(), piece.tolist())
        ]
        width = max((len(own) for own in held), default=0)
        edges = [own + [units.edges.size] * (width - len(own)) for own in held]
        plus, minus = np.full(units.edges.size, -1), np.full(units.edges.size, -1)
        entries = units.edges.rows.tocoo()
        plus[entries.row[entries.data > 0]] = entries.col[entries.data > 0]
        minus[entries.row[entries.data < 0]] = entries.col[entries.data < 0]
        return cls(
            unit,
            piece,
            np.array(edges, dtype=np.int64).reshape(len(held), width),
            plus,
            minus,
            units.edges.offset,
            np.zeros((0, 2), dtype=np.int64),
        )

    def rows(self, z: FloatArray) -> FloatArray:
        """The edges as rows, from z as rows whose last entry is the constant: (..., size, d) -> (..., Q, d)."""
        found = self.differences(z)
        found[..., -1] += self.offset
        return found

    def differences(self, z: FloatArray) -> FloatArray:
        """The same without the offsets."""
        found = np.where((self.plus >= 0)[:, None], z[..., self.plus, :], 0.0)
        return np.asarray(found - np.where((self.minus >= 0)[:, None], z[..., self.minus, :], 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class CellLayer:
    """Units that take one vector z; the output as a layer without units.

    Args:
        units: None for the output.
        parts: index of an earlier layer -> W, dense.
        inputs: V, (size, input_size), or None where x does not reach this layer but through others.
        constant: b.
        exact: the coefficients are the network's own, nothing was composed and rounded.
        error: what composing layers, here and on the way to here, and underflow may have changed of z on the domain.
        magnitude: of every sum of products on the way to z on the domain: what other rounding is measured by.
        terms: number of products in the longest chain of sums on the way to z.
    """

    units: UnitLayer | None
    options: Options
    parts: Mapping[int, FloatArray]
    inputs: FloatArray | None
    constant: FloatArray
    exact: bool
    error: FloatArray
    magnitude: FloatArray
    terms: int

    @property
    def size(self) -> int:
        """Number of elements of z."""
        return self.constant.size

    def after(self, z: FloatArray, piece: IntArray) -> FloatArray:
        """h as rows, the last entry the constant, from z as rows: (B, size, d), (B, units) -> (B, units, d)."""
        assert self.units is not None
        layer = self.units.node.layer
        if isinstance(layer, MaxLayer):
            chosen = layer.windows[np.arange(self.units.size), piece]
            return np.asarray(np.take_along_axis(z, chosen[:, :, None], axis=1))
        assert elementwise(layer)
        h = z * layer.slope_of(piece)[:, :, None]
        h[:, :, -1] += layer.intercept_of(piece)
        return h

    def signs(self, signs: IntArray, piece: IntArray) -> IntArray:
        """What is known of the sign of h inside a cell, from the same of z: (B, size), (B, units) -> (B, units).

        See `Nodes.signs`. A piece owns its right end, so that a unit may sit there on a whole cell: a sign is known
        where f has it there too.
        """
        assert self.units is not None
        layer = self.units.node.layer
        if isinstance(layer, MaxLayer):
            return np.take_along_axis(signs, layer.windows[np.arange(self.units.size), piece], axis=1)
        assert elementwise(layer)
        slope, intercept = layer.slope_of(piece), layer.intercept_of(piece)
        moving = (signs != ZERO) & (slope != 0)
        known = np.take_along_axis(_piece_signs(layer, self.size)[None], piece[:, None, :], axis=1)[:, 0]
        # an intercept that is no float may have become 0
        error = np.take_along_axis(layer.intercept_errors_at(self.size)[None], piece[:, None, :], axis=1)[:, 0]
        fixed = np.where((intercept == 0) & (error > 0), UNKNOWN, np.sign(intercept).astype(np.int64))
        return np.where(moving, known, fixed)

    @property
    def _own(self) -> FloatArray:
        """What z has of the input and constants, in the network's own numbers: a change of coordinates rounds."""
        inputs = np.zeros((self.size, 0)) if self.inputs is None else self.inputs
        return np.column_stack([inputs, self.constant])

    def z_signs(self, signs: Mapping[int, IntArray], count: int) -> IntArray:
        """What is known of the sign of z inside a cell, by the signs of what it is the sum of: (B, size).

        A sum of terms of one sign has it, whatever they are: a rule without rounding, for units without bias.

        Args:
            signs: of earlier layers; count: B.
        """
        return self._sum_signs(self._own, self.parts, signs, count)

    def edge_signs(self, signs: Mapping[int, IntArray], count: int) -> IntArray:
        """The same of every edge: (B, Q)."""
        rows = {source: self.options.differences(weights) for source, weights in self.parts.items()}
        return self._sum_signs(self.options.rows(self._own), rows, signs, count)

    def _sum_signs(
        self, constant: FloatArray, parts: Mapping[int, FloatArray], signs: Mapping[int, IntArray], count: int
    ) -> IntArray:
        shape = count, len(constant)
        plus = np.broadcast_to(constant[:, -1] > 0, shape)
        minus = np.broadcast_to(constant[:, -1] < 0, shape)
        unknown = np.broadcast_to((constant[:, :-1] != 0).any(axis=1), shape)
        for source, rows in parts.items():
            up, down = (rows > 0).T.astype(np.float64), (rows < 0).T.astype(np.float64)
            positive, negative = ((signs[source] == s).astype(np.float64) for s in (1, -1))
            plus = plus | (positive @ up + negative @ down > 0)
            minus = minus | (positive @ down + negative @ up > 0)
            unknown = unknown | ((signs[source] == UNKNOWN).astype(np.float64) @ (up + down) > 0)
        found = np.where(plus, np.where(minus, UNKNOWN, 1), np.where(minus, -1, ZERO))
        return np.where(unknown | (not self.exact), UNKNOWN, found)


@dataclass(frozen=True, slots=True, eq=False)
class Cascade:
    """The layers of units of a network in order, and its output as an affine function of theirs."""

    network: Network
    layers: tuple[CellLayer, ...]
    last: CellLayer

    @property
    def unit_layers(self) -> tuple[UnitLayer, ...]:
        """The layers as `reludsl.regions.edges` knows them."""
        return tuple(layer.units for layer in self.layers if layer.units is not None)

    @property
    def units(self) -> int:
        """Number of units of all layers."""
        return unit_count(self.unit_layers)

    @classmethod
    def of(cls, network: Network, reach: FloatArray) -> Cascade:
        """Compose the affine layers of a network.

        Args:
            reach: max |x| on the domain, coordinate by coordinate. Constants are taken to be multiplied by 1 at most.

        Raises:
            InvalidInput: a layer whose pieces are not known, one too large to be written out, values that overflow.
        """
        builder = _Builder(network, {INPUT: reach}, {INPUT: np.zeros(reach.size)}, {INPUT: 1}, {})
        layers: list[CellLayer] = []
        for units in unit_layers(network):
            layers.append(builder.composed(units.node.name, units.node.sources, units))
            builder.enter(units, len(layers) - 1, layers[-1])
        return cls(network, tuple(layers), builder.composed("output", (network.output,), None))


@dataclass(frozen=True, slots=True)
class _Builder:
    """Magnitudes, errors and lengths of sums of everything so far, and which layer each node became."""

    network: Network
    magnitude: dict[str, FloatArray]
    error: dict[str, FloatArray]
    terms: dict[str, int]
    index: dict[str, int]

    def enter(self, units: UnitLayer, index: int, layer: CellLayer) -> None:
        """What later layers need to know of one."""
        name, own = units.node.name, units.node.layer
        self.index[name] = index
        if isinstance(own, MaxLayer):
            self.magnitude[name] = layer.magnitude[own.windows].max(axis=1)
            self.error[name] = layer.error[own.windows].max(axis=1)
        else:
            assert elementwise(own)
            steep = np.abs(own.slopes_at(layer.size)).max(axis=0)
            moved = np.abs(own.intercepts_at(layer.size)).max(axis=0)
            self.magnitude[name] = np.asarray(numeric.inflated(steep * layer.magnitude + moved))
            off = own.intercept_errors_at(layer.size).max(axis=0)
            self.error[name] = np.asarray(numeric.inflated(steep * layer.error + off))
        self.terms[name] = layer.terms + 3

    def composed(self, name: str, sources: Sequence[str], units: UnitLayer | None) -> CellLayer:
        """z of a node as an affine function of earlier units and of the input."""
        boxes = {at: Box(-reach, reach) for at, reach in self.magnitude.items()}
        steps = [affine_step(self.network, source, boxes) for source in sources]
        ends = list(dict.fromkeys(at for step in steps for at in step.parts))
        constant = np.concatenate([step.constant for step in steps])
        weights: dict[str, FloatArray] = {}
        for at in ends:
            width = self.network.size(at)
            if width * constant.size > MOST_COEFFICIENTS:
                raise InvalidInput(
                    f"layer {name!r} has {width} x {constant.size} coefficients when written out, which is more than "
                    "a search over its regions can hold; count on a slice (plane, line) instead"
                )
            rows = [
                step.parts[at].toarray() if at in step.parts else np.zeros((step.constant.size, width))
                for step in steps
            ]
            weights[at] = np.concatenate(rows)
        longest = sum(int((w != 0).sum(axis=1).max(initial=0)) for w in weights.values())
        terms = max(self.terms[at] for at in ends) + longest + 2
        composed = np.concatenate([step.error for step in steps])
        with np.errstate(over="ignore"):
            carried = sum((np.abs(w) @ self.error[at] for at, w in weights.items()), np.zeros(constant.size))
            size = sum((np.abs(w) @ self.magnitude[at] for at, w in weights.items()), np.abs(constant))
        # a coefficient that underflows is multiplied by what it is a coefficient of
        widest = 1.0 + sum(float(magnitude.sum()) for magnitude in self.magnitude.values())
        error = np.asarray(numeric.inflated(composed + carried + numeric.underflow(terms) * widest))
        reach = size + error
        if not np.isfinite(reach).all():
            raise InvalidInput(
                f"values of layer {name!r} may overflow float64 on the domain, so that no sign of them is known; scale "
                "the weights down (regions stay the same when a layer and its breaks are multiplied by one factor)"
            )
        none = np.zeros(0, dtype=np.int64)
        options = Options(none, none, none[:, None], none, none, np.zeros(0), none.reshape(0, 2))
        if units is not None:
            options = Options.of(units)
            if not composed.any():
                like = _alike(options, np.column_stack([*weights.values(), constant]), units)
                options = replace(options, like=like)
        return CellLayer(
            units,
            options,
            {self.index[at]: w for at, w in weights.items() if at != INPUT},
            weights.get(INPUT),
            constant,
            not composed.any(),
            error,
            np.asarray(numeric.inflated(reach)),
            terms,
        )


def _alike(options: Options, rows: FloatArray, units: UnitLayer) -> IntArray:
    """Options of two units each whose edges are, in every cell, those of options of another unit times a factor.

    Args:
        rows: (size, k) coefficients and constants of z over whatever it depends on.
    """
    layer = units.node.layer
    none = np.zeros((0, 2), dtype=np.int64)
    if not elementwise(layer) or units.pieces != 2:
        return none
    breaks = layer.breaks_at(units.size)[0]
    known = np.flatnonzero(numeric.exact_sum(rows[:, -1], -breaks))
    forms = rows[known]
    forms[:, -1] -= breaks[known]
    # both options of each unit, that beyond the break last
    own = np.stack([np.flatnonzero(options.unit == u) for u in known.tolist()]) if known.size else none
    norms = np.linalg.norm(forms, axis=1)
    unit_forms = forms / np.where(norms > 0, norms, 1.0)[:, None]
    cosine = unit_forms @ unit_forms.T
    found: list[tuple[int, int]] = []
    for j in range(1, len(own)):
        for i in np.flatnonzero((np.abs(cosine[j, :j]) > 1 - 1e-9) & (norms[:j] > 0)).tolist():
            factor = _factor(forms[i], forms[j])
            if factor is not None:
                mine = own[j] if factor > 0 else own[j][::-1]
                found.extend(zip(mine.tolist(), own[i].tolist()))
                break
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _piece_signs(layer: Activation, size: int) -> IntArray:
    """The sign that f has on every piece of every element, its left end left out: (K + 1, size)."""
    slopes, intercepts = layer.slopes_at(size), layer.intercepts_at(size)
    breaks = layer.breaks_at(size)
    at_breaks = layer(breaks) if len(breaks) else breaks
    # where the pieces without an end go to
    first, last = -np.sign(slopes[:1]), np.sign(slopes[-1:])
    left, right = np.concatenate([first, at_breaks]), np.concatenate([at_breaks, last])
    left = np.where((left == 0) & (slopes == 0), np.sign(intercepts), left)
    right = np.where((right == 0) & (slopes == 0), np.sign(intercepts), right)
    positive, negative = (left >= 0) & (right > 0), (left <= 0) & (right < 0)
    rounded = [layer.forward_error(Box(b, b), np.zeros(size)).any() for b in breaks]
    certain = not any(rounded) and not layer.intercept_errors_at(size).any()
    return np.where(positive & certain, 1, np.where(negative & certain, -1, UNKNOWN))


def _factor(a: FloatArray, b: FloatArray) -> Fraction | None:
    """The factor with b = factor a exactly, if there is one."""
    if not np.array_equal(a != 0, b != 0):
        return None
    used = np.flatnonzero(a)
    first = Fraction(float(b[used[0]])) / Fraction(float(a[used[0]]))
    close = np.abs(b[used] - float(first) * a[used]) <= 1e-12 * np.abs(b[used])
    if not close.all():
        return None
    exact = all(Fraction(y) == first * Fraction(x) for x, y in zip(a[used].tolist(), b[used].tolist()))
    return first if exact else None
