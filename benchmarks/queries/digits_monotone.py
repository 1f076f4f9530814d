"""Monotonicity: does ink on a pixel ever lower a score? One network at two related inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import reludsl as rd
from reludsl.bench import Query
from reludsl.data import path

PIXEL, LABEL = 20, 7


def build(data: Path) -> rd.Prove:
    net = rd.read(path("digits.onnx"))
    images = np.load(path("digits.npz"))
    image = images["images"][images["labels"] == LABEL][0].astype(float)
    where = np.zeros((net.input_size, 1))
    where[PIXEL] = 1.0
    x, ink = rd.ball(image, 0.02, clip=(0, 1)), rd.box(0, 0.2, (1,), name="ink")
    return rd.Prove(net(x + where @ ink)[LABEL] >= net(x)[LABEL])


BENCH = Query(
    "digits-monotone", "more ink on a pixel never lowers the score of 7, digits, ball of 0.02", build, margin=0.01
)
