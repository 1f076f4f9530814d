"""Networks to measure on: trained ones where the data folder has them, random ones of the same shape elsewhere."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np

from reludsl.io import read
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network

DATA = Path(os.environ.get("RELUDSL_DATA", Path(__file__).parents[2] / "shared" / "data"))


def random_network(*sizes: int, seed: int = 0) -> Network:
    """Fully connected, ReLU between, W ~ N(0, 2 / n_in), b ~ N(0, 0.01)."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    for n_in, n_out in pairwise(sizes):
        layers += [Affine(rng.normal(0, np.sqrt(2 / n_in), (n_out, n_in)), rng.normal(0, 0.1, n_out)), relu]
    return Network.chain(layers[:-1], (sizes[0],))


def trained(name: str, *sizes: int) -> Network:
    """A trained network of the data folder, or a random one of its sizes."""
    path = DATA / "mnist_nets" / f"{name}.onnx"
    return read(path, check=False) if path.exists() else random_network(*sizes)
