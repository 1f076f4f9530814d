"""Programs as MPS and LP files: two readers by other hands find the same optimum as our backends."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse
from solvers import solver

from reludsl.backend import FloatArray, Limits, Sense
from reludsl.errors import FileProblem, InvalidInput
from reludsl.expr import Expr, box
from reludsl.formulate import compile_program
from reludsl.io import write_lp, write_mps
from reludsl.io.lp import lp_text
from reludsl.io.mps import mps_text
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network
from reludsl.passes import Formulation, lower
from reludsl.program import Columns, Objective, Program, RowBlock

Write = Callable[[Program, Path], None]
WRITERS: dict[str, Write] = {"mps": write_mps, "lp": write_lp}
each_format = pytest.mark.parametrize("suffix", list(WRITERS))


def network(*widths: int, seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for before, after in zip(widths, widths[1:]):  # noqa: RUF007
        layers += [Affine(rng.normal(size=(after, before)) / np.sqrt(before), rng.normal(size=after) / 4), relu]
    return Network.chain(layers[:-1], (widths[0],))


def question(net: Network, output: int, sense: Sense, form: Formulation = Formulation.BIG_M) -> Program:
    """max or min of an output over a cube, lowered."""
    y: Expr = net(box(-1, 1, (net.input_size,)))
    lowered = lower(compile_program([y]).program, form, 0.0)
    trace, where = lowered.original, compile_program([y]).program.where(net.output)
    row = trace.matrix[[where.start + output]]
    goal = Objective(row.indices.astype(np.int64), row.data, sense, float(trace.offset[where.start + output]))
    return lowered.with_objective(goal)


def ours(program: Program) -> float:
    goal = program.objective
    assert goal is not None
    session = solver("highs").open(program.matrix(), Limits())
    session.set_cost(goal.index, goal.value, goal.sense, goal.offset)
    result = session.solve()
    session.close()
    assert result.objective is not None
    return result.objective


def by_highs(place: Path, highspy: Any) -> Any:
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    assert solver.readModel(str(place)) == highspy.HighsStatus.kOk
    return solver


def by_mip(place: Path, mip: Any) -> Any:
    model = mip.Model(solver_name=mip.CBC)
    model.verbose = 0
    model.read(str(place))
    return model


@each_format
@pytest.mark.parametrize("sense", list(Sense))
@pytest.mark.parametrize("form", [Formulation.BIG_M, Formulation.PUBLISHED])
def test_other_readers_find_the_same_optimum(
    suffix: str, sense: Sense, form: Formulation, tmp_path: Path, need: Callable[[str], Any]
) -> None:
    highspy, mip = need("highspy"), need("mip")
    program = question(network(3, 6, 5, 2), 1, sense, form)
    assert program.objective is not None
    expected = ours(program)
    place = tmp_path / f"question.{suffix}"
    WRITERS[suffix](program, place)
    read = by_highs(place, highspy)
    read.run()
    assert read.getInfo().objective_function_value == pytest.approx(expected, abs=1e-6)
    model = by_mip(place, mip)
    model.optimize()
    # python-mip drops the constant of an objective that it reads, from either format
    assert model.objective_value + program.objective.offset == pytest.approx(expected, abs=1e-6)


def awkward() -> Program:
    """Rows of every kind, among them spans that do not come out in float64; names that no format takes."""
    columns = (
        Columns("relu.on", np.array([0.0, -3.0]), np.array([1.0, 2.5]), np.array([True, True])),
        Columns("e1/2", np.array([-0.1, 1 / 3, -7.0]), np.array([0.7, 1e5, -2.0]), np.zeros(3, dtype=np.bool_)),
    )
    matrix = np.array(
        [[1, 0, 2.5, 0, 0], [0, 1 / 3, 0, 1, 0], [0, 0, 0, 1e-7, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    )
    low = np.array([0.1, -np.inf, -1e9 / 7, 0.3, 0.0, -np.inf])
    high = np.array([1.0, 7.25, np.inf, 0.3, 0.5, np.inf])
    second = np.array([[1.0, 1.0, 0, 0, 0], [0, 1.0, 0, 0, 0]])
    rows = (
        RowBlock("r", sparse.csr_array(matrix), low, high, np.full(6, -1)),
        RowBlock("r!", sparse.csr_array(second), np.array([-1e-9, -1.0]), np.array([1e9, 2.0]), np.full(2, -1)),
    )
    goal = Objective(np.array([0, 3, 4, 3]), np.array([1.5, -0.1, 2.0, -0.2]), Sense.MAXIMIZE, -12.75)
    return Program(columns, rows, objective=goal)


@each_format
def test_every_number_is_read_as_it_was(suffix: str, tmp_path: Path, need: Callable[[str], Any]) -> None:
    program = awkward()
    WRITERS[suffix](program, tmp_path / f"a.{suffix}")
    lp = by_highs(tmp_path / f"a.{suffix}", need("highspy")).getLp()
    assert list(lp.col_names_) == ["relu_on_0", "relu_on_1", "n_e1_2_0", "n_e1_2_1", "n_e1_2_2"]
    np.testing.assert_array_equal(lp.col_lower_, program.lower)
    np.testing.assert_array_equal(lp.col_upper_, program.upper)
    assert [str(kind).endswith("kInteger") for kind in lp.integrality_] == program.integer.tolist()
    np.testing.assert_array_equal(np.array(lp.col_cost_), [1.5, 0.0, 0.0, -0.1 + -0.2, 2.0])
    assert (lp.offset_, str(lp.sense_).endswith("kMaximize")) == (-12.75, True)
    matrix = program.matrix()
    stated: dict[str, tuple[float, float]] = {}
    for k, name in enumerate(lp.row_names_):
        base = name.removesuffix("_low")
        low, high = stated.get(base, (-np.inf, np.inf))
        stated[base] = max(low, lp.row_lower_[k]), min(high, lp.row_upper_[k])
    kept = np.flatnonzero(np.isfinite(matrix.row_lower) | np.isfinite(matrix.row_upper)).tolist()
    assert list(stated.values()) == [(matrix.row_lower[k], matrix.row_upper[k]) for k in kept]


@each_format
def test_columns_that_nothing_uses_are_kept(suffix: str, tmp_path: Path, need: Callable[[str], Any]) -> None:
    columns = (Columns("x", np.array([-1.0, 2.0]), np.array([1.0, 3.0]), np.array([False, True])),)
    for objective in (None, Objective(np.array([0]), np.array([0.0]), Sense.MINIMIZE, 4.0)):
        WRITERS[suffix](Program(columns, objective=objective), tmp_path / f"a.{suffix}")
        solver = by_highs(tmp_path / f"a.{suffix}", need("highspy"))
        assert solver.getLp().num_col_ == 2
        solver.run()
        assert solver.getInfo().objective_function_value == (4.0 if objective else 0.0)


NUMBERS = st.floats(-1e6, 1e6).filter(lambda v: v == 0 or abs(v) > 1e-6)


@each_format
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_rows_are_read_as_they_were(
    suffix: str, data: st.DataObject, tmp_path: Path, need: Callable[[str], Any]
) -> None:
    n, m = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))

    def draw(size: int) -> FloatArray:
        return np.array(data.draw(st.lists(NUMBERS, min_size=size, max_size=size)))

    ends, sides = np.sort(draw(2 * n).reshape(2, n), axis=0), np.sort(draw(2 * m).reshape(2, m), axis=0)
    columns = (Columns("x", ends[0], ends[1], np.zeros(n, dtype=np.bool_)),)
    rows = (RowBlock("r", sparse.csr_array(draw(m * n).reshape(m, n)), sides[0], sides[1], np.full(m, -1)),)
    WRITERS[suffix](Program(columns, rows), tmp_path / f"a.{suffix}")
    lp = by_highs(tmp_path / f"a.{suffix}", need("highspy")).getLp()
    np.testing.assert_array_equal([lp.col_lower_, lp.col_upper_], ends)
    for side, stated in ((0, np.array(lp.row_lower_)), (1, np.array(lp.row_upper_))):
        assert set(sides[side].tolist()) == set(stated[np.isfinite(stated)].tolist())


@each_format
def test_wide_network_is_written_in_a_second(suffix: str, tmp_path: Path) -> None:
    program = question(network(784, 256, 256, 10), 0, Sense.MAXIMIZE)
    assert program.nonzeros > 200_000
    start = time.process_time()
    WRITERS[suffix](program, tmp_path / f"a.{suffix}")
    assert time.process_time() - start < 3
    assert max(map(len, (tmp_path / f"a.{suffix}").read_text().splitlines())) < 255


@each_format
def test_writing_is_whole_or_not_at_all(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(FileProblem, match="create the folder first"):
        WRITERS[suffix](awkward(), tmp_path / "no" / f"a.{suffix}")
    y = network(2, 3, 1)(box(-1, 1, (2,)))
    with pytest.raises(InvalidInput, match="disjunctions"):
        WRITERS[suffix](compile_program([y]).program, tmp_path / f"a.{suffix}")
    with pytest.raises(InvalidInput, match="no columns"):
        WRITERS[suffix](Program(()), tmp_path / f"a.{suffix}")
    with pytest.raises(InvalidInput, match="a binary switches on"):
        WRITERS[suffix](lower(compile_program([y]).program, Formulation.INDICATOR), tmp_path / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_packed_file_holds_the_text(tmp_path: Path) -> None:
    write_mps(awkward(), tmp_path / "a.mps.gz")
    write_lp(awkward(), tmp_path / "a.lp.gz")
    assert gzip.decompress((tmp_path / "a.mps.gz").read_bytes()).decode() == mps_text(awkward())
    assert gzip.decompress((tmp_path / "a.lp.gz").read_bytes()).decode() == lp_text(awkward())
