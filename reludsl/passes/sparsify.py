"""Leave out weights too small to matter, and absorb the most they can do into the rows' sides.

L1 training leaves most weights of a layer below 1e-5 (down to 1e-34 once stable neurons are substituted).
They make a program ten times denser and stall the simplex method. A term a x with l <= x <= u moves a row by
something within [min(a l, a u), max(a l, a u)]; taking it out and widening the row's sides by just that keeps
every feasible point, so that proofs stay proofs: the program becomes a relaxation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse

from reludsl.backend import FloatArray
from reludsl.numeric import UNIT
from reludsl.program import Program, RowBlock


def sparsify(program: Program, budget: float = 1e-7) -> Program:
    """Drop the smallest terms of every row, together worth at most `budget` of the row's largest term.

    Args:
        budget: share of the row's largest |a| max|x| that the dropped terms may add up to. 0 drops only
            terms that are zero on the whole box.

    >>> program = Program.parse('''
    ... columns x
    ...   x[0] in [0, 1]
    ...   x[1] in [0, 1]
    ... rows r
    ...   0 <= 1 x[0] + 1e-09 x[1] <= 1
    ... ''')
    >>> thin = sparsify(program).rows[0]
    >>> thin.matrix.nnz, thin.lower.round(12)
    (1, array([-1.e-09]))
    """
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))
    rows = tuple(_thin(block, program.lower, program.upper, reach, budget) for block in program.rows)
    return replace(program, rows=rows)


def _thin(block: RowBlock, lower: FloatArray, upper: FloatArray, reach: FloatArray, budget: float) -> RowBlock:
    matrix = block.matrix
    owner = np.repeat(np.arange(block.size), np.diff(matrix.indptr))
    effect = np.abs(matrix.data) * reach[matrix.indices]
    own = matrix.indices == block.defines[owner]
    largest = np.zeros(block.size)
    np.maximum.at(largest, owner, effect)
    # smallest first within each row, then a running sum that starts anew at each row
    order = np.lexsort((np.where(own, np.inf, effect), owner))
    share = np.divide(effect, largest[owner], out=np.zeros_like(effect), where=largest[owner] > 0)
    sums = np.cumsum(np.where(own, 0.0, share)[order])
    before = np.concatenate([[0.0], sums])[matrix.indptr[:-1]]
    drop = np.zeros(owner.size, dtype=np.bool_)
    drop[order] = sums - before[owner[order]] <= budget
    drop &= ~own
    if not drop.any():
        return block
    a, column, row = matrix.data[drop], matrix.indices[drop], owner[drop]
    ends = np.stack([a * lower[column], a * upper[column]])
    least, most = np.zeros(block.size), np.zeros(block.size)
    np.add.at(least, row, ends.min(axis=0))
    np.add.at(most, row, ends.max(axis=0))
    counts = np.bincount(row, minlength=block.size)
    touched = counts > 0
    worth = np.bincount(row, weights=np.abs(ends).max(axis=0), minlength=block.size)
    slack = 4 * (counts + 4) * UNIT * worth
    new_lower = np.where(touched, np.nextafter(block.lower - most - slack, -np.inf), block.lower)
    new_upper = np.where(touched, np.nextafter(block.upper - least + slack, np.inf), block.upper)
    kept = np.bincount(owner[~drop], minlength=block.size)
    thin = sparse.csr_array(
        (matrix.data[~drop], matrix.indices[~drop], np.concatenate([[0], np.cumsum(kept)])),
        shape=matrix.shape,
    )
    return RowBlock(block.name, thin, new_lower, new_upper, block.defines)
