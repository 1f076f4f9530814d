"""Theorem 1 of Serra, Tjandraatmadja and Ramalingam 2018 for 60 units, by the number of layers that share them."""

from __future__ import annotations

from benchmarks.expressivity.finding import Observation, Table
from reludsl.regions.bounds import by_depth

UNITS = 60
BOUNDS = {
    1: (61, 961, 9261, 65536, 371293, 1771561),
    2: (1831, 217156, 9393931, 214358881, 3077056399, 30840979456),
    3: (36051, 20484676, 2465846551, 110075314176, 2389769101499, 29721861554176),
    5: (5985198, 30428266969, 10218313000000, 597466897514496, 10034966220390176, 67441011031941184),
}
"""inputs -> Theorem 1 for 60 units in 1 to 6 equal layers: worked out apart from this library, in exact arithmetic."""

MANY_INPUTS = (1, 2, 3, 5, 10, 20, 40, 60)


def sixty_units() -> Observation:
    found = {n: tuple(at.value for at in by_depth(n, UNITS, range(1, 7))) for n in BOUNDS}
    same = sum(a == b for n in BOUNDS for a, b in zip(BOUNDS[n], found[n]))
    closed = all(at.value == (UNITS // at.depth + 1) ** at.depth for at in by_depth(1, UNITS, range(1, 7)))
    return Observation(
        published="Serra et al. 2018, section 4: Theorem 1 for 60 units in 1 to 6 layers, and prod (n_l + 1) for one "
        "input.",
        measured=f"{same} of {sum(map(len, BOUNDS.values()))} bounds for 60 units equal those worked out apart, to the "
        f"last digit, from {found[1][0]:,} (one input, one layer) to {found[5][-1]:,} (five inputs, six layers)",
        seen=closed and found == BOUNDS,
    )


def best_depth(inputs: int) -> int:
    """The depth with the largest bound."""
    return max(by_depth(inputs, UNITS, range(1, 31)), key=lambda at: at.value).depth


def best_depths() -> Observation:
    best = [best_depth(n) for n in MANY_INPUTS]
    return Observation(
        published="Serra et al. 2018, section 4: for every number of inputs there is a best depth; more inputs put it "
        "earlier, and with as many inputs as units one layer is best.",
        measured=f"the best depth of 60 units is {', '.join(map(str, best))} for "
        f"{', '.join(map(str, MANY_INPUTS))} inputs, of depths 1 to 30",
        seen=best == sorted(best, reverse=True) and best[-1] == 1 and best[0] > 1,
    )


def depth_table() -> Table:
    return Table(
        caption=f"Theorem 1 for {UNITS} units in 1 to 6 equal layers.",
        head=["inputs", *(str(k) for k in range(1, 7)), "best depth of 1 to 30"],
        rows=[
            [str(n), *(f"{at.value:,}" for at in by_depth(n, UNITS, range(1, 7))), str(best_depth(n))] for n in BOUNDS
        ],
    )
