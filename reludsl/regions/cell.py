"""The inputs of one pattern as linear inequalities, in rationals.

Where every unit is on a given piece the network is affine, so that its units' edges are affine functions of the input:

    { x in the domain : G x + g >= 0, and > 0 where strict }

holds the inputs of the pattern and no others. Float weights are rationals: nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from scipy import sparse

from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.exact import ExactArray, exactly
from reludsl.layers import Activation, AffineLayer, MaxLayer, elementwise
from reludsl.network import INPUT, Network
from reludsl.regions.edges import UnitLayer


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """`slopes @ x + constants >= 0`, above 0 where strict. Shapes (r, n) and (r,) of fractions, (r,)."""

    slopes: ExactArray
    constants: ExactArray
    strict: BoolArray


def exact_cell(network: Network, layers: tuple[UnitLayer, ...], pattern: IntArray) -> Cell:
    """The inequalities of a pattern over the input.

    Args:
        layers: of `reludsl.regions.edges.unit_layers`.
        pattern: (units,) or those of the first layers; -1 in the last of these for a unit that may be on any piece.

    >>> from reludsl.layers import Affine, relu
    >>> from reludsl.regions.edges import unit_layers
    >>> net = Network.chain([Affine(np.array([[2.0], [-1.0]]), np.array([-1.0, 0.0])), relu], (1,))
    >>> cell = exact_cell(net, unit_layers(net), np.array([1, 0]))
    >>> [(str(a[0]), str(b), bool(s)) for a, b, s in zip(cell.slopes, cell.constants, cell.strict)]
    [('2', '-1', True), ('1', '0', False)]
    """
    n = network.input_size
    start = np.full((n + 1, n), Fraction(0), dtype=object)
    start[np.arange(n), np.arange(n)] = Fraction(1)

    def affine(layer: AffineLayer, taken: ExactArray) -> ExactArray:
        # the input itself is no matter of arithmetic, and its forms are the largest of all
        return exactly(_forms_of(layer, n)) if taken is start else _through(layer, taken)

    rows, strict = _edges(network, layers, pattern, start, affine, _lines, UnitLayer.values)
    return Cell(rows[:, :n], rows[:, n], strict)


def float_cell(network: Network, layers: tuple[UnitLayer, ...], pattern: IntArray) -> Cell:
    """The same inequalities in float64, each rounded: to look for inputs with, and for nothing else."""
    n = network.input_size
    start = _identity(n)

    def affine(layer: AffineLayer, taken: ExactArray) -> ExactArray:
        return _forms_of(layer, n) if taken is start else _applied(layer, taken)

    rows, strict = _edges(network, layers, pattern, start, affine, _float_lines, _float_values)
    return Cell(rows[:, :n], rows[:, n], strict)


@lru_cache(maxsize=4)
def _identity(n: int) -> FloatArray:
    """The forms of the input."""
    return np.vstack([np.eye(n), np.zeros((1, n))])


def _edges(
    network: Network,
    layers: tuple[UnitLayer, ...],
    pattern: IntArray,
    start: ExactArray,
    affine: Callable[[AffineLayer, ExactArray], ExactArray],
    lines: Callable[[Activation, IntArray], tuple[ExactArray, ExactArray]],
    values: Callable[[UnitLayer, ExactArray], ExactArray],
) -> tuple[ExactArray, BoolArray]:
    """The edges of a pattern as rows (slopes, constant) over the input, and which are strict.

    A node's value is held as its form: (n + 1, size), derivatives by the coordinates of the input above the constant.
    """
    known = {layer.node.name: layer for layer in layers}
    forms: dict[str, ExactArray] = {INPUT: start}
    found: list[ExactArray] = [np.empty((len(start), 0), dtype=start.dtype)]
    strict = [np.zeros(0, dtype=np.bool_)]
    for node in network.cone(network.output):
        several = len(node.sources) > 1
        taken = np.concatenate([forms[s] for s in node.sources], axis=1) if several else forms[node.sources[0]]
        layer = node.layer
        if isinstance(layer, AffineLayer):
            forms[node.name] = affine(layer, taken)
            continue
        units = known[node.name]
        pieces = pattern[units.units]
        if len(pieces) < units.size:
            break
        own = np.flatnonzero(units.edges.piece == pieces[units.edges.unit])
        mine = UnitLayer(units.node, units.start, units.proper, units.edges.take(own))
        found.append(values(mine, taken))
        strict.append(mine.edges.strict)
        if (pieces < 0).any():
            break
        if isinstance(layer, MaxLayer):
            forms[node.name] = taken[:, layer.windows[np.arange(units.size), pieces]]
        else:
            assert elementwise(layer)
            slope, intercept = lines(layer, pieces)
            moved = taken * slope
            moved[-1] = moved[-1] + intercept
            forms[node.name] = moved
    return np.concatenate(found, axis=1).T, np.concatenate(strict)


def _applied(layer: AffineLayer, taken: ExactArray) -> ExactArray:
    out = layer.apply(taken)
    out[-1] += layer.bias
    return out


def _float_lines(layer: Activation, pieces: IntArray) -> tuple[ExactArray, ExactArray]:
    intercepts = layer.intercepts_at(pieces.size)
    return layer.slope_of(pieces), intercepts[pieces, np.arange(pieces.size)]


def _float_values(units: UnitLayer, taken: ExactArray) -> ExactArray:
    out = np.array((units.edges.rows @ taken.T).T)
    out[-1] += units.edges.offset
    return out


def _forms_of(layer: AffineLayer, n: int) -> FloatArray:
    """The forms behind a layer that takes the input: its own numbers, nothing is rounded."""
    matrix = layer.rows(n)
    weights = np.asarray(matrix) if isinstance(matrix, np.ndarray) else matrix.toarray()
    bias = np.broadcast_to(layer.bias, (len(weights),))
    return np.vstack([weights.T, bias[None, :]])


def _through(layer: AffineLayer, taken: ExactArray) -> ExactArray:
    if not layer.exact_rows:
        # its rows are rounded, its forward pass in rationals is not
        shift = layer.exact(exactly(np.zeros(taken.shape[1])))
        return np.stack([*(layer.exact(row) - shift for row in taken[:-1]), layer.exact(taken[-1])])
    matrix = sparse.csr_array(layer.rows(taken.shape[1]))
    weights = exactly(matrix.data)
    out = np.full((taken.shape[0], matrix.shape[0]), Fraction(0), dtype=object)
    for i in range(matrix.shape[0]):
        part = slice(matrix.indptr[i], matrix.indptr[i + 1])
        if part.stop > part.start:
            out[:, i] = taken[:, matrix.indices[part]] @ weights[part]
    out[-1] = out[-1] + exactly(np.broadcast_to(layer.bias, (matrix.shape[0],)).copy())
    return out


def _lines(layer: Activation, pieces: IntArray) -> tuple[ExactArray, ExactArray]:
    """Slope and intercept of a piece of each element: the line goes through the graph at a break of the piece."""
    size = pieces.size
    slope = exactly(layer.slope_of(pieces))
    breaks = layer.breaks_at(size)
    at = exactly(np.zeros(size) if not len(breaks) else breaks[np.maximum(pieces - 1, 0), np.arange(size)])
    return slope, np.asarray(layer.exact(at) - slope * at)
