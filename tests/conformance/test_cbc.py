"""The laws of reludsl.testing, asked of the cbc backend; below them, what only CBC does."""

import itertools
import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reludsl_cbc
from reludsl_cbc.events import NodeEvents
from reludsl_cbc.lazy import Endless, Incumbents, LazyRows
from reludsl_cbc.model import CbcModel
from solvers import solver

from reludsl import plugins
from reludsl.backend import FloatArray, InvalidInput, Limits, PointKind, Reply, Rows, Silence, Status
from reludsl.testing import conformance
from reludsl.testing.cases import at_most, case, knapsack, opened
from reludsl.testing.descriptors import caught

test_conformance = conformance(reludsl_cbc.backend)
test_conformance_lazy = conformance(reludsl_cbc.backend.variant("lazy"))

BACKEND = reludsl_cbc.backend
LAZY = BACKEND.variant("lazy")


def _silent(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
    del kind, x, value, bound
    return None


def test_node_events_untranslated_sub_problem_is_noted() -> None:
    events = NodeEvents(_silent, lambda x: 0.0, 0.0, BACKEND.capabilities)
    model: Any = SimpleNamespace(model=SimpleNamespace(cuts_generator=None), columns=["x0"])
    events.attach(None, model, Silence())
    events.generate_constrs(SimpleNamespace(translate=lambda columns: [None for _ in columns]))
    assert events.untranslated
    assert not events.stopped


def test_lazy_rows_untranslated_sub_problem_is_noted() -> None:
    asked: list[FloatArray] = []
    rows = LazyRows(asked.append)
    model: Any = SimpleNamespace(model=SimpleNamespace(solver=SimpleNamespace(_model=None)), columns=["x0"])
    told: list[tuple[Any, ...]] = []
    mip: Any = SimpleNamespace(cbc=SimpleNamespace(cbclib=SimpleNamespace(Cbc_setIntParam=lambda *a: told.append(a))))
    rows.attach(mip, model)
    rows.generate_constrs(SimpleNamespace(translate=lambda columns: [None for _ in columns]))
    assert told == [(None, 2, 0)], "strong branching is off"
    assert model.model.lazy_constrs_generator is rows
    assert rows.untranslated
    assert asked == []


def test_lazy_rows_exception_in_the_callback_is_kept_for_later() -> None:
    def ask(x: FloatArray) -> Rows:
        raise ZeroDivisionError

    rows = LazyRows(ask)
    rows._columns = ["x0"]
    rows.generate_constrs(SimpleNamespace(translate=lambda columns: [SimpleNamespace(x=1.0)]))
    with pytest.raises(ZeroDivisionError):
        rows.raise_stored()


def test_lazy_incumbents_point_that_comes_back_for_ever_ends_the_run() -> None:
    shown = Incumbents(_silent, LAZY.capabilities, knapsack(4).matrix, lambda x: 0.0, 1.0)
    with pytest.raises(Endless):
        any(map(shown, itertools.repeat(np.zeros(4), 1000)))


def test_lazy_solve_with_rows_never_proves() -> None:
    solver("cbc")
    problem = knapsack(11)
    row = at_most([1.0] * 11, 2.0)
    with opened(LAZY, problem) as session:
        result = session.solve(on_point=lambda kind, x, value, bound: row if x.sum() > 2.5 else None)
        nothing = session.solve(on_point=lambda kind, x, value, bound: at_most([0.0] * 10 + [1.0], -1.0))
        plain = session.solve(on_point=_silent)
    assert result.status is Status.STOPPED
    assert result.bound is None
    assert "nothing is proved" in result.note
    assert nothing.status is Status.STOPPED
    assert nothing.x is None
    assert plain.status is Status.OPTIMAL
    assert plain.bound == pytest.approx(plain.objective)


def test_lazy_end_that_was_never_shown_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    solver("cbc")
    monkeypatch.setattr(Incumbents, "_is_point", lambda self, x: False)
    with opened(LAZY, knapsack(11)) as session:
        result = session.solve(on_point=_silent)
    assert not result.trusted
    assert result.bound is None


def test_variant_lazy_loads_and_another_one_is_refused() -> None:
    solver("cbc")
    assert plugins.load("cbc:lazy").name == "cbc:lazy"
    with pytest.raises(InvalidInput, match="cbc:lazy"):
        BACKEND.variant("eager")


def test_node_events_printing_in_on_point_reaches_the_terminal() -> None:
    solver("cbc")

    def on_point(kind: PointKind, x: FloatArray, value: float, bound: float) -> Reply:
        del kind, x, value, bound
        os.write(1, b"mine\n")
        return None

    with caught() as output, opened(BACKEND, knapsack(11)) as session:
        session.solve(on_point=on_point)
    assert set(output.text.split()) == {"mine"}


def _fail_in_silence() -> None:
    with Silence():
        os.write(1, b"hidden\n")
        raise ZeroDivisionError


def test_silence_error_inside_restores_the_descriptors() -> None:
    with caught() as output:
        with pytest.raises(ZeroDivisionError):
            _fail_in_silence()
        os.write(1, b"shown\n")
    assert output.text == "shown\n"


def test_integer_column_upper_bound_one_half_is_zero() -> None:
    solver("cbc")
    with opened(BACKEND, case([], [], [], [0], [0.5], True, [-1])) as session:
        result = session.solve()
        relaxed = session.solve(relax=True)
    assert result.objective == 0.0
    assert relaxed.objective == pytest.approx(-0.5)


def test_start_partial_is_completed_not_filled_with_zeros() -> None:
    solver("cbc")
    problem = case([[1, 1]], [3], [4], [0, 0], [3, 3], True, [1, 2])
    with opened(BACKEND, problem) as session:
        result = session.solve(start=np.array([0.0, np.nan]))
    assert result.status is Status.OPTIMAL
    assert result.objective == pytest.approx(3.0)
    assert "dropped" not in result.note


def test_options_that_are_no_number_are_refused() -> None:
    solver("cbc")
    with pytest.raises(InvalidInput, match="give a number"):
        BACKEND.open(knapsack(4).matrix, Limits(options={"cuts": "off"}))


def test_increment_that_cannot_be_dropped_widens_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    solver("cbc")
    problem = knapsack(8)
    with opened(BACKEND, problem) as session:
        plain = session.solve().bound
    monkeypatch.setattr(CbcModel, "_drop_increment", lambda self: 1e-5)
    with opened(BACKEND, problem) as session:
        widened = session.solve().bound
    assert plain is not None
    assert widened == pytest.approx(plain + 1e-5, abs=1e-9)
