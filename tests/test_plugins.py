"""Backends are found by entry point, in a bare checkout too, and what is missing says what to write."""

from __future__ import annotations

import builtins
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from solvers import solver

from reludsl import plugins
from reludsl.backend import Backend, Capability
from reludsl.errors import InvalidInput, MissingBackend
from reludsl.testing import EnumerationBackend

ROOT = Path(__file__).resolve().parents[1]


def _entry_points(monkeypatch: pytest.MonkeyPatch, **entries: str | tuple[str, ...]) -> None:
    listed = [
        EntryPoint(name, value, plugins.GROUP)
        for name, values in entries.items()
        for value in ((values,) if isinstance(values, str) else values)
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: listed)


def _hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make some packages look as if they were not installed."""
    real = builtins.__import__

    def absent(name: str, *args: Any, **keywords: Any) -> Any:
        if name.partition(".")[0] in packages:
            raise ImportError(f"No module named {name!r}")
        return real(name, *args, **keywords)

    monkeypatch.setattr(builtins, "__import__", absent)


def test_bundled_equals_the_entry_points_of_the_project_file() -> None:
    project: Mapping[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert dict(plugins.BUNDLED) == project["entry-points"][plugins.GROUP]


def test_names_are_in_documented_order(monkeypatch: pytest.MonkeyPatch) -> None:
    _entry_points(monkeypatch, zeta="z:b", alpha="a:b")
    assert plugins.names() == ("highs", "cbc", "scip", "cvxpy", "alpha", "zeta")


@pytest.mark.parametrize("name", list(plugins.BUNDLED))
def test_bundled_backend_satisfies_the_protocol(name: str) -> None:
    backend = plugins._resolve(name, plugins.BUNDLED[name])
    assert isinstance(backend, Backend)
    assert backend.name == name
    assert Capability.LP | Capability.MILP in backend.capabilities


def test_importing_backends_imports_no_solver() -> None:
    code = (
        "import sys; import reludsl.plugins, reludsl.testing, reludsl_highs, reludsl_cbc, reludsl_scip, reludsl_cvxpy;"
        "[b.backend.capabilities for b in (reludsl_highs, reludsl_cbc, reludsl_scip, reludsl_cvxpy)];"
        "assert not {'highspy', 'mip', 'pyscipopt', 'cvxpy', 'pytest'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_load_backend_object_passes_unchanged() -> None:
    backend = EnumerationBackend()
    assert plugins.load(backend) is backend


def test_load_unknown_name_lists_known_and_installed() -> None:
    with pytest.raises(MissingBackend, match=r"no backend named 'hihgs'.*highs, cbc, scip, cvxpy.*Installed now"):
        plugins.load("hihgs")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("highs", "highspy", "highs"), ("cbc", "mip", "cbc"), ("scip", "pyscipopt", "scip"), ("cvxpy", "cvxpy", "cvxpy")],
)
def test_load_missing_solver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str
) -> None:
    _hide(monkeypatch, package)
    with pytest.raises(MissingBackend, match=rf"{package}.*pip install 'reludsl\[{extra}\]'.*Installed now"):
        plugins.load(name)
    info = {info.name: info for info in plugins.installed()}[name]
    assert not info.installed
    assert info.version is None
    assert Capability.LP in info.capabilities


def test_default_skips_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    solver("cbc")
    _hide(monkeypatch, "highspy")
    assert plugins.default().name == "cbc"


def test_default_nothing_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _hide(monkeypatch, "highspy", "mip", "pyscipopt", "cvxpy")
    with pytest.raises(MissingBackend, match="pip install"):
        plugins.default()


def test_entry_point_of_another_distribution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _entry_points(monkeypatch, oracle="reludsl.testing.enumeration:EnumerationBackend")
    with pytest.raises(MissingBackend, match="no instance"):
        plugins.load("oracle")
    assert "oracle" in plugins.names()


def test_entry_point_that_repeats_the_bundled_value_is_no_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    _entry_points(monkeypatch, **plugins.BUNDLED)
    assert plugins.names() == plugins.ORDER


def test_entry_points_that_disagree_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _entry_points(monkeypatch, toy=("one:backend", "two:backend"))
    with pytest.raises(InvalidInput, match=r"toy.*one:backend.*two:backend"):
        plugins.names()


def test_entry_point_that_takes_a_bundled_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    _entry_points(monkeypatch, highs="their_highs:backend")
    with pytest.raises(InvalidInput, match="their_highs"):
        plugins.load("highs")


def test_entry_point_that_cannot_be_imported_is_listed_with_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    _entry_points(monkeypatch, ghost="no_such_module_anywhere:backend")
    info = {info.name: info for info in plugins.installed()}["ghost"]
    assert not info.installed
    assert "cannot be imported" in info.note


def test_load_variant_is_another_backend() -> None:
    solver("cvxpy")
    backend = plugins.load("cvxpy:SCIPY")
    assert backend.name == "cvxpy:SCIPY"
    assert Capability.BOUND not in backend.capabilities


def test_load_variant_that_is_not_installed_names_those_that_are() -> None:
    solver("cvxpy")
    with pytest.raises(MissingBackend, match=r"NO_SUCH_SOLVER.*cvxpy:SCIPY"):
        plugins.load("cvxpy:NO_SUCH_SOLVER")


def test_load_variant_of_a_backend_without_variants_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no variants"):
        plugins.load("highs:IPM")
