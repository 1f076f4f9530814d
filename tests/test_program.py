"""The IR: its text reads back, its graph says what depends on what, independent parts come apart."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from reludsl.backend import FloatArray, Sense
from reludsl.domain import Box
from reludsl.errors import InvalidInput
from reludsl.expr import Expr, box
from reludsl.formulate import compile_program
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network
from reludsl.passes import cone, parts
from reludsl.program import Columns, Disjunctions, Objective, Program, RowBlock, activity
from reludsl.solve import Model
from reludsl.testing import EnumerationBackend, oracle
from reludsl.testing.strategies import boxes, networks

# --- text ---------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-16, 16).map(lambda k: k / 8),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
)
lows = st.one_of(numbers, st.just(-np.inf))


@st.composite
def _sides(draw: st.DrawFn, count: int) -> tuple[FloatArray, FloatArray]:
    """Lower and upper sides: equal, one-sided, two-sided, absent."""
    low, high = np.full(count, -np.inf), np.full(count, np.inf)
    for k in range(count):
        kind = draw(st.sampled_from(["equal", "below", "above", "both", "free"]))
        a, b = sorted((draw(numbers), draw(numbers)))
        if kind in ("equal", "above", "both"):
            low[k] = a
        if kind in ("equal", "below", "both"):
            high[k] = a if kind == "equal" else b
    return low, high


@st.composite
def _matrices(draw: st.DrawFn, rows: int, width: int) -> sparse.csr_array:
    cells = draw(st.dictionaries(st.tuples(st.integers(0, max(rows - 1, 0)), st.integers(0, width - 1)), numbers))
    dense = np.zeros((rows, width))
    for place, value in cells.items() if rows else ():
        dense[place] = value
    return sparse.csr_array(dense)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Whatever the text form can hold: names with dots, empty blocks, rows and branches without terms."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    columns = []
    for name, size in zip(["x", "0_affine", "relu.on"], sizes):
        low = np.array(draw(st.lists(numbers, min_size=size, max_size=size)))
        high = np.maximum(low, draw(st.lists(numbers, min_size=size, max_size=size)))
        flags = draw(st.lists(st.booleans(), min_size=size, max_size=size))
        columns.append(Columns(name, low, high, np.array(flags)))
    width = sum(sizes)
    targets = st.integers(-1, width - 1)
    rows = []
    for name in draw(st.sampled_from([[], ["r"], ["r", "0_affine"]])):
        count = draw(st.integers(0, 3))
        defines = draw(st.lists(targets, min_size=count, max_size=count))
        matrix = draw(_matrices(count, width))
        rows.append(RowBlock(name, matrix, *draw(_sides(count)), np.array(defines, dtype=np.int64)))
    groups = tuple(draw(_groups(name, width)) for name in draw(st.sampled_from([[], ["relu"], ["a", "b.2"]])))
    goal = None
    if draw(st.booleans()):
        index = draw(st.lists(st.integers(0, width - 1), unique=True))
        value = draw(st.lists(numbers, min_size=len(index), max_size=len(index)))
        goal = Objective(np.array(index, dtype=np.int64), np.array(value), draw(st.sampled_from(Sense)), draw(numbers))
    return Program(tuple(columns), tuple(rows), groups, goal)


@st.composite
def _groups(draw: st.DrawFn, name: str, width: int) -> Disjunctions:
    branches_of = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    rows_of = draw(st.lists(st.integers(0, 2), min_size=sum(branches_of), max_size=sum(branches_of)))
    count = sum(rows_of)
    defines = draw(st.lists(st.integers(-1, width - 1), min_size=len(branches_of), max_size=len(branches_of)))
    return Disjunctions(
        name,
        draw(_matrices(count, width)),
        *draw(_sides(count)),
        *draw(_sides(count)),
        np.concatenate([[0], np.cumsum(rows_of)]).astype(np.int64),
        np.concatenate([[0], np.cumsum(branches_of)]).astype(np.int64),
        np.array(defines, dtype=np.int64),
    )


def _same_rows(a: RowBlock | Disjunctions, b: RowBlock | Disjunctions) -> None:
    assert a.name == b.name
    np.testing.assert_array_equal(a.matrix.toarray(), b.matrix.toarray())
    for left, right in ((a.lower, b.lower), (a.upper, b.upper), (a.defines, b.defines)):
        np.testing.assert_array_equal(left, right)


def _assert_same(a: Program, b: Program) -> None:
    assert [c.name for c in a.columns] == [c.name for c in b.columns]
    for left, right in ((a.lower, b.lower), (a.upper, b.upper), (a.integer, b.integer)):
        np.testing.assert_array_equal(left, right)
    assert len(a.rows) == len(b.rows)
    for p, q in zip(a.rows, b.rows):
        _same_rows(p, q)
    assert len(a.disjunctions) == len(b.disjunctions)
    for g, h in zip(a.disjunctions, b.disjunctions):
        _same_rows(g, h)
        np.testing.assert_array_equal(g.branches, h.branches)
        np.testing.assert_array_equal(g.starts, h.starts)
        np.testing.assert_array_equal(g.reach_lower, h.reach_lower)
        np.testing.assert_array_equal(g.reach_upper, h.reach_upper)
    assert (a.objective is None) == (b.objective is None)
    if a.objective is not None and b.objective is not None:
        assert (a.objective.sense, a.objective.offset) == (b.objective.sense, b.objective.offset)
        np.testing.assert_array_equal(a.objective.index, b.objective.index)
        np.testing.assert_array_equal(a.objective.value, b.objective.value)


@given(programs())
def test_text_reads_back_as_the_same_program(program: Program) -> None:
    text = str(program)
    read = Program.parse(text)
    _assert_same(read, program)
    assert str(read) == text


@given(networks(max_units=5), st.data())
def test_text_of_a_compiled_network_reads_back(network: Network, data: st.DataObject) -> None:
    where = data.draw(boxes(network.input_size))
    program = compile_program([network(box(where.lower, where.upper))]).program
    _assert_same(Program.parse(str(program)), program)


def test_text_every_construct_is_read() -> None:
    program = Program.parse("""
