"""Cases together are the condition; what a case puts into domains is no more than it says."""

from __future__ import annotations

import numpy as np
import pytest
from formulas import points_of, question, seeds, true_at
from hypothesis import given, settings

from reludsl.cases import MOST_CASES, MOST_RELATIONS, Case, cases
from reludsl.domain import Box, Polytope
from reludsl.expr import ball, box, polytope
from reludsl.functions import absolute
from reludsl.logic import all_of, any_of
from reludsl.replay import holds

X = box(0, 1, (2,), "x")
W = box(0, 1, (1,), "w")


def _the_case(case: Case) -> tuple[np.ndarray, np.ndarray]:
    (variable,) = case.inputs
    around = variable.domain.enclosure
    return around.lower, around.upper


@settings(max_examples=60)
@given(seeds())
def test_cases_together_are_the_condition(seed: int) -> None:
    where, a, b, pick = question(seed)
    condition = a & b
    found = cases(condition)
    for point in points_of(where, pick, 6):
        occurs = [not case.empty and true_at(case.condition, point) for case in found]
        assert any(occurs) == true_at(condition, point)
        assert not any(case.empty and true_at(case.condition, point) for case in found)


@settings(max_examples=60)
@given(seeds())
def test_narrowed_domains_and_goal_are_the_case(seed: int) -> None:
    where, a, b, pick = question(seed)
    points = points_of(where, pick, 6)
    for case in cases(a & b):
        for point in () if case.empty else points:
            moved = {new: point[old] for new, old in case.inputs.items()}
            assert holds(case.condition, point) == holds(case.goal & _inside(case), moved)
            if true_at(case.condition, point):
                for new, x in moved.items():
                    assert new.domain.contains(x[None])[0]
                    assert case.original({new: x})[case.inputs[new]].tolist() == x.tolist()


def _inside(case: Case) -> object:
    """Nothing to satisfy, over every input of the case: `holds` looks at the domains of what is mentioned."""
    from reludsl.expr import Expr

    return all_of(Expr.of(v) * 0.0 <= 0.0 for v in case.inputs)


def test_bounds_on_coordinates_narrow_a_box() -> None:
    (case,) = cases((X[0] <= 0.75) & (X[0] >= 0.25) & (X[1] >= 0.5) & (X[0] <= 0.875))
    low, high = _the_case(case)
    assert (low.tolist(), high.tolist()) == ([0.25, 0.5], [0.75, 1.0])
    assert not list(case.goal.atoms)


@pytest.mark.parametrize("a", [3.0, -3.0, 0.1, -1e-3, 1e100, 7.0])
def test_coefficients_that_are_not_one_keep_every_point_of_the_edge(a: float) -> None:
    edge = 0.3
    (case,) = cases(a * X[0] <= a * edge)
    low, high = _the_case(case)
    inside = np.array([float(np.nextafter(edge, d)) for d in (0, 1)] + [edge])
    for x in inside.tolist():
        if holds(a * X[0] <= a * edge, {X.variable: np.array([x, 0.0])}):
            assert low[0] <= x <= high[0]
    # what the rounded bound does not say stays a condition
    assert len(list(case.goal.atoms)) == 1


@pytest.mark.parametrize(
    "condition",
    [
        X[0] > 1,
        ~(X[0] <= 1),
        (X[0] < 0.5) & (X[0] >= 0.5),
        (X[1] > 0.5) & (X[1] < 0.5),
        (X[0] <= 0.25) & (X[0] >= 0.5),
        (X[0] >= 2) & (X[1] <= 0.5),
        0 * X[0] + 1 <= 0,
        0 * X[0] < 0,
        3 * X[0] > 3.5,
    ],
)
def test_contradictory_bounds_have_no_room(condition: object) -> None:
    assert [case.empty for case in cases(condition)] == [True]  # type: ignore[arg-type]


@pytest.mark.parametrize("condition", [X[0] >= 1, X[0] < 0.5, 0 * X[0] <= 0, (X[0] <= 0.5) & (X[0] >= 0.5)])
def test_edges_have_room(condition: object) -> None:
    assert [case.empty for case in cases(condition)] == [False]  # type: ignore[arg-type]


def test_relations_make_a_polytope_and_strict_ones_stay() -> None:
    (closed,) = cases((X[0] + X[1] <= 1) & (X[0] - X[1] <= 0.5))
    (variable,) = closed.inputs
    assert isinstance(variable.domain, Polytope)
    assert not list(closed.goal.atoms)
    (open_,) = cases(X[0] + X[1] < 1)
    (variable,) = open_.inputs
    assert isinstance(variable.domain, Box)
    assert len(list(open_.goal.atoms)) == 1


def test_contradictory_relations_stay_conditions() -> None:
    (case,) = cases((X[0] + X[1] <= 0.5) & (X[0] + X[1] >= 0.625))
    assert not case.empty
    assert len(list(case.goal.atoms)) == 2


@pytest.mark.parametrize("scale", [1e-310, 1e150, 1e200])
def test_relations_with_extreme_coefficients_are_no_error(scale: float) -> None:
    relation = scale * X[0] + scale * X[1] <= scale
    (case,) = cases(relation)
    for point in ([0.25, 0.25], [0.75, 0.5], [0.5, 0.5]):
        (variable,) = case.inputs
        x = np.array(point)
        inside = variable.domain.contains(x[None])[0] and holds(case.goal & _inside(case), {variable: x})
        assert inside == holds(relation, {X.variable: x})


def test_many_relations_stay_conditions() -> None:
    rows = all_of(X[0] + k * X[1] <= 2 + k for k in range(1, MOST_RELATIONS + 2))
    (case,) = cases(rows)
    assert sum(len(a) for a in case.goal.atoms) == MOST_RELATIONS + 1


def test_domains_that_are_no_boxes_are_left_alone() -> None:
    for point in (polytope([[1.0, 1.0]], [1.0], Box([0, 0], [1, 1])), ball([0.5, 0.5], 0.5)):
        (case,) = cases(point[0] <= 0.25)
        (variable,) = case.inputs
        assert (variable is point.variable) == isinstance(point.domain, Polytope)


def test_points_of_a_narrowed_ball_are_moved_into_the_ball() -> None:
    point = ball([0.1, 0.1], 0.2)
    (case,) = cases(point[0] <= 0.15)
    (variable,) = case.inputs
    corner = variable.domain.enclosure.upper
    assert not point.domain.contains(np.array([[0.15, corner[1]]]))[0]
    assert point.domain.contains(case.original({variable: corner})[point.variable][None])[0]


def test_equal_narrowings_share_their_input() -> None:
    found = cases((X[0] <= 0.5) & any_of(absolute(X[1] - 0.5) >= 0.25, absolute(X[1] - 0.5) <= 0.125))
    (first,), (second,) = (tuple(case.inputs) for case in found)
    assert first is second


def test_alternatives_are_multiplied_out_while_they_are_few() -> None:
    three = any_of(absolute(X[0]) <= k / 8 for k in range(3))
    assert len(cases(three & three)) == 9
    many = any_of(absolute(X[0]) <= k / 100 for k in range(MOST_CASES))
    assert len(cases(many & three)) == MOST_CASES
    assert len(cases(~(X >= 0.5))) == 2


def test_alternatives_may_leave_inputs_out() -> None:
    found = cases((X[0] >= 0.5) | (W[0] >= 0.5))
    assert [[v.name for v in case.inputs] for case in found] == [["x"], ["w"]]
