"""The command of the studies, and the page that it writes."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.expressivity import __main__ as command
from benchmarks.expressivity.finding import Finding, Observation, Picture, Table
from benchmarks.expressivity.page import PAGE, file_name, page, replace_section, write_one

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"


def draw(figure: Any) -> None:
    figure.subplots().plot([0, 1], [1, 2])


FOUND = Finding(
    name="length",
    title="A title",
    settings={"widths": [2, 3], "rate": 0.5, "fit": {"epochs": 3}, "seed": 7},
    observations=[
        Observation(published="It grows", measured="it grows by 1.5", seen=True),
        Observation(published="It ends", measured="it goes on to 9", seen=False),
    ],
    numbers={"growth": 1.5},
    tables=[Table(caption="A caption", head=["a", "b"], rows=[["1", "2"]])],
    pictures=[Picture(name="curve", caption="A curve", draw=draw)],
    notes=["A note"],
)


def test_sentence_counts_what_is_seen_and_says_the_numbers() -> None:
    assert FOUND.sentence == ("1 of 2 published observations seen: it grows by 1.5 (seen); it goes on to 9 (not seen).")


def test_page_has_sentence_settings_tables_pictures_and_notes_of_every_study() -> None:
    here = dict.fromkeys(("cores", "processor", "system", "python", "reludsl", "numpy", "torch"), "x")
    text = page([FOUND], [3.2], " --full --seed 7", "2020-01-02", here)
    for words in (
        "`python -m benchmarks.expressivity all --full --seed 7 --out docs/results`",
        "`python -m benchmarks.expressivity length --full --seed 7`",
        "## A title",
        FOUND.sentence,
        "3 s (2020-01-02, x). Settings: widths [2, 3], rate 0.5, fit {epochs: 3}, seed 7.",
        "| It ends | it goes on to 9 | **no** |",
        "A caption",
        "| 1 | 2 |",
        "![A curve](expressivity-length-curve.svg)",
        "- A note",
    ):
        assert words in text.replace("\n", " ") or words in text


def test_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    here = dict.fromkeys(("cores", "processor", "system", "python", "reludsl", "numpy", "torch"), "x")
    others = [replace(FOUND, title=title) for title in ("First", "Last")]
    before = page([others[0], FOUND, others[1]], [1.0, 2.0, 3.0], "", "2020-01-02", here)
    (tmp_path / PAGE).write_text(before, encoding="utf-8")
    changed = replace(FOUND, notes=["Another note"], settings={"seed": 8})
    replace_section(tmp_path, changed, 9.0, " --seed 8")
    after = (tmp_path / PAGE).read_text(encoding="utf-8")
    parts, expected = ([*text.split("\n\n## ")] for text in (after, before))
    assert [*parts[:2], parts[3]] == [*expected[:2], expected[3]]
    assert "length --seed 8`, 9 s (" in parts[2]
    assert parts[2].endswith("- Another note")
    assert after.count("A note") == 2


def test_files_of_one_study_are_its_numbers_and_its_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_one(tmp_path, FOUND)
    assert {path.name for path in tmp_path.iterdir()} == {"expressivity-length.json", "expressivity-length-curve.svg"}
    held = json.loads((tmp_path / "expressivity-length.json").read_text())
    assert held["numbers"] == {"growth": 1.5}
    assert held["sentence"] == FOUND.sentence
    assert file_name(FOUND, FOUND.pictures[0]) == "expressivity-length-curve.svg"


def test_numbers_that_are_not_finite_are_null() -> None:
    numbers = {"growth": [math.nan, 1.0], "deep": {"ratio": math.inf, "runs": (2, -math.inf)}}
    held = json.dumps(replace(FOUND, numbers=numbers).as_json(), allow_nan=False)
    assert json.loads(held)["numbers"] == {"growth": [None, 1.0], "deep": {"ratio": None, "runs": [2, None]}}


@pytest.mark.parametrize("name", command.STUDIES)
def test_study_is_a_function_with_a_default_and_a_published_setting(name: str) -> None:
    module = importlib.import_module(f"benchmarks.expressivity.{command.STUDIES[name]}")
    assert callable(module.study)
    assert type(module.DEFAULT) is type(module.FULL)
    assert module.DEFAULT != module.FULL


def test_page_of_the_repository_has_all_studies_and_their_files() -> None:
    text = (RESULTS / PAGE).read_text(encoding="utf-8")
    assert len(re.findall(r"^## ", text, re.M)) == len(command.STUDIES) == 8
    for name in command.STUDIES:
        assert f"python -m benchmarks.expressivity {name}`" in text
        held = json.loads((RESULTS / f"expressivity-{name}.json").read_text(encoding="utf-8"))
        assert " ".join(held["sentence"].split()) in " ".join(text.split())
        assert held["settings"]["seed"] == 0
    pictures = re.findall(r"\]\((expressivity-[^)]+\.svg)\)", text)
    assert len(pictures) >= 8
    assert {path.name for path in RESULTS.glob("expressivity-*.svg")} == set(pictures)


def test_unknown_study_is_refused_with_the_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["depth"])
    assert ended.value.code == 2
    assert "few-patterns" in capsys.readouterr().err


@pytest.mark.parametrize(("seed", "said"), [("-1", "-1 is below 0"), ("one", "invalid whole_number value: 'one'")])
def test_seed_that_is_none_is_refused(seed: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["arrangement", "--seed", seed])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["stability", "--full"], ["all", "--full"]])
def test_full_size_without_mnist_ends_with_what_is_missing(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MNIST", tmp_path / "mnist.npz")
    assert command.main(words) == 2
    said = capsys.readouterr().err
    assert "stability" in said
    assert "RELUDSL_DATA" in said
    assert said.count("\n") == 1


def test_pictures_without_matplotlib_end_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command.main(["arrangement", "--out", str(tmp_path)]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err
