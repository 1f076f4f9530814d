"""README.md shows what is there: the example runs, the commands exist, the demo prints what is pasted."""

from __future__ import annotations

import doctest
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from reludsl import demo
from reludsl.cli import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> demo.Demo:
    return demo.run(tmp_path_factory.mktemp("demo"))


def test_python_example_runs() -> None:
    example = doctest.DocTestParser().get_doctest(README, {}, "README.md", "README.md", 0)
    assert len(example.examples) >= 8
    outcome = doctest.DocTestRunner(verbose=False).run(example, out=lambda _: None)
    assert outcome.failed == 0


def test_command_table_lists_every_command() -> None:
    listed = re.findall(r"^\| `reludsl ([a-z-]+)", README, flags=re.MULTILINE)
    there = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert set(listed) == there


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    first_screen = "\n".join(README.splitlines()[:25])
    wanted = re.findall(r"^make (\w+)", first_screen, flags=re.MULTILINE)
    assert wanted == ["demo", "test"]
    assert set(wanted) <= set(targets)


def test_pasted_output_is_that_of_a_run(found: demo.Demo) -> None:
    screen = io.StringIO()
    demo.show(found, Console(file=screen, width=80, highlight=False))
    pasted = README.partition("```text\n")[2].partition("\n```")[0]
    marks = ("hidden neurons", "parameters", "fc1  ", "fc2  ", "right", "same", "before 3", "removed")

    def telling(text: str) -> list[str]:
        return [line.rstrip() for line in text.splitlines() if any(mark in line for mark in marks)]

    assert len(telling(pasted)) > 10
    assert telling(pasted) == telling(screen.getvalue())


def test_demo_keeps_its_promise(found: demo.Demo) -> None:
    assert found.result.proved
    assert found.written.neurons < found.network.neurons
    assert found.check.same == found.check.images
    assert max(found.check.on_images, found.check.on_points) <= 1e-6


def test_demo_main_leaves_no_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert demo.main() == 0
    assert "PROVED" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
