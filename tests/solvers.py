"""A backend by name, or a skip with the reason (a failure where RELUDSL_REQUIRE names it)."""

from __future__ import annotations

from data import missing

from reludsl import plugins
from reludsl.backend import Backend
from reludsl.errors import MissingBackend

SOLVERS = ("highs", "cbc", "scip", "cvxpy")


def solver(name: str) -> Backend:
    """The backend, installed."""
    try:
        return plugins.load(name)
    except MissingBackend as error:
        missing(name, str(error))
