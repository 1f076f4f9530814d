"""Finding backends: an entry point of the group `reludsl.backends` is all that a solver needs to be known.

No solver is named above this module. `BUNDLED` repeats the entry points of this distribution, so that a
bare checkout (nothing installed, no metadata) finds the same backends; a test holds the two equal.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol, runtime_checkable

from reludsl.backend import Backend, Capability
from reludsl.errors import InvalidInput, MissingBackend

__all__ = ["BUNDLED", "GROUP", "ORDER", "BackendInfo", "default", "installed", "load", "names"]

GROUP = "reludsl.backends"
"""Entry-point group; each entry is `name = "module:attribute"`, the attribute a `Backend`."""

BUNDLED: Mapping[str, str] = {
    "highs": "reludsl_highs:backend",
    "cbc": "reludsl_cbc:backend",
    "scip": "reludsl_scip:backend",
    "cvxpy": "reludsl_cvxpy:backend",
}
"""The backends of this distribution, for a checkout without metadata."""

ORDER: tuple[str, ...] = ("highs", "cbc", "scip", "cvxpy")
"""Order in which `default` looks; every other backend follows alphabetically."""


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """One line of `reludsl backends`.

    Args:
        name: what `load` takes.
        version: version of the solver, None when it is not installed.
        capabilities: what the solver can do.
        installed: whether `open` would work.
        note: why not, when not.
    """

    name: str
    version: str | None
    capabilities: Capability
    installed: bool
    note: str = ""


@runtime_checkable
class _HasVariants(Protocol):
    def variant(self, name: str) -> Backend:
        """The same package with another solver inside."""
        ...


def names() -> tuple[str, ...]:
    """Names of all known backends in the order of `default`, whether or not their solvers are installed.

    >>> names()[:2]
    ('highs', 'cbc')
    """
    return _in_order(_targets())


def load(name: str | Backend) -> Backend:
    """The backend called `name`; `"cvxpy:SCIPY"` is the variant SCIPY of cvxpy; a Backend passes unchanged.

    Raises:
        MissingBackend: no such backend, or its solver is not installed.
        InvalidInput: the backend has no variants, or two distributions claim the same name.

    >>> load("highs").name
    'highs'
    """
    if not isinstance(name, str):
        return name
    base, _, variant = name.partition(":")
    targets = _targets()
    if base not in targets:
        raise MissingBackend(
            f"there is no backend named {base!r}, so nothing can be solved with it; "
            f"use one of: {', '.join(_in_order(targets))}. {_installed_now()}"
        )
    try:
        backend = _resolve(base, targets[base])
        if variant:
            backend = _variant(backend, variant)
        backend.version()
    except MissingBackend as missing:
        raise MissingBackend(f"{missing} {_installed_now()}") from missing
    return backend


def installed() -> list[BackendInfo]:
    """All known backends in the order of `default`, with the reason where one cannot be used."""
    targets = _targets()
    return [_info(name, targets[name]) for name in _in_order(targets)]


def default() -> Backend:
    """The first backend whose solver is installed: highs, cbc, scip, cvxpy, then the others alphabetically.

    Raises:
        MissingBackend: no solver is installed at all.
    """
    targets = _targets()
    for name in _in_order(targets):
        try:
            backend = _resolve(name, targets[name])
            backend.version()
        except MissingBackend:
            continue
        return backend
    raise MissingBackend("no solver is installed, so no query can be answered; run: pip install 'reludsl[highs]'")


def _targets() -> dict[str, str]:
    """Name -> `module:attribute`. Two entry points that disagree are an error, not a race."""
    found = dict(BUNDLED)
    claimed: dict[str, str] = {}
    for entry in metadata.entry_points(group=GROUP):
        earlier = claimed.get(entry.name, found.get(entry.name, entry.value))
        if earlier != entry.value:
            raise InvalidInput(
                f"two distributions offer a backend named {entry.name!r}: {earlier} and {entry.value}; "
                "which one would answer is a matter of luck: uninstall one, or pass the Backend object itself"
            )
        claimed[entry.name] = entry.value
    return found | claimed


def _resolve(name: str, target: str) -> Backend:
    module, _, attribute = target.partition(":")
    try:
        backend = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as problem:
        raise MissingBackend(
            f"the backend {name} is registered as {target}, which cannot be imported ({problem}); "
            f"its distribution is broken or incomplete: reinstall it."
        ) from problem
    if isinstance(backend, type) or not isinstance(backend, Backend):
        raise MissingBackend(
            f"the backend {name} is registered as {target}, which is a {type(backend).__name__} and no "
            "instance with the members of reludsl.backend.Backend; let its entry point name one."
        )
    return backend


def _variant(backend: Backend, variant: str) -> Backend:
    if not isinstance(backend, _HasVariants):
        raise InvalidInput(
            f"the backend {backend.name} has no variants, so {backend.name}:{variant} means nothing; "
            f"write {backend.name!r}"
        )
    return backend.variant(variant)


def _in_order(targets: Iterable[str]) -> tuple[str, ...]:
    known = set(targets)
    first = [name for name in ORDER if name in known]
    return (*first, *sorted(known.difference(first)))


def _info(name: str, target: str) -> BackendInfo:
    try:
        backend = _resolve(name, target)
    except MissingBackend as missing:
        return BackendInfo(name, None, Capability(0), False, str(missing))
    try:
        return BackendInfo(name, backend.version(), backend.capabilities, True)
    except MissingBackend as missing:
        return BackendInfo(name, None, backend.capabilities, False, str(missing))


def _installed_now() -> str:
    usable = [info.name for info in installed() if info.installed]
    return f"Installed now: {', '.join(usable) or 'none'}."
