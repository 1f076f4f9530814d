"""A condition as a program: the largest slack is the exact one, in every formulation, and the size stays linear."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from formulas import greatest, question, satisfiable, seeds
from hypothesis import assume, given, settings
from solvers import solver

from reludsl.backend import Backend, Sense
from reludsl.blocks import Disjunctions, activity
from reludsl.conditions import DEEPEST
from reludsl.errors import InvalidInput
from reludsl.expr import Expr, SlackVariable, box
from reludsl.formulate import Compiled, compile_program
from reludsl.functions import absolute
from reludsl.layers import Affine, relu
from reludsl.logic import Condition, any_of
from reludsl.network import Network
from reludsl.passes import Formulation, dependencies
from reludsl.program import Program
from reludsl.solve import Model
from reludsl.testing import EnumerationBackend

NET = Network.chain(
    [Affine(np.array([[1.0, 0.5], [-1.0, 1.0]]), np.array([0.0, 0.25])), relu, Affine(np.eye(2), np.zeros(2))], (2,)
)
FORMS = [Formulation.parse(name) for name in ("big-m", "published", "hull", "partition:2", "cuts")]
X = box(-1, 1, (2,), "x")
Y = NET(X)


def _compiled(condition: Condition) -> tuple[Compiled, Expr]:
    slack = Expr.of(SlackVariable(condition))
    return compile_program([slack]), slack


def _largest(compiled: Compiled, slack: Expr, backend: Backend, form: Formulation, relax: bool = False) -> float:
    with Model(compiled, backend, formulation=form) as model:
        return model.optimise(slack, Sense.MAXIMIZE, relax=relax).bound


@settings(max_examples=12)
@given(seeds())
def test_largest_slack_of_random_formulas_is_the_exact_one_by_enumeration(seed: int) -> None:
    _, condition, _, _ = question(seed, units=2, depth=2)
    compiled, slack = _compiled(condition)
    assume(compiled.program.disjunction_count + compiled.program.integers <= 7)
    truth = greatest(condition)
    bound = _largest(compiled, slack, EnumerationBackend(), Formulation.BIG_M)
    assert Fraction(bound) >= truth
    assert bound == pytest.approx(float(truth), abs=1e-3)


@settings(max_examples=20)
@given(seeds())
def test_largest_slack_of_random_formulas_is_the_exact_one_in_every_formulation(seed: int) -> None:
    _, condition, _, _ = question(seed, units=3, depth=3)
    truth = greatest(condition)
    compiled, slack = _compiled(condition)
    before = str(compiled.program)
    for form in FORMS:
        bound = _largest(compiled, slack, solver("highs"), form)
        assert Fraction(bound) >= truth, form
        assert bound == pytest.approx(float(truth), abs=1e-3), form
        assert Fraction(_largest(compiled, slack, solver("highs"), form, relax=True)) >= truth, form
    assert str(compiled.program) == before


@settings(max_examples=15)
@given(seeds())
def test_condition_that_must_hold_restricts_the_slack_of_another(seed: int) -> None:
    _, condition, must, _ = question(seed, units=2, depth=1)
    assume(satisfiable(must))
    slack = Expr.of(SlackVariable(condition))
    compiled = compile_program([slack], given=must)
    bound = _largest(compiled, slack, solver("highs"), Formulation.BIG_M)
    # where both hold the slack of the second is at most what the program allows
    for step in (0.0, 0.25):
        if bound < -step - 1e-3:
            assert not satisfiable(must & (condition if step == 0 else _looser(condition, step)))


def _looser(condition: Condition, by: float) -> Condition:
    from reludsl.logic import shifted

    return shifted(condition, -by)


def _nested(depth: int) -> Condition:
    found: Condition = Y[0] >= 0.5
    for k in range(depth):
        found = (Y[1] <= k / 64) | ((Y[0] - Y[1] <= 0.25) & found)
    return found


def test_size_grows_linearly_with_nesting_and_with_breadth() -> None:
    sizes = []
    for depth in (4, 8, 16):
        program = _compiled(_nested(depth))[0].program
        sizes.append((program.integers, program.disjunction_count, program.row_count, program.nonzeros))
    for a, b, c in zip(*sizes):
        assert c - b == 2 * (b - a)
    # a product of alternations would have 2^10 branches
    wide = _nested(1)
    for k in range(9):
        wide &= (Y[0] <= k / 8) | (Y[1] >= k / 8)
    program = _compiled(wide)[0].program
    assert sum(group.branches.size - 1 for group in program.disjunctions) <= 2 * 10 + 4


def test_alternations_deeper_than_anyone_writes_are_refused() -> None:
    with pytest.raises(InvalidInput, match=f"more than {DEEPEST} deep"):
        _compiled(_nested(DEEPEST + 1))


def test_empty_vectors_and_duplicates_cost_nothing_but_rows() -> None:
    once = _compiled(Y[0] <= 1)[0].program
    many = _compiled((Y[0] <= 1) & (Y[0] <= 1) & (Y[:0] <= 0))[0].program
    assert (many.integers, many.disjunction_count) == (once.integers, once.disjunction_count)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_nested_alternation_whose_outer_one_is_settled_keeps_its_slack(form: Formulation) -> None:
    """The outer alternation loses its first branch to bounds, and with it its word that it defines the slack."""
    condition = (Y[0] <= 1) & ((Y[0] + Y[1] <= -100) | ((Y[1] <= 0.5) & ((Y[0] >= 0.75) | (Y[1] >= 0.25))))
    compiled, slack = _compiled(condition)
    assert _largest(compiled, slack, solver("highs"), form) == pytest.approx(float(greatest(condition)), abs=1e-4)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_program_is_the_same_after_it_was_solved(form: Formulation) -> None:
    """Rows whose columns are out of order were sorted by scipy behind the back of others that shared their data."""
    # products of sparse matrices have their columns in any order
    mixed = np.array([[1.0, 2.0], [-2.0, 1.0]]) @ (np.array([[0.0, 1.0], [1.0, 1.0]]) @ X) + 0.5 * Y
    condition = any_of(absolute(Y[0]) >= 0.5, mixed <= 0.25) & any_of(mixed >= -0.5, Y[1] >= mixed[0])
    compiled, slack = _compiled(condition)
    before, truth = str(compiled.program), float(greatest(condition))
    for _ in range(2):
        assert _largest(compiled, slack, solver("highs"), form) == pytest.approx(truth, abs=1e-4)
        assert str(compiled.program) == before


def test_blocks_keep_their_columns_in_order() -> None:
    from scipy import sparse

    matrix = sparse.csr_array((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 1]), np.array([0, 3])), shape=(1, 3))
    one, none = np.ones(1), np.full(1, -1)
    group = Disjunctions("g", matrix, -one, one, -9 * one, 9 * one, np.array([0, 1]), np.array([0, 1]), none)
    program = Program(
        Program.parse("columns x\n x[0] in [0, 1]\n x[1] in [0, 1]\n x[2] in [0, 1]").columns, (), (group,)
    )
    before = str(program)
    part = dependencies(program, np.array([0])).program
    activity(part.disjunctions[0].matrix, part.lower, part.upper)
    assert str(program) == before
    assert program.disjunctions[0].matrix.toarray().tolist() == [[2.0, 3.0, 1.0]]
    # the caller's own matrix is left alone
    assert matrix.data.tolist() == [1.0, 2.0, 3.0]
