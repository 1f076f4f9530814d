"""Rounds of cuts: solve a relaxation, add the rows that its point violates most, and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from reludsl.backend import Matrix, Result, Rows, Session, Status
from reludsl.passes.formulation import Form, Formulation
from reludsl.passes.hull_cuts import separate_hull
from reludsl.passes.ideal_cuts import separate_ideal
from reludsl.passes.neurons import Neurons

STALLED = 5e-3
"""Two rounds that gain less, as a share of what all gained, are the last: the simplex method does not wait long."""

SEPARATE = {Form.CUTS: separate_ideal, Form.HULL_CUTS: separate_hull}
"""What finds the rows of a formulation."""

OnRound = Callable[[Result, Matrix], bool]
"""Told the result of every LP, and the program it is of; True when no further rounds are needed."""


@dataclass(frozen=True, slots=True, eq=False)
class Tightened:
    """What rounds of cuts made of a session's program.

    Args:
        matrix: the program with the rows added; bounds: that of every LP solved, in order.
        seconds: spent in all.
    """

    matrix: Matrix
    bounds: tuple[float, ...]
    seconds: float


def tighten(
    session: Session,
    matrix: Matrix,
    layers: Sequence[tuple[Neurons, Formulation]],
    time_limit: float | None = None,
    on_round: OnRound = lambda result, matrix: False,
) -> Tightened:
    """Rounds for the objective that is set: solve the relaxation, add the rows that its point violates most.

    The rows are right for every objective, and stay. Ends when no row is violated, after the rounds of the
    formulation, when a round gains next to nothing, at the time limit, or when an LP is not solved.

    Args:
        matrix: what the session holds, rows of earlier calls included.
        layers: from `reludsl.passes.formulated`.
    """
    began = time.perf_counter()
    bounds: list[float] = []
    for turn in range(max((form.rounds for _, form in layers), default=0)):
        left = None if time_limit is None else time_limit - (time.perf_counter() - began)
        if left is not None and left <= 0:
            break
        result = session.solve(relax=True, time_limit=left)
        if result.status is not Status.OPTIMAL or result.x is None:
            break
        if result.objective is not None:
            bounds.append(result.objective)
        if on_round(result, matrix) or _stalled(bounds):
            break
        found = [SEPARATE[form.form](layer, result.x, form.per_round) for layer, form in layers if turn < form.rounds]
        rows = Rows(
            sparse.csr_array(sparse.vstack([r.matrix for r in found], format="csr")),
            np.concatenate([r.lower for r in found]),
            np.concatenate([r.upper for r in found]),
        )
        if not rows.lower.size:
            break
        session.add_rows(rows)
        matrix = replace(
            matrix,
            rows=sparse.csr_array(sparse.vstack([matrix.rows, rows.matrix], format="csr")),
            row_lower=np.concatenate([matrix.row_lower, rows.lower]),
            row_upper=np.concatenate([matrix.row_upper, rows.upper]),
        )
    return Tightened(matrix, tuple(bounds), time.perf_counter() - began)


def _stalled(bounds: Sequence[float]) -> bool:
    """Whether the last two rounds gained next to nothing, by what all of them gained."""
    return len(bounds) > 3 and abs(bounds[-1] - bounds[-3]) <= STALLED * abs(bounds[-1] - bounds[0])
