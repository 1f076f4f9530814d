"""Backward linear bounds (CROWN), for any piecewise-linear activation, always cut with the interval bounds.

To bound a linear function A v of a node's value from above, replace v by what the node computes: an affine
layer gives A W h + A b; an activation or a maximum is replaced by its tightest line from above where A is positive
and from below where A is negative. Where branches meet, what comes from each of them is added up. At the input the
domain's support function ends it. (Zhang et al. 2018, Efficient neural network robustness certification with general
activation functions; Xu et al. 2020, Automatic perturbation analysis for scalable certified robustness and beyond.)

Plain CROWN can be worse than interval bounds, so that each layer keeps the intersection of both.

Rounding: the float matrix A W differs from the exact one by at most gamma |A| |W|, which changes the bound by
at most gamma |A| (|W| max|h|): a matrix-vector product per layer, where max|h| comes from the proved boxes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray
from reludsl.bounds.propagate import Bounds, interval
from reludsl.domain import Box, Domain
from reludsl.layers import (
    Affine,
    AffineLayer,
    BatchNorm,
    Gather,
    Layer,
    LinearBounds,
    NonlinearLayer,
    Reshape,
    Scale,
    Shift,
    StackedBounds,
    elementwise,
)
from reludsl.network import INPUT, Network, Node

LARGEST = 2**22
"""Elements of the largest array of one backward pass: more rows than fit are taken in turn (32 MB)."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearForm:
    """Upper bounds that are affine in a network's input: value <= coefficients @ x + offset + error on the boxes.

    Args:
        coefficients: (..., m, input_size); offset, error: (..., m).
        size: (..., m) sum of the magnitudes that were added up, for the rounding of what follows.
        exact: (..., m) nothing was rounded on the way, so that `error` is 0.
        left: coefficients of the values of the nodes where the pass was to stop.
    """

    coefficients: FloatArray
    offset: FloatArray
    error: FloatArray
    size: FloatArray
    exact: BoolArray
    left: Mapping[str, FloatArray]

    def singles(self) -> LinearForm:
        """The forms of a batch that has one row each, (b, 1, ...), as b rows."""
        left = {name: a[:, 0] for name, a in self.left.items()}
        return LinearForm(
            self.coefficients[:, 0], self.offset[:, 0], self.error[:, 0], self.size[:, 0], self.exact[:, 0], left
        )


Exchange = Callable[[Node, FloatArray], tuple[FloatArray, FloatArray]]
"""Asked before a layer that is not affine is relaxed: other coefficients for its value, and what that costs at most.

For what is known about the values of a layer together, and no line says: that two of them are proportional.
"""


