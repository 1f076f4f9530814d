"""The command region-bounds: its keys, its table, its one-line errors."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, answer, refused
from exact_cells import chain

from reludsl.data import path as packaged
from reludsl.io import read, write
from reludsl.layers import Affine, Sum, absolute, maxout, relu
from reludsl.network import INPUT, Network, Node
from reludsl.regions.bounds import bounds, serra_2018

DIGITS = packaged("digits.onnx")
OF_WIDTHS = {
    "zaslavsky_shallow", "montufar_2014_lower", "montufar_2017", "serra_2018", "serra_2018_lower", "hinz_van_de_geer",
    "two_to_n",
}  # fmt: skip
OF_WEIGHTS = {"serra_2018_rank", "activation_based", "cai_rank"}
FURTHER = {"raghu", "histogram_sharpened", "serra_2018_lower_arora", "input", "widths", "notes"}


def test_widths_give_every_bound_or_the_reason(run: Run) -> None:
    found = answer(run("region-bounds", "--input", 784, "--widths", "11,11", "--json"))
    assert set(found) == OF_WIDTHS | FURTHER
    assert (found["serra_2018"], found["montufar_2017"], found["two_to_n"]) == (2449868, 4194304, 4194304)
    assert (found["input"], found["widths"]) == (784, [11, 11])
    missing = {name for name, value in found.items() if value is None}
    assert missing == {"montufar_2014_lower", "serra_2018_lower", "serra_2018_lower_arora"} == set(found["notes"])


def test_network_gives_those_of_its_weights_too(run: Run) -> None:
    found = answer(run("region-bounds", DIGITS, "--json"))
    assert set(found) == OF_WIDTHS | OF_WEIGHTS | FURTHER
    assert found["widths"] == [48, 32]
    assert found["serra_2018"] == serra_2018(64, [48, 32])
    assert found["activation_based"] <= found["serra_2018_rank"] <= found["serra_2018"]
    expected = bounds(read(DIGITS)).values
    assert all(found[name] == expected[name] for name in OF_WIDTHS | OF_WEIGHTS)


def test_box_leaves_out_what_never_switches_and_the_whole_space_nothing(run: Run) -> None:
    everywhere = answer(run("region-bounds", DIGITS, "--json"))
    assert answer(run("region-bounds", DIGITS, "--box", "-inf", "inf", "--json")) == everywhere
    within = answer(run("region-bounds", DIGITS, "--box", 0, 1, "--json"))
    assert within["activation_based"] < everywhere["activation_based"]
    assert {k: v for k, v in within.items() if k != "activation_based"} == {
        k: v for k, v in everywhere.items() if k != "activation_based"
    }


def test_ball_is_a_domain_too(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "point.npy", np.full(64, 0.5))
    ball = ("--ball", tmp_path / "point.npy", 0.01, "--clip", 0, 1)
    near = answer(run("region-bounds", DIGITS, *ball, "--json"))["activation_based"]
    assert 1 <= near < answer(run("region-bounds", DIGITS, "--box", 0, 1, "--json"))["activation_based"]


def test_outputs_count_as_units_where_asked(run: Run) -> None:
    found = answer(run("region-bounds", DIGITS, "--outputs-as-units", "--json"))
    assert found["widths"] == [48, 32, 10]
    assert found["serra_2018"] == serra_2018(64, [48, 32, 10])


def test_expected_number_is_there_where_its_constant_is(run: Run) -> None:
    found = answer(run("region-bounds", "--input", 2, "--widths", "16,16", "--transitions", 2, "--json"))
    assert found["hanin_rolnick"] == (2 * 32) ** 2 // 2
    refused(run("region-bounds", "--input", 2, "--widths", 4, "--transitions", 0), "positive number")


def test_what_does_not_hold_is_null_with_its_reason(run: Run, tmp_path: Path) -> None:
    write(chain([np.ones((2, 2))], [np.zeros(2)], absolute), tmp_path / "abs.npz")
    found = answer(run("region-bounds", tmp_path / "abs.npz", "--json"))
    missing = {name for name, value in found.items() if value is None}
    assert missing == set(found["notes"]) >= OF_WEIGHTS | {"serra_2018", "hinz_van_de_geer"}
    assert found["montufar_2017"] == 4
    nodes = (Node("z", Affine(np.ones((2, 2)), np.zeros(2)), INPUT), Node("h", relu, "z"))
    write(
        Network((*nodes, Node("sum", Sum((1, 1)), "h", INPUT), Node("y", relu, "sum")), (1, 2)), tmp_path / "sum.onnx"
    )
    assert "layer before" in answer(run("region-bounds", tmp_path / "sum.onnx", "--json"))["notes"]["serra_2018"]
    write(Network.chain([Affine(np.ones((6, 2)), np.zeros(6)), maxout(6, 3)], (2,)), tmp_path / "max.npz")
    assert answer(run("region-bounds", tmp_path / "max.npz", "--json"))["maxout"] == 22


def test_table_reads_well_for_small_and_large_numbers(run: Run) -> None:
    status, out, _ = run("region-bounds", "--input", 784, "--widths", "11,11")
    assert status == 0
    assert "2,449,868" in out
    assert "at most 2,449,868 regions" in out
    assert "every width must be at least the 784 inputs" in out
    status, out, _ = run("region-bounds", "--input", 784, "--widths", "500,500")
    assert status == 0
    assert f"{2**1000:.2e}".replace("e+", " x 10^") in out


def test_numbers_of_many_digits_are_written_in_full(run: Run) -> None:
    before = sys.get_int_max_str_digits()
    status, out, _ = run("region-bounds", "--input", 3, "--widths", "20000", "--json")
    assert status == 0
    assert sys.get_int_max_str_digits() == before
    sys.set_int_max_str_digits(0)
    try:
        assert json.loads(out)["two_to_n"] == 2**20000
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "either NET or --input"),
        ((DIGITS, "--input", 3), "either NET or --input"),
        (("--input", 3), "give --widths"),
        (("--widths", "3,3"), "give --input"),
        (("--input", 3, "--widths", "3,x"), "whole number"),
        (("--input", 3, "--widths", ","), "widths none"),
        (("--input", 3, "--widths", "3,0"), "at least 1"),
        (("--input", 0, "--widths", "3"), "at least 1"),
        (("--input", "three", "--widths", "3"), "integer"),
        (("--input", 3, "--widths", "3", "--box", 0, 1), "about a network"),
        (("--input", 3, "--widths", "3", "--outputs-as-units"), "last width"),
        ((DIGITS, "--box", 0, "inf"), "finite"),
        ((DIGITS, "--box", 1, 0), "swap"),
        ((DIGITS, "--clip", 0, 1), "--ball"),
        (("nowhere.onnx",), "nowhere.onnx"),
        (("--input", 3, "--widths", "3", "--backend", "nobody"), "nobody"),
    ],
)
def test_bad_input_is_one_line(words: tuple[object, ...], said: str, run: Run) -> None:
    refused(run("region-bounds", *words), said)
