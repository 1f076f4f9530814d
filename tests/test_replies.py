"""Replies of `on_point`, sorted and refused in one place for every backend; the arithmetic of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reludsl.backend import Answered, Capability, InvalidInput, Rows, Stop, Suggestion, UnsupportedCapability, answered
from reludsl.testing.cases import INF, at_most, rows

BOTH = Capability.LAZY_ROWS | Capability.SUGGEST


def _sorted(reply: Any, capabilities: Capability = BOTH) -> Answered:
    return answered(reply, "mine", capabilities, 2)


def test_answered_nothing_and_stop_need_no_capability() -> None:
    assert _sorted(None, Capability(0)) == Answered()
    assert _sorted((), Capability(0)) == Answered()
    assert _sorted(Stop(), Capability(0)) == Answered(stop=True)


def test_answered_tuple_is_sorted_in_order() -> None:
    first, second, point = at_most([1, 0], 1), at_most([0, 1], 1), Suggestion(np.zeros(2))
    told = _sorted((first, point, second))
    assert told.rows == (first, second)
    assert len(told.suggestions) == 1
    assert told.suggestions[0] is point.x


@pytest.mark.parametrize("wrap", [lambda part: part, lambda part: (part,)])
def test_answered_lacking_capability_is_refused_by_its_name(wrap: Any) -> None:
    with pytest.raises(UnsupportedCapability, match=r"mine does not offer LAZY_ROWS.*add_rows"):
        _sorted(wrap(at_most([1, 0], 1)), Capability.SUGGEST)
    with pytest.raises(UnsupportedCapability, match=r"mine does not offer SUGGEST.*start"):
        _sorted(wrap(Suggestion(np.zeros(2))), Capability.LAZY_ROWS)


@pytest.mark.parametrize("reply", [True, "stop", [None], (None,), (Stop(),), np.zeros(2)])
def test_answered_what_is_no_reply_is_refused(reply: object) -> None:
    with pytest.raises(InvalidInput, match="no reply"):
        _sorted(reply)


@pytest.mark.parametrize("reply", [at_most([1, 0, 0], 1), Suggestion(np.zeros(3)), Suggestion(np.zeros((2, 2)))])
def test_answered_other_columns_are_refused_with_both_numbers(reply: Rows | Suggestion) -> None:
    with pytest.raises(InvalidInput, match="the program has 2"):
        _sorted(reply)


def test_rows_violation_is_relative_and_negative_inside() -> None:
    block = rows([[1, 1], [100, -100], [0, 0]], [-INF, 0, -INF], [1, 0, INF])
    outside = block.violation(np.array([2.0, 1.0]))
    assert outside[0] == pytest.approx(2.0 / 4.0)
    assert outside[1] == pytest.approx(100.0 / 301.0)
    assert outside[2] == -INF
    assert (block.violation(np.array([0.25, 0.25])) <= 0).all()


def test_rows_followed_by_copies_both() -> None:
    first, second = at_most([1, 0], 1), at_most([0, 1], 2)
    both = first.followed_by(second)
    first.upper[0] = second.upper[0] = 7.0
    assert both.upper.tolist() == [1.0, 2.0]
    assert both.matrix.toarray().tolist() == [[1.0, 0.0], [0.0, 1.0]]
