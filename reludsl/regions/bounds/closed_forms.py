"""Region bounds in closed form, in exact integers: hyperplane arrangements, and what the papers make of them.

A network has n inputs and hidden layers of n_1, ..., n_L units. Written Z(m, d) = sum_{j <= d} C(m, j).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from numbers import Integral

from reludsl.errors import InvalidInput


def checked(inputs: int, widths: Sequence[int]) -> tuple[int, ...]:
    """The widths, if they and the number of inputs are those of a network.

    Raises:
        InvalidInput: no layer, or a size that is no whole number from 1 on.
    """
    if not widths or not all(isinstance(size, Integral) and size >= 1 for size in (inputs, *widths)):
        raise InvalidInput(
            f"a network of {inputs} inputs and widths {', '.join(map(str, widths)) or 'none'} has no regions to bound: "
            "every size is a whole number, at least 1; give e.g. 784 inputs and widths 11, 11"
        )
    return tuple(map(int, widths))


@lru_cache(maxsize=256)
def binomials(m: int, most: int) -> tuple[int, ...]:
    """C(m, 0), ..., C(m, most).

    >>> binomials(4, 2)
    (1, 4, 6)
    """
    row = [1]
    for j in range(most):
        row.append(row[-1] * (m - j) // (j + 1))
    return tuple(row)


def zaslavsky(hyperplanes: int, dimension: int) -> int:
    """Z(m, d) = sum_{j <= d} C(m, j): the most parts that m hyperplanes cut R^d into, reached in general position.

    It is the exact maximum for one hidden layer of m ReLU units over d inputs. With rank(W) in place of d it bounds
    the regions of the layer with the weights W (Serra et al. 2018, Lemma 2).

    Source: Zaslavsky 1975, Facing up to arrangements.

    >>> zaslavsky(4, 2), zaslavsky(4, 784)
    (11, 16)
    """
    return sum(binomials(hyperplanes, min(hyperplanes, dimension)))


def zaslavsky_families(breaks: Iterable[int], dimension: int) -> int:
    """sum_{j <= d} e_j(K_1, ..., K_n): the most parts that n families of K_i parallel hyperplanes cut R^d into.

    e_j is the elementary symmetric polynomial: a vertex, or flat, lies on one hyperplane of each of j families. The
    units of one layer make such families, K_i being the number of breaks of unit i. K = 1 is Zaslavsky's sum.

    Source: Hu and Zhang 2018, Nearly-tight bounds on linear regions of piecewise linear neural networks (one layer).

    >>> zaslavsky_families([2, 2, 2], 2), zaslavsky_families([1, 1, 1, 1], 2)
    (19, 11)
    """
    total = [1]
    for each, count in Counter(breaks).items():
        here = [c * each**j for j, c in enumerate(binomials(count, min(count, dimension)))]
        size = min(len(total) + len(here) - 1, dimension + 1)
        product = [0] * size
        for i, a in enumerate(total):
            for j, b in enumerate(here[: size - i]):
                product[i + j] += a * b
        total = product
    return sum(total)


def two_to_n(pieces: Iterable[int]) -> int:
    """prod_i p_i, with p_i the number of pieces of unit i: the number of activation patterns that can be written down.

    2^N for N ReLU units. Whatever the graph, no network has more regions.

    >>> two_to_n([2] * 22), two_to_n([3, 3, 2])
    (4194304, 18)
    """
    return math.prod(p**count for p, count in Counter(pieces).items())


def montufar_2014_lower(inputs: int, widths: Sequence[int]) -> int | None:
    """(prod_{l < L} floor(n_l / n)^n) Z(n_L, n): some network of these widths has so many regions.

    None unless every n_l >= n.

    Source: Montufar, Pascanu, Cho, Bengio 2014, On the number of linear regions of deep neural
    networks.

    >>> montufar_2014_lower(2, [6, 6]), montufar_2014_lower(2, [1, 5])
    (198, None)
    """
    *front, last = checked(inputs, widths)
    if min(widths) < inputs:
        return None
    cells: int = math.prod((n // inputs) ** inputs for n in front)
    return cells * zaslavsky(last, inputs)


def montufar_2017(inputs: int, widths: Sequence[int]) -> int:
    """prod_l Z(n_l, d_l), d_l = min(n, n_1, ..., n_l): an upper bound.

    Each layer cuts every region of the layers before it, which it sees as a set of dimension d_l at most. Nothing in
    this is about the inactive piece, so that it holds for every activation of one break, leaky ones too.

    Source: Montufar 2017, Notes on the number of linear regions of deep neural networks.

    >>> montufar_2017(2, [4, 4]), montufar_2017(784, [11, 11])
    (121, 4194304)
    """
    dimensions = list(accumulate(checked(inputs, widths), min, initial=inputs))[1:]
    return math.prod(zaslavsky(n, d) for n, d in zip(widths, dimensions))


def raghu(inputs: int, widths: Sequence[int], breaks: int = 1) -> int:
    """prod_l Z(K n_l, n), for activations of K breaks: an upper bound. K = 1 for the ReLU, 2 for hard tanh.

    With L layers of width k this is Z(k, n)^L, and Z(2k, n)^L for hard tanh. The published O(k^(nL)) and O((2k)^(nL))
    are growth rates: without their constant they are no bounds (k = 2 units over n = 1 input make 3 regions, k^n is 2).

    Source: Raghu, Poole, Kleinberg, Ganguli, Sohl-Dickstein 2017, On the expressive power of deep neural networks,
    Theorem 1, with the sum of Zaslavsky that its proof uses instead of its order of growth.

    >>> raghu(2, [4, 4]), raghu(2, [4, 4], breaks=2)
    (121, 1369)
    """
    return math.prod(zaslavsky(breaks * n, inputs) for n in checked(inputs, widths))


def serra_2018_lower(inputs: int, widths: Sequence[int]) -> int | None:
    """(prod_{l < L} (floor(n_l / n) + 1)^n) Z(n_L, n): some network of these widths has so many regions.

    None unless every n_l >= 3 n.

    Source: Serra, Tjandraatmadja, Ramalingam 2018, Bounding and counting linear regions, Theorem 6.

    >>> serra_2018_lower(2, [6, 6]), serra_2018_lower(2, [4, 4])
    (352, None)
    """
    *front, last = checked(inputs, widths)
    if min(widths) < 3 * inputs:
        return None
    cells: int = math.prod((n // inputs + 1) ** inputs for n in front)
    return cells * zaslavsky(last, inputs)


def serra_2018_lower_arora(inputs: int, widths: Sequence[int]) -> int | None:
    """2 sum_{j < n} C(m - 1, j) (w + 1)^(L - 1), for the widths 2m, w, ..., w: some such network has so many regions.

    None unless the first width is even, m >= 1, and the others are all one w >= 2.

    Source: Serra, Tjandraatmadja, Ramalingam 2018, Theorem 7, which improves a bound of Arora et al. 2018.

    >>> serra_2018_lower_arora(2, [4, 3, 3]), serra_2018_lower_arora(2, [3, 3])
    (64, None)
    """
    first, *others = checked(inputs, widths)
    if first % 2 or any(w < 2 for w in others) or any(a != b for a, b in pairwise(others)):
        return None
    return 2 * zaslavsky(first // 2 - 1, inputs - 1) * math.prod(w + 1 for w in others)


def maxout(inputs: int, widths: Sequence[int], rank: int) -> int:
    """prod_l Z(n_l k (k - 1) / 2, d_l), d_l = min(n, n_1, ..., n_l): an upper bound for maxout units of rank k.

    Each pair of the k inputs of a unit is one hyperplane, on which they tie. With many inputs `two_to_n`, k^N here,
    may be smaller.

    Source: Serra, Tjandraatmadja, Ramalingam 2018, the bound for multi-layer maxout networks.

    >>> maxout(2, [3], 3), maxout(2, [3, 3], 2), maxout(2, [2, 2], 3)
    (46, 49, 484)
    """
    if rank < 1:
        raise InvalidInput(f"maxout units of rank {rank} have no input to be the largest of; give a rank of at least 1")
    dimensions = list(accumulate(checked(inputs, widths), min, initial=inputs))[1:]
    return math.prod(zaslavsky(n * math.comb(rank, 2), d) for n, d in zip(widths, dimensions))
