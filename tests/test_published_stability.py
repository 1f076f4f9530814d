"""The trained networks of the published shapes: what the ladder decides of each, without any data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reludsl.domain import Box
from reludsl.io import read
from reludsl.stability import stable

LEFT = {"800x800_l1_0.0001": 1, "100x100x100x100x100_l1_0.0002": 2}
"""Neurons that may stay unknown; of every other network none."""


@pytest.mark.slow
def test_ladder_decides_the_networks_of_the_published_shapes(data_file: Any) -> None:
    files = sorted(data_file("mnist_nets/mnist_100x100_l1_0_s0.onnx").parent.glob("*.onnx"))
    assert len(files) == 22
    wrong = []
    for file in files:
        name = file.stem.removeprefix("mnist_").removesuffix("_s0")
        network = read(file, check=False)
        facts = stable(network, Box.full(0.0, 1.0, network.input_shape), time_limit=40.0)
        if facts.undecided > LEFT.get(name, 0):
            wrong.append((name, facts.undecided, [(r.name, r.decided, r.seconds) for r in facts.rungs]))
        for stage in facts.stages:
            seen = facts.witnesses.stages[stage.stage.index]
            assert (seen.high[stage.unstable] > 0).all()
            assert (seen.low[stage.unstable] < 0).all()
            values = network.values(seen.high_at[stage.unstable][:16], stage.stage.pre)[stage.stage.pre]
            assert (values[np.arange(len(values)), stage.unstable[:16]] > 0).all()
    assert wrong == []
