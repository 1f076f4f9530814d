"""What the tests of the command line share: the answer of a run, and a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

Ended = tuple[int, str, str]
"""Exit status, stdout, stderr."""

Run = Callable[..., Ended]


def answer(result: Ended, status: int = 0) -> dict[str, Any]:
    """The one JSON object on stdout."""
    code, out, err = result
    assert code == status, err
    # a busy machine may take more than a second, and say so
    assert all(
        " of " in line or " so far" in line
        for line in err.splitlines()
        if not line.startswith("reludsl: ") or not status
    )
    found: dict[str, Any] = json.loads(out)
    assert out.count("\n") == 1
    return found


def refused(result: Ended, *words: str) -> None:
    """Bad input: one line on stderr that holds these words, and nothing else."""
    status, out, err = result
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("reludsl: ")
    for word in words:
        assert word in err
