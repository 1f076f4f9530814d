"""What studies of few patterns measure after every epoch: a slice, a whole plane, distances of points."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.expressivity.images import images
from benchmarks.measure import Figure, best
from benchmarks.regions import clip
from reludsl.backend import FloatArray
from reludsl.expressivity import draw_slices, slice_density
from reludsl.layers import Affine, Layer
from reludsl.network import Network
from reludsl.networks import Initialisation, random_network
from reludsl.regions import Slice, nearest_boundary


def densities(small: bool) -> Iterator[Figure]:
    """64-32x3 at initialisation in a plane through three digits: a count has to take less than 0.1 s. The baseline
    clips one polygon after the other in plain Python. Distances of 300 points, against one backward pass of all of
    them for each unit."""
    pixels = images("digits")[0].pixels
    sizes = (64, 16, 16) if small else (64, 32, 32, 32)
    network = random_network(sizes, 1, Initialisation.NORMAL, bias_scale=1e-3)
    name = "-".join(map(str, sizes))
    cuts = draw_slices(pixels, 1)
    square = _square(network, cuts[0])
    base = best(lambda: clip(square), 1)
    counted = slice_density(network, cuts).regions.item()
    assert counted == len(clip(square))
    took = best(lambda: slice_density(network, cuts))
    yield Figure(
        f"slice of {name}, {counted:,} regions", took, "clipping in plain Python", base, 2.0 if small else 0.25
    )
    whole = slice_density(network, cuts, whole=True).regions.item()
    took = best(lambda: slice_density(network, cuts, whole=True))
    extrapolated = base * whole / counted
    what = f"plane of {name}, {whole:,} regions"
    yield Figure(what, took, "clipping as many (extrapolated)", extrapolated, 2.0 if small else 0.25)
    points = pixels[:300]
    took = best(lambda: nearest_boundary(network, points))
    each = best(lambda: backward(network, points), 1)
    assert np.allclose(nearest_boundary(network, points).distance, backward(network, points))
    yield Figure(f"distances of 300 points in {name}", took, "a backward pass per unit", each, 20.0 if small else 4.0)


def _square(network: Network, where: Slice) -> Network:
    """The network on the slice, whose square becomes [-5, 5]^2."""
    first, *rest = [node.layer for node in network.nodes]
    assert isinstance(first, Affine)
    scale = float(where.corners.max()) / 5.0
    layers: list[Layer] = [Affine(first.dense @ where.axes.T * scale, first.dense @ where.origin + first.offset), *rest]
    return Network.chain(layers, (2,))


def backward(network: Network, x: FloatArray) -> FloatArray:
    """min over the units of |z| / ||grad z||, unit by unit."""
    values = network.values(x)
    found = np.full(len(x), np.inf)
    for stage in network.hidden:
        for k, row in enumerate(np.eye(stage.size)):
            norms = np.linalg.norm(network.gradient(values, stage.pre, np.tile(row, (len(x), 1))), axis=1)
            height = np.abs(values[stage.pre][:, k])
            found = np.minimum(found, np.divide(height, norms, out=np.full_like(norms, np.inf), where=norms > 0))
    return found
