"""What pyproject.toml says is what the repository holds."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

import pytest

import reludsl

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_wheel_holds_the_library_and_every_backend_folder() -> None:
    folders = {f"backends/{place.parent.name}" for place in (ROOT / "backends").glob("reludsl_*/__init__.py")}
    assert set(PACKAGES) == {"reludsl", *folders}


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_version_is_the_same_everywhere() -> None:
    assert reludsl.__version__ == PROJECT["project"]["version"]
    assert f"[{reludsl.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_scripts_and_entry_points_lead_to_objects() -> None:
    project = PROJECT["project"]
    targets = {**project["scripts"], **project["entry-points"]["reludsl.backends"]}
    for target in targets.values():
        module, _, attribute = target.partition(":")
        assert getattr(importlib.import_module(module), attribute) is not None


def test_each_extra_and_dependency_is_explained() -> None:
    explained = (ROOT / "docs" / "explanation" / "dependencies.md").read_text(encoding="utf-8")
    project = PROJECT["project"]
    requirements = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    names = {requirement.split(">")[0].split("[")[0].strip() for requirement in requirements}
    assert {name for name in names if f"`{name}`" not in explained} == set()
    assert {extra for extra in project["optional-dependencies"] if f"`{extra}`" not in explained} == set()


def test_nothing_in_the_base_needs_an_extra() -> None:
    base = {requirement.split(">")[0] for requirement in PROJECT["project"]["dependencies"]}
    assert base == {"numpy", "scipy", "networkx", "highspy", "threadpoolctl", "onnx", "typer", "rich"}


def test_shipped_data_lies_in_the_package() -> None:
    from reludsl.data import path

    for name in ("digits.onnx", "digits.npz"):
        assert path(name).is_relative_to(ROOT / "reludsl")
