"""Layers of every type and branches of every kind, for the tests of files and modules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reludsl.backend import FloatArray
from reludsl.layers import (
    Affine,
    AffineLayer,
    AveragePool,
    BatchNorm,
    Conv,
    Gather,
    Layer,
    Max,
    MaxPool,
    PiecewiseLinear,
    Reshape,
    Shift,
    Sum,
    absolute,
    clip,
    concatenated,
    hard_sigmoid,
    hard_tanh,
    larger,
    leaky_relu,
    maxout,
    prelu,
    relu6,
    transposed,
)
from reludsl.network import INPUT, Network, Node

Need = Callable[[str], Any]


def eighths(*shape: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).integers(-8, 9, shape) / 8


f32 = np.float32


@dataclass(frozen=True, eq=False)
class Swing(AffineLayer):
    """y = rate x + bend, with fields of every kind."""

    bend: FloatArray
    order: Any
    width: int
    rate: float = 1.5
    exact_rate: float = 0.1
    label: str = "swing"
    flags: tuple[Any, ...] = (True, None, (1, 2.5))
    steps: tuple[int, ...] = (1, 2)
    plain: bool = False

    @property
    def inputs(self) -> int:
        return self.width

    @property
    def bias(self) -> FloatArray:
        return np.asarray(self.bend)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (1, self.width)

    def apply(self, x: FloatArray) -> FloatArray:
        return np.asarray(self.rate * x[..., self.order])


WIDE = (1, 2, 4, 3)
FLAT = math.prod(WIDE)


def _layers() -> dict[str, Layer]:
    def pool(kind: Any, **more: Any) -> Any:
        return kind(2, (4, 3), **{"kernel": (2, 3), "stride": (2, 1), **more})

    some = np.random.default_rng(3).integers(-1, FLAT, 12)
    numbers = np.arange(FLAT).reshape(WIDE)
    padded = np.pad(numbers, ((0, 0), (0, 0), (1, 2), (0, 1)), constant_values=-1)
    return {
        "conv": Conv(eighths(3, 2, 2, 3), eighths(3), (4, 3), (2, 1), ((1, 1), (0, 0))),
        "conv_uneven": Conv(eighths(2, 1, 2, 2), eighths(2), (4, 3), 1, ((1, 0), (0, 2)), 1, 2),
        "average": pool(AveragePool),
        "average_counts": pool(AveragePool, pads=1, count_include_pad=True),
        "average_ceil": pool(AveragePool, kernel=2, stride=2, ceil=True),
        "average_uneven": pool(AveragePool, pads=((1, 0), (0, 1))),
        "average_uneven_counts": pool(AveragePool, pads=((1, 0), (0, 1)), count_include_pad=True),
        "max_pool": pool(MaxPool, pads=1),
        "max_pool_ceil": pool(MaxPool, kernel=2, stride=2, ceil=True, dilation=1),
        "max_pool_uneven": pool(MaxPool, pads=((1, 0), (0, 1))),
        "batch_norm": BatchNorm(np.array([1.5, -0.5]), np.array([0.25, 1.0]), 12),
        "batch_norm_flat": BatchNorm(eighths(FLAT), eighths(FLAT)),
        "transpose": transposed(WIDE, (0, 2, 3, 1)),
        "pad": Gather(padded, FLAT, padded.shape, "pad", 0.5),
        "slice": Gather(numbers[:, ::-1, 1:3, ::2], FLAT, (1, 2, 2, 2), "slice"),
        "pick": Gather(numbers[:, :, [3, 0, 0]], FLAT, (1, 2, 3, 3)),
        "repeat": Gather(np.repeat(np.arange(FLAT), 2), FLAT, (*WIDE, 2)),
        "gather": Gather(some, FLAT, (1, 3, 4), fill=0.25),
        "gather_row": Gather(np.abs(some), FLAT, (1, 12)),
        "maxout": Max(maxout(FLAT, 4).index, FLAT, (1, 6)),
        "max": Max(np.random.default_rng(3).integers(0, FLAT, (6, 3)), FLAT, (1, 2, 3)),
        "sum_one": Sum((-1,)),
        "reshape": Reshape((1, 3, 8)),
        "shift": Shift(eighths(FLAT)),
        "absolute": absolute,
        "leaky_relu": leaky_relu(0.25),
        "prelu": prelu(np.repeat([0.25, -0.5], 12)),
        "prelu_each": prelu(eighths(FLAT)),
        "hard_tanh": hard_tanh(),
        "relu6": relu6,
        "hard_sigmoid": hard_sigmoid(0.25),
        "clip_low": clip(low=-0.5),
        "clip_high": clip(high=0.5),
        "clip_each": PiecewiseLinear("clip", (eighths(FLAT),), (0, 1), (eighths(FLAT),) * 2),
        "cap_each": PiecewiseLinear("clip", (eighths(FLAT),), (1, 0), (eighths(FLAT),) * 2),
        "each": PiecewiseLinear("each", (eighths(FLAT) - 1, eighths(FLAT) + 0.5), (0.5, eighths(FLAT, seed=1), 2)),
        "each_open": PiecewiseLinear("open", (), (eighths(FLAT),), (0, eighths(FLAT, seed=1))),
    }  # fmt: skip


LAYERS = _layers()


def _branches() -> dict[str, Network]:
    pair = (Node("a", absolute, INPUT), Node("b", leaky_relu(0.25), INPUT))
    shape = (1, 2, 3)
    made: dict[str, tuple[Any, ...]] = {
        "add": (Node("y", Sum((1, 1)), "a", "b"),),
        "subtract": (Node("y", Sum((1, -1)), "a", "b"),),
        "negative": (Node("y", Sum((-1, 1, -1)), "a", "b", INPUT),),
        "sum": (Node("y", Sum((1, 1, 1)), "a", "b", "a"),),
        "same": (Node("y", Sum((1, 1)), "b", "b"),),
        "larger": (Node("y", larger(shape, 3), "a", "b", INPUT),),
        "max": (Node("y", Max(np.array([[0, 7, 11], [3, 3, 8]]), 12, (1, 2)), "a", "b"),),
        "concat": (Node("y", concatenated((shape, shape), 1), "a", "b"),),
        "concat_last": (Node("y", concatenated((shape, shape), -1), "a", "b"),),
        "gather": (Node("y", Gather(np.array([11, 0, -1, 6]), 12, (1, 4), fill=0.5), "a", "b"),),
        "affine": (
            Node("c", Affine(eighths(3, 6), eighths(3)), "f"),
            Node("y", Affine(eighths(2, 9), eighths(2)), "c", "f"),
        ),
        "shift": (Node("y", Shift(eighths(12)), "a", "b"),),
        "conv": (Node("r", Reshape((2, 3)), "a"), Node("y", Conv(eighths(1, 2, 2, 2), eighths(1), (2, 3)), "r", "r")),
        "reshape": (Node("y", Reshape((1, 3, 4)), "a", "b"),),
    }
    flat = Node("f", Reshape((1, 6)), "a")
    return {
        name: Network((*pair, *([flat] if name == "affine" else []), *nodes), shape, "y")
        for name, nodes in made.items()
    }


BRANCHES = _branches()
