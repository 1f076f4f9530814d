"""Two networks in one question: does the compressed one give the same scores up to a tolerance?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import reludsl as rd
from reludsl.answer import Verdict
from reludsl.bench import Query
from reludsl.data import path


def build(data: Path) -> rd.Prove:
    net = rd.read(path("digits.onnx"))
    small = rd.compress(net, rd.box(0, 1, net.input_shape)).network
    image = np.load(path("digits.npz"))["images"][0].astype(float)
    x = rd.ball(image, 0.05, clip=(0, 1))
    return rd.Prove(rd.close(small(x), net(x), atol=0.02))


BENCH = Query(
    "digits-compressed",
    "the compressed network agrees with the original to 0.02, digits, ball of 0.05",
    build,
    verdict=Verdict.PROVED,
)
