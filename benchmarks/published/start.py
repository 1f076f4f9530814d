"""What a command that trains needs before it starts, and how it says where it stands."""

from __future__ import annotations

import importlib.util
import sys
import time

from benchmarks.nets import DATA
from benchmarks.published.training import Say

MNIST = DATA / "mnist.npz"


def hindrance() -> str:
    """Why nothing can be trained or drawn here, in a sentence; empty where all is there."""
    for package in ("torch", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed, and networks cannot be trained or drawn without: pip install {package}"
    if not MNIST.exists():
        return "mnist.npz is not in the data folder: set RELUDSL_DATA to the folder that holds it"
    return ""


def clocked() -> Say:
    """Writes to stderr, with the seconds since now."""
    start = time.perf_counter()

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - start:6.0f} s] {text}", file=sys.stderr, flush=True)

    return say
