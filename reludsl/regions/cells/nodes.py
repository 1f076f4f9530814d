"""What a search holds of its cells: rows, forms, options and points, as arrays over many cells of one layer.

And what it finds: cells that passed all layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reludsl.backend import BoolArray, FloatArray, IntArray


class Points:
    """Points of the cube, each in one cell, and what they are in the coordinates y."""

    def __init__(self, n: int, d: int) -> None:
        self.u, self.y = np.zeros((0, n)), np.zeros((0, d))
        self._free = np.zeros(0, dtype=np.int64)

    def add(self, u: FloatArray, y: FloatArray) -> IntArray:
        """Keep some more; where they are kept."""
        short = len(u) - self._free.size
        if short > 0:
            more = max(short, 1024, len(self.u) // 2)
            start = len(self.u)
            self.u = np.concatenate([self.u, np.zeros((more, self.u.shape[1]))])
            self.y = np.concatenate([self.y, np.zeros((more, self.y.shape[1]))])
            self._free = np.concatenate([self._free, np.arange(start, start + more)])
        where, self._free = self._free[: len(u)], self._free[len(u) :]
        self.u[where], self.y[where] = u, y
        return where

    def drop(self, where: IntArray) -> None:
        """Forget some."""
        self._free = np.concatenate([self._free, where])


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """Cells that wait in one layer.

    Args:
        rows: (B, m, d) positive inside; errors: (B, m). Trivial rows fill up.
        count: (B,) rows that are not trivial.
        forms: (B, Q + 1, d) the layer's edges, scaled, and last the trivial row; form_errors: (B, Q + 1).
        open: (B, O) options that are not proved to be empty.
        sought: (B, O) options to go into. Another that is open is passed over, and yet its edges must cut it off.
        pieces: (B, units of earlier layers)
        maps: what earlier layers give, and z of this one, as rows: layer -> (B, size, d).
        signs: of earlier layers, inside the cell: 1, -1, 0 by what it is made of, 2 for unknown: layer -> (B, units).
        pool: (B, P) points inside, -1 where there are fewer; those that there are stand first.
        weight: (B,) how many cells each stands for, and run: (B,) on whose path it is, where only some cells are
            followed (`Probes`).
    """

    rows: FloatArray
    errors: FloatArray
    count: IntArray
    forms: FloatArray
    form_errors: FloatArray
    open: BoolArray
    sought: BoolArray
    pieces: IntArray
    maps: Mapping[int, FloatArray]
    signs: Mapping[int, IntArray]
    pool: IntArray
    weight: FloatArray
    run: IntArray

    def __len__(self) -> int:
        return len(self.count)

    def take(self, index: IntArray | BoolArray | slice) -> Nodes:
        """Some of them."""
        return Nodes(
            self.rows[index],
            self.errors[index],
            self.count[index],
            self.forms[index],
            self.form_errors[index],
            self.open[index],
            self.sought[index],
            self.pieces[index],
            {at: held[index] for at, held in self.maps.items()},
            {at: held[index] for at, held in self.signs.items()},
            self.pool[index],
            self.weight[index],
            self.run[index],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Cells that passed all layers.

    Args:
        pieces: (B, units)
        points: (B, n) a point of the cube inside each, certainly.
        weight, run: (B,) see `Nodes`.
    """

    pieces: IntArray
    points: FloatArray
    weight: FloatArray
    run: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Outlying:
    """A region that only rationals reach: its pattern, and an input rounded to floats; the rest as for `Found`."""

    pieces: IntArray
    witness: FloatArray
    weight: float
    run: int


def joined(parts: Sequence[Nodes], trivial: FloatArray) -> Nodes:
    """Several as one; what is narrower is filled up."""
    if len(parts) == 1:
        return parts[0]
    most = max(p.rows.shape[1] for p in parts)
    wide = max(p.pool.shape[1] for p in parts)
    rows, errors = zip(*(grown(p.rows, p.errors, most, trivial) for p in parts))
    return Nodes(
        np.concatenate(rows),
        np.concatenate(errors),
        np.concatenate([p.count for p in parts]),
        np.concatenate([p.forms for p in parts]),
        np.concatenate([p.form_errors for p in parts]),
        np.concatenate([p.open for p in parts]),
        np.concatenate([p.sought for p in parts]),
        np.concatenate([p.pieces for p in parts]),
        {at: np.concatenate([p.maps[at] for p in parts]) for at in parts[0].maps},
        {at: np.concatenate([p.signs[at] for p in parts]) for at in parts[0].signs},
        np.concatenate([wider(p.pool, wide) for p in parts]),
        np.concatenate([p.weight for p in parts]),
        np.concatenate([p.run for p in parts]),
    )


def grown(rows: FloatArray, errors: FloatArray, most: int, trivial: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rows with room for `most`, the new ones trivial."""
    short = most - rows.shape[1]
    if short <= 0:
        return rows, errors
    fill = np.broadcast_to(trivial, (len(rows), short, trivial.size))
    return np.concatenate([rows, fill], axis=1), np.concatenate([errors, np.zeros((len(rows), short))], axis=1)


def wider(pool: IntArray, wide: int) -> IntArray:
    """A pool with room for `wide` points."""
    short = wide - pool.shape[1]
    return pool if short <= 0 else np.concatenate([pool, np.full((len(pool), short), -1)], axis=1)
