"""Where test data lies, and what happens where it does not.

Data is not part of the repository. `RELUDSL_DATA` names its folder (default: `../shared/data` beside the
repository). A missing file skips the test with a reason, or fails it where `RELUDSL_REQUIRE_DATA=1`.
`RELUDSL_REQUIRE` lists packages whose absence is a failure instead of a skip, e.g. `torch,onnxruntime`.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("RELUDSL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def data_path(name: str) -> Path:
    """The path of a data file, e.g. `mnistfc/mnist-net_256x2.onnx`."""
    place = FOLDER / name
    if not place.exists():
        _miss(
            f"{name} is not in the data folder; set RELUDSL_DATA",
            os.environ.get("RELUDSL_REQUIRE_DATA") == "1",
        )
    return place


def data_paths(folder: str, pattern: str, count: int) -> list[Path]:
    """The files of a data folder, which must be `count`."""
    places = sorted(data_path(folder).glob(pattern))
    if len(places) != count:
        _miss(
            f"{folder} holds {len(places)} of {count} files {pattern}",
            os.environ.get("RELUDSL_REQUIRE_DATA") == "1",
        )
    return places


def need(package: str) -> Any:
    """Import a package, or skip."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        required = package in os.environ.get("RELUDSL_REQUIRE", "").split(",")
        return _miss(f"{package} is not installed ({error})", required)


def _miss(reason: str, fails: bool) -> Any:
    if fails:
        pytest.fail(reason)
    pytest.skip(reason)
