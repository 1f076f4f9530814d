"""The edges of a layer as rows over y, on cells that come to it.

On a cell an edge is an affine function, and often less: one number, where its unit is cut off from the input; or of one
sign, where all that it is the sum of has it. Such an edge holds everywhere or nowhere, and is replaced by a row that
says so. The others are scaled, so that the norm of their slope over the cube is 1.
"""

from __future__ import annotations

import numpy as np

from reludsl.backend import BoolArray, FloatArray
from reludsl.regions.cells.cascade import UNKNOWN
from reludsl.regions.cells.frame import Frame
from reludsl.regions.cells.nodes import Nodes
from reludsl.regions.cells.settle import Settle


def edges_on(
    frame: Frame, settle: Settle, at: int, z: FloatArray, nodes: Nodes
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """The edges of a layer on some cells, scaled; their errors; and the options that the cube alone does not exclude.

    Args:
        z: (B, size, d) what the units take, as rows.

    Returns:
        (B, Q + 1, d) with the trivial row last, (B, Q + 1), (B, O).
    """
    layer = frame.cascade.layers[at]
    assert layer.units is not None
    o, error, strict = layer.options, frame.errors[at], layer.units.edges.strict
    forms = o.rows(z)
    lost = np.where(o.plus >= 0, error[o.plus], 0.0) + np.where(o.minus >= 0, error[o.minus], 0.0)
    lost = np.broadcast_to(lost + 4e-16 * np.abs(o.offset), forms.shape[:2]).copy()
    slopes = forms @ frame.slope
    reach = np.abs(slopes).sum(axis=2)
    middle = forms @ frame.shift
    signs = layer.edge_signs(nodes.signs, len(z))
    for k, q in zip(*np.nonzero((signs == UNKNOWN) & (np.abs(middle) + reach <= 8 * lost))):
        signs[k, q] = settle.constant(at, nodes.pieces[k], int(q))
    # an edge that is 0 on the cell holds where it is closed; without an interior a closed one may hold at its rim
    holds = (signs == 1) | ((signs == 0) & ~strict)
    fails = ((signs == -1) & (strict | settle.solid)) | ((signs == 0) & strict)
    for mask, value in ((holds, 1.0), (fails, -1.0)):
        forms[mask], middle[mask] = value * frame.trivial, value
        slopes[mask], reach[mask], lost[mask] = 0.0, 0.0, 0.0
    # an edge is excluded by its largest value on the cube, errors included
    most = np.concatenate([middle + reach + lost + 1e-12 * (np.abs(middle) + reach), np.ones((len(z), 1))], axis=1)
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(slopes, axis=2)
    # squares may underflow and overflow where their sides do not
    norms = np.where((norms > 0) & np.isfinite(norms), norms, reach)
    norms = np.where(norms > 0, norms, 1.0)
    forms, lost = forms / norms[:, :, None], lost / norms
    ends = np.broadcast_to(frame.trivial, (len(z), 1, frame.trivial.size))
    open_ = ~(most[:, o.edges] <= 0).any(axis=2)
    return (
        np.concatenate([forms, ends], axis=1),
        np.concatenate([lost, np.zeros((len(z), 1))], axis=1),
        np.asarray(open_),
    )
