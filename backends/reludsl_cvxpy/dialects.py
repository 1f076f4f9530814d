"""How each solver inside CVXPY is told its settings, and what of its answer CVXPY hands through.

CVXPY passes keywords on as they are, so a time limit or a gap has another name for each solver. A solver that
is not in the table runs with its own gap, and refuses a time limit instead of ignoring it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from reludsl.backend import Capability, Limits, Silence

_SOLVES = Capability.LP | Capability.MILP
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True)
class Settings:
    """What one solve asks for; `seconds` None means no limit."""

    limits: Limits
    gap: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Proof:
    """What the statistics of one integer solve hold: the bound of the minimised objective, and whether the
    solver has a point at all. None: the statistics do not tell."""

    bound: float | None = None
    has_point: bool | None = None
    nodes: int = 0


@dataclass(frozen=True, slots=True)
class Dialect:
    """One solver inside CVXPY.

    Args:
        solver: CVXPY's name of it.
        capabilities: what reaches us through CVXPY.
        keywords: settings -> keywords of `Problem.solve`.
        proof: `solver_stats.extra_stats` -> Proof.
        unknown: raw option names that the solver does not have.
        times: whether a time limit can be given.
        finest: the least tolerance, where one can be given (`Capability.TOLERANCE`).
        reset: what to do before a failed solve is tried once more; None: nothing helps.
        profile: the settings that `Limits.profile` turns on, with the reason of each.
    """

    solver: str
    capabilities: Capability
    keywords: Callable[[Settings], dict[str, Any]]
    proof: Callable[[Any], Proof]
    unknown: Callable[[Iterable[str]], list[str]]
    times: bool = True
    finest: float = 0.0
    reset: Callable[[], None] | None = None
    profile: Mapping[str, str] = field(default_factory=dict)


def dialect(solver: str) -> Dialect:
    """The entry of the table, or the cautious one for a solver that is not in it."""
    return _TABLE.get(solver, Dialect(solver, _SOLVES, _raw_only, _nothing, _all_known, times=False))


def _raw_only(settings: Settings) -> dict[str, Any]:
    return dict(settings.limits.options)


def _nothing(stats: Any) -> Proof:
    del stats
    return Proof()


def _all_known(names: Iterable[str]) -> list[str]:
    """Nothing can be checked beforehand; CVXPY's interface to the solver decides."""
    del names
    return []


def _at_most(settings: Settings, **defaults: float) -> dict[str, Any]:
    """Keywords of tolerances: those of the solver, or less where less is asked for."""
    asked = settings.limits.tolerance
    return {} if asked is None else {name: min(asked, default) for name, default in defaults.items()}


def _highs(settings: Settings) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "threads": settings.limits.threads,
        "random_seed": settings.limits.seed % 2**31,
        "mip_rel_gap": float(settings.gap),
        "mip_abs_gap": float(settings.gap),
        "small_matrix_value": _SMALLEST,
    }
    if settings.limits.profile:
        keywords["presolve"] = "off"
    keywords |= _at_most(settings, primal_feasibility_tolerance=1e-7, dual_feasibility_tolerance=1e-7)
    keywords |= _at_most(settings, mip_feasibility_tolerance=1e-6)
    if settings.seconds is not None:
        keywords["time_limit"] = float(settings.seconds)
    return keywords | dict(settings.limits.options)


def _highs_proof(stats: Any) -> Proof:
    """The value and the point that CVXPY reports at a limit without incumbent are zeros; only
    primal_solution_status tells (2 = feasible)."""
    return Proof(
        bound=_finite(getattr(stats, "mip_dual_bound", None)),
        has_point=getattr(stats, "primal_solution_status", 0) == 2,
        nodes=max(int(getattr(stats, "mip_node_count", 0)), 0),
    )


@cache
def _greeted(highspy: Any) -> None:
    """The first `Highs()` of a process prints its version, before any option can be set: make it unheard."""
    with Silence():
        highspy.Highs()


def _highs_unknown(names: Iterable[str]) -> list[str]:
    import highspy

    _greeted(highspy)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    return [name for name in names if solver.getOptionType(name)[0] != highspy.HighsStatus.kOk]


def _highs_reset() -> None:
    """HiGHS has one scheduler per process: a run with another number of threads than the first one fails."""
    import highspy

    _greeted(highspy)
    highspy.Highs.resetGlobalScheduler(True)


def _scipy(settings: Settings) -> dict[str, Any]:
    options: dict[str, Any] = {"mip_rel_gap": float(settings.gap)}
    if settings.limits.profile:
        options["presolve"] = False
    if settings.seconds is not None:
        options["time_limit"] = float(settings.seconds)
    return {"scipy_options": options | dict(settings.limits.options)}


def _scipy_unknown(names: Iterable[str]) -> list[str]:
    known = ("presolve", "node_limit", "disp", "time_limit", "mip_rel_gap")
    return [name for name in names if name not in known]


def _gurobi(settings: Settings) -> dict[str, Any]:
    keywords: dict[str, Any] = {
        "Threads": settings.limits.threads,
        "Seed": settings.limits.seed,
        "MIPGap": settings.gap,
        "MIPGapAbs": settings.gap,
    }
    if settings.seconds is not None:
        keywords["TimeLimit"] = settings.seconds
    keywords |= _at_most(settings, FeasibilityTol=1e-6, OptimalityTol=1e-6, IntFeasTol=1e-5)
    return keywords | dict(settings.limits.options)


def _gurobi_proof(stats: Any) -> Proof:
    solutions = getattr(stats, "SolCount", None)
    return Proof(
        bound=_finite(getattr(stats, "ObjBound", None)),
        has_point=None if solutions is None else solutions > 0,
        nodes=int(getattr(stats, "NodeCount", 0)),
    )


def _scip(settings: Settings) -> dict[str, Any]:
    params: dict[str, Any] = {"limits/gap": settings.gap, "limits/absgap": settings.gap}
    if settings.seconds is not None:
        params["limits/time"] = settings.seconds
    return {"scip_params": params | dict(settings.limits.options)}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) or abs(value) >= 1e30 else float(value)


_NO_PRESOLVE = {"presolve": "presolve of HiGHS was seen to cut off the optimum of a program with two binaries"}

_TABLE: Mapping[str, Dialect] = {
    entry.solver: entry
    for entry in (
        Dialect(
            "HIGHS",
            _SOLVES | Capability.BOUND | Capability.DUALS | Capability.TOLERANCE,
            _highs,
            _highs_proof,
            _highs_unknown,
            finest=1e-10,
            reset=_highs_reset,
            profile=_NO_PRESOLVE,
        ),
        Dialect("SCIPY", _SOLVES | Capability.DUALS, _scipy, _nothing, _scipy_unknown, profile=_NO_PRESOLVE),
        Dialect(
            "GUROBI",
            _SOLVES | Capability.BOUND | Capability.DUALS | Capability.TOLERANCE,
            _gurobi,
            _gurobi_proof,
            _all_known,
            finest=1e-9,
        ),
        Dialect("SCIP", _SOLVES, _scip, _nothing, _all_known),
    )
}
