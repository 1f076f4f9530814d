"""Robustness of 784-100-100-10, trained without regularisation, around a test image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import reludsl as rd
from reludsl.bench import Query

NET, IMAGES = "mnist_nets/mnist_100x100_l1_0_s0.onnx", "mnist.npz"


def build(data: Path) -> rd.Maximize:
    net = rd.read(data / NET)
    image = np.load(data / IMAGES)["x_test"][0].astype(float).ravel() / 255
    second, first = np.argsort(net(image))[-2:]
    y = net(rd.ball(image, 0.01, clip=(0, 1)))
    return rd.Maximize(y[int(second)] - y[int(first)])


BENCH = Query(
    "mnist-margin-0.01",
    "largest margin of the runner-up over the label, 784-100-100-10, ball of 0.01",
    build,
    (NET, IMAGES),
)
