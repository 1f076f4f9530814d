"""VNN-LIB in and out: what is read means what the text says, by an evaluator on numbers that knows no reader."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reludsl.backend import FloatArray
from reludsl.domain import Norm
from reludsl.errors import FileProblem, InvalidInput
from reludsl.expr import InputVariable, NodeVariable, ball, box, polytope
from reludsl.functions import absolute, argmax_is, close
from reludsl.io import read_with_report
from reludsl.io.vnnlib import (
    Property,
    assignment_text,
    parse_vnnlib,
    read_vnnlib,
    result_text,
    vnnlib_text,
    write_vnnlib,
)
from reludsl.layers import Affine, relu
from reludsl.logic import ALWAYS, All, AnyOf, Atoms, Condition, all_of, any_of, slack
from reludsl.network import Network
from reludsl.question import Find, Maximize, Minimize, Prove

EXAMPLES = Path(__file__).with_name("vnnlib")
Point = Mapping[InputVariable, FloatArray]


def small(inputs: int = 2, outputs: int = 2, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    first = Affine(rng.normal(size=(3, inputs)), rng.normal(size=3))
    return Network.chain([first, relu, Affine(rng.normal(size=(outputs, 3)), rng.normal(size=outputs))], (inputs,))


NET, OTHER = small(), small(seed=1)


def header(inputs: int = 2, outputs: int = 2) -> str:
    names = [f"X_{k}" for k in range(inputs)] + [f"Y_{k}" for k in range(outputs)]
    return "".join(f"(declare-const {name} Real)\n" for name in names)


BOXED = header() + "(assert (<= -1 X_0 1))(assert (<= -1 X_1 1))"


# --- an evaluator on numbers: the slack of all assertions of a text ----------------------------------------


OPERATORS: dict[str, Callable[..., float]] = {
    "<=": lambda *v: min(b - a for a, b in itertools.pairwise(v)),
    ">=": lambda *v: min(a - b for a, b in itertools.pairwise(v)),
    "=": lambda *v: min(-abs(a - b) for a, b in itertools.pairwise(v)),
    "!=": lambda a, b: abs(a - b),
    "and": lambda *v: min(v),
    "or": lambda *v: max(v),
    "not": lambda a: -a,
    "=>": lambda *v: max([*(-a for a in v[:-1]), v[-1]]),
    "+": lambda *v: sum(v),
    "-": lambda a, *v: a - sum(v) if v else -a,
    "*": lambda *v: float(np.prod(v)),
}
OPERATORS |= {"<": OPERATORS["<="], ">": OPERATORS[">="], "==": OPERATORS["="]}


def evaluated(text: str, values: Mapping[str, float]) -> float:
    """The smallest slack of the assertions where the variables have these values."""
    text = re.sub(r";[^\n]*", "", text)
    text = re.sub(r"\s*\[([^\]]*)\]", lambda m: "[" + re.sub(r"\s", "", m[1]) + "]", text)
    stack: list[list[Any]] = [[]]
    held: list[float] = []
    for token in re.findall(r'[()]|"[^"]*"|[^\s()"]+', text):
        if token == "(":
            stack.append([])
        elif token != ")":
            stack[-1].append(token)
        else:
            head, *rest = stack.pop() or [""]
            if head in OPERATORS:
                stack[-1].append(OPERATORS[head](*(values[v] if v in values else float(v) for v in rest)))
            elif head == "assert":
                held.append(rest[0])
    return min(held)


def named(found: Property, point: Point) -> dict[str, float]:
    """Every element of every tensor by its name."""
    values: dict[str, float] = {}
    for tensor in found.tensors:
        numbers = tensor.value.value(point).tolist()
        for index, value in zip(np.ndindex(tensor.shape), numbers):
            indices = ",".join(map(str, index))
            label = f"{tensor.name}_{indices}" if found.version == "1.0" else f"{tensor.name}[{indices}]"
            values[label if index else tensor.name] = value
    return values


def overall(condition: Condition, point: Point) -> float:
    """The slack of a condition and of the boxes that its inputs live in."""
    boxes = [min((x - v.domain.enclosure.lower).min(), (v.domain.enclosure.upper - x).min()) for v, x in point.items()]
    inner = float(np.min(slack(condition, lambda expr: expr.value(point)[None, :])))
    return min([*map(float, boxes), inner])


def somewhere(found: Property, rng: np.random.Generator) -> dict[InputVariable, FloatArray]:
    """A point in the boxes, or a little outside."""
    point = {}
    for x in found.inputs.values():
        low, high = x.domain.enclosure.lower, x.domain.enclosure.upper
        point[x.variable] = low + (high - low) * rng.uniform(-0.05, 1.05, size=x.size)
    return point


def assert_means(found: Property, text: str, seed: int = 0, points: int = 8) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(points):
        point = somewhere(found, rng)
        expected = evaluated(text, named(found, point))
        assert overall(found.question.condition, point) == pytest.approx(expected, abs=1e-9, rel=1e-9)


def assert_holds_where(found: Property, text: str, seed: int) -> None:
    """Weaker than `assert_means`: `2 x <= 1` has another slack than the bound of the box that follows from it."""
    rng = np.random.default_rng(seed)
    for _ in range(8):
        point = somewhere(found, rng)
        expected = evaluated(text, named(found, point))
        assert abs(expected) < 1e-9 or (overall(found.question.condition, point) > 0) == (expected > 0)


# --- version 1.0 -------------------------------------------------------------------------------------------


def test_every_style_of_assertion_means_what_it_says() -> None:
    place = EXAMPLES / "styles.vnnlib"
    found = read_vnnlib(place, NET)
    assert found.version == "1.0"
    domain = found.inputs["X"].domain.enclosure
    np.testing.assert_array_equal(domain.lower, [-1.0, -0.5])
    np.testing.assert_array_equal(domain.upper, [0.75, 0.25])
    assert_means(found, place.read_text(), points=50)


@pytest.mark.parametrize(
    ("folder", "count"), [("acasxu", 10), ("mnistfc", 30), ("vnncomp_conv", 7), ("vnncomp_test", 4)]
)
def test_files_of_the_competition_mean_what_they_say(
    folder: str, count: int, data_files: Callable[[str, str, int], list[Path]]
) -> None:
    for place in data_files(folder, "*.vnnlib", count):
        text = place.read_text()
        net = small(text.count("(declare-const X_"), text.count("(declare-const Y_"))
        assert_means(read_vnnlib(place, net), text, points=2 if net.input_size > 10 else 20)


def test_bounds_become_the_box_and_outputs_one_vector_condition() -> None:
    text = header(300, 4) + "".join(f"(assert (<= X_{k} {k / 7}))(assert (>= X_{k} 0.0))" for k in range(300))
    found = parse_vnnlib(text + "(assert (or (and (>= Y_0 Y_3)) (>= Y_1 Y_3) (>= Y_2 Y_3)))", small(300, 4))
    np.testing.assert_array_equal(found.inputs["X"].domain.enclosure.upper, np.arange(300) / 7)
    condition = found.question.condition
    assert isinstance(condition, Atoms)
    assert (len(condition), condition.every, condition.strict) == (3, False, False)


def test_bounds_in_disjuncts_stay_there_as_vectors_and_the_box_is_their_hull() -> None:
    parts = [
        " ".join(f"(>= X_{k} {low}) (<= X_{k} {low + 1})" for k in range(50)) + f" (<= Y_0 Y_1) (<= Y_0 {low})"
        for low in (-1, 3)
    ]
    found = parse_vnnlib(header(50, 2) + f"(assert (or (and {parts[0]}) (and {parts[1]})))", small(50))
    domain = found.inputs["X"].domain.enclosure
    assert (domain.lower.tolist(), domain.upper.tolist()) == ([-1.0] * 50, [4.0] * 50)
    condition = found.question.condition
    assert isinstance(condition, AnyOf)
    for part in condition.parts:
        assert [len(atoms) for atoms in part.atoms] == [100, 2]


def test_contradictory_bounds_are_read_and_nothing_satisfies_them() -> None:
    found = parse_vnnlib(BOXED + "(assert (>= X_0 2))", NET)
    point = {found.inputs["X"].variable: np.array([1.5, 0.0])}
    assert overall(found.question.condition, point) < 0
    assert found.inputs["X"].domain.enclosure.lower[0] == 1.0


@pytest.mark.parametrize("more", ["", "(assert true)", "(assert (<= 1 0))"])
def test_condition_without_outputs_still_names_the_input(more: str) -> None:
    condition = parse_vnnlib(BOXED + more, NET).question.condition
    assert [v.name for atoms in condition.atoms for v in atoms.expr.inputs()] == ["X"]


@pytest.mark.parametrize(
    ("term", "coefficient", "constant"),
    [
        ("(* 2.5 Y_0)", 2.5, 0.0),
        ("(+ 0.1 Y_0 0.2)", 1.0, 0.1 + 0.2),
        ("(- 0.1 0.3 (* -1 Y_0) -0.2)", 1.0, float(np.longdouble(0.1) - np.longdouble(0.3) + np.longdouble(0.2))),
        ("(+ 1e16 Y_0 1 -1e16)", 1.0, 1.0),
        ("(* 0.1 3 Y_0)", float(np.longdouble(0.1) * 3), 0.0),
        ("(+ (* 0.1 Y_0) (* 0.2 Y_0))", float(np.longdouble(0.1) + np.longdouble(0.2)), 0.0),
        ("(* (+ 1 1) (- (- Y_0 4)))", -2.0, 8.0),
        ("(+ Y_0 (* 1e-200 1e-200 X_0))", 1.0, 0.0),
    ],
)
def test_arithmetic_is_exact_and_rounded_once(term: str, coefficient: float, constant: float) -> None:
    (atoms,) = parse_vnnlib(BOXED + f"(assert (<= {term} 0))", NET).question.condition.atoms
    (matrix,) = atoms.expr.terms.values()
    assert (matrix.toarray().tolist(), atoms.expr.constant.tolist()) == ([[coefficient, 0.0]], [constant])


def test_packed_file_is_read(tmp_path: Path) -> None:
    place = tmp_path / "a.vnnlib.gz"
    place.write_bytes(gzip.compress(BOXED.encode()))
    assert read_vnnlib(place, {"any": NET}).inputs["X"].size == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no command"),
        ("(assert", r"line 1, column 1: .* never closed"),
        ("(declare-const X_0 Real)\n )", r"line 2, column 2: .* closes nothing"),
        ("x", r"line 1, column 1: 'x' stands outside"),
        ("(declare-const X_0 Int)", r"column 23: X_0 has the type 'Int'"),
        ("(declare-const Z_0 Real)", r"column 16: 'Z_0' is neither"),
        ("(declare-const X_0 Real)(declare-const X_0 Real)", r"column 40: X_0 is declared twice"),
        ("(declare-const X_0 Real)(declare-const Y_0 Real)", "1 inputs X and 1 outputs Y, and the network has 2 and 2"),
        (header(1) + "(declare-const X_2 Real)", "declares X_2 and only 2 variables X"),
        (header() + "(assert (<= X_0 1))", r"X_0 has no finite lower bound, and 1 more .*\(assert \(>= X_0"),
        (BOXED + "\n(assert (<= (* X_0 Y_0) 1))", r"line 6, column 20: two variables are multiplied"),
        (BOXED + "\n(assert (<= X_0 Y_7))", r"line 6, column 17: 'Y_7' is neither a number nor declared"),
        (BOXED + "\n(assert (<= X_0 1e999))", r"line 6, column 17: '1e999' is larger"),
        (BOXED + "\n(assert (<= X_0 (* 1e300 1e300)))", "larger than float64"),
        (BOXED + "\n(assert (<= X_0))", r"line 6, column 16: <= compares 1 values"),
        (BOXED + "\n(assert (and))", r"line 6, column 13: and has no parts"),
        (BOXED + "\n(assert (not (<= X_0 1) (<= X_1 1)))", "not has 2 parts"),
        (BOXED + "\n(assert (and (<= X_0 1) 3))", r"line 6, column 25: '3' is no formula"),
        (BOXED + "\n(assert (<= (<= X_0 1) 3))", r"line 6, column 13: a formula is no number"),
        (BOXED + "\n(assert (sin X_0))", r"line 6, column 9: 'sin' is no operator"),
        (BOXED + "\n(assert X_0 X_0)", "assert with 2 items"),
        (BOXED + "\n(minimize X_0)", "'minimize' is no command"),
        (BOXED + '\n(assert "abc', r"line 6, column 9: '\"abc' has no matching"),
        ("(vnnlib-version <7.0>)", "<7.0>"),
        (BOXED + "(assert (<= X_0 0x10))", "'0x10' is neither"),
        (BOXED + "(assert (<= X_0 1_0))", "'1_0' is neither"),
        (BOXED + "(assert (<= X_0 nan))", "'nan' is neither"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_vnnlib(text, NET)
    assert "\n" not in str(caught.value)


def test_files_that_hold_no_property_are_one_line_file_problems(tmp_path: Path) -> None:
    (tmp_path / "bytes.vnnlib").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.vnnlib").write_bytes(b"")
    for name in ("bytes.vnnlib", "empty.vnnlib", "missing.vnnlib"):
        with pytest.raises(FileProblem, match=name) as caught:
            read_vnnlib(tmp_path / name, NET)
        assert "\n" not in str(caught.value)
    (tmp_path / "bad.vnnlib").write_text("(assert)")
    with pytest.raises(InvalidInput, match=r"bad\.vnnlib: line 1"):
        read_vnnlib(tmp_path / "bad.vnnlib", NET)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10**6,
        ")" * 10**6,
        "(and " * 10**6,
        BOXED + "(assert " + "(not " * 10**6,
        BOXED + "(assert " + "(and (<= X_0 1) (or (<= Y_0 1) " * 3000 + "(<= X_0 1)" + "))" * 3000 + ")",
        BOXED + "(assert (<= " + "(* 1.5 " * 9000 + "X_0" + ")" * 9000 + " 1))",
        '"' * 10**6,
        "[" * 10**6,
        '"' + "\\" * 10**6,
        "(declare-const X_" + "9" * 10**6 + " Real)",
        BOXED + "(assert (<= X_0 " + "9" * 10**6 + "))",
        "(vnnlib-version <2.0>)(declare-network f (declare-input X Real [" + "9," * 10**5 + "9])",
    ],
    ids=itertools.count(),
)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    start = time.process_time()
    with pytest.raises(InvalidInput) as caught:
        parse_vnnlib(text, NET)
    assert len(str(caught.value)) < 500
    assert time.process_time() - start < 10


def test_long_sums_and_negations_are_read() -> None:
    deep = "(+ Y_0 " * 5000 + "1" + ")" * 5000
    found = parse_vnnlib(BOXED + f"(assert (<= {deep} 2))(assert {'(not ' * 5001}(<= Y_1 3){')' * 5001})", NET)
    first, second = found.question.condition.atoms
    (matrix,) = first.expr.terms.values()
    assert (matrix.toarray().tolist(), first.expr.constant.tolist()) == ([[5000.0, 0.0]], [-1.0])
    assert second.strict


# --- version 2.0 -------------------------------------------------------------------------------------------


def test_two_networks_at_one_point_share_the_input() -> None:
    place = EXAMPLES / "teacher.vnnlib"
    found = read_vnnlib(place, {"teacher": NET, "student": OTHER})
    assert found.inputs["A"] is found.inputs["C"]
    assert set(found.outputs) == {"B", "D"}
    assert [t.name for t in found.tensors] == ["A", "H", "B", "C", "D"]
    for atoms in found.question.condition.atoms:
        assert [v.name for v in atoms.expr.inputs()] == ["A"]
    # the equation of the inputs has slack 0 in the text, and is no condition any more
    text = re.sub(r"\(assert \(and \(==.*", "", place.read_text())
    assert_means(found, text, points=30)


def test_one_network_at_two_points_is_one_network() -> None:
    place = EXAMPLES / "monotone.vnnlib"
    found = read_vnnlib(place, NET)
    assert found.inputs["X"] is not found.inputs["XX"]
    networks = {v.application.network for e in found.outputs.values() for v in e.terms if isinstance(v, NodeVariable)}
    assert networks == {NET}
    assert_means(found, place.read_text(), points=30)


def test_hidden_tensors_are_found_by_their_names_in_the_onnx_file() -> None:
    from reludsl.data import path

    net, report = read_with_report(path("digits.onnx"), check=False)
    n = net.input_size
    text = f"(vnnlib-version <2.0>)(declare-network f (declare-input X Real [{n}])"
    text += f'(declare-hidden H Real [{net.size("relu1")}] "relu1")'
    text += f"(declare-output Y Real [{net.output_size}]))" + "".join(f"(assert (<= 0 X[{k}] 1))" for k in range(n))
    found = parse_vnnlib(text + "(assert (> H[3] 0))", net, {net: report.tensors})
    (variable,) = found.hidden["H"].terms
    assert isinstance(variable, NodeVariable)
    assert variable.node == "relu1"
    with pytest.raises(InvalidInput, match="'relu1' of f, which computes no value of that name"):
        parse_vnnlib(text, net, {net: {}})


def test_product_whose_bias_was_joined_is_no_tensor_of_the_network(tmp_path: Path, need: Callable[[str], Any]) -> None:
    onnx = need("onnx")
    make, weights = onnx.helper, onnx.numpy_helper.from_array
    nodes = [
        make.make_node("MatMul", ["x", "w"], ["product"], name="multiply"),
        make.make_node("Identity", ["product"], ["same"]),
        make.make_node("Add", ["same", "b"], ["sum"], name="add"),
        make.make_node("Relu", ["sum"], ["y"], name="relu"),
    ]
    ends = [make.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "xy"]
    held = [weights(np.eye(2, dtype=np.float32), "w"), weights(np.ones(2, dtype=np.float32), "b")]
    graph = make.make_graph(nodes, "g", ends[:1], ends[1:], held)
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 13)]), tmp_path / "net.onnx")
    net, report = read_with_report(tmp_path / "net.onnx", check=False)
    assert [node.name for node in net.nodes] == ["multiply", "relu"]
    assert report.tensors == {"sum": "multiply", "add": "multiply", "y": "relu", "relu": "relu"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("float32 [1,2]", "int32 [1,2]", r"line 4, column 3: A has elements of type 'int32'"),
        ("float32 [1,2]", "float32 [1,3]", "declared with 3 elements .* has 2"),
        ('"1_relu"', '"ghost"', "'ghost' of teacher"),
        ("(isomorphic-to teacher)", "", None),
        ("(isomorphic-to teacher)", "(equal-to teacher)", "two networks are given"),
        ("(isomorphic-to teacher)", "(isomorphic-to nobody)", "'nobody', which is not declared before"),
        (
            "declare-network student",
            "declare-network pupil",
            "network pupil is declared, and given are teacher, student",
        ),
        ("(declare-input C float32 [1,2])", "", "declares 0 input tensors"),
        ("(declare-input C", "(declare-input E Real [1]) (declare-input C", "declares 2 input tensors"),
        ("(declare-input C", "(declare-input A", "'A' is declared twice"),
        ("H[0,2]", "H[2]", "has 1 indices, and H has 2"),
        ("H[0,2]", "H[0,3]", "outside the shape"),
        ("H[0,2]", "(* H[0,2] A[0,0])", "two variables are multiplied"),
        ("H[0,2]", "H[0 2]", "neither a number nor declared"),
        ("(<= A[0,1] 1.0)", "(<= A[0,0] 1.0)", r"A\[0,1\] has no finite upper bound"),
        ("(declare-input C float32 [1,2])", "(declare-input C float32 [1,2] initialized)", "initialized"),
        ("(assert (<= H", "(declare-const H", "no command of VNN-LIB 2.0"),
    ],
)
def test_declarations_that_do_not_fit_are_refused(old: str, new: str, message: str | None) -> None:
    text = (EXAMPLES / "teacher.vnnlib").read_text().replace(old, new, 1)
    networks = {"teacher": NET, "student": OTHER}
    if message is None:
        parse_vnnlib(text, networks)
        return
    with pytest.raises(InvalidInput, match=message) as caught:
        parse_vnnlib(text, networks)
    assert "\n" not in str(caught.value)


# --- writing -----------------------------------------------------------------------------------------------


def questions() -> dict[str, Find | Prove]:
    x = ball([0.1, -0.3], 0.2, clip=(-1, 1))
    z = box(-1, 1, (2,), name="z")
    wedge = polytope([[1.0, 2.5]], [0.7], box(0, 1, (2,)).domain.enclosure)
    y, trace = NET(x), NET.trace(x)
    return {
        "argmax": Find(~argmax_is(y, 1)),
        "prove": Prove(argmax_is(y, 0), given=x[0] <= 0.15),
        "nested": Find(any_of(all_of(y[0] >= 0.1, y[1] < 0.3), ~((2.5 * y[0] - x[1] / 3 < 1) & (y[1] == 0.25)))),
        "nothing": Find(any_of() | (y[0] <= 1)),
        "everywhere": Prove(y <= 3.0),
        "polytope": Find(NET(wedge)[0] + wedge[1] <= 0.2),
        "hidden": Find((trace.pre[0][1] <= 0.2) | trace.active[0][2]),
        "two networks": Prove(close(NET(x), OTHER(x), atol=1e-3)),
        "two points": Find((x <= z) & (NET(x)[0] > NET(z)[0])),
    }


def in_order(variables: Iterable[InputVariable]) -> list[InputVariable]:
    """Each once, sorted by where it lives: a file may name inputs in another order."""
    return sorted(dict.fromkeys(variables), key=lambda v: float(v.domain.enclosure.lower[0]))


@pytest.mark.parametrize("name", list(questions()))
def test_written_question_is_read_with_the_same_slack(name: str, tmp_path: Path) -> None:
    question = questions()[name]
    write_vnnlib(question, tmp_path / "q.vnnlib")
    text = (tmp_path / "q.vnnlib").read_text()
    found = read_vnnlib(tmp_path / "q.vnnlib", {"f0": NET, "f1": OTHER} if "two networks" in name else NET)
    assert found.version == ("2.0" if name in ("hidden", "two networks", "two points") else "1.0")
    condition = question.condition if isinstance(question, Find) else question.given & ~question.claim
    inputs = in_order(v for atoms in condition.atoms for v in atoms.expr.inputs())
    read = in_order(x.variable for x in found.inputs.values())
    assert len(inputs) == len(read)
    rng = np.random.default_rng(0)
    for _ in range(20):
        point = somewhere(found, rng)
        before = {own: point[its] for own, its in zip(inputs, read)}
        # a polytope is a domain before and a condition after
        outside = [-np.inf for v in inputs if not v.domain.contains(before[v][None, :])[0]]
        expected = min([*outside, overall(condition, before)])
        got = overall(found.question.condition, point)
        assert got == pytest.approx(expected, abs=1e-12) or (got <= 0 and outside)
    # and once more: the text of what was read says the same
    again = parse_vnnlib(vnnlib_text(found.question), {"f0": NET, "f1": OTHER} if "two networks" in name else NET)
    point = somewhere(found, rng)
    moved = {its: point[own] for its, own in zip(in_order(x.variable for x in again.inputs.values()), read)}
    assert overall(again.question.condition, moved) == pytest.approx(
        overall(found.question.condition, point), abs=1e-12
    )
    assert text.endswith("\n")


def test_written_constants_are_read_bit_for_bit() -> None:
    x = box([0.1, 1 / 3], [0.7, np.nextafter(1.0, 2.0)])
    y = NET(x)
    matrix, side = np.random.default_rng(0).normal(size=(2, 2)), np.array([1e-300, 1 / 7])
    found = parse_vnnlib(vnnlib_text(Find(matrix @ y <= side)), NET)
    domain = found.inputs["X"].domain.enclosure
    np.testing.assert_array_equal([domain.lower, domain.upper], [x.domain.enclosure.lower, x.domain.enclosure.upper])
    (atoms,) = found.question.condition.atoms
    (read,) = atoms.expr.terms.values()
    np.testing.assert_array_equal(read.toarray(), matrix)
    np.testing.assert_array_equal(atoms.expr.constant, -side)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda x: Maximize(NET(x)[0]), "Maximize asks for a number"),
        (lambda x: Minimize(NET(x)[0]), "Minimize asks for a number"),
        (lambda x: Find(absolute(x - 0.5).sum() <= NET(x)[0]), "absolute"),
        (lambda x: Find(absolute(x).sum() <= NET(x)[0]), "absolute"),
        (lambda x: Find(x[0] <= 0.5), "mentions no network"),
        (lambda x: Find(ALWAYS), "mentions no network"),
        (lambda x: Find(NET(x - 0.5)[0] <= 0), "applied to an expression"),
        (lambda x: Find(NET(x[[1, 0]])[0] <= 0), "applied to an expression"),
        (lambda x: Find(NET(NET(x))[0] <= 0), "applied to an expression"),
        (lambda x: Find(NET(x)[0] <= box(0, 1, (1,), name="lonely")), "input lonely goes into no network"),
        (lambda x: Find(NET(ball([0, 0], 1.0, Norm.L1))[0] <= 0), "no word for"),
    ],
)
def test_what_the_language_does_not_hold_is_refused(question: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        vnnlib_text(question(box(0, 1, (2,))))
    assert "\n" not in str(caught.value)


# --- results -----------------------------------------------------------------------------------------------


def test_result_lists_the_witness_in_full() -> None:
    x = np.array([[0.1, 1 / 3]])
    text = result_text("sat", x, NET(x))
    word, *rows = text.splitlines()
    assert word == "sat"
    assert rows[0].startswith("((X_0 0.1)")
    found = re.findall(r"\(([XY]_\d) (\S+?)\)", text)
    assert [name for name, _ in found] == ["X_0", "X_1", "Y_0", "Y_1"]
    assert [float(value) for _, value in found] == [*x.ravel().tolist(), *NET(x).ravel().tolist()]
    assert text.count("(") == text.count(")") == 5


def test_result_without_witness_is_one_word() -> None:
    assert [result_text(word) for word in ("unsat", "unknown", "timeout")] == ["unsat\n", "unknown\n", "timeout\n"]
    for word, witness in (("sat", None), ("unsat", [0.0]), ("maybe", None)):
        with pytest.raises(InvalidInput):
            result_text(word, witness, witness)


def test_assignment_lists_the_tensors_of_version_2() -> None:
    found = read_vnnlib(EXAMPLES / "monotone.vnnlib", NET)
    first, second = (x.variable for x in found.inputs.values())
    text = assignment_text("sat", found, {first: np.array([0.5, 0.25]), second: np.array([1.0, 2.0])})
    assert text.splitlines()[:4] == ["sat", "X Real [2]", "0.5", "0.25"]
    assert assignment_text("timeout", found) == "timed-out\n"


# --- fuzzing -----------------------------------------------------------------------------------------------


def read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        parse_vnnlib(text, {"teacher": NET, "student": OTHER} if "teacher" in text else NET)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refused(text)
    read_or_refused(BOXED + text)
    read_or_refused("(vnnlib-version <2.0>)" + text)


COMMANDS = """declare-const declare-fun declare-network declare-input declare-output declare-hidden equal-to
    isomorphic-to vnnlib-version assert Real <2.0> true false and or not => <= >= < > = == != + - * """
NAMES = """X_0 X_1 Y_0 Y_1 0 1 -2.5 1e300 1e-320 "1_relu" f g X Y X[0] X[1] Y[0] [2] [] [1,2] ;"""
WORDS = st.one_of(st.sampled_from(["(", ")"]), st.sampled_from([*COMMANDS.split(), *NAMES.split(), "\n"]))


@given(st.lists(WORDS, max_size=40), st.sampled_from(["", BOXED, "(vnnlib-version <2.0>)"]))
def test_any_words_are_read_or_refused(words: list[str], before: str) -> None:
    read_or_refused(before + " ".join(words))
    read_or_refused(f"{before}(assert {' '.join(words)})")


GOOD = [place.read_text() for place in sorted(EXAMPLES.glob("*.vnnlib"))]


@given(st.sampled_from(GOOD), st.data())
def test_a_changed_file_is_read_or_refused(text: str, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text) - 1))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = (
            text[:start] + data.draw(st.one_of(WORDS, st.text(max_size=3), st.just(text[start:end] * 2))) + text[end:]
        )
    read_or_refused(text)


ATOMS = st.one_of(st.sampled_from(["X_0", "X_1", "Y_0", "Y_1"]), st.floats(-4, 4, width=16).map(str))
TERMS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(lambda v: f"(+ {' '.join(v)})", st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: f"(- {' '.join(v)})", st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda c, v: f"(* {c} {v})", st.floats(-4, 4, width=16), inner),
    ),
    max_leaves=6,
)
COMPARISONS = st.builds(
    lambda op, v: f"({op} {' '.join(v)})",
    st.sampled_from(["<=", ">=", "<", ">", "="]),
    st.lists(TERMS, min_size=2, max_size=3),
)
FORMULAS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds(
            lambda op, v: f"({op} {' '.join(v)})", st.sampled_from(["and", "or", "=>"]), st.lists(inner, min_size=1)
        ),
        inner.map(lambda v: f"(not {v})"),
    ),
    max_leaves=8,
)


@given(st.lists(FORMULAS, max_size=3), st.integers(0, 1000))
def test_random_formulas_mean_what_they_say(formulas: list[str], seed: int) -> None:
    text = BOXED + "".join(f"(assert {formula})" for formula in formulas)
    found = parse_vnnlib(text, NET)
    assert_holds_where(found, text, seed)
    # a file says nothing about a network that no coefficient is left of
    with contextlib.suppress(InvalidInput):
        written = vnnlib_text(found.question)
        assert_holds_where(parse_vnnlib(written, NET), text, seed)


def test_conjunctions_inside_conjunctions_are_one() -> None:
    condition = parse_vnnlib(BOXED + "(assert (and (<= Y_0 1) (and (<= Y_1 1) (not (or (> Y_0 2) (> Y_1 2))))))", NET)
    assert isinstance(condition.question.condition, Atoms)
    assert not isinstance(condition.question.condition, All)
