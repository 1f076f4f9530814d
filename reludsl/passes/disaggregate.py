"""The convex hull of each disjunction, by copies of its columns, one per branch (Balas).

For the union of branches A_p x <= b_p over the columns x that occur in the disjunction:

    x = sum_p x^p     A_p x^p <= b_p d_p     l_p d_p <= x^p <= u_p d_p     sum_p d_p = 1, d_p binary

Where d is integral, x^p = x for the chosen branch and 0 elsewhere. The relaxation 0 <= d_p <= 1 is the convex hull
of the union: no formulation over the same columns is tighter. What every branch row reaches anywhere (its reach) is
required in each branch, and the boxes [l_p, u_p] are cut with what the rows of the branch say: sides that follow
from the boxes cost no row, and copies that can only be 0 no column.

All coefficients are sides and bounds as they stand, so that nothing is rounded here but the boxes, outward.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray, IntArray
from reludsl.passes.big_m import Switches, chosen_and_left, exactly_one, switch_columns
from reludsl.passes.prune import reach
from reludsl.passes.substitute import substitute
from reludsl.program import Columns, Disjunctions, Program, RowBlock, widened

ROUNDS = 2
"""Rounds in which the rows of a branch narrow the boxes of its copies: once from y to z, once back."""


def disaggregate(program: Program, names: Collection[str] | None = None, loose: BoolArray | None = None) -> Program:
    """Lower every disjunction to the hull over the columns that occur in it. Prune first.

    Copies that an equation of their branch gives are substituted.

    Args:
        names: of the blocks of disjunctions to lower; all by default.
        loose: True for columns that nothing else defines and that may be substituted by the sum of their copies.

    >>> program = Program.parse('''
    ... columns x
    ...   x[0] in [-2, 2]
    ... or either
    ...   { -inf <= 1 x[0] <= -1 } { 1 <= 1 x[0] <= inf }
    ... ''')
    >>> print("\\n".join(str(disaggregate(program)).splitlines()[2:]))
    columns either.on
      either.on[0] in [0, 1] integer
    columns either.part
      either.part[0] in [-2, 0]
      either.part[1] in [0, 2]
    rows either.switched
      -2 <= -2 either.on[0] + 1 either.part[0] <= inf
      -inf <= -1 either.on[0] + 1 either.part[0] <= -1
      0 <= -1 either.on[0] + 1 either.part[1] <= inf
      -inf <= -2 either.on[0] + 1 either.part[1] <= 0
    rows either.sum
      1 x[0] - 1 either.part[0] - 1 either.part[1] = 0
    """
    low, high = program.lower, program.upper
    chosen, left = chosen_and_left(program, names)
    if loose is not None:
        # a column that occurs in two disjunctions is the sum of two sets of copies, and given by neither alone
        loose = loose & (sum((_occurrences(group) for group in chosen), np.zeros(program.size)) <= 1)
    columns: list[Columns] = []
    rows: list[RowBlock] = []
    solved: list[IntArray] = []
    width = program.size
    for group in chosen:
        switches = switch_columns(group, width)
        copies = _copies(group, low, high)
        parts = _columns(f"{group.name}.part", copies)
        start = width + switches.columns.size
        rows += _rows(group, copies, switches, start, loose)
        solved.append(start + copies.pivots)
        columns += [switches.columns, parts]
        width = start + parts.size
    wide = replace(program, disjunctions=left).with_columns(*columns)
    wide = replace(wide, rows=(*wide.rows, *(replace(b, matrix=widened(b.matrix, width)) for b in rows)))
    among = np.zeros(width, dtype=np.bool_)
    among[np.concatenate([np.zeros(0, dtype=np.int64), *solved])] = True
    if loose is not None:
        among[: loose.size] |= loose
    return substitute(wide, among)


@dataclass(frozen=True, slots=True, eq=False)
class _Copies:
    """The copies (branch, column) of a block that are not 0 everywhere, and the rows of the branches over them.

    Args:
        branch, column: (k,) of each copy; lower, upper: (k,) its box in the branch.
        matrix: (m, k) rows; row_branch, row_lower, row_upper: (m,).
        definition: (m,) the copy that an equation of its branch gives, -1 for none.
    """

    branch: IntArray
    column: IntArray
    lower: FloatArray
    upper: FloatArray
    matrix: sparse.csr_array
    row_branch: IntArray
    row_lower: FloatArray
    row_upper: FloatArray
    definition: IntArray

    @property
    def pivots(self) -> IntArray:
        """Copies that an equation gives."""
        return self.definition[self.definition >= 0]

    def rows(self, which: BoolArray) -> _Rows:
        """Some of the rows."""
        return _Rows(self.matrix[which], self.row_lower[which], self.row_upper[which], self.row_branch[which])


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows over copies, each with its branch."""

    matrix: sparse.csr_array
    lower: FloatArray
    upper: FloatArray
    branch: IntArray


