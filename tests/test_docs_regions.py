"""The pages on linear regions are true: their code prints what they show, their commands and names exist."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
import typer
from data import need
from solvers import solver

from reludsl.cli import app
from reludsl.regions import Counting, Definition

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "how-to" / "count-regions.md"
BACKGROUND = DOCS / "explanation" / "regions.md"


def test_page_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("matplotlib")
    solver("highs")
    monkeypatch.chdir(tmp_path)
    test = doctest.DocTestParser().get_doctest(PAGE.read_text(encoding="utf-8"), {}, PAGE.name, PAGE.name, 0)
    said: list[str] = []
    outcome = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert outcome.failed == 0, "".join(said)
    assert outcome.attempted > 30
    assert (tmp_path / "regions.png").read_bytes().startswith(b"\x89PNG")


def test_pages_name_options_that_exist() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(r"^reludsl (\w+) (.*)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert len(lines) >= 6
    for command, words in lines:
        there = {name for option in commands[command].params for name in option.opts}
        assert set(re.findall(r"(?<!\w)--[a-z-]+", words)) <= there


def test_background_explains_every_definition_and_method() -> None:
    text = BACKGROUND.read_text(encoding="utf-8")
    for name in (*(d.value for d in Definition), *(m.value for m in Counting if m is not Counting.AUTO)):
        assert re.search(rf"^\| `{name}` \|", text, flags=re.MULTILINE), name
