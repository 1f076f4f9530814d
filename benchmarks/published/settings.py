"""What was published: shapes, training recipe, L1 weights, and the figures that ours stand beside.

Sources: Serra, Kumar, Ramalingam 2020, "Lossless compression of deep neural networks" (LEO), table of 2 x 25 to
2 x 100; Serra, Yu, Kumar, Ramalingam 2021, "Scaling up exact neural network compression by ReLU stability" (ISA),
tables of wider and deeper classifiers and of autoencoders, and the training code released with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PIXELS, CLASSES = 784, 10

PUBLISHED_EPOCHS, PUBLISHED_STEP = 121, 50


@dataclass(frozen=True, slots=True)
class Shape:
    """Hidden widths of a classifier (10 outputs) or of an autoencoder (784 outputs).

    >>> Shape.parse("2x100"), Shape.parse("50-10-50").autoencoder
    (Shape(widths=(100, 100), autoencoder=False), True)
    >>> Shape.parse("3x100").name, Shape.parse("4,18").name
    ('3x100', '4,18')
    """

    widths: tuple[int, ...]
    autoencoder: bool

    @classmethod
    def parse(cls, text: str) -> Shape:
        """`DEPTHxWIDTH` and `WIDTH,WIDTH,...` are classifiers, `WIDTH-WIDTH-...` is an autoencoder.

        Raises:
            ValueError: it is neither.
        """
        depth, cross, width = text.partition("x")
        comma = "," in text
        parts = text.split("," if comma else "-")
        widths = (int(width),) * int(depth) if cross else tuple(int(part) for part in parts)
        if not widths or min(widths) < 1:
            raise ValueError(f"{text!r} has no neurons in a layer; write 2x100 or 4,18, or 50-10-50 for an autoencoder")
        return cls(widths, not (cross or comma))

    @property
    def name(self) -> str:
        if self.autoencoder:
            return "-".join(str(width) for width in self.widths)
        if len(set(self.widths)) > 1:
            return ",".join(str(width) for width in self.widths)
        return f"{len(self.widths)}x{self.widths[0]}"

    @property
    def sizes(self) -> tuple[int, ...]:
        """From inputs to outputs."""
        return (PIXELS, *self.widths, PIXELS if self.autoencoder else CLASSES)


@dataclass(frozen=True, slots=True)
class Recipe:
    """SGD with momentum; the rate falls to `decay` of itself every `step` epochs. Batches of `batch` images.

    >>> Recipe(121).step, Recipe(30).step
    (50, 12)
    """

    epochs: int
    batch: int = 128
    rate: float = 0.01
    momentum: float = 0.9
    decay: float = 0.1

    @property
    def step(self) -> int:
        """50 epochs of 121 as published, the same share of fewer."""
        return max(1, round(PUBLISHED_STEP * self.epochs / PUBLISHED_EPOCHS))


ALL = (
    *("2x25", "2x50", "2x100", "2x200", "2x400", "2x800", "3x100", "4x100", "5x100"),
    *("50-10-50", "100-10-100", "100-25-100", "100-50-100", "200-10-200", "400-10-400"),
)
QUICK = ("2x25", "2x50", "2x100", "50-10-50")


def l1_weights(shape: Shape, full: bool) -> tuple[float, ...]:
    """The grid of a shape: a few of the published weights, or all of them."""
    if shape.autoencoder:
        return (0.0, 2e-5, 2e-4)
    narrow = max(shape.widths) < 100
    leo = (2e-4, 1e-3) if narrow else (1e-4, 5e-4)
    if not full:
        return (0.0, 1e-4, 2e-4, leo[-1])
    top = 16 if shape.widths == (100, 100) else 8
    return tuple(sorted({0.0, *leo, *(k * 25 / 1e6 for k in range(1, top + 1))}))


@dataclass(frozen=True, slots=True)
class Reported:
    """A published figure: accuracy in % or loss, neurons removed in %, seconds; None where not given."""

    score: float
    removed: float
    seconds: float | None


LEO: dict[tuple[str, float], Reported] = {
    ("2x25", 1e-3): Reported(95.76, 22, 27.9),
    ("2x25", 2e-4): Reported(97.24, 8.3, 29),
    ("2x25", 0.0): Reported(96.68, 0, 28.4),
    ("2x50", 1e-3): Reported(96.05, 29.4, 103),
    ("2x50", 2e-4): Reported(97.81, 15.1, 106),
    ("2x50", 0.0): Reported(97.62, 0, 112),
    ("2x100", 5e-4): Reported(97.14, 30.8, 421),
    ("2x100", 1e-4): Reported(98.14, 14.9, 456),
    ("2x100", 0.0): Reported(98.00, 0, 385),
}
"""By L1 weight; 31 networks each."""


def _columns(*cells: tuple[float, float, float | None] | None) -> tuple[Reported | None, ...]:
    return tuple(None if cell is None else Reported(*cell) for cell in cells)


ISA: dict[str, tuple[Reported | None, ...]] = {
    "2x100": _columns((97.93, 0, 10), (98.14, 13, 14), (97.89, 23, 11)),
    "3x100": _columns((98.05, 0, 54), (98.23, 14, 80), (98.05, 26, 50)),
    "4x100": _columns((98.12, 0, 220), (98.18, 16, 2000), (98.12, 25, 180)),
    "5x100": _columns((98.13, 0, 840), (98.42, 17, 3370), (98.12, 27, 510)),
    "2x200": _columns((98.17, 0, 45), (98.33, 13, 120), (98.17, 26, 26)),
    "2x400": _columns((98.25, 0, 400), (98.35, 8, 1800), (98.24, 24, 130)),
    "2x800": _columns((98.28, 0, 3500), None, (98.29, 22, 1000)),
}
"""At L1 = 0, l_bar / 2 and l_bar; 5 networks each."""

AUTOENCODERS: dict[str, tuple[Reported | None, ...]] = {
    "50-10-50": _columns((0.047, 0, 33), (0.051, 14, None), (0.081, 89, 1)),
    "100-10-100": _columns((0.045, 0, 130), (0.047, 13, 120), (0.077, 95, 3)),
    "100-25-100": _columns((0.035, 0, 500), (0.047, 14, 800), (0.076, 90, 3)),
    "100-50-100": _columns((0.031, 0, 230), (0.048, 17, 600), (0.071, 90, 3)),
    "200-10-200": _columns((0.041, 0, 1000), (0.043, 14, 700), (0.076, 95, 5)),
    "400-10-400": _columns((0.040, 0, 2700), (0.040, 15, 1300), (0.073, 89, 10)),
}
"""At L1 = 0, 2e-5 and 2e-4."""

REPORTED_R_SQUARED = 0.64
"""Of compression against accuracy, over the regularised classifiers."""


def reported(shape: Shape, l1: float, matching: float | None) -> Sequence[Reported]:
    """Every published figure for a network of that shape and L1 weight; `matching` is our l_bar."""
    found: list[Reported | None] = [LEO.get((shape.name, l1))]
    if shape.autoencoder:
        columns = dict(zip((0.0, 2e-5, 2e-4), AUTOENCODERS.get(shape.name, ())))
    else:
        keys = (0.0,) if matching is None else (0.0, matching / 2, matching)
        columns = dict(zip(keys, ISA.get(shape.name, ())))
    found.append(columns.get(l1))
    return [one for one in found if one is not None]
