"""Lossy compression: nearly constant and nearly affine neurons are treated as stable while the proved bound allows it.

What `reludsl.rewrite.near` finds is taken in the order of its cost, in groups that double after a success and are
halved after a failure, so that a hundred neurons need some ten proofs. Nothing is believed: each trial is the network
itself, compared with the original under bounds that know nothing of the claims.

First nearly constant units go. Then the rewrites run to a fixed point once more, with the larger tolerance, and with
the nearly affine neurons among the active ones: all of them, the cheaper half, and so on down to none; the smallest
network is taken.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reludsl.rewrite.driver import Driver, State
from reludsl.rewrite.near import nearly_affine, nearly_constant

PATIENCE = 8
"""Single units that did not fit, one after another, before the search for more ends."""


def approximate(driver: Driver, lossless: State) -> State:
    """The smallest network found whose output change is within the driver's tolerance.

    Args:
        driver: with the tolerance that is asked for.
        lossless: where the rewrites came to without loss; it has no fewer neurons than the result.
    """
    if not driver.allows(lossless):
        return lossless
    driver, state = _without_nearly_constant(driver, lossless)
    near = nearly_affine(driver.original, driver.proof, state.map, driver.tolerance)
    best, count = state, len(near)
    while True:
        pre = near.believed(driver.known.pre, np.arange(count))
        trial = replace(driver, known=replace(driver.known, pre=pre)).run(state)
        if driver.allows(trial) and _size(trial) < _size(best):
            best = trial
        if not count:
            return best
        count //= 2


def _without_nearly_constant(driver: Driver, state: State) -> tuple[Driver, State]:
    """The network without the units that may go, and the driver that takes them for constant."""
    near = nearly_constant(driver.original, driver.proof, state.map, driver.tolerance)
    first, count, misses = 0, 1, 0
    while first < len(near) and misses < PATIENCE:
        some = np.arange(first, min(first + count, len(near)))
        post = near.believed(driver.known.post, some)
        bolder = replace(driver, known=replace(driver.known, post=post))
        trial = bolder.without_constants(state)
        if driver.allows(trial):
            driver, state = bolder, trial
            first, count, misses = first + count, 2 * count, 0
        elif count > 1:
            count //= 2
        else:
            first, misses = first + 1, misses + 1
    return driver, state


def _size(state: State) -> tuple[int, int]:
    return state.neurons, state.network.parameters
