"""Backward linear bounds (CROWN), for any piecewise-linear activation, always cut with the interval bounds.

To bound a linear function A v of a node's value from above, replace v by what the node computes: an affine
layer gives A W h + A b; an activation is replaced by its tightest line from above where A is positive and
from below where A is negative. At the input the domain's support function ends it. (Zhang et al. 2018,
Efficient neural network robustness certification with general activation functions.)

Plain CROWN can be worse than interval bounds, so that each layer keeps the intersection of both.

Rounding: the float matrix A W differs from the exact one by at most gamma |A| |W|, which changes the bound by
at most gamma |A| (|W| max|h|): a matrix-vector product per layer, where max|h| comes from the proved boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reludsl import numeric
from reludsl.backend import FloatArray
from reludsl.bounds.propagate import Bounds, interval
from reludsl.domain import Box, Domain
from reludsl.layers import Activation, AffineLayer, LinearBounds
from reludsl.network import INPUT, Network


@dataclass(frozen=True, slots=True, eq=False)
class LinearForm:
    """Upper bounds that are affine in a network's input: value <= coefficients @ x + offset + error on the boxes.

    Args:
        coefficients: (..., m, input_size); offset, error: (..., m).
        size: (..., m) sum of the magnitudes that were added up, for the rounding of what follows.
    """

    coefficients: FloatArray
    offset: FloatArray
    error: FloatArray
    size: FloatArray


def linear_form(
    network: Network,
    seeds: Mapping[str, FloatArray],
    boxes: Mapping[str, Box],
    relaxations: dict[str, LinearBounds] | None = None,
) -> LinearForm:
    """Replace values of nodes by the network's input, layer by layer: sum_n A_n v_n(x) <= C x + c.

    Args:
        seeds: node -> coefficients (m, size) of its value; `INPUT` may be among them.
        boxes: proved bounds of every node that the seeds depend on; of arrays (b, size) for a batch of b domains,
            and every answer then has that axis too.
        relaxations: kept between calls; filled with the lines used per activation node.
    """
    lines = {} if relaxations is None else relaxations
    pending = {name: np.asarray(a, dtype=np.float64) for name, a in seeds.items()}
    m = next(iter(pending.values())).shape[-2]
    offset, error, size = np.zeros(m), np.zeros(m), np.zeros(m)
    inner = [name for name in pending if name != INPUT]
    cone = network.cone(inner) if inner else ()
    for node in reversed(cone):
        if node.name not in pending:
            continue
        a = pending.pop(node.name)
        n = a.shape[-1]
        reach = boxes[node.source].magnitude
        layer = node.layer
        if isinstance(layer, AffineLayer):
            bias = np.broadcast_to(layer.bias, (n,))
            lost = layer.rounding(reach, terms=n)
            if node.name in boxes:
                # of the slopes that an activation after this layer multiplied `a` by
                lost = lost + 4 * numeric.UNIT * boxes[node.name].magnitude
            magnitude = np.abs(a) @ np.stack([lost, np.broadcast_to(np.abs(bias), lost.shape)], axis=-1)
            error, size = error + magnitude[..., 0], size + magnitude[..., 1]
            error = error + numeric.underflow(n) * (1.0 + reach.sum(axis=-1, keepdims=True))
            offset = offset + a @ bias
            a = layer.adjoint(a.reshape(-1, n)).reshape(*a.shape[:-1], -1)
        else:
            assert isinstance(layer, Activation)
            if node.name not in lines:
                lines[node.name] = layer.relax(boxes[node.source])
            line = lines[node.name]
            positive = np.maximum(a, 0.0)
            negative = a - positive
            for part, shift in ((positive, line.upper_offset), (negative, line.lower_offset)):
                if shift.any():
                    value = (part @ shift[..., None])[..., 0]
                    offset = offset + value
                    one_sign = part is positive and (shift >= 0).all()
                    size = size + (value if one_sign else (np.abs(part) @ np.abs(shift)[..., None])[..., 0])
            a = positive * line.upper_slope[..., None, :]
            a += negative * line.lower_slope[..., None, :]
            before = network.by_name.get(node.source)
            if before is None or not isinstance(before.layer, AffineLayer):
                error = error + 4 * numeric.UNIT * (np.abs(a) @ reach[..., None])[..., 0]
            error = error + numeric.underflow(n) * (1.0 + reach.sum(axis=-1, keepdims=True))
            error = error + numeric.gamma(n) * size
        if node.source in pending:
            both = np.abs(a) + np.abs(pending[node.source])
            error = error + 2 * numeric.UNIT * (both @ reach[..., None])[..., 0]
            a = a + pending[node.source]
        pending[node.source] = a
    error = error + numeric.gamma(4 * len(cone) + 4) * size
    return LinearForm(pending.get(INPUT, np.zeros((m, network.input_size))), offset, error, size)


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
    form = linear_form(network, {target: coefficients}, boxes, relaxations)
    at_input = domain.support(form.coefficients)
    error = form.error + numeric.gamma(4) * (form.size + np.abs(at_input))
    return numeric.up(at_input + form.offset, error)


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
    wanted = {stage.pre for stage in network.stages} | {network.output}
    base = interval(network, domain, known)
    boxes: dict[str, Box] = {INPUT: domain.enclosure}
    relaxations: dict[str, LinearBounds] = {}
    for node in network.nodes:
        box = node.layer.interval(boxes[node.source]).intersect(base.boxes[node.name])
        # one affine layer on a box: the interval bounds are the best there are
        exact = node.source == INPUT and isinstance(domain, Box)
        if node.name in wanted and isinstance(node.layer, AffineLayer) and not exact:
            n = box.size
            eye = np.eye(n)
            upper = linear_upper(network, domain, node.name, np.concatenate([eye, -eye]), boxes, relaxations)
            box = box.intersect(Box(-upper[n:], upper[:n]))
        boxes[node.name] = box
    return Bounds(network, domain, boxes)
