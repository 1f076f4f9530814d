"""A backend is accepted when it keeps the laws; this turns them into tests of its own package.

    from reludsl.testing import conformance
    import my_backend

    test_conformance = conformance(my_backend.backend)

One node id per law. A law about a capability that is not claimed is skipped with that reason, and so is
everything when the solver is not installed; naming the backend in the environment variable RELUDSL_REQUIRE
(comma separated) turns a missing solver into a failure, so that a green run means that something ran.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from reludsl.backend import Backend
from reludsl.errors import InvalidInput, MissingBackend
from reludsl.testing.cases import NotOffered
from reludsl.testing.laws import LAWS, Law

__all__ = ["REQUIRE", "conformance", "failures"]

REQUIRE = "RELUDSL_REQUIRE"
"""Environment variable: names of the backends that must be installed."""


def conformance(backend: Backend) -> Callable[[Law], None]:
    """A pytest test function, parametrised by the laws. Assign it to a name that begins with `test_`."""
    import pytest

    @pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
    def test_conformance(law: Law) -> None:
        missing = _missing(backend)
        if missing is not None and _required(backend.name):
            pytest.fail(f"{REQUIRE} names {backend.name}, but: {missing}", pytrace=False)
        if missing is not None:
            pytest.skip(missing)
        try:
            law.check(backend)
        except NotOffered as reason:
            pytest.skip(str(reason))

    return test_conformance


def failures(backend: Backend, laws: Iterable[str] | None = None) -> dict[str, str]:
    """Name -> message of every law that the backend breaks; empty for one that keeps them all.

    Args:
        backend: whatever `conformance` takes.
        laws: names of the laws to check; all of them by default.

    Raises:
        MissingBackend: the solver is not installed.
        InvalidInput: a name that is no law.
    """
    backend.version()
    broken: dict[str, str] = {}
    for law in _chosen(laws):
        try:
            law.check(backend)
        except NotOffered:
            continue
        except Exception as problem:  # a backend that raises breaks the law too, whatever it raises
            broken[law.name] = f"{type(problem).__name__}: {problem}"
    return broken


def _chosen(laws: Iterable[str] | None) -> tuple[Law, ...]:
    if laws is None:
        return LAWS
    known = {law.name: law for law in LAWS}
    wanted = list(laws)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidInput(
            f"there is no law named {', '.join(map(repr, unknown))}, so nothing would be checked; "
            f"choose from {', '.join(known)}"
        )
    return tuple(known[name] for name in wanted)


def _missing(backend: Backend) -> str | None:
    try:
        backend.version()
    except MissingBackend as missing:
        return str(missing)
    return None


def _required(name: str) -> bool:
    required = {entry.strip() for entry in os.environ.get(REQUIRE, "").split(",")}
    return name in required or name.partition(":")[0] in required
