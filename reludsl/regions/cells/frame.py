"""The domain as a cube, and the few coordinates in which every unit of a network is affine.

    x = middle + half * u,  u in [-1, 1]^n             y = slope u + shift

y holds what the network asks of the input: the pre-activations of its first layer where the input is wide, the input
itself where it is not, and last the coordinate `one`. A form is a row over y, so that a network of 784 inputs and 11
first neurons is searched in 12 coordinates.

On a bounded domain `one` is 1. On the whole space x = u / one with one in [0, 1]: every constant of the network is
multiplied by it, each ray of (x, one) meets the cube [-1, 1]^n x [0, 1], and a unit has the same sign on all of a ray.
So full-dimensional cells of the cube are those of R^n, exactly, however far away they lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from reludsl import numeric
from reludsl.backend import BoolArray, FloatArray
from reludsl.domain import Ball, Domain, Norm, Polytope, Space
from reludsl.errors import InvalidInput
from reludsl.exact import exactly
from reludsl.network import Network
from reludsl.regions.cells.cascade import Cascade


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A network on a domain, in the coordinates y.

    Args:
        cascade: its layers of units.
        domain: where x lives.
        middle, half: (n_in,) of the domain's box.
        free: (n_in,) the coordinates that move.
        slope, shift: (d, n), (d,) from the cube to y; the last row is `one`.
        bases: per layer of the cascade, and the output, what z has of the input and constants: (size, d).
        errors: per layer, and the output, how far a row computed for z may be from z, anywhere on the domain: (size,).
        sides: (k, d) rows that are positive inside the domain, beyond the cube; their errors: (k,).
        weight: (d,) the largest |y|, for rounding.
    """

    cascade: Cascade
    domain: Domain | Space
    middle: FloatArray
    half: FloatArray
    free: BoolArray
    slope: FloatArray
    shift: FloatArray
    bases: tuple[FloatArray, ...]
    errors: tuple[FloatArray, ...]
    sides: FloatArray
    side_errors: FloatArray
    weight: FloatArray

    @property
    def width(self) -> int:
        """Number n of coordinates of the cube."""
        return int(self.slope.shape[1])

    @property
    def whole(self) -> bool:
        """Whether the domain is R^n."""
        return isinstance(self.domain, Space)

    @property
    def scaled_sides(self) -> tuple[FloatArray, FloatArray]:
        """The rows of the sides with slopes of norm 1 over the cube, and their errors: (k, d), (k,)."""
        norms = np.linalg.norm(self.sides @ self.slope, axis=1)
        norms = np.where(norms > 0, norms, 1.0)
        return self.sides / norms[:, None], self.side_errors / norms

    @property
    def trivial(self) -> FloatArray:
        """The row over y that is always positive."""
        row = np.zeros(self.slope.shape[0])
        row[-1] = 1.0
        return row

    @classmethod
    def of(cls, network: Network, domain: Domain | Space) -> Frame:
        """The coordinates in which a network is searched.

        Raises:
            InvalidInput: the domain has another number of coordinates, is an L1 ball or a ball without an interior, or
                is flat in all of them.
        """
        if domain.size != network.input_size:
            raise InvalidInput(
                f"the domain has {domain.size} coordinates and the network {network.input_size} inputs; "
                f"give a domain over {network.input_size} coordinates"
            )
        if isinstance(domain, Ball) and domain.norm is Norm.L1:
            raise InvalidInput(
                "regions are counted on a box, a polytope or the whole space, and an L1 ball has 2^n sides; "
                "write it as a Polytope where n is small, or take the box around it"
            )
        if isinstance(domain, Ball) and not _is_solid(domain):
            raise InvalidInput(
                "the ball has no width in some coordinate, which its rounded sides cannot tell; give a Box with the "
                "lower bound equal to the upper bound there"
            )
        whole = isinstance(domain, Space)
        if isinstance(domain, Space):
            low, high = -np.ones(domain.size), np.ones(domain.size)
        else:
            low, high = domain.enclosure.lower, domain.enclosure.upper
        free = low < high
        middle = np.where(free, 0.5 * low + 0.5 * high, low)
        # of two neighbours close to 0 half the distance is no float
        half = np.where(free, np.maximum(0.5 * high - 0.5 * low, np.nextafter(0.0, 1.0)), 0.0)
        if not free.any():
            raise InvalidInput("the domain is a single point, which lies in one region; give a box of some width")
        cascade = Cascade.of(network, np.abs(middle) + half)
        layers = (*cascade.layers, cascade.last)
        rows = [layer.inputs for layer in layers if layer.inputs is not None]
        polytope = domain if isinstance(domain, Polytope) else None
        if polytope is not None:
            rows.append(-polytope.matrix)
        asked = np.concatenate(rows) if rows else np.zeros((0, domain.size))
        lifted = len(asked) < int(free.sum())
        n = int(free.sum()) + whole
        d = (len(asked) if lifted else int(free.sum())) + 1
        slope, shift = np.zeros((d, n)), np.zeros(d)
        scaled = (asked if lifted else np.eye(domain.size)[free]) * half
        slope[: d - 1, : int(free.sum())] = scaled[:, free] if lifted else np.eye(d - 1)
        if lifted and not whole:
            shift[: d - 1] = asked @ middle
        if whole:
            slope[-1, -1] = shift[-1] = 0.5
        else:
            shift[-1] = 1.0
        parts: list[FloatArray] = []
        start = 0
        for block in rows:
            part = np.zeros((len(block), d))
            if lifted:
                part[:, start : start + len(block)] = np.eye(len(block))
            else:
                part[:, : d - 1] = (block * half)[:, free]
                part[:, -1] = 0.0 if whole else block @ middle
            parts.append(part)
            start += len(block)
        bases, errors, taken = [], [], 0
        for layer in layers:
            base = np.zeros((layer.size, d))
            if layer.inputs is not None:
                base += parts[taken]
                taken += 1
            base[:, -1] += layer.constant
            bases.append(base)
            lost = numeric.gamma(layer.terms + d + n + 8) * layer.magnitude
            errors.append(np.asarray(numeric.inflated(lost + layer.error)))
        sides, side_errors = np.zeros((0, d)), np.zeros(0)
        if polytope is not None:
            sides = parts[taken].copy()
            sides[:, -1] += polytope.limit
            reach = np.abs(polytope.matrix) @ (np.abs(middle) + half) + np.abs(polytope.limit)
            side_errors = np.asarray(numeric.inflated(numeric.gamma(domain.size + d + 8) * reach + numeric.FLOOR))
        weight = np.asarray(numeric.inflated(np.abs(slope).sum(axis=1) + np.abs(shift)))
        return cls(
            cascade, domain, middle, half, free, slope, shift, tuple(bases), tuple(errors), sides, side_errors, weight
        )

    def lift(self, u: FloatArray) -> FloatArray:
        """y of points of the cube: (..., n) -> (..., d)."""
        return np.asarray(u @ self.slope.T + self.shift)

    def inputs(self, u: FloatArray) -> FloatArray:
        """Points of the cube as inputs of the network, inside the domain where the domain can say so."""
        if isinstance(self.domain, Space):
            one = self.lift(u)[:, -1:]
            return np.asarray(u[:, :-1] / one)
        x = np.tile(self.middle, (len(u), 1))
        x[:, self.free] += self.half[self.free] * u
        return self.domain.project(x) if self.domain.is_box else self.domain.enclosure.project(x)


def _is_solid(ball: Ball) -> bool:
    """Whether a ball that is cut to a box has a width in every coordinate, exactly."""
    box, centre, radius = ball.enclosure, exactly(ball.center), Fraction(ball.radius)
    low, high = np.maximum(exactly(box.lower), centre - radius), np.minimum(exactly(box.upper), centre + radius)
    return bool((low < high).all())
