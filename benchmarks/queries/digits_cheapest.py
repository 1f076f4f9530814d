"""The cheapest change of decision: the smallest sum of absolute changes after which another class wins."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import reludsl as rd
from reludsl.bench import Query
from reludsl.data import path


def build(data: Path) -> rd.Minimize:
    net = rd.read(path("digits.onnx"))
    image = np.load(path("digits.npz"))["images"][0].astype(float)
    second, first = np.argsort(net(image))[-2:]
    x = rd.ball(image, 0.15, clip=(0, 1))
    y = net(x)
    return rd.Minimize(rd.absolute(x - image).sum(), given=y[int(second)] >= y[int(first)])


BENCH = Query("digits-cheapest", "smallest sum of changes that makes the runner-up win, digits, ball of 0.15", build)
