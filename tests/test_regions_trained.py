"""Counting by cells on trained networks: in flat memory, and near what probes estimate."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from region_checks import cube
from region_nets import drawn

from reludsl import regions
from reludsl.domain import Box
from reludsl.io import read
from reludsl.regions import count


@pytest.mark.slow
def test_regions_stream_with_flat_memory(data_file: Callable[[str], Path]) -> None:
    network = read(data_file("mnist_nets/mnist_11x11_l1_0_s0.onnx"), check=False)
    held = 0
    warm = 0
    for batch in regions.enumerate(network, Box.full(0, 1, (784,))):
        held += len(batch)
        if held > 20_000 and not warm:
            warm = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if held >= 100_000:
            break
    assert held >= 100_000
    # kilobytes; what is held grows with the depth of the tree, not with the regions
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - warm < 150_000


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number"), [("mnist_nets/mnist_4x18_l1_0_s0.onnx", 2465), ("drawn 64-6-6", 778)])
def test_estimate_is_near_the_exact_count(name: str, number: int, data_file: Callable[[str], Path]) -> None:
    if name.startswith("drawn"):
        network, where = drawn((64, 6, 6), 3, "normal"), cube(64)
    else:
        network, where = read(data_file(name), check=False), Box.full(0, 1, (784,))
    found = count(network, where, method="probe")
    assert found.standard_error is not None
    assert abs(found.count - number) <= 3 * found.standard_error
    assert found.lower <= number <= found.upper
