"""The tutorial: every page prints the same with every backend, and its optima agree."""

from __future__ import annotations

import doctest
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from solvers import SOLVERS, solver

from reludsl import plugins
from reludsl.answer import Answer
from reludsl.backend import Backend
from reludsl.query import Range
from reludsl.testing import EnumerationBackend

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "tutorial"
PAGES = tuple(page.name for page in sorted(FOLDER.glob("[0-9]*.md")))

WITH_EVERY_BACKEND = tuple(
    pytest.param(page, marks=pytest.mark.slow) if page == "6-regions.md" else page for page in PAGES
)
"""All pages; the one that asks the most questions takes long on solvers that begin with each."""

SMALL = (
    "2-related-inputs.md",
    *(
        pytest.param(page, marks=pytest.mark.slow)
        for page in ("4-monotonicity.md", "5-agreement.md", "8-cheapest-change.md")
    ),
)
"""Pages whose programs are small enough to visit every assignment of their binaries, in exact arithmetic."""

SAME = 1e-6
"""Optima may differ by this much, relative."""


@cache
def names_after(page: str, backend: str) -> dict[str, Any]:
    """Run a page with another default backend: what its names stand for at the end.

    The output of every block is compared with the page, as doctest does.
    """
    chosen = _backend(backend)
    text = (FOLDER / page).read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, page, page, 0)
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "default", lambda: chosen)
        outcome = doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
    assert outcome.failed == 0, f"{page} with {backend}:\n{''.join(said)}"
    assert outcome.attempted >= 5
    return dict(test.globs)


def _backend(name: str) -> Backend:
    return EnumerationBackend() if name == "enumeration" else solver(name)


def _answers(page: str, backend: str) -> dict[str, Answer]:
    """The answers that a page gave names to, lists of answers and ranges taken apart."""
    found: dict[str, Answer] = {}
    for name, value in names_after(page, backend).items():
        if isinstance(value, Answer):
            found[name] = value
        elif isinstance(value, Range):
            found |= {f"{name}.lowest[{k}]": a for k, a in enumerate(value.lowest)}
            found |= {f"{name}.highest[{k}]": a for k, a in enumerate(value.highest)}
        elif isinstance(value, list) and value and all(isinstance(a, Answer) for a in value):
            found |= {f"{name}[{k}]": a for k, a in enumerate(value)}
    return found


def _is_extreme(answer: Answer) -> bool:
    return answer.proved and answer.value is not None and math.isfinite(answer.bound)


@pytest.mark.parametrize("page", WITH_EVERY_BACKEND)
@pytest.mark.parametrize("backend", SOLVERS)
def test_page_says_the_same_with_every_backend(backend: str, page: str) -> None:
    _compare(page, backend)


@pytest.mark.parametrize("page", SMALL)
def test_page_says_the_same_with_the_oracle(page: str) -> None:
    _compare(page, "enumeration")


def _compare(page: str, backend: str) -> None:
    """The page prints what it shows; its verdicts are those of the first backend, its optima within `SAME`."""
    first, other = _answers(page, SOLVERS[0]), _answers(page, backend)
    assert first
    assert first.keys() == other.keys()
    for name, answer in first.items():
        assert other[name].verdict is answer.verdict, name
        if _is_extreme(answer):
            assert other[name].value == pytest.approx(answer.value, rel=SAME, abs=SAME), name
            # a bound is widened by what tolerances may be worth, each solver's its own
            assert other[name].bound == pytest.approx(answer.bound, rel=10 * SAME, abs=10 * SAME), name


@pytest.mark.parametrize("page", PAGES)
def test_page_has_its_parts_and_leads_to_the_next(page: str) -> None:
    text = (FOLDER / page).read_text(encoding="utf-8")
    assert text.startswith(f"# {PAGES.index(page) + 1}. ")
    assert 'backend="cbc"' in text, "says how to choose another solver"
    assert "\n## What others write\n" in text
    position = PAGES.index(page) + 1
    assert position == len(PAGES) or f"({PAGES[position]})" in text


def test_index_lists_the_pages_in_order() -> None:
    index = (FOLDER.parent / "index.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"tutorial/([0-9][^)]*\.md)", index)) == PAGES
    assert len(PAGES) == 8
