"""Laws about rows that a binary column switches: right answers with the capability, a refusal without."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import sparse

from reludsl.backend import Backend, Capability, Indicators, Limits, Sense, UnsupportedCapability
from reludsl.testing.cases import INF, Case, case, close, hold, needs, opened, same, truth

__all__: list[str] = []


def switched(value: bool) -> Case:
    """x + y <= 3 on [0, 2]^2; y <= 0.5 and x - y = 1 where the third column has the value."""
    plain = case([[1, 1, 0]], [-INF], [3], [0, 0, 0], [2, 2, 1], [False, False, True], [1, 2, 0.25])
    rows = sparse.csr_array(np.array([[0.0, 1.0, 0.0], [1.0, -1.0, 0.0]]))
    conditions = Indicators(
        rows, np.array([-INF, 1.0]), np.array([0.5, 1.0]), np.array([2, 2]), np.array([value, value])
    )
    return dataclasses.replace(plain, matrix=dataclasses.replace(plain.matrix, indicators=conditions))


def law_indicators_are_refused_unless_offered(backend: Backend) -> None:
    """Without INDICATOR, `open` refuses a matrix with switched rows, and never ignores them."""
    problem = switched(True)
    if Capability.INDICATOR in backend.capabilities:
        with opened(backend, problem) as session:
            session.solve()
        return
    try:
        session = backend.open(problem.matrix, Limits())
    except UnsupportedCapability:
        return
    session.close()
    hold(False, "a matrix with switched rows was opened: they are lost without a word; call require_matrix in open")


def law_indicators_hold_where_their_column_says_so(backend: Backend) -> None:
    """A switched row is required at its value of the binary, for 0 and for 1, and nowhere else."""
    needs(backend, Capability.INDICATOR)
    for value in (False, True):
        for problem in switched(value).everyway():
            same(backend, problem)
            with opened(backend, problem) as session:
                for fixed in (0.0, 1.0):
                    session.set_bounds(np.array([2]), np.array([fixed]), np.array([fixed]))
                    bound = np.array([0.0, 0.0, fixed]), np.array([2.0, 2.0, fixed])
                    matrix = dataclasses.replace(problem.matrix, lower=bound[0], upper=bound[1])
                    same(backend, dataclasses.replace(problem, matrix=matrix), result=session.solve())


def law_indicators_that_bounds_decide_are_rows_of_the_relaxation(backend: Backend) -> None:
    """Where the bounds fix a binary at the value, the relaxation has the rows that it switches."""
    needs(backend, Capability.INDICATOR)
    for value in (False, True):
        for problem in switched(value).everyway():
            with opened(backend, problem) as session:
                for fixed in (0.0, 1.0, 0.0):
                    session.set_bounds(np.array([2]), np.array([fixed]), np.array([fixed]))
                    bound = np.array([0.0, 0.0, fixed]), np.array([2.0, 2.0, fixed])
                    matrix = dataclasses.replace(problem.matrix, lower=bound[0], upper=bound[1])
                    way = dataclasses.replace(problem, matrix=matrix)
                    same(backend, way, True, session.solve(relax=True))


def law_indicators_are_no_part_of_the_relaxation(backend: Backend) -> None:
    """A relaxation may leave switched rows out and never require them: its optimum is no worse than the integer one."""
    needs(backend, Capability.INDICATOR)
    for problem in switched(True).everyway():
        best = truth(problem).objective
        with opened(backend, problem) as session:
            relaxed = session.solve(relax=True).objective
        hold(best is not None and relaxed is not None, "no optimum")
        if best is not None and relaxed is not None:
            better = relaxed <= best if problem.sense is Sense.MINIMIZE else relaxed >= best
            hold(better or close(relaxed, best), f"the relaxation gives {relaxed}, the integer program {best}")
