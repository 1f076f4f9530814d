"""Columns and rows scaled by powers of two, so that a solver's tolerances mean the same for every unit.

A tolerance of 1e-6 is nothing for a pre-activation of 1000 and everything for one of 1e-6; which of the two a unit has
is no matter of the function: the weights in front of it times c, those behind it divided by c, change nothing. Powers
of two change no number but its exponent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray, Matrix
from reludsl.bounds import Bounds
from reludsl.expr import Application, NodeVariable
from reludsl.formulate import Compiled
from reludsl.layers import AffineLayer, MaxLayer
from reludsl.network import INPUT
from reludsl.program import Program

SHARE = 2.0**-20
"""The least size of a column, as a share of what it is made of."""

TINY = 2.0**-100
"""Numbers below this are left by the rounding of a zero, and not scaled."""


def sizes_of(compiled: Compiled, application: Application, bounds: Bounds) -> FloatArray:
    """How large each column of a network's program is: its range, and no less than a share of what it is made of.

    A range of rounding size among numbers that are not would be blown up, and its rows with it.
    """
    network, box = bounds.network, bounds.boxes
    program = compiled.program
    sizes = np.maximum(np.abs(program.lower), np.abs(program.upper))
    held: dict[str, FloatArray] = {INPUT: box[INPUT].magnitude}
    for node in network.cone(network.output):
        taken = np.concatenate([held[source] for source in node.sources])
        made_of = taken
        if isinstance(node.layer, AffineLayer):
            made_of = node.layer.absolute(taken) + np.abs(node.layer.bias)
        elif isinstance(node.layer, MaxLayer):
            made_of = taken[node.layer.windows].max(axis=1)
        held[node.name] = np.maximum(box[node.name].magnitude, SHARE * made_of)
        variable = NodeVariable(application, node.name)
        if variable in compiled.position:
            sizes[compiled.position[variable]] = held[node.name]
    return np.maximum(sizes, SHARE**2 * float(sizes.max(initial=0.0)))


def scale_of(program: Program, sizes: FloatArray) -> FloatArray:
    """A power of two near the size of every continuous column that is left of those, 1 for others.

    Args:
        sizes: of the first of the original columns.
    """
    trace = program.original
    rows = np.flatnonzero((np.diff(trace.matrix.indptr) == 1) & (trace.offset == 0))
    entry = trace.matrix.indptr[rows]
    same = (trace.matrix.data[entry] == 1.0) & (rows < sizes.size)
    found = np.zeros(program.size)
    np.maximum.at(found, trace.matrix.indices[entry[same]], sizes[rows[same]])
    return np.where(program.integer, 1.0, power_near(found))


def scaled(program: Program, scale: FloatArray) -> Matrix:
    """The program over x / scale, the largest number of every row near 1.

    >>> program = Program.parse('''
    ... columns x
    ...   x[0] in [0, 64]
    ... rows r
    ...   -inf <= 1 x[0] <= 32
    ... ''')
    >>> matrix = scaled(program, np.array([64.0]))
    >>> matrix.rows.toarray(), matrix.row_upper, matrix.upper
    (array([[1.]]), array([0.5]), array([1.]))
    """
    plain = program.matrix()
    rows = sparse.csr_array(plain.rows @ sparse.diags_array(scale))
    sides = [np.where(np.isfinite(side), np.abs(side), 0.0) for side in (plain.row_lower, plain.row_upper)]
    factor = 1.0 / power_near(np.maximum(abs(rows).max(axis=1).toarray().ravel(), np.maximum(*sides)))
    return replace(
        plain,
        rows=sparse.csr_array(sparse.diags_array(factor) @ rows),
        row_lower=plain.row_lower * factor,
        row_upper=plain.row_upper * factor,
        lower=plain.lower / scale,
        upper=plain.upper / scale,
    )


def power_near(values: FloatArray) -> FloatArray:
    """A power of two near each value, 1 for what is tiny."""
    return np.asarray(np.where(values > TINY, np.exp2(np.round(np.log2(np.maximum(values, TINY)))), 1.0))
