"""The empirical-bound study on small networks, and the published study of regions from training to its page."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import regions_study
from benchmarks.nets import random_network
from benchmarks.published import regions_page
from benchmarks.published.regions import CONFIGURATIONS, Plan, Run, decoded, encoded, runs
from benchmarks.published.settings import Recipe, Shape
from benchmarks.published.training import Images
from reludsl.domain import Box, Domain
from reludsl.errors import InvalidInput, SolverFailed
from reludsl.network import Network
from reludsl.regions import Counting, Definition, RegionBounds, RegionCount, bounds
from reludsl.regions.study import StudyRow, study, summaries
from reludsl.testing.region_oracle import counts

SQUARE = Box([-1, -1], [1, 1])


def answer(method: Counting, count: int, lower: int, upper: int, **more: Any) -> RegionCount:
    return RegionCount(count, lower, upper, 0, Definition.ACTIVATION, 5, method, 2.0, **more)


def row(
    configuration: str, number: int, *found: RegionCount, first: int = 3, coefficients: int | None = 30
) -> StudyRow:
    known = RegionBounds(2, (first, 2), serra_2018=40, activation_based=coefficients, montufar_2017=49, two_to_n=64)
    return StudyRow(configuration, number, Definition.ACTIVATION, known, {one.method: one for one in found})


def told(exact: int, lower: int, upper: int) -> StudyRow:
    """Cells that did not end, and probes."""
    return row(
        "3,2", 0, answer(Counting.CELLS, lower, lower, upper, complete=False),
        answer(Counting.PROBE, exact, 2, 64, confidence=0.99, standard_error=3.0),
    )  # fmt: skip


class Oracle:
    """Counts exactly, by the oracle of the tests; probes are off by one."""

    def __init__(self) -> None:
        self.asked: list[tuple[Counting, float | None, bool]] = []

    def __call__(
        self, network: Network, domain: Domain, *, definition: Definition, method: Counting, time_limit: float | None,
        outputs_as_units: bool,
    ) -> RegionCount:  # fmt: skip
        self.asked.append((method, time_limit, outputs_as_units))
        found = counts(network, domain).activation
        if method is Counting.PROBE:
            return answer(method, found + 1, 1, 10**6, confidence=0.99, standard_error=1.5)
        return answer(method, found, found, found)


# --- the library's study ----------------------------------------------------------------------------------------------


def test_study_sets_bounds_estimate_and_exact_count_side_by_side() -> None:
    networks = {"3,2": [random_network(2, 3, 2, 1, seed=s) for s in (0, 1)], "2,3": [random_network(2, 2, 3, 1)]}
    oracle = Oracle()
    seen: list[StudyRow] = []
    found = study(networks, SQUARE, oracle, time_limit=7.0, on_row=seen.append)
    assert found == seen
    assert [(one.configuration, one.network) for one in found] == [("3,2", 0), ("3,2", 1), ("2,3", 0)]
    assert oracle.asked == [(method, 7.0, False) for method in (Counting.CELLS, Counting.PROBE)] * 3
    for one, net in zip(found, [*networks["3,2"], *networks["2,3"]]):
        exact = counts(net, SQUARE).activation
        assert (one.lower, one.count, one.upper, one.exact) == (exact, exact, exact, True)
        assert one.estimate is not None
        assert one.estimate.count == exact + 1
        assert one.bounds == bounds(net, domain=SQUARE)
        assert exact <= (one.coefficients or 0) <= (one.theorem_1 or 0)


def test_study_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="0 configurations and 2 methods"):
        study({}, SQUARE, Oracle())
    with pytest.raises(InvalidInput, match="1 configurations and 0 methods"):
        study({"1,1": []}, SQUARE, Oracle(), methods=[])


def test_outputs_as_units_are_bounded_and_counted() -> None:
    net, oracle = random_network(2, 2, 2, seed=0), Oracle()
    (found,) = study({"2": [net]}, SQUARE, oracle, methods=[Counting.CELLS], outputs_as_units=True)
    assert oracle.asked == [(Counting.CELLS, 60.0, True)]
    assert found.bounds.widths == (2, 2)


def test_count_that_did_not_end_takes_the_estimate_within_what_is_proved() -> None:
    assert [(told(n, 10, 40).count, told(n, 10, 40).exact) for n in (25, 4, 90)] == [
        (25, False),
        (10, False),
        (30, False),
    ]
    assert (told(25, 10, 40).lower, told(25, 10, 40).upper) == (10, 30)
    alone = row("3,2", 0, answer(Counting.CELLS, 12, 12, 40, complete=False))
    assert (alone.count, alone.estimate) == (12, None)


def test_lower_bound_with_a_confidence_proves_nothing() -> None:
    found = row("3,2", 0, answer(Counting.XOR, 20, 16, 40, confidence=0.99))
    assert (found.lower, found.count, found.upper) == (0, 20, 30)
    certain = row("3,2", 0, answer(Counting.XOR, 20, 16, 40))
    assert certain.lower == 16


def test_count_of_another_kind_proves_nothing() -> None:
    patterns = replace(answer(Counting.ONE_TREE, 25, 25, 25), definition=Definition.PATTERNS)
    found = row("3,2", 0, patterns, answer(Counting.CELLS, 20, 20, 20))
    assert (found.lower, found.upper) == (20, 20)


@pytest.mark.parametrize(
    "found",
    [
        [answer(Counting.CELLS, 20, 20, 20), answer(Counting.ONE_TREE, 21, 21, 21)],
        [answer(Counting.CELLS, 31, 31, 31)],
    ],
)
def test_contradictions_between_methods_and_bounds_are_errors(found: list[RegionCount]) -> None:
    with pytest.raises(SolverFailed, match="which no number is"):
        row("3,2", 0, *found)


def test_summary_is_of_the_networks_of_a_configuration_wherever_they_stand() -> None:
    exact = row("2,3", 0, answer(Counting.CELLS, 7, 7, 7), coefficients=None)
    first, other = summaries([told(25, 10, 40), exact, told(15, 10, 20)])
    assert (first.configuration, first.networks, first.exact, first.widths) == ("3,2", 2, 0, (3, 2))
    assert (first.least, first.mean, first.most, first.lower, first.upper) == (15, 20.0, 25, 10.0, 25.0)
    assert first.estimate == pytest.approx((20.0, np.sqrt(18) / 2))
    assert (first.theorem_1, first.coefficients) == (40, 30.0)
    assert (other.exact, other.estimate, other.coefficients) == (1, None, None)


def test_mean_beyond_the_floats_is_infinite() -> None:
    known = RegionBounds(2, (1,), two_to_n=2**1100)
    huge = StudyRow("big", 0, Definition.ACTIVATION, known, {})
    assert summaries([huge])[0].upper == np.inf


def test_study_is_drawn_with_bounds_estimates_and_what_is_open(need: Callable[[str], Any]) -> None:
    need("matplotlib").use("Agg")
    from reludsl.plot import plot_study

    rows = [told(25, 10, 40), row("2,3", 0, answer(Counting.CELLS, 7, 7, 7), coefficients=None)]
    axes = plot_study(rows)
    named = {entry.get_label(): entry.get_ydata().tolist() for entry in axes.lines}
    assert named["Theorem 1"] == [40.0, 40.0]
    assert named["coefficients (mean)"][0] == 30.0
    assert named["approximate: at least"] == [2.0]
    bars = {c.get_label(): [s[:, 1].tolist() for s in c.get_segments()] for c in axes.collections}
    assert bars["the mean lies between"] == [[10.0, 30.0]]
    assert bars["estimate, 2 standard errors"] == [[19.0, 31.0]]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["3,2", "2,3"]


# --- the published study ----------------------------------------------------------------------------------------------


def images(count: int, seed: int = 0) -> Images:
    rng = np.random.default_rng(seed)
    return Images(rng.random((count, 784)), rng.integers(0, 10, count))


class Fixed:
    """Says two regions for every network, exactly, and remembers how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, network: Network, domain: Domain, *, method: Counting, **_: Any) -> RegionCount:
        self.calls += 1
        if method is Counting.PROBE:
            return answer(method, 2, 1, 40, confidence=0.99, standard_error=0.5)
        return answer(method, 2, 2, 2, work={"tests": 3})


