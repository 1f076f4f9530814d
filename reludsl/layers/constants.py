"""Trained constants: checked once, and never changed."""

from __future__ import annotations

import numpy as np

from reludsl.backend import FloatArray
from reludsl.errors import InvalidInput


def finite(values: FloatArray, what: str) -> FloatArray:
    """The numbers as a float64 array that nobody can write to.

    Raises:
        InvalidInput: NaN or infinity among them.
    """
    array = np.array(values, dtype=np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        index = tuple(int(k) for k in np.argwhere(bad)[0])
        raise InvalidInput(
            f"{what} holds {array[index]} at {index}; a bound on such a network means nothing: "
            "train it again, or repair the file"
        )
    array.setflags(write=False)
    return array
