"""Imports point downward only; solvers and heavy packages are imported late; nothing prints.

The house, floor by floor. A module imports what stands on a lower floor or belongs to its own package.
Modules of one floor stand side by side and know nothing of each other. A new module needs a place here.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli", "demo"),
    ("plot",),
    ("reludsl",),  # the re-exports of reludsl/__init__.py
    ("report", "testing"),
    ("bench",),
    ("compress", "compare", "export"),
    ("expressivity",),
    ("query", "stability", "regions"),
    ("session",),
    ("proof", "rewrite"),
    ("tighten", "splitting"),
    ("falsify", "solve"),
    ("cases", "formulate", "answer"),
    ("witness", "walk", "saved", "conditions", "replay", "affine_step"),
    ("bounds", "io", "data", "certificate", "passes", "plugins", "networks"),
    ("question", "functions", "program"),
    ("network", "program_text"),
    ("blocks",),
    ("layers", "expr"),
    ("logic", "domain"),
    ("numeric", "exact", "exact_lp", "progress"),
    ("backend",),
    ("apart", "aside", "silence", "one_thread"),
    ("errors",),
)
"""Top to bottom; a name stands for reludsl/<name>.py or the package reludsl/<name>/."""

HEIGHT = {name: len(FLOORS) - k for k, floor in enumerate(FLOORS) for name in floor}

LATE = {"highspy", "mip", "pyscipopt", "cvxpy", "torch", "onnx", "onnxruntime", "hypothesis", "pytest", "matplotlib"}
"""Never imported at module level: some are not installed, the others are slow."""

PLACES = {
    "highspy": ("reludsl_highs", "reludsl_cvxpy"),
    "mip": ("reludsl_cbc",),
    "pyscipopt": ("reludsl_scip",),
    "cvxpy": ("reludsl_cvxpy",),
    "torch": ("reludsl.io", "reludsl.expressivity"),
    "onnx": ("reludsl.io",),
    "onnxruntime": ("reludsl.io",),
    "hypothesis": ("reludsl.testing",),
    "pytest": ("reludsl.testing",),
    "matplotlib": ("reludsl.plot",),
}
"""The only packages that may import them at all."""

EARLY = {
    "reludsl.io.torch_modules": {"torch"},
    "reludsl.testing.strategies": {"hypothesis"},
    "reludsl_scip.events": {"pyscipopt"},
}
"""Exceptions from LATE: subclasses of theirs are defined there. The module itself is imported late then."""


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """The children that run: of `if TYPE_CHECKING` only what stands under else."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from node.orelse
        else:
            yield node


def _target(base: str, name: str) -> str:
    """`from reludsl import numeric` imports reludsl.numeric, `from reludsl import stable` reludsl itself."""
    whole = f"{base}.{name}"
    return whole if whole in EARLY or (base == "reludsl" and name in HEIGHT) else base


def _imports(tree: ast.AST, late: bool = False) -> Iterator[tuple[str, bool, int]]:
    """(name, whether inside a function, line) of every import that runs."""
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, late, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from ((_target(base, alias.name), late, node.lineno) for alias in node.names)
        else:
            yield from _imports(node, late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _part(module: str) -> str:
    """reludsl.stability.facts -> stability."""
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else pieces[0]


def _misplaced(module: str, name: str, late: bool) -> str:
    """Why a module may not import that name; empty when it may."""
    top = name.partition(".")[0]
    if name.startswith("."):
        return f"{name} is relative; write the whole name"
    if top == "backends":
        return "the folder backends/ is no package: import reludsl_highs, reludsl_cbc, reludsl_scip, reludsl_cvxpy"
    if name in EARLY and not late:
        return f"{name} imports {', '.join(EARLY[name])}; import it where it is used"
    if top in LATE and not late and top not in EARLY.get(module, set()):
        return f"{top} is imported at module level; import it where it is used"
    if top in PLACES and not module.startswith(PLACES[top]):
        return f"{top} is imported outside {', '.join(PLACES[top])}"
    own = module.partition(".")[0]
    if own != "reludsl":
        known = top == own or name == "reludsl.backend" or not top.startswith("reludsl")
        return "" if known else f"a backend imports {name}; reludsl.backend is all that it may know"
    if top.startswith("reludsl_"):
        return f"{name} is a backend; the library finds it by its entry point"
    if top != "reludsl" or _part(name) == _part(module):
        return ""
    if HEIGHT[_part(module)] <= HEIGHT.get(_part(name), len(FLOORS) + 1):
        return f"{name} stands no lower than {module}"
    return ""


def violations(module: str, source: str) -> list[str]:
    """What a module does that the house forbids, one line each."""
    tree = ast.parse(source)
    if module.partition(".")[0] == "reludsl" and _part(module) not in HEIGHT:
        return [f"{module} has no floor: give it one in FLOORS"]
    found = [
        f"{module}:{line}: {why}" for name, late, line in _imports(tree) if (why := _misplaced(module, name, late))
    ]
    found.extend(
        f"{module}:{node.lineno}: print(); return the text, or write it to the stream that was asked for"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    )
    return found


def _modules() -> Iterator[tuple[str, Path]]:
    for base, pattern in ((ROOT, "reludsl/**/*.py"), (ROOT / "backends", "reludsl_*/**/*.py")):
        for place in sorted(base.glob(pattern)):
            parts = place.relative_to(base).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), place


