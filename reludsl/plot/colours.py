"""Colours: of patterns, so that neighbours differ, of classes and of layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import IntArray
from reludsl.errors import InvalidInput

PALETTE = (
    "#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0", "#f032e6",
    "#bcf60c", "#fabebe", "#008080", "#e6beff", "#9a6324", "#fffac8", "#800000", "#aaffc3",
)  # fmt: skip
"""Sixteen colours that are told apart easily (after Trubetskoy, List of 20 simple, distinct colors)."""

CHUNK = 10_000_000
"""Octets that are looked at once."""


def pattern_colours(patterns: npt.NDArray[Any]) -> IntArray:
    """colour(p) = XOR of the codes of the bits that are set in p: (regions,) indices of `PALETTE`.

    No code is 0, so that patterns which differ in one bit never share a colour: two regions on both sides of one
    unit's break, that is nearly all neighbours (Zobrist 1970, A new hashing method with application for game playing).

    Args:
        patterns: (regions, bits) of 0 and 1, or (regions, words) of uint64, 64 bits to a word.

    Raises:
        InvalidInput: another shape, or numbers that are no bits.

    >>> pattern_colours(np.array([[0, 0], [0, 1], [1, 1], [1, 0]]))
    array([ 0,  8, 14,  6])
    """
    if patterns.ndim != 2 or not (patterns.dtype in (np.bool_, np.uint64) or ((patterns == 0) | (patterns == 1)).all()):
        raise InvalidInput(
            f"patterns of shape {patterns.shape} and type {patterns.dtype} are no rows of bits, so that they have no "
            "colours; give (regions, bits) of 0 and 1, or (regions, words) of uint64"
        )
    packed = patterns.dtype == np.uint64
    octets = np.ascontiguousarray(patterns).view(np.uint8) if packed else np.packbits(patterns != 0, axis=1)
    codes = np.random.default_rng(0).integers(1, len(PALETTE), (octets.shape[1], 8), dtype=np.uint8)
    # the XOR of the codes of every octet that there can be
    own = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    table = np.bitwise_xor.reduce(np.where(own != 0, codes[:, None], np.uint8(0)), axis=2)
    found = np.zeros(len(patterns), dtype=np.int64)
    size = max(1, CHUNK // max(1, octets.shape[1]))
    for first in range(0, len(patterns), size):
        part = octets[first : first + size]
        found[first : first + size] = np.bitwise_xor.reduce(table[np.arange(part.shape[1]), part], axis=1)
    return found


def distinct(count: int, white: float = 0.0) -> list[Any]:
    """So many colours: of `PALETTE` while they last, then again from its beginning.

    Args:
        white: the share of white that is mixed in.
    """
    from matplotlib.colors import to_rgb

    mixed = (1 - white) * np.array([to_rgb(colour) for colour in PALETTE]) + white
    return [tuple(mixed[k % len(PALETTE)].tolist()) for k in range(count)]


def shades(count: int) -> list[Any]:
    """So many colours from dark to bright, for layers from first to last."""
    import matplotlib

    colours = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.85, count))
    return [tuple(colour) for colour in colours.tolist()]
