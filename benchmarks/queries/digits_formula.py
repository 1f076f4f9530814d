"""A condition with and, or, not over inputs, hidden neurons and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import reludsl as rd
from reludsl.bench import Query
from reludsl.data import path


def build(data: Path) -> rd.Find:
    net = rd.read(path("digits.onnx"))
    image = np.load(path("digits.npz"))["images"][1].astype(float)
    x = rd.ball(image, 0.25, clip=(0, 1))
    trace = net.trace(x)
    label = int(np.argmax(net(image)))
    dark = rd.all_of(x[:2] <= 0.05)
    quiet = ~trace.active[0][44] | ~trace.active[1][24]
    return rd.Find(dark & quiet & ~rd.argmax_is(trace.output, label) & (trace.output[label] >= 0.0))


BENCH = Query("digits-formula", "another class wins, with two dark pixels and one of two neurons off, digits", build)
