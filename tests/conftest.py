"""Fixtures for all tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

# a run must be repeatable and bounded: the nightly profile is the one that looks for new examples
settings.register_profile("dev", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("ci", deadline=None, max_examples=60, derandomize=True)
settings.register_profile("nightly", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


def _helper() -> ModuleType:
    """tests/data.py; the folder is no package, so that it is loaded by its place."""
    name = "reludsl_test_data"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("data.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """data_file("mnistfc/mnist-net_256x2.onnx"): a path, or a skip."""
    found: Callable[[str], Path] = _helper().data_path
    return found


@pytest.fixture(scope="session")
def data_files() -> Callable[[str, str, int], list[Path]]:
    """data_files(folder, pattern, count): so many paths, or a skip."""
    found: Callable[[str, str, int], list[Path]] = _helper().data_paths
    return found


@pytest.fixture(scope="session")
def need() -> Callable[[str], Any]:
    """need("torch"): the package, or a skip."""
    found: Callable[[str], Any] = _helper().need
    return found