maximize 2 x[0] - 0.5 y[0] + -3
columns x
  x[0] in [-1, 1]
  x[1] in [0, 4] integer
columns y
  y[0] in [-1e+20, 0.1]
rows r
  -inf <= 1 x[0] - 2 x[1] <= 0
  1 x[0] = 0.5 defines x[0]
  0 = 0
or choice
  { 1 x[0] = 0; -1 <= 1 y[0] <= 0 } { 1 y[0] = 0 within [-2, inf] } {  }
""")
    assert (program.size, program.row_count, program.disjunction_count, program.integers) == (3, 3, 1, 1)
    assert program.nonzeros == 6
    assert program.objective is not None
    assert program.objective.offset == -3
    (group,) = program.disjunctions
    assert np.diff(group.branches).tolist() == [2, 1, 0]
    assert group.reach_lower.tolist() == [-np.inf, -np.inf, -2]
    assert program.rows[0].defines.tolist() == [-1, 0, -1]


HEAD = "columns x\n  x[0] in [0, 1]\n"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("colums x\n", 1, "expected minimize"),
        ("columns\n", 1, "expected minimize"),
        ("  x[0] in [0, 1]\n", 1, "before the first block"),
        ("columns x\n  x[0] between 0 and 1\n", 2, "lower, upper"),
        ("columns x\n  x[1] in [0, 1]\n", 2, "x\\[0\\]"),
        ("columns x\n  x[0] in [0, one]\n", 2, "lower, upper"),
        (HEAD + "rows r\n  1 y[0] = 0\n", 4, "y\\[0\\]"),
        (HEAD + "rows r\n\n  1 x[0] < 0\n", 5, "terms = v"),
        (HEAD + "rows r\n  x[0] = 0\n", 4, "terms such as"),
        (HEAD + "rows r\n  1 x[0] 1 z = 0\n", 4, "terms such as"),
        (HEAD + "rows r\n  1 x[0] = 0 defines w[0]\n", 4, "w\\[0\\]"),
        (HEAD + "or d\n  1 x[0] = 0\n", 4, "rows"),
        (HEAD + "or d\n  { 1 x[0] = 0 } { 1 x[0] }\n", 4, "terms = v"),
        ("maximize 1 x[0] plus 2\n" + HEAD, 1, "terms such as"),
        ("maximize 1 q[0]\n" + HEAD, 1, "q\\[0\\]"),
    ],
)
def test_text_that_is_no_program_is_refused_with_its_line(text: str, line: int, word: str) -> None:
    with pytest.raises(InvalidInput, match=f"line {line} .*{word}"):
        Program.parse(text)


def test_matrix_disjunctions_left_are_refused() -> None:
    program = Program.parse(HEAD + "or d\n  { 1 x[0] = 0 } { 1 x[0] = 1 }\n")
    with pytest.raises(InvalidInput, match="big_m"):
        program.matrix()
    with pytest.raises(InvalidInput, match="there are x"):
        program.where("y")


def test_activity_of_a_single_column_is_its_bound_unrounded() -> None:
    least, most = activity(sparse.csr_array(np.array([[1.0, 0.0], [0.0, -1.0]])), np.array([0.1, 0.2]), np.ones(2))
    assert least.tolist() == [0.1, -1.0]
    assert most.tolist() == [1.0, -0.2]


# --- graph --------------------------------------------------------------------------------------------------


def _deep() -> Network:
    """Three hidden layers, names that tell."""
    sizes = [2, 3, 2, 2, 1]
    rng = np.random.default_rng(0)
    layers: list[Layer] = []
    for before, size in pairwise(sizes):
        layers += [Affine(rng.integers(-8, 9, (size, before)) / 8, rng.integers(-8, 9, size) / 8), relu]
    return Network.chain(layers[:-1], (2,), names=["z1", "y1", "z2", "y2", "z3", "y3", "out"])


def _names(program: Program) -> list[str]:
    return [block.name for block in program.columns]


@given(programs(), st.booleans())
def test_graph_edges_are_uses_and_definitions(program: Program, by_block: bool) -> None:
    graph = program.graph(by_block)
    wanted = set()
    names = [b.name if by_block else f"{b.name}[{k}]" for b in program.columns for k in range(b.size)]
    for block in program.rows:
        for k, row in enumerate(block.matrix.toarray()):
            own = ("rows", block.name if by_block else f"{block.name}[{k}]")
            used = np.flatnonzero(row)
            wanted |= {(("columns", names[j]), own) for j in used if j != block.defines[k]}
            wanted |= {(own, ("columns", names[j])) for j in block.defines[k : k + 1] if j >= 0}
    for group in program.disjunctions:
        owner = group.disjunction_of_branch[group.branch_of_row]
        for k in range(group.size):
            own = ("disjunctions", group.name if by_block else f"{group.name}[{k}]")
            used = np.flatnonzero(np.abs(group.matrix.toarray()[owner == k]).sum(axis=0))
            wanted |= {(("columns", names[j]), own) for j in used if j != group.defines[k]}
            wanted |= {(own, ("columns", names[j])) for j in group.defines[k : k + 1] if j >= 0}
    assert set(graph.edges) == wanted


def test_graph_ancestors_of_a_neuron_are_its_cone() -> None:
    network = _deep()
    program = compile_program([network(box(-1, 1, (2,)))]).program
    coarse, fine = program.graph(), program.graph(by_block=False)
    assert nx.is_directed_acyclic_graph(coarse)
    above = nx.ancestors(coarse, ("columns", "z2"))
    assert {name for kind, name in above if kind == "columns"} == {"x", "z1", "y1"}
    assert {name for kind, name in above if kind != "columns"} == {"z1", "y1", "z2"}
    weights = network.by_name["z2"].layer
    assert isinstance(weights, Affine)
    users = {f"y1[{k}]" for k in np.flatnonzero(weights.dense[1])}
    assert {name for _, name in fine.predecessors(("rows", "z2[1]"))} == users
    assert list(fine.successors(("rows", "z2[1]"))) == [("columns", "z2[1]")]
    assert list(fine.successors(("columns", "z2[1]"))) == [("disjunctions", "y2[1]")]


# --- cone and parts -----------------------------------------------------------------------------------------


def test_cone_of_a_neuron_in_layer_two_holds_nothing_of_layer_three() -> None:
    network, x = _deep(), box(-1, 1, (2,))
    assert _names(compile_program([network.trace(x).pre[1][0]]).program) == ["x", "z1", "y1", "z2"]
    whole = compile_program([network(x)]).program
    cut = cone(whole, np.array([whole.where("z2").start]))
    assert _names(cut) == ["x", "z1", "y1", "z2"]
    assert [b.name for b in cut.rows] == ["z1", "z2"]
    assert [g.name for g in cut.disjunctions] == ["y1"]
    # columns that are gone cannot be asked about
    original = cut.original(np.zeros(cut.size))
    assert np.isnan(original[whole.where("z3")]).all()
    assert not np.isnan(original[: whole.where("z2").stop]).any()


def test_cone_keeps_the_constraints_around_the_objective_with_all_that_they_use() -> None:
    program = Program.parse(
        """
