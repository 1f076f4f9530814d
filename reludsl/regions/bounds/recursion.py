"""The recursion of Serra et al.: regions by how much dimension the inactive units leave, in exact integers.

An inactive ReLU unit is constant, so that a layer of which j units are inactive passes on a set of dimension n_l - j
at most. The fewer dimensions a region has left, the less the next layer can cut it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from reludsl.errors import InvalidInput
from reludsl.regions.bounds.closed_forms import binomials, checked


@dataclass(frozen=True, slots=True)
class Cut:
    """How one layer can cut a region of the layers before it.

    Args:
        switching: units that can be on both sides of their break: N.
        active: units that can be active at once: A >= N.
        rank: dimensions in which the layer can tell inputs apart: r.
        carried: whether the image is known to have dimension r at most, too. The published rank-aware recursion
            leaves this out.
    """

    switching: int
    active: int
    rank: int
    carried: bool = False


def recursion(inputs: int, cuts: Sequence[Cut]) -> int:
    """R_1(n), with R_{L+1} = 1 and R_l(d) = sum_{j <= min(N_l, r_l, d)} C(N_l, j) R_{l+1}(min(d, A_l - j)).

    O(n_l) additions and products of integers per layer: where A_l - j >= d the next value is the same for all j, and
    the sums over the other j are differences of prefix sums.

    >>> recursion(2, [Cut(4, 4, 4), Cut(4, 4, 4)])
    121
    """
    reach = list(accumulate((cut.active for cut in cuts), min, initial=inputs))
    after = [1] * (reach[-1] + 1)
    for cut, most in reversed(list(zip(cuts, reach))):
        n, a = cut.switching, cut.active
        row = binomials(n, min(n, most))
        sums = list(accumulate(row))
        # j inactive units of so many that the dimension left is a - j
        lost = [c * after[a - j] if a - j < len(after) else 0 for j, c in enumerate(row)]
        losses = list(accumulate(lost))
        values = []
        for d in range(most + 1):
            top = min(n, cut.rank, d)
            left = min(d, cut.rank) if cut.carried else d
            split = min(top, a - left)
            value = sums[split] * after[left] if split >= 0 else 0
            if top > split:
                value += losses[top] - (losses[split] if split >= 0 else 0)
            values.append(value)
        after = values
    return after[inputs]


def serra_2018(inputs: int, widths: Sequence[int], ranks: Sequence[int] | None = None) -> int:
    """sum over J of prod_l C(n_l, j_l), J = {j : 0 <= j_l <= min(n, n_1 - j_1, ..., n_{l-1} - j_{l-1}, n_l)}.

    An upper bound for chains of affine layers and ReLUs. With ranks, rank(W^l) takes the place of the last n_l: a
    bound for networks of these weights. It is reached by one hidden layer, and by one input where every n_l >= 3.

    Args:
        ranks: of the weights of each layer, or upper bounds of them. A rank that is too small makes it no bound.

    Raises:
        InvalidInput: another number of ranks than of layers, or a negative one.

    Source: Serra, Tjandraatmadja, Ramalingam 2018, Bounding and counting linear regions of deep neural networks,
    Theorem 1 and its rank-aware form.

    >>> serra_2018(784, [11, 11]), serra_2018(2, [4, 4], ranks=[1, 1])
    (2449868, 25)
    """
    known = checked(inputs, widths)
    ranks = known if ranks is None else ranks
    if len(ranks) != len(known) or min(ranks) < 0:
        raise InvalidInput(
            f"there are {len(known)} layers and the ranks {', '.join(map(str, ranks)) or 'none'}; each layer needs "
            "one, of at least 0: give one rank per layer, or none at all"
        )
    return recursion(inputs, [Cut(n, n, min(n, r)) for n, r in zip(known, ranks)])