def _copies(group: Disjunctions, lower: FloatArray, upper: FloatArray) -> _Copies:
    row, branch, low, high = _every_row_in_every_branch(group, lower, upper)
    repeated = sparse.csr_array(group.matrix[row])
    entries = np.repeat(branch, np.diff(repeated.indptr))
    pairs, place = np.unique(entries * lower.size + repeated.indices, return_inverse=True)
    matrix = sparse.csr_array((repeated.data, place, repeated.indptr), shape=(row.size, pairs.size))
    owner, column = pairs // lower.size, pairs % lower.size
    box = lower[column], upper[column]
    for _ in range(ROUNDS):
        box = _narrowed(matrix, low, high, *box)
    keep = (box[0] != 0) | (box[1] != 0)
    matrix = sparse.csr_array(matrix[:, keep])
    owner, column, box = owner[keep], column[keep], (box[0][keep], box[1][keep])
    low, high = _unless_implied(matrix, low, high, *box)
    empty = (np.diff(matrix.indptr) == 0) & (low <= 0) & (high >= 0)
    needed = (np.isfinite(low) | np.isfinite(high)) & ~empty
    matrix, branch, low, high = sparse.csr_array(matrix[needed]), branch[needed], low[needed], high[needed]
    own = group.defines[group.disjunction_of_branch[owner]] == column
    return _Copies(owner, column, *box, matrix, branch, low, high, _definitions(matrix, low == high, own))


