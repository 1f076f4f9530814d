"""The how-to on backends is true: its package runs, is short, and keeps all laws; its test is six lines."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from reludsl.backend import Backend
from reludsl.testing import LAWS, Law
from reludsl.testing.cases import NotOffered

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "add-a-backend.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


PACKAGE, TEST = _blocks("python")


@pytest.fixture(scope="module")
def package() -> Iterator[ModuleType]:
    module = ModuleType("reludsl_scipy")
    sys.modules["reludsl_scipy"] = module
    exec(compile(PACKAGE, str(PAGE), "exec"), module.__dict__)
    yield module
    del sys.modules["reludsl_scipy"]


def test_page_package_is_under_a_hundred_lines() -> None:
    assert len(PACKAGE.splitlines()) < 100


def test_page_test_is_six_lines_and_makes_one_test_per_law(package: ModuleType) -> None:
    del package
    assert len(TEST.splitlines()) == 6
    scope: dict[str, object] = {}
    exec(compile(TEST, str(PAGE), "exec"), scope)
    marks = getattr(scope["test_conformance"], "pytestmark", [])
    assert [mark.args[1] for mark in marks] == [LAWS]


def test_page_entry_point_names_the_backend(package: ModuleType) -> None:
    (project,) = _blocks("toml")
    entry = tomllib.loads(project)["project"]["entry-points"]["reludsl.backends"]
    assert entry == {"scipy": "reludsl_scipy:backend"}
    assert isinstance(package.backend, Backend)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_page_backend_keeps_the_laws(package: ModuleType, law: Law) -> None:
    try:
        law.check(package.backend)
    except NotOffered as reason:
        pytest.skip(str(reason))


def test_page_names_only_laws_that_exist() -> None:
    table = PAGE.read_text().split("## When a law fails")[1]
    named = re.findall(r"^\| (`[^|]*`) \|", table, flags=re.MULTILINE)
    laws = {name for cell in named for name in re.findall(r"`(\w+)`", cell)}
    assert laws
    assert laws <= {law.name for law in LAWS}