def plan(folder: Path, *shapes: str, seeds: tuple[int, ...] = (0,)) -> Plan:
    chosen = tuple(Shape.parse(shape) for shape in shapes)
    methods = (Counting.CELLS, Counting.PROBE)
    return Plan(chosen, seeds, Recipe(1, batch=20), methods, Definition.ACTIVATION, 5.0, False, folder)


def run(shape: str, first: int, accuracy: float, found: RegionCount) -> Run:
    return Run(accuracy, 3.0, row(shape, 0, found, first=first))


def test_configurations_are_the_21_that_share_22_units() -> None:
    assert [shape.name for shape in CONFIGURATIONS][::10] == ["1,21", "2x11", "21,1"]
    assert len(CONFIGURATIONS) == 21
    assert all(sum(shape.widths) == 22 and len(shape.sizes) == 4 for shape in CONFIGURATIONS)


def test_run_comes_back_from_json_as_it_was() -> None:
    found = Run(91.5, 2.5, told(25, 10, 40))
    again = decoded(json.loads(json.dumps(encoded(found))))
    assert again == found


@pytest.mark.usefixtures("torch")
def test_study_goes_on_where_it_was_and_counts_anew_what_is_asked_otherwise(tmp_path: Path) -> None:
    counter, asked = Fixed(), plan(tmp_path, "2,1", "1,2")
    steps = runs(asked, images(40), images(10, 1), counter, lambda _: None)
    first = next(steps)
    steps.close()
    assert counter.calls == 2
    both = list(runs(asked, images(40), images(10, 1), counter, lambda _: None))
    assert counter.calls == 4
    assert both[0] == first
    assert [one.row.configuration for one in both] == ["2,1", "1,2"]
    list(runs(replace(asked, time_limit=9.0), images(40), images(10, 1), counter, lambda _: None))
    assert counter.calls == 8


