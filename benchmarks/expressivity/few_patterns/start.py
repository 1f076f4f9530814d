"""Networks at initialisation: regions of slices for several depths, of segments and distances for several sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.expressivity.few_patterns.settings import BIAS_SCALE, Settings, Widths
from benchmarks.published.training import Say
from reludsl.backend import FloatArray
from reludsl.expressivity import draw_slices, segment_density, slice_density
from reludsl.network import Network
from reludsl.networks import Initialisation, random_network
from reludsl.regions import nearest_boundary

OUTPUTS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Depth:
    """Regions / N^2 of one architecture, mean over the slices: (runs,) in whole planes, and in squares."""

    widths: Widths
    whole: FloatArray
    square: FloatArray
    odd: int


@dataclass(frozen=True, slots=True, eq=False)
class Size:
    """One architecture: regions crossed by a segment and distance to the nearest boundary, (runs,) means of each."""

    widths: Widths
    regions: FloatArray
    distance: FloatArray

    @property
    def neurons(self) -> int:
        return sum(self.widths)


def initial(inputs: int, widths: Widths, seed: int) -> Network:
    """He-normal weights, biases of variance 1e-6."""
    return random_network((inputs, *widths), seed, Initialisation.NORMAL, bias_scale=BIAS_SCALE, outputs=OUTPUTS)


def depths(settings: Settings, pixels: FloatArray, seed: int, say: Say = lambda _: None) -> list[Depth]:
    """Every architecture of `settings.depths`, each run with slices of its own."""
    found = []
    for widths in settings.depths:
        found.append(_depth(settings, pixels, widths, seed))
        say(f"{list(widths)} at initialisation: {found[-1].whole.mean():.3f} N^2 regions")
    return found


def _depth(settings: Settings, pixels: FloatArray, widths: Widths, seed: int) -> Depth:
    whole, square, odd = [], [], 0
    for run in range(settings.depth_runs):
        network = initial(pixels.shape[1], widths, seed + run)
        cuts = draw_slices(pixels, settings.slices, seed + run)
        plane, polygon = slice_density(network, cuts, whole=True), slice_density(network, cuts)
        whole.append(plane.ratio.mean())
        square.append(polygon.ratio.mean())
        odd += plane.odd + polygon.odd
    return Depth(widths, np.array(whole), np.array(square), odd)


def sizes(settings: Settings, pixels: FloatArray, seed: int) -> list[Size]:
    """Every width with every depth, on segments between data points and distances of data points."""
    rng = np.random.default_rng(seed)
    ends = pixels[np.stack([rng.choice(len(pixels), 2, replace=False) for _ in range(settings.segments)], axis=1)]
    points = pixels[rng.choice(len(pixels), min(settings.points, len(pixels)), replace=False)]
    found = []
    for depth in settings.segment_depths:
        for width in settings.segment_widths:
            networks = [initial(pixels.shape[1], (width,) * depth, seed + run) for run in range(settings.start_runs)]
            regions = [segment_density(network, *ends).regions.mean() for network in networks]
            distance = [nearest_boundary(network, points).distance.mean() for network in networks]
            found.append(Size((width,) * depth, np.array(regions), np.array(distance)))
    return found
