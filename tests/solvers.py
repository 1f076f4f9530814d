"""A backend by name, or a skip with the reason (a failure where RELUDSL_REQUIRE names it)."""

from __future__ import annotations

import os

import pytest

from reludsl import plugins
from reludsl.backend import Backend
from reludsl.errors import MissingBackend

SOLVERS = ("highs", "cbc", "cvxpy")


def solver(name: str) -> Backend:
    """The backend, installed."""
    backend = plugins.load(name)
    try:
        backend.version()
    except MissingBackend as error:
        if name.partition(":")[0] in os.environ.get("RELUDSL_REQUIRE", "").split(","):
            pytest.fail(str(error))
        pytest.skip(str(error))
    return backend
