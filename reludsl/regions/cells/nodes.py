"""What a search holds of its cells: rows, forms, options and points, as arrays over many cells of one layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

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
        forms: (B, Q, d) of the layer's options, scaled; form_errors: (B, Q).
        open: (B, O) options that are not excluded.
        asked: (B, O) options whose question stayed open: they are ambiguous.
        pieces: (B, units of earlier layers)
        maps: what earlier layers give, where it is needed later: layer -> (B, units, d).
        pool: (B, P) points inside, -1 where there are fewer.
    """

    rows: FloatArray
    errors: FloatArray
    count: IntArray
    forms: FloatArray
    form_errors: FloatArray
    open: BoolArray
    asked: BoolArray
    pieces: IntArray
    maps: Mapping[int, FloatArray]
    pool: IntArray

    def __len__(self) -> int:
        return len(self.count)

    def take(self, index: IntArray | BoolArray | slice) -> Nodes:
        """Some of them."""
        arrays = {f.name: getattr(self, f.name)[index] for f in fields(self) if f.name != "maps"}
        return Nodes(maps={at: held[index] for at, held in self.maps.items()}, **arrays)


def joined(parts: Sequence[Nodes], trivial: FloatArray) -> Nodes:
    """Several as one; what is narrower is filled up."""
    if len(parts) == 1:
        return parts[0]
    most = max(p.rows.shape[1] for p in parts)
    wide = max(p.pool.shape[1] for p in parts)
    rows, errors, pools = [], [], []
    for p in parts:
        r, e = grown(p.rows, p.errors, most, trivial)
        rows.append(r)
        errors.append(e)
        pools.append(wider(p.pool, wide))
    plain = ("count", "forms", "form_errors", "open", "asked", "pieces")
    return Nodes(
        rows=np.concatenate(rows),
        errors=np.concatenate(errors),
        maps={at: np.concatenate([p.maps[at] for p in parts]) for at in parts[0].maps},
        pool=np.concatenate(pools),
        **{name: np.concatenate([getattr(p, name) for p in parts]) for name in plain},
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