@pytest.mark.usefixtures("torch")
def test_whole_study_writes_page_data_and_pictures(need: Callable[[str], Any], tmp_path: Path) -> None:
    need("matplotlib")
    said: list[str] = []
    out, asked = tmp_path / "out", plan(tmp_path / "cache", "4,2", "2,4", seeds=(0, 1))
    found = regions_study.reproduce(asked, images(40), images(20, 1), out, Fixed(), said.append)
    text = (out / regions_page.PAGE).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (out / target).stat().st_size > 0
    held = json.loads((out / regions_page.DATA_FILE).read_text(encoding="utf-8"))
    assert [(one["configuration"], one["seed"]) for one in held["runs"]] == [
        (s, k) for s in ("4,2", "2,4") for k in (0, 1)
    ]
    assert "| 4,2 |" in text
    assert "2 of 2" in text
    assert regions_page.sentence(found) in " ".join(text.split())
    assert str(tmp_path) not in text
    assert sum("accuracy" in line for line in said) == 4


def test_sentence_says_range_share_of_theorem_1_and_correlation() -> None:
    found = [
        run("2,3", 2, 50.0, answer(Counting.CELLS, 4, 4, 4)),
        *(run(f"{n},3", n, 80.0 + n, answer(Counting.CELLS, 2 * n, 2 * n, 2 * n)) for n in (4, 5, 10)),
    ]
    said = regions_page.sentence(found)
    assert "Of 4 networks in 4 configurations, 4 counted exactly" in said
    assert "from 4 (2,3) to 20 (10,3); where all are counted it is 10 % to 50 % of Theorem 1" in said
    assert "by a factor of 1.33 (median)" in said
    r = np.corrcoef(np.log([8, 10, 20]), [84, 85, 90])[0, 1]
    assert "over widths 4 to 10 of layer 1, accuracy" in said
    assert f"have a correlation of {r:.2f} (3 networks, 3 counted exactly)." in said


def test_sentence_says_where_counts_did_not_end() -> None:
    ended = run("2,3", 2, 50.0, answer(Counting.CELLS, 4, 4, 4))
    alone = run("3,2", 3, 60.0, answer(Counting.CELLS, 12, 12, 40, complete=False))
    assert "from 4 (2,3) to at least 12 (3,2)" in regions_page.sentence([ended, alone])
    assert "from 4 (2,3) to about 25 (3,2)" in regions_page.sentence([ended, Run(60.0, 3.0, told(25, 10, 40))])


def test_correlation_of_constant_or_few_runs_is_none() -> None:
    same = [run("4,3", 4, 80.0 + k, answer(Counting.CELLS, 8, 8, 8)) for k in range(3)]
    assert regions_page.correlation(same) is None
    assert regions_page.correlation(same[:2]) is None


def test_command_asks_for_the_same_plan_again() -> None:
    words = ["--configurations", "4,18", "2x11", "--seeds", "3", "5", "--epochs", "2", "--methods", "one-tree", "xor"]
    words += ["--definition", "patterns", "--time-limit", "7", "--outputs-as-units", "--folder", "here"]
    asked = regions_study.plan_of(regions_study.parser().parse_args(words))
    again = regions_study.command(asked).split()[3:]
    assert regions_study.plan_of(regions_study.parser().parse_args([*again, "--folder", "here"])) == asked
    default = regions_study.plan_of(regions_study.parser().parse_args([]))
    assert (default.shapes, default.seeds) == (CONFIGURATIONS, tuple(range(10)))
    assert default.methods == (Counting.CELLS, Counting.PROBE)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--configurations", "4-18"], "write widths with commas"), (["--networks", "0"], "give 1 or more")],
)
def test_options_that_mean_nothing_are_refused(words: list[str], said: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        regions_study.main(words)
    assert said in capsys.readouterr().err


def test_missing_package_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert regions_study.main([]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "torch is not installed" in err