class _Pass:
    """A backward pass: coefficients of nodes that wait for their turn, and what was added up so far."""

    def __init__(
        self,
        network: Network,
        seeds: Mapping[str, FloatArray],
        boxes: Mapping[str, Box],
        lines: dict[str, LinearBounds],
        stops: Collection[str],
        exchange: Exchange | None,
    ) -> None:
        self.network, self.boxes, self.lines, self.stops = network, boxes, lines, stops
        self.exchange = exchange
        self.pending = {name: np.asarray(a, dtype=np.float64) for name, a in seeds.items()}
        shape = np.broadcast_shapes(*(a.shape[:-1] for a in self.pending.values()))
        self.offset, self.error, self.size = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self.exact = np.ones(shape, dtype=np.bool_)

    def run(self) -> LinearForm:
        waiting = [name for name in self.pending if name != INPUT and name not in self.stops]
        cone = self.network.cone(waiting) if waiting else ()
        for node in reversed(cone):
            if node.name in self.pending and node.name not in self.stops:
                step = self._affine if isinstance(node.layer, AffineLayer) else self._relaxed
                for source, part in self.network.split(node, step(node, self.pending.pop(node.name))):
                    self._add(source, part)
        at_input = self.pending.pop(INPUT, np.zeros((*self.exact.shape[-1:], self.network.input_size)))
        last = numeric.gamma(4 * len(cone) + 4) * self.size
        error = self.error + np.where(self.exact, 0.0, last)
        return LinearForm(at_input, self.offset, error, self.size, self.exact, self.pending)

    def _affine(self, node: Node, a: FloatArray) -> FloatArray:
        layer = node.layer
        assert isinstance(layer, AffineLayer)
        n = a.shape[-1]
        reach = self.network.around(node, self.boxes).magnitude
        bias = np.broadcast_to(layer.bias, (n,))
        value = a @ bias
        moved = layer.adjoint_rounding(reach)
        copied = False
        if self.exact.any():
            unit = _unit(a)
            copied = bool(unit.all()) and a.ndim == 2
            if moved.any() or bias.any():
                self.exact = self.exact & unit & layer.exact_rows
            self.exact = self.exact & (numeric.exact_sum(self.offset, value))
        lost = moved
        if node.name in self.boxes:
            # of the slopes that an activation after this layer multiplied `a` by
            lost = lost + 4 * numeric.UNIT * self.boxes[node.name].magnitude
        magnitude = np.abs(a) @ np.stack([lost, np.broadcast_to(np.abs(bias), lost.shape)], axis=-1)
        # the products with the bias are summed over all outputs, whatever the adjoint of the layer adds up
        self._lose(magnitude[..., 0] + numeric.gamma(n) * magnitude[..., 1], n, reach)
        self.size = self.size + magnitude[..., 1]
        self.offset = self.offset + value
        if copied and n and isinstance(layer, Affine) and isinstance(layer.weight, np.ndarray):
            # of rows with one entry the product is a row of the weights: a third of what bounding a layer costs
            place = np.abs(a).argmax(axis=-1)
            return np.asarray(layer.weight[place] * a[np.arange(len(a)), place][:, None])
        after = layer.adjoint(a.reshape(math.prod(a.shape[:-1]), n))
        return after.reshape(*a.shape[:-1], after.shape[-1])

    def _relaxed(self, node: Node, a: FloatArray) -> FloatArray:
        layer = node.layer
        if self.exchange is not None:
            a, cost = self.exchange(node, a)
            self.exact = self.exact & (cost == 0)
            self.error = self.error + cost
        around = self.network.around(node, self.boxes)
        if node.name not in self.lines:
            self.lines[node.name] = relaxed(layer, around)
        line = self.lines[node.name]
        positive = np.maximum(a, 0.0)
        negative = a - positive
        for part, shift in ((positive, line.upper_offset), (negative, line.lower_offset)):
            if shift.any():
                value = (part @ shift[..., None])[..., 0]
                one_sign = part is positive and (shift >= 0).all()
                size = value if one_sign else (np.abs(part) @ np.abs(shift)[..., None])[..., 0]
                if self.exact.any():
                    self.exact = self.exact & ~_touches(part, shift)
                self.offset, self.size = self.offset + value, self.size + size
        after = line.backward(positive, negative)
        if self.exact.any():
            self.exact = self.exact & _copied(a, line)
        before = self.network.by_name.get(node.sources[0])
        carried = (
            elementwise(layer)
            and before is not None
            and isinstance(before.layer, AffineLayer)
            and before.name not in self.stops
        )
        lost = np.zeros(self.exact.shape)
        if not carried:
            steep, terms = line.reach(around.magnitude)
            lost = numeric.gamma(terms + 2) * (np.abs(a) @ steep[..., None])[..., 0]
        self._lose(lost + numeric.gamma(a.shape[-1]) * self.size, a.shape[-1], around.magnitude)
        return after

    def _add(self, source: str, part: FloatArray) -> None:
        if source in self.pending:
            before = self.pending[source]
            if self.exact.any():
                self.exact = self.exact & (numeric.exact_sum(before, part).all(axis=-1))
            reach = self.boxes[source].magnitude
            both = np.abs(part) + np.abs(before)
            # of the sum, and of the slopes behind either part, which may cancel in it
            self._lose(8 * numeric.UNIT * (both @ reach[..., None])[..., 0], 1, reach)
            part = part + before
        self.pending[source] = part

    def _lose(self, error: FloatArray, terms: int, reach: FloatArray) -> None:
        small = numeric.underflow(terms) * (1.0 + reach.sum(axis=-1, keepdims=True))
        self.error = self.error + np.where(self.exact, 0.0, error + small)


def _unit(a: FloatArray) -> BoolArray:
    """Rows with one entry, 1 or -1, or none: a product with a matrix copies a row of it, or is zero."""
    entries, largest = np.count_nonzero(a, axis=-1), np.abs(a).max(axis=-1, initial=0.0)
    return np.asarray((entries == 0) | ((entries == 1) & (largest == 1.0)))


def _touches(part: FloatArray, shift: FloatArray) -> BoolArray:
    """Rows that an offset is added to. Told by the entries: their products may underflow."""
    if shift.ndim > 1:
        return np.ones(np.broadcast_shapes(part.shape[:-1], (*shift.shape[:-1], 1)), dtype=np.bool_)
    return np.asarray(part[..., shift != 0].any(axis=-1))


def _copied(a: FloatArray, line: LinearBounds) -> BoolArray:
    """Rows that a relaxation passes on as they are, up to entries that it drops or negates."""
    if not isinstance(line.upper_slope, np.ndarray) or line.upper_slope.ndim > 1:
        return np.asarray(~a.any(axis=-1))
    rounded_up, rounded_down = (~np.isin(s, (0.0, 1.0, -1.0)) for s in (line.upper_slope, np.asarray(line.lower_slope)))
    return np.asarray(~((a > 0) & rounded_up | (a < 0) & rounded_down).any(axis=-1))


def relaxed(layer: Layer, box: Box) -> LinearBounds:
    """The lines of a layer that is not affine on a box, or on each of a batch of boxes (b, n)."""
    if elementwise(layer):
        return layer.relax(box)
    assert isinstance(layer, NonlinearLayer)
    if box.lower.ndim == 1:
        return layer.relax(box)
    each = [layer.relax(Box(low, high)) for low, high in zip(box.lower, box.upper)]
    return StackedBounds.of(each)


