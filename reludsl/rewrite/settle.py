"""Runs of the rewrites, each on the result of the one before, until a run from the start changes nothing.

One run ends where no rewrite fits into what is left of the tolerance. A run on its result would begin with all of it,
and merge a little more. So that compressing twice is no more than compressing once, the runs follow each other here,
and the merges of each take a share only. Their result counts while all of them together stay within the tolerance, by
the direct comparison of the last network with the first or by the sum of the bounds of the runs, whichever is less.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reludsl import numeric
from reludsl.bounds import crown, settle_ties
from reludsl.rewrite.base import Knowledge
from reludsl.rewrite.driver import Driver, State


def settled(driver: Driver) -> State:
    """Where runs of a driver come to, one after another.

    The first relies on what the driver knows; those that follow on linear bounds of the network at hand.
    """
    state = last = driver.run()
    while last.log and driver.allows(state):
        bounds = settle_ties(crown(state.network, driver.proof.domain))
        last = replace(
            driver, original=state.network, known=Knowledge.of(state.network, bounds), proof=bounds, dtype=state.dtype
        ).run()
        after = _followed(driver, state, last)
        if not driver.allows(after):
            break
        state = after
    return state


def _followed(driver: Driver, state: State, later: State) -> State:
    """A state, and a later run that began with its network."""
    if not later.log:
        return state
    map = state.map.then(later.map)
    direct = driver.comparison.difference(later.network, map)
    error = np.minimum(direct, numeric.plus_up(state.error, later.error))
    return replace(later, map=map, log=(*state.log, *later.log), error=error)
