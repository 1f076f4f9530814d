"""Convolutions as operators: backward bounds of a residual network, and the adjoint, against plain matrix products."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import Figure, Measured, best
from benchmarks.nets import DATA
from reludsl.bounds import crown
from reludsl.domain import Ball, Norm
from reludsl.io import read
from reludsl.layers import Affine, Conv, Reshape, Sum, relu
from reludsl.network import INPUT, Network, Node

RESNET = DATA / "vnncomp_conv" / "resnet_2b.onnx"


@dataclass(frozen=True, slots=True)
class Memory:
    """The most memory that arrays took during some work."""

    what: str
    bytes: int
    limit: int

    @property
    def holds(self) -> bool:
        return self.bytes <= self.limit

    def __str__(self) -> str:
        verdict = "ok" if self.holds else "TOO MUCH"
        return f"{self.what}: {self.bytes / 2**20:.0f} MB, at most {self.limit / 2**20:.0f}: {verdict}"


def residual(size: int, width: int) -> Network:
    """A network of the shape of resnet_2b: a convolution, two residual blocks, two dense layers; random weights."""
    rng = np.random.default_rng(0)

    def conv(channels_in: int, channels_out: int, spatial: int, stride: int, kernel: int = 3) -> Conv:
        weight = rng.normal(0, np.sqrt(2 / (channels_in * kernel**2)), (channels_out, channels_in, kernel, kernel))
        return Conv(weight, np.zeros(channels_out), (spatial, spatial), stride, kernel // 2)

    half, quarter = size // 2, size // 4
    nodes = [
        Node("conv1", conv(3, width, size, 2), INPUT),
        Node("relu1", relu, "conv1"),
        Node("conv2", conv(width, 2 * width, half, 2), "relu1"),
        Node("relu2", relu, "conv2"),
        Node("conv3", conv(2 * width, 2 * width, quarter, 1), "relu2"),
        Node("shortcut", conv(width, 2 * width, half, 2, 1), "relu1"),
        Node("sum1", Sum((1, 1)), "conv3", "shortcut"),
        Node("relu3", relu, "sum1"),
        Node("conv4", conv(2 * width, 2 * width, quarter, 1), "relu3"),
        Node("relu4", relu, "conv4"),
        Node("conv5", conv(2 * width, 2 * width, quarter, 1), "relu4"),
        Node("sum2", Sum((1, 1)), "conv5", "relu3"),
        Node("relu5", relu, "sum2"),
        Node("flat", Reshape((1, -1)), "relu5"),
    ]
    flat = 2 * width * quarter**2
    nodes += [
        Node("fc1", Affine(rng.normal(0, np.sqrt(2 / flat), (100, flat)), np.zeros(100)), "flat"),
        Node("relu6", relu, "fc1"),
        Node("fc2", Affine(rng.normal(0, 0.1, (10, 100)), np.zeros(10)), "relu6"),
    ]
    return Network(tuple(nodes), (1, 3, size, size))


def convolutions(small: bool) -> Iterator[Measured]:
    """CROWN for all layers of resnet_2b takes its rows through the layers before each layer, as so many forward passes
    would; the limit is the traffic of those arrays. The adjoint of a convolution is a matrix product per block."""
    network = residual(16, 4) if small else read(RESNET, check=False) if RESNET.exists() else residual(32, 8)
    domain = Ball(np.random.default_rng(0).random(network.input_size), 0.008, Norm.LINF, (0, 1))
    rows = 2 * sum(stage.size for stage in network.stages)
    x = np.random.default_rng(0).random((rows, network.input_size))
    base = best(lambda: network(x))
    took = best(lambda: crown(network, domain))
    limit = 20 if small else 6
    yield Figure(
        "CROWN bounds of all layers of a residual network", took, f"forward pass of {rows} points", base, limit
    )
    tracemalloc.start()
    crown(network, domain)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    yield Memory("memory of these bounds", peak, 2**30)
    layer = Conv(np.random.default_rng(0).normal(size=(16, 16, 3, 3)), np.zeros(16), (8, 8), 1, 1)
    count = 256 if small else 2048
    a = np.random.default_rng(1).normal(size=(count, 16 * 64))
    left, right = a.reshape(-1, 16), layer.weight.reshape(16, -1)
    base = best(lambda: left @ right)
    took = best(lambda: layer.adjoint(a))
    yield Figure(f"adjoint of a 3 x 3 convolution, {count} rows", took, "one product of as many terms", base, 5)
