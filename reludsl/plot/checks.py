"""What the pictures ask of the arrays that they are given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput


def array(values: npt.ArrayLike, shape: tuple[int | None, ...], what: str) -> npt.NDArray[Any]:
    """An array of finite numbers of that shape, None for any size.

    Raises:
        InvalidInput: another shape, or a number that is not finite.

    >>> array([[1, 2]], (None, 2), "points").tolist()
    [[1, 2]]
    """
    found = np.asarray(values)
    fits = found.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, found.shape))
    if not fits:
        asked = ", ".join("any" if size is None else str(size) for size in shape)
        raise InvalidInput(
            f"{what} have the shape {found.shape}, and nothing can be drawn from that; give an array of shape "
            f"({asked}{',' if len(shape) == 1 else ''})"
        )
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).sum())
        raise InvalidInput(
            f"{bad} of {found.size} numbers of {what} are not finite and have no place in a picture; give finite ones, "
            "of a bounded domain"
        )
    return found


def classes(values: npt.ArrayLike, count: int, what: str) -> npt.NDArray[Any]:
    """(count,) numbers from 0, whole ones.

    Raises:
        InvalidInput: another shape, negative or broken numbers.
    """
    found = array(values, (count,), what)
    if found.dtype.kind not in "iu" or found.min(initial=0) < 0:
        raise InvalidInput(
            f"{what} are of type {found.dtype} and begin at {found.min(initial=0)}, and numbers of colours are whole "
            "and begin at 0; give integers from 0 on"
        )
    return found


def heights(values: Iterable[float | int | None], count: int, what: str) -> FloatArray:
    """Values for a logarithmic axis, (count,): None and whatever is not positive becomes NaN, which is not drawn.

    Args:
        count: of the places that they belong to.

    Raises:
        InvalidInput: another number of values, or one beyond the largest float.

    >>> heights([10, None, 0], 3, "bounds")
    array([10., nan, nan])
    """
    given = list(values)
    if len(given) != count:
        raise InvalidInput(
            f"{what} has {len(given)} values for {count} places, and it is not clear which belongs where; give "
            "one for each, None where there is none"
        )
    try:
        found = np.array([np.nan if value is None else float(value) for value in given])
    except OverflowError:
        found = np.array([np.inf])
    if np.isinf(found).any():
        raise InvalidInput(
            f"{what} has a value beyond 1e308, where axes of matplotlib end; leave it out, or draw its logarithm"
        )
    return np.where(found > 0, found, np.nan)