def linear_form(
    network: Network,
    seeds: Mapping[str, FloatArray],
    boxes: Mapping[str, Box],
    relaxations: dict[str, LinearBounds] | None = None,
    stops: Collection[str] = (),
    exchange: Exchange | None = None,
) -> LinearForm:
    """Replace values of nodes by the network's input, layer by layer: sum_n A_n v_n(x) <= C x + c.

    Args:
        seeds: node -> coefficients (m, size) of its value; `INPUT` may be among them.
        boxes: proved bounds of every node that the seeds depend on; of arrays (b, size) for a batch of b domains,
            and every answer then has that axis too.
        relaxations: kept between calls; filled with the lines used per activation node.
        stops: nodes whose values stay as they are: what comes to them is in `LinearForm.left`.
        exchange: see `Exchange`.
    """
    return _Pass(network, seeds, boxes, {} if relaxations is None else relaxations, stops, exchange).run()


def linear_upper(
    network: Network,
    domain: Domain,
    target: str,
    coefficients: FloatArray,
    boxes: Mapping[str, Box],
    relaxations: dict[str, LinearBounds] | None = None,
) -> FloatArray:
    """Upper bounds of max over the domain of A v(x), v the value of `target`: (m, size) -> (m,).

    Args:
        boxes, relaxations: see `linear_form`.
    """
    return upper_over(domain, linear_form(network, {target: coefficients}, boxes, relaxations))


def upper_over(domain: Domain, form: LinearForm) -> FloatArray:
    """The largest value of such bounds over a domain: (m,)."""
    ends = form.coefficients.any(axis=-1)
    at_input = np.where(ends, domain.support(form.coefficients), 0.0)
    error = form.error + numeric.gamma(4) * (form.size + np.abs(at_input))
    return numeric.up(at_input + form.offset, np.where(form.exact & ~ends, 0.0, error))


def best_is_interval(network: Network, domain: Domain, name: str) -> bool:
    """Whether interval bounds of a node are the best there are, up to rounding: one sum of inputs on a box."""
    cone = network.cone(name)
    affine = [node.layer for node in cone if isinstance(node.layer, AffineLayer) and len(node.sources) == 1]
    return domain.is_box and len(affine) == len(cone) and sum(not _one_to_one(layer) for layer in affine) <= 1


def _one_to_one(layer: AffineLayer) -> bool:
    """Every output depends on one input at most, and no two on the same."""
    return isinstance(layer, Reshape | Shift | Scale | BatchNorm) or (isinstance(layer, Gather) and layer.injective)


def crown(network: Network, domain: Domain, known: Bounds | None = None) -> Bounds:
    """Backward linear bounds of every pre-activation layer and of the output, cut with the interval bounds.

    Args:
        known: proved bounds of the same network and domain, used from the start.

    >>> from reludsl.layers import Affine, relu
    >>> net = Network.chain([Affine(np.array([[1.0, -1.0], [-1.0, 1.0]]), np.zeros(2)), relu,
    ...                      Affine(np.array([[1.0, 1.0]]), np.array([-1.5]))], (2,))
    >>> crown(net, Box([0.0, 0.0], [1.0, 1.0])).boxes["2_affine"].upper.round(9)
    array([-0.5])
    """
    network.check_domain(domain)
    wanted = bounded(network)
    base = interval(network, domain, known)
    boxes: dict[str, Box] = {INPUT: domain.enclosure}
    relaxations: dict[str, LinearBounds] = {}
    for node in network.nodes:
        box = node.layer.interval(network.around(node, boxes)).intersect(base.boxes[node.name])
        if node.name in wanted and not best_is_interval(network, domain, node.name):
            box = box.intersect(_both_sides(network, domain, node.name, boxes, relaxations))
        boxes[node.name] = box
    return Bounds(network, domain, boxes)


def bounded(network: Network) -> frozenset[str]:
    """The affine nodes that linear bounds are worth their time for: what an activation or a maximum takes, the output.

    A relaxation of one layer on top of them says no more about its own value than its interval does.
    """
    taken = {s for node in network.nodes if not isinstance(node.layer, AffineLayer) for s in node.sources}
    names = {network.output, *(stage.pre for stage in network.stages), *taken} - {INPUT}
    return frozenset(name for name in names if isinstance(network.by_name[name].layer, AffineLayer))


def _both_sides(
    network: Network, domain: Domain, name: str, boxes: Mapping[str, Box], relaxations: dict[str, LinearBounds]
) -> Box:
    """Bounds of every element of a node, as many of them at once as `LARGEST` allows."""
    n = network.size(name)
    widest = max([n, network.input_size, *(network.size(node.name) for node in network.cone(name))])
    count = max(32, LARGEST // (2 * widest))
    lower, upper = np.zeros(n), np.zeros(n)
    for start in range(0, n, count):
        part = slice(start, min(start + count, n))
        rows = np.zeros((part.stop - start, n))
        rows[np.arange(len(rows)), np.arange(start, part.stop)] = 1.0
        above = linear_upper(network, domain, name, np.concatenate([rows, -rows]), boxes, relaxations)
        upper[part], lower[part] = above[: len(rows)], -above[len(rows) :]
    return Box(lower, upper)
