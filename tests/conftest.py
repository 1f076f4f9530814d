"""Fixtures for all tests."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import data
import pytest
from hypothesis import settings

# a run must be repeatable and bounded: the nightly profile is the one that looks for new examples
settings.register_profile("dev", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("nightly", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """data_file("mnistfc/mnist-net_256x2.onnx"): a path, or a skip."""
    return data.data_path


@pytest.fixture(scope="session")
def data_files() -> Callable[[str, str, int], list[Path]]:
    """data_files(folder, pattern, count): so many paths, or a skip."""
    return data.data_paths


@pytest.fixture(scope="session")
def need() -> Callable[[str], Any]:
    """need("torch"): the package, or a skip."""
    return data.need


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """run("certify", net, ...) -> (exit status, stdout, stderr) of the command line, without lines of progress."""
    from reludsl import cli

    # they come after a second, which a busy machine takes for anything
    monkeypatch.setattr("reludsl.cli.progress.QUIET", math.inf)

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["reludsl", *(str(w) for w in words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


@pytest.fixture
def doors() -> Iterator[None]:
    """What a test registers is taken back."""
    from reludsl.io import onnx_operators, torch_operators
    from reludsl.layers import registry

    tables: list[dict[Any, Any]] = [
        onnx_operators.OPERATORS, onnx_operators.FOREIGN, torch_operators.REGISTERED, registry._TYPES,
    ]  # fmt: skip
    before = [dict(table) for table in tables]
    yield
    for table, held in zip(tables, before):
        table.clear()
        table.update(held)


@pytest.fixture
def torch(need: Callable[[str], Any]) -> Iterator[Any]:
    """torch, or a skip; it draws and sums alike whatever ran before in this process."""
    found = need("torch")
    before = found.get_num_threads()
    found.manual_seed(0)
    found.set_num_threads(1)
    yield found
    found.set_num_threads(before)
