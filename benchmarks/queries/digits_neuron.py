"""The exact upper bound of a hidden pre-activation over all images."""

from __future__ import annotations

from pathlib import Path

import reludsl as rd
from reludsl.bench import Query
from reludsl.data import path


def build(data: Path) -> rd.Maximize:
    net = rd.read(path("digits.onnx"))
    return rd.Maximize(net.trace(rd.box(0, 1, net.input_shape)).pre[1][7])


BENCH = Query("digits-neuron", "largest pre-activation of neuron 7 of layer 2, digits, all images", build)
