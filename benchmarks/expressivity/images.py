"""Images to train on: the digits that come with the library, or MNIST from the data folder."""

from __future__ import annotations

import numpy as np

from benchmarks.published.start import MNIST
from benchmarks.published.training import Images, mnist
from reludsl.data import path


def images(name: str) -> tuple[Images, Images]:
    """Training and test images of "digits" (1,437 and 360 of 8 x 8) or "mnist" (60,000 and 10,000 of 28 x 28).

    Raises:
        FileNotFoundError: mnist.npz is not in the data folder.
    """
    if name == "mnist":
        return mnist(MNIST)
    train, test = (_digits(file) for file in ("digits_train.npz", "digits.npz"))
    return train, test


def at_hand(name: str) -> str:
    """The digits in the place of MNIST where its file is missing, else the name itself: for studies that may do so."""
    return "digits" if name == "mnist" and not MNIST.exists() else name


def _digits(file: str) -> Images:
    with np.load(path(file)) as held:
        return Images(held["images"].astype(np.float64), held["labels"].astype(np.int64))


def take(chosen: Images, count: int, seed: int = 0) -> Images:
    """Some of them, drawn without replacement."""
    order = np.random.default_rng(seed).permutation(len(chosen))[:count]
    return Images(chosen.pixels[order], chosen.labels[order])
