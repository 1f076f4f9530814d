"""Pictures: the drawn numbers are those of the result."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reludsl.domain import Box, Norm
from reludsl.errors import MissingBackend
from reludsl.plot import plot_local_stability
from reludsl.stability import LocalStability, Standing

ACTIVE, INACTIVE, UNSTABLE, UNKNOWN = Standing


@pytest.fixture
def agg(need: Callable[[str], Any]) -> None:
    need("matplotlib").use("Agg")


def result(radii: list[float], local: Any, everywhere: list[Standing]) -> LocalStability:
    shaped = np.array(local)
    points = np.zeros((shaped.shape[1], 1))
    return LocalStability(points, np.array(radii), shaped, np.array(everywhere), Norm.LINF, Box([0.0], [1.0]), 0.0)


def example(last: Standing = UNSTABLE) -> LocalStability:
    local = [[[ACTIVE, INACTIVE], [ACTIVE, UNSTABLE]], [[UNSTABLE, INACTIVE], [UNSTABLE, UNSTABLE]]]
    return result([0.1, 0.4], local, [UNSTABLE, last])


@pytest.mark.usefixtures("agg")
def test_lines_are_mean_shares_and_dashes_are_the_whole_box() -> None:
    axes = plot_local_stability(example())
    lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert {name: line.get_ydata().tolist() for name, line in lines.items()} == {
        "stably active": [0.5, 0.0],
        "stably inactive": [0.25, 0.25],
        "unstable": [0.25, 0.75],
    }
    assert all(line.get_xdata().tolist() == [0.1, 0.4] for line in lines.values())
    dashes = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert dashes == [0.0, 0.0, 1.0]
    assert axes.get_xscale() == "log"


@pytest.mark.usefixtures("agg")
def test_bands_reach_from_the_least_to_the_most_share_of_a_point() -> None:
    axes = plot_local_stability(example())
    band = axes.collections[list(Standing).index(UNSTABLE)].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.0, 1.0)


@pytest.mark.usefixtures("agg")
def test_unknown_neurons_have_a_line_where_there_are_any() -> None:
    labels = [text.get_text() for text in plot_local_stability(example(UNKNOWN)).get_legend().get_texts()]
    assert labels == ["stably active", "stably inactive", "unstable", "unknown"]


@pytest.mark.usefixtures("agg")
def test_radius_zero_is_drawn(tmp_path: Path) -> None:
    axes = plot_local_stability(result([0.0, 0.5], [[[ACTIVE]], [[UNSTABLE]]], [UNSTABLE]))
    assert axes.get_xscale() == "symlog"
    axes.figure.savefig(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 0


@pytest.mark.usefixtures("agg")
def test_given_axes_are_drawn_on() -> None:
    from matplotlib.figure import Figure

    axes = Figure().add_subplot()
    assert plot_local_stability(example(), axes) is axes
    assert len(axes.lines) == 6


def test_missing_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingBackend, match=r"nothing can be drawn; pip install 'reludsl\[plot\]'"):
        plot_local_stability(example())
