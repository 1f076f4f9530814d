"""The page, the data and the pictures of the studies: every number of them comes from a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.expressivity.finding import Finding, Picture
from benchmarks.published.page import machine, prose, table
from benchmarks.published.pictures import save
from reludsl.io.files import write_atomically
from reludsl.plot import new_axes

PAGE = "expressivity.md"
COMMAND = "python -m benchmarks.expressivity"
MARK = "\n\n## "
"""Before every section."""


def write_one(folder: Path, finding: Finding) -> None:
    """The JSON file and the pictures of one study."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in finding.pictures:
        axes = new_axes()
        figure = axes.figure
        figure.clear()
        figure.set_size_inches(picture.size)
        picture.draw(figure)
        save(figure.axes[0], folder / file_name(finding, picture))
    text = json.dumps(finding.as_json(), indent=1) + "\n"
    write_atomically(folder / f"expressivity-{finding.name}.json", text.encode())


def write_page(folder: Path, findings: Sequence[Finding], seconds: Sequence[float], options: str) -> None:
    """The page of all studies; their files are written by `write_one`."""
    date = datetime.now(UTC).date().isoformat()
    write_atomically(folder / PAGE, page(findings, seconds, options, date, machine()).encode())


def replace_section(folder: Path, finding: Finding, seconds: float, options: str) -> None:
    """The section of one study on a page that is there, whose other sections stay as they are."""
    where = folder / PAGE
    head, *sections = where.read_text(encoding="utf-8").rstrip("\n").split(MARK)
    titles = [text.split("\n", 1)[0] for text in sections]
    run_on = f"{datetime.now(UTC).date().isoformat()}, {machine()['processor']}"
    own = "\n\n".join(_section(finding, seconds, options, run_on)).removeprefix(MARK.strip("\n"))
    place = titles.index(finding.title)
    write_atomically(where, (MARK.join([head, *sections[:place], own, *sections[place + 1 :]]) + "\n").encode())


def file_name(finding: Finding, picture: Picture) -> str:
    return f"expressivity-{finding.name}-{picture.name}.svg"


def page(
    findings: Sequence[Finding], seconds: Sequence[float], options: str, date: str, here: Mapping[str, str]
) -> str:
    """The whole page, in Markdown.

    Args:
        options: of the command, with a space before each: " --full", or "".
    """
    about = prose(
        f"""Written by `{COMMAND} all{options} --out docs/results`, and single sections by the commands that stand in
        them with the same `--out`; nothing on it is written by hand. Run on {date}, on
        {here["cores"]} cores of {here["processor"]} ({here["system"]}), with Python {here["python"]}, reludsl
        {here["reludsl"]}, numpy {here["numpy"]}, torch {here["torch"]}. The numbers of each study are in
        `expressivity-NAME.json` beside this page."""
    )
    parts = ["# What networks express, measured", about]
    for finding, taken in zip(findings, seconds):
        parts += _section(finding, taken, options, f"{date}, {here['processor']}")
    return "\n\n".join(parts) + "\n"


def _section(finding: Finding, seconds: float, options: str, run_on: str) -> Iterator[str]:
    yield f"## {finding.title}"
    yield prose(finding.sentence)
    yield prose(
        f"`{COMMAND} {finding.name}{options}`, {seconds:.0f} s ({run_on}). Settings: "
        + ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in finding.settings.items())
        + "."
    )
    yield table(
        ["published", "measured", "seen"],
        [[one.published, one.measured, "yes" if one.seen else "**no**"] for one in finding.observations],
    )
    for shown in finding.tables:
        yield prose(shown.caption)
        yield table(shown.head, shown.rows)
    for picture in finding.pictures:
        yield f"![{picture.caption}]({file_name(finding, picture)})"
    if finding.notes:
        yield "\n".join(prose(note, "- ", "  ") for note in finding.notes)


def _plain(value: Any) -> str:
    """3, [1, 2] or a name, without the quotes of Python."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_plain(held)}" for key, held in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)