maximize 1 x[0]
columns x
  x[0] in [0, 1]
columns y
  y[0] in [0, 2]
columns apart
  apart[0] in [0, 1]
rows y
  1 y[0] - 2 x[0] = 0 defines y[0]
rows limit
  1 y[0] <= 1
rows elsewhere
  1 apart[0] = 0
""".replace("1 y[0] <= 1", "-inf <= 1 y[0] <= 1")
    )
    kept = cone(program)
    assert _names(kept) == ["x", "y"]
    assert [b.name for b in kept.rows] == ["y", "limit"]
    assert kept.objective is not None
    assert kept.objective.index.tolist() == [0]


def test_parts_independent_inputs_are_apart_and_their_optima_add_up() -> None:
    network, other = (
        _deep(),
        Network.chain([Affine(np.array([[2.0]]), np.array([-1.0])), relu], (1,), ["a", "b"]),
    )
    x, w = box(-1, 1, (2,)), box([-1.0], [2.0], name="w")
    question: Expr = 2 * network(x)[0] - other(w) + 0.5
    compiled = compile_program([question])
    found = parts(compiled.program)
    assert [_names(p.program) for p in found] == [
        ["x", "z1", "y1", "z2", "y2", "z3", "y3", "out"],
        ["w", "a", "b"],
    ]
    assert sorted(np.concatenate([p.columns for p in found]).tolist()) == list(range(compiled.program.size))
    low, high = oracle.extremes(network, Box([-1, -1], [1, 1]))
    with Model(compiled, EnumerationBackend(), budget=0.0) as model:
        most = model.optimise(question, Sense.MAXIMIZE)
        least = model.optimise(question, Sense.MINIMIZE)
    assert most.bound == pytest.approx(2 * float(high[0]) + 0.5, abs=1e-4)
    assert least.bound == pytest.approx(2 * float(low[0]) - 3 + 0.5, abs=1e-4)
    assert most.inputs is not None
    assert question.value(most.inputs)[0] == pytest.approx(most.bound, abs=1e-4)


def test_parts_the_offset_of_the_objective_is_counted_once() -> None:
    program = Program.parse("maximize 1 x[0] + 2 y[0] + 5\n" + HEAD + "columns y\n  y[0] in [0, 1]\n")
    found = [p.program.objective for p in parts(program)]
    assert [(g.value.tolist(), g.offset) for g in found if g is not None] == [([1.0], 5.0), ([2.0], 0.0)]


def test_parts_constraint_over_two_inputs_joins_them() -> None:
    text = HEAD + "columns y\n  y[0] in [0, 1]\n"
    assert len(parts(Program.parse(text))) == 2
    joined = Program.parse(text + "rows both\n  0 <= 1 x[0] + 1 y[0] <= 1\n")
    assert len(parts(joined)) == 1