MODULES = dict(_modules())


@pytest.mark.parametrize("module", MODULES)
def test_module_keeps_the_house_rules(module: str) -> None:
    assert violations(module, MODULES[module].read_text(encoding="utf-8")) == []


def test_every_module_is_looked_at() -> None:
    assert {"reludsl", "reludsl.cli", "reludsl.stability.certify", "reludsl_highs.session"} <= set(MODULES)


def test_every_floor_is_inhabited() -> None:
    lived_in = {_part(module) for module in MODULES if module.startswith("reludsl.")} | {"reludsl"}
    assert set(HEIGHT) == lived_in


@pytest.mark.parametrize(
    ("module", "source", "word"),
    [
        ("reludsl.bounds.linear", "from reludsl.stability import stable", "stands no lower"),
        ("reludsl.bounds.linear", "def f():\n    import reludsl.query", "stands no lower"),
        ("reludsl.bounds.linear", "from reludsl import witness", "stands no lower"),
        ("reludsl.bounds.linear", "from ..query import maximize", "whole name"),
        ("reludsl.query", "from reludsl.stability import stable", "stands no lower"),
        ("reludsl.stability.facts", "import reludsl", "stands no lower"),
        ("reludsl.stability.facts", "from reludsl import stable", "stands no lower"),
        ("reludsl.solve", "import reludsl_highs", "entry point"),
        ("reludsl.solve", "def f():\n    import highspy", "outside"),
        ("reludsl.io.onnx", "import onnx", "module level"),
        ("reludsl.io.onnx", "try:\n    import onnx\nexcept ImportError:\n    pass", "module level"),
        ("reludsl.io.onnx", "class A:\n    from torch import nn", "module level"),
        ("reludsl.io.torch", "from reludsl.io.torch_modules import Described", "where it is used"),
        ("reludsl.io.torch", "from reludsl.io import torch_modules", "where it is used"),
        ("reludsl.query", "def f():\n    import onnx", "outside"),
        ("reludsl.query", "def f():\n    import matplotlib.figure", "outside"),
        ("reludsl.query", "print('here')", "print"),
        ("reludsl.query", "from backends.reludsl_highs import backend", "no package"),
        ("reludsl.query", "if TYPE_CHECKING:\n    import torch\nelse:\n    import mip", "module level"),
        ("reludsl", "from reludsl.cli import main", "stands no lower"),
        ("reludsl.attic", "", "no floor"),
        ("reludsl_cbc.session", "import mip", "module level"),
        ("reludsl_cbc.session", "from reludsl.network import Network", "all that it may know"),
        ("reludsl_cbc.session", "from reludsl.errors import InvalidInput", "all that it may know"),
        ("reludsl_cbc.session", "import reludsl_highs", "all that it may know"),
    ],
)
def test_planted_violation_is_found(module: str, source: str, word: str) -> None:
    (line,) = violations(module, source)
    assert word in line


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("reludsl.network", "if TYPE_CHECKING:\n    from reludsl.expr import Expr\n    import torch"),
        ("reludsl.network", "from reludsl import numeric\nfrom reludsl.layers import relu"),
        (
            "reludsl.stability.facts",
            "from reludsl.stability.certify import Method\nfrom reludsl.stability import solves",
        ),
        ("reludsl.io.onnx", "def f():\n    import onnx"),
        ("reludsl.testing.strategies", "import hypothesis"),
        ("reludsl_cvxpy.session", "from reludsl.backend import Status\nimport reludsl_cvxpy.dialects"),
        ("reludsl_cvxpy.session", "def f():\n    import cvxpy, highspy"),
    ],
)
def test_permitted_import_is_left_alone(module: str, source: str) -> None:
    assert violations(module, source) == []
