"""A linear region: does another class win anywhere where the first layer has the pattern of an image?"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import reludsl as rd
from reludsl.bench import Query
from reludsl.data import path


def build(data: Path) -> rd.Find:
    net = rd.read(path("digits.onnx"))
    image = np.load(path("digits.npz"))["images"][2].astype(float)
    trace = net.trace(rd.ball(image, 0.2, clip=(0, 1)))
    on = net.trace(image[None, :]).pre[0][0] > 0
    pattern = rd.all_of(active if side else ~active for active, side in zip(trace.active[0], on))
    return rd.Find(pattern & ~rd.argmax_is(trace.output, int(np.argmax(net(image)))))


BENCH = Query("digits-region", "another class wins within the first layer's pattern of an image, digits", build)
