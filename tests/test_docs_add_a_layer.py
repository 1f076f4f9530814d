"""The how-to on layers is true: its code runs as it stands, its layers are short, and they keep all laws."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from reludsl import layers
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.io import onnx, rounding
from reludsl.layers import AffineLayer, NonlinearLayer, registry
from reludsl.rewrite import narrow
from reludsl.testing import LAYER_LAWS, check_layer

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "add-a-layer.md"
NAME = "reludsl_page_on_layers"


def _blocks() -> list[tuple[int, str]]:
    """Every block of Python, with the line that it stands on."""
    text = PAGE.read_text()
    found = re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, block.start(1)), block[1]) for block in found]


BLOCKS = _blocks()


TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture(scope="module")
def page() -> Iterator[ModuleType]:
    """The page as a module. What it registers is taken back."""
    module = sys.modules[NAME] = ModuleType(NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_TYPES", dict(registry._TYPES))
        operators = dict(onnx.OPERATORS)
        for line, code in BLOCKS:
            if TORCH or "import torch" not in code:
                # blank lines in front: a traceback names the line of the page
                exec(compile("\n" * line + code, str(PAGE), "exec"), module.__dict__)
        yield module
    onnx.OPERATORS.clear()
    onnx.OPERATORS.update(operators)
    del sys.modules[NAME]


def _length(names: tuple[str, ...]) -> int:
    """Lines of some definitions, without blank lines, comments and docstrings."""
    total = 0
    for _, code in BLOCKS:
        lines = code.splitlines()
        for node in ast.parse(code).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in names:
                start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                own = {k for k in range(start, int(node.end_lineno or 0) + 1) if lines[k - 1].strip()}
                said = {k for part in ast.walk(node) for k in _docstring(part)}
                total += len([k for k in own - said if not lines[k - 1].lstrip().startswith("#")])
    return total


def _docstring(node: ast.AST) -> range:
    if not isinstance(node, ast.ClassDef | ast.FunctionDef) or ast.get_docstring(node) is None:
        return range(0)
    return range(node.body[0].lineno, int(node.body[0].end_lineno or 0) + 1)


def test_page_states_how_long_its_layers_are() -> None:
    stated = re.findall(r"^`(\w+)` is (\d+) lines long", PAGE.read_text(), flags=re.MULTILINE)
    own = {"CumulativeSum": _length(("CumulativeSum",)), "SortPairs": _length(("SortPairs", "_pairs", "_rows"))}
    assert {name: int(count) for name, count in stated} == own
    assert 10 < own["CumulativeSum"] <= 15
    assert 30 < own["SortPairs"] <= 45


def test_page_activation_is_one_line() -> None:
    assert sum("soft_shrink =" in line and line.endswith(")") for _, code in BLOCKS for line in code.splitlines()) == 1


@pytest.mark.parametrize("seed", range(3))
def test_page_layers_keep_the_laws(page: ModuleType, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for layer, size in ((page.soft_shrink, 2), (page.CumulativeSum(5), 5), (page.SortPairs(4), 4)):
        low = -rng.random(size)
        assert check_layer(layer, Box(low, low + 0.25 + 1.5 * rng.random(size)), seed=seed).kept


def test_page_reads_a_running_sum_of_onnx(page: ModuleType, tmp_path: Path) -> None:
    onnx_package = pytest.importorskip("onnx")
    helper = onnx_package.helper
    kinds = onnx_package.TensorProto

    def written(**marks: int) -> Path:
        node = helper.make_node("CumSum", ["x", "axis"], ["y"], **marks)
        ends = [helper.make_tensor_value_info(name, kinds.FLOAT, ["N", 4]) for name in "xy"]
        axis = helper.make_tensor("axis", kinds.INT64, [], [1])
        graph = helper.make_graph([node], "sums", ends[:1], ends[1:], [axis])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=7)
        onnx_package.save(model, tmp_path / "sums.onnx")
        return tmp_path / "sums.onnx"

    net = onnx.read_onnx(written())
    np.testing.assert_array_equal(net(np.array([[1.0, 2.0, 3.0, 4.0]])), [[1.0, 3.0, 6.0, 10.0]])
    with pytest.raises(InvalidInput, match="from its end"):
        onnx.read_onnx(written(reverse=1))


@pytest.mark.skipif(not TORCH, reason="torch is not installed")
def test_page_reads_a_module_of_torch(page: ModuleType) -> None:
    assert isinstance(page.read.nodes[1].layer, page.SortPairs)


def test_page_test_of_a_package_asks_every_layer(page: ModuleType) -> None:
    (mark,) = page.test_layer_keeps_the_laws.pytestmark
    for layer in mark.args[1]:
        page.test_layer_keeps_the_laws(layer)


def test_page_names_only_laws_that_exist() -> None:
    table = PAGE.read_text().split("## When a law fails")[1]
    named = set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE))
    assert named
    assert named <= {law.name for law in LAYER_LAWS}


def test_page_names_only_doors_that_exist() -> None:
    table = PAGE.read_text().partition("## 8. Optional doors")[2].partition("## When a law fails")[0]
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|", table, flags=re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w[\w.]*)`", row)]
    assert len(names) > 8
    places = [AffineLayer, NonlinearLayer, narrow, onnx, rounding]
    places += [importlib.import_module("reludsl.io.torch_modules")] if TORCH else []
    for name in names:
        if "torch_modules" in name and not TORCH:
            continue
        last = name.removesuffix(".register").split(".")[-1]
        assert any(hasattr(place, last) for place in places), name


def test_reference_lists_exactly_the_names_of_layers() -> None:
    table = (PAGE.parents[1] / "reference.md").read_text().partition("## Layers")[2]
    listed = re.findall(r"^\| `(\w+)[`(]", table, flags=re.MULTILINE)
    tree = ast.parse(Path(str(layers.__file__)).read_text(encoding="utf-8"))
    exported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(listed) == sorted(exported)
