"""A bound against depth: the same number of units, in more and more layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from reludsl.errors import InvalidInput
from reludsl.regions.bounds.recursion import serra_2018


@dataclass(frozen=True, slots=True)
class AtDepth:
    """The value of a bound for one way to lay out the units."""

    depth: int
    widths: tuple[int, ...]
    value: int


def equal_widths(units: int, depth: int) -> tuple[int, ...]:
    """The widths of `depth` layers that share the units, the first ones wider by one where they do not divide.

    Raises:
        InvalidInput: fewer units than layers, or no layer.

    >>> equal_widths(60, 3), equal_widths(22, 4)
    ((20, 20, 20), (6, 6, 5, 5))
    """
    if not 1 <= depth <= units:
        raise InvalidInput(
            f"{units} units do not fill {depth} layers; every layer needs one: give a depth of 1 to {units}"
        )
    each, more = divmod(units, depth)
    return (each + 1,) * more + (each,) * (depth - more)


def by_depth(
    inputs: int,
    units: int,
    depths: Iterable[int],
    bound: Callable[[int, Sequence[int]], int] = serra_2018,
) -> tuple[AtDepth, ...]:
    """A bound for so many units in 1, 2, ... layers of equal width (`equal_widths`).

    Args:
        depths: numbers of layers.
        bound: takes the number of inputs and the widths.

    Source: Serra, Tjandraatmadja, Ramalingam 2018, which draws this for 60 units in 1 to 6 layers: the more inputs, the
    fewer layers are best.

    >>> [at.value for at in by_depth(2, 60, range(1, 4))]
    [1831, 217156, 9393931]
    """
    layouts = [equal_widths(units, depth) for depth in depths]
    return tuple(AtDepth(len(widths), widths, bound(inputs, widths)) for widths in layouts)
