"""Where test data lies, and what happens where it does not.

Data is not part of the repository. `RELUDSL_DATA` names its folder (default: `../shared/data` beside the
repository). A missing file skips the test with a reason, or fails it where `RELUDSL_REQUIRE_DATA=1`.
`RELUDSL_REQUIRE` lists backends and packages whose absence is a failure instead of a skip, e.g. `cbc,torch`.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

FOLDER = Path(os.environ.get("RELUDSL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def data_path(name: str) -> Path:
    """The path of a data file, e.g. `mnistfc/mnist-net_256x2.onnx`."""
    place = FOLDER / name
    if not place.exists():
        _miss(f"{name} is not in the data folder; set RELUDSL_DATA", _data_required())
    return place


def data_paths(folder: str, pattern: str, count: int) -> list[Path]:
    """The files of a data folder, which must be `count`."""
    places = sorted(data_path(folder).glob(pattern))
    if len(places) != count:
        _miss(f"{folder} holds {len(places)} of {count} files {pattern}", _data_required())
    return places


def _data_required() -> bool:
    return os.environ.get("RELUDSL_REQUIRE_DATA") == "1"


def need(package: str) -> Any:
    """Import a package, or skip."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        missing(package, f"{package} is not installed ({error})")


def missing(name: str, reason: str) -> NoReturn:
    """Skip, or fail where `RELUDSL_REQUIRE` names the package or backend (`cvxpy` stands for its variants too)."""
    required = {entry.strip() for entry in os.environ.get("RELUDSL_REQUIRE", "").split(",")}
    _miss(reason, name in required or name.partition(":")[0] in required)


def _miss(reason: str, fails: bool) -> NoReturn:
    if fails:
        pytest.fail(reason)
    pytest.skip(reason)
