"""What a law of layers is asked about: a layer, a box, and the points and smaller boxes in it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from reludsl.backend import Backend, FloatArray
from reludsl.domain import Box
from reludsl.exact import ExactArray, exactly
from reludsl.layers import Activation, AffineLayer, Layer, NonlinearLayer, Shape
from reludsl.network import Network
from reludsl.testing.cases import NotOffered


@dataclass(frozen=True)
class Subject:
    """A layer, where it is asked about, and the points and boxes that it is asked at."""

    layer: Layer
    box: Box
    shape: Shape
    seed: int
    backend: Backend | None

    @property
    def rng(self) -> np.random.Generator:
        """A generator of the same numbers for every law; each call starts it anew."""
        return np.random.default_rng(self.seed)

    @cached_property
    def network(self) -> Network:
        """The layer alone."""
        return Network.chain([self.layer], self.shape, ["layer"])

    @cached_property
    def boxes(self) -> tuple[Box, ...]:
        """The box, a part of it, one that is thin in some coordinates, and points: a corner and a rough one."""
        rng, box = self.rng, self.box
        a, b, c = box.sample(rng, 3)
        part = Box(np.minimum(a, b), np.maximum(a, b))
        thin = rng.random(box.size) < 0.5
        return (
            box,
            part,
            Box(np.where(thin, c, box.lower), np.where(thin, c, box.upper)),
            Box(box.lower, box.lower),
            Box(c, c),
        )

    def within(self, box: Box) -> FloatArray:
        """Corners, ties, dyadic and rough points of a box: (m, n)."""
        rng, low, high = self.rng, box.lower, box.upper
        middle = 0.5 * (low + high)
        corners = np.where(rng.random((3, box.size)) < 0.5, low, high)
        ties = np.repeat(rng.choice(middle, 2)[:, None], box.size, axis=1)
        rough = box.sample(rng, 4)
        found = [low, high, middle, *corners, *ties, *np.round(8 * rough[:2]) / 8, *rough]
        if isinstance(self.layer, Activation):
            found += [*self.layer.breaks_at(box.size)]
        return np.unique(np.clip(found, low, high), axis=0)

    @cached_property
    def points(self) -> FloatArray:
        return self.within(self.box)

    def exact(self, x: FloatArray) -> ExactArray:
        return self.layer.exact(exactly(x))

    @cached_property
    def affine(self) -> AffineLayer:
        """The layer, for what only affine ones have."""
        if isinstance(self.layer, AffineLayer):
            return self.layer
        raise NotOffered("only affine layers have a matrix")

    @cached_property
    def pieced(self) -> Activation | NonlinearLayer:
        """The layer, for what affine ones do not need."""
        if isinstance(self.layer, Activation | NonlinearLayer):
            return self.layer
        raise NotOffered("an affine layer needs no relaxation")

    @cached_property
    def matrix(self) -> sparse.csr_array:
        return sparse.csr_array(self.affine.rows(self.box.size))

    @cached_property
    def directions(self) -> FloatArray:
        """Rows of coefficients of the value, k / 8 and never 0."""
        rng, n = self.rng, self.network.output_size
        return np.asarray(rng.integers(1, 17, (2, n)) * rng.choice([-0.125, 0.125], (2, n)))
