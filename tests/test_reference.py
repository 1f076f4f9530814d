"""The documentation names what there is: public names, places of trust, pages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import reludsl

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CHANGELOG.md"])


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _public() -> set[str]:
    """The names that reludsl/__init__.py re-exports, in the form `X as X`."""
    tree = ast.parse((ROOT / "reludsl" / "__init__.py").read_text(encoding="utf-8"))
    aliases = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return {alias.name for alias in aliases if alias.asname == alias.name}


def test_reference_lists_exactly_the_public_names() -> None:
    before_modules = _page("reference.md").partition("## Modules")[0]
    listed = re.findall(r"^\| `(\w+)[`(]", before_modules, flags=re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == _public()


def test_every_public_name_has_a_docstring() -> None:
    silent = [name for name in _public() if not getattr(reludsl, name).__doc__ and name != "relu"]
    assert silent == []


def test_reference_names_modules_that_exist() -> None:
    for module in re.findall(r"`reludsl\.([\w.]+)`", _page("reference.md")):
        place = ROOT / "reludsl" / Path(*module.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), module


def test_soundness_page_lists_every_file_that_trusts() -> None:
    trusting = {
        str(place.relative_to(ROOT))
        for folder in ("reludsl", "backends")
        for place in (ROOT / folder).rglob("*.py")
        if "# trusted:" in place.read_text(encoding="utf-8")
    }
    table = _page("explanation/soundness.md").partition("## Every place that trusts")[2]
    assert set(re.findall(r"^\| `([\w/.]+)`", table, flags=re.MULTILINE)) == trusting


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).is_file(), target


def test_every_page_is_reached_from_the_index() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", _page("index.md"))
    pages = {(ROOT / "docs" / target).resolve() for target in targets} | {ROOT / "docs" / "index.md"}
    assert set((ROOT / "docs").rglob("*.md")) == pages
