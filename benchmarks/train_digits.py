"""Train the demonstration network `reludsl/data/digits.onnx` on the 8 x 8 digits that come with scikit-learn.

    python -m benchmarks.train_digits [--out FOLDER]

64-48-32-10 with ReLU, pixels divided by 16, 1,437 images to train on and 360 to test, L1 regularisation by
proximal Adam, seed 0. The shipped files, from this script:

* accuracy on the 360 test images: 98.61 %;
* on the box [0, 1]^64, by interval bounds alone: layer 1 has 19 of 48 neurons stably inactive and 6 stably
  active; layer 2 has 6 of 32 stably inactive and 1 stably active;
* 3,072 + 1,536 + 320 weights, of which 1,525 + 642 + 214 are not zero.

Where the stable neurons come from: biases start far apart, and L1 shrinks the weights until some biases
outweigh them. A neuron that is dead on a batch is shrunk at half the rate, so that it ends with a few weights
rather than none: stably inactive for a reason that bounds have to find.
"""

from __future__ import annotations

import argparse
import io
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from reludsl.backend import FloatArray, IntArray
from reludsl.domain import Box
from reludsl.io import rounded, write_onnx
from reludsl.io.files import write_atomically
from reludsl.layers import Affine, Layer, relu
from reludsl.network import Network

WIDTHS = (64, 48, 32, 10)
EPOCHS, BATCH, RATE = 80, 32, 2e-3
L1, DEAD = 0.15, 0.5
"""Strength of the L1 term, and its share for neurons that are dead on a batch."""


def split(seed: int = 0) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
    """Training images and labels, test images and labels; pixels in [0, 1]."""
    digits = load_digits()
    images, labels = digits.data / 16, digits.target
    order = np.random.default_rng(seed).permutation(len(images))
    cut = int(0.8 * len(images))
    return images[order[:cut]], labels[order[:cut]], images[order[cut:]], labels[order[cut:]]


def train(images: FloatArray, labels: IntArray, seed: int = 0) -> list[tuple[FloatArray, FloatArray]]:
    """Weights and biases, layer by layer."""
    rng = np.random.default_rng(seed)
    depth = len(WIDTHS) - 1
    values = [rng.normal(0, np.sqrt(2 / a), (b, a)) for a, b in pairwise(WIDTHS)]
    values += [rng.uniform(-2, 1, b) for b in WIDTHS[1:]]
    mean, square = [np.zeros_like(v) for v in values], [np.zeros_like(v) for v in values]
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * (1 - epoch / EPOCHS)
        order = rng.permutation(len(images))
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            step += 1
            for j, gradient in enumerate(_gradients(values, images[chosen], labels[chosen])):
                mean[j] = 0.9 * mean[j] + 0.1 * gradient
                square[j] = 0.999 * square[j] + 0.001 * gradient**2
                move = (mean[j] / (1 - 0.9**step)) / (np.sqrt(square[j] / (1 - 0.999**step)) + 1e-8)
                values[j] = values[j] - rate * move
                if j < depth:
                    share = np.where(np.abs(gradient).sum(axis=1) > 0, 1.0, DEAD)[:, None]
                    kept = np.maximum(np.abs(values[j]) - rate * L1 * share, 0)
                    values[j] = np.sign(values[j]) * kept
    return list(zip(values[:depth], values[depth:]))


def _gradients(values: list[FloatArray], images: FloatArray, labels: IntArray) -> list[FloatArray]:
    """Gradient of the mean cross-entropy: weights first, then biases."""
    depth = len(values) // 2
    posts = [images]
    for k in range(depth):
        z = posts[-1] @ values[k].T + values[depth + k]
        posts.append(np.maximum(z, 0) if k < depth - 1 else z)
    odds = np.exp(posts[-1] - posts[-1].max(axis=1, keepdims=True))
    back = odds / odds.sum(axis=1, keepdims=True)
    back[np.arange(len(labels)), labels] -= 1
    back /= len(labels)
    result = [np.zeros(0)] * len(values)
    for k in reversed(range(depth)):
        result[k], result[depth + k] = back.T @ posts[k], back.sum(axis=0)
        back = (back @ values[k]) * (posts[k] > 0)
    return result


def network(parts: list[tuple[FloatArray, FloatArray]]) -> Network:
    """The network as the file holds it: float32 weights."""
    layers: list[Layer] = []
    names = []
    for k, (weight, bias) in enumerate(parts, start=1):
        layers += [Affine(weight, bias), relu]
        names += [f"fc{k}", f"relu{k}"]
    box = Box.full(0.0, 1.0, (WIDTHS[0],))
    return rounded(Network.chain(layers[:-1], (1, WIDTHS[0]), names[:-1], box), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train reludsl/data/digits.onnx.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "reludsl" / "data")
    folder: Path = parser.parse_args().out
    images, labels, test_images, test_labels = split()
    net = network(train(images, labels))
    accuracy = float((net(test_images).argmax(axis=1) == test_labels).mean())
    print(f"accuracy on {len(test_labels)} test images: {accuracy:.2%}")
    assert net.input_box is not None
    box = net.input_box
    for node in net.nodes:
        after = node.layer.interval(box)
        if isinstance(node.layer, Affine):
            inactive, active = int((after.upper <= 0).sum()), int((after.lower >= 0).sum())
            weights = f"{np.count_nonzero(node.layer.dense)} of {node.layer.dense.size} weights are not zero"
            print(f"{node.name}: {inactive} stably inactive, {active} stably active; {weights}")
        box = after
    write_onnx(net, folder / "digits.onnx")
    for name, held, named in (("digits", test_images, test_labels), ("digits_train", images, labels)):
        stream = io.BytesIO()
        np.savez_compressed(stream, images=held.astype(np.float32), labels=named.astype(np.uint8))
        write_atomically(folder / f"{name}.npz", stream.getvalue())


if __name__ == "__main__":
    main()
