"""The extended hull form: a copy of the inputs of a row for every branch (Balas; Anderson et al. 2020).

    y = W h^1 + b d     W h^0 + b (1 - d) <= 0 <= W h^1 + b d     h = h^0 + h^1
    l (1 - d) <= h^0 <= u (1 - d)     l d <= h^1 <= u d

for a ReLU, and likewise for any disjunction: the partition form with every term of a row a group of its own. Its
relaxation is the convex hull of the disjunction over the inputs of its rows and their box, the tightest that a
formulation of one neuron can be; it costs two columns and up to five rows per weight.
"""

from __future__ import annotations

from collections.abc import Collection

from reludsl.passes.partition import partition
from reludsl.program import Program


def hull(program: Program, names: Collection[str] | None = None) -> Program:
    """Lower every disjunction to its convex hull over the inputs of the rows that define its columns. Prune first.

    Args:
        names: of the blocks of disjunctions to lower; all by default.

    >>> program = Program.parse('''
    ... columns x
    ...   x[0] in [-1, 2]
    ... columns z
    ...   z[0] in [-1, 2]
    ... columns y
    ...   y[0] in [0, 2]
    ... rows z
    ...   1 z[0] - 1 x[0] = 0 defines z[0]
    ... or relu
    ...   defines y[0] { 1 y[0] = 0 } { 1 y[0] - 1 z[0] = 0 within [0, 1] }
    ... ''')
    >>> print("\\n".join(str(hull(program)).splitlines()[2:]))
    columns y
      y[0] in [0, 2]
    columns relu.on
      relu.on[0] in [0, 1] integer
    columns relu.part
      relu.part[0] in [-1, 0]
      relu.part[1] in [0, 2]
    rows relu.partial
      -1 x[0] + 1 relu.part[0] + 1 relu.part[1] = 0
    rows relu.switched
      -1 <= -1 relu.on[0] + 1 relu.part[0] <= inf
      -inf <= -2 relu.on[0] + 1 relu.part[1] <= 0
    rows relu.sum
      1 y[0] - 1 relu.part[1] = 0
    """
    return partition(program, None, names)