def _every_row_in_every_branch(
    group: Disjunctions, lower: FloatArray, upper: FloatArray
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """(row, branch, lower, upper): what a row requires in its own branch, its reach in its disjunction's others."""
    least, most = reach(group, lower, upper)
    of_row = group.branch_of_row
    owner = group.disjunction_of_branch[of_row]
    counts = np.diff(group.starts)[owner]
    row = np.repeat(np.arange(owner.size), counts)
    first = np.concatenate([[0], np.cumsum(counts)])[:-1]
    branch = group.starts[owner[row]] + np.arange(row.size) - first[row]
    own = branch == of_row[row]
    low = np.where(own, np.maximum(group.lower, least)[row], least[row])
    high = np.where(own, np.minimum(group.upper, most)[row], most[row])
    # an equation stays one where its reach was rounded past it
    exact = own & (group.lower == group.upper)[row]
    return row, branch, np.where(exact, group.lower[row], low), np.where(exact, group.upper[row], high)


def _narrowed(
    matrix: sparse.csr_array, low: FloatArray, high: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The box cut with what the rows of one or two terms say: a x in [low, high] - (the other term), outward."""
    terms = np.diff(matrix.indptr)
    short = np.flatnonzero((terms > 0) & (terms <= 2))
    if not short.size:
        return lower, upper
    first, last = matrix.indptr[short], matrix.indptr[short + 1] - 1
    lower, upper = lower.copy(), upper.copy()
    for mine, other in ((first, last), (last, first)):
        a, x = matrix.data[mine], matrix.indices[mine]
        alone = mine == other
        c, y = np.where(alone, 0.0, matrix.data[other]), matrix.indices[other]
        ends = _times(c, lower[y], upper[y])
        least, most = numeric.plus_down(low[short], -ends[1]), numeric.plus_up(high[short], -ends[0])
        below, above = _divided(a, least, most)
        np.maximum.at(lower, x, below)
        np.minimum.at(upper, x, above)
    return lower, upper


def _times(a: FloatArray, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest a x over the interval, outward; exact for coefficients 0, 1 and -1."""
    one, two = a * lower, a * upper
    error = np.where(np.isin(a, (-1.0, 0.0, 1.0)), 0.0, numeric.gamma(1) * np.maximum(np.abs(one), np.abs(two)))
    return numeric.down(np.minimum(one, two), error), numeric.up(np.maximum(one, two), error)


def _divided(a: FloatArray, lower: FloatArray, upper: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The x with lower <= a x <= upper, outward; exact for coefficients 1 and -1."""
    one, two = lower / a, upper / a
    unit = np.abs(a) == 1
    below, above = np.minimum(one, two), np.maximum(one, two)
    return (
        np.where(unit, below, np.nextafter(below, -np.inf)),
        np.where(unit, above, np.nextafter(above, np.inf)),
    )


def _unless_implied(
    matrix: sparse.csr_array, low: FloatArray, high: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The sides of rows, infinite where the box says it, up to rounding; an equation keeps both."""
    positive, negative = matrix.maximum(0), matrix.minimum(0)
    margin = numeric.gamma(2) * (abs(matrix) @ np.maximum(np.abs(lower), np.abs(upper)))
    equation = low == high
    says_low = positive @ lower + negative @ upper >= low - margin
    says_high = positive @ upper + negative @ lower <= high + margin
    return (
        np.where(says_low & ~equation, -np.inf, low),
        np.where(says_high & ~equation, np.inf, high),
    )


def _definitions(matrix: sparse.csr_array, equation: BoolArray, own: BoolArray) -> IntArray:
    """Per row the copy that it gives: the disjunction's own column, else its first with coefficient 1 or -1.

    No two rows give the same copy, and what defines a copy other than an own one is defined by nothing.
    """
    row = np.repeat(np.arange(equation.size), np.diff(matrix.indptr))
    copy, unit = matrix.indices, (np.abs(matrix.data) == 1) & equation[row]
    answer = np.full(equation.size, -1, dtype=np.int64)
    with_own = np.zeros(equation.size, dtype=np.bool_)
    with_own[row[own[copy]]] = True
    for chosen in (unit & own[copy], unit & ~with_own[row]):
        at = np.flatnonzero(chosen)
        at = at[np.unique(row[at], return_index=True)[1]]
        at = at[np.unique(copy[at], return_index=True)[1]]
        answer[row[at]] = copy[at]
    # plain definitions must not chain: a row that uses another's pivot gives none
    plain = np.flatnonzero((answer >= 0) & ~with_own)
    given = np.zeros(own.size, dtype=np.bool_)
    given[answer[plain]] = True
    chained = np.zeros(equation.size, dtype=np.bool_)
    chained[row[given[copy] & (copy != answer[row])]] = True
    answer[plain[chained[plain]]] = -1
    return answer


def _columns(name: str, copies: _Copies) -> Columns:
    size = copies.column.size
    lower, upper = np.minimum(copies.lower, 0.0), np.maximum(copies.upper, 0.0)
    return Columns(name, lower, upper, np.zeros(size, dtype=np.bool_))


def _rows(
    group: Disjunctions, copies: _Copies, switches: Switches, start: int, loose: BoolArray | None
) -> list[RowBlock]:
    """Sides of rows and boxes times d_p, the definitions, and each column as the sum of its copies."""
    frame = _Frame(switches, start, start + copies.column.size)
    low, high = _sides_of_boxes(copies)
    defining = copies.definition >= 0
    own = np.zeros(defining.size, dtype=np.bool_)
    disjunction = group.disjunction_of_branch[copies.branch[copies.pivots]]
    own[defining] = group.defines[disjunction] == copies.column[copies.pivots]
    blocks = [
        frame.switched(name, copies.rows(which), start + copies.definition[which])
        for name, which in ((f"{group.name}.plain", defining & ~own), (f"{group.name}.own", own))
    ]
    eye = sparse.csr_array(sparse.eye_array(copies.column.size))
    rest = copies.rows(~defining)
    others = _Rows(
        sparse.csr_array(sparse.vstack([eye, rest.matrix], format="csr")),
        np.concatenate([low, rest.lower]),
        np.concatenate([high, rest.upper]),
        np.concatenate([copies.branch, rest.branch]),
    )
    blocks += [frame.switched(f"{group.name}.switched", others), _sums(group, copies, start, loose)]
    if switches.exactly_one.size:
        blocks.append(exactly_one(group, switches, frame.width))
    return [block for block in blocks if block.size]


def _sides_of_boxes(copies: _Copies) -> tuple[FloatArray, FloatArray]:
    """The sides that need a row: a bound of 0 is the copy's own unless an equation gives it; that may say others."""
    given = np.zeros(copies.column.size, dtype=np.bool_)
    given[copies.pivots] = True
    low = np.where((copies.lower == 0) & ~given, -np.inf, copies.lower)
    high = np.where((copies.upper == 0) & ~given, np.inf, copies.upper)
    return _unless_given(copies, low, high)


def _unless_given(copies: _Copies, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The sides of boxes, infinite where the equation that gives a copy says it on the boxes of the others."""
    rows = np.flatnonzero(copies.definition >= 0)
    pivot = copies.definition[rows]
    matrix = sparse.csr_array(copies.matrix[rows])
    entry = np.repeat(pivot, np.diff(matrix.indptr)) == matrix.indices
    sign = np.zeros(rows.size)
    sign[np.repeat(np.arange(rows.size), np.diff(matrix.indptr))[entry]] = matrix.data[entry]
    rest = matrix.copy()
    rest.data = np.where(entry, 0.0, rest.data)
    # sign is 1 or -1: the copy is sign * (side - rest)
    solved = sparse.csr_array(sparse.diags_array(-sign) @ rest)
    shift = sign * copies.row_lower[rows]
    sides = _unless_implied(solved, low[pivot] - shift, high[pivot] - shift, copies.lower, copies.upper)
    low, high = low.copy(), high.copy()
    low[pivot] = np.where(np.isinf(sides[0]), -np.inf, low[pivot])
    high[pivot] = np.where(np.isinf(sides[1]), np.inf, high[pivot])
    return low, high


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """Where copies and binaries stand in the program: copies from `start`, `width` columns in all."""

    switches: Switches
    start: int
    width: int

    def switched(self, name: str, rows: _Rows, defines: IntArray | None = None) -> RowBlock:
        """low d_p <= row <= high d_p, with d_p = (1 - constant) - coefficient * column; one row for an equation."""
        shape = (rows.branch.size, self.width)
        padded = sparse.csr_array((rows.matrix.data, rows.matrix.indices + self.start, rows.matrix.indptr), shape=shape)
        equation = rows.lower == rows.upper
        below, above = np.flatnonzero(np.isfinite(rows.lower)), np.flatnonzero(np.isfinite(rows.upper) & ~equation)
        row = np.concatenate([below, above])
        order = np.argsort(row, kind="stable")
        is_low = (np.arange(row.size) < below.size)[order]
        side = np.concatenate([rows.lower[below], rows.upper[above]])[order]
        row = row[order]
        branch = rows.branch[row]
        switch = sparse.csr_array(
            (side * self.switches.coefficient[branch], (np.arange(row.size), self.switches.column[branch])),
            shape=(row.size, self.width),
        )
        matrix = sparse.csr_array(padded[row] + switch)
        matrix.eliminate_zeros()
        total = side * (1.0 - self.switches.constant[branch])
        return RowBlock(
            name,
            matrix,
            np.where(is_low, total, -np.inf),
            np.where(~is_low | equation[row], total, np.inf),
            np.full(row.size, -1, dtype=np.int64) if defines is None else defines,
        )


def _occurrences(group: Disjunctions) -> FloatArray:
    """(columns,) in how many disjunctions each column occurs."""
    size = group.matrix.shape[1]
    return np.bincount(_occurring(group) % size, minlength=size).astype(np.float64)


def _occurring(group: Disjunctions) -> IntArray:
    """Disjunction x columns + column of every column that occurs in a disjunction, each once, increasing."""
    size = group.matrix.shape[1]
    entries = np.repeat(np.arange(group.matrix.shape[0]), np.diff(group.matrix.indptr))
    owner = group.disjunction_of_branch[group.branch_of_row[entries]]
    return np.asarray(np.unique(owner * size + group.matrix.indices))


def _sums(group: Disjunctions, copies: _Copies, start: int, loose: BoolArray | None) -> RowBlock:
    """x - sum_p x^p = 0 for every disjunction and every column that occurs in it."""
    disjunction = group.disjunction_of_branch[copies.branch]
    size = group.matrix.shape[1]
    keys = _occurring(group)
    row = np.searchsorted(keys, disjunction * size + copies.column)
    column = keys % size
    count = keys.size
    matrix = sparse.csr_array(
        (
            np.concatenate([np.ones(count), -np.ones(row.size)]),
            (
                np.concatenate([np.arange(count), row]),
                np.concatenate([column, start + np.arange(row.size)]),
            ),
        ),
        shape=(count, start + row.size),
    )
    defines = np.where(loose[column], column, -1) if loose is not None else np.full(count, -1, dtype=np.int64)
    return RowBlock(f"{group.name}.sum", matrix, np.zeros(count), np.zeros(count), defines)
