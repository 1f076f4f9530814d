"""The framework of Hinz and van de Geer: regions counted by the dimension of their image, pushed through the layers.

A histogram v says how many regions there are whose image has dimension d (at most). A layer of n' units cuts a region
of dimension d into parts; gamma_{d,n'} bounds, from the top, how many of them have how many active units. "Bounds"
means: for every J at least as many with J or more active units. A part with j active units has an image of dimension
min(d, j). So a layer is a matrix whose column d is gamma_{d,n'}, with all that stands above d moved to d.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from reludsl.regions.bounds.closed_forms import binomials, checked

Histogram = list[int]
"""Entry j: how many parts have j active units, or dimension j."""

Gamma = Callable[[int, int], Histogram]
"""gamma(d, n'): bounds the activation histogram of n' units over d dimensions, and grows with d."""


def zaslavsky_histogram(dimension: int, width: int) -> Histogram:
    """gamma_{d,n'} = sum_{j <= d} C(n', j) e_{n'-j}: j units are inactive in C(n', j) ways, and Z(n', d) parts in all.

    Source: Hinz and van de Geer 2019, where this choice gives Theorem 1 of Serra et al. 2018.

    >>> zaslavsky_histogram(2, 4)
    [0, 0, 6, 4, 1]
    """
    row = binomials(width, min(width, dimension))
    return [0] * (width + 1 - len(row)) + list(reversed(row))


def deletion_histogram(dimension: int, width: int) -> Histogram:
    """At most f_d(n', m) parts have m inactive units or fewer, f_d(n', m) = f_d(n'-1, m) + f_{d-1}(n'-1, m-1).

    On a line f_1(n', m) = min(2m + 1, n' + 1): between two parts with m inactive units each at most 2m units switch. A
    further unit cuts some parts in two; one half of each keeps its inactive units, the other has one more, and the
    parts that are cut are those of the other units on the hyperplane of the new one. The solution is

        f_d(n', m) = sum_{j < d-1} C(n', j) + sum_{s <= 2(m-d+1)} C(n'-s, d-1)    for m >= d - 1,

    and sum_{j <= m} C(n', j) below. It is never above the sum of Zaslavsky's histogram, which solves the same
    recursion from f_1(n', m) = min(m, 1) n' + 1, and both end at Z(n', d).

    Source: derived here in the framework of Hinz and van de Geer 2019. Hinz 2021, Using activation histograms to
    bound the number of affine regions, studies how far such histograms can be sharpened.

    >>> deletion_histogram(1, 4), deletion_histogram(2, 4)
    ([0, 0, 2, 2, 1], [0, 1, 5, 4, 1])
    """
    d = min(dimension, width)
    if d == 0:
        return [0] * width + [1]
    row = binomials(width, d - 1)
    # the terms of the second sum: one for m = d - 1, and two more for every further inactive unit
    last = [math.comb(width - s, d - 1) for s in range(width - d + 2)]
    further = [sum(last[s : s + 2]) for s in range(1, 2 * (width - d) + 3, 2)]
    return list(reversed([*row[:-1], last[0], *further]))


def dimension_histogram(inputs: int, widths: Sequence[int], gamma: Gamma = zaslavsky_histogram) -> Histogram:
    """B_{n_L} ... B_{n_1} e_n: how many regions there are at most, by the dimension of their image in the last layer.

    Column d of B_{n'} is gamma_{d,n'} with every entry above d moved to d.

    >>> dimension_histogram(2, [2, 2])
    [2, 8, 1]
    """
    sizes = checked(inputs, widths)
    held = [0] * inputs + [1]
    for width in sizes:
        out = [0] * min(len(held), width + 1)
        for d, regions in enumerate(held):
            if regions:
                for j, parts in enumerate(gamma(d, width)):
                    out[min(d, j)] += regions * parts
        held = out
    return held


def hinz_van_de_geer(inputs: int, widths: Sequence[int], gamma: Gamma = zaslavsky_histogram) -> int:
    """|| B_{n_L} ... B_{n_1} e_n ||_1: an upper bound for chains of affine layers and ReLUs (`dimension_histogram`).

    With `zaslavsky_histogram` it is Theorem 1 of Serra et al. 2018 again, by other means; with `deletion_histogram`
    it is never above that, and below it where a layer can use up dimensions.

    Source: Hinz and van de Geer 2019, A framework for the construction of upper bounds on the number of affine
    linear regions of ReLU feed-forward neural networks.

    >>> hinz_van_de_geer(2, [4, 4]), hinz_van_de_geer(2, [4, 4], deletion_histogram)
    (121, 115)
    """
    return sum(dimension_histogram(inputs, widths, gamma))
