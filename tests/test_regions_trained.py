"""Counting by cells on trained networks: confirmed by another method, in flat memory, near what probes estimate."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import highspy
import numpy as np
import pytest
from region_checks import cells, cube, exact_pattern, listed, patterns, proved
from region_nets import drawn, pieces_at

from reludsl import regions
from reludsl.backend import FloatArray
from reludsl.domain import Box
from reludsl.io import read
from reludsl.network import Network
from reludsl.regions import Regions, count, find_patterns


@pytest.mark.slow
def test_published_network_has_its_regions_by_two_methods(data_file: Callable[[str], Path]) -> None:
    """784-4-18 on [0, 1]^784: lower = upper, every region shown in rationals, and no region behind any facet of one.

    Regions of a convex domain hang together by their facets, so that a list with the neighbours of all its members is
    complete. The walk has its own matrices and asks HiGHS.
    """
    network, where = read(data_file("mnist_nets/mnist_4x18_l1_0_s0.onnx"), check=False), Box.full(0, 1, (784,))
    assert proved(cells(network, where)) == 2465
    found = listed(network, where)
    known = patterns(found)
    assert len(known) == len(found) == 2465
    assert all(exact_pattern(network, x) == tuple(p) for x, p in zip(found.witnesses, found.patterns.tolist()))
    beyond = behind_facets(network, found, known)
    met = pieces_at(network, beyond)
    assert set(map(tuple, met.tolist())) <= known
    # the walk finds what is not there: without one of its regions the list is open at its neighbours
    gone = tuple(found.patterns[1000].tolist())
    beyond = behind_facets(network, found, known - {gone})
    assert gone in set(map(tuple, pieces_at(network, beyond).tolist()))


def behind_facets(network: Network, found: Regions, known: set[tuple[int, ...]]) -> FloatArray:
    """Inputs behind the facets of some regions whose flipped patterns are not known: (k, inputs)."""
    (w1, b1), (w2, b2) = ((layer.weight, layer.bias) for layer in (n.layer for n in network.nodes[:3:2]))  # type: ignore[attr-defined]
    n1, units, n = len(b1), len(b1) + len(b2), w1.shape[1]
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    model.setOptionValue("presolve", "off")
    free = highspy.kHighsInf
    model.addVars(n, np.zeros(n), np.ones(n))
    model.addVars(n1, np.full(n1, -free), np.full(n1, free))
    y = np.arange(n, n + n1, dtype=np.int32)
    for k in range(n1):
        index = np.append(np.arange(n), n + k).astype(np.int32)
        model.addRow(-b1[k], -b1[k], n + 1, index, np.append(w1[k], -1.0))
    for _ in range(units):
        model.addRow(-free, free, n1, y, np.ones(n1))
    beyond = []
    # neighbours in the list share most of what a basis depends on
    for at in np.lexsort(found.patterns.T[::-1]).tolist():
        pattern, x = found.patterns[at], found.witnesses[at]
        if tuple(pattern.tolist()) not in known:
            continue
        sign = 2.0 * pattern - 1.0
        rows = np.vstack([np.eye(n1), w2 * pattern[:n1]]) * sign[:, None]
        constants = np.concatenate([np.zeros(n1), b2]) * sign
        for k in range(units):
            model.changeRowBounds(n1 + k, -constants[k], free)
            for j in range(n1):
                model.changeCoeff(n1 + k, n + j, rows[k, j])
        whole = np.column_stack([rows, constants])
        whole /= np.maximum(np.linalg.norm(whole, axis=1), 1e-300)[:, None]
        for i in range(units):
            if not rows[i].any():
                continue
            # units that break on one hyperplane do so together
            same = np.flatnonzero(whole @ whole[i] > 1 - 1e-12)
            flipped = pattern.copy()
            flipped[same] ^= 1
            if tuple(flipped.tolist()) in known:
                continue
            for k in same.tolist():
                model.changeRowBounds(n1 + k, -free, free)
            model.changeColsCost(n1, y, rows[i])
            model.run()
            assert model.getModelStatus() == highspy.HighsModelStatus.kOptimal
            far = np.clip(np.array(model.getSolution().col_value)[:n], 0.0, 1.0)
            here, there = (float(rows[i] @ (w1 @ p + b1) + constants[i]) for p in (x, far))
            if there < -1e-9 * np.linalg.norm(rows[i] @ w1):
                crossing = here / (here - there)
                beyond.append(x + (crossing + 1e-6 * (1 - crossing)) * (far - x))
            for k in same.tolist():
                model.changeRowBounds(n1 + k, -constants[k], free)
    return np.array(beyond).reshape(-1, n)


@pytest.mark.slow
def test_integer_program_finds_regions_of_the_list_only(data_file: Callable[[str], Path]) -> None:
    network, where = read(data_file("mnist_nets/mnist_4x18_l1_0_s0.onnx"), check=False), Box.full(0, 1, (784,))
    met = find_patterns(network, where, time_limit=20.0)
    assert len(met) > 50
    assert set(map(tuple, met.patterns.tolist())) <= patterns(listed(network, where))


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
