"""Robustness: by how much can another class beat the label in a ball around an image?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import reludsl as rd
from reludsl.bench import Query
from reludsl.data import path


def build(data: Path) -> rd.Maximize:
    net = rd.read(path("digits.onnx"))
    image = np.load(path("digits.npz"))["images"][0].astype(float)
    second, first = np.argsort(net(image))[-2:]
    y = net(rd.ball(image, 0.1, clip=(0, 1)))
    return rd.Maximize(y[int(second)] - y[int(first)])


BENCH = Query("digits-margin", "largest margin of the runner-up over the label, digits, ball of 0.1", build)
